/*
 * Recognizes a cluster whose files its server encrypts, by the files that hold the server's keys.
 *
 * Blocks of source and target may then be encrypted with different keys (design/limits.md,
 * "Encrypted clusters"): no block of one may be written to the other, and a digest tells nothing.
 */
#ifndef SOURCE_ENCRYPTION_H
#define SOURCE_ENCRYPTION_H

#include "source/source.h"

/*
 * Look in a data directory, whatever its server does; directory NULL: ask the source, a server.
 * Fails with ERROR_FAILED if there are keys, and names what encrypts and the program that can
 * rewind such a cluster. Fails as well if the source cannot be asked, or a directory cannot be
 * read.
 */
MUST_CHECK bool encryption_check(Source *source, const char *directory, Error *error);

#endif
