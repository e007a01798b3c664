#include "stage/stage.h"

#include "base/array.h"

#include <stdio.h>
#include <string.h>

#define CONTENT_NAME_SIZE 32
#define DIRECT_SIZE_MIN (8u * 1024 * 1024)

/* ---- What becomes of an entry ---- */

FoundFile *stage_found_file(const Stage *stage, const PlanEntry *entry)
{
    return &stage->findings[entry - stage->plan->entries];
}

bool stage_is_laid_out(const Stage *stage, const PlanEntry *entry)
{
    return !entry->wal && entry->type == FILE_REGULAR && entry->on_target &&
           entry_has_effect(entry) && plan_stays_in_place(entry) &&
           !stage_found_file(stage, entry)->copied;
}

bool stage_is_patched(const Stage *stage, const PlanEntry *entry)
{
    return !stage_found_file(stage, entry)->gone && stage_is_laid_out(stage, entry);
}

/* The part of stage_is_whole that does not change while workers fetch. */
static bool is_fetched_whole(const Stage *stage, const PlanEntry *entry)
{
    const FoundFile *finding = stage_found_file(stage, entry);

    return !entry->wal && entry->type == FILE_REGULAR && !finding->equal &&
           entry_has_effect(entry) && (entry->action == ACTION_COPY || finding->copied);
}

bool stage_is_whole(const Stage *stage, const PlanEntry *entry)
{
    return !stage_found_file(stage, entry)->gone && is_fetched_whole(stage, entry);
}

bool stage_is_written_direct(const Stage *stage, const PlanEntry *entry)
{
    return file_sync_enabled() && entry->source_size >= DIRECT_SIZE_MIN &&
           !stage_found_file(stage, entry)->copied && is_fetched_whole(stage, entry);
}

uint64_t stage_final_size(const Stage *stage, const PlanEntry *entry)
{
    const FoundFile *finding = stage_found_file(stage, entry);
    const uint64_t planned = plan_final_size(entry);

    if (finding->gone)
        return 0;
    return finding->actual_size < planned ? finding->actual_size : planned;
}

void stage_leave_out(Stage *stage, const PlanEntry *entry)
{
    pthread_mutex_lock(&stage->lock);
    stage_found_file(stage, entry)->gone = true;
    pthread_mutex_unlock(&stage->lock);
}

/* ---- Names ---- */

const char *stage_name(const Stage *stage, const char *path, const char *name, Buffer *out)
{
    return path_in(out, stage->roots.roots[roots_of(&stage->roots, path)].work, name);
}

const char *stage_local(const Stage *stage, const char *staged, Buffer *out)
{
    return target_path(out, stage->target_directory, staged);
}

const char *stage_entry_name(const Stage *stage, const PlanEntry *entry, Buffer *out)
{
    char name[CONTENT_NAME_SIZE];

    snprintf(name, sizeof(name), "f%td", entry - stage->plan->entries);
    return stage_name(stage, entry->path, name, out);
}

const char *stage_entry_local(const Stage *stage, const PlanEntry *entry, Buffer *out)
{
    AUTO_BUFFER Buffer name = {0};

    return stage_local(stage, stage_entry_name(stage, entry, &name), out);
}

/* ---- Files that the plan does not name ---- */

static int compare_extra(const void *path, const void *extra)
{
    return strcmp(path, ((const ExtraFile *) extra)->path);
}

/* The first one whose path is not before this path, and whether it has this path. */
static size_t find_extra(const Stage *stage, const char *path, bool *found)
{
    return array_search(path, stage->extras, stage->extra_count, sizeof(ExtraFile), compare_extra,
                        found);
}

const ExtraFile *stage_find_extra(const Stage *stage, const char *path)
{
    bool found;
    const size_t index = find_extra(stage, path, &found);

    return found ? &stage->extras[index] : NULL;
}

void stage_add_extra(Stage *stage, const char *path, const char *staged)
{
    AUTO_BUFFER Buffer local = {0};
    bool found;
    const size_t index = find_extra(stage, path, &found);

    if (!found)
    {
        ARRAY_GROW(stage->extras, stage->extra_count);
        memmove(&stage->extras[index + 1], &stage->extras[index],
                (stage->extra_count - index) * sizeof(ExtraFile));
        stage->extra_count++;
        stage->extras[index].path = arena_strdup(stage->arena, path);
    }
    stage->extras[index].staged = arena_strdup(stage->arena, staged);
    stage->extras[index].local = arena_strdup(stage->arena, stage_local(stage, staged, &local));
}

bool stage_mode(const Stage *stage, const char *path, mode_t *mode, Error *error)
{
    AUTO_BUFFER Buffer target = {0};
    struct stat status;
    bool found;

    *mode = file_mode();
    if (!file_lstat(stage_local(stage, path, &target), &status, &found, error))
        return false;
    /* A file that we could not read ourselves could not be synced. */
    if (found && S_ISREG(status.st_mode))
        *mode = (status.st_mode & 07777) | S_IRUSR;
    return true;
}

bool stage_content(Stage *stage, const char *path, const void *bytes, size_t size, Error *error)
{
    AUTO_BUFFER Buffer staged = {0}, local_buffer = {0};
    char name[CONTENT_NAME_SIZE];
    const char *local;
    mode_t mode;
    int fd = -1;
    bool ok;

    if (!stage_mode(stage, path, &mode, error))
        return false;
    snprintf(name, sizeof(name), "c%llu", (unsigned long long) stage->content_count++);
    stage_name(stage, path, name, &staged);
    local = stage_local(stage, buffer_string(&staged), &local_buffer);
    ok = file_create(local, &fd, error) &&
         (size == 0 || file_write_at(fd, local, bytes, size, 0, error)) &&
         file_set_mode(fd, local, mode, error);
    written_keep(stage->written, fd, local);
    if (ok)
        stage_add_extra(stage, path, buffer_string(&staged));
    return ok;
}
