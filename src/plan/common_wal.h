/*
 * Which of the target's files in pg_wal belong to the common history, so that they may stay. Of
 * segments: plan_keeps_segment.
 */
#ifndef PLAN_COMMON_WAL_H
#define PLAN_COMMON_WAL_H

#include "plan/plan.h"

#include <stdbool.h>

/* A marker in archive_status stays where the file that it speaks of stays. */
bool plan_keeps_status(const PlanInput *input, const char *path);

/* True if a segment stays that a server which summarizes its WAL cannot get past. */
bool plan_keeps_wal_before_gap(const PlanInput *input);

/* pg_wal/summaries/TTTTTTTTSSSSSSSSSSSSSSSSEEEEEEEEEEEEEEEE.summary: timeline, start and end. */
bool plan_keeps_summary(const PlanInput *input, const char *path);

#endif
