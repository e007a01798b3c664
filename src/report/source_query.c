/*
 * SQL that lists, on the source, rows as they were before lost transactions deleted or updated
 * them.
 *
 * Up to the divergence a row has the same place on both sides. On the source it still is there
 * unless a transaction of the source deleted or updated it. What else can be seen at that place was
 * written after the divergence, which its xmin tells, or lies in another storage.
 * design/lost-rows.md, "The rows that the source still has".
 */
#include "report/facts.h"

#include "base/encoding.h"
#include "base/text_cursor.h"

#include <stdlib.h>
#include <string.h>

#define SHOWN_MAX 10
#define NOT_EQUAL "::pg_catalog.text OPERATOR(pg_catalog.<>) "
#define LINE_COLUMNS 68 /* with one more place and the end of the list it is less than 100 */

static bool source_has_rows(const LostRelation *relation)
{
    return relation->on_source && relation->table == NULL && relation->place_count > 0;
}

/* NULL: there is a query for the rows. */
static const char *reason_for_no_query(const Lost *lost, const LostRelation *relation)
{
    AUTO_BUFFER Buffer shown = {0};

    if (lost->open_is_unknown)
        return "WAL of wal_level = archive does not tell which transactions were running";
    if (!utf8_is_valid(relation->name))
        return "the name is not valid in UTF-8";
    buffer_shown(&shown, SHOWN_ONE_LINE, "%s", relation->name);
    return strcmp(buffer_string(&shown), relation->name) == 0
               ? NULL
               : "the name has control characters, which a terminal may take for commands";
}

bool source_query_exists(const Lost *lost, const LostRelation *relation)
{
    return source_has_rows(relation) && reason_for_no_query(lost, relation) == NULL;
}

/* An array may have white space before an element. */
static void append_places(const LostRelation *relation, Buffer *text)
{
    size_t line = text->size;

    buffer_append_string(text, "\n  WHERE ctid OPERATOR(pg_catalog.=) ANY ('{");
    for (size_t i = 0; i < relation->place_count; i++)
    {
        if (i > 0)
            buffer_append_u8(text, ',');
        if (text->size - line > LINE_COLUMNS)
        {
            line = text->size;
            buffer_append_string(text, "\n    ");
        }
        buffer_printf(text, "\"(%u,%u)\"", relation->places[i].block, relation->places[i].item);
    }
    buffer_append_string(text, text->size - line > LINE_COLUMNS + 8 ? "\n    }" : "}");
    buffer_append_string(text, "'::pg_catalog.tid[])");
}

/* age() compares numbers as the server does, also where they began again at 3. */
static void append_xmin_condition(const Lost *lost, Buffer *text)
{
    buffer_printf(text,
                  "\n  AND pg_catalog.age(xmin) OPERATOR(pg_catalog.>) "
                  "pg_catalog.age('%u'::pg_catalog.xid)",
                  lost->ended_before);
    if (!lost->version->sql.frozen_xmin)
        buffer_append_string(text, "\n  AND xmin" NOT_EQUAL "'2'::pg_catalog.text");
    for (size_t i = 0; i < lost->open_xid_count; i++)
        buffer_printf(text, i == 0 ? "\n  AND xmin" NOT_EQUAL "ALL ('{%u" : ",%u",
                      lost->open_xids[i]);
    if (lost->open_xid_count > 0)
        buffer_append_string(text, "}'::pg_catalog.text[])");
}

/* All names have their schema and all literals their type: whoever pastes the query may be a
 * superuser, and others may make functions, operators and types in the schemas of search_path. Rows
 * of tables that inherit from the table have the same places. */
void source_query_append(const Lost *lost, const LostRelation *relation, Buffer *text)
{
    buffer_printf(text, "SELECT * FROM ONLY %s", relation->name);
    append_places(relation, text);
    append_xmin_condition(lost, text);
    buffer_append_string(text, "\n  AND ");
    buffer_append_call(text, "pg_relation_filenode", relation->name, "regclass", "");
    buffer_printf(text, "\n    OPERATOR(pg_catalog.=) '%u'::pg_catalog.oid;",
                  relation->id.relation);
}

/* ---- The script ---- */

static uint64_t rows_removed(const LostRelation *relation)
{
    return relation->rows.updated + relation->rows.deleted;
}

static int compare_removed(const void *left, const void *right)
{
    const LostRelation *a = *(const LostRelation *const *) left;
    const LostRelation *b = *(const LostRelation *const *) right;
    const uint64_t a_rows = rows_removed(a), b_rows = rows_removed(b);

    if (a_rows != b_rows)
        return a_rows < b_rows ? 1 : -1;
    return (a->id.relation > b->id.relation) - (a->id.relation < b->id.relation);
}

/* psql has the encoding of the database, or of its environment. A server with SQL_ASCII takes bytes
 * as they are, and would refuse to show rows that are not in another encoding. */
static bool needs_encoding(const Lost *lost, const LostRelation **tables, size_t count)
{
    for (size_t i = 0; i < count && i < SHOWN_MAX; i++)
        if (source_query_exists(lost, tables[i]) && !text_is_ascii(tables[i]->name))
            return lost->connected_encoding != ENCODING_SQL_ASCII;
    return false;
}

static void append_queries(const Lost *lost, const LostRelation **tables, size_t count,
                           Buffer *text)
{
    buffer_append_string(
        text,
        "\n-- Rows as they were before lost transactions deleted or updated them. For psql, on "
        "the\n"
        "-- source: it still has those that it did not change itself. --save-lost-rows keeps all.\n"
        "-- By a role that may read the tables, and no superuser: an owner may have put a view in\n"
        "-- the place of a table, whose functions would run with the rights of who reads it.\n"
        "-- database ");
    utf8_append_comment(text, tables[0]->database != NULL ? tables[0]->database : "not known");
    buffer_append_u8(text, '\n');
    if (needs_encoding(lost, tables, count))
        buffer_append_string(text, "\\encoding UTF8\n");
    for (size_t i = 0; i < count && i < SHOWN_MAX; i++)
    {
        buffer_append_string(text, "-- ");
        utf8_append_comment(text, tables[i]->name);
        buffer_printf(text, ": updated %llu, deleted %llu%s\n",
                      (unsigned long long) tables[i]->rows.updated,
                      (unsigned long long) tables[i]->rows.deleted,
                      tables[i]->has_more_places ? "; only the first places are looked at" : "");
        if (source_query_exists(lost, tables[i]))
            source_query_append(lost, tables[i], text);
        else
            buffer_printf(text, "-- no query: %s", reason_for_no_query(lost, tables[i]));
        buffer_append_u8(text, '\n');
    }
    if (count > SHOWN_MAX)
        buffer_printf(text, "-- and %zu more: --report=json has the query for each\n",
                      count - SHOWN_MAX);
}

void source_queries_text(const Lost *lost, Buffer *text)
{
    const LostRelation **tables;
    size_t found = 0;

    if (lost == NULL)
        return;
    tables = memory_allocate((lost->relation_count + 1) * sizeof(*tables));
    for (size_t i = 0; i < lost->relation_count; i++)
        if (source_has_rows(&lost->relations[i]))
            tables[found++] = &lost->relations[i];
    if (found > 0)
    {
        qsort(tables, found, sizeof(*tables), compare_removed);
        append_queries(lost, tables, found, text);
    }
    free(tables);
}
