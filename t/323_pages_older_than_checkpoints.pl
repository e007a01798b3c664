# A checkpoint record in WAL does not mean that the pages are as new: recovery starts at one that the target itself finished, or
# where its own recovery was to begin, and no later than at the source's own.  (Where recovery starts. Both sources.)
#
#   source       1 ──●── update ──●──┬── 2 ──▶      ● checkpoints; the target made no restartpoint at the second, was
#   target                           └── 1 ──✕        killed, and has never written the pages
#
#   source       1 ──●──┬─ 2 ── update ──●──┬── 2 ──▶     the target was rewound to it, and never started
#   second              │                   └── 3 ──▶     then it is rewound to this one
#   target              └─ 1 ──▶
#
#   source       1 ──●── update ──●──┬── 2 ──▶      a standby, killed and started again, that made no restartpoint
#   target                           └── 1 ──▶

use strict;
use warnings;

use RewindTest;

sub make_table { $_[0]->sql('CREATE TABLE t AS SELECT i AS a, 0 AS b FROM generate_series(1, 3000) i; CHECKPOINT'); return }
sub change { $_[0]->sql('UPDATE t SET b = 1; CHECKPOINT'); return }

each_version(sub {
    my ($version) = @_;

    subtest('a standby that was killed', sub {
        my $primary = make_cluster('primary', $version)->start;
        make_table($primary);
        my $target = $primary->standby('target');
        my $source = $primary->standby('source');
        change($primary);
        $_->wait_for_replay_of($primary) for $target, $source;
        $source->promote;
        $source->sql('CHECKPOINT');
        $primary->sql('CREATE TABLE lost AS SELECT 1 AS a');
        $target->wait_for_replay_of($primary);
        $target->stop('kill');
        $primary->stop('immediate');
        $primary->discard;
        rewinds_from_both_kinds($source, $target, no_promotion => 1);
        RewindTest::Cluster::discard_all();
    });

    subtest('a target that was rewound and never started', sub {
        my ($source, $target) = split_brain($version,
            before => \&make_table,
            target => sub { $_[0]->sql('CREATE TABLE lost AS SELECT 1 AS a') });
        my $second = $source->standby('second');
        change($source);
        $second->wait_for_replay_of($source);
        $second->promote;
        $second->sql('CHECKPOINT');
        $source->sql('CREATE TABLE more AS SELECT 1 AS a; CHECKPOINT');
        rewinds($target, $source);
        $source->stop;
        rewinds_from_both_kinds($second, $target, no_promotion => 1,
            rewound => sub { like($_[2]{stderr}, qr/servers diverged at WAL location/, 'it had passed the second divergence') });
    });

    subtest('a source that made no restartpoint', sub {
        RewindTest::Cluster::discard_all();
        my $target = make_cluster('target', $version)->start;
        make_table($target);
        my $primary = $target->standby('primary');
        my $source = $target->standby('source');
        change($target);
        $_->wait_for_replay_of($target) for $primary, $source;
        $primary->promote;
        $primary->sql('CHECKPOINT; CREATE TABLE kept AS SELECT 1 AS a');
        $source->stop('kill');
        $source->follow($primary)->start->wait_for_replay_of($primary);
        $target->sql('UPDATE t SET b = 2');
        $target->stop;
        rewinds($target, $source, options => ['-N']);
        rejoins($target, $source, writer => $primary, no_promotion => 1);
    });
}, only => [ 10, 15, 18 ]);
