# What a database can hold is equal on both sides after a rewind.  (Invariant 7. Both sources.)
#
#   source       ┌──── 2 ─────────▶      ┬ divergence: both sides write to all kinds of objects,
#   target   1 ──┴──── 1 ─────────▶        each other things; what the target wrote is gone afterwards
# (Rule C79.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

# One table for each kind of index, so that a look through the index can be compared with one past it.
my %probe = (
    btree => 'key BETWEEN 100 AND 5000',
    hash => "word = md5('1234')",
    gin => 'numbers @> ARRAY[7]',
    gist => "place <@ box '((0,0),(50,50))'",
    spgist => "place <@ box '((0,0),(50,50))'",
    brin => 'key BETWEEN 100 AND 5000',
);
my %indexed = (
    btree => 'btree (key)',
    hash => 'hash (word)',
    gin => 'gin (numbers)',
    gist => 'gist (place)',
    spgist => 'spgist (place)',
    brin => 'brin (key) WITH (pages_per_range = 2, autosummarize = off)',
);

my @kinds = sort keys %probe;

sub insert_rows
{
    my ($first, $last) = @_;
    return join "\n", map {
        "INSERT INTO with_$_ SELECT i, md5(i::text), ARRAY[i % 10, i % 11], point(i % 100, i % 77) FROM generate_series($first, $last) i;"
    } @kinds;
}

sub change_rows
{
    my ($remainder) = @_;
    return join "\n", map {
        "UPDATE with_$_ SET word = md5(word), place = point(place[1], place[0]) WHERE key % 7 = $remainder;
         DELETE FROM with_$_ WHERE key % 11 = $remainder;"
    } @kinds;
}

sub build
{
    my ($primary) = @_;
    $primary->sql("CREATE TABLE with_$_ (key int, word text, numbers int[], place point);
        CREATE INDEX ON with_$_ USING $indexed{$_}") for @kinds;
    $primary->sql(insert_rows(1, 2000));
    $primary->sql(<<'END');
CREATE TABLE toasted (key int PRIMARY KEY, value text);
ALTER TABLE toasted ALTER value SET STORAGE EXTERNAL;
INSERT INTO toasted SELECT i, repeat(md5(i::text), 300) FROM generate_series(1, 100) i;
CREATE SEQUENCE counter;
SELECT nextval('counter');
CREATE SEQUENCE untouched;
CREATE SEQUENCE downward INCREMENT -3;
SELECT nextval('downward');
CREATE MATERIALIZED VIEW summary AS SELECT key % 10 AS digit, count(*) AS rows FROM with_btree GROUP BY 1;
CREATE UNLOGGED TABLE unlogged (key int PRIMARY KEY, value text);
INSERT INTO unlogged SELECT i, 'before' FROM generate_series(1, 1000) i;
SELECT lo_from_bytea(1000 + i, convert_to(repeat(md5(i::text), 200), 'UTF8')) FROM generate_series(1, 20) i;
CREATE TABLE prepared (name text);
CREATE DATABASE dropped_on_source;
CREATE DATABASE dropped_on_target;
CREATE DATABASE kept;
END
    $primary->sql('CREATE TABLE t AS SELECT i AS a FROM generate_series(1, 5000) i', 'kept');
    return;
}

sub write_together
{
    my ($primary) = @_;
    $primary->sql(insert_rows(2001, 2500));
    $primary->sql("BEGIN; INSERT INTO prepared VALUES ('$_'); PREPARE TRANSACTION '$_'")
        for qw(pending_on_both committed_on_source committed_on_target);
    return;
}

# What both sides do, each with other rows.
sub write_apart
{
    my ($server, $side, $number) = @_;
    my $first = 10_000 * $number;
    $server->sql(insert_rows($first, $first + 3000));
    $server->sql(change_rows($number));
    $server->sql(<<"END");
INSERT INTO toasted SELECT i, repeat(md5((i * $number)::text), 500) FROM generate_series($first, $first + 50) i;
UPDATE toasted SET value = repeat('$side', 1000) WHERE key % 5 = $number;
SELECT nextval('counter') FROM generate_series(1, 100 * $number);
SELECT setval('downward', -1000 * $number);
REFRESH MATERIALIZED VIEW summary;
INSERT INTO unlogged SELECT i, '$side' FROM generate_series($first, $first + 5000) i;
SELECT lo_put(1000 + $number, 0, convert_to(repeat('$side', 300), 'UTF8'));
SELECT lo_unlink(1010 + $number);
SELECT lo_from_bytea(2000 + $number, convert_to(repeat('$side', 1000), 'UTF8'));
COMMIT PREPARED 'committed_on_$side';
BEGIN; INSERT INTO prepared VALUES ('of $side'); PREPARE TRANSACTION 'of_$side';
CREATE TABLE made_on_$side AS SELECT i AS a, '$side'::text AS b FROM generate_series(1, 3000) i;
CREATE INDEX ON made_on_$side (a);
CREATE UNLOGGED TABLE unlogged_on_$side AS SELECT * FROM made_on_$side;
CREATE TEMPORARY TABLE temporary AS SELECT * FROM made_on_$side;
DROP DATABASE dropped_on_$side;
CREATE DATABASE made_on_$side;
END
    $server->sql('CREATE TABLE t AS SELECT i AS a FROM generate_series(1, 3000) i', "made_on_$side");
    $server->sql("DELETE FROM t WHERE a % 3 = $number", 'kept');
    if ($server->version >= 15)
    {
        $server->sql("CREATE DATABASE copied_by_wal_on_$side TEMPLATE kept STRATEGY wal_log");
        $server->sql("CREATE DATABASE copied_by_file_on_$side TEMPLATE kept STRATEGY file_copy");
    }
    else
    {
        $server->sql("CREATE DATABASE copied_by_file_on_$side TEMPLATE kept");
    }
    return;
}

sub indexes_agree_with_tables
{
    my ($server) = @_;
    for my $kind (@kinds)
    {
        my $query = "SELECT count(*), sum(key) FROM with_$kind WHERE $probe{$kind}";
        my $by_index = $server->query("SET enable_seqscan = off; $query");
        my $by_table =
            $server->query("SET enable_indexscan = off; SET enable_bitmapscan = off; SET enable_indexonlyscan = off; $query");
        is($by_index, $by_table, "the $kind index agrees with its table");
    }
    return;
}

each_version(sub {
    my ($version) = @_;
    # Hash indexes have no WAL before 10; they are a standby's as they were. Brin came with 9.5.
    @kinds = grep { !($_ eq 'hash' && $version < 10) && !($_ eq 'brin' && $version < 9.5) } sort keys %probe;
    local $indexed{brin} = 'brin (key) WITH (pages_per_range = 2)' if $version < 10;
    my ($source, $target) = split_brain($version,
        before => \&build,
        together => \&write_together,
        source => sub { my ($source) = @_; write_apart($source, 'source', 1) },
        target => sub { my ($target) = @_; write_apart($target, 'target', 2) });

    # A temporary table that lives while pg_rewind reads the source.
    my $session_of_source = $source->session;
    $session_of_source->sql('CREATE TEMPORARY TABLE held AS SELECT i FROM generate_series(1, 10000) i');

    rewinds_from_both_kinds($source, $target, check => \&indexes_agree_with_tables);
    $session_of_source->end;
});
