#include "rejoin.h"

#include "apply/apply.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/workers.h"
#include "cluster/pid_file.h"
#include "cluster/prerequisites.h"
#include "cluster/server_control.h"
#include "cluster/source_server_standbys.h"
#include "cluster/target_server.h"
#include "format/recovery_conf.h"
#include "io/file.h"
#include "standby/configuration.h"
#include "standby/standby_settings.h"
#include "standby/streaming.h"

#include <string.h>

#define POLL_MILLISECONDS 200
#define PATIENCE_SECONDS                                                                           \
    10                       /* with a standby that neither streams nor replays; it asks every 5 s \
                              */
#define STANDSTILL_SECONDS 2 /* of replay in front of a record that is not whole */
#define RECOVERY_CONF_MAX (1024 * 1024)
#define NAMES_MAX 3

typedef struct Rejoin
{
    const Options *options;
    Arena *arena;
    Target target;
    bool running; /* the target's server, when this began; not one that is stopping already */
    long pid;
    ServerControl control;
    ReportRejoin report;
    Source *source;       /* NULL: not connected */
    SourceState state;    /* of the source, when it was asked last */
    TargetServer *server; /* NULL: not asked yet */
    const char *since;    /* the server was started by us, at this time of the source; "0" */
    const char *names[NAMES_MAX + 1]; /* under which the source may know the standby */
} Rejoin;

/* ---- What both say ---- */

static bool ask_source(Rejoin *rejoin, Error *error)
{
    const Options *options = rejoin->options;
    Source *source;

    if (rejoin->source == NULL &&
        !source_server_open(options->source_server, options->retry_timeout_seconds, 0,
                            &rejoin->source, error))
        return false;
    source = rejoin->source;
    return source->operations->read_control(source, &rejoin->state.control, error) &&
           source->operations->position(source, &rejoin->state.control, &rejoin->state.position,
                                        error);
}

static void forget_source(Rejoin *rejoin)
{
    target_server_close(rejoin->server);
    source_close(rejoin->source);
    rejoin->server = NULL;
    rejoin->source = NULL;
}

/* The target's configuration as its next start finds it. */
static Settings read_target_settings(const Rejoin *rejoin)
{
    const Configuration configuration = {.directory = rejoin->target.directory,
                                         .config_file = rejoin->control.config_file,
                                         .arena = rejoin->arena};
    const SettingsReader reader = configuration_reader(&configuration);

    return configuration_read(&configuration, &reader);
}

/* primary_conninfo; NULL: it is not set. */
static const char *read_primary_conninfo(const Rejoin *rejoin, const Settings *settings)
{
    const char *path = arena_printf(rejoin->arena, "%s/recovery.conf", rejoin->target.directory);
    const char *result = settings_value(settings, "primary_conninfo");
    Buffer text = {0}, value = {0};
    bool found;

    if (rejoin->target.control.version->recovery_settings == RECOVERY_CONF)
        result = file_read_all(path, RECOVERY_CONF_MAX, &text, &found, NULL) && found &&
                         setting_find(buffer_string(&text), text.size, "primary_conninfo", &value)
                     ? arena_strdup(rejoin->arena, buffer_string(&value))
                     : NULL;
    buffer_free(&text);
    buffer_free(&value);
    return result;
}

/* The names that its WAL receiver may give: its own, or the defaults of different versions. */
static void find_names(Rejoin *rejoin)
{
    const Settings settings = read_target_settings(rejoin);
    const char *conninfo = read_primary_conninfo(rejoin, &settings);
    const char *name =
        conninfo != NULL ? conninfo_value(conninfo, "application_name", rejoin->arena) : NULL;
    const char *cluster = settings_value(&settings, "cluster_name");
    int count = 0;

    if (name != NULL)
        rejoin->names[count++] = name;
    else
    {
        if (cluster != NULL && cluster[0] != '\0')
            rejoin->names[count++] = cluster;
        rejoin->names[count++] = "walreceiver";
    }
    rejoin->names[count] = NULL;
}

typedef struct Address
{
    const char *conninfo;
    Arena *arena;
    bool same;
} Address;

/* A ConnectionOption: one of the source's connection. */
static bool compare_address(void *context, const char *keyword, const char *value, Error *error)
{
    Address *address = context;
    const char *own;

    (void) error;
    if (strcmp(keyword, "host") != 0 && strcmp(keyword, "hostaddr") != 0 &&
        strcmp(keyword, "port") != 0)
        return true;
    own = conninfo_value(address->conninfo, keyword, address->arena);
    if (own == NULL && strcmp(keyword, "port") == 0)
        own = "5432";
    address->same = address->same && own != NULL && strcmp(own, value) == 0;
    return true;
}

/* Does the target's primary_conninfo lead where -R would have it lead? */
static bool is_configured_for_source(const Rejoin *rejoin)
{
    const Settings settings = read_target_settings(rejoin);
    Address address = {
        .conninfo = read_primary_conninfo(rejoin, &settings), .arena = rejoin->arena, .same = true};

    return address.conninfo != NULL &&
           connection_options(source_connection(rejoin->source), compare_address, &address, NULL) &&
           address.same;
}

/* How things stand at one moment. */
typedef struct Standing
{
    SourceStandby standby; /* what the source says */
    TargetAnswer target;   /* what the target says */
} Standing;

static bool find_standing(Rejoin *rejoin, Standing *standing, Error *error)
{
    if (rejoin->server == NULL)
        rejoin->server = target_server_open(rejoin->target.directory, rejoin->source);
    target_server_ask(rejoin->server, &standing->target);
    return source_server_find_standby(rejoin->source, rejoin->names, rejoin->since,
                                      &standing->standby, error);
}

/* The timeline that the target's server receives: what it may not tell us, its files do. */
static Timeline find_received_timeline(const Rejoin *rejoin, const TargetAnswer *answer)
{
    const char *directory = rejoin->target.directory;
    Timeline timeline = answer->timeline;
    Control control;

    if (timeline == 0 && (!directory_control_read(directory, &control, NULL) ||
                          !directory_standby_timeline(directory, &control, &timeline, NULL)))
        timeline = 0;
    return timeline;
}

/*
 * Does the source send to the target? The target itself is believed in the first place: another
 * standby may have its name. What the role may not see does not count.
 */
static bool streams_from_source(const Rejoin *rejoin, const Standing *standing)
{
    const SourceStandby *standby = &standing->standby;
    const TargetAnswer *target = &standing->target;
    const bool source_says_so =
        standby->found ? standby->state[0] == '\0' || strcmp(standby->state, "streaming") == 0
                       : !standby->all_visible;

    if (target->state == TARGET_ANSWERS)
        return source_says_so && target->in_recovery && target->receives &&
               find_received_timeline(rejoin, target) == rejoin->state.position.timeline;
    /* A name alone is enough only of one that has connected since we started the server, and that
     * takes no connections anyway. */
    return target->state == TARGET_SILENT && strcmp(rejoin->since, "0") != 0 && standby->found &&
           standby->state[0] != '\0' && source_says_so;
}

static Lsn replayed_position(const Standing *standing)
{
    return standing->target.state == TARGET_ANSWERS ? standing->target.replayed
                                                    : standing->standby.replayed;
}

static Lsn received_position(const Standing *standing)
{
    return standing->target.state == TARGET_ANSWERS ? standing->target.received
                                                    : standing->standby.flushed;
}

/* ---- Before the server is stopped ---- */

static bool find_target(Rejoin *rejoin, Error *error)
{
    Target *target = &rejoin->target;
    Configuration configuration = {.arena = rejoin->arena};
    DebianCluster cluster;
    bool is_debians;

    if (!target_open(rejoin->arena, rejoin->options->target, target, error) ||
        !directory_control_read(target->directory, &target->control, error) ||
        !target_server_running(target, &rejoin->running, &rejoin->pid, error))
        return false;
    configuration.directory = target->directory;
    is_debians = configuration_find_debian(&configuration, target->control.version, &cluster);
    if (!server_control_find(target, rejoin->options, is_debians ? &cluster : NULL, rejoin->arena,
                             &rejoin->control, error))
        return false;
    rejoin->running = rejoin->running && !pid_file_is_stopping(target->directory);
    rejoin->report.was_primary =
        target->control.state == STATE_IN_PRODUCTION || target->control.state == STATE_SHUTDOWNED;
    return true;
}

/* The easiest mistake of all: the address of the old primary as that of the new one. */
static bool check_not_own_server(Rejoin *rejoin, Error *error)
{
    PidFileServer own, sources;
    Buffer text = {0};
    bool found, same;

    if (!rejoin->source->operations->read_file(rejoin->source, PID_FILE, PID_FILE_SIZE_MAX, &text,
                                               &found, error))
        return false;
    pid_file_parse(&text, &sources);
    same = found && pid_file_read(rejoin->target.directory, &own) &&
           pid_file_same_server(&own, &sources);
    buffer_free(&text);
    if (!same)
        return true;
    error_set(error, ERROR_FAILED, "the source server is the target's own server");
    error_detail(error, "It is process %ld in \"%s\".", rejoin->pid, rejoin->target.directory);
    return error_hint(error,
                      "Check -D and --source-server: the source is the server that the target "
                      "is to follow.");
}

/* A directory that was copied from under a running server has its postmaster.pid: our commands
 * would stop that one. A command of the user's knows better. */
static bool check_own_process(const Rejoin *rejoin, Error *error)
{
    const char *directory = rejoin->target.directory;

    if (rejoin->options->stop_command != NULL || process_works_in(rejoin->pid, directory))
        return true;
    error_set(error, ERROR_FAILED, "the server in postmaster.pid is not the target's");
    error_detail(error, "Process %ld does not work in \"%s\".", rejoin->pid, directory);
    return error_hint(error, "If no server runs in that directory, remove its postmaster.pid; if "
                             "one does in another container, name its --stop-command.");
}

/* Is the target on that timeline? In pg_control it is only from the first checkpoint on it. */
static bool target_has_timeline(const Target *target, Timeline timeline)
{
    char path[PATH_SIZE];
    struct stat status;
    bool found;

    if (timeline == control_timeline(&target->control))
        return true;
    snprintf(path, sizeof(path), "%s/%s/%08X.history", target->directory,
             target->control.version->wal_directory, timeline);
    return file_stat(path, &status, &found, NULL) && found;
}

/* A primary that becomes the standby of its own standby: then nobody could write any more. */
static bool check_source_promoted(const Rejoin *rejoin, Error *error)
{
    const Target *target = &rejoin->target;

    if (target->control.state != STATE_IN_PRODUCTION || !rejoin->state.position.in_recovery ||
        !target_has_timeline(target, rejoin->state.position.timeline))
        return true;
    error_set(error, ERROR_FAILED, "the source server is a standby on the target's own timeline");
    error_detail(error, "The target is a primary: as a standby of its standby it would leave no "
                        "primary.");
    return error_hint(error, "Promote the source first, or name the new primary with "
                             "--source-server.");
}

/* All that can be known while the server runs: it must not be stopped in vain. */
static bool check_before_stop(Rejoin *rejoin, Error *error)
{
    Clusters clusters = {.target = rejoin->target};
    StandbySettings settings = {0};
    Problems problems = {0};

    if (!check_own_process(rejoin, error))
        return false;
    if (!ask_source(rejoin, error))
    {
        if (error_hint_text(error)[0] == '\0')
            error_hint(error, "The server is only stopped once the source can be reached.");
        return false;
    }
    clusters.source = rejoin->source;
    clusters.shape = (WalShape){.version = rejoin->target.control.version,
                                .system_identifier = rejoin->target.control.system_identifier,
                                .segment_size = rejoin->target.control.wal_segment_size,
                                .block_size = rejoin->target.control.wal_block_size};
    return check_not_own_server(rejoin, error) &&
           prerequisites_check_before_stop(&clusters, &rejoin->state, rejoin->options, error) &&
           check_source_promoted(rejoin, error) &&
           standby_settings_make(rejoin->options, &clusters, rejoin->arena, &settings, error) &&
           streaming_check(rejoin->options, &clusters, &settings, &problems, rejoin->arena,
                           error) &&
           problems_check(&problems, error);
}

/* Will it go on by itself, such as a standby that an earlier run has started? It is watched as long
 * as it comes further. */
static bool find_whether_it_follows(Rejoin *rejoin, bool *follows, Error *error)
{
    const double begin = clock_seconds();
    double moved = begin;
    Lsn before = LSN_INVALID;
    bool told = false;

    *follows = false;
    rejoin->since = "0";
    if (rejoin->target.control.state != STATE_IN_ARCHIVE_RECOVERY ||
        !is_configured_for_source(rejoin))
        return true;
    find_names(rejoin);
    for (;;)
    {
        Standing standing;
        bool running;
        long pid;

        if (!find_standing(rejoin, &standing, error) ||
            !target_server_running(&rejoin->target, &running, &pid, error))
            return false;
        *follows = streams_from_source(rejoin, &standing);
        if (*follows || !running || standing.target.state == TARGET_SILENT ||
            (standing.target.state == TARGET_ANSWERS && !standing.target.in_recovery))
            return true;
        if (standing.target.state == TARGET_STARTING || standing.target.replayed != before)
            moved = clock_seconds();
        before = standing.target.replayed;
        if (clock_seconds() - moved >= PATIENCE_SECONDS ||
            clock_seconds() - begin >= rejoin->options->rejoin_timeout_seconds)
            return true;
        if (!told && clock_seconds() - begin > 1)
        {
            log_info(
                "waiting for the target's server (PID %ld), a standby that does not stream yet",
                rejoin->pid);
            told = true;
        }
        if (!stop_pause(POLL_MILLISECONDS, error))
            return false;
    }
}

/* ---- Afterwards ---- */

/* Not in vain either: what the target is to reach is known before it is started. */
static bool start_server(Rejoin *rejoin, Error *error)
{
    if (!ask_source(rejoin, error) ||
        !source_server_clock(rejoin->source, rejoin->arena, &rejoin->since, error))
        return false;
    if (rejoin->report.was_primary && rejoin->state.position.in_recovery)
    {
        log_warning("the source server is a standby");
        log_detail("The target was a primary. If the source had no other one, no server takes "
                   "writes until one is promoted.");
    }
    log_info("starting the target's server: %s", rejoin->control.start);
    if (!server_control_start(&rejoin->control, &rejoin->target, error))
        return false;
    rejoin->report.started = true;
    find_names(rejoin);
    return true;
}

typedef struct Wait
{
    Lsn end; /* to be replayed */
    double begin;
    Lsn replayed; /* LSN_INVALID: not known yet */
    double still; /* since when that stands still */
    Lsn shown;    /* as progress; LSN_INVALID: there is nothing to show */
} Wait;

/* With -P, kB of WAL from where replay was first seen. */
static void show_progress(Wait *wait, Lsn replayed)
{
    if (replayed == LSN_INVALID)
        return;
    if (replayed != wait->replayed)
        wait->still = clock_seconds();
    if (wait->replayed == LSN_INVALID && replayed < wait->end)
    {
        wait->shown = replayed;
        progress_begin(PROGRESS_REPLAY, wait->end - replayed);
    }
    wait->replayed = replayed;
    if (wait->shown == LSN_INVALID)
        return;
    if (replayed > wait->end)
        replayed = wait->end;
    if (replayed > wait->shown)
    {
        progress_add(replayed - wait->shown);
        wait->shown = replayed;
    }
}

/* done: it has caught up, though maybe with a record that is not whole. */
static void end_progress(const Wait *wait, bool done)
{
    if (wait->shown != LSN_INVALID)
        progress_end(done);
}

/*
 * Has it replayed what the source had? The source's WAL may be flushed up to the end of a page
 * inside of a record whose rest comes with the next write: then it has received that, and replay
 * stands still.
 */
static bool has_caught_up(const Rejoin *rejoin, const Wait *wait, const Standing *standing)
{
    if (!streams_from_source(rejoin, standing))
        return false;
    if (replayed_position(standing) >= wait->end)
        return true;
    return wait->end % rejoin->target.control.wal_block_size == 0 &&
           received_position(standing) >= wait->end &&
           clock_seconds() - wait->still >= STANDSTILL_SECONDS;
}

static bool error_not_following(const Rejoin *rejoin, const Wait *wait, const Standing *standing,
                                Error *error)
{
    static const char *const states[] = {[TARGET_SILENT] = "it cannot be asked",
                                         [TARGET_STARTING] = "it takes no connections yet",
                                         [TARGET_ANSWERS] = "it is a standby"};
    const Version *version = rejoin->target.control.version;
    char replayed[LSN_TEXT_SIZE], end[LSN_TEXT_SIZE];

    error_set(error, ERROR_FAILED, "the target's server does not follow the source yet");
    error_detail(error, "Waited %d s (--rejoin-timeout): %s, has replayed up to %s of %s, and %s.",
                 rejoin->options->rejoin_timeout_seconds, states[standing->target.state],
                 wait->replayed == LSN_INVALID ? "(unknown)"
                                               : lsn_text(version, wait->replayed, replayed),
                 lsn_text(version, wait->end, end),
                 streams_from_source(rejoin, standing) ? "receives the source's WAL"
                                                       : "does not receive the source's WAL");
    server_control_add_log(&rejoin->control, false, error);
    return false;
}

/* What would make it pointless to wait on. */
static bool check_still_there(const Rejoin *rejoin, const Standing *standing, Error *error)
{
    bool running;
    long pid;

    if (!target_server_running(&rejoin->target, &running, &pid, error))
        return false;
    if (!running)
    {
        error_set(error, ERROR_FAILED, "the target's server has ended");
        server_control_add_log(&rejoin->control, true, error);
        return false;
    }
    if (standing->target.state == TARGET_ANSWERS && !standing->target.in_recovery)
    {
        error_set(error, ERROR_FAILED, "the target's server is not a standby");
        return error_detail(error, "It has ended its recovery: its history diverges from the "
                                   "source's again.");
    }
    return true;
}

static void note_following(Rejoin *rejoin, const Standing *standing)
{
    const SourceStandby *standby = &standing->standby;
    const char *name = standby->found ? standby->name : rejoin->names[0];
    ReportRejoin *report = &rejoin->report;
    char text[LSN_TEXT_SIZE];

    report->followed = true;
    report->sent = standby->sent;
    report->replayed = replayed_position(standing);
    snprintf(report->application_name, sizeof(report->application_name), "%s", name);
    snprintf(report->sync_state, sizeof(report->sync_state), "%s", standby->sync_state);
    log_info("the target follows the source: standby \"%s\" is streaming%s%s, replayed up to %s",
             name, standby->sync_state[0] != '\0' ? ", " : "", standby->sync_state,
             lsn_text(rejoin->target.control.version, report->replayed, text));
}

/* Look, again and again. */
static bool watch_server(Rejoin *rejoin, Wait *wait, Standing *standing, Error *error)
{
    for (;;)
    {
        if (!find_standing(rejoin, standing, error) || !check_still_there(rejoin, standing, error))
            return false;
        show_progress(wait, replayed_position(standing));
        if (has_caught_up(rejoin, wait, standing))
            return true;
        if (clock_seconds() - wait->begin >= rejoin->options->rejoin_timeout_seconds)
            return error_not_following(rejoin, wait, standing, error);
        if (!stop_pause(POLL_MILLISECONDS, error))
            return false;
    }
}

static bool wait_until_it_follows(Rejoin *rejoin, Error *error)
{
    Wait wait = {.end = rejoin->state.position.minimum, .begin = clock_seconds()};
    Standing standing;
    char text[LSN_TEXT_SIZE];
    bool follows;

    wait.still = wait.begin;
    rejoin->report.awaited = wait.end;
    log_info("waiting until the target has replayed the source's WAL up to %s",
             lsn_text(rejoin->target.control.version, wait.end, text));
    follows = watch_server(rejoin, &wait, &standing, error);
    end_progress(&wait, follows);
    if (follows)
        note_following(rejoin, &standing);
    return follows;
}

/* ---- The story ---- */

/* *follows: the server is a standby of the source already. */
static bool stop_server(Rejoin *rejoin, bool *follows, Error *error)
{
    *follows = false;
    if (!rejoin->running)
        return true;
    /* A service is not stopped in vain: what would fail afterwards must not fail then. */
    if (!check_before_stop(rejoin, error))
        return false;
    /* A healthy standby of the source is left alone, also one that an earlier run has started. */
    if (!find_whether_it_follows(rejoin, follows, error) || *follows)
        return *follows;
    if (rejoin->options->dry_run)
    {
        log_info("would stop the target's server (PID %ld): %s", rejoin->pid, rejoin->control.stop);
        log_hint("What a rewind would do cannot be examined while the server runs.");
        return true;
    }
    log_info("stopping the target's server (PID %ld): %s", rejoin->pid, rejoin->control.stop);
    /* It is started as it was, also by the same command after this run was killed. */
    if (!server_control_save(&rejoin->control, error))
        return false;
    rejoin->report.stopped = server_control_stop(&rejoin->control, &rejoin->target,
                                                 rejoin->options->wait_timeout_seconds, error);
    if (!rejoin->report.stopped)
        /* Where the command was interrupted, or its time was over. */
        rejoin->report.stopping = pid_file_is_stopping(rejoin->target.directory);
    return rejoin->report.stopped;
}

static bool run_rejoin(Rejoin *rejoin, Report *report, RewindOutcome *outcome, Error *error)
{
    const Options *options = rejoin->options;
    bool follows;

    if (!find_target(rejoin, error) || !stop_server(rejoin, &follows, error))
        return false;
    if (follows)
        log_info("the target's server (PID %ld) follows the source already", rejoin->pid);
    else if (options->dry_run && rejoin->running)
    {
        report->rewind_needed = true; /* as far as can be known */
        return true;
    }
    else
    {
        /* The rewind has its own connections, and may take its time. */
        forget_source(rejoin);
        if (!options->dry_run && !server_control_save(&rejoin->control, error))
            return false;
        if (!rewind_run(options, report, outcome, error))
            return false;
        if (options->dry_run)
        {
            log_info("would start the target's server: %s", rejoin->control.start);
            return true;
        }
        /* From here on the target is a standby of the source, which only has to run. */
        *outcome = REWIND_NOT_JOINED;
        signals_heed_again();
        if (!start_server(rejoin, error))
            return false;
    }
    *outcome = REWIND_NOT_JOINED;
    if (options->dry_run)
        return true;
    if (!wait_until_it_follows(rejoin, error))
        return false;
    server_control_forget(&rejoin->control);
    *outcome = REWIND_DONE;
    return true;
}

/* The rewind has made a report, or there was none to be made. */
static void report_rejoin(Rejoin *rejoin, Report *report)
{
    ReportRejoin *copy;
    bool running;
    long pid;

    if (report->arena == NULL)
    {
        report->arena = arena_create();
        report->dry_run = rejoin->options->dry_run;
    }
    if (report->target == NULL)
        report->target = arena_strdup(report->arena, rejoin->target.directory);
    if (report->version == NULL)
        report->version = rejoin->target.control.version;
    if (report->source == NULL && rejoin->source != NULL)
        report->source = arena_strdup(report->arena, rejoin->source->description);
    copy = arena_allocate(report->arena, sizeof(*copy));
    *copy = rejoin->report;
    copy->running = rejoin->target.directory != NULL &&
                    target_server_running(&rejoin->target, &running, &pid, NULL) && running &&
                    process_works_in(pid, rejoin->target.directory);
    copy->start_command =
        rejoin->control.start != NULL ? arena_strdup(report->arena, rejoin->control.start) : NULL;
    report->rejoin = copy;
}

bool rejoin_run(const Options *options, Report *report, RewindOutcome *outcome, Error *error)
{
    Rejoin rejoin = {.options = options, .arena = arena_create(), .since = "0"};
    bool result;

    *outcome = REWIND_UNTOUCHED;
    result = run_rejoin(&rejoin, report, outcome, error);
    /* "The target is unchanged" would not be true of one that waits for being finished. */
    if (!result && report->arena == NULL && rejoin.target.directory != NULL &&
        apply_may_be_pending(rejoin.target.directory))
        *outcome = REWIND_COMMITTED;
    report_rejoin(&rejoin, report);
    forget_source(&rejoin);
    arena_destroy(rejoin.arena);
    return result;
}

bool rejoin_say_what_next(const Report *report, RewindOutcome outcome)
{
    const ReportRejoin *rejoin = report->rejoin;

    if (outcome == REWIND_UNTOUCHED && rejoin->stopping)
        log_hint(
            "The target is unchanged, but this command has asked its server to stop, and it is "
            "stopping. Run the same %s command again. To start it as it was instead: %s",
            log_program_name(), rejoin->start_command);
    else if (outcome == REWIND_NOT_JOINED && rejoin->running)
        log_hint("The target is a standby of the source and its server is running, but it has not "
                 "caught up yet: run the same %s command again, it goes on waiting.",
                 log_program_name());
    else if (outcome == REWIND_NOT_JOINED)
        log_hint("The target is a standby of the source, but its server is not running: run the "
                 "same %s command again, it starts the server. To start it yourself: %s",
                 log_program_name(), rejoin->start_command);
    else if (outcome == REWIND_UNTOUCHED && rejoin->running)
        log_hint("The target is unchanged, and its server is running.");
    else if (outcome == REWIND_UNTOUCHED && !report->dry_run && rejoin->start_command != NULL)
        log_hint("The target is unchanged, %s. Remove the cause and run the same %s command again. "
                 "To start the server as it was instead%s: %s",
                 rejoin->stopped ? "but its server was stopped by this command and is not running"
                                 : "and its server is not running",
                 log_program_name(), rejoin->was_primary ? ", a primary beside the source" : "",
                 rejoin->start_command);
    else
        return false;
    return true;
}
