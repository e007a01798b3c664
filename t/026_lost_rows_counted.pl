# A report counts the rows that lost transactions wrote, deleted or updated, for each table, also what they did before
# the divergence; maintenance is counted apart, and a report lists as much as it is asked for.
#
#   target   ┈─┬── "lost" ────▶      ┈ begun before, committed after: numbers of common transactions lie between the lost ones

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use RewindTest;
use RewindTest::Tree;

my $odd = q{'o="d d\'b'};    # a database, quoted as a connection string wants it; as it is, psql would take it for one

# Before 10 a child gets its rows itself.
sub partitions
{
    my ($primary) = @_;
    return (
        'CREATE TABLE parted (id int, note text)', map({ "CREATE TABLE $_ () INHERITS (parted)" } qw(part_1 part_2)),
        "INSERT INTO part_1 SELECT id, 'common' FROM generate_series(50, 99) id",
            "INSERT INTO part_2 SELECT id, 'common' FROM generate_series(100, 150) id"
    ) if $primary->version < 10;
    return (
        'CREATE TABLE parted (id int, note text) PARTITION BY RANGE (id)',
        'CREATE TABLE part_1 PARTITION OF parted FOR VALUES FROM (0) TO (100)',
        'CREATE TABLE part_2 PARTITION OF parted FOR VALUES FROM (100) TO (200)',
            "INSERT INTO parted SELECT id, 'common' FROM generate_series(50, 150) id"
    );
}

sub prepare
{
    my ($primary) = @_;
    $primary->sql($_)
        for (map { "CREATE TABLE $_ AS SELECT id, 'common'::text AS note FROM generate_series(1, 50) id" } qw(orders
            early earlier rewritten cut dropped only_deleted shrinks reused
            moved), '"Odd""\'name"'), 'DELETE FROM shrinks',
        'CREATE INDEX orders_id ON orders (id)', partitions($primary), q{CREATE DATABASE "o=""d d'b"};
    $primary->sql($_) for 'CREATE TABLE heir () INHERITS (orders)',
        q{INSERT INTO heir SELECT id + 5000, 'heir' FROM generate_series(1, 50) id};
    $primary->sql('CREATE TABLE elsewhere (id int, note text)', $odd);
    return;
}

sub write_on_target
{
    my ($target, $earlier, $session) = @_;
    $session->sql('COMMIT');
    $earlier->sql('ANALYZE cut; COMMIT');
    $_->end for $earlier, $session;
    my $two_rows = $target->version < 10
        ? "BEGIN; INSERT INTO part_1 VALUES (60, 'lost'); INSERT INTO part_2 VALUES (160, 'lost'); COMMIT"
        : "INSERT INTO parted VALUES (60, 'lost'), (160, 'lost')";
    # 9.3 forgets who wrote what it freezes
    my $freeze = $target->version < 9.4 ? 'VACUUM FREEZE only_deleted' : 'VACUUM FREEZE orders';
    $target->sql(<<"END");
BEGIN; INSERT INTO orders VALUES (101, 'lost'); SAVEPOINT s;
    INSERT INTO orders VALUES (102, 'lost, sub'); RELEASE s; SAVEPOINT s;
    INSERT INTO orders VALUES (103, 'rolled back'); ROLLBACK TO s;
    UPDATE orders SET note = 'lost, updated' WHERE id = 5; DELETE FROM orders WHERE id = 6; COMMIT;
BEGIN; INSERT INTO orders VALUES (104, 'rolled back'); ROLLBACK;
INSERT INTO orders VALUES (105, 'lost, first');
UPDATE orders SET note = 'lost, second' WHERE id = 105;
DO \$\$ BEGIN FOR i IN 1000 .. 1500 LOOP
    BEGIN INSERT INTO orders VALUES (i, 'lost, many'); IF i % 3 = 0 THEN RAISE 'no'; END IF;
    EXCEPTION WHEN raise_exception THEN END; END LOOP; END \$\$;
$freeze;
$two_rows;
UPDATE parted SET note = 'lost, updated' WHERE id IN (61, 141);
INSERT INTO rewritten VALUES (60, 'lost');
VACUUM FULL rewritten;
TRUNCATE cut;
INSERT INTO cut VALUES (60, 'lost');
DROP TABLE dropped;
DELETE FROM only_deleted WHERE id = 1;
BEGIN; DELETE FROM only_deleted WHERE id = 2; ROLLBACK;
DELETE FROM reused WHERE id IN (9, 10);
DELETE FROM moved;
UPDATE "Odd""'name" SET note = 'lost' WHERE id = 1;
CREATE TABLE made AS SELECT id, 'lost'::text AS note FROM generate_series(1, 3) id;
SELECT lo_from_bytea(4711, 'lost');
ANALYZE orders;
ANALYZE cut;
VACUUM shrinks;
END
    $target->sql(q{INSERT INTO elsewhere VALUES (1, 'lost, elsewhere')}, $odd);
    return;
}

sub report_of
{
    my ($target, $source, @options) = @_;
    my $result = rewind($target, $source, options => [ '--dry-run', '--report=json', @options ]);
    is($result->{status}, 0, "a report: @options") or diag($result->{stderr});
    return JSON::PP->new->utf8->decode($result->{stdout});
}

# What the three values of --report-transactions leave.
sub lists_as_asked
{
    my ($target, $source, $all) = @_;
    my ($summary, $none) = map { report_of($target, $source, "--report-transactions=$_")->{discarded} } qw(summary
        none);
    is($summary->{committed}, undef, 'summary: no transactions');
    is_deeply($summary->{relations}, $all->{relations}, 'summary: the same of relations');
    is_deeply([ @{$none}{qw(committed relations prepared_gids list_complete
        maintenance_transactions)} ], [ (undef) x 5 ], 'none: no list');
    is_deeply([ @{$_}{qw(transactions first_commit last_commit prepared_transactions)} ],
        [ @{$all}{qw(transactions first_commit last_commit prepared_transactions)} ], 'the same counts')
        for $summary, $none;
    is($summary->{maintenance_transactions}, $all->{maintenance_transactions}, 'summary: the same of maintenance');
    my $text = rewind($target, $source, options => [ '--dry-run', '--report=text',
        '--report-transactions=summary' ])->{stdout};
    like($text, qr/^  storage dropped +public\..*^ +public\.dropped$/ms, 'summary: what was dropped');
    $text = rewind($target, $source, options => [ '--dry-run', '--report=text',
        '--report-transactions=none' ])->{stdout};
    like($text, qr/^  committed transactions +\d+$/m, 'none: the count');
    unlike($text, qr/most touched|storage|maintenance/, 'none: and no more');
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($earlier, $session);
    my ($source, $target) = split_brain($version,
        # it has more records of catalogs
        cluster => { settings => "autovacuum = off\nwal_level = " . ($version == 15 ? 'logical' : 'replica') },
        before => \&prepare,
        together => sub {
            ($earlier, $session) = map { $_[0]->session } 1, 2;
            # Nothing of this transaction is in the WAL that is read, except that it updates statistics later.
            $earlier->sql(q{BEGIN; INSERT INTO earlier VALUES (60, 'lost, but not found')});
            $_[0]->sql('CHECKPOINT');
            $session->sql(q{BEGIN; UPDATE early SET note = 'lost, begun before' WHERE id = 7});
            $_[0]->sql(q{UPDATE early SET note = 'common, later' WHERE id = 8});
        },
        target => sub { write_on_target($_[0], $earlier, $session) });
    my $all = report_of($target, $source)->{discarded};
    my $analyzed = $version >= 18 ? 3 : 2;    # from 18 on ANALYZE takes tables that inherit, too
    is($all->{maintenance_transactions}, $analyzed + 1,
        'ANALYZE and VACUUM are counted apart, but not where more may have been done before the common checkpoint');
    is((grep { $_->{maintenance} && !@{ $_->{schema_changes} } && !@{ $_->{truncated} } } @{ $all->{committed} }),
        $analyzed, 'and told in the list');
    is((grep { $_->{maintenance} && "@{ $_->{truncated} }" eq 'public.shrinks' } @{ $all->{committed} }), 1,
        'VACUUM, too');
    my ($orders) = grep { $_->{name} eq 'public.orders' } @{ $all->{relations} };
    is("$orders->{rows_updated} $orders->{rows_deleted}", '2 1', 'rows are counted');
    my ($early) = grep { $_->{name} eq 'public.early' } @{ $all->{relations} };
    is($early->{rows_updated}, 1, 'also what was done before the divergence');
    lists_as_asked($target, $source, $all) if $version == 18;
    $source->sql(q{DROP DATABASE "o=""d d'b"});    # the comparison could not connect to it
    rewinds($target, $source);
    rejoins($target, $source);
}, only => [ 9.3, 9.4, 9.6, 10, 15, 18, 19 ]);
