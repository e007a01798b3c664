#!/usr/bin/env bash
# The Debian package and the portable directory for ARM64, made on another machine: cross-built in a bare Debian 12, kept in build/arm64, then the package
# installed there. Both programs rewind a pair of that system's servers under qemu-user; the portable one also in a root directory that has nothing
# else (tests/portable_alone.sh). Run by root; tests/package_arm64.sh.
#
# Not tested by it: pg_rewind_divert, which is a script and the same for all machines (tests/package.sh); the processor itself.
set -euo pipefail
. "$(dirname "$0")/environment.sh"
. "$(dirname "$0")/bare_system.sh"

work=$(mktemp -d "${TMPDIR:-/tmp}/package.XXXXXX")
root=$work/root
handler=pg_rewind-test-$$ # of binfmt_misc
trap '[ ! -e "/proc/sys/fs/binfmt_misc/$handler" ] || echo -1 >"/proc/sys/fs/binfmt_misc/$handler"
      umount "$root" 2>/dev/null || true; rm -rf "$work"' EXIT
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

# Its wrapper executes its loader, so the kernel itself must start an emulator for this machine's programs: one that is linked statically, and is held
# open, since the directory is alone later.
mountpoint -q /proc/sys/fs/binfmt_misc || mount -t binfmt_misc binfmt_misc /proc/sys/fs/binfmt_misc 2>/dev/null || true
if [ ! -e /proc/sys/fs/binfmt_misc/register ]; then
    echo "not tried here: the portable directory, since the kernel has no binfmt_misc"
    ls "$made"
    exit 0
fi
apt_in "$root" install qemu-user-static
printf '%s' ":$handler:M::\x7fELF\x02\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02\x00\xb7\x00:\xff\xff\xff\xff\xff\xff\xff\x00\xff\xff\xff\xff\xff\xff\xff\xff\xfe\xff\xff\xff:$root/usr/bin/qemu-aarch64-static:F" \
    >/proc/sys/fs/binfmt_misc/register
tar -C "$root/opt/portable" --strip-components=1 -xzf "$made"/pg_rewind-*-aarch64.tar.gz
for file in pg_rewind lib/pg_rewind lib/ld-linux-aarch64.so.1; do
    is_for_arm64 "/opt/portable/$file" || { echo "not ok - $file is not for ARM64"; exit 1; }
done
strange=$(run_in "$root" env LD_TRACE_LOADED_OBJECTS=1 /opt/portable/pg_rewind | awk '$2 == "=>" && $3 !~ /^\/opt\//')
[ -z "$strange" ] || { echo "not ok - libraries of the system: $strange"; exit 1; }
for way in socket rejoin; do
    rewind_in "$root" 15 /opt/portable/pg_rewind $way
    echo "ok - the portable directory, $way: $(run_in "$root" /opt/portable/pg_rewind --version)"
done
# The sandbox forbids clone3, without which an emulator of today makes no thread: it ends before it runs anything.
KERNELS='now old' "$(dirname "$0")/portable_alone.sh" /usr/lib/postgresql/15/bin "$root/opt/portable"
echo 'not tried here: the portable directory in a sandbox of that age, since the emulator does not run in it'
ls "$made"
