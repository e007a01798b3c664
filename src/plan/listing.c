#include "plan/listing.h"

#include "base/array.h"
#include "base/workers.h"
#include "format/page.h"
#include "io/dir.h"
#include "io/file.h"
#include "io/place.h"
#include "source/directory.h"
#include "target/unsynced.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SERVERS_DIRECTORY "PG_" /* begins the name of a server's own directory in a tablespace */

/* ---- Followed links of a directory on this machine ---- */

/* A directory or link that a followed link passes on its way, or a directory that it leads to. */
typedef struct LinkStep
{
    const char *link;
    Place place;
    bool is_end;
} LinkStep;

/* A listing while its files are collected. */
typedef struct Collector
{
    Listing *listing;
    const Version *version;
    const char *side; /* "source" or "target", for messages */
    const char *link; /* the link that is being followed */
    LinkStep *steps;
    size_t step_count;
} Collector;

/* Add the server's own directories in a tablespace as ends of its link: the location may be a
 * directory that holds other files, even the data directory itself. */
static bool add_servers_directories(Collector *collector, const char *link, const char *location,
                                    Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();
    const char **names;
    bool found;

    if (!dir_list(location, arena, &names, &found, error))
        return false;
    for (; *names != NULL; names++)
    {
        LinkStep step = {.link = link, .is_end = true};

        if (strncmp(*names, SERVERS_DIRECTORY, strlen(SERVERS_DIRECTORY)) == 0 &&
            place_find(arena_printf(arena, "%s/%s", location, *names), &step.place, &found, NULL) &&
            found && step.place.is_directory)
            ARRAY_ADD(collector->steps, collector->step_count, step);
    }
    return true;
}

/* Fails if another link leads to the same directory: its files would be listed below both. */
static bool add_end(Collector *collector, const char *link, const Place *place, Error *error)
{
    for (size_t i = 0; i < collector->step_count; i++)
    {
        const LinkStep *other = &collector->steps[i];

        if (!other->is_end || !place_same(&other->place, place))
            continue;
        error_set(error, ERROR_FAILED, "\"%s\" and \"%s\" of the %s lead to one directory",
                  other->link, link, collector->side);
        return error_hint(error, "Remove the link that its server does not need: the one that is "
                                 "not in pg_tablespace.");
    }
    ARRAY_ADD(collector->steps, collector->step_count, (LinkStep){link, *place, true});
    return true;
}

/* A PlaceVisitor: add a step of the link that is followed. */
static bool add_step(void *context, const char *path, const struct stat *status, Error *error)
{
    Collector *collector = context;
    const Place place = {.device = status->st_dev,
                         .inode = status->st_ino,
                         .is_directory = S_ISDIR(status->st_mode)};

    (void) path;
    (void) error;
    ARRAY_ADD(collector->steps, collector->step_count, (LinkStep){collector->link, place, false});
    return true;
}

/* Add the steps of a link that the server follows. A link that cannot be read or followed is no
 * error here: the walk of the directory reports it. */
static bool add_link(Collector *collector, const char *directory, const char *name, Error *error)
{
    AUTO_BUFFER Buffer buffer = {0}, target = {0};
    const char *path = path_in(&buffer, directory, name);
    const char *link = arena_strdup(collector->listing->strings, name);
    const size_t before = collector->step_count;
    AUTO_BUFFER Buffer way = {0};
    bool is_complete, found;
    Place end;

    if (!file_read_link(path, &target, NULL))
        return true;
    if (buffer_string(&target)[0] != '/')
    {
        buffer_append(&way, path, path_parent_length(path));
        buffer_append_u8(&way, '/');
    }
    buffer_append_string(&way, buffer_string(&target));
    collector->link = link;
    is_complete = place_walk(buffer_string(&way), add_step, collector, &found, NULL) && found;
    if (collector->step_count == before)
        return true;
    end = collector->steps[--collector->step_count].place; /* the last step is the link's end */
    return !is_complete || !end.is_directory || !place_can_be_read(path) ||
           (add_end(collector, link, &end, error) &&
            (!relpath_is_tablespace(name) ||
             add_servers_directories(collector, link, path, error)));
}

static bool find_links(Collector *collector, const char *directory, Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();
    const char **names;
    bool found;

    if (!add_link(collector, directory, collector->version->wal_directory, error))
        return false;
    if (!dir_list(arena_printf(arena, "%s/pg_tblspc", directory), arena, &names, &found, NULL))
        return true;
    for (; *names != NULL; names++)
    {
        const char *name = arena_printf(arena, "pg_tblspc/%s", *names);

        if (relpath_is_tablespace(name) && !add_link(collector, directory, name, error))
            return false;
    }
    return true;
}

/* True for a directory that every cluster has, or of a database. Such a directory is no second
 * name: its files are listed under this path, whatever link leads there. */
static bool is_servers_directory(const Version *version, const char *path)
{
    const char *slash = strrchr(path, '/');

    return path_server_reads(version, path) &&
           (slash == NULL || slash[1 + strspn(slash + 1, "0123456789")] == '\0');
}

/* Note that the directory or link at this path is a second name, or is passed by a followed link.
 * path lives as long as the listing. */
static void note_names(const Collector *collector, const VisitedFile *file, const char *path)
{
    Listing *listing = collector->listing;

    if (collector->step_count == 0 || file->device == 0 ||
        (file->type != FILE_DIRECTORY && file->type != FILE_LINK))
        return;
    for (size_t i = 0; i < collector->step_count; i++)
    {
        const LinkStep *step = &collector->steps[i];

        if (step->place.device != file->device || step->place.inode != file->inode ||
            path_is_within(step->link, path))
            continue;
        if (!step->is_end)
            ARRAY_ADD(listing->passed, listing->passed_count, (SecondName){path, step->link});
        else if (!is_servers_directory(collector->version, path))
            ARRAY_ADD(listing->seconds, listing->second_count, (SecondName){path, step->link});
    }
}

/* ---- Collecting ---- */

/* True if the path lies below a second name, but is not a second name itself. */
static bool is_below_second(const Listing *listing, const char *path)
{
    const SecondName *second =
        path_find_above(listing->seconds, listing->second_count, sizeof(*listing->seconds), path);

    return second != NULL && strcmp(second->path, path) != 0;
}

/* Drop files and links below second names: they are listed below the link already. */
static void drop_below_second_names(Listing *listing)
{
    size_t files = 0, links = 0;

    if (listing->second_count == 0)
        return;
    ARRAY_SORT(listing->seconds, listing->second_count, compare_strings);
    for (size_t i = 0; i < listing->count; i++)
    {
        if (!is_below_second(listing, listing->files[i].path))
            listing->files[files++] = listing->files[i];
        else
            listing->total_size -= listing->files[i].size;
    }
    for (size_t i = 0; i < listing->link_count; i++)
    {
        if (!is_below_second(listing, listing->links[i].path))
            listing->links[links++] = listing->links[i];
    }
    listing->count = files;
    listing->link_count = links;
}

static bool collect_file(void *context, const VisitedFile *file, Error *error)
{
    const Collector *collector = context;
    Listing *listing = collector->listing;
    const bool is_regular = file->type == FILE_REGULAR;
    bool is_new_device = file->type != FILE_OTHER && file->device != 0;
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
                  .tried = file->tried,
              });
    for (size_t i = 0; i < listing->file_system_count; i++)
        is_new_device = is_new_device && listing->file_systems[i].device != file->device;
    /* A directory is listed before what is in it, so that a file stands here only if it is a
     * mount. */
    if (is_new_device)
        ARRAY_ADD(listing->file_systems, listing->file_system_count,
                  (ListedFileSystem){.path = path, .device = file->device});
    if (is_regular)
        listing->total_size += file->size;
    note_names(collector, file, path);
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

        if (!path_parent_next(&last, path) || last.length == 0)
            continue;
        parent = path_find(listing->files, listing->count, sizeof(*parent), path, last.length);
        if (parent == NULL || (parent->type != FILE_DIRECTORY &&
                               !(parent->type == FILE_LINK && relpath_is_tablespace(parent->path))))
            return error_set(error, ERROR_FAILED,
                             "%s file \"%s\" is not in a directory that was listed", side, path);
    }
    return true;
}

static bool sort_and_check(const Collector *collector, Error *error)
{
    Listing *listing = collector->listing;
    const char *side = collector->side;

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
    drop_below_second_names(listing);
    return check_listed_parents(listing, side, error);
}

bool listing_of_source(Source *source, const Version *version, Listing *listing, Error *error)
{
    Collector collector = {.listing = listing, .version = version, .side = "source"};
    bool ok;

    *listing = (Listing){.strings = arena_create()};
    ok = (source->directory == NULL || find_links(&collector, source->directory, error)) &&
         source->operations->list(source, version, collect_file, &collector, error) &&
         sort_and_check(&collector, error);
    free(collector.steps);
    return ok;
}

const ListedLink *listing_missing_tablespace(const Listing *listing, const VersionDirectory *own)
{
    for (size_t i = 0; i < listing->link_count; i++)
    {
        AUTO_BUFFER Buffer directory = {0};
        const ListedLink *link = &listing->links[i];

        if (relpath_is_tablespace(link->path) &&
            listing_find(listing, path_in(&directory, link->path, own->name)) == NULL)
            return link;
    }
    return NULL;
}

bool listing_check_complete(const Listing *listing, const Version *version,
                            const VersionDirectory *own, Error *error)
{
    const char *const directories[] = {"base",
                                       "global",
                                       "pg_multixact",
                                       "pg_tblspc",
                                       version->wal_directory,
                                       version->xact_directory};
    const ListedFile *file = listing_find(listing, "PG_VERSION");
    AUTO_BUFFER Buffer directory = {0};
    const ListedLink *missing;

    if (file == NULL || file->type != FILE_REGULAR)
        return error_set(error, ERROR_FAILED, "source file list lacks \"PG_VERSION\"");
    for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++)
    {
        const ListedFile *found = listing_find(listing, directories[i]);

        if (found == NULL || found->type != FILE_DIRECTORY)
            return error_set(error, ERROR_FAILED, "source file list lacks \"%s\"", directories[i]);
    }
    missing = listing_missing_tablespace(listing, own);
    if (missing == NULL)
        return true;
    error_set(error, ERROR_FAILED,
              "tablespace \"%s\" of the source is missing: nothing is in \"%s\"", missing->path,
              path_in(&directory, missing->target, own->name));
    error_detail(error, "By this list the target would have no file of this tablespace either.");
    return error_hint(error,
                      "Mount its volume on the source's host, then run pg_rewind again. If it "
                      "is lost, drop the tablespace there; if pg_tablespace does not have "
                      "it, remove the link.");
}

/* True if a file with this name, or NULL for any name, lies below the directory. */
static bool has_file_below(const Listing *listing, const char *directory, const char *name)
{
    for (size_t i = 0; i < listing->count; i++)
    {
        const ListedFile *file = &listing->files[i];

        if (file->type == FILE_REGULAR && path_is_within(directory, file->path) &&
            (name == NULL || strcmp(strrchr(file->path, '/') + 1, name) == 0))
            return true;
    }
    return false;
}

bool listing_check_mounted(const Listing *listing, const Version *version, Error *error)
{
    if (!has_file_below(listing, "base", "PG_VERSION"))
        error_set(error, ERROR_FAILED, "directory \"base\" of the source has no databases");
    else if (!has_file_below(listing, version->xact_directory, NULL))
        error_set(error, ERROR_FAILED, "directory \"%s\" of the source has no transaction states",
                  version->xact_directory);
    else
        return true;
    error_detail(error, "By this list the target would have none either.");
    return error_hint(error,
                      "If it is a separate volume, mount it, then run pg_rewind again. If "
                      "all databases of the source lie in tablespaces, start its server, and "
                      "name it with --source-server.");
}

/* A mount of a server's file is not looked for: the file cannot be left alone. */
static void find_mount(const Target *target, const Place *root, ListedFile *file)
{
    AUTO_BUFFER Buffer path = {0};

    if ((file->type == FILE_REGULAR || file->type == FILE_DIRECTORY) &&
        !path_server_reads(target->control.version, file->path))
        file->mounted =
            place_is_mounted(path_in(&path, target->directory, file->path), root->device);
}

/* Set hash_index by the file's first page, since no name of a file shows an index's type. */
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
    const Version *version = target->control.version;
    Collector collector = {.listing = listing, .version = version, .side = "target"};
    Place root;
    bool ok, found;

    *listing = (Listing){.strings = arena_create()};
    ok = place_find(target->directory, &root, &found, error) &&
         find_links(&collector, target->directory, error) &&
         data_directory_list(target->directory, version, true, collect_file, &collector, error) &&
         sort_and_check(&collector, error);
    free(collector.steps);
    if (!ok)
        return false;
    for (size_t i = 0; i < listing->count; i++)
    {
        find_mount(target, &root, &listing->files[i]);
        if (!target->control.version->hash_indexes_logged &&
            !find_hash_index(target, &listing->files[i], error))
            return false;
    }
    return true;
}

/* ---- Syncing ---- */

bool listing_to_sync(const char *directory, const Version *version, Listing *listing, Error *error)
{
    Collector collector = {.listing = listing, .version = version, .side = "target"};

    *listing = (Listing){.strings = arena_create()};
    return data_directory_list(directory, version, true, collect_file, &collector, error);
}

bool listing_watch(const Listing *listing, const char *directory, Written *written, Error *error)
{
    AUTO_BUFFER Buffer path = {0};

    for (size_t i = 0; i < listing->file_system_count; i++)
    {
        const char *local = path_in(&path, directory, listing->file_systems[i].path);

        if (place_can_be_read(local) && !written_watch(written, local, error))
            return false;
    }
    return true;
}

/* Item 0 is the directory itself, the others are what is listed. */
static bool sync_item(const FoundFiles *found, size_t item, Error *error)
{
    const ListedFile *file;
    AUTO_BUFFER Buffer path = {0};

    if (item == 0)
        return file_sync_path(found->directory, error);
    file = &found->listing->files[item - 1];
    return file->type == FILE_OTHER ||
           (file->type == FILE_LINK && !relpath_is_tablespace(file->path)) ||
           file_sync_readable(path_in(&path, found->directory, file->path), error);
}

/* Note that this file of `found` could not be synced, if so. */
static bool note_unsynced(const FoundFiles *found, bool synced, Error *error)
{
    if (!synced)
        unsynced_note_at_once(found->directory, error);
    return synced;
}

/* A WorkerFunction. */
static bool sync_found_file(void *context, size_t item, Error *error)
{
    const FoundFiles *found = context;

    return note_unsynced(found, sync_item(found, item, error), error);
}

/* A WorkerFunction. */
static bool sync_found_staged(void *context, size_t item, Error *error)
{
    const FoundFiles *found = context;

    return note_unsynced(found, file_sync_path(found->staged[item], error), error);
}

bool listing_sync(const FoundFiles *found, Written *written, SyncMethod method, int jobs,
                  Error *error)
{
    FoundFiles files = *found;
    bool ok;

    unsynced_begin();
    if (method != SYNC_EACH_FILE && written_syncs_whole(written))
        ok = written_sync_file_systems(written, error);
    else
        ok = workers_run(jobs, 1 + files.listing->count, sync_found_file, &files, error) &&
             workers_run(jobs, files.staged_count, sync_found_staged, &files, error);
    return unsynced_end(found->directory, ok, error);
}

bool listing_drop_cached(const Target *target, Error *error)
{
    AUTO_BUFFER Buffer path = {0};
    Listing listing;
    const bool ok = listing_to_sync(target->directory, target->control.version, &listing, error);

    for (size_t i = 0; ok && i < listing.count; i++)
        if (listing.files[i].type == FILE_REGULAR)
            file_drop_cached(path_in(&path, target->directory, listing.files[i].path));
    listing_free(&listing);
    return ok;
}

/* ---- Looking up ---- */

void listing_free(Listing *listing)
{
    free(listing->files);
    free(listing->links);
    free(listing->file_systems);
    free(listing->seconds);
    free(listing->passed);
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

const ListedFile *listing_find_after(const Listing *listing, const ListedFile *file,
                                     const char *path)
{
    const size_t left = listing->count - (size_t) (file - listing->files);
    size_t step = 1;

    /* Double the step until the file there does not sort before the path. */
    while (step < left && strcmp(file[step].path, path) < 0)
        step *= 2;
    return path_find(file + step / 2, (step < left ? step + 1 : left) - step / 2, sizeof(*file),
                     path, strlen(path));
}

void listing_add_new_places(const Listing *source, const Target *owner, Listing *target)
{
    for (size_t i = 0; i < source->link_count; i++)
    {
        const ListedLink *link = &source->links[i];
        const char *path = place_below(link->target, owner->directory);

        if (path == NULL || path[0] == '\0' || !relpath_is_tablespace(link->path) ||
            listing_find(target, link->path) != NULL)
            continue;
        if (!is_servers_directory(owner->control.version, path))
            ARRAY_ADD(target->seconds, target->second_count, (SecondName){path, link->path});
        for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/'))
            ARRAY_ADD(target->passed, target->passed_count,
                      (SecondName){arena_strndup(target->strings, path, (size_t) (slash - path)),
                                   link->path});
    }
    drop_below_second_names(target);
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
