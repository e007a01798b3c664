#!/usr/bin/env bash
# Ours and the original side by side on pairs of real clusters: see tests/bench.pl. Run by `make bench`.
#
# WORKLOADS="typical heavy" chooses; ORIGINAL=/path/to/pg_rewind measures another original (of 15) as well. The clusters lie below
# TMPDIR, which wants 40 GB. BENCHMARKS.md is written when all workloads were run in full size, else build/BENCHMARKS.md.
set -euo pipefail
. "$(dirname "$0")/environment.sh"

# Two links of 1 Gbit/s and 100 Mbit/s between this network and another, in which a shell of the ordinary user does what it
# reads from a fifo: the source is started there.
make_links()
{
    local index rate

    network=rewind$$
    ip netns add "$network" || return
    for index in 0 1; do
        rate=$((index == 0 ? 1000 : 100))mbit
        ip link add "near$index-$$" type veth peer name "far$index" netns "$network" &&
            ip addr add "198.18.$index.1/30" dev "near$index-$$" && ip link set "near$index-$$" up &&
            ip -n "$network" addr add "198.18.$index.2/30" dev "far$index" && ip -n "$network" link set "far$index" up &&
            tc qdisc add dev "near$index-$$" root tbf rate "$rate" burst 256kb latency 50ms &&
            tc -n "$network" qdisc add dev "far$index" root tbf rate "$rate" burst 256kb latency 50ms || return
    done
    ip -n "$network" link set lo up
    mkfifo "$work/run/network"
    chown "$ordinary_user" "$work/run/network"
    # shellcheck disable=SC2016 # it is the inner shell that expands it
    ip netns exec "$network" setpriv --reuid="$ordinary_user" --regid="$ordinary_user" --clear-groups \
        env -i LC_ALL=C HOME=/nonexistent PATH=/usr/bin:/bin \
        bash -c 'exec 3<>"$0"; while read -r -u 3 command; do eval "$command" 3<&-; done' "$work/run/network" &
    shell_in_network=$!
    passed+=(BENCH_NETWORK="$work/run/network" BENCH_DEVICES="near0-$$ near1-$$")
}

remove_links()
{
    [ -z "$shell_in_network" ] || kill "$shell_in_network" 2>/dev/null || true
    ip link del "near0-$$" 2>/dev/null || true
    ip link del "near1-$$" 2>/dev/null || true
    ip netns del "$network" 2>/dev/null || true
}

make_work
mkdir "$work/bench"
cp "$checkout/tests/bench.pl" "$checkout"/tests/bench/*.pm "$work/bench/"
cp "$checkout/build/tests/count.so" "$checkout/build/tests/scan_speed" "$work/bin/"
chmod -R a+rX "$work/bench" "$work/bin"

mapfile -t passed < <(env | grep -E '^(WORKLOADS|ORIGINAL|ROUNDS|SCALE|TRANSACTIONS|FILES|LONG_GB|BIG_FILES|PG_REWIND_TEST_TRACE)=' || true)
network=
shell_in_network=
case " ${WORKLOADS:-link} " in
    *' link '* | *' compare '*)
        if [ "$(id -u)" = 0 ]; then
            trap 'stop_servers_below "$work"; remove_links; clean_up_work' EXIT
            make_links || echo "bench: no networks can be made here: no workload \"link\"" >&2
        fi
        ;;
esac

cd "$work"
as_ordinary_user "${passed[@]}" PG_REWIND="$work/bin/pg_rewind" BENCH_COUNTER="$work/bin/count.so" BENCH_SCAN="$work/bin/scan_speed" PG_REWIND_SERVERS="$servers" \
    PG_REWIND_TEST_PATIENCE=3600 BENCH_COMMIT="$(git -C "$checkout" describe --always --dirty 2>/dev/null || true)" TMPDIR="$work/run" \
    perl -It/lib -Ibench bench/bench.pl
if [ -s run/BENCHMARKS.md ]; then
    cp run/BENCHMARKS.md "$checkout/BENCHMARKS.md"
else
    cp run/part.md "$checkout/build/BENCHMARKS.md"
fi
