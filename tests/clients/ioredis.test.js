// ioredis sees the errors of Redis as such.
const { test } = require('node:test');
const assert = require('node:assert/strict');
const Redis = require('ioredis');
const { host, port, backend, KINDS, during, error, status, outcomes, assertInPlace } = require('./world.js');

const { ReplyError } = Redis;

const check = (name, block, options = {}) =>
  test(name, { timeout: 20_000 }, async () => {
    const client = new Redis({ host, port, ...options });
    const direct = new Redis({ host: backend[0], port: Number(backend[1]) });
    const events = [];
    client.on('error', (event) => events.push(event));
    await direct.flushall();
    await client.ping();
    try {
      await block(client, direct, events);
    } finally {
      client.disconnect();
      direct.disconnect();
    }
  });

// The connection after the block is the one before it, and the client had nothing to tell.
const checkKept = (name, block) =>
  check(name, async (client, direct, events) => {
    const id = await client.client('ID');
    const { total } = (await status()).connections;
    await block(client, direct);
    assert.equal(await client.client('ID'), id);
    assert.equal((await status()).connections.total, total);
    assert.deepEqual(events, []);
  });

for (const [kind, message] of Object.entries(KINDS)) {
  checkKept(`${kind} is an error of the command`, async (client) => {
    await during(error(kind), () => assert.rejects(client.get('foo'), { constructor: ReplyError, message }));
    assert.equal(await client.set('foo', kind), 'OK');
    assert.equal(await client.get('foo'), kind);
  });
}

checkKept('a miss is null or empty', async (client, direct) => {
  await direct.set('s', 'full');
  await direct.hset('h', 'field', 'full');
  await direct.rpush('l', 'full');
  await direct.sadd('t', 'full');
  await during({ name: 'miss' }, async () => {
    assert.equal(await client.get('s'), null);
    assert.deepEqual(await client.mget('s', 'u'), [null, null]);
    assert.equal(await client.hget('h', 'field'), null);
    assert.deepEqual(await client.hgetall('h'), {});
    assert.deepEqual(await client.lrange('l', 0, -1), []);
    assert.equal(await client.lpop('l'), null);
    assert.equal(await client.blpop('l', 1), null);
    assert.deepEqual(await client.smembers('t'), []);
    assert.equal(await client.set('new', '1'), 'OK');
  });
  assert.equal(await client.lpop('l'), 'full');
});

checkKept('every other reply of a pipeline is in its place', async (client) => {
  const faults = (await status()).faults.error ?? 0;
  const replies = await during({ name: '30:error(kind=readonly)' }, () => {
    const pipeline = client.pipeline();
    for (let number = 0; number < 64; number += 1) pipeline.echo(String(number));
    return pipeline.exec();
  });
  await assertInPlace(
    replies.map(([refused, reply]) => refused?.message ?? reply),
    faults,
  );
});

checkKept('every other reply of commands that are sent together is in its place', async (client) => {
  const faults = (await status()).faults.error ?? 0;
  const replies = await during({ name: '30:error(kind=readonly)' }, () =>
    outcomes(Array.from({ length: 64 }, (_, number) => client.echo(String(number)))),
  );
  await assertInPlace(replies, faults);
});

const EXECABORT = 'EXECABORT Transaction discarded because of previous errors.';

for (const [warmup, refused, message] of [
  [1, 'the first command', EXECABORT],
  [2, 'the second command', EXECABORT],
  [3, 'EXEC', KINDS.oom],
]) {
  checkKept(`a transaction is not done if ${refused} is refused`, async (client, direct) => {
    const transaction = () => client.multi().set('a', '1').incr('b').exec();
    await during({ name: 'transient', kind: 'oom', warmup }, () =>
      assert.rejects(transaction(), (thrown) => {
        assert.equal(thrown.constructor, ReplyError);
        assert.equal(thrown.message, message);
        // It tells the error of the command as well.
        const previous = message === EXECABORT ? [KINDS.oom] : [];
        assert.deepEqual(thrown.previousErrors.map((each) => each.message), previous);
        return true;
      }),
    );
    assert.deepEqual(await direct.keys('*'), []);
    assert.deepEqual(await transaction(), [[null, 'OK'], [null, 1]]);
  });
}

// It leaves the connection, as it cannot know where the junk ends.
check('junk is an error of the command, at once', async (client) => {
  await during({ name: 'error' }, () => assert.rejects(client.get('a'), { name: 'ParserError' }));
  assert.equal(await client.echo('next'), 'next');
});

// By default it connects again and sends the command once more, until it succeeds.
check('a command is sent again after a reset', async (client) => {
  let waiting;
  await during({ name: 'reset' }, async () => {
    const told = new Promise((resolve) => client.once('error', resolve));
    waiting = client.set('a', '1');
    assert.equal((await told).code, 'ECONNRESET');
  });
  assert.equal(await waiting, 'OK');
});

// Without that, the command fails as soon as it tries to connect again.
const ONCE = { maxRetriesPerRequest: 0 };

check('a reset is an error of the connection', async (client) => {
  const ready = new Promise((resolve) => client.once('ready', resolve));
  await during({ name: 'reset' }, () => assert.rejects(client.get('a'), { name: 'MaxRetriesPerRequestError' }));
  await ready;
  assert.equal(await client.echo('next'), 'next');
}, ONCE);

check('what was aborted is done', async (client, direct) => {
  const ready = new Promise((resolve) => client.once('ready', resolve));
  await during({ name: 'abort' }, () => assert.rejects(client.set('a', 'done'), { name: 'MaxRetriesPerRequestError' }));
  assert.equal(await direct.get('a'), 'done');
  await ready;
  assert.equal(await client.echo('next'), 'next');
}, ONCE);
