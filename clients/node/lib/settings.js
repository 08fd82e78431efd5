'use strict';
const { VaurienError } = require('./error.js');

/** The most typos in a name for which another one is suggested. */
const MOST_TYPOS = 3;

/** Refuses what a call does not know, and would do nothing. */
function check(given, known) {
  if (typeof given !== 'object' || given === null) {
    throw new VaurienError(`\`${given}\` is no object with settings: write { ${known[0]}: … }`);
  }
  const unknown = Object.keys(given).filter((name) => !known.includes(name));
  if (unknown.length > 0) throw new VaurienError(unknown.map((name) => describe(name, known)).join('; '));
}

function describe(name, known) {
  const meant = nearest(name, known);
  return `unknown setting \`${name}\`${meant ? `, did you mean \`${meant}\`?` : ` (known: ${known.join(', ')})`}`;
}

function nearest(given, names) {
  const most = Math.min(Math.max(Math.floor(given.length / 3), 1), MOST_TYPOS);
  for (let typos = 0; typos <= most; typos++) {
    const meant = names.find((name) => isNear(given.toLowerCase(), name.toLowerCase(), typos));
    if (meant) return meant;
  }
}

/** Whether at most `typos` letters are missing, added, wrong or swapped with the next. */
function isNear(one, other, typos) {
  if (typos < 0) return false;
  if (!one || !other) return one.length + other.length <= typos;
  const [oneRest, otherRest] = [one.slice(1), other.slice(1)];
  if (one[0] === other[0]) return isNear(oneRest, otherRest, typos);
  if (one[0] === other[1] && one[1] === other[0] && isNear(one.slice(2), other.slice(2), typos - 1)) return true;
  return [
    [oneRest, other],
    [one, otherRest],
    [oneRest, otherRest],
  ].some(([left, right]) => isNear(left, right, typos - 1));
}

module.exports = { check };
