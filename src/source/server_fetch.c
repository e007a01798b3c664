#include "source/server.h"

#include "base/log.h"

#include <assert.h>
#include <endian.h>
#include <stdio.h>
#include <string.h>

/* Limits of one query. Queries are small, since the server holds a snapshot while it answers one.
 * Several are under way, so that the server has the next one when it has answered the last. */
#define QUERY_PIECES_MAX 500
#define QUERY_BYTES_MAX ((uint64_t) 4 * 1024 * 1024)
#define QUERIES_UNDER_WAY_MAX 4

/* Fewer zeros of a page are sent with it: to leave them out would cost more. */
#define ZEROS_LEFT_OUT_MIN "512"

#define FETCH_FAILURE "could not fetch remote files from source server"

/* SQL text before and after a bytea expression, which together give its digest as a bytea of
 * DIGEST_SIZE bytes. */
static const char *const digests[DIGEST_KINDS][2] = {
    [DIGEST_MD5] = {"pg_catalog.decode(pg_catalog.md5(", "), 'hex')"},
    [DIGEST_SHA256] = {"pg_catalog.substr(pg_catalog.sha256(", "), 1, 16)"}};

/* Statements that are sent after the last pieces (FetchBatch.ends_reading). */
enum
{
    LAST_STATE,  /* the state, with removals */
    LAST_CONFIG, /* postgresql.auto.conf */
    LAST_WAL,    /* the WAL of source_server_expect_last_wal; no SQL text if none is expected */
    LAST_QUERIES
};

/* The fetch of a batch, and its progress. */
typedef struct Fetch
{
    const FetchBatch *batch;
    ServerSource *server;
    bool asks_state; /* FetchBatch.ends_reading is answered */
    Query last_queries[LAST_QUERIES];
    Arena *arena;
    AttemptProgress progress; /* delivered: index of the request answered next */
    size_t asked;             /* requests before this index were sent on this connection */
    size_t ends[QUERIES_UNDER_WAY_MAX]; /* for each unanswered query, oldest first: index after its
                                           last request */
    int under_way;                      /* number of unanswered queries */
    size_t query_pieces_max;
    uint64_t query_bytes_max;
    bool fails_where_gone; /* a missing file makes the whole query fail (before 9.5) */
    Query query;
    Buffer *whole; /* a piece of which the server has left out zeros */
    FetchDelivery deliver;
    void *context;
} Fetch;

/* Returns the value of a binary int8 column, whose size the caller has checked. */
static int64_t value_int8(const ConnectionValue *value)
{
    uint64_t bits;

    memcpy(&bits, value->bytes, sizeof(bits));
    return (int64_t) be64toh(bits);
}

/* Check that the row answers the request. Columns: path, offset, bytes or digests, zeros left out
 * (NULL with digests); from a standby, its replay position as well. */
static bool check_piece(const FetchRequest *request, const ConnectionValue *columns, Error *error)
{
    int64_t begin;

    if (columns[0].bytes == NULL || columns[1].bytes == NULL)
        return error_set(error, ERROR_FAILED, /* contract */
                         "unexpected null values in result while fetching remote files");
    if (columns[0].size != strlen(request->path) ||
        memcmp(columns[0].bytes, request->path, columns[0].size) != 0)
        return error_set(error, ERROR_FAILED, /* contract */
                         "received data for file \"%.*s\", when requested for \"%s\"",
                         (int) columns[0].size, columns[0].bytes, request->path);
    if (columns[1].size != 8)
        return error_set(error, ERROR_FAILED, /* contract */
                         "unexpected result length while fetching remote files");
    begin = value_int8(&columns[1]);
    if ((uint64_t) begin != request->offset)
        return error_set(
            error, ERROR_FAILED, /* contract */
            "received data at offset %lld of file \"%s\", when requested for offset %lld",
            (long long) begin, request->path, (long long) request->offset);
    return true;
}

/* Set *bytes and *size to a piece's bytes. The server may have left out zeros and sent their
 * number, and in the upper half of the value their place: the piece is then put together in
 * `whole`. */
static bool take_piece(const FetchRequest *request, const ConnectionValue *columns, Buffer *whole,
                       const uint8_t **bytes, size_t *size, Error *error)
{
    static const uint8_t zeros[FETCH_SIZE_MAX];
    const ConnectionValue *piece = &columns[2], *left_out = &columns[3];
    uint64_t place = 0;
    uint32_t count = 0;

    if (left_out->bytes != NULL && left_out->size == 8)
    {
        count = (uint32_t) value_int8(left_out);
        place = (uint64_t) value_int8(left_out) >> 32;
    }
    if ((left_out->bytes != NULL && left_out->size != 8) || place > piece->size)
        return error_set(error, ERROR_FAILED, /* contract */
                         "unexpected result length while fetching remote files");
    *bytes = (const uint8_t *) piece->bytes;
    *size = piece->size + count;
    if (*size > request->size)
        return error_set(error, ERROR_FAILED, /* contract */
                         "received more than requested for file \"%s\"", request->path);
    if (piece->size == 0)
        *bytes = zeros;
    else if (count > 0)
    {
        buffer_clear(whole);
        buffer_append(whole, piece->bytes, place);
        buffer_append(whole, zeros, count);
        buffer_append(whole, piece->bytes + place, piece->size - place);
        *bytes = whole->bytes;
    }
    log_debug("received chunk for file \"%s\", offset %lld, size %zu", /* contract */
              request->path, (long long) request->offset, *size);
    return true;
}

/* Deliver the digest of a piece, or those of its blocks. A file that has become shorter has fewer
 * blocks than were asked for. */
static bool deliver_digests(Fetch *fetch, size_t index, const ConnectionValue *piece, Error *error)
{
    const FetchRequest *request = &fetch->batch->requests[index];
    const size_t blocks_max =
        fetch->batch->block_size > 0 ? (request->size - 1) / fetch->batch->block_size + 1 : 1;

    if (piece->size % DIGEST_SIZE != 0 || piece->size / DIGEST_SIZE > blocks_max ||
        (fetch->batch->block_size == 0 && piece->size == 0))
        return error_set(error, ERROR_FAILED, "received %zu bytes of digests of file \"%s\"",
                         piece->size, request->path);
    return fetch->deliver(fetch->context, index, (const uint8_t *) piece->bytes, piece->size,
                          error);
}

/* A ConnectionRow: deliver the answer to the next request. */
static bool fetch_row(void *context, const ConnectionValue *columns, Error *error)
{
    Fetch *fetch = context;
    const FetchRequest *request = &fetch->batch->requests[fetch->progress.delivered];
    const size_t index = fetch->progress.delivered;
    const ConnectionValue *piece = &columns[2];
    const uint8_t *bytes;
    size_t size;

    if (fetch->progress.delivered >= fetch->ends[0])
        return error_set(error, ERROR_FAILED, /* contract */
                         "received more data chunks than requested");
    if (!check_piece(request, columns, error) ||
        (fetch->server->identity.in_recovery &&
         !server_take_replayed(columns[4].bytes, &fetch->progress, error)))
        return false;

    fetch->progress.delivered++;
    if (piece->bytes == NULL)
    {
        log_debug("received null value for chunk for file \"%s\", file has been deleted",
                  request->path); /* contract */
        return fetch->deliver(fetch->context, index, NULL, 0, error);
    }
    if (fetch->batch->digests)
        return deliver_digests(fetch, index, piece, error);
    return take_piece(request, columns, fetch->whole, &bytes, &size, error) &&
           fetch->deliver(fetch->context, index, bytes, size, error);
}

/*
 * FROM clause with a row for each request, from three arrays of the same length. (Not ROWS FROM,
 * which 9.3 lacks, nor unnest of several arrays, which cannot be qualified with a schema.) In each
 * query, except the first, "%s" is server_missing_ok_argument.
 */
#define REQUEST_ROWS                                                                               \
    "FROM (SELECT pg_catalog.unnest($1::pg_catalog.text[]) AS path, "                              \
    "pg_catalog.unnest($2::pg_catalog.int8[]) AS begin, "                                          \
    "pg_catalog.unnest($3::pg_catalog.int4[]) AS len) AS x"

/*
 * Query for bytes. Zeros are left out of a piece that is all zeros (the rest of a WAL segment after
 * a switch, or pages that were never used), and of a single page between the ends of its line
 * pointers and of its tuples, if all is zeros there (pd_lower and pd_upper in PageHeaderData,
 * storage/bufpage.h; where a file has no such pages, the numbers at this place do no harm). The
 * last column has their number, and in its upper half their place. To recognize any other piece the
 * server seldom reads more than its first 64 bytes. "%u", three times: the size of a page; "%s":
 * server_missing_ok_argument.
 */
static const char fetch_sql[] =
    "SELECT path, begin, CASE WHEN zeros IS NULL THEN piece ELSE "
    "pg_catalog.substr(piece, 1, (zeros >> 32)::pg_catalog.int4) || "
    "pg_catalog.substr(piece, ((zeros >> 32) + (zeros & 4294967295) + 1)::pg_catalog.int4) END, "
    "zeros FROM (SELECT path, begin, piece, "
    "CASE WHEN pg_catalog.substr(piece, 1, 64) = "
    "pg_catalog.decode(pg_catalog.repeat('00', 64), 'hex') THEN CASE WHEN pg_catalog.octet_length("
    "pg_catalog.btrim(piece, pg_catalog.decode('00', 'hex'))) = 0 THEN "
    "pg_catalog.octet_length(piece)::pg_catalog.int8 END "
    "WHEN upper - lower BETWEEN " ZEROS_LEFT_OUT_MIN " AND %u AND "
    "pg_catalog.substr(piece, lower + 1, upper - lower) = pg_catalog.substr("
    "pg_catalog.decode(pg_catalog.repeat('00', %u), 'hex'), 1, upper - lower) THEN "
    "(lower::pg_catalog.int8 << 32) + upper - lower END AS zeros "
    "FROM (SELECT path, begin, piece, "
    "CASE WHEN is_page THEN pg_catalog.get_byte(piece, 12) + 256 * pg_catalog.get_byte(piece, 13) "
    "END AS lower, "
    "CASE WHEN is_page THEN pg_catalog.get_byte(piece, 14) + 256 * pg_catalog.get_byte(piece, 15) "
    "END AS upper "
    "FROM (SELECT path, begin, piece, pg_catalog.octet_length(piece) = %u AS is_page "
    "FROM (SELECT path, begin, pg_catalog.pg_read_binary_file(path, begin, len%s) AS "
    "piece " REQUEST_ROWS " OFFSET 0) AS pieces OFFSET 0) AS pages OFFSET 0) AS holes "
    "OFFSET 0) AS compared";

/* Query for one digest of each piece. */
static const char digest_sql[] =
    "SELECT path, begin, %spg_catalog.pg_read_binary_file(path, begin, len%s)%s, "
    "NULL::pg_catalog.int8 " REQUEST_ROWS;

/*
 * Query for the digests of a piece's blocks, one after the other. OFFSET 0 makes the server read
 * the piece once; without it, it would read the piece for each block. A subquery in the SELECT list
 * costs half of what a join would. The result is NULL if the file is gone, or ends before the
 * piece.
 */
static const char blocks_sql[] =
    "SELECT path, begin, (SELECT pg_catalog.string_agg(%spg_catalog.substr(piece, i, %u)%s, '') "
    "FROM pg_catalog.generate_series(1, pg_catalog.octet_length(piece), %u) AS i), "
    "NULL::pg_catalog.int8 "
    "FROM (SELECT path, begin, pg_catalog.pg_read_binary_file(path, begin, len%s) AS "
    "piece " REQUEST_ROWS " OFFSET 0) AS pieces";

/* Query of a standby: the answers of another query, each with the replay position at a time after
 * the piece was read. OFFSET 0 keeps this order. */
static const char replayed_sql[] = "SELECT answers.*, %s FROM (%s OFFSET 0) AS answers";

/* Append a request to the literals of the arrays of REQUEST_ROWS. */
static void append_request(const FetchRequest *request, Buffer *paths, Buffer *offsets,
                           Buffer *sizes)
{
    array_append(paths, request->path);
    array_append_int(offsets, (int64_t) request->offset);
    array_append_int(sizes, request->size);
}

/* ---- After the last pieces ---- */

/* Query for the WAL that is expected at the end: what lies before the flush position, which is not
 * lower than that of the state that was asked for before it. */
static Query last_wal_query(const ServerSource *self, Arena *arena)
{
    const ExpectedBytes *expected = &self->expected_wal;
    const ServerSql *names = &self->version->sql;

    if (expected->last_from == LSN_INVALID)
        return (Query){0};
    return (Query){
        .sql = arena_printf(
            arena,
            "SELECT pg_catalog.pg_read_binary_file($1::pg_catalog.text, $2::pg_catalog.int8, "
            "LEAST(GREATEST(pg_catalog.%s() OPERATOR(pg_catalog.-) $3::pg_catalog.pg_lsn, 0), "
            "%u)::pg_catalog.int8%s)",
            names->flushed_position, expected->asked_size, server_missing_ok_argument(names)),
        .failure = FETCH_FAILURE,
        .parameters = {expected->path,
                       arena_printf(arena, "%llu", (unsigned long long) expected->offset),
                       arena_printf(arena, "%X/%X", LSN_ARGS(expected->last_from))},
        .column_count = 1,
        .binary = true};
}

/* A ConnectionRow: keep the WAL's bytes. */
static bool take_last_wal_row(void *context, const ConnectionValue *columns, Error *error)
{
    ExpectedBytes *expected = context;

    (void) error;
    if (columns[0].bytes == NULL || columns[0].size > expected->asked_size)
        return true;
    memcpy(expected->bytes, columns[0].bytes, columns[0].size);
    expected->size = (uint32_t) columns[0].size;
    expected->answered = true;
    return true;
}

/* Send the last queries. */
static bool ask_last(const ServerSource *self, Connection *connection, Query queries[LAST_QUERIES],
                     Arena *arena, Error *error)
{
    queries[LAST_STATE] = server_state_query(self->version, self->removal_question, arena);
    queries[LAST_CONFIG] = server_config_query(false, arena);
    queries[LAST_WAL] = last_wal_query(self, arena);
    return connection_send(connection, &queries[LAST_STATE], error) &&
           connection_send(connection, &queries[LAST_CONFIG], error) &&
           (queries[LAST_WAL].sql == NULL ||
            connection_send(connection, &queries[LAST_WAL], error));
}

/* Receive their answers, for the next callers of state, read_file and fetch. What cannot be used is
 * dropped: fails only if the connection is lost. */
static bool take_last(ServerSource *self, Connection *connection, const Query queries[LAST_QUERIES],
                      Error *error)
{
    StateRead read = {.connection = connection,
                      .query = &queries[LAST_STATE],
                      .arena = self->arena,
                      .state = &self->last_state};

    self->has_last_state = server_receive_state(&read, error) &&
                           server_take_config(self, connection, &queries[LAST_CONFIG], error) &&
                           (queries[LAST_WAL].sql == NULL ||
                            connection_receive(connection, &queries[LAST_WAL], take_last_wal_row,
                                               &self->expected_wal, error)) &&
                           server_read_state(&read, &self->last_control, error);
    return self->has_last_state || error->kind == ERROR_FAILED;
}

/* Send a query for the next requests, up to the limits of one query. */
static bool send_fetch_query(Connection *connection, Fetch *fetch, Error *error)
{
    const size_t begin = fetch->asked;
    AUTO_BUFFER Buffer paths = {0}, offsets = {0}, sizes = {0};
    uint64_t bytes = 0;
    bool is_last;

    while (fetch->asked < fetch->batch->count && fetch->asked - begin < fetch->query_pieces_max &&
           bytes < fetch->query_bytes_max)
    {
        const FetchRequest *request = &fetch->batch->requests[fetch->asked++];

        append_request(request, &paths, &offsets, &sizes);
        bytes += request->size;
    }
    fetch->ends[fetch->under_way++] = fetch->asked;
    log_debug("getting %zu file chunks", fetch->asked - begin); /* contract */
    fetch->query.parameters[0] = array_literal(&paths);
    fetch->query.parameters[1] = array_literal(&offsets);
    fetch->query.parameters[2] = array_literal(&sizes);
    if (fetch->fails_where_gone)
        return connection_rows(connection, &fetch->query, fetch_row, fetch, error);
    is_last = fetch->asked == fetch->batch->count;
    fetch->query.ends = is_last && !fetch->asks_state;
    return connection_send(connection, &fetch->query, error) &&
           (!is_last || !fetch->asks_state ||
            ask_last(fetch->server, connection, fetch->last_queries, fetch->arena, error));
}

/* Check that the oldest unanswered query was answered whole, and remove it from the list. */
static bool end_fetch_query(Fetch *fetch, Error *error)
{
    if (fetch->progress.delivered != fetch->ends[0])
        return error_set(error, ERROR_FAILED, /* contract */
                         "unexpected number of data chunks received");
    fetch->under_way--;
    memmove(fetch->ends, fetch->ends + 1, (size_t) fetch->under_way * sizeof(fetch->ends[0]));
    return true;
}

/*
 * Run one query on a server whose queries fail for a missing file. Rows before the failure were
 * delivered. Then ask for the next request alone: if that fails too, its file is the missing one.
 */
static bool fetch_with_failures(Connection *connection, Fetch *fetch, Error *error)
{
    const size_t index = fetch->progress.delivered;

    fetch->asked = fetch->progress.delivered;
    fetch->under_way = 0;
    if (send_fetch_query(connection, fetch, error))
    {
        fetch->query_pieces_max = QUERY_PIECES_MAX;
        return end_fetch_query(fetch, error);
    }
    if (!server_lacked_file(connection) ||
        !server_note_replayed(fetch->server, connection, &fetch->progress, error))
        return false;
    if (fetch->query_pieces_max > 1)
    {
        fetch->query_pieces_max = 1;
        return true;
    }
    fetch->query_pieces_max = QUERY_PIECES_MAX;
    fetch->progress.delivered++;
    log_debug("received null value for chunk for file \"%s\", file has been deleted",
              fetch->batch->requests[index].path); /* contract */
    return fetch->deliver(fetch->context, index, NULL, 0, error);
}

/* An Attempt: send queries ahead, and take the answers in order. On a new connection, ask again for
 * all that was not delivered. */
static bool fetch_once(Connection *connection, void *context, Error *error)
{
    Fetch *fetch = context;
    bool success = true;

    fetch->query_pieces_max = QUERY_PIECES_MAX;
    while (success && fetch->fails_where_gone && fetch->progress.delivered < fetch->batch->count)
        success = fetch_with_failures(connection, fetch, error);
    if (fetch->fails_where_gone)
        return success;
    fetch->asked = fetch->progress.delivered;
    fetch->under_way = 0;
    /* If only the state was lost with a connection, its caller asks for it. */
    fetch->asks_state = fetch->asks_state && fetch->asked < fetch->batch->count;
    while (success && fetch->progress.delivered < fetch->batch->count)
    {
        if (fetch->asked < fetch->batch->count && fetch->under_way < QUERIES_UNDER_WAY_MAX)
            success = send_fetch_query(connection, fetch, error);
        else
            success = connection_receive(connection, &fetch->query, fetch_row, fetch, error) &&
                      end_fetch_query(fetch, error);
    }
    return success &&
           (!fetch->asks_state || take_last(fetch->server, connection, fetch->last_queries, error));
}

/* Returns the SQL text for the batch, by the server's version and whether it is a standby. */
static const char *make_fetch_sql(const ServerSource *self, const FetchBatch *batch, Arena *arena)
{
    const ServerSql *names = &self->version->sql;
    const char *may_lack = server_missing_ok_argument(names);
    const char *const *digest = digests[self->source.digest];
    const uint32_t page_size = self->opened_control.block_size;
    const char *sql;

    if (!batch->digests)
        sql = arena_printf(arena, fetch_sql, page_size, page_size, page_size, may_lack);
    else if (batch->block_size > 0)
        sql = arena_printf(arena, blocks_sql, digest[0], batch->block_size, digest[1],
                           batch->block_size, may_lack);
    else
        sql = arena_printf(arena, digest_sql, digest[0], may_lack, digest[1]);
    if (!self->identity.in_recovery)
        return sql;
    return arena_printf(arena, replayed_sql, server_replayed_sql(arena, names), sql);
}

/* ---- WAL that is expected ---- */

/* The next piece of the expected bytes. */
static FetchRequest next_expected(const ExpectedBytes *expected, uint32_t from)
{
    const uint32_t left = expected->asked_size - from;

    return (FetchRequest){.path = expected->path,
                          .offset = expected->offset + from,
                          .size = left < FETCH_SIZE_MAX ? left : FETCH_SIZE_MAX};
}

/* A ConnectionRow: keep the next piece. If bytes are missing, check_piece refuses the next one. */
static bool take_expected_row(void *context, const ConnectionValue *columns, Error *error)
{
    ExpectedBytes *expected = context;
    const FetchRequest piece = next_expected(expected, expected->size);
    AUTO_BUFFER Buffer whole = {0};
    const uint8_t *bytes;
    size_t size;

    if (!check_piece(&piece, columns, error))
        return false;
    if (columns[2].bytes == NULL)
        return error_set(error, ERROR_FAILED,
                         "could not fetch remote file \"%s\": file does not exist", piece.path);
    if (!take_piece(&piece, columns, &whole, &bytes, &size, error))
        return false;
    memcpy(expected->bytes + expected->size, bytes, size);
    expected->size += (uint32_t) size;
    return true;
}

/* True if WAL may be asked for before a caller needs it. The WAL of a standby is fetched when its
 * replay position is known. At a limited rate no byte is asked for that might not be needed. */
static bool can_expect_wal(const ServerSource *self)
{
    return self->source.is_server && !self->identity.in_recovery && self->source.rate == NULL &&
           self->version->sql.missing_ok;
}

/* Let go of what is expected, and expect these bytes. */
static ExpectedBytes *expect_bytes(ServerSource *self, const char *path, uint64_t offset,
                                   uint32_t size)
{
    ExpectedBytes *expected = &self->expected_wal;

    server_withdraw_along(self, expected);
    *expected = (ExpectedBytes){.path = arena_strdup(self->arena, path),
                                .offset = offset,
                                .asked_size = size,
                                .bytes = arena_allocate(self->arena, size)};
    return expected;
}

void source_server_expect_wal(Source *source, const char *path, uint64_t offset, uint32_t size)
{
    ServerSource *self = (ServerSource *) source;
    ExpectedBytes *expected;
    Arena *arena;
    AUTO_BUFFER Buffer paths = {0}, offsets = {0}, sizes = {0};
    Query query = {.failure = FETCH_FAILURE, .column_count = 4, .binary = true};

    assert(size <= EXPECTED_WAL_MAX);
    if (!can_expect_wal(self))
        return;
    arena = self->arena;
    expected = expect_bytes(self, path, offset, size);
    for (uint32_t from = 0; from < size; from += FETCH_SIZE_MAX)
    {
        const FetchRequest piece = next_expected(expected, from);

        append_request(&piece, &paths, &offsets, &sizes);
    }
    query.sql = make_fetch_sql(self, &(FetchBatch){.digests = false}, arena);
    query.parameters[0] = arena_strdup(arena, array_literal(&paths));
    query.parameters[1] = arena_strdup(arena, array_literal(&offsets));
    query.parameters[2] = arena_strdup(arena, array_literal(&sizes));
    server_ask_along(self, &(AlongQuery){query, take_expected_row, expected, &expected->answered});
}

void source_server_expect_last_wal(Source *source, const char *path, uint64_t offset, Lsn from)
{
    ServerSource *self = (ServerSource *) source;

    if (can_expect_wal(self))
        expect_bytes(self, path, offset, FETCH_SIZE_MAX)->last_from = from;
}

static bool is_expected(const ExpectedBytes *expected, const FetchRequest *request)
{
    return request->offset >= expected->offset &&
           request->offset + request->size <= expected->offset + expected->size &&
           strcmp(request->path, expected->path) == 0;
}

/* Deliver those first pieces of the batch whose bytes are in expected_wal. */
static bool deliver_expected(ServerSource *self, Fetch *fetch, Error *error)
{
    ExpectedBytes *expected = &self->expected_wal;
    const FetchBatch *batch = fetch->batch;
    size_t *delivered = &fetch->progress.delivered;
    bool answered;

    if (batch->digests || !is_expected(expected, &batch->requests[0]))
        return true;
    pthread_mutex_lock(&self->instance_lock);
    answered = expected->answered;
    expected->answered = false;
    pthread_mutex_unlock(&self->instance_lock);
    while (answered && *delivered < batch->count &&
           is_expected(expected, &batch->requests[*delivered]))
    {
        const size_t index = (*delivered)++;
        const FetchRequest *request = &batch->requests[index];

        if (!fetch->deliver(fetch->context, index,
                            expected->bytes + (request->offset - expected->offset), request->size,
                            error))
            return false;
    }
    return true;
}

bool server_fetch(Source *source, int worker, const FetchBatch *batch, FetchDelivery deliver,
                  void *context, Error *error)
{
    ServerSource *self = (ServerSource *) source;
    AUTO_ARENA Arena *arena = arena_create();
    AUTO_BUFFER Buffer whole = {0};
    /* At a low rate queries must be smaller, so that none holds its snapshot for long. */
    const uint64_t share = rate_limit(source->rate) / 8;
    Fetch fetch = {.batch = batch,
                   .server = self,
                   .asks_state = batch->ends_reading && !self->identity.in_recovery &&
                                 self->version->sql.missing_ok,
                   .arena = arena,
                   .query_bytes_max =
                       share > 0 && share < QUERY_BYTES_MAX ? share : QUERY_BYTES_MAX,
                   .fails_where_gone = !self->version->sql.missing_ok,
                   .query = {.sql = make_fetch_sql(self, batch, arena),
                             .failure = FETCH_FAILURE,
                             .column_count = self->identity.in_recovery ? 5 : 4,
                             .binary = true},
                   .whole = &whole,
                   .deliver = deliver,
                   .context = context};

    self->has_last_state = false;
    assert(batch->count <= FETCH_COUNT_MAX);
    assert(!batch->digests || source->digest != DIGEST_NONE);
    if (!deliver_expected(self, &fetch, error))
        return false;
    if (fetch.progress.delivered == batch->count)
        return true;
    return server_attempt(self, worker, fetch_once, &fetch, &fetch.progress, error);
}

/* ---- The choice of the digest ---- */

static Query digest_query(DigestKind kind, Arena *arena)
{
    const char *const *sql = digests[kind];

    return (Query){.sql = arena_printf(arena,
                                       "SELECT pg_catalog.encode(%s''::pg_catalog.bytea%s, 'hex')",
                                       sql[0], sql[1]),
                   .column_count = 1};
}

/* True if this program can compute this kind of digest, and the server's version knows it. */
static bool may_be_computed(const ServerSource *self, DigestKind kind)
{
    uint8_t digest[DIGEST_SIZE];

    return (kind != DIGEST_SHA256 || self->version->has_sha256) &&
           digest_bytes(kind, "", 0, digest);
}

const Query *server_digest_query(const ServerSource *self, DigestKind *kind)
{
    Query *query = arena_allocate(self->arena, sizeof(*query));

    *kind = digest_preferred(self->version, digest_has_instructions());
    if (!may_be_computed(self, *kind))
        return NULL;
    *query = digest_query(*kind, self->arena);
    return query;
}

bool server_find_digest(ServerSource *self, Error *error)
{
    const DigestKind preferred = digest_preferred(self->version, digest_has_instructions());
    const DigestKind kinds[] = {preferred, preferred == DIGEST_MD5 ? DIGEST_SHA256 : DIGEST_MD5};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
    {
        const Query query = digest_query(kinds[i], self->arena);
        char *value;

        if (!may_be_computed(self, kinds[i]))
            continue;
        if (server_ask(&self->source, self->arena, &query, &value, error))
        {
            self->source.digest = kinds[i];
            return true;
        }
        if (error->kind != ERROR_FAILED)
            return false;
    }
    return true;
}
