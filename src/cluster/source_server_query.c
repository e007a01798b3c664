#include "cluster/source_server.h"

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

bool server_read_file_once(Connection *connection, void *context, Error *error)
{
    FileRead *read = context;
    const size_t size_before = read->buffer->size;
    char length[32];
    const char *const parameters[] = {read->path, length};

    snprintf(length, sizeof(length), "%zu", read->limit + 1);
    if (!connection_bytes(
            connection, "SELECT pg_catalog.pg_read_binary_file($1::text, 0::int8, $2::int8, true)",
            2, parameters, read->buffer, &read->found, error))
        return error_reword(error, "could not fetch remote file \"%s\"", read->path); /* contract */
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
