# Where tables have several owners, each run of the script of --save-lost-rows changes those of one, as a role that has
# the rights of that one alone. A transaction that touched tables of two says so. Code that a third one could change is
# not called, unless a variable of psql says that it may be.
#
# The attacker owns a table, and types that tables of bob have: a domain, also as a field of a composite type.
# (Rules L17, L24, L37, L38, L39.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Attacker;
use RewindTest::LostRows;

# After a line break, a name of hers looks like a hint of the script.
my $hint = 'HINT:  As a superuser: ALTER ROLE mallory SUPERUSER;';

my $tables = <<"END";
CREATE TABLE mallory.t (id integer);
CREATE TABLE mallory."x\n$hint" (id integer);
CREATE TYPE mallory."e\n$hint" AS ENUM ('a');
CREATE TABLE mallory.key (id mallory."e\n$hint" PRIMARY KEY, n integer);
INSERT INTO mallory.key VALUES ('a', 1);
CREATE DOMAIN mallory.number AS integer;
CREATE DOMAIN mallory.part AS integer;
CREATE TYPE mallory.pair AS (n mallory.part);
SET SESSION AUTHORIZATION bob;
CREATE TABLE bob.t (id integer PRIMARY KEY);
CREATE TABLE bob.of_her_pair (id integer PRIMARY KEY, pairs mallory.pair[]);
CREATE TABLE bob.of_her_type (id integer PRIMARY KEY, n mallory.number);
CREATE TABLE bob.gate (id integer PRIMARY KEY, n integer);
SET SESSION AUTHORIZATION DEFAULT;
CREATE TABLE public.of_postgres (id integer PRIMARY KEY);
END

# The error of the script at a column of her type.
my $her_function = qr/mallory\.gain\(text\) of mallory/;
my $would_call = sub {
    my ($table, $domain, @functions) = @_;
    my $names = join ', ', "expressions of domain \Q$domain\E of mallory", @functions;
    return qr/ERROR:  a change of \Q$table\E would call $names$/m;
};

# What she leaves behind as the role of her run: a password, and a function where the next one could call it.
my $leaves =
    q{DO $$ BEGIN ALTER ROLE lost_rows_writer PASSWORD 'known'; CREATE OR REPLACE FUNCTION lost_rows.attempt(statement text) RETURNS boolean LANGUAGE plpgsql AS 'BEGIN PERFORM mallory.gain(''left''); RETURN true; END'; END $$};

sub drop_writer
{
    my ($server) = @_;
    $server->sql('DROP SCHEMA lost_rows CASCADE; DROP OWNED BY lost_rows_writer; DROP ROLE lost_rows_writer');
    return;
}

each_version(sub {
    my ($version) = @_;
    my $both;
    my ($source, $target) = split_brain($version,
        before => sub { make_attacker($_[0]); as_mallory($_[0], $tables) },
        target => sub {
            my ($server) = @_;
            $server->sql('INSERT INTO bob.t VALUES (1)');
            $both =
                $server->sql('BEGIN; INSERT INTO mallory.t VALUES (2); INSERT INTO bob.t VALUES (2); INSERT INTO public.of_postgres VALUES (2); SELECT txid_current(); COMMIT');
            $server->sql('INSERT INTO bob.t VALUES (3); INSERT INTO mallory.t VALUES (3)');
            $server->sql(q{INSERT INTO bob.of_her_pair VALUES (4, '{(4)}')});
            $server->sql('INSERT INTO bob.of_her_type VALUES (4, 4)');
            as_mallory($server, qq{INSERT INTO mallory."x\n$hint" VALUES (6); UPDATE mallory.key SET n = 2});
            $server->sql("INSERT INTO bob.$_ VALUES (5, 5)") for qw(gate of_her_type);
        });
    $source->stop;
    my $script = save_lost_rows($target, $source)->{sql} // return;
    $source->start->sql('TRUNCATE mallory.calls');
    as_mallory($source,
        q{ALTER TABLE mallory.t ADD CHECK (mallory.gain('check'));
        DELETE FROM mallory.key;
        ALTER DOMAIN mallory.number ADD CHECK (mallory.gain('domain'));
        ALTER DOMAIN mallory.part ADD CHECK (mallory.gain('field')) NOT VALID});
    my $rows = sub { return join ' ',
        map { $source->sql("SELECT string_agg(id::text, ',' ORDER BY id) FROM $_") } qw(mallory.t bob.t bob.of_her_type
        public.of_postgres) };

    # As a member of the wrong role.
    $source->sql('CREATE ROLE wrong');
    my $wrong = try_script($source, $script, owner => 'wrong');
    is($wrong->{status}, 0, 'a run for an owner of no table');
    like($wrong->{stderr}, qr/WARNING:  \Q$_\E: this run does not change it$/m, 'says so')
        for 'mallory.t belongs to mallory', 'bob.t belongs to bob', 'public.of_postgres belongs to postgres';
    like($wrong->{stderr}, qr/WARNING:  mallory\."x\?\Q$hint\E" belongs to mallory: /, 'a name is one line');
    is("$wrong->{stdout}" . $rows->(), '   ', 'and changes nothing');
    $source->sql('REVOKE wrong FROM lost_rows_writer; GRANT mallory TO lost_rows_writer');

    # Of her tables.
    my $result = try_script($source, $script, owner => 'mallory');
    is($result->{status}, 0, 'the run of her tables') or diag($result->{stderr});
    like($result->{stderr}, qr/WARNING:  bob\.t belongs to bob: this run does not change it$/m,
        'names tables of others');
    like($result->{stderr},
        qr/WARNING:  transaction $both changed tables of several owners: a run changes those of one$/m,
        'and a transaction that touched them, too');
    like($result->{stdout}, qr/^conflict: UPDATE of "mallory"\."key" WHERE .*\?\Q$hint\E/m, 'a conflict is one line');
    is($rows->(), '2,3   ', 'it changes no other');
    is(gains_nothing($source, 'the run of her tables'), 'check as lost_rows_writer', 'her code is called as its role');
    $source->sql("SET SESSION AUTHORIZATION lost_rows_writer; $leaves");
    $source->sql('GRANT bob TO lost_rows_writer');
    $result = try_script($source, $script, owner => 'mallory');
    like($result->{stderr},
        qr/ERROR:  the script does not run as lost_rows_writer: it is a member of more than one role$/m,
        'as a member of both owners it stops');
    is($rows->(), '2,3   ', 'and changes nothing');
    for my $attribute (qw(CREATEROLE CREATEDB REPLICATION))
    {
        $source->sql("REVOKE bob FROM lost_rows_writer; ALTER ROLE lost_rows_writer $attribute");
        like(try_script($source, $script, owner => 'mallory')->{stderr},
            qr/ERROR:  the script does not run as lost_rows_writer: it has CREATEROLE, CREATEDB or REPLICATION$/m,
            "as a role with $attribute it stops");
        $source->sql("ALTER ROLE lost_rows_writer NO$attribute");
    }
    if ($version >= 9.5)
    {
        $source->sql('ALTER ROLE lost_rows_writer BYPASSRLS');
        like(try_script($source, $script, owner => 'mallory')->{stderr},
            qr/ERROR:  the script does not run as lost_rows_writer: it has BYPASSRLS and is a member of a role$/m,
            'as a role with BYPASSRLS it stops');
    }
    drop_writer($source);
    $source->sql('TRUNCATE mallory.calls');

    # Of bob's.
    $result = try_script($source, $script, owner => 'bob');
    is($result->{status}, 3, 'the run of the tables of bob stops');
    like($result->{stderr}, $would_call->('bob.of_her_pair', 'mallory.part', $her_function),
        'where it would call her code for a field');
    as_mallory($source, 'ALTER DOMAIN mallory.part DROP CONSTRAINT part_check');
    $result = try_script($source, $script, owner => 'bob');
    like($result->{stderr}, $would_call->('bob.of_her_type', 'mallory.number', $her_function),
        'or for a column');
    is($rows->(), '2,3 1,2,3  ', 'before that it does its work');
    is(gains_nothing($source, 'the run of the tables of bob'), '', 'she is not called');
    $result = try_script($source, $script, owner => 'bob', psql => [ '-v', 'run_code_of_others_with_my_rights=list' ]);
    is("$result->{status} " . $rows->(), '0 2,3 1,2,3  ', 'asked to, the script only lists');
    like($result->{stderr},
        qr/WARNING:  a change of bob\.of_her_type calls, as lost_rows_writer, .*, $her_function$/m,
        'what it would call');
    my $drop = 'ALTER DOMAIN mallory.number DROP CONSTRAINT number_check';
    as_mallory($source, $drop);
    # A built-in function that runs her SQL belongs to a superuser: the expression is hers.
    my $query = q{query_to_xml('SELECT mallory.gain(''xml'')', true, false, '') IS NOT NULL};
    my $built_in = "ADD CONSTRAINT number_check CHECK ($query) NOT VALID";
    for my $way ([ $built_in, 'DROP CONSTRAINT number_check' ], [ "SET DEFAULT ($query)::integer", 'DROP DEFAULT' ])
    {
        as_mallory($source, "ALTER DOMAIN mallory.number $way->[0]");
        like(try_script($source, $script, owner => 'bob')->{stderr},
            $would_call->('bob.of_her_type', 'mallory.number'), 'or a built-in function in an expression of hers');
        as_mallory($source, "ALTER DOMAIN mallory.number $way->[1]");
    }
    is(gains_nothing($source, 'the run with her expression'), '', 'she is not called');
    my $session = $source->session;
    $session->sql('BEGIN; LOCK TABLE bob.gate');
    # She adds her code again while the script waits, after it has looked at the table.
    $session->send(q{DO $$ BEGIN FOR i IN 1 .. 3000 LOOP
        EXIT WHEN EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted); PERFORM pg_sleep(0.01); END LOOP; END $$;
        SET ROLE mallory; ALTER DOMAIN mallory.number ADD CHECK (mallory.gain('later')) NOT VALID; COMMIT});
    $result = try_script($source, $script, owner => 'bob');
    $session->end;
    like($result->{stderr}, $would_call->('bob.of_her_type', 'mallory.number', $her_function),
        'it looks again in each transaction');
    is($rows->(), '2,3 1,2,3 4 ', 'what came before is done');
    is(gains_nothing($source, 'the run into which she comes'), '', 'she is not called');
    as_mallory($source, $drop);
    is(try_script($source, $script, owner => 'bob')->{status}, 0, 'without her code it does it');
    is($rows->(), '2,3 1,2,3 4,5 ', 'all rows of bob are back');
    drop_writer($source);

    # Of a superuser's.
    $result = try_script($source, $script, superusers => 1);
    is("$result->{status} " . $rows->(), '0 2,3 1,2,3 4,5 2', 'and those of a superuser') or diag($result->{stderr});
    $source->sql('ALTER ROLE lost_rows_writer RESET session_replication_role');
    like(try_script($source, $script, superusers => 1)->{stderr},
        qr/ERROR:  triggers would fire: session_replication_role is not replica$/m, 'the role has its setting');
    drop_writer($source);
    $source->sql('CREATE ROLE lost_rows_writer LOGIN; ALTER ROLE lost_rows_writer SET session_replication_role = replica');
    like(run([ program('psql'), '-X', '-d', $source->conninfo =~ s/user=postgres/user=lost_rows_writer/r, '-f',
        $script ])->{stderr}, qr/ERROR:  schema lost_rows is missing in database postgres$/m, 'and its schema');
}, sample => 1);
