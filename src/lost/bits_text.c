/* Addresses, bit strings, and other types that are plain bytes. */
#include "lost/base_types.h"

#include <string.h>

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

static bool bytea_text(Cursor *value, Buffer *text)
{
    buffer_append_string(text, "\\x");
    append_hex(text, cursor_rest(value));
    return true;
}

static bool bit_text(Cursor *value, Buffer *text)
{
    const uint32_t bits = cursor_u32(value);
    const Slice bytes = cursor_rest(value);

    if (value->failed || bytes.size != ((size_t) bits + 7) / 8)
        return false;
    for (uint32_t i = 0; i < bits; i++)
        buffer_append_u8(text, bytes.bytes[i / 8] << i % 8 & 0x80 ? '1' : '0');
    return true;
}

static bool tid_text(Cursor *value, Buffer *text)
{
    const uint32_t high = cursor_u16(value), low = cursor_u16(value);

    buffer_printf(text, "(%u,%u)", high << 16 | low, cursor_u16(value));
    return true;
}

static void append_ipv4(Buffer *text, const uint8_t *bytes)
{
    buffer_printf(text, "%u.%u.%u.%u", bytes[0], bytes[1], bytes[2], bytes[3]);
}

/* The longest run of zeros becomes "::"; which addresses end as IPv4: inet_net_ntop.c. */
static void append_ipv6(Buffer *text, const uint8_t *bytes)
{
    unsigned words[8];
    int start = 8, length = 1;
    int run = 0;

    for (int i = 0; i < 8; i++)
    {
        words[i] = (unsigned) bytes[2 * i] << 8 | bytes[2 * i + 1];
        run = words[i] == 0 ? run + 1 : 0;
        if (run > length)
        {
            length = run;
            start = i + 1 - run;
        }
    }
    const bool ends_as_ipv4 = start == 0 && (length == 6 || (length == 7 && words[7] != 1) ||
                                             (length == 5 && words[5] == 0xFFFF));
    for (int i = 0; i < 8; i++)
    {
        if (i >= start && i < start + length)
        {
            if (i == start)
                buffer_append_u8(text, ':');
            continue;
        }
        if (i > 0)
            buffer_append_u8(text, ':');
        if (i == 6 && ends_as_ipv4)
        {
            append_ipv4(text, bytes + 12);
            return;
        }
        buffer_printf(text, "%x", words[i]);
    }
    if (start + length == 8)
        buffer_append_u8(text, ':');
}

static bool append_inet(Cursor *value, bool with_size, Buffer *text)
{
    const uint8_t family = cursor_u8(value), bits = cursor_u8(value);
    const size_t size = family == FAMILY_IPV4 ? 4 : 16;
    const uint8_t *address = cursor_bytes(value, size);

    if (value->failed || (family != FAMILY_IPV4 && family != FAMILY_IPV6) || bits > size * 8)
        return false;
    if (family == FAMILY_IPV4)
        append_ipv4(text, address);
    else
        append_ipv6(text, address);
    if (with_size || bits < size * 8)
        buffer_printf(text, "/%u", bits);
    return true;
}

static bool inet_text(Cursor *value, Buffer *text)
{
    return append_inet(value, false, text);
}

static bool cidr_text(Cursor *value, Buffer *text)
{
    return append_inet(value, true, text);
}

const BaseType bits_types[] = {
    {.oid = 17, .text = bytea_text},
    {.oid = 27, .text = tid_text},
    {.oid = 650, .text = cidr_text},
    {.oid = 869, .text = inet_text},
    {.oid = 829, .pattern = "h:h:h:h:h:h"},           /* macaddr */
    {.oid = 774, .pattern = "h:h:h:h:h:h:h:h"},       /* macaddr8 */
    {.oid = 2950, .pattern = "hhhh-hh-hh-hh-hhhhhh"}, /* uuid */
    {.oid = 1560, .text = bit_text},
    {.oid = 1562, .text = bit_text}, /* varbit */
    {0},
};
