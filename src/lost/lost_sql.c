/*
 * A statement of the file for people. Each is one query: it changes the row only where that still
 * is as the lost transaction found it, and prints a line where it did nothing and should have.
 */
#include "lost/lost_row.h"

#include <string.h>

const char *const lost_sql_verbs[] = {
    [ROW_INSERT] = "INSERT", [ROW_UPDATE] = "UPDATE", [ROW_DELETE] = "DELETE"};

void lost_sql_comment(const char *string, Buffer *text)
{
    for (; *string != '\0'; string++)
        buffer_append_u8(text, (unsigned char) *string < ' ' ? '?' : (uint8_t) *string);
}

static void append_row_table(const LostRow *row, Buffer *text)
{
    buffer_append_name(text, row->table->schema);
    buffer_append_u8(text, '.');
    buffer_append_name(text, row->table->name);
}

/* A column that statements name: the server computes generated ones itself. */
static bool is_named(const Table *table, size_t column)
{
    return table->attributes[column].type != 0 && !table->attributes[column].generated;
}

static bool is_in_key(const Table *table, size_t column)
{
    for (size_t i = 0; i < table->key_count; i++)
        if (table->key[i] == column + 1)
            return true;
    return false;
}

static void append_row_literal(const RowText *values, size_t column, Buffer *text)
{
    if (values->values[column].state == ROW_VALUE_NULL)
        buffer_append_string(text, "NULL");
    else
        buffer_append_literal(text, row_value_text(values, column));
}

/* The condition for one column; an unchanged value is not known, so it is not compared. */
static void append_comparison(const LostRow *row, const RowText *values, size_t column,
                              const char **separator, Buffer *text)
{
    const Attribute *attribute = &row->table->attributes[column];
    const RowValueState state = values->values[column].state;

    if (!is_named(row->table, column) || state == ROW_VALUE_UNCHANGED)
        return;
    buffer_append_string(text, *separator);
    *separator = " AND ";
    buffer_append_name(text, attribute->name);
    if (state == ROW_VALUE_NULL)
    {
        buffer_append_string(text, " IS NULL");
        return;
    }
    if (is_in_key(row->table, column) || row_reader_has_equality(row->reader, attribute->type))
    {
        buffer_append_string(text, " = ");
        append_row_literal(values, column, text);
    }
    else /* the server's own text: before 12 it has more digits than ours */
    {
        buffer_append_string(text, "::text = CAST(");
        append_row_literal(values, column, text);
        buffer_printf(text, " AS %s)::text", row->table->type_names[column]);
    }
}

/* The key's columns come first. */
static void append_row_condition(const LostRow *row, const RowText *values, bool only_key,
                                 Buffer *text)
{
    const char *separator = "";

    for (int in_key = 1; in_key >= (only_key ? 1 : 0); in_key--)
        for (size_t i = 0; i < row->table->attribute_count; i++)
            if (is_in_key(row->table, i) == in_key)
                append_comparison(row, values, i, &separator, text);
    if (separator[0] == '\0')
        buffer_append_string(text, "true");
}

/* " WHERE ..." for the one row that is to be changed. */
static void append_where(const LostRow *row, Buffer *text)
{
    buffer_append_string(text, " WHERE ");
    if (row->table->key_count == 0)
    {
        buffer_append_string(text, "ctid = (SELECT ctid FROM ONLY ");
        append_row_table(row, text);
        buffer_append_string(text, " WHERE ");
    }
    append_row_condition(row, &row->old, false, text);
    if (row->table->key_count == 0)
        buffer_append_string(text, " LIMIT 1)");
}

static void append_insert(const LostRow *row, Buffer *text)
{
    const char *separator = " (";

    buffer_append_string(text, "INSERT INTO ");
    append_row_table(row, text);
    for (size_t i = 0; i < row->table->attribute_count; i++)
    {
        if (!is_named(row->table, i))
            continue;
        buffer_append_string(text, separator);
        separator = ", ";
        buffer_append_name(text, row->table->attributes[i].name);
    }
    if (separator[0] == ' ')
    {
        buffer_append_string(text, " DEFAULT VALUES");
        return;
    }
    /* ON CONFLICT is an error where a constraint is deferrable. */
    buffer_append_string(text, row->table->has_deferrable ? ") OVERRIDING SYSTEM VALUE SELECT"
                                                          : ") OVERRIDING SYSTEM VALUE VALUES");
    separator = row->table->has_deferrable ? " " : " (";
    for (size_t i = 0; i < row->table->attribute_count; i++)
    {
        if (!is_named(row->table, i))
            continue;
        buffer_append_string(text, separator);
        separator = ", ";
        append_row_literal(&row->new, i, text);
    }
    if (!row->table->has_deferrable)
        buffer_append_string(text, ") ON CONFLICT DO NOTHING");
    else if (row->table->key_count > 0)
    {
        buffer_append_string(text, " WHERE NOT EXISTS (SELECT 1 FROM ONLY ");
        append_row_table(row, text);
        buffer_append_string(text, " WHERE ");
        append_row_condition(row, &row->new, true, text);
        buffer_append_u8(text, ')');
    }
}

static bool column_differs(const LostRow *row, size_t column)
{
    const RowValueState old = row->old.values[column].state, new = row->new.values[column].state;

    return is_named(row->table, column) &&
           (old != new ||
            (old == ROW_VALUE_TEXT &&
             strcmp(row_value_text(&row->old, column), row_value_text(&row->new, column)) != 0));
}

/* Another row may be in the way of the new values. */
static bool update_may_collide(const LostRow *row)
{
    for (size_t i = 0; i < row->table->attribute_count; i++)
        if (row->table->unique[i] && column_differs(row, i))
            return true;
    return false;
}

/* The columns that differ. False: none does. */
static bool append_update(const LostRow *row, Buffer *text)
{
    const char *separator = " SET ";

    buffer_append_string(text, "UPDATE ONLY ");
    append_row_table(row, text);
    for (size_t i = 0; i < row->table->attribute_count; i++)
    {
        if (!column_differs(row, i))
            continue;
        buffer_append_string(text, separator);
        separator = ", ";
        buffer_append_name(text, row->table->attributes[i].name);
        buffer_append_string(text, " = ");
        append_row_literal(&row->new, i, text);
    }
    append_where(row, text);
    return separator[0] == ',';
}

static bool row_is_sayable(const LostRow *row, const RowText *values, const char **reason)
{
    for (size_t i = 0; i < row->table->attribute_count; i++)
    {
        const RowValue *value = &values->values[i];

        if (!is_named(row->table, i))
            continue;
        if (value->state == ROW_VALUE_UNTOLD)
            return untold(reason, value->reason);
        if (value->state == ROW_VALUE_BINARY)
            return untold(reason, "the text of a value is not known");
    }
    return true;
}

/* The line that is printed where the statement did nothing, unless the row is as it should be. */
static void append_conflict(const LostRow *row, const char *verb, const char *lsn, Buffer *text)
{
    const bool has_key = row->table->key_count > 0;
    AUTO_BUFFER Buffer line = {0};

    buffer_printf(&line, "conflict: %s of ", verb);
    append_row_table(row, &line);
    if (has_key)
    {
        buffer_append_string(&line, " WHERE ");
        append_row_condition(row, row->change->kind == ROW_INSERT ? &row->new : &row->old, true,
                             &line);
    }
    buffer_printf(&line, " (%s)", lsn);
    buffer_append_string(text, "\n  SELECT ");
    buffer_append_literal(text, buffer_string(&line));
    if (row->change->kind == ROW_DELETE && !has_key)
        buffer_append_string(text, " WHERE NOT EXISTS (TABLE done);\n");
    else
    {
        /* In this order: lost_rows.attempt is to be called first. */
        buffer_append_string(text, row->change->kind == ROW_DELETE
                                       ? " WHERE CASE WHEN EXISTS (TABLE done) THEN false\n"
                                         "  ELSE EXISTS (SELECT 1 FROM ONLY "
                                       : " WHERE CASE WHEN EXISTS (TABLE done) THEN false\n"
                                         "  ELSE NOT EXISTS (SELECT 1 FROM ONLY ");
        append_row_table(row, text);
        buffer_append_string(text, " WHERE ");
        append_row_condition(row, row->change->kind == ROW_DELETE ? &row->old : &row->new,
                             row->change->kind == ROW_DELETE, text);
        buffer_append_string(text, ") END;\n");
    }
}

bool lost_sql_row(const LostRow *row, const char *lsn, Buffer *text, const char **reason)
{
    const RowChangeKind kind = row->change->kind;
    AUTO_BUFFER Buffer statement = {0};

    if (row->untold != NULL)
        return untold(reason, row->untold);
    if ((kind != ROW_DELETE && !row->new.known) || (kind != ROW_INSERT && !row->old.known))
        return untold(reason, "the row is not known");
    if ((kind != ROW_DELETE && !row_is_sayable(row, &row->new, reason)) ||
        (kind != ROW_INSERT && !row_is_sayable(row, &row->old, reason)))
        return false;
    if (kind == ROW_INSERT)
        append_insert(row, &statement);
    else if (kind == ROW_UPDATE && !append_update(row, &statement))
        return true;
    else if (kind == ROW_DELETE)
    {
        buffer_append_string(&statement, "DELETE FROM ONLY ");
        append_row_table(row, &statement);
        append_where(row, &statement);
    }
    if (kind == ROW_UPDATE && update_may_collide(row))
    {
        buffer_append_string(text, "WITH done AS (SELECT 1 WHERE lost_rows.attempt(");
        buffer_append_literal(text, buffer_string(&statement));
        buffer_append_string(text, "))");
    }
    else
        buffer_printf(text, "WITH done AS (%s RETURNING 1)", buffer_string(&statement));
    append_conflict(row, lost_sql_verbs[kind], lsn, text);
    return true;
}
