#include "plan/listing.h"

#include "base/array.h"
#include "format/page.h"
#include "io/file.h"
#include "io/place.h"
#include "source/directory.h"

#include <stdlib.h>
#include <string.h>

/* A directory is listed before what is in it, so that a file stands here only if it is a mount. */
static void note_file_system(Listing *listing, const SourceFile *file, const char *path)
{
    if (file->type == FILE_OTHER || file->device == 0)
        return;
    for (size_t i = 0; i < listing->file_system_count; i++)
    {
        if (listing->file_systems[i].device == file->device)
            return;
    }
    ARRAY_ADD(listing->file_systems, listing->file_system_count,
              (ListedFileSystem){.path = path, .device = file->device});
}

static bool collect_file(void *context, const SourceFile *file, Error *error)
{
    Listing *listing = context;
    const bool is_regular = file->type == FILE_REGULAR;
    const char *path;

    if (!path_is_safe(file->path))
    {
        error_set(error, ERROR_FAILED, "target file path is unsafe for open: \"%s\"", /* contract */
                  file->path);
        return error_detail(error, "The source listed a path that is absolute or leaves the data "
                                   "directory.");
    }
    if (is_regular && file->size > LISTED_SIZE_MAX - listing->total_size)
        return error_set(error, ERROR_FAILED, "file \"%s\" cannot be %llu bytes long", file->path,
                         (unsigned long long) file->size);
    path = arena_strdup(listing->strings, file->path);
    ARRAY_ADD(listing->files, listing->count,
              (ListedFile){
                  .path = path,
                  .size = is_regular ? file->size & LISTED_SIZE_MAX : 0,
                  .type = file->type,
                  .unreadable = file->unreadable,
              });
    note_file_system(listing, file, path);
    if (is_regular)
        listing->total_size += file->size;
    if (file->link_target != NULL)
    {
        ARRAY_ADD(listing->links, listing->link_count,
                  (ListedLink){.path = path,
                               .target = arena_strdup(listing->strings, file->link_target)});
    }
    return true;
}

/* An entry below a link, or below a directory that is not listed, would be written to an unchecked
 * place. Only the link of a tablespace is followed. */
static bool check_listed_parents(const Listing *listing, const char *side, Error *error)
{
    PathParent last = {0};

    for (size_t i = 0; i < listing->count; i++)
    {
        const char *path = listing->files[i].path;
        const ListedFile *parent;

        if (!path_parent_changes(&last, path) || last.length == 0)
            continue;
        parent = path_find(listing->files, listing->count, sizeof(*parent), path, last.length);
        if (parent == NULL || (parent->type != FILE_DIRECTORY &&
                               !(parent->type == FILE_LINK && relpath_is_tablespace(parent->path))))
            return error_set(error, ERROR_FAILED,
                             "%s file \"%s\" is not in a directory that was listed", side, path);
    }
    return true;
}

static bool sort_and_check(Listing *listing, const char *side, Error *error)
{
    if (listing->count == 0)
        return error_set(error, ERROR_FAILED, "%s file list is empty", side); /* contract */
    /* Files and links begin with their path. */
    ARRAY_SORT(listing->files, listing->count, compare_strings);
    ARRAY_SORT(listing->links, listing->link_count, compare_strings);
    for (size_t i = 1; i < listing->count; i++)
    {
        if (strcmp(listing->files[i - 1].path, listing->files[i].path) == 0)
            return error_set(error, ERROR_FAILED, "duplicate %s file \"%s\"", side, /* contract */
                             listing->files[i].path);
    }
    return check_listed_parents(listing, side, error);
}

bool listing_of_source(Source *source, const Version *version, Listing *listing, Error *error)
{
    *listing = (Listing){.strings = arena_create()};
    return source->operations->list(source, version, collect_file, listing, error) &&
           sort_and_check(listing, "source", error);
}

/* Every server makes a directory in it. That of a file system is no content. */
static bool has_content(const Listing *listing, const char *tablespace)
{
    const ListedFile *file = listing_find(listing, tablespace);
    const ListedFile *end = listing->files + listing->count;

    for (; file != NULL && file < end && strncmp(file->path, tablespace, strlen(tablespace)) == 0;
         file++)
    {
        const char *name = relpath_below(file->path, tablespace);

        if (name != NULL && strcmp(name, "lost+found") != 0)
            return true;
    }
    return false;
}

const ListedLink *listing_missing_tablespace(const Listing *listing)
{
    for (size_t i = 0; i < listing->link_count; i++)
    {
        if (relpath_is_tablespace(listing->links[i].path) &&
            !has_content(listing, listing->links[i].path))
            return &listing->links[i];
    }
    return NULL;
}

static bool check_tablespaces(const Listing *listing, Error *error)
{
    const ListedLink *missing = listing_missing_tablespace(listing);

    if (missing == NULL)
        return true;
    error_set(error, ERROR_FAILED,
              "tablespace \"%s\" of the source is missing: nothing is in \"%s\"", missing->path,
              missing->target);
    error_detail(error, "By this list the target would have no file of this tablespace either.");
    return error_hint(error,
                      "Mount its volume on the source's host, then run pg_rewind again. If it "
                      "is lost, drop the tablespace there; if pg_tablespace does not have "
                      "it, remove the link.");
}

bool listing_check_complete(const Listing *listing, const Version *version, Error *error)
{
    const char *const directories[] = {"base",
                                       "global",
                                       "pg_multixact",
                                       "pg_tblspc",
                                       version->wal_directory,
                                       version->xact_directory};
    const ListedFile *file = listing_find(listing, "PG_VERSION");

    if (file == NULL || file->type != FILE_REGULAR)
        return error_set(error, ERROR_FAILED, "source file list lacks \"PG_VERSION\"");
    for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++)
    {
        const ListedFile *found = listing_find(listing, directories[i]);

        if (found == NULL || found->type != FILE_DIRECTORY)
            return error_set(error, ERROR_FAILED, "source file list lacks \"%s\"", directories[i]);
    }
    return check_tablespaces(listing, error);
}

/* A mount of a server's file is not looked for: the file cannot be left alone. */
static void find_mount(const Target *target, ListedFile *file)
{
    AUTO_BUFFER Buffer path = {0};

    if (file->type == FILE_REGULAR && !path_is_servers(target->control.version, file->path))
        file->mounted =
            place_obstacle(path_in(&path, target->directory, file->path)) == OBSTACLE_MOUNTED;
}

/* By its first page, since no name tells. */
static bool find_hash_index(const Target *target, ListedFile *file, Error *error)
{
    AUTO_BUFFER Buffer buffer = {0};
    const char *path = path_in(&buffer, target->directory, file->path);
    uint8_t page[PAGE_HASH_SIZE];
    AUTO_FD int fd = -1;
    RelationFile relation;
    size_t size;
    bool found;

    if (file->type != FILE_REGULAR || file->size < sizeof(page) ||
        !relpath_parse(&target->control.version_directory, file->path, &relation) ||
        relation.fork != FORK_MAIN || relation.segment != 0)
        return true;
    if (!file_open_read(path, &fd, &found, error))
        return false;
    if (!found)
        return true;
    if (!file_read_at(fd, path, page, sizeof(page), 0, &size, error))
        return false;
    file->hash_index = size == sizeof(page) && page_is_hash_index(page);
    return true;
}

bool listing_of_target(const Target *target, Listing *listing, Error *error)
{
    *listing = (Listing){.strings = arena_create()};
    if (!data_directory_list(target->directory, target->control.version, true, collect_file,
                             listing, error) ||
        !sort_and_check(listing, "target", error))
        return false;
    for (size_t i = 0; i < listing->count; i++)
    {
        find_mount(target, &listing->files[i]);
        if (!target->control.version->hash_indexes_logged &&
            !find_hash_index(target, &listing->files[i], error))
            return false;
    }
    return true;
}

void listing_free(Listing *listing)
{
    free(listing->files);
    free(listing->links);
    free(listing->file_systems);
    arena_destroy(listing->strings);
    *listing = (Listing){0};
}

const ListedFile *listing_find(const Listing *listing, const char *path)
{
    return path_find(listing->files, listing->count, sizeof(ListedFile), path, strlen(path));
}

const char *listing_link_target(const Listing *listing, const char *path)
{
    const ListedLink *link =
        path_find(listing->links, listing->link_count, sizeof(*link), path, strlen(path));

    return link != NULL ? link->target : NULL;
}

const ListedFile *listing_find_behind(const Listing *listing, const ListedFile *file,
                                      const char *path)
{
    const size_t left = listing->count - (size_t) (file - listing->files);
    size_t step = 1;

    /* Twice as far each time, until one is not before it. */
    while (step < left && strcmp(file[step].path, path) < 0)
        step *= 2;
    return path_find(file + step / 2, (step < left ? step + 1 : left) - step / 2, sizeof(*file),
                     path, strlen(path));
}

bool tablespace_is_listed(const Listing *source, const char *location)
{
    for (size_t i = 0; i < source->link_count; i++)
    {
        if (relpath_is_tablespace(source->links[i].path) &&
            strcmp(source->links[i].target, location) == 0)
            return true;
    }
    return false;
}

void tablespaces_map(const TablespaceMappings *mappings, Listing *source)
{
    for (size_t i = 0; i < source->link_count; i++)
    {
        ListedLink *link = &source->links[i];
        const char *to =
            relpath_is_tablespace(link->path) ? tablespace_mapped(mappings, link->target) : NULL;

        if (to != NULL)
            link->target = to;
    }
}
