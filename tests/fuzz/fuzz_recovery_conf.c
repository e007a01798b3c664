/* Configuration files and restore commands of strangers; what we write is what we read. */
#include "format/recovery_conf.h"
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

static void write_and_read(const char *string)
{
    Buffer text = {0};
    Buffer value = {0};

    if (strchr(string, '\n') != NULL)
        return; /* no setting holds one */
    setting_replace("restore_command = 'old'", 23, "restore_command", string, &text);
    if (!setting_find((const char *) text.bytes, text.size, "restore_command", &value) ||
        strcmp(buffer_string(&value), string) != 0)
        __builtin_trap();
    buffer_free(&text);
    buffer_free(&value);
}

static void read_all(const uint8_t *bytes, size_t size)
{
    const char *position = (const char *) bytes;
    const char *end = position + size;
    Arena *arena = arena_create();
    Buffer name = {0};
    Buffer value = {0};

    while (setting_next(&position, end, &name, &value))
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
    (void) setting_find((const char *) bytes, size, "restore_command", &value);
    setting_replace((const char *) bytes, size, "restore_command", "x", &text);
    if (!setting_find((const char *) text.bytes, text.size, "restore_command", &value) ||
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
