/*
 * Conversion of text from the encoding of a database to UTF-8.
 */
#ifndef BASE_ENCODING_H
#define BASE_ENCODING_H

#include "base/arena.h"
#include "base/buffer.h"

#include <iconv.h>

/* No conversion: the text is UTF-8, or is used as if it were, because its encoding is SQL_ASCII. */
#define NO_CONVERSION ((iconv_t) -1)

#define ENCODING_SQL_ASCII 0 /* number of SQL_ASCII (mb/pg_wchar.h), which is not converted */

#define ENCODING_NONE UINT32_MAX /* of_others of the first encoding_of_shared */

/* The conversion to UTF-8 from the encoding with this number (pg_database.encoding). NO_CONVERSION
 * for UTF-8, SQL_ASCII and unknown numbers; for an encoding that iconv lacks only ASCII can be
 * converted. */
iconv_t encoding_open(uint32_t number);
void encoding_close(iconv_t conversion); /* NO_CONVERSION is allowed */

/*
 * The encoding of names that all databases share (roles, databases). Such a name is in the encoding
 * of the database in which it was given, so its encoding is only known if all databases have the
 * same one. Call this for each database, with the previous result as of_others, ENCODING_NONE at
 * first. The result is the common encoding, or ENCODING_SQL_ASCII if they differ.
 */
uint32_t encoding_of_shared(uint32_t of_others, uint32_t encoding);

/* Convert the bytes of the buffer from `start` to its end, in place. Returns false, and changes
 * nothing, if the bytes are not valid in the encoding. */
bool encoding_convert(iconv_t conversion, Buffer *text, size_t start);

/*
 * Convert a name of size bytes; the result is in the arena. A name that is invalid or cannot be
 * converted gets bytes that UTF-8 does not have: check the result with utf8_is_valid.
 */
const char *encoding_name(iconv_t conversion, const char *name, size_t size, Arena *arena);

/* Append a string; what is not UTF-8 becomes U+FFFD. utf8_append_comment is for a comment in SQL,
 * which psql sends to the server: what is not UTF-8, and control characters, become "?". */
void utf8_append(Buffer *text, const char *string);
void utf8_append_comment(Buffer *text, const char *string);

#endif
