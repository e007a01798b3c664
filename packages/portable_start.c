/*
 * The pg_rewind of the portable directory: starts lib/pg_rewind by the C library's loader in lib,
 * so that no loader, library or shell of the system is needed. Linked statically; LOADER is the
 * loader's file name.
 *
 * Variables that the loader obeys were meant for the system's libraries, such as a malloc to be
 * preloaded, and would break ours. They get another name, which the program takes off again for the
 * programs that it runs (process_begin, src/io/process.h).
 *
 * A sandbox may refuse calls that it does not know with EPERM, as Docker before 20.10.10 does. The
 * C library takes that for an answer, and starts no thread and no program. It needs ENOSYS to do
 * without such a call.
 */
#include <errno.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
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

/* Let the calls that are newer than statx (Linux 4.11) fail with ENOSYS where a sandbox refuses one
 * of them with EPERM: the answer of the latest filter counts. Without privileges that takes away
 * what setuid would give, such as sudo. */
static void correct_sandbox(void)
{
    struct sock_filter steps[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, SYS_statx, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    const struct sock_fprog program = {.len = sizeof(steps) / sizeof(steps[0]), .filter = steps};

    /* No kernel takes these arguments. */
    if (syscall(SYS_clone3, NULL, 0) == 0 || errno != EPERM ||
        prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0)
        return;
    prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

int main(int argc, char **argv)
{
    char directory[PATH_MAX];
    char *loader = NULL, *program = NULL;
    char **arguments = malloc(((size_t) argc + 5) * sizeof(*arguments));
    size_t count = 0;

    correct_sandbox();
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
