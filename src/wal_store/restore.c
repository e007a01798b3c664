#include "wal_store/restore.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/text_cursor.h"
#include "base/workers.h"
#include "format/relpath.h"
#include "format/settings.h"
#include "io/file.h"
#include "io/process.h"

#include <sys/wait.h>

#define MESSAGES_SIZE_MAX 2000
#define STATUS_NOT_THERE_MAX 125 /* above: the shell, or a signal that it passes on */
#define STATUS_NOT_EXECUTABLE 126
#define STATUS_NOT_FOUND 127
#define STATUS_SIGNAL 128
#define TRIES_MAX 6
#define PAUSE_FIRST_MILLISECONDS 200 /* doubled for each further try: 6 seconds in all */

/*
 * The command as the server runs it: in the data directory, with a path that holds from there. Only
 * where the scratch directory has a relative path outside the data directory it runs in ours. What
 * it prints goes to the file `messages`, or to stderr.
 */
static bool build_command(const RestoreCommand *restore, const char *name, const char *path,
                          const char *messages, Buffer *command, Error *error)
{
    const char *relative = relpath_below(path, restore->data_directory);
    AUTO_BUFFER Buffer expanded = {0};
    const bool result =
        restore_command_expand(restore->command, name, relative != NULL ? relative : path,
                               restore->redo_file_name, &expanded, error);

    if (messages != NULL)
        buffer_printf(command, "exec >>%s 2>&1\n", messages);
    if (relative != NULL || path[0] == '/')
    {
        buffer_append_string(command, "cd ");
        buffer_append_word(command, restore->data_directory);
        buffer_append_string(command, " || exit 126\n");
    }
    buffer_append(command, expanded.bytes, expanded.size);
    return result;
}

/* Print what the command has written to this file since the last call: bare, its messages would
 * look like those of the run, which may go well. */
static void show_messages(int fd, const char *name, uint64_t *shown_size)
{
    char text[MESSAGES_SIZE_MAX + 1];
    TextCursor lines, line;
    size_t size;

    if (!file_read_at(fd, "", text, MESSAGES_SIZE_MAX, *shown_size, &size, NULL))
        return;
    *shown_size += size;
    text[size] = '\0';
    lines = text_cursor(text);
    while (text_take_line(&lines, &line))
        log_detail("\"restore_command\" for \"%s\": %.*s", name, (int) (line.end - line.position),
                   line.position);
}

bool restore_run(const RestoreCommand *restore, const char *name, const char *path,
                 bool *ended_well, char *outcome, Error *error)
{
    const double begin = clock_seconds();
    AUTO_BUFFER Buffer command = {0};
    int pause = PAUSE_FIRST_MILLISECONDS, wait_status, status;
    char messages[FILE_MEMORY_PATH_SIZE];
    uint64_t shown_size = 0;
    AUTO_FD int fd = -1;
    bool ended;

    *ended_well = false;
    outcome[0] = '\0';
    if ((restore->is_unasked && !file_in_memory(&fd, messages, error)) ||
        !build_command(restore, name, path, fd >= 0 ? messages : NULL, &command, error))
        return false;
    for (int tries = 1;; tries++)
    {
        ended = process_shell(&(ShellCommand){.text = buffer_string(&command),
                                              .limit_seconds = restore->limit_seconds,
                                              .environment = restore->environment},
                              &wait_status, error);
        if (fd >= 0)
            show_messages(fd, name, &shown_size);
        outcome[0] = '\0';
        if (!ended)
            return false;
        process_describe(wait_status, outcome, RESTORE_OUTCOME_SIZE);
        status = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : STATUS_SIGNAL;
        if (status <= STATUS_NOT_THERE_MAX)
            break;
        if (tries == TRIES_MAX || status == STATUS_NOT_EXECUTABLE || status == STATUS_NOT_FOUND ||
            clock_seconds() - begin + pause / 1000.0 > restore->retry_timeout_seconds)
            return error_set(error, ERROR_FAILED, "\"restore_command\" failed: %s", /* contract */
                             outcome);
        log_warning("\"restore_command\" failed: %s; it is run again", outcome);
        if (!stop_pause(pause, error) || !file_remove(path, error))
            return false;
        pause *= 2;
    }
    *ended_well = wait_status == 0;
    return true;
}
