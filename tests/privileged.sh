#!/usr/bin/env bash
# Do for tests, which run as an ordinary user, what only root may: a few fixed commands, below one directory, all undone at the end.
#
#   tests/privileged.sh WORK RUN USER     serve until the parent ends or SIGTERM comes
#
# RUN is the directory where tests may have something done to files, WORK one of root's around it. A request is one line
# in the fifo RUN/privileged/requests: a number, a command, its arguments; none with blanks. The answer is in the file
# RUN/privileged/NUMBER: "ok", perhaps with a word of how, or the error. t/lib/RewindTest/Privileged.pm is the other end.
#
#   make-file-system MEGABYTES DIRECTORY [INODES]
#                                          a small file system of its own: ext4 on a loop device, or else a tmpfs
#   make-projects DIRECTORY                a file system whose directories may have projects: ok ext4, ok xfs; ok none where the
#                                          kernel has no such
#   make-project NUMBER DIRECTORY          give a directory of it, and all below, a project that new files get
#   make-pool DIRECTORY                    a small btrfs with the subvolumes a and b: ok btrfs; ok none, likewise
#   make-disk MEGABYTES DIRECTORY          ext4 with a journal on a loop device, whose power can be cut
#   cut-power DIRECTORY                    its file system is gone; in its place is what the disk held at that instant, mounted again
#   mount FILE PLACE                       one file over another, as containers do
#   mount-read-only FILE PLACE             the same, which cannot be written to
#   make-overlay DIRECTORY CHANGES         an overlayfs over a directory, as containers have: what changes is copied to CHANGES first
#   unmount PLACE                          any of them
#   make-immutable FILE                    by its attribute, or else by a read-only mount
#   make-mutable FILE
#   change-owner USER FILE
#   change-owner-of-link USER LINK         of the link itself
#   make-network SOCKET                    a network of its own where the server of that socket listens, on port 5432: ok ADDRESS,
#                                          with _ for dots
#   drop-packets                           all that goes there disappears without a word
#   pass-packets
#   remove-network
#   move-to-group PID                      a process of the user to a control group of one controller: ok one; ok none, likewise
set -euo pipefail

work=$1
run=$(realpath "$2")
user=$3
answers=$run/privileged
parent=$PPID
group= # the control group, while there is one
declare -A immutable=() # path => how
mounted=()
declare -A disk=() # directory => image
network= # the namespace, while there is one
relay=

# The path, if it is one below RUN and no link leads out of it.
checked()
{
    local path

    path=$(realpath -e "$1") || return
    case $path in
        "$run"/*) echo "$path" ;;
        *)
            echo "\"$path\" is not below \"$run\"" >&2
            return 1
            ;;
    esac
}

make_file_system()
{
    local megabytes=$1 inodes=${3:-} directory image how

    directory=$(checked "$2") || return
    case $megabytes$inodes in
        '' | *[!0-9]*) echo "\"$megabytes\" or \"$inodes\" is no size" >&2; return 1 ;;
    esac
    image=$(mktemp "$work/image.XXXXXX")
    truncate -s "${megabytes}M" "$image"
    if mkfs.ext4 -q -F -m 0 -b 4096 ${inodes:+-N "$inodes"} -O ^has_journal -E "root_owner=$(id -u "$user"):$(id -g "$user")" "$image" >&2 &&
        mount -o loop,nosuid,nodev "$image" "$directory" >&2; then
        how=ext4
    elif mount -t tmpfs -o "size=${megabytes}m,nr_inodes=${inodes:-0},mode=0700,uid=$user,nosuid,nodev" tmpfs "$directory" >&2; then
        how=tmpfs
    else
        return 1
    fi
    rm -f "$image" # lives on while it is mounted
    rmdir "$directory/lost+found" 2>/dev/null || true
    mounted+=("$directory")
    echo "ok $how"
}

# Mount an image of so many megabytes, made by a command that gets its path.
mount_image()
{
    local megabytes=$1 directory=$2 image status=0
    shift 2

    image=$(mktemp "$work/image.XXXXXX")
    truncate -s "${megabytes}M" "$image"
    "$@" "$image" >&2 && mount -o loop,nosuid,nodev "$image" "$directory" >&2 || status=1
    rm -f "$image" # lives on while it is mounted
    [ "$status" = 0 ] || return
    mounted+=("$directory")
    rmdir "$directory/lost+found" 2>/dev/null || true
    chown "$user:" "$directory"
}

# A kernel without quotas mounts no ext4 that has projects; XFS has them in any case.
make_projects()
{
    local directory

    directory=$(checked "$1") || return
    if mount_image 320 "$directory" mkfs.ext4 -q -F -m 0 -O project; then
        echo ok ext4
    elif mount_image 320 "$directory" mkfs.xfs -q -f; then
        echo ok xfs
    else
        echo ok none
    fi
}

make_project()
{
    local path

    case $1 in
        '' | *[!0-9]*) echo "\"$1\" is no number" >&2; return 1 ;;
    esac
    path=$(checked "$2") || return
    if [ "$(stat -f -c %T "$path")" = xfs ]; then
        xfs_io -c "chproj -R $1" -c "chattr -R +P" "$path" >&2
    else
        chattr -R -p "$1" "$path" && find "$path" -type d -exec chattr +P {} +
    fi >&2 && echo ok
}

make_pool()
{
    local directory

    directory=$(checked "$1") || return
    mount_image 600 "$directory" mkfs.btrfs -q -f --mixed || { echo ok none; return; }
    btrfs subvolume create "$directory/a" >&2 && btrfs subvolume create "$directory/b" >&2 &&
        chown "$user:" "$directory/a" "$directory/b" && echo ok btrfs
}

# Nothing but a sync brings the journal to the disk in the next minutes, so that the image can be copied at leisure.
mount_disk() { mount -o loop,nosuid,nodev,commit=300 "$1" "$2" >&2; }

make_disk()
{
    local megabytes=$1 directory image

    directory=$(checked "$2") || return
    case $megabytes in
        '' | *[!0-9]*) echo "\"$megabytes\" is no size" >&2; return 1 ;;
    esac
    image=$(mktemp "$work/image.XXXXXX")
    truncate -s "${megabytes}M" "$image"
    mkfs.ext4 -q -F -m 0 -b 4096 -E "root_owner=$(id -u "$user"):$(id -g "$user"),lazy_itable_init=0,lazy_journal_init=0" "$image" >&2 &&
        mount_disk "$image" "$directory" || return
    rmdir "$directory/lost+found"
    mounted+=("$directory")
    disk[$directory]=$image
    # The disk has an empty file system, whatever becomes of it.
    sync -f "$directory"
    echo ok
}

# A process that was told to exit may use the file system for another moment, longer on a busy machine. Who still uses
# it after a minute is named.
unmount_when_unused()
{
    local path=$1

    for _ in {1..600}; do
        ! umount "$path" 2>"$work/umount" || return 0
        grep -q 'busy' "$work/umount" || break
        sleep 0.1
    done
    cat "$work/umount" >&2
    find /proc/[0-9]*/cwd /proc/[0-9]*/fd -maxdepth 1 -lname "$path*" -printf 'used by %p, %l\n' >&2 2>/dev/null || true
    return 1
}

# What the image holds is all that the disk was given: the rest is in the kernel's caches, which a power cut empties.
cut_power()
{
    local directory image after

    directory=$(checked "$1") && image=${disk[$directory]:-} && [ -n "$image" ] || return
    after=$(mktemp "$work/image.XXXXXX")
    cp --sparse=always "$image" "$after" && unmount_when_unused "$directory" && rm "$image" && mount_disk "$after" "$directory" || return
    disk[$directory]=$after
    echo ok
}

mount_file()
{
    local file path

    file=$(checked "$1") && path=$(checked "$2") && mount --bind "$file" "$path" || return
    mounted+=("$path")
    echo ok
}

# The kernel's own directory of an overlayfs must be beside CHANGES, on one file system; only root can remove what is in it.
make_overlay()
{
    local directory changes scratch

    directory=$(checked "$1") && changes=$(checked "$2") && scratch=$(mktemp -d "$work/overlay.XXXXXX") || return
    mount -t overlay -o "nosuid,nodev,lowerdir=$directory,upperdir=$changes,workdir=$scratch" overlay "$directory" >&2 || return
    mounted+=("$directory")
    echo ok
}

unmount()
{
    local path place

    path=$(checked "$1") || return
    unmount_when_unused "$path" || return
    for place in "${!mounted[@]}"; do
        if [ "${mounted[$place]}" = "$path" ]; then
            unset "mounted[$place]"
        fi
    done
    echo ok
}

make_immutable()
{
    local path

    path=$(checked "$1") || return
    if chattr +i "$path" >&2; then
        immutable[$path]=attribute
    elif mount --bind "$path" "$path" >&2 && mount -o remount,bind,ro "$path" >&2; then
        immutable[$path]=mount
    else
        return 1
    fi
    echo "ok ${immutable[$path]}"
}

make_mutable()
{
    local path

    path=$(checked "$1") || return
    case ${immutable[$path]:-} in
        attribute) chattr -i "$path" ;;
        mount) unmount_when_unused "$path" ;;
        *) echo "\"$path\" was not made immutable" >&2; return 1 ;;
    esac
    unset "immutable[$path]"
    echo ok
}

change_owner()
{
    local path

    path=$(checked "$2") || return
    chown -h -- "$1" "$path" && echo ok
}

change_owner_of_link()
{
    local directory

    directory=$(checked "$(dirname "$2")") || return
    [ -L "$directory/$(basename "$2")" ] && chown -h -- "$1" "$directory/$(basename "$2")" && echo ok
}

# A network namespace with one address, which a pair of devices connects with ours. A server's socket in the file
# system is the same in it, so a relay leads there.
make_network()
{
    local socket near address mac

    [ -z "$network" ] || { echo "there is a network already" >&2; return 1; }
    socket=$(checked "$1") || return
    network=rewind$$
    near=198.18.$(($$ / 64 % 256)).$(($$ % 64 * 4 + 1)) # of the range for tests of networks
    address=198.18.$(($$ / 64 % 256)).$(($$ % 64 * 4 + 2))
    ip netns add "$network" >&2 &&
        ip link add "near$$" type veth peer name "far$$" netns "$network" >&2 &&
        ip addr add "$near/30" dev "near$$" && ip link set "near$$" up &&
        ip -n "$network" addr add "$address/30" dev "far$$" && ip -n "$network" link set "far$$" up || return
    # Who is asked for by name and does not answer would be reported as unreachable.
    mac=$(ip netns exec "$network" cat "/sys/class/net/far$$/address")
    ip neigh replace "$address" lladdr "$mac" dev "near$$" nud permanent >&2 || return
    ip netns exec "$network" setpriv --reuid="$user" --regid="$user" --clear-groups \
        perl -I"$work/t/lib" -MIO::Socket::INET -MRewindTest::Proxy -e '
            my $listener = IO::Socket::INET->new(LocalAddr => $ARGV[0], LocalPort => 5432, Listen => 64) or die "could not listen: $!";
            pipe(my $control, my $held) or die;
            RewindTest::Proxy::serve(listener => $listener, control => $control, backend => $ARGV[1])' "$address" "$socket" >/dev/null 2>&1 &
    relay=$!
    echo "ok ${address//./_}"
}

remove_network()
{
    [ -n "$network" ] || return
    [ -z "$relay" ] || kill "$relay" 2>/dev/null || true
    ip link del "near$$" >&2 || true
    ip netns del "$network" >&2
    network=
    relay=
    echo ok
}

# An address that nobody has gets no answer, not even that there is nobody.
drop_packets() { ip -n "$network" addr flush dev "far$$" >&2 && echo ok; }
pass_packets() { ip -n "$network" addr add "198.18.$(($$ / 64 % 256)).$(($$ % 64 * 4 + 2))/30" dev "far$$" >&2 && echo ok; }

# Version 1 has a group for each controller.
move_to_group()
{
    local root=/sys/fs/cgroup

    case $1 in
        '' | *[!0-9]*) echo "\"$1\" is no number" >&2; return 1 ;;
    esac
    [ "$(stat -c %u "/proc/$1")" = "$(id -u "$user")" ] || return
    [ ! -d $root/cpu ] || root=$root/cpu
    group=$root/pg_rewind_test.$$
    { mkdir "$group" && echo "$1" >"$group/cgroup.procs"; } 2>/dev/null && echo ok one || echo ok none
}

undo_all()
{
    local path place

    trap - EXIT
    [ -z "$group" ] || rmdir "$group" 2>/dev/null || true
    [ -z "$network" ] || remove_network >/dev/null 2>&1 || true
    for path in "${!immutable[@]}"; do
        chattr -i "$path" 2>/dev/null || umount "$path" 2>/dev/null || true
    done
    for place in "${mounted[@]}"; do
        umount "$place" 2>/dev/null || umount -l "$place" || true
    done
}

# Not in a subshell: what was done has to be remembered.
answer()
{
    local number=$1 command=$2
    shift 2

    case $number in
        *[!0-9]*) return ;;
    esac
    case "$command $#" in
        'make-file-system 2' | 'make-file-system 3') make_file_system "$@" ;;
        'make-projects 1') make_projects "$@" ;;
        'make-project 2') make_project "$@" ;;
        'make-pool 1') make_pool "$@" ;;
        'make-disk 2') make_disk "$@" ;;
        'cut-power 1') cut_power "$@" ;;
        'mount 2') mount_file "$@" ;;
        'mount-read-only 2') mount_file "$@" && mount -o remount,bind,ro "$2" ;;
        'make-overlay 2') make_overlay "$@" ;;
        'unmount 1') unmount "$@" ;;
        'make-immutable 1') make_immutable "$@" ;;
        'make-mutable 1') make_mutable "$@" ;;
        'change-owner 2') change_owner "$@" ;;
        'change-owner-of-link 2') change_owner_of_link "$@" ;;
        'make-network 1') make_network "$@" ;;
        'drop-packets 0') drop_packets ;;
        'pass-packets 0') pass_packets ;;
        'remove-network 0') remove_network ;;
        'move-to-group 1') move_to_group "$@" ;;
        *) echo "no such command: $command" >&2 ;;
    esac >"$work/answer" 2>&1 || true
    # Complete when it appears: the other end reads and removes it at once.
    chmod a+r "$work/answer"
    mv -f "$work/answer" "$answers/$number"
}

mkdir "$answers"
mkfifo -m 0600 "$answers/requests"
chown -R "$user" "$answers"
exec 3<>"$answers/requests"
trap undo_all EXIT
trap 'exit 0' INT TERM HUP
line=
while kill -0 "$parent" 2>/dev/null; do
    # When the second is over in the middle of a line, the other half comes next time.
    if read -r -t 1 -u 3 part; then
        read -r -a words <<<"$line$part"
        line=
        [ ${#words[@]} -lt 2 ] || answer "${words[@]}"
    else
        line+=$part
    fi
done
