/*
 * The node that --check looks at, and the files that look at it: each adds its findings. The order
 * of the calls is that of readiness_find.
 */
#ifndef CHECK_NODE_H
#define CHECK_NODE_H

#include "pair/clusters.h"
#include "format/settings.h"
#include "io/connection.h"
#include "options.h"
#include "check/readiness.h"
#include "target/configuration.h"
#include "wal/reader.h"
#include "wal_store/target_wal.h"

typedef struct Node
{
    const Options *options; /* with bounded timeouts, and nothing that would write */
    Arena *arena;
    Readiness *readiness;
    Clusters clusters; /* target, shape and target_history; source while there is one */
    bool history_known;
    Configuration configuration;
    const char *config_file_of_rewind; /* NULL: postgresql.conf in the data directory */
    SettingsReader reader;
    Settings settings;
    TargetWal own_wal;           /* the target's pg_wal, nothing else */
    const char *restore_command; /* -c or --restore-command, or NULL */
    bool archive_is_told;        /* what is wrong with that */
    const char *role;            /* by which the source was reached; NULL: not known */
    const char *database;        /* in which the grants are looked for */
    bool role_is_enough;         /* it may read the source's files */
    Lsn common_end;              /* WAL that ends up to here may come from the source, which has
                                    it; LSN_INVALID: none */
    bool lacks_wal;              /* a segment of it is nowhere */
    bool compares;               /* the source's WAL is nowhere: a rewind compares all blocks */
    Lsn needed_from;             /* WAL from here on is needed for a rewind now */
} Node;

/* What the state is of something that only WAL is needed for: a problem, but not with --compare. */
FindingState node_wal_problem(const Node *node);

/* ---- node_wal.c ---- */

/* hints_logged, wal_level, full_page_writes, extensions: by pg_control and the last WAL. */
void node_look_at_settings(Node *node);

/* wal_reach, wal_kept, archive: is the WAL from needed_from on there, and further back? */
void node_look_at_wal(Node *node);

/* The target's WAL as a stream: pg_wal only. */
WalStream node_wal_stream(const Node *node);

/* Does pg_wal have this segment, in the file that the history names? */
bool node_has_segment(const Node *node, uint64_t segment);

/* ---- node_archive.c ---- */

/* What the archive answered. */
typedef enum ArchiveAnswer
{
    ARCHIVE_NONE, /* there is no archive to ask */
    ARCHIVE_HAS,
    ARCHIVE_LACKS
} ArchiveAnswer;

/* Ask --wal-archive and the restore command, NULL: none, for a segment of this name, which goes to
 * memory. *how, in the arena: a sentence about the answer. */
ArchiveAnswer node_ask_archive(const Node *node, const char *command, uint64_t segment,
                               const char *name, const char **how);

/* ---- node_files.c ---- */

/* space, files, tablespaces, configuration. */
void node_look_at_files(Node *node);

/* slots, prepared_transactions: what a failover loses now. */
void node_look_at_losses(Node *node);

/* ---- node_access.c ---- */

/* pg_hba: could a standby connect to this node, and a pg_rewind? */
void node_look_at_access(Node *node);

/* ---- source_look.c ---- */

/* source, source_role, source_replication, source_full_page_writes, source_wal_level. Sets role,
 * database, role_is_enough. */
void node_look_at_source(Node *node);

/* ---- verdict.c ---- */

/* The verdict of a stopped target; of a running one only whether both are of one cluster, and what
 * WAL a rewind needs if it has diverged already. Sets needed_from. */
void node_judge(Node *node);

/* After node_look_at_wal: a rewind that lacks WAL of the target is not possible; one that lacks WAL
 * of the source may be. */
void node_judge_again(Node *node);

#endif
