# A source that was promoted a moment ago, whose pg_control still shows the old timeline, is known for what it is.
# (Invariant 7. Both sources.)
#
#   source       ┌──── 2 ─▶      ┬ divergence: no checkpoint of timeline 2 is complete when pg_rewind looks
#   target   1 ──┴──── 1 ─▶
#
# A directory shows that only if the promoted server was killed, and started and stopped once more as a standby.
# (Rules C15, C47.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

# As a standby of nobody.
sub follow_nobody
{
    my ($cluster) = @_;
    my $nobody = bless { %$cluster, dir => '/nonexistent' }, ref $cluster;
    return $cluster->follow($nobody)->start;
}

sub end_timeline_is
{
    my ($rewound, $timeline) = @_;
    return if $rewound->version != 15;    # there is a pg_controldata of 15
    like(must_run([ program('pg_controldata'), $rewound->data ]),
        qr/^Min recovery ending loc's timeline:\s*$timeline$/m,
        "minRecoveryPoint lies on timeline $timeline");
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        # The checkpoint that follows a promotion takes its time when many buffers are to be written.
        cluster => {
            settings => "checkpoint_timeout = 1h\ncheckpoint_completion_target = 0.99\nmax_wal_size = 10GB\nbgwriter_lru_maxpages = 0" },
        before => sub { $_[0]->sql('CREATE TABLE t (a int, b text); CREATE INDEX ON t (a)') },
        together => sub { $_[0]->sql(q{INSERT INTO t SELECT i, repeat('x', 100) FROM generate_series(1, 30000) i}) },
        no_checkpoint => 1,
        source => sub {
        $_[0]->hold_first_checkpoint->sql(q{INSERT INTO t SELECT i, 'source' FROM generate_series(1, 100) i}) },
        target => sub {
            $_[0]->sql(q{INSERT INTO t SELECT i, 'target' FROM generate_series(1, 5000) i; UPDATE t SET b = 'lost' WHERE a % 100 = 1}) });

    my $timeline = sub { $source->query('SELECT timeline_id FROM pg_control_checkpoint()') };
    my %rewound;
    my $rewinds_from = sub {
        my ($kind) = @_;
        $rewound{$kind} = $target->copy("from_$kind");
        my $result = rewinds($rewound{$kind}, $source, kind => $kind, options => [ '--no-sync' ]);
        like($result->{stderr}, qr/^pg_rewind: servers diverged at WAL location [0-9A-F]+\/[0-9A-F]+ on timeline 1$/m,
            'the divergence is found');
        end_timeline_is($rewound{$kind}, 2);
    };

    $rewinds_from->('server');
    is($timeline->(), 1, 'the source has not finished its first checkpoint on the new timeline meanwhile');

    $source->sql(q{INSERT INTO t SELECT i, 'more' FROM generate_series(1, 100) i});
    $source->stop('kill');
    my $refused = rewind($target, $source, kind => 'directory');
    is($refused->{status}, 1, 'the directory of a killed source is refused');
    like($refused->{stderr}, qr/error: source data directory must be shut down cleanly$/m, 'with the reason');

    follow_nobody($source);
    is($timeline->(), 1, 'started as a standby, it still shows the old timeline');
    $source->stop;
    $rewinds_from->('directory');

    $source->start->promote;
    rejoins($rewound{$_}, $source) for sort keys %rewound;
}, sample => 1);
