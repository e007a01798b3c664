# A user cannot make --save-lost-rows run for hours: neither many tables that lost transactions made, nor many changes
# of one table's row of pg_class, make it read all of pg_class or all of those changes for each look at a table; nor do
# many names of a table with a deferrable constraint make it read all of these names for each row.
# (Rules L26, L48.)
#
# The attacker may create tables. The limit is of processor time, so other processes on the machine do not matter: the
# run needs a second or two of it.

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::LostRows;

my $processor_seconds = 20;

# Each ALTER TABLE makes another version of a table's columns. So 1,000 of a table with 1,600 columns took a gigabyte.
sub many_versions
{
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql('CREATE ROLE mallory; GRANT CREATE ON SCHEMA public TO mallory') },
        target => sub { $_[0]->sql(<<'END') });
SET ROLE mallory;
DO $$ BEGIN
    EXECUTE (SELECT 'CREATE TABLE wide (' || string_agg('column_' || i || ' integer', ',') || ')'
        FROM generate_series(1, 1600) i);
    FOR i IN 1 .. 1000 LOOP
        EXECUTE format('ALTER TABLE wide SET (fillfactor = %s)', 50 + i % 50);
        INSERT INTO wide VALUES (i);
    END LOOP;
END $$;
END
    $source->stop;
    my ($result, $directory) = save_lost_rows_within('-v 600000', $target, $source);
    is("$result->{status}, $result->{signal}", '0, 0', '600 MB of memory are enough') or diag($result->{stderr});
    like(slurp(glob "$directory/*.jsonl"), qr/"reason":"ALTER TABLE changed the columns of tables too often"/,
        'the rows that are not known are counted');
    must_run([ 'rm', '-r', $directory ]);
    $_->discard for $source, $target;
    return;
}

each_version(sub {
    my ($version) = @_;
    subtest('many versions of a table', sub { many_versions($version) });
    my ($source, $target) = split_brain($version,
        cluster => { settings => "synchronous_commit = off\nautovacuum = off\nmax_locks_per_transaction = 1000" },
        before => sub {
            my ($server) = @_;
            $server->sql(<<'END');
CREATE ROLE mallory;
GRANT CREATE ON SCHEMA public TO mallory;
DO $$ BEGIN FOR i IN 1 .. 5000 LOOP EXECUTE format('CREATE TYPE type_%s AS ()', i); END LOOP; END $$;
CREATE TABLE renamed (id integer);
END
        },
        target => sub {
            my ($server) = @_;
            $server->sql(<<'END');
ALTER TABLE renamed RENAME TO other;
SET ROLE mallory;
CREATE TABLE one (id integer);
CREATE TABLE two (id integer);
CREATE TABLE renamed (id integer);
DO $$ BEGIN
    FOR i IN 1 .. 10000 LOOP INSERT INTO one VALUES (i); INSERT INTO two VALUES (i); END LOOP;
END $$;
INSERT INTO renamed VALUES (1);
CREATE PROCEDURE alter_and_insert() LANGUAGE plpgsql AS $$ BEGIN
    FOR i IN 1 .. 5000 LOOP
        EXECUTE format('ALTER TABLE one SET (fillfactor = %s)', 50 + i % 50);
        INSERT INTO one VALUES (i);
        COMMIT;
    END LOOP;
END $$;
CALL alter_and_insert();
CREATE TABLE deferred (id integer UNIQUE DEFERRABLE);
DO $$
DECLARE name text := 'deferred'; next text;
BEGIN
    FOR i IN 1 .. 2000 LOOP
        next := repeat(chr(1), 58) || i;
        EXECUTE format('ALTER TABLE %I RENAME TO %I', name, next);
        EXECUTE format('INSERT INTO %I VALUES (-%s)', next, i);
        name := next;
    END LOOP;
    EXECUTE format('INSERT INTO %I SELECT generate_series(1, 100000)', name);
END $$;
END
        });
    my $number = $source->sql(q{SELECT 'renamed'::regclass::oid});
    $source->stop;
    my ($result, $directory) = save_lost_rows_within("-t $processor_seconds", $target, $source);
    is("$result->{status}, $result->{signal}", '0, 0', "$processor_seconds s of processor time are enough")
        or do { diag($result->{stderr}); return };
    my $inserts = () = slurp(glob "$directory/*.jsonl") =~ /^\{"action":"I"/mg;
    is($inserts, 127001, 'all of them');
    my @checked = slurp(glob "$directory/*.sql") =~ /lost_rows\.check_table\('public'::text, (.*), 0,\n/g;
    my %number = map { /^'(\w+)'::text, (.*)/ } @checked;
    my @deferred = slurp(glob "$directory/*.sql") =~ /SELECT lost_rows\.check_deferrable\(/g;
    is(@deferred, 2000, 'each name of a deferrable constraint\'s table is checked once');
    is_deeply(\%number, { one => 'NULL::oid, true', two => 'NULL::oid, true', renamed => "$number\::oid, false" },
        'the script has the number of the relation that had the name of each table at the divergence');
}, from => 11, sample => 1);
