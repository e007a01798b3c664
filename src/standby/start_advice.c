#include "standby/start_advice.h"

#include "format/history.h"
#include "io/file.h"
#include "io/place.h"
#include "standby/standby_files.h"
#include "target/configuration.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char keep_config[] = " Or keep the target's configuration: --keep-config.";

/* The finding of --check to which all of this belongs. */
static Advice before_start(const char *remedy)
{
    return (Advice){
        .id = "standby", .severity = ADVICE_PROBLEM, .when = ADVICE_BEFORE_START, .remedy = remedy};
}

/* The same for what the configuration's files set. A --start-command may give the server other
 * settings, which are not known: then this is a warning. (Rule S36.) */
static Advice before_start_with_files(const StartSettings *start, const char *remedy)
{
    Advice advice = before_start(remedy);

    if (start->start_command != NULL)
        advice.severity = ADVICE_WARNING;
    return advice;
}

static const char timeline_setting[] = "recovery_target_timeline";

/* True if the server will find the history file of the source's timeline, which a rewind copies. A
 * server does not start with the number of a timeline whose history file is missing
 * (existsTimeLineHistory in access/transam/timeline.c). (Rule S38.) */
static bool finds_history(const StartSettings *start)
{
    const char *command = settings_value(start->recovery, "restore_command");
    AUTO_BUFFER Buffer path = {0};
    char name[HISTORY_NAME_SIZE];

    history_file_name(start->timeline, name);
    return start->own_timeline == 0 || start->timeline == 1 || start->directory == NULL ||
           (command != NULL && command[0] != '\0') ||
           file_exists(start->directory, path_in(&path, start->version->wal_directory, name));
}

/* True if replay stays on another timeline than the source's. A timeline by its number is as good
 * as "latest", if it is the source's. Without the setting only a server up to 11 stays: on the
 * timeline of pg_control. */
static bool stays_on_other_timeline(const StartSettings *start)
{
    const char *value = settings_value(start->recovery, timeline_setting);

    if (standby_takes_newest_timeline(start->version, value))
        return false;
    if (value == NULL)
        return start->own_timeline != 0 && start->own_timeline < start->timeline;
    return start->timeline == 0 || strtoul(value, NULL, 0) != start->timeline ||
           !finds_history(start);
}

/* Returns the name of a setting that stops replay early; NULL if none is set. */
static const char *find_stop_setting(const StartSettings *start)
{
    for (const char *const *name = standby_stop_settings(); *name != NULL; name++)
        if (standby_stop_setting_counts(start->version, settings_value(start->recovery, *name)))
            return *name;
    return stays_on_other_timeline(start) ? timeline_setting : NULL;
}

static const char *command_line_value(const StartSettings *start, const char *name)
{
    return start->command_line != NULL ? settings_value(start->command_line, name) : NULL;
}

/* Up to 11 a standby does not follow a promotion without this setting. */
static void advise_on_missing_timeline(const StartSettings *start, AdviceList *list)
{
    advice_add(list,
               before_start(arena_printf(list->arena,
                                         "Add %s = 'latest' to recovery.conf, or run pg_rewind "
                                         "again with --write-recovery-conf.",
                                         timeline_setting)),
               "without \"%s\" the target's server would not follow the source\n"
               "It stays on timeline %u, and the source is on timeline %u.",
               timeline_setting, start->own_timeline, start->timeline);
}

void start_advise_on_stop_setting(const StartSettings *start, AdviceList *list)
{
    const char *name = find_stop_setting(start);
    const char *trigger = start->trigger_file;
    const bool on_command_line = name != NULL && command_line_value(start, name) != NULL;
    AUTO_BUFFER Buffer remedy = {0};

    if (trigger != NULL)
        advice_add(list,
                   before_start(arena_printf(list->arena, "Remove \"%s\" before the server starts.",
                                             trigger)),
                   "with the trigger file \"%s\" the target's server would not follow the source\n"
                   "The configuration that the target will have names this file, which exists: "
                   "the server would open for writing and diverge again.",
                   trigger);

    if (name == NULL)
        return;
    if (settings_value(start->recovery, name) == NULL)
    {
        advise_on_missing_timeline(start, list);
        return;
    }
    if (on_command_line)
        buffer_append_string(&remedy,
                             "Start the server without it, or name a --start-command without it.");
    else if (standby_uses_recovery_conf(start->version))
        buffer_append_string(&remedy, strcmp(name, timeline_setting) == 0
                                          ? "Set it to 'latest' in recovery.conf."
                                          : "Remove it from recovery.conf.");
    else
        buffer_printf(&remedy, "Remove it: ALTER SYSTEM RESET %s; or from the file that sets it.%s",
                      name, start->of_source ? keep_config : "");
    advice_add(
        list, before_start(buffer_string(&remedy)),
        "with \"%s\" the target's server would not follow the source\n"
        "%s. %s.",
        name,
        strcmp(name, timeline_setting) == 0
            ? "It would not start, or stay on another timeline"
            : "Its replay would end early, and it may open for writing and diverge again",
        on_command_line    ? "The setting is on the server's command line, as it was started last"
        : start->of_source ? "The target will have the setting from the source, or in a file that "
                             "is kept"
                           : "The setting is in the target's configuration");
}

void start_advise_on_command_line(const StartSettings *start, const char *slot, AdviceList *list)
{
    const char *name = "primary_conninfo";
    const char *set = command_line_value(start, "primary_slot_name");

    if (standby_uses_recovery_conf(start->version))
        return;
    if (command_line_value(start, name) == NULL)
    {
        name = "primary_slot_name";
        if (slot == NULL || set == NULL || strcmp(set, slot) == 0)
            return;
    }
    advice_add(list,
               before_start(arena_printf(list->arena,
                                         "Move it to postgresql.auto.conf: ALTER SYSTEM SET %s; "
                                         "and start the server without the option. Or name a "
                                         "--start-command without it.",
                                         name)),
               "with \"%s\" on its command line the target's server would not follow the source\n"
               "The server was started with this option, which wins over what -R writes.",
               name);
}

void start_advise_on_unread(const StartSettings *start, AdviceList *list)
{
    const char *unread =
        start->recovery->unread != NULL ? start->recovery->unread : start->now->unread;
    Advice advice;

    if (unread == NULL)
        return;
    advice = before_start_with_files(
        start, arena_printf(list->arena,
                            "Let the user that runs the server and pg_rewind read it, or remove "
                            "the line that includes it.%s",
                            start->of_source ? keep_config : ""));
    advice_add(list, advice,
               "could not read \"%s\", which the configuration of the target's server names\n"
               "It is not known what it sets. With a recovery target the server would not "
               "follow the source, and may open for writing; without the file it may not "
               "start.",
               unread);
}

void start_advise_on_no_file(const StartSettings *start, AdviceList *list)
{
    Error error;

    if (start->of_source)
    {
        error_set(&error, ERROR_FAILED,
                  "the target's server would have no configuration after the rewind");
        error_detail(&error,
                     "The source has no \"%s\" in its data directory, so the target's is removed.",
                     CONFIGURATION_PATH);
        error_hint(&error, "Keep the target's configuration (--keep-config), or name a main "
                           "configuration file outside of the data directory (--config-file).");
    }
    else
        (void) !error_no_configuration(&error);
    advice_add_error(list, before_start(NULL), &error);
}

void start_advise_on_data_directory(const StartSettings *start, AdviceList *list)
{
    const char *name = "data_directory";
    const char *value = settings_value(start->now, name);
    const bool on_command_line = command_line_value(start, name) != NULL;

    /* A relative path is one from where the server is started, which is not known. */
    if (value == NULL || value[0] != '/' || start->directory == NULL ||
        place_is(value, start->directory))
        return;
    if (start->start_command != NULL && (strstr(start->start_command, name) != NULL ||
                                         strstr(start->start_command, "config_file") != NULL))
        return;
    advice_add(
        list,
        before_start(on_command_line
                         ? "Start the server without the option, or name a --start-command "
                           "without it."
                         : arena_printf(list->arena,
                                        "Remove the setting from the configuration that the "
                                        "target will have.%s",
                                        start->of_source ? keep_config : "")),
        "the target's server would not start in the target\n"
        "Its configuration has data_directory = \"%s\", and the server starts there, whatever "
        "directory it is given.",
        value);
}

void start_advise_on_permissions(const StartSettings *start, AdviceList *list)
{
    const bool for_group = start->version->group_may_read;
    AUTO_BUFFER Buffer word = {0};
    struct stat status;

    if (start->directory == NULL || !file_stat(start->directory, &status, NULL, NULL) ||
        (status.st_mode & (for_group ? S_IWGRP | S_IRWXO : S_IRWXG | S_IRWXO)) == 0)
        return;
    buffer_append_word(&word, start->directory);
    advice_add(list,
               before_start(arena_printf(list->arena, "Run: chmod %s %s",
                                         for_group ? "g-w,o-rwx" : "go-rwx", buffer_string(&word))),
               "the target's server would not start with these permissions\n"
               "Its data directory has mode %04o.",
               status.st_mode & 07777);
}

void start_advise_on_missing_file(const StartSettings *start, AdviceList *list)
{
    /* A start command may name another file. */
    if (start->missing.setting == NULL || start->start_command != NULL)
        return;
    advice_add(list,
               before_start(arena_printf(
                   list->arena, "Make this file on the target's host, or change the setting.%s",
                   start->of_source ? keep_config : "")),
               "the target's server would not start without the file of %s\n"
               "Its configuration names \"%s\", which is not there.",
               start->missing.setting, start->missing.path);
}

void start_advise_on_recovery_conf(const StartSettings *start, AdviceList *list)
{
    if (start->recovery_conf_of != NULL)
        advice_add(list, before_start("Remove that file."),
                   "the target's server would not start with recovery.conf\n"
                   "The file of the %s will be in its data directory, and from version 12 on no "
                   "server starts with it.",
                   start->recovery_conf_of);
}

void start_advise_on_limits(const StartSettings *start, const LowLimits *low, AdviceList *list)
{
    AUTO_BUFFER Buffer limits = {0};
    bool on_command_line = false;
    Advice advice;

    if (low->count == 0)
        return;
    for (size_t i = 0; i < low->count; i++)
        on_command_line = on_command_line || command_line_value(start, low->items[i].name) != NULL;
    standby_limits_append(low, &limits);
    advice = before_start_with_files(
        start, on_command_line
                   ? "The server was started with such options, which win over what -R writes. "
                     "Start it without them, or name a --start-command without them."
               : start->of_source
                   ? "The source's configuration was changed, and its server was not restarted "
                     "since. Set them as high there again, or restart the source; or keep the "
                     "target's configuration: --keep-config."
                   : "Set them at least as high in the target's configuration, where the file that "
                     "sets them is kept.");
    advice_add(list, advice,
               "the target's server would not start as a standby: its limits are lower than "
               "the source's\n%s.",
               buffer_string(&limits));
}

void start_advise_on_unknown_limits(const LowLimits *low, AdviceList *list)
{
    AUTO_BUFFER Buffer needed = {0};

    if (low->unknown_count == 0)
        return;
    for (size_t i = 0; i < low->unknown_count; i++)
        buffer_printf(&needed, "%s%s = %u", i > 0 ? ", " : "", low->unknown[i].name,
                      low->unknown[i].needed);
    advice_add(list,
               (Advice){.id = "standby",
                        .severity = ADVICE_WARNING,
                        .when = ADVICE_BEFORE_START,
                        .remedy = "Set them at least as high there. If the main configuration file "
                                  "was not found, --config-file names it."},
               "limits in the configuration of the target's server are not known, since not all of "
               "it was found and read\nA standby does not start with lower ones than %s.",
               buffer_string(&needed));
}

/* Advise that the server would not start with this value of a setting. needed: the value with which
 * it starts, "NAME = VALUE". reason: what needs that, as a beginning of the sentence "... needs
 * NEEDED."; also: more that helps, after a blank, or "". */
static void advise_on_value(const StartSettings *start, const char *name, const char *value,
                            const char *needed, const char *reason, const char *also,
                            AdviceList *list)
{
    AUTO_BUFFER Buffer remedy = {0};
    Advice advice;

    if (command_line_value(start, name) != NULL)
        buffer_printf(&remedy, "Start the server with %s, or name a --start-command with it.",
                      needed);
    else
        buffer_printf(&remedy, "Set %s in the configuration that the target will have.", needed);
    buffer_append_string(&remedy, also);
    advice = before_start_with_files(start, buffer_string(&remedy));
    advice_add(list, advice,
               "the target's server would not start with %s = %s\n"
               "It will have %s, which needs %s.",
               name, value, reason, needed);
}

/* Returns the first setting because of which a server does not start with wal_level = minimal, as
 * "NAME = VALUE"; NULL: none. (PostmasterMain, postmaster/postmaster.c; summarize_wal: 17 and
 * later, sync_replication_slots: 19.) */
static const char *needs_more_than_minimal(const StartSettings *start, Arena *arena)
{
    const Version *version = start->version;
    const char *senders = settings_value(start->now, "max_wal_senders"),
               *archives = settings_value(start->now, "archive_mode");

    /* The default is 10 where that of wal_level is not minimal (utils/misc/guc.c). */
    if (senders == NULL && !start->now->incomplete && start->start_command == NULL &&
        strcmp(version->wal_level_by_default, "minimal") != 0)
        senders = "10";
    if (senders != NULL && strtol(senders, NULL, 0) > 0)
        return arena_printf(arena, "max_wal_senders = %s", senders);
    if (archives != NULL && (setting_is_on(archives) || strcasecmp(archives, "always") == 0))
        return arena_printf(arena, "archive_mode = %s", archives);
    if (version->has_wal_summaries && setting_is_on(settings_value(start->now, "summarize_wal")))
        return "summarize_wal = on";
    /* Versions in which a slot needs "logical" start, and log that slots are not synchronized. */
    if (!version->slot_needs_level_logical &&
        setting_is_on(settings_value(start->now, "sync_replication_slots")))
        return "sync_replication_slots = on";
    return NULL;
}

void start_advise_on_level(const StartSettings *start, const LoadedSlots *slots, bool standby,
                           AdviceList *list)
{
    const Version *version = start->version;
    const char *level = settings_value(start->now, "wal_level"), *reason = NULL, *other;
    const char *drop = slots->droppable ? " Or add --drop-slots to -R or --rejoin." : "";

    if (slots->logical != NULL)
        reason = arena_printf(list->arena, "the logical replication slot \"%s\"", slots->logical);
    else if (slots->physical != NULL)
        reason = arena_printf(list->arena, "the physical replication slot \"%s\"", slots->physical);
    if (level == NULL && !start->now->incomplete && start->start_command == NULL)
        level = version->wal_level_by_default;
    if (slots->logical != NULL && version->slot_needs_level_logical && level != NULL &&
        strcasecmp(level, "logical") != 0)
        advise_on_value(start, "wal_level", level, "wal_level = logical", reason, drop, list);
    else if (level != NULL && strcasecmp(level, "minimal") == 0)
    {
        other = reason != NULL ? reason : needs_more_than_minimal(start, list->arena);
        if (other != NULL)
            advise_on_value(start, "wal_level", level, version->remedies.wal_level, other, drop,
                            list);
    }
    if (standby && slots->logical != NULL && version->slot_needs_hot_standby &&
        !standby_is_hot(version, start->now))
        advise_on_value(start, "hot_standby", "off", "hot_standby = on", reason, drop, list);
    /* CheckRequiredParameterValues in access/transam/xlog.c, up to 9.5. */
    if (standby && version->wal_level_archive && start->wal_level == WAL_LEVEL_ARCHIVE &&
        standby_is_hot(version, start->now))
        advise_on_value(start, "hot_standby", "on", "hot_standby = off",
                        "wal_level = archive of the source",
                        " For queries restart the source with wal_level = hot_standby, let the "
                        "standby replay that, and then switch hot_standby on.",
                        list);
}

void start_advise_on_misleading_wal(const MisleadingWal *misleading, Timeline timeline,
                                    AdviceList *list)
{
    AUTO_BUFFER Buffer files = {0};

    if (misleading->last_newer != 0)
    {
        misleading_wal_append_newer(misleading, &files);
        advice_add(list,
                   before_start(arena_printf(
                       list->arena,
                       "If that timeline was given up, as after a promotion by mistake, remove "
                       "%s. If not, name the server that is on that timeline with "
                       "--source-server.",
                       buffer_string(&files))),
                   "the target's server would follow timeline %u, not the source's timeline %u\n"
                   "Recovery takes the newest timeline of which it finds a history file.",
                   misleading->last_newer, timeline);
    }
    if (misleading->conflicting_file[0] != '\0')
        advice_add(list,
                   before_start("Remove that file from the archive, and all later files of its "
                                "timeline."),
                   "the archive has a file with a source file's name and other content\n"
                   "Its \"%s\" is not the source's. Recovery asks \"restore_command\" before it "
                   "looks in pg_wal, and would replay lost WAL.",
                   misleading->conflicting_file);
}

/* RestoreArchivedFile in access/transam/xlogarchive.c */
void start_advise_on_failed_command(const MisleadingWal *misleading, bool in_its_environment,
                                    AdviceList *list)
{
    static const char reason[] =
        "A server ends if its command ends with a status above 125 or by a signal. Only a status "
        "of 1 to 125 means that the archive does not have the file.";
    Advice advice = before_start("Correct the command, or what it runs, or remove it.");

    if (misleading->command_failure == NULL)
        return;
    if (in_its_environment)
    {
        advice_add(list, advice,
                   "the target's server would not start with its \"restore_command\"\n"
                   "The command has failed: %s. %s",
                   misleading->command_failure, reason);
        return;
    }
    advice.severity = ADVICE_WARNING;
    advice.remedy =
        "If the command fails there as well, correct it, or what it runs, or remove it.";
    advice_add(list, advice,
               "the target's server may not start with its \"restore_command\"\n"
               "The command has failed: %s. %s The server runs it later, and may have another "
               "environment, such as another PATH.",
               misleading->command_failure, reason);
}

void start_advise_on_slot(const Version *version, const char *name, bool unknown,
                          const char *remedy, Lsn needed_from, AdviceList *list)
{
    AUTO_BUFFER Buffer text = {0};
    Advice advice = before_start(NULL);

    buffer_append_string(&text, remedy);
    slot_append_create(&text, version, name);
    if (needed_from != LSN_INVALID)
        buffer_printf(&text, " The source must have WAL from %s on.",
                      LSN_TEXT(version, needed_from));
    advice.remedy = buffer_string(&text);
    if (unknown)
    {
        advice.severity = ADVICE_UNKNOWN;
        advice.when = ADVICE_AT_ONCE;
        advice_add(
            list, advice,
            "The target will use the replication slot \"%s\" of the source, which must exist "
            "there.",
            name);
    }
    else
        advice_add(list, advice,
                   "the source has no replication slot \"%s\"\n"
                   "The configuration that the target will have names it: primary_slot_name.",
                   name);
}

void start_advise_on_unusable_slot(const Error *problem, AdviceList *list)
{
    advice_add_error(list, before_start(NULL), problem);
}

void start_advise_on_held_slot(const char *name, AdviceList *list)
{
    advice_add(list,
               (Advice){.id = "standby",
                        .severity = ADVICE_WARNING,
                        .remedy = "If another standby streams with this slot, give the target a "
                                  "slot of its own: add --slot=NAME and --create-slot."},
               "the source has not released replication slot \"%s\" yet\n"
               "A connection holds it that may be the target's own, from before its server "
               "stopped: the source notices that after wal_sender_timeout at most, and the standby "
               "streams from then on.",
               name);
}

/* Settings with commands for a shell, with libraries, with places where libraries are, and with
 * what a language runs when it begins (plperl.on_plperlu_init, pltclu.start_proc). */
static bool names_what_is_run(const char *name)
{
    static const char *const suffixes[] = {"_command",  "_library",      "_libraries",
                                           "_script",   "_library_path", "_control_path",
                                           "_provider", "_init",         ".start_proc"};
    bool is_run = false;

    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]) && !is_run; i++)
        is_run = text_ends_with(name, suffixes[i]);
    return is_run;
}

void start_advise_on_commands(const StartSettings *former, const StartSettings *start,
                              const char *command_not_run, AdviceList *list)
{
    static const char unlooked[] =
        "pg_rewind does not run the source's restore_command, so it has not looked for WAL in the "
        "archive that would lead the server away from the source.";
    static const char unread[] =
        "Not all of the configuration could be read: there may be more settings.";
    /* Up to 11 the settings of recovery are in recovery.conf. */
    const Settings *const before[] = {former->now, former->recovery};
    const Settings *const after[] = {start->now, start->recovery};
    const size_t file_count = standby_uses_recovery_conf(start->version) ? 2 : 1;
    const bool shows = command_not_run != NULL;
    AUTO_BUFFER Buffer names = {0};
    bool complete = true, adds_host_command = false;

    for (size_t file = 0; file < file_count; file++)
    {
        for (size_t i = 0; i < after[file]->count; i++)
        {
            const Setting *setting = &after[file]->items[i];
            const char *own = settings_value(before[file], setting->name);

            if (!names_what_is_run(setting->name) || setting->value[0] == '\0' ||
                (own != NULL && strcmp(own, setting->value) == 0))
                continue;
            buffer_printf(&names, "%s%s", names.size > 0 ? ", " : "", setting->name);
            if (shows && strcmp(setting->name, "restore_command") == 0)
                buffer_printf(&names, " (%s)", setting_command_shown(list->arena, command_not_run));
        }
        complete = complete && !before[file]->incomplete && !after[file]->incomplete;
    }
    for (size_t i = 0; start->host_commands[i] != NULL; i++)
        adds_host_command =
            adds_host_command || !is_among(start->host_commands[i], former->host_commands);
    if (adds_host_command)
        buffer_printf(&names, "%shosts_file", names.size > 0 ? ", " : "");
    if (names.size == 0)
        return;
    advice_add(list,
               (Advice){.id = "standby_commands",
                        .severity = ADVICE_WARNING,
                        .when = ADVICE_BEFORE_START,
                        .remedy = "Look at these settings of the source, or keep the target's "
                                  "configuration: --keep-config."},
               "the target's server will run what the source's configuration names: %s%s%s%s%s",
               buffer_string(&names), shows || !complete ? "\n" : "", shows ? unlooked : "",
               shows && !complete ? " " : "", complete ? "" : unread);
}
