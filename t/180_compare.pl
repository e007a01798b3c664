# --compare needs no WAL of the target: hints that are in no WAL, WAL that is gone, pg_resetwal, checksums on one side
# only, another history. Each ends as a copy of the source. (Invariants 1, 3, 7.)
#
#   each row   breaks the target in a way that makes a rewind by its WAL refuse, or go wrong; both kinds of source
# (Rules K1, K2, K7.)

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use Time::HiRes ();
use RewindTest;
use RewindTest::Background;
use RewindTest::Held;

my $writes = "UPDATE t SET v = 'WHO' WHERE i % 7 = 0; DELETE FROM t WHERE i % 11 = 0; INSERT INTO t SELECT i, 'WHO' FROM generate_series(1, 3000) i;
    CREATE TABLE only_WHO AS SELECT i, repeat('WHO', 20) AS v FROM generate_series(1, 5000) i; CREATE INDEX ON only_WHO (i);
    TRUNCATE cut; VACUUM shrunk; DROP TABLE dropped_by_WHO";

sub pair
{
    my ($version, %cluster) = @_;
    return split_brain($version,
        cluster => \%cluster,
        before => sub {
            $_[0]->sql("CREATE TABLE t AS SELECT i, 'common' AS v FROM generate_series(1, 20000) i; CREATE INDEX ON t (i);
                CREATE TABLE quiet AS SELECT i, repeat('quiet', 100) AS v FROM generate_series(1, 20000) i;
                CREATE TABLE cut AS TABLE t; CREATE TABLE shrunk AS TABLE t; DELETE FROM shrunk WHERE i > 100;
                CREATE UNLOGGED TABLE unlogged AS TABLE t; CREATE TABLE dropped_by_source AS TABLE t; CREATE TABLE dropped_by_target AS TABLE t");
        },
        source => sub { $_[0]->sql($writes =~ s/WHO/source/gr) },
        target => sub {
            $_[0]->sql($writes =~ s/WHO/target/gr);
            $_[0]->sql('SELECT count(*) FROM t; SELECT count(*) FROM quiet; CHECKPOINT');    # hints
        });
}

sub compares
{
    my ($name, $source, $target, %option) = @_;
    subtest($name, sub {
        rewinds_from_both_kinds($source, $target, %option, options => [ '--compare', @{ $option{options} // [] } ],
            quick => 1);
    });
    return;
}

sub without_wal { unlink grep { !/\.history$/ } glob($_[0]->path('pg_wal/*')); return }

each_version(sub {
    my ($version) = @_;
    subtest('hints that are in no WAL', sub {
        my ($source, $target) = pair($version, checksums => 0, settings => 'wal_log_hints = off');
        is(rewind($target, $source)->{status}, 1, 'the scan refuses');
        compares('hints', $source, $target);
        compares('WAL is gone', $source, $target, prepare => \&without_wal);
        compares('pg_resetwal', $source, $target, prepare => sub {
            my ($copy) = @_;
            must_run([ '/usr/lib/postgresql/15/bin/pg_resetwal', '-f', $copy->data ]);
        }) if $version == 15;
        compares('crashed', $source, $target, prepare => sub {
            my ($copy) = @_;
            $copy->start->sql("UPDATE t SET v = 'crash' WHERE i % 3 = 0; SELECT count(*) FROM quiet; CHECKPOINT; CREATE TABLE crash AS TABLE t");
            $copy->stop('immediate');
        });
        compares('a timeline of its own without history', $source, $target, prepare => sub {
            my ($copy) = @_;
            $copy->start->switch_timeline->stop;
            unlink glob($copy->path('pg_wal/*.history'));
        });

        my $dry = rewind($target, $source, options => [qw(--compare -n --report=json)]);
        my $report = JSON::PP->new->utf8->decode($dry->{stdout});
        is("$dry->{status} $report->{result} $report->{mode}", '0 would_rewind compare', 'a dry run compares')
            or diag($dry->{stderr});
        ok(defined $report->{discarded}{transactions}, 'how many transactions are lost is known');
        is($report->{discarded}{relations}, undef, 'what they did is not');
        cmp_ok($report->{bytes}{planned}, '>', 0, 'how much is fetched is');
        cmp_ok($report->{bytes}{planned}, '<', $report->{bytes}{source} / 2, 'and it is not everything');

        my $copy = $target->copy('killed');
        for my $point (qw(commit apply))
        {
            end_by_kill(hold($copy, $source, $point, '--compare'));
        }
        is(rewind($copy, $source, options => ['--compare'])->{status}, 0,
            'killed before and after the commit: the same command finishes it');
        my $again = rewind($copy, $source, options => [qw(--compare --report=json)]);
        is($again->{status}, 0, 'compared again') or diag($again->{stderr});
        my $bytes = JSON::PP->new->utf8->decode($again->{stdout})->{bytes};
        is($bytes->{fetched_by_kind}{relations}, 0, 'nothing differs any more');
        rejoins($copy, $source, quick => 1);
        RewindTest::Cluster::discard_all();
    });

    subtest('the source goes on writing', sub {
        my ($source, $target) = pair($version, settings => $version < 13 ? 'wal_keep_segments = 64'
            : "wal_keep_size = '1GB'");
        my $rounds = 0;
        my $write = sub {
            $source->sql("UPDATE t SET v = v || '.' WHERE i % 13 = 0; INSERT INTO quiet SELECT i, 'busy' FROM generate_series(1, 1000) i;
                DELETE FROM quiet WHERE i % 9 = 0; VACUUM quiet" . ($rounds++ % 4 ? '' : '; CHECKPOINT'));
        };
        my $held = hold($target, $source, 'create@*/pg_rewind.work/*', '-N', '--compare', '--max-rate=16M');
        $write->() for 1 .. 2;
        my $run = release($held);
        until (has_ended($run))
        {
            $write->() if $rounds < 12;
            Time::HiRes::sleep(0.1);
        }
        is(end_of_rewind($run)->{status}, 0, "pg_rewind succeeds while the source writes $rounds times")
            or do { diag(slurp($run->{errors})); return };
        rejoins($target, $source, quick => 1);
        RewindTest::Cluster::discard_all();
    });

    subtest('checksums on one side only', sub {
        my ($source, $target) = pair($version, checksums => 0, settings => 'wal_log_hints = off');
        must_run([ '/usr/lib/postgresql/15/bin/pg_checksums', '--enable', '-N', '-D', $target->data ]);
        is(rewind($target, $source)->{status}, 1, 'the scan refuses');
        compares('target with', $source, $target);
        $source->stop;
        must_run([ '/usr/lib/postgresql/15/bin/pg_checksums', '--enable', '-N', '-D', $source->data ]);
        must_run([ '/usr/lib/postgresql/15/bin/pg_checksums', '--disable', '-N', '-D', $target->data ]);
        $source->start;
        compares('source with', $source, $target);
        RewindTest::Cluster::discard_all();
    }) if $version == 15;

    subtest('the source is a standby', sub {
        my ($primary, $target) = pair($version);
        my $standby = $primary->standby('standby');
        $primary->sql("UPDATE t SET v = 'more' WHERE i % 5 = 0; CHECKPOINT; UPDATE t SET v = 'still more' WHERE i % 6 = 0");
        $standby->wait_for_replay_of($primary);
        is(rewind($target, $standby, options => ['--compare'])->{status}, 0, 'pg_rewind succeeds');
        rejoins($target, $standby, writer => $primary, quick => 1, no_promotion => 1);
    });
}, only => [ 10, 15, 18 ]);
