/*
 * Memory in unlinked files, of which one is enough unless the size of files is limited: the system
 * writes it to the disk where there is no room for it in memory. Nothing in it is freed alone.
 */
#ifndef IO_SPOOL_H
#define IO_SPOOL_H

#include "base/buffer.h"

typedef struct Spool Spool;

/* Files are made in the directory, which needs room for them. Without one (NULL) it is memory, at
 * most SPOOL_MEMORY_MAX. NULL with error set on failure. */
#define SPOOL_MEMORY_MAX ((uint64_t) 256 * 1024 * 1024)
MUST_CHECK Spool *spool_create(const char *directory, Error *error);
void spool_free(Spool *spool); /* NULL is allowed */

/* Zeroed memory at a multiple of 8, at most SPOOL_ITEM_MAX bytes. NULL with error set on failure.
 */
#define SPOOL_ITEM_MAX ((size_t) 1024 * 1024)
MUST_CHECK void *spool_allocate(Spool *spool, size_t size, Error *error);

MUST_CHECK bool spool_copy(Spool *spool, Slice bytes, Slice *copy, Error *error);

#endif
