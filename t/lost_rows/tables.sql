-- The tables of the workload whose lost rows t/82*.pl look for, with rows that both sides have. Run by psql; RewindTest::LostRows sets
-- the variables: from_10 and others, with_xml, with_lz4, directory.

CREATE TYPE mood AS ENUM ('sad', 'ok', 'very, very "happy"');
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE DOMAIN code AS varchar(20);
CREATE TYPE pair AS (a integer, b text);
CREATE TYPE nested AS (a integer, b pair, c numeric[], d mood, e timestamptz, f int4range, g pair[]);
CREATE TYPE textrange AS RANGE (subtype = text, collation = "C");

CREATE TABLE types (
    id integer PRIMARY KEY,
    t_int2 int2, t_int8 int8, t_float4 float4, t_float8 float8, t_numeric numeric, t_numeric_10_2 numeric(10, 2), t_bool bool,
    t_text text, t_varchar varchar(30), t_char char(5), t_bytea bytea, t_name name, "t_""char""" "char", t_oid oid,
    t_date date, t_time time, t_timetz timetz, t_timestamp timestamp, t_timestamptz timestamptz, t_interval interval,
    t_time_2 time(2), t_timestamptz_3 timestamptz(3), t_interval_day interval day to second (3),
    t_uuid uuid, t_json json, t_inet inet, t_cidr cidr, t_macaddr macaddr, t_bit bit, t_bit_5 bit(5), t_varbit varbit, t_varbit_9 varbit(9),
    t_money money, t_mood mood, t_positive positive, t_code code, t_pair pair, t_nested nested,
    t_int_array int[], t_text_array text[], t_numeric_array numeric[], t_mood_array mood[], t_pair_array pair[], t_timestamptz_array timestamptz[],
    t_int4range int4range, t_int8range int8range, t_numrange numrange, t_daterange daterange, t_tsrange tsrange, t_tstzrange tstzrange, t_textrange textrange,
    t_int4range_array int4range[],
    t_point point, t_lseg lseg, t_path path, t_box box, t_polygon polygon, t_line line, t_circle circle, t_tsvector tsvector, t_varchar_array varchar(9)[]
);
INSERT INTO types (id, t_int2, t_text, t_numeric, t_timestamptz, t_text_array) SELECT n, n, 'common ' || n, n / 7.0, '2020-01-01 00:00+00'::timestamptz + n * interval '1 hour', ARRAY[n::text, NULL]
    FROM generate_series(1, 60) n;
\if :from_9_4
CREATE TABLE types_of_9_4 (id integer PRIMARY KEY, t_jsonb jsonb, t_pg_lsn pg_lsn);
INSERT INTO types_of_9_4 VALUES (1, '{"a": [1, 2.50, null]}', '0/1');
\endif
\if :from_10
CREATE TABLE types_of_10 (id integer PRIMARY KEY, t_macaddr8 macaddr8);
INSERT INTO types_of_10 VALUES (1, '08:00:2b:01:02:03:04:05');
\endif
\if :from_14
CREATE TABLE types_of_14 (id integer PRIMARY KEY, t_numeric numeric, t_int4multirange int4multirange, t_nummultirange nummultirange, t_tstzmultirange tstzmultirange,
    t_textmultirange textmultirange);
INSERT INTO types_of_14 VALUES (1, 'Infinity', '{[1,2),[5,9)}');
\endif
\if :with_xml
CREATE TABLE types_with_xml (id integer PRIMARY KEY, t_xml xml);
INSERT INTO types_with_xml VALUES (1, '<common/>');
\endif

CREATE TABLE toasted (id integer PRIMARY KEY, n integer, v text, external text, main text, j json, b bytea, a text[], p pair);
ALTER TABLE toasted ALTER external SET STORAGE EXTERNAL;
ALTER TABLE toasted ALTER main SET STORAGE MAIN;
CREATE FUNCTION long_text(seed integer, parts integer) RETURNS text LANGUAGE sql IMMUTABLE AS
    'SELECT string_agg(md5((seed * 1000 + n)::text), '''') FROM generate_series(1, parts) n';
INSERT INTO toasted SELECT n, n, long_text(n, 40 * n), repeat('external ', 300 * n), repeat('main ', 1000 * n), ('["' || repeat('json ', 2000) || '"]')::json,
    decode(repeat(md5(n::text), 100 * n), 'hex'), ARRAY[repeat('x', 9000), NULL, long_text(n, 100)], ROW(n, long_text(n, 99))::pair FROM generate_series(1, 16) n;
\if :with_lz4
CREATE TABLE toasted_lz4 (id integer PRIMARY KEY, n integer, v text COMPRESSION lz4, w text COMPRESSION lz4);
INSERT INTO toasted_lz4 SELECT n, n, long_text(n, 60 * n), repeat('lz4 ', 900 * n) FROM generate_series(1, 12) n;
\endif

CREATE TABLE accounts (id integer PRIMARY KEY, owner text NOT NULL, balance numeric(12, 2) NOT NULL, note text) WITH (fillfactor = 70);
CREATE INDEX ON accounts (owner);
INSERT INTO accounts SELECT n, 'owner ' || n, 100 * n, CASE WHEN n % 3 = 0 THEN 'common' END FROM generate_series(1, 400) n;
CREATE TABLE two_keys (a integer, b text COLLATE "C", c integer, PRIMARY KEY (b, a));
INSERT INTO two_keys SELECT n, 'b' || n % 7, n FROM generate_series(1, 50) n;
CREATE TABLE unique_only (c text, a integer NOT NULL, b integer);
CREATE UNIQUE INDEX ON unique_only (a);
INSERT INTO unique_only SELECT 'c' || n, n, n FROM generate_series(1, 30) n;
CREATE TABLE no_key (a integer, b text);
INSERT INTO no_key SELECT n, 'row ' || n FROM generate_series(1, 50) n;
CREATE TABLE wide (id integer PRIMARY KEY);
SELECT format('ALTER TABLE wide ADD column_%s %s', n, CASE n % 3 WHEN 0 THEN 'int' WHEN 1 THEN 'text' ELSE 'bool' END) FROM generate_series(1, 120) n \gexec
INSERT INTO wide (id, column_7) SELECT n, 'common' FROM generate_series(1, 10) n;
CREATE TABLE no_columns ();
CREATE TABLE bulk (id integer, v text, d date);
CREATE TABLE pruned (id integer PRIMARY KEY, v text);
CREATE INDEX ON pruned (v);
INSERT INTO pruned SELECT n, repeat('p', 100) || n FROM generate_series(1, 300) n;
CREATE TABLE frozen (id integer PRIMARY KEY, v text);
INSERT INTO frozen SELECT n, 'f' || n FROM generate_series(1, 100) n;
CREATE TABLE repacked (id integer PRIMARY KEY, v text, t text);
CREATE INDEX repacked_v ON repacked (v);
INSERT INTO repacked SELECT n, 'v' || (n * 7919) % 1000, CASE WHEN n % 50 = 0 THEN long_text(n, 100) END FROM generate_series(1, 200) n;
CREATE TABLE altered (id integer PRIMARY KEY, gone text, b smallint, gone_too bigint);
INSERT INTO altered SELECT n, 'gone ' || n, n, n FROM generate_series(1, 30) n;
ALTER TABLE altered DROP gone;
ALTER TABLE altered DROP gone_too;
ALTER TABLE altered ADD c text;
INSERT INTO altered VALUES (31, 8, 'nine');
\if :from_11
ALTER TABLE altered ADD d integer DEFAULT 42, ADD e text DEFAULT 'missing', ADD f interval NOT NULL DEFAULT '1 day';
\endif
CREATE TABLE counted (id serial PRIMARY KEY, v text);
INSERT INTO counted (v) SELECT 'common' FROM generate_series(1, 5);
CREATE UNLOGGED TABLE unlogged (id integer PRIMARY KEY);
CREATE TABLE locked (id integer PRIMARY KEY, v text);
INSERT INTO locked SELECT n, 'common' FROM generate_series(1, 40) n;
CREATE TABLE refers (id integer PRIMARY KEY, locked integer REFERENCES locked ON DELETE CASCADE ON UPDATE CASCADE);
INSERT INTO refers SELECT n, n FROM generate_series(1, 20) n;

CREATE TABLE parent (id integer PRIMARY KEY, v text);
CREATE TABLE child (w integer) INHERITS (parent);
ALTER TABLE child ADD PRIMARY KEY (id);
INSERT INTO parent SELECT n, 'parent' FROM generate_series(1, 10) n;
INSERT INTO child SELECT n, 'child', n FROM generate_series(11, 20) n;
\if :from_10
CREATE TABLE parted (id integer NOT NULL, region text, v text) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (100);
CREATE TABLE parted_2 (extra integer, v text, region text, id integer NOT NULL);
ALTER TABLE parted_2 DROP extra;
ALTER TABLE parted ATTACH PARTITION parted_2 FOR VALUES FROM (100) TO (200);
CREATE TABLE parted_3 PARTITION OF parted FOR VALUES FROM (200) TO (300) PARTITION BY LIST (region);
CREATE TABLE parted_3_a PARTITION OF parted_3 FOR VALUES IN ('a');
CREATE TABLE parted_3_b PARTITION OF parted_3 FOR VALUES IN ('b', NULL);
SELECT format('ALTER TABLE %s ADD PRIMARY KEY (id)', t) FROM unnest('{parted_1,parted_2,parted_3_a,parted_3_b}'::text[]) t \gexec
INSERT INTO parted SELECT n, CASE WHEN n % 2 = 0 THEN 'a' ELSE 'b' END, 'common' FROM generate_series(50, 250) n WHERE n NOT IN (101, 102, 202, 203);
\endif

CREATE SCHEMA "Odd ""Schema""";
CREATE TYPE "Odd ""Schema"""."odd ] 'type'" AS ENUM ('[', 'ß');
CREATE TABLE "Odd ""Schema"""."tab le 'q' \" ("select" integer PRIMARY KEY, "Ü "" \ 'x'" text, "a[b]:c" "Odd ""Schema"""."odd ] 'type'", "a.b" integer[]);
INSERT INTO "Odd ""Schema"""."tab le 'q' \" VALUES (1, 'común', 'ß', '{1}');
CREATE TABLE "new
line""; SELECT 1/0; --" ("col
umn" integer PRIMARY KEY, v text);
INSERT INTO "new
line""; SELECT 1/0; --" VALUES (1, 'common');

CREATE TABLE deferred (id integer PRIMARY KEY DEFERRABLE, v text, email text UNIQUE DEFERRABLE INITIALLY DEFERRED);
INSERT INTO deferred SELECT n, 'common', n || '@example.org' FROM generate_series(1, 10) n;
CREATE TABLE two_uniques (id integer PRIMARY KEY, email text UNIQUE);
INSERT INTO two_uniques SELECT n, n || '@example.org' FROM generate_series(1, 10) n;
CREATE TABLE excluding (id integer PRIMARY KEY, r int4range, EXCLUDE USING gist (r WITH &&));
INSERT INTO excluding SELECT n, int4range(n * 10, n * 10 + 10) FROM generate_series(1, 10) n;
CREATE TABLE partly_unique (a integer, b integer NOT NULL);
CREATE UNIQUE INDEX ON partly_unique (b) WHERE a > 0;
CREATE UNIQUE INDEX ON partly_unique ((a + b));
INSERT INTO partly_unique SELECT n, n FROM generate_series(1, 10) n;
\if :from_10
CREATE TABLE identified (id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text);
INSERT INTO identified (v) VALUES ('common'), ('common');
\endif
\if :from_12
CREATE TABLE generated (id integer PRIMARY KEY, a integer, twice integer GENERATED ALWAYS AS (a * 2) STORED, b text);
INSERT INTO generated (id, a, b) SELECT n, n, 'b' FROM generate_series(1, 5) n;
\else
CREATE TABLE with_oids (id integer PRIMARY KEY, v text) WITH OIDS;
INSERT INTO with_oids VALUES (1, 'common'), (2, NULL);
\endif
\if :from_18
CREATE TABLE generated_virtual (id integer PRIMARY KEY, a integer, twice_virtual integer GENERATED ALWAYS AS (a * 2) VIRTUAL, b text);
INSERT INTO generated_virtual (id, a, b) SELECT n, n, 'b' FROM generate_series(1, 5) n;
CREATE DOMAIN virtual_domain AS generated_virtual;
CREATE TABLE virtual_fields (id integer PRIMARY KEY, v generated_virtual, a generated_virtual[], d virtual_domain, e virtual_domain[]);
INSERT INTO virtual_fields SELECT id, g, ARRAY[g, NULL], g, ARRAY[g::virtual_domain] FROM generated_virtual g;
\endif
CREATE TABLE "conflict: UPDATE of accounts" (id integer PRIMARY KEY);
CREATE TABLE audit (what text);
CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO audit VALUES (TG_OP || ' ' || COALESCE(OLD.id, NEW.id)); RETURN NULL; END $$;
CREATE TABLE audited (id integer PRIMARY KEY, v text);
INSERT INTO audited VALUES (1, 'common'), (2, 'common');
CREATE TRIGGER audited AFTER UPDATE OR DELETE ON audited FOR EACH ROW EXECUTE PROCEDURE note_change();

CREATE TABLE dropped AS SELECT n AS id, 'dropped' || n AS v FROM generate_series(1, 20) n;
CREATE TABLE emptied AS SELECT n AS id, 'emptied' || n AS v FROM generate_series(1, 20) n;
CREATE TABLE retyped (id integer PRIMARY KEY, a integer, b text, c integer, d varchar(10));
INSERT INTO retyped SELECT n, n, n::text, n, 'd' || n FROM generate_series(1, 40) n;
