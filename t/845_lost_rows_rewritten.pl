# ALTER TABLE writes all rows of a table again. Rows of an unlogged table that becomes a logged one were never in WAL
# before: --save-lost-rows saves them as INSERTs. Other rows may have new values, as those of a volatile DEFAULT:
# they are counted as unknown, and with --require-lost-rows nothing is rewound. The name of a command's table,
# pg_temp_OID, proves nothing: users may take it.
# (Rule L41.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::LostRows;
use RewindTest::Outcome;

my @known = (
    'CREATE UNLOGGED TABLE staging (id int PRIMARY KEY, gone int, v text)',
    'ALTER TABLE staging ALTER v SET STORAGE EXTERNAL, DROP gone',
    q{INSERT INTO staging SELECT n, repeat(n::text, 3000) FROM generate_series(1, 3) n},
    'ALTER TABLE staging SET LOGGED, ADD w int DEFAULT 7', 'DELETE FROM staging WHERE id = 2',
    'INSERT INTO loaded VALUES (1), (1)', 'ALTER TABLE loaded SET LOGGED',
    'REFRESH MATERIALIZED VIEW view_of_t', 'CLUSTER t USING t_pkey', 'VACUUM FULL t');

# What is not known, with the number of rows that are written again; "logged" is one that WAL has.
my @unknown = (
    [ 4, 'ALTER TABLE t ADD token text DEFAULT md5(random()::text)' ],
    [ 1, 'ALTER TABLE was_logged SET UNLOGGED; INSERT INTO was_logged VALUES (2)',
        'DELETE FROM was_logged WHERE id = 1',
        'ALTER TABLE was_logged SET LOGGED' ],
    [ 4, 'ALTER TABLE t ALTER n TYPE numeric USING n + random()' ]);

each_version(sub {
    my ($version) = @_;
    my ($like_a_copy, $like_anothers);
    my ($source, $target) = split_brain($version,
        before => sub {
            my ($server) = @_;
            $server->sql(<<'END');
CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t SELECT n, n FROM generate_series(1, 4) n;
CREATE UNLOGGED TABLE loaded (id int); CREATE TABLE was_logged (id int); INSERT INTO was_logged VALUES (1);
CREATE MATERIALIZED VIEW view_of_t AS SELECT id FROM t;
CREATE UNLOGGED TABLE sessions (id int PRIMARY KEY, who text);
CREATE ROLE mallory; GRANT CREATE ON SCHEMA public TO mallory;
END
            $like_anothers = 'pg_temp_' . $server->sql(q{SELECT 'sessions'::regclass::oid});
            $like_a_copy = 'pg_temp_' . $server->sql(q{SELECT 't_pkey'::regclass::oid});
        },
        target => sub {
            my ($server) = @_;
            $server->sql($_) for @known,
                "BEGIN; CREATE TABLE $like_a_copy (id int); INSERT INTO $like_a_copy VALUES (5); COMMIT",
                "INSERT INTO $like_a_copy VALUES (6)";
        });
    $source->stop;
    my $save = sub { my (@options) = @_; return save_lost_rows($target, $source, options => [@options]) };
    my $file = $save->('--require-lost-rows');
    return if !$file->{jsonl};
    my ($transactions, $others) = saved_rows($file->{jsonl});
    my $text = sub { my ($change) = @_; return join ' ', $change->{kind}, $change->{table},
        map { substr "$_->[0]=$_->[2]", 0, 5 } @{ $change->{new} // $change->{old} } };
    is(join("\n", map { $text->($_) } map { @{ $_->{changes} } } @$transactions),
        join("\n", (map { "I public.staging id=$_ v=$_$_$_ w=7" } 1 .. 3), 'D public.staging id=2 v=222 w=7',
            ('I public.loaded id=1') x 2, map { "I public.$like_a_copy id=$_" } 5, 6),
        'the rows of unlogged tables that became logged ones');
    is_deeply($others->[-1]{unknown}, [], 'are all that was lost');

    $source->start;
    $source->sql("CREATE TABLE staging (id int PRIMARY KEY, v text, w int); CREATE TABLE $like_a_copy (id int)");
    is(run_script($source, $file->{sql}), '', 'the script');
    is($source->sql(q{SELECT id, length(v), w FROM staging ORDER BY 1; SELECT count(*) FROM loaded}),
        "1|3000|7\n3|3000|7\n2", 'gives them to the new primary');
    $source->stop;

    my $expected = 0;
    for my $case (@unknown)
    {
        my ($rows, @statements) = @$case;
        $target->start;
        $target->sql($_) for @statements;
        $target->stop;
        unlink glob $target->dir . '/lost/*';
        $file = $save->();
        $expected += $rows;
        is_deeply([ map { "$_->{reason}: $_->{changes}" } @{ (saved_rows($file->{jsonl}))[1][-1]{unknown} } ],
            ["ALTER TABLE wrote the rows of its table again: $expected"], "unknown after $statements[-1]");
        ends(rewind($target, $source, kind => 'directory',
            options => [ "--save-lost-rows=@{[ $target->dir ]}/lost", '--require-lost-rows' ]), 1,
            'with --require-lost-rows', qr/^pg_rewind: error: not all lost rows are known$/m);
    }

    # Another user's table of such a name is no copy of that table, though its transaction drops it.
    $target->start;
    $target->sql("SET ROLE mallory; BEGIN; CREATE TABLE $like_anothers (id int, who text);
        INSERT INTO $like_anothers VALUES (666, 'admin'); DROP TABLE $like_anothers; COMMIT");
    $target->stop;
    unlink glob $target->dir . '/lost/*';
    $file = $save->();
    my @tables = map { $_->{table} } map { @{ $_->{changes} } } @{ (saved_rows($file->{jsonl}))[0] };
    is_deeply([ grep { /sessions|$like_anothers/ } @tables ], ["public.$like_anothers"], "a user's own rows are hers");
}, only => [ 10, 15, 18 ]);
