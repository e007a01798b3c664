# A target that was killed while busy is rewound as it lies there: no crash recovery first. (Invariants 1, 7. Both
# sources.)
#
#   source       ┌──── 2 ─────────▶      ┬ divergence
#   target   1 ──┴──── 1 ────✕           ✕ kill -9 under load: torn ends of WAL, temporary and unlogged files, open transactions
# (Rule C29.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

each_version(sub {
    my ($version) = @_;
    my @sessions;
    my ($source, $target) = split_brain($version,
        before => sub {
            my ($primary) = @_;
            must_run([ program('pgbench'), '-i', '-q', '-s', '2', '-d', $primary->conninfo ]);
            $primary->sql('CREATE TABLE t (a serial PRIMARY KEY, b text); CREATE UNLOGGED TABLE u (a int); CREATE INDEX ON u (a)');
        },
        source => sub {
            my ($source) = @_;
            must_run([ program('pgbench'), '-n', '-t', '100', '-d', $source->conninfo ]);
            $source->sql(q{INSERT INTO t (b) SELECT 'source' FROM generate_series(1, 100)});
        },
        target => sub {
            my ($target) = @_;
            $target->sql(q{INSERT INTO t (b) SELECT 'target' FROM generate_series(1, 1000); INSERT INTO u SELECT generate_series(1, 1000)});
            @sessions = map { $target->session } 1 .. 4;
            $sessions[0]->sql('CREATE TEMPORARY TABLE temporary AS SELECT i FROM generate_series(1, 1000) i');
            $sessions[1]->sql(q{BEGIN; INSERT INTO t (b) SELECT 'open' FROM generate_series(1, 1000)});
            $sessions[2]->sql('BEGIN; CREATE TABLE never_committed AS SELECT i FROM generate_series(1, 1000) i');
            $sessions[3]->send(q{DO $$BEGIN
                FOR i IN 1 .. 1000000 LOOP
                    INSERT INTO t (b) VALUES (repeat('busy', i % 1000));
                    UPDATE pgbench_accounts SET abalance = i WHERE aid = i % 200000;
                END LOOP; END$$});
            my $start_lsn = $target->lsn;
            wait_until('the target is busy',
                sub { $target->query('SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), $$' . $start_lsn . '$$) > 3000000')
                eq 't' });
        },
        stop => 'kill');
    $_->end for @sessions;
    rewinds_from_both_kinds($source, $target);
}, sample => 1);
