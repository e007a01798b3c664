#include "base/arena.h"

#include <stdarg.h>
#include <stdalign.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The address sanitizer sees an access past the end of a piece only if each piece is a block. */
#ifdef ARENA_PIECES_APART
#define BLOCK_SIZE_FIRST 1
#define BLOCK_SIZE_MAX 1
#else
#define BLOCK_SIZE_FIRST 4096
#define BLOCK_SIZE_MAX (1024 * 1024)
#endif

/*
 * A block of memory, filled from both ends: aligned memory from the front, strings from the back,
 * so that strings between structs need no padding.
 */
typedef struct Block
{
    struct Block *next;
    size_t front; /* offset of the first free byte, <= back */
    size_t back;  /* offset after the last free byte, <= size */
    size_t size;  /* size of bytes */
    alignas(max_align_t) uint8_t bytes[];
} Block;

struct Arena
{
    Block *first; /* block that is being filled, then the full ones; NULL at first */
    size_t next_block_size;
};

Arena *arena_create(void)
{
    Arena *arena = memory_allocate_zeroed(1, sizeof(Arena));

    arena->next_block_size = BLOCK_SIZE_FIRST;
    return arena;
}

void arena_destroy(Arena *arena)
{
    if (arena == NULL)
        return;
    while (arena->first != NULL)
    {
        Block *block = arena->first;

        arena->first = block->next;
        free(block);
    }
    free(arena);
}

static Block *block_create(size_t size)
{
    Block *block;

    if (size > SIZE_MAX - sizeof(Block))
        out_of_memory();
    block = memory_allocate(sizeof(Block) + size);
    block->next = NULL;
    block->front = 0;
    block->back = size;
    block->size = size;
    return block;
}

/* Return a block with at least size free bytes. */
static Block *block_with_room(Arena *arena, size_t size)
{
    Block *block = arena->first;

    if (block != NULL && size <= block->back - block->front)
        return block;

    /* A large piece gets its own block, second in the list: the first block still has room. */
    if (block != NULL && size > arena->next_block_size / 4)
    {
        Block *own = block_create(size);

        own->next = block->next;
        block->next = own;
        return own;
    }

    block = block_create(size > arena->next_block_size ? size : arena->next_block_size);
    block->next = arena->first;
    arena->first = block;
    if (arena->next_block_size < BLOCK_SIZE_MAX)
        arena->next_block_size *= 2;
    return block;
}

void arena_destroy_local(Arena **arena)
{
    arena_destroy(*arena);
}

void *arena_allocate(Arena *arena, size_t size)
{
    const size_t alignment = alignof(max_align_t);
    Block *block;
    void *memory;

    if (size > SIZE_MAX - alignment)
        out_of_memory();
    size = (size + alignment - 1) / alignment * alignment; /* keeps front aligned */
    if (size == 0)
        size = alignment;
    block = block_with_room(arena, size);
    memory = block->bytes + block->front;
    block->front += size;
    memset(memory, 0, size);
    return memory;
}

/* Allocate room for a string of size bytes, NUL included. */
static char *allocate_string(Arena *arena, size_t size)
{
    Block *block = block_with_room(arena, size);

    block->back -= size;
    return (char *) block->bytes + block->back;
}

char *arena_strndup(Arena *arena, const char *string, size_t length)
{
    char *copy;

    length = strnlen(string, length);
    copy = allocate_string(arena, length + 1);
    memcpy(copy, string, length);
    copy[length] = '\0';
    return copy;
}

void *arena_copy(Arena *arena, const void *bytes, size_t size)
{
    void *copy = arena_allocate(arena, size);

    return size > 0 ? memcpy(copy, bytes, size) : copy;
}

char *arena_strdup(Arena *arena, const char *string)
{
    return arena_strndup(arena, string, strlen(string));
}

char *arena_printf(Arena *arena, const char *format, ...)
{
    va_list arguments;
    char *string;
    int length;

    va_start(arguments, format);
    length = vsnprintf(NULL, 0, format, arguments);
    va_end(arguments);
    if (length < 0)
        out_of_memory();

    string = allocate_string(arena, (size_t) length + 1);
    va_start(arguments, format);
    vsnprintf(string, (size_t) length + 1, format, arguments);
    va_end(arguments);
    return string;
}
