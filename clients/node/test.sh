#!/usr/bin/env bash
# Packs the client and vaurien's program for this platform, installs both into a fresh folder, and runs the tests and the examples
# there. It needs redis-server, node and npm. VAURIEN names another program than the debug build; arguments go to node --test.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=${CARGO_TARGET_DIR:-target}
if [[ -z ${VAURIEN:-} ]]; then
    cargo build --locked --quiet
    VAURIEN=$target/debug/vaurien
fi
VAURIEN=$(realpath "$VAURIEN")
client=$PWD/clients/node

# These versions of what the tests use, and no others, are in a place of their own.
place=$target/node-client
pins=$(cat "$client"/test/package{,-lock}.json)
if [[ $(cat "$place/pins" 2>/dev/null) != "$pins" ]]; then
    rm -rf "$place"
    mkdir -p "$place"
    cp "$client"/test/package{,-lock}.json "$place"
    npm --prefix "$place" ci --ignore-scripts --no-audit --no-fund --loglevel=error
    echo "$pins" >"$place/pins"
fi

# The test runners need Node 20.12. Where it is older, as in Debian 12, npm brings another one.
if ! node --eval 'const [major, minor] = process.versions.node.split("."); process.exitCode = +(major < 20 || (major == 20 && minor < 12))'; then
    newer=$(node --print '`node-${process.platform}-${process.arch}`')
    npm --prefix "$place/newer" install --no-audit --no-fund --loglevel=error "$newer@22.23.5"
    PATH=$(realpath "$place/newer/node_modules/$newer/bin"):$PATH
fi

# The fresh folder is inside of it, where modules of the place are found, too.
fresh=$(realpath "$place")/fresh
rm -rf "$fresh"
mkdir "$fresh"
cd "$fresh"
platform=$(node --print '`${process.platform}-${process.arch}`')
npm pack --silent "$client"
node "$client/platform.mjs" "$platform" "$VAURIEN"
# Packages for other platforms are optional, and not asked for.
echo '{ "private": true }' >package.json
npm install --offline --ignore-scripts --no-audit --no-fund --loglevel=error ./*.tgz
cp -r "$client"/{test,examples,README.md} .

../node_modules/.bin/tsc --project test/tsconfig.json
unset VAURIEN "${!VAURIEN_@}"
export CLIENT=$client PATH="$PATH:/usr/sbin"
# Two minutes are the most that it may take.
exec timeout --foreground --kill-after=10 120 node test/redis.mjs node --test "$@" test/*.test.mjs
