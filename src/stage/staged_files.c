/*
 * The files of a stage before the fetch writes to them, and after: made and reserved first, given
 * their size and mode last.
 */
#include "stage/stage_parts.h"

#include "base/workers.h"

#define COPY_SIZE (64u * 1024 * 1024) /* between two looks for signals */

/* ---- Before the fetch ---- */

static bool copy_target_bytes(const FileRange *from, const FileRange *to, uint64_t limit,
                              Error *error)
{
    uint64_t copied = COPY_SIZE;

    for (uint64_t offset = 0; offset < limit && copied == COPY_SIZE; offset += copied)
    {
        const uint64_t left = limit - offset;
        const FileRange next_from = {from->fd, from->path, offset};
        const FileRange next_to = {to->fd, to->path, offset};

        if (!stop_check(error) ||
            !file_copy_range(&next_from, &next_to, left < COPY_SIZE ? left : COPY_SIZE, &copied,
                             error))
            return false;
    }
    return true;
}

/* Stage a copy of the target's own file, to be changed instead of it. With only_clone: if that
 * costs nothing (*made). */
static bool copy_target_file(Stage *stage, const PlanEntry *entry, size_t index, bool only_clone,
                             bool *made, Error *error)
{
    char target[PATH_SIZE];
    char name[PATH_SIZE];
    char local[PATH_SIZE];
    FileRange from = {.fd = -1, .path = target};
    FileRange to = {.fd = -1, .path = local};
    bool ok = target_path(target, sizeof(target), stage->target_directory, entry->path, error) &&
              stage_entry_name(stage, entry, index, name, error) &&
              stage_local(stage, name, local, error) &&
              file_open_read(target, &from.fd, NULL, error) && file_create(local, &to.fd, error);

    *made = false;
    if (ok && only_clone)
        file_clone(from.fd, to.fd, made);
    else if (ok)
        ok = *made = copy_target_bytes(&from, &to, entry->source_size, error);
    file_close(from.fd);
    written_keep(stage->written, to.fd, local);
    if (*made)
        stage->findings[index].copied = true;
    return ok && (*made || file_remove(local, error));
}

/* A file that is to be patched, or a private copy of it, which will replace it. */
static bool prepare_patched_file(Stage *stage, const PlanEntry *entry, size_t index, Error *error)
{
    const size_t root = roots_of(&stage->roots, entry->path);
    char target[PATH_SIZE];
    char name[PATH_SIZE];
    char local[PATH_SIZE];
    bool made = false;
    FileUse use;

    if (!target_path(target, sizeof(target), stage->target_directory, entry->path, error) ||
        !stage_file_use(target, &use, error) || use == FILE_USE_GONE)
        return false;
    if (use == FILE_USE_COPY)
        return copy_target_file(stage, entry, index, false, &made, error);
    /* Blocks get new places there in any case: now, while there may be none, not after the commit.
     */
    if (stage->roots.roots[root].copies_on_write &&
        !copy_target_file(stage, entry, index, true, &made, error))
        return false;
    if (made || stage->data_fds[root] >= 0)
        return true;
    return path_join(name, sizeof(name), stage->roots.roots[root].work, DATA_NAME, error) &&
           stage_local(stage, name, local, error) &&
           file_create(local, &stage->data_fds[root], error);
}

/* Not all bytes of a whole file may be asked for: those of a file of no size, and blocks that
 * recovery rebuilds, for which the space is taken now. So it is for a file that is written past the
 * cache: several threads then need not wait for each other to make it longer. */
static bool prepare_whole_file(const Stage *stage, const PlanEntry *entry, size_t index,
                               Error *error)
{
    char name[PATH_SIZE];
    char local[PATH_SIZE];
    int fd = -1;
    const bool ok = stage_entry_name(stage, entry, index, name, error) &&
                    stage_local(stage, name, local, error) && file_create(local, &fd, error) &&
                    file_reserve(fd, local, entry->source_size, error);

    written_keep(stage->written, fd, local);
    return ok;
}

bool stage_prepare_files(Stage *stage, const Plan *plan, Error *error)
{
    for (size_t index = 0; index < plan->count; index++)
    {
        const PlanEntry *entry = &plan->entries[index];
        bool ok = true;

        if (stage_is_patched(stage, entry, index))
            ok = prepare_patched_file(stage, entry, index, error);
        else if (stage_is_whole(stage, entry, index) &&
                 (entry->source_size == 0 || entry->rebuilt != NULL ||
                  stage_is_written_direct(stage, entry, index)))
            ok = prepare_whole_file(stage, entry, index, error);
        if (!ok)
            return false;
    }
    return true;
}

/* ---- After the fetch ---- */

/* A file that replaces one keeps its mode. */
static bool read_target_mode(const Stage *stage, const PlanEntry *entry, mode_t *mode, Error *error)
{
    char target[PATH_SIZE];
    struct stat status;
    bool found;

    *mode = file_mode();
    if (!entry->on_target)
        return true;
    if (!target_path(target, sizeof(target), stage->target_directory, entry->path, error) ||
        !file_lstat(target, &status, &found, error))
        return false;
    /* One that we could not read ourselves could not be synced. */
    if (found && S_ISREG(status.st_mode))
        *mode = (status.st_mode & 07777) | S_IRUSR;
    return true;
}

bool stage_conclude_file(const Stage *stage, const PlanEntry *entry, size_t index, Error *error)
{
    const bool resized =
        stage->findings[index].actual_size != SIZE_AS_PLANNED || stage->findings[index].copied;
    char name[PATH_SIZE];
    char local[PATH_SIZE];
    mode_t mode;
    int fd = -1;
    bool ok;

    if (!read_target_mode(stage, entry, &mode, error))
        return false;
    if (!resized && mode == file_mode())
        return true;
    ok = stage_entry_name(stage, entry, index, name, error) &&
         stage_local(stage, name, local, error) && file_open_or_create(local, &fd, error) &&
         (!resized || file_truncate(fd, local, stage_final_size(stage, entry, index), error)) &&
         file_set_mode(fd, local, mode, error);
    written_keep(stage->written, fd, local);
    return ok;
}
