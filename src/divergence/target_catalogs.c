#include "divergence/target_catalogs.h"

#include "base/buffer.h"
#include "base/text_cursor.h"
#include "format/relpath.h"
#include "io/dir.h"
#include "io/file.h"

#include <stdio.h>

#define BLOCK_SIZE_MAX 32768

/* A directory that holds those of databases. */
typedef struct Databases
{
    const Target *target;
    const Version *version;
    const char *path;
    Catalogs *catalogs;
} Databases;

/* Its first segment: the rows of catalogs are the oldest. */
static bool read_pg_class(const Databases *databases, const char *path, Oid database, Error *error)
{
    const uint32_t block_size = databases->target->control.block_size;
    uint8_t page[BLOCK_SIZE_MAX];
    size_t length = block_size;
    bool read = true;
    int fd;

    if (!file_open_read(path, &fd, NULL, error))
        return false;
    for (uint64_t at = 0; read && length == block_size; at += block_size)
    {
        read = file_read_at(fd, path, page, block_size, at, &length, error);
        if (read && length == block_size)
            catalogs_add_page(databases->catalogs, database, page, block_size);
    }
    file_close(fd);
    return read;
}

/* What has no map is no database, or was one whose removal was interrupted. */
static bool read_directory(const Databases *databases, const char *name, Oid database, Error *error)
{
    char directory[PATH_SIZE], path[PATH_SIZE], number[16];
    Buffer map = {0};
    Oid pg_class = 0;
    bool found, read;

    if (!path_join(directory, sizeof(directory), databases->path, name, error) ||
        !path_join(path, sizeof(path), directory, "pg_filenode.map", error))
        return false;
    read = file_read_all(path, CATALOGS_MAP_SIZE, &map, &found, error);
    if (read && found &&
        !catalogs_add_map(databases->catalogs, database, map.bytes, map.size, &pg_class))
        read = error_set(error, ERROR_FAILED, "map of catalogs \"%s\" is damaged", path);
    buffer_free(&map);
    if (!read || pg_class == 0)
        return read;
    snprintf(number, sizeof(number), "%u", pg_class);
    return path_join(path, sizeof(path), directory, number, error) &&
           read_pg_class(databases, path, database, error);
}

static bool read_database_catalogs(void *context, const char *name, Error *error)
{
    TextCursor digits = text_cursor(name);
    Oid database;

    if (!text_take_u32(&digits, &database) || !text_at_end(&digits))
        return true;
    return read_directory(context, name, database, error);
}

static bool read_tablespace_catalogs(void *context, const char *name, Error *error)
{
    const Databases *tablespaces = context;
    Databases databases = *tablespaces;
    char version[TABLESPACE_VERSION_SIZE], link[PATH_SIZE], path[PATH_SIZE];
    bool found;

    tablespace_version_directory(databases.version, version);
    databases.path = path;
    return path_join(link, sizeof(link), tablespaces->path, name, error) &&
           path_join(path, sizeof(path), link, version, error) &&
           dir_names(path, read_database_catalogs, &databases, &found, error);
}

bool target_catalogs_read(const Target *target, const Version *version, Catalogs *catalogs,
                          Error *error)
{
    char path[PATH_SIZE];
    Databases databases = {target, version, target->directory, catalogs};
    bool read;

    *catalogs = (Catalogs){0};
    if (!version->old_wal)
        return true;
    read = read_directory(&databases, "global", 0, error);
    databases.path = path;
    read = read && path_join(path, sizeof(path), target->directory, "base", error) &&
           dir_names(path, read_database_catalogs, &databases, NULL, error) &&
           path_join(path, sizeof(path), target->directory, "pg_tblspc", error) &&
           dir_names(path, read_tablespace_catalogs, &databases, NULL, error);
    catalogs_sort(catalogs);
    return read;
}
