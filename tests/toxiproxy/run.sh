#!/usr/bin/env bash
# Holds Toxiproxy's clients, unchanged, to `vaurien --toxiproxy`: toxiproxy-node-client, @testcontainers/toxiproxy,
# toxiproxy-python, chaostoolkit-toxiproxy, toxiproxy_rust and noxious-client. It needs python3, node, npm and cargo. VAURIEN names
# another program than the debug build; arguments go to pytest.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=${CARGO_TARGET_DIR:-target}
if [[ -z ${VAURIEN:-} ]]; then
    cargo build --locked --quiet
    VAURIEN=$target/debug/vaurien
fi

# These versions of the clients, and no others, are in a place of their own.
clients=tests/toxiproxy/clients
place=$target/toxiproxy-clients
pins=$(cat $clients/{requirements.txt,package.json,package-lock.json} $clients/no-docker/*)
if [[ $(cat "$place/pins" 2>/dev/null) != "$pins" ]]; then
    rm -rf "$place/python" "$place/node"
    python3 -m venv "$place/python"
    "$place/python/bin/pip" install --quiet --disable-pip-version-check -r $clients/requirements.txt
    mkdir "$place/node"
    cp -r $clients/package{,-lock}.json $clients/no-docker "$place/node"
    npm --prefix "$place/node" ci --ignore-scripts --no-audit --no-fund --loglevel=error
    echo "$pins" >"$place/pins"
fi
cargo build --locked --quiet --manifest-path $clients/rust/Cargo.toml --target-dir "$place/rust"

VAURIEN=$(realpath "$VAURIEN")
NODE_PATH=$(realpath "$place/node/node_modules")
RUST_CLIENTS=$(realpath "$place/rust/debug/toxiproxy-clients")
export VAURIEN NODE_PATH RUST_CLIENTS PYTHONDONTWRITEBYTECODE=1
# Ten minutes are the most that it may take. On SIGINT pytest ends what it has started.
exec timeout --foreground --signal=INT --kill-after=30 600 \
    "$place/python/bin/python" -m pytest -q -p no:cacheprovider $clients "$@"
