# Facts that tests/setup.sh, tests/end_to_end.sh and tests/demo.sh share; to be sourced by bash.

checkout=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

# Debian 12 packages: to build, to run unit tests, to run servers and their clients.
packages=(
    gcc libc6-dev meson ninja-build pkg-config
    libpq-dev libssl-dev libisal-dev zlib1g-dev libzstd-dev liblz4-dev libcmocka-dev
    perl libdbd-pg-perl python3-jsonschema util-linux mount iproute2 e2fsprogs btrfs-progs xfsprogs nodejs strace zstd lz4
    postgresql-common postgresql-15 postgresql-client-15 pgbouncer patchelf less
)

# What fuzzing and other thorough tests need besides.
thorough_packages=(clang libclang-rt-14-dev valgrind)

# Other tools that `make bench` measures.
bench_packages=(rsync pgbackrest)

# What `make arm64` needs besides, and whose packages for ARM64 it unpacks to link with.
arm64_packages=(gcc-aarch64-linux-gnu qemu-user)
arm64_libraries=(libc6-dev libpq-dev libssl-dev libisal-dev zlib1g-dev libzstd-dev liblz4-dev libcmocka-dev)

# Each version that the program knows: tests/data has files of it. Those that npm has servers of stand in tests/servers/package.json.
all_versions=(9.3 9.4 9.5 9.6 10 11 12 13 14 15 16 17 18 19)
npm_versions=(10 11 12 13 14 15 16 17 18)

# Debian's server of 18, with all programs, for `make bench`: a directory of $servers. The tests take npm's, which has three programs.
original_18=original-18

# Where the server programs lie: kept between runs, outside the checkout.
if [ -n "${PG_REWIND_SERVERS:-}" ]; then
    servers=$PG_REWIND_SERVERS
elif [ "$(id -u)" = 0 ]; then
    servers=/var/cache/pg_rewind/servers
else
    servers=${XDG_CACHE_HOME:-$HOME/.cache}/pg_rewind/servers
fi

# The diverged pairs that servers of 9.3 to 9.6 left, and what the pg_rewind of that time made of them: t/520. They are no part of this repository.
fixtures=$(realpath -m "${PG_REWIND_TEST_FIXTURES:-$checkout/../shared/fixtures}")

# Where the server programs of a version lie: PG_BINDIR_15=/usr/lib/postgresql/15/bin takes others. t/lib/RewindTest/Cluster.pm looks there as well.
server_bindir()
{
    printenv "PG_BINDIR_${1/./_}" && return
    if [ -e "$servers/$1" ]; then
        echo "$servers/$1/bin"
    else
        echo "$servers/node_modules/postgres-$1/native/bin"
    fi
}

# True if the program has a row for this version with this pg_control. It is asked for 15 as well, so that rows which are written in another way
# do not leave a version untested without a word.
knows_control()
{
    grep -qE "ROW\( *[0-9]+, *\"$1\", *$2," "$checkout/src/format/versions.c"
}
if ! knows_control 15 1300; then
    echo "$checkout/src/format/versions.c: the rows of versions are written in a way that tests/environment.sh does not know" >&2
    exit 1
fi

# Why a version cannot be tested with a server; nothing if it can. Servers that npm has, or that a variable names, are never missed: without one its tests fail.
# A pre-release may have formats that the program does not know.
why_not_tested()
{
    local bindir
    bindir=$(server_bindir "$1")

    if [[ " ${npm_versions[*]} " == *" $1 "* ]]; then
        return
    elif [ ! -x "$bindir/postgres" ] && ! printenv "PG_BINDIR_${1/./_}" >/dev/null; then
        cat "$servers/$1.missing" 2>/dev/null || echo "there is no server; PG_BINDIR_${1/./_} may name the directory of one's programs"
    elif [ -e "$bindir/../control_version" ]; then
        knows_control "$1" "$(cat "$bindir/../control_version")" ||
            echo "$("$bindir/postgres" -V) has another pg_control than the program knows"
    fi
}

# Those of all_versions that can be tested.
tested_versions()
{
    local version tested=()

    for version in "${all_versions[@]}"; do
        [ -n "$(why_not_tested "$version")" ] || tested+=("$version")
    done
    echo "${tested[*]}"
}

# Debian's libraries for ARM64, unpacked, beside the servers.
arm64_root=$(dirname "$servers")/arm64

# PostgreSQL refuses to run as root: root runs its servers as this user.
ordinary_user=postgres

# Run a command as an ordinary user, in an environment that no setting of the caller reaches.
as_ordinary_user()
{
    local clean=(env -i LC_ALL=C HOME=/nonexistent PATH=/usr/local/bin:/usr/bin:/bin)

    if [ "$(id -u)" = 0 ]; then
        setpriv --reuid="$ordinary_user" --regid="$ordinary_user" --clear-groups "${clean[@]}" "$@"
    else
        "${clean[@]}" "$@"
    fi
}

# Stop what still runs below a directory: servers are known by their pid files and their own directory.
stop_servers_below()
{
    local pid_file pid

    find "$1" -name postmaster.pid 2>/dev/null | while read -r pid_file; do
        pid=$(head -n 1 "$pid_file" 2>/dev/null)
        case $pid in
            '' | *[!0-9]*) continue ;;
        esac
        if [ "$(readlink "/proc/$pid/cwd")" = "$(dirname "$pid_file")" ]; then
            kill -QUIT "$pid"
        fi
    done
}

# Copies of clusters are what tests spend most time on: in memory, if there is plenty.
fast_directory()
{
    local free_kb

    free_kb=$(df --output=avail -k /dev/shm 2>/dev/null | tail -n 1)
    if [ -z "${TMPDIR:-}" ] && [ "${free_kb:-0}" -gt $((11 * 1024 * 1024)) ]; then
        echo /dev/shm
    else
        echo "${TMPDIR:-/tmp}"
    fi
}

# Make $work below a directory, which an ordinary user can read although the checkout may be closed to him: program and harness are copied
# there, $work/run is his. Removed at the end, with the servers that still run in it.
make_work()
{
    work=$(mktemp -d "${1:-${TMPDIR:-/tmp}}/rewind.XXXXXX")
    trap clean_up_work EXIT
    trap 'exit 130' INT TERM
    mkdir "$work/bin" "$work/run"
    cp "${PG_REWIND:-$checkout/build/pg_rewind}" "$work/bin/pg_rewind"
    cp -r "$checkout/t" "$work/t"
    cp "$checkout/tests/report_is_valid.py" "$checkout/docs/report.schema.json" "$checkout/docs/check.schema.json" "$work/bin/"
    mkdir "$work/bin/docs"
    cp "$checkout"/docs/*.md "$checkout/docs/pg_rewind.1" "$work/bin/docs/"
    chmod -R a+rX "$work"
    if [ "$(id -u)" = 0 ]; then
        chown "$ordinary_user" "$work/run"
    fi
}

clean_up_work()
{
    stop_servers_below "$work"
    rm -rf "$work" 2>/dev/null || { sleep 1; rm -rf "$work"; }
}
