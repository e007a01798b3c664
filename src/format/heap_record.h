/*
 * WAL records that change rows of heaps: access/heapam_xlog.h of 9.3 to 19.
 */
#ifndef FORMAT_HEAP_RECORD_H
#define FORMAT_HEAP_RECORD_H

#include "format/walrecord.h"

typedef enum HeapRecordKind
{
    HEAP_RECORD_OTHER, /* changes no row; only kind is set */
    HEAP_RECORD_INSERT,
    HEAP_RECORD_MULTI_INSERT,
    HEAP_RECORD_UPDATE,
    HEAP_RECORD_DELETE,
    HEAP_RECORD_INPLACE /* overwrites the values of new_item, for all transactions at once */
} HeapRecordKind;

/* A row as a record has it, possibly without the bytes that it shares with the old row. */
typedef struct HeapRow
{
    Slice header; /* xl_heap_header; bytes NULL if the record has no row, or only its values
                     (INPLACE) */
    Slice rest;   /* the row's bytes from offset ROW_HEADER_SIZE on, without prefix and suffix */
    size_t prefix, suffix; /* bytes shared with the old row, at start and end */
} HeapRow;

typedef struct HeapRecord
{
    HeapRecordKind kind;
    unsigned old_index, new_index; /* in the record's blocks; equal if on one page */
    uint16_t old_item, new_item;
    uint32_t old_xmax; /* xmax that the old row gets; with of_multi the number of a multixact */
    bool of_multi;
    bool inits_page;  /* the new row's page is initialized, so it has no other rows */
    bool speculative; /* a speculative insert, or the delete that takes it back */
    HeapRow old_row;  /* set only with REPLICA IDENTITY FULL; a logged key alone is ignored */
    HeapRow new_row;
    uint16_t row_count;       /* number of rows of a multi-insert */
    const uint8_t *new_items; /* item numbers of a multi-insert, u16 each; NULL for 1, 2, ... */
    Cursor rows;              /* position of heap_record_next_row; empty if the page has an image */
} HeapRecord;

/* Parse a record. The slices point into the record's bytes. Returns false if the record is too
 * short. */
MUST_CHECK bool heap_record_parse(const Version *version, uint32_t block_size,
                                  const WalRecord *record, HeapRecord *heap);

/* Set new_item and new_row to row `number`, from 0 on, of a multi-insert. Call this for each row in
 * order. Returns false if the record is too short. */
MUST_CHECK bool heap_record_next_row(HeapRecord *heap, uint16_t number);

/* Build the row as a page has it, with xid as its xmin, in `built`, which is cleared first. The
 * bytes of prefix and suffix are taken from `old`. The result has bytes NULL if the record lacks
 * the row, if old is needed but NULL or too short, or if the row is larger than size_max. */
Slice heap_row_build(const HeapRow *row, Slice old, uint32_t xid, size_t size_max, Buffer *built);

#endif
