#include "base/json.h"

#include "base/text_cursor.h"

#define WRITE_SIZE (256 * 1024)

/* Append a string, or null for NULL. Paths and messages may hold any bytes: what is not UTF-8
 * becomes U+FFFD. */
static void json_append_string(Buffer *text, const char *string)
{
    const unsigned char *bytes = (const unsigned char *) string;

    if (string == NULL)
    {
        buffer_append_string(text, "null");
        return;
    }
    buffer_append_u8(text, '"');
    while (*bytes != '\0')
    {
        size_t length = utf8_length(bytes);

        if (length == 0)
            buffer_append_string(text, "\\ufffd");
        else if (*bytes == '"' || *bytes == '\\')
            buffer_printf(text, "\\%c", *bytes);
        else if (*bytes == '\n')
            buffer_append_string(text, "\\n");
        else if (*bytes < 0x20 || *bytes == 0x7F)
            buffer_printf(text, "\\u%04x", *bytes);
        else
            buffer_append(text, bytes, length);
        bytes += length == 0 ? 1 : length;
    }
    buffer_append_u8(text, '"');
}

static void break_line(Json *json)
{
    if (!json->one_line)
        buffer_printf(json->text, "\n%*s", 2 * json->level, "");
}

static void next_line(Json *json)
{
    if (json->file != NULL && json->text->size >= WRITE_SIZE)
    {
        /* The caller checks ferror(file). */
        (void) !fwrite(json->text->bytes, 1, json->text->size, json->file);
        buffer_clear(json->text);
    }
    if (!json->first)
        buffer_append_u8(json->text, ',');
    json->first = false;
    break_line(json);
}

static void append_key(Json *json, const char *key)
{
    next_line(json);
    buffer_append_u8(json->text, '"');
    buffer_append_string(json->text, key);
    buffer_append_string(json->text, json->one_line ? "\":" : "\": ");
}

void json_open(Json *json, char bracket)
{
    buffer_append_u8(json->text, (uint8_t) bracket);
    json->level++;
    json->first = true;
}

bool json_section(Json *json, const char *key, char bracket, bool known)
{
    if (!known)
    {
        json_null(json, key);
        return false;
    }
    append_key(json, key);
    json_open(json, bracket);
    return true;
}

void json_close(Json *json, char bracket)
{
    json->level--;
    if (!json->first)
        break_line(json);
    buffer_append_u8(json->text, (uint8_t) bracket);
    json->first = false;
}

bool json_each(Json *json, const char *key, bool known, size_t index, size_t count)
{
    if (index > 0)
        json_close(json, '}');
    else if (!json_section(json, key, '[', known))
        return false;
    if (index == count)
    {
        json_close(json, ']');
        return false;
    }
    next_line(json);
    json_open(json, '{');
    return true;
}

void json_string(Json *json, const char *key, const char *value)
{
    append_key(json, key);
    json_append_string(json->text, value);
}

void json_error(Json *json, const Error *error)
{
    const char *detail = error->detail, *hint = error->hint;

    json_string(json, "message", error->message);
    json_string(json, "detail", detail[0] != '\0' ? detail : NULL);
    json_string(json, "hint", hint[0] != '\0' ? hint : NULL);
    json_string(json, "remedy", error_remedy_name(error));
}

void json_element(Json *json, const char *value)
{
    next_line(json);
    json_append_string(json->text, value);
}

void json_strings(Json *json, const char *key, const char *const *strings, size_t count)
{
    json_section(json, key, '[', true);
    for (size_t i = 0; i < count; i++)
        json_element(json, strings[i]);
    json_close(json, ']');
}

void json_null(Json *json, const char *key)
{
    json_string(json, key, NULL);
}

void json_number(Json *json, const char *key, uint64_t value)
{
    append_key(json, key);
    buffer_printf(json->text, "%llu", (unsigned long long) value);
}

void json_known_number(Json *json, const char *key, bool known, uint64_t value)
{
    if (known)
        json_number(json, key, value);
    else
        json_null(json, key);
}

void json_decimal(Json *json, const char *key, const char *text)
{
    append_key(json, key);
    buffer_append_string(json->text, text != NULL ? text : "null");
}

void json_bool(Json *json, const char *key, bool value)
{
    append_key(json, key);
    buffer_append_string(json->text, value ? "true" : "false");
}

void json_seconds(Json *json, const char *key, double value)
{
    append_key(json, key);
    buffer_printf(json->text, "%.3f", value);
}
