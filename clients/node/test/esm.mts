// The types of an ES module that uses the client. tsc reads this file, and nothing runs it.
import { Proxy, VaurienError, connect, programPath, type Event, type Rule, type Settings } from 'vaurien';

const settings: Settings = { backend: 'localhost:80', protocol: 'http', rules: ['GET => error'], toxics: 'timeout(timeout=0)', seed: 42 };
await using proxy: Proxy = await Proxy.start(settings);
const address: string = `${proxy.host}:${proxy.port}`;
const length: number = await proxy.fault('delay(sleep=1s)', async () => address.length);
const text: string = await proxy.down(() => 'down');
const name: string = await proxy.rule('GET => error', { before: 'first', for: '1s' }, (rule) => rule.name);
const toxic: string = await proxy.toxic({ type: 'latency', attributes: { latency: '1s' } }, ({ toxic }) => toxic);
const rules: Rule[] = await proxy.rules.list();
const rule: Rule = await proxy.rules.add({ match: { path: '/pay' }, times: 3, handler: 'error' }, { name: 'pay' });
const changed: Rule = await proxy.rules.change('pay', { times: null });
const events: Event[] = await proxy.events({ since: 1 });
const count: number = await proxy.assertFaults('error', { atLeast: 1 });
const daemon: Proxy = await connect('http://localhost:8080', { proxy: 'cache', token: 'secret' });
const path: string = programPath();
console.log(length, text, name, toxic, rules, rule, changed, events, count, path);
try {
  await daemon.labelled('a test', () => daemon.stop());
} catch (error) {
  if (error instanceof VaurienError) error.errors.map(({ description }) => description.length);
}

// @ts-expect-error: a proxy needs a backend.
await Proxy.start({ protocol: 'http' });
// @ts-expect-error: no protocol is called so.
await Proxy.start({ backend: 'localhost:80', protocol: 'https' });
// @ts-expect-error: `start` and `connect` make proxies.
new Proxy();
declare const console: { log(...values: unknown[]): void };
