#include "wal_store/target_wal.h"

#include "io/dir.h"
#include "base/buffer.h"
#include "format/recovery_conf.h"

#define CHECKPOINT_RECORD_SIZE_MAX 256 /* also when it crosses a page */

Lsn wal_known_end(const Control *control)
{
    Lsn checkpoint_end = control->checkpoint_lsn + CHECKPOINT_RECORD_SIZE_MAX;

    return checkpoint_end > control->min_recovery_point ? checkpoint_end
                                                        : control->min_recovery_point;
}

Lsn wal_last_needed(const Control *control)
{
    if (control->state == STATE_SHUTDOWNED)
        return control->checkpoint_lsn;
    /* Pages of a standby are not newer than its minRecoveryPoint. */
    if (control->state == STATE_SHUTDOWNED_IN_RECOVERY &&
        control->min_recovery_point > control->checkpoint_lsn)
        return control->min_recovery_point - 1;
    return LSN_INVALID;
}

/* The command must be one that can be run. The configured one is only looked at when it is needed.
 */
static bool check_restore_command(const Options *options, Error *error)
{
    AUTO_BUFFER Buffer ignored = {0};

    return options->restore_command == NULL ||
           restore_command_expand(options->restore_command, "", "", "", &ignored, error);
}

static bool accept_name(void *context, const char *name, Error *error)
{
    (void) context;
    (void) name;
    (void) error;
    return true;
}

WalStore target_wal_store(const Options *options, const Clusters *clusters,
                          const char *restore_command, const char *scratch, Arena *arena)
{
    const Target *target = &clusters->target;
    const Control *control = &target->control;
    char *redo_name = arena_allocate(arena, WAL_NAME_SIZE);

    wal_segment_name(&clusters->shape, control->checkpoint.timeline,
                     wal_segment_of(&clusters->shape, control->checkpoint.redo), redo_name);
    return (WalStore){
        .shape = clusters->shape,
        .data_block_size = control->block_size,
        .history = &clusters->target_history,
        .data_directory = target->directory,
        .wal_directory =
            arena_printf(arena, "%s/%s", target->directory, control->version->wal_directory),
        .scratch_directory = scratch,
        .archive_directory = options->wal_archive,
        .restore = {.command = restore_command,
                    .data_directory = target->directory,
                    .redo_file_name = redo_name,
                    .retry_timeout_seconds = options->retry_timeout_seconds},
        .known_end = wal_known_end(control),
        .last_needed = target->has_backup_label ? LSN_INVALID : wal_last_needed(control),
    };
}

static void create_target_wal(const WalStore *store, const Clusters *clusters,
                              TargetWal *target_wal)
{
    target_wal->store = wal_store_create(store);
    target_wal->stream = (WalStream){.shape = clusters->shape,
                                     .data_block_size = clusters->target.control.block_size,
                                     .history = &clusters->target_history,
                                     .open = wal_store_open,
                                     .missing = error_missing_in_wal_store,
                                     .is_targets = true,
                                     .context = target_wal->store};
}

bool target_wal_open(const Options *options, const Clusters *clusters, const char *restore_command,
                     SourceWal *source_wal, Arena *arena, TargetWal *target_wal, Error *error)
{
    static const WalPlace places[] = {WAL_IN_OWN_PG_WAL, WAL_FETCHED_BEFORE, WAL_OF_COMMON_HISTORY,
                                      WAL_IN_ARCHIVE,    WAL_BY_COMMAND,     WAL_IN_PARTIAL,
                                      WAL_PLACES_END};
    WalStore store =
        target_wal_store(options, clusters, restore_command, source_wal->scratch, arena);

    if (!check_restore_command(options, error))
        return false;
    if (store.archive_directory != NULL &&
        !dir_names(store.archive_directory, accept_name, NULL, NULL, error))
        return error_hint(error, "--wal-archive needs a directory that can be read.");
    store.places = places;
    store.fetch = source_wal_fetch_segment;
    store.fetch_context = source_wal;
    create_target_wal(&store, clusters, target_wal);
    return true;
}

void target_wal_open_own(const Options *options, const Clusters *clusters, Arena *arena,
                         TargetWal *target_wal)
{
    static const WalPlace places[] = {WAL_IN_OWN_PG_WAL, WAL_PLACES_END};
    WalStore store = target_wal_store(options, clusters, NULL, NULL, arena);

    store.places = places;
    create_target_wal(&store, clusters, target_wal);
}

void target_wal_close(TargetWal *target_wal)
{
    wal_store_destroy(target_wal->store);
}
