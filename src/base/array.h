/*
 * Arrays that grow, and searching sorted ones.
 */
#ifndef BASE_ARRAY_H
#define BASE_ARRAY_H

#include "base/arena.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Make room for one item more in an array of `count` items, which is NULL at first and is released
 * by free. No capacity is kept: there is room for 2^n - 1 items, and more is needed only when count
 * is such a number.
 *
 *     ARRAY_GROW(list->items, list->count);
 *     list->items[list->count++] = item;
 *
 * ARRAY_ADD does both, and ARRAY_INSERT puts the item at an index, in front of those from there on.
 */
#define ARRAY_ADD(items, count, ...) (ARRAY_GROW(items, count), (items)[(count)++] = __VA_ARGS__)
#define ARRAY_GROW(items, count) ((items) = array_grow((items), (count), sizeof(*(items))))
#define ARRAY_INSERT(items, count, index, ...)                                                     \
    (ARRAY_GROW(items, count), array_open(items, (count)++, index, sizeof(*(items))),              \
     (items)[index] = __VA_ARGS__)
void *array_grow(void *items, size_t count, size_t item_size);
void array_open(void *items, size_t count, size_t index, size_t item_size);

/* As ARRAY_ADD, for an array that is in the arena, and is released with the arena. */
#define ARRAY_ADD_IN(arena, items, count, ...)                                                     \
    ((items) = array_grow_in(arena, items, count, sizeof(*(items))),                               \
     (items)[(count)++] = __VA_ARGS__)
void *array_grow_in(Arena *arena, void *items, size_t count, size_t item_size);

/* As of bsearch: how a key compares with an item. */
typedef int (*ArrayCompare)(const void *key, const void *item);

/*
 * The index in a sorted array of the first item that is not before the key: where the key is, if
 * *found (NULL: that is not asked), else where it would have to be inserted.
 */
#define ARRAY_FIRST(key, items, count, compare)                                                    \
    array_search(key, items, count, sizeof(*(items)), compare, NULL)
size_t array_search(const void *key, const void *items, size_t count, size_t item_size,
                    ArrayCompare compare, bool *found);

/* As bsearch and qsort, also for no items, which are NULL. */
#define ARRAY_FIND(key, items, count, compare)                                                     \
    array_find(key, items, count, sizeof(*(items)), compare)
#define ARRAY_SORT(items, count, compare) array_sort(items, count, sizeof(*(items)), compare)
void *array_find(const void *key, const void *items, size_t count, size_t item_size,
                 ArrayCompare compare);
void array_sort(void *items, size_t count, size_t item_size, ArrayCompare compare);

/* An ArrayCompare for strings, and for items that begin with one; and for numbers of 32 bits. */
int compare_strings(const void *one, const void *other);
int compare_u32(const void *one, const void *other);

#endif
