/*
 * Tables of the keys of a JSON document, and the schema made of them: docs/report.schema.json of
 * report_keys.c, docs/check.schema.json of check_keys.c.
 */
#ifndef SCHEMAS_JSON_SCHEMA_H
#define SCHEMAS_JSON_SCHEMA_H

#include "base/json.h"

typedef enum JsonKind
{
    JSON_STRING,
    JSON_ONE_OF, /* a string, one of `values` */
    JSON_LSN,
    JSON_TIME,   /* ISO 8601 in UTC */
    JSON_DIGITS, /* a string of digits, for a number too large for a JSON number */
    JSON_NAME,   /* the name of a finding: lower-case letters and underscores */
    JSON_COUNT,  /* an integer >= 0 */
    JSON_INTEGER,
    JSON_DECIMAL, /* a number >= 0 */
    JSON_BOOL,
    JSON_STRINGS, /* an array of strings */
    JSON_OBJECT,  /* an object: the next keys with a greater depth belong to it */
    JSON_OBJECTS  /* an array of objects, like JSON_OBJECT */
} JsonKind;

typedef struct JsonKey
{
    unsigned depth; /* nesting depth; 0 for keys of the document itself */
    const char *name;
    JsonKind kind;
    bool nullable;
    const char *values;      /* values of a JSON_ONE_OF, separated by '|', or the only value of a
                                JSON_COUNT; NULL for any */
    const char *description; /* a sentence for the schema; NULL if the name says enough */
} JsonKey;

/* Append a JSON schema (draft 7). All keys are required; additional keys are allowed. */
void json_schema_append(const char *title, const char *description, const JsonKey *keys,
                        size_t count, Buffer *text);

/* Append the schema of the report, which src/report/document.c writes. */
void report_schema(Buffer *text);
/* Append the schema of what --check finds, which src/check/readiness.c writes. */
void check_schema(Buffer *text);

#endif
