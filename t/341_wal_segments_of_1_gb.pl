# WAL segments of 1 GB, the largest there are: four of them have all 32 bits of an LSN's lower half.  (Invariant 7. Both
# sources.  The size is no matter of the server's version: one version, for these files take time.)
#
#   source       ┌── 2 ── │ ──▶      │ segment ends   ┬ divergence
#   target   1 ──┴── 1 ── │ ──▶
#
# All are sparse files, as far as the servers leave them so.

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

sub write_apart
{
    my ($server, $side) = @_;
    $server->sql(qq{INSERT INTO t SELECT i, '$side' FROM generate_series(1, 1000) i;
        UPDATE t SET b = '$side' WHERE a % 10 = 1;
        SELECT pg_switch_wal();
        INSERT INTO t SELECT i, '$side again' FROM generate_series(1, 1000) i});
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        cluster => { wal_segment_mb => 1024, settings => "wal_init_zero = off\nwal_recycle = off" },
        before => sub { $_[0]->sql('CREATE TABLE t (a int, b text); CREATE INDEX ON t (a)') },
        source => sub { write_apart($_[0], 'source') },
        target => sub { write_apart($_[0], 'target') });
    is($source->query('SHOW wal_segment_size'), '1GB', 'the segments have that size');
    rewinds_from_both_kinds($source, $target, quick => 1);
}, only => [18], left => 1);
