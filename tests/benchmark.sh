#!/usr/bin/env bash
# Time and bytes against the original of version 15, side by side in one run; see tests/benchmark.pl.
set -euo pipefail
. "$(dirname "$0")/environment.sh"

make_work
install -m 644 "$checkout/tests/benchmark.pl" "$work/"
cd "$work"
as_ordinary_user PG_REWIND="$work/bin/pg_rewind" PG_REWIND_SERVERS="$servers" TMPDIR="$work/run" \
    SCALE="${SCALE:-100}" SECONDS_OF_WRITING="${SECONDS_OF_WRITING:-60}" \
    perl -It/lib benchmark.pl
