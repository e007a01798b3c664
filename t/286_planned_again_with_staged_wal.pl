# A plan that is made again finds the WAL that was staged for the one before, also what the source has removed since:
# nothing has to be compared, and --early-start is no error.
#
#   source     ────┬──── 2 ── W ── checkpoint ──────────── copy of the template, W is removed ──▶
#   target   1 ────┘                          ▲ pg_rewind has made its plan, and stages
# (Rule C31.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Background;
use RewindTest::Held;

sub segments_of { my ($source) = @_; return map { m{/([0-9A-F]{24})\z} } glob($source->path('pg_wal/*')) }

sub is_rewound
{
    my ($version, @options) = @_;
    my $strategy = $version >= 15 ? 'STRATEGY = FILE_COPY' : '';
    my ($source, $target) = split_brain($version,
        before => sub {
            my ($primary) = @_;
            $primary->sql('CREATE DATABASE template');
            $primary->sql('CREATE TABLE t AS SELECT generate_series(1, 1000) AS a', $_) for qw(template postgres);
        },
        source => sub {
            my ($server) = @_;
            $server->sql('INSERT INTO t SELECT generate_series(1, 1000); SELECT pg_switch_wal()') for 1 .. 3;
            $server->sql('CHECKPOINT');
        },
        target => sub { my ($server) = @_;
            $server->sql('UPDATE t SET a = 0 WHERE a % 2 = 0', $_) for qw(template postgres) });
    my @written = segments_of($source);
    # Held when the WAL was staged. The slot keeps what follows the checkpoint.
    my $held = hold($target, $source, 'write@*/pg_rewind.work/*', qw(-R --slot=of_target --create-slot), @options);
    $source->sql('ALTER SYSTEM SET ' . ($version >= 13 ? 'wal_keep_size' : 'wal_keep_segments') . ' = 0');
    $source->sql('SELECT pg_reload_conf()');
    $source->sql("CREATE DATABASE copied TEMPLATE template $strategy");
    $source->sql('CHECKPOINT') for 1 .. 2;
    my %left = map { $_ => 1 } segments_of($source);
    cmp_ok(scalar(grep { !$left{$_} } @written), '>', 1, 'the source has removed WAL');
    my $result = go_on($held);
    is($result->{status}, 0, 'pg_rewind succeeds') or return diag($result->{stderr});
    like($result->{stderr}, qr/^pg_rewind: the source has copied a database, .*: starting again$/m,
        'the plan was made again');
    unlike($result->{stderr}, qr/comparing all blocks/, 'nothing is compared');
    rejoins($target, $source, recovery_written => 1, no_promotion => 1, check => sub {
        my ($rewound) = @_;
        is($rewound->query('SELECT count(*), min(a) FROM t', 'copied'), '1000|1', 'the copy has its rows');
    });
    return;
}

# With --compare the second plan begins at a later checkpoint, and needs nothing from before: that takes no space.
sub needs_less
{
    my ($version) = @_;
    my $strategy = $version >= 15 ? 'STRATEGY = FILE_COPY' : '';
    my ($source, $target) = split_brain($version,
        before => sub {
            $_[0]->sql('CREATE TABLE t AS SELECT i, repeat(i::text, 100) AS v FROM generate_series(1, 20000) i');
        },
        source => sub { $_[0]->sql('CHECKPOINT') },
        target => sub { $_[0]->sql("UPDATE t SET v = 'target'") });
    my $held = hold($target, $source, 'write@*/pg_rewind.work/*', qw(--compare --max-rate=2M));
    $source->sql('CREATE TABLE u AS SELECT generate_series(1, 1000); SELECT pg_switch_wal()');
    my @written = segments_of($source);
    $source->sql("CREATE DATABASE copied $strategy");
    $source->sql('SELECT pg_switch_wal()');
    $source->sql('CHECKPOINT') for 1 .. 2;
    release($held);
    my $again = qr/^pg_rewind: the source has copied a database, .*: starting again$/m;
    wait_until('the plan is made again', sub { slurp($held->{errors}) =~ $again || has_ended($held) });
    my $kept = sub { scalar grep { -e $target->path("pg_rewind.work.wal/source.$_") } @written };
    wait_until('WAL of the former plan is removed', sub { !$kept->() || has_ended($held) });
    ok(!has_ended($held), 'WAL that the second plan does not need is removed before its files are fetched');
    my $result = end_of_rewind($held);
    is($result->{status}, 0, 'pg_rewind succeeds') or return diag($result->{stderr});
    rejoins($target, $source);
    return;
}

each_version(sub {
    my ($version) = @_;
    subtest('a plan that needs less', sub { needs_less($version) });
    RewindTest::Cluster::discard_all();
    for my $option ([], ['--early-start'])
    {
        subtest("options: @$option", sub { is_rewound($version, @$option) });
        RewindTest::Cluster::discard_all();
    }
}, only => [ 10, 14, 15, 18 ]);
