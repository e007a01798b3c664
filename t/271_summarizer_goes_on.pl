# The rewound standby's server summarizes its WAL as it did before.
# (17 and later, which have summaries. The configuration that stays is the target's: --keep-config, and one outside the
# directory.)
#
# From a late start, where the source never summarized its own: no WAL stays before the gap, for which the summarizer
# would wait, while the server keeps all WAL.
#
#   source       ┌──── 2 ── changes ── S, its checkpoint ──▶   WAL comes from S on: a gap between the divergence and S
#   target   1 ●─┴──── 1 ──▶                                   summarize_wal = on, here alone
#
# With WAL of older timelines, whose last segments were renamed to .partial by promotions: the summarizer begins with
# the oldest timeline, and would wait for that segment. (Both sources.)
#
#   source                         ┌── 4 ──▶
#   target   1 ──┴── 2 ──┴── 3 ──●─┴── 3 ──▶    WAL of timelines 1 and 2 stays, and replay begins behind it
# (Rules W5, W6.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

# More than is kept before a late start all the same, then a checkpoint.
sub write_segments
{
    my ($cluster, $megabytes) = @_;
    $cluster->sql("SELECT pg_logical_emit_message(false, 'much', repeat('x', 1000000)) FROM generate_series(1, $megabytes); CHECKPOINT");
    return;
}

# The first segment of the source's timeline.
sub oldest { my ($cluster) = @_;
    return (sort map { s{.*/}{}r } glob($cluster->path('pg_wal/00000002????????????????')))[0] }

sub goes_on
{
    my ($rewound, $source) = @_;
    write_segments($source, 3);
    my $redo = $source->query('SELECT redo_lsn FROM pg_control_checkpoint()');
    $rewound->wait_for_replay_of($source);
    $rewound->sql('CHECKPOINT');
    wait_until('the rewound target summarizes its WAL',
        sub { $rewound->query("SELECT count(*) FROM pg_available_wal_summaries() WHERE end_lsn >= '$redo'") > 0 });
    return;
}

sub from_a_late_start
{
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        cluster => { settings => 'wal_keep_size = 1GB' },
        before => sub { my ($primary) = @_; $primary->sql('CREATE TABLE t (a int)') },
        together => sub {
            my ($target) = @_;
            $target->configure('summarize_wal = on');
            $target->sql('SELECT pg_reload_conf()');
            write_segments($target, 3);
            $target->sql('INSERT INTO t VALUES (1)');
        },
        source => sub { my ($source) = @_; write_segments($source, 80) },
        target => sub { my ($target) = @_; $target->sql('INSERT INTO t VALUES (2)') });
    is(join(' ', glob($source->path('pg_wal/summaries/*'))), '', 'the source has no summaries');

    rewinds_from_both_kinds($source, $target, options => [qw(--late-start --keep-config)],
        rewound => sub {
            my ($rewound) = @_;
            cmp_ok(oldest($rewound), 'gt', oldest($source),
                'a late start leaves a gap between the divergence and its WAL');
        },
        check => \&goes_on, no_promotion => 1, quick => 1);

    # None was made before the failover: only the configuration says that they will be.
    my $outside = $target->copy('outside');
    my $path = $outside->dir . '/outside.conf';
    spew($path, slurp($outside->path('postgresql.conf')));
    unlink glob($outside->path('pg_wal/summaries/*.summary'));
    rewinds($outside, $source, options => [ '--late-start', "--config-file=$path" ]);
    spew($outside->path('postgresql.conf'), slurp($path));
    rejoins($outside, $source, check => \&goes_on, no_promotion => 1, quick => 1);

    # What no archive has yet stays all the same.
    my $copy = $target->copy('not_archived');
    my $warning =
        qr/^pg_rewind: warning: WAL of the target that is not archived yet stays, and a gap follows: until this WAL is removed, the target's server cannot summarize WAL, and removes none$/m;
    my ($common) = map { s{.*/}{}r } glob($copy->path('pg_wal/00000001????????????????'));
    my $hint =
        qr/^pg_rewind: hint: Before the server starts, copy the segments in "pg_wal" up to $common to the archive, and remove them and their \.ready files\.$/m;
    spew($copy->path("pg_wal/archive_status/$common.ready"), '');
    my $kept = rewind($copy, $source, options => [qw(-n --late-start --keep-config)]);
    like($kept->{stderr}, $warning, 'of WAL that is not archived yet it warns');
    like($kept->{stderr}, $hint, 'and says what to do with it');
    like($kept->{stderr}, qr/^pg_rewind: hint: WAL of the target .* yet stays, .*\. Before the server starts, copy /m,
        'among the next steps, too');
    my $replaced = rewind($copy, $source, options => [qw(-n --late-start)]);
    unlike($replaced->{stderr}, $warning, 'but not with the configuration of a source that does not summarize');

    # A server that was started nevertheless goes on as well once that WAL is gone.
    rewinds($copy, $source, options => [qw(--late-start --keep-config)]);
    $copy->follow($source)->start;
    wait_until('the WAL summarizer fails at the gap',
        sub { $copy->log =~ /ERROR:  requested WAL segment \S+ has already been removed/ });
    unlink $copy->path("pg_wal/$common"), $copy->path("pg_wal/archive_status/$common.ready");
    goes_on($copy, $source);
    $copy->stop;
    return;
}

sub with_a_renamed_segment
{
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        cluster => { settings => "wal_keep_size = 1GB\narchive_mode = on\narchive_command = 'true'" },
        before => sub {
            my ($primary) = @_;
            $primary->sql('CREATE TABLE t (a int)');
            write_segments($primary, 3);
            $primary->switch_timeline->switch_timeline;
            write_segments($primary, 3);
        },
        together => sub { my ($target) = @_; $target->sql('INSERT INTO t VALUES (1)') },
        target => sub { my ($target) = @_; $target->sql('INSERT INTO t VALUES (2)');
            $target->configure('summarize_wal = on') });
    my @renamed = map { m{([^/]+)\.partial$} } glob($target->path('pg_wal/*.partial'));
    is(join(' ', map { substr($_, 0, 8) } @renamed), '00000001 00000002',
        'the target has renamed the last segments of timelines 1 and 2');
    is(join(' ', grep { -e $target->path("pg_wal/$_") } @renamed), '', 'which then have no other name');

    rewinds_from_both_kinds($source, $target, options => ['--keep-config'],
        rewound => sub {
            my ($rewound) = @_;
            cmp_ok(scalar(my @older = glob($rewound->path('pg_wal/00000001????????????????'))), '>', 1,
                'WAL of timeline 1 stays');
            is(join(' ', grep { !-e $rewound->path("pg_wal/$_") } @renamed), '',
                'the segments that were renamed are there again');
        },
        check => \&goes_on, no_promotion => 1, quick => 1);
    return;
}

each_version(sub {
    my ($version) = @_;
    subtest('from a late start', sub { from_a_late_start($version) });
    RewindTest::Cluster::discard_all();
    subtest('with a segment that a promotion has renamed', sub { with_a_renamed_segment($version) });
}, from => 17);
