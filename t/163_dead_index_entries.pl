# A server that was promoted marks entries of an index as dead without WAL until its first own checkpoint begins, on
# pages that were changed since its last restartpoint. The rewound target does not keep such marks: its indexes find
# what its tables hold.
#
#   source   1 ── insert ──●──┬── 1 ──▶                                    ● checkpoint, for which the target made no restartpoint
#   target                    └── 2 ── delete, index scans ──●──▶          ┬ divergence
# (Rule U5.)

use strict;
use warnings;

use RewindTest;

my @indexes = (
    [ 't_btree', 'a BETWEEN 1 AND 1000' ],
    [ 't_hash', 'h = 7' ],
    [ 't_gist', "p <@ box '((0, 0), (1000, 1000))'" ],
);

sub make_table
{
    my ($primary) = @_;
    $primary->sql('CREATE TABLE t (a int, h int, p point); CREATE INDEX t_btree ON t (a);
        CREATE INDEX t_hash ON t USING hash (h); CREATE INDEX t_gist ON t USING gist (p)');
    return;
}

sub insert_rows
{
    my ($primary) = @_;
    $primary->sql('INSERT INTO t SELECT g, 7, point(g, g) FROM generate_series(1, 1000) g');
    return;
}

sub by_index
{
    my ($cluster, $index, $condition) = @_;
    my $scan = "SET enable_seqscan = off; SET enable_bitmapscan = off; SELECT count(*) FROM t WHERE $condition";
    like($cluster->query($scan =~ s/SELECT/EXPLAIN SELECT/r), qr/\b$index\b/, "$index is used");
    return $cluster->query($scan);
}

sub mark_dead
{
    my ($cluster) = @_;
    $cluster->sql('DELETE FROM t WHERE a > 200');
    for my $index (@indexes)
    {
        is(by_index($cluster, @$index), 200, "$index->[0] is scanned, and entries are marked") for 1, 2;
    }
    return;
}

# Promote a standby whose checkpointer does nothing until this is done.
sub before_its_first_checkpoint
{
    my ($target, $done) = @_;
    my $checkpointer = $target->checkpointer_pid;
    stop_in_system_call($checkpointer);
    $target->promote;
    $done->();
    kill 'CONT', $target->checkpointer_pid;
    $target->sql('CHECKPOINT');
    return;
}

sub promote_and_mark
{
    my ($target) = @_;
    before_its_first_checkpoint($target, sub { mark_dead($target) });
    return;
}

# After the rewind: while it is a standby, and promoted.
sub indexes_find_all
{
    my ($source, $target) = @_;
    rewinds_from_both_kinds($source, $target, no_promotion => 1,
        check => sub {
            my ($rewound) = @_;
            $rewound->promote;
            for my $index (@indexes)
            {
                is(by_index($rewound, @$index), 1000, "$index->[0] finds all rows");
            }
        });
    RewindTest::Cluster::discard_all();
    return;
}

sub promoted
{
    my ($version) = @_;
    my $source = make_cluster('source', $version)->start;
    make_table($source);
    my $target = $source->standby('target');
    insert_rows($source);
    $source->sql('CHECKPOINT');
    $target->wait_for_replay_of($source);
    promote_and_mark($target);
    $target->stop;
    return ($source, $target);
}

# The same of a target that was itself rewound before: where its recovery began stands in no file any more.
sub rewound_before
{
    my ($version) = @_;
    my ($source, $target) = split_brain($version, before => \&make_table,
        target => sub { $_[0]->sql('CREATE TABLE gone (a int)') });
    rewinds($target, $source);
    $target->follow($source)->start;
    insert_rows($source);
    $source->sql('CHECKPOINT');
    $target->wait_for_replay_of($source);
    promote_and_mark($target);
    $target->stop;
    return ($source, $target);
}

# The deletion is replayed, not made, by the server that marks its entries, and all before its promotion.
#
#   source       └── 2 ──▶
#   primary  1 ──┴── 1 ── delete ──┬──▶
#   target                         └── 3 ── index scans ──●──▶
sub deleted_before_the_promotion
{
    my ($version) = @_;
    my $primary = make_cluster('primary', $version)->start;
    make_table($primary);
    my $target = $primary->standby('target');
    my $source = $primary->standby('source');
    insert_rows($primary);
    $primary->sql('CHECKPOINT');
    $_->wait_for_replay_of($primary) for $target, $source;
    $source->promote;
    $source->sql('CHECKPOINT');
    $primary->sql('DELETE FROM t WHERE a > 200; CHECKPOINT');
    $target->wait_for_replay_of($primary);
    promote_and_mark($target);
    $target->stop;
    $primary->discard;
    return ($source, $target);
}

# The divergence lies behind the target's promotion, but before its first own checkpoint.
#
#   primary  1 ── insert ──●──┬──▶
#   target                    └── 2 ──┬── 2 ── delete, index scans ──●──▶
#   source                            └── 3 ──▶
sub diverged_after_the_promotion
{
    my ($version) = @_;
    my $primary = make_cluster('primary', $version)->start;
    make_table($primary);
    my $target = $primary->standby('target');
    my $source = $primary->standby('source');
    insert_rows($primary);
    $primary->sql('CHECKPOINT');
    $_->wait_for_replay_of($primary) for $target, $source;

    before_its_first_checkpoint($target, sub {
        $target->sql('CREATE TABLE common (a int)');
        $source->stop;
        $source->follow($target)->start;
        $source->wait_for_replay_of($target);
        $source->promote;
        $source->sql('CHECKPOINT');
        mark_dead($target);
    });
    $target->stop;
    $primary->discard;
    return ($source, $target);
}

# The first own checkpoint has begun, and takes an hour: a page that was dirty before is not logged for a mark until it
# is written.
sub during_the_first_checkpoint
{
    my ($version) = @_;
    my $source = make_cluster('source', $version,
        settings => "checkpoint_timeout = 1h\ncheckpoint_completion_target = 0.99\nmax_wal_size = 10GB\nbgwriter_lru_maxpages = 0")->start;
    make_table($source);
    my $target = $source->standby('target');
    insert_rows($source);
    # What the checkpoint writes first.
    $source->sql("CREATE TABLE large AS SELECT g, repeat('x', 200) FROM generate_series(1, 20000) g; CHECKPOINT");
    $target->wait_for_replay_of($source);
    $target->promote;
    $target->hold_first_checkpoint;
    $target->sql('CREATE TABLE begun (a int)');
    mark_dead($target);
    unlike($target->log,
        qr/checkpoint complete:.*\n(?s:.*)checkpoint starting: force|checkpoint starting: force(?s:.*)checkpoint complete/,
        'it has not ended');
    kill 'CONT', $target->checkpointer_pid;
    $target->sql('CHECKPOINT');
    $target->stop;
    return ($source, $target);
}

my @all_indexes = @indexes;

each_version(sub {
    my ($version) = @_;
    @indexes = grep { $_->[0] ne 't_hash' || $version >= 10 } @all_indexes;    # without WAL no standby has its entries
    subtest('a promoted target', sub { indexes_find_all(promoted($version)) });
    subtest('a target that was rewound before', sub { indexes_find_all(rewound_before($version)) });
    subtest('rows deleted before the promotion', sub { indexes_find_all(deleted_before_the_promotion($version)) });
    subtest('a divergence behind the promotion', sub { indexes_find_all(diverged_after_the_promotion($version)) });
    subtest('during the first checkpoint', sub { indexes_find_all(during_the_first_checkpoint($version)) });
}, only => [ 10, 13, 15, 18 ]);
