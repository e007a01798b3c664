#include "rewind/look.h"

#include "apply/journal.h"
#include "io/file.h"
#include "recovery_start/recovery_start.h"
#include "stage/stage.h"

/*
 * True if a target whose server runs has diverged. A primary was on its timeline after the point
 * where the source left that, and goes on. Whether others have is only known when they are stopped.
 */
static bool running_has_diverged(const Clusters *clusters, Lsn *latest)
{
    size_t common;

    return history_common(&clusters->source_history, &clusters->target_history, &common, latest) &&
           *latest != LSN_INVALID &&
           (clusters->target.control.state == STATE_IN_PRODUCTION ||
            divergence_is_certain(clusters));
}

/* A rewind compares all blocks, because no WAL tells what the target has changed. */
static bool look_for_start_without_changes(Look *look, Error *error)
{
    const Lsn divergence = look->divergence.lsn;
    Start late;

    if (look->session.options->early_start ||
        !start_late(&look->source.control, divergence, divergence - 1, &late))
    {
        look->replayed = REPLAYED_WAL_MISSING;
        return error_no_proof_before(&look->session.clusters, divergence, error);
    }
    look->replayed = REPLAYED_WAL_NOT_NEEDED;
    return true;
}

/* Find the WAL that is replayed and that the target itself does not keep. An archive is asked for
 * the first segment that is gone from the source. */
static bool look_for_replayed_wal(Look *look, Error *error)
{
    SourceWal *wal = look->session.source_wal;
    const Control *source = &look->source.control;
    const Lsn earliest = start_early(&look->divergence.common_checkpoint, source).redo;
    const Lsn end = source_state_wal_end(&look->source, look->divergence.lsn);
    AUTO_BUFFER Buffer path = {0};
    Lsn gone_end;
    Start late;
    bool found, may_take;

    if (look->divergence.changes_unknown)
        return look_for_start_without_changes(look, error);
    if (!source_wal_find_gone(wal, earliest, end, &look->replayed_segment, &gone_end, error))
        return false;
    if (gone_end == LSN_INVALID)
        look->replayed = REPLAYED_WAL_OF_SOURCE;
    else if (!source_wal_find(wal, look->replayed_segment, &path, &may_take, &found, error))
        return session_fails_unknown(&look->session, error);
    else if (found)
        look->replayed = REPLAYED_WAL_OF_ARCHIVE;
    else if (!look->session.options->early_start &&
             start_late(source, look->divergence.lsn, gone_end - 1, &late))
        look->replayed = REPLAYED_WAL_NOT_NEEDED;
    else if (!session_is_unknown(&look->session))
    {
        look->replayed = REPLAYED_WAL_MISSING;
        return error_source_wal_missing(look->session.clusters.shape.version,
                                        SEGMENT_NAME(&wal->store->stream, look->replayed_segment),
                                        error);
    }
    return true;
}

/* A rewind fetches the source's WAL from the early start on; where there is no room for it, from
 * the late one on, if it may choose that. */
static bool check_space_for_wal(Look *look, Error *error)
{
    const Options *options = look->session.options;
    const char *target = look->session.clusters.target.directory;
    const Control *source = &look->source.control;
    const Lsn divergence = look->divergence.lsn;
    const Lsn end = source_state_wal_end(&look->source, divergence);
    const Start early = options->compare ? start_of_source(source)
                                         : start_early(&look->divergence.common_checkpoint, source);
    Start late;
    bool may_start_late;

    /* The next rewind removes what an interrupted one has left, then asks for room. */
    if (file_exists(target, WORK_DIRECTORY) || file_exists(target, WORK_DIRECTORY ".wal"))
        return true;
    may_start_late = !options->compare && !options->early_start &&
                     start_late(source, divergence, LSN_INVALID, &late) &&
                     (options->late_start || look->replayed == REPLAYED_WAL_NOT_NEEDED ||
                      start_may_be_cheaper(look->session.clusters.shape.version, &early, &late));
    look->lacks_space = !source_wal_check_space(
        look->session.source_wal, may_start_late ? late.redo : early.redo, end, 0, error);
    return !look->lacks_space;
}

/* As of a target that is stopped, or that will be. */
static bool find_divergence_of_look(Look *look, Error *error)
{
    const Clusters *clusters = &look->session.clusters;
    Lsn latest = LSN_INVALID, known_end;

    if (look->session.running && !look->session.options->compare)
    {
        if (!running_has_diverged(clusters, &latest))
            return true;
        /* It writes more: the end of its WAL is not looked for. */
        known_end = look->session.target_wal->known_end;
        look->session.target_wal->stream.limit = known_end > latest ? known_end : latest;
    }
    look->found = session_find_divergence(&look->session, &look->source, &look->divergence, error);
    look->rewinds = look->found ? look->session.options->compare || look->divergence.needed
                                : look->session.running || divergence_is_certain(clusters);
    if (!look->found)
        return session_fails_unknown(&look->session, error);
    if (!look->rewinds)
        return true;
    return (look->session.options->compare || look_for_replayed_wal(look, error)) &&
           check_space_for_wal(look, error);
}

bool look_at_pair(Look *look, Error *error)
{
    Session *session = &look->session;
    bool done; /* of a run only */
    bool result = session_identify_pair(session, &look->source, &done, error);

    if (result)
        result = find_divergence_of_look(look, error);
    else if (session->target_wal != NULL)
        result =
            session->clusters.target_history.count == 0 && session_fails_unknown(session, error);
    return result && problems_check(&session->problems, error);
}

void look_close(Look *look)
{
    session_close(&look->session);
    scan_destroy(look->divergence.scan);
}
