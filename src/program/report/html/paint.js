// Paints calls on the canvas: only those in view, and none over an equal one.

// Sizes in CSS pixels.
const AXIS = 24;
const GUTTER = 84;
const ROW = 18;
// Within a row: the marks of faults, then the bars. Bars of faults are higher than others.
const BAR = { top: 9, height: 6 };
const FAULT = { top: 7, height: 10 };
// Narrower bars are always filled.
const HOLLOW = 5;
// The least distance between marks of one shape.
const APART = 3;

class Painter {
  constructor(canvas, frame, calls) {
    this.canvas = canvas;
    this.frame = frame;
    this.calls = calls;
    this.pen = canvas.getContext('2d', { alpha: false });
    this.dress();
  }

  // Reads the page's colours, which depend on the colour scheme.
  dress() {
    const style = getComputedStyle(root);
    const [page, surface, line, ink, soft] =
      ['page', 'surface', 'line', 'ink', 'soft'].map((name) => style.getPropertyValue(`--${name}`).trim());
    this.colours = { page, surface, line, ink, soft, handlers: [] };
    for (const input of document.querySelectorAll('[data-handler]')) {
      const swatch = input.parentElement.querySelector('.swatch');
      this.colours.handlers[input.dataset.handler] = getComputedStyle(swatch).backgroundColor;
    }
    this.font = getComputedStyle(document.body).fontFamily;
  }

  // Adopts the size of the frame if it has changed.
  fit() {
    const scale = devicePixelRatio;
    const { clientWidth, clientHeight } = this.frame;
    if (this.width === clientWidth && this.height === clientHeight && this.scale === scale) return;
    [this.width, this.height, this.scale] = [clientWidth, clientHeight, scale];
    this.canvas.width = Math.round(this.width * scale);
    this.canvas.height = Math.round(this.height * scale);
    this.canvas.style.width = `${this.width}px`;
    this.canvas.style.height = `${this.height}px`;
    this.pen.scale(scale, scale);
  }

  // The horizontal position of a time, and the time at a position.
  x(time, { from, to }) {
    return GUTTER + (time - from) * (this.width - GUTTER) / (to - from);
  }

  time(x, { from, to }) {
    return from + (x - GUTTER) * (to - from) / (this.width - GUTTER);
  }

  // `entries` are rows, or -1 - proxy for the heading of a proxy.
  paint({ span, entries, scrolled, chosen, dragged }) {
    this.fit();
    const { pen, colours, width, height } = this;
    pen.fillStyle = colours.page;
    pen.fillRect(0, 0, width, height);
    const ticks = this.ticks(span);
    pen.fillStyle = colours.line;
    for (const { x } of ticks) pen.fillRect(x, AXIS, 1, height);
    const last = Math.min(entries.length, Math.ceil((scrolled + height - AXIS) / ROW));
    this.marks = MARKS_DRAWN.map(() => []);
    for (let place = Math.floor(scrolled / ROW); place < last; place += 1) {
      const top = AXIS + place * ROW - scrolled;
      if (entries[place] < 0) this.heading(this.calls.proxies[-1 - entries[place]], top);
      else this.row(entries[place], top, span);
    }
    drawMarks(pen, colours.ink, this.marks);
    if (chosen) this.outline(chosen, span);
    this.axis(ticks);
    if (dragged) {
      pen.fillStyle = colours.ink;
      pen.globalAlpha = 0.15;
      pen.fillRect(dragged[0], AXIS, dragged[1] - dragged[0], height);
      pen.globalAlpha = 1;
    }
  }

  heading(proxy, top) {
    this.pen.fillStyle = this.colours.surface;
    this.pen.fillRect(0, top, this.width, ROW);
    this.text(proxy, 6, top + ROW / 2, { colour: this.colours.ink, weight: 600 });
  }

  row(row, top, span) {
    this.text(this.calls.connection[row], GUTTER - 8, top + BAR.top + BAR.height / 2, { align: 'right' });
    this.pen.fillStyle = this.colours.line;
    this.pen.fillRect(GUTTER, top + ROW - 1, this.width, 0.5);
    // Faults are painted over other calls.
    this.bars(row, top, span, PLAIN);
    this.bars(row, top, span, FAULTS);
  }

  bars(row, top, span, layer) {
    const { calls, width } = this;
    const end = calls.starts[row + 1];
    const faults = layer === FAULTS;
    const marked = [-APART, -APART, -APART];
    let covered = GUTTER;
    // Calls that end before this time would be painted over: this skips most of those that are not visible.
    let until = span.from;
    for (let call = calls.since(row, span.from); call < end && calls.begun[call] <= span.to; call += 1) {
      if (calls.layers[calls.kind[call]] !== layer || (calls.ended[call] < until && !faults)) continue;
      const kind = calls.kinds[calls.kind[call]];
      const left = Math.round(this.x(calls.begun[call], span));
      if (faults && left >= GUTTER && left - marked[kind.mark] >= APART) {
        marked[kind.mark] = left;
        this.marks[kind.mark].push(left, top);
      }
      const right = Math.min(width, Math.max(Math.round(this.x(calls.ended[call], span)), left + 1));
      if (right <= covered) continue;
      this.bar(kind, Math.max(left, covered), right, top);
      covered = right;
      until = this.time(covered - 0.5, span);
    }
  }

  bar({ handler, fault, replied }, left, right, top) {
    const { pen, colours } = this;
    const colour = colours.handlers[handler];
    const place = fault ? FAULT : BAR;
    // Neighbours do not touch if there is room between them.
    const across = right - left >= 4 ? right - left - 1 : right - left;
    if (replied || across < HOLLOW) {
      pen.fillStyle = colour;
      pen.fillRect(left, top + place.top, across, place.height);
    }
    if (!replied && across >= HOLLOW) {
      this.rim(left, top + place.top, across, place.height, fault ? 2 : 1, colour);
    } else if (fault && across >= HOLLOW) {
      this.rim(left, top + place.top, across, place.height, 1, colours.ink);
    }
  }

  // A line inside the edge.
  rim(left, top, across, height, line, colour) {
    const { pen } = this;
    pen.strokeStyle = colour;
    pen.lineWidth = line;
    pen.strokeRect(left + line / 2, top + line / 2, across - line, height - line);
    pen.lineWidth = 1;
  }

  // Around the selected call.
  outline({ call, top }, span) {
    const { calls, width } = this;
    const left = Math.max(GUTTER, this.x(calls.begun[call], span));
    const right = Math.min(width, this.x(calls.ended[call], span));
    if (right < GUTTER || left > width) return;
    this.rim(left - 3, top + FAULT.top - 2, Math.max(right - left, 1) + 6, FAULT.height + 4, 2, this.colours.ink);
  }

  axis(ticks) {
    const { pen, colours, width } = this;
    pen.fillStyle = colours.surface;
    pen.fillRect(0, 0, width, AXIS);
    this.text('connection', GUTTER - 8, AXIS / 2, { align: 'right' });
    let free = GUTTER;
    for (const { x, label } of ticks) {
      pen.fillStyle = colours.soft;
      pen.fillRect(x, AXIS - 5, 1, 5);
      // The last label is moved to where it fits, if it does.
      const wide = pen.measureText(label).width;
      const left = Math.min(x + 4, width - wide - 4);
      if (left < free) continue;
      this.text(label, left, AXIS / 2, {});
      free = left + wide + 8;
    }
  }

  // Round times, as many as fit, all in the same unit.
  ticks(span) {
    const least = (span.to - span.from) * 90 / (this.width - GUTTER);
    const power = 10 ** Math.floor(Math.log10(least));
    const step = [1, 2, 5, 10].map((times) => times * power).find((rounded) => rounded >= least);
    const [unit, name] = [[1e6, 's'], [1e3, 'ms']].find(([size]) => span.to >= size) ?? [1, 'µs'];
    const decimals = Math.max(0, -Math.floor(Math.log10(step / unit) + 1e-9));
    const ticks = [];
    for (let place = Math.ceil(span.from / step); place * step <= span.to; place += 1) {
      const time = place * step;
      ticks.push({ x: Math.round(this.x(time, span)), label: `${(time / unit).toFixed(decimals)} ${name}` });
    }
    return ticks;
  }

  text(text, x, y, { colour = this.colours.soft, align = 'left', weight = 400 }) {
    const { pen } = this;
    pen.font = `${weight} 12px ${this.font}`;
    pen.textAlign = align;
    pen.textBaseline = 'middle';
    pen.fillStyle = colour;
    pen.fillText(text, x, y);
  }
}
