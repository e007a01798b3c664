#include "standby/given_up_history.h"

#include "base/array.h"
#include "io/file.h"

#include <string.h>

/* The source's history up to one of its timelines, as that timeline's history file has it. */
static History history_up_to(const History *source, Timeline timeline, Arena *arena)
{
    History part = *source;

    part.count = 1;
    while (source->entries[part.count - 1].timeline != timeline)
        part.count++;
    part.entries = arena_allocate(arena, part.count * sizeof(*part.entries));
    memcpy(part.entries, source->entries, part.count * sizeof(*part.entries));
    part.entries[part.count - 1].end = LSN_INVALID;
    return part;
}

/* True if the text is the history file of a timeline of the source's history. */
static bool is_of_source(const History *source, Timeline timeline, const Buffer *text, Arena *arena)
{
    History found, expected;
    Error error;

    if (!history_has(source, timeline) ||
        !history_parse(arena, timeline, (const char *) text->bytes, text->size, &found, &error))
        return false;
    expected = history_up_to(source, timeline, arena);
    return history_is_same(&found, &expected);
}

bool given_up_histories_find(const Clusters *clusters, Arena *arena, const char *const **paths,
                             Error *error)
{
    const Target *target = &clusters->target;
    const History *source = &clusters->source_history;
    const Timeline last = history_last_timeline(source);
    const char **found_paths = NULL;
    size_t count = 0;

    for (Timeline timeline = target->timeline + 1; timeline > 1 && timeline <= last; timeline++)
    {
        AUTO_BUFFER Buffer path = {0}, text = {0};
        char name[HISTORY_NAME_SIZE];
        const char *relative;
        bool found;

        history_file_name(timeline, name);
        relative = arena_printf(arena, "%s/%s", target->control.version->wal_directory, name);
        if (!file_read_all(path_in(&path, target->directory, relative), HISTORY_SIZE_MAX, &text,
                           &found, error))
            return false;
        if (!found || is_of_source(source, timeline, &text, arena))
            continue;
        ARRAY_ADD_IN(arena, found_paths, count, relative);
    }
    ARRAY_ADD_IN(arena, found_paths, count, NULL);
    *paths = found_paths;
    return true;
}

bool given_up_histories_remove(const Clusters *clusters, const char *const *paths, Error *error)
{
    AUTO_BUFFER Buffer path = {0};

    for (; *paths != NULL; paths++)
        if (!durable_remove(path_in(&path, clusters->target.directory, *paths), error))
            return false;
    return true;
}
