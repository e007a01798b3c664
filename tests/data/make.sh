#!/usr/bin/env bash
# Make the files of this directory anew with real servers: tests/data/make.sh [VERSION...]
# README.md says what each file holds.
set -euo pipefail
. "$(dirname "$0")/../environment.sh"

data=$checkout/tests/data
scratch=$(mktemp -d /tmp/pg_rewind_data.XXXXXX)
chmod 755 "$scratch"
trap 'stop_servers_below "$scratch"; rm -rf "$scratch"' EXIT

# One line: state, then what the server's own functions say of its pg_control.
facts_query="
select pg_control_version, catalog_version_no, system_identifier,
       checkpoint_lsn, redo_lsn, timeline_id, prev_timeline_id, full_page_writes,
       split_part(next_xid, ':', 1), split_part(next_xid, ':', 2), oldest_xid, oldest_active_xid,
       extract(epoch from checkpoint_time)::bigint,
       min_recovery_end_lsn, min_recovery_end_timeline, backup_start_lsn, backup_end_lsn,
       end_of_backup_record_required,
       database_block_size, blocks_per_segment, wal_block_size, bytes_per_wal_segment,
       data_page_checksum_version, current_setting('wal_level'), current_setting('wal_log_hints')
from pg_control_system(), pg_control_checkpoint(), pg_control_recovery(), pg_control_init()"

make_version()
{
    local version=$1
    local bin; bin=$(server_bindir "$version")
    local home=$scratch/$version cluster=$scratch/$version/cluster port=$((56100 + version))
    local keep="wal_keep_size = 200MB" segments=--wal-segsize=1 strategy="strategy file_copy"

    [ "$version" -ge 11 ] || segments=
    [ "$version" -ge 13 ] || keep="wal_keep_segments = 100"
    [ "$version" -ge 15 ] || strategy=
    mkdir -p "$home/tablespace"
    [ "$(id -u)" != 0 ] || chown -R "$ordinary_user" "$home"
    # shellcheck disable=SC2086
    as_ordinary_user "$bin/initdb" -D "$cluster" -U postgres -A trust -k -N $segments >/dev/null 2>&1
    head -c 512 "$cluster/global/pg_control" >"$data/$version.control"

    as_ordinary_user tee -a "$cluster/postgresql.conf" >/dev/null <<EOF
port = $port
listen_addresses = ''
unix_socket_directories = '$home'
wal_level = logical
wal_compression = on
max_prepared_transactions = 5
autovacuum = off
fsync = off
hot_standby = on
$keep
EOF
    run() { as_ordinary_user psql -X -q -A -t -h "$home" -p "$port" -U postgres -v ON_ERROR_STOP=1 "$@"; }
    start() { as_ordinary_user "$bin/pg_ctl" -D "$cluster" -l "$home/log" -w start >/dev/null; }
    stop() { as_ordinary_user "$bin/pg_ctl" -D "$cluster" -m fast -w stop >/dev/null; }
    standby()
    {
        if [ "$version" -ge 12 ]; then
            as_ordinary_user touch "$cluster/standby.signal"
        else
            echo "standby_mode = on" | as_ordinary_user tee "$cluster/recovery.conf" >/dev/null
        fi
    }
    promote()
    {
        as_ordinary_user "$bin/pg_ctl" -D "$cluster" -w promote >/dev/null
        until [ "$(run -c 'select pg_is_in_recovery()')" = f ]; do sleep 0.1; done
    }
    control() # STATE: append pg_control and what the server says of it
    {
        head -c 512 "$cluster/global/pg_control" >>"$data/$version.control"
        run -F ' ' -c "$facts_query" | sed "s|^|$1 |" >>"$data/$version.facts"
    }

    start
    run >/dev/null <<EOF
create table t(a int primary key, b text, c point, d int[]);
insert into t select g, repeat('x', 50), point(g, g), array[g] from generate_series(1, 50) g;
create index on t using gin (d);
create index on t using gist (c);
create index on t using spgist (c);
create index on t using brin (a);
create index on t using hash (a);
create table dropped(a int); insert into dropped values (1);
checkpoint;
update t set b = 'y' where a < 5;
begin; insert into t values (1000); savepoint a; insert into t values (1001); release a; prepare transaction 'a gid';
commit prepared 'a gid';
begin; insert into t values (1002); prepare transaction 'other gid';
rollback prepared 'other gid';
begin; drop table dropped; savepoint s; insert into t values (2000); release s; commit;
begin; create table e(a int); savepoint s; insert into e values (1); release s; rollback;
create table f(a int); insert into f select generate_series(1, 3000); delete from f where a > 50; vacuum f;
truncate f;
create unlogged table u(a int primary key);
create sequence s; select nextval('s');
create tablespace ts location '$home/tablespace';
create database copied tablespace ts $strategy;
alter database copied set tablespace pg_default;
drop database copied;
drop tablespace ts;
select pg_logical_emit_message(false, 'prefix', 'content');
select pg_create_restore_point('here');
select pg_replication_origin_create('origin');
select pg_replication_origin_session_setup('origin');
begin; insert into t values (3000); select pg_replication_origin_xact_setup('0/1234', now()); commit;
begin; insert into t values (3001); select pg_replication_origin_xact_setup('0/1235', now());
create table g(a int); rollback;
alter system set full_page_writes = off; select pg_reload_conf(); select pg_sleep(0.3);
alter system set full_page_writes = on; select pg_reload_conf(); select pg_sleep(0.3);
select pg_switch_wal();
EOF
    stop
    printf 'wal_level = replica\nwal_log_hints = on\n' | as_ordinary_user tee -a "$cluster/postgresql.conf" >/dev/null
    rm -f "$data/$version.facts"
    start
    run -c checkpoint
    control production
    standby
    stop
    start
    run -c checkpoint
    control recovery
    promote
    run -c "insert into t values (5000)" -c checkpoint
    standby
    stop
    start
    promote
    run -c "insert into t values (5001)" -c checkpoint
    control production
    stop
    head -c 512 "$cluster/global/pg_control" >>"$data/$version.control"
    install -m 644 "$cluster/pg_wal/00000003.history" "$data/$version.history"
    perl "$data/extract.pl" "$cluster/pg_wal" "$data/$version"
}

umask 022
# shellcheck disable=SC2046 # a list
[ $# -gt 0 ] || set -- $(tested_versions)
for version in "$@"; do
    make_version "$version"
done
