# Is a standby a true copy of its primary?  The judges are the server itself, on both sides, and amcheck.

package RewindTest::Comparison;

use strict;
use warnings;

use Exporter 'import';
use RewindTest::Command;
use Test::More;

our @EXPORT = qw(
    is_copy_of log_is_clean pages_are_sound prepared_transactions
);

# Tables of which hardly ever a row is written are left out of a quick comparison: of catalogs only these are in it, and
# in other databases than postgres only the first two.
my $changing_catalogs = join ', ', map { "'pg_$_'" } qw(
    class attribute type depend index database authid tablespace largeobject statistic constraint sequence
    db_role_setting
    attrdef shdepend namespace inherits enum);
my $changing = "AND (relnamespace NOT IN (SELECT oid FROM pg_namespace WHERE nspname IN ('pg_catalog', 'information_schema'))
    OR relname IN ('pg_class', 'pg_attribute') OR relname IN ($changing_catalogs) AND current_database() = 'postgres')";

# Whether comparisons that are not told to be quick take all catalogs: see PG_REWIND_TEST_CATALOGS.
our $all_catalogs = 1;

# One line for each table of a database: name, rows, a sum over all rows with their place and inserting
# transaction, for a standby has them in the same place.  Catalogs and large objects are tables as well.
# Unlogged and temporary tables are none of a standby's business. (In 9.3 REFRESH MATERIALIZED VIEW writes frozen rows,
# and any standby gives them the number of the transaction.)
sub fingerprint_of_tables
{
    my ($is_quick, $version) = @_;
    my $xmin = q{'"the row".xmin::text'};
    $xmin = "CASE relkind WHEN 'm' THEN '''''' ELSE $xmin END" if $version < 9.4;
    return <<"END";
SELECT string_agg(format(\$\$
SELECT %L, count(*), sum(hashtext("the row".ctid::text || %s || "the row"::text)) FROM %s "the row" \$\$,
    oid::regclass, $xmin, oid::regclass), ' UNION ALL ' ORDER BY oid)
FROM pg_class
WHERE relkind IN ('r', 'm') AND relpersistence = 'p' @{[ $is_quick ? $changing : '' ]} \\gexec
END
}

# Sequences are logged some values ahead: the standby may be anywhere from the last value to that. A target that was the
# primary may even be behind a source that was its standby: what it took of the logged values is in no WAL.
my $sequences = <<'END';
SELECT format($$
SELECT %L, last_value, last_value + log_cnt * %s, is_called FROM %s $$, seqrelid::regclass, seqincrement, seqrelid::regclass)
FROM pg_sequence JOIN pg_class ON seqrelid = pg_class.oid
WHERE relpersistence = 'p'
ORDER BY seqrelid \gexec
END
my $sequences_before_10 = <<'END';
SELECT format($$
SELECT %L, last_value, last_value + log_cnt * increment_by, is_called FROM %s $$, oid::regclass, oid::regclass)
FROM pg_class WHERE relkind = 'S' AND relpersistence = 'p'
ORDER BY oid \gexec
END

# Run scripts in each of the databases, by one psql. Returns what it says on stderr, and { "database 0" => [ lines that
# the first script printed in it ], ... }
sub run_in_databases
{
    my ($cluster, $databases, @scripts) = @_;
    my $all = "\\unset ON_ERROR_STOP\n";
    for my $database (@$databases)
    {
        $all .= "\\c $database\n" . join '', map { "\\echo ==== $database $_\n$scripts[$_]\n" } 0 .. $#scripts;
    }
    my $result = $cluster->try_sql($all);
    my (%printed, $part);
    for my $line (split /\n/, $result->{stdout})
    {
        if ($line =~ /^==== (.*)/)
        {
            $part = $1;
            $printed{$part} = [];
        }
        elsif ($line ne '')
        {
            push @{ $printed{$part} }, $line;
        }
    }
    return ($result->{stderr}, \%printed);
}

# Test that every table of every database is equal on both sides, both being in the same state of replay, and that
# amcheck finds nothing on the standby. That is read first: reading sets hints, on the primary these are logged with
# images of their pages, and replay of those would mend a page that is wrong on the standby before it is looked at.
# Option quick => 1: leave out catalogs that are hardly ever written.
sub is_copy_of
{
    my ($standby, $primary, %option) = @_;
    my $is_quick = $option{quick} || !$all_catalogs;
    my @databases = $standby->databases;
    my @scripts = (fingerprint_of_tables($is_quick, $standby->version), $standby->version < 10 ? $sequences_before_10
        : $sequences);
    my %amcheck = amcheck_scripts($standby->version, $is_quick);
    my @checks = sort keys %amcheck;
    my ($target_errors, $target) = run_in_databases($standby, \@databases, @scripts, @amcheck{@checks});
    is_deeply(\@databases, [ $primary->databases ], 'both sides have the same databases') or return;
    my ($source_errors, $source) = run_in_databases($primary, \@databases, @scripts);
    is($source_errors, '', 'every table of the source can be read');
    is($target_errors, '', 'every table of the target can be read, amcheck meets no error');
    for my $database (@databases)
    {
        my @expected = @{ $source->{"$database 0"} // [] };
        my @found = @{ $target->{"$database 0"} // [] };
        my %found = map { $_ => 1 } @found;
        my %expected = map { $_ => 1 } @expected;
        my @different = ((map { "source $_" } grep { !$found{$_} } @expected),
            map { "target $_" } grep { !$expected{$_} } @found);
        ok(scalar @expected, "tables of $database were read");
        is(join("\n", @different), '', "every table of $database is equal: " . @expected . ' tables');
        sequences_agree($database, $target->{"$database 1"}, $source->{"$database 1"});
        for my $number (0 .. $#checks)
        {
            my @wrong = @{ $target->{ "$database " . ($number + 2) } // ['no result'] };
            is(join("\n", without_those_of_primary($primary, $database, $amcheck{ $checks[$number] }, @wrong)), '',
                "nothing is found in the $checks[$number] of $database");
        }
    }
    return;
}

# verify_heapam misses toast values that VACUUM has rightly removed, of dead rows that it leaves because of a
# transaction in another database. It does so on the primary too.
sub without_those_of_primary
{
    my ($primary, $database, $script, @found) = @_;
    my $missing = qr/toast value \d+ not found in toast table/;
    return @found if !grep { /$missing/ } @found;
    my (undef, $on_primary) = run_in_databases($primary, [$database], $script);
    my %known = map { $_ => 1 } grep { /$missing/ } @{ $on_primary->{"$database 0"} // [] };
    return grep { !$known{$_} } @found;
}

sub sequences_agree
{
    my ($database, $standby, $primary) = @_;
    my %found = map { /^([^|]*)\|(.*)/ ? ($1 => [ split /\|/, $2 ]) : () } @{ $standby // [] };
    my @wrong;
    for my $line (@{ $primary // [] })
    {
        my ($name, $last, $logged, $is_called) = split /\|/, $line;
        my ($least, $most) = $last < $logged ? ($last, $logged) : ($logged, $last);
        my $found = delete $found{$name};
        push @wrong, "$line: found @{ $found // [] }"
            if !$found || ($is_called eq 'f') != ($found->[2] eq 'f')
            || (($found->[0] < $least || $found->[0] > $most) && $found->[1] != $logged);
    }
    push @wrong, sort keys %found;
    is(join("\n", @wrong), '', "every sequence of $database agrees");
    return;
}

# What servers before 10, which have no amcheck, are asked instead: each btree index is read from its beginning to its
# end, with the row of each entry, and must give what sorting the table gives, the keys in this order and the places of
# the rows. It reads every page of both, so the server looks at their checksums. (What amcheck would see besides are
# wrong keys in inner pages, by which only some searches go astray.)
my $compare_btree_indexes = <<'END';
SET client_min_messages = warning;
DO $check$
DECLARE
    i record; query text; line text; plan text; by_table text; by_index text; found text := '';
BEGIN
    FOR i IN
        SELECT indexrelid::regclass AS name, indrelid::regclass AS tab, coalesce(pg_get_expr(indpred, indrelid), 'true') AS pred,
            (SELECT string_agg(pg_get_indexdef(indexrelid, n, true), ', ' ORDER BY n) FROM generate_series(1, indnatts) n) AS keys,
            (SELECT string_agg(pg_get_indexdef(indexrelid, n, true) || CASE WHEN indoption[n - 1] & 1 = 1 THEN ' DESC' ELSE '' END
                || CASE WHEN indoption[n - 1] & 2 = 2 THEN ' NULLS FIRST' ELSE ' NULLS LAST' END, ', ' ORDER BY n) FROM generate_series(1, indnatts) n) AS ordered
        FROM pg_index JOIN pg_class ON indexrelid = pg_class.oid JOIN pg_am ON relam = pg_am.oid
        WHERE amname = 'btree' AND relkind = 'i' AND relpersistence = 'p' AND indisvalid AND indisready
            AND NOT EXISTS (SELECT 1 FROM pg_opclass WHERE oid = ANY (indclass) AND NOT opcdefault)
    LOOP
        query := format('SELECT count(*) || '' rows '' || coalesce(sum(hashtext("the place"::text)), 0) || '' '' || md5(coalesce(string_agg("the key", '',''), ''''))
            FROM (SELECT ctid AS "the place", ROW(%s)::text AS "the key" FROM ONLY %s WHERE %s ORDER BY %s OFFSET 0) x', i.keys, i.tab, i.pred, i.ordered);
        BEGIN
            PERFORM set_config(name, value, true) FROM (VALUES ('enable_seqscan', 'on'), ('enable_sort', 'on'), ('enable_indexscan', 'off'), ('enable_bitmapscan', 'off'))
                s (name, value);
            EXECUTE query INTO by_table;
            PERFORM set_config(name, value, true) FROM (VALUES ('enable_seqscan', 'off'), ('enable_sort', 'off'), ('enable_indexscan', 'on')) s (name, value);
            EXECUTE query INTO by_index;
            plan := '';
            FOR line IN EXECUTE 'EXPLAIN (COSTS OFF) ' || query LOOP plan := plan || line || E'\n'; END LOOP;
            IF by_index IS DISTINCT FROM by_table OR plan ~ 'Sort|Seq Scan' THEN
                found := found || format(E'%s of %s: by the table %s, by the index %s, read by %s\n', i.name, i.tab, by_table, by_index, plan);
            END IF;
        EXCEPTION WHEN others THEN
            found := found || format(E'%s of %s: %s\n', i.name, i.tab, SQLERRM);
        END;
    END LOOP;
    PERFORM set_config('rewind_test.found', found, false);
END $check$;
SELECT current_setting('rewind_test.found') WHERE current_setting('rewind_test.found') <> '';
END

# Scripts that test indexes and tables of a database with the checks that the server's version has: name => SQL.
sub amcheck_scripts
{
    my ($version, $is_quick) = @_;
    return ('btree indexes' => $compare_btree_indexes) if $version < 10;
    my $changing_oids = "ARRAY[$changing_catalogs]::regclass[]";
    my $which = $is_quick
        ? "AND (pg_class.oid >= 16384 OR current_database() = 'postgres' AND (pg_class.oid = ANY ($changing_oids) OR pg_class.oid IN
            (SELECT indexrelid FROM pg_index WHERE indrelid = ANY ($changing_oids))))"
        : '';
    my $heapallindexed = $version >= 11 ? ', true' : '';
    my %check = (
        'btree indexes' => <<"END",
SELECT bt_index_check(indexrelid$heapallindexed)
FROM pg_index JOIN pg_class ON indexrelid = pg_class.oid JOIN pg_am ON relam = pg_am.oid
WHERE amname = 'btree' AND relkind = 'i' AND relpersistence = 'p' AND indisvalid AND indisready $which;
END
    );
    my $heap_kinds = $version >= 17 ? "'r', 'm', 't', 'S'" : "'r', 'm', 't'";
    $check{'heaps'} = <<"END" if $version >= 14;
SELECT pg_class.oid::regclass, found.*
FROM pg_class, LATERAL verify_heapam(pg_class.oid, check_toast => true) found
WHERE relkind IN ($heap_kinds) AND relpersistence = 'p' $which
    AND (relkind = 'S' OR relam = (SELECT oid FROM pg_am WHERE amname = 'heap'));
END
    $check{'gin indexes'} = <<"END" if $version >= 18;
SELECT gin_index_check(indexrelid)
FROM pg_index JOIN pg_class ON indexrelid = pg_class.oid JOIN pg_am ON relam = pg_am.oid
WHERE amname = 'gin' AND relkind = 'i' AND relpersistence = 'p' AND indisvalid AND indisready $which;
END
    return map {
        $_ => "SELECT count(*) > 0 AS is_there FROM pg_extension WHERE extname = 'amcheck' \\gset\n\\if :is_there\n$check{$_}\n\\endif"
    } keys %check;
}

# Lines of a server's log that say something is wrong, among those that do not: servers come and go, and replay
# of DROP DATABASE may find the directory gone, because the source has no such directory any more.
my $alarming = qr/PANIC|FATAL|ERROR|WARNING|invalid page/;
my $harmless = qr/
      FATAL:\s+the\ database\ system\ is\ (starting\ up|not\ yet\ accepting\ connections|not\ accepting\ connections)
    | FATAL:\s+terminating\ (connection|walreceiver\ process|background\ worker.*)\ due\ to\ administrator\ command
    | FATAL:\s+archive\ command\ failed\ with\ exit\ code\ 126
    | FATAL:\s+could\ not\ receive\ data\ from\ WAL\ stream
    | FATAL:\s+(could\ not\ connect\ to\ the\ primary\ server|streaming\ replication\ receiver.*could\ not\ connect)
    | WARNING:\s+could\ not\ open\ directory\ "(base|pg_tblspc\/\d+\/PG_[\d.]+_\d+)\/\d+":\ No\ such\ file
    | WARNING:\s+unexpected\ directory\ entry\ "\d+"\ found\ in\ pg_tblspc   # in-place; PANIC for all others
    | WARNING:\s+removing\ stale\ two-phase\ state\ (?:from\ memory|file)   # prepared and ended in the WAL replayed, pg_xact has the end
    | WARNING:\s+still\ waiting\ for\ WAL\ summarization\ through\ \S+\ after\ [12]0\ seconds   # the summarizer sleeps up to 30
    | WARNING:\s+some\ useless\ files\ may\ be\ left\ behind\ in\ old\ database\ directory
    /x;

# Test the log of a server since its last start.
sub log_is_clean
{
    my ($cluster) = @_;
    my @lines = grep { /$alarming/ && !/$harmless/ } split /\n/, $cluster->log;
    is(join("\n", @lines), '', 'the log of ' . $cluster->name . ' shows nothing alarming');
    return;
}

# Test the checksum of every page of a running server, where it has checksums: a base backup checks them on its way out,
# from 11 on. With pg_checksums, which looks at all pages, where there is one of that version and the server may be
# stopped for a moment.
sub pages_are_sound
{
    my ($cluster) = @_;
    my $version = $cluster->version;
    return if $version < 11 || $cluster->query('SHOW data_checksums') ne 'on';
    my $options = $version >= 15 ? "(CHECKPOINT 'fast', WAIT false)" : 'FAST NOWAIT';
    my $result = run([ program('psql'), '-XAtq', '-o', '/dev/null', '-d', $cluster->conninfo . ' replication=true',
        '-c', "BASE_BACKUP $options" ]);
    # (It refuses a standby that has replayed WAL with full_page_writes off.)
    unlike($result->{stderr}, qr/checksum verification/, 'every page of ' . $cluster->name . ' has the right checksum');
    return if !-x program('pg_checksums') || must_run([ program('pg_checksums'), '--version' ]) !~ / $version\./;
    $cluster->stop;
    my $checked = run([ program('pg_checksums'), '--check', '-D', $cluster->data ]);
    is($checked->{status}, 0, 'pg_checksums finds nothing in ' . $cluster->name) or diag($checked->{stderr});
    $cluster->start;
    return;
}

# A primary's prepared transactions, in order.
sub prepared_transactions
{
    my ($cluster) = @_;
    return $cluster->query('SELECT transaction, gid, prepared, owner, database FROM pg_prepared_xacts ORDER BY gid');
}

1;
