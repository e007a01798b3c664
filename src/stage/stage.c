/*
 * What is staged: what becomes of each entry of the plan, where its bytes lie, and files beside the
 * plan.
 */
#include "stage/stage_parts.h"

#include "base/array.h"
#include "base/log.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONTENT_NAME_SIZE 32
#define DIRECT_SIZE_MIN (8u * 1024 * 1024)

/* ---- What becomes of an entry ---- */

bool stage_is_laid_out(const Stage *stage, const PlanEntry *entry, size_t index)
{
    return !entry->wal && entry->type == FILE_REGULAR && entry->on_target &&
           entry_has_effect(entry) && plan_stays_in_place(entry) && !stage->findings[index].copied;
}

bool stage_is_patched(const Stage *stage, const PlanEntry *entry, size_t index)
{
    return !stage->findings[index].gone && stage_is_laid_out(stage, entry, index);
}

/* The part of stage_is_whole that does not change while workers fetch. */
static bool is_fetched_whole(const Stage *stage, const PlanEntry *entry, size_t index)
{
    const Finding *finding = &stage->findings[index];

    return !entry->wal && entry->type == FILE_REGULAR && !finding->equal &&
           entry_has_effect(entry) && (entry->action == ACTION_COPY || finding->copied);
}

bool stage_is_whole(const Stage *stage, const PlanEntry *entry, size_t index)
{
    return !stage->findings[index].gone && is_fetched_whole(stage, entry, index);
}

bool stage_is_written_direct(const Stage *stage, const PlanEntry *entry, size_t index)
{
    return file_sync_enabled() && entry->source_size >= DIRECT_SIZE_MIN &&
           !stage->findings[index].copied && is_fetched_whole(stage, entry, index);
}

uint64_t stage_final_size(const Stage *stage, const PlanEntry *entry, size_t index)
{
    const Finding *finding = &stage->findings[index];
    const uint64_t planned = plan_final_size(entry);

    if (finding->gone)
        return 0;
    return finding->actual_size < planned ? finding->actual_size : planned;
}

bool stage_is_gone(const Stage *stage, size_t index)
{
    return stage->findings[index].gone;
}

void stage_leave_out(Stage *stage, size_t index)
{
    stage->findings[index].gone = true;
}

uint64_t stage_place(Stage *stage, size_t root, size_t index, uint64_t offset, uint32_t size)
{
    const Placement placed = {.offset = offset,
                              .data_offset = stage->data_size[root],
                              .index = (uint32_t) index,
                              .size = size};
    Placement *last = NULL;

    assert(index <= UINT32_MAX);
    if (stage->placements.size > 0)
        last = (Placement *) (stage->placements.bytes + stage->placements.size) - 1;
    if (last != NULL && last->index == placed.index && last->offset + last->size == offset &&
        last->size <= UINT32_MAX - size)
        last->size += size;
    else
        buffer_append(&stage->placements, &placed, sizeof(placed));
    stage->data_size[root] += size;
    return placed.data_offset;
}

/* ---- Names ---- */

bool stage_name(const Stage *stage, const char *path, const char *name, char out[PATH_SIZE],
                Error *error)
{
    return path_join(out, PATH_SIZE, stage->roots.roots[roots_of(&stage->roots, path)].work, name,
                     error);
}

bool stage_local(const Stage *stage, const char *staged, char out[PATH_SIZE], Error *error)
{
    return target_path(out, PATH_SIZE, stage->target_directory, staged, error);
}

bool stage_entry_name(const Stage *stage, const PlanEntry *entry, size_t index, char out[PATH_SIZE],
                      Error *error)
{
    char name[CONTENT_NAME_SIZE];

    snprintf(name, sizeof(name), "f%zu", index);
    return stage_name(stage, entry->path, name, out, error);
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

bool stage_add_extra(Stage *stage, const char *path, const char *staged, Error *error)
{
    char local[PATH_SIZE];
    bool found;
    const size_t index = find_extra(stage, path, &found);

    if (!stage_local(stage, staged, local, error))
        return false;
    if (!found)
    {
        ARRAY_GROW(stage->extras, stage->extra_count);
        memmove(&stage->extras[index + 1], &stage->extras[index],
                (stage->extra_count - index) * sizeof(ExtraFile));
        stage->extra_count++;
        stage->extras[index].path = arena_strdup(stage->arena, path);
    }
    stage->extras[index].staged = arena_strdup(stage->arena, staged);
    stage->extras[index].local = arena_strdup(stage->arena, local);
    return true;
}

void stage_forget_extra(Stage *stage, const char *path)
{
    bool found;
    const size_t index = find_extra(stage, path, &found);

    if (!found)
        return;
    stage->extra_count--;
    memmove(&stage->extras[index], &stage->extras[index + 1],
            (stage->extra_count - index) * sizeof(ExtraFile));
}

bool stage_content(Stage *stage, const char *path, const void *bytes, size_t size, Error *error)
{
    char name[CONTENT_NAME_SIZE];
    char staged[PATH_SIZE];
    char local[PATH_SIZE];
    char target[PATH_SIZE];
    struct stat status;
    bool found;
    int fd = -1;
    bool ok;

    snprintf(name, sizeof(name), "c%llu", (unsigned long long) stage->content_count);
    stage->content_count++;
    if (!stage_name(stage, path, name, staged, error) ||
        !stage_local(stage, staged, local, error) ||
        !target_path(target, sizeof(target), stage->target_directory, path, error) ||
        !file_lstat(target, &status, &found, error))
        return false;
    ok = file_create(local, &fd, error) &&
         (size == 0 || file_write_at(fd, local, bytes, size, 0, error)) &&
         file_set_mode(fd, local,
                       found && S_ISREG(status.st_mode) ? (status.st_mode & 07777) | S_IRUSR
                                                        : file_mode(),
                       error);
    written_keep(stage->written, fd, local);
    return ok && stage_add_extra(stage, path, staged, error);
}

/* ---- Beginning and end ---- */

bool stage_create(const char *target_directory, const Plan *plan, int jobs, Stage **stage,
                  Error *error)
{
    Arena *arena = arena_create();
    Stage *made = arena_allocate(arena, sizeof(Stage));

    *stage = NULL;
    made->arena = arena;
    made->written = written_create();
    made->target_directory = arena_strdup(arena, target_directory);
    made->wal_directory = plan->wal_directory;
    made->jobs = jobs;
    made->entry_count = plan->count;
    made->findings = memory_allocate_zeroed(plan->count, sizeof(Finding));
    for (size_t index = 0; index < plan->count; index++)
        made->findings[index].actual_size = SIZE_AS_PLANNED;
    pthread_mutex_init(&made->lock, NULL);
    if (!stage_remove_stale(target_directory, error) ||
        !roots_find(arena, made->target_directory, plan, &made->roots, error))
    {
        stage_free(made);
        return false;
    }
    made->data_fds = arena_allocate(arena, made->roots.count * sizeof(int));
    made->data_size = arena_allocate(arena, made->roots.count * sizeof(uint64_t));
    for (size_t root = 0; root < made->roots.count; root++)
        made->data_fds[root] = -1;
    if (!stage_make_directories(made, plan, error))
    {
        stage_abandon(made);
        stage_free(made);
        return false;
    }
    *stage = made;
    return true;
}

const StageStatistics *stage_statistics(const Stage *stage)
{
    return &stage->statistics;
}

void stage_abandon(Stage *stage)
{
    Error error;

    if (!stage_remove_stale(stage->target_directory, &error))
        log_warning("%s", error.message);
}

void stage_free(Stage *stage)
{
    if (stage == NULL)
        return;
    for (size_t root = 0; stage->data_fds != NULL && root < stage->roots.count; root++)
        file_close(stage->data_fds[root]);
    written_free(stage->written);
    pthread_mutex_destroy(&stage->lock);
    free(stage->findings);
    buffer_free(&stage->placements);
    free(stage->extras);
    arena_destroy(stage->arena);
}
