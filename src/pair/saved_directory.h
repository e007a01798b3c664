/*
 * The directory in which --save-diverged-wal or --save-lost-rows keeps what the commit takes from
 * the target. The user names it. It need not exist, but its parent must.
 */
#ifndef PAIR_SAVED_DIRECTORY_H
#define PAIR_SAVED_DIRECTORY_H

#include "pair/clusters.h"
#include "io/file.h"

/*
 * Check without writing that the directory lies outside of both clusters, can be written to, and
 * that no other account can replace it (trust_check). `option` names the option in messages.
 * *existing becomes `directory`, or its parent, a text in `memory`, if the directory does not
 * exist.
 */
MUST_CHECK bool saved_directory_check(const char *option, const char *directory,
                                      const Clusters *clusters, Buffer *memory,
                                      const char **existing, Error *error);

/* Append the path of the data directory in which `directory` lies, or which it is; append nothing
 * if it is in none. */
MUST_CHECK bool find_cluster_around(const char *directory, Buffer *inside, Error *error);

/* If `directory` lies in data_directory, or where its links to WAL or a tablespace lead, append the
 * path of that place. Appends nothing if data_directory is NULL, or `inside` is not empty. */
MUST_CHECK bool find_links_around(const char *directory, const char *data_directory, Buffer *inside,
                                  Error *error);

/*
 * A file of the saved directory; initialize it with zeros. Until it is complete and synced its name
 * ends in .pg_rewind.new: the next run removes what a killed run has left.
 */
typedef struct SavedFile
{
    const char *path; /* final path, owned by the caller */
    Buffer temporary;
    int fd;
} SavedFile;

/* Create the file under its temporary name, for writing and reading. saved_file_finish syncs the
 * file and renames it to path, where it replaces another file; the directory is not synced. */
MUST_CHECK bool saved_file_create(SavedFile *file, const char *path, Error *error);
MUST_CHECK bool saved_file_finish(SavedFile *file, Error *error);

/* Keep an unfinished file: rename it to its path with SAVED_INCOMPLETE, unless a larger file of
 * this name exists. Returns that path, in the arena; NULL if there is nothing to keep. */
#define SAVED_INCOMPLETE ".incomplete"
const char *saved_file_keep(SavedFile *file, Arena *arena);

/* Close the file, and remove what is neither finished nor kept. Required after every
 * saved_file_create; allowed for a SavedFile of zeros. */
void saved_file_close(SavedFile *file);

/* Check that the existing file `to` has the same content as `from`, each from its offset to its
 * end. `option` is for the message. */
MUST_CHECK bool saved_directory_check_file(const char *option, FileRange from, FileRange to,
                                           Error *error);

/* Create the directory unless it exists, and sync its parent. */
MUST_CHECK bool saved_directory_make(const char *directory, Error *error);

#endif
