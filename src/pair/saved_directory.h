/*
 * A directory of the user's that keeps what the commit takes from the target: for
 * --save-diverged-wal and --save-lost-rows. It need not exist; the directory that it will be in
 * must.
 */
#ifndef PAIR_SAVED_DIRECTORY_H
#define PAIR_SAVED_DIRECTORY_H

#include "pair/clusters.h"
#include "io/file.h"

/*
 * Check without writing that it lies outside of both clusters and can be written to. `option` names
 * it in messages. *existing is the directory, or the one that it will be in: part of memory.
 */
MUST_CHECK bool saved_directory_check(const char *option, const char *directory,
                                      const Clusters *clusters, Buffer *memory,
                                      const char **existing, Error *error);

/* A file that is there must have the same content, both from their offsets on. */
MUST_CHECK bool saved_directory_check_file(const char *option, FileRange from, FileRange to,
                                           Error *error);

/* Make it, unless it is there. Its name is on the disk when this returns. */
MUST_CHECK bool saved_directory_make(const char *directory, Error *error);

#endif
