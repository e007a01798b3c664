#include "wal/scan.h"

#include "base/array.h"
#include "base/log.h"
#include "base/workers.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORWARD_WINDOW_BYTES ((uint64_t) 64 * 1024 * 1024)
#define FORWARD_WINDOW_MAX 64

/* Maps of single segments are kept apart up to this size; further ones are merged at once. */
#define KEPT_MAPS_MAX ((size_t) 64 * 1024 * 1024)

WalScan *scan_create(const WalStream *stream, int jobs, Lsn floor_at_most)
{
    WalScan *scan = memory_allocate_zeroed(1, sizeof(WalScan));

    scan->stream = stream;
    scan->jobs = jobs < 1 ? 1 : jobs;
    scan->floor_at_most = floor_at_most;
    scan->blocks = blockmap_create();
    scan->vm_blocks = blockmap_create();
    if (stream->rebuilds != NULL)
        scan->rebuilt = blockmap_create();
    return scan;
}

void scan_destroy(WalScan *scan)
{
    if (scan == NULL)
        return;
    for (size_t i = 0; i < scan->segment_count; i++)
        segment_content_destroy(scan->segments[i]);
    free(scan->segments);
    blockmap_destroy(scan->blocks);
    blockmap_destroy(scan->rebuilt);
    blockmap_destroy(scan->vm_blocks);
    free(scan);
}

/* For messages. */
#define SHOWN(lsn) LSN_TEXT(scan->stream->shape.version, lsn)

void scan_take_maps(WalScan *scan, SegmentContent *content)
{
    /* The first record of a block decides: a later segment does not have it where an earlier one
     * names the block. */
    if (scan->rebuilt != NULL)
    {
        blockmap_subtract(content->rebuilt, scan->blocks);
        blockmap_merge(scan->rebuilt, content->rebuilt);
    }
    blockmap_subtract(content->vm_reads, scan->vm_blocks);
    if (blockmap_block_count(content->vm_reads) > 0)
        scan->vm_read_lsn = content->vm_read_lsn;
    blockmap_merge(scan->vm_blocks, content->vm_blocks);
    blockmap_merge(scan->blocks, content->blocks);
    blockmap_destroy(content->blocks);
    blockmap_destroy(content->rebuilt);
    blockmap_destroy(content->vm_blocks);
    blockmap_destroy(content->vm_reads);
    content->blocks = content->rebuilt = content->vm_blocks = content->vm_reads = NULL;
}

/* Hand a segment's maps over to the whole, unless the floor may cut the segment: it may lie after
 * the first record that was read. */
static void hand_over_maps(WalScan *scan, SegmentContent *content)
{
    const size_t memory = segment_content_memory(content);
    const bool may_be_cut =
        content->facts.segment <= wal_segment_of(&scan->stream->shape, scan->floor_at_most) &&
        (content->from == LSN_INVALID || content->from < scan->floor_at_most);

    if (may_be_cut && scan->kept_memory + memory <= KEPT_MAPS_MAX)
        scan->kept_memory += memory;
    else
        scan_take_maps(scan, content);
}

/* Note where the scan begins and ends with a segment at its upper or lower end. */
static void link_segment(WalScan *scan, const WalSegmentFacts *facts, bool lower)
{
    if (facts->begin_lsn == LSN_INVALID)
        return;
    if (!lower || scan->begin_lsn == LSN_INVALID)
        scan->next_lsn = facts->next_lsn;
    if (lower || scan->begin_lsn == LSN_INVALID)
        scan->begin_lsn = facts->begin_lsn;
    if (facts->record_count == 0)
        return;
    if (!lower || scan->last_lsn == LSN_INVALID)
        scan->last_lsn = facts->last_lsn;
    if (lower || scan->first_lsn == LSN_INVALID)
    {
        scan->first_lsn = facts->first_lsn;
        scan->first_prev = facts->first_prev;
    }
}

/* Segments on their way into the scan: read by any worker, taken in one after the other. */
typedef struct ScanReads
{
    WalScan *scan;
    uint64_t first; /* the segment of item 0 */
    bool backwards; /* item 1 is the segment before it; the window is the number of items */
    Lsn from;       /* where item 0 is read from; LSN_INVALID: its beginning */
    size_t window;
    SegmentContent *
        *contents; /* item i is at i % window; NULL: not read yet, or already added to the scan */
    WalSegmentFacts *end; /* facts of the last segment, when reading forward */
} ScanReads;

static bool read_item(void *context, size_t item, bool *last, Error *error)
{
    const ScanReads *reads = context;
    const uint64_t segment = reads->backwards ? reads->first - item : reads->first + item;

    if (reads->backwards && item >= reads->window)
        return *last = true;
    SegmentContent *content =
        segment_content_read(reads->scan->stream, segment, item == 0 ? reads->from : LSN_INVALID,
                             LSN_INVALID, LSN_INVALID, error);
    if (content == NULL)
        return false;
    progress_add(content->facts.bytes);
    *last = content->facts.end != WAL_SEGMENT_COMPLETE;
    reads->contents[item % reads->window] = content;
    return true;
}

static bool read_segments(ScanReads *reads, OrderedFunction take, Error *error)
{
    WalScan *scan = reads->scan;

    reads->contents = memory_allocate_zeroed(reads->window, sizeof(SegmentContent *));
    bool good = workers_run_ordered(scan->jobs, reads->window, read_item, take, reads, error);
    for (size_t i = 0; i < reads->window; i++)
    {
        if (reads->contents[i] != NULL)
            scan->bytes_read += reads->contents[i]->facts.bytes;
        segment_content_destroy(reads->contents[i]);
    }
    free(reads->contents);
    return good;
}

/* The item's segment becomes the scan's uppermost or lowest one. */
static void take_segment(ScanReads *reads, size_t item)
{
    WalScan *scan = reads->scan;
    SegmentContent *content = reads->contents[item % reads->window];
    size_t index = scan->segment_count;

    reads->contents[item % reads->window] = NULL;
    scan->bytes_read += content->facts.bytes;
    ARRAY_GROW(scan->segments, scan->segment_count);
    if (reads->backwards)
    {
        memmove(scan->segments + 1, scan->segments, index * sizeof(SegmentContent *));
        scan->lowest--;
        index = 0;
    }
    scan->segments[index] = content;
    scan->segment_count++;
    hand_over_maps(scan, content);
    link_segment(scan, &content->facts, reads->backwards);
}

/* ---- Forward ---- */

bool scan_ended_at_limit(const WalStream *stream, const WalSegmentFacts *end)
{
    return end->end == WAL_SEGMENT_INVALID && stream->limit != LSN_INVALID &&
           end->invalid_lsn >= stream->limit;
}

/*
 * Set *later to a segment after `broken` that begins with its own WAL: the next one, or, if that is
 * lost as well, the newest one. 0: no later segment begins so.
 */
static bool find_later_segment(const WalScan *scan, uint64_t broken, uint64_t *later, Error *error)
{
    const WalStream *stream = scan->stream;
    const Lsn next_begin = wal_segment_start(&stream->shape, broken + 1);
    WalSegmentFacts next;

    *later = 0;
    if (!wal_read_segment(stream, broken + 1, LSN_INVALID, NULL, NULL, &next, error))
        return false;
    if ((next.end == WAL_SEGMENT_MISSING && next.missing_segment == broken + 1) ||
        (next.end == WAL_SEGMENT_INVALID && next.invalid_lsn < next_begin + WAL_LONG_HEADER_SIZE))
        *later = stream->newest > broken + 1 ? stream->newest : 0;
    /* Older WAL, left by a server that restarted at the end, links to less. */
    else if (next.record_count == 0 || next.first_prev >= scan->next_lsn)
        *later = broken + 1;
    return true;
}

/*
 * Fails if this is not the end of WAL but damage. A segment is whole on disk before the next one is
 * begun, so where a later one begins with its own WAL, bytes before it were valid once. (XLogWrite,
 * xlog.c; walreceiver.c)
 */
static bool check_damage(const WalScan *scan, const WalSegmentFacts *end, Error *error)
{
    const WalStream *stream = scan->stream;
    const bool missing = end->end == WAL_SEGMENT_MISSING;
    const uint64_t broken =
        missing ? end->missing_segment : wal_segment_of(&stream->shape, end->invalid_lsn);
    uint64_t later;

    if (scan_ended_at_limit(stream, end))
        return true;
    if (!find_later_segment(scan, broken, &later, error))
        return false;
    if (later == 0)
        return true;
    if (missing)
        error_missing_wal(stream, broken, error);
    else
    {
        error_set(error, ERROR_FAILED, "WAL is damaged at %s in segment \"%s\": %s",
                  SHOWN(scan->next_lsn), SEGMENT_NAME(stream, broken), end->reason);
        error_damaged_wal(stream, broken, error);
    }
    return error_detail(error, "The WAL continues in segment \"%s\".", SEGMENT_NAME(stream, later));
}

/* Otherwise the segment's first record does not follow the last one, and the WAL ends there. */
static bool follows_last(const WalScan *scan, WalSegmentFacts *facts)
{
    if (facts->begin_lsn == LSN_INVALID)
        return true;
    if (facts->begin_lsn != wal_skip_header(&scan->stream->shape, scan->next_lsn))
        snprintf(facts->reason, sizeof(facts->reason), "unexpected contrecord before %s",
                 SHOWN(facts->begin_lsn));
    else if (facts->record_count == 0 || scan->last_lsn == LSN_INVALID ||
             facts->first_prev == scan->last_lsn)
        return true;
    else
        snprintf(facts->reason, sizeof(facts->reason), "record with incorrect prev-link %s at %s",
                 SHOWN(facts->first_prev), SHOWN(facts->first_lsn));
    facts->end = WAL_SEGMENT_INVALID;
    facts->invalid_lsn = facts->first_lsn;
    return false;
}

/* Take in a segment; *last when the WAL ends in it, or before. */
static bool take_next(void *context, size_t item, bool *last, Error *error)
{
    ScanReads *reads = context;
    const WalStream *stream = reads->scan->stream;
    WalSegmentFacts *end = reads->end;

    *end = reads->contents[item % reads->window]->facts;
    if (!follows_last(reads->scan, end))
        return *last = true;
    take_segment(reads, item);
    *last = end->end != WAL_SEGMENT_COMPLETE;
    return *last || stream->passed == NULL ||
           stream->passed(stream->context, wal_segment_start(&stream->shape, end->segment + 1),
                          error);
}

size_t scan_forward_window(const WalShape *shape, int jobs)
{
    uint64_t count = FORWARD_WINDOW_BYTES / shape->segment_size;

    if (count > FORWARD_WINDOW_MAX)
        count = FORWARD_WINDOW_MAX;
    return count < (uint64_t) jobs ? (size_t) jobs : (size_t) count;
}

bool scan_forward(WalScan *scan, Lsn from, WalSegmentFacts *end, Error *error)
{
    ScanReads reads = {.scan = scan,
                       .first = wal_segment_of(&scan->stream->shape, from),
                       .from = from,
                       .window = scan_forward_window(&scan->stream->shape, scan->jobs),
                       .end = end};

    assert(!scan->begun);
    assert(scan->rebuilt == NULL || scan->floor_at_most <= from);
    scan->begun = true;
    scan->lowest = reads.first;
    scan->next_lsn = from;
    if (!read_segments(&reads, take_next, error) || !check_damage(scan, end, error))
        return false;
    /* A record that was given up, with none after it, is not where WAL ends. */
    end->next_lsn = scan->last_lsn != LSN_INVALID ? scan->next_lsn : from;
    return true;
}

/* ---- Backward ---- */

/* The error of a record before the scan's first one that cannot be read. The scan has led from a
 * known position to its first record, so a segment before it that does not lead to that is the
 * wrong one. NULL: none was read. */
static bool error_no_record_before(const WalScan *scan, const WalSegmentFacts *facts,
                                   const char *reason, Error *error)
{
    const WalShape *shape = &scan->stream->shape;
    uint64_t damaged = facts != NULL ? facts->segment : scan->lowest;
    const char *text = SHOWN(
        scan->first_lsn != LSN_INVALID ? scan->first_prev : wal_segment_start(shape, scan->lowest));

    if (facts != NULL && facts->end == WAL_SEGMENT_MISSING)
    {
        error_missing_wal(scan->stream, facts->missing_segment, error);
        return error_detail(error, "could not find previous WAL record at %s", text); /* contract */
    }
    if (facts != NULL && facts->end == WAL_SEGMENT_INVALID)
        damaged = wal_segment_of(shape, facts->invalid_lsn);
    if (reason == NULL)
        error_set(error, ERROR_FAILED, "could not find previous WAL record at %s", text);
    else
        error_set(error, ERROR_FAILED, "could not find previous WAL record at %s: %s", text,
                  reason); /* contract */
    return error_damaged_wal(scan->stream, damaged, error);
}

/* Fails unless the scan's first record follows this segment's last one, if both have one. */
static bool precedes_first(const WalScan *scan, const WalSegmentFacts *facts, Error *error)
{
    char reason[128];

    if (facts->end != WAL_SEGMENT_COMPLETE)
        return error_no_record_before(scan, facts, facts->reason, error);
    if (facts->begin_lsn == LSN_INVALID || scan->begin_lsn == LSN_INVALID)
        return true;
    if ((facts->record_count == 0 || scan->first_lsn == LSN_INVALID ||
         facts->last_lsn == scan->first_prev) &&
        wal_skip_header(&scan->stream->shape, facts->next_lsn) == scan->begin_lsn)
        return true;
    snprintf(reason, sizeof(reason), "the last record before it starts at %s",
             SHOWN(facts->last_lsn));
    return error_no_record_before(scan, facts, reason, error);
}

static bool take_before(void *context, size_t item, bool *last, Error *error)
{
    ScanReads *reads = context;
    const WalSegmentFacts *facts = &reads->contents[item % reads->window]->facts;

    /* One further back may never be needed. If it is, it is item 0 of a later call. */
    *last = item > 0 && facts->end != WAL_SEGMENT_COMPLETE;
    if (*last)
        return true;
    if (!precedes_first(reads->scan, facts, error))
        return false;
    take_segment(reads, item);
    *last = item + 1 == reads->window;
    return true;
}

bool scan_first_is_partial(const WalScan *scan)
{
    return scan->segment_count > 0 && scan->segments[0]->from != LSN_INVALID;
}

/* Read the first segment again, from its beginning: reading forward began in its middle. */
static bool complete_first(WalScan *scan, Error *error)
{
    SegmentContent *partial = scan->segments[0];
    SegmentContent *whole = segment_content_read(scan->stream, partial->facts.segment, LSN_INVALID,
                                                 LSN_INVALID, LSN_INVALID, error);

    if (whole == NULL)
        return false;
    scan->bytes_read += whole->facts.bytes;
    if (whole->facts.next_lsn != partial->facts.next_lsn ||
        whole->facts.last_lsn < partial->facts.last_lsn)
    {
        error_no_record_before(scan, &whole->facts, whole->facts.reason, error);
        segment_content_destroy(whole);
        return false;
    }
    if (partial->blocks != NULL)
        scan->kept_memory -= segment_content_memory(partial);
    segment_content_destroy(partial);
    scan->segments[0] = whole;
    hand_over_maps(scan, whole);
    link_segment(scan, &whole->facts, true);
    return true;
}

bool scan_back(WalScan *scan, Error *error)
{
    const size_t count_before = scan->segment_count;
    const uint64_t left = scan->lowest - 1;
    ScanReads reads = {.scan = scan, .first = left, .backwards = true};

    assert(scan->rebuilt ==
           NULL); /* reading backwards finds the first record of a block too late */
    if (scan_first_is_partial(scan))
        return complete_first(scan, error);
    /* WAL begins with segment 1, and after pg_resetwal with a record that has none before it. */
    if (scan->lowest <= 1 || (scan->first_lsn != LSN_INVALID && scan->first_prev == LSN_INVALID))
        return error_no_record_before(scan, NULL, NULL, error);
    reads.window = left < (uint64_t) scan->jobs ? (size_t) left : (size_t) scan->jobs;
    /* The same holds for one further back that cannot be read. */
    return read_segments(&reads, take_before, error) || scan->segment_count > count_before;
}
