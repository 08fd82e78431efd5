#!/usr/bin/env bash
# Everything at once in front of real servers, for an hour or as long as SOAK says: SOAK=60s tests/soak.sh
# It needs redis-server, memcached, nginx and python3. VAURIEN names another program than the debug build.
set -euo pipefail
cd "$(dirname "$0")/.."
if [[ -z ${VAURIEN:-} ]]; then
    cargo build --locked --quiet
    VAURIEN=target/debug/vaurien
fi
export VAURIEN PATH="$PATH:/usr/sbin"
exec python3 tests/soak.py
