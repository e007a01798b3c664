#include "wal_sources/source_summaries.h"

#include "base/array.h"
#include "base/log.h"
#include "base/workers.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What one says of 20 TB fits. */
#define SUMMARY_SIZE_MAX ((size_t) 64 * 1024 * 1024)

/* The page where the meta page of an SP-GiST index is: an insertion changes it without WAL. */
#define META_BLOCK 0

/* The summaries that the source has. */
typedef struct SummaryList
{
    WalSummaryRange *ranges;
    size_t count;
} SummaryList;

/* The reading of one. */
typedef struct SummaryReading
{
    SourceSummaries *summaries;
    const WalSummaryRange *range;
    BlockMap *blocks;
} SummaryReading;

/* A SourceNameVisitor. */
static bool note_summary(void *context, const char *name, Error *error)
{
    SummaryList *list = context;
    WalSummaryRange range;

    (void) error;
    if (!wal_summary_name_parse(name, &range))
        return true;
    ARRAY_GROW(list->ranges, list->count);
    list->ranges[list->count++] = range;
    return true;
}

static int compare_lsns(Lsn one, Lsn other)
{
    return (one > other) - (one < other);
}

/* By timeline and start; of those that begin at one place, the one that ends last comes first. */
static int compare_ranges(const void *one, const void *other)
{
    const WalSummaryRange *a = one;
    const WalSummaryRange *b = other;

    if (a->timeline != b->timeline)
        return a->timeline < b->timeline ? -1 : 1;
    if (a->start != b->start)
        return compare_lsns(a->start, b->start);
    return compare_lsns(b->end, a->end);
}

/* Is there no record between the two? */
static bool same_place(const WalShape *shape, Lsn one, Lsn other)
{
    return wal_skip_header(shape, one) == wal_skip_header(shape, other);
}

/* The longest summary that begins at lsn and ends at or before `limit`; NULL: there is none. */
static const WalSummaryRange *find_summary(const SummaryList *list, const WalShape *shape,
                                           Timeline timeline, Lsn lsn, Lsn limit)
{
    const Lsn page = lsn - lsn % shape->block_size;
    const WalSummaryRange wanted = {timeline, page, LSN_HIGHEST};
    bool found;

    for (size_t i = array_search(&wanted, list->ranges, list->count, sizeof(*list->ranges),
                                 compare_ranges, &found);
         i < list->count && list->ranges[i].timeline == timeline &&
         list->ranges[i].start <= wal_skip_header(shape, lsn);
         i++)
    {
        const WalSummaryRange *range = &list->ranges[i];

        if (same_place(shape, range->start, lsn) && range->end <= limit &&
            range->end > wal_skip_header(shape, lsn))
            return range;
    }
    return NULL;
}

/* A WalSummaryVisitor's. */
static void take_summarized_fork(void *context, const WalSummaryFork *fork)
{
    SummaryReading *reading = context;
    SourceSummaries *summaries = reading->summaries;

    if (fork->relation.relation == 0)
    {
        ARRAY_GROW(summaries->databases, summaries->database_count);
        summaries->databases[summaries->database_count++] =
            (ScanDatabase){.lsn = reading->range->end,
                           .kind = WAL_EVENT_DATABASE_CREATE,
                           .tablespace = fork->relation.tablespace,
                           .database = fork->relation.database};
    }
    /* Maps are compared, or copied whole. An init fork as well, but what it was made for is new. */
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

static bool parse_summary(SummaryReading *reading, const Buffer *bytes, Lsn divergence,
                          const char **reason)
{
    SourceSummaries *summaries = reading->summaries;
    const WalSummaryVisitor visitor = {take_summarized_fork, take_summarized_block, reading};
    BlockMap *common = NULL;
    bool result;

    reading->blocks = blockmap_create();
    result = wal_summary_read(bytes->bytes, bytes->size, &visitor, reason);
    if (result && reading->range->end <= divergence)
    {
        common = blockmap_copy(reading->blocks);
        blockmap_merge(summaries->common, common);
        summaries->common_end = reading->range->end;
    }
    if (result)
        blockmap_merge(summaries->blocks, reading->blocks);
    blockmap_destroy(common);
    blockmap_destroy(reading->blocks);
    return result;
}

/* *usable false: it is gone, or damaged. */
static bool read_summary(Source *source, SummaryReading *reading, Lsn divergence, bool *usable,
                         Error *error)
{
    char name[WAL_SUMMARY_NAME_SIZE];
    char path[sizeof(WAL_SUMMARY_DIRECTORY) + WAL_SUMMARY_NAME_SIZE];
    const char *reason = "it was removed";
    Buffer bytes = {0};
    Error why = {0};
    bool found = false;

    wal_summary_name(reading->range, name);
    snprintf(path, sizeof(path), "%s/%s", WAL_SUMMARY_DIRECTORY, name);
    if (!source->operations->read_file(source, path, SUMMARY_SIZE_MAX, &bytes, &found, &why))
        reason = why.message;
    *usable = found && parse_summary(reading, &bytes, divergence, &reason);
    buffer_free(&bytes);
    if (why.kind == ERROR_RETRY)
        return error_copy(error, &why);
    if (!*usable)
        log_debug("the source's WAL summary \"%s\" is of no use: %s", name, reason);
    return stop_check(error);
}

/* One after the other, as long as they lead on. */
static bool read_chain(Source *source, const WalShape *shape, const History *history,
                       const SummaryList *list, Lsn to, Lsn divergence, SummaryReading *reading,
                       Error *error)
{
    Lsn *end = &reading->summaries->end;
    char text[LSN_TEXT_SIZE];

    while (wal_skip_header(shape, *end) < wal_skip_header(shape, to))
    {
        const HistoryEntry *entry = &history->entries[history_entry_at(history, *end)];
        bool usable;

        reading->range =
            find_summary(list, shape, entry->timeline, *end,
                         entry->end != LSN_INVALID && entry->end < to ? entry->end : to);
        if (reading->range == NULL)
        {
            log_debug("the source has no WAL summary of timeline %u that begins at %s and leads on",
                      entry->timeline, lsn_text(shape->version, *end, text));
            return true;
        }
        if (!read_summary(source, reading, divergence, &usable, error))
            return false;
        if (!usable)
            return true;
        *end = reading->range->end;
    }
    return true;
}

bool source_summaries_read(Source *source, const WalShape *shape, const History *history, Lsn from,
                           Lsn to, Lsn divergence, SourceSummaries *summaries, Error *error)
{
    SummaryReading reading = {.summaries = summaries};
    SummaryList list = {0};
    bool result;

    *summaries = (SourceSummaries){
        .end = from, .blocks = blockmap_create(), .common = blockmap_create(), .common_end = from};
    if (!shape->version->has_wal_summaries)
        return true;
    result = source->operations->names(source, WAL_SUMMARY_DIRECTORY, note_summary, &list, error);
    if (list.count > 0)
        qsort(list.ranges, list.count, sizeof(*list.ranges), compare_ranges);
    result = result && read_chain(source, shape, history, &list, to, divergence, &reading, error);
    free(list.ranges);
    return result;
}

void source_summaries_free(SourceSummaries *summaries)
{
    blockmap_destroy(summaries->blocks);
    blockmap_destroy(summaries->common);
    free(summaries->databases);
    *summaries = (SourceSummaries){0};
}

/* ---- Do they say what was read? ---- */

typedef struct Match
{
    const BlockMap *summarized;
    const BlockMap *read;
    bool matches;
} Match;

/* The fewest blocks that it had. */
static BlockNumber limit_of(const BlockMapRelation *relation)
{
    return blockmap_storage_lsn(relation) != LSN_INVALID ? 0 : blockmap_truncated_to(relation);
}

/* Does `other` name all that `one` names of [from, end)? */
static bool names_all_of(const BlockMapRelation *other, const BlockMapRelation *one,
                         BlockNumber from, BlockNumber end)
{
    BlockNumber first, count, same, same_count;

    while (from < end && blockmap_next_run(one, from, end, &first, &count))
    {
        if (!blockmap_next_run(other, first, first + count, &same, &same_count) || same != first ||
            same_count != count)
            return false;
        from = first + count;
    }
    return true;
}

/*
 * A relation of either map. A summary forgets blocks that were cut off later. The first block says
 * nothing: see META_BLOCK.
 */
static bool match_relation(void *context, RelationId id, const BlockMapRelation *relation)
{
    Match *match = context;
    const BlockMapRelation *summarized = blockmap_find(match->summarized, id);
    const BlockMapRelation *read = blockmap_find(match->read, id);
    BlockNumber limit;

    (void) relation;
    match->matches = summarized != NULL && read != NULL;
    if (!match->matches)
        return false;
    limit = limit_of(read);
    match->matches = limit_of(summarized) == limit &&
                     names_all_of(read, summarized, META_BLOCK + 1, BLOCK_NONE) &&
                     names_all_of(summarized, read, META_BLOCK + 1, limit);
    return match->matches;
}

bool source_summaries_match(const BlockMap *summarized, const BlockMap *read)
{
    Match match = {summarized, read, true};

    blockmap_each(summarized, match_relation, &match);
    if (match.matches)
        blockmap_each(read, match_relation, &match);
    return match.matches;
}
