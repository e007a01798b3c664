#include "target/neighbours.h"

#include "io/dir.h"
#include "io/file.h"
#include "io/place.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SHARED_MAX 1024 /* directories of the target; a cluster has few tablespaces */

/* The directories that the target has outside its data directory. */
typedef struct Outside
{
    const char *target_directory;
    Place target;
    struct
    {
        Place place;
        char name[64]; /* pg_wal, pg_xlog, pg_tblspc/16400 */
    } places[SHARED_MAX];
    size_t count;
} Outside;

/* A data directory, while its links are looked at. */
typedef struct Cluster
{
    Outside *outside;
    const char *directory;
    bool shares; /* a directory with the target, and the error says which */
} Cluster;

/* Where the path leads, if there is a directory that may be looked at. */
static bool find_directory_place(const char *directory, const char *name, Place *place)
{
    char path[PATH_SIZE];
    bool found;

    return path_join(path, sizeof(path), directory, name, NULL) &&
           place_find(path, place, &found, NULL) && found && place->is_directory;
}

static void visit_tablespaces(Cluster *cluster, DirNameVisitor visit, Error *error)
{
    char path[PATH_SIZE];
    bool found;

    (void) !(path_join(path, sizeof(path), cluster->directory, "pg_tblspc", error) &&
             dir_names(path, visit, cluster, &found, error));
}

/* ---- The target's ---- */

static void add_place(Outside *outside, const char *name)
{
    char path[PATH_SIZE];
    struct stat status;
    Place place;
    bool found;

    if (outside->count == SHARED_MAX || strlen(name) >= sizeof(outside->places[0].name) ||
        !path_join(path, sizeof(path), outside->target_directory, name, NULL) ||
        !file_lstat(path, &status, &found, NULL) || !found || !S_ISLNK(status.st_mode) ||
        !find_directory_place(outside->target_directory, name, &place))
        return;
    outside->places[outside->count].place = place;
    snprintf(outside->places[outside->count++].name, sizeof(outside->places[0].name), "%s", name);
}

static bool add_tablespace(void *context, const char *name, Error *error)
{
    const Cluster *target = context;
    char path[64];

    (void) error;
    if (strlen(name) < sizeof(path) - sizeof("pg_tblspc/"))
    {
        snprintf(path, sizeof(path), "pg_tblspc/%s", name);
        add_place(target->outside, path);
    }
    return true;
}

/* ---- The others' ---- */

static bool check_place(Cluster *other, const char *name, Error *error)
{
    const Outside *outside = other->outside;
    Place place;

    if (!find_directory_place(other->directory, name, &place))
        return true;
    for (size_t i = 0; i < outside->count; i++)
    {
        if (!place_same(&place, &outside->places[i].place))
            continue;
        other->shares = true;
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

static bool check_tablespace(void *context, const char *name, Error *error)
{
    char path[PATH_SIZE];

    return snprintf(path, sizeof(path), "pg_tblspc/%s", name) >= (int) sizeof(path) ||
           check_place(context, path, error);
}

static bool check_cluster(Outside *outside, const char *directory, Error *error)
{
    Cluster other = {.outside = outside, .directory = directory};
    Place place;

    if (!find_directory_place(directory, "", &place) || place_same(&place, &outside->target))
        return true;
    if (check_place(&other, "pg_wal", error) && check_place(&other, "pg_xlog", error))
        visit_tablespaces(&other, check_tablespace, error);
    return !other.shares;
}

static bool check_process(void *context, const char *name, Error *error)
{
    char cwd[64], marker[80];
    struct stat status;
    Buffer directory = {0};
    bool found = false, result = true;

    if (!isdigit((unsigned char) name[0]) || strlen(name) > 20)
        return true;
    snprintf(cwd, sizeof(cwd), "/proc/%s/cwd", name);
    snprintf(marker, sizeof(marker), "%s/PG_VERSION", cwd);
    if (!file_stat(marker, &status, &found, NULL) || !found)
        return true;
    if (file_read_link(cwd, &directory, NULL))
        result = check_cluster(context, buffer_string(&directory), error);
    buffer_free(&directory);
    return result;
}

bool neighbours_check(const char *target_directory, const char *source_directory, Error *error)
{
    Outside *outside = memory_allocate_zeroed(1, sizeof(*outside));
    Cluster target = {.outside = outside, .directory = target_directory};
    bool found, result = true;

    outside->target_directory = target_directory;
    if (find_directory_place(target_directory, "", &outside->target))
    {
        add_place(outside, "pg_wal");
        add_place(outside, "pg_xlog"); /* before 10 */
        visit_tablespaces(&target, add_tablespace, NULL);
    }
    if (outside->count > 0)
        result = (source_directory == NULL || check_cluster(outside, source_directory, error)) &&
                 dir_names("/proc", check_process, outside, &found, error);
    free(outside);
    return result;
}
