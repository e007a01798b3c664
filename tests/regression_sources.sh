#!/usr/bin/env bash
# Fetch PostgreSQL's own regression tests of one major version, as Debian's source package has them, for tests/regress.sh.
#
#   tests/regression_sources.sh MAJOR    they are then in $servers/regression-MAJOR
#
# What is there stays: the tests of one minor version do for servers of another. Without them it says why, and fails.
set -euo pipefail
. "$(dirname "$0")/environment.sh"
. "$(dirname "$0")/debian_archive.sh"

major=$1
place=$servers/regression-$major
state=$place.apt

fail()
{
    echo "setup: no regression tests of version $major: $1" >&2
    exit 1
}

mkdir -p "$servers"
exec 9>"$servers/.flock"
flock 9
[ ! -d "$place" ] || exit 0
echo "setup: fetching the regression tests of version $major into $place" >&2
rm -rf "$state" "$place.new"
trap 'rm -rf "$state" "$place.new"' EXIT
mkdir -p "$place.new"
configure_archive "$state" deb-src "$(codename)" sid experimental || fail "where this machine has its Debian packages from is not known"
timeout 300 apt-get -q update >&2 || fail "Debian's archive could not be asked"
cd "$state/archives"
timeout 300 apt-get -q source --download-only "postgresql-$major" >&2 || fail "Debian's archive has no sources of postgresql-$major"
tar -xf postgresql-"$major"_*.orig.tar.* -C "$place.new" --strip-components=4 --wildcards \
    '*/src/test/regress/'{sql,expected,data,parallel_schedule} || fail "the source package has none"
chmod -R a+rX "$place.new"
mv "$place.new" "$place"
