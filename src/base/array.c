#include "base/array.h"

#include "base/error.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* The new size in bytes of an array that has no room for one more item; 0 if it has room. */
static size_t grown_size(size_t count, size_t item_size)
{
    if ((count & (count + 1)) != 0)
        return 0;
    if (count > SIZE_MAX / 2 / item_size)
        out_of_memory();
    return (count * 2 + 1) * item_size;
}

void *array_grow(void *items, size_t count, size_t item_size)
{
    const size_t size = grown_size(count, item_size);

    return size > 0 ? memory_resize(items, size) : items;
}

void *array_grow_in(Arena *arena, void *items, size_t count, size_t item_size)
{
    const size_t size = grown_size(count, item_size);
    void *grown;

    if (size == 0)
        return items;
    grown = arena_allocate(arena, size);
    if (count > 0)
        memcpy(grown, items, count * item_size);
    return grown;
}

void array_make_gap(void *items, size_t count, size_t index, size_t item_size)
{
    char *at = (char *) items + index * item_size;

    memmove(at + item_size, at, (count - index) * item_size);
}

size_t array_search(const void *key, const void *items, size_t count, size_t item_size,
                    ArrayCompare compare, bool *found)
{
    size_t low = 0, high = count;
    bool equal = false;

    while (low < high)
    {
        size_t middle = low + (high - low) / 2;
        int order = compare(key, (const char *) items + middle * item_size);

        equal = equal || order == 0;
        if (order > 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (found != NULL)
        *found = equal;
    return low;
}

void *array_find(const void *key, const void *items, size_t count, size_t item_size,
                 ArrayCompare compare)
{
    return count > 0 ? bsearch(key, items, count, item_size, compare) : NULL;
}

void array_sort(void *items, size_t count, size_t item_size, ArrayCompare compare)
{
    if (count > 0)
        qsort(items, count, item_size, compare);
}

int compare_u32(const void *one, const void *other)
{
    const uint32_t a = *(const uint32_t *) one, b = *(const uint32_t *) other;

    return (a > b) - (a < b);
}

int compare_u32_pairs(const void *one, const void *other)
{
    const uint32_t *a = one, *b = other;
    const int first = compare_u32(a, b);

    return first != 0 ? first : compare_u32(a + 1, b + 1);
}

int compare_u64(const void *one, const void *other)
{
    const uint64_t a = *(const uint64_t *) one, b = *(const uint64_t *) other;

    return (a > b) - (a < b);
}

int compare_strings(const void *one, const void *other)
{
    return strcmp(*(const char *const *) one, *(const char *const *) other);
}
