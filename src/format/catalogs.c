#include "format/catalogs.h"

#include "base/array.h"
#include "format/crc32c.h"
#include "format/heap_tuple.h"
#include "format/page.h"

/* RelMapFile, utils/cache/relmapper.c: magic, count, {oid, filenode} ..., CRC. Until 15 the file
 * has 62 items and four bytes after the CRC; from 16 on 64 items. */
#define MAP_MAGIC 0x592717
#define MAP_AT_COUNT 4
#define MAP_AT_ITEMS 8
#define MAP_ITEM_SIZE 8
#define MAP_OLD_SIZE 512
#define MAP_OLD_AT_CRC 504
#define MAP_AT_CRC 520

/* Offset of relfilenode in FormData_pg_class, catalog/pg_class.h; from 12 on after the oid. */
#define CLASS_AT_FILENODE 84

bool catalogs_add_map(Catalogs *catalogs, const Version *version, Oid database, const Buffer *map,
                      Oid *pg_class)
{
    const size_t crc_at = map->size == MAP_OLD_SIZE ? MAP_OLD_AT_CRC : MAP_AT_CRC;
    uint32_t count;

    if ((map->size != MAP_OLD_SIZE && map->size != CATALOGS_MAP_SIZE_MAX) ||
        load_u32(map->bytes) != MAP_MAGIC ||
        load_u32(map->bytes + crc_at) != crc_of_version(version, map->bytes, crc_at))
        return false;
    count = load_u32(map->bytes + MAP_AT_COUNT);
    if (count > (crc_at - MAP_AT_ITEMS) / MAP_ITEM_SIZE)
        return false;
    for (uint32_t i = 0; i < count; i++)
    {
        const uint8_t *item = map->bytes + MAP_AT_ITEMS + (size_t) i * MAP_ITEM_SIZE;
        const Oid oid = load_u32(item), filenode = load_u32(item + 4);

        ARRAY_ADD(catalogs->items, catalogs->count, (CatalogStorage){filenode, database, oid});
        if (oid == CATALOGS_PG_CLASS)
            *pg_class = filenode;
    }
    return true;
}

void catalogs_add_row(Catalogs *catalogs, Oid database, Slice tuple)
{
    const char *reason;
    HeapTuple row;
    Cursor cursor;
    Oid oid, filenode;

    if (!heap_tuple_parse(tuple, 0, &row, &reason))
        return;
    cursor = slice_cursor(row.data);
    oid = row.oid != 0 ? row.oid : cursor_u32(&cursor);
    cursor_skip(&cursor, CLASS_AT_FILENODE);
    filenode = cursor_u32(&cursor);
    if (!cursor.failed && oid < FIRST_NORMAL_OID &&
        filenode != 0) /* a mapped catalog has filenode 0 */
        ARRAY_ADD(catalogs->items, catalogs->count, (CatalogStorage){filenode, database, oid});
}

void catalogs_add_page(Catalogs *catalogs, Oid database, const uint8_t *page, uint32_t size)
{
    HeapImage image;

    if (!heap_image_over(page, size, &image))
        return;
    for (uint16_t item = 1; item <= image.item_count; item++)
        catalogs_add_row(catalogs, database, heap_image_row(&image, item));
}

void catalogs_sort(Catalogs *catalogs)
{
    ARRAY_SORT(catalogs->items, catalogs->count, compare_u32_pairs);
}

Oid catalogs_oid(const Catalogs *catalogs, const RelationId *storage)
{
    const CatalogStorage key = {.filenode = storage->relation, .database = storage->database};
    bool found;
    const size_t index = array_search(&key, catalogs->items, catalogs->count,
                                      sizeof(*catalogs->items), compare_u32_pairs, &found);

    return found ? catalogs->items[index].oid : storage->relation;
}
