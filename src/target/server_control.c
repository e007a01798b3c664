#include "target/server_control.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/workers.h"
#include "target/pid_file.h"
#include "io/durable.h"
#include "io/file.h"
#include "io/place.h"
#include "io/process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SAVED_COMMAND                                                                              \
    "pg_rewind.work.start" /* begins with the name of the work directory: left alone */
#define CONFIGURATION_SIZE_MAX (16 * 1024 * 1024)
#define START_SECONDS 10 /* that pg_ctl waits: by then the server is there, or has ended */
#define STOP_POLL_MILLISECONDS 50
#define LOG_BYTES_MAX (32 * 1024) /* of a log's end that are looked at */
#define LOG_LINES_MAX 8

/* ---- Small files of the data directory ---- */

/* The whole text of a small file; NULL: there is none, or it cannot be read. In the arena. */
static char *read_small_file(Arena *arena, const char *path)
{
    Buffer text = {0};
    char *result = NULL;
    bool found;

    if (file_read_all(path, CONFIGURATION_SIZE_MAX, &text, &found, NULL) && found)
        result = arena_strdup(arena, buffer_string(&text));
    buffer_free(&text);
    return result;
}

static bool leads_to(const char *path, const char *directory)
{
    Place one, other;
    bool found;

    return place_find(path, &one, &found, NULL) && found &&
           place_find(directory, &other, &found, NULL) && found && place_same(&one, &other);
}

/* ---- systemd ---- */

void server_control_unit(const char *cgroup, char *unit, size_t size)
{
    static const char suffix[] = ".service";

    unit[0] = '\0';
    for (const char *part = strstr(cgroup, "/postgresql"); part != NULL;
         part = strstr(part + 1, "/postgresql"))
    {
        const size_t length = strcspn(part + 1, "/\n");

        if (length > strlen(suffix) && length < size &&
            strncmp(part + 1 + length - strlen(suffix), suffix, strlen(suffix)) == 0)
            snprintf(unit, size, "%.*s", (int) length, part + 1);
    }
}

/* Use systemctl, if the server runs as a unit of it. */
static bool find_unit(long pid, Arena *arena, ServerControl *control)
{
    char *cgroup = read_small_file(arena, arena_printf(arena, "/proc/%ld/cgroup", pid));
    Buffer word = {0};
    char unit[256];

    server_control_unit(cgroup != NULL ? cgroup : "", unit, sizeof(unit));
    if (unit[0] == '\0')
        return false;
    buffer_append_word(&word, unit); /* systemd escapes with backslashes */
    control->stop =
        arena_printf(arena, "systemctl --no-ask-password stop %s", buffer_string(&word));
    control->start =
        arena_printf(arena, "systemctl --no-ask-password start %s", buffer_string(&word));
    buffer_free(&word);
    return true;
}

/* ---- Debian's layout ---- */

static void use_pg_ctlcluster(const DebianCluster *debian, const Version *version, Arena *arena,
                              ServerControl *control)
{
    Buffer name = {0};
    struct stat log;
    bool found;

    buffer_append_word(&name, debian->name);
    control->stop = arena_printf(arena, "pg_ctlcluster %s %s stop -m fast", version->name,
                                 buffer_string(&name));
    control->start =
        arena_printf(arena, "pg_ctlcluster %s %s start", version->name, buffer_string(&name));
    if (control->config_file == NULL)
        control->config_file = debian->config_file;
    /* The link beside the configuration, where the log is elsewhere. */
    control->cluster_log = arena_printf(arena, "%s/log", debian->directory);
    if (!file_stat(control->cluster_log, &log, &found, NULL) || !found)
        control->cluster_log = arena_printf(arena, "/var/log/postgresql/postgresql-%s-%s.log",
                                            version->name, debian->name);
    buffer_free(&name);
}

/* ---- pg_ctl ---- */

char *server_control_options(Arena *arena, const char *text, char **directory)
{
    static const char flag[] = "\"-D\" \"";
    const char *begin = strstr(text, " \"");
    const size_t length = strcspn(text, "\n");
    const char *place, *end;

    *directory = NULL;
    if (begin == NULL || begin >= text + length)
        return arena_strdup(arena, "");
    begin++;
    place = strstr(begin, flag);
    end = place != NULL ? strchr(place + strlen(flag), '"') : NULL;
    if (end == NULL)
        return arena_strndup(arena, begin, length - (size_t) (begin - text));
    *directory = arena_strndup(arena, place + strlen(flag), (size_t) (end - place) - strlen(flag));
    end++;
    end += *end == ' ';
    return arena_printf(arena, "%.*s%.*s", (int) (place - begin), begin,
                        (int) (length - (size_t) (end - text)), end);
}

/* The options that the server had at its last start here: a copied directory has another's file. */
static const char *former_options(const Target *target, Arena *arena)
{
    const char *text =
        read_small_file(arena, arena_printf(arena, "%s/postmaster.opts", target->directory));
    char *directory;
    const char *result;

    if (text == NULL)
        return "";
    result = server_control_options(arena, text, &directory);
    return directory != NULL && leads_to(directory, target->directory) ? result : "";
}

static bool find_pg_ctl(const Target *target, const Options *options, Arena *arena,
                        ServerControl *control, Error *error)
{
    const Version *version = target->control.version;
    Buffer command = {0}, setting = {0}, server = {0};
    char *program;

    if (!target_find_program(arena, "pg_ctl", version, options->bindir, &program, NULL) ||
        program == NULL)
    {
        error_set(error, ERROR_FAILED, "no program \"pg_ctl\" of version %s was found",
                  version->name);
        return error_hint(error, "Name its directory with --bindir, or say how the server is "
                                 "stopped and started with --stop-command and --start-command.");
    }
    buffer_append_word(&command, program);
    buffer_append_string(&command, " -D ");
    buffer_append_word(&command, target->directory);
    control->stop =
        arena_printf(arena, "%s -m fast -w -t %d stop", buffer_string(&command),
                     options->wait_timeout_seconds > 0 ? options->wait_timeout_seconds : 1);

    buffer_append_string(&server, former_options(target, arena));
    if (options->config_file != NULL)
    {
        buffer_append_string(&server, server.size > 0 ? " -c " : "-c ");
        buffer_printf(&setting, "config_file=%s", options->config_file);
        buffer_append_word(&server, buffer_string(&setting));
    }
    buffer_printf(&command, " -w -t %d -l ", START_SECONDS);
    buffer_append_word(&command, control->log);
    if (server.size > 0)
    {
        buffer_append_string(&command, " -o ");
        buffer_append_word(&command, buffer_string(&server));
    }
    control->start = arena_printf(arena, "%s start", buffer_string(&command));
    buffer_free(&command);
    buffer_free(&setting);
    buffer_free(&server);
    return true;
}

/* ---- The logs ---- */

/* The file that the logging collector writes to now, by current_logfiles: "stderr log/NAME". */
static const char *collected_log(const ServerControl *control)
{
    const char *text = read_small_file(
        control->arena, arena_printf(control->arena, "%s/current_logfiles", control->directory));
    const char *name = text != NULL ? strstr(text, "stderr ") : NULL;
    const char *path;

    if (name == NULL)
        return NULL;
    name += strlen("stderr ");
    path = arena_strndup(control->arena, name, strcspn(name, "\n"));
    return path[0] == '/' ? path : arena_printf(control->arena, "%s/%s", control->directory, path);
}

static void list_logs(const ServerControl *control, ServerLog logs[SERVER_LOGS])
{
    logs[0].path = collected_log(control);
    logs[1].path = control->cluster_log;
    logs[2].path = control->log;
    for (int i = 0; i < SERVER_LOGS; i++)
    {
        struct stat status;
        bool found;

        logs[i].end = 0;
        if (logs[i].path != NULL && file_stat(logs[i].path, &status, &found, NULL) && found &&
            S_ISREG(status.st_mode))
            logs[i].end = (uint64_t) status.st_size;
    }
}

/* Lines that name a failure, and what explains it. NULL: it is none; else where its text begins. */
static const char *find_failure(const char *line, size_t length)
{
    static const char *const signs[] = {"FATAL: ", "PANIC: ", "DETAIL: ", "rror: "};

    for (size_t i = 0; i < sizeof(signs) / sizeof(signs[0]); i++)
    {
        const char *found = memmem(line, length, signs[i], strlen(signs[i]));

        if (found != NULL)
            return found;
    }
    return NULL;
}

/* Move the lines of a text to its front, one that is repeated only once; those that tell of
 * failures, or all. */
static void keep_lines(char *text, bool all, size_t *starts, size_t *count)
{
    char *out = text;
    const char *last = NULL;
    size_t last_length = 0;

    *count = 0;
    for (const char *line = text; *line != '\0';)
    {
        const size_t length = strcspn(line, "\n");
        const char *failure = all && length > 0 ? line : find_failure(line, length);
        const char *next = line + length + (line[length] == '\n');

        if (failure != NULL)
        {
            const size_t failure_length = length - (size_t) (failure - line);
            const bool repeated = last != NULL && last_length == failure_length &&
                                  memcmp(last, failure, failure_length) == 0;

            if (!repeated)
            {
                last = out + (failure - line);
                last_length = failure_length;
                starts[(*count)++ % LOG_LINES_MAX] = (size_t) (out - text);
                memmove(out, line, length);
                out[length] = '\0';
                out += length + 1;
            }
        }
        line = next;
    }
}

/* The last of these lines, from there on, but only of the end of what is long. */
static void append_lines_of_log(const char *path, uint64_t since, bool all, Buffer *lines)
{
    char *bytes = memory_allocate_zeroed(1, LOG_BYTES_MAX + 2);
    size_t starts[LOG_LINES_MAX], length = 0, count = 0;
    struct stat status;
    bool found;
    int fd;

    if (file_stat(path, &status, &found, NULL) && found && S_ISREG(status.st_mode) &&
        file_open_read(path, &fd, &found, NULL) && found)
    {
        const uint64_t size = (uint64_t) status.st_size;
        const uint64_t begin = size > since + LOG_BYTES_MAX ? size - LOG_BYTES_MAX : since;

        if (file_read_at(fd, path, bytes, LOG_BYTES_MAX, begin, &length, NULL))
            keep_lines(bytes, all, starts, &count);
        file_close(fd);
    }
    for (size_t i = count > LOG_LINES_MAX ? count - LOG_LINES_MAX : 0; i < count; i++)
        buffer_printf(lines, "\n%s", bytes + starts[i % LOG_LINES_MAX]);
    free(bytes);
}

void server_control_add_log(const ServerControl *control, bool all, Error *error)
{
    ServerLog logs[SERVER_LOGS];
    Buffer lines = {0};

    list_logs(control, logs);
    for (int i = 0; i < SERVER_LOGS && lines.size == 0; i++)
    {
        const ServerLog *before = &control->logs[i];
        const bool goes_on = before->path != NULL && logs[i].path != NULL &&
                             strcmp(before->path, logs[i].path) == 0 && before->end <= logs[i].end;

        if (logs[i].path == NULL)
            continue;
        append_lines_of_log(logs[i].path, goes_on ? before->end : 0, all, &lines);
        if (lines.size > 0)
            error_detail(error, "The log \"%s\" says:%s", logs[i].path, buffer_string(&lines));
    }
    buffer_free(&lines);
}

/* ---- The command that is kept ---- */

/* Of a server that was not started since then. */
static const char *read_saved_command(const ServerControl *control, Arena *arena)
{
    const char *path = arena_printf(arena, "%s/" SAVED_COMMAND, control->directory);
    const char *started = arena_printf(arena, "%s/postmaster.opts", control->directory);
    struct stat saved_status, started_status;
    bool found;

    if (!file_stat(path, &saved_status, &found, NULL) || !found ||
        !file_stat(started, &started_status, &found, NULL) ||
        (found && started_status.st_mtime > saved_status.st_mtime))
        return NULL;
    return read_small_file(arena, path);
}

bool server_control_save(const ServerControl *control, Error *error)
{
    char path[PATH_SIZE], temporary[PATH_SIZE];

    if (control->start_is_given)
        return true;
    return path_join(path, sizeof(path), control->directory, SAVED_COMMAND, error) &&
           path_join(temporary, sizeof(temporary), control->directory, SAVED_COMMAND ".new",
                     error) &&
           durable_replace(path, temporary, control->start, strlen(control->start), 0, error);
}

void server_control_forget(const ServerControl *control)
{
    char path[PATH_SIZE];

    (void) !(path_join(path, sizeof(path), control->directory, SAVED_COMMAND, NULL) &&
             file_remove(path, NULL));
}

bool server_control_find(const Target *target, const Options *options, const DebianCluster *debian,
                         Arena *arena, ServerControl *control, Error *error)
{
    const char *saved;
    bool running;
    long pid;

    *control =
        (ServerControl){.arena = arena,
                        .directory = target->directory,
                        .log = arena_printf(arena, "%s/" SERVER_CONTROL_LOG, target->directory),
                        .config_file = options->config_file};
    if (!target_server_running(target, &running, &pid, error))
        return false;
    if (debian != NULL)
        use_pg_ctlcluster(debian, target->control.version, arena, control);
    else if ((options->stop_command == NULL || options->start_command == NULL) &&
             !find_pg_ctl(target, options, arena, control, error))
        return false;
    saved = running ? NULL : read_saved_command(control, arena);
    if (running)
        find_unit(pid, arena, control);
    if (saved != NULL)
        control->start = saved;
    if (options->stop_command != NULL)
        control->stop = options->stop_command;
    control->start_is_given = options->start_command != NULL;
    if (control->start_is_given)
        control->start = options->start_command;
    list_logs(control, control->logs);
    return true;
}

/* ---- Running them ---- */

/* *ended_well: with status 0. */
static bool run_command(const ServerControl *control, const char *command, char *what, size_t size,
                        bool *ended_well, Error *error)
{
    int wait_status = 0;

    if (!process_shell_logged(command, control->log, &wait_status, error))
        return false;
    *ended_well = wait_status == 0;
    process_describe(wait_status, what, size);
    return true;
}

static bool error_command(const ServerControl *control, const char *command, const char *what,
                          Error *error)
{
    error_detail(error, "The command was: %s: %s.", command, what);
    server_control_add_log(control, true, error);
    return error_detail(error, "What it printed is in \"%s\".", control->log);
}

/* Is there a server, or one of its processes? *gone false. */
static bool wait_until_gone(const Target *target, double deadline, bool *gone, long *pid,
                            Error *error)
{
    for (;;)
    {
        bool running;

        if (!target_server_running(target, &running, pid, error))
            return false;
        *gone = !running;
        if (*gone || clock_seconds() >= deadline)
            return true;
        if (!stop_pause(STOP_POLL_MILLISECONDS, error))
            return false;
    }
}

bool server_control_stop(ServerControl *control, const Target *target, int timeout_seconds,
                         Error *error)
{
    const double deadline = clock_seconds() + timeout_seconds;
    char what[256];
    bool ended_well, gone;
    long pid;

    list_logs(control, control->logs);
    if (!run_command(control, control->stop, what, sizeof(what), &ended_well, error) ||
        !wait_until_gone(target, ended_well ? deadline : 0, &gone, &pid, error))
        return false;
    if (gone)
        return true;
    if (ended_well)
    {
        error_set(error, ERROR_FAILED, "the target's server did not stop within %d s",
                  timeout_seconds);
        error_detail(error, "Its process is %ld. The command was: %s.", pid, control->stop);
        return error_hint(error, "How long it is waited for, --wait-timeout says.");
    }
    error_set(error, ERROR_FAILED, "could not stop the target's server");
    error_command(control, control->stop, what, error);
    return error_hint(error, "Say how the server is stopped and started with --stop-command and "
                             "--start-command.");
}

bool server_control_start(ServerControl *control, const Target *target, Error *error)
{
    char what[256];
    bool ended_well, running;
    long pid;

    list_logs(control, control->logs);
    if (!run_command(control, control->start, what, sizeof(what), &ended_well, error) ||
        !target_server_running(target, &running, &pid, error))
        return false;
    if (running)
        return true; /* also where pg_ctl has waited for its whole time */
    if (!ended_well)
    {
        error_set(error, ERROR_FAILED, "could not start the target's server");
        return error_command(control, control->start, what, error);
    }
    error_set(error, ERROR_FAILED, "the target's server is not running after it was started");
    return error_command(control, control->start, what, error);
}
