# Rows of a transaction that was open at the divergence and committed on the target only do not come back to life.
# (Hint bits: a target that was a primary, and one that passed the divergence as a standby. Both sources.)
#
#   source   1 ──●── begin, insert ──┬── 2 ──────────▶       the transaction is lost with the divergence
#   target                           └── 1 ── commit, hints set ──▶
#
# A hint says "committed" on the page itself. Set without WAL on a page that nothing else changed, it would survive the
# rewind.
# (Rules C1, C2, C9, C79.)

use strict;
use warnings;

use RewindTest;

sub insert_in_open_transaction
{
    my ($primary) = @_;
    my $session = $primary->session;
    $session->sql('BEGIN');
    $session->sql("INSERT INTO lost SELECT g, repeat('x', 100) FROM generate_series(1, 2000) g");
    return $session;
}

sub nothing_is_lost_twice
{
    my ($source, $target) = @_;
    rewinds_from_both_kinds($source, $target,
        check => sub {
            my ($rewound) = @_;
            is($rewound->query('SELECT count(*) FROM lost'), '0', 'no row of the lost transaction is visible');
        });
    return;
}

each_version(sub {
    my ($version) = @_;

    subtest('the target was a primary', sub {
        my $session;
        my ($source, $target) = split_brain($version,
            before => sub { $_[0]->sql('CREATE TABLE lost (a int, b text); CHECKPOINT') },
            together => sub { my ($primary) = @_; $session = insert_in_open_transaction($primary) },
            target => sub {
                my ($target) = @_;
                $session->sql('COMMIT');
                $session->end;
                $target->sql('SELECT count(*) FROM lost; CHECKPOINT');
            });
        nothing_is_lost_twice($source, $target);
        RewindTest::Cluster::discard_all();
    });

    # The standby that becomes the target replays the commit, and sets hints as a standby does: without WAL.
    subtest('the target was a standby', sub {
        my $primary = make_cluster('primary', $version)->start;
        $primary->sql('CREATE TABLE lost (a int, b text)');
        my $target = $primary->standby('target');
        my $source = $primary->standby('source');
        my $session = insert_in_open_transaction($primary);
        $primary->sql('CHECKPOINT');
        # No CHECKPOINT on the target here: hints reach the disk only with pages that are still to be written.
        $_->wait_for_replay_of($primary) for $target, $source;

        $source->promote;
        $source->sql('CHECKPOINT');
        $session->sql('COMMIT');
        $session->end;
        $primary->sql('CREATE TABLE gone (a int); DROP TABLE gone');
        $target->wait_for_replay_of($primary);
        is($target->query('SELECT count(*) FROM lost'), '2000', 'the standby sees the rows and sets hints');
        $target->sql('CHECKPOINT');
        $primary->sql('CHECKPOINT');
        $target->wait_for_replay_of($primary);
        $target->sql('CHECKPOINT');
        $target->stop;
        $primary->stop;
        $primary->discard;
        nothing_is_lost_twice($source, $target);
        RewindTest::Cluster::discard_all();
    });

    # The other way round: prepared, rolled back where the target comes from, committed on the source.
    subtest('a prepared transaction ends differently', sub {
        my $primary = make_cluster('primary', $version)->start;
        $primary->sql('CREATE TABLE lost (a int, b text)');
        my $target = $primary->standby('target');
        my $source = $primary->standby('source');
        $primary->sql("BEGIN; INSERT INTO lost SELECT g, repeat('x', 100) FROM generate_series(1, 2000) g;"
            . " PREPARE TRANSACTION 'both'");
        $primary->sql('CHECKPOINT');
        # No CHECKPOINT on the target here: hints reach the disk only with pages that are still to be written.
        $_->wait_for_replay_of($primary) for $target, $source;

        $source->promote;
        $source->sql('CHECKPOINT');
        $primary->sql("ROLLBACK PREPARED 'both'");
        $primary->sql('CREATE TABLE gone (a int); DROP TABLE gone');
        $target->wait_for_replay_of($primary);
        is($target->query('SELECT count(*) FROM lost'), '0', 'the standby sees no row and sets hints');
        $target->sql('CHECKPOINT');
        $primary->sql('CHECKPOINT');
        $target->wait_for_replay_of($primary);
        $target->sql('CHECKPOINT');
        $target->stop;
        $primary->stop;
        $primary->discard;
        $source->sql("COMMIT PREPARED 'both'");
        rewinds_from_both_kinds($source, $target,
            check => sub { is($_[0]->query('SELECT count(*) FROM lost'), '2000', 'no row is lost') });
    });
});
