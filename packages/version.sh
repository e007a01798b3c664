#!/usr/bin/env bash
# Print the version of a build: packages/version.sh VERSION, which is that of meson.build. In a checkout that is no release, MAJOR.MINOR+1.0~gitTIME.COMMIT:
# later than every release and build before, and earlier than the next minor release. PG_REWIND_BUILD_VERSION wins: for the packages, whose
# sources are copied without their history. Where git does not answer (it is not installed) time and commit are
# all zeros: no build of a checkout calls itself a release by mistake. The checkout may belong to another account, as in a container; and a tag may
# be without a message, as some checkouts of one are.
set -euo pipefail
version=$1
cd "$(dirname "$0")/.."

if [ -n "${PG_REWIND_BUILD_VERSION:-}" ]; then
    echo "$PG_REWIND_BUILD_VERSION"
elif [ ! -e .git ] || git -c "safe.directory=$PWD" describe --tags --exact-match --match "v$version" >/dev/null 2>&1; then
    echo "$version"
else
    commit=$(TZ=UTC0 git -c "safe.directory=$PWD" log -1 --abbrev=8 --date=format-local:%Y%m%d%H%M%S --format=%cd.%h 2>/dev/null) || commit=00000000000000.00000000
    IFS=. read -r major minor _ <<<"$version"
    echo "$major.$((minor + 1)).0~git$commit"
fi
