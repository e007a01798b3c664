#include "rejoin/rejoin_following.h"

#include "base/clock.h"
#include "base/wait.h"
#include "base/log.h"
#include "target/pid_file.h"
#include "source/directory.h"
#include "standby/next_start.h"
#include "standby/standby_files.h"
#include "io/file.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define SILENT_SECONDS 1
#define PATIENCE_SECONDS 10  /* for a standby that does not stream or replay: it asks every 5 s */
#define STANDSTILL_SECONDS 2 /* bytes that replay may lack: the last record */

/* ---- Answers of both servers ---- */

bool rejoin_ask_source(Rejoin *rejoin, Error *error)
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

void rejoin_forget_server(Rejoin *rejoin)
{
    target_server_close(rejoin->server);
    rejoin->server = NULL;
}

void rejoin_close_connections(Rejoin *rejoin)
{
    rejoin_forget_server(rejoin);
    source_close(rejoin->source);
    rejoin->source = NULL;
}

/* Value of an option of the target's primary_conninfo: host, hostaddr or port. What the string
 * lacks its server's libpq takes from the server's environment. NULL: libpq's default. (Rule S20.)
 */
static const char *own_value(const Rejoin *rejoin, const char *conninfo, const char *keyword)
{
    const LastStart *last = &rejoin->control.last;
    const char *value = configuration_conninfo_value(conninfo, keyword, rejoin->arena);

    if (value != NULL)
        return value;
    if (strcmp(keyword, "port") == 0)
        return last_start_port(last);
    value = last_start_variable(last, strcmp(keyword, "host") == 0 ? "PGHOST=" : "PGHOSTADDR=");
    return value != NULL && value[0] != '\0' ? value : NULL;
}

/*
 * True if the target's primary_conninfo leads where -R would have it lead. If it names no host, it
 * leads to the default directory of sockets of the server's libpq, which another build has
 * elsewhere, so each directory of sockets counts as this one: streams_from_source proves the rest.
 * (Rule I55.)
 */
static bool is_configured_for_source(const Rejoin *rejoin)
{
    static const char *const destination[] = {"host", "hostaddr", "port", NULL};
    const char *conninfo =
        configuration_recovery_setting(&rejoin->target, rejoin->arena, false, "primary_conninfo");
    const char *wanted = rejoin->settings.conninfo;
    AUTO_BUFFER Buffer keyword = {0}, value = {0};

    /* libpq connects to hostaddr, whatever the host is. */
    if (conninfo == NULL ||
        (own_value(rejoin, conninfo, "hostaddr") != NULL &&
         configuration_conninfo_value(wanted, "hostaddr", rejoin->arena) == NULL))
        return false;
    while (conninfo_next(&wanted, &keyword, &value))
    {
        const char *name = buffer_string(&keyword);
        const char *own;

        if (!is_among(name, destination))
            continue;
        own = own_value(rejoin, conninfo, name);
        if (own == NULL && strcmp(name, "host") == 0 && buffer_string(&value)[0] == '/')
            continue;
        if (own == NULL || strcmp(own, buffer_string(&value)) != 0)
            return false;
    }
    return true;
}

/*
 * True if the WAL receiver's connection has host, hostaddr and port of primary_conninfo, or if the
 * role may not see that connection. The server may still run with a former string: a changed one
 * takes effect at a restart, from 13 on at a reload. (Rule I55.)
 */
static bool receives_as_configured(const Rejoin *rejoin, const TargetAnswer *target)
{
    const char *conninfo =
        configuration_recovery_setting(&rejoin->target, rejoin->arena, false, "primary_conninfo");
    const char *host, *hostaddr, *port;

    if (conninfo == NULL || target->port[0] == '\0')
        return true;
    host = own_value(rejoin, conninfo, "host");
    hostaddr = own_value(rejoin, conninfo, "hostaddr");
    port = own_value(rejoin, conninfo, "port");
    return (host == NULL || strcmp(target->host, host) == 0) &&
           strcmp(target->hostaddr, hostaddr != NULL ? hostaddr : "") == 0 &&
           (port == NULL || strcmp(target->port, port) == 0);
}

/* State of both servers at one moment, and since when it lasts. */
typedef struct Standing
{
    SourceStandby standby; /* what the source says */
    TargetAnswer target;   /* what the target says; where it does not answer, the positions are as
                              the source knows them */
    bool streams;          /* the source sends to the target */

    /* After the start. */
    Lsn end;      /* to be replayed */
    Lsn replayed; /* when it was seen last; LSN_INVALID: not known yet */
    double still; /* since when that stands still */
    double there; /* since when it has replayed up to the end; 0: it has not */
    Lsn shown;    /* position last shown as progress; LSN_INVALID: no progress to show */
} Standing;

TargetServer *rejoin_server(Rejoin *rejoin)
{
    if (rejoin->server == NULL)
        rejoin->server =
            target_server_open(rejoin->arena, rejoin->target.directory, rejoin->source);
    return rejoin->server;
}

bool rejoin_compare_clocks(const Rejoin *rejoin, Clocks *clocks, Error *error)
{
    if (!source_server_clock(rejoin->source, &clocks->source, error))
        return false;
    clocks->here = time(NULL);
    return true;
}

void rejoin_find_start_of_server(Rejoin *rejoin, const Clocks *clocks)
{
    PidFileServer server;
    int64_t start;

    rejoin->since = clocks->source;
    pid_file_read(rejoin->target.directory, &server);
    start = text_number(server.start_time);
    if (start > 0 && start <= clocks->here)
        rejoin->since -= (clocks->here - start + 1) * 1000000;
}

/*
 * True if the source sends to the target. The target itself is believed first: another standby may
 * have its name. The source must know the name, which each role may see: a target that receives may
 * do so from another host of primary_conninfo, also from itself. What the role may not see does not
 * count.
 */
static bool streams_from_source(const Rejoin *rejoin, const Standing *standing)
{
    const SourceStandby *standby = &standing->standby;
    const TargetAnswer *target = &standing->target;
    const char *directory = rejoin->target.directory;
    const bool started = rejoin->report.facts.started;
    const bool source_says_so =
        standby->found && (standby->state[0] == '\0' || strcmp(standby->state, "streaming") == 0);
    Timeline timeline = target->timeline;
    Control control;

    /* Before 9.6 the target knows only that it has received WAL, maybe long ago. */
    if (!started && !rejoin->target.control.version->sql.receiver_view)
        return false;
    if (target->state == TARGET_ANSWERS)
    {
        /* Timeline that the target receives; if the target does not report one, its files tell. */
        if (timeline == 0 && (!directory_control_read(directory, &control, NULL) ||
                              !directory_standby_timeline(directory, &control, &timeline, NULL)))
            timeline = 0;
        return source_says_so && target->in_recovery && target->receives &&
               timeline == rejoin->state.position.timeline &&
               (started || receives_as_configured(rejoin, target));
    }
    /* A name alone is enough only of one that has connected since the server was started, which
     * takes no connections, or none of ours. */
    return (target->state == TARGET_STARTING || started) && standby->found &&
           standby->state[0] != '\0' && source_says_so;
}

bool rejoin_find_circle(Rejoin *rejoin, Circle *circle, Error *error)
{
    const char *names[STREAMING_NAMES_MAX + 1];
    AUTO_ARENA Arena *arena = arena_create();
    SourceReceiver receiver;
    char name[128] = "";

    *circle = (Circle){.source_receives = true};
    if (!rejoin->state.position.in_recovery)
        return true;
    if (!source_server_receiver(rejoin->source, arena, &receiver, error))
        return false;
    circle->source_receives = receiver.streams;
    target_server_receiver_name(receiver.conninfo, name, sizeof(name));
    if (receiver.milliseconds < 0 || name[0] == '\0')
        return true;
    streaming_shown_names(name, arena, names);
    circle->closed = target_server_sends(rejoin_server(rejoin), names, receiver.milliseconds);
    return true;
}

bool error_circle(Error *error)
{
    error_set(error, ERROR_FAILED, "the source server receives its WAL from the target");
    error_detail(error, "Each of the two would wait for WAL of the other.");
    return error_hint(error, "Name the primary with --source-server.");
}

/* A target that answers says for itself whether it receives, since whenever. */
static bool find_standing(Rejoin *rejoin, Standing *standing, Error *error)
{
    TargetAnswer *target = &standing->target;
    const char *own_names[STREAMING_NAMES_MAX + 1];
    AUTO_ARENA Arena *arena = arena_create();
    int64_t since = rejoin->since;
    bool named;

    target_server_ask(rejoin_server(rejoin), target);
    /* The command line of its last start may name it, too. */
    named = target->state == TARGET_ANSWERS && target->name[0] != '\0';
    streaming_shown_names(target->name, arena, own_names);
    if (target->state == TARGET_ANSWERS && !rejoin->report.facts.started)
        since = 0;
    if (!source_server_find_standby(rejoin->source, named ? own_names : rejoin->names, since,
                                    &standing->standby, error))
        return false;
    standing->streams = streams_from_source(rejoin, standing);
    if (target->state != TARGET_ANSWERS)
    {
        target->replayed = standing->standby.replayed;
        target->received = standing->standby.flushed;
    }
    return true;
}

/* ---- Before the server is stopped ---- */

bool rejoin_find_whether_it_follows(Rejoin *rejoin, bool *follows, Error *error)
{
    Wait wait = wait_begin(rejoin->options->rejoin_timeout_seconds);
    double moved = wait.begin;
    Lsn before = LSN_INVALID;
    Clocks clocks;
    bool over;

    *follows = false;
    /* Before 9.6 no server tells (streams_from_source), so there is nothing to wait for. */
    if (rejoin->target.control.state != STATE_IN_ARCHIVE_RECOVERY ||
        !rejoin->target.control.version->sql.receiver_view || !is_configured_for_source(rejoin))
        return true;
    if (!rejoin_compare_clocks(rejoin, &clocks, error))
        return false;
    rejoin_find_start_of_server(rejoin, &clocks);
    streaming_names(&rejoin->target, rejoin->arena, rejoin->names);
    do
    {
        Standing standing;
        long pid;

        if (!find_standing(rejoin, &standing, error) ||
            !pid_file_find_server(rejoin->target.directory, NULL, &pid, error))
            return false;
        *follows = standing.streams;
        if (standing.target.state == TARGET_STARTING || standing.target.replayed != before)
            moved = clock_seconds();
        before = standing.target.replayed;
        over = *follows || pid == 0 || standing.target.state == TARGET_SILENT ||
               (standing.target.state == TARGET_ANSWERS && !standing.target.in_recovery) ||
               clock_seconds() - moved >= PATIENCE_SECONDS;
        if (!over && wait_reports(&wait, SILENT_SECONDS))
            log_info(
                "waiting for the target's server (PID %ld), a standby that does not stream yet",
                rejoin->pid);
    } while (!wait_until(over, &wait, error));
    return !wait.stopped;
}

/* ---- After the start ---- */

/* Note the replay position. With -P, show the WAL replayed since the first position, in kB. */
static void note_progress(Standing *standing)
{
    Lsn replayed = standing->target.replayed;

    if (replayed == LSN_INVALID)
        return;
    if (replayed != standing->replayed)
        standing->still = clock_seconds();
    if (standing->replayed == LSN_INVALID && replayed < standing->end)
    {
        standing->shown = replayed;
        progress_begin(PROGRESS_REPLAY, standing->end - replayed);
    }
    standing->replayed = replayed;
    if (standing->shown == LSN_INVALID)
        return;
    if (replayed > standing->end)
        replayed = standing->end;
    if (replayed > standing->shown)
    {
        progress_add(replayed - standing->shown);
        standing->shown = replayed;
    }
}

/*
 * True if replay can lack one record only, by the length of the next one in the received WAL: it
 * ends after `end`, so the source had written a part of it, up to a page's end; or it crosses a
 * page and ends exactly there. Servers of many releases (seen with 9.6 to 12) that have received
 * such a record in two parts wait for one byte more (WaitForWALToBecomeAvailable), which an idle
 * source does not send. If the record has padding, a byte of padding is enough. A record whose
 * length cannot be read may be followed by others.
 */
static bool lacks_last_record_only(const Rejoin *rejoin, Lsn replayed, Lsn end)
{
    const WalShape shape = control_wal_shape(&rejoin->target.control);
    const Lsn begin = wal_skip_header(&shape, replayed);
    const uint64_t segment = wal_segment_of(&shape, begin);
    uint8_t size[4]; /* xl_tot_len, access/xlogrecord.h (9.3, 9.4: access/xlog.h) */
    AUTO_BUFFER Buffer path = {0};
    char name[WAL_NAME_SIZE];
    AUTO_FD int fd = -1;
    size_t length;
    Lsn record_end;

    if (replayed == LSN_INVALID)
        return false;
    wal_segment_name(&shape, rejoin->state.position.timeline, segment, name);
    buffer_printf(&path, "%s/%s/%s", rejoin->target.directory, shape.version->wal_directory, name);
    if (!file_open_read(buffer_string(&path), &fd, NULL, NULL) ||
        !file_read_at(fd, buffer_string(&path), size, sizeof(size),
                      begin - wal_segment_start(&shape, segment), &length, NULL) ||
        length != sizeof(size))
        return false;
    record_end = wal_record_end(&shape, begin, load_u32(size));
    return record_end > end ||
           (record_end == end && begin / shape.block_size < (end - 1) / shape.block_size);
}

/*
 * True if the standby has replayed all WAL that the source had, except for a last record that its
 * server cannot read, or does not read yet. Replay stands still before such a record; the length of
 * the record tells it from replay that stands still for another reason (a delay, a pause, a query
 * in conflict). (Rule I60.)
 */
static bool has_replayed_all(const Rejoin *rejoin, const Standing *standing)
{
    const Lsn replayed = standing->target.replayed;

    if (!standing->streams)
        return false;
    if (replayed >= standing->end)
        return true;
    return standing->target.received >= standing->end &&
           clock_seconds() - standing->still >= STANDSTILL_SECONDS &&
           lacks_last_record_only(rejoin, replayed, standing->end);
}

static bool error_not_following(const Rejoin *rejoin, const Standing *standing, Error *error)
{
    static const char *const states[] = {[TARGET_SILENT] = "it cannot be asked",
                                         [TARGET_STARTING] = "it takes no connections yet",
                                         [TARGET_ANSWERS] = "it is a standby"};
    const Version *version = rejoin->target.control.version;
    const char *delay = next_start_apply_delay(&rejoin->target, rejoin->arena);
    const bool answers = standing->target.state == TARGET_ANSWERS;
    const char *receiving =
        standing->streams ? "receives the source's WAL"
        : answers && standing->target.receives
            ? "receives WAL, but not from the source: look at the hosts of primary_conninfo"
        : !answers && !standing->standby.all_visible
            ? "this role cannot see whether it receives the source's WAL"
            : "does not receive the source's WAL";

    error_set(error, ERROR_FAILED, "the target's server does not follow the source yet");
    error_detail(error, "Waited %d s (--rejoin-timeout): %s, has replayed up to %s of %s, and %s.",
                 rejoin->options->rejoin_timeout_seconds, states[standing->target.state],
                 standing->replayed == LSN_INVALID ? "(unknown)"
                                                   : LSN_TEXT(version, standing->replayed),
                 LSN_TEXT(version, standing->end), receiving);
    if (delay != NULL)
    {
        error_detail(error, "Replay waits for recovery_min_apply_delay = %s.", delay);
        /* Up to 11 the setting is in a file that the server reads once. */
        error_hint(error, "%s",
                   standby_uses_recovery_conf(version)
                       ? "If it is not to lag, remove recovery_min_apply_delay from recovery.conf "
                         "and restart the target's server."
                       : "If it is not to lag, remove recovery_min_apply_delay from the target's "
                         "configuration, and reload it: ALTER SYSTEM RESET "
                         "recovery_min_apply_delay; SELECT pg_catalog.pg_reload_conf();");
    }
    server_control_add_log(&rejoin->control, false, error);
    return false;
}

/* Fail if it is pointless to wait longer. */
static bool check_still_there(Rejoin *rejoin, const Standing *standing, Error *error)
{
    long pid;

    if (pid_file_is_empty(rejoin->target.directory))
        return true; /* the server is being started again */
    if (!pid_file_find_server(rejoin->target.directory, NULL, &pid, error))
        return false;
    if (pid == 0)
    {
        error_set(error, ERROR_FAILED, "the target's server has stopped");
        server_control_add_log(&rejoin->control, true, error);
        return false;
    }
    if (standing->target.state == TARGET_ANSWERS && !standing->target.in_recovery)
    {
        rejoin->report.promoted = true;
        error_set(error, ERROR_FAILED, "the target's server is not a standby");
        return error_detail(error, "It has ended recovery and is open for writing: its history "
                                   "diverges from the source's again.");
    }
    return true;
}

/*
 * Set *proven if the source, where it is a standby, gets its WAL from elsewhere; fail if it gets
 * it from the target. A standby of the target tries every few seconds to connect to it again, so a
 * source that receives nothing is waited for; then it may have its WAL from an archive.
 */
static bool prove_no_circle(Rejoin *rejoin, const Standing *standing, bool *proven, Error *error)
{
    Circle circle;

    *proven = false;
    if (!rejoin_find_circle(rejoin, &circle, error))
        return false;
    rejoin->report.in_circle = circle.closed;
    if (circle.closed)
        return error_circle(error);
    *proven = circle.source_receives || clock_seconds() - standing->there >= PATIENCE_SECONDS;
    if (*proven && !circle.source_receives)
        log_warning("the source server, a standby, receives no WAL from another server now");
    return true;
}

static void note_following(Rejoin *rejoin, const Standing *standing)
{
    RejoinResult *report = &rejoin->report;
    SourceStandby *standby = &report->standby;

    report->facts.followed = true;
    report->replayed = standing->target.replayed;
    *standby = standing->standby;
    if (!standby->found)
        snprintf(standby->name, sizeof(standby->name), "%s", rejoin->names[0]);
    log_info("the target follows the source: standby \"%s\" is streaming%s%s, replayed up to %s",
             standby->name, standby->sync_state[0] != '\0' ? ", " : "", standby->sync_state,
             LSN_TEXT(rejoin->target.control.version, report->replayed));
    if (standing->target.state != TARGET_STARTING)
        return;
    log_warning("the target's server takes no connections yet");
    log_detail("As a rule, a transaction with more than 64 subtransactions, which may be prepared, "
               "runs on the source since before the checkpoint where the target's recovery began: "
               "the server takes connections once that has ended.");
}

bool rejoin_wait_until_it_follows(Rejoin *rejoin, Error *error)
{
    const char *delay = next_start_apply_delay(&rejoin->target, rejoin->arena);
    Standing standing = {.end = rejoin->state.position.minimum};
    bool failed, caught_up = false;
    Wait wait;

    streaming_names(&rejoin->target, rejoin->arena, rejoin->names);
    rejoin->report.awaited = standing.end;
    log_info("waiting until the target has replayed the source's WAL up to %s",
             LSN_TEXT(rejoin->target.control.version, standing.end));
    if (delay != NULL)
        log_warning("the target's server replays WAL with a delay: recovery_min_apply_delay = %s",
                    delay);
    wait = wait_begin(rejoin->options->rejoin_timeout_seconds);
    standing.still = wait.begin;
    do
    {
        failed = !find_standing(rejoin, &standing, error) ||
                 !check_still_there(rejoin, &standing, error);
        if (failed)
            break;
        note_progress(&standing);
        if (!has_replayed_all(rejoin, &standing))
            standing.there = 0;
        else if (standing.there == 0)
            standing.there = clock_seconds();
        /* A standby that has replayed all of the source's WAL follows, even if transactions of the
         * source keep it from opening for queries. Most open at once, so the standby gets some
         * seconds for that. */
        caught_up = standing.there != 0 && (standing.target.state != TARGET_STARTING ||
                                            clock_seconds() - standing.there >= PATIENCE_SECONDS);
        failed = caught_up && !prove_no_circle(rejoin, &standing, &caught_up, error);
        if (failed)
            break;
    } while (!wait_until(caught_up, &wait, error));
    if (!failed && !caught_up && !wait.stopped)
        error_not_following(rejoin, &standing, error);
    if (standing.shown != LSN_INVALID)
        progress_end(caught_up); /* counts as done even if the last record is incomplete */
    if (caught_up)
        note_following(rejoin, &standing);
    return caught_up;
}
