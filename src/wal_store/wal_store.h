/*
 * The WAL of one cluster: an ordered list of places in which a segment is looked for.
 *
 * place            the segment's file there                         where the file is fetched to
 * own pg_wal       pg_wal/NAME, if its first page is the segment's  stays
 * held             the same below pg_wal: held_wal.h                stays
 * kept pg_wal      the target's pg_wal/NAME of common history       stays
 * source           the source's pg_wal/NAME; a server's fetched     stays (scratch/source.NAME)
 * held of common   as held, of common history                       stays
 * fetched before   scratch/NAME                                     stays
 * common history   the source's pg_wal/NAME                         scratch/NAME
 * archive          NAME, NAME.gz and so on in its directories       scratch/NAME, if compressed
 * restore command  what the command writes                          scratch/NAME
 * partial          NAME.partial and so on in --wal-archive          scratch/NAME.partial, if
 *                                                                   compressed
 *
 * Nothing is ever written to the target's pg_wal, nor to an archive: fetched files go to the
 * scratch directory, which is created when it is first needed. A file is fetched into a directory
 * below the scratch directory, and moved up when it is whole and known to be the segment: so what
 * lies in the scratch directory can be used, whatever else a restore command writes beside its
 * file. What the standby's restore_command gives is only looked at, and is no segment of either
 * cluster to anybody: its file is removed at once. A segment that the restore command did not have
 * is remembered, and the command is not asked for this segment again.
 */
#ifndef WAL_STORE_WAL_STORE_H
#define WAL_STORE_WAL_STORE_H

#include "io/file.h"
#include "io/scratch.h"
#include "options.h"
#include "pair/clusters.h"
#include "wal/reader.h"
#include "wal_store/restore.h"
#include "wal_store/wal_places.h"

#include <pthread.h>

/* Directory below pg_wal with the target's WAL that was held before its server was stopped
 * (held_wal.h). */
#define HELD_WAL_DIRECTORY "pg_rewind.work.held"

/* The kinds of stores. Each one asks some of the places above, in that order: place_rows in
 * wal_store.c says which. */
typedef enum WalStoreKind
{
    WAL_STORE_OF_TARGET = 1,
    WAL_STORE_OF_SOURCE = 2,  /* the source's WAL, which the rewound target replays */
    WAL_STORE_OF_ARCHIVE = 4, /* archives alone */
    WAL_STORE_OF_STANDBY = 8  /* what a server finds: its pg_wal and its restore_command */
} WalStoreKind;

/* Fetch the source's pg_wal/NAME to the file `path`; path NULL: only look whether the source has
 * the file. A fetched file has the whole content, or a first part of it. Called under a lock, one
 * at a time. */
typedef bool (*WalStoreFetch)(void *context, const char *name, const char *path, bool *found,
                              Error *error);

typedef struct WalStore
{
    /* The caller sets these before wal_store_create. */
    WalStoreKind kind;
    WalStream stream; /* what the places have in common; its history may be filled in later; the
                         store sets `open` */
    const char *data_directory;   /* messages name PGDATA/pg_wal/SEGMENT */
    const char *wal_directory;    /* PGDATA/pg_wal, the target's */
    const char *source_directory; /* directory of the place "source": SOURCE/pg_wal; NULL: the
                                     scratch directory */
    const char *source_prefix;    /* a segment's file there is this prefix, "" or "source.", and the
                                     segment's name */
    Scratch *scratch;
    const char *archives[WAL_ARCHIVES_MAX + 1]; /* directories in the order in which they are asked;
                                                   NULL after the last */
    RestoreCommand restore;                     /* command to ask; restore.command may be NULL */
    WalLimits limits;
    WalStoreFetch
        fetch; /* fetches segments of common history from the source; NULL: nothing is fetched */
    void *fetch_context;

    Lsn needed_from; /* for messages: the list of missing segments begins at this LSN's segment or
                        before it; 0: at the segment that is asked for. The caller sets it when it
                        is known */

    UnaskedFailure *unasked_failure;       /* Options.unasked_failure */
    const char *const *server_environment; /* Target.environment */

    /* The store sets these. */
    pthread_mutex_t lock; /* held while a file is fetched; guards the fields below */
    uint64_t *refused;    /* numbers of the segments that the restore command did not have */
    size_t refused_count;
} WalStore;

/* Returns a WalStore to pass to wal_store_create, with the fields set that all kinds share; the
 * caller sets the others. Strings are the arena's. */
WalStore wal_store_template(WalStoreKind kind, const Options *options, const Clusters *clusters,
                            const char *restore_command, Scratch *scratch, Arena *arena);

/* True if the store has a directory or a restore command to ask. */
bool wal_store_has_archive(const WalStore *store);

/* Strings and the history must live as long as the store. */
WalStore *wal_store_create(const WalStore *made_from);
void wal_store_destroy(WalStore *store); /* NULL is allowed */

/* Add a restore command that no option names, to a store without one. Such a command runs in the
 * environment of the server's last start, where that is known: the server runs it so. If the
 * command fails, a warning says so, the command counts as having no file, and neither it nor
 * another such command is run again in this run. The string must live as long as the store; NULL
 * adds nothing. */
void wal_store_set_unasked_command(WalStore *store, const char *command);

/* True if the target's pg_wal has this segment of common history whole, so that a rewind keeps the
 * file. A symbolic link counts as absent: the plan removes it. */
bool wal_store_keeps(const WalStore *store, uint64_t segment);

/*
 * Open a segment in the first place that has it: a WalOpen whose context is the store. A file whose
 * first page is not the segment's (a recycled file) counts as missing in that place. Not so in the
 * places "source" and "kept pg_wal", whose files are opened unchecked: if such a file is damaged,
 * the reader must report that rather than read another place's file. A file of an archive whose
 * size is not a segment's, or that is damaged as a compressed file, is an error (contract:
 * `unexpected file size for "%s": ...`). For the restore command see restore.h.
 *
 * A .partial file holds the start of a segment, and does not show how much of it: pg_receivewal
 * writes one, and a server that is promoted leaves the last segment of its old timeline as one. It
 * is asked last, and is right only if its records reach the segment's end, or if WAL may end in
 * this segment (WalSpan.may_end; not after a crash): design/correctness.md.
 */
MUST_CHECK bool wal_store_open(void *store, uint64_t segment, int *fd, bool *found, Error *error);

/* Like wal_store_open, in the clusters' own pg_wal only: no archive is asked, nothing is fetched.
 */
MUST_CHECK bool wal_store_open_own(void *store, uint64_t segment, int *fd, bool *found,
                                   Error *error);

/* Like wal_store_open, in all places but the clusters' own pg_wal. */
MUST_CHECK bool wal_store_open_archived(void *store, uint64_t segment, int *fd, bool *found,
                                        Error *error);

/* Like wal_store_open, but *path gets the path of the file. A file below the scratch directory may
 * be moved away by the caller. */
MUST_CHECK bool wal_store_find(WalStore *store, uint64_t segment, Buffer *path, bool *found,
                               Error *error);

/* For a store of archives alone: true if a place has the segment. *how, in the arena, is a sentence
 * about that answer: which place has the segment, or that none has it; if places could not be
 * asked, the error of the last of them. */
bool wal_store_has(WalStore *store, uint64_t segment, Arena *arena, const char **how);

/* Read a file of another kind (a history file) from --wal-archive or by the restore command. */
MUST_CHECK bool wal_store_read_file(WalStore *store, const char *name, size_t limit, Buffer *buffer,
                                    bool *found, Error *error);

/*
 * Set *is if the file begins with the first page of this segment; else *why_not tells what is wrong
 * with that page. The first page of a file that was recycled is another segment's.
 */
MUST_CHECK bool wal_file_is_segment(const WalShape *shape, int fd, const char *path,
                                    uint64_t segment, bool *is, Error *why_not, Error *error);

/* True if the restore command was asked for the segment in this run, and did not have it. */
bool wal_store_was_refused(const WalStore *store, uint64_t segment);

/* ---- missing_wal.c ---- */

/*
 * A WalMissing (context is the store): set the error for a missing segment: the contract's line
 * `could not open file "PGDATA/pg_wal/SEGMENT": No such file or directory`, with a list of all that
 * are missing; or that WAL is damaged, where the file is there and does not begin as it should.
 */
bool error_missing_in_wal_store(void *store, uint64_t segment, Error *error);

/* Add a hint to the error: how to provide missing WAL and history files. Returns false. */
bool error_hint_missing_files(const WalStore *store, Error *error);

/* Append a segment's name to a list of missing ones. Returns false, with "..." appended instead, if
 * the list is long enough. */
bool wal_missing_add(Buffer *names, const char *name);

#endif
