# Where no process can be made (pids.max of a container, RLIMIT_NPROC) the work is done in the one that was started. A
# signal that asks for a stop ends it before the commit as ever. (Invariant 1. Nothing here depends on the server's
# version.)
# (Rule I34.)

use strict;
use warnings;

use POSIX ();
use lib 't/lib';
use RewindTest;
use RewindTest::Background qw(end_of_rewind has_ended run_in_background);
use RewindTest::Held;
use RewindTest::Tree;

# Start a rewind that is held before this step, and that can make no process.
sub begin
{
    my ($copy, $source, $point) = @_;
    my $errors = $copy->dir . '/errors';
    my $pid = fork() // die;
    if ($pid == 0)
    {
        open(STDERR, '>', $errors) or POSIX::_exit(126);
        # Each of the commands runs the next one in its place.
        my @command = ('prlimit', '--nproc=0:0', 'env', "LD_PRELOAD=$ENV{PG_REWIND_FAULTS}", 'PG_REWIND_FAULT='
            . held_before($point),
            'ASAN_OPTIONS=' . without_search_for_leaks());
        { no warnings 'exec'; exec @command, rewind_argv($copy->data, '--source-server', $source->conninfo); }
        POSIX::_exit(127);
    }
    my $run = { pid => $pid, errors => $errors };
    wait_until_held($run);
    return $run;
}

# Let it go on, and wait for its end.
sub go_on_without_processes
{
    my ($run) = @_;
    kill 'CONT', $run->{pid};
    my $background = run_in_background($run->{pid}, $run->{errors});
    wait_until('the program ends', sub { has_ended($background) });
    return end_of_rewind($background);
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql("CREATE TABLE t AS SELECT i, 'common' AS v FROM generate_series(1, 5000) i") },
        source => sub { $_[0]->sql("UPDATE t SET v = 'source'; CREATE TABLE s AS SELECT 1 AS a") },
        target => sub { $_[0]->sql("UPDATE t SET v = 'target'; CREATE TABLE u AS SELECT 1 AS a") });
    my $before = tree($target);
    for my $signal (qw(TERM INT))
    {
        for my $point ('fork', 'query', 'link')
        {
            my $copy = $target->copy('copy');
            my $run = begin($copy, $source, $point);
            kill $signal, $run->{pid};
            my $result = go_on_without_processes($run);
            is($result->{status}, 1, "SIG$signal before '$point', in the only process: exit status 1")
                or diag($result->{stderr});
            like($result->{stderr}, qr/terminated by signal (?:2|15)$/m, 'it says why');
            like($result->{stderr}, qr/^pg_rewind: hint: The target is unchanged/m, 'and what state the target is in');
            is_same_tree(tree($copy), $before, 'nothing is left');
            $copy->discard;
        }
    }
    my $copy = $target->copy('copy');
    my $run = begin($copy, $source, 'apply');
    kill 'TERM', $run->{pid};
    my $result = go_on_without_processes($run);
    is($result->{status}, 0, 'SIGTERM after the commit: exit status 0');
    like($result->{stderr}, qr/warning: signal 15 came too late/, 'a warning says so');
    nothing_is_left($copy);
    rejoins($copy, $source, no_promotion => 1);
}, only => [15]);
