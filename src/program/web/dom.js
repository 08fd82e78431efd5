// Elements and texts. Whatever a client or a backend has sent gets into the page by `textContent` alone.
const root = document.documentElement;
const element = (id) => document.getElementById(id);

// Characters that cannot be seen, or that change the order of those around them.
const HIDDEN = /[\p{Cc}\p{Cf}\u2028\u2029]/gu;

// The text with such characters shown by their number.
function visible(text) {
  return String(text).replace(HIDDEN, (character) => `\\u{${character.codePointAt(0).toString(16)}}`);
}

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function make(tag, className, ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children);
  return node;
}

function button(text, label, act) {
  const node = make('button', '', text);
  node.type = 'button';
  if (label) node.setAttribute('aria-label', visible(label));
  node.addEventListener('click', act);
  return node;
}

// Makes the children of `parent` those of `items`: by `build` if they are new, with `fill` in any case. A child that stays keeps the
// focus.
function fill(parent, items, keyOf, build, update) {
  const focused = parent.contains(document.activeElement) ? document.activeElement : null;
  const old = new Map([...parent.children].map((child) => [child.key, child]));
  items.forEach((item, place) => {
    const key = keyOf(item);
    let child = old.get(key);
    if (child) old.delete(key); else child = Object.assign(build(item), { key });
    update(child, item);
    const there = parent.children[place];
    if (there !== child) parent.insertBefore(child, there ?? null);
  });
  for (const child of old.values()) child.remove();
  if (focused?.isConnected && document.activeElement !== focused) focused.focus({ preventScroll: true });
}

// A row with this many cells; those of `numbers` are aligned to the right.
function row(count, numbers = []) {
  const node = make('tr');
  for (let place = 0; place < count; place += 1) node.append(make('td', numbers.includes(place) ? 'number' : ''));
  return node;
}

function setCells(node, texts) {
  texts.forEach((text, place) => { if (text !== null) setText(node.cells[place], visible(text)); });
}

const grouped = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

function counted(count, thing) {
  return `${grouped.format(count)} ${thing}${count === 1 ? '' : 's'}`;
}

function rateText(rate) {
  if (rate === null) return '–';
  return rate >= 100 ? grouped.format(rate) : String(Number(rate.toFixed(1)));
}

function bytesText(bytes) {
  if (bytes === null) return '–';
  let [size, place] = [bytes, 0];
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  while (size >= 999.5 && place < units.length - 1) [size, place] = [size / 1000, place + 1];
  return `${place === 0 ? grouped.format(size) : Number(size.toPrecision(3))} ${units[place]}`;
}

// Three digits and a unit.
function timeText(seconds) {
  if (seconds === null || seconds === undefined) return '–';
  if (seconds === 0) return '0 s';
  if (seconds < 1e-3) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 1) return `${Number((seconds * 1e3).toPrecision(3))} ms`;
  if (seconds < 60) return `${Number(seconds.toPrecision(3))} s`;
  const whole = Math.round(seconds);
  if (whole < 3600) return `${Math.floor(whole / 60)} m ${whole % 60} s`;
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} m`;
}

function clockText(time) {
  return new Date(time).toTimeString().slice(0, 8);
}
