# A pg_rewind that runs while the test does something else.

package RewindTest::Background;

use strict;
use warnings;

use Exporter 'import';
use POSIX ();
use RewindTest::Command;
use Time::HiRes ();

our @EXPORT = qw(start_rewind end_of_rewind has_ended);
our @EXPORT_OK = qw(run_in_background);

my %running;    # by process id
my $owner_pid = $$;
END { if ($$ == $owner_pid && %running) { local $?; kill 'KILL', keys %running; waitpid($_, 0) for keys %running } }

# Source: anything with a conninfo. Options: options => [ more options ], program, conninfo, env, errors (a file).
sub start_rewind
{
    my ($target, $source, %option) = @_;
    my $errors = $option{errors} // $target->dir . '/errors';
    pipe(my $end, my $held) or die "could not make a pipe: $!";
    my $pid = fork() // die "could not fork: $!";
    if ($pid == 0)
    {
        open(STDERR, '>', $errors) or POSIX::_exit(126);
        local @ENV{ keys %{ $option{env} // {} } } = values %{ $option{env} // {} };
        my @argv = rewind_argv($target->data, '--no-sync', '--source-server', $option{conninfo}
            // $source->conninfo, @{ $option{options} // [] });
        $argv[0] = $option{program} // $argv[0];
        { no warnings 'exec'; exec { $argv[0] } @argv; }
        POSIX::_exit(127);
    }
    close $held;
    readline $end;    # ends when the program runs: exec closes the other end
    return run_in_background($pid, $errors);
}

# A process that was started otherwise, with the file that has its messages.
sub run_in_background
{
    my ($pid, $errors) = @_;
    $running{$pid} = 1;
    return { pid => $pid, errors => $errors, began => Time::HiRes::time() };
}

# Has it come to its end? Does not wait.
sub has_ended
{
    my ($run) = @_;
    return 1 if exists $run->{wait_status};
    return 0 if waitpid($run->{pid}, POSIX::WNOHANG()) != $run->{pid};
    note_end($run);
    return 1;
}

sub note_end
{
    my ($run) = @_;
    $run->{wait_status} = $?;
    $run->{seconds} = Time::HiRes::time() - $run->{began};
    delete $running{ $run->{pid} };
    return;
}

# Wait for it. Returns { status, signal, stderr, seconds }; the status of one that was killed is not 0.
sub end_of_rewind
{
    my ($run) = @_;
    wait_until(sub { "pg_rewind ends; it has said:\n" . slurp($run->{errors}) }, sub { has_ended($run) });
    return {
        status => $run->{wait_status} & 127 ? 128 + ($run->{wait_status} & 127) : $run->{wait_status} >> 8,
        signal => $run->{wait_status} & 127,
        stderr => slurp($run->{errors}),
        seconds => $run->{seconds},
    };
}

1;
