#include "lost/type_text.h"

#include <arpa/inet.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An integer of two, four or eight bytes, which is the whole value. */
static uint64_t take_integer(Cursor *value)
{
    switch (cursor_left(value))
    {
    case sizeof(uint16_t):
        return cursor_u16(value);
    case sizeof(uint32_t):
        return cursor_u32(value);
    default:
        return cursor_u64(value);
    }
}

/* ---- Floating-point numbers (d2s.c, f2s.c) ---- */

/* digits times ten to the power of exponent */
typedef struct Decimal
{
    uint64_t digits;
    int exponent;
} Decimal;

/*
 * True if this decimal number is read as `number`, even if slightly raised or lowered. A decimal in
 * the middle between two floating-point numbers does not pass: which of them it gives depends on
 * rounding, on which the server does not rely.
 */
static bool decimal_stands_for(Decimal decimal, double number, bool single)
{
    char more[96], less[96];

    snprintf(more, sizeof(more), "%llu%040d1e%d", (unsigned long long) decimal.digits, 0,
             decimal.exponent - 41);
    snprintf(less, sizeof(less), "%llu%se%d", (unsigned long long) decimal.digits - 1,
             "99999999999999999999999999999999999999999", decimal.exponent - 41);
    if (single)
        return strtof(more, NULL) == number && strtof(less, NULL) == number;
    return strtod(more, NULL) == number && strtod(less, NULL) == number;
}

static Decimal decimal_shortest(double number, bool single)
{
    const int digits_max = single ? 9 : 17;
    const bool is_normal = number >= (single ? FLT_MIN : DBL_MIN);
    Decimal decimal = {0};

    /* Numbers of up to 6 or 15 digits all differ: no need to try fewer, zeros at the end go. */
    for (int digits = is_normal ? digits_max - (single ? 3 : 2) : 1; digits <= digits_max; digits++)
    {
        /* The nearest decimal number with `digits` digits; its point is then removed. */
        char text[32], *exponent;

        snprintf(text, sizeof(text), "%.*e", digits - 1, number);
        if (digits > 1)
            memmove(text + 1, text + 2, strlen(text + 1));
        decimal.digits = strtoull(text, &exponent, 10);
        decimal.exponent = (int) strtol(exponent + 1, NULL, 10) - (digits - 1);
        if (decimal_stands_for(decimal, number, single))
            break;
        decimal.digits++; /* a power of two has more room above than below */
        if (decimal_stands_for(decimal, number, single))
            break;
    }
    for (; decimal.digits % 10 == 0; decimal.digits /= 10)
        decimal.exponent++;
    return decimal;
}

static void append_float(Buffer *text, double number, bool single)
{
    if (!isnan(number) && signbit(number))
        buffer_append_u8(text, '-');
    number = fabs(number);
    if (isnan(number) || isinf(number) || number == 0)
    {
        buffer_append_string(text, isnan(number) ? "NaN" : number == 0 ? "0" : "Infinity");
        return;
    }

    const Decimal decimal = decimal_shortest(number, single);
    char digits[32];
    const int length =
        snprintf(digits, sizeof(digits), "%llu", (unsigned long long) decimal.digits);
    const int exponent = decimal.exponent + length - 1;

    if (exponent < -4 || exponent >= (single ? FLT_DIG : DBL_DIG))
        buffer_printf(text, "%c%s%se%+03d", digits[0], length > 1 ? "." : "", digits + 1, exponent);
    else if (exponent < 0)
        buffer_printf(text, "0.%.*s%s", -exponent - 1, "0000", digits);
    else if (length <= exponent + 1)
        buffer_printf(text, "%s%.*s", digits, exponent + 1 - length, "00000000000000");
    else
        buffer_printf(text, "%.*s.%s", exponent + 1, digits, digits + exponent + 1);
}

bool pattern_text(Cursor *value, const TextForm *form, Buffer *text)
{
    for (const char *letter = form->pattern; *letter != '\0'; letter++)
    {
        const uint64_t sign = 1ULL << (value->size * 8 - 1) % 64;
        uint64_t bits;
        uint32_t single_bits;
        double number;
        float single;

        switch (*letter)
        {
        case '#':
            bits = cursor_u64(value);
            memcpy(&number, &bits, sizeof(number));
            append_float(text, number, false);
            break;
        case 'f':
            single_bits = cursor_u32(value);
            memcpy(&single, &single_bits, sizeof(single));
            append_float(text, (double) single, true);
            break;
        case 'i':
            buffer_printf(text, "%lld", (long long) ((take_integer(value) ^ sign) - sign));
            break;
        case 'u':
            buffer_printf(text, "%llu", (unsigned long long) take_integer(value));
            break;
        case 'w':
            buffer_printf(text, "%u", cursor_u16(value));
            break;
        case 'B':
            single_bits = (uint32_t) cursor_u16(value) << 16;
            buffer_printf(text, "%u", single_bits | cursor_u16(value));
            break;
        case 'h':
            buffer_printf(text, "%02x", cursor_u8(value));
            break;
        case 'b':
            buffer_append_u8(text, cursor_u8(value) ? 't' : 'f');
            break;
        case 'L':
            buffer_append_string(text, LSN_TEXT(form->version, cursor_u64(value)));
            break;
        default:
            buffer_append_u8(text, (uint8_t) *letter);
        }
    }
    return true;
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

bool numeric_text(Cursor *value, const TextForm *form, Buffer *text)
{
    const uint16_t header = cursor_u16(value);
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
        weight = (int16_t) cursor_u16(value);
    }
    digits = cursor_rest(value);
    if (value->failed || digits.size % 2 != 0)
        return false;
    for (size_t i = 0; i < digits.size; i += 2)
        if (load_u16(digits.bytes + i) >= NUMERIC_BASE)
            return false;

    if (header & (is_short ? NUMERIC_SHORT_NEGATIVE : NUMERIC_NEGATIVE))
        buffer_append_u8(text, '-');
    buffer_printf(text, "%u", weight >= 0 ? numeric_digit(digits, 0) : 0);
    for (int i = 1; i <= weight && text->size <= form->size_max; i++)
        buffer_printf(text, "%04u", numeric_digit(digits, i));
    if (scale > 0)
        buffer_append_u8(text, '.');
    for (int i = weight + 1, left = scale; left > 0 && text->size <= form->size_max; i++, left -= 4)
    {
        char four[8];

        snprintf(four, sizeof(four), "%04u", numeric_digit(digits, i));
        buffer_append(text, four, left < 4 ? (size_t) left : 4);
    }
    return true;
}

/* ---- money (cash.c) ---- */

bool money_text(Cursor *value, const TextForm *form, Buffer *text)
{
    const uint64_t bits = cursor_u64(value);
    const bool negative = (int64_t) bits < 0;
    const uint64_t cents = negative ? 0 - bits : bits;
    char digits[32];
    const int length = snprintf(digits, sizeof(digits), "%llu", (unsigned long long) cents / 100);

    (void) form;
    buffer_append_string(text, negative ? "-$" : "$");
    for (int i = 0; i < length; i++)
        buffer_printf(text, "%s%c", i > 0 && (length - i) % 3 == 0 ? "," : "", digits[i]);
    buffer_printf(text, ".%02u", (unsigned) (cents % 100));
    return true;
}

/* ---- Geometric values (geo_decls.h) ---- */

#define POINT_SIZE 16
#define PATH_AT_POINTS 12    /* npts, closed, padding */
#define POLYGON_AT_POINTS 36 /* npts, the box around it */

bool points_text(Cursor *value, const TextForm *form, Buffer *text)
{
    static const TextForm first = {.pattern = "(#,#)"}, next = {.pattern = ",(#,#)"};
    const bool is_path = form->pattern[0] == '[';
    const uint32_t count = cursor_u32(value);
    const bool closed = cursor_u32(value) != 0 || !is_path;

    cursor_seek(value, is_path ? PATH_AT_POINTS : POLYGON_AT_POINTS);
    if (value->failed || count > cursor_left(value) / POINT_SIZE)
        return false;
    buffer_append_u8(text, closed ? '(' : '[');
    for (uint32_t i = 0; i < count; i++)
        (void) pattern_text(value, i > 0 ? &next : &first, text);
    buffer_append_u8(text, closed ? ')' : ']');
    return true;
}

/* ---- Addresses, bit strings, and other types that are plain bytes ---- */

#define FAMILY_IPV4 2 /* PGSQL_AF_INET, utils/inet.h */
#define FAMILY_IPV6 3

void append_hex(Buffer *text, Slice bytes)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < bytes.size; i++)
    {
        buffer_append_u8(text, (uint8_t) digits[bytes.bytes[i] >> 4]);
        buffer_append_u8(text, (uint8_t) digits[bytes.bytes[i] & 15]);
    }
}

bool bytea_text(Cursor *value, const TextForm *form, Buffer *text)
{
    (void) form;
    buffer_append_string(text, "\\x");
    append_hex(text, cursor_rest(value));
    return true;
}

bool bit_text(Cursor *value, const TextForm *form, Buffer *text)
{
    const uint32_t bits = cursor_u32(value);
    const Slice bytes = cursor_rest(value);

    (void) form;
    if (value->failed || bytes.size != ((size_t) bits + 7) / 8)
        return false;
    for (uint32_t i = 0; i < bits; i++)
        buffer_append_u8(text, bytes.bytes[i / 8] << i % 8 & 0x80 ? '1' : '0');
    return true;
}

bool inet_text(Cursor *value, const TextForm *form, Buffer *text)
{
    const uint8_t family = cursor_u8(value), bits = cursor_u8(value);
    const size_t size = family == FAMILY_IPV4 ? 4 : 16;
    const uint8_t *address = cursor_bytes(value, size);
    char string[INET6_ADDRSTRLEN];

    if (value->failed || (family != FAMILY_IPV4 && family != FAMILY_IPV6) || bits > size * 8)
        return false;
    /* The server's own copy of this function prints the same (inet_net_ntop.c). */
    buffer_append_string(text, inet_ntop(family == FAMILY_IPV4 ? AF_INET : AF_INET6, address,
                                         string, sizeof(string)));
    if (form->pattern[0] == '/' || bits < size * 8)
        buffer_printf(text, "/%u", bits);
    return true;
}
