/*
 * Where a segment of the target's WAL comes from: pg_wal, what was brought to the scratch
 * directory, the source (common history only), --wal-archive, the restore command.
 *
 * Nothing is ever written to the target's pg_wal: what is brought goes to the scratch directory,
 * which is made when first needed.
 */
#ifndef WAL_ARCHIVE_H
#define WAL_ARCHIVE_H

#include "base/arena.h"
#include "base/error.h"
#include "format/walpage.h"

#include <stdbool.h>
#include <stdint.h>

/* Bring the source's pg_wal/NAME to the file `path` (whole, or a prefix of complete content).
 * Called under a lock, one at a time. */
typedef bool (*ArchiveFetch)(void *context, const char *name, const char *path, bool *found,
                             Error *error);

typedef struct ArchiveOptions
{
    WalShape shape;
    const char *data_directory; /* messages name PGDATA/pg_wal/SEGMENT */
    const char *wal_directory;  /* PGDATA/pg_wal */
    const char *scratch_directory;
    const char *archive_directory; /* --wal-archive, or NULL */
    const char *restore_command;   /* with -c or --restore-command, else NULL */
    const char *redo_file_name;    /* for %r */
    /*
     * The target is known to have had WAL up to here: the end of pg_control's checkpoint record, or
     * minRecoveryPoint. Segments that begin at or behind it are looked for in pg_wal only: an
     * archive may hold WAL that this target, if it fell behind, never had. LSN_INVALID: all are
     * looked for everywhere.
     */
    Lsn known_end;
    ArchiveFetch fetch; /* or NULL */
    void *fetch_context;
} ArchiveOptions;

typedef struct Archive Archive;

/* Strings of options must live as long as the archive. */
Archive *archive_create(const ArchiveOptions *options);
void archive_destroy(Archive *archive);

/* Segments that end at or before lsn are common history: they may come from the source. 0 at first:
 * none. */
void archive_set_common_end(Archive *archive, Lsn lsn);

/*
 * A WalOpen (context is the archive). A file whose first page is not that of the segment (recycled)
 * counts as not there in that place. A restore command that dies by a signal or ends with a status
 * above 125 is an error, any other failure "not found" (contract: `could not restore file "%s" from
 * archive`, and a file of wrong size is an error `unexpected file size for "%s": ...`).
 */
MUST_CHECK bool archive_open(void *archive, Timeline timeline, uint64_t segment, int *fd,
                             bool *found, Error *error);

/* Path of the file that archive_open would open now without bringing anything, NULL if none; in
 * arena. */
const char *archive_path(Archive *archive, Arena *arena, Timeline timeline, uint64_t segment);

/* A WalMissing (context is the archive): set the error for a missing segment: the contract's line
 * `could not open file "PGDATA/pg_wal/SEGMENT": No such file or directory`; or that WAL is damaged,
 * where the file is there and does not begin as it should. */
bool archive_missing_error(const void *archive, Timeline timeline, uint64_t segment, Error *error);

#endif
