#include "plan/plan.h"

/* True if a transaction of this number was prepared at `from` or later. finished: and has
 * been committed or rolled back. */
static bool has_prepared(const PlanPreparedList *list, uint32_t xid, Lsn from, bool finished)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->entries[i].xid == xid && list->entries[i].lsn >= from &&
            (list->entries[i].finished || !finished))
            return true;
    return false;
}

/* List the transactions that the WAL of one side prepares and does not finish, or that the side has
 * a file of. */
static PlanPreparedList list_prepared(const Plan *plan, bool of_source,
                                      const PlanPreparedList *in_wal, Arena *arena)
{
    size_t files = 0;
    ScanPrepared *entries;
    PlanPreparedList list;

    for (size_t i = 0; i < plan->count; i++)
        files += plan->entries[i].twophase;
    entries = arena_allocate(arena, (files + in_wal->count + 1) * sizeof(*entries));
    list = (PlanPreparedList){entries, 0};
    for (size_t i = 0; i < in_wal->count; i++)
    {
        const ScanPrepared *prepared = &in_wal->entries[i];

        if (!prepared->finished && !has_prepared(&list, prepared->xid, 0, false))
            entries[list.count++] = (ScanPrepared){.xid = prepared->xid, .gid = prepared->gid};
    }
    for (size_t i = 0; i < plan->count; i++)
    {
        const PlanEntry *entry = &plan->entries[i];
        const bool is_there = of_source ? entry->action != ACTION_REMOVE : entry->on_target;
        const uint32_t xid = entry->twophase ? (uint32_t) twophase_xid(entry->path) : 0;

        if (entry->twophase && is_there && !has_prepared(in_wal, xid, 0, true) &&
            !has_prepared(&list, xid, 0, false))
            entries[list.count++] = (ScanPrepared){.xid = xid};
    }
    return list;
}

PlanPrepared plan_prepared(const Plan *plan, const PlanPreparedList *of_source,
                           const ScanResult *target, Lsn divergence, Arena *arena)
{
    const PlanPreparedList of_target = {target->prepared, target->prepared_count};
    const PlanPreparedList stay = list_prepared(plan, true, of_source, arena);
    const PlanPreparedList all = list_prepared(plan, false, &of_target, arena);
    ScanPrepared *go = arena_allocate(arena, (all.count + 1) * sizeof(*go));
    size_t count = 0;

    /* After the divergence the source may have another transaction of the same number. */
    for (size_t i = 0; i < all.count; i++)
        if (has_prepared(&of_target, all.entries[i].xid, divergence, false) ||
            !has_prepared(&stay, all.entries[i].xid, 0, false))
            go[count++] = all.entries[i];
    return (PlanPrepared){stay, {go, count}};
}
