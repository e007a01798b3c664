/*
 * What is printed of a plan.
 */
#include "plan/plan.h"

#include "base/log.h"

const char *action_name(Action action)
{
    static const char *const names[] = {"NONE",     "COPY",   "COPY_TAIL",
                                        "TRUNCATE", "CREATE", "REMOVE"};

    return names[action];
}

void plan_print(const Plan *plan)
{
    if (!log_debug_on())
        return;
    for (size_t i = 0; i < plan->count; i++)
    {
        const PlanEntry *entry = &plan->entries[i];
        BlockNumber from = entry->first_block, first, count;
        BlockNumber end =
            entry->first_block + (BlockNumber) (entry->source_size / plan->block_size);

        if (entry->action == ACTION_NONE && entry->blocks == NULL && !entry->wal)
            continue;
        if (entry->wal && entry->action == ACTION_NONE && entry->source_size == 0)
        {
            log_debug("Not removing file \"%s\" because it is required for recovery", /* contract */
                      entry->path);
            continue;
        }
        log_debug("%s (%s)", entry->path, action_name((Action) entry->action)); /* contract */
        while (entry->blocks != NULL && blockmap_next_run(entry->blocks, from, end, &first, &count))
        {
            for (BlockNumber block = first; block < first + count; block++)
                log_debug("  block %u", block - entry->first_block); /* contract */
            from = first + count;
        }
    }
}

static void print_remark(const PlanRemark *remark)
{
    switch (remark->reason)
    {
    case REASON_EXCLUDED:
    case REASON_NOT_THE_SERVERS:
        log_debug("entry \"%s\" excluded from source file list", remark->path);
        break;
    case REASON_KEPT:
        log_debug("\"%s\" is kept (%s)", remark->path, remark->kept_by);
        break;
    case REASON_MAY_BE_ODD:
        log_warning("\"%s\" is copied as an empty file: the source server does not distinguish it "
                    "from a fifo, socket or device",
                    remark->path);
        break;
    case REASON_MOUNTED:
        log_warning("\"%s\" is a mount point and is left alone", remark->path);
        break;
    case REASON_ODD:
        log_warning("\"%s\" is not a regular file and is left alone", remark->path);
        break;
    case REASON_ODD_ON_SOURCE:
        log_warning("\"%s\" in the source is not a regular file and is left alone", remark->path);
        break;
    case REASON_TYPES_DIFFER:
        log_warning("\"%s\" is of different type in source and target and is left alone",
                    remark->path);
        break;
    case REASON_NAME_NOT_VALID:
        log_warning("\"%s\" cannot be fetched and is left alone: its name is not valid in the "
                    "source's encoding",
                    remark->path);
        break;
    case REASON_MATCHES_NOTHING:
        log_warning("--keep pattern \"%s\" matches no file", remark->path);
        break;
    default: /* plan_make remarks upon nothing else */
        break;
    }
}

void plan_print_remarks(const Plan *plan, bool first_time)
{
    if (first_time && plan->hash_index_count > 0)
    {
        log_warning("%zu hash index%s cannot be relied on: this version of PostgreSQL does not "
                    "WAL-log them",
                    plan->hash_index_count, plan->hash_index_count == 1 ? "" : "es");
        log_hint(
            "Queries on the standby must not use them; after a promotion run REINDEX for each.");
    }
    for (size_t i = 0; i < plan->remark_count; i++)
    {
        if (first_time || plan->remarks[i].reason != REASON_MATCHES_NOTHING)
            print_remark(&plan->remarks[i]);
    }
}
