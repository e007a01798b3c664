#include "check/readiness.h"

#include <stdlib.h>
#include <string.h>

#define READ_BACK_BYTES_MAX (64ull * 1024 * 1024)
#define SEGMENTS_TO_SPARE 8 /* WAL segments that the server may write before the stop */
#define SEGMENTS_AHEAD 1    /* parameters are written when a server starts, after its checkpoint */
#define SEGMENTS_COUNTED_MAX 65536
#define MEGABYTE (1024u * 1024)

/* The state of a lack of WAL, or of what only WAL is needed for. */
static AdviceSeverity node_wal_problem(const Node *node)
{
    return node->options->compare ? ADVICE_WARNING : ADVICE_PROBLEM;
}

/* ---- The last WAL ---- */

typedef struct LastWal
{
    const Version *version;
    Lsn from;        /* read from there on; LSN_INVALID: nothing */
    Lsn stop_at;     /* enough was read */
    bool log_hints;  /* wal_log_hints by the last parameter change in the WAL; false without one */
    Lsn logged_from; /* the first one of those that say so */
} LastWal;

/* A WalVisitor. */
static bool note_last_wal(void *context, const WalRecord *record, Error *error)
{
    LastWal *last = context;
    WalEvent event;

    if (record->lsn > last->stop_at)
        return error_set_reported(error, ERROR_FAILED); /* enough was read */
    if (last->from == LSN_INVALID)
        last->from = record->lsn;
    if (record->rmgr != RM_XLOG || !walrecord_event(last->version, record, &event, NULL))
        return true;
    if (event.kind == WAL_EVENT_PARAMETER_CHANGE)
    {
        if (event.flag && !last->log_hints)
            last->logged_from = record->lsn;
        last->log_hints = event.flag;
    }
    return true;
}

/* True if pg_wal has this segment, in the file that the history names. */
static bool node_has_segment(const Node *node, uint64_t segment)
{
    AUTO_FD int fd = -1;
    bool found;

    return wal_store_open_own(node->look.session.target_wal, segment, &fd, &found, NULL) && found;
}

/* Returns the lowest segment from which on pg_wal has all segments up to `segment`, which it has.
 * At most `back` segments before it are looked for. */
static uint64_t find_oldest(const Node *node, uint64_t segment, uint64_t back)
{
    for (; back > 0 && segment > 1 && node_has_segment(node, segment - 1); back--)
        segment--;
    return segment;
}

/* The WAL around the last checkpoint, as far back as is cheap. */
static LastWal read_last_wal(const Node *node)
{
    const WalShape *shape = &node->clusters->shape;
    WalStream stream = node->look.session.target_wal->stream;
    const Lsn redo = node->clusters->target.control.checkpoint.redo;
    const uint64_t at = wal_segment_of(shape, redo);
    const uint64_t count = READ_BACK_BYTES_MAX / shape->segment_size;
    LastWal found = {.version = shape->version, .stop_at = redo + READ_BACK_BYTES_MAX};
    uint64_t segment = at;
    Lsn from = count > 0 ? LSN_INVALID : redo;

    stream.open = wal_store_open_own; /* pg_wal only */
    stream.limit = LSN_INVALID;
    if (node->clusters->target_history.count == 0 || !node_has_segment(node, at))
        return found;
    if (count > 0)
        segment = find_oldest(node, at, count - 1);
    for (; segment <= at + SEGMENTS_AHEAD; segment++, from = LSN_INVALID)
    {
        WalSegmentFacts facts;

        if (!wal_read_segment(&stream, segment, from, note_last_wal, &found, &facts, NULL) ||
            facts.end != WAL_SEGMENT_COMPLETE)
            break;
    }
    return found;
}

/* ---- Settings ---- */

uint64_t node_setting_bytes(const Node *node, const char *name, uint64_t absent)
{
    const char *value = settings_value(&node->settings, name);
    char *unit;
    unsigned long long size;

    if (value == NULL)
        return absent;
    size = strtoull(value, &unit, 10);
    while (*unit == ' ')
        unit++;
    if (strncmp(unit, "kB", 2) == 0)
        return size * 1024;
    return size * MEGABYTE * (*unit == 'G' ? 1024 : *unit == 'T' ? 1024 * 1024 : 1);
}

/* Returns the commands that give a setting a value, and a note on what must follow. A standby needs
 * the value in its postgresql.conf and on the primary. */
static const char *remedy_setting(const Node *node, const char *setting, const char *then)
{
    return arena_printf(node->arena, "%s%s%s;  -- %s",
                        target_was_standby(&node->clusters->target)
                            ? "in postgresql.conf of this standby, and on the primary:\n"
                            : "",
                        node->version->remedies.set, setting, then);
}

void node_look_at_settings(Node *node)
{
    const LastWal last = read_last_wal(node);
    const Control *control = &node->clusters->target.control;
    const char *configured = settings_value(&node->settings, "wal_log_hints");
    /* From there on it is known that hints are logged. */
    const Lsn since = last.log_hints ? last.logged_from : last.from;
    const bool diverged = node->look.found && node->look.divergence.needed;
    const bool too_late = !node->look.session.running || diverged;

    if (control->data_checksum_version != 0)
        node_ok(node, "hints_logged", "Data checksums are on: so hints are WAL-logged.");
    else if (control->wal_log_hints && since == LSN_INVALID)
        node_ok(node, "hints_logged",
                "wal_log_hints is on. Since when is not known: the WAL of the last checkpoint is "
                "not in %s.",
                node->version->wal_directory);
    else if (control->wal_log_hints && last.log_hints && last.logged_from > node->needed_from)
        node_add(node, "hints_logged", ADVICE_WARNING, "CHECKPOINT;",
                 "wal_log_hints is on. Parameters were changed at %s, after the last checkpoint: "
                 "whether hints were logged before is not known, and a rewind to a divergence "
                 "before the next checkpoint may be refused.",
                 LSN_TEXT(node->version, since));
    else if (control->wal_log_hints)
        node_ok(node, "hints_logged", "wal_log_hints is on, at least since %s.",
                LSN_TEXT(node->version, since));
    else if (control->version->control.wal_log_hints == OFFSET_NONE)
        node_add(node, "hints_logged", node_wal_problem(node),
                 "A cluster gets data checksums when it is made: initdb --data-checksums.",
                 "Data checksums are off, and PostgreSQL %s has no wal_log_hints: hint bits are "
                 "not WAL-logged, and only --compare can rewind this node.",
                 control->version->name);
    else
        node_add(node, "hints_logged", node_wal_problem(node),
                 too_late ? "Add --compare. For the next time set wal_log_hints = on, and restart "
                            "the server."
                 : setting_is_on(configured)
                     ? "Restart the server: wal_log_hints = on is configured, but not in effect."
                     : remedy_setting(node, "wal_log_hints = on", "then restart the server"),
                 "Data checksums and wal_log_hints are both off: hint bits are not WAL-logged, and "
                 "only --compare can rewind this node. After the change it can be rewound to a "
                 "divergence that lies after the next checkpoint.");
    if (control->wal_level == WAL_LEVEL_MINIMAL && diverged)
        node_ok(node, "wal_level",
                "wal_level is minimal. That does no harm if it was set after the divergence: a "
                "rewind reads that from the WAL.");
    else if (control->wal_level == WAL_LEVEL_MINIMAL)
        node_add(node, "wal_level", node_wal_problem(node),
                 too_late ? arena_printf(node->arena,
                                         "Add --compare. For the next time set %s, and restart the "
                                         "server.",
                                         node->version->remedies.wal_level)
                          : remedy_setting(node, node->version->remedies.wal_level,
                                           "then restart the server"),
                 "wal_level is minimal: not all changes are WAL-logged.");
    else
        node_ok(node, "wal_level", "All changes are WAL-logged: wal_level is not minimal.");
}

/* ---- Reach of the WAL ---- */

/* A segment that an archive was asked for, and the answer. */
typedef struct Asked
{
    bool asked, has;
    bool unknown; /* not known, since no directory has room for the segment */
    char name[WAL_NAME_SIZE];
    const char *how; /* a sentence about the answer */
} Asked;

/* Ask the archives, if any is named. */
static Asked ask_archive(const Node *node, uint64_t segment)
{
    Asked answer = {.how = ""};

    wal_stream_segment_name(&node->look.session.target_wal->stream, segment, answer.name);
    answer.asked = wal_store_has_archive(node->archive);
    if (answer.asked)
        answer.has = wal_store_has(node->archive, segment, node->arena, &answer.how);
    answer.unknown = !answer.has && node->look.session.scratch->failed;
    return answer;
}

/* pg_wal has all from the oldest segment on. Returns what an archive was asked for. */
static Asked look_at_reach(Node *node, uint64_t oldest)
{
    const WalShape *shape = &node->clusters->shape;
    const Lsn begin = wal_segment_start(shape, oldest);
    const SourceWal *source = node->look.session.source_wal;
    Asked asked = {.how = ""};
    bool gives;

    /* The last common checkpoint lies in what is gone. */
    if (node->lacks_wal && oldest > 1 && begin <= node->needed_from)
        node->needed_from = wal_segment_start(shape, oldest - 1);
    if (oldest <= wal_segment_of(shape, node->needed_from))
    {
        node_ok(node, "wal_reach",
                "%s reaches back to %s, %llu MB before %s, from which on WAL is needed now.",
                node->version->wal_directory, LSN_TEXT(node->version, begin),
                (unsigned long long) ((node->needed_from - begin + MEGABYTE / 2) / MEGABYTE),
                LSN_TEXT(node->version, node->needed_from));
        return asked;
    }
    /* The source gives what is common history. */
    wal_stream_segment_name(&node->look.session.target_wal->stream, oldest - 1, asked.name);
    if (source != NULL && begin <= node->look.divergence.lsn &&
        source_wal_source_has(source, oldest - 1, &gives, NULL) && gives)
    {
        node_ok(node, "wal_reach", "%s lacks segment %s; the source has it, and gives it.",
                node->version->wal_directory, asked.name);
        return asked;
    }
    asked = ask_archive(node, oldest - 1);
    if (asked.has)
        node_ok(node, "wal_reach",
                "%s lacks segment %s: %s Whether it has all that are older and needed only a dry "
                "run shows.",
                node->version->wal_directory, asked.name, asked.how);
    else
        node_add(node, "wal_reach", asked.unknown ? ADVICE_UNKNOWN : node_wal_problem(node),
                 arena_printf(node->arena,
                              "Name an archive that has it: --wal-archive, --restore-command or "
                              "-c; or rewind with --compare, as --rejoin does by itself.\n"
                              "For the next time keep more WAL: %s%s; SELECT "
                              "pg_catalog.pg_reload_conf();",
                              node->version->remedies.set, node->version->remedies.wal_kept),
                 "%s lacks segment %s: WAL is needed from %s on.%s%s", node->version->wal_directory,
                 asked.name, LSN_TEXT(node->version, node->needed_from),
                 asked.how[0] != '\0' ? " " : "", asked.how);
    return asked;
}

/*
 * A clean stop writes a checkpoint, which removes the WAL before this checkpoint (until 10: before
 * the previous checkpoint). A rewind of a running server that has diverged needs some of that WAL.
 */
static void look_at_stop(Node *node)
{
    const WalShape *shape = &node->clusters->shape;
    const uint64_t first = wal_segment_of(shape, node->needed_from);
    const uint64_t redo = wal_segment_of(shape, node->clusters->target.control.checkpoint.redo);
    /* wal_keep_size, or wal_keep_segments: the setting by which a server keeps WAL */
    const char *example = node->version->remedies.wal_kept;
    const char *setting = arena_printf(node->arena, "%.*s", (int) strcspn(example, " "), example);
    const char *value = settings_value(&node->settings, setting), *enough;
    const bool in_segments = strstr(setting, "segments") != NULL;
    uint64_t newest = redo > first ? redo : first, kept = 0, wanted;
    uint64_t removed_end;

    if (!node->look.session.running || !node->look.found || !node->look.divergence.needed ||
        node->options->compare || !node_has_segment(node, first))
        return;
    while (node_has_segment(node, newest + 1) && newest < first + SEGMENTS_COUNTED_MAX)
        newest++;
    removed_end = node->version->keeps_two_checkpoints ? redo : newest;
    if (value != NULL)
        kept = in_segments ? strtoull(value, NULL, 10)
                           : node_setting_bytes(node, setting, 0) / shape->segment_size;
    wanted = 2 * (newest - first) + SEGMENTS_TO_SPARE;
    enough = in_segments
                 ? arena_printf(node->arena, "%s = %llu", setting, (unsigned long long) wanted)
                 : arena_printf(node->arena, "%s = '%lluMB'", setting,
                                (unsigned long long) (wanted * shape->segment_size / MEGABYTE));
    if (first >= removed_end)
        node_ok(node, "wal_at_stop",
                "The WAL that a rewind needs now will still exist after a stop.");
    else if (newest - first < kept)
        node_ok(node, "wal_at_stop", "%s keeps the WAL that a rewind needs now, also at a stop.",
                setting);
    else
        node_add(node, "wal_at_stop", ADVICE_WARNING,
                 arena_printf(node->arena,
                              "Use --rejoin, which holds it before it stops the server. Or stop it "
                              "with pg_ctl stop -m immediate. Or, before the stop:\n"
                              "%s%s; SELECT pg_catalog.pg_reload_conf();",
                              node->version->remedies.set, enough),
                 "A clean stop of this node's server may remove WAL that its rewind needs, from "
                 "segment %s on, unless a slot keeps it.",
                 SEGMENT_NAME(&node->look.session.target_wal->stream, first));
}

/* Ask the archive for a segment that it should have: the oldest one of those in pg_wal that is
 * certainly complete. */
static void look_at_archive(Node *node, uint64_t oldest, Asked *asked)
{
    if (!asked->asked && oldest < wal_segment_of(&node->clusters->shape,
                                                 node->clusters->target.control.checkpoint_lsn))
        *asked = ask_archive(node, oldest);
    if (asked->has)
        node_ok(node, "archive", "Asked for segment %s: %s", asked->name, asked->how);
    else if (asked->asked)
        node_add(node, "archive", asked->unknown ? ADVICE_UNKNOWN : ADVICE_WARNING,
                 node->version->sql.archiver_view
                     ? "Look into the archive itself. On the primary:\n"
                       "SELECT * FROM pg_catalog.pg_stat_archiver;"
                     : "Look into the archive itself, and into the log of the primary.",
                 "Asked for segment %s: %s", asked->name, asked->how);
    else if (wal_store_has_archive(node->archive))
        node_add(node, "archive", ADVICE_UNKNOWN, NULL,
                 "%s has no complete segment to ask the archive for.",
                 node->version->wal_directory);
    else if (!node->options->restore_target_wal)
        node_leave_out(node, "archive",
                       arena_printf(node->arena, "none is named (%s, --restore-command, -c)",
                                    wal_archive_options(node->arena)));
}

void node_look_at_wal(Node *node)
{
    const Control *control = &node->clusters->target.control;
    uint64_t oldest = wal_segment_of(&node->clusters->shape, control->checkpoint.redo);
    Asked asked;

    if (node->clusters->target_history.count == 0)
    {
        node_add(node, "wal_reach", node_wal_problem(node),
                 "Put it back there, from the archive or another node.",
                 "The history file of timeline %u is not in %s.", node->clusters->target.timeline,
                 node->version->wal_directory);
        return;
    }
    oldest = node_has_segment(node, oldest) ? find_oldest(node, oldest, SEGMENTS_COUNTED_MAX)
                                            : oldest + 1;
    asked = look_at_reach(node, oldest);
    look_at_stop(node);
    look_at_archive(node, oldest, &asked);
}
