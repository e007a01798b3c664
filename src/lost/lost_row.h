/*
 * A change of a row as it is written to both files of --save-lost-rows: the values as UTF-8 text,
 * the line of JSON and the statement of SQL.
 */
#ifndef LOST_LOST_ROW_H
#define LOST_LOST_ROW_H

#include "base/json.h"
#include "lost/lost_file.h"
#include "lost/schema.h"

typedef enum RowValueState
{
    ROW_VALUE_NULL,
    ROW_VALUE_TEXT,
    ROW_VALUE_BINARY,    /* hexadecimal: the type has no known text, or the text is not valid
                            UTF-8 */
    ROW_VALUE_STORED,    /* stored bytes only: the text would be too long */
    ROW_VALUE_UNCHANGED, /* TOASTed value that the change leaves as it was */
    ROW_VALUE_UNTOLD     /* the value is not known: RowValue.reason */
} RowValueState;

typedef struct RowValue
{
    RowValueState state;
    size_t offset;      /* offset of the value in RowText.text; the value ends with a NUL */
    const char *reason; /* for ROW_VALUE_UNTOLD: why the value is not known, a static clause */
    Slice stored;       /* for ROW_VALUE_STORED: the bytes */
} RowValue;

/*
 * Limits for the text of a value: the texts of a row together are at most ROW_TEXT_MAX, and one
 * text is at most VALUE_TEXT_SHORT plus VALUE_GROWTH_MAX times the stored size. Without limits, a
 * few bytes of a numeric, or of a compressed array, could become more text than a disk has room
 * for. With lz4, the default from 19 on, a byte is up to 255 bytes of a value, each of which is up
 * to four characters of text: two digits of a bytea, three characters of a date in an array.
 */
#define ROW_TEXT_MAX ((size_t) 32 * 1024 * 1024)
#define VALUE_GROWTH_MAX 1024 /* factor of the stored size */
#define VALUE_TEXT_SHORT 1024 /* bytes that any value may have in addition */

typedef struct RowText
{
    bool known;
    RowValue values[HEAP_TUPLE_ATTRIBUTES_MAX]; /* one for each attribute of the table, if known */
    Buffer text;
} RowText;

typedef struct RowReader RowReader;

typedef struct LostRow
{
    const RowChange *change;
    const Table *table;
    RowText old, new;   /* rows before and after the change; not known if the change has none,
                           or if `untold` is set */
    const char *untold; /* why a row of the change is not known; NULL: all are known */
    RowReader *reader;
    const Version *version;
} LostRow;

RowReader *row_reader_create(const Version *version, Schema *schema);
void row_reader_free(RowReader *reader); /* NULL is allowed */

/* Begin with a transaction: find the chunks of TOASTed values that the transaction wrote and
 * deleted. */
void row_reader_begin(RowReader *reader, const LostCommit *commit);

/* Decode the rows of a change of that transaction. *row is valid until the next call. */
const LostRow *row_reader_read(RowReader *reader, const RowChange *change, const Table *table);

/* True if the type's operator = compares values. False if values must be compared as text: the type
 * has no operator =, or its = means something else, as for box. */
bool row_reader_has_equality(RowReader *reader, Oid type);

const char *row_value_text(const RowText *row, size_t index); /* the value's text; only for
                                                                 ROW_VALUE_TEXT or
                                                                 ROW_VALUE_BINARY */

/* Begin and end a line of JSON, an object whose first key "action" has this value. */
Json lost_json_begin(Buffer *text, const char *action);
void lost_json_end(Json *json);

/* Append a row's line of JSON to the file, which is flushed when long. lsn: the change's LSN as
 * text. */
MUST_CHECK bool lost_json_row(const LostRow *row, const char *lsn, LostFile *file, Error *error);

#endif
