# A signal that asks pg_rewind to stop ends it at once, and nothing of it is left; after the commit it finishes, and
# says so. Nobody who reads its messages, or does not, disturbs it. (Invariants 1 to 3. Nothing here depends on the
# server's version.)
#
#   SIGINT, SIGTERM, SIGHUP    before the commit                 after it
#   once                       status 1, the target untouched    finished, a warning
#   several times              dead                              finished
#   SIGSTOP, then SIGKILL      the target untouched              the same command finishes it
#
#   stdin, stdout, stderr closed, full, without a reader: rewound as ever; no message gets into a file of the target
# (Rules I30, I32.)

use strict;
use warnings;
use lib 't/lib';
use Fcntl qw(F_GETFL F_SETFL O_NONBLOCK);
use POSIX ();
use Time::HiRes ();
use RewindTest;
use RewindTest::Dice;
use RewindTest::Held;
use RewindTest::Tree;

my $random_signals = 24;
my %number = (INT => 2, TERM => 15, HUP => 1);

# The parts of the test share these.
my ($source, $target, $before, $after);

# A copy of the target for one run.
sub with_copy
{
    my ($test) = @_;
    my $copy = $target->copy('copy');
    $test->($copy);
    $copy->discard;
    return;
}

# Start pg_rewind with a directory as source and these options, given to prepare in the child: a process id.
sub begin
{
    my ($copy, $prepare, @options) = @_;
    my $pid = fork() // die;
    return $pid if $pid;
    $prepare->();
    { no warnings 'exec'; exec { $ENV{PG_REWIND} } rewind_argv($copy->data, '--source-pgdata', $source->data, @options);
        }
    POSIX::_exit(127);
}

# Wait for it: a result as that of run.
sub end
{
    my ($pid) = @_;
    local $SIG{ALRM} = sub { kill 'KILL', $pid };
    alarm PATIENCE_SECONDS;
    waitpid($pid, 0);
    alarm 0;
    return { status => $? >> 8, signal => $? & 127 };
}

sub stops_before_commit
{
    for my $point (qw(query create link sync rename))
    {
        my $signal = (sort keys %number)[ length($point) % 3 ];
        with_copy(sub {
            my ($copy) = @_;
            my $held = hold($copy, $source, $point);
            kill $signal, $held->{pid};
            my $result = go_on($held);
            is($result->{status}, 1, "SIG$signal at the first '$point': exit status 1");
            like($result->{stderr}, qr/terminated by signal $number{$signal}$/m, 'it says why');
            like($result->{stderr}, qr/The target is unchanged/, 'and what state the target is in');
            is_same_tree(tree($copy), $before, 'which is so: nothing is left');
        });
    }
    return;
}

sub finishes_after_commit
{
    for my $point (qw(poison apply control))
    {
        with_copy(sub {
            my ($copy) = @_;
            my $held = hold($copy, $source, $point);
            kill $_, $held->{pid} for qw(INT HUP TERM TERM INT HUP);
            my $result = go_on($held);
            is($result->{status}, 0, "many signals at '$point': exit status 0");
            like($result->{stderr},
                qr/warning: signal \d+ came too late: the rewind is committed and is being finished/, 'it says so');
            like($result->{stderr}, qr/^pg_rewind: Done!$/m, 'and that it is done');
            nothing_is_left($copy);
            rejoins($copy, $source, no_promotion => 1) if $point eq 'apply';
        });
    }
    return;
}

# What Patroni does.
sub is_stopped_and_killed
{
    with_copy(sub {
        my ($copy) = @_;
        for my $point (qw(write link))
        {
            my $held = hold($copy, $source, $point);
            kill 'STOP', $held->{pid};
            end_by_kill($held);
        }
        is($copy->try_start->{status}, 0, 'killed while it was stopped before the commit: the old server starts');
        $copy->stop;
        for my $point (qw(apply control cleanup))
        {
            my $held = hold($copy, $source, $point);
            kill 'STOP', $held->{pid};
            end_by_kill($held);
        }
        my $again = rewinds($copy, $source);
        like($again->{stderr}, qr/the interrupted rewind is finished/, 'killed after the commit: it is finished');
        nothing_is_left($copy);
        rejoins($copy, $source, no_promotion => 1);
    });
    return;
}

# A signal while an interrupted rewind is finished: that is done, and no new one begun.
sub stops_when_finished
{
    with_copy(sub {
        my ($copy) = @_;
        end_by_kill(hold($copy, $source, 'apply'));
        my $held = hold($copy, $source, 'label');
        kill 'TERM', $held->{pid};
        my $result = go_on($held);
        is($result->{status}, 1, 'told to stop while it finishes an interrupted rewind: exit status 1');
        like($result->{stderr},
            qr/hint: The interrupted rewind is finished\. The target has not been changed since then\./,
            'it says what it has done');
        nothing_is_left($copy);
        rejoins($copy, $source, no_promotion => 1);
    });
    return;
}

sub needs_no_descriptors
{
    my %prepare = (
        'stderr closed' => sub { POSIX::close(2) },
        'stdin, stdout and stderr closed' => sub { POSIX::close($_) for 0 .. 2 },
        'stdin closed' => sub { POSIX::close(0) },
        'a full device' => sub { open(STDERR, '>', '/dev/full') or die },
        'a pipe without a reader' => sub { pipe(my $reader, my $writer); close $reader;
        POSIX::dup2(fileno $writer, 2) },
    );
    for my $name (sort keys %prepare)
    {
        with_copy(sub {
            my ($copy) = @_;
            my $result = end(begin($copy, $prepare{$name}, '--debug', '--progress'));
            is("$result->{status} $result->{signal}", '0 0', "$name: pg_rewind succeeds");
            is_same_tree(rewound_tree($copy), $after, "$name: and nothing is different");
        });
    }

    my $result = end(begin($target, sub { POSIX::close(1) }, '--dry-run', '--report=json'));
    is($result->{status}, 0, 'a report for a closed stdout hurts nobody');
    return;
}

# Nothing that is opened gets the number of a stream that was closed, and messages with it: all three lead nowhere.
sub closed_streams_lead_nowhere
{
    with_copy(sub {
        my ($copy) = @_;
        my $wrapper = $copy->dir . '/pg_rewind';
        spew($wrapper, qq{#!/bin/sh\nLD_PRELOAD='$ENV{PG_REWIND_FAULTS}' exec "$ENV{PG_REWIND}" "\$@" <&- >&- 2>&-\n});
        chmod 0700, $wrapper;
        local $ENV{PG_REWIND} = $wrapper;
        my $held = hold($copy, $source, 'apply');
        is(join(' ', map { readlink("/proc/$held->{pid}/fd/$_") // 'closed' } 0 .. 2), '/dev/null /dev/null /dev/null',
            'streams that are closed lead to /dev/null');
        is(go_on($held)->{status}, 0, 'pg_rewind succeeds');
    });
    return;
}

# A pipe that is full and that nobody reads.
sub waits_for_no_reader
{
    with_copy(sub {
        my ($copy) = @_;
        pipe(my $reader, my $writer) or die;
        my $flags = fcntl($writer, F_GETFL, 0);
        fcntl($writer, F_SETFL, $flags | O_NONBLOCK);
        1 while syswrite($writer, '.' x 4096);
        fcntl($writer, F_SETFL, $flags);

        my $pid = begin($copy, sub { POSIX::dup2(fileno $writer, 2) }, ONCE, '--debug');
        wait_until('pg_rewind has opened the target',
            sub { grep { (readlink // '') eq $copy->data } glob("/proc/$pid/fd/*") });
        Time::HiRes::sleep(0.2);    # by then it waits for the reader; sooner is no fault
        kill 'TERM', $pid;
        is(end($pid)->{status}, 1, 'a pipe that nobody reads: a signal ends pg_rewind');
        is_same_tree(tree($copy), $before, 'nothing is left');
    });
    return;
}

sub stops_at_any_time
{
    my $dice = RewindTest::Dice->new(test_seed());
    my $began = Time::HiRes::time();
    with_copy(sub { is(end(begin($_[0], sub { open(STDERR, '>', '/dev/null') }))->{status}, 0, 'undisturbed') });
    my $duration = Time::HiRes::time() - $began;
    my %count;

    for (1 .. $random_signals)
    {
        my $signal = $dice->pick(sort keys %number);
        my $delay = $duration * $dice->number(1000) / 1000;
        with_copy(sub {
            my ($copy) = @_;
            my $pid = begin($copy, sub { open(STDERR, '>', '/dev/null') }, '--jobs', 2);
            Time::HiRes::sleep($delay);
            kill $signal, $pid;
            my $result = end($pid);
            my $how = $result->{signal} ? 'died at once' : "status $result->{status}";
            $count{$how}++;
            is_same_tree(rewound_tree($copy), $after, 'it was finished'), return if $how eq 'status 0';
            like($how, qr/^(?:died at once|status 1)$/, "SIG$signal after $delay seconds stops it");
            is_same_tree(tree($copy), $before, 'nothing is left');
        });
    }
    note join ', ', map { "$_: $count{$_}" } sort keys %count;
    return;
}

each_version(sub {
    my ($version) = @_;
    ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql("CREATE TABLE t AS SELECT i, 'common' AS v FROM generate_series(1, 20000) i") },
        source => sub { $_[0]->sql("UPDATE t SET v = 'source'; CREATE TABLE s AS SELECT 1 AS a") },
        target => sub { $_[0]->sql("UPDATE t SET v = 'target'; CREATE TABLE u AS SELECT 1 AS a") });
    $before = tree($target);
    subtest('before the commit', \&stops_before_commit);
    subtest('after the commit', \&finishes_after_commit);
    subtest('stopped, and killed', \&is_stopped_and_killed);
    subtest('while an interrupted rewind is finished', \&stops_when_finished);
    subtest('closed streams', \&closed_streams_lead_nowhere);

    $source->stop;
    with_copy(sub {
        my ($copy) = @_;
        rewinds($copy, $source, kind => 'directory');
        $after = rewound_tree($copy);
    });
    subtest('standard streams', \&needs_no_descriptors);
    subtest('a pipe that nobody reads', \&waits_for_no_reader);
    subtest('signals at any time', \&stops_at_any_time);
}, only => [15]);
