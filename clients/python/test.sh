#!/usr/bin/env bash
# Builds the wheel, and tests what is installed from it: the package `vaurien`, its pytest plugin and the code in README.md, with
# redis-py and requests. It needs python3, redis-server, musl-gcc, and the Rust target for musl. Arguments go to pytest. VAURIEN
# names another program than that of the wheel.
set -euo pipefail
cd "$(dirname "$0")/../.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
triple=$(uname -m)-unknown-linux-musl

# These versions, and no others, are in a place of their own.
place=$target/python-client
pins=$(cat clients/python/requirements.txt)
if [[ $(cat "$place/pins" 2>/dev/null) != "$pins" ]]; then
    rm -rf "$place"
    python3 -m venv "$place/venv"
    "$place/venv/bin/pip" install --quiet --disable-pip-version-check -r clients/python/requirements.txt
    echo "$pins" >"$place/pins"
fi
export PATH="$place/venv/bin:$PATH" PYTHONDONTWRITEBYTECODE=1

(cd clients/python && ruff check --quiet --no-cache && ruff format --quiet --no-cache --check)

# The wheel is built in the copy of the repository that the test of the image compiles, and with the same flags: that it is not
# stripped saves linking the program a second time.
rm -rf target/image "$place/wheel"
mkdir -p target/image/clients
cp -a Cargo.toml Cargo.lock LICENSE-* src benches target/image
cp -a clients/python target/image/clients
(cd target/image/clients/python && CARGO_TARGET_DIR=$target maturin build --quiet --release --strip false \
    --target "$triple" --compatibility manylinux2014 musllinux_1_2 --out "$place/wheel")
pip install --quiet --disable-pip-version-check --force-reinstall --no-deps "$place"/wheel/*.whl

mypy --no-error-summary --config-file clients/python/pyproject.toml --cache-dir "$place/mypy" \
    clients/python/src/vaurien clients/python/tests/typed_use.py

# Ten minutes are the most that it may take. On SIGINT pytest ends what it has started.
cd clients/python
PATH="$PATH:/usr/sbin" exec timeout --foreground --signal=INT --kill-after=30 600 \
    python -m pytest -q -p no:cacheprovider -p pytester tests "$@"
