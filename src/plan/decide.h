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
    const ListedFile *source;         /* the source's file; NULL if the path does not exist there */
    const ListedFile *target;         /* the target's file; NULL if the path does not exist there */
    const Foreign *foreign_on_source; /* foreign directories in the source's whole listing */
    const Foreign *foreign_on_target;
    const char *link_target; /* where the source's link points; NULL if the source's file is not a
                                link, or the source does not report where it points */
    PathClass class;
    RelationFile file;        /* relation, fork and segment; set for PATH_RELATION and PATH_FORK */
    bool database_is_targets; /* the target's WAL created or dropped the database of this relation,
                                 since PlanInput's whole_from */
} FilePair;

typedef enum Outcome
{
    OUTCOME_ENTRY,      /* the plan gets an entry for the path */
    OUTCOME_LEAVE,      /* the target's file stays, so the directories above the file stay too */
    OUTCOME_LEAVE_TREE, /* the target's file or directory stays, with everything below it */
    OUTCOME_KEEP,    /* the file or directory stays, with everything below it, because of --keep */
    OUTCOME_CONFLICT /* no plan can be made for the path; paths below it are skipped */
} Outcome;

typedef struct Decision
{
    Outcome outcome;
    PlanEntry entry; /* the plan's entry, for OUTCOME_ENTRY; its reason is set for all outcomes */
    const char *kept_by; /* the pattern of --keep that matched, for OUTCOME_KEEP */
} Decision;

/* Set class and file by the path. */
void pair_classify(const PlanInput *input, FilePair *pair);

Decision decide_file(const PlanInput *input, const FilePair *pair);

/*
 * True if, whatever the source has there, no rewind changes this path of the target or anything
 * below it, and a rewind succeeds even if the user who runs it may neither read nor write the path:
 * its name is left alone or kept. For a look at a target without a plan. False if in doubt: the
 * source's files decide about most paths. input needs only what prepare_input sets. type: of the
 * target's file.
 */
bool path_stays(const PlanInput *input, const char *path, FileType type);

/* True if a rewind may have to read the target's regular file at this path: the file of a relation
 * is patched, backup_label tells where recovery would start, and -R may add its settings to the
 * target's. All others can be replaced or removed unread. input: as for path_stays. */
bool path_is_read(const PlanInput *input, const char *path);

#endif
