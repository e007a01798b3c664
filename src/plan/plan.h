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
    ACTION_NONE,      /* patch the named blocks; without named blocks leave the file alone */
    ACTION_COPY,      /* replace the file as a whole; with compare only if the content differs */
    ACTION_COPY_TAIL, /* patch the named blocks, and append the source's bytes after the target's
                         size */
    ACTION_TRUNCATE,  /* patch the named blocks, and cut the file to the source's size */
    ACTION_CREATE,    /* create a directory or a link */
    ACTION_REMOVE
} Action;

/* The reason for a decision about a file. */
typedef enum Reason
{
    /* For an entry: */
    REASON_ON_BOTH_SIDES, /* an ordinary file, or a relation's fork other than the main fork */
    REASON_NOT_ON_TARGET,
    REASON_NOT_ON_SOURCE,
    REASON_BLOCKS_NAMED,      /* a relation of both sides: WAL or a comparison names its blocks */
    REASON_STORAGE_OF_TARGET, /* the target's file holds another relation's storage than the
                                 source's, or unlogged data: blocks may differ that no WAL names */
    REASON_HASH_INDEX,        /* before 10: WAL does not tell what changed in it */
    REASON_MOSTLY_CHANGED,    /* a large file of a relation of both sides, hardly a block of which
                                 would stay: it is replaced, which writes it once, not twice */
    REASON_UNLOGGED,          /* the server creates the main fork from the init fork */
    REASON_COMMON_WAL, /* WAL from before the divergence, its markers in archive_status and its
                          summaries */
    REASON_OTHER_WAL,  /* WAL, a marker or a history file that the rewound target must not have: the
                          target's is removed, the source's not copied */
    REASON_HOLDS_WHAT_STAYS, /* a directory that only the target has, and that stays because a file
                                below it stays */
    REASON_LEADS_TO_LOGS, /* a directory or link of the target's server logs, or on the way there */
    REASON_LEADS_TO_TABLESPACE, /* a directory or link on the way of pg_wal's link, or of that of a
                                   tablespace */
    REASON_MAY_BE_ODD, /* an empty file, or a fifo, socket or device: this source reports all of
                          them as empty files. An empty file is copied, with a warning */
    REASON_STANDBY,    /* pg_rewind writes the file itself, or it must not be there (-R) */
    REASON_MOUNTED,    /* a mount of the target that no server needs */
    REASON_EXCLUDED,   /* the server creates it again; an entry only if the target has it */
    /* Reasons why a file is left alone, or is a conflict (OUTCOME_CONFLICT): */
    REASON_PATH_LEFT,    /* PATH_LEFT: logs, and pg_control and other files that commit and apply
                                  write, in their own order */
    REASON_STAGED_APART, /* WAL of the source, and pg_wal itself */
    REASON_ODD,          /* a fifo, socket or device */
    REASON_ODD_ON_SOURCE,
    REASON_TYPES_DIFFER, /* a file of one type in the source, of another in the target: a conflict
                            if the server reads the path (path_server_reads), else left alone */
    REASON_SECOND_NAME,  /* the second name of a directory that is listed below a link */
    REASON_FOREIGN_TO_SOURCE, /* another cluster, or a part of one, below its data directory */
    REASON_FOREIGN, /* the target's file is in a ForeignTree; an entry may have this reason, too */
    REASON_LINK_OF_SOURCE, /* a link among the source server's files whose content is not listed */
    REASON_NAME_NOT_VALID, /* a name that is invalid in the source's encoding: no query can name it
                            */
    REASON_UNREADABLE,     /* a directory of the target that cannot be listed */
    REASON_KEPT,           /* --keep */
    /* For a pattern: */
    REASON_MATCHES_NOTHING
} Reason;

typedef struct PlanEntry
{
    const char *path;
    const char *link_target; /* ACTION_CREATE of a link */
    uint64_t source_size;    /* planned size of the file after the rewind: the source's, for
                                REASON_UNLOGGED the target's; 0 for ACTION_REMOVE */
    uint64_t target_size;
    const BlockMapRelation *blocks; /* named blocks of the relation, or NULL */
    /* blocks that recovery writes whole: they are not fetched; or NULL */
    const BlockMapRelation *rebuilt;
    BlockNumber first_block; /* number, in the relation, of this segment's first block */
    /* number, in the relation, of the block from which on every block is fetched (truncation or
     * tail); BLOCK_NONE if only named blocks are */
    BlockNumber fetch_all_from;
    /* Sums over all ranges of plan_next_range, set by plan_measure_ranges: */
    uint64_t range_count;
    uint64_t fetch_bytes;
    uint64_t overwrite_bytes; /* the part of fetch_bytes that lies below the target's size */
    uint8_t action;
    uint8_t reason;
    uint8_t type;
    uint8_t kind;
    bool on_target : 1;
    bool compare : 1;      /* ACTION_COPY of a file that may be equal: digest first */
    bool wal : 1;          /* a WAL segment (PATH_WAL): staged_wal_add stages it, not stage_fetch */
    bool twophase : 1;     /* a file of pg_twophase */
    bool cluster_mode : 1; /* path_has_cluster_mode of the path */
    bool has_other_segments : 1; /* a segment of a relation that has, or may have, other segments:
                                    the file gets source_size even if the source has cut it since
                                    the listing (stage_final_size) */
    bool settled : 1; /* source_size is more than was listed: a segment that must be full by now */
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
    /* ascending by path. A relation's file without any change has no entry, except with
     * every_relation, or if its number (see PlanInput's next_oid) or its database shows that the
     * source may have created the relation recently. */
    PlanEntry *entries;
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
    size_t hash_index_count;               /* hash indexes on both sides, before 10 */
    const Listing *target;                 /* the files that the target has; PlanInput's */
    const TablespaceMappings *tablespaces; /* mappings of new tablespaces' links; PlanInput's */
    const Version *version;
    VersionDirectory version_directory; /* the cluster's directory in each tablespace */
    const char *wal_directory;          /* pg_wal, or pg_xlog */
    uint32_t block_size;
    uint64_t fetch_bytes;   /* what staging will fetch at most, without WAL */
    uint64_t rebuilt_bytes; /* not fetched, since recovery rebuilds them */
    uint64_t source_bytes;  /* total size of the source directory */
} Plan;

/* A plan is made from this alone. */
typedef struct PlanInput
{
    const Version *version;
    /* the cluster's directory in each tablespace, on both sides */
    VersionDirectory version_directory;
    WalShape shape;
    uint32_t block_size;
    uint32_t relation_segment_blocks;
    const Listing *source;
    const Listing *target;
    const TablespaceMappings *tablespaces; /* mappings applied to the source's listing; or NULL */
    const ScanResult *scan;                /* result of scanning the target's WAL */
    const BlockMap *rebuilt; /* blocks that recovery writes whole, by the source's WAL from the
                                start on (ScanResult); NULL: all blocks are fetched */
    const BlockMap *storage_of_source; /* relations whose storage the source has made or dropped
                                          since the divergence, by the same WAL; NULL if unknown:
                                          then no file is replaced for this reason */
    /* storage that the source logged as made or dropped between the earliest start and the chosen
     * one, with the LSNs of the source's WAL; NULL if both are the same, or this is not known */
    const BlockMap *made_before;
    const History *source_history;
    const Keep *keep; /* patterns of --keep and --keep-config; NULL without them */
    const char *const
        *own_files; /* with -R, the paths that pg_rewind writes itself, up to a NULL; else NULL */
    const char *unwanted;      /* with -R, the path that must not exist after the rewind, such as
                                  recovery.signal; else NULL */
    const char *log_directory; /* where the target's server logs to, relative; NULL: its default, or
                                  outside the data directory */
    bool every_relation; /* make an entry even for a relation's file that stays as it is, since the
                            caller compares or reads it (plan_compared_size) */
    bool source_hides_odd; /* the source lists sockets, fifos and devices as empty files */
    Lsn divergence;
    bool rests_on_histories; /* no bytes prove the divergence */
    Lsn wal_from;            /* WAL is staged from here on */
    Lsn whole_from; /* storage made or dropped from here on is taken whole: the divergence, or for a
                       late start the last common checkpoint's redo position */
    Oid next_oid;   /* next OID of the checkpoint at which recovery starts. A relation or database
                       created before has a smaller number, until the counter wraps around. One
                       created later may have a number that is smaller by up to 8192: the server had
                       reserved it. */
} PlanInput;

/*
 * Make a plan from the input alone, so that a plan can be made again when more blocks are named.
 * Strings come from the listings and the patterns. Files that the server reads and that are of
 * different type in source and target are conflicts: such a plan cannot be carried out; others are
 * left alone. A file that --keep names, but that must come from the source, is an error: then only
 * the remarks may be used. Nothing is logged (plan_print_remarks). The caller frees the
 * plan, even after an error.
 */
MUST_CHECK bool plan_make(const PlanInput *input, Plan *plan, Error *error);

/* The original's debug lines: `path (ACTION)` and `  block N`. */
void plan_print(const Plan *plan);
const char *action_name(Action action);

/* Log warnings and debug lines about files that are left alone, kept, or odd. With first_time also
 * warn of --keep patterns that match nothing, and users' files that are removed: a plan may be
 * made again, and each of these warnings is wanted once. */
void plan_print_remarks(const Plan *plan, bool first_time);

void plan_free(Plan *plan);

/*
 * The ranges of a file that are fetched, in bytes: begin with *offset = 0; each call gives the next
 * range at or after it, merged where adjacent. False at the end. For ACTION_COPY the whole file,
 * without the blocks that recovery rebuilds.
 */
bool plan_next_range(const Plan *plan, const PlanEntry *entry, uint64_t *offset, uint64_t *size);

/* Set the entry's range_count, fetch_bytes and overwrite_bytes. */
void plan_measure_ranges(const Plan *plan, PlanEntry *entry);

/* Bytes, from the file's start, that --compare compares: those that both sides have. 0 unless the
 * entry's reason is REASON_BLOCKS_NAMED. The last block may be incomplete. */
uint64_t plan_compared_size(const Plan *plan, const PlanEntry *entry);

/* Least size in bytes of a relation's file that plan_replaces replaces: a smaller file that both
 * sides have is patched, however much of it has changed. */
#define PLAN_REPLACED_SIZE_MIN ((uint64_t) 16 * 1024 * 1024)

/* True if a file of `size` bytes is replaced rather than patched: it has at least
 * PLAN_REPLACED_SIZE_MIN bytes, and at least seven eighths of them, changed_bytes, have changed. */
bool plan_replaces(uint64_t size, uint64_t changed_bytes);

/* plan_replaces, estimated from a sample of the blocks that plan_compared_size covers: `sampled`
 * blocks were compared, of which `differing` differ. */
bool plan_replaces_by_sample(const Plan *plan, const PlanEntry *entry, uint64_t sampled,
                             uint64_t differing);

/* The action leaves the file where it is, to be patched, extended or cut. */
bool plan_stays_in_place(const PlanEntry *entry);

/* The target keeps this file or directory, or one that it is in. */
bool plan_keeps(const Plan *plan, const char *path);

/* Append " --keep=" and the pattern that matches this path alone, quoted for a shell. */
void plan_append_keep_option(Buffer *options, const char *path);

/* The entry of a path, or NULL. */
const PlanEntry *plan_find(const Plan *plan, const char *path);

/* ---- The target's files in pg_wal that belong to the common history may stay ---- */

/* plan_segment_is_common: the WAL in this segment of the target belongs to the common history.
 * plan_keeps_segment: the segment is common, and may stay. A common segment goes if it lies before
 * a gap, a server could summarize WAL (17 and later), and the target has archived it: the
 * summarizer would wait for the missing WAL. */
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

/* The name of the newest segment of the target that stays before a gap in the WAL; NULL if no
 * segment does, or there is no gap. At the gap the summarizer of a server (17 and later) would wait
 * indefinitely. The string is the target's listing's. */
const char *plan_wal_before_gap(const PlanInput *input);

/* True if the summarizer of the rewound target (17 and later) will read segments of this timeline:
 * the summarizer starts at the oldest WAL that stays on the target. */
bool plan_summarizer_reads(const PlanInput *input, Timeline timeline);

/* The files are of a server that summarizes its WAL (17 and later). */
bool plan_summarizes_wal(const Listing *files);

/* Names of files that the target has archived, and that hold lost history; *count of them, in the
 * arena. */
const char *const *plan_archived_lost(const PlanInput *input, Arena *arena, size_t *count);

/* ---- Prepared transactions: prepared.c ---- */

typedef struct PlanPreparedList
{
    const ScanPrepared *entries; /* transactions, with xid and gid alone; gid NULL: only the
                                    number is known */
    size_t count;
} PlanPreparedList;

typedef struct PlanPrepared
{
    PlanPreparedList stay; /* the source's, which the rewound target has */
    PlanPreparedList go;   /* the target's alone, which the rewind removes */
} PlanPrepared;

/* List the prepared transactions that are not finished, from their WAL and the files of both sides.
 * of_source: those that the source's WAL prepares. target: the scan of the target's WAL. Both lists
 * are in the arena. */
PlanPrepared plan_prepared(const Plan *plan, const PlanPreparedList *of_source,
                           const ScanResult *target, Lsn divergence, Arena *arena);

/* ---- Relations that become unlogged ones while pg_rewind works: unlogged.c ---- */

/* Facts that tell a relation of the source that becomes unlogged. */
typedef struct UnloggedEvidence
{
    /* scan of the source's WAL from the start of recovery to the end of replay */
    const ScanResult *chain;
    bool target_scanned; /* input->scan tells what the target has created and dropped; false with
                            --compare */
    Oid first_oid; /* next OID of the earliest possible start; PlanInput.next_oid is the chosen
                      start's */
} UnloggedEvidence;

/*
 * True if the entry is a fork, other than the init fork, of a relation that becomes unlogged, and
 * is not to be copied. There are two cases. The chain creates the relation's init fork. Or the
 * source created the relation after the start without a record; two signs are needed for that,
 * since a target may have lost files without WAL: the common history has no file of this relation
 * (the target lacks it without having dropped it, or has created its own of that number), and the
 * relation's number is new, or the chain creates its database. (Rule C76.)
 */
bool plan_becomes_unlogged(const PlanInput *input, const UnloggedEvidence *evidence,
                           const PlanEntry *entry);

/*
 * True if the entry is the first file of a relation that no WAL of the chain names, and that
 * plan_becomes_unlogged does not leave out only because its number is not new. Either the source
 * has been building an index of an unlogged table since before the earliest start, or the target
 * has lost the file without WAL.
 */
bool plan_is_of_unknown_origin(const PlanInput *input, const UnloggedEvidence *evidence,
                               const PlanEntry *entry);

#endif
