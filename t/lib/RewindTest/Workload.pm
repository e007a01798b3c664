# What people do with a database, one operation at a time: what RewindTest::Chaos throws its dice for.
#
# An operation may fail (its table may be gone, a lock may be taken): that is part of the disorder.

package RewindTest::Workload;

use strict;
use warnings;

use Exporter 'import';
use RewindTest::Command;
use RewindTest::Indexes;

our @EXPORT = qw(build_schema random_operations run_operations);

my $table_count = 6;    # t0 to t5

my @indexes = (
    'btree (key)', 'btree (word)', 'hash (word)', 'gin (numbers)', 'gist (place)', 'spgist (place)',
    'brin (key) WITH (pages_per_range = 2)', 'btree (word, key) WHERE key % 2 = 0', 'btree (lower(word))',
);

# Hash indexes have no WAL before 10.
sub pick_index
{
    my ($dice, $version) = @_;
    my @there = grep { !(/^hash/ && $version < 10) && !(/^brin/ && $version < 9.5) } @indexes;
    return $dice->pick(@there);
}

sub rows
{
    my ($first, $count) = @_;
    return "SELECT i, md5(i::text), ARRAY[i % 10, i % 11], point(i % 100, i % 77) FROM generate_series($first, "
        . ($first + $count - 1) . ') i';
}

# What both sides have in common.
sub build_schema
{
    my ($cluster, $dice) = @_;
    my $sql = '';
    for my $number (0 .. $table_count - 1)
    {
        $sql .= "CREATE TABLE t$number (key int, word text, numbers int[], place point);\n"
            . "INSERT INTO t$number " . rows(1, 300 + $dice->number(1500)) . ";\n"
            . "CREATE INDEX i$number ON t$number USING " . pick_index($dice, $cluster->version) . ";\n";
    }
    $sql .= <<'END';
CREATE TABLE accounts (id int PRIMARY KEY, balance int, filler char(80));
INSERT INTO accounts SELECT i, 0, '' FROM generate_series(1, 2000) i;
CREATE TABLE history (id int, delta int, at timestamp DEFAULT now(), filler char(22));
CREATE TABLE held (id int);    -- no others write to it
CREATE TABLE toasted (key int PRIMARY KEY, value text);
ALTER TABLE toasted ALTER value SET STORAGE EXTERNAL;
INSERT INTO toasted SELECT i, repeat(md5(i::text), 200) FROM generate_series(1, 60) i;
CREATE SEQUENCE counter;
CREATE SEQUENCE downward INCREMENT -3;
SELECT nextval('counter');
CREATE MATERIALIZED VIEW summary AS SELECT key % 10 AS digit, count(*) AS rows FROM t0 GROUP BY 1;
CREATE UNLOGGED TABLE unlogged (key int PRIMARY KEY, value text);
INSERT INTO unlogged SELECT i, 'before' FROM generate_series(1, 500) i;
SELECT lo_from_bytea(1000 + i, convert_to(repeat(md5(i::text), 200), 'UTF8')) FROM generate_series(1, 10) i;
CREATE DATABASE other;
CREATE DATABASE mould;
END
    $sql .= <<'END' if $cluster->version >= 10;
CREATE TABLE parted (key int, word text) PARTITION BY LIST (key);
CREATE TABLE parted_0 PARTITION OF parted FOR VALUES IN (0, 1, 2, 3, 4, 5, 6, 7, 8, 9);
END
    $cluster->sql($sql . indexed_tables($cluster->version));
    $cluster->sql('CREATE TABLE t AS SELECT i AS key FROM generate_series(1, 1000) i; CREATE INDEX ON t (key)', $_)
        for qw(other mould);
    return;
}

# The operations.  Each is given dice, a number that no other operation has (on this side), and the server's version,
# and returns SQL; [ database, SQL ] for another database than postgres.
my %operation = (
    insert => sub { my ($dice, $n) = @_; 'INSERT INTO ' . table($dice) . ' '
    . rows($n * 1000, 1 + $dice->number(3000)) },
    insert_wide => sub {
        my ($dice, $n) = @_;
        'INSERT INTO ' . table($dice)
            . " SELECT i, repeat(md5(i::text), 20), ARRAY[i], point(i, i) FROM generate_series(1, "
            . (1 + $dice->number(400)) . ') i';
    },
    update => sub {
        my ($dice, $n) = @_;
        'UPDATE ' . table($dice) . " SET word = md5(word || $n), place = point(place[1], $n) WHERE key % 7 = "
            . $dice->number(7);
    },
    update_hot => sub {
        my ($dice, $n) = @_;
        my $table = table($dice);
        join ";\n", map { "UPDATE $table SET numbers = ARRAY[$n, $_] WHERE key % 50 = " . $dice->number(50) } 1 .. 4;
    },
    delete => sub { my ($dice) = @_; 'DELETE FROM ' . table($dice) . ' WHERE key % 11 = ' . $dice->number(11) },
    cut_off => sub {
        my ($dice) = @_;
        my $table = table($dice);
        "DELETE FROM $table WHERE ctid >= '(" . $dice->number(20) . ",1)';\nVACUUM $table";
    },
    fill_indexes => sub { my ($dice, $n) = @_; fill_indexes($dice, $n) },
    grow_indexes => sub { my ($dice, $n) = @_; grow_indexes($dice, $n, 1000) },
    kill_index_entries => sub { my ($dice) = @_; kill_index_entries($dice) },
    scan_indexes => sub { scan_indexes() },
    vacuum_indexes => sub { my ($dice) = @_; 'VACUUM indexed_' . $dice->pick(qw(btree hash gist spgist gin brin)) },
    vacuum => sub { my ($dice) = @_; 'VACUUM ' . table($dice) },
    vacuum_freeze => sub { my ($dice) = @_; 'VACUUM (FREEZE) ' . table($dice) },
    vacuum_all => sub { 'VACUUM' },
    vacuum_full => sub { my ($dice) = @_; 'VACUUM FULL ' . table($dice) },
    vacuum_full_catalog => sub {
        my ($dice) = @_;
        'VACUUM FULL ' . $dice->pick(qw(pg_class pg_attribute pg_type pg_database pg_authid pg_index pg_largeobject));
    },
    analyze => sub { 'ANALYZE' },
    cluster => sub { my ($dice) = @_; my $i = $dice->number($table_count); "CLUSTER t$i USING i$i" },
    truncate => sub { my ($dice) = @_; 'TRUNCATE ' . table($dice) },
    truncate_and_fill => sub {
        my ($dice, $n) = @_;
        my $table = table($dice);
        "BEGIN;\nTRUNCATE $table;\nINSERT INTO $table " . rows($n, 500) . ";\n" . $dice->pick('COMMIT', 'ROLLBACK');
    },
    reindex_table => sub { my ($dice) = @_; 'REINDEX TABLE ' . table($dice) },
    reindex_system => sub { my ($dice) = @_; 'REINDEX TABLE ' . $dice->pick(qw(pg_class pg_attribute pg_database)) },
    create_index => sub {
        my ($dice, $n, $version) = @_;
        "CREATE INDEX made_$n ON " . table($dice) . ' USING ' . pick_index($dice, $version);
    },
    create_index_concurrently => sub {
        my ($dice, $n, $version) = @_;
        "CREATE INDEX CONCURRENTLY made_$n ON " . table($dice) . ' USING ' . pick_index($dice, $version);
    },
    reindex_concurrently => sub {
        my ($dice, $n, $version) = @_;
        $version >= 12 ? 'REINDEX TABLE CONCURRENTLY ' . table($dice) : 'REINDEX TABLE ' . table($dice);
    },
    drop_index => sub { my ($dice) = @_; 'DROP INDEX i' . $dice->number($table_count) },
    create_table => sub {
        my ($dice, $n) = @_;
        my $kind = $dice->pick('', '', 'UNLOGGED');
        "CREATE $kind TABLE made_$n AS " . rows(1, 1 + $dice->number(1500)) . " ;\nCREATE INDEX ON made_$n (i)";
    },
    create_empty_table => sub { my ($dice, $n) = @_; "CREATE TABLE made_$n (key serial PRIMARY KEY, value text)" },
    create_and_drop_table => sub {
        my ($dice, $n) = @_;
        "CREATE TABLE brief_$n AS " . rows(1, 800) . ";\nDROP TABLE brief_$n;\nCREATE TABLE made_$n AS " . rows(5, 300);
    },
    drop_table => sub { my ($dice) = @_; 'DROP TABLE ' . table($dice) },
    drop_and_create_table => sub {
        my ($dice, $n, $version) = @_;
        my $i = $dice->number($table_count);
        "DROP TABLE IF EXISTS t$i;\nCREATE TABLE t$i (key int, word text, numbers int[], place point);\n"
            . "CREATE INDEX i$i ON t$i USING " . pick_index($dice, $version) . ";\nINSERT INTO t$i " . rows($n, 600);
    },
    rolled_back_table => sub {
        my ($dice, $n) = @_;
        "BEGIN;\nCREATE TABLE never_$n AS " . rows(1, 1000) . ";\nCREATE INDEX ON never_$n (i);\nROLLBACK";
    },
    rewrite_table => sub {
        my ($dice, $n) = @_;
        my $table = table($dice);
        "ALTER TABLE $table ADD COLUMN added_$n int DEFAULT $n;\nALTER TABLE $table ALTER key TYPE bigint;\nALTER TABLE $table ALTER key TYPE int";
    },
    sequences => sub {
        my ($dice, $n) = @_;
        "SELECT nextval('counter') FROM generate_series(1, " . (1 + $dice->number(100))
            . ");\nSELECT setval('downward', " . -$n
                . ");\nCREATE SEQUENCE sequence_$n CACHE 5;\nSELECT nextval('sequence_$n')";
    },
    toast_insert => sub {
        my ($dice, $n) = @_;
        "INSERT INTO toasted SELECT i, repeat(md5((i * $n)::text), 400) FROM generate_series($n * 100, $n * 100 + "
            . $dice->number(60) . ') i';
    },
    toast_update => sub { my ($dice, $n) = @_; "UPDATE toasted SET value = repeat('$n', 3000) WHERE key % 5 = "
    . $dice->number(5) },
    toast_delete => sub { my ($dice) = @_; 'DELETE FROM toasted WHERE key % 3 = ' . $dice->number(3)
    . ";\nVACUUM toasted" },
    large_objects => sub {
        my ($dice, $n) = @_;
        "SELECT lo_put(" . (1001 + $dice->number(10)) . ", 0, convert_to(repeat('$n', 3000), 'UTF8'));\n"
            . "SELECT lo_unlink(" . (1001 + $dice->number(10)) . ");\nSELECT lo_from_bytea(" . (2000 + $n)
                . ", convert_to(repeat('$n', 4000), 'UTF8'))";
    },
    refresh_matview => sub { 'REFRESH MATERIALIZED VIEW summary' },
    create_matview => sub { my ($dice, $n) = @_; "CREATE MATERIALIZED VIEW view_$n AS SELECT * FROM " . table($dice) },
    unlogged_insert => sub { my ($dice, $n) = @_;
    "INSERT INTO unlogged SELECT i, '$n' FROM generate_series($n * 1000, $n * 1000 + 900) i" },
    set_unlogged => sub { my ($dice) = @_; 'ALTER TABLE ' . table($dice) . ' SET UNLOGGED' },
    set_logged => sub { my ($dice) = @_; join ";\n", 'ALTER TABLE unlogged SET LOGGED',
    map { "ALTER TABLE t$_ SET LOGGED" } 0 .. $table_count - 1 },
    prepare => sub {
        my ($dice, $n) = @_;
        "BEGIN;\nINSERT INTO history (id) SELECT generate_series(1, 50);\nSAVEPOINT s;\nUPDATE accounts SET filler = 'prepared' WHERE id = "
            . (1 + $dice->number(2000)) . ";\nPREPARE TRANSACTION 'prepared_$n'";
    },
    prepare_with_table => sub {
        my ($dice, $n) = @_;
        "BEGIN;\nCREATE TABLE prepared_$n AS " . rows(1, 300) . ";\nPREPARE TRANSACTION 'prepared_$n'";
    },
    commit_prepared => sub { finish_prepared('COMMIT', @_) },
    rollback_prepared => sub { finish_prepared('ROLLBACK', @_) },
    subtransactions => sub {
        my ($dice, $n) = @_;
        my $count = $dice->pick(3, 20, 70, 130);
        <<"END";
DO \$\$ BEGIN
    FOR i IN 1 .. $count LOOP
        BEGIN
            INSERT INTO history (id, delta) VALUES (i, $n);
            IF i % 5 = 0 THEN RAISE EXCEPTION 'no'; END IF;
        EXCEPTION WHEN others THEN NULL;
        END;
    END LOOP;
END \$\$
END
    },
    savepoints => sub {
        my ($dice, $n) = @_;
        "BEGIN;\nINSERT INTO history (id) VALUES ($n);\nSAVEPOINT a;\nINSERT INTO history (id) VALUES ($n + 1);\nROLLBACK TO a;\n"
            . "SAVEPOINT b;\nDELETE FROM history WHERE id = $n + 7;\nRELEASE b;\n" . $dice->pick('COMMIT', 'ROLLBACK');
    },
    multixacts => sub {
        my ($dice, $n) = @_;
        my $where = 'id BETWEEN ' . (1 + $dice->number(1000)) . ' AND ' . (1001 + $dice->number(900));
        "BEGIN;\nSELECT count(*) FROM (SELECT 1 FROM accounts WHERE $where FOR KEY SHARE) a;\nSAVEPOINT a;\n"
            . "SELECT count(*) FROM (SELECT 1 FROM accounts WHERE $where FOR SHARE) a;\nSAVEPOINT b;\n"
            . "UPDATE accounts SET balance = balance + 1 WHERE $where AND id % 3 = 0;\n"
                . $dice->pick('COMMIT', 'COMMIT', 'ROLLBACK');
    },
    create_database => sub { my ($dice, $n) = @_; "CREATE DATABASE made_$n TEMPLATE " . $dice->pick(qw(template1
    mould)) },
    create_database_by_files => sub {
        my ($dice, $n, $version) = @_;
        "CREATE DATABASE made_$n TEMPLATE mould" . by_files($version);
    },
    create_database_in_place => sub { my ($dice, $n) = @_; "CREATE DATABASE made_$n TEMPLATE mould TABLESPACE place" },
    copy_and_change => sub {
        my ($dice, $n, $version) = @_;
        "CREATE DATABASE made_$n TEMPLATE mould" . by_files($version)
            . ";\n\\c mould\nINSERT INTO t SELECT generate_series(1, 300);\nUPDATE t SET key = -key WHERE key % 3 = 1;\n\\c postgres\n";
    },
    copy_and_drop_template => sub {
        my ($dice, $n, $version) = @_;
        "CREATE DATABASE mould_$n TEMPLATE mould" . $dice->pick('', by_files($version))
            . ";\nCREATE DATABASE made_$n TEMPLATE mould_$n" . by_files($version) . ";\nDROP DATABASE mould_$n";
    },
    recreate_database => sub {
        my ($dice, $n, $version) = @_;
        "DROP DATABASE IF EXISTS other;\nCREATE DATABASE other TEMPLATE mould" . $dice->pick('', by_files($version));
    },
    create_and_drop_database => sub { my ($dice, $n, $version) = @_; "CREATE DATABASE brief_$n TEMPLATE mould"
    . $dice->pick('', by_files($version)) . ";\nDROP DATABASE brief_$n" },
    move_database_back => sub { my ($dice) = @_; 'ALTER DATABASE other SET TABLESPACE ' . $dice->pick(qw(pg_default
    place)) },
    swap => sub {
        my ($dice, $n) = @_;
        my $kind = $dice->pick('', 'UNLOGGED');
        "DROP TABLE IF EXISTS swap;\nCREATE $kind TABLE swap AS " . rows($n, 1 + $dice->number(900))
            . ";\nCREATE INDEX ON swap (i)";
    },
    swap_persistence => sub { my ($dice) = @_; 'ALTER TABLE swap SET ' . $dice->pick('LOGGED', 'UNLOGGED') },
    prepare_and_checkpoint => sub {
        my ($dice, $n) = @_;
        "BEGIN;\nINSERT INTO history (id, delta) SELECT i, $n FROM generate_series(1, 50) i;\nPREPARE TRANSACTION 'kept_$n';\nCHECKPOINT";
    },
    write_to_mould => sub { my ($dice, $n) = @_;
    [ 'mould', 'INSERT INTO t SELECT generate_series(1, 500); DELETE FROM t WHERE key % 7 = ' . $dice->number(7) ] },
    write_to_other => sub { my ($dice, $n) = @_; [ 'other', "UPDATE t SET key = key + $n WHERE key % 5 = "
    . $dice->number(5) . "; CREATE TABLE made_$n AS SELECT * FROM t" ] },
    drop_database => sub { 'DROP DATABASE other' },
    move_database => sub {
        my ($dice, $n) = @_;
        "SET allow_in_place_tablespaces = on;\nCREATE TABLESPACE place_$n LOCATION '';\nALTER DATABASE other SET TABLESPACE place_$n";
    },
    tablespace => sub {
        my ($dice, $n) = @_;
        "SET allow_in_place_tablespaces = on;\nCREATE TABLESPACE place_$n LOCATION '';\nCREATE TABLE in_place_$n TABLESPACE place_$n AS "
            . rows(1, 700);
    },
    empty_tablespace => sub {
        my ($dice, $n) = @_;
        "SET allow_in_place_tablespaces = on;\nCREATE TABLESPACE place_$n LOCATION '';\n"
            . $dice->pick('', "DROP TABLESPACE place_$n");
    },
    move_table => sub { my ($dice) = @_; 'ALTER TABLE ' . table($dice) . ' SET TABLESPACE ' . $dice->pick(qw(place
    pg_default)) },
    checkpoint => sub { 'CHECKPOINT' },
    switch_wal => sub { 'SELECT pg_switch_wal()' },
    restore_point => sub { my ($dice, $n) = @_; "SELECT pg_create_restore_point('point $n')" },
    message => sub { my ($dice) = @_; 'SELECT pg_logical_emit_message(' . $dice->pick('true', 'false')
    . ", 'test', repeat('x', " . $dice->pick(10, 9000, 300_000, 2_500_000) . '))' },
    temporary_table => sub { my ($dice, $n) = @_; "CREATE TEMPORARY TABLE temporary AS " . rows(1, 900)
    . ";\nCREATE INDEX ON temporary (i);\nUPDATE temporary SET i = i + 1" },
    copy => sub {
        my ($dice, $n) = @_;
        "COPY history (id, delta) FROM STDIN;\n" . join('', map { "$_\t$n\n" } 1 .. 300) . "\\.\n";
    },
    # From 16 on this extends a table by many blocks at once, and leaves some of them empty.
    copy_bulk => sub { my ($dice, $n) = @_; "CREATE TABLE made_$n (key int);\nCOPY made_$n FROM PROGRAM 'seq 1 "
        . (5000 + $dice->number(30_000)) . "'" },
    copy_bulk_more => sub {
        my ($dice) = @_;
        "CREATE TABLE IF NOT EXISTS grown (key int);\nDELETE FROM grown WHERE ctid >= '(" . $dice->number(60)
            . ",1)';\nVACUUM grown;\n"
            . "COPY grown FROM PROGRAM 'seq 1 " . (2000 + $dice->number(20_000)) . "'";
    },
    copy_bulk_unlogged => sub { my ($dice, $n) = @_;
    "CREATE UNLOGGED TABLE made_$n (key int);\nCOPY made_$n FROM PROGRAM 'seq 1 " . (5000 + $dice->number(30_000))
    . "'" },
    copy_frozen => sub {
        my ($dice, $n) = @_;
        "BEGIN;\nCREATE TABLE made_$n (a int, b int);\nCOPY made_$n FROM STDIN WITH (FREEZE);\n"
            . join('', map { "$_\t$n\n" } 1 .. 500) . "\\.\nCOMMIT";
    },
    read_all => sub { join ";\n", map { "SELECT count(*) FROM $_" } (map { "t$_" } 0 .. $table_count - 1), 'accounts',
    'history', 'toasted' },
    catalog_churn => sub {
        my ($dice, $n) = @_;
        "CREATE SCHEMA schema_$n;\nCREATE TYPE schema_$n.kind AS ENUM ('a', 'b');\nCREATE FUNCTION schema_$n.f() RETURNS int LANGUAGE sql AS 'SELECT $n';\n"
            . "CREATE ROLE role_$n;\nCOMMENT ON DATABASE postgres IS 'comment $n';\nALTER DATABASE postgres SET work_mem = '${n}MB'";
    },
    partitions => sub {
        my ($dice, $n) = @_;
        my $value = 100 + $n;
        "CREATE TABLE parted_$n PARTITION OF parted FOR VALUES IN ($value);\nINSERT INTO parted SELECT $value, md5(i::text) FROM generate_series(1, 300) i;\n"
            . $dice->pick("ALTER TABLE parted DETACH PARTITION parted_$n", 'INSERT INTO parted VALUES (1)');
    },
    slot => sub { my ($dice, $n) = @_; "SELECT pg_create_physical_replication_slot('slot_$n', true)" },
    notify => sub { "LISTEN channel;\nNOTIFY channel, 'payload'" },
    rolled_back_insert => sub { my ($dice, $n) = @_; "BEGIN;\nINSERT INTO " . table($dice) . ' ' . rows($n * 1000, 2000)
    . ";\nROLLBACK" },
);

sub table { my ($dice) = @_; return 't' . $dice->number($table_count) }

sub by_files { my ($version) = @_; return $version >= 15 ? ' STRATEGY file_copy' : '' }

sub finish_prepared
{
    my ($how) = @_;
    return "SELECT format('$how PREPARED %L', gid) FROM pg_prepared_xacts WHERE database = current_database() LIMIT 1 \\gexec\n";
}

# Names of that many operations.
sub random_operations
{
    my ($dice, $count) = @_;
    my @names = sort keys %operation;
    return map { $dice->pick(@names) } 1 .. $count;
}

# Run operations one after the other.  $first numbers their objects.  All that psql says is appended to the file $log.
sub run_operations
{
    my ($cluster, $dice, $first, $log, @names) = @_;
    my $n = $first;
    my @scripts;
    for my $name (@names)
    {
        my $result = $operation{$name}->($dice, $n++, $cluster->version);
        my ($database, $sql) = ref $result ? @$result : ('postgres', $result);
        push @scripts, [ $database, '' ] if !@scripts || $scripts[-1][0] ne $database;
        $scripts[-1][1] .= "\\echo --- $name\n$sql;\nRESET ALL;\nDROP TABLE IF EXISTS temporary;\n" =~ s/\n;\n/\n/r;
    }
    for my $script (@scripts)
    {
        my ($database, $sql) = @$script;
        my $result = run(
            [ program('psql'), '-XAtq', '-d', $cluster->conninfo($database), '-f', '-' ],
            env => { PGOPTIONS => '-c lock_timeout=400 -c statement_timeout=6000 -c client_min_messages=warning' },
            stdin => $cluster->in_its_words($sql)
        );
        append($log, "==== $cluster->{name} $database\n$sql---- says\n$result->{stdout}$result->{stderr}");
    }
    return;
}

1;
