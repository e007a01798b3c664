#include "plan/foreign.h"

#include "base/array.h"
#include "format/control.h"

#include <stdlib.h>
#include <string.h>

static bool has_file(const Listing *files, const char *directory, const char *name)
{
    AUTO_BUFFER Buffer path = {0};

    return listing_find(files, path_in(&path, directory, name)) != NULL;
}

/* The listing's own string for the first bytes of a path. NULL if the listing lacks it. */
static const char *directory_of(const Listing *files, const char *path, size_t length)
{
    const ListedFile *file =
        path_find(files->files, files->count, sizeof(ListedFile), path, length);

    return file != NULL && file->type == FILE_DIRECTORY ? file->path : NULL;
}

/* Add a tree. Of two kinds in one tree the stronger one is kept, since the warning names one. */
static void add_tree(Foreign *foreign, const char *path, const char *found, ForeignKind kind)
{
    for (size_t i = 0; i < foreign->tree_count; i++)
    {
        ForeignTree *tree = &foreign->trees[i];

        if (kind == FOREIGN_MOUNT ? path_is_within(tree->path, path)
                                  : strcmp(tree->path, path) == 0)
        {
            if (kind < tree->kind)
                *tree = (ForeignTree){path, found, kind};
            return;
        }
    }
    ARRAY_ADD(foreign->trees, foreign->tree_count, (ForeignTree){path, found, kind});
}

/* The directory that the first bytes of a path name is foreign. Directories that every cluster has
 * are not foreign, whatever they hold. */
static void add_directory(Foreign *foreign, const char *path, size_t length, ForeignKind kind,
                          bool is_closed)
{
    const Listing *files = foreign->files;
    const Version *version = foreign->version;
    const char *found = directory_of(files, path, length);
    const char *top = found;

    /* In a tablespace's location, everything except the cluster's own directory is left alone
     * anyway. */
    if (found == NULL || path_is_within("pg_tblspc", found) ||
        (strchr(found, '/') == NULL && path_server_reads(version, found)))
        return;
    if (!path_server_reads(version, found))
        top = directory_of(files, found, strcspn(found, "/"));
    else if (kind != FOREIGN_CLUSTER && kind != FOREIGN_TABLESPACE)
        return;
    if (top == NULL)
        return;
    add_tree(foreign, top, found, kind);
    /* Files of one directory follow each other. */
    if (is_closed && (foreign->closed_count == 0 ||
                      strcmp(foreign->closed[foreign->closed_count - 1].path, found) != 0))
        ARRAY_ADD(foreign->closed, foreign->closed_count, (ForeignTree){found, found, kind});
}

/* "PG_15_202209061" */
static bool is_servers_in_tablespace(const char *name)
{
    const char *rest = name;
    size_t digits;

    if (strncmp(name, "PG_", strlen("PG_")) != 0)
        return false;
    rest += strlen("PG_");
    digits = strspn(rest, "0123456789.");
    if (digits == 0 || rest[digits] != '_')
        return false;
    rest += digits + 1;
    digits = strspn(rest, "0123456789");
    return digits > 0 && rest[digits] == '\0';
}

static void judge_file(Foreign *foreign, const ListedFile *file)
{
    const Listing *files = foreign->files;
    const size_t length = path_parent_length(file->path), above = strlen("/global");
    const char *name = file->path + length + 1, *directory;
    const size_t digits = strspn(name, "0123456789ABCDEF");

    if (length == 0)
        return;
    if (strcmp(name, "pg_control") == 0)
    {
        /* A pg_control in DIRECTORY/global shows another cluster, below the data directory. */
        if (length <= above || strncmp(file->path + length - above, "/global", above) != 0)
            return;
        directory = directory_of(files, file->path, length - above);
        if (directory == NULL || !has_file(files, directory, "PG_VERSION"))
            return;
        add_directory(foreign, file->path, length - above,
                      has_file(files, directory, "backup_label") ||
                              has_file(files, directory, "backup_manifest")
                          ? FOREIGN_BACKUP
                          : FOREIGN_CLUSTER,
                      true);
    }
    else if (strcmp(name, "backup_label") == 0 || strcmp(name, "backup_manifest") == 0 ||
             strncmp(name, "base.tar", strlen("base.tar")) == 0)
        add_directory(foreign, file->path, length, FOREIGN_BACKUP, true);
    else if (digits == WAL_NAME_SIZE - 1 &&
             (name[digits] == '\0' || strchr(".-_", name[digits]) != NULL))
    {
        /* the name of a WAL segment of any size, perhaps with an archive's suffix */
        directory = directory_of(files, file->path, length);
        add_directory(foreign, file->path, length, FOREIGN_WAL,
                      directory != NULL && has_file(files, directory, "archive_status"));
    }
}

void foreign_find(const Version *version, const Listing *files, Foreign *foreign)
{
    *foreign = (Foreign){.version = version, .files = files};
    for (size_t i = 0; i < files->count; i++)
    {
        const ListedFile *file = &files->files[i];
        const size_t length = path_parent_length(file->path);

        if (file->type == FILE_REGULAR)
            judge_file(foreign, file);
        if (file->type != FILE_DIRECTORY)
            continue;
        if (file->mounted)
            add_tree(foreign, file->path, file->path, FOREIGN_MOUNT);
        /* In a directory that every cluster has, only the tablespace's own is foreign. */
        if (is_servers_in_tablespace(file->path + length + (length > 0)))
            add_directory(foreign, file->path,
                          path_server_reads(version, file->path) || length == 0 ? strlen(file->path)
                                                                                : length,
                          FOREIGN_TABLESPACE, true);
    }
    ARRAY_SORT(foreign->trees, foreign->tree_count, compare_strings);
    ARRAY_SORT(foreign->closed, foreign->closed_count, compare_strings);
}

void foreign_free(Foreign *foreign)
{
    free(foreign->trees);
    free(foreign->closed);
    *foreign = (Foreign){0};
}

const ForeignTree *foreign_tree_of(const Foreign *foreign, const char *path)
{
    return path_find_above(foreign->trees, foreign->tree_count, sizeof(*foreign->trees), path);
}

bool foreign_is_closed(const Foreign *foreign, const char *path)
{
    return path_find(foreign->closed, foreign->closed_count, sizeof(*foreign->closed), path,
                     strlen(path)) != NULL;
}

bool foreign_is_of_server(const Foreign *foreign, const char *path)
{
    const ForeignTree *topmost =
        path_find_above(foreign->closed, foreign->closed_count, sizeof(*foreign->closed), path);

    return topmost != NULL && topmost->kind != FOREIGN_BACKUP && strcmp(topmost->path, path) == 0;
}
