#!/usr/bin/env bash
# Runs the lines of docs/install.md in a copy of the repository, but for those of Docker and `cargo install`. It needs what they
# name: the Rust target for musl, musl-gcc, python3, node and npm.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")

# Always the same folder, so that cargo takes what the test of the image has compiled in it.
copy=target/image
rm -rf "$copy"
mkdir -p "$copy"
cp -a .ci Cargo.toml Cargo.lock LICENSE-* README.md CHANGELOG.md vaurien.toml.example src benches clients "$copy"

lines=$(awk '/^```/ { inside = $0 == "```sh"; next } inside' docs/install.md | grep -v '^docker \|^cargo install ')
# What they build is where they look for it.
ln -sfn "$target" "$copy/target"
(cd "$copy" && CARGO_TARGET_DIR=$target bash -euxc "$lines") >"$target/install.log" 2>&1 || { cat "$target/install.log" >&2; exit 1; }

cd "$copy/dist"
shopt -s nullglob
for made in vaurien-*-unknown-linux-musl.tar.gz vaurien_proxy-*.whl vaurien-[0-9]*.tgz vaurien-linux-*.tgz; do
    echo "$(du -k "$made" | cut -f1) KiB: $made"
done | tee "$target/install.sizes"
[[ $(wc -l <"$target/install.sizes") == 4 ]]
tar --extract --to-stdout --gzip --file vaurien-*-unknown-linux-musl.tar.gz --wildcards '*/vaurien.1' | grep '^.TH VAURIEN' >/dev/null
