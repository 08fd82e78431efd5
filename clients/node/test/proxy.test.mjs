// What a proxy does for its tests, in front of a real Redis and a small HTTP server.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { promisify } from 'node:util';
import { Proxy, VaurienError, connect, programPath } from 'vaurien';
import { client, get, pages, redis, start, startHttp, statuses } from './world.mjs';

const run = promisify(execFile);

test('a proxy passes on what nothing disturbs', async (t) => {
  const proxy = await start(t, { backend: redis, protocol: 'redis' });
  const direct = client(t, { host: redis.split(':')[0], port: Number(redis.split(':')[1]) });
  await client(t, proxy).set('passed', 'on');
  assert.equal(await direct.get('passed'), 'on');
  assert.equal(proxy.address, `${proxy.host}:${proxy.port}`);
  assert.equal(await proxy.faults(), 0);
});

test('the settings of the start', async (t) => {
  const proxy = await startHttp(t, {
    handler: 'error(status=500)',
    rules: ['GET /pay* times=2 name=pay => error(status=503)', 'GET /ok => dummy'],
    toxics: ['slow=latency(latency=1ms)'],
    profile: 'wifi',
    seed: 42,
    args: ['--connect-timeout=3s'],
  });
  assert.deepEqual(await statuses(proxy, '/pay', 3), [503, 503, 500]);
  assert.equal(await get(proxy, '/ok'), 200);
  const { toxics, profile, connect_timeout } = await proxy.settings();
  assert.deepEqual(
    { toxics, profile, connect_timeout },
    { toxics: ['slow=latency(latency=1ms)'], profile: 'wifi', connect_timeout: 3 },
  );
  assert.equal(proxy.seed, 42);
});

test('the same seed has the same faults', async (t) => {
  const drawn = async (settings) =>
    statuses(await startHttp(t, { handler: '50:error(status=503)', ...settings }), '/', 20);
  const first = await startHttp(t, { handler: '50:error(status=503)' });
  const seen = await statuses(first, '/', 20);
  assert.deepEqual(new Set(seen), new Set([200, 503]));
  assert.deepEqual(await drawn({ seed: first.seed }), seen);
  process.env.VAURIEN_SEED = first.seed;
  process.env.VAURIEN_HANDLER = 'error(status=501)';
  t.after(() => ['VAURIEN_SEED', 'VAURIEN_HANDLER'].forEach((name) => delete process.env[name]));
  assert.deepEqual(await drawn(), seen);
});

test('the proxies of a process have one seed', async (t) => {
  const started = await Promise.all([startHttp(t), startHttp(t)]);
  const drawn = [];
  for (const proxy of started) drawn.push(await proxy.fault('50:error(status=503)', () => statuses(proxy, '/', 20)));
  assert.equal(started[0].seed, started[1].seed);
  assert.deepEqual(drawn[0], drawn[1]);
  const file = 'the whole file \\S*proxy\\.test\\.mjs';
  const repeat = (text) => new RegExp(`^  to repeat it, run ${file}${text}$`, 'm');
  assert.match(await started[1].explain(), repeat(` with VAURIEN_SEED=${started[0].seed}`));
  // A variable would not change this one.
  for (const pinned of [{ seed: 42 }, { args: ['--seed=42'] }]) {
    const told = await (await startHttp(t, pinned)).explain();
    assert.match(told, /, seed 42$/m);
    assert.match(told, repeat(', the seed is in the code'));
  }
});

test('a setting that there is not is refused', async (t) => {
  const refused = (call, message) => assert.rejects(call, { name: 'VaurienError', message });
  const backend = await pages(t);
  const meant = (given, name) => `unknown setting \`${given}\`, did you mean \`${name}\`?`;
  for (const [given, name] of [
    ['rule', 'rules'],
    ['handlers', 'handler'],
    ['Seed', 'seed'],
    ['protocl', 'protocol'],
    ['bakcend', 'backend'],
    ['allow_no_calls', 'allowNoCalls'],
  ]) {
    await refused(Proxy.start({ backend, [given]: 1 }), meant(given, name));
  }
  await refused(Proxy.start({ rule: [], Seed: 1 }), `${meant('rule', 'rules')}; ${meant('Seed', 'seed')}`);
  await refused(Proxy.start({ backend, verbose: true }), /^unknown setting `verbose` \(known: backend, .*, log\)$/);
  await refused(Proxy.start(backend), `\`${backend}\` is no object with settings: write { backend: … }`);

  const proxy = await startHttp(t);
  await refused(proxy.assertFaults('faults', { atmost: 1 }), meant('atmost', 'atMost'));
  await refused(proxy.assertFaults('faults', 1), '`1` is no object with settings: write { exactly: … }');
  await refused(proxy.events({ sinc: 1 }), meant('sinc', 'since'));
  await refused(proxy.rules.add('GET => error', { nmae: 'one' }), meant('nmae', 'name'));
  await refused(
    proxy.rule('GET => error', { befor: 'first' }, () => {}),
    meant('befor', 'before'),
  );
  await refused(
    proxy.toxic('timeout(timeout=0)', { toxicty: 1 }, () => {}),
    meant('toxicty', 'toxicity'),
  );
  await refused(connect(proxy.url, { tokn: 'secret' }), meant('tokn', 'token'));
  assert.deepEqual(await proxy.rules.list(), []);
});

test('one rule, toxic or option is a text', async (t) => {
  const proxy = await startHttp(t, {
    rules: 'GET => error(status=503)',
    toxics: 'latency(latency=1ms)',
    args: '--connect-timeout=3s',
  });
  assert.equal(await get(proxy, '/'), 503);
  const { toxics, connect_timeout } = await proxy.settings();
  assert.deepEqual([toxics, connect_timeout], [['latency(latency=1ms)'], 3]);
});

test('a block that is missing is told', async (t) => {
  const proxy = await startHttp(t);
  for (const [call, message] of [
    [() => proxy.fault('error'), /^fault\(mix, body\) needs a function as its last argument/],
    [() => proxy.down(), /^down\(body\) needs a function/],
    [() => proxy.rule('GET => miss'), /^rule\(rule, body\) needs a function.*: without one, it is rules\.add\(rule\)$/],
    [() => proxy.toxic('timeout(timeout=0)', {}), /^toxic\(toxic, body\) needs .* it is toxics\.add\(toxic\)$/],
    [() => proxy.labelled('a test'), /^labelled\(text, body\) needs a function/],
  ]) {
    await assert.rejects(call, { name: 'VaurienError', message });
  }
  const { handler, enabled, rules, toxics } = await proxy.settings();
  assert.deepEqual({ handler, enabled, rules, toxics }, { handler: 'dummy', enabled: true, rules: [], toxics: [] });
});

test('a fault for a block, and then the handler of before', async (t) => {
  const proxy = await startHttp(t, { handler: 'error(status=500)' });
  const result = await proxy.fault('error(status=503)', async () => [await get(proxy, '/'), 'the result']);
  assert.deepEqual(result, [503, 'the result']);
  assert.equal(await get(proxy, '/'), 500);
  const failure = new Error('of the test');
  await assert.rejects(
    proxy.fault('dummy', () => Promise.reject(failure)),
    failure,
  );
  assert.equal(await get(proxy, '/'), 500);
  await assert.rejects(
    proxy.fault('dummy', () => {
      throw failure;
    }),
    failure,
  );
  assert.equal(await get(proxy, '/'), 500);
});

/** A block of this fault that has begun. It ends when the function is called that this returns. */
function begun(proxy, mix) {
  return new Promise((begun) => {
    const block = proxy.fault(mix, () => new Promise((end) => begun(() => (end(), block))));
  });
}

test('blocks that overlap end in any order', async (t) => {
  const proxy = await startHttp(t);
  const endFirst = await begun(proxy, 'error(status=501)');
  const endSecond = await begun(proxy, 'error(status=502)');
  const endThird = await begun(proxy, 'error(status=503)');
  assert.equal(await get(proxy, '/'), 503);
  await endFirst();
  assert.equal(await get(proxy, '/'), 503);
  await endThird();
  assert.equal(await get(proxy, '/'), 502);
  await endSecond();
  assert.equal(await get(proxy, '/'), 200);
});

test('the end of an earlier block releases no call of a later one', { timeout: 20_000 }, async (t) => {
  const proxy = await startHttp(t);
  const endFirst = await begun(proxy, 'dummy');
  const endSecond = await begun(proxy, 'hang');
  const status = get(proxy, '/');
  while ((await proxy.faults('hang')) === 0);
  await endFirst();
  const [{ handler }] = await proxy.connections();
  assert.equal(handler, 'hang');
  await endSecond();
  assert.equal(await status, 'ECONNRESET');
});

test('a fault in front of Redis keeps the connection', async (t) => {
  const proxy = await start(t, { backend: redis, protocol: 'redis' });
  const one = client(t, proxy);
  await one.set('key', 'value');
  await proxy.fault('error(kind=readonly)', () => assert.rejects(one.set('key', 'other'), { message: /^READONLY / }));
  assert.equal(await one.get('key'), 'value');
  assert.equal((await proxy.connections()).length, 1);
});

test('down refuses connections for a block', async (t) => {
  const proxy = await startHttp(t);
  assert.equal(await proxy.down(() => get(proxy, '/')), 'ECONNREFUSED');
  assert.equal(await get(proxy, '/'), 200);
});

test('a rule for a block', async (t) => {
  const proxy = await startHttp(t);
  await proxy.rule('GET /pay => error(status=503)', async ({ name }) => {
    assert.equal(name, 'block-1');
    assert.equal(await get(proxy, '/pay'), 503);
    assert.equal(await get(proxy, '/'), 200);
  });
  assert.equal(await get(proxy, '/pay'), 200);
  assert.deepEqual(await proxy.rules.list(), []);
  const table = { match: { path: '/table' }, handler: 'error(status=502)' };
  assert.equal(await proxy.rule(table, { name: 'table' }, () => get(proxy, '/table')), 502);
  await assert.rejects(
    proxy.rule('GET => dummy', async ({ name }) => {
      await proxy.rules.remove(name);
      throw new Error('of the test');
    }),
    { message: 'of the test' },
  );
  await proxy.rule('GET => dummy', ({ name }) => proxy.rules.remove(name));
});

test('rules for blocks have names that tell them apart', async (t) => {
  const proxy = await startHttp(t);
  const name = (...rule) => proxy.rule(...rule, ({ name }) => name);
  const table = { match: { path: '/pay' }, handler: 'error' };
  assert.deepEqual([await name('GET => error'), await name('GET => error'), await name(table)], ['block-1', 'block-2', 'block-3']);
  assert.equal(await name('GET /a name=text => error'), 'text');
  assert.equal(await name({ ...table, name: 'table' }), 'table');
  assert.equal(await name('GET => error', { name: 'option' }), 'option');
});

test('rules are added, changed and removed', async (t) => {
  const proxy = await startHttp(t);
  await proxy.rules.add('GET => dummy');
  const added = await proxy.rules.add('GET /pay => error(status=503)', { name: 'pay', before: 'first', for: '1m' });
  assert.equal(added.name, 'pay');
  assert.deepEqual(
    (await proxy.rules.list()).map(({ name }) => name),
    ['pay', 'rule-1'],
  );
  await proxy.rules.change('pay', { times: 1, handler: 'error(status=502)' });
  assert.deepEqual(await statuses(proxy, '/pay', 2), [502, 200]);
  const { status } = await proxy.rules.get('pay');
  assert.deepEqual({ faults: status.faults, times_left: status.times_left }, { faults: 1, times_left: 0 });
  await proxy.rules.remove('pay');
  assert.deepEqual(
    (await proxy.rules.list()).map(({ name }) => name),
    ['rule-1'],
  );
  assert.equal(await proxy.faults('pay.error'), 1);
});

test('toxics act on open connections', async (t) => {
  const proxy = await start(t, { backend: redis, protocol: 'redis' });
  const one = client(t, proxy);
  await one.ping();
  await proxy.toxic('slow=latency(latency=300ms)', async ({ name }) => {
    assert.equal(name, 'slow');
    const begun = performance.now();
    await one.ping();
    assert.ok(performance.now() - begun >= 295);
    await proxy.toxics.change('slow', { attributes: { latency: '1ms' } });
    assert.equal((await proxy.toxics.get('slow')).attributes.latency, '1ms');
  });
  assert.deepEqual(await proxy.toxics.list(), []);
  assert.equal(await proxy.faults('slow'), 1);
  await proxy.toxics.add({ type: 'latency', stream: 'upstream', attributes: { latency: '1ms' } }, { toxicity: 0.5 });
  assert.equal((await proxy.toxics.list())[0].toxic, 'upstream:latency(latency=1ms,toxicity=0.5)');
});

test('reset takes back what the test has added', async (t) => {
  const proxy = await startHttp(t, { rules: ['GET /kept => error(status=501)'] });
  await proxy.rules.add('GET => error(status=503)');
  await proxy.toxics.add('timeout(timeout=0)');
  await proxy.reset();
  assert.deepEqual([await get(proxy, '/'), await get(proxy, '/kept')], [200, 501]);
});

test('what there was: calls, connections, events', async (t) => {
  const proxy = await startHttp(t);
  await statuses(proxy, '/users/1', 2);
  await proxy.fault('delay(sleep=1ms)', () => get(proxy, '/late'));
  const { calls, other } = await proxy.calls();
  assert.deepEqual(
    calls.map(({ shape, calls }) => [shape, calls]),
    [
      ['GET /users/*', 2],
      ['GET /late', 1],
    ],
  );
  assert.equal(other, 0);
  const events = await proxy.events();
  const fault = events.find(({ event }) => event === 'fault');
  assert.deepEqual(
    [fault.connection, fault.call, fault.handler, fault.head],
    [3, 1, 'delay', { method: 'GET', path: '/late' }],
  );
  assert.deepEqual(await proxy.events({ since: events.at(-1).id }), []);
  assert.match((await proxy.request('GET', '/v1/version')).version, /^\d/);
  assert.match(await proxy.request('GET', '/metrics'), /^vaurien_calls_total/m);
});

test('faults are counted by name', async (t) => {
  const proxy = await startHttp(t, {
    rules: ['GET /pay name=pay => 50:error(status=503)'],
    handler: 'delay(sleep=1ms)',
  });
  const refused = (await statuses(proxy, '/pay', 10)).filter((status) => status === 503).length;
  await statuses(proxy, '/', 3);
  assert.ok(refused > 0);
  assert.equal(await proxy.faults('error'), refused);
  assert.equal(await proxy.faults('pay.error'), refused);
  assert.equal(await proxy.faults('pay.faults'), refused);
  assert.equal(await proxy.faults('delay'), 3);
  assert.equal(await proxy.faults(), refused + 3);
  await assert.rejects(proxy.faults('eror'), { message: 'no fault is called `eror`, there are: delay, pay.error' });
});

test('too few or too many faults fail a test', async (t) => {
  const proxy = await startHttp(t, { handler: 'error(status=503)', seed: 42 });
  await assert.rejects(proxy.assertFaults('error'), {
    message: /^faults of `error`: expected at least 1, there were 0$/m,
  });
  await statuses(proxy, '/pay', 2);
  assert.equal(await proxy.assertFaults('error'), 2);
  assert.equal(await proxy.assertFaults('error', { exactly: 2 }), 2);
  assert.equal(await proxy.assertFaults('error', { atMost: 2, atLeast: 2 }), 2);
  const wrong = { name: 'AssertionError', actual: 2 };
  await assert.rejects(proxy.assertFaults('error', { exactly: 1 }), {
    ...wrong,
    message: /^faults of `error`: expected exactly 1, there were 2$/m,
  });
  await assert.rejects(proxy.assertFaults('error', { atMost: 1 }), {
    ...wrong,
    message: /^  connection 2, call 1, GET \/pay: error, answer$/m,
  });
  await assert.rejects(proxy.assertFaults('error', { atLeast: 3 }), { ...wrong, message: /, seed 42$/m });
  await assert.rejects(proxy.assertFaults('eror', { exactly: 0 }), VaurienError);
});

test('faults are counted from the label on', async (t) => {
  const proxy = await startHttp(t, { handler: 'error(status=503)' });
  const expected = async (count) => {
    for (const name of ['error', 'faults']) await proxy.assertFaults(name, { exactly: count });
    assert.equal(await proxy.faults('error'), count);
    assert.match(await proxy.explain(), new RegExp(`^vaurien: .*\\b${count} faults? `));
  };
  const slow = (path) => proxy.toxic('slow=latency(latency=1ms)', () => get(proxy, path));
  await slow('/before');
  await proxy.assertFaults('slow', { exactly: 1 });
  await proxy.label('first');
  await expected(0);
  await proxy.assertFaults('slow', { exactly: 0 });
  await statuses(proxy, '/first', 2);
  await expected(2);
  await proxy.label('second');
  await get(proxy, '/second');
  await expected(1);
  const told = await proxy.assertFaults('error', { exactly: 3 }).catch(({ message }) => message);
  assert.match(told, /^faults of `error`: expected exactly 3, there were 1\nvaurien: second: 1 fault at /);
  assert.doesNotMatch(told, /first/);
  // Without a label, from the start on.
  await proxy.label(null);
  assert.equal(await proxy.faults('error'), 4);
});

test('a proxy of a vaurien that runs already', async (t) => {
  const first = await startHttp(t);
  await first.request('PUT', '/v1/proxies/other', { backend: redis, protocol: 'redis', proxy: '127.0.0.1:0' });
  const proxy = await connect(first.url, { proxy: 'other', seed: 42 });
  assert.equal(await client(t, proxy).ping(), 'PONG');
  await proxy.rule('SET => error(kind=oom)', () =>
    assert.rejects(client(t, proxy).set('a', 'b'), { message: /^OOM / }),
  );
  await first.fault('error(status=503)', () => get(first, '/'));
  assert.deepEqual(new Set((await proxy.events()).map(({ proxy }) => proxy)), new Set(['other']));
  assert.match(await proxy.explain(), /^vaurien: 1 fault at 127\.0\.0\.1:\d+, seed 42\n.*answer$/);
  await proxy.stop();
  assert.equal(await client(t, proxy).ping(), 'PONG');
  assert.equal((await connect(first.url)).address, first.address);
  assert.equal((await connect(first.url.replace('http://', ''))).address, first.address);
  await assert.rejects(connect(first.url, { proxy: 'none' }), { status: 404, message: /there is no proxy `none`/ });
  await assert.rejects(connect(), {
    name: 'VaurienError',
    message: /^connect\(\) needs a URL: there is no VAURIEN_HTTP/,
  });
  // As the variable that switches the API on.
  process.env.VAURIEN_HTTP = 'true';
  t.after(() => delete process.env.VAURIEN_HTTP);
  await assert.rejects(connect(), {
    name: 'VaurienError',
    message: /^connect\(\) needs a URL: VAURIEN_HTTP is `true`, no address such as 127\.0\.0\.1:8080/,
  });
});

test('a command that vaurien wraps finds it, with its token', async () => {
  const script = `
    import { connect } from 'vaurien';
    const refused = await connect().catch((error) => error.status);
    const proxy = await connect(undefined, { token: 'secret' });
    process.env.VAURIEN_HTTP_TOKEN = 'secret';
    const same = await connect();
    console.log(refused, proxy.address === process.env.VAURIEN_PROXY, same.address === proxy.address, proxy.seed);
    console.log(await same.explain());`;
  const command = [process.execPath, '--input-type=module', '--eval', script];
  const { stdout } = await run(programPath(), [
    '--backend',
    redis,
    '--http',
    '--http-token=secret',
    '--seed=7',
    '--',
    ...command,
  ]);
  const [first, ...told] = stdout.split('\n');
  assert.equal(first, '401 true true 7');
  assert.match(told[0], /^vaurien: 0 faults at 127\.0\.0\.1:\d+, seed 7$/);
  assert.equal(told[1], '  to repeat it, run the whole command of vaurien with VAURIEN_SEED=7');
});

test('errors are in the words of vaurien', async (t) => {
  const backend = await pages(t);
  const wrong = (settings, message) =>
    assert.rejects(Proxy.start({ backend, ...settings }), { name: 'VaurienError', message });
  await wrong({ handler: 'dela' }, /^--handler: unknown handler `dela` .* did you mean `delay`\?$/);
  await wrong({ backend: 'localhost', rules: ['GET => error'] }, /^--backend: .* has no port.*; --rule: /);
  await wrong(
    { args: ['--wait-backend=10ms', '--backend=127.0.0.1:1'], backend: undefined },
    /did not accept a connection within 10ms/,
  );
  const proxy = await startHttp(t);
  const error = await proxy.fault('eror', () => assert.fail()).catch((error) => error);
  assert.ok(error instanceof VaurienError);
  assert.match(error.message, /^PATCH \/v1\/proxies\/default: handler: unknown handler `eror`/);
  assert.equal(error.status, 400);
  assert.deepEqual([error.errors.length, error.errors[0].name], [1, 'handler']);
  await assert.rejects(proxy.rules.get('none'), { status: 404, message: /has no rule `none`/ });
  await assert.rejects(proxy.toxics.add('latency(latency=100)'), { status: 400, message: /unit/ });
});

test('a test that fails tells its seed and its faults', async (t) => {
  const proxy = await startHttp(t, { handler: 'error(status=503)', seed: 42 });
  await get(proxy, '/before');
  const printed = t.mock.method(console, 'error', () => {});
  assert.equal(await proxy.labelled('one that passes', () => 'result'), 'result');
  assert.equal(printed.mock.callCount(), 0);
  const failure = new Error('of the test');
  await assert.rejects(
    proxy.labelled('one that fails', async () => {
      await statuses(proxy, '/pay', 21);
      throw failure;
    }),
    failure,
  );
  const lines = printed.mock.calls[0].arguments[0].split('\n');
  assert.equal(lines[0], `vaurien: one that fails: 21 faults at ${proxy.address}, seed 42`);
  assert.equal(lines[1], '  connection 2, call 1, GET /pay: error, answer');
  assert.deepEqual([lines.length, lines.at(-2)], [23, '  and 1 more']);
});

test('what kept faults from taking place is told', async (t) => {
  const proxy = await start(t, { backend: redis, protocol: 'http', handler: 'error', seed: 42 });
  const one = client(t, proxy);
  assert.equal(await one.ping(), 'PONG');
  assert.match(
    await proxy.explain(),
    /^vaurien: 0 faults at .*, seed 42\n  connection 1: opaque, no more faults of handlers, /,
  );
  await proxy.request('PATCH', '/v1/proxies/default', { backend: '127.0.0.1:1' });
  await assert.rejects(client(t, proxy).ping());
  await assert.rejects(proxy.assertFaults('error'), { message: /^  connection 2: cannot reach the backend, /m });
});

test('a client without TLS is told', async (t) => {
  const folder = await mkdtemp(join(tmpdir(), 'vaurien-'));
  t.after(() => rm(folder, { recursive: true }));
  const proxy = await startHttp(t, { handler: 'error', args: ['--tls', 'auto', '--tls-dir', folder] });
  await get(proxy, '/');
  const why = 'the client sent HTTP without TLS';
  const { status } = await proxy.settings();
  assert.deepEqual([status.handshake_failures, status.handshake_reasons], [1, [{ why, connections: 1 }]]);
  assert.match(await proxy.explain(), new RegExp(`\n  connection 1: no TLS with the client, ${why}$`, 'm'));
});

test('events have the label of their calls', async (t) => {
  const proxy = await startHttp(t, { handler: 'error(status=503)' });
  const labels = async () => (await proxy.events()).filter(({ event }) => event === 'fault').map(({ label }) => label);
  await get(proxy, '/');
  await proxy.label('first');
  await get(proxy, '/');
  await proxy.labelled('second', () => get(proxy, '/'));
  await get(proxy, '/');
  assert.deepEqual(await labels(), [undefined, 'first', 'second', undefined]);
  // The name of any test can be a label.
  await proxy.label(`a\n\tb ${'é'.repeat(200)}`);
  await get(proxy, '/');
  assert.equal((await labels()).at(-1), `a b ${'é'.repeat(125)}`);
  await assert.rejects(proxy.label(''), { name: 'VaurienError', status: 400 });
});
