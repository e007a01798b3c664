#!/usr/bin/env bash
# PostgreSQL's own regression tests on both sides of a split brain: see tests/regress.pl. Of 15 and 18, or of PG_VERSIONS="18".
# PROVE=-v replaces prove's options, PG_REWIND=/path/pg_rewind tests another program, PG_REWIND_TEST_KEEP=1 leaves the clusters in build/regress.
# The servers are Debian's, which have all that the tests want. What is missing of a version is named, and fails the run.
set -euo pipefail
. "$(dirname "$0")/environment.sh"

versions=${PG_VERSIONS:-15 18}
bindir=([15]=/usr/lib/postgresql/15/bin [18]=$servers/$original_18/bin)
driver=${bindir[15]}/../lib/pgxs/src/test/regress/pg_regress

status=0
runnable=()
for version in $versions; do
    [ "$version" != 18 ] || "$checkout/tests/debian_server.sh" 18 "$original_18"
    if [ -z "${bindir[version]:-}" ]; then
        missing="tests/regress.sh knows no server of it"
    elif [ ! -x "${bindir[version]}/pg_dump" ]; then
        missing="there is no server with pg_dump at ${bindir[version]}"
    elif [ ! -x "$driver" ]; then
        missing="there is no $driver"
    elif ! "$checkout/tests/regression_sources.sh" "$version"; then
        missing="there are no sources of its regression tests"
    else
        runnable+=("$version")
        continue
    fi
    echo "not tested: $version: $missing" >&2
    status=1
done
[ ${#runnable[@]} -gt 0 ] || exit 1

make_work "$(fast_directory)"
keep_logs()
{
    stop_servers_below "$work"
    if [ -n "${PG_REWIND_TEST_KEEP:-}" ]; then
        rm -rf "$checkout/build/regress"
        cp -a "$work/run/logs" "$checkout/build/regress"
        echo "what was left is in $checkout/build/regress"
    fi
    clean_up_work
}
trap keep_logs EXIT
install -m 644 "$checkout/tests/regress.pl" "$work/"
install -m 755 "$checkout/build/tests/faults.so" "$checkout/build/tests/same_pages" "$work/bin/"
as_ordinary_user mkdir "$work/run/logs"
mapfile -t passed < <(env | grep -E '^PG_REWIND_TEST_[A-Z]+=' || true)

cd "$work"
# shellcheck disable=SC2086 # PROVE is a list of options
as_ordinary_user \
    PG_REWIND_TEST_CATALOGS=all PG_REWIND_TEST_CHECK=all PG_REWIND_TEST_DRY=all PG_REWIND_TEST_PATIENCE=1800 "${passed[@]}" \
    PG_REWIND="$work/bin/pg_rewind" \
    PG_REWIND_FAULTS="$work/bin/faults.so" \
    PG_REWIND_SAME_PAGES="$work/bin/same_pages" \
    PG_REWIND_SERVERS="$servers" \
    PG_REWIND_TEST_LOGS="$work/run/logs" \
    PG_BINDIR_15="${bindir[15]}" \
    PG_BINDIR_18="${bindir[18]}" \
    PG_REGRESS="$driver" \
    PG_VERSIONS="${runnable[*]}" \
    TMPDIR="$work/run" \
    prove ${PROVE:--v} -It/lib regress.pl || status=1
exit "$status"
