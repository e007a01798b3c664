/*
 * Replace or make a file so that after a power cut it is either the old or the new one, whole.
 */
#ifndef IO_DURABLE_H
#define IO_DURABLE_H

#include "base/error.h"

#include <stddef.h>
#include <sys/types.h>

/*
 * Write bytes to temporary_path (same file system as path), sync it, rename it over path, sync the
 * directory of path. mode 0: file_mode(). If it fails before the rename, path is unchanged.
 */
MUST_CHECK bool durable_replace(const char *path, const char *temporary_path, const void *bytes,
                                size_t size, mode_t mode, Error *error);

/* Rename and sync the directories of both. */
MUST_CHECK bool durable_rename(const char *from, const char *to, Error *error);

/* Remove and sync the directory. */
MUST_CHECK bool durable_remove(const char *path, Error *error);

/* Sync the directory that holds path. */
MUST_CHECK bool durable_sync_parent(const char *path, Error *error);

#endif
