#include "rewind/look.h"

#include "apply/journal.h"
#include "io/file.h"
#include "recovery_start/recovery_start.h"
#include "stage/stage.h"

static bool foretell_start(Look *look, Error *error)
{
    const Session *session = &look->session;
    const char *target = session->clusters.target.directory;
    const StartInput input = {.clusters = &session->clusters,
                              .source = &look->source,
                              .divergence = &look->divergence,
                              .source_wal = session->source_wal,
                              .options = session->options};
    /* The next rewind removes what an interrupted one has left, then asks for room. */
    const bool frees_space =
        file_exists(target, WORK_DIRECTORY) || file_exists(target, WORK_DIRECTORY ".wal");

    return recovery_start_foretell(&input, session->arena, frees_space, &look->start, error) ||
           (look->start.replayed == REPLAYED_WAL_UNKNOWN && !look->start.lacks_room &&
            session_lacks_scratch(session, error));
}

/* Find the divergence of a target that is stopped, or that will be stopped before a rewind. */
static bool find_divergence_of_look(Look *look, Error *error)
{
    const Clusters *clusters = &look->session.clusters;
    Lsn latest = LSN_INVALID, known_end;
    size_t common;

    if (look->session.running && !look->session.options->compare)
    {
        /* A primary has written to its timeline after the point where the source left that
         * timeline, and it still writes, so it has diverged. For others this is known only after
         * they have stopped. */
        if (!history_common(&clusters->source_history, &clusters->target_history, &common,
                            &latest) ||
            latest == LSN_INVALID ||
            (clusters->target.control.state != STATE_IN_PRODUCTION &&
             !divergence_is_certain(clusters)))
            return true;
        /* A running server writes more WAL, so its end is not searched for. */
        known_end = look->session.target_wal->limits.known_end;
        look->session.target_wal->stream.limit = known_end > latest ? known_end : latest;
    }
    look->found = session_find_divergence(&look->session, &look->source, &look->divergence, error);
    look->rewinds = look->found ? look->session.options->compare || look->divergence.needed
                                : look->session.running || divergence_is_certain(clusters);
    if (!look->found)
        return session_lacks_scratch(&look->session, error);
    return !look->rewinds || foretell_start(look, error);
}

bool look_at_pair(Look *look, Error *error)
{
    Session *session = &look->session;
    bool done; /* set for a run only */

    return session_identify_pair(session, &look->source, &done, error) &&
           find_divergence_of_look(look, error) && problems_check(&session->problems, error);
}

void look_close(Look *look)
{
    session_close(&look->session);
    scan_destroy(look->divergence.scan);
}
