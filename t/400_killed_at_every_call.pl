# A rewind that is killed before any of its system calls costs nothing, and the same command run again finishes it.
# (Invariants 1 to 5. Both sources. What happens on the disk depends on the version in few places: the oldest, one
# between, the newest.)
#
#   killed before the commit     the target is as it was, byte by byte; its old server starts
#   killed after it              no server starts, whatever files are removed; the source is needed no more
#   at every instant             pg_control is whole
#   run again                    the same directory as without a kill
#   the same                     where a file system refuses to rename between directories (EXDEV), so that files are
#                                copied; the run
#                                that finishes it may rename them
#
# PG_REWIND_TEST_POINTS=all tries every call that changes something; otherwise some, spread, and all near the commit.
# (Rules I7, I13, I22.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Dice;
use RewindTest::Interrupted;

my $points = $ENV{PG_REWIND_TEST_POINTS} // 6;    # before the commit, and as many after it

sub spread { my ($first, $last, $count) = @_;
    return map { int($first + ($last - $first) * $_ / $count) } 0 .. $count - 1 }

sub numbers
{
    my ($commit, $last) = @_;
    return 1 .. $last if $points eq 'all';
    my %number = map { $_ => 1 } spread(2, $commit, $points), $commit .. $commit + 3,
        spread($commit + 4, $last, $points), $last - 1, $last;
    return sort { $a <=> $b } keys %number;
}

sub killed_with_one_worker
{
    my ($pair, $commit, $calls) = @_;
    my %phases;
    for my $number (numbers($commit, scalar @$calls))
    {
        my $call = $calls->[ $number - 1 ];
        subtest("killed before call $number of " . @$calls . ", $call->{call} $call->{path}", sub {
            my $result = $pair->reset->attempt(fault => "kill:$number");
            is($result->{signal}, 9, 'pg_rewind is killed') or diag($result->{stderr});
            # A run without a fault has no library that refuses renames.
            my $again = $number % 3 == 0 ? 'kill:' . (1 + $number % 37) : $pair->{env}{PG_REWIND_FAULT_APART}
                && $number % 2 ? '' : undef;
            $phases{ $pair->judge(again => $again) }++;
        });
    }
    cmp_ok($phases{$_} // 0, '>', 0, "some runs were killed in the phase '$_'") for qw(before after);
    return;
}

# With more workers the order differs from run to run: at random.  SIGSTOP and then SIGKILL is what Patroni does.
sub killed_with_four_workers
{
    my ($pair, $calls) = @_;
    srand(test_seed());
    for my $attempt (1 .. ($points eq 'all' ? 60 : 2))
    {
        my $number = 1 + int(rand(@$calls));
        subtest("four workers, killed before call $number", sub {
            my $result = $pair->reset->attempt(fault => "kill:$number", jobs => 4);
            is($result->{signal}, 9, 'pg_rewind is killed') or diag($result->{stderr});
            $pair->judge;
        });
    }
    return;
}

each_version(sub {
    my ($version) = @_;
    for my $kind ($points eq 'all' ? qw(server directory) : $version == 15 ? 'server' : 'directory')
    {
        my $pair = RewindTest::Interrupted->new($version, kind => $kind);
        my $calls = $pair->calls;
        subtest("source is a $kind", sub {
            killed_with_one_worker($pair, RewindTest::Interrupted::commit_number($calls), $calls);
            killed_with_four_workers($pair, $calls);
            $pair->reset->attempt;
            $pair->source->start if $kind eq 'directory';
            rejoins($pair->target, $pair->source);
        });
        $pair->discard;
    }
    subtest('renames between directories are refused', sub {
        my $pair = RewindTest::Interrupted->new($version, kind => 'directory', env => { PG_REWIND_FAULT_APART => '*' });
        my $calls = $pair->calls;
        killed_with_one_worker($pair, RewindTest::Interrupted::commit_number($calls), $calls);
        $pair->discard;
    });
}, only => [ 10, 15, 18 ]);
