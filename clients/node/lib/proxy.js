'use strict';
const { AssertionError } = require('node:assert');
const { TextEncoder } = require('node:util');
const { Api } = require('./api.js');
const { VaurienError } = require('./error.js');
const { Program } = require('./program.js');

/** The flags of these settings. */
function flags({ backend, protocol, handler, rules = [], toxics = [], profile, seed, allowNoCalls, args = [] }) {
  const one = (name, value) => (value === undefined ? [] : [`--${name}=${value}`]);
  return [
    '--http',
    '--http-host=127.0.0.1',
    ...one('backend', backend),
    ...one('protocol', protocol),
    ...one('handler', handler),
    ...rules.flatMap((rule) => one('rule', rule)),
    ...toxics.flatMap((toxic) => one('toxic', toxic)),
    ...one('profile', profile),
    ...one('seed', seed),
    ...one('allow-no-calls', allowNoCalls || undefined),
    ...args,
  ];
}

/** The most events that `explain` lists. */
const MOST_EVENTS = 20;

/** An event for a person: `connection 1, call 3, GET /pay: pay.error, answer`. */
function describe({ event, connection, call, head, rule, handler, verdict, toxic, type, stream, error, why }) {
  if (event === 'dial_failure') return `connection ${connection}: cannot reach the backend, ${error}`;
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

  constructor(api, path, key) {
    this.#api = api;
    this.#path = path;
    this.#key = key;
  }

  async list() {
    return (await this.#api.call('GET', this.#path))[this.#key];
  }

  get(name) {
    return this.#api.call('GET', this.#one(name));
  }

  add(what, options = {}) {
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
  during(what, options, body) {
    if (typeof options === 'function') return this.during(what, {}, options);
    return between(
      () => this.add(what, options),
      body,
      ({ name }) =>
        this.remove(name).catch((error) => {
          if (error.status !== 404) throw error;
        }),
    );
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

class Proxy {
  #api;
  #path;
  #program;
  /** The latest event before the label was set, and before all that `explain` tells. */
  #since = 0;
  #handler = new Blocks(
    () => this.#read('handler'),
    (handler) => this.#set({ handler }),
  );
  #enabled = new Blocks(
    () => this.#read('enabled'),
    (enabled) => this.#set({ enabled }),
  );

  static async start(options) {
    const program = await Program.start(flags(options), options.log ? 'inherit' : 'pipe');
    const { address, http, seed } = program;
    return new Proxy({ program, address, seed: Number(seed), url: `http://${http}` });
  }

  /** @private */
  constructor({ url, token, address, seed, program, name = 'default' }) {
    const api = new Api(url, token);
    this.#api = api;
    this.#path = `/v1/proxies/${encodeURIComponent(name)}`;
    this.#program = program;
    this.name = name;
    this.url = url;
    this.address = address;
    this.seed = seed;
    this.rules = new List(api, `${this.#path}/rules`, 'rules');
    this.toxics = new List(api, `${this.#path}/toxics`, 'toxics');
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
    await this.#program?.stop();
  }

  fault(mix, body) {
    return this.#handler.run(mix, body);
  }

  down(body) {
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

  async events({ since = 0 } = {}) {
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

  async assertFaults(name, { exactly, atLeast, atMost } = {}) {
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
    this.#since = (await this.events({ since: this.#since })).at(-1)?.id ?? this.#since;
    await this.#api.call('PUT', '/v1/label', { label: text === null ? null : asLabel(text) });
  }

  labelled(text, body) {
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
    const events = (await this.events({ since: this.#since })).filter(({ event }) => event !== 'plan');
    const faults = events.filter(({ event }) => event === 'fault').length;
    const again = this.seed === undefined ? '' : `, seed ${this.seed}: repeat it with VAURIEN_SEED=${this.seed}`;
    const lines = [`vaurien: ${faults} fault${faults === 1 ? '' : 's'}${again}`];
    for (const event of events.slice(0, MOST_EVENTS)) lines.push(`  ${describe(event)}`);
    if (events.length > MOST_EVENTS) lines.push(`  and ${events.length - MOST_EVENTS} more`);
    return lines.join('\n');
  }

  request(method, path, body) {
    return this.#api.call(method, path, body);
  }

  [Symbol.asyncDispose ?? 'asyncDispose']() {
    return this.stop();
  }

  /** The faults of each handler, as `rule.handler` or `handler`, and of each toxic. Those of toxics outlive them in events alone. */
  async #counts() {
    const [{ status }, toxics, events] = await Promise.all([this.settings(), this.toxics.list(), this.events()]);
    const counts = Object.fromEntries(Object.entries(status.faults).filter(([name]) => !/^(.*\.)?dummy$/.test(name)));
    for (const { name } of toxics) counts[name] ??= 0;
    for (const { toxic } of events) if (toxic !== undefined) counts[toxic] = (counts[toxic] ?? 0) + 1;
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
async function connect(url, { proxy: name = 'default', token, seed } = {}) {
  if (url === undefined) {
    const { VAURIEN_HTTP, VAURIEN_SEED } = process.env;
    if (!VAURIEN_HTTP) {
      throw new VaurienError(
        'connect() needs a URL: there is no VAURIEN_HTTP, which `vaurien --http … -- COMMAND` sets',
      );
    }
    url = `http://${VAURIEN_HTTP}`;
    if (VAURIEN_SEED) seed ??= Number(VAURIEN_SEED);
  }
  const proxy = new Proxy({ url: url.includes('://') ? url : `http://${url}`, token, name, seed });
  const settings = await proxy.settings();
  // While it is disabled, it listens nowhere.
  proxy.address = settings.status.addresses[0] ?? settings.proxy;
  return proxy;
}

module.exports = { Proxy, connect };
