/*
 * stage_check: everything that could fail later is tried before anything is written. Changes
 * nothing.
 */
#include "apply/roots.h"
#include "apply/stage.h"
#include "base/log.h"
#include "io/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SPACE_MARGIN (1024u * 1024) /* directories, journal and the like */
#define MEGABYTE (1024u * 1024)

/* What is needed on each root. */
typedef struct Check
{
    const Plan *plan;
    Roots roots;
    uint64_t *needed; /* bytes, of each root */
    size_t problems;
} Check;

static void problem_found(Check *check, const Error *problem)
{
    log_error(problem);
    check->problems++;
}

/* ---- Directories ---- */

/* Names in it are made, replaced or removed. One that is not there yet is made by us. */
static bool check_directory(Check *check, const char *path, size_t length, Error *error)
{
    char directory[PATH_SIZE];
    char local[PATH_SIZE];
    Error problem;

    if (length >= sizeof(directory))
        return error_set(error, ERROR_FAILED, "path \"%s\" is too long", path);
    memcpy(directory, path, length);
    directory[length] = '\0';
    if (!target_path(local, sizeof(local), check->roots.target_directory, directory, error))
        return false;
    if (place_can_change_names(local) || errno == ENOENT)
        return true;
    error_set_errno(&problem, ERROR_FAILED, "cannot write to directory \"%s\"", local);
    problem_found(check, &problem);
    return true;
}

/* Where staged files go. */
static bool check_work_directories(Check *check, Error *error)
{
    for (size_t root = 0; root < check->roots.count; root++)
    {
        const char *directory = check->roots.roots[root].directory;

        if (directory[0] != '/' && !check_directory(check, directory, strlen(directory), error))
            return false;
    }
    return true;
}

/* ---- Files ---- */

static bool is_in_place(const PlanEntry *entry)
{
    return entry->action == ACTION_NONE || entry->action == ACTION_COPY_TAIL ||
           entry->action == ACTION_TRUNCATE;
}

/*
 * Can a file be written in place, or else replaced? Opening it changes nothing. Mode 0400 is fine
 * (EACCES): it is replaced by rename. Immutable files, read-only mounts and the like are not.
 */
static bool check_file(Check *check, const PlanEntry *entry, bool *writable, Error *error)
{
    char local[PATH_SIZE];
    Error problem;
    int fd = -1;

    *writable = true;
    if (!target_path(local, sizeof(local), check->roots.target_directory, entry->path, error))
        return false;
    if (file_open_update(local, &fd, &problem))
    {
        file_close(fd);
        return true;
    }
    *writable = false;
    if (problem.error_number == ENOENT || (problem.error_number == EACCES))
        return true;
    problem_found(check, &problem);
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
    error_set(&problem, ERROR_FAILED, "cannot create \"%s\": something else is there", local);
    problem_found(check, &problem);
    return true;
}

static uint64_t bytes_to_fetch(const Plan *plan, const PlanEntry *entry)
{
    uint64_t offset = 0;
    uint64_t bytes = 0;
    uint64_t size;

    for (; plan_next_range(plan, entry, &offset, &size); offset += size)
        bytes += size;
    return bytes;
}

static bool check_entry(Check *check, const PlanEntry *entry, Error *error)
{
    const size_t root = roots_of(&check->roots, entry->path);
    bool writable = true;

    if (entry->action == ACTION_CREATE)
        return check_created(check, entry, error);
    if (entry->type == FILE_REGULAR && entry->on_target &&
        !check_file(check, entry, &writable, error))
        return false;
    if (entry->wal)
        return true; /* counted by wal_bytes */
    check->needed[root] += bytes_to_fetch(check->plan, entry);
    if (is_in_place(entry))
    {
        if (entry->source_size > entry->target_size)
            check->needed[root] += entry->source_size - entry->target_size;
        if (!writable)
            check->needed[root] += entry->source_size; /* a private copy */
    }
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

        if (!entry_has_effect(entry))
            continue;
        if (length != last_length || strncmp(entry->path, last, length) != 0)
        {
            if (!check_directory(check, entry->path, length, error))
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

/* A directory of the root's file system that is there: a new tablespace's may be absent. */
static bool space_of_root(const Check *check, const Root *root, uint64_t *bytes, Error *error)
{
    char local[PATH_SIZE];
    Place place;
    bool found;

    if (!target_path(local, sizeof(local), check->roots.target_directory, root->directory, error) ||
        !place_find(local, &place, &found, error))
        return false;
    if (!found)
    {
        const size_t length = path_parent_length(local);

        local[length > 0 ? length : 1] = '\0';
    }
    return file_space_free(local, bytes, error);
}

/* Roots of one device share its space. */
static bool check_space(Check *check, Error *error)
{
    for (size_t root = 0; root < check->roots.count; root++)
    {
        const Root *first = &check->roots.roots[root];
        uint64_t needed = SPACE_MARGIN;
        uint64_t available;
        bool counted = false;
        Error problem;

        for (size_t other = 0; other < check->roots.count; other++)
        {
            if (check->roots.roots[other].place.device != first->place.device)
                continue;
            counted = counted || other < root;
            needed += check->needed[other];
        }
        if (counted)
            continue;
        if (!space_of_root(check, first, &available, error))
            return false;
        if (available >= needed)
            continue;
        error_set(&problem, ERROR_FAILED, "not enough space on the file system of \"%s%s%s\"",
                  first->directory[0] == '/' ? "" : check->roots.target_directory,
                  first->directory[0] == '/' || first->directory[0] == '\0' ? "" : "/",
                  first->directory);
        error_detail(&problem, "Up to %llu MB are needed, %llu MB are free.",
                     (unsigned long long) ((needed + MEGABYTE - 1) / MEGABYTE),
                     (unsigned long long) (available / MEGABYTE));
        problem_found(check, &problem);
    }
    return true;
}

bool stage_check(const char *target_directory, const Plan *plan, uint64_t wal_bytes, Error *error)
{
    Arena *arena = arena_create();
    Check check = {.plan = plan};
    bool ok = roots_find(arena, target_directory, plan, &check.roots, error);

    if (ok)
    {
        check.needed = memory_allocate_zeroed(check.roots.count, sizeof(uint64_t));
        check.needed[roots_of(&check.roots, "pg_wal/x")] += wal_bytes;
        ok = check_work_directories(&check, error) && check_entries(&check, error) &&
             roots_check_locations(&check.roots, plan, &check.problems, error) &&
             check_space(&check, error);
    }
    if (ok && check.problems > 0)
    {
        ok = error_set(error, ERROR_FAILED, "target cannot be rewound as it is: %zu %s",
                       check.problems, check.problems == 1 ? "problem" : "problems");
        error_detail(error, "Nothing was changed in the target.");
    }
    free(check.needed);
    arena_destroy(arena);
    return ok;
}
