#!/usr/bin/env bash
# Is each guard noticed when it is gone?  tests/guards.sh [NAME...], all by default.
#
# tests/guards/NAME.patch takes one guard out of a copy of the source. Its head says what the guard is for, which rule of
# design/ that is (tests/rules), which end-to-end test must then fail, and on which server version:
#
#   guard: a sentence
#   rule: U5
#   test: t/160_hint_bits.pl 15
#
# With the guard in place that test has to pass, or its failing says nothing. One line a guard; the exit status is 0
# if all were noticed. A patch that no longer applies is an error. LOGS=DIR keeps what the tests printed.
set -euo pipefail
. "$(dirname "$0")/environment.sh"

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
trap 'exit 130' INT TERM
# A test without its guard may wait for what does not come.
export PG_REWIND_TEST_PATIENCE="${PG_REWIND_TEST_PATIENCE:-60}"
logs=${LOGS:-$scratch/logs}
mkdir -p "$logs"

head_of() { sed -n "s/^$2: //p;/^--- /q" "$1"; }

programs="pg_rewind tests/waldump tests/same_pages tests/lost_values tests/lost_schema"

# Built once; then only what a patch touches is compiled again.
copy_checkout()
{
    (cd "$checkout" && git ls-files -z | xargs -0 cp --parents -t "$scratch/source")
    meson setup "$scratch/build" "$scratch/source" >"$logs/setup.log" 2>&1
    # shellcheck disable=SC2086 # a list
    ninja -C "$scratch/build" $programs >>"$logs/setup.log" 2>&1
    mkdir "$scratch/whole"
    # shellcheck disable=SC2086
    (cd "$scratch/build" && cp --parents $programs "$scratch/whole")
}

# Does the test pass on the version with the programs of this directory? A skipped one does not.
passes()
{
    local built=$1 test=$2 version=$3 log=$4

    PG_REWIND=$built/pg_rewind PG_REWIND_TOOLS=$built/tests PG_REWIND_FAULTS=$checkout/build/tests/faults.so PG_VERSIONS=$version PROVE=-v \
        "$checkout/tests/end_to_end.sh" "$test" </dev/null >"$log" 2>&1 && ! grep -qE 'skipped:|# skip not for the versions' "$log"
}

# Once for each test and version.
declare -A passed
passes_whole()
{
    local key="$1 $2"

    if [ -z "${passed[$key]:-}" ]; then
        passed[$key]=no
        ! passes "$scratch/whole" "$1" "$2" "$logs/$(basename "$1").$2.log" || passed[$key]=yes
    fi
    [ "${passed[$key]}" = yes ]
}

build_without()
{
    patch -d "$scratch/source" -p1 -s -f --no-backup-if-mismatch -i "$1" >"$2" 2>&1 || return 2
    # shellcheck disable=SC2086 # a list
    ninja -C "$scratch/build" $programs >>"$2" 2>&1
}

put_back()
{
    local file

    sed -n 's,^--- a/,,p' "$1" | cut -f 1 | while read -r file; do
        cp "$checkout/$file" "$scratch/source/$file"
    done
    find "$scratch/source" \( -name '*.rej' -o -name '*.orig' \) -delete
}

# Sets verdict.
try_guard()
{
    local patch=$1 name=$2 test version built=0

    read -r test version < <(head_of "$patch" test)
    if ! passes_whole "$test" "$version"; then
        verdict="the test fails with the guard in place"
        return
    fi
    build_without "$patch" "$logs/$name.build.log" || built=$?
    case $built in
        0)
            verdict="NOT NOTICED"
            passes "$scratch/build" "$test" "$version" "$logs/$name.log" || verdict=noticed
            ;;
        2) verdict="the patch does not apply any more" ;;
        *) verdict="it does not compile without the guard" ;;
    esac
    put_back "$patch"
}

[ $# -gt 0 ] || set -- $(cd "$checkout/tests/guards" && ls -- *.patch)
mkdir "$scratch/source"
copy_checkout
bad=0
for name in "$@"; do
    name=${name%.patch}
    patch=$checkout/tests/guards/$name.patch
    if [ ! -e "$patch" ]; then
        echo "there is no guard $name" >&2
        exit 2
    fi
    began=$SECONDS
    try_guard "$patch" "$name"
    [ "$verdict" = noticed ] || bad=$((bad + 1))
    printf '%-28s %-8s %3d s  %s\n' "$name" "$verdict" $((SECONDS - began)) "$(head_of "$patch" test): $(head_of "$patch" guard)"
done
echo "$# guards, $bad of them not noticed"
[ "$bad" = 0 ]
