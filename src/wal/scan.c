#include "wal/scan.h"

#include "base/array.h"
#include "wal/chain.h"
#include "wal/summary.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

struct WalScan
{
    Chain *chain;
    bool ended_at_limit;
};

WalScan *scan_create(const WalStream *stream, int jobs, Lsn floor_at_most)
{
    WalScan *scan = memory_allocate_zeroed(1, sizeof(WalScan));

    scan->chain = chain_create(stream, jobs, floor_at_most);
    return scan;
}

void scan_destroy(WalScan *scan)
{
    if (scan == NULL)
        return;
    chain_destroy(scan->chain);
    free(scan);
}

bool scan_forward(WalScan *scan, Lsn from, Lsn *end, Lsn *last, bool *missing, char *reason,
                  Error *error)
{
    Lsn limit = scan->chain->stream->limit;
    ChainEnd chain_end;

    if (!chain_read_forward(scan->chain, from, &chain_end, error))
        return false;
    /* A record that was given up, with none after it, is not where WAL ends. */
    *end = scan->chain->last_lsn != LSN_INVALID ? scan->chain->next_lsn : from;
    *last = scan->chain->last_lsn;
    *missing = chain_end.missing;
    scan->ended_at_limit =
        !chain_end.missing && limit != LSN_INVALID && chain_end.invalid_lsn >= limit;
    if (reason != NULL)
        memcpy(reason, chain_end.reason, sizeof(chain_end.reason));
    return true;
}

BlockMap *scan_take_rebuilt(WalScan *scan, ScanResult *result)
{
    BlockMap *rebuilt = result->rebuilt;

    if (rebuilt != NULL)
        scan->chain->rebuilt = NULL;
    result->rebuilt = NULL;
    return rebuilt;
}

const WalStream *scan_stream(const WalScan *scan)
{
    return scan->chain->stream;
}

bool scan_ended_at_limit(const WalScan *scan)
{
    return scan->ended_at_limit;
}

static bool is_wanted(const ScanCheckpoint *found, const ScanCheckpointWanted *wanted)
{
    uint32_t next_xid = (uint32_t) found->checkpoint.next_xid;

    return found->lsn < wanted->before &&
           (wanted->not_after == LSN_INVALID || found->lsn <= wanted->not_after) &&
           (wanted->redo_not_after == LSN_INVALID ||
            found->checkpoint.redo <= wanted->redo_not_after) &&
           (wanted->next_xid_not_after == 0 || !xid_precedes(wanted->next_xid_not_after, next_xid));
}

static bool find_checkpoint_in(const Summary *summary, const ScanCheckpointWanted *wanted,
                               ScanCheckpoint *found)
{
    const ScanCheckpoint *items = (const ScanCheckpoint *) summary->checkpoints.bytes;

    for (size_t i = summary->checkpoints.size / sizeof(*items); i > 0; i--)
    {
        *found = items[i - 1];
        if (is_wanted(found, wanted))
            return true;
    }
    return false;
}

bool scan_find_checkpoint(WalScan *scan, const ScanCheckpointWanted *wanted, ScanCheckpoint *found,
                          Error *error)
{
    Chain *chain = scan->chain;

    if (!chain->begun)
    {
        chain->begun = true;
        chain->first_segment = wal_segment_before(&chain->stream->shape, wanted->before) + 1;
    }
    for (size_t i = chain_count(chain);;)
    {
        for (; i > 0; i--)
            if (find_checkpoint_in(chain_at(chain, i - 1), wanted, found))
                return true;
        const size_t searched = chain_count(chain);
        if (!chain_read_back(chain, error))
            return false;
        /* The same number: the lowest segment is now complete, and is searched again. */
        i = chain_count(chain) > searched ? chain_count(chain) - searched : 1;
    }
}

typedef struct RecordAt
{
    const Version *version;
    Lsn wanted;
    Lsn start;      /* of the last record that starts at or before it */
    bool is_switch; /* and ends its segment early */
} RecordAt;

static bool find_record_start(void *context, const WalRecord *record, Error *error)
{
    RecordAt *at = context;
    WalEvent event = {.kind = WAL_EVENT_NONE};

    if (record->lsn > at->wanted)
        return true;
    if (record->rmgr == RM_XLOG && !walrecord_event(at->version, record, &event, error))
        return false;
    at->start = record->lsn;
    at->is_switch = event.kind == WAL_EVENT_SWITCH;
    return true;
}

static bool find_record_at(WalScan *scan, Lsn lsn, RecordAt *at, Error *error)
{
    const WalStream *stream = scan->chain->stream;
    char text[LSN_TEXT_SIZE];

    *at = (RecordAt){.version = stream->shape.version, .wanted = lsn};

    for (uint64_t segment = wal_segment_of(&stream->shape, lsn); segment > 0; segment--)
    {
        WalSegmentFacts facts;

        if (!wal_read_segment(stream, segment, LSN_INVALID, find_record_start, at, &facts, error))
            return false;
        scan->chain->bytes_read += facts.bytes;
        /* A last record without a known end reaches to the next one. */
        bool read = facts.end == WAL_SEGMENT_COMPLETE || lsn < facts.next_lsn;
        if (at->start != LSN_INVALID && read)
            return true;
        if (read)
            continue;
        if (facts.end == WAL_SEGMENT_MISSING)
        {
            error_missing_wal(stream, facts.missing_timeline, facts.missing_segment, error);
            return error_detail(error, "could not read WAL record at %s",
                                lsn_text(stream->shape.version, lsn, text)); /* contract */
        }
        error_set(error, ERROR_FAILED, "could not read WAL record at %s: %s",
                  lsn_text(stream->shape.version, lsn, text), facts.reason); /* contract */
        return error_damaged_wal(stream, wal_segment_of(&stream->shape, facts.invalid_lsn), error);
    }
    error_set(error, ERROR_FAILED, "could not read WAL record at %s",
              lsn_text(stream->shape.version, lsn, text)); /* contract */
    return error_damaged_wal(stream, wal_segment_of(&stream->shape, lsn), error);
}

bool scan_record_at(WalScan *scan, Lsn lsn, Lsn *start, Error *error)
{
    RecordAt at;

    if (!find_record_at(scan, lsn, &at, error))
        return false;
    *start = at.start;
    return true;
}

bool scan_is_behind_switch(WalScan *scan, Lsn lsn, bool *after, Error *error)
{
    const WalShape *shape = &scan->chain->stream->shape;
    RecordAt at;
    uint64_t segment;
    Lsn end;

    if (!find_record_at(scan, lsn, &at, error))
        return false;
    /* Its bytes, which are only a header, and may continue after that of the next page. */
    end = at.start + walrecord_header_size(shape->version);
    if (end / shape->block_size != at.start / shape->block_size && end % shape->block_size != 0)
        end += wal_header_size_at(shape, end - end % shape->block_size);
    segment = wal_segment_of(shape, end - 1);
    *after = at.is_switch && lsn >= end && wal_segment_of(shape, lsn) == segment;
    return true;
}

/* ---- The result ---- */

/* The chain as floor and divergence cut it. */
typedef struct Cut
{
    const Chain *chain;
    Lsn floor;
    Lsn divergence;    /* at or after floor */
    Summary *at_floor; /* read again with the floor; NULL: not needed */
    Summary *at_divergence;
    size_t first; /* index of the floor's segment, or of the first one after it */
} Cut;

/* A chain's segment read again with limits, unless the limits leave all of it. NULL and true: not
 * needed. */
static bool read_cut(Chain *chain, Lsn lsn, Lsn floor, Lsn divergence, Summary **cut, Error *error)
{
    uint64_t segment = wal_segment_of(&chain->stream->shape, lsn);
    size_t count = chain_count(chain);

    *cut = NULL;
    if (count == 0)
        return true;
    uint64_t lowest = chain_at(chain, 0)->facts.segment;
    if (segment < lowest || segment - lowest >= count)
        return true;
    const Summary *whole = chain_at(chain, (size_t) (segment - lowest));
    if (whole->facts.record_count == 0 || whole->facts.first_lsn >= lsn)
        return true;
    *cut = summary_read(chain->stream, segment, whole->from, floor, divergence, error);
    if (*cut == NULL)
        return false;
    chain->bytes_read += (*cut)->facts.bytes;
    return true;
}

static bool cut_chain(Chain *chain, Lsn floor, Lsn divergence, Cut *cut, Error *error)
{
    const WalShape *shape = &chain->stream->shape;
    uint64_t floor_segment = wal_segment_of(shape, floor);

    *cut = (Cut){.chain = chain, .floor = floor, .divergence = divergence};
    if (cut->divergence < floor)
        cut->divergence = floor;
    bool together = wal_segment_of(shape, cut->divergence) == floor_segment;
    if (!read_cut(chain, floor, floor, together ? cut->divergence : LSN_INVALID, &cut->at_floor,
                  error))
        return false;
    if (cut->at_floor == NULL || !together)
    {
        if (!read_cut(chain, cut->divergence, floor, cut->divergence, &cut->at_divergence, error))
        {
            summary_destroy(cut->at_floor);
            return false;
        }
    }
    while (cut->first < chain_count(chain) &&
           chain_at(chain, cut->first)->facts.segment < floor_segment)
        cut->first++;
    return true;
}

/* The summary of a segment that counts, except for commits. */
static const Summary *from_floor(const Cut *cut, size_t index)
{
    const Summary *summary = chain_at(cut->chain, index);

    if (cut->at_floor != NULL && cut->at_floor->facts.segment == summary->facts.segment)
        return cut->at_floor;
    return summary;
}

/* The summary of a segment that counts for commits; NULL: its commits do not count. */
static const Summary *from_divergence(const Cut *cut, size_t index)
{
    const Summary *summary = from_floor(cut, index);
    uint64_t segment = summary->facts.segment;

    if (cut->at_divergence != NULL && cut->at_divergence->facts.segment == segment)
        return cut->at_divergence;
    return segment < wal_segment_of(&cut->chain->stream->shape, cut->divergence) ? NULL : summary;
}

/* Put the maps of all segments that count into the whole. */
static void merge_blocks(Chain *chain, const Cut *cut)
{
    for (size_t i = cut->first; i < chain_count(chain); i++)
    {
        Summary *summary = chain_at(chain, i);
        const Summary *counted = from_floor(cut, i);

        if (counted != summary)
            chain_merge(chain, counted, true);
        else if (summary->blocks != NULL)
        {
            chain->kept_memory -= blockmap_memory(summary->blocks);
            chain_take_blocks(chain, summary, true);
        }
    }
}

static void sum_commits(const Cut *cut, ScanResult *result)
{
    for (size_t i = cut->first; i < chain_count(cut->chain); i++)
    {
        const Summary *summary = from_divergence(cut, i);

        if (summary == NULL)
            continue;
        uint32_t lowest = summary->lowest_committed_xid;
        if (lowest != 0 && (result->lowest_committed_xid == 0 ||
                            xid_precedes(lowest, result->lowest_committed_xid)))
            result->lowest_committed_xid = lowest;
        if (summary->commit_count == 0)
            continue;
        if (result->commit_count == 0 || summary->first_commit_time < result->first_commit_time)
            result->first_commit_time = summary->first_commit_time;
        if (result->commit_count == 0 || summary->last_commit_time > result->last_commit_time)
            result->last_commit_time = summary->last_commit_time;
        if (result->commit_count == 0)
            result->first_commit_lsn = summary->first_commit_lsn;
        result->commit_count += summary->commit_count;
    }
}

/* The last list of running transactions between floor and divergence. */
static uint32_t oldest_running(const Cut *cut)
{
    uint64_t divergence_segment = wal_segment_of(&cut->chain->stream->shape, cut->divergence);
    uint32_t oldest = 0;

    for (size_t i = cut->first; i < chain_count(cut->chain); i++)
    {
        const Summary *summary = from_divergence(cut, i);

        if (summary == NULL)
            summary = from_floor(cut, i);
        else if (summary->facts.segment > divergence_segment ||
                 summary->divergence != cut->divergence)
            break; /* its first record is already after the divergence */
        if (summary->oldest_running_xid != 0)
            oldest = summary->oldest_running_xid;
    }
    return oldest;
}

static void sum_flags(const Cut *cut, ScanResult *result)
{
    for (size_t i = cut->first; i < chain_count(cut->chain); i++)
    {
        const Summary *summary = from_floor(cut, i);

        result->record_count += summary->record_count;
        result->full_page_writes_off |= summary->full_page_writes_off;
        result->custom_rmgr_seen |= summary->custom_rmgr_seen;
        if (summary->next_oid != 0)
            result->next_oid = summary->next_oid;
        if (result->unknown_relation_update_at == LSN_INVALID &&
            summary->unknown_lsn != LSN_INVALID)
        {
            result->unknown_relation_update_at = summary->unknown_lsn;
            result->unknown_rmgr = summary->unknown_rmgr;
            result->unknown_info = summary->unknown_info;
        }
    }
}

/* Join the lists of all segments, one after another, in the arena. offset is that of the Buffer in
 * Summary. */
static void *join_lists(const Cut *cut, Arena *arena, size_t offset, size_t item_size,
                        size_t *count)
{
    size_t size = 0;
    size_t position = 0;

    for (size_t i = cut->first; i < chain_count(cut->chain); i++)
        size += ((const Buffer *) ((const char *) from_floor(cut, i) + offset))->size;
    *count = size / item_size;
    uint8_t *items = arena_allocate(arena, size == 0 ? 1 : size);
    for (size_t i = cut->first; i < chain_count(cut->chain); i++)
    {
        const Buffer *list = (const Buffer *) ((const char *) from_floor(cut, i) + offset);
        if (list->size > 0)
            memcpy(items + position, list->bytes, list->size);
        position += list->size;
    }
    return items;
}

static int compare_xids(const void *a, const void *b)
{
    const uint32_t x = *(const uint32_t *) a, y = *(const uint32_t *) b;

    return (x > y) - (x < y);
}

static void join_prepared(const Cut *cut, Arena *arena, ScanResult *result)
{
    size_t finished_count;
    uint32_t *finished =
        join_lists(cut, arena, offsetof(Summary, finished), sizeof(uint32_t), &finished_count);

    qsort(finished, finished_count, sizeof(uint32_t), compare_xids);
    result->prepared = join_lists(cut, arena, offsetof(Summary, prepared), sizeof(ScanPrepared),
                                  &result->prepared_count);
    for (size_t i = 0; i < result->prepared_count; i++)
    {
        ScanPrepared *prepared = &result->prepared[i];

        prepared->gid = arena_strdup(arena, prepared->gid);
        array_search(&prepared->xid, finished, finished_count, sizeof(uint32_t), compare_xids,
                     &prepared->finished);
    }
}

static void join_all_lists(const Cut *cut, Arena *arena, ScanResult *result)
{
    result->databases = join_lists(cut, arena, offsetof(Summary, databases), sizeof(ScanDatabase),
                                   &result->database_count);
    result->tablespaces = join_lists(cut, arena, offsetof(Summary, tablespaces),
                                     sizeof(ScanTablespace), &result->tablespace_count);
    result->checkpoints = join_lists(cut, arena, offsetof(Summary, checkpoints),
                                     sizeof(ScanCheckpoint), &result->checkpoint_count);
    result->running = join_lists(cut, arena, offsetof(Summary, running), sizeof(ScanRunning),
                                 &result->running_count);
    result->parameters = join_lists(cut, arena, offsetof(Summary, parameters),
                                    sizeof(ScanParameters), &result->parameter_count);
    result->hint_images = join_lists(cut, arena, offsetof(Summary, hint_images), sizeof(Lsn),
                                     &result->hint_image_count);
    for (size_t i = 0; i < result->tablespace_count; i++)
        if (result->tablespaces[i].path != NULL)
            result->tablespaces[i].path = arena_strdup(arena, result->tablespaces[i].path);
}

/* The server was down from the floor to lsn: the floor is a shutdown checkpoint, and no other lies
 * between. */
static bool was_down_until(const ScanResult *result, Lsn floor, Lsn lsn)
{
    const ScanCheckpoint *first = result->checkpoints;

    return result->checkpoint_count > 0 && first->lsn == floor && floor < lsn && !first->online &&
           (result->checkpoint_count == 1 || first[1].lsn >= lsn);
}

/*
 * A change record holds the new values only. The first one may have changed what it does not show
 * to have been right before; that it was right is known if a record before it proves it, or if the
 * server was down up to it.
 */
static void judge_parameters(Lsn floor, ScanResult *result)
{
    const ScanParameters *changes = result->parameters;

    if (result->parameter_count == 0)
        return;
    Lsn first = changes[0].lsn;
    bool down = was_down_until(result, floor, first);

    result->wal_level_proven =
        down || (result->running_count > 0 && result->running[0].lsn <= first);
    if (!down && (result->hint_image_count == 0 || result->hint_images[0] > first))
        result->hints_not_logged_at = first;
    if (!result->wal_level_proven)
        result->wal_minimal_at = first;
    for (size_t i = 0; i < result->parameter_count; i++)
    {
        if (result->hints_not_logged_at == LSN_INVALID && !changes[i].log_hints)
            result->hints_not_logged_at = changes[i].lsn;
        if (result->wal_minimal_at == LSN_INVALID && changes[i].wal_level == 0)
            result->wal_minimal_at = changes[i].lsn;
        if (result->minimal_record_at == LSN_INVALID && changes[i].wal_level == 0)
            result->minimal_record_at = changes[i].lsn;
    }
}

bool scan_finish(WalScan *scan, Arena *arena, Lsn floor, Lsn divergence, ScanResult *result,
                 Error *error)
{
    Chain *chain = scan->chain;
    uint64_t floor_segment = wal_segment_of(&chain->stream->shape, floor);
    Cut cut;

    assert(chain->begun);
    while (chain->first_segment - chain->before_count > floor_segment ||
           (chain_first_is_partial(chain) && chain->ahead[0]->from > floor))
        if (!chain_read_back(chain, error))
            return false;
    if (!cut_chain(chain, floor, divergence, &cut, error))
        return false;
    memset(result, 0, sizeof(*result));
    merge_blocks(chain, &cut);
    sum_flags(&cut, result);
    sum_commits(&cut, result);
    result->oldest_running_xid = oldest_running(&cut);
    join_prepared(&cut, arena, result);
    join_all_lists(&cut, arena, result);
    judge_parameters(floor, result);
    result->blocks = chain->blocks;
    if (!result->custom_rmgr_seen && result->unknown_relation_update_at == LSN_INVALID)
        result->rebuilt = chain->rebuilt;
    result->wal_bytes = chain->bytes_read;
    summary_destroy(cut.at_floor);
    summary_destroy(cut.at_divergence);
    return true;
}

bool scan_check_known_updates(const Version *version, const ScanResult *scanned, Error *error)
{
    char text[LSN_TEXT_SIZE];

    if (scanned->unknown_relation_update_at == LSN_INVALID)
        return true;
    return error_set(error, ERROR_FAILED, /* contract */
                     "WAL record modifies a relation, but record type is not recognized: lsn: %s, "
                     "rmid: %d, rmgr: %s, info: %02X",
                     lsn_text(version, scanned->unknown_relation_update_at, text),
                     scanned->unknown_rmgr, walrecord_rmgr_name(scanned->unknown_rmgr),
                     scanned->unknown_info);
}
