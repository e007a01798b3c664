# A source that stays away, or that is another one when it comes back, ends the run with status 1, and the target is
# untouched.  (Invariant 1. The same on all versions; the source is a server.)
#
#   source    1 ──┬── 2 ──▶ gone, hanging, restored from a copy ...
#   standby       ├── 2 ──▶ same history, other directory
#   further       └── 2 ──┬── 3 ──▶
#   stranger  ── 1 ──▶ another cluster
# (Rules C52, I45, T12.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Background;
use RewindTest::Proxy;
use RewindTest::Tree;

my ($target, $before, $bytes);    # what is rewound; its tree; what the source sends in an undisturbed run

# Hold the run in its middle, do the deed, let it go on.
sub fails
{
    my ($name, $proxy, %option) = @_;
    subtest($name, sub {
        $proxy->after($option{bytes} // int($bytes / 2), $option{action} // 'hang');
        my $run = start_rewind($target, $proxy, options => [ '--retry-timeout=' . ($option{seconds} // 120),
            @{ $option{options} // [] } ]);
        $proxy->wait_for($option{action} // 'hang');
        $option{deed}->() if $option{deed};
        $proxy->pass if !$option{no_pass};
        my $result = end_of_rewind($run);
        is($result->{status}, 1, 'exit status 1') or diag($result->{stderr});
        like($result->{stderr}, $_, 'it says why') for @{ $option{says} };
        like($result->{stderr}, qr/^pg_rewind: hint: The target is unchanged\./m, 'and that the target is unchanged');
        cmp_ok($result->{seconds}, '<', $option{at_most}, 'it takes no longer than it may') if $option{at_most};
        is_same_tree(tree($target), $before, 'the target is as it was');
        $option{then}->() if $option{then};
        $proxy->pass;
    });
    return;
}

# A copy of the directory, and this back in its place, but for two files that nobody ever writes: what a snapshot does.
my @stay = qw(PG_VERSION base/1/PG_VERSION);

sub save_state
{
    my ($cluster) = @_;
    my $archive = work_dir() . '/saved.tar';
    $cluster->stop;
    must_run([ 'tar', '-C', $cluster->data, (map { "--exclude=./$_" } @stay), '-cf', $archive, '.' ]);
    $cluster->start;
    $cluster->sql('CREATE TABLE forgotten AS SELECT * FROM t');
    return $archive;
}

sub go_back
{
    my ($cluster, $archive) = @_;
    $cluster->stop('immediate');
    unlink grep { -f } glob($cluster->path('pg_wal/*'));
    must_run([ 'tar', '-C', $cluster->data, '-xf', $archive ]);
    $cluster->start;
    return;
}

each_version(sub {
    my ($version) = @_;
    (my $source, $target) = split_brain($version,
        before => sub {
        # The owner of a database can have few digits written; no two directories may look equal for that. (Rule T12.)
        $_[0]->sql('ALTER DATABASE postgres SET extra_float_digits = -15');
        $_[0]->sql("CREATE TABLE t AS SELECT i, repeat('common', 20) AS v FROM generate_series(1, 20000) i") },
        source => sub { $_[0]->sql("UPDATE t SET v = 'source' WHERE i % 3 = 0; CREATE TABLE s AS SELECT 1 AS a") },
        target => sub { $_[0]->sql("UPDATE t SET v = 'target'; CREATE TABLE u AS SELECT * FROM t") });
    my $further = $source->standby('further')->promote;
    my $standby = $source->standby('standby');
    my $made = (stat $standby->path('PG_VERSION'))[10];
    wait_until('the clock goes on', sub { time > $made });
    my $twin = $source->standby('twin');
    # Another initdb, another system identifier.
    my $stranger = make_cluster('stranger', $version, checksums => $version == 9.3 ? 0
        : substr($version, -1) % 2)->start;
    my $saved = save_state($source);
    my $proxy = RewindTest::Proxy->new('proxy', $source);
    $before = tree($target);

    {
        my $copy = $target->copy('undisturbed');
        rewinds($copy, $proxy, options => ['--no-sync']);
        $bytes = $proxy->status->{bytes};
        $copy->discard;
    }

    fails('the source is gone', $proxy, seconds => 2, action => 'refuse', no_pass => 1, at_most => 45,
        says => [ qr/^pg_rewind: detail: pg_rewind retried the connection for 2 seconds\.$/m,
            qr/^pg_rewind: hint: .*Run pg_rewind again when the source can be reached\.$/m ]);
    fails('the source is gone, and is not to be tried again', $proxy, seconds => 0, action => 'refuse', no_pass => 1,
        at_most => 45,
        says => [ qr/^pg_rewind: error: connection to .*(?:was lost|failed)/m ]);
    fails('connections are lost, and are not to be made again', $proxy, seconds => 0, action => 'cut',
        says => [ qr/^pg_rewind: error: connection to .*(?:was lost|failed)/m ]);
    fails('the network hangs', $proxy, seconds => 2, no_pass => 1, at_most => 45,
        says => [ qr/was lost: no answer within 1 s/, qr/^pg_rewind: error: .*no answer/m ]);
    for my $row (
        [ 'another cluster', $stranger, qr/^pg_rewind: error: new connection leads to a different system$/m ],
        [ 'a server that was promoted', $further,
        qr/^pg_rewind: error: new connection leads to another server, or the source server was promoted$/m ],
        [ 'a standby of the source', $standby,
            qr/^pg_rewind: detail: It is a standby on timeline 2; earlier it was a primary on timeline 2\.$/m ])
    {
        my ($who, $other, $message) = @$row;
        fails("$who answers at the same address", $proxy,
            deed => sub { $proxy->switch_to($other); $proxy->cut },
            says => [ $message ],
            then => sub { $proxy->switch_to($source) });
    }

    # Two standbys of one primary have all in common but the directory.
    my $to_standby = RewindTest::Proxy->new('to_standby', $standby);
    fails('another standby answers at the same address', $to_standby,
        deed => sub { $to_standby->switch_to($twin); $to_standby->cut },
        says => [ qr/^pg_rewind: error: new connection leads to another server$/m,
            qr/^pg_rewind: detail: It has a different data directory\.$/m ]);
    $to_standby->switch_to($standby);
    # Restarted it begins before what it had replayed, and nobody knows whether it has come as far again.
    fails('the source is a standby that has lost its primary', $to_standby,
        deed => sub { $standby->stop('immediate')->start(settings => { primary_conninfo => "''" }); $to_standby->cut },
        seconds => 15,
        says => [
        qr/^pg_rewind: error: source server has not yet replayed the WAL that it had replayed before its restart$/m ],
        then => sub { $standby->restart }) if $version >= 12;
    fails('the source is promoted', $to_standby, deed => sub { $standby->promote; $to_standby->cut },
        says => [ qr/or the source server was promoted$/m ]);

    fails('the source is restarted with too little WAL', $proxy,
        # A server may wait for a client that does not read its last words.
        deed => sub {
            $proxy->refuse;
            $source->stop->start(settings => { wal_level => 'minimal', max_wal_senders => 0 });
            $proxy->cut;
        },
        says => [ qr/^pg_rewind: error: source server was restarted with "wal_level = minimal"$/m ],
        then => sub { $source->restart });
    fails('the source goes back to an older state of its own', $proxy,
        deed => sub { go_back($source, $saved); $proxy->cut },
        says => [ qr/^pg_rewind: error: source server has lost WAL, or is another server$/m ]);

    is($target->try_start->{status}, 0, 'the old server starts');
    is($target->query('SELECT count(*) FROM u'), '20000', 'with its own rows');
}, only => [ 10, 18 ]);
