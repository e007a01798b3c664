/*
 * --check: could this node be rewound, now or after a failover? node_check makes the looks in their
 * order, and finds the verdict (readiness_find.c). A look examines one subject and adds its
 * findings. readiness.c prints findings. Nothing is written, locked or run on either side, and the
 * target's server may run. The looks are cheap: no file of a relation is opened, and a bounded part
 * of the WAL is read. All files are listed only for a node that has diverged.
 */
#ifndef CHECK_READINESS_H
#define CHECK_READINESS_H

#include "base/advice.h"
#include "rewind/look.h"
#include "target/configuration.h"

#include <stdio.h>

typedef enum VerdictState
{
    VERDICT_NONE, /* no verdict: no source is named, or the target's server runs (then the findings
                     tell what would stop a rewind) */
    VERDICT_NEEDED,
    VERDICT_NOT_NEEDED,
    VERDICT_NOT_POSSIBLE,
    VERDICT_UNKNOWN
} VerdictState;

typedef struct Verdict
{
    VerdictState state;
    const char *text;
    const char *dry_run_adds; /* what --dry-run would find out beyond --check; NULL: nothing */
    AdviceList reasons;       /* errors that would stop a rewind; one with an id is a finding as
                                 well */
} Verdict;

/* The node that is examined, and the findings. Strings are in the arena or static. */
typedef struct Node
{
    Arena *arena;
    const Options *options; /* copy of the options, with limits on all waits and without those
                               that write */
    Look look;
    const Clusters *clusters;         /* clusters of look.session */
    const Version *version;           /* version of both clusters; NULL if not known */
    Configuration configuration;      /* files with which the server was last started */
    SettingsReader reader;            /* reads these files */
    Settings settings;                /* what these files set */
    StandbySettings standby_settings; /* with -R and a source that was asked: what the run would
                                         write; otherwise empty */
    WalStore *archive;   /* archives and the restore command as a WAL store, without the
                            target's pg_wal: for questions about older WAL */
    bool role_is_enough; /* the role may read the source's files */
    bool lacks_wal;      /* look_at_pair lacked a segment of the target's WAL */
    Lsn needed_from;     /* start of the WAL that a rewind now would need */

    /* The fields from here on are printed. */
    const char *target; /* target's directory; NULL: the command line names none */
    const char *source; /* text that names the source; NULL: the command line names none */
    Verdict verdict;
    AdviceList findings;      /* findings in the order of the looks; ids are the names in
                                 docs/check.md */
    AdviceList not_looked_at; /* subjects that no look examined; text gives the reason */
    bool refused;             /* the command line is wrong, and nothing was examined
                                 (node_refuse) */
} Node;

/*
 * Examine everything that can be examined. Cannot fail: problems are findings. A source that does
 * not answer costs some ten seconds. Everything is in node->arena, which the caller destroys.
 */
void node_check(const Options *options, Node *node);

/* Fill *node for a wrong command line, in place of node_check: nothing is examined, and the errors
 * are the findings. */
void node_refuse(const Options *options, const Error *const *errors, size_t count, Node *node);

/* Exit status of --check: 0 if ready, else 1; with --monitor that of a monitoring plugin. */
#define NODE_MONITOR_WARNING 1     /* ready, with warnings, or something could not be found out */
#define NODE_MONITOR_NOT_READY 2   /* "critical" */
#define NODE_MONITOR_NOT_CHECKED 3 /* "unknown": the node was not looked at */
int node_exit_status(const Node *node);

/* Print the findings for people, problems first. Without verbose, findings that are ok are only
 * counted. */
void node_print_text(const Node *node, bool verbose, FILE *stream);
/* Print all findings as JSON (docs/check.schema.json). */
void node_print_json(const Node *node, FILE *stream);

/* ---- For the files that look: a finding is advice, with the name as its id ---- */

#define node_add(node, name, of_severity, its_remedy, ...)                                         \
    advice_add(&(node)->findings,                                                                  \
               (Advice){.id = name, .severity = of_severity, .remedy = its_remedy}, __VA_ARGS__)
#define node_ok(node, name, ...) node_add(node, name, ADVICE_OK, NULL, __VA_ARGS__)
void node_add_error(Node *node, const char *name, AdviceSeverity severity, const Error *error);
void node_leave_out(Node *node, const char *name, const char *why);

/* ---- node_wal.c ---- */

/* Adds the findings hints_logged and wal_level, from pg_control and the last WAL. */
void node_look_at_settings(Node *node);

/* Value of a size setting of the target, in bytes; a number without a unit is in MB. Returns
 * `absent` if the setting is not set. */
uint64_t node_setting_bytes(const Node *node, const char *name, uint64_t absent);

/* Adds the findings wal_reach (does the WAL from needed_from on exist), wal_at_stop (will it still
 * exist after the server is stopped) and archive (does an archive have older WAL). */
void node_look_at_wal(Node *node);

/* ---- node_files.c ---- */

/* Adds the findings space, files, tablespaces and configuration. */
void node_look_at_files(Node *node);

/* Adds the findings slots and prepared_transactions: what a failover now would lose. */
void node_look_at_losses(Node *node);

/* ---- source_look.c ---- */

/* Adds the findings source, source_role and source_replication, and those of server_advise. Sets
 * role_is_enough. With -R and a role that is enough, node_look_at_streaming adds
 * source_replication instead. */
void node_look_at_source(Node *node);

/* Adds the finding source_replication for -R, after the look at the pair: tries the
 * primary_conninfo that the standby gets. NULL: it is not known. */
void node_look_at_streaming(Node *node, const StandbySettings *settings);

#endif
