/*
 * Facts that the target's server will find at its next start.
 */
#include "../../every_version.h"
#include "target.h"

#include "format/origins.h"
#include "standby/next_start.h"

#define FILES_MAX 16

/* Facts that a rewind knows. add() adds files, which must be in ascending order of paths. */
typedef struct Case
{
    Clusters clusters;
    Listing source_files;
    ListedFile of_source[FILES_MAX];
    PlanEntry entries[FILES_MAX];
    Plan plan;
    Options options;
    NextStartInput input;
} Case;

static Error error;

static void begin(Case *c, int major)
{
    memset(c, 0, sizeof(*c));
    c->clusters.target.directory = target_directory;
    c->clusters.target.control.version = version_of_major(major);
    assert_true(source_directory_open("source", 0, &c->clusters.source, &error));
    c->source_files.files = c->of_source;
    c->plan.entries = c->entries;
    c->input = (NextStartInput){.options = &c->options,
                                .clusters = &c->clusters,
                                .control = &c->clusters.target.control,
                                .plan = &c->plan,
                                .source_files = &c->source_files};
}

static uint64_t put_file(const char *directory, const char *path, const char *text)
{
    char full[512];

    snprintf(full, sizeof(full), "%s/%s", directory, path);
    put_text(full, text);
    return strlen(text);
}

/* A file of the source, the target or both, by its content; NULL: it is not there. */
static void add(Case *c, const char *path, const char *source, const char *target)
{
    PlanEntry *entry = &c->entries[c->plan.count++];

    *entry = (PlanEntry){.path = path,
                         .action = source != NULL ? ACTION_COPY : ACTION_REMOVE,
                         .type = FILE_REGULAR,
                         .on_target = target != NULL};
    if (source != NULL)
    {
        entry->source_size = put_file("source", path, source);
        c->of_source[c->source_files.count++] = (ListedFile){
            .path = path, .type = FILE_REGULAR, .size = entry->source_size & LISTED_SIZE_MAX};
    }
    if (target != NULL)
        entry->target_size = put_file("target", path, target);
}

static NextStart find(const Case *c)
{
    NextStart next;

    assert_true(next_start_find(&c->input, arena, &next, &error));
    source_close(c->clusters.source);
    return next;
}

static void test_settings_that_differ(void **state)
{
    Case c;
    NextStart next;

    (void) state;
    begin(&c, 15);
    add(&c, "pg_hba.conf", "same", "same");
    add(&c, "pg_ident.conf", "one", "two");
    add(&c, "postgresql.conf",
        "work_mem = '2MB'\nport = 1\nprimary_conninfo = 'host=a password=secret'\n",
        "work_mem = '1MB'\nport = 1\narchive_mode = always\nhot_standby = on\n");
    next = find(&c);
    assert_true(next.settings_known && next.settings_complete);
    assert_int_equal(next.setting_count, 4);
    assert_string_equal(next.settings[0].name, "primary_conninfo");
    assert_null(next.settings[0].former);
    assert_null(strstr(next.settings[0].now, "secret"));
    assert_string_equal(next.settings[1].name, "archive_mode");
    assert_null(next.settings[1].now);
    assert_string_equal(next.settings[2].name, "hot_standby");
    assert_string_equal(next.settings[3].name, "work_mem");
    assert_string_equal(next.settings[3].former, "1MB");
    assert_string_equal(next.settings[3].now, "2MB");
    assert_int_equal(next.file_count, 1);
    assert_string_equal(next.files[0], "pg_ident.conf");
    assert_false(next.archives_always);
    assert_false(next.summarizes_wal);
    assert_false(next.standby);
    assert_true(next.has_source);
}

static void test_kept_configuration(void **state)
{
    PlanKept kept[] = {{.path = "pg_hba.conf", .on_target = false},
                       {.path = "postgresql.conf", .on_target = true}};
    Case c;
    NextStart next;

    (void) state;
    begin(&c, 15);
    add(&c, "postgresql.conf", "archive_mode = on\n",
        "archive_mode = always\nsummarize_wal = on\n");
    c.plan.kept = kept;
    c.plan.kept_count = 2;
    next = find(&c);
    assert_int_equal(next.setting_count, 0);
    assert_true(next.archives_always);
    assert_true(next.summarizes_wal);
    assert_int_equal(next.kept_count, 1);
    assert_string_equal(next.kept[0], "postgresql.conf");
}

static bool advises(const NextStart *next, const char *text)
{
    for (size_t i = 0; i < next->advice.count; i++)
        if (strncmp(next->advice.items[i].text, text, strlen(text)) == 0)
            return true;
    return false;
}

/* The size of the file that the target will have gives the number of origins: 8 bytes, and 16 for
 * each origin. */
static void test_room_for_replication_origins(void **state)
{
    const NeededLimits needed = {.origins = 1}; /* of the WAL */
    Case c;
    NextStart next;

    (void) state;
    begin(&c, 15);
    assert_true(mkdir("source/pg_logical", 0700) == 0 && mkdir("target/pg_logical", 0700) == 0);
    c.input.needed = &needed;
    add(&c, ORIGINS_PATH, "magic and CRC, then 32 more bytes, 40", "");
    c.of_source[0].size = 40;
    add(&c, "postgresql.conf", "max_replication_slots = 1\n", "max_replication_slots = 2\n");
    next = find(&c);
    assert_int_equal(next.needed.origins, 2);
    assert_int_equal(next.low_limits.count, 1);
    assert_string_equal(next.low_limits.items[0].name, "max_replication_slots");
    assert_int_equal(next.low_limits.items[0].configured, 1);
    assert_int_equal(next.low_limits.items[0].needed, 2);
    begin(&c, 15);
    c.input.needed = &needed;
    c.input.plan = NULL; /* the source's are needed as well as the target's */
    next = find(&c);
    assert_int_equal(next.needed.origins, 1);
    assert_int_equal(next.low_limits.count, 0);
}

/* A target that was not rewound has what it has. */
static void test_without_a_plan(void **state)
{
    Case c;
    NextStart next;

    (void) state;
    begin(&c, 15);
    put_text("target/standby.signal", "");
    put_text("target/recovery.signal", "");
    put_text("target/patroni.dynamic.json", "");
    put_text("target/postgresql.conf", "primary_conninfo = 'host=a'\nprimary_slot_name = 'mine'\n"
                                       "recovery_target_timeline = current\n");
    c.input.plan = NULL;
    next = find(&c);
    assert_false(next.settings_known);
    assert_true(next.standby && next.has_source && advises(&next, "Remove recovery.signal"));
    assert_false(next.written || next.recovery_conf ||
                 advises(&next, "the target's server would not start with recovery.conf"));
    assert_string_equal(next.conninfo, "host=a");
    assert_string_equal(next.manager, "Patroni");
    assert_true(advises(&next, "with \"recovery_target_timeline\" the target's server"));
    assert_int_equal(next.slot_count, 1); /* a directory cannot be asked for it */
    assert_string_equal(next.slots[0].name, "mine");
    assert_string_equal(next.slots[0].state, "unknown");
}

/* Files that decide it come from the source, or go with the target's. */
static void test_signal_files(void **state)
{
    Case c;
    NextStart next;

    (void) state;
    begin(&c, 15);
    add(&c, "recovery.conf", "", NULL);
    add(&c, "recovery.signal", NULL, "");
    add(&c, "standby.signal", "", NULL);
    next = find(&c);
    assert_true(next.standby &&
                advises(&next, "the target's server would not start with recovery.conf"));
    assert_false(advises(&next, "Remove recovery.signal") || next.has_source || next.written);

    begin(&c, 15);
    add(&c, "standby.signal", NULL, "");
    assert_false(find(&c).standby);
    begin(&c, 15);
    c.options.write_recovery_conf = true;
    next = find(&c);
    assert_true(next.standby && next.written && next.has_source);
}

static void test_recovery_conf(void **state)
{
    PlanKept kept = {.path = "recovery.conf", .on_target = true};
    Case c;
    NextStart next;

    (void) state;
    begin(&c, 10);
    add(&c, "recovery.conf", "standby_mode = on\nrestore_command = 'cp'\n", "standby_mode = off\n");
    next = find(&c);
    assert_true(next.recovery_conf && next.standby && next.has_source);
    assert_false(advises(&next, "the target's server would not start with recovery.conf"));

    begin(&c, 10);
    add(&c, "recovery.conf", "standby_mode = on\n", "recovery_target_xid = 7\n");
    c.plan.kept = &kept;
    c.plan.kept_count = 1;
    next = find(&c);
    assert_true(next.recovery_conf);
    assert_false(next.standby || next.has_source);
}

/* The source's pg_control comes with its settings: such a server would not start. */
static void test_wal_for_archive_only(void **state)
{
    static const struct
    {
        int number, wal_level;
        const char *settings;
        bool standby, expected;
    } cases[] = {{90526, 1, "hot_standby = on\n", true, true},
                 {90526, 1, "hot_standby = on\n", false, false},
                 {90526, 1, "hot_standby = off\n", true, false},
                 {90526, 1, "", true, false},
                 {90526, 2, "hot_standby = on\n", true, false},
                 {90624, 1, "hot_standby = on\n", true, false}};

    (void) state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
    {
        Control control = {.wal_level = cases[i].wal_level};
        NextStart next;
        Case c;

        begin(&c, 10);
        control.version = version_of_server_number(cases[i].number);
        c.clusters.target.control.version = control.version;
        c.input.control = &control;
        c.options.write_recovery_conf = cases[i].standby;
        add(&c, "postgresql.conf", cases[i].settings, "");
        next = find(&c);
        assert_int_equal(
            advises(&next, "the target's server would not start with hot_standby = on"),
            cases[i].expected);
    }
}

/* Slots of the target are gone; of the source's files only version 10 lists them. */
static void test_slots(void **state)
{
    static const uint8_t physical[128] = {0xA1, 0x1C, 0x05, 0x01};
    Case c;
    NextStart next;
    FILE *file;

    (void) state;
    assert_int_equal(mkdir("target/pg_replslot", 0700), 0);
    assert_int_equal(mkdir("target/pg_replslot/a", 0700), 0);
    assert_int_equal(mkdir("target/pg_replslot/dropped.tmp", 0700), 0);
    file = fopen("target/pg_replslot/a/state", "w");
    assert_non_null(file);
    assert_int_equal(fwrite(physical, 1, sizeof(physical), file), sizeof(physical));
    fclose(file);
    for (int major = 10; major <= 15; major += 5)
    {
        begin(&c, major);
        c.of_source[0] = (ListedFile){.path = "pg_replslot", .type = FILE_DIRECTORY};
        c.of_source[1] = (ListedFile){.path = "pg_replslot/b", .type = FILE_DIRECTORY};
        c.source_files.count = 2;
        next = find(&c);
        assert_int_equal(next.slot_count, major == 10 ? 2 : 1);
        assert_string_equal(next.slots[0].name, "a");
        assert_string_equal(next.slots[0].type, "physical");
        assert_string_equal(next.slots[0].state, "removed");
        if (major == 10)
            assert_string_equal(next.slots[1].state, "copied");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_settings_that_differ, make_directories,
                                        remove_directories),
        cmocka_unit_test_setup_teardown(test_kept_configuration, make_directories,
                                        remove_directories),
        cmocka_unit_test_setup_teardown(test_room_for_replication_origins, make_directories,
                                        remove_directories),
        cmocka_unit_test_setup_teardown(test_without_a_plan, make_directories, remove_directories),
        cmocka_unit_test_setup_teardown(test_wal_for_archive_only, make_directories,
                                        remove_directories),
        cmocka_unit_test_setup_teardown(test_signal_files, make_directories, remove_directories),
        cmocka_unit_test_setup_teardown(test_recovery_conf, make_directories, remove_directories),
        cmocka_unit_test_setup_teardown(test_slots, make_directories, remove_directories),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
