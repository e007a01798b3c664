#!/usr/bin/env bash
# Make the Debian package from this directory as it is, into build/deb, and let lintian judge it.
# Needs: apt-get build-dep . && apt-get install fakeroot lintian
set -euo pipefail
cd "$(dirname "$0")/.."

made=$PWD/build/deb
rm -rf "$made"
mkdir -p "$made/source"
tar -c --exclude-vcs --exclude='./build*' . | tar -x -C "$made/source"

cd "$made/source"
dpkg-buildpackage -us -uc >"$made/log" 2>&1 || { tail -n 50 "$made/log" >&2; exit 1; }
cd "$made"
rm -rf source
lintian --allow-root --display-info --pedantic --fail-on error,warning,info,pedantic --tag-display-limit 0 ./*.changes
ls "$made"/*.deb
