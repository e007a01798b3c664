/* A record with a length and a CRC that fit; the first byte chooses the version. */
#include "format/crc32c.h"
#include "format/heap_record.h"
#include "format/page.h"
#include "format/wal_event.h"
#include "format/walrecord.h"

#include "../every_version.h"

#include <stdlib.h>
#include <string.h>

#define BLOCK_SIZE 8192

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static volatile uint32_t bytes_seen; /* volatile: the compiler must not leave the reads out */

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

static uint32_t sum_of(Slice bytes)
{
    uint32_t sum = 0;

    for (size_t i = 0; i < bytes.size; i++)
        sum += bytes.bytes[i];
    return sum;
}

/* Images, and rows that take values from rows of these. */
static void look_at_rows(const Version *version, const WalRecord *record)
{
    static uint8_t page[BLOCK_SIZE];
    static Buffer built;
    HeapImage image = {0};
    HeapRecord heap;
    Slice old = {0};

    for (unsigned i = 0; i < record->block_count; i++)
        if (walrecord_restore_image(version, BLOCK_SIZE, record, i, page) &&
            heap_image_over(page, BLOCK_SIZE, &image))
            for (uint16_t item = 1; item <= image.item_count; item++)
            {
                old = heap_image_row(&image, item);
                bytes_seen = sum_of(old);
            }
    if (!heap_record_parse(version, BLOCK_SIZE, record, &heap) || heap.kind == HEAP_RECORD_OTHER)
        return;
    if (heap.old_index >= record->block_count || heap.new_index >= record->block_count)
        __builtin_trap();
    for (uint16_t i = 0; i < heap.row_count && heap_record_next_row(&heap, i); i++)
        bytes_seen = sum_of(heap_row_build(&heap.new_row, old, 1, BLOCK_SIZE, &built));
    bytes_seen = sum_of(heap_row_build(&heap.new_row, old, 1, BLOCK_SIZE, &built));
    bytes_seen = sum_of(heap_row_build(&heap.old_row, old, 1, BLOCK_SIZE, &built));
}

/* Give a record a length and a CRC that fit. */
static void fit(const Version *version, uint8_t *record, size_t size)
{
    uint32_t running;

    store_u32(record, (uint32_t) size);
    if (version->old_wal)
    {
        running = old_crc_update(CRC32C_INIT, record + 32, size - 32);
        store_u32(record + 24, crc32c_finish(old_crc_update(running, record, 24)));
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
        (void) !walrecord_decode(version, BLOCK_SIZE, copy, &record, &error);
    fit(version, copy, size);
    if (walrecord_header_parse(version, copy, size, lsn, &record, &error) &&
        walrecord_decode(version, BLOCK_SIZE, copy, &record, &error))
    {
        /* Backups follow the data of old records. */
        const uint8_t *end = record.data + record.data_size;
        if (record.data < copy || end > copy + size || (!version->old_wal && end < copy + size))
            __builtin_trap();
        if (walrecord_event(version, &record, &event, &error) && event.kind != WAL_EVENT_NONE &&
            event.kind != WAL_EVENT_UNKNOWN_RELATION_UPDATE)
            look_at_lists(&event);
        look_at_rows(version, &record);
    }
    free(copy);
    return 0;
}
