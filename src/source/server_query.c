/*
 * Small questions to a source that is a server, each answered by a row or a few: where it stands,
 * names of files, databases and relations, a checkpoint, and what a standby needs of it.
 */
#include "source/server.h"

#include "base/text_cursor.h"

#include <stdio.h>
#include <string.h>

static bool is_true(const char *value)
{
    return value != NULL && value[0] == 't';
}

/* ---- Where it stands ---- */

typedef struct PositionQuery
{
    ServerSource *server;
    const Control *control;
    SourcePosition *position;
    Arena *arena;
    Lsn replayed; /* of a standby */
} PositionQuery;

/*
 * A primary gives its flush position and the timeline of that segment's name, a standby the
 * positions received and replayed. The columns of the other are NULL.
 */
static const char position_sql[] =
    "SELECT CASE WHEN NOT standby THEN (SELECT lsn::pg_catalog.text || ' ' ||\n"
    "    pg_catalog.substr(pg_catalog.%s(lsn), 1, 8) FROM pg_catalog.%s() AS lsn) END,\n"
    "  CASE WHEN standby THEN pg_catalog.%s()::pg_catalog.text END,\n"
    "  CASE WHEN standby THEN pg_catalog.%s()::pg_catalog.text END\n"
    "FROM (SELECT pg_catalog.pg_is_in_recovery() AS standby OFFSET 0) AS role";

/* LSN as a server prints it, possibly followed by a blank and a timeline of eight hexadecimal
 * digits. */
static bool parse_position(const char *text, Lsn *lsn, Timeline *timeline, Error *error)
{
    TextCursor left = text_cursor(text);

    *timeline = 0;
    if (!lsn_take(&left, lsn) || *lsn > LSN_HIGHEST ||
        (text_take(&left, " ") && !text_take_hex(&left, 8, timeline)))
        return error_set(error, ERROR_FAILED, "unrecognized result \"%s\" for current WAL position",
                         text);
    return true;
}

/*
 * At the exact boundary of a segment pg_walfile_name gives the segment before; its timeline is
 * nevertheless the one that the server writes on.
 */
static bool take_primary_position(const PositionQuery *query, Lsn seen, const char *text,
                                  Error *error)
{
    SourcePosition *position = query->position;
    Timeline timeline;

    if (!parse_position(text, &position->end, &timeline, error) ||
        !server_check_position(query->server, seen, position->end, error))
        return false;
    position->in_recovery = false;
    position->minimum = position->end;
    position->timeline = control_timeline(query->control);
    if (timeline > position->timeline)
        position->timeline = timeline;
    return true;
}

/*
 * A standby that was restarted has replayed all that it had before once it has asked its primary
 * for WAL again: it does so when it has read its own WAL to the end.
 */
static bool check_replayed_again(ServerSource *self, bool streams, Error *error)
{
    if (streams)
        self->streams = true;
    if (streams || !(self->streams || self->restarted))
        return true;
    error_set(error, ERROR_RETRY,
              "source server has not yet replayed the WAL that it had replayed before its restart");
    return error_detail(error, "It is a standby that is not streaming from a primary now.");
}

/*
 * Recovery must pass what it has replayed, not only minRecoveryPoint: directories of databases are
 * removed and copied by replay at once, and minRecoveryPoint does not wait for that.
 */
static bool take_standby_position(PositionQuery *query, const char *received, const char *replayed,
                                  Error *error)
{
    SourcePosition *position = query->position;
    Timeline unused;

    *position = (SourcePosition){.in_recovery = true,
                                 .minimum = query->control->min_recovery_point,
                                 .streams = received != NULL};
    query->replayed = LSN_INVALID;
    if ((received != NULL && !parse_position(received, &position->end, &unused, error)) ||
        !check_replayed_again(query->server, position->streams, error) ||
        (replayed != NULL && !parse_position(replayed, &query->replayed, &unused, error)))
        return false;
    if (query->replayed > position->minimum)
        position->minimum = query->replayed;
    if (position->minimum > position->end)
        position->end = position->minimum;
    return true;
}

static bool position_once(Connection *connection, void *context, Error *error)
{
    PositionQuery *query = context;
    const Version *version = query->server->version;
    const Lsn seen = server_position_seen(query->server);
    char *values[3];
    const Query position = {
        .sql = arena_printf(query->arena, position_sql, version->sql.segment_name,
                            version->sql.written_position, version->sql.received_position,
                            version->sql.replayed_position),
        .column_count = 3};

    if (!connection_row(connection, query->arena, &position, values, error))
        return false;
    return values[0] != NULL ? take_primary_position(query, seen, values[0], error)
                             : take_standby_position(query, values[1], values[2], error);
}

bool server_position(Source *source, const Control *control, SourcePosition *position, Error *error)
{
    ServerSource *self = (ServerSource *) source;
    AUTO_ARENA Arena *arena = arena_create();
    PositionQuery query = {
        .server = self, .control = control, .position = position, .arena = arena};

    if (!server_attempt(self, 0, position_once, &query, NULL, error))
        return false;
    if (!position->in_recovery)
        return true;
    if (!source_standby_timeline(source, control, query.replayed, &position->timeline, error))
        return false;
    pthread_mutex_lock(&self->lock);
    self->timeline_replayed = position->timeline;
    pthread_mutex_unlock(&self->lock);
    return true;
}

/* ---- Names ---- */

bool server_names_in(Source *source, const char *directory, SourceNameVisitor visit, void *context,
                     Error *error)
{
    const ServerSql *names = &((const ServerSource *) source)->version->sql;
    AUTO_ARENA Arena *arena = arena_create();
    const Query query = {
        .sql = arena_printf(arena,
                            "SELECT CASE WHEN (pg_catalog.pg_stat_file($1::text%s)).isdir THEN "
                            "(SELECT pg_catalog.string_agg(name, '/') "
                            "FROM pg_catalog.pg_ls_dir($1::text%s) AS name) END",
                            server_may_lack(names), server_list_may_lack(names)),
        .parameters = {directory},
        .column_count = 1};
    char *name, *next; /* no name has a slash */

    if (!server_ask(source, arena, &query, &name, error))
        return false;
    for (; name != NULL; name = next)
    {
        next = strchr(name, '/');
        if (next != NULL)
            *next++ = '\0';
        if (!visit(context, name, error))
            return false;
    }
    return true;
}

/* The catalogs of one database can be seen: the one that we are connected to. */
static const char databases_sql[] =
    "SELECT oid, datname, datname = pg_catalog.current_database() FROM pg_catalog.pg_database";

/* $1: storage numbers. An index or a TOAST table comes with the table that it belongs to. */
static const char relations_sql[] =
    "SELECT pg_catalog.pg_relation_filenode(c.oid),\n"
    "  CASE WHEN c.reltablespace <> 0 THEN c.reltablespace ELSE d.dattablespace END,\n"
    "  pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname),\n"
    "  pg_catalog.quote_ident(tn.nspname) || '.' || pg_catalog.quote_ident(t.relname)\n"
    "FROM pg_catalog.pg_class AS c\n"
    "  JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace\n"
    "  JOIN pg_catalog.pg_database AS d ON d.datname = pg_catalog.current_database()\n"
    "  LEFT JOIN pg_catalog.pg_index AS i ON i.indexrelid = c.oid\n"
    "  LEFT JOIN pg_catalog.pg_class AS o\n"
    "    ON o.reltoastrelid = CASE WHEN i.indrelid IS NULL THEN c.oid ELSE i.indrelid END\n"
    "  LEFT JOIN pg_catalog.pg_class AS t\n"
    "    ON t.oid = CASE WHEN o.oid IS NULL THEN i.indrelid ELSE o.oid END\n"
    "  LEFT JOIN pg_catalog.pg_namespace AS tn ON tn.oid = t.relnamespace\n"
    "WHERE c.relkind IN ('r', 'i', 'S', 't', 'm')\n"
    "  AND pg_catalog.pg_relation_filenode(c.oid) = ANY ($1::pg_catalog.oid[])";

typedef struct NamesQuery
{
    const char *filenodes;
    ConnectionRow database, relation;
    void *context;
} NamesQuery;

static bool ask_for_names(Connection *connection, void *context, Error *error)
{
    const NamesQuery *names = context;
    const Query databases = {.sql = databases_sql, .column_count = 3};
    const Query relations = {
        .sql = relations_sql, .parameters = {names->filenodes}, .column_count = 4};

    return connection_rows(connection, &databases, names->database, names->context, error) &&
           connection_rows(connection, &relations, names->relation, names->context, error);
}

bool source_server_names(Source *source, const char *filenodes, ConnectionRow database,
                         ConnectionRow relation, void *context, Error *error)
{
    NamesQuery names = {filenodes, database, relation, context};

    return server_attempt((ServerSource *) source, 0, ask_for_names, &names, NULL, error);
}

/* ---- Checkpoints, and the sessions that remove directories of databases ---- */

static bool ask_bool(Source *source, const char *sql, bool *yes, Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();
    char *value;

    *yes = false;
    if (!server_ask(source, arena, &(Query){.sql = sql, .column_count = 1}, &value, error))
        return false;
    *yes = is_true(value);
    return true;
}

/* DROP DATABASE and SET TABLESPACE, but also RENAME. */
bool source_server_removes_database(Source *source, bool *removes, Error *error)
{
    return ask_bool(source,
                    "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_locks WHERE locktype = 'object' "
                    "AND classid = 'pg_catalog.pg_database'::pg_catalog.regclass "
                    "AND mode = 'AccessExclusiveLock')",
                    removes, error);
}

/* The role pg_checkpoint came with version 15. */
bool source_server_may_checkpoint(Source *source, bool *may, Error *error)
{
    return ask_bool(source,
                    "SELECT pg_catalog.current_setting('is_superuser') = 'on' OR EXISTS ("
                    "SELECT 1 FROM pg_catalog.pg_roles WHERE rolname = 'pg_checkpoint' "
                    "AND pg_catalog.pg_has_role(oid, 'USAGE'))",
                    may, error);
}

static bool checkpoint_once(Connection *connection, void *context, Error *error)
{
    (void) context;
    return connection_command(connection, "CHECKPOINT", error);
}

bool source_server_checkpoint(Source *source, Error *error)
{
    return server_attempt((ServerSource *) source, 0, checkpoint_once, NULL, NULL, error);
}

/* ---- The role ---- */

/* With OUR_SSL, or NULL where there is no such view. */
#define OUR_SSL                                                                                    \
    "(SELECT s.ssl FROM pg_catalog.pg_stat_ssl AS s WHERE s.pid = pg_catalog.pg_backend_pid())"
static const char role_sql[] =
    "SELECT r.rolreplication OR r.rolsuper, pg_catalog.quote_ident(r.rolname),\n"
    "  pg_catalog.host(pg_catalog.inet_client_addr()) || '/' ||\n"
    "    pg_catalog.masklen(pg_catalog.inet_client_addr())::pg_catalog.text,\n"
    "  %s\n"
    "FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user";

bool source_server_role(Source *source, Arena *arena, SourceRole *role, Error *error)
{
    const bool ssl_view = ((const ServerSource *) source)->version->sql.ssl_view;
    const Query query = {
        .sql = arena_printf(arena, role_sql, ssl_view ? OUR_SSL : "NULL::pg_catalog.bool"),
        .column_count = 4};
    char *values[4];

    if (!server_ask(source, arena, &query, values, error))
        return false;
    if (values[1] == NULL)
        return error_set(error, ERROR_FAILED, "unexpected result set from query"); /* contract */
    *role = (SourceRole){.may_replicate = is_true(values[0]),
                         .name = values[1],
                         .address = values[2],
                         .ssl = is_true(values[3])};
    return true;
}

/* ---- The slot ---- */

/* One row, also where there is no such slot. active_pid is there from version 9.5 on, wal_status
 * from 13 on. */
static const char slot_sql[] =
    "SELECT s.slot_type, s.active, s.restart_lsn,\n"
    "  pg_catalog.to_json(s) ->> 'wal_status' IN ('lost', 'unreserved'),\n"
    "  (SELECT pg_catalog.count(*) FROM pg_catalog.pg_replication_slots) >=\n"
    "    pg_catalog.current_setting('max_replication_slots')::pg_catalog.int8,\n"
    "  (SELECT r.application_name FROM pg_catalog.pg_stat_replication AS r\n"
    "    WHERE r.pid::pg_catalog.text = pg_catalog.to_json(s) ->> 'active_pid')\n"
    "FROM (SELECT 1) AS one LEFT JOIN pg_catalog.pg_replication_slots AS s\n"
    "  ON s.slot_name::pg_catalog.text = $1::pg_catalog.text";

static void take_text(const char *value, char *out, size_t size)
{
    snprintf(out, size, "%s", value != NULL ? value : "");
}

bool source_server_slot(Source *source, const char *name, SourceSlot *slot, Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();
    const Query query = {.sql = slot_sql, .parameters = {name}, .column_count = 6};
    char *values[6];
    TextCursor lsn;

    *slot = (SourceSlot){0};
    if (!server_ask(source, arena, &query, values, error))
        return false;
    lsn = text_cursor(values[2] != NULL ? values[2] : "0/0");
    if (!lsn_take(&lsn, &slot->restart))
        return error_set(error, ERROR_FAILED, "unexpected result set from query"); /* contract */
    slot->exists = values[0] != NULL;
    slot->physical = slot->exists && strcmp(values[0], "physical") == 0;
    slot->active = is_true(values[1]);
    slot->lost = is_true(values[3]);
    slot->none_free = is_true(values[4]);
    take_text(values[5], slot->holder, sizeof(slot->holder));
    return true;
}

/* One statement finds out that there is no such slot, and makes it: so it can be tried again. */
static const char make_slot_sql[] =
    "SELECT pg_catalog.pg_create_physical_replication_slot(\n"
    "    ($1::pg_catalog.text)::pg_catalog.name, true)::pg_catalog.text\n"
    "WHERE NOT EXISTS (SELECT 1 FROM pg_catalog.pg_replication_slots\n"
    "    WHERE slot_name::pg_catalog.text = $1::pg_catalog.text)";

/*
 * Invariant 6: with --create-slot only. The function writes at once, whatever becomes of the
 * transaction, and may also be called in one that only reads, and on a standby.
 */
bool source_server_slot_make(Source *source, const char *name, bool *made, SourceSlot *slot,
                             Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();
    const Query query = {.sql = make_slot_sql,
                         .failure =
                             arena_printf(arena, "could not create replication slot \"%s\"", name),
                         .parameters = {name},
                         .column_count = 1};
    char *slot_made;

    *made = false;
    if (!server_ask(source, arena, &query, &slot_made, error))
        return false;
    *made = slot_made != NULL;
    return source_server_slot(source, name, slot, error);
}

/* Invariant 6: only a slot that source_server_slot_make has made. */
bool source_server_slot_drop(Source *source, const char *name, Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();
    const Query query = {.sql = "SELECT pg_catalog.pg_drop_replication_slot($1)::text",
                         .parameters = {name},
                         .column_count = 1};
    char *dropped;

    ((ServerSource *) source)->retry_timeout_seconds = 0;
    return server_ask(source, arena, &query, &dropped, error);
}

/* ---- Its standbys ---- */

/*
 * A role without pg_read_all_stats, which came with 10, sees the names of its connections, but
 * not their state; a superuser sees all. %s, four times: see ServerSql.position_column.
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

bool source_server_find_standby(Source *source, const char *const *names, const char *since,
                                SourceStandby *standby, Error *error)
{
    const char *column = ((const ServerSource *) source)->version->sql.position_column;
    AUTO_ARENA Arena *arena = arena_create();
    AUTO_BUFFER Buffer list = {0};
    Query query = {.sql = arena_printf(arena, standby_sql, column, column, column, column),
                   .column_count = 7};
    char *values[7];

    for (; *names != NULL; names++)
        array_append(&list, *names);
    query.parameters[0] = array_literal(&list);
    query.parameters[1] = since;
    if (!server_ask(source, arena, &query, values, error))
        return false;
    *standby = (SourceStandby){.all_visible = is_true(values[0]),
                               .found = values[1] != NULL,
                               .sent = lsn_of_text(values[4]),
                               .flushed = lsn_of_text(values[5]),
                               .replayed = lsn_of_text(values[6])};
    take_text(values[1], standby->name, sizeof(standby->name));
    take_text(values[2], standby->state, sizeof(standby->state));
    take_text(values[3], standby->sync_state, sizeof(standby->sync_state));
    return true;
}

bool source_server_clock(Source *source, Arena *arena, const char **now, Error *error)
{
    const Query query = {
        .sql = "SELECT (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) * 1000000)"
               "::pg_catalog.int8::pg_catalog.text",
        .column_count = 1};
    char *value;

    if (!server_ask(source, arena, &query, &value, error))
        return false;
    *now = value;
    return true;
}
