#include "standby/start_advice.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

/* Facts of the next start, and the advice that comes of them: the start of its text, and a part of
 * the remedy. NULL: none. */
typedef struct Row
{
    int server;
    const char *recovery, *now, *command_line; /* NAME=VALUE each; NULL: not set */
    bool of_source;
    const char *text, *remedy;
} Row;

static Settings settings_of(Arena *arena, const char *assignment)
{
    Settings settings = {.arena = arena};
    const char *value = assignment != NULL ? strchr(assignment, '=') : NULL;

    if (value != NULL)
        settings_set(&settings, arena_printf(arena, "%.*s", (int) (value - assignment), assignment),
                     value + 1);
    return settings;
}

/* Source on timeline 3, --slot=mine; the limits are those of one connection too few. */
static void collect(const Row *row, AdviceList *list)
{
    const Settings now = settings_of(list->arena, row->now),
                   recovery = settings_of(list->arena, row->recovery),
                   command_line = settings_of(list->arena, row->command_line);
    const StartSettings start = {.version = version_of_server_number(row->server),
                                 .now = &now,
                                 .recovery = &recovery,
                                 .command_line = &command_line,
                                 .timeline = 3,
                                 .of_source = row->of_source};
    LowLimits low = {.items = {{"max_connections", 99, 100}}, .count = row->now != NULL};

    start_advise_on_stop_setting(&start, list);
    start_advise_on_command_line(&start, "mine", list);
    start_advise_on_unread(&start, list);
    start_advise_on_limits(&start, &low, list);
}

static void facts_and_advice(void **state)
{
    static const char stops[] = "with \"recovery_target_xid\" the target's server";
    static const Row rows[] = {
        {150000, NULL, NULL, NULL, true, NULL, NULL},
        {150000, "recovery_target_xid=7", NULL, NULL, false, stops, "SYSTEM RESET recovery_target"},
        {150000, "recovery_target_xid=7", NULL, NULL, true, stops, "--keep-config"},
        {150000, "recovery_target_xid=7", NULL, "recovery_target_xid=7", true, stops,
         "Start the server without it"},
        {110000, "recovery_target_xid=7", NULL, NULL, true, stops, "recovery.conf"},
        {150000, "recovery_target_xid=", NULL, NULL, true, NULL, NULL},
        {150000, "recovery_target_timeline=latest", NULL, NULL, true, NULL, NULL},
        {150000, "recovery_target_timeline=3", NULL, NULL, true, NULL, NULL},
        {150000, "recovery_target_timeline=2", NULL, NULL, true, "with \"recovery_target_timel",
         "RESET"},
        {150000, "recovery_target_timeline=current", NULL, NULL, true,
         "with \"recovery_target_timel", "RESET"},
        {150000, NULL, NULL, "primary_conninfo=host=x", false,
         "with \"primary_conninfo\" on its command line", "ALTER SYSTEM SET primary_conninfo"},
        {110000, NULL, NULL, "primary_conninfo=host=x", false, NULL, NULL},
        {150000, NULL, NULL, "primary_slot_name=mine", false, NULL, NULL},
        {150000, NULL, NULL, "primary_slot_name=other", false,
         "with \"primary_slot_name\" on its command line", "ALTER SYSTEM SET primary_slot_name"},
        {150000, NULL, "max_connections=99", NULL, false, "the target's server would not start",
         "in the target's configuration"},
        {150000, NULL, "max_connections=99", NULL, true, "the target's server would not start",
         "restart the source"},
        {150000, NULL, "max_connections=99", "max_connections=99", true,
         "the target's server would not start", "name a --start-command"},
    };

    (void) state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    {
        AUTO_ARENA Arena *arena = arena_create();
        AdviceList list = {.arena = arena};

        collect(&rows[i], &list);
        if (list.count != (rows[i].text != NULL))
            fail_msg("row %zu: %zu", i, list.count);
        if (list.count == 0)
            continue;
        assert_int_equal(list.items[0].severity, ADVICE_PROBLEM);
        assert_int_equal(list.items[0].when, ADVICE_BEFORE_START);
        assert_int_equal(strncmp(list.items[0].text, rows[i].text, strlen(rows[i].text)), 0);
        if (strstr(list.items[0].remedy, rows[i].remedy) == NULL)
            fail_msg("row %zu: %s", i, list.items[0].remedy);
    }
}

static void wal_that_misleads(void **state)
{
    static const struct
    {
        MisleadingWal found;
        size_t count;
        const char *remedy;
    } rows[] = {
        {{.last_newer = 0}, 0, NULL},
        {{.first_newer = 4, .last_newer = 4, .newer_in_archive = true},
         1,
         "remove \"00000004.history\" from the archive."},
        {{.conflicting_file = "00000003.history"}, 1, "Remove that file from the archive"},
        {{.first_newer = 4, .last_newer = 5, .newer_in_pg_wal = true, .conflicting_file = "x"},
         2,
         "from the target's pg_wal."},
    };

    (void) state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    {
        AUTO_ARENA Arena *arena = arena_create();
        AdviceList list = {.arena = arena};

        start_advise_on_misleading_wal(&rows[i].found, 3, &list);
        assert_int_equal(list.count, rows[i].count);
        if (list.count > 0)
            assert_non_null(strstr(list.items[0].remedy, rows[i].remedy));
    }
}

/* The same advice as a step, and as an error of a run. */
static void shown_in_two_ways(void **state)
{
    AUTO_ARENA Arena *arena = arena_create();
    AdviceList list = {.arena = arena};
    Problems problems = {0};
    AUTO_BUFFER Buffer step = {0};

    (void) state;
    start_advise_on_slot(version_of_server_number(150000), "it's", false, "Make it: ", 0x5000000,
                         &list);
    advice_append_step(&list.items[0], &step);
    assert_string_equal(
        buffer_string(&step),
        "Before the server starts: the source has no replication slot \"it's\". The configuration "
        "that the target will have names it: primary_slot_name. Make it: SELECT "
        "pg_catalog.pg_create_physical_replication_slot('it''s'::pg_catalog.name, true); The "
        "source must have WAL from 0/5000000 on.");
    advice_add_to_problems(&list, true, &problems);
    assert_int_equal(problems.count, 1);
    list.items[0].severity = ADVICE_WARNING;
    advice_add_to_problems(&list, false, &problems);
    assert_int_equal(problems.count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(facts_and_advice),
        cmocka_unit_test(wal_that_misleads),
        cmocka_unit_test(shown_in_two_ways),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
