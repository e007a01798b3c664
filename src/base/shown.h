/*
 * Text for people: messages, reports, --check, progress, comments of scripts. Names and values in
 * it can have any bytes. ESC moves a terminal's cursor or names its window, CR and BS write over
 * what was there, and a line break in a name makes what follows look like a line of ours. So such
 * text has no control characters but the line breaks that are our own. JSON has escapes instead.
 */
#ifndef BASE_SHOWN_H
#define BASE_SHOWN_H

#include <stdarg.h>
#include <stddef.h>

/* The character shown in place of a control character; a tab in a name becomes a blank instead. */
#define SHOWN_CONTROL '?'

typedef enum ShownLines
{
    SHOWN_ONE_LINE,  /* a line break is a control character, too */
    SHOWN_OWN_LINES, /* a line break is a control character in a name (`\"%s\"`) alone: other
                        strings are sentences, which may have line breaks and tabs */
} ShownLines;

/* Replace the control characters of ASCII and of Unicode, and bytes like those of Latin-1, in
 * place.
 */
void shown_clean(char *text, ShownLines lines);

/*
 * As vsnprintf, for messages; each string that is put in is cleaned. Between double quotes in the
 * format it is a name, so a line break in it is not ours. As vsnprintf it returns the whole length.
 */
int shown_vprintf(char *out, size_t size, ShownLines lines, const char *format, va_list arguments)
    __attribute__((format(printf, 4, 0)));

#endif
