/*
 * Reading text: TextCursor reads files and query results forwards, never past their end; words as a
 * shell splits them; UTF-8.
 *
 * A function that takes something moves the cursor past it. If the text does not have the expected
 * form, the function takes nothing and leaves its results unchanged. Numbers have no sign.
 */
#ifndef BASE_TEXT_CURSOR_H
#define BASE_TEXT_CURSOR_H

#include "base/arena.h"
#include "base/utf8.h"

/* Points into the text that it was made from, and owns nothing. */
typedef struct TextCursor
{
    const char *position;
    const char *end;
} TextCursor;

TextCursor text_cursor(const char *string);
bool text_at_end(const TextCursor *text);

bool text_take(TextCursor *text, const char *literal);

/* The rest of the line without its newline, which is skipped. False at the end of the text. */
bool text_take_line(TextCursor *text, TextCursor *line);

/* Blanks as isspace of the C locale knows them. */
void text_skip_blanks(TextCursor *text);

/* All decimal digits that follow; false without a digit, or if the number is too large. */
bool text_take_u32(TextCursor *text, uint32_t *number);
bool text_take_u64(TextCursor *text, uint64_t *number);

/* At least one and at most digits_max (1 to 8) hexadecimal digits, of either case. */
bool text_take_hex(TextCursor *text, int digits_max, uint32_t *number);

/* The digits of numbers in names of WAL files, for strspn. */
#define UPPER_HEX_DIGITS "0123456789ABCDEF"

/*
 * Split a text into words, as a shell would; nothing is expanded. The list and the words are the
 * arena's. Blanks are space, tab and newline. In single quotes every character stands for itself,
 * in double quotes a backslash stands before one of \ " $ ` or a newline, elsewhere before any
 * character. A backslash and a newline are nothing. NULL: a quote is not closed, or a backslash
 * stands at the end; *wrong says which, as a noun.
 */
char **words_split(Arena *arena, const char *text, size_t *count, const char **wrong);

/* True if the word is one of a list that ends with a NULL. */
bool is_among(const char *word, const char *const *list);

/* True if the text, or all of it, is the suffix. */
bool text_ends_with(const char *text, const char *suffix);

/* True if all its bytes are ASCII: valid in each encoding of a server. */
bool text_is_ascii(const char *text);

#endif
