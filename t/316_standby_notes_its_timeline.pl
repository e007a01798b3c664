# The pg_control of a standby as source comes to the timeline on which it has long been, while pg_rewind works and has
# connections still to make: it is the same server.
#
#   target    1 ──┬── 1 ──▶
#   primary       └── 2 ──▶
#   source        └── 2 ──▶         pg_control: timeline 1, then 2
# (Rule C25.)

use strict;
use warnings;

use RewindTest;
use RewindTest::Held;

each_version(sub {
    my ($version) = @_;
    # a page on the disk would note it, too
    my $target = make_cluster('target', $version, settings => 'bgwriter_lru_maxpages = 0')->start;
    $target->sql('CREATE TABLE t AS SELECT generate_series(1, 600) AS a');
    my $primary = $target->standby('primary');
    my $source = $primary->standby('source')->have_much_to_fetch;
    $source->wait_for_replay_of($target);
    $primary->promote;
    $primary->sql('INSERT INTO t VALUES (1)');
    $source->wait_for_replay_of($primary);
    $target->sql('UPDATE t SET a = -a');
    $target->stop;

    my $timeline = 'SELECT min_recovery_end_timeline, timeline_id FROM pg_control_recovery(), pg_control_checkpoint()';
    is($source->query($timeline), '1|1', 'the standby\'s pg_control is on timeline 1');
    my $held = hold($target, $source, 'connect@;connect@', '-j', 4);
    $primary->sql('CHECKPOINT');
    $source->wait_for_replay_of($primary);
    $source->sql('CHECKPOINT');
    is($source->query($timeline), '2|2', 'the standby\'s pg_control has come to timeline 2');
    my $result = go_on($held);
    is($result->{status}, 0, 'pg_rewind succeeds') or diag($result->{stderr});
    rejoins($target, $source, writer => $primary) if $result->{status} == 0;
}, only => [ 10, 15, 18 ]);
