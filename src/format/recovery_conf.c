#include "format/recovery_conf.h"

#include "base/text_cursor.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

static bool is_letter_or_digit(char byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z') ||
           (byte >= '0' && byte <= '9');
}

/* As isspace of the C locale. */
static bool is_blank(const TextCursor *text)
{
    return *text->position == ' ' || (*text->position >= '\t' && *text->position <= '\r');
}

/* appendConnStrVal, fe_utils/string_utils.c */
static bool needs_quotes(const char *value)
{
    if (*value == '\0')
        return true;
    for (; *value != '\0'; value++)
        if (!is_letter_or_digit(*value) && *value != '_' && *value != '.')
            return true;
    return false;
}

void conninfo_append(Buffer *conninfo, const char *keyword, const char *value)
{
    if (conninfo->size > 0)
        buffer_append_u8(conninfo, ' ');
    buffer_printf(conninfo, "%s=", keyword);
    if (!needs_quotes(value))
    {
        buffer_append_string(conninfo, value);
        return;
    }
    buffer_append_u8(conninfo, '\'');
    for (; *value != '\0'; value++)
    {
        if (*value == '\'' || *value == '\\')
            buffer_append_u8(conninfo, '\\');
        buffer_append_u8(conninfo, (uint8_t) *value);
    }
    buffer_append_u8(conninfo, '\'');
}

/* A value, quoted or not; false when the closing quote is missing. */
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

void setting_append(Buffer *text, const char *name, const char *value)
{
    buffer_printf(text, "%s = '", name);
    for (; *value != '\0'; value++)
    {
        if (*value == '\'' || *value == '\\')
            buffer_append_u8(text, (uint8_t) *value);
        buffer_append_u8(text, (uint8_t) *value);
    }
    buffer_append_string(text, "'\n");
}

void recovery_conf_make(const char *conninfo, Buffer *text)
{
    buffer_clear(text);
    setting_append(text, "standby_mode", "on");
    setting_append(text, "primary_conninfo", conninfo);
    setting_append(text, "recovery_target_timeline", "latest");
}

/*
 * Below, one line of a configuration file without its newline: utils/misc/guc-file.l. No string
 * continues past the end of its line.
 */

/* Is this the name that the line begins with? Then skip it and the equals sign. */
static bool take_name(TextCursor *line, const char *name)
{
    size_t length = strlen(name);

    text_skip_blanks(line);
    if (length > (size_t) (line->end - line->position) ||
        strncasecmp(line->position, name, length) != 0)
        return false;
    line->position += length;
    if (line->position < line->end)
    {
        char next = *line->position;
        if (is_letter_or_digit(next) || next == '_' || next == '.' || next == '$' ||
            (unsigned char) next >= 0x80)
            return false; /* a longer name */
    }
    text_skip_blanks(line);
    if (line->position < line->end && *line->position == '=')
        line->position++;
    text_skip_blanks(line);
    return true;
}

/* What follows a backslash, up to three octal digits included. */
static void take_escape(TextCursor *line, Buffer *value)
{
    static const char letters[] = "bfnrt";
    static const char bytes[] = "\b\f\n\r\t";
    char byte = *line->position++;
    const char *letter = byte == '\0' ? NULL : strchr(letters, byte);

    if (letter != NULL)
    {
        buffer_append_u8(value, (uint8_t) bytes[letter - letters]);
        return;
    }
    if (byte < '0' || byte > '7')
    {
        buffer_append_u8(value, (uint8_t) byte);
        return;
    }
    unsigned octal = (unsigned) (byte - '0');
    for (int i = 0;
         i < 2 && line->position < line->end && *line->position >= '0' && *line->position <= '7';
         i++)
        octal = octal * 8 + (unsigned) (*line->position++ - '0');
    buffer_append_u8(value, (uint8_t) octal);
}

/* The text between quotes; false when the closing one is missing. */
static bool take_quoted(TextCursor *line, Buffer *value)
{
    line->position++; /* the opening quote */
    while (line->position < line->end)
    {
        char byte = *line->position++;
        if (byte == '\\' && line->position < line->end)
            take_escape(line, value);
        else if (byte != '\'')
            buffer_append_u8(value, (uint8_t) byte);
        else if (line->position < line->end && *line->position == '\'')
        {
            buffer_append_u8(value, '\'');
            line->position++;
        }
        else
            return true;
    }
    return false;
}

static bool take_value(TextCursor *line, Buffer *value)
{
    buffer_clear(value);
    if (line->position == line->end || *line->position == '#')
        return false;
    if (*line->position == '\'')
        return take_quoted(line, value);
    while (line->position < line->end && *line->position != '#' && *line->position != ' ' &&
           (*line->position < '\t' || *line->position > '\r'))
        buffer_append_u8(value, (uint8_t) *line->position++);
    return true;
}

bool setting_find(const char *text, size_t size, const char *name, Buffer *value)
{
    TextCursor left = {text, text + size};
    TextCursor line;
    Buffer candidate = {0};
    bool found = false;

    while (text_take_line(&left, &line))
    {
        if (!take_name(&line, name) || !take_value(&line, &candidate))
            continue;
        buffer_clear(value);
        buffer_append(value, candidate.bytes, candidate.size);
        found = true;
    }
    buffer_free(&candidate);
    return found;
}

/* Any name, into a buffer in lower case; then skip it and the equals sign. */
static bool take_any_name(TextCursor *line, Buffer *name)
{
    buffer_clear(name);
    text_skip_blanks(line);
    while (line->position < line->end &&
           (is_letter_or_digit(*line->position) || *line->position == '_' ||
            *line->position == '.' || *line->position == '$'))
    {
        char byte = *line->position++;

        buffer_append_u8(name, (uint8_t) (byte >= 'A' && byte <= 'Z' ? byte - 'A' + 'a' : byte));
    }
    text_skip_blanks(line);
    if (line->position < line->end && *line->position == '=')
        line->position++;
    text_skip_blanks(line);
    return name->size > 0;
}

bool setting_next(const char **position, const char *end, Buffer *name, Buffer *value)
{
    TextCursor left = {*position, end};
    TextCursor line;
    bool found = false;

    while (!found && text_take_line(&left, &line))
        found = take_any_name(&line, name) && take_value(&line, value);
    *position = left.position;
    return found;
}

void setting_replace(const char *old, size_t old_size, const char *name, const char *value,
                     Buffer *text)
{
    TextCursor left = {old, old + old_size};
    TextCursor line;

    buffer_clear(text);
    for (const char *start = old; text_take_line(&left, &line); start = left.position)
        if (!take_name(&line, name))
            buffer_append(text, start, (size_t) (left.position - start));
    if (text->size > 0 && text->bytes[text->size - 1] != '\n')
        buffer_append_u8(text, '\n');
    setting_append(text, name, value);
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
