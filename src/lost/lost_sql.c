#include "lost/lost_sql.h"

#include "base/text_cursor.h"
#include "format/settings.h"

#include <string.h>

/* ---- Start of the script ---- */

/* Append the part of lost_script.sql that follows the line with this name. */
static void append_script_part(const char *name, Buffer *text)
{
    bool is_within = false;

    for (const char *const *line = lost_script_lines; *line != NULL; line++)
    {
        TextCursor mark = text_cursor(*line);

        if (!text_take(&mark, "--@ "))
            buffer_append_string(text, is_within ? *line : "");
        else
            is_within = text_take(&mark, name);
    }
}

/* Append the settings of a part, each as a line that adds it to the psql variable `settle`, or as a
 * clause of CREATE FUNCTION. */
static void append_script_settings(const char *part, bool to_variable, Buffer *text)
{
    AUTO_BUFFER Buffer settings = {0};
    TextCursor rest, line;

    append_script_part(part, &settings);
    rest = text_cursor(buffer_string(&settings));
    while (text_take_line(&rest, &line))
    {
        buffer_append_string(text, to_variable ? "\\set settle :settle '" : "  ");
        buffer_append_escaped(text, line.position, (size_t) (line.end - line.position),
                              to_variable ? "'" : "", '\'');
        buffer_append_string(text, to_variable ? "\\\\; '\n" : "\n");
    }
}

void lost_script_begin(Buffer *text)
{
    buffer_append_u8(text, '\n');
    append_script_part("head", text);
}

void lost_script_connect(const char *name, Oid number, const Version *version, Buffer *text)
{
    AUTO_BUFFER Buffer value = {0}, quoted = {0};

    /* A connection string: a name alone could be taken for one. psql takes a line break in quotes
     * that begin with ', and what is in them for a name, whose own quotes are taken off afterwards.
     */
    conninfo_append(&value, "dbname", name);
    buffer_append_name(&quoted, buffer_string(&value));
    buffer_append_string(text, "\n" LOST_SCRIPT_UTF8 "\\connect -reuse-previous=on '");
    for (const char *word = buffer_string(&quoted); *word != '\0'; word++)
        if (*word == '\n' || *word == '\r')
            buffer_append_string(text, *word == '\n' ? "\\n" : "\\r");
        else
            buffer_append_escaped(text, word, 1, "'\\", '\\');
    buffer_append_string(text, "'\n");
    append_script_part("session", text);
    if (version->sql.row_security)
        append_script_part("policies", text);
    append_script_part("role", text);
    if (number != 0)
    {
        buffer_printf(text, "SET lost_rows.database = %u;\n", number);
        append_script_part("database", text);
    }
    buffer_append_string(text, "\\set settle\n");
    append_script_settings("settings", true, text);
    append_script_settings("meaning", true, text);
    if (version->sql.row_security)
        append_script_settings("row_security", true, text);
    if (version->sql.transaction_timeout)
        append_script_settings("transaction_timeout", true, text);
    append_script_part("settled", text);
    if (version->sql.publications)
        append_script_part("publications", text);
    append_script_part("applied", text);
    buffer_append_string(text, version->sql.publications ? "\\endif\n" : "");
    append_script_part("functions", text);
    append_script_settings("meaning", false, text);
    append_script_part("holds", text);
}

/* ---- Columns ---- */

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

/* Rule L34: a row has a key if its table has one, and none of the values is NULL: from 18 on a
 * column may be NOT NULL only for new rows. */
static bool row_has_key(const LostRow *row)
{
    const RowText *values = row->change->kind == ROW_INSERT ? &row->new : &row->old;

    for (size_t i = 0; i < row->table->key_count; i++)
        if (values->values[row->table->key[i] - 1].state == ROW_VALUE_NULL)
            return false;
    return row->table->key_count > 0;
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

/* A value as a literal, by the output function of its type: a cast to text may be anybody's. NULL
 * is another literal than an empty text, and than a row of NULLs, of which IS NULL is true, too. */
#define AS_LITERAL "format('%L', "

/* Append a condition. By some collations texts that differ are equal: an index finds a key by that,
 * but where the row must be as it was, the bytes are compared as well. */
static void append_condition(const LostRow *row, const RowText *values, size_t column, bool of_key,
                             Buffer *text)
{
    const Attribute *attribute = &row->table->attributes[column];
    const bool has_equality = row_reader_has_equality(row->reader, attribute->type);
    const bool is_null = values->values[column].state == ROW_VALUE_NULL;

    buffer_append_string(text, has_equality ? "" : AS_LITERAL);
    buffer_append_shown_name(text, attribute->name);
    if (is_null)
    {
        buffer_append_string(text, has_equality ? " IS NULL" : ") = 'NULL'");
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
    buffer_append_string(text, has_equality ? "" : AS_LITERAL "CAST(");
    append_row_literal(values, column, text);
    /* The server writes the text itself: before 12 a float has more digits. Rule L45: a cast to a
     * domain would call its CHECK amid the comparison. */
    if (!has_equality)
        buffer_printf(text, " AS %s))", row->table->types[column].base);
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

void lost_sql_table_arguments(const Table *table, Buffer *text)
{
    buffer_append_literal(text, table->schema, LITERAL_ANY);
    buffer_append_string(text, "::text, ");
    buffer_append_literal(text, table->name, LITERAL_ANY);
    buffer_append_string(text, "::text");
}

static void append_sql(const LostRow *row, const char *sql, Buffer *text)
{
    const Table *table = row->table;
    const char *mark;

    for (; (mark = strchr(sql, '%')) != NULL; sql = mark + 2)
    {
        const char part = mark[1];
        const bool is_list = strchr("cv" DIFFERING_PARTS, part) != NULL;
        bool any = false;

        buffer_append(text, sql, (size_t) (mark - sql));
        if (part == 't')
        {
            buffer_append_shown_name(text, table->schema);
            buffer_append_u8(text, '.');
            buffer_append_shown_name(text, table->name);
        }
        else if (part == 'i')
            buffer_append_string(
                text, row->version->sql.identity_columns ? "OVERRIDING SYSTEM VALUE " : "");
        else
        {
            for (size_t i = 0; i < table->attribute_count; i++)
                any |= append_column(row, part, !any ? "" : is_list ? ", " : " AND ", i, text);
            buffer_append_string(text, any || is_list ? "" : "true");
        }
    }
    buffer_append_string(text, sql);
}

/* ---- Statements ---- */

/* Each is one query: it changes the row only where that still is as the lost transaction found it,
 * and prints a line where it did nothing. */

#define INSERT_COLUMNS "INSERT INTO %t (%c) %i"
/* Locked, since a ctid is not looked at again if somebody changes the row in the meantime. */
#define THE_ROW " WHERE ctid = (SELECT ctid FROM ONLY %t WHERE %o LIMIT 1 FOR UPDATE)"

/* Returns the WHERE clause by which an UPDATE or DELETE finds its row. */
static const char *choose_row(const LostRow *row)
{
    bool has_unknown = false;

    /* With deferrable constraints two rows may have the same key during a transaction. */
    if (row_has_key(row) && !row->table->refuses_on_conflict)
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
    return row_has_key(row) ? INSERT_COLUMNS
               "SELECT %v WHERE NOT EXISTS (SELECT 1 FROM ONLY %t WHERE %m)"
                            : INSERT_COLUMNS "SELECT %v";
}

/* The condition by which a row that was not changed is already as it should be. Which row that is
 * only a key tells: another one may look alike. */
static const char *choose_condition(const LostRow *row)
{
    if (row->change->kind == ROW_INSERT || (row->change->kind == ROW_UPDATE && row_has_key(row)))
        return "EXISTS (SELECT 1 FROM ONLY %t WHERE %n)";
    return row_has_key(row) ? "NOT EXISTS (SELECT 1 FROM ONLY %t WHERE %k)" : "false";
}

/* Columns that get another value. */
#define SOME_DIFFER 1
#define UNIQUE_DIFFER 2   /* a column of a unique index: another row may be in conflict */
#define IDENTITY_DIFFER 4 /* to which no UPDATE gives a value */

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

/* Append the type of a column as four values: schema, name, brackets if it is an array of that
 * type, and modifier. A server quotes other words in the name of a type than another version, so
 * the name as a text cannot be compared. NULL values: a name is not valid in UTF-8, the type is not
 * compared.
 */
static void append_type(const ColumnType *type, Buffer *text)
{
    if (type->schema == NULL || type->name == NULL || !utf8_is_valid(type->schema) ||
        !utf8_is_valid(type->name))
    {
        buffer_append_string(text, "ARRAY[NULL, NULL, NULL, NULL]");
        return;
    }
    buffer_append_string(text, "ARRAY[");
    buffer_append_literal(text, type->schema, LITERAL_ANY);
    buffer_append_string(text, ", ");
    buffer_append_literal(text, type->name, LITERAL_ANY);
    buffer_printf(text, ", '%s', '%d']", type->is_array ? "[]" : "", type->modifier);
}

void lost_sql_check(const Table *table, const TableBefore *before, Buffer *text)
{
    /* Lists of the columns: names, numbers, types; and the names of those of the key. */
    static const char lists[] = "cntk";
    static const char *const types[] = {"text", "integer", "text", "text"};

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
        {
            /* No statement of the script names a column whose name is not valid in UTF-8. */
            if (!is_in_conditions(table, i) || !utf8_is_valid(table->attributes[i].name) ||
                (lists[list] == 'k' && !is_in_key(table, i)))
                continue;
            buffer_append_string(text, separator);
            separator = ", ";
            if (lists[list] == 'n')
                buffer_printf(text, "%zu", i + 1);
            else if (lists[list] == 't')
                append_type(&table->types[i], text);
            else
                buffer_append_literal(text, table->attributes[i].name, LITERAL_ANY);
        }
        buffer_printf(text, "]::%s[]", types[list]);
    }
    buffer_printf(text, ", %s, ", table->refuses_on_conflict ? "true" : "false");
    /* Rule L42: whoever changed a table that was there at the divergence had a right on it. */
    if (before->same || table->owner == NULL)
        buffer_append_string(text, "NULL");
    else
        buffer_append_literal(text, table->owner, LITERAL_ANY);
    buffer_append_string(text, "::text) AS changed \\gset\n");
}

bool lost_sql_row(const LostRow *row, const char *lsn, Buffer *text, const char **reason)
{
    const RowChangeKind kind = row->change->kind;
    const char *key = kind == ROW_INSERT ? "%t WHERE %m" : "%t WHERE %k";
    const bool on_conflict = row->version->sql.on_conflict && !row->table->refuses_on_conflict;
    AUTO_BUFFER Buffer change = {0}, condition = {0}, line = {0};
    unsigned differ = 0;

    if (row->untold != NULL)
        return untold(reason, row->untold);
    if ((kind != ROW_DELETE && !row_is_sayable(row, &row->new, reason)) ||
        (kind != ROW_INSERT && !row_is_sayable(row, &row->old, reason)))
        return false;
    for (size_t i = 0; i < row->table->attribute_count && kind != ROW_DELETE; i++)
        if (kind == ROW_INSERT || column_differs(row, i))
            differ |= SOME_DIFFER | (row->table->unique[i] ? UNIQUE_DIFFER : 0) |
                      (row->table->attributes[i].identity_always ? IDENTITY_DIFFER : 0);
    if (kind == ROW_UPDATE && differ == 0)
        return true;
    append_sql(row,
               kind == ROW_INSERT   ? choose_insert(row)
               : kind == ROW_UPDATE ? "UPDATE ONLY %t SET %s"
                                    : "DELETE FROM ONLY %t",
               &change);
    append_sql(row, kind == ROW_INSERT ? "" : choose_row(row), &change);
    if (kind == ROW_UPDATE && (differ & IDENTITY_DIFFER))
    {
        buffer_append_string(text, "WITH done AS (SELECT 1 WHERE lost_rows.replace(");
        append_replacement(row, text);
        buffer_append_string(text, "))");
    }
    else if ((differ & UNIQUE_DIFFER) && !(kind == ROW_INSERT && on_conflict))
    {
        buffer_append_string(text, "WITH done AS (SELECT 1 WHERE lost_rows.attempt(");
        buffer_append_literal(text, buffer_string(&change), LITERAL_ANY);
        buffer_append_string(text, "::text))");
    }
    else
        buffer_printf(text, "WITH done AS (%s RETURNING 1)", buffer_string(&change));
    buffer_printf(&line, ": %s of ", lost_sql_verbs[kind]);
    append_sql(row, row_has_key(row) ? key : "%t", &line);
    buffer_printf(&line, " (%s)", lsn);
    /* done is looked at first, so that lost_rows.attempt has been called. */
    buffer_append_string(text, "\n  SELECT lost_rows.not_done(");
    append_sql(row, choose_condition(row), &condition);
    buffer_append_string(text, "lost_rows.holds(");
    buffer_append_literal(text, buffer_string(&condition), LITERAL_ANY);
    buffer_append_string(text, "::text), ");
    buffer_append_literal(text, buffer_string(&line), LITERAL_ANY);
    buffer_append_string(text, "::text) WHERE NOT EXISTS (TABLE done);\n");
    /* Rule L12: of the whole statement, since conditions have names of types and generated keys. */
    if (!utf8_is_valid(buffer_string(text)))
        return untold(reason, "a name is not valid in UTF-8");
    return true;
}
