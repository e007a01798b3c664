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

typedef struct WalDirectory
{
    char path[PATH_SIZE]; /* of pg_wal */
    WalShape shape;
    Control control;
} WalDirectory;

/* Read what pg_control says of the WAL. */
static inline bool wal_directory_read(const char *data_directory, WalDirectory *directory,
                                      Error *error)
{
    Control *control = &directory->control;
    char path[PATH_SIZE];
    Buffer bytes = {0};
    bool crc_wrong;
    bool good = path_join(path, sizeof(path), data_directory, CONTROL_PATH, error) &&
                file_read_all(path, 2 * CONTROL_FILE_SIZE, &bytes, NULL, error) &&
                control_parse(bytes.bytes, bytes.size, path, control, &crc_wrong, error);

    buffer_free(&bytes);
    if (!good)
        return false;
    directory->shape = (WalShape){.version = control->version,
                                  .system_identifier = control->system_identifier,
                                  .segment_size = control->wal_segment_size,
                                  .block_size = control->wal_block_size};
    return path_join(directory->path, sizeof(directory->path), data_directory,
                     control->version->wal_directory, error);
}

/* A WalOpen. */
static inline bool wal_directory_open(void *context, Timeline timeline, uint64_t segment, int *fd,
                                      bool *found, Error *error)
{
    const WalDirectory *directory = context;
    char name[WAL_NAME_SIZE];
    char path[PATH_SIZE];

    wal_segment_name(&directory->shape, timeline, segment, name);
    return path_join(path, sizeof(path), directory->path, name, error) &&
           file_open_read(path, fd, found, error);
}

static inline WalStream wal_directory_stream(WalDirectory *directory, const History *history)
{
    return (WalStream){.shape = directory->shape,
                       .data_block_size = directory->control.block_size,
                       .history = history,
                       .open = wal_directory_open,
                       .context = directory};
}

#endif
