/* The state of a replication slot. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "standby/target_slots.h"

static void a_slot_of_a_database_is_logical(void **state)
{
    uint8_t bytes[200] = {0xA1, 0x1C, 0x05, 0x01};
    SlotState slot;

    (void) state;
    assert_true(slot_state_parse(bytes, sizeof(bytes), &slot));
    assert_string_equal(slot.type, "physical");
    bytes[83] = 1; /* last byte of the database's OID, which begins at 80 */
    assert_true(slot_state_parse(bytes, sizeof(bytes), &slot));
    assert_string_equal(slot.type, "logical");
    assert_true(slot_state_parse(bytes, 88, &slot));
    assert_string_equal(slot.type, "logical");
}

static void what_is_no_state_is_not_parsed(void **state)
{
    uint8_t bytes[200] = {0xA1, 0x1C, 0x05, 0x01};
    SlotState slot;

    (void) state;
    assert_false(slot_state_parse(bytes, 87, &slot));
    assert_null(slot.type);
    assert_false(slot_state_parse(NULL, 0, &slot));
    bytes[0]++;
    assert_false(slot_state_parse(bytes, sizeof(bytes), &slot));
    assert_null(slot.type);
}

/* Rule S26. */
static void a_temporary_slot_is_not_persistent(void **state)
{
    uint8_t bytes[200] = {0xA1, 0x1C, 0x05, 0x01};
    SlotState slot;

    (void) state;
    assert_true(slot_state_parse(bytes, sizeof(bytes), &slot));
    assert_true(slot.persistent);
    for (uint8_t persistency = 1; persistency <= 2; persistency++)
    {
        bytes[84] = persistency;
        assert_true(slot_state_parse(bytes, sizeof(bytes), &slot));
        assert_false(slot.persistent);
    }
}

/* As 17 to 19 write it: version 5, synced at 193, failover at 194. */
static void a_failover_slot_may_be_synchronized(void **state)
{
    uint8_t bytes[200] = {0xA1, 0x1C, 0x05, 0x01, [8] = 5, [83] = 1, [194] = 1};
    SlotState slot;

    (void) state;
    assert_true(slot_state_parse(bytes, sizeof(bytes), &slot));
    assert_true(slot.failover && !slot.synced);
    assert_true(slot_state_parse(bytes, 195, &slot));
    assert_true(slot.failover && !slot.synced);
    assert_true(slot_state_parse(bytes, 194, &slot));
    assert_false(slot.failover || slot.synced);
    bytes[193] = 1;
    assert_true(slot_state_parse(bytes, sizeof(bytes), &slot));
    assert_true(slot.failover && slot.synced);
    bytes[193] = 0;
    bytes[8] = 4; /* 14 to 16: other fields */
    assert_true(slot_state_parse(bytes, sizeof(bytes), &slot));
    assert_false(slot.failover || slot.synced);
    bytes[8] = 5;
    bytes[194] = 0;
    assert_true(slot_state_parse(bytes, sizeof(bytes), &slot));
    assert_false(slot.failover || slot.synced);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slot_of_a_database_is_logical),
        cmocka_unit_test(what_is_no_state_is_not_parsed),
        cmocka_unit_test(a_temporary_slot_is_not_persistent),
        cmocka_unit_test(a_failover_slot_may_be_synchronized),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
