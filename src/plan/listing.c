#include "plan/listing.h"

#include "base/array.h"
#include "format/page.h"
#include "format/relpath.h"
#include "io/file.h"
#include "io/place.h"
#include "plan/classify.h"

#include <stdlib.h>
#include <string.h>

#define PATH_LENGTH_MAX 4096

bool path_is_safe(const char *path)
{
    size_t length = strlen(path);

    if (length == 0 || length > PATH_LENGTH_MAX || path[0] == '/')
        return false;
    for (const char *part = path;;)
    {
        const char *slash = strchrnul(part, '/');
        size_t size = (size_t) (slash - part);

        if (size == 0 || (size == 1 && part[0] == '.') ||
            (size == 2 && part[0] == '.' && part[1] == '.'))
            return false;
        if (*slash == '\0')
            return true;
        part = slash + 1;
    }
}

size_t path_parent_length(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash != NULL ? (size_t) (slash - path) : 0;
}

bool path_parent_changes(PathParent *last, const char *path)
{
    const size_t length = path_parent_length(path);
    const bool is_same =
        last->path != NULL && last->length == length && memcmp(last->path, path, length) == 0;

    *last = (PathParent){path, length};
    return !is_same;
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
    ARRAY_GROW(listing->files, listing->count);
    listing->files[listing->count++] = (ListedFile){
        .path = path,
        .size = is_regular ? file->size & LISTED_SIZE_MAX : 0,
        .type = file->type,
        .unreadable = file->unreadable,
    };
    if (is_regular)
        listing->total_size += file->size;
    if (file->link_target != NULL)
    {
        ARRAY_GROW(listing->links, listing->link_count);
        listing->links[listing->link_count++] =
            (ListedLink){.path = path, .target = arena_strdup(listing->strings, file->link_target)};
    }
    return true;
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(((const ListedFile *) a)->path, ((const ListedFile *) b)->path);
}

static int compare_links(const void *a, const void *b)
{
    return strcmp(((const ListedLink *) a)->path, ((const ListedLink *) b)->path);
}

/* An entry below a link, or below a directory that is not listed, would be written to an unchecked
 * place. Only the link of a tablespace is followed. */
static bool check_listed_parent(const Listing *listing, const char *path, size_t length,
                                const char *side, Error *error)
{
    char parent[PATH_LENGTH_MAX + 1];
    const ListedFile *found;

    memcpy(parent, path, length);
    parent[length] = '\0';
    found = listing_find(listing, parent);
    if (found != NULL && (found->type == FILE_DIRECTORY ||
                          (found->type == FILE_LINK && relpath_is_tablespace(parent))))
        return true;
    return error_set(error, ERROR_FAILED, "%s file \"%s\" is not in a directory that was listed",
                     side, path);
}

/* The files are sorted, so most are in the same directory as the one before. */
static bool check_listed_parents(const Listing *listing, const char *side, Error *error)
{
    const char *last = "";
    size_t last_length = 0;

    for (size_t i = 0; i < listing->count; i++)
    {
        const char *path = listing->files[i].path;
        const char *slash = strrchr(path, '/');
        const size_t length = slash != NULL ? (size_t) (slash - path) : 0;

        if (length == 0 || (length == last_length && memcmp(path, last, length) == 0))
            continue;
        if (!check_listed_parent(listing, path, length, side, error))
            return false;
        last = path;
        last_length = length;
    }
    return true;
}

static bool sort_and_check(Listing *listing, const char *side, Error *error)
{
    if (listing->count == 0)
        return error_set(error, ERROR_FAILED, "%s file list is empty", side); /* contract */
    qsort(listing->files, listing->count, sizeof(*listing->files), compare_paths);
    if (listing->link_count > 1)
        qsort(listing->links, listing->link_count, sizeof(*listing->links), compare_links);
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
    return true;
}

/* Of the server's files it does not matter: one that is mounted cannot be left alone. */
static bool find_mounts(const Target *target, Listing *listing, Error *error)
{
    for (size_t i = 0; i < listing->count; i++)
    {
        ListedFile *file = &listing->files[i];
        char path[PATH_SIZE];

        if (file->type != FILE_REGULAR || path_is_servers(target->control.version, file->path))
            continue;
        if (!path_join(path, sizeof(path), target->directory, file->path, error))
            return false;
        file->mounted = place_obstacle(path) == OBSTACLE_MOUNTED;
    }
    return true;
}

/* By its first page, since no name tells. */
static bool find_hash_index(const Target *target, ListedFile *file, Error *error)
{
    uint8_t page[PAGE_HASH_SIZE];
    char path[PATH_SIZE];
    RelationFile relation;
    size_t size = 0;
    bool found, result;
    int fd;

    if (file->type != FILE_REGULAR || file->size < sizeof(page) ||
        !relpath_parse(target->control.version, file->path, &relation) ||
        relation.fork != FORK_MAIN || relation.segment != 0)
        return true;
    if (!path_join(path, sizeof(path), target->directory, file->path, error) ||
        !file_open_read(path, &fd, &found, error))
        return false;
    if (!found)
        return true;
    result = file_read_at(fd, path, page, sizeof(page), 0, &size, error);
    file_close(fd);
    file->hash_index = result && size == sizeof(page) && page_is_hash_index(page);
    return result;
}

static bool find_hash_indexes(const Target *target, Listing *listing, Error *error)
{
    bool result = true;

    for (size_t i = 0;
         !target->control.version->hash_indexes_logged && result && i < listing->count; i++)
        result = find_hash_index(target, &listing->files[i], error);
    return result;
}

bool listing_of_target(const Target *target, Listing *listing, Error *error)
{
    *listing = (Listing){.strings = arena_create()};
    return target_list(target, collect_file, listing, error) &&
           sort_and_check(listing, "target", error) && find_mounts(target, listing, error) &&
           find_hash_indexes(target, listing, error);
}

void listing_free(Listing *listing)
{
    free(listing->files);
    free(listing->links);
    arena_destroy(listing->strings);
    *listing = (Listing){0};
}

static int compare_path(const void *path, const void *file)
{
    return strcmp(path, ((const ListedFile *) file)->path);
}

static const ListedFile *find_among(const ListedFile *files, size_t count, const char *path)
{
    bool found;
    const size_t index = array_search(path, files, count, sizeof(*files), compare_path, &found);

    return found ? &files[index] : NULL;
}

const ListedFile *listing_find(const Listing *listing, const char *path)
{
    return find_among(listing->files, listing->count, path);
}

static int compare_path_of_link(const void *path, const void *link)
{
    return strcmp(path, ((const ListedLink *) link)->path);
}

const char *listing_link_target(const Listing *listing, const char *path)
{
    bool found;
    const size_t index = array_search(path, listing->links, listing->link_count,
                                      sizeof(*listing->links), compare_path_of_link, &found);

    return found ? listing->links[index].target : NULL;
}

const ListedFile *listing_find_behind(const Listing *listing, const ListedFile *file,
                                      const char *path)
{
    const size_t left = listing->count - (size_t) (file - listing->files);
    size_t step = 1;

    /* Twice as far each time, until one is not before it. */
    while (step < left && strcmp(file[step].path, path) < 0)
        step *= 2;
    return find_among(file + step / 2, (step < left ? step + 1 : left) - step / 2, path);
}
