-- Rows of which one statement alone would break a constraint that is deferrable.
UPDATE deferred SET id = id + 1 WHERE id BETWEEN 2 AND 6 AND false OR id >= 9;
UPDATE deferred SET id = CASE id WHEN 1 THEN 2 WHEN 2 THEN 1 ELSE 4 - id + 3 END WHERE id < 5;
BEGIN; UPDATE deferred SET email = '6@example.org' WHERE id = 5; UPDATE deferred SET email = '5@example.org' WHERE id = 6 AND v = 'common'; COMMIT;
BEGIN; DELETE FROM deferred WHERE id = 7; INSERT INTO deferred VALUES (7, 'again', '7@example.org'); COMMIT;
