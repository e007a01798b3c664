#include "standby/configuration.h"

#include "io/dir.h"
#include "io/file.h"
#include "io/place.h"
#include "plan/classify.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CONFIGURATION_PATH "postgresql.conf"
#define ALTER_SYSTEM_PATH "postgresql.auto.conf"
#define DEBIAN_ROOT "/etc/postgresql"
#define LINKS_MAX 40 /* as the kernel */

/* ---- files as they are in the target ---- */

/* Of a file in the target, or anywhere by an absolute path: --config-file. */
static bool join_path(const Configuration *configuration, const char *name, char path[PATH_SIZE])
{
    Error ignored;

    return path_join(path, PATH_SIZE, name[0] == '/' ? "" : configuration->directory, name,
                     &ignored);
}

static bool read_configuration_file(void *context, const char *name, Buffer *content, bool *found)
{
    char path[PATH_SIZE];
    struct stat status;
    Error ignored;

    if (!join_path(context, name, path) || !file_stat(path, &status, found, &ignored))
        return false;
    if (!*found)
        return true;
    return S_ISREG(status.st_mode) &&
           file_read_all(path, SETTINGS_FILE_SIZE_MAX, content, found, &ignored);
}

typedef struct DirectoryNames
{
    Arena *arena;
    const char **items;
    size_t count;
} DirectoryNames;

static bool add_name(void *context, const char *name, Error *error)
{
    DirectoryNames *names = context;

    (void) error;
    if (names->items == NULL)
        names->items =
            arena_allocate(names->arena, CONFIGURATION_NAMES_MAX * sizeof(*names->items));
    if (names->count < CONFIGURATION_NAMES_MAX)
        names->items[names->count++] = arena_strdup(names->arena, name);
    return true;
}

static int compare_names(const void *one, const void *other)
{
    return strcmp(*(const char *const *) one, *(const char *const *) other);
}

static void list_directory(void *context, const char *directory, Arena *arena,
                           const char *const **items, size_t *count)
{
    DirectoryNames names = {.arena = arena};
    char path[PATH_SIZE];
    Error ignored;
    bool found;

    if (join_path(context, directory, path) &&
        dir_names(path, add_name, &names, &found, &ignored) && names.count > 1)
        qsort(names.items, names.count, sizeof(*names.items), compare_names);
    *items = names.items;
    *count = names.count;
}

/* The part of an absolute path that lies below the target, in whatever spelling. */
static const char *path_below_target(void *context, const char *path)
{
    const Configuration *configuration = context;

    return place_below(path, configuration->directory);
}

SettingsReader configuration_reader(const Configuration *configuration)
{
    return (SettingsReader){read_configuration_file, list_directory, path_below_target,
                            (void *) configuration};
}

/* ---- settings ---- */

/* postgresql.conf, or what --config-file names: in the target by its path there, else absolute.
 * NULL: that is not there. */
static const char *find_configuration_path(const Configuration *configuration)
{
    const char *path = configuration->config_file;
    char canonical[PLACE_PATH_SIZE];
    const char *below;
    Error ignored;
    bool found;

    if (path == NULL)
        return CONFIGURATION_PATH;
    if (path[0] != '/')
    {
        if (!place_canonical(path, canonical, &found, &ignored) || !found)
            return NULL;
        path = arena_strdup(configuration->arena, canonical);
    }
    below = place_below(path, configuration->directory);
    return below != NULL ? below : path;
}

Settings configuration_read(const Configuration *configuration, const SettingsReader *reader)
{
    const char *path = find_configuration_path(configuration);
    Settings settings = {.arena = configuration->arena};

    if (path != NULL)
        settings_read(&settings, reader, path);
    settings_read(&settings, reader, ALTER_SYSTEM_PATH);
    return settings;
}

/* Is that the main configuration file of a server whose data directory is this one? */
static bool configures_target(const Configuration *configuration, const char *file)
{
    const Configuration candidate = {configuration->directory, file, configuration->arena};
    const SettingsReader reader = configuration_reader(&candidate);
    Settings settings = {.arena = configuration->arena};
    const char *directory;
    Place named, target;
    Error ignored;
    bool found;

    settings_read(&settings, &reader, file);
    directory = settings_value(&settings, "data_directory");
    return directory != NULL && directory[0] == '/' &&
           place_find(directory, &named, &found, &ignored) && found &&
           place_find(configuration->directory, &target, &found, &ignored) && found &&
           place_same(&named, &target);
}

bool configuration_find_debian(const Configuration *configuration, const Version *version,
                               DebianCluster *cluster)
{
    const char *root = getenv("PG_CLUSTER_CONF_ROOT");
    Arena *arena = configuration->arena;
    const char *const *names;
    const char *of_version;
    size_t count, found = 0;

    if (root == NULL || root[0] != '/')
        root = DEBIAN_ROOT;
    of_version = arena_printf(arena, "%s/%s", root, version->name);
    list_directory((void *) configuration, of_version, arena, &names, &count);
    for (size_t i = 0; i < count; i++)
    {
        const char *directory = arena_printf(arena, "%s/%s", of_version, names[i]);
        const char *file = arena_printf(arena, "%s/" CONFIGURATION_PATH, directory);

        if (!configures_target(configuration, file))
            continue;
        *cluster = (DebianCluster){names[i], directory, file};
        found++;
    }
    return found == 1;
}

const char *configuration_find_file(const Configuration *configuration, const Version *version)
{
    char path[PATH_SIZE];
    struct stat status;
    DebianCluster cluster;
    Error ignored;
    bool found;

    if (configuration->config_file != NULL || !join_path(configuration, CONFIGURATION_PATH, path) ||
        !file_lstat(path, &status, &found, &ignored) || found)
        return configuration->config_file;
    return configuration_find_debian(configuration, version, &cluster) ? cluster.config_file : NULL;
}

static Settings read_settings_of_target(const Configuration *configuration)
{
    const SettingsReader reader = configuration_reader(configuration);

    return configuration_read(configuration, &reader);
}

/* The value of a setting of standbys; NULL: it is not set, or blank. */
static const char *find_standby_setting(const Configuration *configuration, const Version *version,
                                        bool former, const char *name)
{
    const SettingsReader reader = configuration_reader(configuration);
    Settings settings = {.arena = configuration->arena};
    const char *value;

    if (version->recovery_settings != RECOVERY_CONF)
        settings = configuration_read(configuration, &reader);
    else
    {
        if (former)
            settings_read(&settings, &reader, "recovery.done");
        settings_read(&settings, &reader, "recovery.conf");
    }
    value = settings_value(&settings, name);
    return value != NULL && value[strspn(value, " \t\r\n")] != '\0' ? value : NULL;
}

const char *configuration_primary_conninfo(const Configuration *configuration,
                                           const Version *version, bool former)
{
    return find_standby_setting(configuration, version, former, "primary_conninfo");
}

const char *configuration_primary_slot(const Configuration *configuration, const Version *version)
{
    return find_standby_setting(configuration, version, false, "primary_slot_name");
}

/* ---- files that settings name ---- */

/* The path in the target of a file that is named in the file `base`, or NULL. */
static const char *find_path_in_target(const Configuration *configuration, const char *base,
                                       const char *value)
{
    if (value[0] == '/')
    {
        value = place_below(value, configuration->directory);
        base = "";
    }
    return value != NULL ? settings_path(configuration->arena, base, value) : NULL;
}

/* Where a link in the target leads; NULL: there is none, or it leads out of the target. */
static const char *find_link_target(const Configuration *configuration, const char *path)
{
    char full[PATH_SIZE];
    Buffer text = {0};
    const char *result = NULL;
    Error ignored;

    if (path_join(full, sizeof(full), configuration->directory, path, &ignored) &&
        file_read_link(full, &text, &ignored))
        result = find_path_in_target(configuration, path, buffer_string(&text));
    buffer_free(&text);
    return result;
}

/* A file, and what it leads to where it is a link. */
static void add_with_links(const Configuration *configuration, const char *path, const char **files,
                           size_t *count)
{
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
    const Settings settings = read_settings_of_target(configuration);
    const char **files = arena_allocate(configuration->arena, (settings.file_count + named_count) *
                                                                  LINKS_MAX * sizeof(*files));

    *count = 0;
    for (size_t i = 0; i < settings.file_count; i++)
        add_with_links(configuration, find_path_in_target(configuration, "", settings.files[i]),
                       files, count);
    for (size_t i = 0; i < named_count; i++)
    {
        const char *value = settings_value(&settings, named[i].setting);

        if (value == NULL)
            value = named[i].by_default;
        if (value != NULL)
            add_with_links(configuration, find_path_in_target(configuration, "", value), files,
                           count);
    }
    return files;
}

const char *configuration_log_directory(const Configuration *configuration, const Version *version)
{
    const Settings settings = read_settings_of_target(configuration);
    const char *value = settings_value(&settings, "log_directory");
    const char *path = value != NULL ? find_path_in_target(configuration, "", value) : NULL;
    size_t length;

    if (path == NULL)
        return NULL;
    for (length = strlen(path); length > 0 && path[length - 1] == '/'; length--)
        ;
    path = arena_printf(configuration->arena, "%.*s", (int) length, path);
    return length == 0 || strcmp(path, ".") == 0 || path_is_servers(version, path) ? NULL : path;
}
