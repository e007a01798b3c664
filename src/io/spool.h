/* Memory in unlinked files: the system writes it to the disk when memory gets scarce. One file is
 * enough, unless the process's limit for the size of files (ulimit -f) is low. Nothing in a spool
 * is freed alone. */
#ifndef IO_SPOOL_H
#define IO_SPOOL_H

#include "base/buffer.h"

typedef struct Spool Spool;

/* Create a spool whose files are in `directory`, which needs room for them; NULL: in memory only,
 * at most SPOOL_MEMORY_MAX bytes. NULL with error set on failure. */
#define SPOOL_MEMORY_MAX ((uint64_t) 256 * 1024 * 1024)
MUST_CHECK Spool *spool_create(const char *directory, Error *error);
void spool_free(Spool *spool); /* NULL is allowed */

/* Zeroed memory at a multiple of 8, at most SPOOL_ITEM_MAX bytes. NULL with error set on failure.
 */
#define SPOOL_ITEM_MAX ((size_t) 1024 * 1024)
MUST_CHECK void *spool_allocate(Spool *spool, size_t size, Error *error);

/* Copy bytes, at most SPOOL_ITEM_MAX, into the spool. */
MUST_CHECK bool spool_copy(Spool *spool, Slice bytes, Slice *copy, Error *error);

#endif
