# Is a standby a true copy of its primary?  The judges are the server itself, on both sides, and amcheck.

package RewindTest::Comparison;

use strict;
use warnings;

use Exporter 'import';
use Test::More;

our @EXPORT = qw(
    is_copy_of amcheck_finds_nothing log_is_clean prepared_transactions
);

# One line for each table of a database: name, rows, a sum over all rows with their place and inserting
# transaction, for a standby has them in the same place.  Catalogs and large objects are tables as well.
# Unlogged and temporary tables are none of a standby's business.
my $fingerprint_of_tables = <<'END';
SELECT format($$
SELECT %L, count(*),
       sum(('x' || substr(md5("the row".ctid::text || "the row".xmin::text || "the row"::text), 1, 12))::bit(48)::bigint)
FROM %s "the row" $$, oid::regclass, oid::regclass)
FROM pg_class
WHERE relkind IN ('r', 'm') AND relpersistence = 'p'
ORDER BY oid \gexec
END

# Sequences are logged some values ahead: the standby may be anywhere from the last value to that. A target that was the
# primary may even be behind a source that was its standby: what it took of the logged values is in no WAL.
my $sequences = <<'END';
SELECT format($$
SELECT %L, last_value, last_value + log_cnt * %s, is_called FROM %s $$, seqrelid::regclass, seqincrement, seqrelid::regclass)
FROM pg_sequence JOIN pg_class ON seqrelid = pg_class.oid
WHERE relpersistence = 'p'
ORDER BY seqrelid \gexec
END

# Test that every table of every database is equal on both sides, both being in the same state of replay.
sub is_copy_of
{
    my ($standby, $primary) = @_;
    my @databases = $primary->databases;
    is_deeply([ $standby->databases ], \@databases, 'both sides have the same databases');
    for my $database (@databases)
    {
        my @expected = split /\n/, $primary->query($fingerprint_of_tables, $database);
        my $result = $standby->try_sql($fingerprint_of_tables, $database);
        is($result->{stderr}, '', "every table of $database can be read");
        my @found = split /\n/, $result->{stdout};
        my %found = map { $_ => 1 } @found;
        my %expected = map { $_ => 1 } @expected;
        my @different = ((map { "source $_" } grep { !$found{$_} } @expected),
            map { "target $_" } grep { !$expected{$_} } @found);
        is(join("\n", @different), '', "every table of $database is equal: " . @expected . ' tables');
        sequences_agree($standby, $primary, $database);
    }
    return;
}

sub sequences_agree
{
    my ($standby, $primary, $database) = @_;
    my %found = map { /^([^|]*)\|(.*)/ ? ($1 => [ split /\|/, $2 ]) : () } split /\n/, $standby->query($sequences, $database);
    my @wrong;
    for my $line (split /\n/, $primary->query($sequences, $database))
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

# Test all indexes and tables of all databases with the checks that the server's version has.
sub amcheck_finds_nothing
{
    my ($cluster) = @_;
    my $version = $cluster->version;
    my $heapallindexed = $version >= 11 ? ', true' : '';
    my %check = (
        'btree indexes' => <<"END",
SELECT bt_index_check(indexrelid$heapallindexed)
FROM pg_index JOIN pg_class ON indexrelid = pg_class.oid JOIN pg_am ON relam = pg_am.oid
WHERE amname = 'btree' AND relkind = 'i' AND relpersistence = 'p' AND indisvalid AND indisready
END
    );
    my $heap_kinds = $version >= 17 ? "'r', 'm', 't', 'S'" : "'r', 'm', 't'";
    $check{'heaps'} = <<"END" if $version >= 14;
SELECT pg_class.oid::regclass, found.*
FROM pg_class, LATERAL verify_heapam(pg_class.oid, check_toast => true) found
WHERE relkind IN ($heap_kinds) AND relpersistence = 'p'
END
    $check{'gin indexes'} = <<'END' if $version >= 18;
SELECT gin_index_check(indexrelid)
FROM pg_index JOIN pg_class ON indexrelid = pg_class.oid JOIN pg_am ON relam = pg_am.oid
WHERE amname = 'gin' AND relkind = 'i' AND relpersistence = 'p' AND indisvalid AND indisready
END
    for my $database ($cluster->databases)
    {
        next if $cluster->query("SELECT count(*) FROM pg_extension WHERE extname = 'amcheck'", $database) == 0;
        for my $name (sort keys %check)
        {
            my $result = $cluster->try_sql($check{$name}, $database);
            $result->{stdout} =~ s/^\n+//;
            is($result->{stderr} . $result->{stdout}, '', "amcheck finds nothing in the $name of $database");
        }
    }
    return;
}

# Lines of a server's log that say something is wrong, among those that do not: servers come and go, and replay
# of DROP DATABASE may find the directory gone, because the source has no such directory any more.
my $alarming = qr/PANIC|FATAL|ERROR|WARNING|invalid page/;
my $harmless = qr/
      FATAL:\s+the\ database\ system\ is\ (starting\ up|not\ yet\ accepting\ connections|not\ accepting\ connections)
    | FATAL:\s+terminating\ (connection|walreceiver\ process|background\ worker.*)\ due\ to\ administrator\ command
    | FATAL:\s+could\ not\ receive\ data\ from\ WAL\ stream
    | FATAL:\s+(could\ not\ connect\ to\ the\ primary\ server|streaming\ replication\ receiver.*could\ not\ connect)
    | WARNING:\s+could\ not\ open\ directory\ "(base|pg_tblspc\/\d+\/PG_\d+_\d+)\/\d+":\ No\ such\ file
    | WARNING:\s+unexpected\ directory\ entry\ "\d+"\ found\ in\ pg_tblspc   # in-place; PANIC for all others
    | WARNING:\s+removing\ stale\ two-phase\ state\ from\ memory   # prepared and ended in the WAL replayed, pg_xact has the end
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

# A primary's prepared transactions, in order.
sub prepared_transactions
{
    my ($cluster) = @_;
    return $cluster->query('SELECT transaction, gid, prepared, owner, database FROM pg_prepared_xacts ORDER BY gid');
}

1;
