#include "source/source_server.h"

#include "base/log.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * Of one query. The server holds a snapshot as long as it answers one, so that it should not be
 * large; the next ones are there already when it ends.
 */
#define QUERY_PIECES_MAX 500
#define QUERY_BYTES_MAX ((uint64_t) 4 * 1024 * 1024)
#define QUERIES_UNDER_WAY_MAX 4
#define SQL_SIZE 1024

/* Pieces that are fetched, and how far. */
typedef struct Fetch
{
    const FetchRequest *requests;
    size_t count;
    size_t next;                        /* whose answer comes next: all before are delivered */
    size_t asked;                       /* all before were asked for on this connection */
    size_t ends[QUERIES_UNDER_WAY_MAX]; /* of the queries under way, oldest first */
    int under_way;
    size_t query_pieces_max;
    uint64_t query_bytes_max;
    bool fails_where_gone; /* a query fails as a whole where a file is not there */
    int column_count;
    bool digest;         /* the source's digest instead of the bytes */
    uint32_t block_size; /* the digest of each block of that size; 0: of the whole */
    const char *sql;
    FetchDelivery deliver;
    void *context;
} Fetch;

/* Is the row the answer to the request? Columns: path, begin, bytes; of those that are not digests
 * also how many zeros. */
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
    if (!connection_int8(&columns[1], &begin, error))
        return false;
    if ((uint64_t) begin != request->offset)
        return error_set(
            error, ERROR_FAILED, /* contract */
            "received data at offset %lld of file \"%s\", when requested for offset %lld",
            (long long) begin, request->path, (long long) request->offset);
    return true;
}

/* Bytes, as such or as the number of zeros in their place. */
static bool deliver_piece(Fetch *fetch, size_t index, const ConnectionValue *piece,
                          const ConnectionValue *zero_count, Error *error)
{
    static uint8_t zeros[FETCH_SIZE_MAX];
    const FetchRequest *request = &fetch->requests[index];
    const uint8_t *bytes = (const uint8_t *) piece->bytes;
    size_t size = piece->size;
    int64_t count;

    if (zero_count->bytes != NULL)
    {
        if (piece->size != 0 || zero_count->size != sizeof(count))
            return error_set(error, ERROR_FAILED, /* contract */
                             "unexpected result length while fetching remote files");
        if (!connection_int8(zero_count, &count, error))
            return false;
        size = (size_t) count; /* a negative one is too large */
        bytes = zeros;
    }
    if (size > request->size)
        return error_set(error, ERROR_FAILED, /* contract */
                         "received more than requested for file \"%s\"", request->path);
    log_debug("received chunk for file \"%s\", offset %lld, size %zu", /* contract */
              request->path, (long long) request->offset, size);
    return fetch->deliver(fetch->context, index, bytes, size, error);
}

/* The digest of the piece, or those of its blocks, of which there may be fewer than were asked
 * for. */
static bool deliver_digests(Fetch *fetch, size_t index, const ConnectionValue *piece, Error *error)
{
    const FetchRequest *request = &fetch->requests[index];
    const size_t blocks_max =
        fetch->block_size > 0 ? (request->size - 1) / fetch->block_size + 1 : 1;

    if (piece->size % DIGEST_SIZE != 0 || piece->size / DIGEST_SIZE > blocks_max ||
        (fetch->block_size == 0 && piece->size == 0))
        return error_set(error, ERROR_FAILED, "received %zu bytes of digests of file \"%s\"",
                         piece->size, request->path);
    return fetch->deliver(fetch->context, index, (const uint8_t *) piece->bytes, piece->size,
                          error);
}

static bool fetch_row(void *context, const ConnectionValue *columns, Error *error)
{
    Fetch *fetch = context;
    const FetchRequest *request = &fetch->requests[fetch->next];
    const size_t index = fetch->next;
    const ConnectionValue *piece = &columns[2];

    if (fetch->next >= fetch->ends[0])
        return error_set(error, ERROR_FAILED, /* contract */
                         "received more data chunks than requested");
    if (!check_piece(request, columns, error))
        return false;

    fetch->next++;
    if (piece->bytes == NULL)
    {
        log_debug("received null value for chunk for file \"%s\", file has been deleted",
                  request->path); /* contract */
        return fetch->deliver(fetch->context, index, NULL, 0, error);
    }
    return fetch->digest ? deliver_digests(fetch, index, piece, error)
                         : deliver_piece(fetch, index, piece, &columns[3], error);
}

/*
 * The requests as rows: arrays of one length, side by side. (ROWS FROM came with 9.4, and unnest
 * with several arrays cannot be qualified with a schema.) In each query "%s" is server_may_lack.
 */
#define REQUEST_ROWS                                                                               \
    "FROM (SELECT pg_catalog.unnest($1::pg_catalog.text[]) AS path, "                              \
    "pg_catalog.unnest($2::pg_catalog.int8[]) AS begin, "                                          \
    "pg_catalog.unnest($3::pg_catalog.int4[]) AS len) AS x"

/*
 * Of a piece that is all zeros only their number is sent: the rest of a segment after a switch, or
 * pages that were never used. A look at the first bytes is enough for all others.
 */
static const char fetch_sql[] =
    "SELECT path, begin, CASE WHEN zeros THEN pg_catalog.decode('', 'hex') ELSE piece END, "
    "CASE WHEN zeros THEN pg_catalog.octet_length(piece)::pg_catalog.int8 END FROM (SELECT path, "
    "begin, piece, "
    "CASE WHEN pg_catalog.substr(piece, 1, 64) = "
    "pg_catalog.decode(pg_catalog.repeat('00', 64), 'hex') THEN pg_catalog.octet_length("
    "pg_catalog.btrim(piece, pg_catalog.decode('00', 'hex'))) = 0 END AS zeros "
    "FROM (SELECT path, begin, pg_catalog.pg_read_binary_file(path, begin, len%s) AS "
    "piece " REQUEST_ROWS " OFFSET 0) AS pieces OFFSET 0) AS compared";

static const char digest_sql[] =
    "SELECT path, begin, %spg_catalog.pg_read_binary_file(path, begin, len%s)%s " REQUEST_ROWS;

/*
 * The digests of a piece's blocks, one after the other. The piece is read once, below an OFFSET 0
 * without which it would be read for each block; a row of a subquery in the SELECT list is half as
 * much work as one of a join. NULL: the file is gone, or ends before the piece.
 */
static const char blocks_sql[] =
    "SELECT path, begin, (SELECT pg_catalog.string_agg(%spg_catalog.substr(piece, i, %u)%s, '') "
    "FROM pg_catalog.generate_series(1, pg_catalog.octet_length(piece), %u) AS i) "
    "FROM (SELECT path, begin, pg_catalog.pg_read_binary_file(path, begin, len%s) AS "
    "piece " REQUEST_ROWS " OFFSET 0) AS pieces";

/* The next requests, as many as one query may have. */
static void ask_next(Fetch *fetch, Buffer arrays[3])
{
    const size_t begin = fetch->asked;
    uint64_t bytes = 0;

    for (int i = 0; i < 3; i++)
        array_begin(&arrays[i]);
    while (fetch->asked < fetch->count && fetch->asked - begin < fetch->query_pieces_max &&
           bytes < fetch->query_bytes_max)
    {
        const FetchRequest *request = &fetch->requests[fetch->asked++];

        array_append(&arrays[0], request->path);
        array_append_int(&arrays[1], (int64_t) request->offset);
        array_append_int(&arrays[2], request->size);
        bytes += request->size;
    }
    for (int i = 0; i < 3; i++)
        array_end(&arrays[i]);
    fetch->ends[fetch->under_way++] = fetch->asked;
    log_debug("getting %zu file chunks", fetch->asked - begin); /* contract */
}

/* Send one query. The three parameters are arrays of the same length. */
static bool send_fetch_query(Connection *connection, Fetch *fetch, Error *error)
{
    Buffer arrays[3] = {{0}};
    const char *parameters[3];
    bool success;

    ask_next(fetch, arrays);
    for (int i = 0; i < 3; i++)
        parameters[i] = buffer_string(&arrays[i]);
    success = fetch->fails_where_gone
                  ? connection_rows(connection, fetch->sql, 3, parameters, true,
                                    fetch->column_count, fetch_row, fetch, error)
                  : connection_pipeline_send(connection, fetch->sql, 3, parameters, error);
    for (int i = 0; i < 3; i++)
        buffer_free(&arrays[i]);
    return success;
}

static bool end_fetch_query(Fetch *fetch, Error *error)
{
    if (fetch->next != fetch->ends[0])
        return error_set(error, ERROR_FAILED, /* contract */
                         "unexpected number of data chunks received");
    fetch->under_way--;
    memmove(fetch->ends, fetch->ends + 1, (size_t) fetch->under_way * sizeof(fetch->ends[0]));
    return true;
}

/* Take the answer of the oldest query under way. */
static bool receive_fetch_answer(Connection *connection, Fetch *fetch, Error *error)
{
    return connection_pipeline_rows(connection, fetch->sql, fetch->column_count, fetch_row, fetch,
                                    error) &&
           end_fetch_query(fetch, error);
}

/*
 * One query, of a server that fails for a file that is gone. The rows before it have come; then
 * what comes next is asked for alone, and if that fails it is the one that is gone.
 */
static bool fetch_with_failures(Connection *connection, Fetch *fetch, Error *error)
{
    const size_t index = fetch->next;
    bool lacked;

    fetch->asked = fetch->next;
    fetch->under_way = 0;
    if (send_fetch_query(connection, fetch, error))
    {
        fetch->query_pieces_max = QUERY_PIECES_MAX;
        return end_fetch_query(fetch, error);
    }
    if (!server_lacked_file(connection, &lacked, error))
        return false;
    if (fetch->query_pieces_max > 1)
    {
        fetch->query_pieces_max = 1;
        return true;
    }
    fetch->query_pieces_max = QUERY_PIECES_MAX;
    fetch->next++;
    log_debug("received null value for chunk for file \"%s\", file has been deleted",
              fetch->requests[index].path); /* contract */
    return fetch->deliver(fetch->context, index, NULL, 0, error);
}

/* Ask ahead, and take the answers in their order. On a new connection all is asked for again that
 * was not delivered. */
static bool fetch_once(Connection *connection, void *context, Error *error)
{
    Fetch *fetch = context;
    bool success = true;

    fetch->query_pieces_max = QUERY_PIECES_MAX;
    while (success && fetch->fails_where_gone && fetch->next < fetch->count)
        success = fetch_with_failures(connection, fetch, error);
    if (fetch->fails_where_gone)
        return success || error_reword(error, "could not fetch remote files from source server");
    success = connection_pipeline_begin(connection, error);
    fetch->asked = fetch->next;
    fetch->under_way = 0;
    while (success && fetch->next < fetch->count)
    {
        if (fetch->asked < fetch->count && fetch->under_way < QUERIES_UNDER_WAY_MAX)
            success = send_fetch_query(connection, fetch, error);
        else
            success = receive_fetch_answer(connection, fetch, error);
    }
    if (!success || !connection_pipeline_end(connection, error))
        return error_reword(error, "could not fetch remote files from source server");
    return true;
}

/* A query must not hold its snapshot for long only because the rate is low. */
static uint64_t query_bytes_max(const Source *source)
{
    const uint64_t share = rate_limit(source->rate) / 8;

    return share > 0 && share < QUERY_BYTES_MAX ? share : QUERY_BYTES_MAX;
}

/* By a query that has been made for the server's version. */
static bool fetch_all(ServerSource *self, int worker, Fetch *fetch, Error *error)
{
    assert(fetch->count <= FETCH_COUNT_MAX);
    fetch->column_count = fetch->digest ? 3 : 4;
    fetch->query_bytes_max = query_bytes_max(&self->source);
    fetch->fails_where_gone = !self->version->sql.missing_ok;
    return server_attempt(self, worker, fetch_once, fetch, &fetch->next, error);
}

bool server_fetch(Source *source, int worker, const FetchRequest *requests, size_t count,
                  FetchDelivery deliver, void *context, Error *error)
{
    ServerSource *self = (ServerSource *) source;
    char sql[SQL_SIZE];
    Fetch fetch = {
        .requests = requests, .count = count, .sql = sql, .deliver = deliver, .context = context};

    snprintf(sql, sizeof(sql), fetch_sql, server_may_lack(&self->version->sql));
    return fetch_all(self, worker, &fetch, error);
}

bool server_digest(Source *source, int worker, const FetchRequest *requests, size_t count,
                   FetchDelivery deliver, void *context, bool *supported, Error *error)
{
    ServerSource *self = (ServerSource *) source;
    const DigestSql *digest = server_digest_sql(source->digest);
    char sql[SQL_SIZE];
    Fetch fetch = {.requests = requests,
                   .count = count,
                   .digest = true,
                   .sql = sql,
                   .deliver = deliver,
                   .context = context};

    *supported = source->digest != DIGEST_NONE;
    if (!*supported)
        return true;
    snprintf(sql, sizeof(sql), digest_sql, digest->before, server_may_lack(&self->version->sql),
             digest->after);
    return fetch_all(self, worker, &fetch, error);
}

bool server_digest_blocks(Source *source, int worker, const FetchRequest *requests, size_t count,
                          uint32_t block_size, FetchDelivery deliver, void *context,
                          bool *supported, Error *error)
{
    ServerSource *self = (ServerSource *) source;
    const DigestSql *digest = server_digest_sql(source->digest);
    char sql[SQL_SIZE];
    Fetch fetch = {.requests = requests,
                   .count = count,
                   .digest = true,
                   .block_size = block_size,
                   .sql = sql,
                   .deliver = deliver,
                   .context = context};

    assert(block_size > 0);
    *supported = source->digest != DIGEST_NONE;
    if (!*supported)
        return true;
    snprintf(sql, sizeof(sql), blocks_sql, digest->before, block_size, digest->after, block_size,
             server_may_lack(&self->version->sql));
    return fetch_all(self, worker, &fetch, error);
}
