#include "wal/lost.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "wal_writer.h"

static Error error;
static const RelationId one = {.tablespace = 1663, .database = 5, .relation = 16400};
static const RelationId two = {.tablespace = 1663, .database = 5, .relation = 16401};
static const RelationId class = {.tablespace = 1663, .database = 5, .relation = 1259};

/* A heap record: 0x00 insert, 0x10 delete, 0x20 update. */
static Lsn write_heap(WalWriter *writer, uint32_t xid, RelationId relation, uint8_t opcode)
{
    BlockReference block = {.fork = FORK_MAIN, .relation = relation, .block = 1};

    return writer_record(writer, 10, opcode, xid, &block, "data", 4);
}

/* COMMIT (0x00) or ABORT (0x20), with one subtransaction if that is not 0. */
static Lsn write_end(WalWriter *writer, uint8_t opcode, uint32_t xid, uint32_t subxid)
{
    uint8_t bytes[20] = {0};

    store_u64(bytes, 1000);
    store_u32(bytes + 8, 2); /* subtransactions */
    store_u32(bytes + 12, 1);
    store_u32(bytes + 16, subxid);
    return writer_record(writer, RM_XACT, subxid != 0 ? opcode | 0x80 : opcode, xid, NULL, bytes,
                         subxid != 0 ? 20 : 8);
}

static Lsn write_created(WalWriter *writer, uint32_t xid, RelationId relation)
{
    uint8_t bytes[16] = {0};

    store_u32(bytes, relation.tablespace);
    store_u32(bytes + 4, relation.database);
    store_u32(bytes + 8, relation.relation);
    return writer_record(writer, RM_SMGR, 0x11, xid, NULL, bytes, sizeof(bytes));
}

static Lost *read_all(WalWriter *writer, Lsn from)
{
    const LostWanted wanted = {
        .first_known_xid = 700, .from = from, .end = UINT64_MAX, .list = true};
    Lost *lost = lost_create(writer->shape.version, &wanted);
    WalSegmentFacts facts;

    if (!wal_read_segment(&writer->stream, 1, LSN_INVALID, lost_add_record, lost, &facts, &error))
        fail_msg("%s", error.message);
    return lost;
}

static unsigned done_to(const Lost *lost, const LostTransaction *transaction, Oid relation)
{
    const LostSet *set = lost_set(lost, transaction);

    for (size_t i = 0; i < set->count; i++)
        if (lost->relations[set->items[i].relation].id.relation == relation)
            return set->items[i].what;
    return 0;
}

static void test_subtransactions(void **state)
{
    WalWriter *writer = writer_create();

    (void) state;
    write_heap(writer, 700, one, 0);
    write_heap(writer, 701, two, 0);
    write_heap(writer, 702, two, 0);
    write_end(writer, 0x20, 702, 0);
    write_heap(writer, 705, two, 0); /* never ends */
    write_heap(writer, 701, two, 0);
    const Lsn lsn = write_end(writer, 0x00, 700, 701);
    write_end(writer, 0x20, 706, 0);
    Lost *lost = read_all(writer, LSN_INVALID);
    const LostTransaction *list = lost->transactions;
    assert_int_equal(lost->transaction_count, 1);
    assert_int_equal(list[0].xid, 700);
    assert_int_equal(list[0].lsn, lsn);
    assert_int_equal(list[0].time, 1000);
    assert_int_equal(list[0].records, 4);
    assert_int_equal(list[0].subtransactions, 1);
    assert_int_equal(done_to(lost, &list[0], one.relation), LOST_TOUCHED);
    assert_int_equal(done_to(lost, &list[0], two.relation), LOST_TOUCHED);
    assert_int_equal(lost->relations[1].records, 2);
    assert_int_equal(lost->relation_count, 2);
    assert_true(!lost->incomplete);
    lost_destroy(lost);
    free(writer);
}

/* Records before the divergence are common history; what they did is lost with their transaction.
 */
static void test_from(void **state)
{
    WalWriter *writer = writer_create();

    (void) state;
    write_heap(writer, 700, one, 0);
    write_heap(writer, 699, two, 0);
    write_end(writer, 0x00, 699, 0);
    const Lsn from = write_heap(writer, 700, two, 0);
    write_end(writer, 0x00, 700, 0);
    Lost *lost = read_all(writer, from);
    const LostTransaction *list = lost->transactions;
    assert_int_equal(lost->transaction_count, 1);
    assert_int_equal(list[0].records, 2);
    assert_int_equal(done_to(lost, &list[0], one.relation), LOST_TOUCHED);
    const LostRelation *relations = lost->relations;
    assert_int_equal(lost->relation_count, 2);
    assert_int_equal(relations[0].rows.inserted, 1);
    assert_int_equal(relations[0].records, 0);
    assert_int_equal(relations[1].rows.inserted, 1);
    lost_destroy(lost);
    free(writer);
}

/* Storage is made before there is a number; the next row of pg_class tells whose it is. */
static void test_storage_without_a_number(void **state)
{
    WalWriter *writer = writer_create();

    (void) state;
    write_created(writer, 0, one);
    write_heap(writer, 699, two, 0);
    write_heap(writer, 700, class, 0);
    write_end(writer, 0x00, 699, 0);
    write_end(writer, 0x00, 700, 0);
    Lost *lost = read_all(writer, LSN_INVALID);
    const LostTransaction *list = lost->transactions;
    assert_int_equal(lost->transaction_count, 2);
    assert_int_equal(done_to(lost, &list[0], one.relation), 0);
    assert_int_equal(done_to(lost, &list[1], one.relation), LOST_CREATED);
    DdlChanges changes = lost_set(lost, &list[1])->changes;
    DdlGuess guesses[DDL_GUESSES_MAX];
    assert_int_equal(ddl_guess(&changes, guesses), 1);
    assert_string_equal(guesses[0].verb, "CREATE");
    assert_true(lost->relations[0].created);
    lost_destroy(lost);
    free(writer);
}

/* Where initdb gave catalogs other storage: what is known of them by number is known all the same.
 */
static void test_catalogs_with_other_storage(void **state)
{
    const RelationId moved_class = {1663, 5, 11900}, statistic = {1663, 5, 11871};
    WalWriter *writer = writer_create();
    LostWanted wanted = {.first_known_xid = 700, .end = UINT64_MAX, .list = true};
    WalSegmentFacts facts;
    DdlGuess guesses[DDL_GUESSES_MAX];

    (void) state;
    write_created(writer, 0, one);
    write_heap(writer, 700, moved_class, 0);
    write_end(writer, 0x00, 700, 0);
    write_heap(writer, 701, statistic, 0);
    write_end(writer, 0x00, 701, 0);
    wanted.catalogs.items = memory_allocate(2 * sizeof(CatalogStorage));
    wanted.catalogs.items[0] = (CatalogStorage){11871, 5, 2619};
    wanted.catalogs.items[1] = (CatalogStorage){11900, 5, 1259};
    wanted.catalogs.count = 2;
    Lost *lost = lost_create(writer->shape.version, &wanted);
    assert_true(
        wal_read_segment(&writer->stream, 1, LSN_INVALID, lost_add_record, lost, &facts, &error));
    const LostTransaction *list = lost->transactions;
    assert_int_equal(lost->transaction_count, 2);
    DdlChanges changes = lost_set(lost, &list[0])->changes;
    assert_int_equal(ddl_guess(&changes, guesses), 1);
    assert_string_equal(guesses[0].verb, "CREATE");
    assert_int_equal(done_to(lost, &list[0], one.relation), LOST_CREATED);
    assert_false(list[0].maintenance);
    assert_true(list[1].maintenance);
    assert_int_equal(done_to(lost, &list[1], 11871), LOST_TOUCHED);
    assert_int_equal(lost->relations[2].oid, 2619);
    assert_int_equal(lost->relations[0].oid, one.relation);
    lost_destroy(lost);
    free(writer);
}

static void test_many_share_a_set(void **state)
{
    WalWriter *writer = writer_create();

    (void) state;
    for (uint32_t xid = 700; xid < 1000; xid++)
    {
        write_heap(writer, xid, xid % 2 ? one : two, 0x20);
        write_end(writer, 0x00, xid, 0);
    }
    Lost *lost = read_all(writer, LSN_INVALID);
    const LostTransaction *list = lost->transactions;
    assert_int_equal(lost->transaction_count, 300);
    assert_int_equal(list[0].set, list[298].set);
    assert_int_equal(list[1].set, list[299].set);
    assert_int_not_equal(list[0].set, list[1].set);
    assert_int_equal(lost->relations[0].transactions, 150);
    lost_destroy(lost);
    free(writer);
}

/* Rows that are counted are those of transactions that committed. */
static void test_rows(void **state)
{
    static const uint8_t multi[] = {0, 0, 7, 0};
    const BlockReference block = {.fork = FORK_MAIN, .relation = one, .block = 1};
    WalWriter *writer = writer_create();

    (void) state;
    write_heap(writer, 700, one, 0x80); /* insert on a new page */
    write_heap(writer, 700, one, 0x20);
    write_heap(writer, 700, one, 0x40); /* within the page */
    write_heap(writer, 700, one, 0x10);
    write_heap(writer, 700, one, 0x60); /* lock */
    writer_record(writer, 9, 0x50, 700, &block, multi, sizeof(multi));
    write_end(writer, 0x00, 700, 0);
    write_heap(writer, 701, one, 0);
    write_end(writer, 0x20, 701, 0);
    Lost *lost = read_all(writer, LSN_INVALID);
    const LostRelation *relation = lost->relations;
    assert_int_equal(relation->rows.inserted, 8);
    assert_int_equal(relation->rows.updated, 2);
    assert_int_equal(relation->rows.deleted, 1);
    lost_destroy(lost);
    free(writer);
}

/* Statistics and nothing else, by a transaction of which nothing can be missing. */
static void test_maintenance(void **state)
{
    static const RelationId statistics = {.tablespace = 1663, .database = 5, .relation = 2619};
    static const RelationId statistics_index = {
        .tablespace = 1663, .database = 5, .relation = 2696};
    const BlockReference index = {.fork = FORK_MAIN, .relation = statistics_index, .block = 1};
    static const bool expected[] = {false, true, false, false, true, false};
    WalWriter *writer = writer_create();

    (void) state;
    write_heap(writer, 699, statistics, 0x20); /* may have begun earlier */
    write_end(writer, 0x00, 699, 0);
    write_heap(writer, 700, statistics, 0x20);
    writer_record(writer, 11, 0, 700, &index, "data", 4);
    write_heap(writer, 700, class, 0x70); /* in place */
    write_end(writer, 0x00, 700, 0);
    write_heap(writer, 701, statistics, 0x20);
    write_heap(writer, 702, one, 0x00);
    write_end(writer, 0x00, 701, 702);
    write_heap(writer, 703, class, 0x20); /* not in place */
    write_heap(writer, 703, statistics, 0x20);
    write_end(writer, 0x00, 703, 0);
    writer_record(writer, RM_SMGR, 0x21, 704, NULL,
                  "\0\0\0\0\x7f\6\0\0\5\0\0\0\x10\x40\0\0\7\0\0\0", 20);
    write_end(writer, 0x00, 704, 0);
    write_end(writer, 0x00, 705, 0); /* nothing at all */
    Lost *lost = read_all(writer, LSN_INVALID);
    const LostTransaction *list = lost->transactions;
    assert_int_equal(lost->transaction_count, sizeof(expected) / sizeof(expected[0]));
    for (size_t i = 0; i < lost->transaction_count; i++)
        assert_int_equal(list[i].maintenance, expected[i]);
    assert_int_equal(lost->maintenance_count, 2);
    lost_destroy(lost);
    free(writer);
}

/* xl_heap_delete. */
static void write_delete(WalWriter *writer, uint32_t xid, BlockNumber number, uint16_t item)
{
    const BlockReference block = {.fork = FORK_MAIN, .relation = one, .block = number};
    uint8_t bytes[8] = {0};

    store_u32(bytes, xid);
    bytes[4] = (uint8_t) item;
    bytes[5] = (uint8_t) (item >> 8);
    writer_record(writer, RM_HEAP, 0x10, xid, &block, bytes, sizeof(bytes));
}

/* Places are those of rows that transactions deleted which committed, each once. */
static void test_places(void **state)
{
    static const LostPlace expected[] = {{2, 7}, {2, 8}, {3, 1}};
    WalWriter *writer = writer_create();

    (void) state;
    write_delete(writer, 700, 3, 1);
    write_delete(writer, 701, 2, 8);
    write_delete(writer, 702, 2, 9);
    write_end(writer, 0x20, 702, 0);
    write_end(writer, 0x00, 700, 701);
    write_delete(writer, 703, 2, 7);
    write_delete(writer, 703, 3, 1);
    write_end(writer, 0x00, 703, 0);
    write_delete(writer, 704, 4, 1); /* never ends */
    Lost *lost = read_all(writer, LSN_INVALID);
    assert_int_equal(lost->relation_count, 1);
    assert_int_equal(lost->relations->place_count, 3);
    for (size_t i = 0; i < 3; i++)
    {
        assert_int_equal(lost->relations->places[i].block, expected[i].block);
        assert_int_equal(lost->relations->places[i].item, expected[i].item);
    }
    assert_false(lost->relations->has_more_places);
    lost_destroy(lost);
    free(writer);
}

static void test_many_places(void **state)
{
    WalWriter *writer = writer_create();

    (void) state;
    for (uint32_t i = 0; i < LOST_PLACES_MAX + 10; i++)
    {
        write_delete(writer, 700 + i / 600, 1, (uint16_t) (i + 1));
        if (i % 600 == 599)
            write_end(writer, 0x00, 700 + i / 600, 0);
    }
    write_end(writer, 0x00, 701, 0);
    const LostWanted wanted = {.first_known_xid = 700, .end = UINT64_MAX};
    Lost *lost = lost_create(writer->shape.version, &wanted);
    for (uint64_t segment = 1; segment <= writer->position / SEGMENT_SIZE; segment++)
    {
        WalSegmentFacts facts;

        assert_true(wal_read_segment(&writer->stream, segment, LSN_INVALID, lost_add_record, lost,
                                     &facts, &error));
    }
    assert_int_equal(lost->relations->place_count, LOST_PLACES_MAX);
    assert_true(lost->relations->has_more_places);
    lost_destroy(lost);
    free(writer);
}

static void write_running(WalWriter *writer, bool overflowed, uint32_t next_xid, uint32_t oldest)
{
    uint8_t bytes[28] = {0};

    store_u32(bytes, 1);
    bytes[8] = overflowed;
    store_u32(bytes + 12, next_xid);
    store_u32(bytes + 16, oldest);
    store_u32(bytes + 20, next_xid - 1);
    store_u32(bytes + 24, oldest);
    writer_record(writer, RM_STANDBY, 0x10, 0, NULL, bytes, sizeof(bytes));
}

/* Transactions that had not ended at the divergence: those that were running then, whether they had
 * written something since the last common checkpoint or not, and each number given since the last
 * list that did not end. */
static void test_divergence(void **state)
{
    static const uint32_t expected[] = {690, 705, 707, 709};

    (void) state;
    for (int overflowed = 0; overflowed < 2; overflowed++)
    {
        WalWriter *writer = writer_create();

        write_running(writer, overflowed, 705, 690);
        write_heap(writer, 707, one, 0);
        write_end(writer, 0x20, 706, 0);
        write_heap(writer, 710, one, 0);
        write_end(writer, 0x00, 710, 708);
        const Lsn from = write_heap(writer, 709, one, 0);
        write_end(writer, 0x00, 709, 0);
        write_running(writer, false, 712, 710);
        Lost *lost = read_all(writer, from);
        assert_int_equal(lost->ended_before, overflowed ? 690 : 711);
        assert_int_equal(lost->open_xid_count, overflowed ? 0 : 4);
        for (size_t i = 0; i < lost->open_xid_count; i++)
            assert_int_equal(lost->open_xids[i], expected[i]);
        lost_destroy(lost);
        free(writer);
    }
}

/* A list of running transactions says how all before it stand. */
static void test_divergence_after_lists(void **state)
{
    WalWriter *writer = writer_create();

    (void) state;
    write_end(writer, 0x00, 703, 0); /* 700 to 702 did not end: a crash */
    write_running(writer, false, 705, 704);
    write_end(writer, 0x00, 707, 0);
    write_end(writer, 0x00, 705, 706);
    write_running(writer, false, 709, 708);
    const Lsn from = write_end(writer, 0x00, 709, 0);
    Lost *lost = read_all(writer, from);
    assert_int_equal(lost->ended_before, 709);
    assert_int_equal(lost->open_xid_count, 1);
    assert_int_equal(lost->open_xids[0], 708);
    lost_destroy(lost);
    free(writer);
}

/* Numbers begin again: 0 to 2 are of no transaction. */
static void test_divergence_at_wraparound(void **state)
{
    static const uint32_t expected[] = {4294967290, 4294967295, 3};
    WalWriter *writer = writer_create();

    (void) state;
    write_running(writer, false, 4294967294, 4294967290);
    write_end(writer, 0x00, 4, 4294967294);
    const Lsn from = write_end(writer, 0x00, 4294967290, 0);
    const LostWanted wanted = {
        .first_known_xid = 4294967280, .from = from, .end = UINT64_MAX, .list = true};
    Lost *lost = lost_create(writer->shape.version, &wanted);
    WalSegmentFacts facts;
    assert_true(
        wal_read_segment(&writer->stream, 1, LSN_INVALID, lost_add_record, lost, &facts, &error));
    assert_int_equal(lost->ended_before, 5);
    assert_int_equal(lost->open_xid_count, 3);
    for (size_t i = 0; i < lost->open_xid_count; i++)
        assert_int_equal(lost->open_xids[i], expected[i]);
    lost_destroy(lost);
    free(writer);
}

/* More numbers than the memory holds: those after them count as not ended. */
static void test_divergence_after_many(void **state)
{
    enum
    {
        HELD = 262144,
        AT_ONCE = 32768
    };
    static uint8_t bytes[16 + AT_ONCE * 4];
    const LostWanted wanted = {.first_known_xid = 700, .from = 1, .end = UINT64_MAX};
    Lost *lost = lost_create(version_of_server_number(150000), &wanted);
    WalRecord record = {.rmgr = RM_XACT, .info = 0x80, .xid = 699, .data = bytes};

    (void) state;
    record.data_size = sizeof(bytes);
    store_u32(bytes + 8, 2); /* subtransactions */
    store_u32(bytes + 12, AT_ONCE);
    for (uint32_t first = 700; first < 700 + HELD; first += AT_ONCE)
    {
        for (uint32_t i = 0; i < AT_ONCE; i++)
            store_u32(bytes + 16 + i * 4, first + i);
        assert_true(lost_add_record(lost, &record, &error));
    }
    record.info = 0;
    record.data_size = 8;
    record.xid = 700 + HELD + 5;
    assert_true(lost_add_record(lost, &record, &error));
    record.lsn = 1;
    assert_true(lost_add_record(lost, &record, &error));
    assert_int_equal(lost->ended_before, 700 + HELD);
    assert_int_equal(lost->open_xid_count, 0);
    lost_destroy(lost);
}

/* Prepared before the WAL that is read. */
static void test_ends_after_the_divergence(void **state)
{
    WalWriter *writer = writer_create();

    (void) state;
    write_end(writer, 0x00, 640, 0);
    write_heap(writer, 701, one, 0);
    const Lsn from = write_end(writer, 0x20, 650, 651);
    write_end(writer, 0x00, 701, 0);
    write_end(writer, 0x00, 702, 0);
    write_end(writer, 0x00, 660, 0);
    Lost *lost = read_all(writer, from);
    static const uint32_t expected[] = {700, 701, 650, 651, 660};
    assert_int_equal(lost->ended_before, 702);
    assert_int_equal(lost->open_xid_count, 5);
    assert_memory_equal(lost->open_xids, expected, sizeof(expected));
    lost_destroy(lost);
    for (uint32_t i = 0; i < LOST_OPEN_XIDS_MAX; i++)
        write_end(writer, 0x20, 500 + i, 0);
    lost = read_all(writer, from);
    assert_int_equal(lost->ended_before, 500);
    lost_destroy(lost);
    free(writer);
}

/* At a shutdown nothing runs; at an online checkpoint only a list tells what does. */
static void test_no_list_of_running(void **state)
{
    static const LostWanted rows[] = {{.online = true}, {.online = false}};

    (void) state;
    for (size_t i = 0; i < 4; i++)
    {
        WalWriter *writer = writer_create();
        LostWanted wanted = rows[i % 2];
        Lost *lost;
        WalSegmentFacts facts;

        if (i >= 2)
            write_running(writer, false, 700, 700);
        wanted.from = write_end(writer, 0x00, 700, 0);
        wanted.end = UINT64_MAX;
        lost = lost_create(writer->shape.version, &wanted);
        assert_true(
            wal_read_segment(&writer->stream, 1, LSN_INVALID, lost_add_record, lost, &facts, &error));
        assert_int_equal(lost->open_is_unknown, i == 0);
        lost_destroy(lost);
        free(writer);
    }
}

/* Too many to be named. */
static void test_many_open(void **state)
{
    WalWriter *writer = writer_create();

    (void) state;
    for (uint32_t xid = 700; xid < 900 - LOST_OPEN_XIDS_MAX; xid++)
        write_end(writer, 0x00, xid, 0);
    for (uint32_t i = 0; i <= LOST_OPEN_XIDS_MAX; i++)
        write_heap(writer, 900 - i, one, 0);
    const Lsn from = write_end(writer, 0x00, 850, 0);
    Lost *lost = read_all(writer, from);
    assert_int_equal(lost->ended_before, 900 - LOST_OPEN_XIDS_MAX);
    assert_int_equal(lost->open_xid_count, 0);
    lost_destroy(lost);
    free(writer);
}

/* Sums are the same without the list. */
static void test_no_list(void **state)
{
    WalWriter *writer = writer_create();
    const LostWanted wanted = {.end = UINT64_MAX};
    Lost *lost = lost_create(writer->shape.version, &wanted);
    WalSegmentFacts facts;

    (void) state;
    write_heap(writer, 700, one, 0);
    write_end(writer, 0x00, 700, 0);
    assert_true(
        wal_read_segment(&writer->stream, 1, LSN_INVALID, lost_add_record, lost, &facts, &error));
    assert_int_equal(lost->transaction_count, 0);
    assert_int_equal(lost->relations->transactions, 1);
    assert_int_equal(lost->relations->rows.inserted, 1);
    assert_true(!lost->incomplete);
    lost_destroy(lost);
    free(writer);
}

static void test_guesses(void **state)
{
    /* Bits: 0 pg_class, 1 pg_attribute, 2 pg_extension, 3 pg_database, 4 pg_statistic. */
    static const struct
    {
        DdlChanges changes;
        const char *verb;
    } rows[] = {{{1, 0, 0, 1}, "CREATE"},  {{3, 0, 3, 2}, "DROP"},   {{0, 1, 0, 3}, "TRUNCATE"},
                {{2, 1, 0, 0}, "ALTER"},   {{0, 1, 0, 0}, "ALTER"},  {{0x10, 0, 0, 0}, "ANALYZE"},
                {{5, 0, 0, 1}, "CREATE"},  {{8, 0, 0, 0}, "CREATE"}, {{0, 0, 8, 0}, "DROP"},
                {{1, 0, 1, 3}, "TRUNCATE"}};
    DdlGuess guesses[DDL_GUESSES_MAX];

    (void) state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    {
        const size_t count = ddl_guess(&rows[i].changes, guesses);

        assert_int_equal(count, i == 1 ? 2 : 1);
        assert_string_equal(guesses[count - 1].verb, rows[i].verb);
    }
    assert_int_equal(ddl_guess(&(DdlChanges){0}, guesses), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_subtransactions),
        cmocka_unit_test(test_from),
        cmocka_unit_test(test_storage_without_a_number),
        cmocka_unit_test(test_catalogs_with_other_storage),
        cmocka_unit_test(test_many_share_a_set),
        cmocka_unit_test(test_rows),
        cmocka_unit_test(test_maintenance),
        cmocka_unit_test(test_places),
        cmocka_unit_test(test_many_places),
        cmocka_unit_test(test_divergence),
        cmocka_unit_test(test_divergence_after_lists),
        cmocka_unit_test(test_divergence_at_wraparound),
        cmocka_unit_test(test_divergence_after_many),
        cmocka_unit_test(test_ends_after_the_divergence),
        cmocka_unit_test(test_no_list_of_running),
        cmocka_unit_test(test_many_open),
        cmocka_unit_test(test_no_list),
        cmocka_unit_test(test_guesses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
