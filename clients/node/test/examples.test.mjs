// The examples pass, and of a test that fails they print the seed and the faults.
import assert from 'node:assert/strict';
import { execFile } from 'node:child_process';
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const cwd = fileURLToPath(new URL('../examples', import.meta.url));
const tools = fileURLToPath(new URL('../../node_modules/.bin', import.meta.url));

/** How each runner runs a file, how many tests pass in its example, and the line that it writes of them. */
const RUNNERS = [
  [
    'node.test.mjs',
    (file) => [process.execPath, '--test', '--test-reporter=tap', file],
    /^# pass 4$/m,
    /^# pass 3\n# fail 1$/m,
  ],
  ['vitest.test.mjs', (file) => [`${tools}/vitest`, 'run', file], /Tests +2 passed/, /Tests +1 failed \| 1 passed/],
  ['jest.test.js', (file) => [`${tools}/jest`, file], /^Tests: +2 passed/m, /^Tests: +1 failed, 1 passed/m],
];

/** What a runner prints. */
async function output(command, environment) {
  const { NODE_TEST_CONTEXT, FORCE_COLOR, ...env } = { ...process.env, NO_COLOR: '1', ...environment };
  const [program, ...args] = command;
  const { code = 0, stdout, stderr } = await run(program, args, { cwd, env }).catch((error) => error);
  return { code, text: stdout + stderr };
}

for (const [file, command, passed, failed] of RUNNERS) {
  test(`the example ${file}`, { timeout: 60_000 }, async () => {
    const { code, text } = await output(command(file), {});
    assert.equal(code, 0, text);
    assert.match(text, passed);
    assert.doesNotMatch(text, /seed/);
  });

  test(`the example ${file}, with a failure`, { timeout: 60_000 }, async (t) => {
    const broken = `broken-${file}`;
    const code = readFileSync(`${cwd}/${file}`, 'utf8');
    const changed = code.replace(/(value, |\.toBe\()'loaded'/, "$1'wrong'");
    assert.notEqual(changed, code);
    writeFileSync(`${cwd}/${broken}`, changed);
    t.after(() => rmSync(`${cwd}/${broken}`));
    const { text } = await output(command(broken), { VAURIEN_SEED: '42' });
    assert.match(text, failed, text);
    assert.match(
      text,
      /^[# ]*vaurien: loads what a Redis that is loading does not say: 2 faults at 127\.0\.0\.1:\d+, seed 42$/m,
    );
    assert.match(text, /^[# ]+connection 1, call \d, (get|set) \w+:1: error, answer$/m);
    assert.match(text, new RegExp(`^[# ]+to repeat it, run the whole file ${broken} with VAURIEN_SEED=42$`, 'm'));
  });
}

test("the spec reporter has the faults below their test", { timeout: 60_000 }, async (t) => {
  const broken = `${cwd}/spec-node.test.mjs`;
  writeFileSync(broken, readFileSync(`${cwd}/node.test.mjs`, 'utf8').replace("value, 'loaded'", "value, 'wrong'"));
  t.after(() => rmSync(broken));
  const { text } = await output([process.execPath, '--test', '--test-reporter=spec', broken], {});
  const failed = text.indexOf('✖ loads what a Redis that is loading');
  const told = text.indexOf('ℹ vaurien: loads what a Redis that is loading');
  const next = text.indexOf('✔ loads what a Redis that is busy');
  assert.ok(0 <= failed && failed < told && told < next, text);
});
