#!/usr/bin/env bash
# Build the program for ARM64 and test it under qemu-user: the unit tests, and a sample of the end-to-end tests, or the files given, in which it
# rewinds directories of this machine's servers. PG_VERSIONS as in tests/end_to_end.sh; without it some tests run on fewer versions.
#
# What qemu-user cannot do is printed as skipped. Neither the order of memory accesses between an ARM's cores is tested by it, nor its speed.
set -euo pipefail
cd "$(dirname "$0")/.."
. tests/environment.sh

build="build-arm64"
export EMULATOR="qemu-aarch64 -L $arm64_root"

[ -f $build/build.ninja ] || meson setup $build --cross-file "$arm64_root/root.ini" --cross-file tests/arm64.ini -Dwerror=true >/dev/null
ninja -C $build >/dev/null || ninja -C $build
machine=$(od -An -tx2 -j18 -N2 $build/pg_rewind) # e_machine of its ELF header
[ "$machine" = ' 00b7' ] || { echo "$build/pg_rewind is not for ARM64" >&2; exit 1; }

echo "==> unit tests, ARM64"
meson test -C $build --no-rebuild --print-errorlogs --timeout-multiplier 5
grep '^skipped:' $build/meson-logs/testlog.txt

# The tests pass without the instruction too, so look at what is executed.
$EMULATOR -d in_asm -D $build/executed $build/tests/test_crc32c >/dev/null 2>&1
awk '/^IN:/ { short = $2 == "joined_short" } short && / crc32cx / { found = 1 } END { exit !found }' $build/executed ||
    { echo "the checksum of a WAL record is not made by the processor's instruction" >&2; exit 1; }
echo "the checksum of a WAL record is made by the processor's instruction"
rm $build/executed

end_to_end()
{
    PG_REWIND=$PWD/$build/pg_rewind PG_REWIND_FAULTS=$PWD/$build/tests/faults.so PG_REWIND_TEST_PATIENCE=300 tests/end_to_end.sh "$@"
}

echo "skipped: t/490 under qemu-user, for strace sees the emulator's own calls"
echo "==> end-to-end tests, ARM64 rewinds what $(uname -m) wrote"
if [ $# -gt 0 ]; then
    end_to_end "$@"
else
    PG_VERSIONS=${PG_VERSIONS:-10 15 18} end_to_end t/100*.pl t/110*.pl
    PG_VERSIONS=${PG_VERSIONS:-15} end_to_end t/140*.pl t/170*.pl t/325*.pl t/400*.pl t/420*.pl t/445*.pl t/500*.pl
fi
