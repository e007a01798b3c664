#!/usr/bin/env bash
# Show a failover, a naive restart of the old primary that fails, and the rewind that repairs it.
# DEMO_VERSION=10 .. 18 chooses the servers, 15 by default.
set -euo pipefail
. "$(dirname "$0")/environment.sh"

work=$(mktemp -d "${TMPDIR:-/tmp}/rewind-demo.XXXXXX")
clean_up()
{
    stop_servers_below "$work"
    sleep 0.5
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

mkdir "$work/bin" "$work/run"
cp "${PG_REWIND:-$checkout/build/pg_rewind}" "$work/bin/pg_rewind"
cp -r "$checkout/t/lib" "$checkout/tests/demo.pl" "$work/"
chmod -R a+rX "$work"
if [ "$(id -u)" = 0 ]; then
    chown "$ordinary_user" "$work/run"
fi
cd "$work"
as_ordinary_user PG_REWIND="${PG_REWIND:-$work/bin/pg_rewind}" PG_REWIND_SERVERS="$servers" TMPDIR="$work/run" \
    perl -Ilib demo.pl "${DEMO_VERSION:-15}"
