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

struct RowReader
{
    const RowChanges *changes;
    Schema *schema;
    Moment moment;
    Oid database;       /* whose types and encoding are in use */
    iconv_t conversion; /* of values */
    Chunk *chunks;      /* sorted */
    size_t chunk_count;
    ValueReader values;
    LostRow row;
    Slice stored[2][HEAP_TUPLE_ATTRIBUTES_MAX];
};

/* ---- TOASTed values ---- */

static int compare_chunks(const void *left, const void *right)
{
    const Chunk *a = left, *b = right;

    if (a->relation != b->relation)
        return a->relation < b->relation ? -1 : 1;
    if (a->value != b->value)
        return a->value < b->value ? -1 : 1;
    return (a->sequence > b->sequence) - (a->sequence < b->sequence);
}

/* A ToastChunkFunction. */
static Slice find_toast_chunk(void *context, const Varlena *pointer, uint32_t sequence)
{
    const RowReader *reader = context;
    const Chunk key = {pointer->relation, pointer->value, sequence, {NULL, 0}};
    const Chunk *found =
        reader->chunk_count > 0
            ? bsearch(&key, reader->chunks, reader->chunk_count, sizeof(key), compare_chunks)
            : NULL;

    return found != NULL ? found->data : (Slice){NULL, 0};
}

/* A RowChangeVisitor: the rows of TOAST tables are (chunk_id, chunk_seq, chunk_data). */
static bool collect_chunk(void *context, const RowChange *change, Error *error)
{
    RowReader *reader = context;
    const Slice row = change->kind == ROW_DELETE ? change->old : change->new;
    const char *reason;
    const Table *table;
    HeapTuple tuple;
    Slice values[3];
    Varlena data;

    (void) error;
    reader->moment.lsn = change->lsn;
    table = schema_table(reader->schema, &change->relation, reader->moment, &reason);
    if (table != NULL && table->kind == 't' && row.bytes != NULL && table->attribute_count == 3 &&
        heap_tuple_parse(row, 0, &tuple, &reason) &&
        heap_tuple_split(&tuple, table->attributes, 3, values, &reason) && values[0].size == 4 &&
        values[1].size == 4 && values[2].bytes != NULL &&
        varlena_parse(values[2], &data, &reason) && data.kind == VARLENA_PLAIN)
        ARRAY_ADD(reader->chunks, reader->chunk_count,
                  (Chunk){table->oid, load_u32(values[0].bytes), load_u32(values[1].bytes),
                          data.content});
    return true;
}

bool row_reader_begin(RowReader *reader, const LostCommit *commit, Error *error)
{
    reader->moment.commit = commit;
    free(reader->chunks);
    reader->chunks = NULL;
    reader->chunk_count = 0;
    if (!row_changes_visit(reader->changes, commit, collect_chunk, reader, error))
        return false;
    if (reader->chunk_count > 0)
        qsort(reader->chunks, reader->chunk_count, sizeof(*reader->chunks), compare_chunks);
    reader->moment.lsn = commit->lsn;
    return true;
}

/* ---- Rows ---- */

/* A TypeFunction. */
static const Type *find_moment_type(void *context, Oid type)
{
    RowReader *reader = context;

    return schema_type(reader->schema, reader->database, type, reader->moment);
}

RowReader *row_reader_create(const Version *version, const RowChanges *changes, Schema *schema)
{
    RowReader *reader = memory_allocate_zeroed(1, sizeof(*reader));

    reader->changes = changes;
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

static void make_value(RowReader *reader, const Attribute *attribute, Slice stored, RowText *row,
                       RowValue *value)
{
    AUTO_BUFFER Buffer copy = {0};
    ValueEncoding encoding;

    *value = (RowValue){.state = ROW_VALUE_NULL, .offset = row->text.size};
    if (attribute->type == 0 || stored.bytes == NULL)
        return;
    value->state = ROW_VALUE_UNTOLD;
    if (!value_text(&reader->values, attribute, stored, &row->text, &encoding, &value->reason))
        return;
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

static bool split_stored_row(const Table *table, Slice bytes, Slice *stored, const char **reason)
{
    HeapTuple tuple;

    return bytes.bytes != NULL && heap_tuple_parse(bytes, 0, &tuple, reason) &&
           heap_tuple_split(&tuple, table->attributes, table->attribute_count, stored, reason);
}

static bool is_unchanged(const Attribute *attribute, Slice old, Slice new)
{
    const char *reason;
    Varlena value;

    return attribute->storage.length == -1 && old.bytes != NULL &&
           new.bytes != NULL &&old.size == new.size &&memcmp(old.bytes, new.bytes, old.size) == 0 &&
           varlena_parse(old, &value, &reason) && value.kind == VARLENA_EXTERNAL;
}

const LostRow *row_reader_read(RowReader *reader, const RowChange *change, const Table *table)
{
    LostRow *row = &reader->row;
    RowText *const texts[] = {&row->old, &row->new};
    const Slice bytes[] = {change->old, change->new};

    reader->moment.lsn = change->lsn;
    reader->database = table->database;
    reader->conversion = schema_conversion(reader->schema, table->database, reader->moment);
    row->change = change;
    row->xid = reader->moment.commit->xid;
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
        const bool unchanged =
            row->old.known && row->new.known &&is_unchanged(attribute, reader->stored[0][column],
                                                            reader->stored[1][column]);

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
    /* bool, bytea, "char", name, bigint, smallint, integer, text, oid, jsonb, cidr, real, double
     * precision, macaddr8, money, macaddr, inet, char, varchar, date, time, timestamp, timestamptz,
     * timetz, bit, varbit, numeric, uuid (catalog/pg_type.dat). Not interval: a month equals 30
     * days there. */
    static const Oid types[] = {16,   17,   18,   19,   20,   21,   23,   25,   26,   3802,
                                650,  700,  701,  774,  790,  829,  869,  1042, 1043, 1082,
                                1083, 1114, 1184, 1266, 1560, 1562, 1700, 2950};
    const Type *type = find_moment_type(reader, oid);

    for (int depth = 0; type != NULL && type->kind == 'd' && depth < 32; depth++)
        type = find_moment_type(reader, type->inner);
    for (size_t i = 0; type != NULL && i < sizeof(types) / sizeof(types[0]); i++)
        if (types[i] == type->oid)
            return true;
    return false;
}
