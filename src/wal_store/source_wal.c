#include "wal_store/source_wal.h"

#include "base/log.h"
#include "io/file.h"
#include "pair/prerequisites.h"

#include <string.h>

SourceWal *source_wal_create(const Options *options, const Clusters *clusters,
                             const Control *control, const char *restore_command,
                             const char *scratch, Arena *arena)
{
    static const WalPlace places[] = {WAL_IN_KEPT_PG_WAL, WAL_OF_SOURCE,  WAL_FETCHED_BEFORE,
                                      WAL_IN_ARCHIVE,     WAL_BY_COMMAND, WAL_IN_PARTIAL,
                                      WAL_PLACES_END};
    const Source *source = clusters->source;
    SourceWal *wal = arena_allocate(arena, sizeof(*wal));
    WalStore store = wal_store_description(options, clusters, restore_command, scratch, arena);

    store.places = places;
    store.history = &clusters->source_history;
    store.source_prefix = source->is_server ? "source." : "";
    store.source_directory = source->is_server ? scratch
                                               : arena_printf(arena, "%s/%s", source->directory,
                                                              control->version->wal_directory);
    /* A server says where its WAL ends, and has that segment. */
    store.known_end = source->is_server ? LSN_INVALID : wal_known_end(control);
    store.last_needed = source->is_server ? LSN_INVALID : wal_last_needed(control);
    *wal = (SourceWal){.arena = arena,
                       .options = *options,
                       .clusters = clusters,
                       .scratch = scratch,
                       .has_command = restore_command != NULL,
                       .command_is_targets =
                           restore_command != NULL && options->restore_command == NULL,
                       .store = wal_store_create(&store)};
    wal->stream = (WalStream){.shape = clusters->shape,
                              .data_block_size = clusters->target.control.block_size,
                              .history = &clusters->source_history,
                              .open = wal_store_open,
                              .context = wal->store};
    return wal;
}

void source_wal_destroy(SourceWal *wal)
{
    if (wal != NULL)
        wal_store_destroy(wal->store);
}

void source_wal_set_common_end(SourceWal *wal, Lsn lsn)
{
    wal->store->common_end = lsn;
}

/* ---- Segments ---- */

static Timeline source_timeline_of(const SourceWal *wal, uint64_t segment)
{
    const WalShape *shape = &wal->stream.shape;

    return history_timeline_of_segment(wal->stream.history, wal_segment_start(shape, segment),
                                       wal_segment_start(shape, segment + 1));
}

void source_wal_segment_name(const SourceWal *wal, uint64_t segment, char name[WAL_NAME_SIZE])
{
    wal_segment_name(&wal->stream.shape, source_timeline_of(wal, segment), segment, name);
}

bool source_wal_is_kept(const SourceWal *wal, uint64_t segment)
{
    return wal_store_keeps(wal->store, source_timeline_of(wal, segment), segment);
}

uint64_t source_wal_first_not_kept(const SourceWal *wal, Lsn from)
{
    uint64_t segment = wal_segment_of(&wal->stream.shape, from);

    while (source_wal_is_kept(wal, segment))
        segment++;
    return segment;
}

bool source_wal_find(SourceWal *wal, uint64_t segment, Buffer *path, bool *may_take, bool *found,
                     Error *error)
{
    const size_t length = wal->scratch != NULL ? strlen(wal->scratch) : 0;
    const bool result =
        wal_store_find(wal->store, source_timeline_of(wal, segment), segment, path, found, error);

    *may_take = result && *found && wal->scratch != NULL && path->size > length &&
                memcmp(path->bytes, wal->scratch, length) == 0 && path->bytes[length] == '/';
    return result;
}

/* ---- What is missing ---- */

bool error_source_wal_missing(const Version *version, const char *names, Error *error)
{
    error_set(error, ERROR_FAILED, "the source no longer has WAL that the rewound target needs");
    error_detail(error, "Missing: %s.", names);
    return error_hint(error,
                      "Put the files into the source's %s, or let pg_rewind fetch them: "
                      "--wal-archive or --restore-command.",
                      version->wal_directory);
}

/* The same as source_wal_find, also for a segment that a server may have, but was not asked for. */
static bool segment_is_somewhere(SourceWal *wal, uint64_t segment, bool fetched, bool *found,
                                 Error *error)
{
    AUTO_FD int fd = -1;

    *found = false;
    return (fetched || !wal->clusters->source->is_server ||
            source_wal_source_has(wal, segment, found, error)) &&
           (*found || wal_store_open(wal->store, source_timeline_of(wal, segment), segment, &fd,
                                     found, error));
}

/* The segments that source_wal_check_there names, and where the last of them ends. */
static bool list_missing_segments(SourceWal *wal, Lsn from, Lsn end, Lsn needed_end,
                                  Buffer *missing, Lsn *missing_end, Error *error)
{
    const WalShape *shape = &wal->stream.shape;
    const uint64_t fetched = wal_segment_before(shape, end);
    const uint64_t needed = wal_segment_before(shape, needed_end);
    bool found = false;

    buffer_clear(missing);
    *missing_end = LSN_INVALID;
    for (uint64_t segment = wal_segment_of(shape, from);
         segment <= fetched || (segment <= needed && !found); segment++)
    {
        char name[WAL_NAME_SIZE];

        if (!segment_is_somewhere(wal, segment, segment <= fetched, &found, error))
            return false;
        if (found)
            continue;
        *missing_end = wal_segment_start(shape, segment + 1);
        source_wal_segment_name(wal, segment, name);
        if (!wal_missing_add(missing, name))
            break;
    }
    return true;
}

bool source_wal_ask_target_command(SourceWal *wal)
{
    const Target *target = &wal->clusters->target;
    char *command;
    Error why;

    if (wal->has_command)
        return false;
    wal->has_command = true;
    if (!target_restore_command(wal->arena, target, wal->options.bindir, &command, &why))
    {
        log_debug("%s", why.message);
        return false;
    }
    log_info("the source no longer has WAL that is needed: asking the target's own "
             "\"restore_command\"");
    wal_store_set_unasked_command(wal->store, command);
    wal->command_is_targets = true;
    return true;
}

bool source_wal_target_can_restore(SourceWal *wal, uint64_t segment, bool *can, Error *error)
{
    AUTO_FD int fd = -1;

    *can = false;
    if (wal->options.wal_archive != NULL ||
        (!source_wal_ask_target_command(wal) && !wal->command_is_targets))
        return true;
    return wal_store_open_archived(wal->store, source_timeline_of(wal, segment), segment, &fd, can,
                                   error);
}

bool source_wal_check_there(SourceWal *wal, Lsn from, Lsn end, Lsn needed_end, Lsn *missing_end,
                            Error *error)
{
    AUTO_BUFFER Buffer names = {0};

    if (!list_missing_segments(wal, from, end, needed_end, &names, missing_end, error))
        return false;
    if (names.size > 0 && source_wal_ask_target_command(wal))
    {
        wal->unasked_end = *missing_end;
        if (!list_missing_segments(wal, from, end, needed_end, &names, missing_end, error))
            return false;
    }
    return names.size == 0 ||
           error_source_wal_missing(wal->stream.shape.version, buffer_string(&names), error);
}
