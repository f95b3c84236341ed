#!/bin/sh
# Builds the eBPF programs: redirect-ebpf/programs/ -> redirect-ebpf/programs/portcullis.bpf.o, the same bytes on every
# machine. With --check builds aside and compares with what is checked in.
#
# Needs Debian's rustc-web, rust-web-src and llvm-22-dev (deploy/setup.sh installs them) and a cargo. bpf-linker is built
# into a cache on first use.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
repository=$(dirname "$here")
cache=${XDG_CACHE_HOME:-${HOME:?}/.cache}/portcullis
version=0.13.0
object=$here/programs/portcullis.bpf.o

fail() { echo "build-programs: $*" >&2; exit 1; }

[ -x /usr/bin/rustc ] || fail "/usr/bin/rustc is missing; run deploy/setup.sh programs"
[ -d /usr/lib/llvm-22 ] || fail "LLVM 22 is missing; run deploy/setup.sh programs"

linker=${BPF_LINKER:-$(command -v bpf-linker || true)}
if [ -z "$linker" ] || ! "$linker" --version 2>/dev/null | grep -q "$version"; then
    linker=$cache/bin/bpf-linker
    if [ ! -x "$linker" ] || ! "$linker" --version | grep -q "$version"; then
        echo "build-programs: building bpf-linker $version into $cache"
        PATH=/usr/lib/llvm-22/bin:$PATH cargo install --quiet --locked --root "$cache" "bpf-linker@$version" \
            --no-default-features --features llvm-22
    fi
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Neither the place of the sources nor that of the build may reach the object, or it would differ from machine to machine.
# Names of symbols hash the paths of packages, relative only for those below the root of their workspace: hence the copy,
# with the shared types inside.
home=${CARGO_HOME:-$HOME/.cargo}
sources=$work/sources
mkdir "$sources"
cp -r "$here/programs/src" "$here/programs/Cargo.lock" "$sources/"
cp -r "$here/common" "$sources/common"
# What the types need for the loader is in no lock file of the programs.
sed -i 's/\["dep:aya"\]/[]/; /^aya = /d' "$sources/common/Cargo.toml"
sed 's|path = "../common"|path = "common"|' "$here/programs/Cargo.toml" >"$sources/Cargo.toml"
cd "$sources"
RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 CARGO_TARGET_DIR=$work/target CARGO_INCREMENTAL=0 \
    RUSTFLAGS="-C linker=$linker -C debuginfo=2 -C link-arg=--btf --remap-path-prefix=$sources=/portcullis \
--remap-path-prefix=$home=/cargo --remap-path-prefix=$work=/build" \
    cargo build --quiet --locked --release --target bpfel-unknown-none -Z build-std=core
built=$work/target/bpfel-unknown-none/release/portcullis

if [ "${1:-}" = --check ]; then
    cmp "$built" "$object" || fail "programs/portcullis.bpf.o is not what the sources give; run redirect-ebpf/build-programs.sh"
    echo "build-programs: programs/portcullis.bpf.o is what the sources give"
else
    cp "$built" "$object"
    chmod 644 "$object"
    echo "build-programs: wrote ${object#"$repository"/} ($(wc -c <"$object") bytes)"
fi
