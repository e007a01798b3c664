#include "phases/run.h"

#include "apply/commit.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/workers.h"
#include "cluster/neighbours.h"
#include "io/file.h"

#include <stdio.h>

#define STOP_SECONDS                                                                               \
    5 /* for a server to be stopped by somebody, and for what it left to notice that */
#define STOP_POLL_MILLISECONDS 20
#define SILENT_SECONDS 1
#define HISTORY_SIZE_MAX (16 * 1024 * 1024)
#define WAL_LEVEL_MINIMAL 0 /* access/xlog.h */

static bool open_source(Run *run, Error *error)
{
    const Options *options = run->options;

    if (options->source_server != NULL)
    {
        if (!source_server_open(options->source_server, options->retry_timeout_seconds,
                                options->max_rate, &run->source, error))
            return false;
    }
    else if (!source_directory_open(options->source_directory, options->max_rate, &run->source,
                                    error))
        return false;
    run->report->source = arena_strdup(run->arena, run->source->description);
    return true;
}

static bool check_same_system(const Run *run, Error *error)
{
    if (run->source_control.system_identifier == run->target.control.system_identifier)
        return true;
    error_set(error, ERROR_IMPOSSIBLE,
              "source and target clusters are from different systems"); /* contract */
    return error_detail(error, "System identifier of the source is %llu, of the target %llu.",
                        (unsigned long long) run->source_control.system_identifier,
                        (unsigned long long) run->target.control.system_identifier);
}

static bool check_same_version(const Run *run, Error *error)
{
    const Control *source = &run->source_control;
    const Control *target = &run->target.control;

    if (source->control_version == target->control_version &&
        source->catalog_version == target->catalog_version &&
        source->block_size == target->block_size &&
        source->relation_segment_blocks == target->relation_segment_blocks &&
        source->wal_block_size == target->wal_block_size &&
        source->wal_segment_size == target->wal_segment_size)
        return true;
    error_set(error, ERROR_IMPOSSIBLE,
              "clusters are not compatible with this version of pg_rewind"); /* contract */
    return error_detail(error,
                        "Source (PostgreSQL %d, catalog version %u) and target (PostgreSQL %d, "
                        "catalog version %u) differ in version or block sizes.",
                        source->version->major, source->catalog_version, target->version->major,
                        target->catalog_version);
}

static bool check_hints_logged(const Run *run, Error *error)
{
    const Control *target = &run->target.control;

    if (target->data_checksum_version != 0 || target->wal_log_hints)
        return true;
    error_set(error, ERROR_IMPOSSIBLE,
              "target server needs to use either data checksums "
              "or \"wal_log_hints = on\""); /* contract */
    error_detail(error, "Both are off: hint bits it set were not WAL-logged.");
    return error_hint(error, "Compare all blocks instead with --compare. Switching the setting on "
                             "now does not help: what was not logged stays unknown. Switch it on "
                             "for the next time.");
}

static bool check_same_checksums(const Run *run, Error *error)
{
    if (run->source_control.data_checksum_version == run->target.control.data_checksum_version)
        return true;
    error_set(error, ERROR_IMPOSSIBLE, "source and target differ in data checksums");
    error_detail(error, "Enabling or disabling them rewrites files without writing WAL.");
    return error_hint(error, "Compare all blocks instead with --compare. Do not enable or disable "
                             "them on the target now: that would only hide the difference.");
}

/* With checksums hints are logged; but not before they were enabled. */
static bool check_checksums_are_old(const Run *run, Error *error)
{
    const Control *target = &run->target.control;
    bool rewritten;

    if (target->data_checksum_version == 0 || target->wal_log_hints)
        return true;
    if (!target_rewritten_since_stop(&run->target, &run->shape, &rewritten, error))
        return false;
    if (!rewritten)
        return true;
    error_set(error, ERROR_FAILED,
              "data checksums of the target seem to have been enabled after it was shut down");
    error_detail(error,
                 "Every file in \"%s/base\" was written after that. Hint bits that were set "
                 "before, without \"wal_log_hints\", were not WAL-logged.",
                 run->target.directory);
    return error_hint(error, "Compare all blocks instead with --compare. If the directory was only "
                             "copied after the server stopped, copy it again and preserve the "
                             "times of its files.");
}

/* That it is minimal now; whether it was meanwhile is told by its WAL. */
static bool check_target_logged(const Run *run, Error *error)
{
    if (run->target.control.wal_level != WAL_LEVEL_MINIMAL)
        return true;
    error_set(error, ERROR_IMPOSSIBLE, "target server ran with \"wal_level = minimal\"");
    error_detail(error, "Changes made with it were not WAL-logged.");
    return run_hint_compare(error);
}

/* How long it is worth to wait for the target's server to be gone; 0: it is. *pid: its process. */
static int patience_with_server(const Run *run, long *pid)
{
    const char *directory = run->target.directory;
    Error told_later;
    bool running;

    if (target_server_running(&run->target, &running, pid, &told_later) && running)
        return pid_file_is_stopping(directory) ? run->options->wait_timeout_seconds : STOP_SECONDS;
    return server_process_find(directory, pid, &told_later) && *pid != 0 ? STOP_SECONDS : 0;
}

/*
 * A manager may call us while the server is still stopping, or its processes have not noticed yet
 * that it has crashed. That is waited for, and only then pg_control is read: what it says must not
 * change any more. What still runs after that is told in its turn.
 */
static bool wait_for_server_to_stop(const Run *run, Error *error)
{
    const double begin = clock_seconds();
    bool told = false;
    long pid;

    while (clock_seconds() - begin < patience_with_server(run, &pid))
    {
        if (!told && clock_seconds() - begin > SILENT_SECONDS)
        {
            log_info("waiting for the target server (PID %ld) to stop", pid);
            told = true;
        }
        if (!stop_pause(STOP_POLL_MILLISECONDS, error))
            return false;
    }
    return true;
}

/*
 * A server may have crashed: its processes notice that when they next wait for something. One that
 * is busy writes for as long as it is, also into files that were rewound.
 */
static bool check_no_process_left(const Run *run, Error *error)
{
    long pid;

    if (!server_process_find(run->target.directory, &pid, error))
        return false;
    if (pid == 0)
        return true;
    error_set(error, ERROR_FAILED, "target server must be shut down cleanly"); /* contract */
    error_detail(error, "Process %ld of a crashed server is still running in \"%s\".", pid,
                 run->target.directory);
    return error_hint(error, "Stop all processes that the server has left.");
}

static bool check_target_stopped(const Run *run, Error *error)
{
    const ControlState state = run->target.control.state;
    bool running;
    long pid;

    if (!target_server_running(&run->target, &running, &pid, error))
        return false;
    if (running)
    {
        error_set(error, ERROR_FAILED, "target server must be shut down cleanly"); /* contract */
        error_detail(error, "A server (PID %ld) is running in \"%s\".", pid, run->target.directory);
        return error_hint(error,
                          "Stop the server. If process %ld is not a server of this directory, a "
                          "crashed server has left the file postmaster.pid there: remove it.",
                          pid);
    }
    /* Without that option an unclean target is fine: its WAL is read to the true end (DESIGN.md).
     */
    if (run->options->no_ensure_shutdown && state != STATE_SHUTDOWNED &&
        state != STATE_SHUTDOWNED_IN_RECOVERY)
    {
        error_set(error, ERROR_FAILED, "target server must be shut down cleanly"); /* contract */
        return error_detail(error, "Its state is \"%s\".", control_state_name(state));
    }
    return check_no_process_left(run, error);
}

static bool check_source_stopped(const Run *run, Error *error)
{
    const ControlState state = run->source_control.state;

    if (run->source->is_server || state == STATE_SHUTDOWNED ||
        state == STATE_SHUTDOWNED_IN_RECOVERY)
        return true;
    return error_set(error, ERROR_FAILED,
                     "source data directory must be shut down cleanly"); /* contract */
}

/* Can the source's files be made consistent by WAL up to where it stands? */
static bool check_source_complete(const Run *run, Error *error)
{
    const Control *source = &run->source_control;

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

static bool check_not_same_directory(const Run *run, Error *error)
{
    struct stat source, target;
    bool found;

    if (run->source->is_server)
        return true;
    if (!file_stat(run->options->source_directory, &source, &found, error) ||
        !file_stat(run->target.directory, &target, &found, error))
        return false;
    if (source.st_dev == target.st_dev && source.st_ino == target.st_ino)
        return error_set(error, ERROR_FAILED, "source and target are the same directory");
    return true;
}

static bool check_own_directories(const Run *run, Error *error)
{
    return neighbours_check(run->target.directory, run->options->source_directory, error);
}

static bool check_may_checkpoint(const Run *run, Error *error)
{
    bool may;

    if (!run->options->checkpoint)
        return true;
    if (!source_server_may_checkpoint(run->source, &may, error))
        return false;
    if (may)
        return true;
    error_set(error, ERROR_FAILED, "the role may not run CHECKPOINT on the source server");
    return error_hint(error, "For --checkpoint it must be a superuser or, from PostgreSQL 15 on, "
                             "a member of the role pg_checkpoint.");
}

typedef struct Prerequisite
{
    bool (*check)(const Run *run, Error *error);
    bool decides;      /* without it nothing else that is looked at would mean anything */
    bool needs_source; /* its pg_control */
    bool of_wal;       /* that the target's WAL tells what changed: not with --compare */
} Prerequisite;

/* In the original's order. */
static const Prerequisite prerequisites[] = {
    {check_same_system, true, true, false},        {check_same_version, true, true, false},
    {check_hints_logged, false, false, true},      {check_same_checksums, false, true, true},
    {check_checksums_are_old, false, false, true}, {check_target_logged, false, false, true},
    {check_target_stopped, true, false, false},    {check_source_stopped, true, true, false},
    {check_source_complete, false, true, false},   {check_not_same_directory, true, true, false},
    {check_own_directories, true, false, false},   {check_may_checkpoint, false, true, false},
};

/* Every one that fails is said. False: the run cannot go on; source: there is one to be asked. */
static bool check_prerequisites(Run *run, bool source)
{
    bool go_on = true;

    for (size_t i = 0; i < sizeof(prerequisites) / sizeof(*prerequisites); i++)
    {
        Error problem = {0};

        if ((prerequisites[i].needs_source && !source) ||
            (prerequisites[i].of_wal && run->options->compare) ||
            prerequisites[i].check(run, &problem))
            continue;
        run_add_problem(run, &problem);
        go_on = go_on && !prerequisites[i].decides;
    }
    return go_on;
}

static void log_history(const Run *run, const char *title, const History *history)
{
    char begin[LSN_TEXT_SIZE], end[LSN_TEXT_SIZE];

    log_debug("%s", title);
    for (size_t i = 0; i < history->count; i++)
        log_debug("%u: %s - %s", history->entries[i].timeline, /* contract */
                  run_lsn_text(run, history->entries[i].begin, begin),
                  run_lsn_text(run, history->entries[i].end, end));
}

/* A history file that is gone is looked for where missing WAL is. */
static bool read_target_history(Run *run, Timeline timeline, Buffer *text, Error *error)
{
    char name[HISTORY_NAME_SIZE], path[PATH_SIZE];
    bool found;

    history_file_name(timeline, name);
    snprintf(path, sizeof(path), "%s/pg_wal/%s", run->target.directory, name);
    if (!file_read_all(path, HISTORY_SIZE_MAX, text, &found, error) ||
        (!found && !archive_read(run->archive, name, HISTORY_SIZE_MAX, text, &found, error)))
        return false;
    return found || file_read_all(path, HISTORY_SIZE_MAX, text, NULL, error); /* its error */
}

static bool read_histories(Run *run, Error *error)
{
    Timeline source_timeline = run->position.timeline;
    Timeline target_timeline = run->target.timeline;
    Buffer source_text = {0}, target_text = {0};
    char name[HISTORY_NAME_SIZE], path[64];
    bool found, result = false;

    if (source_timeline > 1)
    {
        history_file_name(source_timeline, name);
        snprintf(path, sizeof(path), "pg_wal/%s", name);
        if (!run->source->operations->read_file(run->source, path, HISTORY_SIZE_MAX, &source_text,
                                                &found, error))
            goto done;
        if (!found)
        {
            error_set(error, ERROR_FAILED, "could not fetch remote file \"%s\": no such file",
                      path);
            goto done;
        }
    }
    if (!history_parse(run->arena, source_timeline, (const char *) source_text.bytes,
                       source_text.size, &run->source_history, error))
        goto done;
    log_history(run, "Source timeline history:", &run->source_history); /* contract */
    run->report->source_history = &run->source_history;
    result =
        (target_timeline == 1 || read_target_history(run, target_timeline, &target_text, error)) &&
        history_parse(run->arena, target_timeline, (const char *) target_text.bytes,
                      target_text.size, &run->target_history, error);
    if (result)
    {
        log_history(run, "Target timeline history:", &run->target_history); /* contract */
        run->report->target_history = &run->target_history;
    }
    else if (run->options->compare)
    {
        log_debug("the target's history is not known: %s", error->message);
        run->target_history = (History){0};
        result = true;
    }

done:
    buffer_free(&source_text);
    buffer_free(&target_text);
    return result;
}

/* After an interrupted rewind was finished a source that is gone is no failure: nothing more was
 * needed from it. */
static bool go_without_source(Run *run, bool *finished, const Error *error)
{
    if (!run->resumed)
        return false;
    log_warning("%s", error->message);
    log_detail("The interrupted rewind is finished. It could not be checked whether the source has "
               "diverged since then.");
    *finished = true;
    return true;
}

/* After an interrupted rewind was finished the configuration is the source's, and the target lacks
 * no WAL: without a command it goes on. */
static bool ask_for_restore_command(Run *run, Error *error)
{
    const Options *options = run->options;

    if (target_restore_command(run->arena, &run->target, options->bindir, options->config_file,
                               &run->restore_command, error))
        return true;
    if (!run->resumed)
        return false;
    log_warning("%s", error->message);
    run->restore_command = NULL;
    return true;
}

/* The command that fetches missing WAL. A problem with it is none for what else is looked at. */
static void find_restore_command(Run *run)
{
    const Options *options = run->options;
    Error problem;

    if (options->restore_command != NULL)
        run->restore_command = arena_strdup(run->arena, options->restore_command);
    else if (options->restore_target_wal && !ask_for_restore_command(run, &problem))
        run_add_problem(run, &problem);
}

static void note_versions(Run *run)
{
    run->report->version = run->target.control.version;
    run->shape = (WalShape){.version = run->target.control.version,
                            .system_identifier = run->target.control.system_identifier,
                            .segment_size = run->target.control.wal_segment_size,
                            .block_size = run->target.control.wal_block_size};
}

/* The source cannot be asked: that is an error, but what is wrong with the target is said as well.
 */
static bool do_without_source(Run *run, bool *finished, Error *error)
{
    Error stopped;

    if (go_without_source(run, finished, error))
        return true;
    if (error->hint[0] == '\0')
        error_hint(error, "Is the source running, and does it accept this connection? Check the "
                          "server's address, its pg_hba.conf and the password file.");
    run_add_problem(run, error);
    if (stop_check(&stopped))
        check_prerequisites(run, false);
    return false;
}

/*
 * Keep servers out from now on: one that is started while WAL is read would cost the whole run. A
 * directory that cannot be written to is told later, with all else that cannot. Where another run
 * has ended a moment ago its caller may be starting the server: that is not hindered before there
 * is something to be written.
 */
static bool claim_target(Run *run, Error *error)
{
    const Target *target = &run->target;
    bool running;
    long pid;
    Error ignored;

    if (run->options->dry_run || run->lock_waited || run->problems > 0)
        return true;
    /* A server may have come and gone since pg_control was read: better told before the work. */
    if (interlock_claim_pid_file(run->interlock, error))
        return commit_check_control(target->directory, target->control.bytes, error);
    return target_server_running(target, &running, &pid, &ignored) && !running;
}

bool phase_identify(Run *run, bool *finished, Error *error)
{
    /* The order of the original: callers match the first message. The restore command needs the
       version, so pg_control is read before; what is wrong with it is said in its turn. */
    *finished = false;
    if (!wait_for_server_to_stop(run, error) || !target_read(&run->target, error))
        return false;
    find_restore_command(run);
    note_versions(run);
    if (!open_source(run, error) ||
        !run->source->operations->read_control(run->source, &run->source_control, error))
        return do_without_source(run, finished, error) || run_check_problems(run, error);
    run->identified = check_prerequisites(run, true);
    return (run->identified || run_check_problems(run, error)) && claim_target(run, error) &&
           run->source->operations->position(run->source, &run->source_control, &run->position,
                                             error) &&
           run_open_archives(run, error) && read_histories(run, error);
}
