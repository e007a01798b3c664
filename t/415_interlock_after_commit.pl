# While a committed rewind is being finished nobody else gets at the target, and nobody's try harms it; locks that mean
# nothing any more hinder nobody. (Invariant 5. Servers and their messages are alike: the oldest, one between, the
# newest.)
#
#   pg_rewind is held      before the poison    in the middle of the apply    before the new pg_control
#   a second pg_rewind     waits, then fails    waits, then fails             waits, then fails
#   postgres, --single     lock file exists     "run pg_rewind again"         lock file exists
#   pg_ctl start, stop, promote                 refused
#   then                   it finishes
# (Rules I8, I13.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Held;
use RewindTest::Tree;

sub second_rewind_is_refused
{
    my ($copy, $source) = @_;
    for my $options ([], ['--dry-run'])
    {
        my $second = rewind($copy, $source, options => [ '--wait-timeout=1', @$options ]);
        is($second->{status}, 2,
            "a second pg_rewind @$options fails, with the status of a target that is being changed");
        like($second->{stderr}, qr/^pg_rewind: error: another pg_rewind is working on directory/m, 'it says why');
        like($second->{stderr},
            qr/^pg_rewind: hint: Another run is using the target and may be changing it: do not start a server there, do not remove anything/m,
            'and what not to do');
        unlike($second->{stderr}, qr/unchanged/, 'it does not say that the target is unchanged');
    }
    return;
}

sub servers_are_refused
{
    my ($copy, $says) = @_;
    my $bindir = $copy->bindir;
    my %starter = (
        'postgres' => [ "$bindir/postgres", '-D', $copy->data, '-k', $copy->dir ],
        'postgres --single' => [ "$bindir/postgres", '--single', '-D', $copy->data, 'postgres' ],
    );
    for my $name (sort keys %starter)
    {
        my $server = run($starter{$name});
        is($server->{status}, 1, "$name is refused");
        like($server->{stderr}, $says, 'it says why');
    }
    isnt($copy->try_start->{status}, 0, 'pg_ctl start is refused');
    like($copy->log, $says, 'its log says why');
    for my $command ([qw(-m immediate stop)], ['promote'])
    {
        isnt(run([ "$bindir/pg_ctl", '-D', $copy->data, '-t', 2, @$command ])->{status}, 0,
            "pg_ctl $command->[-1] is refused");
    }
    return;
}

sub is_held
{
    my ($source, $target, $point, $says, $rejoin) = @_;
    my $copy = $target->copy('copy');
    my $held = hold($copy, $source, $point);
    my $before = tree($copy);

    second_rewind_is_refused($copy, $source);
    servers_are_refused($copy, $says);
    is_same_tree(tree($copy), $before, 'nothing was changed by these');
    like(slurp("/proc/$held->{pid}/stat"), qr/\) T /, 'pg_rewind lives');
    my $result = go_on($held);
    is($result->{status}, 0, 'and finishes') or diag($result->{stderr});
    nothing_is_left($copy);
    rejoins($copy, $source, no_promotion => 1) if $rejoin;
    $copy->discard;
    return;
}

# What a run that was killed may leave, after its process id has been given to somebody else.
sub stale_locks_hinder_nobody
{
    my ($source, $target) = @_;
    my $copy = $target->copy('copy');
    my $claim = sub { my ($pid) = @_; return "-$pid\n" . $copy->data . "\n1000000000\n5432\n\n\n\n" };
    my %process = ("a process of ours" => $$, 'a server' => $source->postmaster_pid, 'init' => 1);

    for my $name (sort keys %process)
    {
        spew($copy->path('postmaster.pid'), $claim->($process{$name}));
        spew($copy->path('postmaster.pid.pg_rewind'), 'torn');
        my $result = rewind($copy, $source, options => ['--dry-run']);
        is($result->{status}, 0, "a lock file whose process id now belongs to $name hinders no dry run")
            or diag($result->{stderr});
    }
    end_by_kill(hold($copy, $source, 'apply'));
    like(slurp($copy->path('postmaster.pid')), qr/\A-2147483648\n/, 'killed after the commit: the lock file says so');
    rewinds($copy, $source);
    nothing_is_left($copy);

    # Both names of one file, as a kill between making the second and removing the first leaves them.
    for my $name (sort keys %process)
    {
        spew($copy->path('postmaster.pid'), $claim->($process{$name}));
        link($copy->path('postmaster.pid'), $copy->path('postmaster.pid.pg_rewind')) or die;
        my $again = rewinds($copy, $source);
        like($again->{stderr}, qr/no rewind required/, "nothing is to be done, with a lock file of $name");
        nothing_is_left($copy);
    }
    spew($copy->path('postmaster.pid.pg_rewind'), 'torn');
    rewinds($copy, $source);
    nothing_is_left($copy);
    rejoins($copy, $source, no_promotion => 1);
    $copy->discard;
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { my ($primary) = @_; $primary->sql("CREATE TABLE t (b text); INSERT INTO t VALUES ('before')") },
        source => sub { my ($source) = @_; $source->sql("UPDATE t SET b = 'source'; CREATE TABLE s AS TABLE t") },
        target => sub { my ($target) = @_; $target->sql("UPDATE t SET b = 'target'; CREATE TABLE u AS TABLE t") });
    my $exists = qr/lock file "postmaster\.pid" already exists/;
    my $again = qr/run the same pg_rewind command again/;
    subtest('before the poison', sub { is_held($source, $target, 'poison', $exists) });
    subtest('in the middle of the apply', sub { is_held($source, $target, 'apply', $again, 1) });
    subtest('before the new pg_control', sub { is_held($source, $target, 'control', $exists) });
    subtest('stale locks', sub { stale_locks_hinder_nobody($source, $target) });
}, only => [ 10, 15, 18 ]);
