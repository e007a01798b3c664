/*
 * The work directories: made, and removed when nothing needs them.
 *
 * PGDATA/pg_rewind.work/places lists the other work directories and the tablespace locations that
 * were made, before they are: a run that was killed is cleaned up from it. Records: 'W' or 'L',
 * path, NUL.
 */
#include "stage/stage_parts.h"

#include "apply/apply.h"
#include "apply/commit.h"
#include "stage/space.h"
#include "base/log.h"
#include "io/dir.h"
#include "io/durable.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PLACES_NAME "places"
#define README_NAME "README"
#define PLACES_SIZE_MAX (16u * 1024 * 1024)

/* ---- Removing work directories ---- */

/* PGDATA/pg_rewind.work/NAME */
static bool work_path(char out[PATH_SIZE], const char *target_directory, const char *name,
                      Error *error)
{
    char work[PATH_SIZE];

    return path_join(work, sizeof(work), target_directory, WORK_DIRECTORY, error) &&
           path_join(out, PATH_SIZE, work, name, error);
}

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
    char local[PATH_SIZE];

    if (!place_is_plausible(kind, path))
    {
        log_warning("\"%s\" in the work directory \"%s/%s\" is not a path that pg_rewind creates",
                    path, target_directory, WORK_DIRECTORY);
        return true;
    }
    if (!target_path(local, sizeof(local), target_directory, path, error))
        return false;
    if (kind == 'W')
        return dir_remove_tree(local, error);
    /* In use by now, if the rewind was finished: then it is not empty. */
    return file_remove_directory(local, error) || error->error_number == ENOTEMPTY ||
           error->error_number == EEXIST;
}

static bool remove_places(const char *target_directory, Error *error)
{
    char path[PATH_SIZE];
    Buffer places = {0};
    bool found;
    bool ok = work_path(path, target_directory, PLACES_NAME, error) &&
              file_read_all(path, PLACES_SIZE_MAX, &places, &found, error);

    for (size_t position = 0; ok && position < places.size;)
    {
        const char *record = (const char *) places.bytes + position;
        const size_t left = places.size - position;
        const size_t length = strnlen(record, left);

        if (length == left)
            break; /* cut off: what it speaks of was not made */
        if (length > 1)
            ok = remove_place(target_directory, record[0], record + 1, error);
        position += length + 1;
    }
    buffer_free(&places);
    return ok;
}

bool stage_remove_stale(const char *target_directory, Error *error)
{
    char work[PATH_SIZE];
    char path[PATH_SIZE];
    Arena *arena = NULL;
    PendingRewind pending;
    struct stat status;
    bool found;
    bool ok = false;

    if (!path_join(work, sizeof(work), target_directory, WORK_DIRECTORY, error) ||
        !file_lstat(work, &status, &found, error))
        return false;
    if (!found)
        return true;
    if (!S_ISDIR(status.st_mode))
        return error_set(error, ERROR_FAILED, "\"%s\" is not a directory", work);

    /* Invariant 2: what a committed rewind needs is never thrown away. */
    arena = arena_create();
    if (!apply_pending(target_directory, arena, &pending, error))
        goto done;
    if (pending.state == PENDING_APPLY)
    {
        error_set(error, ERROR_FAILED, "\"%s\" holds a rewind that must be finished", work);
        goto done;
    }
    if (pending.state == PENDING_STALE && !commit_take_back(target_directory, error))
    {
        /* A journal that cannot be read was never committed: apply_pending has looked. */
        log_debug("%s", error->message);
    }
    /* The journal first: what follows may be interrupted. */
    ok = work_path(path, target_directory, JOURNAL_NAME, error) && durable_remove(path, error) &&
         remove_places(target_directory, error) && dir_remove_tree(work, error) &&
         file_sync_path(target_directory, error);

done:
    arena_destroy(arena);
    return ok;
}

/* ---- Making them ---- */

static bool write_places(const Stage *stage, Error *error)
{
    char path[PATH_SIZE];
    char temporary[PATH_SIZE];
    Buffer places = {0};
    bool ok;

    for (size_t index = 1; index < stage->roots.count; index++)
    {
        buffer_append_u8(&places, 'W');
        buffer_append(&places, stage->roots.roots[index].work,
                      strlen(stage->roots.roots[index].work) + 1);
    }
    for (size_t index = 0; index < stage->roots.location_count; index++)
    {
        const NewLocation *location = &stage->roots.locations[index];

        if (!location->missing)
            continue;
        buffer_append_u8(&places, 'L');
        buffer_append(&places, location->path, strlen(location->path) + 1);
    }
    ok =
        work_path(path, stage->target_directory, PLACES_NAME, error) &&
        work_path(temporary, stage->target_directory, PLACES_NAME ".new", error) &&
        (places.size == 0 || durable_replace(path, temporary, places.bytes, places.size, 0, error));
    buffer_free(&places);
    return ok;
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
    char path[PATH_SIZE];
    char temporary[PATH_SIZE];

    return work_path(path, stage->target_directory, README_NAME, error) &&
           work_path(temporary, stage->target_directory, README_NAME ".new", error) &&
           durable_replace(path, temporary, text, strlen(text), 0, error);
}

static bool make_directories(const Stage *stage, Error *error)
{
    char path[PATH_SIZE];

    /* What is to be made elsewhere is written down before it is made. */
    if (!stage_local(stage, WORK_DIRECTORY, path, error) || !file_make_directory(path, error) ||
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
        if (!stage_local(stage, stage->roots.roots[index].work, path, error) ||
            !dir_remove_tree(path, error) || !file_make_directory(path, error))
            return false;
    }
    for (size_t index = 0; index < stage->roots.count; index++)
    {
        if (!stage_local(stage, stage->roots.roots[index].work, path, error) ||
            !written_watch(stage->written, path, error))
            return false;
    }
    return true;
}

/* Reserve the space that the apply will allocate, so that it is there after the commit. */
static bool make_ballast(Stage *stage, const Plan *plan, Error *error)
{
    uint64_t *growth = memory_allocate_zeroed(stage->roots.count, sizeof(uint64_t));
    FileSpace *space = memory_allocate_zeroed(stage->roots.count, sizeof(FileSpace));
    bool ok = space_measure(&stage->roots, space, error) &&
              space_to_reserve(&stage->roots, plan, growth, error);

    for (size_t root = 0; ok && root < stage->roots.count; root++)
    {
        char name[PATH_SIZE];
        char path[PATH_SIZE];
        int fd = -1;

        if (growth[root] == 0)
            continue;
        ok = path_join(name, sizeof(name), stage->roots.roots[root].work, BALLAST_NAME, error) &&
             stage_local(stage, name, path, error) && file_create(path, &fd, error) &&
             file_reserve(fd, path, growth[root], error);
        file_close(fd);
    }
    free(growth);
    free(space);
    return ok;
}

bool stage_make_directories(Stage *stage, const Plan *plan, Error *error)
{
    return make_directories(stage, error) && make_ballast(stage, plan, error);
}
