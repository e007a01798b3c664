#include "base/shown.h"

#include "base/utf8.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#define DIRECTIVE_SIZE 32 /* room for a directive such as "%-*.*llu" */
#define NUMBER_SIZE                                                                                \
    512 /* bytes of a printed number: a double has at most 309 digits before the point */

/* ---- Control characters ---- */

void shown_clean(char *text, ShownLines lines)
{
    unsigned char *bytes = (unsigned char *) text;

    while (*bytes != '\0')
    {
        const size_t length = utf8_length(bytes);
        /* Sentences, such as those of libpq, may have line breaks and tabs. */
        const bool is_layout = lines != SHOWN_ONE_LINE && (*bytes == '\n' || *bytes == '\t');

        if (*bytes == '\t' && lines == SHOWN_ONE_LINE)
            *bytes = ' ';
        else if (*bytes == 0x7F || (*bytes < 0x20 && !is_layout) ||
                 (length == 0 && *bytes >= 0x80 && *bytes <= 0x9F))
            *bytes = SHOWN_CONTROL;
        /* U+0080 to U+009F: each stands for ESC and a letter. */
        else if (length == 2 && bytes[0] == 0xC2 && bytes[1] <= 0x9F)
            bytes[0] = bytes[1] = SHOWN_CONTROL;
        bytes += length == 0 ? 1 : length;
    }
}

/* ---- Formats ---- */

/* The output of shown_vprintf. length counts text that does not fit, too. */
typedef struct Output
{
    char *out;   /* buffer for the text; NULL if the text is only counted */
    size_t size; /* size of `out` without the final NUL */
    size_t length;
} Output;

/* Write the bytes that fit, and a NUL after them. Returns the place of the first byte. */
static char *put(Output *output, const char *bytes, size_t length)
{
    const size_t at = output->length < output->size ? output->length : output->size;
    const size_t room = output->size - at;
    const size_t copied = length < room ? length : room;

    output->length += length;
    if (output->out == NULL)
        return NULL;
    memcpy(output->out + at, bytes, copied);
    output->out[at + copied] = '\0';
    return output->out + at;
}

static void pad(Output *output, size_t length, size_t width)
{
    for (; length < width; length++)
        put(output, " ", 1);
}

/* One directive of a format: its text, with numbers given by "*" filled in. */
typedef struct Directive
{
    char text[DIRECTIVE_SIZE];
    int width, precision; /* -1 if not given */
    bool left;
    char size[3]; /* h, hh, l, ll, z or j */
    char conversion;
} Directive;

static const char *parse_width(const char *format, int *number, va_list *arguments)
{
    if (*format == '*')
    {
        *number = va_arg(*arguments, int);
        return format + 1;
    }
    for (*number = 0; *format >= '0' && *format <= '9'; format++)
        *number = *number * 10 + (*format - '0');
    return format;
}

/* Parse a directive; `format` is the text after the percent sign. Returns the text after the
 * directive. */
static const char *parse_directive(const char *format, Directive *directive, va_list *arguments)
{
    const char *flags = format;
    size_t modifiers;
    int flag_count;

    *directive = (Directive){.width = -1, .precision = -1};
    format += strspn(format, "-+ #0");
    flag_count = (int) (format - flags);
    directive->left = memchr(flags, '-', (size_t) flag_count) != NULL;
    if (*format == '*' || (*format >= '0' && *format <= '9'))
        format = parse_width(format, &directive->width, arguments);
    if (*format == '.')
        format = parse_width(format + 1, &directive->precision, arguments);
    modifiers = strspn(format, "hlzj");
    if (modifiers < sizeof(directive->size))
        memcpy(directive->size, format, modifiers);
    format += modifiers;
    directive->conversion = *format;
    snprintf(directive->text, sizeof(directive->text), "%%%.*s*.*%s%c", flag_count, flags,
             directive->size, directive->conversion);
    return *format == '\0' ? format : format + 1;
}

/* Print one number; printf ignores a negative precision. */
#define PRINT(type)                                                                                \
    snprintf(number, sizeof(number), directive->text, width, directive->precision,                 \
             va_arg(*arguments, type))

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
static void put_number(Output *output, const Directive *directive, va_list *arguments)
{
    const int width = directive->width < 0 ? 0 : directive->width;
    char number[NUMBER_SIZE];
    int length;

    if (strchr("eEfFgGaA", directive->conversion) != NULL)
        length = PRINT(double);
    else if (directive->conversion == 'p')
        length = PRINT(void *);
    else if (strcmp(directive->size, "ll") == 0)
        length = PRINT(long long);
    else if (directive->size[0] == 'l')
        length = PRINT(long);
    else if (directive->size[0] == 'z')
        length = PRINT(ssize_t);
    else if (directive->size[0] == 'j')
        length = PRINT(intmax_t);
    else
        length = PRINT(int);
    if (length > 0)
        put(output, number,
            (size_t) length < sizeof(number) ? (size_t) length : sizeof(number) - 1);
}
#pragma GCC diagnostic pop

static void put_string(Output *output, const Directive *directive, ShownLines lines,
                       const char *string)
{
    const size_t width = directive->width < 0 ? 0 : (size_t) directive->width;
    size_t length;
    char *put_here;

    if (string == NULL)
        string = "(null)";
    length =
        directive->precision < 0 ? strlen(string) : strnlen(string, (size_t) directive->precision);
    if (!directive->left)
        pad(output, length, width);
    put_here = put(output, string, length);
    if (put_here != NULL)
        shown_clean(put_here, lines);
    if (directive->left)
        pad(output, length, width);
}

int shown_vprintf(char *out, size_t size, ShownLines lines, const char *format, va_list arguments)
{
    Output output = {size > 0 ? out : NULL, size > 0 ? size - 1 : 0, 0};
    va_list taken;
    char before = '\0';

    va_copy(taken, arguments);
    if (size > 0)
        out[0] = '\0';
    while (*format != '\0')
    {
        const size_t plain = strcspn(format, "%");
        Directive directive;

        put(&output, format, plain);
        before = plain > 0 ? format[plain - 1] : before;
        format += plain;
        if (*format == '\0')
            break;
        format = parse_directive(format + 1, &directive, &taken);
        if (directive.conversion == '%')
            put(&output, "%", 1);
        else if (directive.conversion == 's')
            put_string(&output, &directive,
                       before == '"' && *format == '"' ? SHOWN_ONE_LINE : lines,
                       va_arg(taken, const char *));
        else
            put_number(&output, &directive, &taken);
        before = '\0';
    }
    va_end(taken);
    return (int) output.length;
}
