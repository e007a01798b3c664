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

    (void) state;
    assert_string_equal(slot_state_type(bytes, sizeof(bytes)), "physical");
    bytes[83] = 1; /* of the database's OID, which begins at 80 */
    assert_string_equal(slot_state_type(bytes, sizeof(bytes)), "logical");
    assert_string_equal(slot_state_type(bytes, 84), "logical");
}

static void what_is_no_state_has_no_type(void **state)
{
    uint8_t bytes[200] = {0xA1, 0x1C, 0x05, 0x01};

    (void) state;
    assert_null(slot_state_type(bytes, 83));
    assert_null(slot_state_type(NULL, 0));
    bytes[0]++;
    assert_null(slot_state_type(bytes, sizeof(bytes)));
}

/* As 17 to 19 write it: version 5, synced at 193, failover at 194. */
static void a_failover_slot_that_is_not_synchronized_is_of_a_primary(void **state)
{
    uint8_t bytes[200] = {0xA1, 0x1C, 0x05, 0x01, [8] = 5, [83] = 1, [194] = 1};

    (void) state;
    assert_true(slot_state_is_of_primary(bytes, sizeof(bytes)));
    assert_true(slot_state_is_of_primary(bytes, 195));
    assert_false(slot_state_is_of_primary(bytes, 194));
    bytes[193] = 1;
    assert_false(slot_state_is_of_primary(bytes, sizeof(bytes)));
    bytes[193] = 0;
    bytes[8] = 4; /* 14 to 16: other fields */
    assert_false(slot_state_is_of_primary(bytes, sizeof(bytes)));
    bytes[8] = 5;
    bytes[194] = 0;
    assert_false(slot_state_is_of_primary(bytes, sizeof(bytes)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slot_of_a_database_is_logical),
        cmocka_unit_test(what_is_no_state_has_no_type),
        cmocka_unit_test(a_failover_slot_that_is_not_synchronized_is_of_a_primary),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
