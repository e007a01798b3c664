#!/usr/bin/env bash
# Ours and the originals side by side on pairs of real clusters: see tests/bench.pl. Run by `make bench`.
#
# WORKLOADS="typical heavy" chooses; VERSIONS="19 15" as well: by default 19, 18 and 15, as far as they are here with their pg_rewind. The first of
# them (or NEWEST=19, where that is measured in another run) is the newest, whose figures the documents have. The clusters lie below TMPDIR, which wants 50 GB. The result of each workload is kept in
# build/bench/NAME.json; those of full size are put into BENCHMARKS.md and docs/ready.svg, which keep what they had of the others.
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
    make_lines || echo "bench: no TUN devices can be made here: no workload \"latency\"" >&2
    mkfifo "$work/run/network"
    chown "$ordinary_user" "$work/run/network"
    # shellcheck disable=SC2016 # it is the inner shell that expands it
    ip netns exec "$network" setpriv --reuid="$ordinary_user" --regid="$ordinary_user" --clear-groups \
        env -i LC_ALL=C HOME=/nonexistent PATH=/usr/bin:/bin \
        bash -c 'exec 3<>"$0"; while read -r -u 3 command; do eval "$command" 3<&-; done' "$work/run/network" &
    shell_in_network=$!
    passed+=(BENCH_NETWORK="$work/run/network" BENCH_DEVICES="near0-$$ near1-$$")
}

# Four more with a delay, and as fast as this machine can carry packets: BENCH_LINES="MILLISECONDS=ADDRESS ..." says how long each round trip takes.
make_lines()
{
    local index=2 milliseconds lines=

    case " ${WORKLOADS:-latency} " in
        *' latency '*) ;;
        *) return ;;
    esac
    for milliseconds in 0 20 80 200; do
        "$work/bin/delay_line" "near$index-$$" "far$index-$$" $((milliseconds * 500)) &
        delay_lines+=($!)
        for _ in {1..50}; do
            ! ip link show "far$index-$$" >/dev/null 2>&1 || break
            sleep 0.1
        done
        ip link set "far$index-$$" netns "$network" &&
            ip addr add "198.18.$index.1/30" dev "near$index-$$" && ip link set "near$index-$$" up &&
            ip -n "$network" addr add "198.18.$index.2/30" dev "far$index-$$" && ip -n "$network" link set "far$index-$$" up || return
        lines+="$milliseconds=198.18.$index.2 "
        index=$((index + 1))
    done
    passed+=(BENCH_LINES="$lines")
}

remove_links()
{
    [ -z "$shell_in_network" ] || kill "$shell_in_network" 2>/dev/null || true
    [ ${#delay_lines[@]} -eq 0 ] || kill "${delay_lines[@]}" 2>/dev/null || true
    ip link del "near0-$$" 2>/dev/null || true
    ip link del "near1-$$" 2>/dev/null || true
    ip netns del "$network" 2>/dev/null || true
}

make_work
mkdir "$work/bench"
cp "$checkout/tests/bench.pl" "$checkout"/tests/bench/*.pm "$work/bench/"
cp "$checkout/build/tests/count.so" "$checkout/build/tests/scan_speed" "$checkout/build/tests/limit" "$checkout/build/tests/delay_line" "$work/bin/"
chmod -R a+rX "$work/bench" "$work/bin"

variables='WORKLOADS|ORIGINAL|NOTE|ROUNDS|TABLES|SCALE|TRANSACTIONS|FILES|LONG_GB|HOT_GB|BEHIND_SPARSE_GB|BIG_FILES|SCALE_FILES|PG_REWIND_TEST_TRACE'
mapfile -t passed < <(env | grep -E "^($variables)=" || true)
network=
shell_in_network=
delay_lines=()
case " ${WORKLOADS:-link} " in
    *' link '* | *' compare '* | *' latency '*)
        if [ "$(id -u)" = 0 ]; then
            trap 'stop_servers_below "$work"; remove_links; clean_up_work' EXIT
            make_links || echo "bench: no networks can be made here: no workload \"link\" or \"latency\"" >&2
        fi
        ;;
esac

# The commit of the program, whatever else was changed since.
commit=$(git -C "$checkout" log -1 --format=%h -- src 2>/dev/null || true)
git -C "$checkout" diff --quiet HEAD -- src 2>/dev/null || commit=$commit-changed

: "${PG_BINDIR_15:=/usr/lib/postgresql/15/bin}" "${PG_BINDIR_18:=$servers/$original_18/bin}"
export PG_BINDIR_15 PG_BINDIR_18
versions=()
for version in ${VERSIONS:-19 18 15}; do
    if [ -x "$(server_bindir "$version")/pg_rewind" ]; then
        versions+=("$version")
    else
        echo "bench: there is no pg_rewind of version $version" >&2
    fi
done

cd "$work"
status=0
for version in "${versions[@]}"; do
    as_ordinary_user "${passed[@]}" VERSION="$version" BENCH_NEWEST=$((version == ${NEWEST:-${versions[0]}})) PG_REWIND="$work/bin/pg_rewind" \
        PG_BINDIR_15="$PG_BINDIR_15" PG_BINDIR_18="$PG_BINDIR_18" BENCH_COUNTER="$work/bin/count.so" BENCH_SCAN="$work/bin/scan_speed" \
        BENCH_LIMIT="$work/bin/limit" PG_REWIND_SERVERS="$servers" PG_REWIND_TEST_PATIENCE=3600 TMPDIR="$work/run" \
        BENCH_COMMIT="$commit" perl -It/lib -Ibench bench/bench.pl || status=$?
done
mkdir -p "$checkout/build/bench"
if cp run/results/*.json "$checkout/build/bench/"; then
    perl "$checkout/tests/bench/compose.pl" "$checkout/build/bench" "$checkout/BENCHMARKS.md" "$checkout/docs/ready.svg"
    "$checkout/tests/figures" --write
fi
exit $status
