#include "lost/former_catalogs.h"

#include "base/array.h"
#include "format/heap_tuple.h"

#include <stdlib.h>

/* xl_relmap_update, utils/relmapper.h: database, tablespace, size, the file */
#define MAP_UPDATE_HEADER_SIZE 12

#define FIRST_ASSIGNED_OID 10000 /* FirstGenbkiObjectId, access/transam.h; likewise before 12 */
#define CHUNK_COLUMNS 3          /* columns of a TOAST table */

static MapChange *find_change(const FormerCatalogs *former, Oid database)
{
    for (size_t i = 0; i < former->change_count; i++)
        if (former->changes[i].database == database)
            return &former->changes[i];
    return NULL;
}

/* Unless it is among the known ones, which are sorted. The caller sorts all after the last. */
static void add_storage(FormerCatalogs *former, size_t known, CatalogStorage item)
{
    const Catalogs sorted = {former->storages.items, known};
    const RelationId id = {.database = item.database, .relation = item.filenode};

    if (item.filenode != item.oid && catalogs_oid(&sorted, &id) == item.filenode)
        ARRAY_ADD(former->storages.items, former->storages.count, item);
}

static void add_first_change(FormerCatalogs *former, const WalRecord *record, Oid database,
                             const Catalogs *map)
{
    /* Catalogs in maps that have other than CHUNK_COLUMNS columns: pg_type, pg_attribute, pg_proc,
     * pg_class, pg_tablespace, pg_authid, pg_auth_members, pg_database, pg_subscription. */
    static const Oid with_rows[] = {1247, 1249, 1255, 1259, 1213, 1260, 1261, 1262, 6100};
    MapChange change = {.database = database, .xid = record->xid, .lsn = record->lsn};
    size_t rewritten = 0;

    for (size_t i = 0; i < map->count; i++)
    {
        bool is_made = false;

        for (size_t k = 0; k < former->made_count; k++)
            is_made |= former->made[k].relation == map->items[i].filenode &&
                       former->made[k].database == map->items[i].database;
        if (!is_made)
            continue;
        change.made++;
        for (size_t k = 0; k < sizeof(with_rows) / sizeof(with_rows[0]); k++)
            if (with_rows[k] == map->items[i].oid)
            {
                rewritten++;
                change.catalog = with_rows[k];
            }
    }
    if (rewritten > 1)
        change.catalog = 0;
    ARRAY_ADD(former->changes, former->change_count, change);
}

static void add_map(FormerCatalogs *former, const Version *version, const WalRecord *record)
{
    Cursor cursor = cursor_over(record->data, record->data_size);
    const Oid database = cursor_u32(&cursor);
    const size_t known = former->storages.count;
    AUTO_BUFFER Buffer file = {0};
    Catalogs map = {0};
    Oid pg_class;

    cursor_seek(&cursor, MAP_UPDATE_HEADER_SIZE);
    if (cursor.failed)
        return;
    buffer_append(&file, record->data + MAP_UPDATE_HEADER_SIZE, cursor_left(&cursor));
    if (catalogs_add_map(&map, version, database, &file, &pg_class))
    {
        if (find_change(former, database) == NULL)
            add_first_change(former, record, database, &map);
        for (size_t i = 0; i < map.count; i++)
            add_storage(former, known, map.items[i]);
        catalogs_sort(&former->storages);
    }
    free(map.items);
}

void former_catalogs_add_record(FormerCatalogs *former, const Version *version,
                                const WalRecord *record, const WalEvent *event)
{
    if (record->rmgr == RM_RELMAP)
        add_map(former, version, record);
    else if (event->kind == WAL_EVENT_RELATION_CREATE && event->fork == FORK_MAIN)
        ARRAY_ADD(former->made, former->made_count, event->relation);
    for (size_t i = 0; event->kind == WAL_EVENT_COMMIT && i < former->change_count; i++)
    {
        MapChange *change = &former->changes[i];
        const size_t known = former->storages.count;

        if (change->xid != event->xid || event->xid == 0)
            continue;
        change->committed = true;
        for (uint32_t k = 0; k < event->dropped_count; k++)
        {
            const RelationId id = wal_event_dropped(event, k);

            if (id.database != change->database)
                continue;
            change->dropped++;
            /* Storage by a catalog's own number is known to be that catalog's. */
            if (id.relation >= FIRST_ASSIGNED_OID)
                add_storage(former, known,
                            (CatalogStorage){id.relation, id.database, CATALOG_UNSURE});
        }
        catalogs_sort(&former->storages);
    }
}

void former_catalogs_add_change(FormerCatalogs *former, const RelationId *relation, Slice row)
{
    MapChange *change = find_change(former, relation->database);
    const char *reason;
    HeapTuple tuple;

    if (change == NULL)
        return;
    if (row.bytes == NULL || !heap_tuple_parse(row, 0, &tuple, &reason))
        change->unproved = true;
    else if (tuple.attribute_count != CHUNK_COLUMNS)
    {
        change->several |= change->former != 0 && change->former != relation->relation;
        change->former = relation->relation;
    }
}

/*
 * If the transaction dropped one storage for each that the map got of it, it did nothing but
 * rewrite. Of one catalog that has rows, one of these is its storage; those of its indexes have no
 * rows, and those of its TOAST table chunks.
 */
static bool is_certain(const MapChange *change)
{
    return change->committed && change->catalog != 0 && change->made == change->dropped &&
           !change->several;
}

void former_catalogs_end(FormerCatalogs *former)
{
    for (size_t i = 0; i < former->storages.count; i++)
    {
        CatalogStorage *item = &former->storages.items[i];
        const MapChange *change = find_change(former, item->database);

        if (item->oid == CATALOG_UNSURE && item->filenode == change->former && is_certain(change))
            item->oid = change->catalog;
    }
    free(former->made);
    former->made = NULL;
}

bool former_catalogs_unsure(const FormerCatalogs *former, Oid database, Lsn lsn)
{
    for (size_t i = 0; i < former->change_count; i++)
    {
        const MapChange *change = &former->changes[i];

        if ((change->database == database || change->database == 0) && lsn < change->lsn &&
            (!change->committed || (change->former != 0 && !is_certain(change)) ||
             (change->former == 0 && change->unproved)))
            return true;
    }
    return false;
}

void former_catalogs_free(FormerCatalogs *former)
{
    free(former->storages.items);
    free(former->changes);
    free(former->made);
}
