#!/usr/bin/env bash
# Throw dice for split brains and rewind them: RUNS=200 runs, JOBS=2 at a time, from SEED on (by default a new one).
# RANDOM_OPTIONS passes more options to tests/random_split_brain.pl, e.g. "--set version=15". What a failed run leaves
# goes to KEEP (default build/random), named by its seed: clusters, target_before, operations.log, rewind.stderr, SEED.log.
set -euo pipefail
. "$(dirname "$0")/environment.sh"

keep=${KEEP:-$checkout/build/random}
make_work "$(fast_directory)"
keep_what_failed()
{
    stop_servers_below "$work"
    if [ -n "$(ls -A "$work/run/failed" 2>/dev/null)" ]; then
        mkdir -p "$keep"
        cp -a "$work/run/failed/." "$keep/"
        echo "what failed is in $keep"
    fi
    clean_up_work
}
trap keep_what_failed EXIT

install -m 644 "$checkout/tests/random_split_brain.pl" "$work/"
as_ordinary_user mkdir "$work/run/failed"

cd "$work/run"
# shellcheck disable=SC2086 # RANDOM_OPTIONS is a list
as_ordinary_user \
    PG_REWIND="$work/bin/pg_rewind" \
    PG_REWIND_SERVERS="$servers" \
    PG_REWIND_TEST_KEEP=1 \
    PG_REWIND_TEST_PATIENCE="${PG_REWIND_TEST_PATIENCE:-60}" \
    TMPDIR="$work/run" \
    perl -I"$work/t/lib" "$work/random_split_brain.pl" --runs="${RUNS:-20}" --jobs="${JOBS:-2}" \
    ${SEED:+--seed="$SEED"} ${RANDOM_OPTIONS:-}
