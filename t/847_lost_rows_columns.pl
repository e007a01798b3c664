# Changes of the schema are comments in the script of --save-lost-rows. Where the new primary, or lost transactions,
# gave the name of a column to another one, or a column another type, the script puts no value into it: it stops, and
# goes on when both sides have the same columns. A column that only one side has added is none of these, nor one whose
# type has a modifier that only a function of the type can write, or a name that only some versions of the server quote.
# (Rules L15, L33.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::LostRows;

my @names = qw(swapped made_again retyped narrowed narrowed_array modified renamed added within odd words);
my $tables = join '',
    map {
    "CREATE TABLE $_ (id int PRIMARY KEY, dropped int, a text, b text, d numeric(9, 2)); ALTER TABLE $_ DROP dropped; INSERT INTO $_ VALUES (1, 'a', 'b', 0);\n" } @names;
my $types =
    q{CREATE TYPE my; CREATE FUNCTION my_out(my) RETURNS cstring LANGUAGE internal STRICT IMMUTABLE AS 'varcharout';
    CREATE FUNCTION my_in(cstring, oid, integer) RETURNS my LANGUAGE internal STRICT IMMUTABLE AS 'varcharin';
    CREATE TYPE my (INPUT = my_in, OUTPUT = my_out, LIKE = varchar,
        TYPMOD_IN = varchartypmodin, TYPMOD_OUT = varchartypmodout);
    ALTER TABLE odd ADD i my(3), ADD j my(4)[];
    CREATE TYPE "a Type" AS ENUM ('x', 'y'); CREATE DOMAIN dom AS varchar(3)[];
    ALTER TABLE odd ADD e "a Type", ADD f dom, ADD g interval day to second(3), ADD h "char", ADD "Ü x" "a Type"[];
    ALTER TABLE narrowed_array ADD c varchar(5)[]; ALTER TABLE modified ADD i my(3)};
# Names that some versions of the server quote, and others do not.
my @keywords = qw(over system_user merge_action normalize xmltable json_array grouping tablesample);
my $words = join '', 'CREATE SCHEMA "json";', map { (qq{CREATE DOMAIN "json"."$_" AS integer;},
    qq{CREATE TYPE "$_" AS ENUM ('x'); ALTER TABLE words ADD "$_" "json"."$_", ADD "type $_" "$_"[];}) } @keywords;
my $of_lost = 'ALTER TABLE renamed RENAME a TO c; ALTER TABLE renamed RENAME b TO a; ALTER TABLE renamed RENAME c TO b';

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql("SET client_encoding = 'UTF8'; $tables $types; $words") },
        target => sub {
            my ($server) = @_;
            $server->sql(qq{INSERT INTO $_ VALUES (2, 'lost a', 'lost b', 1.25)}) for qw(swapped made_again retyped
                narrowed narrowed_array modified);
            $server->sql($of_lost);
            $server->sql($_) for q{UPDATE renamed SET a = 'lost a' WHERE id = 1}, 'ALTER TABLE added ADD more text',
                q{INSERT INTO added VALUES (2, 'lost a', 'lost b', 1.25, 'more')},
                q{INSERT INTO words VALUES (2, 'lost a', 'lost b', 1.25} . q{, 1, '{x}'} x @keywords . ')',
                q{INSERT INTO odd VALUES (2, 'lost a', 'lost b', 1.25, NULL, NULL, 'x', '{a}', '1 day', 'c', '{x,y}')},
                q{BEGIN; INSERT INTO within VALUES (2); ALTER TABLE within ADD e timestamptz; INSERT INTO within (id, e) VALUES (3, '2020-01-01 00:00:00+00'); COMMIT};
        });
    $source->sql('ALTER DATABASE postgres SET quote_all_identifiers = on');
    my ($again, $back) =
        ('ALTER TABLE swapped RENAME a TO c; ALTER TABLE swapped RENAME b TO a; ALTER TABLE swapped RENAME c TO b') x 2;
    $source->sql($_) for $again, 'ALTER TABLE made_again RENAME b TO was_b; ALTER TABLE made_again ADD b text',
        'ALTER TABLE retyped ALTER a TYPE varchar',
        'ALTER TABLE narrowed ALTER d TYPE numeric(9, 1)',
        'ALTER TABLE narrowed_array ALTER c TYPE varchar(4)[]', 'ALTER TABLE modified ALTER i TYPE my(4)',
        'ALTER TABLE within ADD e timestamp',
        'ALTER TABLE odd ADD of_source text';
    $source->stop;
    my $script = save_lost_rows($target, $source)->{sql} // return;
    $source->start;
    my $stops = sub {
        my ($table, $columns) = @_;
        my $result = try_script($source, $script);
        is($result->{status}, 3, 'the script stops');
        like($result->{stderr}, qr/ERROR:  here $table has other columns, or other types, by these names: $columns$/m,
            "at $table");
    };
    my $row = sub { my ($table) = @_; return $source->sql("SELECT a, b, d FROM $table ORDER BY id DESC LIMIT 1") };
    $stops->('(?:public\.)?swapped', 'b, a');
    is($source->sql('SELECT count(*) FROM swapped'), 1, 'that has no row of it');
    $source->sql($back);
    $stops->('(?:public\.)?made_again', 'b');
    $source->sql('ALTER TABLE made_again DROP b; ALTER TABLE made_again RENAME was_b TO b');
    $stops->('(?:public\.)?retyped', 'a');
    $source->sql('ALTER TABLE retyped ALTER a TYPE text');
    $stops->('(?:public\.)?narrowed', 'd');
    $source->sql('ALTER TABLE narrowed ALTER d TYPE numeric(9, 2)');
    $stops->('(?:public\.)?narrowed_array', 'c');
    $source->sql('ALTER TABLE narrowed_array ALTER c TYPE varchar(5)[]');
    $stops->('(?:public\.)?modified', 'i');
    $source->sql('ALTER TABLE modified ALTER i TYPE my(3)');
    $stops->('(?:public\.)?renamed', 'a, b');
    $source->sql($of_lost);
    my $missing = try_script($source, $script);
    like($missing->{stderr}, qr/ERROR:  column "more" of relation "added" does not exist$/m, 'a column is missing');
    $source->sql('ALTER TABLE added ADD own text, ADD more text');
    $stops->('(?:public\.)?within', 'e');
    is($source->sql('SELECT count(*) FROM within'), 1, 'and the row that its transaction wrote before is not there');
    $source->sql('ALTER TABLE within ALTER e TYPE timestamptz');
    like(run_script($source, $script), qr/\A(?:transaction \d+ is done already\n)+\z/, 'the rest is done');
    is(join("\n", map { $row->($_) } qw(swapped made_again retyped narrowed
        narrowed_array modified added odd words)), join("\n", ('lost a|lost b|1.25') x 9), 'the rows are put back');
    is($row->('renamed'), 'lost a|a|0.00', 'also of the column that lost transactions renamed');
    is($source->sql('SELECT more, own IS NULL FROM added WHERE id = 2'), 'more|t',
        'also of one that lost transactions added');
    is($source->sql('SELECT max(id) FROM within'), 3, 'also amid a transaction');
}, sample => 1);
