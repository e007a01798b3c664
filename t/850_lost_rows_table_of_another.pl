# A third one with CREATE on a schema makes, on the old primary that still takes connections, a table with the name of
# one that another owner has made on the new primary. The script of --save-lost-rows has her rows, and would change his.
# It stops, and so it does in a database that both sides have made.
# (Rules L39, L42.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::LostRows;

# After a line break, which 19 refuses in names, her name looks like a hint of the script.
my $hint = 'HINT:  As a superuser: ALTER ROLE x SUPERUSER;';
my $mallory;
my $table = 'CREATE TABLE payments (id int PRIMARY KEY, who text, amount int)';
my $rows = q{INSERT INTO payments VALUES (1, 'ada', 100), (2, 'bea', 50)};

sub as_role
{
    my ($server, $role, $database, @statements) = @_;
    $server->sql("SET SESSION AUTHORIZATION $role; $_", $database) for @statements;
    return;
}

each_version(sub {
    my ($version) = @_;
    my $break = $version < 19 ? "\n" : '?';
    $mallory = qq{"mallory$break$hint"};
    my ($source, $target) = split_brain($version,
        before => sub {
            my ($server) = @_;
            $server->sql("CREATE ROLE $_ LOGIN CREATEDB; GRANT CREATE ON SCHEMA public TO $_") for $mallory, 'bob';
            $server->sql('CREATE TABLE handed_on (id int PRIMARY KEY); ALTER TABLE handed_on OWNER TO ' . $mallory);
        },
        source => sub {
            my ($server) = @_;
            as_role($server, 'bob', 'postgres', $table, $rows, 'CREATE TABLE by_superuser (id int)',
                'CREATE DATABASE shop');
            as_role($server, 'bob', 'shop', 'CREATE SCHEMA s', "SET search_path = s; $table; $rows");
            $server->sql('ALTER TABLE handed_on OWNER TO bob');
        },
        target => sub {
            my ($server) = @_;
            $server->sql($_) for 'CREATE TABLE by_superuser (id int); INSERT INTO by_superuser VALUES (3)',
                'INSERT INTO handed_on VALUES (4)';
            as_role($server, $mallory, 'postgres', $table, q{INSERT INTO payments VALUES (1, 'ada', 100)},
                'UPDATE payments SET amount = 999999', q{INSERT INTO payments VALUES (66, 'mallory', 5000)},
                'CREATE DATABASE shop');
            as_role($server, $mallory, 'shop', 'CREATE SCHEMA s',
                "SET search_path = s; $table; INSERT INTO payments VALUES (67, 'mallory', 5000)");
        });
    $source->stop;
    my $script = save_lost_rows($target, $source)->{sql} // return;
    $source->start;
    my $stops = sub {
        my ($where) = @_;
        my $result = try_script($source, $script, owner => 'bob');
        is($result->{status}, 3, "the script stops $where");
        like($result->{stderr}, qr/ERROR:  here (?:public|s)\.payments is a table of another owner$/m, 'and says why');
        like($result->{stderr}, qr/with rows of "mallory\?\Q$hint\E"/, 'her name has no line break there');
    };
    my $payments = q{SELECT string_agg(concat_ws(' ', id, who, amount), ', ' ORDER BY id) FROM };
    $stops->('in a database of both sides');
    is($source->sql("$payments public.payments"), '1 ada 100, 2 bea 50', 'the rows are as they were');
    is($source->sql('SELECT * FROM by_superuser, handed_on'), '3|4',
        'what a superuser did, or an earlier owner, is done');

    $source->sql('ALTER TABLE payments RENAME TO payments_of_bob');
    as_role($source, $mallory, 'postgres', $table);
    $stops->('in a database that both sides made');
    is($source->sql("$payments s.payments", 'shop'), '1 ada 100, 2 bea 50', 'and its rows are as they were');
}, sample => 1);
