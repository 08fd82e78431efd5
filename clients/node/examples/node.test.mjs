// With Node's own runner: node --test node.test.mjs
import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, test } from 'node:test';
import { Proxy } from 'vaurien';
import { Cache } from './cache.js';

let proxy;
let cache;

before(async () => {
  proxy = await Proxy.start({
    backend: process.env.REDIS ?? 'localhost:6379',
    protocol: 'redis',
    rules: ['CLIENT|INFO => dummy'], // how ioredis connects: that always works
  });
  cache = new Cache(proxy.address);
});
after(async () => {
  cache.close();
  await proxy.stop();
});

// Faults are counted from the label on, and events have it. Below a test that fails are its faults and the seed.
beforeEach((t) => proxy.label(t.fullName ?? t.name));
afterEach(async (t) => {
  if (!t.passed) (await proxy.explain()).split('\n').forEach((line) => t.diagnostic(line));
});

test('loads what a Redis that is loading does not say', async () => {
  const value = await proxy.fault('error(kind=loading)', () => cache.get('node:1', () => 'loaded'));
  assert.equal(value, 'loaded');
  await proxy.assertFaults('error', { exactly: 2 });
});

test('loads what a Redis that is busy does not say', async () => {
  const value = await proxy.fault('error(kind=busy)', () => cache.get('node:2', () => 'loaded'));
  assert.equal(value, 'loaded');
  await proxy.assertFaults('error', { exactly: 2 });
});

test('does without a Redis that never answers', async () => {
  const value = await proxy.rule('GET => hang', () => cache.get('node:3', () => 'loaded'));
  assert.equal(value, 'loaded');
});

test('is back when Redis is back', async () => {
  assert.equal(await proxy.down(() => cache.get('node:4', () => 'loaded')), 'loaded');
  await cache.get('node:4', () => 'stored');
  assert.equal(await cache.get('node:4', () => 'loaded again'), 'stored');
});
