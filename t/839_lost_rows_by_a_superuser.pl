# A superuser can run the script of --save-lost-rows all the same, by a variable of psql that says what that gives away.
# Then all tables are changed in one run, and the script names the functions of others that it calls. Asked for the list
# alone, it calls none and changes nothing.
#
# The owner of the tables has a CHECK, a trigger and an index, whose functions note who called them.
# (Rule L20.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::LostRows;

my $tables = <<'END';
CREATE ROLE owner LOGIN; CREATE SCHEMA owner AUTHORIZATION owner;
SET SESSION AUTHORIZATION owner;
CREATE TABLE owner.noted (who name);
CREATE FUNCTION owner.note(id integer) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN INSERT INTO owner.noted VALUES (current_user); RETURN true; END $$;
CREATE FUNCTION owner.key(id integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1 % 10';
CREATE FUNCTION owner.fire() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TABLE owner.t (id integer); CREATE INDEX ON owner.t (owner.key(id));
CREATE TRIGGER fire BEFORE INSERT ON owner.t FOR EACH ROW EXECUTE PROCEDURE owner.fire();
SET SESSION AUTHORIZATION DEFAULT;
CREATE TABLE public.t (id integer);
END

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql($tables) },
        target => sub { $_[0]->sql($_) for 'INSERT INTO owner.t VALUES (1); INSERT INTO public.t VALUES (1)',
            'INSERT INTO owner.t VALUES (2)' });
    $source->stop;
    my $script = save_lost_rows($target, $source)->{sql} // return;
    $source->start->sql('ALTER TABLE owner.t ADD CHECK (owner.note(id)); CREATE SCHEMA lost_rows');
    my $run = sub { my ($value) = @_;
        return run([ program('psql'), '-X', '-v', "run_code_of_others_with_my_rights=$value", '-d', $source->conninfo,
        '-f', $script ]) };
    my $state =
        sub {
            return $source->sql('SELECT count(*) FROM owner.t; SELECT count(*) FROM public.t; SELECT count(*) FROM owner.noted; SELECT count(*) FROM lost_rows.applied')
        =~ tr/\n/ /r };
    my $functions = 'owner.key(integer) of owner, owner.note(integer) of owner';
    my $schema = 'what owner, the owner of schema owner, puts there';
    my $listed = qr/\A[^\n]*WARNING:  a change of owner\.t calls, as postgres, \Q$functions, $schema\E\n\z/;
    refuses_superuser($source, $script);
    my $result = $run->('no');
    is($result->{status}, 3, 'another value does not count');
    $result = $run->('list');
    like($result->{stderr}, $listed,
        'list: the functions that a change calls, each once; none of a trigger, which does not fire');
    is("$result->{status} $result->{stdout}" . $state->(), '0 0 0 0 0', 'and nothing is changed');
    $result = $run->('yes');
    like($result->{stderr}, $listed, 'yes: the functions');
    is("$result->{status} $result->{stdout}" . $state->(), '0 2 1 2 3', 'and the tables of all owners are changed');
    is($source->sql('SELECT DISTINCT who FROM owner.noted'), 'postgres', 'as the superuser');
    $result = $run->('yes');
    is("$result->{status} $result->{stdout}" . $state->(), '0 2 1 2 3', 'a second run changes nothing');
}, sample => 1);
