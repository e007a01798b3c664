/* Rule C82. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../every_version.h"
#include "plan/listing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static Error error;

/* A source that lists what it is told to. */
typedef struct FakeSource
{
    Source base;
    const VisitedFile *files;
    size_t count;
} FakeSource;

static bool list(Source *source, const Version *version, FileVisitor visit, void *context,
                 Error *fails)
{
    const FakeSource *fake = (const FakeSource *) source;

    (void) version;
    for (size_t i = 0; i < fake->count; i++)
        if (!visit(context, &fake->files[i], fails))
            return false;
    return true;
}

static const SourceOperations operations = {.list = list};

static bool list_files(const VisitedFile *files, size_t count, Listing *listing)
{
    FakeSource source = {.base = {.operations = &operations}, .files = files, .count = count};

    memset(&error, 0, sizeof(error));
    return listing_of_source(&source.base, version_of_major(15), listing, &error);
}

static void test_safe_paths(void **state)
{
    static const char *const safe[] = {
        "a", "base/5/16384", "..a", "a..", "...", "a/.b", ".hidden", "with space/\xC3\xA4", "a\nb"};
    static const char *const unsafe[] = {"",     "/",      "/etc/passwd", "..",          "../a",
                                         "a/..", "a/../b", ".",           "./a",         "a/./b",
                                         "a//b", "a/",     "a/.",         "base/../../x"};
    char longest[4098];

    (void) state;
    for (size_t i = 0; i < sizeof(safe) / sizeof(safe[0]); i++)
        assert_true(path_is_safe(safe[i]));
    for (size_t i = 0; i < sizeof(unsafe) / sizeof(unsafe[0]); i++)
        assert_false(path_is_safe(unsafe[i]));
    memset(longest, 'a', sizeof(longest));
    longest[4097] = '\0';
    assert_false(path_is_safe(longest));
    longest[4096] = '\0';
    assert_true(path_is_safe(longest));
}

static void test_a_listing_is_sorted_and_owns_its_strings(void **state)
{
    char first[] = "pg_wal/b", link[] = "pg_tblspc/1", place[] = "/place";
    VisitedFile files[] = {{first, FILE_REGULAR, 10, NULL, false, 0, 0, false},
                           {"base-not", FILE_REGULAR, 7, NULL, false, 0, 0, false},
                           {"base/1", FILE_REGULAR, 5, NULL, false, 0, 0, false},
                           {"base", FILE_DIRECTORY, 4096, NULL, false, 0, 0, false},
                           {link, FILE_LINK, 99, place, false, 0, 0, false},
                           {"pg_wal", FILE_DIRECTORY, 0, NULL, false, 0, 0, false},
                           {"pg_tblspc", FILE_DIRECTORY, 0, NULL, false, 0, 0, false},
                           {"pg_tblspc/1/PG", FILE_DIRECTORY, 0, NULL, false, 0, 0, false}};
    static const char *const order[] = {"base",        "base-not",       "base/1", "pg_tblspc",
                                        "pg_tblspc/1", "pg_tblspc/1/PG", "pg_wal", "pg_wal/b"};
    Listing listing;

    (void) state;
    assert_true(list_files(files, 8, &listing));
    memset(first, 'x', sizeof(first) - 1);
    memset(link, 'x', sizeof(link) - 1);
    memset(place, 'x', sizeof(place) - 1);
    assert_int_equal(listing.count, 8);
    assert_int_equal(listing.total_size, 22);
    for (size_t i = 0; i < 8; i++)
        assert_string_equal(listing.files[i].path, order[i]);
    assert_string_equal(listing_link_target(&listing, "pg_tblspc/1"), "/place");
    assert_int_equal(listing.files[4].type, FILE_LINK);
    assert_ptr_equal(listing_find(&listing, "base/1"), &listing.files[2]);
    assert_null(listing_find(&listing, "base/"));
    listing_free(&listing);
    assert_null(listing_find(&listing, "base"));
}

/* Each file system is listed once, by the first directory or file on it: a directory comes before
 * its content. */
static void test_the_file_systems_of_a_listing(void **state)
{
    static const VisitedFile files[] = {{"base", FILE_DIRECTORY, 0, NULL, false, 7, 0, false},
                                        {"base/1", FILE_REGULAR, 5, NULL, false, 7, 0, false},
                                        {"fifo", FILE_OTHER, 0, NULL, false, 11, 0, false},
                                        {"base/5", FILE_DIRECTORY, 0, NULL, false, 8, 0, false},
                                        {"base/5/1", FILE_REGULAR, 5, NULL, false, 8, 0, false},
                                        {"mounted", FILE_REGULAR, 5, NULL, false, 9, 0, false},
                                        {"base/2", FILE_REGULAR, 5, NULL, false, 7, 0, false}};
    static const char *const paths[] = {"base", "base/5", "mounted"};
    Listing listing;

    (void) state;
    assert_true(list_files(files, 7, &listing));
    assert_int_equal(listing.file_system_count, 3);
    for (size_t i = 0; i < 3; i++)
        assert_string_equal(listing.file_systems[i].path, paths[i]);
    listing_free(&listing);
}

static void test_bad_listings_are_refused(void **state)
{
    const VisitedFile unsafe[] = {{"a", FILE_REGULAR, 1, NULL, false, 0, 0, false},
                                  {"../a", FILE_REGULAR, 1, NULL, false, 0, 0, false}};
    const VisitedFile twice[] = {{"a", FILE_REGULAR, 1, NULL, false, 0, 0, false},
                                 {"b", FILE_REGULAR, 1, NULL, false, 0, 0, false},
                                 {"a", FILE_DIRECTORY, 0, NULL, false, 0, 0, false}};
    Listing listing;

    (void) state;
    assert_false(list_files(unsafe, 2, &listing));
    assert_string_equal(error.message, "target file path is unsafe for open: \"../a\"");
    assert_int_equal(error.kind, ERROR_FAILED);
    listing_free(&listing);
    assert_false(list_files(twice, 3, &listing));
    assert_string_equal(error.message, "duplicate source file \"a\"");
    listing_free(&listing);
    assert_false(list_files(NULL, 0, &listing));
    assert_string_equal(error.message, "source file list is empty");
    listing_free(&listing);
}

/* A file whose directory is not listed would be written to another place, through a link. */
static void test_all_is_in_directories(void **state)
{
    static const struct
    {
        VisitedFile above;
        const char *below;
    } rows[] = {
        {{"base", FILE_DIRECTORY, 0, NULL, false, 0, 0, false}, "bas/1"},
        {{"base", FILE_REGULAR, 1, NULL, false, 0, 0, false}, "base/1"},
        {{"base", FILE_OTHER, 0, NULL, false, 0, 0, false}, "base/1"},
        {{"link", FILE_LINK, 0, "/etc", false, 0, 0, false}, "link/passwd"},
        {{"pg_tblspc", FILE_LINK, 0, "/etc", false, 0, 0, false}, "pg_tblspc/1"},
        {{"pg_tblspc/x", FILE_LINK, 0, "/etc", false, 0, 0, false}, "pg_tblspc/x/passwd"},
        {{"pg_tblspc/16400/PG", FILE_LINK, 0, "/etc", false, 0, 0, false},
         "pg_tblspc/16400/PG/passwd"},
    };

    (void) state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    {
        const VisitedFile files[] = {
            rows[i].above,
            {rows[i].below, FILE_REGULAR, 1, NULL, false, 0, 0, false},
            {"pg_tblspc/16400", FILE_LINK, 0, "/space", false, 0, 0, false},
            {"pg_tblspc", FILE_DIRECTORY, 0, NULL, false, 0, 0, false}};
        const size_t count = strcmp(rows[i].above.path, "pg_tblspc") == 0 ? 2 : 4;
        char message[128];
        Listing listing;

        assert_false(list_files(files, count, &listing));
        snprintf(message, sizeof(message),
                 "source file \"%s\" is not in a directory that was listed", rows[i].below);
        assert_string_equal(error.message, message);
        assert_int_equal(error.kind, ERROR_FAILED);
        listing_free(&listing);
    }
}

static const VersionDirectory own = {"PG_15"};

static void test_what_every_source_has(void **state)
{
    VisitedFile files[] = {{"PG_VERSION", FILE_REGULAR, 3, NULL, false, 0, 0, false},
                           {"base", FILE_DIRECTORY, 0, NULL, false, 0, 0, false},
                           {"global", FILE_DIRECTORY, 0, NULL, false, 0, 0, false},
                           {"pg_multixact", FILE_DIRECTORY, 0, NULL, false, 0, 0, false},
                           {"pg_tblspc", FILE_DIRECTORY, 0, NULL, false, 0, 0, false},
                           {"pg_wal", FILE_DIRECTORY, 0, NULL, false, 0, 0, false},
                           {"pg_xact", FILE_DIRECTORY, 0, NULL, false, 0, 0, false}};
    Listing listing;
    char message[64];

    (void) state;
    assert_true(list_files(files, 7, &listing));
    assert_true(listing_check_complete(&listing, version_of_major(15), &own, &error));
    listing_free(&listing);
    for (int i = 0; i < 7; i++)
    {
        const char *name = files[i].path;

        files[i].path = "other";
        assert_true(list_files(files, 7, &listing));
        assert_false(listing_check_complete(&listing, version_of_major(15), &own, &error));
        snprintf(message, sizeof(message), "source file list lacks \"%s\"", name);
        assert_string_equal(error.message, message);
        listing_free(&listing);
        files[i].path = name;
    }
    files[1].type = FILE_REGULAR;
    assert_true(list_files(files, 7, &listing));
    assert_false(listing_check_complete(&listing, version_of_major(15), &own, &error));
    listing_free(&listing);
}

/* In a tablespace behind a link its server has a directory, unless the volume is not mounted; what
 * sorts between the two, or is of the file system or of another server, is none. */
static void test_tablespaces_have_content(void **state)
{
    VisitedFile files[] = {
        {"PG_VERSION", FILE_REGULAR, 3, NULL, false, 0, 0, false},
        {"base", FILE_DIRECTORY, 0, NULL, false, 0, 0, false},
        {"global", FILE_DIRECTORY, 0, NULL, false, 0, 0, false},
        {"pg_multixact", FILE_DIRECTORY, 0, NULL, false, 0, 0, false},
        {"pg_tblspc", FILE_DIRECTORY, 0, NULL, false, 0, 0, false},
        {"pg_wal", FILE_DIRECTORY, 0, NULL, false, 0, 0, false},
        {"pg_xact", FILE_DIRECTORY, 0, NULL, false, 0, 0, false},
        {"pg_tblspc/1", FILE_DIRECTORY, 0, NULL, false, 0, 0, false}, /* in place */
        {"pg_tblspc/16", FILE_LINK, 0, "/place", false, 0, 0, false},
        {"pg_tblspc/16.old", FILE_DIRECTORY, 0, NULL, false, 0, 0, false},
        {"pg_tblspc/160", FILE_DIRECTORY, 0, NULL, false, 0, 0, false},
        {"pg_tblspc/160/PG_15", FILE_DIRECTORY, 0, NULL, false, 0, 0, false},
        {"pg_tblspc/16/PG_15", FILE_DIRECTORY, 0, NULL, false, 0, 0, false}};
    Listing listing;

    (void) state;
    assert_true(list_files(files, 13, &listing));
    assert_null(listing_missing_tablespace(&listing, &own));
    assert_true(listing_check_complete(&listing, version_of_major(15), &own, &error));
    listing_free(&listing);
    for (size_t i = 0; i < 3; i++)
    {
        files[12].path = i == 1 ? "pg_tblspc/16/lost+found" : "pg_tblspc/16/PG_14";
        assert_true(list_files(files, i == 0 ? 12 : 13, &listing));
        assert_string_equal(listing_missing_tablespace(&listing, &own)->path, "pg_tblspc/16");
        assert_false(listing_check_complete(&listing, version_of_major(15), &own, &error));
        assert_string_equal(
            error.message,
            "tablespace \"pg_tblspc/16\" of the source is missing: nothing is in \"/place/PG_15\"");
        listing_free(&listing);
    }
}

/* Found by their paths, in whichever order they were listed; one whose target is not told has none.
 */
static void test_links_lead_to_their_targets(void **state)
{
    VisitedFile files[] = {{"pg_tblspc", FILE_DIRECTORY, 0, NULL, false, 0, 0, false},
                           {"pg_tblspc/3", FILE_LINK, 0, "/three", false, 0, 0, false},
                           {"pg_tblspc/2", FILE_LINK, 0, NULL, false, 0, 0, false},
                           {"pg_tblspc/1", FILE_LINK, 0, "/one", false, 0, 0, false}};
    Listing listing;

    (void) state;
    assert_true(list_files(files, 4, &listing));
    assert_string_equal(listing_link_target(&listing, "pg_tblspc/1"), "/one");
    assert_null(listing_link_target(&listing, "pg_tblspc/2"));
    assert_string_equal(listing_link_target(&listing, "pg_tblspc/3"), "/three");
    assert_null(listing_link_target(&listing, "pg_tblspc"));
    listing_free(&listing);
}

/* More than a quarter of an exabyte in all, of which a listing knows the size. */
static void test_sizes_that_no_disk_holds(void **state)
{
    VisitedFile files[] = {{"a", FILE_REGULAR, (uint64_t) 1 << 57, NULL, false, 0, 0, false},
                           {"b", FILE_REGULAR, ((uint64_t) 1 << 57) - 1, NULL, false, 0, 0, false}};
    Listing listing;

    (void) state;
    assert_true(list_files(files, 2, &listing));
    listing_free(&listing);
    files[1].size++;
    assert_false(list_files(files, 2, &listing));
    assert_string_equal(error.message, "file \"b\" cannot be 144115188075855872 bytes long");
    listing_free(&listing);
    files[1].size = UINT64_MAX;
    assert_false(list_files(files, 2, &listing));
    listing_free(&listing);
}

static void test_many_files(void **state)
{
    enum
    {
        COUNT = 5000
    };
    static VisitedFile files[COUNT + 1];
    static char paths[COUNT][16];
    Listing listing;

    (void) state;
    for (int i = 0; i < COUNT; i++)
    {
        snprintf(paths[i], sizeof(paths[i]), "base/%d", (i * 7919) % COUNT);
        files[i] = (VisitedFile){paths[i], FILE_REGULAR, 8192, NULL, false, 0, 0, false};
    }
    files[COUNT] = (VisitedFile){"base", FILE_DIRECTORY, 0, NULL, false, 0, 0, false};
    assert_true(list_files(files, COUNT + 1, &listing));
    assert_int_equal(listing.count, COUNT + 1);
    for (int i = 0; i < COUNT; i++)
        assert_non_null(listing_find(&listing, paths[i]));
    listing_free(&listing);
}

/* From each file every path that sorts behind it, there or not. */
static void test_what_lies_behind(void **state)
{
    VisitedFile files[40];
    char paths[40][16];
    Listing listing;

    (void) state;
    for (int i = 0; i < 40; i++)
    {
        snprintf(paths[i], sizeof(paths[i]), "f%02d", 2 * i);
        files[i] = (VisitedFile){.path = paths[i], .type = FILE_REGULAR};
    }
    for (size_t count = 1; count <= 40; count++)
    {
        assert_true(list_files(files, count, &listing));
        for (size_t from = 0; from < count; from++)
        {
            for (size_t i = 2 * from + 1; i < 2 * count + 2; i++)
            {
                char path[16];

                snprintf(path, sizeof(path), "f%02zu", i);
                assert_ptr_equal(listing_find_after(&listing, &listing.files[from], path),
                                 listing_find(&listing, path));
            }
        }
        listing_free(&listing);
    }
}

static void make(const char *path)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs("12345", file);
    fclose(file);
}

static void test_the_targets_own_directory(void **state)
{
    char directory[] = "/tmp/test_listing_XXXXXX", command[64];
    Target target = {.directory = mkdtemp(directory), .control.version = version_of_major(15)};
    Listing listing;

    (void) state;
    assert_int_equal(chdir(directory), 0);
    assert_int_equal(mkdir("base", 0700), 0);
    assert_int_equal(mkdir("elsewhere", 0700), 0);
    assert_int_equal(mkdir("pg_tblspc", 0700), 0);
    make("base/1");
    make("elsewhere/2");
    assert_int_equal(symlink("../elsewhere", "pg_tblspc/16500"), 0);
    assert_int_equal(symlink("elsewhere", "link"), 0);
    assert_int_equal(mkfifo("fifo", 0600), 0);
    assert_true(listing_of_target(&target, &listing, &error));
    assert_int_equal(listing_find(&listing, "base")->type, FILE_DIRECTORY);
    assert_int_equal(listing_find(&listing, "base/1")->size, 5);
    assert_int_equal(listing_find(&listing, "fifo")->type, FILE_OTHER);
    assert_int_equal(listing_find(&listing, "link")->type, FILE_LINK);
    assert_string_equal(listing_link_target(&listing, "link"), "elsewhere");
    assert_null(listing_find(&listing, "link/2"));
    assert_int_equal(listing_find(&listing, "pg_tblspc/16500")->type, FILE_LINK);
    assert_non_null(listing_find(&listing, "pg_tblspc/16500/2"));
    assert_int_equal(listing.file_system_count, 1);
    listing_free(&listing);
    assert_int_equal(chdir("/"), 0);
    snprintf(command, sizeof(command), "rm -rf '%s'", directory);
    assert_int_equal(system(command), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_safe_paths),
        cmocka_unit_test(test_a_listing_is_sorted_and_owns_its_strings),
        cmocka_unit_test(test_the_file_systems_of_a_listing),
        cmocka_unit_test(test_bad_listings_are_refused),
        cmocka_unit_test(test_all_is_in_directories),
        cmocka_unit_test(test_what_every_source_has),
        cmocka_unit_test(test_tablespaces_have_content),
        cmocka_unit_test(test_links_lead_to_their_targets),
        cmocka_unit_test(test_sizes_that_no_disk_holds),
        cmocka_unit_test(test_many_files),
        cmocka_unit_test(test_what_lies_behind),
        cmocka_unit_test(test_the_targets_own_directory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
