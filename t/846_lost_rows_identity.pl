# No UPDATE gives a value to a column that is GENERATED ALWAYS AS IDENTITY, but DEFAULT, and then WAL has the number
# that it gave. The script of --save-lost-rows puts such a row back as a whole, under the conditions of an UPDATE: what
# the new primary has changed is a conflict, and a column that it has added keeps its value.
# (Rule L7.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::LostRows;

my $tables = <<'END';
CREATE TABLE t (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text, body text);
ALTER TABLE t ALTER body SET STORAGE EXTERNAL;
INSERT INTO t (v, body) SELECT 'v' || n, repeat(n::text, 3000) FROM generate_series(1, 4) n;
CREATE TABLE no_key (v text, "The id" int GENERATED ALWAYS AS IDENTITY);
INSERT INTO no_key (v) VALUES ('a'), ('b'), ('b');
CREATE TABLE after (id int PRIMARY KEY);
END

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql($tables);
        $_[0]->sql('ALTER TABLE t ADD twice bigint GENERATED ALWAYS AS (id * 2) STORED') if $version >= 12 },
        target => sub {
            my ($server) = @_;
            $server->sql('ALTER SEQUENCE t_id_seq RESTART 100');    # numbers that the new primary does not give
            $server->sql($_) for q{UPDATE t SET id = DEFAULT, v = 'it''s lost' WHERE id = 1},
                'UPDATE t SET id = DEFAULT WHERE id = 2', 'UPDATE t SET id = DEFAULT WHERE id = 3',
                q{UPDATE no_key SET "The id" = DEFAULT WHERE "The id" = 2}, 'INSERT INTO after VALUES (1)';
        });
    $source->sql(q{ALTER TABLE t ADD added text; UPDATE t SET added = 'here ' || id; UPDATE t SET v = 'changed' WHERE id = 2});
    $source->sql(q{INSERT INTO t (id, v, body) OVERRIDING SYSTEM VALUE VALUES (102, 'in the way', '')});
    $source->stop;
    my $script = save_lost_rows($target, $source)->{sql} // return;
    $source->start;
    my $said = run_script($source, $script);
    is($said =~ s/ \([^()]*\)$//mgr,
        qq{conflict: UPDATE of "public"."t" WHERE "id" = '2'\nconflict: UPDATE of "public"."t" WHERE "id" = '3'\n},
        'two rows are not as they were');
    is($source->sql(q{SELECT id, v, length(body), added FROM t ORDER BY id}),
        "2|changed|3000|here 2\n3|v3|3000|here 3\n4|v4|3000|here 4\n100|it's lost|3000|here 1\n102|in the way|0|",
        'one is put back, with what is unchanged, and what was added');
    is($source->sql('SELECT count(*) FROM t WHERE twice <> id * 2'), 0, 'the server has computed what it computes')
        if $version >= 12;
    is($source->sql(q{SELECT v, "The id" FROM no_key ORDER BY 2}), "a|1\nb|3\nb|4", 'without a key, too');
    is($source->sql('SELECT id FROM after'), 1, 'the transactions after them are done');
    like(run_script($source, $script), qr/\A(?:transaction \d+ is done already\n)+\z/, 'once');
}, sample => 1, from => 10);
