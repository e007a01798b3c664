#include "recovery_start/choose.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/workers.h"
#include "recovery_start/replay_hazard.h"

#include <string.h>

#define POLL_MILLISECONDS 100 /* between two looks at the source's pg_control */

/* The choice as it is made. */
typedef struct Choice
{
    const Clusters *clusters;
    const Divergence *divergence;
    const TargetChanges *changes; /* NULL with --compare */
    SourceWal *source_wal;
    const Options *options;
    Arena *arena;
    RecoveryStart *made;
} Choice;

/* The WAL to be replayed, all of it, on this machine. */
static bool fetch_wal(Choice *choice, Error *error)
{
    RecoveryStart *made = choice->made;

    made->wal_end = source_state_wal_end(&made->source, choice->divergence->lsn);
    return source_wal_fetch(choice->source_wal, made->earliest.redo, made->wal_end, error) &&
           source_wal_check_there(choice->source_wal, made->earliest.redo, made->wal_end, error);
}

/* Read the WAL that would be replayed from the start. */
static bool scan_replayed_wal(Choice *choice, ReplayHazard *hazard, Error *error)
{
    RecoveryStart *made = choice->made;
    ScanResult chain;
    WalScan *scan;
    Lsn last_end;
    bool result;

    if (!source_wal_scan(choice->source_wal, made->chosen.redo, made->wal_end, &scan, &chain,
                         &last_end, error))
        return false;
    result = replay_hazard_find(choice->clusters, &made->source, choice->options, scan_stream(scan),
                                &chain, hazard, error);
    blockmap_destroy(made->rebuilt);
    made->rebuilt = scan_take_rebuilt(scan, &chain);
    made->rebuilt_end = last_end;
    made->prepared = chain.prepared;
    made->prepared_count = chain.prepared_count;
    scan_destroy(scan);
    return result;
}

static void add_databases(Arena *arena, const ScanResult *more, ScanResult *changes)
{
    const size_t count = changes->database_count + more->database_count;
    ScanDatabase *databases = arena_allocate(arena, (count + 1) * sizeof(*databases));

    if (changes->database_count > 0)
        memcpy(databases, changes->databases, changes->database_count * sizeof(*databases));
    if (more->database_count > 0)
        memcpy(databases + changes->database_count, more->databases,
               more->database_count * sizeof(*databases));
    changes->databases = databases;
    changes->database_count = count;
}

/*
 * What the source touched before a late start is not rebuilt by replay: it counts like what the
 * target touched. Before the early start there is nothing that only the source has.
 */
static bool add_source_changes(Choice *choice, Error *error)
{
    RecoveryStart *made = choice->made;
    ScanResult result;
    WalScan *scan;
    Lsn end;

    if (!source_wal_scan(choice->source_wal, made->earliest.redo, made->chosen.redo, &scan, &result,
                         &end, error))
        return false;
    if (!scan_check_known_updates(choice->clusters->shape.version, &result, error))
    {
        scan_destroy(scan);
        return false;
    }
    blockmap_forget_forks(result.blocks); /* which ones the target has made is asked for later */
    blockmap_destroy(made->own_blocks);
    made->own_blocks = blockmap_copy(choice->changes->scanned.blocks);
    blockmap_merge(made->own_blocks, result.blocks);
    made->changes = choice->changes->scanned;
    made->changes.blocks = made->own_blocks;
    add_databases(choice->arena, &result, &made->changes);
    made->whole_from = made->earliest.redo;
    scan_destroy(scan);
    return true;
}

static bool start_later(Choice *choice, Error *error)
{
    RecoveryStart *made = choice->made;
    char text[LSN_TEXT_SIZE];

    log_debug("recovery starts late, at the source's checkpoint %s",
              lsn_text(choice->clusters->shape.version, made->chosen.checkpoint, text));
    if (choice->options->compare)
    {
        /* Nothing is compared yet: what the source did before this start, it is compared with. */
        made->earliest = made->chosen;
        return true;
    }
    return add_source_changes(choice, error);
}

/* There is no start from which replay is right. */
static bool error_no_start(const Choice *choice, const ReplayHazard *hazard, Error *error)
{
    const Options *options = choice->options;

    error_copy(error, &hazard->error);
    if (options->checkpoint && choice->made->source.position.in_recovery)
        return error_hint(error, "A standby makes no later checkpoint than its primary's last one: "
                                 "run CHECKPOINT on the primary, then run pg_rewind again.");
    return error_hint(
        error, "Run CHECKPOINT on the source, then run pg_rewind again.%s",
        choice->clusters->source->is_server ? "\nWith --checkpoint pg_rewind runs it itself." : "");
}

/* Not where a dry run has not made the checkpoint that the rewind would make. */
static bool refuse_start(const Choice *choice, const ReplayHazard *hazard, Error *error)
{
    if (choice->options->checkpoint && choice->options->dry_run)
        return true;
    return error_no_start(choice, hazard, error);
}

/*
 * Is there a late start past that record (LSN_INVALID: any)? With --checkpoint one is made. A dry
 * run makes none, and goes on without it.
 */
static bool find_late_start(Choice *choice, Lsn record, bool *there, Error *error)
{
    RecoveryStart *made = choice->made;
    Source *source = choice->clusters->source;
    const Lsn divergence = choice->divergence->lsn;

    *there = start_late(&made->source.control, divergence, record, &made->chosen);
    if (*there || !choice->options->checkpoint)
        return true;
    if (choice->options->dry_run)
    {
        log_info("not running CHECKPOINT on the source in a dry run: less would be replayed, and "
                 "more copied, than is planned now");
        return true;
    }
    log_info("running CHECKPOINT on the source");
    /* The one exception to invariant 6, asked for by name. */
    if (!source_server_checkpoint(source, error) ||
        !source_state_read_again(source, &made->source, &made->source, error))
        return false;
    *there = start_late(&made->source.control, divergence, record, &made->chosen);
    return true;
}

/* A primary that has copied a database makes a checkpoint at once: wait for that. One that was
 * promoted since takes its time. */
static bool wait_for_late_start(Choice *choice, const ReplayHazard *hazard, bool *there,
                                Error *error)
{
    RecoveryStart *made = choice->made;
    Source *source = choice->clusters->source;
    const double deadline = clock_seconds() + choice->options->wait_timeout_seconds;

    if (!find_late_start(choice, hazard->lsn, there, error))
        return false;
    if (*there || choice->options->checkpoint || !hazard->checkpoint_follows ||
        made->source.position.in_recovery || !source->is_server)
        return true;
    log_info("waiting for a checkpoint of the source after its copy of a database; CHECKPOINT "
             "there ends the wait");
    while (!*there && clock_seconds() < deadline)
    {
        if (!stop_pause(POLL_MILLISECONDS, error) ||
            !source_state_read_again(source, &made->source, &made->source, error))
            return false;
        *there =
            start_late(&made->source.control, choice->divergence->lsn, hazard->lsn, &made->chosen);
    }
    return true;
}

/* Is there a start past the hazard, or none needed? *late tells which. */
static bool avoid_hazard(Choice *choice, const ReplayHazard *hazard, bool *late, Error *error)
{
    if (!wait_for_late_start(choice, hazard, late, error))
        return false;
    if (*late)
        return true;
    choice->made->copies_are_replayed = hazard->copies_come_out_right;
    return hazard->copies_come_out_right || refuse_start(choice, hazard, error);
}

/* Read what is replayed from the late start. Its checkpoint may be past what was fetched. */
static bool scan_from_late_start(Choice *choice, ReplayHazard *hazard, Error *error)
{
    const RecoveryStart *made = choice->made;

    return (source_state_wal_end(&made->source, choice->divergence->lsn) <= made->wal_end ||
            fetch_wal(choice, error)) &&
           start_later(choice, error) && scan_replayed_wal(choice, hazard, error);
}

static bool choose(Choice *choice, Error *error)
{
    RecoveryStart *made = choice->made;
    ReplayHazard hazard;
    bool late = false;

    if (!fetch_wal(choice, error))
        return false;
    if (choice->options->late_start && !find_late_start(choice, LSN_INVALID, &late, error))
        return false;
    if (!late)
    {
        if (!scan_replayed_wal(choice, &hazard, error) ||
            (hazard.found && !avoid_hazard(choice, &hazard, &late, error)))
            return false;
    }
    if (!late)
        return true;
    if (!scan_from_late_start(choice, &hazard, error))
        return false;
    /* Not past it yet: with --checkpoint, one past all that was read. */
    if (hazard.found && !hazard.copies_come_out_right && choice->options->checkpoint &&
        (!find_late_start(choice, made->rebuilt_end - 1, &late, error) ||
         (late && !scan_from_late_start(choice, &hazard, error))))
        return false;
    made->copies_are_replayed = hazard.found && hazard.copies_come_out_right;
    return !hazard.found || hazard.copies_come_out_right || refuse_start(choice, &hazard, error);
}

bool recovery_start_choose(const Clusters *clusters, const SourceState *state,
                           const Divergence *divergence, const TargetChanges *changes,
                           SourceWal *source_wal, const Options *options, Arena *arena,
                           RecoveryStart *start, Error *error)
{
    Choice choice = {clusters, divergence, changes, source_wal, options, arena, start};

    *start = (RecoveryStart){.source = *state, .whole_from = divergence->lsn};
    if (changes != NULL)
    {
        start->earliest = start_early(&divergence->common_checkpoint, &state->control);
        start->changes = changes->scanned;
    }
    else
    {
        start->earliest = start_of_source(&state->control);
        start->changes.blocks = start->own_blocks = blockmap_create();
    }
    start->chosen = start->earliest;
    if (!choose(&choice, error))
        return false;
    /* Replay that copies files reads blocks before their own records restore them. */
    if (start->copies_are_replayed)
    {
        blockmap_destroy(start->rebuilt);
        start->rebuilt = NULL;
    }
    return true;
}

void recovery_start_free(RecoveryStart *start)
{
    blockmap_destroy(start->rebuilt);
    blockmap_destroy(start->own_blocks);
    *start = (RecoveryStart){0};
}
