-- Changes of rows that are lost, and of no schema. Each statement stands for a kind of record or of value; add what comes to mind.

-- Types: edges, NULLs, and each value before and after.
INSERT INTO types VALUES (101, -32768, -9223372036854775808, 'NaN', '-Infinity', 'NaN', -99999999.99, false,
    '', '', '', '', '', '', 0,
    '4713-01-01 BC', '00:00', '00:00+15:59', '4713-01-01 00:00 BC', '4713-01-01 00:00+00 BC', '-178000000 years',
    '00:00', '0044-03-15 12:00:00.123456+00 BC', '-1 day -02:03:04.5678',
    '00000000-0000-0000-0000-000000000000', '{}', '0.0.0.0/0', '::/0', '00:00:00:00:00:00', '0', '00000', '', '', '-92233720368547758.08',
    'sad', 1, '', '(,)', '(,,,,,,)', '{}', '{}', '{}', '{}', '{}', '{}', 'empty', 'empty', '(,)', '[-infinity,infinity]', '(,infinity)', '[,)', '(,)', '{}',
    '(0,-0)', '[(0,0),(1,1)]', '[(0,0),(1,1)]', '(0,0),(1,1)', '((0,0),(1,1),(2,0))', '{1,2,3}', '<(0,0),1>', '', '{}');
INSERT INTO types VALUES (102, 32767, 9223372036854775807, '-0', '-0', 0.00000000000000000001, 99999999.99, true,
    E'back\\slash ''quote'' "double" \t\n\r {}', 'thirty', 'ab', E'\\x00ff5c27', repeat('n', 63), E'\\377', 4294967295,
    '5874897-12-31', '24:00', '24:00-15:59', 'infinity', '-infinity', '178000000 years 11 mons 29 days 23:59:59.999999',
    '23:59:59.99', '2038-01-19 03:14:08.999+00', '1 day 02:03:04.567',
    'ffffffff-ffff-ffff-ffff-ffffffffffff', '[1, 2.50, "\u00e9", {"a" : null}]', '2001:db8::1/64', '10.1.0.0/16', 'ff:ff:ff:ff:ff:ff', '1', '10101', repeat('10', 50)::varbit, '101010101',
    '92233720368547758.07', 'very, very "happy"', 2147483647, 'code', '(7,"a ""b"", \\c")',
    ROW(1, ROW(2, 'x, y'), '{1.50,NULL}', 'ok', '2020-02-29 12:00+00', '[1,5)', ARRAY[ROW(3, NULL)::pair, NULL])::nested,
    '[0:2]={1,NULL,-3}', '{{a,NULL},{"NULL",""}}', '{NaN,1.500}', '{sad,"very, very \"happy\""}', ARRAY[ROW(1, 'a,b')::pair], '{infinity,"2000-01-01 00:00:00.5+00"}',
    '[1,10)', '[-9223372036854775808,)', '(1.50,2.500]', '[2020-01-01,2020-01-02)', '["2020-01-01 00:00:00","2020-01-02 00:00:00.1")', '["2020-01-01 00:00+00",)', '["a ""b""",z)',
    '{"[1,2)",empty,NULL}', '(1.5,2e300)', '[(1,2),(3,4.5)]', '((0,0),(1,1.25))', '(3,4),(1,2)', '((0,0),(1,1),(2,0.1))', '{1.5,-2,1e-7}', '<(1,2),3.25>',
    'a:1A,2 b:3 ''c d''', '{ab,NULL}');
INSERT INTO types (id) VALUES (103);
INSERT INTO types (id, t_int2, t_int8, t_float4, t_float8, t_numeric, t_text, t_bytea, t_date, t_timestamp, t_timestamptz, t_interval, t_json, t_inet, t_money) SELECT 200 + n,
    n * 300 - 15000, n * 123456789012345, 1.1::float4 * n, pi() * power(10, n - 50), 1234.5678 * power(10::numeric, n - 50), repeat(chr(100 + n * 7), n), decode(repeat(md5(n::text), n), 'hex'),
    '1999-12-31'::date + n * 1000, '0001-01-01'::timestamp + n * interval '200 days 3:04:05.000007', '2024-02-29 23:59:60+00'::timestamptz - n * interval '100 days 1 microsecond',
    n * interval '1 month 1 day 1.5 seconds' - interval '50 days', ('{"n": ' || n || ', "x":"' || repeat('y', n) || '"}')::json, '10.0.0.0'::inet + n * 65537, n * 12.34 * 1::money
    FROM generate_series(1, 100) n;
INSERT INTO types (id, t_text) SELECT 400 + n, (ARRAY[':x', ':''x''', ':"x"', E'\\gexec', '$$', '$1', '--', '/*', E'\\.', '{"a"}', 'NULL', 'null', E'\u2028', '%s', ';', 'E''\n''', E'\u00a0é漢😀', E'\x7f\x01\x1f'])[n]
    FROM generate_series(1, 18) n;
UPDATE types SET (t_int2, t_int8, t_float4, t_float8, t_numeric, t_bool, t_text, t_bytea) = (1, 2, 'Infinity', 1e-310, 0, false, 'changed', 'changed') WHERE id IN (101, 102, 103);
UPDATE types SET t_date = '-infinity', t_timestamptz = 'infinity', t_uuid = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', t_json = NULL, t_money = 0.01, t_mood = 'ok', t_text_array = '{x}' WHERE id IN (101, 102, 103);
UPDATE types SET t_text = NULL WHERE id % 3 = 0 AND id < 60;
DELETE FROM types WHERE id IN (1, 101, 205, 250);
\if :from_9_4
INSERT INTO types_of_9_4 VALUES (2, '[]', '0/0'), (3, '{"b": 1.10, "a": {"c": [true, false, null, "\u00fc\"\\"]}}', 'FFFFFFFF/FFFFFFFF'), (4, '"x"', NULL), (5, '-0.00', '16/B374D848'), (6, 'null', NULL);
INSERT INTO types_of_9_4 SELECT 7, ('{' || string_agg('"key ' || n || '": [' || n || ', "' || md5(n::text) || '"]', ', ') || '}')::jsonb, NULL FROM generate_series(1, 300) n;
UPDATE types_of_9_4 SET t_pg_lsn = '1/1' WHERE id IN (1, 7);
UPDATE types_of_9_4 SET t_jsonb = '1' WHERE id = 3;
DELETE FROM types_of_9_4 WHERE id IN (2, 7);
\endif
\if :from_10
INSERT INTO types_of_10 VALUES (2, 'ff:ff:ff:ff:ff:ff:ff:ff'), (3, NULL);
UPDATE types_of_10 SET t_macaddr8 = '08:00:2b:01:02:03' WHERE id < 3;
\endif
\if :from_14
INSERT INTO types_of_14 VALUES (2, '-Infinity', '{}', '{(,)}', '{["2020-01-01 00:00+00","2021-01-01 00:00+00"),["2022-01-01 00:00+00",)}', '{[a,"b ""c"""]}');
UPDATE types_of_14 SET t_int4multirange = '{[1,3),[7,)}', t_numeric = 'NaN';
DELETE FROM types_of_14 WHERE id = 2;
\endif
\if :from_17
INSERT INTO types (id, t_interval, t_daterange) VALUES (170, 'infinity', NULL), (171, '-infinity', NULL);
UPDATE types SET t_interval = '1 day' WHERE id = 171;
\endif
\if :with_xml
INSERT INTO types_with_xml VALUES (2, '<a b="c">ü &amp; "</a>'), (3, ''), (4, '<?xml version="1.0" encoding="UTF-8"?><x/>'), (5, NULL);
UPDATE types_with_xml SET t_xml = '<b/>' WHERE id IN (1, 3);
DELETE FROM types_with_xml WHERE id = 2;
\endif

-- TOAST: new, not changed, changed, gone.
INSERT INTO toasted SELECT n, n, long_text(n, 40 * n), repeat('external ', 400 * n), repeat('main ', 900), ('["' || repeat('json ', 3000) || '"]')::json,
    decode(repeat(md5(n::text), 700), 'hex'), ARRAY[long_text(n, 200), 'x'], ROW(n, repeat('pair', 6000))::pair FROM generate_series(21, 24) n;
UPDATE toasted SET n = n + 1 WHERE id IN (1, 2, 21);
UPDATE toasted SET v = 'short' WHERE id IN (2, 3);
UPDATE toasted SET v = long_text(77, 300), n = NULL WHERE id IN (4, 22);
UPDATE toasted SET id = id + 100 WHERE id IN (5, 23);
UPDATE toasted SET external = external || 'more', p = NULL WHERE id = 6;
DELETE FROM toasted WHERE id IN (7, 24, 105);
BEGIN;
UPDATE toasted SET n = -1 WHERE id = 8;
SAVEPOINT s;
UPDATE toasted SET v = long_text(5, 400) WHERE id = 8;
ROLLBACK TO s;
UPDATE toasted SET b = 'short' WHERE id = 8;
DELETE FROM toasted WHERE id = 9;
INSERT INTO toasted (id, v) VALUES (9, long_text(9, 500));
COMMIT;
VACUUM toasted;
INSERT INTO toasted (id, v, external) SELECT n, long_text(n, 100), repeat('after VACUUM ', 500) FROM generate_series(31, 36) n;
DELETE FROM toasted WHERE id IN (10, 31);
UPDATE toasted SET n = 5 WHERE id IN (11, 32);
VACUUM toasted;
DELETE FROM toasted WHERE id IN (12, 33);
\if :with_lz4
INSERT INTO toasted_lz4 SELECT n, n, long_text(n, 60 * n), repeat('lz4 ', 800) FROM generate_series(21, 24) n;
UPDATE toasted_lz4 SET n = 0 WHERE id < 3 OR id = 21;
UPDATE toasted_lz4 SET w = repeat(w, 20) WHERE id = 4;
DELETE FROM toasted_lz4 WHERE id IN (5, 22);
\endif

-- Rows in all ways.
INSERT INTO accounts VALUES (1001, 'somebody', 1, NULL);
INSERT INTO accounts SELECT n, 'new ' || n, n, repeat('note', n % 20) FROM generate_series(1002, 1400) n;
UPDATE accounts SET balance = balance + 1 WHERE id <= 50;
UPDATE accounts SET balance = balance + 1 WHERE id <= 50;
UPDATE accounts SET owner = upper(owner) WHERE id BETWEEN 60 AND 80;
UPDATE accounts SET id = -id WHERE id BETWEEN 81 AND 85;
UPDATE accounts SET note = repeat('longer than the page has room ', 20) WHERE id BETWEEN 90 AND 120;
UPDATE accounts SET note = note WHERE id = 121;
DELETE FROM accounts WHERE id BETWEEN 130 AND 150;
INSERT INTO accounts SELECT n, 'again', 0, NULL FROM generate_series(130, 135) n;
BEGIN;
INSERT INTO accounts VALUES (2001, 'twice', 0, NULL);
UPDATE accounts SET balance = 1 WHERE id = 2001;
UPDATE accounts SET balance = 2 WHERE id = 2001;
DELETE FROM accounts WHERE id = 2001;
INSERT INTO accounts VALUES (2001, 'twice', 3, NULL);
COMMIT;
UPDATE two_keys SET c = -c WHERE a < 5;
UPDATE two_keys SET b = 'B' || b WHERE a BETWEEN 5 AND 9;
DELETE FROM two_keys WHERE a BETWEEN 10 AND 12;
INSERT INTO two_keys VALUES (51, '', NULL);
UPDATE unique_only SET b = NULL, c = NULL WHERE a < 4;
UPDATE unique_only SET a = a + 100 WHERE a BETWEEN 4 AND 6;
DELETE FROM unique_only WHERE a BETWEEN 7 AND 9;
INSERT INTO unique_only VALUES (NULL, 200, NULL);
UPDATE wide SET column_1 = 'x', column_120 = 5, column_2 = true WHERE id < 4;
INSERT INTO wide (id, column_119) VALUES (11, false);
DELETE FROM wide WHERE id = 5;
COPY (SELECT n, CASE WHEN n % 10 > 0 THEN 'bulk ' || n END, '2000-01-01'::date + n FROM generate_series(1, 1500) n) TO :'bulk_file';
COPY bulk FROM :'bulk_file';
COPY bulk FROM stdin;
9001	few	2024-02-29
9002	\N	infinity
9003	tab\tnewline\nbackslash\\	0044-03-15 BC
\.
\if :from_9_5
INSERT INTO accounts VALUES (1, 'conflict', 0, NULL), (3001, 'no conflict', 0, NULL) ON CONFLICT (id) DO UPDATE SET balance = -1, note = EXCLUDED.owner;
INSERT INTO accounts VALUES (2, 'nothing', 0, NULL), (3002, 'something', 0, NULL) ON CONFLICT DO NOTHING;
INSERT INTO toasted (id, v) VALUES (3001, long_text(1, 200)), (13, long_text(2, 200)) ON CONFLICT (id) DO UPDATE SET v = EXCLUDED.v;
\endif
\if :from_15
MERGE INTO accounts a USING (VALUES (10, 'merged'), (4001, 'merged')) v (id, owner) ON a.id = v.id
    WHEN MATCHED THEN UPDATE SET owner = v.owner WHEN NOT MATCHED THEN INSERT VALUES (v.id, v.owner, 0, NULL);
\endif
INSERT INTO unlogged SELECT generate_series(1, 10);
CREATE TEMP TABLE temporary AS SELECT 1 AS a;
INSERT INTO counted (v) VALUES ('lost'), ('lost, too');

-- Transactions in all ways.
BEGIN; INSERT INTO accounts VALUES (5001, 'rolled back', 0, NULL); UPDATE accounts SET note = 'rolled back' WHERE id < 20; ROLLBACK;
BEGIN; UPDATE accounts SET note = 'kept 1' WHERE id = 20; SAVEPOINT a; UPDATE accounts SET note = 'undone' WHERE id = 21; SAVEPOINT b; DELETE FROM accounts WHERE id = 22;
    RELEASE b; ROLLBACK TO a; UPDATE accounts SET note = 'kept 2' WHERE id = 21; SAVEPOINT c; SAVEPOINT d; UPDATE accounts SET note = 'kept 3' WHERE id = 20; RELEASE c; COMMIT;
DO $$ BEGIN FOR i IN 6000 .. 6150 LOOP BEGIN INSERT INTO accounts VALUES (i, 'many subtransactions', i, NULL); UPDATE accounts SET balance = 0 WHERE id = i - 1;
    IF i % 3 = 0 THEN RAISE 'no'; END IF; EXCEPTION WHEN raise_exception THEN END; END LOOP; END $$;
BEGIN; INSERT INTO accounts VALUES (7001, 'prepared', 0, NULL); SAVEPOINT s; UPDATE accounts SET note = 'prepared' WHERE id = 30; RELEASE s; SAVEPOINT s; DELETE FROM accounts WHERE id = 31; ROLLBACK TO s;
    DELETE FROM accounts WHERE id = 32; PREPARE TRANSACTION 'lost, "committed"';
INSERT INTO accounts VALUES (7002, 'in between', 0, NULL);
BEGIN; UPDATE accounts SET note = 'rolled back' WHERE id = 33; PREPARE TRANSACTION 'rolled back';
CHECKPOINT;
COMMIT PREPARED 'lost, "committed"';
ROLLBACK PREPARED 'rolled back';

-- Locks, foreign keys.
BEGIN; SELECT count(*) FROM (SELECT * FROM locked WHERE id < 10 FOR UPDATE) x; UPDATE locked SET v = 'after FOR UPDATE' WHERE id < 5; COMMIT;
BEGIN; SELECT count(*) FROM (SELECT * FROM locked WHERE id < 10 FOR SHARE) x; SAVEPOINT s; UPDATE locked SET v = 'after FOR SHARE' WHERE id < 3; COMMIT;
BEGIN; SELECT count(*) FROM (SELECT * FROM locked WHERE id = 30 FOR KEY SHARE) x; SAVEPOINT s; SELECT count(*) FROM (SELECT * FROM locked WHERE id = 30 FOR UPDATE) x; ROLLBACK TO s;
    UPDATE locked SET v = 'multixact' WHERE id = 30; SAVEPOINT t; UPDATE locked SET v = 'multixact again' WHERE id = 30; DELETE FROM locked WHERE id = 31; COMMIT;
INSERT INTO refers VALUES (21, 3), (22, 25);
UPDATE locked SET id = 1000 WHERE id = 4;
DELETE FROM locked WHERE id = 6;

-- Inheritance and partitions.
UPDATE parent SET v = 'both' WHERE id IN (5, 15);
DELETE FROM parent WHERE id IN (6, 16);
INSERT INTO child VALUES (21, 'child', 1);
\if :from_10
INSERT INTO parted VALUES (1, 'x', 'lost'), (101, 'x', 'lost'), (202, 'a', 'lost'), (203, NULL, 'lost');
INSERT INTO parted SELECT n, 'a', 'lost' FROM generate_series(251, 299) n;
UPDATE parted SET v = 'changed' WHERE id IN (55, 155, 250, 249);
DELETE FROM parted WHERE id IN (56, 156, 248, 247);
COPY (SELECT n, 'b', 'copied' FROM generate_series(2, 20) n UNION ALL SELECT n, 'b', 'copied' FROM generate_series(160, 165) n WHERE false) TO :'parted_file';
COPY parted FROM :'parted_file';
\endif
\if :from_11
UPDATE parted SET id = id + 100 WHERE id = 2;
UPDATE parted SET region = 'b' WHERE id = 240;
BEGIN; UPDATE parted SET id = id - 135 WHERE id = 160; ROLLBACK;
\endif

-- Pages that are pruned, vacuumed, frozen, written anew.
UPDATE pruned SET v = 'pruned ' || id WHERE id % 2 = 0;
UPDATE pruned SET v = v || '+' WHERE id % 4 = 0;
DELETE FROM pruned WHERE id % 5 = 0;
SELECT count(*) FROM pruned;
UPDATE pruned SET v = v || '!' WHERE id % 3 = 0;
VACUUM pruned;
INSERT INTO pruned SELECT n, 'in freed places' FROM generate_series(400, 500) n;
UPDATE pruned SET v = 'after VACUUM' WHERE id BETWEEN 400 AND 410 OR id < 10;
DELETE FROM pruned WHERE id > 290 AND id < 405;
DELETE FROM pruned WHERE id > 490;
VACUUM pruned;
UPDATE frozen SET v = 'before FREEZE' WHERE id < 10;
INSERT INTO frozen SELECT n, 'before FREEZE' FROM generate_series(101, 110) n;
VACUUM FREEZE frozen;
UPDATE frozen SET v = 'after FREEZE' WHERE id < 5 OR id = 105;
DELETE FROM frozen WHERE id IN (20, 106);
UPDATE repacked SET v = v || 'x' WHERE id % 10 = 0;
VACUUM FULL repacked;
UPDATE repacked SET v = v || 'y' WHERE id % 20 = 0;
DELETE FROM repacked WHERE id IN (1, 50);
CLUSTER repacked USING repacked_v;
INSERT INTO repacked VALUES (300, 'after CLUSTER', long_text(3, 90));
UPDATE repacked SET id = id + 1000 WHERE id IN (100, 300);
DELETE FROM repacked WHERE id = 150;
BEGIN; UPDATE repacked SET v = 'before CLUSTER' WHERE id = 7; CLUSTER repacked; UPDATE repacked SET v = 'after CLUSTER' WHERE id IN (7, 8); COMMIT;

-- Columns that were dropped, or added after the rows; odd names.
UPDATE altered SET c = 'changed' WHERE id < 5 OR id = 31;
UPDATE altered SET b = NULL WHERE id = 6;
DELETE FROM altered WHERE id IN (7, 8);
INSERT INTO altered (id, b, c) VALUES (40, 4, 'forty');
\if :from_11
UPDATE altered SET d = NULL, e = 'told' WHERE id IN (9, 10);
\endif
INSERT INTO "Odd ""Schema"""."tab le 'q' \" VALUES (2, 'ñ ''quoted'' \', '[', '{2,3}'), (3, NULL, NULL, NULL);
UPDATE "Odd ""Schema"""."tab le 'q' \" SET "Ü "" \ 'x'" = 'Ü', "select" = -"select";
DELETE FROM "Odd ""Schema"""."tab le 'q' \" WHERE "select" = -3;
INSERT INTO "new
line""; SELECT 1/0; --" VALUES (2, E'\n\\! false\n');
UPDATE "new
line""; SELECT 1/0; --" SET v = E'new\nline' WHERE "col
umn" = 1;


-- Constraints of which one statement alone would break some.
DELETE FROM two_uniques WHERE id = 3;
INSERT INTO two_uniques VALUES (11, '3@example.org');
UPDATE two_uniques SET email = 'new@example.org' WHERE id = 4;
INSERT INTO two_uniques VALUES (12, '4@example.org'), (13, NULL), (14, NULL);
DELETE FROM excluding WHERE id = 2;
UPDATE excluding SET r = '[20,25)' WHERE id = 1;
INSERT INTO excluding VALUES (11, '[10,20)'), (12, '[25,30)'), (13, 'empty'), (14, NULL);
UPDATE partly_unique SET a = -a WHERE b = 5;
INSERT INTO partly_unique VALUES (-5, 50);
DELETE FROM partly_unique WHERE b = 6;
UPDATE audited SET v = 'changed';
DELETE FROM audited WHERE id = 2;
INSERT INTO "conflict: UPDATE of accounts" VALUES (1);
\if :from_10
INSERT INTO identified (v) VALUES ('lost');
UPDATE identified SET v = 'changed' WHERE id = 1;
INSERT INTO identified OVERRIDING SYSTEM VALUE VALUES (1000, 'own number');
\endif
\if :from_12
INSERT INTO generated (id, a) VALUES (11, 11), (12, NULL);
UPDATE generated SET a = 100 WHERE id IN (1, 11);
UPDATE generated SET b = 'changed' WHERE id = 2;
DELETE FROM generated WHERE id = 3;
\else
INSERT INTO with_oids VALUES (3, 'lost'), (4, NULL);
UPDATE with_oids SET v = 'changed' WHERE id IN (1, 3);
DELETE FROM with_oids WHERE id = 2;
\endif
\if :from_18
INSERT INTO generated_virtual (id, a) VALUES (11, 11), (12, NULL);
UPDATE generated_virtual SET a = 100 WHERE id IN (1, 11);
UPDATE generated_virtual SET b = 'changed' WHERE id = 2;
DELETE FROM generated_virtual WHERE id = 3;
-- A field of a row type, unlike a column of a table, has a value: that of the row, any that was given to it, or none, as in OLD of a trigger.
INSERT INTO virtual_fields SELECT id + 10, g, ARRAY[g, NULL, '(1,3,7,z)'], g, ARRAY[g::virtual_domain, '(1,,,)'] FROM generated_virtual g;
INSERT INTO virtual_fields VALUES (31, '(1,2,77,"x, y")', NULL, '(,,5,)', NULL), (32, '(1,2,,b)', '{"(1,2,,b)"}', NULL, '{"(1,2,,b)"}');
UPDATE virtual_fields SET (v, d) = ('(2,3,8,changed)', '(2,3,,changed)') WHERE id IN (1, 11);
UPDATE virtual_fields SET a = '{"(1,2,3,4)"}' WHERE id = 2;
DELETE FROM virtual_fields WHERE id IN (4, 12);
\endif

-- Much at once.
BEGIN;
INSERT INTO accounts SELECT n, 'much', 0, NULL FROM generate_series(10001, 12000) n;
UPDATE accounts SET balance = id WHERE owner = 'much';
DELETE FROM accounts WHERE owner = 'much' AND id % 2 = 0;
COMMIT;
