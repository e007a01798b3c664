/*
 * The target's files in pg_wal that belong to the common history may stay.
 */
#ifndef PLAN_COMMON_WAL_H
#define PLAN_COMMON_WAL_H

#include "plan/entry.h"

/* A WAL segment of the target belongs to the common history. plan_keeps_segment: it may also stay.
 */
bool plan_segment_is_common(const PlanInput *input, Timeline timeline, uint64_t segment);
bool plan_keeps_segment(const PlanInput *input, Timeline timeline, uint64_t segment);

/* A marker in archive_status stays where the file that it is about stays. */
bool plan_keeps_status(const PlanInput *input, const char *path);

/* pg_wal/summaries/TTTTTTTTSSSSSSSSSSSSSSSSEEEEEEEEEEEEEEEE.summary: timeline, start and end. */
bool plan_keeps_summary(const PlanInput *input, const char *path);

/* True if a segment stays that a server which summarizes its WAL cannot get past. */
bool plan_keeps_wal_before_gap(const PlanInput *input);

/* The files are of a server that summarizes its WAL (17 and later). */
bool plan_summarizes_wal(const Listing *files);

#endif
