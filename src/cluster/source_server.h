/*
 * The inside of a source that is a server: what it asks (source_server.c) and how it fetches
 * (source_server_fetch.c).
 */
#ifndef CLUSTER_SOURCE_SERVER_H
#define CLUSTER_SOURCE_SERVER_H

#include "cluster/source.h"
#include "io/connection.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* By which a server is known again after its connection was lost, and on a second connection. */
typedef struct ServerIdentity
{
    uint64_t system_identifier;
    Timeline timeline;
    int64_t start_time; /* of the postmaster, milliseconds since 1970 */
} ServerIdentity;

typedef struct ServerSource
{
    Source source;
    char *conninfo;
    char *description;
    int retry_timeout_seconds;
    bool md5_supported;
    ServerIdentity identity;
    Connection **connections; /* one for each worker; NULL after it was lost for good */
    int connection_count;
} ServerSource;

/* What can be tried again on a new connection. */
typedef bool (*Attempt)(Connection *connection, void *context, Error *error);

/*
 * Make the attempt, on new connections as long as the old ones get lost. The time allowed counts
 * from a loss and starts anew whenever *progress (may be NULL) has grown since the loss before.
 */
MUST_CHECK bool server_attempt(ServerSource *self, int worker, Attempt attempt, void *context,
                               const size_t *progress, Error *error);

/* Put words of our own before what the server said; see source_server.c. */
void server_say_what_failed(Error *error, const char *format, ...) PRINTF_LIKE(2, 3);

/* SourceOperations' fetch and digest. */
bool server_fetch(Source *source, int worker, const FetchRequest *requests, size_t count,
                  FetchDelivery deliver, void *context, Error *error);
bool server_digest(Source *source, int worker, const FetchRequest *requests, size_t count,
                   FetchDelivery deliver, void *context, bool *supported, Error *error);

#endif
