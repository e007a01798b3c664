#include "standby/given_up_history.h"

#include "base/array.h"
#include "io/file.h"

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
        if (!found || history_has_file(source, arena, timeline, buffer_string(&text), text.size))
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
