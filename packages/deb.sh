#!/usr/bin/env bash
# Make the Debian package from this directory as it is, into build/deb, and let lintian judge it. On Debian 12, 13, Ubuntu 24.04 and later.
# What the build needs is installed by root; another user is told the command. With ARCH=arm64 it is a cross build: that installs libraries of
# another architecture, which may take the place of this one's, so tests/package_arm64.sh does it in a system of its own.
set -euo pipefail
cd "$(dirname "$0")/.."

native=$(dpkg --print-architecture)
arch=${ARCH:-$native}
tools=(dpkg-dev fakeroot lintian)
[ "$arch" = "$native" ] || tools+=("crossbuild-essential-$arch")

if ! type dpkg-checkbuilddeps fakeroot lintian >/dev/null 2>&1 || ! dpkg-checkbuilddeps -a "$arch" 2>/dev/null; then
    if [ "$arch" != "$native" ] && [ "$(id -u)" = 0 ]; then
        dpkg --add-architecture "$arch"
    elif [ "$(id -u)" != 0 ]; then
        echo "deb: to install what the build needs, run: sudo apt-get build-dep . && sudo apt-get install dpkg-dev fakeroot lintian" >&2
        exit 1
    fi
    export DEBIAN_FRONTEND=noninteractive
    {
        apt-get -q update
        apt-get -q -y -o DPkg::Lock::Timeout=300 --no-install-recommends install "${tools[@]}"
        apt-get -q -y -o DPkg::Lock::Timeout=300 --no-install-recommends build-dep -a "$arch" .
    } >&2
fi

packages/newest_libpq.sh >&2
made=$PWD/build/deb
rm -rf "$made"
mkdir -p "$made/source"
tar -c --exclude-vcs --exclude='./build*' . | tar -x -C "$made/source"

# Between releases it is a later version than the last one, so that apt sees an upgrade.
release=$(sed -n "s/^  version: '\(.*\)',$/\1/p" meson.build)
PG_REWIND_BUILD_VERSION=$(packages/version.sh "$release")
export PG_REWIND_BUILD_VERSION
cd "$made/source"
if [ "$PG_REWIND_BUILD_VERSION" != "$release" ]; then
    {
        printf 'pg-rewind-standalone (%s) unstable; urgency=medium\n\n  * Not a release; see NEWS.md.\n\n' "$PG_REWIND_BUILD_VERSION"
        printf ' -- pg_rewind standalone contributors <maintainers@pg-rewind-standalone.example>  %s\n\n' "$(LC_ALL=C date -uR)"
        cat debian/changelog
    } >debian/changelog.new
    mv debian/changelog.new debian/changelog
    sed -i "1s/standalone $release/standalone $PG_REWIND_BUILD_VERSION/" docs/pg_rewind.1
fi
dpkg-buildpackage -us -uc -a "$arch" >"$made/log" 2>&1 || { tail -n 50 "$made/log" >&2; exit 1; }
cd "$made"
rm -rf source
# Pedantic tags are shown. Each version of lintian has others, and its own newest Standards-Version. Debian's rules are asked for by name, because
# those of Ubuntu refuse "unstable" in debian/changelog.
lintian --profile debian --allow-root --display-info --pedantic --fail-on error,warning,info --suppress-tags out-of-date-standards-version,newer-standards-version \
    --tag-display-limit 0 ./*.changes
ls "$made"/*.deb
