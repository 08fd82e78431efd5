// The timeline: the part in view, the calls that are shown, and the selected call.

// The shortest time that fills the width, in microseconds.
const CLOSEST = 20;
// How far a key or a button zooms and moves.
const ZOOM = 1.6;
const MOVE = 0.25;
// A call is hit within this many pixels, and a longer move is a drag.
const NEAR = 4;

class Timeline {
  constructor(calls) {
    this.calls = calls;
    this.plot = element('plot');
    this.rows = element('rows');
    this.canvas = element('canvas');
    // Leaves some room after the end of the last call.
    this.end = Math.max(calls.end * 1.01, CLOSEST);
    this.span = { from: 0, to: this.end };
    this.chosen = -1;
    this.filter();
    this.painter = new Painter(this.canvas, this.plot, calls);
    this.listen();
    this.paint();
  }

  // Reads from the controls which calls are shown. Connections without any have no row.
  filter() {
    const { calls } = this;
    const on = new Set();
    for (const { dataset, checked } of document.querySelectorAll('[data-handler]')) {
      if (checked) on.add(Number(dataset.handler));
    }
    const faultsOnly = element('faults-only').checked;
    calls.show(({ handler, fault }) => on.has(handler) && (fault !== null || !faultsOnly));
    const proxy = element('proxy').value;
    this.entries = [];
    // The position of each row among them; -1 if it is hidden.
    this.places = new Int32Array(calls.rows).fill(-1);
    let last = -1;
    for (let row = 0; row < calls.rows; row += 1) {
      const of = calls.proxy[row];
      if ((proxy !== '' && Number(proxy) !== of) || calls.find(calls.starts[row], 1, 0, calls.starts[row + 1]) < 0) continue;
      if (of !== last && calls.proxies.length > 1) this.entries.push(-1 - of);
      last = of;
      this.places[row] = this.entries.length;
      this.entries.push(row);
    }
    this.rows.style.height = `${AXIS + Math.max(this.entries.length, 1) * ROW}px`;
    if (this.chosen >= 0 && !this.isSeen(this.chosen)) this.choose(-1);
  }

  isSeen(call) {
    return this.calls.isShown(call) && this.places[this.calls.row[call]] >= 0;
  }

  // Paints once for all changes until then.
  repaint() {
    this.waiting ??= requestAnimationFrame(() => this.paint());
  }

  paint() {
    this.waiting = undefined;
    const { span, entries, chosen, dragged } = this;
    const scrolled = this.plot.scrollTop;
    const top = (call) => AXIS + this.places[this.calls.row[call]] * ROW - scrolled;
    this.painter.paint({
      span, entries, scrolled, dragged, chosen: chosen < 0 ? undefined : { call: chosen, top: top(chosen) },
    });
  }

  show(from, to) {
    const long = Math.min(Math.max(to - from, CLOSEST), this.end);
    const begin = Math.min(Math.max(from, 0), this.end - long);
    this.span = { from: begin, to: begin + long };
    this.repaint();
  }

  // Zooms by a factor around a fixed time.
  zoom(factor, around) {
    const { from, to } = this.span;
    const seen = this.chosen < 0 ? -1 : this.calls.begun[this.chosen];
    const fixed = around ?? (seen >= from && seen <= to ? seen : (from + to) / 2);
    this.show(fixed - (fixed - from) / factor, fixed + (to - fixed) / factor);
  }

  // Moves by a part of the view.
  move(part) {
    const { from, to } = this.span;
    this.show(from + (to - from) * part, to + (to - from) * part);
  }

  choose(call) {
    if (call === this.chosen) return;
    this.chosen = call;
    const { calls } = this;
    const details = ['–', '–', '–', '–', '–', '–', '–', '–'];
    if (call >= 0) {
      const { handler, fault, replied } = calls.kinds[calls.kind[call]];
      const row = calls.row[call];
      const label = document.querySelector(`[data-handler="${handler}"]`).parentElement.textContent;
      details[0] = `${calls.proxies[calls.proxy[row]]}, connection ${calls.connection[row]}, call ${calls.number[call]}`;
      details[1] = fault === null ? label : `${label}: ${fault}`;
      details[2] = calls.heads[calls.head[call]] || '–';
      details[3] = `${(calls.begun[call] / 1e6).toFixed(6)} s`;
      details[4] = timeText(calls.ended[call] - calls.begun[call]);
      details[5] = replied ? 'a reply' : 'no reply';
      details[6] = Number.isNaN(calls.paused[call]) ? '–' : timeText(calls.paused[call]);
      details[7] = calls.labels[calls.label[call]] ?? '–';
    }
    ['call', 'handler', 'head', 'begun', 'took', 'end', 'paused', 'label'].forEach((name, place) => {
      element(`detail-${name}`).textContent = details[place];
    });
    this.repaint();
  }

  // The call at this position; of several the nearest, faults first.
  at(x, y) {
    const { calls, painter, span } = this;
    const row = y < AXIS ? undefined : this.entries[Math.floor((y - AXIS + this.plot.scrollTop) / ROW)];
    let [best, nearest] = [-1, Infinity];
    if (row === undefined || row < 0) return best;
    const to = painter.time(x + NEAR, span);
    const end = calls.starts[row + 1];
    for (let call = calls.since(row, painter.time(x - NEAR, span)); call < end && calls.begun[call] <= to; call += 1) {
      const { fault } = calls.kinds[calls.kind[call]];
      const left = painter.x(calls.begun[call], span);
      const right = Math.max(painter.x(calls.ended[call], span), left + 1);
      const far = Math.max(left - x, x - right, 0) - (fault === null ? 0 : NEAR / 2);
      if (calls.isShown(call) && far < nearest) [best, nearest] = [call, far];
    }
    return nearest <= NEAR ? best : -1;
  }

  // Selects a call and scrolls it into view.
  go(call) {
    if (call < 0) return;
    this.choose(call);
    const top = this.places[this.calls.row[call]] * ROW;
    const room = this.plot.clientHeight - AXIS - ROW;
    this.plot.scrollTop = Math.min(Math.max(this.plot.scrollTop, top - room), top);
    const { from, to } = this.span;
    const begun = this.calls.begun[call];
    if (begun < from || begun > to) this.show(begun - (to - from) / 2, begun + (to - from) / 2);
  }

  // Selects the next call in the row.
  step(by) {
    const { calls, chosen } = this;
    if (chosen < 0) return this.go(this.first());
    const row = calls.row[chosen];
    return this.go(calls.find(chosen + by, by, calls.starts[row], calls.starts[row + 1]));
  }

  // Selects a call in the next row.
  leap(by) {
    const { calls, chosen, entries } = this;
    if (chosen < 0) return this.go(this.first());
    let place = this.places[calls.row[chosen]] + by;
    while (entries[place] < 0) place += by;
    const row = entries[place];
    if (row === undefined) return undefined;
    const [start, end] = [calls.starts[row], calls.starts[row + 1]];
    const near = Math.min(calls.since(row, calls.begun[chosen]), end - 1);
    const later = calls.find(near, 1, start, end);
    return this.go(later < 0 ? calls.find(near, -1, start, end) : later);
  }

  // Selects the next fault, row by row; after the last one the first.
  seek(by) {
    const { calls, chosen } = this;
    const isFault = (call) => calls.kinds[calls.kind[call]].fault !== null && this.isSeen(call);
    const find = (call) => calls.find(call, by, 0, calls.count, isFault);
    const next = chosen < 0 ? -1 : find(chosen + by);
    this.go(next < 0 ? find(by < 0 ? calls.count - 1 : 0) : next);
  }

  // The first call in the topmost visible row.
  first() {
    const { calls, entries, span } = this;
    const from = Math.floor(this.plot.scrollTop / ROW);
    const row = entries.slice(from).find((entry) => entry >= 0);
    if (row === undefined) return -1;
    const later = calls.find(calls.since(row, span.from), 1, 0, calls.starts[row + 1]);
    return later < 0 ? calls.find(calls.starts[row], 1, 0, calls.starts[row + 1]) : later;
  }

  listen() {
    const buttons = {
      closer: () => this.zoom(ZOOM),
      farther: () => this.zoom(1 / ZOOM),
      earlier: () => this.move(-MOVE),
      later: () => this.move(MOVE),
      whole: () => this.show(0, this.end),
    };
    for (const [id, act] of Object.entries(buttons)) element(id).addEventListener('click', act);
    element('drawing').addEventListener('change', () => {
      this.filter();
      this.repaint();
    });
    this.plot.addEventListener('scroll', () => this.repaint());
    this.plot.addEventListener('wheel', (event) => this.wheel(event), { passive: false });
    this.plot.addEventListener('keydown', (event) => this.key(event));
    this.canvas.addEventListener('dblclick', buttons.whole);
    addEventListener('beforeprint', () => this.print(true));
    addEventListener('afterprint', () => this.print(false));
    for (const type of ['pointerdown', 'pointermove', 'pointerup', 'pointercancel']) {
      this.canvas.addEventListener(type, (event) => this.pointer(event));
    }
    new ResizeObserver(() => this.repaint()).observe(this.plot);
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => {
      this.painter.dress();
      this.repaint();
    });
  }

  wheel(event) {
    const by = event.deltaMode === WheelEvent.DOM_DELTA_LINE ? 16 : 1;
    if (event.ctrlKey || event.metaKey) {
      event.preventDefault();
      this.zoom(0.998 ** (event.deltaY * by), this.painter.time(event.offsetX, this.span));
    } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
      event.preventDefault();
      this.move((event.deltaX || event.deltaY) * by / (this.painter.width - GUTTER));
    }
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const keys = {
      '+': () => this.zoom(ZOOM),
      '=': () => this.zoom(ZOOM),
      '-': () => this.zoom(1 / ZOOM),
      0: () => this.show(0, this.end),
      f: () => this.seek(1),
      F: () => this.seek(-1),
      Escape: () => this.cancel(),
      ArrowLeft: () => (event.shiftKey ? this.move(-MOVE) : this.step(-1)),
      ArrowRight: () => (event.shiftKey ? this.move(MOVE) : this.step(1)),
      ArrowUp: () => this.leap(-1),
      ArrowDown: () => this.leap(1),
    };
    if (!Object.hasOwn(keys, event.key)) return;
    event.preventDefault();
    keys[event.key]();
  }

  // Pointing selects, dragging zooms into the range, dragging with Shift moves.
  pointer({ type, offsetX, offsetY, pointerId, shiftKey, button }) {
    const x = Math.min(Math.max(offsetX, GUTTER), this.painter.width);
    if (type === 'pointerdown' && button === 0) {
      this.canvas.setPointerCapture(pointerId);
      this.drag = { from: x, span: this.span, moves: shiftKey };
      this.choose(this.at(offsetX, offsetY));
    } else if (type === 'pointermove' && this.drag) {
      this.dragTo(x);
    } else if (type === 'pointermove') {
      const call = this.at(offsetX, offsetY);
      if (call >= 0) this.choose(call);
    } else {
      const { dragged, painter, span } = this;
      this.drag = undefined;
      this.dragged = undefined;
      if (type === 'pointerup' && dragged) this.show(painter.time(dragged[0], span), painter.time(dragged[1], span));
      this.repaint();
    }
  }

  // Restores the view from before the drag, if there is one.
  cancel() {
    if (this.drag) this.show(this.drag.span.from, this.drag.span.to);
    this.drag = undefined;
    this.dragged = undefined;
  }

  // Print is always light and has only the rows in view.
  print(begins) {
    root.classList.toggle('printed', begins);
    element('cut').hidden = !begins || this.plot.scrollHeight <= this.plot.clientHeight;
    this.painter.dress();
    this.paint();
  }

  dragTo(x) {
    const { from, span, moves } = this.drag;
    if (moves) {
      const by = (from - x) * (span.to - span.from) / (this.painter.width - GUTTER);
      this.show(span.from + by, span.to + by);
    } else {
      this.dragged = Math.abs(x - from) < NEAR ? undefined : [Math.min(from, x), Math.max(from, x)];
      this.repaint();
    }
  }
}

const calls = new Calls(JSON.parse(element('columns').textContent));
if (calls.count > 0) {
  element('drawing').hidden = false;
  const of = element('of-proxy');
  of.hidden = calls.proxies.length < 2;
  calls.proxies.forEach((name, place) => element('proxy').append(new Option(name, place)));
  new Timeline(calls);
}
root.dataset.drawn = calls.count;
