/*
 * A guess at what a transaction did to the schema, from the catalogs that it changed.
 *
 * Catalogs are known by their storage, which has the catalog's own number until somebody rewrites
 * it (VACUUM FULL pg_class): after that its changes are not seen. Of 9.3 and 9.4, where initdb does
 * that, records come with the catalog's number in place of its storage's (lost.c).
 */
#ifndef WAL_DDL_H
#define WAL_DDL_H

#include "base/buffer.h"
#include "format/walrecord.h"

#include <stdbool.h>
#include <stdint.h>

/* A bit for each catalog of the table in ddl.c; and what became of storage. */
typedef struct DdlChanges
{
    uint32_t inserted, updated, deleted;
    uint32_t storage; /* DDL_STORAGE_... */
} DdlChanges;
#define DDL_STORAGE_CREATED 1
#define DDL_STORAGE_DROPPED 2

/* Add what a record says. Updates in place (statistics) do not count. */
void ddl_note_record(DdlChanges *changes, const WalRecord *record);

/* Is it a new row of pg_class? */
bool ddl_is_new_relation(const WalRecord *record);

void ddl_merge(DdlChanges *changes, const DdlChanges *more);

/* One statement, such as "CREATE" and "SCHEMA". Static strings. */
typedef struct DdlGuess
{
    const char *verb;
    const char *noun;
} DdlGuess;
#define DDL_GUESSES_MAX 64

/* How many there are; none for a transaction that changed no schema. */
size_t ddl_guess(const DdlChanges *changes, DdlGuess guesses[DDL_GUESSES_MAX]);

#endif
