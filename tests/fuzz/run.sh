#!/usr/bin/env bash
# Build the fuzz targets with clang and run each for some seconds: tests/fuzz/run.sh [SECONDS [TARGET...]]
# The files of tests/data are the first inputs. What is found becomes a file there.
set -euo pipefail

checkout=$(cd "$(dirname "$0")/../.." && pwd)
seconds=${1:-10}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- control walpage walrecord history backup_label recovery_conf
scratch=$(mktemp -d /tmp/pg_rewind_fuzz.XXXXXX)
trap 'rm -rf "$scratch"' EXIT

for target in "$@"; do
    clang -std=c11 -D_GNU_SOURCE -g -O1 -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=all \
        -I "$checkout/src" -o "$scratch/$target" "$checkout/tests/fuzz/fuzz_$target.c" \
        "$checkout"/src/base/*.c "$checkout"/src/format/*.c -lisal -lpthread
    mkdir "$scratch/$target.corpus"
    "$scratch/$target" -max_total_time="$seconds" -max_len=9000 -verbosity=0 -print_final_stats=1 \
        -artifact_prefix="$PWD/" "$scratch/$target.corpus" "$checkout/tests/data" 2>&1 |
        sed -n "s/^stat::number_of_executed_units:/$target:/p; /ERROR\|SUMMARY\|Test unit written/p"
done
