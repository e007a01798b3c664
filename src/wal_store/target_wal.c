#include "wal_store/target_wal.h"

#include "io/dir.h"
#include "base/buffer.h"
#include "format/recovery_conf.h"

#define CHECKPOINT_RECORD_SIZE_MAX 256 /* also when it crosses a page */

/* What ArchiveOptions says of the end of a cluster's WAL, by its pg_control. */
Lsn archive_known_end(const Control *control)
{
    Lsn checkpoint_end = control->checkpoint_lsn + CHECKPOINT_RECORD_SIZE_MAX;

    return checkpoint_end > control->min_recovery_point ? checkpoint_end
                                                        : control->min_recovery_point;
}

Lsn archive_last_needed(const Control *control)
{
    if (control->state == STATE_SHUTDOWNED)
        return control->checkpoint_lsn;
    /* Pages of a standby are not newer than its minRecoveryPoint. */
    if (control->state == STATE_SHUTDOWNED_IN_RECOVERY &&
        control->min_recovery_point > control->checkpoint_lsn)
        return control->min_recovery_point - 1;
    return LSN_INVALID;
}

/* Is the command one that can be run? The configured one is only looked at when it is needed. */
static bool check_restore_command(const Options *options, Error *error)
{
    Buffer ignored = {0};
    bool result = options->restore_command == NULL ||
                  restore_command_expand(options->restore_command, "", "", "", &ignored, error);

    buffer_free(&ignored);
    return result;
}

static bool accept_name(void *context, const char *name, Error *error)
{
    (void) context;
    (void) name;
    (void) error;
    return true;
}

ArchiveOptions archive_options_of_target(const Options *options, const Clusters *clusters,
                                         const char *restore_command, const char *scratch,
                                         Arena *arena)
{
    const Target *target = &clusters->target;
    const Control *control = &target->control;
    char *redo_name = arena_allocate(arena, WAL_NAME_SIZE);

    wal_segment_name(&clusters->shape, control->checkpoint.timeline,
                     wal_segment_of(&clusters->shape, control->checkpoint.redo), redo_name);
    return (ArchiveOptions){
        .shape = clusters->shape,
        .data_block_size = control->block_size,
        .history = &clusters->target_history,
        .data_directory = target->directory,
        .wal_directory =
            arena_printf(arena, "%s/%s", target->directory, control->version->wal_directory),
        .scratch_directory = scratch,
        .archive_directory = options->wal_archive,
        .restore_command = restore_command,
        .redo_file_name = redo_name,
        .retry_timeout_seconds = options->retry_timeout_seconds,
        .known_end = archive_known_end(control),
        .last_needed = target->has_backup_label ? LSN_INVALID : archive_last_needed(control),
    };
}

bool target_wal_open(const Options *options, const Clusters *clusters, const char *restore_command,
                     const char *scratch, SourceWal *source_wal, Arena *arena,
                     TargetWal *target_wal, Error *error)
{
    ArchiveOptions archive =
        archive_options_of_target(options, clusters, restore_command, scratch, arena);

    if (!check_restore_command(options, error))
        return false;
    if (archive.archive_directory != NULL &&
        !dir_names(archive.archive_directory, accept_name, NULL, NULL, error))
        return error_hint(error, "--wal-archive needs a directory that can be read.");
    archive.fetch = source_wal_fetch_segment;
    archive.fetch_context = source_wal;
    target_wal->archive = archive_create(&archive);
    /* What the target itself has written or received, whatever an archive has under these names. */
    archive.fetch = NULL;
    archive.scratch_directory = archive.archive_directory = archive.restore_command = NULL;
    target_wal->own = archive_create(&archive);
    target_wal->stream = (WalStream){.shape = clusters->shape,
                                     .data_block_size = clusters->target.control.block_size,
                                     .history = &clusters->target_history,
                                     .open = archive_open,
                                     .missing = error_missing_in_archive,
                                     .is_targets = true,
                                     .context = target_wal->archive};
    return true;
}

void target_wal_close(TargetWal *target_wal)
{
    archive_destroy(target_wal->archive);
    archive_destroy(target_wal->own);
}
