/*
 * Files of the target that stay as they are: --keep=PATTERN and --keep-config.
 */
#ifndef PLAN_KEEP_H
#define PLAN_KEEP_H

#include "format/versions.h"

typedef struct KeepPattern
{
    const char *text; /* the pattern or path; borrowed from the caller of keep_add */
    size_t length;    /* without slashes at the end */
    bool file;        /* a path that was found in the configuration, no pattern */
} KeepPattern;

typedef struct Keep
{
    KeepPattern *patterns;
    size_t count;
    bool configuration; /* --keep-config */
} Keep;

/*
 * Add a shell pattern for paths in the data directory: a wildcard does not match a slash, but it
 * does a dot at the beginning; what matches a directory keeps all below it. An error if the pattern
 * is absolute, empty or longer than PATH_LENGTH_MAX. text must live as long as keep.
 */
MUST_CHECK bool keep_add(Keep *keep, const char *text, Error *error);

/* Add a file that the target's configuration names, as a path, not a pattern. A path for which
 * path_server_reads is true is not added: the rewind must be free to change it. text must live as
 * long as keep. */
void keep_add_file(Keep *keep, const Version *version, const char *text);

/*
 * True if the target keeps its own file at this path, or remains without a file there. The caller
 * asks for a directory before its files, and skips the files of a directory that is kept. *kept_by:
 * the pattern that matched, or "the configuration" for --keep-config, for messages. keep may be
 * NULL: nothing is kept.
 */
bool keep_matches(const Keep *keep, const char *path, const char **kept_by);

/* True if keep_matches the path, or a directory above it. */
bool keep_covers(const Keep *keep, const char *path);

/* True if this one pattern matches the path. */
bool keep_pattern_matches(const KeepPattern *pattern, const char *path);

/* True for a path that --keep-config keeps by its name, such as postgresql.conf. */
bool keep_is_configuration(const char *path);

/* A copy, to which files can be added; the texts stay shared. */
void keep_copy(const Keep *from, Keep *keep);

void keep_free(Keep *keep);

#endif
