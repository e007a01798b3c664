/*
 * What the source says of its standbys, and of the role that asks.
 */
#include "source/source_server_standbys.h"

#include <stdio.h>
#include <string.h>

#define STANDBY_COLUMNS 7

/*
 * A role without pg_read_all_stats, which came with 10, sees the names of its own connections, and
 * not how they do; a superuser sees all. Four times what follows sent_ in the names of columns.
 */
static const char standby_sql[] =
    "SELECT pg_catalog.current_setting('is_superuser') = 'on' OR EXISTS (SELECT 1\n"
    "    FROM pg_catalog.pg_roles WHERE rolname = 'pg_read_all_stats'\n"
    "    AND pg_catalog.pg_has_role(oid, 'USAGE')), application_name, state,\n"
    "  sync_state, sent_%s, flush_%s, replay_%s\n"
    "FROM (SELECT 1) AS one LEFT JOIN\n"
    "  (SELECT * FROM pg_catalog.pg_stat_replication\n"
    "   WHERE application_name = ANY ($1::pg_catalog.text[])\n"
    "     AND pg_catalog.date_part('epoch', backend_start) * 1000000 >= $2::pg_catalog.float8\n"
    "   ORDER BY state = 'streaming' DESC NULLS LAST, replay_%s DESC NULLS LAST LIMIT 1) AS it\n"
    "ON true";

typedef struct StandbyQuery
{
    const char *const *parameters;
    SourceStandby *standby;
} StandbyQuery;

static void take_text(const ConnectionValue *value, char *out, size_t size)
{
    snprintf(out, size, "%s", value->bytes != NULL ? value->bytes : "");
}

/* A ConnectionRow. */
static bool take_standby(void *context, const ConnectionValue *columns, Error *error)
{
    SourceStandby *standby = context;

    (void) error;
    *standby =
        (SourceStandby){.all_visible = columns[0].bytes != NULL && columns[0].bytes[0] == 't',
                        .found = columns[1].bytes != NULL};
    take_text(&columns[1], standby->name, sizeof(standby->name));
    take_text(&columns[2], standby->state, sizeof(standby->state));
    take_text(&columns[3], standby->sync_state, sizeof(standby->sync_state));
    standby->sent = lsn_of_text(columns[4].bytes);
    standby->flushed = lsn_of_text(columns[5].bytes);
    standby->replayed = lsn_of_text(columns[6].bytes);
    return true;
}

/* An Attempt. */
static bool find_standby_once(Connection *connection, void *context, Error *error)
{
    const StandbyQuery *query = context;

    const char *column = server_version(connection)->sql.position_column;
    char sql[1024];

    *query->standby = (SourceStandby){0};
    snprintf(sql, sizeof(sql), standby_sql, column, column, column, column);
    return connection_rows(connection, sql, 2, query->parameters, false, STANDBY_COLUMNS,
                           take_standby, query->standby, error);
}

bool source_server_find_standby(Source *source, const char *const *names, const char *since,
                                SourceStandby *standby, Error *error)
{
    Buffer list = {0};
    const char *parameters[2] = {NULL, since};
    StandbyQuery query = {.parameters = parameters, .standby = standby};
    bool success;

    array_begin(&list);
    for (; *names != NULL; names++)
        array_append(&list, *names);
    array_end(&list);
    parameters[0] = buffer_string(&list);
    success = server_attempt((ServerSource *) source, 0, find_standby_once, &query, NULL, error);
    buffer_free(&list);
    return success;
}

/* A question that is answered by one text. */
typedef struct TextQuery
{
    const char *sql;
    Arena *arena;
    char *answer;
} TextQuery;

/* An Attempt. */
static bool ask_text_once(Connection *connection, void *context, Error *error)
{
    TextQuery *query = context;

    return server_query_text(connection, query->arena, query->sql, &query->answer, error);
}

bool source_server_clock(Source *source, Arena *arena, const char **now, Error *error)
{
    TextQuery query = {
        .sql = "SELECT (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) * 1000000)"
               "::pg_catalog.int8::pg_catalog.text",
        .arena = arena};
    const bool success =
        server_attempt((ServerSource *) source, 0, ask_text_once, &query, NULL, error);

    *now = query.answer;
    return success;
}
