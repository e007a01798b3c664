#include "report/report.h"

#include "io/trust.h"
#include "pair/saved_directory.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define TEMPORARY ".pg_rewind.new"

/* ---- The file ---- */

static bool error_not_created(const char *path, Error *error)
{
    return error_set_errno(error, "could not create report file \"%s\"", path);
}

/* Set file->path and its directory: the existing or future file, with links followed. */
static bool find_place(ReportFile *file, const char *path, char *directory, Error *error)
{
    const char *slash = strrchr(path, '/');
    AUTO_BUFFER Buffer parent = {0}, whole = {0};
    bool found;

    if (!place_canonical(path, directory, &found, error))
        return false;
    if (found)
    {
        snprintf(file->path, sizeof(file->path), "%s", directory);
        *strrchr(directory, '/') = '\0';
        return true;
    }
    buffer_printf(&parent, "%.*s", slash == NULL ? 1 : (int) (slash - path) + 1,
                  slash == NULL ? "." : path);
    if (!place_canonical(buffer_string(&parent), directory, &found, error))
        return false;
    if (!found)
    {
        errno = ENOENT;
        return error_not_created(path, error);
    }
    path_in(&whole, directory, slash == NULL ? path : slash + 1);
    if (whole.size >= sizeof(file->path))
        return error_set(error, ERROR_FAILED, "path \"%s\" is too long", buffer_string(&whole));
    memcpy(file->path, whole.bytes, whole.size + 1);
    return true;
}

/* Return the inherited descriptor that the path names, or -1. If such a file was opened by its
 * name, the report would be written from its start, over existing content and the output of
 * others. */
static int find_descriptor(const char *path)
{
    static const char *const prefixes[] = {"/dev/fd/", "/proc/self/fd/"};

    if (strcmp(path, "/dev/stdout") == 0)
        return STDOUT_FILENO;
    if (strcmp(path, "/dev/stderr") == 0)
        return STDERR_FILENO;
    for (size_t i = 0; i < sizeof(prefixes) / sizeof(prefixes[0]); i++)
    {
        TextCursor text = text_cursor(path);
        uint32_t descriptor;

        if (text_take(&text, prefixes[i]) && text_take_u32(&text, &descriptor) &&
            text_at_end(&text) && descriptor <= INT32_MAX)
            return (int) descriptor;
    }
    return -1;
}

bool report_file_open(ReportFile *file, const char *path, const Options *options, Error *error)
{
    const int named = path != NULL ? find_descriptor(path) : -1;
    char directory[PLACE_PATH_SIZE];
    AUTO_BUFFER Buffer inside = {0};
    struct stat status;
    mode_t mask;
    bool found;
    int fd;

    *file = (ReportFile){.stream = path == NULL ? stdout : NULL};
    if (path == NULL)
        return true;
    if (named >= 0)
    {
        fd = fcntl(named, F_DUPFD_CLOEXEC, 0);
        file->stream = fd >= 0 ? fdopen(fd, "w") : NULL;
        return file->stream != NULL || error_not_created(path, error);
    }
    if (!trust_check(path, error))
        return error_hint(error, "Name a report file in a directory that belongs to root or to the "
                                 "user who runs pg_rewind, and that no others can write to.");
    if (!file_stat(path, &status, &found, error))
        return false;
    if (found && !S_ISREG(status.st_mode))
    {
        file->stream = fopen(path, "we");
        return file->stream != NULL || error_not_created(path, error);
    }
    if (!find_place(file, path, directory, error) ||
        !find_cluster_around(directory, &inside, error) ||
        !find_links_around(directory, options->target, &inside, error) ||
        !find_links_around(directory, options->source_directory, &inside, error))
        return false;
    if (inside.size > 0)
    {
        error_set(error, ERROR_FAILED, "report file \"%s\" must not be inside \"%s\"", path,
                  buffer_string(&inside));
        return error_detail(error, "The directory belongs to a server.");
    }
    if (snprintf(file->temporary, sizeof(file->temporary), "%s" TEMPORARY, file->path) >=
        (int) sizeof(file->temporary))
        return error_set(error, ERROR_FAILED, "path \"%s\" is too long", path);
    /* Remove a file that a killed run has left. */
    if (!file_remove(file->temporary, error))
        return false;
    /* Create the file without access for others: a process that opened it before its mode is set
     * could read what is written later. */
    mask = umask(S_IRWXG | S_IRWXO);
    file->stream = fopen(file->temporary, "wxe");
    umask(mask);
    if (file->stream == NULL)
        return error_not_created(path, error);
    file->is_temporary = true;
    return file_set_mode(fileno(file->stream), file->temporary,
                         found ? status.st_mode & 07777 : S_IRUSR | S_IWUSR, error);
}

void report_file_close(ReportFile *file, bool written)
{
    Error error;

    error_set(&error, ERROR_FAILED, "%s", strerror(errno));
    written = fflush(file->stream) == 0 && written;
    if (written && file->is_temporary)
        written = file_sync(fileno(file->stream), file->temporary, &error);
    written = fclose(file->stream) == 0 && written;
    if (written && file->is_temporary && file_rename(file->temporary, file->path, &error))
        return;
    if (!written || file->is_temporary)
        log_warning("could not write the report: %s", error.message);
    if (file->is_temporary)
        (void) !file_remove(file->temporary, NULL);
}
