/*
 * Where the two histories part: from the history files, and from the WAL bytes.
 *
 * Equal timeline numbers prove nothing: two servers may each have made a timeline 2. So what the
 * history files say is only the latest point that is possible, and the target's WAL before it must
 * be the source's, byte by byte.
 */
#ifndef PLAN_DIVERGENCE_H
#define PLAN_DIVERGENCE_H

#include "base/error.h"
#include "cluster/source.h"
#include "format/history.h"
#include "wal/reader.h"

#include <stdbool.h>

/*
 * The first byte of the target's WAL in [from, to) that is not the source's: *lsn, and *differs.
 * The two are compared by digests, then by the bytes of the piece that differs. A segment that the
 * source (or the target) does not have proves nothing and is passed over; *compared counts the
 * bytes that were found equal.
 */
MUST_CHECK bool divergence_compare(const WalStream *target, Source *source,
                                   const History *source_history, Lsn from, Lsn to, bool *differs,
                                   Lsn *lsn, uint64_t *compared, Error *error);

#endif
