#include "wal_store/wal_store.h"

#include "base/array.h"
#include "base/log.h"
#include "base/workers.h"
#include "wal_store/compressed.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define INCOMING                                                                                   \
    "incoming" /* directory below the scratch directory, for files that are not whole */
#define PARTIAL ".partial"
#define FILE_NAME_SIZE (WAL_NAME_SIZE + 16) /* has room for the longest suffix, ".partial.zst" */

/* The segment that places are asked for. */
typedef struct WantedWal
{
    uint64_t segment;
    char name[WAL_NAME_SIZE];
} WantedWal;

/* A place's answer. */
typedef struct FoundWal
{
    int fd;              /* segment's file, open for reading; -1: the place does not have it */
    Buffer path;         /* path of the file, or of the file that was looked for last */
    Buffer why_not;      /* sentence on why the place does not have the segment; may be "" */
    const char *archive; /* directory of --wal-archive asked last; NULL: none was asked */
} FoundWal;

#define AUTO_FOUND __attribute__((cleanup(found_free)))

static WalSpan span_of(const WalStore *store, uint64_t segment)
{
    return wal_span_of(&store->stream.shape, &store->limits, segment);
}

WalStore wal_store_template(WalStoreKind kind, const Options *options, const Clusters *clusters,
                            const char *restore_command, Scratch *scratch, Arena *arena)
{
    const Target *target = &clusters->target;
    const Control *control = &target->control;
    char *redo_name = arena_allocate(arena, WAL_NAME_SIZE);
    WalStore store;

    wal_segment_name(&clusters->shape, control->checkpoint.timeline,
                     wal_segment_of(&clusters->shape, control->checkpoint.redo), redo_name);
    store = (WalStore){
        .kind = kind,
        .stream = {.shape = clusters->shape,
                   .data_block_size = control->block_size,
                   .history = &clusters->target_history},
        .data_directory = target->directory,
        .wal_directory =
            arena_printf(arena, "%s/%s", target->directory, control->version->wal_directory),
        .scratch = scratch,
        .restore = {.command = restore_command,
                    .data_directory = target->directory,
                    .redo_file_name = redo_name,
                    .retry_timeout_seconds = options->retry_timeout_seconds,
                    .limit_seconds = options->restore_limit_seconds},
        .limits = wal_limits_of(control),
        .unasked_failure = options->unasked_failure,
        .server_environment = target->environment,
    };
    if (target->has_backup_label)
        store.limits.last_needed = LSN_INVALID;
    if (kind != WAL_STORE_OF_STANDBY) /* a server knows none of them */
        wal_archives_of(options, store.archives);
    return store;
}

bool wal_store_has_archive(const WalStore *store)
{
    return store->archives[0] != NULL || store->restore.command != NULL;
}

WalStore *wal_store_create(const WalStore *made_from)
{
    WalStore *store = memory_allocate(sizeof(*store));

    *store = *made_from;
    store->stream.open = wal_store_open;
    store->stream.context = store;
    pthread_mutex_init(&store->lock, NULL);
    return store;
}

void wal_store_destroy(WalStore *store)
{
    if (store == NULL)
        return;
    pthread_mutex_destroy(&store->lock);
    free(store->refused);
    free(store);
}

void wal_store_set_unasked_command(WalStore *store, const char *command)
{
    pthread_mutex_lock(&store->lock);
    assert(store->restore.command == NULL);
    store->restore.command = store->unasked_failure->failed ? NULL : command;
    store->restore.limit_seconds = UNASKED_COMMAND_SECONDS;
    store->restore.is_unasked = true;
    store->restore.environment = store->server_environment;
    pthread_mutex_unlock(&store->lock);
}

static WantedWal wanted_segment(const WalStore *store, uint64_t segment)
{
    WantedWal wanted = {.segment = segment};

    wal_stream_segment_name(&store->stream, segment, wanted.name);
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

bool wal_file_is_segment(const WalShape *shape, int fd, const char *path, uint64_t segment,
                         bool *is, Error *why_not, Error *error)
{
    uint8_t bytes[WAL_LONG_HEADER_SIZE];
    size_t length;
    WalPage page;

    *is = false;
    if (!file_read_at(fd, path, bytes, sizeof(bytes), 0, &length, error))
        return false;
    *is = walpage_parse(shape, bytes, length, wal_segment_start(shape, segment), &page, why_not);
    return true;
}

/* Open the file at found->path if its first page is the segment's; otherwise leave found->fd at -1.
 */
static bool open_if_valid(const WalStore *store, const WantedWal *wanted, FoundWal *found,
                          Error *error)
{
    const char *path = buffer_string(&found->path);
    Error reason;
    bool there, is;

    if (!file_open_read(path, &found->fd, &there, error))
        return false;
    if (!there)
        return true;
    if (!wal_file_is_segment(&store->stream.shape, found->fd, path, wanted->segment, &is, &reason,
                             error))
    {
        found_close(found);
        return false;
    }
    if (is)
        return true;
    log_debug("file \"%s\" does not contain this segment: %s", path, reason.message);
    buffer_clear(&found->why_not);
    buffer_printf(&found->why_not, "\"%s\" is not it: %s.", path, reason.message);
    found_close(found);
    return true;
}

static bool error_segment_size(const WalStore *store, const char *path, uint64_t size, Error *error)
{
    return error_set(error, ERROR_FAILED, "unexpected file size for \"%s\": %lld instead of %lld",
                     path, (long long) size,
                     (long long) store->stream.shape.segment_size); /* contract */
}

/* ---- The clusters' own pg_wal: a WalPlaceRow.open for each place ---- */

static bool open_in_own_pg_wal(WalStore *store, const WantedWal *wanted, FoundWal *found,
                               Error *error)
{
    path_in(&found->path, store->wal_directory, wanted->name);
    return open_if_valid(store, wanted, found, error);
}

bool wal_store_keeps(const WalStore *store, uint64_t segment)
{
    const WantedWal wanted = wanted_segment(store, segment);
    AUTO_BUFFER Buffer path = {0};
    struct stat status;
    bool found;

    return span_of(store, segment).is_common &&
           file_lstat(path_in(&path, store->wal_directory, wanted.name), &status, &found, NULL) &&
           found && S_ISREG(status.st_mode) &&
           (uint64_t) status.st_size == store->stream.shape.segment_size;
}

static bool open_in_kept_pg_wal(WalStore *store, const WantedWal *wanted, FoundWal *found,
                                Error *error)
{
    bool there;

    return !wal_store_keeps(store, wanted->segment) ||
           file_open_read(path_in(&found->path, store->wal_directory, wanted->name), &found->fd,
                          &there, error);
}

static bool open_held(WalStore *store, const WantedWal *wanted, FoundWal *found, Error *error)
{
    char name[sizeof(HELD_WAL_DIRECTORY) + WAL_NAME_SIZE];

    snprintf(name, sizeof(name), HELD_WAL_DIRECTORY "/%s", wanted->name);
    path_in(&found->path, store->wal_directory, name);
    return open_if_valid(store, wanted, found, error);
}

/* Open the source's own file without a check of its first page: if it is damaged, the reader must
 * report that, and not read another place's file instead. */
static bool open_of_source(WalStore *store, const WantedWal *wanted, FoundWal *found, Error *error)
{
    const char *directory =
        store->source_directory != NULL ? store->source_directory : store->scratch->path;
    char name[FILE_NAME_SIZE];
    bool there;

    if (directory == NULL)
        return true; /* the source is a server, and nothing was fetched */
    snprintf(name, sizeof(name), "%s%s", store->source_prefix, wanted->name);
    return file_open_read(path_in(&found->path, directory, name), &found->fd, &there, error);
}

/* ---- The scratch directory ---- */

/* Open the file of this name in the scratch directory, where an earlier fetch may have put it. */
static bool open_fetched_file(WalStore *store, const WantedWal *wanted, const char *name,
                              FoundWal *found, Error *error)
{
    const char *scratch = store->scratch->path;

    if (scratch == NULL)
        return true;
    path_in(&found->path, scratch, name);
    return open_if_valid(store, wanted, found, error);
}

static bool open_fetched_before(WalStore *store, const WantedWal *wanted, FoundWal *found,
                                Error *error)
{
    return open_fetched_file(store, wanted, wanted->name, found, error);
}

/*
 * Set *path to the path that a file is fetched to: a free one in INCOMING. The base name must be
 * the segment's, since restore commands look at it. accept_incoming moves the file up into the
 * scratch directory, which so holds only whole files.
 */
static bool begin_incoming(WalStore *store, const char *name, Buffer *path, Error *error)
{
    AUTO_BUFFER Buffer directory = {0};

    if (!scratch_need(store->scratch, error))
        return false;
    path_in(&directory, store->scratch->path, INCOMING);
    return file_make_directories(buffer_string(&directory), error) &&
           file_remove(path_in(path, buffer_string(&directory), name), error);
}

/* Remove a fetched file that cannot be used. Only warns on failure: the caller has an error. */
static void discard_incoming(Buffer *path)
{
    Error error;

    if (!file_remove(buffer_string(path), &error))
        log_warning("%s", error.message);
}

/* Write the uncompressed content of the file `from` to the new file `to`, up to `limit` bytes.
 * After a failure `to` does not exist. */
static bool expand_to(Compression compression, const char *from, Buffer *to, uint64_t limit,
                      uint64_t *size, Error *error)
{
    FileRange source = {.path = from}, copy = {.path = buffer_string(to)};
    AUTO_FD int from_fd = -1;
    AUTO_FD int new_fd = -1;
    bool result = file_open_read(from, &from_fd, NULL, error) &&
                  file_create(copy.path, CREATE_EMPTY, &new_fd, error);

    source.fd = from_fd;
    copy.fd = new_fd;
    result = result && compressed_expand(compression, &source, &copy, limit, size, error);
    if (!result)
        discard_incoming(to);
    return result;
}

/*
 * Replace a fetched file that is a link by a copy. A restore command may have made a symbolic or
 * hard link to the archive's own file. A fetched file can become a file of the target's pg_wal,
 * which a server recycles and overwrites later: through the link, that would destroy the archive.
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
    path_in(&copy, store->scratch->path, INCOMING "/copy");
    return expand_to(COMPRESSION_NONE, path, &copy, store->stream.shape.segment_size, &size,
                     error) &&
           file_rename(buffer_string(&copy), path, error);
}

/* If the fetched file is the segment, move it to `name` in the scratch directory, and open it;
 * otherwise remove it. What the standby's restore_command gives is only looked at: under that name
 * it would be taken for the source's or the target's segment, so it gets none. (Rule C67.) */
static bool accept_incoming(WalStore *store, const WantedWal *wanted, const char *name,
                            Buffer *incoming, FoundWal *found, Error *error)
{
    const char *path = buffer_string(incoming);

    path_in(&found->path, path, "");
    if (!copy_foreign_file(store, incoming, error) || !open_if_valid(store, wanted, found, error))
        return false;
    if (found->fd < 0 || store->kind == WAL_STORE_OF_STANDBY)
        return file_remove(path, error);
    path_in(&found->path, store->scratch->path, name);
    if (file_set_mode(found->fd, path, file_mode(), error) &&
        file_move(path, buffer_string(&found->path), error))
        return true;
    found_close(found);
    return false;
}

/* ---- The source's segments of common history ---- */

static bool fetch_from_source(WalStore *store, const WantedWal *wanted, FoundWal *found,
                              Error *error)
{
    AUTO_BUFFER Buffer incoming = {0};
    bool there;

    if (store->fetch == NULL)
        return true;
    if (!store->fetch(store->fetch_context, wanted->name, NULL, &there, error))
        return false;
    if (!there)
        return true;
    if (!begin_incoming(store, wanted->name, &incoming, error) ||
        !store->fetch(store->fetch_context, wanted->name, buffer_string(&incoming), &there, error))
        return false;
    if (!there)
        return true;
    log_debug("using file \"%s\" of the source", wanted->name);
    return accept_incoming(store, wanted, wanted->name, &incoming, found, error);
}

/* ---- The archive's directory ---- */

/* Set *path to the segment's file in the directory, with the suffix of this compression. *there is
 * false if the file does not exist; *size is its size in bytes. */
static bool find_form(const char *directory, const char *name, Compression compression,
                      Buffer *path, bool *there, uint64_t *size, Error *error)
{
    char file_name[FILE_NAME_SIZE];
    struct stat status;

    snprintf(file_name, sizeof(file_name), "%s%s", name, compression_suffix(compression));
    path_in(path, directory, file_name);
    if (!file_stat(buffer_string(path), &status, there, error))
        return false;
    if (*there && !S_ISREG(status.st_mode))
        return error_set(error, ERROR_FAILED, "\"%s\" is not a regular file", buffer_string(path));
    *size = *there ? (uint64_t) status.st_size : 0;
    return true;
}

/* Expand the compressed file found->path into the scratch directory, and open the copy. A .partial
 * file keeps its suffix there: without it, callers that need the whole segment would use it. */
static bool expand_form(WalStore *store, const WantedWal *wanted, const char *name,
                        Compression compression, FoundWal *found, Error *error)
{
    const uint32_t segment_size = store->stream.shape.segment_size;
    const bool is_partial = strcmp(name, wanted->name) != 0;
    AUTO_BUFFER Buffer incoming = {0};
    uint64_t size;

    if (!begin_incoming(store, name, &incoming, error) ||
        !expand_to(compression, buffer_string(&found->path), &incoming, segment_size, &size, error))
        return false;
    if (size != segment_size && !is_partial)
    {
        discard_incoming(&incoming);
        return error_segment_size(store, buffer_string(&found->path), size, error);
    }
    log_debug("using file \"%s\"", buffer_string(&found->path));
    return accept_incoming(store, wanted, name, &incoming, found, error);
}

/* Open the segment in the directory. The file's name is `name`, the segment's or that of its
 * .partial file, with any compression suffix; the first such file that holds the segment counts. */
static bool open_forms(WalStore *store, const char *directory, const WantedWal *wanted,
                       const char *name, FoundWal *found, Error *error)
{
    const uint32_t segment_size = store->stream.shape.segment_size;
    const bool is_partial = strcmp(name, wanted->name) != 0;

    for (Compression compression = 0; compression < COMPRESSION_COUNT && found->fd < 0;
         compression++)
    {
        uint64_t size;
        bool there, opened;

        if (!find_form(directory, name, compression, &found->path, &there, &size, error))
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
    for (const char *const *directory = store->archives; *directory != NULL && found->fd < 0;
         directory++)
    {
        found->archive = *directory;
        buffer_clear(&found->why_not);
        buffer_printf(&found->why_not, "\"%s\" does not have it.", *directory);
        if (!open_forms(store, *directory, wanted, wanted->name, found, error))
            return false;
    }
    return true;
}

/* ---- The restore command ---- */

bool wal_store_was_refused(const WalStore *store, uint64_t segment)
{
    for (size_t i = 0; i < store->refused_count; i++)
        if (store->refused[i] == segment)
            return true;
    return false;
}

/* Handle a restore command that failed, or whose file is not the segment. For a command that an
 * option names this is an error; otherwise warn, and do not run it again. outcome: restore_run's
 * for a command that failed; "" for a file that is not the segment. */
static bool give_up_command(WalStore *store, const char *outcome, const Error *failure,
                            Error *error)
{
    if (!store->restore.is_unasked)
        return error_copy(error, failure);
    if (!stop_check(error))
        return false;
    log_warning("%s", failure->message);
    log_detail("The target's own \"restore_command\" is not asked again.");
    store->restore.command = NULL;
    store->unasked_failure->failed = true;
    snprintf(store->unasked_failure->outcome, sizeof(store->unasked_failure->outcome), "%s",
             outcome);
    return true;
}

/* Accept the file that the restore command has written, if any. A file whose size is not a
 * segment's is an error: the archive or the command must be broken. */
static bool accept_restored(WalStore *store, const WantedWal *wanted, Buffer *incoming,
                            FoundWal *found, Error *error)
{
    struct stat status;
    bool there;

    if (!file_stat(buffer_string(incoming), &status, &there, error))
        return false;
    if (there && status.st_size != (off_t) store->stream.shape.segment_size)
        return error_segment_size(store, buffer_string(incoming), (uint64_t) status.st_size, error);
    return accept_incoming(store, wanted, wanted->name, incoming, found, error);
}

static bool restore_segment(WalStore *store, const WantedWal *wanted, FoundWal *found, Error *error)
{
    AUTO_BUFFER Buffer incoming = {0};
    char outcome[RESTORE_OUTCOME_SIZE];
    bool ended_well;
    Error failure;

    if (store->restore.command == NULL || wal_store_was_refused(store, wanted->segment))
        return true;
    if (!begin_incoming(store, wanted->name, &incoming, error))
        return false;
    if (!restore_run(&store->restore, wanted->name, buffer_string(&incoming), &ended_well, outcome,
                     &failure) ||
        (ended_well && !accept_restored(store, wanted, &incoming, found, &failure)))
    {
        discard_incoming(&incoming);
        return give_up_command(store, ended_well ? "" : outcome, &failure, error);
    }
    if (found->fd >= 0)
    {
        log_debug("using file \"%s\" restored from archive", wanted->name); /* contract */
        return true;
    }
    if (!ended_well)
        buffer_printf(&found->why_not, "the restore command did not give it: %s.", outcome);
    ARRAY_ADD(store->refused, store->refused_count, wanted->segment);
    return file_remove(buffer_string(&incoming), error);
}

/* ---- .partial files ---- */

/* WAL that consists of a single segment's file. */
typedef struct LoneSegment
{
    uint64_t segment;
    const char *path;
} LoneSegment;

/* A WalOpen whose context is a LoneSegment. */
static bool open_lone_segment(void *context, uint64_t segment, int *fd, bool *found, Error *error)
{
    const LoneSegment *lone = context;

    *fd = -1;
    *found = false;
    return segment != lone->segment || file_open_read(lone->path, fd, found, error);
}

/* Set *good if the .partial file at `path` can be used as the segment: WAL may end in this segment,
 * or the file's records reach the segment's end (reasons: wal_store_open). (Rule C63.) */
static bool check_partial(const WalStore *store, const WantedWal *wanted, const char *path,
                          bool *good, Error *error)
{
    LoneSegment lone = {wanted->segment, path};
    WalStream stream = store->stream;
    WalSegmentFacts facts;

    *good = span_of(store, wanted->segment).may_end;
    if (*good)
        return true;
    stream.open = open_lone_segment;
    stream.context = &lone;
    stream.limit = LSN_INVALID;
    if (!wal_read_segment(&stream, wanted->segment, LSN_INVALID, NULL, NULL, &facts, error))
        return false;
    /* WAL_SEGMENT_MISSING: the last record continues in the next segment. */
    *good = facts.end == WAL_SEGMENT_COMPLETE ||
            (facts.end == WAL_SEGMENT_MISSING && facts.missing_segment != wanted->segment);
    return true;
}

static bool open_partial(WalStore *store, const WantedWal *wanted, FoundWal *found, Error *error)
{
    char name[FILE_NAME_SIZE];
    bool good = false, result;

    if (store->archives[0] == NULL)
        return true;
    snprintf(name, sizeof(name), "%s" PARTIAL, wanted->name);
    if (!open_fetched_file(store, wanted, name, found, error))
        return false;
    for (const char *const *directory = store->archives; *directory != NULL && found->fd < 0;
         directory++)
    {
        found->archive = *directory;
        if (!open_forms(store, *directory, wanted, name, found, error))
            return false;
    }
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

/* All places, in the order in which they are asked; the top of wal_store.h describes each. */
static const struct WalPlaceRow
{
    bool (*open)(WalStore *store, const WantedWal *wanted, FoundWal *found, Error *error);
    bool own;       /* a cluster's own segments are there: all are right, and a look is cheap */
    bool of_common; /* asked for segments of common history only */
    unsigned kinds; /* kinds of stores that ask the place: sum of WalStoreKind values */
} place_rows[] = {
    {open_in_own_pg_wal, true, false, WAL_STORE_OF_TARGET | WAL_STORE_OF_STANDBY},
    {open_held, true, false, WAL_STORE_OF_TARGET},
    {open_in_kept_pg_wal, true, true, WAL_STORE_OF_SOURCE},
    {open_of_source, true, false, WAL_STORE_OF_SOURCE},
    {open_held, true, true, WAL_STORE_OF_SOURCE},
    {open_fetched_before, false, false, WAL_STORE_OF_TARGET | WAL_STORE_OF_SOURCE},
    {fetch_from_source, false, true, WAL_STORE_OF_TARGET},
    {open_in_archive, false, false,
     WAL_STORE_OF_TARGET | WAL_STORE_OF_SOURCE | WAL_STORE_OF_ARCHIVE},
    {restore_segment, false, false,
     WAL_STORE_OF_TARGET | WAL_STORE_OF_SOURCE | WAL_STORE_OF_ARCHIVE | WAL_STORE_OF_STANDBY},
    {open_partial, false, false, WAL_STORE_OF_TARGET | WAL_STORE_OF_SOURCE | WAL_STORE_OF_ARCHIVE},
};

#define PLACE_COUNT (sizeof(place_rows) / sizeof(place_rows[0]))

/* The first place from this one on that the store asks for the segment; NULL: it asks no
 * further one. */
static const struct WalPlaceRow *place_from(const WalStore *store, uint64_t segment,
                                            const struct WalPlaceRow *place)
{
    const bool is_common = span_of(store, segment).is_common;

    while (place < place_rows + PLACE_COUNT &&
           ((place->kinds & store->kind) == 0 || (place->of_common && !is_common)))
        place++;
    return place < place_rows + PLACE_COUNT ? place : NULL;
}

/* Note if the scratch directory's disk is full: a segment may then count as missing only because
 * there was no space to fetch it. */
static void note_lack_of_room(const WalStore *store)
{
    const char *scratch = store->scratch->path;
    FileSpace space;

    if (scratch != NULL && file_space(scratch, &space, NULL) &&
        space.free_bytes < store->stream.shape.segment_size)
        store->scratch->failed = true;
}

/* Ask in order the places with a cluster's own segments (`own`), or all others. The others are
 * asked under the lock, since two workers that want the same segment would write the same file. */
static bool ask_places(WalStore *store, const WantedWal *wanted, bool own, FoundWal *found,
                       Error *error)
{
    bool good = true;

    if (!own && !span_of(store, wanted->segment).asks_archives)
        return true;
    if (!own)
        pthread_mutex_lock(&store->lock);
    for (const struct WalPlaceRow *place = place_from(store, wanted->segment, place_rows);
         place != NULL && good && found->fd < 0;
         place = place_from(store, wanted->segment, place + 1))
        if (place->own == own)
            good = place->open(store, wanted, found, error);
    if (!own && found->fd < 0)
        note_lack_of_room(store);
    if (!own)
        pthread_mutex_unlock(&store->lock);
    return good;
}

static bool open_in_places(WalStore *store, uint64_t segment, bool own, int *fd, bool *there,
                           Error *error)
{
    const WantedWal wanted = wanted_segment(store, segment);
    AUTO_FOUND FoundWal found = {.fd = -1};
    const bool result = ask_places(store, &wanted, own, &found, error);

    *fd = found.fd;
    *there = found.fd >= 0;
    found.fd = -1;
    return result;
}

bool wal_store_open_own(void *store, uint64_t segment, int *fd, bool *found, Error *error)
{
    return open_in_places(store, segment, true, fd, found, error);
}

bool wal_store_open_archived(void *store, uint64_t segment, int *fd, bool *found, Error *error)
{
    return open_in_places(store, segment, false, fd, found, error);
}

bool wal_store_open(void *store, uint64_t segment, int *fd, bool *found, Error *error)
{
    return wal_store_open_own(store, segment, fd, found, error) &&
           (*found || wal_store_open_archived(store, segment, fd, found, error));
}

bool wal_store_find(WalStore *store, uint64_t segment, Buffer *path, bool *found, Error *error)
{
    const WantedWal wanted = wanted_segment(store, segment);
    AUTO_FOUND FoundWal file = {.fd = -1};

    if (!ask_places(store, &wanted, true, &file, error) ||
        (file.fd < 0 && !ask_places(store, &wanted, false, &file, error)))
        return false;
    *found = file.fd >= 0;
    path_in(path, buffer_string(&file.path), "");
    return true;
}

bool wal_store_has(WalStore *store, uint64_t segment, Arena *arena, const char **how)
{
    const WantedWal wanted = wanted_segment(store, segment);

    *how = "";
    for (const struct WalPlaceRow *place = place_from(store, segment, place_rows); place != NULL;
         place = place_from(store, segment, place + 1))
    {
        AUTO_FOUND FoundWal found = {.fd = -1};
        Error error;

        if (!place->open(store, &wanted, &found, &error))
        {
            note_lack_of_room(store);
            *how = arena_printf(arena, "%s.", error.message);
        }
        else if (found.fd < 0 && found.why_not.size > 0)
            *how = arena_strdup(arena, buffer_string(&found.why_not));
        else if (found.fd >= 0)
        {
            *how = found.archive == NULL ? "the restore command gives it."
                                         : arena_printf(arena, "\"%s\" has it.", found.archive);
            return true;
        }
    }
    return false;
}

/* Fetch the file `name` from the first archive that has it, or by the restore command. */
static bool fetch_archived_file(WalStore *store, const char *name, Buffer *incoming, size_t limit,
                                bool *found, Error *error)
{
    char outcome[RESTORE_OUTCOME_SIZE];
    AUTO_BUFFER Buffer path = {0};
    uint64_t size;
    Error failure;

    *found = false;
    for (const char *const *directory = store->archives; *directory != NULL; directory++)
        for (Compression compression = 0; compression < COMPRESSION_COUNT; compression++)
        {
            if (!find_form(*directory, name, compression, &path, found, &size, error))
                return false;
            if (*found)
                return expand_to(compression, buffer_string(&path), incoming, limit, &size, error);
        }
    if (store->restore.command == NULL)
        return true;
    if (!restore_run(&store->restore, name, buffer_string(incoming), found, outcome, &failure))
        return give_up_command(store, outcome, &failure, error);
    return true;
}

bool wal_store_read_file(WalStore *store, const char *name, size_t limit, Buffer *buffer,
                         bool *found, Error *error)
{
    AUTO_BUFFER Buffer incoming = {0};
    bool result;

    *found = false;
    if (!wal_store_has_archive(store))
        return true;
    pthread_mutex_lock(&store->lock);
    result = begin_incoming(store, name, &incoming, error) &&
             fetch_archived_file(store, name, &incoming, limit, found, error) &&
             (!*found || file_read_all(buffer_string(&incoming), limit, buffer, found, error)) &&
             file_remove(buffer_string(&incoming), error);
    pthread_mutex_unlock(&store->lock);
    if (result && *found)
        log_debug("using file \"%s\" restored from archive", name); /* contract */
    return result;
}
