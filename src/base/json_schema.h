/*
 * The keys of a JSON document, from which its schema is made: docs/report.schema.json and
 * docs/check.schema.json are what json_schema_append makes of the tables (tests/print_schema.c).
 */
#ifndef BASE_JSON_SCHEMA_H
#define BASE_JSON_SCHEMA_H

#include "base/json.h"

typedef enum JsonKind
{
    JSON_STRING,
    JSON_ONE_OF, /* a string: one of values */
    JSON_LSN,
    JSON_TIME,   /* ISO 8601 in UTC */
    JSON_DIGITS, /* a string of digits */
    JSON_NAME,   /* the name of a finding: small letters and underscores */
    JSON_COUNT,  /* an integer that is not negative */
    JSON_INTEGER,
    JSON_DECIMAL, /* a number that is not negative */
    JSON_BOOL,
    JSON_STRINGS, /* an array */
    JSON_OBJECT,  /* the keys that follow with a greater depth are its own */
    JSON_OBJECTS  /* an array of such objects */
} JsonKind;

typedef struct JsonKey
{
    unsigned depth; /* how deep the key lies; 0 for keys of the document itself */
    const char *name;
    JsonKind kind;
    bool nullable;
    const char *values; /* the values of a JSON_ONE_OF, with '|' between them; the only value of
                           a JSON_COUNT, or NULL for any */
    const char *description; /* a sentence for the schema; NULL where the name says enough */
} JsonKey;

/* Append a schema (draft 7). All keys are required; others are allowed. */
void json_schema_append(const char *title, const char *description, const JsonKey *keys,
                        size_t count, Buffer *text);

#endif
