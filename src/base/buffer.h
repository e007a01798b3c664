/*
 * Cursor: a bounded reader over foreign bytes. Slice: a piece of these. Buffer: growing bytes for
 * output.
 */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include "base/error.h"
#include "base/shown.h"

#include <stdarg.h>

/*
 * Reads little-endian numbers. Once it would have to read past the end it has failed: it gives
 * zeros and stays failed. Read all fields, look at failed once, then use them. Points into the
 * bytes it was made from and owns nothing.
 */
typedef struct Cursor
{
    const uint8_t *bytes;
    size_t size;
    size_t position; /* <= size */
    bool failed;
} Cursor;

Cursor cursor_over(const void *bytes, size_t size);

uint8_t cursor_u8(Cursor *cursor);
uint16_t cursor_u16(Cursor *cursor);
uint32_t cursor_u32(Cursor *cursor);
uint64_t cursor_u64(Cursor *cursor);
void cursor_skip(Cursor *cursor, size_t size);
size_t cursor_left(const Cursor *cursor);

/* The next size bytes, or NULL (and failed) if there are fewer. They live as long as the cursor's.
 */
const uint8_t *cursor_bytes(Cursor *cursor, size_t size);

/* Put the cursor at an offset from the start; the cursor has failed if that is after the end. */
void cursor_seek(Cursor *cursor, size_t offset);

/* Bytes that something else owns. bytes NULL: no value, which is not the same as
 * size 0. */
typedef struct Slice
{
    const uint8_t *bytes;
    size_t size;
} Slice;

static inline Cursor slice_cursor(Slice slice)
{
    return cursor_over(slice.bytes, slice.size);
}

/*
 * A value or row that cannot be decoded is no error of the run. The function returns false, and
 * *reason is a static clause that says why, so that callers can count the reasons.
 */
static inline bool untold(const char **reason, const char *why)
{
    *reason = why;
    return false;
}

/* Growing bytes. Zero-initialise it (`Buffer buffer = {0}`); release with buffer_free. */
typedef struct Buffer
{
    uint8_t *bytes;
    size_t size;
    size_t capacity;
} Buffer;

void buffer_free(Buffer *buffer);

/* In front of a local variable: its memory is freed where its block ends, however it ends. */
#define AUTO_BUFFER __attribute__((cleanup(buffer_free)))

void buffer_clear(Buffer *buffer); /* size 0, memory kept */
void buffer_reserve(Buffer *buffer, size_t capacity);
void buffer_append(Buffer *buffer, const void *bytes, size_t size);
void buffer_append_u8(Buffer *buffer, uint8_t value);
void buffer_append_u16(Buffer *buffer, uint16_t value); /* numbers are little-endian */
void buffer_append_u32(Buffer *buffer, uint32_t value);
void buffer_append_u64(Buffer *buffer, uint64_t value);
void buffer_append_string(Buffer *buffer, const char *string); /* without the final NUL */
/* In front of each byte that is among the special ones stands escape, or, if that is NUL, the byte
 * itself. */
void buffer_append_escaped(Buffer *buffer, const void *bytes, size_t size, const char *special,
                           char escape);
void buffer_printf(Buffer *buffer, const char *format, ...) PRINTF_LIKE(2, 3);
void buffer_vprintf(Buffer *buffer, const char *format, va_list arguments) PRINTF_LIKE(2, 0);

/* The same for text for people: shown_vprintf. */
void buffer_shown(Buffer *buffer, ShownLines lines, const char *format, ...) PRINTF_LIKE(3, 4);
void buffer_vshown(Buffer *buffer, ShownLines lines, const char *format, va_list arguments)
    PRINTF_LIKE(3, 0);

/* A string literal of SQL, for a session with any settings, as quote_literal makes it; a control
 * character of ASCII is an escape: E'\x1b'. A setting's value in a configuration file. */
typedef enum LiteralKind
{
    LITERAL_ANY,
    LITERAL_SETTING
} LiteralKind;

/*
 * Text that a person pastes: all that is not ours in it goes through one of these
 * (tests/pasted_text). A word of a shell, in quotes where it needs them; a string literal of SQL,
 * and a name, always in quotes.
 */
void buffer_append_word(Buffer *buffer, const char *word);

/* A word of a command that is only shown, never executed: without control characters, as all text
 * for people (base/shown.h). One with some no longer is that word; a pattern still fits it. */
void buffer_append_shown_word(Buffer *buffer, const char *word);
void buffer_append_literal(Buffer *buffer, const char *string, LiteralKind kind);
void buffer_append_name(Buffer *buffer, const char *name);

/* A name in a statement of a script that sets standard_conforming_strings: as U&"\000a" where it
 * has control characters of ASCII. (Not in a literal that becomes a regclass, which knows no U&.)
 */
void buffer_append_shown_name(Buffer *buffer, const char *name);

/*
 * A call of a function of PostgreSQL's in SQL that a person pastes, with a string, and with `more`,
 * which is "" or ", true". The names have their schema and the string its type: else a function or
 * a type that somebody has made in a schema of search_path might be taken.
 */
void buffer_append_call(Buffer *buffer, const char *function, const char *string, const char *type,
                        const char *more);

/* Plural suffix: "s", "" for one. */
const char *plural(uint64_t count);

/* The content as a string: a NUL follows it, which size does not count. Valid until the next
 * change. */
const char *buffer_string(Buffer *buffer);

/* Set the buffer to the path of a file in a directory, and return it like buffer_string. If the
 * directory or the name is empty, the path is the other one. */
const char *path_in(Buffer *path, const char *directory, const char *name);

/* Set the buffer to the directory that a path is in, "." for a mere name, and return it like
 * buffer_string. */
const char *path_parent(Buffer *parent, const char *path);

/* Little-endian numbers in place, for patching. The caller checks that they fit. */
void store_u32(uint8_t *bytes, uint32_t value);
void store_u64(uint8_t *bytes, uint64_t value);

/* The compiler makes one instruction of each load. */
static inline uint16_t load_u16(const uint8_t *bytes)
{
    return (uint16_t) (bytes[0] | bytes[1] << 8);
}

static inline uint32_t load_u32(const uint8_t *bytes)
{
    return (uint32_t) bytes[0] | (uint32_t) bytes[1] << 8 | (uint32_t) bytes[2] << 16 |
           (uint32_t) bytes[3] << 24;
}

static inline uint64_t load_u64(const uint8_t *bytes)
{
    return (uint64_t) load_u32(bytes + 4) << 32 | load_u32(bytes);
}

#endif
