# The script of --save-lost-rows changes one row for each lost change also where the new primary lacks the key by which
# the statements find it, or has a deferrable constraint that no statement takes into account: it stops there.
#
# Lost transactions made the key of one table; the new primary dropped that of another, and has since rows that a key
# would not let in. A unique index of some columns of the key will do as well.
# (Rule L36.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::LostRows;

my $tables = <<'END';
CREATE TABLE made (id integer, v text); INSERT INTO made VALUES (7, 'a'), (7, 'a');
CREATE TABLE dropped (id integer PRIMARY KEY, v text); INSERT INTO dropped VALUES (7, 'a');
CREATE TABLE part (a integer, b integer, v text, PRIMARY KEY (a, b)); INSERT INTO part VALUES (7, 7, 'a');
CREATE TABLE deferred (id integer PRIMARY KEY, v text); INSERT INTO deferred VALUES (7, 'a'), (8, 'x');
END

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub { $_[0]->sql($tables) },
        source => sub {
            my ($server) = @_;
            $server->sql($_) for q{INSERT INTO made VALUES (7, 'a'), (8, 'y')},
                q{ALTER TABLE dropped DROP CONSTRAINT dropped_pkey; INSERT INTO dropped VALUES (7, 'a'), (8, 'y')},
                'ALTER TABLE part DROP CONSTRAINT part_pkey; CREATE UNIQUE INDEX ON part (b)',
                q{UPDATE deferred SET v = 'b' WHERE id = 8; ALTER TABLE deferred ADD UNIQUE (v) DEFERRABLE};
        },
        target => sub {
            my ($server) = @_;
            $server->sql($_) for q{DELETE FROM made WHERE ctid = '(0,1)'; ALTER TABLE made ADD PRIMARY KEY (id)},
                q{UPDATE made SET v = 'b'; INSERT INTO made VALUES (8, 'x')},
                q{UPDATE dropped SET v = 'b'; INSERT INTO dropped VALUES (8, 'x')},
                q{UPDATE part SET v = 'b'; INSERT INTO part VALUES (8, 8, 'x')},
                q{UPDATE deferred SET v = 'b' WHERE id = 7};
        });
    $source->stop;
    my $script = save_lost_rows($target, $source)->{sql} // return;
    $source->start;
    my $rows = sub { my ($table) = @_;
        return $source->sql("SELECT string_agg(t::text, ' ' ORDER BY t::text COLLATE \"C\") FROM $table t") };
    my $stops = sub {
        my ($message, $table, $expected) = @_;
        my $result = try_script($source, $script);
        is($result->{status}, 3, 'the script stops');
        like($result->{stderr}, qr/ERROR:  $message$/m, "at $table");
        is($rows->($table), $expected, 'no row of it is changed');
    };
    $stops->('here (?:public\.)?made has no unique index of id', 'made', '(7,a) (7,a) (8,y)');
    $source->sql(q{DELETE FROM made WHERE ctid = (SELECT max(ctid::text)::tid FROM made WHERE id = 7)});
    $source->sql('ALTER TABLE made ADD PRIMARY KEY (id)');
    $stops->('here (?:public\.)?dropped has no unique index of id', 'dropped', '(7,a) (7,a) (8,y)');
    $source->sql(q{CREATE UNIQUE INDEX ON dropped (id) WHERE v <> 'a'; CREATE INDEX ON dropped (id)});
    $stops->('here (?:public\.)?dropped has no unique index of id', 'dropped', '(7,a) (7,a) (8,y)');
    $source->sql(q{DELETE FROM dropped WHERE ctid = '(0,1)'; ALTER TABLE dropped ADD UNIQUE (id)});
    $stops->('here (?:public\.)?deferred has a deferrable constraint', 'deferred', '(7,a) (8,b)');
    $source->sql('ALTER TABLE deferred DROP CONSTRAINT deferred_v_key');
    my $said = run_script($source, $script);
    is($said =~ s/\d+ is done|\(.*\)//gr =~ s/transaction  already\n//gr, '', 'the rest is done');
    is(join(', ', map { $rows->($_) } qw(made dropped part deferred)),
        '(7,b) (8,y), (7,b) (8,y), (7,7,b) (8,8,x), (7,b) (8,b)', 'a change is of one row');
}, sample => 1);
