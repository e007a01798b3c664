/*
 * stage_check: everything that could fail later is tried before anything is written. Changes
 * nothing.
 */
#include "stage/space.h"
#include "stage/stage_parts.h"

#include "base/log.h"
#include "format/backup_label.h"
#include "format/control.h"
#include "format/relpath.h"
#include "io/file.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SPACE_MARGIN (1024u * 1024) /* directories, markers and the like */
#define SPACE_MARGIN_PART 256       /* of all that is needed: what the file system needs for it */
#define FILES_MARGIN 64
#define MEGABYTE (1024u * 1024)

#define ALWAYS_WRITTEN_COUNT 4

/* What is to be checked, and what is needed on each root. */
typedef struct Check
{
    const Plan *plan;
    /* Directories in which we make names, whatever the plan says. */
    const char *always_written[ALWAYS_WRITTEN_COUNT];
    Roots roots;
    FileSpace *space;    /* of each root */
    StagedSpace *staged; /* of each root */
    uint64_t *reserved;  /* of each root, bytes */
    size_t problems;
} Check;

static void problem_found(Check *check, const Error *problem)
{
    log_error(problem);
    check->problems++;
}

/* ---- What cannot be planned ---- */

/* Nothing can be changed on a source that runs, and it may be right: what to do is on the target.
 */
static bool error_hint_types(const char *directory, const char *path, Error *error)
{
    char local[PATH_SIZE], place[PATH_SIZE];
    struct stat status;
    ssize_t length;
    bool found;

    if (!relpath_is_tablespace(path) || !target_path(local, sizeof(local), directory, path, NULL) ||
        !file_lstat(local, &status, &found, NULL) || !found ||
        (!S_ISLNK(status.st_mode) && !S_ISDIR(status.st_mode)))
        return error_hint(error, "Make it the same type on both sides and run pg_rewind again.");
    if (S_ISDIR(status.st_mode))
        return error_hint(error,
                          "The source has a link to this tablespace. Move the target's directory "
                          "\"%s\" to a place outside of the data directory, make a link to it "
                          "under the old name, and run pg_rewind again.",
                          local);
    length = readlink(local, place, sizeof(place) - 1);
    place[length > 0 ? length : 0] = '\0';
    return error_hint(
        error,
        "The source has this tablespace in place. Replace the target's link \"%s\" by "
        "a directory, move the server's directory PG_... from \"%s\" into it, and run "
        "pg_rewind again.",
        local, place);
}

static void report_conflicts(Check *check)
{
    for (size_t index = 0; index < check->plan->conflict_count; index++)
    {
        const PlanConflict *conflict = &check->plan->conflicts[index];
        Error problem;

        if (conflict->unreadable)
        {
            errno = EACCES;
            error_set_errno(&problem, ERROR_FAILED, "cannot read directory \"%s/%s\"",
                            check->roots.target_directory, conflict->path);
            error_hint(&problem, "The user that runs pg_rewind must be able to read it.");
        }
        else
        {
            error_set(&problem, ERROR_FAILED,
                      "file \"%s\" is of different type in source and target", /* contract */
                      conflict->path);
            error_hint_types(check->roots.target_directory, conflict->path, &problem);
        }
        problem_found(check, &problem);
    }
}

/* ---- Directories ---- */

/* Names in it are made, replaced or removed. One that is not there yet is made by us. */
static bool check_directory(Check *check, const char *path, size_t length, Error *error)
{
    char directory[PATH_SIZE];
    char local[PATH_SIZE];
    Obstacle obstacle;
    Error problem;

    if (length >= sizeof(directory))
        return error_set(error, ERROR_FAILED, "path \"%s\" is too long", path);
    memcpy(directory, path, length);
    directory[length] = '\0';
    if (!target_path(local, sizeof(local), check->roots.target_directory, directory, error))
        return false;
    obstacle = place_obstacle(local);
    if (obstacle == OBSTACLE_IMMUTABLE || obstacle == OBSTACLE_APPEND_ONLY)
        error_set(&problem, ERROR_FAILED, "cannot write to directory \"%s\": %s", local,
                  obstacle_text(obstacle));
    else if (place_can_change_names(local) || errno == ENOENT)
        return true;
    else
        error_set_errno(&problem, ERROR_FAILED, "cannot write to directory \"%s\"", local);
    error_hint(&problem, "The user that runs pg_rewind, the owner of the target's files, must be "
                         "able to write to it.");
    problem_found(check, &problem);
    return true;
}

static bool is_always_written(const Check *check, const char *path, size_t length)
{
    for (size_t index = 0; index < ALWAYS_WRITTEN_COUNT; index++)
    {
        if (strlen(check->always_written[index]) == length &&
            strncmp(path, check->always_written[index], length) == 0)
            return true;
    }
    return false;
}

static bool is_root(const Check *check, const char *path, size_t length)
{
    for (size_t root = 0; root < check->roots.count; root++)
    {
        const char *directory = check->roots.roots[root].directory;

        if (strlen(directory) == length && strncmp(path, directory, length) == 0)
            return true;
    }
    return false;
}

/* Those that are always written, and those where staged files go. Each once. */
static bool check_staging_directories(Check *check, Error *error)
{
    for (size_t index = 0; index < ALWAYS_WRITTEN_COUNT; index++)
    {
        if (!check_directory(check, check->always_written[index],
                             strlen(check->always_written[index]), error))
            return false;
    }
    for (size_t root = 0; root < check->roots.count; root++)
    {
        const char *directory = check->roots.roots[root].directory;

        /* Locations of new tablespaces are checked by themselves. */
        if (directory[0] != '/' && !is_always_written(check, directory, strlen(directory)) &&
            !check_directory(check, directory, strlen(directory), error))
            return false;
    }
    return true;
}

/* ---- Files ---- */

bool stage_file_use(const char *local, FileUse *use, Error *error)
{
    struct stat status;
    bool found;
    int fd = -1;

    *use = FILE_USE_PATCH;
    if (file_open_update(local, &fd, error))
    {
        file_close(fd);
        if (!file_lstat(local, &status, &found, error))
            return false;
        /* A backup made of links (cp -al) must not be changed with the target. */
        if (found && status.st_nlink > 1)
            *use = FILE_USE_COPY;
        return true;
    }
    if (error->error_number == ENOENT)
        *use = FILE_USE_GONE;
    else if (error->error_number == EACCES && place_can_be_read(local))
        *use = FILE_USE_COPY; /* mode 0400 */
    else
        return false;
    return true;
}

/* Replacing or removing a name asks for nothing but a directory that can be written. */
static void check_replaced(Check *check, const char *local)
{
    const Obstacle obstacle = place_obstacle(local);
    Error problem;

    if (obstacle == OBSTACLE_NONE)
        return;
    error_set(&problem, ERROR_FAILED, "cannot replace \"%s\": %s", local, obstacle_text(obstacle));
    problem_found(check, &problem);
}

/* Can the file be patched, or else replaced? */
static bool check_file(Check *check, const PlanEntry *entry, FileUse *use, Error *error)
{
    char local[PATH_SIZE];
    struct stat status;
    Error problem;
    bool found;

    *use = FILE_USE_PATCH;
    if (!target_path(local, sizeof(local), check->roots.target_directory, entry->path, error))
        return false;
    if (!plan_stays_in_place(entry) || entry->wal || entry->reason == REASON_STANDBY)
    {
        if (!file_lstat(local, &status, &found, error))
            return false;
        if (found && S_ISDIR(status.st_mode))
        {
            error_set(&problem, ERROR_FAILED, "cannot replace \"%s\": it is a directory", local);
            problem_found(check, &problem);
        }
        else
            check_replaced(check, local);
        return true;
    }
    if (!stage_file_use(local, use, &problem))
    {
        if (place_obstacle(local) != OBSTACLE_NONE)
            check_replaced(check, local);
        else
            problem_found(check, &problem);
    }
    else if (*use == FILE_USE_COPY)
        check_replaced(check, local);
    return true;
}

/* A link or directory cannot be made where something else stands. */
static bool check_created(Check *check, const PlanEntry *entry, Error *error)
{
    char local[PATH_SIZE];
    struct stat status;
    Error problem;
    bool found;

    if (!target_path(local, sizeof(local), check->roots.target_directory, entry->path, error) ||
        !file_lstat(local, &status, &found, error))
        return false;
    if (!found || (entry->type == FILE_LINK ? S_ISLNK(status.st_mode) : S_ISDIR(status.st_mode)))
        return true;
    error_set(&problem, ERROR_FAILED, "cannot create \"%s\": a file of another type is there",
              local);
    problem_found(check, &problem);
    return true;
}

/* What is mounted stays, when all else in the directory goes. */
static bool check_removed_directory(Check *check, const PlanEntry *entry, Error *error)
{
    char local[PATH_SIZE];
    Obstacle obstacle;
    Error problem;

    if (!target_path(local, sizeof(local), check->roots.target_directory, entry->path, error))
        return false;
    obstacle = place_obstacle(local);
    if (obstacle == OBSTACLE_IMMUTABLE || obstacle == OBSTACLE_APPEND_ONLY)
    {
        error_set(&problem, ERROR_FAILED, "cannot remove directory \"%s\": %s", local,
                  obstacle_text(obstacle));
        problem_found(check, &problem);
    }
    return true;
}

/* Written at the commit and at the end, whatever the plan says. */
static bool check_reserved(Check *check, Error *error)
{
    static const char *const paths[] = {CONTROL_PATH, BACKUP_LABEL_PATH, "postmaster.pid"};

    for (size_t index = 0; index < sizeof(paths) / sizeof(paths[0]); index++)
    {
        char local[PATH_SIZE];

        if (!target_path(local, sizeof(local), check->roots.target_directory, paths[index], error))
            return false;
        check_replaced(check, local);
    }
    return true;
}

static bool check_entry(Check *check, const PlanEntry *entry, Error *error)
{
    const size_t root = roots_of(&check->roots, entry->path);
    FileUse use = FILE_USE_PATCH;

    if (entry->action == ACTION_CREATE)
        return check_created(check, entry, error);
    if (entry->type == FILE_DIRECTORY && entry->action == ACTION_REMOVE &&
        !check_removed_directory(check, entry, error))
        return false;
    if (entry->type == FILE_REGULAR && entry->on_target && !check_file(check, entry, &use, error))
        return false;
    space_add_staged(check->plan, entry, use == FILE_USE_COPY, check->roots.roots[root].unit,
                     &check->staged[root]);
    check->staged[0].bytes += space_of_journal(check->plan, entry, &check->roots.roots[root]);
    return true;
}

static bool check_entries(Check *check, Error *error)
{
    const char *last = "";
    size_t last_length = SIZE_MAX;

    for (size_t index = 0; index < check->plan->count; index++)
    {
        const PlanEntry *entry = &check->plan->entries[index];
        const size_t length = path_parent_length(entry->path);

        if (!entry_has_effect(entry) && entry->reason != REASON_STANDBY)
            continue;
        if (length != last_length || strncmp(entry->path, last, length) != 0)
        {
            if (!is_always_written(check, entry->path, length) &&
                !is_root(check, entry->path, length) &&
                !check_directory(check, entry->path, length, error))
                return false;
            last = entry->path;
            last_length = length;
        }
        if (!check_entry(check, entry, error))
            return false;
    }
    return true;
}

/* ---- Space ---- */

static void count_wal(Check *check, const WalSpace *wal)
{
    char path[64];

    snprintf(path, sizeof(path), "%s/x", check->plan->wal_directory);
    const size_t root = roots_of(&check->roots, path);

    check->staged[root].bytes += wal->written_bytes;
    if (!wal->is_fetched)
        check->staged[0].bytes += wal->fetched_bytes;
    if (root != 0)
        check->staged[root].bytes += wal->fetched_bytes;
}

static void PRINTF_LIKE(4, 5)
    report_lack(Check *check, const Root *root, const char *what, const char *format, ...)
{
    char detail[256];
    va_list arguments;
    Error problem;

    va_start(arguments, format);
    vsnprintf(detail, sizeof(detail), format, arguments);
    va_end(arguments);
    error_set(&problem, ERROR_FAILED, "not enough %s on the file system of \"%s%s%s\"", what,
              root->directory[0] == '/' ? "" : check->roots.target_directory,
              root->directory[0] == '/' || root->directory[0] == '\0' ? "" : "/", root->directory);
    error_detail(&problem, "%s", detail);
    problem_found(check, &problem);
}

/* Of all roots on the file system of the first one. */
static void check_file_system(Check *check, size_t first)
{
    const Root *root = &check->roots.roots[first];
    const FileSpace *space = &check->space[first];
    uint64_t files = FILES_MARGIN;
    uint64_t staged = 0;
    uint64_t reserved = 0;
    uint64_t needed;

    for (size_t other = first; other < check->roots.count; other++)
    {
        if (check->roots.roots[other].place.device != root->place.device)
            continue;
        staged += check->staged[other].bytes;
        files += check->staged[other].files;
        reserved += check->reserved[other];
    }
    needed = staged + reserved;
    needed += SPACE_MARGIN + needed / SPACE_MARGIN_PART;
    if (needed > space->free_bytes)
        report_lack(check, root, "space",
                    "Up to %llu MB are needed, %llu MB are free.\n"
                    "%llu MB must be fetched, and files will grow by %llu MB.",
                    (unsigned long long) ((needed + MEGABYTE - 1) / MEGABYTE),
                    (unsigned long long) (space->free_bytes / MEGABYTE),
                    (unsigned long long) ((staged + MEGABYTE - 1) / MEGABYTE),
                    (unsigned long long) ((reserved + MEGABYTE - 1) / MEGABYTE));
    if (files > space->free_files)
        report_lack(check, root, "inodes", "Up to %llu files are needed, %llu can be created.",
                    (unsigned long long) files, (unsigned long long) space->free_files);
}

/* Roots of one device share its space. */
static bool check_space_of_devices(Check *check, const WalSpace *wal, Error *error)
{
    if (!space_to_reserve(&check->roots, check->plan, check->reserved, error))
        return false;
    count_wal(check, wal);
    for (size_t root = 0; root < check->roots.count; root++)
    {
        bool counted = false;

        for (size_t other = 0; other < root; other++)
            counted = counted || check->roots.roots[other].place.device ==
                                     check->roots.roots[root].place.device;
        if (!counted)
            check_file_system(check, root);
    }
    return true;
}

static bool measure_roots(Check *check, Error *error)
{
    const size_t count = check->roots.count;

    check->space = memory_allocate_zeroed(count, sizeof(FileSpace));
    check->staged = memory_allocate_zeroed(count, sizeof(StagedSpace));
    check->reserved = memory_allocate_zeroed(count, sizeof(uint64_t));
    return space_measure(&check->roots, check->space, error);
}

bool stage_check(const char *target_directory, const Plan *plan, const WalSpace *wal, Error *error)
{
    Arena *arena = arena_create();
    Check check = {
        .plan = plan,
        .always_written = {"", "global", plan->wal_directory,
                           arena_printf(arena, "%s/archive_status", plan->wal_directory)}};
    bool ok = roots_find(arena, target_directory, plan, &check.roots, error) &&
              measure_roots(&check, error);

    if (ok)
    {
        report_conflicts(&check);
        ok = check_staging_directories(&check, error) && check_reserved(&check, error) &&
             check_entries(&check, error) &&
             roots_check_locations(&check.roots, plan, &check.problems, error) &&
             check_space_of_devices(&check, wal, error);
    }
    if (ok && check.problems > 0)
        ok = error_set_reported(error, ERROR_FAILED);
    free(check.space);
    free(check.staged);
    free(check.reserved);
    arena_destroy(arena);
    return ok;
}
