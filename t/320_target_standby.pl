# The target was a standby: promoted by mistake, or ahead of the one that was promoted.  (Invariant 7. Both sources.)
#
#   promoted by mistake                      ahead of the promoted one
#
#   source   1 ──┬── 1 ─────▶                primary  1 ──┬─────┬── 1 ✕
#   target       └── 2 ──▶                   source       └─ 2 ─│──────▶     was not connected for a while
#                                            target   1 ────────┘            replayed what the source never got

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

sub promoted_by_mistake
{
    my ($version, $stop) = @_;
    my $source = make_cluster('source', $version)->start;
    $source->sql('CREATE TABLE t AS SELECT i AS a FROM generate_series(1, 3000) i; CREATE INDEX ON t (a)');
    my $target = $source->standby('target');
    $target->promote;
    $target->sql('INSERT INTO t SELECT generate_series(10000, 15000); DELETE FROM t WHERE a % 3 = 0; CREATE TABLE lost AS SELECT 1 AS a');
    $source->sql('INSERT INTO t SELECT generate_series(20000, 21000); DELETE FROM t WHERE a % 5 = 0');
    $target->stop($stop);
    return ($source, $target);
}

sub ahead_of_the_promoted_one
{
    my ($version, $stop) = @_;
    my $primary = make_cluster('primary', $version)->start;
    $primary->sql('CREATE TABLE t AS SELECT i AS a FROM generate_series(1, 3000) i; CREATE INDEX ON t (a)');
    my $source = $primary->standby('source');
    my $target = $primary->standby('target');
    $source->stop;
    $primary->sql('INSERT INTO t SELECT generate_series(10000, 15000); DELETE FROM t WHERE a % 3 = 0; CREATE TABLE lost AS SELECT 1 AS a; VACUUM t; CHECKPOINT');
    $primary->sql('INSERT INTO t SELECT generate_series(30000, 31000)');
    $target->wait_for_replay_of($primary);
    # Hint bits and a restartpoint of the standby's own: what it has on disk is beyond the divergence.
    $target->query('SELECT count(*) FROM t');
    $target->sql('CHECKPOINT');
    $target->stop($stop);
    $primary->stop('immediate');
    $source->start->promote;
    $source->sql('CHECKPOINT; INSERT INTO t SELECT generate_series(20000, 21000); DELETE FROM t WHERE a % 5 = 0');
    return ($source, $target);
}

each_version(sub {
    my ($version) = @_;
    my %history = (
        'promoted by mistake' => \&promoted_by_mistake,
        'ahead of the promoted one' => \&ahead_of_the_promoted_one,
    );
    my %stop = (fast => 'stopped cleanly', kill => 'killed');
    for my $name (sort keys %history)
    {
        for my $stop (sort keys %stop)
        {
            subtest("a standby $name, $stop{$stop}", sub {
                my ($source, $target) = $history{$name}->($version, $stop);
                rewinds_from_both_kinds($source, $target);
                RewindTest::Cluster::discard_all();
            });
        }
    }
}, sample => 1);
