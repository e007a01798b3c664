# --rejoin where others start and stop the same server: another --rejoin, a supervisor, the administrator. What was kept
# of a start is not used once the server was started in another way; a server that another program has started again is
# looked at, not refused; a stop ends when the server that was to be stopped is gone; and what the last line says of a
# server that somebody else has asked to stop is so. (What a process is does not depend on the version.)
#
#   source   1 ──┬── 2 ──────────▶
#   target       └── 1 ──╳ ── 2 ──▶   in each case anew
# (Rules I54, I57, I60, I62.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Background;
use RewindTest::Held;
use RewindTest::Outcome;
use RewindTest::Session;

my ($source, $diverged, $target);

sub options { return (qw(--rejoin --keep-config --no-sync --rejoin-timeout=60 -B), $target->bindir) }

sub rejoin
{
    my (@options) = @_;
    return run([ rewind_argv($target->data, options(), '--source-server', $source->conninfo, @options) ]);
}

sub rewind_only { return run([ rewind_argv($target->data, only_options(), '--source-server', $source->conninfo) ]) }
sub only_options { return qw(-R --keep-config --no-sync) }

my $follows = qr/^pg_rewind: the target follows the source: standby /m;

# It listens in its directory, whatever the options of its last start are.
sub fresh
{
    my ($name) = @_;
    $target->discard if $target;
    $target = $diverged->copy($name);
    $target->{starts} = 1;
    $target->configure("unix_socket_directories = '$target->{dir}'");
    return $target;
}

sub work_mem_is { my ($value, $what) = @_; is($target->query('SHOW work_mem'), $value, "$what: work_mem is $value");
    return }

# ---- What was kept of a start ----

sub kept { return $target->path('pg_rewind.work.start') }

# A --rejoin that was killed once the server ran has kept how it was started; the administrator has started it in
# another way since, and a rewind removes postmaster.opts.
sub started_in_another_way
{
    fresh('another')->start(settings => { work_mem => '7MB' });
    # Written before the stop, before the rewind, and after the start.
    end_by_kill(hold($target, $source, join(';', ('rename@*/pg_rewind.work.start') x 3), options()));
    ok(-e kept(), 'killed: how the server was started is kept');
    $target->wait_for_replay_of($source);
    $target->stop;
    sleep 2;
    $target->start(settings => { work_mem => '33MB' })->promote;
    $target->sql("INSERT INTO t VALUES ('again')");
    $target->stop;
    ends(rewind_only(), 0, 'a rewind alone');
    ok(!-e $target->path('postmaster.opts'), 'a rewind alone: it removes postmaster.opts');
    ends(rejoin(), 0, 'a start that nothing tells of', $follows);
    work_mem_is('4MB', 'a start that nothing tells of');
    return;
}

# Stopped, after a start with 33MB that is younger than what was kept of one with 7MB.
sub outdated
{
    my ($name) = @_;
    fresh($name)->start(settings => { work_mem => '33MB' });
    $target->stop;
    my @fields = ('Cpg_ctl start', 'D' . $target->data, "A$target->{bindir}/postgres", 'A-c', 'Awork_mem=7MB');
    spew(kept(), join '', map { "$_\0" } @fields);
    my $then = time - 3600;
    utime($then, $then, kept()) or die;
    return;
}

sub killed_at
{
    my ($point, $work_mem, @options) = @_;
    my $what = join ' ', 'killed before', $point, grep { $_ eq '--rejoin' } @options;
    outdated('killed');
    end_by_kill(hold($target, $source, $point, @options));
    ends(run([ rewind_argv($target->data, @options, '--source-server', $source->conninfo) ]), 0, "$what, and again");
    ends(rejoin(), 0, "$what: rejoined", $follows);
    work_mem_is($work_mem, $what);
    return;
}

# The same command again knows how the server was started last.
sub outdated_and_killed
{
    outdated('killed');
    my @options = options();
    my @written = ('create@*/pg_rewind.work.start.new', 'rename@*/pg_rewind.work.start');
    killed_at($_, '33MB', options()) for @written, qw(commit apply cleanup);
    killed_at($_, '4MB', only_options()) for qw(commit apply);
    # Before the commit postmaster.opts is still there, for a --rejoin.
    outdated('killed');
    end_by_kill(hold($target, $source, 'commit', only_options()));
    ends(rejoin(), 0, 'killed before the commit, then rejoined', $follows);
    work_mem_is('33MB', 'killed before the commit, then rejoined');
    # What is younger than postmaster.opts stays.
    outdated('younger');
    utime(undef, undef, kept()) or die;
    ends(rewind_only(), 0, 'younger than postmaster.opts');
    ends(rejoin(), 0, 'younger than postmaster.opts: rejoined', $follows);
    work_mem_is('7MB', 'younger than postmaster.opts');
    return;
}

# ---- A server that another program has started ----

# One that has found the server stopped, and has looked whether another works: the other comes only then.
sub started_before_the_rewind
{
    fresh('between')->start->stop;
    my $held = hold($target, $source, 'create@*/pg_rewind.work.start.new', options());
    ends(rejoin(), 0, 'while one holds: another', $follows);
    my $pid = $target->postmaster_pid;
    ends(go_on($held), 0, 'while one holds: the one',
        qr/^pg_rewind: another program has started the target's server: examining it$/m,
        qr/^pg_rewind: the target's server \(PID $pid\) follows the source already$/m);
    is($target->postmaster_pid, $pid, 'while one holds: the server is the same');
    ok(!-e kept(), 'while one holds: nothing is kept');
    return;
}

# A pg_ctl that does more once the server is stopped.
sub pg_ctl_that
{
    my ($then) = @_;
    my $directory = "$target->{dir}/bin";
    mkdir $directory;
    spew("$directory/pg_ctl", <<"END");
#!/bin/sh
case "\$*" in *" stop") $target->{bindir}/pg_ctl "\$@" -w; $then; exit 0 ;; esac
exec $target->{bindir}/pg_ctl "\$@"
END
    chmod 0755, "$directory/pg_ctl";
    return ('-B', $directory);
}

# While the stop of one ends, another rewinds the target and starts it.
sub started_during_the_stop
{
    fresh('during')->start;
    my $stopped = "$target->{dir}/stopped";
    my $go = "$target->{dir}/go";
    my @slow = pg_ctl_that("touch $stopped; while ! [ -e $go ]; do sleep 0.05; done");
    my $run = start_rewind($target, $source, options => [ options(), @slow, '--wait-timeout=30' ]);
    wait_until('the server is stopped', sub { -e $stopped || has_ended($run) });
    ends(rejoin(), 0, 'while one stops: another', $follows);
    my $pid = $target->postmaster_pid;
    spew($go, '');
    ends(end_of_rewind($run), 0, 'while one stops: the one',
        qr/^pg_rewind: the target's server \(PID $pid\) follows the source already$/m);
    is($target->postmaster_pid, $pid, 'while one stops: the server is the same');
    return;
}

# A supervisor starts it after the rewind: its standby has connected before this command comes to its own start.
sub started_after_the_rewind
{
    fresh('after')->start;
    my $held = hold($target, $source, 'rename@*/global/pg_control;unlink@*/postmaster.pid;send@', options());
    $target->start->wait_for_replay_of($source);
    sleep 3;    # postmaster.pid has whole seconds
    ends(go_on($held), 0, 'after the rewind', $follows);
    $target->stop;
    return;
}

# A supervisor restarts it after each stop.
sub restarted_at_once
{
    fresh('restarted')->start;
    my $start = "$target->{bindir}/pg_ctl -D @{[ $target->data ]} -l $target->{dir}/log.1 -w start";
    my $begin = time;
    ends(rejoin(pg_ctl_that("$start >/dev/null")), 1, 'restarted at once',
        qr/^pg_rewind: error: another program keeps starting the target's server$/m,
        qr/^pg_rewind: hint: The target is unchanged, and its server is running\.$/m);
    cmp_ok(time - $begin, '<', 60, 'restarted at once: it waits for no timeout');
    ok(!-e kept(), 'restarted at once: nothing is kept');
    $target->stop;

    # When it has started the server again is a matter of time; what it may end the command with is not.
    my $enough = "$target->{dir}/enough";
    my $postgres = "$target->{bindir}/postgres -D @{[ $target->data ]} </dev/null";
    must_run([ 'sh', '-c', "(while ! [ -e $enough ]; do $postgres; done) >>$target->{dir}/log.1 2>&1 &" ]);
    wait_until('the server is there', sub { $target->takes_connections });
    $begin = time;
    my $result = rejoin('--wait-timeout=70');
    cmp_ok(time - $begin, '<', 60, 'a supervisor: it waits for no timeout');
    like($result->{stderr}, qr/$follows|^pg_rewind: hint: The target is unchanged, and its server is running\.$/m,
        'a supervisor: it follows, or nothing has changed');
    spew($enough, '');
    $target->stop;
    return;
}

# ---- A server that somebody else has asked to stop ----

# It waits for the end of its sessions, which go on to commit.
sub stopping_for_another
{
    fresh('smart')->start;
    my $session = $target->session;
    must_run([ "$target->{bindir}/pg_ctl", '-D', $target->data, qw(-W -m smart stop) ]);
    my $stop = qr/\Q$target->{bindir}\E\/pg_ctl -D \Q@{[ $target->data ]}\E -m fast -W stop/;
    my $result = ends(rejoin('--wait-timeout=2'), 1, 'a smart stop',
        qr/^pg_rewind: hint: The target is unchanged, and its server was stopping already when this command/m,
        qr/ To end these sessions and stop it now: $stop$/m);
    unlike($result->{stderr}, qr/its server is not running/, 'a smart stop: the server has not stopped');
    $session->sql("INSERT INTO t VALUES ('committed later')");
    my ($said) = $result->{stderr} =~ /stop it now: (.*)$/m;
    must_run([ 'sh', '-c', $said ]) if $said;
    $session->end if !$said;
    ends(rejoin(), 0, 'a smart stop that is over', $follows);
    return;
}

each_version(sub {
    my ($version) = @_;
    ($source, $diverged) = split_brain($version,
        before => sub { $_[0]->sql("CREATE TABLE t AS SELECT 'common'::text AS a") },
        source => sub { $_[0]->sql("INSERT INTO t VALUES ('source'); CHECKPOINT") },
        target => sub { $_[0]->sql("INSERT INTO t VALUES ('target')") });
    subtest('started in another way', \&started_in_another_way);
    subtest('outdated and killed', \&outdated_and_killed);
    subtest('started before the rewind', \&started_before_the_rewind);
    subtest('started during the stop', \&started_during_the_stop);
    subtest('started after the rewind', \&started_after_the_rewind);
    subtest('restarted at once', \&restarted_at_once);
    subtest('stopping for another', \&stopping_for_another);
    undef $target;
}, only => [ 12, 15, 18 ]);
