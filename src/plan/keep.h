/*
 * Files of the target that stay as they are: --keep=PATTERN and --keep-config.
 */
#ifndef PLAN_KEEP_H
#define PLAN_KEEP_H

#include "format/versions.h"

typedef struct KeepPattern
{
    const char *text; /* the caller's, or of keep_add_file */
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
 * does a dot at the beginning; what matches a directory keeps all below it. An error unless it is
 * relative and not empty. text must live as long as keep.
 */
MUST_CHECK bool keep_add(Keep *keep, const char *text, Error *error);

/* Add a file that the target's configuration names; nothing happens if that is the server's own.
 * text must live as long as keep. */
void keep_add_file(Keep *keep, const Version *version, const char *text);

/*
 * Must the target keep this file as it is, or stay without it? It is asked for directories before
 * what is in them, and not for what is below one that is kept. *kept_by: what says so, for
 * messages.
 */
bool keep_matches(const Keep *keep, const char *path, const char **kept_by);

/* The same for one pattern. */
bool keep_pattern_matches(const KeepPattern *pattern, const char *path);

/* It is one of the files that --keep-config keeps by its name. */
bool keep_is_configuration(const char *path);

/* A copy, to which files can be added; the texts stay shared. */
void keep_copy(const Keep *from, Keep *keep);

void keep_free(Keep *keep);

#endif
