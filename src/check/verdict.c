/*
 * Is a rewind of a stopped target to this source needed, not needed, or not possible? Answered from
 * the histories, both ends of WAL, and the WAL between the divergence and the checkpoint before it.
 * What the target wrote after the divergence is not read, no file is listed, and nothing fetched.
 */
#include "check/node.h"

#include "apply/apply.h"
#include "base/log.h"
#include "source/encryption.h"
#include "pair/prerequisites.h"
#include "divergence/divergence.h"
#include "divergence/wal_comparison.h"
#include "recovery_start/start.h"
#include "standby/streaming.h"
#include "wal/scan.h"
#include "wal_store/histories.h"
#include "wal_store/source_wal.h"
#include "wal_store/target_wal.h"

#include <stdarg.h>

#define NO_SCRATCH "/proc/self/none" /* is not there, and cannot be made */
#define READ_BACK_BYTES_MAX                                                                        \
    (1024ull * 1024 * 1024) /* in search of a checkpoint: about a second                           \
                             */

static const char dry_run_of_rewind[] =
    "whether the WAL before the divergence is the same byte by byte (it may be earlier), which "
    "blocks "
    "and files change, what is lost, whether settings were switched in between, whether each file "
    "can be replaced, and the exact space.";
static const char dry_run_of_nothing[] =
    "whether all WAL since the last checkpoint is the same byte by byte.";

/* What is known of the pair. */
typedef struct Pair
{
    Node *node;
    SourceState state;
    Problems problems;
    SourceWal *source_wal;
    Lsn target_end;
    Lsn divergence;     /* the latest that is possible */
    bool same_timeline; /* so far */
    bool compared;      /* bytes before the target's end are the source's */
    size_t reasons;
} Pair;

static void PRINTF_LIKE(3, 4) decide(Node *node, VerdictState state, const char *format, ...)
{
    Verdict *verdict = &node->readiness->verdict;
    Buffer text = {0};
    va_list arguments;

    va_start(arguments, format);
    buffer_vprintf(&text, format, arguments);
    va_end(arguments);
    verdict->state = state;
    verdict->text = arena_strdup(node->arena, buffer_string(&text));
    if (state == VERDICT_NEEDED)
        verdict->dry_run_adds = dry_run_of_rewind;
    else if (state == VERDICT_NOT_NEEDED)
        verdict->dry_run_adds = dry_run_of_nothing;
    else
        verdict->dry_run_adds = NULL;
    buffer_free(&text);
}

static void give_up(Node *node, const Error *error)
{
    readiness_add_reason(node->readiness, error);
    if (error->kind == ERROR_RETRY)
        decide(node, VERDICT_UNKNOWN, "The source could not be asked:");
    else
        decide(node, VERDICT_NOT_POSSIBLE, "It would fail, and leave this node as it is:");
}

/* Problems' take. */
static void take_problem(void *context, const Error *problem)
{
    Pair *pair = context;

    readiness_add_reason(pair->node->readiness, problem);
    pair->reasons++;
}

/* ---- The last checkpoint before the divergence ---- */

typedef struct CheckpointSearch
{
    const Version *version;
    Lsn before, not_after;
    Lsn redo; /* of the last one; LSN_INVALID: none yet */
} CheckpointSearch;

/* A WalVisitor. */
static bool note_earlier_checkpoint(void *context, const WalRecord *record, Error *error)
{
    CheckpointSearch *search = context;
    WalEvent event;

    (void) error;
    if (record->rmgr == RM_XLOG && record->lsn < search->before &&
        record->lsn <= search->not_after &&
        walrecord_event(search->version, record, &event, NULL) &&
        event.kind == WAL_EVENT_CHECKPOINT)
        search->redo = event.checkpoint.redo;
    return true;
}

/* Back from the divergence, segment by segment. needed_from is its redo, or where WAL is missing.
 */
static bool find_common_redo(Pair *pair, Error *error)
{
    Node *node = pair->node;
    const WalShape *shape = &node->clusters.shape;
    const Control *control = &node->clusters.target.control;
    const WalStream stream = node_wal_stream(node);
    const uint64_t segments_max = READ_BACK_BYTES_MAX / shape->segment_size;
    CheckpointSearch search = {.version = shape->version,
                               .before = pair->divergence,
                               .not_after = control->checkpoint_lsn};
    uint64_t segment = wal_segment_before(shape, pair->divergence);

    for (uint64_t count = 0; count < segments_max && segment > 0; count++, segment--)
    {
        WalSegmentFacts facts;

        node->needed_from = wal_segment_start(shape, segment);
        if (!node_has_segment(node, segment))
            return true;
        if (!wal_read_segment(&stream, segment, LSN_INVALID, note_earlier_checkpoint, &search,
                              &facts, error))
            return false;
        if (search.redo == LSN_INVALID)
            continue;
        node->needed_from = search.redo;
        return true;
    }
    return true;
}

/* ---- The source's WAL ---- */

/* The command that a rewind runs to get WAL that the source no longer has: an option's, or else the
 * target's own, or NULL. */
static const char *find_command_for_source_wal(const Node *node)
{
    char *command;
    Error ignored;

    if (node->restore_command != NULL || node->options->restore_target_wal)
        return node->restore_command;
    return target_restore_command(node->arena, &node->clusters.target, node->options->bindir,
                                  node->config_file_of_rewind, &command, &ignored)
               ? command
               : NULL;
}

/* True, with a finding, if the source itself has this segment or cannot be asked. *name is set. */
static bool source_has_segment(Pair *pair, uint64_t segment, const char *what_for,
                               char name[WAL_NAME_SIZE])
{
    Node *node = pair->node;
    bool has = false;
    Error error;

    source_wal_segment_name(pair->source_wal, segment, name);
    if (!source_wal_source_has(pair->source_wal, segment, &has, &error))
    {
        readiness_add_error(node->readiness, "source_wal", FINDING_UNKNOWN, &error);
        return true;
    }
    if (has)
        readiness_add(node->readiness, "source_wal", FINDING_OK, NULL,
                      "The source has segment %s, %s.", name, what_for);
    return has;
}

/* True, with a finding, if the archive has a segment that the source no longer has. */
static bool archive_has_segment(Pair *pair, uint64_t segment, const char *what_for)
{
    Node *node = pair->node;
    char name[WAL_NAME_SIZE];
    const char *how;

    source_wal_segment_name(pair->source_wal, segment, name);
    if (node_ask_archive(node, find_command_for_source_wal(node), segment, name, &how) !=
        ARCHIVE_HAS)
        return false;
    readiness_add(node->readiness, "source_wal", FINDING_OK, NULL,
                  "The source no longer has segment %s, %s: %s Whether the archive has all that "
                  "follow only a dry run shows.",
                  name, what_for, how);
    return true;
}

/* As a rewind does where the WAL from the early start on is nowhere: it starts late, and compares
 * all blocks. */
static bool may_start_without_wal(const Pair *pair, Lsn earliest)
{
    Start late;

    return !pair->node->options->early_start &&
           start_late(&pair->state.control, pair->divergence, earliest, &late);
}

/* The WAL that is replayed and that is not this node's own: the source, or an archive, must have
 * it. */
static void look_at_replayed_wal(Pair *pair)
{
    static const char what_for[] = "from which on its WAL is replayed";
    Node *node = pair->node;
    const ScanCheckpoint common = {.checkpoint = {.redo = node->needed_from}};
    const Lsn earliest = start_early(&common, &pair->state.control).redo;
    char name[WAL_NAME_SIZE];
    uint64_t segment;
    Error error;

    source_wal_set_common_end(pair->source_wal, pair->divergence);
    segment = source_wal_first_not_kept(pair->source_wal, earliest);
    if (source_has_segment(pair, segment, what_for, name) ||
        archive_has_segment(pair, segment, what_for))
        return;
    if (may_start_without_wal(pair, earliest))
    {
        node->compares = true;
        readiness_add(node->readiness, "source_wal", FINDING_WARNING,
                      "To compare less, name an archive that has it: --wal-archive, "
                      "--restore-command or -c.",
                      "The source no longer has segment %s, from which on its WAL would be "
                      "replayed, and no archive gives it: a rewind compares all blocks instead, "
                      "and starts at the source's last checkpoint.",
                      name);
        return;
    }
    error_source_wal_missing(node->clusters.shape.version, name, &error);
    take_problem(pair, &error);
    readiness_add(node->readiness, "source_wal", FINDING_PROBLEM,
                  "Name an archive that has it: --wal-archive, --restore-command or -c; or run "
                  "CHECKPOINT on the source (on its primary, if it is a standby), or rewind with "
                  "--compare.",
                  "The source no longer has segment %s, %s, no archive gives it, and %s.", name,
                  what_for,
                  node->options->early_start
                      ? "--early-start allows no other start"
                      : "the source has no checkpoint since the divergence to start from instead");
}

/* True if the source has the segment in which the WAL that this node lacks begins: it gives it. */
static bool source_has_from(const Pair *pair, Lsn lsn)
{
    bool has;

    return source_wal_source_has(pair->source_wal, wal_segment_of(&pair->node->clusters.shape, lsn),
                                 &has, NULL) &&
           has;
}

/* Look for the WAL of both sides that a rewind to the divergence needs. */
static bool look_at_wal_of_rewind(Pair *pair, Error *error)
{
    Node *node = pair->node;

    if (!find_common_redo(pair, error))
        return false;
    node->common_end = source_has_from(pair, node->needed_from) ? pair->divergence : LSN_INVALID;
    look_at_replayed_wal(pair);
    return true;
}

/* ---- The verdict ---- */

/* A WalSides' is_no_content: not looked for. */
static bool is_content(void *context, Lsn lsn, bool *no_content, Error *error)
{
    (void) context;
    (void) lsn;
    (void) error;
    *no_content = false;
    return true;
}

/* One timeline number may be two histories: the target's last segment must be the source's. The
 * divergence moves where it is not. */
static bool compare_last_segment(Pair *pair, Error *error)
{
    const Clusters *clusters = &pair->node->clusters;
    const WalStream own = node_wal_stream(pair->node);
    const WalSides sides = {.target = &own,
                            .source = clusters->source,
                            .source_history = &clusters->source_history,
                            .workers = 1,
                            .is_no_content = is_content};
    const Lsn from =
        wal_segment_start(&clusters->shape, wal_segment_before(&clusters->shape, pair->target_end));
    WalComparison comparison;

    if (!wal_compare(&sides, from, pair->target_end, &comparison, error))
        return false;
    pair->compared = comparison.equal_from < comparison.lsn;
    if (comparison.differs)
        pair->divergence = comparison.lsn;
    return true;
}

static bool judge_needed(Pair *pair, Error *error)
{
    Node *node = pair->node;
    const Version *version = node->clusters.shape.version;
    char divergence[LSN_TEXT_SIZE], end[LSN_TEXT_SIZE];

    prerequisites_check_hints(&node->clusters, &pair->problems);
    if (!look_at_wal_of_rewind(pair, error))
        return false;
    decide(node, pair->reasons > 0 ? VERDICT_NOT_POSSIBLE : VERDICT_NEEDED,
           "The histories diverge at %s at the latest; this node's WAL goes on to %s.%s",
           lsn_text(version, pair->divergence, divergence),
           lsn_text(version, pair->target_end, end),
           pair->reasons > 0 ? " A rewind would fail:" : "");
    return true;
}

/* True if the source has the WAL with which this node would go on, or there is none. */
static bool may_follow(Pair *pair)
{
    static const char what_for[] = "with which this node would go on";
    char name[WAL_NAME_SIZE];

    if (pair->target_end >= source_state_wal_end(&pair->state, pair->target_end) ||
        source_has_segment(pair, wal_segment_of(&pair->node->clusters.shape, pair->target_end),
                           what_for, name))
        return true;
    readiness_add(pair->node->readiness, "source_wal", FINDING_WARNING,
                  "Set restore_command to an archive that has it, or use pg_rewind --compare: it "
                  "copies what differs.",
                  "The source no longer has segment %s, %s: it must be in an archive.", name,
                  what_for);
    return false;
}

/* If the source no longer has this node's last segment, only an archive could prove that its
 * history is the source's. */
static void look_for_proof(Pair *pair)
{
    Node *node = pair->node;
    const WalShape *shape = &node->clusters.shape;
    const uint64_t segment = wal_segment_before(shape, pair->target_end);
    char name[WAL_NAME_SIZE];
    const char *how;
    Error error;

    source_wal_segment_name(pair->source_wal, segment, name);
    if (pair->compared || node_ask_archive(node, find_command_for_source_wal(node), segment, name,
                                           &how) == ARCHIVE_HAS)
        return;
    error_history_not_proven(shape->version, pair->target_end, false, &error);
    take_problem(pair, &error);
}

static void judge_unneeded(Pair *pair)
{
    Node *node = pair->node;
    char end[LSN_TEXT_SIZE];
    bool follows;

    if (target_crashed_as_primary(&node->clusters.target))
        prerequisites_check_hints(&node->clusters, &pair->problems);
    prerequisites_check_level(&node->clusters, &pair->problems);
    follows = may_follow(pair);
    look_for_proof(pair);
    decide(node,
           pair->reasons > 0 ? VERDICT_NOT_POSSIBLE
           : pair->compared  ? VERDICT_NOT_NEEDED
                             : VERDICT_UNKNOWN,
           "This node's WAL ends at %s, in the source's history.%s",
           lsn_text(node->clusters.shape.version, pair->target_end, end),
           pair->reasons > 0 ? " It would fail all the same:"
           : !pair->compared ? " But the source no longer has the WAL before that, so whether it "
                               "is the same is not known."
           : follows         ? " It can follow the source as it is."
                             : " But it cannot follow: the source no longer has what comes next.");
}

/* The segment with the last checkpoint is not in pg_wal, so no WAL of this node is read. */
static void judge_without_wal(Pair *pair)
{
    Node *node = pair->node;
    const bool certain = divergence_is_certain(&node->clusters);

    if (certain)
        prerequisites_check_hints(&node->clusters, &pair->problems);
    decide(node,
           !certain            ? VERDICT_UNKNOWN
           : pair->reasons > 0 ? VERDICT_NOT_POSSIBLE
                               : VERDICT_NEEDED,
           "The segment with this node's last checkpoint is not in %s.%s",
           node->clusters.target.control.version->wal_directory,
           certain ? " The history files alone show that it has diverged."
                   : " Where its WAL ends is not known.");
}

static bool find_end(Pair *pair, Lsn latest, Error *error)
{
    const WalStream stream = node_wal_stream(pair->node);
    WalScan *scan = NULL;
    const bool result = divergence_find_target_end(&pair->node->clusters, &stream, 1, latest, &scan,
                                                   &pair->target_end, error);

    scan_destroy(scan);
    return result;
}

static bool judge_by_wal(Pair *pair, Error *error)
{
    const Clusters *clusters = &pair->node->clusters;
    const SourcePosition *position = &pair->state.position;
    const Target *target = &clusters->target;
    size_t common;
    Lsn latest;

    if (!history_common(&clusters->source_history, &clusters->target_history, &common, &latest))
    {
        error_set(error, ERROR_FAILED,
                  "could not find common ancestor of the source and "
                  "target cluster's timelines"); /* contract */
        return error_hint_compare(error);
    }
    if (!node_has_segment(pair->node,
                          wal_segment_of(&clusters->shape, target->control.checkpoint_lsn)))
    {
        judge_without_wal(pair);
        return true;
    }
    if (!find_end(pair, latest, error))
        return false;
    pair->same_timeline = latest == LSN_INVALID;
    pair->divergence = pair->same_timeline || pair->target_end < latest ? pair->target_end : latest;
    if (position->end < pair->divergence)
    {
        pair->divergence = position->end;
        if (pair->same_timeline && position->in_recovery)
        {
            decide(pair->node, VERDICT_UNKNOWN,
                   "The source is a standby that has not received all WAL that this node has.");
            return true;
        }
    }
    if (pair->target_end <= pair->divergence && !compare_last_segment(pair, error))
        return false;
    if (pair->target_end > pair->divergence)
        return judge_needed(pair, error);
    judge_unneeded(pair);
    return true;
}

/* Both histories, and where the source stands. */
static bool find_histories(Pair *pair, Error *error)
{
    Node *node = pair->node;
    Clusters *clusters = &node->clusters;
    SourceState *state = &pair->state;
    Source *source = clusters->source;
    Options options = *node->options;

    options.wal_archive = NULL; /* what comes from there would be written to a directory */
    if (!source->operations->position(source, &state->control, &state->position, error))
        return false;
    pair->source_wal =
        source_wal_create(&options, clusters, &state->control, NULL, NO_SCRATCH, node->arena);
    return histories_read(node->options, node->own_wal.store, state->position.timeline, node->arena,
                          clusters, error) &&
           (source->is_server || node->readiness->running ||
            source_wal_find_end(pair->source_wal, state, error));
}

/* Of a stopped target. */
static void judge_stopped(Pair *pair)
{
    Node *node = pair->node;
    const Options *options = node->options;
    Error error;

    pair->problems = (Problems){.take = take_problem, .context = pair};
    if (!prerequisites_check(&node->clusters, &pair->state, options, &pair->problems))
        decide(node, VERDICT_NOT_POSSIBLE, "It would fail, and leave this node as it is:");
    else if (options->compare)
        decide(node, pair->reasons > 0 ? VERDICT_NOT_POSSIBLE : VERDICT_NEEDED,
               "With --compare all blocks are compared, whether the histories diverge or not.");
    else if (!find_histories(pair, &error) || !judge_by_wal(pair, &error))
        give_up(node, &error);
    else if (pair->reasons > 0)
        node->readiness->verdict.state = VERDICT_NOT_POSSIBLE;
    source_wal_destroy(pair->source_wal);
}

/*
 * A running node that has diverged, or has when it is stopped: the history files alone show it. A
 * primary was on its timeline beyond the point where the source left that, and goes on.
 */
static void judge_running(Pair *pair)
{
    Node *node = pair->node;
    Readiness *readiness = node->readiness;
    Clusters *clusters = &node->clusters;
    size_t common;
    Lsn latest;
    Error error;

    if (node->options->compare || !node->history_known)
        readiness_leave_out(readiness, "source_wal",
                            node->options->compare ? "with --compare none of it is old"
                                                   : "this node's history is not known");
    else if (!find_histories(pair, &error))
        readiness_add_error(readiness, "source_wal", FINDING_UNKNOWN, &error);
    else if (!history_common(&clusters->source_history, &clusters->target_history, &common,
                             &latest) ||
             latest == LSN_INVALID ||
             (clusters->target.control.state != STATE_IN_PRODUCTION &&
              !divergence_is_certain(clusters)))
        readiness_leave_out(readiness, "source_wal", "what is needed depends on the divergence");
    else
    {
        pair->divergence = latest;
        if (!look_at_wal_of_rewind(pair, &error))
            readiness_add_error(readiness, "source_wal", FINDING_UNKNOWN, &error);
    }
    source_wal_destroy(pair->source_wal);
}

static bool open_named_source(const Node *node, Source **source, Error *error)
{
    const Options *options = node->options;

    if (options->source_server != NULL)
        return source_server_open(options->source_server, options->retry_timeout_seconds,
                                  options->max_rate, source, error);
    return source_directory_open(options->source_directory, options->max_rate, source, error);
}

/* True if the source is of this node's cluster, and not this node itself. */
static bool look_at_system(Pair *pair)
{
    const Clusters *clusters = &pair->node->clusters;
    const Control *source = &pair->state.control;
    const Control *target = &clusters->target.control;
    Readiness *readiness = pair->node->readiness;
    Error error;

    if (source->system_identifier != target->system_identifier)
        readiness_add(readiness, "source_system", FINDING_PROBLEM,
                      "Look at -D and at --source-server or --source-pgdata: one of them names "
                      "another cluster.",
                      "Source and target are different clusters: system identifier of the source "
                      "%llu, of the target %llu.",
                      (unsigned long long) source->system_identifier,
                      (unsigned long long) target->system_identifier);
    else if (readiness->running && clusters->source->is_server &&
             !prerequisites_check_not_own_server(clusters, &error))
        readiness_add_error(readiness, "source_system", FINDING_PROBLEM, &error);
    else
    {
        readiness_add(readiness, "source_system", FINDING_OK, NULL,
                      "Source and target are one cluster (system identifier %llu).",
                      (unsigned long long) target->system_identifier);
        return true;
    }
    return false;
}

/* With --slot, which -R demands and so a source server. A node that runs may use it itself. */
static void look_at_named_slot(Node *node)
{
    const char *name = node->options->slot;
    Error error;

    if (name == NULL)
        return;
    if (node->readiness->running)
        readiness_leave_out(node->readiness, "source_slot", "the target's server may be using it");
    else if (streaming_check_slot(node->options, &node->clusters, &error))
        readiness_add(node->readiness, "source_slot", FINDING_OK, NULL,
                      "Replication slot \"%s\" of the source can be used, or is not there yet.",
                      name);
    else
        readiness_add_error(node->readiness, "source_slot",
                            error.kind == ERROR_RETRY ? FINDING_UNKNOWN : FINDING_PROBLEM, &error);
}

/* The source that was open to questions does not answer any more, or will not do. */
static void give_up_source(Node *node, const Error *error)
{
    if (node->readiness->running)
        readiness_add_error(node->readiness, "source", FINDING_PROBLEM, error);
    else
        give_up(node, error);
}

static void judge_with_source(Node *node)
{
    Pair pair = {.node = node};
    Source *source = node->clusters.source;
    Error error;

    node->readiness->source = arena_strdup(node->arena, source->description);
    if (!source->operations->read_control(source, &pair.state.control, &error))
    {
        give_up_source(node, &error);
        return;
    }
    if (!look_at_system(&pair) && node->readiness->running)
    {
        readiness_leave_out(node->readiness, "source_wal", "it is no source of this node");
        return;
    }
    if (node->readiness->running && !encryption_check_source(source, &error))
        readiness_add_error(node->readiness, "source_encryption", FINDING_PROBLEM, &error);
    look_at_named_slot(node);
    if (node->readiness->running)
        judge_running(&pair);
    else
        judge_stopped(&pair);
}

void node_judge(Node *node)
{
    Readiness *readiness = node->readiness;
    const Options *options = node->options;
    const char *unasked =
        options->source_server == NULL && options->source_directory == NULL ? "no source is named"
        : options->source_server != NULL && !node->role_is_enough ? "the source could not be asked"
                                                                  : NULL;
    Error error;

    node->needed_from = node->clusters.target.control.checkpoint.redo;
    if (readiness->running)
        readiness_leave_out(readiness, "verdict", "the target's server is running");
    else if (options->source_server == NULL && options->source_directory == NULL)
        readiness_leave_out(readiness, "verdict", unasked);
    else if (unasked != NULL)
        decide(node, VERDICT_UNKNOWN, "The source could not be asked: see the findings.");
    if (unasked != NULL)
    {
        readiness_leave_out(readiness, "source_system", unasked);
        readiness_leave_out(readiness, "source_wal", unasked);
        return;
    }
    if (open_named_source(node, &node->clusters.source, &error))
        judge_with_source(node);
    else
        give_up_source(node, &error);
    source_close(node->clusters.source);
    node->clusters.source = NULL;
}

void node_judge_again(Node *node)
{
    Verdict *verdict = &node->readiness->verdict;

    if (node->lacks_wal && !node->options->compare &&
        (verdict->state == VERDICT_NEEDED || verdict->state == VERDICT_UNKNOWN))
        decide(node, VERDICT_NOT_POSSIBLE, "%s WAL that it needs is missing: see wal_reach.",
               verdict->text);
    else if (node->compares && verdict->state == VERDICT_NEEDED)
        decide(node, VERDICT_NEEDED, "%s It is possible, by comparing all blocks: see source_wal.",
               verdict->text);
}
