/* A segment that no place has: what lies in its place, and which others are missing. */
#include "wal_store/wal_store.h"

#include "base/workers.h"
#include "format/page.h"
#include "pair/prerequisites.h"

#define PAGE_BYTES_READ 512 /* bytes at a page's start from which its kind is recognized */
#define MISSING_NAMES_SIZE_MAX 1000
#define MISSING_LOOKED_FOR_MAX 100 /* segments looked for in places that may transfer each file */

/* Read bytes at an offset of a file; false if the file does not exist or ends before. */
static bool read_bytes(const char *directory, const char *name, uint64_t offset, uint8_t *bytes)
{
    AUTO_BUFFER Buffer path = {0};
    AUTO_FD int fd = -1;
    size_t size;
    bool found;

    path_in(&path, directory, name);
    return file_open_read(buffer_string(&path), &fd, &found, NULL) && found &&
           file_read_at(fd, name, bytes, PAGE_BYTES_READ, offset, &size, NULL) &&
           size == PAGE_BYTES_READ;
}

/*
 * True, with the reason, if the file is in pg_wal nevertheless, and its first page is damaged: then
 * its second page is this segment's. In a recycled file it is not, nor in one that was made in
 * advance.
 */
static bool is_damaged(const WalStore *store, const char *name, Lsn begin, Error *reason)
{
    const uint32_t page_size = store->stream.shape.block_size;
    uint8_t bytes[PAGE_BYTES_READ];
    WalPage page;

    return read_bytes(store->wal_directory, name, 0, bytes) &&
           !walpage_parse(&store->stream.shape, bytes, sizeof(bytes), begin, &page, reason) &&
           read_bytes(store->wal_directory, name, page_size, bytes) &&
           walpage_parse(&store->stream.shape, bytes, sizeof(bytes), begin + page_size, &page,
                         NULL);
}

/* Look for a segment everywhere. A file fetched for that is removed again: the run is over. */
static bool is_somewhere(WalStore *store, uint64_t segment, const char *name, int *looked_for,
                         bool *found)
{
    AUTO_BUFFER Buffer path = {0};
    AUTO_FD int own_fd = -1;
    AUTO_FD int fd = -1;

    if (!wal_store_open_own(store, segment, &own_fd, found, NULL))
        return false;
    if (*found)
        return true;
    (*looked_for)++;
    return wal_store_open_archived(store, segment, &fd, found, NULL) &&
           (store->scratch->path == NULL ||
            file_remove(path_in(&path, store->scratch->path, name), NULL));
}

bool wal_missing_add(Buffer *names, const char *name)
{
    const bool enough = names->size > MISSING_NAMES_SIZE_MAX;

    buffer_printf(names, "%s%s", names->size > 0 ? ", " : "", enough ? "..." : name);
    return !enough;
}

/* List all segments that no place has, from the first that is known to be needed to the last that
 * the target is known to have had. The last common checkpoint is not known yet: if the first of
 * these segments is missing, that checkpoint may lie before it. */
static void list_missing(WalStore *store, uint64_t wanted, Error *error)
{
    const WalShape *shape = &store->stream.shape;
    uint64_t first = wanted, last = wanted;
    bool lowest_missing = false, more = true;
    AUTO_BUFFER Buffer names = {0};
    int looked_for = 0;

    if (store->needed_from != 0 && wal_segment_of(shape, store->needed_from) < first)
        first = wal_segment_of(shape, store->needed_from);
    if (store->limits.known_end != LSN_INVALID &&
        wal_segment_before(shape, store->limits.known_end) > last)
        last = wal_segment_before(shape, store->limits.known_end);
    for (uint64_t segment = first; more && segment <= last; segment++)
    {
        char name[WAL_NAME_SIZE];
        bool found = false;

        wal_stream_segment_name(&store->stream, segment, name);
        if (looked_for > MISSING_LOOKED_FOR_MAX ||
            (segment != wanted &&
             (!stop_check(NULL) || !is_somewhere(store, segment, name, &looked_for, &found))))
        {
            buffer_printf(&names, "%s...", names.size > 0 ? ", " : "");
            break;
        }
        if (found)
            continue;
        more = wal_missing_add(&names, name);
        lowest_missing = lowest_missing || segment == first;
    }
    error_detail(error, "Missing: %s.%s", buffer_string(&names),
                 lowest_missing ? " Older ones may be needed as well." : "");
}

bool error_hint_missing_files(const WalStore *store, Error *error)
{
    if (store->restore.command != NULL)
        error_offer_compare(error);
    else
        error_hint(error, "Put the files there, or let pg_rewind fetch them: --wal-archive, "
                          "--restore-command, or --restore-target-wal for the target's own "
                          "\"restore_command\". --compare needs none of them.");
    return error_remedy(error, REMEDY_WAL);
}

bool error_missing_in_wal_store(void *context, uint64_t segment, Error *error)
{
    WalStore *store = context;
    const Version *version = store->stream.shape.version;
    const Lsn begin = wal_segment_start(&store->stream.shape, segment);
    char name[WAL_NAME_SIZE], what[WAL_DESCRIPTION_SIZE];
    uint8_t bytes[PAGE_BYTES_READ];
    Error reason;
    bool damaged;

    wal_stream_segment_name(&store->stream, segment, name);
    damaged = is_damaged(store, name, begin, &reason);
    if (damaged)
        error_set(error, ERROR_FAILED, "WAL is damaged at %s in segment \"%s\": %s",
                  LSN_TEXT(version, begin), name, reason.message);
    else
    {
        error_set(error, ERROR_FAILED,
                  "could not open file \"%s/%s/%s\": No such file or directory",
                  store->data_directory, version->wal_directory, name); /* contract */
        if (read_bytes(store->wal_directory, name, 0, bytes))
        {
            walpage_describe(&store->stream.shape, bytes, sizeof(bytes), what);
            error_detail(error, "There is a file of that name, but it %s.", what);
        }
        /* The sample is pg_class of the first database: every cluster has it, unless it was
         * rewritten. */
        if (read_bytes(store->data_directory, "base/1/1259", 0, bytes) &&
            !page_has_header(bytes, store->stream.data_block_size))
            error_detail(error,
                         "The target's relations (base/1/1259) do not look like PostgreSQL's "
                         "either: encrypted clusters of its forks cannot be read.");
    }
    if (wal_store_was_refused(store, segment))
        error_detail(error, "could not restore file \"%s\" from archive", name);
    if (!damaged)
        list_missing(store, segment, error);
    return error_hint_missing_files(store, error);
}
