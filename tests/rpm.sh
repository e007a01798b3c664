#!/usr/bin/env bash
# The files of the RPM in a bare Debian, which has the same libraries: its script makes the alternative, the program rewinds a pair, and
# nothing is left when it is removed. What a system of RPM packages does with it is not tried here. Run by root, after DEBIAN=1 packages/rpm.sh.
set -euo pipefail
. "$(dirname "$0")/environment.sh"
. "$(dirname "$0")/bare_system.sh"

package=$(ls "$checkout"/build/rpm/RPMS/*/pg_rewind-standalone-*.rpm)
work=$(mktemp -d "${TMPDIR:-/tmp}/rpm.XXXXXX")
root=$work/root
trap 'umount "$root" 2>/dev/null || true; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM

# The script of the package, with the argument that rpm gives it.
scriptlet() { run_in "$root" sh -euc "$(rpm -qp --qf "%{$1}" "$package")" sh "$2"; }

make_system bookworm "$root"
apt_in "$root" update
apt_in "$root" install postgresql libisal2
rpm2cpio "$package" | (cd "$root" && cpio -idm --quiet)
scriptlet POSTIN 1
[ "$(run_in "$root" readlink -f /usr/bin/pg_rewind)" = /usr/libexec/pg_rewind-standalone/pg_rewind ]
run_in "$root" pg_rewind --version
rewind_in "$root" 15 /usr/bin/pg_rewind
echo "ok - the alternative rewinds"
scriptlet POSTUN 0
[ ! -e "$root/usr/bin/pg_rewind" ]
echo "ok - it is gone when the package is removed"
