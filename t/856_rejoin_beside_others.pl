# --rejoin where others start and stop the same server: another --rejoin, a supervisor, the administrator. What was kept
# of a start is not used once the server was started in another way; a server that another program has started again is
# looked at, not refused; a stop ends when the server that was to be stopped is gone; and what the last line says of a
# server that somebody else has asked to stop is so. (What a process is does not depend on the version.)
#
#   source   1 ──┬── 2 ──────────▶
#   target       └── 1 ──╳ ── 2 ──▶   in each case anew
# (Rules I54, I57, I62.)

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

# A --rejoin that was killed once the server ran has kept how it was started; the administrator has started it in another
# way since, and a rewind removes postmaster.opts.
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
    ok(!-e $target->path('postmaster.opts'), 'a rewind alone: it removes postmaster.opts') if $target->version > 10;
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
    killed_at($_, '33MB', options()) for 'create@*/pg_rewind.work.start.new', 'rename@*/pg_rewind.work.start', qw(commit apply cleanup);
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

each_version(sub {
    my ($version) = @_;
    ($source, $diverged) = split_brain($version,
        before => sub { $_[0]->sql("CREATE TABLE t AS SELECT 'common'::text AS a") },
        source => sub { $_[0]->sql("INSERT INTO t VALUES ('source'); CHECKPOINT") },
        target => sub { $_[0]->sql("INSERT INTO t VALUES ('target')") });
    subtest('started in another way', \&started_in_another_way);
    subtest('outdated and killed', \&outdated_and_killed);
    undef $target;
}, only => [ 12, 15, 18 ]);
