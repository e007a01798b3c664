#!/usr/bin/env bash
# Build the fuzz targets with clang and run each for some seconds, two at a time:
# tests/fuzz/run.sh [SECONDS [TARGET...]]
#
# A target begins with the inputs in tests/fuzz/corpus/TARGET, found here before or taken from real servers.
# An input that makes one fail is left in the current directory: it goes into tests/fuzz/corpus/TARGET with the fix.
# EXECUTIONS=N runs each until it has made N executions instead. KEEP=DIR keeps the programs and what they found.
# SANITIZERS=undefined leaves the address sanitizer out: three times as quick.
set -euo pipefail

checkout=$(cd "$(dirname "$0")/../.." && pwd)
seconds=${1:-10}
[ $# -eq 0 ] || shift
if [ $# -eq 0 ]; then
    for source in "$checkout"/tests/fuzz/fuzz_*.c; do
        source=${source##*/fuzz_}
        set -- "$@" "${source%.c}"
    done
fi
if [ -n "${KEEP:-}" ]; then
    mkdir -p "$KEEP"
    scratch=$(cd "$KEEP" && pwd)
else
    scratch=$(mktemp -d /tmp/pg_rewind_fuzz.XXXXXX)
    trap 'rm -rf "$scratch"' EXIT
fi
mkdir -p "$scratch/objects"
sanitizers=${SANITIZERS:-address,undefined}
export checkout scratch seconds sanitizers

compile()
{
    clang -std=c11 -D_GNU_SOURCE -g -O2 -fno-omit-frame-pointer "-fsanitize=fuzzer-no-link,$sanitizers" \
        -fno-sanitize-recover=all -DARENA_PIECES_APART -I "$checkout/src" -I "$checkout/tests/fuzz" -I/usr/include/postgresql \
        -c "$1" -o "$scratch/objects/$2.o"
}

compile_source()
{
    local name=${1#"$checkout"/}

    compile "$1" "${name//\//_}"
}

# System calls for files go through memory_files.c, where a target links it.
link_target()
{
    local wrapped=(open pread close lstat stat fstat unlink rmdir kill nanosleep clock_gettime poll write fsync)
    local own=$checkout/tests/fuzz/fuzz_$1.c
    local used=() libpq=(-lpq)

    compile "$own" "fuzz_$1"
    if grep -q 'include "memory_files.h"' "$own"; then
        used=("$scratch/objects/tests_fuzz_memory_files.c.o" "${wrapped[@]/#/-Wl,--wrap=}")
    fi
    if grep -q 'include "fake_libpq.h"' "$own"; then
        used+=("$scratch/objects/tests_fuzz_fake_libpq.c.o" -Wl,--wrap=pthread_{create,join,detach})
        libpq=()
    fi
    clang "-fsanitize=fuzzer,$sanitizers" -o "$scratch/$1" "$scratch/objects/fuzz_$1.o" "${used[@]}" \
        "$scratch/project.a" "${libpq[@]}" -lisal -lcrypto -lz -lzstd -llz4 -lpthread
}

run_target()
{
    local target=$1 limit=(-max_total_time="$seconds") status=0 length
    local dictionary=$checkout/tests/fuzz/$target.dict

    # What is long enough to say all; shorter inputs are quicker.
    case $target in
        control) length=600 ;;
        walpage) length=64 ;;
        wal_scan) length=1500 ;;
        *) length=1500 ;;
    esac
    [ -z "${EXECUTIONS:-}" ] || limit=(-runs="$EXECUTIONS")
    [ ! -f "$dictionary" ] || limit+=(-dict="$dictionary")
    mkdir -p "$scratch/$target.found" "$checkout/tests/fuzz/corpus/$target"
    ASAN_OPTIONS=quarantine_size_mb=2:malloc_context_size=2 nice -n "${NICE:-5}" \
        "$scratch/$target" "${limit[@]}" -max_len="$length" -timeout=20 -rss_limit_mb=1500 -print_final_stats=1 \
        -artifact_prefix="$PWD/$target-" "$scratch/$target.found" "$checkout/tests/fuzz/corpus/$target" \
        >"$scratch/$target.log" 2>&1 || status=$?
    sed -n "s/^stat::number_of_executed_units: */$target: executions /p" "$scratch/$target.log"
    if [ $status -ne 0 ]; then
        echo "$target: failed"
        grep -v '^#[0-9]' "$scratch/$target.log" | tail -n 60
        return 1
    fi
}

export -f compile compile_source link_target run_target
find "$checkout"/src/*/ "$checkout/tests/fuzz" -name '*.c' -not -name 'fuzz_*.c' |
    xargs -P 2 -I{} bash -ec 'compile_source {}'
rm -f "$scratch/project.a"
find "$scratch/objects" -name 'src_*.o' -print0 | xargs -0 ar rcs "$scratch/project.a"
printf '%s\n' "$@" | xargs -P 2 -I{} bash -ec 'link_target {}'
printf '%s\n' "$@" | xargs -P "${JOBS:-2}" -I{} bash -ec 'run_target {}'
