/*
 * The journal: the file PGDATA/pg_rewind.work/journal, with a checksum, that lists all changes of
 * the target. It is never changed after it is written.
 *
 * The blocker is a backup_label that every server rejects; the poison is a pg_control with which no
 * server starts. Journal, backup_label and pg_control together show how far a rewind has come:
 *
 *   PendingState      journal  backup_label      pg_control  the function that ends this state
 *   ----------------  -------  ----------------  ----------  -----------------------------------
 *   PENDING_NONE      none     the target's own  old         journal_close
 *   PENDING_STALE     whole    the target's own  old         install_blocker: this is the commit
 *   PENDING_APPLY     whole    blocker           old         install_poison
 *   PENDING_APPLY     whole    blocker, or none  poison      install_label, after carry_out
 *   PENDING_APPLY     whole    the new one       poison      install_control
 *   PENDING_CLEANUP   whole    the new one       new         remove_work_directories
 *   PENDING_NONE      none     the new one       new         the server
 *
 * A target without a backup_label has none where the table says "the target's own". Each step is
 * synced before the next begins, so a power cut also leaves one of these rows.
 *
 * A journal is live in PENDING_APPLY and PENDING_CLEANUP: apply_finish must finish the rewind. A
 * PENDING_STALE journal is not live: its run goes on to the commit, or stage_remove_stale removes
 * its files.
 *
 * PENDING_STALE has one more row: the blocker is in place, but pg_control is a whole one that is
 * neither old, poison nor new. A server got past the pid file at the moment of the commit.
 * commit_take_back then removes the blocker.
 *
 * A pg_control that is missing or damaged is in no row: all stays as it is. (Rule I81.)
 */
#ifndef APPLY_JOURNAL_H
#define APPLY_JOURNAL_H

#include "format/control.h"

#define WORK_DIRECTORY "pg_rewind.work"
/* In a tablespace the name of the cluster's directory there follows, PG_15_202209061 (rule I71); in
 * journals of 1.0.0 it is WORK_DIRECTORY there, too. */
#define WORK_DIRECTORY_OF WORK_DIRECTORY "."
#define JOURNAL_NAME "journal"
#define BALLAST_NAME "ballast" /* reserves the space that the apply will allocate */
#define JOURNAL_PATH WORK_DIRECTORY "/" JOURNAL_NAME
#define RUN_ID_SIZE 33 /* 32 digits and a NUL */

typedef struct JournalHead
{
    char run_id[RUN_ID_SIZE]; /* random hexadecimal digits, which the blocker holds too */
    const char *source;       /* description of the source, for messages */
    const char *divergence;   /* for messages: "0/3000148 on timeline 1" */
    uint8_t old_control[CONTROL_FILE_SIZE]; /* the target's pg_control before the rewind */
    uint8_t poison[CONTROL_FILE_SIZE];
    uint8_t new_control[CONTROL_FILE_SIZE];
    const char *backup_label; /* text of the rewound target's backup_label */
    const char *options;      /* Options.decided of the run; NULL in journals of earlier releases */
    bool group_access;        /* argument of file_set_modes for the run that finishes the rewind */
    bool is_of_earlier; /* set by journal_open: a build before 1.1.0 has written it, whose rewinds
                           can be wrong. (Rule I78.) */
} JournalHead;

typedef enum JournalKind
{
    JOURNAL_MAKE_DIRECTORY, /* path */
    JOURNAL_MAKE_LINK,      /* path: a symbolic link; other: where it leads */
    JOURNAL_INSTALL, /* path: the destination of the staged file other; done if other no longer
                        exists */
    JOURNAL_PATCH,  /* path: a file that gets the JOURNAL_RANGE entries that follow; size: its final
                       size */
    JOURNAL_RANGE,  /* size bytes at data_offset of the file other, for offset of the file of the
                       last JOURNAL_PATCH */
    JOURNAL_REMOVE, /* path: a file or link */
    JOURNAL_REMOVE_DIRECTORY, /* path; stays if it is not empty (server logs) */
    JOURNAL_WORK_DIRECTORY /* path: a work directory on another file system; removed at the end */
} JournalKind;

/* One action. Paths are relative to PGDATA; those of work directories elsewhere are absolute. Each
 * kind says which fields it has. Sizes and offsets are in bytes. */
typedef struct JournalEntry
{
    JournalKind kind;
    const char *path;
    const char *other;
    uint64_t offset, data_offset, size;
} JournalEntry;

/* Set the buffer to PGDATA/path, or to path if that is absolute, and return the text. */
const char *target_path(Buffer *buffer, const char *target_directory, const char *path);

/* True if the path is a work directory; with inside, true only if it is directly in one. */
bool path_is_work(const char *path, bool inside);

typedef struct JournalWriter JournalWriter;

/* Begin to write the journal, as journal.new. target_directory must live as long as the writer.
 * Even after a failure the caller frees the writer, by journal_close or journal_discard. */
MUST_CHECK bool journal_create(const char *target_directory, const JournalHead *head,
                               JournalWriter **writer, Error *error);
MUST_CHECK bool journal_add(JournalWriter *writer, const JournalEntry *entry, Error *error);
/* Write the trailer with the CRC, sync, rename journal.new to journal, sync the directory, and read
 * the journal back. Frees the writer. */
MUST_CHECK bool journal_close(JournalWriter *writer, Error *error);
/* Free the writer. journal.new stays; the next journal_create overwrites it. */
void journal_discard(JournalWriter *writer);

typedef struct JournalReader JournalReader;

/* Read the head, into the arena, and check the whole file. A missing journal sets *found to false,
 * and is an error if found is NULL. A damaged journal is an error. Memory is bounded. reader NULL:
 * the caller needs no entries. */
MUST_CHECK bool journal_open(const char *target_directory, Arena *arena, JournalReader **reader,
                             JournalHead *head, bool *found, Error *error);
/* Read the next entry; *end is true after the last one. Strings live until the next call. */
MUST_CHECK bool journal_next(JournalReader *reader, JournalEntry *entry, bool *end, Error *error);
void journal_restart(JournalReader *reader);         /* go back to the first entry */
uint64_t journal_bytes(const JournalReader *reader); /* sum of all ranges, for progress */
void journal_close_reader(JournalReader *reader);    /* NULL is allowed */

/* Fails if the target directory's path now leads to another journal than the open one, or to none:
 * another directory has taken its place. Any thread may call this. (Rule I77.) */
MUST_CHECK bool journal_check_place(const JournalReader *reader, const char *target_directory,
                                    Error *error);

/*
 * Append the lines of `text` that `other` lacks, as a list with commas. With still_heeded false
 * without -R and --slot, which have an effect even in the run that finishes an interrupted rewind.
 */
void journal_options_missing(const char *text, const char *other, bool still_heeded,
                             Buffer *options);

#endif
