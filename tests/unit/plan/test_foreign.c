#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../every_version.h"
#include "plan/foreign.h"

#include <stdlib.h>
#include <string.h>

/* Find what is foreign among these files, in the order of their paths; those that end with a slash
 * are directories. */
static void find(const char *const *paths, Foreign *foreign)
{
    static ListedFile files[32];
    static char names[32][80];
    Listing listing = {.files = files};

    for (; *paths != NULL; paths++)
    {
        char *name = names[listing.count];
        const size_t length = strlen(*paths);
        const bool is_directory = (*paths)[length - 1] == '/';

        assert_true(length < sizeof(names[0]));
        strcpy(name, *paths);
        if (is_directory)
            name[length - 1] = '\0';
        files[listing.count++] = (ListedFile){
            .path = name, .type = is_directory ? FILE_DIRECTORY : FILE_REGULAR, .size = 1};
    }
    foreign_find(version_of_major(15), &listing, foreign);
}

static void test_what_is_found(void **state)
{
    static const struct
    {
        const char *paths[8];
        const char *tree, *closed; /* expected path; NULL if none is expected */
        ForeignKind kind;
    } rows[] = {
        {{"a/", "a/b/", "a/b/PG_VERSION", "a/b/global/", "a/b/global/pg_control"},
         "a",
         "a/b",
         FOREIGN_CLUSTER},
        {{"base/", "base/b/", "base/b/PG_VERSION", "base/b/global/", "base/b/global/pg_control"},
         "base/b",
         "base/b",
         FOREIGN_CLUSTER},
        {{"a/", "a/PG_VERSION", "a/backup_manifest", "a/global/", "a/global/pg_control"},
         "a",
         "a",
         FOREIGN_BACKUP},
        {{"a/", "a/base.tar.zst"}, "a", "a", FOREIGN_BACKUP},
        {{"a/", "a/PG_9.6_201608131/"}, "a", "a", FOREIGN_TABLESPACE},
        {{"PG_15_202209061/"}, "PG_15_202209061", "PG_15_202209061", FOREIGN_TABLESPACE},
        {{"base/", "base/PG_15_202209061/"},
         "base/PG_15_202209061",
         "base/PG_15_202209061",
         FOREIGN_TABLESPACE},
        {{"a/", "a/b/", "a/b/000000010000000000000001-0123.gz"}, "a", NULL, FOREIGN_WAL},
        {{"a/", "a/000000010000000000000001", "a/archive_status/"}, "a", "a", FOREIGN_WAL},
        /* The cluster's own paths, and paths that only resemble foreign ones, are not foreign. */
        {{"PG_VERSION", "backup_label", "global/", "global/pg_control", "pg_control"},
         NULL,
         NULL,
         0},
        {{"a/", "a/pg_control", "a/PG_/", "a/PG_15/", "a/PG_15_/", "a/PG_15_2a/"}, NULL, NULL, 0},
        {{"a/", "a/global/", "a/global/pg_control", "b/", "b/PG_VERSION"}, NULL, NULL, 0},
        {{"a/", "a/00000001000000000000000", "a/0000000100000000000000010", "a/00000002.history"},
         NULL,
         NULL,
         0},
        {{"pg_wal/", "pg_wal/000000010000000000000001", "pg_wal/archive_status/"}, NULL, NULL, 0},
        {{"pg_tblspc/", "pg_tblspc/1/", "pg_tblspc/1/PG_15_202209061/"}, NULL, NULL, 0},
    };

    (void) state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    {
        Foreign foreign;

        find(rows[i].paths, &foreign);
        assert_int_equal(foreign.tree_count, rows[i].tree != NULL);
        assert_int_equal(foreign.closed_count, rows[i].closed != NULL);
        if (rows[i].tree != NULL)
        {
            assert_string_equal(foreign.trees[0].path, rows[i].tree);
            assert_int_equal(foreign.trees[0].kind, rows[i].kind);
            assert_non_null(foreign_tree_of(&foreign, rows[i].tree));
        }
        if (rows[i].closed != NULL)
        {
            assert_true(foreign_is_closed(&foreign, rows[i].closed));
            assert_int_equal(foreign_is_of_server(&foreign, rows[i].closed),
                             rows[i].kind != FOREIGN_BACKUP);
        }
        foreign_free(&foreign);
    }
}

/* A tablespace in a base backup is part of that, and the stronger kind names a tree. */
static void test_what_is_in_a_backup(void **state)
{
    static const char *const paths[] = {"a/",
                                        "a-b/",
                                        "a-b/base.tar",
                                        "a/000000010000000000000001",
                                        "a/b/",
                                        "a/b/backup_label",
                                        "a/b/pg_tblspc/",
                                        "a/b/pg_tblspc/1/",
                                        "a/b/pg_tblspc/1/PG_15_202209061/",
                                        NULL};
    Foreign foreign;

    (void) state;
    find(paths, &foreign);
    assert_int_equal(foreign.tree_count, 2);
    assert_string_equal(foreign.trees[0].path, "a");
    assert_string_equal(foreign.trees[0].found, "a/b");
    assert_string_equal(foreign.trees[1].path, "a-b");
    assert_true(foreign_is_closed(&foreign, "a/b/pg_tblspc/1"));
    assert_false(foreign_is_of_server(&foreign, "a/b/pg_tblspc/1"));
    assert_ptr_equal(foreign_tree_of(&foreign, "a/other"), &foreign.trees[0]);
    assert_null(foreign_tree_of(&foreign, "b"));
    foreign_free(&foreign);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_found),
        cmocka_unit_test(test_what_is_in_a_backup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
