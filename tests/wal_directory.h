/*
 * The WAL of a data directory, as tools for tests read it: nothing but what lies in pg_wal.
 */
#ifndef TESTS_WAL_DIRECTORY_H
#define TESTS_WAL_DIRECTORY_H

#include "base/buffer.h"
#include "base/error.h"
#include "format/control.h"
#include "io/file.h"
#include "wal/reader.h"

#include <stdio.h>

typedef struct WalDirectory
{
    char path[PATH_SIZE]; /* of pg_wal */
    WalShape shape;
    const History *history;
    Control control;
} WalDirectory;

/* Read what pg_control says of the WAL. */
static inline bool wal_directory_read(const char *data_directory, WalDirectory *directory,
                                      Error *error)
{
    Control *control = &directory->control;
    AUTO_BUFFER Buffer path = {0};
    AUTO_BUFFER Buffer bytes = {0};
    AUTO_BUFFER Buffer version = {0};
    bool crc_wrong;

    if (!file_read_all(path_in(&path, data_directory, "PG_VERSION"), 100, &version, NULL, error) ||
        !file_read_all(path_in(&path, data_directory, CONTROL_PATH), 2 * CONTROL_FILE_SIZE, &bytes,
                       NULL, error) ||
        !control_parse(&(ControlFile){bytes.bytes, bytes.size, buffer_string(&path),
                                      buffer_string(&version)},
                       control, &crc_wrong, error))
        return false;
    directory->shape = (WalShape){.version = control->version,
                                  .system_identifier = control->system_identifier,
                                  .segment_size = control->wal_segment_size,
                                  .block_size = control->wal_block_size};
    snprintf(directory->path, sizeof(directory->path), "%s/%s", data_directory,
             control->version->wal_directory);
    return true;
}

/* A WalOpen. */
static inline bool wal_directory_open(void *context, uint64_t segment, int *fd, bool *found,
                                      Error *error)
{
    const WalDirectory *directory = context;
    char name[WAL_NAME_SIZE];
    AUTO_BUFFER Buffer path = {0};

    const Lsn end = wal_segment_start(&directory->shape, segment + 1);

    wal_segment_name(&directory->shape, history_timeline_of_segment(directory->history, end),
                     segment, name);
    return file_open_read(path_in(&path, directory->path, name), fd, found, error);
}

static inline WalStream wal_directory_stream(WalDirectory *directory, const History *history)
{
    directory->history = history;
    return (WalStream){.shape = directory->shape,
                       .data_block_size = directory->control.block_size,
                       .history = history,
                       .open = wal_directory_open,
                       .context = directory};
}

#endif
