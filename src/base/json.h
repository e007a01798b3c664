/*
 * Writes JSON: keys in the order of calls, two spaces a level, commas where they belong. It does
 * not check that the calls make a document.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/buffer.h"

#include <stdio.h>

typedef struct Json
{
    Buffer *text;
    FILE *file; /* gets the text whenever it has become long; NULL: all stays in text */
    int level;
    bool one_line; /* no line break, no blank: JSON Lines */
    bool first;    /* nothing stands in the innermost object or array yet */
} Json;

/* Open the document, '{'. */
void json_open(Json *json, char bracket);
/* In an object: a key whose value is an object '{' or an array '['. Not known: null; returns false.
 */
bool json_section(Json *json, const char *key, char bracket, bool known);
/* bracket: '}' or ']'. */
void json_close(Json *json, char bracket);
/*
 * An array of objects: for (size_t i = 0; json_each(json, key, known, i, count); i++) { the keys of
 * object i }. Not known: null.
 */
bool json_each(Json *json, const char *key, bool known, size_t index, size_t count);
/* The keys of an error, in an object: message, detail, hint, remedy. */
void json_error(Json *json, const Error *error);

/* A key and its value. A string that is NULL is null; what is not UTF-8 becomes U+FFFD. */
void json_string(Json *json, const char *key, const char *value);
/* A string in an array, in its own line; NULL is null. */
void json_element(Json *json, const char *value);
/* A key and an array of them. */
void json_strings(Json *json, const char *key, const char *const *strings, size_t count);

void json_null(Json *json, const char *key);
void json_number(Json *json, const char *key, uint64_t value);
void json_known_number(Json *json, const char *key, bool known, uint64_t value);
/* text is a number as JSON writes it, NULL is null. */
void json_decimal(Json *json, const char *key, const char *text);
void json_bool(Json *json, const char *key, bool value);
void json_seconds(Json *json, const char *key, double value);

#endif
