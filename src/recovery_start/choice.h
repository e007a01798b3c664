/*
 * The inside of the choice of a start, for choose.c, which makes it, and weigh.c, which says what
 * is cheaper.
 */
#ifndef RECOVERY_START_CHOICE_H
#define RECOVERY_START_CHOICE_H

#include "recovery_start/choose.h"

/* The choice as it is made. */
typedef struct Choice
{
    const Clusters *clusters;
    const Divergence *divergence;
    const TargetChanges *changes; /* NULL with --compare */
    SourceWal *source_wal;
    const Options *options;
    bool archives;
    Arena *arena;
    RecoveryStart *made;
    Lsn added_to;  /* what the source changed from the early start up to here is in own_blocks;
                      LSN_INVALID: nothing */
    Lsn next_look; /* to estimate again what it costs */
    Lsn looked_at; /* the last time; the WAL up to there names so many blocks: */
    uint64_t blocks_then;
    uint64_t added_blocks; /* those that it named when the late start was chosen */
    bool regretted;        /* that turned out to be dearer */
    bool needs_checkpoint; /* the late start that is weighed would have to be made: --checkpoint */
    bool without_checkpoint; /* it is not made, in a dry run */
    bool lacks_wal;          /* before the late start: no place has it, so all is compared */
    bool relations_measured;
    uint64_t relation_bytes; /* of the source's relations; with relations_measured */
} Choice;

/* Before WAL is read up to the late start: when prefer_late is to look first. */
void choice_begin_looking(Choice *choice);

/*
 * A WalWatch, up to the late start that is possible: will the WAL be replayed sooner, or its blocks
 * be fetched? The last answer is given before the segment in which that start lies.
 */
MUST_CHECK bool prefer_late(void *context, Lsn read_to, const BlockMap *blocks, bool *stop,
                            Error *error);

/* The same after the late start was chosen: WAL that follows may name many more blocks. */
MUST_CHECK bool regret_late(void *context, Lsn read_to, const BlockMap *blocks, bool *stop,
                            Error *error);

/* Is it better to compare all blocks than to read so much WAL, to find those that a late start
 * fetches? Then this is noted as made->choice.compares. */
MUST_CHECK bool prefer_comparing(Choice *choice, uint64_t wal_bytes, Error *error);

/* The same before any WAL is read, also against its replay: better however fast the source sends.
 */
MUST_CHECK bool prefer_comparing_at_once(Choice *choice, Error *error);

/* All blocks are compared, since the WAL before the late start is nowhere. */
MUST_CHECK bool compare_without_wal(Choice *choice, Error *error);

#endif
