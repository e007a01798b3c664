#include "recovery_start/recovery_start.h"

#include "base/wait.h"
#include "base/log.h"
#include "format/relpath.h"
#include "wal_store/source_summaries.h"

#include <string.h>

#define MEGABYTE (1024 * 1024)
#define LATER_STARTS_MAX 3 /* after a hazard; each lies past it */

/* No more WAL than this before a late start is kept for a second rewind, towards another source, of
 * a target that was never started; its cost is not worth a word. */
#define KEPT_BEFORE_LATE ESTIMATE_WAL_MIN

/* The choice while it is made. */
typedef struct Chooser
{
    StartInput in;
    Arena *arena;
    RecoveryStart *start;
    ReplayHazard hazard;       /* of replay from start->chosen */
    SourceSummaries summaries; /* with start->by_summaries */
    Lsn added_to;     /* what the source changed from the early start up to here is in own_blocks;
                         LSN_INVALID: nothing */
    Lsn missing_end;  /* of a missing segment, where reading failed because of it; LSN_INVALID: it
                         did not */
    bool lacks_wal;   /* WAL before the late start is nowhere, so all blocks are compared */
    bool lacks_room;  /* the disk has no room for the WAL from the early start on */
    bool cannot_read; /* it has none to read the WAL before the late start either: likewise */
    bool told_of_checkpoint; /* that a dry run makes none */
} Chooser;

/* ---- The start that is chosen, or looked at ---- */

/* Note what storage the source has made or dropped since the divergence, by the WAL that is
 * replayed. */
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
 * A server that stays at level minimal makes no record of that. Where the target was started at
 * another level right after the last common checkpoint, a stop, the source may have gone on at
 * minimal until its first record of the level: replay would empty what it filled without WAL, and
 * not fill it again.
 */
static void find_unknown_level(Chooser *chooser, const ScanResult *chain)
{
    ReplayHazard *hazard = &chooser->hazard;
    const TargetChanges *changes = chooser->in.changes;

    if (changes == NULL || !changes->scanned.wal_level_from_stop || chain->parameter_count == 0 ||
        chain->wal_level_proven)
        return;
    /* The checkpoint of the stop before that record is late enough. */
    replay_hazard_add(hazard, chooser->start->chosen.redo);
    error_set(&hazard->error, ERROR_FAILED,
              "source server may have run with \"wal_level = minimal\"");
    error_detail(&hazard->error,
                 "No WAL tells its level before %s, in the WAL that the rewound target would "
                 "replay: changes made at that level were not WAL-logged.",
                 LSN_TEXT(chooser->in.clusters->shape.version, chain->parameters[0].lsn));
}

/*
 * The rewound target's server reads the source's history file. Where that lacks its oldest
 * timelines, recovery cannot start on one of them, nor on a page that begins on one: "requested
 * timeline is not a child of this server's history", "unexpected timeline ID".
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

/* Is there room for the WAL from start->chosen on? A dry run goes on to find out how much is needed
 * in all. */
static bool check_room_for_start(const Chooser *chooser, Error *error)
{
    RecoveryStart *start = chooser->start;
    Error why;

    start->lack = (Error){0};
    if (source_wal_check_space(chooser->in.source_wal, start->chosen.redo, start->wal_end, 0, &why))
        return true;
    if (!chooser->in.options->dry_run || why.kind != ERROR_FAILED)
        return error_copy(error, &why);
    start->lack = why;
    return true;
}

/* Read the WAL that is replayed from start->chosen on. */
static bool read_replayed(Chooser *chooser, Error *error)
{
    RecoveryStart *start = chooser->start;
    SourceWalReading reading = {.from = start->chosen.redo};
    ScanResult chain;
    WalScan *scan;
    bool result;

    chooser->missing_end = LSN_INVALID;
    /* The checkpoint may be later than all that was read. */
    start->wal_end = source_state_wal_end(&start->source, chooser->in.divergence->lsn);
    reading.end = start->wal_end;
    if (!check_room_for_start(chooser, error))
        return false;
    result = source_wal_read(chooser->in.source_wal, &reading, &scan, &chain, error);
    chooser->missing_end = reading.missing_end;
    if (!result)
        return false;
    result = replay_hazard_find(chooser->in.clusters, &start->source, chooser->in.options,
                                scan->stream, &chain, &chooser->hazard, error);
    if (result)
    {
        find_unknown_level(chooser, &chain);
        find_unknown_timeline(chooser);
    }
    memcpy(start->limits, chooser->hazard.limits, sizeof(start->limits));
    start->opens_later = start_opening(&start->chosen, &chain, start->wal_end) == OPENING_LATER;
    blockmap_destroy(start->rebuilt);
    start->rebuilt = scan->rebuilt;
    scan->rebuilt = NULL;
    start->rebuilt_end = reading.last_end;
    note_made(chooser, chain.blocks);
    start->prepared = chain.prepared;
    start->prepared_count = chain.prepared_count;
    scan_destroy(scan);
    return result;
}

/* True if replay from start->chosen is wrong. Copies of databases that come out right are not. */
static bool is_hazardous(const Chooser *chooser)
{
    return chooser->hazard.found && !chooser->hazard.copies_come_out_right;
}

/* Add what makes a later start possible. */
static bool error_hint_checkpoint(const Chooser *chooser, Error *error)
{
    const Options *options = chooser->in.options;

    if (options->checkpoint && chooser->start->source.position.in_recovery)
        return error_hint(error, "A standby makes no later checkpoint than its primary's last one: "
                                 "run CHECKPOINT on the primary, then run pg_rewind again.");
    if (!chooser->in.clusters->source->is_server)
        return error_hint(error, "Start the source, run CHECKPOINT there, and stop it; then run "
                                 "pg_rewind again.");
    return error_hint(error, "Run CHECKPOINT on the source, then run pg_rewind again.\n"
                             "With --checkpoint pg_rewind runs it itself.");
}

/*
 * Look for a late start past that record (LSN_INVALID: any). With --checkpoint one is made. A dry
 * run makes none, and goes on without it.
 */
static bool find_late_start(Chooser *chooser, Lsn record, Start *late, bool *there, Error *error)
{
    SourceState *state = &chooser->start->source;
    Source *source = chooser->in.clusters->source;
    const Lsn divergence = chooser->in.divergence->lsn;

    *there = start_late(&state->control, divergence, record, late);
    if (*there || !chooser->in.options->checkpoint)
        return true;
    if (chooser->in.options->dry_run)
    {
        if (chooser->told_of_checkpoint)
            return true;
        chooser->told_of_checkpoint = true;
        log_info("not running CHECKPOINT on the source in a dry run: less would be replayed, and "
                 "more copied, than is planned now");
        return true;
    }
    log_info("running CHECKPOINT on the source");
    /* The one exception to invariant 6, asked for by name. */
    if (!source_server_checkpoint(source, error) ||
        !source_state_read_again(source, state, state, error))
        return false;
    *there = start_late(&state->control, divergence, record, late);
    return true;
}

/* ---- What the source changed before a late start ---- */

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

/* Note what storage the source has made or dropped before a late start. A summary does not tell
 * whether it was made: all that it names counts. */
static void note_made_before(RecoveryStart *start, const BlockMap *blocks)
{
    const BlockMapRelation *relation;

    for (size_t at = 0; (relation = blockmap_next(blocks, &at)) != NULL;)
        if (relation->storage_lsn != LSN_INVALID || start->by_summaries)
            blockmap_storage_changed(start->made_before, relation->id, start->chosen.redo);
}

/*
 * Blocks that the source touched before a late start are not rebuilt by replay. They count like
 * those that the target touched. Before the early start both sides are one. `scanned` is of
 * the source's WAL from the early start on, or from where such WAL ended that was added before.
 */
static bool add_source_changes(Chooser *chooser, const ScanResult *scanned, Lsn end, Error *error)
{
    RecoveryStart *start = chooser->start;

    if (!scan_check_known_updates(chooser->in.clusters->shape.version, scanned, error))
        return false;
    if (start->own_blocks == NULL)
    {
        start->own_blocks = blockmap_copy(chooser->in.changes->scanned.blocks);
        start->made_before = blockmap_create();
        start->changes = chooser->in.changes->scanned;
        start->changes.blocks = start->own_blocks;
        start->whole_from = start->earliest.redo;
    }
    note_made_before(start, scanned->blocks);
    blockmap_forget_forks(scanned->blocks); /* which ones the target has made is asked for later */
    blockmap_merge(start->own_blocks, scanned->blocks);
    add_databases(chooser->arena, scanned->databases, scanned->database_count, &start->changes);
    chooser->added_to = end;
    return true;
}

static bool keeps_wal_before_late(const Chooser *chooser)
{
    const RecoveryStart *start = chooser->start;

    return !start->by_summaries && !start->choice.compares && !chooser->lacks_room &&
           start->chosen.redo - start->earliest.redo <= KEPT_BEFORE_LATE;
}

/* The plan finds by comparing what the source changed before the late start, and what the target
 * changed. */
static bool leave_to_comparing(Chooser *chooser, Error *error)
{
    RecoveryStart *start = chooser->start;

    blockmap_destroy(start->own_blocks);
    start->own_blocks = blockmap_create();
    start->changes = (ScanResult){.blocks = start->own_blocks};
    return source_wal_remove_before(chooser->in.source_wal, start->earliest.redo,
                                    start->chosen.redo, error);
}

typedef struct Relations
{
    const VersionDirectory *version_directory;
    uint64_t bytes; /* of main forks */
} Relations;

/* A SourceFileVisitor. */
static bool add_relation_bytes(void *context, const SourceFile *file, Error *error)
{
    Relations *relations = context;
    RelationFile relation;

    (void) error;
    if (file->type == FILE_REGULAR &&
        relpath_parse(relations->version_directory, file->path, &relation) &&
        relation.fork == FORK_MAIN)
        relations->bytes += file->size;
    return true;
}

/* Estimate a late start with all blocks compared. How many of them differ is not known: half is
 * between none and all. */
static bool estimate_comparing(const Chooser *chooser, StartEstimate *estimate, Error *error)
{
    const RecoveryStart *start = chooser->start;
    const Clusters *clusters = chooser->in.clusters;
    Source *source = clusters->source;
    Relations relations = {&clusters->target.control.version_directory, 0};

    if (!source->operations->list(source, clusters->shape.version, add_relation_bytes, &relations,
                                  error))
        return false;
    *estimate = (StartEstimate){.wal_bytes = start->chosen.redo - start->earliest.redo,
                                .fetched_bytes = start->chosen.redo - start->earliest.redo,
                                .block_bytes = relations.bytes / 2,
                                .compared_bytes = relations.bytes,
                                .bytes_per_second = source_wal_fetch_rate(chooser->in.source_wal)};
    return true;
}

/* All blocks are compared, since the WAL before the late start is nowhere, or cannot be read for
 * want of room. Where that start was to be weighed, it is now the only one; summaries may have led
 * to that WAL. */
static bool compare_without_wal(Chooser *chooser, Error *error)
{
    RecoveryStart *start = chooser->start;

    if (start->choice.reason == START_ESTIMATE)
        start->choice.reason = START_NO_WAL;
    start->by_summaries = false;
    start->choice.compares = true;
    chooser->lacks_wal = !chooser->cannot_read;
    return estimate_comparing(chooser, &start->choice.estimate, error);
}

/* Note that all blocks are compared if that costs less than reading the WAL before the late start;
 * where cost decides, also less than the early start. */
static bool prefer_comparing(Chooser *chooser, Error *error)
{
    RecoveryStart *start = chooser->start;
    StartChoice *choice = &start->choice;
    StartEstimate comparing;

    if (start->chosen.redo - start->earliest.redo < ESTIMATE_WAL_MUCH)
        return true;
    if (!estimate_comparing(chooser, &comparing, error))
        return false;
    if (!estimate_prefers_comparing(comparing.wal_bytes, comparing.compared_bytes))
        return true;
    if (choice->reason == START_ESTIMATE && !estimate_prefers_late(&comparing))
        return true;
    choice->compares = true;
    choice->estimate = comparing;
    return true;
}

/* True if the WAL before the late start can be read, each part of it beside the WAL that is
 * replayed from there. */
static bool has_room_to_read(const Chooser *chooser, const SourceWalReading *reading)
{
    const SourceWal *wal = chooser->in.source_wal;

    return source_wal_check_space(wal, chooser->start->chosen.redo, chooser->start->wal_end,
                                  source_wal_room_to_read(wal, reading->from, reading->end), NULL);
}

/*
 * Read what lies before the late start, as far as it was not read yet, and add it. Where cost
 * decides, this is decided now: the blocks are known, and the early start needs the same WAL, which
 * is kept until then. Where some of it is nowhere, or cannot even be read in parts beside the WAL
 * that is replayed, all blocks are compared.
 */
static bool read_before_late(Chooser *chooser, Error *error)
{
    RecoveryStart *start = chooser->start;
    StartChoice *choice = &start->choice;
    const bool weighs = choice->reason == START_ESTIMATE && !start->by_summaries;
    SourceWalReading reading = {
        .from = chooser->added_to != LSN_INVALID ? chooser->added_to : start->earliest.redo,
        .end = start->chosen.redo,
        .once = !weighs && !keeps_wal_before_late(chooser),
    };
    ScanResult scanned;
    WalScan *scan;
    bool result;

    /* All of it was added before. Where nothing was, this goes on though nothing may lie between
     * the two starts: the early one's own blocks become ours. */
    if (chooser->added_to >= start->chosen.redo)
        return true;
    if (reading.once && !source_wal_remove_before(chooser->in.source_wal, start->earliest.redo,
                                                  reading.from, error))
        return false;
    /* After a hazard it is on the disk. */
    chooser->cannot_read = reading.once && choice->reason != START_HAZARD &&
                           start->lack.kind == ERROR_NONE && !has_room_to_read(chooser, &reading);
    if (chooser->cannot_read)
        return compare_without_wal(chooser, error);
    if (!source_wal_read(chooser->in.source_wal, &reading, &scan, &scanned, error))
        return reading.missing_end != LSN_INVALID && compare_without_wal(chooser, error);
    if (weighs)
    {
        choice->estimate =
            (StartEstimate){.wal_bytes = start->chosen.redo - start->earliest.redo,
                            .block_bytes = blockmap_block_count(scanned.blocks) *
                                           chooser->in.clusters->target.control.block_size,
                            .bytes_per_second = source_wal_fetch_rate(chooser->in.source_wal)};
        choice->late = estimate_prefers_late(&choice->estimate);
    }
    result = !choice->late || add_source_changes(chooser, &scanned, start->chosen.redo, error);
    scan_destroy(scan);
    return result && (!weighs || !choice->late || keeps_wal_before_late(chooser) ||
                      source_wal_remove_before(chooser->in.source_wal, start->earliest.redo,
                                               start->chosen.redo, error));
}

/* By summaries, where they say enough; by comparing, where it costs less than reading; or by WAL.
 * After a hazard the WAL is here, or the way is the one of the start that was chosen before. */
static bool find_source_changes(Chooser *chooser, Error *error)
{
    RecoveryStart *start = chooser->start;
    StartChoice *choice = &start->choice;
    const SourceSummaries *summaries = &chooser->summaries;

    if (start->by_summaries && chooser->added_to == LSN_INVALID)
    {
        const ScanResult scanned = {.blocks = summaries->blocks,
                                    .databases = summaries->databases,
                                    .database_count = summaries->database_count};

        choice->late = choice->reason != START_ESTIMATE || estimate_prefers_late(&choice->estimate);
        if (!choice->late)
            return true;
        log_debug("the source's WAL summaries tell what it changed before its last checkpoint");
        if (!add_source_changes(chooser, &scanned, summaries->end, error))
            return false;
    }
    else if (!choice->compares && choice->reason != START_HAZARD &&
             !prefer_comparing(chooser, error))
        return false;
    return choice->compares || !choice->late || read_before_late(chooser, error);
}

/* ---- The decision ---- */

/* True if the standby would take no connections at first from the late start, but would from the
 * early one. The common WAL, which the target has, is enough to judge the early one. */
static bool opens_sooner_from_early(const Chooser *chooser)
{
    const RecoveryStart *start = chooser->start;

    if (!start->opens_later || start_opening(&start->earliest, &chooser->in.changes->scanned,
                                             chooser->in.divergence->lsn) != OPENING_AT_ONCE)
        return false;
    log_info("recovery starts at the last common checkpoint: from the source's last one the target "
             "would take no connections at first");
    return true;
}

/*
 * Recovery starts there, unless only cost speaks for it and that turns out to be no less, or
 * something else speaks for the early start: then choice.late is false afterwards. Past this start
 * replay may do something wrong as well: chooser->hazard.
 */
static bool take_late_start(Chooser *chooser, const Start *late, StartReason reason, Error *error)
{
    RecoveryStart *start = chooser->start;
    StartChoice *choice = &start->choice;
    const bool weighs = reason == START_ESTIMATE;
    Error why = {0};
    bool read;

    start->chosen = *late;
    choice->late = true;
    choice->reason = reason;
    choice->late_redo = late->redo;
    read = read_replayed(chooser, &why);
    if (!read && (!weighs || chooser->missing_end == LSN_INVALID))
    {
        error_copy(error, &why);
        return chooser->missing_end != LSN_INVALID && error_hint_checkpoint(chooser, error);
    }
    /* The early start needs the WAL after this one as well, and replays it. */
    if (weighs && (!read || is_hazardous(chooser) || opens_sooner_from_early(chooser)))
    {
        *choice = (StartChoice){0};
        return true;
    }
    /* With --compare nothing is compared yet. It is compared with what the source has done before
     * this start. */
    if (chooser->in.changes == NULL)
        start->earliest = start->chosen;
    else if (!find_source_changes(chooser, error))
        return false;
    if (!choice->late)
        return true;
    log_debug("recovery starts late, at the source's checkpoint %s",
              LSN_TEXT(chooser->in.clusters->shape.version, late->checkpoint));
    if (chooser->in.changes != NULL && choice->compares && !leave_to_comparing(chooser, error))
        return false;
    start->wal_from = keeps_wal_before_late(chooser) ? start->earliest.redo : start->chosen.redo;
    return true;
}

/*
 * WAL from the early start on, up to chooser->missing_end, is nowhere, or does not tell what the
 * target has changed. A late start needs none of
 * what lies before it, if all blocks are compared. The source may have made it since the run began,
 * and removed that WAL then. *error says what is missing; where there is no such start, also what
 * would help.
 */
static bool start_without_wal(Chooser *chooser, Error *error)
{
    RecoveryStart *start = chooser->start;
    Start late = start->earliest;
    bool there;
    Error why = {0};

    if (chooser->in.options->early_start)
        return error_hint(error, "Without --early-start recovery can start at a later checkpoint "
                                 "of the source; all blocks are compared then.");
    if (!source_state_read_again(chooser->in.clusters->source, &start->source, &start->source,
                                 &why) ||
        !find_late_start(chooser, chooser->missing_end - 1, &late, &there, &why))
        return error_copy(error, &why);
    if (!there && !(chooser->in.options->checkpoint && chooser->in.options->dry_run))
        return error_hint_checkpoint(chooser, error);
    start->chosen = late;
    start->choice.reason = START_NO_WAL;
    if (chooser->in.changes != NULL && !compare_without_wal(chooser, error))
        return false;
    if (there)
        return take_late_start(chooser, &late, START_NO_WAL, error);
    /* The checkpoint that the rewind would make: no WAL before its end is needed. */
    start->wal_from = start->wal_end;
    return chooser->in.changes == NULL || leave_to_comparing(chooser, error);
}

static bool read_from_early(Chooser *chooser, Error *error)
{
    chooser->start->chosen = chooser->start->earliest;
    chooser->start->by_summaries = false;
    return read_replayed(chooser, error) ||
           (chooser->missing_end != LSN_INVALID && start_without_wal(chooser, error));
}

static bool start_without_changes(Chooser *chooser, Error *error)
{
    chooser->missing_end = chooser->in.divergence->lsn;
    error_no_proof_before(chooser->in.clusters, chooser->missing_end, error);
    return start_without_wal(chooser, error);
}

/* Set *gone if the source has removed WAL before `end`. */
static bool find_wal_gone(const Chooser *chooser, Lsn end, bool *gone, Error *error)
{
    uint64_t segment;
    Lsn gone_end;

    if (!source_wal_find_gone(chooser->in.source_wal, chooser->start->earliest.redo, end, &segment,
                              &gone_end, error))
        return false;
    *gone = gone_end != LSN_INVALID;
    return true;
}

/* Find out before anything is fetched whether the WAL from the early start on is anywhere: archives
 * are asked for the first segments that are gone from the source. *missing says which are nowhere,
 * chooser->missing_end where they end; LSN_INVALID: none is known to be. */
static bool find_missing_wal(Chooser *chooser, Error *missing, Error *error)
{
    const WalShape *shape = &chooser->in.clusters->shape;
    const Lsn end = chooser->start->wal_end;
    SourceWal *wal = chooser->in.source_wal;
    uint64_t segment;
    Lsn gone_end;

    chooser->missing_end = LSN_INVALID;
    if (!source_wal_find_gone(wal, chooser->start->earliest.redo, end, &segment, &gone_end, error))
        return false;
    return gone_end == LSN_INVALID ||
           source_wal_check_there(wal, wal_segment_start(shape, segment),
                                  wal_segment_start(shape, segment + 1), end, &chooser->missing_end,
                                  missing) ||
           chooser->missing_end != LSN_INVALID || error_copy(error, missing);
}

/*
 * Set start->by_summaries if the source's summaries tell what it changed before that start: of WAL
 * that is gone, or of so much that sparing it pays. The rest of the WAL before it is read.
 */
static bool read_summaries(Chooser *chooser, const Start *late, bool *gone, Error *error)
{
    RecoveryStart *start = chooser->start;
    const Clusters *clusters = chooser->in.clusters;
    SourceSummaries *summaries = &chooser->summaries;
    const Lsn from = start->earliest.redo, divergence = chooser->in.divergence->lsn;
    uint64_t spared, rest;

    *gone = false;
    if (!clusters->shape.version->has_wal_summaries || late->redo <= from)
        return true;
    if (chooser->in.divergence->rests_on_histories)
    {
        log_debug("the source's WAL summaries are not read: no WAL proves that both have the same "
                  "history before %s",
                  LSN_TEXT(clusters->shape.version, divergence));
        return true;
    }
    if (!source_summaries_read(clusters, from, late->redo, summaries, error))
        return false;
    /* A summary may lack what a record of a custom resource manager does to a relation. */
    if (summaries->end < divergence || chooser->in.changes->scanned.custom_rmgr_seen)
        return true;
    if (!find_wal_gone(chooser, summaries->end, gone, error))
        return false;
    spared = summaries->end - from;
    rest = late->redo > summaries->end ? late->redo - summaries->end : 0;
    start->by_summaries = *gone || (spared > KEPT_BEFORE_LATE && rest <= KEPT_BEFORE_LATE);
    if (start->by_summaries)
        start->choice.estimate = (StartEstimate){
            .wal_bytes = late->redo - from,
            .fetched_bytes = spared,
            .block_bytes = rest + blockmap_block_count(summaries->blocks) *
                                      clusters->target.control.block_size,
            .bytes_per_second = source_wal_fetch_rate(chooser->in.source_wal),
        };
    return true;
}

/* The late start that can be had: at the source's last checkpoint, or at one that --checkpoint
 * makes: where --late-start needs it, and where much WAL was written since the last one. */
static bool find_first_late(Chooser *chooser, Start *late, bool *there, Error *error)
{
    const RecoveryStart *start = chooser->start;
    const Options *options = chooser->in.options;
    Lsn last_redo;
    bool later;

    if (options->late_start)
        return find_late_start(chooser, LSN_INVALID, late, there, error);
    *there = start_late(&start->source.control, chooser->in.divergence->lsn, LSN_INVALID, late);
    last_redo = *there ? late->redo : start->earliest.redo;
    if (!options->checkpoint || options->early_start || chooser->in.archives ||
        chooser->in.changes == NULL || start->source.position.in_recovery ||
        start->wal_end < last_redo + ESTIMATE_WAL_MUCH)
        return true;
    if (!find_late_start(chooser, start->wal_end - 1, late, &later, error))
        return false;
    *there = *there || later;
    return true;
}

/*
 * Early or late: the first of these that holds. Neither what is read later changes it, nor what
 * happens later, but that replay would go wrong, or that WAL is nowhere.
 */
static bool decide_start(Chooser *chooser, Error *error)
{
    RecoveryStart *start = chooser->start;
    const Options *options = chooser->in.options;
    Start late;
    bool there, cheaper, gone = false;
    Error why = {0}, missing;

    if (chooser->in.divergence->changes_unknown)
        return start_without_changes(chooser, error);
    if (!find_first_late(chooser, &late, &there, error))
        return false;
    if (there && chooser->in.changes != NULL && !options->early_start &&
        !read_summaries(chooser, &late, &gone, error))
        return false;
    chooser->lacks_room = !source_wal_check_space(chooser->in.source_wal, start->earliest.redo,
                                                  start->wal_end, 0, &why);
    if (there && options->late_start)
        return take_late_start(chooser, &late, START_ASKED, error);
    if (gone)
        return take_late_start(chooser, &late, START_NO_WAL, error);
    if (!find_missing_wal(chooser, &missing, error))
        return false;
    if (chooser->missing_end != LSN_INVALID)
    {
        error_copy(error, &missing);
        return start_without_wal(chooser, error);
    }
    cheaper = there && chooser->in.changes != NULL &&
              start_may_be_cheaper(chooser->in.clusters->shape.version, &start->earliest, &late);
    if (chooser->lacks_room)
    {
        if (!cheaper || options->early_start)
            return options->dry_run || error_copy(error, &why);
        log_debug("%s", why.message);
        return take_late_start(chooser, &late, START_SPACE, error);
    }
    if (!cheaper)
        return true;
    start->choice.late_redo = late.redo;
    if (options->early_start)
        start->choice.reason = START_ASKED;
    else if (chooser->in.archives)
        start->choice.reason = START_ARCHIVE;
    else
        return take_late_start(chooser, &late, START_ESTIMATE, error);
    return true;
}

/* ---- Replay that would go wrong ---- */

/* A primary that has copied a database makes a checkpoint at once, and one that was promoted makes
 * its first, but takes its time: wait for that. */
static bool wait_for_late_start(Chooser *chooser, Lsn after, Start *late, bool *there, Error *error)
{
    SourceState *state = &chooser->start->source;
    Source *source = chooser->in.clusters->source;
    Wait wait = wait_begin(chooser->in.options->wait_timeout_seconds);

    if (!find_late_start(chooser, after, late, there, error))
        return false;
    if (*there || chooser->in.options->checkpoint || !chooser->hazard.checkpoint_follows ||
        state->position.in_recovery || !source->is_server)
        return true;
    log_info("waiting for the source's next checkpoint; CHECKPOINT there ends the wait");
    while (!wait_until(*there, &wait, error))
    {
        if (!source_state_read_again(source, state, state, error))
            return false;
        *there = start_late(&state->control, chooser->in.divergence->lsn, after, late);
    }
    return !wait.stopped;
}

/* A start past what the source's server could only replay with settings that it had then. */
static bool pass_former_limits(Chooser *chooser, Error *error)
{
    const Lsn limits = chooser->hazard.former_limits_lsn;
    const Lsn origins = chooser->hazard.origin_drop_lsn;
    const Lsn last = limits > origins ? limits : origins;
    bool there = false;
    Start late;

    if (chooser->start->choice.late || last == LSN_INVALID)
        return true;
    if (!chooser->in.options->early_start && !find_late_start(chooser, last, &late, &there, error))
        return false;
    if (there)
        return take_late_start(chooser, &late, START_HAZARD, error);
    if (origins != LSN_INVALID)
        replay_hazard_warn_of_origins(chooser->in.clusters->shape.version, origins);
    /* From 12 on -R writes them as high as replay needs them. */
    if (limits == LSN_INVALID ||
        (chooser->in.options->write_recovery_conf &&
         chooser->in.clusters->shape.version->recovery_settings != RECOVERY_CONF))
        return true;
    log_warning("the target's server may end during recovery with the source's present settings");
    log_detail("Up to %s the source had a higher max_connections, max_prepared_transactions or "
               "another limit that replay needs.",
               LSN_TEXT(chooser->in.clusters->shape.version, limits));
    log_hint("If it ends, raise the setting that its log names until it has replayed that WAL.");
    return true;
}

static bool choose(Chooser *chooser, Error *error)
{
    RecoveryStart *start = chooser->start;
    const ReplayHazard *hazard = &chooser->hazard;

    if (!decide_start(chooser, error) ||
        (!start->choice.late && !read_from_early(chooser, error)) ||
        !pass_former_limits(chooser, error))
        return false;
    for (int i = 0; i < LATER_STARTS_MAX; i++)
    {
        Lsn after = hazard->lsn;
        Start late;
        bool there;

        if (!hazard->found || (start->choice.late && hazard->copies_come_out_right))
            break;
        if (start->choice.late && start->chosen.redo > after)
            after = start->chosen.redo;
        if (!wait_for_late_start(chooser, after, &late, &there, error))
            return false;
        if (!there)
            break;
        if (!take_late_start(chooser, &late, START_HAZARD, error))
            return false;
    }
    start->copies_are_replayed = hazard->found && hazard->copies_come_out_right;
    /* A dry run may lack the checkpoint that the rewind would make. */
    if (!is_hazardous(chooser) || (chooser->in.options->checkpoint && chooser->in.options->dry_run))
        return true;
    error_copy(error, &hazard->error);
    return error_hint_checkpoint(chooser, error);
}

/* Users who wait for the standby can do something about it. */
static void tell_of_choice(const Chooser *chooser)
{
    const RecoveryStart *start = chooser->start;
    const StartEstimate *estimate = &start->choice.estimate;
    const uint64_t replayed = start->wal_end - start->chosen.redo;

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
    else if (chooser->lacks_wal)
        log_info("comparing all blocks with the source's, %llu MB: some of its WAL since the last "
                 "common checkpoint no longer exists",
                 (unsigned long long) (estimate->compared_bytes / MEGABYTE));
    else if (chooser->cannot_read)
        log_info("comparing all blocks with the source's, %llu MB: there is too little space to "
                 "read its WAL since the last common checkpoint",
                 (unsigned long long) (estimate->compared_bytes / MEGABYTE));
    else if (start->choice.compares && chooser->in.changes != NULL)
        log_info("comparing all blocks with the source's, %llu MB, rather than reading %llu MB of "
                 "its WAL",
                 (unsigned long long) (estimate->compared_bytes / MEGABYTE),
                 (unsigned long long) (estimate->fetched_bytes / MEGABYTE));
    else if (start->choice.reason == START_NO_OTHER && replayed >= ESTIMATE_WAL_MUCH &&
             !chooser->in.options->checkpoint && chooser->in.clusters->source->is_server &&
             !start->source.position.in_recovery && chooser->in.changes != NULL)
        log_info("the target will replay %llu MB of the source's WAL when it starts; with "
                 "--checkpoint it may be ready sooner",
                 (unsigned long long) (replayed / MEGABYTE));
}

bool recovery_start_choose(const StartInput *input, Arena *arena, RecoveryStart *start,
                           Error *error)
{
    Chooser chooser = {.in = *input, .arena = arena, .start = start};
    const Control *control = &input->source->control;
    bool chosen;

    *start = (RecoveryStart){.source = *input->source, .whole_from = input->divergence->lsn};
    memcpy(start->limits, control->limits, sizeof(start->limits));
    if (input->changes != NULL)
    {
        start->earliest = start_early(&input->divergence->common_checkpoint, control);
        start->changes = input->changes->scanned;
    }
    else
    {
        start->earliest = start_of_source(control);
        start->changes.blocks = start->own_blocks = blockmap_create();
        start->choice.compares = true;
    }
    start->chosen = start->earliest;
    start->wal_from = start->earliest.redo;
    start->wal_end = source_state_wal_end(input->source, input->divergence->lsn);
    chosen = choose(&chooser, error);
    source_summaries_free(&chooser.summaries);
    if (!chosen)
        return false;
    /* Replay that copies files reads blocks before their own records restore them. */
    if (start->copies_are_replayed)
    {
        blockmap_destroy(start->rebuilt);
        start->rebuilt = NULL;
    }
    tell_of_choice(&chooser);
    return true;
}

void recovery_start_free(RecoveryStart *start)
{
    blockmap_destroy(start->rebuilt);
    blockmap_destroy(start->made);
    blockmap_destroy(start->own_blocks);
    blockmap_destroy(start->made_before);
    *start = (RecoveryStart){0};
}
