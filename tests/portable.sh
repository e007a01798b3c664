#!/usr/bin/env bash
# The portable directory in bare systems: it needs nothing but the C library there, and rewinds a pair of the servers which that
# system has. Run by root; tests/portable.sh [SUITE...], Debian 12, 13 and unstable otherwise; MIRROR=URL
# names a mirror of Ubuntu and takes its suites.
set -euo pipefail
. "$(dirname "$0")/environment.sh"
. "$(dirname "$0")/bare_system.sh"

archive=$(ls "$checkout"/build/portable/pg_rewind-*.tar.gz)
name=$(basename "$archive" .tar.gz)
program=/usr/local/bin/pg_rewind
work=$(mktemp -d "${TMPDIR:-/tmp}/portable.XXXXXX")
trap 'umount "$work"/* 2>/dev/null || true; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

[ $# -gt 0 ] || set -- bookworm trixie sid
for suite; do
    root=$work/$suite
    make_system "$suite" "$root" "${MIRROR:-}"
    tar -C "$root/opt" -xzf "$archive"
    ln -s "/opt/$name/pg_rewind" "$root$program"
    run_in "$root" "$program" --version
    # ld.so lists what is loaded: from the directory, or the C library.
    strange=$(run_in "$root" env LD_TRACE_LOADED_OBJECTS=1 "$program" |
        awk '$2 == "=>" && $3 !~ /^\/opt\// && $1 !~ /^(libc|libm|libresolv|libpthread|libdl|librt)\.so/')
    [ -z "$strange" ] || { echo "not ok - $suite: libraries of the system: $strange"; exit 1; }
    apt_in "$root" update
    apt_in "$root" install postgresql
    version=$(ls "$root/usr/lib/postgresql")
    rewind_in "$root" "$version" "$program"
    echo "ok - $suite, $(run_in "$root" ldd --version | sed -n 's/.* /glibc /;1p'), PostgreSQL $version"
    umount "$root"
done
