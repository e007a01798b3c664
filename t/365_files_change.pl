# Files that vanish, shrink, grow or are replaced while they are read: the rewound target is right all the same.
# (The argument: what happens on the source after the redo position is in the chain of WAL. The source is a server.)
#
#   bytes of the source's answers   0 ──┬───┬───┬───┬───┬──▶ all      ┬ held back here while files change
# (Rule C56.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Background;
use RewindTest::Proxy;

my $tables = 8;

# One after the other, so that at each point some file that is already read, some that is being read and some that
# is still to be read changes.
my @changes = (
    sub { "DROP TABLE t$_[0]" },
    sub { "TRUNCATE t$_[0]" },
    sub { "DELETE FROM t$_[0] WHERE i > 500; VACUUM t$_[0]" },
    sub { "INSERT INTO t$_[0] SELECT i, 'grown' FROM generate_series(1, 30000) i" },
    sub { "VACUUM FULL t$_[0]" },
    sub { "UPDATE t$_[0] SET v = 'longer than it was before'; CREATE INDEX ON t$_[0] (v)" },
    sub { "BEGIN; TRUNCATE t$_[0]; INSERT INTO t$_[0] SELECT i, 'new' FROM generate_series(1, 9000) i; COMMIT" },
    sub {
    "DELETE FROM t$_[0] WHERE ctid >= '(3,1)'; VACUUM t$_[0]; INSERT INTO t$_[0] SELECT i, 'again' FROM generate_series(1, 20000) i" },
);

sub change_everything
{
    my ($source, $n) = @_;
    my $sql = '';
    for my $table (0 .. $tables - 1)
    {
        my $change = $changes[ ($table + $n) % @changes ]->("${n}_$table");
        $sql .= "$change;\n";
    }
    $source->sql("$sql CREATE TABLE made_$n AS SELECT i FROM generate_series(1, 5000) i");
    # From 15 on both wait for every backend, also for those that wait for pg_rewind.
    $source->sql("DROP DATABASE d$n"), $source->sql("CREATE DATABASE e$n") if $source->version < 15;
    # What was dropped or truncated goes from the disk, all else is written to it.
    $source->sql("CHECKPOINT");
    return;
}

each_version(sub {
    my ($version) = @_;
    my @parts = (0.02, 0.3, 0.7);
    my ($source, $target) = split_brain($version,
        cluster => { settings => $version < 13 ? 'wal_keep_segments = 60' : 'wal_keep_size = 1GB' },
        before => sub {
            my ($primary) = @_;
            $primary->sql("CREATE DATABASE d$_") for 0 .. $#parts + 1;
            $primary->sql(join ";\n", map { my $n = $_; map { "CREATE TABLE t${n}_$_ AS SELECT i, repeat('common', $_) AS v FROM generate_series(1, 1500) i;
                CREATE INDEX ON t${n}_$_ (i)" } 0 .. $tables - 1 } 0 .. $#parts + 1);
        },
        source => sub { $_[0]->sql("CREATE TABLE s AS SELECT 1 AS a") },
        # So that all these files differ, and are read.
        target => sub { my ($target) = @_;
            $target->sql(join ";\n", map { my $n = $_;
            map { "UPDATE t${n}_$_ SET v = 'target'" } 0 .. $tables - 1 } 0 .. $#parts + 1) });
    my $proxy = RewindTest::Proxy->new('proxy', $source);
    my $undisturbed = $target->copy('undisturbed');
    rewinds($undisturbed, $proxy, options => ['--no-sync']);
    my $bytes = $proxy->status->{bytes};
    $undisturbed->discard;

    for my $n (0 .. $#parts)
    {
        subtest("files change after $parts[$n] of the bytes", sub {
            my $copy = $target->copy('rewound');
            $proxy->after(int($bytes * $parts[$n]), 'hang');
            my $run = start_rewind($copy, $proxy, options => [ '--retry-timeout=120', '--jobs=' . (1 + $n % 3) ]);
            $proxy->wait_for('hang');
            change_everything($source, $n);
            $proxy->pass;
            my $result = end_of_rewind($run);
            is($result->{status}, 0, 'pg_rewind succeeds') or diag($result->{stderr});
            rejoins($copy, $source) if $result->{status} == 0;
            $copy->discard;
        });
    }

    subtest('files change all the time', sub {
        my $copy = $target->copy('busy');
        my $n = @parts;
        my @sessions = ($source->session, $source->session);
        $sessions[1]->send($_) for "DROP DATABASE d$n", "CREATE DATABASE e$n", "DROP DATABASE e$n",
            "CREATE DATABASE f$n";
        $sessions[0]->send(join ";\n",
            map { my $round = $_; map { my $table = $_;
            $changes[ ($table + $round) % (@changes - 1) + 1 ]->("${n}_$table") } 0 .. $tables - 1 } 1 .. 5);
        my $run = start_rewind($copy, $source);
        my $result = end_of_rewind($run);
        $_->end for @sessions;
        $source->wait_for_clients(0);
        is($result->{status}, 0, 'pg_rewind succeeds') or diag($result->{stderr});
        rejoins($copy, $source) if $result->{status} == 0;
        $copy->discard;
    });
}, only => [ 10, 18 ]);
