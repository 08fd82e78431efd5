// The colours of handlers, as the report has them.
const COLOURS = 12;
const FIXED = new Map(root.dataset.colours.split(' ').map((pair) => pair.split('=')).map(([name, colour]) => [name, Number(colour)]));

// The number of a handler's colour; of a sequence that of its last step.
function colourOf(label) {
  const name = label.split(/[.+]/).pop();
  const fixed = FIXED.get(name);
  if (fixed !== undefined) return fixed;
  return new TextEncoder().encode(name).reduce((sum, byte) => (sum * 31 + byte) % 65521, 0) % COLOURS + 1;
}

// The name after a patch of its colour.
function named(label) {
  return make('span', 'name', make('span', `swatch c${colourOf(label)}`), make('span', '', visible(label)));
}
