# Bare Debian systems for tests of what is shipped; to be sourced by bash, by root, with debootstrap installed. Mirror and settings of apt
# are this machine's own. All mounts are in a namespace of the test's own, so nothing is left of them, however it ends.

if [ "$(id -u)" != 0 ] || ! unshare --mount --pid --fork true 2>/dev/null; then
    echo '1..0 # SKIP needs root, with the right to mount'
    exit 0
fi
if [ "${BARE_SYSTEM_NAMESPACE:-}" != $$ ]; then
    BARE_SYSTEM_NAMESPACE=$$ exec unshare --mount "$0" "$@"
fi

# In memory, where dpkg's many syncs cost nothing: make_system SUITE DIRECTORY [MIRROR]. A MIRROR is one of Ubuntu; Debian's debootstrap does not
# know the names of newer suites, but all have the same script.
make_system()
{
    local suite=$1 root=$2 mirror=${3:-} components=main script=()

    if [ -n "$mirror" ]; then
        components=main,universe
        script=(/usr/share/debootstrap/scripts/gutsy)
    else
        mirror=$(apt-get indextargets --format '$(SITE)' 'Created-By: Packages' 'Component: main' | head -n 1)
    fi
    mkdir -p "$root"
    mount -t tmpfs -o size=3g tmpfs "$root"
    debootstrap --variant=minbase --components="$components" "$suite" "$root" "$mirror" "${script[@]}" >"$root.log" 2>&1 ||
        { tail -n 20 "$root.log" >&2; return 1; }
    [ -z "${3:-}" ] || echo "deb $mirror $suite-updates main universe" >>"$root/etc/apt/sources.list"
    apt-config dump --format '%F "%v";%n' Acquire | grep -iE '^Acquire::(https?::|Check-)' >"$root/etc/apt/apt.conf.d/50machine" || true
    echo 'APT::Install-Recommends "false";' >"$root/etc/apt/apt.conf.d/60bare"
    cat /etc/resolv.conf >"$root/etc/resolv.conf"
    # No service is started when a package is installed.
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod +x "$root/usr/sbin/policy-rc.d"
    mkdir -p "$root/etc/postgresql-common"
    echo 'create_main_cluster = false' >"$root/etc/postgresql-common/createcluster.conf"
}

# run_in DIRECTORY COMMAND...: what the command leaves running is killed when it ends.
run_in()
{
    local root=$1
    shift

    unshare --mount --pid --fork --kill-child sh -euc '
        root=$1
        shift
        mount -t proc proc "$root/proc"
        mkdir -p "$root/dev/shm"
        mount -t tmpfs tmpfs "$root/dev/shm"
        exec chroot "$root" env -i LC_ALL=C.UTF-8 HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"' \
        sh "$root" "$@" </dev/null
}

apt_in()
{
    local root=$1
    shift

    run_in "$root" apt-get -q -y -o Dpkg::Use-Pty=0 "$@" >>"$root.log" 2>&1 || { tail -n 30 "$root.log" >&2; return 1; }
}

# Two servers that have parted, the old primary rewound by PROGRAM, started as a standby, and its rows compared:
# rewind_in DIRECTORY VERSION PROGRAM [WAY], as in tests/rewind_pair
rewind_in()
{
    cp "$(dirname "${BASH_SOURCE[0]}")/rewind_pair" "$1/tmp/rewind_pair"
    chmod 755 "$1/tmp/rewind_pair"
    run_in "$1" setpriv --reuid=postgres --regid=postgres --init-groups /tmp/rewind_pair "/usr/lib/postgresql/$2/bin" "${@:3}"
}
