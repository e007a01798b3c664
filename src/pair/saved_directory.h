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

/* Append the data directory of any cluster that a directory is or lies in; nothing: in none. */
MUST_CHECK bool find_cluster_around(const char *directory, Buffer *inside, Error *error);

/* Append the data directory (NULL: none), or what its links to WAL or a tablespace lead to, if the
 * directory lies there. Nothing more if inside has one already. */
MUST_CHECK bool find_links_around(const char *directory, const char *data_directory, Buffer *inside,
                                  Error *error);

/*
 * A file of it. It has another name until it is whole and on the disk, so that a run that is killed
 * leaves a name of ours, which the next one removes. Begins as zeros.
 */
typedef struct SavedFile
{
    const char *path; /* the caller's */
    Buffer temporary;
    int fd;
} SavedFile;

/* Make the file that saved_file_finish gives the name `path`, for writing and reading. */
MUST_CHECK bool saved_file_create(SavedFile *file, const char *path, Error *error);
MUST_CHECK bool saved_file_finish(SavedFile *file, Error *error);

/* Keep what was written of it under a third name, in the place of a shorter one. Returns the name,
 * in the arena; NULL: there is nothing to keep. */
#define SAVED_INCOMPLETE ".incomplete"
const char *saved_file_keep(SavedFile *file, Arena *arena);

/* In any case, and last. What was not finished is removed. */
void saved_file_close(SavedFile *file);

/* A file that is there must have the same content, both from their offsets on. */
MUST_CHECK bool saved_directory_check_file(const char *option, FileRange from, FileRange to,
                                           Error *error);

/* Make it, unless it is there. Its name is on the disk when this returns. */
MUST_CHECK bool saved_directory_make(const char *directory, Error *error);

#endif
