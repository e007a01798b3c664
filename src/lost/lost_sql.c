/*
 * A statement of the file for people. Each is one query: it changes the row only where that still
 * is as the lost transaction found it, and prints a line where it did nothing and should have.
 */
#include "lost/lost_row.h"

#include "base/text_cursor.h"

#include <string.h>

const char *const lost_sql_verbs[] = {
    [ROW_INSERT] = "INSERT", [ROW_UPDATE] = "UPDATE", [ROW_DELETE] = "DELETE"};

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

/* A column that conditions name: a key may have generated ones. */
static bool is_in_conditions(const Table *table, size_t column)
{
    return is_named(table, column) ||
           (table->attributes[column].type != 0 && is_in_key(table, column));
}

static bool column_differs(const LostRow *row, size_t column)
{
    const RowValueState old = row->old.values[column].state, new = row->new.values[column].state;

    return is_named(row->table, column) &&
           (old != new ||
            (old == ROW_VALUE_TEXT &&
             strcmp(row_value_text(&row->old, column), row_value_text(&row->new, column)) != 0));
}

/* ---- Parts of statements ---- */

/*
 * The parts of a statement that the row makes, each a letter after "%": t the table, c its columns,
 * v their new values; of the columns that differ: s the assignments, d the names as literals, w the
 * new values; and conditions: the row is as the old one (o) or the new one (n), or has the key of
 * the old one (k) or of the new one (m). i: the words that let an INSERT give values to identity
 * columns, where the server has such columns.
 */

static void append_row_literal(const RowText *values, size_t column, Buffer *text)
{
    if (values->values[column].state == ROW_VALUE_NULL)
        buffer_append_string(text, "NULL");
    else
        buffer_append_literal(text, row_value_text(values, column), LITERAL_ANY);
}

/* A value as text, by the output function of its type: a cast to text may be anybody's. */
#define AS_TEXT "format('%s', "

/* Append a condition. By some collations texts that differ are equal: an index finds a key by that,
 * but where the row must be as it was, the bytes are compared as well. */
static void append_condition(const LostRow *row, const RowText *values, size_t column, bool of_key,
                             Buffer *text)
{
    const Attribute *attribute = &row->table->attributes[column];
    const bool has_equality = row_reader_has_equality(row->reader, attribute->type);
    const bool is_null = values->values[column].state == ROW_VALUE_NULL;

    buffer_append_string(text, has_equality || is_null ? "" : AS_TEXT);
    buffer_append_shown_name(text, attribute->name);
    if (is_null)
    {
        buffer_append_string(text, " IS NULL");
        return;
    }
    if (attribute->nondeterministic && has_equality && is_in_key(row->table, column))
    {
        buffer_append_string(text, " = ");
        append_row_literal(values, column, text);
        if (of_key)
            return;
        buffer_append_string(text, " AND ");
        buffer_append_shown_name(text, attribute->name);
    }
    buffer_append_string(text, has_equality ? "" : ")");
    buffer_append_string(text, attribute->nondeterministic ? " COLLATE \"C\" = " : " = ");
    buffer_append_string(text, has_equality ? "" : AS_TEXT "CAST(");
    append_row_literal(values, column, text);
    if (!has_equality) /* as text it is the server's own: before 12 it has more digits than ours */
        buffer_printf(text, " AS %s))", row->table->type_names[column]);
}

#define DIFFERING_PARTS "sdw"

/* Append the piece of one column, separated from the one before it. */
static bool append_column(const LostRow *row, char part, const char *separator, size_t column,
                          Buffer *text)
{
    const bool of_key = part == 'k' || part == 'm';
    const bool is_condition = of_key || part == 'o' || part == 'n';
    const RowText *values = part == 'o' || part == 'k' ? &row->old : &row->new;

    /* An unchanged value is not known, so it is not compared. */
    if (!(is_condition ? is_in_conditions : is_named)(row->table, column) ||
        (of_key && !is_in_key(row->table, column)) ||
        (is_condition && values->values[column].state == ROW_VALUE_UNCHANGED) ||
        (strchr(DIFFERING_PARTS, part) != NULL && !column_differs(row, column)))
        return false;
    buffer_append_string(text, separator);
    if (is_condition)
    {
        append_condition(row, values, column, of_key, text);
        return true;
    }
    if (part == 'd')
        buffer_append_literal(text, row->table->attributes[column].name, LITERAL_ANY);
    if (part == 'c' || part == 's')
        buffer_append_shown_name(text, row->table->attributes[column].name);
    if (part == 's')
        buffer_append_string(text, " = ");
    if (part == 's' || part == 'v' || part == 'w')
        append_row_literal(values, column, text);
    return true;
}

void lost_sql_table(const Table *table, Buffer *text)
{
    buffer_append_shown_name(text, table->schema);
    buffer_append_u8(text, '.');
    buffer_append_shown_name(text, table->name);
}

void lost_sql_table_arguments(const Table *table, Buffer *text)
{
    buffer_append_literal(text, table->schema, LITERAL_ANY);
    buffer_append_string(text, "::text, ");
    buffer_append_literal(text, table->name, LITERAL_ANY);
    buffer_append_string(text, "::text");
}

static void append_sql_part(const LostRow *row, char part, Buffer *text)
{
    const bool is_list = strchr("cv" DIFFERING_PARTS, part) != NULL;
    bool any = false;

    if (part == 't')
        lost_sql_table(row->table, text);
    if (part == 'i' && row->version->sql.identity_columns)
        buffer_append_string(text, "OVERRIDING SYSTEM VALUE ");
    if (part == 't' || part == 'i')
        return;
    for (size_t i = 0; i < row->table->attribute_count; i++)
        any |= append_column(row, part, !any ? "" : is_list ? ", " : " AND ", i, text);
    if (!any && !is_list)
        buffer_append_string(text, "true");
}

static void append_sql(const LostRow *row, const char *sql, Buffer *text)
{
    const char *part;

    for (; (part = strchr(sql, '%')) != NULL; sql = part + 2)
    {
        buffer_append(text, sql, (size_t) (part - sql));
        append_sql_part(row, part[1], text);
    }
    buffer_append_string(text, sql);
}

/* ---- Statements ---- */

#define INSERT_COLUMNS "INSERT INTO %t (%c) %i"
/* Locked, since a ctid is not looked at again if somebody changes the row in the meantime. */
#define THE_ROW " WHERE ctid = (SELECT ctid FROM ONLY %t WHERE %o LIMIT 1 FOR UPDATE)"
/* In this order: lost_rows.attempt is to be called first. */
#define NOT_DONE " WHERE CASE WHEN EXISTS (TABLE done) THEN false\n  ELSE "

/* Which row an UPDATE or DELETE changes. */
static const char *choose_row(const LostRow *row)
{
    bool has_unknown = false;

    /* Where constraints are deferrable, two rows may have one key amid a transaction. */
    if (row->table->key_count > 0 && !row->table->refuses_on_conflict)
        return " WHERE %o";
    for (size_t i = 0; i < row->table->attribute_count && row->change->kind == ROW_UPDATE; i++)
        has_unknown |= row->new.values[i].state == ROW_VALUE_UNCHANGED;
    return has_unknown ? THE_ROW " AND (SELECT count(*) FROM ONLY %t WHERE %o) = 1" : THE_ROW;
}

static const char *choose_insert(const LostRow *row)
{
    bool has_columns = false;

    for (size_t i = 0; i < row->table->attribute_count; i++)
        has_columns |= is_named(row->table, i);
    if (!has_columns)
        return "INSERT INTO %t DEFAULT VALUES";
    if (row->version->sql.on_conflict && !row->table->refuses_on_conflict)
        return INSERT_COLUMNS "VALUES (%v) ON CONFLICT DO NOTHING";
    return row->table->key_count == 0 ? INSERT_COLUMNS "SELECT %v"
                                      : INSERT_COLUMNS
               "SELECT %v WHERE NOT EXISTS (SELECT 1 FROM ONLY %t WHERE %m)";
}

static void append_change(const LostRow *row, Buffer *text)
{
    const RowChangeKind kind = row->change->kind;

    if (kind == ROW_INSERT)
        append_sql(row, choose_insert(row), text);
    else
    {
        append_sql(row, kind == ROW_UPDATE ? "UPDATE ONLY %t SET %s" : "DELETE FROM ONLY %t", text);
        append_sql(row, choose_row(row), text);
    }
}

/* The line is printed if the change did nothing and the row is not as it should be either. Which
 * row that is only a key tells: another one may look alike. */
static const char *choose_condition(const LostRow *row)
{
    if (row->change->kind == ROW_INSERT ||
        (row->change->kind == ROW_UPDATE && row->table->key_count > 0))
        return NOT_DONE "NOT EXISTS (SELECT 1 FROM ONLY %t WHERE %n) END";
    return row->table->key_count > 0 ? NOT_DONE "EXISTS (SELECT 1 FROM ONLY %t WHERE %k) END"
                                     : " WHERE NOT EXISTS (TABLE done)";
}

static bool columns_differ(const LostRow *row)
{
    for (size_t i = 0; i < row->table->attribute_count; i++)
        if (column_differs(row, i))
            return true;
    return false;
}

/* Another row may be in the way of the new one, and the statement itself would make that an error.
 */
static bool may_violate(const LostRow *row)
{
    const RowChangeKind kind = row->change->kind;

    if (kind == ROW_DELETE ||
        (kind == ROW_INSERT && row->version->sql.on_conflict && !row->table->refuses_on_conflict))
        return false;
    for (size_t i = 0; i < row->table->attribute_count; i++)
        if (row->table->unique[i] && (kind == ROW_INSERT || column_differs(row, i)))
            return true;
    return false;
}

/* No UPDATE gives a value to such a column. */
static bool changes_identity(const LostRow *row)
{
    for (size_t i = 0; i < row->table->attribute_count; i++)
        if (row->change->kind == ROW_UPDATE && row->table->attributes[i].identity_always &&
            column_differs(row, i))
            return true;
    return false;
}

/* Append the arguments of lost_rows.replace, which does what the UPDATE would. */
static void append_replacement(const LostRow *row, Buffer *text)
{
    AUTO_BUFFER Buffer which = {0}, values = {0};

    append_sql(row, choose_row(row), &which);
    append_sql(row, "%w", &values);
    lost_sql_table_arguments(row->table, text);
    buffer_append_string(text, ",\n  ");
    buffer_append_literal(text, buffer_string(&which), LITERAL_ANY);
    append_sql(row, "::text, ARRAY[%d]::text[], ", text);
    buffer_append_literal(text, buffer_string(&values), LITERAL_ANY);
    buffer_append_string(text, "::text");
}

static bool row_is_sayable(const LostRow *row, const RowText *values, const char **reason)
{
    if (!values->known)
        return untold(reason, "the row is not known");
    for (size_t i = 0; i < row->table->attribute_count; i++)
    {
        const RowValue *value = &values->values[i];

        if (!is_in_conditions(row->table, i))
            continue;
        if (value->state == ROW_VALUE_UNCHANGED && is_in_key(row->table, i))
            return untold(reason, "a TOASTed value of its key did not change and is not known");
        if (value->state == ROW_VALUE_UNTOLD)
            return untold(reason, value->reason);
        if (value->state == ROW_VALUE_STORED)
            return untold(reason, "the text of a value is too long");
        if (value->state == ROW_VALUE_BINARY)
            return untold(reason, "the text of a value is not known");
    }
    return true;
}

/* A type whose name is not valid in UTF-8 is not compared. */
static void append_check_item(const Table *table, size_t column, char list, Buffer *text)
{
    const char *type = table->type_names[column];

    if (list == 'n')
        buffer_printf(text, "%zu", column + 1);
    else if (list == 'c')
        buffer_append_literal(text, table->attributes[column].name, LITERAL_ANY);
    else if (utf8_is_valid(type))
        buffer_append_literal(text, type, LITERAL_ANY);
    else
        buffer_append_string(text, "NULL");
}

void lost_sql_check(const Table *table, const TableBefore *before, Buffer *text)
{
    static const char lists[] = "cnt"; /* of the columns: names, numbers, types */
    static const char *const types[] = {"text", "integer", "text"};

    buffer_append_string(text, "SELECT lost_rows.check_table(");
    lost_sql_table_arguments(table, text);
    if (before->number != 0)
        buffer_printf(text, ", %u::oid, %s", before->number, before->same ? "true" : "false");
    else
        buffer_append_string(text, ", NULL::oid, true");
    buffer_printf(text, ", %u", before->columns);
    for (size_t list = 0; lists[list] != '\0'; list++)
    {
        const char *separator = "";

        buffer_append_string(text, ",\n  ARRAY[");
        for (size_t i = 0; i < table->attribute_count; i++)
            if (is_in_conditions(table, i))
            {
                buffer_append_string(text, separator);
                append_check_item(table, i, lists[list], text);
                separator = ", ";
            }
        buffer_printf(text, "]::%s[]", types[list]);
    }
    buffer_append_string(text, ") AS changed \\gset\n");
}

bool lost_sql_row(const LostRow *row, const char *lsn, Buffer *text, const char **reason)
{
    const RowChangeKind kind = row->change->kind;
    const char *key = kind == ROW_INSERT ? "%t WHERE %m" : "%t WHERE %k";
    AUTO_BUFFER Buffer change = {0}, line = {0};

    if (row->untold != NULL)
        return untold(reason, row->untold);
    if ((kind != ROW_DELETE && !row_is_sayable(row, &row->new, reason)) ||
        (kind != ROW_INSERT && !row_is_sayable(row, &row->old, reason)))
        return false;
    if (kind == ROW_UPDATE && !columns_differ(row))
        return true;
    append_change(row, &change);
    if (!utf8_is_valid(buffer_string(&change)))
        return untold(reason, "a name is not valid in UTF-8");
    if (changes_identity(row))
    {
        buffer_append_string(text, "WITH done AS (SELECT 1 WHERE lost_rows.replace(");
        append_replacement(row, text);
        buffer_append_string(text, "))");
    }
    else if (may_violate(row))
    {
        buffer_append_string(text, "WITH done AS (SELECT 1 WHERE lost_rows.attempt(");
        buffer_append_literal(text, buffer_string(&change), LITERAL_ANY);
        buffer_append_string(text, "::text))");
    }
    else
        buffer_printf(text, "WITH done AS (%s RETURNING 1)", buffer_string(&change));
    buffer_printf(&line, "conflict: %s of ", lost_sql_verbs[kind]);
    append_sql(row, row->table->key_count > 0 ? key : "%t", &line);
    buffer_printf(&line, " (%s)", lsn);
    buffer_append_string(text, "\n  SELECT ");
    buffer_append_literal(text, buffer_string(&line), LITERAL_ANY);
    append_sql(row, choose_condition(row), text);
    buffer_append_string(text, ";\n");
    return true;
}
