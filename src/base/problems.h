/*
 * Collects problems: each is printed when it is found, and the run looks for more before it ends.
 */
#ifndef BASE_PROBLEMS_H
#define BASE_PROBLEMS_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

typedef struct Problems
{
    void (*take)(void *context, const Error *problem); /* NULL: it is printed */
    void *context;
    const char *topic; /* of the problem that is added now, for `take`; NULL: none */
    size_t count;
    ErrorKind worst; /* ERROR_IMPOSSIBLE, then ERROR_FAILED, then ERROR_RETRY; ERROR_NONE: none */
} Problems;

/* Print the problem, unless that was done, or hand it to `take`; count it. */
void problems_add(Problems *problems, const Error *problem);

/* False with an error of the worst kind if there are any; all were printed already. */
MUST_CHECK bool problems_check(const Problems *problems, Error *error);

#endif
