/* Configuration files and restore commands of strangers; what we write is what we read. */
#include "format/settings.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Options of a connection string are read again as they are written. */
static void read_conninfo(const char *conninfo)
{
    Buffer keyword = {0}, value = {0}, written = {0}, again = {0};
    const char *position;

    while (conninfo_next(&conninfo, &keyword, &value))
    {
        buffer_clear(&written);
        conninfo_append(&written, buffer_string(&keyword), buffer_string(&value));
        position = buffer_string(&written);
        if (!conninfo_next(&position, &keyword, &again) || *position != '\0' ||
            strcmp(buffer_string(&value), buffer_string(&again)) != 0)
            __builtin_trap();
    }
    buffer_free(&keyword);
    buffer_free(&value);
    buffer_free(&written);
    buffer_free(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* The value that a setting has after a text; false: it is not set. */
static bool find_value(const Buffer *text, const char *wanted, Buffer *value)
{
    TextCursor left = {(const char *) text->bytes, (const char *) text->bytes + text->size};
    Buffer name = {0}, any = {0};
    bool found = false;

    while (setting_next(&left, &name, &any))
    {
        if (strcmp(buffer_string(&name), wanted) != 0)
            continue;
        found = true;
        buffer_clear(value);
        buffer_append(value, any.bytes, any.size);
    }
    buffer_free(&name);
    buffer_free(&any);
    return found;
}

static void write_and_read(const char *string)
{
    Buffer text = {0};
    Buffer value = {0};

    if (strchr(string, '\n') != NULL)
        return; /* no setting holds one */
    buffer_append_string(&text, "restore_command = 'old'");
    setting_replace(&text, "restore_command", string);
    if (!find_value(&text, "restore_command", &value) ||
        strcmp(buffer_string(&value), string) != 0)
        __builtin_trap();
    buffer_free(&text);
    buffer_free(&value);
}

static void read_all(const uint8_t *bytes, size_t size)
{
    TextCursor text = {(const char *) bytes, (const char *) bytes + size};
    Arena *arena = arena_create();
    Buffer name = {0};
    Buffer value = {0};

    while (setting_next(&text, &name, &value))
    {
        (void) setting_masked(arena, buffer_string(&name), buffer_string(&value));
        (void) settings_path(arena, "a/b", buffer_string(&value));
    }
    arena_destroy(arena);
    buffer_free(&name);
    buffer_free(&value);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static Error error;
    char *string = malloc(size + 1);
    Buffer value = {0};
    Buffer text = {0};

    memcpy(string, bytes, size);
    string[size] = '\0';
    buffer_append(&text, bytes, size);
    setting_replace(&text, "restore_command", "x");
    if (!find_value(&text, "restore_command", &value) ||
        strcmp(buffer_string(&value), "x") != 0)
        __builtin_trap();
    (void) !restore_command_expand(string, "F", "P", "R", &text, &error);
    write_and_read(string);
    read_all(bytes, size);
    read_conninfo(string);
    buffer_free(&value);
    buffer_free(&text);
    free(string);
    return 0;
}
