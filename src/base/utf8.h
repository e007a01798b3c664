/*
 * Recognition of UTF-8.
 */
#ifndef BASE_UTF8_H
#define BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Length in bytes of the UTF-8 character at `bytes`, a string that ends with a NUL; 1 for the NUL
 * itself, 0 for an invalid character. Valid is what the Unicode standard and the server accept: no
 * overlong forms, no surrogates. */
size_t utf8_length(const unsigned char *bytes);
bool utf8_is_valid(const char *text);

#endif
