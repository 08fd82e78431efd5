// node-redis sees the errors of Redis as such, in both versions of the protocol.
const { test } = require('node:test');
const assert = require('node:assert/strict');
const { createClient, SimpleError, SocketClosedUnexpectedlyError } = require('redis');
const { host, port, backend, KINDS, during, error, status, outcomes, assertInPlace } = require('./world.js');

for (const RESP of [2, 3]) {
  const check = (name, block) =>
    test(`${name} (RESP${RESP})`, { timeout: 20_000 }, async () => {
      const client = createClient({ socket: { host, port }, RESP });
      const direct = createClient({ socket: { host: backend[0], port: Number(backend[1]) } });
      const events = [];
      client.on('error', (event) => events.push(event));
      await Promise.all([client.connect(), direct.connect()]);
      await direct.flushAll();
      try {
        await block(client, direct, events);
      } finally {
        client.destroy();
        direct.destroy();
      }
    });

  // The connection after the block is the one before it, and the client had nothing to tell.
  const checkKept = (name, block) =>
    check(name, async (client, direct, events) => {
      const id = await client.clientId();
      const { total } = (await status()).connections;
      await block(client, direct);
      assert.equal(await client.clientId(), id);
      assert.equal((await status()).connections.total, total);
      assert.deepEqual(events, []);
    });

  for (const [kind, message] of Object.entries(KINDS)) {
    checkKept(`${kind} is an error of the command`, async (client) => {
      await during(error(kind), () => assert.rejects(client.get('foo'), { constructor: SimpleError, message }));
      assert.equal(await client.set('foo', kind), 'OK');
      assert.equal(await client.get('foo'), kind);
    });
  }

  checkKept('a miss is null or empty', async (client, direct) => {
    await direct.set('s', 'full');
    await direct.hSet('h', 'field', 'full');
    await direct.rPush('l', 'full');
    await direct.sAdd('t', 'full');
    await direct.zAdd('z', { score: 1, value: 'full' });
    await during({ name: 'miss' }, async () => {
      assert.equal(await client.get('s'), null);
      assert.deepEqual(await client.mGet(['s', 'u']), [null, null]);
      assert.equal(await client.hGet('h', 'field'), null);
      assert.deepEqual({ ...(await client.hGetAll('h')) }, {});
      assert.deepEqual(await client.lRange('l', 0, -1), []);
      assert.equal(await client.lPop('l'), null);
      assert.equal(await client.blPop('l', 1), null);
      assert.deepEqual([...(await client.sMembers('t'))], []);
      assert.deepEqual(await client.zRangeWithScores('z', 0, -1), []);
      assert.equal(await client.zScore('z', 'full'), null);
      assert.equal(await client.set('new', '1'), 'OK');
    });
    assert.equal(await client.lPop('l'), 'full');
  });

  // Commands of one turn of the event loop are one pipeline.
  checkKept('every other reply is in its place', async (client) => {
    const faults = (await status()).faults.error ?? 0;
    const replies = await during({ name: '30:error(kind=readonly)' }, () =>
      outcomes(Array.from({ length: 64 }, (_, number) => client.echo(String(number)))),
    );
    await assertInPlace(replies, faults);
  });

  // execAsPipeline tells the first error alone: that is what it does with Redis.
  checkKept('a pipeline with an error is rejected, and the next one is not', async (client) => {
    const pipeline = () => {
      const multi = client.multi();
      for (let number = 0; number < 64; number += 1) multi.echo(String(number));
      return multi.execAsPipeline();
    };
    await during({ name: '30:error(kind=readonly)' }, () => assert.rejects(pipeline(), { message: KINDS.readonly }));
    assert.deepEqual(await pipeline(), Array.from({ length: 64 }, (_, number) => String(number)));
  });

  for (const [warmup, refused] of [[1, 'the first command'], [2, 'the second command'], [3, 'EXEC']]) {
    checkKept(`a transaction is not done if ${refused} is refused`, async (client, direct) => {
      const transaction = () => client.multi().set('a', '1').incr('b').exec();
      // At EXECABORT it tells the error of the command.
      await during({ name: 'transient', kind: 'oom', warmup }, () =>
        assert.rejects(transaction(), { constructor: SimpleError, message: KINDS.oom }),
      );
      assert.deepEqual(await direct.keys('*'), []);
      assert.deepEqual(await transaction(), ['OK', 1]);
    });
  }

  check('junk is told at once', async (client, _, events) => {
    // node-redis tells it in its event alone. It neither rejects the command nor leaves the connection, so the client has to.
    let waiting;
    await during({ name: 'error' }, async () => {
      const told = new Promise((resolve) => client.once('error', resolve));
      waiting = assert.rejects(client.get('a'));
      assert.match((await told).message, /^Unknown RESP type/);
      client.destroy();
      await waiting;
    });
    assert.equal(events.length, 1);
    await client.connect();
    assert.equal(await client.echo('next'), 'next');
  });

  check('a reset is an error of the connection', async (client) => {
    await during({ name: 'reset' }, () => assert.rejects(client.get('a'), { code: 'ECONNRESET' }));
    // It connects again by itself.
    assert.equal(await client.echo('next'), 'next');
  });

  check('what was aborted is done', async (client, direct) => {
    await during({ name: 'abort' }, () =>
      assert.rejects(client.set('a', 'done'), { constructor: SocketClosedUnexpectedlyError }),
    );
    assert.equal(await direct.get('a'), 'done');
    assert.equal(await client.echo('next'), 'next');
  });
}
