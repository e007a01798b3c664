/*
 * An archive is asked for one real segment. What it answers goes to memory: nothing is left.
 */
#include "check/node.h"

ArchiveAnswer node_ask_archive(const Node *node, const char *command, uint64_t segment,
                               const char *name, const char **how)
{
    static const WalPlace places[] = {WAL_IN_ARCHIVE, WAL_BY_COMMAND, WAL_PLACES_END};
    WalStore made_from =
        wal_store_description(node->options, &node->clusters, command, NULL, node->arena);
    WalStore *store;
    Timeline timeline;
    uint64_t number;
    bool has;

    *how = "";
    if ((made_from.archive_directory == NULL && command == NULL) ||
        !wal_segment_name_parse(&made_from.shape, name, &timeline, &number))
        return ARCHIVE_NONE;
    made_from.places = places;
    made_from.restore.retry_timeout_seconds = 0;
    made_from.restore.limit_seconds = UNASKED_COMMAND_SECONDS;
    store = wal_store_create(&made_from);
    has = wal_store_has(store, timeline, segment, node->arena, how);
    wal_store_destroy(store);
    return has ? ARCHIVE_HAS : ARCHIVE_LACKS;
}
