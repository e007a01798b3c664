/*
 * The state of a replication slot: pg_replslot/NAME/state.
 */
#ifndef FORMAT_SLOT_H
#define FORMAT_SLOT_H

#include <stddef.h>

/* "physical" or "logical"; NULL where this is no slot's state. */
const char *slot_state_type(const void *state, size_t size);

#endif
