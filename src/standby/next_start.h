/*
 * The next start of the target's server: what it will find, and what differs from its last one.
 */
#ifndef STANDBY_NEXT_START_H
#define STANDBY_NEXT_START_H

#include "base/advice.h"
#include "io/scratch.h"
#include "plan/plan.h"
#include "standby/standby_settings.h"
#include "standby/target_slots.h"

/* A setting of the target that differs from its former value. NULL: not set. No passwords. */
typedef struct ChangedSetting
{
    const char *name, *former, *now;
} ChangedSetting;

typedef struct AffectedSlot
{
    const char *name;
    const char *type;  /* physical or logical, NULL: not known */
    const char *state; /* removed: the target had it. kept: it has it from its time as a primary,
                          and no rewind was required. copied: it came with the source's files (10).
                          missing: the target will use it, the source has none. made: the same,
                          but --create-slot makes it. unknown: the same, but the source could not
                          be asked. */
} AffectedSlot;

typedef struct NextStart
{
    bool settings_known; /* settings and files were compared: a rewind, not one that was finished */
    bool settings_complete;
    ChangedSetting *settings; /* what matters most first */
    size_t setting_count;
    const char **files; /* other configuration that differs and is the source's */
    size_t file_count;
    AffectedSlot *slots;
    size_t slot_count;
    const char **kept; /* by --keep and --keep-config */
    size_t kept_count;
    bool written;                            /* by -R */
    const StandbySettings *standby_settings; /* what it sets, or NULL */
    const char *manager;  /* whose own files are in the target, and which will start it; or
                             NULL */
    bool standby;         /* the server will start as a standby */
    bool has_source;      /* it knows where to get WAL from */
    bool recovery_conf;   /* it reads a recovery.conf (10, 11) */
    const char *conninfo; /* primary_conninfo without its password, or NULL */
    LowLimits low_limits; /* with which it would not start as a hot standby */
    bool limits_written;  /* -R raises them */
    bool archives_always; /* archive_mode = always, as far as is known */
    bool summarizes_wal;  /* summarize_wal = on, likewise */

    bool takes_newest_timeline;  /* recovery follows the newest timeline that it finds */
    const char *restore_command; /* that it asks; or NULL */

    AdviceList advice; /* what would keep the server from starting, or from following the source;
                          next_start_free */
} NextStart;

/* The values that it is found out from. */
typedef struct NextStartInput
{
    const Clusters *clusters;    /* the source may not have been reached */
    const Control *control;      /* what the target has or gets */
    const uint32_t *limits;      /* that the WAL to be replayed asks of a hot standby; NULL: not
                                    known */
    const Plan *plan;            /* NULL: the target is not rewound, and has what it has */
    const Listing *source_files; /* that the plan was made from */
    const StandbySettings *standby_settings; /* what -R sets; NULL: without -R, or not known */
    bool write_recovery_conf;                /* -R */
    TargetSlots slots;                       /* without a plan */
    bool slots_dropped;                      /* --drop-slots: those of its time as a primary are, or
                                                would be */
} NextStartInput;

/*
 * Find out. Reads the target's configuration, and of the source's files those that the target will
 * have; asks the source for the slot that the target will use. Strings and lists are in the arena.
 * Fails only when the connection to the source is lost (ERROR_RETRY).
 */
MUST_CHECK bool next_start_find(const NextStartInput *input, Arena *arena, NextStart *next,
                                Error *error);

/* The manager whose file is in the target, or NULL. It starts the server as primary or standby as
 * it decides. */
const char *next_start_manager(const Target *target);

/* recovery_min_apply_delay of the target's configuration as it is now; NULL: none. In the arena. */
const char *next_start_apply_delay(const Target *target, Arena *arena);

/* A start of the target's server, as far as it is known before there is a plan. */
typedef struct ExpectedStart
{
    bool rewound;        /* the configuration is the source's, except for what is kept */
    bool needs_own_file; /* the server is started with postgresql.conf of the data directory */
    const SourceState *source;
    Lsn divergence;   /* if it is rewound; LSN_INVALID: not known */
    Scratch *scratch; /* a directory for what the restore command gives */
} ExpectedStart;

/*
 * Advise on that start, for --rejoin: a setting with which replay would not go on to the end, or
 * the server would open for writing; WAL in the archive that would lead it away from the source; a
 * replication slot that the source does not have; a configuration file that is needed and will not
 * be there; as a warning, what it would run by the source's configuration. Fails only when the
 * source cannot be asked.
 */
MUST_CHECK bool next_start_check(const Options *options, const Clusters *clusters,
                                 ExpectedStart expected, AdviceList *list, Error *error);

/* Find the limits that are too low in the configuration of that start and that no manager sets:
 * from 12 on -R writes them as high as is needed. Fails only when the source is lost. */
MUST_CHECK bool next_start_limits(const Options *options, const Clusters *clusters,
                                  ExpectedStart expected, Arena *arena, LowLimits *low,
                                  Error *error);

#endif
