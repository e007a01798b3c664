#!/usr/bin/env bash
# Make the corpora anew, as few inputs as reach all that is reached:
# KEEP=DIR tests/fuzz/run.sh SECONDS && tests/fuzz/merge.sh DIR [TARGET...]
#
# They are made of the bytes of real servers, of what is in the corpora and of what was found by that run.
set -euo pipefail

checkout=$(cd "$(dirname "$0")/../.." && pwd)
. "$checkout/tests/environment.sh"
programs=$1
shift
seeds=$(mktemp -d /tmp/pg_rewind_seeds.XXXXXX)
trap 'rm -rf "$seeds"' EXIT

perl "$checkout/tests/fuzz/seeds.pl" "$checkout/tests/data" "$servers/node_modules" "$seeds"
for found in "$programs"/*.found; do
    target=$(basename "$found" .found)
    [ $# -eq 0 ] || [[ " $* " = *" $target "* ]] || continue
    corpus=$checkout/tests/fuzz/corpus/$target
    mkdir -p "$corpus" "$seeds/$target" "$seeds/$target.merged"
    "$programs/$target" -merge=1 -use_counters=0 "$seeds/$target.merged" "$seeds/$target" "$corpus" "$found" >/dev/null 2>&1
    find "$corpus" -type f -not -name 'regression-*' -delete
    cp "$seeds/$target.merged"/* "$corpus/"
    echo "$target: $(find "$corpus" -type f | wc -l) inputs, $(du -sb "$corpus" | cut -f1) bytes"
done
