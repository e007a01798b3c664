# While one pg_rewind works, no second one and no server gets at the target; what a killed one leaves hinders nobody.
# (Invariant 5. Servers and their messages are alike: the oldest, one between, the newest.)
#
#   pg_rewind is held    before it has its lock file    about to commit     then
#   a second pg_rewind   waits (t/421), then fails     waits, then fails  works once the first is killed
#   a server             starts, the first gives up     is refused         starts once the first is killed
# (Rules I12, I13, I18.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Held;

sub second_rewind_is_refused
{
    my ($target, $source, $options) = @_;
    my $second = rewind($target, $source, options => [ '--wait-timeout=1', @$options ]);
    is($second->{status}, 2, "a second pg_rewind @$options fails, with the status of a target that may be changed");
    like($second->{stderr}, qr/^pg_rewind: error: .*another pg_rewind/m, 'it says why');
    return;
}

sub server_is_refused
{
    my ($target, $held) = @_;
    my $pid = $held->{pid};
    my %starter = (
        postgres => [ $target->bindir . '/postgres', '-D', $target->data, '-k', $target->dir ],
        'postgres --single' => [ $target->bindir . '/postgres', '--single', '-D', $target->data, 'postgres' ],
    );
    for my $name (sort keys %starter)
    {
        my $server = run($starter{$name});
        is($server->{status}, 1, "$name is refused");
        like($server->{stderr}, qr/FATAL:  lock file "postmaster.pid" already exists/, 'by the lock file');
        like($server->{stderr}, qr/\(PID $pid\)/, 'which names pg_rewind');
    }
    isnt($target->try_start->{status}, 0, 'pg_ctl start is refused');
    my $stop = run([ $target->bindir . '/pg_ctl', '-D', $target->data, '-m', 'immediate', 'stop' ]);
    isnt($stop->{status}, 0, 'pg_ctl stop is refused');
    like(slurp("/proc/$pid/stat"), qr/\) T /, 'and pg_rewind lives');
    return;
}

sub is_held_before_lock_file
{
    my ($source, $target) = @_;
    my $held = hold($target, $source, 'query');
    second_rewind_is_refused($target, $source, []);
    second_rewind_is_refused($target, $source, ['--dry-run']);

    is($target->try_start->{status}, 0, 'a server starts') or diag($target->log);
    my $first = go_on($held);
    is($first->{status}, 1, 'pg_rewind gives up');
    like($first->{stderr}, qr/^pg_rewind: error: /m, 'it says why');
    ok($target->is_running, 'the server lives');
    is($target->query('SELECT b FROM t'), 'target', 'and reads what it had');

    $target->stop;
    $held = hold($target, $source, 'query');
    $target->start;
    $target->sql("UPDATE t SET b = 'later'");
    $target->stop;
    $first = go_on($held);
    is($first->{status}, 1, 'a server that came and went: pg_rewind gives up');
    like($first->{stderr},
        qr{^pg_rewind: error: the target's "global/pg_control" has changed while pg_rewind was running$}m,
        'it says why');
    unlike($first->{stderr}, qr/servers diverged at/, 'and has not begun its work');
    is($target->start->query('SELECT b FROM t'), 'later', 'and has harmed nothing');
    $target->stop;
    return;
}

sub is_held_before_commit
{
    my ($source, $target) = @_;
    my $held = hold($target, $source, 'commit');
    second_rewind_is_refused($target, $source, []);
    server_is_refused($target, $held);

    end_by_kill($held);
    ok(-e $target->path('postmaster.pid'), 'a killed pg_rewind leaves its lock file');
    is($target->try_start->{status}, 0, 'but a server starts') or diag($target->log);
    $target->stop;

    end_by_kill(hold($target, $source, 'commit'));
    rewinds($target, $source);
    ok(!-e $target->path('postmaster.pid'), 'no lock file is left');
    rejoins($target, $source, no_promotion => 1);
    return;
}

# A server got in at the moment of the commit, and the run was killed before its second check: the blocker goes. As long
# as it cannot be taken back, what is kept for that stays.
sub server_came_at_commit
{
    my ($source, $target) = @_;
    my $label = $target->path('backup_label');
    end_by_kill(hold($target, $source, 'commit'));
    $target->start->stop;
    rename($target->path('pg_rewind.work/blocker'), $label) or die;
    my $blocker = slurp($label);
    my $failed = rewind($target, $source, fault => 'fail:unlink@*/backup_label:EIO');
    is($failed->{status}, 2, 'a blocker that cannot be taken back: exit status 2');
    like($failed->{stderr}, qr/^pg_rewind: error: could not remove file ".*\/backup_label": Input\/output error$/m,
        'it says why');
    is(slurp($label), $blocker, 'the blocker is there');
    ok(-e $target->path('pg_rewind.work/journal'), 'and its journal');
    unlike(rewinds($target, $source)->{stderr}, qr/interrupted rewind/,
        'the next run takes it back, and rewinds the target');
    rejoins($target, $source, no_promotion => 1, quick => 1);
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { my ($primary) = @_; $primary->sql("CREATE TABLE t (b text); INSERT INTO t VALUES ('before')") },
        source => sub { my ($source) = @_; $source->sql("UPDATE t SET b = 'source'") },
        target => sub { my ($target) = @_; $target->sql("UPDATE t SET b = 'target'") });
    my $copy = $target->copy('copy');
    subtest('pg_rewind is held before it has a lock file', sub { is_held_before_lock_file($source, $copy) });
    $copy->discard;
    $copy = $target->copy('copy');
    subtest('a server came at the moment of the commit', sub { server_came_at_commit($source, $copy) });
    $copy->discard;
    subtest('pg_rewind is held when all is staged', sub { is_held_before_commit($source, $target) });

    my $result = rewind($target, $source);
    is($result->{status}, 1, 'a target whose server runs is refused');
    ok($target->is_running, 'the server lives');
}, only => [ 10, 15, 18 ]);
