#include "apply/journal.h"

#include "target/tablespace_mapping.h"
#include "plan/keep.h"

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>

static Arena *arena;
static KeepPattern patterns[] = {{"mine", 4, false}, {"/etc/found", 10, true}};
static Keep keep = {.patterns = patterns, .count = 2, .configuration = true};
static TablespaceMapping mappings[] = {{"/a", "/b"}};
static TablespaceMappings tablespaces = {.mappings = mappings, .count = 1};

static const char *missing(const char *text, const char *other, bool still_heeded)
{
    Buffer options = {0};
    const char *result;

    journal_options_missing(text, other, still_heeded, &options);
    result = arena_strdup(arena, buffer_string(&options));
    buffer_free(&options);
    return result;
}

static void test_text(void **state)
{
    const Options none = {.jobs = 4, .source_server = "password=x"};
    const Options all = {.write_recovery_conf = true,
                         .slot = "s",
                         .early_start = true,
                         .late_start = true,
                         .compare = true,
                         .checkpoint = true,
                         .keep = &keep,
                         .tablespaces = &tablespaces,
                         .save_diverged_wal = "../it's",
                         .save_lost_rows = "rows"};

    (void) state;
    assert_string_equal(journal_options_text(&none, arena), "");
    assert_string_equal(journal_options_text(&all, arena),
                        "--write-recovery-conf\n--slot=s\n--early-start\n--late-start\n--compare\n"
                        "--checkpoint\n--keep-config\n--keep=mine\n--tablespace-mapping=/a=/b\n"
                        "--save-diverged-wal='../it'\\''s'\n--save-lost-rows=rows\n");
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_text), cmocka_unit_test(test_missing)};
    int result;

    arena = arena_create();
    result = cmocka_run_group_tests(tests, NULL, NULL);
    arena_destroy(arena);
    return result;
}
