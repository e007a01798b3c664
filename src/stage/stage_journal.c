#include "stage/stage.h"

#include "base/workers.h"

static bool add_path(const Stage *stage, JournalKind kind, const char *path, Error *error)
{
    const JournalEntry entry = {.kind = kind, .path = path};

    return journal_add(stage->journal, &entry, error);
}

/* Add removals backwards: a directory's files must be removed before it. */
static bool add_removals(const Stage *stage, Error *error)
{
    for (size_t index = stage->plan->count; index > 0; index--)
    {
        const PlanEntry *entry = &stage->plan->entries[index - 1];
        const bool is_removed = entry->action == ACTION_REMOVE
                                    ? entry_has_effect(entry)
                                    : stage_state_of(stage, entry)->left_out;

        if (!is_removed || !entry->on_target || stage_find_extra(stage, entry->path) != NULL)
            continue;
        if (!add_path(stage,
                      entry->type == FILE_DIRECTORY ? JOURNAL_REMOVE_DIRECTORY : JOURNAL_REMOVE,
                      entry->path, error))
            return false;
    }
    return true;
}

/* Add directories in the plan's order, which has parents before children. */
static bool add_directories(const Stage *stage, Error *error)
{
    for (size_t index = 0; index < stage->plan->count; index++)
    {
        const PlanEntry *entry = &stage->plan->entries[index];
        JournalEntry link = {
            .kind = JOURNAL_MAKE_LINK, .path = entry->path, .other = entry->link_target};

        if (entry->action != ACTION_CREATE || stage_state_of(stage, entry)->left_out ||
            !entry_has_effect(entry))
            continue;
        if (entry->type == FILE_DIRECTORY &&
            !add_path(stage, JOURNAL_MAKE_DIRECTORY, entry->path, error))
            return false;
        if (entry->type == FILE_LINK && !journal_add(stage->journal, &link, error))
            return false;
    }
    return true;
}

static bool error_laid_out_otherwise(const char *path, Error *error)
{
    return error_set(error, ERROR_FAILED,
                     "what was staged of file \"%s\" is not what the plan says", path);
}

/* Add the ranges of an entry. Their bytes follow one another in the root's data file, from the
 * offset that next_fetched_range noted. A file that is left out has size 0, so it gets no range. */
static bool add_ranges(const Stage *stage, const PlanEntry *entry, Error *error)
{
    Root *root = &stage->roots.roots[roots_index(&stage->roots, entry->path)];
    const uint64_t final_size = stage_final_size(stage, entry);
    const uint64_t begin = stage_state_of(stage, entry)->data_offset;
    AUTO_BUFFER Buffer data = {0};
    JournalEntry range = {.kind = JOURNAL_RANGE,
                          .other = path_in(&data, root->work, DATA_NAME),
                          .data_offset = begin};
    uint64_t size;

    for (; plan_next_range(stage->plan, entry, &range.offset, &size);
         range.offset += size, range.data_offset += size)
    {
        const uint64_t left = range.offset < final_size ? final_size - range.offset : 0;

        range.size = size < left ? size : left;
        if (range.size > 0 && !journal_add(stage->journal, &range, error))
            return false;
    }
    /* Bytes that the journal does not name exactly as they were laid out would overwrite a wrong
     * block. */
    if (range.data_offset - begin != entry->fetch_bytes ||
        (entry->fetch_bytes > 0 && begin != root->journal_size))
        return error_laid_out_otherwise(entry->path, error);
    root->journal_size += entry->fetch_bytes;
    return true;
}

static bool add_install(const Stage *stage, const char *path, const char *staged, Error *error)
{
    const JournalEntry install = {.kind = JOURNAL_INSTALL, .path = path, .other = staged};
    AUTO_BUFFER Buffer buffer = {0};

    /* Check again that the file can be replaced: it may not be in the plan, and time has passed.
     * After the commit a failure would be too late. */
    if (!stage_can_replace(stage_local(stage, path, &buffer), error))
        return false;
    return journal_add(stage->journal, &install, error);
}

static bool add_files(const Stage *stage, Error *error)
{
    AUTO_BUFFER Buffer staged = {0};

    for (size_t index = 0; index < stage->plan->count; index++)
    {
        const PlanEntry *entry = &stage->plan->entries[index];
        const JournalEntry patch = {
            .kind = JOURNAL_PATCH, .path = entry->path, .size = stage_final_size(stage, entry)};

        if (stage_is_laid_out(stage, entry) && ((!stage_state_of(stage, entry)->left_out &&
                                                 !journal_add(stage->journal, &patch, error)) ||
                                                !add_ranges(stage, entry, error)))
            return false;
        if (stage_is_whole(stage, entry) && stage_find_extra(stage, entry->path) == NULL &&
            !add_install(stage, entry->path, stage_entry_name(stage, entry, &staged), error))
            return false;
    }
    for (size_t root = 0; root < stage->roots.count; root++)
    {
        if (stage->roots.roots[root].journal_size != stage->roots.roots[root].data_size)
            return error_laid_out_otherwise(stage->roots.roots[root].work, error);
    }
    for (size_t index = 0; index < stage->extra_count; index++)
    {
        if (!add_install(stage, stage->extras[index].path, stage->extras[index].staged, error))
            return false;
    }
    return true;
}

/* Add the directories that the plan does not name, parents before children. One that exists stays
 * as it is. */
static bool add_made_directories(const Stage *stage, Error *error)
{
    for (size_t index = 0; index < stage->directory_count; index++)
        if (!add_path(stage, JOURNAL_MAKE_DIRECTORY, stage->directories[index], error))
            return false;
    return true;
}

/* ---- Syncing what the result relies on ---- */

/* A WorkerFunction. One item is one entry of the plan, or, after those, one extra file. */
static bool sync_staged_file(void *context, size_t item, Error *error)
{
    AUTO_BUFFER Buffer local = {0};
    const Stage *stage = context;
    const Plan *plan = stage->plan;

    if (item >= plan->count)
        return file_sync_path(stage->extras[item - plan->count].local, error);
    return !stage_is_whole(stage, &plan->entries[item]) ||
           file_sync_path(stage_entry_local(stage, &plan->entries[item], &local), error);
}

bool stage_sync_target(Stage *stage, SyncMethod method, Error *error)
{
    const FoundFiles found = {.directory = stage->target_directory, .listing = stage->plan->target};

    if (!file_sync_enabled())
        return true;
    log_progress_message("syncing the target's own files");
    return listing_sync(&found, stage->written, method, stage->jobs, error);
}

/* Sync the staged files. Those whose descriptors were not kept are synced by path even if syncfs is
 * used. (Rule I28.) */
static bool sync_staged(Stage *stage, SyncMethod method, Error *error)
{
    const bool whole = method != SYNC_EACH_FILE && written_syncs_whole(stage->written);

    if (!file_sync_enabled())
        return true;
    if (!written_sync(stage->written, whole, stage->jobs, error) ||
        ((!whole || !written_all_kept(stage->written)) &&
         !workers_run(stage->jobs, stage->plan->count + stage->extra_count, sync_staged_file, stage,
                      error)))
        return false;
    for (size_t index = 0; index < stage->roots.count; index++)
    {
        const Root *root = &stage->roots.roots[index];
        AUTO_BUFFER Buffer path = {0};
        const char *work = stage_local(stage, root->work, &path);

        if ((root->data_fd >= 0 && !file_sync(root->data_fd, work, error)) ||
            !file_sync_path(work, error) || !durable_sync_parent(work, error))
            return false;
    }
    return true;
}

bool stage_finish(Stage *stage, const JournalHead *head, SyncMethod method, Error *error)
{
    const Roots *roots = &stage->roots;
    bool ok;

    log_progress_message("syncing what was fetched");
    progress_begin(PROGRESS_SYNC, 0);
    if (!progress_end(sync_staged(stage, method, error)))
        return false;
    stage_close_files(stage);
    /* Invariant 2: all that the result relies on is on the disk before there is a journal. */
    ok = journal_create(stage->target_directory, head, &stage->journal, error);
    for (size_t root = 1; ok && root < roots->count; root++)
        ok = add_path(stage, JOURNAL_WORK_DIRECTORY, roots->roots[root].work, error);
    if (ok && add_removals(stage, error) && add_directories(stage, error) &&
        add_made_directories(stage, error) && add_files(stage, error))
        return journal_close(stage->journal, error);
    journal_discard(stage->journal);
    return false;
}
