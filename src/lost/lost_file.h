/*
 * One of the two files of --save-lost-rows, and the disk space for both.
 */
#ifndef LOST_LOST_FILE_H
#define LOST_LOST_FILE_H

#include "pair/saved_directory.h"
#include "divergence/divergence.h"

typedef struct LostRoom
{
    const char *directory;
    bool counting;   /* count bytes only, and write nothing */
    uint64_t needed; /* bytes that both files need; 0 if not counted */
    uint64_t free;   /* bytes that may be written at the start */
    uint64_t left;   /* bytes of `free` that are not used yet */
} LostRoom;

/* Set `free` and `left` from the file system's free space, without 64 MB that stay free and, if the
 * target is on the same file system, without the rewind_bytes that the rewind needs itself. */
MUST_CHECK bool lost_room_find(LostRoom *room, const char *target, uint64_t rewind_bytes,
                               Error *error);

/* False, with an error, if `needed` bytes are more than room->free. */
MUST_CHECK bool lost_room_has(const LostRoom *room, uint64_t needed, Error *error);

/* All but `room` must be zero at first. */
typedef struct LostFile
{
    LostRoom *room;
    SavedFile made;
    uint64_t size;            /* bytes in the file so far; `text` is appended after them */
    uint64_t first_line_size; /* bytes before the first newline, which lost_file_finish does not
                                 compare; set by the caller */
    Buffer text;
    bool is_other; /* a file with the final name exists and has other content */
} LostFile;

/* Create the file with mode 0600. */
MUST_CHECK bool lost_file_open(LostFile *file, const char *path, Error *error);

/* Write the buffered text to the file if it is longer than 256 kB. */
MUST_CHECK bool lost_file_flush(LostFile *file, Error *error);

/* Write all buffered text, and give the file its final name. Never replaces a file: an existing one
 * must have the same content from the second line on, unless any_content is set. */
MUST_CHECK bool lost_file_finish(LostFile *file, bool any_content, Error *error);

/* Close the file. Call this last, even after a failure. */
void lost_file_close(LostFile *file);

#endif
