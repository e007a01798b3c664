#include "format/page.h"

/* Offsets in PageHeaderData. */
#define UPPER_OFFSET 14
#define SPECIAL_OFFSET 16
/* Page size, with the layout's version in the lowest byte: pd_pagesize_version. */
#define SIZE_OFFSET 18
#define LAYOUT_VERSION 4     /* PG_PAGE_LAYOUT_VERSION, 8.3 to 19 */
#define HASH_MAGIC 0x6440640 /* HashMetaPageData.hashm_magic, access/hash.h */

#define LP_NORMAL 1 /* storage/itemid.h */
#define LP_DEAD 3

/*
 * Special areas of PostgreSQL's access methods: 16 bytes for btree, hash and gist, 8 for gin,
 * spgist, brin and sequences. The last two bytes identify the access method: 0xFF80 to 0xFF83 for
 * hash, gist, spgist and bloom (which marks no entries), lower values for btree and gin. Access
 * methods of extensions use higher values.
 */
#define SPECIAL_SIZE_MAX 16
#define PAGE_ID_MAX 0xFF83

bool page_is_new(const uint8_t *page)
{
    return load_u16(page + UPPER_OFFSET) == 0;
}

bool page_has_header(const uint8_t *page, size_t block_size)
{
    const size_t lower = load_u16(page + PAGE_LOWER_OFFSET);
    const size_t upper = load_u16(page + UPPER_OFFSET);
    const size_t special = load_u16(page + SPECIAL_OFFSET);

    return load_u16(page + SIZE_OFFSET) == (block_size | LAYOUT_VERSION) &&
           lower >= PAGE_HEADER_SIZE && lower <= upper && upper <= special && special <= block_size;
}

/* Pages of indexes and sequences have a special area, pages of heaps have none. */
bool heap_image_over(const uint8_t *page, uint32_t block_size, HeapImage *image)
{
    if (page_is_new(page) || !page_has_header(page, block_size) ||
        load_u16(page + SPECIAL_OFFSET) != block_size)
        return false;
    image->items = page + PAGE_HEADER_SIZE;
    image->item_count = (load_u16(page + PAGE_LOWER_OFFSET) - PAGE_HEADER_SIZE) / PAGE_ITEM_SIZE;
    image->rows_offset = load_u16(page + UPPER_OFFSET);
    image->rows = page + image->rows_offset;
    image->block_size = block_size;
    return true;
}

Slice heap_image_row(const HeapImage *image, uint16_t item)
{
    if (item == 0 || item > image->item_count)
        return (Slice){0};
    const uint32_t pointer = load_u32(image->items + (size_t) (item - 1) * PAGE_ITEM_SIZE);
    const uint32_t offset = PAGE_ITEM_OFFSET(pointer), size = PAGE_ITEM_LENGTH(pointer);
    if (PAGE_ITEM_FLAGS(pointer) != LP_NORMAL || size < ROW_HEADER_SIZE ||
        offset < image->rows_offset || offset > image->block_size ||
        size > image->block_size - offset)
        return (Slice){0};
    return (Slice){image->rows + (offset - image->rows_offset), size};
}

bool page_is_hash_index(const uint8_t *page)
{
    return load_u32(page + PAGE_HEADER_SIZE) == HASH_MAGIC;
}

bool page_may_have_dead_entries(const uint8_t *page, size_t size)
{
    size_t special;

    if (size < PAGE_HEADER_SIZE || page_is_new(page))
        return false;
    if (!page_has_header(page, size))
        return true;
    special = load_u16(page + SPECIAL_OFFSET);
    if (special != size &&
        (size - special > SPECIAL_SIZE_MAX || load_u16(page + size - 2) > PAGE_ID_MAX))
        return true; /* an access method of an extension */
    for (size_t offset = PAGE_HEADER_SIZE;
         offset + PAGE_ITEM_SIZE <= load_u16(page + PAGE_LOWER_OFFSET); offset += PAGE_ITEM_SIZE)
    {
        const uint32_t item = load_u32(page + offset);

        if (PAGE_ITEM_FLAGS(item) == LP_DEAD && PAGE_ITEM_LENGTH(item) > 0)
            return true;
    }
    return false;
}
