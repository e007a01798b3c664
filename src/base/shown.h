/*
 * Text for people: messages, reports, --check, progress, comments of scripts. Control characters in
 * foreign names and values are dangerous: ESC moves a terminal's cursor or names its window, CR and
 * BS overwrite earlier text, and after a line break a name can pretend to be a line of ours. So
 * text for people has no control characters except our own line breaks. (JSON has escapes instead.)
 */
#ifndef BASE_SHOWN_H
#define BASE_SHOWN_H

#include <stdarg.h>
#include <stddef.h>

/* The character shown in place of a control character; a tab in a name becomes a blank instead. */
#define SHOWN_CONTROL '?'

typedef enum ShownLines
{
    SHOWN_ONE_LINE,  /* line breaks in strings are replaced too */
    SHOWN_OWN_LINES, /* line breaks are replaced only in strings between double quotes in the format
                        (`\"%s\"`), which are names; other strings are sentences, whose line breaks
                        and tabs stay */
} ShownLines;

/* Replace control characters in place: those of ASCII and Unicode, and bytes 0x80 to 0x9f that are
 * not part of a UTF-8 character (controls of Latin-1). */
void shown_clean(char *text, ShownLines lines);

/*
 * Like vsnprintf, but each %s argument is cleaned by shown_clean, as a name if it stands between
 * double quotes in the format. Returns the whole length, like vsnprintf.
 */
int shown_vprintf(char *out, size_t size, ShownLines lines, const char *format, va_list arguments)
    __attribute__((format(printf, 4, 0)));

#endif
