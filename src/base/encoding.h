/*
 * Text in the encoding of a database, made UTF-8.
 */
#ifndef BASE_ENCODING_H
#define BASE_ENCODING_H

#include "base/arena.h"
#include "base/buffer.h"

#include <iconv.h>

/* Of text that is UTF-8 already, or is taken as that since nothing converts its encoding. */
#define NO_CONVERSION ((iconv_t) -1)

#define ENCODING_SQL_ASCII 0 /* of no known encoding: nothing is converted (mb/pg_wchar.h) */

#define ENCODING_NONE UINT32_MAX

/* The conversion from the encoding with that number in pg_database. */
iconv_t encoding_open(uint32_t number);
void encoding_close(iconv_t conversion);

/*
 * The encoding of names that all databases share, such as their own and those of roles, after one
 * more database; before the first it is ENCODING_NONE. Such a name is in the encoding of the
 * database where it was given, which is known only if all have the same.
 */
uint32_t encoding_of_shared(uint32_t of_others, uint32_t encoding);

/* Convert what the buffer has from start on. False: it is no text of that encoding, and is as it
 * was. */
bool encoding_convert(iconv_t conversion, Buffer *text, size_t start);

/*
 * A name of size bytes, converted; in the arena. It is the name only if it is valid UTF-8: what is
 * no text of that encoding, or cannot be converted, is given bytes that are in no UTF-8.
 */
const char *encoding_name(iconv_t conversion, const char *name, size_t size, Arena *arena);

/* Append a string; what is not UTF-8 becomes U+FFFD. For a comment of SQL, which psql sends to the
 * server, that and control characters become "?". */
void utf8_append(Buffer *text, const char *string);
void utf8_append_comment(Buffer *text, const char *string);

#endif
