/*
 * pg_rewind.work/places, by which a killed run is cleaned up: whatever stands in it, nothing is
 * removed but work directories and, if they are empty, directories at absolute paths.
 */
#include "apply/journal.h"
#include "stage/stage.h"

#include "memory_files.h"

#include <string.h>

#define TARGET "/fuzz/target"
#define WORK TARGET "/" WORK_DIRECTORY
#define IN_TABLESPACE "/" WORK_DIRECTORY_OF "PG_"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static bool ends_with(const char *text, const char *end)
{
    const size_t length = strlen(text);

    return length >= strlen(end) && strcmp(text + length - strlen(end), end) == 0;
}

/* "/pg_rewind.work", or with a version's directory, as in a tablespace, is the last part. */
static bool is_work(const char *path)
{
    const char *name = strrchr(path, '/');

    return name != NULL && (strcmp(name, "/" WORK_DIRECTORY) == 0 ||
                            strncmp(name, IN_TABLESPACE, strlen(IN_TABLESPACE)) == 0);
}

static void look_at_removal(const char *path, bool is_directory)
{
    if (strstr(path, "/../") != NULL || ends_with(path, "/.."))
        __builtin_trap();
    if (strncmp(path, WORK "/", strlen(WORK "/")) == 0 || is_work(path))
        return;
    if (strncmp(path, TARGET "/", strlen(TARGET "/")) == 0 && ends_with(path, "/postmaster.pid"))
        return;
    if (path[0] == '/' && is_directory)
        return;
    __builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static char named[4096];
    static Error error;

    memory_files_clear();
    memory_files_put_directory(TARGET);
    memory_files_put_directory(WORK);
    memory_files_put(WORK "/places", bytes, size);
    /* Create the directory that the first record names, if its path is absolute. */
    if (size > 2 && memchr(bytes, '\0', size) != NULL && size < sizeof(named))
    {
        memcpy(named, bytes + 1, size - 1);
        if (bytes[1] == '/')
            memory_files_put_directory(named);
    }
    memory_files_on_remove(look_at_removal);
    (void) !stage_remove_stale(TARGET, &error);
    memory_files_on_remove(NULL); /* the fuzzer itself removes files, too */
    return 0;
}
