/*
 * The row changes of one WAL record: how many, whether they are more than maintenance, and whether
 * they are of a catalog.
 *
 * A catalog is recognized by its relfilenode, which equals the catalog's OID until its storage is
 * rewritten (VACUUM FULL pg_class): after that its changes are not seen. In 9.3 and 9.4 initdb
 * itself rewrites catalogs; for these versions lost.c passes records in which the OID replaces the
 * relfilenode.
 */
#ifndef WAL_HEAP_CHANGES_H
#define WAL_HEAP_CHANGES_H

#include "format/walrecord.h"

/* Numbers of rows that records inserted, updated or deleted. An update that changes no value
 * counts. */
typedef struct RowCounts
{
    uint64_t inserted, updated, deleted;
} RowCounts;

/* Add the rows that a record inserts, updates or deletes. They all belong to the relation of the
 * record's first block. A record that is not of a heap adds nothing. */
void row_counts_add(RowCounts *rows, const WalRecord *record);

void row_counts_merge(RowCounts *rows, const RowCounts *more);

typedef enum RecordWeight
{
    RECORD_NEUTRAL, /* changes no row, or may occur in every transaction: pruning, hints, commit */
    RECORD_MAINTENANCE, /* updates statistics, or truncates empty pages: ANALYZE, VACUUM */
    RECORD_CHANGE       /* everything else, including records that we do not know */
} RecordWeight;

/* Classify one record alone. A truncation is RECORD_MAINTENANCE, even of storage that the same
 * transaction created: the record of that creation is a RECORD_CHANGE, which decides for the
 * transaction. */
RecordWeight record_weight(const WalRecord *record);

/* True if the record inserts, updates or deletes a row of a catalog. Updates in place (statistics)
 * do not count. */
bool record_changes_catalog(const WalRecord *record);

/* True if the record inserts a row into pg_class. */
bool record_is_new_relation(const WalRecord *record);

#endif
