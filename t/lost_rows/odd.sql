-- Changes of rows of the tables of odd_tables.sql, and of no schema.

-- Types in types.
INSERT INTO deeply VALUES (101, '[5:6]={1,2}', ARRAY[ROW(NULL, '')::row_of_two, NULL], '{{1,2},{3,NULL}}',
    ROW('{}', '{{a,"b,c"},{"{}","\\"}}', ROW(NULL, '(")'), ARRAY[ROW(1, '"')::row_of_two]::pairs)::deep, ARRAY[NULL, ROW(NULL, NULL, NULL, NULL)::deep], '{}');
UPDATE deeply SET e = ARRAY[d, d], c = a WHERE id < 5;
UPDATE deeply SET a = NULL, d.b = '{new}', e[2] = ROW('{7}', NULL, NULL, NULL)::deep WHERE id BETWEEN 3 AND 6;
UPDATE deeply SET b = (SELECT array_agg(ROW(n, long_text(n, 5))::row_of_two) FROM generate_series(1, 60) n) WHERE id = 7;
UPDATE deeply SET f[1][1] = 'after' WHERE id = 7;
DELETE FROM deeply WHERE id IN (7, 8, 101);

-- Edges of numbers and times.
UPDATE numbers SET (n, s, f, d, m, i, b, c, t, ts, tz, dt) = (-0.000, -0.00001, '-Infinity', 'NaN', '-0.01', '-1 month +1 day -00:00:00.000001', '', '101', '24:00:00-15:59', 'infinity', '-infinity', 'infinity') WHERE id = 1;
UPDATE numbers SET (n, s, f, d, m, i, b, c, t, ts, tz, dt) = (1e-300, 999999999999999.99999, 1.5e-38, 5e-300, '92233720368547758.07', '178956970 years 7 months', B'1', '000', '00:00:00+15:59', '4713-11-24 00:00:00 BC', '294276-12-31 23:59:59.999999+00', '4713-11-24 BC') WHERE id = 2;
UPDATE numbers SET n = 1e400, s = 0.1, d = 1.7976931348623157e308, f = 3.4028235e38, i = '-178956970 years -8 mons' WHERE id = 3;
UPDATE numbers SET n = (n || '.000')::numeric, d = n / 3.0, f = n / 7.0, m = (-n)::money WHERE id BETWEEN 4 AND 20;
UPDATE numbers SET n = n::numeric(30, 10), i = n * interval '1 year -1 day 0.001 second', tz = '2000-01-01 00:00+00'::timestamptz - n * interval '100 years', b = repeat('10', n::integer)::varbit WHERE id BETWEEN 4 AND 20;
INSERT INTO numbers (id, n) VALUES (100, (repeat('9', 2000) || '.' || repeat('1', 300))::numeric), (101, ('0.' || repeat('0', 500) || '7')::numeric), (102, 10000), (103, 99990000), (104, 0.00010000);
DELETE FROM numbers WHERE id IN (1, 2, 3, 5, 100, 101);

-- Odd strings.
UPDATE strings SET v = E'\\', n = E'\\''"', b = '\x5c27', c = E'\\n' WHERE id = 1;
UPDATE strings SET v = ':x :''x'' :"x" \gexec \q', c = ' x', n = '', b = '' WHERE id = 2;
UPDATE strings SET v = E'line\nline\r\nline\rtab\t\x01\x1f\x7f', c = E'\n', a = ARRAY[E'\n', E'\\', '"', ',', ' ', '{', 'NULL'] WHERE id = 3;
UPDATE strings SET v = $q$'); DROP TABLE strings; --$q$, a = '{{a},{b}}' WHERE id = 4;
UPDATE strings SET v = U&'\00a0\0085\2028\2029\feff\fffd\+01f600\+10ffff', c = 'ÄÖÜäöüßÄÖÜ' WHERE id = 5;
UPDATE strings SET v = '$1 $$ $tag$ %s %% {} [] <> &amp; \u0000 \x', b = decode(string_agg, 'hex') FROM (SELECT string_agg(lpad(to_hex(n), 2, '0'), '') FROM generate_series(0, 255) n) x WHERE id = 6;
INSERT INTO strings SELECT 100 + n, repeat(E'\\''', n) FROM generate_series(1, 70, 7) n;
DELETE FROM strings WHERE id < 7 OR id = 120;
INSERT INTO "quotes "" ' \ :x" VALUES (2, ''':x''', '\', '"', '$$', '--', '/*', '{2}');
UPDATE "quotes "" ' \ :x" SET "a'b" = 'new', "c\d" = 'new', "e""f" = NULL, "--" = '--', "%s" = NULL;
DELETE FROM "quotes "" ' \ :x" WHERE ":id" = 2;
INSERT INTO longest VALUES (1, 'ä'), (2, NULL);
UPDATE longest SET "ÄÖÜäöüßÄÖÜäöüßÄÖÜäöüßÄÖÜäöüßÄÖÜ" = 'ö' WHERE abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijk = 2;

-- Rows that fill a page, chains of versions on one page, pruned in between.
UPDATE thick SET v = 'changed ' || id WHERE id % 2 = 0;
UPDATE thick SET v = 'again' WHERE id = 4;
DELETE FROM thick WHERE id IN (4, 5);
INSERT INTO thick VALUES (11, 'new');
DO $$ BEGIN FOR i IN 1 .. 60 LOOP UPDATE chained SET n = n + 1 WHERE id % 10 = i % 10; END LOOP; END $$;
UPDATE chained SET n = n + 1, v = repeat('v', n); SELECT sum(n) FROM chained; UPDATE chained SET n = n + 1 WHERE id < 20; SELECT sum(n) FROM chained;
VACUUM chained; UPDATE chained SET n = -n; DELETE FROM chained WHERE id % 3 = 0; VACUUM FREEZE chained; UPDATE chained SET v = NULL;

-- TOAST: into it, out of it, the same value written again, by other storage.
UPDATE shrinking SET v = v, w = w || '', x = x;
UPDATE shrinking SET v = left(v, 10), n = -n WHERE id % 3 = 0;
UPDATE shrinking SET v = repeat(v, 20), w = long_text(id, 150) WHERE id % 3 = 0;
UPDATE shrinking SET w = NULL WHERE id % 3 = 1;
BEGIN; UPDATE shrinking SET n = 1 WHERE id = 18; UPDATE shrinking SET n = 2 WHERE id = 18; UPDATE shrinking SET w = long_text(1, 99) WHERE id = 18; UPDATE shrinking SET n = 3 WHERE id = 18; DELETE FROM shrinking WHERE id = 18;
    INSERT INTO shrinking VALUES (18, 18, long_text(3, 300), long_text(4, 99), NULL); UPDATE shrinking SET n = 4 WHERE id = 18; COMMIT;
BEGIN; UPDATE shrinking SET w = long_text(9, 300) WHERE id = 15; SAVEPOINT a; DELETE FROM shrinking WHERE id = 15; ROLLBACK TO a; UPDATE shrinking SET n = 9 WHERE id = 15; COMMIT;
INSERT INTO shrinking SELECT id + 100, n, v, w, x FROM shrinking WHERE id > 10;
VACUUM shrinking;
DELETE FROM shrinking WHERE id > 110 AND id % 2 = 0;
-- VACUUM cuts off all pages of a table: no TRUNCATE.
DELETE FROM queue; VACUUM queue; INSERT INTO queue VALUES (11, 'after VACUUM'); DELETE FROM queue; VACUUM queue; VACUUM queue;
INSERT INTO queue VALUES (12, 'left');
UPDATE inlined SET n = n + 1; UPDATE inlined SET v = v || '!' WHERE id < 4; DELETE FROM inlined WHERE id IN (3, 5);

-- Other rows change with them.
UPDATE owner_of SET id = id + 1000 WHERE id % 4 = 0;
DELETE FROM owner_of WHERE id % 4 = 1;
INSERT INTO changed_before SELECT n, 'inserted' FROM generate_series(21, 30) n;
UPDATE changed_before SET v = 'updated' WHERE id % 2 = 0;
UPDATE ruled SET v = 'updated' WHERE id IN (1, 6, 7);
DELETE FROM ruled WHERE id IN (2, 3, 8);
INSERT INTO ruled VALUES (20, 'inserted');
UPDATE seen_through SET v = 'through a view' WHERE id IN (4, 9);
DO $$ DECLARE c CURSOR FOR SELECT * FROM owner_of ORDER BY id FOR UPDATE; r record; BEGIN FOR r IN c LOOP IF r.id % 2 = 0 THEN UPDATE owner_of SET v = 'by a cursor' WHERE CURRENT OF c; END IF; END LOOP; END $$;
INSERT INTO defaults (id) VALUES (1), (2);
INSERT INTO defaults VALUES (3, NULL, -5, NULL);
UPDATE defaults SET v = DEFAULT, n = DEFAULT WHERE id = 3;
UPDATE one_column SET v = 'b' WHERE ctid = '(0,1)';
DELETE FROM one_column WHERE v IS NULL;
INSERT INTO one_column VALUES (''), (NULL), (NULL);
UPDATE bools SET b = NOT a, d = -d;
DELETE FROM bools WHERE c = '\';
INSERT INTO bools VALUES (true, true, '''', NULL), (false, NULL, '', 7);
UPDATE keyed_by_odd SET v = 'changed';
UPDATE keyed_by_odd SET b = b || NULL::text, c = c * 2, e = e * 2;
DELETE FROM keyed_by_odd WHERE a = 'infinity';
UPDATE keyed_by_float SET v = 'changed';
UPDATE keyed_by_float SET a = a / 3 WHERE a > 0;
DELETE FROM keyed_by_float WHERE a = '-Infinity' OR a = 0;

-- Subtransactions.
BEGIN; INSERT INTO logged_rows VALUES (100, 'a'); SAVEPOINT a; INSERT INTO logged_rows VALUES (101, 'b'); SAVEPOINT b; UPDATE logged_rows SET v = 'c' WHERE id = 100; SAVEPOINT c; DELETE FROM logged_rows WHERE id = 101;
    RELEASE c; ROLLBACK TO b; UPDATE logged_rows SET v = 'd' WHERE id = 101; RELEASE a; SAVEPOINT a; DELETE FROM logged_rows WHERE id < 5; ROLLBACK TO a; UPDATE logged_rows SET v = 'e' WHERE id < 3; COMMIT;
BEGIN; SELECT count(*) FROM (SELECT * FROM logged_rows WHERE id IN (6, 7) FOR NO KEY UPDATE) x; SAVEPOINT a; UPDATE logged_rows SET v = 'rolled back' WHERE id = 6; ROLLBACK TO a; SAVEPOINT a; SELECT count(*) FROM (SELECT * FROM logged_rows WHERE id = 6 FOR SHARE) x;
    UPDATE logged_rows SET id = 60 WHERE id = 6; RELEASE a; UPDATE logged_rows SET v = 'of the parent' WHERE id IN (7, 60); COMMIT;
DO $$ BEGIN FOR i IN 1 .. 200 LOOP BEGIN UPDATE logged_rows SET v = i::text WHERE id = 8; IF i % 2 = 0 THEN RAISE 'no'; END IF; INSERT INTO logged_rows VALUES (1000 + i, 'subtransaction'); EXCEPTION WHEN raise_exception THEN NULL; END; END LOOP; END $$;
BEGIN; DO $$ BEGIN FOR i IN 1 .. 100 LOOP BEGIN INSERT INTO logged_rows VALUES (2000 + i, 'prepared'); IF i % 3 = 0 THEN RAISE 'no'; END IF; EXCEPTION WHEN raise_exception THEN NULL; END; END LOOP; END $$; PREPARE TRANSACTION 'with subtransactions';
DELETE FROM logged_rows WHERE id BETWEEN 1001 AND 1050;
COMMIT PREPARED 'with subtransactions';
\if :from_10
UPDATE moving SET region = 'b' WHERE id < 20 AND region = 'a' AND :from_11;
UPDATE moving SET v = 'changed' WHERE id % 7 = 0;
UPDATE moving SET id = id + 40, v = v || '!' WHERE region = 'c' AND id < 30 AND :from_11;
UPDATE moving SET region = NULL WHERE id = 31 AND :from_11;
DELETE FROM moving WHERE id % 11 = 0;
INSERT INTO moving VALUES (500, 'b', 'new', long_text(5, 150));
INSERT INTO by_default (v) VALUES ('one'); INSERT INTO by_default VALUES (1000, 'own');
UPDATE by_default SET id = 5 WHERE id = 1000;
\endif
\if :from_15
MERGE INTO logged_rows l USING (VALUES (9, 'd'), (10, 'u'), (3000, 'i')) AS x (id, v) ON l.id = x.id WHEN MATCHED AND x.v = 'd' THEN DELETE WHEN MATCHED THEN UPDATE SET v = x.v WHEN NOT MATCHED THEN INSERT VALUES (x.id, x.v);
\endif
