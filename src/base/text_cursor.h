/*
 * Reading text: TextCursor reads files and query results forwards, never past their end;
 * words_split splits text into words like a shell.
 *
 * A function with "take" in its name moves the cursor past what it takes. If the text does not have
 * the expected form, the function takes nothing, returns false and leaves its results unchanged.
 * Numbers have no sign.
 */
#ifndef BASE_TEXT_CURSOR_H
#define BASE_TEXT_CURSOR_H

#include "base/arena.h"
#include "base/utf8.h"

/* A position in a text. The cursor points into the text it was made from, and owns nothing. */
typedef struct TextCursor
{
    const char *position;
    const char *end;
} TextCursor;

TextCursor text_cursor(const char *string);
bool text_at_end(const TextCursor *text);

bool text_take(TextCursor *text, const char *literal);

/* Take the rest of the line; *line is without the newline, which is skipped. False at the end of
 * the text. */
bool text_take_line(TextCursor *text, TextCursor *line);

/* Skip blanks, as isspace of the C locale knows them (newlines included). */
void text_skip_blanks(TextCursor *text);

/* Take all decimal digits that follow; false without a digit, or if the number is too large. */
bool text_take_u32(TextCursor *text, uint32_t *number);
bool text_take_u64(TextCursor *text, uint64_t *number);

/* The number with which a text begins; 0 if it begins with none, or with one above INT64_MAX, or if
 * the text is NULL. */
int64_t text_number(const char *text);

/* Take one to digits_max (1 to 8) hexadecimal digits, of either case. */
bool text_take_hex(TextCursor *text, int digits_max, uint32_t *number);

/* Digits of numbers in names of WAL files, for strspn. */
#define UPPER_HEX_DIGITS "0123456789ABCDEF"

/*
 * Split a text into words like a shell; nothing is expanded. The list of *count words, which no
 * NULL ends, and the words are in the arena. Blanks are space, tab and newline. In single quotes
 * every character stands for itself. In double quotes a backslash escapes one of \ " $ ` or a
 * newline, outside of quotes any character; an escaped newline is removed. NULL if a quote is not
 * closed, or a backslash is last; *wrong then names that (static).
 */
char **words_split(Arena *arena, const char *text, size_t *count, const char **wrong);

/* True if the word is in a list that ends with NULL. */
bool is_among(const char *word, const char *const *list);

/* The number of words in a list that ends with NULL; 0 if the list is NULL. */
size_t count_words(const char *const *list);

/* True if the text ends with the suffix, or is the suffix. */
bool text_ends_with(const char *text, const char *suffix);

/* True if the strings are equal; false if one is NULL. */
bool text_is_same(const char *one, const char *other);

/* True if all bytes of the text are ASCII, and so valid in every server encoding. */
bool text_is_ascii(const char *text);

#endif
