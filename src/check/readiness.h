/*
 * --check: could this node be rewound, now or after a failover? Each file of the folder looks at
 * something and adds its findings; the order of the calls is that of node_check, which also finds
 * the verdict. What a finding is, and how it is shown: readiness.c; the order: readiness_find.c.
 *
 * Nothing is written, locked or run on either side, and the target's server may run. What is looked
 * at is cheap: no file of a relation is opened, and of the WAL a bounded part is read. Only of a
 * node that has diverged all files are listed.
 */
#ifndef CHECK_READINESS_H
#define CHECK_READINESS_H

#include "base/advice.h"
#include "rewind/look.h"
#include "target/configuration.h"

#include <stdio.h>

typedef enum VerdictState
{
    VERDICT_NONE, /* not asked for: the target's server runs, or no source is named */
    VERDICT_NEEDED,
    VERDICT_NOT_NEEDED,
    VERDICT_NOT_POSSIBLE,
    VERDICT_UNKNOWN
} VerdictState;

typedef struct Verdict
{
    VerdictState state;
    const char *text;
    const char *dry_run_adds; /* what --dry-run would find out in addition; NULL: nothing */
    AdviceList reasons;       /* errors with which a rewind would end; id: also a finding */
} Verdict;

/* The node that is looked at, and what was found. Strings are in the arena or static. */
typedef struct Node
{
    Arena *arena;
    const Options *options; /* with bounded timeouts, and nothing that would write */
    Look look;
    const Clusters *clusters; /* of the look */
    const Version *version;   /* of both; NULL: not known */
    Configuration configuration;
    SettingsReader reader;
    Settings settings;
    WalStore *archive;   /* archives and the restore command, without the target's pg_wal */
    bool role_is_enough; /* it may read the source's files */
    bool lacks_wal;      /* the look did not find a segment of the target's WAL that it needed */
    Lsn needed_from;     /* WAL from here on is needed for a rewind now */

    /* The rest is printed. */
    const char *target; /* the directory; NULL: the command line names none */
    const char *source; /* NULL: none is named */
    Verdict verdict;
    AdviceList findings;      /* in the order of the looks; ids are docs/check.md's names */
    AdviceList not_looked_at; /* text says why */
    bool refused;             /* node_refuse */
} Node;

/*
 * Look at everything that can be looked at. Problems are findings: this cannot fail. A source that
 * does not answer costs some ten seconds. Everything is in node->arena, which the caller destroys.
 */
void node_check(const Options *options, Node *node);

/* Instead: the command line is wrong, and nothing is looked at. The errors are its findings. */
void node_refuse(const Options *options, const Error *const *errors, size_t count, Node *node);

/* No problem was found, and a rewind that is needed is not impossible. */
bool node_is_ready(const Node *node);

/* Exit status of --check: 0 if ready, else 1; with --monitor that of a monitoring plugin. */
#define NODE_MONITOR_WARNING 1     /* ready, with warnings, or something could not be found out */
#define NODE_MONITOR_NOT_READY 2   /* "critical" */
#define NODE_MONITOR_NOT_CHECKED 3 /* "unknown": the node was not looked at */
int node_exit_status(const Node *node);

/* The findings for people, problems first: without verbose, those that are ok are only counted. */
void node_print_text(const Node *node, bool verbose, FILE *stream);
/* All findings for programs (docs/check.schema.json). */
void node_print_json(const Node *node, FILE *stream);
/* check_keys.c: the schema of what that prints, which docs/check.schema.json is. */
void node_schema(Buffer *text);

/* ---- For the files that look: a finding is advice, with the name as its id ---- */

#define node_add(node, name, of_severity, its_remedy, ...)                                         \
    advice_add(&(node)->findings,                                                                  \
               (Advice){.id = name, .severity = of_severity, .remedy = its_remedy}, __VA_ARGS__)
#define node_ok(node, name, ...) node_add(node, name, ADVICE_OK, NULL, __VA_ARGS__)
void node_add_error(Node *node, const char *name, AdviceSeverity severity, const Error *error);
void node_leave_out(Node *node, const char *name, const char *why);

/* ---- node_wal.c ---- */

/* hints_logged, wal_level: by pg_control and the last WAL. */
void node_look_at_settings(Node *node);

/* A setting in bytes, of which a number without a unit is in MB; `absent` where it is not set. */
uint64_t node_setting_bytes(const Node *node, const char *name, uint64_t absent);

/* wal_reach, wal_at_stop, archive: is the WAL from needed_from on there, will it be when
 * the server is stopped, and is there WAL from further back? */
void node_look_at_wal(Node *node);

/* ---- node_files.c ---- */

/* space, files, tablespaces, configuration. */
void node_look_at_files(Node *node);

/* slots, prepared_transactions: what a failover loses now. */
void node_look_at_losses(Node *node);

/* ---- source_look.c ---- */

/* source, source_role, source_replication, and what server_advise tells. Sets
 * role_is_enough. */
void node_look_at_source(Node *node);

#endif
