#!/usr/bin/env bash
# The Debian package in a bare system, by the commands of docs/installing.md: installed beside postgresql-15 and put in its place, it rewinds, stays there when
# postgresql-15 is installed again, and leaves every file as it was. Run by root; tests/package.sh [PACKAGE].
# SUITE=trixie takes that system and its server instead, and makes the package there if none is named; SUITE=noble
# MIRROR=URL is Ubuntu 24.04, from a mirror of Ubuntu. FROM=PACKAGE, of an earlier version, is installed first and upgraded. Without the right to
# mount, as in some containers, it is skipped.
set -euo pipefail
. "$(dirname "$0")/environment.sh"
. "$(dirname "$0")/bare_system.sh"

suite=${SUITE:-bookworm}
work=$(mktemp -d "${TMPDIR:-/tmp}/package.XXXXXX")
root=$work/root
trap 'umount "$root" 2>/dev/null || true; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
number=0

check()
{
    local name=$1
    shift

    if "$@"; then
        number=$((number + 1))
        echo "ok $number - $name"
    else
        echo "not ok $((number + 1)) - $name"
        exit 1
    fi
}

inside() { run_in "$root" "$@"; }
calls() { [[ "$(inside "$1" --version)" == "pg_rewind (PostgreSQL) $2" ]]; }
differs() { ! calls "$@"; }
says() { [ "$(inside pg_rewind_divert status)" = "$1" ]; }
# The page's N-th block of a kind, for the version that is there: block sh 2.
block()
{
    awk -v kind="$1" -v wanted="$2" -v version="$version" \
        '/^```/ { on = $0 == "```" kind && ++at == wanted; next } on { gsub(/15/, version); print }' "$checkout/docs/installing.md"
}
guide() { inside bash -euc "cd /tmp; $(block sh "$1")" >"$work/output" 2>>"$root.log"; }
# Of the output only our commands' lines count, not those of apt; … stands for anything.
shows()
{
    local text

    text=$(block text "$1")
    # shellcheck disable=SC2053 # a pattern
    [[ "$(grep -E '^(pg_rewind \(|[0-9]+ (standalone|original)$)' "$work/output")" == ${text//…/*} ]] || { cat "$work/output"; return 1; }
}
refuses() { ! inside "$@" 2>>"$root.log"; }

# Every path below these, with type, mode, owner, link and content.
state()
{
    inside find /usr /etc/alternatives \( -path '/usr/share/man/*' -o -path '/usr/lib/*' -o -path '/usr/share/postgresql*' -o -path '/usr/bin/*' \
        -o -path '/usr/sbin/*' -o -path '/etc/alternatives/*' -o -path '/usr/share/bash-completion/*' -o -path '/usr/share/doc/p*' \) \
        -not -name '*.cache' \( -type f -printf '%p %M %u %g ' -exec md5sum {} \; -o -not -type f -printf '%p %M %u %g %l\n' \) | sort
}

# An ordinary user is told what the build needs, and root runs that; the same user then makes the package.
make_in_system()
{
    local make=(setpriv --reuid=nobody --regid=nogroup --clear-groups make -C /src deb) needed

    mkdir "$root/src"
    tar -C "$checkout" -c --exclude-vcs --exclude='./build*' . | tar -C "$root/src" -x
    inside chown -R nobody:nogroup /src
    apt_in "$root" install make
    needed=$(inside "${make[@]}" 2>&1 | sed -n 's/^deb: to install what the build needs, run: //p')
    echo "# $needed"
    if ! inside sh -euc "cd /src; ${needed//sudo apt-get/apt-get -y}" >>"$root.log" 2>&1 || ! inside "${make[@]}" >>"$root.log" 2>&1; then
        tail -n 30 "$root.log"
        return 1
    fi
}

make_system "$suite" "$root" "${MIRROR:-}"
echo "# a bare $(. "$root/etc/os-release"; echo "$PRETTY_NAME")"
apt_in "$root" update
package=${1:-}
made=$checkout
if [ -z "$package" ] && [ -n "${SUITE:-}" ]; then
    check 'make deb says what it needs, and makes the package' make_in_system
    made=$root/src
fi
package=${package:-$(ls "$made"/build/deb/pg-rewind-standalone_*.deb)}
apt_in "$root" install postgresql
version=$(ls "$root/usr/lib/postgresql")
place=/usr/lib/postgresql/$version/bin/pg_rewind
# The libraries that it needs stay when it goes.
apt_in "$root" install $(dpkg-deb -f "$package" Depends | sed 's/([^)]*)//g; s/,//g')
state >"$work/before"
original=$(inside "$place" --version)
original=${original#pg_rewind (PostgreSQL) }

cp "$package" "$root/tmp/"
ours="18.4 (standalone $(dpkg-deb -f "$package" Version))"
if [ -n "${FROM:-}" ]; then
    cp "$FROM" "$root/tmp/earlier.deb"
    apt_in "$root" install /tmp/earlier.deb
    check 'an earlier version is in the place of the original' inside pg_rewind_divert enable "$version"
    check 'which is another one' differs "$place" "$ours"
    apt_in "$root" install "/tmp/${package##*/}"
    check 'after the upgrade this version is in its place' calls "$place" "$ours"
    check 'and the original beside it' calls "$place.postgresql" "$original"
    check 'a diverged pair is rewound by it' rewind_in "$root" "$version" "$place"
    apt_in "$root" purge pg-rewind-standalone
    state >"$work/after"
    check 'removed, every file is as it was before' diff "$work/before" "$work/after"
    rm "$root/tmp/earlier.deb"
fi
check 'the guide installs it' guide 1
check 'and shows what comes' shows 1
check "the package lies beside postgresql-$version" calls /usr/bin/pg_rewind "$ours"
check 'and changes nothing there' calls "$place" "$original"
check 'manual page, package and program are of one version' grep -q "standalone $(dpkg-deb -f "$package" Version)\"" <(inside zcat /usr/share/man/man1/pg_rewind.1standalone.gz)
check 'status' says "$version original"
check 'the completion can be read' inside bash -c '. /usr/share/bash-completion/completions/pg_rewind'
check 'a version that is not installed is refused' refuses pg_rewind_divert enable "$version" 14
check 'the others were done' says "$version standalone"

check 'enabled again, as the guide does' guide 2
check 'and it shows what comes' shows 2
check 'the program is in the place of the original' calls "$place" "$ours"
check 'a diverged pair is rewound by it' rewind_in "$root" "$version" "$place"

apt_in "$root" install --reinstall "postgresql-$version"
check "it is still there when postgresql-$version was unpacked again" calls "$place" "$ours"
check 'and the original beside it' calls "$place.postgresql" "$original"
apt_in "$root" install --reinstall "/tmp/${package##*/}"
check 'also when the package itself was' calls "$place" "$ours"
check 'status' says "$version standalone"

check 'disabled' inside pg_rewind_divert disable "$version"
check 'the original is back' calls "$place" "$original"

# Killed after its first and its second step.
begin=(dpkg-divert --quiet --package pg-rewind-standalone --no-rename --divert "$place.postgresql" --add "$place")
check 'enable is interrupted' inside "${begin[@]}"
check 'and finished' inside pg_rewind_divert enable "$version"
check 'the program is in the place of the original' calls "$place" "$ours"
check 'disabled' inside pg_rewind_divert disable
check 'enable is interrupted later' inside sh -euc '"$@"; ln "$0" "$0.postgresql"' "$place" "${begin[@]}"
check 'and undone' inside pg_rewind_divert disable
check 'the original is back' calls "$place" "$original"
check 'alone' refuses ls "$place.postgresql"
check 'enabled again' inside pg_rewind_divert enable "$version"
apt_in "$root" purge pg-rewind-standalone
check 'the package is removed, and the original back' calls "$place" "$original"
check "dpkg finds every file of postgresql-$version as it was" test -z "$(inside dpkg --verify "postgresql-$version" "postgresql-client-$version")"
check 'no diversion is left' test -z "$(inside dpkg-divert --list '*pg_rewind*')"
state >"$work/after"
check 'every file is as it was before' diff "$work/before" "$work/after"

check 'installed again' guide 1
check 'enabled' inside pg_rewind_divert enable "$version"
check 'the guide puts the original back, and removes it' guide 3
check 'and shows what comes' shows 3

check 'and again' guide 1
check 'enabled' inside pg_rewind_divert enable "$version"
apt_in "$root" purge "postgresql-$version"
check 'status tells that the server is gone' says "$version standalone, but postgresql-$version is removed: pg_rewind_divert disable $version"
inside pg_rewind_divert disable
check 'and nothing of it afterwards' says ''
check "postgresql-$version was removed while diverted: nothing is left in its place" test ! -e "$root/usr/lib/postgresql/$version/bin/pg_rewind" -a ! -L "$root/usr/lib/postgresql/$version/bin/pg_rewind"
echo "1..$number"
