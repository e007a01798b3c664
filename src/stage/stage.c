#include "stage/stage.h"

#include "apply/commit.h"
#include "base/array.h"
#include "io/dir.h"
#include "io/trust.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PLACES_NAME "places"
#define README_NAME "README"
#define PLACES_SIZE_MAX (16u * 1024 * 1024)
#define CONTENT_NAME_SIZE 32
#define DIRECT_SIZE_MIN (8u * 1024 * 1024)
#define MARKERS_MAX 4 /* files that are written after the commit for a moment each, and names */

/* ---- State of an entry ---- */

StagingState *stage_state_of(const Stage *stage, const PlanEntry *entry)
{
    return &stage->staging_states[entry - stage->plan->entries];
}

bool stage_is_laid_out(const Stage *stage, const PlanEntry *entry)
{
    return !entry->wal && entry->type == FILE_REGULAR && entry->on_target &&
           entry_has_effect(entry) && entry_changes_file(entry) && plan_stays_in_place(entry) &&
           !stage_state_of(stage, entry)->copied;
}

/* The part of stage_is_whole that does not change while workers fetch. */
static bool is_fetched_whole(const Stage *stage, const PlanEntry *entry)
{
    const StagingState *found = stage_state_of(stage, entry);

    return !entry->wal && entry->type == FILE_REGULAR && !found->equal && entry_has_effect(entry) &&
           (entry->action == ACTION_COPY || found->copied);
}

bool stage_is_whole(const Stage *stage, const PlanEntry *entry)
{
    return !stage_state_of(stage, entry)->left_out && is_fetched_whole(stage, entry);
}

bool stage_is_written_direct(const Stage *stage, const PlanEntry *entry)
{
    return file_sync_enabled() && entry->source_size >= DIRECT_SIZE_MIN &&
           !stage_state_of(stage, entry)->copied && is_fetched_whole(stage, entry);
}

uint64_t stage_final_size(const Stage *stage, const PlanEntry *entry)
{
    const StagingState *found = stage_state_of(stage, entry);

    if (found->left_out)
        return 0;
    return found->actual_size < entry->source_size && !entry->has_other_segments
               ? found->actual_size
               : entry->source_size;
}

/* ---- Names ---- */

const char *stage_name(const Stage *stage, const char *path, const char *name, Buffer *out)
{
    return path_in(out, stage->roots.roots[roots_index(&stage->roots, path)].work, name);
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

/* ---- Data files ---- */

bool stage_data_open(Stage *stage, Root *root, uint64_t place, FileRange *range, Error *error)
{
    AUTO_BUFFER Buffer name = {0}, path = {0};
    bool ok = true;

    pthread_mutex_lock(&stage->lock);
    if (root->data_fd < 0)
        ok = file_create(stage_local(stage, path_in(&name, root->work, DATA_NAME), &path),
                         CREATE_EMPTY, &root->data_fd, error);
    *range = (FileRange){root->data_fd, DATA_NAME, place};
    pthread_mutex_unlock(&stage->lock);
    return ok;
}

/* ---- Files that the plan does not name ---- */

const ExtraFile *stage_find_extra(const Stage *stage, const char *path)
{
    return ARRAY_FIND(&path, stage->extras, stage->extra_count, compare_strings);
}

/* Add the directory that the first `length` bytes of the path name, and each one above it. */
static void add_directories_down_to(Stage *stage, const char *path, size_t length)
{
    for (size_t end = 0; end < length;)
    {
        bool found;
        size_t index;
        const char *directory;

        end += strcspn(path + end + 1, "/") + 1;
        directory = arena_strndup(stage->arena, path, end);
        index = array_search(&directory, stage->directories, stage->directory_count, sizeof(char *),
                             compare_strings, &found);
        if (!found)
            ARRAY_INSERT(stage->directories, stage->directory_count, index, directory);
    }
}

void stage_add_directory(Stage *stage, const char *path)
{
    add_directories_down_to(stage, path, strlen(path));
}

ExtraFile *stage_add_extra(Stage *stage, const char *path, const char *staged)
{
    AUTO_BUFFER Buffer local = {0};
    bool found;
    const size_t index = array_search(&path, stage->extras, stage->extra_count, sizeof(ExtraFile),
                                      compare_strings, &found);

    if (!found)
        ARRAY_INSERT(stage->extras, stage->extra_count, index, (ExtraFile){0});
    if (!found)
        add_directories_down_to(stage, path, path_parent_length(path));
    stage->extras[index] =
        (ExtraFile){.path = found ? stage->extras[index].path : arena_strdup(stage->arena, path),
                    .staged = arena_strdup(stage->arena, staged),
                    .local = arena_strdup(stage->arena, stage_local(stage, staged, &local))};
    return &stage->extras[index];
}

/* *found is set if a regular file exists at the path. */
static bool find_regular(const char *path, struct stat *status, bool *found, Error *error)
{
    if (!file_lstat(path, status, found, error))
        return false;
    *found = *found && S_ISREG(status->st_mode);
    return true;
}

bool stage_mode(const Stage *stage, const char *path, bool clusters, const char *source_path,
                mode_t *mode, Error *error)
{
    const mode_t of_owner = clusters ? S_IRWXU | file_mode() : S_IRWXU;
    AUTO_BUFFER Buffer buffer = {0};
    const char *target = stage_local(stage, path, &buffer);
    struct stat replaced = {0}, source = {0};
    bool exists, known = false;

    if (!find_regular(target, &replaced, &exists, error))
        return false;
    if (!clusters && source_path != NULL)
        (void) !find_regular(source_path, &source, &known,
                             NULL); /* on an error the source's mode stays unknown */
    *mode = clusters ? file_mode() : S_IRUSR | S_IWUSR;
    if (exists)
        *mode = replaced.st_mode & (file_is_like_new(target, &replaced) ? 07777 : of_owner);
    else if (known)
        *mode = directory_mode();
    if (known)
        *mode &= source.st_mode & (file_is_like_new(source_path, &source) ? 07777 : of_owner);
    /* A file that we could not read ourselves could not be synced. */
    *mode |= S_IRUSR;
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

    if (!stage_mode(stage, path, true, NULL, &mode, error))
        return false;
    snprintf(name, sizeof(name), "c%llu", (unsigned long long) stage->content_count++);
    stage_name(stage, path, name, &staged);
    local = stage_local(stage, buffer_string(&staged), &local_buffer);
    ok = file_create(local, CREATE_EMPTY, &fd, error) &&
         file_write_at(fd, local, bytes, size, 0, error) && file_set_mode(fd, local, mode, error);
    written_keep(stage->written, fd, local);
    if (ok)
        stage_add_extra(stage, path, buffer_string(&staged));
    return ok;
}

/* ---- Removing work directories ---- */

/*
 * PGDATA/pg_rewind.work/places lists the other work directories and the tablespace locations that
 * were made, before they are: a run that was killed is cleaned up from it. Records: 'W' or 'L',
 * path, NUL.
 */

static bool remove_place(const char *target_directory, char kind, const char *path, Error *error)
{
    AUTO_BUFFER Buffer buffer = {0};
    const char *local = target_path(&buffer, target_directory, path);
    Error why;

    /* A path of the file "places" is only believed where it can be one. */
    if (kind == 'L' ? path[0] != '/' || !path_is_safe(path + 1)
                    : kind != 'W' || !path_is_work(path, false))
    {
        log_warning("\"%s\" in the work directory \"%s/%s\" is not a path that pg_rewind creates",
                    path, target_directory, WORK_DIRECTORY);
        return true;
    }
    if (kind == 'W') /* Rule I80: gone for good before `places`, which alone names it */
        return dir_remove_tree_durably(local, error);
    /* Rule I76: the location stays if it is in use, after a finished rewind or as a mount point, if
     * another account made it, or if its file system refuses. An empty directory does no harm. */
    if (!file_remove_directory(local, &why))
        log_debug("%s", why.message);
    return true;
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
            break; /* a record that was cut off names a path that was not created yet */
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

    /* A blocker that was installed or withdrawn by copying may have left its file. */
    if (!file_remove(target_path(&journal, target_directory, FILE_COPY_NAME), error) ||
        !file_lstat(work, &status, &found, error))
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
    if (pending.state == PENDING_STALE && !commit_take_back(target_directory, error))
        return false;
    /* Remove the journal first: the following removals may be interrupted, and a journal must not
     * name missing files. */
    return durable_remove(target_path(&journal, target_directory, JOURNAL_PATH), error) &&
           remove_places(target_directory, error) && dir_remove_tree_durably(work, error);
}

/* ---- Making them ---- */

/* Write a file of PGDATA's work directory, and rename it into place. */
static bool write_work_file(const Stage *stage, const char *name, const void *bytes, size_t size,
                            Error *error)
{
    AUTO_BUFFER Buffer path = {0}, temporary = {0};

    buffer_printf(&path, "%s/" WORK_DIRECTORY "/%s", stage->target_directory, name);
    buffer_printf(&temporary, "%s.new", buffer_string(&path));
    return durable_replace(buffer_string(&path), buffer_string(&temporary), bytes, size, error);
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

/* Open a descriptor on each file system before anything is staged: the kernel is certain to report
 * a later write error only to a descriptor that was open before. */
static bool watch_file_systems(const Stage *stage, Error *error)
{
    const Listing *target = stage->plan->target;
    AUTO_BUFFER Buffer path = {0};

    for (size_t index = 0; index < stage->roots.count; index++)
    {
        if (!written_watch(stage->written,
                           stage_local(stage, stage->roots.roots[index].work, &path), error))
            return false;
    }
    return target == NULL || listing_watch(target, stage->target_directory, stage->written, error);
}

static bool make_directories(const Stage *stage, Error *error)
{
    /* The README is for an administrator who finds the directory. Between the real backup_label and
     * the new pg_control only this file says what to do: neither label nor pid file does, and the
     * server's own error about pg_control cannot. */
    static const char readme[] =
        "pg_rewind keeps here what it needs to finish.\n"
        "If no pg_rewind is running, it was interrupted: run the same pg_rewind command again.\n"
        "Do not remove this directory, backup_label or global/pg_control.\n";
    AUTO_BUFFER Buffer path = {0};

    /* Directories outside PGDATA are noted in `places` before they are created. */
    if (!file_make_directory(stage_local(stage, WORK_DIRECTORY, &path), error) ||
        !write_work_file(stage, README_NAME, readme, strlen(readme), error) ||
        !write_places(stage, error) || !file_sync_path(stage->target_directory, error))
        return false;
    for (size_t index = 0; index < stage->roots.location_count; index++)
    {
        const NewLocation *location = &stage->roots.locations[index];

        /* Another account may have made it since roots_check_locations saw it. */
        if ((location->missing && (!file_make_directory(location->path, error) ||
                                   !durable_sync_parent(location->path, error))) ||
            !location_check_trust(location, error))
            return false;
    }
    for (size_t index = 1; index < stage->roots.count; index++)
    {
        const char *work = stage_local(stage, stage->roots.roots[index].work, &path);

        if (!dir_remove_tree(work, error) || !file_make_directory(work, error) ||
            !trust_check_entry(work, false, error))
            return false;
    }
    return watch_file_systems(stage, error);
}

/* Reserve the space that the steps after the commit allocate, so that they need no other. */
static bool make_ballast(Stage *stage, Error *error)
{
    const size_t of_control = roots_index(&stage->roots, CONTROL_PATH);

    if (!roots_reserve(&stage->roots, stage->plan, error))
        return false;
    for (size_t index = 0; index < stage->roots.count; index++)
    {
        const Root *root = &stage->roots.roots[index];
        AUTO_BUFFER Buffer name = {0}, buffer = {0};
        const char *path = stage_local(stage, path_in(&name, root->work, BALLAST_NAME), &buffer);
        /* Rule I73: pid file, label and pg_control need space as well. */
        const uint64_t of_markers = index == 0 || index == of_control
                                        ? MARKERS_MAX * (CONTROL_FILE_SIZE + root->space.unit)
                                        : 0;
        const uint64_t bytes = root->needed.reserved + of_markers;
        AUTO_FD int fd = -1;

        if (bytes > 0 &&
            (!file_create(path, CREATE_EMPTY, &fd, error) || !file_reserve(fd, path, bytes, error)))
            return false;
    }
    return true;
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
    made->staging_states = arena_allocate(arena, plan->count * sizeof(StagingState));
    for (size_t index = 0; index < plan->count; index++)
        made->staging_states[index] =
            (StagingState){.actual_size = SIZE_AS_PLANNED, .data_offset = DATA_OFFSET_NONE};
    pthread_mutex_init(&made->lock, NULL);
    if (stage_remove_stale(made->target_directory, error) &&
        roots_find(arena, made->target_directory, plan, &made->roots, error))
    {
        if (make_directories(made, error) && make_ballast(made, error))
        {
            *stage = made;
            return true;
        }
        stage_abandon(made);
    }
    stage_free(made);
    *stage = NULL;
    return false;
}

void stage_close_files(Stage *stage)
{
    for (size_t index = 0; index < stage->roots.count; index++)
    {
        file_close(stage->roots.roots[index].data_fd);
        stage->roots.roots[index].data_fd = -1;
    }
    written_free(stage->written);
    stage->written = NULL;
}

void stage_abandon(Stage *stage)
{
    Error error;

    stage_close_files(stage);
    if (!stage_remove_stale(stage->target_directory, &error))
        log_warning("%s", error.message);
}

void stage_free(Stage *stage)
{
    if (stage == NULL)
        return;
    stage_close_files(stage);
    pthread_mutex_destroy(&stage->lock);
    free(stage->extras);
    free(stage->directories);
    arena_destroy(stage->arena);
}
