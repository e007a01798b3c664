#include "base/advice.h"

#include "base/array.h"
#include "base/shown.h"

#include <string.h>

void advice_add(AdviceList *list, Advice advice, const char *format, ...)
{
    AUTO_BUFFER Buffer text = {0};
    va_list arguments;

    va_start(arguments, format);
    buffer_vshown(&text, SHOWN_OWN_LINES, format, arguments);
    va_end(arguments);
    advice.text = arena_strdup(list->arena, buffer_string(&text));
    advice.remedy = advice.remedy != NULL && advice.remedy[0] != '\0'
                        ? arena_strdup(list->arena, advice.remedy)
                        : NULL;
    ARRAY_ADD_IN(list->arena, list->items, list->count, advice);
}

void advice_add_error(AdviceList *list, Advice advice, const Error *error)
{
    Error *copy = arena_allocate(list->arena, sizeof(*copy));

    *copy = *error;
    advice.error = copy;
    advice.remedy = error->hint;
    advice_add(list, advice, "%s%s%s", error->message, error->detail[0] != '\0' ? "\n" : "",
               error->detail);
}

void advice_add_all(AdviceList *list, const AdviceList *more)
{
    for (size_t i = 0; i < more->count; i++)
        ARRAY_ADD_IN(list->arena, list->items, list->count, more->items[i]);
}

bool advice_has(const AdviceList *list, const char *id)
{
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].id != NULL && strcmp(list->items[i].id, id) == 0)
            return true;
    return false;
}

/* Order of error kinds, worst last. A lost connection is least bad: it may be back while other
 * problems stay. */
static const int severities[] = {[ERROR_NONE] = 0,  [ERROR_RETRY] = 1,    [ERROR_FAILED] = 2,
                                 [ERROR_USAGE] = 2, [ERROR_REPORTED] = 2, [ERROR_IMPOSSIBLE] = 3};

void problems_add_finding(Problems *problems, const char *id, const Error *problem)
{
    const ErrorKind kind = error_worst_kind(problem);

    if (problems->list != NULL)
        advice_add_error(problems->list, (Advice){.id = id, .severity = ADVICE_PROBLEM}, problem);
    else if (problem->kind != ERROR_REPORTED)
        log_error(problem);
    problems->count++;
    if (severities[kind] > severities[problems->worst])
        problems->worst = kind;
}

void problems_add(Problems *problems, const Error *problem)
{
    problems_add_finding(problems, NULL, problem);
}

void problems_print(Problems *problems)
{
    const AdviceList *list = problems->list;

    problems->list = NULL;
    for (size_t i = 0; list != NULL && i < list->count; i++)
        if (list->items[i].error->kind != ERROR_REPORTED)
            log_error(list->items[i].error);
}

bool problems_check(const Problems *problems, Error *error)
{
    if (problems->count > 0)
        return error_set_reported(error, problems->worst);
    return true;
}

void advice_add_to_problems(const AdviceList *list, bool warns, Problems *problems)
{
    for (size_t i = 0; i < list->count; i++)
    {
        const Advice *advice = &list->items[i];
        const size_t first = strcspn(advice->text, "\n");
        Error error;

        error_set(&error, ERROR_FAILED, "%.*s", (int) first, advice->text);
        if (advice->text[first] != '\0')
            error_detail(&error, "%s", advice->text + first + 1);
        if (advice->remedy != NULL)
            error_hint(&error, "%s", advice->remedy);
        if (advice->severity == ADVICE_PROBLEM)
            problems_add(problems, &error);
        else if (advice->severity == ADVICE_WARNING && warns)
            log_as_warning(&error);
    }
}

void advice_append_step(const Advice *advice, Buffer *text)
{
    const char *remedy = advice->remedy, *line = advice->text;

    if (remedy == NULL)
    {
        buffer_append_string(text, advice->text);
        return;
    }
    if (advice->when == ADVICE_BEFORE_START)
        buffer_append_string(text, "Before the server starts: ");
    /* Join the lines to one line of sentences. */
    for (const char *end; *line != '\0'; line = *end == '\n' ? end + 1 : end)
    {
        end = line + strcspn(line, "\n");
        buffer_printf(text, "%.*s%s ", (int) (end - line), line, end[-1] == '.' ? "" : ".");
    }
    for (; *remedy != '\0'; remedy++)
        buffer_append_u8(text, *remedy == '\n' ? ' ' : (uint8_t) *remedy);
}
