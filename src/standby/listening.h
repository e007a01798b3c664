/*
 * The addresses and port where the target's server will listen by its next configuration, and
 * whether they can be used on this host. After a rewind that is the source's configuration, with
 * the source's addresses and port.
 */
#ifndef STANDBY_LISTENING_H
#define STANDBY_LISTENING_H

#include "base/advice.h"
#include "format/settings.h"
#include "pair/clusters.h"

/*
 * Returns true if a server with these settings could listen: on at least one of listen_addresses,
 * and not at the source's own socket. Otherwise the server would not start: adds advice and returns
 * false. What cannot be found out counts as possible: host names among the addresses, the default
 * socket directory. The port that the target's own server uses now counts as free, since that
 * server is stopped first. of_source: the settings are those of the source's configuration.
 */
bool start_advise_on_listening(const Settings *settings, bool of_source, const Clusters *clusters,
                               AdviceList *list);

/* Those of listen_addresses that this host does not have, separated by commas; empty if it has all.
 * In the arena. */
const char *listening_foreign(const Settings *settings, Arena *arena);

#endif
