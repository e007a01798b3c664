# What we make of the stored bytes of a value is what the server prints of it: for each type that tables of applications
# have, with hundreds of edge values and random ones, alone in a table and side by side, TOASTed in all ways.
#
# The judge is COPY, with the settings that value_text.h names. Before 12 servers print floating-point numbers with more
# digits; there our text is read by the server, which must then hold the same value.

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use RewindTest::Dice;
use File::Basename qw(dirname);

my $program = $ENV{LOST_VALUES} // dirname($ENV{PG_REWIND} // 'build/pg_rewind') . '/lost_values';
my $seed = test_seed();
my $dice;

my $settings = "SET datestyle = 'ISO'; SET timezone = 'UTC'; SET intervalstyle = 'postgres'; SET bytea_output = 'hex';"
    . " SET lc_monetary = 'C'; SET extra_float_digits = 3; SET client_min_messages = 'error'; SET xmloption = 'content';";

sub digits { my ($count) = @_; return join '', map { $dice->number(10) } 1 .. $count }
sub sign { return $dice->chance(50) ? '-' : '' }
sub quoted { my ($text) = @_; return "'" . ($text =~ s/'/''/gr) . "'" }
sub many { my ($count, $make) = @_; return map { $make->() } 1 .. $count }
sub pattern { my ($bytes) = @_; return join '', map { chr $dice->number(256) } 1 .. $bytes }

sub random_string
{
    my @letters = (('a' .. 'e'), split(' ', q(" \\ , { } [ ] ( ) ' : ; NULL null)), ' ', "\t", "\n", "\x01", "\x7f",
        "\xc3\xa9", "\xf0\x9f\x90\x98");
    return join '', map { $dice->pick(@letters) } 1 .. $dice->number(8);
}

# A literal of a number of any bits; 17 digits say it exactly, 9 one of four bytes.
sub random_float
{
    my ($letter, $digits, $bytes) = @_;
    my $number = unpack($letter, pattern($bytes));
    return $number == $number && abs($number) < 9**9**9 ? sprintf("%.${digits}g", $number) : 'NaN';
}

sub random_numeric
{
    my $whole = $dice->number(40);
    my $rest = $dice->number(40);
    return sign() . '0' . digits($whole) . ($rest ? '.' . digits($rest) : '');
}

sub random_json
{
    my ($depth) = @_;
    my $kind = $dice->number($depth > 0 ? 8 : 5);
    my $string = sub { my $text = random_string(); $text =~ s/(["\\])/\\$1/g;
        $text =~ s/([\x00-\x1f])/sprintf '\\u%04x', ord $1/ge; return "\"$text\"" };
    return ('null', 'true', 'false')[$kind] if $kind < 3;
    return random_numeric() =~ s/^(-?)0+(?=\d)/$1/r if $kind == 3;
    return $string->() if $kind == 4;
    my $count = $dice->pick(0, 1, 2, 3, 5, 40);
    return '[' . join(',', map { random_json($depth - 1) } 1 .. $count) . ']' if $kind < 7;
    return '{' . join(',', map { $string->() . ': ' . random_json($depth - 1) } 1 .. $count) . '}';
}

sub random_array
{
    my ($make) = @_;
    my $element = sub {
        return 'NULL' if $dice->chance(20);
        my $text = $make->();
        $text =~ s/(["\\])/\\$1/g;
        return "\"$text\"";
    };
    my $row = sub { my ($count) = @_; return '{' . join(',', map { $element->() } 1 .. $count) . '}' };
    my $count = $dice->number(6);
    return $row->($count) if $count == 0 || $dice->chance(60);
    my ($first, $rows) = ($dice->number(5) - 2, 1 + $dice->number(3));
    my $shape = $dice->chance(50) ? "[$first:" . ($first + $rows - 1) . "][0:" . ($count - 1) . ']=' : '';
    return $shape . '{' . join(',', map { $row->($count) } 1 .. $rows) . '}';
}

# The types, each with edge values of it, separated by " | ". EMPTY is the empty string. A number in front is the first
# version that has the type, or takes the values.
my $edges = <<'END';
boolean | t | f
"char" | a | EMPTY | \ | ,
16 "char" | \377 | \200
name | EMPTY | x | ab"c\
smallint | -32768 | -1 | 0 | 1 | 32767
integer | -2147483648 | -1 | 0 | 7 | 2147483647
bigint | -9223372036854775808 | 9223372036854775807 | 0
oid | 0 | 16384 | 4294967295
xid | 3 | 4294967295
cid | 0 | 4294967295
13 xid8 | 3 | 18446744073709551615
19 oid8 | 3 | 18446744073709551615
int2vector | EMPTY | 7 | 1 -2 32767
oidvector | EMPTY | 4294967295 1 | 0
tid | (0,1) | (4294967295,65535) | (65536,7)
9.4 pg_lsn | 0/0 | 16/B374D848 | FFFFFFFF/FFFFFFFF
real | 0 | -0 | NaN | Infinity | -Infinity | 1e-45 | 1.17549435e-38 | 3.4028235e38 | 0.1 | 1e6 | 100000 | 123456 | 1234567 | 999999
real | 9999999 | 1e-4 | 1e-5 | 16777216
double precision | 0 | -0 | NaN | Infinity | -Infinity | 5e-324 | 2.2250738585072014e-308 | 2.225073858507201e-308 | 0.1 | 1e23
double precision | 1.7976931348623157e308 | 9007199254740993 | 9007199254740992 | 1e15 | 1e14 | 123456789012345 | 999999999999999
double precision | 1234567890123456 | 9999999999999998 | 1e-4 | 1e-5 | 0.00012345 | 5e22 | 2e23 | 1e22 | 1e21 | 8.41e21
double precision | 2.0919495182368195e19 | 4.4501477170144023e-308 | 3.0000000000000004e21
numeric | NaN | 0 | 0.0 | 0.00000 | -0.5 | 1 | 10 | 9999 | 10000 | 99999999 | 100000000 | 0.0001 | 0.00001 | 1e100 | 1e-100 | -1e131
numeric | 1.50 | 12345678.90 | 1e1000 | 1e-1000 | 10000.0001 | 1000000000000000000000000000000000000000
14 numeric | Infinity | -Infinity
money | 0 | 0.01 | -0.01 | 999.99 | 1000 | -1234567.89 | -92233720368547758.08 | 92233720368547758.07
text | EMPTY | a | NULL | \N
varchar(10) | EMPTY | abc
char(10) | EMPTY | abc | abc   d
refcursor | c
bytea | EMPTY | \x00 | \xdeadbeef
date | 4714-11-24 BC | 0001-12-31 BC | 0001-01-01 | 1582-10-15 | 1900-02-28 | 2000-02-29 | 1999-12-31 | 2000-01-01 | 9999-12-31
date | 10000-01-01 | 99999-12-31 | 0044-03-15 BC | 5874897-12-31 | infinity | -infinity
time | 00:00:00 | 23:59:59.999999 | 24:00:00 | 12:34:56.7 | 00:00:00.000001 | 01:02:03.040500
timestamp | 4714-11-24 00:00:00 BC | 294276-12-31 23:59:59.999999 | 1999-12-31 23:59:59.999999 | 2000-01-01 00:00:00
timestamp | 1970-01-01 00:00:00.5 | 0001-01-01 00:00:00 BC | 10000-01-01 12:00:00 | infinity | -infinity
timestamptz | 4714-11-24 00:00:00 BC | 294276-12-31 23:59:59.999999 | 1969-12-31 23:59:59.9 | 0044-03-15 12:00:00 BC | infinity | -infinity
interval | 0 | 1 year | -1 year | 1 year -1 mon | -1 mon 1 day | -1 mon -1 day 1 sec | -1 day 00:00:00 | -1 day +00:00:01
interval | 1 day -00:00:01 | -00:00:00.000001 | 100:00:00 | -100:00:00 | 1 mon | 2 mons | 13 mons | -13 mons | -2147483648 months
interval | 2147483647 months | 2147483647 days | -2147483648 days | 2000000000:00:00 | -2000000000:59:59.9 | -1 mons +1 days -00:00:01
interval | 178956970 years 7 mons 2147483647 days
15 interval | 2562047788:00:54.775807 | -2562047788:00:54.775807
17 interval | infinity | -infinity
uuid | 00000000-0000-0000-0000-000000000000 | a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11
inet | 0.0.0.0 | 255.255.255.255/0 | 10.1.2.3/8 | :: | ::1 | ::2 | ::ffff:1.2.3.4 | ::1.2.3.4 | 1:: | 1::8 | 0:0:1:0:0:0:1:0
inet | 0:1:0:1:0:1:0:1 | ::ffff:0:1 | 2001:db8::/32 | fe80::1/10
cidr | 10.0.0.0/8 | 0.0.0.0/0 | 1.2.3.4 | ::/0 | 2001:db8::/32 | ::1
macaddr | 08:00:2b:01:02:03
10 macaddr8 | 08:00:2b:01:02:03:04:ff
bit(5) | 10101 | 00000
bit varying | EMPTY | 1 | 01 | 10101010 | 101010101
json | {"b": 1,  "a":[ ]} | null
9.4 jsonb | {} | [] | null | "a" | -0.10 | [[]] | [{}] | {"a": {}} | {"": ""} | "\u0001\b\f\n\r\t\"\\/\u007f" | [1e400, 1e-40]
9.4 jsonb | {"bb": 1, "a": 2, "b": 3, "a": 4}
tsvector | EMPTY | a | b:1A,2B,3C,4 a:16383 | 'it''s' 'back\\slash':1 'a b'
point | (0,0) | (-1.5,1e300) | NaN,Infinity
lseg | [(1,2),(3,4.5)]
9.4 line | {1,-1,0.1}
box | (1,2),(3,4)
path | [(1,2),(3,4),(5,6)] | ((1,2),(3,4)) | [(0.1,0.2)]
polygon | ((1,2),(3,4),(5,6)) | ((1,1))
circle | <(1,2),3> | <(0.1,1e-7),1e22>
mood | sad | ok | very, very "happy"
positive | 1 | 77
short_names | {a,b} | {}
positive_pair | (1,x)
pair | (1,x) | (,) | (,"") | (1,"a ""b"" \\c, (d)")
nested | (,,,,,,) | (1,"(2,""a """"b"""" c"")","{1.5,NULL,NaN}",sad,2000-01-01 00:00:00+00,"[1,5)","{""(1,x)"",NULL}")
nested | (,"(,)","{}",,,empty,{})
no_columns | ()
integer[] | {} | {1} | {NULL} | {{1,2},{3,4}} | [0:1]={1,2} | [-2:-1][5:6]={{1,2},{3,NULL}} | {{{1}},{{2}}}
smallint[] | {1,2,3} | {NULL,-1}
bigint[] | {1,2,3} | {NULL,-1}
boolean[] | {t,f,NULL}
"char"[] | {a,b,NULL,","}
text[] | {} | {""} | {NULL,"NULL","null","a b",a,"{}","\\","\"","a,b"}
numeric[] | {1.5,NULL}
box[] | {(1,2),(0,0);(3,4),(1,1)}
float8[] | {0.1,NULL,NaN}
timestamptz[] | {2000-01-01 00:00:00+00,infinity}
uuid[] | {a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11,NULL}
9.4 jsonb[] | {"{\"a\": 1}"}
name[] | {a,b,NULL}
bytea[] | {"\\x00"}
inet[] | {10.0.0.1,::1,NULL}
interval[] | {1 day,-00:00:01}
timetz[] | {00:00:00+01,NULL,01:00:00-02}
bit varying[] | {101,NULL,""}
mood[] | {sad,ok} | {"very, very \"happy\""}
pair[] | {"(1,x)",NULL,"(2,\"a b\")"}
11 positive[] | {1,NULL,2}
int4range[] | {"[1,3)",empty}
int4range | empty | (,) | [1,5) | (,5) | [1,)
int8range | [1,5) | [-9,)
numrange | (,1.50] | [NaN,] | (1,2.000]
daterange | [2000-01-01,infinity) | [2000-01-01,2000-01-02]
tsrange | ["2000-01-01 00:00:00",) | empty | (,infinity]
tstzrange | ("2000-01-01 00:00:00+00","2001-01-01 00:00:00+00"]
textrange | [a,b] | ["",b] | ["a b","c,d"] | [a,"q\"uo\\te") | (NULL,null]
floatrange | [0.1,0.3)
14 int4multirange | {} | {[1,5)} | {[1,5),[7,9),[11,)}
14 nummultirange | {[1.5,2.5],(3,4.000)} | {(,1),[2,3),[12345678901234567890.5,)} | {[1,1]}
14 tstzmultirange | {("2000-01-01 00:00:00+00","2001-01-01 00:00:00+00"],(2002-01-01,infinity)}
14 datemultirange | {[2000-01-01,2000-02-01),[2001-01-01,)}
14 int8multirange | {(,0),[5,6),[8,9)}
END
my $with_floats = qr/^(?:real|double precision|float8\[\]|floatrange|point|lseg|line|box|box\[\]|path|polygon|circle)$/;

# An expression, not a literal.
sub random_moment
{
    my ($type) = @_;
    return sprintf(q{(%s '2000-01-01 00:00:00' + %d * interval '1 day' + %d * interval '1 second' + %d * interval '1 microsecond')},
        $type, $dice->number(100_000_000) - 2_000_000, $dice->number(86400), $dice->number(1_000_000));
}

sub random_date
{
    my ($days) = @_;
    return "(date '2000-01-01' + " . ($dice->number($days) - 2_000_000) . ')';
}

sub random_interval
{
    my @parts = ([ 2_000_000_000, 'days' ], [ 4000, 'months' ], [ 200_000, 'seconds' ], [ 1_000_000, 'microseconds' ]);
    return join ' ', '0 years', map { my ($limit, $unit) = @$_; $dice->chance(30) ? () : sign() . $dice->number($limit)
        . " $unit" } @parts;
}

sub random_address { return join ':',
    map { sprintf '%x', $dice->pick(0, 0, 0, 1, 0xffff, $dice->number(65536)) } 1 .. 8 }

sub random_lexemes { return join ' ', map { 'w' . digits(1 + $dice->number(5)) . ':' . (1 + $dice->number(20))
    . $dice->pick('', qw(A B C D)) } 1 .. 30 }

sub random_pair { my $text = random_string(); $text =~ s/(["\\])/\\$1/g; return '(' . $dice->number(9) . ",\"$text\")" }

# More values of a type, that are random or too odd for a table.
sub more_values
{
    my @powers = map { 2**$_ } -1074 .. 1023;
    my @zones = qw(+00 -08 +05:30 +15:59:59 -15:59:59 -00:00:01 +00:30);
    my $range = sub { my ($low, $high) = sort { $a <=> $b } digits(6), digits(6); return "[$low.5,$high.75)" };

    return (
        name => [ 'n' x 63 ],
        integer => [ many(50, sub { sign() . digits(9) }) ],
        bigint => [ many(50, sub { sign() . digits(18) }) ],
        real => [ (map { $_ >= 2**-149 && $_ < 2**128 ? sprintf('%.9g', $_) : () } @powers),
        many(1000, sub { random_float('f', 9, 4) }) ],
        'double precision' => [ (map { sprintf '%.17g', $_ } @powers), (map { "1e$_" } -307 .. 308),
        many(2000, sub { random_float('d', 17, 8) }),
            many(500, sub { sprintf '%.17g', $dice->number(1_000_000_000) / $dice->pick(8, 10, 100, 1000, 7) }) ],
        numeric => [ '1' . '0' x 1000 . '.' . '0' x 500 . '1', digits(5000) . '.' . digits(5000),
            many(300, \&random_numeric) ],
        money => [ many(20, sub { sign() . digits(10) }) ],
        text => [ "tab\there\nline\\", "\xc3\xa9", (map { 'x' x $_ } 125 .. 127, 3000), many(50, \&random_string) ],
        bytea => [ many(30, sub { '\\x' . unpack 'H*', pattern($dice->number(300)) }) ],
        date => [ many(200, sub { random_date(2_147_000_000) }), many(200, sub { random_date(4_000_000) }) ],
        timetz => [ map { my $clock = $_; map { "$clock$_" } @zones } qw(00:00:00 23:59:59.999999 24:00:00
        01:02:03.040500) ],
        timestamp => [ many(200, sub { random_moment('timestamp') }) ],
        timestamptz => [ many(200, sub { random_moment('timestamptz') }) ],
        interval => [ many(200, \&random_interval) ],
        inet => [ many(50, sub { join('.', map { $dice->number(256) } 1 .. 4) . '/' . $dice->number(33) }),
        many(200, \&random_address),
            many(30, sub { random_address() . '/' . $dice->number(129) }) ],
        'bit varying' => [ '1' x 100 ],
        xml => [ '<a/>', '', "\n<a/>", '<?xml version="1.0"?><a/>', "<?xml version='1.0' encoding='UTF-8'?>\n<a/>",
        '<?xml version="1.0" standalone="yes"?><a/>',
            '<?xml version="1.0" encoding="utf8" standalone=\'no\' ?>x', '<?xml-stylesheet href="a"?><a/>',
            'text only &amp; <b>c</b>',
            "<?xml  version = \"1.0\"\n?>\n\n<a/>" ],
        jsonb => [ '[' x 9000 . ']' x 9000, '[' . join(',', 1 .. 1000) . ']', '{'
            . join(',', map { "\"k$_\": $_" } 1 .. 500) . '}',
            many(150, sub { random_json(4) }) ],
        tsvector => [ many(20, \&random_lexemes) ],
        pair => [ many(30, \&random_pair) ],
        'integer[]' => [ many(30, sub { random_array(sub { $dice->number(99) }) }) ],
        'text[]' => [ many(50, sub { random_array(\&random_string) }) ],
        'numeric[]' => [ many(20, sub { random_array(\&random_numeric) }) ],
        numrange => [ many(20, $range) ],
        textrange => [ '[' . 'x' x 200 . ',y]' ],
        int4multirange => [ '{' . join(',', map { '[' . 3 * $_ . ',' . (3 * $_ + 1) . ')' } 1 .. 50) . '}' ],
    );
}

# [ column type, [ values ] ], for a server of that version.
sub types_of
{
    my ($version, $xml) = @_;
    my %more = more_values();
    my (@types, %values);
    for my $line (split(/\n/, $edges), 'timetz', $xml ? 'xml' : ())
    {
        my ($first, $type, $literals) = $line =~ /^(?:([\d.]+) )?(.*?)(?: \| (.*))?$/;
        next if $version < ($first // 0);
        push @types, $type if !$values{$type};
        $values{$type} //= [ @{ $more{$type} // [] } ];
        push @{ $values{$type} }, map { $_ eq 'EMPTY' ? '' : $_ } split / \| /, $literals // '';
    }
    return map { [ $_, $values{$_}, $_ =~ $with_floats ? 'floats' : '' ] } @types;
}

my $own_types = <<'END';
CREATE TYPE mood AS ENUM ('sad', 'ok', 'very, very "happy"');
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE DOMAIN short_names AS name[];
CREATE TYPE pair AS (a integer, b text);
CREATE TYPE nested AS (a integer, b pair, c numeric[], d mood, e timestamptz, f int4range, g pair[]);
ALTER TYPE nested ADD ATTRIBUTE gone box; ALTER TYPE nested DROP ATTRIBUTE gone;
CREATE TYPE no_columns AS ();
CREATE TYPE textrange AS RANGE (subtype = text, collation = "C");
CREATE TYPE floatrange AS RANGE (subtype = float8);
CREATE TYPE odd_type;
CREATE FUNCTION odd_in(cstring) RETURNS odd_type LANGUAGE internal IMMUTABLE STRICT AS 'textin';
CREATE FUNCTION odd_out(odd_type) RETURNS cstring LANGUAGE internal IMMUTABLE STRICT AS 'textout';
CREATE TYPE odd_type (INPUT = odd_in, OUTPUT = odd_out, LIKE = text);
END

# The lines that lost_values reads: all types, and the columns of a table.
sub description
{
    my ($server, $table, @missing) = @_;
    my $version = $server->version;
    my $is_array = 't.typlen = -1 AND t.typelem <> 0'
        . ($version >= 14 ? q{ AND t.typsubscript = 'array_subscript_handler'::regproc} : '');
    my $range_of = $version >= 14
        ? 'WHEN t.typtype = \'m\' THEN (SELECT rngtypid FROM pg_range WHERE rngmultitypid = t.oid)' : '';
    my $attribute = sub {
        my ($number, $where) = @_;
        return "SELECT concat_ws(E'\\t', 'attribute', $number, atttypid, attlen, attalign, attname) FROM pg_attribute"
            . " JOIN pg_class c ON c.oid = attrelid WHERE attnum > 0 AND $where ORDER BY attrelid, attnum;";
    };
    my @lines = split /\n/, $server->sql(<<"END");
SELECT concat_ws(E'\\t', 'type', t.oid, typtype, typdelim, typlen, typalign, coalesce(CASE WHEN typtype = 'd' THEN typbasetype
    WHEN typtype = 'r' THEN (SELECT rngsubtype FROM pg_range WHERE rngtypid = t.oid) $range_of WHEN $is_array THEN typelem END, 0), nspname, typname)
    FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace;
SELECT concat_ws(E'\\t', 'label', enumtypid, oid, enumlabel) FROM pg_enum;
@{[ $attribute->('c.reltype', "relkind = 'c'") ]}
@{[ $attribute->(0, "attrelid = '$table'::regclass") ]}
END
    for my $line (grep { /^attribute\t0\t/ } @lines)
    {
        for my $pair (@missing) { $line .= "\t$pair->[1]" if $line =~ /\t\Q$pair->[0]\E$/ }
    }
    return join("\n", @lines) . "\n";
}

# What the server prints, and what lost_values needs, while the server runs.
sub look_at
{
    my ($server, $table, @missing) = @_;
    my ($path, $toast) = split /\|/,
        $server->sql("SELECT pg_relation_filepath('$table'), pg_relation_filepath(reltoastrelid) FROM pg_class WHERE oid = '$table'::regclass");
    my $types = work_dir() . "/types.$table";
    spew($types, description($server, $table, @missing));
    return { table => $table, types => $types, files => [ map { $server->path($_) } grep { $_ } $path, $toast ],
        theirs => $server->sql("$settings COPY $table TO STDOUT") };
}

# What lost_values prints, of the stopped server's files.
sub our_text
{
    my ($server, $look) = @_;
    my $number = $server->version >= 10 ? $server->version * 10000 : ($server->version =~ s/\./0/r) * 100;
    return must_run([ $program, $number, $look->{types}, @{ $look->{files} } ]);
}

sub first_difference
{
    my ($ours, $theirs) = @_;
    my @ours = split /\n/, $ours, -1;
    my @theirs = split /\n/, $theirs, -1;
    my ($first) = grep { ($ours[$_] // 'nothing') ne ($theirs[$_] // 'nothing') } 0 .. ($#ours > $#theirs ? $#ours
        : $#theirs);
    return map { substr($_->[$first] // 'nothing', 0, 3000) } \@ours, \@theirs;
}

sub is_same
{
    my ($ours, $theirs, $name) = @_;
    return if ok($ours eq $theirs, $name);
    my ($our, $their) = first_difference($ours, $theirs);
    diag("ours:   $our\ntheirs: $their");
    return;
}

sub literal
{
    my ($value) = @_;
    return $value =~ /^\((?:date|timestamp|timestamptz) '/ ? $value : quoted($value);
}

# A table for each type, and one with all of them, where each row lacks some.
sub make_tables
{
    my ($server, $version) = @_;
    my $xml = $server->try_sql(q{SELECT '<a/>'::xml})->{status} == 0;
    note($xml ? 'with xml' : 'without xml');
    my @types = types_of($version, $xml);
    my @columns;
    my $sql = "SET standard_conforming_strings = on;\n";
    for my $index (0 .. $#types)
    {
        my ($type, $values) = @{ $types[$index] };
        $sql .= "CREATE TABLE t$index (v $type);\nINSERT INTO t$index VALUES "
            . join(",\n", '(NULL)', map { '(' . literal($_) . ')' } @$values) . ";\n";
        push @columns, [ "c$index", $type, $types[$index][2] ];
    }
    my %short = map { my ($index) = $_->[0] =~ /(\d+)/;
        $_->[0] => [ grep { length($_) < 70 } @{ $types[$index][1] } ] } @columns;
    for my $kind ('floats', '')
    {
        my @mine = grep { ($_->[2] // '') eq $kind } @columns;
        my $table = $kind ? 'with_floats' : 'without_floats';
        $sql .= "CREATE TABLE $table (" . join(', ', map { "$_->[0] $_->[1]" } @mine) . ");\n";
        for (1 .. 100)
        {
            my @row = map { $dice->chance(30) || !@{ $short{ $_->[0] } } ? 'NULL'
                : literal($dice->pick(@{ $short{ $_->[0] } })) } @mine;
            $sql .= "INSERT INTO $table VALUES (" . join(', ', @row) . ");\n";
        }
    }
    $server->sql($settings . $sql);
    return @types;
}

sub make_toasted
{
    my ($server, $version) = @_;
    my $lz4 = $version >= 14 && $server->try_sql("SET default_toast_compression = 'lz4'")->{status} == 0;
    note($lz4 ? 'with lz4' : 'without lz4');
    my $json = $version >= 9.5 ? 'jsonb' : 'json';
    my @names;
    for my $method ('pglz', $lz4 ? 'lz4' : ())
    {
        for my $storage (qw(EXTENDED EXTERNAL MAIN))
        {
            my $name = lc "toasted_${method}_$storage";
            push @names, $name;
            $server->sql(($version >= 14 ? "SET default_toast_compression = '$method';" : '') . <<"END");
CREATE TABLE $name (n integer, v text, b bytea, j $json, a text[], p pair, m numeric);
@{[ join "\n", map { "ALTER TABLE $name ALTER $_ SET STORAGE $storage;" } qw(v b j a p m) ]}
INSERT INTO $name SELECT n, repeat(md5(n::text), n), decode(repeat(md5(n::text), n), 'hex') FROM generate_series(1, 400, 13) n;
INSERT INTO $name SELECT n, (SELECT string_agg(md5((n * i)::text), '') FROM generate_series(1, n) i) FROM generate_series(1, 3000, 311) n;
INSERT INTO $name (n, v) SELECT n, repeat('x', n) FROM generate_series(1, 100000, 9973) n;
INSERT INTO $name (n, j) SELECT n, ('{' || (SELECT string_agg('"' || md5(i::text) || '": "' || repeat('y', i % 10) || '"', ',') FROM generate_series(1, n) i) || '}')::$json FROM generate_series(1, 2000, 301) n;
INSERT INTO $name (n, a) SELECT n, (SELECT array_agg(md5(i::text)) FROM generate_series(1, n) i) FROM generate_series(1, 2000, 301) n;
INSERT INTO $name (n, p) SELECT n, ROW(n, repeat(md5(n::text), n))::pair FROM generate_series(1, 500, 71) n;
INSERT INTO $name (n, m) SELECT n, (repeat('123456789', n) || '.' || repeat('7', n))::numeric FROM generate_series(1, 1500, 211) n;
END
        }
    }
    return @names;
}

# Columns that came after the rows, that went, and types of which we know no text.
sub make_odd_tables
{
    my ($server, $version) = @_;
    $server->sql(<<"END");
CREATE TABLE altered (a integer, gone text, b smallint, gone_too bigint);
INSERT INTO altered VALUES (1, 'x', 2, 3), (NULL, NULL, 5, NULL);
ALTER TABLE altered DROP gone; ALTER TABLE altered DROP gone_too; ALTER TABLE altered ADD c text;
INSERT INTO altered VALUES (7, 8, 'nine');
CREATE TABLE with_oids (a integer, b text, c double precision) @{[ $version < 12 ? 'WITH OIDS' : '' ]};
INSERT INTO with_oids VALUES (1, 'x', 2), (NULL, NULL, 3), (4, NULL, NULL);
VACUUM FREEZE with_oids;
INSERT INTO with_oids VALUES (5, 'y', 6);
CREATE TYPE odd_pair AS (a integer, b odd_type);
CREATE TABLE odd_types (a odd_type, b odd_type[], c odd_pair, d tsquery, e integer);
INSERT INTO odd_types VALUES ('abc', '{a,b}', '(1,x)', 'a & b', 5);
END
    $server->sql("INSERT INTO odd_types (a, e) VALUES ('" . 'xyz' x 5000 . "', 6)");
    $server->sql(q{ALTER TABLE altered ADD d integer DEFAULT 42; ALTER TABLE altered ADD e text DEFAULT 'abc'; ALTER TABLE altered ADD f interval NOT NULL DEFAULT '1 day';
        INSERT INTO altered VALUES (1, 2, 'c', 3, NULL, '2 days')}) if $version >= 11;
    return;
}

sub unknown_is_hexadecimal
{
    my ($ours) = @_;
    my @rows = map { [ split /\t/, $_ ] } split /\n/, $ours;
    is($rows[0][0], 'binary:616263', 'bytes of an unknown type are in hexadecimal');
    like($rows[0][$_], qr/^binary:(?:[0-9a-f]{2})+$/, "so is what has it as a part ($_)") for 1, 2;
    like($rows[0][3], qr/^binary:/, 'so is a type of pg_catalog that we know no text of');
    is($rows[0][4], 5, 'what follows is known');
    is($rows[1][0], 'binary:' . unpack('H*', 'xyz' x 5000), 'a long value is expanded');
    return;
}

each_version(sub {
    my ($version) = @_;
    $dice = RewindTest::Dice->new("$seed");
    my $server = make_cluster('server', $version)->start;
    $server->sql($own_types . 'CREATE ' . ($version >= 11 ? 'DOMAIN positive_pair AS pair CHECK ((VALUE).a > 0)'
        : 'TYPE positive_pair AS (a integer, b text)'));
    my @types = make_tables($server, $version);
    my @toasted = make_toasted($server, $version);
    make_odd_tables($server, $version);
    my @looks = map { look_at($server, $_) } (map { "t$_" } 0 .. $#types), 'with_floats', 'without_floats', @toasted,
        'odd_types', 'with_oids';
    my $altered = look_at($server, 'altered', [ d => '2a000000' ], [ e => '09616263' ],
        [ f => '0000000000000000' . '01000000' . '00000000' ]);
    $server->stop;

    my %again; # printed with other digits
    for my $look (@looks, $altered)
    {
        my ($index) = $look->{table} =~ /^t(\d+)$/;
        my $ours = our_text($server, $look);
        my $name = defined $index ? $types[$index][0] : $look->{table};
        if ($look->{table} eq 'odd_types') { unknown_is_hexadecimal($ours) }
        elsif ($version < 12 && ($look->{table} eq 'with_floats' || defined $index && $types[$index][2])) {
            $again{$name} = [ $look, $ours ] }
        else { is_same($ours, $look->{theirs}, "$name: our text is the server's (" . ($ours =~ tr/\n//) . ' rows)') }
    }
    $server->start if %again;
    for my $name (sort keys %again)
    {
        my ($look, $ours) = @{ $again{$name} };
        my $file = work_dir() . '/again';
        spew($file, "$ours\n");
        my $theirs =
            $server->sql("$settings CREATE TEMP TABLE again (LIKE $look->{table}); COPY again FROM '$file'; COPY again TO STDOUT");
        is_same($theirs, $look->{theirs}, "$name: the server reads our text as the same value");
    }
}, sample => 1);
