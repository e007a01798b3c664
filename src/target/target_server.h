/*
 * The target's own server, while it runs: what it says of itself on its socket.
 */
#ifndef TARGET_TARGET_SERVER_H
#define TARGET_TARGET_SERVER_H

#include "source/source.h"

typedef enum TargetState
{
    TARGET_SILENT,   /* it cannot be asked: it refuses us, or takes no connections in recovery */
    TARGET_STARTING, /* it takes no connections yet */
    TARGET_ANSWERS   /* the following are known */
} TargetState;

typedef struct TargetAnswer
{
    TargetState state;
    bool in_recovery;
    bool receives;     /* it has a WAL receiver, which streams as far as the role may see that */
    Timeline timeline; /* that it receives; 0: not known */
    char slot[64];     /* with which it receives; empty: none, or not known */
    char name[128];    /* that its WAL receiver gives to the server; empty: not known */
    Lsn received, replayed;
} TargetAnswer;

/* Who uses the target's server now, beside ourselves. */
typedef struct TargetUse
{
    bool known;           /* the following are set; else it could not be asked */
    uint64_t clients;     /* client connections, idle ones as well; no background processes */
    uint64_t standbys;    /* connections for replication: standbys, pg_receivewal, base backups */
    uint64_t synchronous; /* of these, those that commits wait for, as far as the role may see it */
    const char *names;    /* application names of some of both; NULL: none has one. In the arena */
} TargetUse;

typedef struct TargetServer TargetServer;

/*
 * The server of a directory, in the arena with all that belongs to it. It is asked as the user of
 * the operating system, or else as the role of the source's connection, whose password is tried.
 * target_server_close, before the arena is destroyed, closes the connection.
 */
TargetServer *target_server_open(Arena *arena, const char *directory, Source *source);
void target_server_close(TargetServer *server); /* NULL is allowed */

/* Ask it; may be repeated. A server that refuses us for good is not asked again. */
void target_server_ask(TargetServer *server, TargetAnswer *answer);

/*
 * Ask who uses it. Backends of clients that have just disconnected are given patience_seconds to
 * end. Nobody uses a server that takes no connections yet, or that is stopping.
 */
void target_server_ask_use(TargetServer *server, double patience_seconds, Arena *arena,
                           TargetUse *use);

/* True if anything uses it, or may, since it could not be asked. */
bool target_is_used(const TargetUse *use);

/* "2 client connections and 1 replication connection (psql, standby1)"; in the arena. */
const char *target_use_text(const TargetUse *use, Arena *arena);

#endif
