/*
 * Checks that precede the first write, and the target after staging is given up. (Invariants 1, 9.)
 */
#include "rewind.h"

#define NOBODY 65534

static char before[SNAPSHOT_SIZE];
static char after[SNAPSHOT_SIZE];

/* Run as somebody who is not root, whom permissions bind. */
static int run_as_nobody(void)
{
    pid_t pid;

    if (geteuid() == 0)
        shell("chown -R %d:%d . %s", NOBODY, NOBODY, fixture.space_directory);
    fflush(NULL);
    pid = fork();
    if (pid == 0)
    {
        if (geteuid() == 0 && (setgid(NOBODY) != 0 || setuid(NOBODY) != 0))
            _exit(9);
        _exit(run_rewind());
    }
    return wait_for(pid);
}

/* Files of mode 0400 are patched and replaced, and keep their mode. */
static void test_read_only_files(void **state)
{
    (void) state;
    reset_target();
    shell("chmod 0400 target/base/5/1000 target/base/5/1002 target/base/5/1004 "
          "target/postgresql.conf");
    assert_int_equal(run_as_nobody(), 0);
    assert_int_equal(block_letter("target/base/5/1000", 3), 'D');
    assert_int_equal(block_letter("target/base/5/1000", 4), 'e');
    assert_int_equal(size_of("target/base/5/1000"), 10 * BLOCK);
    assert_int_equal(block_letter("target/base/5/1002", 1), 'B');
    assert_int_equal(size_of("target/base/5/1002"), 5 * BLOCK);
    shell("cmp -s source/base/5/1004 target/base/5/1004");
    shell("cmp -s source/postgresql.conf target/postgresql.conf");
    shell("test \"$(stat -c %%a target/base/5/1000 target/base/5/1002 target/base/5/1004 "
          "target/postgresql.conf | sort -u)\" = 400");
    /* The blocks after those files' blocks in the data file are in their place. */
    assert_int_equal(block_letter("target/base/5/1012", 2), 'C');
}

/* A directory that may not be written: said before anything is changed. */
static void test_read_only_directory(void **state)
{
    (void) state;
    reset_target();
    shell("chmod 0500 target/base/5");
    take_snapshot(true, before);
    assert_int_equal(run_as_nobody(), 1);
    take_snapshot(true, after);
    assert_string_equal(after, before);
    assert_int_equal(size_of("target/" WORK_DIRECTORY), -1);
    shell("chmod 0700 target/base/5");
}

/* Too little space is said with numbers, and nothing is made. */
static void test_space(void **state)
{
    BlockMap *map = blockmap_create();
    Plan plan = make_plan(map);
    Error error;

    (void) state;
    reset_target();
    assert_true(stage_check("target", &plan, &(WalSpace){0}, &error));
    assert_false(
        stage_check("target", &plan, &(WalSpace){.written_bytes = UINT64_C(1) << 60}, &error));
    assert_int_equal(error.kind, ERROR_REPORTED);
    assert_int_equal(size_of("target/" WORK_DIRECTORY), -1);
    blockmap_destroy(map);
}

/* A parent of the new tablespace's location is missing. */
static void test_location_without_parent(void **state)
{
    BlockMap *map = blockmap_create();
    Plan plan = make_plan(map);
    Error error;

    (void) state;
    reset_target();
    plan_entry("pg_tblspc/16401")->link_target = "/nowhere/at/all";
    assert_false(stage_check("target", &plan, &(WalSpace){0}, &error));
    plan_entry("pg_tblspc/16401")->link_target = "relative";
    assert_false(stage_check("target", &plan, &(WalSpace){0}, &error));
    blockmap_destroy(map);
}

/* Given up before the commit: nothing is left, in no place. A second stage takes over what a first
 * one left. */
static void test_abandon(void **state)
{
    BlockMap *map = blockmap_create();
    Plan plan = make_plan(map);
    Stage *stage;
    Error error;

    (void) state;
    reset_target();
    take_snapshot(false, before);
    for (int pass = 0; pass < 2; pass++)
    {
        assert_true(stage_create("target", &plan, 1, &stage, &error));
        assert_true(stage_all(stage, &error));
        if (pass == 1)
            stage_abandon(stage);
        stage_free(stage);
    }
    take_snapshot(false, after);
    assert_string_equal(after, before);
    blockmap_destroy(map);
}

/* A list of places that somebody else wrote removes nothing of others. */
static void test_foreign_places(void **state)
{
    Error error;
    FILE *file;

    (void) state;
    reset_target();
    shell("mkdir target/pg_rewind.work precious empty");
    put_text("precious/file", "x");
    file = fopen("target/pg_rewind.work/places", "w");
    assert_non_null(file);
    fprintf(file, "W%s/precious%cW../precious%cW%s/precious/../empty%cX/%cL../empty%cW/%cW",
            fixture.directory, 0, 0, fixture.directory, 0, 0, 0, 0);
    fclose(file);
    assert_true(stage_remove_stale("target", &error));
    assert_int_equal(size_of("target/" WORK_DIRECTORY), -1);
    shell("test -e precious/file && rm -r precious && rmdir empty");
}

/* A journal that cannot be read stands in the way only where it can have been committed. */
static void test_damaged_journal(void **state)
{
    Arena *arena = arena_create();
    PendingRewind pending;
    Error error;

    (void) state;
    reset_target();
    shell("mkdir target/pg_rewind.work && echo damaged >target/pg_rewind.work/journal");
    /* pg_control cannot be read either: who knows. */
    assert_false(apply_pending("target", arena, &pending, &error));
    assert_false(stage_remove_stale("target", &error));

    put_server_control();
    assert_true(apply_pending("target", arena, &pending, &error));
    assert_int_equal(pending.state, PENDING_NONE);

    put_text("target/backup_label", "something\n");
    assert_false(apply_pending("target", arena, &pending, &error));
    unlink("target/backup_label");
    assert_true(stage_remove_stale("target", &error));
    assert_int_equal(size_of("target/" WORK_DIRECTORY), -1);
    arena_destroy(arena);
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
    remove_fixture();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_only_files), cmocka_unit_test(test_read_only_directory),
        cmocka_unit_test(test_space),           cmocka_unit_test(test_location_without_parent),
        cmocka_unit_test(test_abandon),         cmocka_unit_test(test_foreign_places),
        cmocka_unit_test(test_damaged_journal),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
