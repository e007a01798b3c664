# Hold a pg_rewind at a fault point, do something meanwhile, and let it go on.

package RewindTest::Held;

use strict;
use warnings;

use Exporter 'import';
use POSIX ();
use RewindTest::Command;

our @EXPORT = qw(hold go_on end_by_kill);

my %held;    # by process id
END { kill 'KILL', keys %held }

# Start pg_rewind, and wait until it has stopped itself at the first fault point of that name.
sub hold
{
    my ($target, $source, $point) = @_;
    my $errors = $target->dir . '/errors';
    my $pid = fork() // die;
    if ($pid == 0)
    {
        open(STDERR, '>', $errors);
        $ENV{PG_REWIND_FAULT} = "stop\@$point";
        { no warnings 'exec'; exec $ENV{PG_REWIND_WITH_FAULTS}, '-D', $target->data, '--source-server', $source->conninfo; }
        POSIX::_exit(127);
    }
    $held{$pid} = 1;
    my $stopped = waitpid($pid, POSIX::WUNTRACED());
    die "pg_rewind ended before it was held:\n" . slurp($errors) if $stopped != $pid || !POSIX::WIFSTOPPED(${^CHILD_ERROR_NATIVE});
    return { pid => $pid, errors => $errors };
}

sub go_on
{
    my ($held) = @_;
    kill 'CONT', $held->{pid};
    waitpid($held->{pid}, 0);
    my $status = $? >> 8;
    delete $held{ $held->{pid} };
    return { status => $status, stderr => slurp($held->{errors}) };
}

sub end_by_kill
{
    my ($held) = @_;
    kill 'KILL', $held->{pid};
    waitpid($held->{pid}, 0);
    delete $held{ $held->{pid} };
    return;
}

1;
