#!/usr/bin/env bash
# Run real managers with the program in the place of PostgreSQL's, on Debian 12: all of t/managers, or the names given, as "patroni repmgr".
# PROVE="-v" replaces prove's options, PG_REWIND=/path/pg_rewind tests another program, PG_REWIND_TEST_ONLY=REGEX takes the scenarios that match,
# PG_REWIND_TEST_KEEP=1 leaves logs and directories in build/managers.
set -euo pipefail
. "$(dirname "$0")/environment.sh"

# What each needs beside what tests/setup.sh installs. A manager's own service, where the package starts one, is not used.
declare -A needs=(
    [patroni]='patroni etcd-server python3-psycopg2'
    [repmgr]='postgresql-15-repmgr'
    [pg_auto_failover]='pg-auto-failover-cli postgresql-15-auto-failover'
    [pgpool]='pgpool2 postgresql-15-pgpool2'
)

managers=("$@")
if [ ${#managers[@]} -eq 0 ]; then
    for file in "$checkout"/t/managers/*.pl; do
        managers+=("$(basename "$file" .pl)")
    done
fi

tests=()
needed=()
for manager in "${managers[@]}"; do
    manager=$(basename "$manager" .pl)
    read -r -a more <<<"${needs[$manager]}"
    needed+=("${more[@]}")
    tests+=("t/managers/$manager.pl")
done
"$checkout/tests/setup.sh" packages "${needed[@]}"

make_work "$(fast_directory)"
keep_logs()
{
    stop_servers_below "$work"
    if [ -n "${PG_REWIND_TEST_KEEP:-}" ]; then
        mkdir -p "$checkout/build/managers"
        cp -a "$work/run/kept/." "$checkout/build/managers/"
        echo "directories of nodes are in $checkout/build/managers"
    fi
    clean_up_work
}
trap keep_logs EXIT
cp "${PG_REWIND_FAULTS:-$checkout/build/tests/faults.so}" "$work/bin/faults.so"
chmod -R a+rX "$work/bin"

program=$work/bin/pg_rewind
case ${PG_REWIND:-} in
    /usr/lib/postgresql/*) program=$PG_REWIND ;;
esac
mapfile -t passed < <(env | grep -E '^PG_REWIND_TEST_[A-Z]+=' || true)

cd "$work"
# shellcheck disable=SC2086 # PROVE is a list of options
as_ordinary_user "${passed[@]}" \
    PG_REWIND="$program" \
    PG_REWIND_FAULTS="$work/bin/faults.so" \
    TMPDIR="$work/run" \
    prove ${PROVE:--j2 --timer} -It/lib "${tests[@]}"
