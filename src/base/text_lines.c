#include "base/text_lines.h"

#include <string.h>

/* The number of bytes, of a line of `whole` bytes, that fit into the width: whole words, at least
 * one. */
static size_t fitting_length(const char *line, size_t whole, size_t width)
{
    size_t length = strcspn(line, " \n");

    while (length < whole)
    {
        const size_t next = length + 1 + strcspn(line + length + 1, " \n");

        if (next > width && length > 0)
            break;
        length = next;
    }
    return length;
}

void text_append_lines(Buffer *buffer, const char *text, int indent, size_t width)
{
    do
    {
        const size_t whole = strcspn(text, "\n");
        const size_t length = width == 0 ? whole : fitting_length(text, whole, width);

        buffer_append(buffer, text, length);
        buffer_append_u8(buffer, '\n');
        text += length;
        text += *text != '\0';
        if (*text != '\0')
            buffer_printf(buffer, "%*s", indent, "");
    } while (*text != '\0');
}

bool text_list_next(TextList *list)
{
    if (list->count++ >= list->shown_max)
        return false;
    if (list->count > 1)
        buffer_append_string(list->buffer, list->separator);
    return true;
}

void text_list_add(TextList *list, const char *format, ...)
{
    va_list arguments;

    if (!text_list_next(list))
        return;
    va_start(arguments, format);
    buffer_vshown(list->buffer, SHOWN_ONE_LINE, format, arguments);
    va_end(arguments);
}

void text_list_end(const TextList *list)
{
    if (list->count > list->shown_max)
        buffer_printf(list->buffer, "%sand %zu more", list->separator,
                      list->count - list->shown_max);
}
