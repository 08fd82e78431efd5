#!/usr/bin/env node
// Packs vaurien's program for one platform into the current folder: vaurien-linux-x64-0.1.0.tgz.
//
//     node clients/node/platform.mjs linux-x64 target/x86_64-unknown-linux-musl/release/vaurien
import { execFileSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = fileURLToPath(new URL('.', import.meta.url));
const { version, license, optionalDependencies } = JSON.parse(readFileSync(join(here, 'package.json')));
const [platform, program] = process.argv.slice(2);
const name = `@vaurien/${platform}`;
if (!program || !optionalDependencies[name]) {
  const platforms = Object.keys(optionalDependencies).map((one) => one.split('/')[1]);
  console.error(`usage: platform.mjs PLATFORM PROGRAM; PLATFORM is one of ${platforms.join(', ')}`);
  process.exit(2);
}

const [os, cpu] = platform.split('-');
const description = `The program of the package vaurien for ${platform}`;
const folder = mkdtempSync(join(tmpdir(), 'vaurien-'));
try {
  writeFileSync(
    join(folder, 'package.json'),
    JSON.stringify(
      { name, version, description, license, os: [os], cpu: [cpu], preferUnplugged: true, files: ['bin', 'LICENSE-*'] },
      null,
      2,
    ),
  );
  writeFileSync(join(folder, 'README.md'), `# ${name}\n\n${description}, which installs it where it fits.\n`);
  for (const file of ['LICENSE-APACHE', 'LICENSE-MIT']) copyFileSync(join(here, '../..', file), join(folder, file));
  mkdirSync(join(folder, 'bin'));
  copyFileSync(program, join(folder, 'bin/vaurien'));
  chmodSync(join(folder, 'bin/vaurien'), 0o755);
  execFileSync('npm', ['pack', '--silent', folder], { stdio: ['ignore', 'inherit', 'inherit'] });
} finally {
  rmSync(folder, { recursive: true });
}
