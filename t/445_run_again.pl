# The work is done in a child process, which is run again when it was killed or left the rewind unfinished: the same
# command again, without anybody who gives it. Signals reach it, and it does not outlive its parent before the commit.
# (Invariants 1 to 3. The same on all versions.)
# (Rules D4, I32, I33, I36, I37, I38, I39, I41.)

use strict;
use warnings;

use Fcntl ':flock';
use POSIX ();
use RewindTest;
use RewindTest::Background qw(end_of_rewind has_ended run_in_background);
use RewindTest::Held;
use RewindTest::Tree;

my ($source, $target, $before);
our $own_group;

# The search for leaks makes a process, which would be taken for the child that does the work.
local $ENV{ASAN_OPTIONS} = without_search_for_leaks();

# A failed test leaves none behind: nothing but SIGKILL reaches a held process.
my @held;
END { process_file($_, 'stat') =~ /\) T / && kill 'KILL', $_ for @held }

sub with_copy
{
    my ($test) = @_;
    my $copy = $target->copy('copy');
    $test->($copy);
    $copy->discard;
    return;
}

# Start pg_rewind; its child is held before this step each time. In a process group of its own only where that is the
# point: the kernel sends SIGHUP to a held process in a group that has lost its last parent.
sub begin
{
    my ($copy, $point, @options) = @_;
    my $errors = $copy->dir . '/errors';
    my $pid = fork() // die;
    if ($pid == 0)
    {
        setpgrp(0, 0) if $own_group;
        open(STDERR, '>', $errors) or POSIX::_exit(126);
        @ENV{qw(LD_PRELOAD PG_REWIND_FAULT)} = ($ENV{PG_REWIND_FAULTS}, held_before($point));
        { no warnings 'exec'; exec { $ENV{PG_REWIND} } rewind_argv($copy->data, '--source-server', $source->conninfo,
            @options); }
        POSIX::_exit(127);
    }
    return run_in_background($pid, $errors);
}

sub child_of { my ($run) = @_; return process_file($run->{pid}, "task/$run->{pid}/children") =~ /^(\d+)/ ? $1 : undef }

# Wait until the child is held, another one than before: its number.
sub held_child
{
    my ($run) = @_;
    my $child;
    my $before = $run->{child} // 0;
    my $said = sub {
        my ($state) = process_file($child // 0, 'status') =~ /^State:\s*(.*)$/m;
        return "child @{[ $child // 'none' ]} after $before is held ("
            . ($state // 'gone') . "); it has said:\n" . slurp($run->{errors});
    };
    wait_until($said, sub {
        die "the program has ended:\n" . slurp($run->{errors}) if has_ended($run);
        $child = child_of($run);
        return $child && $child != $before && process_file($child, 'stat') =~ /\) T /;
    });
    push @held, $child;
    return $run->{child} = $child;
}

# A child that should not have been made is held, too: it goes on, or this would wait for ever.
sub end
{
    my ($run) = @_;
    wait_until('the program ends', sub { has_ended($run) || kill('CONT', child_of($run) // ()) && 0 });
    return end_of_rewind($run);
}

sub child_is_killed
{
    for my $point (qw(link patch label))
    {
        with_copy(sub {
            my ($copy) = @_;
            my $run = begin($copy, $point);
            kill 'KILL', held_child($run);
            kill 'CONT', held_child($run);
            my $result = end($run);
            is($result->{status}, 0, "killed at '$point': exit status 0") or diag($result->{stderr});
            like($result->{stderr},
                qr/^pg_rewind: warning: the process that did the work was terminated by signal 9: Killed; it is run again$/m,
                'it says so');
            nothing_is_left($copy);
            rejoins($copy, $source, no_promotion => 1) if $point eq 'patch';
        });
    }
    return;
}

sub child_is_killed_each_time
{
    with_copy(sub {
        my ($copy) = @_;
        my $run = begin($copy, 'link', '--retries=1');
        kill 'KILL', held_child($run) for 0 .. 1;
        my $result = end($run);
        is($result->{status}, 2, 'killed more often than it is run again: exit status 2');
        like($result->{stderr},
            qr/^pg_rewind: error: the process that did the work was terminated by signal 9: Killed$/m, 'it says why');
        like($result->{stderr}, qr/^pg_rewind: hint: Run the same command again/m, 'and what to do');
        is($copy->try_start->{status}, 0, 'here it was before the commit: the old server starts');
    });
    return;
}

# From now on this process gets no more memory.
sub take_memory
{
    my ($pid) = @_;
    process_file($pid, 'status') =~ /^VmSize:\s*(\d+) kB$/m or die;
    must_run([ 'prlimit', "--pid=$pid", '--as=' . $1 * 1024 ]);
    return;
}

# The status says whether the target is changed, whatever the program ends by. (A sanitizer's library has memory of its
# own, and so has an emulator, for whose program the library of faults lies in $LIB.)
sub memory_runs_out
{
    return if $ENV{PG_REWIND_FAULTS} =~ /lib[at]san|[\$]LIB/;
    # What a task of the apply needs (1 MB) is always asked of the kernel: the C library may hold as much that was freed
    # before. A thread's own arena reserves 64 MB of address space at once, in which there would be room for everything;
    # a heap in huge pages reserves two, and then the stack is what cannot grow.
    delete local $ENV{GLIBC_TUNABLES};
    local $ENV{MALLOC_MMAP_THRESHOLD_} = 64 * 1024;
    local $ENV{MALLOC_ARENA_MAX} = 1;
    my %case = (
        'before the commit' => [ 'link', 3, 1, 1 ],
        'after the commit' => [ 'apply', 3, 1, 0 ],
        'after the commit, as often as it is run' => [ 'apply', 1, 2, 2 ],
    );
    for my $case (sort keys %case)
    {
        my ($point, $retries, $times, $status) = @{ $case{$case} };
        with_copy(sub {
            my ($copy) = @_;
            my $run = begin($copy, $point, "--retries=$retries");
            for (1 .. $times)
            {
                my $child = held_child($run);
                take_memory($child);
                kill 'CONT', $child;
            }
            kill 'CONT', held_child($run) if $status == 0;
            my $result = end($run);
            is($result->{status}, $status, "memory runs out $case: exit status $status") or diag($result->{stderr});
            is(() = $result->{stderr} =~ /^pg_rewind: error: out of memory$/mg, $times, 'it says why');
            is(() = $result->{stderr} =~ /^pg_rewind: the rewind is run again$/mg, $status == 1 ? 0
                : 1, 'and is run again where it must be finished');
            like($result->{stderr},
                qr/^pg_rewind: error: out of memory\npg_rewind: hint: Run the same command again: .*\n\z/m,
                'what to do is said last') if $status == 2;
            ok(!-e $copy->data . '/postmaster.pid', 'no lock file is left') if $status == 1;
            is($copy->try_start->{status}, 0, 'the old server starts') if $status == 1;
            rewinds($copy, $source) if $status == 2;
        });
    }
    # The next child has none from its start: it does not get as far as to look at what the one before has left.
    with_copy(sub {
        my ($copy) = @_;
        my $run = begin($copy, 'apply', '--retries=1');
        my $child = held_child($run);
        my ($stack) = process_file($run->{pid}, 'status') =~ /^VmStk:\s*(\d+) kB$/m;
        cmp_ok($stack, '>=', 512, 'the stack need not grow when memory has run out');
        take_memory($run->{pid});
        kill 'KILL', $child;
        my $result = end($run);
        is($result->{status}, 2, 'memory runs out before the next child has looked: exit status 2');
        like($result->{stderr},
            qr/; it is run again\npg_rewind: error: out of memory\npg_rewind: hint: Run the same command again: .*\n\z/,
            'what to do is said last');
        rewinds($copy, $source);
    });
    with_copy(sub {
        my ($copy) = @_;
        my $held = hold($copy, $source, 'apply');
        take_memory($held->{pid});
        my $result = go_on($held);
        is($result->{status}, 2, 'memory runs out after the commit, in one process: exit status 2');
        like(rewinds($copy, $source)->{stderr}, qr/the interrupted rewind is finished/, 'the same command finishes it');
    });
    return;
}

# Without having looked at the target the next child does not say that it is unchanged.
sub report_cannot_be_written
{
    with_copy(sub {
        my ($copy) = @_;
        my $directory = $copy->dir . '/reports';
        mkdir $directory or die;
        my $run = begin($copy, 'apply', '--report=json', "--report-file=$directory/report", '--retries=1');
        my $child = held_child($run);
        rename $directory, "$directory.moved" or die;
        kill 'KILL', $child;
        my $result = end($run);
        is($result->{status}, 2, 'no report can be made when a rewind is to be finished: exit status 2');
        like($result->{stderr},
            qr/^pg_rewind: error: could not create report file .*\npg_rewind: hint: Run the same command again: .*\n\z/m,
            'what to do is said last');
        rewinds($copy, $source);
    });
    return;
}

# The directory may be the same one, and half rewound.
sub directory_cannot_be_looked_at
{
    with_copy(sub {
        my ($copy) = @_;
        my $run = begin($copy, 'apply', '--retries=1');
        my $child = held_child($run);
        chmod 0, $copy->dir or die;
        kill 'KILL', $child;
        wait_until('the program ends', sub { has_ended($run) });
        chmod 0700, $copy->dir or die;
        is(end($run)->{status}, 2, 'the directory cannot be looked at when a rewind is to be finished: exit status 2');
        rewinds($copy, $source);
    });
    return;
}

# By a manager that has taken the kill for the end, such as a base backup.
sub directory_is_replaced
{
    with_copy(sub {
        my ($copy) = @_;
        my $other = $target->copy('other');
        my $run = begin($copy, 'apply');
        my $child = held_child($run);
        rename($copy->data, $copy->dir . '/former') or die;
        rename($other->data, $copy->data) or die;
        kill 'KILL', $child;
        my $result = end($run);
        is($result->{status}, 1, 'another directory lies in the place of the target: exit status 1');
        like($result->{stderr}, qr/^pg_rewind: error: directory ".*" was replaced by another one$/m, 'it says why');
        is_same_tree(tree($copy), $before, 'and does nothing with it');
        $other->discard;
    });
    return;
}

sub work_is_left_unfinished
{
    with_copy(sub {
        my ($copy) = @_;
        my $directory = $copy->path('base/'
            . $source->query(q{SELECT oid FROM pg_database WHERE datname = 'postgres'}));
        my $report = $copy->dir . '/report';
        my $run = begin($copy, 'apply', '--compare', '--report=json', "--report-file=$report");
        my $child = held_child($run);
        chmod 0500, $directory or die;
        kill 'CONT', $child;
        wait_until('it is said', sub { slurp($run->{errors}) =~ /^pg_rewind: the rewind is run again$/m });
        chmod 0700, $directory or die;
        kill 'CONT', held_child($run);
        my $result = end($run);
        is($result->{status}, 0, 'a directory that cannot be written for a while: exit status 0')
            or diag($result->{stderr});
        like(slurp($report), qr/\A\{[^{}]*"exit_status": 0,/, 'and one report');
        my @discarded = $result->{stderr} =~ /^pg_rewind: the rewind discards (\d+)/mg;
        ok(@discarded == 1 && $discarded[0] > 0, 'what it discards is said once') or diag($result->{stderr});
        like(slurp($report), qr/^  "discarded": null,$/m, 'and is not called nothing afterwards');
        nothing_is_left($copy);
    });
    return;
}

# Is one pending in the held child? Signals of one number become one then.
sub is_pending
{
    my ($child, $number) = @_;
    return process_file($child, 'status') =~ /^ShdPnd:\s*([0-9a-f]+)$/m && hex($1) >> $number - 1 & 1;
}

# Two numbers stand for one signal to the group that the parent hands on after the child had its own.
sub signals_reach_the_child
{
    my %case = (
        'SIGTERM to the process' => sub { my ($run) = @_; kill 'TERM', $run->{pid} },
        'SIGTERM to the process group' => sub { my ($run) = @_; kill 'TERM', -$run->{pid} },
        'a signal to the child and one to the process' => sub { my ($run) = @_; kill 'INT', $run->{child}; kill 'TERM',
        $run->{pid} },
    );
    for my $case (sort keys %case)
    {
        with_copy(sub {
            my ($copy) = @_;
            local $own_group = $case =~ /group/;
            my $run = begin($copy, 'query');
            my $child = held_child($run);
            $case{$case}->($run);
            wait_until('it is handed on', sub { is_pending($child, POSIX::SIGTERM) });
            kill 'CONT', $child;
            my $result = end($run);
            is($result->{status}, 1, "$case: exit status 1");
            like($result->{stderr}, $case =~ /child/ ? qr/terminated by signal (2|15)$/m
                : qr/terminated by signal 15$/m, 'it says why');
            unlike($result->{stderr}, qr/again/, 'and is not run again');
            is_same_tree(tree($copy), $before, 'nothing is left');
        });
    }
    return;
}

# A signal that finds no child: none was made yet, or the next one is not made yet.
sub signal_before_the_first_child
{
    with_copy(sub {
        my ($copy) = @_;
        my $run = begin($copy, 'fork');
        wait_until_held($run);
        kill $_, $run->{pid} for qw(TERM CONT);
        my $result = end($run);
        is($result->{status}, 1, 'SIGTERM before the first child is made: exit status 1');
        like($result->{stderr}, qr/terminated by signal 15$/m, 'it says why');
        like($result->{stderr}, qr/^pg_rewind: hint: The target is unchanged\./m, 'and what state the target is in');
        is_same_tree(tree($copy), $before, 'nothing is left');
    });
    return;
}

sub signal_in_the_pause
{
    with_copy(sub {
        my ($copy) = @_;
        # The first child waits for this lock until it is killed.
        open(my $lock, '<', $copy->data) or die;
        flock($lock, LOCK_EX | LOCK_NB) or die 'the directory is locked';
        my $run = begin($copy, 'pause');
        wait_until('the child waits', sub { -e $run->{errors}
            && slurp($run->{errors}) =~ /^pg_rewind: waiting for another pg_rewind /m });
        kill 'KILL', child_of($run);
        wait_until_held($run);
        close $lock;
        kill $_, $run->{pid} for qw(TERM CONT);
        my $result = end($run);
        is($result->{status}, 2, 'SIGTERM in the pause before the next child: exit status 2');
        like($result->{stderr},
            qr/; it is run again\npg_rewind: error: terminated by signal 15\npg_rewind: hint: Run the same command again: /,
            'it says why, and nothing is done again');
        is_same_tree(tree($copy), $before, 'the target is as the first child left it');
    });
    return;
}

# The kernel's signal to a child whose parent has died never counts as the second one, which ends the child at once.
sub parent_is_killed
{
    my %case = ('the parent is killed' => undef, 'the parent gets SIGINT and is killed' => 'INT');
    for my $case (sort keys %case)
    {
        my $first = $case{$case};
        with_copy(sub {
            my ($copy) = @_;
            my $run = begin($copy, 'link');
            my $child = held_child($run);
            kill $first, $run->{pid} if $first;
            wait_until('it is handed on', sub { !$first || is_pending($child, POSIX::SIGINT) });
            kill 'KILL', $run->{pid};
            end($run);
            kill 'CONT', $child;
            wait_until('the child has ended', sub { !kill(0, $child) });
            is_same_tree(tree($copy), $before,
                "$case before the commit: the child leaves the target as it was");
        });
    }
    with_copy(sub {
        my ($copy) = @_;
        my $run = begin($copy, 'apply');
        my $child = held_child($run);
        kill 'KILL', $run->{pid};
        end($run);
        kill 'CONT', $child;
        wait_until('the child has ended', sub { !kill(0, $child) });
        nothing_is_left($copy);
        rejoins($copy, $source, no_promotion => 1);
    });
    return;
}

each_version(sub {
    my ($version) = @_;
    ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql("CREATE TABLE t AS SELECT i, 'common' AS v FROM generate_series(1, 5000) i") },
        source => sub { $_[0]->sql("UPDATE t SET v = 'source'; CREATE TABLE s AS SELECT 1 AS a") },
        target => sub { $_[0]->sql("UPDATE t SET v = 'target'; CREATE TABLE u AS SELECT 1 AS a") });
    $before = tree($target);
    child_is_killed();
    child_is_killed_each_time();
    memory_runs_out();
    report_cannot_be_written();
    directory_cannot_be_looked_at();
    directory_is_replaced();
    work_is_left_unfinished();
    signals_reach_the_child();
    signal_before_the_first_child();
    signal_in_the_pause();
    parent_is_killed();
}, only => [ 10, 15, 18 ]);
