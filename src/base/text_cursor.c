#include "base/text_cursor.h"

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

/* Returns 16 if the byte is not a digit. */
static unsigned hex_digit_value(char byte)
{
    if (byte >= '0' && byte <= '9')
        return (unsigned) (byte - '0');
    if (byte >= 'A' && byte <= 'F')
        return (unsigned) (byte - 'A') + 10;
    if (byte >= 'a' && byte <= 'f')
        return (unsigned) (byte - 'a') + 10;
    return 16;
}

bool text_take_hex(TextCursor *text, int digits_max, uint32_t *number)
{
    const char *position = text->position;
    uint32_t value = 0;

    for (int i = 0; i < digits_max && position < text->end; i++, position++)
    {
        const unsigned digit = hex_digit_value(*position);

        if (digit == 16)
            break;
        value = value << 4 | digit;
    }
    if (position == text->position)
        return false;
    text->position = position;
    *number = value;
    return true;
}
