/*
 * The places where the target's server will listen, by the configuration to come, and whether it
 * can on this host: the source's configuration has the source's addresses and port.
 */
#ifndef STANDBY_LISTENING_H
#define STANDBY_LISTENING_H

#include "base/advice.h"
#include "format/settings.h"
#include "pair/clusters.h"

/*
 * Advise, and return false, unless a server with these settings could listen: on one of
 * listen_addresses at least, and not at the source's own socket. Otherwise it would not start. What
 * cannot be found out is no error: addresses that are names, a socket directory by default. The
 * port that the target's own server has now is free by then.
 */
bool start_advise_on_listening(const Settings *settings, const Clusters *clusters,
                               AdviceList *list);

/* The listen_addresses that this host does not have, with commas between them; empty: none. In the
 * arena. */
const char *listening_foreign(const Settings *settings, Arena *arena);

#endif
