/*
 * Text split into words as a shell would: blanks between words, quotes, backslashes. Nothing is
 * expanded, and no other character means anything.
 */
#ifndef BASE_WORDS_H
#define BASE_WORDS_H

#include "base/arena.h"
#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct Words
{
    char **words; /* the arena's */
    size_t count;
} Words;

/*
 * Blanks are space, tab and newline. In single quotes every character stands for itself, in double
 * quotes a backslash stands before one of \ " $ ` or a newline, elsewhere before any character. A
 * backslash and a newline are nothing. False: a quote is not closed, or a backslash stands at the
 * end; *wrong says which, as a noun.
 */
MUST_CHECK bool words_split(Arena *arena, const char *text, Words *words, const char **wrong);

#endif
