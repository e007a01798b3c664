#!/usr/bin/env bash
# Print the version of a build: packages/version.sh VERSION, which is that of meson.build. In a checkout that is no release, MAJOR.MINOR+1.0~gitTIME.COMMIT:
# later than every release and build before, and earlier than the next minor release. PG_REWIND_BUILD_VERSION wins: for the packages, whose
# sources are copied without their history.
set -euo pipefail
version=$1
cd "$(dirname "$0")/.."

if [ -n "${PG_REWIND_BUILD_VERSION:-}" ]; then
    echo "$PG_REWIND_BUILD_VERSION"
elif [ ! -e .git ] || ! commit=$(TZ=UTC0 git log -1 --abbrev=8 --date=format-local:%Y%m%d%H%M%S --format=%cd.%h 2>/dev/null) ||
    git describe --exact-match --match "v$version" >/dev/null 2>&1; then
    echo "$version"
else
    IFS=. read -r major minor _ <<<"$version"
    echo "$major.$((minor + 1)).0~git$commit"
fi
