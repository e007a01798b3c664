/*
 * Checks of what the standby that -R makes needs to stream from the source: a role, a replication
 * connection, a slot.
 */
#ifndef STANDBY_STREAMING_H
#define STANDBY_STREAMING_H

#include "standby/standby_settings.h"
#include "target/target_server.h"

/* Most application names in the lists of streaming_names and streaming_shown_names. */
#define STREAMING_NAMES_MAX 4

/* Time in which a source releases the slot of a standby that was stopped just now. */
#define STREAMING_RELEASE_SECONDS 5

/*
 * Check that the standby of -R can stream: look at the role, try a replication connection, and with
 * --slot look at the slot, which the target's own server may hold (settings->own_slot). An
 * obstacle is a warning, with the remedy in settings->advice; with --slot or --rejoin, which ask
 * for a standby that streams, the obstacle is a problem. Fails only if the source cannot be asked.
 *
 * Without --slot and --rejoin the connection is tried in a thread while the caller works: with a
 * slow link it takes as long as several questions. Before anything is changed, and even after a
 * failure, the caller must call streaming_check_end.
 */
MUST_CHECK bool streaming_check(const Options *options, const Clusters *clusters,
                                StandbySettings *settings, Problems *problems, Arena *arena,
                                Error *error);

/* Try a replication connection with the primary_conninfo of -R, and wait for the result. *tried is
 * false, without an error, if only the standby's own server can make such a connection. */
MUST_CHECK bool streaming_try(const Clusters *clusters, const SourceRole *role,
                              const StandbySettings *settings, Arena *arena, bool *tried,
                              Error *error);

/* Wait for the replication connection that streaming_check has begun, and warn of an obstacle. */
void streaming_check_end(const Options *options, const Clusters *clusters,
                         StandbySettings *settings, Problems *problems, Arena *arena);

/* The statement that lets the role replicate, and the line of pg_hba.conf that admits a standby
 * with this role and address; in the arena. */
const char *streaming_grant(const SourceRole *role, Arena *arena);
const char *streaming_hba_line(const SourceRole *role, const Version *version, Arena *arena);

/* Check that the standby can stream with the slot of this name: that of --slot, or without --slot
 * that of the configuration which the target will have. A slot that does not exist passes. If
 * another server streams with the slot, waits for its release, at most patience_seconds. A slot
 * that the target's own server holds (settings->own_slot) counts as free; settings NULL: that
 * server does not run. (Rule S32.) */
MUST_CHECK bool streaming_check_slot(const Options *options, const Clusters *clusters,
                                     const char *name, const StandbySettings *settings,
                                     int patience_seconds, Error *error);

/* List the forms in which a source of any version shows an application name: at most 63 bytes, a
 * byte that is not printable ASCII as ? or as \\xNN. NULL after the last. */
void streaming_shown_names(const char *name, Arena *arena,
                           const char *names[STREAMING_NAMES_MAX + 1]);

/* List the application names that the target's WAL receiver may give by its configuration, as the
 * source shows them: a configured name, or the defaults of several versions. NULL after the
 * last. */
void streaming_names(const Target *target, Arena *arena,
                     const char *names[STREAMING_NAMES_MAX + 1]);

/* Find out which slot the target's own running server uses: only a standby uses one. Asks the
 * server and reads its configuration. Sets settings->own_slot, and settings->slot_users from the
 * server's answer or from streaming_names. */
void streaming_find_slot_user(const Target *target, TargetServer *server, Arena *arena,
                              StandbySettings *settings);

/* True if the target's own running server uses the slot of this name. */
bool streaming_uses_slot(const StandbySettings *settings, const char *name);

/*
 * Create the slot for --create-slot, or use an existing one; fails if the standby cannot use that
 * one. *made: this call has created the slot; set even after a failure. Warns if the slot reserves
 * no WAL, or only later WAL than from needed_from on (LSN_INVALID: not known). Does nothing without
 * --create-slot; in a dry run only logs what it would do.
 */
MUST_CHECK bool streaming_make_slot(const Options *options, const Clusters *clusters,
                                    Lsn needed_from, bool *made, Error *error);

/* Warn if the slot has lost its WAL since it was created (max_slot_wal_keep_size). For use before
 * the commit. */
void streaming_check_slot_again(const Options *options, const Clusters *clusters);

/* Drop the slot that this run has created, after the run has failed. What prevents the drop is a
 * warning. From here on, until pg_rewind exits, requests to stop it are held off. */
void streaming_drop_slot(const Options *options, const Clusters *clusters);

#endif
