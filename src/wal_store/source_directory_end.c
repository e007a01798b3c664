#include "wal_store/source_directory_end.h"

#include "io/file.h"
#include "wal/scan.h"

#include <stdio.h>

/* A stopped source's WAL. */
typedef struct DirectoryWal
{
    const Clusters *clusters;
    Archive *archive;
} DirectoryWal;

/* A WalOpen. */
static bool open_in_directory(void *context, Timeline timeline, uint64_t segment, int *fd,
                              bool *found, Error *error)
{
    const DirectoryWal *wal = context;
    char name[WAL_NAME_SIZE], path[PATH_SIZE];

    wal_segment_name(&wal->clusters->shape, timeline, segment, name);
    snprintf(path, sizeof(path), "%s/%s/%s", wal->clusters->source->directory,
             wal->clusters->shape.version->wal_directory, name);
    return file_open_read(path, fd, found, error) &&
           (*found || archive_open(wal->archive, timeline, segment, fd, found, error));
}

/*
 * The end of a stopped source's WAL: of the last record after its checkpoint. No file of a stopped
 * standby shows how far it has replayed. It may have removed or copied directories after its
 * minRecoveryPoint, which such records do not move: then recovery must pass all the WAL that it
 * has.
 */
bool source_directory_find_end(const Clusters *clusters, Archive *archive, Arena *arena,
                               SourceState *state, Error *error)
{
    DirectoryWal wal = {clusters, archive};
    const WalStream stream = {.shape = clusters->shape,
                              .data_block_size = clusters->target.control.block_size,
                              .history = &clusters->source_history,
                              .open = open_in_directory,
                              .context = &wal};
    Lsn floor = state->control.checkpoint_lsn;
    ScanResult later = {0};
    WalScan *scan;
    Lsn last;
    bool missing, result;

    if (state->position.in_recovery && state->position.minimum > floor)
        floor = state->position.minimum;
    scan = scan_create(&stream, 1, floor);
    result =
        scan_forward(scan, state->control.checkpoint_lsn, &state->position.end, &last, &missing,
                     NULL, error) &&
        (!state->position.in_recovery || scan_finish(scan, arena, floor, floor, &later, error));
    scan_destroy(scan);
    if (result && state->position.end == state->control.checkpoint_lsn)
        return error_set(error, ERROR_FAILED, "could not read the source's last checkpoint record");
    if (!state->position.in_recovery || later.database_count > 0 || later.tablespace_count > 0)
        state->position.minimum = state->position.end;
    return result;
}
