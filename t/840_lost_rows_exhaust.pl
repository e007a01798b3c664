# A few kB of WAL cannot make --save-lost-rows take all memory or fill a disk: a value whose text would be much longer
# than what is stored, or longer than 32 MB with the rest of its row, is kept as it is stored. All other rows have their
# text.
#
# The attacker has INSERT only. What she inserts is numeric[], jsonb and numeric of '1e131071', and text that is
# compressed well.
# (Rule L26.)

use strict;
use warnings;
use lib 't/lib';
use JSON::PP ();
use RewindTest;
use RewindTest::LostRows;

my $memory = 1024 * 1024;    # in kB, of addresses: the program, its libraries and threads need 300 MB of it
my $tables = <<'END';
CREATE TABLE n (id integer PRIMARY KEY, v numeric); CREATE TABLE a (id integer PRIMARY KEY, v numeric[]); CREATE TABLE j (id integer PRIMARY KEY, v jsonb);
CREATE TABLE t (id integer PRIMARY KEY, v text); CREATE TABLE b (id integer PRIMARY KEY, v bytea); ALTER TABLE b ALTER v SET STORAGE EXTERNAL;
CREATE TABLE wide (id integer PRIMARY KEY, v text, w text); CREATE TABLE z (id integer PRIMARY KEY, v bytea); CREATE TABLE d (id integer PRIMARY KEY, v date[]); CREATE ROLE mallory; GRANT INSERT, UPDATE, SELECT ON ALL TABLES IN SCHEMA public TO mallory;
END
my @lost = (
    q{INSERT INTO a SELECT 1, array_agg('1e131071'::numeric) FROM generate_series(1, 18000)},
    q{INSERT INTO j SELECT 1, jsonb_agg('1e131071'::numeric) FROM generate_series(1, 18000)},
    q{INSERT INTO n SELECT i, '1e131071' FROM generate_series(1, 3000) i},
    q{INSERT INTO t VALUES (1, repeat('x', 150000000))},
    q{INSERT INTO b VALUES (1, (SELECT decode(string_agg(md5(i::text), ''), 'hex') FROM generate_series(1, 1500000) i))},
    q{UPDATE t SET id = 2},
    # As before: long, but not much longer than it is stored, or short.
    q{INSERT INTO n VALUES (-1, '1e1000'), (-2, 12.50)},
        q{INSERT INTO t SELECT 3, string_agg(md5(i::text), '') FROM generate_series(1, 300000) i},
    q{INSERT INTO wide VALUES (1, repeat(chr(92), 300000), repeat('''', 300000))},
    q{INSERT INTO b VALUES (2, '\x00ff')},
    # No value is compressed to less than one of these.
    q{INSERT INTO z VALUES (1, decode(repeat('00', 1000000), 'hex'))},
        q{INSERT INTO d SELECT 1, array_agg('2026-11-26'::date) FROM generate_series(1, 200000)},
);

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        cluster => { settings => 'max_wal_size = 2GB' },
        before => sub {
            my ($server) = @_;
            $server->sql($tables);
            $server->try_sql("ALTER SYSTEM SET default_toast_compression = 'lz4'");    # where the server has it
            $server->sql('SELECT pg_reload_conf()');
        },
        target => sub { my ($server) = @_; $server->sql("SET ROLE mallory; $_") for @lost });
    $source->stop;
    my ($result, $directory) = save_lost_rows_within("-v $memory", $target, $source);
    is($result->{status}, 0, 'with 1 GB of addresses the rows are saved') or do { diag($result->{stderr}); return };
    my ($jsonl, $sql) = map { glob "$directory/*.$_" } qw(jsonl sql);
    cmp_ok(-s $jsonl, '<', 250 * 1024 * 1024, 'the file for programs is not long: ' . -s $jsonl);
    cmp_ok(-s $sql, '<', 100 * 1024 * 1024, 'nor is the script: ' . -s $sql);

    my %value;
    open my $file, '<', $jsonl or die;
    while (my $line = <$file>)
    {
        my $change = JSON::PP->new->utf8->max_size(0)->decode($line =~ s/("value":")([^"]{10000})[^"]*"/$1$2..."/gr);
        $value{"$change->{action} $change->{table} $change->{columns}[0]{value}"} = $change->{columns}[1]
            if $change->{action} =~ /^[IU]$/ && $change->{columns};
    }
    close $file;
    my $form = sub { my ($row) = @_; my $is = $value{$row} // {}; return join ' ', map { defined $is->{$_} ? $_
        : () } qw(unknown unchanged encoding compressed) };
    is($form->($_), 'encoding compressed', "$_: kept as it is stored, compressed") for 'I a 1', 'I j 1', 'I t 1';
    is($form->($_), 'encoding', "$_: kept as it is stored") for 'I n 1', 'I n 3000', 'I b 1';
    cmp_ok(length $value{'I n 1'}{value}, '<', 30, 'in hexadecimal');
    is($form->($_), '', "$_: has its text") for 'I n -1', 'I n -2', 'I t 3', 'I wide 1', 'I b 2', 'I z 1', 'I d 1';
    is($value{'I b 2'}{value}, '\x00ff', 'as before');

    # Of n, of a, j, t and b.
    my $left_out = () = slurp($sql) =~ /^-- left out: INSERT of .*: the text of a value is too long$/mg;
    is($left_out, 3004, 'the script leaves them out, and says why');
    $source->start;
    unlike(run_script($source, $sql), qr/conflict: INSERT/, 'it runs');
    is($source->sql(q{SELECT (SELECT count(*) FROM n), (SELECT count(*) FROM t), length((SELECT w FROM wide)), (SELECT v FROM b), length((SELECT v FROM z)), cardinality((SELECT v FROM d))}),
        '2|1|300000|\x00ff|1000000|200000', 'and the other rows come back');
}, sample => 1);
