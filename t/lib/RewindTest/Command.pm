# Run programs and wait for things: what the rest of the harness needs from the operating system.

package RewindTest::Command;

use strict;
use warnings;

use Exporter 'import';
use File::Temp ();
use IO::Socket::INET;
use POSIX ();
use Time::HiRes ();

our @EXPORT = qw(rewind_argv run must_run wait_until process_file stop_in_system_call slurp spew append
    program work_dir log_directory PATIENCE_SECONDS ONCE with_asan_option without_search_for_leaks);
our @EXPORT_OK = qw(free_port);

# How long anything may take before the test fails.
use constant PATIENCE_SECONDS => $ENV{PG_REWIND_TEST_PATIENCE} // 180;

# One directory for each test process; its path is short, for the sockets that lie in it.
my $work_dir;
my $owner_pid = $$;

sub work_dir
{
    $work_dir //= File::Temp::tempdir('t.XXXXX', DIR => $ENV{TMPDIR} // '/tmp');
    return $work_dir;
}

# The directory for what a test file leaves to be looked at, if there is to be one.
sub log_directory
{
    my $directory = $ENV{PG_REWIND_TEST_LOGS} // return;
    $directory .= $0 =~ m{([^/]+)\.pl$} ? "/$1" : '/other';
    mkdir $directory;
    return $directory;
}

sub END
{
    return if $$ != $owner_pid || !defined $work_dir;
    my $status = $?;
    system('rm', '-rf', $work_dir);
    $? = $status;
}

# For a test that interrupts pg_rewind and looks at what it leaves: it works in the process that was started, and is not
# run again by itself.
use constant ONCE => '--retries=0';

# The command for a rewind of a data directory. PG_REWIND_TEST_OPTIONS are for all runs, as --late-start.
sub rewind_argv
{
    my ($directory, @arguments) = @_;
    return ($ENV{PG_REWIND} // 'build/pg_rewind', '-D', $directory, (split ' ', $ENV{PG_REWIND_TEST_OPTIONS} // ''),
        @arguments);
}

# ASAN_OPTIONS with one more.
sub with_asan_option { my ($option) = @_; return join(':', grep { defined } $ENV{ASAN_OPTIONS}, $option) }

# ASAN_OPTIONS for a run in which a sanitizer cannot search for leaks: its search makes a process, which traces the
# program's threads.
sub without_search_for_leaks { return with_asan_option('detect_leaks=0') }

# Sees each command before it runs, and may return a function that sees its result: RewindTest::Beside.
our $watch;

# Run a program without a shell.  Returns { status, signal, stdout, stderr }.
# Options: stdin => text; env => { NAME => value }; until => qr/what it says/ on stderr, or a function, at which it and
# its children are killed, as they are when it takes too long.
sub run
{
    my ($argv, %option) = @_;
    my %file = map { $_ => File::Temp->new(DIR => work_dir(), TEMPLATE => "$_.XXXXX") }
        qw(stdin stdout stderr);
    spew($file{stdin}->filename, $option{stdin} // '');

    my $ended = $watch && $watch->($argv, \%option);
    my $began = Time::HiRes::time();
    my $pid = fork() // die "could not fork: $!";
    if ($pid == 0)
    {
        setpgrp(0, 0);
        open(STDIN, '<', $file{stdin}->filename) or POSIX::_exit(126);
        open(STDOUT, '>', $file{stdout}->filename) or POSIX::_exit(126);
        open(STDERR, '>', $file{stderr}->filename) or POSIX::_exit(126);
        local @ENV{ keys %{ $option{env} // {} } } = values %{ $option{env} // {} };
        { no warnings 'exec'; exec { $argv->[0] } @$argv; }
        print STDERR "could not run $argv->[0]: $!\n";
        POSIX::_exit(127);
    }

    my $until = $option{until};
    my $wait_status = wait_for_exit($pid, "@$argv", ref $until ne 'Regexp' ? $until
        : sub { slurp($file{stderr}->filename) =~ $until });
    trace($began, "@$argv" . (defined $option{stdin} ? ' <<< ' . substr($option{stdin} =~ s/\s+/ /gr, 0, 60) : ''));
    my $result = {
        status => $wait_status >> 8,
        signal => $wait_status & 127,
        stdout => slurp($file{stdout}->filename),
        stderr => slurp($file{stderr}->filename),
    };
    $ended->($result) if $ended;
    return $result;
}

sub wait_for_exit
{
    my ($pid, $what, $said_enough) = @_;
    my $status;
    my $in_time = eval {
        local $SIG{ALRM} = sub { die "alarm\n" };
        alarm PATIENCE_SECONDS;
        while ($said_enough && waitpid($pid, POSIX::WNOHANG()) == 0)
        {
            if ($said_enough->()) { kill '-KILL', $pid; undef $said_enough }
            else                  { Time::HiRes::sleep(0.03) }
        }
        waitpid($pid, 0) if !$said_enough;
        $status = $?;
        alarm 0;
        1;
    };
    return $status if $in_time;
    kill '-KILL', $pid;
    waitpid($pid, 0);
    warn "killed after @{[ PATIENCE_SECONDS ]} seconds: $what\n";
    return $?;
}

# The same, for programs that have no right to fail.  Returns standard output without its last newline.
sub must_run
{
    my ($argv, %option) = @_;
    my $result = run($argv, %option);
    die "failed ($result->{status}): @$argv\n$result->{stdout}$result->{stderr}"
        if $result->{status} != 0 || $result->{signal} != 0;
    $result->{stdout} =~ s/\n\z//;
    return $result->{stdout};
}

# Call a condition until it is true; dies with the text, or with what a function says, if that takes too long: more than
# these seconds, if they are given.
sub wait_until
{
    my ($text, $condition, $seconds) = @_;
    my $began = Time::HiRes::time();
    my $deadline = $began + ($seconds // PATIENCE_SECONDS);
    # Most conditions ask by a psql, which costs half as much time as the first pauses: what takes long is asked less
    # often.
    for (my $asked = 1; !$condition->(); $asked++)
    {
        die 'gave up waiting: ' . (ref $text ? $text->() : $text) . "\n" if Time::HiRes::time() > $deadline;
        Time::HiRes::sleep($asked < 10 ? 0.03 : 0.1);
    }
    trace($began, 'wait until ' . (ref $text ? 'a condition' : $text));
    return;
}

# A port of the loopback device that nobody uses, below those that the kernel gives to clients. Two tests at once look
# in other places.
my %given;

sub free_port
{
    for (1 .. 1000)
    {
        my $port = 20000 + int rand 12000;
        next if $given{$port}++;
        my $socket = IO::Socket::INET->new(LocalAddr => '127.0.0.1', LocalPort => $port, Proto => 'tcp', Listen => 1)
            // next;
        return $port;
    }
    die 'there is no free port';
}

# With PG_REWIND_TEST_TRACE in the environment: what took how long.
sub trace
{
    my ($began, $what) = @_;
    printf STDERR "%7.3f s  %s\n", Time::HiRes::time() - $began, $what if $ENV{PG_REWIND_TEST_TRACE};
    return;
}

# A file of /proc about a process, as "stat"; empty when the process is gone, which it may be at any moment.
sub process_file
{
    my ($pid, $name) = @_;
    return eval { slurp("/proc/$pid/$name") } // '';
}

# Stop processes of a server: one that is stopped elsewhere may hold a spinlock, and another one that waits for it
# panics. Where it cannot be seen which call it is in, any place will do.
sub stop_in_system_call
{
    my (@pids) = @_;
    for my $pid (@pids)
    {
        wait_until("process $pid is stopped in a system call", sub {
            kill 'STOP', $pid;
            wait_until("process $pid is stopped", sub { process_file($pid, 'stat') =~ /\) T / });
            return 1 if process_file($pid, 'syscall') !~ /^-1 /;
            kill 'CONT', $pid;
            return 0;
        });
    }
    return;
}

sub slurp
{
    my ($path) = @_;
    open(my $file, '<:raw', $path) or die "could not open $path: $!";
    local $/ = undef;
    return scalar(<$file>) // '';
}

sub spew
{
    my ($path, $content) = @_;
    open(my $file, '>:raw', $path) or die "could not create $path: $!";
    print {$file} $content;
    close($file) or die "could not write $path: $!";
    return;
}

sub append
{
    my ($path, $content) = @_;
    open(my $file, '>>:raw', $path) or die "could not open $path: $!";
    print {$file} $content;
    close($file) or die "could not write $path: $!";
    return;
}

# Debian's PostgreSQL 15 has the clients; psql and pgbench of 15 talk to every server version.
sub program
{
    my ($name) = @_;
    return ($ENV{PG_CLIENT_BIN} // '/usr/lib/postgresql/15/bin') . "/$name";
}

1;
