#!/usr/bin/env bash
# Make the files of 9.3 to 9.6 anew from the diverged pairs of these versions: tests/data/from_pairs.sh [VERSION...]
# PG_REWIND_TEST_FIXTURES is where the pairs lie. README.md says what each file holds. N.facts needs that version's pg_controldata
# (PG_BINDIR_9_6 and so on); without it that file stays.
set -euo pipefail
. "$(dirname "$0")/../environment.sh"

data=$checkout/tests/data
scratch=$(mktemp -d /tmp/pg_rewind_data.XXXXXX)
trap 'rm -rf "$scratch"' EXIT

# What pg_controldata says behind a name.
said()
{
    sed -n "s/^\(Current \)\?$1: *//p" "$scratch/said"
}

on_or_off()
{
    case "$(said "$1")" in yes | on) echo t ;; *) echo f ;; esac
}

# One line as make.sh writes it.
facts()
{
    local xid
    TZ=UTC LC_ALL=C "$1/pg_controldata" "$2" >"$scratch/said"
    [ "$(said 'Database cluster state')" = "shut down" ]
    xid=$(said "Latest checkpoint's NextXID")
    echo shutdown "$(said 'pg_control version number')" "$(said 'Catalog version number')" "$(said 'Database system identifier')" \
        "$(said 'Latest checkpoint location')" "$(said "Latest checkpoint's REDO location")" \
        "$(said "Latest checkpoint's TimeLineID")" "$(said "Latest checkpoint's PrevTimeLineID")" \
        "$(on_or_off "Latest checkpoint's full_page_writes")" "${xid%[:/]*}" "${xid#*[:/]}" "$(said "Latest checkpoint's oldestXID")" \
        "$(said "Latest checkpoint's oldestActiveXID")" "$(date -u -d "$(said 'Time of latest checkpoint') UTC" +%s)" \
        "$(said 'Minimum recovery ending location')" "$(said "Min recovery ending loc's timeline")" \
        "$(said 'Backup start location')" "$(said 'Backup end location')" "$(on_or_off 'End-of-backup record required')" \
        "$(said 'Database block size')" "$(said 'Blocks per segment of large relation')" "$(said 'WAL block size')" \
        "$(said 'Bytes per WAL segment')" "$(said 'Data page checksum version')" "$(said 'wal_level setting')" \
        "$(on_or_off 'wal_log_hints setting')"
}

[ $# -gt 0 ] || set -- 9.3 9.4 9.5 9.6
for version in "$@"; do
    pair=$scratch/$version
    bin=$(server_bindir "$version")
    mkdir "$pair"
    zstd -q -d --long=27 <"$fixtures/$version/pair.tar.zst" | tar -x -C "$pair"
    for side in target source; do
        head -c 512 "$pair/$side/global/pg_control"
    done >"$data/$version.control"
    if [ -x "$bin/pg_controldata" ]; then
        for side in target source; do
            facts "$bin" "$pair/$side"
        done >"$data/$version.facts"
    fi
    install -m 644 "$pair/source/pg_xlog/00000002.history" "$data/$version.history"
    # The target alone still has the first segments.
    cp -n "$pair/target/pg_xlog/"0*[12] "$pair/source/pg_xlog"
    perl "$data/extract.pl" "$pair/source/pg_xlog" "$data/$version"
done
