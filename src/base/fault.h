/*
 * Fault points: every call in io/ that changes a disk or talks to a peer passes one.
 *
 * Compiled to nothing unless -Dfaults=true. PG_REWIND_FAULT=kill:N kills the process at the N-th
 * point (counting from 1), error:N lets it fail with EIO, full:N lets all writes from it on fail
 * with ENOSPC; kill@NAME kills at the first point of that name, stop@NAME stops the process there
 * (SIGSTOP). PG_REWIND_FAULT_LOG=FILE appends "N NAME" for each point passed.
 */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include <stdbool.h>

#ifdef PG_REWIND_FAULTS
/* True when the call is to fail; errno is set. name: "write", "rename", "commit" ... */
bool fault_here(const char *name);
#else
static inline bool fault_here(const char *name)
{
    (void) name;
    return false;
}
#endif

#endif
