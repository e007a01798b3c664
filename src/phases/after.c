#include "phases/run.h"

#include "format/settings.h"
#include "io/connection.h"
#include "io/dir.h"
#include "io/file.h"
#include "io/place.h"
#include "plan/classify.h"
#include "recovery.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#define CONFIGURATION_PATH "postgresql.conf"
#define ALTER_SYSTEM_PATH "postgresql.auto.conf"
#define LINKS_MAX 40 /* as the kernel */

/* ---- the target's configuration ---- */

/* Of a file in the target, or anywhere by an absolute path: --config-file. */
static bool join_path(const Run *run, const char *name, char path[PATH_SIZE])
{
    Error ignored;

    return path_join(path, PATH_SIZE, name[0] == '/' ? "" : run->clusters.target.directory, name,
                     &ignored);
}

static bool read_target_file(void *context, const char *name, Buffer *content, bool *found)
{
    const Run *run = context;
    char path[PATH_SIZE];
    struct stat status;
    Error ignored;

    if (!join_path(run, name, path) || !file_stat(path, &status, found, &ignored))
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

    if (join_path(run, directory, path) && dir_names(path, add_name, &names, &found, &ignored) &&
        names.count > 1)
        qsort(names.items, names.count, sizeof(*names.items), compare_names);
    *items = names.items;
    *count = names.count;
}

/* The part of an absolute path that lies below the target, in whatever spelling. */
static const char *below_target(void *context, const char *path)
{
    const Run *run = context;

    return place_below(path, run->clusters.target.directory);
}

/* postgresql.conf, or what --config-file names: in the target by its path there, else absolute.
 * NULL: that is not there. */
static const char *configuration_path(const Run *run)
{
    const char *path = run->options->config_file;
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
        path = arena_strdup(run->arena, canonical);
    }
    below = below_target((void *) run, path);
    return below != NULL ? below : path;
}

/* That, and postgresql.auto.conf. */
static void read_settings(const Run *run, const SettingsReader *reader, Settings *settings)
{
    const char *path = configuration_path(run);

    *settings = (Settings){.arena = run->arena};
    if (path != NULL)
        settings_read(settings, reader, path);
    settings_read(settings, reader, ALTER_SYSTEM_PATH);
}

static void read_former_settings(const Run *run, Settings *settings)
{
    const SettingsReader reader = {read_target_file, list_target_directory, below_target,
                                   (void *) run};

    read_settings(run, &reader, settings);
}

/* The path in the target of a file that is named in the file `base`, or NULL. */
static const char *own_path(const Run *run, const char *base, const char *value)
{
    if (value[0] == '/')
    {
        value = place_below(value, run->clusters.target.directory);
        base = "";
    }
    return value != NULL ? settings_path(run->arena, base, value) : NULL;
}

/* Where a link in the target leads; NULL: there is none, or it leads out of the target. */
static const char *own_link(const Run *run, const char *path)
{
    char full[PATH_SIZE];
    Buffer text = {0};
    const char *result = NULL;
    Error ignored;

    if (path_join(full, sizeof(full), run->clusters.target.directory, path, &ignored) &&
        file_read_link(full, &text, &ignored))
        result = own_path(run, path, buffer_string(&text));
    buffer_free(&text);
    return result;
}

/* A file, and what it leads to where it is a link. */
static void keep_named(Run *run, const char *path)
{
    for (int depth = 0; path != NULL && depth < LINKS_MAX; depth++)
    {
        keep_add_file(run->options->keep, path);
        path = own_link(run, path);
    }
}

void run_keep_named_files(Run *run)
{
    static const struct
    {
        const char *name, *by_default;
    } files[] = {
        {"hba_file", "pg_hba.conf"},     {"ident_file", "pg_ident.conf"},
        {"ssl_cert_file", "server.crt"}, {"ssl_key_file", "server.key"},
        {"krb_server_keyfile", NULL},    {"ssl_ca_file", NULL},
        {"ssl_crl_file", NULL},          {"ssl_crl_dir", NULL},
        {"ssl_dh_params_file", NULL},
    };
    Keep *keep = run->options->keep;
    Settings settings;

    if (keep == NULL || !keep->configuration || run->kept_named_files)
        return;
    run->kept_named_files = true;
    read_former_settings(run, &settings);
    for (size_t i = 0; i < settings.file_count; i++)
        keep_named(run, own_path(run, "", settings.files[i]));
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
    {
        const char *value = settings_value(&settings, files[i].name);

        if (value == NULL)
            value = files[i].by_default;
        if (value != NULL)
            keep_named(run, own_path(run, "", value));
    }
}

const char *run_log_directory(const Run *run)
{
    Settings settings;
    const char *value, *path;
    size_t length;

    read_former_settings(run, &settings);
    value = settings_value(&settings, "log_directory");
    path = value != NULL ? own_path(run, "", value) : NULL;
    if (path == NULL)
        return NULL;
    for (length = strlen(path); length > 0 && path[length - 1] == '/'; length--)
        ;
    path = arena_printf(run->arena, "%.*s", (int) length, path);
    return length == 0 || strcmp(path, ".") == 0 || path_is_servers(path) ? NULL : path;
}

/* ---- what the rewound target will have; what the report gets is in the arena ---- */

/* With no plan: the target is not rewound, and has what it has. */
static bool has_plan(const Run *run)
{
    return run->report->planned;
}

/* Who gives the file. Neither: it will not be there, or -R makes it. */
static void who_gives(const Run *run, const char *path, bool *target, bool *source)
{
    const PlanEntry *entry = has_plan(run) ? plan_find(&run->planned.plan, path) : NULL;

    *target = !has_plan(run) || entry == NULL || plan_keeps(&run->planned.plan, path) ||
              (entry->action == ACTION_NONE && !entry->claimed);
    *source = !*target && entry->action != ACTION_REMOVE &&
              listing_find(&run->planned.source_files, path) != NULL;
}

typedef struct Result
{
    Run *run;
    Error error; /* set when the source is lost: it is not asked again */
} Result;

static bool read_source_file(Result *result, const char *path, Buffer *content, bool *found)
{
    const ListedFile *file = listing_find(&result->run->planned.source_files, path);
    Source *source = result->run->clusters.source;
    Error error = {0};

    *found = file != NULL;
    if (file == NULL || file->size == 0)
        return true; /* a server lists what is no regular file with size 0 */
    if (file->type != FILE_REGULAR || file->unreadable || result->error.kind == ERROR_RETRY)
        return false;
    if (source->operations->read_file(source, path, SETTINGS_FILE_SIZE_MAX, content, found, &error))
        return true;
    if (error.kind == ERROR_RETRY)
        result->error = error;
    return false;
}

static bool read_resulting_file(void *context, const char *path, Buffer *content, bool *found)
{
    Result *result = context;
    bool target, source;

    who_gives(result->run, path, &target, &source);
    *found = false;
    if (target)
        return read_target_file(result->run, path, content, found);
    /* -R changes the source's file. */
    if (!source && listing_find(&result->run->planned.source_files, path) == NULL)
        return true;
    return read_source_file(result, path, content, found);
}

static void list_resulting_directory(void *context, const char *directory, Arena *arena,
                                     const char *const **items, size_t *count)
{
    const Result *result = context;
    const Listing *listing = &result->run->planned.source_files;
    const size_t length = strlen(directory);
    Names names = {.arena = arena};
    Error ignored;

    if (directory[0] == '/' || !has_plan(result->run) ||
        plan_keeps(&result->run->planned.plan, directory))
    {
        list_target_directory(result->run, directory, arena, items, count);
        return;
    }
    for (size_t i = 0; i < listing->count && names.count < NAMES_MAX; i++)
    {
        const char *path = listing->files[i].path;

        if (strncmp(path, directory, length) == 0 && path[length] == '/' &&
            strchr(path + length + 1, '/') == NULL)
            add_name(&names, path + length + 1, &ignored);
    }
    *items = names.items;
    *count = names.count;
}

/* Its server will be where the target is. */
static const char *below_result(void *context, const char *path)
{
    const Result *result = context;

    return below_target(result->run, path);
}

static bool will_have(const Run *run, const char *path)
{
    char full[PATH_SIZE];
    struct stat status;
    bool target, source, found;
    Error ignored;

    who_gives(run, path, &target, &source);
    if (!target)
        return source;
    return path_join(full, sizeof(full), run->clusters.target.directory, path, &ignored) &&
           file_lstat(full, &status, &found, &ignored) && found;
}

/* ---- settings and files that differ ---- */

/* What an operator has to look at first. */
static const char *const important[] = {
    "port",
    "listen_addresses",
    "unix_socket_directories",
    "data_directory",
    "hba_file",
    "ident_file",
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

static size_t rank_of(const char *name)
{
    const size_t count = sizeof(important) / sizeof(important[0]);

    for (size_t i = 0; i < count; i++)
        if (strncmp(name, important[i], strlen(important[i])) == 0)
            return i;
    return count;
}

static int compare_settings(const void *one, const void *other)
{
    const ReportSetting *a = one, *b = other;
    const size_t rank_a = rank_of(a->name), rank_b = rank_of(b->name);

    return rank_a != rank_b ? (rank_a < rank_b ? -1 : 1) : strcmp(a->name, b->name);
}

static void add_if_different(const Run *run, ReportNext *next, const char *name, const char *former,
                             const char *now)
{
    if (former == now || (former != NULL && now != NULL && strcmp(former, now) == 0))
        return;
    next->settings[next->setting_count++] =
        (ReportSetting){name, former != NULL ? setting_masked(run->arena, name, former) : NULL,
                        now != NULL ? setting_masked(run->arena, name, now) : NULL};
}

static void compare_all_settings(const Run *run, const Settings *former, const Settings *now,
                                 ReportNext *next)
{
    size_t f = 0, n = 0;

    next->settings =
        arena_allocate(run->arena, (former->count + now->count + 1) * sizeof(*next->settings));
    while (f < former->count || n < now->count)
    {
        int order = f == former->count ? 1
                    : n == now->count  ? -1
                                       : strcmp(former->items[f].name, now->items[n].name);
        const char *name = order <= 0 ? former->items[f].name : now->items[n].name;

        add_if_different(run, next, name, order <= 0 ? former->items[f].value : NULL,
                         order >= 0 ? now->items[n].value : NULL);
        f += order <= 0;
        n += order >= 0;
    }
    if (next->setting_count > 1)
        qsort(next->settings, next->setting_count, sizeof(*next->settings), compare_settings);
    next->settings_known = true;
    next->settings_complete = !former->incomplete && !now->incomplete;
}

static bool files_differ(Result *result, const PlanEntry *entry)
{
    Buffer former = {0}, now = {0};
    bool found_former, found_now, differ = true;

    if (entry->action == ACTION_COPY && entry->on_target &&
        entry->source_size == entry->target_size &&
        read_target_file(result->run, entry->path, &former, &found_former) &&
        read_source_file(result, entry->path, &now, &found_now))
        differ = former.size != now.size ||
                 (now.size > 0 && memcmp(former.bytes, now.bytes, now.size) != 0);
    buffer_free(&former);
    buffer_free(&now);
    return differ;
}

/* Of postgresql.conf and the like the settings tell. */
static void compare_files(Result *result, ReportNext *next)
{
    const Run *run = result->run;

    next->files = arena_allocate(run->arena, (run->planned.plan.count + 1) * sizeof(*next->files));
    for (size_t i = 0; i < run->planned.plan.count; i++)
    {
        const PlanEntry *entry = &run->planned.plan.entries[i];

        if (entry->type == FILE_REGULAR && entry->action != ACTION_NONE &&
            strncmp(entry->path, "postgresql.", 11) != 0 && keep_is_configuration(entry->path) &&
            files_differ(result, entry))
            next->files[next->file_count++] = arena_strdup(run->arena, entry->path);
    }
}

/* ---- slots ---- */

#define SLOT_MAGIC 0x1051CA1 /* replication/slot.c */
#define SLOT_DATABASE_OFFSET 80

/* By the database that a slot belongs to, ReplicationSlotOnDisk in replication/slot.c. */
static const char *type_of_slot(Run *run, const char *directory)
{
    const char *path = arena_printf(run->arena, "%s/state", directory);
    const char *type = NULL;
    Buffer state = {0};
    bool found;

    if (read_target_file(run, path, &state, &found) && found &&
        state.size >= SLOT_DATABASE_OFFSET + 4 && load_u32(state.bytes) == SLOT_MAGIC)
        type = load_u32(state.bytes + SLOT_DATABASE_OFFSET) == 0 ? "physical" : "logical";
    buffer_free(&state);
    return type;
}

static void add_slot(const Run *run, ReportNext *next, ReportSlot slot)
{
    if (next->slots == NULL)
        next->slots = arena_allocate(run->arena, REPORT_SLOTS_MAX * sizeof(*next->slots));
    slot.name = arena_strdup(run->arena, slot.name);
    if (next->slot_count < REPORT_SLOTS_MAX)
        next->slots[next->slot_count++] = slot;
}

static void look_at_slots_in(Run *run, const Listing *listing, const char *state, ReportNext *next)
{
    static const char prefix[] = "pg_replslot/";

    for (size_t i = 0; i < listing->count; i++)
    {
        const char *path = listing->files[i].path;
        const char *name = path + strlen(prefix);

        if (strncmp(path, prefix, strlen(prefix)) == 0 && strchr(name, '/') == NULL &&
            listing->files[i].type == FILE_DIRECTORY)
            add_slot(
                run, next,
                (ReportSlot){name,
                             listing == &run->planned.target_files ? type_of_slot(run, path) : NULL,
                             state});
    }
}

/* The slot that the target will use: does the source have it? */
static void look_at_used_slot(Run *run, const char *name, ReportNext *next)
{
    const char *const parameters[] = {name};
    struct Connection *connection =
        run->clusters.source != NULL ? source_connection(run->clusters.source) : NULL;
    char instance[CONNECTION_INSTANCE_SIZE];
    Error ignored;
    char *type = NULL;
    bool found = false, asked = false;

    if (name == NULL || name[0] == '\0')
        return;
    if (connection != NULL && connection_begin(connection, instance, &ignored))
    {
        asked = connection_value(connection, run->arena,
                                 "SELECT slot_type FROM pg_catalog.pg_replication_slots "
                                 "WHERE slot_name::pg_catalog.text = $1::pg_catalog.text",
                                 1, parameters, &type, &found, &ignored);
        connection_end(connection);
    }
    if (!asked || !found || strcmp(type, "physical") != 0)
        add_slot(run, next, (ReportSlot){name, "physical", asked ? "missing" : "unknown"});
}

/* ---- the sum of it ---- */

static bool is_on(const char *value)
{
    return value != NULL && (strcmp(value, "on") == 0 || strcmp(value, "true") == 0 ||
                             strcmp(value, "yes") == 0 || strcmp(value, "1") == 0);
}

/* primary_conninfo as -R writes it, NULL if that is not known. */
static const char *written_conninfo(const Run *run)
{
    Buffer text = {0};
    const char *result = NULL;
    Error ignored;

    if (run->clusters.source != NULL && source_connection(run->clusters.source) != NULL &&
        recovery_conninfo(run->clusters.source, run->clusters.shape.version,
                          run->options->source_server, &text, &ignored))
        result = arena_strdup(run->arena, buffer_string(&text));
    buffer_free(&text);
    return result;
}

/* A setting that ends replay early, or keeps it on another timeline; NULL: there is none. */
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

/* A manager whose own file is in the target, which starts the server as what it wants it to be. */
static const char *find_manager(const Run *run)
{
    static const struct
    {
        const char *file;
        const char *name;
    } managers[] = {{"patroni.dynamic.json", "Patroni"},
                    {"postgresql-auto-failover.conf", "pg_auto_failover"}};

    for (size_t i = 0; i < sizeof(managers) / sizeof(managers[0]); i++)
    {
        char path[PATH_SIZE];
        struct stat status;
        Error ignored;
        bool found;

        if (path_join(path, sizeof(path), run->clusters.target.directory, managers[i].file,
                      &ignored) &&
            file_lstat(path, &status, &found, &ignored) && found)
            return managers[i].name;
    }
    return NULL;
}

/* What decides what the server does at its next start. */
static void look_at_recovery(Result *result, const SettingsReader *reader, const Settings *now,
                             ReportNext *next)
{
    Run *run = result->run;
    const bool in_file = run->clusters.target.control.version->recovery_settings == RECOVERY_CONF;
    const bool written = run->options->write_recovery_conf && has_plan(run);
    Settings recovery = *now;

    if (in_file)
    {
        recovery = (Settings){.arena = run->arena};
        if (!has_plan(run) || !written || plan_keeps(&run->planned.plan, "recovery.conf"))
            settings_read(&recovery, reader, "recovery.conf");
    }
    next->standby = written || (in_file ? is_on(settings_value(&recovery, "standby_mode"))
                                        : will_have(run, "standby.signal"));
    next->manager = find_manager(run);
    /* Where no rewind is required it is on the disk by now. */
    next->written = run->options->write_recovery_conf && next->standby;
    next->conninfo = settings_value(&recovery, "primary_conninfo");
    if (next->conninfo != NULL)
        next->conninfo = setting_masked(run->arena, "primary_conninfo", next->conninfo);
    next->has_source = written || (next->conninfo != NULL && next->conninfo[0] != '\0') ||
                       (settings_value(&recovery, "restore_command") != NULL &&
                        settings_value(&recovery, "restore_command")[0] != '\0');
    next->recovery_conf = in_file;
    if (next->standby && !(in_file && written))
        next->stop_setting = find_stop_setting(&recovery);
    next->stray_recovery_conf = !in_file && will_have(run, "recovery.conf");
    next->stray_recovery_signal = !in_file && will_have(run, "recovery.signal");
    if (next->standby)
        look_at_used_slot(run, settings_value(&recovery, "primary_slot_name"), next);
}

static bool look_at_all(Run *run, Error *error)
{
    static Result result; /* large */
    const SettingsReader reader = {read_resulting_file, list_resulting_directory, below_result,
                                   &result};
    ReportNext *next = &run->report->next;
    Settings former, now;
    const char *conninfo;

    result = (Result){.run = run};
    *next = (ReportNext){.known = true};
    read_settings(run, &reader, &now);
    run->archives_always = settings_value(&now, "archive_mode") != NULL &&
                           strcasecmp(settings_value(&now, "archive_mode"), "always") == 0;
    if (has_plan(run))
    {
        read_former_settings(run, &former);
        conninfo = run->options->write_recovery_conf ? written_conninfo(run) : NULL;
        if (conninfo != NULL &&
            run->clusters.target.control.version->recovery_settings != RECOVERY_CONF)
            settings_set(&now, "primary_conninfo", conninfo);
        compare_all_settings(run, &former, &now, next);
        compare_files(&result, next);
        look_at_slots_in(run, &run->planned.target_files, "removed", next);
        if (!run->clusters.shape.version->exclusion_lists)
            look_at_slots_in(run, &run->planned.source_files, "copied", next);
        next->kept =
            arena_allocate(run->arena, (run->planned.plan.kept_count + 1) * sizeof(*next->kept));
        for (size_t i = 0; i < run->planned.plan.kept_count; i++)
            if (run->planned.plan.kept[i].on_target)
                next->kept[next->kept_count++] =
                    arena_strdup(run->arena, run->planned.plan.kept[i].path);
    }
    look_at_recovery(&result, &reader, &now, next);
    if (result.error.kind == ERROR_RETRY)
        *error = result.error;
    return result.error.kind != ERROR_RETRY;
}

bool phase_look_ahead(Run *run, Error *error)
{
    return look_at_all(run, error);
}

void phase_say_next(Run *run)
{
    Error ignored;
    ReportNext *next = &run->report->next;
    const bool pending = run->report->dry_run && run->report->resumed;

    if (!next->known && !pending &&
        (run->clusters.target.control.version == NULL || !look_at_all(run, &ignored)))
        return;
    next->known = true;
    if (run->report->planned)
        next->wal_from = wal_segment_start(
            &run->clusters.shape,
            wal_segment_of(&run->clusters.shape, run->report->source_end != LSN_INVALID
                                                     ? run->report->source_end
                                                     : run_wal_end(run)));
    else
        next->wal_from = run->diverged.target_end;
    report_next_steps(run->report);
    report_next_say(run->report);
}
