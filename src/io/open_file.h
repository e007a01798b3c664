/*
 * The file that is open: for work that comes piece by piece, where most pieces are of the same file
 * as the one before. Belongs to one thread.
 */
#ifndef IO_OPEN_FILE_H
#define IO_OPEN_FILE_H

#include "base/error.h"
#include "io/file.h"
#include "io/written.h"

#include <stdbool.h>

typedef struct OpenFile
{
    int fd;              /* -1: none is open */
    char *path;          /* of the last file that was asked for; NULL: none */
    const void *purpose; /* the caller's; NULL after each switch */
    Written *written;    /* takes each file instead of its being closed; NULL: they are closed */
} OpenFile;

typedef enum OpenMode
{
    OPEN_TO_READ,   /* fd is -1 where there is no such file */
    OPEN_TO_UPDATE, /* for reading and writing; it must be there */
    OPEN_TO_CREATE  /* the same; it is made where it is not there, and not truncated */
} OpenMode;

/* Nothing is open. written may be NULL. */
void open_file_init(OpenFile *file, Written *written);

/*
 * Have the file at path open. If another one is, that is closed first. *switched (NULL allowed): it
 * was not open before. After a failure none is open.
 */
MUST_CHECK bool open_file_switch(OpenFile *file, const char *path, OpenMode mode, bool *switched,
                                 Error *error);

/* Close it, if one is open. The next switch opens in any case. */
void open_file_close(OpenFile *file);

#endif
