#include "lost/lost_row.h"

#include "base/array.h"
#include "lost/base_types.h"

#include <stdlib.h>
#include <string.h>

/* A row of a TOAST table: a piece of a value. */
typedef struct Chunk
{
    Oid relation, value;
    uint32_t sequence;
    Slice data;
} Chunk;

#define TYPE_BOOL 16
#define CHUNK_KEY_SIZE (3 * sizeof(uint32_t)) /* relation, value, sequence */

struct RowReader
{
    Schema *schema;
    Moment moment;
    Oid database;       /* database whose types and encoding are in use */
    iconv_t conversion; /* conversion for values */
    Chunk *chunks;      /* sorted */
    size_t chunk_count;
    ValueReader values;
    LostRow row;
    Slice stored[2][HEAP_TUPLE_ATTRIBUTES_MAX];
};

static bool split_stored_row(const Table *table, Slice bytes, Slice *stored, const char **reason)
{
    HeapTuple tuple;

    return bytes.bytes != NULL && heap_tuple_parse(bytes, 0, &tuple, reason) &&
           heap_tuple_split(&tuple, table->attributes, table->attribute_count, stored, reason);
}

/* ---- TOASTed values ---- */

static int compare_chunks(const void *left, const void *right)
{
    return memcmp(left, right, CHUNK_KEY_SIZE);
}

/* A ToastChunkFunction. */
static Slice find_toast_chunk(void *context, const Varlena *pointer, uint32_t sequence)
{
    const RowReader *reader = context;
    const Chunk key = {pointer->relation, pointer->value, sequence, {NULL, 0}};
    const Chunk *found = ARRAY_FIND(&key, reader->chunks, reader->chunk_count, compare_chunks);

    return found != NULL ? found->data : (Slice){NULL, 0};
}

void row_reader_begin(RowReader *reader, const LostCommit *commit)
{
    reader->moment.commit = commit;
    free(reader->chunks);
    reader->chunks = NULL;
    reader->chunk_count = 0;
    for (const LostChange *link = commit->first; link != NULL; link = link->after)
    {
        const RowChange *change = &link->row;
        const char *reason;
        const Table *table;
        Slice values[3]; /* chunk_id, chunk_seq, chunk_data */
        Varlena data;

        reader->moment.lsn = change->lsn;
        table = schema_table(reader->schema, &change->relation, reader->moment, &reason);
        if (table != NULL && table->kind == 't' && table->attribute_count == 3 &&
            split_stored_row(table, change->kind == ROW_DELETE ? change->old : change->new, values,
                             &reason) &&
            values[0].size == 4 && values[1].size == 4 && values[2].bytes != NULL &&
            varlena_parse(values[2], &data, &reason) && data.kind == VARLENA_PLAIN)
            ARRAY_ADD(reader->chunks, reader->chunk_count,
                      (Chunk){table->oid, load_u32(values[0].bytes), load_u32(values[1].bytes),
                              data.content});
    }
    ARRAY_SORT(reader->chunks, reader->chunk_count, compare_chunks);
    reader->moment.lsn = commit->lsn;
}

/* ---- Rows ---- */

/* A TypeFunction. */
static const Type *find_moment_type(void *context, Oid type)
{
    RowReader *reader = context;

    return schema_type(reader->schema, reader->database, type, reader->moment);
}

RowReader *row_reader_create(const Version *version, Schema *schema)
{
    RowReader *reader = memory_allocate_zeroed(1, sizeof(*reader));

    reader->schema = schema;
    reader->values = (ValueReader){.version = version,
                                   .type = find_moment_type,
                                   .context = reader,
                                   .toast = {find_toast_chunk, reader}};
    reader->row.reader = reader;
    reader->row.version = version;
    return reader;
}

void row_reader_free(RowReader *reader)
{
    if (reader == NULL)
        return;
    buffer_free(&reader->row.old.text);
    buffer_free(&reader->row.new.text);
    free(reader->chunks);
    free(reader);
}

/* A PieceFunction that does nothing: are all pieces there? */
static bool skip_piece(void *context, Slice piece)
{
    (void) context, (void) piece;
    return true;
}

static void make_value(RowReader *reader, const Attribute *attribute, Slice stored, RowText *row,
                       RowValue *value)
{
    /* All texts of a row together have a limit, and so has this one by its value's size. */
    const size_t left = row->text.size < ROW_TEXT_MAX ? ROW_TEXT_MAX - row->text.size : 1;
    size_t size = stored.size;
    AUTO_BUFFER Buffer copy = {0};
    ValueEncoding encoding;
    Varlena varlena;

    *value = (RowValue){.state = ROW_VALUE_NULL, .offset = row->text.size};
    if (attribute->type == 0 || stored.bytes == NULL)
        return;
    value->state = ROW_VALUE_UNTOLD;
    if (attribute->storage.length == -1)
    {
        if (!varlena_parse(stored, &varlena, &value->reason) ||
            !varlena_pieces(&varlena, &reader->values.toast, skip_piece, NULL, &value->reason))
            return;
        size = varlena.kind == VARLENA_EXTERNAL ? varlena.stored_size : varlena.content.size;
    }
    size = VALUE_TEXT_SHORT + VALUE_GROWTH_MAX * size;
    reader->values.text_size_max = size < left ? size : left;
    if (!value_text(&reader->values, attribute, stored, &row->text, &encoding, &value->reason))
        return;
    if (encoding == VALUE_STORED)
    {
        value->state = ROW_VALUE_STORED;
        value->stored = stored;
        return;
    }
    value->state = encoding == VALUE_TEXT ? ROW_VALUE_TEXT : ROW_VALUE_BINARY;
    if (encoding == VALUE_TEXT && !encoding_convert(reader->conversion, &row->text, value->offset))
    {
        value->state = ROW_VALUE_BINARY;
        buffer_append(&copy, row->text.bytes + value->offset, row->text.size - value->offset);
        row->text.size = value->offset;
        append_hex(&row->text, (Slice){copy.bytes, copy.size});
    }
    buffer_append_u8(&row->text, '\0');
}

const LostRow *row_reader_read(RowReader *reader, const RowChange *change, const Table *table)
{
    LostRow *row = &reader->row;
    RowText *const texts[] = {&row->old, &row->new};
    const Slice bytes[] = {change->old, change->new};

    reader->moment.lsn = change->lsn;
    reader->database = table->database;
    reader->conversion =
        schema_snapshot(reader->schema, table->database, reader->moment).conversion;
    row->change = change;
    row->table = table;
    row->untold = change->unknown;
    for (int i = 0; i < 2; i++)
    {
        buffer_clear(&texts[i]->text);
        texts[i]->known = split_stored_row(table, bytes[i], reader->stored[i], &row->untold);
    }
    for (size_t column = 0; column < table->attribute_count; column++)
    {
        const Attribute *attribute = &table->attributes[column];
        const Slice old = reader->stored[0][column], new = reader->stored[1][column];
        const char *reason;
        Varlena value;
        const bool unchanged =
            row->old.known && row->new.known && attribute->storage.length == -1 &&
            old.bytes != NULL &&new.bytes != NULL &&old.size ==
                new.size &&memcmp(old.bytes, new.bytes, old.size) == 0 &&
            varlena_parse(old, &value, &reason) && value.kind == VARLENA_EXTERNAL;

        for (int i = 0; i < 2; i++)
        {
            if (unchanged)
                texts[i]->values[column] = (RowValue){.state = ROW_VALUE_UNCHANGED};
            else if (texts[i]->known)
                make_value(reader, attribute, reader->stored[i][column], texts[i],
                           &texts[i]->values[column]);
        }
    }
    return row;
}

const char *row_value_text(const RowText *row, size_t index)
{
    return (const char *) row->text.bytes + row->values[index].offset;
}

bool row_reader_has_equality(RowReader *reader, Oid oid)
{
    const Type *type = find_moment_type(reader, oid);

    for (int depth = 0; type != NULL && type->kind == 'd' && depth < 32; depth++)
        type = find_moment_type(reader, type->inner);
    return type != NULL && base_type_kind(type->oid) != BASE_OTHER;
}

/* ---- A line of the file for programs ---- */

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

typedef struct StoredWriter
{
    LostFile *file;
    Error *error;
} StoredWriter;

/* A PieceFunction. */
static bool append_hex_piece(void *context, Slice piece)
{
    const StoredWriter *writer = context;

    append_hex(&writer->file->text, piece);
    return lost_file_flush(writer->file, writer->error);
}

/* Append a value's stored bytes, in hexadecimal. */
static bool append_stored(Json *json, const LostRow *row, size_t column, Slice stored,
                          LostFile *file, Error *error)
{
    StoredWriter writer = {file, error};
    bool compressed = false, good;
    const char *reason;
    Varlena varlena;

    json_decimal(json, "value", "\"");
    if (row->table->attributes[column].storage.length != -1)
        good = append_hex_piece(&writer, stored);
    else
    {
        good = varlena_parse(stored, &varlena, &reason) &&
               varlena_pieces(&varlena, &row->reader->values.toast, append_hex_piece, &writer,
                              &reason);
        compressed = varlena.kind == VARLENA_COMPRESSED ||
                     (varlena.kind == VARLENA_EXTERNAL && varlena.stored_size < varlena.raw_size);
    }
    buffer_append_u8(json->text, '"');
    json_string(json, "encoding", "binary");
    if (compressed)
        json_bool(json, "compressed", true);
    return good;
}

static bool append_row_value(Json *json, const LostRow *row, const RowText *values, size_t column,
                             LostFile *file, Error *error)
{
    const RowValue *value = &values->values[column];
    const Oid type = row->table->attributes[column].type;
    const char *text = value->state == ROW_VALUE_TEXT || value->state == ROW_VALUE_BINARY
                           ? row_value_text(values, column)
                           : NULL;

    switch (value->state)
    {
    case ROW_VALUE_NULL:
        json_null(json, "value");
        break;
    case ROW_VALUE_UNCHANGED:
        json_bool(json, "unchanged", true);
        break;
    case ROW_VALUE_UNTOLD:
        json_string(json, "unknown", value->reason);
        break;
    case ROW_VALUE_STORED:
        return append_stored(json, row, column, value->stored, file, error);
    case ROW_VALUE_BINARY:
        json_string(json, "value", text);
        json_string(json, "encoding", "binary");
        break;
    case ROW_VALUE_TEXT: /* NaN and Infinity are no numbers of JSON, and null is another value */
        if (base_type_kind(type) == BASE_NUMBER && strspn(text, "0123456789+-eE.") == strlen(text))
            json_decimal(json, "value", text);
        else if (type == TYPE_BOOL)
            json_bool(json, "value", text[0] == 't');
        else
            json_string(json, "value", text);
        break;
    }
    return true;
}

/* The words of wal2json's format 2. Where a value cannot stand as wal2json would give it, its
 * column has another key instead of "value". */
static bool append_row(Json *json, const char *key, const LostRow *row, const RowText *values,
                       LostFile *file, Error *error)
{
    const Table *table = row->table;
    size_t left = 0, column = 0;

    for (size_t i = 0; i < table->attribute_count; i++)
        left += table->attributes[i].type != 0;
    for (size_t i = 0; json_each(json, key, true, i, left); i++, column++)
    {
        while (table->attributes[column].type == 0)
            column++;
        json_string(json, "name", table->attributes[column].name);
        json_string(json, "type", table->types[column].text);
        if (!append_row_value(json, row, values, column, file, error) ||
            !lost_file_flush(file, error))
            return false;
    }
    return true;
}

bool lost_json_row(const LostRow *row, const char *lsn, LostFile *file, Error *error)
{
    static const char *const actions[] = {
        [ROW_INSERT] = "I", [ROW_UPDATE] = "U", [ROW_DELETE] = "D"};
    Json json = lost_json_begin(&file->text, actions[row->change->kind]);

    json_number(&json, "xid", row->reader->moment.commit->xid);
    json_string(&json, "lsn", lsn);
    json_string(&json, "schema", row->table->schema);
    json_string(&json, "table", row->table->name);
    if ((row->new.known && row->change->kind != ROW_DELETE &&
         !append_row(&json, "columns", row, &row->new, file, error)) ||
        (row->old.known && row->change->kind != ROW_INSERT &&
         !append_row(&json, "identity", row, &row->old, file, error)))
        return false;
    if (row->untold != NULL)
        json_string(&json, "unknown", row->untold);
    lost_json_end(&json);
    return true;
}
