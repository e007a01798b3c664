/*
 * One of the two files of --save-lost-rows, and the space for both.
 */
#ifndef LOST_LOST_FILE_H
#define LOST_LOST_FILE_H

#include "pair/saved_directory.h"
#include "divergence/divergence.h"

typedef struct LostRoom
{
    const char *directory;
    bool counting;   /* nothing is written: how long will the files be? */
    uint64_t needed; /* bytes of both files; 0: not counted */
    uint64_t free;   /* bytes that may be written */
    uint64_t left;   /* of these */
} LostRoom;

/* Set free: the rewind needs rewind_bytes for itself, perhaps on the same file system. */
MUST_CHECK bool lost_room_find(LostRoom *room, const char *target, uint64_t rewind_bytes,
                               Error *error);

/* False if so much is more than may be written. */
MUST_CHECK bool lost_room_has(const LostRoom *room, uint64_t needed, Error *error);

/* Begins as zeros, but for the room. */
typedef struct LostFile
{
    LostRoom *room;
    SavedFile made;
    uint64_t size; /* what is in the file; text comes after it */
    uint64_t first_line_size;
    Buffer text;
    bool is_other; /* a file of that name has other content */
} LostFile;

/* Make it, for its owner only. */
MUST_CHECK bool lost_file_open(LostFile *file, const char *path, Error *error);

/* Write the text, if it is much: a file has as many pieces as that needs. */
MUST_CHECK bool lost_file_flush(LostFile *file, Error *error);

/* Write all text, and give the file its name. It never replaces a file: one that is there must have
 * the same content from the second line on. */
MUST_CHECK bool lost_file_finish(LostFile *file, Error *error);

/* In any case, and last. */
void lost_file_close(LostFile *file);

#endif
