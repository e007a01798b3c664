# Changes of the schema are comments in the script of --save-lost-rows. Where lost transactions gave the name of a table
# or database to another one, the script changes nothing there: it stops, and goes on when the same was done on the new
# primary.
# (Rule L14.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::LostRows;

my $table =
    q{CREATE TABLE t (id int PRIMARY KEY, v text); INSERT INTO t SELECT n, current_database() FROM generate_series(1, 3) n};

# As the lost transactions do it, and a person afterwards.
my @of_databases = ('ALTER DATABASE a RENAME TO c', 'ALTER DATABASE b RENAME TO a');
my $of_tables = 'ALTER TABLE x RENAME TO z; ALTER TABLE y RENAME TO x; ALTER TABLE z RENAME TO y';
my $made_again = 'DROP TABLE again; CREATE TABLE again (id int)';

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub {
            my ($server) = @_;
            $server->sql("CREATE DATABASE $_"), $server->sql($table, $_) for qw(a b);
            $server->sql(q{CREATE TABLE x (id int, v text); CREATE TABLE y (id int, v text); INSERT INTO y VALUES (1, 'y'); CREATE TABLE again (id int); CREATE TABLE renamed (id int)});
        },
        target => sub {
            my ($server) = @_;
            $server->sql($_) for @of_databases, $of_tables;
            $server->sql(q{INSERT INTO t VALUES (4, 'lost')}, 'a');
            $server->sql($_) for q{INSERT INTO x VALUES (2, 'was y')}, $made_again, 'INSERT INTO again VALUES (5)',
                'CREATE TABLE made (id int); INSERT INTO made VALUES (6)';
        });
    $source->stop;
    my $script = save_lost_rows($target, $source)->{sql} // return;
    $source->start;
    my $stops = sub {
        my ($why) = @_;
        my $result = try_script($source, $script);
        is($result->{status}, 3, 'the script stops');
        like($result->{stderr}, qr/ERROR:  $why\b/, $why);
    };
    $stops->('here a is another database');
    is($source->sql('SELECT count(*) FROM t', 'a'), 3, 'that has no row of it');
    $source->sql($_) for @of_databases;
    $stops->('here (?:public\.)?x is another table');
    $source->sql($of_tables);
    $stops->('here (?:public\.)?again is another table');
    $source->sql($made_again);
    $stops->('relation "public\.made" does not exist');
    $source->sql('CREATE TABLE made (id int)');
    like(run_script($source, $script), qr/\A(?:transaction \d+ is done already\n)+\z/, 'the rest is done');
    is($source->sql(q{SELECT string_agg(v, ' ' ORDER BY id) FROM t}, 'a'), 'b b b lost',
        'in the database that had another name');
    is($source->sql(q{SELECT string_agg(v, ' ' ORDER BY id) FROM x; SELECT count(*) FROM y; SELECT id FROM again; SELECT id FROM made}),
        "y was y\n0\n5\n6", 'in the tables');
}, sample => 1);
