/*
 * Cursor: a bounded reader over foreign bytes. Slice: borrowed bytes. Buffer: bytes that grow, for
 * output.
 */
#ifndef BASE_BUFFER_H
#define BASE_BUFFER_H

#include "base/error.h"
#include "base/shown.h"

#include <stdarg.h>

/*
 * A reader of little-endian numbers. An attempt to read past the end sets `failed`, for good: from
 * then on all numbers are zero. Read all fields, check `failed` once, then use the fields. The
 * cursor points into the bytes it was made from and owns nothing.
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
size_t cursor_left(const Cursor *cursor); /* bytes that are left; 0 once failed */

/* The next size bytes in place, which live as long as the cursor's bytes. If fewer are left, the
 * cursor fails and the result is NULL. */
const uint8_t *cursor_bytes(Cursor *cursor, size_t size);

/* Move the cursor to an offset from the start; it fails if the offset is after the end. */
void cursor_seek(Cursor *cursor, size_t offset);

/* Borrowed bytes. bytes is NULL for no value (as NULL in SQL), which differs from size 0. */
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
 * Return false for a value or row that cannot be decoded, with *reason set to a static clause:
 * `return untold(reason, "...")`. An undecodable value is no error of the run; callers count the
 * reasons.
 */
static inline bool untold(const char **reason, const char *why)
{
    *reason = why;
    return false;
}

/* Bytes that grow. Initialize with `Buffer buffer = {0}`, free with buffer_free, which leaves an
 * empty buffer. The process exits if memory is exhausted. */
typedef struct Buffer
{
    uint8_t *bytes;
    size_t size;
    size_t capacity;
} Buffer;

void buffer_free(Buffer *buffer);

/* Attribute of a local Buffer: its memory is freed at the end of the variable's scope. */
#define AUTO_BUFFER __attribute__((cleanup(buffer_free)))

void buffer_clear(Buffer *buffer); /* set size to 0; the memory stays allocated */
void buffer_reserve(Buffer *buffer, size_t capacity); /* at least this capacity in total */
void buffer_append(Buffer *buffer, const void *bytes, size_t size);
void buffer_append_u8(Buffer *buffer, uint8_t value);
void buffer_append_u16(Buffer *buffer, uint16_t value); /* numbers are little-endian */
void buffer_append_u32(Buffer *buffer, uint32_t value);
void buffer_append_u64(Buffer *buffer, uint64_t value);
void buffer_append_string(Buffer *buffer, const char *string); /* without the final NUL */
/* Append the bytes. Each byte that is in `special` gets an escape before it: the character
 * `escape`, or the byte itself (so it is doubled) if `escape` is NUL. */
void buffer_append_escaped(Buffer *buffer, const void *bytes, size_t size, const char *special,
                           char escape);
/* Append formatted text. */
void buffer_printf(Buffer *buffer, const char *format, ...) PRINTF_LIKE(2, 3);

/* Append formatted text for people: control characters are replaced (shown_vprintf). */
void buffer_shown(Buffer *buffer, ShownLines lines, const char *format, ...) PRINTF_LIKE(3, 4);
void buffer_vshown(Buffer *buffer, ShownLines lines, const char *format, va_list arguments)
    PRINTF_LIKE(3, 0);

/* Kinds of literals. LITERAL_ANY: a string literal of SQL that is valid with any
 * standard_conforming_strings; ASCII control characters and backslashes are escapes, E'\x1b'.
 * LITERAL_SETTING: the value of a setting in a configuration file; quotes and backslashes are
 * doubled, line breaks are escapes. */
typedef enum LiteralKind
{
    LITERAL_ANY,
    LITERAL_SETTING
} LiteralKind;

/*
 * Words, literals and names in text that a user pastes into a shell or psql. Every foreign string
 * in such a text must go through one of the following functions (tests/pasted_text).
 * buffer_append_word: a word of a shell, in quotes if necessary. buffer_append_literal: a literal,
 * always in quotes. buffer_append_name: an SQL identifier, always in quotes.
 */
void buffer_append_word(Buffer *buffer, const char *word);

/* A word of a command that is printed and never executed by us. Control characters are replaced
 * by "?", so the printed word can differ from `word`; as a glob pattern of the shell it still
 * matches. */
void buffer_append_shown_word(Buffer *buffer, const char *word);
void buffer_append_literal(Buffer *buffer, const char *string, LiteralKind kind);
void buffer_append_name(Buffer *buffer, const char *name);

/* An SQL identifier for a script that sets standard_conforming_strings: U&"\000a" if it has ASCII
 * control characters. Not for a string that is cast to regclass, which does not know U&. */
void buffer_append_shown_name(Buffer *buffer, const char *name);

/*
 * Append a call of a PostgreSQL function with a string argument, in SQL that a user pastes. `more`
 * is the text of the other arguments: "" or ", true". Function and type are qualified with
 * pg_catalog: otherwise a function or type of another schema in search_path might be called.
 */
void buffer_append_call(Buffer *buffer, const char *function, const char *string, const char *type,
                        const char *more);

/* Plural suffix: "" for a count of 1, otherwise "s". */
const char *plural(uint64_t count);

/* The content as a string: a NUL follows it, which size does not count. Valid until the buffer
 * changes. */
const char *buffer_string(Buffer *buffer);

/* Replace the buffer's content with the path DIRECTORY/NAME, and return it like buffer_string. If
 * one of the two is empty, the path is the other one. */
const char *path_in(Buffer *path, const char *directory, const char *name);

/* Replace the buffer's content with the directory of a path, and return it like buffer_string: "."
 * for a mere name, "/" for a path directly below the root directory. */
const char *path_parent(Buffer *parent, const char *path);

/* Store little-endian numbers, for patching. The caller checks that they fit. */
void store_u32(uint8_t *bytes, uint32_t value);
void store_u64(uint8_t *bytes, uint64_t value);

/* Load little-endian numbers from bytes of any alignment. (Compilers make one instruction of
 * each.) */
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
