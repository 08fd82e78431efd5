// The calls in the page: columns of numbers, by row (one for each connection) and time (microseconds).

// Faults are drawn over other calls.
const [HIDDEN, PLAIN, FAULTS] = [0, 1, 2];

class Calls {
  constructor({ proxies, rows, kinds, heads, begun, took, paused, number, kind, head, labels, label }) {
    this.count = begun.length;
    this.proxies = proxies;
    this.heads = heads;
    this.head = new Uint32Array(head);
    // Without any labels, both are missing.
    this.labels = labels ?? [];
    this.label = label ?? [];
    this.kind = new Uint32Array(kind);
    this.kinds = kinds.handler.map((handler, place) => ({
      handler,
      fault: kinds.fault[place],
      mark: MARKS[kinds.fault[place]],
      replied: kinds.replied[place],
    }));
    // How long the client made no call after a fault; NaN for other calls.
    this.paused = new Float64Array(this.count).fill(NaN);
    let fault = 0;
    this.kind.forEach((place, call) => {
      if (this.kinds[place].fault === null) return;
      this.paused[call] = paused[fault] ?? NaN;
      fault += 1;
    });
    // The layer of each kind of call.
    this.layers = new Uint8Array(this.kinds.length);
    this.rows = rows.connection.length;
    this.connection = rows.connection;
    this.proxy = new Uint32Array(rows.proxy);
    // The start of each row, and the end of the last one.
    this.starts = new Uint32Array(this.rows + 1);
    this.row = new Uint32Array(this.count);
    this.begun = new Float64Array(this.count);
    this.ended = new Float64Array(this.count);
    this.number = new Float64Array(this.count);
    // The latest end of this call and earlier ones in its row.
    this.reach = new Float64Array(this.count);
    this.end = 0;
    rows.calls.forEach((calls, row) => this.#unfold(row, this.starts[row], calls, begun, took, number));
  }

  #unfold(row, start, calls, begun, took, number) {
    let [time, reach, last] = [0, 0, 0];
    const end = start + calls;
    for (let call = start; call < end; call += 1) {
      time += begun[call];
      last += number[call];
      reach = Math.max(reach, time + took[call]);
      this.row[call] = row;
      this.begun[call] = time;
      this.ended[call] = time + took[call];
      this.number[call] = last;
      this.reach[call] = reach;
    }
    this.starts[row + 1] = end;
    this.end = Math.max(this.end, reach);
  }

  // The first call of the row that may end after this time.
  since(row, time) {
    let [low, high] = [this.starts[row], this.starts[row + 1]];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.reach[middle] < time) low = middle + 1; else high = middle;
    }
    return low;
  }

  // Shows the calls of the kinds that match.
  show(fits) {
    this.kinds.forEach((kind, place) => {
      const layer = kind.fault === null ? PLAIN : FAULTS;
      this.layers[place] = fits(kind) ? layer : HIDDEN;
    });
  }

  isShown(call) {
    return this.layers[this.kind[call]] !== HIDDEN;
  }

  // The first call from this one on, in steps, that is shown and matches; -1 if there is none in `low..high`.
  find(call, step, low, high, fits = () => true) {
    for (let at = call; at >= low && at < high; at += step) {
      if (this.isShown(at) && fits(at)) return at;
    }
    return -1;
  }
}

// Three digits and a unit.
function timeText(micros) {
  if (micros < 1e3) return `${micros} µs`;
  if (micros < 1e6) return `${Number((micros / 1e3).toPrecision(3))} ms`;
  if (micros < 60e6) return `${Number((micros / 1e6).toPrecision(3))} s`;
  const seconds = Math.round(micros / 1e6);
  return `${Math.floor(seconds / 60)} m ${seconds % 60} s`;
}
