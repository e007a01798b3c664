# What the code of a table's owner sets for the session holds for no other query of the script of --save-lost-rows. With
# another search_path a third user's operators, functions and types would be taken for PostgreSQL's, and be called with
# the owner's rights; with other settings values would be read or compared in another way.
#
# The attacker has CREATE on one schema. The owner of the tables, bob, has a CHECK that changes settings, as a function
# does that wants to find its own tables; so has the expression of an exclusion constraint. Where a value is read
# together with the statement, as that of a composite type is, the CHECK of a domain within it changes the rest of that
# statement: the script stops there.
# (Rules L43, L44, L45.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Attacker;
use RewindTest::LostRows;

my $tables = <<'END';
SET ROLE bob;
CREATE TABLE bob.t (id integer PRIMARY KEY, v varchar, j json, p point, a text[], i interval);
CREATE TABLE bob.keyless (v varchar, j json);
CREATE TABLE bob.swap (id integer PRIMARY KEY DEFERRABLE, other integer UNIQUE DEFERRABLE);
CREATE DOMAIN bob.document AS json;
CREATE DOMAIN bob.place AS point CHECK (VALUE IS NOT NULL);
CREATE TABLE bob.direct (id integer PRIMARY KEY, d bob.document, p bob.place);
INSERT INTO bob.t
    SELECT n, 'before', '{"n": 1}', '(0.1,0.2)', '{NULL,x}', '-1 day -2 hours' FROM generate_series(1, 5) n;
INSERT INTO bob.swap VALUES (1, 1), (2, 2);
INSERT INTO bob.keyless VALUES ('before', '{}');
INSERT INTO bob.direct SELECT n, '{"n": 1}', '(0.1,0.2)' FROM generate_series(1, 2) n;
RESET ROLE;
END

# Types of columns within which a domain is, each of the same name. The domain's first CHECK changes nothing.
my $pair = sub { "CREATE TYPE bob.pair_$_[0] AS (n bob.$_[0])" };
my $span = sub { "CREATE TYPE bob.span_$_[0] AS RANGE (subtype = bob.$_[0])" };
my @within = (
    { name => 'field', types => $pair->('field'), type => 'bob.pair_field', value => '(4)' },
    {
        name => 'deep',
        types => 'CREATE DOMAIN bob.over_deep AS bob.deep; CREATE TYPE bob.pair_deep AS (n bob.over_deep);'
            . ' CREATE TYPE bob.list_deep AS (pairs bob.pair_deep[])',
        type => 'bob.list_deep', value => '("{(4)}")'
    },
    { name => 'bound', types => $span->('bound'), type => 'bob.span_bound', value => '[4,5)' },
    { name => 'element', types => '', type => 'bob.element[]', value => '{4}', from => 11 },
    {
        name => 'domain_of_pair',
        types => $pair->('domain_of_pair') . '; CREATE DOMAIN bob.whole AS bob.pair_domain_of_pair',
        type => 'bob.whole', value => '(4)', from => 11
    },
    {
        name => 'several', types => $span->('several'), type => 'bob.span_several_multirange', value => '{[4,5)}',
        from => 14
    },
);

my $lost = <<'END';
INSERT INTO bob.t VALUES (6, 'lost', '{"n": 6}', '(0.3,0.4)', '{NULL,y}', '-1 year 3 days');
BEGIN; UPDATE bob.t SET v = 'lost', a = '{NULL}' WHERE id = 1; UPDATE bob.t SET id = 7, j = '{"n": 7}' WHERE id = 2;
    DELETE FROM bob.t WHERE id = 3; COMMIT;
BEGIN; INSERT INTO bob.keyless VALUES ('lost', '{"n": 6}'); UPDATE bob.keyless SET v = 'lost' WHERE v = 'before';
    COMMIT;
BEGIN; UPDATE bob.swap SET other = 10 + other; UPDATE bob.swap SET other = 13 - other;
    INSERT INTO bob.swap VALUES (3, 3); COMMIT;
UPDATE bob.t SET p = '(0.5,0.6)' WHERE id = 4;
UPDATE bob.t SET v = 'lost' WHERE id = 5;
INSERT INTO bob.t (id, v, p) VALUES (8, 'same', '(0.12,0.2)');
UPDATE bob.direct SET d = '{"n": 2}';
END

# Each is taken for PostgreSQL's where her schema comes first: functions and operators by their arguments and result.
my $text = 'pg_catalog.text';
my @functions = (
    [ 'format', "$text, json", $text ], [ 'current_setting', $text, $text ],
    [ 'regexp_replace', "$text, $text, $text, $text", $text ],
);
my @operators = (
    [ '=', 'varchar', 'varchar', 'boolean' ], [ '=', $text, $text, 'boolean' ],
    [ '=', 'integer', 'integer', 'boolean' ],
    [ '>', 'bigint', 'integer', 'boolean' ], [ '||', $text, $text, $text ], [ '||', $text, 'regclass', $text ],
);

sub trap
{
    my ($name, $arguments, $result, $title) = @_;
    return "CREATE FUNCTION public.$name($arguments) RETURNS $result LANGUAGE plpgsql AS \$\$ BEGIN"
        . " PERFORM mallory.gain('$title'); RETURN true; END \$\$;\n";
}

my $traps = join '', map({ trap(@$_, $_->[0]) } @functions), map({
        my ($name, $left, $right, $result) = @{ $operators[$_] };
        (trap("of_operator_$_", "$left, $right", $result, "$name of $left"),
            "CREATE OPERATOR public.$name (leftarg = $left, rightarg = $right, procedure = public.of_operator_$_);\n") }
        0 .. $#operators), map { "CREATE DOMAIN public.$_ AS pg_catalog.$_ CHECK (mallory.gain('type $_'));\n" } qw(text
        json);

# As a CHECK, and as an expression of an index, of which the server believes that it changes nothing.
sub careless
{
    my (@settings) = @_;
    my $perform = join ' ', map { "PERFORM pg_catalog.set_config($_, false);" } @settings;
    my $within_reindex = $perform =~ s/PERFORM[^;]*'role'[^;]*;//r;    # where no role can be set
    return <<"END";
SET SESSION AUTHORIZATION bob;
CREATE OR REPLACE FUNCTION bob.sets() RETURNS boolean LANGUAGE plpgsql AS \$\$ BEGIN
    $perform RETURN true; END \$\$;
CREATE OR REPLACE FUNCTION bob.quiet(integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS \$\$ BEGIN
    $within_reindex RETURN \$1; END \$\$;
END
}

# p of the new primary differs in its second digit only.
my $conflicts = join '', map { qq{conflict: $_->[0] of "bob"."$_->[1]" WHERE "id" = '$_->[2]'\n} }
    [ 'UPDATE', 't', 4 ], [ 'UPDATE', 't', 5 ], [ 'INSERT', 't', 8 ], [ 'UPDATE', 'direct', 2 ];
my $expected = <<'END' =~ s/\n\z//r;
1|lost|{"n": 1}|(0.1,0.2)|{NULL}|-1 days -02:00:00
4|before|{"n": 1}|(0.11,0.2)|{NULL,x}|-1 days -02:00:00
5|of the new primary|{"n": 1}|(0.1,0.2)|{NULL,x}|-1 days -02:00:00
6|lost|{"n": 6}|(0.3,0.4)|{NULL,y}|-1 years +3 days
7|before|{"n": 7}|(0.1,0.2)|{NULL,x}|-1 days -02:00:00
8|same||(0.11,0.2)||
lost|{"n": 6}
lost|{}
1|2
2|1
3|3
1|{"n": 2}|(0.1,0.2)
2|{"n": 1}|(0.11,0.2)
END

my @settings = (
    [ 'search_path', q{'search_path', 'public, pg_catalog'} ],
    [ 'how values are read', q{'array_nulls', 'off'}, q{'IntervalStyle', 'sql_standard'}, q{'DateStyle', 'SQL, DMY'} ],
    [ 'how values are compared', q{'extra_float_digits', '-15'}, q{'search_path', ''} ],
    [ 'what stops the script', q{'transform_null_equals', 'on'}, q{'role', 'bob'},
        q{'quote_all_identifiers', 'on'}, q{'default_transaction_read_only', 'on'} ],
);

# The server may end long transactions (17 and later): those of the script as well, at each run.
my $slow = [ 'a limit of the server', q{'bob.slept', pg_catalog.pg_sleep(0.3)::pg_catalog.text} ];

each_version(sub {
    my ($version) = @_;
    my @types = grep { $version >= ($_->{from} // 0) } @within;
    my ($source, $target) = split_brain($version,
        before => sub {
            my ($server) = @_;
            make_attacker($server);
            $server->sql('GRANT CREATE ON SCHEMA public TO mallory; GRANT USAGE ON SCHEMA bob TO PUBLIC');
            $server->sql($tables);
            $server->sql("SET ROLE bob; CREATE DOMAIN bob.$_->{name} AS integer CHECK (VALUE > 0); $_->{types};"
                . " CREATE TABLE bob.of_$_->{name} (v $_->{type}, w text);"
                . " INSERT INTO bob.of_$_->{name} VALUES ('$_->{value}', 'before')") for @types;
        },
        target => sub {
            my ($server) = @_;
            $server->sql($_) for grep { /\S/ } split /(?<=;)\n(?! )/, $lost;
            $server->sql("UPDATE bob.of_$_->{name} SET w = 'lost'") for @types;
        });
    $source->stop;
    my $script = save_lost_rows($target, $source)->{sql} // return;
    $source->start;
    as_mallory($source, $traps);
    my $sql = sub { $source->sql("SET search_path = pg_catalog; SET extra_float_digits = 1; $_[0]") };
    my @names = (qw(t keyless swap direct), map { "of_$_->{name}" } @types);
    my $restored = join "\n", $expected, map { "$_->{value}|lost" } @types;
    my $rows = sub {
        return join "\n", map { $sql->("SELECT * FROM bob.$_ t ORDER BY t::text COLLATE \"C\"") } @names;
    };
    $sql->(careless());
    $sql->("ALTER TABLE bob.$_ ADD CHECK (bob.sets())") for @names;
    $sql->('ALTER DOMAIN bob.document ADD CHECK (bob.sets())');
    $sql->('ALTER TABLE bob.swap ADD EXCLUDE (bob.quiet(id) WITH =) DEFERRABLE');
    $sql->("CREATE TABLE bob.kept_$_ AS TABLE bob.$_") for @names;
    $sql->($_) for q{UPDATE bob.kept_t SET p = '(0.11,0.2)' WHERE id = 4},
        q{UPDATE bob.kept_direct SET p = '(0.11,0.2)' WHERE id = 2},
        q{UPDATE bob.kept_t SET v = 'of the new primary' WHERE id = 5},
        q{INSERT INTO bob.kept_t (id, v, p) VALUES (8, 'same', '(0.11,0.2)')};
    $source->sql("ALTER DATABASE postgres SET transaction_timeout = '1s'") if $version >= 17;
    my $begin_again = sub {
        my ($title, @values) = @_;
        $sql->('DROP SCHEMA IF EXISTS lost_rows CASCADE');
        $sql->(careless());
        $sql->("TRUNCATE bob.$_; INSERT INTO bob.$_ TABLE bob.kept_$_") for @names;
        $sql->(careless(@values));
        gains_nothing($source, "$title, before");
    };
    for my $case (@settings, $version < 17 ? () : $slow)
    {
        my ($title, @values) = @$case;
        $begin_again->($title, @values);
        my $result = try_script($source, $script, owner => 'bob');
        is($result->{status}, 0, "$title: the script runs to its end") or diag($result->{stderr});
        is(gains_nothing($source, $title), '', "$title: nothing of hers is called");
        is($result->{stdout} =~ s/ \(.*//gmr, $conflicts, "$title: changed rows are in conflict");
        is($rows->(), $restored, "$title: the rows are put back");
    }

    # A function of hers, or PostgreSQL's own.
    $begin_again->('within', @{ $settings[0] }[1]);
    my $own = q{pg_catalog.set_config('search_path', 'public, pg_catalog', false) IS NOT NULL};
    $sql->("ALTER DOMAIN bob.$types[$_]{name} ADD CONSTRAINT careless CHECK (" . ($_ % 2 ? 'bob.sets()' : $own)
            . ') NOT VALID') for 0 .. $#types;
    for my $type (@types)
    {
        my $name = $type->{name};
        my $result = try_script($source, $script, owner => 'bob');
        is($result->{status}, 3, "$name: the script stops");
        my $refused = "a change of bob.of_$name would call CHECKs, while a value is read, of domain bob.$name of bob";
        like($result->{stderr}, qr/ERROR:  \Q$refused\E$/m, "$name: and names the domain");
        $sql->("ALTER DOMAIN bob.$name DROP CONSTRAINT careless");
    }
    is(try_script($source, $script, owner => 'bob')->{status}, 0, 'without these CHECKs it runs to its end');
    is($rows->(), $restored, 'and puts the rows back');
    is(gains_nothing($source, 'within'), '', 'within: nothing of hers is called');
}, sample => 1);
