#include "recovery_start/recovery_start.h"

#include "base/array.h"
#include "base/log.h"
#include "base/wait.h"
#include "base/workers.h"
#include "format/relpath.h"
#include "target/tablespace_mapping.h"
#include "wal_store/source_summaries.h"

#include <string.h>

#define MEGABYTE (1024 * 1024)

/* The facts of one decision, and the data that fetching them produced. */
typedef struct Chooser
{
    StartInput in;
    Arena *arena;
    bool foretells; /* recovery_start_foretell: no WAL is read, no checkpoint made */
    bool has_room;  /* enough disk space is assumed, not measured */
    StartFacts facts;
    RecoveryStart *start; /* result; start->chosen: start whose WAL was, or is, read last */
    Start late;           /* the late start whose redo position is facts.late */
    ReplayHazard hazard;  /* hazards of replay from start->chosen */
    SourceSummaries summaries;
    WalScan *scan; /* scan of WAL before the late start, with its result `scanned`: the source's
                      changes up to facts.changes_end that were not yet added; NULL if all were */
    ScanResult scanned;
    bool scanned_once;       /* the WAL that `scan` read was removed as it was read */
    Error missing;           /* error that names missing WAL, or says that no WAL shows the target's
                                changes */
    Error lacks_room[2];     /* error for the early start, error for the late one */
    uint64_t first_segment;  /* first segment from the early start on that is gone from the source,
                                or if none is, the first one that the target does not keep */
    bool wal_is_gone;        /* first_segment is gone from the source */
    bool told_of_checkpoint; /* a message that no checkpoint was made was printed */
    bool role_asked;         /* asked for facts.may_checkpoint and buffers_bytes; may_checkpoint is
                                false, too, once a checkpoint has failed */
    bool role_known;         /* the source has answered that */
} Chooser;

/* ---- The WAL that is replayed ---- */

/* Note in start->made the relfilenodes that the replayed WAL creates or drops after the
 * divergence. */
static void note_made(const Chooser *chooser, const BlockMap *blocks)
{
    RecoveryStart *start = chooser->start;
    const BlockMapRelation *relation;

    if (chooser->in.changes == NULL)
        return;
    blockmap_destroy(start->made);
    start->made = blockmap_create();
    for (size_t at = 0; (relation = blockmap_next(blocks, &at)) != NULL;)
        if (relation->storage_lsn != LSN_INVALID &&
            relation->storage_lsn >= chooser->in.divergence->lsn)
            blockmap_storage_changed(start->made, relation->id, relation->storage_lsn);
}

/*
 * Find WAL of the source whose wal_level is unknown. A server that stays at level minimal logs no
 * record of its level. If the last common checkpoint was a shutdown checkpoint, and the target was
 * then started at another level, the source may have run at minimal until its first record of the
 * level: replay would truncate relations that it filled without WAL, and not fill them. (Rule C6.)
 */
static void find_unknown_level(Chooser *chooser, const ScanResult *chain)
{
    ReplayHazard *hazard = &chooser->hazard;
    const TargetChanges *changes = chooser->in.changes;

    if (changes == NULL || !changes->scanned.wal_level_from_stop || chain->parameter_count == 0 ||
        chain->wal_level_proven)
        return;
    /* The hazard is noted at the start, not at the record that changes the level: the shutdown
     * checkpoint just before this record is already late enough. */
    replay_hazard_add(hazard, chooser->start->chosen.redo);
    error_set(&hazard->error, ERROR_FAILED,
              "source server may have run with \"wal_level = minimal\"");
    error_detail(&hazard->error,
                 "No WAL tells its level before %s, in the WAL that the rewound target would "
                 "replay: changes made at that level were not WAL-logged.",
                 LSN_TEXT(chooser->in.clusters->shape.version, chain->parameters[0].lsn));
}

/*
 * Find a start on a timeline that the source's history file lacks. The rewound target's server
 * reads this file: recovery can start neither on a timeline that the file does not list, nor on a
 * page of WAL that begins on one. The server stops with "requested timeline is not a child of this
 * server's history" or "unexpected timeline ID". (Rule C28.)
 */
static void find_unknown_timeline(Chooser *chooser)
{
    const History *history = &chooser->in.clusters->source_history;
    const HistoryEntry *first = &history->entries[history->added];
    const Start *chosen = &chooser->start->chosen;
    const uint32_t page_size = chooser->in.clusters->shape.block_size;
    const Lsn next_page = (first->begin + page_size - 1) / page_size * page_size;
    ReplayHazard *hazard = &chooser->hazard;

    if (chosen->timeline >= first->timeline && chosen->redo >= next_page)
        return;
    replay_hazard_add(hazard, next_page > chosen->redo ? next_page : chosen->redo);
    error_set(&hazard->error, ERROR_FAILED, "the source's history begins at timeline %u",
              first->timeline);
    error_detail(&hazard->error,
                 "Its file \"%08X.history\" lacks older timelines, and recovery of the target "
                 "would start on one of them, or on a page of WAL that begins on one.",
                 history_last_timeline(history));
}

/* Add the hazard that a former plan of this run has found in the source's files: a start that is
 * not past it is no better now. */
static void add_former_hazard(Chooser *chooser)
{
    const UnloggedDrop *drop = chooser->in.unlogged_drop;

    if (drop != NULL && chooser->start->chosen.redo <= drop->start)
        replay_hazard_add_unlogged_drop(&chooser->hazard, drop);
}

/* A FileVisitor: add a link of the source, and where it leads on the target. */
static bool note_link(void *context, const VisitedFile *file, Error *error)
{
    Chooser *chooser = context;
    ReplayHazard *hazard = &chooser->hazard;
    const char *mapped;

    (void) error;
    if (file->link_target == NULL)
        return true;
    mapped = tablespace_mapped(chooser->in.options->tablespaces, file->link_target);
    ARRAY_ADD_IN(chooser->arena, hazard->links, hazard->link_count,
                 (ListedLink){.path = arena_strdup(chooser->arena, file->path),
                              .target = mapped != NULL
                                            ? mapped
                                            : arena_strdup(chooser->arena, file->link_target)});
    return true;
}

/* Set the links of chooser->hazard, if replay creates tablespaces. */
static bool list_links(Chooser *chooser, const ScanResult *chain, Error *error)
{
    const Clusters *clusters = chooser->in.clusters;
    Source *source = clusters->source;

    chooser->hazard.links = NULL;
    chooser->hazard.link_count = 0;
    for (size_t i = 0; i < chain->tablespace_count; i++)
        if (chain->tablespaces[i].created)
            return source->operations->list(source, clusters->shape.version, note_link, chooser,
                                            error);
    return true;
}

/* A FactFetcher for START_UNKNOWN_REPLAY: read the WAL that is replayed from the start. */
static bool fetch_replay(Chooser *chooser, const StartDecision *decision, Error *error)
{
    StartFacts *facts = &chooser->facts;
    RecoveryStart *start = chooser->start;
    ReplayHazard *hazard = &chooser->hazard;
    ReplayFacts *replay = decision->late ? &facts->late_replay : &facts->early_replay;
    SourceWalReading reading = {0};
    ScanResult chain;
    WalScan *scan;
    bool result;

    start->chosen = decision->late ? chooser->late : start->earliest;
    /* A checkpoint that was just made may lie past the end of WAL known before. */
    start->wal_end = source_state_wal_end(&start->source, chooser->in.divergence->lsn);
    reading.from = start->chosen.redo;
    reading.end = start->wal_end;
    *replay = (ReplayFacts){.redo = start->chosen.redo};
    if (!source_wal_read(chooser->in.source_wal, &reading, &scan, &chain, &chooser->missing))
    {
        replay->missing_end = reading.missing_end;
        if (!decision->late)
            facts->missing_end = reading.missing_end;
        return reading.missing_end != LSN_INVALID || error_copy(error, &chooser->missing);
    }
    result = list_links(chooser, &chain, error) &&
             replay_hazard_find(chooser->in.clusters, &start->source, chooser->in.options,
                                scan->stream, &chain, hazard, error);
    if (result)
    {
        find_unknown_level(chooser, &chain);
        find_unknown_timeline(chooser);
        add_former_hazard(chooser);
    }
    start->needed = hazard->needed;
    start->opens_later = start_opening(&start->chosen, &chain, start->wal_end) == OPENING_LATER;
    blockmap_destroy(start->rebuilt);
    start->rebuilt = scan->rebuilt;
    scan->rebuilt = NULL;
    start->rebuilt_end = reading.last_end;
    note_made(chooser, chain.blocks);
    start->prepared = chain.prepared;
    start->prepared_count = chain.prepared_count;
    scan_destroy(scan);
    replay->is_hazardous = hazard->found;
    replay->copies_are_identical = hazard->copies_are_identical;
    replay->hazard_lsn = hazard->lsn;
    replay->limits_lsn = hazard->former_limits_lsn > hazard->origin_drop_lsn
                             ? hazard->former_limits_lsn
                             : hazard->origin_drop_lsn;
    replay->opens_later = start->opens_later;
    return result;
}

/* ---- The positions, and the WAL and room for each ---- */

static void note_late(Chooser *chooser, const Start *late)
{
    StartFacts *facts = &chooser->facts;

    if (late->redo != facts->late)
        facts->late_room = ANSWER_UNKNOWN;
    chooser->late = *late;
    facts->late = late->redo;
    facts->late_may_be_cheaper =
        start_may_be_cheaper(chooser->in.clusters->shape.version, &chooser->start->earliest, late);
}

/* Run a checkpoint on the source, and set *makes to false if it fails with --checkpoint=auto. In a
 * dry run, log that the rewind would run one. */
static bool make_checkpoint(Chooser *chooser, bool *makes, Error *error)
{
    SourceState *state = &chooser->start->source;
    Source *source = chooser->in.clusters->source;
    StartChoice *choice = &chooser->start->choice;
    const CheckpointEstimate estimate = start_weigh_checkpoint(&chooser->facts);

    choice->checkpoint = estimate;
    if (!chooser->in.options->dry_run)
    {
        log_info("running CHECKPOINT on the source");
        if (estimate.pays)
            log_detail("It should spare %.0f s of replay, and cost %.0f s.",
                       estimate.replay_seconds, estimate.seconds);
        /* An exception to invariant 6 (nothing is written on the source), asked for with
         * --checkpoint. */
        if (source_server_checkpoint(source, error))
        {
            choice->checkpoint_made = true;
            return source_state_read_again(source, state, state, error);
        }
        if (chooser->in.options->checkpoint != CHECKPOINT_AUTO || error->kind != ERROR_FAILED ||
            !stop_check(NULL))
            return false;
        log_as_warning(error);
        *makes = chooser->facts.may_checkpoint = false;
    }
    else if (!chooser->told_of_checkpoint)
        log_info("not running CHECKPOINT on the source in a dry run: less would be replayed, and "
                 "more copied, than is planned now");
    chooser->told_of_checkpoint = true;
    return true;
}

/* Returns true if the source has refused an answer that is not necessary. False if the connection
 * is lost, or after a request to stop. (Rule O16.) */
static bool does_without(const Error *problem, Error *error)
{
    if (problem->kind == ERROR_RETRY || stop_requested())
        return error_copy(error, problem);
    log_debug("doing without an answer of the source: %s", problem->message);
    return true;
}

static bool ask_role(Chooser *chooser, Error *error)
{
    StartFacts *facts = &chooser->facts;
    Error problem;

    if (chooser->role_asked)
        return true;
    chooser->role_asked = true;
    chooser->role_known = source_server_may_checkpoint(
        chooser->in.clusters->source, &facts->may_checkpoint, &facts->buffers_bytes, &problem);
    return chooser->role_known || does_without(&problem, error);
}

/* Set *makes if a checkpoint may be run when one is wanted. With --checkpoint the prerequisites
 * have already found that the role may run it. */
static bool find_makes_checkpoint(Chooser *chooser, bool *makes, Error *error)
{
    const CheckpointUse use = chooser->in.options->checkpoint;

    *makes = use == CHECKPOINT_YES;
    if (use != CHECKPOINT_AUTO || !chooser->in.clusters->source->is_server)
        return true;
    if (!ask_role(chooser, error))
        return false;
    *makes = chooser->facts.may_checkpoint;
    return true;
}

/* A FactFetcher for START_UNKNOWN_LATER. If a later start is wanted because of a hazard, wait for
 * the source's own next checkpoint: a primary makes one at once after it has copied a database, and
 * a spread one after promotion. */
static bool fetch_later_start(Chooser *chooser, const StartDecision *decision, Error *error)
{
    const Options *options = chooser->in.options;
    const Lsn divergence = chooser->in.divergence->lsn, after = decision->from - 1;
    SourceState *state = &chooser->start->source;
    Source *source = chooser->in.clusters->source;
    Wait wait = wait_begin(options->wait_timeout_seconds);
    Start late;
    bool found, makes;

    chooser->facts.looked_from = decision->from;
    if (!find_makes_checkpoint(chooser, &makes, error))
        return false;
    chooser->facts.expects_checkpoint = makes && (options->dry_run || chooser->foretells);
    if (chooser->foretells)
        return true;
    if (decision->past_missing && !source_state_read_again(source, state, state, error))
        return false;
    found = start_late(&state->control, divergence, after, &late);
    if (!found && makes)
    {
        if (!make_checkpoint(chooser, &makes, error))
            return false;
        found = start_late(&state->control, divergence, after, &late);
    }
    if (!found && !makes && decision->past_hazard && chooser->hazard.checkpoint_follows &&
        !state->position.in_recovery && source->is_server)
    {
        log_info("waiting for the source's next checkpoint; CHECKPOINT there ends the wait");
        while (!wait_until(found, &wait, error))
        {
            if (!source_state_read_again(source, state, state, error))
                return false;
            found = start_late(&state->control, divergence, after, &late);
        }
    }
    if (!found)
        return !wait.stopped;
    note_late(chooser, &late);
    chooser->facts.later_starts += decision->past_hazard ? 1 : 0;
    return true;
}

/* A FactFetcher for START_UNKNOWN_ROOM. */
static bool fetch_room(Chooser *chooser, const StartDecision *decision, Error *error)
{
    const Start *start = decision->late ? &chooser->late : &chooser->start->earliest;
    const Lsn end = source_state_wal_end(&chooser->start->source, chooser->in.divergence->lsn);
    Error *lack = &chooser->lacks_room[decision->late];
    const bool has = chooser->has_room ||
                     source_wal_check_space(chooser->in.source_wal, start->redo, end, 0, lack);

    if (!has && lack->kind != ERROR_FAILED)
        return error_copy(error, lack);
    if (!has)
        log_debug("%s", lack->message);
    *(decision->late ? &chooser->facts.late_room : &chooser->facts.early_room) =
        has ? ANSWER_YES : ANSWER_NO;
    return true;
}

/* A FactFetcher for START_UNKNOWN_WAL, before WAL is fetched. To spare calls of restore commands,
 * ask archives only for the first segment that is gone from the source. */
static bool fetch_wal_there(Chooser *chooser, const StartDecision *decision, Error *error)
{
    StartFacts *facts = &chooser->facts;
    const WalShape *shape = &chooser->in.clusters->shape;
    SourceWal *wal = chooser->in.source_wal;
    uint64_t *first = &chooser->first_segment;
    Lsn gone_end;

    (void) decision;
    facts->wal_was_looked_for = true;
    if (!source_wal_find_gone(wal, facts->early, facts->wal_end, first, &gone_end, error))
        return false;
    chooser->wal_is_gone = gone_end != LSN_INVALID;
    return !chooser->wal_is_gone ||
           source_wal_check_there(wal, wal_segment_start(shape, *first),
                                  wal_segment_start(shape, *first + 1), facts->wal_end,
                                  &facts->missing_end, &chooser->missing) ||
           facts->missing_end != LSN_INVALID || error_copy(error, &chooser->missing);
}

/* ---- Changes of the source before a late start ---- */

/* True if the source's summaries may replace its WAL. */
static bool summaries_are_of_use(const Chooser *chooser)
{
    const Version *version = chooser->in.clusters->shape.version;
    const Divergence *divergence = chooser->in.divergence;

    if (!version->has_wal_summaries)
        return false;
    if (divergence->rests_on_histories)
    {
        log_debug("the source's WAL summaries are not read: no WAL proves that both have the same "
                  "history before %s",
                  LSN_TEXT(version, divergence->lsn));
        return false;
    }
    /* Summaries are not enough where custom resource managers write WAL: a summary may lack what
     * their records do to a relation. */
    return chooser->in.changes == NULL || !chooser->in.changes->scanned.custom_rmgr_seen;
}

/* A FactFetcher for START_UNKNOWN_SUMMARIES. */
static bool fetch_summaries(Chooser *chooser, const StartDecision *decision, Error *error)
{
    StartFacts *facts = &chooser->facts;
    const Clusters *clusters = chooser->in.clusters;
    SourceSummaries *summaries = &chooser->summaries;
    Lsn gone_end;

    (void) decision;
    facts->summaries_read = true;
    if (facts->late <= facts->early || !summaries_are_of_use(chooser))
        return true;
    if (!source_summaries_read(clusters, facts->early, facts->late, chooser->foretells, summaries,
                               error))
        return false;
    if (summaries->end < chooser->in.divergence->lsn)
        return true;
    if (!source_wal_find_gone(chooser->in.source_wal, facts->early, summaries->end,
                              &chooser->first_segment, &gone_end, error))
        return false;
    facts->summaries_end = summaries->end;
    facts->summaries_replace_gone_wal = gone_end != LSN_INVALID;
    facts->summaries_bytes =
        blockmap_block_count(summaries->blocks) * clusters->target.control.block_size;
    facts->bytes_per_second = source_wal_fetch_rate(chooser->in.source_wal);
    return true;
}

/* A FileVisitor: add up the sizes of the main forks. */
static bool add_relation_bytes(void *context, const VisitedFile *file, Error *error)
{
    Chooser *chooser = context;
    const Control *control = &chooser->in.clusters->target.control;
    RelationFile relation;

    (void) error;
    if (file->type == FILE_REGULAR &&
        relpath_parse(&control->version_directory, file->path, &relation) &&
        relation.fork == FORK_MAIN)
        chooser->facts.data_bytes += file->size;
    return true;
}

/* Set facts.data_bytes; the source's files are listed once. */
static bool list_relations(Chooser *chooser, Error *error)
{
    const Clusters *clusters = chooser->in.clusters;
    Source *source = clusters->source;

    return chooser->facts.data_bytes != 0 ||
           source->operations->list(source, clusters->shape.version, add_relation_bytes, chooser,
                                    error);
}

/* A FactFetcher for START_UNKNOWN_RELATIONS. */
static bool fetch_relations(Chooser *chooser, const StartDecision *decision, Error *error)
{
    StartFacts *facts = &chooser->facts;

    (void) decision;
    facts->relations_listed = true;
    if (!list_relations(chooser, error))
        return false;
    facts->relations_bytes = facts->data_bytes;
    facts->bytes_per_second = source_wal_fetch_rate(chooser->in.source_wal);
    return true;
}

/* A FactFetcher for START_UNKNOWN_CHECKPOINT. */
static bool fetch_checkpoint(Chooser *chooser, const StartDecision *decision, Error *error)
{
    StartFacts *facts = &chooser->facts;
    const Clusters *clusters = chooser->in.clusters;
    const Divergence *divergence = chooser->in.divergence;
    /* The target itself has the WAL from the last common checkpoint to the divergence. */
    const Lsn from = facts->early < divergence->common_checkpoint.checkpoint.redo ? facts->early
                                                                                  : divergence->lsn;
    const NeededWal needed = {.from = from,
                              .size = facts->wal_end - from,
                              .segment_size = clusters->shape.segment_size,
                              .in_summaries = summaries_are_of_use(chooser)};
    Error problem;

    (void) decision;
    facts->weighs_checkpoint = false; /* now, or never */
    if (!ask_role(chooser, error) || !list_relations(chooser, error))
        return false;
    facts->checkpoint_weighed =
        chooser->role_known &&
        source_server_keeps_wal(clusters->source, &needed, &facts->keeps_wal, &problem);
    return facts->checkpoint_weighed || !chooser->role_known || does_without(&problem, error);
}

/* Position from which WAL before the late start is read. */
static Lsn changes_from(const StartFacts *facts)
{
    return facts->changes_end != LSN_INVALID ? facts->changes_end : facts->early;
}

/* A FactFetcher for START_UNKNOWN_ROOM_TO_READ: room for each part of the WAL before the late
 * start, in addition to the WAL that is replayed from the late start on. */
static bool fetch_room_to_read(Chooser *chooser, const StartDecision *decision, Error *error)
{
    StartFacts *facts = &chooser->facts;
    const SourceWal *wal = chooser->in.source_wal;
    const uint64_t beside = source_wal_room_to_read(wal, changes_from(facts), facts->late);

    (void) decision;
    (void) error;
    facts->room_to_read =
        source_wal_check_space(wal, facts->late, chooser->start->wal_end, beside, NULL) ? ANSWER_YES
                                                                                        : ANSWER_NO;
    return true;
}

static void add_databases(Arena *arena, const ScanDatabase *more, size_t count, ScanResult *changes)
{
    ScanDatabase *databases =
        arena_allocate(arena, (changes->database_count + count + 1) * sizeof(*databases));

    if (changes->database_count > 0)
        memcpy(databases, changes->databases, changes->database_count * sizeof(*databases));
    if (count > 0)
        memcpy(databases + changes->database_count, more, count * sizeof(*databases));
    changes->databases = databases;
    changes->database_count += count;
}

/* Note the relfilenodes that the source created or dropped before a late start. A summary does not
 * tell created relfilenodes from changed ones, nor from dropped ones, so all that a summary names
 * are noted as created. */
static void note_made_before(const Chooser *chooser, const BlockMap *blocks)
{
    BlockMap *made_before = chooser->start->made_before;
    const BlockMapRelation *relation;

    for (size_t at = 0; (relation = blockmap_next(blocks, &at)) != NULL;)
    {
        if (relation->storage_lsn != LSN_INVALID)
            blockmap_storage_changed(made_before, relation->id, relation->storage_lsn);
        else if (chooser->facts.changes_by_summaries)
            blockmap_storage_changed(made_before, relation->id, chooser->summaries.end);
        if (relation->dropped_lsn != LSN_INVALID)
            blockmap_dropped(made_before, relation->id, relation->dropped_lsn);
    }
}

/*
 * Add the blocks that the source changed before a late start to those that the target changed:
 * replay from the late start does not rebuild them, so they are fetched. `scanned` is the scan of
 * the source's WAL from the early start on (before it both sides are identical), or from the end of
 * the WAL that was added before. (Rule C36.)
 */
static bool add_source_changes(Chooser *chooser, const ScanResult *scanned, Error *error)
{
    RecoveryStart *start = chooser->start;

    if (!scan_check_known_updates(chooser->in.clusters->shape.version, scanned, error))
        return false;
    if (start->owned_blocks == NULL)
    {
        start->owned_blocks = blockmap_copy(chooser->in.changes->scanned.blocks);
        start->made_before = blockmap_create();
        start->changes = chooser->in.changes->scanned;
        start->changes.blocks = start->owned_blocks;
        start->whole_from = start->earliest.redo;
    }
    note_made_before(chooser, scanned->blocks);
    blockmap_forget_forks(scanned->blocks); /* the map lists what the target created or dropped */
    blockmap_merge(start->owned_blocks, scanned->blocks);
    add_databases(chooser->arena, scanned->databases, scanned->database_count, &start->changes);
    return true;
}

static bool add_scanned(Chooser *chooser, Error *error)
{
    const bool result =
        chooser->scan == NULL || add_source_changes(chooser, &chooser->scanned, error);

    scan_destroy(chooser->scan);
    chooser->scan = NULL;
    return result;
}

/* A FactFetcher for START_UNKNOWN_CHANGES. The changes found are added to start->changes once the
 * late start is chosen, or more WAL is read. */
static bool fetch_changes(Chooser *chooser, const StartDecision *decision, Error *error)
{
    StartFacts *facts = &chooser->facts;
    const SourceSummaries *summaries = &chooser->summaries;
    SourceWalReading reading = {
        .from = changes_from(facts), .end = facts->late, .once = decision->reads_once};

    if (facts->changes_end == LSN_INVALID && decision->way == START_BY_SUMMARIES)
    {
        const ScanResult scanned = {.blocks = summaries->blocks,
                                    .databases = summaries->databases,
                                    .database_count = summaries->database_count};

        log_debug("the source's WAL summaries tell what it changed before its last checkpoint");
        facts->changes_end = summaries->end;
        facts->changes_by_summaries = true;
        return add_source_changes(chooser, &scanned, error);
    }
    if (!add_scanned(chooser, error) ||
        (reading.once &&
         !source_wal_remove_before(chooser->in.source_wal, facts->early, reading.from, error)))
        return false;
    if (!source_wal_read(chooser->in.source_wal, &reading, &chooser->scan, &chooser->scanned,
                         error))
    {
        chooser->scan = NULL;
        facts->changes_missing = reading.missing_end != LSN_INVALID;
        return facts->changes_missing;
    }
    chooser->scanned_once = reading.once;
    facts->changes_end = facts->late;
    facts->changes_bytes = blockmap_block_count(chooser->scanned.blocks) *
                           chooser->in.clusters->target.control.block_size;
    facts->bytes_per_second = source_wal_fetch_rate(chooser->in.source_wal);
    return true;
}

/* ---- The loop that fetches unknown facts ---- */

typedef bool (*FactFetcher)(Chooser *chooser, const StartDecision *decision, Error *error);

static const FactFetcher fetchers[] = {
    [START_UNKNOWN_LATER] = fetch_later_start,   [START_UNKNOWN_SUMMARIES] = fetch_summaries,
    [START_UNKNOWN_ROOM] = fetch_room,           [START_UNKNOWN_WAL] = fetch_wal_there,
    [START_UNKNOWN_REPLAY] = fetch_replay,       [START_UNKNOWN_CHECKPOINT] = fetch_checkpoint,
    [START_UNKNOWN_RELATIONS] = fetch_relations, [START_UNKNOWN_ROOM_TO_READ] = fetch_room_to_read,
    [START_UNKNOWN_CHANGES] = fetch_changes,
};

/* Add a hint that names a command which makes a later start possible. */
static bool error_hint_checkpoint(const Chooser *chooser, Error *error)
{
    const Options *options = chooser->in.options;

    if (options->checkpoint >= CHECKPOINT_AUTO && chooser->start->source.position.in_recovery)
        return error_hint(error, "A standby makes no later checkpoint than its primary's last one: "
                                 "run CHECKPOINT on the primary, then run pg_rewind again.");
    if (!chooser->in.clusters->source->is_server)
        return error_hint(error, "Start the source, run CHECKPOINT there, and stop it; then run "
                                 "pg_rewind again.");
    return error_hint(error, "Add --checkpoint: pg_rewind then runs CHECKPOINT on the source.\n"
                             "One that is run before may remove WAL that the target needs.");
}

static bool error_refused(const Chooser *chooser, const StartDecision *decision, Error *error)
{
    switch (decision->refusal)
    {
    case START_LACKS_ROOM:
        return error_copy(error, &chooser->lacks_room[decision->late]);
    case START_REPLAY_WRONG:
        error_copy(error, &chooser->hazard.error);
        return error_hint_checkpoint(chooser, error);
    case START_EARLY_ONLY:
        error_copy(error, &chooser->missing);
        return error_hint(error, "Without --early-start recovery can start at a later checkpoint "
                                 "of the source; all blocks are compared then.");
    default:
        error_copy(error, &chooser->missing);
        return error_hint_checkpoint(chooser, error);
    }
}

static bool decide_start(Chooser *chooser, StartDecision *decision, Error *error)
{
    for (;;)
    {
        *decision = start_decide(&chooser->facts);
        if (decision->refusal != START_NOT_REFUSED)
            return error_refused(chooser, decision, error);
        if (decision->unknown == START_DECIDED ||
            (chooser->foretells && decision->unknown >= START_UNKNOWN_REPLAY))
            return true;
        if (!fetchers[decision->unknown](chooser, decision, error))
            return false;
    }
}

static Chooser chooser_begin(const StartInput *input, Arena *arena, RecoveryStart *start,
                             bool foretells)
{
    const Control *control = &input->source->control;
    const Divergence *divergence = input->divergence;
    const Options *options = input->options;
    Chooser chooser = {
        .in = *input, .arena = arena, .foretells = foretells, .start = start, .facts = {0}};
    Start late;

    *start = (RecoveryStart){
        .source = *input->source, .whole_from = divergence->lsn, .advice = {.arena = arena}};
    start->earliest = options->compare ? start_of_source(control)
                                       : start_early(&divergence->common_checkpoint, control);
    start->chosen = start->earliest;
    start->wal_end = source_state_wal_end(input->source, divergence->lsn);
    chooser.facts = (StartFacts){
        .asks_early = options->early_start,
        .asks_late = options->late_start,
        .makes_checkpoint = options->checkpoint == CHECKPOINT_YES,
        .makes_what_pays = options->checkpoint == CHECKPOINT_AUTO,
        .weighs_checkpoint = !foretells && input->clusters->source->is_server &&
                             options->checkpoint != CHECKPOINT_NO,
        .expects_checkpoint =
            options->checkpoint == CHECKPOINT_YES && (options->dry_run || foretells),
        .does_without_room = options->dry_run && !foretells,
        .compares = options->compare,
        .changes_unknown = divergence->changes_unknown,
        .archives = input->archives,
        .divergence = divergence->lsn,
        .early = start->earliest.redo,
        .early_opens_at_once =
            input->changes != NULL && start_opening(&start->earliest, &input->changes->scanned,
                                                    divergence->lsn) == OPENING_AT_ONCE,
        .wal_end = start->wal_end,
        .in_recovery = input->source->position.in_recovery,
    };
    if (divergence->changes_unknown)
        error_no_proof_before(input->clusters, divergence->lsn, &chooser.missing);
    if (start_late(control, divergence->lsn, LSN_INVALID, &late))
        note_late(&chooser, &late);
    return chooser;
}

bool recovery_start_foretell(const StartInput *input, Arena *arena, bool has_room,
                             StartForetold *foretold, Error *error)
{
    RecoveryStart start;
    Chooser chooser = chooser_begin(input, arena, &start, true);
    const StartFacts *facts = &chooser.facts;
    StartDecision decision;
    bool result;

    chooser.has_room = has_room;
    result = decide_start(&chooser, &decision, error);
    source_summaries_free(&chooser.summaries);
    *foretold = (StartForetold){.lacks_room = decision.refusal == START_LACKS_ROOM};
    if (facts->compares)
        return result;
    /* With --late-start the decision does not depend on whether WAL exists, but foretold->replayed
     * does. */
    if (result && !facts->wal_was_looked_for && !facts->changes_unknown &&
        !facts->summaries_replace_gone_wal && !fetch_wal_there(&chooser, &decision, error))
        return false;
    foretold->segment = chooser.first_segment;
    if (result && facts->summaries_replace_gone_wal)
        foretold->replayed = REPLAYED_WAL_IN_SUMMARIES;
    else if (facts->changes_unknown || facts->missing_end != LSN_INVALID)
        foretold->replayed =
            decision.refusal == START_EARLY_ONLY || decision.refusal == START_WAL_MISSING
                ? REPLAYED_WAL_MISSING
                : REPLAYED_WAL_NOT_NEEDED;
    else if (facts->wal_was_looked_for)
        foretold->replayed = chooser.wal_is_gone ? REPLAYED_WAL_OF_ARCHIVE : REPLAYED_WAL_OF_SOURCE;
    return result;
}

/* ---- The choice ---- */

/* Let the plan find the changes of both sides by comparing all blocks: list no changed block, and
 * remove WAL before the late start. */
static bool leave_to_comparing(Chooser *chooser, Error *error)
{
    RecoveryStart *start = chooser->start;

    blockmap_destroy(start->owned_blocks);
    start->owned_blocks = blockmap_create();
    start->changes = (ScanResult){.blocks = start->owned_blocks};
    /* made_before may have the first part of that WAL only. */
    blockmap_destroy(start->made_before);
    start->made_before = NULL;
    return source_wal_remove_before(chooser->in.source_wal, start->earliest.redo,
                                    start->chosen.redo, error);
}

static bool begin_late(Chooser *chooser, const StartDecision *decision, Error *error)
{
    RecoveryStart *start = chooser->start;

    log_debug("recovery starts late, at the source's checkpoint %s",
              LSN_TEXT(chooser->in.clusters->shape.version, start->chosen.checkpoint));
    start->wal_from = decision->keeps_wal ? start->earliest.redo : start->chosen.redo;
    if (chooser->facts.compares)
    {
        /* The blocks are compared later than this start, so comparing finds all changes before it:
         * nothing earlier is needed. */
        start->earliest = start->chosen;
        return true;
    }
    if (decision->way == START_BY_COMPARING)
        return leave_to_comparing(chooser, error);
    return add_scanned(chooser, error) &&
           (decision->way == START_BY_SUMMARIES || decision->keeps_wal || chooser->scanned_once ||
            source_wal_remove_before(chooser->in.source_wal, start->earliest.redo,
                                     start->chosen.redo, error));
}

/* Fill in the RecoveryStart for the decision. The WAL that was read last may be that of the other
 * start: the chosen start's WAL is then read again. */
static bool begin_chosen(Chooser *chooser, const StartDecision *decision, Error *error)
{
    RecoveryStart *start = chooser->start;
    const Version *version = chooser->in.clusters->shape.version;
    const Options *options = chooser->in.options;
    const ReplayFacts *replay =
        decision->late ? &chooser->facts.late_replay : &chooser->facts.early_replay;

    start->choice =
        (StartChoice){.late = decision->late,
                      .compares = chooser->facts.compares || decision->way == START_BY_COMPARING,
                      .reason = decision->reason,
                      .late_redo = decision->late_redo,
                      .estimate = decision->estimate,
                      .checkpoint = start->choice.checkpoint,
                      .checkpoint_made = start->choice.checkpoint_made};
    if (decision->is_expected)
    {
        /* A dry run expects the checkpoint that the rewind will make: it will lie past all present
         * WAL, so none of this WAL is needed. */
        start->wal_from = start->wal_end;
        return chooser->facts.compares || leave_to_comparing(chooser, error);
    }
    if (start->chosen.redo != (decision->late ? chooser->late : start->earliest).redo)
    {
        if (!fetch_replay(chooser, decision, error))
            return false;
        if (replay->missing_end != LSN_INVALID)
            return error_copy(error, &chooser->missing);
    }
    start->lack = chooser->lacks_room[decision->late];
    start->copies_are_replayed = chooser->hazard.found && chooser->hazard.copies_are_identical;
    /* Replay of a file copy reads the template's blocks before later records write them whole:
     * those blocks must be fetched. */
    if (start->copies_are_replayed)
    {
        blockmap_destroy(start->rebuilt);
        start->rebuilt = NULL;
    }
    if (decision->late)
        return begin_late(chooser, decision, error);
    start->wal_from = start->earliest.redo;
    if (decision->early_opens_sooner)
        log_info("recovery starts at the last common checkpoint: from the source's last one the "
                 "target would take no connections at first");
    /* From PostgreSQL 12 on, -R writes the settings as high as replay needs them. */
    replay_hazard_advise_on_settings(version, chooser->hazard.origin_drop_lsn,
                                     options->write_recovery_conf &&
                                             version->recovery_settings != RECOVERY_CONF
                                         ? LSN_INVALID
                                         : chooser->hazard.former_limits_lsn,
                                     &start->advice);
    advice_add_to_problems(&start->advice, true, NULL);
    return true;
}

/* Advise a checkpoint if one would pay. Called before the rewind, while the user can still
 * interrupt. */
static void advise_checkpoint(const Chooser *chooser)
{
    StartChoice *choice = &chooser->start->choice;
    const CheckpointEstimate estimate = start_weigh_checkpoint(&chooser->facts);
    const double gain = estimate.replay_seconds - estimate.seconds;

    if (choice->checkpoint_made)
        return;
    choice->checkpoint = estimate;
    if (start_spares_checkpoint(&chooser->facts))
        log_info("not running CHECKPOINT on the source: it could then remove WAL that the rewind "
                 "needs, and comparing all blocks would take longer");
    if (!estimate.pays || chooser->told_of_checkpoint)
        return;
    if (chooser->facts.may_checkpoint)
        log_info("the target will replay the source's WAL for about %.0f s when it starts; with "
                 "--checkpoint=auto it would be ready about %.0f s sooner",
                 estimate.replay_seconds, gain);
    else
        log_info("the target will replay the source's WAL for about %.0f s when it starts; a "
                 "checkpoint on the source would make it ready about %.0f s sooner, but the role "
                 "may not run CHECKPOINT",
                 estimate.replay_seconds, gain);
}

/* Report parts of the choice that users who wait for the standby can act on. */
static void tell_of_choice(const Chooser *chooser)
{
    const RecoveryStart *start = chooser->start;
    const StartFacts *facts = &chooser->facts;
    const StartEstimate *estimate = &start->choice.estimate;

    if (start->opens_later)
    {
        log_warning("the target will take no connections when it starts");
        log_detail(
            "A transaction with more than 64 subtransactions, which may be prepared, runs on "
            "the source since before the checkpoint where the target's recovery starts. The "
            "target replays WAL, and takes connections once that transaction has ended.");
    }
    if (chooser->in.divergence->changes_unknown)
        log_info(
            "comparing all blocks with the source's, %llu MB: the target lacks some of its WAL, "
            "and none proves that both have the same history before %s",
            (unsigned long long) (estimate->compared_bytes / MEGABYTE),
            LSN_TEXT(chooser->in.clusters->shape.version, chooser->in.divergence->lsn));
    else if (start->choice.compares && chooser->in.changes != NULL &&
             (facts->missing_end != LSN_INVALID || facts->changes_missing))
        log_info("comparing all blocks with the source's, %llu MB: some of its WAL since the last "
                 "common checkpoint no longer exists",
                 (unsigned long long) (estimate->compared_bytes / MEGABYTE));
    else if (start->choice.compares && facts->room_to_read == ANSWER_NO)
        log_info("comparing all blocks with the source's, %llu MB: there is too little space to "
                 "read its WAL since the last common checkpoint",
                 (unsigned long long) (estimate->compared_bytes / MEGABYTE));
    else if (start->choice.compares && chooser->in.changes != NULL)
        log_info("comparing all blocks with the source's, %llu MB, rather than reading %llu MB of "
                 "its WAL",
                 (unsigned long long) (estimate->compared_bytes / MEGABYTE),
                 (unsigned long long) (estimate->fetched_bytes / MEGABYTE));
}

bool recovery_start_choose(const StartInput *input, Arena *arena, RecoveryStart *start,
                           Error *error)
{
    Chooser chooser = chooser_begin(input, arena, start, false);
    StartDecision decision;
    bool chosen;

    memcpy(start->needed.limits, input->source->control.limits, sizeof(start->needed.limits));
    if (input->changes != NULL)
        start->changes = input->changes->scanned;
    else
        start->changes.blocks = start->owned_blocks = blockmap_create();
    chosen = decide_start(&chooser, &decision, error) && begin_chosen(&chooser, &decision, error);
    source_summaries_free(&chooser.summaries);
    scan_destroy(chooser.scan);
    if (chosen)
    {
        tell_of_choice(&chooser);
        advise_checkpoint(&chooser);
    }
    return chosen;
}

void recovery_start_free(RecoveryStart *start)
{
    blockmap_destroy(start->rebuilt);
    blockmap_destroy(start->made);
    blockmap_destroy(start->owned_blocks);
    blockmap_destroy(start->made_before);
    *start = (RecoveryStart){0};
}
