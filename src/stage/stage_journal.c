/*
 * stage_finish: sync what was staged, then write the journal of all that apply has to do.
 */
#include "stage/stage_parts.h"

#include "base/log.h"
#include "base/workers.h"
#include "io/durable.h"

#include <assert.h>
#include <string.h>

/* Writing the journal of a plan. */
typedef struct StageJournal
{
    Stage *stage;
    const Plan *plan;
    JournalWriter *writer;
} StageJournal;

static bool add_path(const StageJournal *journal, JournalKind kind, const char *path, Error *error)
{
    const JournalEntry entry = {.kind = kind, .path = path};

    return journal_add(journal->writer, &entry, error);
}

/* Is path removed at apply? */
static bool is_removed(const Stage *stage, const PlanEntry *entry, size_t index)
{
    if (!entry->on_target || stage_find_extra(stage, entry->path) != NULL)
        return false;
    if (entry->action == ACTION_REMOVE)
        return entry_has_effect(entry);
    return stage->findings[index].gone && entry->type != FILE_DIRECTORY;
}

/* Children before parents, hence backwards. */
static bool add_removals(const StageJournal *journal, Error *error)
{
    for (size_t index = journal->plan->count; index > 0; index--)
    {
        const PlanEntry *entry = &journal->plan->entries[index - 1];

        if (!is_removed(journal->stage, entry, index - 1))
            continue;
        journal->stage->statistics.files_removed += entry->type != FILE_DIRECTORY;
        if (!add_path(journal,
                      entry->type == FILE_DIRECTORY ? JOURNAL_REMOVE_DIRECTORY : JOURNAL_REMOVE,
                      entry->path, error))
            return false;
    }
    return true;
}

/* Parents before children, as the plan is sorted. */
static bool add_directories(const StageJournal *journal, Error *error)
{
    for (size_t index = 0; index < journal->plan->count; index++)
    {
        const PlanEntry *entry = &journal->plan->entries[index];
        JournalEntry link = {
            .kind = JOURNAL_MAKE_LINK, .path = entry->path, .other = entry->link_target};

        if (entry->action != ACTION_CREATE || journal->stage->findings[index].gone ||
            !entry_has_effect(entry))
            continue;
        if (entry->type == FILE_DIRECTORY &&
            !add_path(journal, JOURNAL_MAKE_DIRECTORY, entry->path, error))
            return false;
        if (entry->type == FILE_LINK && !journal_add(journal->writer, &link, error))
            return false;
    }
    return true;
}

/* Where the bytes of entry `index` lie that stays in place: the next *count of the placements,
 * after those of entries before it. */
static const Placement *find_placements(const Stage *stage, size_t index, size_t *next,
                                        size_t *count)
{
    const Placement *placements = (const Placement *) stage->placements.bytes;
    const size_t all = stage->placements.size / sizeof(Placement);
    size_t end;

    while (*next < all && placements[*next].index < index)
        (*next)++;
    for (end = *next; end < all && placements[end].index == index; end++)
        ;
    *count = end - *next;
    return *count > 0 ? &placements[*next] : NULL;
}

static bool add_ranges(const StageJournal *journal, const PlanEntry *entry, uint64_t final_size,
                       const Placement *placements, size_t count, Error *error)
{
    const size_t root = roots_of(&journal->stage->roots, entry->path);
    char data[PATH_SIZE];

    if (!path_join(data, sizeof(data), journal->stage->roots.roots[root].work, DATA_NAME, error))
        return false;
    for (size_t i = 0; i < count; i++)
    {
        const Placement *placed = &placements[i];
        const uint64_t left = placed->offset < final_size ? final_size - placed->offset : 0;
        const JournalEntry range = {.kind = JOURNAL_RANGE,
                                    .other = data,
                                    .offset = placed->offset,
                                    .data_offset = placed->data_offset,
                                    .size = placed->size < left ? placed->size : left};

        if (range.size > 0 && !journal_add(journal->writer, &range, error))
            return false;
    }
    return true;
}

static bool add_patch(const StageJournal *journal, const PlanEntry *entry, size_t index,
                      size_t *next, Error *error)
{
    const uint64_t final_size = stage_final_size(journal->stage, entry, index);
    const JournalEntry patch = {.kind = JOURNAL_PATCH, .path = entry->path, .size = final_size};
    size_t count;
    const Placement *placements = find_placements(journal->stage, index, next, &count);

    /* Nothing to write, nothing to cut: the entry is there for a block of another relation segment.
     */
    if (entry->action == ACTION_NONE && count == 0)
        return true;
    journal->stage->statistics.files_patched++;
    return journal_add(journal->writer, &patch, error) &&
           add_ranges(journal, entry, final_size, placements, count, error);
}

static bool add_install(const StageJournal *journal, const char *path, const char *staged,
                        Error *error)
{
    const JournalEntry install = {.kind = JOURNAL_INSTALL, .path = path, .other = staged};
    char local[PATH_SIZE];
    Obstacle obstacle;

    /* Again, as some files are in no plan, and time has passed: after the commit it is too late. */
    if (!stage_local(journal->stage, path, local, error))
        return false;
    obstacle = place_obstacle(local);
    if (obstacle != OBSTACLE_NONE)
        return error_set(error, ERROR_FAILED, "cannot replace \"%s\": %s", local,
                         obstacle_text(obstacle));
    journal->stage->statistics.files_staged++;
    return journal_add(journal->writer, &install, error);
}

static bool add_files(const StageJournal *journal, Error *error)
{
    const Stage *stage = journal->stage;
    size_t next = 0; /* of the placements */

    for (size_t index = 0; index < journal->plan->count; index++)
    {
        const PlanEntry *entry = &journal->plan->entries[index];
        char staged[PATH_SIZE];

        if (stage_is_patched(stage, entry, index) &&
            !add_patch(journal, entry, index, &next, error))
            return false;
        if (stage_is_whole(stage, entry, index) && stage_find_extra(stage, entry->path) == NULL &&
            (!stage_entry_name(stage, entry, index, staged, error) ||
             !add_install(journal, entry->path, staged, error)))
            return false;
    }
    for (size_t index = 0; index < stage->extra_count; index++)
    {
        if (!add_install(journal, stage->extras[index].path, stage->extras[index].staged, error))
            return false;
    }
    return true;
}

/* Directories of the extra files: neither the target nor the plan may have them, or the plan
 * removes them. One that is there stays as it is. */
static bool add_parents(const StageJournal *journal, Error *error)
{
    const Stage *stage = journal->stage;
    char last[PATH_SIZE] = "";

    for (size_t index = 0; index < stage->extra_count; index++)
    {
        char parent[PATH_SIZE];
        const size_t length = path_parent_length(stage->extras[index].path);

        memcpy(parent, stage->extras[index].path, length);
        parent[length] = '\0';
        if (length == 0 || strcmp(parent, last) == 0)
            continue;
        memcpy(last, parent, length + 1);
        if (!add_path(journal, JOURNAL_MAKE_DIRECTORY, parent, error))
            return false;
    }
    return true;
}

static bool write_journal(Stage *stage, const Plan *plan, const JournalHead *head, Error *error)
{
    StageJournal journal = {.stage = stage, .plan = plan};
    bool ok;

    ok = journal_create(stage->target_directory, head, &journal.writer, error);
    for (size_t root = 1; ok && root < stage->roots.count; root++)
        ok = add_path(&journal, JOURNAL_WORK_DIRECTORY, stage->roots.roots[root].work, error);
    ok = ok && add_removals(&journal, error) && add_directories(&journal, error) &&
         add_parents(&journal, error) && add_files(&journal, error);
    if (!ok)
    {
        journal_discard(journal.writer);
        return false;
    }
    return journal_close(journal.writer, error);
}

/* ---- Syncing what was staged ---- */

/* One item is one entry of the plan, or, after those, one extra file. */
typedef struct Syncing
{
    const Stage *stage;
    const Plan *plan;
} Syncing;

static bool sync_item(void *context, int worker, size_t item, Error *error)
{
    const Syncing *syncing = context;
    const Stage *stage = syncing->stage;
    const PlanEntry *entry;
    char staged[PATH_SIZE];
    char local[PATH_SIZE];

    (void) worker;
    if (item >= syncing->plan->count)
        return file_sync_path(stage->extras[item - syncing->plan->count].local, error);
    entry = &syncing->plan->entries[item];
    return !stage_is_whole(stage, entry, item) ||
           (stage_entry_name(stage, entry, item, staged, error) &&
            stage_local(stage, staged, local, error) && file_sync_path(local, error));
}

static bool sync_staged(const Stage *stage, const Plan *plan, Error *error)
{
    Syncing syncing = {.stage = stage, .plan = plan};
    char path[PATH_SIZE];

    if (!file_sync_enabled())
        return true;
    if (!written_sync(stage->written, false, stage->jobs, error))
        return false;
    if (!written_all_kept(stage->written) &&
        !workers_run(stage->jobs, plan->count + stage->extra_count, sync_item, &syncing, error))
        return false;
    for (size_t root = 0; root < stage->roots.count; root++)
    {
        if (stage->data_fds[root] >= 0 &&
            !file_sync(stage->data_fds[root], stage->roots.roots[root].work, error))
            return false;
        if (!stage_local(stage, stage->roots.roots[root].work, path, error) ||
            !file_sync_path(path, error) || !durable_sync_parent(path, error))
            return false;
    }
    return true;
}

bool stage_finish(Stage *stage, const Plan *plan, const JournalHead *head, Error *error)
{
    bool synced;

    assert(plan->count == stage->entry_count);
    log_progress_message("syncing what was fetched");
    progress_begin(PROGRESS_SYNC, 0);
    synced = sync_staged(stage, plan, error);
    progress_end(synced);
    /* Invariant 2: all that the journal speaks of is on the disk before there is a journal. */
    return synced && write_journal(stage, plan, head, error);
}
