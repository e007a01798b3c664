#include "target/configuration.h"

#include "io/dir.h"
#include "io/place.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ALTER_SYSTEM_PATH "postgresql.auto.conf"
#define DEBIAN_ROOT "/etc/postgresql"
#define LINKS_MAX 40 /* as the kernel */

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
    return !*found || (S_ISREG(status.st_mode) &&
                       file_read_all(path, SETTINGS_FILE_SIZE_MAX, content, found, NULL));
}

static const char *const *list_directory(void *context, const char *directory, Arena *arena)
{
    const char **names;

    (void) !dir_list(full_path(context, directory), arena, &names, NULL, NULL);
    return names;
}

SettingsReader configuration_reader(const Configuration *configuration)
{
    return (SettingsReader){read_configuration_file, list_directory, place_below,
                            configuration->directory, (void *) configuration};
}

/* ---- settings ---- */

/* postgresql.conf, or what --config-file names: by its path in the target, or else by an absolute
 * one. NULL: there is no such file. */
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
    if (path != NULL)
        settings_read(&settings, reader, path);
    settings_read(&settings, reader, ALTER_SYSTEM_PATH);
    return settings;
}

/* True if that is the main configuration file of a server with this data directory. */
static bool configures_target(const Configuration *configuration, const char *file)
{
    const SettingsReader reader = configuration_reader(configuration);
    Settings settings = {.arena = configuration->arena};
    const char *directory;

    settings_read(&settings, &reader, file);
    directory = settings_value(&settings, "data_directory");
    return directory != NULL && directory[0] == '/' &&
           place_is(directory, configuration->directory);
}

bool configuration_find_debian(const Configuration *configuration, const Version *version,
                               DebianCluster *cluster)
{
    const char *root = getenv("PG_CLUSTER_CONF_ROOT");
    Arena *arena = configuration->arena;
    const char *of_version = arena_printf(
        arena, "%s/%s", root != NULL && root[0] == '/' ? root : DEBIAN_ROOT, version->name);
    const char *const *name = list_directory((void *) configuration, of_version, arena);
    size_t found = 0;

    for (; *name != NULL; name++)
    {
        const char *directory = arena_printf(arena, "%s/%s", of_version, *name);
        const char *file = arena_printf(arena, "%s/" CONFIGURATION_PATH, directory);

        if (!configures_target(configuration, file))
            continue;
        *cluster = (DebianCluster){*name, directory, file};
        found++;
    }
    return found == 1;
}

const char *configuration_find_file(const Configuration *configuration, const Version *version)
{
    DebianCluster cluster;

    if (configuration->config_file != NULL ||
        file_exists(configuration->directory, CONFIGURATION_PATH))
        return configuration->config_file;
    return configuration_find_debian(configuration, version, &cluster) ? cluster.config_file : NULL;
}

bool error_no_configuration(Error *error)
{
    error_set(error, ERROR_FAILED, "the configuration of the target's server was not found");
    return error_hint(error, "The data directory has no postgresql.conf: name the server's main "
                             "configuration file with --config-file.");
}

Configuration target_configuration(const Target *target, Arena *arena)
{
    return (Configuration){target->directory, target->config_file, arena};
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
        if (former)
            settings_read(&settings, &reader, "recovery.done");
        settings_read(&settings, &reader, "recovery.conf");
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

/* Follow a link in the target; NULL: it is no link, or it leads out of the target. */
static const char *find_link_target(const Configuration *configuration, const char *path)
{
    AUTO_BUFFER Buffer text = {0};

    return file_read_link(full_path(configuration, path), &text, NULL)
               ? configuration_path_in_target(configuration, path, buffer_string(&text))
               : NULL;
}

/* Add a file that is named by a setting, and what it leads to where it is a link. */
static void add_with_links(const Configuration *configuration, const char *value,
                           const char **files, size_t *count)
{
    const char *path = configuration_path_in_target(configuration, "", value);

    for (int depth = 0; path != NULL && depth < LINKS_MAX; depth++)
    {
        files[(*count)++] = path;
        path = find_link_target(configuration, path);
    }
}

const char **configuration_named_files(const Configuration *configuration, size_t *count)
{
    static const struct
    {
        const char *setting, *by_default;
    } named[] = {
        {"hba_file", "pg_hba.conf"},     {"ident_file", "pg_ident.conf"},
        {"hosts_file", "pg_hosts.conf"}, {"ssl_cert_file", "server.crt"},
        {"ssl_key_file", "server.key"},  {"krb_server_keyfile", NULL},
        {"ssl_ca_file", NULL},           {"ssl_crl_file", NULL},
        {"ssl_crl_dir", NULL},           {"ssl_dh_params_file", NULL},
    };
    const size_t named_count = sizeof(named) / sizeof(named[0]);
    const Settings settings = configuration_read(configuration, NULL);
    const char **files = arena_allocate(configuration->arena, (settings.file_count + named_count) *
                                                                  LINKS_MAX * sizeof(*files));

    *count = 0;
    for (size_t i = 0; i < settings.file_count; i++)
        add_with_links(configuration, settings.files[i], files, count);
    for (size_t i = 0; i < named_count; i++)
    {
        const char *value = settings_value(&settings, named[i].setting);

        if (value == NULL)
            value = named[i].by_default;
        if (value != NULL)
            add_with_links(configuration, value, files, count);
    }
    return files;
}

const char *configuration_log_directory(const Configuration *configuration)
{
    const Settings settings = configuration_read(configuration, NULL);
    const char *value = settings_value(&settings, "log_directory");
    const char *path =
        value != NULL ? configuration_path_in_target(configuration, "", value) : NULL;

    return path != NULL && path[0] != '\0' ? path : NULL;
}
