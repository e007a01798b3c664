#include "standby/standby_files.h"

#include "target/configuration.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SETTINGS_PATH "postgresql.auto.conf"
#define SIGNAL_PATH "standby.signal"
#define RECOVERY_SIGNAL_PATH "recovery.signal"
#define RECOVERY_CONF_PATH "recovery.conf"
#define SETTINGS_SIZE_MAX (16 * 1024 * 1024)

bool standby_uses_recovery_conf(const Version *version)
{
    return version->recovery_settings == RECOVERY_CONF;
}

const char *const *standby_written_files(const Version *version)
{
    static const char *const one[] = {RECOVERY_CONF_PATH, NULL};
    static const char *const two[] = {SETTINGS_PATH, SIGNAL_PATH, NULL};

    return standby_uses_recovery_conf(version) ? one : two;
}

bool standby_files_exist(const Target *target, Arena *arena)
{
    const Version *version = target->control.version;

    if (version == NULL)
        return false;
    return standby_uses_recovery_conf(version)
               ? setting_is_on(configuration_recovery_setting(target, arena, false, "standby_mode"))
               : file_exists(target->directory, SIGNAL_PATH);
}

const char *standby_unwanted_file(const Version *version)
{
    return standby_uses_recovery_conf(version) ? NULL : RECOVERY_SIGNAL_PATH;
}

const char *const *standby_stop_settings(void)
{
    static const char *const names[] = {"recovery_target",      "recovery_target_lsn",
                                        "recovery_target_name", "recovery_target_time",
                                        "recovery_target_xid",  NULL};

    return names;
}

bool standby_stop_setting_counts(const Version *version, const char *value)
{
    return value != NULL && (value[0] != '\0' || standby_uses_recovery_conf(version));
}

/* From 12 on a value other than "latest" and "current" is a number, 0 too, and no timeline has the
 * number 0 (xlogrecovery.c). Up to 11 the number 0 is the newest timeline, and each text that does
 * not begin with a number is 0 (readRecoveryCommandFile in access/transam/xlog.c). */
bool standby_takes_newest_timeline(const Version *version, const char *value)
{
    if (!standby_uses_recovery_conf(version))
        return value == NULL || strcmp(value, "latest") == 0;
    return value != NULL && strtoul(value, NULL, 0) == 0;
}

/* A command of the source must not get into the target's file: each rewind copies the source's
 * recovery.done, and after an interrupted one recovery.conf may be the source's, too. (Rules S13,
 * S39.) */
Settings standby_former_settings(const Target *target, Arena *arena)
{
    static const char *const names[] = {"archive_cleanup_command", "recovery_end_command",
                                        "recovery_min_apply_delay", "restore_command"};
    const bool known = standby_uses_recovery_conf(target->control.version) &&
                       !target->configuration_is_new && standby_files_exist(target, arena);
    Settings former = {.arena = arena};

    for (size_t i = 0; known && i < sizeof(names) / sizeof(names[0]); i++)
    {
        const char *value = configuration_recovery_setting(target, arena, false, names[i]);

        if (value != NULL)
            settings_set(&former, names[i], value);
    }
    return former;
}

/* Set in a file's text what makes the server a standby of the source. */
static void put_settings(const Version *version, const StandbySettings *settings, Buffer *text)
{
    if (standby_uses_recovery_conf(version))
        setting_replace(text, "standby_mode", "on");
    setting_replace(text, "primary_conninfo", settings->conninfo);
    if (standby_uses_recovery_conf(version))
        setting_replace(text, "recovery_target_timeline", "latest");
    if (settings->slot != NULL)
        setting_replace(text, "primary_slot_name", settings->slot);
    for (size_t i = 0; i < settings->limits.count; i++)
    {
        char value[16];

        snprintf(value, sizeof(value), "%u", settings->limits.items[i].needed);
        setting_replace(text, settings->limits.items[i].name, value);
    }
}

static void put_former_settings(const Target *target, Buffer *text)
{
    AUTO_ARENA Arena *arena = arena_create();
    const Settings former = standby_former_settings(target, arena);

    for (size_t i = 0; i < former.count; i++)
        setting_replace(text, former.items[i].name, former.items[i].value);
}

static bool read_targets_settings(const Clusters *clusters, Buffer *text, Error *error)
{
    AUTO_BUFFER Buffer path = {0};
    bool found;

    path_in(&path, clusters->target.directory, standby_written_files(clusters->shape.version)[0]);
    return file_read_all(buffer_string(&path), SETTINGS_SIZE_MAX, text, &found, error);
}

bool standby_files_stage(Stage *stage, const Plan *plan, const Clusters *clusters,
                         const StandbySettings *settings, Error *error)
{
    const Version *version = clusters->shape.version;
    const char *name = standby_written_files(version)[0];
    Source *source = clusters->source;
    AUTO_BUFFER Buffer text = {0};
    bool found, success = true;

    if (plan_keeps(plan, name))
        success = read_targets_settings(clusters, &text, error);
    else if (!standby_uses_recovery_conf(version))
        success =
            source->operations->read_file(source, name, SETTINGS_SIZE_MAX, &text, &found, error);
    else
        put_former_settings(&clusters->target, &text);
    put_settings(version, settings, &text);
    return success && stage_content(stage, name, text.bytes, text.size, error) &&
           (standby_uses_recovery_conf(version) || stage_content(stage, SIGNAL_PATH, "", 0, error));
}

static bool write_file(const char *directory, const char *name, const void *bytes, size_t size,
                       Error *error)
{
    AUTO_BUFFER Buffer path = {0}, temporary = {0};

    return durable_replace(path_in(&path, directory, name),
                           path_in(&temporary, directory, WORK_DIRECTORY ".conf"), bytes, size,
                           error);
}

bool standby_files_write(const Clusters *clusters, const StandbySettings *settings,
                         const Keep *keep, Error *error)
{
    const Version *version = clusters->shape.version;
    const char *directory = clusters->target.directory;
    const char *name = standby_written_files(version)[0], *kept_by;
    const char *const *stop = standby_stop_settings();
    AUTO_BUFFER Buffer text = {0}, unwanted = {0};

    if (!read_targets_settings(clusters, &text, error))
        return false;
    if (standby_uses_recovery_conf(version) && !keep_matches(keep, name, &kept_by))
        for (; *stop != NULL; stop++)
            setting_remove(&text, *stop);
    put_settings(version, settings, &text);
    if (!write_file(directory, name, text.bytes, text.size, error))
        return false;
    return standby_uses_recovery_conf(version) ||
           (write_file(directory, SIGNAL_PATH, "", 0, error) &&
            (keep_matches(keep, RECOVERY_SIGNAL_PATH, &kept_by) ||
             durable_remove(path_in(&unwanted, directory, RECOVERY_SIGNAL_PATH), error)));
}
