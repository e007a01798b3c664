# --checkpoint=auto: CHECKPOINT is run on the source where it clearly pays, and the role may run it; otherwise the
# rewind goes on without, and without an error. Where the option is not given one line tells what it would spare. (Where
# recovery starts. Source is a server; and a directory.)
#
#   source   1 ──●──┬── 2 ── 500 MB of WAL, few blocks ──▶     no checkpoint since the divergence
#   target          └── 1 ──▶
# (Rule C41.)

use strict;
use warnings;

use lib 't/lib';
use JSON::PP ();
use RewindTest;
use RewindTest::Hot;

my $settings = "max_wal_size = 4GB\ncheckpoint_timeout = 1h\nautovacuum = off\nshared_buffers = 32MB\n";
my $runs = qr/running CHECKPOINT/;
my $ran = qr/^pg_rewind: $runs on the source\npg_rewind: detail: It should spare \d+ s of replay, and cost \d+ s\.$/m;
my $begin = "pg_rewind: the target will replay the source's WAL for about \\d+ s when it starts";
my $advice = qr/^$begin; with --checkpoint=auto it would be ready about \d+ s sooner$/m;
my $sooner = 'a checkpoint on the source would make it ready about \d+ s sooner';
my $no_right = qr/^$begin; $sooner, but the role may not run CHECKPOINT$/m;

# Rewind a copy. Returns what was said, and the report's estimate.
sub outcome
{
    my ($name, $target, $source, %option) = @_;
    my $copy = $target->copy('copy');
    my $file = $copy->dir . '/report.json';
    my $result = rewinds($copy, $source, %option,
        options => [ '-N', '--report=json', "--report-file=$file", @{ $option{options} // [] } ]);
    my $start = JSON::PP->new->decode(slurp($file))->{recovery_start};
    rejoins($copy, $source, quick => 1) if $option{rejoins};
    $copy->discard;
    return ($result->{stderr}, $start);
}

sub little_is_replayed
{
    my ($target, $source) = @_;
    my ($said, $start) = outcome('again', $target, $source, options => ['--checkpoint=auto']);
    unlike($said, $runs, 'where little is replayed no checkpoint is made');
    is($start->{checkpoint_on_source}, undef, 'nor weighed');
    $source->stop;
    ($said) = outcome('directory', $target, $source, kind => 'directory',
        env => { PG_REWIND_OPTIONS => '--checkpoint=auto' });
    unlike($said, $runs, 'nor of a directory');
    $source->start;
    return;
}

each_version(sub {
    my ($version) = @_;
    my $kept = $version >= 13 ? 'wal_keep_size = 4GB' : 'wal_keep_segments = 256';
    my ($source, $target) = split_brain($version,
        cluster => { wal_segment_mb => 16, settings => "$settings$kept\n" },
        before => sub { make_hot($_[0]); $_[0]->sql(rewinding_role('rewinder')) if $version >= 11 },
        source => sub { write_hot($_[0], 500) },
        target => sub { $_[0]->sql('UPDATE hot SET v = -1 WHERE a % 7 = 0') });

    my ($said, $start) = outcome('unasked', $target, $source);
    like($said, $advice, 'unasked it is advised');
    unlike($said, $runs, 'and not made');
    is_deeply([ @{ $start->{checkpoint_on_source} }{qw(pays made)} ], [ JSON::PP::true, JSON::PP::false ],
        'the report has the estimate');
    ($said, $start) = outcome('no', $target, $source, options => ['--checkpoint=no']);
    unlike($said, qr/CHECKPOINT|--checkpoint/, 'with --checkpoint=no neither');
    is($start->{checkpoint_on_source}, undef, 'nor is one weighed');

    if ($version >= 11)
    {
        ($said) = outcome('role', $target, $source, user => 'rewinder', options => ['--checkpoint=auto']);
        like($said, $no_right, 'a role that may not run it is told of');
        unlike($said, $runs, 'and goes on without');
    }
    ($said) = outcome('dry', $target, $source, options => [qw(--checkpoint=auto -n)]);
    like($said, qr/^pg_rewind: not running CHECKPOINT on the source in a dry run/m, 'a dry run makes none');
    unlike($said, $advice, 'and advises none');

    ($said, $start) = outcome('auto', $target, $source, rejoins => 1,
        env => { PG_REWIND_OPTIONS => '--checkpoint=auto' });
    like($said, $ran, 'it is made where it pays');
    ok($start->{late}, 'recovery starts there');
    ok($start->{checkpoint_on_source}{made}, 'the report says so');
    little_is_replayed($target, $source);
}, only => [ 10, 15, 18 ]);
