-- Changes of rows of the tables of odd_tables.sql with changes of the schema between them.
BEGIN; CREATE TABLE emptied_at_once (id integer, v text); ALTER TABLE emptied_at_once REPLICA IDENTITY FULL; INSERT INTO emptied_at_once VALUES (1, 'before'); TRUNCATE emptied_at_once; INSERT INTO emptied_at_once VALUES (2, 'after'); COMMIT;
BEGIN; TRUNCATE twice_emptied; INSERT INTO twice_emptied VALUES (11, 'first'); TRUNCATE twice_emptied; INSERT INTO twice_emptied VALUES (12, 'second'); COMMIT;
BEGIN; INSERT INTO twice_emptied VALUES (13, 'third'); SAVEPOINT s; TRUNCATE twice_emptied; INSERT INTO twice_emptied VALUES (14, 'gone'); ROLLBACK TO s; UPDATE twice_emptied SET v = 'kept'; COMMIT;
BEGIN; ALTER TABLE twice_emptied ADD w integer; INSERT INTO twice_emptied VALUES (21, 'a', 1); SAVEPOINT a; TRUNCATE twice_emptied; INSERT INTO twice_emptied VALUES (22, 'b', 2); SAVEPOINT b; TRUNCATE twice_emptied; INSERT INTO twice_emptied VALUES (23, 'c', 3); COMMIT;
BEGIN; CREATE TABLE emptied_later (id integer); ALTER TABLE emptied_later REPLICA IDENTITY FULL; INSERT INTO emptied_later VALUES (1); SAVEPOINT a; TRUNCATE emptied_later, twice_emptied; INSERT INTO emptied_later VALUES (2); COMMIT;
BEGIN; TRUNCATE frozen_copy; COPY frozen_copy FROM stdin WITH (FREEZE);
1	frozen
2	too
\.
COMMIT;
UPDATE frozen_copy SET v = 'changed' WHERE id = 1;
DELETE FROM frozen_copy WHERE id = 2;
CREATE TABLE made_of AS SELECT id, v FROM logged_rows WHERE id < 10;
ALTER TABLE made_of REPLICA IDENTITY FULL;
INSERT INTO made_of SELECT id + 100, v FROM made_of;
CREATE TABLE made_empty AS SELECT id, v FROM logged_rows WITH NO DATA;
INSERT INTO made_empty VALUES (1, 'x');
SELECT 1 AS a INTO selected_into;
REFRESH MATERIALIZED VIEW stored_view;
UPDATE owner_of SET v = 'for the view' WHERE id = 2;
\if :from_9_4
REFRESH MATERIALIZED VIEW CONCURRENTLY stored_view;
\endif
CREATE MATERIALIZED VIEW new_view AS SELECT * FROM owned WHERE id < 5;
BEGIN; ALTER TABLE swapped_a RENAME TO swapped_c; ALTER TABLE swapped_b RENAME TO swapped_a; ALTER TABLE swapped_c RENAME TO swapped_b; UPDATE swapped_a SET v = 'was b' WHERE id < 3; UPDATE swapped_b SET v = 'was a' WHERE id < 3; COMMIT;
UPDATE swapped_a SET w = 'w' WHERE id = 4; DELETE FROM swapped_b WHERE id = 5;
BEGIN; DROP TABLE swapped_b; CREATE TABLE swapped_b (w integer[], id integer); ALTER TABLE swapped_b REPLICA IDENTITY FULL; INSERT INTO swapped_b VALUES ('{1,2}', 1); COMMIT;
UPDATE swapped_b SET w = NULL;
BEGIN; SAVEPOINT s; CREATE TABLE tried (a text, b text); INSERT INTO tried VALUES ('x', 'y'); ROLLBACK TO s; CREATE TABLE tried (b integer); ALTER TABLE tried REPLICA IDENTITY FULL; INSERT INTO tried VALUES (5); COMMIT;
UPDATE tried SET b = 6;
UPDATE retyped_toast SET n = -1 WHERE id = 1;
ALTER TABLE retyped_toast ALTER n TYPE text;
UPDATE retyped_toast SET n = 'text' WHERE id IN (1, 2);
BEGIN; UPDATE retyped_toast SET v = long_text(50, 100) WHERE id = 3; ALTER TABLE retyped_toast ALTER n TYPE varchar(20) USING n || '!'; UPDATE retyped_toast SET n = 'in it' WHERE id IN (3, 4); DELETE FROM retyped_toast WHERE id = 5; COMMIT;
VACUUM FULL retyped_toast; UPDATE retyped_toast SET n = 'after' WHERE id = 6; DELETE FROM retyped_toast WHERE id = 7;
ALTER TABLE retyped_toast ALTER v SET STORAGE PLAIN; UPDATE retyped_toast SET n = 'plain' WHERE id = 8; ALTER TABLE retyped_toast ALTER v SET STORAGE EXTERNAL; UPDATE retyped_toast SET v = 'x' || v WHERE id = 9; DELETE FROM retyped_toast WHERE id = 9;
BEGIN; CLUSTER retyped_toast USING retyped_toast_pkey; UPDATE retyped_toast SET n = 'clustered' WHERE id = 10; DELETE FROM retyped_toast WHERE id = 10; COMMIT;
INSERT INTO grown VALUES (100);
ALTER TABLE grown ADD a text DEFAULT repeat('default ', 500), ADD b row_of_two DEFAULT ROW(1, 'x'), ADD c integer[] DEFAULT '{1,2}', ADD d integers DEFAULT '{3}', ADD e numeric DEFAULT 'NaN', ADD f "char" DEFAULT 'c', ADD g boolean DEFAULT true, ADD h bytea DEFAULT '\x00';
UPDATE grown SET a = 'changed' WHERE id = 1; UPDATE grown SET id = 200 WHERE id = 2; DELETE FROM grown WHERE id = 3;
ALTER TABLE grown ALTER a DROP DEFAULT, ALTER c SET DEFAULT '{9}'; INSERT INTO grown (id) VALUES (300); UPDATE grown SET b = NULL WHERE id = 4; DELETE FROM grown WHERE id = 5;
ALTER TABLE grown ADD later timestamptz DEFAULT '2020-01-01'::timestamptz + random() * interval '0'; UPDATE grown SET later = NULL WHERE id IN (6, 7);
ALTER TABLE grown DROP b, DROP d, ADD b date; UPDATE grown SET b = '2020-01-01' WHERE id = 6; DELETE FROM grown WHERE id = 8;
ALTER TABLE grown ALTER e TYPE numeric(10, 2) USING 1; UPDATE grown SET e = 2 WHERE id = 9; ALTER TABLE grown ALTER e TYPE numeric(12, 2); UPDATE grown SET e = 3 WHERE id = 9;
CREATE SCHEMA place; ALTER TABLE moved_schema SET SCHEMA place; UPDATE place.moved_schema SET v = 'moved' WHERE id = 1; ALTER SCHEMA place RENAME TO "Other Place"; DELETE FROM "Other Place".moved_schema WHERE id = 2; ALTER TABLE "Other Place".moved_schema SET SCHEMA public; UPDATE moved_schema SET v = 'back' WHERE id = 3;
\if :from_9_5
BEGIN; INSERT INTO unlogged_rows VALUES (20, 'before'); ALTER TABLE unlogged_rows SET LOGGED; UPDATE unlogged_rows SET v = 'logged' WHERE id = 1; COMMIT;
ALTER TABLE unlogged_rows REPLICA IDENTITY FULL; DELETE FROM unlogged_rows WHERE id = 2;
BEGIN; UPDATE logged_rows SET v = 'before' WHERE id = 2; ALTER TABLE logged_rows SET UNLOGGED; UPDATE logged_rows SET v = 'not logged' WHERE id = 3; COMMIT;
UPDATE logged_rows SET v = 'not logged' WHERE id = 4;
ALTER TABLE logged_rows SET LOGGED; DELETE FROM logged_rows WHERE id = 4;
\endif
ALTER TYPE row_of_two ADD ATTRIBUTE c date; ALTER TYPE row_of_two RENAME ATTRIBUTE a TO renamed;
UPDATE deeply SET b = ARRAY[ROW(1, 'x', '2020-01-01')::row_of_two] WHERE id = 10; DELETE FROM deeply WHERE id = 11;
ALTER TYPE row_of_two DROP ATTRIBUTE b; UPDATE deeply SET c = '{}' WHERE id = 12; DELETE FROM deeply WHERE id = 10;
ALTER TABLE deeply DROP COLUMN e; UPDATE deeply SET c = NULL WHERE id = 13;
VACUUM FULL pg_class; VACUUM FULL pg_attribute; VACUUM FULL pg_type; VACUUM FULL pg_namespace; VACUUM FULL pg_index; VACUUM FULL pg_database; REINDEX TABLE pg_class;
UPDATE strings SET v = 'after VACUUM FULL of catalogs' WHERE id = 20;
CREATE TABLE after_vacuum (id integer, v row_of_two); ALTER TABLE after_vacuum REPLICA IDENTITY FULL; INSERT INTO after_vacuum VALUES (1, ROW(1, NULL)); VACUUM FULL pg_class; VACUUM FULL pg_attribute; UPDATE after_vacuum SET id = 2; ALTER TABLE after_vacuum ADD w text; VACUUM FREEZE pg_attribute; VACUUM FREEZE pg_class; UPDATE after_vacuum SET w = 'w';
BEGIN; ALTER TABLE strings ADD added text; UPDATE strings SET added = 'a' WHERE id = 21; ALTER TABLE strings RENAME added TO renamed; UPDATE strings SET renamed = 'b' WHERE id = 21; ALTER TABLE strings DROP renamed; UPDATE strings SET v = 'c' WHERE id = 21; PREPARE TRANSACTION 'with a schema';
COMMIT PREPARED 'with a schema';
UPDATE strings SET v = 'd' WHERE id = 21;
BEGIN; CREATE TABLE large_transaction (id integer PRIMARY KEY, v text); ALTER TABLE large_transaction REPLICA IDENTITY FULL; INSERT INTO large_transaction SELECT n, long_text(n, 70) FROM generate_series(1, 300) n; UPDATE large_transaction SET v = NULL WHERE id % 2 = 0; DELETE FROM large_transaction WHERE id % 5 = 0; ANALYZE large_transaction; COMMIT;
\if :from_15
SET allow_in_place_tablespaces = on;
CREATE TABLESPACE elsewhere LOCATION '';
BEGIN; UPDATE shrinking SET n = 100 WHERE id = 2; ALTER TABLE shrinking SET TABLESPACE elsewhere; UPDATE shrinking SET n = 101 WHERE id IN (2, 5); DELETE FROM shrinking WHERE id = 8; COMMIT;
UPDATE shrinking SET w = NULL WHERE id = 11; ALTER TABLE shrinking SET TABLESPACE pg_default; DELETE FROM shrinking WHERE id = 14;
\endif
\if :from_10
BEGIN; ALTER TABLE moving DETACH PARTITION moving_b; UPDATE moving_b SET v = 'detached' WHERE id = 1; ALTER TABLE moving ATTACH PARTITION moving_b FOR VALUES IN ('b'); UPDATE moving SET v = 'attached' WHERE region = 'b' AND id < 30; COMMIT;
\endif
CREATE TABLE to_drop AS SELECT n AS id, long_text(n, 90) AS v FROM generate_series(1, 20) n; ALTER TABLE to_drop REPLICA IDENTITY FULL; UPDATE to_drop SET id = -id; DELETE FROM to_drop WHERE id < -15; DROP TABLE to_drop;
BEGIN; DROP TABLE thick; ROLLBACK; UPDATE thick SET v = 'still here' WHERE id = 1;
DO $$ BEGIN FOR i IN 1 .. 30 LOOP EXECUTE 'CREATE TABLE many_' || i || ' (id integer, v' || i || ' text)'; EXECUTE 'ALTER TABLE many_' || i || ' REPLICA IDENTITY FULL'; EXECUTE 'INSERT INTO many_' || i || ' VALUES (1, ''x'')'; IF i % 3 = 0 THEN EXECUTE 'DROP TABLE many_' || i; END IF; END LOOP; END $$;
SELECT lo_create(77777); SELECT lowrite(lo_open(77777, 131072), 'large object');
