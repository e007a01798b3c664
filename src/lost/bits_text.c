/* Addresses, bit strings, and other types that are plain bytes. */
#include "lost/base_types.h"

#include <arpa/inet.h>

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

static bool append_inet(Cursor *value, bool with_size, Buffer *text)
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
