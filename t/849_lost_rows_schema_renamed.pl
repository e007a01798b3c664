# The script of --save-lost-rows does not write to a table whose schema another can rename while it runs: the lock of a
# change keeps a table as it is, but not the name of its schema.
#
# The attacker owns a database, and so schema public from 15 on (before, a schema of her own); bob has a table there,
# and lost rows in it. She has another schema with such a table, and a function that a row in it calls. When the script
# has locked bob's table, she gives hers the name.
# (Rules L17, L23, L35.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Attacker;
use RewindTest::LostRows;

sub tables
{
    my ($schema) = @_;
    return <<"END";
CREATE TABLE $schema.t (id integer PRIMARY KEY); ALTER TABLE $schema.t OWNER TO bob;
GRANT USAGE ON SCHEMA $schema TO bob;
END
}

# She waits until the script has locked the table, and looked at it once more, which takes longer on a busy machine.
sub swap
{
    my ($schema) = @_;
    return <<"END";
CREATE SCHEMA other;
CREATE TABLE other.t (id integer PRIMARY KEY, CHECK (mallory.gain('in the place of the table')));
GRANT USAGE ON SCHEMA other TO PUBLIC; GRANT ALL ON other.t TO PUBLIC;
DO \$\$ DECLARE it oid := '$schema.t'::regclass; BEGIN
    FOR i IN 1 .. 6000 LOOP
        EXIT WHEN EXISTS (SELECT 1 FROM pg_locks WHERE relation = it AND mode = 'RowExclusiveLock');
        IF EXISTS (SELECT 1 FROM mallory.enough) THEN RETURN; END IF;
        PERFORM pg_sleep(0.001);
    END LOOP;
    PERFORM pg_sleep(0.5);
    ALTER SCHEMA $schema RENAME TO before;
    ALTER SCHEMA other RENAME TO $schema;
END \$\$;
END
}

each_version(sub {
    my ($version) = @_;
    my $schema = $version >= 15 ? 'public' : 'hers';
    my ($source, $target) = split_brain($version,
        before => sub {
            my ($server) = @_;
            $server->sql('CREATE ROLE mallory LOGIN');
            $server->sql('CREATE DATABASE app OWNER mallory');
            make_attacker($server, 'app');
            as_mallory($server, 'CREATE SCHEMA hers', 'app');
            $server->sql(tables($schema), 'app');
        },
        target => sub { $_[0]->sql("INSERT INTO $schema.t SELECT generate_series(1, 10000)", 'app') });
    $source->stop;
    my $script = save_lost_rows($target, $source)->{sql} // return;
    $source->start;
    as_mallory($source, 'CREATE TABLE mallory.enough (); TRUNCATE mallory.calls', 'app');
    my $session = $source->session('app');
    $session->sql('SET SESSION AUTHORIZATION mallory');
    $session->send(swap($schema));
    my $result = try_script($source, $script, owner => 'bob');
    as_mallory($source, 'INSERT INTO mallory.enough DEFAULT VALUES', 'app');
    $session->sql('SELECT 1');
    $session->end;
    is($result->{status}, 3, 'the script stops');
    like($result->{stderr},
        qr/ERROR:  a change of $schema\.t would call what mallory, the owner of schema $schema, puts there$/m,
        'at the schema of another');
    is(gains_nothing($source, 'as its role', 'app'), '', 'nothing of hers is called');

    $source->sql("SET ROLE NONE; ALTER SCHEMA $schema RENAME TO other; ALTER SCHEMA before RENAME TO $schema", 'app')
        if $source->sql(q{SET ROLE NONE; SELECT count(*) FROM pg_namespace WHERE nspname = 'before'}, 'app');
    my @list = ('-v', 'run_code_of_others_with_my_rights=list');
    $result = try_script($source, $script, owner => 'bob', psql => \@list);
    is($result->{status}, 0, 'the variable lets it go on') or diag($result->{stderr});
    like($result->{stderr}, qr/WARNING:  a change of $schema\.t calls, as lost_rows_writer, what mallory, the/,
        'with a warning');

    # Whose functions may be called may also own the schema.
    for my $owner ('postgres', 'bob')
    {
        $source->sql("SET ROLE NONE; ALTER SCHEMA $schema OWNER TO $owner", 'app');
        $source->sql("SET ROLE NONE; TRUNCATE $schema.t; TRUNCATE lost_rows.applied", 'app');
        is(run_script($source, $script, owner => 'bob'), '', "it runs where $owner owns the schema");
        is($source->sql("SET ROLE NONE; SELECT count(*) FROM $schema.t", 'app'), 10000, 'all rows have come back');
    }

    # A superuser puts another table in the place while the script waits for its lock.
    $source->sql("SET ROLE NONE; TRUNCATE $schema.t; TRUNCATE lost_rows.applied", 'app');
    $session = $source->session('app');
    $session->sql("SET ROLE NONE; BEGIN; LOCK TABLE $schema.t");
    $session->send(<<"END");
DO \$\$ BEGIN
    WHILE NOT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted) LOOP PERFORM pg_sleep(0.01); END LOOP;
END \$\$;
ALTER TABLE $schema.t RENAME TO was; CREATE TABLE $schema.t (id integer); ALTER TABLE $schema.t OWNER TO mallory;
GRANT ALL ON $schema.t TO PUBLIC; COMMIT
END
    $result = try_script($source, $script, owner => 'bob');
    $session->end;
    like($result->{stderr}, qr/WARNING:  $schema\.t belongs to mallory: this run does not change it$/m,
        'it names a table that it leaves out since another got the name');
}, sample => 1);
