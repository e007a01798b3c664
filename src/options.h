/*
 * The options of a run, as plain data. command_line.c fills them in; the folders from src/source
 * upwards (in the order of src/meson.build) may read them.
 */
#ifndef OPTIONS_H
#define OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct Keep;
struct TablespaceMappings;

/* Amount that a report says of the lost transactions; their number is always in it. */
typedef enum ReportTransactions
{
    REPORT_TRANSACTIONS_ALL,
    REPORT_TRANSACTIONS_SUMMARY, /* no list: counts of lost rows by table */
    REPORT_TRANSACTIONS_NONE
} ReportTransactions;

typedef enum SyncMethod
{
    SYNC_BY_DEFAULT,  /* sync whole file systems before the commit; after it, each file that the
                         commit's work has written */
    SYNC_EACH_FILE,   /* sync file by file, before the commit every file of the target */
    SYNC_FILE_SYSTEMS /* sync whole file systems, before the commit and after it */
} SyncMethod;

/* The failure of a restore command of the target's configuration (not of an option) in a run. */
typedef struct UnaskedFailure
{
    bool failed;       /* no restore command is run again in this run */
    char outcome[256]; /* restore_run's outcome of a command that could not ask the archive; else ""
                        */
} UnaskedFailure;

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
    const char *bindir;           /* -B, directory of server programs; or NULL */
    const char *config_file;      /* --config-file, or NULL */
    const char *wal_archive;      /* --wal-archive, a directory; or NULL */
    const char *restore_command;  /* --restore-command, or NULL */
    bool restore_target_wal;      /* -c */
    bool dry_run;                 /* -n */
    bool write_recovery_conf;     /* -R */
    bool no_ensure_shutdown;
    bool early_start; /* --early-start */
    bool late_start;  /* --late-start; early_start and late_start are never both set: the last one
                         given counts */
    bool compare;     /* --compare */
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
    int restore_limit_seconds;  /* limit for one run of a restore command; 0: no limit. No option
                                   sets it: --check does, and --rejoin for its examination before the
                                   stop */
    const char *decided; /* text of the options that the journal records: a committed rewind is
                            finished with them, and a later run warns where its own command
                            line differs. One option a line, quoted for a shell, without
                            passwords; NULL: no options */
    UnaskedFailure *unasked_failure; /* where the run notes that a restore command of the target's
                                        configuration has failed. NULL: the run uses none */
} Options;

#endif
