#include "wal_store/target_wal.h"

#include "io/dir.h"
#include "base/buffer.h"
#include "format/settings.h"

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

bool target_wal_open(const Options *options, const Clusters *clusters, const char *restore_command,
                     SourceWal *source_wal, Arena *arena, TargetWal *target_wal, Error *error)
{
    static const WalPlace places[] = {WAL_IN_OWN_PG_WAL, WAL_FETCHED_BEFORE, WAL_OF_COMMON_HISTORY,
                                      WAL_IN_ARCHIVE,    WAL_BY_COMMAND,     WAL_IN_PARTIAL,
                                      WAL_PLACES_END};
    WalStore store = wal_store_description(options, clusters, restore_command,
                                           source_wal != NULL ? source_wal->scratch : NULL, arena);

    store.places = places;
    store.fetch = source_wal != NULL ? source_wal_fetch_segment : NULL;
    store.fetch_context = source_wal;
    target_wal->store = wal_store_create(&store);
    target_wal->stream = (WalStream){.shape = clusters->shape,
                                     .data_block_size = clusters->target.control.block_size,
                                     .history = &clusters->target_history,
                                     .open = wal_store_open,
                                     .missing = error_missing_in_wal_store,
                                     .is_targets = true,
                                     .context = target_wal->store};
    if (!check_restore_command(options, error))
        return false;
    return store.archive_directory == NULL ||
           dir_names(store.archive_directory, accept_name, NULL, NULL, error) ||
           error_hint(error, "--wal-archive needs a directory that can be read.");
}

void target_wal_limit(TargetWal *target_wal, const Control *control, Lsn lsn)
{
    const Lsn known_end = wal_known_end(control);

    target_wal->stream.limit = known_end > lsn ? known_end : lsn;
}

bool target_wal_grows(const TargetWal *target_wal)
{
    return target_wal->stream.limit != LSN_INVALID;
}

void target_wal_close(TargetWal *target_wal)
{
    wal_store_destroy(target_wal->store);
}
