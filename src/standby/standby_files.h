/*
 * -R: the files that make the rewound target a standby of the source when it starts.
 */
#ifndef STANDBY_STANDBY_FILES_H
#define STANDBY_STANDBY_FILES_H

#include "stage/stage.h"
#include "standby/standby_settings.h"

/* True if recovery.conf holds the settings of recovery, and makes a standby. */
bool standby_uses_recovery_conf(const Version *version);

/* For a plan: the files that -R writes, up to a NULL; first the one with the settings. */
const char *const *standby_written_files(const Version *version);

/* standby.signal wins over this one, but a promotion would leave it for the next start. NULL: the
 * version has no such file. */
const char *standby_unwanted_file(const Version *version);

/*
 * Stage standby.signal and postgresql.auto.conf with the settings, or recovery.conf (10, 11). The
 * plan says whether the file is the source's, or the target's that is kept.
 */
MUST_CHECK bool standby_files_stage(Stage *stage, const Plan *plan, const Clusters *clusters,
                                    const StandbySettings *settings, Error *error);

/* The same, written into a target that needed no rewind: settings first, each file whole by rename.
 * keep may be NULL.
 */
MUST_CHECK bool standby_files_write(const Clusters *clusters, const StandbySettings *settings,
                                    const Keep *keep, Error *error);

#endif
