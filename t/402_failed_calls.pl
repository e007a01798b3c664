# Whatever system call fails, and for whatever reason, the result is never wrong: the run succeeds all the same, or the
# target is as it was (exit status 1), or the same command finishes it (2). (Invariants 1 to 5. Alike for all versions.)
#
#   one call fails        with ENOSPC, EIO, EDQUOT, EMFILE, EINTR; a write that fails has written half of its bytes
#   the disk stays full   from one call on
#   calls do less         reads and writes, of files and of the connection, are cut short and interrupted at random
#
# PG_REWIND_TEST_POINTS=all tries every call that changes something with each error, and of the others each kind;
# PG_REWIND_TEST_KIND names what is tried, separated by blanks: a kind of source, 'server' or 'directory', or one part
# of it, as 'server:full' (%parts).
# (Rules C90, I27, I29, I41.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Dice;
use RewindTest::Interrupted;

my $points = $ENV{PG_REWIND_TEST_POINTS} // 16;
my $seed = test_seed();
my @errors = qw(ENOSPC EIO EDQUOT EMFILE EINTR);
my %text = (ENOSPC => 'No space left on device', EIO => 'Input/output error', EDQUOT => 'Disk quota exceeded',
    EMFILE => 'Too many open files', EINTR => 'Interrupted system call');

sub pick { my ($count, @from) = @_; return map { splice(@from, int(rand(@from)), 1) } 1 .. ($count < @from ? $count
    : scalar @from) }

# A note that a sync has failed is left where the run says so. It is taken away: with it the next run compares all
# blocks (t/406), and ends with another directory than an undisturbed one.
sub take_note_away
{
    my ($pair, $result) = @_;
    my $noted = unlink $pair->{state}->path('pg_rewind.unsynced');
    my $says = $result->{stderr} =~ /^pg_rewind: hint: A file .* may be lost.* next run compares all blocks /m;
    is($noted, $result->{status} && $says ? 1 : 0, 'it has noted a failed sync if it says so');
    return;
}

# It has failed before it knew the target, and says nothing of it.
sub could_not_look
{
    my ($pair, $result, $error) = @_;
    my $data = quotemeta $pair->target->data;
    return $result->{stderr} =~ /\Apg_rewind: error: could not stat file "$data": $text{$error}$/m;
}

# Does what the run says fit what it left?
my %statuses;
sub judge_result
{
    my ($pair, $result, $error) = @_;
    $statuses{ $result->{status} }++;
    take_note_away($pair, $result);
    is($result->{signal}, 0, 'it ends by itself');
    my $phase = $pair->judge;
    if ($result->{status} == 0)
    {
        is($phase, 'done', 'it has succeeded');
        return;
    }
    like($result->{stderr}, qr/^pg_rewind: error: /m, 'it says what failed');
    if ($result->{status} == 1)
    {
        is($phase, 'before', 'it has failed before the commit');
        like($result->{stderr}, qr/unchanged/, 'and says that the target is unchanged')
            if !could_not_look($pair, $result, $error);
    }
    else
    {
        is($result->{status}, 2, 'or it has failed after the commit');
        isnt($phase, 'before', 'as it says');
        like($result->{stderr}, qr/run the same pg_rewind command again/, 'and says what to do');
    }
    return;
}

sub one_fails
{
    my ($pair, $where, $call, $error) = @_;
    subtest("$error at call $where, $call->{call} $call->{path}", sub {
        my $result = $pair->reset->attempt(fault => "fail:$where:$error");
        judge_result($pair, $result, $error);
        like($result->{stderr}, qr/\Q$text{$error}\E/, 'the reason is told')
            if $result->{status} != 0 && $call->{call} !~ /^(recv|send|connect)$/;
    });
    return;
}

sub calls_that_change_something
{
    my ($pair, $calls) = @_;
    my @all = map { my $number = $_; map { [ $number, $_ ] } @errors } 1 .. @$calls;
    one_fails($pair, $_->[0], $calls->[ $_->[0] - 1 ], $_->[1]) for $points eq 'all' ? @all : pick($points, @all);
    return;
}

# Of calls that change nothing there are thousands alike: the first and the last, and one between, of those that differ
# in numbers only. Each is a place, as 17 or r17, and what is called there.
sub of_each_kind
{
    my @places = @_;
    my (%alike, %index);
    push @{ $alike{ $places[$_][1] =~ s/[0-9A-F]+/N/gr } }, $_ for 0 .. $#places;
    $index{$_} = 1 for map { ($_->[0], $_->[-1], $_->[ rand @$_ ]) } @alike{ sort keys %alike };
    return @places[ sort { $a <=> $b } keys %index ];
}

sub other_calls
{
    my ($pair) = @_;
    my $calls = $pair->calls(changes => 0);
    my @places = of_each_kind(map { [ $_, "$calls->[ $_ - 1 ]{call} $calls->[ $_ - 1 ]{path}" ] } 1 .. @$calls);
    my @all = map { my ($number) = @$_; map { [ $number, $_ ] } qw(EIO EMFILE EINTR) } @places;
    one_fails($pair, "r$_->[0]", $calls->[ $_->[0] - 1 ], $_->[1]) for $points eq 'all' ? @all : pick($points, @all);
    return;
}

# The kernel may have dropped what it could not write and call it clean: before the next sync of a file all of it is
# written again. (Directories cannot be written again. File systems with a journal take no further change once they have
# failed to write it.)
sub syncs_of_files
{
    my ($pair, $calls) = @_;
    my $commit = RewindTest::Interrupted::commit_number($calls);
    my $log = work_dir() . '/synced';
    my %file = map { $_->{path} => 1 } grep { $_->{call} =~ /^(create|write|truncate)$/ } @$calls;
    my @syncs = grep { $calls->[ $_ - 1 ]{call} eq 'sync' && $file{ $calls->[ $_ - 1 ]{path} } } 1 .. @$calls;
    my %failed;
    for my $number ($points eq 'all' ? @syncs
        : (pick(2, grep { $_ < $commit } @syncs), pick(3, grep { $_ > $commit } @syncs)))
    {
        my $path = $calls->[ $number - 1 ]{path};
        subtest("sync of $path fails, call $number, the commit being $commit", sub {
            unlink $log;
            my $result = $pair->reset->attempt(fault => "fail:$number:EIO", env => { PG_REWIND_FAULT_LOG => $log });
            my @later = grep { /^\d/ } split /\n/, slurp($log);
            splice(@later, 0, $number);
            my $written = 0;
            for (@later)
            {
                $written = 1 if /^\d+ (write|truncate|create) \Q$path\E$/;
                return ok($written, 'it is written again before it is synced again') if /^\d+ sync \Q$path\E$/;
            }
            is($result->{status}, 1, 'it is not synced again, and the run fails');
            $failed{$number < $commit}++;
        });
    }
    cmp_ok($failed{1} // 0, '>', 0, 'before the commit such runs fail');
    is($failed{''}, undef, 'after the commit none does');
    return;
}

# A run that finishes what a killed one left does not call the target unchanged.
sub calls_of_a_resumed_run
{
    my ($pair, $calls) = @_;
    my $commit = RewindTest::Interrupted::commit_number($calls);
    my $killed_at = int(($commit + 1 + @$calls) / 2);
    for my $changes (1, 0)
    {
        my $log = work_dir() . '/resumed';
        unlink $log;
        $pair->reset->attempt(fault => "kill:$killed_at");
        $pair->attempt(fault => '', env => { PG_REWIND_FAULT_LOG => $log });
        my $prefix = $changes ? '' : 'r';
        my @places = map { /^($prefix\d+) (.*)/ ? [ $1, $2 ] : () } split /\n/, slurp($log);
        @places = of_each_kind(@places) if !$changes;
        my @all = map { my $place = $_; map { [ @$place, $_ ] } qw(EIO EMFILE) } @places;
        for my $try ($points eq 'all' ? @all : pick($points / 4, @all))
        {
            my ($where, $what, $error) = @$try;
            subtest("$error in the run that finishes one killed before call $killed_at, at $where $what", sub {
                $pair->reset->attempt(fault => "kill:$killed_at");
                my $result = $pair->attempt(fault => "fail:$where:$error");
                $statuses{ $result->{status} }++;
                take_note_away($pair, $result);
                # After a failed sync it has compared all blocks, once it had finished.
                my $phase = $pair->judge(compared => $result->{stderr} =~ /^pg_rewind: comparing all blocks/m);
                return is($phase, 'done', 'it has succeeded') if $result->{status} == 0;
                # Without the data directory it may not know that a rewind is unfinished. It has changed nothing, and
                # the same command finishes it.
                return pass('it could not look')
                    if $result->{status} == 1 && could_not_look($pair, $result, $error);
                return like($result->{stderr}, qr/The interrupted rewind is finished/,
                    'it has finished that and failed later') if $result->{status} == 1;
                is($result->{status}, 2, 'or it fails with exit status 2') or diag($result->{stderr});
                like($result->{stderr}, qr/run the same (?:pg_rewind )?command again/i, 'and says what to do');
                unlike($result->{stderr}, qr/unchanged/, 'and nothing wrong');
            });
        }
    }
    return;
}

# After the commit a full disk is waited for: then it is killed, as an impatient administrator would.
sub disk_stays_full
{
    my ($pair, $calls) = @_;
    my $commit = RewindTest::Interrupted::commit_number($calls);
    for my $number ($points eq 'all' ? (1 .. @$calls) : (pick(2, 1 .. $commit), $commit + 5))
    {
        next if $number > $commit && $number % 10 != 0 && $points eq 'all';
        subtest("the disk is full from call $number on, the commit being $commit", sub {
            my $result = $pair->reset->attempt(fault => "fail:$number+:ENOSPC", until => qr/pg_rewind retries this/);
            return judge_result($pair, $result, 'ENOSPC') if $result->{signal} == 0;
            cmp_ok($number, '>', $commit, 'it waits only after the commit');
            like($result->{stderr}, qr/No space left on device/, 'it says for what');
            like($result->{stderr}, qr/pg_rewind retries this for/, 'and that it waits');
            isnt($pair->judge, 'before', 'the rewind is committed');
        });
    }
    return;
}

sub calls_do_less
{
    my ($pair) = @_;
    for my $attempt (1 .. ($points eq 'all' ? 40 : 3))
    {
        my $dice = $seed + $attempt;
        subtest("reads and writes are cut short and interrupted by dice $dice", sub {
            my $result = $pair->reset->attempt(fault => "short:$dice");
            is($result->{status}, 0, 'it succeeds') or diag($result->{stderr});
            is($pair->judge, 'done', 'and the result is right');
        });
    }
    return;
}

# What is tried, each of a name for PG_REWIND_TEST_KIND.
my @parts = (
    changing => [ 'a call that changes something fails', \&calls_that_change_something ],
    sync => [ 'a sync fails', \&syncs_of_files ],
    other => [ 'another call fails', \&other_calls ],
    resumed => [ 'a call of a resumed run fails', \&calls_of_a_resumed_run ],
    full => [ 'the disk stays full', \&disk_stays_full ],
    less => [ 'calls do less than asked for', \&calls_do_less ]);
my %parts = @parts;

each_version(sub {
    my ($version) = @_;
    srand($seed);
    for my $what (split ' ', $ENV{PG_REWIND_TEST_KIND} // ($points eq 'all' ? 'server directory' : 'server'))
    {
        my ($kind, $part) = split /:/, $what;
        my $pair = RewindTest::Interrupted->new($version, kind => $kind);
        my $calls = $pair->calls;
        for my $name (defined $part ? $part : grep { !ref } @parts)
        {
            my ($title, $try) = @{ $parts{$name} };
            subtest("$title, source is a $kind", sub { $try->($pair, $calls) });
        }
        $pair->discard;
    }
    note('exit statuses: ', join ', ', map { "$statuses{$_} times $_" } sort keys %statuses);
}, only => [ $ENV{PG_REWIND_TEST_VERSION} // 17 ]);
