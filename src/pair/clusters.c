#include "pair/clusters.h"

#include <string.h>

static bool error_modified(Error *error)
{
    return error_set(error, ERROR_FAILED, /* contract */
                     "source system was modified while pg_rewind was running");
}

bool source_state_read_settled(Source *source, const SourceState *before, SourceState *now,
                               bool *removes, Error *error)
{
    SourceState state = {.position = before->position};

    if (!source->is_server)
    {
        if (removes != NULL)
            *removes = false;
        if (!source->operations->read_control(source, &state.control, error))
            return false;
        if (memcmp(state.control.bytes, before->control.bytes, sizeof(state.control.bytes)) != 0)
            return error_modified(error);
        *now = state;
        return true;
    }
    if (!source->operations->state(source, &state.control, &state.position, removes, error))
        return false;
    if (state.control.system_identifier != before->control.system_identifier)
        return error_modified(error);
    if (state.control.state != STATE_IN_PRODUCTION &&
        state.control.state != STATE_IN_ARCHIVE_RECOVERY)
        return error_set(error, ERROR_FAILED, /* contract */
                         "source system was in unexpected state at end of rewind");
    if (state.position.timeline != before->position.timeline)
    {
        error_modified(error);
        return error_detail(error, "It went from timeline %u to %u.", before->position.timeline,
                            state.position.timeline);
    }
    *now = state;
    return true;
}

bool source_state_read_again(Source *source, const SourceState *before, SourceState *now,
                             Error *error)
{
    return source_state_read_settled(source, before, now, NULL, error);
}

Lsn source_state_wal_end(const SourceState *state, Lsn divergence)
{
    const SourcePosition *position = &state->position;

    if (!position->in_recovery)
        return position->end;
    return position->minimum > divergence ? position->minimum : divergence;
}
