/*
 * -R: the files that make the rewound target a standby of the source when it starts.
 */
#ifndef STANDBY_STANDBY_FILES_H
#define STANDBY_STANDBY_FILES_H

#include "format/settings.h"
#include "stage/stage.h"
#include "standby/standby_settings.h"

/* True if the version has recovery.conf (up to 11), which holds the recovery settings and makes the
 * server a standby. */
bool standby_uses_recovery_conf(const Version *version);

/* True if a server that starts with the target's present files starts as a standby: standby.signal
 * exists, or (up to 11) a recovery.conf with standby_mode = on. A promotion removes or renames the
 * file. False if the version is not known. */
bool standby_files_exist(const Target *target, Arena *arena);

/* Names of the files that -R writes, for a plan; NULL after the last. The first is the one with the
 * settings. */
const char *const *standby_written_files(const Version *version);

/* Name of the file that must not exist beside standby.signal: recovery.signal. standby.signal
 * overrides it, but after a promotion recovery.signal would take effect at the next start. NULL:
 * the version has no recovery.signal. */
const char *standby_unwanted_file(const Version *version);

/*
 * Settings that a new recovery.conf (up to 11) has from the target's former one, if that made it a
 * standby: the archive's commands, the command for the end of recovery, and the delay of replay.
 * None where that file may be the source's, as recovery.done always may, and none from 12 on, where
 * they are among all other settings. The former recovery targets, the slot and the trigger file do
 * not stay: they would stop replay, or belong to the former primary.
 */
Settings standby_former_settings(const Target *target, Arena *arena);

/*
 * Stage the files of -R: standby.signal and postgresql.auto.conf with the settings, or
 * recovery.conf (up to 11). The plan decides whether the settings are added to the source's file or
 * to the target's own, if kept.
 */
MUST_CHECK bool standby_files_stage(Stage *stage, const Plan *plan, const Clusters *clusters,
                                    const StandbySettings *settings, Error *error);

/* Names of the settings that stop replay early, but for recovery_target_timeline; NULL after the
 * last. */
const char *const *standby_stop_settings(void);

/* True if such a setting has an effect with this value; NULL: it is not set. An empty value has
 * none from 12 on (guc.c); up to 11 it is a value like others, with which the server does not
 * start. */
bool standby_stop_setting_counts(const Version *version, const char *value);

/* True if recovery follows the newest timeline of which it finds a history file. value: of
 * recovery_target_timeline; NULL: it is not set. */
bool standby_takes_newest_timeline(const Version *version, const char *value);

/*
 * Write the files of -R directly into a target that needed no rewind: the settings first, each file
 * whole by rename; then remove standby_unwanted_file, unless `keep`, which may be NULL, keeps it.
 * Other settings of the file stay; out of recovery.conf, unless `keep` keeps it, go those that stop
 * replay early.
 */
MUST_CHECK bool standby_files_write(const Clusters *clusters, const StandbySettings *settings,
                                    const Keep *keep, Error *error);

#endif
