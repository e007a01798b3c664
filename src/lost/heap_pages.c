#include "lost/heap_pages.h"

#include <stdlib.h>
#include <string.h>

typedef struct NewRow
{
    const struct NewRow *older;
    uint16_t item;
    uint16_t size; /* 0: it is not known which row is there */
    uint8_t bytes[];
} NewRow;

struct HeapPages
{
    Spool *spool;
    HeapPage *slots; /* by hash, open addressing */
    size_t capacity; /* a power of two */
    size_t count;
};

bool heap_pages_copy_image(HeapPages *pages, const uint8_t *page, uint32_t block_size,
                           const HeapImage **copy, Error *error)
{
    HeapImage image, *made;
    size_t items_size, rows_size;
    uint8_t *bytes;

    *copy = NULL;
    if (!heap_image_over(page, block_size, &image))
        return true;
    items_size = (size_t) image.item_count * PAGE_ITEM_SIZE;
    rows_size = block_size - image.rows_offset;
    made = spool_allocate(pages->spool, sizeof(*made) + items_size + rows_size, error);
    if (made == NULL)
        return false;
    bytes = (uint8_t *) (made + 1);
    memcpy(bytes, image.items, items_size);
    memcpy(bytes + items_size, image.rows, rows_size);
    *made = image;
    made->items = bytes;
    made->rows = bytes + items_size;
    *copy = made;
    return true;
}

/* ---- Pages ---- */

HeapPages *heap_pages_create(Spool *spool)
{
    HeapPages *pages = memory_allocate_zeroed(1, sizeof(*pages));

    pages->spool = spool;
    pages->capacity = 1024;
    pages->slots = memory_allocate_zeroed(pages->capacity, sizeof(*pages->slots));
    return pages;
}

void heap_pages_free(HeapPages *pages)
{
    if (pages == NULL)
        return;
    free(pages->slots);
    free(pages);
}

static HeapPage *slot_of(const HeapPages *pages, RelationId relation, BlockNumber block)
{
    uint64_t hash = (uint64_t) relation.relation << 32 | block;

    hash ^= ((uint64_t) relation.database << 20) + relation.tablespace;
    hash *= 0x9E3779B97F4A7C15u;
    for (size_t at = (size_t) (hash >> 20);; at++)
    {
        HeapPage *slot = &pages->slots[at & (pages->capacity - 1)];

        if (!slot->used ||
            (slot->block == block && memcmp(&slot->relation, &relation, sizeof(relation)) == 0))
            return slot;
    }
}

/* At most half of the slots are taken. */
static void make_room(HeapPages *pages)
{
    HeapPage *old = pages->slots;
    const size_t old_capacity = pages->capacity;

    if (pages->count * 2 < pages->capacity)
        return;
    pages->capacity *= 2;
    pages->slots = memory_allocate_zeroed(pages->capacity, sizeof(*pages->slots));
    for (size_t i = 0; i < old_capacity; i++)
        if (old[i].used)
            *slot_of(pages, old[i].relation, old[i].block) = old[i];
    free(old);
}

HeapPage *heap_pages_find(HeapPages *pages, RelationId relation, BlockNumber block)
{
    HeapPage *page;

    make_room(pages);
    page = slot_of(pages, relation, block);
    if (!page->used)
    {
        *page = (HeapPage){.relation = relation, .block = block, .used = true};
        pages->count++;
    }
    return page;
}

bool heap_page_put(HeapPages *pages, HeapPage *page, uint16_t item, Slice row, Slice *copy,
                   Error *error)
{
    NewRow *made = spool_allocate(pages->spool, sizeof(*made) + row.size, error);

    if (made == NULL)
        return false;
    *made = (NewRow){.older = page->rows, .item = item, .size = (uint16_t) row.size};
    if (row.size > 0)
        memcpy(made->bytes, row.bytes, row.size);
    page->rows = made;
    *copy = row.bytes != NULL ? (Slice){made->bytes, row.size} : (Slice){0};
    return true;
}

Slice heap_page_row(const HeapPage *page, uint16_t item)
{
    for (const NewRow *row = page->rows; row != NULL; row = row->older)
        if (row->item == item)
            return row->size > 0 ? (Slice){row->bytes, row->size} : (Slice){0};
    return page->image != NULL ? heap_image_row(page->image, item) : (Slice){0};
}
