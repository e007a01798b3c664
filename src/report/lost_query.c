/*
 * SQL that lists, on the target's own server started before the rewind, the rows of a table that
 * lost transactions inserted or updated.
 *
 * A row that is seen and has the number of a lost transaction as its xmin was written by that
 * transaction. Freezing (not in 9.3), VACUUM FULL and CLUSTER leave xmin as it is. The server that
 * was looked at is the only one that knows the table by its storage (pg_filenode_relation,
 * since 9.4), so psql asks it first and runs what comes of that. Any psql from 9.3 on can: it keeps
 * the answer in a variable (\gset); \gexec came with 9.6 only.
 */
#include "report/facts.h"

#include <stdlib.h>

#define LARGE_OBJECTS_OID 2613 /* catalog/pg_largeobject.h */

bool lost_query_exists(const LostRelation *relation)
{
    const unsigned copied = LOST_CREATED | LOST_TOUCHED;

    if (relation->transactions == 0 || relation->table != NULL ||
        (relation->oid < FIRST_NORMAL_OID && relation->oid != LARGE_OBJECTS_OID))
        return false;
    return relation->rows.inserted > 0 || relation->rows.updated > 0 ||
           (relation->what & copied) == copied;
}

/* xmin has no operator for less, and as a number no sign. */
static void append_condition(const Lost *lost, Buffer *text)
{
    const XidRange *ranges = lost->xids;

    for (size_t i = 0; i < lost->xid_range_count; i++)
    {
        buffer_append_string(text, i == 0 ? "WHERE " : "\n    OR ");
        if (ranges[i].first == ranges[i].last)
            buffer_printf(text, "xmin::text = ''%u''", ranges[i].first);
        else
            buffer_printf(text, "xmin::text::bigint BETWEEN %u AND %u", ranges[i].first,
                          ranges[i].last);
    }
}

/* The condition on pg_class that finds the table with that storage, in the present database. */
static void append_table_condition(const Version *version, const RelationId *id, Buffer *text)
{
    if (version->sql.filenode_relation)
        buffer_printf(text, "oid = pg_filenode_relation(%u, %u)", id->tablespace, id->relation);
    else
        buffer_printf(text,
                      "pg_relation_filenode(oid) = %u\n"
                      "    AND %u = coalesce(nullif(reltablespace, 0),\n"
                      "      (SELECT dattablespace FROM pg_database WHERE datname = "
                      "current_database()))\n   ",
                      id->relation, id->tablespace);
}

void lost_query_append(const Lost *lost, const LostRelation *relation, Buffer *text)
{
    buffer_append_string(
        text, "SELECT coalesce(max(format('SELECT tableoid::regclass, ctid, xmin, * FROM %s\n  ");
    append_condition(lost, text);
    /* \gset wants one row: an aggregate has one also where there is no such table. */
    buffer_append_string(text, "', oid::regclass)), '') AS lost_rows\n  FROM pg_class WHERE ");
    append_table_condition(lost->version, &relation->id, text);
    buffer_append_string(text, " AND relkind IN ('r', 'm') \\gset\n:lost_rows;");
}

/* ---- The script ---- */

#define SHOWN_MAX 10

static uint64_t rows_written(const LostRelation *relation)
{
    return relation->rows.inserted + relation->rows.updated;
}

static int compare_written(const void *left, const void *right)
{
    const LostRelation *a = *(const LostRelation *const *) left;
    const LostRelation *b = *(const LostRelation *const *) right;
    const uint64_t a_rows = rows_written(a), b_rows = rows_written(b);

    if (a_rows != b_rows)
        return a_rows < b_rows ? 1 : -1;
    return (a->id.relation > b->id.relation) - (a->id.relation < b->id.relation);
}

static int compare_databases(const void *left, const void *right)
{
    const LostRelation *a = *(const LostRelation *const *) left;
    const LostRelation *b = *(const LostRelation *const *) right;

    if (a->id.database != b->id.database)
        return a->id.database < b->id.database ? -1 : 1;
    return compare_written(left, right);
}

/* A name may hold what ends a line, and with it the comment. */
static void append_name(const char *name, Buffer *text)
{
    for (; *name != '\0'; name++)
        buffer_append_u8(text, (unsigned char) *name < ' ' ? '?' : (uint8_t) *name);
}

/*
 * A name with "=" would be taken for a connection string, so it is made one. psql of 9.5 and 9.6
 * does not reuse the directory of a socket, so it is named. A psql before 9.6 has no HOST where
 * that is the default directory.
 */
static void append_connect(const LostRelation *relation, Buffer *text)
{
    buffer_append_string(text, "-- database ");
    append_name(relation->database != NULL ? relation->database : "of this number", text);
    buffer_printf(
        text,
        "\n\\set lost_host :HOST\n"
        "SELECT 'dbname=' || regexp_replace(datname, '(\\W)', '\\\\\\1', 'g') || coalesce("
        "' host='\n"
        "    || regexp_replace(nullif(:'lost_host', ':HOST'), '(\\W)', '\\\\\\1', 'g'), '') "
        "AS conninfo\n"
        "  FROM pg_database WHERE oid = %u \\gset\n"
        "\\connect -reuse-previous=on :\"conninfo\"\n",
        relation->id.database);
}

static void append_table(const Lost *lost, const LostRelation *relation, Buffer *text)
{
    buffer_append_string(text, "-- ");
    append_name(relation->name, text);
    if (rows_written(relation) > 0)
        buffer_printf(text, ": inserted %llu, updated %llu, deleted %llu\n",
                      (unsigned long long) relation->rows.inserted,
                      (unsigned long long) relation->rows.updated,
                      (unsigned long long) relation->rows.deleted);
    else
        buffer_append_string(text, ": new storage, of a table that was rewritten or of an index\n");
    lost_query_append(lost, relation, text);
    buffer_append_u8(text, '\n');
}

static void append_tables(const Lost *lost, const LostRelation **tables, size_t count, Buffer *text)
{
    const size_t shown = count < SHOWN_MAX ? count : SHOWN_MAX;

    buffer_printf(
        text,
        "\n-- What lost transactions inserted or updated: psql lists it on the target's own "
        "server,\n"
        "-- started alone before the rewind (look-before-you-rewind.md). It does not find deleted\n"
        "-- rows, former values, what was in tables when they were truncated or dropped, nor "
        "tables\n"
        "-- that these transactions wrote only before %s.\n",
        LSN_TEXT(lost->version, lost->wanted.known_from));
    if (!lost->version->sql.frozen_xmin)
        buffer_append_string(text,
                             "-- Nor does it find rows that VACUUM or CLUSTER froze since: in "
                             "this version they no longer\n-- show who wrote them.\n");
    qsort(tables, shown, sizeof(*tables), compare_databases);
    for (size_t i = 0; i < shown; i++)
    {
        if (i == 0 || tables[i]->id.database != tables[i - 1]->id.database)
            append_connect(tables[i], text);
        append_table(lost, tables[i], text);
    }
    if (count > shown)
        buffer_printf(text, "-- and %zu more: --report=json has the statement for each\n",
                      count - shown);
}

void lost_queries_text(const Lost *lost, Buffer *text)
{
    const LostRelation **tables;
    size_t found = 0;

    if (lost == NULL)
        return;
    tables = memory_allocate((lost->relation_count + 1) * sizeof(*tables));
    for (size_t i = 0; i < lost->relation_count; i++)
        if (lost_query_exists(&lost->relations[i]))
            tables[found++] = &lost->relations[i];
    qsort(tables, found, sizeof(*tables), compare_written);
    if (found > 0)
        append_tables(lost, tables, found, text);
    free(tables);
}
