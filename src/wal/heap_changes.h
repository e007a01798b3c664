/*
 * The changes of rows by a record: their number, whether they are more than maintenance, and
 * whether they are of a catalog.
 *
 * Catalogs are known by their storage, which has the catalog's own number until somebody rewrites
 * it (VACUUM FULL pg_class): after that its changes are not seen. Of 9.3 and 9.4, where initdb does
 * that, records come with the catalog's number in place of its storage's (lost.c).
 */
#ifndef WAL_HEAP_CHANGES_H
#define WAL_HEAP_CHANGES_H

#include "format/walrecord.h"

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

/* Cutting off pages is maintenance unless the same transaction made the storage, which is a
 * RECORD_CHANGE. */
RecordWeight record_weight(const WalRecord *record);

/* It writes or deletes a row of a catalog. Updates in place (statistics) do not count. */
bool record_changes_catalog(const WalRecord *record);

/* It is a new row of pg_class. */
bool record_is_new_relation(const WalRecord *record);

#endif
