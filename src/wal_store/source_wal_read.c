/*
 * Read the source's WAL. Segments that are not yet on this machine are fetched when reading reaches
 * them, a window of several segments at a time.
 */
#include "wal_store/source_wal.h"

#include "base/log.h"
#include "base/workers.h"
#include "pair/prerequisites.h"

/* Bytes of a window, which are fetched at once. The smaller number is for readings that remove
 * segments after they were read; with little room the window is smaller still. */
#define WINDOW_BYTES ((uint64_t) 256 * 1024 * 1024)
#define WINDOW_BYTES_LITTLE ((uint64_t) 64 * 1024 * 1024)

/* The state of one reading. */
typedef struct SourceWalReader
{
    SourceWal *wal;
    SourceWalReading *reading;
    bool removes;                   /* remove each segment after it was read */
    uint64_t window_bytes;          /* bytes that are fetched at once */
    pthread_mutex_t lock;           /* held by the thread that fetches; others wait for it */
    atomic_uint_least64_t here_end; /* end of the WAL that is on this machine */
    bool failed;                    /* a fetch has failed with the error `failure` */
    Error failure;
} SourceWalReader;

static bool fetch_window(SourceWalReader *reader, Error *error)
{
    SourceWalReading *reading = reader->reading;
    const WalShape *shape = &reader->wal->store->stream.shape;
    const Lsn from = reader->here_end;
    const uint64_t segment = wal_segment_of(shape, from);
    const uint64_t bytes = reader->window_bytes;
    const uint64_t count = bytes > shape->segment_size ? bytes / shape->segment_size : 1;
    Lsn end = wal_segment_start(shape, segment + count);

    if (end > reading->end)
        end = reading->end;
    if (!source_wal_fetch(reader->wal, from, end, error) ||
        !source_wal_check_there(reader->wal, from, end, reading->end, &reading->missing_end, error))
        return false;
    reader->here_end = end;
    return true;
}

/* Fetch windows until the segment is on this machine, or wait for the thread that does. Does
 * nothing for a segment after the reading's end. */
static bool bring_segment(SourceWalReader *reader, uint64_t segment, Error *error)
{
    const Lsn begin = wal_segment_start(&reader->wal->store->stream.shape, segment);
    bool result = true;

    if (begin < reader->here_end)
        return true;
    pthread_mutex_lock(&reader->lock);
    while (result && begin >= reader->here_end && reader->here_end < reader->reading->end)
    {
        result = !reader->failed && fetch_window(reader, &reader->failure);
        reader->failed = !result;
    }
    if (!result)
        error_copy(error, &reader->failure);
    pthread_mutex_unlock(&reader->lock);
    return result;
}

/* WalStream.rebuilds: blocks count as rebuilt only by segments in the clusters' own pg_wal. A
 * segment from an archive may be of another history. */
static bool may_rebuild(void *context, uint64_t segment, bool *rebuilds, Error *error)
{
    SourceWalReader *reader = context;
    AUTO_FD int fd = -1;

    return bring_segment(reader, segment, error) &&
           wal_store_open_own(reader->wal->store, segment, &fd, rebuilds, error);
}

/* A WalOpen: fetch the segment if necessary, then open the first place's file of the segment. */
static bool open_found_segment(void *context, uint64_t segment, int *fd, bool *found, Error *error)
{
    SourceWalReader *reader = context;

    return bring_segment(reader, segment, error) &&
           wal_store_open(reader->wal->store, segment, fd, found, error);
}

/* A WalPassed: remove the copies of segments that were read. removed_bytes counts them only if a
 * rewind would remove them too (`once`). */
static bool remove_read_segment(void *context, Lsn read_to, Error *error)
{
    const SourceWalReader *reader = context;
    const Lsn end = reader->reading->end;
    const uint64_t removed = reader->wal->removed_bytes;

    /* The segment before is not needed any more either: the record that ends in this one was read.
     */
    if (!source_wal_remove_before(reader->wal,
                                  read_to - reader->wal->store->stream.shape.segment_size,
                                  read_to < end ? read_to : end, error))
        return false;
    if (!reader->reading->once)
        reader->wal->removed_bytes = removed;
    return true;
}

/* Read the stream, which lasts as long as the scan, from `from`. */
static bool scan_stream_from(const SourceWal *wal, const WalStream *stream, Lsn from,
                             WalScan **scan, ScanResult *result, Lsn *last_end, Error *error)
{
    const WalShape *shape = &wal->store->stream.shape;
    WalSegmentFacts end;

    *scan = scan_read(stream, wal->options.jobs, wal_skip_header(shape, from), wal->arena, &end,
                      result, error);
    if (*scan == NULL)
        return false;
    *last_end = end.next_lsn;
    if (*last_end < stream->limit && !scan_ended_at_limit(stream, &end))
    {
        error_set(error, ERROR_FAILED, "could not read WAL record at %s: %s", /* contract */
                  LSN_TEXT(shape->version, *last_end), end.reason);
        error_detail(error, "The source's WAL is incomplete or damaged there; a standby could not "
                            "replay it.");
    }
    else if (result->minimal_record_at == LSN_INVALID)
        return true;
    else
    {
        /* Common history was not written at level minimal: the target's level is checked
         * elsewhere. (Rule C5.) A server is restarted to leave that level: its last checkpoint is
         * newer. */
        error_set(error, ERROR_FAILED, "source server ran with \"wal_level = minimal\"");
        error_detail(error,
                     "It did so from %s on, in the WAL that the rewound target would replay: "
                     "changes made with it were not WAL-logged.",
                     LSN_TEXT(shape->version, result->minimal_record_at));
        error_offer_compare(error);
    }
    scan_destroy(*scan);
    *scan = NULL;
    return false;
}

/* If reading failed after segments of an archive were used, these may be damaged or of another
 * history: treat them as missing. (Rule C64.) */
static void give_up_archived(const SourceWal *wal, SourceWalReading *reading, const Error *failure)
{
    if (failure->kind != ERROR_FAILED || !stop_check(NULL) || wal->archived_end == LSN_INVALID)
        return;
    log_warning("%s", failure->message);
    if (wal->store->restore.is_unasked && wal->store->archives[0] == NULL)
        log_detail("WAL from the target's own \"restore_command\" is not used.");
    else
        log_detail("WAL from the archive is not used: it may be of another history.");
    reading->missing_end = wal->archived_end;
}

/* Room for the window of segments that the scan reads at the same time, and for the next one. */
uint64_t source_wal_room_to_read(const SourceWal *wal, Lsn from, Lsn end)
{
    const WalShape *shape = &wal->store->stream.shape;
    const uint64_t window =
        (scan_forward_window(shape, wal->options.jobs) + 1) * shape->segment_size;
    const Lsn begin = wal_segment_start(shape, wal_segment_of(shape, from));

    return end <= from ? 0 : end - begin < window ? end - begin : window;
}

/* Decide how much is fetched at once, and whether segments are removed after they were read. A dry
 * run removes them if its scratch directory has too little room for all: its disk is not the
 * target's, so that must not be an error. */
static bool find_window(SourceWalReader *reader, Error *error)
{
    SourceWal *wal = reader->wal;
    const SourceWalReading *reading = reader->reading;
    uint64_t room, least;

    reader->removes = reading->once;
    reader->window_bytes = reading->once ? WINDOW_BYTES_LITTLE : WINDOW_BYTES;
    if (!wal->clusters->source->is_server || (!reading->once && !wal->only_reads))
        return true;
    if (!source_wal_scratch_room(wal, &room, error))
        return false;
    if (!reading->once && source_wal_bytes_to_fetch(wal, reading->from, reading->end) <= room)
        return true;
    reader->removes = true;
    if (wal->only_reads &&
        (!source_wal_remove_fetched(wal, error) || !source_wal_scratch_room(wal, &room, error)))
        return false;
    least = source_wal_room_to_read(wal, reading->from, reading->end);
    reader->window_bytes = wal->store->stream.shape.segment_size;
    if (room > least)
        reader->window_bytes += room - least;
    if (reader->window_bytes > WINDOW_BYTES_LITTLE)
        reader->window_bytes = WINDOW_BYTES_LITTLE;
    return true;
}

bool source_wal_read(SourceWal *wal, SourceWalReading *reading, WalScan **scan, ScanResult *result,
                     Error *error)
{
    SourceWalReader *reader =
        arena_allocate(wal->arena, sizeof(*reader)); /* the stream's, as is the stream */
    WalStream *stream = arena_allocate(wal->arena, sizeof(*stream));
    uint64_t bytes = reading->end > reading->from ? reading->end - reading->from : 0;
    bool done;

    *reader = (SourceWalReader){.wal = wal, .reading = reading, .lock = PTHREAD_MUTEX_INITIALIZER};
    atomic_init(&reader->here_end, reading->from);
    *stream = wal->store->stream;
    stream->limit = reading->end;
    stream->open = open_found_segment;
    stream->rebuilds = stream->shape.version->redo_names_its_blocks ? may_rebuild : NULL;
    wal->archived_end = LSN_INVALID;
    reading->missing_end = LSN_INVALID;
    if (bytes > 0 && (!find_window(reader, error) || !fetch_window(reader, error)))
        return false;
    stream->passed = reader->removes ? remove_read_segment : NULL;
    stream->context = reader;
    /* Progress also counts the bytes that are fetched while the WAL is read. */
    bytes += source_wal_bytes_to_fetch(wal, reader->here_end, reading->end);
    wal->progress = WAL_FETCH_IS_COUNTED;
    progress_begin(PROGRESS_SCAN_SOURCE, bytes);
    done = scan_stream_from(wal, stream, reading->from, scan, result, &reading->last_end, error);
    progress_end(done);
    wal->progress = WAL_FETCH_IS_PHASE;
    /* Let the stream be read again later, without removing segments; removed ones are fetched once
     * more. */
    if (reader->removes)
        reader->here_end = reading->from;
    else
        stream->passed = NULL;
    if (!done && reading->missing_end == LSN_INVALID)
        give_up_archived(wal, reading, error);
    return done;
}

bool source_wal_check_chain(SourceWal *wal, const WalStream *stream, Lsn from, WalScan **scan,
                            ScanResult *result, Lsn *last_end, Error *error)
{
    bool done;

    progress_begin(PROGRESS_CHECK_WAL, stream->limit > from ? stream->limit - from : 0);
    done = scan_stream_from(wal, stream, from, scan, result, last_end, error);
    progress_end(done);
    return done;
}

bool source_wal_find_end(SourceWal *wal, SourceState *state, Error *error)
{
    Lsn floor = state->control.checkpoint_lsn;
    ScanResult later = {0};
    WalSegmentFacts end;
    WalScan *scan;
    bool result, all_counts;

    if (state->position.in_recovery && state->position.minimum > floor)
        floor = state->position.minimum;
    scan = scan_create(&wal->store->stream, 1, floor);
    result = scan_forward(scan, state->control.checkpoint_lsn, &end, error) &&
             (!state->position.in_recovery ||
              scan_finish(scan, wal->arena, floor, floor, &later, error));
    all_counts = !state->position.in_recovery ||
                 control_is_like_promoted(&state->control, scan_recovery_end(scan));
    scan_destroy(scan);
    if (!result)
        return false;
    state->position.end = end.next_lsn;
    if (state->position.end == state->control.checkpoint_lsn)
        return error_set(error, ERROR_FAILED, "could not read the source's last checkpoint record");
    if (all_counts || later.database_count > 0 || later.tablespace_count > 0)
        state->position.minimum = state->position.end;
    return true;
}
