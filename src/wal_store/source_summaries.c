#include "wal_store/source_summaries.h"

#include "base/array.h"
#include "base/log.h"
#include "base/workers.h"

#include <stdio.h>
#include <stdlib.h>

/* A summary of changes all over 16 TB is smaller. */
#define SUMMARY_SIZE_MAX ((size_t) 256 * 1024 * 1024)

/* The page where the meta page of an SP-GiST index is: an insertion changes it without WAL. */
#define META_BLOCK 0

#define BATCH_SIZE 64 /* summaries in one request */
#define SUMMARY_PATH_SIZE (sizeof(WAL_SUMMARY_DIRECTORY) + WAL_SUMMARY_NAME_SIZE)

/* The reading of those that lead on. */
typedef struct SummaryReading
{
    SourceSummaries *summaries;
    WalSummaryRange *ranges; /* all that the source has */
    size_t range_count;
    WalSummaryRange batch[BATCH_SIZE];
    char paths[BATCH_SIZE][SUMMARY_PATH_SIZE];
    size_t count, taken; /* of the batch */
    uint32_t piece_size;
    bool ended; /* the next one is of no use */

    /* The one that is read. */
    const WalSummaryRange *range;
    BlockMap *blocks;
} SummaryReading;

/* Compare by timeline and start; of summaries with one start the longest comes first. */
static int compare_ranges(const void *one, const void *other)
{
    const WalSummaryRange *a = one;
    const WalSummaryRange *b = other;

    if (a->timeline != b->timeline)
        return a->timeline < b->timeline ? -1 : 1;
    if (a->start != b->start)
        return a->start < b->start ? -1 : 1;
    return (a->end < b->end) - (a->end > b->end);
}

/* The longest summary that begins at lsn and ends at or before `limit`; or NULL. */
static const WalSummaryRange *find_summary(const SummaryReading *reading, const WalShape *shape,
                                           Timeline timeline, Lsn lsn, Lsn limit)
{
    const Lsn page = lsn - lsn % shape->block_size;
    const WalSummaryRange wanted = {timeline, page, LSN_HIGHEST};

    for (size_t i =
             ARRAY_LOWER_BOUND(&wanted, reading->ranges, reading->range_count, compare_ranges);
         i < reading->range_count && reading->ranges[i].timeline == timeline &&
         reading->ranges[i].start <= wal_skip_header(shape, lsn);
         i++)
    {
        const WalSummaryRange *range = &reading->ranges[i];

        /* No record is between the two. */
        if (wal_skip_header(shape, range->start) == wal_skip_header(shape, lsn) &&
            range->end <= limit && range->end > wal_skip_header(shape, lsn))
            return range;
    }
    return NULL;
}

/* Function of a WalSummaryVisitor: take a fork of the summary. */
static void take_summarized_fork(void *context, const WalSummaryFork *fork)
{
    SummaryReading *reading = context;
    SourceSummaries *summaries = reading->summaries;

    if (fork->relation.relation == 0)
    {
        ARRAY_ADD(summaries->databases, summaries->database_count,
                  (ScanDatabase){.lsn = reading->range->end,
                                 .kind = WAL_EVENT_DATABASE_CREATE,
                                 .tablespace = fork->relation.tablespace,
                                 .database = fork->relation.database});
    }
    /* Free space and visibility maps are left out: they are compared or copied whole anyway. So are
     * init forks, but a new init fork means that the relation's storage is new. */
    else if (fork->fork == FORK_MAIN || (fork->fork == FORK_INIT && fork->limit == 0))
    {
        if (fork->limit != WAL_SUMMARY_NO_LIMIT)
            blockmap_truncate(reading->blocks, fork->relation, fork->limit);
        if (fork->limit == 0)
            blockmap_storage_changed(reading->blocks, fork->relation, reading->range->end);
    }
}

static void take_summarized_block(void *context, const WalSummaryFork *fork, BlockNumber block)
{
    SummaryReading *reading = context;

    if (fork->fork != FORK_MAIN || fork->relation.relation == 0)
        return;
    blockmap_add(reading->blocks, fork->relation, block);
    blockmap_add(reading->blocks, fork->relation, META_BLOCK);
}

/* The next one of the batch. */
static void parse_summary(SummaryReading *reading, const uint8_t *bytes, size_t size)
{
    SourceSummaries *summaries = reading->summaries;
    const WalSummaryVisitor visitor = {take_summarized_fork, take_summarized_block, reading};
    const char *reason;

    reading->range = &reading->batch[reading->taken];
    reading->blocks = blockmap_create();
    if (!wal_summary_read(bytes, size, &visitor, &reason))
    {
        log_debug("the source's file \"%s\" is of no use: %s", reading->paths[reading->taken],
                  reason);
        reading->ended = true;
    }
    else
    {
        blockmap_merge(summaries->blocks, reading->blocks);
        summaries->end = reading->range->end;
        reading->taken++;
    }
    blockmap_destroy(reading->blocks);
}

/* A FetchDelivery. A file that fills its piece has more, and is read whole before those that
 * follow. */
static bool take_summary(void *context, size_t index, const uint8_t *bytes, size_t size,
                         Error *error)
{
    SummaryReading *reading = context;

    (void) error;
    if (!reading->ended && index == reading->taken && bytes != NULL && size < reading->piece_size)
        parse_summary(reading, bytes, size);
    reading->ended |= bytes == NULL && index == reading->taken;
    return true;
}

static bool read_whole(Source *source, SummaryReading *reading, Error *error)
{
    AUTO_BUFFER Buffer bytes = {0};
    bool found;
    const bool result = source->operations->read_file(source, reading->paths[reading->taken],
                                                      SUMMARY_SIZE_MAX, &bytes, &found, error);

    if (result && found)
        parse_summary(reading, bytes.bytes, bytes.size);
    else
        reading->ended = true;
    return result;
}

/* A summary that cannot be read counts as missing, as long as the source answers. */
static bool read_batch(Source *source, SummaryReading *reading, Error *error)
{
    FetchRequest requests[BATCH_SIZE];
    Error why = {0};

    for (size_t i = 0; i < reading->count; i++)
        requests[i] = (FetchRequest){.path = reading->paths[i], .size = reading->piece_size};
    if (source->operations->fetch(source, 0,
                                  &(FetchBatch){.requests = requests, .count = reading->count},
                                  take_summary, reading, &why) &&
        (reading->ended || reading->taken == reading->count || read_whole(source, reading, &why)))
        return stop_check(error);
    if (why.kind == ERROR_RETRY)
        return error_copy(error, &why);
    log_debug("%s", why.message);
    reading->ended = true;
    return stop_check(error);
}

/* The next ones by their names. */
static void find_batch(SummaryReading *reading, const Clusters *clusters, Lsn to)
{
    const WalShape *shape = &clusters->shape;
    const History *history = &clusters->source_history;
    Lsn position = reading->summaries->end;
    char name[WAL_SUMMARY_NAME_SIZE];

    reading->count = reading->taken = 0;
    while (reading->count < BATCH_SIZE &&
           wal_skip_header(shape, position) < wal_skip_header(shape, to))
    {
        const HistoryEntry *entry = &history->entries[history_entry_at(history, position)];
        const WalSummaryRange *range =
            find_summary(reading, shape, entry->timeline, position,
                         entry->end != LSN_INVALID && entry->end < to ? entry->end : to);

        if (range == NULL)
        {
            log_debug("the source has no WAL summary of timeline %u that begins at %s and leads on",
                      entry->timeline, LSN_TEXT(shape->version, position));
            return;
        }
        wal_summary_name(range, name);
        snprintf(reading->paths[reading->count], SUMMARY_PATH_SIZE, "%s/%s", WAL_SUMMARY_DIRECTORY,
                 name);
        reading->batch[reading->count++] = *range;
        position = range->end;
    }
}

bool source_summaries_read(const Clusters *clusters, Lsn from, Lsn to, bool only_names,
                           SourceSummaries *summaries, Error *error)
{
    Source *source = clusters->source;
    SummaryReading *reading;
    AUTO_ARENA Arena *arena = arena_create();
    WalSummaryRange range;
    const char **name;
    bool result;

    *summaries = (SourceSummaries){.end = from, .blocks = blockmap_create()};
    if (!clusters->shape.version->has_wal_summaries)
        return true;
    reading = memory_allocate_zeroed(1, sizeof(*reading));
    result = source->operations->names(source, WAL_SUMMARY_DIRECTORY, arena, &name, error);
    for (; *name != NULL; name++)
        if (wal_summary_name_parse(*name, &range))
            ARRAY_ADD(reading->ranges, reading->range_count, range);
    ARRAY_SORT(reading->ranges, reading->range_count, compare_ranges);
    reading->summaries = summaries;
    reading->piece_size = rate_piece(source->rate, FETCH_SIZE_MAX);
    do
    {
        find_batch(reading, clusters, to);
        if (only_names && reading->count > 0)
        {
            summaries->end = reading->batch[reading->count - 1].end;
            continue;
        }
        result = result && (reading->count == 0 || read_batch(source, reading, error));
    } while (result && reading->count > 0 && !reading->ended);
    free(reading->ranges);
    free(reading);
    return result;
}

void source_summaries_free(SourceSummaries *summaries)
{
    blockmap_destroy(summaries->blocks);
    free(summaries->databases);
    *summaries = (SourceSummaries){0};
}
