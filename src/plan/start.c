#include "plan/start.h"

Start start_early(const ScanCheckpoint *common, const Control *source)
{
    Start start = {
        .redo = common->checkpoint.redo,
        .checkpoint = common->lsn,
        .timeline = common->checkpoint.timeline,
        .next_xid = common->checkpoint.next_xid,
        /* Hints set after a page's full-page image are not logged again before the next redo position, so pages
           named since this redo position may hold hints from after the divergence. */
        .scan_floor = common->checkpoint.redo,
    };

    /* The source's files may be as old as its own last checkpoint: a standby whose restartpoint lags behind, also one just promoted. */
    if (source->checkpoint.redo < start.redo)
    {
        start.redo = source->checkpoint.redo;
        start.checkpoint = source->checkpoint_lsn;
        start.timeline = source->checkpoint.timeline;
        start.next_xid = source->checkpoint.next_xid;
    }
    return start;
}
