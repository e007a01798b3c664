/*
 * Memory with one owner and one lifetime: nothing in an arena is freed alone. Functions that
 * allocate never return NULL; the process exits if memory is exhausted. Only one thread at a time
 * may use an arena.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include "base/error.h"

typedef struct Arena Arena;

Arena *arena_create(void);

/* Free the arena and everything in it. NULL is allowed. */
void arena_destroy(Arena *arena);

/* Attribute of a local `Arena *`: the arena is destroyed at the end of the variable's scope. */
#define AUTO_ARENA __attribute__((cleanup(arena_destroy_local)))
void arena_destroy_local(Arena **arena);

/* Zeroed memory, aligned for any type. */
void *arena_allocate(Arena *arena, size_t size);

/* A copy of bytes, aligned for any type. bytes NULL is allowed for a size of 0. */
void *arena_copy(Arena *arena, const void *bytes, size_t size);

/* Copies of strings, or a formatted string: not aligned, stored one directly after the other. */
char *arena_strdup(Arena *arena, const char *string);
char *arena_strndup(Arena *arena, const char *string, size_t length);
char *arena_printf(Arena *arena, const char *format, ...) PRINTF_LIKE(2, 3);

#endif
