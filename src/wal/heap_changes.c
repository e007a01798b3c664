#include "wal/heap_changes.h"

#define HEAP2_REWRITE 0x00         /* access/heapam_xlog.h */
#define HEAP2_MAINTENANCE_MAX 0x40 /* up to it pruning, freezing, visibility; likewise */
#define HEAP2_NEW_CID 0x70
#define PG_CLASS_OID 1259           /* catalog/pg_class.h */
#define MULTI_INSERT_COUNT_OFFSET 2 /* xl_heap_multi_insert: flags, ntuples */

void row_counts_add(RowCounts *rows, const WalRecord *record)
{
    const uint8_t opcode = record->info & HEAP_OPCODE_MASK;

    if (record->rmgr == RM_HEAP2 && opcode == HEAP2_MULTI_INSERT)
        rows->inserted += record->data_size >= MULTI_INSERT_COUNT_OFFSET + sizeof(uint16_t)
                              ? load_u16(record->data + MULTI_INSERT_COUNT_OFFSET)
                              : 1;
    if (record->rmgr != RM_HEAP)
        return;
    rows->inserted += opcode == HEAP_INSERT;
    rows->updated += opcode == HEAP_UPDATE || opcode == HEAP_HOT_UPDATE;
    rows->deleted += opcode == HEAP_DELETE;
}

void row_counts_merge(RowCounts *rows, const RowCounts *more)
{
    rows->inserted += more->inserted;
    rows->updated += more->updated;
    rows->deleted += more->deleted;
}

RecordWeight record_weight(const WalRecord *record)
{
    /* pg_statistic and pg_statistic_ext_data with their indexes and TOAST tables: catalog/pg_*.h,
     * the same in all versions that have them. */
    static const Oid of_statistics[] = {2619, 2696, 2840, 2841, 3429, 3430, 3431, 3433};
    uint8_t opcode = walrecord_opcode(record);
    unsigned found = 0;

    for (unsigned i = 0; i < record->block_count; i++)
        for (size_t k = 0; k < sizeof(of_statistics) / sizeof(of_statistics[0]); k++)
            found += record->blocks[i].relation.relation == of_statistics[k];
    if (record->block_count > 0 && found == record->block_count)
        return RECORD_MAINTENANCE;
    switch (record->rmgr)
    {
    case RM_XACT:
    case RM_STANDBY:
        return RECORD_NEUTRAL;
    case RM_XLOG:
        return record->block_count == 0 || opcode == XLOG_FPI_FOR_HINT ? RECORD_NEUTRAL
                                                                       : RECORD_CHANGE;
    case RM_SMGR:
        return opcode == SMGR_TRUNCATE ? RECORD_MAINTENANCE : RECORD_CHANGE;
    case RM_HEAP:
        return (opcode & HEAP_OPCODE_MASK) == HEAP_INPLACE ? RECORD_MAINTENANCE : RECORD_CHANGE;
    case RM_HEAP2:
        /* HEAP2_NEW_CID stands beside the record that changes the catalog. */
        opcode &= HEAP_OPCODE_MASK;
        return opcode == HEAP2_NEW_CID ||
                       (opcode != HEAP2_REWRITE && opcode <= HEAP2_MAINTENANCE_MAX)
                   ? RECORD_NEUTRAL
                   : RECORD_CHANGE;
    default:
        return RECORD_CHANGE;
    }
}

bool record_changes_catalog(const WalRecord *record)
{
    const uint8_t opcode = record->info & HEAP_OPCODE_MASK;

    if (record->block_count == 0 || record->blocks[0].relation.relation >= FIRST_NORMAL_OID)
        return false;
    return (record->rmgr == RM_HEAP2 && opcode == HEAP2_MULTI_INSERT) ||
           (record->rmgr == RM_HEAP && (opcode == HEAP_INSERT || opcode == HEAP_DELETE ||
                                        opcode == HEAP_UPDATE || opcode == HEAP_HOT_UPDATE));
}

bool record_is_new_relation(const WalRecord *record)
{
    return record->rmgr == RM_HEAP && (record->info & HEAP_OPCODE_MASK) == HEAP_INSERT &&
           record->block_count > 0 && record->blocks[0].relation.relation == PG_CLASS_OID;
}
