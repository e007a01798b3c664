#include "target/unsynced.h"

#include "base/buffer.h"
#include "io/file.h"

#include <errno.h>

/* True for an error of opening a file, of which nothing was synced then. */
static bool is_of_open(int number)
{
    return number == ENOENT || number == ENOTDIR || number == ELOOP || number == EACCES ||
           number == EPERM || number == EMFILE || number == ENFILE;
}

bool unsynced_note(const char *target_directory, Error *error)
{
    AUTO_BUFFER Buffer path = {0}, text = {0};
    Error failure;

    if (is_of_open(error->error_number))
        return false;
    buffer_printf(
        &text,
        "%s\nA file of this directory may be lost. The next pg_rewind compares all blocks "
        "with those of the source, and then removes this file.\n",
        error->message);
    path_in(&path, target_directory, UNSYNCED_PATH);
    if (durable_write(buffer_string(&path), text.bytes, text.size, file_mode(), &failure) &&
        durable_sync_parent(buffer_string(&path), &failure))
        return error_hint(error,
                          "A file that could not be written to the disk may be lost, which no "
                          "later sync would tell. So the next run compares all blocks with those "
                          "of the source, because of the file \"%s\".",
                          buffer_string(&path));
    error->error_number = 0;
    error_detail(error, "%s", failure.message);
    return error_hint(error,
                      "A file that could not be written to the disk may be lost, and no later run "
                      "can see it: before the next run restart this host, and add --compare to "
                      "that run.");
}

bool unsynced_is_noted(const char *target_directory)
{
    return file_exists(target_directory, UNSYNCED_PATH);
}
