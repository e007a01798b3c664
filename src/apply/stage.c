/*
 * The work directories: made, accounted for in the journal, removed.
 *
 * PGDATA/pg_rewind.work/places lists the other work directories and the tablespace locations that
 * were made, before they are: a run that was killed is cleaned up from it. Records: 'W' or 'L',
 * path, NUL.
 */
#include "apply/staging.h"

#include "apply/apply.h"
#include "apply/commit.h"
#include "apply/space.h"
#include "base/log.h"
#include "base/workers.h"
#include "format/control.h"
#include "io/dir.h"
#include "io/durable.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLACES_NAME "places"
#define README_NAME "README"
#define PLACES_SIZE_MAX (16u * 1024 * 1024)
#define CONTENT_NAME_SIZE 32

/* ---- What becomes of an entry ---- */

bool stage_is_laid_out(const Stage *stage, const PlanEntry *entry, size_t index)
{
    if (entry->wal || entry->type != FILE_REGULAR || !entry->on_target || entry->dropped ||
        !entry_has_effect(entry) || (stage->state[index] & STAGED_PRIVATE) != 0)
        return false;
    return plan_stays_in_place(entry);
}

bool stage_is_patched(const Stage *stage, const PlanEntry *entry, size_t index)
{
    return !entry->gone && stage_is_laid_out(stage, entry, index);
}

bool stage_is_whole(const Stage *stage, const PlanEntry *entry, size_t index)
{
    if (entry->wal || entry->type != FILE_REGULAR || entry->gone || entry->equal ||
        entry->dropped || !entry_has_effect(entry))
        return false;
    return entry->action == ACTION_COPY || (stage->state[index] & STAGED_PRIVATE) != 0;
}

uint64_t stage_final_size(const Stage *stage, const PlanEntry *entry, size_t index)
{
    const uint64_t planned = plan_final_size(entry);

    return stage->actual_size[index] < planned ? stage->actual_size[index] : planned;
}

/* Is path removed at apply? */
static bool is_removed(const Stage *stage, const PlanEntry *entry)
{
    if (!entry->on_target || !entry_has_effect(entry) ||
        stage_find_extra(stage, entry->path) != NULL)
        return false;
    if (entry->action == ACTION_REMOVE || entry->dropped)
        return true;
    return entry->gone && entry->type != FILE_DIRECTORY;
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

/* The first one whose path is not below path, and whether it is path's. */
static size_t find_extra(const Stage *stage, const char *path, bool *found)
{
    size_t begin = 0;
    size_t end = stage->extra_count;

    while (begin < end)
    {
        const size_t middle = begin + (end - begin) / 2;

        if (strcmp(stage->extras[middle].path, path) < 0)
            begin = middle + 1;
        else
            end = middle;
    }
    *found = begin < stage->extra_count && strcmp(stage->extras[begin].path, path) == 0;
    return begin;
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
        if (stage->extra_count == stage->extra_capacity)
        {
            stage->extra_capacity = stage->extra_capacity > 0 ? 2 * stage->extra_capacity : 64;
            stage->extras = memory_resize(stage->extras, stage->extra_capacity * sizeof(ExtraFile));
        }
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
    const char *description;
    PendingState state;
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
    if (!apply_pending(target_directory, arena, &state, &description, error))
        goto done;
    if (state == PENDING_APPLY)
    {
        error_set(error, ERROR_FAILED, "\"%s\" holds a rewind that must be finished", work);
        goto done;
    }
    if (state == PENDING_STALE && !commit_take_back(target_directory, error))
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
 * For who finds the directory. Between the real backup_label and the new pg_control it is the only
 * place that says what to do: neither label nor pid file does, and the server's own words about
 * pg_control cannot.
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

bool stage_create(const char *target_directory, const Plan *plan, int jobs, Stage **stage,
                  Error *error)
{
    Arena *arena = arena_create();
    Stage *made = arena_allocate(arena, sizeof(Stage));

    *stage = NULL;
    made->arena = arena;
    made->written = written_create();
    made->target_directory = arena_strdup(arena, target_directory);
    made->jobs = jobs;
    made->entry_count = plan->count;
    made->state = memory_allocate_zeroed(plan->count, 1);
    made->actual_size = memory_allocate(plan->count * sizeof(uint64_t));
    for (size_t index = 0; index < plan->count; index++)
        made->actual_size[index] = SIZE_AS_PLANNED;
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
    if (!make_directories(made, error) || !make_ballast(made, plan, error))
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
    free(stage->state);
    free(stage->actual_size);
    free(stage->extras);
    arena_destroy(stage->arena);
}

/* ---- The journal of it all ---- */

/* Writing the journal of a plan. */
typedef struct Account
{
    Stage *stage;
    const Plan *plan;
    JournalWriter *writer;
    uint64_t *next_data; /* of each root: where the next range lies in its data file */
} Account;

static bool add_path(const Account *account, JournalKind kind, const char *path, Error *error)
{
    const JournalEntry entry = {.kind = kind, .path = path};

    return journal_add(account->writer, &entry, error);
}

/* Children before parents, hence backwards. */
static bool add_removals(const Account *account, Error *error)
{
    for (size_t index = account->plan->count; index > 0; index--)
    {
        const PlanEntry *entry = &account->plan->entries[index - 1];

        if (!is_removed(account->stage, entry))
            continue;
        account->stage->statistics.files_removed += entry->type != FILE_DIRECTORY;
        if (!add_path(account,
                      entry->type == FILE_DIRECTORY ? JOURNAL_REMOVE_DIRECTORY : JOURNAL_REMOVE,
                      entry->path, error))
            return false;
    }
    return true;
}

/* Parents before children, as the plan is sorted. */
static bool add_directories(const Account *account, Error *error)
{
    for (size_t index = 0; index < account->plan->count; index++)
    {
        const PlanEntry *entry = &account->plan->entries[index];
        JournalEntry link = {
            .kind = JOURNAL_MAKE_LINK, .path = entry->path, .other = entry->link_target};

        if (entry->action != ACTION_CREATE || entry->gone || !entry_has_effect(entry))
            continue;
        if (entry->type == FILE_DIRECTORY &&
            !add_path(account, JOURNAL_MAKE_DIRECTORY, entry->path, error))
            return false;
        if (entry->type == FILE_LINK && !journal_add(account->writer, &link, error))
            return false;
    }
    return true;
}

/* The ranges of a file that stays in place; with gone, only count them. */
static bool add_ranges(const Account *account, const PlanEntry *entry, uint64_t final_size,
                       Error *error)
{
    const size_t root = roots_of(&account->stage->roots, entry->path);
    PlanEntry laid_out = *entry;
    char data[PATH_SIZE];
    uint64_t offset = 0;
    uint64_t size;

    laid_out.gone = false;
    if (!path_join(data, sizeof(data), account->stage->roots.roots[root].work, DATA_NAME, error))
        return false;
    for (; plan_next_range(account->plan, &laid_out, &offset, &size); offset += size)
    {
        const uint64_t left = offset < final_size ? final_size - offset : 0;
        const JournalEntry range = {.kind = JOURNAL_RANGE,
                                    .other = data,
                                    .offset = offset,
                                    .data_offset = account->next_data[root],
                                    .size = size < left ? size : left};

        account->next_data[root] += size;
        if (!entry->gone && range.size > 0 && !journal_add(account->writer, &range, error))
            return false;
    }
    return true;
}

static bool add_patch(const Account *account, const PlanEntry *entry, size_t index, Error *error)
{
    const uint64_t final_size = stage_final_size(account->stage, entry, index);
    const JournalEntry patch = {.kind = JOURNAL_PATCH, .path = entry->path, .size = final_size};
    uint64_t offset = 0;
    uint64_t size;

    if (!entry->gone)
    {
        /* Nothing to write, nothing to cut: the entry is there for a block of another relation
         * segment. */
        if (entry->action == ACTION_NONE && !plan_next_range(account->plan, entry, &offset, &size))
            return true;
        account->stage->statistics.files_patched++;
        if (!journal_add(account->writer, &patch, error))
            return false;
    }
    return add_ranges(account, entry, final_size, error);
}

static bool add_install(const Account *account, const char *path, const char *staged, Error *error)
{
    const JournalEntry install = {.kind = JOURNAL_INSTALL, .path = path, .other = staged};
    char local[PATH_SIZE];
    Obstacle obstacle;

    /* Again, as some files are in no plan, and time has passed: after the commit it is too late. */
    if (!stage_local(account->stage, path, local, error))
        return false;
    obstacle = place_obstacle(local);
    if (obstacle != OBSTACLE_NONE)
        return error_set(error, ERROR_FAILED, "cannot replace \"%s\": %s", local,
                         obstacle_text(obstacle));
    account->stage->statistics.files_staged++;
    return journal_add(account->writer, &install, error);
}

static bool add_files(const Account *account, Error *error)
{
    Stage *stage = account->stage;

    for (size_t index = 0; index < account->plan->count; index++)
    {
        const PlanEntry *entry = &account->plan->entries[index];
        char staged[PATH_SIZE];

        if (stage_is_laid_out(stage, entry, index) && !add_patch(account, entry, index, error))
            return false;
        if (stage_is_whole(stage, entry, index) && stage_find_extra(stage, entry->path) == NULL &&
            (!stage_entry_name(stage, entry, index, staged, error) ||
             !add_install(account, entry->path, staged, error)))
            return false;
    }
    for (size_t index = 0; index < stage->extra_count; index++)
    {
        if (!add_install(account, stage->extras[index].path, stage->extras[index].staged, error))
            return false;
    }
    /* The ranges lie where the fetch has put them. */
    for (size_t root = 0; root < stage->roots.count; root++)
        assert(account->next_data[root] == stage->data_size[root]);
    return true;
}

/* Directories of the extra files: neither the target nor the plan may have them, or the plan
 * removes them. One that is there stays as it is. */
static bool add_parents(const Account *account, Error *error)
{
    const Stage *stage = account->stage;
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
        if (!add_path(account, JOURNAL_MAKE_DIRECTORY, parent, error))
            return false;
    }
    return true;
}

static bool write_journal(Stage *stage, const Plan *plan, const JournalHead *head, Error *error)
{
    Account account = {.stage = stage, .plan = plan};
    bool ok;

    account.next_data = memory_allocate_zeroed(stage->roots.count, sizeof(uint64_t));
    ok = journal_create(stage->target_directory, head, &account.writer, error);
    for (size_t root = 1; ok && root < stage->roots.count; root++)
        ok = add_path(&account, JOURNAL_WORK_DIRECTORY, stage->roots.roots[root].work, error);
    ok = ok && add_removals(&account, error) && add_directories(&account, error) &&
         add_parents(&account, error) && add_files(&account, error);
    free(account.next_data);
    if (!ok)
    {
        journal_discard(account.writer);
        return false;
    }
    return journal_close(account.writer, error);
}

/* ---- Syncing what was staged ---- */

/* One item is one entry of the plan, or, behind those, one extra file. */
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
    assert(plan->count == stage->entry_count);
    /* Invariant 2: all that the journal speaks of is on the disk before there is a journal. */
    return sync_staged(stage, plan, error) && write_journal(stage, plan, head, error);
}
