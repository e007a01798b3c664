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
    NeededLimits needed;
} Fixture;

/* Make the defaults of 15 the needed limits: connections, workers, senders, prepared transactions,
 * locks. */
static void begin(Fixture *fixture, int number)
{
    *fixture = (Fixture){.arena = arena_create(),
                         .version = version_of_server_number(number),
                         .needed = {.limits = {100, 8, 10, 0, 64}, .origins = 10}};
    fixture->settings.arena = fixture->arena;
}

static const char *find(Fixture *fixture, Buffer *text)
{
    LowLimits low;

    standby_limits_find(fixture->version, &fixture->settings, &fixture->needed, &low);
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
    fixture.needed.limits[4] = 65;
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
    LowLimits low;

    (void) state;
    begin(&fixture, 150000);
    fixture.settings.incomplete = true;
    fixture.needed.limits[0] = fixture.needed.limits[1] = 200;
    settings_set(&fixture.settings, "max_connections", "100");
    assert_string_equal(find(&fixture, &text), "max_connections (100, needed: 200)");
    standby_limits_find(fixture.version, &fixture.settings, &fixture.needed, &low);
    assert_int_equal(low.unknown_count, 1);
    assert_string_equal(low.unknown[0].name, "max_worker_processes");
    assert_int_equal(low.unknown[0].needed, 200);
    arena_destroy(fixture.arena);
}

static void hot_standby_is_off_by_default_before_10(void **state)
{
    AUTO_BUFFER Buffer text = {0};
    Fixture fixture;

    (void) state;
    begin(&fixture, 90600);
    fixture.needed.limits[0] = 200;
    fixture.needed.limits[2] = 0;
    fixture.needed.limits[3] = 64;
    fixture.needed.origins = 0;
    assert_string_equal(find(&fixture, &text), "");
    settings_set(&fixture.settings, "hot_standby", "on");
    assert_string_equal(find(&fixture, &text), "max_connections (100, needed: 200)");
    arena_destroy(fixture.arena);
}

static void any_standby_needs_room_for_replication_origins(void **state)
{
    static const struct
    {
        int number;
        const char *setting, *by_default;
    } rows[] = {{90300, NULL, ""},
                {90400, "max_replication_slots", "max_replication_slots (0, needed: 11)"},
                {90500, "max_replication_slots", "max_replication_slots (0, needed: 11)"},
                {150000, "max_replication_slots", "max_replication_slots (10, needed: 11)"},
                {180000, "max_active_replication_origins",
                 "max_active_replication_origins (10, needed: 11)"}};

    (void) state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    {
        AUTO_BUFFER Buffer text = {0};
        Fixture fixture;

        begin(&fixture, rows[i].number);
        fixture.needed.limits[0] = 200;
        fixture.needed.origins = 11;
        settings_set(&fixture.settings, "hot_standby", "off");
        assert_string_equal(find(&fixture, &text), rows[i].by_default);
        if (rows[i].setting != NULL)
            settings_set(&fixture.settings, rows[i].setting, "11");
        assert_string_equal(find(&fixture, &text), "");
        arena_destroy(fixture.arena);
    }
}

static void prepared_transactions_need_room_with_hot_standby_off(void **state)
{
    static const struct
    {
        int number;
        bool prepared;
        const char *low;
    } rows[] = {{90600, true, ""}, /* replay writes them to files */
                {100000, true, "max_prepared_transactions (0, needed: 3)"},
                {100000, false, ""},
                {180000, true, "max_prepared_transactions (0, needed: 3)"}};

    (void) state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    {
        AUTO_BUFFER Buffer text = {0};
        Fixture fixture;

        begin(&fixture, rows[i].number);
        fixture.needed = (NeededLimits){.prepared = rows[i].prepared};
        for (uint32_t k = 0; k < LIMITS_MAX; k++)
            fixture.needed.limits[k] = k + 2 == version_limit_count(fixture.version) ? 3 : 200;
        settings_set(&fixture.settings, "hot_standby", "off");
        assert_string_equal(find(&fixture, &text), rows[i].low);
        arena_destroy(fixture.arena);
    }
}

static void each_is_raised_alone(void **state)
{
    NeededLimits needed = {.limits = {5, 5, 5, 5, 5}, .origins = 5};
    const NeededLimits some = {.limits = {4, 6, 5, 7, 0}}, origins = {.origins = 6};

    (void) state;
    assert_true(standby_limits_raise(&some, &needed));
    assert_int_equal(needed.limits[0], 5);
    assert_int_equal(needed.limits[1], 6);
    assert_int_equal(needed.limits[2], 5);
    assert_int_equal(needed.limits[3], 7);
    assert_int_equal(needed.limits[4], 5);
    assert_int_equal(needed.origins, 5);
    assert_false(standby_limits_raise(&some, &needed));
    assert_true(standby_limits_raise(&origins, &needed));
    assert_int_equal(needed.origins, 6);
    assert_true(standby_limits_raise(&(NeededLimits){.prepared = true}, &needed));
    assert_false(standby_limits_raise(&origins, &needed));
    assert_true(needed.prepared);
}

/* 10 has four: what its row does not name is no limit. */
static void limits_of_a_control_file_are_those_of_its_version(void **state)
{
    Control control = {.version = version_of_server_number(100000), .limits = {1, 2, 3, 4, 5}};

    (void) state;
    assert_int_equal(standby_limits_of(&control).limits[3], 4);
    assert_int_equal(standby_limits_of(&control).limits[4], 0);
    assert_int_equal(standby_limits_of(&control).origins, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(defaults_are_enough_for_defaults),
        cmocka_unit_test(both_numbers_of_each_low_limit),
        cmocka_unit_test(what_may_stand_in_a_file_that_was_not_read),
        cmocka_unit_test(hot_standby_is_off_by_default_before_10),
        cmocka_unit_test(any_standby_needs_room_for_replication_origins),
        cmocka_unit_test(prepared_transactions_need_room_with_hot_standby_off),
        cmocka_unit_test(each_is_raised_alone),
        cmocka_unit_test(limits_of_a_control_file_are_those_of_its_version),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
