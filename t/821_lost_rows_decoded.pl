# The rows in the file of --save-lost-rows are those that the server itself decodes of its WAL: change by change, value
# by value. The same statements at wal_level = replica give the same file.
#
#   common    ──●               shutdown checkpoint
#   source      ├── promoted
#   logical     ├── t/lost_rows ── crash     wal_level = logical, REPLICA IDENTITY FULL: test_decoding is the judge
#   replica     └── t/lost_rows ── crash     wal_level = replica, no slot
#
# (Rule L47.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::LostRows;

each_version(sub {
    my ($version) = @_;
    my $replica = make_cluster('replica', $version);
    my ($source, $logical) = diverged_copies($replica, qw(source logical));
    $logical->configure('wal_level = logical');
    $_->start for $logical, $replica;
    $logical->sql(q{SELECT pg_create_logical_replication_slot('judge', 'test_decoding')});
    run_workload($_, 'rows.sql', 'keyless.sql', 'deferred.sql'), run_sessions($_), run_workload($_, 'schema.sql')
        for $logical, $replica;
    my $decoded = decoded_rows($logical, 'judge');
    $_->stop('immediate') for $logical, $replica;

    my ($of_logical, $of_replica) = map { my $file = save_lost_rows($_, $source)->{jsonl}; defined $file
        ? [ saved_rows($file) ] : [ [], [] ] } $logical, $replica;
    are_same_rows(without_rewritten($of_logical->[0], $decoded, 'public.unlogged'), $decoded,
        'the rows are those that the server decodes', by => 'xid', version => $version);
    are_same_rows($of_replica->[0], $of_logical->[0], 'wal_level = replica gives the same rows', version => 99);
});
