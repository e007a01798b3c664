/*
 * What apply will do, on disk, checksummed: PGDATA/pg_rewind.work/journal.
 *
 * States of a target, and which function leaves each (all in apply.c and commit.c; the journal file
 * itself never changes once it is written):
 *
 * - No journal: stage_finish writes and syncs it (as journal.new, then a rename).
 * - A journal that is not live: neither the blocker with its id nor its poison is in place. Nothing
 *   was changed, it may be thrown away.
 * - A live one: the blocker with its id is backup_label, or pg_control is its poison. apply_finish
 *   must carry it out.
 * - A done one: pg_control is its new one. Only cleaning up is left.
 */
#ifndef APPLY_JOURNAL_H
#define APPLY_JOURNAL_H

#include "base/arena.h"
#include "base/error.h"
#include "format/control.h"

#include <stdbool.h>
#include <stdint.h>

#define JOURNAL_NAME "journal"
#define RUN_ID_SIZE 33

typedef struct JournalHead
{
    char run_id[RUN_ID_SIZE];               /* random, hex */
    const char *source;                     /* description of the source; for messages */
    const char *divergence;                 /* "0/3000148 on timeline 1", for messages */
    uint8_t old_control[CONTROL_FILE_SIZE]; /* the target's before the rewind */
    uint8_t poison[CONTROL_FILE_SIZE];
    uint8_t new_control[CONTROL_FILE_SIZE];
    const char *backup_label; /* the real one's text */
    const char *options;      /* journal_options_text; NULL: of a journal that does not have it */
    bool group_access;
} JournalHead;

typedef enum JournalKind
{
    JOURNAL_MAKE_DIRECTORY, /* path */
    JOURNAL_MAKE_LINK,      /* path, other: link target */
    JOURNAL_INSTALL,        /* rename other (staged) to path; done when other is not there */
    JOURNAL_PATCH,  /* path: open for the JOURNAL_RANGE entries that follow; size: final size of the
                       file */
    JOURNAL_RANGE,  /* bytes [data_offset, + size) of the file other belong at offset of the patched
                       file */
    JOURNAL_REMOVE, /* path: a file or link */
    JOURNAL_REMOVE_DIRECTORY, /* path; not empty (server logs stay): left */
    JOURNAL_WORK_DIRECTORY    /* path: of another file system; removed at the end */
} JournalKind;

/* Paths are relative to PGDATA (or absolute for work directories elsewhere). */
typedef struct JournalEntry
{
    JournalKind kind;
    const char *path;
    const char *other;
    uint64_t offset, data_offset, size;
} JournalEntry;

typedef struct JournalWriter JournalWriter;
MUST_CHECK bool journal_create(const char *target_directory, const JournalHead *head,
                               JournalWriter **writer, Error *error);
MUST_CHECK bool journal_add(JournalWriter *writer, const JournalEntry *entry, Error *error);
/* Write length, count and CRC, sync, rename into place, sync the directory, read back. Frees the
 * writer also on failure. */
MUST_CHECK bool journal_close(JournalWriter *writer, Error *error);
void journal_discard(JournalWriter *writer);

typedef struct JournalReader JournalReader;
/* *found false: there is none. A damaged one is an error. The whole file's CRC is checked before
 * anything is returned; memory is bounded. */
MUST_CHECK bool journal_open(const char *target_directory, Arena *arena, JournalReader **reader,
                             JournalHead *head, bool *found, Error *error);
/* Entries in order; *end at the end. Strings live until the next call. */
MUST_CHECK bool journal_next(JournalReader *reader, JournalEntry *entry, bool *end, Error *error);
void journal_rewind(JournalReader *reader);          /* start over */
uint64_t journal_bytes(const JournalReader *reader); /* to be written by all ranges, for progress */
void journal_close_reader(JournalReader *reader);

#endif
