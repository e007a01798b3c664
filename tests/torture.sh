#!/usr/bin/env bash
# Everything that may interrupt or mislead a rewind, as thoroughly as it gets: hours. tests/torture.sh [PART...], all parts by default:
#
#   kill        a kill before every call that changes something; three versions, both kinds of source
#   power       thousands of states that a power cut may leave
#   fail        every such call failed with five errors, of the others each kind; full disks; short reads and writes
#   space       a real small disk that another process fills at any time
#   lies        a source whose answers are nonsense
#   flips       thousands of bits flipped in the target's WAL
#   fuzz        10 million executions of each fuzz target
#   sanitizers  all tests under the address, undefined behaviour and thread sanitizers, and valgrind
#   chaos       200 split brains thrown by dice
#   regress     PostgreSQL's own regression tests on both sides of a split brain; 15 and 18
#   versions    tests of which `make check` runs a sample of versions, on all of them
#
# Each part prints its own counts. The dice have another seed in each run, which is printed; PG_REWIND_TEST_SEED=N repeats one. (In `make check`
# they have always the same.)
set -euo pipefail
cd "$(dirname "$0")/.."
export PG_REWIND_TEST_SEED=${PG_REWIND_TEST_SEED:-$(date +%s)}
echo "PG_REWIND_TEST_SEED=$PG_REWIND_TEST_SEED"

# all_points VERSIONS TEST [KINDS [JOBS]]: one process for each version and kind (of source, or what the test says), so many at a time.
all_points()
{
    local versions=$1 test=$2 kinds=${3:-server} jobs=${4:-2} version kind

    for version in $versions; do
        for kind in $kinds; do
            echo "PG_REWIND_TEST_VERSION=$version PG_VERSIONS=$version PG_REWIND_TEST_KIND=$kind"
        done
    done | PG_REWIND_TEST_POINTS=all PROVE="-v -j1" xargs -P "$jobs" -I{} sh -c "{} exec tests/end_to_end.sh $test" |
        grep -E '^ *(not ok|# )|^(ok|Result|Files)'
}

[ $# -gt 0 ] || set -- kill power fail space lies flips fuzz sanitizers chaos regress versions
for part in "$@"; do
    echo "==> torture: $part"
    case $part in
        kill) all_points "10 15 18" t/400_killed_at_every_call.pl ;;
        power) all_points "16" t/401_power_cut.pl "auto auto-killed fsync fsync-killed syncfs syncfs-killed apart" ;;
        fail)
            # Those that take longest come first. They wait most of the time.
            all_points "17" t/402_failed_calls.pl "$(echo {server,directory}:{resumed,other,changing} {server,directory}:{full,sync,less})" 6
            ;;
        space) all_points "15" t/450_space.pl ;;
        lies) all_points "18" t/380_lying_source.pl ;;
        flips) all_points "11 15 18" t/335_flipped_bits.pl ;;
        fuzz) EXECUTIONS=10000000 tests/fuzz/run.sh ;;
        sanitizers) tests/sanitizers.sh all ;;
        chaos) RUNS=200 JOBS=2 tests/chaos.sh ;;
        regress) tests/regress.sh ;;
        versions)
            # shellcheck disable=SC2046 # a list
            PG_REWIND_TEST_SAMPLE=all tests/end_to_end.sh $(grep -l 'sample => 1' t/*.pl)
            ;;
        *)
            echo "there is no part $part" >&2
            exit 2
            ;;
    esac
done
