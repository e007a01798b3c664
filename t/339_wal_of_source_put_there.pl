# A primary that crashed, and once more in its recovery, and somebody has put the source's WAL into its pg_wal: it has
# not followed the source, and its own WAL after the divergence counts. (Invariant 7. Both sources.)
#
#   source   1 ──┬── 2 ──▶
#   target   1 ──┴── 1 ── pages written ──✕ ── crashed in recovery ──✕      ✕ killed; then files of timeline 2 are copied to its pg_wal
# (Rule C25.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

each_version(sub {
    my ($version) = @_;
    my $unreadable;
    my ($source, $target) = split_brain($version,
        before => sub {
        $_[0]->sql("CREATE TABLE t AS SELECT i, repeat('common', 20) AS v FROM generate_series(1, 2000) i; CREATE TABLE other (a int)");
            $unreadable = $_[0]->query("SELECT pg_relation_filepath('other')") },
        source => sub { $_[0]->sql('CREATE TABLE s AS SELECT 1 AS a') },
        target => sub {
            my ($target) = @_;
            $target->sql("DELETE FROM t WHERE i % 2 = 0; VACUUM t; INSERT INTO other VALUES (1)");
            # Its pages reach the disk, and no checkpoint is made.
            $target->sql("CREATE TABLE big AS SELECT i, repeat('x', 1000) AS x FROM generate_series(1, 20000) i");
            $target->sql('SELECT count(*) FROM big');
        },
        stop => 'kill');
    chmod 0000, $target->path($unreadable) or die;
    isnt($target->try_start->{status}, 0, 'its recovery fails');
    chmod 0600, $target->path($unreadable) or die;
    must_run([ 'cp', glob($source->path('pg_wal/00000002*')), $target->path('pg_wal') ]);
    rewinds_from_both_kinds($source, $target);
}, only => [ 10, 18 ]);
