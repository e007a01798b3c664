/*
 * Where WAL that a cluster no longer has is looked for.
 */
#include "phases/run.h"

#include "base/workers.h"
#include "format/recovery_conf.h"
#include "io/dir.h"

#include <errno.h>

#define CHECKPOINT_RECORD_SIZE_MAX 256 /* also when it crosses a page */
#define REMOVALS_MAX 50
#define REMOVAL_PAUSE_MILLISECONDS 100

/* Bring a segment of common history from the source for the scan. An ArchiveFetch. */
static bool fetch_segment(void *context, const char *name, const char *path, bool *found,
                          Error *error)
{
    return run_fetch_segment(context, 0, name, path, found, error);
}

/* What ArchiveOptions says of the end of a cluster's WAL, by its pg_control. */
static Lsn known_end(const Control *control)
{
    Lsn checkpoint_end = control->checkpoint_lsn + CHECKPOINT_RECORD_SIZE_MAX;

    return checkpoint_end > control->min_recovery_point ? checkpoint_end
                                                        : control->min_recovery_point;
}

static Lsn last_needed(const Control *control)
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
static bool check_command(const Options *options, Error *error)
{
    Buffer ignored = {0};
    bool result = options->restore_command == NULL ||
                  restore_command_expand(options->restore_command, "", "", "", &ignored, error);

    buffer_free(&ignored);
    return result;
}

static bool look_at_nothing(void *context, const char *name, Error *error)
{
    (void) context;
    (void) name;
    (void) error;
    return true;
}

/* What the target itself has written or received, whatever an archive has under these names. */
static Archive *open_own_wal(ArchiveOptions options)
{
    options.fetch = NULL;
    options.scratch_directory = NULL;
    options.archive_directory = NULL;
    options.restore_command = NULL;
    return archive_create(&options);
}

bool run_open_archives(Run *run, Error *error)
{
    const Control *control = &run->target.control;
    char *redo_name = arena_allocate(run->arena, WAL_NAME_SIZE);
    ArchiveOptions archive = {
        .shape = run->shape,
        .data_block_size = control->block_size,
        .history = &run->target_history,
        .data_directory = run->target.directory,
        .wal_directory = arena_printf(run->arena, "%s/pg_wal", run->target.directory),
        .scratch_directory = run->scratch,
        .archive_directory = run->options->wal_archive,
        .restore_command = run->restore_command,
        .redo_file_name = redo_name,
        .retry_timeout_seconds = run->options->retry_timeout_seconds,
        .known_end = known_end(control),
        .last_needed = run->target.has_backup_label ? LSN_INVALID : last_needed(control),
        .fetch = fetch_segment,
        .fetch_context = run,
    };

    if (!check_command(run->options, error))
        return false;
    if (archive.archive_directory != NULL &&
        !dir_names(archive.archive_directory, look_at_nothing, NULL, NULL, error))
        return error_hint(error, "--wal-archive needs a directory that can be read.");
    wal_segment_name(&run->shape, control->checkpoint.timeline,
                     wal_segment_of(&run->shape, control->checkpoint.redo), redo_name);
    run->archive = archive_create(&archive);
    run->target_wal = open_own_wal(archive);
    /* For segments of the source's history that neither side has: not what the target's pg_wal has
     * under that name. */
    archive.wal_directory = run->scratch;
    archive.history = &run->source_history;
    /* A server says where its WAL ends, and has that segment. */
    archive.known_end = run->source->is_server ? LSN_INVALID : known_end(&run->source_control);
    archive.last_needed = run->source->is_server ? LSN_INVALID : last_needed(&run->source_control);
    archive.fetch = NULL;
    run->source_archive = archive_create(&archive);
    return true;
}

bool run_remove_scratch(const Run *run, Error *error)
{
    Error stopped;

    for (int i = 1; !dir_remove_tree(run->scratch, error); i++)
        if (error->error_number != ENOTEMPTY || i == REMOVALS_MAX ||
            !stop_pause(REMOVAL_PAUSE_MILLISECONDS, &stopped))
            return false;
    return true;
}
