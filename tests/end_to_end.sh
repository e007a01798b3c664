#!/usr/bin/env bash
# Run end-to-end tests: all of t/, or the files given. PG_VERSIONS="15 18" limits the server versions,
# PROVE="-v -j1" replaces prove's options, PG_REWIND=/path/pg_rewind tests another program,
# and PG_REWIND_WITH_FAULTS its build with fault points.
#
# An ordinary user may not be able to read the checkout: program and tests are copied to where he can.
set -euo pipefail
. "$(dirname "$0")/environment.sh"

work=$(mktemp -d "${TMPDIR:-/tmp}/rewind.XXXXXX")
clean_up()
{
    stop_servers_below "$work"
    rm -rf "$work" 2>/dev/null || { sleep 1; rm -rf "$work"; }
}
trap clean_up EXIT
trap 'exit 130' INT TERM

mkdir -p "$work/bin/faults" "$work/run"
cp "${PG_REWIND:-$checkout/build/pg_rewind}" "$work/bin/pg_rewind" || exit
cp "${PG_REWIND_WITH_FAULTS:-$checkout/build-faults/pg_rewind}" "$work/bin/faults/pg_rewind" || [ -n "${PG_REWIND:-}" ]
cp "$checkout/build/tests/waldump" "$work/bin/waldump" || [ -n "${PG_REWIND:-}" ]
cp -r "$checkout/t" "$work/t"
chmod -R a+rX "$work"
if [ "$(id -u)" = 0 ]; then
    chown "$ordinary_user" "$work/run"
fi

# The original can look for its companions only beside the place it was installed in.
program=$work/bin/pg_rewind
case ${PG_REWIND:-} in
    /usr/lib/postgresql/*) program=$PG_REWIND ;;
esac

tests=()
for test in "$@"; do
    tests+=("t/$(basename "$test")")
done
if [ ${#tests[@]} -eq 0 ]; then
    cd "$checkout"
    tests=(t/*.pl)
fi

# Variables that the harness reads; t/lib/RewindTest.pm lists them.
mapfile -t passed < <(env | grep -E '^(PG_BINDIR_[0-9]+|PG_REWIND_TEST_[A-Z]+)=' || true)

cd "$work"
# shellcheck disable=SC2086 # PROVE is a list of options
as_ordinary_user "${passed[@]}" \
    PG_REWIND="$program" \
    PG_REWIND_WITH_FAULTS="$work/bin/faults/pg_rewind" \
    PG_REWIND_SERVERS="$servers" \
    PG_VERSIONS="${PG_VERSIONS:-${server_versions[*]}}" \
    TMPDIR="$work/run" \
    prove ${PROVE:--j4 --timer} -It/lib "${tests[@]}"
