/* A record with a length and a CRC that fit; the first byte chooses the version. */
#include "format/crc32c.h"
#include "format/wal_event.h"
#include "format/walrecord.h"

#include "../every_version.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static volatile uint32_t bytes_seen; /* that nobody leaves the reads out */

static void look_at_lists(const WalEvent *event)
{
    uint32_t sum = 0;

    for (uint32_t i = 0; i < event->dropped_count; i++)
        sum += wal_event_dropped(event, i).relation;
    for (uint32_t i = 0; i < event->list_count; i++)
        sum += wal_event_u32(event->list, i);
    for (uint32_t i = 0; i < event->subxid_count; i++)
        sum += load_u32(event->subxids + i * 4);
    for (size_t i = 0; i < event->gid_size; i++)
        sum += (uint32_t) event->gid[i];
    for (size_t i = 0; i < event->path_size; i++)
        sum += (uint32_t) event->path[i];
    bytes_seen = sum;
}

/* Give a record a length and a CRC that fit. */
static void fit(const Version *version, uint8_t *record, size_t size)
{
    uint32_t running;

    store_u32(record, (uint32_t) size);
    if (version->old_wal)
    {
        running = old_crc_update(OLD_CRC_INIT, record + 32, size - 32);
        store_u32(record + 24, old_crc_finish(old_crc_update(running, record, 24)));
        return;
    }
    running = crc32c_update(CRC32C_INIT, record + 24, size - 24);
    store_u32(record + 20, crc32c_finish(crc32c_update(running, record, 20)));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static Error error;
    static WalRecord record;
    static WalEvent event;
    const Lsn lsn = UINT64_MAX;

    if (size < 1)
        return 0;
    const Version *version = version_by_number(bytes[0]);
    size--;
    if (size < walrecord_header_size(version))
        return 0;
    uint8_t *copy = malloc(size); /* exactly as long: nothing may be read behind */
    memcpy(copy, bytes + 1, size);
    if (walrecord_header_parse(version, copy, size, lsn, &record, &error) &&
        record.total_length == size)
        (void) !walrecord_decode(version, 8192, copy, &record, &error);
    fit(version, copy, size);
    if (walrecord_header_parse(version, copy, size, lsn, &record, &error) &&
        walrecord_decode(version, 8192, copy, &record, &error))
    {
        /* Backups follow the data of old records. */
        const uint8_t *end = record.data + record.data_size;
        if (record.data < copy || end > copy + size || (!version->old_wal && end < copy + size))
            __builtin_trap();
        if (walrecord_event(version, &record, &event, &error) && event.kind != WAL_EVENT_NONE &&
            event.kind != WAL_EVENT_UNKNOWN_RELATION_UPDATE)
            look_at_lists(&event);
    }
    free(copy);
    return 0;
}
