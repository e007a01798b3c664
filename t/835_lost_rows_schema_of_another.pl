# The script of --save-lost-rows uses no schema lost_rows that somebody else has made, with functions and a table of her
# own.
#
# The attacker has CREATE on the database, and nothing lost: the rows are those of a superuser.
# (Rule L22.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Attacker;
use RewindTest::LostRows;

# A function that fits a call better than the script's own, if its literals have no type; a table that runs her code
# when it gets a row.
my $trap = <<'END';
CREATE SCHEMA lost_rows; GRANT ALL ON SCHEMA lost_rows TO PUBLIC;
CREATE TABLE lost_rows.applied (file text, lsn text, xid bigint, applied timestamptz DEFAULT now(), CHECK (mallory.gain('applied')), PRIMARY KEY (file, lsn));
GRANT ALL ON lost_rows.applied TO PUBLIC;
CREATE FUNCTION lost_rows.refuse_other(name text, number integer, same boolean) RETURNS void LANGUAGE plpgsql AS $$ BEGIN PERFORM mallory.gain('overload'); END $$;
CREATE FUNCTION lost_rows.check_table(schema text, name text, number integer, same boolean) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM mallory.gain('overload'); RETURN true; END $$;
CREATE FUNCTION lost_rows.begin_transaction(name text, place text, number integer) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN PERFORM mallory.gain('overload'); RETURN true; END $$;
END

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { my ($server) = @_; make_attacker($server);
        $server->sql('CREATE TABLE t (id integer PRIMARY KEY); GRANT CREATE ON DATABASE postgres TO mallory') },
        target => sub { $_[0]->sql('INSERT INTO t VALUES (1)') });
    $source->stop;
    my $script = save_lost_rows($target, $source)->{sql} // return;
    $source->start;
    as_mallory($source, $trap);
    refuses_superuser($source, $script);
    is(gains_nothing($source, 'as a superuser'), '', 'nothing of hers is called');

    my $result = try_script($source, $script, superusers => 1);
    is($result->{status}, 3, 'as its role the script stops');
    like($result->{stderr}, qr/ERROR:  schema lost_rows, or what is in it, belongs to mallory$/m,
        'and says whose schema it is');
    is(gains_nothing($source, 'as its role'), '', 'nothing of hers is called');
    # The schema is the role's, what is in it hers.
    $source->sql('ALTER SCHEMA lost_rows OWNER TO lost_rows_writer');
    $result = try_script($source, $script, superusers => 1);
    like($result->{stderr}, qr/ERROR:  schema lost_rows, or what is in it, belongs to mallory$/m,
        'nor is what she has left in it');
    is(gains_nothing($source, 'again'), '', 'nothing of hers is called again');

    $source->sql('ALTER SCHEMA lost_rows RENAME TO of_mallory');
    is(run_script($source, $script, superusers => 1), '', 'with a schema of its own it does its work');
    is($source->sql('SELECT count(*) FROM t'), 1, 'the row has come back');
    is(gains_nothing($source, 'at the end'), '', 'nothing of hers is called at the end');
}, sample => 1);
