/*
 * Descriptions of types, read from a text instead of the catalogs. The text has a line for each
 * type, label of an enum, and attribute of a composite type; fields are separated by tabs:
 *
 *   type OID KIND DELIMITER LENGTH ALIGNMENT INNER SCHEMA NAME
 *   label TYPE OID LABEL
 *   attribute TYPE OID LENGTH ALIGNMENT NAME [MISSING, in hexadecimal]
 */
#ifndef TESTS_LOST_TYPES_H
#define TESTS_LOST_TYPES_H

#include "base/arena.h"
#include "base/array.h"
#include "io/file.h"
#include "lost/value_text.h"

#include <stdlib.h>
#include <string.h>

#define TYPES_SIZE_MAX ((size_t) 16 * 1024 * 1024)
#define TYPES_FIELDS_MAX 9

/* Begins as zeros. */
typedef struct Types
{
    Arena *arena;
    Type *items;
    size_t count;
} Types;

/* A TypeFunction, whose context is a Types. */
static inline const Type *types_find(void *context, Oid oid)
{
    const Types *types = context;

    for (size_t i = 0; i < types->count; i++)
        if (types->items[i].oid == oid && oid != 0)
            return &types->items[i];
    return NULL;
}

static inline Type *types_item(Types *types, const char *field)
{
    const Oid oid = (Oid) strtoul(field, NULL, 10);

    for (size_t i = 0; i < types->count; i++)
        if (types->items[i].oid == oid)
            return &types->items[i];
    ARRAY_GROW(types->items, types->count);
    types->items[types->count] = (Type){.oid = oid};
    return &types->items[types->count++];
}

static inline Slice bytes_of_hex(Arena *arena, const char *hex)
{
    Slice bytes = {.size = strlen(hex) / 2};
    uint8_t *to = arena_allocate(arena, bytes.size);

    for (size_t i = 0; i < bytes.size; i++)
    {
        const char digits[3] = {hex[2 * i], hex[2 * i + 1], '\0'};
        to[i] = (uint8_t) strtoul(digits, NULL, 16);
    }
    bytes.bytes = to;
    return bytes;
}

static inline bool types_read_line(Types *types, char **fields, size_t count)
{
    Type *type = types_item(types, fields[1]);
    const Oid oid = (Oid) strtoul(fields[2], NULL, 10);

    if (strcmp(fields[0], "type") == 0 && count == 9)
    {
        type->kind = fields[2][0];
        type->delimiter = fields[3][0];
        type->storage = (Storage){(int16_t) atoi(fields[4]), fields[5][0]};
        type->inner = (Oid) strtoul(fields[6], NULL, 10);
        type->schema = fields[7];
        type->name = fields[8];
    }
    else if (strcmp(fields[0], "label") == 0 && count == 4)
    {
        EnumLabel *labels = (EnumLabel *) type->labels;
        ARRAY_GROW(labels, type->label_count);
        labels[type->label_count++] = (EnumLabel){oid, fields[3]};
        type->labels = labels;
    }
    else if (strcmp(fields[0], "attribute") == 0 && count >= 6)
    {
        Attribute *attributes = (Attribute *) type->attributes;
        ARRAY_GROW(attributes, type->attribute_count);
        attributes[type->attribute_count++] = (Attribute){
            .name = fields[5],
            .type = oid,
            .storage = {(int16_t) atoi(fields[3]), fields[4][0]},
            .missing = count > 6 ? bytes_of_hex(types->arena, fields[6]) : (Slice){0}};
        type->attributes = attributes;
    }
    else
        return false;
    return true;
}

/* Add what a file says. */
static inline bool types_read(Types *types, const char *path, Error *error)
{
    AUTO_BUFFER Buffer text = {0};

    if (types->arena == NULL)
        types->arena = arena_create();
    types_item(types, "0");
    if (!file_read_all(path, TYPES_SIZE_MAX, &text, NULL, error))
        return false;
    char *rest = arena_strdup(types->arena, buffer_string(&text));
    for (char *line = strsep(&rest, "\n"); line != NULL; line = strsep(&rest, "\n"))
    {
        char *fields[TYPES_FIELDS_MAX] = {NULL};
        size_t count = 0;

        if (line[0] == '\0')
            continue;
        for (char *field = strsep(&line, "\t"); field != NULL && count < TYPES_FIELDS_MAX;
             field = strsep(&line, "\t"))
            fields[count++] = field;
        if (count < 4 || !types_read_line(types, fields, count))
            return error_set(error, ERROR_FAILED, "bad line in \"%s\"", path);
    }
    return true;
}

static inline void types_free(Types *types)
{
    for (size_t i = 0; i < types->count; i++)
    {
        free((void *) types->items[i].labels);
        free((void *) types->items[i].attributes);
    }
    free(types->items);
    arena_destroy(types->arena);
    *types = (Types){0};
}

#endif
