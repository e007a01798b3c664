/*
 * A change of a row as both files of --save-lost-rows tell it: its values as text in UTF-8, a line
 * of JSON and a statement of SQL.
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
    ROW_VALUE_BINARY,    /* in hexadecimal: of a type that we know no text of, or no UTF-8 */
    ROW_VALUE_STORED,    /* its text would be too long, so there is none */
    ROW_VALUE_UNCHANGED, /* TOASTed, and the same before and after */
    ROW_VALUE_UNTOLD
} RowValueState;

typedef struct RowValue
{
    RowValueState state;
    size_t offset;      /* in the row's text, where it ends with a NUL */
    const char *reason; /* ROW_VALUE_UNTOLD: a static clause */
    Slice stored;       /* ROW_VALUE_STORED */
} RowValue;

/*
 * A value has a text if all texts of its row are not longer than ROW_TEXT_MAX together, and its own
 * is not much longer than what is stored: a few bytes of a numeric, or of an array of them that is
 * compressed, can be more text than a disk has room for. A byte of lz4, the default from 19 on, is
 * up to 255 bytes of a value, and each of these up to four characters of its text: two digits of a
 * bytea, three characters of a date in an array.
 */
#define ROW_TEXT_MAX ((size_t) 32 * 1024 * 1024)
#define VALUE_GROWTH_MAX 1024 /* times the size that is stored */
#define VALUE_TEXT_SHORT 1024 /* what any value may have */

typedef struct RowText
{
    bool known;
    RowValue values[HEAP_TUPLE_ATTRIBUTES_MAX]; /* if known, one for each attribute of the table */
    Buffer text;
} RowText;

typedef struct RowReader RowReader;

typedef struct LostRow
{
    const RowChange *change;
    const Table *table;
    RowText old, new;   /* not known: the change has no such row, or *untold says why */
    const char *untold; /* NULL: all rows of the change are known */
    RowReader *reader;
    const Version *version;
} LostRow;

RowReader *row_reader_create(const Version *version, Schema *schema);
void row_reader_free(RowReader *reader); /* NULL is allowed */

/* Begin with a transaction: find the chunks of TOASTed values that it wrote and deleted. */
void row_reader_begin(RowReader *reader, const LostCommit *commit);

/* Make the rows of a change of that transaction. *row lives until the next call. */
const LostRow *row_reader_read(RowReader *reader, const RowChange *change, const Table *table);

/* False if values of that type must be compared as text: it may have no operator for equality, or
 * one that means something else, as box has. */
bool row_reader_has_equality(RowReader *reader, Oid type);

const char *row_value_text(const RowText *row, size_t index); /* ROW_VALUE_TEXT or _BINARY */

/* Begin and end a line. */
Json lost_json_begin(Buffer *text, const char *action);
void lost_json_end(Json *json);

/* Append the line of a row to the file, which is flushed where it gets long; lsn is its text. */
MUST_CHECK bool lost_json_row(const LostRow *row, const char *lsn, LostFile *file, Error *error);

#endif
