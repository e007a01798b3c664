#include "io/process.h"

#include "base/clock.h"
#include "base/encoding.h"
#include "base/workers.h"
#include "io/file.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define LOADER_PREFIX "/ld-linux"
#define PROCESS_NAME "pg_rewind"
#define OUTPUT_MAX (1024 * 1024)
#define NUMBER_SIZE_MAX 64
#define OWN_OOM_SCORE_ADJ "/proc/self/oom_score_adj"
#define POLL_MILLISECONDS 200
#define WAIT_MILLISECONDS_MAX 50
#define GRACE_SECONDS 5 /* for a command that was asked to end at its limit */

extern char **environ;

typedef struct Child
{
    const char *const *arguments;
    int stdout_fd;   /* unless there is a log */
    bool quiet;      /* stderr is /dev/null, not ours */
    const char *log; /* existing file to which stdout and stderr are appended; or NULL */
    const char *const *environment;   /* ShellCommand.environment */
    const ServerSurroundings *server; /* set for a child that starts a server; otherwise NULL */
    pid_t pid;
} Child;

/* Signal a child. One that leads a group is signalled with its group, except where a server may be
 * in that. */
static void signal_child(const Child *child, int number)
{
    kill(child->server == NULL && getpgid(child->pid) == child->pid ? -child->pid : child->pid,
         number);
}

/* ---- The environment of a server ---- */

/* The environment variables that libpq reads, up to 19 (libpq/fe-connect.c, fe-secure-openssl.c,
 * fe-auth-oauth.c, documented as "Environment Variables"). A server would pass them on to all
 * programs that it runs, take settings from them, and show them to users who can read /proc. */
static const char *const libpq_variables[] = {
    "PGAPPNAME",
    "PGCHANNELBINDING",
    "PGCLIENTENCODING",
    "PGCONNECT_TIMEOUT",
    "PGDATABASE",
    "PGDATESTYLE",
    "PGGEQO",
    "PGGSSDELEGATION",
    "PGGSSENCMODE",
    "PGGSSLIB",
    "PGHOST",
    "PGHOSTADDR",
    "PGKRBSRVNAME",
    "PGLOADBALANCEHOSTS",
    "PGLOCALEDIR",
    "PGMAXPROTOCOLVERSION",
    "PGMINPROTOCOLVERSION",
    "PGOAUTHCAFILE",
    "PGOAUTHDEBUG",
    "PGOPTIONS",
    "PGPASSFILE",
    "PGPASSWORD",
    "PGPORT",
    "PGREALM",
    "PGREQUIREAUTH",
    "PGREQUIREPEER",
    "PGREQUIRESSL",
    "PGSERVICE",
    "PGSERVICEFILE",
    "PGSSLCERT",
    "PGSSLCERTMODE",
    "PGSSLCOMPRESSION",
    "PGSSLCRL",
    "PGSSLCRLDIR",
    "PGSSLKEY",
    "PGSSLKEYLOGFILE",
    "PGSSLMAXPROTOCOLVERSION",
    "PGSSLMINPROTOCOLVERSION",
    "PGSSLMODE",
    "PGSSLNEGOTIATION",
    "PGSSLROOTCERT",
    "PGSSLSNI",
    "PGSYSCONFDIR",
    "PGTARGETSESSIONATTRS",
    "PGTTY",
    "PGTZ",
    "PGUSER",
};

static bool is_libpq_variable(const char *setting)
{
    const size_t length = strcspn(setting, "=");

    for (size_t i = 0; i < sizeof(libpq_variables) / sizeof(libpq_variables[0]); i++)
        if (strlen(libpq_variables[i]) == length &&
            strncmp(setting, libpq_variables[i], length) == 0)
            return true;
    return false;
}

/* Our environment without what libpq reads. The caller frees the list; the strings are ours. */
static char **make_environment(void)
{
    size_t count = 0, kept = 0;
    char **made;

    while (environ[count] != NULL)
        count++;
    made = memory_allocate((count + 1) * sizeof(*made));
    for (size_t i = 0; i < count; i++)
        if (!is_libpq_variable(environ[i]))
            made[kept++] = environ[i];
    made[kept] = NULL;
    return made;
}

/* ---- The limits of a server: a child has what its parent has when it starts ---- */

/* Set our soft limits to these, except where a hard limit is lower. former gets our limits before
 * that; it may be the same array. */
static void exchange_limits(const struct rlimit *limits, struct rlimit *former)
{
    for (int i = 0; i < RLIM_NLIMITS; i++)
    {
        const rlim_t wanted = limits[i].rlim_cur;
        struct rlimit limit;

        if (getrlimit((__rlimit_resource_t) i, &limit) != 0)
            continue;
        former[i] = limit;
        limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
        setrlimit((__rlimit_resource_t) i, &limit);
    }
}

/* Set the oom_score_adj of this process. The kernel lets only root lower it below the value that
 * the process began with. */
static void set_oom_score_adj(const char *number)
{
    AUTO_FD int fd = -1;

    if (file_open_update(OWN_OOM_SCORE_ADJ, &fd, NULL))
        (void) !file_write_at(fd, OWN_OOM_SCORE_ADJ, number, strlen(number), 0, NULL);
}

/* ---- Children ---- */

/* The session and process group of a child: see start_child. */
static short choose_flags(const Child *child)
{
    const short flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    AUTO_FD int fd = -1;
    bool found;

    /* In the foreground of a terminal a command may ask for a password, which would stop it in
     * another process group, and Ctrl-C reaches all that we have started. */
    if ((child->server == NULL || child->server->at_terminal) &&
        file_open_read("/dev/tty", &fd, &found, NULL) && found && tcgetpgrp(fd) == getpgrp())
        return flags;
    return (short) (flags | (child->server != NULL ? POSIX_SPAWN_SETSID : POSIX_SPAWN_SETPGROUP));
}

/* The limits of a server take the place of ours for the instant in which its child is made. */
static int spawn(Child *child, const posix_spawn_file_actions_t *actions,
                 const posix_spawnattr_t *attributes)
{
    const ServerSurroundings *server = child->server;
    char *const *given = (char *const *) child->environment;
    char **made = given == NULL && server != NULL ? make_environment() : NULL;
    char *const *environment = given != NULL ? given : made != NULL ? made : environ;
    struct rlimit own_limits[RLIM_NLIMITS] = {0};
    AUTO_BUFFER Buffer own_score = {0};
    int number;

    if (server != NULL && server->limits != NULL)
        exchange_limits(server->limits, own_limits);
    if (server != NULL && server->oom_score_adj != NULL &&
        file_read_all(OWN_OOM_SCORE_ADJ, NUMBER_SIZE_MAX, &own_score, NULL, NULL))
        set_oom_score_adj(server->oom_score_adj);
    number = posix_spawn(&child->pid, child->arguments[0], actions, attributes,
                         (char *const *) child->arguments, environment);
    if (server != NULL && server->limits != NULL)
        exchange_limits(own_limits, own_limits);
    if (own_score.size > 0)
        set_oom_score_adj(buffer_string(&own_score));
    free(made);
    return number;
}

/*
 * Start a child with its arguments; stdin is /dev/null. The child gets only the first three
 * descriptors: a server that it starts would otherwise hold our caller's descriptors, such as a
 * pipe or a lock, as long as it runs. Except at a terminal the child leads a process group, so that
 * its own children can be stopped with it; a child that starts a server leads a session.
 */
static bool start_child(Child *child, Error *error)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t defaults;
    sigset_t mask;
    int number;

    /* Ignored signals would stay so in the child. */
    sigemptyset(&mask);
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    sigaddset(&defaults, SIGXFSZ);
    sigaddset(&defaults, SIGCHLD);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setflags(&attributes, choose_flags(child));
    posix_spawnattr_setpgroup(&attributes, 0);
    posix_spawnattr_setsigmask(&attributes, &mask);
    posix_spawnattr_setsigdefault(&attributes, &defaults);

    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    if (child->log != NULL)
    {
        posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, child->log, O_WRONLY | O_APPEND,
                                         0);
        posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
    }
    else
        posix_spawn_file_actions_adddup2(&actions, child->stdout_fd, STDOUT_FILENO);
    if (child->quiet)
        posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
    number = spawn(child, &actions, &attributes);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (number != 0)
    {
        errno = number;
        return error_set_errno(error, "could not execute command \"%s\"", child->arguments[0]);
    }
    return true;
}

/*
 * Wait for the child. After a stop request, or after limit_seconds (0: no limit), ask the child and
 * its own children to exit; the error says which of both it was. A child with a limit that does not
 * exit is killed. Polls, because the signal may arrive in another thread.
 */
static bool wait_for_child(const Child *child, int limit_seconds, int *wait_status, Error *error)
{
    const double begin = clock_seconds();
    long milliseconds = 1;
    bool stopped = false;

    for (;;)
    {
        struct timespec pause = {.tv_sec = 0, .tv_nsec = milliseconds * 1000000};
        const pid_t ended = waitpid(child->pid, wait_status, WNOHANG);
        const double lasted = clock_seconds() - begin;

        if (ended == child->pid)
            return !stopped;
        if (ended < 0 && errno != EINTR)
            return error_set_errno(error, "could not wait for child process");
        if (stopped && limit_seconds > 0 && lasted >= limit_seconds + GRACE_SECONDS)
            signal_child(child, SIGKILL);
        else if (!stopped)
        {
            stopped = !stop_check(error);
            if (!stopped && limit_seconds > 0 && lasted >= limit_seconds)
                stopped = !error_set(error, ERROR_FAILED, "command did not end within %d s",
                                     limit_seconds);
            if (stopped)
                signal_child(child, SIGTERM);
        }
        nanosleep(&pause, NULL);
        if (milliseconds < WAIT_MILLISECONDS_MAX)
            milliseconds *= 2;
    }
}

/* Read fd to its end. */
static bool read_output(int fd, const char *command, Buffer *output, Error *error)
{
    const size_t before = output->size;
    char bytes[4096];

    for (;;)
    {
        struct pollfd waited = {.fd = fd, .events = POLLIN};
        ssize_t got;

        if (!stop_check(error))
            return false;
        if (poll(&waited, 1, POLL_MILLISECONDS) <= 0)
            continue;
        got = read(fd, bytes, sizeof(bytes));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_set_errno(error, "could not read the output of command \"%s\"", command);
        if (got == 0)
            return true;
        if ((size_t) got > OUTPUT_MAX - (output->size - before))
            return error_set(error, ERROR_FAILED,
                             "output of command \"%s\" is larger than %d bytes", command,
                             OUTPUT_MAX);
        buffer_append(output, bytes, (size_t) got);
    }
}

bool process_run(const char *const *arguments, bool quiet, Buffer *output, int *wait_status,
                 Error *error)
{
    Child child = {.arguments = arguments, .quiet = quiet};
    bool started, collected, waited;
    int ends[2];

    if (pipe2(ends, O_CLOEXEC) != 0)
        return error_set_errno(error, "could not create pipe");
    child.stdout_fd = ends[1];
    started = start_child(&child, error);
    file_close(ends[1]);
    collected = started && read_output(ends[0], arguments[0], output, error);
    file_close(ends[0]);
    if (!started)
        return false;
    if (!collected)
        signal_child(&child, SIGTERM);

    /* Waited for in any case; the first error is the one to tell. */
    waited = wait_for_child(&child, 0, wait_status, collected ? error : NULL);
    return collected && waited;
}

bool process_shell(const ShellCommand *command, int *wait_status, Error *error)
{
    const char *const arguments[] = {"/bin/sh", "-c", command->text, NULL};
    Child child = {.arguments = arguments,
                   .stdout_fd = STDERR_FILENO,
                   .log = command->log,
                   .environment = command->environment,
                   .server = command->server};
    AUTO_FD int fd = -1;

    return (command->log == NULL || file_create(command->log, CREATE_MISSING, &fd, error)) &&
           start_child(&child, error) &&
           wait_for_child(&child, command->limit_seconds, wait_status, error);
}

void process_describe(int wait_status, char *out, size_t size)
{
    if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 126)
        snprintf(out, size, "command not executable");
    else if (WIFEXITED(wait_status) && WEXITSTATUS(wait_status) == 127)
        snprintf(out, size, "command not found");
    else if (WIFEXITED(wait_status))
        snprintf(out, size, "child process exited with exit code %d", WEXITSTATUS(wait_status));
    else if (WIFSIGNALED(wait_status))
        snprintf(out, size, "child process was terminated by signal %d: %s", WTERMSIG(wait_status),
                 strsignal(WTERMSIG(wait_status)));
    else
        snprintf(out, size, "child process exited with unrecognized status %d", wait_status);
}

/* ---- The portable directory ---- */

/* Cut a path's last component off. */
static void cut_to_parent(Buffer *path)
{
    const char *text = buffer_string(path);

    path->size = (size_t) (strrchr(text, '/') - text);
    if (path->size == 0)
        buffer_append_u8(path, '/');
}

bool process_own_directory(Buffer *directory, bool *by_loader, Error *error)
{
    const char *path;
    bool is_loader;

    if (!file_read_link("/proc/self/exe", directory, error))
        return false;
    path = buffer_string(directory);
    is_loader = strncmp(strrchr(path, '/'), LOADER_PREFIX, strlen(LOADER_PREFIX)) == 0;
    cut_to_parent(directory);
    if (is_loader)
        cut_to_parent(directory);
    if (by_loader != NULL)
        *by_loader = is_loader;
    return true;
}

/* Let the C library read the list of its tables of encodings in a portable directory. It looks for
 * the list once. */
static void take_encodings(const char *directory)
{
    const char *former = getenv("GCONV_PATH");
    AUTO_BUFFER Buffer path = {0}, kept = {0};

    if (former != NULL)
        buffer_append_string(&kept, former);
    setenv("GCONV_PATH", path_in(&path, directory, "lib/gconv"), 1);
    encoding_close(iconv_open("UTF-8", "LATIN1"));
    if (former != NULL)
        setenv("GCONV_PATH", buffer_string(&kept), 1);
    else
        unsetenv("GCONV_PATH");
}

void process_begin(void)
{
    const size_t length = strlen(PROCESS_KEPT_PREFIX);
    AUTO_BUFFER Buffer directory = {0};
    bool by_loader;

    for (char **setting = environ; *setting != NULL; setting++)
        if (strncmp(*setting, PROCESS_KEPT_PREFIX, length) == 0)
            *setting += length;
    if (!process_own_directory(&directory, &by_loader, NULL) || !by_loader)
        return;
    prctl(PR_SET_NAME, PROCESS_NAME);
    take_encodings(buffer_string(&directory));
}
