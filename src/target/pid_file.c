#include "target/pid_file.h"

#include "base/text_cursor.h"
#include "base/wait.h"
#include "io/dir.h"
#include "io/file.h"
#include "io/place.h"
#include "io/supervise.h"

#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROC_FILE_SIZE_MAX (1024 * 1024)
/* Numbers of fields in a process's stat: see proc(5) */
#define PARENT_FIELD 4
#define SESSION_FIELD 6
#define START_FIELD 22
#define CLOCK_TOLERANCE_SECONDS 3

/* ---- the file ---- */

void pid_file_parse(const Buffer *text, PidFileServer *server)
{
    const struct
    {
        char *line;
        size_t size;
    } lines[] = {
        {server->pid, sizeof(server->pid)},
        {server->directory, sizeof(server->directory)},
        {server->start_time, sizeof(server->start_time)},
        {server->port, sizeof(server->port)},
        {server->socket_directory, sizeof(server->socket_directory)},
        {server->listen_address, sizeof(server->listen_address)},
        {server->shmem_key, sizeof(server->shmem_key)},
        {server->status, sizeof(server->status)},
    };
    const char *bytes = text->size > 0 ? (const char *) text->bytes : "";
    TextCursor left = {bytes, bytes + text->size};
    TextCursor line;

    *server = (PidFileServer){0};
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]) && text_take_line(&left, &line); i++)
        snprintf(lines[i].line, lines[i].size, "%.*s", (int) (line.end - line.position),
                 line.position);
}

bool pid_file_read(const char *directory, PidFileServer *server)
{
    AUTO_BUFFER Buffer path = {0}, text = {0};
    bool found;
    const bool read =
        file_read_all(path_in(&path, directory, PID_FILE), PID_FILE_SIZE_MAX, &text, &found, NULL);

    pid_file_parse(&text, server);
    return read && found;
}

bool pid_file_same_server(const PidFileServer *one, const PidFileServer *other)
{
    return one->pid[0] != '\0' && strcmp(one->pid, other->pid) == 0 &&
           strcmp(one->directory, other->directory) == 0 &&
           strcmp(one->start_time, other->start_time) == 0 &&
           strcmp(one->shmem_key, other->shmem_key) == 0;
}

bool pid_file_has_status(const char *directory, const char *status)
{
    PidFileServer server;

    return pid_file_read(directory, &server) && strncmp(server.status, status, strlen(status)) == 0;
}

bool pid_file_is_empty(const char *directory)
{
    AUTO_BUFFER Buffer path = {0};
    struct stat status;
    bool found;

    return file_stat(path_in(&path, directory, PID_FILE), &status, &found, NULL) && found &&
           status.st_size == 0;
}

bool pid_file_is_half_made(const char *directory)
{
    AUTO_BUFFER Buffer path = {0};
    struct stat status;
    bool found;

    return pid_file_is_empty(directory) &&
           file_lstat(path_in(&path, directory, PID_FILE_TEMPORARY), &status, &found, NULL) &&
           found;
}

bool pid_file_is_original(const char *directory)
{
    AUTO_BUFFER Buffer path = {0};
    PidFileServer server;
    int64_t started;

    if (!pid_file_read(directory, &server))
        return false;
    started = text_number(server.start_time);
    return text_number(server.pid) > 0 && started > 0 &&
           llabs(place_birth(path_in(&path, directory, PID_FILE)) - started) <=
               CLOCK_TOLERANCE_SECONDS &&
           place_is(server.directory, directory);
}

/* ---- processes ---- */

typedef struct Process
{
    char name[64]; /* name of its program, at most 15 bytes; empty: not known */
    char state;    /* 'Z': it has ended, and its parent has not waited for it, as process 1 of a
                      container may never do */
    int64_t parent, session; /* process ids; 0: not known, or outside of the container */
    int64_t start;           /* in ticks since the machine was started */
} Process;

/* Find out about the process with this number, or "self". */
static Process find_process(const char *number)
{
    AUTO_BUFFER Buffer path = {0}, stat = {0};
    const char *name, *position;
    Process process = {0};

    buffer_printf(&path, "/proc/%s/stat", number);
    if (!file_read_all(buffer_string(&path), PROC_FILE_SIZE_MAX, &stat, NULL, NULL))
        return process;
    /* Field 2 is the program's name in parentheses and may hold anything. */
    name = strchr(buffer_string(&stat), '(');
    position = strrchr(buffer_string(&stat), ')');
    if (name == NULL || position == NULL || position[1] != ' ')
        return process;
    snprintf(process.name, sizeof(process.name), "%.*s", (int) (position - name - 1), name + 1);
    process.state = position[2];
    for (int field = 3; position != NULL && field <= START_FIELD; field++)
    {
        position = strchr(position + 1, ' ');
        if (position != NULL && field == PARENT_FIELD)
            process.parent = text_number(position + 1);
        else if (position != NULL && field == SESSION_FIELD)
            process.session = text_number(position + 1);
        else if (position != NULL && field == START_FIELD)
            process.start = text_number(position + 1);
    }
    return process;
}

/* The start time of the process in seconds since 1970; 0: not known. */
static time_t find_start(const Process *process)
{
    const long ticks_per_second = sysconf(_SC_CLK_TCK);
    AUTO_BUFFER Buffer system = {0};
    const char *boot;

    if (process->start == 0 || ticks_per_second <= 0 ||
        !file_read_all("/proc/stat", PROC_FILE_SIZE_MAX, &system, NULL, NULL))
        return 0;
    boot = strstr(buffer_string(&system), "\nbtime ");
    return boot != NULL && text_number(boot + strlen("\nbtime ")) > 0
               ? (time_t) (text_number(boot + strlen("\nbtime ")) +
                           process->start / ticks_per_second)
               : 0;
}

time_t pid_file_own_start(void)
{
    const Process self = find_process("self");

    return find_start(&self);
}

bool process_works_in(long pid, const char *directory)
{
    char path[64];

    snprintf(path, sizeof(path), "/proc/%ld/cwd", pid);
    return place_is(path, directory);
}

bool process_ends_container(long pid, bool by_pg_ctl)
{
    static const char *const managers[] = {"systemd",   "init",        "runit",
                                           "s6-svscan", "openrc-init", "supervisord"};
    const Process first = find_process("1");
    char number[32];
    Process process;

    if (pid == 1)
        return true;
    if (first.name[0] == '\0')
        return false;
    for (size_t i = 0; i < sizeof(managers) / sizeof(managers[0]); i++)
        if (strcmp(first.name, managers[i]) == 0)
            return false;
    snprintf(number, sizeof(number), "%ld", pid);
    process = find_process(number);
    /* A process whose parent has exited becomes a child of process 1 too, in the session of that
     * parent. pg_ctl often gives a server a new session. */
    return process.parent == 1 && !by_pg_ctl &&
           (process.session == first.session || process.session == pid);
}

bool error_hint_process(long pid, const char *directory, Error *error)
{
    char path[64];
    Place its, own;
    PidFileServer there, here;
    bool found;

    snprintf(path, sizeof(path), "/proc/%ld/cwd", pid);
    /* The process works in another directory, unless this is the same one on another mount, with
     * another device number: then both paths show the same server's postmaster.pid. */
    if (place_find(path, &its, &found, NULL) && found &&
        place_find(directory, &own, &found, NULL) && found && !place_same(&its, &own) &&
        !(pid_file_read(path, &there) && pid_file_read(directory, &here) &&
          pid_file_same_server(&there, &here)))
    {
        error_detail(error,
                     "File \"%s/" PID_FILE "\" names process %ld, which works in another "
                     "directory.",
                     directory, pid);
        return error_hint(error, "If no server runs in that directory, in this or any other "
                                 "container, a crashed server has left the file: remove it.");
    }
    error_detail(error,
                 "File \"%s/" PID_FILE "\" names process %ld; whether this process works in the "
                 "directory could not be found out.",
                 directory, pid);
    return error_hint(error,
                      "Find out what the process is (ps -fp %ld). Stop it if it is the server of "
                      "that directory.",
                      pid);
}

bool server_process_find(const char *directory, long *pid, Error *error)
{
    static const char *const programs[] = {"postgres", "postmaster", "edb-postgres"};
    AUTO_ARENA Arena *arena = arena_create();
    const char **names;

    *pid = 0;
    if (!dir_list("/proc", arena, &names, NULL, error))
        return false;
    for (; *names != NULL; names++)
    {
        const long number = (long) text_number(*names);
        const Process process = number > 0 ? find_process(*names) : (Process){0};

        for (size_t i = 0; i < sizeof(programs) / sizeof(*programs); i++)
            if (strcmp(process.name, programs[i]) == 0 && process_works_in(number, directory))
                *pid = number;
    }
    return true;
}

bool server_file_find(const char *directory, Buffer *path)
{
    static const char *const places[] = {"pg_wal", "pg_xlog", "global"};
    AUTO_ARENA Arena *arena = arena_create();
    AUTO_BUFFER Buffer place = {0};

    for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++)
    {
        const char *local = path_in(&place, directory, places[i]);
        const char **names;
        FileSpace space;
        bool found;

        if (!file_space(local, &space, NULL) || !space.syncs_whole ||
            !dir_list(local, arena, &names, &found, NULL))
            continue;
        for (; *names != NULL; names++)
            if (file_has_writer(path_in(path, local, *names)))
                return true;
    }
    return false;
}

/* ---- the process that the file names ---- */

/*
 * Decide as the server does (CreateLockFile in utils/init/miscinit.c), and by the process's age:
 * one that began after the file was written has only got the number, after a reboot or in a
 * container. That it works in the directory counts for more, since clocks are set.
 */
static bool names_live_server(const char *directory, long number, const PidFileServer *server)
{
    const long pid = labs(number);
    const int64_t written = text_number(server->start_time);
    struct stat status;
    char digits[32];
    Process process;
    time_t start;
    bool is_younger, found;

    if (pid == 0 || pid == getpid() || pid == getppid() || pid == supervise_caller())
        return false;
    /* A server runs as the owner of its data directory, or refuses to start. */
    if (kill((pid_t) pid, 0) != 0 &&
        (errno != EPERM ||
         (file_stat(directory, &status, &found, NULL) && found && status.st_uid == geteuid())))
        return false;
    snprintf(digits, sizeof(digits), "%ld", pid);
    process = find_process(digits);
    if (process.state == 'Z')
        return false;
    start = find_start(&process);
    is_younger = start != 0 && written > 0 && start - CLOCK_TOLERANCE_SECONDS > written;
    if (number > 0)
        return process_works_in(pid, directory) || !is_younger;
    /* A live negative pid is a single-user backend, or belongs to a process that got the number of
     * a pg_rewind that was killed: common in containers. A backend writes its shared memory key
     * soon after the file; we never do. What is left is a backend that is just starting, or a pid
     * that was given to another cluster's. A name that is not known may be a backend's. */
    return server->shmem_key[0] != '\0' || process.name[0] == '\0' ||
           (strstr(process.name, "postgres") != NULL && !is_younger);
}

/* A pg_rewind writes its negative number and its true start time, and no shared memory key. */
long pid_file_find_rewind(const char *directory)
{
    PidFileServer server;
    char digits[32];
    Process process;
    int64_t number;

    if (!pid_file_read(directory, &server) || server.pid[0] != '-' || server.shmem_key[0] != '\0')
        return 0;
    number = text_number(server.pid + 1);
    if (number == 0 || number > INT_MAX)
        return 0;
    snprintf(digits, sizeof(digits), "%ld", (long) number);
    process = find_process(digits);
    return process.state != 'Z' && process.name[0] != '\0' &&
                   find_start(&process) == text_number(server.start_time)
               ? (long) number
               : 0;
}

bool error_empty_pid_file(const char *directory, Error *error)
{
    AUTO_BUFFER Buffer path = {0};
    long pid;

    error_set(error, ERROR_FAILED, "lock file \"%s\" is empty",
              path_in(&path, directory, PID_FILE));
    if (server_process_find(directory, &pid, NULL) && pid != 0)
        return error_hint(error,
                          "Process %ld is a server's and works in this directory. Wait until "
                          "it has started, then stop it.",
                          pid);
    return error_hint(error, "Either a server is starting, or the file was left by one that "
                             "crashed while starting. If no server is starting, remove the "
                             "file.");
}

bool pid_file_find_server(const char *directory, bool *found, long *pid, Error *error)
{
    AUTO_BUFFER Buffer path = {0}, text = {0};
    PidFileServer server;
    TextCursor digits;
    bool exists, negative;
    uint32_t number;
    long named;

    *pid = 0;
    path_in(&path, directory, PID_FILE);
    if (!file_read_all(buffer_string(&path), PID_FILE_SIZE_MAX, &text, &exists, error))
        return false;
    if (found != NULL)
        *found = exists;
    if (!exists)
        return true;
    if (text.size == 0)
        return pid_file_is_half_made(directory) || error_empty_pid_file(directory, error);
    pid_file_parse(&text, &server);
    digits = text_cursor(server.pid);
    text_skip_blanks(&digits);
    negative = text_take(&digits, "-");
    if (!text_take_u32(&digits, &number) || !text_at_end(&digits) ||
        number > (uint32_t) INT_MAX + negative)
    {
        error_set(error, ERROR_FAILED, "bogus data in lock file \"%s\": \"%s\"",
                  buffer_string(&path), server.pid);
        return error_hint(error, "No server can start while the file exists. Find out which "
                                 "program created it, then remove it.");
    }
    named = number > INT_MAX ? 0 : (long) number; /* PID_FILE_NOBODY is no process's */
    if (names_live_server(directory, negative ? -named : named, &server))
        *pid = named;
    return true;
}

bool pid_file_wait_for_server(const char *directory, double seconds, long *pid, Error *error)
{
    Wait wait = wait_begin(seconds);

    do
    {
        *pid = 0;
        if (!pid_file_is_empty(directory) && !pid_file_find_server(directory, NULL, pid, error))
            return false;
    } while (!wait_until(*pid != 0, &wait, error));
    return !wait.stopped;
}
