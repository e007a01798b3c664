# Status 0 lasts: a power cut after it takes nothing back, not even what pg_rewind has found equal and has not written.
# The target's server was killed, and the pages that it had evicted since its last checkpoint were in the kernel's cache
# and nowhere else; or the target was just copied. (Invariants 1 and 7. A disk of its own, whose power is cut: what a
# loop device was not given is gone.)
#
#   together   VACUUM t; CHECKPOINT; UPDATE a tenth of t, whose bits of the visibility map go
#   source     1 ──●──┬── 2 ── 100 MB of WAL, CHECKPOINT ──▶        recovery starts there: nothing replays the UPDATE again
#   target            └── 1 ── 60,000 rows, by which the map's page leaves shared_buffers ── kill -9
#
# The map is equal on both sides, as far as the kernel tells; the disk has that of before the UPDATE.
# (Rule I25.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Held;
use RewindTest::Privileged;

skip_unless_privileged();

my $rows = 100_000;
my $megabytes = 700;
my ($map, $map_on_disk);

# Nothing but this, which the server itself would say, counts: an index-only scan believes the map, a sequential one
# does not.
sub counts_right
{
    my ($target) = @_;
    my $by_table =
        $target->query('SET enable_indexscan = off; SET enable_indexonlyscan = off; SET enable_bitmapscan = off; SELECT count(*) FROM t');
    my $by_index =
        $target->query('SET enable_seqscan = off; SET enable_bitmapscan = off; SELECT count(*) FROM t WHERE a >= 0');
    my $plan =
        $target->query('SET enable_seqscan = off; SET enable_bitmapscan = off; EXPLAIN SELECT count(*) FROM t WHERE a >= 0');
    like($plan, qr/Index Only Scan/, 'the scan reads no table');
    is($by_table, $rows, 'a scan of the table counts right');
    is($target->query("SET enable_indexscan = off; SELECT count(*) FROM t WHERE b LIKE 'y%'"), $rows / 10,
        'and finds all that was updated');
    is($by_index, $rows, 'a scan of the index alone counts right');
    return;
}

# The copy is in the kernel's cache.
sub put_aside_on_disk
{
    my ($cluster) = @_;
    privileged('make-disk', $megabytes, $cluster->data);
    chmod 0700, $cluster->data or die;
    must_run([ 'cp', '-a', $cluster->dir . '/aside/.', $cluster->data ]);
    must_run([ 'rm', '-rf', $cluster->dir . '/aside' ]);
    return;
}

# A cluster that has been there for long. Its server's checkpoints are real ones, and it keeps hardly anything in
# memory.
sub put_on_disk
{
    my ($cluster) = @_;
    must_run([ 'mv', $cluster->data, $cluster->dir . '/aside' ]);
    mkdir $cluster->data or die;
    put_aside_on_disk($cluster);
    must_run([ 'sync', '-f', $cluster->data ]);
    $cluster->configure("fsync = on\nshared_buffers = 1MB\nbgwriter_lru_maxpages = 0\nmax_wal_size = 10GB");
    return;
}

sub fill { my ($server) = @_;
    $server->sql("INSERT INTO elsewhere SELECT i, repeat('x', 200) FROM generate_series(1, 60000) i"); return }

sub diverged
{
    my ($version) = @_;
    my $target = make_cluster('target', $version);
    put_on_disk($target);
    $target->start;
    $target->sql("CREATE TABLE t (a int PRIMARY KEY, b text); INSERT INTO t SELECT i, repeat('x', 40) FROM generate_series(1, $rows) i;
        CREATE TABLE small (a int); CREATE TABLE elsewhere (a int, b text)");
    my $source = $target->standby('source');
    $source->configure("fsync = off\nshared_buffers = 64MB\n" . ($version >= 13 ? 'wal_keep_size = 1GB'
        : 'wal_keep_segments = 1000'));
    $source->restart;
    $source->wait_for_stream_from($target);
    $target->sql('VACUUM t');
    $target->sql('CHECKPOINT');
    $map = $target->path($target->query("SELECT pg_relation_filepath('t')") . '_vm');
    $map_on_disk = slurp($map);
    $target->sql("UPDATE t SET b = repeat('y', 40) WHERE a % 10 = 0");
    $source->wait_for_replay_of($target);
    $source->promote;
    $source->sql('INSERT INTO small SELECT i % 10 FROM generate_series(1, 50000) i') for 1 .. 2;
    $source->sql('UPDATE small SET a = a + 1') for 1 .. 12;
    $source->sql('CHECKPOINT');
    return ($source, $target);
}

sub cut_after
{
    my ($target, $source, $crash, @options) = @_;
    $crash->();
    ok(slurp($map) ne $map_on_disk, 'the server has written the page of the map');
    my $result = rewinds($target, $source, options => \@options,
        not_foretold => 'every second counts until the kernel writes by itself');
    privileged('cut-power', $target->data);
    $target->follow($source);
    my $start = $target->try_start;
    is($start->{status}, 0, 'after the power cut the server starts') or do { diag($target->log); return $result };
    eval { $target->wait_for_stream_from($source); $target->wait_for_replay_of($source); pass('it streams') }
        or return fail("it streams: $@");
    counts_right($target);
    log_is_clean($target);
    return $result;
}

sub discard_both
{
    my ($target, $source) = @_;
    $target->stop('immediate');
    privileged('unmount', $target->data);
    $_->discard for $target, $source;
    return;
}

each_version(sub {
    my ($version) = @_;
    for my $options (['--debug'], ['--late-start'], ['--compare'], [ '--late-start', '--sync-method=fsync' ])
    {
        subtest("a killed server, pg_rewind @$options", sub {
            my ($source, $target) = diverged($version);
            my $result = cut_after($target, $source, sub { fill($target); $target->stop('kill') }, @$options);
            like($result->{stderr}, qr/recovery starts late, at the source's checkpoint/, 'recovery starts late')
                if $options->[0] eq '--debug';
            discard_both($target, $source);
        });
    }
    # Copied after a run that was killed after its commit, too: what that one has synced is not on this disk.
    for my $case ([''], [ '', '--sync-method=fsync' ], ['patch'], [ 'patch', '--sync-method=fsync' ], ['cleanup'])
    {
        my ($killed, @options) = @$case;
        my $what = $killed ? "an interrupted rewind, killed at '$killed', that" : 'a target that';
        subtest("$what was just copied, pg_rewind @options", sub {
            my ($source, $target) = diverged($version);
            cut_after($target, $source, sub {
                fill($target);
                $target->stop;
                end_by_kill(hold($target, $source, $killed)) if $killed;
                must_run([ 'cp', '-a', $target->data, $target->dir . '/aside' ]);
                privileged('unmount', $target->data);
                put_aside_on_disk($target);
            }, @options);
            discard_both($target, $source);
        });
    }
}, only => [ 10, 15, 18 ]);
