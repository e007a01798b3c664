/*
 * Two listings and a block map make one action for each file: pure, printable, complete.
 */
#ifndef PLAN_PLAN_H
#define PLAN_PLAN_H

#include "plan/common_wal.h"

/*
 * Decide: from the input alone, so that a plan can be made again when more blocks are named.
 * Strings come from the listings and the patterns. Files that the server reads and that are of
 * different type in source and target are conflicts: such a plan cannot be carried out; others are
 * left alone. A file that must be kept by --keep, but must also come from the source, is an error:
 * then only the remarks may be used. Nothing is logged (plan_print_remarks). The caller frees the
 * plan, also after an error.
 */
MUST_CHECK bool plan_make(const PlanInput *input, Plan *plan, Error *error);

/* The original's debug lines: `path (ACTION)` and `  block N`. */
void plan_print(const Plan *plan);
const char *action_name(Action action);

/* Warnings and debug lines about files that are left alone, kept, or odd; about patterns only the
 * first time. */
void plan_print_remarks(const Plan *plan, bool first_time);

#endif
