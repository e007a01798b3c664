/*
 * A writer of JSON: keys in the order of calls, two spaces a level, commas where necessary. The
 * writer does not check that the calls make a valid document.
 */
#ifndef BASE_JSON_H
#define BASE_JSON_H

#include "base/buffer.h"

#include <stdio.h>

typedef struct Json
{
    Buffer *text;
    FILE *file; /* file to which text is moved when it has become long; the caller writes the rest
                   and checks ferror. NULL keeps all in text */
    int level;
    bool one_line; /* no line breaks and blanks, for JSON Lines */
    bool first;    /* nothing was written to the innermost object or array yet */
} Json;

/* Write the first bracket of the document, '{'. */
void json_open(Json *json, char bracket);
/* Write a key and open its value, an object '{' or an array '['. If not known, the value is null,
 * and the result is false: do not close it. */
bool json_section(Json *json, const char *key, char bracket, bool known);
/* Close the innermost object '}' or array ']'. */
void json_close(Json *json, char bracket);
/*
 * Write an array of objects by a loop: for (size_t i = 0; json_each(json, key, known, i, count);
 * i++) { the keys of object i }. If not known, the value is null.
 */
bool json_each(Json *json, const char *key, bool known, size_t index, size_t count);
/* Write the keys of an error into the open object: message, detail, hint, remedy. An empty one is
 * null. */
void json_error(Json *json, const Error *error);

/* Write a key and a string. NULL becomes null; what is not UTF-8 becomes U+FFFD. */
void json_string(Json *json, const char *key, const char *value);
/* Write a string of an array, on its own line; NULL becomes null. */
void json_element(Json *json, const char *value);
/* Write a key and an array of strings. */
void json_strings(Json *json, const char *key, const char *const *strings, size_t count);

void json_null(Json *json, const char *key);
void json_number(Json *json, const char *key, uint64_t value);
void json_known_number(Json *json, const char *key, bool known, uint64_t value);
/* Write a key and a number, which text holds in JSON's form; NULL becomes null. */
void json_decimal(Json *json, const char *key, const char *text);
void json_bool(Json *json, const char *key, bool value);
void json_seconds(Json *json, const char *key, double value); /* with three decimals */

#endif
