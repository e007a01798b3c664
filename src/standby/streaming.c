#include "standby/streaming.h"

#include "base/wait.h"
#include "base/workers.h"
#include "format/settings.h"
#include "standby/target_slots.h"
#include "target/configuration.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define SILENT_SECONDS 1
#define NAME_SHOWN_MAX 63 /* NAMEDATALEN - 1 */

/*
 * Report an obstacle; its hint is what has to be done so that the standby can stream. The option -R
 * alone has never needed more than a warning.
 */
static void complain(const Options *options, const Error *problem, Problems *problems,
                     StandbySettings *settings, Arena *arena)
{
    if ((options->slot != NULL || options->rejoin) && problem->kind != ERROR_RETRY)
        problems_add(problems, problem);
    else
        log_as_warning(problem);
    settings->advice.arena = arena;
    if (problem->hint[0] != '\0')
        advice_add(&settings->advice,
                   (Advice){.id = "source_replication", .severity = ADVICE_WARNING}, "%s",
                   problem->hint);
}

/* ---- the role, the connection ---- */

const char *streaming_grant(const SourceRole *role, Arena *arena)
{
    return arena_printf(arena, "ALTER ROLE %s REPLICATION;", role->name);
}

const char *streaming_hba_line(const SourceRole *role, const Version *version, Arena *arena)
{
    if (role->address == NULL)
        return arena_printf(arena, "local replication %s peer", role->name);
    return arena_printf(arena, "%s replication %s %s %s", role->ssl ? "hostssl" : "host",
                        role->name, role->address, version->remedies.password_method);
}

/* A trial of the replication connection, made in a thread while the run does other work. */
struct StreamingTrial
{
    SourceRole role;
    Buffer conninfo;
    pthread_t thread;
    bool is_threaded; /* the thread was started, and must be joined */
    bool connected;
    uint64_t system_identifier; /* server's system identifier, if connected */
    Error error;                /* reason if not connected; ERROR_RETRY if it may pass */
};

static void *run_trial(void *argument)
{
    StreamingTrial *trial = argument;

    trial->connected = connection_try_replication(buffer_string(&trial->conninfo), TRIAL_SECONDS,
                                                  &trial->system_identifier, NULL, &trial->error);
    return NULL;
}

/* Begin to connect as the standby will. Returns NULL if the connection cannot be tried. */
static StreamingTrial *begin_trial(const SourceRole *role, const StandbySettings *settings)
{
    StreamingTrial *trial = memory_allocate_zeroed(1, sizeof(*trial));
    AUTO_BUFFER Buffer keyword = {0}, value = {0};
    const char *written = settings->conninfo;

    trial->role = *role;
    /* Our libpq may not know all that the standby's does. */
    while (conninfo_next(&written, &keyword, &value))
    {
        if (connection_knows_option(buffer_string(&keyword)))
            conninfo_append(&trial->conninfo, buffer_string(&keyword), buffer_string(&value));
        /* Only the server looks for a relative path in its data directory, and only a newer libpq
         * reads some values: such a connection cannot be tried. */
        if (connection_misreads(buffer_string(&keyword), buffer_string(&value)) ||
            (option_names_file(buffer_string(&keyword)) && value.size > 0 &&
             value.bytes[0] != '/' && strcmp(buffer_string(&value), "system") != 0))
        {
            buffer_free(&trial->conninfo);
            free(trial);
            return NULL;
        }
    }
    trial->is_threaded = pthread_create(&trial->thread, NULL, run_trial, trial) == 0;
    if (!trial->is_threaded)
        (void) run_trial(trial); /* no thread can be started: connect in this one */
    return trial;
}

/* True if the finished trial has connected to the target's system; otherwise sets the error. */
static bool judge_trial(const StreamingTrial *trial, const Control *target, Arena *arena,
                        Error *error)
{
    if (!trial->connected)
    {
        const ErrorKind kind = trial->error.kind;

        error_set(error, kind, "the source does not accept a replication connection: %s",
                  trial->error.message);
        error_detail(error, "It was tried with the primary_conninfo that the standby gets.");
        if (trial->role.name != NULL && strstr(trial->error.message, "pg_hba.conf") != NULL)
            error_hint(error,
                       "So that the standby can stream, add a line to pg_hba.conf of the source "
                       "and reload it (SELECT pg_catalog.pg_reload_conf();): %s",
                       streaming_hba_line(&trial->role, target->version, arena));
        return false;
    }
    if (trial->system_identifier == target->system_identifier)
        return true;
    error_set(error, ERROR_FAILED, "a replication connection leads to a different system");
    return error_hint(error, "So that the standby can stream, name the source server itself in "
                             "--source-server, not a pooler or proxy.");
}

/* Wait for the trial, and free it. Returns true if the standby could connect; otherwise sets the
 * error. */
static bool end_trial(StreamingTrial *trial, const Control *target, Arena *arena, Error *error)
{
    bool result;

    if (trial->is_threaded)
        pthread_join(trial->thread, NULL);
    result = judge_trial(trial, target, arena, error);
    buffer_free(&trial->conninfo);
    free(trial);
    return result;
}

bool streaming_try(const Clusters *clusters, const SourceRole *role,
                   const StandbySettings *settings, Arena *arena, bool *tried, Error *error)
{
    StreamingTrial *trial = begin_trial(role, settings);

    *tried = trial != NULL;
    return trial == NULL || end_trial(trial, &clusters->target.control, arena, error);
}

void streaming_check_end(const Options *options, const Clusters *clusters,
                         StandbySettings *settings, Problems *problems, Arena *arena)
{
    StreamingTrial *trial = settings->trial;
    const bool may_replicate = trial != NULL && trial->role.may_replicate;
    Error problem;

    if (trial == NULL)
        return;
    settings->trial = NULL;
    /* A role that may not replicate is refused for that, unless a hint names another reason. */
    if (!end_trial(trial, &clusters->target.control, arena, &problem) && stop_check(NULL) &&
        (may_replicate || problem.hint[0] != '\0'))
        complain(options, &problem, problems, settings, arena);
}

/* ---- the slot ---- */

/* Add how the target gets a slot that no other server needs. */
static bool hint_other_slot(const Options *options, Error *error)
{
    if (options->slot != NULL)
        return error_hint(error, "Choose another name.");
    error_detail(error, "The configuration that the target will have names it: primary_slot_name.");
    return error_hint(error,
                      "Give the target a slot of its own: run pg_rewind with --slot=NAME and "
                      "--create-slot.");
}

/* Check that the standby may use the slot, or that the slot can be created if it does not exist. */
static bool check_slot(const Options *options, const char *name, const SourceSlot *slot,
                       Error *error)
{
    if (!slot->exists && slot->none_free && options->create_slot)
    {
        error_set(error, ERROR_FAILED, "all replication slots of the source are in use");
        return error_hint(error, "Drop one that no server uses, or raise max_replication_slots.");
    }
    if (!slot->exists)
        return true;
    if (!slot->physical)
    {
        error_set(error, ERROR_FAILED, "replication slot \"%s\" of the source is a logical one",
                  name);
        return hint_other_slot(options, error);
    }
    if (slot->active)
    {
        error_set(error, ERROR_FAILED, "replication slot \"%s\" of the source is in use", name);
        if (slot->holder[0] != '\0')
            error_detail(error, "A client with application_name \"%s\" streams with it.",
                         slot->holder);
        hint_other_slot(options, error);
        return error_hint(error, "Or wait, if the standby that used it is gone: the source notices "
                                 "that after wal_sender_timeout at most.");
    }
    if (slot->lost)
    {
        AUTO_BUFFER Buffer drop = {0};

        slot_append_drop(&drop, name);
        error_set(error, ERROR_FAILED,
                  "replication slot \"%s\" of the source no longer keeps the WAL that it reserved",
                  name);
        if (options->slot == NULL)
            return hint_other_slot(options, error);
        return error_hint(error, "Drop it on the source, so that it can be made again: %s",
                          buffer_string(&drop));
    }
    return true;
}

bool streaming_uses_slot(const StandbySettings *settings, const char *name)
{
    return settings->own_slot != NULL && strcmp(settings->own_slot, name) == 0;
}

bool streaming_check_slot(const Options *options, const Clusters *clusters, const char *name,
                          const StandbySettings *settings, int patience_seconds, Error *error)
{
    const Version *version = clusters->shape.version;
    Wait wait = wait_begin(patience_seconds);
    SourceSlot slot;

    if (!version->sql.replication_slots)
    {
        error_set(error, ERROR_FAILED, "PostgreSQL %s has no replication slots", version->name);
        return error_hint(error, "Omit --slot. Set wal_keep_segments on the source, or give the "
                                 "standby a restore_command, so that it finds the WAL it needs.");
    }
    if (options->create_slot && !version->sql.slot_reserves)
    {
        error_set(
            error, ERROR_FAILED,
            "PostgreSQL %s cannot create a replication slot that reserves WAL before it is used",
            version->name);
        return error_hint(error,
                          "Create the slot yourself and name it with --slot alone: it keeps WAL "
                          "from the time when the standby first streams with it.");
    }
    /* The source may not have noticed yet that another server, which had the slot, is gone. */
    do
    {
        if (!source_server_slot(clusters->source, name, &slot, error))
            return false;
        if (settings != NULL && streaming_uses_slot(settings, name) &&
            (slot.holder[0] == '\0' || is_among(slot.holder, settings->slot_users)))
            slot.active = false; /* the target's own server streams with it */
        if (slot.active && wait_reports(&wait, SILENT_SECONDS))
            log_info("replication slot \"%s\" of the source is in use; waiting up to %d s for its "
                     "release",
                     name, patience_seconds);
    } while (!wait_until(!slot.active, &wait, error));
    return !wait.stopped && check_slot(options, name, &slot, error);
}

bool streaming_check(const Options *options, const Clusters *clusters, StandbySettings *settings,
                     Problems *problems, Arena *arena, Error *error)
{
    SourceRole role;
    Error problem;

    if (!source_server_role(clusters->source, arena, &role, &problem))
    {
        /* A source that does not let the role read its catalogs can still be rewound to. */
        if (problem.kind == ERROR_RETRY || stop_requested())
            return error_copy(error, &problem);
        complain(options, &problem, problems, settings, arena);
        return true;
    }
    if (!role.may_replicate)
    {
        error_set(&problem, ERROR_FAILED, "role %s may not replicate from the source server",
                  role.name);
        error_hint(&problem, "So that the standby can stream, run on the source: %s",
                   streaming_grant(&role, arena));
        complain(options, &problem, problems, settings, arena);
    }
    settings->trial = begin_trial(&role, settings);
    /* --slot and --rejoin demand a standby that streams: wait for the result now, so that an
     * obstacle is printed together with all other problems. */
    if (options->slot != NULL || options->rejoin)
        streaming_check_end(options, clusters, settings, problems, arena);
    if (!stop_check(error))
        return false;
    if (options->slot == NULL || streaming_check_slot(options, clusters, options->slot, settings,
                                                      STREAMING_RELEASE_SECONDS, &problem))
        return true;
    if (problem.kind == ERROR_RETRY || stop_requested())
        return error_copy(error, &problem);
    problems_add(problems, &problem);
    return true;
}

/* pg_clean_ascii in common/string.c: '?' before 16, the byte's number from then on. */
void streaming_shown_names(const char *name, Arena *arena,
                           const char *names[STREAMING_NAMES_MAX + 1])
{
    AUTO_BUFFER Buffer marks = {0}, numbers = {0};

    for (; *name != '\0'; name++)
    {
        const uint8_t byte = (uint8_t) *name;
        const bool shown = byte >= ' ' && byte <= '~';

        buffer_append_u8(&marks, shown ? byte : '?');
        buffer_printf(&numbers, shown ? "%c" : "\\x%02x", byte);
    }
    names[0] = arena_printf(arena, "%.*s", NAME_SHOWN_MAX, buffer_string(&marks));
    names[1] = arena_printf(arena, "%.*s", NAME_SHOWN_MAX, buffer_string(&numbers));
    names[2] = NULL;
}

void streaming_names(const Target *target, Arena *arena, const char *names[STREAMING_NAMES_MAX + 1])
{
    const Configuration configuration = target_configuration(target, arena);
    const Settings settings = configuration_read(&configuration, NULL);
    const char *conninfo = configuration_recovery_setting(target, arena, false, "primary_conninfo");
    const char *name =
        conninfo != NULL ? configuration_conninfo_value(conninfo, "application_name", arena) : NULL;
    const char *cluster = settings_value(&settings, "cluster_name");

    if (name == NULL && (cluster == NULL || cluster[0] == '\0'))
        cluster = "walreceiver";
    streaming_shown_names(name != NULL ? name : cluster, arena, names);
    if (name != NULL)
        return;
    names[2] = "walreceiver"; /* before cluster_name had this use */
    names[3] = NULL;
}

/* Ask the running target which slot it uses; without an answer, take the slot that its
 * configuration names. */
void streaming_find_slot_user(const Target *target, TargetServer *server, Arena *arena,
                              StandbySettings *settings)
{
    const char **names = arena_allocate(arena, (STREAMING_NAMES_MAX + 1) * sizeof(*names));
    TargetAnswer answer;
    const char *used;

    if (target->control.state != STATE_IN_ARCHIVE_RECOVERY)
        return;
    target_server_ask(server, &answer);
    used = answer.slot[0] != '\0'
               ? arena_strdup(arena, answer.slot)
               : configuration_recovery_setting(target, arena, false, "primary_slot_name");
    streaming_names(target, arena, names);
    if (answer.name[0] != '\0')
        streaming_shown_names(answer.name, arena, names);
    settings->own_slot = used;
    settings->slot_users = names;
}

static void hint_slot_stays(const Options *options)
{
    AUTO_BUFFER Buffer drop = {0};

    slot_append_drop(&drop, options->slot);
    log_hint("As long as it exists, it keeps WAL there. Run the same command again, which uses it, "
             "or drop it on the source: %s",
             buffer_string(&drop));
}

bool streaming_make_slot(const Options *options, const Clusters *clusters, Lsn needed_from,
                         bool *made, Error *error)
{
    Source *source = clusters->source;
    const WalShape *shape = &clusters->shape;
    SourceSlot slot;

    *made = false;
    if (!options->create_slot)
        return true;
    if (options->dry_run)
    {
        if (!source_server_slot(source, options->slot, &slot, error))
            return false;
        if (!slot.exists)
            log_info("replication slot \"%s\" would be made on the source", options->slot);
        return true;
    }
    if (!source_server_slot_make(source, options->slot, made, &slot, error))
    {
        /* The server was asked to make it, and may not have answered. */
        if (!*made && (error->kind == ERROR_RETRY || stop_requested()))
        {
            log_warning("replication slot \"%s\" may have been made on the source", options->slot);
            hint_slot_stays(options);
        }
        return false;
    }
    if (!*made && !check_slot(options, options->slot, &slot, error))
        return false;
    if (*made)
        log_info("made replication slot \"%s\" on the source: it keeps WAL from %s on",
                 options->slot, LSN_TEXT(shape->version, slot.restart));
    else
        log_info("replication slot \"%s\" of the source exists already", options->slot);
    if (slot.restart == LSN_INVALID)
    {
        log_warning("replication slot \"%s\" of the source reserves no WAL yet", options->slot);
        log_detail("It does so when the standby has streamed with it for the first time.");
    }
    else if (needed_from != LSN_INVALID &&
             wal_segment_of(shape, slot.restart) > wal_segment_of(shape, needed_from))
    {
        log_warning("replication slot \"%s\" of the source keeps WAL from %s on, and the standby "
                    "needs it from %s on",
                    options->slot, LSN_TEXT(shape->version, slot.restart),
                    LSN_TEXT(shape->version, needed_from));
        log_detail("Start the standby before the source removes that WAL at a checkpoint.");
    }
    return true;
}

void streaming_check_slot_again(const Options *options, const Clusters *clusters)
{
    SourceSlot slot;
    Error problem;

    if (options->slot == NULL ||
        !source_server_slot(clusters->source, options->slot, &slot, NULL) ||
        check_slot(options, options->slot, &slot, &problem))
        return;
    log_as_warning(&problem);
}

void streaming_drop_slot(const Options *options, const Clusters *clusters)
{
    Error error = {0};

    signals_hold_off();
    if (source_server_slot_drop(clusters->source, options->slot, &error))
    {
        log_info("dropped replication slot \"%s\", which this run has made on the source",
                 options->slot);
        return;
    }
    log_warning("could not drop replication slot \"%s\", which this run has made on the source: %s",
                options->slot, error.message);
    hint_slot_stays(options);
}
