/*
 * Small questions to a source server, each answered by one row or a few: WAL positions, names of
 * databases and relations, checkpoints, role, slots and standbys. Opening a source server.
 */
#include "source/server.h"

#include "base/log.h"
#include "base/text_lines.h"
#include "format/wal_summary.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_true(const char *value)
{
    return value != NULL && value[0] == 't';
}

/* ---- WAL positions ---- */

typedef struct PositionQuery
{
    ServerSource *server;
    Control *control; /* pg_control, read just before the position or together with it */
    SourcePosition *position;
    bool *removes; /* result of SourceOperations' state; NULL: not asked */
    Arena *arena;
    Lsn replayed; /* replay position of a standby */
} PositionQuery;

/* Parse a LSN as a server prints it, possibly followed by a blank and a timeline of eight
 * hexadecimal digits; *timeline is 0 without them. */
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
 * Set the position of a primary. seen: see server_check_position. The timeline is that in the name
 * of the segment at the flush position. At a segment's boundary pg_walfile_name returns the segment
 * before it, but with the timeline on which the server writes.
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
 * Set the position of a standby. The target's recovery must pass its replay position, not only
 * minRecoveryPoint: replay removes and copies directories of databases at once, without raising
 * minRecoveryPoint first.
 */
static bool take_standby_position(PositionQuery *query, const char *received, const char *replayed,
                                  Error *error)
{
    ServerSource *self = query->server;
    const Lsn former = self->former_replayed;
    SourcePosition *position = query->position;
    Timeline unused;

    *position = (SourcePosition){.in_recovery = true,
                                 .minimum = query->control->min_recovery_point,
                                 .streams = received != NULL};
    query->replayed = LSN_INVALID;
    self->streams = self->streams || position->streams;
    if ((received != NULL && !parse_position(received, &position->end, &unused, error)) ||
        (replayed != NULL && !parse_position(replayed, &query->replayed, &unused, error)))
        return false;
    /* After a restart a standby replays its own WAL to the end, and then asks its primary for more:
     * only then has it replayed all that it had replayed before. */
    if (!position->streams && (self->streams || self->instance_count > 1))
    {
        error_set(error, ERROR_RETRY,
                  "source server has not yet replayed the WAL that it had replayed before its "
                  "restart");
        return error_detail(error, "It is a standby that is not streaming from a primary now.");
    }
    if (query->replayed > position->minimum)
        position->minimum = query->replayed;
    /* A server process that took the place of a former one, after a restart or at an address of
     * several standbys, must have replayed as much as the former one: fetched pages and listed
     * files may be as new as that. (Rule C54.) */
    if (position->minimum < former)
    {
        error_set(error, ERROR_RETRY, "source server has replayed less WAL than it had before");
        error_detail(error,
                     "It has replayed WAL up to %X/%X; what its former server process sent needs "
                     "WAL up to %X/%X.",
                     LSN_ARGS(position->minimum), LSN_ARGS(former));
        return error_hint(error, "It was restarted and has not replayed its WAL again yet, or the "
                                 "address leads to several standbys: name one host.");
    }
    if (position->minimum > position->end)
        position->end = position->minimum;
    return true;
}

/* Set the position from the texts of position_columns. seen: see server_check_position. */
static bool take_position(PositionQuery *query, Lsn seen, char *const values[3], Error *error)
{
    return values[0] != NULL ? take_primary_position(query, seen, values[0], error)
                             : take_standby_position(query, values[1], values[2], error);
}

/* Read the server's state with this question about removals, and set pg_control and position. */
static bool read_source_state(PositionQuery *query, RemovalQuestion removal, Connection *connection,
                              Error *error)
{
    const Lsn seen = query->server->position_seen;
    const Query asked = server_state_query(query->server->version, removal, query->arena);
    ServerState state = {0};
    bool ok = server_read_state(
        &(StateRead){
            .connection = connection, .query = &asked, .arena = query->arena, .state = &state},
        query->control, error);

    buffer_free(&state.control);
    if (query->removes != NULL)
        *query->removes = state.removes;
    return ok && take_position(query, seen, state.position, error);
}

/* An Attempt: read the server's state. Rule O16: what the role may not see about removals is not
 * asked again, in this run. */
static bool state_once(Connection *connection, void *context, Error *error)
{
    PositionQuery *query = context;
    ServerSource *self = query->server;

    if (query->removes == NULL)
        return read_source_state(query, REMOVAL_UNASKED, connection, error);
    while (!read_source_state(query, self->removal_question, connection, error))
    {
        if (self->removal_question == REMOVAL_UNASKED ||
            !connection_failed_with(connection, INSUFFICIENT_PRIVILEGE))
            return false;
        self->removal_question++;
    }
    if (self->removal_question == REMOVAL_UNASKED && !self->told_of_removals)
        log_warning("not known whether the source is dropping, moving or renaming a database: its "
                    "role may not see locks");
    self->told_of_removals = self->removal_question == REMOVAL_UNASKED;
    return true;
}

/* Find the timeline of a standby, after its replay position is known. */
static bool find_timeline(PositionQuery *query, Error *error)
{
    SourcePosition *position = query->position;

    if (!position->in_recovery)
        return true;
    if (!source_standby_timeline(&query->server->source, query->control, query->replayed,
                                 &position->timeline, error))
        return false;
    query->server->timeline_replayed = position->timeline;
    return true;
}

static bool server_state(Source *source, Control *control, SourcePosition *position, bool *removes,
                         Error *error)
{
    ServerSource *self = (ServerSource *) source;
    AUTO_ARENA Arena *arena = arena_create();
    PositionQuery query = {.server = self,
                           .control = control,
                           .position = position,
                           .removes = removes,
                           .arena = arena};

    /* Recovery may start, and WAL may be read, up to this later state; a list that is older would
     * lack what the source made in between. (Rule C99.) */
    server_forget_list(self);
    if (removes != NULL && self->has_last_state)
    {
        self->has_last_state = false;
        *control = self->last_control;
        *removes = self->last_state.removes;
        if (!take_position(&query, self->position_seen, self->last_state.position, error))
            return false;
    }
    else
    {
        /* A caller that asks for removals does so at the end of a run, where -R comes next. */
        if (removes != NULL)
            server_read_config_along(self, false, arena);
        if (!server_attempt(self, 0, state_once, &query, NULL, error))
            return false;
    }
    server_note_redo(self, control);
    return find_timeline(&query, error);
}

static bool server_position(Source *source, const Control *control, SourcePosition *position,
                            Error *error)
{
    ServerSource *self = (ServerSource *) source;
    Control known = *control, now;
    PositionQuery query = {.server = self, .control = &known, .position = position};

    if (!self->has_opened_position)
        return server_state(source, &now, position, NULL, error);
    self->has_opened_position = false;
    return take_position(&query, LSN_INVALID, self->opened_position, error) &&
           find_timeline(&query, error);
}

/* ---- Names ---- */

/* Query for all databases; datname = current_database() marks the connection's. */
static const char databases_sql[] =
    "SELECT oid, datname, datname = pg_catalog.current_database(), encoding\n"
    "FROM pg_catalog.pg_database";

/* Query for relations of the connection's database by relfilenode ($1), for an index or a TOAST
 * table with its table's name. */
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

/* Arguments of source_server_names. */
typedef struct NamesQuery
{
    const char *filenodes;
    ConnectionRow database, relation;
    void *context;
} NamesQuery;

static bool ask_for_names(Connection *connection, void *context, Error *error)
{
    const NamesQuery *names = context;
    const Query databases = {.sql = databases_sql, .column_count = 4};
    const Query relations = {
        .sql = relations_sql, .parameters = {names->filenodes}, .column_count = 4, .ends = true};

    return connection_send(connection, &databases, error) &&
           connection_send(connection, &relations, error) &&
           connection_receive(connection, &databases, names->database, names->context, error) &&
           connection_receive(connection, &relations, names->relation, names->context, error);
}

bool source_server_names(Source *source, const char *filenodes, ConnectionRow database,
                         ConnectionRow relation, void *context, Error *error)
{
    NamesQuery names = {filenodes, database, relation, context};

    return server_attempt((ServerSource *) source, 0, ask_for_names, &names, NULL, error);
}

/* ---- Checkpoints ---- */

bool source_server_may_checkpoint(Source *source, bool *may, uint64_t *buffers_bytes, Error *error)
{
    const Version *version = ((const ServerSource *) source)->version;
    AUTO_ARENA Arena *arena = arena_create();
    const char *sql = arena_printf(
        arena,
        "SELECT pg_catalog.current_setting('is_superuser') = 'on'%s, "
        "(SELECT setting::pg_catalog.int8 FROM pg_catalog.pg_show_all_settings() WHERE name = "
        "'shared_buffers') * pg_catalog.current_setting('block_size')::pg_catalog.int8",
        version->sql.checkpoint_role
            ? " OR pg_catalog.pg_has_role('pg_checkpoint'::pg_catalog.name, 'USAGE')"
            : "");
    char *values[2];

    *may = false;
    *buffers_bytes = 0;
    if (!server_ask(source, arena, &(Query){.sql = sql, .column_count = 2}, values, error))
        return false;
    *may = is_true(values[0]);
    *buffers_bytes = values[1] != NULL ? strtoull(values[1], NULL, 10) : 0;
    return true;
}

/* SQL for the query of source_server_keeps_wal. Its numbers: bytes of a segment, bytes to keep. */
static const char kept_by_setting[] =
    "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_show_all_settings()\n"
    "    WHERE CASE WHEN name IN ('wal_keep_size', 'wal_keep_segments') THEN\n"
    "      setting::pg_catalog.int8 * CASE WHEN unit = 'MB' THEN 1048576 ELSE %" PRIu32 " END\n"
    "      >= %" PRIu64 " END)\n";

/* SQL that is added to it. Its LSN is the end of a segment, since a slot keeps whole segments.
 * to_json gives NULL for wal_status before 13. */
static const char kept_by_slot[] =
    "OR EXISTS (SELECT 1 FROM pg_catalog.pg_get_replication_slots() AS s\n"
    "    WHERE NOT active AND restart_lsn < '%X/%X'::pg_catalog.pg_lsn AND\n"
    "      coalesce(pg_catalog.to_json(s) ->> 'wal_status' IN ('reserved', 'extended'), true))\n";

/* SQL that is added to it. Its LSN is written as in the name of a summary. */
static const char kept_until_summarized[] =
    "OR pg_catalog.current_setting('summarize_wal') = 'on' AND EXISTS (SELECT 1\n"
    "    FROM pg_catalog.pg_ls_dir('" WAL_SUMMARY_DIRECTORY "', true, false) AS name\n"
    "    WHERE pg_catalog.substr(name, 9, 16) <= '%08X%08X')";

bool source_server_keeps_wal(Source *source, const NeededWal *needed, bool *keeps, Error *error)
{
    const Version *version = ((const ServerSource *) source)->version;
    AUTO_ARENA Arena *arena = arena_create();
    AUTO_BUFFER Buffer sql = {0};
    const Lsn segment_end = (needed->from / needed->segment_size + 1) * needed->segment_size;
    char *value;

    *keeps = false;
    buffer_printf(&sql, kept_by_setting, needed->segment_size, 2 * needed->size);
    if (version->sql.replication_slots)
        buffer_printf(&sql, kept_by_slot, LSN_ARGS(segment_end));
    if (version->has_wal_summaries && needed->in_summaries)
        buffer_printf(&sql, kept_until_summarized, LSN_ARGS(needed->from));
    if (!server_ask(source, arena, &(Query){.sql = buffer_string(&sql), .column_count = 1}, &value,
                    error))
        return false;
    *keeps = is_true(value);
    return true;
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

/* SQL for this connection's use of SSL; before 9.5 there is no pg_stat_ssl. */
#define OUR_SSL                                                                                    \
    "(SELECT s.ssl FROM pg_catalog.pg_stat_get_activity(pg_catalog.pg_backend_pid()) AS s)"

/* SQL for the right of the session's role to replicate. No function shows it. */
#define MAY_REPLICATE                                                                              \
    "(SELECT rolreplication OR rolsuper FROM pg_catalog.pg_roles WHERE rolname = session_user)"

/* Query for the session's role, not the current one: ALTER ROLE ... SET role does not apply to
 * sessions that send WAL (InitPostgres, utils/init/postinit.c). "%s": MAY_REPLICATE or NULL;
 * OUR_SSL or NULL. */
static const char role_sql[] =
    "SELECT %s, pg_catalog.quote_ident(session_user),\n"
    "  pg_catalog.host(pg_catalog.inet_client_addr()) || '/' ||\n"
    "    pg_catalog.masklen(pg_catalog.inet_client_addr())::pg_catalog.text,\n"
    "  %s";

/* asks_right: pg_roles is read, which may be closed to the role. */
static Query role_query(const Version *version, bool asks_right, Arena *arena)
{
    return (Query){.sql = arena_printf(arena, role_sql,
                                       asks_right ? MAY_REPLICATE : "NULL::pg_catalog.bool",
                                       version->sql.ssl_view ? OUR_SSL : "NULL::pg_catalog.bool"),
                   .column_count = 4};
}

static bool take_role(char *const values[4], SourceRole *role, Error *error)
{
    if (values[1] == NULL)
        return error_set(error, ERROR_FAILED, "unexpected result set from query"); /* contract */
    *role = (SourceRole){.may_replicate = values[0] == NULL || is_true(values[0]),
                         .name = values[1],
                         .address = values[2],
                         .ssl = is_true(values[3])};
    return true;
}

bool server_role(Connection *connection, Arena *arena, SourceRole *role, Error *error)
{
    Query query = role_query(server_version(connection), true, arena);
    char *values[4];
    bool ok = connection_row(connection, arena, &query, values, error);

    if (!ok && connection_failed_with(connection, INSUFFICIENT_PRIVILEGE)) /* Rule O16 */
    {
        query = role_query(server_version(connection), false, arena);
        ok = connection_row(connection, arena, &query, values, error);
    }
    return ok && take_role(values, role, error);
}

/* Arguments of source_server_role. */
typedef struct RoleQuery
{
    Arena *arena;
    SourceRole *role;
} RoleQuery;

/* An Attempt. */
static bool ask_for_role(Connection *connection, void *context, Error *error)
{
    const RoleQuery *query = context;

    return server_role(connection, query->arena, query->role, error);
}

bool source_server_role(Source *source, Arena *arena, SourceRole *role, Error *error)
{
    ServerSource *self = (ServerSource *) source;
    RoleQuery query = {arena, role};

    if (self->has_opened_role)
    {
        *role = self->opened_role;
        return true;
    }
    return server_attempt(self, 0, ask_for_role, &query, NULL, error);
}

/* ---- Slots ---- */

/* Query for a slot, $1; it has a row even if the slot does not exist. to_json gives NULL for
 * active_pid before 9.5 and for wal_status before 13, where these columns do not exist. Rule S25:
 * slots of REPACK (CONCURRENTLY) do not count towards max_replication_slots. */
static const char slot_sql[] =
    "SELECT s.slot_type, s.active, s.restart_lsn,\n"
    "  pg_catalog.to_json(s) ->> 'wal_status' IN ('lost', 'unreserved'),\n"
    "  (SELECT pg_catalog.count(*) FROM pg_catalog.pg_get_replication_slots()\n"
    "    WHERE plugin IS DISTINCT FROM 'pgrepack') >=\n"
    "    pg_catalog.current_setting('max_replication_slots')::pg_catalog.int8,\n"
    "  (SELECT session.application_name FROM " SERVER_SENDERS "\n"
    "    WHERE sender.pid::pg_catalog.text = pg_catalog.to_json(s) ->> 'active_pid')\n"
    "FROM (SELECT 1) AS one LEFT JOIN pg_catalog.pg_get_replication_slots() AS s\n"
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

/* Query for names in synchronized_standby_slots, except $1, without a slot. The setting is a list
 * of identifiers, which may be quoted; names of slots have neither blanks nor quotes. */
static const char awaited_sql[] =
    "SELECT coalesce(pg_catalog.string_agg(n.name, ', ' ORDER BY n.name), '')\n"
    "FROM pg_catalog.regexp_split_to_table(\n"
    "    pg_catalog.current_setting('synchronized_standby_slots'), '[[:space:],\"]+') AS n (name)\n"
    "WHERE n.name <> '' AND n.name <> $1::pg_catalog.text AND NOT EXISTS (\n"
    "    SELECT 1 FROM pg_catalog.pg_get_replication_slots()\n"
    "    WHERE slot_name::pg_catalog.text = n.name)";

bool source_server_missing_slots(Source *source, const char *except, Arena *arena,
                                 const char **names, Error *error)
{
    const Query query = {.sql = awaited_sql, .parameters = {except}, .column_count = 1};
    char *value;

    *names = "";
    if (!((const ServerSource *) source)->version->synchronizes_slots)
        return true;
    if (!server_ask(source, arena, &query, &value, error))
        return false;
    *names = value;
    return true;
}

/* SQL that switches to the session's role for the rest of the transaction: this role, not the
 * current one, may replicate. */
#define AS_SESSION_ROLE                                                                            \
    "WITH session AS (SELECT pg_catalog.set_config('role', 'none', true) AS role)\n"

/* SQL for $1, evaluated only after the role was switched. */
#define SLOT_NAME "CASE WHEN role IS NOT NULL THEN ($1::pg_catalog.text)::pg_catalog.name END"

/* Query that creates a slot unless it exists: in one statement, so that a retry is safe. */
static const char make_slot_sql[] = AS_SESSION_ROLE
    "SELECT pg_catalog.pg_create_physical_replication_slot(" SLOT_NAME ", true)::pg_catalog.text\n"
    "FROM session WHERE NOT EXISTS (SELECT 1 FROM pg_catalog.pg_get_replication_slots()\n"
    "    WHERE slot_name::pg_catalog.text = $1::pg_catalog.text)";

/*
 * Invariant 6: called with --create-slot only. The server's function takes effect at once, whether
 * the transaction commits or not; it may be called in a read-only transaction, and on a standby.
 */
bool source_server_slot_make(Source *source, const char *name, bool *made, SourceSlot *slot,
                             Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();
    const Query query = {.sql = make_slot_sql,
                         .failure =
                             arena_printf(arena, "could not create replication slot \"%s\"", name),
                         .parameters = {name},
                         .column_count = 1,
                         .writes = true};
    char *slot_made;

    *made = false;
    if (!server_ask(source, arena, &query, &slot_made, error))
        return false;
    *made = slot_made != NULL;
    return source_server_slot(source, name, slot, error);
}

/* Invariant 6: called only for a slot that source_server_slot_make has created. */
bool source_server_slot_drop(Source *source, const char *name, Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();
    const Query query = {.sql = AS_SESSION_ROLE
                         "SELECT pg_catalog.pg_drop_replication_slot(" SLOT_NAME ")::text "
                         "FROM session",
                         .parameters = {name},
                         .column_count = 1,
                         .writes = true};
    char *dropped;

    ((ServerSource *) source)->retry_timeout_seconds = 0;
    return server_ask(source, arena, &query, &dropped, error);
}

/* ---- Standbys ---- */

/*
 * Query for a standby by its names, $1, connected since $2; one row in any case. A role without
 * pg_read_all_stats (10 and later) sees the names of connections, but not their state; a superuser
 * sees all. "%s": sees_all_stats or ""; then four times: see ServerSql.position_column.
 */
static const char standby_sql[] =
    "SELECT pg_catalog.current_setting('is_superuser') = 'on'%s, application_name, state,\n"
    "  sync_state, sent_%s, flush_%s, replay_%s\n"
    "FROM (SELECT 1) AS one LEFT JOIN\n"
    "  (SELECT session.application_name, sender.* FROM " SERVER_SENDERS "\n"
    "   WHERE application_name = ANY ($1::pg_catalog.text[])\n"
    "     AND (backend_start IS NULL\n"
    "       OR pg_catalog.date_part('epoch', backend_start) * 1000000 >= $2::pg_catalog.float8)\n"
    "   ORDER BY sender.state = 'streaming' DESC NULLS LAST,\n"
    "     replay_%s DESC NULLS LAST LIMIT 1) AS it\n"
    "ON true";
static const char sees_all_stats[] =
    " OR pg_catalog.pg_has_role('pg_read_all_stats'::pg_catalog.name, 'USAGE')";

bool source_server_find_standby(Source *source, const char *const *names, int64_t since,
                                SourceStandby *standby, Error *error)
{
    const ServerSql *sql = &((const ServerSource *) source)->version->sql;
    const char *column = sql->position_column;
    AUTO_ARENA Arena *arena = arena_create();
    AUTO_BUFFER Buffer list = {0};
    Query query = {.sql = arena_printf(arena, standby_sql, sql->stats_role ? sees_all_stats : "",
                                       column, column, column, column),
                   .column_count = 7};
    char *values[7];

    for (; *names != NULL; names++)
        array_append(&list, *names);
    query.parameters[0] = array_literal(&list);
    query.parameters[1] = arena_printf(arena, "%lld", (long long) since);
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

/* Before 10 pg_stat_get_activity does not have the WAL receiver. */
static const char receiver_sql[] =
    "SELECT receiver.pid::pg_catalog.text, receiver.status, receiver.conninfo,\n"
    "  (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - session.backend_start)\n"
    "    * 1000)::pg_catalog.int8::pg_catalog.text\n"
    "FROM pg_catalog.pg_stat_get_wal_receiver() AS receiver\n"
    "  LEFT JOIN pg_catalog.pg_stat_get_activity(NULL) AS session ON session.pid = receiver.pid";

bool source_server_receiver(Source *source, Arena *arena, SourceReceiver *receiver, Error *error)
{
    const Query query = {.sql = receiver_sql, .column_count = 4};
    char *values[4];

    *receiver = (SourceReceiver){.streams = true, .milliseconds = -1, .conninfo = ""};
    if (!((const ServerSource *) source)->version->sql.receiver_view)
        return true;
    if (!server_ask(source, arena, &query, values, error))
        return false;
    receiver->streams =
        values[0] != NULL && (values[1] == NULL || strcmp(values[1], "streaming") == 0);
    if (values[2] != NULL)
        receiver->conninfo = values[2];
    if (values[3] != NULL)
        receiver->milliseconds = text_number(values[3]);
    return true;
}

bool source_server_clock(Source *source, int64_t *now, Error *error)
{
    const Query query = {
        .sql = "SELECT (pg_catalog.date_part('epoch', pg_catalog.clock_timestamp()) * 1000000)"
               "::pg_catalog.int8::pg_catalog.text",
        .column_count = 1};
    AUTO_ARENA Arena *arena = arena_create();
    char *value;

    if (!server_ask(source, arena, &query, &value, error))
        return false;
    *now = text_number(value);
    return true;
}

/* ---- Opening a source server, and what it must allow ---- */

static void server_close(Source *source)
{
    ServerSource *self = (ServerSource *) source;

    server_forget_list(self);
    for (int i = 0; i < SERVER_CONNECTIONS_MAX; i++)
    {
        connection_close(self->connections[i].connection);
        pthread_mutex_destroy(&self->connections[i].lock);
    }
    pthread_mutex_destroy(&self->instance_lock);
    buffer_free(&self->last_state.control);
    rate_free(source->rate);
    arena_destroy(self->arena);
    free(self);
}

static const SourceOperations server_operations = {
    .close = server_close,
    .read_control = server_read_control,
    .position = server_position,
    .state = server_state,
    .read_file = server_read_file,
    .list = server_list,
    .try_files = server_try_files,
    .names = server_names,
    .start_workers = server_start_workers,
    .open_worker = server_open_worker,
    .fetch = server_fetch,
};

/* Functions that read files, as GRANT names them. A role that is not a superuser needs EXECUTE on
 * each (docs/privileges.md). */
static const char *const functions_on_files[] = {
    "pg_catalog.pg_ls_dir(text, boolean, boolean)",
    "pg_catalog.pg_stat_file(text, boolean)",
    "pg_catalog.pg_read_binary_file(text, bigint, bigint, boolean)",
};

/* Query for the role's rights and the server's settings. $1: functions. */
#define RIGHTS_COLUMNS 7
static const char rights_sql[] =
    "SELECT pg_catalog.quote_ident(current_user),\n"
    "  pg_catalog.quote_ident(pg_catalog.current_database()),\n"
    "  pg_catalog.current_setting('is_superuser'),\n"
    "  (SELECT coalesce(pg_catalog.string_agg('GRANT EXECUTE ON FUNCTION ' || function || ' TO '\n"
    "      || pg_catalog.quote_ident(current_user) || ';', E'\\n'), '')\n"
    "    FROM pg_catalog.unnest($1::pg_catalog.text[]) AS function\n"
    "    WHERE pg_catalog.has_function_privilege(function, 'EXECUTE') IS NOT TRUE),\n"
    "  CASE WHEN current_user <> session_user THEN pg_catalog.quote_ident(session_user)\n"
    "    ELSE '' END,\n"
    "  pg_catalog.current_setting('full_page_writes'),\n"
    "  pg_catalog.current_setting('wal_level')";

static bool check_full_page_writes(const ServerRights *rights, const Version *version, Error *error)
{
    if (rights->full_page_writes)
        return true;
    error_set(error, ERROR_FAILED, /* contract */
              "\"full_page_writes\" must be enabled in the source server");
    return error_hint(error,
                      "Switch it on there, and let recovery start after that:\n"
                      "    %sfull_page_writes = on;\n"
                      "    SELECT pg_catalog.pg_reload_conf();\n"
                      "    SELECT pg_catalog.pg_sleep(1);\n"
                      "    CHECKPOINT;",
                      version->remedies.set);
}

/* Returns the query for the role's rights and the server's settings; take_rights takes its row. */
static Query rights_query(const Version *version, Arena *arena)
{
    AUTO_BUFFER Buffer functions = {0};

    for (size_t i = 0; i < sizeof(functions_on_files) / sizeof(functions_on_files[0]) &&
                       version->grantable_file_functions;
         i++)
        array_append(&functions, functions_on_files[i]);
    return (Query){.sql = rights_sql,
                   .parameters = {arena_strdup(arena, array_literal(&functions))},
                   .column_count = RIGHTS_COLUMNS};
}

static bool take_rights(char *const values[RIGHTS_COLUMNS], Arena *arena, ServerRights *rights,
                        Error *error)
{
    for (int i = 0; i < RIGHTS_COLUMNS; i++)
        if (values[i] == NULL)
            return error_set(error, ERROR_FAILED, /* contract */
                             "unexpected result set from query");
    *rights = (ServerRights){.role = values[0],
                             .database = values[1],
                             .superuser = strcmp(values[2], "on") == 0,
                             .grants = values[3],
                             .full_page_writes = strcmp(values[5], "on") == 0,
                             .wal_level = values[6]};
    if (values[4][0] == '\0')
        return true;
    rights->switched_from = values[4];
    rights->resets = arena_printf(arena,
                                  "ALTER DATABASE %s RESET role;\n"
                                  "ALTER ROLE %s IN DATABASE %s RESET role;",
                                  rights->database, rights->switched_from, rights->database);
    return true;
}

bool server_rights(Connection *connection, Arena *arena, ServerRights *rights, Error *error)
{
    const Query query = rights_query(server_version(connection), arena);
    char *values[RIGHTS_COLUMNS];

    return connection_row(connection, arena, &query, values, error) &&
           take_rights(values, arena, rights, error);
}

const char *const server_advice_ids[] = {"source_full_page_writes", "source_wal_level", NULL};

void server_advise(const ServerRights *rights, const Version *version, AdviceList *list)
{
    const bool is_minimal = strcmp(rights->wal_level, "minimal") == 0;
    Error error;

    if (check_full_page_writes(rights, version, &error))
        advice_add(list, (Advice){.id = server_advice_ids[0], .severity = ADVICE_OK},
                   "full_page_writes of the source is on.");
    else
        advice_add_error(list, (Advice){.id = server_advice_ids[0], .severity = ADVICE_PROBLEM},
                         &error);
    advice_add(
        list,
        (Advice){.id = server_advice_ids[1],
                 .severity = is_minimal ? ADVICE_PROBLEM : ADVICE_OK,
                 .remedy = is_minimal
                               ? arena_printf(list->arena, "%s%s;  -- then restart the server",
                                              version->remedies.set, version->remedies.wal_level)
                               : NULL},
        "wal_level of the source is %s.", rights->wal_level);
}

/* Add detail and hint to the error about missing rights: a setting has switched the session to
 * another role than the one that connects. */
static bool explain_switch(const ServerRights *rights, Error *error)
{
    AUTO_BUFFER Buffer lines = {0};

    text_append_lines(&lines, rights->resets, 4, 0);
    error_detail(error,
                 "Role %s connects, and a setting of the database or of the role switches to role "
                 "%s.",
                 rights->switched_from, rights->role);
    return error_hint(error,
                      "Grant nothing to a role that somebody else has chosen. Run these lines as a "
                      "superuser of the source, they remove the setting.\n    %s",
                      buffer_string(&lines));
}

/* Check that the role may read files, and that the server's settings are right for a rewind. */
static bool check_rights(const ServerSource *self, ServerRights rights, Error *error)
{
    AUTO_BUFFER Buffer lines = {0};

    if (rights.grants[0] != '\0')
    {
        text_append_lines(&lines, rights.grants, 4, 0);
        error_set(error, ERROR_FAILED,
                  "role %s must be superuser or have the right to read files of the source server",
                  rights.role);
        if (rights.resets != NULL)
            return explain_switch(&rights, error);
        return error_hint(error,
                          "Run these lines as a superuser of the source in the database %s, where "
                          "the role connects: grants apply to one database only.\n    %s",
                          rights.database, buffer_string(&lines));
    }
    if (!self->version->grantable_file_functions && !rights.superuser)
    {
        error_set(error, ERROR_FAILED, "must be superuser to read files of the source server");
        if (rights.resets != NULL)
            return explain_switch(&rights, error);
        error_detail(error, "PostgreSQL %s has no grants for this.", self->version->name);
        return error_hint(error,
                          "Name a superuser of the source in the connection string (user=...).");
    }
    return check_full_page_writes(&rights, self->version, error);
}

static void describe_option(void *context, const char *keyword, const char *value)
{
    if (strcmp(keyword, "host") == 0 || strcmp(keyword, "hostaddr") == 0 ||
        (strcmp(keyword, "port") == 0 && strcmp(value, "5432") != 0) ||
        strcmp(keyword, "user") == 0)
        buffer_printf(context, " %s=%s", keyword, value);
}

static void describe(ServerSource *self, Connection *connection)
{
    const ConnectionServer server = connection_server(connection);
    AUTO_BUFFER Buffer description = {0};

    if (self->source.description != NULL)
        return;
    log_progress_message("connected to server"); /* contract */
    buffer_append_string(&description, "server");
    connection_options(connection, describe_option, &description);
    self->source.description = arena_strdup(self->arena, buffer_string(&description));
    self->source.host = arena_strdup(self->arena, server.host);
    self->source.address = arena_strdup(self->arena, server.address);
    self->source.port = arena_strdup(self->arena, server.port);
}

/* Queries that are sent in the first round trip. */
typedef struct Greeting
{
    Query rights, state, seen, role, auto_settings;
    const Query *digest; /* test of the preferred digest; NULL: not sent */
    DigestKind digest_kind;
} Greeting;

/* Send all queries. greeting->seen is left out for versions that fail for a missing file. */
static bool send_greeting(const Greeting *greeting, const Version *version, Connection *connection,
                          Error *error)
{
    return connection_send(connection, &greeting->rights, error) &&
           connection_send(connection, &greeting->state, error) &&
           (!version->sql.missing_ok || connection_send(connection, &greeting->seen, error)) &&
           (greeting->digest == NULL || connection_send(connection, greeting->digest, error)) &&
           connection_send(connection, &greeting->role, error) &&
           (!version->sql.missing_ok ||
            connection_send(connection, &greeting->auto_settings, error));
}

/* Receive the answers of the queries that may fail; what one of them would tell is asked again when
 * it is needed. After a failure the later answers are not received: the connection then counts as
 * lost, and another one is opened. Fails if the connection is lost otherwise. */
static bool receive_what_may_fail(ServerSource *self, Connection *connection,
                                  const Greeting *greeting, Error *error)
{
    char *digest, *role[4];

    if (greeting->digest != NULL &&
        !connection_receive_row(connection, self->arena, greeting->digest, &digest, error))
        return error->kind == ERROR_FAILED;
    if (greeting->digest != NULL)
        self->source.digest = greeting->digest_kind;
    self->has_opened_role =
        connection_receive_row(connection, self->arena, &greeting->role, role, error) &&
        take_role(role, &self->opened_role, error);
    return (self->has_opened_role &&
            (!self->version->sql.missing_ok ||
             server_take_config(self, connection, &greeting->auto_settings, error))) ||
           error->kind == ERROR_FAILED;
}

/* The first Attempt on a source: ask in one round trip everything that every run asks. Rights come
 * first, since the other queries fail without them; the queries that may fail come last. */
static bool greet_server(Connection *connection, void *context, Error *error)
{
    ServerSource *self = context;
    Arena *arena = self->arena;
    Control *control = arena_allocate(arena, sizeof(*control));
    char *values[RIGHTS_COLUMNS];
    ServerState state = {0};
    StateRead read = {.connection = connection, .arena = arena, .state = &state};
    ServerRights rights;
    Greeting greeting = {0};
    bool ok;

    describe(self, connection);
    self->version = server_version_known(connection, error);
    if (self->version == NULL)
        return false;
    greeting.rights = rights_query(self->version, arena);
    greeting.state = server_state_query(self->version, REMOVAL_UNASKED, arena);
    greeting.seen = server_seen_query(self->version, arena);
    greeting.digest = server_digest_query(self, &greeting.digest_kind);
    greeting.role = role_query(self->version, true, arena);
    greeting.auto_settings = server_config_query(false, arena);
    read.query = &greeting.state;
    ok = send_greeting(&greeting, self->version, connection, error) &&
         connection_receive_row(connection, arena, &greeting.rights, values, error) &&
         take_rights(values, arena, &rights, error) && check_rights(self, rights, error) &&
         server_receive_state(&read, error) &&
         (!self->version->sql.missing_ok ||
          server_take_seen(self, connection, &greeting.seen, error)) &&
         receive_what_may_fail(self, connection, &greeting, error) &&
         server_read_state(&read, control, error) &&
         server_identify(self, connection, &state, control, error);
    buffer_free(&state.control);
    return ok;
}

bool source_server_open(const char *conninfo, int retry_timeout_seconds, uint64_t bytes_per_second,
                        Source **source, Error *error)
{
    ServerSource *self = memory_allocate_zeroed(1, sizeof(*self));
    AUTO_BUFFER Buffer ignored = {0};

    connection_ignored_variables(&ignored);
    if (ignored.size > 0)
        log_warning("%s", buffer_string(&ignored));
    self->arena = arena_create();
    self->source.operations = &server_operations;
    self->source.is_server = true;
    self->source.rate = rate_create(bytes_per_second);
    self->conninfo = arena_strdup(self->arena, conninfo);
    self->retry_timeout_seconds = retry_timeout_seconds;
    self->connection_count = 1;
    pthread_mutex_init(&self->instance_lock, NULL);
    for (int i = 0; i < SERVER_CONNECTIONS_MAX; i++)
        pthread_mutex_init(&self->connections[i].lock, NULL);
    if (!server_connect_first(self, greet_server, error) ||
        (self->source.digest == DIGEST_NONE && !server_find_digest(self, error)))
    {
        server_close(&self->source);
        return false;
    }
    *source = &self->source;
    return true;
}

Connection *source_connection(Source *source)
{
    const ServerSource *self = (const ServerSource *) source;

    if (!source->is_server)
        return NULL;
    for (int i = 0; i < self->connection_count; i++)
        if (self->connections[i].connection != NULL)
            return self->connections[i].connection;
    return NULL;
}
