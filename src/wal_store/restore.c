#include "wal_store/restore.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/workers.h"
#include "format/relpath.h"
#include "format/settings.h"
#include "io/file.h"
#include "io/process.h"

#include <sys/wait.h>

#define STATUS_NOT_THERE_MAX 125 /* above: the shell, or a signal that it passes on */
#define STATUS_NOT_EXECUTABLE 126
#define STATUS_NOT_FOUND 127
#define STATUS_SIGNAL 128
#define TRIES_MAX 6
#define PAUSE_FIRST_MILLISECONDS 200 /* then 400 and so on: 6 seconds in all */

/*
 * The command as the server runs it: in the data directory, with a path that holds from there. Only
 * where the scratch directory has a relative path outside the data directory it runs in ours.
 */
static bool build_command(const RestoreCommand *restore, const char *name, const char *path,
                          Buffer *command, Error *error)
{
    const char *relative = relpath_below(path, restore->data_directory);
    AUTO_BUFFER Buffer expanded = {0};
    const bool result =
        restore_command_expand(restore->command, name, relative != NULL ? relative : path,
                               restore->redo_file_name, &expanded, error);

    if (relative != NULL || path[0] == '/')
    {
        buffer_append_string(command, "cd ");
        buffer_append_word(command, restore->data_directory);
        buffer_append_string(command, " || exit 126\n");
    }
    buffer_append(command, expanded.bytes, expanded.size);
    return result;
}

bool restore_run(const RestoreCommand *restore, const char *name, const char *path,
                 bool *ended_well, char *outcome, Error *error)
{
    const double begin = clock_seconds();
    AUTO_BUFFER Buffer command = {0};
    int pause = PAUSE_FIRST_MILLISECONDS, wait_status, status;

    *ended_well = false;
    if (!build_command(restore, name, path, &command, error))
        return false;
    for (int tries = 1;; tries++)
    {
        if (!process_shell(&(ShellCommand){.text = buffer_string(&command),
                                           .limit_seconds = restore->limit_seconds},
                           &wait_status, error))
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
