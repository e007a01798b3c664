/*
 * Arrays that grow, and search in sorted arrays.
 */
#ifndef BASE_ARRAY_H
#define BASE_ARRAY_H

#include "base/arena.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * Make room for one more item in an array of `count` items, which is NULL at first and is freed
 * with free. No capacity is stored: the array has room for 2^n - 1 items, and is reallocated only
 * when count is such a number. The process exits if memory is exhausted.
 *
 *     ARRAY_GROW(list->items, list->count);
 *     list->items[list->count++] = item;
 *
 * ARRAY_ADD does both. ARRAY_INSERT inserts the item at an index: array_make_gap moves the later
 * items up. Arguments are evaluated several times.
 */
#define ARRAY_ADD(items, count, ...) (ARRAY_GROW(items, count), (items)[(count)++] = __VA_ARGS__)
#define ARRAY_GROW(items, count) ((items) = array_grow((items), (count), sizeof(*(items))))
#define ARRAY_INSERT(items, count, index, ...)                                                     \
    (ARRAY_GROW(items, count), array_make_gap(items, (count)++, index, sizeof(*(items))),          \
     (items)[index] = __VA_ARGS__)
void *array_grow(void *items, size_t count, size_t item_size);
void array_make_gap(void *items, size_t count, size_t index, size_t item_size);

/* Like ARRAY_ADD, for an array in the arena. Former copies stay in the arena until it is
 * destroyed. */
#define ARRAY_ADD_IN(arena, items, count, ...)                                                     \
    ((items) = array_grow_in(arena, items, count, sizeof(*(items))),                               \
     (items)[(count)++] = __VA_ARGS__)
void *array_grow_in(Arena *arena, void *items, size_t count, size_t item_size);

/* Comparison as for bsearch: negative, 0 or positive if the key is before, equal to or after the
 * item. */
typedef int (*ArrayCompare)(const void *key, const void *item);

/*
 * The index of the first item in a sorted array that is not before the key, or count if all are
 * before it. *found (may be NULL) says whether that item is equal to the key; otherwise the index
 * is where the key would be inserted.
 */
#define ARRAY_LOWER_BOUND(key, items, count, compare)                                              \
    array_search(key, items, count, sizeof(*(items)), compare, NULL)
size_t array_search(const void *key, const void *items, size_t count, size_t item_size,
                    ArrayCompare compare, bool *found);

/* Like bsearch and qsort, but items may be NULL if count is 0. ARRAY_FIND is NULL if no item is
 * equal. */
#define ARRAY_FIND(key, items, count, compare)                                                     \
    array_find(key, items, count, sizeof(*(items)), compare)
#define ARRAY_SORT(items, count, compare) array_sort(items, count, sizeof(*(items)), compare)
void *array_find(const void *key, const void *items, size_t count, size_t item_size,
                 ArrayCompare compare);
void array_sort(void *items, size_t count, size_t item_size, ArrayCompare compare);

/* ArrayCompare functions, which are suitable for qsort too. Key and item are pointers to a value,
 * or to a struct that begins with one: a `const char *`, a number, or two numbers, of which the
 * first one counts first. */
int compare_strings(const void *one, const void *other);
int compare_u32(const void *one, const void *other);
int compare_u32_pairs(const void *one, const void *other);
int compare_u64(const void *one, const void *other);

#endif
