# WAL segments of 16 MB and 64 MB; all other tests, but those of version 10, have 1 MB.  (Invariant 7. Both sources.)
#
#   source       ┌── 2 ── │ ── │ ──▶      │ segment ends   ┬ divergence
#   target   1 ──┴── 1 ── │ ── │ ──▶

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

# Fill some segments, so that records cross their ends.
sub write_apart
{
    my ($server, $side) = @_;
    $server->sql(qq{INSERT INTO t SELECT i, repeat('$side', 100) FROM generate_series(1, 8000) i;
        UPDATE t SET b = '$side' WHERE a % 10 = 1;
        SELECT pg_switch_wal();
        INSERT INTO t SELECT i, '$side again' FROM generate_series(1, 1000) i});
    return;
}

each_version(sub {
    my ($version) = @_;
    for my $size_mb (16, 64)
    {
        subtest("segments of $size_mb MB", sub {
            my ($source, $target) = split_brain($version,
                cluster => { wal_segment_mb => $size_mb },
                before => sub { $_[0]->sql('CREATE TABLE t (a int, b text); CREATE INDEX ON t (a)') },
                together => sub { write_apart($_[0], 'together') },
                source => sub { write_apart($_[0], 'source') },
                target => sub { write_apart($_[0], 'target') });
            is($source->query('SHOW wal_segment_size'), "${size_mb}MB", 'the segments have that size');
            rewinds_from_both_kinds($source, $target);
            RewindTest::Cluster::discard_all();
        });
    }
}, only => [ 11, 15, 18, 19 ], left => 1);
