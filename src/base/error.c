#include "base/error.h"

#include "base/shown.h"

#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define CHARACTER_SIZE_MAX 4 /* bytes of UTF-8 */

/* Twice the stack that a rewind was seen to use. */
#define STACK_NEEDED (512 * 1024)
#define STACK_PAGE 4096 /* the smallest page size of a kernel */

static const char cut_mark[] = "...";

/* Exit status and hint of out_of_memory, which any thread may call. */
static int unfinished_status = EXIT_FAILURE;
static const char *unfinished_hint;
static atomic_bool is_unfinished;

/* Append formatted text. If the result is longer than ERROR_TEXT_SIZE allows, it is cut off before
 * a character and ends with cut_mark. */
static void PRINTF_LIKE(2, 0) append_arguments(char *text, const char *format, va_list arguments)
{
    const size_t size = ERROR_TEXT_SIZE - strlen(text);
    const int added = shown_vprintf(text + strlen(text), size, SHOWN_OWN_LINES, format, arguments);
    size_t end = ERROR_TEXT_SIZE - sizeof(cut_mark);

    if (added >= 0 && (size_t) added < size)
        return;
    /* Bytes 10xxxxxx continue a character of UTF-8. */
    for (int byte = 1; byte < CHARACTER_SIZE_MAX && (text[end] & 0xC0) == 0x80; byte++)
        end--;
    memcpy(text + end, cut_mark, sizeof(cut_mark));
}

static void PRINTF_LIKE(2, 3) append(char *text, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    append_arguments(text, format, arguments);
    va_end(arguments);
}

/* Set all members; reason is text that follows the message, or NULL. */
static void PRINTF_LIKE(4, 0)
    set(Error *error, ErrorKind kind, const char *reason, const char *format, va_list arguments)
{
    error->kind = kind;
    error->remedy = REMEDY_NONE;
    error->error_number = 0;
    error->message[0] = error->detail[0] = error->hint[0] = '\0';
    append_arguments(error->message, format, arguments);
    for (size_t length = strlen(error->message); length > 0 && error->message[length - 1] == '\n';
         length--)
        error->message[length - 1] = '\0';
    if (reason != NULL)
        append(error->message, ": %s", reason);
}

bool error_set(Error *error, ErrorKind kind, const char *format, ...)
{
    va_list arguments;

    if (error == NULL)
        return false;
    va_start(arguments, format);
    set(error, kind, NULL, format, arguments);
    va_end(arguments);
    return false;
}

bool error_set_errno(Error *error, const char *format, ...)
{
    const int number = errno;
    char reason[256];
    va_list arguments;

    if (error == NULL)
        return false;
    va_start(arguments, format);
    set(error, ERROR_FAILED, strerror_r(number, reason, sizeof(reason)), format, arguments);
    va_end(arguments);
    error->error_number = number;
    return false;
}

bool error_set_reported(Error *error, ErrorKind worst)
{
    error_set(error, ERROR_REPORTED, "%s", "");
    if (error != NULL)
        error->worst = worst;
    return false;
}

ErrorKind error_worst_kind(const Error *error)
{
    return error->kind == ERROR_REPORTED ? error->worst : error->kind;
}

bool error_copy(Error *error, const Error *from)
{
    if (error != NULL)
        *error = *from;
    return false;
}

/* Append a line to a text of zero or more lines joined by newlines. */
static void PRINTF_LIKE(2, 0) append_line(char *text, const char *format, va_list arguments)
{
    if (text[0] != '\0')
        append(text, "\n");
    append_arguments(text, format, arguments);
}

bool error_detail(Error *error, const char *format, ...)
{
    va_list arguments;

    if (error == NULL)
        return false;
    va_start(arguments, format);
    append_line(error->detail, format, arguments);
    va_end(arguments);
    return false;
}

bool error_hint(Error *error, const char *format, ...)
{
    va_list arguments;

    if (error == NULL)
        return false;
    va_start(arguments, format);
    append_line(error->hint, format, arguments);
    va_end(arguments);
    return false;
}

bool error_remedy(Error *error, Remedy remedy)
{
    if (error != NULL)
        error->remedy = remedy;
    return false;
}

const char *error_remedy_name(const Error *error)
{
    if (error->kind == ERROR_IMPOSSIBLE)
        return "base_backup";
    if (error->kind == ERROR_RETRY)
        return "retry";
    if (error->remedy == REMEDY_COMPARE)
        return "compare";
    return error->remedy == REMEDY_WAL ? "wal" : NULL;
}

/* Write to every page of a large array. Not inlined: otherwise the array would be part of the
 * caller's frame. */
static __attribute__((noinline)) void touch_stack(void)
{
    volatile char stack[STACK_NEEDED];

    for (size_t i = 0; i < sizeof(stack); i += STACK_PAGE)
        stack[i] = 0;
}

void memory_reserve_stack(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur / 2 >= STACK_NEEDED)
        touch_stack();
}

void memory_set_unfinished_end(int status, const char *hint)
{
    unfinished_status = status;
    unfinished_hint = hint;
}

void memory_set_unfinished(bool unfinished)
{
    atomic_store(&is_unfinished, unfinished);
}

/* Print one line without allocating memory. */
static void print_plainly(const char *label, const char *text)
{
    char line[512];
    const int length = snprintf(line, sizeof(line), "%.100s: %s: %.350s\n",
                                program_invocation_short_name, label, text);

    /* A failed write cannot be reported. */
    if (length > 0 && write(STDERR_FILENO, line, (size_t) length) < 0)
        return;
}

void out_of_memory(void)
{
    static atomic_bool is_ending;
    const bool unfinished = atomic_load(&is_unfinished);

    /* If another thread is reporting already, wait: it ends the process. */
    while (atomic_exchange(&is_ending, true))
        pause();
    print_plainly("error", "out of memory");
    if (unfinished && unfinished_hint != NULL)
        print_plainly("hint", unfinished_hint);
    /* Run no exit handlers: other threads still use their data. */
    _exit(unfinished ? unfinished_status : EXIT_FAILURE);
}

static void *checked(void *memory)
{
    if (memory == NULL)
        out_of_memory();
    return memory;
}

void *memory_allocate(size_t size)
{
    return checked(malloc(size > 0 ? size : 1));
}

void *memory_allocate_zeroed(size_t count, size_t size)
{
    return checked(calloc(count > 0 ? count : 1, size > 0 ? size : 1));
}

void *memory_allocate_aligned(size_t size)
{
    void *memory;

    return checked(posix_memalign(&memory, 4096, size > 0 ? size : 1) == 0 ? memory : NULL);
}

void *memory_resize(void *memory, size_t size)
{
    return checked(realloc(memory, size > 0 ? size : 1));
}
