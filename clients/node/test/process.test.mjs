// Programs come and go with their tests.
import assert from 'node:assert/strict';
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { Proxy, programPath } from 'vaurien';
import { get, pages, redis, start, startHttp } from './world.mjs';

const run = promisify(execFile);
const LIFE = fileURLToPath(new URL('life.mjs', import.meta.url));

/** Starts life.mjs, and waits for its proxy. */
async function live(t, way, options) {
  const child = spawn(process.execPath, [LIFE], {
    env: { ...process.env, WAY: way },
    stdio: ['pipe', 'pipe', 'pipe'],
    ...options,
  });
  child.stderr.resume();
  const closed = once(child, 'close');
  const [line] = await once(createInterface({ input: child.stdout }), 'line');
  const { pid, address } = JSON.parse(line);
  // What is left if the test fails.
  t.after(() => {
    for (const left of [child.pid, pid]) {
      try {
        process.kill(left, 'SIGKILL');
      } catch {}
    }
  });
  return { child, pid, address, closed };
}

/** Waits until the program and its command have ended as well: they are the last to hold standard error. */
async function gone({ address, closed }) {
  const [code, signal] = await closed;
  assert.equal(await get({ address }, '/'), 'ECONNREFUSED');
  return signal ?? code;
}

for (const [way, code] of [
  ['end', 0],
  ['exit', 0],
  ['exception', 1],
  ['rejection', 1],
]) {
  test(`the program ends with its test: ${way}`, { timeout: 20_000 }, async (t) => {
    assert.equal(await gone(await live(t, way)), code);
  });
}

for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL']) {
  test(`the program ends with its test: ${signal}`, { timeout: 20_000 }, async (t) => {
    const life = await live(t, 'hang');
    life.child.kill(signal);
    assert.equal(await gone(life), signal);
  });
}

test('the program ends with its worker', { timeout: 20_000 }, async (t) => {
  const script = `
    import { Worker } from 'node:worker_threads';
    const worker = new Worker(new URL(${JSON.stringify(`file://${LIFE}`)}), { env: { ...process.env, WAY: 'hang' }, execArgv: [] });
    process.stdin.once('end', () => worker.terminate()).resume();`;
  const child = spawn(process.execPath, ['--input-type=module', '--eval', script], { stdio: ['pipe', 'pipe', 'pipe'] });
  child.stderr.resume();
  const closed = once(child, 'close');
  const [line] = await once(createInterface({ input: child.stdout }), 'line');
  child.stdin.end();
  await gone({ ...JSON.parse(line), closed });
});

test('Ctrl-C leaves the proxy to the test', { timeout: 20_000 }, async (t) => {
  const life = await live(t, 'hang', { detached: true });
  // It leads a group of its own, and so is not in that of its test.
  process.kill(-life.pid, 0);
  process.kill(-life.child.pid, 'SIGINT');
  await gone(life);
});

test('stop ends the program, once', async (t) => {
  const proxy = await Proxy.start({ backend: await pages(t), protocol: 'http' });
  assert.equal(await get(proxy, '/'), 200);
  await Promise.all([proxy.stop(), proxy.stop()]);
  await proxy.stop();
  assert.throws(() => process.kill(proxy.pid, 0), { code: 'ESRCH' });
  for (const call of [() => proxy.assertFaults('error'), () => proxy.explain(), () => proxy.settings()]) {
    await assert.rejects(call, {
      name: 'VaurienError',
      message: `the proxy at ${proxy.address} was stopped, and counts and events are gone with it`,
    });
  }
  assert.match(proxy.log, /ready: 127\.0\.0\.1/);
});

test('a proxy is disposed of', { skip: !Symbol.asyncDispose && 'this Node has no Symbol.asyncDispose' }, async (t) => {
  const proxy = await Proxy.start({ backend: await pages(t) });
  await proxy[Symbol.asyncDispose]();
  assert.throws(() => process.kill(proxy.pid, 0), { code: 'ESRCH' });
});

test('stop fails if no call met the faults of the start', async () => {
  const proxy = await Proxy.start({ backend: redis, protocol: 'redis', handler: 'error' });
  const message = /^expected calls>=1: NOT met, 0; handler error met no call: no connections, .*`allowNoCalls: true`$/;
  await assert.rejects(proxy.stop(), { name: 'VaurienError', message });
  const loud = await Proxy.start({ backend: redis, protocol: 'redis', handler: 'error', log: true });
  await assert.rejects(loud.stop(), {
    name: 'VaurienError',
    message: 'vaurien has failed, its log is on standard error',
  });
});

test('stop warns of a rule that matched nothing', async (t) => {
  const proxy = await startHttp(t, { rules: ['GET /pya name=pay => error'] });
  await get(proxy, '/pay');
  const warned = once(process, 'warning');
  await proxy.stop();
  const [warning] = await warned;
  assert.deepEqual(
    [warning.name, warning.message],
    ['VaurienWarning', 'rule `pay` matched no call: GET /pya name=pay => error'],
  );
});

test('stop tells that the program had ended before', async (t) => {
  const proxy = await Proxy.start({ backend: await pages(t) });
  process.kill(proxy.pid, 'SIGKILL');
  await assert.rejects(proxy.stop(), { name: 'VaurienError', message: /^vaurien was ended by SIGKILL: / });
});

test('timers and requests that a test replaces do not reach the client', async (t) => {
  for (const name of ['setTimeout', 'setInterval', 'setImmediate', 'fetch']) t.mock.method(globalThis, name, () => {});
  const proxy = await start(t, { backend: redis, protocol: 'redis' });
  await proxy.fault('delay', () => proxy.settings());
});

test('a program that cannot run', async (t) => {
  t.after(() => delete process.env.VAURIEN);
  process.env.VAURIEN = '/nonesuch/vaurien';
  assert.equal(programPath(), '/nonesuch/vaurien');
  await assert.rejects(Proxy.start({ backend: redis }), {
    name: 'VaurienError',
    message: /^cannot run \/nonesuch\/vaurien: .*ENOENT/,
  });
});

test('a program that is no vaurien', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'vaurien-'));
  t.after(() => {
    delete process.env.VAURIEN;
    rmSync(folder, { recursive: true });
  });
  for (const [script, message] of [
    ['exit 0', 'ended with exit code 0 and printed nothing, it is probably no vaurien'],
    ['echo one; exec sleep 60', 'is probably no vaurien, it printed: one'],
    ['echo wrong >&2; echo usage >&2; exit 64', 'printed: wrong; usage'],
  ]) {
    process.env.VAURIEN = join(folder, 'program');
    writeFileSync(process.env.VAURIEN, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    await assert.rejects(Proxy.start({ backend: redis }), {
      name: 'VaurienError',
      message: `${process.env.VAURIEN} ${message}`,
    });
  }
});

test('a package that is missing is named', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'vaurien-'));
  t.after(() => rmSync(folder, { recursive: true }));
  // The client without the packages beside it.
  cpSync(dirname(dirname(fileURLToPath(import.meta.resolve('vaurien')))), join(folder, 'vaurien'), { recursive: true });
  const platform = (name, value) => `Object.defineProperty(process, '${name}', { value: '${value}' });`;
  const message = async (...setup) => {
    const script = `${setup.join('')} try { require('./vaurien').programPath() } catch (error) { console.log(error.name + ': ' + error.message) }`;
    return (await run(process.execPath, ['--eval', script], { cwd: folder })).stdout;
  };
  assert.match(
    await message(platform('platform', 'linux'), platform('arch', 'arm64')),
    /^VaurienError: the package @vaurien\/linux-arm64 with .* is missing: .* `npm install @vaurien\/linux-arm64@0\.1\.0`.* VAURIEN\n$/,
  );
  assert.match(
    await message(platform('platform', 'win32'), platform('arch', 'x64')),
    /^VaurienError: no package has vaurien's program for win32-x64 \(there are @vaurien\/darwin-arm64, .*\): name one in VAURIEN\n$/,
  );
});

test('npx vaurien runs the program', { timeout: 20_000 }, async (t) => {
  const bin = fileURLToPath(new URL('../node_modules/.bin/vaurien', import.meta.url));
  assert.match((await run(bin, ['--version'])).stdout, /^vaurien \d/);
  // The variable that names the program is none of the program's own.
  const named = { env: { ...process.env, VAURIEN: programPath() } };
  const { stderr } = await run(bin, ['--backend', redis, '--', 'true'], named);
  assert.doesNotMatch(stderr, /is no variable/);
  await assert.rejects(run(bin, ['--backend', redis, '--', 'sh', '-c', 'exit 7']), { code: 7 });
  await assert.rejects(run(bin, ['--backend', 'localhost']), { code: 2, stderr: /has no port/ });
  await assert.rejects(run(bin, [], { env: { ...process.env, VAURIEN: '/nonesuch' } }), {
    code: 125,
    stderr: /cannot run|ENOENT/,
  });

  // A signal reaches the program, which ends as after a signal of its own.
  const daemon = spawn(bin, ['--backend', redis, '--proxy', '127.0.0.1:0'], { stdio: ['ignore', 'inherit', 'pipe'] });
  t.after(() => daemon.kill('SIGKILL'));
  const closed = once(daemon, 'close');
  for await (const line of createInterface({ input: daemon.stderr })) {
    if (line.includes('ready: ')) daemon.kill('SIGTERM');
  }
  assert.deepEqual(await closed, [0, null]);
});
