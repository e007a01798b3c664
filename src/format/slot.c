#include "format/slot.h"

#include "base/buffer.h"

#define MAGIC 0x1051CA1    /* SLOT_MAGIC, replication/slot.c */
#define DATABASE_OFFSET 80 /* in ReplicationSlotOnDisk, replication/slot.c */

/* Only a logical slot belongs to a database. */
const char *slot_state_type(const void *state, size_t size)
{
    const uint8_t *bytes = state;

    if (size < DATABASE_OFFSET + sizeof(uint32_t) || load_u32(bytes) != MAGIC)
        return NULL;
    return load_u32(bytes + DATABASE_OFFSET) == 0 ? "physical" : "logical";
}
