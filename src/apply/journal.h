/*
 * The journal: a file with a checksum, PGDATA/pg_rewind.work/journal, that lists what the apply has
 * to do. It never changes once it is written. What the rest of the directory looks like says how
 * far the rewind has come:
 *
 *   PendingState      journal  backup_label      pg_control  the function that leaves this state
 *   ----------------  -------  ----------------  ----------  -----------------------------------
 *   PENDING_NONE      none     the target's own  old         journal_close
 *   PENDING_STALE     whole    the target's own  old         install_blocker: this is the commit
 *   PENDING_APPLY     whole    blocker           old         install_poison
 *   PENDING_APPLY     whole    blocker, or none  poison      install_label, after carry_out
 *   PENDING_APPLY     whole    the new one       poison      install_control
 *   PENDING_CLEANUP   whole    the new one       new         remove_work_directories
 *   PENDING_NONE      none     the new one       new         the server
 *
 * "The target's own" backup_label may also be none. A PENDING_STALE journal is not live: its files
 * are thrown away by stage_remove_stale, or a run goes on to the commit. A journal is live in the
 * states between: apply_finish must carry it out. Each of these steps is synced before the next
 * begins, so a power cut leaves one of these rows too.
 *
 * PENDING_STALE is also the state where the blocker is in place, but pg_control is not one of
 * the three: a server got past the pid file at the moment of the commit. commit_take_back then
 * removes the blocker.
 */
#ifndef APPLY_JOURNAL_H
#define APPLY_JOURNAL_H

#include "format/control.h"

#define WORK_DIRECTORY "pg_rewind.work"
#define JOURNAL_NAME "journal"
#define BALLAST_NAME "ballast" /* holds the space that the apply will allocate on a root */
#define JOURNAL_PATH WORK_DIRECTORY "/" JOURNAL_NAME
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
    const char *options;      /* Options.decided; NULL: of a journal that does not have it */
    bool group_access;
} JournalHead;

typedef enum JournalKind
{
    JOURNAL_MAKE_DIRECTORY, /* path */
    JOURNAL_MAKE_LINK,      /* path, other: link target */
    JOURNAL_INSTALL,        /* move other (staged) to path; done when other is not there */
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

/* Set the buffer to PGDATA/path, or to an absolute path itself, and return the text. */
const char *target_path(Buffer *buffer, const char *target_directory, const char *path);

/* The path is a work directory, or with inside, a file in one. */
bool path_is_work(const char *path, bool inside);

typedef struct JournalWriter JournalWriter;

/* target_directory must live as long as the writer, which journal_close or journal_discard frees,
 * also after a failure. */
MUST_CHECK bool journal_create(const char *target_directory, const JournalHead *head,
                               JournalWriter **writer, Error *error);
MUST_CHECK bool journal_add(JournalWriter *writer, const JournalEntry *entry, Error *error);
/* Write length, count and CRC, sync, rename into place, sync the directory, read back. */
MUST_CHECK bool journal_close(JournalWriter *writer, Error *error);
void journal_discard(JournalWriter *writer);

typedef struct JournalReader JournalReader;

/* *found false, or with found NULL an error: there is no journal. A damaged one is an error. The
 * whole file is checked before anything is returned; memory is bounded. reader NULL: only the head
 * is wanted. */
MUST_CHECK bool journal_open(const char *target_directory, Arena *arena, JournalReader **reader,
                             JournalHead *head, bool *found, Error *error);
/* Entries in order; *end at the end. Strings live until the next call. */
MUST_CHECK bool journal_next(JournalReader *reader, JournalEntry *entry, bool *end, Error *error);
void journal_rewind(JournalReader *reader);          /* start over */
uint64_t journal_bytes(const JournalReader *reader); /* to be written by all ranges, for progress */
void journal_close_reader(JournalReader *reader);    /* NULL is allowed */

/*
 * The lines of `text` that `other` lacks, as a list with commas. With still_heeded false without
 * those that a run heeds also after it has finished a journal: -R and --slot.
 */
void journal_options_missing(const char *text, const char *other, bool still_heeded,
                             Buffer *options);

#endif
