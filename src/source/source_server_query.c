#include "source/source_server.h"

#include "io/connection.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

bool error_reword(Error *error, const char *format, ...)
{
    static const char marker[] = "source server: ";
    char what[1024];
    char reason[ERROR_TEXT_SIZE];
    const char *position = error != NULL ? strstr(error->message, marker) : NULL;
    va_list arguments;

    if (position == NULL)
        return false;
    va_start(arguments, format);
    vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    snprintf(reason, sizeof(reason), "%s", position + strlen(marker));
    return error_set(error, error->kind, "%s: %s", what, reason);
}

bool server_query_text(Connection *connection, Arena *arena, const char *sql, char **value,
                       Error *error)
{
    bool found;

    if (!connection_value(connection, arena, sql, 0, NULL, value, &found, error))
        return false;
    if (!found)
        return error_set(error, ERROR_FAILED, "unexpected result set from query"); /* contract */
    return true;
}

const Version *server_version(const Connection *connection)
{
    return version_of_server_number(connection_server_version(connection));
}

bool server_version_known(const Connection *connection, const Version **version, Error *error)
{
    const int number = connection_server_version(connection);

    *version = server_version(connection);
    if (*version != NULL)
        return true;
    error_set(error, ERROR_FAILED, /* contract */
              "clusters are not compatible with this version of pg_rewind");
    error_detail(error, "The source server's version is %d.%d.", SERVER_VERSION_MAJOR(number),
                 number % 10000);
    return error_hint(error, "Check --source-server, or use a pg_rewind that knows this version.");
}

void server_begin_settings(const Version *version, char settings[CONNECTION_SETTINGS_SIZE])
{
    /* To compile a query takes longer than a listing. */
    snprintf(settings, CONNECTION_SETTINGS_SIZE, "%s%s%s%s",
             version->sql.idle_timeout ? "SET LOCAL idle_in_transaction_session_timeout = 0; " : "",
             version->has_transaction_timeout ? "SET LOCAL transaction_timeout = 0; " : "",
             version->has_jit ? "SET LOCAL jit = off; " : "",
             version->sql.missing_ok ? "" : "SAVEPOINT " CONNECTION_SAVEPOINT "; ");
}

const char *server_may_lack(const ServerSql *names)
{
    return names->missing_ok ? ", true" : "";
}

const char *server_list_may_lack(const ServerSql *names)
{
    return names->missing_ok ? ", true, false" : "";
}

bool server_lacked_file(Connection *connection, bool *lacked, Error *error)
{
    *lacked = !server_version(connection)->sql.missing_ok && connection_file_missing(connection);
    return *lacked && connection_back_to_savepoint(connection, error);
}

bool server_read_file_once(Connection *connection, void *context, Error *error)
{
    FileRead *read = context;
    const size_t size_before = read->buffer->size;
    char length[32], sql[128];
    const char *const parameters[] = {read->path, length};
    bool lacked;

    snprintf(length, sizeof(length), "%zu", read->limit + 1);
    snprintf(sql, sizeof(sql),
             "SELECT pg_catalog.pg_read_binary_file($1::text, 0::int8, $2::int8%s)",
             server_may_lack(&server_version(connection)->sql));
    if (!connection_bytes(connection, sql, 2, parameters, read->buffer, &read->found, error))
    {
        if (server_lacked_file(connection, &lacked, error))
            read->found = false;
        if (lacked)
            return !read->found;
        return error_reword(error, "could not fetch remote file \"%s\"", read->path); /* contract */
    }
    if (read->buffer->size - size_before > read->limit)
        return error_set(error, ERROR_FAILED, "remote file \"%s\" is larger than %zu bytes",
                         read->path, read->limit);
    return true;
}

static bool read_control_bytes(void *context, Buffer *buffer, Error *error)
{
    FileRead read = {.path = CONTROL_PATH, .limit = CONTROL_READ_MAX, .buffer = buffer};

    if (!server_read_file_once(context, &read, error))
        return false;
    if (!read.found)
        return error_set(error, ERROR_FAILED,
                         "could not fetch remote file \"%s\": file does not exist", read.path);
    return true;
}

bool server_read_control_once(Connection *connection, void *context, Error *error)
{
    return source_control_read(read_control_bytes, connection, CONTROL_PATH, context, error);
}
