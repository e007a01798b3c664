#include "format/settings.h"

#include "base/array.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define DEPTH_MAX 10 /* CONF_FILE_MAX_DEPTH of the server */
#define FILES_MAX 10000
#define SETTINGS_MAX 10000

/* ---- One line of a file, without its newline: utils/misc/guc-file.l ---- */

/* Take the name in lower case, then skip the equals sign. A name begins with a letter of
 * guc-file.l; digits, "$" and the dot of a qualified name may follow. */
static bool take_name(TextCursor *line, Buffer *name)
{
    buffer_clear(name);
    text_skip_blanks(line);
    while (line->position < line->end)
    {
        const uint8_t byte = (uint8_t) *line->position;

        if (!isalpha(byte) && byte != '_' && byte < 0x80 &&
            (name->size == 0 || byte == '\0' || strchr("0123456789$.", byte) == NULL))
            break;
        buffer_append_u8(name, (uint8_t) tolower(byte));
        line->position++;
    }
    text_skip_blanks(line);
    (void) text_take(line, "=");
    text_skip_blanks(line);
    return name->size > 0;
}

/* Take the characters after a backslash, up to three octal digits. */
static void take_escape(TextCursor *line, Buffer *value)
{
    static const char letters[] = "bfnrt";
    static const char bytes[] = "\b\f\n\r\t";
    const char byte = *line->position;
    const char *letter = byte == '\0' ? NULL : strchr(letters, byte);
    unsigned octal = 0;
    int digits = 0;

    for (; digits < 3 && line->position < line->end && *line->position >= '0' &&
           *line->position <= '7';
         digits++)
        octal = octal * 8 + (unsigned) (*line->position++ - '0');
    if (digits > 0)
        buffer_append_u8(value, (uint8_t) octal);
    else
    {
        buffer_append_u8(value, (uint8_t) (letter != NULL ? bytes[letter - letters] : byte));
        line->position++;
    }
}

/* Take a value, quoted or not. Returns false if the closing quote is missing: a string ends on its
 * line. */
static bool take_value(TextCursor *line, Buffer *value)
{
    const bool quoted = text_take(line, "'");

    buffer_clear(value);
    while (quoted && line->position < line->end)
    {
        const char byte = *line->position++;

        if (byte == '\\' && line->position < line->end)
            take_escape(line, value);
        else if (byte != '\'' || text_take(line, "'"))
            buffer_append_u8(value, (uint8_t) byte);
        else
            return true;
    }
    if (line->position == line->end || *line->position == '#')
        return false;
    while (line->position < line->end && *line->position != '#' &&
           !isspace((unsigned char) *line->position))
        buffer_append_u8(value, (uint8_t) *line->position++);
    return true;
}

bool setting_next(TextCursor *text, Buffer *name, Buffer *value)
{
    TextCursor line;

    while (text_take_line(text, &line))
        if (take_name(&line, name) && take_value(&line, value))
            return true;
    return false;
}

void setting_remove(Buffer *text, const char *name)
{
    AUTO_BUFFER Buffer old = *text, found = {0};
    TextCursor left = text_cursor(buffer_string(&old));
    TextCursor line;

    *text = (Buffer){0};
    left.end = left.position + old.size;
    for (const char *start = left.position; text_take_line(&left, &line); start = left.position)
        if (!take_name(&line, &found) || strcmp(buffer_string(&found), name) != 0)
            buffer_append(text, start, (size_t) (left.position - start));
}

void setting_replace(Buffer *text, const char *name, const char *value)
{
    setting_remove(text, name);
    if (text->size > 0 && text->bytes[text->size - 1] != '\n')
        buffer_append_u8(text, '\n');
    buffer_printf(text, "%s = ", name);
    buffer_append_literal(text, value, LITERAL_SETTING);
    buffer_append_u8(text, '\n');
}

bool setting_is_on(const char *value)
{
    const size_t length = value != NULL ? strlen(value) : 0;

    if (length == 0)
        return false;
    return strncasecmp(value, "true", length) == 0 || strncasecmp(value, "yes", length) == 0 ||
           strcasecmp(value, "on") == 0 || strcmp(value, "1") == 0;
}

bool setting_integer(const char *value, int64_t *number)
{
    char *end;

    errno = 0;
    *number = strtoll(value, &end, 0);
    if (errno == 0 && *end != '\0' && strchr(".eE", *end) != NULL)
        *number = (int64_t) (strtod(value, &end) + 0.5);
    return errno == 0 && end != value && end[strspn(end, " \t\r\n")] == '\0';
}

/* ---- The list of settings ---- */

static size_t find_setting(const Settings *settings, const char *name, bool *found)
{
    return array_search(&name, settings->items, settings->count, sizeof(*settings->items),
                        compare_strings, found);
}

const char *settings_value(const Settings *settings, const char *name)
{
    bool found;
    size_t place = find_setting(settings, name, &found);

    return found ? settings->items[place].value : NULL;
}

void settings_set(Settings *settings, const char *name, const char *value)
{
    bool found;
    size_t place = find_setting(settings, name, &found);

    if (!found && settings->count == SETTINGS_MAX)
    {
        settings->incomplete = true;
        return;
    }
    if (!found)
    {
        if (settings->items == NULL)
            settings->items =
                arena_allocate(settings->arena, SETTINGS_MAX * sizeof(*settings->items));
        memmove(&settings->items[place + 1], &settings->items[place],
                (settings->count - place) * sizeof(*settings->items));
        settings->items[place].name = arena_strdup(settings->arena, name);
        settings->count++;
    }
    settings->items[place].value = arena_strdup(settings->arena, value);
    settings->items[place].is_doubtful = false;
}

void settings_doubt(Settings *settings)
{
    settings->incomplete = true;
    for (size_t i = 0; i < settings->count; i++)
        settings->items[i].is_doubtful = true;
}

bool settings_value_is_unknown(const Settings *settings, const char *name)
{
    bool found;
    size_t place = find_setting(settings, name, &found);

    return settings->incomplete && (!found || settings->items[place].is_doubtful);
}

/* ---- Files and their includes ---- */

const char *settings_path(Arena *arena, const char *base, const char *value)
{
    const char *slash = strrchr(base, '/');
    AUTO_BUFFER Buffer path = {0};

    if (value[0] == '\0' || value[0] == '/')
        return NULL;
    if (slash != NULL)
        buffer_append(&path, base, (size_t) (slash - base));
    for (size_t length; *value != '\0'; value += length + (value[length] == '/'))
    {
        length = strcspn(value, "/");
        if (length == 2 && value[0] == '.' && value[1] == '.')
        {
            if (path.size == 0)
                return NULL;
            while (path.size > 0 && path.bytes[--path.size] != '/')
                continue;
            continue;
        }
        if (length == 0 || (length == 1 && value[0] == '.'))
            continue;
        if (path.size > 0 || base[0] == '/')
            buffer_append_u8(&path, '/');
        buffer_append(&path, value, length);
    }
    return arena_strdup(arena, buffer_string(&path));
}

static void note_unread(Settings *settings, const char *path)
{
    settings->incomplete = true;
    if (settings->unread == NULL)
        settings->unread = arena_strdup(settings->arena, path);
}

/* Add a file or directory to the list. False if there are too many: those are unread. */
static bool note_file(Settings *settings, const char *path)
{
    if (settings->file_count == FILES_MAX)
    {
        note_unread(settings, path);
        return false;
    }
    ARRAY_ADD_IN(settings->arena, settings->files, settings->file_count,
                 arena_strdup(settings->arena, path));
    return true;
}

static bool read_settings_file(Settings *settings, const SettingsReader *reader, const char *path,
                               bool must_be_there, int depth);

/*
 * Return the path of a file or directory that the file `base` includes, as the server resolves it
 * (AbsoluteConfigLocation in utils/misc/conffiles.c): relative if inside the data directory,
 * otherwise absolute. NULL for the root directory and an empty value.
 */
static const char *find_included(const SettingsReader *reader, Arena *arena, const char *base,
                                 const char *value)
{
    const char *path, *below;

    if (value[0] != '/')
        path = settings_path(arena, base, value);
    else
        path = arena_strdup(arena, value);
    if (path == NULL && value[0] != '\0' && base[0] != '/' && reader->directory != NULL)
    {
        path = settings_path(arena, arena_printf(arena, "%s/%s", reader->directory, base), value);
        if (path != NULL && path[0] == '\0')
            return NULL; /* the value names the root directory */
    }
    below = path != NULL && path[0] == '/' && reader->below != NULL
                ? reader->below(path, reader->directory)
                : NULL;
    return below != NULL ? settings_path(arena, "", below) : path;
}

/* Read the file or directory that an include directive in the file `path` names. */
static void include(Settings *settings, const SettingsReader *reader, const char *path, int depth,
                    const char *directive, const char *value)
{
    const char *included = find_included(reader, settings->arena, path, value);
    const char *const *names;

    if (included == NULL)
    {
        note_unread(settings, value);
        return;
    }
    if (strcmp(directive, "include_dir") != 0)
    {
        (void) read_settings_file(settings, reader, included, strcmp(directive, "include") == 0,
                                  depth + 1);
        return;
    }
    names = reader->list(reader->context, included, settings->arena);
    if (names == NULL)
        note_unread(settings, included);
    else if (!note_file(settings, included))
        return;
    for (; names != NULL && *names != NULL; names++)
    {
        const size_t length = strlen(*names);

        if (*names[0] != '.' && length > 5 && strcmp(*names + length - 5, ".conf") == 0)
            (void) read_settings_file(settings, reader,
                                      arena_printf(settings->arena, "%s/%s", included, *names),
                                      true, depth + 1);
    }
}

/* Returns false if the file does not exist. */
static bool read_settings_file(Settings *settings, const SettingsReader *reader, const char *path,
                               bool must_be_there, int depth)
{
    AUTO_BUFFER Buffer content = {0}, name = {0}, value = {0};
    TextCursor text;
    bool found = false;

    if (depth > DEPTH_MAX)
    {
        note_unread(settings, path);
        return true;
    }
    if (!note_file(settings, path))
        return true;
    if (!reader->read(reader->context, path, &content, &found))
    {
        note_unread(settings, path);
        return true;
    }
    if (!found && must_be_there)
        note_unread(settings, path);
    if (!found)
        return false;
    text = text_cursor(buffer_string(&content));
    text.end = text.position + content.size;
    while (setting_next(&text, &name, &value))
    {
        const char *set = buffer_string(&name);

        if (strcmp(set, "include") == 0 || strcmp(set, "include_if_exists") == 0 ||
            strcmp(set, "include_dir") == 0)
            include(settings, reader, path, depth, set, buffer_string(&value));
        else
            settings_set(settings, set, buffer_string(&value));
    }
    return true;
}

bool settings_read(Settings *settings, const SettingsReader *reader, const char *path)
{
    return read_settings_file(settings, reader, path, false, 0);
}

/* ---- Passwords ---- */

static const char *const secret_words[] = {"password", "passwd", "passphrase", "secret",
                                           "token",    "pwd",    "_key",       NULL};

static bool holds_word(const char *text, size_t length)
{
    for (const char *const *word = secret_words; *word != NULL; word++)
        for (size_t i = 0; i + strlen(*word) <= length; i++)
            if (strncasecmp(text + i, *word, strlen(*word)) == 0)
                return true;
    return false;
}

/*
 * True if the value of a setting with this name is never shown: a password, a command, a script, or
 * a setting of an extension (a name with a dot). Commands contain passwords in too many forms, and
 * the words that an extension uses for a secret are unknown.
 */
static bool is_hidden_name(const char *name)
{
    /* password_encryption and ssl_* have such a word but are not secret. */
    return text_ends_with(name, "_command") || text_ends_with(name, "_script") ||
           strchr(name, '.') != NULL ||
           (holds_word(name, strlen(name)) && strcmp(name, "password_encryption") != 0 &&
            strncmp(name, "ssl_", 4) != 0);
}

/* Return the end of the value at position, which may be quoted as in a connection string or a
 * shell. */
static const char *end_of_value(const char *position)
{
    const char quote = *position;

    if (quote != '\'' && quote != '"')
    {
        while (*position != '\0' && strchr(" \t\n&;'\"", *position) == NULL)
            position += *position == '\\' && position[1] != '\0' ? 2 : 1;
        return position;
    }
    position++;
    while (*position != '\0' && *position != quote)
        position += *position == '\\' && position[1] != '\0' ? 2 : 1;
    return *position == quote ? position + 1 : position;
}

/* Return the position after "word = " if the word before `equals` names a secret. *equals is an
 * equals sign, or a blank for "--password x". */
static const char *find_secret(const char *start, const char *equals)
{
    const char *end = equals;
    const char *begin;

    while (end > start && isspace((unsigned char) end[-1]))
        end--;
    begin = end;
    while (begin > start && (isalnum((unsigned char) begin[-1]) || strchr("_-", begin[-1]) != NULL))
        begin--;
    if (!holds_word(begin, (size_t) (end - begin)))
        return NULL;
    equals += strspn(equals, " \t=");
    return equals;
}

/* The length of a password that ends at the last "@" before a slash; 0 without "@". As in libpq, a
 * password may contain blanks and "@". */
static size_t length_to_host(const char *password)
{
    const size_t end = strcspn(password, "/");
    size_t length = 0;

    for (size_t i = 0; i < end; i++)
        if (password[i] == '@')
            length = i;
    return length;
}

/* The length of "://user:" at position if a password and "@" follow; otherwise 0. */
static size_t find_url_password(const char *position)
{
    size_t length = 3;

    if (strncmp(position, "://", length) != 0)
        return 0;
    length += strcspn(position + length, ":@/ ");
    if (position[length] != ':')
        return 0;
    length++;
    return length_to_host(position + length) > 0 ? length : 0;
}

const char *setting_masked(Arena *arena, const char *name, const char *value)
{
    AUTO_BUFFER Buffer text = {0};
    const char *position = value;

    if (is_hidden_name(name))
        return value[0] == '\0' ? value : "********";
    while (*position != '\0')
    {
        const size_t user = find_url_password(position);
        const char *secret =
            *position == '=' || *position == ' ' ? find_secret(value, position) : NULL;

        if (user > 0)
            secret = position + user;
        if (secret == NULL || *secret == '\0')
        {
            buffer_append_u8(&text, (uint8_t) *position++);
            continue;
        }
        buffer_append(&text, position, (size_t) (secret - position));
        buffer_append_string(&text, "********");
        position = user > 0 ? secret + length_to_host(secret) : end_of_value(secret);
    }
    return arena_strdup(arena, buffer_string(&text));
}

const char *setting_command_shown(Arena *arena, const char *command)
{
    static const char plain[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789/._-";
    const size_t length = strspn(command, plain);

    /* A first word with other characters is not a mere program name: PASSWORD=x program. */
    return length > 0 && strchr(" \t", command[length]) != NULL
               ? arena_printf(arena, command[length] == '\0' ? "\"%.*s\"" : "\"%.*s ...\"",
                              (int) length, command)
               : "not shown";
}

/* ---- Values: primary_conninfo, restore_command ---- */

void conninfo_append(Buffer *conninfo, const char *keyword, const char *value)
{
    /* Characters that need no quotes, as in appendConnStrVal, fe_utils/string_utils.c. */
    static const char unquoted[] =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.";
    const char *quote = *value == '\0' || value[strspn(value, unquoted)] != '\0' ? "'" : "";

    buffer_printf(conninfo, "%s%s=%s", conninfo->size > 0 ? " " : "", keyword, quote);
    buffer_append_escaped(conninfo, value, strlen(value), "'\\", '\\');
    buffer_append_string(conninfo, quote);
}

bool conninfo_next(const char **position, Buffer *keyword, Buffer *value)
{
    TextCursor text = text_cursor(*position);
    bool quoted;

    buffer_clear(keyword);
    buffer_clear(value);
    text_skip_blanks(&text);
    *position = text.position;
    while (!text_at_end(&text) && *text.position != '=' && !isspace((unsigned char) *text.position))
        buffer_append_u8(keyword, (uint8_t) *text.position++);
    text_skip_blanks(&text);
    if (keyword->size == 0 || !text_take(&text, "="))
        return false;
    text_skip_blanks(&text);
    quoted = text_take(&text, "'");
    while (!text_at_end(&text) &&
           (quoted ? *text.position != '\'' : !isspace((unsigned char) *text.position)))
    {
        if (*text.position == '\\' && ++text.position == text.end)
            break;
        buffer_append_u8(value, (uint8_t) *text.position++);
    }
    if (quoted && !text_take(&text, "'"))
        return false;
    *position = text.position;
    return true;
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
