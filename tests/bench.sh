#!/usr/bin/env bash
# Ours and the original side by side on pairs of real clusters: see tests/bench.pl. Run by `make bench`.
#
# WORKLOADS="typical heavy" chooses; ORIGINAL=/path/to/pg_rewind measures another original (of 15) as well. The clusters lie below
# TMPDIR, which wants 50 GB. The result of each workload is kept in build/bench/NAME.json; those of full size are put into BENCHMARKS.md and
# docs/ready.svg, which keep what they had of the others.
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
cp "$checkout/build/tests/count.so" "$checkout/build/tests/scan_speed" "$checkout/build/tests/limit" "$work/bin/"
chmod -R a+rX "$work/bench" "$work/bin"

variables='WORKLOADS|ORIGINAL|VERSION|NOTE|ROUNDS|SCALE|TRANSACTIONS|FILES|LONG_GB|HOT_GB|BEHIND_SPARSE_GB|BIG_FILES|PG_REWIND_TEST_TRACE'
mapfile -t passed < <(env | grep -E "^($variables)=" || true)
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

# The commit of the program, whatever else was changed since.
commit=$(git -C "$checkout" log -1 --format=%h -- src 2>/dev/null || true)
git -C "$checkout" diff --quiet HEAD -- src 2>/dev/null || commit=$commit-changed

cd "$work"
status=0
as_ordinary_user "${passed[@]}" PG_REWIND="$work/bin/pg_rewind" BENCH_COUNTER="$work/bin/count.so" BENCH_SCAN="$work/bin/scan_speed" \
    BENCH_LIMIT="$work/bin/limit" PG_REWIND_SERVERS="$servers" PG_REWIND_TEST_PATIENCE=3600 TMPDIR="$work/run" \
    BENCH_COMMIT="$commit" perl -It/lib -Ibench bench/bench.pl || status=$?
mkdir -p "$checkout/build/bench"
if cp run/results/*.json "$checkout/build/bench/"; then
    perl "$checkout/tests/bench/compose.pl" "$checkout/build/bench" "$checkout/BENCHMARKS.md" "$checkout/docs/ready.svg"
fi
exit $status
