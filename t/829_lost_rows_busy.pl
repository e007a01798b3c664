# The rows in the file of --save-lost-rows are those that the server decodes, where sessions change the same rows at
# once: speculative insertions that are taken back, rows with many lockers, subtransactions rolled back, pruning, VACUUM
# and checkpoints in between.

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::LostRows;

my %script = (
    insert => <<'END',
\set k random(1, 6)
INSERT INTO hot_key VALUES (:k, NULL, 1, 'x') ON CONFLICT (id) DO UPDATE SET n = hot_key.n + 1, v = repeat('y', :k * 700);
END
    delete => <<'END',
\set k random(1, 6)
DELETE FROM hot_key WHERE id = :k;
END
    subtransactions => <<'END',
\set k random(1, 40)
BEGIN;
SELECT * FROM busy WHERE id = :k FOR KEY SHARE;
SAVEPOINT a;
UPDATE busy SET n = n + 1 WHERE id = :k;
ROLLBACK TO a;
INSERT INTO busy_child (busy) SELECT id FROM busy WHERE id = :k;
SAVEPOINT b;
UPDATE busy SET v = repeat('z', n % 50) WHERE id = :k;
RELEASE b;
COMMIT;
END
    locks => <<'END',
\set k random(1, 40)
BEGIN;
SELECT * FROM busy WHERE id = :k FOR SHARE SKIP LOCKED;
UPDATE busy SET n = n + 1 WHERE id = :k AND n % 2 = 0;
DELETE FROM busy_child WHERE busy = :k;
DELETE FROM busy WHERE id = :k AND n % 7 = 3;
INSERT INTO busy VALUES (:k, 0, 'new') ON CONFLICT DO NOTHING;
COMMIT;
END
    vacuum => "VACUUM busy;\nSELECT pg_sleep(0.05);\nVACUUM FREEZE hot_key;\nCHECKPOINT;\n",
);
my %weight = (insert => 6, delete => 2, subtransactions => 4, locks => 4, vacuum => 1);

each_version(sub {
    my ($version) = @_;
    my $cluster = make_cluster('cluster', $version, settings => "max_connections = 30\n"
        . ($version >= 13 ? 'wal_keep_size = 1GB' : 'wal_keep_segments = 1000'));
    my ($source, $target) = diverged_copies($cluster, 'odd_tables.sql', qw(source target));
    $target->configure('wal_level = logical');
    $target->start->sql(q{SELECT pg_create_logical_replication_slot('judge', 'test_decoding')});
    spew($target->dir . "/$_.sql", $script{$_}) for keys %script;
    my $result = run([ program('pgbench'), '-n', '-T', 4, '-c', 10, '-j', 2, '-h', $target->dir, '-p', 5432, '-U',
        'postgres',
        (map { ('-f', $target->dir . "/$_.sql\@$weight{$_}") } sort keys %script), 'postgres' ]);
    like($result->{stdout}, qr/^number of transactions actually processed: [1-9]/m, 'sessions change rows')
        or diag($result->{stderr});
    my $decoded = decoded_rows($target, 'judge');
    $target->stop('immediate');
    my $file = save_lost_rows($target, $source)->{jsonl} // return;
    my ($saved, $others) = saved_rows($file);
    are_same_rows($saved, $decoded, 'the rows are those that the server decodes', by => 'xid', version => $version);
    is_deeply($others->[-1]{unknown}, [], 'all is known');
}, sample => 1);
