// The timeline: the calls of each second, and a row for each connection with its faults, as the report draws them.

// Sizes in CSS pixels.
const AXIS = 24;
const GUTTER = 84;
const CHART = 72;
const ROW = 18;
// Within a row: the marks of faults, then a bar in the colour of the fault.
const BAR = { top: 7, height: 10, width: 5 };
// The least distance between marks of one shape.
const APART = 3;
// The fewest and the most rows.
const ROWS = { least: 4, most: 16 };
// The distances between the labels of the axis, in seconds.
const STEPS = [5, 10, 15, 30, 60, 120, 300, 600];

class Timeline {
  constructor() {
    this.plot = element('plot');
    this.canvas = element('canvas');
    this.pen = this.canvas.getContext('2d', { alpha: false });
    this.rows = ROWS.least;
    this.dress();
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.dress());
  }

  // Reads the page's colours, which depend on the colour scheme.
  dress() {
    const style = getComputedStyle(root);
    const colour = (name) => style.getPropertyValue(`--${name}`).trim();
    const [page, surface, line, ink, soft] = ['page', 'surface', 'line', 'ink', 'soft'].map(colour);
    const handlers = Array.from({ length: COLOURS + 1 }, (_, place) => colour(`c${place}`));
    this.colours = { page, surface, line, ink, soft, handlers };
    this.font = getComputedStyle(document.body).fontFamily;
  }

  // The rows keep their number while the same is shown: what is below should not move.
  restart() {
    this.rows = ROWS.least;
  }

  fit() {
    const scale = devicePixelRatio;
    const width = this.plot.clientWidth;
    const height = AXIS + CHART + this.rows * ROW;
    if (this.width === width && this.height === height && this.scale === scale) return;
    [this.width, this.height, this.scale] = [width, height, scale];
    this.canvas.width = Math.round(width * scale);
    this.canvas.height = Math.round(height * scale);
    this.canvas.style.height = `${height}px`;
    this.pen.setTransform(scale, 0, 0, scale, 0, 0);
  }

  x(time) {
    return GUTTER + (time - this.from) * (this.width - GUTTER) / (this.to - this.from);
  }

  // Paints the last `seconds` before `now`, in milliseconds.
  paint(past, seconds, now) {
    [this.from, this.to] = [now - seconds * 1000, now];
    const faults = past.faults.filter(({ time }) => time >= this.from);
    const { rows, others } = this.byConnection(faults);
    const count = rows.length + (others.length > 0 ? 1 : 0);
    this.rows = Math.max(this.rows, count);
    this.fit();
    const { pen, colours, width, height } = this;
    pen.fillStyle = colours.page;
    pen.fillRect(0, 0, width, height);
    const ticks = this.ticks(seconds);
    pen.fillStyle = colours.line;
    for (const { x } of ticks) pen.fillRect(x, AXIS, 1, height);
    this.chart(past);
    this.marks = MARKS_DRAWN.map(() => []);
    let top = AXIS + CHART;
    if (others.length > 0) {
      this.row('earlier', others, top);
      top += ROW;
    }
    for (const [connection, of] of rows) {
      this.row(connection, of, top);
      top += ROW;
    }
    if (count === 0) this.text('no faults in this time', (GUTTER + width) / 2, top + this.rows * ROW / 2, { align: 'center' });
    drawMarks(pen, colours.ink, this.marks);
    this.axis(ticks);
    return faults;
  }

  // The faults of the connections that had the latest ones, in their order, and all others.
  byConnection(faults) {
    const rows = new Map();
    const others = [];
    for (let place = faults.length - 1; place >= 0; place -= 1) {
      const fault = faults[place];
      const of = rows.get(fault.connection);
      if (of) of.push(fault);
      else if (rows.size < ROWS.most - 1) rows.set(fault.connection, [fault]);
      else others.push(fault);
    }
    return { rows: [...rows].sort(([a], [b]) => a - b), others };
  }

  chart(past) {
    const { pen, colours, width } = this;
    const [first, last] = [Math.ceil(this.from / 1000), Math.floor(this.to / 1000)];
    let most = 1;
    for (let second = first; second <= last; second += 1) {
      most = Math.max(most, past.calls.get(second) ?? 0, past.seconds.get(second)?.reduce((all, count) => all + count, 0) ?? 0);
    }
    const power = 10 ** Math.floor(Math.log10(most));
    const scale = [1, 2, 5, 10].map((times) => times * power).find((rounded) => rounded >= most);
    const bottom = AXIS + CHART;
    const high = CHART - 14;
    for (let second = first; second <= last; second += 1) {
      const left = Math.max(GUTTER, Math.round(this.x(second * 1000)));
      const across = Math.max(1, Math.round(this.x((second + 1) * 1000)) - left);
      const calls = past.calls.get(second);
      if (calls > 0) {
        const tall = Math.max(1, calls * high / scale);
        pen.fillStyle = colours.handlers[0];
        pen.globalAlpha = 0.55;
        pen.fillRect(left, bottom - tall, across, tall);
        pen.globalAlpha = 1;
      }
      const counts = past.seconds.get(second);
      if (!counts) continue;
      let low = bottom;
      counts.forEach((count, colour) => {
        if (count === 0) return;
        const tall = Math.max(1, count * high / scale);
        pen.fillStyle = colours.handlers[colour];
        pen.fillRect(left, low - tall, across, tall);
        low -= tall;
      });
    }
    pen.fillStyle = colours.line;
    pen.fillRect(GUTTER, bottom - high, width, 0.5);
    pen.fillRect(0, bottom - 0.5, width, 0.5);
    this.text(`${grouped.format(scale)} calls/s`, GUTTER - 8, bottom - high, { align: 'right' });
  }

  row(name, faults, top) {
    const { pen, colours } = this;
    this.text(String(name), GUTTER - 8, top + ROW / 2 + 2, { align: 'right' });
    pen.fillStyle = colours.line;
    pen.fillRect(GUTTER, top + ROW - 1, this.width, 0.5);
    const marked = [Infinity, Infinity, Infinity];
    // From the latest one back: neighbours would cover each other.
    for (const { time, colour, mark } of faults) {
      const x = Math.round(this.x(time));
      if (marked[mark] - x < APART) continue;
      marked[mark] = x;
      pen.fillStyle = colours.handlers[colour];
      pen.fillRect(x - 2, top + BAR.top, BAR.width, BAR.height);
      this.marks[mark].push(x, top);
    }
  }

  axis(ticks) {
    const { pen, colours, width } = this;
    pen.fillStyle = colours.surface;
    pen.fillRect(0, 0, width, AXIS);
    this.text('connection', GUTTER - 8, AXIS / 2, { align: 'right' });
    for (const { x, label } of ticks) {
      pen.fillStyle = colours.soft;
      pen.fillRect(x, AXIS - 5, 1, 5);
      if (x + 4 + pen.measureText(label).width < width) this.text(label, x + 4, AXIS / 2, {});
    }
  }

  // Round times of the clock, as many as fit.
  ticks(seconds) {
    const least = seconds * 80 / Math.max(1, this.width - GUTTER);
    const step = STEPS.find((rounded) => rounded >= least) ?? STEPS.at(-1);
    const ticks = [];
    for (let time = Math.ceil(this.from / 1000 / step) * step; time * 1000 <= this.to; time += step) {
      const text = clockText(time * 1000);
      ticks.push({ x: Math.round(this.x(time * 1000)), label: step < 60 ? text : text.slice(0, 5) });
    }
    return ticks;
  }

  text(text, x, y, { align = 'left' }) {
    const { pen } = this;
    pen.font = `400 12px ${this.font}`;
    pen.textAlign = align;
    pen.textBaseline = 'middle';
    pen.fillStyle = this.colours.soft;
    pen.fillText(text, x, y);
  }
}
