/*
 * Text in the encoding of a database, made UTF-8.
 */
#ifndef LOST_ENCODING_H
#define LOST_ENCODING_H

#include "base/buffer.h"

#include <iconv.h>

/* Of text that is UTF-8 already, or is taken as that since nothing converts its encoding. */
#define NO_CONVERSION ((iconv_t) -1)

/* The conversion from the encoding with that number in pg_database. */
iconv_t encoding_open(uint32_t number);

/* Convert what the buffer has from start on. False: it is no text of that encoding, and is as it
 * was. */
bool encoding_convert(iconv_t conversion, Buffer *text, size_t start);

#endif
