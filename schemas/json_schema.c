#include "json_schema.h"

#include <string.h>

/* The type and the pattern that the schema gives for values of each kind. */
static const struct
{
    const char *type, *pattern;
    bool has_minimum;
} kinds[] = {
    [JSON_STRING] = {"string", NULL, false},
    [JSON_ONE_OF] = {NULL, NULL, false},
    [JSON_LSN] = {"string", "^[0-9A-F]+/[0-9A-F]+$", false},
    [JSON_TIME] = {"string", "^-?[0-9]{4,6}-[0-9]{2}-[0-9]{2}T[0-9:]{8}\\.[0-9]{6}Z$", false},
    [JSON_DIGITS] = {"string", "^[0-9]+$", false},
    [JSON_NAME] = {"string", "^[a-z_]+$", false},
    [JSON_COUNT] = {"integer", NULL, true},
    [JSON_INTEGER] = {"integer", NULL, false},
    [JSON_DECIMAL] = {"number", NULL, true},
    [JSON_BOOL] = {"boolean", NULL, false},
    [JSON_STRINGS] = {"array", NULL, false},
    [JSON_OBJECT] = {"object", NULL, false},
    [JSON_OBJECTS] = {"array", NULL, false},
};

static void append_type(Json *json, const char *type, bool nullable)
{
    const char *const types[] = {type, "null"};

    if (nullable)
        json_strings(json, "type", types, 2);
    else
        json_string(json, "type", type);
}

static size_t append_object(Json *json, const JsonKey *keys, size_t count, unsigned depth);

/* Append one key with the keys inside it. Returns how many keys that are. */
static size_t append_described(Json *json, const JsonKey *key, size_t count)
{
    AUTO_BUFFER Buffer value = {0};
    size_t done = 1;

    json_section(json, key->name, '{', true);
    if (key->description != NULL)
        json_string(json, "description", key->description);
    if (key->kind == JSON_ONE_OF)
    {
        json_section(json, "enum", '[', true);
        for (const char *word = key->values; *word != '\0'; word += *word == '|')
        {
            buffer_clear(&value);
            buffer_append(&value, word, strcspn(word, "|"));
            json_element(json, buffer_string(&value));
            word += value.size;
        }
        if (key->nullable)
            json_element(json, NULL);
        json_close(json, ']');
    }
    else
        append_type(json, kinds[key->kind].type, key->nullable);
    if (kinds[key->kind].pattern != NULL)
        json_string(json, "pattern", kinds[key->kind].pattern);
    if (key->kind == JSON_COUNT && key->values != NULL)
        json_decimal(json, "const", key->values);
    else if (kinds[key->kind].has_minimum)
        json_number(json, "minimum", 0);
    if (key->kind == JSON_STRINGS || key->kind == JSON_OBJECTS)
        json_section(json, "items", '{', true);
    if (key->kind == JSON_STRINGS)
        append_type(json, "string", false);
    if (key->kind == JSON_OBJECTS)
        append_type(json, "object", false);
    if (key->kind == JSON_OBJECT || key->kind == JSON_OBJECTS)
        done += append_object(json, key + 1, count - 1, key->depth + 1);
    if (key->kind == JSON_STRINGS || key->kind == JSON_OBJECTS)
        json_close(json, '}');
    json_close(json, '}');
    return done;
}

/* Append the keys of one object, which ends at a key of lower depth. Returns how many keys that
 * are, with those inside. */
static size_t append_object(Json *json, const JsonKey *keys, size_t count, unsigned depth)
{
    size_t end = 0;

    json_section(json, "required", '[', true);
    for (; end < count && keys[end].depth >= depth; end++)
        if (keys[end].depth == depth)
            json_element(json, keys[end].name);
    json_close(json, ']');
    json_section(json, "properties", '{', true);
    for (size_t i = 0; i < end;)
        i += append_described(json, &keys[i], end - i);
    json_close(json, '}');
    return end;
}

void json_schema_append(const char *title, const char *description, const JsonKey *keys,
                        size_t count, Buffer *text)
{
    Json json = {.text = text};

    json_open(&json, '{');
    json_string(&json, "$schema", "http://json-schema.org/draft-07/schema#");
    json_string(&json, "title", title);
    json_string(&json, "description", description);
    json_string(&json, "type", "object");
    (void) append_object(&json, keys, count, 0);
    json_close(&json, '}');
    buffer_append_u8(text, '\n');
}
