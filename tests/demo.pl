# The story that `make demo` tells; run by tests/demo.sh.  It is a program, no test.

use strict;
use warnings;
use RewindTest::Cluster;
use RewindTest::Command;
use Time::HiRes ();

$| = 1;

sub say_step { print "\n* $_[0]\n"; return }
sub show     { print map { "    $_\n" } map { split /\n/ } @_; return }
sub count    { return $_[0]->query('SELECT count(*) FROM payment') }

# Every table of the database with its rows and a sum over their contents.
sub tables
{
    my ($server) = @_;
    return $server->query(<<'END');
SELECT format($$SELECT rpad(%L, 12) || lpad(count(*)::text, 7) || ' rows, sum of contents ' || sum(hashtext(t::text)) FROM %s t$$,
              oid::regclass, oid::regclass)
FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY relname \gexec
END
}

my $version = shift // 15;
my $alice = RewindTest::Cluster->new('alice', $version, settings => 'max_wal_size = 1GB')->start;
$alice->sql(<<'END');
CREATE TABLE account AS SELECT i AS id, 100 AS balance FROM generate_series(1, 300000) i;
ALTER TABLE account ADD PRIMARY KEY (id);
CREATE TABLE payment (id uuid PRIMARY KEY DEFAULT md5(random()::text)::uuid, account int, amount int, taken_by text);
INSERT INTO payment (account, amount, taken_by) SELECT i, 10, 'alice' FROM generate_series(1, 1000) i;
END
my $bob = $alice->standby('bob');
say_step('PostgreSQL ' . $alice->query('SHOW server_version') . ': alice is the primary, bob her standby, 300,000 accounts, 1,000 payments.');

say_step('alice cannot be reached. bob is promoted and takes 200 payments; alice, still alive, takes 50 more.');
$bob->promote;
$bob->sql("INSERT INTO payment (account, amount, taken_by) SELECT i, 20, 'bob' FROM generate_series(1, 200) i;
           UPDATE account SET balance = balance - 20 WHERE id <= 200");
$alice->sql("INSERT INTO payment (account, amount, taken_by) SELECT i, 30, 'alice alone' FROM generate_series(1, 50) i;
             UPDATE account SET balance = balance - 30 WHERE id BETWEEN 100000 AND 100050");
show('bob has ' . count($bob) . ' payments, alice ' . count($alice) . '. Two histories: this is a split brain.');

say_step('The naive way: alice is stopped, told to follow bob, and started.');
$alice->stop;
my $naive = $alice->copy('naive');
$naive->follow($bob)->start;
wait_until('alice notices', sub { $naive->log =~ /forked off|not in this server's history/ });
my ($complaint) = grep { /forked off|not in this server's history/ } split /\n/, $naive->log;
show("alice's log, again and again: " . $complaint =~ s/^.*?\] //r);
show('Standbys of bob, says bob: ' . $bob->query("SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'")
    . '. alice accepts queries, shows ' . count($naive) . ' payments, and will never follow.');
$naive->discard;

say_step('The other way: pg_rewind -R -D alice/data --save-lost-rows=alice/lost --source-server="host=bob ..."');
my $began = Time::HiRes::time();
my $result = run([ $ENV{PG_REWIND}, '-R', '-D', $alice->data, "--save-lost-rows=$alice->{dir}/lost", '--source-server', $bob->conninfo . ' application_name=alice' ]);
show($result->{stderr} =~ s/\Q$alice->{dir}\E/alice/gr);
show(sprintf 'It took %.1f seconds.', Time::HiRes::time() - $began);
exit 1 if $result->{status} != 0;
$alice->start;
$alice->wait_for_replay_of($bob);

say_step('alice is started, and bob says in pg_stat_replication:');
my $standbys = sub { $bob->query(
    "SELECT format('%s is %s, replayed up to %s of %s', application_name, state, replay_lsn, pg_current_wal_lsn())
     FROM pg_stat_replication WHERE state = 'streaming'") };
wait_until('alice streams', sub { $standbys->() ne '' });
show($standbys->());

say_step('A new payment at bob arrives at alice, and every table is equal:');
$bob->sql("INSERT INTO payment (account, amount, taken_by) VALUES (7, 5, 'bob')");
$alice->wait_for_replay_of($bob);
my ($of_bob, $of_alice) = (tables($bob), tables($alice));
show("bob\n$of_bob\nalice\n$of_alice");
print $of_bob eq $of_alice ? "\nEqual. The 50 payments that only alice had are gone from her tables: they were never bob's.\n" : "\nNOT equal.\n";
exit 1 if $of_bob ne $of_alice;

say_step('They are in the files that alice/lost has now. The script, some of its lines:');
my ($script) = glob "$alice->{dir}/lost/lost-*.sql";
show(map { length > 150 ? substr($_, 0, 147) . '...' : $_ } grep { defined } (grep { /^-- \d|^WITH|^  SELECT 'conflict/ } split /\n/, slurp($script))[0 .. 4]);
say_step('A person has read it. It does not run as a superuser, so bob gets a role for it:');
my @setup = ('CREATE ROLE bank', 'ALTER TABLE account OWNER TO bank', 'ALTER TABLE payment OWNER TO bank', 'CREATE ROLE lost_rows_writer LOGIN',
    'ALTER ROLE lost_rows_writer SET session_replication_role = replica', 'GRANT bank TO lost_rows_writer', 'CREATE SCHEMA lost_rows AUTHORIZATION lost_rows_writer');
show(join "\n", map { "$_;" } @setup);
$bob->sql($_) for @setup;
say_step("Then: psql -f $script" =~ s/\Q$alice->{dir}\E/alice/r);
$result = run([ program('psql'), '-X', '-d', $bob->conninfo =~ s/user=postgres/user=lost_rows_writer/r, '-f', $script ]);
show($result->{stdout} . $result->{stderr}) if $result->{stdout} . $result->{stderr} ne '';
$alice->wait_for_replay_of($bob);
show('No conflict. bob has ' . count($bob) . ' payments, and so has alice, who follows him: ' . count($alice) . '.');
exit 1 if $result->{status} != 0 || count($bob) != 1251 || count($alice) != 1251;

say_step('All of that in one command: alice is promoted while bob still runs, and bob must follow her.');
$alice->promote;
$alice->sql("INSERT INTO payment (account, amount, taken_by) SELECT i, 40, 'alice again' FROM generate_series(1, 100) i");
$bob->sql("INSERT INTO payment (account, amount, taken_by) VALUES (8, 6, 'bob alone')");
say_step('pg_rewind --rejoin -D bob/data --source-server="host=alice ..."');
$result = run([ $ENV{PG_REWIND}, '--rejoin', '-B', $bob->bindir, '-D', $bob->data, '--source-server', $alice->conninfo . ' application_name=bob' ]);
show($result->{stderr} =~ s/\Q$bob->{dir}\E/bob/gr =~ s/\Q$bob->{bindir}\E\///gr);
exit 1 if $result->{status} != 0;
($of_bob, $of_alice) = (tables($bob), tables($alice));
print $of_bob eq $of_alice ? "\nEqual again.\n" : "\nNOT equal.\n";
exit($of_bob eq $of_alice ? 0 : 1);
