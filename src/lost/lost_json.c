/*
 * A line of the file for programs: the words of wal2json's format 2. Where a value cannot stand as
 * wal2json would give it, its column has another key instead of "value".
 */
#include "lost/lost_row.h"

#include <string.h>

Json lost_json_begin(Buffer *text, const char *action)
{
    Json json = {.text = text, .one_line = true};

    json_open(&json, '{');
    json_string(&json, "action", action);
    return json;
}

void lost_json_end(Json *json)
{
    json_close(json, '}');
    buffer_append_u8(json->text, '\n');
}

static void append_json_value(Json *json, Oid type, const char *text)
{
    /* bigint, smallint, integer, oid, real, double precision, numeric (catalog/pg_type.dat) */
    static const Oid numbers[] = {20, 21, 23, 26, 700, 701, 1700};
    bool is_number = false;

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        is_number |= type == numbers[i];
    /* NaN and Infinity are no numbers of JSON, and null is another value. */
    if (is_number && strspn(text, "0123456789+-eE.") == strlen(text))
        json_decimal(json, "value", text);
    else if (type == 16)
        json_bool(json, "value", text[0] == 't');
    else
        json_string(json, "value", text);
}

static void append_row(Json *json, const char *key, const Table *table, const RowText *row)
{
    const size_t count = table->attribute_count;
    size_t left = 0, column = 0;

    for (size_t i = 0; i < count; i++)
        left += table->attributes[i].type != 0;
    for (size_t i = 0; json_each(json, key, true, i, left); i++, column++)
    {
        while (table->attributes[column].type == 0)
            column++;
        const RowValue *value = &row->values[column];
        json_string(json, "name", table->attributes[column].name);
        json_string(json, "type", table->type_names[column]);
        if (value->state == ROW_VALUE_NULL)
            json_null(json, "value");
        else if (value->state == ROW_VALUE_UNCHANGED)
            json_bool(json, "unchanged", true);
        else if (value->state == ROW_VALUE_UNTOLD)
            json_string(json, "unknown", value->reason);
        else if (value->state == ROW_VALUE_TEXT)
            append_json_value(json, table->attributes[column].type, row_value_text(row, column));
        else
        {
            json_string(json, "value", row_value_text(row, column));
            json_string(json, "encoding", "binary");
        }
    }
}

void lost_json_row(const LostRow *row, const char *lsn, Buffer *text)
{
    static const char *const actions[] = {
        [ROW_INSERT] = "I", [ROW_UPDATE] = "U", [ROW_DELETE] = "D"};
    Json json = lost_json_begin(text, actions[row->change->kind]);

    json_number(&json, "xid", row->xid);
    json_string(&json, "lsn", lsn);
    json_string(&json, "schema", row->table->schema);
    json_string(&json, "table", row->table->name);
    if (row->new.known && row->change->kind != ROW_DELETE)
        append_row(&json, "columns", row->table, &row->new);
    if (row->old.known && row->change->kind != ROW_INSERT)
        append_row(&json, "identity", row->table, &row->old);
    if (row->untold != NULL)
        json_string(&json, "unknown", row->untold);
    lost_json_end(&json);
}
