/*
 * The decision about one file: from its name, from what both sides have there, and from the WAL.
 * Decisions about other files do not matter here; plan_make sees to what follows for the
 * directories that a file is in, and for what is below it.
 */
#ifndef PLAN_DECIDE_H
#define PLAN_DECIDE_H

#include "plan/plan.h"

/* A path as both sides have it. */
typedef struct FilePair
{
    const char *path;
    const ListedFile *source; /* NULL: not there */
    const ListedFile *target;
    const Foreign *foreign_on_source; /* in the whole listing */
    const Foreign *foreign_on_target;
    const char *link_target; /* of the source's link, else NULL */
    PathClass class;
    RelationFile file;        /* of a relation's file */
    bool database_is_targets; /* the target has made or dropped the database that it belongs to */
} FilePair;

typedef enum Outcome
{
    OUTCOME_ENTRY,      /* of the plan */
    OUTCOME_LEAVE,      /* the target's file stays, so must the directories that it is in */
    OUTCOME_LEAVE_TREE, /* with all that is below it */
    OUTCOME_KEEP,       /* likewise, by --keep */
    OUTCOME_CONFLICT    /* nothing can be done: what is below it is not looked at */
} Outcome;

typedef struct Decision
{
    Outcome outcome;
    PlanEntry entry;     /* OUTCOME_ENTRY; the reason is set in any case */
    const char *kept_by; /* OUTCOME_KEEP: the pattern */
} Decision;

/* Set class and file by the path. */
void pair_classify(const PlanInput *input, FilePair *pair);

Decision decide_file(const PlanInput *input, const FilePair *pair);

#endif
