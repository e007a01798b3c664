# A timeline can begin with a shutdown checkpoint instead of an END_OF_RECOVERY record: up to 13 a file
# "fallback_promote" asks for such a promotion, and recovery without standby mode ends so. It is the beginning of the
# timeline to a rewind on either side.
#
#   source       ┌── 2 ──▶      ● its first record: a shutdown checkpoint
#            1 ──┤
#   target       └── 2 ──▶

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

sub promote_slowly
{
    my ($cluster) = @_;
    spew($cluster->path('fallback_promote'), '');
    kill 'USR1', $cluster->postmaster_pid;
    wait_until($cluster->name . ' leaves recovery', sub { $cluster->query('SELECT pg_is_in_recovery()') eq 'f' });
    like($cluster->log, qr/checkpoint starting: end-of-recovery/, 'its timeline begins with a checkpoint');
    return $cluster;
}

each_version(sub {
    my ($version) = @_;
    my $primary = make_cluster('primary', $version)->start;
    $primary->sql("CREATE TABLE t (a int, b text); INSERT INTO t SELECT i, 'common' FROM generate_series(1, 1000) i");
    my $source = $primary->standby('source');
    my $target = $primary->standby('target');
    $_->wait_for_replay_of($primary) for $source, $target;
    $primary->stop('immediate');
    promote_slowly($_) for $source, $target;
    $source->sql("UPDATE t SET b = 'source' WHERE a % 7 = 0; INSERT INTO t VALUES (2001, 'source')");
    $target->sql("UPDATE t SET b = 'target' WHERE a % 5 = 0; INSERT INTO t SELECT i, 'target' FROM generate_series(3001, 4000) i");
    $target->stop;
    rewinds_from_both_kinds($source, $target, quick => 1);
}, only => [ 10, 13 ], to => 13);
