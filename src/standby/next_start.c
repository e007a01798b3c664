#include "standby/next_start.h"

#include "base/array.h"
#include "format/settings.h"
#include "io/file.h"
#include "standby/listening.h"
#include "standby/standby_files.h"
#include "target/configuration.h"
#include "wal_store/standby_archive.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define APPLY_DELAY "recovery_min_apply_delay"

/* ---- files as the target will have them ---- */

/* The target as it will be: by the plan, or before there is one by the names that are kept. */
typedef struct RewoundTarget
{
    const NextStartInput *input;
    Arena *arena;
    const Keep *keep;       /* without a plan; NULL: nothing comes from the source */
    SettingsReader present; /* reads the target as it is now */
    Error source_lost;      /* its kind is ERROR_RETRY once the source is lost: it is not asked
                               again */
} RewoundTarget;

/* The owner of the file that the rewound target has at a path. */
typedef enum FileOwner
{
    OWNER_NONE, /* it will not be there, or -R makes it */
    OWNER_TARGET,
    OWNER_SOURCE
} FileOwner;

/* The options keep the file or directory, or one that it is in. */
static bool is_kept_by_options(const Keep *keep, const char *path)
{
    AUTO_BUFFER Buffer part = {0};
    const char *kept_by;
    bool kept = false;

    for (size_t length = 0; !kept && path[length] != '\0';)
    {
        length += 1 + strcspn(path + length + 1, "/");
        buffer_clear(&part);
        buffer_append(&part, path, length);
        kept = keep_matches(keep, buffer_string(&part), &kept_by);
    }
    return kept;
}

/* The target's own file or directory stays. */
static bool stays(const RewoundTarget *rewound, const char *path)
{
    if (path[0] == '/')
        return true;
    return rewound->input->plan != NULL
               ? plan_keeps(rewound->input->plan, path)
               : rewound->keep == NULL || is_kept_by_options(rewound->keep, path);
}

static FileOwner find_owner(const RewoundTarget *rewound, const char *path)
{
    const NextStartInput *input = rewound->input;
    const PlanEntry *entry;

    if (stays(rewound, path))
        return OWNER_TARGET;
    if (input->plan == NULL)
        return OWNER_SOURCE;
    entry = plan_find(input->plan, path);
    if (entry == NULL || (entry->action == ACTION_NONE && entry->reason != REASON_STANDBY))
        return OWNER_TARGET;
    return entry->action != ACTION_REMOVE && listing_find(input->source_files, path) != NULL
               ? OWNER_SOURCE
               : OWNER_NONE;
}

/* Returns false; the error of the source is remembered if it is lost. */
static bool note_if_lost(RewoundTarget *rewound, const Error *error)
{
    if (error->kind == ERROR_RETRY)
        rewound->source_lost = *error;
    return false;
}

static bool read_source_file(RewoundTarget *rewound, const char *path, Buffer *content, bool *found)
{
    Source *source = rewound->input->source;
    Error error = {0};

    if (rewound->input->plan != NULL)
    {
        const ListedFile *file = listing_find(rewound->input->source_files, path);

        *found = file != NULL;
        if (file == NULL || file->size == 0)
            return true; /* a server lists what is no regular file with size 0 */
        if (file->type != FILE_REGULAR || file->unreadable)
            return false;
    }
    return rewound->source_lost.kind != ERROR_RETRY &&
           (source->operations->read_file(source, path, SETTINGS_FILE_SIZE_MAX, content, found,
                                          &error) ||
            note_if_lost(rewound, &error));
}

/* A file that -R changes is read as the source has it. */
static bool read_rewound_file(void *context, const char *path, Buffer *content, bool *found)
{
    RewoundTarget *rewound = context;

    *found = false;
    if (find_owner(rewound, path) == OWNER_TARGET)
        return rewound->present.read(rewound->present.context, path, content, found);
    return read_source_file(rewound, path, content, found);
}

static const char *const *list_rewound_directory(void *context, const char *directory, Arena *arena)
{
    RewoundTarget *rewound = context;
    Source *source = rewound->input->source;
    const char **names = arena_allocate(arena, sizeof(*names));
    size_t count = 0;
    Error error = {0};

    if (stays(rewound, directory))
        return rewound->present.list(rewound->present.context, directory, arena);
    if (rewound->source_lost.kind != ERROR_RETRY &&
        !source->operations->names(source, directory, arena, &names, &error))
        (void) note_if_lost(rewound, &error);
    while (names[count] != NULL)
        count++;
    ARRAY_SORT(names, count, compare_strings);
    return names;
}

static bool will_exist(const RewoundTarget *rewound, const char *path)
{
    const FileOwner owner = find_owner(rewound, path);

    return owner == OWNER_SOURCE ||
           (owner == OWNER_TARGET && file_exists(rewound->input->target->directory, path));
}

/* ---- settings and files that differ ---- */

/* The settings that an operator has to look at first. */
static const char *const first_settings[] = {
    "port",
    "listen_addresses",
    "unix_socket_directories",
    "data_directory",
    "hba_file",
    "ident_file",
    "hosts_file",
    "cluster_name",
    "primary_conninfo",
    "primary_slot_name",
    "recovery_",
    "restore_command",
    "archive_",
    "ssl",
    "shared_preload_libraries",
    "synchronous_standby_names",
    "log_directory",
    "include",
};

static size_t rank_of_setting(const char *name)
{
    const size_t count = sizeof(first_settings) / sizeof(first_settings[0]);

    for (size_t i = 0; i < count; i++)
        if (strncmp(name, first_settings[i], strlen(first_settings[i])) == 0)
            return i;
    return count;
}

static int compare_settings(const void *one, const void *other)
{
    const ChangedSetting *a = one, *b = other;
    const size_t rank_a = rank_of_setting(a->name), rank_b = rank_of_setting(b->name);

    return rank_a != rank_b ? (rank_a < rank_b ? -1 : 1) : strcmp(a->name, b->name);
}

static void add_changed_setting(NextStart *next, Arena *arena, const char *name, const char *former,
                                const char *now)
{
    if (former != NULL && now != NULL && strcmp(former, now) == 0)
        return;
    next->settings[next->setting_count++] =
        (ChangedSetting){name, former != NULL ? setting_masked(arena, name, former) : NULL,
                         now != NULL ? setting_masked(arena, name, now) : NULL};
}

static void collect_changed_settings(const Settings *former, const Settings *now, Arena *arena,
                                     NextStart *next)
{
    next->settings =
        arena_allocate(arena, (former->count + now->count + 1) * sizeof(*next->settings));
    for (size_t i = 0; i < former->count; i++)
        add_changed_setting(next, arena, former->items[i].name, former->items[i].value,
                            settings_value(now, former->items[i].name));
    for (size_t i = 0; i < now->count; i++)
        if (settings_value(former, now->items[i].name) == NULL)
            add_changed_setting(next, arena, now->items[i].name, NULL, now->items[i].value);
    qsort(next->settings, next->setting_count, sizeof(*next->settings), compare_settings);
    next->settings_known = true;
    next->settings_complete = !former->incomplete && !now->incomplete;
}

static bool file_differs(RewoundTarget *rewound, const PlanEntry *entry)
{
    const SettingsReader *present = &rewound->present;
    AUTO_BUFFER Buffer former = {0}, now = {0};
    bool found_former, found_now;

    return entry->action != ACTION_COPY || !entry->on_target ||
           entry->source_size != entry->target_size ||
           !present->read(present->context, entry->path, &former, &found_former) ||
           !read_source_file(rewound, entry->path, &now, &found_now) || former.size != now.size ||
           (now.size > 0 && memcmp(former.bytes, now.bytes, now.size) != 0);
}

/* Other files than postgresql.conf and the like, of which the settings are compared. */
static void collect_changed_files(RewoundTarget *rewound, NextStart *next)
{
    const Plan *plan = rewound->input->plan;

    next->files = arena_allocate(rewound->arena, (plan->count + 1) * sizeof(*next->files));
    for (size_t i = 0; i < plan->count; i++)
    {
        const PlanEntry *entry = &plan->entries[i];

        if (entry->type == FILE_REGULAR && entry->action != ACTION_NONE &&
            strncmp(entry->path, "postgresql.", 11) != 0 && keep_is_configuration(entry->path) &&
            file_differs(rewound, entry))
            next->files[next->file_count++] = arena_strdup(rewound->arena, entry->path);
    }
}

/* -R writes also into a file that is otherwise kept: that one is not as it was. */
static void collect_kept_files(const NextStartInput *input, Arena *arena, NextStart *next)
{
    const Plan *plan = input->plan;
    const char *const *written = standby_written_files(input->target->control.version);

    next->kept = arena_allocate(arena, (plan->kept_count + 1) * sizeof(*next->kept));
    for (size_t i = 0; i < plan->kept_count; i++)
        if (plan->kept[i].on_target &&
            !(input->write_recovery_conf && is_among(plan->kept[i].path, written)))
            next->kept[next->kept_count++] = arena_strdup(arena, plan->kept[i].path);
}

/* ---- slots ---- */

static void add_slot(NextStart *next, Arena *arena, AffectedSlot slot)
{
    if (next->slots == NULL)
        next->slots = arena_allocate(arena, AFFECTED_SLOTS_MAX * sizeof(*next->slots));
    slot.name = arena_strdup(arena, slot.name);
    if (next->slot_count < AFFECTED_SLOTS_MAX)
        next->slots[next->slot_count++] = slot;
}

/* The name of the slot whose directory this is, or NULL. */
static const char *slot_name(const ListedFile *file)
{
    const char *name =
        file->type == FILE_DIRECTORY ? relpath_below(file->path, "pg_replslot") : NULL;

    return name != NULL && strchr(name, '/') == NULL ? name : NULL;
}

/* A rewind removes the target's slots; the source's come with its files, where its version lists
 * them. A target that needs no rewind has its own, of which those of its time as a primary matter.
 */
static void collect_slots(const RewoundTarget *rewound, NextStart *next)
{
    const NextStartInput *input = rewound->input;
    const Listing *source = input->source_files;
    const bool removed = input->plan != NULL || input->slots_dropped;
    TargetSlots slots = input->slots;

    if (input->plan != NULL)
        (void) !target_slots_read(input->target, rewound->arena, &slots, NULL);
    for (size_t i = 0; i < slots.count; i++)
        if (input->plan != NULL || slots.slots[i].of_primary)
            add_slot(next, rewound->arena,
                     (AffectedSlot){slots.slots[i].name, slots.slots[i].type,
                                    removed ? "removed" : "kept"});
    if (input->plan == NULL || input->target->control.version->exclusion_lists)
        return;
    for (size_t i = 0; i < source->count; i++)
    {
        const char *name = slot_name(&source->files[i]);

        if (name != NULL)
            add_slot(next, rewound->arena, (AffectedSlot){name, NULL, "copied"});
    }
}

/* Look whether the source has the slot that the target will use. */
static void check_used_slot(const RewoundTarget *rewound, const char *name, bool will_be_made,
                            NextStart *next)
{
    Source *source = rewound->input->source;
    SourceSlot slot = {0};
    const bool asked = source != NULL && source->is_server && name != NULL && name[0] != '\0' &&
                       source_server_slot(source, name, &slot, NULL);

    if (name == NULL || name[0] == '\0' || (asked && slot.physical))
        return;
    add_slot(next, rewound->arena,
             (AffectedSlot){name, "physical",
                            !asked                         ? "unknown"
                            : will_be_made && !slot.exists ? "made"
                                                           : "missing"});
}

/* ---- standby or not ---- */

/* Find a setting that ends replay early, or keeps it on another timeline; NULL: none is set. */
static const char *find_stop_setting(const Settings *recovery)
{
    static const char *const names[] = {"recovery_target",      "recovery_target_lsn",
                                        "recovery_target_name", "recovery_target_time",
                                        "recovery_target_xid",  "recovery_target_timeline"};
    const size_t count = sizeof(names) / sizeof(names[0]);

    for (size_t i = 0; i < count; i++)
    {
        const char *value = settings_value(recovery, names[i]);

        if (value != NULL && value[0] != '\0' && (i + 1 < count || strcmp(value, "latest") != 0))
            return names[i];
    }
    return NULL;
}

/* written: -R writes the recovery settings, and names the newest where that is not the default. */
static bool takes_newest_timeline(const Version *version, const Settings *recovery, bool written)
{
    const bool in_file = standby_uses_recovery_conf(version);
    const char *timeline = settings_value(recovery, "recovery_target_timeline");

    if (in_file && written)
        return true;
    return timeline != NULL ? strcmp(timeline, "latest") == 0 : !in_file;
}

static const char *restore_command_of(const Settings *recovery)
{
    const char *command = settings_value(recovery, "restore_command");

    return command != NULL && command[0] != '\0' ? command : NULL;
}

typedef struct Manager
{
    const char *file;
    const char *name;
    bool sets_limits; /* on the command line, from pg_control */
} Manager;

static const Manager *find_manager(const Target *target)
{
    static const Manager managers[] = {
        {"patroni.dynamic.json", "Patroni", true},
        {"postgresql-auto-failover.conf", "pg_auto_failover", false}};

    for (size_t i = 0; i < sizeof(managers) / sizeof(managers[0]); i++)
        if (file_exists(target->directory, managers[i].file))
            return &managers[i];
    return NULL;
}

const char *next_start_manager(const Target *target)
{
    const Manager *manager = find_manager(target);

    return manager != NULL ? manager->name : NULL;
}

/* The settings that recovery starts with: up to 11 they are in recovery.conf alone, which -R makes
 * unless the target's own is kept; from_file: that one is read. */
static Settings recovery_settings(const Version *version, const SettingsReader *reader,
                                  const Settings *now, bool from_file)
{
    Settings settings = {.arena = now->arena};

    if (!standby_uses_recovery_conf(version))
        return *now;
    if (from_file)
        settings_read(&settings, reader, "recovery.conf");
    return settings;
}

/* True if the server will find in pg_control that it cannot take queries as hot_standby demands. */
static bool lacks_hot_standby(const NextStartInput *input, const Settings *now)
{
    const Control *control = input->control;

    return control->version != NULL && control->version->wal_level_archive &&
           control->wal_level == WAL_LEVEL_ARCHIVE &&
           setting_is_on(settings_value(now, "hot_standby"));
}

/* Collect what decides how the server starts. */
static void describe_recovery(const RewoundTarget *rewound, const Settings *recovery,
                              NextStart *next)
{
    const NextStartInput *input = rewound->input;
    const bool in_file = standby_uses_recovery_conf(input->target->control.version);
    const StandbySettings *written = input->standby_settings;
    const bool will_write = written != NULL || (input->write_recovery_conf && input->plan != NULL);
    const char *conninfo = settings_value(recovery, "primary_conninfo");
    const char *slot = settings_value(recovery, "primary_slot_name");

    next->restore_command = restore_command_of(recovery);
    next->standby = will_write || (in_file ? setting_is_on(settings_value(recovery, "standby_mode"))
                                           : will_exist(rewound, "standby.signal"));
    next->manager = next_start_manager(input->target);
    /* If no rewind is required it has been written by now, except in a dry run. */
    next->written = input->write_recovery_conf && next->standby;
    next->standby_settings = next->written ? written : NULL;
    if (next->written && written != NULL && written->slot != NULL)
        slot = written->slot;
    if (conninfo != NULL)
        next->conninfo = setting_masked(rewound->arena, "primary_conninfo", conninfo);
    next->has_source =
        will_write || (conninfo != NULL && conninfo[0] != '\0') || next->restore_command != NULL;
    next->recovery_conf = in_file;
    if (next->standby && !(in_file && will_write && input->plan != NULL))
        next->stop_setting = find_stop_setting(recovery);
    next->takes_newest_timeline =
        takes_newest_timeline(input->target->control.version, recovery, will_write);
    next->stray_recovery_conf = !in_file && will_exist(rewound, "recovery.conf");
    next->stray_recovery_signal = !in_file && will_exist(rewound, "recovery.signal");
    if (next->standby)
        check_used_slot(rewound, slot, written != NULL && written->slot_is_made, next);
}

/* The limits with which the server would not start as a hot standby, unless a manager raises them.
 */
static void find_low_limits(const Target *target, const Settings *now, const uint32_t *needed,
                            LowLimits *low)
{
    const Manager *manager = find_manager(target);

    low->count = 0;
    if (needed != NULL && (manager == NULL || !manager->sets_limits))
        standby_limits_find(target->control.version, now, needed, low);
}

/* A delay by its value, which may have a unit; NULL: none. */
static const char *delay_or_none(const char *value)
{
    return value != NULL && strtod(value, NULL) > 0 ? value : NULL;
}

const char *next_start_apply_delay(const Target *target, Arena *arena)
{
    return delay_or_none(configuration_recovery_setting(target, arena, false, APPLY_DELAY));
}

/* Find what the source's configuration has that is right for the source alone. */
static void find_sources_own(const NextStartInput *input, const Settings *former,
                             const Settings *now, NextStart *next)
{
    const char *delay = delay_or_none(settings_value(now, APPLY_DELAY)),
               *before = delay_or_none(settings_value(former, APPLY_DELAY));
    Clusters clusters = {.target = *input->target, .source = input->source};
    Error *error = arena_allocate(now->arena, sizeof(*error));

    if (delay != NULL && (before == NULL || strcmp(before, delay) != 0))
        next->apply_delay = delay;
    /* Managers say on the command line where their server listens. */
    if (next_start_manager(input->target) != NULL)
        return;
    if (!listening_check(now, &clusters, error))
        next->cannot_listen = error;
    else
        next->foreign_addresses = listening_foreign(now, now->arena);
}

/* ---- all of it ---- */

/* From 12 on -R writes them among the other settings. */
static void set_written(const NextStartInput *input, NextStart *next, Settings *now)
{
    const StandbySettings *written = input->standby_settings;

    if (written == NULL || standby_uses_recovery_conf(input->target->control.version))
        return;
    settings_set(now, "primary_conninfo", written->conninfo);
    if (written->slot != NULL)
        settings_set(now, "primary_slot_name", written->slot);
    next->limits_written = true;
    for (size_t i = 0; i < next->low_limits.count; i++)
        settings_set(now, next->low_limits.items[i].name,
                     arena_printf(now->arena, "%u", next->low_limits.items[i].needed));
}

bool next_start_find(const NextStartInput *input, Arena *arena, NextStart *next, Error *error)
{
    const Configuration configuration = target_configuration(input->target, arena);
    RewoundTarget rewound = {
        .input = input, .arena = arena, .present = configuration_reader(&configuration)};
    const SettingsReader reader = {read_rewound_file, list_rewound_directory, rewound.present.below,
                                   input->target->directory, &rewound};
    Settings now = configuration_read(&configuration, &reader);
    Settings recovery;
    const char *archive_mode = settings_value(&now, "archive_mode");

    *next = (NextStart){0};
    next->summarizes_wal = setting_is_on(settings_value(&now, "summarize_wal"));
    next->archives_always = archive_mode != NULL && strcasecmp(archive_mode, "always") == 0;
    find_low_limits(input->target, &now, input->limits, &next->low_limits);
    set_written(input, next, &now);
    if (input->plan != NULL)
    {
        const Settings former = configuration_read(&configuration, &rewound.present);

        collect_changed_settings(&former, &now, arena, next);
        find_sources_own(input, &former, &now, next);
        collect_changed_files(&rewound, next);
        collect_kept_files(input, arena, next);
    }
    collect_slots(&rewound, next);
    recovery = recovery_settings(input->target->control.version, &reader, &now,
                                 !input->write_recovery_conf || stays(&rewound, "recovery.conf"));
    describe_recovery(&rewound, &recovery, next);
    next->wal_for_archive_only = next->standby && lacks_hot_standby(input, &now);
    if (rewound.source_lost.kind == ERROR_RETRY)
        return error_copy(error, &rewound.source_lost);
    return true;
}

/* ---- before anything is done ---- */

/* A file or directory of the configuration that cannot be read may set what ends replay. */
static bool check_unread(const Settings *settings, bool of_source, Error *error)
{
    if (settings->unread == NULL)
        return true;
    error_set(error, ERROR_FAILED,
              "could not read \"%s\", which the configuration of the target's server names",
              settings->unread);
    error_detail(error, "It is not known what it sets. With a recovery target the server would not "
                        "follow the source, and may open for writing; without the file it may not "
                        "start.");
    return error_hint(error,
                      "Let the user that runs the server and pg_rewind read it, or remove "
                      "the line that includes it.%s",
                      of_source ? " Or keep the target's configuration: --keep-config." : "");
}

/* What -R writes, and what a file sets, does not count where the command line sets it. */
static bool check_command_line(const Options *options, const Settings *command_line, Error *error)
{
    const char *name = "primary_conninfo";
    const char *slot = settings_value(command_line, "primary_slot_name");

    if (settings_value(command_line, name) == NULL)
    {
        name = "primary_slot_name";
        if (options->slot == NULL || slot == NULL || strcmp(slot, options->slot) == 0)
            return true;
    }
    error_set(error, ERROR_FAILED,
              "with \"%s\" on its command line the target's server would not follow the source",
              name);
    error_detail(error, "The server was started with this option, which wins over what -R writes.");
    return error_hint(error,
                      "Move it to postgresql.auto.conf: ALTER SYSTEM SET %s; and start the "
                      "server without the option. Or name a --start-command without it.",
                      name);
}

/* A timeline by its number is as good as "latest", if it is the source's. */
static bool check_stop_setting(const Settings *settings, const Settings *command_line,
                               Timeline timeline, bool of_source, Error *error)
{
    const char *name = find_stop_setting(settings);
    bool on_command_line;

    if (name == NULL || (strcmp(name, "recovery_target_timeline") == 0 &&
                         strtoul(settings_value(settings, name), NULL, 10) == timeline))
        return true;
    error_set(error, ERROR_FAILED, "with \"%s\" the target's server would not follow the source",
              name);
    on_command_line = settings_value(command_line, name) != NULL;
    error_detail(
        error, "Its replay would end early, and it may open for writing and diverge again. %s.",
        on_command_line ? "The setting is on the server's command line, as it was started last"
        : of_source     ? "The target will have the setting from the source, or in a file that "
                          "is kept"
                        : "The setting is in the target's configuration");
    if (on_command_line)
        return error_hint(error, "Start the server without it, or name a --start-command without "
                                 "it.");
    return error_hint(error, "Remove it: ALTER SYSTEM RESET %s; or from the file that sets it.%s",
                      name, of_source ? " Or keep the target's configuration: --keep-config." : "");
}

static bool check_newer_timelines(const MisleadingWal *misleading, Timeline timeline, Error *error)
{
    AUTO_BUFFER Buffer files = {0};

    if (misleading->last_newer == 0)
        return true;
    misleading_wal_append_newer(misleading, &files);
    error_set(error, ERROR_FAILED,
              "the target's server would follow timeline %u, not the source's timeline %u",
              misleading->last_newer, timeline);
    error_detail(error, "Recovery takes the newest timeline of which it finds a history file.");
    return error_hint(error,
                      "If that timeline was given up, as one of a standby that was promoted by "
                      "mistake, remove %s. If not, name the server that is on it with "
                      "--source-server.",
                      buffer_string(&files));
}

static bool check_archived_names(const MisleadingWal *misleading, Error *error)
{
    if (misleading->not_sources[0] == '\0')
        return true;
    error_set(error, ERROR_FAILED,
              "the archive has other WAL than the source's under the source's names");
    error_detail(
        error,
        "Its \"%s\" is not the source's. Recovery asks \"restore_command\" before it looks "
        "in pg_wal, and would replay lost WAL.",
        misleading->not_sources);
    return error_hint(error,
                      "Remove that file from the archive, and what follows on its timeline.");
}

/* Looks at the archive as the server will ask it, and returns the command that was not run for
 * that; NULL: none. */
static const char *check_archive(const StandbyArchive *archive, Problems *problems, Arena *arena)
{
    const MisleadingWal misleading = standby_archive_look(archive, arena);
    Error problem;

    if (!check_newer_timelines(&misleading,
                               history_last_timeline(&archive->clusters->source_history), &problem))
        problems_add(problems, &problem);
    if (!check_archived_names(&misleading, &problem))
        problems_add(problems, &problem);
    return misleading.command_not_run;
}

/* Up to 11 recovery has its settings in a file of its own. */
static SourcesCommands find_commands(const Version *version, const RewoundTarget *foretold,
                                     const Settings *former, const Settings *now,
                                     const Settings *recovery)
{
    SourcesCommands commands = {.complete = true};

    sources_commands_add(&commands, former, now, foretold->arena);
    if (standby_uses_recovery_conf(version))
    {
        const Settings own = recovery_settings(version, &foretold->present, former, true);

        sources_commands_add(&commands, &own, recovery, foretold->arena);
    }
    return commands;
}

/* Its server would not start. A file that cannot be read is there. */
static bool check_own_file(const SettingsReader *reader, bool of_source, Error *error)
{
    AUTO_BUFFER Buffer content = {0};
    bool found;

    if (!reader->read(reader->context, CONFIGURATION_PATH, &content, &found) || found)
        return true;
    if (!of_source)
        return error_no_configuration(error);
    error_set(error, ERROR_FAILED,
              "the target's server would have no configuration after the rewind");
    error_detail(error,
                 "The source has no \"%s\" in its data directory, so the target's is removed.",
                 CONFIGURATION_PATH);
    return error_hint(error, "Keep the target's configuration (--keep-config), or name a main "
                             "configuration file outside of the data directory (--config-file).");
}

static bool error_no_slot(const Options *options, const Version *version, const char *name,
                          Error *error)
{
    AUTO_BUFFER Buffer call = {0};

    buffer_append_call(&call, "pg_create_physical_replication_slot", name, "name",
                       version->sql.slot_reserves ? ", true" : "");
    error_set(error, ERROR_FAILED, "the source has no replication slot \"%s\"", name);
    if (options->slot == NULL)
        error_detail(error, "The configuration that the target will have names it: "
                            "primary_slot_name.");
    return error_hint(error, "Add %s, or make the slot on the source: SELECT %s;",
                      options->slot != NULL ? "--create-slot" : "--slot=NAME and --create-slot",
                      buffer_string(&call));
}

/* Look at what the server's recovery starts with. */
static void check_recovery(const Options *options, const Clusters *clusters,
                           const Settings *command_line, const Settings *recovery, bool of_source,
                           Problems *problems)
{
    const Timeline timeline = history_last_timeline(&clusters->source_history);
    Error problem;

    if (!standby_uses_recovery_conf(clusters->shape.version) &&
        !check_command_line(options, command_line, &problem))
        problems_add(problems, &problem);
    if (!check_stop_setting(recovery, command_line, timeline, of_source, &problem))
        problems_add(problems, &problem);
}

/* A start command that an option names may have other options than the last start. */
static const Settings *expect_options(const Options *options, const Target *target, Arena *arena)
{
    Settings *none = arena_allocate(arena, sizeof(*none));

    return options->start_command != NULL || target->options == NULL ? none : target->options;
}

/* The configuration of a start before there is a plan. */
typedef struct Foretold
{
    Configuration configuration;
    NextStartInput input;
    RewoundTarget rewound;
    SettingsReader reader;
    Settings settings;
    bool of_target; /* the target's own configuration */
} Foretold;

/* *foretold must stay where it is: its parts point to each other. */
static void foretell(const Options *options, const Clusters *clusters, ExpectedStart expected,
                     Arena *arena, Foretold *foretold)
{
    const bool of_target = !expected.rewound || options->keep->configuration;
    RewoundTarget *rewound = &foretold->rewound;

    foretold->configuration =
        (Configuration){clusters->target.directory, clusters->target.config_file,
                        expect_options(options, &clusters->target, arena), arena};
    foretold->of_target = of_target;
    foretold->input = (NextStartInput){.target = &clusters->target, .source = clusters->source};
    *rewound = (RewoundTarget){.input = &foretold->input,
                               .arena = arena,
                               .keep = of_target ? NULL : options->keep,
                               .present = configuration_reader(&foretold->configuration)};
    foretold->reader =
        (SettingsReader){read_rewound_file, list_rewound_directory, rewound->present.below,
                         clusters->target.directory, rewound};
    foretold->settings = configuration_read(&foretold->configuration, &foretold->reader);
}

/* A target that is not rewound goes on with its own pg_control. */
static void find_foretold_limits(const Foretold *foretold, const Clusters *clusters,
                                 ExpectedStart expected, LowLimits *low)
{
    const Version *version = clusters->shape.version;
    uint32_t needed[LIMITS_MAX] = {0};

    standby_limits_raise(version, expected.control->limits, needed);
    if (!expected.rewound)
        standby_limits_raise(version, clusters->target.control.limits, needed);
    find_low_limits(&clusters->target, &foretold->settings, needed, low);
}

bool next_start_limits(const Options *options, const Clusters *clusters, ExpectedStart expected,
                       Arena *arena, LowLimits *low, Error *error)
{
    Foretold foretold;

    foretell(options, clusters, expected, arena, &foretold);
    find_foretold_limits(&foretold, clusters, expected, low);
    return foretold.rewound.source_lost.kind != ERROR_RETRY ||
           error_copy(error, &foretold.rewound.source_lost);
}

/* From 12 on -R raises them, but not on the command line. */
static void check_limits(const Foretold *foretold, const Clusters *clusters, ExpectedStart expected,
                         Problems *problems)
{
    const Settings *command_line = foretold->configuration.options;
    bool on_command_line = false;
    LowLimits low;
    Error problem;

    find_foretold_limits(foretold, clusters, expected, &low);
    for (size_t i = 0; i < low.count; i++)
        on_command_line =
            on_command_line || settings_value(command_line, low.items[i].name) != NULL;
    if (low.count == 0 || !(on_command_line || standby_uses_recovery_conf(clusters->shape.version)))
        return;
    (void) !error_low_limits(&low,
                             on_command_line       ? LIMITS_OF_COMMAND_LINE
                             : foretold->of_target ? LIMITS_OF_TARGET
                                                   : LIMITS_OF_SOURCE,
                             &problem);
    problems_add(problems, &problem);
}

bool next_start_check(const Options *options, const Clusters *clusters, ExpectedStart expected,
                      Problems *problems, SourcesCommands *commands, Arena *arena, Error *error)
{
    const Version *version = clusters->shape.version;
    const bool written = !is_kept_by_options(options->keep, "recovery.conf");
    Foretold foretold;
    Settings settings;
    const char *not_run, *slot;
    StandbyArchive archive;
    SourceSlot found;
    Error problem;

    *commands = (SourcesCommands){.complete = true};
    foretell(options, clusters, expected, arena, &foretold);
    settings = recovery_settings(version, &foretold.reader, &foretold.settings, !written);
    slot = options->slot != NULL ? options->slot : settings_value(&settings, "primary_slot_name");
    if (expected.needs_own_file && !check_own_file(&foretold.reader, !foretold.of_target, &problem))
        problems_add(problems, &problem);
    if (foretold.rewound.source_lost.kind == ERROR_RETRY)
        return error_copy(error, &foretold.rewound.source_lost);
    check_limits(&foretold, clusters, expected, problems);
    if (!check_unread(settings.unread != NULL ? &settings : &foretold.settings, !foretold.of_target,
                      &problem))
        problems_add(problems, &problem);
    /* A start command may have options of its own. */
    if (options->start_command == NULL && !listening_check(&foretold.settings, clusters, &problem))
        problems_add(problems, &problem);
    check_recovery(options, clusters, foretold.configuration.options, &settings,
                   !foretold.of_target, problems);
    archive = (StandbyArchive){.options = options,
                               .clusters = clusters,
                               .restore_command = restore_command_of(&settings),
                               .takes_newest_timeline =
                                   !expected.of_standby &&
                                   takes_newest_timeline(version, &settings, written),
                               .rewound = expected.rewound,
                               .divergence = expected.divergence};
    not_run = check_archive(&archive, problems, arena);
    if (!foretold.of_target)
    {
        const Configuration present = target_configuration(&clusters->target, arena);
        const Settings former = configuration_read(&present, &foretold.rewound.present);

        *commands =
            find_commands(version, &foretold.rewound, &former, &foretold.settings, &settings);
    }
    commands->restore_shown = not_run != NULL ? setting_command_shown(arena, not_run) : NULL;
    if (slot == NULL || slot[0] == '\0' || options->create_slot || !version->sql.replication_slots)
        return true;
    if (!source_server_slot(clusters->source, slot, &found, error))
        return false;
    if (!found.exists && !error_no_slot(options, version, slot, &problem))
        problems_add(problems, &problem);
    return true;
}
