// Runs a command beside a Redis of its own on a free port, whose address is in REDIS: node redis.mjs COMMAND...
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { createInterface } from 'node:readline';

/** Redis, which ends when this process does: its shell then reads the end of its standard input. */
const SERVER = 'redis-server --port "$1" --save "" --appendonly no & trap "kill $!" EXIT; read -r _';

async function freePort() {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  server.close();
  await once(server, 'close');
  return port;
}

/** Starts Redis, on another port if a program has taken the first one meanwhile. */
async function start() {
  for (let attempt = 0; attempt < 5; attempt++) {
    const port = await freePort();
    const server = spawn('sh', ['-c', SERVER, 'sh', port], { stdio: ['pipe', 'pipe', 'inherit'] });
    for await (const line of createInterface({ input: server.stdout })) {
      if (line.includes('Ready to accept connections')) {
        server.stdout.resume();
        return { server, address: `127.0.0.1:${port}` };
      }
      if (line.includes('Failed listening')) break;
    }
    server.stdin.end();
  }
  throw new Error('redis-server does not start');
}

const { server, address } = await start();
const [command, ...args] = process.argv.slice(2);
const child = spawn(command, args, { stdio: 'inherit', env: { ...process.env, REDIS: address } });
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => child.kill(signal));
const [code] = await once(child, 'exit');
server.stdin.end();
await once(server, 'close');
process.exitCode = code ?? 1;
