# A target that crashed, and whose WAL ends where the source left its timeline or before, needs no rewind: it goes on as
# a standby. (The original rewinds it, since it recovers it first, and that writes a checkpoint.) (Both sources.)
#
#   source      ┌── 2 ──▶
#   target   1 ─┴ killed
# (Rules C29, U1.)

use strict;
use warnings;

use RewindTest;
use RewindTest::Tree;

each_version(sub {
    my ($version) = @_;
    my $target = make_cluster('target', $version)->start;
    $target->sql('CREATE TABLE t AS SELECT g FROM generate_series(1, 1000) g');
    my $source = $target->standby('source');
    $target->sql('CHECKPOINT; UPDATE t SET g = g + 1');
    kill 'STOP', $target->background_writer_pid;    # its own record would be a divergence if the source lacked it
    $source->wait_for_replay_of($target);
    $target->stop('kill');
    $source->promote;
    $source->sql('CHECKPOINT; UPDATE t SET g = -g');
    for my $kind (qw(server directory))
    {
        my $copy = $target->copy($kind);
        my $before = tree($copy);
        $source->stop if $kind eq 'directory';
        my $result = rewinds($copy, $source, kind => $kind);
        $source->start if $kind eq 'directory';
        like($result->{stderr}, qr/^pg_rewind: no rewind required$/m, "no rewind is required with a $kind as source");
        is_same_tree(tree($copy), $before, 'nothing is changed');
        rejoins($copy, $source, quick => 1);
        $copy->discard;
    }
}, only => [ 10, 13, 15, 18 ]);
