#!/usr/bin/env bash
# Make the RPM from this directory as it is, into build/rpm, and let rpmlint judge it. On RHEL 10 and Fedora: docs/installing.md says what it needs.
# With DEBIAN=1 on Debian, which has rpmbuild and rpmlint but no packages that provide what the spec requires: it only shows that the spec is right.
set -euo pipefail
cd "$(dirname "$0")/.."

made=$PWD/build/rpm
version=$(packages/version.sh "$(sed -n "s/^  version: '\(.*\)',$/\1/p" meson.build)")
export PG_REWIND_BUILD_VERSION=$version
options=(--define "_topdir $made")
[ -z "${DEBIAN:-}" ] || options+=(--nodeps --define "debug_package %{nil}"
    --define '__meson meson' --define '_vpath_builddir build'
    --define 'meson meson setup --buildtype=plain --prefix=/usr --libexecdir=libexec --mandir=share/man build'
    --define 'meson_build ninja -C build' --define 'meson_install DESTDIR=%{buildroot} ninja -C build install')

rm -rf "$made"
mkdir -p "$made/SOURCES" "$made/SPECS"
tar -c --exclude-vcs --exclude='./build*' --transform "s|^\.|pg_rewind-$version|" . | gzip -n >"$made/SOURCES/pg_rewind-$version.tar.gz"
sed "s/@VERSION@/$version/; s/@DATE@/$(LC_ALL=C date '+%a %b %d %Y')/" packages/pg_rewind-standalone.spec >"$made/SPECS/pg_rewind-standalone.spec"
rpmbuild "${options[@]}" -ba "$made/SPECS/pg_rewind-standalone.spec" >"$made/log" 2>&1 || { tail -n 50 "$made/log" >&2; exit 1; }
rpmlint -c packages/rpmlint.toml "$made"/SPECS/*.spec "$made"/RPMS/*/*.rpm | tee "$made/rpmlint"
grep -qE ' 0 errors, 0 warnings' "$made/rpmlint"
ls "$made"/RPMS/*/*.rpm
