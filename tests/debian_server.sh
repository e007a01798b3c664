#!/usr/bin/env bash
# Fetch the server and the clients of one major version that Debian's later suites have today, for tests/setup.sh.
#
#   tests/debian_server.sh MAJOR NAME    its programs are then in $servers/NAME/bin
#
# The suites are experimental and sid. Nothing is installed: apt-get has lists and a state of its own, the packages are unpacked, and
# patchelf lets the programs find the libraries that were unpacked with them. The archive is asked once a day; a server that works
# stays until there is a newer one. A missing server is no failure: $servers/NAME.missing then says why, and tests/end_to_end.sh repeats it.
set -euo pipefail
. "$(dirname "$0")/environment.sh"
. "$(dirname "$0")/debian_archive.sh"

major=$1
name=$2
state=$servers/$name.apt

# The libraries that the server is linked with, and those that they are.
libraries()
{
    local depends=(apt-cache depends --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces --no-enhances)

    "${depends[@]}" "postgresql-$major" "postgresql-client-$major" | sed -n 's/^[ |]*\(Pre\)\?Depends: \(lib\)/\2/p' | grep -v perl |
        xargs "${depends[@]}" --recurse | grep '^lib' | sort -u
}

unpack()
{
    local tree=$1 package program loader libc

    cd "$state/archives"
    # shellcheck disable=SC2046 # a list
    timeout 300 apt-get -q download "postgresql-$major" "postgresql-client-$major" $(libraries) >&2 || return 1
    for package in *.deb; do
        dpkg-deb -x "$package" "$tree" || return 1
    done
    loader=$(find "$tree" -name 'ld-linux*.so.*' -print -quit)
    libc=$(find "$tree" -name libc.so.6 -print -quit)
    # An rpath of the old kind is looked at for the libraries of libraries as well.
    for program in "$tree"/usr/lib/postgresql/"$major"/bin/*; do
        patchelf --set-interpreter "$loader" --force-rpath --set-rpath "$(dirname "$libc")" "$program" || return 1
    done
    chmod -R a+rX "$tree"
}

# A cluster is made with it, from which the control version is read.
works()
{
    local home=$1/usr/lib/postgresql/$major scratch

    scratch=$(mktemp -d)
    [ "$(id -u)" != 0 ] || chown "$ordinary_user" "$scratch"
    if as_ordinary_user "$home/bin/initdb" -D "$scratch/data" -A trust -N >"$scratch.log" 2>&1; then
        od -An -tu4 -j8 -N4 "$scratch/data/global/pg_control" | tr -d ' ' >"$home/control_version"
    else
        cat "$scratch.log" >&2
    fi
    rm -rf "$scratch" "$scratch.log"
    [ -s "$home/control_version" ]
}

# Prints why it failed.
fetch()
{
    local version tree

    configure_archive "$state" deb sid experimental || { echo "where this machine has its Debian packages from is not known"; return 1; }
    printf 'Package: postgresql-%s postgresql-client-%s libpq5\nPin: release a=experimental\nPin-Priority: 500\n' "$major" "$major" \
        >"$state/preferences"
    timeout 300 apt-get -q update >&2 || { echo "Debian's archive could not be asked"; return 1; }
    version=$(apt-cache show --no-all-versions "postgresql-$major" 2>/dev/null | sed -n 's/^Version: //p')
    [ -n "$version" ] || { echo "Debian's archive has no postgresql-$major"; return 1; }
    tree=$servers/debian/$version
    if [ "$(readlink "$servers/$name")" != "$tree/usr/lib/postgresql/$major" ]; then
        echo "setup: fetching the server of version $version into $tree" >&2
        rm -rf "$tree"
        mkdir -p "$tree"
        unpack "$tree" || { echo "postgresql-$major $version could not be unpacked"; return 1; }
        works "$tree" || { echo "initdb of postgresql-$major $version failed"; return 1; }
        ln -sfn "$tree/usr/lib/postgresql/$major" "$servers/$name"
        find "$servers/debian" -mindepth 1 -maxdepth 1 -name "$major[.~]*" ! -path "$tree" -exec rm -rf {} +
    fi
}

mkdir -p "$servers"
exec 9>"$servers/.flock"
flock 9
if [ -z "$(find "$servers/$name.asked" -mmin -1440 2>/dev/null)" ]; then
    rm -rf "$state" "$servers/$name.missing"
    if reason=$(fetch); then
        touch "$servers/$name.asked"
    else
        echo "setup: no newer server of version $major: $reason" >&2
        echo "$reason" >"$servers/$name.missing"
    fi
    rm -rf "$state"
fi
