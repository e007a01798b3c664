#include "format/settings.h"

#include "base/array.h"
#include "format/recovery_conf.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#define DEPTH_MAX 10 /* CONF_FILE_MAX_DEPTH of the server */
#define FILES_MAX 1000
#define SETTINGS_MAX 10000

/* ---- the list ---- */

static int compare_setting(const void *name, const void *setting)
{
    return strcmp(name, ((const Setting *) setting)->name);
}

static size_t find_setting(const Settings *settings, const char *name, bool *found)
{
    return array_search(name, settings->items, settings->count, sizeof(*settings->items),
                        compare_setting, found);
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
}

/* ---- files ---- */

/* Is the part of a path, up to a slash or its end, this one? */
static bool is_part(const char *part, size_t length, const char *name)
{
    return length == strlen(name) && strncmp(part, name, length) == 0;
}

const char *settings_path(Arena *arena, const char *base, const char *value)
{
    const char *slash = strrchr(base, '/');
    Buffer path = {0};
    const char *result = NULL;

    if (value[0] == '\0' || value[0] == '/')
        return NULL;
    if (slash != NULL)
        buffer_append(&path, base, (size_t) (slash - base));
    for (size_t length; *value != '\0'; value += length + (value[length] == '/'))
    {
        length = strcspn(value, "/");
        if (is_part(value, length, ".."))
        {
            if (path.size == 0)
                goto done;
            while (path.size > 0 && path.bytes[--path.size] != '/')
                continue;
            continue;
        }
        if (length == 0 || is_part(value, length, "."))
            continue;
        if (path.size > 0 || base[0] == '/')
            buffer_append_u8(&path, '/');
        buffer_append(&path, value, length);
    }
    result = arena_strdup(arena, buffer_string(&path));

done:
    buffer_free(&path);
    return result;
}

static void read_settings_file(Settings *settings, const SettingsReader *reader, const char *path,
                               int depth);

static bool is_settings_file(const char *name)
{
    size_t length = strlen(name);

    return name[0] != '.' && length > 5 && strcmp(name + length - 5, ".conf") == 0;
}

static void read_settings_directory(Settings *settings, const SettingsReader *reader,
                                    const char *path, int depth)
{
    const char *const *names;
    size_t count;

    reader->list(reader->context, path, settings->arena, &names, &count);
    for (size_t i = 0; i < count; i++)
        if (is_settings_file(names[i]))
            read_settings_file(settings, reader,
                               arena_printf(settings->arena, "%s/%s", path, names[i]), depth + 1);
}

static void apply_setting(Settings *settings, const SettingsReader *reader, const char *path,
                          int depth, const char *name, const char *value)
{
    const bool is_directory = strcmp(name, "include_dir") == 0;
    const char *included;

    if (!is_directory && strcmp(name, "include") != 0 && strcmp(name, "include_if_exists") != 0)
    {
        settings_set(settings, name, value);
        return;
    }
    if (value[0] == '/' && reader->below != NULL)
    {
        value = reader->below(reader->context, value);
        path = "";
    }
    included = value != NULL ? settings_path(settings->arena, path, value) : NULL;
    if (included == NULL)
        settings->incomplete = true;
    else if (is_directory)
        read_settings_directory(settings, reader, included, depth);
    else
        read_settings_file(settings, reader, included, depth + 1);
}

static void read_settings_file(Settings *settings, const SettingsReader *reader, const char *path,
                               int depth)
{
    Buffer content = {0}, name = {0}, value = {0};
    const char *position, *end;
    bool found = false;

    if (settings->files == NULL)
        settings->files = arena_allocate(settings->arena, FILES_MAX * sizeof(*settings->files));
    if (depth > DEPTH_MAX || settings->file_count == FILES_MAX ||
        !reader->read(reader->context, path, &content, &found))
        settings->incomplete = true;
    else if (found)
    {
        settings->files[settings->file_count++] = arena_strdup(settings->arena, path);
        position = buffer_string(&content);
        end = position + content.size;
        while (setting_next(&position, end, &name, &value))
            apply_setting(settings, reader, path, depth, buffer_string(&name),
                          buffer_string(&value));
    }
    buffer_free(&content);
    buffer_free(&name);
    buffer_free(&value);
}

void settings_read(Settings *settings, const SettingsReader *reader, const char *path)
{
    read_settings_file(settings, reader, path, 0);
}

/* ---- passwords ---- */

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

/* Settings that have such a word in their names and tell no secret. */
static bool is_secret_name(const char *name)
{
    return holds_word(name, strlen(name)) && strcmp(name, "password_encryption") != 0 &&
           strncmp(name, "ssl_", 4) != 0;
}

/* The end of the value at position, which may stand in quotes of a connection string or of the
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

/* The position after "word = ", if the word before an equals sign (or blank, for "--password x")
 * names a secret. */
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

const char *setting_masked(Arena *arena, const char *name, const char *value)
{
    Buffer text = {0};
    const char *position = value;
    const char *result;

    if (is_secret_name(name))
        return value[0] == '\0' ? value : "********";
    while (*position != '\0')
    {
        const char *at = strncmp(position, "://", 3) == 0 ? position + 3 : NULL;
        const char *secret =
            *position == '=' || *position == ' ' ? find_secret(value, position) : NULL;
        size_t user = at != NULL ? strcspn(at, ":@/ ") : 0;

        if (at != NULL && at[user] == ':' && at[user + 1 + strcspn(at + user + 1, "@/ ")] == '@')
        {
            buffer_append(&text, position, (size_t) (at + user + 1 - position));
            buffer_append_string(&text, "********");
            position = at + user + 1 + strcspn(at + user + 1, "@/ ");
        }
        else if (secret != NULL && *secret != '\0')
        {
            buffer_append(&text, position, (size_t) (secret - position));
            buffer_append_string(&text, "********");
            position = end_of_value(secret);
        }
        else
            buffer_append_u8(&text, (uint8_t) *position++);
    }
    result = arena_strdup(arena, buffer_string(&text));
    buffer_free(&text);
    return result;
}
