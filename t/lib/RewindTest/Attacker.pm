# Mallory, whose code a person's script may call. Whatever calls mallory.gain takes all rights that its role has:
# superuser for mallory, a program of the system, what bob keeps for himself. mallory.calls has what was called, and as
# whom.
#
#   make_attacker($server);                                    # before the histories diverge
#   as_mallory($server, 'CREATE TABLE mallory.t ()');
#   gains_nothing($server, 'the script as its role');          # who called what: a test for each gain

package RewindTest::Attacker;

use strict;
use warnings;

use Exporter 'import';
use Test::More;

our @EXPORT = qw(make_attacker as_mallory gains_nothing calls_of);

sub make_attacker
{
    my ($server, $database) = @_;
    $server->sql("CREATE ROLE $_ LOGIN")
        for grep { !$server->sql("SELECT count(*) FROM pg_roles WHERE rolname = '$_'") } qw(mallory bob);
    $server->sql(<<'END', $database);
CREATE SCHEMA mallory AUTHORIZATION mallory; CREATE SCHEMA bob AUTHORIZATION bob;
CREATE TABLE bob.secret AS SELECT 'of bob'::text AS secret; ALTER TABLE bob.secret OWNER TO bob;
SET SESSION AUTHORIZATION mallory;
CREATE TABLE mallory.calls (what text, as_user name, role name, secret text);
GRANT INSERT ON mallory.calls TO PUBLIC; GRANT USAGE ON SCHEMA mallory TO PUBLIC;
CREATE FUNCTION mallory.gain(what text) RETURNS boolean LANGUAGE plpgsql AS $$ DECLARE found text; BEGIN
    BEGIN EXECUTE 'RESET ROLE'; EXCEPTION WHEN OTHERS THEN NULL; END;
    BEGIN EXECUTE 'ALTER ROLE mallory SUPERUSER'; EXCEPTION WHEN OTHERS THEN NULL; END;
    BEGIN EXECUTE 'GRANT bob TO mallory'; EXCEPTION WHEN OTHERS THEN NULL; END;
    BEGIN EXECUTE $x$COPY (SELECT 1) TO PROGRAM 'cat > mallory_was_here'$x$; EXCEPTION WHEN OTHERS THEN NULL; END;
    BEGIN EXECUTE 'SELECT secret FROM bob.secret' INTO found; EXCEPTION WHEN OTHERS THEN NULL; END;
    INSERT INTO mallory.calls VALUES (what, session_user, current_user, found);
    RETURN true; END $$;
-- An index or a generated column needs a function that says it changes nothing.
CREATE FUNCTION mallory.quiet(what text, value integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN PERFORM mallory.gain(what); RETURN value; END $$;
END
    return;
}

sub as_mallory
{
    my ($server, $sql, $database) = @_;
    return $server->sql("SET SESSION AUTHORIZATION mallory;\n$sql", $database);
}

# What was called by others than mallory; then the list is emptied.
sub calls_of
{
    my ($server, $database) = @_;
    my $calls =
        $server->sql(q{SET ROLE NONE; SELECT DISTINCT what || ' as ' || as_user FROM mallory.calls WHERE as_user <> 'mallory' ORDER BY 1},
        $database);
    my $secrets = $server->sql(q{SET ROLE NONE; SELECT count(*) FROM mallory.calls WHERE secret IS NOT NULL},
        $database);
    $server->sql('SET ROLE NONE; TRUNCATE mallory.calls', $database);
    return ($calls, $secrets);
}

# Returns what was called.
sub gains_nothing
{
    my ($server, $title, $database) = @_;
    my ($calls, $secrets) = calls_of($server, $database);
    is($server->sql(q{SELECT rolsuper FROM pg_roles WHERE rolname = 'mallory'}), 'f', "$title: she is no superuser");
    ok(!-e $server->path('mallory_was_here'), "$title: no program has run");
    is($secrets, 0, "$title: what bob alone may read was not read");
    is($server->sql(q{SELECT pg_has_role('mallory', 'bob', 'MEMBER') AND NOT rolsuper FROM pg_roles WHERE rolname = 'mallory'}),
        'f', "$title: she is no member of another owner");
    return $calls;
}

1;
