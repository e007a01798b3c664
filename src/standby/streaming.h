/*
 * Checks of what the standby that -R makes needs to stream from the source: a role, a replication
 * connection, a slot.
 */
#ifndef STANDBY_STREAMING_H
#define STANDBY_STREAMING_H

#include "standby/standby_settings.h"
#include "target/target_server.h"

#define STREAMING_NAMES_MAX 4

/*
 * Look at the role and try the connection; with --slot look at the slot too, which the target's own
 * server may hold (settings->target_uses_slot). An obstacle is a warning, with its remedy in
 * settings->remedies, and with --slot or --rejoin, which ask for a standby that streams, a problem.
 * Fails only when the source cannot be asked.
 */
MUST_CHECK bool streaming_check(const Options *options, const Clusters *clusters,
                                StandbySettings *settings, Problems *problems, Arena *arena,
                                Error *error);

/* The statement that lets the role replicate, and the line of pg_hba.conf that admits a standby
 * with this role and address; in the arena. */
const char *streaming_grant(const SourceRole *role, Arena *arena);
const char *streaming_hba_line(const SourceRole *role, const Version *version, Arena *arena);

/* Check that the standby may use --slot. Where another server has the slot, its release is waited
 * for, at most patience_seconds. settings->target_uses_slot counts. */
MUST_CHECK bool streaming_check_slot(const Options *options, const Clusters *clusters,
                                     const StandbySettings *settings, int patience_seconds,
                                     Error *error);

/* List what the source shows for a name that a standby gives: ASCII alone, as its version writes
 * that, and at most 63 bytes. The list ends with a NULL. */
void streaming_shown_names(const char *name, Arena *arena,
                           const char *names[STREAMING_NAMES_MAX + 1]);

/* The names that the target's WAL receiver may give by its configuration, as the source shows them:
 * its own, or the defaults of different versions. The list ends with a NULL. */
void streaming_names(const Target *target, Arena *arena,
                     const char *names[STREAMING_NAMES_MAX + 1]);

/* Note in *settings whether the target's own server, if it is a standby that runs, uses --slot of
 * the source, as far as can be known, and under which names: those of streaming_names, or that of
 * its answer. Asks the server. */
void streaming_find_slot_user(const Options *options, const Target *target, TargetServer *server,
                              Arena *arena, StandbySettings *settings);

/*
 * --create-slot: make the slot, or use the one that is there. *made says whether it was made, also
 * when this fails. A slot that was found and reserves less WAL than from needed_from on gives a
 * warning; LSN_INVALID: any does. Nothing without --create-slot; a dry run only says what it would
 * do.
 */
MUST_CHECK bool streaming_make_slot(const Options *options, const Clusters *clusters,
                                    Lsn needed_from, bool *made, Error *error);

/* Before the commit: a slot that has lost its WAL in the meantime (max_slot_wal_keep_size) is a
 * warning. */
void streaming_check_slot_again(const Options *options, const Clusters *clusters);

/* Drop the slot that this run has made, since the run has failed; what hinders that is a warning.
 * Stops are held off. */
void streaming_drop_slot(const Options *options, const Clusters *clusters);

#endif
