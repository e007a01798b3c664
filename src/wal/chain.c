#include "wal/chain.h"

#include "base/array.h"
#include "base/log.h"
#include "base/workers.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FORWARD_WINDOW_BYTES ((uint64_t) 64 * 1024 * 1024)
#define FORWARD_WINDOW_MAX 64

/* Maps of single segments are kept apart up to this size; then they are merged, wanted or not. */
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

static void append_summary(Summary ***list, size_t *count, Summary *summary)
{
    ARRAY_GROW(*list, *count);
    (*list)[(*count)++] = summary;
}

void chain_merge(Chain *chain, const Summary *summary, bool earlier)
{
    if (chain->rebuilt != NULL)
    {
        /* The first record decides: a later segment's is not the first where an earlier names the
         * block. */
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

/* May a floor cut what was read of a segment? */
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
    {
        chain->kept_memory += memory;
        return;
    }
    chain_take_blocks(chain, summary, false);
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

/* Does WAL that belongs after `end` begin in this segment? Older WAL, left by a server that
 * restarted at `end`, links to less. */
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
 * Is this the end of WAL, or damage? A segment is whole on disk before the next one is begun, so
 * where the next one begins with its own WAL, bytes before it were valid once. (XLogWrite, xlog.c;
 * walreceiver.c)
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

/* Does the first record of a segment follow the chain's last one? *reason says why not. */
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

static void extend_forward(Chain *chain, Summary *summary)
{
    const WalSegmentFacts *facts = &summary->facts;

    append_summary(&chain->ahead, &chain->ahead_count, summary);
    take_blocks(chain, summary);
    if (facts->begin_lsn == LSN_INVALID)
        return;
    if (chain->begin_lsn == LSN_INVALID)
        chain->begin_lsn = facts->begin_lsn;
    chain->next_lsn = facts->next_lsn;
    if (facts->record_count == 0)
        return;
    if (chain->first_lsn == LSN_INVALID)
    {
        chain->first_lsn = facts->first_lsn;
        chain->first_prev = facts->first_prev;
    }
    chain->last_lsn = facts->last_lsn;
}

/* Segments on their way into the chain: read by any worker, taken in one after the other. */
typedef struct Forward
{
    Chain *chain;
    ChainEnd *end;
    Lsn from;
    size_t window;
    Summary **summaries; /* of item i at i % window; NULL: not read, or taken in */
} Forward;

static bool read_ahead(void *context, size_t item, bool *last, Error *error)
{
    const Forward *forward = context;
    const Chain *chain = forward->chain;
    Summary *summary =
        summary_read(chain->stream, chain->first_segment + item,
                     item == 0 ? forward->from : LSN_INVALID, LSN_INVALID, LSN_INVALID, error);

    if (summary == NULL)
        return false;
    progress_add(summary->facts.bytes);
    *last = summary->facts.end != WAL_SEGMENT_COMPLETE;
    forward->summaries[item % forward->window] = summary;
    return true;
}

static bool watch_segment(const Chain *chain, uint64_t segment, bool *stop, Error *error)
{
    const WalStream *stream = chain->stream;

    return stream->watch == NULL ||
           stream->watch(stream->context, wal_segment_start(&stream->shape, segment + 1),
                         chain->blocks, stop, error);
}

/* Take in a segment; *last when the WAL ends in it, or before. */
static bool take_ahead(void *context, size_t item, bool *last, Error *error)
{
    Forward *forward = context;
    ChainEnd *end = forward->end;
    Summary *summary = forward->summaries[item % forward->window];
    const WalSegmentFacts *facts = &summary->facts;

    if (!follows_chain(forward->chain, facts, end->reason))
    {
        *last = end->reached = true;
        end->invalid_lsn = facts->first_lsn;
        return true;
    }
    forward->summaries[item % forward->window] = NULL;
    forward->chain->bytes_read += facts->bytes;
    extend_forward(forward->chain, summary);
    if (facts->end == WAL_SEGMENT_COMPLETE)
    {
        if (!watch_segment(forward->chain, facts->segment, &end->stopped, error))
            return false;
        *last = end->reached = end->stopped;
        return true;
    }
    *last = end->reached = true;
    end->missing = facts->end == WAL_SEGMENT_MISSING;
    end->missing_segment = facts->missing_segment;
    end->missing_timeline = facts->missing_timeline;
    end->invalid_lsn = facts->invalid_lsn;
    memcpy(end->reason, facts->reason, sizeof(end->reason));
    return true;
}

/* How many segments may be read, or wait to be taken in, at a time. */
static size_t forward_window(const Chain *chain)
{
    uint64_t count = FORWARD_WINDOW_BYTES / chain->stream->shape.segment_size;

    if (count > FORWARD_WINDOW_MAX)
        count = FORWARD_WINDOW_MAX;
    return count < (uint64_t) chain->jobs ? (size_t) chain->jobs : (size_t) count;
}

bool chain_read_forward(Chain *chain, Lsn from, ChainEnd *end, Error *error)
{
    Forward forward = {.chain = chain, .end = end, .from = from, .window = forward_window(chain)};

    *end = (ChainEnd){0};
    assert(!chain->begun);
    assert(chain->rebuilt == NULL || chain->floor_at_most <= from);
    chain->begun = true;
    chain->first_segment = wal_segment_of(&chain->stream->shape, from);
    chain->next_lsn = from;
    forward.summaries = memory_allocate_zeroed(forward.window, sizeof(Summary *));
    bool good =
        workers_run_ordered(chain->jobs, forward.window, read_ahead, take_ahead, &forward, error);
    for (size_t i = 0; i < forward.window; i++)
    {
        if (forward.summaries[i] != NULL)
            chain->bytes_read += forward.summaries[i]->facts.bytes;
        summary_destroy(forward.summaries[i]);
    }
    free(forward.summaries);
    return good && (end->stopped || check_damage(chain, end, error));
}

/* ---- Backward ---- */

/* Segments read at the same time, downwards. */
typedef struct Batch
{
    const WalStream *stream;
    uint64_t segment; /* of item 0; item 1 is the one before */
    size_t count;
    Summary **summaries; /* NULL: failed, or not read */
    Error **errors;      /* looked at in order: what is not needed cannot hurt */
    atomic_size_t last;  /* later items are not needed any more */
} Batch;

static bool read_batch_segment(void *context, int worker, size_t item, Error *error)
{
    Batch *batch = context;
    size_t last = atomic_load(&batch->last);

    (void) worker;
    (void) error;
    if (item > last)
        return true;
    Error *failure = memory_allocate_zeroed(1, sizeof(Error));
    Summary *summary = summary_read(batch->stream, batch->segment - item, LSN_INVALID, LSN_INVALID,
                                    LSN_INVALID, failure);
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

static bool batch_read(Chain *chain, Batch *batch, Error *error)
{
    batch->stream = chain->stream;
    batch->summaries = memory_allocate_zeroed(batch->count, sizeof(Summary *));
    batch->errors = memory_allocate_zeroed(batch->count, sizeof(Error *));
    atomic_init(&batch->last, batch->count - 1);
    if (!workers_run(chain->jobs, batch->count, read_batch_segment, batch, error))
        return false;
    for (size_t i = 0; i < batch->count; i++)
        if (batch->summaries[i] != NULL)
            chain->bytes_read += batch->summaries[i]->facts.bytes;
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
        error_copy(error, batch->errors[item]);
    }
    return summary;
}

/* Why the record before the chain's first one cannot be read. */
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

/* Must the chain's first record be after this segment's last one, and is it? */
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

static void extend_backward(Chain *chain, Summary *summary)
{
    const WalSegmentFacts *facts = &summary->facts;

    append_summary(&chain->before, &chain->before_count, summary);
    take_blocks(chain, summary);
    if (facts->begin_lsn == LSN_INVALID)
        return;
    if (chain->begin_lsn == LSN_INVALID)
        chain->next_lsn = facts->next_lsn;
    chain->begin_lsn = facts->begin_lsn;
    if (facts->record_count == 0)
        return;
    if (chain->last_lsn == LSN_INVALID)
        chain->last_lsn = facts->last_lsn;
    chain->first_lsn = facts->first_lsn;
    chain->first_prev = facts->first_prev;
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
    if (whole->facts.begin_lsn != LSN_INVALID)
        chain->begin_lsn = whole->facts.begin_lsn;
    if (whole->facts.record_count > 0)
    {
        chain->first_lsn = whole->facts.first_lsn;
        chain->first_prev = whole->facts.first_prev;
    }
    return true;
}

bool chain_read_back(Chain *chain, Error *error)
{
    uint64_t lowest = chain->first_segment - chain->before_count;
    Batch batch = {.segment = lowest - 1, .count = (size_t) chain->jobs};
    bool good;

    assert(chain->rebuilt == NULL); /* which record is the first is then known too late */
    if (chain_first_is_partial(chain))
        return complete_first(chain, error);
    /* WAL begins with segment 1, and after pg_resetwal with a record that has none before it. */
    if (lowest <= 1 || (chain->first_lsn != LSN_INVALID && chain->first_prev == LSN_INVALID))
        return error_no_record_before(chain, NULL, NULL, error);
    if (batch.count > lowest - 1)
        batch.count = (size_t) (lowest - 1);
    good = batch_read(chain, &batch, error);
    for (size_t i = 0; good && i < batch.count; i++)
    {
        /* The first one must be good; one further back may be asked for later, or never. */
        if (i > 0 &&
            (batch.summaries[i] == NULL || batch.summaries[i]->facts.end != WAL_SEGMENT_COMPLETE))
            break;
        Summary *summary = batch_take(&batch, i, error);
        good = summary != NULL && precedes_chain(chain, &summary->facts, error);
        if (good)
            extend_backward(chain, summary);
        else
            summary_destroy(summary);
    }
    batch_free(&batch);
    return good;
}
