# The settings that the owner of a database makes for it let no function or operator of hers into the script of
# --save-lost-rows: it sets its own before it looks at anything.
#
# The attacker owns a database; all tables in it, and their lost rows, are a superuser's.
# (Rule L19.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Attacker;
use RewindTest::LostRows;

my $trap = <<'END';
CREATE SCHEMA evil;
GRANT USAGE ON SCHEMA evil TO PUBLIC;
CREATE FUNCTION evil.current_database() RETURNS name LANGUAGE plpgsql AS $$ BEGIN PERFORM mallory.gain('current_database'); RETURN pg_catalog.current_database(); END $$;
CREATE FUNCTION evil.pg_has_role(oid, oid, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM mallory.gain('pg_has_role'); RETURN false; END $$;
CREATE FUNCTION evil.current_setting(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM mallory.gain('current_setting'); RETURN 'yes'; END $$;
CREATE FUNCTION evil.same(name, name) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM mallory.gain('operator'); RETURN true; END $$;
CREATE OPERATOR evil.= (leftarg = name, rightarg = name, procedure = evil.same);
CREATE FUNCTION evil.same(text, text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM mallory.gain('operator'); RETURN true; END $$;
CREATE OPERATOR evil.= (leftarg = text, rightarg = text, procedure = evil.same);
CREATE VIEW evil.pg_roles AS SELECT r.*, mallory.gain('view') FROM pg_catalog.pg_roles r;
GRANT SELECT ON evil.pg_roles TO PUBLIC;
ALTER DATABASE app SET search_path = evil, pg_catalog;
ALTER DATABASE app SET client_encoding = 'SJIS';
ALTER DATABASE app SET default_transaction_isolation = 'repeatable read';
ALTER DATABASE app SET row_security = on;
ALTER DATABASE app SET role = mallory;
END

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub {
            my ($server) = @_;
            $server->sql('CREATE ROLE mallory LOGIN');
            $server->sql('CREATE DATABASE app OWNER mallory');
            # From 15 on it is hers, and she could rename it (t/849).
            $server->sql('ALTER SCHEMA public OWNER TO postgres', 'app');
            $server->sql('CREATE TABLE t (id integer PRIMARY KEY, v text)', 'app');
        },
        target => sub { $_[0]->sql(q{INSERT INTO t VALUES (1, E'back\\\\slash and quote''')}, 'app') });
    $source->stop;
    my $script = save_lost_rows($target, $source)->{sql} // return;
    $source->start;
    make_attacker($source, 'app');
    as_mallory($source, $trap, 'app');
    # refused from 19 on
    as_mallory($source, 'ALTER DATABASE app SET standard_conforming_strings = off', 'app') if $version < 19;
    refuses_superuser($source, $script);
    is(gains_nothing($source, 'as a superuser', 'app'), '', 'nothing of hers is called');
    my $result = try_script($source, $script, superusers => 1);
    is("$result->{status} $result->{stdout}", '0 ', 'as its role the script does its work') or diag($result->{stderr});
    is($source->sql('SET ROLE NONE; SELECT v FROM public.t', 'app'), q{back\slash and quote'}, 'the row has come back');
    is(gains_nothing($source, 'as its role', 'app'), '', 'nothing of hers is called by it either');
}, sample => 1);
