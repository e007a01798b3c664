#include "stage/staged_files.h"

#include "base/workers.h"
#include "stage/check.h"

#define COPY_SIZE (64u * 1024 * 1024) /* between two looks for signals */

/* ---- Before the fetch ---- */

static bool copy_target_bytes(FileRange from, FileRange to, uint64_t limit, Error *error)
{
    uint64_t copied = COPY_SIZE;

    while (from.offset < limit && copied == COPY_SIZE)
    {
        const uint64_t left = limit - from.offset;

        if (!stop_check(error) ||
            !file_copy_range(&from, &to, left < COPY_SIZE ? left : COPY_SIZE, &copied, error))
            return false;
        to.offset = from.offset += copied;
    }
    return true;
}

/* Stage a copy of the target's own file, to be changed instead of it. With only_clone: if that
 * costs nothing (*made). */
static bool copy_target_file(Stage *stage, const PlanEntry *entry, size_t index, bool only_clone,
                             bool *made, Error *error)
{
    AUTO_BUFFER Buffer target_buffer = {0}, buffer = {0};
    const char *target = stage_local(stage, entry->path, &target_buffer);
    const char *local = stage_entry_local(stage, entry, index, &buffer);
    AUTO_FD int from = -1;
    int to = -1;
    bool ok = file_open_read(target, &from, NULL, error) && file_create(local, &to, error);

    *made = false;
    if (ok && only_clone)
        file_clone(from, to, made);
    else if (ok)
        ok = *made = copy_target_bytes((FileRange){from, target, 0}, (FileRange){to, local, 0},
                                       entry->source_size, error);
    written_keep(stage->written, to, local);
    if (*made)
        stage->findings[index].copied = true;
    return ok && (*made || file_remove(local, error));
}

/* A file that is to be patched, or a private copy of it, which will replace it. */
static bool prepare_patched_file(Stage *stage, const PlanEntry *entry, size_t index, Error *error)
{
    AUTO_BUFFER Buffer name = {0}, path = {0};
    const size_t root = roots_of(&stage->roots, entry->path);
    bool made = false;
    FileUse use;

    if (!stage_file_use(stage_local(stage, entry->path, &path), &use, error) ||
        use == FILE_USE_GONE)
        return false;
    if (use == FILE_USE_COPY)
        return copy_target_file(stage, entry, index, false, &made, error);
    /* Blocks get new places there in any case: now, while there may be none, not after the commit.
     */
    if (stage->roots.roots[root].space.copies_on_write &&
        !copy_target_file(stage, entry, index, true, &made, error))
        return false;
    if (made || stage->data_fds[root] >= 0)
        return true;
    path_in(&name, stage->roots.roots[root].work, DATA_NAME);
    return file_create(stage_local(stage, buffer_string(&name), &path), &stage->data_fds[root],
                       error);
}

/* Not all bytes of a whole file may be asked for: those of a file of no size, and blocks that
 * recovery rebuilds, for which the space is taken now. So it is for a file that is written past the
 * cache: several threads then need not wait for each other to make it longer. */
static bool prepare_whole_file(const Stage *stage, const PlanEntry *entry, size_t index,
                               Error *error)
{
    AUTO_BUFFER Buffer path = {0};
    const char *local = stage_entry_local(stage, entry, index, &path);
    int fd = -1;
    const bool ok =
        file_create(local, &fd, error) && file_reserve(fd, local, entry->source_size, error);

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

bool stage_conclude_file(const Stage *stage, const PlanEntry *entry, size_t index, Error *error)
{
    const bool resized =
        stage->findings[index].actual_size != SIZE_AS_PLANNED || stage->findings[index].copied;
    AUTO_BUFFER Buffer path = {0};
    const char *local = stage_entry_local(stage, entry, index, &path);
    mode_t mode = file_mode();
    int fd = -1;
    bool ok;

    if (entry->on_target && !stage_mode(stage, entry->path, &mode, error))
        return false;
    if (!resized && mode == file_mode())
        return true;
    ok = file_open_or_create(local, &fd, error) &&
         (!resized || file_truncate(fd, local, stage_final_size(stage, entry, index), error)) &&
         file_set_mode(fd, local, mode, error);
    written_keep(stage->written, fd, local);
    return ok;
}
