/*
 * The pg_rewind of the portable directory: starts lib/pg_rewind by the C library's loader in lib,
 * so that no loader, library or shell of the system is needed. Linked statically; LOADER is the
 * loader's file name.
 *
 * Variables that the loader obeys were meant for the system's libraries, such as a malloc to be
 * preloaded, and would break ours. They get another name, which the program takes off again for the
 * programs that it runs (process_begin, src/io/process.h).
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#define KEPT_PREFIX "PG_REWIND_KEPT_" /* PROCESS_KEPT_PREFIX */

extern char **environ;

/* The directory of this file, links followed, without a "/" at its end. Without /proc the kernel
 * still says how it was called. */
static int find_directory(char directory[PATH_MAX])
{
    const ssize_t length = readlink("/proc/self/exe", directory, PATH_MAX - 1);

    if (length > 0)
        directory[length] = '\0';
    else if (realpath((const char *) getauxval(AT_EXECFN), directory) == NULL)
        return 0;
    *strrchr(directory, '/') = '\0';
    return 1;
}

static char *make_path(const char *directory, const char *name)
{
    const size_t size = strlen(directory) + strlen(name) + sizeof("/lib/");
    char *path = malloc(size);

    if (path != NULL)
        snprintf(path, size, "%s/lib/%s", directory, name);
    return path;
}

/* Give what the loader would obey another name. */
static int hide_from_loader(void)
{
    static const char *const names[] = {"LD_PRELOAD=",     "LD_LIBRARY_PATH=",  "LD_AUDIT=",
                                        "LD_ORIGIN_PATH=", "LD_ASSUME_KERNEL=", "GCONV_PATH="};

    for (char **setting = environ; *setting != NULL; setting++)
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        {
            const size_t size = sizeof(KEPT_PREFIX) + strlen(*setting);
            char *kept;

            if (strncmp(*setting, names[i], strlen(names[i])) != 0)
                continue;
            kept = malloc(size);
            if (kept == NULL)
                return 0;
            snprintf(kept, size, KEPT_PREFIX "%s", *setting);
            *setting = kept;
            break;
        }
    return 1;
}

int main(int argc, char **argv)
{
    char directory[PATH_MAX];
    char *loader = NULL, *program = NULL;
    char **arguments = malloc(((size_t) argc + 5) * sizeof(*arguments));
    size_t count = 0;

    if (arguments != NULL && find_directory(directory) && hide_from_loader())
    {
        loader = make_path(directory, LOADER);
        program = make_path(directory, "pg_rewind");
    }
    if (loader != NULL && program != NULL)
    {
        arguments[count++] = loader;
        arguments[count++] = (char[]){"--argv0"};
        arguments[count++] = argc > 0 ? argv[0] : program;
        arguments[count++] = program;
        for (int i = 1; i < argc; i++)
            arguments[count++] = argv[i];
        arguments[count] = NULL;
        execv(loader, arguments);
    }
    fprintf(stderr, "pg_rewind: error: could not execute \"%s\": %s\n",
            loader != NULL ? loader : LOADER, strerror(errno));
    return 1;
}
