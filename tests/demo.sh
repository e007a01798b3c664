#!/usr/bin/env bash
# Show a failover, a naive restart of the old primary that fails, and the rewind that repairs it.
# DEMO_VERSION=10 .. 18 chooses the servers, 15 by default.
set -euo pipefail
. "$(dirname "$0")/environment.sh"

make_work
install -m 644 "$checkout/tests/demo.pl" "$work/"
cd "$work"
as_ordinary_user PG_REWIND="$work/bin/pg_rewind" PG_REWIND_SERVERS="$servers" TMPDIR="$work/run" \
    perl -It/lib demo.pl "${DEMO_VERSION:-15}"
