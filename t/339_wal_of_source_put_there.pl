# A primary that crashed, and once more in its recovery, and somebody has put the source's WAL into its pg_wal: it has
# not followed the source, and its own WAL after the divergence counts. (Invariant 7. Both sources.)
#
#   source   1 ──┬── 2 ──▶
#   target   1 ──┴── 1 ── pages written ──✕ ── crashed in recovery ──✕      ✕ killed; then files of timeline 2 are copied to its pg_wal
#
# The same for one that was promoted before, and crashed before its first checkpoint had ended. It is also taken for a
# standby if it was stopped at the end of the recovery that pg_auto_failover starts; its restore_command fetches the
# files.
#
#   source             ┌── 2 ──┬── 3 ──▶
#   target   1 ─ promoted ─ 2 ─┴── 2 ── pages written ──✕ ── stopped, or crashed in recovery
# (Rules C25, C108.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

# A file of this table is made unreadable.
my $other = 'other';

sub fail_in_recovery
{
    my ($crashed, $source) = @_;
    my $path = $crashed->path($crashed->{unreadable});
    chmod 0000, $path or die;
    isnt($crashed->try_start->{status}, 0, 'its recovery fails');
    chmod 0600, $path or die;
    must_run([ 'cp', glob($source->path('pg_wal/00000003*')), $crashed->path('pg_wal') ]);
    return 4;
}

sub stop_at_immediate_target
{
    my ($crashed, $source) = @_;
    my $command = "cp @{[ $source->path('pg_wal') ]}/%f %p";
    spew($crashed->path('recovery.signal'), '');
    $crashed->configure("restore_command = '$command'");
    $crashed->start(settings => { recovery_target => 'immediate' });
    $crashed->stop;
    unlink $crashed->path('recovery.signal');
    return 2;
}

sub promoted_before
{
    my ($version, $stop) = @_;
    my $settings = "shared_buffers = 128kB\nbgwriter_lru_maxpages = 0";
    my $primary = make_cluster('primary', $version, settings => $settings)->start;
    $primary->sql('CREATE TABLE t AS SELECT g AS a, 0 AS b FROM generate_series(1, 20000) g');
    $primary->sql("CREATE TABLE $other (a int)");
    my ($source, $target) = both_promoted($primary);
    $target->{unreadable} = $target->query("SELECT pg_relation_filepath('$other')");
    $target->sql("UPDATE t SET b = 1 WHERE a <= 10000; INSERT INTO $other VALUES (1); SELECT count(*) FROM t");
    $target->stop('kill');
    my $state = $stop->($target, $source);
    is(unpack('x16 V', slurp($target->path('global/pg_control'))), $state, "pg_control says state $state");
    ok(-e $target->path('pg_wal/00000003.history'), 'its pg_wal has the later timeline');
    rewinds($target, $source);
    rejoins($target, $source, quick => 1);
    return;
}

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
    for my $stop (\&fail_in_recovery, $version < 12 ? () : \&stop_at_immediate_target)
    {
        RewindTest::Cluster::discard_all();
        subtest('promoted before', sub { promoted_before($version, $stop) });
    }
}, only => [ 10, 18 ]);
