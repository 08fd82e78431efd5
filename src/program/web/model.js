// What the page knows: a bounded past of each proxy.

// How long it remembers, in seconds: the longest timeline.
const MEMORY = 900;
// The most faults that a proxy has one by one. Beyond it, older ones are in the counts of their second only.
const FAULTS_KEPT = 10000;
const OPAQUE_KEPT = 50;

const sum = (counts) => Object.values(counts).reduce((total, count) => total + count, 0);

class ProxyPast {
  constructor(name) {
    this.name = name;
    // The latest answer of the API, and the one before it.
    this.now = null;
    this.before = null;
    // Calls per second, by the second.
    this.calls = new Map();
    // Faults by the second: a count for each colour.
    this.seconds = new Map();
    this.faults = [];
    this.opaque = [];
  }

  // Adopts an answer that came at this time, in milliseconds.
  see(answer, at) {
    this.before = this.now;
    this.now = { answer, at, calls: sum(answer.status.calls), faults: sum(answer.status.faults) };
    const rate = this.rate((seen) => seen.calls);
    if (rate !== null) {
      // A poll that was late counts for all of its seconds.
      const to = Math.floor(at / 1000);
      const from = Math.max(Math.floor(this.before.at / 1000) + 1, to - 60);
      for (let second = from; second <= to; second += 1) this.calls.set(second, rate);
    }
    this.forget(Math.floor(at / 1000) - MEMORY);
  }

  // The increase of a counter per second; null if it is not known yet.
  rate(of) {
    const { now, before } = this;
    if (!before || now.at <= before.at) return null;
    const increase = of(now) - of(before);
    // A counter that has become smaller belongs to another proxy of this name.
    return increase < 0 ? null : increase * 1000 / (now.at - before.at);
  }

  fault(event) {
    const time = Date.parse(event.time);
    const what = event.toxic ?? event.step ?? event.handler;
    const colour = colourOf(event.type ?? what);
    const second = Math.floor(time / 1000);
    let counts = this.seconds.get(second);
    if (!counts) {
      counts = new Uint32Array(COLOURS + 1);
      this.seconds.set(second, counts);
    }
    counts[colour] += 1;
    const { id, connection, call, rule, verdict, head } = event;
    const label = rule ? `${rule}.${event.handler}` : what;
    const request = head ? Object.values(head).join(' ') : '';
    this.faults.push({ id, time, connection, call, colour, label, request, verdict, mark: MARKS[verdict ?? event.type] ?? 0 });
    if (this.faults.length > FAULTS_KEPT * 1.25) this.faults.splice(0, this.faults.length - FAULTS_KEPT);
  }

  turnedOpaque(event) {
    this.opaque.push(event);
    if (this.opaque.length > OPAQUE_KEPT) this.opaque.shift();
  }

  forget(before) {
    for (const counts of [this.calls, this.seconds]) {
      for (const second of counts.keys()) {
        if (second >= before) break;
        counts.delete(second);
      }
    }
    const first = this.faults.findIndex(({ time }) => time >= before * 1000);
    if (first > 0) this.faults.splice(0, first);
    else if (first < 0) this.faults.length = 0;
  }
}

class Model {
  constructor() {
    this.proxies = new Map();
  }

  get(name) {
    let proxy = this.proxies.get(name);
    if (!proxy) {
      proxy = new ProxyPast(name);
      this.proxies.set(name, proxy);
    }
    return proxy;
  }

  // The proxies that there are, by name. Others are forgotten.
  see(answers, at) {
    for (const name of this.proxies.keys()) {
      if (!Object.hasOwn(answers, name)) this.proxies.delete(name);
    }
    for (const [name, answer] of Object.entries(answers)) this.get(name).see(answer, at);
  }

  take(events) {
    for (const event of events) {
      if (event.event === 'fault') this.get(event.proxy).fault(event);
      else if (event.event === 'opaque') this.get(event.proxy).turnedOpaque(event);
    }
  }
}
