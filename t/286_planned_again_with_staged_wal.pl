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

each_version(sub {
    my ($version) = @_;
    for my $option ([], ['--early-start'])
    {
        subtest("options: @$option", sub { is_rewound($version, @$option) });
        RewindTest::Cluster::discard_all();
    }
}, only => [ 10, 14, 15, 18 ]);
