/*
 * Whether other accounts can have put what is at a path, or can put something else there.
 *
 * Root and our own account are trusted, and so are files and directories that belong to one of them
 * and that others cannot write to. Others are everybody; and in what is ours every group but
 * root's and our own, since root decides on its groups. A directory that others can write to does
 * with the sticky bit: there they cannot rename or remove what is not theirs.
 */
#ifndef IO_TRUST_H
#define IO_TRUST_H

#include "base/error.h"

/*
 * Check each directory on the way to the path, each symbolic link, which is only followed if its
 * owner is trusted, and what is there. Nothing need be there: then what we make there will be ours.
 */
MUST_CHECK bool trust_check(const char *path, Error *error);

/* Check only what is at the path, which must be no link: the way there is trusted as that of a data
 * directory. Nothing need be there. */
MUST_CHECK bool trust_check_entry(const char *path, Error *error);

#endif
