#!/usr/bin/env bash
# Throw dice for histories and rewind them: RUNS=200 runs, JOBS=2 at a time, of VERSIONS="10 18" (by default all), from SEED on (by
# default a new one). One run again: RUNS=1 with the SEED and VERSIONS that it printed.
# CHAOS_OPTIONS passes more options to tests/chaos.pl, e.g. "--set kind=standby". What a failed run leaves goes to KEEP (default
# build/chaos), named by its seed: clusters, target_before, operations.log, rewind.stderr, SEED.log. KEEP/results has a line for each run.
set -euo pipefail
. "$(dirname "$0")/environment.sh"

keep=${KEEP:-$checkout/build/chaos}
make_work "$(fast_directory)"
keep_what_failed()
{
    stop_servers_below "$work"
    mkdir -p "$keep"
    cat "$work/run/failed/results" >>"$keep/results" 2>/dev/null || true
    rm -f "$work/run/failed/results"
    if [ -n "$(ls -A "$work/run/failed" 2>/dev/null)" ]; then
        cp -a "$work/run/failed/." "$keep/"
        echo "what failed is in $keep"
    fi
    clean_up_work
}
trap keep_what_failed EXIT

install -m 644 "$checkout/tests/chaos.pl" "$work/"
install -m 755 "$checkout/build/tests/faults.so" "$checkout/build/tests/same_pages" "$work/bin/"
as_ordinary_user mkdir "$work/run/failed"

mapfile -t passed < <(env | grep -E '^(PG_BINDIR_[0-9_]+|PG_REWIND_TEST_TRACE)=' || true)

cd "$work/run"
# shellcheck disable=SC2086 # CHAOS_OPTIONS is a list
as_ordinary_user \
    PG_REWIND="$work/bin/pg_rewind" \
    PG_REWIND_FAULTS="$work/bin/faults.so" \
    PG_REWIND_SAME_PAGES="$work/bin/same_pages" \
    PG_REWIND_SERVERS="$servers" \
    PG_REWIND_TEST_KEEP=1 \
    PG_REWIND_TEST_PATIENCE="${PG_REWIND_TEST_PATIENCE:-120}" \
    "${passed[@]}" \
    TMPDIR="$work/run" \
    perl -I"$work/t/lib" "$work/chaos.pl" --runs="${RUNS:-20}" --jobs="${JOBS:-2}" --versions="${VERSIONS:-$(tested_versions)}" \
    ${SEED:+--seed="$SEED"} ${CHAOS_OPTIONS:-}
