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
#   versions    tests of which `make check` runs a sample of versions, on all of them
#
# Each part prints its own counts. The dice have another seed in each run, which is printed; PG_REWIND_TEST_SEED=N repeats one. (In `make check`
# they have always the same.)
set -euo pipefail
cd "$(dirname "$0")/.."
export PG_REWIND_TEST_SEED=${PG_REWIND_TEST_SEED:-$(date +%s)}
echo "PG_REWIND_TEST_SEED=$PG_REWIND_TEST_SEED"

# One process for each version, two at a time.
each_version()
{
    local versions=$1 test=$2

    # shellcheck disable=SC2086 # a list
    printf '%s\n' $versions | xargs -P 2 -I{} env PG_REWIND_TEST_POINTS=all PG_REWIND_TEST_VERSION={} PG_VERSIONS={} \
        PROVE="-v -j1" tests/end_to_end.sh "$test" | grep -E '^ *(not ok|# )|^(ok|Result|Files)'
}

[ $# -gt 0 ] || set -- kill power fail space lies flips fuzz sanitizers chaos versions
for part in "$@"; do
    echo "==> torture: $part"
    case $part in
        kill) each_version "10 15 18" t/400_killed_at_every_call.pl ;;
        power) each_version "16" t/401_power_cut.pl ;;
        fail) each_version "17" t/402_failed_calls.pl ;;
        space) each_version "15" t/450_space.pl ;;
        lies) each_version "18" t/380_lying_source.pl ;;
        flips) each_version "11 15 18" t/335_flipped_bits.pl ;;
        fuzz) EXECUTIONS=10000000 tests/fuzz/run.sh ;;
        sanitizers) tests/sanitizers.sh all ;;
        chaos) RUNS=200 JOBS=2 tests/chaos.sh ;;
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
