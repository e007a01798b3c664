/*
 * The settings that -R writes: primary_conninfo, made from the connection to the source and the
 * target's former primary_conninfo, and primary_slot_name. Making them reads and writes no more
 * than memory.
 */
#ifndef STANDBY_STANDBY_SETTINGS_H
#define STANDBY_STANDBY_SETTINGS_H

#include "base/advice.h"
#include "pair/clusters.h"
#include "options.h"
#include "standby/standby_limits.h"

#define TRIAL_SECONDS 10 /* for the login of a replication connection that is tried */

typedef struct StreamingTrial StreamingTrial;

typedef struct StandbySettings
{
    const char *conninfo; /* value of primary_conninfo */
    const char *slot;  /* primary_slot_name, from --slot; NULL: primary_slot_name stays as it is */
    bool slot_is_made; /* --create-slot creates the slot if it does not exist */
    const char **kept; /* keywords of options that the source's string does not set and that
                          keep their former value, where it differs from that of the connection
                          to the source */
    size_t kept_count;
    const char **changed; /* keywords of options of the former primary_conninfo that change or go */
    size_t changed_count;
    const char **files; /* target's files that conninfo names, as relative paths: certificates
                           and the like; the rewind must not remove them */
    size_t file_count;
    const Version *version; /* version of the standby */
    AdviceList warnings;    /* warnings about options that are written or not kept */
    AdviceList advice;      /* steps needed before the standby can stream; see streaming_check */
    StreamingTrial *trial;  /* replication connection that is being tried, until
                                streaming_check_end; NULL: none is */
    const char *own_slot;   /* slot with which the target's own running server streams, or is about
                               to; NULL: none */
    const char *const *slot_users; /* application names under which that server uses own_slot; NULL
                                      after the last */
    LowLimits limits; /* limits that -R raises; set once the next configuration is known, none
                         if the settings are in recovery.conf */
} StandbySettings;

/*
 * Make the settings of -R, before the rewind replaces the target's configuration. Strings and lists
 * are in the arena. The caller prints settings->warnings, once in a run.
 *
 * primary_conninfo gets the options that the source's string sets. Of the others it gets those of
 * the former primary_conninfo that tell who the standby is and how it connects (application_name,
 * sslmode, certificates ...). The source's address and the role come only from the connection. A
 * password is written only if the string sets one, if the source asks for the environment's, even
 * if only on a replication connection, which is tried then; or if the former primary_conninfo had
 * one for the same role, since roles are the same in both clusters.
 *
 * Three things are errors: a value with a line break, which no settings file can hold; a string
 * that is longer than what a server uses of it; and an option without which the standby would trust
 * more servers than the connection to the source does, if the standby's libpq does not know it
 * (connection_option_support). Other options that its libpq does not know are left out. Its libpq
 * knows what the target's former primary_conninfo has.
 */
MUST_CHECK bool standby_settings_make(const Options *options, const Clusters *clusters,
                                      Arena *arena, StandbySettings *settings, Error *error);

/* Advise on slots (other than that of -R) that the source's synchronized_standby_slots names but
 * the source lacks. names: those slots; nothing is added if empty. */
void advise_on_awaited_slots(const char *names, AdviceList *list);

/* True if the value of this option of a connection string is the path of a file or directory. */
bool option_names_file(const char *keyword);

#endif
