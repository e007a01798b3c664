/*
 * The steps of --check: open the target, make all looks, and find the verdict: is a rewind of the
 * stopped target to this source needed, not needed, or not possible? The verdict comes from
 * look_at_pair, which uses the same code as a rewind. look_at_pair does not read what the target
 * wrote after the divergence, and fetches nothing to a disk. Files are listed only if a rewind has
 * something to do.
 */
#include "check/readiness.h"

#include "pair/direction.h"
#include "standby/next_start.h"
#include "standby/start_advice.h"
#include "standby/standby_files.h"
#include "standby/streaming.h"
#include "target/last_start.h"
#include "target/pid_file.h"
#include "target/server_control.h"
#include "target/target_server.h"

#include <string.h>

#define SOURCE_TIMEOUT_SECONDS 10 /* short, since monitoring programs wait for --check */

/* ---- The verdict ---- */

/* Facts about a rewind that a dry run finds out and --check does not. */
static const char dry_run_of_rewind[] =
    "which blocks and files change, what is lost, whether settings were switched in between, "
    "whether each file can be replaced, and the exact space.";

static void decide(Node *node, VerdictState state, const char *text)
{
    node->verdict.state = state;
    node->verdict.text = text;
    if (state == VERDICT_NEEDED)
        node->verdict.dry_run_adds = dry_run_of_rewind;
}

/* Add the finding source_wal of a rewind: does the WAL exist that the rewound target must replay?
 * error: the one that a rewind would fail with. */
static void add_replayed_wal(Node *node, const Error *error)
{
    static const char what_for[] = "from which on its WAL is replayed";
    const Look *look = &node->look;
    const char *name = SEGMENT_NAME(&look->session.source_wal->store->stream, look->start.segment);

    switch (look->start.replayed)
    {
    case REPLAYED_WAL_UNKNOWN:
        break;
    case REPLAYED_WAL_OF_SOURCE:
        node_ok(node, "source_wal", "The source has segment %s, %s.", name, what_for);
        break;
    case REPLAYED_WAL_OF_ARCHIVE:
        node_ok(node, "source_wal",
                "The source no longer has segment %s, %s: %s Whether the archive has all that "
                "follow only a dry run shows.",
                name, what_for,
                look->session.source_wal->store->archives[0] != NULL
                    ? "an archive has it."
                    : "the restore command gives it.");
        break;
    case REPLAYED_WAL_IN_SUMMARIES:
        node_ok(
            node, "source_wal",
            "The source no longer has segment %s; its WAL summaries tell what it changed since. "
            "A rewind starts at the source's last checkpoint.",
            name);
        break;
    case REPLAYED_WAL_NOT_NEEDED:
        node_add(node, "source_wal", ADVICE_WARNING,
                 "To compare less, name an archive of WAL: --wal-archive, --restore-command or -c.",
                 "%s: a rewind compares all blocks instead, and starts at the source's last "
                 "checkpoint.",
                 look->divergence.changes_unknown
                     ? "This node lacks some WAL since the last common checkpoint, and none proves "
                       "that it has the source's history before the divergence"
                     : arena_printf(node->arena,
                                    "The source no longer has segment %s, from which on its WAL "
                                    "would be replayed, and no archive gives it",
                                    name));
        break;
    case REPLAYED_WAL_MISSING:
        node_add_error(node, "source_wal", ADVICE_PROBLEM, error);
        break;
    }
}

/* Add the finding source_wal of a target that needs no rewind: does the source have the WAL that
 * follows the target's? True if it has, or if that is not known. */
static bool add_next_wal(Node *node)
{
    const Look *look = &node->look;
    Error error;
    bool has;

    if (!session_advise_on_next_wal(&look->session, &look->source, look->divergence.target_end,
                                    &node->findings, &has, &error))
    {
        node_add_error(node, "source_wal", ADVICE_UNKNOWN, &error);
        return true;
    }
    if (has)
        node_ok(node, "source_wal", "The WAL with which this node would continue exists.");
    return has;
}

/* Set the verdict after the divergence was found, or a limit for it. fails: a rewind would fail. */
static void judge_found(Node *node, bool fails, const char *end)
{
    const Look *look = &node->look;
    Arena *arena = node->arena;
    const char *remark = fails ? " A rewind would fail:"
                         : look->start.replayed == REPLAYED_WAL_NOT_NEEDED
                             ? " It is possible, by comparing all blocks: see source_wal."
                             : "";

    if (look->found && look->divergence.needed &&
        look->divergence.lsn >= look->divergence.target_end)
        decide(node, fails ? VERDICT_NOT_POSSIBLE : VERDICT_NEEDED,
               arena_printf(arena,
                            "This node's WAL ends at %s, in the source's history, but its "
                            "pg_control or backup_label would mislead a standby's recovery.%s",
                            end, remark));
    else if (!look->found || look->divergence.needed)
        decide(node, fails ? VERDICT_NOT_POSSIBLE : VERDICT_NEEDED,
               arena_printf(arena,
                            "The histories diverge at %s%s; this node's WAL continues to %s.%s",
                            LSN_TEXT(node->version, look->divergence.lsn),
                            look->found ? "" : " at the latest", end, remark));
    else if (!fails && look->divergence.rests_on_archive)
        decide(node, VERDICT_UNKNOWN,
               arena_printf(arena,
                            "This node's WAL ends at %s, in the history of the archive. Only a dry "
                            "run shows whether the source's WAL continues there.",
                            end));
    else
        decide(node, fails ? VERDICT_NOT_POSSIBLE : VERDICT_NOT_NEEDED,
               arena_printf(arena, "This node's WAL ends at %s, in the source's history.%s", end,
                            fails ? " pg_rewind would fail nevertheless:"
                            : add_next_wal(node)
                                ? " It can follow the source as it is."
                                : " But it cannot follow: the source no longer has the next WAL."));
}

/* Set the verdict for a node whose server is stopped. looked: look_at_pair has succeeded. */
static void judge_stopped(Node *node, bool looked, const Error *error)
{
    const Look *look = &node->look;

    if (!looked && error->kind != ERROR_REPORTED)
        advice_add_error(&node->verdict.reasons, (Advice){.id = NULL}, error);
    if (!looked && error_worst_kind(error) == ERROR_RETRY)
        decide(node, VERDICT_UNKNOWN, "The source could not be asked:");
    else if (!looked && session_lacks_scratch(&look->session, error))
        decide(node, VERDICT_UNKNOWN, "WAL that a rewind would fetch could not be examined:");
    else if (!node->options->compare &&
             (look->found || (!looked && look->divergence.lsn < look->divergence.target_end &&
                              look->divergence.lsn != LSN_INVALID)))
        judge_found(node, !looked, LSN_TEXT(node->version, look->divergence.target_end));
    else if (!looked)
        decide(node, VERDICT_NOT_POSSIBLE, "A rewind would fail, and leave this node as it is:");
    else if (!look->found)
        decide(
            node, divergence_is_certain(node->clusters) ? VERDICT_NEEDED : VERDICT_UNKNOWN,
            "Where the histories diverge, and whether all WAL is there, was not looked at: see the "
            "findings.");
    else
        decide(node, VERDICT_NEEDED,
               "With --compare all blocks are compared, whether the histories diverge or not.");
}

/* Add the findings of a running node for which a rewind would fail even after a stop. */
static void report_running(Node *node, bool looked, const Error *error)
{
    if (!looked && error_worst_kind(error) == ERROR_RETRY)
        node_add_error(node, "source", ADVICE_PROBLEM, error);
    else if (!looked && error->kind != ERROR_REPORTED && !node->lacks_wal &&
             !node->look.start.lacks_room && node->look.start.replayed != REPLAYED_WAL_MISSING &&
             node->clusters->target_history.count > 0)
        node_add_error(node, "divergence",
                       session_lacks_scratch(&node->look.session, error) ? ADVICE_UNKNOWN
                                                                         : ADVICE_PROBLEM,
                       error);
    else if (node->look.start.replayed == REPLAYED_WAL_UNKNOWN)
        node_leave_out(node, "source_wal",
                       node->options->compare ? "with --compare no old WAL is needed"
                       : node->clusters->target_history.count == 0
                           ? "this node's history is not known"
                           : "what is needed depends on the divergence");
}

/* Find out which slot of the source the node's own server uses, if that server runs. */
static void find_slot_user(Node *node, StandbySettings *settings)
{
    const Clusters *clusters = node->clusters;
    TargetServer *server;

    if (!node->look.session.running)
        return;
    server = target_server_open(node->arena, clusters->target.directory, clusters->source);
    streaming_find_slot_user(&clusters->target, server, node->arena, settings);
    target_server_close(server);
}

/* With --slot, look at this slot of the source server, and at slots that synchronized_standby_slots
 * names and that do not exist: logical decoding on the source waits for them. */
static void look_at_source_slots(Node *node)
{
    const char *name = node->options->slot, *awaited;
    const Clusters *clusters = node->clusters;
    StandbySettings settings = {0};
    Error error;

    if (name == NULL)
        return;
    find_slot_user(node, &settings);
    if (streaming_check_slot(node->options, clusters, name, &settings, 0, &error))
        node_ok(node, "source_slot",
                streaming_uses_slot(&settings, name)
                    ? "Replication slot \"%s\" of the source is the one that this node's "
                      "server uses."
                    : "Replication slot \"%s\" of the source can be used, or does not exist "
                      "yet.",
                name);
    else
        node_add_error(node, "source_slot",
                       error.kind == ERROR_RETRY ? ADVICE_UNKNOWN : ADVICE_PROBLEM, &error);
    if (!node->version->synchronizes_slots)
        return;
    if (!source_server_missing_slots(clusters->source, name, node->arena, &awaited, &error))
        node_add_error(node, "synchronized_slots", ADVICE_UNKNOWN, &error);
    else if (awaited[0] != '\0')
        advise_on_awaited_slots(awaited, &node->findings);
    else
        node_ok(node, "synchronized_slots",
                "The source's synchronized_standby_slots names no other slot that it does not "
                "have.");
}

/* Returns the pair with the main configuration file that the target's server was last started with.
 * The next start will use this file too, even if a rewind does not find it without --config-file.
 */
static Clusters clusters_at_next_start(const Node *node)
{
    Clusters clusters = *node->clusters;

    clusters.target.config_file = node->configuration.config_file;
    return clusters;
}

/* With -R, examine the configuration that the standby will have. Whether it will be the source's is
 * known only if the target is stopped or has diverged. The finding source_slot covers the slot of
 * --slot. */
static void look_at_standby(Node *node)
{
    const Look *look = &node->look;
    AdviceList advice = {.arena = node->arena};
    Options options = *node->options;
    StandbySettings settings = {0};
    bool in_order = true;
    Clusters clusters;
    Error error;

    if (!options.write_recovery_conf || (look->session.running && !look->divergence.needed) ||
        node->clusters->source_history.count == 0)
        return;
    options.create_slot = options.slot != NULL;
    clusters = clusters_at_next_start(node);
    /* The slot of --slot has a finding of its own. */
    if (options.slot == NULL)
        find_slot_user(node, &settings);
    if (!next_start_check(&options, &clusters,
                          (ExpectedStart){.rewound = look->divergence.needed,
                                          .source = &look->source,
                                          .divergence = look->divergence.lsn,
                                          .scratch = look->session.scratch,
                                          .settings = &settings},
                          &advice, &error))
    {
        node_add_error(node, "standby", ADVICE_UNKNOWN, &error);
        return;
    }
    /* Problems become warnings: they stop --rejoin, but -R alone only prints them. */
    for (size_t i = 0; i < advice.count; i++)
    {
        in_order = in_order && advice.items[i].severity != ADVICE_PROBLEM;
        advice.items[i].severity = ADVICE_WARNING;
    }
    advice_add_all(&node->findings, &advice);
    if (in_order && !advice_has(&node->findings, "standby"))
        node_ok(node, "standby",
                "The standby's configuration has no recovery target, and no slot that the source "
                "lacks.");
}

/* Warn if source and target may be swapped, and of a primary that --rejoin would not stop. */
static void look_at_direction(Node *node)
{
    const Clusters *clusters = node->clusters;
    const bool may_stop = node->look.session.running && target_was_primary(&clusters->target);
    Error error;

    if (!direction_is_doubtful(clusters))
        return;
    error_direction(clusters, &error);
    if (may_stop)
        error_hint(&error,
                   "--rejoin does not stop this primary unless --demote=%u names its "
                   "timeline.",
                   clusters->target.timeline);
    node_add_error(node, "direction", ADVICE_WARNING, &error);
}

/* Find out whether clients or standbys use a running primary that has diverged from the source. A
 * primary that has not diverged is not asked: it normally has clients. */
static void look_at_use(Node *node)
{
    const Clusters *clusters = node->clusters;
    TargetServer *server;
    TargetUse use;

    if (!node->look.session.running || !node->look.divergence.needed ||
        !target_was_primary(&clusters->target))
        return;
    server = target_server_open(node->arena, clusters->target.directory, clusters->source);
    target_server_ask_use(server, 0, node->arena, &use);
    target_server_close(server);
    if (!use.known)
        node_add(node, "in_use", ADVICE_UNKNOWN, NULL,
                 "Whether clients or standbys use this primary is not known: its server lets in "
                 "neither this user nor the source's role.");
    else if (!target_is_used(&use))
        node_ok(node, "in_use", "No client and no standby uses this primary.");
    else
        node_add(node, "in_use", ADVICE_WARNING,
                 arena_printf(node->arena,
                              "If it still serves, do not rewind it. If it does not, disconnect "
                              "them: --rejoin does not stop this primary otherwise, unless "
                              "--demote=%u names its timeline.",
                              clusters->target.timeline),
                 "This primary has %s now.", target_use_text(&use, node->arena));
}

/*
 * Look at max_connections and the other limits in the configuration that the server will have. A
 * running primary is judged as if it were rewound, which it would be after a failover. A directory
 * as source is looked at too, since the rewound target may become a standby.
 */
static void look_at_limits(Node *node)
{
    const Look *look = &node->look;
    const Clusters clusters = clusters_at_next_start(node);
    const bool rewound =
        look->divergence.needed || (look->session.running && !target_was_standby(&clusters.target));
    const bool written =
        node->options->write_recovery_conf && !standby_uses_recovery_conf(clusters.shape.version);
    const StartSettings start = {.version = clusters.shape.version,
                                 .of_source = rewound && !node->options->keep->configuration};
    AdviceList advice = {.arena = node->arena}, unknown = advice;
    AUTO_BUFFER Buffer text = {0};
    LowLimits low;
    Error error;

    if (clusters.source_history.count == 0)
        return;
    if (!next_start_limits(node->options, &clusters,
                           (ExpectedStart){.rewound = rewound, .source = &look->source},
                           node->arena, &low, &error))
    {
        node_add_error(node, "standby_limits", ADVICE_UNKNOWN, &error);
        return;
    }
    standby_limits_append(&low, &text);
    start_advise_on_limits(&start, &low, &advice);
    start_advise_on_unknown_limits(&low, &unknown);
    if (unknown.count > 0)
        node_add(node, "standby_limits", ADVICE_UNKNOWN, unknown.items[0].remedy, "%s",
                 unknown.items[0].text);
    if (low.count == 0 && unknown.count == 0)
        node_ok(node, "standby_limits",
                "The configuration that the server will have allows as many connections, "
                "processes, prepared transactions and locks as the source's.");
    else if (low.count > 0 && written)
        node_ok(node, "standby_limits",
                "Some limits are lower than on the source, so -R raises them: %s.",
                buffer_string(&text));
    else if (low.count > 0)
        node_add(node, "standby_limits", ADVICE_WARNING, advice.items[0].remedy, "%s",
                 advice.items[0].text);
}

/* With -R, make the settings that it will write, and try to connect with them; otherwise
 * *settings is empty. A failure is added to the problems. (Rule S42.) */
static void look_at_settings_of_standby(Node *node, StandbySettings *settings)
{
    Session *session = &node->look.session;
    Options options = *node->options;
    Error error;

    *settings = (StandbySettings){0};
    if (!options.write_recovery_conf || options.source_server == NULL)
        return;
    options.slot = NULL; /* other findings report the slot */
    if (session->may_be_looked_at &&
        !standby_settings_make(&options, node->clusters, node->arena, settings, &error))
    {
        problems_add_finding(&session->problems, "source_replication", &error);
        return;
    }
    advice_add_all(&node->findings, &settings->warnings);
    node_look_at_streaming(node, settings->conninfo != NULL ? settings : NULL);
}

/* List and try the source's files. A failure is added to the problems; *error is then
 * ERROR_REPORTED. */
static bool look_at_source_files(Node *node, const StandbySettings *settings, Error *error)
{
    Look *look = &node->look;

    if (look_at_files(look, settings, error))
    {
        if (look->rewinds)
            node_ok(node, "source_files",
                    "The source may read all files that a rewind fetches. Files of relations were "
                    "not tried.");
        return true;
    }
    if (error->kind == ERROR_REPORTED)
        return false;
    problems_add_finding(&look->session.problems, "source_files", error);
    return problems_check(&look->session.problems, error);
}

/* Look at the pair, and set the verdict or add findings. */
static void judge_with_source(Node *node)
{
    Look *look = &node->look;
    Error error = {0};
    bool looked = look_at_pair(look, &error);
    const Source *source = node->clusters->source;
    const Lsn common = look->divergence.common_checkpoint.checkpoint.redo;

    if (looked && error.kind != ERROR_NONE)
        node_add(node, look->found ? "source_wal" : "divergence", ADVICE_UNKNOWN, error.hint,
                 "WAL that a rewind would fetch first was not examined, since no directory can "
                 "hold it: %s. A rewind fetches to the target's own disk.",
                 error.message);
    look_at_settings_of_standby(node, &node->standby_settings);
    looked = looked && problems_check(&look->session.problems, &error) &&
             look_at_source_files(node, &node->standby_settings, &error);
    if (source != NULL)
        node->source = arena_strdup(node->arena, source->description);
    if (common != LSN_INVALID)
        node->needed_from = common;
    else if (look->divergence.lsn != LSN_INVALID && look->divergence.lsn < node->needed_from)
        node->needed_from = look->divergence.lsn;
    node->lacks_wal = !looked && common == LSN_INVALID && error.remedy == REMEDY_WAL;
    if (look->session.may_be_looked_at)
    {
        node_ok(node, "source_system",
                "Source and target are one cluster (system identifier %llu).",
                (unsigned long long) node->clusters->target.control.system_identifier);
        look_at_direction(node);
        look_at_use(node);
        look_at_source_slots(node);
        look_at_standby(node);
        look_at_limits(node);
    }
    if (look->start.replayed != REPLAYED_WAL_UNKNOWN)
        add_replayed_wal(node, &error);
    if (look->start.lacks_room)
        node_add_error(node, "space", ADVICE_PROBLEM, &error);
    if (node->look.session.running)
        report_running(node, looked, &error);
    else
        judge_stopped(node, looked, &error);
}

/* If a source can be asked, look at the pair: for the verdict on a stopped target, or for reasons
 * why a rewind of a running one would fail. */
static void judge(Node *node)
{
    const Options *options = node->options;
    const char *unasked =
        options->source_server == NULL && options->source_directory == NULL ? "no source is named"
        : options->source_server != NULL && !node->role_is_enough ? "the source could not be asked"
                                                                  : NULL;

    node->needed_from = node->clusters->target.control.checkpoint.redo;
    if (node->look.session.running)
        node_leave_out(node, "verdict", "the target's server is running");
    else if (options->source_server == NULL && options->source_directory == NULL)
        node_leave_out(node, "verdict", unasked);
    else if (unasked != NULL)
        decide(node, VERDICT_UNKNOWN, "The source could not be asked: see the findings.");
    if (unasked == NULL)
    {
        judge_with_source(node);
        return;
    }
    node_leave_out(node, "source_system", unasked);
    node_leave_out(node, "source_wal", unasked);
}

/* ---- All looks ---- */

/* Read the configuration that the server was last started with. A rewind does not look at the last
 * start: see Target.config_file. */
static void read_configuration(Node *node)
{
    const Target *target = &node->clusters->target;
    const char *file = node->options->config_file;
    Configuration *configuration = &node->configuration;
    LastStart start;
    long pid;

    if (!pid_file_find_server(target->directory, NULL, &pid, NULL))
        pid = 0;
    last_start_find(target->directory, node->version, pid, node->arena, &start);
    if (start.others != NULL)
        start.arguments = start.others; /* perhaps of another directory: good enough for --check */
    if (file == NULL)
        file = last_start_config_file(&start, node->arena);
    *configuration = (Configuration){target->directory, file, target->options, node->arena,
                                     target->main_is_doubtful};
    configuration->config_file = configuration_find_file(configuration, node->version);
    node->reader = configuration_reader(configuration);
    node->settings = configuration_read(configuration, &node->reader);
}

/* Returns false, with a finding, if the target cannot be looked at. */
static bool look_at_target(Node *node)
{
    const Target *target = &node->clusters->target;
    const Control *control = &target->control;
    long rewind_pid;
    Error error;

    if (!session_open(&node->look.session, &error) ||
        (!node->look.session.pending && !session_identify_target(&node->look.session, &error)))
    {
        node_add_error(node, "target", ADVICE_PROBLEM, &error);
        return false;
    }
    node->target = target->directory;
    if (node->look.session.pending)
    {
        node_add(
            node, "target", ADVICE_PROBLEM,
            "Run the same pg_rewind command again: it no longer needs the source.",
            "A rewind of this node is under way, or was interrupted and must be finished first.");
        return false;
    }
    node->version = control->version;
    node_ok(node, "target", "Its state is \"%s\", its timeline %u.",
            control_state_name(control->state), target->timeline);
    node->options = node->look.session.options;
    if (target->is_unsynced)
        node_add(node, "target", ADVICE_WARNING,
                 "Find out why the disk failed. The next rewind compares all blocks.",
                 "A file of this node may be lost: an earlier pg_rewind could not write it to the "
                 "disk.");
    rewind_pid = pid_file_find_rewind(target->directory);
    if (rewind_pid != 0)
        node_add(node, "target", ADVICE_WARNING, "Wait until it ends, then look again.",
                 "A pg_rewind (process %ld) is working on this node now: what this look finds will "
                 "have changed when it ends.",
                 rewind_pid);
    if (!encryption_check(NULL, target->directory, &error))
        node_add_error(node, "encryption", ADVICE_PROBLEM, &error);
    return true;
}

/* Open the target's WAL, unless the look at the pair has opened it, and a store of archives only.
 */
static void open_wal(Node *node)
{
    Look *look = &node->look;
    Clusters *clusters = &look->session.clusters;
    const char *command = look->session.restore_command;
    const WalStore elsewhere = wal_store_template(WAL_STORE_OF_ARCHIVE, node->options, clusters,
                                                  command, look->session.scratch, node->arena);
    Error error;

    if (look->session.target_wal == NULL &&
        !target_wal_open(node->options, clusters, command, look->session.scratch, node->arena,
                         &look->session.target_wal, &error))
        node_add_error(node, "archive", ADVICE_PROBLEM, &error);
    if (clusters->target_history.count == 0)
        (void) !target_history_read(node->options, look->session.target_wal, node->arena, clusters,
                                    NULL);
    node->archive = wal_store_create(&elsewhere);
}

void node_refuse(const Options *options, const Error *const *errors, size_t count, Node *node)
{
    Arena *arena = arena_create();

    *node = (Node){.arena = arena,
                   .findings.arena = arena,
                   .not_looked_at.arena = arena,
                   .refused = true,
                   .options = options,
                   .clusters = &node->look.session.clusters,
                   .target = options->target,
                   .source = options->source_server != NULL ? "server" : options->source_directory};
    for (size_t i = 0; i < count; i++)
        node_add_error(node, "command_line", ADVICE_PROBLEM, errors[i]);
}

void node_check(const Options *options, Node *node)
{
    Arena *arena = arena_create();
    Options *bounded = arena_allocate(arena, sizeof(*bounded));
    const AdviceList *reasons = &node->verdict.reasons;

    *bounded = *options;
    bounded->dry_run = true;
    bounded->wait_timeout_seconds = 0;
    bounded->restore_limit_seconds = UNASKED_COMMAND_SECONDS;
    if (bounded->retry_timeout_seconds > SOURCE_TIMEOUT_SECONDS ||
        bounded->retry_timeout_seconds == 0)
        bounded->retry_timeout_seconds = SOURCE_TIMEOUT_SECONDS;
    *node = (Node){.arena = arena,
                   .findings.arena = arena,
                   .not_looked_at.arena = arena,
                   .verdict.reasons.arena = arena,
                   .options = bounded,
                   .look.session = {.options = bounded,
                                    .arena = arena,
                                    .problems.list = &node->verdict.reasons},
                   .clusters = &node->look.session.clusters,
                   .target = options->target,
                   .source = options->source_server != NULL ? "server" : options->source_directory};
    log_set_amount(LOG_ERRORS_ONLY);
    if (look_at_target(node))
    {
        read_configuration(node);
        node_look_at_source(node);
        judge(node);
        /* Problems of the session are reasons of the verdict; those with an id are findings too. */
        for (size_t i = 0; i < reasons->count; i++)
            if (reasons->items[i].id != NULL)
                advice_add_all(&node->findings,
                               &(AdviceList){.items = &reasons->items[i], .count = 1});
        open_wal(node);
        node_look_at_settings(node);
        node_look_at_wal(node);
        node_look_at_files(node);
        node_look_at_losses(node);
        wal_store_destroy(node->archive);
    }
    look_close(&node->look);
    log_set_amount(LOG_ALL);
}
