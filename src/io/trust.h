/*
 * Check that no other account can have created what is at a path, or can replace it.
 *
 * Root and our own account are trusted, and so are files and directories that belong to one of them
 * and that others cannot write to. Others are everybody; for files of ours, also every group except
 * root's and our own (in what belongs to root, root has chosen the group). A directory that others
 * can write to is trusted if it has the sticky bit: they can neither rename nor remove files of
 * other users there.
 */
#ifndef IO_TRUST_H
#define IO_TRUST_H

#include "base/error.h"

/* Check each directory and symbolic link on the way to the path, and the file there. A link is
 * followed only if its owner is trusted. The file need not exist: if we create it, it will be ours.
 */
MUST_CHECK bool trust_check(const char *path, Error *error);

/* Check only the file at the path. A symbolic link there is an error, or with `follow` checked like
 * what it leads to. The way to the path is trusted, as that of a data directory is. A group that
 * may write there is trusted, too: its members were let into the cluster's files by their owner or
 * root, as Kubernetes does each time that it mounts a volume (fsGroup). The file need not exist. */
MUST_CHECK bool trust_check_entry(const char *path, bool follow, Error *error);

#endif
