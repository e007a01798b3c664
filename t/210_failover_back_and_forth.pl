# Two servers change roles twelve times; each time the one that lost has written something and is rewound with -R,
# every third time with a configuration that it keeps: no file has to be edited, and nothing piles up.
# (Invariants 3, 7. Source is a server.)
#
#   alice   1 ──┬──────── 1 ✕┌── 2 ──┬── 3 ──▶            ┬ failover   ┌ rewound   ✕ rows written here are gone
#   bob         └── 2 ───────┴── 2 ✕─┘...
# (Rule C16.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

use constant FAILOVERS => 12;

each_version(sub {
    my ($version) = @_;
    my $primary = make_cluster('alice', $version)->start;
    $primary->sql('CREATE TABLE t (a int, b text); CREATE INDEX ON t (a)');
    my $standby = $primary->standby('bob');

    for my $failover (1 .. FAILOVERS)
    {
        $primary->sql("INSERT INTO t SELECT i, 'before failover $failover' FROM generate_series(1, 200) i");
        $standby->wait_for_replay_of($primary);
        $standby->promote;
        # Odd times the new primary has made its checkpoint, even times it may not have.
        $standby->sql('CHECKPOINT') if $failover % 2;
        $primary->sql("INSERT INTO t SELECT i, 'lost in failover $failover' FROM generate_series(1, 300) i; DELETE FROM t WHERE a % 50 = $failover");
        $standby->sql("INSERT INTO t SELECT i, 'after failover $failover' FROM generate_series(1, 100) i; UPDATE t SET b = b WHERE a % 40 = $failover");
        $primary->stop($failover % 3 ? 'fast' : 'immediate');

        my $result = rewinds($primary, $standby, options => [ '-R', $failover % 3 == 2 ? '--keep-config' : () ]);
        like($result->{stderr},
            qr/^pg_rewind: hint: Start the server: it replays the source's WAL and follows it\.\n\z/m,
            'the last line says what is next');
        my $settings = slurp($primary->path($version < 12 ? 'recovery.conf' : 'postgresql.auto.conf'));
        is(() = $settings =~ /^\s*primary_conninfo/mg, 1, 'there is one primary_conninfo') or diag($settings);
        last if $result->{status} != 0;
        ($primary, $standby) = ($standby, $primary);
        my $start = $standby->try_start;
        is($start->{status}, 0, "the old primary starts after failover $failover") or do { diag($standby->log); last };
        $standby->wait_for_replay_of($primary);
        # It may have replayed all that there is from its own pg_wal, before it receives anything.
        wait_until("the new primary has its standby after failover $failover",
            sub { $primary->query('SELECT state FROM pg_stat_replication') eq 'streaming' });
        is($standby->query(q{SELECT count(*) FROM t WHERE b LIKE 'lost%'}), 0,
            'what the old primary wrote alone is gone');
        log_is_clean($standby);
        is_copy_of($standby, $primary) if $failover % 4 == 0;
    }
    is($primary->query('SELECT timeline_id FROM pg_control_checkpoint()'), 1 + FAILOVERS,
        'there is a timeline for each failover')
        if $primary->sql('CHECKPOINT') eq '';
    is_copy_of($standby, $primary);
}, only => [ 10, 12, 15, 18, 19 ]);
