#include "lost/lost_script.h"

#include "base/text_cursor.h"
#include "format/settings.h"

void lost_script_begin(Buffer *text)
{
    buffer_append_string(
        text,
        "\n-- For psql (10 or later), on the new primary, after reading it. Writing a row calls\n"
        "-- functions of the table's owner, with all rights of the role that writes it: a\n"
        "-- superuser would give them to each owner. So the script stops for a superuser, and "
        "runs\n"
        "-- as a role that is a member of one owner. A superuser makes it:\n"
        "--   CREATE ROLE lost_rows_writer LOGIN;\n"
        "--   ALTER ROLE lost_rows_writer SET session_replication_role = replica;\n"
        "--   GRANT OWNER TO lost_rows_writer;\n"
        "-- and in each database that is changed here:\n"
        "--   CREATE SCHEMA lost_rows AUTHORIZATION lost_rows_writer;\n"
        "-- For tables of superusers it is a member of no role, and gets USAGE on their schemas, "
        "and\n"
        "-- SELECT, INSERT, UPDATE and DELETE on the tables. Then\n"
        "--   psql -X -f this-file 'dbname=postgres user=lost_rows_writer'\n"
        "-- and at the end, in each database as a superuser:\n"
        "--   DROP SCHEMA lost_rows CASCADE;\n"
        "--   DROP OWNED BY lost_rows_writer;\n"
        "-- and then DROP ROLE lost_rows_writer. Make a new one for each owner, after that: code "
        "of\n"
        "-- the one before may have set its password, or made others its members.\n"
        "-- Each transaction is done as a whole, but for tables of other owners: a warning names\n"
        "-- them. A row that is no longer as the lost transaction found it is not changed: a line\n"
        "-- \"conflict: ...\" names it. After an error, remove its cause and run the script "
        "again:\n"
        "-- the schema lost_rows says what is done already.\n"
        "-- Triggers do not fire and foreign keys are not checked (session_replication_role), "
        "since\n"
        "-- what triggers and cascades did is here too. It stops if some fire nevertheless.\n"
        "-- TRUNCATE and DDL are comments.\n" LOST_SCRIPT_UTF8 "\\set ON_ERROR_STOP on\n"
        "\\set QUIET on\n"
        "\\pset format unaligned\n"
        "\\pset tuples_only on\n"
        /* Without the variable, the text stays as it is. */
        "\\set code_of_others :run_code_of_others_with_my_rights\n");
}

/*
 * The first statements after each \connect. Until then the settings of the database hold, which its
 * owner makes: search_path first, so that no function or operator of hers is taken, then the role.
 * SET ROLE would protect nobody: the code that is called undoes it.
 */
#define FIRST_STATEMENTS                                                                           \
    "SET search_path = pg_catalog, pg_temp;\n"                                                     \
    "SET ROLE NONE;\n"                                                                             \
    "SET lost_rows.code_of_others = :'code_of_others';\n"                                          \
    "DO $$ DECLARE me pg_roles; why text; BEGIN\n"                                                 \
    "  SELECT * INTO me FROM pg_roles WHERE rolname = session_user;\n"                             \
    "  why := CASE WHEN EXISTS (SELECT 1 FROM pg_roles WHERE rolsuper\n"                           \
    "  AND pg_has_role(me.oid, oid, 'MEMBER')) THEN 'it is a superuser, or can become one'\n"      \
    "  WHEN me.rolcreaterole OR me.rolcreatedb OR me.rolreplication\n"                             \
    "  THEN 'it has CREATEROLE, CREATEDB or REPLICATION'\n"                                        \
    "%s"                                                                                           \
    "  WHEN EXISTS (SELECT 1 FROM pg_auth_members WHERE roleid = me.oid)\n"                        \
    "  THEN 'another role is a member of it'\n"                                                    \
    "  WHEN EXISTS (SELECT 1 FROM pg_auth_members WHERE member = me.oid\n"                         \
    "  AND grantor NOT IN (SELECT oid FROM pg_roles WHERE rolsuper))\n"                            \
    "  THEN 'it was made a member of a role by another than a superuser'\n"                        \
    "  WHEN 1 < (SELECT count(DISTINCT roleid) FROM pg_auth_members WHERE member = me.oid)\n"      \
    "  THEN 'it is a member of more than one role' END;\n"                                         \
    "  IF why IS NOT NULL AND current_setting('lost_rows.code_of_others') NOT IN ('yes', "         \
    "'list')\n"                                                                                    \
    "  THEN RAISE EXCEPTION USING\n"                                                               \
    "  MESSAGE = 'the script does not run as ' || session_user || ': ' || why,\n"                  \
    "  HINT = 'Writing a row calls functions of the owner of its table, who could use all "        \
    "rights'\n"                                                                                    \
    "  ' of this role. Run the script as the role that its first lines describe.'; END IF;\n"      \
    "  IF me.rolsuper THEN SET session_replication_role = replica; END IF;\n"                      \
    "  IF current_setting('session_replication_role') <> 'replica' THEN RAISE EXCEPTION USING\n"   \
    "  MESSAGE = 'triggers would fire: session_replication_role is not replica',\n"                \
    "  HINT = 'As a superuser: ALTER ROLE ' || quote_ident(session_user)\n"                        \
    "  || ' SET session_replication_role = replica;'; END IF;\n"                                   \
    "  IF NOT EXISTS (SELECT 1 FROM pg_namespace WHERE nspname = 'lost_rows') THEN\n"              \
    "  RAISE EXCEPTION USING\n"                                                                    \
    "  MESSAGE = 'schema lost_rows is missing in database ' || current_database(),\n"              \
    "  HINT = 'As a superuser, in this database: CREATE SCHEMA lost_rows AUTHORIZATION '\n"        \
    "  || quote_ident(session_user) || ';'; END IF;\n"                                             \
    "  SELECT string_agg(DISTINCT rolname, ', ') INTO why FROM (\n"                                \
    "  SELECT nspowner, oid FROM pg_namespace\n"                                                   \
    "  UNION ALL SELECT relowner, relnamespace FROM pg_class\n"                                    \
    "  UNION ALL SELECT proowner, pronamespace FROM pg_proc\n"                                     \
    "  UNION ALL SELECT typowner, typnamespace FROM pg_type\n"                                     \
    "  UNION ALL SELECT oprowner, oprnamespace FROM pg_operator) of (owner, schema)\n"             \
    "  JOIN pg_roles ON oid = owner WHERE owner <> me.oid\n"                                       \
    "  AND schema = (SELECT oid FROM pg_namespace WHERE nspname = 'lost_rows');\n"                 \
    "  IF why IS NOT NULL THEN RAISE EXCEPTION USING\n"                                            \
    "  MESSAGE = 'schema lost_rows, or what is in it, belongs to ' || why,\n"                      \
    "  HINT = 'Its functions would run as ' || session_user || '. Look at it, and drop or "        \
    "rename'\n"                                                                                    \
    "  ' it. Then, as a superuser, in this database: CREATE SCHEMA lost_rows AUTHORIZATION '\n"    \
    "  || quote_ident(session_user) || ';'; END IF; END $$;\n"

#define BYPASSES_POLICIES                                                                          \
    "  WHEN me.rolbypassrls AND EXISTS (SELECT 1 FROM pg_auth_members WHERE member = me.oid)\n"    \
    "  THEN 'it has BYPASSRLS and is a member of a role'\n"

/* How values are written, and what else statements mean. */
static const char settings[] = "SET client_encoding = 'UTF8';\n"
                               "SET standard_conforming_strings = on;\n"
                               "SET DateStyle = 'ISO';\n"
                               "SET IntervalStyle = 'postgres';\n"
                               "SET TimeZone = 'UTC';\n"
                               "SET lc_monetary = 'C';\n"
                               "SET extra_float_digits = 3;\n"
                               "SET bytea_output = 'hex';\n"
                               "SET array_nulls = on;\n"
                               "SET transform_null_equals = off;\n"
                               "SET statement_timeout = 0;\n"
                               "SET xmloption = 'content';\n"
                               "SET quote_all_identifiers = off;\n"
                               "SET client_min_messages = warning;\n"
                               "SET lock_timeout = '1min';\n"
                               "SET lost_rows.told = '';\n"
                               "SET lost_rows.owners = '';\n";

/* Of a transaction: is it to be done? */
static const char begin_functions[] =
    "CREATE OR REPLACE FUNCTION lost_rows.refuse_prepared(number xid, by_hand text)\n"
    "  RETURNS void LANGUAGE plpgsql AS $$ DECLARE name text; BEGIN\n"
    "  SELECT gid INTO name FROM pg_prepared_xacts WHERE transaction = number;\n"
    "  IF FOUND THEN RAISE EXCEPTION USING\n"
    "  MESSAGE = 'the next transaction is still prepared here',\n"
    "  HINT = 'As a superuser: COMMIT PREPARED ' || quote_literal(name) || ';' || by_hand ||\n"
    "  ' then run the script again.'; END IF; END $$;\n"
    "CREATE OR REPLACE FUNCTION lost_rows.begin_transaction(name text, place text, number bigint)\n"
    "  RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN\n"
    "  PERFORM set_config('lost_rows.owners', '', false);\n"
    "  PERFORM set_config('lost_rows.transaction', number::text, false);\n"
    "  IF EXISTS (SELECT 1 FROM lost_rows.applied WHERE file = name AND lsn = place) THEN\n"
    "  RETURN false; END IF;\n"
    "  IF current_setting('lost_rows.code_of_others') <> 'list' THEN\n"
    "  INSERT INTO lost_rows.applied VALUES (name, place, number); END IF;\n"
    "  RETURN true; END $$;\n";

/* Whose table is it, and whose code does a change of it call? Before 15 each role can make another
 * one its member, also while the script runs: what counts is what superusers granted. */
static const char owner_functions[] =
    "CREATE OR REPLACE FUNCTION lost_rows.our_owners() RETURNS SETOF oid\n"
    "  LANGUAGE sql STABLE AS $$ SELECT m.roleid FROM pg_auth_members m\n"
    "  JOIN pg_roles me ON me.oid = m.member JOIN pg_roles giver ON giver.oid = m.grantor\n"
    "  WHERE me.rolname = session_user AND giver.rolsuper $$;\n"
    "CREATE OR REPLACE FUNCTION lost_rows.is_ours(owner oid) RETURNS boolean\n"
    "  LANGUAGE sql STABLE AS $$ SELECT CASE WHEN me.rolsuper THEN true\n"
    "  WHEN EXISTS (SELECT 1 FROM lost_rows.our_owners()) THEN\n"
    "  $1 IN (SELECT lost_rows.our_owners())\n"
    "  ELSE (SELECT rolsuper FROM pg_roles WHERE oid = $1) END\n"
    "  FROM pg_roles me WHERE me.rolname = session_user $$;\n"
    "CREATE OR REPLACE FUNCTION lost_rows.functions_of_others(changed oid) RETURNS text\n"
    "  LANGUAGE sql STABLE AS $$ WITH RECURSIVE reached (class, object) AS (\n"
    "  SELECT 'pg_class'::regclass::oid, $1 UNION SELECT next.* FROM reached r, LATERAL (\n"
    "  SELECT refclassid, refobjid FROM pg_depend WHERE classid = r.class AND objid = r.object\n"
    "  AND (refclassid IN ('pg_proc'::regclass, 'pg_type'::regclass, 'pg_operator'::regclass)\n"
    "  OR (refclassid = 'pg_class'::regclass AND r.class = 'pg_type'::regclass))\n"
    "  UNION ALL SELECT classid, objid FROM pg_depend WHERE refclassid = r.class\n"
    "  AND refobjid = r.object AND r.class IN ('pg_class'::regclass, 'pg_type'::regclass)\n"
    "  AND classid IN ('pg_constraint'::regclass, 'pg_attrdef'::regclass)\n"
    "  UNION ALL SELECT r.class, indexrelid FROM pg_index\n"
    "  WHERE r.class = 'pg_class'::regclass AND indrelid = r.object\n"
    "  UNION ALL SELECT r.class, inhparent FROM pg_inherits\n"
    "  WHERE r.class = 'pg_class'::regclass AND inhrelid = r.object) next)\n"
    "  SELECT string_agg(DISTINCT f.oid::regprocedure || ' of ' || o.rolname, ', ')\n"
    "  FROM reached JOIN pg_proc f ON f.oid = object JOIN pg_roles o ON o.oid = f.proowner\n"
    "  WHERE class = 'pg_proc'::regclass AND NOT o.rolsuper AND NOT EXISTS (\n"
    "  SELECT 1 FROM pg_roles me WHERE me.rolname = session_user AND NOT me.rolsuper\n"
    "  AND o.oid IN (SELECT lost_rows.our_owners())) $$;\n"
    "CREATE OR REPLACE FUNCTION lost_rows.check_code(changed oid) RETURNS void\n"
    "  LANGUAGE plpgsql AS $$ DECLARE names text; BEGIN\n"
    "  names := lost_rows.functions_of_others(changed);\n"
    "  IF names IS NULL THEN RETURN; END IF;\n"
    "  IF current_setting('lost_rows.code_of_others') IN ('yes', 'list') THEN\n"
    "  RAISE WARNING USING MESSAGE = 'a change of ' || changed::regclass || ' calls, as '\n"
    "  || session_user || ', ' || names; RETURN; END IF;\n"
    "  RAISE EXCEPTION USING MESSAGE = 'a change of ' || changed::regclass || ' would call '\n"
    "  || names, HINT = 'Their owners could use all rights of ' || session_user || '. Look at "
    "the'\n"
    "  ' functions. psql -v run_code_of_others_with_my_rights=yes calls them, =list only lists'\n"
    "  ' them.'; END $$;\n";

/* A column that was there at the divergence, one of the first `common` ones, has kept its number on
 * both sides, and one that was made since has a higher one. */
static const char column_functions[] =
    "CREATE OR REPLACE FUNCTION lost_rows.check_columns(changed oid, common integer,\n"
    "  columns text[], numbers integer[], types text[]) RETURNS void LANGUAGE plpgsql AS $$\n"
    "  DECLARE names text; BEGIN\n"
    "  SELECT string_agg(quote_ident(attname), ', ' ORDER BY attnum) INTO names\n"
    "  FROM generate_subscripts(columns, 1) i JOIN pg_attribute ON attrelid = changed\n"
    "  AND attname = columns[i] AND NOT attisdropped\n"
    "  WHERE CASE WHEN numbers[i] > common THEN attnum <= common ELSE attnum <> numbers[i] END\n"
    "  OR format_type(atttypid, atttypmod) <> types[i];\n"
    "  IF names IS NOT NULL THEN RAISE EXCEPTION USING\n"
    "  MESSAGE = 'here ' || changed::regclass || ' has other columns, or other types,'\n"
    "  ' by these names: ' || names, HINT = 'Lost transactions, or this server since, made, "
    "dropped,'\n"
    "  ' renamed or changed them. Do here what they did, or take this check out of the script.';\n"
    "  END IF; END $$;\n";

/* Of each table that a transaction changes, before it does. */
static const char table_functions[] =
    "CREATE OR REPLACE FUNCTION lost_rows.refuse_triggers(changed oid) RETURNS void\n"
    "  LANGUAGE plpgsql AS $$ DECLARE names text; BEGIN\n"
    "  SELECT string_agg(quote_ident(name) || ' of ' || changed::regclass, ', ') INTO names\n"
    "  FROM (SELECT tgname FROM pg_trigger WHERE tgrelid = changed AND tgenabled IN ('A', 'R')\n"
    "  UNION ALL SELECT rulename FROM pg_rewrite WHERE ev_class = changed\n"
    "  AND ev_enabled IN ('A', 'R')) fire (name);\n"
    "  IF names IS NOT NULL THEN RAISE EXCEPTION USING\n"
    "  MESSAGE = 'what these triggers and rules do would be done twice: ' || names,\n"
    "  HINT = 'They fire also here (ENABLE ALWAYS or REPLICA). Disable them while the script'\n"
    "  ' runs.'; END IF; END $$;\n"
    "CREATE OR REPLACE FUNCTION lost_rows.tell_owner(changed oid, owner oid) RETURNS void\n"
    "  LANGUAGE plpgsql AS $$ DECLARE ours text := lost_rows.is_ours(owner);\n"
    "  before text := current_setting('lost_rows.owners');\n"
    "  told text := current_setting('lost_rows.told'); BEGIN\n"
    "  IF before NOT IN ('', 'both', ours) THEN RAISE WARNING USING MESSAGE = 'transaction ' ||\n"
    "  current_setting('lost_rows.transaction') || ' changed tables of several owners:'\n"
    "  ' a run changes those of one'; ours := 'both'; END IF;\n"
    "  IF before <> 'both' THEN PERFORM set_config('lost_rows.owners', ours, false); END IF;\n"
    "  IF lost_rows.is_ours(owner) OR position(' ' || changed || ' ' in told) > 0 THEN\n"
    "  RETURN; END IF;\n"
    "  PERFORM set_config('lost_rows.told', told || ' ' || changed || ' ', false);\n"
    "  RAISE WARNING USING MESSAGE = changed::regclass || ' belongs to '\n"
    "  || pg_get_userbyid(owner) || ': this run does not change it'; END $$;\n"
    /* Under the lock of a change nobody enables, disables or makes triggers and rules, nor gives
     * the table another name or owner, or other columns. No name is looked up that this role might
     * not use. */
    "CREATE OR REPLACE FUNCTION lost_rows.check_table(schema text, name text, number oid,\n"
    "  same boolean, common integer, columns text[], numbers integer[], types text[])\n"
    "  RETURNS boolean LANGUAGE plpgsql AS $$ DECLARE it oid; of pg_class;\n"
    "  here text := format('%I.%I', schema, name);\n"
    "  told text := current_setting('lost_rows.told'); BEGIN\n"
    "  FOR turn IN 1 .. 2 LOOP\n"
    "  SELECT c.oid INTO it FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace\n"
    "  WHERE c.relname = name AND n.nspname = schema;\n"
    "  SELECT * INTO of FROM pg_class WHERE oid = it;\n"
    "  IF NOT FOUND THEN RAISE EXCEPTION USING ERRCODE = 'undefined_table',\n"
    "  MESSAGE = 'relation \"' || schema || '.' || name || '\" does not exist'; END IF;\n"
    "  IF turn = 1 THEN PERFORM lost_rows.tell_owner(it, of.relowner); END IF;\n"
    "  IF NOT lost_rows.is_ours(of.relowner) THEN RETURN false; END IF;\n"
    "  IF of.relkind <> 'r' THEN RAISE EXCEPTION USING\n"
    "  MESSAGE = 'here ' || here || ' is not a table',\n"
    "  HINT = 'A change of it would be something else. Make the table that was lost.'; END IF;\n"
    "  IF (it = number) <> same THEN RAISE EXCEPTION USING\n"
    "  MESSAGE = 'here ' || here || ' is another table',\n"
    "  HINT = 'Lost transactions, or this server since, made, dropped or renamed it. Do here'\n"
    "  ' what they did, or take this check out of the script.'; END IF;\n"
    "  IF turn = 1 THEN EXECUTE 'LOCK TABLE ONLY ' || here || ' IN ROW EXCLUSIVE MODE'; END IF;\n"
    "  END LOOP;\n"
    "  PERFORM lost_rows.check_columns(it, common, columns, numbers, types);\n"
    "  PERFORM lost_rows.refuse_triggers(it);\n"
    "  IF position('/' || it || '/' in told) = 0 THEN\n"
    "  PERFORM lost_rows.check_code(it);\n"
    "  PERFORM set_config('lost_rows.told', told || '/' || it || '/', false); END IF;\n"
    "  RETURN current_setting('lost_rows.code_of_others') <> 'list'; END $$;\n";

/* attempt: a violation is no error. replace: an UPDATE that gives a value to an identity column;
 * what it does not give a value to stays, also a column that the lost table did not have. The
 * server checks deferrable constraints by triggers, which do not fire: REINDEX checks them. */
static const char change_functions[] =
    "CREATE OR REPLACE FUNCTION lost_rows.attempt(statement text) RETURNS boolean\n"
    "  LANGUAGE plpgsql AS $$ DECLARE changed bigint; BEGIN EXECUTE statement;\n"
    "  GET DIAGNOSTICS changed = ROW_COUNT; RETURN changed > 0;\n"
    "  EXCEPTION WHEN unique_violation OR exclusion_violation THEN RETURN false; END $$;\n"
    "CREATE OR REPLACE FUNCTION lost_rows.replace(schema text, name text, which text,\n"
    "  columns text[], given text) RETURNS boolean LANGUAGE plpgsql AS $$ DECLARE\n"
    "  here text := format('%I.%I', schema, name); names text; kept text; BEGIN\n"
    "  SELECT string_agg(quote_ident(one), ', ') INTO names FROM unnest(columns) one;\n"
    "  SELECT concat(string_agg(', ' || quote_ident(attname), '')) INTO kept\n"
    "  FROM pg_attribute a JOIN pg_class t ON t.oid = attrelid\n"
    "  JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = schema AND relname = name\n"
    "  AND attnum > 0 AND NOT attisdropped AND attname::text <> ALL (columns)\n"
    "  AND coalesce(to_jsonb(a) ->> 'attgenerated', '') = '';\n"
    "  RETURN lost_rows.attempt('WITH gone AS (DELETE FROM ONLY ' || here || which ||\n"
    "  ' RETURNING *) INSERT INTO ' || here || ' (' || names || kept ||\n"
    "  ') OVERRIDING SYSTEM VALUE SELECT ' || given || kept || ' FROM gone'); END $$;\n"
    "CREATE OR REPLACE FUNCTION lost_rows.check_deferrable(schema text, name text)\n"
    "  RETURNS void LANGUAGE plpgsql AS $$ DECLARE index regclass; BEGIN\n"
    "  FOR index IN SELECT conindid FROM pg_constraint JOIN pg_class t ON t.oid = conrelid\n"
    "  JOIN pg_namespace n ON n.oid = relnamespace WHERE nspname = schema AND relname = name\n"
    "  AND condeferrable AND contype IN ('p', 'u', 'x') AND lost_rows.is_ours(relowner) LOOP\n"
    "  EXECUTE 'REINDEX INDEX ' || index; END LOOP; END $$;\n";

/* Lost transactions may have given its name to another database. */
static void check_database(Oid number, Buffer *text)
{
    buffer_printf(text,
                  "DO $$ BEGIN IF NOT EXISTS (SELECT 1 FROM pg_database WHERE oid = %u\n"
                  "  AND datname = current_database()) THEN RAISE EXCEPTION USING\n"
                  "  MESSAGE = 'here ' || current_database() || ' is another database',\n"
                  "  HINT = 'Lost transactions renamed it. Do the same here first, or take this '\n"
                  "  'check out of the script.'; END IF; END $$;\n",
                  number);
}

/* What is done is noted in a table. A subscriber of all tables would stop at its rows, since it
 * does not have the table. */
static void make_applied(const Version *version, Buffer *text)
{
    static const char columns[] = " TABLE IF NOT EXISTS lost_rows.applied (file text, lsn text,\n"
                                  "  xid bigint, applied timestamptz DEFAULT now(), PRIMARY KEY "
                                  "(file, lsn));\n";

    if (version->sql.publications)
        buffer_printf(text,
                      "SELECT EXISTS (SELECT 1 FROM pg_publication WHERE puballtables) AS "
                      "published \\gset\n\\if :published\nCREATE UNLOGGED%s\\else\n",
                      columns);
    buffer_printf(text, "CREATE%s", columns);
    buffer_append_string(text, version->sql.publications ? "\\endif\n" : "");
}

/* A word of \connect, in the quotes in which a line break can be written. psql takes what is in
 * them for a name, whose own quotes are taken off afterwards. */
static void append_connect_word(const char *bare, Buffer *text)
{
    AUTO_BUFFER Buffer name = {0};
    const char *word;

    buffer_append_name(&name, bare);
    buffer_append_u8(text, '\'');
    for (word = buffer_string(&name); *word != '\0'; word++)
    {
        if (*word == '\n' || *word == '\r')
            buffer_append_string(text, *word == '\n' ? "\\n" : "\\r");
        else
            buffer_append_escaped(text, word, 1, "'\\", '\\');
    }
    buffer_append_u8(text, '\'');
}

void lost_script_connect(const char *name, Oid number, const Version *version, Buffer *text)
{
    AUTO_BUFFER Buffer value = {0};

    /* A connection string: a name alone could be taken for one. */
    conninfo_append(&value, "dbname", name);
    buffer_append_string(text, "\n" LOST_SCRIPT_UTF8 "\\connect -reuse-previous=on ");
    append_connect_word(buffer_string(&value), text);
    buffer_append_u8(text, '\n');
    buffer_printf(text, FIRST_STATEMENTS, version->sql.row_security ? BYPASSES_POLICIES : "");
    if (number != 0)
        check_database(number, text);
    if (version->sql.row_security)
        buffer_append_string(text, "SET row_security = off;\n");
    buffer_append_string(text, settings);
    make_applied(version, text);
    buffer_append_string(text, begin_functions);
    buffer_append_string(text, owner_functions);
    buffer_append_string(text, column_functions);
    buffer_append_string(text, table_functions);
    buffer_append_string(text, change_functions);
}
