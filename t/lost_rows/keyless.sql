-- Changes of rows of tables without a key, of which there may be two alike.
INSERT INTO no_key VALUES (51, 'new'), (51, 'new'), (NULL, NULL);
UPDATE no_key SET b = 'changed' WHERE a < 5;
UPDATE no_key SET a = NULL WHERE a = 10;
DELETE FROM no_key WHERE a IN (20, 21);
INSERT INTO no_columns DEFAULT VALUES;
