#include "base/text_cursor.h"

#include <ctype.h>
#include <string.h>

TextCursor text_cursor(const char *string)
{
    return (TextCursor){string, string + strlen(string)};
}

bool text_at_end(const TextCursor *text)
{
    return text->position == text->end;
}

bool text_take(TextCursor *text, const char *literal)
{
    const size_t length = strlen(literal);

    if (length > (size_t) (text->end - text->position) ||
        memcmp(text->position, literal, length) != 0)
        return false;
    text->position += length;
    return true;
}

bool text_take_line(TextCursor *text, TextCursor *line)
{
    const char *newline;

    if (text_at_end(text))
        return false;
    newline = memchr(text->position, '\n', (size_t) (text->end - text->position));
    *line = (TextCursor){text->position, newline != NULL ? newline : text->end};
    text->position = newline != NULL ? newline + 1 : text->end;
    return true;
}

void text_skip_blanks(TextCursor *text)
{
    while (!text_at_end(text) &&
           (*text->position == ' ' || (*text->position >= '\t' && *text->position <= '\r')))
        text->position++;
}

bool text_take_u64(TextCursor *text, uint64_t *number)
{
    const char *position = text->position;
    uint64_t value = 0;

    for (; position < text->end && *position >= '0' && *position <= '9'; position++)
    {
        const unsigned digit = (unsigned) (*position - '0');

        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    if (position == text->position)
        return false;
    text->position = position;
    *number = value;
    return true;
}

bool text_take_u32(TextCursor *text, uint32_t *number)
{
    TextCursor after = *text;
    uint64_t value;

    if (!text_take_u64(&after, &value) || value > UINT32_MAX)
        return false;
    *text = after;
    *number = (uint32_t) value;
    return true;
}

int64_t text_number(const char *text)
{
    TextCursor digits = text_cursor(text != NULL ? text : "");
    uint64_t number;

    return text_take_u64(&digits, &number) && number <= INT64_MAX ? (int64_t) number : 0;
}

bool text_take_hex(TextCursor *text, int digits_max, uint32_t *number)
{
    static const char digits[] = "0123456789abcdef";
    const char *position = text->position;
    uint32_t value = 0;

    for (int i = 0; i < digits_max && position < text->end; i++, position++)
    {
        const char *digit = memchr(digits, tolower((unsigned char) *position), 16);

        if (digit == NULL)
            break;
        value = value << 4 | (uint32_t) (digit - digits);
    }
    if (position == text->position)
        return false;
    text->position = position;
    *number = value;
    return true;
}

/* ---- words ---- */

#define BLANKS " \t\n"

/* Copy one word that begins at `at`, not a blank, to *out. Returns its end; NULL, with *wrong, if
 * the word is not complete. */
static const char *take_word(const char *at, char **out, const char **wrong)
{
    char quote = '\0';

    while (*at != '\0' && (quote != '\0' || strchr(BLANKS, *at) == NULL))
    {
        const char c = *at++;

        if (c == quote && quote != '\0')
            quote = '\0';
        else if (quote == '\0' && (c == '\'' || c == '"'))
            quote = c;
        else if (c != '\\' || quote == '\'')
            *(*out)++ = c;
        else if (*at != '\0')
        {
            /* In double quotes a backslash before most characters stands for itself. */
            if (quote == '"' && strchr("\\\"$`\n", *at) == NULL)
                *(*out)++ = '\\';
            if (*at != '\n')
                *(*out)++ = *at;
            at++;
        }
        else
        {
            *wrong = "a backslash at the end";
            return NULL;
        }
    }
    if (quote == '\0')
        return at;
    *wrong = "a quote that is not closed";
    return NULL;
}

char **words_split(Arena *arena, const char *text, size_t *count, const char **wrong)
{
    const size_t length = strlen(text);
    char *out = arena_allocate(arena, 2 * length + 1); /* room for each word and its NUL */
    char **words = arena_allocate(arena, (length / 2 + 1) * sizeof(*words));

    *count = 0;
    for (text += strspn(text, BLANKS); *text != '\0'; text += strspn(text, BLANKS))
    {
        words[(*count)++] = out;
        text = take_word(text, &out, wrong);
        if (text == NULL)
            return NULL;
        *out++ = '\0';
    }
    return words;
}

bool is_among(const char *word, const char *const *list)
{
    while (*list != NULL && strcmp(*list, word) != 0)
        list++;
    return *list != NULL;
}

size_t count_words(const char *const *list)
{
    size_t count = 0;

    while (list != NULL && list[count] != NULL)
        count++;
    return count;
}

bool text_ends_with(const char *text, const char *suffix)
{
    const size_t length = strlen(text), suffix_length = strlen(suffix);

    return length >= suffix_length && strcmp(text + length - suffix_length, suffix) == 0;
}

bool text_is_same(const char *one, const char *other)
{
    return one != NULL && other != NULL && strcmp(one, other) == 0;
}

bool text_is_ascii(const char *text)
{
    while (*text != '\0' && (uint8_t) *text < 0x80)
        text++;
    return *text == '\0';
}
