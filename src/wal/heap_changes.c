#include "wal/heap_changes.h"

#define HEAP2_REWRITE 0x00         /* access/heapam_xlog.h */
#define HEAP2_MAINTENANCE_MAX 0x40 /* up to it pruning, freezing, visibility; likewise */
#define HEAP2_NEW_CID 0x70
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

/* pg_statistic and pg_statistic_ext_data with their indexes and TOAST tables: catalog/pg_*.h, the
 * same in all versions that have them. */
static bool is_of_statistics(Oid relation)
{
    static const Oid relations[] = {2619, 2696, 2840, 2841, 3429, 3430, 3431, 3433};

    for (size_t i = 0; i < sizeof(relations) / sizeof(relations[0]); i++)
        if (relations[i] == relation)
            return true;
    return false;
}

static bool all_blocks_are_of_statistics(const WalRecord *record)
{
    for (unsigned i = 0; i < record->block_count; i++)
        if (!is_of_statistics(record->blocks[i].relation.relation))
            return false;
    return record->block_count > 0;
}

static RecordWeight heap2_weight(const WalRecord *record)
{
    const uint8_t opcode = record->info & HEAP_OPCODE_MASK;

    if (opcode == HEAP2_NEW_CID) /* beside the record that changes the catalog */
        return RECORD_NEUTRAL;
    return opcode != HEAP2_REWRITE && opcode <= HEAP2_MAINTENANCE_MAX ? RECORD_NEUTRAL
                                                                      : RECORD_CHANGE;
}

RecordWeight record_weight(const WalRecord *record)
{
    const uint8_t opcode = walrecord_opcode(record);

    if (all_blocks_are_of_statistics(record))
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
        return heap2_weight(record);
    default:
        return RECORD_CHANGE;
    }
}

/* ---- Changes of catalogs ---- */

/* A catalog. Changes of part_of_relation are passed over where pg_class shows enough. */
typedef struct ObjectCatalog
{
    Oid oid; /* catalog/pg_*.h; the same in all versions that have it */
    const char *noun;
    bool part_of_relation;
} ObjectCatalog;

enum
{
    ROW_CLASS,
    ROW_ATTRIBUTE,
    ROW_EXTENSION,
    ROW_DATABASE,
    ROW_STATISTIC
};

static const ObjectCatalog rows[] = {
    [ROW_CLASS] = {1259, "", false},
    [ROW_ATTRIBUTE] = {1249, "", false},
    [ROW_EXTENSION] = {3079, "EXTENSION", false},
    [ROW_DATABASE] = {1262, "DATABASE", false},
    [ROW_STATISTIC] = {2619, "", false},
    {1247, "TYPE", true},
    {3501, "ENUM VALUE", true},
    {1255, "FUNCTION", false},
    {2615, "SCHEMA", false},
    {1260, "ROLE", false},
    {1261, "ROLE MEMBERSHIP", false},
    {1213, "TABLESPACE", false},
    {2606, "CONSTRAINT", true},
    {2620, "TRIGGER", true},
    {2618, "RULE", true},
    {3256, "POLICY", true},
    {2604, "DEFAULT", true},
    {2224, "SEQUENCE", false},
    {6104, "PUBLICATION", false},
    {6100, "SUBSCRIPTION", false},
    {3466, "EVENT TRIGGER", false},
    {1417, "SERVER", false},
    {2328, "FOREIGN DATA WRAPPER", false},
    {1418, "USER MAPPING", false},
    {2609, "COMMENT", true},
    {2396, "COMMENT ON SHARED OBJECT", false},
    {826, "DEFAULT PRIVILEGES", false},
    {2964, "ROLE OR DATABASE SETTING", false},
    {3381, "STATISTICS", true},
    {2617, "OPERATOR", false},
    {2605, "CAST", false},
    {2995, "LARGE OBJECT", false},
};

#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))
_Static_assert(ROW_COUNT <= 32, "a bit for each");

static uint32_t catalog_bit(Oid relation)
{
    for (size_t i = 0; i < ROW_COUNT; i++)
        if (rows[i].oid == relation)
            return 1u << i;
    return 0;
}

void ddl_note_record(DdlChanges *changes, const WalRecord *record)
{
    uint8_t opcode = record->info & HEAP_OPCODE_MASK;
    uint32_t bit;

    if (record->block_count == 0 || record->blocks[0].relation.relation >= FIRST_NORMAL_OID ||
        (record->rmgr != RM_HEAP && record->rmgr != RM_HEAP2))
        return;
    bit = catalog_bit(record->blocks[0].relation.relation);
    if (record->rmgr == RM_HEAP2)
        changes->inserted |= opcode == HEAP2_MULTI_INSERT ? bit : 0;
    else if (opcode == HEAP_INSERT)
        changes->inserted |= bit;
    else if (opcode == HEAP_DELETE)
        changes->deleted |= bit;
    else if (opcode == HEAP_UPDATE || opcode == HEAP_HOT_UPDATE)
        changes->updated |= bit;
}

bool ddl_is_new_relation(const WalRecord *record)
{
    return record->rmgr == RM_HEAP && (record->info & HEAP_OPCODE_MASK) == HEAP_INSERT &&
           record->block_count > 0 && record->blocks[0].relation.relation == rows[ROW_CLASS].oid;
}

void ddl_merge(DdlChanges *changes, const DdlChanges *more)
{
    changes->inserted |= more->inserted;
    changes->updated |= more->updated;
    changes->deleted |= more->deleted;
    changes->storage |= more->storage;
}

/* Guesses from pg_class and pg_attribute. */
static size_t guess_relations(const DdlChanges *changes, DdlGuess *guesses)
{
    const uint32_t class = 1u << ROW_CLASS, attribute = 1u << ROW_ATTRIBUTE;
    const uint32_t replaced = DDL_STORAGE_CREATED | DDL_STORAGE_DROPPED;
    const bool inserted = (changes->inserted & class) != 0;
    const bool deleted = (changes->deleted & class) != 0;
    size_t count = 0;

    /* VACUUM FULL and the like make a table for the while. */
    if ((inserted == deleted) && (changes->storage & replaced) == replaced)
        guesses[count++] = (DdlGuess){"TRUNCATE", "or rewrite of a table"};
    else
    {
        if (inserted)
            guesses[count++] = (DdlGuess){"CREATE", "TABLE, INDEX or the like"};
        if (deleted)
            guesses[count++] = (DdlGuess){"DROP", "TABLE, INDEX or the like"};
    }
    if (!inserted && !deleted &&
        ((changes->inserted | changes->updated | changes->deleted) & attribute))
        guesses[count++] = (DdlGuess){"ALTER", "TABLE"};
    return count;
}

size_t ddl_guess(const DdlChanges *changes, DdlGuess guesses[DDL_GUESSES_MAX])
{
    const uint32_t class = 1u << ROW_CLASS, extension = 1u << ROW_EXTENSION;
    const uint32_t inserted = changes->inserted, updated = changes->updated,
                   deleted = changes->deleted;
    size_t count;

    if (inserted & extension)
    {
        guesses[0] = (DdlGuess){"CREATE", "EXTENSION"}; /* whatever it created */
        return 1;
    }
    count = guess_relations(changes, guesses);
    for (size_t i = 0; i < ROW_COUNT && count + 3 < DDL_GUESSES_MAX; i++)
    {
        const uint32_t bit = 1u << i;
        const bool made = (inserted & bit) && !(rows[i].part_of_relation && (inserted & class));
        const bool gone = (deleted & bit) && !(rows[i].part_of_relation && (deleted & class));

        if (rows[i].noun[0] == '\0')
            continue;
        if (made)
            guesses[count++] = (DdlGuess){"CREATE", rows[i].noun};
        if ((updated & bit) && !made && !rows[i].part_of_relation)
            guesses[count++] = (DdlGuess){"ALTER", rows[i].noun};
        if (gone)
            guesses[count++] = (DdlGuess){"DROP", rows[i].noun};
    }
    if (count == 0 && (updated & class))
        guesses[count++] = (DdlGuess){"ALTER", "TABLE, GRANT or the like"};
    if (count == 0 && ((inserted | updated | deleted) & (1u << ROW_STATISTIC)))
        guesses[count++] = (DdlGuess){"ANALYZE", ""};
    return count;
}
