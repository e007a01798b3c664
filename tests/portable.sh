#!/usr/bin/env bash
# The portable directory in bare systems, with older and newer C libraries than its own: it loads nothing of theirs, and rewinds a pair of the servers
# which that system has, also with --rejoin; then alone, without any system (tests/portable_alone.sh). Run by root; tests/portable.sh [SUITE...], Debian 11,
# 12, 13 and unstable otherwise; MIRROR=URL names a mirror of Ubuntu and takes its suites.
set -euo pipefail
. "$(dirname "$0")/environment.sh"
. "$(dirname "$0")/bare_system.sh"

archive=$(ls "$checkout"/build/portable/pg_rewind-*.tar.gz)
name=$(basename "$archive" .tar.gz)
program=/usr/local/bin/pg_rewind
work=$(mktemp -d "${TMPDIR:-/tmp}/portable.XXXXXX")
trap 'umount "$work"/* 2>/dev/null || true; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

[ $# -gt 0 ] || set -- bullseye bookworm trixie sid
for suite; do
    root=$work/$suite
    make_system "$suite" "$root" "${MIRROR:-}"
    # A directory whose name has a blank and a colon, which separates directories elsewhere; and what would lead a loader astray.
    mkdir "$root/opt/a b:c"
    tar -C "$root/opt/a b:c" -xzf "$archive"
    ln -s "/opt/a b:c/$name/pg_rewind" "$root$program"
    for astray in '' LD_PRELOAD=/lib/astray.so "LD_LIBRARY_PATH=/lib:/lib64:/usr/lib/$(uname -m)-linux-gnu" GCONV_PATH=/astray; do
        said=$(run_in "$root" env ${astray:+"$astray"} "$program" --version 2>&1 | grep -v "^ERROR: ld.so: object '/lib/astray.so'" || true) # of env, chroot
        [[ $said =~ ^pg_rewind\ \(PostgreSQL\)\ [^$'\n']*$ ]] || { echo "not ok - $suite, $astray: $said"; exit 1; }
    done
    # The loader lists what is loaded.
    strange=$(run_in "$root" env LD_TRACE_LOADED_OBJECTS=1 "$program" | awk '$2 == "=>" && index($0, "=> /opt/a b:c/") == 0')
    [ -z "$strange" ] || { echo "not ok - $suite: libraries of the system: $strange"; exit 1; }
    apt_in "$root" update
    apt_in "$root" install postgresql
    version=$(ls "$root/usr/lib/postgresql")
    for way in socket rejoin; do
        rewind_in "$root" "$version" "$program" $way
    done
    # The lines for a Dockerfile in docs/installing.md: the directory of the archive is replaced, the one of the servers is as in that image.
    ln -s "a b:c/$name" "$root/opt/$name"
    lines=$(sed -n '/^    FROM postgres:15$/,/^$/s/^    //p' "$checkout/docs/installing.md" | sed -n '/^RUN /,$p' | sed "s/^RUN //; s/pg_rewind-VERSION-x86_64/$name/")
    run_in "$root" env PG_MAJOR="$version" sh -euc "$lines"
    [[ $(run_in "$root" "/usr/lib/postgresql/$version/bin/pg_rewind" --version) == *standalone* ]]
    run_in "$root" "/usr/lib/postgresql/$version/bin/pg_rewind.postgresql" --version >/dev/null
    echo "ok - $suite, $(run_in "$root" ldd --version | sed -n 's/.* /glibc /;1p'), PostgreSQL $version"
    umount "$root"
done
"$(dirname "$0")/portable_alone.sh" /usr/lib/postgresql/15/bin
