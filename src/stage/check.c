#include "stage/stage.h"

#include "format/backup_label.h"
#include "io/scratch.h"

#include <errno.h>
#include <string.h>

#define SPACE_MARGIN (1024u * 1024) /* directories, markers and the like */
#define SPACE_MARGIN_PART 256 /* 1/256 of the space needed, for the file system's own metadata */
#define FILES_MARGIN 64
#define FILES_OF_SEGMENT 2         /* the segment, and its marker in archive_status */
#define JOURNAL_STAGED_NAME_MAX 40 /* "/f12345", "/data" */
#define JOURNAL_ENTRY_SPACE 128    /* bytes of a journal entry besides its strings */

/* The plan that is checked, and the roots with what it needs there. */
typedef struct Check
{
    const Plan *plan;
    Roots roots;
    const char **directories; /* directories that every rewind writes to, each checked once */
    size_t directory_count;
    uint64_t largest_file; /* bytes, of those that are written */
    Problems problems;
} Check;

/* ---- Conflicts: files for which there is no plan ---- */

/* Add a hint for the target: a running source cannot be changed, and its layout may be intended. */
static void hint_types(const char *directory, const char *path, Error *error)
{
    AUTO_BUFFER Buffer buffer = {0}, place = {0};
    const char *local = target_path(&buffer, directory, path);
    struct stat status = {0};
    bool found;

    (void) !file_lstat(local, &status, &found, NULL);
    if (!S_ISLNK(status.st_mode) && !(S_ISDIR(status.st_mode) && relpath_is_tablespace(path)))
        error_hint(error, "Make it the same type on both sides and run pg_rewind again.");
    else if (!relpath_is_tablespace(path))
        error_hint(error,
                   "Replace the target's symbolic link \"%s\" by what it leads to and run "
                   "pg_rewind again.",
                   local);
    else if (S_ISDIR(status.st_mode))
        error_hint(error,
                   "The source has a link to this tablespace. Move the target's directory "
                   "\"%s\" to a place outside of the data directory, make a link to it "
                   "under the old name, and run pg_rewind again.",
                   local);
    else
    {
        (void) !file_read_link(local, &place, NULL); /* an unreadable link shows as "" */
        error_hint(error,
                   "The source has this tablespace in place. Replace the target's link \"%s\" by "
                   "a directory, move the server's directory PG_... from \"%s\" into it, and run "
                   "pg_rewind again.",
                   local, buffer_string(&place));
    }
}

static void report_conflicts(Check *check)
{
    for (size_t index = 0; index < check->plan->conflict_count; index++)
    {
        const PlanRemark *conflict = &check->plan->conflicts[index];
        Error problem;

        if (conflict->reason == REASON_UNREADABLE)
        {
            errno = EACCES;
            error_set_errno(&problem, "cannot read directory \"%s/%s\"",
                            check->roots.target_directory, conflict->path);
            error_hint(&problem, "The user that runs pg_rewind must be able to read it.");
        }
        else if (conflict->reason == REASON_LINK_OF_SOURCE)
        {
            error_set(&problem, ERROR_FAILED, "\"%s\" in the source is a symbolic link",
                      conflict->path);
            error_detail(&problem, "In a source directory only the symbolic links of pg_wal and of "
                                   "tablespaces are followed.");
            error_hint(&problem, "On both sides replace the link by what it leads to. Or replace "
                                 "only the target's, start the source and rewind from it with "
                                 "--source-server.");
        }
        else
        {
            error_set(&problem, ERROR_FAILED,
                      "file \"%s\" is of different type in source and target", /* contract */
                      conflict->path);
            hint_types(check->roots.target_directory, conflict->path, &problem);
        }
        problems_add(&check->problems, &problem);
    }
}

/* ---- Directories ---- */

static bool is_unchangeable(Obstacle obstacle)
{
    return obstacle == OBSTACLE_IMMUTABLE || obstacle == OBSTACLE_APPEND_ONLY;
}

/* Check that names in the directory can be created, replaced or removed. A directory that does not
 * exist yet is created later. */
static void check_directory(Check *check, const char *path, size_t length)
{
    AUTO_BUFFER Buffer directory = {0}, buffer = {0}, place = {0}, hint = {0};
    const char *local;
    Obstacle obstacle;
    Error problem;

    buffer_append(&directory, path, length);
    local = target_path(&buffer, check->roots.target_directory, buffer_string(&directory));
    obstacle = place_obstacle(local);
    if (!is_unchangeable(obstacle) && place_can_change_names(local))
        return;
    if (!is_unchangeable(obstacle) && errno == ENOENT)
    {
        /* A directory cannot be made where a link stands: the volume that the link leads to may not
         * be mounted. */
        if (!file_read_link(local, &place, NULL))
            return;
        error_set(&problem, ERROR_FAILED, "symbolic link \"%s\" leads to no directory: \"%s\"",
                  local, buffer_string(&place));
        error_hint(&problem,
                   "Mount the volume that belongs there, and run pg_rewind again. If it is lost, "
                   "create this directory, owned by the user who runs the target server.");
        problems_add(&check->problems, &problem);
        return;
    }
    if (is_unchangeable(obstacle))
        error_set(&problem, ERROR_FAILED, "cannot write to directory \"%s\": %s", local,
                  obstacle_text(obstacle));
    else
        error_set_errno(&problem, "cannot write to directory \"%s\"", local);
    buffer_append_string(&hint, problem.error_number == EROFS
                                    ? "Mount its file system for writing."
                                    : "The user that runs pg_rewind, the owner of the target's "
                                      "files, must be able to write to it.");
    if (directory.size > 0)
    {
        buffer_append_string(&hint, " If it is no part of the cluster, leave it as it is: --keep=");
        buffer_append_shown_word(&hint, buffer_string(&directory));
    }
    error_hint(&problem, "%s", buffer_string(&hint));
    problems_add(&check->problems, &problem);
}

static bool is_checked_directory(const Check *check, const char *path, size_t length)
{
    for (size_t index = 0; index < check->directory_count; index++)
    {
        if (strlen(check->directories[index]) == length &&
            strncmp(check->directories[index], path, length) == 0)
            return true;
    }
    return false;
}

/* Check the paths that every rewind writes, whatever the plan: some directories, the roots of
 * staged files, and the files that are replaced at the commit and at the end. */
static void check_reserved(Check *check, Arena *arena)
{
    static const char *const files[] = {CONTROL_PATH, BACKUP_LABEL_PATH, "postmaster.pid"};
    const char *wal = check->plan->wal_directory;
    const char *const always[] = {"", "global", wal, arena_printf(arena, "%s/archive_status", wal)};
    const size_t count = sizeof(always) / sizeof(always[0]);
    AUTO_BUFFER Buffer local = {0};
    Error problem;

    check->directories = arena_allocate(arena, (count + check->roots.count) * sizeof(char *));
    for (size_t index = 0; index < count + check->roots.count; index++)
    {
        const char *path =
            index < count ? always[index] : check->roots.roots[index - count].directory;

        if (is_checked_directory(check, path, strlen(path)))
            continue;
        check->directories[check->directory_count++] = path;
        /* Locations of new tablespaces are checked by themselves. */
        if (path[0] != '/')
            check_directory(check, path, strlen(path));
    }
    for (size_t index = 0; index < sizeof(files) / sizeof(files[0]); index++)
    {
        if (!stage_can_replace(target_path(&local, check->roots.target_directory, files[index]),
                               &problem))
            problems_add(&check->problems, &problem);
    }
}

/* ---- Files ---- */

bool stage_must_copy(const char *local, bool opens, bool *must_copy, Error *error)
{
    AUTO_FD int fd = -1;
    struct stat status;
    bool found;

    *must_copy = false;
    if (!(opens ? file_open_update(local, &fd, error) : file_check_update(local, error)))
    {
        *must_copy = error->error_number == EACCES && place_can_be_read(local); /* mode 0400 */
        return *must_copy;
    }
    if (!file_lstat(local, &status, &found, error))
        return false;
    /* A backup made of links (cp -al) must not be changed with the target. */
    *must_copy = found && status.st_nlink > 1;
    return true;
}

bool stage_can_replace(const char *local, Error *error)
{
    const Obstacle obstacle = place_obstacle(local);
    struct stat status;
    bool found;

    if (!file_lstat(local, &status, &found, error))
        return false;
    if (found && S_ISDIR(status.st_mode))
        return error_set(error, ERROR_FAILED, "cannot replace \"%s\": it is a directory", local);
    return obstacle == OBSTACLE_NONE || error_set(error, ERROR_FAILED, "cannot replace \"%s\": %s",
                                                  local, obstacle_text(obstacle));
}

/* The apply can do what the plan says about this entry. *copied: the file cannot be patched in
 * place, and a copy of it will be. */
static bool can_carry_out(const PlanEntry *entry, const char *local, bool *copied, Error *error)
{
    Obstacle obstacle;
    struct stat status;
    bool found;

    *copied = false;
    if (entry->action == ACTION_CREATE) /* not where something of another type stands */
        return file_lstat(local, &status, &found, error) &&
               (!found ||
                (entry->type == FILE_LINK ? S_ISLNK(status.st_mode) : S_ISDIR(status.st_mode)) ||
                error_set(error, ERROR_FAILED,
                          "cannot create \"%s\": a file of another type is there", local));
    if (entry->reason == REASON_STANDBY && entry->on_target)
        return stage_can_replace(local, error);
    if (entry->type == FILE_DIRECTORY)
    {
        if (entry->action != ACTION_REMOVE)
            return true;
        /* A mount point may remain after all other files of the directory are removed. */
        obstacle = place_obstacle(local);
        return (!is_unchangeable(obstacle) && obstacle != OBSTACLE_STICKY) ||
               error_set(error, ERROR_FAILED, "cannot remove directory \"%s\": %s", local,
                         obstacle_text(obstacle));
    }
    if (entry->type == FILE_LINK)
        return entry->action != ACTION_REMOVE || stage_can_replace(local, error);
    if (entry->type != FILE_REGULAR || !entry->on_target)
        return true;
    if (!plan_stays_in_place(entry) || entry->wal)
        return stage_can_replace(local, error);
    /* Permissions do not show an append-only or immutable file. */
    if (stage_must_copy(local, false, copied, error))
        return (!*copied && !is_unchangeable(place_obstacle(local))) ||
               stage_can_replace(local, error);
    if (error->error_number == ENOENT)
        return true;                         /* a file that is gone is handled by the stage */
    (void) !stage_can_replace(local, error); /* an obstacle explains it better */
    return false;
}

static void note_size(Check *check, uint64_t size)
{
    if (size > check->largest_file)
        check->largest_file = size;
}

static void check_entries(Check *check)
{
    uint64_t *of_journal = &check->roots.roots[0].needed.bytes;
    AUTO_BUFFER Buffer buffer = {0};
    PathParent last = {0};
    Error problem;

    for (size_t index = 0; index < check->plan->count; index++)
    {
        const PlanEntry *entry = &check->plan->entries[index];
        Root *root = &check->roots.roots[roots_index(&check->roots, entry->path)];
        const uint64_t of_staged =
            strlen(root->work) + JOURNAL_STAGED_NAME_MAX + JOURNAL_ENTRY_SPACE;
        bool copied;

        if (!entry_has_effect(entry) && entry->reason != REASON_STANDBY)
            continue;
        if (path_parent_next(&last, entry->path) &&
            !is_checked_directory(check, entry->path, last.length))
            check_directory(check, entry->path, last.length);
        if (!can_carry_out(entry, target_path(&buffer, check->roots.target_directory, entry->path),
                           &copied, &problem))
            problems_add(&check->problems, &problem);
        copied = copied && entry_changes_file(entry);
        if (entry->type == FILE_REGULAR && entry->action != ACTION_REMOVE)
            note_size(check, entry->source_size);
        if (entry->on_target && plan_stays_in_place(entry) && !copied)
            root->data_size += entry->fetch_bytes;
        space_add_staged(entry, copied, root->space.unit, &root->needed);
        /* The most bytes that this entry takes in the journal. */
        *of_journal += strlen(entry->path) + of_staged;
        if (entry->link_target != NULL)
            *of_journal += strlen(entry->link_target);
        if (plan_stays_in_place(entry) && !entry->wal)
            *of_journal += entry->range_count * of_staged;
    }
}

/* ---- Space ---- */

/* Add the directories of new tablespaces that stage_create makes. */
static void count_locations(Check *check)
{
    AUTO_BUFFER Buffer inside = {0};
    Roots *roots = &check->roots;

    for (size_t index = 0; index < roots->location_count; index++)
    {
        const NewLocation *location = &roots->locations[index];

        if (location->missing)
            roots->roots[roots_index(roots, path_in(&inside, location->link, "x"))].needed.files++;
    }
}

static uint64_t segments_of(const WalSpace *wal, uint64_t bytes)
{
    return bytes > 0 && wal->segment_size > 0 ? (bytes - 1) / wal->segment_size + 1 : 0;
}

static void add_wal(Root *root, const WalSpace *wal, uint64_t bytes)
{
    root->needed.bytes += bytes;
    root->needed.wal_bytes += bytes;
    root->needed.files += FILES_OF_SEGMENT * segments_of(wal, bytes);
}

/* Add the space for WAL. WAL that is on the disk already counts as needed, and its space as free:
 * so a dry run and the rewind need the same. */
static bool count_wal(Check *check, const WalSpace *wal, Error *error)
{
    AUTO_BUFFER Buffer inside = {0};
    Root *first = check->roots.roots;
    Root *root =
        first + roots_index(&check->roots, path_in(&inside, check->plan->wal_directory, "x"));

    for (size_t index = 0; index < check->roots.count; index++)
    {
        Root *sharing = &first[index];

        if (wal->is_fetched && strcmp(sharing->pool, first->pool) == 0)
        {
            sharing->space.free_bytes += wal->fetched_bytes;
            if (sharing->space.free_files != UINT64_MAX)
                sharing->space.free_files += segments_of(wal, wal->fetched_bytes);
        }
        if (wal->scratch != NULL &&
            !scratch_add_space(wal->scratch, sharing->pool, &sharing->space.free_bytes, error))
            return false;
    }
    if (wal->written_bytes + wal->fetched_bytes > 0)
        note_size(check, wal->segment_size);
    add_wal(root, wal, wal->written_bytes);
    add_wal(first, wal, wal->fetched_bytes);
    if (root != first)
        add_wal(root, wal, wal->fetched_bytes);
    return true;
}

/* Check the process's limit of file size: a larger file cannot be written, not even after the
 * commit. The largest may be a file of the cluster, a root's data file with all its staged blocks,
 * or a ballast. */
static void check_file_size(Check *check)
{
    const uint64_t limit = file_size_max();
    Error problem;

    for (size_t root = 0; root < check->roots.count; root++)
    {
        note_size(check, check->roots.roots[root].data_size);
        note_size(check, check->roots.roots[root].needed.reserved);
    }
    if (check->largest_file <= limit)
        return;
    error_set(
        &problem, ERROR_FAILED,
        "the limit for the size of files is too low: a file of %llu bytes is needed, %llu are "
        "allowed",
        (unsigned long long) check->largest_file, (unsigned long long) limit);
    error_hint(&problem, "Raise the limit for the user that runs pg_rewind (ulimit -f).");
    problems_add(&check->problems, &problem);
}

static unsigned long long megabytes(uint64_t bytes)
{
    return (bytes + 1024 * 1024 - 1) / (1024 * 1024);
}

/* Returns false, with a message printed, if the directory's file system lacks the space. */
static bool check_space(Check *check, const char *directory, const NeededSpace *needed,
                        const FileSpace *space)
{
    const uint64_t on_disk = needed->bytes + needed->reserved;
    const uint64_t bytes = on_disk + SPACE_MARGIN + on_disk / SPACE_MARGIN_PART;
    const uint64_t files = needed->files + FILES_MARGIN;
    AUTO_BUFFER Buffer place = {0};
    Error problem;

    target_path(&place, check->roots.target_directory, directory);
    if (bytes > space->free_bytes)
    {
        error_set(&problem, ERROR_FAILED, "not enough space on the file system of \"%s\"",
                  buffer_string(&place));
        error_detail(&problem,
                     "Up to %llu MB are needed, %llu MB are free.\n"
                     "%llu MB are for files and blocks that may differ, %llu MB for WAL, in whole "
                     "segments; and files will grow by %llu MB.",
                     megabytes(bytes), (unsigned long long) space->free_bytes / (1024 * 1024),
                     megabytes(needed->bytes - needed->wal_bytes), megabytes(needed->wal_bytes),
                     megabytes(needed->reserved));
        error_hint(&problem,
                   "Free space there, but remove nothing in the data directory, above all "
                   "not in pg_wal.");
        problems_add(&check->problems, &problem);
    }
    if (files > space->free_files)
    {
        error_set(&problem, ERROR_FAILED, "not enough inodes on the file system of \"%s\"",
                  buffer_string(&place));
        error_detail(&problem, "Up to %llu files are needed, %llu can be created.",
                     (unsigned long long) files, (unsigned long long) space->free_files);
        problems_add(&check->problems, &problem);
    }
    return bytes <= space->free_bytes && files <= space->free_files;
}

/*
 * The roots of one pool share its space: they are weighed with the first of them. A quota (of a
 * dataset, a project) lets a root see less of it than another one sees: then each must have what it
 * needs for itself, and all together what the root has that sees most.
 */
static void check_pool(Check *check, size_t first)
{
    const Root *roots = check->roots.roots;
    FileSpace most = {.free_bytes = 0};
    NeededSpace all = {0};

    for (size_t index = 0; index < check->roots.count; index++)
    {
        const Root *sharing = &roots[index];

        if (strcmp(sharing->pool, roots[first].pool) != 0)
            continue;
        if (index < first)
            return;
        all.bytes += sharing->needed.bytes;
        all.wal_bytes += sharing->needed.wal_bytes;
        all.reserved += sharing->needed.reserved;
        all.files += sharing->needed.files;
        if (sharing->space.free_bytes > most.free_bytes)
            most.free_bytes = sharing->space.free_bytes;
        if (sharing->space.free_files > most.free_files)
            most.free_files = sharing->space.free_files;
    }
    if (!check_space(check, roots[first].directory, &all, &most))
        return;
    for (size_t index = first; index < check->roots.count; index++)
    {
        if (strcmp(roots[index].pool, roots[first].pool) == 0)
            (void) check_space(check, roots[index].directory, &roots[index].needed,
                               &roots[index].space);
    }
}

bool stage_check(const char *target_directory, const Plan *plan, const WalSpace *wal, Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();
    Check check = {.plan = plan};

    if (!roots_find(arena, target_directory, plan, &check.roots, error))
        return false;
    report_conflicts(&check);
    check_reserved(&check, arena);
    check_entries(&check);
    roots_check_locations(&check.roots, plan, &check.problems);
    count_locations(&check);
    if (!roots_reserve(&check.roots, plan, error) || !count_wal(&check, wal, error))
        return false;
    check_file_size(&check);
    for (size_t root = 0; root < check.roots.count; root++)
        check_pool(&check, root);
    return problems_check(&check.problems, error);
}
