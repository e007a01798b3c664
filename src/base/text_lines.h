/*
 * Text for people: lines that are broken between words, and lists that end with "and 3 more".
 */
#ifndef BASE_TEXT_LINES_H
#define BASE_TEXT_LINES_H

#include "base/buffer.h"

/*
 * Append text and a newline. Each line of text that is longer than width is broken between words; a
 * word is never broken. Width 0 breaks no line. Every line but the first is indented by that many
 * blanks: the caller has written what stands in front of the first.
 */
void text_append_lines(Buffer *buffer, const char *text, int indent, size_t width);

/* A list that shows the first items and counts the rest. */
typedef struct TextList
{
    Buffer *buffer;
    const char *separator;
    size_t shown_max;
    size_t count; /* of items, also those that are not shown */
} TextList;

/* Begin an item: append the separator if it needs one. False: the item is only counted. */
bool text_list_next(TextList *list);
/* Append one item, printf-like, in one line for people; or only count it. */
void text_list_add(TextList *list, const char *format, ...) PRINTF_LIKE(2, 3);
/* Append "and 3 more" where 3 items were not shown. */
void text_list_end(const TextList *list);

#endif
