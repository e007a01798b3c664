#include "wal/archive.h"

#include "base/buffer.h"
#include "base/log.h"
#include "io/file.h"
#include "io/process.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#define INCOMING "incoming" /* below the scratch directory: files that are not whole yet */
#define SHELL_STATUS_MAX                                                                           \
    125 /* above: the shell could not run the command, or it died by a signal */

/* A segment that the restore command did not have: it is not asked again. */
typedef struct Refused
{
    Timeline timeline;
    uint64_t segment;
} Refused;

struct Archive
{
    ArchiveOptions options;
    pthread_mutex_t lock; /* over bringing files, and all below */
    Lsn common_end;
    Refused *refused;
    size_t refused_count;
    bool scratch_made;
};

typedef struct Wanted
{
    Timeline timeline;
    uint64_t segment;
    char name[WAL_NAME_SIZE];
} Wanted;

Archive *archive_create(const ArchiveOptions *options)
{
    Archive *archive = memory_allocate_zeroed(1, sizeof(Archive));

    archive->options = *options;
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

static Wanted wanted_segment(const Archive *archive, Timeline timeline, uint64_t segment)
{
    Wanted wanted = {.timeline = timeline, .segment = segment};

    wal_segment_name(&archive->options.shape, timeline, segment, wanted.name);
    return wanted;
}

/* Does the file begin with the page that the segment begins with? A recycled one does not. *reason
 * says why. */
static bool check_first_page(const Archive *archive, const Wanted *wanted, int fd, const char *path,
                             bool *valid, Error *reason, Error *error)
{
    const WalShape *shape = &archive->options.shape;
    uint8_t bytes[WAL_LONG_HEADER_SIZE];
    size_t length;
    WalPage page;

    *valid = false;
    if (!file_read_at(fd, path, bytes, sizeof(bytes), 0, &length, error))
        return false;
    *valid = walpage_parse(shape, bytes, length, wal_segment_start(shape, wanted->segment), &page,
                           reason);
    if (!*valid)
        log_debug("file \"%s\" does not hold this segment: %s", path, reason->message);
    return true;
}

/* Open path if it holds the segment. */
static bool open_if_valid(const Archive *archive, const Wanted *wanted, const char *path, int *fd,
                          bool *found, Error *error)
{
    bool valid = false;
    Error reason;

    *fd = -1;
    if (!file_open_read(path, fd, found, error))
        return false;
    if (!*found)
        return true;
    bool read = check_first_page(archive, wanted, *fd, path, &valid, &reason, error);
    *found = read && valid;
    if (!*found)
    {
        file_close(*fd);
        *fd = -1;
    }
    return read;
}

static bool open_in(const Archive *archive, const Wanted *wanted, const char *directory, int *fd,
                    bool *found, Error *error)
{
    char path[PATH_SIZE];

    return path_join(path, sizeof(path), directory, wanted->name, error) &&
           open_if_valid(archive, wanted, path, fd, found, error);
}

/* A file from an archive has the size of a segment; another one is a sign of something broken. */
static bool check_size(const Archive *archive, const char *path, bool *found, Error *error)
{
    struct stat status;

    if (!file_stat(path, &status, found, error))
        return false;
    if (!*found || status.st_size == (off_t) archive->options.shape.segment_size)
        return true;
    return error_set(error, ERROR_FAILED, "unexpected file size for \"%s\": %lld instead of %lld",
                     path, (long long) status.st_size,
                     (long long) archive->options.shape.segment_size); /* contract */
}

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
 * Where a file is brought to. Its base name is the segment's (restore commands look at it); it
 * moves up into the scratch directory when it is whole, so that what lies there can be used after
 * an interruption.
 */
static bool incoming_path(Archive *archive, const Wanted *wanted, char path[PATH_SIZE],
                          Error *error)
{
    char directory[PATH_SIZE];

    return make_scratch(archive, error) &&
           path_join(directory, sizeof(directory), archive->options.scratch_directory, INCOMING,
                     error) &&
           path_join(path, PATH_SIZE, directory, wanted->name, error) && file_remove(path, error);
}

/* Take over what was brought, if it is the segment, and open it. */
static bool accept_incoming(const Archive *archive, const Wanted *wanted, const char *incoming,
                            int *fd, bool *found, Error *error)
{
    char path[PATH_SIZE];

    if (!open_if_valid(archive, wanted, incoming, fd, found, error))
        return false;
    if (!*found)
        return file_remove(incoming, error);
    if (path_join(path, sizeof(path), archive->options.scratch_directory, wanted->name, error) &&
        file_rename(incoming, path, error))
        return true;
    file_close(*fd);
    *fd = -1;
    return false;
}

static bool bring_from_source(Archive *archive, const Wanted *wanted, int *fd, bool *found,
                              Error *error)
{
    const ArchiveOptions *options = &archive->options;
    Lsn end = wal_segment_start(&options->shape, wanted->segment) + options->shape.segment_size;
    char incoming[PATH_SIZE];

    *found = false;
    if (options->fetch == NULL || end > archive->common_end)
        return true;
    if (!incoming_path(archive, wanted, incoming, error) ||
        !options->fetch(options->fetch_context, wanted->name, incoming, found, error))
        return false;
    if (!*found)
        return true;
    log_debug("using file \"%s\" of the source", wanted->name);
    return accept_incoming(archive, wanted, incoming, fd, found, error);
}

static bool open_in_archive(const Archive *archive, const Wanted *wanted, int *fd, bool *found,
                            Error *error)
{
    const char *directory = archive->options.archive_directory;
    char path[PATH_SIZE];

    *found = false;
    if (directory == NULL)
        return true;
    if (!path_join(path, sizeof(path), directory, wanted->name, error) ||
        !check_size(archive, path, found, error))
        return false;
    return !*found || open_if_valid(archive, wanted, path, fd, found, error);
}

/* 'text' for a shell. */
static void append_quoted(Buffer *command, const char *text)
{
    buffer_append_u8(command, '\'');
    for (; *text != '\0'; text++)
    {
        if (*text == '\'')
            buffer_append_string(command, "'\\''");
        else
            buffer_append_u8(command, (uint8_t) *text);
    }
    buffer_append_u8(command, '\'');
}

/* The part of path below directory, or NULL. */
static const char *below(const char *directory, const char *path)
{
    size_t size = strlen(directory);

    while (size > 1 && directory[size - 1] == '/')
        size--;
    return strncmp(path, directory, size) == 0 && path[size] == '/' ? path + size + 1 : NULL;
}

/* Put values for %f, %p, %r and %%; others are errors, as in replace_percent_placeholders of 16. */
static bool append_expanded(Buffer *command, const ArchiveOptions *options, const char *name,
                            const char *path, Error *error)
{
    for (const char *c = options->restore_command; *c != '\0'; c++)
    {
        if (*c != '%')
        {
            buffer_append_u8(command, (uint8_t) *c);
            continue;
        }
        c++;
        if (*c == 'f')
            buffer_append_string(command, name);
        else if (*c == 'p')
            buffer_append_string(command, path);
        else if (*c == 'r' && options->redo_file_name != NULL)
            buffer_append_string(command, options->redo_file_name);
        else if (*c == '%')
            buffer_append_u8(command, '%');
        else
        {
            error_set(error, ERROR_FAILED, "invalid value for parameter \"%s\": \"%s\"",
                      "restore_command", options->restore_command);
            if (*c == '\0')
                return error_detail(error,
                                    "String ends unexpectedly after escape character \"%%\".");
            return error_detail(error, "String contains unexpected placeholder \"%%%c\".", *c);
        }
    }
    return true;
}

/*
 * The command as the server runs it: in the data directory, with a path that holds from there. Only
 * where the scratch directory has a relative path outside the data directory it runs in ours.
 */
static bool build_command(const ArchiveOptions *options, const char *name, const char *path,
                          Buffer *command, Error *error)
{
    const char *relative = below(options->data_directory, path);

    if (relative != NULL || path[0] == '/')
    {
        buffer_append_string(command, "cd ");
        append_quoted(command, options->data_directory);
        buffer_append_string(command, " || exit 126\n");
    }
    return append_expanded(command, options, name, relative != NULL ? relative : path, error);
}

static bool is_refused(const Archive *archive, Timeline timeline, uint64_t segment)
{
    for (size_t i = 0; i < archive->refused_count; i++)
        if (archive->refused[i].timeline == timeline && archive->refused[i].segment == segment)
            return true;
    return false;
}

static void refuse(Archive *archive, const Wanted *wanted)
{
    size_t size = (archive->refused_count + 1) * sizeof(Refused);

    archive->refused = memory_resize(archive->refused, size);
    archive->refused[archive->refused_count++] =
        (Refused){.timeline = wanted->timeline, .segment = wanted->segment};
}

static bool restore(Archive *archive, const Wanted *wanted, int *fd, bool *found, Error *error)
{
    const ArchiveOptions *options = &archive->options;
    char incoming[PATH_SIZE];
    Buffer command = {0};
    int wait_status = 0;

    *found = false;
    if (options->restore_command == NULL || is_refused(archive, wanted->timeline, wanted->segment))
        return true;
    if (!incoming_path(archive, wanted, incoming, error))
        return false;
    bool ran = build_command(options, wanted->name, incoming, &command, error) &&
               process_shell(buffer_string(&command), &wait_status, error);
    buffer_free(&command);
    if (!ran)
        return false;
    if (WIFSIGNALED(wait_status) ||
        (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) > SHELL_STATUS_MAX))
    {
        char what[256];
        process_describe(wait_status, what, sizeof(what));
        return error_set(error, ERROR_FAILED, "\"restore_command\" failed: %s",
                         what); /* contract */
    }
    if (wait_status == 0 && !check_size(archive, incoming, found, error))
        return false;
    if (*found && !accept_incoming(archive, wanted, incoming, fd, found, error))
        return false;
    if (*found)
        log_debug("using file \"%s\" restored from archive", wanted->name); /* contract */
    else
        refuse(archive, wanted);
    return *found || file_remove(incoming, error);
}

static bool is_own_only(const Archive *archive, uint64_t segment)
{
    Lsn known_end = archive->options.known_end;

    return known_end != LSN_INVALID &&
           wal_segment_start(&archive->options.shape, segment) >= known_end;
}

bool archive_open(void *context, Timeline timeline, uint64_t segment, int *fd, bool *found,
                  Error *error)
{
    Archive *archive = context;
    const ArchiveOptions *options = &archive->options;
    Wanted wanted = wanted_segment(archive, timeline, segment);

    *fd = -1;
    *found = false;
    if (!open_in(archive, &wanted, options->wal_directory, fd, found, error))
        return false;
    if (*found || is_own_only(archive, segment))
        return true;

    /* One at a time: several workers may want the same file. */
    pthread_mutex_lock(&archive->lock);
    bool good = true;
    if (options->scratch_directory != NULL)
        good = open_in(archive, &wanted, options->scratch_directory, fd, found, error);
    if (good && !*found)
        good = bring_from_source(archive, &wanted, fd, found, error);
    if (good && !*found)
        good = open_in_archive(archive, &wanted, fd, found, error);
    if (good && !*found)
        good = restore(archive, &wanted, fd, found, error);
    pthread_mutex_unlock(&archive->lock);
    return good;
}

const char *archive_path(Archive *archive, Arena *arena, Timeline timeline, uint64_t segment)
{
    Wanted wanted = wanted_segment(archive, timeline, segment);
    const char *directories[] = {archive->options.wal_directory, archive->options.scratch_directory,
                                 archive->options.archive_directory};

    for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++)
    {
        char path[PATH_SIZE];
        bool found = false;
        int fd;
        Error error;

        if (directories[i] == NULL || (i > 0 && is_own_only(archive, segment)) ||
            !path_join(path, sizeof(path), directories[i], wanted.name, &error) ||
            !open_if_valid(archive, &wanted, path, &fd, &found, &error) || !found)
            continue;
        file_close(fd);
        return arena_strdup(arena, path);
    }
    return NULL;
}

/*
 * Is the file in pg_wal all the same, and its first page damaged? Then its second page is this
 * segment's. In a recycled file it is not, nor in one that was made in advance.
 */
static bool is_damaged(const Archive *archive, const Wanted *wanted, Error *reason)
{
    const WalShape *shape = &archive->options.shape;
    const Lsn second = wal_segment_start(shape, wanted->segment) + shape->block_size;
    uint8_t bytes[WAL_LONG_HEADER_SIZE];
    char path[PATH_SIZE];
    Error ignored;
    WalPage page;
    size_t length;
    bool found = false;
    bool valid = true;
    int fd = -1;

    if (!path_join(path, sizeof(path), archive->options.wal_directory, wanted->name, &ignored) ||
        !file_open_read(path, &fd, &found, &ignored) || !found)
        return false;
    if (!check_first_page(archive, wanted, fd, path, &valid, reason, &ignored) ||
        !file_read_at(fd, path, bytes, sizeof(bytes), shape->block_size, &length, &ignored))
        valid = true;
    file_close(fd);
    return !valid && walpage_parse(shape, bytes, length, second, &page, &ignored);
}

bool archive_missing_error(const void *context, Timeline timeline, uint64_t segment, Error *error)
{
    const Archive *archive = context;
    Wanted wanted = wanted_segment(archive, timeline, segment);

    const WalShape *shape = &archive->options.shape;
    char text[LSN_TEXT_SIZE];
    Error reason;

    if (is_damaged(archive, &wanted, &reason))
        error_set(error, ERROR_FAILED, "WAL is damaged at %s in segment \"%s\": %s",
                  lsn_text(shape->version, wal_segment_start(shape, segment), text), wanted.name,
                  reason.message);
    else
        error_set(error, ERROR_FAILED,
                  "could not open file \"%s/pg_wal/%s\": No such file or directory",
                  archive->options.data_directory, wanted.name); /* contract */
    if (is_refused(archive, timeline, segment))
        error_detail(error, "could not restore file \"%s\" from archive", wanted.name);
    return archive->options.restore_command != NULL
               ? false
               : error_hint(error,
                            "Put the file there, or let pg_rewind fetch it with the target's "
                            "\"restore_command\": --restore-target-wal.");
}
