#!/usr/bin/env bash
# Holds real clients to vaurien's answers: redis-py, node-redis, ioredis, pymemcache, requests, grpcio and curl. It needs redis-server,
# memcached, curl, openssl, python3, node and npm. VAURIEN names another program than the debug build; arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=${CARGO_TARGET_DIR:-target}
if [[ -z ${VAURIEN:-} ]]; then
    cargo build --locked --quiet
    VAURIEN=$target/debug/vaurien
fi

# These versions of the clients, and no others, are in a place of their own.
place=$target/clients
pins=$(cat tests/clients/{requirements.txt,package.json,package-lock.json})
if [[ $(cat "$place/pins" 2>/dev/null) != "$pins" ]]; then
    rm -rf "$place"
    python3 -m venv "$place/python"
    "$place/python/bin/pip" install --quiet --disable-pip-version-check -r tests/clients/requirements.txt
    mkdir "$place/node"
    cp tests/clients/package{,-lock}.json "$place/node"
    npm --prefix "$place/node" ci --ignore-scripts --no-audit --no-fund --loglevel=error
    echo "$pins" >"$place/pins"
fi

VAURIEN=$(realpath "$VAURIEN")
NODE_PATH=$(realpath "$place/node/node_modules")
export VAURIEN NODE_PATH PATH="$PATH:/usr/sbin" PYTHONDONTWRITEBYTECODE=1
# Ten minutes are the most that it may take. On SIGINT pytest ends what it has started.
exec timeout --foreground --signal=INT --kill-after=30 600 \
    "$place/python/bin/python" -m pytest -q -p no:cacheprovider tests/clients "$@"
