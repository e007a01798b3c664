/*
 * Is a rewind of a stopped target to this source needed, not needed, or not possible? Answered by
 * the look at the pair that a rewind takes as well. What the target wrote after the divergence is
 * not read, no file is listed, and nothing fetched to a disk.
 */
#include "check/node.h"

#include "standby/streaming.h"

#include <stdarg.h>
#include <string.h>

static const char dry_run_of_rewind[] =
    "which blocks and files change, what is lost, whether settings were switched in between, "
    "whether each file can be replaced, and the exact space.";

static void PRINTF_LIKE(3, 4) decide(Node *node, VerdictState state, const char *format, ...)
{
    Verdict *verdict = &node->readiness->verdict;
    AUTO_BUFFER Buffer text = {0};
    va_list arguments;

    va_start(arguments, format);
    buffer_vprintf(&text, format, arguments);
    va_end(arguments);
    verdict->state = state;
    verdict->text = arena_strdup(node->arena, buffer_string(&text));
    if (state == VERDICT_NEEDED)
        verdict->dry_run_adds = dry_run_of_rewind;
}

void node_take_problem(void *context, const Error *problem)
{
    Node *node = context;
    const char *topic = node->look.problems.topic;

    if (topic != NULL)
        readiness_add_error(node->readiness, topic, FINDING_PROBLEM, problem);
    readiness_add_reason(node->readiness, problem);
}

/* ---- The source's WAL ---- */

static void add_replayed_wal(Node *node)
{
    static const char what_for[] = "from which on its WAL is replayed";
    const Look *look = &node->look;
    Readiness *readiness = node->readiness;
    char name[WAL_NAME_SIZE];

    source_wal_segment_name(look->source_wal, look->replayed_segment, name);
    if (look->replayed == REPLAYED_WAL_OF_SOURCE)
        readiness_add(readiness, "source_wal", FINDING_OK, NULL, "The source has segment %s, %s.",
                      name, what_for);
    else if (look->replayed == REPLAYED_WAL_OF_ARCHIVE)
        readiness_add(
            readiness, "source_wal", FINDING_OK, NULL,
            "The source no longer has segment %s, %s: %s Whether the archive has all that "
            "follow only a dry run shows.",
            name, what_for,
            node->options->wal_archive != NULL ? "an archive has it."
                                               : "the restore command gives it.");
    else if (look->replayed == REPLAYED_WAL_NOT_NEEDED)
        readiness_add(readiness, "source_wal", FINDING_WARNING,
                      "To compare less, name an archive that has it: --wal-archive, "
                      "--restore-command or -c.",
                      "The source no longer has segment %s, from which on its WAL would be "
                      "replayed, and no archive gives it: a rewind compares all blocks instead, "
                      "and starts at the source's last checkpoint.",
                      name);
    else if (look->replayed == REPLAYED_WAL_MISSING)
        readiness_add(readiness, "source_wal", FINDING_PROBLEM,
                      "Name an archive that has it: --wal-archive, --restore-command or -c; or run "
                      "CHECKPOINT on the source (on its primary, if it is a standby), or rewind "
                      "with --compare.",
                      "The source no longer has segment %s, %s, no archive gives it, and %s.", name,
                      what_for,
                      node->options->early_start
                          ? "--early-start allows no other start"
                          : "the source has no checkpoint since the divergence to start from "
                            "instead");
}

/* True if a target that needs no rewind can go on as it is. */
static bool add_next_wal(Node *node)
{
    static const char what_for[] = "with which this node would go on";
    const Look *look = &node->look;
    char name[WAL_NAME_SIZE];
    uint64_t segment;
    Error error;
    bool has;

    if (!look_for_next_wal(look, &segment, &has, &error))
    {
        readiness_add_error(node->readiness, "source_wal", FINDING_UNKNOWN, &error);
        return true;
    }
    source_wal_segment_name(look->source_wal, segment, name);
    if (has)
        readiness_add(node->readiness, "source_wal", FINDING_OK, NULL,
                      "Segment %s, %s, is there, as far as it was written.", name, what_for);
    else
        readiness_add(node->readiness, "source_wal", FINDING_WARNING,
                      "Set restore_command to an archive that has it, or use pg_rewind --compare: "
                      "it copies what differs.",
                      "The source no longer has segment %s, %s: it must be in an archive.", name,
                      what_for);
    return has;
}

/* ---- The verdict ---- */

static void judge_found(Node *node, bool fails, const char *end)
{
    const Look *look = &node->look;

    if (!look->found || look->divergence.needed)
        decide(node, fails ? VERDICT_NOT_POSSIBLE : VERDICT_NEEDED,
               "The histories diverge at %s%s; this node's WAL goes on to %s.%s",
               LSN_TEXT(node->clusters->shape.version, look->divergence.lsn),
               look->found ? "" : " at the latest", end,
               fails ? " A rewind would fail:"
               : look->replayed == REPLAYED_WAL_NOT_NEEDED
                   ? " It is possible, by comparing all blocks: see source_wal."
                   : "");
    else if (!fails && look->divergence.rests_on_archive)
        decide(node, VERDICT_UNKNOWN,
               "This node's WAL ends at %s, in the history of the archive. Only a dry run shows "
               "whether the source's WAL goes on there.",
               end);
    else
        decide(node, fails ? VERDICT_NOT_POSSIBLE : VERDICT_NOT_NEEDED,
               "This node's WAL ends at %s, in the source's history.%s", end,
               fails                ? " pg_rewind would fail nevertheless:"
               : add_next_wal(node) ? " It can follow the source as it is."
                                    : " But it cannot follow: the source no longer has what comes "
                                      "next.");
}

static void judge_stopped(Node *node, bool looked, const Error *error)
{
    const Look *look = &node->look;

    if (!looked && error->kind != ERROR_REPORTED)
        readiness_add_reason(node->readiness, error);
    if (!looked && error_worst_kind(error) == ERROR_RETRY)
        decide(node, VERDICT_UNKNOWN, "The source could not be asked:");
    else if (!node->options->compare &&
             (look->found || (!looked && look->divergence.lsn < look->divergence.target_end &&
                              look->divergence.lsn != LSN_INVALID)))
        judge_found(node, !looked,
                    LSN_TEXT(node->clusters->shape.version, look->divergence.target_end));
    else if (!looked)
        decide(node, VERDICT_NOT_POSSIBLE, "It would fail, and leave this node as it is:");
    else if (look->found)
        decide(node, VERDICT_NEEDED,
               "With --compare all blocks are compared, whether the histories diverge or not.");
    else
        decide(node, divergence_is_certain(node->clusters) ? VERDICT_NEEDED : VERDICT_UNKNOWN,
               "Where the histories diverge, and whether all WAL is there, only a dry run shows: "
               "more WAL has to be read than this look reads.");
}

/* Report a rewind that would fail after the node was stopped. */
static void report_running(Node *node, bool looked, const Error *error)
{
    if (!looked && error_worst_kind(error) == ERROR_RETRY)
        readiness_add_error(node->readiness, "source", FINDING_PROBLEM, error);
    else if (!looked && error->kind != ERROR_REPORTED && !node->lacks_wal &&
             node->look.replayed != REPLAYED_WAL_MISSING &&
             node->clusters->target_history.count > 0)
        readiness_add_error(node->readiness, "divergence", FINDING_PROBLEM, error);
    else if (node->look.replayed == REPLAYED_WAL_UNKNOWN)
        readiness_leave_out(node->readiness, "source_wal",
                            node->options->compare ? "with --compare none of it is old"
                            : node->clusters->target_history.count == 0
                                ? "this node's history is not known"
                                : "what is needed depends on the divergence");
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
    else if (streaming_check_slot(node->options, node->clusters, &error))
        readiness_add(node->readiness, "source_slot", FINDING_OK, NULL,
                      "Replication slot \"%s\" of the source can be used, or is not there yet.",
                      name);
    else
        readiness_add_error(node->readiness, "source_slot",
                            error.kind == ERROR_RETRY ? FINDING_UNKNOWN : FINDING_PROBLEM, &error);
}

/* From where on WAL of the target is needed, as far as it was found. */
static void find_needed_wal(Node *node, bool looked, const Error *error)
{
    const Divergence *divergence = &node->look.divergence;
    const Lsn common = divergence->common_checkpoint.checkpoint.redo;

    if (common != LSN_INVALID)
        node->needed_from = common;
    else if (divergence->lsn != LSN_INVALID && divergence->lsn < node->needed_from)
        node->needed_from = divergence->lsn;
    node->lacks_wal = !looked && common == LSN_INVALID && error->remedy == REMEDY_WAL;
}

static void judge_with_source(Node *node)
{
    Look *look = &node->look;
    Readiness *readiness = node->readiness;
    Error error = {0};
    const bool looked = look_at_pair(look, &error);
    const Source *source = node->clusters->source;

    if (source != NULL)
        readiness->source = arena_strdup(node->arena, source->description);
    find_needed_wal(node, looked, &error);
    if (look->may_be_looked_at)
    {
        readiness_add(readiness, "source_system", FINDING_OK, NULL,
                      "Source and target are one cluster (system identifier %llu).",
                      (unsigned long long) node->clusters->target.control.system_identifier);
        look_at_named_slot(node);
    }
    if (look->replayed != REPLAYED_WAL_UNKNOWN)
        add_replayed_wal(node);
    if (readiness->running)
        report_running(node, looked, &error);
    else
        judge_stopped(node, looked, &error);
}

void node_judge(Node *node)
{
    Readiness *readiness = node->readiness;
    const Options *options = node->options;
    const char *unasked =
        options->source_server == NULL && options->source_directory == NULL ? "no source is named"
        : options->source_server != NULL && !node->role_is_enough ? "the source could not be asked"
                                                                  : NULL;

    node->needed_from = node->clusters->target.control.checkpoint.redo;
    if (readiness->running)
        readiness_leave_out(readiness, "verdict", "the target's server is running");
    else if (options->source_server == NULL && options->source_directory == NULL)
        readiness_leave_out(readiness, "verdict", unasked);
    else if (unasked != NULL)
        decide(node, VERDICT_UNKNOWN, "The source could not be asked: see the findings.");
    if (unasked == NULL)
    {
        judge_with_source(node);
        return;
    }
    readiness_leave_out(readiness, "source_system", unasked);
    readiness_leave_out(readiness, "source_wal", unasked);
}
