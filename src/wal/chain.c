#include "wal/chain.h"

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

Chain *chain_create(const WalStream *stream, int jobs, Lsn floor_at_most)
{
    Chain *chain = memory_allocate_zeroed(1, sizeof(Chain));

    chain->stream = stream;
    chain->jobs = jobs < 1 ? 1 : jobs;
    chain->floor_at_most = floor_at_most;
    chain->blocks = blockmap_create();
    if (stream->rebuilds != NULL)
        chain->rebuilt = blockmap_create();
    return chain;
}

void chain_destroy(Chain *chain)
{
    if (chain == NULL)
        return;
    for (size_t i = 0; i < chain_count(chain); i++)
        summary_destroy(chain_at(chain, i));
    free(chain->ahead);
    free(chain->before);
    blockmap_destroy(chain->blocks);
    blockmap_destroy(chain->rebuilt);
    free(chain);
}

static const char *lsn_shown(const Chain *chain, Lsn lsn, char text[LSN_TEXT_SIZE])
{
    return lsn_text(chain->stream->shape.version, lsn, text);
}

size_t chain_count(const Chain *chain)
{
    return chain->before_count + chain->ahead_count;
}

Summary *chain_at(const Chain *chain, size_t index)
{
    return index < chain->before_count ? chain->before[chain->before_count - 1 - index]
                                       : chain->ahead[index - chain->before_count];
}

void chain_merge(Chain *chain, const Summary *summary, bool earlier)
{
    if (chain->rebuilt != NULL)
    {
        /* The first record of a block decides: a later segment does not have it where an earlier
         * one names the block. */
        if (earlier)
            blockmap_subtract(chain->rebuilt, summary->blocks);
        else
            blockmap_subtract(summary->rebuilt, chain->blocks);
        blockmap_merge(chain->rebuilt, summary->rebuilt);
    }
    blockmap_merge(chain->blocks, summary->blocks);
}

void chain_take_blocks(Chain *chain, Summary *summary, bool earlier)
{
    chain_merge(chain, summary, earlier);
    blockmap_destroy(summary->blocks);
    blockmap_destroy(summary->rebuilt);
    summary->blocks = summary->rebuilt = NULL;
}

/* A floor may lie after the first record that was read of the segment. */
static bool may_be_cut(const Chain *chain, const Summary *summary)
{
    return summary->facts.segment <= wal_segment_of(&chain->stream->shape, chain->floor_at_most) &&
           (summary->from == LSN_INVALID || summary->from < chain->floor_at_most);
}

/* Hand a segment's maps over to the whole, unless the floor may cut it. */
static void take_blocks(Chain *chain, Summary *summary)
{
    size_t memory = blockmap_memory(summary->blocks);

    if (may_be_cut(chain, summary) && chain->kept_memory + memory <= KEPT_MAPS_MAX)
        chain->kept_memory += memory;
    else
        chain_take_blocks(chain, summary, false);
}

/* Note where the chain begins and ends with a segment at its upper or lower end. */
static void link_segment(Chain *chain, const WalSegmentFacts *facts, bool lower)
{
    if (facts->begin_lsn == LSN_INVALID)
        return;
    if (!lower || chain->begin_lsn == LSN_INVALID)
        chain->next_lsn = facts->next_lsn;
    if (lower || chain->begin_lsn == LSN_INVALID)
        chain->begin_lsn = facts->begin_lsn;
    if (facts->record_count == 0)
        return;
    if (!lower || chain->last_lsn == LSN_INVALID)
        chain->last_lsn = facts->last_lsn;
    if (lower || chain->first_lsn == LSN_INVALID)
    {
        chain->first_lsn = facts->first_lsn;
        chain->first_prev = facts->first_prev;
    }
}

/* Segments on their way into the chain: read by any worker, taken in one after the other. */
typedef struct ChainReads
{
    Chain *chain;
    uint64_t first; /* the segment of item 0 */
    bool backwards; /* item 1 is the segment before it; the window is the number of items */
    Lsn from;       /* where item 0 is read from; LSN_INVALID: its beginning */
    size_t window;
    Summary **summaries; /* of item i at i % window; NULL: not read, or taken in */
    ChainEnd *end;       /* of reading forward */
} ChainReads;

static bool read_item(void *context, size_t item, bool *last, Error *error)
{
    const ChainReads *reads = context;
    const uint64_t segment = reads->backwards ? reads->first - item : reads->first + item;

    if (reads->backwards && item >= reads->window)
        return *last = true;
    Summary *summary =
        summary_read(reads->chain->stream, segment, item == 0 ? reads->from : LSN_INVALID,
                     LSN_INVALID, LSN_INVALID, error);
    if (summary == NULL)
        return false;
    progress_add(summary->facts.bytes);
    *last = summary->facts.end != WAL_SEGMENT_COMPLETE;
    reads->summaries[item % reads->window] = summary;
    return true;
}

static bool read_segments(ChainReads *reads, OrderedFunction take, Error *error)
{
    Chain *chain = reads->chain;

    reads->summaries = memory_allocate_zeroed(reads->window, sizeof(Summary *));
    bool good = workers_run_ordered(chain->jobs, reads->window, read_item, take, reads, error);
    for (size_t i = 0; i < reads->window; i++)
    {
        if (reads->summaries[i] != NULL)
            chain->bytes_read += reads->summaries[i]->facts.bytes;
        summary_destroy(reads->summaries[i]);
    }
    free(reads->summaries);
    return good;
}

/* The chain's own list of segments at one end gets the item's. */
static void extend(ChainReads *reads, size_t item, Summary ***list, size_t *count)
{
    Summary *summary = reads->summaries[item % reads->window];

    reads->summaries[item % reads->window] = NULL;
    reads->chain->bytes_read += summary->facts.bytes;
    ARRAY_GROW(*list, *count);
    (*list)[(*count)++] = summary;
    take_blocks(reads->chain, summary);
    link_segment(reads->chain, &summary->facts, reads->backwards);
}

/* ---- Forward ---- */

bool error_missing_wal(const WalStream *stream, Timeline timeline, uint64_t segment, Error *error)
{
    char name[WAL_NAME_SIZE];

    if (stream->missing != NULL)
        return stream->missing(stream->context, timeline, segment, error);
    wal_segment_name(&stream->shape, timeline, segment, name);
    return error_set(error, ERROR_FAILED, "WAL segment \"%s\" is missing", name);
}

bool error_damaged_wal(const WalStream *stream, uint64_t segment, Error *error)
{
    char name[WAL_NAME_SIZE];

    if (!stream->is_targets)
        return false;
    wal_stream_segment_name(stream, segment, name);
    return error_hint(error,
                      "Put an undamaged copy of segment \"%s\" into the target's %s (an archive "
                      "may have one), or compare all blocks with --compare, which needs none of "
                      "the target's WAL.",
                      name, stream->shape.version->wal_directory);
}

/* Sets *yes if WAL that belongs after `end` begins in this segment. Older WAL, left by a server
 * that restarted at `end`, links to less. */
static bool wal_goes_on(const Chain *chain, uint64_t segment, Lsn end, bool *yes, Error *error)
{
    WalSegmentFacts facts;

    if (!wal_segment_begins_valid(chain->stream, segment, yes, error))
        return false;
    if (!*yes)
        return true;
    if (!wal_read_segment(chain->stream, segment, LSN_INVALID, wal_ignore_record, NULL, &facts,
                          error))
        return false;
    *yes = facts.record_count == 0 || facts.first_prev >= end;
    return true;
}

/*
 * Fails if this is not the end of WAL but damage. A segment is whole on disk before the next one is
 * begun, so where the next one begins with its own WAL, bytes before it were valid once.
 * (XLogWrite, xlog.c; walreceiver.c)
 */
static bool check_damage(const Chain *chain, const ChainEnd *end, Error *error)
{
    const WalStream *stream = chain->stream;
    uint64_t broken =
        end->missing ? end->missing_segment : wal_segment_of(&stream->shape, end->invalid_lsn);
    char lsn[LSN_TEXT_SIZE];
    char name[WAL_NAME_SIZE];
    char next_name[WAL_NAME_SIZE];
    bool yes;

    if (!end->missing && stream->limit != LSN_INVALID && end->invalid_lsn >= stream->limit)
        return true;
    if (!wal_goes_on(chain, broken + 1, chain->next_lsn, &yes, error))
        return false;
    if (!yes)
        return true;
    wal_stream_segment_name(stream, broken, name);
    wal_stream_segment_name(stream, broken + 1, next_name);
    if (end->missing)
        error_missing_wal(stream, end->missing_timeline, broken, error);
    else
    {
        error_set(error, ERROR_FAILED, "WAL is damaged at %s in segment \"%s\": %s",
                  lsn_shown(chain, chain->next_lsn, lsn), name, end->reason);
        error_damaged_wal(stream, broken, error);
    }
    return error_detail(error, "The WAL continues in segment \"%s\".", next_name);
}

/* The first record of the segment follows the chain's last one; otherwise *reason says why not. */
static bool follows_chain(const Chain *chain, const WalSegmentFacts *facts, char reason[256])
{
    char prev[LSN_TEXT_SIZE];
    char here[LSN_TEXT_SIZE];

    if (facts->begin_lsn == LSN_INVALID)
        return true;
    if (facts->begin_lsn != wal_skip_header(&chain->stream->shape, chain->next_lsn))
    {
        snprintf(reason, 256, "unexpected contrecord before %s",
                 lsn_shown(chain, facts->begin_lsn, here));
        return false;
    }
    if (facts->record_count == 0 || chain->last_lsn == LSN_INVALID ||
        facts->first_prev == chain->last_lsn)
        return true;
    snprintf(reason, 256, "record with incorrect prev-link %s at %s",
             lsn_shown(chain, facts->first_prev, prev), lsn_shown(chain, facts->first_lsn, here));
    return false;
}

/* Take in a segment; *last when the WAL ends in it, or before. */
static bool take_ahead(void *context, size_t item, bool *last, Error *error)
{
    ChainReads *reads = context;
    Chain *chain = reads->chain;
    const WalStream *stream = chain->stream;
    ChainEnd *end = reads->end;
    const WalSegmentFacts *facts = &reads->summaries[item % reads->window]->facts;

    if (!follows_chain(chain, facts, end->reason))
    {
        *last = end->reached = true;
        end->invalid_lsn = facts->first_lsn;
        return true;
    }
    extend(reads, item, &chain->ahead, &chain->ahead_count);
    if (facts->end == WAL_SEGMENT_COMPLETE)
        return stream->passed == NULL ||
               stream->passed(stream->context,
                              wal_segment_start(&stream->shape, facts->segment + 1), error);
    *last = end->reached = true;
    end->missing = facts->end == WAL_SEGMENT_MISSING;
    end->missing_segment = facts->missing_segment;
    end->missing_timeline = facts->missing_timeline;
    end->invalid_lsn = facts->invalid_lsn;
    memcpy(end->reason, facts->reason, sizeof(end->reason));
    return true;
}

/* The number of segments that are read, or wait to be taken in, at a time. */
static size_t forward_window(const Chain *chain)
{
    uint64_t count = FORWARD_WINDOW_BYTES / chain->stream->shape.segment_size;

    if (count > FORWARD_WINDOW_MAX)
        count = FORWARD_WINDOW_MAX;
    return count < (uint64_t) chain->jobs ? (size_t) chain->jobs : (size_t) count;
}

bool chain_read_forward(Chain *chain, Lsn from, ChainEnd *end, Error *error)
{
    ChainReads reads = {.chain = chain,
                        .first = wal_segment_of(&chain->stream->shape, from),
                        .from = from,
                        .window = forward_window(chain),
                        .end = end};

    *end = (ChainEnd){0};
    assert(!chain->begun);
    assert(chain->rebuilt == NULL || chain->floor_at_most <= from);
    chain->begun = true;
    chain->first_segment = reads.first;
    chain->next_lsn = from;
    return read_segments(&reads, take_ahead, error) && check_damage(chain, end, error);
}

/* ---- Backward ---- */

/* The error of a record before the chain's first one that cannot be read. */
static bool error_no_record_before(const Chain *chain, const WalSegmentFacts *facts,
                                   const char *reason, Error *error)
{
    uint64_t lowest = chain->first_segment - chain->before_count;
    char text[LSN_TEXT_SIZE];

    lsn_shown(chain,
              chain->first_lsn != LSN_INVALID ? chain->first_prev
                                              : wal_segment_start(&chain->stream->shape, lowest),
              text);
    if (facts != NULL && facts->end == WAL_SEGMENT_MISSING)
    {
        error_missing_wal(chain->stream, facts->missing_timeline, facts->missing_segment, error);
        return error_detail(error, "could not find previous WAL record at %s", text); /* contract */
    }
    if (reason == NULL)
        error_set(error, ERROR_FAILED, "could not find previous WAL record at %s", text);
    else
        error_set(error, ERROR_FAILED, "could not find previous WAL record at %s: %s", text,
                  reason); /* contract */
    return error_damaged_wal(chain->stream,
                             facts != NULL && facts->end == WAL_SEGMENT_INVALID
                                 ? wal_segment_of(&chain->stream->shape, facts->invalid_lsn)
                                 : lowest,
                             error);
}

/* Fails unless the chain's first record follows this segment's last one, if both have one. */
static bool precedes_chain(const Chain *chain, const WalSegmentFacts *facts, Error *error)
{
    char text[LSN_TEXT_SIZE];
    char reason[128];

    if (facts->end != WAL_SEGMENT_COMPLETE)
        return error_no_record_before(chain, facts, facts->reason, error);
    if (facts->begin_lsn == LSN_INVALID || chain->begin_lsn == LSN_INVALID)
        return true;
    if ((facts->record_count == 0 || chain->first_lsn == LSN_INVALID ||
         facts->last_lsn == chain->first_prev) &&
        wal_skip_header(&chain->stream->shape, facts->next_lsn) == chain->begin_lsn)
        return true;
    snprintf(reason, sizeof(reason), "the last record before it starts at %s",
             lsn_shown(chain, facts->last_lsn, text));
    return error_no_record_before(chain, NULL, reason, error);
}

static bool take_before(void *context, size_t item, bool *last, Error *error)
{
    ChainReads *reads = context;
    Chain *chain = reads->chain;
    const WalSegmentFacts *facts = &reads->summaries[item % reads->window]->facts;

    /* One further back may never be needed. If it is, it is item 0 of a later call. */
    *last = item > 0 && facts->end != WAL_SEGMENT_COMPLETE;
    if (*last)
        return true;
    if (!precedes_chain(chain, facts, error))
        return false;
    extend(reads, item, &chain->before, &chain->before_count);
    *last = item + 1 == reads->window;
    return true;
}

bool chain_first_is_partial(const Chain *chain)
{
    return chain->ahead_count > 0 && chain->before_count == 0 &&
           chain->ahead[0]->from != LSN_INVALID;
}

/* Read the first segment again, from its beginning: reading forward began in its middle. */
static bool complete_first(Chain *chain, Error *error)
{
    Summary *partial = chain->ahead[0];
    Summary *whole = summary_read(chain->stream, partial->facts.segment, LSN_INVALID, LSN_INVALID,
                                  LSN_INVALID, error);

    if (whole == NULL)
        return false;
    chain->bytes_read += whole->facts.bytes;
    if (whole->facts.next_lsn != partial->facts.next_lsn ||
        whole->facts.last_lsn < partial->facts.last_lsn)
    {
        error_no_record_before(chain, &whole->facts, whole->facts.reason, error);
        summary_destroy(whole);
        return false;
    }
    if (partial->blocks != NULL)
        chain->kept_memory -= blockmap_memory(partial->blocks);
    summary_destroy(partial);
    chain->ahead[0] = whole;
    take_blocks(chain, whole);
    link_segment(chain, &whole->facts, true);
    return true;
}

bool chain_read_back(Chain *chain, Error *error)
{
    const size_t count_before = chain->before_count;
    const uint64_t lowest = chain->first_segment - count_before;
    ChainReads reads = {.chain = chain, .first = lowest - 1, .backwards = true};

    assert(chain->rebuilt == NULL); /* which record is the first is then known too late */
    if (chain_first_is_partial(chain))
        return complete_first(chain, error);
    /* WAL begins with segment 1, and after pg_resetwal with a record that has none before it. */
    if (lowest <= 1 || (chain->first_lsn != LSN_INVALID && chain->first_prev == LSN_INVALID))
        return error_no_record_before(chain, NULL, NULL, error);
    reads.window =
        lowest - 1 < (uint64_t) chain->jobs ? (size_t) (lowest - 1) : (size_t) chain->jobs;
    /* The same holds for one further back that cannot be read. */
    return read_segments(&reads, take_before, error) || chain->before_count > count_before;
}
