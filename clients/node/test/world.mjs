// What the tests share.
import { once } from 'node:events';
import http from 'node:http';
import Redis from 'ioredis';
import { Proxy } from 'vaurien';

/** The address of the Redis that redis.mjs has started. */
export const redis = process.env.REDIS;
if (!redis) throw new Error('no REDIS: run clients/node/test.sh');

/** An HTTP server that answers every path with 200, for the time of a test. Returns its address. */
export async function pages(t) {
  const server = http.createServer((request, response) => response.end(request.url)).listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  return `127.0.0.1:${server.address().port}`;
}

/** A proxy for the time of a test, which may never have made a call. */
export async function start(t, settings) {
  const proxy = await Proxy.start({ allowNoCalls: true, ...settings });
  t.after(() => proxy.stop());
  return proxy;
}

/** A proxy in front of pages. */
export async function startHttp(t, settings) {
  return start(t, { backend: await pages(t), protocol: 'http', ...settings });
}

/** The status of a page, on a connection of its own, or the code of the error. */
export function get(proxy, path) {
  return new Promise((resolve) => {
    http
      .get(`http://${proxy.address}${path}`, { agent: false }, (response) => {
        response
          .resume()
          .on('end', () => resolve(response.statusCode))
          .on('error', ({ code }) => resolve(code));
      })
      .on('error', ({ code }) => resolve(code));
  });
}

/** A client of Redis for the time of a test, which tries nothing again. */
export function client(t, proxy) {
  const client = new Redis(proxy.port, proxy.host, { maxRetriesPerRequest: 0, retryStrategy: () => null });
  client.on('error', () => {});
  t.after(() => client.disconnect());
  return client;
}

/** The statuses of `count` pages, one after the other. */
export async function statuses(proxy, path, count) {
  const seen = [];
  while (seen.length < count) seen.push(await get(proxy, path));
  return seen;
}
