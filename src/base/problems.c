#include "base/problems.h"

#include "base/log.h"

/* A lost connection is the least: it may be there again when all else is still wrong. */
static int severity_of(ErrorKind kind)
{
    switch (kind)
    {
    case ERROR_NONE:
        return 0;
    case ERROR_RETRY:
        return 1;
    case ERROR_FAILED:
    case ERROR_USAGE:
    case ERROR_REPORTED:
        return 2;
    case ERROR_IMPOSSIBLE:
        return 3;
    }
    return 2;
}

void problems_add(Problems *problems, const Error *problem)
{
    const ErrorKind kind = error_worst_kind(problem);

    if (problems->take != NULL)
        problems->take(problems->context, problem);
    else if (problem->kind != ERROR_REPORTED)
        log_error(problem);
    problems->count++;
    if (severity_of(kind) > severity_of(problems->worst))
        problems->worst = kind;
}

bool problems_check(const Problems *problems, Error *error)
{
    if (problems->count > 0)
        return error_set_reported(error, problems->worst);
    return true;
}
