/*
 * Text for people: lines that are broken between words, and lists that end with "and 3 more".
 */
#ifndef BASE_TEXT_LINES_H
#define BASE_TEXT_LINES_H

#include "base/buffer.h"

/*
 * Append text and a newline. A line of text of more than `width` bytes is broken between words,
 * never inside a word; width 0 breaks no line. Every output line but the first is indented by
 * `indent` blanks, which width does not count; the caller has written what precedes the first line.
 */
void text_append_lines(Buffer *buffer, const char *text, int indent, size_t width);

/* A list that shows the first shown_max items and counts the rest. Initialize all members, count
 * with 0. */
typedef struct TextList
{
    Buffer *buffer;
    const char *separator;
    size_t shown_max;
    size_t count; /* number of items so far, including those not shown */
} TextList;

/* Begin an item: append the separator except before the first. Returns false if the item is only
 * counted: then append nothing. */
bool text_list_next(TextList *list);
/* Append one formatted item on one line (SHOWN_ONE_LINE), or only count it. */
void text_list_add(TextList *list, const char *format, ...) PRINTF_LIKE(2, 3);
/* End the list: append the separator and "and 3 more" if 3 items were not shown. */
void text_list_end(const TextList *list);

#endif
