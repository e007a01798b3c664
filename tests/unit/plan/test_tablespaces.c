#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "plan/listing.h"

#include <stdlib.h>

static Error error;

static void forget(TablespaceMappings *mappings)
{
    arena_destroy(mappings->arena);
    free(mappings->mappings);
}

static void test_both_sides_of_a_mapping_are_read(void **state)
{
    static const struct
    {
        const char *text, *from, *to;
    } rows[] = {
        {"/a=/b", "/a", "/b"},
        {"/a/=//b//c/", "/a", "/b/c"},
        {"/with\\=sign=/other\\=sign", "/with=sign", "/other=sign"},
        {"/back\\slash=/b", "/back\\slash", "/b"},
        {"/=/b", "/", "/b"},
        {"//=/b/./c/../d", "/", "/b/d"},
    };

    (void) state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    {
        TablespaceMappings mappings = {0};

        assert_true(tablespace_mapping_add(&mappings, rows[i].text, &error));
        assert_int_equal(mappings.count, 1);
        assert_string_equal(mappings.mappings[0].from, rows[i].from);
        assert_string_equal(tablespace_mapped(&mappings, rows[i].from), rows[i].to);
        assert_null(tablespace_mapped(&mappings, "/elsewhere"));
        forget(&mappings);
    }
}

static void test_what_is_no_mapping_is_refused(void **state)
{
    static const struct
    {
        const char *text, *message;
    } rows[] = {
        {"/a", "invalid tablespace mapping format \"/a\", must be \"OLDDIR=NEWDIR\""},
        {"", "invalid tablespace mapping format \"\", must be \"OLDDIR=NEWDIR\""},
        {"=/b", "invalid tablespace mapping format \"=/b\", must be \"OLDDIR=NEWDIR\""},
        {"/a=", "invalid tablespace mapping format \"/a=\", must be \"OLDDIR=NEWDIR\""},
        {"/a=/b=/c", "multiple \"=\" signs in tablespace mapping"},
        {"a=/b", "old directory is not an absolute path in tablespace mapping: a"},
        {"/a=b", "new directory is not an absolute path in tablespace mapping: b"},
        {"/known/=/b", "directory \"/known\" has two tablespace mappings"},
    };
    TablespaceMappings mappings = {0};

    (void) state;
    assert_true(tablespace_mapping_add(&mappings, "/known=/b", &error));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    {
        assert_false(tablespace_mapping_add(&mappings, rows[i].text, &error));
        assert_string_equal(error.message, rows[i].message);
        assert_int_equal(mappings.count, 1);
    }
    forget(&mappings);
}

static void test_links_of_tablespaces_are_mapped_and_no_others(void **state)
{
    ListedLink links[] = {
        {.path = "log", .target = "/a"},
        {.path = "pg_tblspc/16400", .target = "/a"},
        {.path = "pg_tblspc/16401", .target = "/c"},
    };
    Listing source = {.links = links, .link_count = 3};
    TablespaceMappings mappings = {0};

    (void) state;
    assert_true(tablespace_mapping_add(&mappings, "/a=/b", &error));
    assert_true(tablespace_mapping_add(&mappings, "/unknown=/d", &error));
    tablespaces_map(&mappings, &source);
    assert_string_equal(links[0].target, "/a");
    assert_string_equal(links[1].target, "/b");
    assert_string_equal(links[2].target, "/c");
    forget(&mappings);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_sides_of_a_mapping_are_read),
        cmocka_unit_test(test_what_is_no_mapping_is_refused),
        cmocka_unit_test(test_links_of_tablespaces_are_mapped_and_no_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
