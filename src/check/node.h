/*
 * The node that --check looks at, and the files that look at it: each adds its findings. The order
 * of the calls is that of readiness_find, which also finds the verdict.
 */
#ifndef CHECK_NODE_H
#define CHECK_NODE_H

#include "check/readiness.h"
#include "rewind/look.h"
#include "target/configuration.h"

typedef struct Node
{
    const Options *options; /* with bounded timeouts, and nothing that would write */
    Arena *arena;
    Readiness *readiness;
    Look look;
    const Clusters *clusters; /* of the look */
    const Version *version;   /* of both */
    Configuration configuration;
    SettingsReader reader;
    Settings settings;
    WalStore *archive;    /* --wal-archive and the restore command, without the target's pg_wal */
    const char *role;     /* by which the source was reached; NULL: not known */
    const char *database; /* in which the grants are looked for */
    bool role_is_enough;  /* it may read the source's files */
    bool lacks_wal;       /* the look did not find a segment of the target's WAL that it needed */
    Lsn needed_from;      /* WAL from here on is needed for a rewind now */
} Node;

/* ---- node_wal.c ---- */

/* hints_logged, wal_level, full_page_writes, extensions: by pg_control and the last WAL. */
void node_look_at_settings(Node *node);

/* wal_reach, wal_kept, archive: is the WAL from needed_from on there, and further back? */
void node_look_at_wal(Node *node);

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

#endif
