#include "target/last_start.h"

#include "base/array.h"
#include "io/file.h"
#include "io/place.h"
#include "io/process.h"
#include "target/configuration.h"
#include "target/pid_file.h"
#include "target/target_server.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PROC_SIZE_MAX (16 * 1024 * 1024)
#define KEPT_SIZE_MAX (64 * 1024 * 1024)
#define OPTS_SIZE_MAX (1024 * 1024)

/* The letters that a value follows, in any version from 9.3 on. */
static const char letters_with_value[] = "-ABCcDdfhkNoprStvW";

/* ---- Lists of strings ---- */

typedef struct Strings
{
    const char **items; /* of ARRAY_ADD */
    size_t count;
} Strings;

/* The list as the arena's, up to a NULL; NULL if it is empty. Frees the items. */
static const char *const *take_strings(Arena *arena, Strings *strings)
{
    const char **list = NULL;

    if (strings->count > 0)
    {
        list = arena_allocate(arena, (strings->count + 1) * sizeof(*list));
        memcpy(list, strings->items, strings->count * sizeof(*list));
    }
    free(strings->items);
    return list;
}

/* Each string of a text of which each ends with a NUL. */
static const char *const *split_at_nul(Arena *arena, const Buffer *text)
{
    Strings strings = {0};

    for (size_t at = 0, length; at < text->size; at += length + 1)
    {
        const char *begin = (const char *) text->bytes + at;

        length = strnlen(begin, text->size - at);
        ARRAY_ADD(strings.items, strings.count, arena_strndup(arena, begin, length));
    }
    return take_strings(arena, &strings);
}

/* ---- /proc ---- */

static const char *const *read_strings(long pid, const char *name, Arena *arena)
{
    AUTO_BUFFER Buffer text = {0};
    char path[64];
    bool found;

    snprintf(path, sizeof(path), "/proc/%ld/%s", pid, name);
    return file_read_all(path, PROC_SIZE_MAX, &text, &found, NULL) && found
               ? split_at_nul(arena, &text)
               : NULL;
}

static const char *read_link(const char *path, Arena *arena)
{
    AUTO_BUFFER Buffer text = {0};

    return file_read_link(path, &text, NULL) ? arena_strdup(arena, buffer_string(&text)) : NULL;
}

/* The arguments, and the program by an absolute path. */
static const char *const *read_arguments(long pid, Arena *arena)
{
    const char *const *arguments = read_strings(pid, "cmdline", arena);
    const char *program;
    const char **own;

    if (arguments == NULL || arguments[0][0] == '/')
        return arguments;
    program = read_link(arena_printf(arena, "/proc/%ld/exe", pid), arena);
    if (program == NULL)
        return arguments;
    own = arena_copy(arena, arguments, (count_words(arguments) + 1) * sizeof(*own));
    own[0] = program;
    return own;
}

/* The text of a file; NULL if the file cannot be read. */
static const char *read_text(const char *path, Arena *arena)
{
    AUTO_BUFFER Buffer text = {0};
    bool found;

    return file_read_all(path, PROC_SIZE_MAX, &text, &found, NULL) && found
               ? arena_strdup(arena, buffer_string(&text))
               : NULL;
}

static const char *read_first_line(const char *path, Arena *arena)
{
    const char *text = read_text(path, arena);

    return text != NULL ? arena_strndup(arena, text, strcspn(text, "\n")) : NULL;
}

/* The file that the process writes to as its stderr, if it still has that name and we may write to
 * it. A pipe is the logging collector's, or a caller's. */
static const char *find_log(long pid, Arena *arena)
{
    const char *link = arena_printf(arena, "/proc/%ld/fd/2", pid);
    const char *path = read_link(link, arena);
    struct stat open, named;
    bool found;

    return path != NULL && path[0] == '/' && file_stat(link, &open, &found, NULL) && found &&
                   S_ISREG(open.st_mode) && file_stat(path, &named, &found, NULL) && found &&
                   open.st_dev == named.st_dev && open.st_ino == named.st_ino &&
                   access(path, W_OK) == 0
               ? path
               : NULL;
}

/* ---- Changes that a start by this process would make ---- */

static const struct
{
    int resource;
    const char *name;
} limit_names[] = {{RLIMIT_AS, "address space"},      {RLIMIT_CORE, "size of core files"},
                   {RLIMIT_DATA, "size of data"},     {RLIMIT_FSIZE, "size of files"},
                   {RLIMIT_MEMLOCK, "locked memory"}, {RLIMIT_NOFILE, "open files"},
                   {RLIMIT_NPROC, "processes"},       {RLIMIT_STACK, "size of the stack"}};

static void append_lacking(Buffer *text, const char *what, const char *name)
{
    buffer_printf(text, "%s%s%s", text->size > 0 ? ", " : "", what, name);
}

/* Returns the NUMA policy of a process: the second word of the first line in numa_maps. No more
 * than that line is read: the kernel looks at each page of what it shows. NULL: not known. */
static const char *read_memory_policy(const char *path, Arena *arena)
{
    char line[64] = "";
    AUTO_FD int fd = -1;
    const char *word;
    size_t size;

    if (!file_open_read(path, &fd, NULL, NULL) ||
        !file_read_at(fd, path, line, sizeof(line) - 1, 0, &size, NULL))
        return NULL;
    word = line + strcspn(line, " ");
    word += *word == ' ';
    return arena_strndup(arena, word, strcspn(word, " \n"));
}

/* The first control group of a process that is not ours: with version 1 /proc/PID/cgroup has a line
 * for each controller. NULL: none, or not known, or the process is in a login session's. */
static const char *find_other_group(long pid, Arena *arena)
{
    const char *its = read_text(arena_printf(arena, "/proc/%ld/cgroup", pid), arena);
    const char *own = read_text("/proc/self/cgroup", arena);
    size_t length;

    if (its == NULL || own == NULL || strstr(its, "/session-") != NULL)
        return NULL;
    own = arena_printf(arena, "\n%s", own);
    for (; *its != '\0'; its += length + (its[length] == '\n'))
    {
        const char *line, *path;

        length = strcspn(its, "\n");
        line = arena_strndup(arena, its, length);
        path = strchr(line, '/');
        if (path != NULL && strstr(own, arena_printf(arena, "\n%s\n", line)) == NULL)
            return path;
    }
    return NULL;
}

/* The I/O priority of a process in the words of ionice, since no file has it. "": not known. */
static const char *read_io_priority(long pid, Arena *arena)
{
    const char *const arguments[] = {"/usr/bin/ionice", "-p", arena_printf(arena, "%ld", pid),
                                     NULL};
    AUTO_BUFFER Buffer text = {0};
    int wait_status;

    return process_run(arguments, true, &text, &wait_status, NULL) && wait_status == 0
               ? arena_strdup(arena, buffer_string(&text))
               : "";
}

/* Append the nice value and the I/O priority of a process where ours are others. A child has ours,
 * and as a rule only root may give it a better nice value. */
static void append_priorities(long pid, Arena *arena, Buffer *text)
{
    int its;

    errno = 0;
    its = getpriority(PRIO_PROCESS, (id_t) pid);
    if (errno == 0 && its != getpriority(PRIO_PROCESS, 0))
        append_lacking(text, "the nice value ", arena_printf(arena, "%d", its));
    if (strcmp(read_io_priority(pid, arena), read_io_priority((long) getpid(), arena)) != 0)
        append_lacking(text, "", "its I/O priority");
}

void last_start_append_changes(long pid, const LastStart *start, Buffer *text)
{
    AUTO_ARENA Arena *arena = arena_create();
    const char *group = find_other_group(pid, arena);
    const char *oom_score_adj = read_first_line("/proc/self/oom_score_adj", arena);
    const char *its_policy =
        read_memory_policy(arena_printf(arena, "/proc/%ld/numa_maps", pid), arena);
    const char *own_policy = read_memory_policy("/proc/self/numa_maps", arena);
    cpu_set_t its_cpus, own_cpus;

    if (group != NULL)
        append_lacking(text, "the control group ", group);
    for (size_t i = 0; start->limits != NULL && i < sizeof(limit_names) / sizeof(limit_names[0]);
         i++)
    {
        struct rlimit own;

        if (getrlimit((__rlimit_resource_t) limit_names[i].resource, &own) == 0 &&
            start->limits[limit_names[i].resource].rlim_cur > own.rlim_max)
            append_lacking(text, "the limit of ", limit_names[i].name);
    }
    if (start->oom_score_adj != NULL && oom_score_adj != NULL &&
        strtol(start->oom_score_adj, NULL, 10) < strtol(oom_score_adj, NULL, 10))
        append_lacking(text, "", "oom_score_adj");
    if (sched_getaffinity((pid_t) pid, sizeof(its_cpus), &its_cpus) == 0 &&
        sched_getaffinity(0, sizeof(own_cpus), &own_cpus) == 0 && !CPU_EQUAL(&its_cpus, &own_cpus))
        append_lacking(text, "", "its CPU affinity");
    if (its_policy != NULL && own_policy != NULL && strcmp(its_policy, own_policy) != 0)
        append_lacking(text, "the NUMA policy ", its_policy);
    append_priorities(pid, arena, text);
}

/* ---- postmaster.opts (CreateOptsFile in postmaster/postmaster.c) ---- */

/* True if the arguments so far, of which the last one is whole, want a value: "-c". */
static bool wants_value(const Strings *arguments)
{
    const char *last = arguments->items[arguments->count - 1];
    const size_t length = strlen(last);

    return arguments->count > 1 && length >= 2 && last[0] == '-' && last[1] != '-' &&
           strpbrk(last + 1, letters_with_value) == last + length - 1;
}

/*
 * The file has the arguments between quotes, and a quote in an argument looks like its end. A
 * postmaster takes nothing but options, so what is no option, and not wanted as a value, belongs to
 * the argument before: archive_command=cp "%p" "/archive/%f".
 */
const char *const *last_start_parse(Arena *arena, const char *text)
{
    static const char between[] = "\" \"";
    const char *begin = strstr(text, " \"");
    const size_t size = strlen(text);
    const char *end = text + size - (size > 0 && text[size - 1] == '\n');
    Strings arguments = {0};

    if (begin == NULL)
        begin = end;
    if (begin == text || (begin < end && (end - begin < 3 || end[-1] != '"')))
        return NULL; /* not whole */
    ARRAY_ADD(arguments.items, arguments.count,
              arena_strndup(arena, text, (size_t) (begin - text)));
    if (begin == end)
        return take_strings(arena, &arguments);
    end--;
    for (begin += 2; begin != NULL && begin <= end;)
    {
        const char *next = memmem(begin, (size_t) (end - begin), between, strlen(between));
        const char *part =
            arena_strndup(arena, begin, (size_t) ((next != NULL ? next : end) - begin));
        const char **last = &arguments.items[arguments.count - 1];

        if (arguments.count == 1 || part[0] == '-' || wants_value(&arguments))
            ARRAY_ADD(arguments.items, arguments.count, part);
        else
            *last = arena_printf(arena, "%s%s%s", *last, between, part);
        begin = next != NULL ? next + strlen(between) : NULL;
    }
    return take_strings(arena, &arguments);
}

/* The data directory of a start, by an absolute path: that of data_directory, on its command line
 * or in its configuration, otherwise that of its -D. Without these `directory`, if the main
 * configuration file of the start lies in there. NULL: not known. */
static const char *named_data_directory(const LastStart *start, const char *directory, Arena *arena)
{
    Settings options = {.arena = arena}, settings;
    const char *named = last_start_directory(start), *file, *value;
    const char *path = named != NULL ? last_start_path(start, named, arena) : NULL;
    Configuration configuration = {
        .directory = path != NULL ? path : directory, .options = &options, .arena = arena};
    bool has_file;

    last_start_settings(start, &options);
    file = configuration.config_file = settings_value(&options, "config_file");
    has_file = file != NULL && file[0] == '/';
    settings = path != NULL || has_file ? configuration_read(&configuration, NULL) : options;
    value = settings_value(&settings, "data_directory");
    if (value != NULL)
        return last_start_path(start, value, arena);
    return path == NULL && has_file && place_below(file, directory) != NULL ? directory : path;
}

/* A copied directory has another server's file. */
static void use_opts(const char *directory, bool runs_here, Arena *arena, LastStart *start)
{
    AUTO_BUFFER Buffer path = {0}, text = {0};
    LastStart read = {0};
    const char *named;
    bool found, is_own;

    if (file_read_all(path_in(&path, directory, "postmaster.opts"), OPTS_SIZE_MAX, &text, &found,
                      NULL) &&
        found)
        read.arguments = last_start_parse(arena, buffer_string(&text));
    if (read.arguments == NULL)
        return;
    named = named_data_directory(&read, directory, arena);
    is_own = runs_here || (named != NULL && place_is(named, directory));
    start->arguments = is_own ? read.arguments : NULL;
    start->others = !is_own && named == NULL ? read.arguments : NULL;
}

/* ---- The file that is kept: fields that begin with a letter, each up to a NUL ---- */

static const char *kept_path(const char *directory, Buffer *path)
{
    return path_in(path, directory, LAST_START_FILE);
}

/* Set *outdated if the file exists, and postmaster.opts shows that a server was started since it
 * was written. */
static bool find_outdated(const char *directory, bool *outdated, Error *error)
{
    AUTO_BUFFER Buffer path = {0}, started = {0};
    struct stat kept_status, started_status;
    bool found, found_started;

    if (!file_stat(kept_path(directory, &path), &kept_status, &found, error) ||
        !file_stat(path_in(&started, directory, "postmaster.opts"), &started_status, &found_started,
                   error))
        return false;
    *outdated =
        found && found_started && started_status.st_mtim.tv_sec > kept_status.st_mtim.tv_sec;
    return true;
}

/* Read it. False if nothing was kept for this directory, or if a server was started since then. */
static bool read_kept(const char *directory, Buffer *text)
{
    AUTO_BUFFER Buffer path = {0};
    bool outdated, found;

    if (!find_outdated(directory, &outdated, NULL) || outdated ||
        !file_read_all(kept_path(directory, &path), KEPT_SIZE_MAX, text, &found, NULL) || !found)
        return false;
    /* A copy of a directory has another server's. */
    for (size_t at = 0; at < text->size;
         at += strnlen((const char *) text->bytes + at, text->size - at) + 1)
        if (text->bytes[at] == 'D')
            return place_is((const char *) text->bytes + at + 1, directory);
    return false;
}

static void use_kept(const Buffer *text, Arena *arena, LastStart *start)
{
    struct rlimit *limits = arena_allocate(arena, RLIM_NLIMITS * sizeof(*limits));
    const char *const *fields = split_at_nul(arena, text);
    Strings arguments = {0}, environment = {0}, others = {0};

    for (; fields != NULL && *fields != NULL; fields++)
    {
        const char *field = *fields + ((*fields)[0] != '\0');
        TextCursor limit = text_cursor(field);
        uint32_t index;
        uint64_t value;

        if ((*fields)[0] == 'A')
            ARRAY_ADD(arguments.items, arguments.count, field);
        else if ((*fields)[0] == 'E')
            ARRAY_ADD(environment.items, environment.count, field);
        else if ((*fields)[0] == 'L')
            start->log = field;
        else if ((*fields)[0] == 'O')
            start->oom_score_adj = field;
        else if ((*fields)[0] == 'P')
            ARRAY_ADD(others.items, others.count, field);
        else if ((*fields)[0] == 'R')
        {
            start->limits = limits;
            if (text_take_u32(&limit, &index) && text_take(&limit, " ") &&
                text_take_u64(&limit, &value) && index < RLIM_NLIMITS)
                limits[index].rlim_cur = value;
        }
    }
    start->arguments = take_strings(arena, &arguments);
    start->environment = take_strings(arena, &environment);
    start->others = take_strings(arena, &others);
}

static void append_field(Buffer *text, char letter, const char *field)
{
    buffer_append_u8(text, (uint8_t) letter);
    buffer_append(text, field, strlen(field) + 1);
}

bool last_start_save(const char *directory, const LastStart *start, const char *command,
                     Error *error)
{
    AUTO_BUFFER Buffer text = {0}, path = {0}, new = {0};
    char limit[64];
    AUTO_FD int fd = -1;

    if (command != NULL)
        append_field(&text, 'C', command);
    append_field(&text, 'D', directory);
    if (start->log != NULL)
        append_field(&text, 'L', start->log);
    if (start->oom_score_adj != NULL)
        append_field(&text, 'O', start->oom_score_adj);
    for (size_t i = 0; start->arguments != NULL && start->arguments[i] != NULL; i++)
        append_field(&text, 'A', start->arguments[i]);
    for (size_t i = 0; start->environment != NULL && start->environment[i] != NULL; i++)
        append_field(&text, 'E', start->environment[i]);
    for (size_t i = 0; start->others != NULL && start->others[i] != NULL; i++)
        append_field(&text, 'P', start->others[i]);
    for (int i = 0; start->limits != NULL && i < RLIM_NLIMITS; i++)
    {
        snprintf(limit, sizeof(limit), "%d %llu", i,
                 (unsigned long long) start->limits[i].rlim_cur);
        append_field(&text, 'R', limit);
    }
    buffer_printf(&new, "%s.new", kept_path(directory, &path));
    /* A server's environment may have secrets. */
    return file_remove(buffer_string(&new), error) &&
           file_create(buffer_string(&new), CREATE_PRIVATE, &fd, error) &&
           file_write_at(fd, buffer_string(&new), text.bytes, text.size, 0, error) &&
           file_sync(fd, buffer_string(&new), error) &&
           durable_rename(buffer_string(&new), buffer_string(&path), error);
}

void last_start_forget(const char *directory)
{
    AUTO_BUFFER Buffer path = {0};

    (void) !file_remove(kept_path(directory, &path), NULL);
}

bool last_start_forget_outdated(const char *directory, Error *error)
{
    AUTO_BUFFER Buffer path = {0};
    bool outdated;

    return find_outdated(directory, &outdated, error) &&
           (!outdated || file_remove(kept_path(directory, &path), error));
}

const char *last_start_kept_command(const char *directory, Arena *arena)
{
    AUTO_BUFFER Buffer text = {0};

    return read_kept(directory, &text) && text.size > 0 && text.bytes[0] == 'C'
               ? arena_strdup(arena, buffer_string(&text) + 1)
               : NULL;
}

/* ---- All of it ---- */

/* Only the server knows where its -D leads: it has changed its working directory. */
static void ask_server(const char *directory, Arena *arena, LastStart *start)
{
    TargetServer *server = target_server_open(arena, directory, NULL);
    const char *file = target_server_config_file(server, arena);

    target_server_close(server);
    if (file != NULL)
        last_start_use_file(start, file, arena);
}

/* Take an unknown last start of a Debian cluster for one with the cluster's configuration, as
 * pg_ctlcluster starts it: the data directory may have another one. (Rule I59.) */
static void use_debian(const char *directory, const Version *version, Arena *arena,
                       LastStart *start)
{
    const Configuration configuration = {.directory = directory, .arena = arena};
    const char *const arguments[] = {"postgres", "-D",
                                     configuration_find_debian(&configuration, version), NULL};

    if (arguments[2] != NULL)
        start->arguments = arena_copy(arena, arguments, sizeof(arguments));
}

void last_start_find(const char *directory, const Version *version, long pid, Arena *arena,
                     LastStart *start)
{
    AUTO_BUFFER Buffer kept = {0};
    struct stat status;
    bool found, runs_here;

    *start = (LastStart){0};
    /* A process of another account may have its number from a data directory that was copied. */
    runs_here = pid != 0 &&
                file_stat(arena_printf(arena, "/proc/%ld", pid), &status, &found, NULL) && found &&
                status.st_uid == geteuid() && process_works_in(pid, directory);
    if (runs_here)
    {
        struct rlimit *limits = arena_allocate(arena, RLIM_NLIMITS * sizeof(*limits));

        start->arguments = read_arguments(pid, arena);
        start->environment = read_strings(pid, "environ", arena);
        start->limits = limits;
        for (int i = 0; i < RLIM_NLIMITS; i++)
            if (prlimit((pid_t) pid, (__rlimit_resource_t) i, NULL, &limits[i]) != 0)
                start->limits = NULL;
        start->oom_score_adj =
            read_first_line(arena_printf(arena, "/proc/%ld/oom_score_adj", pid), arena);
        start->log = find_log(pid, arena);
    }
    else if (read_kept(directory, &kept))
        use_kept(&kept, arena, start);
    if (start->arguments == NULL)
        use_opts(directory, runs_here, arena, start);
    if (start->arguments == NULL)
        use_debian(directory, version, arena, start);
    if (runs_here && !last_start_is_known(start, directory, arena))
        ask_server(directory, arena, start);
}

bool server_option_next(const char *const *arguments, size_t *position, const char **flag,
                        ServerOption *option)
{
    const char *argument = arguments[*position];

    if (*flag == NULL)
    {
        if (argument == NULL || argument[0] != '-' || argument[1] == '\0' ||
            strcmp(argument, "--") == 0)
            return false;
        *flag = argument + 1;
    }
    *option = (ServerOption){.letter = *(*flag)++};
    if (strchr(letters_with_value, option->letter) == NULL)
    {
        if (**flag == '\0')
        {
            *flag = NULL;
            (*position)++;
        }
        return true;
    }
    option->value = **flag != '\0' ? *flag : arguments[++*position];
    *flag = NULL;
    if (option->value == NULL)
        return false;
    (*position)++;
    return true;
}

const char *last_start_variable(const LastStart *start, const char *name)
{
    for (const char *const *entry = start->environment; entry != NULL && *entry != NULL; entry++)
        if (strncmp(*entry, name, strlen(name)) == 0)
            return *entry + strlen(name);
    return NULL;
}

bool last_start_is_by_pg_ctl(const LastStart *start)
{
    /* do_start in bin/pg_ctl/pg_ctl.c */
    return last_start_variable(start, "PG_GRANDPARENT_PID=") != NULL;
}

const char *last_start_directory(const LastStart *start)
{
    const char *directory = NULL, *flag = NULL;
    size_t position = 1;
    ServerOption option;

    while (start->arguments != NULL &&
           server_option_next(start->arguments, &position, &flag, &option))
        if (option.letter == 'D')
            directory = option.value;
    return directory != NULL ? directory : last_start_variable(start, "PGDATA=");
}

const char *last_start_path(const LastStart *start, const char *path, Arena *arena)
{
    const char *working = last_start_variable(start, "PWD=");
    char canonical[PLACE_PATH_SIZE];
    bool found;

    if (path[0] == '/')
        return path;
    return working != NULL && working[0] == '/' &&
                   place_canonical(arena_printf(arena, "%s/%s", working, path), canonical, &found,
                                   NULL) &&
                   found
               ? arena_strdup(arena, canonical)
               : NULL;
}

bool last_start_is_known(const LastStart *start, const char *directory, Arena *arena)
{
    const char *named = last_start_directory(start), *path, *file;
    Settings options = {.arena = arena}, settings;
    Configuration configuration = {.directory = directory, .options = &options, .arena = arena};

    if (named == NULL)
        return true;
    path = last_start_path(start, named, arena);
    if (path != NULL && place_is(path, directory))
        return true;
    named = path != NULL ? named_data_directory(start, directory, arena) : NULL;
    if (named != NULL && place_is(named, directory))
        return true;
    /* With another main configuration file that does not name the data directory, -D does. */
    last_start_settings(start, &options);
    file = settings_value(&options, "config_file");
    configuration.config_file = file != NULL ? last_start_path(start, file, arena) : NULL;
    if (configuration.config_file == NULL)
        return false;
    settings = configuration_read(&configuration, NULL);
    named = settings_value(&settings, "data_directory");
    return named == NULL || (named[0] == '/' && place_is(named, directory));
}

void last_start_use_file(LastStart *start, const char *file, Arena *arena)
{
    const char **arguments, *slash = strrchr(file, '/');
    Settings settings = {.arena = arena};
    const size_t count = count_words(start->arguments);

    last_start_settings(start, &settings);
    if (settings_value(&settings, "config_file") != NULL || slash == NULL)
        return;
    arguments = arena_allocate(arena, (count + 3) * sizeof(*arguments));
    memcpy(arguments, start->arguments, count * sizeof(*arguments));
    arguments[count] = "-D";
    arguments[count + 1] = arena_strndup(arena, file, (size_t) (slash - file));
    start->arguments = arguments;
}

const char *last_start_configuration(const LastStart *start, Arena *arena)
{
    const char *named = last_start_directory(start);
    const char *path = named != NULL ? last_start_path(start, named, arena) : NULL;

    return path != NULL && file_exists(path, ".") && !file_exists(path, "PG_VERSION") ? path : NULL;
}

/* The name in "name=value", where dashes stand for underscores (ParseLongOption in misc/guc.c).
 * *value: what follows; NULL without an equals sign. */
static const char *take_long(const char *text, Arena *arena, const char **value)
{
    const size_t length = strcspn(text, "=");
    char *name = arena_strndup(arena, text, length);

    for (char *byte = name; *byte != '\0'; byte++)
        if (*byte == '-')
            *byte = '_';
        else if (*byte >= 'A' && *byte <= 'Z')
            *byte = (char) (*byte - 'A' + 'a');
    *value = text[length] == '=' ? text + length + 1 : NULL;
    return name;
}

static void set_long(Settings *settings, const char *text)
{
    const char *value, *name = take_long(text, settings->arena, &value);

    if (value != NULL)
        settings_set(settings, name, value);
}

const char *server_option_shown(const ServerOption *option, Arena *arena)
{
    const char *text = option->value, *value = NULL, *name, *shown;

    if (text == NULL)
        return NULL;
    /* Options for the processes of connections, up to PostgreSQL 17: any settings. */
    if (option->letter == 'o')
        return "********";
    name = take_long(text, arena, &value);
    if ((option->letter != 'c' && option->letter != '-') || value == NULL)
        return text;
    shown = setting_masked(arena, name, value);
    return strcmp(shown, value) == 0
               ? text
               : arena_printf(arena, "%.*s%s", (int) (value - text), text, shown);
}

void last_start_settings(const LastStart *start, Settings *settings)
{
    static const struct
    {
        char letter;
        const char *name, *value; /* value of the setting; NULL: the value that the option has */
    } names[] = {{'B', "shared_buffers", NULL},
                 {'F', "fsync", "false"},
                 {'h', "listen_addresses", NULL},
                 {'i', "listen_addresses", "*"},
                 {'k', "unix_socket_directories", NULL},
                 {'l', "ssl", "true"},
                 {'N', "max_connections", NULL},
                 {'p', "port", NULL},
                 {'S', "work_mem", NULL}};
    const char *flag = NULL;
    size_t position = 1;
    ServerOption option;

    while (start->arguments != NULL &&
           server_option_next(start->arguments, &position, &flag, &option))
    {
        if (option.letter == 'c' || option.letter == '-')
            set_long(settings, option.value);
        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
            if (names[i].letter == option.letter)
                settings_set(settings, names[i].name,
                             names[i].value != NULL ? names[i].value : option.value);
    }
}

const char *last_start_config_file(const LastStart *start, Arena *arena)
{
    const char *directory = last_start_configuration(start, arena), *file, *path;
    Settings settings = {.arena = arena};

    last_start_settings(start, &settings);
    file = settings_value(&settings, "config_file");
    if (file == NULL)
        return directory != NULL ? arena_printf(arena, "%s/" CONFIGURATION_PATH, directory) : NULL;
    path = last_start_path(start, file, arena);
    return path != NULL ? path : file;
}

const char *last_start_port(const LastStart *start)
{
    const char *port = last_start_variable(start, "PGPORT=");

    return port != NULL ? port : "5432";
}
