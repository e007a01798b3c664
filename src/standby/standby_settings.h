/*
 * The settings of -R: primary_conninfo, made of the connection to the source and the target's
 * former one, and primary_slot_name. Reading only.
 */
#ifndef STANDBY_STANDBY_SETTINGS_H
#define STANDBY_STANDBY_SETTINGS_H

#include "base/advice.h"
#include "pair/clusters.h"
#include "options.h"
#include "standby/standby_limits.h"

typedef struct StandbySettings
{
    const char *conninfo;
    const char *slot;          /* --slot, or NULL: primary_slot_name is left as it is */
    bool slot_is_made;         /* by --create-slot, unless there is one already */
    const char *awaited_slots; /* with --slot: others that the source's synchronized_standby_slots
                                  names and the source lacks; empty: none, or not known */
    const char **kept; /* options that the former primary_conninfo had and the source's string
                          does not set, and that would differ without it */
    size_t kept_count;
    const char **changed; /* options of the former one that have another value now, or none */
    size_t changed_count;
    const char **files; /* of the target that conninfo names, relative: certificates and the like;
                           the rewind must not remove them */
    size_t file_count;
    const Version *version; /* of the standby */
    const char **left_out;  /* options that the version does not know: "keyword", or
                               "keyword=value" where it does not know the value */
    size_t left_out_count;
    bool names_hosts;           /* several, of which any will do */
    bool former_is_unreadable;  /* the former one: nothing of it is kept */
    const char *unread;         /* a file that may have the former one; NULL: none */
    const char *password_place; /* of a password that is written and is not the former one's:
                                   "of the connection string" or "in PGPASSWORD"; or NULL */
    AdviceList advice;          /* what has to be done so that it can stream, see streaming_check */
    bool target_uses_slot; /* the target's own server, which runs, streams with the slot or will */
    const char *const *slot_users; /* under one of these names */
    LowLimits limits; /* set once the configuration to come is known: they are written as high as
                         is needed; none where recovery.conf has the settings */
} StandbySettings;

/*
 * Make them; before the rewind replaces the target's configuration. Strings and lists are in the
 * arena. What there is to warn of is only noted.
 *
 * primary_conninfo has what the source's string sets, and of the rest what the former one had:
 * all that tells who this standby is and how its connection is made (application_name, sslmode,
 * certificates ...). Where the source is, and the role, come from the connection alone. A password
 * is written only if the string sets it, or if the former one had it for the same role: roles are
 * the same in both clusters. Errors are a value with a line break, which no file of settings can
 * have, and an option that the standby's libpq does not know and without which it would trust more
 * servers than the connection to the source does (connection_option_support); others are left out.
 */
MUST_CHECK bool standby_settings_make(const Options *options, const Clusters *clusters,
                                      Arena *arena, StandbySettings *settings, Error *error);

/* The text that tells of awaited slots, for a warning: what is missing, what that does, what is to
 * be done. */
void error_awaited_slots(const char *names, Error *error);

/* Print the warnings: once in a run, however often the settings are made. */
void standby_settings_warn(const StandbySettings *settings);

/* True if this option of a connection string names a file, or a directory. */
bool option_names_file(const char *keyword);

#endif
