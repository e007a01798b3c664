/*
 * Advice on the next start of the target's server: what would keep it from starting, or from
 * following the source. Worded here alone; --rejoin stops no server for what is a problem, --check
 * has it as a finding, and a rewind as a step.
 */
#ifndef STANDBY_START_ADVICE_H
#define STANDBY_START_ADVICE_H

#include "base/advice.h"
#include "options.h"
#include "format/settings.h"
#include "standby/standby_limits.h"
#include "wal_store/standby_archive.h"

/* A configuration with which the server will start. */
typedef struct StartSettings
{
    const Version *version;
    const Settings *now;          /* all */
    const Settings *recovery;     /* that recovery starts with; up to 11 of recovery.conf alone */
    const Settings *command_line; /* of its last start; NULL: none */
    Timeline timeline;            /* the source's; 0: not known */
    bool of_source;               /* the source's, except for what is kept */
} StartSettings;

/* A setting that ends replay early, or keeps it on another timeline than the source's. */
void start_advise_on_stop_setting(const StartSettings *start, AdviceList *list);

/* From 12 on what -R writes, and what a file sets, does not count where the command line sets it.
 * slot: --slot, or NULL. */
void start_advise_on_command_line(const StartSettings *start, const char *slot, AdviceList *list);

/* A file of the configuration that cannot be read may set what ends replay. */
void start_advise_on_unread(const StartSettings *start, AdviceList *list);

/* No main configuration file will be in the data directory, and the server needs it. */
void start_advise_on_no_file(const StartSettings *start, AdviceList *list);

/* Nothing if no limit is too low. */
void start_advise_on_limits(const StartSettings *start, const LowLimits *low, AdviceList *list);

/* WAL that would lead recovery away from the source. */
void start_advise_on_misleading_wal(const MisleadingWal *misleading, Timeline timeline,
                                    AdviceList *list);

/* The source has no replication slot of that name, or (unknown) could not be asked. remedy: what
 * comes before the statement that makes it; needed_from: the WAL that the standby needs,
 * LSN_INVALID where that is not known. */
void start_advise_on_slot(const Version *version, const char *name, bool unknown,
                          const char *remedy, Lsn needed_from, AdviceList *list);

/*
 * Settings with which the server will run or load something else than by its former configuration,
 * since the source's becomes the target's; nothing if there are none. command_not_run: the
 * restore_command among them, which pg_rewind has not run, so it has not looked at the archive;
 * NULL: none.
 */
void start_advise_on_commands(const StartSettings *former, const StartSettings *start,
                              const char *command_not_run, AdviceList *list);

#endif
