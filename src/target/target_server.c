#include "target/target_server.h"

#include "base/clock.h"
#include "base/wait.h"
#include "target/pid_file.h"
#include "source/server.h"
#include "format/settings.h"

#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CONNECT_SECONDS 5
#define RECONNECT_SECONDS 0.5 /* each attempt leaves a line in the server's log */
#define STATE_COLUMNS 7
#define WAYS_MAX 2
#define USE_COLUMNS 4

/* Query for the server's state. "%s": functions of the positions received and replayed. Followed by
 * RECEIVER or, before 9.6, NO_RECEIVER. */
#define STATE                                                                                      \
    "SELECT pg_catalog.pg_is_in_recovery(), pg_catalog.%s(), pg_catalog.%s(),\n"                   \
    "  "
#define RECEIVER_ROW "pg_catalog.pg_stat_get_wal_receiver() WHERE pid IS NOT NULL"
#define RECEIVER                                                                                   \
    "(SELECT coalesce(status, 'streaming') FROM " RECEIVER_ROW "),\n"                              \
    "  (SELECT received_tli FROM " RECEIVER_ROW "),\n"                                             \
    "  (SELECT slot_name FROM " RECEIVER_ROW "),\n"                                                \
    "  (SELECT conninfo FROM " RECEIVER_ROW ")"
/* Without pg_stat_wal_receiver, a server that has received WAL counts as streaming; the source
 * knows whether it streams now. */
#define NO_RECEIVER "CASE WHEN pg_catalog.%s() IS NOT NULL THEN 'streaming' END, NULL, NULL, NULL"

/* Client connections: up to 9.6 there is no backend_type, but processes that serve no client have
 * no port. Another role's rows hide both, and count as clients if they have a role and a database:
 * workers of autovacuum have no role, the launcher of logical replication has no database. */
#define USE                                                                                        \
    "WITH replication AS (SELECT session.pid, application_name, sync_state\n"                      \
    "    FROM " SERVER_SENDERS "),\n"                                                              \
    "  activity AS (SELECT a.pid, a.application_name, a.usesysid, a.datid,\n"                      \
    "      a.client_port, a.query,\n"                                                              \
    "      pg_catalog.row_to_json(a) OPERATOR(pg_catalog.->>) 'backend_type' AS type\n"            \
    "    FROM pg_catalog.pg_stat_get_activity(NULL) a),\n"                                         \
    "  clients AS (SELECT pid, application_name FROM activity\n"                                   \
    "    WHERE pid <> pg_catalog.pg_backend_pid()\n"                                               \
    "      AND pid NOT IN (SELECT pid FROM replication)\n"                                         \
    "      AND coalesce(type = 'client backend', client_port IS NOT NULL\n"                        \
    "        OR query = '<insufficient privilege>'\n"                                              \
    "          AND usesysid IS NOT NULL AND datid IS NOT NULL)),\n"                                \
    "  names AS (SELECT DISTINCT application_name AS name\n"                                       \
    "    FROM (SELECT application_name FROM clients\n"                                             \
    "      UNION ALL SELECT application_name FROM replication) both_kinds\n"                       \
    "    WHERE application_name <> '' ORDER BY 1 LIMIT 5)\n"                                       \
    "SELECT (SELECT count(*) FROM clients), (SELECT count(*) FROM replication),\n"                 \
    "  (SELECT count(*) FROM replication WHERE sync_state IN ('sync', 'quorum')),\n"               \
    "  (SELECT pg_catalog.string_agg(name, ', ') FROM names)"

/* Connections by which the server sends WAL, of a name in $1 and begun about $2 milliseconds ago:
 * a WAL receiver connects soon after its process has begun. */
#define SENDERS                                                                                    \
    "SELECT count(*)::pg_catalog.text\n"                                                           \
    "FROM (SELECT application_name, (pg_catalog.date_part('epoch',\n"                              \
    "        pg_catalog.clock_timestamp() - backend_start) * 1000)::pg_catalog.int8 AS age\n"      \
    "      FROM " SERVER_SENDERS ") AS senders\n"                                                  \
    "WHERE application_name = ANY ($1::pg_catalog.text[])\n"                                       \
    "  AND age BETWEEN $2::pg_catalog.int8 - 10000 AND $2::pg_catalog.int8 + 2000"

struct TargetServer
{
    const char *directory;
    const char *ways[WAYS_MAX + 1]; /* user and password: connection strings, without an address;
                                       up to a NULL */
    const char **way;     /* connection string that is tried now; at the NULL none works */
    const char *account;  /* name of our account, which is the server's */
    const char *database; /* a database of the source's connection, which the target has, too */
    Connection *connection;
    double last_attempt;
};

/* A ConnectionOption: what says who we are. */
static void append_identity(void *context, const char *keyword, const char *value)
{
    if (strcmp(keyword, "user") == 0 || strcmp(keyword, "password") == 0 ||
        strcmp(keyword, "passfile") == 0)
        conninfo_append(context, keyword, value);
}

TargetServer *target_server_open(Arena *arena, const char *directory, Source *source)
{
    TargetServer *server = arena_allocate(arena, sizeof(*server));
    struct Connection *connection = source != NULL ? source_connection(source) : NULL;
    const struct passwd *user = getpwuid(geteuid());
    AUTO_BUFFER Buffer own = {0}, sources = {0};
    int count = 0;

    server->directory = directory;
    server->database = connection != NULL
                           ? arena_strdup(arena, connection_server(connection).database)
                           : "postgres";
    server->way = server->ways;
    server->last_attempt = clock_seconds() - 1;
    /* Without our account's name libpq cannot check who listens: no way leads there. (Rule T16.) */
    if (user == NULL)
        return server;
    server->account = arena_strdup(arena, user->pw_name);
    conninfo_append(&own, "user", server->account);
    server->ways[count++] = arena_strdup(arena, buffer_string(&own));
    if (connection != NULL)
    {
        connection_options(connection, append_identity, &sources);
        server->ways[count++] = arena_strdup(arena, buffer_string(&sources));
    }
    return server;
}

void target_server_close(TargetServer *server)
{
    if (server != NULL)
        connection_close(server->connection);
}

/* Settings of the environment for the source's connection must not lead this one astray, nor ask
 * of it what only the source has: a certificate, a protocol. */
static void append_neutral_options(Buffer *conninfo)
{
    static const char *const options[][2] = {
        {"hostaddr", ""},
        {"options", ""},
        {"target_session_attrs", "any"},
        {"channel_binding", "prefer"},
        {"gssencmode", "prefer"},
        {"require_auth", ""},
        {"min_protocol_version", "3.0"},
        {"max_protocol_version", "3.0"}, /* servers before February 2018 refuse a higher one */
        {"sslmode", "prefer"},
        {"sslnegotiation", "postgres"},
        {"sslcertmode", "allow"},
        {"sslrootcert", ""},
        {"sslcrl", ""},
        {"sslcrldir", ""},
        {"ssl_min_protocol_version", ""},
        {"ssl_max_protocol_version", ""},
    };

    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        if (connection_knows_option(options[i][0]))
            conninfo_append(conninfo, options[i][0], options[i][1]);
}

/*
 * True if the target's own server listens there: its process works in the directory. The path of a
 * socket may lead to another server of the same account, where the two see different /tmp. A
 * process of another container cannot be seen; it is believed if the one of postmaster.pid cannot
 * be seen either. (Rule T16.)
 */
static bool is_own_server(const TargetServer *server, const PidFileServer *listens,
                          const Connection *connection)
{
    const long pid = connection_listener(connection);

    return pid != 0 ? process_works_in(pid, server->directory)
                    : !process_works_in(text_number(listens->pid), server->directory);
}

/* Connect with one identity. A server that is not of a known version is an error that lasts. */
static Connection *connect_one_way(const TargetServer *server, Error *error)
{
    AUTO_BUFFER Buffer conninfo = {0}, path = {0};
    PidFileServer listens;
    const char *host = listens.socket_directory;
    Connection *connection;
    ConnectionRefusal refusal;

    error->kind = ERROR_RETRY; /* the server has not written its address yet */
    if (!pid_file_read(server->directory, &listens))
        return NULL;
    /* At a TCP port nothing proves whose process answers: it would get the source's password, and
     * be believed. So a server without a Unix socket is not asked. When it has written its status,
     * all its sockets are made. (Rule T16.) */
    if (host[0] == '\0' && listens.status[0] != '\0')
        error->kind = ERROR_FAILED;
    if (listens.port[0] == '\0' || host[0] == '\0')
        return NULL;
    if (host[0] != '/' && host[0] != '@') /* an abstract socket */
        host = path_in(&path, server->directory, host);
    buffer_append_string(&conninfo, *server->way);
    conninfo_append(&conninfo, "host", host);
    conninfo_append(&conninfo, "port", listens.port);
    conninfo_append(&conninfo, "dbname", server->database);
    conninfo_append(&conninfo, "requirepeer", server->account); /* Rule T16 */
    append_neutral_options(&conninfo);
    connection = server_connect(buffer_string(&conninfo), 0, CONNECT_SECONDS, &refusal, error);
    if (connection == NULL)
        return NULL;
    error->kind = ERROR_FAILED;
    if (is_own_server(server, &listens, connection) &&
        server_version_known(connection, error) != NULL)
        return connection;
    connection_close(connection);
    return NULL;
}

/* The state of a server that takes no connection now. */
static TargetState find_state_by_file(const char *directory)
{
    return pid_file_has_status(directory, PID_FILE_STANDBY) ? TARGET_SILENT : TARGET_STARTING;
}

/* TARGET_ANSWERS: there is a connection. */
static TargetState connect_to_target(TargetServer *server)
{
    Error error;

    if (server->connection != NULL)
        return TARGET_ANSWERS;
    if (*server->way != NULL && clock_seconds() - server->last_attempt < RECONNECT_SECONDS)
        return find_state_by_file(server->directory);
    for (; *server->way != NULL; server->way++)
    {
        server->last_attempt = clock_seconds();
        server->connection = connect_one_way(server, &error);
        if (server->connection != NULL)
            return TARGET_ANSWERS;
        if (error.kind == ERROR_RETRY)
            return find_state_by_file(server->directory);
    }
    return TARGET_SILENT;
}

/*
 * Set `value` to that of a keyword in pg_stat_wal_receiver.conninfo, if it is set there. The string
 * has no quotes (libpqrcv_get_conninfo, libpqwalreceiver.c): a value ends before the next keyword.
 * Once the WAL receiver has followed the source to another timeline, it is primary_conninfo as it
 * is configured, up to 18 (RequestXLogStreaming, walreceiverfuncs.c): that may have quotes.
 */
static void take_receiver_option(const char *conninfo, const char *keyword, char *value,
                                 size_t size)
{
    AUTO_BUFFER Buffer text = {0}, start = {0}, name = {0}, configured = {0};
    const char *begin, *end;

    if (strstr(conninfo, "='") != NULL)
    {
        while (conninfo_next(&conninfo, &name, &configured))
            if (strcmp(buffer_string(&name), keyword) == 0)
                snprintf(value, size, "%s", buffer_string(&configured));
        return;
    }
    buffer_printf(&text, " %s", conninfo);
    buffer_printf(&start, " %s=", keyword);
    begin = strstr(buffer_string(&text), buffer_string(&start));
    if (begin == NULL)
        return;
    begin += start.size;
    end = begin + strcspn(begin, " ");
    for (size_t letters; *end == ' '; end += 1 + strcspn(end + 1, " "))
    {
        letters = strspn(end + 1, "abcdefghijklmnopqrstuvwxyz_");
        if (letters > 0 && end[1 + letters] == '=')
            break;
    }
    snprintf(value, size, "%.*s", (int) (end - begin), begin);
}

void target_server_receiver_name(const char *conninfo, char *name, size_t size)
{
    /* A WAL receiver's connection string sets one of these. */
    take_receiver_option(conninfo, "fallback_application_name", name, size);
    take_receiver_option(conninfo, "application_name", name, size);
}

void target_server_ask(TargetServer *server, TargetAnswer *answer)
{
    char instance[CONNECTION_INSTANCE_SIZE];
    AUTO_ARENA Arena *arena = arena_create();
    AUTO_BUFFER Buffer sql = {0};
    char *values[STATE_COLUMNS];
    const char *conninfo;
    const ServerSql *names;
    TextCursor timeline;
    bool success;

    *answer = (TargetAnswer){.state = connect_to_target(server)};
    if (answer->state != TARGET_ANSWERS)
        return;
    names = &server_version(server->connection)->sql;
    if (names->receiver_view)
        buffer_printf(&sql, STATE RECEIVER, names->received_position, names->replayed_position);
    else
        buffer_printf(&sql, STATE NO_RECEIVER, names->received_position, names->replayed_position,
                      names->received_position);
    success = connection_begin(server->connection, instance, NULL) &&
              connection_row(server->connection, arena,
                             &(Query){.sql = buffer_string(&sql), .column_count = STATE_COLUMNS},
                             values, NULL);
    connection_end(server->connection);
    if (!success)
    {
        connection_close(server->connection);
        server->connection = NULL;
        *answer = (TargetAnswer){.state = find_state_by_file(server->directory)};
        return;
    }
    answer->in_recovery = values[0] != NULL && values[0][0] == 't';
    answer->received = lsn_of_text(values[1]);
    answer->replayed = lsn_of_text(values[2]);
    answer->receives = values[3] != NULL && strcmp(values[3], "streaming") == 0;
    timeline = text_cursor(values[4] != NULL ? values[4] : "");
    (void) text_take_u32(&timeline, &answer->timeline);
    snprintf(answer->slot, sizeof(answer->slot), "%s", values[5] != NULL ? values[5] : "");
    conninfo = values[6] != NULL ? values[6] : "";
    target_server_receiver_name(conninfo, answer->name, sizeof(answer->name));
    take_receiver_option(conninfo, "host", answer->host, sizeof(answer->host));
    take_receiver_option(conninfo, "hostaddr", answer->hostaddr, sizeof(answer->hostaddr));
    take_receiver_option(conninfo, "port", answer->port, sizeof(answer->port));
}

bool target_server_sends(TargetServer *server, const char *const *names, int64_t milliseconds)
{
    Query query = {.sql = SENDERS, .column_count = 1};
    char instance[CONNECTION_INSTANCE_SIZE];
    AUTO_ARENA Arena *arena = arena_create();
    AUTO_BUFFER Buffer list = {0};
    char *count = NULL;
    bool answered;

    if (connect_to_target(server) != TARGET_ANSWERS)
        return false;
    for (; *names != NULL; names++)
        array_append(&list, *names);
    query.parameters[0] = array_literal(&list);
    query.parameters[1] = arena_printf(arena, "%lld", (long long) milliseconds);
    answered = connection_begin(server->connection, instance, NULL) &&
               connection_row(server->connection, arena, &query, &count, NULL);
    connection_end(server->connection);
    return answered && text_number(count) > 0;
}

static void ask_use_once(TargetServer *server, Arena *arena, TargetUse *use)
{
    const Query query = {.sql = USE, .column_count = USE_COLUMNS};
    const char *directory = server->directory;
    char instance[CONNECTION_INSTANCE_SIZE];
    char *values[USE_COLUMNS];
    long pid;

    *use = (TargetUse){0};
    if (connect_to_target(server) == TARGET_ANSWERS)
    {
        use->known = connection_begin(server->connection, instance, NULL) &&
                     connection_row(server->connection, arena, &query, values, NULL);
        connection_end(server->connection);
        if (use->known)
            *use = (TargetUse){.known = true,
                               .clients = (uint64_t) text_number(values[0]),
                               .standbys = (uint64_t) text_number(values[1]),
                               .synchronous = (uint64_t) text_number(values[2]),
                               .names = values[3]};
        else
        {
            connection_close(server->connection);
            server->connection = NULL;
        }
    }
    /* A server that takes no connections yet, is stopping, or has stopped, has no clients. */
    use->known = use->known || pid_file_has_status(directory, PID_FILE_STARTING) ||
                 pid_file_has_status(directory, PID_FILE_STOPPING) ||
                 (pid_file_find_server(directory, NULL, &pid, NULL) && pid == 0);
}

void target_server_ask_use(TargetServer *server, double patience_seconds, Arena *arena,
                           TargetUse *use)
{
    Wait wait = wait_begin(patience_seconds);

    do
        ask_use_once(server, arena, use);
    while (!wait_until(!use->known || use->clients + use->standbys == 0, &wait, NULL));
}

const char *target_server_config_file(TargetServer *server, Arena *arena)
{
    const Query query = {.sql = "SELECT pg_catalog.current_setting('config_file')",
                         .column_count = 1};
    char instance[CONNECTION_INSTANCE_SIZE];
    char *value = NULL;

    if (connect_to_target(server) != TARGET_ANSWERS)
        return NULL;
    if (!connection_begin(server->connection, instance, NULL) ||
        !connection_row(server->connection, arena, &query, &value, NULL))
        value = NULL;
    connection_end(server->connection);
    return value;
}

bool target_is_used(const TargetUse *use)
{
    return !use->known || use->clients + use->standbys > 0;
}

const char *target_use_text(const TargetUse *use, Arena *arena)
{
    AUTO_BUFFER Buffer text = {0};

    if (use->clients > 0)
        buffer_printf(&text, "%llu client connection%s", (unsigned long long) use->clients,
                      plural(use->clients));
    if (use->standbys > 0)
        buffer_printf(&text, "%s%llu replication connection%s", text.size > 0 ? " and " : "",
                      (unsigned long long) use->standbys, plural(use->standbys));
    if (use->synchronous > 0)
        buffer_printf(&text, ", %llu of them synchronous", (unsigned long long) use->synchronous);
    if (use->names != NULL)
        buffer_printf(&text, " (%s)", use->names);
    return arena_strdup(arena, buffer_string(&text));
}
