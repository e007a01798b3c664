# Hold a pg_rewind before one of its system calls, do something meanwhile, and let it go on.

package RewindTest::Held;

use strict;
use warnings;

use Exporter 'import';
use POSIX ();
use RewindTest::Background 'run_in_background';
use RewindTest::Command;

our @EXPORT = qw(hold go_on release end_by_kill held_before);

my %held;    # by process id
END { kill 'KILL', keys %held }

# Steps of a run, and the call that begins each, as tests/faults/faults.c takes it.
my $commit = 'rename@*/backup_label';
my $label = 'create@*/pg_rewind.work/backup_label';
my $control = "$label;rename\@*/global/pg_control";
my %call = (
    fork => 'sigprocmask@',                # by the parent, before it makes the first child
    pause => 'pause@',                     # by the parent, before it makes the next one
    query => 'send@;send@',                # the first, after the one by which libpq introduces itself
    link => 'link@*/postmaster.pid',       # the lock file
    commit => $commit,
    poison => 'rename@*/global/pg_control',
    apply => 'unlink@*/ballast',           # the last step before the journal is carried out
    patch => 'unlink@*/ballast;write@*',   # the first byte that is changed after all removals
    label => $label,
    control => $control,
    cleanup => "$control;unlink\@*/pg_rewind.work/*",
);

# What faults.c shall hold for such a step.
sub held_before { my ($point) = @_; return "stop:$call{$point}" }

# Start pg_rewind, and wait until it has stopped itself: before that step, or the first call of that name (create, write,
# sync ...), or where faults.c says (a number, CALL@PATTERN).
sub hold
{
    my ($target, $source, $point, @options) = @_;
    my $where = $call{$point} // ($point =~ /@|^r?\d/ ? $point : "$point\@*");
    my $errors = $target->dir . '/errors';
    my $pid = fork() // die;
    if ($pid == 0)
    {
        open(STDERR, '>', $errors);
        $ENV{LD_PRELOAD} = $ENV{PG_REWIND_FAULTS};
        $ENV{PG_REWIND_FAULT} = "stop:$where";
        my @source = (grep { /^--source-pgdata/ } @options) ? () : ('--source-server', $source->conninfo);
        { no warnings 'exec'; exec { $ENV{PG_REWIND} } rewind_argv($target->data, ONCE, @source, @options); }
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

# Let it go on, and do not wait: a run for has_ended and end_of_rewind.
sub release
{
    my ($held) = @_;
    kill 'CONT', $held->{pid};
    delete $held{ $held->{pid} };
    return run_in_background($held->{pid}, $held->{errors});
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
