# A power cut at any time costs nothing either: whatever of the unsynced changes the disk holds, the same command
# finishes the rewind, or the target is as it was. (Invariants 1 to 5. What is synced when depends neither on the
# version nor on the source.)
#
#   changes of a run    1 2 3 | sync | 4 5 commit | sync | 6 7 ...     the power fails after any of them
#   the disk holds all that was synced, and of the rest: nothing; all but one; only one; any; writes in part, or as
#   zeros
#
# The target's server was shut down, or killed: then what it had written since its last checkpoint is among the changes
# that nothing has synced. The same where a file system refuses to rename between directories (EXDEV), so that files are
# copied.
#
# A recording of one run gives the states (t/lib/RewindTest/PowerCut.pm), another that of a run that finishes what a
# killed one left. PG_REWIND_TEST_POINTS=N tries N of each, =all thousands; PG_REWIND_TEST_SEED repeats a choice, and
# PG_REWIND_TEST_KIND names one of the parts (%parts).
# (Rules I19, I22, I24, I25.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Dice;
use RewindTest::Interrupted;
use RewindTest::PowerCut;
use RewindTest::Tree;

my $points = $ENV{PG_REWIND_TEST_POINTS} // 12;

sub pick { my ($count, @from) = @_; return map { splice(@from, int(rand(@from)), 1) } 1 .. ($count < @from ? $count
    : scalar @from) }

# Subsets of what is pending.
sub subsets
{
    my ($thorough, @pending) = @_;
    my %all = map { $_ => 1 } @pending;
    my @writes = grep { /write/ } @pending;
    my @subsets = ({});
    push @subsets, map { my %kept = %all; delete $kept{$_}; \%kept } pick($thorough ? 5 : 1, @pending);
    push @subsets, map { { $_ => 1 } } pick($thorough ? 2 : 1, @pending);
    push @subsets, map { { map { $_ => 1 } grep { rand() < 0.5 } @pending } } 1 .. ($thorough ? 2 : 1);
    push @subsets, map { { %all, $_ => qw(begin end zeros) [ int(rand(3)) ] } } pick(1, @writes);
    return @subsets;
}

# The states to try, as [ number of changes, subset ]: thoroughly from shortly before the commit on, more coarsely
# before.
sub states
{
    my ($recording, $first, $commit) = @_;
    my $thorough = $commit - 4 > $first ? $commit - 4 : $first;
    if ($points ne 'all')
    {
        my $before = $thorough > $first ? int($points / 3) : 0;
        my @numbers = ((map { $first + int(rand($thorough - $first)) } 1 .. $before),
            map { $thorough + int(rand($recording->count - $thorough + 1)) } $before + 1 .. $points);
        return map { my $number = $_; [ $number, pick(1, subsets(0, $recording->moment($number)->pending)) ] }
            sort { $a <=> $b } @numbers;
    }
    return map { my $number = $_; map { [ $number, $_ ] } subsets($number >= $thorough,
        $recording->moment($number)->pending) }
        grep { $_ >= $thorough ? $first == 1 || $_ % 2 == 0 : $_ % 8 == 0 } $first .. $recording->count;
}

my (%tried, %phases);

sub try_state
{
    my ($pair, $recording, $number, $kept) = @_;
    my $moment = $recording->moment($number);
    return if $tried{ $moment->key($kept) }++;
    my @pending = $moment->pending;
    my ($snapshot, $before);
    if ($recording->begin)
    {
        $snapshot = $pair->synced_snapshot;
        $moment->restore_before($pair->reset($snapshot)->target->dir, $kept);
        $before = without_times(RewindTest::Interrupted::without_ours(tree($pair->target)));
    }
    $moment->restore($pair->reset($snapshot)->target->dir, $kept);
    diag(keys(%tried) . ' states') if keys(%tried) % 200 == 0;
    my $text = keys %$kept <= @pending / 2 ? 'held only ' . join(' ', map { "$_=$kept->{$_}" } sort keys %$kept)
        : 'did not hold ' . join(' ', map { $kept->{$_} ? "$_=$kept->{$_}" : $_ } grep { ($kept->{$_} // '')
            ne '1' } @pending);
    $text =~ s/^.{300}\K.*/.../;
    subtest(sprintf('the power failed after change %d of %d; of %d pending the disk %s', $number, $recording->count,
        scalar @pending, $text), sub {
        $phases{ $pair->judge(before => $before) }++;
    });
    return;
}

sub try_states
{
    my ($pair, $recording, $first, $commit) = @_;
    try_state($pair, $recording, @$_) for states($recording, $first, $commit);
    return;
}

# A run is killed before this call, and another one finishes its rewind: the recording of both, and the number of the
# first change of the second.
sub finished_after_kill
{
    my ($pair, $number, @place) = @_;
    my $record = work_dir() . "/record.$number";
    unlink $record, "$record.data";
    $pair->reset->attempt(fault => "kill:$number", env => { PG_REWIND_FAULT_RECORD => $record });
    my $first = 1 + RewindTest::PowerCut->new($record, @place)->count;
    is($pair->attempt(fault => '', env => { PG_REWIND_FAULT_RECORD => $record })->{status}, 0,
        "a run killed at $number is finished");
    return (RewindTest::PowerCut->new($record, @place), $first);
}

# What a killed run has renamed out of a work directory is not lost when the run that finishes it syncs that one.
sub renamed_files_stay
{
    my ($version) = @_;
    my $pair = RewindTest::Interrupted->new($version, kind => 'directory', options => ['--sync-method=fsync']);
    my $calls = $pair->calls;
    my ($renamed) = grep { $calls->[$_]{path} =~ m{pg_wal/00000002\.history$} } 0 .. $#$calls;
    my @place = (base => $pair->snapshot, root => $pair->target->dir);
    my ($again, $first) = finished_after_kill($pair, $renamed + 2, @place);
    %tried = ();
    try_state($pair, $again, $again->find_sync(qr{/pg_rewind\.work$}, $first), {});
    $pair->discard;
    return;
}

sub power_cuts
{
    my ($version, %option) = @_;
    my $pair = RewindTest::Interrupted->new($version, kind => 'directory', %option);
    my $record = work_dir() . '/record';
    my @place = (base => $pair->snapshot, root => $pair->target->dir);
    @place = (@place, base => $pair->synced_snapshot, killed => $pair->snapshot) if $option{killed};
    my $calls = $pair->calls(env => { PG_REWIND_FAULT_RECORD => $record });
    %tried = ();

    my $recording = RewindTest::PowerCut->new($record, @place);
    my $commit = $recording->find('rename', qr{/backup_label$});
    subtest('while a run works', sub { try_states($pair, $recording, 1 + $recording->begin, $commit) });
    if (($option{env} // {})->{PG_REWIND_FAULT_APART})
    {
        my $last = ($recording->find_all('rename', qr{/global/pg_control$}))[-1];
        subtest('when the copy that became pg_control had its own name as well',
            sub { try_state($pair, $recording, $last, { map { $_ => 1 } grep { $_ ne "$last.name.gone" }
                $recording->moment($last)->pending }) });
    }

    # Killed in the midst of applying, before the poison, and while cleaning up; then run again.
    my $last = @$calls;
    my $committing = RewindTest::Interrupted::commit_number($calls);
    for my $number ($committing + 1, int(($committing + $last) / 2), $last - 3)
    {
        my ($again, $first) = finished_after_kill($pair, $number, @place);
        subtest("while a run works that finishes one killed before call $number",
            sub { try_states($pair, $again, $first, $first) });
    }
    $pair->discard;
    diag(sprintf('%d states: %s', scalar keys %tried, join ', ', map { "$phases{$_} $_" } sort keys %phases))
        if $points eq 'all';
    cmp_ok($phases{$_} // 0, '>', 0, "some states are of the phase '$_'") for qw(before after done);
    return;
}

# What is tried, each of a name for PG_REWIND_TEST_KIND.
my %parts = (apart => [ 'renames between directories are refused', env => { PG_REWIND_FAULT_APART => '*' } ]);
my @methods = qw(auto fsync syncfs);
for my $method (@methods)
{
    my @option = $method eq 'auto' ? () : "--sync-method=$method";
    $parts{$method} = [ "pg_rewind @option", options => \@option ];
    # A late start, for nothing replays then what the server had written.
    $parts{"$method-killed"} = [ "pg_rewind @option --late-start, after the server was killed", killed => 1,
        options => [ @option, '--late-start' ] ];
}

each_version(sub {
    my ($version) = @_;
    srand(test_seed());
    my @names = map { ($_, "$_-killed") } $points eq 'all' ? @methods : pick(1, @methods);
    my $only = $ENV{PG_REWIND_TEST_KIND};
    for my $name ($only ? $only : (@names, 'apart'))
    {
        my ($title, %option) = @{ $parts{$name} };
        subtest($title, sub { power_cuts($version, %option) });
    }
    subtest('a file that was renamed before a kill', sub { renamed_files_stay($version) })
        if ($only // 'fsync') eq 'fsync';
}, only => [ $ENV{PG_REWIND_TEST_VERSION} // 16 ]);
