#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "recovery_start/recovery_start.h"

#include "../wal/wal_writer.h"

static Error error;

static ScanCheckpoint common_checkpoint(Lsn redo)
{
    return (ScanCheckpoint){.lsn = redo + 0x100,
                            .checkpoint = {.redo = redo, .timeline = 3, .next_xid = 700}};
}

static Control source_control(Lsn redo, Timeline timeline)
{
    return (Control){.checkpoint_lsn = redo + 0x200,
                     .checkpoint = {.redo = redo, .timeline = timeline, .next_xid = 600}};
}

static void test_recovery_starts_at_the_last_common_checkpoint(void **state)
{
    const ScanCheckpoint common = common_checkpoint(0x5000028);
    const Lsn redos[] = {0x5000028, 0x5000030, 0x9000028};

    (void) state;
    for (size_t i = 0; i < sizeof(redos) / sizeof(redos[0]); i++)
    {
        const Control source = source_control(redos[i], 4);
        Start start = start_early(&common, &source);

        assert_int_equal(start.redo, 0x5000028);
        assert_int_equal(start.checkpoint, 0x5000128);
        assert_int_equal(start.timeline, 3);
        assert_int_equal(start.next_xid, 700);
    }
}

/* Replay starts at the source's restartpoint: its files may lack later changes. The target's
 * changes before the common checkpoint are common, so their blocks are not named. */
static void test_an_older_restartpoint_of_the_source_is_where_recovery_starts(void **state)
{
    const ScanCheckpoint common = common_checkpoint(0x5000028);
    const Control source = source_control(0x4000028, 2);
    Start start = start_early(&common, &source);

    (void) state;
    assert_int_equal(start.redo, 0x4000028);
    assert_int_equal(start.checkpoint, 0x4000228);
    assert_int_equal(start.timeline, 2);
    assert_int_equal(start.next_xid, 600);
}

static void test_a_source_is_as_promoted_until_its_first_checkpoint(void **state)
{
    HistoryEntry entries[] = {{.timeline = 1, .begin = 0, .end = 0x6000000},
                              {.timeline = 2, .begin = 0x6000000}};
    const History history = {.entries = entries, .count = 2};
    const History only = {.entries = entries, .count = 1};
    Control source = source_control(0x5000028, 1);
    Lsn promoted;

    (void) state;
    source.state = STATE_IN_PRODUCTION;
    assert_true(start_is_as_promoted(&source, &history, &promoted));
    assert_int_equal(promoted, 0x6000000);
    assert_false(start_is_as_promoted(&source, &only, &promoted));
    /* A checkpoint that began before the promotion and ended behind it is one all the same. */
    source.checkpoint_lsn = 0x6000000;
    assert_false(start_is_as_promoted(&source, &history, &promoted));
    source = source_control(0x5000028, 1);
    source.state = STATE_SHUTDOWNED;
    assert_false(start_is_as_promoted(&source, &history, &promoted));
}

/* ---- running transactions ---- */

#define LISTS(...)                                                                                 \
    (ScanResult)                                                                                   \
    {                                                                                              \
        .running = (ScanRunning[]){__VA_ARGS__},                                                   \
        .running_count = sizeof((ScanRunning[]){__VA_ARGS__}) / sizeof(ScanRunning)                \
    }

static void test_a_standby_opens_once_it_knows_all_running_transactions(void **state)
{
    const ScanRunning whole = {
        .lsn = 0x5000080, .next_xid = 710, .oldest_xid = 700, .complete = true};
    const ScanRunning part = {.lsn = 0x5000080, .next_xid = 710, .oldest_xid = 700};
    const ScanRunning goes_on = {.lsn = 0x6000080, .next_xid = 800, .oldest_xid = 709};
    const ScanRunning others = {.lsn = 0x7000080, .next_xid = 900, .oldest_xid = 710};
    const ScanRunning wrapped = {.lsn = 0x5000080, .next_xid = 3, .oldest_xid = 0xFFFFFFF0};
    ScanCheckpoint shutdown = {.lsn = 0x8000028};
    const Start start = {.redo = 0x5000028, .checkpoint = 0x5000100};
    const Start stopped = {.redo = 0x5000028, .checkpoint = 0x5000028};
    const Start later = {.redo = 0x6000000, .checkpoint = 0x6000100};
    const Lsn end = 0x9000000;
    ScanResult lists = {0};

    (void) state;
    assert_int_equal(start_opening(&start, &lists, end), OPENING_UNKNOWN);
    assert_int_equal(start_opening(&stopped, &lists, end), OPENING_AT_ONCE);
    lists = LISTS(whole);
    assert_int_equal(start_opening(&start, &lists, end), OPENING_AT_ONCE);
    assert_int_equal(start_opening(&later, &lists, end), OPENING_UNKNOWN);
    lists = LISTS(part, goes_on);
    assert_int_equal(start_opening(&start, &lists, end), OPENING_LATER);
    assert_int_equal(start_opening(&stopped, &lists, end), OPENING_AT_ONCE);
    lists = LISTS(part, goes_on, others);
    assert_int_equal(start_opening(&start, &lists, end), OPENING_AT_ONCE);
    assert_int_equal(start_opening(&start, &lists, others.lsn), OPENING_LATER);
    assert_int_equal(start_opening(&later, &lists, end), OPENING_LATER);
    lists = LISTS(wrapped, part);
    assert_int_equal(start_opening(&start, &lists, end), OPENING_AT_ONCE);
    lists = LISTS(part);
    lists.checkpoints = &shutdown;
    lists.checkpoint_count = 1;
    assert_int_equal(start_opening(&start, &lists, end), OPENING_AT_ONCE);
    assert_int_equal(start_opening(&start, &lists, shutdown.lsn), OPENING_LATER);
    shutdown.online = true;
    assert_int_equal(start_opening(&start, &lists, end), OPENING_LATER);
}

/* ---- copied databases ---- */

enum
{
    TEMPLATE = 5,
    COPY = 16400,
    OTHER = 16500
};

static void write_block(WalWriter *writer, Oid database)
{
    const BlockReference block = {
        .fork = FORK_MAIN,
        .relation = {.tablespace = 1663, .database = database, .relation = 2619},
        .block = 3};

    writer_record(writer, 10, 0, 700, &block, "change", 6);
}

static void write_copy(WalWriter *writer)
{
    uint8_t data[16];

    store_u32(data, COPY);
    store_u32(data + 4, 1663);
    store_u32(data + 8, TEMPLATE);
    store_u32(data + 12, 1663);
    writer_record(writer, RM_DBASE, 0x00, 0, NULL, data, sizeof(data));
}

static void write_drop(WalWriter *writer, Oid database, Oid tablespace)
{
    uint8_t data[12];

    store_u32(data, database);
    store_u32(data + 4, MAJOR < 13 ? tablespace : 1); /* since 13 there may be several */
    store_u32(data + 8, tablespace);
    writer_record(writer, RM_DBASE, MAJOR < 15 ? 0x10 : 0x20, 0, NULL, data, MAJOR < 13 ? 8 : 12);
}

static void write_create_by_wal(WalWriter *writer)
{
    uint8_t data[8];

    store_u32(data, COPY);
    store_u32(data + 4, 1663);
    writer_record(writer, RM_DBASE, 0x10, 0, NULL, data, sizeof(data));
}

/*
 * Each letter is a record: c copies the template, t changes the template, o changes another
 * database, n the new one, w creates the new one by WAL, T drops the template, N the new database,
 * m the template in another tablespace, | goes to the next segment.
 */
static void write_records(WalWriter *writer, const char *letters)
{
    writer_filler(writer, 100);
    for (const char *letter = letters; *letter != '\0'; letter++)
        switch (*letter)
        {
        case 'c':
            write_copy(writer);
            break;
        case 't':
            write_block(writer, TEMPLATE);
            break;
        case 'o':
            write_block(writer, OTHER);
            break;
        case 'n':
            write_block(writer, COPY);
            break;
        case 'w':
            write_create_by_wal(writer);
            break;
        case 'T':
            write_drop(writer, TEMPLATE, 1663);
            break;
        case 'N':
            write_drop(writer, COPY, 1663);
            break;
        case 'm':
            write_drop(writer, TEMPLATE, 1700);
            break;
        case '|':
            writer_switch(writer);
            break;
        default:
            fail();
        }
    writer_filler(writer, 100);
}

/* The last copy that replay would make otherwise. */
static UnsafeCopy find_unsafe_copy(const char *letters)
{
    WalWriter *writer = writer_create();
    Arena *arena = arena_create();
    Lsn from = wal_skip_header(&writer->shape, SEGMENT_SIZE);
    WalSegmentFacts end;
    ScanResult chain;
    UnsafeCopy unsafe;
    WalScan *scan;

    write_records(writer, letters);
    scan = scan_read(&writer->stream, 1, from, arena, &end, &chain, &error);
    assert_non_null(scan);
    assert_int_equal(end.next_lsn, writer->position);
    assert_true(start_find_unsafe_copy(&writer->stream, 1, &chain, &unsafe, &error));
    scan_destroy(scan);
    arena_destroy(arena);
    free(writer);
    return unsafe;
}

static void test_copies_that_replay_would_make_otherwise_are_found(void **state)
{
    static const struct
    {
        const char *records;
        bool found, dropped;
    } rows[] = {
        {"", false, false},        {"tto", false, false}, {"c", false, false},
        {"tc", false, false}, /* replayed before the copy as on the source */
        {"t|c|n|o", false, false}, {"con", false, false}, {"ct", true, false},
        {"co|o|t", true, false},   {"cT", true, true},    {"c|oT", true, true},
        {"cm", false, false},  /* drops a directory of the template that was not copied */
        {"ctN", false, false}, /* the copy is gone in the end */
        {"cTN", true, true},   /* some servers could not replay even that */
        {"cNct", true, false},     {"Tc", false, false},  {"wt", false, false}, /* made by WAL */
        {"wT", false, false},
    };

    (void) state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    {
        if (MAJOR < 15 && strchr(rows[i].records, 'w') != NULL)
            continue; /* servers before 15 create no database by WAL */

        UnsafeCopy unsafe = find_unsafe_copy(rows[i].records);

        if (unsafe.found != rows[i].found)
            fail_msg("\"%s\": %s", rows[i].records, unsafe.found ? "found" : "not found");
        if (!unsafe.found)
            continue;
        assert_int_equal(unsafe.copy.database, COPY);
        assert_int_equal(unsafe.copy.source_database, TEMPLATE);
        assert_int_equal(unsafe.dropped, rows[i].dropped);
    }
}

static void test_the_last_copy_is_found(void **state)
{
    const ScanDatabase databases[] = {
        {.lsn = 10, .kind = WAL_EVENT_DATABASE_DROP},
        {.lsn = 20, .kind = WAL_EVENT_DATABASE_FILE_COPY},
        {.lsn = 30, .kind = WAL_EVENT_DATABASE_FILE_COPY},
        {.lsn = 40, .kind = WAL_EVENT_DATABASE_CREATE},
    };
    ScanResult chain = {.databases = (ScanDatabase *) databases, .database_count = 4};

    (void) state;
    assert_ptr_equal(start_last_copy(&chain), &databases[2]);
    chain.database_count = 1;
    assert_null(start_last_copy(&chain));
}

/* A late start lies behind the divergence and behind the last such copy. */
static void test_a_late_start(void **state)
{
    static const struct
    {
        Lsn redo, divergence, copy;
        bool full_page_writes, is_one;
    } rows[] = {
        {0x6000000, 0x5000000, 0x5800000, true, true},
        {0x6000000, 0x6000000, 0x5800000, true, true},
        {0x6000000, 0x6000001, 0x5800000, true, false},
        {0x6000000, 0x5000000, 0x6000000, true, false},
        {0x6000000, 0x5000000, 0x5FFFFFF, true, true},
        {0x6000000, 0x5000000, 0x5800000, false, false},
        {0x4000000, 0x5000000, 0x3800000, true, false},
    };

    (void) state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    {
        const ScanCheckpoint common = common_checkpoint(0x3000028);
        Control source = source_control(rows[i].redo, 4);
        Start start = start_early(&common, &source);

        source.checkpoint.full_page_writes = rows[i].full_page_writes;
        assert_int_equal(start_late(&source, rows[i].divergence, rows[i].copy, &start),
                         rows[i].is_one);
        assert_int_equal(start.redo, rows[i].is_one ? rows[i].redo : 0x3000028);
        assert_int_equal(start.checkpoint, rows[i].is_one ? rows[i].redo + 0x200 : 0x3000128);
        assert_int_equal(start.timeline, rows[i].is_one ? 4 : 3);
        assert_int_equal(start.next_xid, rows[i].is_one ? 600 : 700);
    }
}

/* One for each setting that replay lacks; the step that it becomes says what to do. */
static void test_settings_that_replay_lacks_are_advice(void **state)
{
    const Version *version = version_of_major(MAJOR);
    Arena *arena = arena_create();
    AdviceList list = {.arena = arena};
    Buffer text = {0};

    (void) state;
    replay_hazard_advise_on_settings(version, LSN_INVALID, LSN_INVALID, &list);
    assert_int_equal(list.count, 0);
    replay_hazard_advise_on_settings(version, LSN_INVALID, 0x5000028, &list);
    assert_int_equal(list.count, 1);
    assert_false(advice_has(&list, REPLAY_LACKS_ORIGINS));
    replay_hazard_advise_on_settings(version, 0x6000028, LSN_INVALID, &list);
    assert_int_equal(list.count, 2);
    assert_true(advice_has(&list, REPLAY_LACKS_ORIGINS));
    advice_append_step(&list.items[1], &text);
    assert_non_null(strstr(buffer_string(&text), "than replay needs. Up to 0/"));
    assert_non_null(strstr(buffer_string(&text), "present ones. If the server stops, raise "));
    buffer_free(&text);
    arena_destroy(arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_recovery_starts_at_the_last_common_checkpoint),
        cmocka_unit_test(test_a_source_is_as_promoted_until_its_first_checkpoint),
        cmocka_unit_test(test_a_standby_opens_once_it_knows_all_running_transactions),
        cmocka_unit_test(test_an_older_restartpoint_of_the_source_is_where_recovery_starts),
        cmocka_unit_test(test_copies_that_replay_would_make_otherwise_are_found),
        cmocka_unit_test(test_the_last_copy_is_found),
        cmocka_unit_test(test_a_late_start),
        cmocka_unit_test(test_settings_that_replay_lacks_are_advice),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
