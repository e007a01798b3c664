#!/usr/bin/env bash
# The Debian package and the portable directory for ARM64, made on another machine: cross-built in a bare Debian 12, kept in build/arm64, then the package
# installed there. Both programs rewind a pair of that system's servers under qemu-user. Run by root; tests/package_arm64.sh.
#
# Not tested by it: pg_rewind_divert, which is a script and the same for all machines (tests/package.sh); the processor itself.
set -euo pipefail
. "$(dirname "$0")/environment.sh"
. "$(dirname "$0")/bare_system.sh"

work=$(mktemp -d "${TMPDIR:-/tmp}/package.XXXXXX")
root=$work/root
trap 'umount "$root" 2>/dev/null || true; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
made=$checkout/build/arm64

is_for_arm64() { [ "$(od -An -tx2 -j18 -N2 "$root$1")" = ' 00b7' ]; } # e_machine of its ELF header

# What rewind_pair calls is a script, since the kernel does not start the program itself.
rewinds()
{
    local name=$1 program=$2

    is_for_arm64 "$program" || { echo "not ok - $name: $program is not for ARM64"; exit 1; }
    printf '#!/bin/sh\nexec qemu-aarch64 %s "$@"\n' "$program" >"$root/usr/local/bin/emulated"
    chmod 755 "$root/usr/local/bin/emulated"
    rewind_in "$root" 15 /usr/local/bin/emulated
    echo "ok - $name: $(run_in "$root" /usr/local/bin/emulated --version)"
}

make_system bookworm "$root"
mkdir "$root/src" "$root/opt/portable"
tar -C "$checkout" -c --exclude-vcs --exclude='./build*' . | tar -C "$root/src" -x
apt_in "$root" update
apt_in "$root" install make qemu-user postgresql-15
run_in "$root" make -C /src deb ARCH=arm64 >"$work/log" 2>&1 || { tail -n 50 "$work/log" >&2; exit 1; }
run_in "$root" make -C /src portable ARCH=arm64 >"$work/log" 2>&1 || { tail -n 50 "$work/log" >&2; exit 1; }
rm -rf "$made"
mkdir -p "$made"
cp "$root"/src/build/deb/*.deb "$root"/src/build/portable/*.tar.gz "$made/"

apt_in "$root" install "/src/build/deb/$(cd "$made" && ls pg-rewind-standalone_*.deb)"
rewinds 'the package' /usr/bin/pg_rewind
tar -C "$root/opt/portable" --strip-components=1 -xzf "$made"/pg_rewind-*-aarch64.tar.gz
strange=$(run_in "$root" qemu-aarch64 -E LD_TRACE_LOADED_OBJECTS=1 /opt/portable/pg_rewind |
    awk '$2 == "=>" && $3 !~ /^\/opt\// && $1 !~ /^(libc|libm|libresolv|libpthread|libdl|librt)\.so/')
[ -z "$strange" ] || { echo "not ok - libraries of the system: $strange"; exit 1; }
rewinds 'the portable directory' /opt/portable/pg_rewind
ls "$made"
