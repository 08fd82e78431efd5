#!/usr/bin/env node
'use strict';
// Runs the program with these arguments, as if it were called itself.
const { spawn } = require('node:child_process');
const { constants } = require('node:os');
const { programPath } = require('../lib/index.js');

/** Says why there is no program, with the exit code that the program has for its own failures in front of a command. */
function fail(error) {
  console.error(`vaurien: ${error.message}`);
  process.exit(125);
}

function run() {
  const program = spawn(programPath(), process.argv.slice(2), { stdio: 'inherit' });
  program.once('error', fail);
  // Ctrl-C in a terminal reaches both, and a second signal would end the program at once.
  const isTerminal = process.stdin.isTTY || process.stdout.isTTY || process.stderr.isTTY;
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT']) {
    const reachesBoth = isTerminal && (signal === 'SIGINT' || signal === 'SIGQUIT');
    process.on(signal, () => reachesBoth || program.kill(signal));
  }
  program.once('exit', (code, signal) => process.exit(code ?? 128 + constants.signals[signal]));
}

try {
  run();
} catch (error) {
  fail(error);
}
