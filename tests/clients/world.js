// What the tests of Node's clients share. test_node.py starts Redis, and vaurien in front of it, and says where they are.
const assert = require('node:assert/strict');

const [host, port] = process.env.VAURIEN_PROXY.split(':');
const backend = process.env.BACKEND.split(':');
const api = `http://${process.env.VAURIEN_HTTP}`;

const KINDS = {
  err: 'ERR injected by vaurien',
  loading: 'LOADING Redis is loading the dataset in memory',
  busy: 'BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.',
  readonly: "READONLY You can't write against a read only replica.",
  oom: "OOM command not allowed when used memory > 'maxmemory'.",
  moved: 'MOVED 12182 127.0.0.1:7001',
  ask: 'ASK 12182 127.0.0.1:7001',
  tryagain: 'TRYAGAIN Multiple keys request during rehashing of slot',
  clusterdown: 'CLUSTERDOWN The cluster is down',
  masterdown: "MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.",
  noauth: 'NOAUTH Authentication required.',
  wrongpass: 'WRONGPASS invalid username-password pair or user is disabled.',
  noscript: 'NOSCRIPT No matching script.',
  misconf: 'MISCONF Errors writing to disk: writes are disabled.',
};

async function call(method, path, body) {
  const answer = await fetch(api + path, { method, body: body && JSON.stringify(body) });
  const text = await answer.text();
  assert.ok(answer.ok, text);
  return JSON.parse(text);
}

// Sets the handler while `block` runs, and fails if that takes as long as a client that waits for its time-out.
async function during(handler, block) {
  await call('PUT', '/behavior', handler);
  const begun = Date.now();
  try {
    return await block();
  } finally {
    const elapsed = Date.now() - begun;
    await call('PUT', '/behavior', { name: 'dummy' });
    assert.ok(elapsed < 5000, `took ${elapsed} ms`);
  }
}

// The handler for an error of this kind.
function error(kind) {
  const to = kind === 'moved' || kind === 'ask' ? '127.0.0.1:7001' : undefined;
  return { name: 'error', kind, to };
}

async function status() {
  const { status } = await call('GET', '/v1/proxies/default');
  assert.equal(status.connections.opaque, 0);
  return status;
}

// What `promises` came to: values, and the messages of errors.
async function outcomes(promises) {
  return (await Promise.allSettled(promises)).map((each) => each.value ?? each.reason.message);
}

// 64 replies to ECHO: each is its number, but for a share of errors, which `during` has drawn.
async function assertInPlace(replies, faults) {
  assert.equal(replies.length, 64);
  replies.forEach((reply, number) => {
    if (reply !== KINDS.readonly) assert.equal(reply, String(number));
  });
  const errors = replies.filter((reply) => reply === KINDS.readonly).length;
  assert.ok(errors > 5 && errors < 40, `${errors} errors`);
  assert.equal((await status()).faults.error - faults, errors);
}

module.exports = { host, port: Number(port), backend, KINDS, during, error, status, outcomes, assertInPlace };
