/*
 * Advice on the next start of the target's server: what would keep it from starting, or from
 * following the source. Only this file words such advice. --check prints it as findings, a rewind
 * as next steps, and --rejoin refuses to stop the server because of a problem among it.
 */
#ifndef STANDBY_START_ADVICE_H
#define STANDBY_START_ADVICE_H

#include "base/advice.h"
#include "options.h"
#include "format/settings.h"
#include "standby/standby_limits.h"
#include "standby/target_slots.h"
#include "wal_store/standby_archive.h"

/* A setting, and the file that it names; NULL: none. */
typedef struct NamedFile
{
    const char *setting, *path;
} NamedFile;

/* The configuration with which the server will start. */
typedef struct StartSettings
{
    const Version *version;
    const char *directory;        /* the target's data directory; NULL: not looked at */
    const char *start_command;    /* --start-command; NULL: none */
    const Settings *now;          /* all settings */
    const Settings *recovery;     /* settings of recovery; up to 11 those of recovery.conf alone */
    const char *trigger_file;     /* trigger file that the server will find; NULL: none */
    NamedFile missing;            /* a file that keeps the server from starting */
    const char *recovery_conf_of; /* "source" or "target": whose recovery.conf the server will find
                                     that does not start with one (12 and later); NULL: none */
    int32_t wal_level;            /* Control.wal_level with which the server starts */
    const Settings *command_line; /* settings on the command line of the server's last start;
                                     NULL if it has none */
    const char *const *host_commands; /* configuration_host_commands; only for
                                         start_advise_on_commands */
    Timeline timeline;                /* source's timeline; 0 if not known */
    Timeline own_timeline;            /* timeline of the target's pg_control, on which recovery
                                         starts; 0: the source's, after a rewind */
    bool of_source;                   /* the configuration is the source's, except for kept files */
} StartSettings;

/* Advise on a recovery target: such a setting stops replay early, or keeps replay on another
 * timeline than the source's, as the lack of recovery_target_timeline may (up to 11). And on a
 * trigger file that exists: it promotes the server as soon as that has replayed what it has. */
void start_advise_on_stop_setting(const StartSettings *start, AdviceList *list);

/* Advise on primary_conninfo on the server's command line, or on a primary_slot_name there other
 * than slot: from 12 on they override those in files, including those that -R writes. slot: --slot,
 * or NULL. */
void start_advise_on_command_line(const StartSettings *start, const char *slot, AdviceList *list);

/* Advise on configuration files that cannot be read, since they may have a setting that stops
 * replay. */
void start_advise_on_unread(const StartSettings *start, AdviceList *list);

/* Advise that the server needs a main configuration file in the data directory, and will not find
 * one. */
void start_advise_on_no_file(const StartSettings *start, AdviceList *list);

/* Advise on data_directory in the configuration, where it leads to another directory than the
 * target: the server would start there. */
void start_advise_on_data_directory(const StartSettings *start, AdviceList *list);

/* Advise on a data directory whose permissions its server refuses: those for others, those for the
 * group to write, and up to 10 all of the group's (checkDataDir, utils/init/miscinit.c). */
void start_advise_on_permissions(const StartSettings *start, AdviceList *list);

/* Advise on a missing file that the configuration names and the server needs: of hba_file,
 * ident_file, and of ssl where that is on. */
void start_advise_on_missing_file(const StartSettings *start, AdviceList *list);

/* Advise on recovery.conf, with which a server of 12 and later does not start. */
void start_advise_on_recovery_conf(const StartSettings *start, AdviceList *list);

/* Advise on limits that are too low for a standby; nothing if all are high enough. */
void start_advise_on_limits(const StartSettings *start, const LowLimits *low, AdviceList *list);

/* Warn of limits that a standby needs and that are not known. Adds nothing if all are known. */
void start_advise_on_unknown_limits(const LowLimits *low, AdviceList *list);

/* Advise on wal_level and hot_standby, where the server would not start with them because of a slot
 * that it loads, of another setting, or of the wal_level of pg_control. standby: it starts as a
 * standby. */
void start_advise_on_level(const StartSettings *start, const LoadedSlots *slots, bool standby,
                           AdviceList *list);

/* Advise on WAL that would lead recovery away from the source. timeline: the source's. */
void start_advise_on_misleading_wal(const MisleadingWal *misleading, Timeline timeline,
                                    AdviceList *list);

/* Advise that the server would not start because of how its restore_command ended, if that is so.
 * in_its_environment: ExpectedStart's; false: the command may succeed for the server, so this is
 * only a warning. (Rule S43.) */
void start_advise_on_failed_command(const MisleadingWal *misleading, bool in_its_environment,
                                    AdviceList *list);

/* Advise that the source has no replication slot of that name, or (unknown) could not be asked for
 * one. remedy: words in front of the statement that creates the slot; needed_from: start of the WAL
 * that the standby needs, LSN_INVALID if not known. */
void start_advise_on_slot(const Version *version, const char *name, bool unknown,
                          const char *remedy, Lsn needed_from, AdviceList *list);

/* Advise that the standby cannot stream with the slot of the source that its configuration names.
 * problem: the reason, from streaming_check_slot. */
void start_advise_on_unusable_slot(const Error *problem, AdviceList *list);

/* Warn that a connection holds the slot that may be the target's own former one. */
void start_advise_on_held_slot(const char *name, AdviceList *list);

/*
 * Advise on settings that make the server run commands or load libraries other than before, since
 * its configuration becomes the source's. command_not_run: restore_command of the source's
 * configuration, if pg_rewind did not run it, so that the content of its archive is unknown; NULL:
 * it was run, or the configuration has none.
 */
void start_advise_on_commands(const StartSettings *former, const StartSettings *start,
                              const char *command_not_run, AdviceList *list);

#endif
