#!/usr/bin/env bash
# The portable directory alone: in a root directory that has nothing but it, /proc, /dev and /etc/passwd it rewinds a pair of servers, which run outside:
# by a Unix socket; by TCP with a host name that a DNS server knows, TLS and SCRAM, as a user whom passwd knows; and with --rejoin, for which
# that root gets a shell and server programs that lead outside. All that on a kernel as old as 3.10 as well, and in a sandbox of that age (tests/old_kernel.c; Rule N4).
#
#   tests/portable_alone.sh BINDIR [DIRECTORY [COMMAND...]]      by root; a COMMAND starts DIRECTORY's program: an emulator, with its options
#   WAYS="socket tcp rejoin" and KERNELS="now old sandbox" are all of them; fewer make it less.
set -euo pipefail
. "$(dirname "$0")/environment.sh"
. "$(dirname "$0")/bare_system.sh"

# A network of its own: its DNS server has port 53.
if [ "${PORTABLE_ALONE_NETWORK:-}" != $$ ]; then
    PORTABLE_ALONE_NETWORK=$$ exec unshare --net "$0" "$@"
fi
ip link set lo up

bin=$1
work=$(mktemp -d "${TMPDIR:-/tmp}/alone.XXXXXX")
root=$work/root
pair=$work/pair
host=primary.example
server_pid=
trap '[ -z "$server_pid" ] || kill "$server_pid"; umount "$root/proc" "$root/dev" "$root$pair" /etc/resolv.conf 2>/dev/null || true; rm -rf "$work"' EXIT
trap 'exit 130' INT TERM
chmod 755 "$work"

mkdir -p "$root"/{opt/portable,proc,dev,etc} "$root$pair" "$pair"
if [ $# -gt 1 ]; then
    cp -r "$2/." "$root/opt/portable"
else
    tar -C "$root/opt/portable" --strip-components=1 -xzf "$checkout"/build/portable/pg_rewind-*.tar.gz
fi
chown "$ordinary_user:" "$pair"
mount -t proc proc "$root/proc"
mount -t tmpfs tmpfs "$root/dev"
mknod -m 666 "$root/dev/null" c 1 3
mknod -m 666 "$root/dev/random" c 1 8
mknod -m 666 "$root/dev/urandom" c 1 9
mount --bind "$pair" "$root$pair"
echo "postgres:x:$(id -u "$ordinary_user"):$(id -g "$ordinary_user")::$pair:/bin/sh" >"$root/etc/passwd"
echo /lib/astray.so >"$root/etc/ld.so.preload" # the loader of a system would say that it is not there

# Any name has the address 127.0.0.1.
python3 - <<'END' &
import socket
with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
    server.bind(("127.0.0.1", 53))
    while True:
        query, client = server.recvfrom(512)
        end = query.index(0, 12) + 5
        is_address = query[end - 4:end - 2] == b"\0\1"
        answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1" if is_address else b""
        server.sendto(query[:2] + b"\x81\x80\0\1" + (b"\0\1" if is_address else b"\0\0") + b"\0\0\0\0" + query[12:end] + answer, client)
END
server_pid=$!
echo 'nameserver 127.0.0.1' >"$work/resolv.conf"
mount --bind "$work/resolv.conf" /etc/resolv.conf # of the rewound server

${CC:-gcc} -static -o "$work/old_kernel" "$checkout/tests/old_kernel.c"
cp "$checkout/tests/rewind_pair" "$work/rewind_pair"
chmod 755 "$work/rewind_pair"

# A program for rewind_pair that runs the portable one in the root, without an environment but LD_LIBRARY_PATH, which would lead astray what obeys it:
# make_program NAME COMMAND...
make_program()
{
    local name=$1
    shift
    printf '#!/bin/sh\nexec env -i LD_LIBRARY_PATH=/astray %s /opt/portable/pg_rewind "$@"\n' "$*" >"$work/$name"
    chmod 755 "$work/$name"
}

# What a user other than root needs for chroot.
as_servers_user()
{
    setpriv --reuid="$ordinary_user" --regid="$ordinary_user" --init-groups --inh-caps=+sys_chroot --ambient-caps=+sys_chroot \
        env -i LC_ALL=C PATH=/usr/sbin:/usr/bin:/sbin:/bin PAIR_WORK="$pair" PAIR_HOST="$host" PAIR_PREPARE="$work/prepare" PAIR_FINISH="$work/finish" PAIR_OPTIONS="${options:-}" "$@" </dev/null
}

# Server programs in the root that are run outside, in the root of a process there.
mkdir "$root/bin"
chown "$ordinary_user:" "$root/bin"
cat >"$work/prepare" <<END
#!/bin/sh
set -e
cp /bin/busybox "$root/bin/"
ln -sf busybox "$root/bin/sh"
for name in postgres pg_ctl pg_controldata; do
    printf '#!/bin/sh\nexec /bin/busybox chroot /proc/%s/root %s "\$@"\n' "\$1" "$bin/\$name" >"$root/bin/\$name"
    chmod 755 "$root/bin/\$name"
done
END
# What the program runs has what the caller gave, LD_LIBRARY_PATH included, and nothing of ours; the rewound server has none of our libraries.
printf '#!/bin/sh\n/bin/busybox env >%s\nexec /bin/pg_ctl -D %s -m fast stop\n' "$pair/environment" "$pair/a" >"$root/bin/stop_server"
chmod 755 "$root/bin/stop_server"
cat >"$work/finish" <<END
#!/bin/sh
set -e
pid=\$(head -n 1 "$pair/a/postmaster.pid")
if [ -e "$pair/environment" ]; then
    [ "\$(grep -vE '^(PATH|PWD|SHLVL|OLDPWD)=' "$pair/environment")" = LD_LIBRARY_PATH=/astray ] || { cat "$pair/environment"; exit 1; }
    grep -z . "/proc/\$pid/environ" | tr '\\0' '\\n' >"$pair/of_server"
    if grep -E '^(PG_REWIND_KEPT|GCONV_PATH)' "$pair/of_server"; then exit 1; fi
fi
if grep -F "/opt/portable" "/proc/\$pid/maps"; then exit 1; fi
END
chmod 755 "$work/prepare" "$work/finish"

make_program now /usr/sbin/chroot "$root" "${@:3}"
make_program old "$work/old_kernel" /usr/sbin/chroot "$root" "${@:3}"
said=$(as_servers_user "$work/now" --version 2>&1)
[[ $said =~ ^pg_rewind\ \(PostgreSQL\)\ [^$'\n']*$ ]] || { echo "not ok - alone: $said"; exit 1; }
make_program sandbox "$work/old_kernel" --sandbox /usr/sbin/chroot "$root" "${@:3}"
for way in ${WAYS:-socket tcp rejoin}; do
    [ $way != rejoin ] || options='--bindir=/bin --stop-command=/bin/stop_server'
    for program in ${KERNELS:-now old sandbox}; do
        as_servers_user "$work/rewind_pair" "$bin" "$work/$program" $way
        echo "ok - alone, $way, $program"
    done
done
