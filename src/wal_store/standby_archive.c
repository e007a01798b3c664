#include "wal_store/standby_archive.h"

#include "base/log.h"
#include "io/file.h"
#include "target/configuration.h"
#include "wal_store/wal_store.h"

#include <stdio.h>
#include <string.h>

#define NEWER_TIMELINES_MAX 1000 /* a command may give something for each name */
#define COMPARED_SIZE (64 * 1024)

/* ---- History files ---- */

/* True if the archive has the history file, and it is not empty. */
static bool read_history(WalStore *store, Timeline timeline, Buffer *text)
{
    char name[HISTORY_NAME_SIZE];
    Error error;
    bool found;

    history_file_name(timeline, name);
    if (wal_store_read_file(store, name, HISTORY_SIZE_MAX, text, &found, &error))
        return found && text->size > 0;
    log_debug("the archive could not be asked for \"%s\": %s", name, error.message);
    return false;
}

/*
 * True if the source can follow the newer timeline of this history file. A standby can, unless it
 * has replayed more of its present timeline than that history contains: its server decides in the
 * same way (rescanLatestTimeLine, access/transam/xlogrecovery.c). A primary follows none.
 * (Rule C66.)
 */
static bool source_may_follow(const StandbyArchive *archive, Timeline newer, Buffer *text)
{
    const SourcePosition *position = archive->position;
    AUTO_ARENA Arena *arena = arena_create();
    History history;
    Error error;

    return position->in_recovery && position->minimum != LSN_INVALID &&
           history_parse(arena, newer, buffer_string(text), text->size, &history, &error) &&
           history_holds(&history, history_last_timeline(&archive->clusters->source_history),
                         position->minimum - 1, LSN_HIGHEST);
}

static void look_for_newer(const StandbyArchive *archive, WalStore *store, Timeline first,
                           MisleadingWal *found)
{
    for (Timeline timeline = first; timeline - first < NEWER_TIMELINES_MAX; timeline++)
    {
        AUTO_BUFFER Buffer text = {0}, path = {0};
        const bool in_archive = read_history(store, timeline, &text);
        char name[HISTORY_NAME_SIZE];
        bool in_pg_wal;
        Error error;

        history_file_name(timeline, name);
        in_pg_wal = !archive->rewound && file_exists(store->wal_directory, name);
        if (!in_archive && !in_pg_wal)
            return;
        if ((in_archive || file_read_all(path_in(&path, store->wal_directory, name),
                                         HISTORY_SIZE_MAX, &text, NULL, &error)) &&
            source_may_follow(archive, timeline, &text))
        {
            *found = (MisleadingWal){.command_not_run = found->command_not_run};
            continue;
        }
        if (found->first_newer == 0)
            found->first_newer = timeline;
        found->last_newer = timeline;
        found->newer_in_archive |= in_archive;
        found->newer_in_pg_wal |= in_pg_wal;
    }
}

/* ---- The segment of the divergence ---- */

/* Two files have the same bytes in [from, end). */
static bool is_same(int one, int other, uint64_t from, uint64_t end)
{
    uint8_t bytes[2][COMPARED_SIZE];
    size_t length[2];
    Error error;

    for (; from < end; from += COMPARED_SIZE)
    {
        const size_t size = end - from < COMPARED_SIZE ? (size_t) (end - from) : COMPARED_SIZE;

        if (!file_read_at(one, "", bytes[0], size, from, &length[0], &error) ||
            !file_read_at(other, "", bytes[1], size, from, &length[1], &error) ||
            length[0] != size || length[1] != size || memcmp(bytes[0], bytes[1], size) != 0)
            return false;
    }
    return true;
}

/*
 * Both sides wrote WAL of one timeline's number after the divergence. There the source's bytes are
 * others than the target's: an archived segment that has the target's is not the source's.
 */
static void compare_segment(const StandbyArchive *archive, WalStore *store, MisleadingWal *found)
{
    const Clusters *clusters = archive->clusters;
    const WalShape *shape = &clusters->shape;
    const uint64_t segment = wal_segment_of(shape, archive->divergence);
    const Lsn end = wal_segment_start(shape, segment + 1);
    const Timeline timeline = history_timeline_of_segment(&clusters->source_history, end);
    bool archived_there, own_there;
    int archived = -1, own = -1;
    Error error;

    if (clusters->target_history.count == 0 ||
        history_timeline_of_segment(&clusters->target_history, end) != timeline)
        return;
    if (wal_store_open_archived(store, segment, &archived, &archived_there, &error) &&
        archived_there && wal_store_open_own(store, segment, &own, &own_there, &error) &&
        own_there &&
        is_same(archived, own, archive->divergence - wal_segment_start(shape, segment),
                shape->segment_size))
        wal_stream_segment_name(&store->stream, segment, found->conflicting_file);
    file_close(archived);
    file_close(own);
}

/* ---- All of it ---- */

/* A command that the target's own configuration does not have now comes from the source, and so may
 * each one after an interrupted rewind was finished. The source must not decide what runs on this
 * host with our rights. (Rule S13.) */
static bool command_may_be_run(const StandbyArchive *archive, Arena *arena)
{
    const char *command = archive->restore_command;
    const Target *target = &archive->clusters->target;

    return command == NULL || text_is_same(command, archive->options->restore_command) ||
           (!target->configuration_is_new &&
            text_is_same(command,
                         configuration_recovery_setting(target, arena, false, "restore_command")));
}

static WalStore *open_store(const StandbyArchive *archive, const char *restore_command,
                            Arena *arena)
{
    WalStore description = wal_store_template(WAL_STORE_OF_STANDBY, archive->options,
                                              archive->clusters, NULL, archive->scratch, arena);
    WalStore *store;

    description.stream.history = &archive->clusters->source_history;
    description.limits.known_end = LSN_INVALID;
    store = wal_store_create(&description);
    wal_store_set_unasked_command(store, restore_command);
    return store;
}

MisleadingWal standby_archive_look(const StandbyArchive *archive, Arena *arena)
{
    const History *history = &archive->clusters->source_history;
    const bool compares = archive->rewound && archive->divergence != LSN_INVALID;
    const Timeline timeline = history_last_timeline(history);
    const bool asks = command_may_be_run(archive, arena);
    const UnaskedFailure *failure = archive->options->unasked_failure;
    MisleadingWal found = {.command_not_run = asks ? NULL : archive->restore_command};
    AUTO_BUFFER Buffer text = {0};
    WalStore *store = open_store(archive, asks ? archive->restore_command : NULL, arena);

    if (store->restore.command != NULL)
        log_info("asking the \"restore_command\" that the target's server will have for WAL that "
                 "would lead it away from the source");
    if (archive->takes_newest_timeline)
        look_for_newer(archive, store, timeline + 1, &found);
    /* Another server may have been promoted to a timeline of the same number, and have been first
     * to archive. */
    if (timeline != 1 && read_history(store, timeline, &text) &&
        !history_has_file(history, arena, timeline, buffer_string(&text), text.size))
        history_file_name(timeline, found.conflicting_file);
    if (compares && found.conflicting_file[0] == '\0')
        compare_segment(archive, store, &found);
    if (asks && archive->restore_command != NULL && failure->outcome[0] != '\0')
        found.command_failure = arena_strdup(arena, failure->outcome);
    wal_store_destroy(store);
    return found;
}

void misleading_wal_append_newer(const MisleadingWal *misleading, Buffer *text)
{
    buffer_printf(text, "\"%08X.history\"", misleading->first_newer);
    if (misleading->last_newer > misleading->first_newer)
        buffer_append_string(text, " and those of newer timelines");
    buffer_printf(text, " from %s%s%s", misleading->newer_in_archive ? "the archive" : "",
                  misleading->newer_in_archive && misleading->newer_in_pg_wal ? " and " : "",
                  misleading->newer_in_pg_wal ? "the target's pg_wal" : "");
}
