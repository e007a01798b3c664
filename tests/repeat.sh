#!/usr/bin/env bash
# Run end-to-end tests again and again: tests/repeat.sh RUNS [FILE[@VERSIONS] ...], as in tests/repeat.sh 20 t/450_space.pl@15 t/440_signals.pl@10,18.
# Without a FILE all of tests/clocks: those whose result a slow machine could change. Each run gets a line, also in build/repeat/log: when it
# ended, file, number of the run, seconds, result. What a run that failed has printed is beside it.
# LOAD=1 lets eight busy processes and one that writes to the disk run beside; JOBS=2 runs so many at a time.
set -euo pipefail
cd "$(dirname "$0")/.."
export out=$PWD/build/repeat

run_once()
{
    local file=${2%@*} versions=${2#"${2%@*}"} began=$SECONDS result=ok printed
    printed=$out/$(basename "$file").$1.$$

    [ -z "$versions" ] || export PG_VERSIONS=${versions#@}
    PG_VERSIONS=${PG_VERSIONS//,/ } PROVE="-v -j1" tests/end_to_end.sh "$file" >"$printed" 2>&1 || result=FAILED
    [ $result = FAILED ] || rm "$printed"
    printf '%s %-40s run %3d %4d s  %s\n' "$(date +%T)" "$2" "$1" $((SECONDS - began)) $result | tee -a "$out/log"
    [ $result = ok ]
}
export -f run_once

runs=$1
shift
[ $# -gt 0 ] || mapfile -t files < <(awk '/^t\// { print $1 }' tests/clocks)
[ $# -eq 0 ] || files=("$@")
mkdir -p "$out"

load=()
stop_load()
{
    [ ${#load[@]} -eq 0 ] || kill "${load[@]}"
    rm -f "$out/written"
}
trap stop_load EXIT
if [ -n "${LOAD:-}" ]; then
    for _ in 1 2 3 4 5 6 7 8; do
        perl -e '1 while 1' &
        load+=($!)
    done
    perl -MIO::Handle -e 'for (;;) { open my $file, ">", $ARGV[0] or die; syswrite $file, "x" x 1048576 for 1 .. 256; $file->sync }' "$out/written" &
    load+=($!)
fi

echo "$(date) ${#files[@]} files, $runs runs, load: ${LOAD:-none}, jobs: ${JOBS:-1}" | tee -a "$out/log"
for run in $(seq "$runs"); do
    printf "$run %s\n" "${files[@]}"
done | xargs -P "${JOBS:-1}" -L 1 bash -c 'run_once "$@"' run_once
