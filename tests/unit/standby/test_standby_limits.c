/* Limits of a configuration that is to be a hot standby's. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "standby/standby_limits.h"

typedef struct Fixture
{
    Arena *arena;
    Settings settings;
    const Version *version;
    uint32_t needed[LIMITS_MAX];
} Fixture;

/* Of 15: connections, workers, senders, prepared transactions, locks. */
static void begin(Fixture *fixture, int number)
{
    *fixture = (Fixture){.arena = arena_create(),
                         .version = version_of_server_number(number),
                         .needed = {100, 8, 10, 0, 64}};
    fixture->settings.arena = fixture->arena;
}

static const char *find(Fixture *fixture, Buffer *text)
{
    LowLimits low;

    standby_limits_find(fixture->version, &fixture->settings, fixture->needed, &low);
    buffer_clear(text);
    standby_limits_append(&low, text);
    return buffer_string(text);
}

static void defaults_are_enough_for_defaults(void **state)
{
    AUTO_BUFFER Buffer text = {0};
    Fixture fixture;

    (void) state;
    begin(&fixture, 150000);
    assert_string_equal(find(&fixture, &text), "");
    fixture.needed[4] = 65;
    assert_string_equal(find(&fixture, &text), "max_locks_per_transaction (64, needed: 65)");
    arena_destroy(fixture.arena);
}

static void both_numbers_of_each_low_limit(void **state)
{
    AUTO_BUFFER Buffer text = {0};
    Fixture fixture;

    (void) state;
    begin(&fixture, 150000);
    settings_set(&fixture.settings, "max_connections", "99");
    settings_set(&fixture.settings, "max_worker_processes", "9");
    settings_set(&fixture.settings, "max_wal_senders", "0x9");
    assert_string_equal(find(&fixture, &text), "max_connections (99, needed: 100), "
                                               "max_wal_senders (9, needed: 10)");
    settings_set(&fixture.settings, "max_connections", "many"); /* no server takes it */
    assert_string_equal(find(&fixture, &text), "max_wal_senders (9, needed: 10)");
    settings_set(&fixture.settings, "hot_standby", "off");
    assert_string_equal(find(&fixture, &text), "");
    arena_destroy(fixture.arena);
}

static void what_may_stand_in_a_file_that_was_not_read(void **state)
{
    AUTO_BUFFER Buffer text = {0};
    Fixture fixture;

    (void) state;
    begin(&fixture, 150000);
    fixture.settings.incomplete = true;
    fixture.needed[0] = fixture.needed[1] = 200;
    settings_set(&fixture.settings, "max_connections", "100");
    assert_string_equal(find(&fixture, &text), "max_connections (100, needed: 200)");
    arena_destroy(fixture.arena);
}

static void hot_standby_is_off_by_default_before_10(void **state)
{
    AUTO_BUFFER Buffer text = {0};
    Fixture fixture;

    (void) state;
    begin(&fixture, 90600);
    fixture.needed[0] = 200;
    fixture.needed[2] = 0;
    fixture.needed[3] = 64;
    assert_string_equal(find(&fixture, &text), "");
    settings_set(&fixture.settings, "hot_standby", "on");
    assert_string_equal(find(&fixture, &text), "max_connections (100, needed: 200)");
    arena_destroy(fixture.arena);
}

static void each_is_raised_alone(void **state)
{
    uint32_t needed[LIMITS_MAX] = {5, 5, 5, 5, 5};
    const uint32_t limits[LIMITS_MAX] = {4, 6, 5, 7, 9};

    (void) state;
    standby_limits_raise(version_of_server_number(100000), limits, needed);
    assert_int_equal(needed[0], 5);
    assert_int_equal(needed[1], 6);
    assert_int_equal(needed[2], 5);
    assert_int_equal(needed[3], 7);
    assert_int_equal(needed[4], 5); /* 10 has four */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_enough_for_defaults),
        cmocka_unit_test(both_numbers_of_each_low_limit),
        cmocka_unit_test(what_may_stand_in_a_file_that_was_not_read),
        cmocka_unit_test(hot_standby_is_off_by_default_before_10),
        cmocka_unit_test(each_is_raised_alone),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
