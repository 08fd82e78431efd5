'use strict';
const { AssertionError } = require('node:assert');
const { relative } = require('node:path');
const { fileURLToPath } = require('node:url');
const { TextEncoder } = require('node:util');
const { Api } = require('./api.js');
const { VaurienError } = require('./error.js');
const { Program, commonSeed } = require('./program.js');
const { check } = require('./settings.js');

const SETTINGS = ['backend', 'protocol', 'handler', 'rules', 'toxics', 'profile', 'seed', 'allowNoCalls', 'args', 'log'];

/** The flags of these settings. */
function flags({ backend, protocol, handler, rules = [], toxics = [], profile, seed, allowNoCalls, args = [] }) {
  const one = (name, value) => (value === undefined ? [] : [`--${name}=${value}`]);
  return [
    '--http',
    '--http-host=127.0.0.1',
    ...one('backend', backend),
    ...one('protocol', protocol),
    ...one('handler', handler),
    ...[rules].flat().flatMap((rule) => one('rule', rule)),
    ...[toxics].flat().flatMap((toxic) => one('toxic', toxic)),
    ...one('profile', profile),
    ...one('seed', seed),
    ...one('allow-no-calls', allowNoCalls || undefined),
    ...[args].flat(),
  ];
}

/** The file of the test that calls: the outermost one that is no package, nor Node's own. */
function testFile() {
  const frames = String(new Error().stack).matchAll(/^ +at (?:.*\()?(?:async )?((?:file:\/\/)?\/.*?)(?::\d+){2}\)?$/gm);
  const files = Array.from(frames, ([, file]) => (file.startsWith('file:') ? fileURLToPath(file) : file));
  const file = files.filter((file) => !file.startsWith(`${__dirname}/`) && !file.includes('/node_modules/')).at(-1);
  return file ? `the whole file ${relative('', file)}` : 'the whole file of the test';
}

/** The most events that `explain` lists. */
const MOST_EVENTS = 20;

/** An event for a person: `connection 1, call 3, GET /pay: pay.error, answer`. */
function describe({ event, connection, call, head, rule, handler, verdict, toxic, type, stream, error, why }) {
  if (event === 'dial_failure') return `connection ${connection}: cannot reach the backend, ${error}`;
  if (event === 'handshake_failure') return `connection ${connection}: no TLS with the client, ${why}`;
  if (event === 'opaque') return `connection ${connection}: opaque, no more faults of handlers, ${why}`;
  if (toxic !== undefined) return `connection ${connection}: toxic ${toxic}, ${type} ${stream}`;
  const where = [`connection ${connection}`, `call ${call}`];
  if (head) where.push(Object.values(head).join(' '));
  return `${where.join(', ')}: ${rule === undefined ? handler : `${rule}.${handler}`}, ${verdict}`;
}

/** The name of a test as a label: at most 255 bytes without control characters. */
function asLabel(text) {
  const printable = text.replace(/\p{Cc}+/gu, ' ');
  const { read } = new TextEncoder().encodeInto(printable, new Uint8Array(255));
  return printable.slice(0, read);
}

/** Refuses a call without its block. */
function checkBlock(call, body, otherwise = '') {
  if (typeof body === 'function') return;
  throw new VaurienError(`${call} needs a function as its last argument, which runs meanwhile${otherwise}`);
}

/** Runs `body` between `begin` and `end`. If `body` fails, that is what the caller sees, whatever `end` says. */
async function between(begin, body, end) {
  const begun = await begin();
  let result;
  try {
    result = await body(begun);
  } catch (error) {
    await end(begun).catch(() => {});
    throw error;
  }
  await end(begun);
  return result;
}

/** The rules or the toxics of a proxy. */
class List {
  #api;
  #path;
  #key;
  #options;
  #namesBlocks;
  #blocks = 0;

  constructor(api, path, key, options, namesBlocks = false) {
    this.#api = api;
    this.#path = path;
    this.#key = key;
    this.#options = options;
    this.#namesBlocks = namesBlocks;
  }

  async list() {
    return (await this.#api.call('GET', this.#path))[this.#key];
  }

  get(name) {
    return this.#api.call('GET', this.#one(name));
  }

  async add(what, options = {}) {
    check(options, this.#options);
    const body = typeof what === 'string' ? { [this.#key.slice(0, -1)]: what } : what;
    return this.#api.call('POST', this.#path, { ...body, ...options });
  }

  change(name, keys) {
    return this.#api.call('PATCH', this.#one(name), keys);
  }

  async remove(name) {
    await this.#api.call('DELETE', this.#one(name));
  }

  /** Adds `what` while `body` runs. It may remove it itself. */
  async during(what, options, body) {
    if (typeof options === 'function') [options, body] = [{}, options];
    const kind = this.#key.slice(0, -1);
    checkBlock(`${kind}(${kind}, body)`, body, `: without one, it is ${this.#key}.add(${kind})`);
    return between(
      () => this.add(what, this.#named(what, options)),
      body,
      ({ name }) =>
        this.remove(name).catch((error) => {
          if (error.status !== 404) throw error;
        }),
    );
  }

  /** A rule without a name gets one of its own: that of its place may have been another block's. */
  #named(what, options) {
    const text = typeof what === 'string' ? what : `name=${what?.name ?? ''}`;
    if (!this.#namesBlocks || /(^|\s)name=\S/.test(text)) return options;
    return { name: `block-${++this.#blocks}`, ...options };
  }

  #one(name) {
    return `${this.#path}/${encodeURIComponent(name)}`;
  }
}

/**
 * Sets a key of a proxy while blocks run. Blocks may overlap: the one that began last decides, and when the last one ends,
 * the key is as it was.
 */
class Blocks {
  #read;
  #write;
  #before;
  #active = [];
  #changes = Promise.resolve();

  constructor(read, write) {
    this.#read = read;
    this.#write = write;
  }

  run(value, body) {
    const block = { value };
    return between(
      () => this.#inTurn(() => this.#begin(block)),
      () => body(),
      () => this.#inTurn(() => this.#end(block)),
    );
  }

  async #begin(block) {
    if (this.#active.length === 0) this.#before = { value: await this.#read() };
    await this.#write(block.value);
    this.#active.push(block);
  }

  async #end(block) {
    const decides = block === this.#active.at(-1);
    this.#active.splice(this.#active.indexOf(block), 1);
    // A change would release the calls that the block which decides holds.
    if (decides) await this.#write((this.#active.at(-1) ?? this.#before).value);
  }

  #inTurn(change) {
    const done = this.#changes.then(change);
    this.#changes = done.catch(() => {});
    return done;
  }
}

/** Where everything is counted from without a label. */
const START = { label: undefined, id: 0, faults: {} };

class Proxy {
  #api;
  #path;
  #program;
  #repeat;
  /** The label, the latest event before it, and the faults of handlers before it. */
  #since = START;
  #handler = new Blocks(
    () => this.#read('handler'),
    (handler) => this.#set({ handler }),
  );
  #enabled = new Blocks(
    () => this.#read('enabled'),
    (enabled) => this.#set({ enabled }),
  );

  static async start(settings = {}) {
    check(settings, SETTINGS);
    const [file, common] = [testFile(), Number(commonSeed())];
    const program = await Program.start(flags(settings), settings.log ? 'inherit' : 'pipe');
    const seed = Number(program.seed);
    const isPinned = settings.seed !== undefined || seed !== common;
    const repeat = isPinned ? `run ${file}, the seed is in the code` : `run ${file} with VAURIEN_SEED=${seed}`;
    return new Proxy({ program, address: program.address, seed, repeat, url: `http://${program.http}` });
  }

  /** @private */
  constructor({ url, token, address, seed, repeat, program, name = 'default' }) {
    const api = new Api(url, token);
    this.#api = api;
    this.#path = `/v1/proxies/${encodeURIComponent(name)}`;
    this.#program = program;
    this.#repeat = repeat;
    this.name = name;
    this.url = url;
    this.address = address;
    this.seed = seed;
    // In a vaurien that runs already, blocks of other processes could have the same names.
    this.rules = new List(api, `${this.#path}/rules`, 'rules', ['name', 'before', 'for'], program !== undefined);
    this.toxics = new List(api, `${this.#path}/toxics`, 'toxics', ['name', 'toxicity', 'for']);
  }

  get host() {
    return this.address.slice(0, this.address.lastIndexOf(':')).replace(/^\[|\]$/g, '');
  }

  get port() {
    return Number(this.address.slice(this.address.lastIndexOf(':') + 1));
  }

  get pid() {
    return this.#program?.pid;
  }

  get log() {
    return this.#program?.log ?? '';
  }

  async stop() {
    if (!this.#program) return;
    this.#api.ended = `the proxy at ${this.address} was stopped, and counts and events are gone with it`;
    await this.#program.stop();
  }

  async fault(mix, body) {
    checkBlock('fault(mix, body)', body);
    return this.#handler.run(mix, body);
  }

  async down(body) {
    checkBlock('down(body)', body);
    return this.#enabled.run(false, body);
  }

  rule(rule, options, body) {
    return this.rules.during(rule, options, body);
  }

  toxic(toxic, options, body) {
    return this.toxics.during(toxic, options, body);
  }

  async reset() {
    await this.#api.call('POST', `${this.#path}/reset`);
  }

  settings() {
    return this.#api.call('GET', this.#path);
  }

  calls() {
    return this.#api.call('GET', `${this.#path}/calls`);
  }

  async connections() {
    return (await this.#api.call('GET', `${this.#path}/connections`)).connections;
  }

  async events(options = {}) {
    check(options, ['since']);
    const { since = 0 } = options;
    const stream = await this.#api.call('GET', `/v1/events?since=${since}&follow=false`);
    const events = Array.from(stream.matchAll(/^data: (.*)/gm), ([, data]) => JSON.parse(data));
    return events.filter(({ proxy }) => proxy === undefined || proxy === this.name);
  }

  async faults(name = 'faults') {
    const counts = await this.#counts();
    const total = name.endsWith('.faults')
      ? (key) => key.startsWith(name.slice(0, -'faults'.length))
      : () => name === 'faults';
    const counted = Object.keys(counts).filter((key) => key === name || key.endsWith(`.${name}`) || total(key));
    if (counted.length === 0 && name !== 'faults') {
      throw new VaurienError(`no fault is called \`${name}\`, there are: ${Object.keys(counts).join(', ') || 'none'}`);
    }
    return counted.reduce((sum, key) => sum + counts[key], 0);
  }

  async assertFaults(name, bounds = {}) {
    check(bounds, ['exactly', 'atLeast', 'atMost']);
    let { exactly, atLeast, atMost } = bounds;
    if (exactly === undefined && atLeast === undefined && atMost === undefined) atLeast = 1;
    const count = await this.faults(name);
    const wanted = [
      ['exactly', exactly, count === exactly],
      ['at least', atLeast, count >= atLeast],
      ['at most', atMost, count <= atMost],
    ].filter(([, number, met]) => number !== undefined && !met);
    if (wanted.length === 0) return count;
    const expected = wanted.map(([words, number]) => `${words} ${number}`).join(', ');
    throw new AssertionError({
      message: `faults of \`${name}\`: expected ${expected}, there were ${count}\n${await this.explain()}`,
      actual: count,
      expected: wanted[0][1],
      operator: 'assertFaults',
    });
  }

  async label(text) {
    const label = text === null ? null : asLabel(text);
    const since = text === null ? START : await this.#now(label);
    await this.#api.call('PUT', '/v1/label', { label });
    this.#since = since;
  }

  async labelled(text, body) {
    checkBlock('labelled(text, body)', body);
    const explained = async () => {
      try {
        return await body();
      } catch (error) {
        console.error(await this.explain().catch(String));
        throw error;
      }
    };
    return between(
      () => this.label(text),
      explained,
      () => this.label(null),
    );
  }

  async explain() {
    const { label, id } = this.#since;
    const events = (await this.events({ since: id })).filter(({ event }) => event !== 'plan');
    const faults = events.filter(({ event }) => event === 'fault').length;
    const test = label === undefined ? '' : `${label}: `;
    const seed = this.seed === undefined ? '' : `, seed ${this.seed}`;
    const lines = [`vaurien: ${test}${faults} fault${faults === 1 ? '' : 's'} at ${this.address}${seed}`];
    for (const event of events.slice(0, MOST_EVENTS)) lines.push(`  ${describe(event)}`);
    if (events.length > MOST_EVENTS) lines.push(`  and ${events.length - MOST_EVENTS} more`);
    if (this.#repeat) lines.push(`  to repeat it, ${this.#repeat}`);
    return lines.join('\n');
  }

  request(method, path, body) {
    return this.#api.call(method, path, body);
  }

  [Symbol.asyncDispose ?? 'asyncDispose']() {
    return this.stop();
  }

  /** Where what is counted and told from now on begins. */
  async #now(label) {
    const [{ status }, events] = await Promise.all([this.settings(), this.events({ since: this.#since.id })]);
    return { label, id: events.at(-1)?.id ?? this.#since.id, faults: status.faults };
  }

  /**
   * The faults since the label of each handler, as `rule.handler` or `handler`, and of each toxic. Those of toxics outlive them in
   * events alone.
   */
  async #counts() {
    const { id: since, faults } = this.#since;
    const [{ status }, toxics, events] = await Promise.all([this.settings(), this.toxics.list(), this.events()]);
    const counts = {};
    for (const [name, count] of Object.entries(status.faults)) {
      if (!/^(.*\.)?dummy$/.test(name)) counts[name] = count - (faults[name] ?? 0);
    }
    for (const { name } of toxics) counts[name] ??= 0;
    for (const { id, toxic } of events) {
      if (toxic !== undefined) counts[toxic] = (counts[toxic] ?? 0) + (id > since);
    }
    return counts;
  }

  async #read(key) {
    return (await this.settings())[key];
  }

  async #set(keys) {
    await this.#api.call('PATCH', this.#path, keys);
  }
}

/** A proxy of a vaurien that runs already. */
async function connect(url, options = {}) {
  check(options, ['proxy', 'token', 'seed']);
  const { VAURIEN_HTTP, VAURIEN_HTTP_TOKEN, VAURIEN_SEED } = process.env;
  let { proxy: name = 'default', token = VAURIEN_HTTP_TOKEN, seed } = options;
  let repeat;
  if (url === undefined) {
    const sets = 'which `vaurien --http … -- COMMAND` sets';
    if (!VAURIEN_HTTP) throw new VaurienError(`connect() needs a URL: there is no VAURIEN_HTTP, ${sets}`);
    if (!/:\d+$/.test(VAURIEN_HTTP)) {
      throw new VaurienError(
        `connect() needs a URL: VAURIEN_HTTP is \`${VAURIEN_HTTP}\`, no address such as 127.0.0.1:8080, ${sets}`,
      );
    }
    url = VAURIEN_HTTP;
    if (VAURIEN_SEED && seed === undefined) {
      seed = Number(VAURIEN_SEED);
      repeat = `run the whole command of vaurien with VAURIEN_SEED=${seed}`;
    }
  }
  const proxy = new Proxy({ url: url.includes('://') ? url : `http://${url}`, token, name, seed, repeat });
  const settings = await proxy.settings();
  // While it is disabled, it listens nowhere.
  proxy.address = settings.status.addresses[0] ?? settings.proxy;
  return proxy;
}

module.exports = { Proxy, connect };
