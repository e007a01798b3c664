#include "base/encoding.h"

#include "base/text_cursor.h"

#include <string.h>

iconv_t encoding_open(uint32_t number)
{
    /*
     * Names in iconv of the encodings in pg_enc2name_tbl (common/encnames.c). SQL_ASCII and UTF8
     * have none. The server converts EUC_JP like EUC-JP-MS, not like EUC-JP. Rule L32: for
     * encodings that iconv converts to other characters than the server (EUC_JIS_2004,
     * MULE_INTERNAL, WIN1258, WIN1255), only ASCII is converted. For the last two, iconv also keeps
     * back a letter that it could compose with the next one.
     */
    static const char *const names[] = {
        NULL,         "EUC-JP-MS", "EUC-CN", "EUC-KR",  "EUC-TW",     "ASCII",      NULL,
        "ASCII",      "LATIN1",    "LATIN2", "LATIN3",  "LATIN4",     "LATIN5",     "LATIN6",
        "LATIN7",     "LATIN8",    "LATIN9", "LATIN10", "CP1256",     "ASCII",      "CP866",
        "CP874",      "KOI8-R",    "CP1251", "CP1252",  "ISO-8859-5", "ISO-8859-6", "ISO-8859-7",
        "ISO-8859-8", "CP1250",    "CP1253", "CP1254",  "ASCII",      "CP1257",     "KOI8-U"};

    iconv_t conversion;

    if (number >= sizeof(names) / sizeof(names[0]) || names[number] == NULL)
        return NO_CONVERSION;
    conversion = iconv_open("UTF-8", names[number]);
    /* A system may lack tables. Then only ASCII is converted, since other bytes could be UTF-8 of
     * other characters. */
    return conversion != NO_CONVERSION ? conversion : iconv_open("UTF-8", "ASCII");
}

void encoding_close(iconv_t conversion)
{
    if (conversion != NO_CONVERSION)
        iconv_close(conversion);
}

uint32_t encoding_of_shared(uint32_t of_others, uint32_t encoding)
{
    return of_others == ENCODING_NONE || of_others == encoding ? encoding : ENCODING_SQL_ASCII;
}

bool encoding_convert(iconv_t conversion, Buffer *text, size_t start)
{
    AUTO_BUFFER Buffer converted = {0};
    char *from, *to;
    size_t from_left = text->size - start, to_left;

    buffer_string(text);
    from = (char *) text->bytes + start;
    if (conversion == NO_CONVERSION)
        return strlen(from) == from_left && utf8_is_valid(from);
    to_left = 4 * from_left; /* UTF-8 needs at most 4 bytes for each byte of another encoding */
    buffer_reserve(&converted, to_left + 1);
    to = (char *) converted.bytes;
    iconv(conversion, NULL, NULL, NULL, NULL);
    if (iconv(conversion, &from, &from_left, &to, &to_left) == (size_t) -1)
        return false;
    text->size = start;
    buffer_append(text, converted.bytes, (size_t) (to - (char *) converted.bytes));
    return true;
}

const char *encoding_name(iconv_t conversion, const char *name, size_t size, Arena *arena)
{
    AUTO_BUFFER Buffer text = {0};

    buffer_append(&text, name, size);
    /* Unconverted bytes could be UTF-8 of other characters: make them invalid. */
    if (!encoding_convert(conversion, &text, 0) && conversion != NO_CONVERSION)
        for (size_t i = 0; i < text.size; i++)
            if (text.bytes[i] >= 0x80)
                text.bytes[i] = 0xFF;
    return arena_strdup(arena, buffer_string(&text));
}

static void append_characters(Buffer *text, const char *string, const char *replacement)
{
    const unsigned char *bytes = (const unsigned char *) string;

    while (*bytes != '\0')
    {
        const size_t length = utf8_length(bytes);

        if (length == 0)
            buffer_append_string(text, replacement);
        else
            buffer_append(text, bytes, length);
        bytes += length == 0 ? 1 : length;
    }
}

void utf8_append(Buffer *text, const char *string)
{
    append_characters(text, string, "\uFFFD");
}

void utf8_append_comment(Buffer *text, const char *string)
{
    AUTO_BUFFER Buffer shown = {0};

    buffer_shown(&shown, SHOWN_ONE_LINE, "%s", string);
    append_characters(text, buffer_string(&shown), "?");
}
