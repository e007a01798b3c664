/*
 * The ballast reserves the space that the apply will allocate. (Invariant 2.)
 */
#include "rewind.h"

#include "stage/roots.h"

#define UNIT 4096

static Error error;
static Arena *arena;

/* Bytes to reserve on PGDATA's root for one entry. */
static uint64_t reserved(PlanEntry entry)
{
    plan_measure_ranges(&(Plan){.block_size = BLOCK}, &entry);
    const Plan plan = {
        .entries = &entry, .count = 1, .block_size = BLOCK, .wal_directory = "pg_wal"};
    Roots roots;

    if (!roots_find(arena, "target", &plan, &roots, &error))
        fail_msg("%s", error.message);
    assert_int_equal(roots.count, 1);
    roots.roots[0].space.unit = UNIT;
    if (!roots_reserve(&roots, &plan, &error))
        fail_msg("%s", error.message);
    return roots.roots[0].needed.reserved;
}

/* A file of count blocks of which blocks [from, end) are fetched. */
static PlanEntry patched(int count, int from, int end)
{
    PlanEntry entry = {FILE_ENTRY("base/5/1003", ACTION_COPY_TAIL, end, count)};

    entry.fetch_all_from = (BlockNumber) from;
    plan_measure_ranges(&(Plan){.block_size = BLOCK}, &entry);
    return entry;
}

static void test_growth(void **state)
{
    (void) state;
    put_blocks("target/base/5/1003", 'a', 3);
    assert_int_equal(reserved(patched(3, 3, 10)), 7 * BLOCK);
    assert_int_equal(reserved(patched(3, 1, 3)), 0); /* overwritten where it is */
    shell("truncate -s 24577 target/base/5/1003");   /* three blocks and a byte */
    PlanEntry entry = patched(3, 3, 10);
    entry.target_size = 3 * BLOCK + 1;
    assert_true(reserved(entry) <= 7 * BLOCK && reserved(entry) >= 7 * BLOCK - UNIT);
}

/* Blocks that fill holes are new to the disk, but no more than there are holes. */
static void test_holes(void **state)
{
    (void) state;
    shell("rm target/base/5/1003 && truncate -s 81920 target/base/5/1003");
    assert_int_equal(reserved(patched(10, 4, 10)), 6 * BLOCK);
    assert_int_equal(reserved(patched(10, 8, 12)), 4 * BLOCK);
    put_blocks("target/base/5/1003", 'a', 9);
    shell("truncate -s 81920 target/base/5/1003");
    assert_int_equal(reserved(patched(10, 0, 10)), BLOCK);
}

static void test_names(void **state)
{
    const PlanEntry directory = {OTHER_ENTRY("base/9", ACTION_CREATE, FILE_DIRECTORY, false)};
    const PlanEntry file = {FILE_ENTRY("base/5/1006", ACTION_COPY, 400, 0)};
    const PlanEntry replaced = {FILE_ENTRY("base/5/1004", ACTION_COPY, 400, 1)};

    (void) state;
    assert_true(reserved(directory) > 2 * UNIT); /* itself, and its name */
    assert_true(reserved(file) > UNIT && reserved(file) < 2 * UNIT);
    assert_int_equal(reserved(replaced), 0);
}

static void test_staged(void **state)
{
    const PlanEntry whole = {FILE_ENTRY("base/5/1006", ACTION_COPY, 1, 0)};
    const PlanEntry tail = patched(3, 1, 10);
    const PlanEntry directory = {OTHER_ENTRY("base/9", ACTION_CREATE, FILE_DIRECTORY, false)};
    NeededSpace staged = {0};

    (void) state;
    space_add_staged(&whole, false, 65536, &staged);
    assert_int_equal(staged.bytes, 65536);
    assert_int_equal(staged.files, 1);
    space_add_staged(&tail, false, UNIT, &staged);
    assert_int_equal(staged.bytes, 65536 + 9 * BLOCK);
    assert_int_equal(staged.files, 1);
    space_add_staged(&tail, true, UNIT, &staged);
    assert_int_equal(staged.bytes, 65536 + 19 * BLOCK);
    assert_int_equal(staged.files, 2);
    space_add_staged(&directory, false, UNIT, &staged);
    assert_int_equal(staged.bytes, 65536 + 19 * BLOCK);
    assert_int_equal(staged.files, 3);
}

static int fresh_target(void **state)
{
    (void) state;
    reset_target();
    return 0;
}

static int set_up(void **state)
{
    (void) state;
    make_fixture();
    arena = arena_create();
    return 0;
}

static int tear_down(void **state)
{
    (void) state;
    arena_destroy(arena);
    remove_fixture();
    return 0;
}

#define FRESH(test) cmocka_unit_test_setup(test, fresh_target)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRESH(test_growth),
        FRESH(test_holes),
        FRESH(test_names),
        FRESH(test_staged),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
