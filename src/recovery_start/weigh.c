/*
 * What is cheaper: to replay the source's WAL, to read it for the blocks that it names and fetch
 * these, or to find these by comparing all blocks.
 */
#include "recovery_start/choice.h"

#include "format/relpath.h"

/* What the starts cost is estimated when so much WAL has been read, and then again whenever a
 * quarter more was, but not more often than this. */
#define FIRST_LOOK_BYTES ((uint64_t) 128 * 1024 * 1024)
#define LOOK_AGAIN_BYTES ((uint64_t) 64 * 1024 * 1024)

/* ---- Comparing ---- */

/* A SourceFileVisitor. */
static bool add_relation_bytes(void *context, const SourceFile *file, Error *error)
{
    Choice *choice = context;
    RelationFile relation;

    (void) error;
    if (file->type == FILE_REGULAR &&
        relpath_parse(choice->clusters->shape.version, file->path, &relation) &&
        relation.fork == FORK_MAIN)
        choice->relation_bytes += file->size;
    return true;
}

static bool measure_relations(Choice *choice, Error *error)
{
    Source *source = choice->clusters->source;

    if (!choice->relations_measured &&
        !source->operations->list(source, choice->clusters->shape.version, add_relation_bytes,
                                  choice, error))
        return false;
    choice->relations_measured = true;
    return true;
}

/* Set *may if comparing all blocks may cost less than reading wal_bytes of WAL. Then
 * choice->relation_bytes is known, the limit of what is compared and of what is fetched. */
static bool may_compare(Choice *choice, uint64_t wal_bytes, bool *may, Error *error)
{
    *may = false;
    if (wal_bytes < ESTIMATE_WAL_MUCH)
        return true;
    if (!measure_relations(choice, error))
        return false;
    *may = estimate_prefers_comparing(wal_bytes, choice->relation_bytes);
    return true;
}

/* What a late start costs if all is compared instead of reading the WAL that is left. */
static StartEstimate estimate_comparing(const Choice *choice, uint64_t wal_left,
                                        const StartEstimate *by_reading)
{
    StartEstimate comparing = *by_reading;

    comparing.fetched_bytes = wal_left;
    comparing.compared_bytes = choice->relation_bytes;
    if (comparing.block_bytes > choice->relation_bytes)
        comparing.block_bytes = choice->relation_bytes;
    return comparing;
}

static void note_comparing(Choice *choice, const StartEstimate *estimate)
{
    choice->made->choice.compares = true;
    choice->made->choice.estimate = *estimate;
}

bool prefer_comparing(Choice *choice, uint64_t wal_left, Error *error)
{
    const RecoveryStart *made = choice->made;
    const StartEstimate unknown = {.wal_bytes = made->chosen.redo - made->earliest.redo,
                                   .block_bytes = UINT64_MAX};
    StartEstimate comparing;
    bool may;

    if (!may_compare(choice, wal_left, &may, error))
        return false;
    if (!may)
        return true;
    comparing = estimate_comparing(choice, wal_left, &unknown);
    note_comparing(choice, &comparing);
    return true;
}

bool prefer_comparing_at_once(Choice *choice, Error *error)
{
    StartChoice *made = &choice->made->choice;
    const uint64_t wal_bytes = made->late_redo - choice->made->earliest.redo;
    const StartEstimate worst = {.wal_bytes = wal_bytes, .block_bytes = UINT64_MAX};
    StartEstimate comparing;
    bool may;

    if (!may_compare(choice, wal_bytes, &may, error))
        return false;
    comparing = estimate_comparing(choice, wal_bytes, &worst);
    if (!may || !estimate_prefers_late_at_any_rate(&comparing))
        return true;
    made->reason = START_ESTIMATE;
    note_comparing(choice, &comparing);
    return true;
}

bool compare_without_wal(Choice *choice, Error *error)
{
    const RecoveryStart *made = choice->made;
    const StartEstimate unknown = {.wal_bytes = made->chosen.redo - made->earliest.redo};
    StartEstimate comparing;

    if (!measure_relations(choice, error))
        return false;
    choice->lacks_wal = true;
    comparing = estimate_comparing(choice, unknown.wal_bytes, &unknown);
    note_comparing(choice, &comparing);
    return true;
}

/* ---- While WAL is read ---- */

void choice_begin_looking(Choice *choice)
{
    choice->looked_at = choice->made->earliest.redo;
    choice->blocks_then = 0;
    choice->next_look = choice->made->earliest.redo + FIRST_LOOK_BYTES;
}

/* Is this segment's end the last that is seen before the one in which the late start lies? */
static bool is_last_look(const Choice *choice, Lsn read_to)
{
    return read_to + choice->clusters->shape.segment_size > choice->made->choice.late_redo;
}

/* WAL before the late start that was not read yet. */
static uint64_t wal_before_late(const Choice *choice, Lsn read_to)
{
    const Lsn late_redo = choice->made->choice.late_redo;

    return late_redo > read_to ? late_redo - read_to : 0;
}

/*
 * Estimate, from the source's WAL up to there, which names so many blocks, what all WAL before the
 * late start costs: what is left of it is taken to name new blocks as fast as what was read since
 * the last time.
 */
static void estimate(Choice *choice, Lsn read_to, uint64_t blocks)
{
    StartChoice *made = &choice->made->choice;
    const Lsn first = choice->made->earliest.redo;
    const double seen = (double) (read_to - choice->looked_at);
    const double left = (double) wal_before_late(choice, read_to);
    const double new_blocks = (double) blocks - (double) choice->blocks_then;
    const uint64_t step = (read_to - first) / 4;

    made->estimate.wal_bytes = made->late_redo - first;
    made->estimate.block_bytes = (blocks + (uint64_t) (new_blocks / seen * left)) *
                                 choice->clusters->target.control.block_size;
    made->estimate.bytes_per_second = source_wal_fetch_rate(choice->source_wal);
    choice->looked_at = read_to;
    choice->blocks_then = blocks;
    choice->next_look = read_to + (step > LOOK_AGAIN_BYTES ? step : LOOK_AGAIN_BYTES);
}

bool prefer_late(void *context, Lsn read_to, const BlockMap *blocks, bool *stop, Error *error)
{
    Choice *choice = context;
    StartChoice *made = &choice->made->choice;
    const uint64_t left = wal_before_late(choice, read_to);
    bool compare;

    if (made->reason == START_ESTIMATE ||
        (read_to < choice->next_look && !is_last_look(choice, read_to)))
        return true;
    choice->added_blocks = blockmap_block_count(blocks);
    estimate(choice, read_to, choice->added_blocks);
    if (!may_compare(choice, left, &compare, error))
        return false;
    if (compare)
    {
        const StartEstimate comparing = estimate_comparing(choice, left, &made->estimate);

        *stop = estimate_prefers_late(&comparing);
        if (*stop)
            note_comparing(choice, &comparing);
    }
    else
        *stop = estimate_prefers_late(&made->estimate);
    if (*stop || is_last_look(choice, read_to))
        made->reason = START_ESTIMATE;
    return true;
}

bool regret_late(void *context, Lsn read_to, const BlockMap *blocks, bool *stop, Error *error)
{
    Choice *choice = context;
    BlockMap *more;

    (void) error;
    if (read_to < choice->next_look && !is_last_look(choice, read_to))
        return true;
    more = blockmap_copy(blocks);
    blockmap_subtract(more, choice->made->own_blocks);
    estimate(choice, read_to, choice->added_blocks + blockmap_block_count(more));
    blockmap_destroy(more);
    *stop = estimate_prefers_early(&choice->made->choice.estimate);
    return true;
}
