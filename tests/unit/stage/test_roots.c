/*
 * Mounts that the target lies on, and places where tablespaces may be made. /proc is the other
 * mount: every machine has that, and looking there changes nothing.
 */
#include "../../every_version.h"
#include "stage/roots.h"
#include "target/tablespace_mapping.h"

#include "rewind.h"

static Error error;
static Arena *arena;

static Roots find(const Plan *plan)
{
    Roots roots;

    if (!roots_find(arena, "target", plan, &roots, &error))
        fail_msg("%s", error.message);
    return roots;
}

static const Root *root_of(const Roots *roots, const char *path)
{
    return &roots->roots[roots_index(roots, path)];
}

/* ---- Roots ---- */

static void test_one_mount(void **state)
{
    static PlanEntry entries[] = {{FILE_ENTRY("base/5/1006", ACTION_COPY, 1, 0)},
                                  {FILE_ENTRY("base/9/new/1", ACTION_COPY, 1, 0)},
                                  {FILE_ENTRY("pg_tblspc/16400/PG_15/5/1", ACTION_REMOVE, 0, 1)}};
    const Plan plan = {.entries = entries,
                       .count = 3,
                       .block_size = BLOCK,
                       .wal_directory = "pg_wal",
                       .version_directory = {"PG_15"}};

    (void) state;
    const Roots roots = find(&plan); /* a link to the same mount is no root */
    assert_int_equal(roots.count, 1);
    assert_string_equal(roots.roots[0].prefix, "");
    assert_string_equal(roots.roots[0].directory, "");
    assert_string_equal(roots.roots[0].work, WORK_DIRECTORY);
    assert_int_equal(roots_index(&roots, "base/5/1006"), 0);
    assert_int_equal(roots.location_count, 0);
}

static void test_other_mounts(void **state)
{
    static PlanEntry entries[] = {
        {FILE_ENTRY("base/5/1006", ACTION_COPY, 1, 0)},
        /* Rule I79. */
        {FILE_ENTRY("base/pgsql_tmp/1", ACTION_REMOVE, 0, 1), .reason = REASON_EXCLUDED},
        {FILE_ENTRY("pg_replslot/a", ACTION_REMOVE, 0, 1), .reason = REASON_EXCLUDED},
        {OTHER_ENTRY("pg_tblspc/16402/PG_15/6", ACTION_CREATE, FILE_DIRECTORY, false)},
        {OTHER_ENTRY("pg_tblspc/16402/PG_15/7", ACTION_REMOVE, FILE_DIRECTORY, true)},
        {FILE_ENTRY("pg_tblspc/16400/PG_15/5/1", ACTION_REMOVE, 0, 1)},
        {FILE_ENTRY("pg_tblspc/16400/PG_15/5/2", ACTION_REMOVE, 0, 1)},
        {FILE_ENTRY("pg_tblspc/16402/PG_15/5/1", ACTION_NONE, 1, 1)} /* without effect */
    };
    const Plan plan = {.entries = entries,
                       .count = 8,
                       .block_size = BLOCK,
                       .wal_directory = "pg_wal",
                       .version_directory = {"PG_15"}};

    (void) state;
    shell("rm -r target/pg_wal target/pg_tblspc/16400 && ln -s /proc target/pg_wal && "
          "ln -s /proc target/pg_tblspc/16400 && ln -s /proc target/pg_tblspc/16402 && "
          "ln -s /proc target/base/pgsql_tmp && ln -s /proc target/pg_replslot");
    const Roots roots = find(&plan); /* pg_wal is one without being in the plan */
    assert_int_equal(roots.count, 4);
    assert_string_equal(root_of(&roots, "pg_wal/archive_status/x.done")->work,
                        "pg_wal/" WORK_DIRECTORY);
    assert_string_equal(root_of(&roots, "pg_tblspc/16400/PG_15/5/1")->prefix, "pg_tblspc/16400");
    assert_string_equal(root_of(&roots, "pg_replslot/a")->work, "pg_replslot/" WORK_DIRECTORY);
    assert_int_equal(roots_index(&roots, "base/pgsql_tmp/1"), 0);
    /* The link may go before the work directory is needed for the last time. */
    assert_string_equal(root_of(&roots, "pg_tblspc/16400/PG_15/5/1")->directory, "pg_tblspc/16400");
    assert_string_equal(root_of(&roots, "pg_tblspc/16400/PG_15/5/1")->work,
                        "/proc/" WORK_DIRECTORY ".PG_15");
    /* The directory itself, and what only begins like it, lie outside. */
    assert_int_equal(roots_index(&roots, "pg_tblspc/16400"), 0);
    assert_int_equal(roots_index(&roots, "pg_tblspc/164000/1"), 0);
    assert_int_equal(roots_index(&roots, "pg_tblspc/16402/PG_15/5/1"), 0);
    assert_int_equal(roots_index(&roots, "base/5/1006"), 0);
}

/* The link is not there before the apply: staged is at the location. */
static void test_new_tablespace_on_another_mount(void **state)
{
    static PlanEntry entries[] = {
        {OTHER_ENTRY("pg_tblspc/16401", ACTION_CREATE, FILE_LINK, false),
         .link_target = "/proc/location"},
        {OTHER_ENTRY("pg_tblspc/16403", ACTION_CREATE, FILE_LINK, false), .link_target = "/proc"}};
    const Plan plan = {.entries = entries,
                       .count = 2,
                       .block_size = BLOCK,
                       .wal_directory = "pg_wal",
                       .version_directory = {"PG_15"}};

    (void) state;
    const Roots roots = find(&plan);
    assert_int_equal(roots.count, 3);
    assert_string_equal(root_of(&roots, "pg_tblspc/16401/PG_15")->directory, "/proc/location");
    assert_string_equal(root_of(&roots, "pg_tblspc/16401/PG_15")->work,
                        "/proc/location/" WORK_DIRECTORY ".PG_15");
    assert_string_equal(root_of(&roots, "pg_tblspc/16403/PG_15")->work,
                        "/proc/" WORK_DIRECTORY ".PG_15");
    assert_int_equal(roots.location_count, 2);
    assert_string_equal(roots.locations[0].link, "pg_tblspc/16401");
    assert_true(roots.locations[0].missing);
    assert_false(roots.locations[1].missing);
}

static void test_no_target(void **state)
{
    const Plan plan = {
        .block_size = BLOCK, .wal_directory = "pg_wal", .version_directory = {"PG_15"}};
    Roots roots;

    (void) state;
    assert_false(roots_find(arena, "nowhere", &plan, &roots, &error));
    assert_string_equal(error.message, "directory \"nowhere\" does not exist");
}

/* ---- Locations ---- */

/* Is this path usable for a new tablespace? Else said is what was said. action is that of the
 * target's own tablespace, which is in old_location. */
static bool is_usable_with(Action action, const char *path, const char *said)
{
    PlanEntry entries[] = {
        {OTHER_ENTRY("pg_tblspc/16400", action, FILE_LINK, true)},
        {OTHER_ENTRY("pg_tblspc/16401", ACTION_CREATE, FILE_LINK, false), .link_target = path},
        {OTHER_ENTRY("pg_tblspc/16401/PG_15", ACTION_CREATE, FILE_DIRECTORY, false)}};
    const Plan plan = {.entries = entries,
                       .count = 3,
                       .block_size = BLOCK,
                       .wal_directory = "pg_wal",
                       .version_directory = {"PG_15"}};
    const Roots roots = find(&plan);
    Problems problems = {.count = 0};
    char *lines;

    begin_said();
    roots_check_locations(&roots, &plan, &problems);
    lines = end_said();
    if (problems.count == 0)
        assert_string_equal(lines, "");
    else if (strstr(lines, said) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", said, lines);
    free(lines);
    assert_in_range(problems.count, 0, 1);
    return problems.count == 0;
}

static bool is_usable(const char *path, const char *said)
{
    return is_usable_with(ACTION_REMOVE, path, said);
}

static bool is_usable_below(const char *name, const char *said)
{
    char path[256];

    snprintf(path, sizeof(path), "%s/%s", fixture.directory, name);
    return is_usable(path, said);
}

static void test_locations(void **state)
{
    char own[128];

    (void) state;
    snprintf(own, sizeof(own), "%s/old_location", fixture.directory);
    assert_true(is_usable_below("place", "")); /* absent */
    shell("mkdir place");
    assert_true(is_usable_below("place", "")); /* empty */
    shell("mkdir place/PG_14 place/lost+found");
    assert_true(is_usable_below("place", "")); /* other versions may share it */
    shell("mkdir place/PG_15");
    assert_false(is_usable_below("place", "belongs to another cluster"));
    assert_true(is_usable(own, "")); /* the target's own, with its PG_15 */
    assert_false(is_usable_with(ACTION_NONE, own,
                                "tablespaces \"pg_tblspc/16400\" and \"pg_tblspc/16401\" of the "
                                "source would have one place"));
    assert_false(is_usable("relative/path", "is not at an absolute path: \"relative/path\""));
    assert_false(is_usable_below("none/place", "cannot create tablespace directory"));
    put_text("file", "");
    assert_false(is_usable_below("file", "cannot write to tablespace directory"));
    shell("rm -r place file");
}

/* As replay would find it. */
static bool is_replayed(const char *place, bool is_made)
{
    const VersionDirectory directory = directory_of_release(version_of_major(15));

    return tablespace_check_replayed("target", &directory, place, is_made, &error);
}

static void test_replayed_location(void **state)
{
    char place[128];
    char own[128];

    (void) state;
    snprintf(place, sizeof(place), "%s/place", fixture.directory);
    snprintf(own, sizeof(own), "%s/old_location", fixture.directory);
    assert_true(is_replayed(place, true));
    assert_false(is_replayed(place, false));
    assert_non_null(strstr(error.message, "replay of CREATE TABLESPACE would fail"));
    assert_non_null(strstr(error.message, "/place\" does not exist"));
    put_text("place", "");
    assert_false(is_replayed(place, true));
    assert_non_null(strstr(error.message, "/place\" is not a directory"));
    shell("rm place");
    if (geteuid() != 0)
    {
        assert_false(is_replayed("/", true));
        assert_non_null(strstr(error.message, "\"/\" belongs to another user"));
    }
    shell("mkdir -p place/PG_14_202107181");
    assert_true(is_replayed(place, false));
    shell("mkdir place/PG_15_202209061 old_location/PG_15_202209061");
    assert_false(is_replayed(place, false));
    assert_non_null(strstr(error.message, "replay of CREATE TABLESPACE would empty directory"));
    assert_non_null(strstr(error.message, "/place/PG_15_202209061\""));
    assert_true(is_replayed(own, false));
    assert_true(is_replayed("pg_tblspc/16401", false));
    shell("rm -r place");
}

/* ---- Paths ---- */

static void test_paths(void **state)
{
    Buffer path = {0};

    (void) state;
    assert_string_equal(target_path(&path, "target", "base/5"), "target/base/5");
    assert_string_equal(target_path(&path, "target", "/space/x"), "/space/x");
    assert_string_equal(path_parent(&path, "/space/x"), "/space");
    assert_string_equal(path_parent(&path, "/space"), "/");
    buffer_free(&path);
    assert_int_equal(path_parent_length("base/5/1000"), strlen("base/5"));
    assert_int_equal(path_parent_length("PG_VERSION"), 0);
}

static void test_effect(void **state)
{
    static const struct
    {
        PlanEntry entry;
        bool has_effect;
    } rows[] = {
        {{OTHER_ENTRY("base/5", ACTION_NONE, FILE_DIRECTORY, true)}, false},
        {{FILE_ENTRY("base/5/1", ACTION_COPY, 1, 1)}, true},
        {{OTHER_ENTRY("socket", ACTION_REMOVE, FILE_OTHER, true)}, false},
        {{OTHER_ENTRY("global/pg_control", ACTION_COPY, FILE_REGULAR, true)}, false},
        {{OTHER_ENTRY("backup_label", ACTION_REMOVE, FILE_REGULAR, true)}, false},
        {{OTHER_ENTRY("backup_label.old", ACTION_REMOVE, FILE_REGULAR, true)}, true},
        {{OTHER_ENTRY("postmaster.pid", ACTION_REMOVE, FILE_REGULAR, true)}, false},
        {{OTHER_ENTRY(WORK_DIRECTORY, ACTION_REMOVE, FILE_DIRECTORY, true)}, false},
        {{OTHER_ENTRY("pg_wal/" WORK_DIRECTORY "/x", ACTION_REMOVE, FILE_REGULAR, true)}, false},
        {{OTHER_ENTRY("pg_tblspc/1/" WORK_DIRECTORY ".PG_15/x", ACTION_REMOVE, FILE_REGULAR, true)},
         false},
        {{OTHER_ENTRY(WORK_DIRECTORY "ing", ACTION_REMOVE, FILE_REGULAR, true)}, true},
        {{OTHER_ENTRY("my" WORK_DIRECTORY, ACTION_REMOVE, FILE_REGULAR, true)}, true},
    };

    (void) state;
    for (size_t row = 0; row < sizeof(rows) / sizeof(rows[0]); row++)
    {
        if (entry_has_effect(&rows[row].entry) != rows[row].has_effect)
            fail_msg("%s", rows[row].entry.path);
    }
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
    arena = arena_create();
    make_fixture();
    return 0;
}

static int tear_down(void **state)
{
    (void) state;
    remove_fixture();
    arena_destroy(arena);
    return 0;
}

#define FRESH(test) cmocka_unit_test_setup(test, fresh_target)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRESH(test_one_mount),
        FRESH(test_other_mounts),
        FRESH(test_new_tablespace_on_another_mount),
        FRESH(test_no_target),
        FRESH(test_locations),
        FRESH(test_replayed_location),
        FRESH(test_paths),
        FRESH(test_effect),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
