/*
 * PGDATA/pg_rewind.work/places lists the other work directories and the tablespace locations that
 * were made, before they are: a run that was killed is cleaned up from it. Records: 'W' or 'L',
 * path, NUL.
 */
#include "stage/stage.h"

#include "apply/commit.h"
#include "base/log.h"
#include "io/dir.h"
#include "io/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PLACES_NAME "places"
#define README_NAME "README"
#define PLACES_SIZE_MAX (16u * 1024 * 1024)

/* ---- Removing work directories ---- */

/* A path of the file "places" is only believed where it can be one. */
static bool place_is_plausible(char kind, const char *path)
{
    const size_t length = strlen(path);
    const size_t name_length = strlen(WORK_DIRECTORY);

    if (!path_is_safe(path[0] == '/' ? path + 1 : path))
        return false;
    if (kind == 'L')
        return path[0] == '/';
    return kind == 'W' && length > name_length + 1 && path[length - name_length - 1] == '/' &&
           strcmp(path + length - name_length, WORK_DIRECTORY) == 0;
}

static bool remove_place(const char *target_directory, char kind, const char *path, Error *error)
{
    AUTO_BUFFER Buffer buffer = {0};
    const char *local = target_path(&buffer, target_directory, path);

    if (!place_is_plausible(kind, path))
    {
        log_warning("\"%s\" in the work directory \"%s/%s\" is not a path that pg_rewind creates",
                    path, target_directory, WORK_DIRECTORY);
        return true;
    }
    if (kind == 'W')
        return dir_remove_tree(local, error);
    /* In use by now, if the rewind was finished: then it is not empty. */
    return file_remove_directory(local, error) || error->error_number == ENOTEMPTY ||
           error->error_number == EEXIST;
}

static bool remove_places(const char *target_directory, Error *error)
{
    AUTO_BUFFER Buffer path = {0}, places = {0};
    bool found;

    if (!file_read_all(target_path(&path, target_directory, WORK_DIRECTORY "/" PLACES_NAME),
                       PLACES_SIZE_MAX, &places, &found, error))
        return false;
    for (size_t position = 0; position < places.size;)
    {
        const char *record = (const char *) places.bytes + position;
        const size_t length = strnlen(record, places.size - position);

        position += length + 1;
        if (position > places.size)
            break; /* cut off: what it names was not made */
        if (length > 1 && !remove_place(target_directory, record[0], record + 1, error))
            return false;
    }
    return true;
}

bool stage_remove_stale(const char *target_directory, Error *error)
{
    AUTO_BUFFER Buffer work_buffer = {0}, journal = {0};
    AUTO_ARENA Arena *arena = arena_create();
    const char *work = target_path(&work_buffer, target_directory, WORK_DIRECTORY);
    PendingRewind pending;
    struct stat status;
    bool found;

    if (!file_lstat(work, &status, &found, error))
        return false;
    if (!found)
        return true;
    if (!S_ISDIR(status.st_mode))
        return error_set(error, ERROR_FAILED, "\"%s\" is not a directory", work);

    /* Invariant 2: what a committed rewind needs is never thrown away. */
    if (!apply_pending(target_directory, arena, &pending, error))
        return false;
    if (pending.state == PENDING_APPLY)
        return error_set(error, ERROR_FAILED, "\"%s\" holds a rewind that must be finished", work);
    /* A journal that cannot be read was never committed: apply_pending has looked. */
    if (pending.state == PENDING_STALE && !commit_take_back(target_directory, error))
        log_debug("%s", error->message);
    /* The journal first: the removals after it may be interrupted. */
    return durable_remove(target_path(&journal, target_directory, JOURNAL_PATH), error) &&
           remove_places(target_directory, error) && dir_remove_tree(work, error) &&
           file_sync_path(target_directory, error);
}

/* ---- Making them ---- */

/* A file of the work directory of PGDATA, by rename. */
static bool write_work_file(const Stage *stage, const char *name, const void *bytes, size_t size,
                            Error *error)
{
    AUTO_BUFFER Buffer path = {0}, temporary = {0};

    buffer_printf(&path, "%s/" WORK_DIRECTORY "/%s", stage->target_directory, name);
    buffer_printf(&temporary, "%s.new", buffer_string(&path));
    return durable_replace(buffer_string(&path), buffer_string(&temporary), bytes, size, 0, error);
}

static bool write_places(const Stage *stage, Error *error)
{
    AUTO_BUFFER Buffer places = {0};

    for (size_t index = 1; index < stage->roots.count; index++)
    {
        buffer_printf(&places, "W%s", stage->roots.roots[index].work);
        buffer_append_u8(&places, '\0');
    }
    for (size_t index = 0; index < stage->roots.location_count; index++)
    {
        if (!stage->roots.locations[index].missing)
            continue;
        buffer_printf(&places, "L%s", stage->roots.locations[index].path);
        buffer_append_u8(&places, '\0');
    }
    return places.size == 0 ||
           write_work_file(stage, PLACES_NAME, places.bytes, places.size, error);
}

/*
 * For an administrator who finds the directory. Between the real backup_label and the new
 * pg_control only this file says what to do: neither label nor pid file does, and the server's own
 * error about pg_control cannot.
 */
static bool write_readme(const Stage *stage, Error *error)
{
    static const char text[] =
        "pg_rewind keeps here what it needs to finish.\n"
        "If no pg_rewind is running, it was interrupted: run the same pg_rewind command again.\n"
        "Do not remove this directory, backup_label or global/pg_control.\n";

    return write_work_file(stage, README_NAME, text, strlen(text), error);
}

static bool make_directories(const Stage *stage, Error *error)
{
    AUTO_BUFFER Buffer path = {0};

    /* Directories elsewhere are written down before they are made. */
    if (!file_make_directory(stage_local(stage, WORK_DIRECTORY, &path), error) ||
        !write_readme(stage, error) || !write_places(stage, error) ||
        !file_sync_path(stage->target_directory, error))
        return false;
    for (size_t index = 0; index < stage->roots.location_count; index++)
    {
        const NewLocation *location = &stage->roots.locations[index];

        if (location->missing && (!file_make_directory(location->path, error) ||
                                  !durable_sync_parent(location->path, error)))
            return false;
    }
    for (size_t index = 1; index < stage->roots.count; index++)
    {
        const char *work = stage_local(stage, stage->roots.roots[index].work, &path);

        if (!dir_remove_tree(work, error) || !file_make_directory(work, error))
            return false;
    }
    for (size_t index = 0; index < stage->roots.count; index++)
    {
        if (!written_watch(stage->written,
                           stage_local(stage, stage->roots.roots[index].work, &path), error))
            return false;
    }
    return true;
}

/* Reserve the space that the apply will allocate, so that it is there after the commit. */
static bool make_ballast(Stage *stage, Error *error)
{
    if (!roots_reserve(&stage->roots, stage->plan, error))
        return false;
    for (size_t index = 0; index < stage->roots.count; index++)
    {
        const Root *root = &stage->roots.roots[index];
        AUTO_BUFFER Buffer name = {0}, buffer = {0};
        const char *path = stage_local(stage, path_in(&name, root->work, BALLAST_NAME), &buffer);
        AUTO_FD int fd = -1;

        if (root->reserved > 0 &&
            (!file_create(path, &fd, error) || !file_reserve(fd, path, root->reserved, error)))
            return false;
    }
    return true;
}

static bool begin_stage(Stage *stage, Error *error)
{
    if (!stage_remove_stale(stage->target_directory, error) ||
        !roots_find(stage->arena, stage->target_directory, stage->plan, &stage->roots, error))
        return false;
    if (make_directories(stage, error) && make_ballast(stage, error))
        return true;
    stage_abandon(stage);
    return false;
}

bool stage_create(const char *target_directory, const Plan *plan, int jobs, Stage **stage,
                  Error *error)
{
    Arena *arena = arena_create();
    Stage *made = arena_allocate(arena, sizeof(Stage));

    made->arena = arena;
    made->written = written_create();
    made->target_directory = arena_strdup(arena, target_directory);
    made->plan = plan;
    made->jobs = jobs;
    made->findings = memory_allocate_zeroed(plan->count, sizeof(FoundFile));
    for (size_t index = 0; index < plan->count; index++)
        made->findings[index].actual_size = SIZE_AS_PLANNED;
    pthread_mutex_init(&made->lock, NULL);
    *stage = made;
    if (begin_stage(made, error))
        return true;
    stage_free(made);
    *stage = NULL;
    return false;
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
    for (size_t root = 0; root < stage->roots.count; root++)
        file_close(stage->roots.roots[root].data_fd);
    written_free(stage->written);
    pthread_mutex_destroy(&stage->lock);
    free(stage->findings);
    buffer_free(&stage->placements);
    free(stage->extras);
    arena_destroy(stage->arena);
}
