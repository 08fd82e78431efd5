#!/usr/bin/env bash
# Uses the live page in a real browser, in front of a real Redis. It needs chromium, redis-server, redis-cli, curl, node and npm.
# VAURIEN names another program than the debug build, CHROMIUM another browser; arguments go to node's test runner. Pictures are in
# target/web/; with UPDATE_DOCS=1 the one of the documentation is replaced as well.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=${CARGO_TARGET_DIR:-target}
if [[ -z ${VAURIEN:-} ]]; then
    cargo build --locked --quiet
    VAURIEN=$target/debug/vaurien
fi

# This version of the browser's driver, and no other, is in a place of its own.
place=$target/web
pins=$(cat tests/web/package.json tests/web/package-lock.json)
if [[ $(cat "$place/pins" 2>/dev/null) != "$pins" ]]; then
    rm -rf "$place"
    mkdir -p "$place"
    cp tests/web/package{,-lock}.json "$place"
    npm --prefix "$place" ci --ignore-scripts --no-audit --no-fund --loglevel=error
    echo "$pins" >"$place/pins"
fi

VAURIEN=$(realpath "$VAURIEN")
PLAYWRIGHT=$(realpath "$place/node_modules/playwright-core/index.mjs")
PICTURES=$(realpath "$place")
export VAURIEN PLAYWRIGHT PICTURES CHROMIUM="${CHROMIUM:-/usr/bin/chromium}" PATH="$PATH:/usr/sbin"
# Ten minutes are the most that it may take.
exec timeout --foreground --signal=INT --kill-after=30 600 node --test "$@" tests/web/page.test.mjs
