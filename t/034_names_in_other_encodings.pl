# All names in the report are UTF-8, whatever the encoding of their database, and the report's queries find the rows in
# it. Where a name cannot be written in UTF-8 as it is, there is no query, and the report says so. The script of
# --save-lost-rows connects to databases by their names as they are, and leaves out what it cannot name. Its texts are
# converted to the characters that the server would convert them to, or not at all.
#
#   source   ──┬── rows as they were
#   target     └── "lost": rows updated in databases of seven encodings
# (Rules L12, L32.)

use strict;
use warnings;
use lib 't/lib';
use Encode ();
use JSON::PP ();
use RewindTest;
use RewindTest::LostRows qw(run_script saved_rows);

# All strings here are bytes.
my $replaced = "\xEF\xBF\xBD";
# databases, named by sessions in databases of these encodings
my ($of_utf8, $of_latin) = ("d\xC3\xA9j\xC3\xA0", "d\xE9j\xE0");

# Of each database: its encoding, a table, which is sent as UTF-8 if it can be, and how the report shows it if not.
my %tables = (
    latin => [ 'LATIN1', 'tablé' ],
    japan => [ 'EUC_JP', '予定' ],
    ascii => [ 'SQL_ASCII', 'tablé' ],
    bytes => [ 'SQL_ASCII', "tabl\xE9", "tabl$replaced" ],    # its encoding is not known
    # the C library has no table of these that is equal to the server's
    rare => [ 'EUC_JIS_2004', '朝', $replaced x 2 ],
    viet => [ 'WIN1258', 'tablé', "tabl$replaced" ],
    hebrew => [ 'WIN1255', 'לוח', $replaced x 3 ],
    $of_utf8 => [ 'LATIN1', 'tablé' ],
    $of_latin => [ 'LATIN1', 'tablé' ],
);

# In the database bytes: names of a type, of a generated key and of a column with a long value.
my $word = "gr\xF6\xDFe";
my $named = <<"END";
CREATE TYPE "$word" AS ENUM ('small', 'large'); CREATE TABLE typed (id integer PRIMARY KEY, v "$word");
CREATE TABLE toasted (id integer PRIMARY KEY, n integer, "$word" text);
ALTER TABLE toasted ALTER "$word" SET STORAGE EXTERNAL; INSERT INTO toasted VALUES (1, 1, repeat('long', 1000));
END
my $generated = qq{CREATE TABLE made_key (a integer, "$word" integer GENERATED ALWAYS AS (a * 2) STORED PRIMARY KEY)};

sub is_utf8 { my ($bytes) = @_;
    return defined eval { Encode::decode('UTF-8', $bytes, Encode::FB_CROAK | Encode::LEAVE_SRC) } }

sub hexadecimal { my ($name) = @_; return $name =~ s/([\x80-\xFF])/sprintf '\x%02x', ord $1/egr }

# A statement in the database, with its table for %s.
sub in_database
{
    my ($cluster, $database, $statement) = @_;
    my $name = $tables{$database}[1];
    return $cluster->sql((is_utf8($name) ? "SET client_encoding = 'UTF8'; " : '') . ($statement =~ s/%s/"$name"/gr),
        $database);
}

sub prepare
{
    my ($primary) = @_;
    for my $database (sort { ($a eq $of_latin) <=> ($b eq $of_latin) } keys %tables)
    {
        $primary->try_sql("CREATE DATABASE template0");
        $primary->sql(qq{CREATE DATABASE "$database" ENCODING '$tables{$database}[0]' TEMPLATE template0}, $database
            eq $of_latin ? 'latin' : 'postgres');
        in_database($primary, $database,
            q{CREATE TABLE flags (flag boolean, note text);
            CREATE TABLE %s AS SELECT id, 'common'::text AS note FROM generate_series(1, 9) id});
    }
    $primary->sql($named . ($primary->version >= 12 ? $generated : ''), 'bytes');
    return;
}

sub report
{
    my ($target, $source, $database, @options) = @_;
    my $result = run([ rewind_argv($target->data, '--source-server', $source->conninfo($database), '--dry-run',
        @options) ]);
    is($result->{status}, 0, "a report: @options") or diag($result->{stderr});
    ok(is_utf8($result->{stdout}), 'it is UTF-8');
    return $result->{stdout};
}

sub told_in_json
{
    my ($target, $source, $database) = @_;
    my ($encoding, $name, $shown) = @{ $tables{$database} };
    my $relations = JSON::PP->new->utf8->decode(report($target, $source, $database,
        '--report=json'))->{discarded}{relations};
    my %by_name = map { Encode::encode('UTF-8', $_->{name}) => $_ } @$relations;
    my $table = $by_name{ 'public."' . ($shown // $name) . '"' };
    ok($table, 'the table has its name') or return diag(join ' ', sort keys %by_name);
    is(Encode::encode('UTF-8', $table->{database_name}), $database eq $of_latin ? "d${replaced}j$replaced"
        : $database, 'the database has its name');
    my @elsewhere = map { $_ eq $database ? () : ($_ eq $of_latin ? "d${replaced}j$replaced" : $_) . '/public.made' }
        keys %tables;
    is(join(' ', grep { !$by_name{$_} } @elsewhere), '', 'tables of other databases, too');
    return;
}

sub told_in_text
{
    my ($target, $source, $database) = @_;
    my $shown = $tables{$database}[2];
    my $text = report($target, $source, $database, '--report=text');
    like($text, qr/^  only prepared +pr${replaced}pared$/m, 'a prepared transaction has its name');
    return;
}

# What all databases share has one encoding if they have.
sub one_encoding
{
    my ($version) = @_;
    my ($source, $target) = split_brain($version,
        before => sub {
            my ($primary) = @_;
            # as by initdb -E LATIN1: nothing but ASCII is there yet
            $primary->sql('UPDATE pg_database SET encoding = 8');
            $primary->sql(qq{CREATE DATABASE "$of_latin"});
            in_database($primary, $of_latin, q{CREATE TABLE %s AS SELECT 3 AS id, 'common'::text AS note});
        },
        target => sub {
            my ($primary) = @_;
            in_database($primary, $of_latin, q{UPDATE %s SET note = 'lost'; CREATE TABLE made ()});
            $primary->sql(qq{CREATE DATABASE "d\xE9but"; CREATE ROLE "\xE9l\xE8ve"});
            $primary->sql('CREATE TABLE made ()', "d\xE9but");
        });
    my $directory = $target->dir . '/lost';
    mkdir $directory;
    my $discarded = JSON::PP->new->utf8->decode(report($target, $source, $of_latin, '--report=json',
        "--save-lost-rows=$directory"))->{discarded};
    my ($table) = grep { Encode::encode('UTF-8', $_->{name}) eq 'public."tablé"' } @{ $discarded->{relations} };
    is(Encode::encode('UTF-8', $table->{database_name}), 'déjà', 'the name of a database, by the source');
    ok((grep { Encode::encode('UTF-8', $_->{name}) eq 'début/public.made' } @{ $discarded->{relations} }),
        'and by the target');
    my @changes = map { Encode::encode('UTF-8', $_) } map { @{ $_->{schema_changes} } } @{ $discarded->{committed} };
    is(join(', ', grep { /ROLE|DATABASE/ } @changes), 'CREATE DATABASE "début", CREATE ROLE "élève"',
        'names of new ones');
    my ($jsonl) = map { slurp($_) } glob("$directory/*.jsonl");
    like($jsonl, qr/"database":"déjà"/, 'in the file for programs, too');
    is(run_script($source, glob("$directory/*.sql")), '', 'the script of the lost rows does not connect by this name');
    return;
}

each_version(sub {
    my ($version) = @_;
    my ($source, $target) = split_brain($version, before => \&prepare,
        cluster => { settings => 'max_prepared_transactions = 5' },
        target => sub {
            my ($primary) = @_;
            in_database($primary, $_,
                q{UPDATE %s SET note = 'lost' WHERE id = 3; CREATE TABLE made ();
                INSERT INTO flags VALUES (true, 'data')}) for keys %tables;
            $primary->sql(q{INSERT INTO typed VALUES (1, 'small'); UPDATE toasted SET n = 2}, 'bytes');
            $primary->sql(q{INSERT INTO made_key VALUES (1)}, 'bytes') if $version >= 12;
            # two characters, which iconv composes to one; the server does not
            $primary->sql(qq{SET client_encoding = 'UTF8'; UPDATE flags SET note = 'a\xCC\x81'}, 'viet');
            $primary->sql(qq{BEGIN; CREATE TABLE t (); PREPARE TRANSACTION 'pr\xE9pared'}, 'latin');
        });
    for my $database (sort keys %tables)
    {
        subtest(hexadecimal($database) . " of $tables{$database}[0]" => sub { told_in_json($target, $source, $database);
            told_in_text($target, $source, $database) });
    }
    my $directory = $target->dir . '/lost';
    mkdir $directory;
    report($target, $source, 'postgres', "--save-lost-rows=$directory", '--report=text');
    my ($sql, $jsonl) = map { glob "$directory/*.$_" } qw(sql jsonl);
    my @flags = grep { $_->{table} eq 'public.flags' } map { @{ $_->{changes} } } @{ (saved_rows($jsonl))[0] };
    is(join(' ', map { join '/', map { $_->[2] } @{ $_->{new} } } grep { $_->{kind} eq 'I' } @flags),
        join(' ', ('true/data') x keys %tables), 'each database has its values to the last letter');
    is(join(' ', map { @{ $_->{new}[1] }[ 2, 3 ] } grep { $_->{kind} eq 'U' } @flags), '61ec binary',
        'characters that would be composed stay bytes');
    is(run_script($source, $sql), '', 'the script of the lost rows ends without a word');
    is(join(' ', map { hexadecimal($_) } grep { in_database($source, $_, 'SELECT note FROM %s WHERE id = 3')
        eq 'common' } sort keys %tables),
        'bytes ' . hexadecimal($of_latin) . ' hebrew rare viet',
        'it finds all tables and databases but those whose names are not UTF-8');
    is(join(' ', slurp($sql) =~ /^-- left out: INSERT of public\.(\w+) .*: a name is not valid in UTF-8$/mg),
        $version >= 12 ? 'typed made_key' : 'typed',
        'it leaves out statements with the name of a type or of a generated key that is not UTF-8');
    is($source->sql('SELECT n FROM toasted', 'bytes'), 2, 'and has those that do not need the name of a column');
    $_->discard for $source, $target;
    subtest('all databases have LATIN1' => sub { one_encoding($version) });
}, only => [ 10, 15, 18 ]);
