# A standby as source has followed its primary to a new timeline, but its pg_control does not say so yet: neither a
# restartpoint nor a page written told it. (Invariants 1, 7. Source is a standby: running, and stopped.)
#
#   target    1 ──┬── 1 ──●──▶      ● a checkpoint of its own, in a segment that the source never had
#   primary       └── 2 ──▶
#   source        └── 2 ──▶         pg_control: timeline 1
# (Rule C25.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

each_version(sub {
    my ($version) = @_;
    my $target = make_cluster('target', $version)->start;
    $target->sql('CREATE TABLE t AS SELECT generate_series(1, 1000) AS a');
    my $primary = $target->standby('primary');
    $primary->stop;
    my $source = $primary->copy('source');
    $primary->start;
    $source->follow($primary)->start;
    $source->wait_for_replay_of($target);
    $primary->promote;
    $primary->sql('INSERT INTO t VALUES (1)');
    $source->wait_for_replay_of($primary);
    $target->sql('CREATE TABLE lost AS SELECT generate_series(1, 1000) AS a');
    $target->sql('SELECT pg_switch_wal()');
    $target->sql('CHECKPOINT');
    $target->stop;

    for my $kind (qw(server directory))
    {
        subtest("source is a $kind", sub {
            my $rewound = $target->copy("from_$kind");
            $source->stop if $kind eq 'directory';
            my $result = rewinds($rewound, $source, kind => $kind);
            like($result->{stderr}, qr/servers diverged at WAL location \S+ on timeline 1/,
                'the divergence is where timeline 2 begins');
            $source->start if $kind eq 'directory';
            rejoins($rewound, $source, writer => $primary);
            $rewound->discard;
        });
    }
}, sample => 1);
