# The script of --save-lost-rows gives the owner of a lost table no right that she does not have, wherever writing a row
# calls her functions.
#
# The attacker has CREATE on one schema, and one lost INSERT in each of her tables.
# (Rules L5, L18, L23.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Attacker;
use RewindTest::LostRows;

my @tables = qw(checked indexed predicate domain_check defaulted cast_to_text made triggered);

sub tables_of_mallory
{
    my ($version) = @_;
    return <<'END' . ($version >= 12 ? 'CREATE TABLE mallory.generated (id integer);' : '') . ($version >= 10 ? q{CREATE TABLE mallory.partition (id integer);} : '');
CREATE TABLE mallory.checked (id integer); CREATE TABLE mallory.indexed (id integer); CREATE TABLE mallory.predicate (id integer);
CREATE DOMAIN mallory.number AS integer; CREATE TABLE mallory.domain_check (id mallory.number);
CREATE TABLE mallory.defaulted (id integer); CREATE TABLE mallory.triggered (id integer);
CREATE TYPE mallory.pair AS (a integer, b integer); CREATE TABLE mallory.cast_to_text (id integer, p mallory.pair);
INSERT INTO mallory.cast_to_text VALUES (1, '(1,2)');
END
}

# What she does on the new primary before the script runs.
sub traps
{
    my ($version) = @_;
    return <<'END' . ($version >= 12 ? <<'GENERATED' : '') . ($version >= 10 ? <<'PARTITION' : '');
ALTER TABLE mallory.checked ADD CHECK (mallory.gain('check'));
CREATE INDEX ON mallory.indexed (mallory.quiet('index', id));
CREATE INDEX ON mallory.predicate (id) WHERE mallory.quiet('predicate', id) > 0;
ALTER DOMAIN mallory.number ADD CHECK (mallory.gain('domain'));
ALTER TABLE mallory.defaulted ADD more boolean; ALTER TABLE mallory.defaulted ALTER more SET DEFAULT mallory.gain('default');
CREATE FUNCTION mallory.to_text(p mallory.pair) RETURNS text LANGUAGE plpgsql AS $$ BEGIN PERFORM mallory.gain('cast'); RETURN p.a; END $$;
CREATE CAST (mallory.pair AS text) WITH FUNCTION mallory.to_text(mallory.pair);
CREATE TABLE mallory.behind (id integer);
CREATE VIEW mallory.made AS SELECT * FROM mallory.behind WHERE mallory.gain('view') WITH CHECK OPTION;
CREATE FUNCTION mallory.fire() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM mallory.gain('trigger'); RETURN NULL; END $$;
CREATE TABLE mallory.enough ();
CREATE TRIGGER fire AFTER INSERT ON mallory.triggered FOR EACH ROW EXECUTE PROCEDURE mallory.fire();
END
ALTER TABLE mallory.generated ADD made integer GENERATED ALWAYS AS (mallory.quiet('generated', id)) STORED;
GENERATED
CREATE TABLE mallory.parted (id integer) PARTITION BY RANGE ((mallory.quiet('partition', id)));
ALTER TABLE mallory.parted ATTACH PARTITION mallory.partition FOR VALUES FROM (0) TO (100);
PARTITION
}

each_version(sub {
    my ($version) = @_;
    my @all = (@tables, $version >= 12 ? 'generated' : (), $version >= 10 ? 'partition' : ());
    my ($source, $target) = split_brain($version,
        before => sub { make_attacker($_[0]); as_mallory($_[0], tables_of_mallory($version)) },
        target => sub {
            my ($server) = @_;
            as_mallory($server, "INSERT INTO mallory.$_ VALUES (7)")
                for grep { !/^(?:cast_to_text|made|triggered)$/ } @all;
            as_mallory($server, 'UPDATE mallory.cast_to_text SET id = 7');
            as_mallory($server, 'CREATE TABLE mallory.made (id integer); INSERT INTO mallory.made VALUES (7)');
            as_mallory($server, 'INSERT INTO mallory.triggered VALUES (7)');
        });
    $source->stop;
    my $script = save_lost_rows($target, $source)->{sql} // return;
    $source->start;
    as_mallory($source, traps($version));
    $source->sql('TRUNCATE mallory.calls');
    # She has a lock on the table with the trigger until the script waits for it: after it has looked at the table.
    my $lock_and_enable = sub {
        my $session = $source->session;
        $session->sql('SET SESSION AUTHORIZATION mallory');
        $session->sql('BEGIN; LOCK TABLE mallory.triggered');
        $session->send(q{DO $$ BEGIN FOR i IN 1 .. 3000 LOOP EXIT WHEN EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted) OR EXISTS (SELECT 1 FROM mallory.enough); PERFORM pg_sleep(0.01); END LOOP; END $$;
            ALTER TABLE mallory.triggered ENABLE ALWAYS TRIGGER fire; COMMIT});
        return $session;
    };

    my $session = $lock_and_enable->();
    refuses_superuser($source, $script);
    is(gains_nothing($source, 'as a superuser'), '', 'nothing of hers is called');
    as_mallory($source, 'INSERT INTO mallory.enough DEFAULT VALUES');
    $session->sql('SELECT 1');
    $session->end;
    $source->sql('ALTER TABLE mallory.triggered ENABLE TRIGGER fire');

    my $result = try_script($source, $script, owner => 'mallory');
    is($result->{status}, 3, 'as its role the script stops');
    like($result->{stderr}, qr/ERROR:  here mallory\.made is not a table$/m, 'at the view');
    my $expected = join ' ', map { "$_ as lost_rows_writer" } sort 'check', 'default', 'domain', 'index', 'predicate',
        $version >= 12 ? 'generated' : (), $version >= 10 ? 'partition' : ();
    is(join(' ', split /\n/, gains_nothing($source, 'as its role')), $expected,
        'her functions are called as that role; her cast is not');
    as_mallory($source, 'TRUNCATE mallory.enough; DROP VIEW mallory.made; CREATE TABLE mallory.made (id integer)');

    $session = $lock_and_enable->();
    $result = try_script($source, $script, owner => 'mallory');
    $session->end;
    is($result->{status}, 3, 'it stops once more');
    like($result->{stderr},
        qr/ERROR:  what these triggers and rules do would be done twice: fire of mallory\.triggered$/m,
        'at the trigger that was enabled while it waited');
    is(gains_nothing($source, 'with a trigger'), '', 'that has not fired');
    as_mallory($source, 'ALTER TABLE mallory.triggered ENABLE TRIGGER fire');
    like(run_script($source, $script, owner => 'mallory'), qr/\A(?:transaction \d+ is done already\n)+\z/,
        'the rest is done');
    is(join(' ', map { $source->sql("SELECT count(*) FROM mallory.$_ WHERE id = 7") } @all), join(' ', (1) x @all),
        'all rows have come back');
    gains_nothing($source, 'at the end');
}, sample => 1);
