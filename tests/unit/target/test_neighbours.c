#include "target/target.h"

#include "../source/directory.h"

#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

static Error error;
static const Target target = {.directory = "target", .control.catalog_version = 202209061};

/* Two data directories; outside of them what "place" names. */
static int make_clusters(void **state)
{
    static const char *const directories[] = {"target",       "target/pg_tblspc", "other",
                                              "other/pg_wal", "other/pg_tblspc",  "place",
                                              "place of wal", "place/of its own"};

    if (enter_directory(state) != 0)
        return -1;
    memset(&error, 0, sizeof(error));
    for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++)
        assert_int_equal(mkdir(directories[i], 0700), 0);
    make_text("target/PG_VERSION", "15\n");
    make_text("other/PG_VERSION", "15\n");
    return 0;
}

static void make_link(const char *to, const char *path)
{
    assert_int_equal(symlink(to, path), 0);
}

static void test_directories_inside_are_the_targets_own(void **state)
{
    (void) state;
    assert_int_equal(mkdir("target/pg_wal", 0700), 0);
    assert_int_equal(mkdir("target/pg_tblspc/16400", 0700), 0); /* in place */
    assert_int_equal(mkdir("other/pg_tblspc/16400", 0700), 0);
    assert_true(neighbours_check(&target, "other", &error));
    assert_true(neighbours_check(&target, NULL, &error));
    assert_true(neighbours_check(&(Target){.directory = "nowhere"}, "other", &error));
}

static void test_links_to_places_of_its_own(void **state)
{
    (void) state;
    make_link("../place of wal", "target/pg_wal");
    make_link("../../place/of its own", "target/pg_tblspc/16400");
    make_link("../../place", "other/pg_tblspc/16400");
    make_link("../../nowhere", "target/pg_tblspc/16401");
    make_link("../../nowhere", "other/pg_tblspc/16401");
    assert_true(neighbours_check(&target, "other", &error));
    assert_true(neighbours_check(&target, "target", &error));
}

static void test_a_tablespace_that_two_clusters_have(void **state)
{
    (void) state;
    make_link("../../place", "target/pg_tblspc/16400");
    make_link("../../target/../place", "other/pg_tblspc/16999");
    assert_false(neighbours_check(&target, "other", &error));
    assert_string_equal(error.message, "directory \"target/pg_tblspc/16400\" of the target belongs "
                                       "to another cluster");
    assert_string_equal(error.detail,
                        "It is also \"pg_tblspc/16999\" of the cluster in \"other\".");
}

/* In a location each version has a directory of its own; pg_wal has none. (Rule C101.) */
static void test_a_location_of_two_versions(void **state)
{
    (void) state;
    assert_int_equal(mkdir("other/global", 0700), 0);
    make_link("../../place", "target/pg_tblspc/16400");
    make_link("../../place", "other/pg_tblspc/16400");
    make_data_directory("other", version_of_major(14), CONTROL_IN_PRODUCTION);
    assert_true(neighbours_check(&target, "other", &error));
    make_data_directory("other", version_of_major(15), CONTROL_IN_PRODUCTION);
    assert_false(neighbours_check(&target, "other", &error));
    assert_string_equal(error.message, "directory \"target/pg_tblspc/16400\" of the target belongs "
                                       "to another cluster");

    make_data_directory("other", version_of_major(14), CONTROL_IN_PRODUCTION);
    make_link("../place", "target/pg_wal");
    assert_false(neighbours_check(&target, "other", &error));
    assert_string_equal(error.message,
                        "directory \"target/pg_wal\" of the target belongs to another cluster");
}

static void test_wal_that_two_clusters_have(void **state)
{
    (void) state;
    make_link("../other/pg_wal", "target/pg_wal");
    assert_false(neighbours_check(&target, "other", &error));
    assert_string_equal(error.message,
                        "directory \"target/pg_wal\" of the target belongs to another cluster");
    assert_string_equal(error.detail, "It is also \"pg_wal\" of the cluster in \"other\".");
}

/* A process whose working directory is the other's, as a server's is. */
static void test_a_server_of_this_machine(void **state)
{
    int ready[2];
    char byte;
    pid_t process;

    (void) state;
    make_link("../../place", "target/pg_tblspc/16400");
    make_link("../../place", "other/pg_tblspc/16400");
    assert_true(neighbours_check(&target, NULL, &error));
    assert_int_equal(pipe(ready), 0);
    process = fork();
    if (process == 0)
    {
        if (chdir("other") == 0 && write(ready[1], "x", 1) == 1)
            pause();
        _exit(1);
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    assert_false(neighbours_check(&target, NULL, &error));
    assert_non_null(strstr(error.detail, "/other\"."));
    kill(process, SIGKILL);
    waitpid(process, NULL, 0);
    assert_true(neighbours_check(&target, NULL, &error));
    close(ready[0]);
    close(ready[1]);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_clusters, leave_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_directories_inside_are_the_targets_own),
        TEST(test_links_to_places_of_its_own),
        TEST(test_a_tablespace_that_two_clusters_have),
        TEST(test_a_location_of_two_versions),
        TEST(test_wal_that_two_clusters_have),
        TEST(test_a_server_of_this_machine),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
