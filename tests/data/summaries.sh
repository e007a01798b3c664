#!/usr/bin/env bash
# Make N.summary and N.summary_facts of this directory anew with real servers: tests/data/summaries.sh [VERSION...]
set -euo pipefail
. "$(dirname "$0")/../environment.sh"

data=$checkout/tests/data
scratch=$(mktemp -d /tmp/pg_rewind_data.XXXXXX)
chmod 755 "$scratch"
trap 'stop_servers_below "$scratch"; rm -rf "$scratch"' EXIT

make_version()
{
    local version=$1
    local bin; bin=$(server_bindir "$version")
    local home=$scratch/$version cluster=$scratch/$version/cluster port=$((56200 + version)) name

    mkdir -p "$home"
    [ "$(id -u)" != 0 ] || chown -R "$ordinary_user" "$home"
    as_ordinary_user "$bin/initdb" -D "$cluster" -U postgres -A trust -N >/dev/null 2>&1
    as_ordinary_user tee -a "$cluster/postgresql.conf" >/dev/null <<CONF
port = $port
listen_addresses = ''
unix_socket_directories = '$home'
summarize_wal = on
autovacuum = off
fsync = off
CONF
    run() { as_ordinary_user psql -X -q -A -t -h "$home" -p "$port" -U postgres -v ON_ERROR_STOP=1 "$@"; }
    as_ordinary_user "$bin/pg_ctl" -D "$cluster" -l "$home/log" -w start >/dev/null
    # One chunk as numbers, one as bits; a truncation, storage made and dropped, an init fork, a database.
    run >/dev/null <<'SQL'
create table many (a int, b text) with (fillfactor = 10);
alter table many alter b set storage plain;
create table cut as select generate_series(1, 20000) as a;
create table dropped as select 1 as a;
checkpoint;
insert into many select g, repeat('x', 500) from generate_series(1, 5000) g;
delete from cut where a > 5000;
vacuum cut;
insert into cut select generate_series(1, 2000);
drop table dropped;
create table made (a int primary key);
create unlogged table unlogged (a int primary key);
create database other strategy wal_log;
checkpoint;
SQL
    until [ "$(run -c "select count(*) from pg_available_wal_summaries()
                       where end_lsn = (select redo_lsn from pg_control_checkpoint())")" = 1 ]; do sleep 0.1; done
    # The largest is the one that holds these statements.
    # shellcheck disable=SC2012 # names of a server
    name=$(ls -S "$cluster/pg_wal/summaries" | head -n 1)
    install -m 644 "$cluster/pg_wal/summaries/$name" "$data/$version.summary"
    {
        echo "$name"
        run -F ' ' -c "
select reltablespace, reldatabase, relfilenode, relforknumber, coalesce(max(relblocknumber) filter (where is_limit_block), 4294967295),
       count(*) filter (where not is_limit_block), coalesce(sum(relblocknumber) filter (where not is_limit_block), 0)
from pg_available_wal_summaries() s, pg_wal_summary_contents(s.tli, s.start_lsn, s.end_lsn)
where s.start_lsn = '$(echo "$name" | sed -E 's,^.{8}(.{8})(.{8}).*,\1/\2,')'
group by 1, 2, 3, 4 order by 1, 2, 3, 4"
    } >"$data/$version.summary_facts"
    as_ordinary_user "$bin/pg_ctl" -D "$cluster" -m fast -w stop >/dev/null
}

umask 022
[ $# -gt 0 ] || set -- 17 18 19
for version in "$@"; do
    make_version "$version"
done
