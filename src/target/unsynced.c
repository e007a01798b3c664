#include "target/unsynced.h"

#include "base/buffer.h"
#include "io/file.h"

#include <pthread.h>

static pthread_mutex_t noting = PTHREAD_MUTEX_INITIALIZER;

void unsynced_begin(void)
{
    (void) file_take_sync_failure();
}

static bool write_note(const char *path, const char *message, Error *error)
{
    AUTO_BUFFER Buffer text = {0};

    buffer_printf(
        &text,
        "%s\nA file of this directory may be lost. The next pg_rewind compares all blocks "
        "with those of the source, and then removes this file.\n",
        message);
    return durable_write(path, text.bytes, text.size, file_mode(), error);
}

/* A note that is there stays: if another one could not be written, both would be gone. */
static bool note(const char *target_directory, const char *message, Error *error)
{
    AUTO_BUFFER Buffer path = {0};

    path_in(&path, target_directory, UNSYNCED_PATH);
    return (unsynced_is_noted(target_directory) ||
            write_note(buffer_string(&path), message, error)) &&
           durable_sync_parent(buffer_string(&path), error);
}

void unsynced_note_at_once(const char *target_directory, const Error *error)
{
    pthread_mutex_lock(&noting);
    /* If it cannot be written, unsynced_end tries again, and must not take the rest for a note. */
    if (file_sync_has_failed() && !note(target_directory, error->message, NULL))
        (void) !unsynced_remove_note(target_directory, NULL);
    pthread_mutex_unlock(&noting);
}

bool unsynced_end(const char *target_directory, bool synced, Error *error)
{
    Error failure;

    if (!file_take_sync_failure())
        return synced;
    if (note(target_directory, error->message, &failure))
        return error_hint(error,
                          "A file that could not be written to the disk may be lost, which no "
                          "later sync would tell. So the next run compares all blocks with those "
                          "of the source, because of the file \"%s/" UNSYNCED_PATH "\".",
                          target_directory);
    error->error_number = 0;
    error_detail(error, "%s", failure.message);
    error_remedy(error, REMEDY_RESTART);
    return error_hint(error,
                      "A file that could not be written to the disk may be lost, and no later run "
                      "can see it: before the next run restart this host, and add --compare to "
                      "that run.");
}

bool unsynced_is_noted(const char *target_directory)
{
    return file_exists(target_directory, UNSYNCED_PATH);
}

bool unsynced_remove_note(const char *target_directory, Error *error)
{
    AUTO_BUFFER Buffer path = {0};

    return durable_remove(path_in(&path, target_directory, UNSYNCED_PATH), error);
}
