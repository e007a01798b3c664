# Where the source has written much more WAL than there is data, that WAL is not read: recovery starts late, and all
# blocks are compared.
#
#   source   1 ──●──┬── 2 ── 600 MB of WAL, a few MB of blocks ── S ──▶    recovery starts at S
#   target          └── 1 ──▶                                             ● the last common checkpoint
#
#   the same, with 300 MB of tables that nobody touches
#   the same, without S: --checkpoint makes it
# (Rules C41, K4.)

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use RewindTest;
use RewindTest::Hot;

my $settings = "max_wal_size = 4GB\ncheckpoint_timeout = 1h\nautovacuum = off\n";

sub pair
{
    my ($version, %option) = @_;
    my $kept = $version >= 13 ? 'wal_keep_size = 4GB' : 'wal_keep_segments = 256';
    return split_brain($version,
        cluster => { wal_segment_mb => 16, settings => "$settings$kept\n" },
        before => sub {
            make_hot($_[0]);
            $_[0]->sql("CREATE TABLE t AS SELECT i AS a FROM generate_series(1, 1000) i; CREATE TABLE dropped_by_source AS TABLE t;
                CREATE TABLE dropped_by_target AS TABLE t; CREATE TABLE cut AS SELECT i AS a FROM generate_series(1, 20000) i;
                CREATE UNLOGGED TABLE unlogged AS TABLE t; CREATE TABLE many AS SELECT i, repeat('x', 1000) AS f
                    FROM generate_series(1, @{[ $option{megabytes} * 1000 ]}) i");
            $_[0]->sql('VACUUM FREEZE many');
        },
        source => sub {
            my ($source) = @_;
            $source->sql("CREATE TABLE made_by_source AS SELECT i FROM generate_series(1, 1000) i; DROP TABLE dropped_by_source;
                UPDATE many SET i = -i; TRUNCATE cut; INSERT INTO unlogged SELECT 1") if !$option{untouched};
            write_hot($source, $option{untouched} ? 800 : 600);
            $source->sql($option{without_checkpoint} ? 'SELECT 1' : 'CHECKPOINT');    # S
            $source->sql('UPDATE t SET a = -a WHERE a % 3 = 0');
        },
        target => sub {
            $_[0]->sql("UPDATE t SET a = 0 WHERE a % 2 = 0; UPDATE hot SET v = -1 WHERE a % 7 = 0; DROP TABLE dropped_by_target;
                CREATE TABLE made_by_target AS TABLE t; DELETE FROM cut WHERE a > 10; VACUUM cut");
        });
}

sub inode { my ($cluster, $path) = @_; return (stat $cluster->path($path))[1] }

# Returns the report.
sub is_rewound
{
    my ($target, $source, $kind, $expected, %option) = @_;
    my $copy = $target->copy('copy');
    $source->stop if $kind eq 'directory';
    my $many = $source->{path_of_many};
    my $before = inode($copy, $many);
    my $result = rewind($copy, $source, kind => $kind, options => [ '--report=json', @{ $option{options} // [] } ]);
    $source->start if $kind eq 'directory';
    is($result->{status}, 0, "pg_rewind succeeds with a $kind as source") or diag($result->{stderr});
    my $report = JSON::PP->new->decode($result->{stdout});
    my $start = $report->{recovery_start};
    is(join(', ', $start->{late} ? 'late' : 'early', $start->{reason}, $start->{compares} ? 'compares' : 'reads'),
        $expected, 'as expected')
        or diag($result->{stdout});
    is(inode($copy, $many) == $before ? 'patched' : 'replaced', $option{many}, 'the largest file') if $option{many};
    if (!$option{dry})
    {
        rejoins($copy, $source, quick => 1);
    }
    $copy->discard;
    return ($report, $result);
}

plan(skip_all => 'the start is not chosen when all runs are told which')
    if ($ENV{PG_REWIND_TEST_OPTIONS} // '') =~ /-start\b|--compare/;
each_version(sub {
    my ($version) = @_;
    my ($source, $target) = pair($version, megabytes => 40);
    $source->{path_of_many} = $source->sql("SELECT pg_relation_filepath('many')");
    for my $kind (qw(server directory))
    {
        # no standby should start at the checkpoint of such a stopped source
        next if $kind eq 'directory' && $version < 12;
        my ($report, $result) = is_rewound($target, $source, $kind, 'late, estimate, compares', many => 'replaced');
        cmp_ok($report->{bytes}{fetched_by_kind}{wal}, '<', 40e6, 'hardly any WAL came');
        cmp_ok($report->{recovery_start}{estimate}{wal}, '>', 500e6, 'of much');
        cmp_ok($report->{bytes}{compared}, '<', 0.7 * $report->{recovery_start}{estimate}{compared},
            'where all differs, not all was compared');
        like($result->{stderr},
            qr/^pg_rewind: comparing all blocks with the source's, \d+ MB, rather than reading \d+ MB of its WAL$/m,
            'and so it says');
    }
    is_rewound($target, $source, 'server', 'late, asked, compares', options => ['--late-start']) if $version == 18;
    is_rewound($target, $source, 'server', 'early, asked, reads', options => ['--early-start']) if $version == 15;
    $_->discard for $source, $target;

    return if $version != 18;    # `make check-all` has time for 1 GB of WAL
    ($source, $target) = pair($version, megabytes => 330, untouched => 1, without_checkpoint => 1);
    $source->{path_of_many} = $source->sql("SELECT pg_relation_filepath('many')");
    my ($report, $result) = is_rewound($target, $source, 'server', 'early, no choice, reads', many => 'patched');
    like($result->{stderr},
        qr/^pg_rewind: the target will replay .* for about \d+ s .*; with --checkpoint=auto .* about \d+ s sooner$/m,
        'and is told what may be done');
    ($report, $result) = is_rewound($target, $source, 'server', 'early, no choice, reads',
        options => [ '--checkpoint', '-n' ], many => 'patched', dry => 1);
    like($result->{stderr}, qr/not running CHECKPOINT on the source in a dry run/, 'a dry run makes no checkpoint');
    ($report) = is_rewound($target, $source, 'server', 'late, estimate, compares', options => ['--checkpoint'],
        many => 'patched');
    cmp_ok($report->{bytes}{fetched_by_kind}{wal}, '<', 40e6, 'hardly any WAL came');
    # there is a checkpoint now
    is_rewound($target, $source, 'server', 'late, estimate, compares', many => 'patched');
    $_->discard for $source, $target;
}, only => [ 10, 15, 18 ]);
