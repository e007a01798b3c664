#include "format/recovery_conf.h"

#include "base/text_cursor.h"

#include <string.h>

static bool is_blank(const TextCursor *text)
{
    return *text->position == ' ' || (*text->position >= '\t' && *text->position <= '\r');
}

void conninfo_append(Buffer *conninfo, const char *keyword, const char *value)
{
    /* As in appendConnStrVal, fe_utils/string_utils.c. */
    static const char unquoted[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.";
    const char *quote = *value == '\0' || value[strspn(value, unquoted)] != '\0' ? "'" : "";

    buffer_printf(conninfo, "%s%s=%s", conninfo->size > 0 ? " " : "", keyword, quote);
    for (; *value != '\0'; value++)
    {
        if (*value == '\'' || *value == '\\')
            buffer_append_u8(conninfo, '\\');
        buffer_append_u8(conninfo, (uint8_t) *value);
    }
    buffer_append_string(conninfo, quote);
}

/* Take a value, quoted or not; false when the closing quote is missing. */
static bool take_conninfo_value(TextCursor *text, Buffer *value)
{
    const bool quoted = text_take(text, "'");

    while (text->position < text->end && (quoted ? *text->position != '\'' : !is_blank(text)))
    {
        if (*text->position == '\\' && ++text->position == text->end)
            return !quoted;
        buffer_append_u8(value, (uint8_t) *text->position++);
    }
    return !quoted || text_take(text, "'");
}

bool conninfo_next(const char **position, Buffer *keyword, Buffer *value)
{
    TextCursor text = text_cursor(*position);
    bool found;

    buffer_clear(keyword);
    buffer_clear(value);
    text_skip_blanks(&text);
    *position = text.position;
    while (!text_at_end(&text) && *text.position != '=' && !is_blank(&text))
        buffer_append_u8(keyword, (uint8_t) *text.position++);
    text_skip_blanks(&text);
    found = keyword->size > 0 && text_take(&text, "=");
    text_skip_blanks(&text);
    found = found && take_conninfo_value(&text, value);
    if (found)
        *position = text.position;
    return found;
}

bool restore_command_expand(const char *command, const char *file_name, const char *path,
                            const char *redo_file_name, Buffer *expanded, Error *error)
{
    buffer_clear(expanded);
    for (const char *position = command; *position != '\0'; position++)
    {
        const char *replacement = NULL;

        if (*position != '%')
        {
            buffer_append_u8(expanded, (uint8_t) *position);
            continue;
        }
        position++;
        if (*position == '%')
            replacement = "%";
        else if (*position == 'f')
            replacement = file_name;
        else if (*position == 'p')
            replacement = path;
        else if (*position == 'r')
            replacement = redo_file_name;
        if (replacement == NULL)
        {
            error_set(error, ERROR_FAILED, "invalid value for parameter \"%s\": \"%s\"",
                      "restore_command", command); /* contract */
            if (*position == '\0')
                return error_detail(error,
                                    "String ends unexpectedly after escape character \"%%\".");
            return error_detail(error, "String contains unexpected placeholder \"%%%c\".",
                                *position);
        }
        buffer_append_string(expanded, replacement);
    }
    return true;
}
