// With Vitest: npx vitest run vitest.test.mjs
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { Proxy } from 'vaurien';
import { Cache } from './cache.js';

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

// Faults are counted from the label on, and events have it. Of a test that fails, the seed and the faults are printed.
beforeEach(() => proxy.label(expect.getState().currentTestName));
afterEach(async ({ task }) => {
  if (task.result?.state === 'fail') console.error(await proxy.explain());
});

test('loads what a Redis that is loading does not say', async () => {
  const value = await proxy.fault('error(kind=loading)', () => cache.get('vitest:1', () => 'loaded'));
  expect(value).toBe('loaded');
  await proxy.assertFaults('error', { exactly: 2 });
});

test('waits for a slow network', async () => {
  await cache.get('vitest:2', () => 'stored');
  await proxy.toxic('latency(latency=100ms)', async () => {
    expect(await cache.get('vitest:2', () => 'loaded')).toBe('stored');
  });
  await proxy.assertFaults('latency_downstream');
});
