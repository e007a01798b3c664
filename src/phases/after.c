#include "phases/run.h"

#include "format/settings.h"
#include "io/dir.h"
#include "io/file.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define CONFIGURATION_PATH "postgresql.conf"
#define ALTER_SYSTEM_PATH "postgresql.auto.conf"

/* ---- the target's configuration ---- */

static bool read_target_file(void *context, const char *name, Buffer *content, bool *found)
{
    const Run *run = context;
    char path[PATH_SIZE];
    struct stat status;
    Error ignored;

    if (!path_join(path, sizeof(path), run->options->target, name, &ignored) ||
        !file_stat(path, &status, found, &ignored))
        return false;
    if (!*found)
        return true;
    return S_ISREG(status.st_mode) &&
           file_read_all(path, SETTINGS_FILE_SIZE_MAX, content, found, &ignored);
}

typedef struct Names
{
    Arena *arena;
    const char **items;
    size_t count;
} Names;
#define NAMES_MAX 1000

static bool add_name(void *context, const char *name, Error *error)
{
    Names *names = context;

    (void) error;
    if (names->items == NULL)
        names->items = arena_allocate(names->arena, NAMES_MAX * sizeof(*names->items));
    if (names->count < NAMES_MAX)
        names->items[names->count++] = arena_strdup(names->arena, name);
    return true;
}

static int compare_names(const void *one, const void *other)
{
    return strcmp(*(const char *const *) one, *(const char *const *) other);
}

static void list_target_directory(void *context, const char *directory, Arena *arena,
                                  const char *const **items, size_t *count)
{
    const Run *run = context;
    Names names = {.arena = arena};
    char path[PATH_SIZE];
    Error ignored;
    bool found;

    if (path_join(path, sizeof(path), run->options->target, directory, &ignored) &&
        dir_names(path, add_name, &names, &found, &ignored) && names.count > 1)
        qsort(names.items, names.count, sizeof(*names.items), compare_names);
    *items = names.items;
    *count = names.count;
}

/* postgresql.conf, unless --config-file says that it is elsewhere, and postgresql.auto.conf. */
static void read_settings(const Run *run, const SettingsReader *reader, Settings *settings)
{
    *settings = (Settings){.arena = run->arena};
    if (run->options->config_file == NULL)
        settings_read(settings, reader, CONFIGURATION_PATH);
    settings_read(settings, reader, ALTER_SYSTEM_PATH);
}

static void read_former_settings(Run *run, Settings *settings)
{
    const SettingsReader reader = {read_target_file, list_target_directory, run};

    read_settings(run, &reader, settings);
}

/* The path in the target of a file that a setting names, or NULL. */
static const char *own_path(const Run *run, const char *value)
{
    const size_t length = strlen(run->options->target);

    if (strncmp(value, run->options->target, length) == 0 && value[length] == '/')
        value += length + 1;
    return settings_path(run->arena, "", value);
}

void run_keep_named_files(Run *run)
{
    static const char *const names[] = {
        "hba_file",     "ident_file",  "krb_server_keyfile", "ssl_ca_file",        "ssl_cert_file",
        "ssl_crl_file", "ssl_crl_dir", "ssl_key_file",       "ssl_dh_params_file",
    };
    Keep *keep = run->options->keep;
    Settings settings;

    if (keep == NULL || !keep->configuration || run->kept_named_files)
        return;
    run->kept_named_files = true;
    read_former_settings(run, &settings);
    for (size_t i = 0; i < settings.file_count; i++)
        keep_add_file(keep, settings.files[i]);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
    {
        const char *value = settings_value(&settings, names[i]);
        const char *path = value != NULL ? own_path(run, value) : NULL;

        if (path != NULL)
            keep_add_file(keep, path);
    }
}
