/*
 * What a standby needs of the source server: a role that may replicate, and a replication slot.
 */
#include "source/source_server.h"

#include <stdio.h>
#include <string.h>

static bool is_true(const ConnectionValue *value)
{
    return value->bytes != NULL && strcmp(value->bytes, "t") == 0;
}

/* ---- the role ---- */

/* With OUR_SSL, or NULL where there is no such view. */
#define OUR_SSL                                                                                    \
    "(SELECT s.ssl FROM pg_catalog.pg_stat_ssl AS s WHERE s.pid = pg_catalog.pg_backend_pid())"
static const char role_sql[] =
    "SELECT r.rolreplication OR r.rolsuper, pg_catalog.quote_ident(r.rolname),\n"
    "  pg_catalog.host(pg_catalog.inet_client_addr()) || '/' ||\n"
    "    pg_catalog.masklen(pg_catalog.inet_client_addr())::pg_catalog.text,\n"
    "  %s\n"
    "FROM pg_catalog.pg_roles AS r WHERE r.rolname = current_user";

typedef struct RoleQuery
{
    Arena *arena;
    SourceRole *role;
} RoleQuery;

static bool receive_role(void *context, const ConnectionValue *columns, Error *error)
{
    const RoleQuery *query = context;

    if (columns[1].bytes == NULL)
        return error_set(error, ERROR_FAILED, "unexpected result set from query"); /* contract */
    *query->role = (SourceRole){.may_replicate = is_true(&columns[0]),
                                .name = arena_strdup(query->arena, columns[1].bytes),
                                .ssl = is_true(&columns[3])};
    if (columns[2].bytes != NULL)
        query->role->address = arena_strdup(query->arena, columns[2].bytes);
    return true;
}

static bool query_role_once(Connection *connection, void *context, Error *error)
{
    const RoleQuery *query = context;
    char sql[1024];

    *query->role = (SourceRole){0};
    snprintf(sql, sizeof(sql), role_sql,
             server_version(connection)->sql.ssl_view ? OUR_SSL : "NULL::pg_catalog.bool");
    if (!connection_rows(connection, sql, 0, NULL, false, 4, receive_role, context, error))
        return false;
    if (query->role->name == NULL)
        return error_set(error, ERROR_FAILED, "unexpected result set from query"); /* contract */
    return true;
}

bool source_server_role(Source *source, Arena *arena, SourceRole *role, Error *error)
{
    RoleQuery query = {arena, role};

    return server_attempt((ServerSource *) source, 0, query_role_once, &query, NULL, error);
}

/* ---- the slot ---- */

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

#define SLOT_COLUMNS 6

static bool receive_slot(void *context, const ConnectionValue *columns, Error *error)
{
    SourceSlot *slot = context;
    TextCursor lsn = text_cursor(columns[2].bytes != NULL ? columns[2].bytes : "0/0");

    slot->exists = columns[0].bytes != NULL;
    slot->physical = slot->exists && strcmp(columns[0].bytes, "physical") == 0;
    slot->active = is_true(&columns[1]);
    slot->lost = is_true(&columns[3]);
    slot->none_free = is_true(&columns[4]);
    snprintf(slot->holder, sizeof(slot->holder), "%s",
             columns[5].bytes != NULL ? columns[5].bytes : "");
    if (!lsn_take(&lsn, &slot->restart))
        return error_set(error, ERROR_FAILED, "unexpected result set from query"); /* contract */
    return true;
}

typedef struct SlotQuery
{
    const char *name;
    SourceSlot *slot;
    bool made;
} SlotQuery;

static bool query_slot_once(Connection *connection, void *context, Error *error)
{
    const SlotQuery *query = context;

    *query->slot = (SourceSlot){0};
    return connection_rows(connection, slot_sql, 1, &query->name, false, SLOT_COLUMNS, receive_slot,
                           query->slot, error);
}

bool source_server_slot(Source *source, const char *name, SourceSlot *slot, Error *error)
{
    SlotQuery query = {.name = name, .slot = slot};

    return server_attempt((ServerSource *) source, 0, query_slot_once, &query, NULL, error);
}

/*
 * Invariant 6: with --create-slot only. Run a function on the slot: it writes at once, whatever
 * becomes of the transaction, and may also be called in one that only reads, and on a standby.
 */
static bool call_on_slot(Connection *connection, const char *sql, const char *name, Error *error)
{
    Arena *arena = arena_create();
    char *value;
    bool found;
    bool result = connection_value(connection, arena, sql, 1, &name, &value, &found, error);

    arena_destroy(arena);
    return result;
}

static bool make_slot_once(Connection *connection, void *context, Error *error)
{
    SlotQuery *query = context;

    if (!query_slot_once(connection, context, error))
        return false;
    if (query->slot->exists)
        return true;
    if (!call_on_slot(connection,
                      "SELECT pg_catalog.pg_create_physical_replication_slot($1, true)::text",
                      query->name, error))
        return error_reword(error, "could not create replication slot \"%s\"", query->name);
    query->made = true;
    return query_slot_once(connection, context, error);
}

bool source_server_slot_make(Source *source, const char *name, bool *made, SourceSlot *slot,
                             Error *error)
{
    SlotQuery query = {.name = name, .slot = slot};
    const bool result =
        server_attempt((ServerSource *) source, 0, make_slot_once, &query, NULL, error);

    *made = query.made;
    return result;
}

static bool drop_slot_once(Connection *connection, void *context, Error *error)
{
    const SlotQuery *query = context;

    return call_on_slot(connection, "SELECT pg_catalog.pg_drop_replication_slot($1)::text",
                        query->name, error);
}

bool source_server_slot_drop(Source *source, const char *name, Error *error)
{
    SlotQuery query = {.name = name};

    ((ServerSource *) source)->retry_timeout_seconds = 0;
    return server_attempt((ServerSource *) source, 0, drop_slot_once, &query, NULL, error);
}
