#include "pair/prerequisites.h"

#include "base/clock.h"
#include "base/wait.h"
#include "target/pid_file.h"
#include "io/place.h"

#include <math.h>

/* Time for a running server to stop, and for the processes of a stopped one to exit. */
#define STOP_SECONDS 5
#define SILENT_SECONDS 1

bool error_offer_compare(Error *error)
{
    error_hint(error,
               "Compare all blocks instead with --compare, which needs none of the target's WAL.");
    return error_remedy(error, REMEDY_COMPARE);
}

/* The input of each check. */
typedef struct Given
{
    const Clusters *clusters;
    const SourceState *state; /* the source's; NULL if it could not be asked */
    const Options *options;   /* NULL for checks that need none */
    bool may_run;             /* the target's server runs, and will be stopped */
} Given;

/* A process of the server runs, although postmaster.pid names none: *pid, or 0 for one that is not
 * seen. */
static bool server_is_left(const char *directory, long *pid)
{
    AUTO_BUFFER Buffer path = {0};

    return (server_process_find(directory, pid, NULL) && *pid != 0) ||
           server_file_find(directory, &path);
}

bool target_wait_for_stop(const Target *target, double *patience_seconds, Error *error)
{
    Wait wait = wait_begin(INFINITY);
    double seen = wait.begin; /* when the pid file last named a running server */
    bool over;

    do
    {
        const double now = clock_seconds();
        bool running, stopping;
        long pid;

        running = pid_file_find_server(target->directory, NULL, &pid, NULL) && pid != 0;
        stopping = running && pid_file_has_status(target->directory, PID_FILE_STOPPING);
        if (running)
        {
            seen = now;
            over = now - wait.begin >= (stopping ? *patience_seconds : STOP_SECONDS);
        }
        /* A server removes its pid file first: its other processes have STOP_SECONDS from then on,
         * however long the stop took. */
        else
            over = now - seen >= STOP_SECONDS || !server_is_left(target->directory, &pid);
        if (!over && pid != 0 && wait_reports(&wait, SILENT_SECONDS))
        {
            /* The server may not have been asked to stop. */
            if (running && !stopping)
                log_info("the target server (PID %ld) is running; waiting up to %d s for it to "
                         "stop",
                         pid, STOP_SECONDS);
            else
                log_info("waiting for the target server (PID %ld) to stop", pid);
        }
    } while (!wait_until(over, &wait, error));
    *patience_seconds = clock_patience_left(*patience_seconds, wait.begin);
    return !wait.stopped;
}

/* Add a hint to check both addresses: one of the two may be a different, intact cluster. */
static bool error_hint_addresses(const Given *given, Error *error)
{
    return error_hint(error, "Check -D and %s: one of them is not the cluster that was meant.",
                      given->options->source_server != NULL ? "--source-server"
                                                            : "--source-pgdata");
}

static bool systems_are_same(const Given *given)
{
    return given->state->control.system_identifier ==
           given->clusters->target.control.system_identifier;
}

static bool check_same_system(const Given *given, Error *error)
{
    if (systems_are_same(given))
        return true;
    error_set(error, ERROR_FAILED,
              "source and target clusters are from different systems"); /* contract */
    error_detail(error, "System identifier of the source is %llu, of the target %llu.",
                 (unsigned long long) given->state->control.system_identifier,
                 (unsigned long long) given->clusters->target.control.system_identifier);
    return error_hint_addresses(given, error);
}

static bool check_same_version(const Given *given, Error *error)
{
    const Control *source = &given->state->control;
    const Control *target = &given->clusters->target.control;

    if (source->version == target->version && source->control_version == target->control_version &&
        source->catalog_version == target->catalog_version &&
        source->block_size == target->block_size &&
        source->relation_segment_blocks == target->relation_segment_blocks &&
        source->wal_block_size == target->wal_block_size &&
        source->wal_segment_size == target->wal_segment_size)
        return true;
    /* The clusters are of one system, but no rewind can work: blocks and WAL of one version or size
     * mean nothing to the other. */
    if (systems_are_same(given))
        error_set(error, ERROR_IMPOSSIBLE,
                  "clusters are not compatible with this version of pg_rewind"); /* contract */
    else
        error_set(error, ERROR_FAILED,
                  "clusters are not compatible with this version of pg_rewind"); /* contract */
    error_detail(error,
                 "Source (PostgreSQL %s, catalog version %u) and target (PostgreSQL %s, "
                 "catalog version %u) differ in version or block sizes.",
                 source->version->name, source->catalog_version, target->version->name,
                 target->catalog_version);
    return !systems_are_same(given) && error_hint_addresses(given, error);
}

/* Check that neither side is encrypted. With state NULL only the target is checked. */
static bool check_not_encrypted(const Given *given, Error *error)
{
    Source *source = given->clusters->source;

    return encryption_check(NULL, given->clusters->target.directory, error) &&
           (given->state == NULL || encryption_check(source, source->directory, error));
}

static bool check_hints_logged(const Control *target, Error *error)
{
    if (target->data_checksum_version != 0 || target->wal_log_hints)
        return true;
    error_set(error, ERROR_FAILED,
              "target server needs to use either data checksums "
              "or \"wal_log_hints = on\""); /* contract */
    if (target->version->control.wal_log_hints == OFFSET_NONE)
    {
        error_detail(error,
                     "Hint bits were not WAL-logged: data checksums are off, and PostgreSQL "
                     "%s has no such setting.",
                     target->version->name);
        error_hint(error, "Compare all blocks instead with --compare.");
        return error_remedy(error, REMEDY_COMPARE);
    }
    error_detail(error, "Both are off: hint bits it set were not WAL-logged.");
    error_hint(error,
               "Compare all blocks instead with --compare. Switching the setting on now does not "
               "help: what was not logged stays unknown. Switch it on for the next time.");
    return error_remedy(error, REMEDY_COMPARE);
}

/* Check that the target has the data checksums that the source's pg_control demands: without them
 * servers reject the target's unchanged blocks. */
static bool check_same_checksums(const Given *given, Error *error)
{
    const Control *source = &given->state->control;

    if (source->data_checksum_version == 0 ||
        source->data_checksum_version == given->clusters->target.control.data_checksum_version)
        return true;
    error_set(error, ERROR_FAILED, "source and target differ in data checksums");
    error_detail(error, "Enabling or disabling them rewrites files without writing WAL.");
    error_hint(error, "Compare all blocks instead with --compare. Do not enable or disable them on "
                      "the target now: that would only hide the difference.");
    return error_remedy(error, REMEDY_COMPARE);
}

/* Check that data checksums, which make the server log hint bits, were on before the target was
 * last stopped. (Rule C3.) */
static bool check_checksums_are_old(const Target *target, const WalShape *shape, Error *error)
{
    bool rewritten;

    if (target->control.data_checksum_version == 0 || target->control.wal_log_hints)
        return true;
    if (!target_written_since_stop(target, shape, WRITES_OF_ALL, &rewritten, error))
        return false;
    if (!rewritten)
        return true;
    error_set(error, ERROR_FAILED,
              "data checksums of the target seem to have been enabled after it was shut down");
    error_detail(error,
                 "Every file in \"%s/base\" was written after that. Hint bits that were set "
                 "before, without \"wal_log_hints\", were not WAL-logged.",
                 target->directory);
    error_hint(error,
               "Compare all blocks instead with --compare. If the directory was only copied after "
               "the server stopped, copy it again and preserve the times of its files.");
    return error_remedy(error, REMEDY_COMPARE);
}

/* "Stop it: pg_ctl stop -D DIRECTORY"; immediately: with -m immediate, which removes no WAL. */
static bool error_hint_stop(const char *before, bool immediately, const char *directory,
                            Error *error)
{
    AUTO_BUFFER Buffer word = {0};

    buffer_append_shown_word(&word, directory);
    if (immediately)
        return error_hint(error, "%s: pg_ctl stop -m immediate -D %s", before,
                          buffer_string(&word));
    return error_hint(error, "%s: pg_ctl stop -D %s", before, buffer_string(&word));
}

/* Check that no server runs on the target in another container, where /proc does not show it. A
 * clean stop shows in pg_control. (Rule I75.) */
static bool check_no_unseen_server(const char *directory, ControlState state, Error *error)
{
    AUTO_BUFFER Buffer path = {0};

    if (state == STATE_SHUTDOWNED || state == STATE_SHUTDOWNED_IN_RECOVERY ||
        !server_file_find(directory, &path))
        return true;
    error_set(error, ERROR_FAILED, "target server must be shut down cleanly"); /* contract */
    error_detail(error, "A process has file \"%s\" open for writing, and no server's is seen here.",
                 buffer_string(&path));
    return error_hint(error, "If a server runs on the directory in another container, stop it "
                             "there. Otherwise end that process: root finds it by lsof.");
}

static bool check_target_stopped(const Given *given, Error *error)
{
    const ControlState state = given->clusters->target.control.state;
    const char *directory = given->clusters->target.directory;
    long pid;

    if (given->may_run)
        return true;
    if (!pid_file_find_server(directory, NULL, &pid, error))
        return false;
    if (pid != 0)
    {
        error_set(error, ERROR_FAILED, "target server must be shut down cleanly"); /* contract */
        if (!process_works_in(pid, directory))
            return error_hint_process(pid, directory, error);
        if (pid_file_has_status(directory, PID_FILE_STOPPING))
        {
            error_detail(error, "A server (PID %ld) in \"%s\" is still stopping.", pid, directory);
            return error_hint(error, "Its log tells what holds it, such as a session or archiving. "
                                     "Use --wait-timeout to wait longer.");
        }
        error_detail(error, "A server (PID %ld) is running in \"%s\".", pid, directory);
        error_hint(error, "If clients use this server, -D may be wrong: do not stop it.");
        error_hint_stop("It is running. Stop it, by the manager or service that started it, or",
                        true, directory, error);
        return error_hint(error, "A clean stop may remove WAL that the rewind needs, --check tells "
                                 "what; an immediate one does not. --rejoin holds it before it "
                                 "stops the server.");
    }
    /* Only --no-ensure-shutdown demands a clean shutdown: otherwise the WAL of a crashed target is
     * read to its true end. */
    if (given->options->no_ensure_shutdown && state != STATE_SHUTDOWNED &&
        state != STATE_SHUTDOWNED_IN_RECOVERY)
    {
        error_set(error, ERROR_FAILED, "target server must be shut down cleanly"); /* contract */
        error_detail(error, "Its state is \"%s\".", control_state_name(state));
        return error_hint(error, "Omit --no-ensure-shutdown: pg_rewind reads the WAL that a "
                                 "crashed server has left, and needs no clean shutdown.");
    }
    /* Look for processes of a crashed server: each notices the crash only when it next waits for
     * something, and until then it may write into rewound files. (Rule I15.) */
    if (!server_process_find(directory, &pid, error))
        return false;
    if (pid == 0)
        return check_no_unseen_server(directory, state, error);
    error_set(error, ERROR_FAILED, "target server must be shut down cleanly"); /* contract */
    error_detail(error, "Process %ld of a crashed server is still running in \"%s\".", pid,
                 directory);
    return error_hint(error, "Stop all processes that the server has left.");
}

/* Check that pg_control is not a poison. With a journal, the rewind would have been finished before
 * this check. */
static bool check_not_half_rewound(const Given *given, Error *error)
{
    const Target *target = &given->clusters->target;

    if (!control_is_poison(&target->control))
        return true;
    error_set(error, ERROR_FAILED, "an interrupted rewind of the target can no longer be finished");
    error_detail(error,
                 "The directory \"%s/pg_rewind.work\", which had what is needed for that, was "
                 "removed. The target is half rewound.",
                 target->directory);
    return error_offer_compare(error);
}

static bool check_source_stopped(const Given *given, Error *error)
{
    const ControlState state = given->state->control.state;
    const char *directory = given->options->source_directory;
    long pid;

    if (given->clusters->source->is_server || state == STATE_SHUTDOWNED ||
        state == STATE_SHUTDOWNED_IN_RECOVERY)
        return true;
    error_set(error, ERROR_FAILED,
              "source data directory must be shut down cleanly"); /* contract */
    if (pid_file_find_server(directory, NULL, &pid, NULL) && pid != 0)
    {
        error_detail(error, "A server (PID %ld) is running in \"%s\".", pid, directory);
        return error_hint_stop("Rewind from that server with --source-server, or stop it", false,
                               directory, error);
    }
    error_detail(error, "Its state is \"%s\", but no server is running there: it has crashed.",
                 control_state_name(state));
    return error_hint_stop("Start its server, which recovers; then rewind from it with "
                           "--source-server, or stop it",
                           false, directory, error);
}

/* Check that the WAL up to the source's position makes the source's files consistent. */
static bool check_source_complete(const Given *given, Error *error)
{
    const Control *source = &given->state->control;

    if (source->backup_start_point != LSN_INVALID)
    {
        error_set(error, ERROR_FAILED, "source is not consistent");
        return error_detail(error, "Its recovery from a backup has not reached the backup's end.");
    }
    if (source->wal_level == WAL_LEVEL_MINIMAL)
    {
        error_set(error, ERROR_FAILED, "source server runs with \"wal_level = minimal\"");
        return error_detail(error,
                            "Its WAL does not contain all changes: no standby can follow it.");
    }
    return true;
}

static bool check_not_same_directory(const Given *given, Error *error)
{
    if (given->clusters->source->is_server ||
        !place_is(given->options->source_directory, given->clusters->target.directory))
        return true;
    error_set(error, ERROR_FAILED, "source and target are the same directory");
    error_hint_addresses(given, error);
    return error_hint(error, "-D names the directory that is rewound, --source-pgdata the one "
                             "that it is to become a standby of.");
}

/*
 * Find the source's data directory on this host; NULL if it is not found. A source server names its
 * directory in postmaster.pid; it is the right directory if the postmaster.pid in it is the same. A
 * server that cannot be asked is not looked for.
 */
static const char *find_source_directory(const Given *given, PidFileServer *server)
{
    Source *source = given->clusters->source;
    AUTO_BUFFER Buffer text = {0};
    PidFileServer here;
    bool found;

    if (!source->is_server)
        return given->options->source_directory;
    if (!source->operations->read_file(source, PID_FILE, PID_FILE_SIZE_MAX, &text, &found, NULL) ||
        !found)
        return NULL;
    pid_file_parse(&text, server);
    return server->directory[0] == '/' && pid_file_read(server->directory, &here) &&
                   pid_file_same_server(&here, server)
               ? server->directory
               : NULL;
}

static bool check_not_nested(const Given *given, Error *error)
{
    const char *target = given->clusters->target.directory;
    PidFileServer server;
    const char *source = find_source_directory(given, &server);

    if (source == NULL || place_is(source, target))
        return true;
    if (place_inside(source, target))
        error_set(error, ERROR_FAILED,
                  "the data directory of the source, \"%s\", is inside the target's", source);
    else if (place_inside(target, source))
        error_set(error, ERROR_FAILED,
                  "the data directory of the target, \"%s\", is inside the source's", target);
    else
        return true;
    return error_hint(error, "Check -D. If it is right, move one of the two out of the other, and "
                             "run pg_rewind again.");
}

static bool check_own_directories(const Given *given, Error *error)
{
    return neighbours_check(&given->clusters->target, given->options->source_directory, error);
}

static bool check_may_checkpoint(const Given *given, Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();
    SourceRole role;
    uint64_t buffers_bytes;
    bool may;

    if (given->options->checkpoint != CHECKPOINT_YES)
        return true;
    if (!source_server_may_checkpoint(given->clusters->source, &may, &buffers_bytes, error))
        return false;
    if (may)
        return true;
    if (!source_server_role(given->clusters->source, arena, &role, error))
        return false;
    error_set(error, ERROR_FAILED, "the role may not run CHECKPOINT on the source server");
    return error_hint(error,
                      "For --checkpoint it must be a superuser or, from PostgreSQL 15 on, a member "
                      "of pg_checkpoint:\n    GRANT pg_checkpoint TO %s;",
                      role.name);
}

/* Check that the source is not the target's own server, whose address is easily given by
 * mistake. */
static bool check_not_own_server(const Given *given, Error *error)
{
    Source *source = given->clusters->source;
    const char *directory = given->clusters->target.directory;
    AUTO_BUFFER Buffer text = {0};
    PidFileServer own, sources;
    bool found;

    if (!given->may_run || !source->is_server)
        return true;
    if (!source->operations->read_file(source, PID_FILE, PID_FILE_SIZE_MAX, &text, &found, error))
        return false;
    pid_file_parse(&text, &sources);
    if (!found || !pid_file_read(directory, &own) || !pid_file_same_server(&own, &sources))
        return true;
    error_set(error, ERROR_FAILED, "the source server is the target's own server");
    error_detail(error, "It is process %s in \"%s\".", own.pid, directory);
    return error_hint(error,
                      "Check -D and --source-server: the source is the server that the target "
                      "is to follow.");
}

typedef struct Prerequisite
{
    bool (*check)(const Given *given, Error *error);
    const char *finding; /* finding of --check to which a problem belongs; NULL if another check
                            reports it */
    bool needs_source;   /* needs the source's pg_control */
    bool decides;        /* if it fails, no other fact about the two means anything */
    bool of_pair; /* checks that the two belong together; if it fails, no other way to rewind is
                     suggested */
    bool of_wal;  /* checks that the target's WAL tells what changed; skipped with --compare */
} Prerequisite;

/* In the order of PostgreSQL's pg_rewind, except that a wrong -D comes first, and that
 * prerequisites_check_hints is called later. */
static const Prerequisite prerequisites[] = {
    {check_not_same_directory, "source_system", .needs_source = true, .decides = true,
     .of_pair = true},
    {check_not_own_server, "source_system", .needs_source = true, .decides = true, .of_pair = true},
    {check_same_system, "source_system", .needs_source = true, .decides = true, .of_pair = true},
    {check_same_version, "source_system", .needs_source = true, .decides = true, .of_pair = true},
    {check_not_encrypted, "source_encryption", .decides = true, .of_pair = true},
    {check_target_stopped, "target", .decides = true},
    {check_not_half_rewound, "target", .decides = true, .of_wal = true},
    {check_source_stopped, "source", .needs_source = true, .decides = true},
    {check_not_nested, "source_system", .needs_source = true, .decides = true, .of_pair = true},
    {check_own_directories, NULL, .decides = true, .of_pair = true},
    {check_same_checksums, "source_checksums", .needs_source = true, .of_wal = true},
    {check_source_complete, "source", .needs_source = true},
    {check_may_checkpoint, "source_role", .needs_source = true},
};

bool prerequisites_check(const Clusters *clusters, const SourceState *state, const Options *options,
                         bool may_run, Problems *problems)
{
    const Given given = {clusters, state, options, may_run};
    const bool asks_wal =
        !options->compare && (!may_run || clusters->target.control.state == STATE_IN_PRODUCTION);
    bool go_on = true, is_pair = true;

    for (size_t i = 0; i < sizeof(prerequisites) / sizeof(*prerequisites); i++)
    {
        const Prerequisite *prerequisite = &prerequisites[i];
        Error problem = {0};

        if ((prerequisite->needs_source && state == NULL) ||
            (prerequisite->of_wal && (!asks_wal || !is_pair)) ||
            prerequisite->check(&given, &problem))
            continue;
        problems_add_finding(problems, prerequisite->finding, &problem);
        go_on = go_on && !prerequisite->decides;
        is_pair = is_pair && !prerequisite->of_pair;
    }
    return go_on;
}

void prerequisites_check_hints(const Clusters *clusters, Problems *problems)
{
    const Target *target = &clusters->target;
    Error problem;

    if (!check_hints_logged(&target->control, &problem) ||
        !check_checksums_are_old(target, &clusters->shape, &problem))
        problems_add(problems, &problem);
}

void prerequisites_check_level(const Clusters *clusters, Problems *problems)
{
    Error problem;

    if (clusters->target.control.wal_level != WAL_LEVEL_MINIMAL)
        return;
    error_set(&problem, ERROR_FAILED, "target server ran with \"wal_level = minimal\"");
    error_detail(&problem, "Changes made with it were not WAL-logged.");
    error_offer_compare(&problem);
    problems_add(problems, &problem);
}
