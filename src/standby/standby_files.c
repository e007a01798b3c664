#include "standby/standby_files.h"

#include "base/arena.h"
#include "base/buffer.h"
#include "format/recovery_conf.h"
#include "io/connection.h"
#include "io/durable.h"
#include "io/file.h"

#include <stdio.h>
#include <string.h>

#define SETTINGS_PATH "postgresql.auto.conf"
#define SIGNAL_PATH "standby.signal"
#define RECOVERY_SIGNAL_PATH "recovery.signal"
#define RECOVERY_CONF_PATH "recovery.conf"
#define SETTINGS_SIZE_MAX (16 * 1024 * 1024)

static bool uses_recovery_conf(const Version *version)
{
    return version->recovery_settings == RECOVERY_CONF;
}

const char *const *standby_written_files(const Version *version)
{
    static const char *const one[] = {RECOVERY_CONF_PATH, NULL};
    static const char *const two[] = {SETTINGS_PATH, SIGNAL_PATH, NULL};

    return uses_recovery_conf(version) ? one : two;
}

const char *standby_unwanted_file(const Version *version)
{
    return uses_recovery_conf(version) ? NULL : RECOVERY_SIGNAL_PATH;
}

static bool append_option(void *context, const char *keyword, const char *value, Error *error)
{
    (void) error;
    conninfo_append(context, keyword, value);
    return true;
}

bool standby_conninfo(Source *source, const Version *version, const char *conninfo, Buffer *text,
                      Error *error)
{
    Arena *arena = arena_create();
    const char *dbname = connection_explicit_dbname(conninfo, arena);
    bool result = connection_options(source_connection(source), append_option, text, error);

    if (result && version->conninfo_dbname && dbname != NULL)
        conninfo_append(text, "dbname", dbname);
    arena_destroy(arena);
    return result;
}

static void put_setting(Buffer *settings, const char *name, const char *value)
{
    Buffer changed = {0};

    setting_replace((const char *) settings->bytes, settings->size, name, value, &changed);
    buffer_free(settings);
    *settings = changed;
}

/* Settings are `old` with primary_conninfo in place of what it had. */
static bool make_settings(Source *source, const Version *version, const char *conninfo,
                          const Buffer *old, Buffer *settings, Error *error)
{
    Buffer primary = {0};
    bool result = standby_conninfo(source, version, conninfo, &primary, error);

    if (result && uses_recovery_conf(version) && old->size == 0)
        recovery_conf_make(buffer_string(&primary), settings);
    else if (result)
        setting_replace((const char *) old->bytes, old->size, "primary_conninfo",
                        buffer_string(&primary), settings);
    if (result && uses_recovery_conf(version) && old->size > 0)
    {
        put_setting(settings, "standby_mode", "on");
        put_setting(settings, "recovery_target_timeline", "latest");
    }
    buffer_free(&primary);
    return result;
}

/* The settings to begin with: of a recovery.conf only one that is kept. */
static bool read_old_settings(const Plan *plan, const char *target_directory, Source *source,
                              const Version *version, Buffer *old, Error *error)
{
    const char *name = uses_recovery_conf(version) ? RECOVERY_CONF_PATH : SETTINGS_PATH;
    char path[PATH_SIZE];
    bool found;

    if (plan_keeps(plan, name))
        return path_join(path, sizeof(path), target_directory, name, error) &&
               file_read_all(path, SETTINGS_SIZE_MAX, old, &found, error);
    return uses_recovery_conf(version) ||
           source->operations->read_file(source, SETTINGS_PATH, SETTINGS_SIZE_MAX, old, &found,
                                         error);
}

bool standby_files_stage(Stage *stage, const Plan *plan, const char *target_directory,
                         Source *source, const Version *version, const char *conninfo, Error *error)
{
    Buffer old = {0}, settings = {0};
    bool result;

    result = read_old_settings(plan, target_directory, source, version, &old, error) &&
             make_settings(source, version, conninfo, &old, &settings, error);
    if (result && uses_recovery_conf(version))
        result = stage_content(stage, RECOVERY_CONF_PATH, settings.bytes, settings.size, error);
    else if (result)
        result = stage_content(stage, SETTINGS_PATH, settings.bytes, settings.size, error) &&
                 stage_content(stage, SIGNAL_PATH, "", 0, error);
    buffer_free(&old);
    buffer_free(&settings);
    return result;
}

static bool write_file(const char *directory, const char *name, const void *bytes, size_t size,
                       Error *error)
{
    char path[PATH_SIZE], temporary[PATH_SIZE];

    if (!path_join(path, sizeof(path), directory, name, error) ||
        !path_join(temporary, sizeof(temporary), directory, WORK_DIRECTORY ".conf", error))
        return false;
    return durable_replace(path, temporary, bytes, size, 0, error);
}

bool standby_files_write(const char *target_directory, Source *source, const Version *version,
                         const char *conninfo, const Keep *keep, Error *error)
{
    const char *name = uses_recovery_conf(version) ? RECOVERY_CONF_PATH : SETTINGS_PATH;
    Buffer old = {0}, settings = {0};
    char path[PATH_SIZE];
    const char *kept_by;
    bool found, result;

    result = path_join(path, sizeof(path), target_directory, name, error) &&
             ((uses_recovery_conf(version) && !keep_matches(keep, name, &kept_by)) ||
              file_read_all(path, SETTINGS_SIZE_MAX, &old, &found, error)) &&
             make_settings(source, version, conninfo, &old, &settings, error);
    if (result && uses_recovery_conf(version))
        result =
            write_file(target_directory, RECOVERY_CONF_PATH, settings.bytes, settings.size, error);
    else if (result)
        result =
            write_file(target_directory, SETTINGS_PATH, settings.bytes, settings.size, error) &&
            write_file(target_directory, SIGNAL_PATH, "", 0, error) &&
            (keep_matches(keep, RECOVERY_SIGNAL_PATH, &kept_by) ||
             (path_join(path, sizeof(path), target_directory, RECOVERY_SIGNAL_PATH, error) &&
              file_remove(path, error)));
    buffer_free(&old);
    buffer_free(&settings);
    return result;
}
