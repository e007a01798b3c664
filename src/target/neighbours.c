#include "target/neighbours.h"

#include "io/dir.h"
#include "io/file.h"
#include "io/place.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHARED_MAX 1024 /* directories of the target; a cluster has few tablespaces */
#define NAME_SIZE 64

/* The directories that the target has outside its data directory. */
typedef struct Outside
{
    const char *target_directory;
    struct
    {
        Place place;
        char name[NAME_SIZE]; /* pg_wal, pg_xlog, pg_tblspc/16400 */
    } places[SHARED_MAX];
    size_t count;
} Outside;

/* A data directory, while the directories that may be links are visited. */
typedef struct Cluster
{
    const char *directory;
    Outside *outside;
    bool (*visit)(const struct Cluster *cluster, const char *path, const char *name, Error *error);
    bool shares; /* a directory with the target, and the error says which */
} Cluster;

/* ---- The target's ---- */

/* Add a directory that is a link. */
static bool add_place(const Cluster *cluster, const char *path, const char *name, Error *error)
{
    Outside *outside = cluster->outside;
    struct stat status;
    Place place;
    bool found;

    (void) error;
    if (outside->count < SHARED_MAX && file_lstat(path, &status, &found, NULL) && found &&
        S_ISLNK(status.st_mode) && place_find(path, &place, &found, NULL) && place.is_directory)
    {
        outside->places[outside->count].place = place;
        snprintf(outside->places[outside->count++].name, NAME_SIZE, "%s", name);
    }
    return true;
}

/* ---- The others' ---- */

/* An error if the directory is one of the target's. */
static bool check_place(const Cluster *other, const char *path, const char *name, Error *error)
{
    const Outside *outside = other->outside;
    bool found;
    Place place;

    if (!place_find(path, &place, &found, NULL) || !place.is_directory)
        return true;
    for (size_t i = 0; i < outside->count; i++)
    {
        if (!place_same(&place, &outside->places[i].place))
            continue;
        error_set(error, ERROR_FAILED,
                  "directory \"%s/%s\" of the target belongs to another cluster",
                  outside->target_directory, outside->places[i].name);
        error_detail(error, "It is also \"%s\" of the cluster in \"%s\".", name, other->directory);
        return error_hint(error,
                          "Check -D. If it is right, the target is a copy whose symbolic links "
                          "were copied unchanged: give it directories of its own, with copies of "
                          "the files.");
    }
    return true;
}

/* ---- Visiting ---- */

static bool visit_directory(Cluster *cluster, const char *name, Error *error)
{
    AUTO_BUFFER Buffer path = {0};

    if (!cluster->visit(cluster, path_in(&path, cluster->directory, name), name, error))
        cluster->shares = true;
    return !cluster->shares;
}

/* A DirNameVisitor. */
static bool visit_tablespace(void *context, const char *name, Error *error)
{
    char path[NAME_SIZE];

    return snprintf(path, sizeof(path), "pg_tblspc/%s", name) >= (int) sizeof(path) ||
           visit_directory(context, path, error);
}

/* Visit the directories of a cluster that may lie elsewhere; those that cannot be read are passed
 * over. */
static void visit_cluster(Cluster *cluster, Error *error)
{
    AUTO_BUFFER Buffer path = {0};
    bool found;

    if (visit_directory(cluster, "pg_wal", error) &&
        visit_directory(cluster, "pg_xlog", error)) /* before 10 */
        (void) !dir_names(path_in(&path, cluster->directory, "pg_tblspc"), visit_tablespace,
                          cluster, &found, error);
}

static bool check_cluster(Outside *outside, const char *directory, Error *error)
{
    Cluster other = {.directory = directory, .outside = outside, .visit = check_place};

    if (!place_is(directory, outside->target_directory))
        visit_cluster(&other, error);
    return !other.shares;
}

static bool check_process(void *context, const char *name, Error *error)
{
    AUTO_BUFFER Buffer marker = {0}, directory = {0};
    struct stat status;
    char cwd[64];
    bool found;

    if (!isdigit((unsigned char) name[0]) ||
        snprintf(cwd, sizeof(cwd), "/proc/%s/cwd", name) >= (int) sizeof(cwd))
        return true;
    return !file_stat(path_in(&marker, cwd, "PG_VERSION"), &status, &found, NULL) || !found ||
           !file_read_link(cwd, &directory, NULL) ||
           check_cluster(context, buffer_string(&directory), error);
}

bool neighbours_check(const char *target_directory, const char *source_directory, Error *error)
{
    Outside *outside = memory_allocate_zeroed(1, sizeof(*outside));
    Cluster target = {.directory = target_directory, .outside = outside, .visit = add_place};
    bool found, success = true;

    outside->target_directory = target_directory;
    visit_cluster(&target, NULL);
    if (outside->count > 0)
        success = (source_directory == NULL || check_cluster(outside, source_directory, error)) &&
                  dir_names("/proc", check_process, outside, &found, error);
    free(outside);
    return success;
}
