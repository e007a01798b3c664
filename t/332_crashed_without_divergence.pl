# A target that crashed, and whose WAL ends where the source left its timeline or before, needs no rewind: it goes on as
# a standby. (The original rewinds it, since it recovers it first, and that writes a checkpoint.) (Both sources.)
#
#   source      ┌── 2 ──▶
#   target   1 ─┴ killed
#
# Not so one that crashed before its first checkpoint after a promotion: pg_control says that its pages are consistent
# at the promotion, while they are as new as the crash. A hash index shows it: between restartpoint and promotion VACUUM
# has named its pages without an image, after the promotion the index is dropped.
#
#   source                                        ┌── 3 ──▶
#   target   1 ─── restartpoint ── promoted ── 2 ─┴ killed
#
# So it is if somebody has tried to start it as a standby in the meantime: that ends with an error, and leaves the state
# "in archive recovery", which is a standby's.
# (Rules C29, C105, C108, U1.)

use strict;
use warnings;

use RewindTest;
use RewindTest::Tree;

sub before_first_checkpoint
{
    my ($version) = @_;
    my $primary = make_cluster('primary', $version, settings => 'bgwriter_lru_maxpages = 0')->start;
    $primary->sql('CREATE TABLE t AS SELECT 1 AS a, g AS b FROM generate_series(1, 5000) g');
    $primary->sql('CREATE INDEX h ON t USING hash (a)');
    my ($target, $source) = map { $primary->standby($_) } qw(target source);
    $primary->sql("CREATE TABLE large AS SELECT g, repeat('x', 200) FROM generate_series(1, 20000) g; CHECKPOINT");
    $target->wait_for_replay_of($primary);
    $target->sql('CHECKPOINT');
    $primary->sql('DELETE FROM t WHERE b BETWEEN 2000 AND 3000');
    $primary->sql('VACUUM t');
    $_->wait_for_replay_of($primary) for $target, $source;
    my $checkpointer = $target->checkpointer_pid;
    stop_in_system_call($target->background_writer_pid, $checkpointer);
    $target->promote;
    $source->stop;
    $source->follow($target)->start;
    $target->sql('DROP INDEX h; UPDATE t SET b = -b');
    $source->wait_for_replay_of($target);
    $target->stop('kill');
    $source->promote;
    $source->sql('CHECKPOINT');
    my $check = run([ rewind_argv($target->data, '--check', '--source-server', $source->conninfo) ]);
    like($check->{stdout}, qr/rewind is needed.*\n.*, in the source's history, but its pg_control/i,
        '--check says that a rewind is needed, and why');
    my $tried = $target->copy('tried')->follow($source);
    isnt($tried->try_start->{status}, 0, 'as it is it does not start as a standby');
    like($tried->log, qr/PANIC:  WAL contains references to invalid pages/, 'because of its pages');
    is(unpack('x16 V', slurp($tried->path('global/pg_control'))), 5, 'it is in archive recovery');
    rewinds($tried, $source);
    rejoins($tried, $source, quick => 1);
    $tried->discard;
    rewinds_from_both_kinds($source, $target);
    return;
}

each_version(sub {
    my ($version) = @_;
    my $target = make_cluster('target', $version)->start;
    $target->sql('CREATE TABLE t AS SELECT g FROM generate_series(1, 1000) g');
    my $source = $target->standby('source');
    $target->sql('CHECKPOINT; UPDATE t SET g = g + 1');
    # Its own record would be a divergence if the source lacked it.
    stop_in_system_call($target->background_writer_pid);
    $source->wait_for_replay_of($target);
    $target->stop('kill');
    $source->promote;
    $source->sql('CHECKPOINT; UPDATE t SET g = -g');
    for my $kind (qw(server directory))
    {
        my $copy = $target->copy($kind);
        my $before = tree($copy);
        $source->stop if $kind eq 'directory';
        my $result = rewinds($copy, $source, kind => $kind);
        $source->start if $kind eq 'directory';
        like($result->{stderr}, qr/^pg_rewind: no rewind required$/m, "no rewind is required with a $kind as source");
        is_same_tree(tree($copy), $before, 'nothing is changed');
        rejoins($copy, $source, quick => 1);
        $copy->discard;
    }
    RewindTest::Cluster::discard_all();
    subtest('before the first checkpoint after a promotion', sub { before_first_checkpoint($version) });
}, only => [ 10, 13, 15, 18 ]);
