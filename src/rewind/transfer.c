#include "rewind/run.h"

#include "base/clock.h"
#include "base/wait.h"
#include "base/log.h"
#include "base/workers.h"
#include "format/backup_label.h"
#include "format/page.h"
#include "stage/staged_wal.h"
#include "standby/standby_files.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

#define COUNTED_MILLISECONDS 20 /* from the end of a removal by replay until its record counts */

/*
 * Wait until the source has removed no files of a database that its WAL up to the position does not
 * mention.
 *
 * A session that removes such files holds a lock from before the first of them is gone until the
 * removal is in the WAL and flushed. Therefore the position counts that was read after no process
 * was found to hold such a lock. So does the startup process of a standby until it is about to
 * count the record as replayed; it is given a moment for that before the position is read again.
 *
 * If copies of databases are replayed, a standby must also have replayed everything that it had
 * when the last byte was fetched, so that the position covers each removal that a copy must not
 * see. On a primary a checkpoint precedes a removal (start_is_as_promoted), but a request for a
 * checkpoint in the instant of the promotion may be answered without one: there the lock shows the
 * removal. (Rule C57.)
 */
static bool wait_for_removals(const Session *session, bool replays_copies, SourceState *state,
                              Error *error)
{
    const Clusters *clusters = &session->clusters;
    const bool standby = state->position.in_recovery;
    const bool replays_all = standby && replays_copies;
    Lsn received = LSN_INVALID; /* when it was first asked */
    Source *source = clusters->source;
    Wait wait = wait_begin(session->options->wait_timeout_seconds);
    bool removes, complete;

    do
    {
        if (!source_state_read_settled(source, state, state, &removes, error))
            return false;
        if (received == LSN_INVALID)
            received = state->position.end;
        if (removes && wait_reports(&wait, 0))
            log_info("waiting for the source to drop, move or rename a database");
        if (standby && !removes &&
            !(stop_pause(COUNTED_MILLISECONDS, error) &&
              source_state_read_again(source, state, state, error)))
            return false;
        complete = !removes && (!replays_all || state->position.minimum >= received);
    } while (!wait_until(complete, &wait, error));
    if (!complete && !wait.stopped && removes)
    {
        error_set(error, ERROR_FAILED,
                  "a database of the source is being dropped, moved or renamed");
        error_detail(error, "A server removes the files of a database before its WAL says so. "
                            "A target rewound in between would lack files that its WAL names, "
                            "and would not start.");
    }
    else if (!complete && !wait.stopped)
    {
        error_set(error, ERROR_FAILED, "the source has not replayed its WAL up to %s in time",
                  LSN_TEXT(clusters->shape.version, received));
        error_detail(error, "It is a standby, and databases were copied in the WAL that the "
                            "rewound target would replay.");
    }
    return complete;
}

/* Replay makes this pg_twophase file again. (Rule C79.) */
static bool is_future_twophase(const Version *version, const Start *start, const ScanResult *chain,
                               const PlanEntry *entry)
{
    const uint64_t xid = twophase_xid(entry->path);
    const uint64_t next_xid = start->next_xid;

    if (version->twophase_name_digits == 16 ? xid >= next_xid
                                            : (int32_t) ((uint32_t) xid - (uint32_t) next_xid) >= 0)
        return true;
    for (size_t i = 0; i < chain->prepared_count; i++)
    {
        if (chain->prepared[i].xid == (uint32_t) xid)
            return true;
    }
    return false;
}

/* HASHO_PAGE_ID, access/hash.h, GIST_PAGE_ID, access/gist.h: the last two bytes of a page */
#define HASH_PAGE_ID 0xFF80
#define GIST_PAGE_ID 0xFF81

/*
 * Set *older if the staged file has a page that was logged before the start of recovery. The page
 * is then of an old relation whose relfilenode was assigned again after the counter had wrapped,
 * and whose removal the target has lost without WAL: its server was killed while it dropped the
 * database. The target may have given the number to a relation of its own since. Pages of unlogged
 * relations have no LSN, so what looks like one proves nothing. (Rule C77.)
 */
static bool holds_older_page(const Staged *staged, const PlanEntry *entry, bool *older,
                             Error *error)
{
    const WalShape *shape = &staged->planned->input.shape;
    const uint32_t block_size = staged->planned->plan.block_size;
    AUTO_BUFFER Buffer path_buffer = {0};
    const char *path = stage_entry_local(staged->stage, entry, &path_buffer);
    uint8_t page[PAGE_SIZE_MAX];
    AUTO_FD int fd = -1;
    size_t size = block_size;
    bool found;

    *older = false;
    if (entry->kind != KIND_RELATION || !stage_is_whole(staged->stage, entry))
        return true;
    if (!file_open_read(path, &fd, &found, error))
        return false;
    for (uint64_t offset = 0; found && !*older && size == block_size; offset += block_size)
    {
        if (!file_read_at(fd, path, page, block_size, offset, &size, error))
            return false;
        /* PageXLogRecPtr, storage/bufpage.h: the high half first */
        const Lsn lsn = (Lsn) load_u32(page) << 32 | load_u32(page + sizeof(uint32_t));
        /* While an unlogged index of this kind is built, its pages get the numbers of a counter
         * that grows on, in the place of an LSN (gistGetFakeLSN up to 11; XLogGetFakeLSN in 19). */
        const uint16_t page_id = load_u16(page + block_size - sizeof(uint16_t));
        const bool counted = (page_id == GIST_PAGE_ID && shape->version->number < 1200) ||
                             (page_id == HASH_PAGE_ID && shape->version->number >= 1900);

        *older = size == block_size && lsn >= wal_segment_start(shape, 1) &&
                 lsn < staged->start->chosen.redo && !counted;
    }
    return true;
}

/* The source has made the relation since its WAL was read for the plan. So the target's file of
 * this number is another relation's, and replay makes all that the source has. (Rule C72.) */
static bool is_made_meanwhile(const Staged *staged, const ScanResult *chain, const PlanEntry *entry)
{
    const BlockMapRelation *relation;
    RelationFile file;

    if (entry->reason != REASON_BLOCKS_NAMED ||
        !relpath_parse(&staged->planned->input.version_directory, entry->path, &file))
        return false;
    relation = blockmap_find(chain->blocks, file.relation);
    return relation != NULL && (relation->forks_made & 1u << FORK_MAIN) != 0 &&
           relation->storage_lsn >= staged->start->rebuilt_end;
}

/* Warn of the first file that may be of an unlogged relation, but may also be an old one, which is
 * copied. */
static bool warn_of_unknown_origin(Staged *staged, const UnloggedEvidence *evidence, Error *error)
{
    const Planned *planned = staged->planned;

    for (size_t i = 0; i < planned->plan.count; i++)
    {
        const PlanEntry *entry = &planned->plan.entries[i];
        bool older = false;

        if (!plan_is_of_unknown_origin(&planned->input, evidence, entry) ||
            stage_state_of(staged->stage, entry)->left_out)
            continue;
        if (!holds_older_page(staged, entry, &older, error))
            return false;
        if (older)
            continue;
        advice_add(
            &staged->advice,
            (Advice){.id = "unlogged_index",
                     .severity = ADVICE_WARNING,
                     .remedy = "If a promotion fails with \"could not create file\", start "
                               "the target's server again: the second attempt succeeds."},
            "\"%s\" may belong to an index of an unlogged table that the source builds: then "
            "the first promotion of the target fails\n"
            "The target lacks this file, and no WAL from %s on says why.",
            entry->path, LSN_TEXT(planned->input.version, staged->start->earliest.redo));
        return true;
    }
    return true;
}

/* Files that replay creates again must not be there before: prepared transactions of the future,
 * relations that become unlogged ones, and what has the number of a relation that is made. */
static bool leave_out_replayed_files(const Staged *staged, const UnloggedEvidence *evidence,
                                     Error *error)
{
    const Planned *planned = staged->planned;
    const RecoveryStart *start = staged->start;
    const ScanResult *chain = evidence->chain;
    const Version *version = planned->input.version;

    for (size_t i = 0; i < planned->plan.count; i++)
    {
        const PlanEntry *entry = &planned->plan.entries[i];
        bool older = false;

        if (entry->twophase && entry->action == ACTION_COPY &&
            is_future_twophase(version, &start->chosen, chain, entry))
            stage_state_of(staged->stage, entry)->left_out = true;
        if (is_made_meanwhile(staged, chain, entry))
            stage_state_of(staged->stage, entry)->left_out = true;
        if (!plan_becomes_unlogged(&planned->input, evidence, entry))
            continue;
        if (!holds_older_page(staged, entry, &older, error))
            return false;
        if (!older)
            stage_state_of(staged->stage, entry)->left_out = true;
    }
    return true;
}

/* True if the target will have the slot's state, and so the slot. */
static bool slot_has_state(const Staged *staged, const char *slot)
{
    AUTO_BUFFER Buffer path = {0};
    const PlanEntry *state;

    buffer_printf(&path, "%s/state", slot);
    state = plan_find(&staged->planned->plan, buffer_string(&path));
    return state != NULL && state->action != ACTION_REMOVE &&
           !stage_state_of(staged->stage, state)->left_out;
}

/* Up to PostgreSQL 10 the source's replication slots are copied. A server does not start with a
 * slot's directory that lacks the state, so a slot that the source drops, or is only creating,
 * while it is listed or fetched is left out with its directory. (Rule S34.) */
static void leave_out_incomplete_slots(const Staged *staged)
{
    const Plan *plan = &staged->planned->plan;

    if (staged->planned->input.version->exclusion_lists)
        return;
    for (size_t i = 0; i < plan->count; i++)
    {
        const PlanEntry *directory = &plan->entries[i];

        if (directory->type != FILE_DIRECTORY || directory->action == ACTION_REMOVE ||
            relpath_name_in(directory->path, "pg_replslot") == NULL ||
            slot_has_state(staged, directory->path))
            continue;
        for (size_t j = i; j < plan->count; j++)
        {
            const PlanEntry *entry = &plan->entries[j];

            if (entry == directory || relpath_below(entry->path, directory->path) != NULL)
                stage_state_of(staged->stage, entry)->left_out = true;
        }
    }
}

/* ---- Tablespaces that the source drops ---- */

/* True if the source's listing lacks the link of a tablespace, and the chain neither makes that
 * link nor drops the tablespace. */
static bool is_removed_unlogged(const Listing *source_files, const ScanResult *chain,
                                Oid tablespace)
{
    char link[RELPATH_SIZE];

    if (tablespace == TABLESPACE_DEFAULT || tablespace == TABLESPACE_GLOBAL ||
        scan_has_tablespace_event(chain, true, tablespace, LSN_INVALID, UINT64_MAX) ||
        scan_has_tablespace_event(chain, false, tablespace, LSN_INVALID, UINT64_MAX))
        return false;
    snprintf(link, sizeof(link), "pg_tblspc/%u", tablespace);
    return listing_find(source_files, link) == NULL;
}

/*
 * A tablespace in which replay of the chain would make files although the rewound target has no
 * link for it: replay would make a directory in the place of the link, and a server never becomes
 * consistent with that ("unexpected directory entry") unless replay drops it. 0: no tablespace.
 * (Rule C60.)
 */
static Oid find_removed_tablespace(const Listing *source_files, const ScanResult *chain)
{
    const BlockMapRelation *relation;

    for (size_t at = 0; (relation = blockmap_next(chain->blocks, &at)) != NULL;)
    {
        if (is_removed_unlogged(source_files, chain, relation->id.tablespace))
            return relation->id.tablespace;
    }
    for (size_t i = 0; i < chain->database_count; i++)
    {
        const ScanDatabase *database = &chain->databases[i];

        if (database->kind != WAL_EVENT_DATABASE_DROP &&
            is_removed_unlogged(source_files, chain, database->tablespace))
            return database->tablespace;
    }
    return 0;
}

/* ---- Databases whose drop the source never logged ---- */

/*
 * True if the source's list lacks the directory of a database in a tablespace, and the chain does
 * not say why: its last event of that directory is not the drop, and neither this event nor made_at
 * is younger than the list. made_at: where the chain makes the relation in the directory;
 * LSN_INVALID: it makes none.
 */
static bool is_dropped_unlogged(const Staged *staged, const ScanResult *chain, Oid tablespace,
                                Oid database, Lsn made_at, char directory[RELPATH_SIZE])
{
    const Planned *planned = staged->planned;
    /* All that the source had made up to here is in the list. */
    const Lsn listed = source_state_wal_end(&staged->start->source, LSN_INVALID);
    bool explained = made_at >= listed;

    for (size_t i = 0; i < chain->database_count; i++)
    {
        const ScanDatabase *event = &chain->databases[i];

        if (event->database == database && event->tablespace == tablespace)
            explained = event->kind == WAL_EVENT_DATABASE_DROP || event->lsn >= listed;
    }
    relpath_make_database(&planned->input.version_directory, tablespace, database, directory);
    return !explained && listing_find(&planned->source_files, directory) == NULL;
}

/*
 * Find a database in whose directory replay of the chain would make files although the source has
 * removed that directory, and has never logged it: set staged->unlogged_drop, and add the hazard. A
 * DROP DATABASE that is interrupted between the two logs nothing, and the next one finds no
 * directory, for which it would log the drop (remove_dbtablespaces, commands/dbcommands.c). No
 * record of the tablespace's drop replaces that of the database. A relation that the chain drops
 * itself needs no other drop. (Rule C110.)
 */
static void find_unlogged_drop(Staged *staged, const ScanResult *chain, ReplayHazard *hazard)
{
    UnloggedDrop *drop = &staged->unlogged_drop;
    const BlockMapRelation *relation;
    bool found = false;

    for (size_t at = 0; !found && (relation = blockmap_next(chain->blocks, &at)) != NULL;)
        found = (relation->dropped_lsn == LSN_INVALID ||
                 relation->dropped_lsn < relation->storage_lsn) &&
                is_dropped_unlogged(staged, chain, relation->id.tablespace, relation->id.database,
                                    relation->storage_lsn, drop->directory);
    for (size_t i = 0; !found && i < chain->map_count; i++)
        found = is_dropped_unlogged(staged, chain, chain->maps[i].tablespace,
                                    chain->maps[i].database, LSN_INVALID, drop->directory);
    for (size_t i = 0; !found && i < chain->database_count; i++)
        found = is_dropped_unlogged(staged, chain, chain->databases[i].tablespace,
                                    chain->databases[i].database, LSN_INVALID, drop->directory);
    drop->start = found ? staged->start->chosen.redo : LSN_INVALID;
    if (found)
        replay_hazard_add_unlogged_drop(hazard, drop);
}

/* ---- Directories in which replay makes files ---- */

/* The chain makes the database's directory, or its tablespace, before `lsn`. */
static bool is_made_before(const ScanResult *chain, Oid tablespace, Oid database, Lsn lsn)
{
    for (size_t i = 0; i < chain->database_count; i++)
    {
        const ScanDatabase *event = &chain->databases[i];

        if (event->kind != WAL_EVENT_DATABASE_DROP && event->lsn < lsn &&
            event->database == database && event->tablespace == tablespace)
            return true;
    }
    return scan_has_tablespace_event(chain, true, tablespace, LSN_INVALID, lsn);
}

/* Add a directory in which replay makes files at `lsn`, unless the target gets it from the source
 * or by replay. is_copy: the database's directory is made, in that of its tablespace. */
static void add_replayed_directory(const Staged *staged, const ScanResult *chain, Oid tablespace,
                                   Oid database, Lsn lsn, bool is_copy)
{
    const Planned *planned = staged->planned;
    char path[RELPATH_SIZE];

    relpath_make_database(&planned->input.version_directory, tablespace, database, path);
    if (is_copy)
        path[path_parent_length(path)] = '\0';
    if (listing_find(&planned->source_files, path) == NULL &&
        !is_made_before(chain, tablespace, database, lsn))
        stage_add_directory(staged->stage, path);
}

/*
 * Add the directories that replay needs and does not make, and that the source no longer has: it
 * has dropped the database or the tablespace, and replay of that removes them. A map of catalogs is
 * written in the directory of its database (relmap_redo, utils/cache/relmapper.c), and the copy of
 * a database is made in the directory of its tablespace, which servers of before August 2022 do not
 * make (dbase_redo, commands/dbcommands.c). Relations need none: replay makes theirs
 * (TablespaceCreateDbspace, commands/tablespace.c). (Rule C102.)
 */
static void add_replayed_directories(const Staged *staged, const ScanResult *chain)
{
    for (size_t i = 0; i < chain->map_count; i++)
    {
        const ScanMap *map = &chain->maps[i];

        add_replayed_directory(staged, chain, map->tablespace, map->database, map->lsn, false);
    }
    for (size_t i = 0; i < chain->database_count; i++)
    {
        const ScanDatabase *copy = &chain->databases[i];

        if (copy->kind == WAL_EVENT_DATABASE_FILE_COPY)
            add_replayed_directory(staged, chain, copy->tablespace, copy->database, copy->lsn,
                                   true);
    }
}

/* ---- The chain ---- */

/*
 * Prove the chain of WAL from the redo position to the end with the files that the rewound target
 * will have, find the last record that ends there (minRecoveryPoint), and what replay will do.
 * *removed: as find_removed_tablespace has it. (Rule C50.)
 */
static bool prove_chain(const Session *session, const StagedWal *wal, Staged *staged,
                        ReplayHazard *hazard, Oid *removed, Error *error)
{
    WalStream stream = wal->source_wal->store->stream;
    ScanResult chain;
    const UnloggedEvidence evidence = {.chain = &chain,
                                       .target_scanned = !staged->start->choice.compares,
                                       .first_oid = staged->start->earliest.next_oid};
    WalScan *scan;
    bool result;

    stream.limit = staged->source_end;
    stream.open = staged_wal_open;
    stream.context = (void *) (uintptr_t) wal;
    if (!source_wal_check_chain(wal->source_wal, &stream, staged->start->chosen.redo, &scan, &chain,
                                &staged->min_recovery_point, error))
        return false;
    result = replay_hazard_find(&session->clusters, &staged->source, session->options, scan->stream,
                                &chain, hazard, error);
    if (result)
        result = leave_out_replayed_files(staged, &evidence, error);
    find_unlogged_drop(staged, &chain, hazard);
    leave_out_incomplete_slots(staged);
    add_replayed_directories(staged, &chain);
    *removed = find_removed_tablespace(&staged->planned->source_files, &chain);
    if (result && *removed == 0)
        result = warn_of_unknown_origin(staged, &evidence, error);
    scan_destroy(scan);
    return result;
}

/* Stage the source's WAL from a segment to the source's end now: when all is fetched, and when the
 * source has removed no files of a database that its WAL does not mention. What is staged of the
 * segments from there on is replaced. */
static bool stage_wal_to_end(const Session *session, const StagedWal *wal, uint64_t segment,
                             Staged *staged, Error *error)
{
    Source *source = session->clusters.source;
    const bool replays_copies = staged->start->copies_are_replayed;

    staged->source = staged->planned->source;
    if (source->is_server
            ? !wait_for_removals(session, replays_copies, &staged->source, error)
            : !source_state_read_again(source, &staged->source, &staged->source, error))
        return false;
    staged->source_end = source_state_wal_end(&staged->source, staged->planned->input.divergence);
    return staged_wal_add(wal, &segment, staged->source_end, true, error) &&
           staged_wal_add_left(wal, staged->source_end, error) &&
           staged_wal_mark_histories(wal, error);
}

/*
 * Stage everything that the plan needs, and the source's WAL to its present end, which is past
 * everything fetched. Prove that WAL. If a tablespace has left the source without a record in the
 * WAL so far, continue with the WAL that follows until the record has come.
 */
static bool stage_and_prove(const Session *session, const StagedWal *wal, Staged *staged,
                            ReplayHazard *hazard, Error *error)
{
    const Clusters *clusters = &session->clusters;
    const Planned *planned = staged->planned;
    const Lsn divergence = planned->input.divergence;
    SourceState *last = &staged->source;
    uint64_t segment = wal_segment_of(&clusters->shape, planned->input.wal_from);
    Oid removed, told = 0;
    Wait wait;

    /* WAL that is complete comes first, before the source removes it; the rest when no byte of data
     * is younger than its end. */
    if (!staged_wal_add(wal, &segment, source_state_wal_end(&planned->source, divergence), false,
                        error))
        return false;
    source_wal_expect_last(session->source_wal);
    if (!stage_fetch(staged->stage, clusters->source, error))
        return false;
    wait = wait_begin(session->options->wait_timeout_seconds);
    for (;;)
    {
        if (!stage_wal_to_end(session, wal, segment, staged, error) ||
            !prove_chain(session, wal, staged, hazard, &removed, error))
            return false;
        if (removed == 0)
            return true;
        if (!clusters->source->is_server || clock_patience_left(wait.seconds, wait.begin) <= 0)
        {
            error_set(error, ERROR_FAILED,
                      "tablespace \"pg_tblspc/%u\" is gone from the source, whose WAL does not say "
                      "that it was dropped",
                      removed);
            error_detail(error,
                         "The WAL up to %s changes files in it. The rewound target would replay "
                         "that without the tablespace, and could fail to start.",
                         LSN_TEXT(clusters->shape.version, staged->source_end));
            return error_hint(error, "A server that drops a tablespace removes it before its WAL "
                                     "says so: run pg_rewind again. If no session drops it, its "
                                     "link was removed by hand: restore the link on the source.");
        }
        if (removed != told)
            log_info("waiting for the source's WAL to say that tablespace %u was dropped", removed);
        told = removed;
        segment = wal_segment_of(&clusters->shape, staged->source_end);
        while (
            !wait_until(source_state_wal_end(last, divergence) > staged->source_end, &wait, error))
            if (!source_state_read_again(clusters->source, last, last, error))
                return false;
        if (wait.stopped)
            return false;
    }
}

bool transfer_make(const Session *session, const Planned *planned, const RecoveryStart *start,
                   bool archives_always, bool final, Staged *staged, Error *error)
{
    const Clusters *clusters = &session->clusters;
    StagedWal wal = {.source_wal = session->source_wal,
                     .input = &planned->input,
                     .archives_always = archives_always};
    ReplayHazard hazard = {.tablespaces_exist = true,
                           .links = planned->source_files.links,
                           .link_count = planned->source_files.link_count};
    bool hazardous, lacks_origins;

    *staged = (Staged){.planned = planned, .start = start, .advice = {.arena = session->arena}};
    if (!interlock_claim_pid_file(session->interlock, error) ||
        !stage_create(clusters->target.directory, &planned->plan, session->options->jobs,
                      &staged->stage, error) ||
        !stage_sync_target(staged->stage, session->options->sync_method, error))
        return false;
    wal.stage = staged->stage;
    if (!stage_and_prove(session, &wal, staged, &hazard, error))
        return false;
    hazardous = hazard.found && !(hazard.copies_are_identical && start->copies_are_replayed);
    /* A checkpoint that came in the meantime is a start past it. */
    lacks_origins = hazard.origin_drop_lsn != LSN_INVALID && !session->options->early_start &&
                    hazard.origin_drop_lsn < staged->source.control.checkpoint.redo;
    staged->obsolete = !final && (hazardous || lacks_origins);
    if (staged->obsolete)
        return true;
    if (lacks_origins && !advice_has(&start->advice, REPLAY_LACKS_ORIGINS))
        replay_hazard_advise_on_settings(clusters->shape.version, hazard.origin_drop_lsn,
                                         LSN_INVALID, &staged->advice);
    staged->needed = hazard.needed;
    advice_add_to_problems(&staged->advice, true, NULL);
    if (hazardous)
    {
        error_copy(error, &hazard.error);
        return error_hint(error, "The source did so while pg_rewind was running: run it again.");
    }
    if (staged->source.position.in_recovery)
        staged->min_recovery_point = staged->source_end;
    /* Replay must restore all that was not fetched before the target counts as consistent. */
    if (staged->min_recovery_point < start->rebuilt_end)
        return error_set(error, ERROR_FAILED, /* contract */
                         "source system was modified while pg_rewind was running");
    staged->min_recovery_timeline =
        history_timeline_at(&clusters->source_history, staged->min_recovery_point - 1);
    return true;
}

/* ---- The journal ---- */

bool transfer_finish(const Session *session, const Divergence *divergence,
                     const StandbySettings *settings, const Staged *staged, Error *error)
{
    const Clusters *clusters = &session->clusters;
    const Start *start = &staged->start->chosen;
    const Control *control = &clusters->target.control;
    const bool compares = session->options->compare;
    Arena *arena = session->arena;
    uint8_t random[(RUN_ID_SIZE - 1) / 2];
    AUTO_BUFFER Buffer label = {0};
    JournalHead head = {0};

    log_progress_message("creating backup label and updating control file"); /* contract */
    if (settings != NULL &&
        !standby_files_stage(staged->stage, &staged->planned->plan, clusters, settings, error))
        return false;
    if (!file_random_bytes(random, sizeof(random), error))
        return false;
    for (size_t i = 0; i < sizeof(random); i++)
        snprintf(head.run_id + 2 * i, 3, "%02x", random[i]);
    if (!backup_label_make(&clusters->shape, start->redo, start->checkpoint, start->timeline,
                           time(NULL), &label, error))
        return false;
    head.backup_label = arena_strdup(arena, buffer_string(&label));
    head.source = clusters->source->description;
    head.options = session->options->decided;
    head.divergence = compares ? "unknown (all blocks were compared)"
                               : arena_printf(arena, "%s on timeline %u",
                                              LSN_TEXT(clusters->shape.version, divergence->lsn),
                                              divergence->printed_timeline);
    memcpy(head.old_control, control->bytes, sizeof(head.old_control));
    control_make_poison(
        control, divergence->target_end,
        compares ? control_timeline(control)
                 : history_timeline_at(&clusters->target_history, divergence->target_end),
        head.poison);
    control_make_rewound(&staged->source.control, start->redo, start->commit_timestamps,
                         staged->min_recovery_point, staged->min_recovery_timeline, time(NULL),
                         head.new_control);
    head.group_access = clusters->target.group_access;
    return stage_finish(staged->stage, &head, session->options->sync_method, error);
}
