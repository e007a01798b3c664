/* The target's own server while it runs, as reported through its socket. */
#ifndef TARGET_TARGET_SERVER_H
#define TARGET_TARGET_SERVER_H

#include "source/source.h"

typedef enum TargetState
{
    TARGET_SILENT, /* the server cannot be asked: it refuses our connection, or takes none while it
                      is in recovery */
    TARGET_STARTING, /* the server is starting and takes no connections yet */
    TARGET_ANSWERS   /* the server has answered */
} TargetState;

typedef struct TargetAnswer
{
    TargetState state;
    bool in_recovery;
    bool receives;     /* a WAL receiver runs and streams (its status, if the role may see that) */
    Timeline timeline; /* timeline of the WAL that it receives; 0: not known */
    char slot[64];     /* replication slot with which it receives; empty: none, or not known */
    char name[128];    /* application_name of its WAL receiver on the server that sends; empty: not
                          known */
    /* The server that the target's WAL receiver connects to, by pg_stat_wal_receiver.conninfo;
     * empty: not set there. The port is always set if the role may see the string. */
    char host[1024], hostaddr[256], port[64];
    Lsn received, replayed;
} TargetAnswer;

/* The connections to the target's server at one moment, without our own. */
typedef struct TargetUse
{
    bool known;           /* the counts are valid; false: the server could not be asked */
    uint64_t clients;     /* client connections, idle ones as well; no background processes */
    uint64_t standbys;    /* connections for replication: standbys, pg_receivewal, base backups */
    uint64_t synchronous; /* synchronous standbys that the role may see */
    const char *names; /* application names of some clients and standbys, in the arena; NULL: none
                          has one */
} TargetUse;

typedef struct TargetServer TargetServer;

/*
 * Create a handle for the server of a data directory, in the arena, without connecting. The server
 * is asked as the role with the name of this process's user; if it refuses that role, as the role
 * of the source's connection, with the same password. source may be NULL. Call target_server_close
 * before the arena is destroyed.
 */
TargetServer *target_server_open(Arena *arena, const char *directory, Source *source);
void target_server_close(TargetServer *server); /* NULL is allowed */

/* Ask the server for its state. May be repeated; cannot fail: what is unknown is zero or empty. A
 * server that has refused each way to connect is not asked again. */
void target_server_ask(TargetServer *server, TargetAnswer *answer);

/* Set `name` to the application_name in the connection string of a WAL receiver, as a server of any
 * version shows this string; unchanged if it has none. */
void target_server_receiver_name(const char *conninfo, char *name, size_t size);

/* True if the server sends WAL to one of these application names, up to a NULL, by a connection
 * that may be that of a WAL receiver whose process began `milliseconds` ago. False if the server
 * cannot be asked. */
bool target_server_sends(TargetServer *server, const char *const *names, int64_t milliseconds);

/* Count the connections to the server, into *use. Backends of clients that have just disconnected
 * are given patience_seconds to exit. A server that takes no connections yet, is stopping or has
 * stopped is known to have none: known is true, and all counts are 0. */
void target_server_ask_use(TargetServer *server, double patience_seconds, Arena *arena,
                           TargetUse *use);

/* The absolute path of the server's main configuration file, in the arena; NULL: not known, which
 * it is to a role that may not see it. */
const char *target_server_config_file(TargetServer *server, Arena *arena);

/* True if the server has connections, or may have some because it could not be asked. */
bool target_is_used(const TargetUse *use);

/* "2 client connections and 1 replication connection (psql, standby1)"; in the arena. */
const char *target_use_text(const TargetUse *use, Arena *arena);

#endif
