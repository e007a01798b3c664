#include "target/pid_file.h"

#include "base/text_cursor.h"
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
#define STAT_SIZE 1024 /* about 50 numbers of a process */
#define DIRECTORY_LINE 2
#define START_TIME_LINE 3
#define CLOCK_TOLERANCE_SECONDS 3
#define PORT_LINE 4
#define SOCKET_DIRECTORY_LINE 5
#define LISTEN_ADDRESS_LINE 6
#define SHMEM_KEY_LINE 7 /* LOCK_FILE_LINE_SHMEM_KEY, utils/pidfile.h */
#define STATUS_LINE 8    /* LOCK_FILE_LINE_PM_STATUS */

/* Line number `number`, counting from 1, as a string without its end; empty when there is none. */
static void line_of(const Buffer *text, int number, char *line, size_t size)
{
    size_t position = 0;
    size_t length = 0;

    for (; number > 1 && position < text->size; position++)
    {
        if (text->bytes[position] == '\n')
            number--;
    }
    while (position < text->size && text->bytes[position] != '\n' && length + 1 < size)
        line[length++] = (char) text->bytes[position++];
    line[length] = '\0';
}

/* The number with which that line begins; 0 where none does that is greater. */
static int64_t number_in_line(const Buffer *text, int number)
{
    char line[64];
    TextCursor digits;
    uint64_t value;

    line_of(text, number, line, sizeof(line));
    digits = text_cursor(line);
    return text_take_u64(&digits, &value) && value <= INT64_MAX ? (int64_t) value : 0;
}

/*
 * The fields of a process's stat from the third one, its state, on; see proc(5). Empty: not known.
 * process is its number, or "self".
 */
static void read_process_stat(const char *process, char *fields, size_t size)
{
    char path[64];
    Buffer text = {0};

    fields[0] = '\0';
    snprintf(path, sizeof(path), "/proc/%s/stat", process);
    if (file_read_all(path, PROC_FILE_SIZE_MAX, &text, NULL, NULL))
    {
        /* Field 2 is the program's name in parentheses and may hold anything. */
        const char *end = strrchr(buffer_string(&text), ')');

        if (end != NULL && end[1] == ' ')
            snprintf(fields, size, "%s", end + 2);
    }
    buffer_free(&text);
}

/* Has it ended, and only its parent has not asked how? So it is in containers whose process 1 does
 * not. */
static bool is_zombie(long pid)
{
    char process[32];
    char fields[STAT_SIZE];

    snprintf(process, sizeof(process), "%ld", pid);
    read_process_stat(process, fields, sizeof(fields));
    return fields[0] == 'Z';
}

/*
 * Seconds since 1970 at which a process began: boot time, and field 22 of its stat in ticks. 0: not
 * known.
 */
static time_t start_time_of(const char *process)
{
    char fields[STAT_SIZE];
    Buffer text = {0};
    long ticks_per_second = sysconf(_SC_CLK_TCK);
    const char *position;
    TextCursor number;
    uint64_t boot = 0;
    uint64_t ticks;
    bool known = false;

    if (file_read_all("/proc/stat", PROC_FILE_SIZE_MAX, &text, NULL, NULL))
    {
        position = strstr(buffer_string(&text), "\nbtime ");
        number = text_cursor(position != NULL ? position + strlen("\nbtime ") : "");
        known = text_take_u64(&number, &boot) && boot > 0 && ticks_per_second > 0;
    }
    buffer_free(&text);
    read_process_stat(process, fields, sizeof(fields));
    position = fields;
    for (int field = 3; position != NULL && field < 22; field++)
    {
        position = strchr(position, ' ');
        if (position != NULL)
            position++;
    }
    number = text_cursor(position != NULL ? position : "");
    known = known && text_take_u64(&number, &ticks);
    return known ? (time_t) (boot + ticks / (uint64_t) ticks_per_second) : 0;
}

/* Did the process begin after the lock file that names it was written? */
static bool is_younger(long pid, const Buffer *text)
{
    const int64_t written = number_in_line(text, START_TIME_LINE);
    char process[32];
    time_t start;

    snprintf(process, sizeof(process), "%ld", pid);
    start = start_time_of(process);
    return start != 0 && written > 0 && start - CLOCK_TOLERANCE_SECONDS > written;
}

/* What program a process runs; false if that cannot be found out. */
static bool find_program_name(long pid, char *name, size_t size)
{
    char path[64];
    Buffer comm = {0};
    bool found = false;

    snprintf(path, sizeof(path), "/proc/%ld/comm", pid);
    if (file_read_all(path, PROC_FILE_SIZE_MAX, &comm, &found, NULL) && found)
        line_of(&comm, 1, name, size);
    buffer_free(&comm);
    return found;
}

/*
 * A live negative pid is a single-user backend, or belongs to a process that got the number of a
 * pg_rewind that was killed: common in containers. A backend writes its shared memory key soon
 * after the file; we never do. What is left is a backend that is just starting, or a pid that was
 * given to another cluster's.
 */
static bool is_single_user_backend(long pid, const Buffer *text)
{
    char name[64];
    char key[64];

    line_of(text, SHMEM_KEY_LINE, key, sizeof(key));
    if (key[0] != '\0' || !find_program_name(pid, name, sizeof(name)))
        return true; /* not known: assume the worse */
    return strstr(name, "postgres") != NULL && !is_younger(pid, text);
}

typedef enum Workplace
{
    WORKS_HERE,
    WORKS_ELSEWHERE,
    WORKS_SOMEWHERE /* not known */
} Workplace;

/*
 * Compare the process's working directory with this one. One directory on two mounts may have two
 * numbers: the same server's file there and here leaves it open.
 */
static Workplace find_workplace(long pid, const char *directory)
{
    char path[64];
    Place server, own;
    PidFileServer its, ours;
    bool found;

    snprintf(path, sizeof(path), "/proc/%ld/cwd", pid);
    if (!place_find(path, &server, &found, NULL) || !found ||
        !place_find(directory, &own, &found, NULL) || !found)
        return WORKS_SOMEWHERE;
    if (place_same(&server, &own))
        return WORKS_HERE;
    return pid_file_read(path, &its) && pid_file_read(directory, &ours) &&
                   pid_file_same_server(&its, &ours)
               ? WORKS_SOMEWHERE
               : WORKS_ELSEWHERE;
}

bool process_works_in(long pid, const char *directory)
{
    return find_workplace(pid, directory) == WORKS_HERE;
}

bool error_hint_process(long pid, const char *directory, Error *error)
{
    if (find_workplace(pid, directory) == WORKS_ELSEWHERE)
    {
        error_detail(error,
                     "File \"%s/" PID_FILE "\" names process %ld, which works in another "
                     "directory.",
                     directory, pid);
        return error_hint(error, "If no server runs in that directory, in no other container "
                                 "either, a crashed one has left the file: remove it.");
    }
    error_detail(error,
                 "File \"%s/" PID_FILE "\" names process %ld; whether that works in this directory "
                 "could not be found out.",
                 directory, pid);
    return error_hint(error,
                      "Find out what it is (ps -fp %ld). Stop it if it is the server of that "
                      "directory.",
                      pid);
}

/* A server runs as the owner of its data directory, or refuses to start. */
static bool is_owner(const char *directory)
{
    struct stat status;
    bool found;

    return file_stat(directory, &status, &found, NULL) && found && status.st_uid == geteuid();
}

/*
 * As the server decides it (CreateLockFile in utils/init/miscinit.c), and by the process's age: one
 * that began after the file was written has only got the number, after a reboot or in a container.
 * That it works in the directory counts for more, since clocks are set.
 */
static bool names_live_server(const char *directory, long number, const Buffer *text)
{
    long pid = labs(number);

    if (pid == 0 || pid == getpid() || pid == getppid() || pid == supervise_caller())
        return false;
    if (kill((pid_t) pid, 0) != 0 && (errno != EPERM || is_owner(directory)))
        return false;
    if (is_zombie(pid))
        return false;
    if (number < 0)
        return is_single_user_backend(pid, text);
    return process_works_in(pid, directory) || !is_younger(pid, text);
}

/* Looking for a process of a server. */
typedef struct ServerSearch
{
    const char *directory;
    long pid;
} ServerSearch;

static bool check_server_process(void *context, const char *name, Error *error)
{
    static const char *const programs[] = {"postgres", "postmaster", "edb-postgres"};
    ServerSearch *search = context;
    TextCursor digits = text_cursor(name);
    uint32_t pid;
    char program[64];

    (void) error;
    if (!text_take_u32(&digits, &pid) || !text_at_end(&digits) ||
        !find_program_name(pid, program, sizeof(program)))
        return true;
    for (size_t i = 0; i < sizeof(programs) / sizeof(*programs); i++)
    {
        if (strcmp(program, programs[i]) == 0 && process_works_in(pid, search->directory))
            search->pid = pid;
    }
    return true;
}

bool server_process_find(const char *directory, long *pid, Error *error)
{
    ServerSearch search = {.directory = directory};
    bool found;

    if (!dir_names("/proc", check_server_process, &search, &found, error))
        return false;
    *pid = search.pid;
    return true;
}

bool pid_file_is_own(const char *directory)
{
    char path[PATH_SIZE];
    char line[PATH_SIZE];
    Buffer text = {0};
    Place named, own;
    int64_t started;
    bool found = false;

    if (!path_join(path, sizeof(path), directory, PID_FILE, NULL) ||
        !file_read_all(path, PID_FILE_SIZE_MAX, &text, &found, NULL) || !found)
        return false;
    started = number_in_line(&text, START_TIME_LINE);
    found = number_in_line(&text, 1) > 0 && started > 0 &&
            llabs(place_birth(path) - started) <= CLOCK_TOLERANCE_SECONDS;
    line_of(&text, DIRECTORY_LINE, line, sizeof(line));
    buffer_free(&text);
    return found && place_find(line, &named, &found, NULL) && found &&
           place_find(directory, &own, &found, NULL) && found && place_same(&named, &own);
}

void pid_file_parse(const Buffer *text, PidFileServer *server)
{
    line_of(text, 1, server->pid, sizeof(server->pid));
    line_of(text, DIRECTORY_LINE, server->directory, sizeof(server->directory));
    line_of(text, START_TIME_LINE, server->start_time, sizeof(server->start_time));
    line_of(text, PORT_LINE, server->port, sizeof(server->port));
    line_of(text, SOCKET_DIRECTORY_LINE, server->socket_directory,
            sizeof(server->socket_directory));
    line_of(text, LISTEN_ADDRESS_LINE, server->listen_address, sizeof(server->listen_address));
    line_of(text, SHMEM_KEY_LINE, server->shmem_key, sizeof(server->shmem_key));
    line_of(text, STATUS_LINE, server->status, sizeof(server->status));
}

bool pid_file_read(const char *directory, PidFileServer *server)
{
    char path[PATH_SIZE];
    Buffer text = {0};
    bool found = false;

    *server = (PidFileServer){0};
    if (path_join(path, sizeof(path), directory, PID_FILE, NULL) &&
        file_read_all(path, PID_FILE_SIZE_MAX, &text, &found, NULL) && found)
        pid_file_parse(&text, server);
    buffer_free(&text);
    return found;
}

bool pid_file_same_server(const PidFileServer *one, const PidFileServer *other)
{
    return one->pid[0] != '\0' && strcmp(one->pid, other->pid) == 0 &&
           strcmp(one->directory, other->directory) == 0 &&
           strcmp(one->start_time, other->start_time) == 0 &&
           strcmp(one->shmem_key, other->shmem_key) == 0;
}

static bool has_status(const char *directory, const char *word)
{
    PidFileServer server;

    return pid_file_read(directory, &server) && strncmp(server.status, word, strlen(word)) == 0;
}

bool pid_file_is_stopping(const char *directory)
{
    return has_status(directory, "stopping"); /* PM_STATUS_STOPPING */
}

bool pid_file_is_closed_standby(const char *directory)
{
    return has_status(directory, "standby"); /* PM_STATUS_STANDBY */
}

bool pid_file_find_server(const char *directory, bool *found, bool *running, long *pid,
                          Error *error)
{
    char path[PATH_SIZE];
    char line[64];
    TextCursor digits;
    bool negative;
    uint32_t number;
    long server;
    Buffer text = {0};
    bool success = false;

    *running = false;
    *pid = 0;
    if (!path_join(path, sizeof(path), directory, PID_FILE, error) ||
        !file_read_all(path, PID_FILE_SIZE_MAX, &text, found, error))
        goto done;
    if (!*found)
    {
        success = true;
        goto done;
    }
    if (text.size == 0)
    {
        error_set(error, ERROR_FAILED, "lock file \"%s\" is empty", path);
        if (server_process_find(directory, &server, NULL) && server != 0)
            error_hint(error,
                       "Process %ld is a server's and works in this directory. Wait until it has "
                       "started, then stop it.",
                       server);
        else
            error_hint(error,
                       "Either a server is starting, or the file was left by one that crashed "
                       "while starting. If no server is starting, remove the file.");
        goto done;
    }

    line_of(&text, 1, line, sizeof(line));
    digits = text_cursor(line);
    text_skip_blanks(&digits);
    negative = text_take(&digits, "-");
    if (!text_take_u32(&digits, &number) || !text_at_end(&digits) ||
        number > (uint32_t) INT_MAX + negative)
    {
        error_set(error, ERROR_FAILED, "bogus data in lock file \"%s\": \"%s\"", path, line);
        error_hint(error, "No server can start while the file exists. Find out which program "
                          "created it, then remove it.");
        goto done;
    }
    *pid = number > INT_MAX ? 0 : (long) number; /* PID_FILE_NOBODY is no process's */
    *running = names_live_server(directory, negative ? -*pid : *pid, &text);
    success = true;

done:
    buffer_free(&text);
    return success;
}

time_t pid_file_own_start(void)
{
    return start_time_of("self");
}
