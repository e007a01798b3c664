/*
 * Characters of UTF-8.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Length of the character of UTF-8 at bytes, which end with a NUL; 0 if it is not one. As the
 * Unicode standard and the server accept it: no overlong forms, no surrogates. */
size_t utf8_length(const unsigned char *bytes);
bool utf8_is_valid(const char *text);

#endif
