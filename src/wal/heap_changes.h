/*
 * What a record does to rows: how many it writes, and whether it does more than maintenance.
 */
#ifndef WAL_HEAP_CHANGES_H
#define WAL_HEAP_CHANGES_H

#include "format/walrecord.h"

#include <stdbool.h>
#include <stdint.h>

#define FIRST_NORMAL_OID 16384 /* access/transam.h: below are catalogs */

/* access/heapam_xlog.h, 9.3 to 19; the others are in walrecord.h */
#define HEAP_INSERT 0x00
#define HEAP_DELETE 0x10
#define HEAP_UPDATE 0x20
#define HEAP_HOT_UPDATE 0x40
#define HEAP_INPLACE 0x70

/* By the records: an update that changes no value counts, too. */
typedef struct RowCounts
{
    uint64_t inserted, updated, deleted;
} RowCounts;

/* Add the rows that a record writes or deletes, of the relation of its first block. */
void row_counts_add(RowCounts *rows, const WalRecord *record);

void row_counts_merge(RowCounts *rows, const RowCounts *more);

typedef enum RecordWeight
{
    RECORD_NEUTRAL, /* changes no row, or is written for any transaction: pruning, hints, commit */
    RECORD_MAINTENANCE, /* statistics, or pages without rows that are cut off: ANALYZE, VACUUM */
    RECORD_CHANGE       /* everything else, also what is not known */
} RecordWeight;

/*
 * Catalogs of statistics are known by their storage, which has the catalog's own number until
 * somebody rewrites it: after that it is RECORD_CHANGE (9.3 and 9.4: see ddl.h). Cutting off pages
 * is maintenance unless the same transaction made the storage, which is a RECORD_CHANGE by itself.
 */
RecordWeight record_weight(const WalRecord *record);

#endif
