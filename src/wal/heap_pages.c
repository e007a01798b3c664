#include "wal/heap_pages.h"

#include <stdlib.h>
#include <string.h>

/* The row that was put last at a place of a page. */
typedef struct NewRow
{
    struct NewRow *next;
    Slice row; /* bytes NULL: not known */
    uint16_t item;
} NewRow;

struct HeapPages
{
    Spool *spool;
    HeapPage *slots; /* hash table with open addressing */
    size_t capacity; /* a power of two */
    size_t count;
};

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

static HeapPage *slot_of(const HeapPages *pages, const RelationId *relation, BlockNumber block)
{
    uint64_t hash = (uint64_t) relation->relation << 32 | block;

    hash ^= ((uint64_t) relation->database << 20) + relation->tablespace;
    hash *= 0x9E3779B97F4A7C15u;
    for (size_t at = (size_t) (hash >> 20);; at++)
    {
        HeapPage *slot = &pages->slots[at & (pages->capacity - 1)];

        if (!slot->used ||
            (slot->block == block && memcmp(&slot->relation, relation, sizeof(*relation)) == 0))
            return slot;
    }
}

HeapPage *heap_pages_find(const HeapPages *pages, const RelationId *relation, BlockNumber block)
{
    HeapPage *page = slot_of(pages, relation, block);

    return page->used ? page : NULL;
}

HeapPage *heap_pages_make(HeapPages *pages, const RelationId *relation, BlockNumber block)
{
    HeapPage *page, *old = pages->slots;
    const size_t old_capacity = pages->capacity;

    /* At most half of the slots are taken. */
    if (pages->count * 2 >= old_capacity)
    {
        pages->capacity *= 2;
        pages->slots = memory_allocate_zeroed(pages->capacity, sizeof(*pages->slots));
        for (size_t i = 0; i < old_capacity; i++)
            if (old[i].used)
                *slot_of(pages, &old[i].relation, old[i].block) = old[i];
        free(old);
    }
    page = slot_of(pages, relation, block);
    if (!page->used)
    {
        *page = (HeapPage){.relation = *relation, .block = block, .used = true};
        pages->count++;
    }
    return page;
}

bool heap_pages_copy_image(HeapPages *pages, const uint8_t *page, uint32_t block_size,
                           const HeapImage **copy, Error *error)
{
    HeapImage image, *made;
    Slice items, rows;

    *copy = NULL;
    if (!heap_image_over(page, block_size, &image))
        return true;
    items = (Slice){image.items, (size_t) image.item_count * PAGE_ITEM_SIZE};
    rows = (Slice){image.rows, block_size - image.rows_offset};
    made = spool_allocate(pages->spool, sizeof(*made), error);
    if (made == NULL || !spool_copy(pages->spool, items, &items, error) ||
        !spool_copy(pages->spool, rows, &rows, error))
        return false;
    *made = image;
    made->items = items.bytes;
    made->rows = rows.bytes;
    *copy = made;
    return true;
}

void heap_page_reset(HeapPage *page, const HeapImage *image)
{
    page->image = image;
    page->rows = NULL;
}

/* Returns the entry of a place; NULL if no row was put there since the image. */
static NewRow *new_row_at(const HeapPage *page, uint16_t item)
{
    NewRow *entry = page->rows;

    while (entry != NULL && entry->item != item)
        entry = entry->next;
    return entry;
}

bool heap_page_put(HeapPages *pages, HeapPage *page, uint16_t item, Slice row, Slice *copy,
                   Error *error)
{
    NewRow *entry = new_row_at(page, item);

    *copy = row;
    if (row.bytes != NULL && !spool_copy(pages->spool, row, copy, error))
        return false;
    if (entry == NULL)
    {
        entry = spool_allocate(pages->spool, sizeof(*entry), error);
        if (entry == NULL)
            return false;
        *entry = (NewRow){.next = page->rows, .item = item};
        page->rows = entry;
    }
    /* Rule L46: a place has one entry, however often it is filled. */
    entry->row = *copy;
    return true;
}

Slice heap_page_row(const HeapPage *page, uint16_t item)
{
    const NewRow *entry;

    if (page == NULL)
        return (Slice){0};
    entry = new_row_at(page, item);
    if (entry != NULL)
        return entry->row;
    return page->image != NULL ? heap_image_row(page->image, item) : (Slice){0};
}
