#include "base/error.h"

#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool error_set(Error *error, ErrorKind kind, const char *format, ...)
{
    va_list arguments;

    error->kind = kind;
    error->error_number = 0;
    error->detail[0] = '\0';
    error->hint[0] = '\0';
    va_start(arguments, format);
    vsnprintf(error->message, sizeof(error->message), format, arguments);
    va_end(arguments);
    return false;
}

bool error_set_errno(Error *error, ErrorKind kind, const char *format, ...)
{
    int number = errno;
    char reason[256];
    va_list arguments;
    size_t length;

    error->kind = kind;
    error->error_number = number;
    error->detail[0] = '\0';
    error->hint[0] = '\0';
    va_start(arguments, format);
    vsnprintf(error->message, sizeof(error->message), format, arguments);
    va_end(arguments);
    length = strlen(error->message);
    snprintf(error->message + length, sizeof(error->message) - length, ": %s",
             strerror_r(number, reason, sizeof(reason)));
    return false;
}

/* Append a line to text, which holds zero or more lines joined by newlines. */
static void PRINTF_LIKE(3, 0)
    append_line(char *text, size_t size, const char *format, va_list arguments)
{
    size_t length = strlen(text);

    if (length > 0 && length + 1 < size)
    {
        text[length] = '\n';
        length++;
        text[length] = '\0';
    }
    vsnprintf(text + length, size - length, format, arguments);
}

bool error_detail(Error *error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    append_line(error->detail, sizeof(error->detail), format, arguments);
    va_end(arguments);
    return false;
}

bool error_hint(Error *error, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    append_line(error->hint, sizeof(error->hint), format, arguments);
    va_end(arguments);
    return false;
}

void out_of_memory(void)
{
    char line[256];
    int length = snprintf(line, sizeof(line), "%.200s: error: out of memory\n", log_program_name());

    /* Nothing that allocates, and no exit handlers: other threads are still at work. */
    if (length > 0 && write(STDERR_FILENO, line, (size_t) length) < 0)
        _exit(1);
    _exit(1);
}

void *memory_allocate(size_t size)
{
    void *memory = malloc(size > 0 ? size : 1);

    if (memory == NULL)
        out_of_memory();
    return memory;
}

void *memory_allocate_zeroed(size_t count, size_t size)
{
    void *memory = calloc(count > 0 ? count : 1, size > 0 ? size : 1);

    if (memory == NULL)
        out_of_memory();
    return memory;
}

void *memory_resize(void *memory, size_t size)
{
    void *resized = realloc(memory, size > 0 ? size : 1);

    if (resized == NULL)
        out_of_memory();
    return resized;
}
