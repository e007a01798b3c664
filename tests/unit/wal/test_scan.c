/* Rule R1. */
#include "wal/scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../blockmap_count.h"
#include "wal_writer.h"

#define SEGMENT(n) ((Lsn) (n) *SEGMENT_SIZE)
#define JOBS 3
#define LSN_MAX UINT64_MAX
#define HEAP2_VISIBLE 0x40 /* access/heapam_xlog.h */

static Error error;
static Arena *arena;
static const RelationId table = {.tablespace = 1663, .database = 5, .relation = 16400};

/* ---- Records that mean something ---- */

static Lsn write_block(WalWriter *writer, BlockNumber number)
{
    BlockReference block = {.relation = table, .block = number};

    return writer_record(writer, 10, 0, 0, &block, "data", 4);
}

static Lsn write_checkpoint(WalWriter *writer, Lsn redo, uint32_t next_xid)
{
    const CheckPointOffsets *at = &writer->shape.version->checkpoint;
    uint8_t bytes[128] = {0};

    if (redo == LSN_INVALID)
        redo = wal_skip_header(&writer->shape, writer->position);
    store_u64(bytes + at->redo, redo);
    store_u32(bytes + at->timeline, writer->timeline);
    bytes[at->full_page_writes] = 1;
    store_u64(bytes + at->next_xid, next_xid);
    uint8_t info = redo == wal_skip_header(&writer->shape, writer->position) ? 0x00 : 0x10;
    return writer_record(writer, RM_XLOG, info, 0, NULL, bytes, at->size);
}

static Lsn write_commit(WalWriter *writer, uint32_t xid, int64_t time)
{
    uint8_t bytes[8];

    store_u64(bytes, (uint64_t) time);
    return writer_record(writer, RM_XACT, 0x00, xid, NULL, bytes, sizeof(bytes));
}

/* Ends the prepared transaction and drops the table. */
static Lsn write_commit_prepared(WalWriter *writer, uint32_t xid, int64_t time)
{
    uint8_t bytes[32] = {0};

    store_u64(bytes, (uint64_t) time);
    store_u32(bytes + 8, 0x14); /* dropped relations, two-phase */
    store_u32(bytes + 12, 1);
    store_u32(bytes + 16, table.tablespace);
    store_u32(bytes + 20, table.database);
    store_u32(bytes + 24, table.relation + 1);
    store_u32(bytes + 28, xid);
    return writer_record(writer, RM_XACT, 0x30 | 0x80, 0, NULL, bytes, sizeof(bytes));
}

static Lsn write_prepare(WalWriter *writer, uint32_t xid, const char *gid)
{
    const Version *version = writer->shape.version;
    uint8_t bytes[200] = {0};
    size_t size = strlen(gid) + 1;

    store_u32(bytes + 8, xid);
    put_u16(bytes + version->twophase_gid_size_offset, (uint16_t) size);
    memcpy(bytes + version->twophase_gid_offset, gid, size);
    return writer_record(writer, RM_XACT, 0x10, xid, NULL, bytes,
                         version->twophase_gid_offset + size);
}

static Lsn write_parameters(WalWriter *writer, uint32_t wal_level, bool log_hints)
{
    const Version *version = writer->shape.version;
    uint8_t bytes[28] = {0};

    store_u32(bytes + version->parameter_wal_level, wal_level);
    bytes[version->parameter_wal_log_hints] = log_hints;
    return writer_record(writer, RM_XLOG, 0x60, 0, NULL, bytes,
                         version->parameter_wal_log_hints + 4);
}

static Lsn write_running_xacts(WalWriter *writer)
{
    uint8_t bytes[24] = {0};

    return writer_record(writer, RM_STANDBY, 0x10, 0, NULL, bytes, sizeof(bytes));
}

static Lsn write_running_from(WalWriter *writer, uint32_t oldest)
{
    uint8_t bytes[24] = {0};

    store_u32(bytes + 12, oldest + 1);
    store_u32(bytes + 16, oldest);
    return writer_record(writer, RM_STANDBY, 0x10, 0, NULL, bytes, sizeof(bytes));
}

static Lsn write_abort(WalWriter *writer, uint32_t xid, bool prepared)
{
    uint8_t bytes[16] = {0};

    store_u32(bytes + 8, prepared ? 0x10 : 0);
    store_u32(bytes + 12, xid);
    return writer_record(writer, RM_XACT, (prepared ? 0x40 : 0x20) | 0x80, prepared ? 0 : xid, NULL,
                         bytes, prepared ? 16 : 12);
}

static Lsn write_hint_image(WalWriter *writer)
{
    return writer_record(writer, RM_XLOG, 0xA0, 0, NULL, NULL, 0);
}

static Lsn write_truncate(WalWriter *writer, BlockNumber block, uint32_t flags)
{
    uint8_t bytes[20];

    store_u32(bytes, block);
    store_u32(bytes + 4, table.tablespace);
    store_u32(bytes + 8, table.database);
    store_u32(bytes + 12, table.relation);
    store_u32(bytes + 16, flags);
    return writer_record(writer, RM_SMGR, 0x21, 0, NULL, bytes, sizeof(bytes));
}

static Lsn write_database_copy(WalWriter *writer, Oid database)
{
    uint8_t bytes[16];

    store_u32(bytes, database);
    store_u32(bytes + 4, 1663);
    store_u32(bytes + 8, 4);
    store_u32(bytes + 12, 1664);
    return writer_record(writer, RM_DBASE, 0x01, 0, NULL, bytes, sizeof(bytes));
}

/* ---- Forward ---- */

static WalScan *forward(const WalWriter *writer, Lsn from, Lsn floor_at_most, int jobs,
                        WalSegmentFacts *end)
{
    WalScan *scan = scan_create(&writer->stream, jobs, floor_at_most);

    assert_true(scan_forward(scan, from, end, &error));
    return scan;
}

static void forward_fails(const WalWriter *writer, Lsn from)
{
    WalScan *scan = scan_create(&writer->stream, JOBS, LSN_MAX);
    WalSegmentFacts end;

    assert_false(scan_forward(scan, from, &end, &error));
    scan_destroy(scan);
}

/* Records over segments 1 to `last`, and some of the next one. Returns the start of the last
 * record. */
static Lsn write_much(WalWriter *writer, uint64_t last)
{
    Lsn lsn = LSN_INVALID;

    for (size_t i = 0; writer->position < SEGMENT(last + 1) + IN_PROPORTION(3000); i++)
        lsn = writer_filler(writer, 100 + i * 977 % IN_PROPORTION(15000));
    return lsn;
}

static void test_forward_to_the_end(void **state)
{
    WalWriter *writer = writer_create();
    Lsn last = write_much(writer, 12);

    (void) state;
    for (int jobs = 1; jobs <= JOBS; jobs++)
    {
        WalSegmentFacts end;
        WalScan *scan = forward(writer, SEGMENT(1) + 40, LSN_MAX, jobs, &end);
        assert_int_equal(scan->last_lsn, last);
        assert_int_equal(end.next_lsn, writer->position);
        assert_int_equal(end.end, WAL_SEGMENT_INVALID);
        assert_in("invalid record length", end.reason);
        scan_destroy(scan);

        scan = forward(writer, last, LSN_MAX, jobs, &end);
        assert_int_equal(scan->last_lsn, last);
        scan_destroy(scan);

        scan = forward(writer, writer->position, LSN_MAX, jobs, &end);
        assert_int_equal(scan->last_lsn, LSN_INVALID);
        assert_int_equal(end.next_lsn, writer->position);
        scan_destroy(scan);
    }
    free(writer);
}

static void test_forward_to_the_limit(void **state)
{
    WalWriter *writer = writer_create();
    WalSegmentFacts end;

    (void) state;
    write_much(writer, 4);
    writer->stream.limit = SEGMENT(3);
    WalScan *scan = forward(writer, SEGMENT(1) + 40, LSN_MAX, JOBS, &end);
    assert_true(end.next_lsn <= SEGMENT(3) && end.next_lsn > SEGMENT(2));
    assert_int_equal(end.end, WAL_SEGMENT_INVALID);
    assert_true(scan_ended_at_limit(&writer->stream, &end));
    scan_destroy(scan);

    writer->stream.limit = SEGMENT(6);
    scan = forward(writer, SEGMENT(1) + 40, LSN_MAX, JOBS, &end);
    assert_int_equal(end.next_lsn, writer->position);
    assert_false(scan_ended_at_limit(&writer->stream, &end));
    scan_destroy(scan);
    free(writer);
}

static void test_a_missing_segment_is_the_end(void **state)
{
    WalWriter *writer = writer_create();
    WalSegmentFacts end;

    (void) state;
    writer_filler(writer, 200);
    Lsn last = writer_switch(writer);
    WalScan *scan = forward(writer, SEGMENT(1) + 40, LSN_MAX, JOBS, &end);
    assert_int_equal(end.end, WAL_SEGMENT_MISSING);
    assert_int_equal(scan->last_lsn, last);
    assert_int_equal(end.next_lsn, SEGMENT(2));
    scan_destroy(scan);

    /* A missing segment is an error if WAL continues in a later segment. */
    write_much(writer, 3);
    writer->missing[2] = true;
    forward_fails(writer, SEGMENT(1) + 40);
    assert_in("000000010000000000000002", error.message);
    assert_in("000000010000000000000003", error.detail);
    free(writer);
}

static void test_damage_is_no_end(void **state)
{
    WalWriter *writer = writer_create();
    WalSegmentFacts end;

    (void) state;
    write_much(writer, 3);
    Lsn damaged = SEGMENT(2) + 3 * BLOCK_SIZE + IN_PROPORTION(4000), record;
    WalScan *scan = scan_create(&writer->stream, 1, LSN_INVALID);
    assert_true(scan_record_at(scan, damaged, &record, &error));
    scan_destroy(scan);
    writer->bytes[damaged] ^= 4;
    forward_fails(writer, SEGMENT(1) + 40);
    assert_in(said_at("WAL is damaged at", writer, record), error.message);
    assert_in("000000010000000000000002", error.message);
    assert_in("000000010000000000000003", error.detail);
    assert_int_equal(error.kind, ERROR_FAILED);

    /* The same bytes with nothing of this WAL behind them are the end. */
    writer_recycle(writer, 3);
    scan = forward(writer, SEGMENT(1) + 40, LSN_MAX, JOBS, &end);
    assert_true(end.next_lsn < damaged && end.next_lsn > SEGMENT(2));
    scan_destroy(scan);
    writer->missing[3] = true;
    scan = forward(writer, SEGMENT(1) + 40, LSN_MAX, JOBS, &end);
    assert_true(end.next_lsn < damaged && end.next_lsn > SEGMENT(2));
    scan_destroy(scan);
    free(writer);
}

static void test_a_record_cut_in_the_next_segment_is_no_damage(void **state)
{
    WalWriter *writer = writer_create();
    WalSegmentFacts end;

    (void) state;
    writer_fill_to(writer, SEGMENT(2) - 1000);
    Lsn cut = writer_filler(writer, IN_PROPORTION(30000));
    memset(writer->bytes + SEGMENT(2) + BLOCK_SIZE, 0, SEGMENT_SIZE - BLOCK_SIZE);
    WalScan *scan = forward(writer, SEGMENT(1) + 40, LSN_MAX, JOBS, &end);
    assert_int_equal(end.next_lsn, cut);
    scan_destroy(scan);
    free(writer);
}

static void test_older_wal_behind_the_end_is_no_damage(void **state)
{
    WalWriter *writer = writer_create();
    WalSegmentFacts end;

    (void) state;
    writer_filler(writer, 200);
    writer_switch(writer);
    writer_filler(writer, 200);
    /* The server restarted before the switch and wrote more. */
    writer->position = SEGMENT(1);
    writer->last = LSN_INVALID;
    Lsn last = LSN_INVALID;
    while (writer->position < SEGMENT(1) + IN_PROPORTION(4000))
        last = writer_filler(writer, 104);
    WalScan *scan = forward(writer, SEGMENT(1) + 40, LSN_MAX, JOBS, &end);
    assert_int_equal(scan->last_lsn, last);
    scan_destroy(scan);
    free(writer);
}

static void test_segments_are_linked(void **state)
{
    WalWriter *writer = writer_create();
    WalSegmentFacts end;

    (void) state;
    writer_filler(writer, 200);
    Lsn last = writer_fill_to(writer, SEGMENT(2));
    writer->last -= 8;
    writer_filler(writer, 200);
    WalScan *scan = forward(writer, SEGMENT(1) + 40, LSN_MAX, JOBS, &end);
    assert_int_equal(scan->last_lsn, last);
    assert_int_equal(end.next_lsn, SEGMENT(2));
    assert_in("record with incorrect prev-link", end.reason);
    scan_destroy(scan);

    writer->position = SEGMENT(2);
    writer_page(writer, SEGMENT(2), 0, 800); /* claims to continue a record that has ended */
    writer->position += 840;
    writer->last = last;
    writer_filler(writer, 200);
    scan = forward(writer, SEGMENT(1) + 40, LSN_MAX, JOBS, &end);
    assert_int_equal(end.next_lsn, SEGMENT(2));
    assert_in("unexpected contrecord", end.reason);
    scan_destroy(scan);
    free(writer);
}

/* ---- Backward ---- */

static void test_checkpoints_are_found_backward(void **state)
{
    WalWriter *writer = writer_create();
    Lsn checkpoints[6];
    WalSegmentFacts end;
    ScanCheckpoint found;

    (void) state;
    for (uint32_t i = 0; i < 6; i++)
    {
        Lsn redo = writer_filler(writer, 300);
        checkpoints[i] = write_checkpoint(writer, redo, 1000 + i * 10);
        for (int k = 0; k < 14; k++)
            writer_filler(writer, IN_PROPORTION(9000));
    }
    for (int jobs = 1; jobs <= JOBS; jobs++)
    {
        WalScan *scan = forward(writer, checkpoints[5], checkpoints[5], jobs, &end);
        ScanCheckpointWanted wanted = {.before = end.next_lsn};
        for (int i = 5; i >= 0; i--)
        {
            assert_true(scan_find_checkpoint(scan, &wanted, &found, &error));
            assert_int_equal(found.lsn, checkpoints[i]);
            assert_true(found.online);
            assert_int_equal(found.checkpoint.next_xid, 1000 + i * 10);
            assert_true(found.end > found.lsn && found.checkpoint.redo < found.lsn);
            wanted.before = found.lsn;
        }
        assert_false(scan_find_checkpoint(scan, &wanted, &found, &error));
        assert_in("could not find previous WAL record at 0/0", error.message);

        wanted = (ScanCheckpointWanted){.before = end.next_lsn, .not_after = checkpoints[3] + 1};
        assert_true(scan_find_checkpoint(scan, &wanted, &found, &error));
        assert_int_equal(found.lsn, checkpoints[3]);
        wanted.redo_not_after = found.checkpoint.redo - 1;
        assert_true(scan_find_checkpoint(scan, &wanted, &found, &error));
        assert_int_equal(found.lsn, checkpoints[2]);
        wanted.next_xid_not_after = 1010;
        assert_true(scan_find_checkpoint(scan, &wanted, &found, &error));
        assert_int_equal(found.lsn, checkpoints[1]);
        scan_destroy(scan);
    }

    /* Without reading forward. */
    WalScan *scan = scan_create(&writer->stream, 2, LSN_INVALID);
    ScanCheckpointWanted wanted = {.before = checkpoints[4]};
    assert_true(scan_find_checkpoint(scan, &wanted, &found, &error));
    assert_int_equal(found.lsn, checkpoints[3]);
    scan_destroy(scan);
    free(writer);
}

static void test_wal_that_is_gone_backward(void **state)
{
    WalWriter *writer = writer_create();
    ScanCheckpoint found;
    WalSegmentFacts end;

    (void) state;
    Lsn last = write_much(writer, 5), missing;
    WalScan *scan = scan_create(&writer->stream, 1, LSN_INVALID);
    assert_true(scan_record_at(scan, SEGMENT(4) - 1, &missing, &error));
    scan_destroy(scan);
    writer->missing[3] = true;
    scan = forward(writer, last, last, 2, &end);
    ScanCheckpointWanted wanted = {.before = last};
    assert_false(scan_find_checkpoint(scan, &wanted, &found, &error));
    assert_in("000000010000000000000003", error.message);
    assert_in(said_at("could not find previous WAL record at", writer, missing), error.detail);
    /* A second search reads segment 3, which arrived in the meantime. */
    writer->missing[3] = false;
    assert_false(scan_find_checkpoint(scan, &wanted, &found, &error));
    assert_in("could not find previous WAL record at 0/0", error.message);
    scan_destroy(scan);

    writer->bytes[SEGMENT(4) + IN_PROPORTION(5000)] ^= 1;
    scan = forward(writer, last, last, 2, &end);
    assert_false(scan_find_checkpoint(scan, &wanted, &found, &error));
    assert_in("could not find previous WAL record at 0/", error.message);
    assert_in(": incorrect resource manager data checksum in record at 0/", error.message);
    scan_destroy(scan);
    free(writer);
}

static void test_the_record_at_a_place(void **state)
{
    WalWriter *writer = writer_create();
    Lsn start;

    (void) state;
    Lsn first = writer_fill_to(writer, SEGMENT(2) - 1000);
    Lsn crossing = writer_filler(writer, 1000 + SEGMENT_SIZE + 500);
    Lsn second = writer_filler(writer, 100);
    WalScan *scan = scan_create(&writer->stream, 1, LSN_INVALID);
    const struct
    {
        Lsn lsn;
        Lsn expected;
    } rows[] = {{first, first},
                {first + 500, first},
                {SEGMENT(1) + BLOCK_SIZE, first},
                {crossing - 1, first},
                {crossing, crossing},
                {SEGMENT(2), crossing},
                {SEGMENT(2) + 40, crossing},
                {SEGMENT(3) + 40, crossing},
                {second - 1, crossing},
                {second, second},
                {writer->position - 1, second}};
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    {
        assert_true(scan_record_at(scan, rows[i].lsn, &start, &error));
        assert_int_equal(start, rows[i].expected);
    }
    assert_false(scan_record_at(scan, writer->position, &start, &error));
    assert_in("could not read WAL record at", error.message);
    assert_false(scan_record_at(scan, SEGMENT(7), &start, &error));
    assert_in("000000010000000000000007", error.message);
    scan_destroy(scan);
    free(writer);
}

/* ---- The result ---- */

static void finish(WalScan *scan, Lsn floor, Lsn divergence, ScanResult *result)
{
    if (!scan_finish(scan, arena, floor, divergence, result, &error))
        fail_msg("%s", error.message);
}

static void test_blocks_count_from_the_floor_on(void **state)
{
    WalWriter *writer = writer_create();
    Lsn lsns[80];
    WalSegmentFacts end;
    ScanResult result;

    (void) state;
    for (BlockNumber i = 0; i < 80; i++)
    {
        lsns[i] = write_block(writer, i);
        writer_filler(writer, 3000);
    }
    for (unsigned floor = 0; floor < 80; floor += 7)
    {
        for (unsigned from = 0; from < 80; from += 26)
        {
            WalScan *scan = forward(writer, lsns[from], LSN_MAX, 2, &end);
            finish(scan, lsns[floor], lsns[floor], &result);
            for (BlockNumber i = 0; i < 80; i++)
                assert_int_equal(blockmap_names(result.blocks, table, i), i >= floor);
            assert_int_equal(result.record_count, (80 - floor) * 2);
            scan_destroy(scan);
        }
    }
    free(writer);
}

/* Write a record that names a block: I, with an image that is applied; c, with an image for checks
 * only; W, the page is initialised; -, a change. */
static void write_kind(WalWriter *writer, BlockNumber number, char kind)
{
    const BlockReference block = {.relation = table,
                                  .block = number,
                                  .fork = FORK_MAIN,
                                  .has_image = kind == 'I' || kind == 'c',
                                  .image_applies = kind == 'I',
                                  .will_init = kind == 'W'};

    writer_record(writer, 10, 0, 0, &block, "data", 4);
}

/* A record of SP-GiST names the meta page as well: that is changed, and not rebuilt, whatever the
 * record is for. */
static void test_the_meta_page_of_spgist(void **state)
{
    const BlockReference block = {
        .relation = table, .block = 7, .has_image = true, .image_applies = true};
    ScanResult result;
    WalSegmentFacts end;

    (void) state;
    for (uint8_t rmgr = RM_SPGIST - 1; rmgr <= RM_SPGIST + 1; rmgr++)
    {
        WalWriter *writer = writer_create();
        const Lsn from = SEGMENT(1) + WAL_LONG_HEADER_SIZE;

        writer->stream.rebuilds = writer_rebuilds;
        writer_record(writer, rmgr, 0, 0, &block, "data", 4);
        write_kind(writer, 0, 'I');
        WalScan *scan = forward(writer, from, from, 2, &end);
        finish(scan, from, from, &result);
        assert_true(blockmap_names(result.blocks, table, 7));
        assert_true(blockmap_names(result.rebuilt, table, 7));
        assert_true(blockmap_names(result.blocks, table, 0));
        assert_int_equal(blockmap_names(result.rebuilt, table, 0), rmgr != RM_SPGIST);
        scan_destroy(scan);
        free(writer);
    }
}

/*
 * The first record of a block decides: I, an image that is applied; W, a page that is initialised;
 * c, an image for checks only; -, a change. Each block's records lie `distance` bytes apart: within
 * a segment, in neighbouring ones, with some between.
 */
static void test_rebuilt_blocks(void **state)
{
    static const struct
    {
        const char *kinds;
        bool rebuilt;
    } rows[] = {{"I", true},   {"W", true},    {"c", false},  {"-", false},
                {"I-", true},  {"W-", true},   {"-I", false}, {"-W", false},
                {"cI", false}, {"II", true},   {"I-W", true}, {"-II", false},
                {" I-", true}, {" -I", false}, {"  W", true}, {"- I", false}};
    const size_t count = sizeof(rows) / sizeof(rows[0]);

    (void) state;
    for (size_t distance = 100; distance < 4 * SEGMENT_SIZE; distance *= 6)
    {
        WalWriter *writer = writer_create();
        const Lsn from = SEGMENT(1) + WAL_LONG_HEADER_SIZE;
        ScanResult result;
        WalSegmentFacts end;

        writer->stream.rebuilds = writer_rebuilds;
        for (size_t k = 0; k < 3; k++)
        {
            for (BlockNumber i = 0; i < count; i++)
                if (k < strlen(rows[i].kinds) && rows[i].kinds[k] != ' ')
                    write_kind(writer, i, rows[i].kinds[k]);
            writer_filler(writer, distance);
        }
        WalScan *scan = forward(writer, from, from, 2, &end);
        finish(scan, from, from, &result);
        for (BlockNumber i = 0; i < count; i++)
            if (blockmap_names(result.rebuilt, table, i) != rows[i].rebuilt ||
                !blockmap_names(result.blocks, table, i))
                fail_msg("%s, %zu bytes apart", rows[i].kinds, distance);
        scan_destroy(scan);
        free(writer);
    }
}

/* A segment that is only in an archive makes nothing rebuilt, but its records are first ones. */
static void test_what_an_archive_has_is_not_relied_on(void **state)
{
    WalWriter *writer = writer_create();
    const Lsn from = SEGMENT(1) + WAL_LONG_HEADER_SIZE;
    ScanResult result;
    WalSegmentFacts end;

    (void) state;
    writer->stream.rebuilds = writer_rebuilds;
    writer->archived = 2;
    write_kind(writer, 1, 'I');
    writer_fill_to(writer, SEGMENT(2));
    write_kind(writer, 1, 'I');
    write_kind(writer, 2, 'I');
    writer_fill_to(writer, SEGMENT(3));
    write_kind(writer, 2, 'I');
    write_kind(writer, 3, 'I');
    WalScan *scan = forward(writer, from, from, 2, &end);
    finish(scan, from, from, &result);
    assert_true(blockmap_names(result.rebuilt, table, 1));
    assert_false(blockmap_names(result.rebuilt, table, 2));
    assert_true(blockmap_names(result.rebuilt, table, 3));
    scan->rebuilt = NULL; /* from then on the caller owns the map */
    scan_destroy(scan);
    assert_true(blockmap_names(result.rebuilt, table, 3));
    blockmap_destroy(result.rebuilt);
    free(writer);
}

/* Records of an extension's resource manager may read any block. */
static void test_nothing_is_rebuilt_beside_unknown_records(void **state)
{
    const Lsn from = SEGMENT(1) + WAL_LONG_HEADER_SIZE;
    const bool has_custom = version_of_major(MAJOR)->custom_rmgrs;

    (void) state;
    for (int row = has_custom ? 0 : 1; row < 2; row++)
    {
        WalWriter *writer = writer_create();
        ScanResult result;
        WalSegmentFacts end;

        writer->stream.rebuilds = row == 0 ? writer_rebuilds : NULL;
        write_kind(writer, 1, 'I');
        if (row == 0)
            writer_record(writer, 128, 0, 0, NULL, "data", 4);
        WalScan *scan = forward(writer, from, from, 2, &end);
        finish(scan, from, from, &result);
        assert_null(result.rebuilt);
        assert_null(scan->rebuilt);
        scan_destroy(scan);
        free(writer);
    }
}

/*
 * The first record of a visibility map's block decides whether replay reads the block: -, a record
 * clears bits; I, clears them, with an image; s, sets them. The result has vm_read_lsn whether or
 * not the stream asks for rebuilt blocks. The records lie `distance` bytes apart: within a segment,
 * in neighbouring ones, with some between. (Rule C8.)
 */
static void test_map_blocks_that_replay_reads(void **state)
{
    static const struct
    {
        const char *kinds;
        bool reads;
    } rows[] = {{"-", true},  {"I", false},   {"s", false},  {"I-", false},
                {"-I", true}, {"s-", false},  {"-s", true},  {"s-I", false},
                {" -", true}, {" I-", false}, {"-I-", true}, {" s-", false}};

    (void) state;
    for (size_t distance = 100; distance < 4 * SEGMENT_SIZE; distance *= 6)
        for (size_t i = 0; i < 2 * sizeof(rows) / sizeof(rows[0]); i++)
        {
            WalWriter *writer = writer_create();
            const char *kinds = rows[i / 2].kinds;
            const Lsn from = SEGMENT(1) + WAL_LONG_HEADER_SIZE;
            Lsn first_lsn = LSN_INVALID;
            ScanResult result;
            WalSegmentFacts end;

            writer->stream.rebuilds = i % 2 == 0 ? writer_rebuilds : NULL;
            for (; *kinds != '\0'; kinds++)
            {
                const BlockReference block = {.relation = table,
                                              .fork = FORK_VM,
                                              .has_image = *kinds == 'I',
                                              .image_applies = *kinds == 'I'};
                Lsn lsn = LSN_INVALID;

                if (*kinds == 's')
                    lsn = writer_record(writer, RM_HEAP2, HEAP2_VISIBLE, 0, &block, "data", 4);
                else if (*kinds != ' ')
                    lsn = writer_record(writer, RM_HEAP, HEAP_DELETE, 0, &block, "data", 4);
                if (first_lsn == LSN_INVALID)
                    first_lsn = lsn;
                writer_filler(writer, distance);
            }
            WalScan *scan = forward(writer, from, from, 2, &end);
            finish(scan, from, from, &result);
            if (result.vm_read_lsn != (rows[i / 2].reads ? first_lsn : LSN_INVALID))
                fail_msg("%s, %zu bytes apart", rows[i / 2].kinds, distance);
            scan_destroy(scan);
            free(writer);
        }
}

static void test_a_low_floor_is_exact_where_it_was_announced(void **state)
{
    WalWriter *writer = writer_create();
    Lsn lsns[80];
    WalSegmentFacts end;
    ScanResult result;

    (void) state;
    for (BlockNumber i = 0; i < 80; i++)
    {
        lsns[i] = write_block(writer, i);
        writer_filler(writer, 3000);
    }
    WalScan *scan = forward(writer, lsns[70], lsns[40], 2, &end);
    finish(scan, lsns[33], lsns[50], &result);
    for (BlockNumber i = 0; i < 80; i++)
        assert_int_equal(blockmap_names(result.blocks, table, i), i >= 33);
    /* A second, lower floor is possible. */
    finish(scan, lsns[10], lsns[50], &result);
    for (BlockNumber i = 0; i < 80; i++)
        assert_int_equal(blockmap_names(result.blocks, table, i), i >= 10);
    scan_destroy(scan);
    free(writer);
}

static void test_commits_count_from_the_divergence_on(void **state)
{
    WalWriter *writer = writer_create();
    Lsn lsns[60];
    WalSegmentFacts end;
    ScanResult result;

    (void) state;
    for (uint32_t i = 0; i < 60; i++)
    {
        lsns[i] = write_commit(writer, 5000 - i, 1000000 + i);
        writer_filler(writer, 4000);
    }
    for (unsigned divergence = 0; divergence < 60; divergence += 5)
    {
        WalScan *scan = forward(writer, lsns[0], lsns[0], 2, &end);
        finish(scan, lsns[2], lsns[divergence], &result);
        unsigned first = divergence < 2 ? 2 : divergence;
        assert_int_equal(result.commit_count, 60 - first);
        assert_int_equal(result.first_commit_time, 1000000 + first);
        assert_int_equal(result.first_commit_lsn, lsns[first]);
        assert_int_equal(result.last_commit_time, 1000059);
        assert_int_equal(result.lowest_committed_xid, 5000 - 59);
        scan_destroy(scan);
    }
    /* Behind all commits, in the last one's segment. */
    WalScan *scan = forward(writer, lsns[0], lsns[0], 2, &end);
    finish(scan, lsns[2], scan->last_lsn, &result);
    assert_int_equal(result.commit_count, 0);
    assert_int_equal(result.lowest_committed_xid, 0);
    scan_destroy(scan);
    free(writer);
}

static void test_transaction_numbers_are_circular(void **state)
{
    WalWriter *writer = writer_create();
    WalSegmentFacts end;
    ScanResult result;

    (void) state;
    Lsn first = write_commit(writer, 100, 1);
    write_commit(writer, 0xFFFFFFF0, 2);
    write_commit(writer, 200, 3);
    WalScan *scan = forward(writer, first, first, 1, &end);
    finish(scan, first, first, &result);
    assert_int_equal(result.lowest_committed_xid, 0xFFFFFFF0);
    scan_destroy(scan);
    free(writer);
}

static void test_rolled_back_transactions(void **state)
{
    WalWriter *writer = writer_create();
    WalSegmentFacts end;
    ScanResult result;

    (void) state;
    Lsn first = write_abort(writer, 90, true);
    Lsn divergence = write_commit(writer, 200, 1);
    write_abort(writer, 100, false);
    write_abort(writer, 150, true);
    WalScan *scan = forward(writer, first, first, 1, &end);
    finish(scan, first, divergence, &result);
    /* Only a prepared one can have another end on the other side. */
    assert_int_equal(result.lowest_committed_xid, 150);
    assert_int_equal(result.commit_count, 1);
    scan_destroy(scan);
    free(writer);
}

static void test_running_transactions_at_the_divergence(void **state)
{
    WalWriter *writer = writer_create();
    Lsn lsns[60];
    WalSegmentFacts end;
    ScanResult result;

    (void) state;
    for (uint32_t i = 0; i < 60; i++)
    {
        lsns[i] = i % 4 == 0 ? write_running_from(writer, 1000 + i) : writer_filler(writer, 100);
        writer_filler(writer, 12000);
    }
    for (unsigned divergence = 3; divergence < 60; divergence++)
    {
        WalScan *scan = forward(writer, lsns[0], lsns[0], 2, &end);
        uint32_t last = 1000 + (divergence - 1) / 4 * 4;

        finish(scan, lsns[2], lsns[divergence], &result);
        assert_int_equal(result.oldest_running_xid, last == 1000 ? 0 : last);
        scan_destroy(scan);
    }
    free(writer);
}

static void test_lists(void **state)
{
    WalWriter *writer = writer_create();
    WalSegmentFacts end;
    ScanResult result;
    uint8_t tablespace[] = "\x01\x40\x00\x00/some/where";

    (void) state;
    Lsn begin = write_prepare(writer, 700, "before the floor");
    write_database_copy(writer, 20000);
    write_truncate(writer, 3, 7);
    Lsn floor = writer_filler(writer, 100);
    Lsn one = write_prepare(writer, 701, "one");
    writer_fill_to(writer, SEGMENT(3) + 400);
    Lsn two = write_prepare(writer, 702, "two");
    Lsn finished = write_commit_prepared(writer, 701, 5);
    Lsn checkpoint = write_checkpoint(writer, floor, 800);
    Lsn copied = write_database_copy(writer, 20001);
    write_truncate(writer, 9, 6); /* not of the heap */
    writer_record(writer, RM_TBLSPC, 0x00, 0, NULL, tablespace, sizeof(tablespace));
    writer_record(writer, RM_TBLSPC, 0x10, 0, NULL, tablespace, 4);
    if (writer->shape.version->custom_rmgrs)
        writer_record(writer, 130, 0, 0, NULL, "x", 1);
    Lsn unknown = writer_record(writer, 10, 0x41, 0, NULL, "x", 1);

    WalScan *scan = forward(writer, begin, LSN_MAX, 2, &end);
    finish(scan, floor, floor, &result);
    assert_int_equal(result.prepared_count, 2);
    assert_int_equal(result.prepared[0].lsn, one);
    assert_string_equal(result.prepared[0].gid, "one");
    assert_true(result.prepared[0].finished);
    assert_int_equal(result.prepared[1].lsn, two);
    assert_int_equal(result.prepared[1].xid, 702);
    assert_false(result.prepared[1].finished);
    assert_int_equal(result.commit_count, 1);
    assert_int_equal(result.lowest_committed_xid, 701);
    assert_int_equal(result.checkpoint_count, 1);
    assert_int_equal(result.checkpoints[0].lsn, checkpoint);
    assert_int_equal(result.checkpoints[0].checkpoint.redo, floor);
    assert_int_equal(result.database_count, 1);
    assert_int_equal(result.databases[0].lsn, copied);
    assert_int_equal(result.databases[0].kind, WAL_EVENT_DATABASE_FILE_COPY);
    assert_int_equal(result.databases[0].database, 20001);
    assert_int_equal(result.databases[0].source_database, 4);
    assert_int_equal(result.databases[0].source_tablespace, 1664);
    assert_int_equal(result.tablespace_count, 2);
    assert_true(result.tablespaces[0].created);
    assert_string_equal(result.tablespaces[0].path, "/some/where");
    assert_false(result.tablespaces[1].created);
    assert_int_equal(result.tablespaces[1].tablespace, 0x4001);
    assert_int_equal(result.custom_rmgr_seen, writer->shape.version->custom_rmgrs);
    assert_int_equal(result.unknown_relation_update_at, unknown);
    assert_int_equal(result.unknown_rmgr, 10);
    assert_int_equal(result.unknown_info, 0x41);
    assert_null(blockmap_find(result.blocks, table));
    RelationId dropped = table;
    dropped.relation++;
    assert_int_equal(blockmap_find(result.blocks, dropped)->storage_lsn, finished);

    finish(scan, begin, begin, &result);
    assert_int_equal(result.prepared_count, 3);
    assert_int_equal(result.database_count, 2);
    assert_int_equal(blockmap_find(result.blocks, table)->truncated_to, 3);
    scan_destroy(scan);
    free(writer);
}

static void test_full_page_writes(void **state)
{
    WalWriter *writer = writer_create();
    WalSegmentFacts end;
    ScanResult result;

    (void) state;
    Lsn off = writer_record(writer, RM_XLOG, 0x80, 0, NULL, "\0", 1);
    Lsn on = writer_record(writer, RM_XLOG, 0x80, 0, NULL, "\1", 1);
    WalScan *scan = forward(writer, off, off, 1, &end);
    finish(scan, on, on, &result);
    assert_false(result.full_page_writes_off);
    finish(scan, off, off, &result);
    assert_true(result.full_page_writes_off);
    scan_destroy(scan);
    free(writer);
}

static void test_parameter_changes(void **state)
{
    const struct
    {
        const char *what; /* c C: checkpoint online, shutdown; h: hint image; r: running xacts; 0 1
                             2: change */
        int hints_at;     /* index in `what` of the expected LSN; -1: LSN_INVALID */
        int minimal_at;
    } rows[] = {
        {"cr", -1, -1},   {"crh3", -1, -1}, /* another setting changed */
        {"cr3", 2, -1},                     /* were hints logged before? */
        {"ch3", -1, 2},                     /* was wal_level high enough before? */
        {"crh2", 3, -1},                    /* hints off */
        {"crh23", 3, -1}, {"crh1", -1, 3},  /* minimal */
        {"crh31", -1, 4}, {"C3", -1, -1},   /* down since the floor */
        {"C2", 1, -1},    {"CC3", 2, 2},    /* the server ran in between */
        {"Cc3", 2, 2},
    };

    (void) state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    {
        WalWriter *writer = writer_create();
        Lsn lsns[8];
        WalSegmentFacts end;
        ScanResult result;

        Lsn before = writer_filler(writer, 100);
        write_parameters(writer, 0, false); /* before the floor */
        for (size_t k = 0; rows[i].what[k] != '\0'; k++)
        {
            char kind = rows[i].what[k];
            if (kind == 'c' || kind == 'C')
                lsns[k] = write_checkpoint(writer, kind == 'c' ? before : LSN_INVALID, 1);
            else if (kind == 'h')
                lsns[k] = write_hint_image(writer);
            else if (kind == 'r')
                lsns[k] = write_running_xacts(writer);
            else /* bit 0: hints, bit 1: replica */
                lsns[k] = write_parameters(writer, (kind - '0') & 2 ? 1 : 0, (kind - '0') & 1);
        }
        WalScan *scan = forward(writer, before, before, 1, &end);
        finish(scan, lsns[0], lsns[0], &result);
        assert_int_equal(result.hints_not_logged_at,
                         rows[i].hints_at < 0 ? LSN_INVALID : lsns[rows[i].hints_at]);
        assert_int_equal(result.parameter_count > 0 && !result.wal_level_proven
                             ? result.parameters[0].lsn
                             : result.minimal_record_at,
                         rows[i].minimal_at < 0 ? LSN_INVALID : lsns[rows[i].minimal_at]);
        scan_destroy(scan);
        free(writer);
    }
}

/* The result has at least one of the images for hints between two shutdown checkpoints; here
 * exactly one, since all WAL is in one segment. */
static void test_images_for_hints(void **state)
{
    WalWriter *writer = writer_create();
    const char *what = "hchhcChCChh"; /* as above */
    Lsn lsns[16];
    WalSegmentFacts end;
    ScanResult result;
    Lsn before = writer_filler(writer, 100);

    (void) state;
    for (size_t k = 0; what[k] != '\0'; k++)
        lsns[k] = what[k] == 'h'
                      ? write_hint_image(writer)
                      : write_checkpoint(writer, what[k] == 'c' ? before : LSN_INVALID, 1);
    WalScan *scan = forward(writer, before, before, 1, &end);
    finish(scan, lsns[1], lsns[1], &result);
    assert_int_equal(result.hint_image_count, 3);
    assert_int_equal(result.hint_images[0], lsns[2]);
    assert_int_equal(result.hint_images[1], lsns[6]);
    assert_int_equal(result.hint_images[2], lsns[9]);
    scan_destroy(scan);
    free(writer);
}

static int set_up(void **state)
{
    (void) state;
    arena = arena_create();
    return 0;
}

static int tear_down(void **state)
{
    (void) state;
    arena_destroy(arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_forward_to_the_end),
        cmocka_unit_test(test_forward_to_the_limit),
        cmocka_unit_test(test_a_missing_segment_is_the_end),
        cmocka_unit_test(test_damage_is_no_end),
        cmocka_unit_test(test_a_record_cut_in_the_next_segment_is_no_damage),
        cmocka_unit_test(test_older_wal_behind_the_end_is_no_damage),
        cmocka_unit_test(test_segments_are_linked),
        cmocka_unit_test(test_checkpoints_are_found_backward),
        cmocka_unit_test(test_wal_that_is_gone_backward),
        cmocka_unit_test(test_the_record_at_a_place),
        cmocka_unit_test(test_blocks_count_from_the_floor_on),
        cmocka_unit_test(test_the_meta_page_of_spgist),
        cmocka_unit_test(test_rebuilt_blocks),
        cmocka_unit_test(test_what_an_archive_has_is_not_relied_on),
        cmocka_unit_test(test_nothing_is_rebuilt_beside_unknown_records),
        cmocka_unit_test(test_map_blocks_that_replay_reads),
        cmocka_unit_test(test_a_low_floor_is_exact_where_it_was_announced),
        cmocka_unit_test(test_commits_count_from_the_divergence_on),
        cmocka_unit_test(test_transaction_numbers_are_circular),
        cmocka_unit_test(test_rolled_back_transactions),
        cmocka_unit_test(test_running_transactions_at_the_divergence),
        cmocka_unit_test(test_lists),
        cmocka_unit_test(test_full_page_writes),
        cmocka_unit_test(test_parameter_changes),
        cmocka_unit_test(test_images_for_hints),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
