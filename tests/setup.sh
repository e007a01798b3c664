#!/usr/bin/env bash
# Install what the build and the tests need, on Debian 12. Silent and quick if everything is there.
# tests/setup.sh check: no server of 19, which `make check` does without.
# tests/setup.sh thorough: also what fuzzing, sanitizers and valgrind need.
# tests/setup.sh bench: also the other tools that `make bench` measures, and the original of 18, which npm's servers lack.
# tests/setup.sh arm64: also a compiler for ARM64, qemu-user, and libraries to link with.
# tests/setup.sh packages NAME...: these Debian packages beside ours, and no servers of other versions.
set -euo pipefail
. "$(dirname "$0")/environment.sh"

as_root()
{
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

is_installed()
{
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

apt_install()
{
    echo "setup: installing $*" >&2
    as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 --no-install-recommends install "$@" >&2
}

install_packages()
{
    local package missing=()

    for package in "${packages[@]}"; do
        is_installed "$package" || missing+=("$package")
    done
    command -v npm >/dev/null || missing+=(npm)
    if [ ${#missing[@]} -eq 0 ]; then
        return
    fi

    as_root apt-get -q update >&2
    # The server package would make and start a cluster that nobody here needs.
    if ! is_installed postgresql-common; then
        apt_install postgresql-common
        as_root sed -i 's/^#\? *create_main_cluster *=.*/create_main_cluster = false/' \
            /etc/postgresql-common/createcluster.conf
    fi
    apt_install "${missing[@]}"
}

# The packages hold their links as a list, which an install script would turn into links; npm may be set
# to run no such scripts, so it is done here.
make_links()
{
    local version

    for version in "${npm_versions[@]}"; do
        (cd "$servers/node_modules/postgres-$version" && node scripts/hydrate-symlinks.js)
    done
}

check_servers()
{
    local version found

    for version in "${npm_versions[@]}"; do
        found=$(as_ordinary_user "$servers/node_modules/postgres-$version/native/bin/postgres" -V) || found=
        case $found in
            "postgres (PostgreSQL) $version."*) ;;
            *)
                echo "setup: there is no usable server of version $version in $servers" >&2
                return 1
                ;;
        esac
    done
}

# installed-lock.json is written last: without it, or with another lock than ours, all is done again.
install_servers()
{
    local stamp=$servers/installed-lock.json

    mkdir -p "$servers"
    exec 9>"$servers/.flock"
    flock 9
    if ! cmp -s "$checkout/tests/servers/package-lock.json" "$stamp"; then
        echo "setup: fetching servers of versions ${npm_versions[*]} into $servers" >&2
        rm -rf "$stamp" "$servers/node_modules"
        cp "$checkout/tests/servers/package.json" "$checkout/tests/servers/package-lock.json" "$servers/"
        (cd "$servers" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2)
        make_links
        chmod -R a+rX "$servers"
        check_servers
        cp "$checkout/tests/servers/package-lock.json" "$stamp"
    fi
    exec 9>&-
}

# The packages are unpacked into a directory of their own, not installed: some of them, as libpq-dev, cannot stand beside those of this
# machine. apt-get finds out which, with lists and a state of its own.
unpack_arm64_libraries()
{
    local stamp=$arm64_root/packages state=$arm64_root/apt
    local options=(-o Dir::State="$state" -o Dir::State::status="$state/status" -o Dir::Cache="$state" -o APT::Sandbox::User=
        -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o Debug::NoLocking=true)
    local package link

    exec 9>"$servers/.flock"
    flock 9
    if [ "$(cat "$stamp" 2>/dev/null)" != "${arm64_libraries[*]}" ]; then
        echo "setup: unpacking libraries for ARM64 into $arm64_root" >&2
        rm -rf "$arm64_root"
        mkdir -p "$state/lists/partial" "$state/archives/partial"
        : >"$state/status"
        apt-get -q "${options[@]}" update >&2
        apt-get -q -y "${options[@]}" --no-install-recommends --download-only install "${arm64_libraries[@]}" >&2
        for package in "$state"/archives/*.deb; do
            dpkg -x "$package" "$arm64_root"
        done
        find "$arm64_root" -type l -lname '/*' | while read -r link; do
            ln -sfn "$arm64_root$(readlink "$link")" "$link"
        done
        rm -rf "$state"
        printf "[constants]\nroot = '%s'\n" "$arm64_root" >"$arm64_root/root.ini"
        chmod -R a+rX "$arm64_root"
        echo "${arm64_libraries[*]}" >"$stamp"
    fi
    exec 9>&-
}

case ${1:-} in
    thorough) packages+=("${thorough_packages[@]}") ;;
    bench) packages+=("${bench_packages[@]}") ;;
    arm64) packages+=("${arm64_packages[@]}") ;;
    packages) packages+=("${@:2}") ;;
esac
install_packages
if [ "${1:-}" != packages ]; then
    install_servers
fi
case ${1:-} in
    check | packages) ;;
    *) "$checkout/tests/debian_server.sh" 19 19 ;;
esac
[ "${1:-}" != bench ] || "$checkout/tests/debian_server.sh" 18 "$original_18"
[ "${1:-}" != arm64 ] || unpack_arm64_libraries
