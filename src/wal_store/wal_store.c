#include "wal_store/wal_store.h"

#include "base/array.h"
#include "base/log.h"
#include "base/workers.h"
#include "format/page.h"
#include "io/file.h"
#include "pair/prerequisites.h"
#include "wal/reader.h"
#include "wal_store/compressed.h"
#include "wal_store/restore.h"

#include <assert.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE_BYTES_READ 512 /* enough of a page's beginning to tell what it is */
#define INCOMING "incoming" /* below the scratch directory: files that are not whole yet */
#define PARTIAL ".partial"
#define FILE_NAME_SIZE (WAL_NAME_SIZE + 16) /* with the longest ending, ".partial.zst" */
#define MISSING_NAMES_SIZE_MAX 1000
#define MISSING_LOOKED_FOR_MAX 100 /* where looking may cost a file's transfer */

/* A segment that is looked for. */
typedef struct WantedWal
{
    Timeline timeline;
    uint64_t segment;
    char name[WAL_NAME_SIZE];
} WantedWal;

/* What a place has. */
typedef struct FoundWal
{
    int fd; /* -1: it does not have the segment */
    Buffer path;
    Buffer why_not; /* a sentence for people, or "" */
} FoundWal;

#define AUTO_FOUND __attribute__((cleanup(found_free)))

struct WalStore
{
    WalStoreOptions options;
    RestoreCommand restore; /* its command: NULL if there is none */
    Lsn common_end;
    Lsn needed_from;
    pthread_mutex_t lock; /* held while a file is fetched; guards all below */
    WantedWal *refused;   /* segments that the restore command did not have */
    size_t refused_count;
    int memory_fd; /* without a scratch directory: what was fetched last; -1: nothing */
    char memory_path[FILE_MEMORY_PATH_SIZE];
    bool command_is_unasked; /* wal_store_set_unasked_command */
};

WalStore *wal_store_create(const WalStoreOptions *options)
{
    WalStore *store = memory_allocate_zeroed(1, sizeof(*store));

    store->options = *options;
    store->restore = (RestoreCommand){.command = options->restore_command,
                                      .data_directory = options->data_directory,
                                      .redo_file_name = options->redo_file_name,
                                      .retry_timeout_seconds = options->retry_timeout_seconds,
                                      .limit_seconds = options->command_limit_seconds};
    store->memory_fd = -1;
    pthread_mutex_init(&store->lock, NULL);
    return store;
}

void wal_store_destroy(WalStore *store)
{
    if (store == NULL)
        return;
    pthread_mutex_destroy(&store->lock);
    file_close(store->memory_fd);
    free(store->refused);
    free(store);
}

void wal_store_set_common_end(WalStore *store, Lsn lsn)
{
    store->common_end = lsn;
}

Lsn wal_store_common_end(const WalStore *store)
{
    return store->common_end;
}

void wal_store_set_unasked_command(WalStore *store, const char *command)
{
    pthread_mutex_lock(&store->lock);
    assert(store->restore.command == NULL);
    store->restore.command = command;
    store->restore.limit_seconds = UNASKED_COMMAND_SECONDS;
    store->command_is_unasked = true;
    pthread_mutex_unlock(&store->lock);
}

void wal_store_set_needed_from(WalStore *store, Lsn lsn)
{
    store->needed_from = lsn;
}

static WantedWal wanted_segment(const WalStore *store, Timeline timeline, uint64_t segment)
{
    WantedWal wanted = {.timeline = timeline, .segment = segment};

    wal_segment_name(&store->options.shape, timeline, segment, wanted.name);
    return wanted;
}

static void found_free(FoundWal *found)
{
    file_close(found->fd);
    buffer_free(&found->path);
    buffer_free(&found->why_not);
}

static void found_close(FoundWal *found)
{
    file_close(found->fd);
    found->fd = -1;
}

/* Does the page at `offset` belong there? In a recycled file it does not. *reason says why. */
static bool check_segment_page(const WalStore *store, const WantedWal *wanted, int fd,
                               uint64_t offset, bool *valid, Error *reason, Error *error)
{
    const WalShape *shape = &store->options.shape;
    uint8_t bytes[WAL_LONG_HEADER_SIZE];
    size_t length;
    WalPage page;

    *valid = false;
    if (!file_read_at(fd, wanted->name, bytes, sizeof(bytes), offset, &length, error))
        return false;
    *valid = walpage_parse(shape, bytes, length, wal_segment_start(shape, wanted->segment) + offset,
                           &page, reason);
    return true;
}

/* Open the file if it holds the segment. */
static bool open_if_valid(const WalStore *store, const WantedWal *wanted, FoundWal *found,
                          Error *error)
{
    const char *path = buffer_string(&found->path);
    bool there, valid, result;
    Error reason;

    if (!file_open_read(path, &found->fd, &there, error))
        return false;
    if (!there)
        return true;
    result = check_segment_page(store, wanted, found->fd, 0, &valid, &reason, error);
    if (valid)
        return true;
    found_close(found);
    if (result)
    {
        log_debug("file \"%s\" does not contain this segment: %s", path, reason.message);
        buffer_clear(&found->why_not);
        buffer_printf(&found->why_not, "\"%s\" is not it: %s.", path, reason.message);
    }
    return result;
}

static bool error_segment_size(const WalStore *store, const char *path, uint64_t size, Error *error)
{
    return error_set(error, ERROR_FAILED, "unexpected file size for \"%s\": %lld instead of %lld",
                     path, (long long) size,
                     (long long) store->options.shape.segment_size); /* contract */
}

/* ---- The clusters' own pg_wal ---- */

static bool open_in_own_pg_wal(WalStore *store, const WantedWal *wanted, FoundWal *found,
                               Error *error)
{
    path_in(&found->path, store->options.wal_directory, wanted->name);
    return open_if_valid(store, wanted, found, error);
}

bool wal_store_keeps(const WalStore *store, Timeline timeline, uint64_t segment)
{
    const WalStoreOptions *options = &store->options;
    const WantedWal wanted = wanted_segment(store, timeline, segment);
    const Lsn begin = wal_segment_start(&options->shape, segment);
    const Lsn end = begin + options->shape.segment_size;
    AUTO_BUFFER Buffer path = {0};
    struct stat status;
    bool found;

    return end <= store->common_end && history_holds(options->history, timeline, begin, end) &&
           file_stat(path_in(&path, options->wal_directory, wanted.name), &status, &found, NULL) &&
           found && S_ISREG(status.st_mode) &&
           (uint64_t) status.st_size == options->shape.segment_size;
}

static bool open_in_kept_pg_wal(WalStore *store, const WantedWal *wanted, FoundWal *found,
                                Error *error)
{
    bool there;

    return !wal_store_keeps(store, wanted->timeline, wanted->segment) ||
           file_open_read(path_in(&found->path, store->options.wal_directory, wanted->name),
                          &found->fd, &there, error);
}

/* What the source has there is its WAL: if it is damaged, no other place makes up for that. */
static bool open_of_source(WalStore *store, const WantedWal *wanted, FoundWal *found, Error *error)
{
    char name[FILE_NAME_SIZE];
    bool there;

    snprintf(name, sizeof(name), "%s%s", store->options.source_prefix, wanted->name);
    return file_open_read(path_in(&found->path, store->options.source_directory, name), &found->fd,
                          &there, error);
}

/* ---- The scratch directory ---- */

static bool open_fetched_before(WalStore *store, const WantedWal *wanted, FoundWal *found,
                                Error *error)
{
    path_in(&found->path, store->options.scratch_directory, wanted->name);
    return open_if_valid(store, wanted, found, error);
}

/*
 * Set *path to where a file is fetched to. Its base name is the segment's (restore commands look at
 * it); it moves up into the scratch directory when it is whole, so that what lies there can be
 * used.
 */
static bool begin_incoming(WalStore *store, const char *name, Buffer *path, Error *error)
{
    AUTO_BUFFER Buffer directory = {0};

    if (store->options.scratch_directory == NULL)
    {
        if (store->memory_fd < 0 && !file_in_memory(&store->memory_fd, store->memory_path, error))
            return false;
        path_in(path, store->memory_path, "");
        return file_truncate(store->memory_fd, store->memory_path, 0, error);
    }
    path_in(&directory, store->options.scratch_directory, INCOMING);
    return file_make_directories(buffer_string(&directory), error) &&
           file_remove(path_in(path, buffer_string(&directory), name), error);
}

static bool remove_incoming(const WalStore *store, Buffer *path, Error *error)
{
    return store->options.scratch_directory == NULL || file_remove(buffer_string(path), error);
}

/* Remove a fetched file that is of no use; its error was reported before. */
static void discard_incoming(const WalStore *store, Buffer *path)
{
    Error error;

    if (!remove_incoming(store, path, &error))
        log_warning("%s", error.message);
}

/* Write the content of the file `from` to the file `to`, which is not there after a failure. */
static bool expand_to(const WalStore *store, Compression compression, const char *from, Buffer *to,
                      uint64_t limit, uint64_t *size, Error *error)
{
    const char *path = buffer_string(to);
    const bool to_memory = store->options.scratch_directory == NULL;
    AUTO_FD int from_fd = -1;
    AUTO_FD int new_fd = -1;
    const bool result =
        file_open_read(from, &from_fd, NULL, error) &&
        (to_memory || file_create(path, &new_fd, error)) &&
        compressed_expand(compression, from_fd, from, to_memory ? store->memory_fd : new_fd, path,
                          limit, size, error);

    if (!result)
        discard_incoming(store, to);
    return result;
}

/*
 * A restore command may have made a link to the archive's own file. What is fetched can become a
 * file of the target's pg_wal, which a server overwrites some day: it must be our own.
 */
static bool copy_foreign_file(const WalStore *store, Buffer *incoming, Error *error)
{
    const char *path = buffer_string(incoming);
    AUTO_BUFFER Buffer copy = {0};
    struct stat status;
    uint64_t size;
    bool found;

    if (!file_lstat(path, &status, &found, error))
        return false;
    if (!found || (S_ISREG(status.st_mode) && status.st_nlink == 1 && status.st_uid == geteuid()))
        return true;
    path_in(&copy, store->options.scratch_directory, INCOMING "/copy");
    return expand_to(store, COMPRESSION_NONE, path, &copy, store->options.shape.segment_size, &size,
                     error) &&
           file_rename(buffer_string(&copy), path, error);
}

/* Take a fetched file, if it is the segment, under that name, and open it. */
static bool accept_incoming(const WalStore *store, const WantedWal *wanted, const char *name,
                            Buffer *incoming, FoundWal *found, Error *error)
{
    const char *path = buffer_string(incoming);
    const bool in_memory = store->options.scratch_directory == NULL;

    path_in(&found->path, path, "");
    if ((!in_memory && !copy_foreign_file(store, incoming, error)) ||
        !open_if_valid(store, wanted, found, error))
        return false;
    if (found->fd < 0)
        return remove_incoming(store, incoming, error);
    if (in_memory)
        return true;
    path_in(&found->path, store->options.scratch_directory, name);
    if (file_set_mode(found->fd, path, file_mode(), error) &&
        file_rename(path, buffer_string(&found->path), error))
        return true;
    found_close(found);
    return false;
}

/* ---- The source, of common history ---- */

static bool fetch_common_history(WalStore *store, const WantedWal *wanted, FoundWal *found,
                                 Error *error)
{
    const WalShape *shape = &store->options.shape;
    const Lsn end = wal_segment_start(shape, wanted->segment) + shape->segment_size;
    AUTO_BUFFER Buffer incoming = {0};
    bool there;

    if (store->options.fetch == NULL || end > store->common_end)
        return true;
    if (!begin_incoming(store, wanted->name, &incoming, error) ||
        !store->options.fetch(store->options.fetch_context, wanted->name, buffer_string(&incoming),
                              &there, error))
        return false;
    if (!there)
        return true;
    log_debug("using file \"%s\" of the source", wanted->name);
    return accept_incoming(store, wanted, wanted->name, &incoming, found, error);
}

/* ---- The archive's directory ---- */

/* Find the file NAME, NAME.gz and so on of the archive. */
static bool find_form(const WalStore *store, const char *name, Compression compression,
                      Buffer *path, bool *there, uint64_t *size, Error *error)
{
    char file_name[FILE_NAME_SIZE];
    struct stat status;

    snprintf(file_name, sizeof(file_name), "%s%s", name, compression_suffix(compression));
    path_in(path, store->options.archive_directory, file_name);
    if (!file_stat(buffer_string(path), &status, there, error))
        return false;
    if (*there && !S_ISREG(status.st_mode))
        return error_set(error, ERROR_FAILED, "\"%s\" is not a regular file", buffer_string(path));
    *size = *there ? (uint64_t) status.st_size : 0;
    return true;
}

/* A compressed file comes to the scratch directory first. A .partial keeps its ending there: other
 * callers that look there may need the whole segment. */
static bool expand_form(WalStore *store, const WantedWal *wanted, const char *name,
                        Compression compression, FoundWal *found, Error *error)
{
    const uint32_t segment_size = store->options.shape.segment_size;
    const bool is_partial = strcmp(name, wanted->name) != 0;
    AUTO_BUFFER Buffer incoming = {0};
    uint64_t size;

    if (!begin_incoming(store, name, &incoming, error) ||
        !expand_to(store, compression, buffer_string(&found->path), &incoming, segment_size, &size,
                   error))
        return false;
    if (size != segment_size && !is_partial)
    {
        discard_incoming(store, &incoming);
        return error_segment_size(store, buffer_string(&found->path), size, error);
    }
    log_debug("using file \"%s\"", buffer_string(&found->path));
    return accept_incoming(store, wanted, name, &incoming, found, error);
}

/* Open the first form that holds the segment, of the name of the segment or of its .partial. */
static bool open_forms(WalStore *store, const WantedWal *wanted, const char *name, FoundWal *found,
                       Error *error)
{
    const uint32_t segment_size = store->options.shape.segment_size;
    const bool is_partial = strcmp(name, wanted->name) != 0;

    for (Compression compression = 0; compression < COMPRESSION_COUNT && found->fd < 0;
         compression++)
    {
        uint64_t size;
        bool there, opened;

        if (!find_form(store, name, compression, &found->path, &there, &size, error))
            return false;
        if (!there)
            continue;
        if (compression != COMPRESSION_NONE)
            opened = expand_form(store, wanted, name, compression, found, error);
        else if (is_partial ? size > segment_size : size != segment_size)
            return error_segment_size(store, buffer_string(&found->path), size, error);
        else
            opened = open_if_valid(store, wanted, found, error);
        if (!opened)
            return false;
    }
    return true;
}

static bool open_in_archive(WalStore *store, const WantedWal *wanted, FoundWal *found, Error *error)
{
    const char *directory = store->options.archive_directory;

    if (directory == NULL)
        return true;
    buffer_printf(&found->why_not, "\"%s\" does not have it.", directory);
    return open_forms(store, wanted, wanted->name, found, error);
}

/* ---- The restore command ---- */

static bool is_refused(const WalStore *store, Timeline timeline, uint64_t segment)
{
    for (size_t i = 0; i < store->refused_count; i++)
        if (store->refused[i].timeline == timeline && store->refused[i].segment == segment)
            return true;
    return false;
}

/* The command failed, or what it fetched is no segment. That ends the run if it was asked for. */
static bool give_up_command(WalStore *store, const Error *failure, Error *error)
{
    if (!store->command_is_unasked)
        return error_copy(error, failure);
    if (!stop_check(error))
        return false;
    log_warning("%s", failure->message);
    log_detail("The target's own \"restore_command\" is not asked again.");
    store->restore.command = NULL;
    return true;
}

/* Take what the command has written. A file of another size is a sign of something broken. */
static bool accept_restored(const WalStore *store, const WantedWal *wanted, Buffer *incoming,
                            FoundWal *found, Error *error)
{
    struct stat status;
    bool there;

    if (!file_stat(buffer_string(incoming), &status, &there, error))
        return false;
    if (there && status.st_size != (off_t) store->options.shape.segment_size)
        return error_segment_size(store, buffer_string(incoming), (uint64_t) status.st_size, error);
    return accept_incoming(store, wanted, wanted->name, incoming, found, error);
}

static bool restore_segment(WalStore *store, const WantedWal *wanted, FoundWal *found, Error *error)
{
    AUTO_BUFFER Buffer incoming = {0};
    char outcome[RESTORE_OUTCOME_SIZE];
    bool ended_well;
    Error failure;

    if (store->restore.command == NULL || is_refused(store, wanted->timeline, wanted->segment))
        return true;
    if (!begin_incoming(store, wanted->name, &incoming, error))
        return false;
    if (!restore_run(&store->restore, wanted->name, buffer_string(&incoming), &ended_well, outcome,
                     &failure) ||
        (ended_well && !accept_restored(store, wanted, &incoming, found, &failure)))
    {
        discard_incoming(store, &incoming);
        return give_up_command(store, &failure, error);
    }
    if (found->fd >= 0)
    {
        log_debug("using file \"%s\" restored from archive", wanted->name); /* contract */
        return true;
    }
    if (!ended_well)
        buffer_printf(&found->why_not,
                      "the restore command did not give it: %s. (It was to write to \"%s\". A "
                      "command that makes another file beside that cannot be tried so.)",
                      outcome, buffer_string(&incoming));
    ARRAY_GROW(store->refused, store->refused_count);
    store->refused[store->refused_count++] = *wanted;
    return remove_incoming(store, &incoming, error);
}

/* ---- The start of a segment ---- */

/* The WAL of one segment's file and no other. */
typedef struct LoneSegment
{
    uint64_t segment;
    const char *path;
} LoneSegment;

/* A WalOpen. */
static bool open_lone_segment(void *context, Timeline timeline, uint64_t segment, int *fd,
                              bool *found, Error *error)
{
    const LoneSegment *lone = context;

    (void) timeline;
    *fd = -1;
    *found = false;
    return segment != lone->segment || file_open_read(lone->path, fd, found, error);
}

/* May what this .partial file holds be taken for the segment? (wal_store.h has the reasons.) */
static bool check_partial(const WalStore *store, const WantedWal *wanted, const char *path,
                          bool *good, Error *error)
{
    const WalStoreOptions *options = &store->options;
    LoneSegment lone = {wanted->segment, path};
    const WalStream stream = {.shape = options->shape,
                              .data_block_size = options->data_block_size,
                              .history = options->history,
                              .open = open_lone_segment,
                              .context = &lone};
    WalSegmentFacts facts;

    *good = options->last_needed != LSN_INVALID &&
            wanted->segment >= wal_segment_of(&options->shape, options->last_needed);
    if (*good)
        return true;
    if (!wal_read_segment(&stream, wanted->segment, LSN_INVALID, wal_ignore_record, NULL, &facts,
                          error))
        return false;
    /* Its last record may end in the next one. */
    *good = facts.end == WAL_SEGMENT_COMPLETE ||
            (facts.end == WAL_SEGMENT_MISSING && facts.missing_segment != wanted->segment);
    return true;
}

static bool open_partial(WalStore *store, const WantedWal *wanted, FoundWal *found, Error *error)
{
    char name[FILE_NAME_SIZE];
    bool good = false, result;

    if (store->options.archive_directory == NULL)
        return true;
    snprintf(name, sizeof(name), "%s" PARTIAL, wanted->name);
    path_in(&found->path, store->options.scratch_directory, name); /* it was fetched before */
    if (!open_if_valid(store, wanted, found, error) ||
        (found->fd < 0 && !open_forms(store, wanted, name, found, error)))
        return false;
    if (found->fd < 0)
        return true;
    result = check_partial(store, wanted, buffer_string(&found->path), &good, error);
    if (good)
        log_debug("using file \"%s\"", buffer_string(&found->path));
    else
        found_close(found);
    return result;
}

/* ---- All places ---- */

/* own: its segments are a cluster's own, however new, and looking costs nothing. */
static const struct WalPlaceRow
{
    bool (*open)(WalStore *store, const WantedWal *wanted, FoundWal *found, Error *error);
    bool own;
} place_rows[] = {
    [WAL_IN_OWN_PG_WAL] = {open_in_own_pg_wal, true},
    [WAL_IN_KEPT_PG_WAL] = {open_in_kept_pg_wal, true},
    [WAL_OF_SOURCE] = {open_of_source, true},
    [WAL_FETCHED_BEFORE] = {open_fetched_before, false},
    [WAL_OF_COMMON_HISTORY] = {fetch_common_history, false},
    [WAL_IN_ARCHIVE] = {open_in_archive, false},
    [WAL_BY_COMMAND] = {restore_segment, false},
    [WAL_IN_PARTIAL] = {open_partial, false},
};

static bool is_after_known_end(const WalStore *store, uint64_t segment)
{
    const Lsn known_end = store->options.known_end;

    return known_end != LSN_INVALID &&
           wal_segment_start(&store->options.shape, segment) >= known_end;
}

/* Ask the places of one kind in order. */
static bool ask_places(WalStore *store, const WantedWal *wanted, bool own, FoundWal *found,
                       Error *error)
{
    bool good = true;

    for (const WalPlace *place = store->options.places;
         good && found->fd < 0 && *place != WAL_PLACES_END; place++)
        if (place_rows[*place].own == own)
            good = place_rows[*place].open(store, wanted, found, error);
    return good;
}

/* Under the lock: several workers may want the same file. */
static bool ask_archives(WalStore *store, const WantedWal *wanted, FoundWal *found, Error *error)
{
    bool good;

    if (is_after_known_end(store, wanted->segment))
        return true;
    pthread_mutex_lock(&store->lock);
    good = ask_places(store, wanted, false, found, error);
    pthread_mutex_unlock(&store->lock);
    return good;
}

/* The caller closes what was found. */
static bool give_fd(FoundWal *found, int *fd, bool *there)
{
    *fd = found->fd;
    *there = found->fd >= 0;
    found->fd = -1;
    return true;
}

bool wal_store_open_own(void *store, Timeline timeline, uint64_t segment, int *fd, bool *found,
                        Error *error)
{
    const WantedWal wanted = wanted_segment(store, timeline, segment);
    AUTO_FOUND FoundWal file = {.fd = -1};

    *fd = -1;
    return ask_places(store, &wanted, true, &file, error) && give_fd(&file, fd, found);
}

bool wal_store_open_archived(void *store, Timeline timeline, uint64_t segment, int *fd, bool *found,
                             Error *error)
{
    const WantedWal wanted = wanted_segment(store, timeline, segment);
    AUTO_FOUND FoundWal file = {.fd = -1};

    *fd = -1;
    return ask_archives(store, &wanted, &file, error) && give_fd(&file, fd, found);
}

bool wal_store_open(void *store, Timeline timeline, uint64_t segment, int *fd, bool *found,
                    Error *error)
{
    return wal_store_open_own(store, timeline, segment, fd, found, error) &&
           (*found || wal_store_open_archived(store, timeline, segment, fd, found, error));
}

bool wal_store_find(WalStore *store, Timeline timeline, uint64_t segment, Buffer *path, bool *found,
                    Error *error)
{
    const WantedWal wanted = wanted_segment(store, timeline, segment);
    AUTO_FOUND FoundWal file = {.fd = -1};

    if (!ask_places(store, &wanted, true, &file, error) ||
        (file.fd < 0 && !ask_archives(store, &wanted, &file, error)))
        return false;
    *found = file.fd >= 0;
    path_in(path, buffer_string(&file.path), "");
    return true;
}

bool wal_store_has(WalStore *store, Timeline timeline, uint64_t segment, Arena *arena,
                   const char **how)
{
    const WantedWal wanted = wanted_segment(store, timeline, segment);

    assert(store->options.scratch_directory == NULL);
    *how = "";
    for (const WalPlace *place = store->options.places; *place != WAL_PLACES_END; place++)
    {
        AUTO_FOUND FoundWal found = {.fd = -1};
        Error error;

        if (!place_rows[*place].open(store, &wanted, &found, &error))
            *how = arena_printf(arena, "%s.", error.message);
        else if (found.fd < 0 && found.why_not.size > 0)
            *how = arena_strdup(arena, buffer_string(&found.why_not));
        else if (found.fd >= 0)
        {
            *how = *place == WAL_BY_COMMAND
                       ? "the restore command gives it."
                       : arena_printf(arena, "\"%s\" has it.", store->options.archive_directory);
            return true;
        }
    }
    return false;
}

/* Fetch it from the first place that has it. */
static bool fetch_archived_file(WalStore *store, const char *name, Buffer *incoming, size_t limit,
                                bool *found, Error *error)
{
    char outcome[RESTORE_OUTCOME_SIZE];
    AUTO_BUFFER Buffer path = {0};
    uint64_t size;

    *found = false;
    for (Compression compression = 0;
         compression < COMPRESSION_COUNT && store->options.archive_directory != NULL; compression++)
    {
        if (!find_form(store, name, compression, &path, found, &size, error))
            return false;
        if (*found)
            return expand_to(store, compression, buffer_string(&path), incoming, limit, &size,
                             error);
    }
    return store->restore.command == NULL ||
           restore_run(&store->restore, name, buffer_string(incoming), found, outcome, error);
}

bool wal_store_read_file(WalStore *store, const char *name, size_t limit, Buffer *buffer,
                         bool *found, Error *error)
{
    AUTO_BUFFER Buffer incoming = {0};
    bool result;

    *found = false;
    if (store->options.archive_directory == NULL && store->restore.command == NULL)
        return true;
    pthread_mutex_lock(&store->lock);
    result = begin_incoming(store, name, &incoming, error) &&
             fetch_archived_file(store, name, &incoming, limit, found, error) &&
             (!*found || file_read_all(buffer_string(&incoming), limit, buffer, found, error)) &&
             remove_incoming(store, &incoming, error);
    pthread_mutex_unlock(&store->lock);
    if (result && *found)
        log_debug("using file \"%s\" restored from archive", name); /* contract */
    return result;
}

/* ---- What is missing ---- */

/*
 * True, with the reason, if the file is in pg_wal nevertheless, and its first page is damaged: then
 * its second page is this segment's. In a recycled file it is not, nor in one that was made in
 * advance.
 */
static bool is_damaged(const WalStore *store, const WantedWal *wanted, Error *reason)
{
    AUTO_BUFFER Buffer path = {0};
    bool found, first, second;
    AUTO_FD int fd = -1;

    path_in(&path, store->options.wal_directory, wanted->name);
    return file_open_read(buffer_string(&path), &fd, &found, NULL) && found &&
           check_segment_page(store, wanted, fd, 0, &first, reason, NULL) && !first &&
           check_segment_page(store, wanted, fd, store->options.shape.block_size, &second, NULL,
                              NULL) &&
           second;
}

/* Read the start of a file; false if it is not there or has less. */
static bool read_start(const char *directory, const char *name, uint8_t bytes[PAGE_BYTES_READ])
{
    AUTO_BUFFER Buffer path = {0};
    AUTO_FD int fd = -1;
    size_t size;
    bool found;

    path_in(&path, directory, name);
    return file_open_read(buffer_string(&path), &fd, &found, NULL) && found &&
           file_read_at(fd, name, bytes, PAGE_BYTES_READ, 0, &size, NULL) &&
           size == PAGE_BYTES_READ;
}

/* A file of that name in pg_wal that is not this segment: say what it is. */
static void describe_recycled_segment(const WalStore *store, const WantedWal *wanted, Error *error)
{
    char what[WAL_DESCRIPTION_SIZE];
    uint8_t bytes[PAGE_BYTES_READ];

    if (!read_start(store->options.wal_directory, wanted->name, bytes))
        return;
    walpage_describe(&store->options.shape, bytes, sizeof(bytes), what);
    error_detail(error, "There is a file of that name, but it %s.", what);
}

/*
 * Do the target's relations look like PostgreSQL's? pg_class of the first database, which every
 * cluster has, unless it was rewritten.
 */
static void hint_at_encryption(const WalStore *store, Error *error)
{
    uint8_t page[PAGE_BYTES_READ];

    if (read_start(store->options.data_directory, "base/1/1259", page) &&
        !page_has_header(page, store->options.data_block_size))
        error_detail(error, "The target's relations (base/1/1259) do not look like PostgreSQL's "
                            "either: encrypted clusters of its forks cannot be read.");
}

/* Is this segment anywhere? What is fetched to answer that is removed: the run is over. */
static bool is_somewhere(WalStore *store, const WantedWal *wanted, int *looked_for, bool *found)
{
    AUTO_BUFFER Buffer path = {0};
    AUTO_FD int fd = -1;

    if (!wal_store_open_own(store, wanted->timeline, wanted->segment, &fd, found, NULL))
        return false;
    if (*found)
        return true;
    (*looked_for)++;
    if (!wal_store_find(store, wanted->timeline, wanted->segment, &path, found, NULL))
        return false;
    return store->options.scratch_directory == NULL ||
           file_remove(path_in(&path, store->options.scratch_directory, wanted->name), NULL);
}

bool wal_missing_add(Buffer *names, const char *name)
{
    const bool enough = names->size > MISSING_NAMES_SIZE_MAX;

    buffer_printf(names, "%s%s", names->size > 0 ? ", " : "", enough ? "..." : name);
    return !enough;
}

static Timeline timeline_of(const WalStore *store, const WantedWal *wanted, uint64_t segment)
{
    const WalStoreOptions *options = &store->options;

    return segment == wanted->segment
               ? wanted->timeline
               : history_timeline_of_segment(options->history,
                                             wal_segment_start(&options->shape, segment),
                                             wal_segment_start(&options->shape, segment + 1));
}

/*
 * All segments that are nowhere, from the first that is known to be needed to the last that the
 * target is known to have had. Which checkpoint is the last common one is not known yet: if the
 * first of these is missing, it may lie before.
 */
static void list_missing(WalStore *store, const WantedWal *wanted, Error *error)
{
    const WalShape *shape = &store->options.shape;
    const Lsn known_end = store->options.known_end;
    uint64_t first = wanted->segment, last = wanted->segment;
    bool lowest_missing = false, found = true, more = true;
    AUTO_BUFFER Buffer names = {0};
    int looked_for = 0;

    if (store->needed_from != 0 && wal_segment_of(shape, store->needed_from) < first)
        first = wal_segment_of(shape, store->needed_from);
    if (known_end != LSN_INVALID && wal_segment_before(shape, known_end) > last)
        last = wal_segment_before(shape, known_end);
    for (uint64_t segment = first; more && segment <= last; segment++)
    {
        const WantedWal other = wanted_segment(store, timeline_of(store, wanted, segment), segment);
        const bool asked_for = segment == wanted->segment;

        if (looked_for > MISSING_LOOKED_FOR_MAX ||
            (!asked_for &&
             (!stop_check(NULL) || !is_somewhere(store, &other, &looked_for, &found))))
        {
            buffer_printf(&names, "%s...", names.size > 0 ? ", " : "");
            break;
        }
        if (!asked_for && found)
            continue;
        more = wal_missing_add(&names, other.name);
        lowest_missing = lowest_missing || segment == first;
    }
    error_detail(error, "Missing: %s.%s", buffer_string(&names),
                 lowest_missing ? " Older ones may be needed as well." : "");
}

bool error_missing_in_wal_store(void *context, Timeline timeline, uint64_t segment, Error *error)
{
    WalStore *store = context;
    const WalShape *shape = &store->options.shape;
    const WantedWal wanted = wanted_segment(store, timeline, segment);
    char text[LSN_TEXT_SIZE];
    Error reason;
    const bool damaged = is_damaged(store, &wanted, &reason);

    if (damaged)
        error_set(error, ERROR_FAILED, "WAL is damaged at %s in segment \"%s\": %s",
                  lsn_text(shape->version, wal_segment_start(shape, segment), text), wanted.name,
                  reason.message);
    else
        error_set(error, ERROR_FAILED,
                  "could not open file \"%s/%s/%s\": No such file or directory",
                  store->options.data_directory, shape->version->wal_directory,
                  wanted.name); /* contract */
    if (!damaged)
    {
        describe_recycled_segment(store, &wanted, error);
        hint_at_encryption(store, error);
    }
    if (is_refused(store, timeline, segment))
        error_detail(error, "could not restore file \"%s\" from archive", wanted.name);
    if (!damaged)
        list_missing(store, &wanted, error);
    if (store->options.restore_command != NULL)
        error_hint_compare(error);
    else
        error_hint(error, "Put the files there, or let pg_rewind fetch them: --wal-archive, "
                          "--restore-command, or --restore-target-wal for the target's own "
                          "\"restore_command\". --compare needs none of them.");
    return error_remedy(error, REMEDY_WAL);
}
