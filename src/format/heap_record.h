/*
 * Records that change rows: access/heapam_xlog.h of 9.3 to 19.
 */
#ifndef FORMAT_HEAP_RECORD_H
#define FORMAT_HEAP_RECORD_H

#include "format/walrecord.h"

typedef enum HeapRecordKind
{
    HEAP_RECORD_OTHER, /* nothing but kind is set: it changes no row */
    HEAP_RECORD_INSERT,
    HEAP_RECORD_MULTI_INSERT,
    HEAP_RECORD_UPDATE,
    HEAP_RECORD_DELETE,
    HEAP_RECORD_INPLACE /* the values at the new place change, for all transactions */
} HeapRecordKind;

/* A row, or a part of it. */
typedef struct HeapRow
{
    Slice header;          /* xl_heap_header; bytes NULL: the record does not have the row */
    Slice rest;            /* what follows the header's fixed part in a page, without */
    size_t prefix, suffix; /* bytes of values that are as in the old row */
} HeapRow;

typedef struct HeapRecord
{
    HeapRecordKind kind;
    unsigned old_index, new_index; /* in the record's blocks; equal if the page is the same */
    uint16_t old_item, new_item;
    uint32_t old_xmax; /* that the old row gets; of_multi: a number of a multixact */
    bool of_multi;
    bool inits_page;  /* the new one has nothing else */
    bool speculative; /* of an insert: it may be taken back, by a delete with this set */
    HeapRow old_row;  /* with REPLICA IDENTITY FULL only */
    HeapRow new_row;
    uint16_t row_count;       /* of a multi-insert */
    const uint8_t *new_items; /* u16 each; NULL: from 1 on */
    Cursor rows;              /* for heap_record_next_row; nothing where the page has an image */
} HeapRecord;

/* The slices point into the WAL record's bytes. False: it is shorter than such a record is. */
MUST_CHECK bool heap_record_parse(const Version *version, uint32_t block_size,
                                  const WalRecord *record, HeapRecord *heap);

/* Move new_item and new_row to the next row of a multi-insert; number counts from 0. False: the
 * record's bytes end. */
MUST_CHECK bool heap_record_next_row(HeapRecord *heap, uint16_t number);

/* The row as a page has it, with xid as its xmin, in `built`, which is cleared first. Bytes NULL:
 * the record does not have the row; or old, from which it takes values, is too short or not known;
 * or the row is larger than a page. */
Slice heap_row_build(const HeapRow *row, Slice old, uint32_t xid, size_t size_max, Buffer *built);

#endif
