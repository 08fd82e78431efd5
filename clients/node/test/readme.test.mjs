// The README is right: its code runs, its links resolve, and the types are those of the code.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import ts from 'typescript';
import * as vaurien from 'vaurien';
import { pages, redis, startHttp } from './world.mjs';

const run = promisify(execFile);
const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8');
const blocks = Array.from(readme.matchAll(/^```js\n(.*?)^```/gms), ([, code]) => code);

/** Runs a block with these servers in place of its own. Returns what it prints, or fails with that. */
async function output(number, servers) {
  const file = fileURLToPath(new URL(`readme-${number}.mjs`, import.meta.url));
  writeFileSync(
    file,
    Object.entries(servers).reduce((code, [name, address]) => code.replaceAll(name, address), blocks[number]),
  );
  // Within a test, node:test would report to its parent.
  const { NODE_TEST_CONTEXT, ...env } = process.env;
  return run(process.execPath, ['--test-reporter=tap', file], { env });
}

test('the README has these blocks', () => assert.equal(blocks.length, 4));

test('its links resolve', () => {
  const links = Array.from(readme.matchAll(/\]\(([^)#]+)/g), ([, link]) => link);
  assert.ok(links.length > 5);
  assert.deepEqual(
    links.filter((link) => !existsSync(join(process.env.CLIENT, link))),
    [],
  );
});

test('the first example', async () => {
  assert.match((await output(0, { 'localhost:6379': redis })).stdout, /^ReplyError: READONLY /);
});

test('the example of rules', async (t) => {
  const { stdout } = await output(1, { 'localhost:80': await pages(t) });
  assert.match(stdout, /^503\n503\n503\n200\n/);
  assert.match(stdout, /shape: 'GET \/pay\/\*',\n *calls: 4,/);
  assert.match(stdout, /event: 'fault'/);
});

test('the example of a test, as it is and with a failure', async (t) => {
  const servers = { 'localhost:80': await pages(t) };
  const passed = await output(2, servers);
  assert.match(passed.stdout, /^# pass 1$/m);
  assert.equal(passed.stderr, '');
  const { stdout } = await output(2, { ...servers, 'status, 503': 'status, 200' }).catch((error) => error);
  assert.match(stdout, /^# fail 1$/m);
  const sample = readme.match(/^```text\n(.*?)^```/ms)[1];
  const told = stdout.replaceAll(/^# /gm, '').match(/^vaurien: .*\n(  .*\n)+/m)[0];
  const alike = (text) => text.replaceAll(/\d{4,}/g, 'NUMBER').replace(/file \S+/, 'file FILE');
  assert.equal(alike(told), alike(sample));
});

test('the example of a vaurien that runs already', async (t) => {
  const proxy = await startHttp(t);
  assert.equal((await output(3, { 'http://localhost:8080': proxy.url })).stdout, 'ECONNREFUSED\n');
});

test('the packages have what they need, and no more', () => {
  const modules = fileURLToPath(new URL('../node_modules', import.meta.url));
  const files = (name) => readdirSync(join(modules, name)).sort();
  const common = ['LICENSE-APACHE', 'LICENSE-MIT', 'README.md', 'bin', 'package.json'];
  assert.deepEqual(files('vaurien'), [...common, 'lib'].sort());
  assert.deepEqual(files(`@vaurien/${process.platform}-${process.arch}`), common);
  assert.deepEqual(readdirSync(join(modules, '@vaurien')).length, 1);
});

test('the types are those of the code', () => {
  const file = fileURLToPath(new URL('lib/index.d.ts', import.meta.resolve('vaurien/package.json')));
  const program = ts.createProgram([file], { lib: ['lib.es2022.d.ts'], types: [] });
  const checker = program.getTypeChecker();
  const exported = checker.getExportsOfModule(checker.getSymbolAtLocation(program.getSourceFile(file)));
  const values = exported.filter(({ flags }) => flags & ts.SymbolFlags.Value).map(({ name }) => name);
  assert.deepEqual(values.sort(), Object.keys(vaurien).sort());

  const typed = checker.getDeclaredTypeOfSymbol(exported.find(({ name }) => name === 'Proxy')).getProperties();
  const names = typed.map(({ name }) => name).filter((name) => !name.startsWith('__'));
  const made = Object.keys(new vaurien.Proxy({ url: 'http://localhost:1' }));
  const inherited = Object.getOwnPropertyNames(vaurien.Proxy.prototype).filter((name) => name !== 'constructor');
  assert.deepEqual(names.sort(), [...made, ...inherited].sort());
});

test('both kinds of module have the same classes', async () => {
  const { createRequire } = await import('node:module');
  assert.deepEqual({ ...vaurien }, createRequire(import.meta.url)('vaurien'));
});
