#include "wal/blockmap.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../blockmap_count.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static RelationId relation_of(Oid number)
{
    return (RelationId){.tablespace = 1663, .database = 5, .relation = number};
}

/* All runs of a relation as "first+count ...". */
static const char *runs_of(const BlockMap *map, Oid number, BlockNumber from, BlockNumber end)
{
    static char text[1024];
    const BlockMapRelation *relation = blockmap_find(map, relation_of(number));
    BlockNumber first;
    BlockNumber count;

    text[0] = '\0';
    if (relation == NULL)
        return "none";
    while (blockmap_next_run(relation, from, end, &first, &count))
    {
        size_t used = strlen(text);
        snprintf(text + used, sizeof(text) - used, "%s%u+%u", used ? " " : "", first, count);
        from = first + count;
    }
    return text;
}

static void test_runs(void **state)
{
    BlockMap *map = blockmap_create();

    (void) state;
    for (BlockNumber block = 60; block < 200; block++)
        blockmap_add(map, relation_of(1), block);
    blockmap_add(map, relation_of(1), 5);
    blockmap_add(map, relation_of(1), 131071);
    blockmap_add(map, relation_of(1), 131072);
    blockmap_add(map, relation_of(1), 131073);
    blockmap_add(map, relation_of(1), 600000);
    assert_string_equal(runs_of(map, 1, 0, BLOCK_NONE), "5+1 60+140 131071+3 600000+1");
    assert_string_equal(runs_of(map, 1, 100, 131072), "100+100 131071+1");
    assert_string_equal(runs_of(map, 1, 131072, 262144), "131072+2");
    assert_string_equal(runs_of(map, 1, 200, 131071), "");
    assert_string_equal(runs_of(map, 1, 6, 6), "");
    assert_string_equal(runs_of(map, 2, 0, BLOCK_NONE), "none");
    assert_int_equal(blockmap_count(map).blocks, 1 + 140 + 3 + 1);
    blockmap_destroy(map);
}

static void test_subtract(void **state)
{
    BlockMap *map = blockmap_create();
    BlockMap *other = blockmap_create();

    (void) state;
    for (BlockNumber block = 60; block < 200; block++)
        assert_true(blockmap_add(map, relation_of(1), block));
    assert_false(blockmap_add(map, relation_of(1), 60));
    blockmap_add(map, relation_of(1), 131073);
    blockmap_add(map, relation_of(2), 7);
    blockmap_truncate(map, relation_of(1), 500);
    for (BlockNumber block = 100; block < 300; block += 20)
        blockmap_add(other, relation_of(1), block);
    blockmap_add(other, relation_of(1), 131073);
    blockmap_add(other, relation_of(1), 600000);
    blockmap_add(other, relation_of(3), 7);
    blockmap_subtract(map, other);
    assert_string_equal(runs_of(map, 1, 0, BLOCK_NONE), "60+40 101+19 121+19 141+19 161+19 181+19");
    assert_string_equal(runs_of(map, 2, 0, BLOCK_NONE), "7+1");
    assert_int_equal(blockmap_find(map, relation_of(1))->truncated_to, 500);
    assert_true(blockmap_add(map, relation_of(1), 100));
    blockmap_destroy(map);
    blockmap_destroy(other);
}

static void test_the_highest_block(void **state)
{
    BlockMap *map = blockmap_create();

    (void) state;
    blockmap_add(map, relation_of(1), 0xFFFFFFFE);
    assert_string_equal(runs_of(map, 1, 0, BLOCK_NONE), "4294967294+1");
    blockmap_destroy(map);
}

static void test_truncation_and_storage(void **state)
{
    BlockMap *map = blockmap_create();

    (void) state;
    blockmap_add(map, relation_of(1), 3);
    const BlockMapRelation *relation = blockmap_find(map, relation_of(1));
    assert_int_equal(relation->truncated_to, BLOCK_NONE);
    assert_int_equal(relation->storage_lsn, LSN_INVALID);
    blockmap_truncate(map, relation_of(1), 10);
    blockmap_truncate(map, relation_of(1), 20);
    blockmap_storage_changed(map, relation_of(1), 500);
    blockmap_storage_changed(map, relation_of(1), 400);
    assert_int_equal(relation->truncated_to, 10);
    assert_int_equal(relation->storage_lsn, 500);
    blockmap_fork_made(map, relation_of(1), FORK_INIT);
    assert_true((relation->forks_made & 1u << FORK_INIT) != 0);
    assert_false((relation->forks_made & 1u << FORK_MAIN) != 0);
    assert_int_equal(relation->dropped_lsn, LSN_INVALID);
    blockmap_dropped(map, relation_of(1), 600);
    blockmap_dropped(map, relation_of(1), 550);
    assert_int_equal(relation->storage_lsn, 600);
    assert_int_equal(relation->dropped_lsn, 600);
    blockmap_forget_forks(map);
    assert_false((relation->forks_made & 1u << FORK_INIT) != 0);
    assert_int_equal(relation->dropped_lsn, LSN_INVALID);
    blockmap_truncate(map, relation_of(2), 0);
    assert_string_equal(runs_of(map, 2, 0, BLOCK_NONE), "");
    assert_int_equal(blockmap_count(map).relations, 2);
    blockmap_destroy(map);
}

static void test_merge(void **state)
{
    BlockMap *map = blockmap_create();
    BlockMap *other = blockmap_create();
    size_t empty = blockmap_memory(other);

    (void) state;
    for (Oid number = 0; number < 1000; number++)
    {
        blockmap_add(number % 3 ? map : other, relation_of(number), number);
        blockmap_add(other, relation_of(number), 100000 + number);
    }
    blockmap_truncate(map, relation_of(7), 70);
    blockmap_truncate(other, relation_of(7), 50);
    blockmap_dropped(other, relation_of(7), 9);
    blockmap_fork_made(other, relation_of(7), FORK_MAIN);
    blockmap_merge(map, other);
    assert_int_equal(blockmap_count(map).relations, 1000);
    assert_int_equal(blockmap_count(map).blocks, 2000);
    assert_int_equal(blockmap_count(other).relations, 1000);
    assert_true(blockmap_memory(other) >= empty);
    assert_string_equal(runs_of(map, 7, 0, BLOCK_NONE), "7+1 100007+1");
    assert_string_equal(runs_of(map, 9, 0, BLOCK_NONE), "9+1 100009+1");
    const BlockMapRelation *relation = blockmap_find(map, relation_of(7));
    assert_int_equal(relation->truncated_to, 50);
    assert_int_equal(relation->storage_lsn, 9);
    assert_int_equal(relation->dropped_lsn, 9);
    assert_true((relation->forks_made & 1u << FORK_MAIN) != 0);

    /* Nothing of the other one is shared. */
    blockmap_add(other, relation_of(7), 8);
    blockmap_merge(map, other);
    assert_string_equal(runs_of(map, 7, 0, BLOCK_NONE), "7+2 100007+1");
    blockmap_destroy(map);
    blockmap_destroy(other);
    blockmap_destroy(NULL);
}

static void test_random_sets(void **state)
{
    BlockMap *map = blockmap_create();
    static bool expected[4][300000];
    uint64_t total = 0;

    (void) state;
    srandom(4711);
    for (int i = 0; i < 20000; i++)
    {
        unsigned number = (unsigned) random() % 4;
        BlockNumber block = (BlockNumber) random() % (number == 0 ? 100 : 300000);
        total += !expected[number][block];
        expected[number][block] = true;
        blockmap_add(map, relation_of(number), block);
    }
    assert_int_equal(blockmap_count(map).blocks, total);
    for (Oid number = 0; number < 4; number++)
    {
        const BlockMapRelation *relation = blockmap_find(map, relation_of(number));
        BlockNumber position = 0;
        BlockNumber first;
        BlockNumber count;
        while (blockmap_next_run(relation, position, 300000, &first, &count))
        {
            for (; position < first; position++)
                assert_false(expected[number][position]);
            for (; position < first + count; position++)
                assert_true(expected[number][position]);
        }
        for (; position < 300000; position++)
            assert_false(expected[number][position]);
    }
    blockmap_destroy(map);
}

static void test_each_relation_comes_once(void **state)
{
    BlockMap *map = blockmap_create();
    const BlockMapRelation *relation;
    bool seen[201] = {false};
    size_t count = 0, at = 0;

    (void) state;
    for (Oid number = 1; number <= 200; number++)
        blockmap_add(map, relation_of(number), 1);
    for (; (relation = blockmap_next(map, &at)) != NULL; count++)
    {
        assert_false(seen[relation->id.relation]);
        seen[relation->id.relation] = true;
    }
    assert_int_equal(count, 200);
    assert_null(blockmap_next(map, &at));
    blockmap_destroy(map);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runs),
        cmocka_unit_test(test_subtract),
        cmocka_unit_test(test_the_highest_block),
        cmocka_unit_test(test_truncation_and_storage),
        cmocka_unit_test(test_merge),
        cmocka_unit_test(test_random_sets),
        cmocka_unit_test(test_each_relation_comes_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
