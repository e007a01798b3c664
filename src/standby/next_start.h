/*
 * Facts about the next start of the target's server: what the server will find, and what differs
 * from its last start.
 */
#ifndef STANDBY_NEXT_START_H
#define STANDBY_NEXT_START_H

#include "base/advice.h"
#include "io/scratch.h"
#include "plan/plan.h"
#include "standby/standby_settings.h"
#include "standby/target_slots.h"

/* A setting of the target that differs from its former value. A value is NULL if not set; passwords
 * are masked. */
typedef struct ChangedSetting
{
    const char *name, *former, *now;
} ChangedSetting;

typedef struct AffectedSlot
{
    const char *name;
    const char *type;  /* "physical" or "logical"; NULL if not known */
    const char *state; /* one of: "removed" from the target; "kept": the slot is from the
                          target's time as a primary, and no rewind was required; "copied" with
                          the source's files (before 11); and for the slot that the target will
                          use: "missing" on the source; "unusable": it exists there, and the
                          standby cannot stream with it; "made" by --create-slot, else missing;
                          "unknown" if the source could not be asked */
} AffectedSlot;

typedef struct NextStart
{
    bool settings_known;      /* settings and files were compared: only if this run rewound the
                                 target, not if it finished an interrupted rewind */
    bool settings_complete;   /* every configuration file could be read, so the list has every
                                 changed setting */
    ChangedSetting *settings; /* changed settings, the most important first */
    size_t setting_count;
    const char **files; /* configuration files that differ and will be the source's */
    size_t file_count;
    AffectedSlot *slots;
    size_t slot_count;
    const char **kept; /* files kept by --keep and --keep-config */
    size_t kept_count;
    bool written;                            /* -R has written the recovery settings */
    const StandbySettings *standby_settings; /* settings that -R has written, or NULL */
    const char *manager;  /* name of the cluster manager that has files in the target and will
                             start the server, such as Patroni; or NULL. NULL if pg_rewind
                             starts it */
    bool standby;         /* the server will start as a standby */
    bool has_source;      /* primary_conninfo or restore_command is set, so the server can get
                             WAL */
    bool recovery_conf;   /* the server reads recovery.conf (up to 11) */
    const char *conninfo; /* primary_conninfo without its password, or NULL */
    NeededLimits needed;  /* limits that the standby needs; zeros if not known */
    LowLimits low_limits; /* limits that are too low for a start as a standby */
    bool limits_written;  /* -R raises low_limits */
    bool archives_always; /* archive_mode = always; false if not known */
    bool summarizes_wal;  /* summarize_wal = on; false if not known */

    bool takes_newest_timeline;  /* recovery follows the newest timeline that it finds */
    const char *restore_command; /* restore_command of recovery, or NULL */

    AdviceList advice; /* problems that would keep the server from starting, or from following
                          the source */
} NextStart;

/* Input of next_start_find. */
typedef struct NextStartInput
{
    const Options *options;
    const Clusters *clusters;   /* both clusters; the source may not have been reached */
    const Control *control;     /* without a plan the target's pg_control; with a plan the source's,
                                   from which the rewind makes the target's new one */
    const NeededLimits *needed; /* limits that a standby needs to replay the WAL; what its files
                                   need is found out. NULL: not known */
    const Plan *plan;           /* plan of the rewind; NULL: no rewind, the target keeps its
                                   files */
    const Listing *source_files; /* files from which the plan was made; NULL without a plan */
    const StandbySettings *standby_settings; /* settings that -R writes; NULL: no -R, or not
                                                known */
    TargetSlots slots;                       /* target's slots; used only without a plan */
} NextStartInput;

/*
 * Find out the facts of the next start. Reads the target's configuration, and those files of the
 * source that the target will have; asks the source for the slot that the target will use. Strings
 * and lists are in the arena. Fails only if the connection to the source is lost (ERROR_RETRY).
 */
MUST_CHECK bool next_start_find(const NextStartInput *input, Arena *arena, NextStart *next,
                                Error *error);

/* Before a plan exists, set *archives to the archives_always that a rewound target will have. Fails
 * only if the source is lost. */
MUST_CHECK bool next_start_archives(const Options *options, const Clusters *clusters, Arena *arena,
                                    bool *archives, Error *error);

/* Name of the cluster manager whose file is in the target, or NULL. A manager decides itself
 * whether it starts the server as primary or standby. */
const char *next_start_manager(const Target *target);

/* recovery_min_apply_delay in the target's present configuration, in the arena; NULL if it is 0 or
 * not set. */
const char *next_start_apply_delay(const Target *target, Arena *arena);

/* Expectations of the server's next start, before a plan is made. */
typedef struct ExpectedStart
{
    bool rewound;        /* the target will be rewound, so its configuration becomes the
                            source's, except for kept files */
    bool needs_own_file; /* the server is started with postgresql.conf of the data directory */
    const SourceState *source;
    Lsn divergence;   /* divergence of a target that will be rewound; LSN_INVALID if not known */
    Scratch *scratch; /* directory for files that the restore command fetches */
    bool in_its_environment; /* the server runs, and will be started in Target.environment: its
                                restore_command ends now as it will then */
    const StandbySettings *settings; /* tells which slot the target's own running server uses; NULL:
                                        the server does not run */
    int slot_patience_seconds; /* time to wait until another server releases the standby's slot */
} ExpectedStart;

/*
 * Advise on the expected start, for --rejoin. Problems: a setting that would stop replay early or
 * open the server for writing; WAL in the archive that would lead the server away from the source;
 * a replication slot that the source lacks, or that the standby cannot use; a configuration file
 * that the server needs and that will not exist. A warning: what the server would run by the
 * source's configuration. Fails only if the source cannot be asked.
 */
MUST_CHECK bool next_start_check(const Options *options, const Clusters *clusters,
                                 ExpectedStart expected, AdviceList *list, Error *error);

/* Advise on what would lead a start with the target's present files away from the source, such as a
 * recovery target, or primary_conninfo on the command line, and on what the start would refuse.
 * source: the source's state. written: -R has written, and nothing is asked of the source; else as
 * it will leave the files, without a rewind. (Rules S31, S40.) */
void next_start_judge(const Options *options, const Clusters *clusters, const SourceState *source,
                      bool written, AdviceList *list);

/* Find the limits that are too low for a standby in the configuration of the expected start,
 * including limits that -R will raise. None if a cluster manager that sets the limits will start
 * the server. Fails only if the source is lost. */
MUST_CHECK bool next_start_limits(const Options *options, const Clusters *clusters,
                                  ExpectedStart expected, Arena *arena, LowLimits *low,
                                  Error *error);

#endif
