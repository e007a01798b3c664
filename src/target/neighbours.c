#include "target/target.h"

#include "io/dir.h"
#include "io/place.h"
#include "source/directory.h"

#include <ctype.h>

/* A directory of a cluster that may be a link, and where it is. */
typedef struct ClusterDirectory
{
    const char *name; /* pg_wal, pg_xlog, pg_tblspc/16400 */
    Place place;
    bool is_tablespace;
} ClusterDirectory;

/* List them all or, of the target, only the links; up to one without a name. Those that cannot be
 * looked at are passed over. */
static const ClusterDirectory *list_directories(const char *cluster, bool only_links, Arena *arena)
{
    static const char *const fixed[] = {"pg_wal", "pg_xlog"}; /* the second before 10 */
    const char **tablespaces;
    ClusterDirectory *directories;
    size_t names = 2, count = 0;

    (void) !dir_list(arena_printf(arena, "%s/pg_tblspc", cluster), arena, &tablespaces, NULL, NULL);
    while (tablespaces[names - 2] != NULL)
        names++;
    directories = arena_allocate(arena, (names + 1) * sizeof(*directories));
    for (size_t i = 0; i < names; i++)
    {
        const char *name =
            i < 2 ? fixed[i] : arena_printf(arena, "pg_tblspc/%s", tablespaces[i - 2]);
        const char *path = arena_printf(arena, "%s/%s", cluster, name);
        struct stat status;
        Place place;
        bool found;

        if (file_lstat(path, &status, &found, NULL) && found &&
            (!only_links || S_ISLNK(status.st_mode)) && place_find(path, &place, &found, NULL) &&
            place.is_directory)
            directories[count++] = (ClusterDirectory){name, place, i >= 2};
    }
    return directories;
}

/* True if the servers of both clusters have other directories in the location of a tablespace:
 * their names end with the catalog version. */
static bool is_of_other_version(const Target *target, const char *cluster)
{
    Control control = {0};

    /* The number is also read of a server that is not known here. */
    (void) !directory_control_read(cluster, &control, NULL);
    return control.catalog_version != 0 &&
           control.catalog_version != target->control.catalog_version;
}

/* An error if a directory of that cluster is one of the target's links. */
static bool check_cluster(const Target *target, const ClusterDirectory *links, const char *cluster,
                          Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();
    const ClusterDirectory *other = list_directories(cluster, false, arena);

    if (place_is(cluster, target->directory))
        return true;
    for (; other->name != NULL; other++)
    {
        const ClusterDirectory *own = links;

        while (own->name != NULL && !place_same(&own->place, &other->place))
            own++;
        /* Rule C101: two versions share a location, but no tablespace. */
        if (own->name == NULL ||
            (own->is_tablespace && other->is_tablespace && is_of_other_version(target, cluster)))
            continue;
        error_set(error, ERROR_FAILED,
                  "directory \"%s/%s\" of the target belongs to another cluster", target->directory,
                  own->name);
        error_detail(error, "It is also \"%s\" of the cluster in \"%s\".", other->name, cluster);
        return error_hint(error,
                          "Check -D. If it is right, the target is a copy whose symbolic links "
                          "were copied unchanged: give the target its own directories, with "
                          "copies of the files.");
    }
    return true;
}

bool neighbours_check(const Target *target, const char *source_directory, Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();
    const ClusterDirectory *links = list_directories(target->directory, true, arena);
    const char **processes;

    if (links->name == NULL)
        return true;
    if ((source_directory != NULL && !check_cluster(target, links, source_directory, error)) ||
        !dir_list("/proc", arena, &processes, NULL, error))
        return false;
    for (; *processes != NULL; processes++)
    {
        const char *cwd = arena_printf(arena, "/proc/%s/cwd", *processes);
        AUTO_BUFFER Buffer cluster = {0};

        if (isdigit((unsigned char) (*processes)[0]) && file_exists(cwd, "PG_VERSION") &&
            file_read_link(cwd, &cluster, NULL) &&
            !check_cluster(target, links, buffer_string(&cluster), error))
            return false;
    }
    return true;
}
