# Tables with an index of each access method: what is done to them, and whether each index of a primary agrees with its
# table.
#
#   $primary->sql(indexed_tables($version));         # brin came with 9.5; hash has no WAL before 10, and so is what it
#                                                    was
#   $primary->sql(fill_indexes($dice, 5));           # SQL that inserts into each of them
#   $primary->sql(kill_index_entries($dice));        # SQL that leaves entries marked as dead (LP_DEAD)
#   indexes_agree($promoted);                        # tests; inserts into each table as well

package RewindTest::Indexes;

use strict;
use warnings;

use Exporter 'import';
use Test::More;

our @EXPORT = qw(indexed_tables fill_indexes grow_indexes touch_indexes kill_index_entries scan_indexes indexes_agree);

use constant ROWS_AT_FIRST => 1500;

my %indexed_column = (btree => 'key', hash => 'word', gist => 'place', spgist => 'place', gin => 'numbers',
    brin => 'key');
my @methods = sort keys %indexed_column;

sub rows
{
    my ($first, $count) = @_;
    return "SELECT i, md5(i::text), ARRAY[i % 10, i % 11], point(i * 7919 % 10007, i * 3571 % 10009) FROM generate_series($first, "
        . ($first + $count - 1) . '::bigint) i';
}

# No vacuum but VACUUM: the entries that are dead stay until somebody marks them.
sub indexed_tables
{
    my ($version) = @_;
    my %lacks = (hash => $version < 10, brin => $version < 9.5);
    return join '',
        map { <<"END" . ($lacks{$_} ? '' : "CREATE INDEX ON indexed_$_ USING $_ ($indexed_column{$_});\n") } @methods;
CREATE TABLE indexed_$_ (key int, word text, numbers int[], place point);
INSERT INTO indexed_$_ @{[ rows(1, ROWS_AT_FIRST) ]};
END
}

# $n: a number that no other has.
sub fill_indexes
{
    my ($dice, $n) = @_;
    my $first = $n * 1000 + 100_000;
    return join ";\n", map { "INSERT INTO indexed_$_ " . rows($first, 1 + $dice->number(1200)) } @methods;
}

# Inserts by which indexes become longer than those of another side: the SP-GiST index above all.
sub grow_indexes
{
    my ($dice, $n, $rows) = @_;
    return 'INSERT INTO indexed_spgist ' . rows($n * 20_000 + 1_000_000, $rows + $dice->number($rows)) . ";\n"
        . 'INSERT INTO indexed_' . $dice->pick(@methods) . ' ' . rows($n * 20_000 + 1_000_000, 2000);
}

# Inserts that change each page of the indexes.
sub touch_indexes { return join ";\n", map { "INSERT INTO indexed_$_ " . rows(1, ROWS_AT_FIRST) } @methods }

# Index scans, which mark the entries whose rows are dead to everybody. (Bitmap scans do not.)
sub scan_indexes
{
    return <<"END" =~ s/\n\z//r;
SET enable_seqscan = off;
SET enable_bitmapscan = off;
SET enable_indexonlyscan = off;
SET enable_hashjoin = off;
SET enable_mergejoin = off;
SET enable_material = off;
SELECT count(*) FROM indexed_btree WHERE key IS NOT NULL;
SELECT count(*) FROM generate_series(1, @{[ ROWS_AT_FIRST ]}) i JOIN indexed_hash ON word = md5(i::text);
SELECT count(*) FROM indexed_gist WHERE place <@ box '(-1,-1),(20000,20000)'
END
}

# Rows of the first ones are deleted or moved, so that neither their old entries nor the place of these differ between
# sides.
sub kill_index_entries
{
    my ($dice) = @_;
    my @changes;
    for my $method (qw(btree hash gist))
    {
        my $which = 'key % 13 = ' . $dice->number(13) . " AND key <= " . ROWS_AT_FIRST;
        push @changes, $dice->pick("DELETE FROM indexed_$method WHERE $which",
            "DELETE FROM indexed_$method WHERE $which",
            "UPDATE indexed_$method SET key = key + 50000, word = word || 'x', place = point(place[1] + 1, 1) WHERE $which");
    }
    return join ";\n", @changes, scan_indexes();
}

# ---------------------------------------------------------------- does an index agree with its table?

# Each index is read in full, as its access method allows, and the same rows of the table without it. The others of a
# table are out of use meanwhile. Says what differs.
my $compare_indexes = <<'END';
BEGIN;
SET LOCAL client_min_messages = notice;
SELECT set_config(name, '0', true) FROM pg_settings WHERE name = 'max_parallel_workers_per_gather';
SET LOCAL enable_mergejoin = off;
SET LOCAL enable_indexonlyscan = off;
DO $check$
DECLARE
    i record; valid oid[]; query text; line text; plan text; by_table text; by_index text;
BEGIN
    SELECT array_agg(indexrelid) INTO valid FROM pg_index WHERE indisvalid;
    FOR i IN
        SELECT indexrelid, indrelid, indexrelid::regclass::text AS name, indrelid::regclass AS tab, amname,
            pg_get_indexdef(indexrelid, 1, true) AS col, coalesce(pg_get_expr(indpred, indrelid), 'true') AS pred,
            (SELECT relname FROM pg_class WHERE oid = indexrelid) AS relname
        FROM pg_index JOIN pg_class ON indexrelid = pg_class.oid JOIN pg_am ON relam = pg_am.oid
        WHERE indisvalid AND relpersistence = 'p' AND relkind = 'i' AND relnamespace <> (SELECT oid FROM pg_namespace WHERE nspname = 'pg_toast')
            AND indrelid >= 16384
        ORDER BY indexrelid
    LOOP
        query := format(CASE
            WHEN i.amname = 'btree' THEN '(SELECT x.ctid FROM %1$s x WHERE %3$s ORDER BY %2$s OFFSET 0) x'
            WHEN i.amname = 'hash' THEN '(SELECT DISTINCT %2$s AS value FROM %1$s OFFSET 0) w JOIN %1$s x ON %2$s = w.value AND %3$s'
            WHEN i.amname IN ('gist', 'spgist') THEN '%1$s x WHERE %2$s <@ box ''(-1e9,-1e9),(1e9,1e9)'''
            WHEN i.amname = 'gin' THEN '%1$s x WHERE %2$s @> ''{}''::int[]'
            WHEN i.amname = 'brin' THEN '(SELECT min(key) + n * ((max(key) - min(key)) / 20 + 1) AS low, (max(key) - min(key)) / 20 + 1 AS width
                FROM %1$s, generate_series(0::bigint, 19) n GROUP BY n OFFSET 0) w JOIN %1$s x ON key >= low::int AND key < least(low + width, 2147483647)::int'
            END, i.tab, '(' || i.col || ')', '(' || i.pred || ')');
        query := 'SELECT count(*) || '' rows, sum '' || coalesce(sum(hashtext(x.ctid::text)), 0) FROM ' || query;
        BEGIN
            PERFORM set_config('enable_seqscan', 'on', true), set_config('enable_sort', 'on', true), set_config('enable_hashjoin', 'on', true),
                set_config('enable_indexscan', 'off', true), set_config('enable_bitmapscan', 'off', true);
            EXECUTE query INTO by_table;
            PERFORM set_config('enable_seqscan', 'off', true), set_config('enable_sort', 'off', true), set_config('enable_hashjoin', 'off', true),
                set_config('enable_indexscan', 'on', true), set_config('enable_bitmapscan', 'on', true);
            UPDATE pg_index SET indisvalid = false WHERE indrelid = i.indrelid AND indexrelid <> i.indexrelid AND indexrelid = ANY (valid);
            EXECUTE query INTO by_index;
            IF by_index IS DISTINCT FROM by_table THEN
                RAISE NOTICE '% of %: by the table %, by the index %', i.name, i.tab, by_table, by_index;
            END IF;
            plan := '';
            FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP plan := plan || line || E'\n'; END LOOP;
            IF position(i.relname IN plan) = 0 THEN RAISE NOTICE '% of % was not used: %', i.name, i.tab, plan; END IF;
            RAISE EXCEPTION 'undo';
        EXCEPTION
            WHEN raise_exception THEN NULL;
            WHEN others THEN RAISE NOTICE '% of %: %', i.name, i.tab, SQLERRM;
        END;
    END LOOP;
END $check$;
ROLLBACK;
END

# More rows in each table that has these columns, whatever indexes it has.
sub inserts
{
    my $rows = rows(900_000, 1000) =~ s/%/%%/gr;
    return <<"END";
SELECT format('INSERT INTO %s (key, word, numbers, place) $rows', oid::regclass)
FROM pg_class
WHERE relkind = 'r' AND relpersistence = 'p' AND 4 = (SELECT count(*) FROM pg_attribute
    WHERE attrelid = pg_class.oid AND NOT attisdropped AND attname IN ('key', 'word', 'numbers', 'place')) \\gexec
END
}

# Test a primary: each index finds what the table has, before and after inserts.
sub indexes_agree
{
    my ($cluster) = @_;
    my $part = 0;
    my $printed = $cluster->try_sql("\\unset ON_ERROR_STOP\n\\o /dev/null\nSET lock_timeout = '10s';\n" . join '',
        map { "DO 'BEGIN RAISE WARNING ''==== part'' ; END';\n$_" } $compare_indexes, inserts(), $compare_indexes);
    my (undef, @parts) = split /^.*WARNING:  ==== part\n/m, $printed->{stderr}, -1;
    my @names = ('each index agrees with its table', 'each table takes rows',
        'each index agrees with its table, with these rows');
    for my $number (0 .. $#names)
    {
        my $said = join "\n", grep { !/^CONTEXT:|^PL\/pgSQL/ } split /\n/, $parts[$number]
            // "nothing was said: $printed->{stderr}";
        is($said, '', $names[$number] . ' after promotion');
    }
    return;
}

1;
