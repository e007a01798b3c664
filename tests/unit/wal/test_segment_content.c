#include "wal/scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../blockmap_count.h"
#include "wal_writer.h"

#define ITEM(buffer, type, index) (((const type *) (const void *) (buffer).bytes)[index])
#define ITEM_COUNT(buffer, type) ((buffer).size / sizeof(type))

static Error error;
static const RelationId table = {.tablespace = 1663, .database = 5, .relation = 16400};

/* ---- Records ---- */

static Lsn write_block(WalWriter *writer, uint8_t fork, BlockNumber number)
{
    BlockReference block = {.fork = fork, .relation = table, .block = number};

    return writer_record(writer, 10, 0, 0, &block, "data", 4);
}

/* COMMIT, with one subtransaction if that is not 0. */
static Lsn write_commit(WalWriter *writer, uint32_t xid, uint32_t subxid, int64_t time)
{
    uint8_t bytes[20] = {0};

    store_u64(bytes, (uint64_t) time);
    store_u32(bytes + 8, 2); /* subtransactions */
    store_u32(bytes + 12, 1);
    store_u32(bytes + 16, subxid);
    return writer_record(writer, RM_XACT, subxid != 0 ? 0x80 : 0x00, xid, NULL, bytes,
                         subxid != 0 ? 20 : 8);
}

/* A transaction's end or PREPARE that came from a replication origin. */
static void write_of_origin(WalWriter *writer, uint8_t opcode, uint16_t origin)
{
    const size_t size = opcode == 0x10 ? 200 : 8;
    Buffer body = {0}, record = {0};

    buffer_append_u8(&body, 253);
    buffer_append_u16(&body, origin);
    buffer_append_u8(&body, 255);
    buffer_append_u8(&body, (uint8_t) size);
    for (size_t i = 0; i < size; i++)
        buffer_append_u8(&body, opcode == 0x10 && i == writer->shape.version->twophase_gid_size_offset);
    encode_record(writer, RM_XACT, opcode, 700, &body, &record);
    writer->last = writer_put(writer, record.bytes, record.size, record.size);
    buffer_free(&body);
    buffer_free(&record);
}

static void write_origin_set(WalWriter *writer, uint16_t origin)
{
    uint8_t bytes[16] = {0}; /* xl_replorigin_set: remote_lsn, node_id, force */

    put_u16(bytes + 8, origin);
    writer_record(writer, RM_REPLORIGIN, REPLORIGIN_SET, 0, NULL, bytes, sizeof(bytes));
}

static Lsn write_running(WalWriter *writer, uint32_t oldest)
{
    uint8_t bytes[24] = {0};

    store_u32(bytes + 12, oldest + 1);
    store_u32(bytes + 16, oldest);
    return writer_record(writer, RM_STANDBY, 0x10, 0, NULL, bytes, sizeof(bytes));
}

static Lsn write_prepare(WalWriter *writer, uint32_t xid, const char *gid)
{
    const Version *version = writer->shape.version;
    const size_t size = strlen(gid) + 1;
    uint8_t bytes[200] = {0};

    store_u32(bytes + 8, xid);
    put_u16(bytes + version->twophase_gid_size_offset, (uint16_t) size);
    memcpy(bytes + version->twophase_gid_offset, gid, size);
    return writer_record(writer, RM_XACT, 0x10, xid, NULL, bytes,
                         version->twophase_gid_offset + size);
}

static Lsn write_hint_image(WalWriter *writer)
{
    return writer_record(writer, RM_XLOG, 0xA0, 0, NULL, NULL, 0);
}

static SegmentContent *read_from(const WalWriter *writer, uint64_t segment, Lsn from, Lsn floor,
                          Lsn divergence)
{
    SegmentContent *content = segment_content_read(&writer->stream, segment, from, floor, divergence, &error);

    if (content == NULL)
        fail_msg("%s", error.message);
    return content;
}

/* ---- Tests ---- */

static void test_one_segment_only(void **state)
{
    WalWriter *writer = writer_create();

    (void) state;
    write_block(writer, FORK_MAIN, 1);
    writer_fill_to(writer, 2 * SEGMENT_SIZE - 200);
    writer_filler(writer, 500); /* ends in the next one */
    write_block(writer, FORK_MAIN, 2);
    SegmentContent *first = read_from(writer, 1, LSN_INVALID, LSN_INVALID, LSN_INVALID);
    SegmentContent *second = read_from(writer, 2, LSN_INVALID, LSN_INVALID, LSN_INVALID);
    assert_int_equal(first->record_count, 3);
    assert_int_equal(second->record_count, 1);
    assert_int_equal(first->facts.end, WAL_SEGMENT_COMPLETE);
    assert_int_equal(second->facts.end, WAL_SEGMENT_INVALID);
    assert_true(blockmap_names(first->blocks, table, 1) &&
                !blockmap_names(first->blocks, table, 2));
    assert_true(!blockmap_names(second->blocks, table, 1) &&
                blockmap_names(second->blocks, table, 2));
    segment_content_destroy(first);
    segment_content_destroy(second);
    free(writer);
}

/* Only the main fork's blocks are taken one by one. A block of the init fork says that this fork was
 * made. */
static void test_other_forks(void **state)
{
    WalWriter *writer = writer_create();

    (void) state;
    write_block(writer, FORK_VM, 1);
    write_block(writer, FORK_FSM, 2);
    SegmentContent *content = read_from(writer, 1, LSN_INVALID, LSN_INVALID, LSN_INVALID);
    assert_int_equal(content->record_count, 2);
    assert_int_equal(blockmap_count(content->blocks).relations, 0);
    segment_content_destroy(content);

    write_block(writer, FORK_INIT, 3);
    content = read_from(writer, 1, LSN_INVALID, LSN_INVALID, LSN_INVALID);
    assert_int_equal(blockmap_count(content->blocks).blocks, 0);
    assert_int_equal(blockmap_find(content->blocks, table)->forks_made, 1u << FORK_INIT);
    assert_int_not_equal(blockmap_find(content->blocks, table)->storage_lsn, LSN_INVALID);
    segment_content_destroy(content);
    free(writer);
}

/* Facts are of all records, everything else is of those from the floor on. */
static void test_floor(void **state)
{
    WalWriter *writer = writer_create();
    Lsn lsns[8];

    (void) state;
    for (uint32_t i = 0; i < 8; i += 4)
    {
        lsns[i] = write_block(writer, FORK_MAIN, i);
        lsns[i + 1] = write_prepare(writer, 700 + i, i == 0 ? "one" : "two");
        lsns[i + 2] = write_hint_image(writer);
        lsns[i + 3] = write_running(writer, 500 + i);
    }
    for (unsigned floor = 0; floor < 8; floor++)
    {
        SegmentContent *content = read_from(writer, 1, LSN_INVALID, lsns[floor], LSN_INVALID);
        assert_int_equal(content->record_count, 8 - floor);
        assert_int_equal(content->facts.record_count, 8);
        assert_int_equal(content->facts.first_lsn, lsns[0]);
        assert_int_equal(blockmap_names(content->blocks, table, 0), floor == 0);
        assert_int_equal(blockmap_names(content->blocks, table, 4), floor <= 4);
        assert_int_equal(ITEM_COUNT(content->hint_images, Lsn), floor <= 6);
        if (floor <= 6)
            assert_int_equal(ITEM(content->hint_images, Lsn, 0), floor <= 2 ? lsns[2] : lsns[6]);
        assert_int_equal(ITEM(content->running, ScanRunning, 0).lsn, floor <= 3 ? lsns[3] : lsns[7]);
        assert_int_equal(content->oldest_running_xid, 504);
        size_t prepared = floor <= 1 ? 2 : floor <= 5 ? 1 : 0;
        assert_int_equal(ITEM_COUNT(content->prepared, ScanPrepared), prepared);
        if (prepared > 0)
            assert_string_equal(ITEM(content->prepared, ScanPrepared, prepared - 1).gid, "two");
        segment_content_destroy(content);
    }
    free(writer);
}

/* Reading from the middle on passes over the same records, and does not even see them. */
static void test_from(void **state)
{
    WalWriter *writer = writer_create();

    (void) state;
    write_block(writer, FORK_MAIN, 0);
    const Lsn from = write_block(writer, FORK_MAIN, 1);
    write_block(writer, FORK_MAIN, 2);
    SegmentContent *content = read_from(writer, 1, from, LSN_INVALID, LSN_INVALID);
    assert_int_equal(content->from, from);
    assert_int_equal(content->record_count, 2);
    assert_int_equal(content->facts.record_count, 2);
    assert_int_equal(content->facts.first_lsn, from);
    assert_true(!blockmap_names(content->blocks, table, 0) &&
                blockmap_names(content->blocks, table, 1) &&
                blockmap_names(content->blocks, table, 2));
    segment_content_destroy(content);
    free(writer);
}

/* Blocks count from the floor on, commits from the divergence on; the running transactions are
 * those of just before it. */
static void test_divergence(void **state)
{
    WalWriter *writer = writer_create();
    static const struct
    {
        unsigned divergence; /* index of the record */
        uint64_t commits;
        int64_t first, last;
        uint32_t lowest;
        uint32_t running;
    } rows[] = {{0, 3, 900, 1100, 90, 0}, {1, 2, 900, 1100, 98, 0}, {2, 2, 900, 1100, 98, 95},
                {3, 1, 900, 900, 98, 95}, {4, 1, 900, 900, 98, 96}, {5, 0, 0, 0, 0, 96}};
    Lsn lsns[6];

    (void) state;
    lsns[0] = write_commit(writer, 100, 90, 1000);
    lsns[1] = write_running(writer, 95);
    lsns[2] = write_commit(writer, 101, 0, 1100);
    lsns[3] = write_running(writer, 96);
    lsns[4] = write_commit(writer, 99, 98, 900); /* the clock was set back */
    lsns[5] = write_block(writer, FORK_MAIN, 7);
    for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++)
    {
        SegmentContent *content =
            read_from(writer, 1, LSN_INVALID, LSN_INVALID, lsns[rows[row].divergence]);
        assert_int_equal(content->commit_count, rows[row].commits);
        assert_int_equal(content->first_commit_time, rows[row].first);
        assert_int_equal(content->last_commit_time, rows[row].last);
        assert_int_equal(content->lowest_committed_xid, rows[row].lowest);
        assert_int_equal(content->oldest_running_xid, rows[row].running);
        assert_int_equal(content->record_count, 6);
        assert_true(blockmap_names(content->blocks, table, 7));
        segment_content_destroy(content);
    }
    /* Without one everything counts. */
    SegmentContent *content = read_from(writer, 1, LSN_INVALID, LSN_INVALID, LSN_INVALID);
    assert_int_equal(content->commit_count, 3);
    assert_int_equal(content->oldest_running_xid, 96);
    segment_content_destroy(content);
    free(writer);
}

/* WAL that the reader cannot read is a fact, not an error; the records before that count. */
static void test_bad_wal(void **state)
{
    WalWriter *writer = writer_create();

    (void) state;
    write_block(writer, FORK_MAIN, 1);
    const Lsn bad = write_block(writer, FORK_MAIN, 2);
    writer->bytes[bad + 30] ^= 1;
    SegmentContent *content = read_from(writer, 1, LSN_INVALID, LSN_INVALID, LSN_INVALID);
    assert_int_equal(content->facts.end, WAL_SEGMENT_INVALID);
    assert_int_equal(content->record_count, 1);
    assert_true(blockmap_names(content->blocks, table, 1) &&
                !blockmap_names(content->blocks, table, 2));
    segment_content_destroy(content);

    content = read_from(writer, 5, LSN_INVALID, LSN_INVALID, LSN_INVALID);
    assert_int_equal(content->facts.end, WAL_SEGMENT_MISSING);
    assert_int_equal(content->facts.missing_segment, 5);
    assert_int_equal(content->record_count, 0);
    segment_content_destroy(content);
    free(writer);
}

static bool failing_open(void *context, uint64_t segment, int *fd, bool *found, Error *failure)
{
    (void) context;
    (void) segment;
    (void) fd;
    (void) found;
    return error_set(failure, ERROR_FAILED, "disk on fire");
}

static void test_a_segment_that_cannot_be_read(void **state)
{
    WalWriter *writer = writer_create();

    (void) state;
    writer->stream.open = failing_open;
    assert_null(segment_content_read(&writer->stream, 1, LSN_INVALID, LSN_INVALID, LSN_INVALID, &error));
    assert_string_equal(error.message, "disk on fire");
    segment_content_destroy(NULL);
    free(writer);
}

static void test_only_the_first_unknown_is_kept(void **state)
{
    WalWriter *writer = writer_create();

    (void) state;
    if (writer->shape.version->custom_rmgrs)
        writer_record(writer, 130, 0, 0, NULL, "x", 1); /* an extension's */
    const Lsn first = writer_record(writer, 10, 0x41, 0, NULL, "x", 1);
    writer_record(writer, 11, 0x51, 0, NULL, "x", 1);
    SegmentContent *content = read_from(writer, 1, LSN_INVALID, LSN_INVALID, LSN_INVALID);
    assert_int_equal(content->custom_rmgr_seen, writer->shape.version->custom_rmgrs);
    assert_int_equal(content->unknown_lsn, first);
    assert_int_equal(content->unknown_rmgr, 10);
    assert_int_equal(content->unknown_info, 0x41);
    segment_content_destroy(content);
    free(writer);
}

/* Origins of which replay notes the progress are listed, each number once. */
static void test_replication_origins(void **state)
{
    static const uint32_t expected[] = {3, 7, 4, 5};
    WalWriter *writer = writer_create();
    const uint8_t dropped[2] = {9, 0};

    (void) state;
    write_of_origin(writer, 0x00, 3);
    write_of_origin(writer, 0x20, 7);
    write_of_origin(writer, 0x10, 4);
    write_of_origin(writer, 0x00, 3);
    write_commit(writer, 701, 0, 5);
    write_of_origin(writer, 0x00, 0xFFFF); /* DoNotReplicateId */
    write_origin_set(writer, 7);
    write_origin_set(writer, 5);
    writer_record(writer, RM_REPLORIGIN, REPLORIGIN_DROP, 0, NULL, dropped, sizeof(dropped));
    SegmentContent *content = read_from(writer, 1, LSN_INVALID, LSN_INVALID, LSN_INVALID);
    assert_int_equal(ITEM_COUNT(content->origins, uint32_t), 4);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(ITEM(content->origins, uint32_t, i), expected[i]);
    assert_int_equal(ITEM_COUNT(content->origin_drops, ScanOriginDrop), 1);
    assert_int_equal(ITEM(content->origin_drops, ScanOriginDrop, 0).origin, 9);
    segment_content_destroy(content);
    free(writer);
}

static void test_order_of_transaction_numbers(void **state)
{
    (void) state;
    assert_true(xid_precedes(3, 4));
    assert_false(xid_precedes(4, 4));
    assert_false(xid_precedes(4, 3));
    assert_true(xid_precedes(0xFFFFFFF0, 3));
    assert_false(xid_precedes(3, 0xFFFFFFF0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_segment_only),
        cmocka_unit_test(test_other_forks),
        cmocka_unit_test(test_floor),
        cmocka_unit_test(test_from),
        cmocka_unit_test(test_divergence),
        cmocka_unit_test(test_bad_wal),
        cmocka_unit_test(test_a_segment_that_cannot_be_read),
        cmocka_unit_test(test_only_the_first_unknown_is_kept),
        cmocka_unit_test(test_replication_origins),
        cmocka_unit_test(test_order_of_transaction_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
