#include "standby/standby_files.h"

#include "base/buffer.h"
#include "format/recovery_conf.h"
#include "io/durable.h"
#include "io/file.h"

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

static void put_setting(Buffer *settings, const char *name, const char *value)
{
    Buffer changed = {0};

    setting_replace((const char *) settings->bytes, settings->size, name, value, &changed);
    buffer_free(settings);
    *settings = changed;
}

/* The file's content is `old` with our settings in place of what it had. */
static void make_content(const Version *version, const StandbySettings *settings, const Buffer *old,
                         Buffer *content)
{
    if (uses_recovery_conf(version) && old->size == 0)
        recovery_conf_make(settings->conninfo, content);
    else
        setting_replace((const char *) old->bytes, old->size, "primary_conninfo",
                        settings->conninfo, content);
    if (settings->slot != NULL)
        put_setting(content, "primary_slot_name", settings->slot);
    if (uses_recovery_conf(version) && old->size > 0)
    {
        put_setting(content, "standby_mode", "on");
        put_setting(content, "recovery_target_timeline", "latest");
    }
}

/* The settings to begin with: of a recovery.conf only one that is kept. */
static bool read_old_settings(const Plan *plan, const Clusters *clusters, Buffer *old, Error *error)
{
    const Version *version = clusters->shape.version;
    Source *source = clusters->source;
    const char *name = uses_recovery_conf(version) ? RECOVERY_CONF_PATH : SETTINGS_PATH;
    char path[PATH_SIZE];
    bool found;

    if (plan_keeps(plan, name))
        return path_join(path, sizeof(path), clusters->target.directory, name, error) &&
               file_read_all(path, SETTINGS_SIZE_MAX, old, &found, error);
    return uses_recovery_conf(version) ||
           source->operations->read_file(source, SETTINGS_PATH, SETTINGS_SIZE_MAX, old, &found,
                                         error);
}

bool standby_files_stage(Stage *stage, const Plan *plan, const Clusters *clusters,
                         const StandbySettings *settings, Error *error)
{
    const Version *version = clusters->shape.version;
    Buffer old = {0}, content = {0};
    bool result = read_old_settings(plan, clusters, &old, error);

    if (result)
        make_content(version, settings, &old, &content);
    if (result && uses_recovery_conf(version))
        result = stage_content(stage, RECOVERY_CONF_PATH, content.bytes, content.size, error);
    else if (result)
        result = stage_content(stage, SETTINGS_PATH, content.bytes, content.size, error) &&
                 stage_content(stage, SIGNAL_PATH, "", 0, error);
    buffer_free(&old);
    buffer_free(&content);
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

bool standby_files_write(const Clusters *clusters, const StandbySettings *settings,
                         const Keep *keep, Error *error)
{
    const Version *version = clusters->shape.version;
    const char *directory = clusters->target.directory;
    const char *name = uses_recovery_conf(version) ? RECOVERY_CONF_PATH : SETTINGS_PATH;
    Buffer old = {0}, content = {0};
    char path[PATH_SIZE];
    const char *kept_by;
    bool found, result;

    result = path_join(path, sizeof(path), directory, name, error) &&
             ((uses_recovery_conf(version) && !keep_matches(keep, name, &kept_by)) ||
              file_read_all(path, SETTINGS_SIZE_MAX, &old, &found, error));
    if (result)
        make_content(version, settings, &old, &content);
    if (result && uses_recovery_conf(version))
        result = write_file(directory, RECOVERY_CONF_PATH, content.bytes, content.size, error);
    else if (result)
        result = write_file(directory, SETTINGS_PATH, content.bytes, content.size, error) &&
                 write_file(directory, SIGNAL_PATH, "", 0, error) &&
                 (keep_matches(keep, RECOVERY_SIGNAL_PATH, &kept_by) ||
                  (path_join(path, sizeof(path), directory, RECOVERY_SIGNAL_PATH, error) &&
                   file_remove(path, error)));
    buffer_free(&old);
    buffer_free(&content);
    return result;
}
