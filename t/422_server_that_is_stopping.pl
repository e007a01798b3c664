# A server of the target that is just stopping, or that has just crashed, is waited for, and its pg_control is read
# behind that: managers call pg_rewind before their server is quite gone. (What a server writes at its end does not
# depend on the version, but 10 was the first to say in postmaster.pid that it is stopping: of older servers nobody
# knows, and each that runs is waited for as long as one that might be about to stop, five seconds.)
# (Rule I16.)

use strict;
use warnings;

use POSIX ();
use RewindTest;
use RewindTest::Background;
use Time::HiRes ();

# The server is about to end, and a process of its own lets it: run pg_rewind meanwhile.
sub rewinds_meanwhile
{
    my ($target, $source, $what, $begin) = @_;
    subtest($what, sub {
        my $copy = started_copy($target);
        my $postmaster = $copy->postmaster_pid;
        my $go_on = $begin->($copy);
        my $pid = fork() // die;
        if ($pid == 0)
        {
            $go_on->();
            POSIX::_exit(0);
        }
        my $result = rewind($copy, $source, not_foretold => 1);
        waitpid($pid, 0);
        is_rewound($copy, $source, $result, $postmaster);
    });
    return;
}

sub started_copy
{
    my ($target) = @_;
    my $copy = $target->copy('copy')->start;
    $copy->sql('INSERT INTO t VALUES (0)');
    return $copy;
}

sub is_rewound
{
    my ($copy, $source, $result, $postmaster) = @_;
    is($result->{status}, 0, 'pg_rewind succeeds') or diag($result->{stderr});
    wait_until('nobody asks any more how the postmaster has ended', sub { !-e "/proc/$postmaster" });
    rejoins($copy, $source, no_promotion => 1) if $result->{status} == 0;
    $copy->discard;
    return;
}

# Begin a stop that does not end, because the checkpointer is held: its process.
sub begin_stop
{
    my ($cluster, $mode) = @_;
    my $checkpointer = $cluster->checkpointer_pid;
    stop_in_system_call($checkpointer);
    kill $mode, $cluster->postmaster_pid;
    wait_until('it says that it is stopping', sub { slurp($cluster->path('postmaster.pid')) =~ /^stopping *$/m })
        if $cluster->version >= 10;
    return $checkpointer;
}

sub stop_slowly
{
    my ($cluster, $mode, $seconds) = @_;
    my $checkpointer = begin_stop($cluster, $mode);
    return sub { Time::HiRes::sleep($seconds); kill 'CONT', $checkpointer };
}

# A process of it does not notice at once that the postmaster has died.
sub crash_slowly
{
    my ($cluster, $seconds) = @_;
    my $checkpointer = $cluster->checkpointer_pid;
    stop_in_system_call($checkpointer);
    kill 'KILL', $cluster->postmaster_pid;
    return sub { Time::HiRes::sleep($seconds); kill 'CONT', $checkpointer };
}

# The postmaster is gone after a long stop, a process of it is not.
sub stop_slowly_and_crash
{
    my ($cluster, $seconds, $more) = @_;
    my $postmaster = $cluster->postmaster_pid;
    my $checkpointer = begin_stop($cluster, 'INT');
    return sub {
        Time::HiRes::sleep($seconds);
        kill 'KILL', $postmaster;
        Time::HiRes::sleep($more);
        kill 'CONT', $checkpointer;
    };
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE TABLE t AS SELECT generate_series(1, 1000) AS a') },
        target => sub { $_[0]->sql('UPDATE t SET a = a + 1') });

    rewinds_meanwhile($target, $source, "a fast stop that takes $_ s",
        do { my $s = $_; sub { stop_slowly($_[0], 'INT', $s) } }) for 0.01, 0.3, 2, $version < 10 ? () : 7;
    rewinds_meanwhile($target, $source, 'a smart stop', sub { stop_slowly($_[0], 'TERM', 0.3) });
    rewinds_meanwhile($target, $source, "a crash whose processes need $_ s",
        do { my $s = $_; sub { crash_slowly($_[0], $s) } }) for 0.01, 2;
    subtest('a stop that begins later', sub {
        my $copy = started_copy($target);
        my $postmaster = $copy->postmaster_pid;
        my $run = start_rewind($copy, $source);
        wait_until('it waits', sub { slurp($run->{errors}) =~ /waiting/ });
        stop_slowly($copy, 'INT', $version < 10 ? 2 : 5)->();
        is_rewound($copy, $source, end_of_rewind($run), $postmaster);
    });

    rewinds_meanwhile($target, $source, 'a long stop that ends with a crash',
        sub { stop_slowly_and_crash($_[0], 6, 2) }) if $version == 15;

    subtest('one that stops for too long', sub {
        my $copy = started_copy($target);
        my $checkpointer = begin_stop($copy, 'INT');
        my $result = rewind($copy, $source, options => ['--wait-timeout=2'], not_foretold => 1);
        kill 'CONT', $checkpointer;
        is($result->{status}, 1, 'it is refused');
        like($result->{stderr},
            qr/^pg_rewind: waiting for the target server \(PID \d+\) to stop\npg_rewind: error: target server must be shut down cleanly$/m,
            'it says what it waited for, and why');
        wait_until('it is down', sub { !$copy->is_running });
        $copy->discard;
    });
}, only => [ 10, 13, 15, 18 ]);
