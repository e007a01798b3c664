/*
 * Every problem is said at once, and before anything is written. (Invariant 1.)
 */
#include "rewind.h"

#define NOBODY 65534
#define MEGABYTE_BLOCKS 128

static char before[SNAPSHOT_SIZE];
static char after[SNAPSHOT_SIZE];
static Error error;
static char *said; /* by the check before */

/* Check; keep what was said. */
static bool check(Plan *plan, uint64_t wal_bytes)
{
    const WalSpace wal = {.written_bytes = wal_bytes, .is_fetched = true};

    free(said);
    begin_said();
    measure_plan(plan);
    const bool ok = stage_check("target", plan, &wal, &error);
    said = end_said();
    return ok;
}

/* Is this among it, once? */
static bool is_said(const char *part)
{
    return count_in(said, part) == 1;
}

static void assert_said(const char *part)
{
    if (!is_said(part))
        fail_msg("\"%s\" is not once in \"%s\"", part, said);
}

/* Run it as somebody whom permissions bind, in a child: its result, as an exit status. */
static int as_nobody(int (*run)(void))
{
    pid_t pid;

    if (geteuid() == 0)
        shell("chown -R %d:%d .", NOBODY, NOBODY);
    fflush(NULL);
    pid = fork();
    if (pid == 0)
    {
        if (geteuid() == 0 && (setgid(NOBODY) != 0 || setuid(NOBODY) != 0))
            _exit(99);
        _exit(run());
    }
    return wait_for(pid);
}

/* ---- Directories and files ---- */

/* Returns 0 if three problems are reported, each once; otherwise a number for what is wrong. */
static int check_read_only(void)
{
    static PlanEntry entries[] = {{FILE_ENTRY("base/5/1000", ACTION_COPY, 10, 10)},
                                  {FILE_ENTRY("base/5/1003", ACTION_REMOVE, 0, 3)},
                                  {FILE_ENTRY("base/5/1006", ACTION_COPY, 400, 0)},
                                  {FILE_ENTRY("base/6/1", ACTION_REMOVE, 0, 1)},
                                  {FILE_ENTRY("base/7/1", ACTION_COPY, 1, 0)},
                                  {FILE_ENTRY("base/8/1", ACTION_NONE, 1, 1)}};
    Plan plan = {.entries = entries, .count = 6, .block_size = BLOCK, .wal_directory = "pg_wal"};

    if (check(&plan, 0))
        return 1;
    if (error.kind != ERROR_REPORTED || count_in(said, "error: ") != 3)
        return 2;
    if (count_in(said, "cannot write to directory \"target") != 3 ||
        count_in(said, "\": Permission denied\n") != 3)
        return 3;
    if (!is_said("directory \"target/base/5\"") || !is_said("directory \"target/base/6\""))
        return 4;
    return 0;
}

/* base/8 may not be written either, but nothing happens there; base/7 is not there yet. */
static void test_read_only_directories(void **state)
{
    (void) state;
    shell("chmod 0500 target target/base/5 target/base/6 target/base/8");
    take_snapshot(false, before);
    assert_int_equal(as_nobody(check_read_only), 0);
    take_snapshot(false, after);
    assert_string_equal(after, before);
    shell("chmod 0700 target target/base/5 target/base/6 target/base/8");
}

static void test_something_else_is_there(void **state)
{
    static PlanEntry entries[] = {
        {OTHER_ENTRY("base/6", ACTION_CREATE, FILE_DIRECTORY, true)}, /* is one: fine */
        {OTHER_ENTRY("base/7", ACTION_CREATE, FILE_DIRECTORY, false)},
        {OTHER_ENTRY("pg_tblspc/16400", ACTION_CREATE, FILE_LINK, true)} /* the same */
    };
    Plan plan = {.entries = entries, .count = 3, .block_size = BLOCK, .wal_directory = "pg_wal"};

    (void) state;
    assert_true(check(&plan, 0));
    assert_string_equal(said, "");
    put_text("target/base/7", "");
    assert_false(check(&plan, 0));
    assert_said("cannot create \"target/base/7\": a file of another type is there");
    assert_int_equal(error.kind, ERROR_REPORTED);
    assert_int_equal(count_in(said, "error: "), 1);
}

/* A directory in the place of a file cannot be opened for writing. */
static void test_unwritable_file(void **state)
{
    static PlanEntry entries[] = {{FILE_ENTRY("base/5/1003", ACTION_REMOVE, 0, 3)},
                                  {FILE_ENTRY("base/5/1004", ACTION_COPY, 4, 3)}};
    Plan plan = {.entries = entries, .count = 2, .block_size = BLOCK, .wal_directory = "pg_wal"};

    (void) state;
    shell("rm target/base/5/1003 target/base/5/1004 && mkdir target/base/5/1004");
    assert_false(check(&plan, 0)); /* one that has vanished is no problem */
    assert_said("cannot replace \"target/base/5/1004\": it is a directory");
    assert_int_equal(error.kind, ERROR_REPORTED);
    assert_int_equal(count_in(said, "error: "), 1);
}

/* Conflicts of the plan are reported with all other problems. */
static void test_conflicts(void **state)
{
    static PlanRemark conflicts[] = {{"base/5", NULL, REASON_TYPES_DIFFER, FOREIGN_CLUSTER},
                                     {"base/6", NULL, REASON_UNREADABLE, FOREIGN_CLUSTER},
                                     {"base/8", NULL, REASON_LINK_OF_SOURCE, FOREIGN_CLUSTER}};
    static PlanEntry entries[] = {{OTHER_ENTRY("base/7", ACTION_CREATE, FILE_DIRECTORY, false)}};
    Plan plan = {.entries = entries,
                 .count = 1,
                 .conflicts = conflicts,
                 .conflict_count = 3,
                 .block_size = BLOCK,
                 .wal_directory = "pg_wal"};

    (void) state;
    put_text("target/base/7", "");
    assert_false(check(&plan, 0));
    assert_said("file \"base/5\" is of different type in source and target\n");
    assert_said("cannot read directory \"target/base/6\": Permission denied\n");
    assert_said("\"base/8\" in the source is a symbolic link\n");
    assert_said("cannot create \"target/base/7\": a file of another type is there");
    assert_int_equal(error.kind, ERROR_REPORTED);
    assert_int_equal(count_in(said, "error: "), 4);
}

/* ---- Space ---- */

#define MUCH (UINT64_C(1) << 60)                                   /* bytes */
#define MUCH_MEGABYTES ((UINT64_C(1) << 40) + (UINT64_C(1) << 32)) /* with 1/256 for metadata */

/* From 3 to 4 MB: one to be fetched, and one by which it grows. */
static PlanEntry growing[] = {
    {FILE_ENTRY("base/5/1003", ACTION_COPY_TAIL, 4 * MEGABYTE_BLOCKS, 3 * MEGABYTE_BLOCKS)}};

/* MB that the message reports as needed besides WAL; above 200 if the message is wrong. */
static int needed_beside_wal(void)
{
    Plan plan = {.entries = growing, .count = 1, .block_size = BLOCK, .wal_directory = "pg_wal"};
    unsigned long long needed;
    unsigned long long available;
    const char *detail;

    growing[0].fetch_all_from = 3 * MEGABYTE_BLOCKS;
    if (check(&plan, MUCH) || !is_said("not enough space on the file system of \"target\"\n"))
        return 201;
    detail = strstr(said, "Up to ");
    if (detail == NULL ||
        sscanf(detail, "Up to %llu MB are needed, %llu MB are free.\n", &needed, &available) != 2)
        return 202;
    return available < MUCH_MEGABYTES && needed - MUCH_MEGABYTES < 200
               ? (int) (needed - MUCH_MEGABYTES)
               : 203;
}

/* One more for directories, and the journal begins another; with mode 0400, or with another name, a
 * copy of the file is patched. */
static void test_space_is_said_with_numbers(void **state)
{
    (void) state;
    shell("truncate -s 3M target/base/5/1003");
    assert_int_equal(as_nobody(needed_beside_wal), 4);
    shell("chmod 0400 target/base/5/1003");
    assert_int_equal(as_nobody(needed_beside_wal), 7);
    shell("chmod 0600 target/base/5/1003 && ln target/base/5/1003 other_name");
    assert_int_equal(as_nobody(needed_beside_wal), 7);
    shell("rm other_name");
    assert_int_equal(size_of("target/" WORK_DIRECTORY), -1);
}

/* Each file system by itself: there is no space in /proc. */
static void test_space_of_another_file_system(void **state)
{
    static PlanEntry entries[] = {
        {OTHER_ENTRY("pg_tblspc/16401", ACTION_CREATE, FILE_LINK, false),
         .link_target = "/proc/location"},
        {FILE_ENTRY("pg_tblspc/16401/PG_15/5/1", ACTION_COPY, 4 * MEGABYTE_BLOCKS, 0)},
        {FILE_ENTRY("pg_tblspc/16401/PG_15/5/2", ACTION_COPY, 1, 0)}};
    Plan plan = {.entries = entries, .count = 3, .block_size = BLOCK, .wal_directory = "pg_wal"};

    (void) state;
    assert_false(check(&plan, 0));
    assert_said("not enough space on the file system of \"/proc/location\"\n");
    assert_said("Up to 6 MB are needed, 0 MB are free.\n");
    assert_said(
        "5 MB are for files and blocks that may differ, 0 MB for WAL, in whole segments; and "
        "files will grow by 1 MB.\n");
    assert_int_equal(count_in(said, "not enough space"), 1);
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
    return 0;
}

static int tear_down(void **state)
{
    (void) state;
    free(said);
    remove_fixture();
    return 0;
}

#define FRESH(test) cmocka_unit_test_setup(test, fresh_target)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRESH(test_read_only_directories),
        FRESH(test_something_else_is_there),
        FRESH(test_unwritable_file),
        FRESH(test_conflicts),
        FRESH(test_space_is_said_with_numbers),
        FRESH(test_space_of_another_file_system),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
