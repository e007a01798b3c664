# Status 1 says that the target is as it was. Whether it is, the disk shows: a command that fails before it has looked
# at a target that an earlier one has left half rewound ends with status 2. (Invariant 3. The same on all versions.)
#
#   target   ── rewind: committed ──✕── the same command, which fails early: status 2 ── rewind ──▶       ✕ killed
# (Rules I37, I41, I42, I43, I44.)

use strict;
use warnings;

use Fcntl ':flock';
use POSIX ();
use lib 't/lib';
use RewindTest;
use RewindTest::Background qw(end_of_rewind has_ended run_in_background);
use RewindTest::Held;
use RewindTest::Privileged;
use RewindTest::Tree;

my ($source, $target);

# Of commands that fail in several ways, on a target and what is known of it.
sub ends_with
{
    my ($status, $copy, $what) = @_;
    my $elsewhere = $copy->dir . '/not there/report';
    my %option = (
        'its report cannot be made' => [ '--report=json', "--report-file=$elsewhere" ],
        'its report would be in the data directory' => [ '--report=json', '--report-file=' . $copy->path('report') ],
        'the same, in a dry run' => [ '--dry-run', '--report=json', "--report-file=$elsewhere" ],
        'the same, in one process' => [ ONCE, '--report=json', "--report-file=$elsewhere" ],
        '--rejoin, of a server that no command starts' => [ '--rejoin', '--bindir=' . $copy->dir ],
    );
    for my $case (sort keys %option)
    {
        my $result = rewind($copy, $source, options => [ @{ $option{$case} }, '--retries=0' ], not_foretold => 1);
        is($result->{status}, $status, "$what: $case: exit status $status") or diag($result->{stderr});
        like($result->{stderr},
            qr/^pg_rewind: hint: (?:Run the same command again: it finishes|The rewind has begun and must be finished|Another run is using the target)/m,
            'it says what to do') if $status == 2;
        unlike($result->{stderr}, qr/is unchanged/, 'and not that the target is unchanged') if $status == 2;
    }
    return;
}

sub fails_early
{
    my $copy = $target->copy('copy');
    my $before = tree($copy);
    ends_with(1, $copy, 'a target that is as it was');
    is_same_tree(tree($copy), $before, 'it still is');
    open(my $lock, '<', $copy->data) or die;
    flock($lock, LOCK_EX | LOCK_NB) or die 'the directory is locked';
    ends_with(2, $copy, 'another pg_rewind works there');
    close $lock;
    is_same_tree(tree($copy), $before, 'it is as it was');
    for my $point (qw(commit poison apply label control cleanup))
    {
        end_by_kill(hold($copy, $source, $point));
        $before = tree($copy);
        ends_with($point eq 'commit' ? 1 : 2, $copy, "killed at '$point'");
        is_same_tree(tree($copy), $before, 'nothing was changed');
        next unless $point eq 'apply';
        # pg_control shows the rewind where the journal cannot be read, as after a chmod or by another user.
        chmod 0, $copy->path('pg_rewind.work') or die;
        ends_with(2, $copy, 'only the work directory cannot be entered');
        chmod 0700, $copy->path('pg_rewind.work') or die;
    }
    # What the same command could not finish is no promise of status 2; of a target that was not looked at nothing is
    # said.
    my $result = run([ rewind_argv($copy->data, '--source-server', $source->conninfo, '--no-such-option') ]);
    is($result->{status}, 1, 'a wrong command line: exit status 1');
    unlike($result->{stderr}, qr/target/, 'and no word of the target');
    rewinds($copy, $source);
    nothing_is_left($copy);
    $copy->discard;
    return;
}

# Where no rewind is needed nothing is committed, but -R writes two files, or one up to 11.
sub sets_up_a_standby
{
    my ($version) = @_;
    my $copy = $target->copy('copy');
    rewinds($copy, $source);
    my $before = tree($copy);
    my $result = rewind($copy, $source, options => ['-R'], fault => $version < 12 ? 'fail:rename@*/recovery.conf:EIO'
        : 'fail:rename@*/postgresql.auto.conf:EIO');
    is($result->{status}, 1, 'no rewind is needed, and the first file for -R cannot be written: exit status 1');
    is_same_tree(tree($copy), $before, 'the target is as it was');
    if ($version >= 12)
    {
        $result = rewind($copy, $source, options => ['-R'], fault => 'fail:rename@*/standby.signal:EIO');
        is($result->{status}, 2, 'the second file for -R cannot be written: exit status 2');
        like($result->{stderr},
            qr/^pg_rewind: hint: The target needed no rewind, but it is set up only in part: run the same pg_rewind command again before its server starts\.$/m,
            'it says what to do');
        unlike($result->{stderr}, qr/is unchanged/, 'and not that the target is unchanged');
    }
    rewinds($copy, $source, options => ['-R']);
    nothing_is_left($copy);
    $copy->discard;
    return;
}

# Start a rewind whose first child is held after the commit.
sub begin
{
    my ($copy, @options) = @_;
    my ($errors, $once) = map { work_dir() . "/$_" } qw(errors once);
    spew($once, '');
    my $pid = fork() // die;
    if ($pid == 0)
    {
        open(STDERR, '>', $errors) or POSIX::_exit(126);
        @ENV{qw(LD_PRELOAD PG_REWIND_FAULT
            PG_REWIND_FAULT_ONCE)} = ($ENV{PG_REWIND_FAULTS}, held_before('apply'), $once);
        { no warnings 'exec'; exec { $ENV{PG_REWIND} } rewind_argv($copy->data, '--source-server', $source->conninfo,
            @options); }
        POSIX::_exit(127);
    }
    return run_in_background($pid, $errors);
}

# Do something while that child is held, then kill it.
sub kill_held_child
{
    my ($run, $meanwhile) = @_;
    my $child;
    wait_until('the child is held', sub {
        ($child) = process_file($run->{pid}, "task/$run->{pid}/children") =~ /^(\d+)/;
        return $child && process_file($child, 'stat') =~ /\) T /;
    });
    $meanwhile->();
    kill 'KILL', $child;
    return;
}

# The directory can be found, but not entered any more, when the next process looks.
sub next_process_cannot_enter
{
    my $copy = $target->copy('copy');
    my $run = begin($copy, '--retries=1');
    kill_held_child($run, sub { chmod 0, $copy->data or die });
    wait_until('the program ends', sub { has_ended($run) });
    chmod 0700, $copy->data or die;
    my $result = end_of_rewind($run);
    is($result->{status}, 2, 'the directory cannot be entered when a rewind is to be finished: exit status 2')
        or diag($result->{stderr});
    like($result->{stderr},
        qr/^pg_rewind: hint: Run the same command again: it finishes the rewind, or starts it again/m,
        'it says what to do');
    unlike($result->{stderr}, qr/is unchanged/, 'and not that the target is unchanged');
    rewinds($copy, $source);
    $copy->discard;
    return;
}

# The first change on an overlayfs copies the directory, which gets another time of birth. It is the same directory
# nevertheless.
sub on_overlay
{
    if (!is_privileged())
    {
        note('not run by root who may mount: no overlayfs');
        return;
    }
    my $copy = $target->copy('copy');
    my $changes = $target->dir . '/changes';
    mkdir $changes or die;
    privileged('make-overlay', $copy->dir, $changes);
    my $made = (stat $copy->data)[10];
    wait_until('a copy gets a later time', sub { time > $made });
    my $run = begin($copy);
    kill_held_child($run, sub {});
    my $result = end_of_rewind($run);
    is($result->{status}, 0, 'a target on an overlayfs, killed after the commit: exit status 0')
        or diag($result->{stderr});
    like($result->{stderr}, qr/the interrupted rewind is finished/, 'the next process finishes it');
    nothing_is_left($copy);
    rejoins($copy, $source, no_promotion => 1);
    $copy->stop;
    privileged('unmount', $copy->dir);
    $copy->discard;
    return;
}

each_version(sub {
    my ($version) = @_;
    ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql("CREATE TABLE t AS SELECT i, 'common' AS v FROM generate_series(1, 5000) i") },
        source => sub { $_[0]->sql("UPDATE t SET v = 'source'; CREATE TABLE s AS SELECT 1 AS a") },
        target => sub { $_[0]->sql("UPDATE t SET v = 'target'; CREATE TABLE u AS SELECT 1 AS a") });
    fails_early();
    sets_up_a_standby($version);
    next_process_cannot_enter();
    on_overlay();
}, only => [ 10, 15, 18 ]);
