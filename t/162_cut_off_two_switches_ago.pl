# A transaction that a promotion cut off is dead for all who followed that promotion, also for a target that was
# promoted later still. Hints that say so are not on a rewound target whose source has committed the transaction.
#
#   source   1 ── begin, insert ──●──┬── 1 ───────────── commit ──▶     ● checkpoint, for which the target made no restartpoint
#   other                            └── 2 ──┬──▶                       ┬ divergence
#   target                            hints ─┘── 3 ──▶                  set while it replays timeline 2, so without WAL
# (Rule U3.)

use strict;
use warnings;

use RewindTest;

sub insert_in_open_transaction
{
    my ($primary) = @_;
    my $session = $primary->session;
    $session->sql("BEGIN; INSERT INTO doubtful SELECT g, repeat('x', 100) FROM generate_series(1, 2000) g");
    return $session;
}

sub cut_off_two_switches_ago
{
    my ($version) = @_;
    my $source = make_cluster('source', $version)->start;
    $source->sql('CREATE TABLE doubtful (a int, b text); CREATE TABLE t (a int)');
    my $other = $source->standby('other');
    my $target = $source->standby('target');
    my $session = insert_in_open_transaction($source);
    $source->sql('INSERT INTO t VALUES (1); CHECKPOINT');
    $_->wait_for_replay_of($source) for $other, $target;

    # Killed, it makes no restartpoint: it replays the rows once more, and their pages are still to be written when
    # hints are set.
    $target->stop('kill');
    $other->promote;
    $other->sql('INSERT INTO t VALUES (2); CHECKPOINT');
    $target->follow($other)->start;
    $target->wait_for_replay_of($other);
    is($target->query('SELECT count(*) FROM doubtful'), 0,
        'the follower takes the transaction for failed and sets hints');
    $target->promote;
    $target->sql('INSERT INTO t VALUES (3); CHECKPOINT');
    $target->stop;
    $other->discard;

    $session->sql('COMMIT');
    $session->end;
    return ($source, $target);
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = cut_off_two_switches_ago($version);
    # Asked before anybody looks at the source's rows: that would log hints there, and images of the pages with them.
    rewinds_from_both_kinds($source, $target, no_promotion => 1,
        rewound => sub {
            my ($rewound) = @_;
            my $copy = $rewound->copy('looked_at');
            $copy->follow($source)->start;
            is($copy->query('SELECT count(*) FROM doubtful'), 2000, 'no row is lost');
            $copy->discard;
        });
}, only => [ 10, 13, 15, 18 ]);
