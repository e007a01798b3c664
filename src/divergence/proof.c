/*
 * What proves that the bytes before the divergence are one history.
 */
#include "divergence/search.h"

#include "base/log.h"
#include "base/workers.h"

/* Does a transaction end in [from, to) of the target's WAL? Its record holds the time. */
static bool has_commit(Search *search, Lsn from, Lsn to, bool *found, Error *error)
{
    Divergence *divergence = search->divergence;
    WalStream stream = search->target_wal->stream;
    ScanResult result;
    WalScan *scan;
    Lsn first, end, last;
    bool missing, scanned;

    *found = false;
    stream.limit = to;
    if (!scan_record_at(divergence->scan, from, &first, error))
        return false;
    scan = scan_create(&stream, 1, first);
    scanned = scan_forward(scan, first, &end, &last, &missing, NULL, error) &&
              scan_finish(scan, search->arena, from, from, &result, error);
    *found = scanned && result.commit_count > 0;
    scan_destroy(scan);
    return scanned;
}

/*
 * Two servers that went apart can write equal bytes for a while, but not equal times: a checkpoint
 * or the end of a transaction must be among what was compared.
 */
static bool holds_proof(Search *search, Lsn from, bool *proof, Error *error)
{
    Divergence *divergence = search->divergence;
    const ScanCheckpointWanted last = {.before = divergence->lsn};
    ScanCheckpoint checkpoint;

    *proof = false;
    if (from >= divergence->lsn)
        return true;
    if (!scan_find_checkpoint(divergence->scan, &last, &checkpoint, error))
        return false;
    *proof = checkpoint.lsn >= from && checkpoint.end <= divergence->lsn;
    return *proof || has_commit(search, from, divergence->lsn, proof, error);
}

/*
 * An archive may hold what the target itself has archived. It speaks for the source if the source's
 * own WAL goes on where it ends.
 */
static bool archive_leads_to_source(Search *search, bool *leads, Error *error)
{
    Divergence *divergence = search->divergence;
    SourceWalReading reading = {.from = divergence->lsn, .end = search->state->position.end};
    ScanResult result;
    WalScan *scan;
    Error why = {0};

    *leads = false;
    if (search->state->position.end <= divergence->lsn)
        return true;
    if (!source_wal_fetch(search->source_wal, divergence->lsn, search->state->position.end, error))
        return false;
    if (!source_wal_read(search->source_wal, &reading, &scan, &result, &why))
    {
        if (!stop_check(error))
            return false;
        log_debug("%s", why.message);
        return true;
    }
    scan_destroy(scan);
    *leads = true;
    return true;
}

/* A standby that was away for too long: the source has not even the segment in which its WAL ends.
 */
static void explain_left_behind(const Search *search, Error *error)
{
    const uint64_t segment =
        wal_segment_of(&search->clusters->shape, search->divergence->target_end);
    char name[WAL_NAME_SIZE];
    bool has;

    if (!source_wal_source_has(search->source_wal, segment, &has, NULL) || has)
        return;
    source_wal_segment_name(search->source_wal, segment, name);
    error_detail(error,
                 "The source no longer has segment %s, in which the target's WAL ends. A standby "
                 "that was away for too long cannot follow it either, unless an archive has all "
                 "that is missing.",
                 name);
}

bool error_history_not_proven(const Version *version, Lsn lsn, bool moved, Error *error)
{
    char text[LSN_TEXT_SIZE];

    if (moved)
        error_set(error, ERROR_FAILED, "could not find where source and target diverged: before %s",
                  lsn_text(version, lsn, text));
    else
        error_set(error, ERROR_FAILED,
                  "could not prove that source and target have the same history before %s",
                  lsn_text(version, lsn, text));
    error_detail(error,
                 "Two servers that were promoted independently can have equal timelines. Only "
                 "their WAL shows that, but source and target do not both have enough of it.");
    error_hint(error, "Let pg_rewind fetch it with --wal-archive or --restore-command, or compare "
                      "all blocks instead with --compare.");
    return error_remedy(error, REMEDY_WAL);
}

bool error_no_proof(const Search *search, Error *error)
{
    error_history_not_proven(search->clusters->shape.version, search->comparison.lsn, search->moved,
                             error);
    if (!search->divergence->needed)
        explain_left_behind(search, error);
    return false;
}

bool divergence_find_proof(Search *search, Lsn latest, bool *proven, Error *error)
{
    const Divergence *divergence = search->divergence;
    const WalComparison *comparison = &search->comparison;

    *proven = divergence->needed && divergence->lsn == latest;
    if (*proven)
        return true;
    if (!holds_proof(search, comparison->own_from, proven, error))
        return false;
    if (*proven || comparison->own_from <= comparison->equal_from)
        return true;
    /* What the source itself has does not suffice. */
    if (!holds_proof(search, comparison->equal_from, proven, error))
        return false;
    /* For a rewind all WAL up to the source's end is read anyway, with its links. */
    return !*proven || divergence->needed || archive_leads_to_source(search, proven, error);
}
