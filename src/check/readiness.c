#include "check/readiness.h"

#include "base/array.h"

#include "base/buffer.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

static void append_finding(Finding **list, size_t *count, Finding finding)
{
    ARRAY_GROW(*list, *count);
    (*list)[(*count)++] = finding;
}

static const char *copy_text(Arena *arena, const char *text)
{
    return text != NULL && text[0] != '\0' ? arena_strdup(arena, text) : NULL;
}

void readiness_add(Readiness *readiness, const char *name, FindingState state, const char *remedy,
                   const char *format, ...)
{
    AUTO_BUFFER Buffer text = {0};
    va_list arguments;

    va_start(arguments, format);
    buffer_vprintf(&text, format, arguments);
    va_end(arguments);
    append_finding(&readiness->findings, &readiness->finding_count,
                   (Finding){name, state, arena_strdup(readiness->arena, buffer_string(&text)),
                             copy_text(readiness->arena, remedy)});
}

void readiness_add_error(Readiness *readiness, const char *name, FindingState state,
                         const Error *error)
{
    const char *detail = error_detail_text(error);

    readiness_add(readiness, name, state, error_hint_text(error), "%s%s%s", error->message,
                  detail[0] != '\0' ? "\n" : "", detail);
}

void readiness_leave_out(Readiness *readiness, const char *name, const char *why)
{
    append_finding(&readiness->not_looked_at, &readiness->not_looked_at_count,
                   (Finding){name, FINDING_UNKNOWN, why, NULL});
}

void readiness_add_reason(Readiness *readiness, const Error *error)
{
    Verdict *verdict = &readiness->verdict;
    Arena *arena = readiness->arena;

    ARRAY_GROW(verdict->reasons, verdict->reason_count);
    verdict->reasons[verdict->reason_count++] = (VerdictReason){
        arena_strdup(arena, error->message), copy_text(arena, error_detail_text(error)),
        copy_text(arena, error_hint_text(error)), error_remedy_name(error)};
}

bool readiness_is_ready(const Readiness *readiness)
{
    for (size_t i = 0; i < readiness->finding_count; i++)
        if (readiness->findings[i].state == FINDING_PROBLEM)
            return false;
    return readiness->verdict.state != VERDICT_NOT_POSSIBLE;
}

void readiness_free(Readiness *readiness)
{
    free(readiness->findings);
    free(readiness->not_looked_at);
    free(readiness->verdict.reasons);
    arena_destroy(readiness->arena);
}
