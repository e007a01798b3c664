#include "apply/journal.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

static Arena *arena;

static const char *missing(const char *text, const char *other, bool still_heeded)
{
    Buffer options = {0};
    const char *result;

    journal_options_missing(text, other, still_heeded, &options);
    result = arena_strdup(arena, buffer_string(&options));
    buffer_free(&options);
    return result;
}

static void test_missing(void **state)
{
    (void) state;
    assert_string_equal(missing("", "--compare\n", true), "");
    assert_string_equal(missing("--compare\n", "--compare\n", true), "");
    assert_string_equal(missing("--keep=a\n--keep=ab\n--compare\n", "--keep=ab\n", true),
                        "--keep=a, --compare");
    assert_string_equal(missing("--write-recovery-conf\n--slot=s\n--compare\n", "", false),
                        "--compare");
    assert_string_equal(missing("--write-recovery-conf\n--slot=s\n", "", true),
                        "--write-recovery-conf, --slot=s");
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_missing)};
    int result;

    arena = arena_create();
    result = cmocka_run_group_tests(tests, NULL, NULL);
    arena_destroy(arena);
    return result;
}
