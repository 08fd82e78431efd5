#!/usr/bin/env bash
# Runs every test, those against real servers as well. On Debian and Ubuntu it installs the servers and clients that are
# missing, without starting them; elsewhere it names them.
set -euo pipefail
cd "$(dirname "$0")/.."

# Programs and the packages that have them.
needed="redis-server:redis-server redis-cli:redis-tools redis-benchmark:redis-tools memcached:memcached nginx:nginx
    wrk:wrk curl:curl python3:python3"
as_root=env
if ((EUID != 0)); then as_root="sudo env"; fi

# What has a service is started by the distribution when it is installed, unless this file says no.
policy=/usr/sbin/policy-rc.d

install_packages() (
    if [[ ! -e $policy ]]; then
        trap '$as_root rm -f "$policy"' EXIT
        printf '#!/bin/sh\nexit 101\n' | $as_root tee "$policy" >/dev/null
        $as_root chmod +x "$policy"
    fi
    $as_root apt-get update
    $as_root DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends "$@"
)

missing=()
for pair in $needed; do
    # Servers are not on everybody's path.
    PATH="$PATH:/usr/sbin" command -v "${pair%:*}" >/dev/null || missing+=("${pair#*:}")
done
if ((${#missing[@]} > 0)); then
    if ! command -v apt-get >/dev/null || ! command -v "${as_root%% *}" >/dev/null; then
        echo "tests/run.sh: these have to be installed first: ${missing[*]}" >&2
        exit 1
    fi
    install_packages "${missing[@]}"
fi

cargo test --locked -- --include-ignored
