#include "lost/slice.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t take_integer(Cursor *cursor)
{
    switch (cursor_left(cursor))
    {
    case sizeof(uint16_t):
        return cursor_u16(cursor);
    case sizeof(uint32_t):
        return cursor_u32(cursor);
    default:
        return cursor_u64(cursor);
    }
}

static bool unsigned_text(Slice value, Buffer *text)
{
    Cursor cursor = slice_cursor(value);

    buffer_printf(text, "%llu", (unsigned long long) take_integer(&cursor));
    return !cursor.failed;
}

static bool integer_text(Slice value, Buffer *text)
{
    Cursor cursor = slice_cursor(value);
    const uint64_t number = take_integer(&cursor);
    const uint64_t sign = 1ULL << (value.size * 8 - 1) % 64;

    buffer_printf(text, "%lld", (long long) ((number ^ sign) - sign));
    return !cursor.failed;
}

/* ---- Floating-point numbers (d2s.c, f2s.c) ---- */

#define DIGITS_MAX 64

/* digits[0].digits[1]digits[2]... times ten to the power of exponent */
typedef struct Decimal
{
    char digits[DIGITS_MAX];
    int exponent;
} Decimal;

/* The nearest decimal number with that number of digits. */
static Decimal decimal_nearest(long double number, int digits)
{
    Decimal decimal = {0};
    char text[DIGITS_MAX + 16];

    snprintf(text, sizeof(text), "%.*Le", digits - 1, number);
    decimal.digits[0] = text[0];
    memcpy(decimal.digits + 1, text + 2, (size_t) digits - 1);
    decimal.exponent = (int) strtol(strchr(text, 'e') + 1, NULL, 10);
    return decimal;
}

/* The next decimal number with the same number of digits. */
static Decimal decimal_next(Decimal decimal)
{
    size_t last = strlen(decimal.digits);

    while (last > 0 && decimal.digits[last - 1] == '9')
        decimal.digits[--last] = '0';
    if (last > 0)
        decimal.digits[last - 1]++;
    else
    {
        decimal.digits[0] = '1';
        decimal.exponent++;
    }
    return decimal;
}

static bool decimal_equals(const Decimal *decimal, long double number)
{
    const Decimal exact = decimal_nearest(number, DIGITS_MAX - 1);
    const size_t length = strlen(decimal->digits);

    return exact.exponent == decimal->exponent &&
           memcmp(exact.digits, decimal->digits, length) == 0 &&
           strspn(exact.digits + length, "0") == strlen(exact.digits + length);
}

/* The number before or after one that is not negative; its bits count on. */
static double number_beside(double number, bool single, int step)
{
    float small = (float) number;
    uint32_t small_bits;
    uint64_t bits;

    memcpy(&small_bits, &small, sizeof(small));
    memcpy(&bits, &number, sizeof(number));
    small_bits += (uint32_t) step;
    bits += (uint64_t) step;
    memcpy(&small, &small_bits, sizeof(small));
    memcpy(&number, &bits, sizeof(number));
    return single ? (double) small : number;
}

/*
 * Reading the decimal number gives this one. If it lies in the middle between this and the next
 * one, which way it is rounded decides, and the server does not rely on that.
 */
static bool decimal_stands_for(const Decimal *decimal, double number, bool single)
{
    const long double middles[2] = {((long double) number + number_beside(number, single, -1)) / 2,
                                    ((long double) number + number_beside(number, single, 1)) / 2};
    char text[DIGITS_MAX + 16];
    long double precise;

    snprintf(text, sizeof(text), "%c.%se%d", decimal->digits[0], decimal->digits + 1,
             decimal->exponent);
    if ((single ? strtof(text, NULL) : strtod(text, NULL)) != number)
        return false;
    precise = strtold(text, NULL);
    for (int i = 0; i < 2; i++)
        if (precise == middles[i] && decimal_equals(decimal, middles[i]))
            return false;
    return true;
}

static Decimal decimal_shortest(double number, bool single)
{
    const int digits_max = single ? 9 : 17;
    const bool is_normal = number >= (single ? FLT_MIN : DBL_MIN);
    Decimal decimal = {0};

    /* Numbers of up to 6 or 15 digits all differ: no need to try fewer, zeros at the end go. */
    for (int digits = is_normal ? digits_max - (single ? 3 : 2) : 1; digits <= digits_max; digits++)
    {
        decimal = decimal_nearest(number, digits);
        if (decimal_stands_for(&decimal, number, single))
            break;
        /* A power of two has more room above than below. */
        decimal = decimal_next(decimal);
        if (decimal_stands_for(&decimal, number, single))
            break;
    }
    for (size_t last = strlen(decimal.digits); last > 1 && decimal.digits[last - 1] == '0'; last--)
        decimal.digits[last - 1] = '\0';
    return decimal;
}

static void append_float(Buffer *text, double number, bool single)
{
    if (isnan(number))
    {
        buffer_append_string(text, "NaN");
        return;
    }
    if (signbit(number))
        buffer_append_u8(text, '-');
    number = fabs(number);
    if (isinf(number) || number == 0)
    {
        buffer_append_string(text, number == 0 ? "0" : "Infinity");
        return;
    }

    const Decimal decimal = decimal_shortest(number, single);
    const int length = (int) strlen(decimal.digits), exponent = decimal.exponent;

    if (exponent < -4 || exponent >= (single ? FLT_DIG : DBL_DIG))
        buffer_printf(text, "%c%s%se%+03d", decimal.digits[0], length > 1 ? "." : "",
                      decimal.digits + 1, exponent);
    else if (exponent < 0)
        buffer_printf(text, "0.%.*s%s", -exponent - 1, "0000", decimal.digits);
    else if (length <= exponent + 1)
        buffer_printf(text, "%s%.*s", decimal.digits, exponent + 1 - length, "00000000000000");
    else
        buffer_printf(text, "%.*s.%s", exponent + 1, decimal.digits, decimal.digits + exponent + 1);
}

static bool float4_text(Slice value, Buffer *text)
{
    Cursor cursor = slice_cursor(value);
    const uint32_t bits = cursor_u32(&cursor);
    float number;

    memcpy(&number, &bits, sizeof(number));
    append_float(text, (double) number, true);
    return !cursor.failed;
}

bool pattern_text(Slice value, const char *pattern, Buffer *text)
{
    Cursor cursor = slice_cursor(value);

    for (; *pattern != '\0'; pattern++)
    {
        if (*pattern == '#')
        {
            const uint64_t bits = cursor_u64(&cursor);
            double number;

            memcpy(&number, &bits, sizeof(number));
            append_float(text, number, false);
        }
        else if (*pattern == 'h')
            buffer_printf(text, "%02x", cursor_u8(&cursor));
        else
            buffer_append_u8(text, (uint8_t) *pattern);
    }
    return !cursor.failed;
}

/* ---- numeric (numeric.c) ---- */

#define NUMERIC_KIND_MASK 0xC000
#define NUMERIC_NEGATIVE 0x4000
#define NUMERIC_SHORT 0x8000
#define NUMERIC_SPECIAL 0xC000 /* NaN; with the next two bits, infinities (14+) */
#define NUMERIC_SHORT_NEGATIVE 0x2000
#define NUMERIC_SHORT_SCALE(header) ((header) >> 7 & 0x3F)
#define NUMERIC_SHORT_WEIGHT(header) ((int) ((header) &0x3F) - (int) ((header) &0x40))
#define NUMERIC_SCALE_MASK 0x3FFF
#define NUMERIC_BASE 10000

/* Digit `index` of base 10,000, the first after the decimal point being weight + 1. */
static unsigned numeric_digit(Slice digits, int index)
{
    const size_t offset = (size_t) index * 2;

    return index >= 0 && offset < digits.size ? load_u16(digits.bytes + offset) : 0;
}

bool numeric_text(Slice value, Buffer *text)
{
    Cursor cursor = slice_cursor(value);
    const uint16_t header = cursor_u16(&cursor);
    const bool is_short = (header & NUMERIC_KIND_MASK) == NUMERIC_SHORT;
    int weight = NUMERIC_SHORT_WEIGHT(header);
    int scale = NUMERIC_SHORT_SCALE(header);
    Slice digits;

    if ((header & NUMERIC_KIND_MASK) == NUMERIC_SPECIAL)
    {
        static const char *const words[] = {"NaN", "Infinity", NULL, "-Infinity"};
        const char *word = words[header >> 12 & 3];

        buffer_append_string(text, word != NULL ? word : "");
        return word != NULL;
    }
    if (!is_short)
    {
        scale = header & NUMERIC_SCALE_MASK;
        weight = (int16_t) cursor_u16(&cursor);
    }
    digits.size = cursor_left(&cursor);
    digits.bytes = cursor_bytes(&cursor, digits.size);
    if (cursor.failed || digits.size % 2 != 0)
        return false;
    for (size_t i = 0; i < digits.size; i += 2)
        if (load_u16(digits.bytes + i) >= NUMERIC_BASE)
            return false;

    if (header & (is_short ? NUMERIC_SHORT_NEGATIVE : NUMERIC_NEGATIVE))
        buffer_append_u8(text, '-');
    buffer_printf(text, "%u", weight >= 0 ? numeric_digit(digits, 0) : 0);
    for (int i = 1; i <= weight; i++)
        buffer_printf(text, "%04u", numeric_digit(digits, i));
    if (scale > 0)
        buffer_append_u8(text, '.');
    for (int i = weight + 1, left = scale; left > 0; i++, left -= 4)
    {
        char four[8];

        snprintf(four, sizeof(four), "%04u", numeric_digit(digits, i));
        buffer_append(text, four, left < 4 ? (size_t) left : 4);
    }
    return true;
}

/* ---- money (cash.c) ---- */

static bool money_text(Slice value, Buffer *text)
{
    Cursor cursor = slice_cursor(value);
    const uint64_t bits = cursor_u64(&cursor);
    const bool negative = (int64_t) bits < 0;
    const uint64_t cents = negative ? 0 - bits : bits;
    char digits[32];
    const int length = snprintf(digits, sizeof(digits), "%llu", (unsigned long long) cents / 100);

    buffer_append_string(text, negative ? "-$" : "$");
    for (int i = 0; i < length; i++)
    {
        if (i > 0 && (length - i) % 3 == 0)
            buffer_append_u8(text, ',');
        buffer_append_u8(text, (uint8_t) digits[i]);
    }
    buffer_printf(text, ".%02u", (unsigned) (cents % 100));
    return !cursor.failed;
}

/* ---- Geometric values (geo_decls.h) ---- */

#define POINT_SIZE 16
#define POINT_PATTERN "(#,#)"
#define PATH_AT_POINTS 12    /* npts, closed, padding */
#define POLYGON_AT_POINTS 36 /* npts, the box around it */

/* A number of points, which is the first field, from that offset on. */
static bool append_points(Slice value, size_t offset, const char *brackets, Buffer *text)
{
    Cursor cursor = slice_cursor(value);
    const uint32_t count = cursor_u32(&cursor);

    cursor_seek(&cursor, offset);
    if (cursor.failed || count > cursor_left(&cursor) / POINT_SIZE)
        return false;
    buffer_append_u8(text, (uint8_t) brackets[0]);
    for (uint32_t i = 0; i < count; i++)
    {
        if (i > 0)
            buffer_append_u8(text, ',');
        if (!pattern_text((Slice){cursor_bytes(&cursor, POINT_SIZE), POINT_SIZE}, POINT_PATTERN,
                          text))
            return false;
    }
    buffer_append_u8(text, (uint8_t) brackets[1]);
    return true;
}

static bool path_text(Slice value, Buffer *text)
{
    if (value.size < PATH_AT_POINTS)
        return false;
    return append_points(value, PATH_AT_POINTS, load_u32(value.bytes + 4) != 0 ? "()" : "[]", text);
}

static bool polygon_text(Slice value, Buffer *text)
{
    return append_points(value, POLYGON_AT_POINTS, "()", text);
}

const BaseType number_types[] = {
    {.oid = 21, .text = integer_text},    /* int2 */
    {.oid = 23, .text = integer_text},    /* int4 */
    {.oid = 20, .text = integer_text},    /* int8 */
    {.oid = 26, .text = unsigned_text},   /* oid */
    {.oid = 28, .text = unsigned_text},   /* xid */
    {.oid = 29, .text = unsigned_text},   /* cid */
    {.oid = 5069, .text = unsigned_text}, /* xid8 */
    {.oid = 6437, .text = unsigned_text}, /* oid8 */
    {.oid = 700, .text = float4_text},
    {.oid = 701, .pattern = "#"}, /* float8 */
    {.oid = 1700, .text = numeric_text},
    {.oid = 790, .text = money_text},
    {.oid = 600, .pattern = POINT_PATTERN},
    {.oid = 601, .pattern = "[(#,#),(#,#)]"}, /* lseg */
    {.oid = 603, .pattern = "(#,#),(#,#)"},   /* box */
    {.oid = 628, .pattern = "{#,#,#}"},       /* line */
    {.oid = 718, .pattern = "<(#,#),#>"},     /* circle */
    {.oid = 602, .text = path_text},
    {.oid = 604, .text = polygon_text},
    {0},
};
