/* Timeline histories: real files of each version, lines of all kinds, and what is asked of a
 * history. */
#include "../../every_version.h"
#include "data.h"

#include "format/history.h"

typedef struct Fixture
{
    Arena *arena;
    History history;
    Error error;
} Fixture;

static int set_up(void **state)
{
    Fixture *fixture = calloc(1, sizeof(*fixture));

    fixture->arena = arena_create();
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    Fixture *fixture = *state;

    arena_destroy(fixture->arena);
    free(fixture);
    return 0;
}

static bool parse(Fixture *fixture, Timeline timeline, const char *text)
{
    return history_parse(fixture->arena, timeline, text, strlen(text), &fixture->history,
                         &fixture->error);
}

static void check_entry(const Fixture *fixture, size_t index, Timeline timeline, Lsn begin, Lsn end)
{
    const HistoryEntry *entry = &fixture->history.entries[index];

    assert_true(index < fixture->history.count);
    assert_int_equal(entry->timeline, timeline);
    assert_true(entry->begin == begin);
    assert_true(entry->end == end);
}

static void real_files_are_read(void **state)
{
    Fixture *fixture = *state;
    const Version *version;

    for (size_t row = 0; (version = version_at(row)) != NULL; row++)
    {
        const Timeline newest = data_of_pair(version) ? 2 : 3;
        const HistoryEntry *entries;
        size_t size;
        char *text = (char *) data_read(version, "history", &size);
        assert_true(
            history_parse(fixture->arena, newest, text, size, &fixture->history, &fixture->error));
        entries = fixture->history.entries;
        assert_int_equal(fixture->history.count, newest);
        assert_int_equal(entries[0].timeline, 1);
        assert_true(entries[0].begin == 0);
        assert_true(entries[0].end > 0);
        assert_int_equal(entries[1].timeline, 2);
        assert_true(entries[1].begin == entries[0].end);
        if (newest == 3)
        {
            assert_true(entries[1].end > entries[1].begin);
            assert_int_equal(entries[2].timeline, 3);
            assert_true(entries[2].begin == entries[1].end);
        }
        assert_true(entries[newest - 1].end == LSN_INVALID);
        free(text);
    }
}

static void no_prefix_and_no_changed_byte_does_harm(void **state)
{
    Fixture *fixture = *state;
    size_t size;
    char *text = (char *) data_read(version_of_major(12), "history", &size);

    for (size_t prefix = 0; prefix <= size; prefix++)
    {
        char *copy =
            malloc(prefix + (prefix == 0)); /* exactly as long: nothing may be read behind */
        memcpy(copy, text, prefix);
        (void) !history_parse(fixture->arena, 3, copy, prefix, &fixture->history, &fixture->error);
        for (size_t i = 0; i < prefix; i++)
        {
            copy[i] = (char) (copy[i] ^ 0x15);
            (void) !history_parse(fixture->arena, 3, copy, prefix, &fixture->history,
                                  &fixture->error);
            copy[i] = (char) (copy[i] ^ 0x15);
        }
        free(copy);
    }
    free(text);
}

static void the_first_timeline_has_no_file(void **state)
{
    Fixture *fixture = *state;

    assert_true(history_parse(fixture->arena, 1, NULL, 0, &fixture->history, &fixture->error));
    assert_int_equal(fixture->history.count, 1);
    check_entry(fixture, 0, 1, 0, LSN_INVALID);
}

static void comments_blanks_and_both_lsn_forms_are_read(void **state)
{
    Fixture *fixture = *state;

    assert_true(parse(fixture, 9,
                      "# a comment\n\n  \t1\t0/3000028\tno recovery target specified\r\n"
                      "\n4 1/0000A0b0\n 7\tA/FFFFFFFF reason with 9/9 in it"));
    assert_int_equal(fixture->history.count, 4);
    check_entry(fixture, 0, 1, 0, 0x3000028);
    check_entry(fixture, 1, 4, 0x3000028, 0x10000A0B0);
    check_entry(fixture, 2, 7, 0x10000A0B0, 0xAFFFFFFFF);
    check_entry(fixture, 3, 9, 0xAFFFFFFFF, LSN_INVALID);
}

static void lines_may_be_of_any_length(void **state)
{
    Fixture *fixture = *state;
    size_t size = 100000;
    char *text = malloc(size + 1);

    memset(text, 'x', size);
    memcpy(text, "1\t0/10\t", 7);
    memcpy(text + size - 9, "\n2\t0/20\t\n", 9);
    text[size] = '\0';
    assert_true(parse(fixture, 3, text));
    check_entry(fixture, 1, 2, 0x10, 0x20);
    free(text);
}

static void refuse(Fixture *fixture, Timeline timeline, const char *text, const char *message,
                   const char *detail)
{
    assert_false(parse(fixture, timeline, text));
    assert_string_equal(fixture->error.message, message);
    assert_string_equal(fixture->error.detail, detail);
}

static void bad_lines_are_refused_in_the_words_of_the_original(void **state)
{
    static const char *const no_id = "Expected a numeric timeline ID.";
    static const char *const no_lsn = "Expected a write-ahead log switchpoint location.";
    static const char *const order = "Timeline IDs must be in increasing sequence.";
    static const char *const child = "Timeline IDs must be less than child timeline's ID.";
    Fixture *fixture = *state;

    refuse(fixture, 3, "x\t0/10\t\n", "syntax error in history file: x\t0/10\t", no_id);
    refuse(fixture, 3, "99999999999 0/10", "syntax error in history file: 99999999999 0/10", no_id);
    refuse(fixture, 3, "1\n", "syntax error in history file: 1", no_lsn);
    refuse(fixture, 3, "1\t0", "syntax error in history file: 1\t0", no_lsn);
    refuse(fixture, 3, "1\t0/", "syntax error in history file: 1\t0/", no_lsn);
    refuse(fixture, 3, "1\t0/G", "syntax error in history file: 1\t0/G", no_lsn);
    refuse(fixture, 3, "1\t0/123456789", "syntax error in history file: 1\t0/123456789", no_lsn);
    refuse(fixture, 3, "2 0/10\n1 0/20", "invalid data in history file: 1 0/20", order);
    refuse(fixture, 3, "1 0/10\n1 0/20", "invalid data in history file: 1 0/20", order);
    refuse(fixture, 3, "1 0/10\n3 0/20\n", "invalid data in history file", child);
}

/* As the server looks for a position: from the newest entry on. */
static void a_later_switch_point_cuts_those_before_it(void **state)
{
    Fixture *fixture = *state;

    assert_true(parse(fixture, 9, "1 0/10\n2 0/30\n3 0/28\n5 0/20\n7 0/40\n"));
    check_entry(fixture, 0, 1, 0, 0x10);
    check_entry(fixture, 1, 2, 0x10, 0x20);
    check_entry(fixture, 2, 3, 0x20, 0x20);
    check_entry(fixture, 3, 5, 0x20, 0x20);
    check_entry(fixture, 4, 7, 0x20, 0x40);
    check_entry(fixture, 5, 9, 0x40, 0);
    assert_int_equal(history_timeline_at(&fixture->history, 0x1F), 2);
    assert_int_equal(history_timeline_at(&fixture->history, 0x20), 7);
    assert_int_equal(history_timeline_of_segment(&fixture->history, 0x20), 2);
    assert_int_equal(history_timeline_of_segment(&fixture->history, 0x30), 7);
}

/* 0 would be taken for no end, and segments are added to switch points. */
static void switch_points_that_no_server_writes_are_refused(void **state)
{
    static const char *const nowhere = "No timeline ends there.";
    Fixture *fixture = *state;

    refuse(fixture, 3, "1\t0/0\n", "invalid data in history file: 1\t0/0", nowhere);
    refuse(fixture, 3, "1\t80000000/0\n", "invalid data in history file: 1\t80000000/0", nowhere);
    assert_true(parse(fixture, 3, "1\t7FFFFFFF/FFFFFFFF\n"));
}

static void too_many_timelines_are_refused(void **state)
{
    Fixture *fixture = *state;
    char *text = malloc(100002 * 16);
    size_t size = 0;

    for (unsigned i = 1; i <= 100000; i++)
        size += (size_t) sprintf(text + size, "%u\t0/%X\n", i, i);
    assert_true(parse(fixture, 200000, text));
    assert_int_equal(fixture->history.count, 100001);
    sprintf(text + size, "100001\t1/0\n");
    assert_false(parse(fixture, 200000, text));
    assert_non_null(strstr(fixture->error.message, "too many timelines"));
    free(text);
}

static void positions_are_found(void **state)
{
    Fixture *fixture = *state;
    const History *history = &fixture->history;

    assert_true(parse(fixture, 5, "1 0/1000500\n2 0/1000900\n3 0/5000000\n"));
    assert_int_equal(history_timeline_at(history, 0), 1);
    assert_int_equal(history_timeline_at(history, 0x10004FF), 1);
    assert_int_equal(history_timeline_at(history, 0x1000500), 2);
    assert_int_equal(history_entry_at(history, 0x1000900), 2);
    assert_int_equal(history_timeline_at(history, UINT64_MAX), 5);
    /* A segment with switch points is read from the newest timeline that has part of it. */
    assert_int_equal(history_timeline_of_segment(history, 0x1000000), 1);
    assert_int_equal(history_timeline_of_segment(history, 0x2000000), 3);
    assert_int_equal(history_timeline_of_segment(history, 0x5000000), 3);
    assert_int_equal(history_timeline_of_segment(history, 0x6000000), 5);
}

static void check_common(Fixture *fixture, Timeline timeline_a, const char *text_a,
                         Timeline timeline_b, const char *text_b, size_t index, Lsn end)
{
    History a;
    History b;
    Lsn found_end;
    size_t found;

    assert_true(
        history_parse(fixture->arena, timeline_a, text_a, strlen(text_a), &a, &fixture->error));
    assert_true(
        history_parse(fixture->arena, timeline_b, text_b, strlen(text_b), &b, &fixture->error));
    assert_true(history_common(&a, &b, &found, &found_end));
    assert_int_equal(found, index);
    assert_true(found_end == end);
    assert_true(history_common(&b, &a, &found, &found_end));
    assert_int_equal(found, index);
    assert_true(found_end == end);
}

static void the_last_common_timeline_is_found(void **state)
{
    Fixture *fixture = *state;
    History a;
    History b;
    size_t index;
    Lsn end;

    check_common(fixture, 1, "", 2, "1 0/100", 0, 0x100);
    check_common(fixture, 2, "1 0/100", 3, "1 0/200", 0, 0x100);
    check_common(fixture, 3, "1 0/100\n2 0/300", 4, "1 0/100\n2 0/250", 1, 0x250);
    check_common(fixture, 2, "1 0/100", 2, "1 0/100", 1, LSN_INVALID);
    /* Two servers that each made a timeline 2. */
    check_common(fixture, 2, "1 0/100", 2, "1 0/180", 0, 0x100);
    check_common(fixture, 3, "1 0/100\n2 0/300", 4, "1 0/180\n2 0/300", 0, 0x100);

    assert_true(parse(fixture, 1, ""));
    a = fixture->history;
    assert_true(parse(fixture, 4, "2 0/100"));
    b = fixture->history;
    assert_false(history_common(&a, &b, &index, &end));
}

static bool has_file(const Fixture *fixture, Timeline timeline, const char *text)
{
    return history_has_file(&fixture->history, fixture->arena, timeline, text, strlen(text));
}

static void files_of_a_history_are_known(void **state)
{
    Fixture *fixture = *state;
    History other;

    assert_true(parse(fixture, 5, "1 0/100\n2 0/200\n4 0/300"));
    assert_true(has_file(fixture, 5, "1 0/100\n2 0/200\n4 0/300"));
    assert_true(has_file(fixture, 4, "1\t0/100\tno recovery target\n2 0/200"));
    assert_true(has_file(fixture, 2, "1 0/100"));
    assert_false(has_file(fixture, 5, "1 0/100\n2 0/200\n4 0/301"));
    assert_false(has_file(fixture, 4, "1 0/100\n2 0/180"));
    assert_false(has_file(fixture, 2, "1 0/FF"));
    assert_false(has_file(fixture, 4, "1 0/100"));
    /* Timelines that the history does not have, and what is no history. */
    assert_false(has_file(fixture, 3, "1 0/100\n2 0/200"));
    assert_false(has_file(fixture, 6, "1 0/100\n2 0/200\n4 0/300\n5 0/400"));
    assert_false(has_file(fixture, 4, "nonsense"));

    /* Of entries that come from another history, a file with them is one of this history. */
    other = fixture->history;
    assert_true(parse(fixture, 5, "4 0/300"));
    history_complete(fixture->arena, &fixture->history, &other);
    assert_int_equal(fixture->history.added, 2);
    assert_true(has_file(fixture, 5, "4 0/300"));
    assert_true(has_file(fixture, 5, "1 0/100\n2 0/200\n4 0/300"));
    assert_true(has_file(fixture, 2, "1 0/100"));
    assert_false(has_file(fixture, 2, "1 0/FF"));
}

static void file_names_go_both_ways(void **state)
{
    char name[HISTORY_NAME_SIZE];
    Timeline timeline;

    (void) state;
    history_file_name(0x1AB, name);
    assert_string_equal(name, "000001AB.history");
    assert_true(history_file_name_parse(name, &timeline));
    assert_int_equal(timeline, 0x1AB);
    assert_false(history_file_name_parse("000001ab.history", &timeline));
    assert_false(history_file_name_parse("00000000.history", &timeline));
    assert_false(history_file_name_parse("000001AB.history2", &timeline));
    assert_false(history_file_name_parse("1AB.history", &timeline));
    assert_false(history_file_name_parse("", &timeline));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(real_files_are_read),
        TEST(no_prefix_and_no_changed_byte_does_harm),
        TEST(the_first_timeline_has_no_file),
        TEST(comments_blanks_and_both_lsn_forms_are_read),
        TEST(lines_may_be_of_any_length),
        TEST(bad_lines_are_refused_in_the_words_of_the_original),
        TEST(a_later_switch_point_cuts_those_before_it),
        TEST(switch_points_that_no_server_writes_are_refused),
        TEST(too_many_timelines_are_refused),
        TEST(positions_are_found),
        TEST(the_last_common_timeline_is_found),
        TEST(files_of_a_history_are_known),
        TEST(file_names_go_both_ways),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
