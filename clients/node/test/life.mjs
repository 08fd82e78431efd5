// What process.test.mjs starts and ends: a test with a proxy, and a call that hangs in it. WAY says how it ends.
import { get } from 'node:http';
import { Proxy } from 'vaurien';

// The log goes to standard error, which the program so holds open for as long as it runs.
const proxy = await Proxy.start({ backend: process.env.REDIS, protocol: 'http', handler: 'hang', log: true });
console.log(JSON.stringify({ pid: proxy.pid, address: proxy.address }));
const ways = {
  end: () => {},
  stop: () => proxy.stop(),
  exit: () => process.exit(0),
  exception: () => {
    throw new Error('of the test');
  },
  rejection: () => Promise.reject(new Error('of the test')),
  // Until a signal ends it.
  hang: () => get(`http://${proxy.address}/`).on('error', () => {}),
};
await ways[process.env.WAY]();
