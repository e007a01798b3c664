#!/usr/bin/env bash
# Run end-to-end tests: all of t/, or the files given, on each version that there is a server of; the last lines name the others.
# PG_REWIND_TEST_PART=check takes the versions that `make check` runs each test on, and counts the others; =rest takes these others: `make check-all`.
# build/end_to_end has the logs of tests that failed, with PG_REWIND_TEST_KEEP=1 the clusters of all tests.
# PG_REWIND_TEST_UNTIL=$(($(date +%s) + 600)) lets none begin later than that, and the last lines name those left; the rest comes in any order then.
# PG_VERSIONS="15 18" limits the server versions, PG_BINDIR_15=DIRECTORY takes other server programs of one,
# PG_BINDIR_9_6=DIRECTORY those of one that no package has; PG_REWIND_TEST_ANY=1 runs a test on each of them although it names a few,
# PROVE="-v -j1" replaces prove's options, PG_REWIND=/path/pg_rewind tests another program, VALGRIND=1 runs it under valgrind.
# PG_REWIND_TOOLS=DIRECTORY takes waldump, same_pages, lost_values and lost_schema from there, which contain parts of the program.
# EMULATOR="qemu-aarch64 -L ROOT" runs the program for ARM64 that PG_REWIND names, with the library that PG_REWIND_FAULTS names: tests/arm64.sh.
# A failure prints which fact of which file failed on which version, and the command that repeats that alone.
# What a sanitizer or valgrind has to say fails the run, whatever the tests make of it.
set -euo pipefail
. "$(dirname "$0")/environment.sh"

make_work "$(fast_directory)"
cp "${PG_REWIND_FAULTS:-$checkout/build/tests/faults.so}" "$work/bin/faults.so"
for tool in waldump same_pages lost_values lost_schema; do
    cp "${PG_REWIND_TOOLS:-$checkout/build/tests}/$tool" "$work/bin/$tool" || [ -n "${PG_REWIND:-}" ]
done
chmod -R a+rX "$work/bin"
faults=$work/bin/faults.so

# The original can look for its companions only beside the place it was installed in.
program=$work/bin/pg_rewind
case ${PG_REWIND:-} in
    /usr/lib/postgresql/*) program=$PG_REWIND ;;
esac

if [ -n "${VALGRIND:-}" ]; then
    mkdir "$work/bin/checked"
    mv "$work/bin/pg_rewind" "$work/bin/checked/"
    printf '#!/bin/sh\nexec valgrind -q --leak-check=full --log-file=%s %s "$@"\n' \
        "$work/run/findings.%p" "$work/bin/checked/pg_rewind" >"$work/bin/pg_rewind"
    chmod a+rx "$work/bin/checked" "$work/bin/pg_rewind"
fi
if [ -n "${EMULATOR:-}" ]; then
    cp "$(dirname "$PG_REWIND_FAULTS")"/{waldump,lost_values,lost_schema} "$work/bin/"
    mkdir -p "$work/bin/emulated" "$work/bin/lib/$(gcc -print-multiarch)" "$work/bin/lib/aarch64-linux-gnu"
    for name in pg_rewind waldump lost_values lost_schema; do
        mv "$work/bin/$name" "$work/bin/emulated/"
        printf '#!/bin/sh\nexec %s -0 "$0" %s "$@"\n' "$EMULATOR" "$work/bin/emulated/$name" >"$work/bin/$name"
    done
    # That shell gets an empty library, the program its own: each ld.so puts a directory of its own in the place of $LIB.
    gcc -shared -x c /dev/null -o "$work/bin/lib/$(gcc -print-multiarch)/faults.so"
    mv "$work/bin/faults.so" "$work/bin/lib/aarch64-linux-gnu/"
    faults=$work/bin/'$LIB'/faults.so
    chmod -R a+rX "$work/bin"
    chmod a+x "$work/bin/pg_rewind" "$work/bin/waldump" "$work/bin"/lost_{values,schema}
fi
# A sanitizer's library wants to be loaded before any other.
sanitizer=$(ldd "$program" 2>/dev/null | awk '$1 ~ /^lib[at]san/ { print $3 ":" }' || true)

tests=()
for test in "$@"; do
    test=t/$(basename "$test")
    if [ ! -f "$checkout/$test" ]; then
        echo "There is no test $test." >&2
        exit 1
    fi
    tests+=("$test")
done
if [ ${#tests[@]} -eq 0 ]; then
    cd "$checkout"
    # The longest begin first: none of them is left alone at the end.
    tests=(t/450_space.pl t/428_tablespace_place_again.pl t/402_failed_calls.pl t/803_rejoin_again.pl t/822_save_lost_rows.pl
        t/600_chaos.pl t/806_rejoin_would_not_follow.pl t/210_failover_back_and_forth.pl t/320_target_standby.pl t/200_timelines.pl
        t/169_checksums_not_always_on.pl t/165_settings_switched.pl t/161_hint_bits_without_wal.pl t/422_server_that_is_stopping.pl)
    for test in t/*.pl; do
        [[ " ${tests[*]} " == *" $test "* ]] || tests+=("$test")
    done
fi

# Versions that the caller names are taken as they are. `make check` counts 19 among those that it leaves, whether it is set up or not. Tests without a
# version are no part of the rest.
part=${PG_REWIND_TEST_PART:-}
versions=${PG_VERSIONS:-}
if [ -n "$versions" ]; then
    part=
elif [ "$part" = check ]; then
    versions="${npm_versions[*]} 19"
else
    versions=$(tested_versions)
fi
if [ "$part" = rest ]; then
    [ $# -eq 0 ] || for test in $(cd "$checkout" && grep -L '^each_version(' "${tests[@]}"); do
        echo "$test runs once, not on each version: \`make check\` does all of it."
    done
    mapfile -t tests < <(cd "$checkout" && grep -l '^each_version(' "${tests[@]}")
    # prove takes no name for another set of tests.
    [ ${#tests[@]} -gt 0 ] || exit 0
    [ -z "${PG_REWIND_TEST_UNTIL:-}" ] || mapfile -t tests < <(shuf -e -- "${tests[@]}")
fi

# Root can make small file systems and the like for tests that need them; in a container without rights those are skipped, loudly.
passed_to_tests=()
if [ "$(id -u)" = 0 ] && unshare --mount true 2>/dev/null; then
    "$checkout/tests/privileged.sh" "$work" "$work/run" "$ordinary_user" &
    servant=$!
    passed_to_tests+=(PG_REWIND_PRIVILEGED="$work/run/privileged")
    trap 'stop_servers_below "$work"; kill $servant || true; wait $servant || true; clean_up_work' EXIT
fi

# Variables that the harness reads: the table in CONTRIBUTING.md.
mapfile -t passed < <(env | grep -E '^(PG_BINDIR_[0-9_]+|PG_REWIND_TEST_[A-Z]+)=' | grep -v '^PG_REWIND_TEST_PART=' || true)
[ -z "$part" ] || passed+=(PG_REWIND_TEST_PART="$part")
logs=$work/run/logs
as_ordinary_user mkdir "$logs"

cd "$work"
# Heaps in huge pages: a fifth less processor time on virtual machines where a page fault is dear.
# shellcheck disable=SC2086 # PROVE is a list of options
as_ordinary_user "${passed[@]}" "${passed_to_tests[@]}" \
    PG_REWIND="$program" \
    PG_REWIND_FAULTS="$sanitizer$faults" \
    PG_REWIND_SAME_PAGES="$work/bin/same_pages" \
    ASAN_OPTIONS="log_path=$work/run/findings" \
    UBSAN_OPTIONS="log_path=$work/run/findings:print_stacktrace=1" \
    TSAN_OPTIONS="log_path=$work/run/findings" \
    PG_REWIND_SERVERS="$servers" \
    PG_REWIND_TEST_FIXTURES="$fixtures" \
    PG_REWIND_TEST_LOGS="$logs" \
    PG_VERSIONS="$versions" \
    TMPDIR="$work/run" \
    GLIBC_TUNABLES=glibc.malloc.hugetlb=1 \
    prove ${PROVE:--j8 --timer} -It/lib "${tests[@]}" 2>&1 | tee "$work/output" || status=$?

findings=$(find "$work/run" -maxdepth 1 -name 'findings.*' -size +0 -exec cat {} +)
if [ -n "$findings" ]; then
    echo "$findings" | head -n 200 >&2
    status=1
fi

grep -E '\.\. skipped: ' "$work/output" | grep -vE 'skipped: (not for the versions|another part|no time was left) ' | sed -E 's/^(\[[0-9:]*\] )?/not tested: /; s/ \.\.+ skipped:/:/' || true
sed -nE 's/^(\[[0-9:]*\] )?(.*\.pl) \.+ skipped: no time was left for it$/\2/p' "$work/output" | sort | paste -sd ' ' | sed 's/^./not tested, no time was left: &/'
sed -nE 's/^ *# (.*) is SKIPPED: /not tested: \1: /p' "$work/output"
if [ -z "${PG_VERSIONS:-}" ]; then
    for version in "${all_versions[@]}"; do
        [ "$part:$version" = check:19 ] || why_not_tested "$version" | sed "s/^/not tested: $version: /"
    done
    as_ordinary_user test -r "$fixtures/9.6/pair.tar.zst" ||
        echo "not tested: diverged pairs of 9.3 to 9.6: there are none at $fixtures; PG_REWIND_TEST_FIXTURES may name another place"
fi
if [ -s "$logs/left" ]; then
    echo "left to make check-all: $(wc -l <"$logs/left") runs of these tests on other versions;" \
        "version (runs):$(sort -n "$logs/left" | uniq -c | awk '{ printf " %s (%s)", $2, $1 }')"
fi

# The logs of a failed test's servers, and what its programs printed, are kept.
if [ "${status:-0}" != 0 ]; then
    echo "what failed first in each file, and the command that repeats it alone:"
    grep -E '^ *# (FAILED|REPEAT) ' "$work/output" | sed 's/^ *# //' || true
    echo "what the tests that failed said:"
    grep -E '^ *#|gave up|^failed|died' "$work/output" | tail -n 60 || true
fi
failed=$(sed -nE 's/^t\/([^ ]*)\.pl +\(Wstat.*/\1/p' "$work/output")
if [ "${status:-0}${PG_REWIND_TEST_KEEP:-}" != 0 ]; then
    kept=$checkout/build/end_to_end
    rm -rf "$kept"
    mkdir -p "$kept"
    cp "$work/output" "$kept/output"
    for test in ${PG_REWIND_TEST_KEEP:+$(ls "$logs")} $failed; do
        [ ! -d "$logs/$test" ] || mv "$logs/$test" "$kept/"
    done
    for test in $failed; do
        [ ! -s "$kept/$test/stderr" ] || { echo "the last lines of $kept/$test/stderr:" && tail -n 10 "$kept/$test/stderr"; }
    done
    echo "what they left, with the logs of their servers, is in $kept: $(ls -m "$kept")"
fi
exit "${status:-0}"
