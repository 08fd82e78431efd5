'use strict';
// The program: where it is, and one run of it.
const { spawn } = require('node:child_process');
const { randomInt } = require('node:crypto');
const { once } = require('node:events');
const { VaurienError } = require('./error.js');

const PACKAGES = require('../package.json').optionalDependencies;

/** The most characters of the log that are kept. */
const LOG = 64 * 1024;

/**
 * The command that vaurien wraps. It says where everything listens, and ends with its standard input: when `stop` closes
 * it, or when this process has ended, in whatever way. vaurien ends with its command.
 */
const COMMAND = ['/bin/sh', '-c', 'echo {proxy} {http} {seed}; read -r _; exit 0'];
const READY = /^(\S+:\d+) (\S+:\d+) (\d+)\n$/;

/** The seed of this process where VAURIEN_SEED has none. */
const SEED = randomInt(2 ** 32);

/** The seed of all proxies of this process that are not given another one, so that one number repeats them all. */
function commonSeed() {
  return process.env.VAURIEN_SEED ?? String(SEED);
}

/** The path of the program: VAURIEN, or what the package for this platform has. */
function programPath() {
  if (process.env.VAURIEN) return process.env.VAURIEN;
  const platform = `${process.platform}-${process.arch}`;
  const name = `@vaurien/${platform}`;
  if (!PACKAGES[name]) {
    const known = Object.keys(PACKAGES).join(', ');
    throw new VaurienError(
      `no package has vaurien's program for ${platform} (there are ${known}): name one in VAURIEN`,
    );
  }
  try {
    return require.resolve(`${name}/bin/vaurien`);
  } catch (cause) {
    throw new VaurienError(
      `the package ${name} with vaurien's program is missing: install without --omit=optional, \`npm install ${name}@${PACKAGES[name]}\`, or name a program in VAURIEN`,
      { cause },
    );
  }
}

/** The environment without the program's variables: a proxy is what its test says. The seed is for a test that is repeated. */
function environment() {
  const kept = Object.entries(process.env).filter(([name]) => !name.startsWith('VAURIEN_'));
  return { ...Object.fromEntries(kept), VAURIEN_SEED: commonSeed() };
}

/** What the program said against its start or its end. */
function mistakes(log) {
  return Array.from(log.matchAll(/^vaurien: (.*)/gm), ([, mistake]) => mistake).join('; ');
}

/** The end of an output in an error's one line. */
function oneLine(output) {
  return String(output).trim().split('\n').slice(-3).join('; ');
}

/** Expectations that were not met, with the options that they have here. */
function unmet(log) {
  return Array.from(log.matchAll(/expected .*: NOT met.*/g), ([line]) => line)
    .join('; ')
    .replaceAll("the command finds the proxy's address in VAURIEN_PROXY", 'the proxy listens at its `address`')
    .replaceAll('add --allow-no-calls', 'start the proxy with `allowNoCalls: true`');
}

/** One run of the program. */
class Program {
  /** The end of what it has logged. */
  log = '';
  #path = programPath();
  #child;
  #ended;
  #stopping;

  /** Starts the program with these arguments, and waits until everything listens. */
  static async start(args, stderr) {
    const program = new Program(args, stderr);
    const failed = program.#ended.then((end) => program.#fail(end));
    const [output] = await Promise.race([once(program.#child.stdout, 'data'), failed]);
    program.#hold('unref');
    const ready = READY.exec(output);
    if (!ready) {
      program.#child.kill();
      program.#fail({ why: `${program.#path} is probably no vaurien, it printed: ${oneLine(output)}` });
    }
    [, program.address, program.http, program.seed] = ready;
    return program;
  }

  constructor(args, stderr) {
    // In a session of its own: Ctrl-C leaves the proxy to the tests, which may want to clean up through it.
    this.#child = spawn(this.#path, [...args, '--', ...COMMAND], {
      stdio: ['pipe', 'pipe', stderr],
      detached: true,
      env: environment(),
    });
    this.#child.stderr?.setEncoding('utf8').on('data', (text) => {
      this.log = (this.log + text).slice(-LOG);
    });
    this.#ended = new Promise((resolve) => {
      this.#child.once('error', (cause) => resolve({ why: `cannot run ${this.#path}: ${cause.message}`, cause }));
      this.#child.once('close', (code, signal) => resolve({ code, signal }));
    });
  }

  get pid() {
    return this.#child.pid;
  }

  /** Stops the program. Fails if it had ended before, or if faults that it was started with could not take place. */
  stop() {
    this.#stopping ??= this.#stop();
    return this.#stopping;
  }

  async #stop() {
    this.#hold('ref');
    this.#child.stdin.end();
    const end = await this.#ended;
    for (const [, text] of this.log.matchAll(/^warning: (.*)/gm)) process.emitWarning(text, 'VaurienWarning');
    if (end.code !== 0) this.#fail(end);
  }

  #fail({ code, signal, why, cause }) {
    if (code === 3) why = unmet(this.log);
    why ||= mistakes(this.log) || this.#unexplained(code);
    if (signal) why = `vaurien was ended by ${signal}: ${why}`;
    throw new VaurienError(why, { cause });
  }

  #unexplained(code) {
    if (!this.#child.stderr) return 'vaurien has failed, its log is on standard error';
    if (this.log) return `${this.#path} printed: ${oneLine(this.log)}`;
    return `${this.#path} ended with exit code ${code} and printed nothing, it is probably no vaurien`;
  }

  /** Whether the program keeps this process from ending: while it starts and while it stops. */
  #hold(how) {
    for (const handle of [this.#child, this.#child.stdin, this.#child.stdout, this.#child.stderr]) handle?.[how]();
  }
}

module.exports = { Program, commonSeed, programPath };
