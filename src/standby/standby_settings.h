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
    const char *slot;  /* --slot, or NULL: primary_slot_name is left as it is */
    bool slot_is_made; /* by --create-slot, unless there is one already */
    const char **kept; /* options that the former primary_conninfo had and the source's string
                          does not set, and that would differ without it */
    size_t kept_count;
    const char **changed; /* options of the former one that have another value now, or none */
    size_t changed_count;
    const char **files; /* of the target that conninfo names, relative: certificates and the like;
                           the rewind must not remove them */
    size_t file_count;
    const Version *version; /* of the standby */
    AdviceList warnings;    /* of what is written, and what is not kept */
    AdviceList advice;      /* what has to be done so that it can stream, see streaming_check */
    bool target_uses_slot;  /* the target's own server, which runs, streams with the slot or will */
    const char *const *slot_users; /* under one of these names */
    LowLimits limits; /* set once the configuration to come is known: they are written as high as
                         is needed; none where recovery.conf has the settings */
} StandbySettings;

/*
 * Make them; before the rewind replaces the target's configuration. Strings and lists are in the
 * arena. settings->warnings are for the caller to print, once in a run.
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

/* Advise on other slots that the source's synchronized_standby_slots names and that it lacks.
 * Nothing if names is empty. */
void advise_on_awaited_slots(const char *names, AdviceList *list);

/* True if this option of a connection string names a file, or a directory. */
bool option_names_file(const char *keyword);

#endif
