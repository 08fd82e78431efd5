// With Jest: npx jest jest.test.js
const { Proxy } = require('vaurien');
const { Cache } = require('./cache.js');

let proxy;
let cache;

beforeAll(async () => {
  proxy = await Proxy.start({
    backend: process.env.REDIS ?? 'localhost:6379',
    protocol: 'redis',
    rules: ['CLIENT|INFO => dummy'], // how ioredis connects: that always works
  });
  cache = new Cache(proxy.address);
});
afterAll(async () => {
  cache.close();
  await proxy.stop();
});

// Jest tells no hook whether a test has failed. So the body of a test runs under its label, which prints the seed and the
// faults if it fails.
const chaos = (name, body) => test(name, () => proxy.labelled(expect.getState().currentTestName, body));

chaos('loads what a Redis that is loading does not say', async () => {
  const value = await proxy.fault('error(kind=loading)', () => cache.get('jest:1', () => 'loaded'));
  expect(value).toBe('loaded');
  await proxy.assertFaults('error', { exactly: 2 });
});

chaos('does without a Redis that closes', async () => {
  const value = await proxy.rule('GET times=1 => blackout', () => cache.get('jest:2', () => 'loaded'));
  expect(value).toBe('loaded');
});
