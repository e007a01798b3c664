/*
 * The changes of rows by a record: their number, whether they are more than maintenance, and a
 * guess at the changes of the schema, from the catalogs.
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

/* A bit for each catalog of the table in heap_changes.c; and the changes of storage. */
typedef struct DdlChanges
{
    uint32_t inserted, updated, deleted;
    uint32_t storage; /* DDL_STORAGE_... */
} DdlChanges;
#define DDL_STORAGE_CREATED 1
#define DDL_STORAGE_DROPPED 2

/* Add what a record says. Updates in place (statistics) do not count. */
void ddl_note_record(DdlChanges *changes, const WalRecord *record);

/* It is a new row of pg_class. */
bool ddl_is_new_relation(const WalRecord *record);

void ddl_merge(DdlChanges *changes, const DdlChanges *more);

/* One statement, such as "CREATE" and "SCHEMA". Static strings. */
typedef struct DdlGuess
{
    const char *verb;
    const char *noun;
} DdlGuess;
#define DDL_GUESSES_MAX 64

/* Returns the number of guesses; 0 for a transaction that changed no schema. */
size_t ddl_guess(const DdlChanges *changes, DdlGuess guesses[DDL_GUESSES_MAX]);

#endif
