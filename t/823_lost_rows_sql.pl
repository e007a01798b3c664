# The script of --save-lost-rows, run on a new primary that did nothing else, gives it the tables of the old one. Run
# again, it changes nothing. Where the new primary changed the same rows, each is reported as a conflict, and none is
# changed.
# (Rules L5, L34, L40, L47.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::LostRows;

# The new primary changes all accounts, and inserts some that the old one has as well.
my $elsewhere = <<'END';
UPDATE accounts SET note = 'elsewhere';
INSERT INTO accounts SELECT n, 'elsewhere', 0, NULL FROM generate_series(1001, 1010) n;
INSERT INTO two_uniques VALUES (20, 'new@example.org'), (21, '3@example.com');
END

# Other rows are in the way of new values.
my @collisions = ('UPDATE of "public"."two_uniques" WHERE "id" = \'4\'',
    'INSERT of "public"."two_uniques" WHERE "id" = \'12\'');

# The changes of accounts that find the row changed, missing, or there already.
sub expected_conflicts
{
    my ($transactions) = @_;
    my $id = sub { my ($row) = @_; my ($column) = grep { $_->[0] eq 'id' } @$row; return $column->[2] };
    my $text = sub { my ($row) = @_; return join ' ', map { $_->[2] // 'NULL' } @$row };
    return grep { my $key = $id->($_->{old} // $_->{new}); $key >= 1 && $key <= 400 || $key >= 1001 && $key <= 1010 }
        grep { !$_->{old} || !$_->{new} || $text->($_->{old}) ne $text->($_->{new}) }
        grep { $_->{table} eq 'public.accounts' } map { @{ $_->{changes} } } @$transactions;
}

# By a collation for which upper and lower case are equal, a row that the new primary changed is another one all the
# same.
sub by_collation
{
    my ($version) = @_;
    my $target = make_cluster('collated', $version);
    $target->start;
    return
        if $target->try_sql(q{CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false)})->{status} != 0;
    $target->sql(q{CREATE DOMAIN d AS text COLLATE ci; CREATE TABLE t (k text COLLATE ci PRIMARY KEY, v varchar COLLATE ci, d d, a text[] COLLATE ci);
        CREATE INDEX ON t (v); INSERT INTO t SELECT 'key ' || n, 'v', 'd', '{a}' FROM generate_series(1, 6) n});
    $target->stop;
    my ($source, $changed) = map { $target->copy($_) } qw(collated_source collated_changed);
    $source->switch_timeline->stop;
    $target->start->sql(q{UPDATE t SET v = 'lost' WHERE k IN ('key 1', 'key 2', 'key 3'); DELETE FROM t WHERE k = 'key 4'; UPDATE t SET d = 'D' WHERE k = 'key 5'; UPDATE t SET k = 'KEY 6' WHERE k = 'key 6'});
    my $expected = all_rows($target);
    $target->stop;
    my $file = save_lost_rows($target, $source);
    $source->start;
    is(run_script($source, $file->{sql}), '', 'collations: nothing to say');
    is_same_text(all_rows($source), $expected, 'the rows are the same, to the byte');
    $changed->start->sql(q{UPDATE t SET k = 'Key 1' WHERE k = 'key 1'; UPDATE t SET v = 'V' WHERE k = 'key 2'; UPDATE t SET a = '{A}' WHERE k = 'key 3'; UPDATE t SET d = 'D' WHERE k = 'key 4'});
    my $before = $changed->sql(q{SELECT * FROM t WHERE k <= 'key 4' ORDER BY k});
    is(scalar(() = run_script($changed, $file->{sql}) =~ /^conflict:/mg), 4, 'a change of case is a conflict');
    is($changed->sql(q{SELECT * FROM t WHERE k <= 'key 4' ORDER BY k}), $before, 'and stays');
    return;
}

# The script on a new primary that did nothing else, which then has the rows of the old one; and on one that did
# something: what it says there. There all rows stay.
sub in_two_places
{
    my ($version, $name, %sql) = @_;
    my $target = make_cluster($name, $version);
    $target->start->sql($sql{before});
    $target->stop;
    my ($source, $changed) = map { $target->copy("${name}_$_") } qw(source changed);
    $source->switch_timeline->stop;
    $target->start->sql($sql{target});
    my $expected = all_rows($target);
    $target->stop;
    my $file = save_lost_rows($target, $source);
    $source->start;
    is(run_script($source, $file->{sql}), '', "$name: nothing to say");
    is_same_text(all_rows($source), $expected, 'the rows are the same');
    $changed->start->sql($sql{changed});
    my $before = all_rows($changed);
    my $said = run_script($changed, $file->{sql});
    is_same_text(all_rows($changed), $before, 'what the new primary has changed stays');
    return join "\n", $said =~ /^((?:conflict|already so): .*) \(/mg;
}

# Where the new primary made the same change, the row may be right or not: a line names it.
sub same_on_both
{
    my ($version) = @_;
    my $change = q{UPDATE t SET n = n - 1 WHERE id = 1; DELETE FROM t WHERE id = 2; INSERT INTO t VALUES (3, 0)};
    my $said = in_two_places($version, 'same',
        before => q{CREATE TABLE t (id int PRIMARY KEY, n int); INSERT INTO t VALUES (1, 100), (2, 100)},
        target => $change, changed => $change);
    is($said, join("\n", map { qq{already so: $_->[0] of "public"."t" WHERE "id" = '$_->[1]'} }
        [ 'UPDATE', 1 ], [ 'DELETE', 2 ], [ 'INSERT', 3 ]), 'the same on both sides is not silent');
    return;
}

# NULL is no empty text of a type without =, and no row of NULLs, of which IS NULL is true.
sub empty_values
{
    my ($version) = @_;
    my $said = in_two_places($version, 'empty',
        before => q{CREATE TYPE pair AS (a int, b int);
            CREATE TABLE t (id int PRIMARY KEY, note text, words tsvector, p pair);
            INSERT INTO t VALUES (1, '', '', NULL), (2, '', NULL, NULL), (3, '', '', ROW(NULL, NULL)),
            (4, '', '', NULL), (5, NULL, NULL, NULL)},
        target => q{UPDATE t SET note = 'lost' WHERE id < 5; DELETE FROM t WHERE id = 5},
        changed => q{UPDATE t SET words = NULL WHERE id = 1; UPDATE t SET words = '' WHERE id IN (2, 5);
            UPDATE t SET p = NULL WHERE id = 3; UPDATE t SET p = ROW(NULL, NULL) WHERE id = 4});
    is($said, join("\n", map({ qq{conflict: UPDATE of "public"."t" WHERE "id" = '$_'} } 1 .. 4),
        q{conflict: DELETE of "public"."t" WHERE "id" = '5'}), 'each is a conflict');
    return;
}

# Old rows may have NULL in a column that is NOT NULL for new ones, and several may have it in a unique index.
sub null_in_key
{
    my ($version) = @_;
    my $said = in_two_places($version, 'null_in_key',
        before => q{CREATE TABLE t (k int, v text);
            INSERT INTO t VALUES (NULL, 'same'), (NULL, 'same'), (NULL, 'other'), (1, 'a');
            ALTER TABLE t ADD CONSTRAINT given NOT NULL k NOT VALID; CREATE UNIQUE INDEX ON t (k)},
        target => q{DELETE FROM t WHERE ctid = (SELECT min(ctid) FROM t); UPDATE t SET k = 2 WHERE v = 'same';
            UPDATE t SET v = 'b' WHERE k = 1; DELETE FROM t WHERE v = 'other'},
        changed => q{ALTER TABLE t DROP CONSTRAINT given; UPDATE t SET v = 'here' WHERE k IS NULL;
            UPDATE t SET v = 'here' WHERE k = 1});
    is($said, join("\n", map { qq{conflict: $_} } q{DELETE of "public"."t"}, q{UPDATE of "public"."t"},
        q{UPDATE of "public"."t" WHERE "k" = '1'}, q{DELETE of "public"."t"}), 'a row with NULL has no key');
    return;
}

each_version(sub {
    my ($version) = @_;
    my $target = make_cluster('target', $version);
    my ($source, $changed) = diverged_copies($target, qw(source changed));
    $target->start;
    run_workload($target, qw(rows.sql keyless.sql deferred.sql));
    my $expected = all_rows($target);
    $target->stop('immediate');
    my $file = save_lost_rows($target, $source);
    return if !$file->{sql};

    $source->start;
    is(run_script($source, $file->{sql}), '', 'the script has nothing to say');
    is_same_text(all_rows($source), $expected, 'the new primary has the tables of the old one');
    unlike(run_script($source, $file->{sql}), qr/conflict/, 'again: no conflict');
    is_same_text(all_rows($source), $expected, 'and nothing changes');

    $changed->start->sql($elsewhere);
    my $before = $changed->sql('SELECT * FROM accounts ORDER BY id');
    my $said = run_script($changed, $file->{sql});
    my @conflicts = expected_conflicts((saved_rows($file->{jsonl}))[0]);
    is(scalar(() = $said =~ /^conflict: .*accounts/mg), scalar @conflicts,
        'each change of a row that is changed here is reported');
    like($said, qr/^ ?conflict: \Q$_\E/m, "a unique index is in the way: $_") for @collisions;
    is(scalar(() = $said =~ /^conflict:/mg), @conflicts + @collisions, 'and no other');
    is_same_text($changed->sql(q{SELECT * FROM accounts WHERE id BETWEEN 1 AND 400 OR id BETWEEN 1001 AND 1010 ORDER BY id}),
        $before, 'and none of them is changed');
    by_collation($version) if $version >= 12;
    same_on_both($version);
    empty_values($version);
    null_in_key($version) if $version >= 18;
}, sample => 1);
