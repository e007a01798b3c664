# A source was promoted while an older history file was lost: its newest history begins at timeline 2, and a page of WAL
# before its last checkpoint carries timeline 1. The target knows timeline 2 and what was before, so the histories are
# joined there; the bytes prove the divergence. --compare needs none of that, and reads the source's WAL. (Before:
# "could not find common ancestor", and with --compare "unexpected timeline ID 1 in WAL segment".)
#
#   target   1 ──┬── 2 ──────────────────▶      00000002.history: "1 A"
#   source       └── 2 ──┬── 3 ──────────▶      00000003.history: "2 B"
# (Rules C26, C28.)

use strict;
use warnings;

use RewindTest;

my $many = "INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(1, 300) i";

# Returns the source on timeline 3 and the target on timeline 2, stopped. $lacking is where the file of timeline 2 is
# lost: before the promotion of either. $checkpoint: whether the target makes one on timeline 2; $after: what the
# promoted source does first.
sub pair
{
    my ($version, $lacking, $checkpoint, $after) = @_;
    my $first = make_cluster('first', $version)->start;
    $first->sql("CREATE TABLE t (a int, b text); $many; CHECKPOINT");
    my ($target, $source) = map { $first->standby($_) } qw(target source);
    $first->sql('UPDATE t SET a = -a');
    $_->wait_for_replay_of($first) for $target, $source;
    $target->promote;
    $first->stop('immediate');
    $checkpoint ? $target->sql('CHECKPOINT') : $target->hold_first_checkpoint;
    $target->sql($many);
    $source->stop->follow($target)->start;
    $source->wait_for_stream_from($target);
    $source->wait_for_replay_of($target);
    unlink($source->path('pg_wal/00000002.history')) or die if $lacking eq 'source';
    $source->promote;
    unlike(slurp($source->path('pg_wal/00000003.history')), qr/^1\t/m, 'the history begins at timeline 2')
        if $lacking eq 'source';
    $target->sql("UPDATE t SET b = 'lost' WHERE a % 5 = 0");
    if ($lacking eq 'target')
    {
        my $standby = $target->standby('promoted');
        unlink($standby->path('pg_wal/00000002.history')) or die;
        $standby->promote;
        $standby->sql("UPDATE t SET b = 'lost too' WHERE a % 7 = 0");
        $target->stop;
        $target = $standby;
    }
    ($after // sub { $_[0]->sql('CHECKPOINT') })->($source);
    $source->sql("UPDATE t SET b = 'kept' WHERE a % 3 = 0");
    kill 'CONT', $target->checkpointer_pid if !$checkpoint;
    $target->stop;
    return ($source, $target);
}

each_version(sub {
    my ($version) = @_;
    for my $case ([ 'source', 1 ], [ 'source', 0 ], [ 'target', 1 ])
    {
        my ($lacking, $checkpoint) = @$case;
        subtest("the $lacking\'s history lacks timeline 1; the last common checkpoint is on timeline "
            . ($checkpoint ? 2 : 1), sub {
            my ($source, $target) = pair($version, $lacking, $checkpoint);
            for my $options ([], ['--compare'], [ '--compare', 'nothing has the history' ])
            {
                my $copy = $target->copy('rewound');
                unlink glob($copy->path('pg_wal/*.history')) if @$options > 1;
                $#$options = 0 if @$options > 1;
                rewinds($copy, $source, options => [ '-N', @$options ])->{status} == 0 or return;
                rejoins($copy, $source, quick => 1);
                $copy->discard;
            }
            RewindTest::Cluster::discard_all();
        });
    }

    # No server can start on timeline 1 with that history file.
    subtest('the source has made no checkpoint on timeline 2', sub {
        my ($source, $target) = pair($version, 'source', 0, sub { $_[0]->hold_first_checkpoint });
        my $result = rewind($target, $source, options => ['-N']);
        is($result->{status}, 1, 'it is refused');
        like($result->{stderr}, qr/^pg_rewind: error: the source's history begins at timeline 2$/m, 'with the reason')
            or diag($result->{stderr});
        like($result->{stderr}, qr/^pg_rewind: hint: .*CHECKPOINT/m, 'and what helps');
        kill 'CONT', $source->checkpointer_pid;
        rewinds($target, $source, options => [ '-N', '--checkpoint' ]);
        rejoins($target, $source, quick => 1);
    });
}, only => [ 10, 15, 18 ]);
