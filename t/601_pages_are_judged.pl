# The comparison of pages by which t/600 judges (RewindTest::Pages, tests/same_pages.c) notices one wrong byte, and none
# of those that a server changes without WAL.
# (Rule J1.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;

# Of a page: where item number 1 lies, and how long it is.
sub first_item
{
    my ($page) = @_;
    my $item = unpack 'V', substr($page, 24, 4);
    return ($item & 0x7FFF, $item >> 17);
}

# Functions that change a page, each by a byte or two.
sub at { my ($offset, $bits) = @_; return sub { substr($_[0], $offset, 1) ^= chr $bits } }
sub in_row { my ($offset, $bits) = @_; return sub { my ($begin) = first_item($_[0]);
    substr($_[0], $begin + $offset, 1) ^= chr $bits } }
sub wrong_hint { my ($begin) = first_item($_[0]); substr($_[0], $begin + 21, 1) =
    chr(ord(substr($_[0], $begin + 21, 1)) & ~0x03 | 0x02); return }
sub last_byte_of_row { my ($begin, $size) = first_item($_[0]); substr($_[0], $begin + $size - 1, 1) ^= "\x01"; return }
sub in_hole { substr($_[0], unpack('v', substr($_[0], 12, 2)), 1) ^= "\x01"; return }

# The first byte after the header, in a page of items that has none.
sub in_hole_of_empty_page { die 'the page has items' if unpack('v', substr($_[0], 12, 2)) != 24; in_hole($_[0]);
    return }

# The LSN of a page, whose lower half comes second.
sub move_lsn { my ($bytes) = @_; return sub { substr($_[0], 4, 4) = pack 'V', $bytes + unpack 'V',
    substr($_[0], 4, 4) } }

plan(skip_all => 'there is no build/tests/same_pages') if !judge_is_there();

# What, in which file, by what, whether it differs, perhaps by version. Blocks are those at the begin of the file; of a
# btree the second is a leaf.
my @changes = (
    [ 'a byte of a row',                 'heap',     0, \&last_byte_of_row,         1 ],
    [ 'who deleted a row',               'heap',     0, in_row(4, 1),               1 ],
    [ 'that a row was updated',          'heap',     0, in_row(21, 0x20),           1 ],
    [ 'an item of a heap',               'heap',     0, at(24, 1),                  1 ],
    [ 'a hint that is wrong',            'heap',     0, \&wrong_hint,               1 ],
    [ 'that all rows are visible',       'heap',     0, at(10, 4),                  1 ],
    [ 'the LSN of a page',               'placed',   0, at(4, 1),                   1 ],
    [ 'a row in a tablespace',           'placed',   0, \&last_byte_of_row,         1 ],
    [ 'the visibility map',              'map',      0, at(24, 1),                  1 ],
    [ 'an entry of a btree',             'btree',    1, \&last_byte_of_row,         1 ],
    [ 'the neighbour of a btree page',   'btree',    1, at(8192 - 16, 1),           1 ],
    [ 'an entry of a hash index',        'hash',     1, \&last_byte_of_row,         1 ],
    [ 'an entry of a gist index',        'gist',     0, \&last_byte_of_row,         1 ],
    [ 'an entry of a gin index',         'gin',      1, \&last_byte_of_row,         1 ],
    [ 'an entry of a spgist index',      'spgist',   1, \&last_byte_of_row,         1 ],
    [ 'a summary of a brin index',       'brin',     2, \&last_byte_of_row,         1 ],
    [ 'where a brin index has a summary', 'brin',    1, at(24, 1),                  1 ],
    [ 'the meta page of a btree',        'btree',    0, at(24, 1),                  1 ],
    [ 'the meta page of a hash index',   'hash',     0, at(24, 1),                  1 ],
    [ 'the meta page of a gin index',    'gin',      0, at(24, 1),                  1 ],
    [ 'the meta page of a spgist index', 'spgist',   0, at(24, 1),                  1 ],
    [ 'the meta page of a brin index',   'brin',     0, at(24, 1),                  1 ],
    [ 'the bitmap of a hash index',      'empty_hash', 3, at(24, 1),                1 ],
    [ 'when a deleted btree page can be used again', 'shrunk', 1, at(24, 1), sub { $_[0] >= 14 } ],
    [ 'that an empty page has an item',  'empty_btree', 1, at(12, 4),               1 ],
    [ 'a map in a copied database',      'own_map',  0, at(24, 1),                  1 ],
    [ 'the older LSN of a map there',    'own_map',  0, move_lsn(-8),               1 ],
    [ 'a bit of a copied map',           'copied_map', 0, at(8191, 1),              1 ],
    [ 'the newer LSN of a copied map',   'copied_map', 0, move_lsn(8),              1 ],
    [ 'the older LSN of a copied map',   'copied_map', 0, move_lsn(-8), sub { $_[0] < 19 } ],
    [ 'an init fork',                    'init',     0, at(24, 1),                  1 ],
    [ 'where catalogs lie',              'catalogs', 0, at(16, 1),                  1 ],
    [ 'how a transaction has ended',     'ends',     0, at(100, 1),                 1 ],
    [ 'hint bits of a row',              'heap',     0, in_row(21, 1),              0 ],
    [ 'the command of a row',            'heap',     0, in_row(8, 1),               0 ],
    [ 'the checksum of a page',          'heap',     0, at(8, 1),                   0 ],
    [ 'that a page is full',             'heap',     0, at(10, 2),                  0 ],
    [ 'what can be pruned',              'heap',     0, at(20, 1),                  0 ],
    [ 'unused bytes of a heap',          'heap',     0, \&in_hole,                  0 ],
    [ 'unused bytes of an empty btree',  'empty_btree', 1, \&in_hole_of_empty_page, 0 ],
    [ 'unused bytes of an empty hash index', 'empty_hash', 1, \&in_hole_of_empty_page, 0 ],
    [ 'unused bytes of an empty gist index', 'empty_gist', 0, \&in_hole_of_empty_page, 0 ],
    [ 'unused bytes of an empty gin index', 'empty_gin', 1, \&in_hole_of_empty_page, 0 ],
    [ 'unused bytes of an empty spgist index', 'empty_spgist', 1, \&in_hole_of_empty_page, 0 ],
    [ 'unused bytes of an empty brin index', 'empty_brin', 2, \&in_hole_of_empty_page, 0 ],
    [ 'that an entry is dead',           'btree',    1, sub { at(25, 0x80)->($_[0]); at(26, 1)->($_[0]) }, 0 ],
    [ 'that a page has dead entries',    'btree',    1, at(8192 - 4, 0x40),         0 ],
    [ 'the cycle of a vacuum',           'btree',    1, at(8192 - 2, 1),            0 ],
    [ 'that a hash page has dead entries', 'hash',   1, at(8192 - 4, 0x80),         0 ],
    [ 'what a spgist index notes of its pages', 'spgist', 0, at(28, 1),             0 ],
    [ 'the value of a sequence',         'sequence', 0, in_row(24, 1),              0 ],
    [ 'the free space map',              'space',    0, at(100, 1),                 0 ],
    [ 'an unlogged table',               'unlogged', 0, at(8000, 1),                0 ],
);

sub changed_page_is_noticed
{
    my ($standby, $primary, $path, $name, $block, $change, $differs) = @_;
    my $content = -e $path ? slurp($path) : '';    # a standby has no unlogged table
    my $page = substr($content, $block * 8192, 8192) || "\0" x 8192;
    my $before = $page;
    $change->($page);
    isnt($page, $before, "$name: something is changed");
    my $changed = $content;
    substr($changed, $block * 8192, length $page) = $page;
    spew($path, $changed);
    my $result = compare_pages($standby, $primary);
    is($result->{status}, $differs, "$name: " . ($differs ? 'it differs' : 'it does not differ'));
    my $file = $path =~ s{^\Q@{[ $standby->data ]}\E/}{}r;
    my $how = $name =~ /LSN/ ? qr/only the LSN differs/ : $name =~ /hint/
        ? qr/hints [0-9A-F]{4} of item 1 are wrong, xmin \d+, xmax \d+/ : qr/offset \d+ is [0-9A-F]{2} of [0-9A-F]{2}/;
    like($result->{stdout},
        qr{^\Q$file\E(?: differs|: transactions from 400 on: [0-9A-F]{2} of [0-9A-F]{2}| block $block: .*$how, LSN [0-9A-F]+/[0-9A-F]{8}(?: of [0-9A-F]+/[0-9A-F]{8})?)$}m,
        "$name: the page is named") if $differs;
    diag($result->{stdout}) if $result->{status} != $differs;
    $content eq '' ? unlink $path : spew($path, $content);
    return;
}

# Vacuums remove all entries of pages. What the first vacuum leaves in the hole stays on the primary alone, because the
# second one logs images.
sub empty_indexes
{
    my ($primary) = @_;
    $primary->sql($_) for 'DELETE FROM emptied WHERE key > 20', 'VACUUM emptied', 'CHECKPOINT', 'DELETE FROM emptied',
        'VACUUM emptied',
        'DELETE FROM shrunk WHERE key < 500', 'VACUUM shrunk', q{SELECT brin_desummarize_range('emptied_brin', 0)};
    return;
}

# The standby replays how a database is copied, and what is written there: from 15 on it has no bits in the maps that
# were copied. Returns the files of two maps by name.
sub copy_database
{
    my ($primary) = @_;
    $primary->sql('CREATE DATABASE copied');
    $primary->sql('CREATE TABLE own AS SELECT generate_series(1, 100) i', 'copied');
    $primary->sql('VACUUM own', 'copied');
    return map { ("$_->[0]_map" => $primary->query("SELECT pg_relation_filepath('$_->[1]')", 'copied') . '_vm') } [
        own => 'own' ], [ copied => 'pg_language' ];
}

# An older LSN differs, but not where hints are logged without images.
sub hint_without_image
{
    my ($standby, $primary, $path) = @_;
    my $content = slurp($path);
    my $older = $content;
    move_lsn(-8)->($older);
    spew($path, $older);
    my @judge = ($ENV{PG_REWIND_SAME_PAGES}, $standby->data, $primary->data);
    is(run([@judge])->{status}, 1, 'an older LSN');
    is(run([ @judge, '--hints-without-images' ])->{status}, 0, 'an older LSN, where hints are logged without images');
    spew($path, $content);
    return;
}

# A file that is shorter, longer, or missing.
sub changed_size_is_noticed
{
    my ($standby, $primary, $path) = @_;
    my $content = slurp($path);
    my %content = (
        'a block less' => [ substr($content, 0, -8192), 1 ],
        'a block more' => [ $content . substr($content, 0, 8192), 1 ],
        'an empty block more' => [ $content . "\0" x 8192, 0 ],
    );
    for my $name (sort keys %content)
    {
        my ($changed, $differs) = @{ $content{$name} };
        spew($path, $changed);
        is(compare_pages($standby, $primary)->{status}, $differs, $name);
    }
    unlink $path;
    is(compare_pages($standby, $primary)->{status}, 1, 'a missing file');
    spew($path, $content);
    spew("$path.1", $content);
    is(compare_pages($standby, $primary)->{status}, 1, 'a segment more');
    unlink "$path.1";
    return;
}

each_version(sub {
    my ($version) = @_;
    my $primary = make_cluster('primary', $version)->start;
    my $place = $primary->tablespace_location('place');
    $primary->sql(<<"END");
CREATE TABLESPACE place LOCATION '$place';
CREATE TABLE heap (key int, word text, numbers int[], place point);
INSERT INTO heap SELECT i, md5(i::text), ARRAY[i % 10], point(i, i % 77) FROM generate_series(1, 1000) i;
CREATE INDEX with_btree ON heap (key);
CREATE INDEX with_hash ON heap USING hash (word);
CREATE INDEX with_gist ON heap USING gist (place);
CREATE INDEX with_gin ON heap USING gin (numbers);
CREATE INDEX with_spgist ON heap USING spgist (place);
CREATE INDEX with_brin ON heap USING brin (key);
CREATE TABLE placed TABLESPACE place AS SELECT i FROM generate_series(1, 100) i;
CREATE SEQUENCE counter;
CREATE UNLOGGED TABLE unlogged (key int PRIMARY KEY);
INSERT INTO unlogged SELECT generate_series(1, 100);
VACUUM heap;
CREATE TABLE emptied AS SELECT * FROM heap WHERE key <= 40;
CREATE INDEX emptied_btree ON emptied (key);
CREATE INDEX emptied_hash ON emptied USING hash (word);
CREATE INDEX emptied_gist ON emptied USING gist (place);
CREATE INDEX emptied_spgist ON emptied USING spgist (place);
CREATE INDEX emptied_brin ON emptied USING brin (key);
CREATE TABLE shrunk AS SELECT key FROM heap;
CREATE INDEX shrunk_btree ON shrunk (key);
CREATE TABLE empty (numbers int[]);
CREATE INDEX emptied_gin ON empty USING gin (numbers);
END
    my $standby = $primary->standby('standby');
    $primary->sql('UPDATE heap SET word = word WHERE key % 100 = 99; INSERT INTO placed SELECT generate_series(1, 100)');
    empty_indexes($primary);
    my %map = copy_database($primary);
    my %relation = ((map { ($_ => "with_$_", "empty_$_" => "emptied_$_") } qw(btree hash gist gin spgist
        brin)), shrunk => 'shrunk_btree', heap => 'heap',
        placed => 'placed', sequence => 'counter', unlogged => 'unlogged', init => 'unlogged_pkey', map => 'heap',
        space => 'heap');
    my %fork = (init => '_init', map => '_vm', space => '_fsm');
    my %path = map { $_ => $standby->path($primary->query("SELECT pg_relation_filepath('$relation{$_}')")
        . ($fork{$_} // '')) } sort keys %relation;
    $path{$_} = $standby->path($map{$_}) for sort keys %map;
    $path{ends} = $standby->path('pg_xact/0000');
    $path{catalogs} = $standby->path('base/' . $primary->query("SELECT oid FROM pg_database WHERE datname = 'postgres'")
        . '/pg_filenode.map');
    pages_are_those_of($standby, $primary);
    $standby->stop;
    for my $change (@changes)
    {
        my ($name, $file, $block, $function, $differs) = @$change;
        $differs = $differs->($version) ? 1 : 0 if ref $differs;
        changed_page_is_noticed($standby, $primary, $path{$file}, $name, $block, $function, $differs);
    }
    changed_size_is_noticed($standby, $primary, $path{btree});
    hint_without_image($standby, $primary, $path{placed});
    is(compare_pages($standby, $primary)->{status}, 0, 'all is as it was');
    ok(unpack('v', substr(slurp($path{shrunk}), 2 * 8192 - 4, 2)) & 4, 'a btree page is deleted');
    is(unpack('v', substr(slurp($path{empty_hash}), 4 * 8192 - 4, 2)) & 15, 4, 'a page is the bitmap of a hash index');
    $primary->sql('CHECKPOINT');
    is(compare_pages($standby, $primary)->{status}, 2, 'of servers that have made other checkpoints nothing is said');
}, sample => 1);
