// A browser, Redis, and vaurien in front of it, on free ports. Each process is ended by its id.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import net from 'node:net';
import { promisify } from 'node:util';

const { chromium } = await import(process.env.PLAYWRIGHT);
const run = promisify(execFile);

// How long anything may take, in milliseconds.
const PATIENCE = 60_000;

// Variables of vaurien that are set around the tests do not reach it.
const ENVIRONMENT = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('VAURIEN')));

const QUIET = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync',
];

export const browser = await chromium.launch({ executablePath: process.env.CHROMIUM, args: QUIET });

// Waits until `holds` returns something, and returns that.
export async function eventually(what, holds) {
  const end = Date.now() + PATIENCE;
  for (;;) {
    const found = await holds();
    if (found) return found;
    assert.ok(Date.now() < end, `not within ${PATIENCE} ms: ${what}`);
    await new Promise((resolve) => { setTimeout(resolve, 20); });
  }
}

const processes = [];

// Ends what is left of tests that failed.
export async function endAll() {
  await Promise.all(processes.map((process) => process.end()));
}

class Process {
  constructor(command, args) {
    processes.push(this);
    this.child = spawn(command, args, { env: ENVIRONMENT, stdio: ['ignore', 'pipe', 'pipe'] });
    this.said = '';
    for (const stream of [this.child.stdout, this.child.stderr]) stream.on('data', (text) => { this.said += text; });
  }

  // The first group of `pattern` in what the process says.
  async says(pattern) {
    const found = await eventually(`${pattern}`, () => {
      assert.equal(this.child.exitCode, null, this.said);
      return this.said.match(pattern);
    });
    return found[1];
  }

  async end() {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    this.child.kill('SIGTERM');
    await once(this.child, 'exit');
  }
}

async function freePort() {
  const server = net.createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

export async function startRedis() {
  const port = await freePort();
  const redis = new Process('redis-server', ['--port', String(port), '--bind', '127.0.0.1', '--save', '']);
  await redis.says(/(Ready to accept connections)/);
  return Object.assign(redis, { port });
}

// vaurien in front of `backend`, its API on a free port.
export async function startVaurien(backend, ...more) {
  const args = ['--proxy', '127.0.0.1:0', '--backend', `127.0.0.1:${backend}`, '--protocol', 'redis', '--seed', '42'];
  const api = ['--http', '--http-host', '127.0.0.1', '--http-port', '0'];
  const vaurien = new Process(process.env.VAURIEN, [...args, ...api, ...more]);
  vaurien.url = `${await vaurien.says(/HTTP API on (http:\/\/\S+)/)}/`;
  vaurien.port = Number(await vaurien.says(/ready: 127\.0\.0\.1:(\d+) /));
  return vaurien;
}

export async function startDemo() {
  const demo = new Process(process.env.VAURIEN, ['--demo', '--proxy', '127.0.0.1:0']);
  demo.url = await demo.says(/open (http:\/\/\S+)/);
  return demo;
}

// What redis-cli prints, an error of Redis or of the connection as well.
export async function redis(port, ...words) {
  const { stdout, stderr } = await run('redis-cli', ['-p', String(port), ...words]).catch((error) => error);
  return (stdout + stderr).trim();
}

// What a shell prints for this line, in which `vaurien` is the program under test.
export async function shell(line) {
  return (await run('bash', ['-c', `vaurien() { "$0" "$@"; }; ${line}`, process.env.VAURIEN], { env: ENVIRONMENT })).stdout;
}

// A connection to this port, once it has got a reply. `ended` is how it ended: `closed` or the code of an error.
export async function connect(port) {
  const socket = net.connect(port, '127.0.0.1');
  socket.ended = new Promise((resolve) => {
    socket.on('error', ({ code }) => resolve(code));
    socket.on('end', () => resolve('closed'));
  });
  // What it reads is of no interest.
  socket.on('data', () => {});
  socket.write('PING\r\n');
  await once(socket, 'data');
  return socket;
}

// A page in a browser of its own. `wrong` collects what went wrong in it; refused requests do not count if their status is expected.
export async function open(url, { refused = [], ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1200, height: 900 }, ...options });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.wrong = [];
  page.on('pageerror', (error) => page.wrong.push(error.stack));
  page.on('console', (message) => {
    const status = message.text().match(/responded with a status of (\d+)/)?.[1];
    if (!refused.includes(Number(status))) page.wrong.push(message.text());
  });
  page.on('dialog', (dialog) => {
    page.wrong.push(`dialog: ${dialog.message()}`);
    dialog.dismiss();
  });
  await page.exposeFunction('violated', (what) => page.wrong.push(what));
  await page.addInitScript(() => {
    addEventListener('securitypolicyviolation', (event) => window.violated(`${event.violatedDirective}: ${event.blockedURI}`));
  });
  await page.goto(url);
  return page;
}

// Waits until the text of this element matches.
export async function shows(page, selector, pattern) {
  let text;
  await eventually(`${selector} shows ${pattern}`, async () => {
    text = await page.locator(selector).innerText();
    return pattern.test(text);
  });
  return text;
}

export async function close(page) {
  assert.deepEqual(page.wrong, []);
  await page.context().close();
}
