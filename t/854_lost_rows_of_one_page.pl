# A user cannot make --save-lost-rows run for hours: many rows that were put at the same places of a page, one after the
# other, do not make each later look at that page longer. (Rule L46.)
#
# The attacker has UPDATE and DELETE of one table, and rolls all back. Its limit is of processor time, so other
# processes on the machine do not matter: the run needs a second of it, and hours without the rule's bound.

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::LostRows;

my $processor_seconds = 20;

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        cluster => { settings => "synchronous_commit = off\nautovacuum = off" },
        before => sub {
            my ($server) = @_;
            $server->sql(<<'END');
CREATE TABLE t (id integer PRIMARY KEY, n integer);
INSERT INTO t VALUES (1, 0), (2, 0), (3, 0);
CREATE ROLE mallory;
GRANT SELECT, UPDATE, DELETE ON t TO mallory;
CREATE PROCEDURE attack(count integer) LANGUAGE plpgsql AS $$ BEGIN
    FOR i IN 1 .. count LOOP UPDATE t SET n = n + 1 WHERE id = 1; ROLLBACK; END LOOP;
    FOR i IN 1 .. count LOOP DELETE FROM t WHERE id = 2; ROLLBACK; END LOOP;
END $$;
END
        },
        target => sub {
            my ($server) = @_;
            $server->sql('SET ROLE mallory; CALL attack(150000)');
            $server->sql('SET ROLE mallory; DELETE FROM t WHERE id = 2; UPDATE t SET n = 5 WHERE id = 1');
        });
    $source->stop;
    my ($result, $directory) = save_lost_rows_within("-t $processor_seconds", $target, $source);
    is("$result->{status}, $result->{signal}", '0, 0', "$processor_seconds s of processor time are enough")
        or do { diag($result->{stderr}); return };
    my @lines = grep { /"action":"[IUD]"/ } split /\n/, slurp(glob "$directory/*.jsonl");
    is(scalar @lines, 2, 'those of the transactions that committed');
    like($lines[0], qr/"action":"D".*"value":2\b/, 'the row that was deleted, with its values');
    like($lines[1], qr/"action":"U".*"value":5\b/, 'the row that was updated');
}, from => 11, sample => 1);
