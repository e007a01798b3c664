#include "wal/scan.h"

#include "base/log.h"
#include "base/workers.h"
#include "wal/summary.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORWARD_BATCH_BYTES ((uint64_t) 64 * 1024 * 1024)
#define FORWARD_BATCH_MAX 64

/* Maps of single segments are kept apart up to this size; then they are merged, wanted or not. */
#define KEPT_MAPS_MAX ((size_t) 64 * 1024 * 1024)

/*
 * The summaries make one chain of segments: `ahead` from first_segment on, `behind` down from the one before it. Each
 * is linked to its neighbour by position and xl_prev when it is taken in.
 */
struct WalScan
{
    const WalStream *stream;
    int jobs;
    Lsn floor_at_most;
    bool begun;
    bool ended_at_limit;
    uint64_t first_segment;
    Summary **ahead;
    size_t ahead_count;
    Summary **behind;
    size_t behind_count;
    Lsn first_lsn; /* of the chain's first record; LSN_INVALID: it has none */
    Lsn first_prev;
    Lsn last_lsn; /* of its last record */
    Lsn next_lsn; /* where one would follow */
    BlockMap *blocks;
    size_t kept_memory; /* of maps that are not in blocks yet */
    uint64_t bytes_read;
};

WalScan *scan_create(const WalStream *stream, int jobs, Lsn floor_at_most)
{
    WalScan *scan = memory_allocate_zeroed(1, sizeof(WalScan));

    scan->stream = stream;
    scan->jobs = jobs < 1 ? 1 : jobs;
    scan->floor_at_most = floor_at_most;
    scan->blocks = blockmap_create();
    return scan;
}

void scan_destroy(WalScan *scan)
{
    if (scan == NULL)
        return;
    for (size_t i = 0; i < scan->ahead_count; i++)
        summary_destroy(scan->ahead[i]);
    for (size_t i = 0; i < scan->behind_count; i++)
        summary_destroy(scan->behind[i]);
    free(scan->ahead);
    free(scan->behind);
    blockmap_destroy(scan->blocks);
    free(scan);
}

static const char *lsn_shown(const WalScan *scan, Lsn lsn, char text[LSN_TEXT_SIZE])
{
    return lsn_text(scan->stream->shape.version, lsn, text);
}

/* The chain in order: 0 is the lowest segment. */
static size_t summary_count(const WalScan *scan)
{
    return scan->behind_count + scan->ahead_count;
}

static Summary *summary_at(const WalScan *scan, size_t index)
{
    return index < scan->behind_count ? scan->behind[scan->behind_count - 1 - index]
                                      : scan->ahead[index - scan->behind_count];
}

static void append_summary(Summary ***list, size_t *count, Summary *summary)
{
    if ((*count & (*count + 1)) == 0) /* room for 2^n - 1 is used up */
        *list = memory_resize(*list, (*count * 2 + 1) * sizeof(Summary *));
    (*list)[(*count)++] = summary;
}

/* Hand a segment's map over to the whole, unless the floor may cut it. */
static void take_blocks(WalScan *scan, Summary *summary)
{
    uint64_t floor_segment = wal_segment_of(&scan->stream->shape, scan->floor_at_most);
    size_t memory = blockmap_memory(summary->blocks);

    if (summary->facts.segment <= floor_segment && scan->kept_memory + memory <= KEPT_MAPS_MAX)
    {
        scan->kept_memory += memory;
        return;
    }
    blockmap_merge(scan->blocks, summary->blocks);
    blockmap_destroy(summary->blocks);
    summary->blocks = NULL;
}

/* --- Batches: segments read at the same time ------------------------------------------------------------------- */

typedef struct Batch
{
    const WalStream *stream;
    uint64_t segment; /* of item 0 */
    bool backward;    /* item 1 is the segment before, else the one behind */
    Lsn from;         /* for item 0; LSN_INVALID: all of it */
    size_t count;
    Summary **summaries; /* NULL: failed, or not read */
    Error **errors;      /* looked at in order: what lies beyond the end of WAL cannot hurt */
    atomic_size_t last;  /* items behind it are not needed any more */
} Batch;

static bool read_item(void *context, int worker, size_t item, Error *error)
{
    Batch *batch = context;
    uint64_t segment = batch->backward ? batch->segment - item : batch->segment + item;
    size_t last = atomic_load(&batch->last);

    (void) worker;
    (void) error;
    if (item > last)
        return true;
    Error *failure = memory_allocate_zeroed(1, sizeof(Error));
    Summary *summary = summary_read(batch->stream, segment, item == 0 ? batch->from : LSN_INVALID,
                                    LSN_INVALID, LSN_INVALID, failure);
    batch->summaries[item] = summary;
    if (summary == NULL)
        batch->errors[item] = failure;
    else
    {
        progress_add(summary->facts.bytes);
        free(failure);
    }
    if (summary == NULL || summary->facts.end != WAL_SEGMENT_COMPLETE)
        while (item < last && !atomic_compare_exchange_weak(&batch->last, &last, item))
            ;
    return true;
}

static void batch_free(Batch *batch)
{
    for (size_t i = 0; i < batch->count; i++)
    {
        summary_destroy(batch->summaries[i]);
        free(batch->errors[i]);
    }
    free(batch->summaries);
    free(batch->errors);
}

static bool batch_read(WalScan *scan, Batch *batch, Error *error)
{
    batch->stream = scan->stream;
    batch->summaries = memory_allocate_zeroed(batch->count, sizeof(Summary *));
    batch->errors = memory_allocate_zeroed(batch->count, sizeof(Error *));
    atomic_init(&batch->last, batch->count - 1);
    if (!workers_run(scan->jobs, batch->count, read_item, batch, error))
        return false;
    for (size_t i = 0; i < batch->count; i++)
        if (batch->summaries[i] != NULL)
            scan->bytes_read += batch->summaries[i]->facts.bytes;
    return true;
}

/* The summary of an item, the caller's from now on. NULL: the error with which it failed. */
static Summary *batch_take(Batch *batch, size_t item, Error *error)
{
    Summary *summary = batch->summaries[item];

    batch->summaries[item] = NULL;
    if (summary == NULL)
    {
        assert(batch->errors[item] != NULL);
        *error = *batch->errors[item];
    }
    return summary;
}

/* --- Forward ---------------------------------------------------------------------------------------------------- */

/* Where reading forward ended. */
typedef struct ForwardEnd
{
    bool reached;
    bool missing;
    uint64_t missing_segment;
    Timeline missing_timeline;
    Lsn invalid_lsn;
    char reason[256];
} ForwardEnd;

static bool nothing_to_do(void *context, const WalRecord *record, Error *error)
{
    (void) context;
    (void) record;
    (void) error;
    return true;
}

static bool missing_error(const WalStream *stream, Timeline timeline, uint64_t segment,
                          Error *error)
{
    char name[WAL_NAME_SIZE];

    if (stream->missing != NULL)
        return stream->missing(stream->context, timeline, segment, error);
    wal_segment_name(&stream->shape, timeline, segment, name);
    return error_set(error, ERROR_FAILED, "WAL segment \"%s\" is missing", name);
}

/* Does WAL that belongs behind `end` begin in this segment? Older WAL, left by a server that restarted at `end`, links to less. */
static bool goes_on(const WalScan *scan, uint64_t segment, Lsn end, bool *yes, Error *error)
{
    WalSegmentFacts facts;

    if (!wal_segment_begins_valid(scan->stream, segment, yes, error))
        return false;
    if (!*yes)
        return true;
    if (!wal_read_segment(scan->stream, segment, LSN_INVALID, nothing_to_do, NULL, &facts, error))
        return false;
    *yes = facts.record_count == 0 || facts.first_prev >= end;
    return true;
}

/*
 * Is this the end of WAL, or damage? A segment is whole on disk before the next one is begun, so where the next
 * one begins with its own WAL, bytes before it were valid once. (XLogWrite, xlog.c; walreceiver.c)
 */
static bool check_damage(const WalScan *scan, const ForwardEnd *end, Error *error)
{
    const WalStream *stream = scan->stream;
    uint64_t broken = end->missing ? end->missing_segment
                                   : wal_segment_of(&stream->shape, end->invalid_lsn);
    char lsn[LSN_TEXT_SIZE];
    char name[WAL_NAME_SIZE];
    char next_name[WAL_NAME_SIZE];
    bool yes;

    if (!end->missing && stream->limit != LSN_INVALID && end->invalid_lsn >= stream->limit)
        return true;
    if (!goes_on(scan, broken + 1, scan->next_lsn, &yes, error))
        return false;
    if (!yes)
        return true;
    wal_stream_segment_name(stream, broken, name);
    wal_stream_segment_name(stream, broken + 1, next_name);
    if (end->missing)
        missing_error(stream, end->missing_timeline, broken, error);
    else
        error_set(error, ERROR_FAILED, "WAL is damaged at %s in segment \"%s\": %s",
                  lsn_shown(scan, scan->next_lsn, lsn), name, end->reason);
    return error_detail(error, "The WAL goes on in segment \"%s\".", next_name);
}

/* Does the first record of a segment follow the chain's last one? *reason says why not. */
static bool follows_chain(const WalScan *scan, const WalSegmentFacts *facts, char reason[256])
{
    char prev[LSN_TEXT_SIZE];
    char here[LSN_TEXT_SIZE];

    if (facts->record_count == 0)
        return true;
    if (facts->first_lsn != wal_skip_header(&scan->stream->shape, scan->next_lsn))
    {
        snprintf(reason, 256, "unexpected contrecord before %s",
                 lsn_shown(scan, facts->first_lsn, here));
        return false;
    }
    if (scan->last_lsn == LSN_INVALID || facts->first_prev == scan->last_lsn)
        return true;
    snprintf(reason, 256, "record with incorrect prev-link %s at %s",
             lsn_shown(scan, facts->first_prev, prev), lsn_shown(scan, facts->first_lsn, here));
    return false;
}

static void extend_forward(WalScan *scan, Summary *summary)
{
    const WalSegmentFacts *facts = &summary->facts;

    append_summary(&scan->ahead, &scan->ahead_count, summary);
    take_blocks(scan, summary);
    if (facts->record_count == 0)
        return;
    if (scan->first_lsn == LSN_INVALID)
    {
        scan->first_lsn = facts->first_lsn;
        scan->first_prev = facts->first_prev;
    }
    scan->last_lsn = facts->last_lsn;
    scan->next_lsn = facts->next_lsn;
}

/* Take in a batch, in order, up to where the WAL ends. */
static bool take_forward(WalScan *scan, Batch *batch, ForwardEnd *end, Error *error)
{
    for (size_t i = 0; i < batch->count && !end->reached; i++)
    {
        Summary *summary = batch_take(batch, i, error);
        if (summary == NULL)
            return false;
        const WalSegmentFacts *facts = &summary->facts;
        if (!follows_chain(scan, facts, end->reason))
        {
            end->reached = true;
            end->invalid_lsn = facts->first_lsn;
            summary_destroy(summary);
            break;
        }
        extend_forward(scan, summary);
        if (facts->end == WAL_SEGMENT_COMPLETE)
            continue;
        end->reached = true;
        end->missing = facts->end == WAL_SEGMENT_MISSING;
        end->missing_segment = facts->missing_segment;
        end->missing_timeline = facts->missing_timeline;
        end->invalid_lsn = facts->invalid_lsn;
        memcpy(end->reason, facts->reason, sizeof(end->reason));
    }
    return true;
}

static size_t forward_batch_count(const WalScan *scan)
{
    uint64_t count = FORWARD_BATCH_BYTES / scan->stream->shape.segment_size;

    if (count > FORWARD_BATCH_MAX)
        count = FORWARD_BATCH_MAX;
    return count < (uint64_t) scan->jobs ? (size_t) scan->jobs : (size_t) count;
}

bool scan_forward(WalScan *scan, Lsn from, Lsn *end, Lsn *last, bool *missing, char *reason,
                  Error *error)
{
    ForwardEnd forward_end = {0};

    assert(!scan->begun);
    scan->begun = true;
    scan->first_segment = wal_segment_of(&scan->stream->shape, from);
    scan->next_lsn = from;
    while (!forward_end.reached)
    {
        Batch batch = {.segment = scan->first_segment + scan->ahead_count,
                       .from = scan->ahead_count == 0 ? from : LSN_INVALID,
                       .count = forward_batch_count(scan)};
        bool good = batch_read(scan, &batch, error) &&
                    take_forward(scan, &batch, &forward_end, error);
        batch_free(&batch);
        if (!good)
            return false;
    }
    if (!check_damage(scan, &forward_end, error))
        return false;
    scan->ended_at_limit = !forward_end.missing && scan->stream->limit != LSN_INVALID &&
                           forward_end.invalid_lsn >= scan->stream->limit;
    *end = scan->next_lsn;
    *last = scan->last_lsn;
    *missing = forward_end.missing;
    if (reason != NULL)
        memcpy(reason, forward_end.reason, sizeof(forward_end.reason));
    return true;
}

bool scan_ended_at_limit(const WalScan *scan)
{
    return scan->ended_at_limit;
}

/* --- Backward --------------------------------------------------------------------------------------------------- */

/* Why the record before the chain's first one cannot be read. */
static bool no_record_before(const WalScan *scan, const WalSegmentFacts *facts, const char *reason,
                             Error *error)
{
    uint64_t lowest = scan->first_segment - scan->behind_count;
    char text[LSN_TEXT_SIZE];

    lsn_shown(scan, scan->first_lsn != LSN_INVALID
                        ? scan->first_prev
                        : wal_segment_start(&scan->stream->shape, lowest),
              text);
    if (facts != NULL && facts->end == WAL_SEGMENT_MISSING)
    {
        missing_error(scan->stream, facts->missing_timeline, facts->missing_segment, error);
        return error_detail(error, "could not find previous WAL record at %s", text); /* contract */
    }
    if (reason == NULL)
        return error_set(error, ERROR_FAILED, "could not find previous WAL record at %s", text);
    return error_set(error, ERROR_FAILED, "could not find previous WAL record at %s: %s", text,
                     reason); /* contract */
}

/* Must the chain's first record be behind this segment's last one, and is it? */
static bool precedes_chain(const WalScan *scan, const WalSegmentFacts *facts, Error *error)
{
    char text[LSN_TEXT_SIZE];
    char reason[128];

    if (facts->end != WAL_SEGMENT_COMPLETE)
        return no_record_before(scan, facts, facts->reason, error);
    if (facts->record_count == 0 || scan->first_lsn == LSN_INVALID)
        return true;
    if (facts->last_lsn == scan->first_prev &&
        wal_skip_header(&scan->stream->shape, facts->next_lsn) == scan->first_lsn)
        return true;
    snprintf(reason, sizeof(reason), "the last record before it starts at %s",
             lsn_shown(scan, facts->last_lsn, text));
    return no_record_before(scan, NULL, reason, error);
}

static void extend_backward(WalScan *scan, Summary *summary)
{
    const WalSegmentFacts *facts = &summary->facts;

    append_summary(&scan->behind, &scan->behind_count, summary);
    take_blocks(scan, summary);
    if (facts->record_count == 0)
        return;
    if (scan->last_lsn == LSN_INVALID)
    {
        scan->last_lsn = facts->last_lsn;
        scan->next_lsn = facts->next_lsn;
    }
    scan->first_lsn = facts->first_lsn;
    scan->first_prev = facts->first_prev;
}

static bool first_is_partial(const WalScan *scan)
{
    return scan->ahead_count > 0 && scan->behind_count == 0 && scan->ahead[0]->from != LSN_INVALID;
}

/* Read the first segment again, from its beginning: reading forward began in its middle. */
static bool complete_first(WalScan *scan, Error *error)
{
    Summary *partial = scan->ahead[0];
    Summary *whole = summary_read(scan->stream, partial->facts.segment, LSN_INVALID, LSN_INVALID,
                                  LSN_INVALID, error);

    if (whole == NULL)
        return false;
    scan->bytes_read += whole->facts.bytes;
    if (whole->facts.next_lsn != partial->facts.next_lsn ||
        whole->facts.last_lsn < partial->facts.last_lsn)
    {
        no_record_before(scan, &whole->facts, whole->facts.reason, error);
        summary_destroy(whole);
        return false;
    }
    if (partial->blocks != NULL)
        scan->kept_memory -= blockmap_memory(partial->blocks);
    summary_destroy(partial);
    scan->ahead[0] = whole;
    take_blocks(scan, whole);
    if (whole->facts.record_count > 0)
    {
        scan->first_lsn = whole->facts.first_lsn;
        scan->first_prev = whole->facts.first_prev;
    }
    return true;
}

/* Lengthen the chain at its lower end, by at most `jobs` segments. */
static bool read_back(WalScan *scan, Error *error)
{
    uint64_t lowest = scan->first_segment - scan->behind_count;
    Batch batch = {.segment = lowest - 1, .backward = true, .count = (size_t) scan->jobs};
    bool good;

    if (first_is_partial(scan))
        return complete_first(scan, error);
    /* WAL begins with segment 1, and after pg_resetwal with a record that has none before it. */
    if (lowest <= 1 || (scan->first_lsn != LSN_INVALID && scan->first_prev == LSN_INVALID))
        return no_record_before(scan, NULL, NULL, error);
    if (batch.count > lowest - 1)
        batch.count = (size_t) (lowest - 1);
    good = batch_read(scan, &batch, error);
    for (size_t i = 0; good && i < batch.count; i++)
    {
        /* The first one must be good; one further back may be asked for later, or never. */
        if (i > 0 && (batch.summaries[i] == NULL ||
                      batch.summaries[i]->facts.end != WAL_SEGMENT_COMPLETE))
            break;
        Summary *summary = batch_take(&batch, i, error);
        good = summary != NULL && precedes_chain(scan, &summary->facts, error);
        if (good)
            extend_backward(scan, summary);
        else
            summary_destroy(summary);
    }
    batch_free(&batch);
    return good;
}

static bool is_wanted(const ScanCheckpoint *found, const ScanCheckpointWanted *wanted)
{
    uint32_t next_xid = (uint32_t) found->checkpoint.next_xid;

    if (found->lsn >= wanted->before)
        return false;
    if (wanted->not_after != LSN_INVALID && found->lsn > wanted->not_after)
        return false;
    if (wanted->redo_not_after != LSN_INVALID && found->checkpoint.redo > wanted->redo_not_after)
        return false;
    return wanted->next_xid_not_after == 0 || !xid_precedes(wanted->next_xid_not_after, next_xid);
}

static bool find_in(const Summary *summary, const ScanCheckpointWanted *wanted,
                    ScanCheckpoint *found)
{
    const ScanCheckpoint *items = (const ScanCheckpoint *) summary->checkpoints.bytes;

    for (size_t i = summary->checkpoints.size / sizeof(*items); i > 0; i--)
    {
        if (is_wanted(&items[i - 1], wanted))
        {
            *found = items[i - 1];
            return true;
        }
    }
    return false;
}

bool scan_find_checkpoint(WalScan *scan, const ScanCheckpointWanted *wanted, ScanCheckpoint *found,
                          Error *error)
{
    if (!scan->begun)
    {
        scan->begun = true;
        scan->first_segment = wal_segment_before(&scan->stream->shape, wanted->before) + 1;
    }
    for (size_t i = summary_count(scan); i > 0; i--)
        if (find_in(summary_at(scan, i - 1), wanted, found))
            return true;
    for (;;)
    {
        size_t searched = scan->behind_count;
        if (!read_back(scan, error))
            return false;
        if (scan->behind_count == 0 && find_in(scan->ahead[0], wanted, found))
            return true;
        for (size_t i = searched; i < scan->behind_count; i++)
            if (find_in(scan->behind[i], wanted, found))
                return true;
    }
}

typedef struct RecordAt
{
    Lsn wanted;
    Lsn start; /* of the last record that starts at or before it */
    Lsn end;
} RecordAt;

static bool look_at_record(void *context, const WalRecord *record, Error *error)
{
    RecordAt *at = context;

    (void) error;
    if (record->lsn <= at->wanted)
    {
        at->start = record->lsn;
        at->end = record->end;
    }
    return true;
}

bool scan_record_at(WalScan *scan, Lsn lsn, Lsn *start, Error *error)
{
    const WalStream *stream = scan->stream;
    RecordAt at = {.wanted = lsn};
    char text[LSN_TEXT_SIZE];

    for (uint64_t segment = wal_segment_of(&stream->shape, lsn); segment > 0; segment--)
    {
        WalSegmentFacts facts;

        if (!wal_read_segment(stream, segment, LSN_INVALID, look_at_record, &at, &facts, error))
            return false;
        scan->bytes_read += facts.bytes;
        /* Without an end of its own the last record reaches to the next one, or to where it is known to end. */
        bool read = facts.end == WAL_SEGMENT_COMPLETE || lsn < facts.next_lsn;
        if (at.start != LSN_INVALID && read)
        {
            *start = at.start;
            return true;
        }
        if (read)
            continue;
        if (facts.end == WAL_SEGMENT_MISSING)
        {
            missing_error(stream, facts.missing_timeline, facts.missing_segment, error);
            return error_detail(error, "could not read WAL record at %s",
                                lsn_shown(scan, lsn, text)); /* contract */
        }
        return error_set(error, ERROR_FAILED, "could not read WAL record at %s: %s",
                         lsn_shown(scan, lsn, text), facts.reason); /* contract */
    }
    return error_set(error, ERROR_FAILED, "could not read WAL record at %s",
                     lsn_shown(scan, lsn, text)); /* contract */
}

/* --- The result ------------------------------------------------------------------------------------------------- */

/* The chain as floor and divergence cut it. */
typedef struct Cut
{
    const WalScan *scan;
    Lsn floor;
    Lsn divergence;     /* at or after floor */
    Summary *at_floor;  /* read again with the floor; NULL: not needed */
    Summary *at_divergence;
    size_t first;       /* index of the floor's segment, or of the first one behind it */
} Cut;

/* A chain's segment read again with limits, unless the limits leave all of it. NULL and true: not needed. */
static bool read_cut(WalScan *scan, Lsn lsn, Lsn floor, Lsn divergence, Summary **cut, Error *error)
{
    uint64_t segment = wal_segment_of(&scan->stream->shape, lsn);
    size_t count = summary_count(scan);

    *cut = NULL;
    if (count == 0)
        return true;
    uint64_t lowest = summary_at(scan, 0)->facts.segment;
    if (segment < lowest || segment - lowest >= count)
        return true;
    const Summary *whole = summary_at(scan, (size_t) (segment - lowest));
    if (whole->facts.record_count == 0 || whole->facts.first_lsn >= lsn)
        return true;
    *cut = summary_read(scan->stream, segment, whole->from, floor, divergence, error);
    if (*cut == NULL)
        return false;
    scan->bytes_read += (*cut)->facts.bytes;
    return true;
}

static bool cut_chain(WalScan *scan, Lsn floor, Lsn divergence, Cut *cut, Error *error)
{
    const WalShape *shape = &scan->stream->shape;
    uint64_t floor_segment = wal_segment_of(shape, floor);

    *cut = (Cut){.scan = scan, .floor = floor, .divergence = divergence};
    if (cut->divergence < floor)
        cut->divergence = floor;
    bool together = wal_segment_of(shape, cut->divergence) == floor_segment;
    if (!read_cut(scan, floor, floor, together ? cut->divergence : LSN_INVALID, &cut->at_floor,
                  error))
        return false;
    if (cut->at_floor == NULL || !together)
    {
        if (!read_cut(scan, cut->divergence, floor, cut->divergence, &cut->at_divergence, error))
        {
            summary_destroy(cut->at_floor);
            return false;
        }
    }
    while (cut->first < summary_count(scan) &&
           summary_at(scan, cut->first)->facts.segment < floor_segment)
        cut->first++;
    return true;
}

/* What counts of a segment, but for commits. */
static const Summary *from_floor(const Cut *cut, size_t index)
{
    const Summary *summary = summary_at(cut->scan, index);

    if (cut->at_floor != NULL && cut->at_floor->facts.segment == summary->facts.segment)
        return cut->at_floor;
    return summary;
}

/* What counts of a segment for commits; NULL: nothing. */
static const Summary *from_divergence(const Cut *cut, size_t index)
{
    const Summary *summary = from_floor(cut, index);
    uint64_t segment = summary->facts.segment;

    if (cut->at_divergence != NULL && cut->at_divergence->facts.segment == segment)
        return cut->at_divergence;
    return segment < wal_segment_of(&cut->scan->stream->shape, cut->divergence) ? NULL : summary;
}

/* Put the maps of all segments that count into the whole. */
static void merge_blocks(WalScan *scan, const Cut *cut)
{
    for (size_t i = cut->first; i < summary_count(scan); i++)
    {
        Summary *summary = summary_at(scan, i);
        const Summary *counted = from_floor(cut, i);

        if (counted != summary)
            blockmap_merge(scan->blocks, counted->blocks);
        else if (summary->blocks != NULL)
        {
            scan->kept_memory -= blockmap_memory(summary->blocks);
            blockmap_merge(scan->blocks, summary->blocks);
            blockmap_destroy(summary->blocks);
            summary->blocks = NULL;
        }
    }
}

static void sum_commits(const Cut *cut, ScanResult *result)
{
    for (size_t i = cut->first; i < summary_count(cut->scan); i++)
    {
        const Summary *summary = from_divergence(cut, i);

        if (summary == NULL || summary->commit_count == 0)
            continue;
        if (result->commit_count == 0 || summary->first_commit_time < result->first_commit_time)
            result->first_commit_time = summary->first_commit_time;
        if (result->commit_count == 0 || summary->last_commit_time > result->last_commit_time)
            result->last_commit_time = summary->last_commit_time;
        result->commit_count += summary->commit_count;
        uint32_t lowest = summary->lowest_committed_xid;
        if (lowest != 0 && (result->lowest_committed_xid == 0 ||
                            xid_precedes(lowest, result->lowest_committed_xid)))
            result->lowest_committed_xid = lowest;
    }
}

static void sum_flags(const Cut *cut, ScanResult *result)
{
    for (size_t i = cut->first; i < summary_count(cut->scan); i++)
    {
        const Summary *summary = from_floor(cut, i);

        result->record_count += summary->record_count;
        result->full_page_writes_off |= summary->full_page_writes_off;
        result->custom_rmgr_seen |= summary->custom_rmgr_seen;
        if (result->unknown_relation_update_at == LSN_INVALID &&
            summary->unknown_lsn != LSN_INVALID)
        {
            result->unknown_relation_update_at = summary->unknown_lsn;
            result->unknown_rmgr = summary->unknown_rmgr;
            result->unknown_info = summary->unknown_info;
        }
    }
}

/* One list of all segments behind another, in the arena. offset is that of the Buffer in Summary. */
static void *join_lists(const Cut *cut, Arena *arena, size_t offset, size_t item_size,
                        size_t *count)
{
    size_t size = 0;
    size_t position = 0;

    for (size_t i = cut->first; i < summary_count(cut->scan); i++)
        size += ((const Buffer *) ((const char *) from_floor(cut, i) + offset))->size;
    *count = size / item_size;
    uint8_t *items = arena_allocate(arena, size == 0 ? 1 : size);
    for (size_t i = cut->first; i < summary_count(cut->scan); i++)
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
    uint32_t x = ((const SummaryFinished *) a)->xid;
    uint32_t y = ((const SummaryFinished *) b)->xid;

    return x < y ? -1 : x > y;
}

static void collect_prepared(const Cut *cut, Arena *arena, ScanResult *result)
{
    Arena *scratch = arena_create();
    size_t finished_count;
    SummaryFinished *finished = join_lists(cut, scratch, offsetof(Summary, finished),
                                           sizeof(SummaryFinished), &finished_count);

    qsort(finished, finished_count, sizeof(SummaryFinished), compare_xids);
    result->prepared = join_lists(cut, arena, offsetof(Summary, prepared), sizeof(ScanPrepared),
                                  &result->prepared_count);
    for (size_t i = 0; i < result->prepared_count; i++)
    {
        ScanPrepared *prepared = &result->prepared[i];
        SummaryFinished key = {.xid = prepared->xid};

        prepared->gid = arena_strdup(arena, prepared->gid);
        prepared->finished = finished_count > 0 && bsearch(&key, finished, finished_count,
                                                           sizeof(key), compare_xids) != NULL;
    }
    arena_destroy(scratch);
}

static void collect_directories(const Cut *cut, Arena *arena, ScanResult *result)
{
    result->databases = join_lists(cut, arena, offsetof(Summary, databases), sizeof(ScanDatabase),
                                   &result->database_count);
    result->tablespaces = join_lists(cut, arena, offsetof(Summary, tablespaces),
                                     sizeof(ScanTablespace), &result->tablespace_count);
    for (size_t i = 0; i < result->tablespace_count; i++)
        if (result->tablespaces[i].path != NULL)
            result->tablespaces[i].path = arena_strdup(arena, result->tablespaces[i].path);
}

/* The first record of a kind that proves a setting, or LSN_INVALID. offset is that of an Lsn in Summary. */
static Lsn first_proof(const Cut *cut, size_t offset)
{
    for (size_t i = cut->first; i < summary_count(cut->scan); i++)
    {
        Lsn lsn;
        memcpy(&lsn, (const char *) from_floor(cut, i) + offset, sizeof(lsn));
        if (lsn != LSN_INVALID)
            return lsn;
    }
    return LSN_INVALID;
}

/* Was the server down from the floor to lsn? The floor is a shutdown checkpoint, and no checkpoint lies between. */
static bool was_down_until(const Cut *cut, Lsn lsn)
{
    bool down = false;

    for (size_t i = cut->first; i < summary_count(cut->scan); i++)
    {
        const Buffer *list = &from_floor(cut, i)->checkpoints;
        const ScanCheckpoint *items = (const ScanCheckpoint *) list->bytes;

        for (size_t k = 0; k < list->size / sizeof(*items) && items[k].lsn < lsn; k++)
        {
            if (down || items[k].lsn != cut->floor || items[k].online)
                return false;
            down = true;
        }
    }
    return down;
}

/*
 * A change record holds the new values only. The first one may have changed what it does not show to have been right before; that it was
 * right is known if a record before it proves it, or if the server was down up to it.
 */
static void judge_parameters(const Cut *cut, Arena *arena, ScanResult *result)
{
    size_t count;
    SummaryParameters *changes = join_lists(cut, arena, offsetof(Summary, parameters),
                                            sizeof(SummaryParameters), &count);

    if (count == 0)
        return;
    Lsn hints_proof = first_proof(cut, offsetof(Summary, hint_image_lsn));
    Lsn level_proof = first_proof(cut, offsetof(Summary, running_xacts_lsn));
    Lsn first = changes[0].lsn;
    bool down = was_down_until(cut, first);
    if (!down && (hints_proof == LSN_INVALID || hints_proof > first))
        result->hints_not_logged_at = first;
    if (!down && (level_proof == LSN_INVALID || level_proof > first))
        result->wal_minimal_at = first;
    for (size_t i = 0; i < count; i++)
    {
        if (result->hints_not_logged_at == LSN_INVALID && !changes[i].log_hints)
            result->hints_not_logged_at = changes[i].lsn;
        if (result->wal_minimal_at == LSN_INVALID && changes[i].wal_level == 0)
            result->wal_minimal_at = changes[i].lsn;
    }
}

bool scan_finish(WalScan *scan, Arena *arena, Lsn floor, Lsn divergence, ScanResult *result,
                 Error *error)
{
    uint64_t floor_segment = wal_segment_of(&scan->stream->shape, floor);
    Cut cut;

    assert(scan->begun);
    while (scan->first_segment - scan->behind_count > floor_segment ||
           (first_is_partial(scan) && scan->ahead[0]->from > floor))
        if (!read_back(scan, error))
            return false;
    if (!cut_chain(scan, floor, divergence, &cut, error))
        return false;
    memset(result, 0, sizeof(*result));
    merge_blocks(scan, &cut);
    sum_flags(&cut, result);
    sum_commits(&cut, result);
    collect_prepared(&cut, arena, result);
    collect_directories(&cut, arena, result);
    judge_parameters(&cut, arena, result);
    result->blocks = scan->blocks;
    result->wal_bytes = scan->bytes_read;
    summary_destroy(cut.at_floor);
    summary_destroy(cut.at_divergence);
    return true;
}
