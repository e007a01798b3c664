#include "wal_store/archive.h"

#include "base/array.h"
#include "base/log.h"
#include "base/workers.h"
#include "pair/prerequisites.h"
#include "format/page.h"
#include "io/file.h"
#include "wal_store/compressed.h"
#include "wal/reader.h"
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

/* A segment that the restore command did not have: it is not asked again. */
typedef struct Refused
{
    Timeline timeline;
    uint64_t segment;
} Refused;

struct Archive
{
    ArchiveOptions options;
    RestoreCommand restore; /* its command: NULL if there is none */
    pthread_mutex_t lock;   /* held while a file is fetched; guards all below */
    Lsn common_end;
    Lsn needed_from;
    Refused *refused;
    size_t refused_count;
    bool scratch_made;
    bool command_is_unasked; /* archive_set_unasked_command */
};

typedef struct Wanted
{
    Timeline timeline;
    uint64_t segment;
    char name[WAL_NAME_SIZE];
} Wanted;

/* A segment's file. */
typedef struct Opened
{
    int fd; /* -1: not found */
    char path[PATH_SIZE];
} Opened;

Archive *archive_create(const ArchiveOptions *options)
{
    Archive *archive = memory_allocate_zeroed(1, sizeof(Archive));

    archive->options = *options;
    archive->restore = (RestoreCommand){.command = options->restore_command,
                                        .data_directory = options->data_directory,
                                        .redo_file_name = options->redo_file_name,
                                        .retry_timeout_seconds = options->retry_timeout_seconds};
    pthread_mutex_init(&archive->lock, NULL);
    return archive;
}

void archive_destroy(Archive *archive)
{
    if (archive == NULL)
        return;
    pthread_mutex_destroy(&archive->lock);
    free(archive->refused);
    free(archive);
}

void archive_set_common_end(Archive *archive, Lsn lsn)
{
    pthread_mutex_lock(&archive->lock);
    archive->common_end = lsn;
    pthread_mutex_unlock(&archive->lock);
}

void archive_set_unasked_command(Archive *archive, const char *command)
{
    pthread_mutex_lock(&archive->lock);
    assert(archive->restore.command == NULL);
    archive->restore.command = command;
    archive->restore.limit_seconds = UNASKED_COMMAND_SECONDS;
    archive->command_is_unasked = true;
    pthread_mutex_unlock(&archive->lock);
}

void archive_set_needed_from(Archive *archive, Lsn lsn)
{
    archive->needed_from = lsn;
}

static Wanted wanted_segment(const Archive *archive, Timeline timeline, uint64_t segment)
{
    Wanted wanted = {.timeline = timeline, .segment = segment};

    wal_segment_name(&archive->options.shape, timeline, segment, wanted.name);
    return wanted;
}

/* Does the page at `offset` belong there? In a recycled file it does not. *reason says why. */
static bool check_segment_page(const Archive *archive, const Wanted *wanted, int fd,
                               const char *path, uint64_t offset, bool *valid, Error *reason,
                               Error *error)
{
    const WalShape *shape = &archive->options.shape;
    uint8_t bytes[WAL_LONG_HEADER_SIZE];
    size_t length;
    WalPage page;

    *valid = false;
    if (!file_read_at(fd, path, bytes, sizeof(bytes), offset, &length, error))
        return false;
    *valid = walpage_parse(shape, bytes, length, wal_segment_start(shape, wanted->segment) + offset,
                           &page, reason);
    return true;
}

static void close_opened(Opened *opened)
{
    file_close(opened->fd);
    opened->fd = -1;
}

/* Open path if it holds the segment. */
static bool open_if_valid(const Archive *archive, const Wanted *wanted, const char *path,
                          Opened *opened, Error *error)
{
    bool found, valid = false;
    Error reason;

    if (!file_open_read(path, &opened->fd, &found, error))
        return false;
    if (!found)
        return true;
    if (!check_segment_page(archive, wanted, opened->fd, path, 0, &valid, &reason, error))
    {
        close_opened(opened);
        return false;
    }
    if (valid)
        snprintf(opened->path, sizeof(opened->path), "%s", path);
    else
    {
        log_debug("file \"%s\" does not contain this segment: %s", path, reason.message);
        close_opened(opened);
    }
    return true;
}

static bool open_in(const Archive *archive, const Wanted *wanted, const char *directory,
                    Opened *opened, Error *error)
{
    char path[PATH_SIZE];

    return path_join(path, sizeof(path), directory, wanted->name, error) &&
           open_if_valid(archive, wanted, path, opened, error);
}

static bool error_segment_size(const Archive *archive, const char *path, uint64_t size,
                               Error *error)
{
    return error_set(error, ERROR_FAILED, "unexpected file size for \"%s\": %lld instead of %lld",
                     path, (long long) size,
                     (long long) archive->options.shape.segment_size); /* contract */
}

/* A file from an archive has the size of a segment; another one is a sign of something broken. */
static bool check_size(const Archive *archive, const char *path, bool *found, Error *error)
{
    struct stat status;

    if (!file_stat(path, &status, found, error))
        return false;
    if (*found && status.st_size != (off_t) archive->options.shape.segment_size)
        return error_segment_size(archive, path, (uint64_t) status.st_size, error);
    return true;
}

/* ---- The scratch directory ---- */

static bool make_scratch(Archive *archive, Error *error)
{
    char incoming[PATH_SIZE];

    if (archive->scratch_made)
        return true;
    if (!path_join(incoming, sizeof(incoming), archive->options.scratch_directory, INCOMING,
                   error) ||
        !file_make_directories(incoming, error))
        return false;
    archive->scratch_made = true;
    return true;
}

/*
 * Where a file is fetched to. Its base name is the segment's (restore commands look at it); it
 * moves up into the scratch directory when it is whole, so that what lies there can be used.
 */
static bool incoming_path(Archive *archive, const char *name, char path[PATH_SIZE], Error *error)
{
    char directory[PATH_SIZE];

    return make_scratch(archive, error) &&
           path_join(directory, sizeof(directory), archive->options.scratch_directory, INCOMING,
                     error) &&
           path_join(path, PATH_SIZE, directory, name, error) && file_remove(path, error);
}

/* Remove a fetched file that is of no use; its error was reported before. */
static void remove_incoming(const char *path)
{
    Error error;

    if (!file_remove(path, &error))
        log_warning("%s", error.message);
}

/* Write the content of the file `from` to the file `to`, which is not there after a failure. */
static bool expand_to(Compression compression, const char *from, const char *to, uint64_t limit,
                      uint64_t *size, Error *error)
{
    int from_fd = -1, to_fd = -1;
    bool result = file_open_read(from, &from_fd, NULL, error) && file_create(to, &to_fd, error) &&
                  compressed_expand(compression, from_fd, from, to_fd, to, limit, size, error);

    file_close(to_fd);
    file_close(from_fd);
    if (!result)
        remove_incoming(to);
    return result;
}

/*
 * A restore command may have made a link to the archive's own file. What is fetched can become a
 * file of the target's pg_wal, which a server overwrites some day: it must be our own.
 */
static bool copy_foreign_file(const Archive *archive, const char *incoming, Error *error)
{
    char copy[PATH_SIZE];
    struct stat status;
    uint64_t size;
    bool found;

    if (!file_lstat(incoming, &status, &found, error))
        return false;
    if (!found || (S_ISREG(status.st_mode) && status.st_nlink == 1 && status.st_uid == geteuid()))
        return true;
    return path_join(copy, sizeof(copy), archive->options.scratch_directory, INCOMING "/copy",
                     error) &&
           expand_to(COMPRESSION_NONE, incoming, copy, archive->options.shape.segment_size, &size,
                     error) &&
           file_rename(copy, incoming, error);
}

/* Take a fetched file, if it is the segment, and open it. */
static bool accept_incoming(const Archive *archive, const Wanted *wanted, const char *incoming,
                            Opened *opened, Error *error)
{
    char path[PATH_SIZE];

    if (!copy_foreign_file(archive, incoming, error) ||
        !open_if_valid(archive, wanted, incoming, opened, error))
        return false;
    if (opened->fd < 0)
        return file_remove(incoming, error);
    if (path_join(path, sizeof(path), archive->options.scratch_directory, wanted->name, error) &&
        file_set_mode(opened->fd, incoming, file_mode(), error) &&
        file_rename(incoming, path, error))
    {
        snprintf(opened->path, sizeof(opened->path), "%s", path);
        return true;
    }
    close_opened(opened);
    return false;
}

/* ---- The source ---- */

static bool fetch_segment_from_source(Archive *archive, const Wanted *wanted, Opened *opened,
                                      Error *error)
{
    const ArchiveOptions *options = &archive->options;
    Lsn end = wal_segment_start(&options->shape, wanted->segment) + options->shape.segment_size;
    char incoming[PATH_SIZE];
    bool found;

    if (options->fetch == NULL || end > archive->common_end)
        return true;
    if (!incoming_path(archive, wanted->name, incoming, error) ||
        !options->fetch(options->fetch_context, wanted->name, incoming, &found, error))
        return false;
    if (!found)
        return true;
    log_debug("using file \"%s\" of the source", wanted->name);
    return accept_incoming(archive, wanted, incoming, opened, error);
}

/* ---- The archive's directory ---- */

/* The file NAME[.partial][.gz] and so on of the archive. */
static bool find_form(const Archive *archive, const char *name, const char *partial,
                      Compression compression, char path[PATH_SIZE], bool *found, uint64_t *size,
                      Error *error)
{
    char file_name[FILE_NAME_SIZE];
    struct stat status;

    snprintf(file_name, sizeof(file_name), "%s%s%s", name, partial,
             compression_suffix(compression));
    if (!path_join(path, PATH_SIZE, archive->options.archive_directory, file_name, error) ||
        !file_stat(path, &status, found, error))
        return false;
    if (*found && !S_ISREG(status.st_mode))
        return error_set(error, ERROR_FAILED, "\"%s\" is not a regular file", path);
    *size = *found ? (uint64_t) status.st_size : 0;
    return true;
}

/* A compressed file comes to the scratch directory first. Its content has the size of a segment. */
static bool expand_archived_segment(Archive *archive, const Wanted *wanted, Compression compression,
                                    const char *path, Opened *opened, Error *error)
{
    const uint32_t segment_size = archive->options.shape.segment_size;
    char incoming[PATH_SIZE];
    uint64_t size;

    if (!incoming_path(archive, wanted->name, incoming, error) ||
        !expand_to(compression, path, incoming, segment_size, &size, error))
        return false;
    if (size != segment_size)
    {
        remove_incoming(incoming);
        return error_segment_size(archive, path, size, error);
    }
    log_debug("using file \"%s\"", path);
    return accept_incoming(archive, wanted, incoming, opened, error);
}

static bool open_form(Archive *archive, const Wanted *wanted, Compression compression,
                      const char *path, uint64_t size, Opened *opened, Error *error)
{
    if (compression != COMPRESSION_NONE)
        return expand_archived_segment(archive, wanted, compression, path, opened, error);
    if (size != archive->options.shape.segment_size)
        return error_segment_size(archive, path, size, error);
    return open_if_valid(archive, wanted, path, opened, error);
}

static bool open_in_archive(Archive *archive, const Wanted *wanted, Opened *opened, Error *error)
{
    char path[PATH_SIZE];

    if (archive->options.archive_directory == NULL)
        return true;
    for (Compression compression = 0; compression < COMPRESSION_COUNT && opened->fd < 0;
         compression++)
    {
        uint64_t size;
        bool found;

        if (!find_form(archive, wanted->name, "", compression, path, &found, &size, error))
            return false;
        if (found && !open_form(archive, wanted, compression, path, size, opened, error))
            return false;
    }
    return true;
}

/* A segment's file as all the WAL there is: a WalOpen. */
typedef struct Alone
{
    const Wanted *wanted;
    const char *path;
} Alone;

static bool open_single_segment(void *context, Timeline timeline, uint64_t segment, int *fd,
                                bool *found, Error *error)
{
    const Alone *alone = context;

    (void) timeline;
    *fd = -1;
    *found = false;
    return segment != alone->wanted->segment || file_open_read(alone->path, fd, found, error);
}

/* May what this .partial file holds be taken for the segment? (archive.h has the reasons.) */
static bool check_partial(const Archive *archive, const Wanted *wanted, const char *path,
                          bool *good, Error *error)
{
    const ArchiveOptions *options = &archive->options;
    Alone alone = {.wanted = wanted, .path = path};
    WalStream stream = {.shape = options->shape,
                        .data_block_size = options->data_block_size,
                        .history = options->history,
                        .open = open_single_segment,
                        .context = &alone};
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

/* Open it if it holds the segment, or enough of it. */
static bool open_partial(const Archive *archive, const Wanted *wanted, const char *path,
                         Opened *opened, Error *error)
{
    bool good = false;
    bool result = open_if_valid(archive, wanted, path, opened, error) &&
                  (opened->fd < 0 || check_partial(archive, wanted, path, &good, error));

    if (!good)
        close_opened(opened);
    return result;
}

/* It keeps its ending in the scratch directory: other callers that look there may need the whole
 * segment. */
static bool expand_partial_segment(Archive *archive, const Wanted *wanted, Compression compression,
                                   const char *path, Opened *opened, Error *error)
{
    char incoming[PATH_SIZE], name[FILE_NAME_SIZE], own[PATH_SIZE];
    uint64_t size;

    snprintf(name, sizeof(name), "%s" PARTIAL, wanted->name);
    return incoming_path(archive, name, incoming, error) &&
           expand_to(compression, path, incoming, archive->options.shape.segment_size, &size,
                     error) &&
           path_join(own, sizeof(own), archive->options.scratch_directory, name, error) &&
           file_rename(incoming, own, error) && open_partial(archive, wanted, own, opened, error);
}

static bool open_partial_form(Archive *archive, const Wanted *wanted, Compression compression,
                              const char *path, uint64_t size, Opened *opened, Error *error)
{
    bool opened_well;

    if (compression != COMPRESSION_NONE)
        opened_well = expand_partial_segment(archive, wanted, compression, path, opened, error);
    else if (size > archive->options.shape.segment_size)
        opened_well = error_segment_size(archive, path, size, error);
    else
        opened_well = open_partial(archive, wanted, path, opened, error);
    if (opened_well && opened->fd >= 0)
        log_debug("using file \"%s\"", path);
    return opened_well;
}

static bool open_partial_in_archive(Archive *archive, const Wanted *wanted, Opened *opened,
                                    Error *error)
{
    char name[FILE_NAME_SIZE], path[PATH_SIZE];

    if (archive->options.archive_directory == NULL || archive->options.scratch_directory == NULL)
        return true;
    /* One that was fetched before. */
    snprintf(name, sizeof(name), "%s" PARTIAL, wanted->name);
    if (!path_join(path, sizeof(path), archive->options.scratch_directory, name, error) ||
        !open_partial(archive, wanted, path, opened, error))
        return false;
    for (Compression compression = 0; compression < COMPRESSION_COUNT && opened->fd < 0;
         compression++)
    {
        uint64_t size;
        bool found;

        if (!find_form(archive, wanted->name, PARTIAL, compression, path, &found, &size, error) ||
            (found && !open_partial_form(archive, wanted, compression, path, size, opened, error)))
            return false;
    }
    return true;
}

/* ---- The restore command ---- */

static bool is_refused(const Archive *archive, Timeline timeline, uint64_t segment)
{
    for (size_t i = 0; i < archive->refused_count; i++)
        if (archive->refused[i].timeline == timeline && archive->refused[i].segment == segment)
            return true;
    return false;
}

static void add_refused(Archive *archive, const Wanted *wanted)
{
    ARRAY_GROW(archive->refused, archive->refused_count);
    archive->refused[archive->refused_count++] =
        (Refused){.timeline = wanted->timeline, .segment = wanted->segment};
}

/* The command failed, or what it fetched is no segment. That ends the run if it was asked for. */
static bool give_up_command(Archive *archive, const Error *failure, Error *error)
{
    if (!archive->command_is_unasked)
        return error_copy(error, failure);
    if (!stop_check(error))
        return false;
    log_warning("%s", failure->message);
    log_detail("The target's own \"restore_command\" is not asked again.");
    archive->restore.command = NULL;
    return true;
}

static bool restore_segment(Archive *archive, const Wanted *wanted, Opened *opened, Error *error)
{
    char incoming[PATH_SIZE];
    Error failure;
    bool found;

    if (archive->restore.command == NULL || is_refused(archive, wanted->timeline, wanted->segment))
        return true;
    if (!incoming_path(archive, wanted->name, incoming, error))
        return false;
    if (!restore_run(&archive->restore, wanted->name, incoming, &found, &failure) ||
        (found && (!check_size(archive, incoming, &found, &failure) ||
                   !accept_incoming(archive, wanted, incoming, opened, &failure))))
    {
        remove_incoming(incoming);
        return give_up_command(archive, &failure, error);
    }
    if (opened->fd >= 0)
    {
        log_debug("using file \"%s\" restored from archive", wanted->name); /* contract */
        return true;
    }
    add_refused(archive, wanted);
    return file_remove(incoming, error);
}

/* ---- All places ---- */

static bool is_in_pg_wal_only(const Archive *archive, uint64_t segment)
{
    Lsn known_end = archive->options.known_end;

    return known_end != LSN_INVALID &&
           wal_segment_start(&archive->options.shape, segment) >= known_end;
}

static bool open_anywhere(Archive *archive, Timeline timeline, uint64_t segment, Opened *opened,
                          Error *error)
{
    const ArchiveOptions *options = &archive->options;
    Wanted wanted = wanted_segment(archive, timeline, segment);

    opened->fd = -1;
    if (!open_in(archive, &wanted, options->wal_directory, opened, error))
        return false;
    if (opened->fd >= 0 || is_in_pg_wal_only(archive, segment))
        return true;

    /* One at a time: several workers may want the same file. */
    pthread_mutex_lock(&archive->lock);
    bool good = true;
    if (options->scratch_directory != NULL)
        good = open_in(archive, &wanted, options->scratch_directory, opened, error);
    if (good && opened->fd < 0)
        good = fetch_segment_from_source(archive, &wanted, opened, error);
    if (good && opened->fd < 0)
        good = open_in_archive(archive, &wanted, opened, error);
    if (good && opened->fd < 0)
        good = restore_segment(archive, &wanted, opened, error);
    if (good && opened->fd < 0)
        good = open_partial_in_archive(archive, &wanted, opened, error);
    pthread_mutex_unlock(&archive->lock);
    return good;
}

bool archive_open(void *archive, Timeline timeline, uint64_t segment, int *fd, bool *found,
                  Error *error)
{
    Opened opened;
    bool result = open_anywhere(archive, timeline, segment, &opened, error);

    *fd = opened.fd;
    *found = opened.fd >= 0;
    return result;
}

bool archive_find(Archive *archive, Timeline timeline, uint64_t segment, char *path, bool *found,
                  Error *error)
{
    Opened opened;
    bool result = open_anywhere(archive, timeline, segment, &opened, error);

    *found = opened.fd >= 0;
    if (*found)
        snprintf(path, PATH_SIZE, "%s", opened.path);
    close_opened(&opened);
    return result;
}

/* Fetch it from the first place that has it. */
static bool fetch_archived_file(Archive *archive, const char *name, const char *incoming,
                                size_t limit, bool *found, Error *error)
{
    uint64_t size;

    *found = false;
    for (Compression compression = 0;
         compression < COMPRESSION_COUNT && archive->options.archive_directory != NULL;
         compression++)
    {
        char path[PATH_SIZE];

        if (!find_form(archive, name, "", compression, path, found, &size, error))
            return false;
        if (*found)
            return expand_to(compression, path, incoming, limit, &size, error);
    }
    return archive->restore.command == NULL ||
           restore_run(&archive->restore, name, incoming, found, error);
}

bool archive_read(Archive *archive, const char *name, size_t limit, Buffer *buffer, bool *found,
                  Error *error)
{
    char incoming[PATH_SIZE];

    *found = false;
    if (archive->options.archive_directory == NULL && archive->restore.command == NULL)
        return true;
    pthread_mutex_lock(&archive->lock);
    bool result = incoming_path(archive, name, incoming, error) &&
                  fetch_archived_file(archive, name, incoming, limit, found, error) &&
                  (!*found || file_read_all(incoming, limit, buffer, found, error)) &&
                  file_remove(incoming, error);
    pthread_mutex_unlock(&archive->lock);
    if (result && *found)
        log_debug("using file \"%s\" restored from archive", name); /* contract */
    return result;
}

/* ---- What is missing ---- */

/*
 * Is the file in pg_wal all the same, and its first page damaged? Then its second page is this
 * segment's. In a recycled file it is not, nor in one that was made in advance.
 */
static bool is_damaged(const Archive *archive, const Wanted *wanted, Error *reason)
{
    char path[PATH_SIZE];
    bool found = false, first = true, second = false;
    int fd = -1;

    if (!path_join(path, sizeof(path), archive->options.wal_directory, wanted->name, NULL) ||
        !file_open_read(path, &fd, &found, NULL) || !found)
        return false;
    if (!check_segment_page(archive, wanted, fd, path, 0, &first, reason, NULL) ||
        !check_segment_page(archive, wanted, fd, path, archive->options.shape.block_size, &second,
                            NULL, NULL))
        first = true;
    file_close(fd);
    return !first && second;
}

/* A file of that name lies in pg_wal, but is not this segment: what is it? */
static void describe_recycled_segment(const Archive *archive, const Wanted *wanted, Error *error)
{
    char path[PATH_SIZE], what[WAL_DESCRIPTION_SIZE];
    uint8_t bytes[PAGE_BYTES_READ];
    size_t size = 0;
    bool found = false;
    int fd = -1;

    if (path_join(path, sizeof(path), archive->options.wal_directory, wanted->name, NULL) &&
        file_open_read(path, &fd, &found, NULL) && found &&
        file_read_at(fd, path, bytes, sizeof(bytes), 0, &size, NULL) && size == sizeof(bytes))
    {
        walpage_describe(&archive->options.shape, bytes, size, what);
        error_detail(error, "There is a file of that name, but it %s.", what);
    }
    file_close(fd);
}

/*
 * Do the target's relations look like PostgreSQL's? pg_class of the first database, which every
 * cluster has, unless it was rewritten.
 */
static void hint_at_encryption(const Archive *archive, Error *error)
{
    uint8_t page[PAGE_BYTES_READ];
    char path[PATH_SIZE];
    size_t size = 0;
    bool found = false;
    int fd = -1;

    if (path_join(path, sizeof(path), archive->options.data_directory, "base/1/1259", NULL) &&
        file_open_read(path, &fd, &found, NULL) && found &&
        file_read_at(fd, path, page, sizeof(page), 0, &size, NULL) && size == sizeof(page) &&
        !page_has_header(page, archive->options.data_block_size))
        error_detail(error, "The target's relations (base/1/1259) do not look like PostgreSQL's "
                            "either: encrypted clusters of its forks cannot be read.");
    file_close(fd);
}

/* Is this segment anywhere? What is fetched to answer that is removed: the run is over. */
static bool is_somewhere(Archive *archive, Timeline timeline, uint64_t segment, int *looked_for,
                         bool *found, Error *error)
{
    char path[PATH_SIZE], fetched[PATH_SIZE];
    Wanted wanted = wanted_segment(archive, timeline, segment);
    Opened opened;

    if (!open_in(archive, &wanted, archive->options.wal_directory, &opened, error))
        return false;
    *found = opened.fd >= 0;
    close_opened(&opened);
    if (*found)
        return true;
    (*looked_for)++;
    return archive_find(archive, timeline, segment, path, found, error) &&
           (archive->options.scratch_directory == NULL ||
            (path_join(fetched, sizeof(fetched), archive->options.scratch_directory, wanted.name,
                       error) &&
             file_remove(fetched, error)));
}

static Timeline timeline_of(const Archive *archive, const Wanted *wanted, uint64_t segment)
{
    const ArchiveOptions *options = &archive->options;

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
static void list_missing(Archive *archive, const Wanted *wanted, Error *error)
{
    const WalShape *shape = &archive->options.shape;
    uint64_t first = wanted->segment, last = wanted->segment;
    bool lowest_missing = false, found = true;
    int looked_for = 0;
    Buffer names = {0};

    if (archive->needed_from != 0 && wal_segment_of(shape, archive->needed_from) < first)
        first = wal_segment_of(shape, archive->needed_from);
    if (archive->options.known_end != LSN_INVALID &&
        wal_segment_before(shape, archive->options.known_end) > last)
        last = wal_segment_before(shape, archive->options.known_end);
    for (uint64_t segment = first; segment <= last; segment++)
    {
        Wanted other = wanted_segment(archive, timeline_of(archive, wanted, segment), segment);

        if (names.size > MISSING_NAMES_SIZE_MAX || looked_for > MISSING_LOOKED_FOR_MAX ||
            (segment != wanted->segment &&
             (!stop_check(NULL) ||
              !is_somewhere(archive, other.timeline, segment, &looked_for, &found, NULL))))
        {
            buffer_printf(&names, "%s...", names.size > 0 ? ", " : "");
            break;
        }
        if (segment != wanted->segment && found)
            continue;
        buffer_printf(&names, "%s%s", names.size > 0 ? ", " : "", other.name);
        lowest_missing = lowest_missing || segment == first;
    }
    error_detail(error, "Missing: %s.%s", buffer_string(&names),
                 lowest_missing ? " Older ones may be needed as well." : "");
    buffer_free(&names);
}

bool error_missing_in_archive(void *context, Timeline timeline, uint64_t segment, Error *error)
{
    Archive *archive = context;
    const WalShape *shape = &archive->options.shape;
    Wanted wanted = wanted_segment(archive, timeline, segment);
    char text[LSN_TEXT_SIZE];
    Error reason;
    bool damaged = is_damaged(archive, &wanted, &reason);

    if (damaged)
        error_set(error, ERROR_FAILED, "WAL is damaged at %s in segment \"%s\": %s",
                  lsn_text(shape->version, wal_segment_start(shape, segment), text), wanted.name,
                  reason.message);
    else
        error_set(error, ERROR_FAILED,
                  "could not open file \"%s/%s/%s\": No such file or directory",
                  archive->options.data_directory, shape->version->wal_directory,
                  wanted.name); /* contract */
    if (!damaged)
    {
        describe_recycled_segment(archive, &wanted, error);
        hint_at_encryption(archive, error);
    }
    if (is_refused(archive, timeline, segment))
        error_detail(error, "could not restore file \"%s\" from archive", wanted.name);
    if (!damaged)
        list_missing(archive, &wanted, error);
    if (archive->options.restore_command != NULL)
        error_hint_compare(error);
    else
        error_hint(error, "Put the files there, or let pg_rewind fetch them: --wal-archive, "
                          "--restore-command, or --restore-target-wal for the target's own "
                          "\"restore_command\". --compare needs none of them.");
    return error_remedy(error, REMEDY_WAL);
}
