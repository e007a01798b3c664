/*
 * The options of a run. Plain data: command_line.c makes it, and every layer from source on may
 * read it.
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct Keep;
struct TablespaceMappings;

/* The lost transactions that a report lists, beside their number. */
typedef enum ReportTransactions
{
    REPORT_TRANSACTIONS_ALL,
    REPORT_TRANSACTIONS_SUMMARY, /* what was lost of each table */
    REPORT_TRANSACTIONS_NONE
} ReportTransactions;

typedef enum SyncMethod
{
    SYNC_BY_DEFAULT,  /* file systems before the commit, each file that was written after it */
    SYNC_EACH_FILE,   /* also before the commit, all that the target has */
    SYNC_FILE_SYSTEMS /* also after it */
} SyncMethod;

/* --checkpoint: whether CHECKPOINT may be run on the source. */
typedef enum CheckpointUse
{
    CHECKPOINT_UNASKED, /* the option is not given: none is run, but one that would pay is advised
                         */
    CHECKPOINT_NO,
    CHECKPOINT_AUTO, /* where one pays or is needed, and the role may run it */
    CHECKPOINT_YES   /* where one is needed, or much WAL would be replayed; the role must be allowed
                        to */
} CheckpointUse;

typedef struct Options
{
    const char *target;           /* -D, as given: only for target_open, see Target */
    const char *source_directory; /* --source-pgdata, or NULL */
    const char *source_server;    /* --source-server, or NULL */
    const char *bindir;           /* -B, or NULL */
    const char *config_file;      /* --config-file, or NULL */
    const char *wal_archive;      /* --wal-archive, or NULL */
    const char *restore_command;  /* --restore-command, or NULL */
    bool restore_target_wal;      /* -c */
    bool dry_run;                 /* -n */
    bool write_recovery_conf;     /* -R */
    bool no_ensure_shutdown;
    bool early_start;                       /* --early-start */
    bool late_start;                        /* --late-start; the last of the two counts */
    bool compare;                           /* --compare */
    CheckpointUse checkpoint;               /* --checkpoint */
    struct TablespaceMappings *tablespaces; /* -T */
    struct Keep *keep;                      /* --keep, --keep-config; or NULL */
    const char *save_diverged_wal;          /* --save-diverged-wal, or NULL */
    const char *save_lost_rows;             /* --save-lost-rows, or NULL */
    bool require_lost_rows;                 /* --require-lost-rows; only with save_lost_rows */
    int max_lost_transactions;              /* --max-lost-transactions; -1: any number */
    bool report_wanted;                     /* --report or --report-file */
    ReportTransactions report_transactions; /* --report-transactions */
    SyncMethod sync_method;                 /* --sync-method */
    int jobs;                               /* -j; >= 1 */
    int retry_timeout_seconds;              /* --retry-timeout; default 60 */
    int wait_timeout_seconds;   /* --wait-timeout; default 300. Also for what works on the
                                   target: a server that stops, another pg_rewind */
    bool check;                 /* --check */
    bool monitor;               /* --monitor; only with check */
    const char *slot;           /* --slot, or NULL; only with -R or --rejoin */
    bool create_slot;           /* --create-slot; only with --slot */
    bool drop_slots;            /* --drop-slots; only with -R or --rejoin */
    bool rejoin;                /* --rejoin, with which write_recovery_conf is set */
    int rejoin_timeout_seconds; /* --rejoin-timeout; default 300 */
    int demote;                 /* --demote: the timeline of a primary that may be stopped though
                                   it is in use or was promoted after the source; 0: not given */
    const char *start_command;  /* --start-command, or NULL */
    const char *stop_command;   /* --stop-command, or NULL */
    uint64_t max_rate;          /* -r, in bytes per second; 0: no limit */
    int restore_limit_seconds;  /* 0: no limit; --check, and --rejoin before the stop, set one for
                                   each run of a restore command */
    const char *decided;  /* Options that a journal has decided once it is committed, which notes
                             them, so that a run which finishes it can say where its own command
                             line asks for something else. Each option is a line, as a shell takes
                             it; no password is among them. NULL: there is none */
    bool *unasked_failed; /* set by the run: a restore command that no option names has failed,
                             and none is run again. NULL: the run asks no such command */
} Options;

#endif
