/*
 * Two listings and a block map make a plan, one action for each file: pure, printable, complete.
 *
 * make.c makes and prints it, with the decisions of decide.h; entry.c has the ranges of an entry,
 * common_wal.c which of the target's WAL stays, unlogged.c which forks are left out.
 */
#ifndef PLAN_PLAN_H
#define PLAN_PLAN_H

#include "plan/foreign.h"
#include "plan/keep.h"
#include "wal/scan.h"

typedef enum Action
{
    ACTION_NONE,      /* nothing but the named blocks, if any */
    ACTION_COPY,      /* the whole file; with compare: only if the content differs */
    ACTION_COPY_TAIL, /* named blocks, and all from the target's size on */
    ACTION_TRUNCATE,  /* named blocks, and cut to the source's size */
    ACTION_CREATE,    /* a directory or a link */
    ACTION_REMOVE
} Action;

/* The reason for a decision about a file. */
typedef enum Reason
{
    /* For an entry: */
    REASON_ON_BOTH_SIDES, /* no file of a relation, or one without block numbers */
    REASON_NOT_ON_TARGET,
    REASON_NOT_ON_SOURCE,
    REASON_BLOCKS_NAMED,      /* a relation of both sides: WAL or a comparison names its blocks */
    REASON_STORAGE_OF_TARGET, /* the target made its file, or its database: its blocks may be in no
                                 WAL */
    REASON_HASH_INDEX,        /* before 10: WAL does not tell what changed in it */
    REASON_MOSTLY_CHANGED,    /* a large file of a relation of both sides, hardly a block of which
                                 would stay: it is replaced, which writes it once, not twice */
    REASON_UNLOGGED,          /* the server makes the main fork from the init fork */
    REASON_COMMON_WAL,        /* WAL from before the divergence, its markers and summaries */
    REASON_OTHER_WAL,
    REASON_HOLDS_WHAT_STAYS, /* a directory that only the target has */
    REASON_LEADS_TO_LOGS, /* a directory or link of the target's server logs, or on the way there */
    REASON_LEADS_TO_TABLESPACE, /* a directory or link on the way of pg_wal's link, or of that of a
                                   tablespace */
    REASON_MAY_BE_ODD,          /* an empty file of a source that does not tell it from a fifo */
    REASON_STANDBY,             /* pg_rewind writes the file itself, or it must not be there (-R) */
    REASON_MOUNTED,             /* on the target, and no server needs it */
    REASON_EXCLUDED, /* the server creates it again; an entry only if the target has it */
    /* For what is left alone: */
    REASON_NOT_THE_SERVERS, /* logs, and the files that commit and apply write in their order */
    REASON_STAGED_APART,    /* WAL of the source, and pg_wal itself */
    REASON_ODD,             /* a fifo, socket or device */
    REASON_ODD_ON_SOURCE,
    REASON_TYPES_DIFFER,
    REASON_SECOND_NAME,       /* of a directory that is listed below a link */
    REASON_FOREIGN_TO_SOURCE, /* another cluster, or a part of one, below its data directory */
    REASON_FOREIGN,           /* also of an entry: the target's file is in a ForeignTree */
    REASON_LINK_OF_SOURCE,    /* among the server's files: what it leads to is not listed */
    REASON_NAME_NOT_VALID,    /* in the source's encoding: it cannot be asked for */
    REASON_UNREADABLE,        /* a directory of the target */
    REASON_KEPT,              /* --keep */
    /* For a pattern: */
    REASON_MATCHES_NOTHING
} Reason;

typedef struct PlanEntry
{
    const char *path;
    const char *link_target; /* ACTION_CREATE of a link */
    uint64_t source_size;    /* also the file's after the rewind: 0 where it is removed */
    uint64_t target_size;
    const BlockMapRelation *blocks;  /* named blocks of the relation, or NULL */
    const BlockMapRelation *rebuilt; /* blocks that recovery writes whole: they are not fetched; or
                                        NULL */
    BlockNumber first_block;         /* of this relation segment */
    BlockNumber fetch_all_from; /* all blocks from here on (truncation or tail), in the relation;
                                   BLOCK_NONE */
    /* Of all ranges of plan_next_range: plan_measure_ranges. */
    uint64_t range_count;
    uint64_t fetch_bytes;
    uint64_t overwrite_bytes; /* of them, below the target's size */
    uint8_t action;
    uint8_t reason;
    uint8_t type;
    uint8_t kind;
    bool on_target : 1;
    bool compare : 1; /* ACTION_COPY of a file that may be equal: digest first */
    bool wal : 1;     /* a WAL segment or below pg_wal: staged by stage_wal, not by stage_fetch */
    bool twophase : 1;
    bool clusters : 1;           /* path_is_clusters */
    bool has_other_segments : 1; /* a segment of a relation that has, or may have, others; of the
                         size that was listed */
} PlanEntry;

/* A path that --keep names: the target keeps its own file, or none if only the source has one. */
typedef struct PlanKept
{
    const char *path;
    bool on_target;
} PlanKept;

/* A file or link, or a directory with all below it, that is removed: the source does not have it,
 * and it is not one of the server's. */
typedef struct PlanRemoved
{
    const char *path;
    uint64_t file_count; /* all but directories */
    uint64_t bytes;
    bool is_file; /* a file or link */
} PlanRemoved;

/* A remark on a file, or on a pattern that matches none. */
typedef struct PlanRemark
{
    const char *path;
    const char *kept_by; /* REASON_KEPT: the pattern; REASON_FOREIGN: what was found */
    Reason reason;
    ForeignKind kind; /* REASON_FOREIGN */
} PlanRemark;

typedef struct Plan
{
    PlanEntry *entries; /* ascending by path; of relations only those that something is done to, and
                           those that the source may have made since PlanInput's next_oid, by their
                           numbers or their databases'; all with every_relation */
    size_t count;
    PlanRemark *conflicts; /* no plan can be made for these: REASON_UNREADABLE, a directory of the
                              target; REASON_TYPES_DIFFER; REASON_LINK_OF_SOURCE. What is below them
                              is not listed. */
    size_t conflict_count;
    PlanKept *kept; /* ascending by path */
    size_t kept_count;
    PlanRemoved *removed; /* ascending by path */
    size_t removed_count;
    PlanRemark *remarks; /* in the order of the decisions */
    size_t remark_count;
    size_t hash_index_count; /* of relations that both sides have, and that WAL does not tell of */
    const Listing *target;   /* the files that the target has; or NULL */
    const TablespaceMappings *tablespaces; /* that the links of new tablespaces are mapped by */
    const Version *version;
    const char *wal_directory; /* pg_wal, or pg_xlog */
    uint32_t block_size;
    uint64_t fetch_bytes;   /* what staging will fetch at most, without WAL */
    uint64_t rebuilt_bytes; /* not fetched, since recovery rebuilds them */
    uint64_t source_bytes;  /* total size of the source directory */
} Plan;

/* A plan is made from this alone. */
typedef struct PlanInput
{
    const Version *version;
    VersionDirectory version_directory; /* of both sides */
    WalShape shape;
    uint32_t block_size;
    uint32_t relation_segment_blocks;
    const Listing *source;
    const Listing *target;
    const TablespaceMappings *tablespaces; /* that the source's listing was mapped by; or NULL */
    const ScanResult *scan;                /* of the target's WAL */
    const BlockMap *rebuilt; /* blocks that recovery writes whole, by the source's WAL from the
                                start on (ScanResult); NULL: that is not relied on */
    const BlockMap
        *storage_of_source; /* relations whose storage the source has made or dropped since the
                    divergence, by the same WAL; NULL: not known, and of no account */
    const History *source_history;
    const Keep *keep;             /* NULL: nothing */
    const char *const *own_files; /* paths that pg_rewind writes itself, up to a NULL; NULL: none */
    const char *unwanted;         /* a path that must not be there then; NULL: none */
    const char *log_directory; /* where the target's server logs to, relative; NULL: its default, or
                                  outside the data directory */
    bool every_relation;       /* entries also for files of relations that nothing is done to: they
                                  are to be compared or read (plan_compared_size) */
    bool source_hides_odd;     /* the source lists sockets, fifos and devices as empty files */
    Lsn divergence;
    bool rests_on_histories; /* no bytes prove the divergence */
    Lsn wal_from;            /* WAL is staged from here on */
    Lsn whole_from; /* storage made or dropped from here on is taken whole: the divergence, or for a
                       late start the last common checkpoint's redo position */
    Oid next_oid; /* of the start's checkpoint: no relation or database made before has this number
                     or a greater one, until the counter goes round. One made since then may have
                     a number that is less by up to 8192: the server had reserved it. */
} PlanInput;

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

/* Warnings and debug lines about files that are left alone, kept, or odd; about patterns, and what
 * is removed that no server made, only the first time. */
void plan_print_remarks(const Plan *plan, bool first_time);

void plan_free(Plan *plan);

/*
 * The ranges of a file that are fetched, in bytes: begin with *offset = 0; each call gives the next
 * range at or after it, merged where adjacent. False at the end. For ACTION_COPY the whole file,
 * without the blocks that recovery rebuilds.
 */
bool plan_next_range(const Plan *plan, const PlanEntry *entry, uint64_t *offset, uint64_t *size);

/* Note in the entry how much its ranges are. */
void plan_measure_ranges(const Plan *plan, PlanEntry *entry);

/* How many bytes from its start both sides have of a file that has block numbers: what a comparison
 * has to compare (--compare). The last block may be incomplete. */
uint64_t plan_compared_size(const Plan *plan, const PlanEntry *entry);

/* A smaller file of a relation of both sides is patched, however much of it has changed. */
#define PLAN_REPLACED_SIZE_MIN ((uint64_t) 16 * 1024 * 1024)

/* A file of this size is replaced, not patched, if so many bytes of it have changed: at most an
 * eighth would stay. */
bool plan_replaces(uint64_t size, uint64_t changed_bytes);

/* The same, foretold by a sample of what plan_compared_size covers: so many blocks of that were
 * compared, and so many of these differ. */
bool plan_replaces_by_sample(const Plan *plan, const PlanEntry *entry, uint64_t sampled,
                             uint64_t differing);

/* The action leaves the file where it is, to be patched, extended or cut. */
bool plan_stays_in_place(const PlanEntry *entry);

/* The target keeps this file or directory, or one that it is in. */
bool plan_keeps(const Plan *plan, const char *path);

/* --keep must not leave the target's file: replay, or the state that it begins with, would not fit
 * what the target has there. */
bool plan_must_come_from_source(const Version *version, const char *path);

/* Append " --keep=" and the pattern that matches this path alone, quoted for a shell. */
void plan_append_keep_option(Buffer *options, const char *path);

/* The entry of a path, or NULL. */
const PlanEntry *plan_find(const Plan *plan, const char *path);

/* ---- The target's files in pg_wal that belong to the common history may stay ---- */

/* A segment of the target belongs to the common history. plan_keeps_segment: it may also stay. */
bool plan_segment_is_common(const PlanInput *input, Timeline timeline, uint64_t segment);
bool plan_keeps_segment(const PlanInput *input, Timeline timeline, uint64_t segment);

/*
 * This file of the target's pg_wal stays: a whole segment that does; a marker in archive_status
 * where the file that it is about stays; a summary of common history,
 * summaries/TTTTTTTTSSSSSSSSSSSSSSSSEEEEEEEEEEEEEEEE.summary: timeline, start and end.
 */
bool plan_keeps_wal_file(const PlanInput *input, const ListedFile *file);

/*
 * The history file of a timeline above the source's, which the target must not have. Recovery
 * takes the newest timeline that it finds a history file of (findNewestTimeLine of
 * access/transam/timeline.c): the server would leave the source for a timeline that was given up,
 * or not start. If the source is a standby that is about to follow a new timeline, it sends that
 * one's file when the target streams. (Rule C65.)
 */
bool plan_is_later_history(const PlanInput *input, const char *path);

/* The name, in the target's listing, of the newest segment that stays although a server which
 * summarizes its WAL cannot get past it; NULL: there is none. */
const char *plan_wal_before_gap(const PlanInput *input);

/* A server of the rewound target that summarizes its WAL (17 and later) reads this timeline's
 * segments: it begins with the oldest timeline of which WAL stays on the target. */
bool plan_summarizer_reads(const PlanInput *input, Timeline timeline);

/* The files are of a server that summarizes its WAL (17 and later). */
bool plan_summarizes_wal(const Listing *files);

/* Names of files that the target has archived, and that hold lost history; *count of them, in the
 * arena. */
const char *const *plan_archived_lost(const PlanInput *input, Arena *arena, size_t *count);

/* ---- Prepared transactions: prepared.c ---- */

typedef struct PlanPreparedList
{
    const ScanPrepared *entries; /* gid NULL: only the number is known */
    size_t count;
} PlanPreparedList;

typedef struct PlanPrepared
{
    PlanPreparedList stay; /* the source's, which the target has afterwards */
    PlanPreparedList go;   /* those that only the target has; of these two xid and gid are set */
} PlanPrepared;

/* List those that are not finished: of_source, what the source's WAL prepares; target, what the
 * target's tells; and the files of both. In the arena. */
PlanPrepared plan_prepared(const Plan *plan, const PlanPreparedList *of_source,
                           const ScanResult *target, Lsn divergence, Arena *arena);

/* ---- Relations that become unlogged ones while pg_rewind works: unlogged.c ---- */

/* The source's WAL from the start of recovery to the end of what is replayed. */
typedef struct UnloggedEvidence
{
    const ScanResult *chain;
    bool target_scanned; /* input->scan tells what the target has made and dropped: not with
                            --compare */
    Oid first_oid;       /* of the earliest start: PlanInput.next_oid is of the chosen one */
    const BlockMap *made_before; /* storage that the source made or dropped, and logged, between the
                                    two; NULL: they are one, or that is not known */
} UnloggedEvidence;

/*
 * The entry is a fork, but not the init fork, of such a relation, and is to be left out: the chain
 * makes the init fork; or the relation was made after the start, without a record of that. A
 * relation was made after the start if the target lacks its file, and has not dropped it, or has
 * made one of that number itself; and if its number or its database says so too, since a target may
 * have lost files without WAL. (Rule C76.)
 */
bool plan_becomes_unlogged(const PlanInput *input, const UnloggedEvidence *evidence,
                           const PlanEntry *entry);

/*
 * The entry is the first file of a relation that would be left out but for its number: no WAL says
 * where it comes from. Either the source builds an index of an unlogged table since before the
 * earliest start, or the target has lost the file without WAL.
 */
bool plan_is_of_unknown_origin(const PlanInput *input, const UnloggedEvidence *evidence,
                               const PlanEntry *entry);

#endif
