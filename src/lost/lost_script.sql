--# What the file for people has besides its statements. design/lost-rows.md has the dangers. Lines
--# that begin with --# are for readers of this file. A line that begins with --@ begins a part, which
--# lost_script.c appends where the server's version has what it needs.
--@ head: the first lines, after the one that names the clusters
-- For psql (10 or later), on the new primary, after reading it. Writing a row calls
-- functions of the table's owner, with all rights of the role that writes it: a
-- superuser would give them to each owner. So the script stops for a superuser, and runs
-- as a role that is a member of one owner. A superuser makes it:
--   CREATE ROLE lost_rows_writer LOGIN;
--   ALTER ROLE lost_rows_writer SET session_replication_role = replica;
--   GRANT OWNER TO lost_rows_writer;
-- and in each database that is changed here:
--   CREATE SCHEMA lost_rows AUTHORIZATION lost_rows_writer;
-- For tables of superusers it is a member of no role, and gets USAGE on their schemas, and
-- SELECT, INSERT, UPDATE and DELETE on the tables. Then
--   psql -X -f this-file 'dbname=postgres user=lost_rows_writer'
-- and at the end, in each database as a superuser:
--   DROP SCHEMA lost_rows CASCADE;
--   DROP OWNED BY lost_rows_writer;
-- and then DROP ROLE lost_rows_writer. Make a new one for each owner, after that: code of
-- the one before may have set its password, or made others its members.
-- Each transaction is done as a whole, but for tables of other owners: a warning names
-- them. A row that is no longer as the lost transaction found it is not changed: a line
-- "conflict: ..." names it, or "already so: ..." where it is as that transaction left it:
-- did the new primary do the same work, or other work with the same result? After an error,
-- remove its cause and run the script again: the schema lost_rows says what is done already.
-- Triggers do not fire and foreign keys are not checked (session_replication_role), since
-- what triggers and cascades did is here too. It stops if some fire nevertheless.
-- TRUNCATE and DDL are comments.
\encoding UTF8
\set ON_ERROR_STOP on
\set QUIET on
\pset format unaligned
\pset tuples_only on
\set code_of_others :run_code_of_others_with_my_rights
--@ session: the first statements after each \connect
--# Until then the settings of the database hold, which its owner makes: search_path first, so that no
--# function or operator of hers is taken, then the role. SET ROLE would protect nobody: the code that
--# is called undoes it.
SET search_path = pg_catalog, pg_temp;
SET ROLE NONE;
SET lost_rows.code_of_others = :'code_of_others';
--# Nothing that is printed has control characters of a name: after a line break a name could look like
--# a HINT.
DO $$ DECLARE me pg_roles; why text; controls text := E'[\\x01-\\x1f\\x7f-\\x9f]'; BEGIN
  SELECT * INTO me FROM pg_roles WHERE rolname = session_user;
  why := CASE WHEN EXISTS (SELECT 1 FROM pg_roles WHERE rolsuper
  AND pg_has_role(me.oid, oid, 'MEMBER')) THEN 'it is a superuser, or can become one'
  WHEN me.rolcreaterole OR me.rolcreatedb OR me.rolreplication
  THEN 'it has CREATEROLE, CREATEDB or REPLICATION'
--@ policies: servers that have row security
  WHEN me.rolbypassrls AND EXISTS (SELECT 1 FROM pg_auth_members WHERE member = me.oid)
  THEN 'it has BYPASSRLS and is a member of a role'
--@ role
  WHEN EXISTS (SELECT 1 FROM pg_auth_members WHERE roleid = me.oid)
  THEN 'another role is a member of it'
  WHEN EXISTS (SELECT 1 FROM pg_auth_members WHERE member = me.oid
  AND grantor NOT IN (SELECT oid FROM pg_roles WHERE rolsuper))
  THEN 'it was made a member of a role by another than a superuser'
  WHEN 1 < (SELECT count(DISTINCT roleid) FROM pg_auth_members WHERE member = me.oid)
  THEN 'it is a member of more than one role' END;
  IF why IS NOT NULL AND current_setting('lost_rows.code_of_others') NOT IN ('yes', 'list')
  THEN RAISE EXCEPTION USING
  MESSAGE = 'the script does not run as ' || session_user || ': ' || why,
  HINT = 'Writing a row calls functions of the owner of its table, who could use all rights'
  ' of this role. Run the script as the role that its first lines describe.'; END IF;
  IF me.rolsuper THEN SET session_replication_role = replica; END IF;
  IF current_setting('session_replication_role') <> 'replica' THEN RAISE EXCEPTION USING
  MESSAGE = 'triggers would fire: session_replication_role is not replica',
  HINT = 'As a superuser: ALTER ROLE ' || quote_ident(session_user)
  || ' SET session_replication_role = replica;'; END IF;
  IF NOT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = 'lost_rows') THEN
  RAISE EXCEPTION USING
  MESSAGE = 'schema lost_rows is missing in database '
  || regexp_replace(current_database(), controls, '?', 'g'),
  HINT = 'As a superuser, in this database: CREATE SCHEMA lost_rows AUTHORIZATION '
  || quote_ident(session_user) || ';'; END IF;
  SELECT string_agg(DISTINCT rolname, ', ') INTO why FROM (
  SELECT nspowner, oid FROM pg_namespace
  UNION ALL SELECT relowner, relnamespace FROM pg_class
  UNION ALL SELECT proowner, pronamespace FROM pg_proc
  UNION ALL SELECT typowner, typnamespace FROM pg_type
  UNION ALL SELECT oprowner, oprnamespace FROM pg_operator) of (owner, schema)
  JOIN pg_roles ON oid = owner WHERE owner <> me.oid
  AND schema = (SELECT oid FROM pg_namespace WHERE nspname = 'lost_rows');
  IF why IS NOT NULL THEN RAISE EXCEPTION USING
  MESSAGE = 'schema lost_rows, or what is in it, belongs to '
  || regexp_replace(why, controls, '?', 'g'),
  HINT = 'Its functions would run as ' || session_user || '. Look at it, and drop or rename'
  ' it. Then, as a superuser, in this database: CREATE SCHEMA lost_rows AUTHORIZATION '
  || quote_ident(session_user) || ';'; END IF; END $$;
--@ database: lost transactions may have given its name to another one
DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_database
  WHERE oid = current_setting('lost_rows.database')::oid
  AND datname = current_database()) THEN RAISE EXCEPTION USING
  MESSAGE = 'here '
  || regexp_replace(current_database(), E'[\\x01-\\x1f\\x7f-\\x9f]', '?', 'g')
  || ' is another database',
  HINT = 'Lost transactions renamed it. Do the same here first, or take this '
  'check out of the script.'; END IF; END $$;
--# Settings, which stand in front of each query, in one request with it: code of a table's owner, which a
--# query before has called, may have set anything. In a variable of psql that code cannot change them.
--# Each is a line, which lost_sql.c writes where it is needed.
--@ settings: those of all servers that change what is done and printed
SET ROLE NONE
SET client_encoding = UTF8
SET client_min_messages = warning
SET statement_timeout = 0
SET lock_timeout = '1min'
--@ row_security: servers that have it
SET row_security = off
--@ transaction_timeout: servers that have it
SET transaction_timeout = 0
--@ meaning: those that change how values are read, and what a condition means
SET search_path = pg_catalog, pg_temp
SET standard_conforming_strings = on
SET DateStyle = ISO
SET IntervalStyle = postgres
SET TimeZone = 'UTC'
SET lc_monetary = 'C'
SET extra_float_digits = 3
SET bytea_output = hex
SET array_nulls = on
SET transform_null_equals = off
SET xmloption = content
SET quote_all_identifiers = off
--@ settled
SET lost_rows.told = '';
SET lost_rows.owners = '';
--@ publications: what is done is noted in a table, which subscribers of all tables do not have
:settle SELECT EXISTS (SELECT 1 FROM pg_publication WHERE puballtables) AS published \gset
\if :published
:settle CREATE UNLOGGED TABLE IF NOT EXISTS lost_rows.applied (file text, lsn text,
  owner oid, xid bigint, applied timestamptz DEFAULT now(), PRIMARY KEY (file, lsn, owner));
\else
--@ applied
:settle CREATE TABLE IF NOT EXISTS lost_rows.applied (file text, lsn text,
  owner oid, xid bigint, applied timestamptz DEFAULT now(), PRIMARY KEY (file, lsn, owner));
--@ functions
--# In other encodings the bytes 80 to 9f are letters. Both functions are called after a change too, whose
--# code may have set search_path, so they name the schema of what they use.
CREATE OR REPLACE FUNCTION lost_rows.shown(message text) RETURNS text LANGUAGE sql STABLE
  AS $$ SELECT pg_catalog.regexp_replace($1, CASE WHEN pg_catalog.getdatabaseencoding()
  OPERATOR(pg_catalog.~) '^(UTF8|LATIN|ISO)'
  THEN E'[\\x01-\\x1f\\x7f-\\x9f]' ELSE E'[\\x01-\\x1f\\x7f]' END, '?', 'g') $$;
CREATE OR REPLACE FUNCTION lost_rows.not_done(is_so boolean, what text) RETURNS text
  LANGUAGE sql STABLE AS $$ SELECT lost_rows.shown(CASE WHEN $1 THEN 'already so'
  ELSE 'conflict' END OPERATOR(pg_catalog.||) $2) $$;
--# Whether a condition is true, read and evaluated with the settings of the script (part "meaning"): what
--# the query has called before may have set others.
CREATE OR REPLACE FUNCTION lost_rows.holds(condition text) RETURNS boolean
  LANGUAGE plpgsql
--@ holds: after these settings
  AS $$ DECLARE so boolean; BEGIN
  EXECUTE 'SELECT ' || condition INTO so; RETURN so; END $$;
CREATE OR REPLACE FUNCTION lost_rows.refuse_prepared(number xid, by_hand text)
  RETURNS void LANGUAGE plpgsql AS $$ DECLARE name text; BEGIN
  SELECT gid INTO name FROM pg_prepared_xacts WHERE transaction = number;
  IF FOUND THEN RAISE EXCEPTION USING
  MESSAGE = 'the next transaction is still prepared here',
  HINT = lost_rows.shown('As a superuser: COMMIT PREPARED ' || quote_literal(name) || ';'
  || by_hand || ' then run the script again.'); END IF; END $$;
--# Whose table is it, and whose code does a change of it call? Before 15 each role can make another
--# one its member, also while the script runs: what counts is what superusers granted.
CREATE OR REPLACE FUNCTION lost_rows.our_owners() RETURNS SETOF oid
  LANGUAGE sql STABLE AS $$ SELECT m.roleid FROM pg_auth_members m
  JOIN pg_roles me ON me.oid = m.member JOIN pg_roles giver ON giver.oid = m.grantor
  WHERE me.rolname = session_user AND giver.rolsuper $$;
CREATE OR REPLACE FUNCTION lost_rows.is_ours(owner oid) RETURNS boolean
  LANGUAGE sql STABLE AS $$ SELECT CASE WHEN me.rolsuper THEN true
  WHEN EXISTS (SELECT 1 FROM lost_rows.our_owners()) THEN
  $1 IN (SELECT lost_rows.our_owners())
  ELSE (SELECT rolsuper FROM pg_roles WHERE oid = $1) END
  FROM pg_roles me WHERE me.rolname = session_user $$;
CREATE OR REPLACE FUNCTION lost_rows.has_our_rights(owner oid) RETURNS boolean
  LANGUAGE sql STABLE AS $$ SELECT o.rolsuper
  OR NOT me.rolsuper AND o.oid IN (SELECT lost_rows.our_owners())
  FROM pg_roles me, pg_roles o WHERE me.rolname = session_user AND o.oid = $1 $$;
--# What is done is noted for each owner of tables, and once for those of all superusers (10). Owner 0 is
--# all of a transaction.
CREATE OR REPLACE FUNCTION lost_rows.noted_as(owner oid) RETURNS oid LANGUAGE sql STABLE
  AS $$ SELECT CASE WHEN rolsuper THEN 10 ELSE oid END FROM pg_roles WHERE oid = $1 $$;
--# Returns whether a transaction is to be done. If it has tables of several owners, check_table decides.
CREATE OR REPLACE FUNCTION lost_rows.begin_transaction(name text, place text, number bigint)
  RETURNS boolean LANGUAGE plpgsql AS $$ DECLARE one_owner boolean; BEGIN
  PERFORM set_config('lost_rows.owners', '', false);
  PERFORM set_config('lost_rows.file', name, false);
  PERFORM set_config('lost_rows.lsn', place, false);
  PERFORM set_config('lost_rows.transaction', number::text, false);
  SELECT NOT rolsuper AND (SELECT count(DISTINCT o) < 2 FROM lost_rows.our_owners() o)
  INTO one_owner FROM pg_roles WHERE rolname = session_user;
  RETURN NOT EXISTS (SELECT 1 FROM lost_rows.applied WHERE file = name AND lsn = place
  AND (owner = 0 OR one_owner AND lost_rows.is_ours(owner))); END $$;
--# Returns whether the tables of an owner are to be changed: another transaction of the script, in an
--# earlier run, has not done so.
CREATE OR REPLACE FUNCTION lost_rows.note_owner(noted oid) RETURNS boolean
  LANGUAGE plpgsql AS $$ DECLARE name text := current_setting('lost_rows.file');
  place text := current_setting('lost_rows.lsn'); is_new boolean; BEGIN
  SELECT xmin::text::bigint = (txid_current() & 4294967295) INTO is_new
  FROM lost_rows.applied WHERE file = name AND lsn = place AND owner = noted;
  IF FOUND THEN RETURN is_new; END IF;
  INSERT INTO lost_rows.applied VALUES (name, place, noted,
  current_setting('lost_rows.transaction')::bigint); RETURN true; END $$;
--# Expressions of a domain are its owner's code, too: a built-in function, which no pg_depend names,
--# can run SQL that is in its argument. way: how an object was reached, as the type of a column, within
--# that type (field, element, bound), or as code. A value of a type that has a domain within it is read
--# together with its statement: what a CHECK of that domain sets holds for the rest of the statement,
--# also if it is the owner's. IMMUTABLE functions of a superuser set nothing; conbin has their numbers.
CREATE OR REPLACE FUNCTION lost_rows.refused_code(changed oid) RETURNS text
  LANGUAGE sql STABLE AS $$ WITH RECURSIVE reached (class, object, way) AS (
  SELECT 'pg_class'::regclass::oid, $1, 'column'::text UNION SELECT next.* FROM reached r
  LEFT JOIN pg_type own ON r.class = 'pg_type'::regclass AND own.oid = r.object, LATERAL (
  SELECT refclassid, refobjid, CASE WHEN r.way = 'column' AND own.typtype <> 'd'
  THEN 'within' ELSE r.way END FROM pg_depend WHERE classid = r.class AND objid = r.object
  AND refclassid IN ('pg_proc'::regclass, 'pg_type'::regclass, 'pg_operator'::regclass)
  UNION ALL SELECT 'pg_class'::regclass, own.typrelid, CASE r.way WHEN 'column'
  THEN 'within' ELSE r.way END WHERE own.typrelid <> 0
  UNION ALL SELECT classid, objid, CASE WHEN own.oid IS NOT NULL AND r.way = 'within'
  THEN 'within' ELSE 'code' END FROM pg_depend WHERE refclassid = r.class
  AND refobjid = r.object AND r.class IN ('pg_class'::regclass, 'pg_type'::regclass)
  AND classid IN ('pg_constraint'::regclass, 'pg_attrdef'::regclass)
  UNION ALL SELECT r.class, indexrelid, 'code' FROM pg_index
  WHERE r.class = 'pg_class'::regclass AND indrelid = r.object
  UNION ALL SELECT r.class, inhparent, 'code' FROM pg_inherits
  WHERE r.class = 'pg_class'::regclass AND inhrelid = r.object) next)
  SELECT string_agg(DISTINCT what || ' of ' || rolname, ', ') FROM (
  SELECT f.oid::regprocedure::text, proowner, NOT lost_rows.has_our_rights(proowner)
  FROM reached JOIN pg_proc f ON f.oid = object WHERE class = 'pg_proc'::regclass
  UNION ALL SELECT 'expressions of domain ' || t.oid::regtype, typowner,
  NOT lost_rows.has_our_rights(typowner)
  FROM reached JOIN pg_type t ON t.oid = object WHERE class = 'pg_type'::regclass
  AND typtype = 'd' AND (typdefaultbin IS NOT NULL OR EXISTS (SELECT 1 FROM pg_constraint
  WHERE contypid = t.oid AND contype = 'c'))
  UNION ALL SELECT 'CHECKs, while a value is read, of domain ' || t.oid::regtype, typowner,
  lost_rows.has_our_rights(typowner) AND EXISTS (SELECT 1 FROM pg_constraint, regexp_matches(conbin::text,
  ':(?:op|elem)?funcid ([0-9]+)', 'g') called (number) JOIN pg_proc f
  ON f.oid = number[1]::oid JOIN pg_roles o ON o.oid = proowner
  WHERE contypid = t.oid AND (provolatile <> 'i' OR NOT rolsuper))
  FROM reached JOIN pg_type t ON t.oid = object WHERE class = 'pg_type'::regclass
  AND way = 'within') code (what, owner, refused)
  JOIN pg_roles o ON o.oid = owner WHERE refused $$;
--# The lock of a change does not keep the name of its schema: the schema's owner can rename it, and
--# another one with such a table, whose functions would be called.
CREATE OR REPLACE FUNCTION lost_rows.schema_of_another(changed oid) RETURNS text
  LANGUAGE sql STABLE AS $$ SELECT 'what ' || o.rolname || ', the owner of schema '
  || quote_ident(nspname) || ', puts there' FROM pg_class t
  JOIN pg_namespace n ON n.oid = relnamespace JOIN pg_roles named ON named.oid = nspowner
  JOIN pg_database ON datname = current_database() JOIN pg_roles o ON o.oid =
  CASE named.rolname WHEN 'pg_database_owner' THEN datdba ELSE nspowner END
  WHERE t.oid = $1 AND NOT lost_rows.has_our_rights(o.oid) $$;
CREATE OR REPLACE FUNCTION lost_rows.check_code(changed oid) RETURNS void
  LANGUAGE plpgsql AS $$ DECLARE names text := concat_ws(', ',
  lost_rows.refused_code(changed), lost_rows.schema_of_another(changed));
  told text := current_setting('lost_rows.told'); BEGIN
  IF names = '' THEN RETURN; END IF;
  IF current_setting('lost_rows.code_of_others') IN ('yes', 'list') THEN
  IF position('/' || changed || '/' in told) > 0 THEN RETURN; END IF;
  PERFORM set_config('lost_rows.told', told || '/' || changed || '/', false);
  RAISE WARNING USING MESSAGE = lost_rows.shown('a change of ' || changed::regclass
  || ' calls, as ' || session_user || ', ' || names); RETURN; END IF;
  RAISE EXCEPTION USING MESSAGE = lost_rows.shown('a change of ' || changed::regclass
  || ' would call ' || names), HINT = 'Their owners could use all rights of ' || session_user || '. Look at'
  ' them; give the schema to a superuser or to the owner of the table, since its owner'
  ' can rename it while the script runs. Drop a CHECK that is called while a value'
  ' is read until the script has run: what it sets would hold for the rest of the statement.'
  ' psql -v run_code_of_others_with_my_rights=yes calls them, =list only lists them.'; END $$;
--# A column that was there at the divergence, one of the first `common` ones, has kept its number on
--# both sides, and one that was made since has a higher one. types: of each column the type's schema and
--# name, '[]' if it is an array of that, and its modifier; NULL: not compared.
CREATE OR REPLACE FUNCTION lost_rows.check_columns(changed oid, common integer,
  columns text[], numbers integer[], types text[]) RETURNS void LANGUAGE plpgsql AS $$
  DECLARE names text; BEGIN
  SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO names
  FROM generate_subscripts(columns, 1) i JOIN pg_attribute ON attrelid = changed
  AND attname = columns[i] AND NOT attisdropped JOIN pg_type own ON own.oid = atttypid
  LEFT JOIN pg_type element ON element.oid = own.typelem AND element.typarray = own.oid
  JOIN pg_namespace n ON n.oid = coalesce(element.typnamespace, own.typnamespace)
  WHERE CASE WHEN numbers[i] > common THEN attnum <= common ELSE attnum <> numbers[i] END
  OR types[i][1] IS NOT NULL AND types[i:i][1:4] <> ARRAY[ARRAY[nspname::text,
  coalesce(element.typname, own.typname)::text,
  CASE WHEN element.oid IS NULL THEN '' ELSE '[]' END, atttypmod::text]];
  IF names IS NOT NULL THEN RAISE EXCEPTION USING
  MESSAGE = lost_rows.shown('here ' || changed::regclass || ' has other columns, or other types,'
  ' by these names: ' || names), HINT = 'Lost transactions, or this server since, made, dropped,'
  ' renamed or changed them. Do here what they did, or take this check out of the script.';
  END IF; END $$;
--# Statements find one row by the key of the lost table. A unique index of some of its columns does as
--# well. Deferrable constraints are checked only where the lost table had some (check_deferrable).
CREATE OR REPLACE FUNCTION lost_rows.check_key(changed oid, key text[], deferred boolean)
  RETURNS void LANGUAGE plpgsql AS $$ DECLARE hint text := 'Lost transactions, or this server'
  ' since, made or dropped it. Do here what they did, or take this check out of the script.';
  BEGIN IF NOT deferred AND EXISTS (SELECT 1 FROM pg_index
  WHERE indrelid = changed AND NOT indimmediate) THEN RAISE EXCEPTION USING
  MESSAGE = lost_rows.shown('here ' || changed::regclass || ' has a deferrable constraint'),
  HINT = hint; END IF;
  IF key <> '{}' AND NOT EXISTS (SELECT 1 FROM pg_index i WHERE indrelid = changed
  AND indisunique AND indisvalid AND indpred IS NULL AND indexprs IS NULL
  AND NOT EXISTS (SELECT 1 FROM generate_series(1,
  coalesce((row_to_json(i) ->> 'indnkeyatts')::integer, indnatts)) at
  JOIN pg_attribute ON attrelid = changed AND attnum = indkey[at - 1]
  WHERE attname::text <> ALL (key))) THEN RAISE EXCEPTION USING
  MESSAGE = lost_rows.shown('here ' || changed::regclass || ' has no unique index of '
  || array_to_string(key, ', ')), HINT = hint; END IF; END $$;
--# Of each table that a transaction changes, before it does.
CREATE OR REPLACE FUNCTION lost_rows.refuse_triggers(changed oid) RETURNS void
  LANGUAGE plpgsql AS $$ DECLARE names text; BEGIN
  SELECT string_agg(quote_ident(name) || ' of ' || changed::regclass, ', ') INTO names
  FROM (SELECT tgname FROM pg_trigger WHERE tgrelid = changed AND tgenabled IN ('A', 'R')
  UNION ALL SELECT rulename FROM pg_rewrite WHERE ev_class = changed
  AND ev_enabled IN ('A', 'R')) fire (name);
  IF names IS NOT NULL THEN RAISE EXCEPTION USING
  MESSAGE = lost_rows.shown('what these triggers and rules do would be done twice: ' || names),
  HINT = 'They fire also here (ENABLE ALWAYS or REPLICA). Disable them while the script'
  ' runs.'; END IF; END $$;
CREATE OR REPLACE FUNCTION lost_rows.tell_owner(changed oid, owner oid) RETURNS void
  LANGUAGE plpgsql AS $$ DECLARE ours text := lost_rows.is_ours(owner);
  before text := current_setting('lost_rows.owners');
  told text := current_setting('lost_rows.told'); BEGIN
  IF before NOT IN ('', 'both', ours) THEN RAISE WARNING USING MESSAGE = 'transaction ' ||
  current_setting('lost_rows.transaction') || ' changed tables of several owners:'
  ' a run changes those of one'; ours := 'both'; END IF;
  IF before <> 'both' THEN PERFORM set_config('lost_rows.owners', ours, false); END IF;
  IF lost_rows.is_ours(owner) OR position(' ' || changed || ' ' in told) > 0 THEN
  RETURN; END IF;
  PERFORM set_config('lost_rows.told', told || ' ' || changed || ' ', false);
  RAISE WARNING USING MESSAGE = lost_rows.shown(changed::regclass || ' belongs to '
  || pg_get_userbyid(owner) || ': this run does not change it'); END $$;
--# Under the lock of a change nobody enables, disables or makes triggers and rules, nor gives the
--# table another name, schema or owner, or other columns; for the name of its schema see check_code.
--# No name is looked up that this role might not use.
CREATE OR REPLACE FUNCTION lost_rows.check_table(schema text, name text, number oid,
  same boolean, common integer, columns text[], numbers integer[], types text[], key text[],
  deferred boolean, lost_owner text) RETURNS boolean LANGUAGE plpgsql AS $$
  DECLARE it oid; of pg_class;
  here text := format('%I.%I', schema, name); BEGIN
  FOR turn IN 1 .. 2 LOOP
  SELECT c.oid INTO it FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE c.relname = name AND n.nspname = schema;
  SELECT * INTO of FROM pg_class WHERE oid = it;
  IF NOT FOUND THEN RAISE EXCEPTION USING ERRCODE = 'undefined_table',
  MESSAGE = lost_rows.shown('relation "' || schema || '.' || name || '" does not exist'); END IF;
  PERFORM lost_rows.tell_owner(it, of.relowner);
  IF NOT lost_rows.is_ours(of.relowner) THEN RETURN false; END IF;
  IF of.relkind <> 'r' THEN RAISE EXCEPTION USING
  MESSAGE = lost_rows.shown('here ' || here || ' is not a table'),
  HINT = 'A change of it would be something else. Make the table that was lost.'; END IF;
  IF (it = number) <> same THEN RAISE EXCEPTION USING
  MESSAGE = lost_rows.shown('here ' || here || ' is another table'),
  HINT = 'Lost transactions, or this server since, made, dropped or renamed it. Do here'
  ' what they did, or take this check out of the script.'; END IF;
  IF lost_owner <> pg_get_userbyid(of.relowner) THEN RAISE EXCEPTION USING
  MESSAGE = lost_rows.shown('here ' || here || ' is a table of another owner'),
  HINT = lost_rows.shown('Lost transactions made a table of this name, with rows of '
  || quote_ident(lost_owner) || ', who may have no right to change this one. If it is the same'
  ' table, take this check out of the script.'); END IF;
  IF turn = 1 THEN EXECUTE 'LOCK TABLE ONLY ' || here || ' IN ROW EXCLUSIVE MODE'; END IF;
  END LOOP;
  PERFORM lost_rows.check_columns(it, common, columns, numbers, types);
  PERFORM lost_rows.check_key(it, key, deferred);
  PERFORM lost_rows.refuse_triggers(it);
  PERFORM lost_rows.check_code(it);
  IF current_setting('lost_rows.code_of_others') = 'list' THEN RETURN false; END IF;
  RETURN lost_rows.note_owner(lost_rows.noted_as(of.relowner)); END $$;
--# attempt: a violation is no error. replace: an UPDATE that gives a value to an identity column;
--# what it does not give a value to stays, also a column that the lost table did not have. The server
--# checks deferrable constraints by triggers, which do not fire: REINDEX checks them.
CREATE OR REPLACE FUNCTION lost_rows.attempt(statement text) RETURNS boolean
  LANGUAGE plpgsql AS $$ DECLARE changed bigint; BEGIN EXECUTE statement;
  GET DIAGNOSTICS changed = ROW_COUNT; RETURN changed OPERATOR(pg_catalog.>) 0;
  EXCEPTION WHEN unique_violation OR exclusion_violation THEN RETURN false; END $$;
CREATE OR REPLACE FUNCTION lost_rows.replace(schema text, name text, which text,
  columns text[], given text) RETURNS boolean LANGUAGE plpgsql AS $$ DECLARE
  here text := format('%I.%I', schema, name); names text; kept text; BEGIN
  SELECT string_agg(quote_ident(one), ', ') INTO names FROM unnest(columns) one;
  SELECT concat(string_agg(', ' || quote_ident(attname), '')) INTO kept
  FROM pg_attribute a JOIN pg_class t ON t.oid = attrelid
  JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = schema AND relname = name
  AND attnum > 0 AND NOT attisdropped AND attname::text <> ALL (columns)
  AND coalesce(to_jsonb(a) ->> 'attgenerated', '') = '';
  RETURN lost_rows.attempt('WITH gone AS (DELETE FROM ONLY ' || here || which ||
  ' RETURNING *) INSERT INTO ' || here || ' (' || names || kept ||
  ') OVERRIDING SYSTEM VALUE SELECT ' || given || kept || ' FROM gone'); END $$;
CREATE OR REPLACE FUNCTION lost_rows.check_deferrable(schema text, name text)
  RETURNS void LANGUAGE plpgsql AS $$ DECLARE index regclass; BEGIN
  FOR index IN SELECT conindid FROM pg_constraint JOIN pg_class t ON t.oid = conrelid
  JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = schema AND relname = name
  AND condeferrable AND contype IN ('p', 'u', 'x') AND lost_rows.is_ours(relowner) LOOP
  EXECUTE 'REINDEX INDEX ' OPERATOR(pg_catalog.||) index; END LOOP; END $$;
