#include "wal_store/target_wal.h"

#include "base/log.h"
#include "format/settings.h"
#include "io/dir.h"

#include <stdio.h>

bool target_wal_open(const Options *options, const Clusters *clusters, const char *restore_command,
                     Scratch *scratch, Arena *arena, WalStore **target_wal, Error *error)
{
    WalStore store =
        wal_store_template(WAL_STORE_OF_TARGET, options, clusters, restore_command, scratch, arena);
    AUTO_BUFFER Buffer ignored = {0};

    store.stream.missing = error_missing_in_wal_store;
    *target_wal = wal_store_create(&store);
    /* The command must be one that can be run. The configured one is only looked at when it is
     * needed. */
    return (options->restore_command == NULL ||
            restore_command_expand(options->restore_command, "", "", "", &ignored, error)) &&
           wal_archives_check(options, error);
}

/* ---- The newest segment ---- */

bool target_wal_find_newest(WalStore *target_wal, Error *error)
{
    const WalShape *shape = &target_wal->stream.shape;
    AUTO_ARENA Arena *arena = arena_create();
    uint64_t newest = 0, segment;
    const char **names;
    Timeline timeline;
    size_t count = 0;

    if (!dir_list(target_wal->wal_directory, arena, &names, NULL, error))
        return false;
    while (names[count] != NULL)
        count++;
    while (newest == 0 && count > 0) /* names are in the order of the stream */
    {
        AUTO_FD int fd = -1;
        bool found;

        if (!wal_segment_name_parse(shape, names[--count], &timeline, &segment) ||
            timeline != wal_stream_timeline(&target_wal->stream, segment))
            continue;
        if (!wal_store_open_own(target_wal, segment, &fd, &found, error))
            return false;
        if (found)
            newest = segment;
    }
    target_wal->stream.newest = newest;
    if (wal_segment_start(shape, newest) >= target_wal->limits.known_end)
        target_wal->limits.known_end = wal_segment_start(shape, newest) + WAL_LONG_HEADER_SIZE;
    return true;
}

/* ---- Histories ---- */

static void log_history(const Version *version, const char *title, const History *history)
{
    log_debug("%s", title);
    for (size_t i = 0; i < history->count; i++)
        log_debug("%u: %s - %s", history->entries[i].timeline, /* contract */
                  LSN_TEXT(version, history->entries[i].begin),
                  LSN_TEXT(version, history->entries[i].end));
}

/* The source's file of this name, whole. */
static bool read_file_of_source(Source *source, const Version *version, Timeline timeline,
                                Buffer *text, bool *found, Error *error)
{
    char name[HISTORY_NAME_SIZE], path[64];

    history_file_name(timeline, name);
    snprintf(path, sizeof(path), "%s/%s", version->wal_directory, name);
    return source->operations->read_file(source, path, HISTORY_SIZE_MAX, text, found, error);
}

/*
 * A history file that is gone is looked for where missing WAL is, and in the source's pg_wal. That
 * one may be of another server, promoted to a timeline of the same number: history_is_own.
 */
static bool read_target_history(const Clusters *clusters, WalStore *store, Buffer *text,
                                bool *foreign, Error *error)
{
    const Timeline timeline = clusters->target.timeline;
    char name[HISTORY_NAME_SIZE];
    AUTO_BUFFER Buffer path = {0};
    bool found;

    *foreign = false;
    history_file_name(timeline, name);
    path_in(&path, store->wal_directory, name);
    if (!file_read_all(buffer_string(&path), HISTORY_SIZE_MAX, text, &found, error))
        return false;
    *foreign = !found;
    if ((!found && !wal_store_read_file(store, name, HISTORY_SIZE_MAX, text, &found, error)) ||
        (!found && clusters->source != NULL &&
         !read_file_of_source(clusters->source, clusters->shape.version, timeline, text, &found,
                              error)))
        return false;
    return found ||
           /* The file is missing: this call fails and sets the error. */
           file_read_all(buffer_string(&path), HISTORY_SIZE_MAX, text, NULL, error) ||
           error_hint_missing_files(store, error);
}

bool target_history_read(const Options *options, WalStore *target_wal, Arena *arena,
                         Clusters *clusters, Error *error)
{
    const Timeline timeline = clusters->target.timeline;
    History *history = &clusters->target_history;
    AUTO_BUFFER Buffer text = {0};
    bool foreign = false;

    if ((timeline == 1 || read_target_history(clusters, target_wal, &text, &foreign, error)) &&
        history_parse(arena, timeline, (const char *) text.bytes, text.size, history, error))
    {
        history->foreign = foreign;
        if (clusters->source_history.count > 0)
            history_complete(arena, history, &clusters->source_history);
        log_history(clusters->shape.version, "Target timeline history:", /* contract */
                    history);
        return true;
    }
    *history = (History){0};
    if (!options->compare)
        return false;
    log_debug("the target's history is not known: %s", error->message);
    return true;
}

bool histories_read(const Options *options, WalStore *target_wal, Timeline source_timeline,
                    Arena *arena, Clusters *clusters, Error *error)
{
    const Version *version = clusters->shape.version;
    History *history = &clusters->source_history;
    AUTO_BUFFER Buffer text = {0}, path = {0};
    char name[HISTORY_NAME_SIZE];
    bool found = source_timeline == 1; /* on timeline 1 there is no history file */

    if (!found &&
        !read_file_of_source(clusters->source, version, source_timeline, &text, &found, error))
        return false;
    history_file_name(source_timeline, name);
    if (!found)
        return error_set(error, ERROR_FAILED, "could not fetch remote file \"%s\": no such file",
                         path_in(&path, version->wal_directory, name));
    if (!history_parse(arena, source_timeline, (const char *) text.bytes, text.size, history,
                       error))
        return false;
    log_history(version, "Source timeline history:", history); /* contract */
    if (!target_history_read(options, target_wal, arena, clusters, error))
        return false;
    if (clusters->target_history.count > 0)
        history_complete(arena, history, &clusters->target_history);
    return true;
}
