/* Paths of relation files, both ways. */
#include "../../every_version.h"
#include "data.h"

#include "format/relpath.h"

static void check_path(int major, const char *path, Oid tablespace, Oid database, Oid relation,
                       uint8_t fork, uint32_t segment)
{
    const VersionDirectory own = directory_of_release(version_of_major(major));
    RelationFile file;
    char made[RELPATH_SIZE];

    assert_true(relpath_parse(&own, path, &file));
    assert_int_equal(file.relation.tablespace, tablespace);
    assert_int_equal(file.relation.database, database);
    assert_int_equal(file.relation.relation, relation);
    assert_int_equal(file.fork, fork);
    assert_int_equal(file.segment, segment);
    relpath_make(&own, &file, made);
    assert_string_equal(made, path);
    assert_false(relpath_is_temporary(&own, path));
}

static void paths_go_both_ways(void **state)
{
    (void) state;
    check_path(15, "global/1262", 1664, 0, 1262, FORK_MAIN, 0);
    check_path(15, "global/1262_fsm", 1664, 0, 1262, FORK_FSM, 0);
    check_path(10, "base/1/2619", 1663, 1, 2619, FORK_MAIN, 0);
    check_path(10, "base/16384/16385_vm", 1663, 16384, 16385, FORK_VM, 0);
    check_path(10, "base/16384/16385_init", 1663, 16384, 16385, FORK_INIT, 0);
    check_path(10, "base/16384/16385.1", 1663, 16384, 16385, FORK_MAIN, 1);
    check_path(10, "base/16384/16385_fsm.131071", 1663, 16384, 16385, FORK_FSM, 131071);
    check_path(10, "pg_tblspc/16400/PG_10_201707211/16384/16385.2", 16400, 16384, 16385, FORK_MAIN,
               2);
    check_path(18, "pg_tblspc/16400/PG_18_202506291/16384/4294967295_vm.1", 16400, 16384,
               4294967295u, FORK_VM, 1);
}

static void other_paths_are_no_relation_files(void **state)
{
    static const char *const paths[] = {
        "",
        "base",
        "base/1",
        "base/1/",
        "base/1/PG_VERSION",
        "base/1/pg_filenode.map",
        "base/1/pg_internal.init",
        "base/1/2619x",
        "base/1/2619_",
        "base/1/2619_fs",
        "base/1/2619_fsm_vm",
        "base/1/2619.0",
        "base/1/2619.01",
        "base/1/2619.",
        "base/1/2619.1.2",
        "base/1/02619",
        "base/1/0",
        "base/01/2619",
        "base/1/4294967296",
        "base/1//2619",
        "base/1/2619/1",
        "base/1/t3_16400",
        "base/pgsql_tmp/1",
        "global/pg_control",
        "global/1262/1",
        "/base/1/2619",
        "./base/1/2619",
        "pg_tblspc/16400",
        "pg_tblspc/16400/1/2",
        "pg_tblspc/16400/PG_14_202107181/16384/16385", /* directory of 14, left by pg_upgrade */
        "pg_tblspc/16400/PG_15_202209061x/16384/16385",
        "pg_tblspc/16400/PG_15_202209061/16384",
        "pg_wal/000000010000000000000001",
        "pg_xact/0000",
    };
    const VersionDirectory own = directory_of_release(version_of_major(15));
    RelationFile file;

    (void) state;
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++)
        if (relpath_parse(&own, paths[i], &file))
            fail_msg("\"%s\" was taken for a relation file", paths[i]);
}

static void a_fork_of_postgresql_has_a_directory_of_its_own(void **state)
{
    const VersionDirectory own = version_directory(version_of_major(15), 202299991);
    const RelationFile relation = {{16400, 16384, 16385}, FORK_MAIN, 2};
    const char *path = "pg_tblspc/16400/PG_15_202299991/16384/16385.2";
    char made[RELPATH_SIZE];
    RelationFile file;

    (void) state;
    relpath_make(&own, &relation, made);
    assert_string_equal(made, path);
    assert_true(relpath_parse(&own, path, &file));
    assert_int_equal(file.relation.tablespace, 16400);
    assert_false(relpath_parse(&own, "pg_tblspc/16400/PG_15_202209061/16384/16385", &file));
}

static void temporary_relations_are_known(void **state)
{
    const VersionDirectory own = directory_of_release(version_of_major(15));

    (void) state;
    assert_true(relpath_is_temporary(&own, "base/16384/t3_16400"));
    assert_true(relpath_is_temporary(&own, "base/16384/t0_16400"));
    assert_true(relpath_is_temporary(&own, "base/16384/t12_16400_fsm.2"));
    assert_true(relpath_is_temporary(&own, "pg_tblspc/16400/PG_15_202209061/16384/t3_16400"));
    assert_false(relpath_is_temporary(&own, "base/16384/t_16400"));
    assert_false(relpath_is_temporary(&own, "base/16384/t3"));
    assert_false(relpath_is_temporary(&own, "base/16384/t3_"));
    assert_false(relpath_is_temporary(&own, "base/16384/t03_1"));
    assert_false(relpath_is_temporary(&own, "base/16384/t3_16400x"));
    assert_false(relpath_is_temporary(&own, "global/t3_16400"));
}

static void links_of_tablespaces_are_known(void **state)
{
    static const char *const others[] = {
        "pg_tblspc",    "pg_tblspc/",          "pg_tblspc/16500/PG", "pg_tblspc/x",
        "pg_tblspc/1x", "pg_tblspc/0",         "a/pg_tblspc/1",      "pg_tblspc/../1",
        "pg_wal",       "pg_tblspc/4294967296"};

    (void) state;
    assert_true(relpath_is_tablespace("pg_tblspc/16500"));
    assert_true(relpath_is_tablespace("pg_tblspc/4294967295"));
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_false(relpath_is_tablespace(others[i]));
}

static void what_no_rewind_reads_is_not_listed(void **state)
{
    static const char *const listed[] = {"base",
                                         "lost+founder",
                                         "pg_tblspc",
                                         "pg_tblspc/16500",
                                         "pg_tblspc/16500/PG_15_202209061",
                                         "pg_tblspc/16500/PG_15_202209061/5"};
    static const char *const others[] = {"lost+found", "pg_wal/lost+found",
                                         "pg_tblspc/16500/lost+found", "pg_tblspc/16500/5",
                                         "pg_tblspc/16500/5/PG_15_202209061"};

    (void) state;
    for (size_t i = 0; i < sizeof(listed) / sizeof(listed[0]); i++)
        assert_true(relpath_is_listed(listed[i]));
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_false(relpath_is_listed(others[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_go_both_ways),
        cmocka_unit_test(other_paths_are_no_relation_files),
        cmocka_unit_test(a_fork_of_postgresql_has_a_directory_of_its_own),
        cmocka_unit_test(temporary_relations_are_known),
        cmocka_unit_test(links_of_tablespaces_are_known),
        cmocka_unit_test(what_no_rewind_reads_is_not_listed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
