// Requests to the API, the stream of events, and the same as command lines.

// Entered by the user, and kept nowhere else.
let token = '';

// How long to wait for an answer.
const PATIENCE = 10_000;
// How long to wait before the stream is opened again, and between two reads of it: a batch costs less than each event alone.
const REOPEN = 1000;
const REST = 300;
// How long events are read without a rest.
const READ = 40;

class ApiError extends Error {
  constructor(status, errors) {
    super(errors.map(({ description }) => description).join('; '));
    this.status = status;
    this.errors = errors;
  }
}

function headers(body) {
  const all = {};
  if (token) all.Authorization = `Bearer ${token}`;
  if (body !== undefined) all['Content-Type'] = 'application/json';
  return all;
}

async function failure(response) {
  const text = await response.text();
  try {
    return new ApiError(response.status, JSON.parse(text).errors);
  } catch {
    return new ApiError(response.status, [{ location: '', name: '', description: text || `status ${response.status}` }]);
  }
}

async function ask(method, path, body) {
  const signal = AbortSignal.timeout(PATIENCE);
  const response = await fetch(path, { method, headers: headers(body), body: body && JSON.stringify(body), signal, cache: 'no-store' });
  if (!response.ok) throw await failure(response);
  return response.status === 204 ? null : response.json();
}

function proxyPath(name, ...rest) {
  return ['/v1/proxies', name, ...rest].map((part, place) => (place === 0 ? part : encodeURIComponent(part))).join('/');
}

// A word for a POSIX shell.
function quoted(word) {
  return /^[\w./:=@%+-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

// The words behind `vaurien ctl` that make this change; nothing if it has none for it.
function ctlWords({ method, path, body = {} }) {
  const [name, what, entry] = path.split('?')[0].split('/').slice(3).map(decodeURIComponent);
  const kind = { rules: 'rule', toxics: 'toxic' }[what];
  const options = ['before', 'for'].flatMap((key) => (body[key] === undefined ? [] : [`--${key}`, body[key]]));
  if (method === 'PATCH' && body.handler !== undefined) return ['handler', name, body.handler, ...options];
  if (method === 'PATCH' && body.enabled !== undefined) return [body.enabled ? 'enable' : 'disable', name, ...options];
  if (method === 'POST' && what === 'reset') return ['reset', name];
  if (method === 'POST' && kind) return [kind, 'add', name, body[kind], ...options];
  if (method === 'DELETE' && kind) return [kind, 'remove', name, entry];
  return undefined;
}

// The command line that makes this change: of `vaurien ctl`, or else of curl. Characters that a terminal would not show are escaped,
// as JSON has it.
function commandLine(request) {
  const { method, path, body } = request;
  const words = ctlWords(request);
  const isOption = (word) => word === '--before' || word === '--for';
  if (words?.every((word) => isOption(word) || !word.startsWith('-')) && !words.join('').match(HIDDEN)) {
    const daemon = location.host === 'localhost:8080' ? [] : ['--http', location.host];
    return ['vaurien', 'ctl', ...[...daemon, ...words].map(quoted)].join(' ');
  }
  const line = ['curl', '-X', method];
  if (token) line.push('-H', '"Authorization: Bearer $VAURIEN_HTTP_TOKEN"');
  line.push(quoted(location.origin + path));
  if (body !== undefined) {
    const escaped = (character) => character.split('').map((unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`).join('');
    line.push('-d', quoted(JSON.stringify(body).replace(HIDDEN, escaped)));
  }
  return line.join(' ');
}

const wait = (time) => new Promise((resolve) => { setTimeout(resolve, time); });

// Splits Server-Sent Events into objects with `event` and `data`.
class EventParser {
  #rest = '';

  *push(text) {
    const parts = (this.#rest + text).split('\n\n');
    this.#rest = parts.pop();
    for (const part of parts) {
      const fields = {};
      for (const line of part.split('\n')) {
        const colon = line.indexOf(':');
        if (colon > 0) fields[line.slice(0, colon)] = line.slice(colon + 1).trimStart();
      }
      if (fields.data) yield { event: fields.event, data: JSON.parse(fields.data) };
    }
  }
}

// Reads the events after `since` until `signal` aborts, and gives them to `take` in batches. `opened` learns of each attempt, with what
// is wrong if it failed.
async function readEvents({ since, take, lost, opened, signal }) {
  let last = since;
  while (!signal.aborted) {
    try {
      const response = await fetch(`/v1/events?since=${last}`, { headers: headers(), signal, cache: 'no-store' });
      if (!response.ok) throw await failure(response);
      opened('');
      const [reader, decoder, parser] = [response.body.getReader(), new TextDecoder(), new EventParser()];
      let rested = performance.now();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        const batch = [];
        for (const { event, data } of parser.push(decoder.decode(value, { stream: true }))) {
          if (event === 'lost') lost(data.count); else batch.push(data);
        }
        if (batch.length > 0) {
          last = batch.at(-1).id;
          take(batch);
        }
        if (performance.now() - rested > READ) {
          await wait(REST);
          rested = performance.now();
        }
      }
    } catch (error) {
      if (signal.aborted || error.status === 401) return;
      opened(error.message);
    }
    await wait(REOPEN);
  }
}
