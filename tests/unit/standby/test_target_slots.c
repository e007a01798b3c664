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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slot_of_a_database_is_logical),
        cmocka_unit_test(what_is_no_state_has_no_type),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
