#include "standby/next_start.h"

#include "base/array.h"
#include "base/workers.h"
#include "format/origins.h"
#include "format/settings.h"
#include "io/file.h"
#include "io/place.h"
#include "standby/listening.h"
#include "standby/start_advice.h"
#include "standby/standby_files.h"
#include "standby/streaming.h"
#include "target/configuration.h"
#include "wal_store/standby_archive.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define APPLY_DELAY "recovery_min_apply_delay"

/* ---- files as the target will have them ---- */

/* The target as it will be at its next start: by the plan, or, before a plan exists, by `keep`. */
typedef struct RewoundTarget
{
    NextStartInput input;
    Arena *arena;
    const Keep *keep;         /* without a plan: patterns of files that stay the target's; NULL:
                                 all stay */
    bool configuration_stays; /* --keep-config without a plan: whatever the configuration names
                                 stays the target's */
    Configuration
        configuration;      /* place of the target's configuration, and options of its server */
    SettingsReader present; /* reads files of the target as it is now */
    SettingsReader reader;  /* reads files of the target as it will be */
    Settings now;           /* settings of the server's next start */
    Error source_lost;      /* error of kind ERROR_RETRY after the source was lost: it is not
                               asked again */
} RewoundTarget;

/* The owner of the file that the rewound target has at a path. */
typedef enum FileOwner
{
    OWNER_NONE, /* the file will not exist, or -R creates it */
    OWNER_TARGET,
    OWNER_SOURCE
} FileOwner;

/* Remember the error if the source is lost. Returns false. */
static bool note_if_lost(RewoundTarget *rewound, const Error *error)
{
    if (error->kind == ERROR_RETRY)
        rewound->source_lost = *error;
    return false;
}

/* Read a file of the source. Returns false if the file cannot be read, or if the source is lost. */
static bool read_source_file(RewoundTarget *rewound, const char *path, size_t limit,
                             Buffer *content, bool *found)
{
    Source *source = rewound->input.clusters->source;
    Error error = {0};

    if (rewound->input.plan != NULL)
    {
        const ListedFile *file = listing_find(rewound->input.source_files, path);

        *found = file != NULL;
        if (file == NULL || file->size == 0)
            return true; /* do not read an empty file: it may be a fifo, listed with size 0 */
        if (file->type != FILE_REGULAR || file->unreadable)
            return false;
    }
    return rewound->source_lost.kind != ERROR_RETRY &&
           (source->operations->read_file(source, path, limit, content, found, &error) ||
            note_if_lost(rewound, &error));
}

/* True if something is mounted at this path of the target. */
static bool is_mounted(const RewoundTarget *rewound, const char *path)
{
    const char *directory = rewound->input.clusters->target.directory;
    AUTO_BUFFER Buffer own = {0};
    Place root;
    bool found;

    return place_find(directory, &root, &found, NULL) && found &&
           place_is_mounted(path_in(&own, directory, path), root.device);
}

/* True if a plan would leave this file of the target alone: it is mounted there, or lies in a
 * mounted directory; or it is a link in the place of a file or directory that the source has, but
 * not one that -R replaces. (decide_file in plan/decide.c; Rule S30.) */
static bool is_left_alone(RewoundTarget *rewound, const char *path, bool mounted)
{
    const Target *target = &rewound->input.clusters->target;
    AUTO_BUFFER Buffer own = {0}, content = {0};
    struct stat status;
    bool found;

    path_in(&own, target->directory, path);
    if (!file_lstat(buffer_string(&own), &status, &found, NULL) || !found)
        return false;
    if (!S_ISLNK(status.st_mode))
        return S_ISREG(status.st_mode) && mounted;
    if (rewound->input.options->write_recovery_conf &&
        is_among(path, standby_written_files(target->control.version)))
        return false;
    return !read_source_file(rewound, path, SETTINGS_FILE_SIZE_MAX, &content, &found) || found;
}

/* True if the rewound target keeps its own file or directory at this path. */
static bool stays(RewoundTarget *rewound, const char *path)
{
    AUTO_BUFFER Buffer part = {0};
    const char *kept_by;
    bool kept = false, mounted = false;

    if (path[0] == '/')
        return true;
    if (rewound->input.plan != NULL)
        return plan_keeps(rewound->input.plan, path);
    if (rewound->keep == NULL)
        return true;
    while (!kept && path_take_part(path, &part))
    {
        mounted = mounted || is_mounted(rewound, buffer_string(&part));
        kept = keep_matches(rewound->keep, buffer_string(&part), &kept_by) ||
               is_left_alone(rewound, buffer_string(&part), mounted);
    }
    return kept;
}

/* Returns which cluster's file the rewound target has at this path. */
static FileOwner find_owner(RewoundTarget *rewound, const char *path)
{
    const NextStartInput *input = &rewound->input;
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

/* SettingsReader.read for the rewound target. A file of the source is read without the changes that
 * -R will make. */
static bool read_rewound_file(void *context, const char *path, Buffer *content, bool *found)
{
    RewoundTarget *rewound = context;

    *found = false;
    if (rewound->configuration_stays || find_owner(rewound, path) == OWNER_TARGET)
        return rewound->present.read(rewound->present.context, path, content, found);
    return read_source_file(rewound, path, SETTINGS_FILE_SIZE_MAX, content, found);
}

/* Returns the names in a directory of the source; none if they cannot be read. */
static const char **list_source_directory(RewoundTarget *rewound, const char *directory,
                                          Arena *arena)
{
    Source *source = rewound->input.clusters->source;
    const char **names = arena_allocate(arena, sizeof(*names));
    Error error = {0};

    if (source != NULL && rewound->source_lost.kind != ERROR_RETRY &&
        !source->operations->names(source, directory, arena, &names, &error))
        (void) note_if_lost(rewound, &error);
    return names;
}

/* Take from a list of the files in a directory those that the rewound target will have from this
 * owner. */
static size_t take_owned(RewoundTarget *rewound, const char *directory, const char *const *listed,
                         FileOwner owner, const char **names)
{
    AUTO_BUFFER Buffer path = {0};
    size_t count = 0;

    for (; listed != NULL && *listed != NULL; listed++)
        if (find_owner(rewound, path_in(&path, directory, *listed)) == owner)
            names[count++] = *listed;
    return count;
}

/* True if the source has a file or directory at this path, or cannot be asked. */
static bool source_has(RewoundTarget *rewound, const char *path, Arena *arena)
{
    AUTO_BUFFER Buffer parent = {0};
    const char *const *names = list_source_directory(rewound, path_parent(&parent, path), arena);
    const char *name = strrchr(path, '/');

    return names[0] == NULL || is_among(name != NULL ? name + 1 : path, names);
}

/* SettingsReader.list for the rewound target. A directory that does not stay itself may have files
 * that do, such as one that --keep names. */
static const char *const *list_rewound_directory(void *context, const char *directory, Arena *arena)
{
    RewoundTarget *rewound = context;
    const char *const *own = rewound->present.list(rewound->present.context, directory, arena);
    const char *const *of_source;
    const char **names;
    size_t count;

    if (rewound->configuration_stays || stays(rewound, directory))
        return own;
    of_source = list_source_directory(rewound, directory, arena);
    if (own == NULL && of_source[0] == NULL && !source_has(rewound, directory, arena))
        return NULL;
    names = arena_allocate(arena, (count_words(own) + count_words(of_source) + 1) * sizeof(*names));
    count = take_owned(rewound, directory, of_source, OWNER_SOURCE, names);
    count += take_owned(rewound, directory, own, OWNER_TARGET, names + count);
    ARRAY_SORT(names, count, compare_strings);
    return names;
}

/* Set configuration, readers and `now`. The options of the server's last start count unless there
 * is a --start-command. The readers point to *rewound, so it must not be copied afterwards. */
static void read_rewound_settings(RewoundTarget *rewound)
{
    rewound->configuration = target_configuration(&rewound->input.clusters->target, rewound->arena);
    if (rewound->input.options->start_command != NULL)
        rewound->configuration.options = NULL;
    rewound->present = configuration_reader(&rewound->configuration);
    rewound->reader =
        (SettingsReader){read_rewound_file, list_rewound_directory, rewound->present.below,
                         rewound->input.clusters->target.directory, rewound};
    rewound->now = configuration_read(&rewound->configuration, &rewound->reader);
}

/* True if the rewound target will have a file at this path, or if the source cannot be asked. */
static bool will_exist(RewoundTarget *rewound, const char *path)
{
    const FileOwner owner = find_owner(rewound, path);
    AUTO_BUFFER Buffer content = {0};
    bool found;

    if (owner != OWNER_SOURCE)
        return owner == OWNER_TARGET &&
               file_exists(rewound->input.clusters->target.directory, path);
    return rewound->input.plan != NULL ||
           !read_source_file(rewound, path, SETTINGS_FILE_SIZE_MAX, &content, &found) || found;
}

/* ---- settings and files that differ ---- */

/* Names or beginnings of names of the settings that an operator has to look at first; changed
 * settings are sorted by this list. */
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

/* Returns the setting's index in first_settings; the number of its entries for any other setting.
 */
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

/* True if the target's file will have another content after the rewind, or cannot be compared. */
static bool file_differs(RewoundTarget *rewound, const PlanEntry *entry)
{
    const SettingsReader *present = &rewound->present;
    AUTO_BUFFER Buffer former = {0}, now = {0};
    bool found_former, found_now;

    return entry->action != ACTION_COPY || !entry->on_target ||
           entry->source_size != entry->target_size ||
           !present->read(present->context, entry->path, &former, &found_former) ||
           !read_source_file(rewound, entry->path, SETTINGS_FILE_SIZE_MAX, &now, &found_now) ||
           former.size != now.size ||
           (now.size > 0 && memcmp(former.bytes, now.bytes, now.size) != 0);
}

/* List the configuration files that will differ, such as pg_hba.conf. Left out are postgresql.conf
 * and the like: their settings are compared one by one. */
static void collect_changed_files(RewoundTarget *rewound, NextStart *next)
{
    const Plan *plan = rewound->input.plan;

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

/* List the kept files. Left out are files that -R writes into: they are not as they were. */
static void collect_kept_files(const NextStartInput *input, Arena *arena, NextStart *next)
{
    const Plan *plan = input->plan;
    const char *const *written = standby_written_files(input->clusters->target.control.version);

    next->kept = arena_allocate(arena, (plan->kept_count + 1) * sizeof(*next->kept));
    for (size_t i = 0; i < plan->kept_count; i++)
        if (plan->kept[i].on_target &&
            !(input->options->write_recovery_conf && is_among(plan->kept[i].path, written)))
            next->kept[next->kept_count++] = arena_strdup(arena, plan->kept[i].path);
}

/* ---- slots ---- */

static void add_slot(NextStart *next, Arena *arena, AffectedSlot slot)
{
    slot.name = arena_strdup(arena, slot.name);
    ARRAY_ADD_IN(arena, next->slots, next->slot_count, slot);
}

/* Returns the slot's name if this is a slot's directory below pg_replslot; otherwise NULL. */
static const char *slot_name(const ListedFile *file)
{
    return file->type == FILE_DIRECTORY ? relpath_name_in(file->path, "pg_replslot") : NULL;
}

/* List the slots that the rewind affects. A rewind removes the target's slots; up to PostgreSQL 10
 * the source's slots are copied with its files. A target that needs no rewind keeps its slots;
 * listed are those from its time as a primary. */
static void collect_slots(const RewoundTarget *rewound, NextStart *next)
{
    const NextStartInput *input = &rewound->input;
    const Listing *source = input->source_files;
    const bool removed = input->plan != NULL || input->options->drop_slots;
    TargetSlots slots = input->slots;

    if (input->plan != NULL)
        (void) !target_slots_read(&input->clusters->target, rewound->arena, &slots, NULL);
    for (size_t i = 0; i < slots.count; i++)
        if (input->plan != NULL || slots.slots[i].of_primary)
            add_slot(next, rewound->arena,
                     (AffectedSlot){slots.slots[i].name, slots.slots[i].type,
                                    removed ? "removed" : "kept"});
    if (input->plan == NULL || input->clusters->target.control.version->exclusion_lists)
        return;
    for (size_t i = 0; i < source->count; i++)
    {
        const char *name = slot_name(&source->files[i]);

        if (name != NULL)
            add_slot(next, rewound->arena, (AffectedSlot){name, NULL, "copied"});
    }
}

/*
 * Check that the standby can stream with the slot, which its configuration names. Without a rewind
 * that is the target's own name: a standby whose host has failed may still hold the slot, since the
 * source notices a lost connection after wal_sender_timeout at most. Such a slot is a warning, and
 * passes. *problem is set if the slot does not pass. (Rule S35.)
 */
static bool judge_used_slot(const Options *options, const Clusters *clusters,
                            const ExpectedStart *expected, const char *name, const SourceSlot *slot,
                            AdviceList *list, Error *problem)
{
    const char *names[STREAMING_NAMES_MAX + 1];
    const StandbySettings own = {.own_slot = name, .slot_users = names};
    const StandbySettings *settings = expected->settings;

    if (slot->active && !expected->rewound && (settings == NULL || settings->own_slot == NULL) &&
        target_may_have_been_standby(&clusters->target))
    {
        streaming_names(&clusters->target, list->arena, names);
        if (slot->holder[0] == '\0' || is_among(slot->holder, names))
        {
            settings = &own;
            start_advise_on_held_slot(name, list);
        }
    }
    return streaming_check_slot(options, clusters, name, settings, expected->slot_patience_seconds,
                                problem);
}

/* List the slot that the standby will use, unless it can stream with that slot. The slot of --slot
 * was checked before the rewind: only that it exists is checked here. */
static void check_used_slot(const RewoundTarget *rewound, const char *name, bool will_be_made,
                            NextStart *next)
{
    const Options *options = rewound->input.options;
    const Clusters *clusters = rewound->input.clusters;
    Source *source = clusters->source;
    SourceSlot slot = {0};
    const bool asked = source != NULL && source->is_server && name != NULL && name[0] != '\0' &&
                       source_server_slot(source, name, &slot, NULL);
    const char *state = !asked ? "unknown" : slot.exists ? NULL : will_be_made ? "made" : "missing";
    const ExpectedStart expected = {.rewound = rewound->input.plan != NULL,
                                    .slot_patience_seconds = STREAMING_RELEASE_SECONDS};
    Error problem;

    if (name == NULL || name[0] == '\0')
        return;
    if (state == NULL && options->slot == NULL &&
        !judge_used_slot(options, clusters, &expected, name, &slot, &next->advice, &problem))
    {
        state = problem.kind == ERROR_RETRY || stop_requested() ? "unknown" : "unusable";
        if (strcmp(state, "unusable") == 0)
            start_advise_on_unusable_slot(&problem, &next->advice);
    }
    if (state != NULL)
        add_slot(next, rewound->arena, (AffectedSlot){name, "physical", state});
}

/* ---- standby or not ---- */

/* True if recovery will follow the newest timeline. */
static bool takes_newest_timeline(const Version *version, const Settings *recovery)
{
    return standby_takes_newest_timeline(version,
                                         settings_value(recovery, "recovery_target_timeline"));
}

static const char *restore_command_of(const Settings *recovery)
{
    const char *command = settings_value(recovery, "restore_command");

    return command != NULL && command[0] != '\0' ? command : NULL;
}

/* A cluster manager, recognized by its file in the data directory. */
typedef struct Manager
{
    const char *file;
    const char *name;
    bool sets_limits; /* the manager starts the server with max_connections and other limits of
                         pg_control, wal_level and hot_standby on its command line */
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

/* Returns the cluster manager that will start the server. What managers give their servers does not
 * count where pg_rewind starts the server with its own command; a --start-command may be the
 * manager's. (Rule S11.) */
static const Manager *find_starter(const NextStartInput *input)
{
    return input->options->rejoin && input->options->start_command == NULL
               ? NULL
               : find_manager(&input->clusters->target);
}

const char *next_start_manager(const Target *target)
{
    const Manager *manager = find_manager(target);

    return manager != NULL ? manager->name : NULL;
}

/* Returns the settings that recovery starts with. From PostgreSQL 12 on they are among all others,
 * `now`. Up to 11 they are those of recovery.conf, which is read if from_file is set; otherwise -R
 * creates it. written: as -R leaves the settings. */
static Settings recovery_settings(const Target *target, const SettingsReader *reader,
                                  const Settings *now, bool from_file, bool written)
{
    Settings settings = {.arena = now->arena};

    if (!standby_uses_recovery_conf(target->control.version))
        return *now;
    if (from_file)
        settings_read(&settings, reader, "recovery.conf");
    else if (written)
        settings = standby_former_settings(target, now->arena);
    if (written)
        settings_set(&settings, "recovery_target_timeline", "latest");
    return settings;
}

/* Returns the path of the trigger file that the server will find; NULL if it will find none. Up to
 * 11 the setting is called trigger_file, and 16 and later have none (guc.c). (Rule S28.) */
static const char *find_trigger_file(RewoundTarget *rewound, const Settings *recovery)
{
    const Target *target = &rewound->input.clusters->target;
    const char *name = standby_uses_recovery_conf(target->control.version) ? "trigger_file"
                                                                           : "promote_trigger_file";
    const char *value = settings_value(recovery, name), *path;

    if (value == NULL || value[0] == '\0')
        return NULL;
    path = configuration_path_in_target(&rewound->configuration, "", value);
    if (path == NULL)
    {
        /* It lies outside of the data directory. */
        path = value[0] == '/' ? value
                               : arena_printf(rewound->arena, "%s/%s", target->directory, value);
        return access(path, F_OK) == 0 ? path : NULL;
    }
    return will_exist(rewound, path)
               ? arena_printf(rewound->arena, "%s/%s", target->directory, path)
               : NULL;
}

/* True if the server will certainly not find the file at this path, which is relative to its data
 * directory or absolute. */
static bool will_be_missing(RewoundTarget *rewound, const char *value)
{
    const char *path = configuration_path_in_target(&rewound->configuration, "", value);

    if (path != NULL)
        return !will_exist(rewound, path);
    if (value[0] != '/')
        value =
            arena_printf(rewound->arena, "%s/%s", rewound->input.clusters->target.directory, value);
    return access(value, F_OK) != 0 && (errno == ENOENT || errno == ENOTDIR);
}

/* Returns a setting, and the file that it names, which the server needs to start and will not find.
 * NULL: it will find all of these files. (Rule S28.) */
static NamedFile find_missing_file(RewoundTarget *rewound)
{
    static const struct
    {
        const char *setting, *by_default;
        bool of_ssl; /* otherwise a relative path is one from where the server is started */
    } files[] = {
        {"hba_file", "", false},
        {"ident_file", "", false},
        {"ssl_cert_file", "server.crt", true},
        {"ssl_key_file", "server.key", true},
        {"ssl_ca_file", "", true},
        {"ssl_crl_file", "", true},
    };
    const bool uses_ssl = setting_is_on(settings_value(&rewound->now, "ssl"));

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
    {
        const char *value = settings_value(&rewound->now, files[i].setting);

        if (value == NULL)
            value = files[i].by_default;
        if (value[0] != '\0' && (files[i].of_ssl ? uses_ssl : value[0] == '/') &&
            will_be_missing(rewound, value))
            return (NamedFile){files[i].setting, value};
    }
    return (NamedFile){NULL, NULL};
}

/* Returns whose recovery.conf a server will find that does not start with one (12 and later); NULL:
 * it will find none. (Rule S40.) */
static const char *find_recovery_conf(RewoundTarget *rewound)
{
    if (standby_uses_recovery_conf(rewound->input.clusters->target.control.version) ||
        !will_exist(rewound, "recovery.conf"))
        return NULL;
    return find_owner(rewound, "recovery.conf") == OWNER_SOURCE ? "source" : "target";
}

/* True if -R writes the settings of recovery; false in a run without a plan that finishes an
 * interrupted rewind, whose files -R wrote before. */
static bool writes_recovery(const NextStartInput *input)
{
    return input->standby_settings != NULL ||
           (input->options->write_recovery_conf && input->plan != NULL);
}

static void describe_recovery(RewoundTarget *rewound, const Settings *recovery, NextStart *next)
{
    const NextStartInput *input = &rewound->input;
    const Manager *starter = find_starter(input);
    const bool in_file = standby_uses_recovery_conf(input->clusters->target.control.version);
    const StandbySettings *written = input->standby_settings;
    const bool will_write = writes_recovery(input);
    const char *conninfo = settings_value(recovery, "primary_conninfo");
    const char *slot = settings_value(recovery, "primary_slot_name");

    next->restore_command = restore_command_of(recovery);
    next->standby = will_write || (in_file ? setting_is_on(settings_value(recovery, "standby_mode"))
                                           : will_exist(rewound, "standby.signal"));
    next->manager = starter != NULL ? starter->name : NULL;
    /* Without a plan no rewind is required: then -R has already written its settings, so that the
     * target starts as a standby; in a dry run it has not. */
    next->written = input->options->write_recovery_conf && next->standby;
    next->standby_settings = next->written ? written : NULL;
    if (next->written && written != NULL && written->slot != NULL)
        slot = written->slot;
    if (conninfo != NULL)
        next->conninfo = setting_masked(rewound->arena, "primary_conninfo", conninfo);
    next->has_source =
        will_write || (conninfo != NULL && conninfo[0] != '\0') || next->restore_command != NULL;
    next->recovery_conf = in_file;
    next->takes_newest_timeline =
        takes_newest_timeline(input->clusters->target.control.version, recovery);
    if (next->standby)
        check_used_slot(rewound, slot, written != NULL && written->slot_is_made, next);
}

static uint64_t size_of_target_file(const RewoundTarget *rewound, const char *path)
{
    AUTO_BUFFER Buffer full = {0};
    struct stat status;
    bool found;

    path_in(&full, rewound->input.clusters->target.directory, path);
    return file_lstat(buffer_string(&full), &status, &found, NULL) && found
               ? (uint64_t) status.st_size
               : 0;
}

/*
 * Returns the number of replication origins that the server needs room for by the files: those of
 * the file that it loads. A target that is not rewound has its own file, and will replay WAL that
 * names the origins of the source's. (Rule S22.)
 */
static uint32_t count_origins(RewoundTarget *rewound, bool will_be_rewound)
{
    const Plan *plan = rewound->input.plan;
    const FileOwner owner = plan != NULL ? find_owner(rewound, ORIGINS_PATH) : OWNER_NONE;
    AUTO_BUFFER Buffer content = {0};
    uint64_t of_source = 0, of_target = 0;
    bool found;

    if (plan == NULL)
    {
        if (rewound->input.clusters->source != NULL &&
            read_source_file(rewound, ORIGINS_PATH, ORIGINS_FILE_SIZE_MAX, &content, &found))
            of_source = content.size;
    }
    else if (owner == OWNER_SOURCE)
        of_source = listing_find(rewound->input.source_files, ORIGINS_PATH)->size;
    if (plan != NULL ? owner == OWNER_TARGET : !will_be_rewound)
        of_target = size_of_target_file(rewound, ORIGINS_PATH);
    return origins_count(of_source > of_target ? of_source : of_target);
}

/* Returns the names in a directory of the source. A rewind has listed them: it need not ask the
 * source again. (Rule P1.) */
static const char *const *names_in_source(RewoundTarget *rewound, const char *directory)
{
    const Listing *files = rewound->input.source_files;
    const char **names = NULL;
    size_t count = 0;

    if (rewound->input.plan == NULL)
        return list_source_directory(rewound, directory, rewound->arena);
    for (size_t i = 0; i < files->count; i++)
    {
        const char *name = relpath_name_in(files->files[i].path, directory);

        if (name != NULL)
            ARRAY_ADD_IN(rewound->arena, names, count, name);
    }
    ARRAY_ADD_IN(rewound->arena, names, count, NULL);
    return names;
}

/* Find limits that are too low for a start as a standby, by `needed` and the files. None if a
 * cluster manager will start the server and sets them. */
static void find_low_limits(RewoundTarget *rewound, bool will_be_rewound, NeededLimits *needed,
                            LowLimits *low)
{
    const Version *version = rewound->input.clusters->target.control.version;
    const Manager *starter = find_starter(&rewound->input);
    NeededLimits of_files = {0};
    uint32_t slots = 0;

    low->count = low->unknown_count = 0;
    if (starter != NULL && starter->sets_limits)
        return;
    if (version->origins_setting != NULL)
        of_files.origins = count_origins(rewound, will_be_rewound);
    /* Rule S23: slots are copied up to 10. */
    if (version->sql.replication_slots && !version->exclusion_lists && will_be_rewound)
        slots = (uint32_t) count_words(names_in_source(rewound, "pg_replslot"));
    if (slots > of_files.origins)
        of_files.origins = slots;
    if (version->holds_prepared && !standby_is_hot(version, &rewound->now))
        of_files.prepared = names_in_source(rewound, "pg_twophase")[0] != NULL;
    (void) standby_limits_raise(&of_files, needed);
    standby_limits_find(version, &rewound->now, needed, low);
}

/* Returns the slots that the server loads at its next start: the source's where they are copied, up
 * to 10, or those that the target keeps without a rewind. drops: --drop-slots has not been carried
 * out yet. */
static LoadedSlots find_loaded_slots(RewoundTarget *rewound, bool will_be_rewound, bool drops)
{
    const Target *target = &rewound->input.clusters->target;
    const Version *version = target->control.version;
    LoadedSlots loaded = {0};
    TargetSlots own = {0};
    const char *const *names;

    if (!version->sql.replication_slots)
        return loaded;
    if (!will_be_rewound)
        (void) !target_slots_read(target, rewound->arena, &own, NULL);
    for (size_t i = 0; i < own.count; i++)
        if (!drops || !own.slots[i].of_primary)
            loaded_slots_add(&loaded, own.slots[i].name, own.slots[i].type,
                             own.slots[i].of_primary);
    if (!will_be_rewound || version->exclusion_lists)
        return loaded;
    names = names_in_source(rewound, "pg_replslot");
    for (; *names != NULL; names++)
    {
        AUTO_BUFFER Buffer path = {0}, bytes = {0};
        SlotState state;
        bool found;

        buffer_printf(&path, "pg_replslot/%s/state", *names);
        if (!slot_is_partial(*names) &&
            read_source_file(rewound, buffer_string(&path), SLOT_STATE_SIZE_MAX, &bytes, &found) &&
            found && slot_state_parse(bytes.bytes, bytes.size, &state) && state.persistent)
            loaded_slots_add(&loaded, *names, state.type, false);
    }
    return loaded;
}

/* Advise on wal_level and hot_standby, unless a cluster manager will start the server and sets
 * them. drops as in find_loaded_slots. (Rule S33.) */
static void advise_on_level(RewoundTarget *rewound, const StartSettings *start,
                            bool will_be_rewound, bool drops, bool standby, AdviceList *list)
{
    const Manager *starter = find_starter(&rewound->input);
    LoadedSlots slots;

    if (starter != NULL && starter->sets_limits)
        return;
    slots = find_loaded_slots(rewound, will_be_rewound, drops);
    start_advise_on_level(start, &slots, standby, list);
}

/* Returns a delay's value, which may have a unit; NULL if it is 0 or not set. */
static const char *delay_or_none(const char *value)
{
    return value != NULL && strtod(value, NULL) > 0 ? value : NULL;
}

const char *next_start_apply_delay(const Target *target, Arena *arena)
{
    return delay_or_none(configuration_recovery_setting(target, arena, false, APPLY_DELAY));
}

/* Warn of settings that suit only the source if they came with its configuration (of_source):
 * addresses to listen on, and a delay of replay. */
static void advise_on_sources_own(const NextStartInput *input, const Settings *former,
                                  const Settings *now, bool of_source, AdviceList *list)
{
    const Advice warning = {
        .id = "standby", .severity = ADVICE_WARNING, .when = ADVICE_BEFORE_START};
    const char *delay = delay_or_none(settings_value(now, APPLY_DELAY)),
               *before = delay_or_none(settings_value(former, APPLY_DELAY));

    /* Cluster managers give addresses on the command line, so the configuration does not count. */
    if (find_starter(input) == NULL &&
        start_advise_on_listening(now, of_source, input->clusters, list))
    {
        const char *foreign = listening_foreign(now, now->arena);

        if (foreign[0] != '\0')
            advice_add(list, warning,
                       "Change listen_addresses: this host does not have %s, so the server does "
                       "not listen there.",
                       foreign);
    }
    if (delay != NULL && (before == NULL || strcmp(before, delay) != 0))
        advice_add(list, warning,
                   "The source's recovery_min_apply_delay = %s delays the replay: remove it from "
                   "the configuration if the target is not to lag.",
                   delay);
}

/* Advise on files and settings that keep the server from starting, or from following the source. */
static void advise_on_recovery(RewoundTarget *rewound, const StartSettings *start,
                               const NextStart *next, AdviceList *list)
{
    const Advice problem = {
        .id = "standby", .severity = ADVICE_PROBLEM, .when = ADVICE_BEFORE_START};
    const Advice warning = {
        .id = "standby", .severity = ADVICE_WARNING, .when = ADVICE_BEFORE_START};
    const Options *options = rewound->input.options;
    const bool written = next->standby_settings != NULL || options->write_recovery_conf;

    start_advise_on_unread(start, list);
    start_advise_on_recovery_conf(start, list);
    /* A server that finds standby.signal does not look for it (xlogrecovery.c). */
    if (!next->recovery_conf && will_exist(rewound, "recovery.signal"))
        advice_add(list, next->standby ? warning : problem,
                   "Remove recovery.signal: with it the server ends recovery and opens for "
                   "writing, now or after a promotion.");
    /* A rewind with -R makes a new recovery.conf, unless an option keeps that file. From 12 on the
     * settings count even if the operator makes the target a standby after the rewind. */
    if (next->recovery_conf
            ? next->standby &&
                  !(written && rewound->input.plan != NULL && !stays(rewound, "recovery.conf"))
            : next->standby || (rewound->input.plan != NULL && next->manager == NULL))
        start_advise_on_stop_setting(start, list);
    start_advise_on_data_directory(start, list);
    start_advise_on_permissions(start, list);
    start_advise_on_missing_file(start, list);
    if (!next->limits_written)
        start_advise_on_limits(start, &next->low_limits, list);
    start_advise_on_unknown_limits(&next->low_limits, list);
    advise_on_level(rewound, start, rewound->input.plan != NULL,
                    options->dry_run && options->drop_slots, next->standby, list);
}

/* ---- all of it ---- */

static bool archives_always(const Settings *now)
{
    const char *mode = settings_value(now, "archive_mode");

    return mode != NULL && strcasecmp(mode, "always") == 0;
}

/* Raise the limits in `now` as -R does. */
static void set_raised_limits(const LowLimits *low, Settings *now)
{
    for (size_t i = 0; i < low->count; i++)
        settings_set(now, low->items[i].name, arena_printf(now->arena, "%u", low->items[i].needed));
}

/* Put the settings that -R writes into `now`. Only from PostgreSQL 12 on: up to 11 they are in
 * recovery.conf, apart from all others. */
static void set_written(const NextStartInput *input, NextStart *next, Settings *now)
{
    const StandbySettings *written = input->standby_settings;

    if (written == NULL || standby_uses_recovery_conf(input->clusters->target.control.version))
        return;
    settings_set(now, "primary_conninfo", written->conninfo);
    if (written->slot != NULL)
        settings_set(now, "primary_slot_name", written->slot);
    next->limits_written = true;
    set_raised_limits(&next->low_limits, now);
}

bool next_start_find(const NextStartInput *input, Arena *arena, NextStart *next, Error *error)
{
    const Version *version = input->clusters->target.control.version;
    RewoundTarget rewound = {.input = *input, .arena = arena};
    const History *history = &input->clusters->source_history;
    /* A pending rewind, or one that this run has finished, has no plan either. */
    const bool is_rewound = input->plan != NULL || input->clusters->target.configuration_is_new;
    Settings *now = &rewound.now;
    AdviceList sources_own = {.arena = arena};
    Settings recovery;
    bool of_source;

    read_rewound_settings(&rewound);
    of_source = find_owner(&rewound, CONFIGURATION_PATH) == OWNER_SOURCE;
    *next = (NextStart){.advice.arena = arena};
    next->summarizes_wal = setting_is_on(settings_value(now, "summarize_wal"));
    next->archives_always = archives_always(now);
    if (input->needed != NULL)
    {
        next->needed = *input->needed;
        find_low_limits(&rewound, input->plan != NULL, &next->needed, &next->low_limits);
    }
    set_written(input, next, now);
    if (input->plan != NULL)
    {
        const Settings former = configuration_read(&rewound.configuration, &rewound.present);

        collect_changed_settings(&former, now, arena, next);
        advise_on_sources_own(input, &former, now, of_source, &sources_own);
        collect_changed_files(&rewound, next);
        collect_kept_files(input, arena, next);
    }
    collect_slots(&rewound, next);
    recovery =
        recovery_settings(&input->clusters->target, &rewound.reader, now,
                          !input->options->write_recovery_conf || stays(&rewound, "recovery.conf"),
                          writes_recovery(input));
    describe_recovery(&rewound, &recovery, next);
    advise_on_recovery(
        &rewound,
        &(StartSettings){.version = version,
                         .directory = input->clusters->target.directory,
                         .start_command = input->options->start_command,
                         .now = now,
                         .recovery = &recovery,
                         .trigger_file = find_trigger_file(&rewound, &recovery),
                         .missing = find_missing_file(&rewound),
                         .recovery_conf_of = find_recovery_conf(&rewound),
                         .wal_level = input->control->wal_level,
                         .command_line = rewound.configuration.options,
                         .timeline = history->count > 0 ? history_last_timeline(history) : 0,
                         .own_timeline = is_rewound ? 0 : control_timeline(input->control),
                         .of_source = of_source},
        next, &next->advice);
    advice_add_all(&next->advice, &sources_own);
    if (rewound.source_lost.kind == ERROR_RETRY)
        return error_copy(error, &rewound.source_lost);
    return true;
}

/* ---- before anything is done ---- */

/* Read the configuration of the next start before a plan exists. *rewound must not be copied. */
static void foretell(const Options *options, const Clusters *clusters, ExpectedStart expected,
                     Arena *arena, RewoundTarget *rewound)
{
    *rewound = (RewoundTarget){.input = {.clusters = clusters, .options = options},
                               .arena = arena,
                               .keep = expected.rewound ? options->keep : NULL,
                               .configuration_stays = options->keep->configuration};
    read_rewound_settings(rewound);
}

/* Find the limits that will be too low. The source's limits are needed; by a target that is not
 * rewound, which keeps its pg_control, the limits in this file as well. */
static void find_foretold_limits(RewoundTarget *rewound, const Clusters *clusters,
                                 ExpectedStart expected, LowLimits *low)
{
    NeededLimits needed = standby_limits_of(&expected.source->control);
    const NeededLimits own = standby_limits_of(&clusters->target.control);

    if (!expected.rewound)
        (void) standby_limits_raise(&own, &needed);
    find_low_limits(rewound, expected.rewound, &needed, low);
}

bool next_start_archives(const Options *options, const Clusters *clusters, Arena *arena,
                         bool *archives, Error *error)
{
    RewoundTarget rewound = {.input = {.clusters = clusters, .options = options},
                             .arena = arena,
                             .keep = options->keep,
                             .configuration_stays = options->keep->configuration};

    read_rewound_settings(&rewound);
    *archives = archives_always(&rewound.now);
    return rewound.source_lost.kind != ERROR_RETRY || error_copy(error, &rewound.source_lost);
}

bool next_start_limits(const Options *options, const Clusters *clusters, ExpectedStart expected,
                       Arena *arena, LowLimits *low, Error *error)
{
    RewoundTarget rewound;

    foretell(options, clusters, expected, arena, &rewound);
    find_foretold_limits(&rewound, clusters, expected, low);
    return rewound.source_lost.kind != ERROR_RETRY || error_copy(error, &rewound.source_lost);
}

/* Advise on limits that the server will not have. -R raises limits from PostgreSQL 12 on, but not
 * those set on the command line: if it raises all, they are raised in `now`. */
static void advise_on_limits(RewoundTarget *rewound, const StartSettings *start,
                             ExpectedStart expected, AdviceList *list)
{
    bool are_raised = !standby_uses_recovery_conf(start->version);
    LowLimits low;

    find_foretold_limits(rewound, rewound->input.clusters, expected, &low);
    for (size_t i = 0; i < low.count; i++)
        are_raised = are_raised && (start->command_line == NULL ||
                                    settings_value(start->command_line, low.items[i].name) == NULL);
    if (are_raised)
        set_raised_limits(&low, &rewound->now);
    else
        start_advise_on_limits(start, &low, list);
}

/* Advise on the configuration and the archive of the expected start. Returns the restore_command if
 * it was not run to look into the archive; otherwise NULL. */
static const char *advise_on_start(const Options *options, const Clusters *clusters,
                                   ExpectedStart expected, RewoundTarget *rewound,
                                   const StartSettings *start, AdviceList *list)
{
    const StandbyArchive archive = {.options = options,
                                    .clusters = clusters,
                                    .restore_command = restore_command_of(start->recovery),
                                    .position = &expected.source->position,
                                    .takes_newest_timeline =
                                        takes_newest_timeline(start->version, start->recovery),
                                    .rewound = expected.rewound,
                                    .divergence = expected.divergence,
                                    .scratch = expected.scratch};
    MisleadingWal misleading;

    advise_on_limits(rewound, start, expected, list);
    advise_on_level(rewound, start, expected.rewound, options->drop_slots, true, list);
    start_advise_on_unread(start, list);
    /* --start-command may give the server other addresses. */
    if (options->start_command == NULL)
        start_advise_on_listening(start->now, start->of_source, clusters, list);
    start_advise_on_data_directory(start, list);
    start_advise_on_permissions(start, list);
    start_advise_on_missing_file(start, list);
    start_advise_on_recovery_conf(start, list);
    start_advise_on_command_line(start, options->slot, list);
    start_advise_on_stop_setting(start, list);
    misleading = standby_archive_look(&archive, list->arena);
    start_advise_on_misleading_wal(&misleading, start->timeline, list);
    start_advise_on_failed_command(&misleading, expected.in_its_environment, list);
    return misleading.command_not_run;
}

/* SettingsReader.read for the rewound target, with recovery.conf as -R leaves one that stays:
 * without its own recovery targets. (standby_files_write; Rule S29.) */
static bool read_written_file(void *context, const char *path, Buffer *content, bool *found)
{
    if (!read_rewound_file(context, path, content, found))
        return false;
    if (strcmp(path, "recovery.conf") == 0)
        for (const char *const *name = standby_stop_settings(); *name != NULL; name++)
            setting_remove(content, *name);
    return true;
}

/* The settings of recovery once -R has written: up to 11 those that recovery.conf keeps. */
static Settings foretell_recovery(const Options *options, bool is_rewound, RewoundTarget *rewound)
{
    const bool kept = keep_covers(options->keep, "recovery.conf");
    SettingsReader reader = rewound->reader;

    if (!kept)
        reader.read = read_written_file;
    return recovery_settings(&rewound->input.clusters->target, &reader, &rewound->now,
                             kept || !is_rewound, true);
}

void next_start_judge(const Options *options, const Clusters *clusters, const SourceState *source,
                      bool written, AdviceList *list)
{
    /* A running primary diverges with the checkpoint of its shutdown, and is rewound then. */
    const bool is_kept = written || target_was_standby(&clusters->target);
    const Timeline own_timeline = control_timeline(&clusters->target.control);
    const ExpectedStart expected = {.source = source};
    RewoundTarget rewound;
    Settings recovery;

    foretell(options, clusters, expected, list->arena, &rewound);
    recovery =
        written ? recovery_settings(&clusters->target, &rewound.reader, &rewound.now, true, false)
                : foretell_recovery(options, false, &rewound);
    const StartSettings start = {.version = clusters->target.control.version,
                                 .directory = clusters->target.directory,
                                 .start_command = options->start_command,
                                 .now = &rewound.now,
                                 .recovery = &recovery,
                                 .trigger_file = find_trigger_file(&rewound, &recovery),
                                 .missing = find_missing_file(&rewound),
                                 .recovery_conf_of = find_recovery_conf(&rewound),
                                 .wal_level = clusters->target.control.wal_level,
                                 .command_line = rewound.configuration.options,
                                 .timeline = source->position.timeline,
                                 .own_timeline = is_kept ? own_timeline : 0};

    if (is_kept || options->keep->configuration)
        start_advise_on_unread(&start, list);
    /* Once -R has written, the start itself tells whether the port is free. */
    if (is_kept && !written && options->start_command == NULL)
        start_advise_on_listening(start.now, false, clusters, list);
    start_advise_on_stop_setting(&start, list);
    start_advise_on_data_directory(&start, list);
    start_advise_on_permissions(&start, list);
    start_advise_on_missing_file(&start, list);
    if (is_kept)
        start_advise_on_recovery_conf(&start, list);
    start_advise_on_command_line(&start, options->slot, list);
    if (is_kept && !written)
        advise_on_limits(&rewound, &start, expected, list);
    if (is_kept)
        advise_on_level(&rewound, &start, false, !written && options->drop_slots, true, list);
}

/* Advise on the slot that the standby will use, unless it can stream with that slot.
 * streaming_check judges a slot of --slot that exists. Fails only if the source cannot be asked. */
static bool advise_on_used_slot(const Options *options, const Clusters *clusters,
                                const ExpectedStart *expected, const Settings *recovery,
                                AdviceList *list, Error *error)
{
    const Version *version = clusters->shape.version;
    const char *name =
        options->slot != NULL ? options->slot : settings_value(recovery, "primary_slot_name");
    SourceSlot slot;
    Error problem;

    if (name == NULL || name[0] == '\0' || options->create_slot || !version->sql.replication_slots)
        return true;
    /* Rule O16: a slot that the role may not see is not judged. */
    if (!source_server_slot(clusters->source, name, &slot, &problem))
        return (problem.kind != ERROR_RETRY && !stop_requested()) || error_copy(error, &problem);
    if (!slot.exists)
        start_advise_on_slot(version, name, false,
                             options->slot != NULL
                                 ? "Add --create-slot, or make the slot on the source: "
                                 : "Add --slot=NAME and --create-slot, or make the slot on the "
                                   "source: ",
                             LSN_INVALID, list);
    if (!slot.exists || options->slot != NULL ||
        judge_used_slot(options, clusters, expected, name, &slot, list, &problem))
        return true;
    if (problem.kind == ERROR_RETRY || stop_requested())
        return error_copy(error, &problem);
    start_advise_on_unusable_slot(&problem, list);
    return true;
}

bool next_start_check(const Options *options, const Clusters *clusters, ExpectedStart expected,
                      AdviceList *list, Error *error)
{
    const Version *version = clusters->shape.version;
    Arena *arena = list->arena;
    RewoundTarget rewound;
    Settings recovery;
    const char *not_run;
    AUTO_BUFFER Buffer file = {0};
    bool found;

    foretell(options, clusters, expected, arena, &rewound);
    recovery = foretell_recovery(options, expected.rewound, &rewound);
    const StartSettings start = {
        .version = version,
        .directory = clusters->target.directory,
        .start_command = options->start_command,
        .now = &rewound.now,
        .recovery = &recovery,
        .trigger_file = find_trigger_file(&rewound, &recovery),
        .missing = find_missing_file(&rewound),
        .recovery_conf_of = find_recovery_conf(&rewound),
        .wal_level = expected.rewound ? expected.source->control.wal_level
                                      : clusters->target.control.wal_level,
        .host_commands =
            configuration_host_commands(&rewound.configuration, &rewound.reader, &rewound.now),
        .command_line = rewound.configuration.options,
        .timeline = history_last_timeline(&clusters->source_history),
        .own_timeline = expected.rewound ? 0 : control_timeline(&clusters->target.control),
        .of_source = expected.rewound && !rewound.configuration_stays};
    /* Only a file known to be missing counts: one that cannot be read exists. */
    if (expected.needs_own_file &&
        rewound.reader.read(&rewound, CONFIGURATION_PATH, &file, &found) && !found)
        start_advise_on_no_file(&start, list);
    if (rewound.source_lost.kind == ERROR_RETRY)
        return error_copy(error, &rewound.source_lost);
    not_run = advise_on_start(options, clusters, expected, &rewound, &start, list);
    if (start.of_source)
    {
        const Configuration present = target_configuration(&clusters->target, arena);
        const Settings former = configuration_read(&present, &rewound.present);
        const Settings own =
            recovery_settings(&clusters->target, &rewound.present, &former, true, true);

        start_advise_on_commands(&(StartSettings){.version = version,
                                                  .now = &former,
                                                  .recovery = &own,
                                                  .host_commands = configuration_host_commands(
                                                      &present, &rewound.present, &former)},
                                 &start, not_run, list);
    }
    return advise_on_used_slot(options, clusters, &expected, &recovery, list, error);
}
