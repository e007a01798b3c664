#include "source/source_server.h"

#include "base/log.h"

#include <stdio.h>

/* MD5 and SHA-256 of a bytea, as a bytea of DIGEST_SIZE bytes; the value stands in between. */
static const DigestSql expressions[DIGEST_KINDS] = {
    [DIGEST_MD5] = {"pg_catalog.decode(pg_catalog.md5(", "), 'hex')"},
    [DIGEST_SHA256] = {"pg_catalog.substr(pg_catalog.sha256(", "), 1, 16)"}};

const DigestSql *server_digest_sql(DigestKind kind)
{
    return &expressions[kind];
}

/* ---- Which there are ---- */

typedef struct DigestProbe
{
    Arena *arena;
    DigestKind kind;
} DigestProbe;

static bool probe_once(Connection *connection, void *context, Error *error)
{
    const DigestProbe *probe = context;
    const DigestSql *digest = server_digest_sql(probe->kind);
    char sql[128];
    char *value;

    snprintf(sql, sizeof(sql), "SELECT pg_catalog.encode(%s''::pg_catalog.bytea%s, 'hex')",
             digest->before, digest->after);
    return server_query_text(connection, probe->arena, sql, &value, error);
}

bool server_find_digest(ServerSource *self, Arena *arena, Error *error)
{
    for (DigestKind kind = DIGEST_MD5; kind < DIGEST_KINDS; kind++)
    {
        DigestProbe probe = {arena, kind};
        uint8_t digest[DIGEST_SIZE];

        if ((kind == DIGEST_SHA256 && !self->version->has_sha256) ||
            !digest_bytes(kind, "", 0, digest))
            continue;
        if (server_attempt(self, 0, probe_once, &probe, NULL, error))
        {
            self->source.digest = kind;
            return true;
        }
        if (error->kind != ERROR_FAILED)
            return false;
    }
    return true;
}

/* ---- Which is the faster ---- */

#define TIME "(EXTRACT(epoch FROM pg_catalog.clock_timestamp()) * 1000000)::pg_catalog.int8"

/* The time before and after each digest of the sample. OFFSET 0: else they would be computed while
 * the query is planned. */
static const char times_sql[] =
    "SELECT " TIME ", %s sample%s, " TIME ", %s sample%s, " TIME
    " FROM (SELECT pg_catalog.decode(pg_catalog.repeat('5a', %d), 'hex') AS sample OFFSET 0) "
    "AS samples, pg_catalog.generate_series(1, %d)";

static void keep_least(int64_t *least, int64_t microseconds)
{
    *least = microseconds < *least ? microseconds : *least;
}

static bool take_times(void *context, const ConnectionValue *columns, Error *error)
{
    DigestTimes *times = context;
    int64_t begin, middle, end;

    if (!connection_int8(&columns[0], &begin, error) ||
        !connection_int8(&columns[2], &middle, error) || !connection_int8(&columns[4], &end, error))
        return false;
    keep_least(&times->microseconds[DIGEST_MD5], middle - begin);
    keep_least(&times->microseconds[DIGEST_SHA256], end - middle);
    return true;
}

static bool measure_once(Connection *connection, void *context, Error *error)
{
    const DigestSql *md5 = server_digest_sql(DIGEST_MD5);
    const DigestSql *sha256 = server_digest_sql(DIGEST_SHA256);
    char sql[1024];

    snprintf(sql, sizeof(sql), times_sql, md5->before, md5->after, sha256->before, sha256->after,
             DIGEST_SAMPLE_SIZE, DIGEST_SAMPLES);
    return connection_rows(connection, sql, 0, NULL, true, 5, take_times, context, error);
}

bool source_server_choose_digest(Source *source, Error *error)
{
    ServerSource *self = (ServerSource *) source;
    DigestTimes here;
    DigestTimes there = {{INT64_MAX, INT64_MAX, INT64_MAX}};

    if (source->digest != DIGEST_MD5 || !self->version->has_sha256)
        return true;
    if (!server_attempt(self, 0, measure_once, &there, NULL, error))
        return error->kind == ERROR_FAILED; /* it computes no SHA-256 */
    digest_measure(&here);
    source->digest = digest_choose(&here, &there);
    log_debug("a sample of %d kB takes %lld us by MD5 and %lld by SHA-256, on the source %lld and "
              "%lld",
              DIGEST_SAMPLE_SIZE / 1024, (long long) here.microseconds[DIGEST_MD5],
              (long long) here.microseconds[DIGEST_SHA256],
              (long long) there.microseconds[DIGEST_MD5],
              (long long) there.microseconds[DIGEST_SHA256]);
    return true;
}
