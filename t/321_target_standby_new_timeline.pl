# A standby as target has followed its primary to a new timeline, but its pg_control does not say so yet. It has no page
# of the timeline on its disk, but its WAL: the server would replay that, beyond where the source's timeline begins, and
# never find it. (The target passed the divergence in recovery. Both sources.)
#
#   primary   1 ──┬── 2 ──────▶ ✕
#   source        └── 2 ──┬── 3 ──▶
#   target        └── 2 ──────▶ ✕         pg_control: timeline 1
# (Rule C25.)

use strict;
use warnings;

use RewindTest;

each_version(sub {
    my ($version) = @_;
    my $primary = make_cluster('primary', $version, settings => 'bgwriter_lru_maxpages = 0')->start;
    $primary->sql('CREATE TABLE t AS SELECT generate_series(1, 1000) AS a');
    my $source = $primary->standby('source');
    my $target = $primary->standby('target');
    my $nowhere = bless { %$primary, dir => '/nonexistent' }, ref $primary;
    $primary->stop;
    $primary->follow($nowhere)->start->promote->sql('INSERT INTO t VALUES (1)');
    $_->wait_for_replay_of($primary) for $source, $target;
    $source->stop;

    $primary->sql('CREATE TABLE lost AS SELECT generate_series(1, 1000) AS a; INSERT INTO t VALUES (2)');
    $target->wait_for_replay_of($primary);
    is($target->query('SELECT min_recovery_end_timeline, timeline_id FROM pg_control_recovery(), pg_control_checkpoint()'),
        '1|1',
        'the target\'s pg_control is on timeline 1');
    $_->stop('kill') for $target, $primary;
    $source->start->promote->sql('INSERT INTO t VALUES (3)');

    rewinds_from_both_kinds($source, $target,
        rewound => sub { like($_[2]{stderr}, qr/servers diverged at WAL location \S+ on timeline 2/,
        'the divergence is on timeline 2') });
}, only => [ 10, 15, 18 ]);
