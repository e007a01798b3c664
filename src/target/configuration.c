#include "target/configuration.h"

#include "base/array.h"
#include "io/dir.h"
#include "io/place.h"

#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ALTER_SYSTEM_PATH "postgresql.auto.conf"
#define DEBIAN_ROOT "/etc/postgresql"
#define LINKS_MAX 40      /* links followed in one path, as many as the kernel follows */
#define AUTH_DEPTH_MAX 20 /* twice CONF_FILE_MAX_DEPTH: the directory of include_dir counts too */
#define AUTH_READS_MAX 1000
#define HOSTS_COMMAND_FIELD 5 /* field of pg_hosts.conf: command for a key's passphrase */

/* ---- files as they are in the target ---- */

/* The path of a file in the target, or of one outside that has an absolute path (--config-file). */
static const char *full_path(const Configuration *configuration, const char *name)
{
    return name[0] == '/'
               ? name
               : arena_printf(configuration->arena, "%s/%s", configuration->directory, name);
}

static bool read_configuration_file(void *context, const char *name, Buffer *content, bool *found)
{
    const char *path = full_path(context, name);
    struct stat status;

    if (!file_stat(path, &status, found, NULL))
        return false;
    /* Some managers link postgresql.auto.conf to /dev/null. */
    return !*found || S_ISCHR(status.st_mode) ||
           (S_ISREG(status.st_mode) &&
            file_read_all(path, SETTINGS_FILE_SIZE_MAX, content, found, NULL));
}

/* The names in a directory; NULL if it cannot be read. */
static const char **list_directory(const Configuration *configuration, const char *directory,
                                   Arena *arena)
{
    const char **names;
    bool found;

    return dir_list(full_path(configuration, directory), arena, &names, &found, NULL) && found
               ? names
               : NULL;
}

/* SettingsReader.list. Directories are left out: the server passes over them. */
static const char *const *list_readable(void *context, const char *directory, Arena *arena)
{
    const char *path = full_path(context, directory);
    const char **names = list_directory(context, directory, arena);
    AUTO_BUFFER Buffer file = {0};
    size_t count = 0;
    struct stat status;
    bool found;

    for (size_t i = 0; names != NULL && names[i] != NULL; i++)
        if (!file_stat(path_in(&file, path, names[i]), &status, &found, NULL) || !found ||
            !S_ISDIR(status.st_mode))
            names[count++] = names[i];
    if (names != NULL)
        names[count] = NULL;
    return names;
}

SettingsReader configuration_reader(const Configuration *configuration)
{
    return (SettingsReader){read_configuration_file, list_readable, place_below,
                            configuration->directory, (void *) configuration};
}

/* ---- settings ---- */

/* Returns the path of postgresql.conf, or of the file of --config-file: its path in the target if
 * it lies there, otherwise its absolute path. NULL if the file does not exist. */
static const char *find_configuration_path(const Configuration *configuration)
{
    const char *path = configuration->config_file;
    char canonical[PLACE_PATH_SIZE];
    const char *below;
    bool found;

    if (path == NULL)
        return CONFIGURATION_PATH;
    if (path[0] != '/')
    {
        if (!place_canonical(path, canonical, &found, NULL) || !found)
            return NULL;
        path = arena_strdup(configuration->arena, canonical);
    }
    below = place_below(path, configuration->directory);
    return below != NULL ? below : path;
}

Settings configuration_read(const Configuration *configuration, const SettingsReader *reader)
{
    const char *path = find_configuration_path(configuration);
    const SettingsReader own = configuration_reader(configuration);
    Settings settings = {.arena = configuration->arena};

    if (reader == NULL)
        reader = &own;
    if (path == NULL)
        settings.unread = configuration->config_file;
    if (path == NULL || !settings_read(&settings, reader, path))
        settings.incomplete = true;
    if (configuration->main_is_doubtful)
        settings_doubt(&settings);
    settings_read(&settings, reader, ALTER_SYSTEM_PATH);
    for (size_t i = 0; configuration->options != NULL && i < configuration->options->count; i++)
        settings_set(&settings, configuration->options->items[i].name,
                     configuration->options->items[i].value);
    return settings;
}

const char *configuration_find_debian(const Configuration *configuration, const Version *version)
{
    const char *root = getenv("PG_CLUSTER_CONF_ROOT");
    Arena *arena = configuration->arena;
    const char *of_version = arena_printf(
        arena, "%s/%s", root != NULL && root[0] == '/' ? root : DEBIAN_ROOT, version->name);
    const char *const *name = list_directory(configuration, of_version, arena);
    const SettingsReader reader = configuration_reader(configuration);
    const char *found = NULL;
    size_t count = 0;

    for (; name != NULL && *name != NULL; name++)
    {
        const char *directory = arena_printf(arena, "%s/%s", of_version, *name);
        Settings settings = {.arena = arena};
        const char *configured;

        settings_read(&settings, &reader, arena_printf(arena, "%s/" CONFIGURATION_PATH, directory));
        configured = settings_value(&settings, "data_directory");
        if (configured == NULL || configured[0] != '/' ||
            !place_is(configured, configuration->directory))
            continue;
        found = directory;
        count++;
    }
    return count == 1 ? found : NULL;
}

const char *configuration_find_file(const Configuration *configuration, const Version *version)
{
    const char *cluster;

    if (configuration->config_file != NULL ||
        file_exists(configuration->directory, CONFIGURATION_PATH))
        return configuration->config_file;
    cluster = configuration_find_debian(configuration, version);
    return cluster != NULL ? arena_printf(configuration->arena, "%s/" CONFIGURATION_PATH, cluster)
                           : NULL;
}

bool error_no_configuration(Error *error)
{
    error_set(error, ERROR_FAILED, "the configuration of the target's server was not found");
    return error_hint(error, "The data directory has no postgresql.conf: name the server's main "
                             "configuration file with --config-file.");
}

Configuration target_configuration(const Target *target, Arena *arena)
{
    const char *last = target->last_config_file;

    return (Configuration){target->directory, last != NULL ? last : target->config_file,
                           target->options, arena, target->main_is_doubtful};
}

const char *configuration_recovery_setting(const Target *target, Arena *arena, bool former,
                                           const char *name)
{
    const Configuration configuration = target_configuration(target, arena);
    const SettingsReader reader = configuration_reader(&configuration);
    Settings settings = {.arena = arena};
    const char *value;

    if (target->control.version->recovery_settings != RECOVERY_CONF)
        settings = configuration_read(&configuration, NULL);
    else
    {
        settings_read(&settings, &reader,
                      former && !file_exists(target->directory, "recovery.conf") ? "recovery.done"
                                                                                 : "recovery.conf");
    }
    value = settings_value(&settings, name);
    return value != NULL && value[strspn(value, " \t\r\n")] != '\0' ? value : NULL;
}

const char *configuration_conninfo_value(const char *conninfo, const char *keyword, Arena *arena)
{
    AUTO_BUFFER Buffer name = {0}, value = {0};
    const char *position = conninfo, *found = NULL;

    while (conninfo_next(&position, &name, &value))
        if (strcmp(buffer_string(&name), keyword) == 0)
            found = arena_strdup(arena, buffer_string(&value));
    if (found == NULL)
        return conninfo_value(conninfo, keyword, arena); /* a URI */
    return found[0] != '\0' ? found : NULL;
}

/* ---- files that settings name ---- */

const char *configuration_path_in_target(const Configuration *configuration, const char *base,
                                         const char *value)
{
    if (value[0] == '/')
    {
        value = place_below(value, configuration->directory);
        base = "";
    }
    return value != NULL ? settings_path(configuration->arena, base, value) : NULL;
}

/* The walk through the configuration collects in this struct which files it names. Both lists are
 * arrays of ARRAY_ADD, with strings in the arena. */
typedef struct NamedFiles
{
    const Configuration *configuration;
    SettingsReader reader; /* gives the authentication files */
    const char **files;    /* paths of files in the target */
    size_t count;
    const char **commands; /* commands in pg_hosts.conf */
    size_t command_count;
    int reads; /* number of authentication files that were read */
} NamedFiles;

static bool is_listed(const NamedFiles *named, const char *path)
{
    for (size_t i = 0; i < named->count; i++)
        if (strcmp(named->files[i], path) == 0)
            return true;
    return false;
}

/* Add a file that a setting names; if the file is a link, add the files in the target to which the
 * link leads as well. */
static void add_with_links(NamedFiles *named, const char *value)
{
    const char *path = configuration_path_in_target(named->configuration, "", value);
    AUTO_BUFFER Buffer text = {0};

    for (int depth = 0; path != NULL && depth < LINKS_MAX && !is_listed(named, path); depth++)
    {
        ARRAY_ADD(named->files, named->count, path);
        buffer_clear(&text);
        path = file_read_link(full_path(named->configuration, path), &text, NULL)
                   ? configuration_path_in_target(named->configuration, path, buffer_string(&text))
                   : NULL;
    }
}

/* ---- files that pg_hba.conf, pg_ident.conf and pg_hosts.conf name: libpq/hba.c ---- */

/* Take a line, joined with the lines that a backslash at its end adds. Servers before 14 do not
 * know such a backslash, and read the line that follows a comment. So a line with a comment is
 * never joined: the price is that a file named only in a comment is kept. */
static bool take_auth_line(TextCursor *text, Buffer *joined)
{
    bool continued = true, taken = false;
    TextCursor line;

    buffer_clear(joined);
    while (continued && text_take_line(text, &line))
    {
        size_t size = (size_t) (line.end - line.position);

        taken = true;
        if (size > 0 && line.position[size - 1] == '\r')
            size--;
        continued =
            size > 0 && line.position[size - 1] == '\\' && memchr(line.position, '#', size) == NULL;
        buffer_append(joined, line.position, size - continued);
    }
    return taken;
}

/* Take the next token of a line, without its quotes. */
static bool take_auth_token(TextCursor *line, Buffer *token)
{
    bool quoted = false;

    buffer_clear(token);
    while (!text_at_end(line) && strchr(" \t\r,", *line->position) != NULL)
        line->position++;
    if (text_at_end(line) || *line->position == '#')
        return false;
    while (!text_at_end(line) && (quoted || strchr(" \t\r,#", *line->position) == NULL))
    {
        const char byte = *line->position++;

        if (byte != '"' || (quoted && text_take(line, "\"")))
            buffer_append_u8(token, (uint8_t) byte);
        else
            quoted = !quoted;
    }
    return true;
}

/* Return the path that a value in the file `base` names: relative in the target, absolute outside.
 * NULL: it is empty, or ".." leads out of the target. */
static const char *find_named_path(const Configuration *configuration, const char *base,
                                   const char *value)
{
    const char *path = value[0] == '/' ? value : settings_path(configuration->arena, base, value);
    const char *below =
        path != NULL && path[0] == '/' ? place_below(path, configuration->directory) : NULL;

    return below != NULL ? settings_path(configuration->arena, "", below) : path;
}

static void add_auth_file(NamedFiles *named, const char *path, bool hosts, int depth);

/* Add what a line of the file `path` names: @FILE, include FILE and the like. A line of
 * pg_hosts.conf also names certificates and keys, relative to the data directory. */
static void add_named_by_line(NamedFiles *named, const char *path, bool hosts, int depth,
                              const char *line)
{
    const Configuration *configuration = named->configuration;
    TextCursor tokens = text_cursor(line);
    AUTO_BUFFER Buffer token = {0};
    bool included = false;

    /* A comma directly after a token continues its field. */
    for (int field = 1; take_auth_token(&tokens, &token);
         field += text_at_end(&tokens) || *tokens.position != ',')
    {
        const char *value = buffer_string(&token);
        const bool at = value[0] == '@';
        const char *file = find_named_path(configuration, "", value);

        if (hosts && field == HOSTS_COMMAND_FIELD && value[0] != '\0')
            ARRAY_ADD(named->commands, named->command_count,
                      arena_strdup(configuration->arena, value));
        if (included || at)
            add_auth_file(named, find_named_path(configuration, path, value + at), hosts,
                          depth + 1);
        else if (hosts && file != NULL && file_exists(configuration->directory, file))
            add_with_links(named, file);
        included = strcmp(value, "include") == 0 || strcmp(value, "include_if_exists") == 0 ||
                   strcmp(value, "include_dir") == 0;
    }
}

/* Add an authentication file and what it names. A directory (include_dir) names its files. */
static void add_auth_file(NamedFiles *named, const char *path, bool hosts, int depth)
{
    const Configuration *configuration = named->configuration;
    AUTO_BUFFER Buffer content = {0}, line = {0};
    const char *const *name;
    TextCursor text;
    bool found;

    if (path == NULL || depth > AUTH_DEPTH_MAX || named->reads == AUTH_READS_MAX ||
        is_listed(named, path))
        return;
    named->reads++;
    add_with_links(named, path);
    if (named->reader.read(named->reader.context, path, &content, &found) && found)
    {
        text = text_cursor(buffer_string(&content));
        text.end = text.position + content.size;
        while (take_auth_line(&text, &line))
            add_named_by_line(named, path, hosts, depth, buffer_string(&line));
        return;
    }
    name = named->reader.list(named->reader.context, path, configuration->arena);
    for (; name != NULL && *name != NULL; name++)
    {
        if (fnmatch("*.conf", *name, FNM_PERIOD) == 0)
            add_auth_file(named, arena_strdup(configuration->arena, path_in(&line, path, *name)),
                          hosts, depth + 1);
    }
}

const char **configuration_named_files(const Configuration *configuration, size_t *count)
{
    static const struct
    {
        const char *setting, *by_default;
        enum
        {
            NAMES_NOTHING,
            NAMES_FILES,
            NAMES_CERTIFICATES /* too */
        } names;
    } by_setting[] = {
        {"hba_file", "pg_hba.conf", NAMES_FILES},
        {"ident_file", "pg_ident.conf", NAMES_FILES},
        {"hosts_file", "pg_hosts.conf", NAMES_CERTIFICATES},
        {"ssl_cert_file", "server.crt", NAMES_NOTHING},
        {"ssl_key_file", "server.key", NAMES_NOTHING},
        {"krb_server_keyfile", NULL, NAMES_NOTHING},
        {"ssl_ca_file", NULL, NAMES_NOTHING},
        {"ssl_crl_file", NULL, NAMES_NOTHING},
        {"ssl_crl_dir", NULL, NAMES_NOTHING},
        {"ssl_dh_params_file", NULL, NAMES_NOTHING},
    };
    const Settings settings = configuration_read(configuration, NULL);
    NamedFiles named = {.configuration = configuration,
                        .reader = configuration_reader(configuration)};
    const char **files;

    for (size_t i = 0; i < settings.file_count; i++)
        add_with_links(&named, settings.files[i]);
    for (size_t i = 0; i < sizeof(by_setting) / sizeof(by_setting[0]); i++)
    {
        const char *value = settings_value(&settings, by_setting[i].setting);

        if (value == NULL)
            value = by_setting[i].by_default;
        if (value != NULL && by_setting[i].names != NAMES_NOTHING)
            add_auth_file(&named, find_named_path(configuration, "", value),
                          by_setting[i].names == NAMES_CERTIFICATES, 0);
        else if (value != NULL)
            add_with_links(&named, value);
    }
    files = arena_copy(configuration->arena, named.files, named.count * sizeof(*files));
    *count = named.count;
    free(named.files);
    free(named.commands);
    return files;
}

const char *const *configuration_host_commands(const Configuration *configuration,
                                               const SettingsReader *reader,
                                               const Settings *settings)
{
    const char *file = settings_value(settings, "hosts_file");
    NamedFiles named = {.configuration = configuration, .reader = *reader};
    const char **commands;

    if (setting_is_on(settings_value(settings, "ssl_sni")))
        add_auth_file(&named,
                      find_named_path(configuration, "", file != NULL ? file : "pg_hosts.conf"),
                      true, 0);
    ARRAY_ADD(named.commands, named.command_count, NULL);
    commands =
        arena_copy(configuration->arena, named.commands, named.command_count * sizeof(*commands));
    free(named.files);
    free(named.commands);
    return commands;
}

/* ---- where the server logs ---- */

const char *configuration_log_directory(const Configuration *configuration)
{
    const Settings settings = configuration_read(configuration, NULL);
    const char *value = settings_value(&settings, "log_directory");
    const char *path =
        value != NULL ? configuration_path_in_target(configuration, "", value) : NULL;

    return path != NULL && path[0] != '\0' ? path : NULL;
}
