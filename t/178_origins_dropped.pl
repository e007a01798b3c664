# Replication origins that the source has dropped since the last common checkpoint: the rewound target begins with those
# of the source's last checkpoint, and has no place for the others, which replay from before it needs. So recovery
# starts there. (Where recovery starts. Both sources.)
#
#   source       ┌── 2 ── origins 1, 2 ── dropped ── 3, 4 ── S, its last checkpoint ──▶
#   target   1 ──┴── 1 ──▶                                        could not find free replication state slot
#   likewise: S comes while pg_rewind works; S is a restartpoint that begins before all this
#   otherwise: the numbers are given out again, so that there is a place for each
# (Rule C40.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Held;

my $room = 'it has room for fewer replication origins than replay needs';
my $warning = qr/^pg_rewind: warning: the target's server may stop during recovery: $room$/m;

# A transaction that came from each of these.
sub apply
{
    my ($server, @numbers) = @_;
    $server->sql(<<"END") for @numbers;
SELECT pg_replication_origin_session_setup('origin_$_');
BEGIN; SELECT pg_replication_origin_xact_setup('0/100', now()); INSERT INTO t VALUES (1); COMMIT;
SELECT pg_replication_origin_session_reset();
END
    return;
}

sub create { return join '; ', map { "SELECT pg_replication_origin_create('origin_$_')" } @_ }
sub drop { return join '; ', map { "SELECT pg_replication_origin_drop('origin_$_')" } @_ }

sub replace_origins
{
    my ($server) = @_;
    apply($server, 1, 2);
    $server->sql(drop(1, 2));
    apply($server, 3, 4);
    return;
}

sub pair
{
    my ($version, $change, @origins) = @_;
    return split_brain($version,
        cluster => { settings => ($version >= 18 ? 'max_active_replication_origins' : 'max_replication_slots')
        . ' = 2' },
        before => sub { $_[0]->sql('CREATE TABLE t (a int); ' . create(@origins ? @origins : 1 .. 4)) },
        source => $change,
        target => sub { $_[0]->sql('INSERT INTO t VALUES (2)') });
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = pair($version, sub { replace_origins($_[0]); $_[0]->sql('CHECKPOINT');
        apply($_[0], 3, 4) });
    like(rewind($target, $source, options => [qw(--early-start --dry-run)])->{stderr}, $warning, '--early-start warns');
    rewinds_from_both_kinds($source, $target, quick => 1);
    RewindTest::Cluster::discard_all();

    subtest('the checkpoint is made during the run', sub {
        ($source, $target) = pair($version, \&replace_origins);
        my $held = hold($target, $source, 'create@*/pg_rewind.work/*');
        $source->sql('CHECKPOINT');
        my $result = go_on($held);
        is($result->{status}, 0, 'pg_rewind succeeds') or diag($result->{stderr});
        rejoins($target, $source, quick => 1);
        RewindTest::Cluster::discard_all();
    });

    subtest('a restartpoint from before', sub {
        (my $primary, $target) = pair($version, sub { });
        my $standby = $primary->standby('standby');
        $primary->sql('CHECKPOINT');
        replace_origins($primary);
        $standby->wait_for_replay_of($primary);
        $standby->sql('CHECKPOINT');
        like(rewind($target, $standby, options => ['--dry-run'])->{stderr}, $warning, 'a warning tells it');
        $primary->sql('CHECKPOINT');
        $standby->wait_for_replay_of($primary);
        $standby->sql('CHECKPOINT');
        my $result = rewinds($target, $standby);
        unlike($result->{stderr}, $warning, 'until there is a later restartpoint');
        rejoins($target, $standby, quick => 1, writer => $primary);
        RewindTest::Cluster::discard_all();
    });

    subtest('the numbers are given out again', sub {
        ($source, $target) = pair($version, sub { apply($_[0], 1, 2); $_[0]->sql(drop(1, 2) . '; ' . create(3, 4));
            apply($_[0], 3, 4); $_[0]->sql('CHECKPOINT') }, 1, 2);
        my $result = rewinds($target, $source, options => ['--early-start']);
        unlike($result->{stderr}, $warning, 'there is a place for each');
        rejoins($target, $source, quick => 1);
    });
}, only => [ 10, 12, 15, 18, 19 ]);
