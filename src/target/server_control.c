#include "target/server_control.h"

#include "base/wait.h"
#include "base/log.h"
#include "target/pid_file.h"
#include "io/dir.h"
#include "io/place.h"
#include "io/process.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define TEXT_SIZE_MAX (16 * 1024 * 1024)
#define START_SECONDS 10 /* time for a server to start or to fail */
#define OF_SHELL                                                                                   \
    "\"$`\\\n" /* characters special to a shell between double quotes, where pg_ctl                \
                  puts paths */
#define LOG_BYTES_MAX (32 * 1024) /* size of the end of a log that is searched */
#define LOG_LINES_MAX 8

/* Read the whole text of a small file into the arena; NULL if that is not possible. */
static const char *read_small_file(Arena *arena, const char *path)
{
    AUTO_BUFFER Buffer text = {0};
    bool found;

    return file_read_all(path, TEXT_SIZE_MAX, &text, &found, NULL) && found
               ? arena_strdup(arena, buffer_string(&text))
               : NULL;
}

/* ---- systemd ---- */

void server_control_unit(const char *cgroup, char *unit, size_t size)
{
    static const char suffix[] = ".service";

    unit[0] = '\0';
    /* Units of a user's systemd are left out: the system may have another unit of the same name. */
    if (strstr(cgroup, "/user@") != NULL)
        return;
    for (const char *part = strstr(cgroup, "/postgresql"); part != NULL;
         part = strstr(part + 1, "/postgresql"))
    {
        const size_t length = strcspn(part + 1, "/\n");

        if (length > strlen(suffix) && length < size &&
            strncmp(part + 1 + length - strlen(suffix), suffix, strlen(suffix)) == 0)
            snprintf(unit, size, "%.*s", (int) length, part + 1);
    }
}

void server_control_service(const char *cgroup, char *service, size_t size)
{
    static const char suffix[] = ".service";
    const char *next;

    service[0] = '\0';
    for (const char *line = cgroup; *line != '\0' && service[0] == '\0'; line = next)
    {
        const size_t length = strcspn(line, "\n");
        size_t name = length;

        next = line + length + (line[length] == '\n');
        while (name > 0 && line[name - 1] != '/')
            name--;
        if (length - name >= strlen(suffix) && length - name < size &&
            strncmp(line + length - strlen(suffix), suffix, strlen(suffix)) == 0)
            snprintf(service, size, "%.*s", (int) (length - name), line + name);
    }
}

/* Note the service to which a server would belong that this process starts. One that runs there now
 * was started so on purpose. */
static void find_service(long pid, Arena *arena, ServerControl *control)
{
    const char *own = read_small_file(arena, "/proc/self/cgroup");
    const char *its =
        pid != 0 ? read_small_file(arena, arena_printf(arena, "/proc/%ld/cgroup", pid)) : NULL;
    char service[256];

    if (own == NULL || (its != NULL && strcmp(own, its) == 0))
        return;
    server_control_service(own, service, sizeof(service));
    if (service[0] != '\0')
        control->service = arena_strdup(arena, service);
}

/* True if the server of another data directory has this text of /proc/PID/cgroup, too: systemctl
 * would stop both. */
static bool is_shared_group(const char *cgroup, const char *directory, Arena *arena)
{
    const char **processes;

    if (!dir_list("/proc", arena, &processes, NULL, NULL))
        return false;
    for (; *processes != NULL; processes++)
    {
        const char *cwd = arena_printf(arena, "/proc/%s/cwd", *processes);
        const char *its;

        if (!isdigit((unsigned char) (*processes)[0]) || !file_exists(cwd, "PG_VERSION") ||
            place_is(cwd, directory))
            continue;
        its = read_small_file(arena, arena_printf(arena, "/proc/%s/cgroup", *processes));
        if (its != NULL && strcmp(its, cgroup) == 0)
            return true;
    }
    return false;
}

/* Set commands with systemctl if the server alone runs as a unit of systemd. */
static void use_systemctl(long pid, Arena *arena, ServerControl *control)
{
    const char *cgroup = read_small_file(arena, arena_printf(arena, "/proc/%ld/cgroup", pid));
    AUTO_BUFFER Buffer word = {0};
    char unit[256];

    server_control_unit(cgroup != NULL ? cgroup : "", unit, sizeof(unit));
    if (unit[0] == '\0' || is_shared_group(cgroup, control->directory, arena))
        return;
    buffer_append_word(&word, unit); /* systemd escapes with backslashes */
    control->stop =
        arena_printf(arena, "systemctl --no-ask-password stop %s", buffer_string(&word));
    control->start =
        arena_printf(arena, "systemctl --no-ask-password start %s", buffer_string(&word));
}

/* ---- Options of the last start ---- */

char *server_control_options(Arena *arena, const char *const *arguments, const char *without,
                             bool *hides)
{
    AUTO_BUFFER Buffer text = {0}, flag_text = {0};
    const char *flag = NULL;
    size_t position = 1;
    ServerOption option;

    while (server_option_next(arguments, &position, &flag, &option))
    {
        const char *value = option.value;

        if (option.letter == 'D' || (option.letter == 'c' && without != NULL && value != NULL &&
                                     strcmp(value, without) == 0))
            continue;
        if (hides != NULL)
            option.value = server_option_shown(&option, arena);
        if (option.value != value)
            *hides = true;
        buffer_clear(&flag_text);
        buffer_append_u8(&flag_text, '-');
        buffer_append_u8(&flag_text, (uint8_t) option.letter);
        if (option.letter == '-')
            buffer_append_string(&flag_text, option.value);
        if (text.size > 0)
            buffer_append_u8(&text, ' ');
        buffer_append_word(&text, buffer_string(&flag_text));
        if (option.letter == '-' || option.value == NULL)
            continue;
        buffer_append_u8(&text, ' ');
        buffer_append_word(&text, option.value);
    }
    return arena_strdup(arena, buffer_string(&text));
}

/* ---- Debian's layout ---- */

/* True if pg_ctlcluster refuses to start a cluster (get_cluster_start_conf in its PgCommon.pm). */
static bool is_disabled(const char *directory, Arena *arena)
{
    const char *text = read_small_file(arena, arena_printf(arena, "%s/start.conf", directory));
    TextCursor left = text_cursor(text != NULL ? text : ""), line;

    while (text_take_line(&left, &line))
    {
        text_skip_blanks(&line);
        if (!text_at_end(&line) && *line.position != '#')
            return text_take(&line, "disabled");
    }
    return false;
}

/*
 * True if the server uses the files of rules that pg_ctlcluster would name. Where neither the main
 * file nor an option of the last start names them, pg_ctlcluster names those beside the main file;
 * the server itself takes them from the directory of -D.
 */
static bool uses_debians_rules(const ServerControl *control)
{
    Settings options = {.arena = control->arena};
    const Configuration configuration = {.directory = control->directory,
                                         .config_file = control->config_file,
                                         .options = &options,
                                         .arena = control->arena};
    Settings settings;

    last_start_settings(&control->last, &options);
    settings = configuration_read(&configuration, NULL);
    return last_start_configuration(&control->last, control->arena) != NULL ||
           (settings_value(&settings, "hba_file") != NULL &&
            settings_value(&settings, "ident_file") != NULL);
}

/*
 * True if pg_ctlcluster starts the server as it was. pg_ctlcluster always takes the cluster's own
 * main file, and only the first line of the options. (Rule I59.)
 */
static bool starts_by_pg_ctlcluster(const char *directory, const ServerControl *control)
{
    const char *own = arena_printf(control->arena, "%s/" CONFIGURATION_PATH, directory);
    const char *last = last_start_config_file(&control->last, control->arena);

    for (const char *const *argument = control->last.arguments; *argument != NULL; argument++)
        if (strchr(*argument, '\n') != NULL)
            return false;
    return last != NULL && strcmp(last, own) == 0 && strcmp(control->config_file, own) == 0 &&
           uses_debians_rules(control) && !is_disabled(directory, control->arena);
}

/*
 * The command with which pg_ctlcluster starts the server, with all options of the last start except
 * the main file. The options override those that pg_ctlcluster gives. They are the argument of
 * pg_ctlcluster's -o: those after "--" would be a second -o of pg_ctl, and up to 9.4 pg_ctl takes
 * only the last -o, which is Debian's (case 'o' in bin/pg_ctl/pg_ctl.c). hides: as for make_start.
 * (Rule I58.)
 */
static const char *make_debian_start(const ServerControl *control, const Version *version,
                                     const char *name, bool *hides)
{
    const char *main_file = arena_printf(control->arena, "config_file=%s", control->config_file);
    const char *options =
        server_control_options(control->arena, control->last.arguments, main_file, hides);
    AUTO_BUFFER Buffer start = {0};

    buffer_append_string(&start, "pg_ctlcluster ");
    if (options[0] != '\0')
    {
        buffer_append_string(&start, "-o ");
        buffer_append_word(&start, options);
        buffer_append_u8(&start, ' ');
    }
    buffer_printf(&start, "%s %s start", version->name, name);
    return arena_strdup(control->arena, buffer_string(&start));
}

/* Set commands with pg_ctlcluster. directory: the configuration's, /etc/postgresql/MAJOR/NAME. */
static void use_pg_ctlcluster(const char *directory, const Version *version, Arena *arena,
                              ServerControl *control)
{
    const char *cluster = strrchr(directory, '/') + 1, *shown;
    AUTO_BUFFER Buffer name = {0};
    bool hides = false;
    struct stat log;
    bool found;

    buffer_append_word(&name, cluster);
    control->stop = arena_printf(arena, "pg_ctlcluster %s %s stop -m fast", version->name,
                                 buffer_string(&name));
    control->start = make_debian_start(control, version, buffer_string(&name), NULL);
    shown = make_debian_start(control, version, buffer_string(&name), &hides);
    control->masked_start = hides ? shown : NULL;
    control->starts_as_last = true;
    /* If the log is in another place than usual, "log" beside the configuration is a link to it. */
    control->cluster_log = arena_printf(arena, "%s/log", directory);
    if (!file_stat(control->cluster_log, &log, &found, NULL) || !found)
        control->cluster_log =
            arena_printf(arena, "/var/log/postgresql/postgresql-%s-%s.log", version->name, cluster);
}

/* ---- pg_ctl ---- */

/* Find pg_ctl. First look beside the program of the server's last start: another build of the same
 * version may lack features that this server needs. */
static bool find_pg_ctl(const Version *version, const Options *options, const LastStart *last,
                        Arena *arena, char **program, Error *error)
{
    const char *former = last->arguments != NULL ? last->arguments[0] : "";
    const char *slash = strrchr(former, '/'), *bindir;

    /* A dry run does not execute the program, since a file of the data directory names it. */
    if (options->bindir == NULL && former[0] == '/' && slash != former)
    {
        bindir = arena_strndup(arena, former, (size_t) (slash - former));
        *program = target_program_in(arena, "pg_ctl", bindir);
        if (*program != NULL && (options->dry_run || target_find_program(arena, "pg_ctl", version,
                                                                         bindir, program, NULL)))
            return true;
    }
    if (target_find_program(arena, "pg_ctl", version, options->bindir, program, NULL) &&
        *program != NULL)
        return true;
    error_set(error, ERROR_FAILED, "no program \"pg_ctl\" of version %s was found", version->name);
    return error_hint(error, "Name its directory with --bindir, or say how the server is "
                             "stopped and started with --stop-command and --start-command.");
}

/* Append pg_ctl and the data directory. pg_ctl puts the value of -D between double quotes into a
 * shell command, so a directory with characters special there is passed in PGDATA instead. */
static void append_pg_ctl(const char *program, const char *directory, Buffer *command)
{
    const bool by_variable = strpbrk(directory, OF_SHELL) != NULL;

    if (by_variable)
        buffer_append_string(command, "PGDATA=");
    else
    {
        buffer_append_word(command, program);
        buffer_append_string(command, " -D ");
    }
    buffer_append_word(command, directory);
    if (!by_variable)
        return;
    buffer_append_u8(command, ' ');
    buffer_append_word(command, program);
}

/* Append pg_ctl's arguments for a start. A log whose name a shell would expand gets the output by
 * redirection instead of -l. */
static void append_start(const ServerControl *control, const char *options, Buffer *command)
{
    const bool redirects = strpbrk(control->server_log, OF_SHELL) != NULL;

    buffer_printf(command, " -w -t %d%s", START_SECONDS, redirects ? "" : " -l ");
    if (!redirects)
        buffer_append_word(command, control->server_log);
    if (options[0] != '\0')
    {
        buffer_append_string(command, " -o ");
        buffer_append_word(command, options);
    }
    buffer_append_string(command, " start");
    if (!redirects)
        return;
    buffer_append_string(command, " >>");
    buffer_append_word(command, control->server_log);
    buffer_append_string(command, " 2>&1");
}

static void append_option(Buffer *options, const char *option, const char *value)
{
    buffer_printf(options, "%s%s ", options->size > 0 ? " " : "", option);
    buffer_append_word(options, value);
}

/* Append as absolute paths those of the last start that would lead elsewhere from the data
 * directory, or from where this process works. (SelectConfigFiles in utils/misc/guc.c.) */
static void append_paths(const ServerControl *control, Buffer *options)
{
    static const char *const names[] = {"config_file", "data_directory", "hba_file", "hosts_file",
                                        "ident_file"};
    const char *path = last_start_configuration(&control->last, control->arena), *value;
    Settings settings = {.arena = control->arena};

    if (path != NULL)
        append_option(options, "-D", path);
    last_start_settings(&control->last, &settings);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
    {
        value = settings_value(&settings, names[i]);
        path = value != NULL && value[0] != '/'
                   ? last_start_path(&control->last, value, control->arena)
                   : NULL;
        if (path != NULL)
            append_option(options, "-c", arena_printf(control->arena, "%s=%s", names[i], path));
    }
}

/* The command with which pg_ctl starts the server. hides: NULL, or the command is to be printed:
 * set to true if values of settings are hidden in it. */
static const char *make_start(const ServerControl *control, const char *program,
                              const char *config_file, bool *hides)
{
    Arena *arena = control->arena;
    AUTO_BUFFER Buffer start = {0}, options = {0};

    if (control->last.arguments != NULL)
    {
        buffer_append_string(&options,
                             server_control_options(arena, control->last.arguments, NULL, hides));
        append_paths(control, &options);
    }
    if (config_file != NULL)
        append_option(&options, "-c", arena_printf(arena, "config_file=%s", config_file));
    append_pg_ctl(program, control->directory, &start);
    append_start(control, buffer_string(&options), &start);
    return arena_strdup(arena, buffer_string(&start));
}

/* Check that the configuration of the last start is known, or take that of --config-file: the data
 * directory may have another one. (Rule I59.) */
static bool check_configuration(const Target *target, const char *config_file, Arena *arena,
                                LastStart *last, Error *error)
{
    char canonical[PLACE_PATH_SIZE];
    bool found;

    if (last->arguments == NULL || last_start_is_known(last, target->directory, arena))
        return true;
    if (config_file != NULL && place_canonical(config_file, canonical, &found, NULL) && found)
        last_start_use_file(last, arena_strdup(arena, canonical), arena);
    if (last_start_is_known(last, target->directory, arena))
        return true;
    error_set(error, ERROR_FAILED,
              "it is not known with which configuration the target's server was started");
    error_detail(error,
                 "Its -D or PGDATA was \"%s\", which leads neither to the data directory nor to a "
                 "configuration that names it.",
                 last_start_directory(last));
    return error_hint(error, "Name its main configuration file with --config-file, or its start "
                             "with --start-command.");
}

/* Set those commands that are not yet set, with pg_ctl. */
static bool use_pg_ctl(const Target *target, const Options *options, Arena *arena,
                       ServerControl *control, Error *error)
{
    LastStart *last = &control->last;
    const char *others = "", *shown;
    AUTO_BUFFER Buffer stop = {0};
    bool hides = false;
    char *program;

    if (last->others != NULL)
        others = server_control_options(arena, last->others, NULL, &hides);
    if (others[0] != '\0')
        log_warning("the options of the last start in \"%s/postmaster.opts\" are not used, since "
                    "it names no absolute data directory: %s",
                    target->directory, others);
    if (control->start == NULL &&
        !check_configuration(target, options->config_file, arena, last, error))
        return false;
    if (!find_pg_ctl(target->control.version, options, last, arena, &program, error))
        return false;
    append_pg_ctl(program, target->directory, &stop);
    /* With -w pg_ctl would also wait for a server that another program starts in the meantime. */
    buffer_append_string(&stop, " -m fast -W stop");
    if (control->stop == NULL)
        control->stop = arena_strdup(arena, buffer_string(&stop));
    if (control->start != NULL)
        return true;
    control->needs_own_file = control->config_file == NULL;
    control->starts_as_last = true;
    control->environment = last->environment;
    control->start = make_start(control, program, options->config_file, NULL);
    hides = false;
    shown = make_start(control, program, options->config_file, &hides);
    control->masked_start = hides ? shown : NULL;
    return true;
}

/* The remark after a command with stars is between parentheses: a shell refuses the whole line, so
 * an operator who pastes it starts no server with stars for values. (Rule T14.) */
const char *server_control_start_shown(const ServerControl *control)
{
    if (control->start == NULL || control->masked_start == NULL)
        return control->start;
    if (last_start_kept_command(control->directory, control->arena) != NULL)
        return arena_printf(control->arena,
                            "%s (******** stands for values that are not shown: the whole command "
                            "is in \"%s/" LAST_START_FILE "\")",
                            control->masked_start, control->directory);
    return arena_printf(control->arena,
                        "%s (******** stands for values that are not shown: those of the server's "
                        "last start)",
                        control->masked_start);
}

/* ---- The logs ---- */

static void list_logs(const ServerControl *control, ServerLog logs[SERVER_LOGS])
{
    const char *text = read_small_file(
        control->arena, arena_printf(control->arena, "%s/current_logfiles", control->directory));
    const char *name = text != NULL ? strstr(text, "stderr ") : NULL;

    /* current_logfiles names the file that the logging collector writes to: "stderr log/NAME". */
    logs[0].path = NULL;
    if (name != NULL)
    {
        name += strlen("stderr ");
        name = arena_strndup(control->arena, name, strcspn(name, "\n"));
        logs[0].path =
            name[0] == '/' ? name : arena_printf(control->arena, "%s/%s", control->directory, name);
    }
    logs[1].path = control->cluster_log;
    logs[2].path = control->server_log;
    logs[3].path = control->log;
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

/* The last lines of a log, in a ring of LOG_LINES_MAX. */
typedef struct LogLines
{
    Buffer text;                    /* text into which `kept` points */
    TextCursor kept[LOG_LINES_MAX]; /* line number i is at index i % LOG_LINES_MAX */
    size_t count;                   /* lines added so far, including those overwritten later */
    bool fatal; /* the last line, or lines, are the message with which the server stopped */
} LogLines;

/* Returns the number of the first line that is not yet overwritten. */
static size_t first_line(const LogLines *lines)
{
    return lines->count > LOG_LINES_MAX ? lines->count - LOG_LINES_MAX : 0;
}

/* Returns the text after `severity`, like "FATAL: ", in a line; NULL if the line lacks it. */
static const char *find_severity(const TextCursor *line, const char *severity)
{
    const size_t length = (size_t) (line->end - line->position);
    const char *found = memmem(line->position, length, severity, strlen(severity));

    if (found == NULL)
        return NULL;
    found += strlen(severity);
    while (found < line->end && *found == ' ')
        found++;
    return found;
}

/* Returns the message of a line with which the server may have stopped; NULL if the line has none,
 * or one about a client. */
static const char *find_fatal(const TextCursor *line)
{
    const char *message = find_severity(line, "FATAL: ");
    TextCursor text;

    if (message == NULL)
        message = find_severity(line, "PANIC: ");
    text = (TextCursor){message, line->end};
    return message == NULL || text_take(&text, "the database system is ") ||
                   text_take(&text, "terminating connection ")
               ? NULL
               : message;
}

/* Read the log from offset `since` on into *text, at most its last LOG_BYTES_MAX bytes. Returns a
 * cursor over the text; it is empty if the log cannot be read. */
static TextCursor read_end_of_log(const ServerLog *log, uint64_t since, Buffer *text)
{
    const uint64_t begin = log->end > since + LOG_BYTES_MAX ? log->end - LOG_BYTES_MAX : since;
    AUTO_FD int fd = -1;

    buffer_reserve(text, LOG_BYTES_MAX);
    if (log->end == 0 || !file_open_read(log->path, &fd, NULL, NULL) ||
        !file_read_at(fd, log->path, text->bytes, LOG_BYTES_MAX, begin, &text->size, NULL))
        buffer_clear(text);
    return (TextCursor){(const char *) text->bytes, (const char *) text->bytes + text->size};
}

/* Keep the last lines after the offset `since` that report failures. A failure that is repeated in
 * successive lines is kept once. */
static void keep_failures(const ServerLog *log, uint64_t since, LogLines *lines)
{
    static const char *const signs[] = {"FATAL: ", "PANIC: ", "DETAIL: ", "rror: "};
    const size_t sign_count = sizeof(signs) / sizeof(signs[0]);
    TextCursor left = read_end_of_log(log, since, &lines->text);
    TextCursor line, last = {"", ""};

    while (text_take_line(&left, &line))
    {
        const char *failure = NULL;
        size_t length = (size_t) (line.end - line.position);

        for (size_t i = 0; failure == NULL && i < sign_count; i++)
            failure = memmem(line.position, length, signs[i], strlen(signs[i]));
        if (failure == NULL)
            continue;
        length = (size_t) (line.end - failure);
        if (length != (size_t) (last.end - last.position) ||
            memcmp(failure, last.position, length) != 0)
            lines->kept[lines->count++ % LOG_LINES_MAX] = line;
        last = (TextCursor){failure, line.end};
    }
}

/*
 * Keep the last lines after the offset `since`. If the server has stopped with a message, the lines
 * kept end with this message, its detail and its hint. Such a message is one of a failed recovery,
 * or the last message of a server that never accepted connections.
 */
static void keep_end(const ServerLog *log, uint64_t since, LogLines *lines)
{
    LogLines until_fatal = {0};
    bool inside = false, runs = false, follows = false;
    TextCursor left = read_end_of_log(log, since, &lines->text);
    TextCursor line;

    while (text_take_line(&left, &line))
    {
        if (text_at_end(&line))
            continue;
        lines->kept[lines->count++ % LOG_LINES_MAX] = line;
        runs = runs || find_severity(&line, "database system is ready to accept ") != NULL;
        inside = find_fatal(&line) != NULL ||
                 (inside && (*line.position == '\t' || find_severity(&line, "DETAIL: ") != NULL ||
                             find_severity(&line, "HINT: ") != NULL ||
                             find_severity(&line, "CONTEXT: ") != NULL));
        follows = !inside && (follows || find_severity(&line, "LOG: ") != NULL);
        if (inside)
            until_fatal = *lines;
        /* The startup process has failed with the message before this line, so the postmaster
         * stops. After a failure of another process it would start that process again. */
        else if (until_fatal.count > 0 && find_severity(&line, "startup process (PID ") != NULL)
        {
            *lines = until_fatal;
            lines->fatal = true;
            return;
        }
    }
    if (until_fatal.count == 0 || runs || follows)
        return;
    *lines = until_fatal;
    lines->fatal = true;
}

/* Keep lines of the first log that has new lines since the last command, all or only failures.
 * Returns the log's path; NULL if no log has new lines. */
static const char *keep_lines(const ServerControl *control, bool all, LogLines *lines)
{
    ServerLog logs[SERVER_LOGS];

    list_logs(control, logs);
    for (int i = 0; i < SERVER_LOGS; i++)
    {
        const ServerLog *before = &control->logs[i];
        const bool continues = before->path != NULL && logs[i].path != NULL &&
                               strcmp(before->path, logs[i].path) == 0 &&
                               before->end <= logs[i].end;
        const uint64_t since = continues ? before->end : 0;

        if (all)
            keep_end(&logs[i], since, lines);
        else
            keep_failures(&logs[i], since, lines);
        if (lines->count > 0)
            return logs[i].path;
    }
    return NULL;
}

void server_control_add_log(const ServerControl *control, bool all, Error *error)
{
    LogLines lines = {0};
    AUTO_BUFFER Buffer text = {0};
    const char *path = keep_lines(control, all, &lines);

    for (size_t i = first_line(&lines); i < lines.count; i++)
    {
        const TextCursor *line = &lines.kept[i % LOG_LINES_MAX];

        buffer_printf(&text, "\n%.*s", (int) (line->end - line->position), line->position);
    }
    if (path != NULL)
        error_detail(error, "The log \"%s\" says:%s", path, buffer_string(&text));
    buffer_free(&lines.text);
}

const char *server_control_failure(const ServerControl *control, Arena *arena)
{
    LogLines lines = {0};
    AUTO_BUFFER Buffer text = {0};

    if (!control->was_started)
        return NULL;
    (void) keep_lines(control, true, &lines);
    for (size_t i = first_line(&lines); lines.fatal && i < lines.count; i++)
    {
        const TextCursor *line = &lines.kept[i % LOG_LINES_MAX];
        const char *fatal = find_fatal(line), *part = fatal;

        if (fatal != NULL)
            buffer_clear(&text);
        else if (text.size > 0 && (part = find_severity(line, "DETAIL: ")) == NULL)
            part = find_severity(line, "HINT: ");
        if (part != NULL && fatal == NULL)
            buffer_append_string(&text, text.bytes[text.size - 1] == '.' ? " " : ": ");
        if (part != NULL)
            buffer_append(&text, part, (size_t) (line->end - part));
    }
    buffer_free(&lines.text);
    return text.size > 0 ? arena_strdup(arena, buffer_string(&text)) : NULL;
}

/* ---- Finding the commands ---- */

bool server_control_save(const ServerControl *control, Error *error)
{
    const char *start = control->start_is_given
                            ? last_start_kept_command(control->directory, control->arena)
                            : control->start;

    return last_start_save(control->directory, &control->last, start, error);
}

bool server_control_find(const Target *target, const Options *options, Arena *arena,
                         ServerControl *control, Error *error)
{
    const Configuration configuration = {.directory = target->directory, .arena = arena};
    const char *debian, *kept, *debians_start;
    long pid;

    *control =
        (ServerControl){.arena = arena,
                        .directory = target->directory,
                        .log = arena_printf(arena, "%s/" SERVER_CONTROL_LOG, target->directory),
                        .config_file = options->config_file};
    if (!pid_file_find_server(target->directory, NULL, &pid, error))
        return false;
    last_start_find(target->directory, target->control.version, pid, arena, &control->last);
    control->server_log = control->last.log != NULL ? control->last.log : control->log;
    debian = configuration_find_debian(&configuration, target->control.version);
    if (control->config_file == NULL)
        control->config_file = last_start_config_file(&control->last, arena);
    if (debian != NULL && starts_by_pg_ctlcluster(debian, control))
        use_pg_ctlcluster(debian, target->control.version, arena, control);
    debians_start = control->start;
    kept = pid == 0 ? last_start_kept_command(target->directory, arena) : NULL;
    if (pid != 0)
        use_systemctl(pid, arena, control);
    /* A stopped server has no process that shows systemd's unit: use the kept command. */
    else if (kept != NULL && strncmp(kept, "systemctl ", strlen("systemctl ")) == 0)
        control->start = kept;
    if (options->stop_command != NULL)
        control->stop = options->stop_command;
    control->start_is_given = options->start_command != NULL;
    if (control->start_is_given)
        control->start = options->start_command;
    if (control->start != debians_start)
    {
        control->masked_start = NULL;
        control->starts_as_last = false;
    }
    if ((control->start == NULL || (control->stop == NULL && pid != 0)) &&
        !use_pg_ctl(target, options, arena, control, error))
        return false;
    if (!control->start_is_given &&
        strncmp(control->start, "systemctl ", strlen("systemctl ")) != 0)
        find_service(pid, arena, control);
    list_logs(control, control->logs);
    return true;
}

void server_control_warn(const ServerControl *control, long pid)
{
    AUTO_BUFFER Buffer changes = {0};

    if (control->starts_as_last)
        last_start_append_changes(pid, &control->last, &changes);
    if (changes.size == 0)
        return;
    log_warning("if this command starts the target's server, it will not have what it has now: %s",
                buffer_string(&changes));
    log_hint("Run pg_rewind where the server was started, or name --stop-command and "
             "--start-command.");
}

void server_control_warn_of_service(const ServerControl *control)
{
    if (control->service == NULL)
        return;
    log_warning("the target's server will belong to \"%s\", where this command runs: systemd stops "
                "the server when that service ends",
                control->service);
    log_hint("Run pg_rewind in a session, or name a --start-command such as systemctl start.");
}

/* ---- Running the commands ---- */

/* Run the command. *ended_well: its exit status was 0. what: receives a description of how the
 * command ended, for messages. */
static bool run_command(ServerControl *control, const char *text, char what[256], bool *ended_well,
                        Error *error)
{
    const ServerSurroundings surroundings = {
        .limits = control->starts_as_last ? control->last.limits : NULL,
        .oom_score_adj = control->starts_as_last ? control->last.oom_score_adj : NULL,
        .at_terminal = control->start_is_given};
    const bool starts = text == control->start;
    const ShellCommand command = {.text = text,
                                  .log = control->log,
                                  .environment = starts ? control->environment : NULL,
                                  .server = starts ? &surroundings : NULL};
    int wait_status = 0;

    list_logs(control, control->logs);
    control->was_started = control->was_started || starts;
    if (!process_shell(&command, &wait_status, error))
        return false;
    *ended_well = wait_status == 0;
    process_describe(wait_status, what, 256);
    return true;
}

static bool error_command(const ServerControl *control, const char *command, const char *what,
                          Error *error)
{
    error_detail(error, "The command was: %s: %s.", command, what);
    server_control_add_log(control, true, error);
    return error_detail(error, "What it printed is in \"%s\".", control->log);
}

bool server_control_stop(ServerControl *control, long pid, int timeout_seconds, long *successor,
                         Error *error)
{
    const int seconds = timeout_seconds > 0 ? timeout_seconds : 1;
    Wait wait = wait_begin(seconds);
    char what[256];
    bool ended_well;

    if (!run_command(control, control->stop, what, &ended_well, error))
        return false;
    /* pg_ctl fails if the server is still stopping when its wait ends: then wait here. */
    ended_well = ended_well || pid_file_has_status(control->directory, PID_FILE_STOPPING);
    if (!ended_well)
        wait.seconds = 0;
    do
    {
        /* An empty file is that of a server that another program starts. */
        *successor = pid;
        if (!pid_file_is_empty(control->directory) &&
            !pid_file_find_server(control->directory, NULL, successor, error))
            return false;
    } while (!wait_until(*successor != pid, &wait, error));
    if (*successor != pid || wait.stopped)
        return !wait.stopped;
    if (ended_well)
    {
        error_set(error, ERROR_FAILED, "the target's server did not stop within %d s", seconds);
        error_detail(error, "Its process is %ld. The command was: %s.", pid, control->stop);
        return error_hint(error, "Use --wait-timeout to wait longer.");
    }
    error_set(error, ERROR_FAILED, "could not stop the target's server");
    error_command(control, control->stop, what, error);
    return error_hint(error, "Say how the server is stopped and started with --stop-command and "
                             "--start-command.");
}

bool server_control_start(ServerControl *control, Error *error)
{
    char what[256];
    bool ended_well, ran;
    Error why;
    long pid;

    ran = run_command(control, control->start, what, &ended_well, error);
    /* Save the last start's options again: a server that fails to start has mostly written a new
     * postmaster.opts, which would then count as newer, and the next start would differ from this
     * one. That of a command that an option gives counts: the command alone has its options. */
    if (!control->start_is_given && !server_control_save(control, &why))
        log_debug("%s", why.message);
    if (!ran ||
        !pid_file_wait_for_server(control->directory, ended_well ? START_SECONDS : 0, &pid, error))
        return false;
    if (pid != 0)
        return true; /* the server runs, even if pg_ctl's wait ended before it was ready */
    if (ended_well)
    {
        error_set(error, ERROR_FAILED, "the target's server is not running after it was started");
        error_detail(error, "It was waited for %d s after the command had ended.", START_SECONDS);
    }
    else
        error_set(error, ERROR_FAILED, "could not start the target's server");
    return error_command(control, server_control_start_shown(control), what, error);
}
