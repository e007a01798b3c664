# Debian's pg_ctlcluster takes the pid file of pg_rewind for a stale one, removes it and starts the server: the run
# before its commit gives up, after it no server starts. (Invariants 1 and 5.)
#
#   pg_rewind is held    about to commit                           amid its changes
#   pg_ctlcluster start  works                                     fails, the log shows the poison
#   pg_rewind, let go    gives up, the server keeps what it had    ends the rewind
# (Rule I10.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::DebianCluster;
use RewindTest::Held;

sub reads { my ($cluster, $what) = @_; return is($cluster->query('SELECT b FROM t'), $what,
    "it has the row of the $what") }

each_version(sub {
    my $target = RewindTest::DebianCluster->new('target')->start;
    $target->sql("CREATE TABLE t AS SELECT 'both' AS b");
    my $source = $target->standby('source')->promote;
    $_->[0]->sql("UPDATE t SET b = '$_->[1]'") for [ $source, 'source' ], [ $target, 'target' ];
    $target->stop;

    my $held = hold($target, $source, 'commit', '-R', '--keep-config');
    my $start = $target->try_start;
    is($start->{status}, 0, 'before the commit pg_ctlcluster starts the server') or diag($target->log);
    like($start->{stdout}, qr/Removed stale pid file/, 'since it removes the pid file');
    my $first = go_on($held);
    is($first->{status}, 1, 'pg_rewind gives up');
    like($first->{stderr}, qr/^pg_rewind: hint: The target is unchanged\.$/m, 'it says what state the target is in');
    ok($target->is_running, 'the server lives');
    reads($target, 'target');
    $target->stop;

    $held = hold($target, $source, 'patch', '-R', '--keep-config');
    $start = $target->try_start;
    is($start->{status}, 1, 'after the commit pg_ctlcluster cannot start it');
    like($start->{stderr}, qr/FATAL:  control file contains invalid checkpoint location/,
        'and shows what the server says');
    my $second = go_on($held);
    is($second->{status}, 0, 'pg_rewind ends the rewind') or diag($second->{stderr});
    $target->start;
    $target->wait_for_replay_of($source);
    reads($target, 'source');
}, only => [15]);
