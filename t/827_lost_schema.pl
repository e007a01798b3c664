# The names, columns and types that we find in a stopped server's catalogs are those that it gave while it ran: of odd
# tables, of catalogs that were rewritten, before the divergence and after it, in another database and tablespace; and
# at each lost change of a row they are those of that moment. What lost transactions did to the schema is told by the
# objects' names. A killed server leaves catalogs behind on its disk that lack all since its last checkpoint: WAL has
# it.
# (Rules L29, L47.)

use strict;
use warnings;
use lib 't/lib';
use RewindTest;
use File::Basename qw(dirname);

my $program = $ENV{LOST_SCHEMA} // dirname($ENV{PG_REWIND} // 'build/pg_rewind') . '/lost_schema';

my $odd = <<'END';
CREATE SCHEMA "Odd ""s"; CREATE TYPE mood AS ENUM ('a', 'b'); ALTER TYPE mood ADD VALUE 'ab' BEFORE 'b';
CREATE DOMAIN dom AS numeric(7, 3); CREATE TYPE comp AS (x int, "Y y" text, z dom);
ALTER TYPE comp DROP ATTRIBUTE x; ALTER TYPE comp ADD ATTRIBUTE n interval day to second(3);
CREATE TYPE rng AS RANGE (subtype = float8); CREATE TYPE "Odd ""s"."T y" AS ENUM ('q');
CREATE TABLE t1 (id serial PRIMARY KEY, a varchar(10), b numeric(10, 2), c numeric, d timestamp(3), e timestamptz, f time(2), g timetz, h bit(5),
    i bit varying(7), j bit varying, k char(4), l bpchar, m "char", n interval, o interval year to month, p interval second(2), q text[], r varchar(3)[],
    s mood[], t comp, u rng, v "Odd ""s"."T y", w name, x int2vector, y oid, z dom);
ALTER TABLE t1 DROP COLUMN c; ALTER TABLE t1 ADD COLUMN zz int DEFAULT 7; ALTER TABLE t1 ADD COLUMN yy text DEFAULT 'added later';
ALTER TABLE t1 ADD COLUMN xx text NOT NULL DEFAULT repeat('abc', 2000); ALTER TABLE t1 ADD COLUMN uu int[] DEFAULT '{1,2}';
CREATE TABLE "Odd ""s"."T q" ("A b" int, c bit(3) NOT NULL, "D" text); CREATE UNIQUE INDEX ON "Odd ""s"."T q" (c);
CREATE UNIQUE INDEX ON "Odd ""s"."T q" ("A b");
CREATE TABLE inh (more bool, arr bit(4)[]) INHERITS ("Odd ""s"."T q");
CREATE TABLE part (k int NOT NULL, v text) PARTITION BY RANGE (k); CREATE TABLE part1 PARTITION OF part FOR VALUES FROM (0) TO (10);
CREATE TABLE part2 (v text, k int NOT NULL); ALTER TABLE part ATTACH PARTITION part2 FOR VALUES FROM (10) TO (20);
CREATE TABLE ri (a int NOT NULL, b int NOT NULL, c text); CREATE UNIQUE INDEX ri1 ON ri (a); CREATE UNIQUE INDEX ri2 ON ri (b) WHERE b > 0;
CREATE UNIQUE INDEX ri3 ON ri (b, a); ALTER TABLE ri REPLICA IDENTITY USING INDEX ri3;
CREATE UNLOGGED TABLE unl (a int); CREATE MATERIALIZED VIEW mv AS SELECT * FROM ri; CREATE TABLE no_columns ();
CREATE SCHEMA "order"; CREATE TYPE "order"."user" AS ENUM ('q'); CREATE TYPE "select" AS (a int); CREATE TYPE "between" AS ENUM ('b'); CREATE TYPE "left" AS ENUM ('l');
CREATE TABLE keywords (a "order"."user", b "select"[], c "between", d "left", e json, f xml, g json[]);
CREATE TABLE iv (a interval(0), b interval, c interval hour, d interval minute to second, e interval day to hour);
END

# After the checkpoint, in common history.
my $common = <<'END';
CREATE TABLE c1 (a int PRIMARY KEY, b text); INSERT INTO c1 VALUES (1, 'a'); CREATE TABLE c2 (a int, b int); CREATE TYPE ct AS ENUM ('x');
ALTER TABLE c2 ADD c ct; CREATE TABLE dropped (a int); DROP TABLE dropped; CREATE TABLE renamed (a int); ALTER TABLE renamed RENAME TO others;
CREATE ROLE common_role; CREATE FUNCTION cf() RETURNS int LANGUAGE sql AS 'SELECT 1'; INSERT INTO others VALUES (1); ALTER TABLE others ADD b text;
END

# Each statement with what is told of it, where it is not told by an event of its own words: "=> -" for nothing.
my $lost = <<'END';
INSERT INTO c1 VALUES (3, 'c')                           => row: public.c1 (a integer, b text)
ALTER TABLE c1 RENAME COLUMN b TO bb                     => event: ALTER TABLE public.c1
INSERT INTO c1 VALUES (4, 'd')                           => row: public.c1 (a integer, bb text)
BEGIN; INSERT INTO c1 VALUES (5, 'e'); ALTER TABLE c1 ADD x int; INSERT INTO c1 VALUES (6, 'f', 6); SAVEPOINT s; ALTER TABLE c1 ADD nope int; ROLLBACK TO s; ALTER TABLE c1 RENAME TO c3; INSERT INTO c3 VALUES (7); COMMIT => event: ALTER TABLE public.c1; row: public.c1 (a integer, bb text); row: public.c1 (a integer, bb text, x integer); row: public.c3 (a integer, bb text, x integer)
BEGIN; CREATE TABLE l1 (id serial PRIMARY KEY, m ct); INSERT INTO l1 (m) VALUES ('x'); ALTER TABLE l1 ADD u varchar(3); INSERT INTO l1 (u) VALUES ('u'); COMMIT => event: CREATE TABLE public.l1; row: public.l1 (id integer, m public.ct); row: public.l1 (id integer, m public.ct, u character varying(3))
ALTER TYPE ct ADD VALUE 'y'                              => event: ALTER TYPE public.ct
ALTER TYPE ct RENAME TO ct2                              => event: ALTER TYPE public.ct
INSERT INTO c2 VALUES (5, 6, 'y')                        => row: public.c2 (a integer, b integer, c public.ct2)
TRUNCATE others                                          => event: TRUNCATE TABLE public.others
INSERT INTO others VALUES (2)                            => row: public.others (a integer, b text)
VACUUM FULL c3                                           => event: VACUUM FULL or CLUSTER TABLE public.c3
ALTER TABLE c3 ALTER a TYPE bigint => event: ALTER TABLE public.c3; row: ALTER TABLE wrote the rows of its table again
INSERT INTO c3 VALUES (8)                                => row: public.c3 (a bigint, bb text, x integer)
CREATE INDEX li ON c3 (bb)                               => event: CREATE INDEX public.li
REINDEX INDEX li                                         => event: REINDEX INDEX public.li
DROP INDEX li                                            => event: DROP INDEX public.li
CREATE VIEW lv AS SELECT 1                               => event: CREATE VIEW public.lv
DROP VIEW lv                                             => event: DROP VIEW public.lv
CREATE OR REPLACE FUNCTION cf() RETURNS int LANGUAGE sql AS 'SELECT 2' => event: ALTER FUNCTION public.cf
DROP FUNCTION cf()                                       => event: DROP FUNCTION public.cf
BEGIN; TRUNCATE c3; REINDEX TABLE l1; COMMIT             => event: TRUNCATE TABLE public.c3; event: REINDEX INDEX public.l1_pkey
BEGIN; REINDEX TABLE l1; TRUNCATE c3; COMMIT             => event: REINDEX INDEX public.l1_pkey; event: TRUNCATE TABLE public.c3
GRANT SELECT ON c2 TO common_role                        => event: GRANT or REVOKE ON TABLE public.c2
COMMENT ON TABLE c2 IS 'x'                               => event: COMMENT ON TABLE public.c2
CREATE ROLE lost_role                                    => event: CREATE ROLE lost_role
CREATE SCHEMA s2                                         => event: CREATE SCHEMA s2
CREATE TABLE s2.t (a int)                                => event: CREATE TABLE s2.t
INSERT INTO s2.t VALUES (1)                              => row: s2.t (a integer)
DROP SCHEMA s2 CASCADE                                   => event: DROP TABLE s2.t; event: DROP SCHEMA s2
CREATE SEQUENCE ls                                       => event: CREATE SEQUENCE public.ls
CREATE TYPE lc AS (a int, b text)                        => event: CREATE TYPE public.lc
CREATE DOMAIN ld AS int CHECK (value > 0)                => event: CREATE DOMAIN public.ld
CREATE TABLE p (a int) PARTITION BY RANGE (a)            => event: CREATE TABLE public.p
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (9) => event: CREATE TABLE public.p1
INSERT INTO p VALUES (1)                                 => row: public.p1 (a integer)
ALTER TABLE c2 ADD CHECK (a > 0)                         => event: ALTER TABLE public.c2
CREATE TEMP TABLE tt (a int)                             => -
BEGIN; TRUNCATE c2; ALTER TABLE c2 DROP COLUMN b; INSERT INTO c2 VALUES (1, 'y'); COMMIT => event: TRUNCATE TABLE public.c2; event: ALTER TABLE public.c2; row: public.c2 (a integer, c public.ct2)
VACUUM FULL pg_class                                     => -
VACUUM FULL pg_attribute                                 => -
VACUUM FULL pg_index                                     => event: VACUUM FULL or CLUSTER TABLE pg_catalog.pg_index
CREATE TABLE after (a int PRIMARY KEY)                   => event: CREATE TABLE public.after
INSERT INTO after VALUES (1)                             => row: public.after (a integer)
ALTER TABLE after ADD b int                              => event: ALTER TABLE public.after
CREATE FUNCTION fa() RETURNS int LANGUAGE sql AS 'SELECT 1' => event: CREATE FUNCTION public.fa
VACUUM FULL pg_proc                                      => -
VACUUM FULL pg_attribute                                 => -
VACUUM FULL pg_type                                      => -
INSERT INTO after VALUES (2)                             => row: public.after (a integer, b integer)
ALTER TABLE after DROP COLUMN b                          => event: ALTER TABLE public.after
BEGIN; CREATE TABLE never (a int); ROLLBACK              => -
DROP TABLE others                                        => event: DROP TABLE public.others
END

# What lost_schema is asked, and what the server says of it.
sub questions
{
    my ($server, $database) = @_;
    my $version = $server->version;
    my $generated = $version >= 12 ? 'attgenerated' : "''";
    my $gone = "(attisdropped OR $generated = 'v')";
    my $missing = $version >= 11 ? 'atthasmissing' : 'false';
    my $key_count = $version >= 11 ? 'indnkeyatts' : 'indnatts';
    my $is_array = $version >= 14 ? q{typsubscript = 'array_subscript_handler'::regproc} : 'true';
    my $of_multirange = $version >= 14 ? '(SELECT rngtypid FROM pg_range WHERE rngmultitypid = t.oid)' : '0';
    my $this = 'pg_database WHERE datname = current_database()';
    my $tables =
        q{relkind IN ('r', 'm', 't') AND pg_relation_filenode(c.oid) IS NOT NULL AND NOT relisshared ORDER BY c.oid};
    my $numbers = "unnest(indkey::int2[]) WITH ORDINALITY u (number, place) WHERE place <= $key_count";
    my $asked = $server->sql(<<"END", $database);
SELECT concat_ws(' ', 'table', coalesce(nullif(reltablespace, 0), (SELECT dattablespace FROM $this)), (SELECT oid FROM $this), pg_relation_filenode(c.oid))
    FROM pg_class c WHERE $tables;
SELECT concat_ws(' ', 'type', (SELECT oid FROM $this), oid) FROM pg_type ORDER BY oid;
END
    my $answers = $server->sql(<<"END", $database);
SET search_path = pg_catalog;
SELECT concat(c.oid, '|', nspname, '|', relname, '|', relkind, '|',
        (SELECT string_agg(concat(attname, ':', CASE WHEN $gone THEN 0 ELSE atttypid END, ':',
            CASE WHEN $gone THEN '-' ELSE format_type(atttypid, atttypmod) END, ':', attlen, attalign,
            CASE WHEN $generated <> '' THEN 'g' END, CASE WHEN $missing THEN 'm' END), ',' ORDER BY attnum)
            FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0), '|',
        (SELECT (SELECT string_agg(number::text, ' ' ORDER BY place) FROM $numbers) FROM pg_index
            WHERE indrelid = c.oid AND indisunique AND indexprs IS NULL AND indpred IS NULL AND NOT EXISTS (SELECT FROM $numbers
                AND NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attnum = number AND attnum > 0 AND attnotnull))
            ORDER BY indisprimary DESC, indisreplident DESC, indexrelid LIMIT 1), '|', (c.oid < 16384 AND c.oid <> 2613)::int)
    FROM pg_class c JOIN pg_namespace n ON n.oid = relnamespace WHERE $tables;
SELECT concat(t.oid, '|', nspname, '|', typname, '|', typtype, '|', typdelim, '|', typlen, typalign, '|',
        CASE typtype WHEN 'b' THEN CASE WHEN typlen = -1 AND $is_array THEN typelem ELSE 0 END WHEN 'd' THEN typbasetype
            WHEN 'r' THEN (SELECT rngsubtype FROM pg_range WHERE rngtypid = t.oid) WHEN 'm' THEN $of_multirange ELSE 0 END, '|',
        (SELECT string_agg(concat(oid, ':', enumlabel), ',' ORDER BY oid) FROM pg_enum WHERE enumtypid = t.oid), '|',
        (SELECT string_agg(concat(attname, ':', CASE WHEN attisdropped THEN 0 ELSE atttypid END, ':', attlen, attalign), ',' ORDER BY attnum)
            FROM pg_attribute WHERE attrelid = t.typrelid AND attnum > 0 AND typtype = 'c'))
    FROM pg_type t JOIN pg_namespace n ON n.oid = typnamespace ORDER BY t.oid;
END
    return ("$asked\n", "$answers\n");
}

sub is_same
{
    my ($ours, $theirs, $name) = @_;
    return if ok($ours eq $theirs, $name);
    my @ours = split /\n/, $ours;
    my @theirs = split /\n/, $theirs;
    my ($first) = grep { ($ours[$_] // '') ne ($theirs[$_] // '') } 0 .. ($#ours > $#theirs ? $#ours : $#theirs);
    diag('ours:   ' . ($ours[$first] // 'nothing') . "\ntheirs: " . ($theirs[$first] // 'nothing'));
    return;
}

# Without full-page images WAL does not have the whole rows of the catalogs; what the disk has was not there before the
# change.
sub without_images
{
    my ($version) = @_;
    my $server = make_cluster('without_images', $version);
    $server->configure('full_page_writes = off');
    $server->start->sql('CREATE SCHEMA s; CREATE TABLE moved (a int);');
    $server->sql('CHECKPOINT');
    my ($redo, $divergence) = ($server->sql('SELECT redo_lsn FROM pg_control_checkpoint()'), $server->lsn);
    $server->sql($_) for 'INSERT INTO moved VALUES (1)', 'ALTER TABLE moved SET SCHEMA s',
        'INSERT INTO s.moved VALUES (2)', 'CHECKPOINT';
    $server->stop('kill');

    my ($before, @after) = split /\n/, must_run([ $program, $server->data, $redo, $divergence ], stdin => '');
    like($before, qr/^row: (?:public\.moved \(a integer\)|the catalogs have no table with its storage)$/,
        'the row before is not told by the later schema');
    is($after[-1], 'row: s.moved (a integer)', 'the row afterwards is told by its schema');
    return;
}

# Storage that is not told apart from that of another catalog.
sub clustered_together
{
    my ($version) = @_;
    my $server = make_cluster('clustered', $version)->start;
    $server->sql('CREATE TABLE t (a int); VACUUM FULL pg_class; VACUUM FULL pg_attribute; CHECKPOINT');
    my ($redo, $divergence) = ($server->sql('SELECT redo_lsn FROM pg_control_checkpoint()'), $server->lsn);
    $server->sql($_) for 'INSERT INTO t VALUES (1)', 'ALTER TABLE t ADD b int',
        'BEGIN; CLUSTER pg_class USING pg_class_oid_index; CLUSTER pg_attribute USING pg_attribute_relid_attnum_index; COMMIT',
        'INSERT INTO t VALUES (2)';
    $server->stop('kill');
    my @told = grep { /row: / && !/no table with its storage/ } split /\n/,
        must_run([ $program, $server->data, $redo, $divergence ], stdin => '');
    is(join("\n", @told),
        "row: a catalog of its database was rewritten later, and its rows before are not known\nrow: public.t (a integer, b integer)",
        'a row is not told by later columns if earlier changes of catalogs are not recognized');
    return;
}

# Storage that a catalog without a map had before it was rewritten: no row of pg_class on the disk has its number any
# more.
sub rewritten_twice
{
    my ($version) = @_;
    my $server = make_cluster('rewritten', $version)->start;
    $server->sql('CREATE SCHEMA s; CREATE TABLE s.t (a int); VACUUM FULL pg_namespace; CHECKPOINT');
    my ($redo, $divergence) = ($server->sql('SELECT redo_lsn FROM pg_control_checkpoint()'), $server->lsn);
    $server->sql($_) for 'INSERT INTO s.t VALUES (1)', 'ALTER SCHEMA s RENAME TO r', 'INSERT INTO r.t VALUES (2)',
        ('VACUUM FULL pg_namespace') x 2, 'VACUUM FULL pg_class', 'CHECKPOINT';
    $server->stop;
    my @told = grep { /row: |SCHEMA/ } split /\n/,
        must_run([ $program, $server->data, $redo, $divergence ], stdin => '');
    is(join("\n", @told), "row: s.t (a integer)\nevent: ALTER SCHEMA s\nrow: r.t (a integer)",
        'changes of a catalog are known as such by the storage that it had before');
    return;
}

each_version(sub {
    my ($version) = @_;
    my $server = make_cluster('server', $version)->start;
    my $place = $server->tablespace_location('other');
    $server->sql("CREATE TABLESPACE other LOCATION '$place'");
    $server->sql("CREATE DATABASE elsewhere TABLESPACE other");
    my $more = $version >= 12 ? "CREATE TABLE gen (a int PRIMARY KEY, b int GENERATED ALWAYS AS (a * 2) STORED);\n"
        : '';
    $more .= "CREATE TABLE virtual (a int PRIMARY KEY, b int GENERATED ALWAYS AS (a * 2) VIRTUAL, c text DEFAULT 'x');\n"
        if $version >= 18;
    $server->sql($odd . $more . 'CREATE TABLE here (a int PRIMARY KEY, b text) TABLESPACE other;');
    $server->sql($odd . "CREATE TABLE default_place (a int) TABLESPACE pg_default;\nVACUUM FULL pg_type;", 'elsewhere');
    $server->sql("VACUUM FULL $_") for qw(pg_database pg_namespace pg_enum pg_class pg_attribute pg_type pg_proc);
    $server->sql('CHECKPOINT');
    my $redo = $server->sql('SELECT redo_lsn FROM pg_control_checkpoint()');
    $server->sql($common);
    my $divergence = $server->lsn;
    my @expected;
    for my $line (split /\n/, $lost)
    {
        my ($sql, $told) = $line =~ /^(.*?)\s*=> (.*)$/;
        $server->sql("SET client_min_messages = 'error';\n" . join("\n", map { "$_;" } split /; /, $sql));
        push @expected, $told eq '-' ? () : split /; /, $told;
    }
    my ($asked, $answers) = questions($server);
    my ($asked_elsewhere, $answers_elsewhere) = questions($server, 'elsewhere');
    $server->stop('kill');

    my $ours = must_run([ $program, $server->data, $redo, $divergence ], stdin => $asked . $asked_elsewhere) . "\n";
    my @told = grep { /^(?:event|row): / } split /\n/, $ours;
    $ours =~ s/^(?:event|row): .*\n//mg;
    is_same($ours, $answers . $answers_elsewhere, 'tables and types are what the server said');
    is_same(join("\n", @told), join("\n", @expected),
        'schema changes, and tables at the moments of row changes, are told');
    without_images($version);
    clustered_together($version);
    rewritten_twice($version);
}, sample => 1);
