# Hold a pg_rewind before one of its system calls, do something meanwhile, and let it go on.

package RewindTest::Held;

use strict;
use warnings;

use Exporter 'import';
use POSIX ();
use RewindTest::Background qw(run_in_background end_of_rewind);
use RewindTest::Command;

our @EXPORT = qw(hold wait_until_held go_on release end_by_kill held_before);

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
    cleanup => "$control;unlink\@*/pg_rewind.work*/*",
);

# What faults.c shall hold for such a step.
sub held_before { my ($point) = @_; return "stop:$call{$point}" }

# Start pg_rewind, and wait until it has stopped itself: before that step, or the first call of that name (create,
# write, sync ...), or where faults.c says (a number, CALL@PATTERN).
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
    my $run = { pid => $pid, errors => $errors };
    wait_until_held($run);
    return $run;
}

# Wait until a run has stopped itself.
sub wait_until_held
{
    my ($run) = @_;
    wait_until(sub { "pg_rewind holds; it has said:\n" . slurp($run->{errors}) },
        sub { waitpid($run->{pid}, POSIX::WUNTRACED() | POSIX::WNOHANG()) != 0 });
    die "pg_rewind ended before it was held:\n" . slurp($run->{errors}) if !POSIX::WIFSTOPPED(${^CHILD_ERROR_NATIVE});
    return;
}

# Let it go on, and wait for its end: a result as that of end_of_rewind.
sub go_on { my ($held) = @_; return end_of_rewind(release($held)) }

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
