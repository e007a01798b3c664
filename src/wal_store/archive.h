/*
 * Where a segment of a cluster's WAL comes from, in this order: pg_wal; what was fetched to the
 * scratch directory; the source (common history only); --wal-archive, plain or compressed; the
 * restore command; a .partial file in --wal-archive.
 *
 * Nothing is ever written to the target's pg_wal, nor to an archive: what is fetched goes to the
 * scratch directory, which is made when first needed. There a file has its name only when it is
 * whole and is the segment; until then it is in a directory below, which it shares with whatever a
 * restore command that fetches in advance writes beside it.
 */
#ifndef WAL_STORE_ARCHIVE_H
#define WAL_STORE_ARCHIVE_H

#include "base/buffer.h"
#include "base/error.h"
#include "format/history.h"
#include "format/walpage.h"

#include <stdbool.h>
#include <stdint.h>

/* Fetch the source's pg_wal/NAME to the file `path` (whole, or a prefix of complete content).
 * Called under a lock, one at a time. */
typedef bool (*ArchiveFetch)(void *context, const char *name, const char *path, bool *found,
                             Error *error);

typedef struct ArchiveOptions
{
    WalShape shape;
    uint32_t data_block_size;
    const History *history;     /* the cluster's; it may be filled in later */
    const char *data_directory; /* messages name PGDATA/pg_wal/SEGMENT */
    const char *wal_directory;  /* PGDATA/pg_wal */
    const char *scratch_directory;
    const char *archive_directory; /* --wal-archive, or NULL */
    const char *restore_command;   /* with -c or --restore-command, else NULL */
    const char *redo_file_name;    /* for %r */
    int retry_timeout_seconds;     /* for a restore command that fails */
    /*
     * The target is known to have had WAL up to here: the end of pg_control's checkpoint record, or
     * minRecoveryPoint. Segments that begin at or after it are looked for in pg_wal only: an
     * archive may hold WAL that this target, if it was lagging, never had. LSN_INVALID: all are
     * looked for everywhere.
     */
    Lsn known_end;
    /*
     * From here on WAL may end: the target was shut down cleanly, and needs no more than the record
     * that begins here (its checkpoint), or than what is before here (minRecoveryPoint). Else
     * LSN_INVALID. See archive_open.
     */
    Lsn last_needed;
    ArchiveFetch fetch; /* or NULL */
    void *fetch_context;
} ArchiveOptions;

typedef struct Archive Archive;

/* Strings and the history of options must live as long as the archive. */
Archive *archive_create(const ArchiveOptions *options);
void archive_destroy(Archive *archive);

/* Segments that end at or before lsn are common history: they may come from the source. 0 at first:
 * none. */
void archive_set_common_end(Archive *archive, Lsn lsn);

/*
 * Ask this restore command as well from now on, which no option names: where it fails, a warning
 * says so, it counts as a command that has nothing, and it is not run again. For an archive without
 * a restore command. The string must live as long as the archive.
 */
void archive_set_unasked_command(Archive *archive, const char *command);

/* The list of what is missing begins with lsn's segment, or before it. 0 at first: with the one
 * that is asked for. */
void archive_set_needed_from(Archive *archive, Lsn lsn);

/*
 * A WalOpen (context is the archive). A file whose first page is not that of the segment (recycled)
 * counts as not there in that place. What an archive has of another size than a segment's, or what
 * is damaged as a compressed file, is an error (contract: `unexpected file size for "%s": ...`).
 * For the restore command see restore.h.
 *
 * A .partial file holds the start of a segment, and does not show how much of it: pg_receivewal
 * writes one, and a server that is promoted leaves the last segment of the timeline that it leaves
 * as one. History goes on in the new timeline's file, which begins with the same bytes; so the old
 * timeline's segment is needed only by a target that did not follow the promotion: one that has
 * records after it there, or one that stopped in that segment. So it is the last resort, and right
 * in two cases only. Either all its records are there, up to the segment's end. Or WAL may end in
 * this segment (last_needed): the reader finds the end, and the caller knows which record must be
 * before it. A target that crashed may have had more WAL than the .partial has: not so there.
 */
MUST_CHECK bool archive_open(void *archive, Timeline timeline, uint64_t segment, int *fd,
                             bool *found, Error *error);

/* The same, and its path into PATH_SIZE bytes. What is below the scratch directory is the caller's
 * to take. */
MUST_CHECK bool archive_find(Archive *archive, Timeline timeline, uint64_t segment, char *path,
                             bool *found, Error *error);

/* Read a file of another kind (a history file) from --wal-archive or by the restore command. */
MUST_CHECK bool archive_read(Archive *archive, const char *name, size_t limit, Buffer *buffer,
                             bool *found, Error *error);

/*
 * A WalMissing (context is the archive): set the error for a missing segment: the contract's line
 * `could not open file "PGDATA/pg_wal/SEGMENT": No such file or directory`, with a list of all that
 * are; or that WAL is damaged, where the file is there and does not begin as it should.
 */
bool error_missing_in_archive(void *archive, Timeline timeline, uint64_t segment, Error *error);

#endif
