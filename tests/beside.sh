#!/usr/bin/env bash
# Run end-to-end tests with the original beside the program, and print a table of the rewinds that end differently: see t/lib/RewindTest/Beside.pm.
#
#   tests/beside.sh [t/NNN_name.pl ...]    without any: all but those that interrupt, throw dice, or make no pairs of this version
#
# Originals are those of Debian's 15, of the server of 19, of the server of 18 that `make bench` has fetched, and what lies in PG_REWIND_TEST_ORIGINALS=DIRECTORY by the name DIRECTORY/VERSION/pg_rewind, with
# its postgres beside it. PG_VERSIONS and PROVE as in tests/end_to_end.sh. A test may fail because another program has looked at its source before.
set -euo pipefail
. "$(dirname "$0")/environment.sh"

originals=$(realpath -m "${PG_REWIND_TEST_ORIGINALS:-$(dirname "$servers")/originals}")
tests=("$@")
if [ ${#tests[@]} -eq 0 ]; then
    for test in "$checkout"/t/*.pl; do
        [[ $test =~ /(40.|520|521|522|600|610|700)_ ]] || tests+=("$test")
    done
fi

mkdir -p "$originals"
[ -e "$originals/15" ] || ln -sfn /usr/lib/postgresql/15/bin "$originals/15"
[ -e "$originals/18" ] || ln -sfn "$servers/$original_18/bin" "$originals/18"
[ -e "$originals/19" ] || ln -sfn "$servers/19/bin" "$originals/19"
: >"$originals/rows.jsonl"
[ "$(id -u)" != 0 ] || chown "$ordinary_user" "$originals/rows.jsonl"

versions=()
for version in "${all_versions[@]}"; do
    [ ! -x "$originals/$version/pg_rewind" ] || versions+=("$version")
done

PG_REWIND_TEST_ORIGINALS=$originals PG_REWIND_TEST_DRY=no PG_VERSIONS="${PG_VERSIONS:-${versions[*]}}" "$checkout/tests/end_to_end.sh" "${tests[@]}" || true
"$checkout/tests/beside_table" "$originals/rows.jsonl"
