# What a failure leaves, and the exit status that says so: 1, nothing happened, also when it was told to stop; 2,
# half-way, and the same command finishes it. (Invariants 1 to 3. The same on all versions.)
# (Rules I30, I41.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Held;

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql("CREATE TABLE t AS SELECT i, 'common' AS v FROM generate_series(1, 5000) i") },
        source => sub { $_[0]->sql("UPDATE t SET v = 'source'; CREATE TABLE s AS SELECT 1 AS a") },
        target => sub { $_[0]->sql("UPDATE t SET v = 'target'; CREATE TABLE u AS SELECT 1 AS a") });

    subtest('it is told to stop before the commit', sub {
        my $copy = $target->copy('stopped');
        my $held = hold($copy, $source, 'link');
        kill 'TERM', $held->{pid};
        my $result = go_on($held);
        is($result->{status}, 1, 'exit status 1');
        like($result->{stderr}, qr/terminated by signal/, 'it says why');
        like($result->{stderr}, qr/The target is unchanged/, 'and what state the target is in');
        ok(!-e $copy->path($_), "no $_ is left") for qw(pg_rewind.work pg_rewind.work.wal postmaster.pid backup_label);
        is($copy->try_start->{status}, 0, 'the old server starts');
        is($copy->query('SELECT count(*) FROM u'), '1', 'with its own rows');
        $copy->discard;
    });

    subtest('a data directory that may not be entered', sub {
        chmod 0000, $target->data or die "could not change $target->{dir}: $!";
        my $result = rewind($target, $source);
        chmod 0700, $target->data or die "could not change $target->{dir}: $!";
        is($result->{status}, 1, 'exit status 1');
        like($result->{stderr}, qr/Permission denied/, 'it says why');
        unlike($result->{stderr}, qr/must be finished/, 'and does not think of a rewind that has begun');
    });

    subtest('a directory cannot be written after the commit', sub {
        my $oid = $source->query(q{SELECT oid FROM pg_database WHERE datname = 'postgres'});
        my $directory = $target->path("base/$oid");    # files are made and removed there
        my $held = hold($target, $source, 'apply');
        kill 'TERM', $held->{pid};    # too late to stop
        chmod 0500, $directory or die "could not change $directory: $!";
        my $result = go_on($held);
        my $started = $target->try_start;
        chmod 0700, $directory or die "could not change $directory: $!";
        is($result->{status}, 2, 'exit status 2') or diag($result->{stderr});
        like($result->{stderr}, qr/run the same pg_rewind command again/, 'it says what to do');
        isnt($started->{status}, 0, 'no server starts');
        like($target->log, qr/run the same pg_rewind command again/, 'and its log says what to do');
        rewinds($target, $source);
        rejoins($target, $source);
    });
}, only => [ 10, 15, 18 ]);
