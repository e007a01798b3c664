# An address that leads to two standbys, one after the other or in turn, is found out, also where their files were
# copied in one second: the pages of one may be older than where recovery starts by the pg_control of the other, or
# newer than what the other has replayed. (Invariant 7. Sources are standbys.)
#
#   source   1 ──rows changed──c──┬─ 2 ──▶   primary of a and b
#   a                          ▲             has written its pages at c
#   b          ▲                             has written none since
#   target   1 ──rows changed──c──┴─ 1 ──╳
# (Rules C52, C54, C55.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Background;
use RewindTest::Proxy;
use RewindTest::Tree;

# All their blocks are fetched.
my @tables = map { "t$_" } 1 .. 6;

# After so many bytes of the server the first connection is made, and no further one is yet. (A hang while it is made
# would make it slow, and then further ones are not wanted.)
my $connected = 10_000;

# What a server is recognized by: seconds.
sub witnesses { my ($cluster) = @_; return join ' ', map { (stat $cluster->path($_))[10] } 'PG_VERSION',
    'base/1/PG_VERSION' }

sub make_in_one_second
{
    my ($primary, @names) = @_;
    $primary->stop;
    my @standbys = map { $primary->copy($_) } @names;
    $primary->start;
    do { for my $standby (@standbys) { chmod 0600, map { $standby->path($_) } 'PG_VERSION', 'base/1/PG_VERSION' } }
        until witnesses($standbys[0]) eq witnesses($standbys[1]);
    $_->follow($primary)->start for @standbys;
    return @standbys;
}

# Begin with a, go on with b, with new connections alone or with all.
sub is_found_out
{
    my ($target, $a, $b, $bytes, $cut, $detail) = @_;
    my $before = tree($target);
    my $proxy = RewindTest::Proxy->new("proxy_$bytes", $a);
    $proxy->after($bytes, 'hang');
    my $run = start_rewind($target, $proxy, options => ['--jobs=4']);
    $proxy->wait_for('hang');
    $proxy->switch_to($b);
    $proxy->cut if $cut;
    $proxy->pass;
    my $result = end_of_rewind($run);
    $proxy->end;
    is($result->{status}, 1, 'exit status 1');
    like($result->{stderr}, qr/^pg_rewind: error: new connection leads to another server\npg_rewind: detail: $detail/m,
        'it says why');
    is_same_tree(tree($target), $before, 'the target is as it was');
    return;
}

# Begin with a. When that has replayed what b has not, and has sent pages with it, all connections lead to b.
# A run takes a server that is silent for half of the seconds for lost: on a slow machine the silence here is long.
sub changes_standbys
{
    my ($target, $a, $b, $primary, $i, $seconds) = @_;
    $_->sql('CHECKPOINT') for $a, $b;
    $b->sql('SELECT pg_wal_replay_pause()');
    my $proxy = RewindTest::Proxy->new("late_$i", $a);
    $proxy->after(100_000, 'hang');
    my $run = start_rewind($target, $proxy, options => [ '--jobs=1', "--retry-timeout=$seconds" ]);
    $proxy->wait_for('hang');
    $primary->sql(join ';', map { "DELETE FROM $_ WHERE i % 7 = $i" } @tables);
    $primary->sql('CHECKPOINT');
    $a->wait_for_replay_of($primary);
    $a->sql('CHECKPOINT');
    $proxy->pass_for(2_000_000, 'hang');
    $proxy->wait_for('hang');
    $proxy->switch_to($b);
    $proxy->cut;
    return ($run, $proxy);
}

each_version(sub {
    my ($version) = @_;
    my $target = make_cluster('target', $version);
    $target->configure("checkpoint_timeout = '1h'\nbgwriter_lru_maxpages = 0\nmax_wal_size = '1GB'\nshared_buffers = '64MB'");
    $target->start;
    $target->sql(join ';',
        map {
        "CREATE TABLE $_ AS SELECT i, 'common' AS v, repeat('x', 700) AS f FROM generate_series(1, 5000) i; VACUUM $_" } @tables);
    my $primary = $target->standby('source');
    my ($a, $b) = make_in_one_second($primary, 'a', 'b');
    $target->sql(join ';', map { "UPDATE $_ SET v = 'changed'" } @tables);
    $target->sql('CHECKPOINT');
    $_->wait_for_replay_of($target) for $primary, $a, $b;
    $_->sql('CHECKPOINT') for $primary, $a;
    $primary->promote;
    # Replay of a DROP notes the new timeline in pg_control.
    $primary->sql('CHECKPOINT; CREATE TABLE dropped AS SELECT 1 AS a; DROP TABLE dropped');
    $_->wait_for_replay_of($primary) for $a, $b;
    $a->sql('CHECKPOINT');
    $target->sql(join ';', map { "UPDATE $_ SET v = 'lost' WHERE i % 5 = 0" } @tables);
    $target->stop;

    subtest('all connections lead to another standby, whose pages are older', sub {
        is_found_out($target, $a, $b, 100_000, 1, 'Its last checkpoint begins at ');
    });
    $b->sql('CHECKPOINT');
    $a->have_much_to_fetch;
    subtest('new connections lead to another standby', sub {
        is_found_out($target, $a, $b, $connected, 0, 'The server of an older connection answers as well\.$');
    });
    subtest('new connections lead to a server that is plainly another', sub {
        my $copy = $target->copy('copy');
        my $proxy = RewindTest::Proxy->new('balancer', $a);
        $proxy->after($connected, 'hang');
        my $run = start_rewind($copy, $proxy, options => [ '--jobs=4', '--debug', '--no-sync' ]);
        $proxy->wait_for('hang');
        $proxy->switch_to($primary);
        $proxy->pass;
        my $result = end_of_rewind($run);
        $proxy->end;
        is($result->{status}, 0, 'the first connection is enough') or diag($result->{stderr});
        like($result->{stderr},
            qr/^pg_rewind: continuing with fewer connections to the source server: new connection leads to another server, or/m,
            'none is made to the other');
        rejoins($copy, $a, writer => $primary);
        $copy->discard;
    });
    unlink $a->path('much_to_fetch');
    subtest('connections lead to another standby, which has replayed less', sub {
        my $before = tree($target);
        my ($run, $proxy) = changes_standbys($target, $a, $b, $primary, 1, 20);
        my $result = end_of_rewind($run);
        $proxy->end;
        is($result->{status}, 1, 'exit status 1');
        like($result->{stderr},
            qr/^pg_rewind: error: source server has replayed less WAL than it had before\npg_rewind: detail: It has replayed WAL up to /m,
            'it says why');
        like($result->{stderr},
            qr/^pg_rewind: hint: It was restarted and has not replayed its WAL again yet, or the address leads to several standbys: name one host\.$/m,
            'and what to do');
        is_same_tree(tree($target), $before, 'the target is as it was');
        $b->sql('SELECT pg_wal_replay_resume()');
        $b->wait_for_replay_of($primary);
    });
    subtest('connections lead to another standby, which replays as much while it is waited for', sub {
        my $copy = $target->copy('copy_of_both');
        my ($run, $proxy) = changes_standbys($copy, $a, $b, $primary, 2, 120);
        wait_until('the run waits',
            sub { slurp($run->{errors}) =~ /warning: source server has replayed less WAL than it had before/
            || has_ended($run) });
        $b->sql('SELECT pg_wal_replay_resume()');
        my $result = end_of_rewind($run);
        $proxy->end;
        is($result->{status}, 0, 'pg_rewind succeeds') or diag($result->{stderr});
        rejoins($copy, $b, writer => $primary);
        $copy->discard;
    });
    rewinds($target, $a);
    rejoins($target, $a, writer => $primary);
}, only => [ 10, 18 ]);
