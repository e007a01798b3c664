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
    Lost *lost = lost_create(writer->shape.version, from, UINT64_MAX);
    WalSegmentFacts facts;

    if (!wal_read_segment(&writer->stream, 1, LSN_INVALID, lost_add_record, lost, &facts, &error))
        fail_msg("%s", error.message);
    return lost;
}

static unsigned done_to(const Lost *lost, const LostTransaction *transaction, Oid relation)
{
    for (size_t i = 0; i < lost_item_count(lost, transaction); i++)
    {
        unsigned what;

        if (lost_item(lost, transaction, i, &what)->id.relation == relation)
            return what;
    }
    return 0;
}

static void test_subtransactions(void **state)
{
    WalWriter *writer = writer_create();
    size_t count;

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
    const LostTransaction *list = lost_transactions(lost, &count);
    assert_int_equal(count, 1);
    assert_int_equal(list[0].xid, 700);
    assert_int_equal(list[0].lsn, lsn);
    assert_int_equal(list[0].time, 1000);
    assert_int_equal(list[0].records, 4);
    assert_int_equal(list[0].subtransactions, 1);
    assert_int_equal(done_to(lost, &list[0], one.relation), LOST_TOUCHED);
    assert_int_equal(done_to(lost, &list[0], two.relation), LOST_TOUCHED);
    assert_int_equal(lost_relations(lost, &count)[1].records, 2);
    assert_int_equal(count, 2);
    assert_true(lost_is_complete(lost));
    lost_destroy(lost);
    free(writer);
}

/* Records before the divergence are common history. */
static void test_from(void **state)
{
    WalWriter *writer = writer_create();
    size_t count;

    (void) state;
    write_heap(writer, 700, one, 0);
    write_end(writer, 0x00, 699, 0);
    const Lsn from = write_heap(writer, 700, two, 0);
    write_end(writer, 0x00, 700, 0);
    Lost *lost = read_all(writer, from);
    const LostTransaction *list = lost_transactions(lost, &count);
    assert_int_equal(count, 1);
    assert_int_equal(list[0].records, 2);
    assert_int_equal(done_to(lost, &list[0], one.relation), 0);
    lost_destroy(lost);
    free(writer);
}

/* Storage is made before there is a number; the next row of pg_class tells whose it is. */
static void test_storage_without_a_number(void **state)
{
    WalWriter *writer = writer_create();
    size_t count;

    (void) state;
    write_created(writer, 0, one);
    write_heap(writer, 699, two, 0);
    write_heap(writer, 700, class, 0);
    write_end(writer, 0x00, 699, 0);
    write_end(writer, 0x00, 700, 0);
    Lost *lost = read_all(writer, LSN_INVALID);
    const LostTransaction *list = lost_transactions(lost, &count);
    assert_int_equal(count, 2);
    assert_int_equal(done_to(lost, &list[0], one.relation), 0);
    assert_int_equal(done_to(lost, &list[1], one.relation), LOST_CREATED);
    DdlChanges changes = lost_changes(lost, &list[1]);
    DdlGuess guesses[DDL_GUESSES_MAX];
    assert_int_equal(ddl_guess(&changes, guesses), 1);
    assert_string_equal(guesses[0].verb, "CREATE");
    assert_true(lost_relations(lost, &count)[0].created);
    lost_destroy(lost);
    free(writer);
}

static void test_many_share_a_set(void **state)
{
    WalWriter *writer = writer_create();
    size_t count;

    (void) state;
    for (uint32_t xid = 700; xid < 1000; xid++)
    {
        write_heap(writer, xid, xid % 2 ? one : two, 0x20);
        write_end(writer, 0x00, xid, 0);
    }
    Lost *lost = read_all(writer, LSN_INVALID);
    const LostTransaction *list = lost_transactions(lost, &count);
    assert_int_equal(count, 300);
    assert_int_equal(list[0].set, list[298].set);
    assert_int_equal(list[1].set, list[299].set);
    assert_int_not_equal(list[0].set, list[1].set);
    assert_int_equal(lost_relations(lost, &count)[0].transactions, 150);
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
        cmocka_unit_test(test_many_share_a_set),
        cmocka_unit_test(test_guesses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
