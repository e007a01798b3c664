#include "wal/scan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../blockmap_count.h"
#include "wal_writer.h"

#define SEGMENT(n) ((Lsn) (n) *SEGMENT_SIZE)
#define BEGIN (SEGMENT(1) + 40) /* LSN of the first record */
#define LSN_MAX UINT64_MAX

static Error error;
static const RelationId table = {.tablespace = 1663, .database = 5, .relation = 16400};

/* LSN of a segment's last record, from the link of the next segment's first record. */
static Lsn last_of_segment(const WalWriter *writer, BlockNumber segment)
{
    return load_u64(writer->bytes + SEGMENT(segment + 1) + WAL_LONG_HEADER_SIZE + 8);
}

/* A record for block number `segment` at the beginning of each segment from 1 to last, and fillers
 * behind. */
static void write_segments(WalWriter *writer, BlockNumber last)
{
    for (BlockNumber segment = 1; segment <= last; segment++)
    {
        BlockReference block = {.relation = table, .block = segment};

        writer_record(writer, 10, 0, 0, &block, "data", 4);
        while (writer->position < SEGMENT(segment) + SEGMENT_SIZE - IN_PROPORTION(9000))
            writer_filler(writer, IN_PROPORTION(4000));
        if (segment < last)
            writer_fill_to(writer, SEGMENT(segment + 1));
    }
}

static WalScan *read_forward(const WalWriter *writer, Lsn from, Lsn floor_at_most, int jobs,
                           WalSegmentFacts *end)
{
    WalScan *scan = scan_create(&writer->stream, jobs, floor_at_most);

    if (!scan_forward(scan, from, end, &error))
        fail_msg("%s", error.message);
    return scan;
}

static void forward_fails(const WalWriter *writer)
{
    WalScan *scan = scan_create(&writer->stream, 2, LSN_MAX);
    WalSegmentFacts end;

    assert_false(scan_forward(scan, BEGIN, &end, &error));
    scan_destroy(scan);
}

/* The segments are those from first to last, in order. */
static void check_segments(const WalScan *scan, uint64_t first, uint64_t last)
{
    assert_int_equal(scan->segment_count, last - first + 1);
    for (size_t i = 0; i < scan->segment_count; i++)
        assert_int_equal(scan->segments[i]->facts.segment, first + i);
}

/* ---- Growing ---- */

static void test_both_ways(void **state)
{
    WalWriter *writer = writer_create();

    (void) state;
    write_segments(writer, 9);
    const Lsn last = writer_filler(writer, 100);
    for (int jobs = 1; jobs <= 3; jobs++)
    {
        WalSegmentFacts end;
        WalScan *scan = read_forward(writer, SEGMENT(6) + 40, LSN_MAX, jobs, &end);

        check_segments(scan, 6, 9);
        assert_true(end.end == WAL_SEGMENT_INVALID);
        assert_int_equal(end.invalid_lsn, writer->position);
        assert_int_equal(scan->first_lsn, SEGMENT(6) + 40);
        assert_int_equal(scan->last_lsn, last);
        assert_int_equal(scan->next_lsn, writer->position);
        assert_true(scan->bytes_read > 3 * SEGMENT_SIZE);

        /* The first one was read from `from` on, though that is its beginning. */
        assert_true(scan_first_is_partial(scan));
        assert_true(scan_back(scan, &error));
        assert_false(scan_first_is_partial(scan));
        check_segments(scan, 6, 9);
        assert_true(scan_back(scan, &error));
        check_segments(scan, 6 - (uint64_t) jobs, 9);
        while (scan->segment_count < 9)
            assert_true(scan_back(scan, &error));
        check_segments(scan, 1, 9);
        assert_int_equal(scan->first_lsn, BEGIN);
        assert_int_equal(scan->first_prev, LSN_INVALID);
        assert_int_equal(scan->last_lsn, last);
        assert_false(scan_back(scan, &error));
        assert_string_equal(error.message,
                            said_at("could not find previous WAL record at", writer, LSN_INVALID));
        scan_destroy(scan);
    }
    scan_destroy(NULL);
    free(writer);
}

/* A segment that was read from its middle on is completed before earlier segments are read. */
static void test_partial_segment(void **state)
{
    WalWriter *writer = writer_create();
    WalSegmentFacts end;

    (void) state;
    write_segments(writer, 3);
    const Lsn from = writer_filler(writer, 100);
    WalScan *scan = read_forward(writer, from, LSN_MAX, 2, &end);
    check_segments(scan, 3, 3);
    assert_int_equal(scan->segments[0]->record_count, 1);
    assert_false(blockmap_names(scan->segments[0]->blocks, table, 3));
    assert_true(scan_back(scan, &error));
    check_segments(scan, 3, 3);
    assert_true(scan->segments[0]->record_count > 10);
    assert_true(blockmap_names(scan->segments[0]->blocks, table, 3));
    assert_int_equal(scan->first_lsn, SEGMENT(3) + 40);
    assert_int_equal(scan->last_lsn, from);
    scan_destroy(scan);
    free(writer);
}

/* Segments that a record fills from end to end hold none that starts, and are no gap. */
static void test_a_long_record(void **state)
{
    WalWriter *writer = writer_create();
    WalSegmentFacts end;

    (void) state;
    writer_filler(writer, 300);
    const Lsn record = writer_filler(writer, 3 * SEGMENT_SIZE);
    const Lsn last = writer_filler(writer, 300);
    WalScan *scan = read_forward(writer, BEGIN, LSN_MAX, 2, &end);
    check_segments(scan, 1, 4);
    assert_int_equal(scan->segments[1]->record_count, 0);
    assert_int_equal(scan->last_lsn, last);
    scan_destroy(scan);

    scan = read_forward(writer, last, LSN_MAX, 1, &end);
    while (scan->segment_count < 4)
        assert_true(scan_back(scan, &error));
    assert_true(scan->first_lsn < record);
    check_segments(scan, 1, 4);
    scan_destroy(scan);
    free(writer);
}

/* Maps of segments that no floor can cut go into the whole at once. */
/* The record that its writer gave up is the first one of a segment: behind the end of another, or
 * at its very beginning; or nothing else begins in that segment. */
static void test_a_segment_begins_with_a_record_given_up(void **state)
{
    static const struct
    {
        Lsn end_before;
        size_t written;
        uint64_t last;
    } cases[] = {{SEGMENT(2) + 3000, IN_PROPORTION(20000), 2},
                 {SEGMENT(2), IN_PROPORTION(20000), 2},
                 {SEGMENT(3) - IN_PROPORTION(5000), IN_PROPORTION(5000), 3},
                 {SEGMENT(3) - IN_PROPORTION(5000), IN_PROPORTION(9000), 3}};
    WalWriter *writer = writer_create();

    (void) state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
    {
        writer->position = SEGMENT(1);
        writer->last = 0;
        writer_filler(writer, 4000);
        writer_fill_to(writer, cases[i].end_before);
        writer_abandon(writer, IN_PROPORTION(50000), cases[i].written);
        const Lsn last = writer_filler(writer, 100);

        WalSegmentFacts end;
        WalScan *scan = read_forward(writer, BEGIN, LSN_MAX, 2, &end);
        assert_int_equal(scan->last_lsn, last);
        assert_int_equal(end.invalid_lsn, writer->position);
        check_segments(scan, 1, cases[i].last);
        scan_destroy(scan);

        scan = read_forward(writer, wal_skip_header(&writer->shape, last), LSN_MAX, 2, &end);
        while (scan->segment_count < cases[i].last)
            assert_true(scan_back(scan, &error));
        assert_int_equal(scan->first_lsn, BEGIN);
        scan_destroy(scan);
    }
    free(writer);
}

static void test_maps_are_handed_over(void **state)
{
    WalWriter *writer = writer_create();
    WalSegmentFacts end;

    (void) state;
    write_segments(writer, 6);
    WalScan *scan = read_forward(writer, SEGMENT(3) + 40, SEGMENT(4) + 1000, 2, &end);
    while (scan->segment_count < 6)
        assert_true(scan_back(scan, &error));
    for (BlockNumber segment = 1; segment <= 6; segment++)
    {
        const SegmentContent *content = scan->segments[segment - 1];

        assert_int_equal(blockmap_names(scan->blocks, table, segment), segment > 4);
        assert_int_equal(content->blocks != NULL, segment <= 4);
        if (content->blocks != NULL)
            assert_true(blockmap_names(content->blocks, table, segment));
    }
    scan_destroy(scan);
    free(writer);
}

/* ---- Links ---- */

static bool say_missing(void *context, uint64_t segment, Error *failure)
{
    (void) context;
    return error_set(failure, ERROR_FAILED, "nowhere: %u", (unsigned) segment);
}

/* The link of the scan's first record names another LSN than that of the record before. */
static void test_a_wrong_link_backward(void **state)
{
    WalWriter *writer = writer_create();
    WalSegmentFacts end;

    (void) state;
    writer_filler(writer, 300);
    const Lsn before = writer_fill_to(writer, SEGMENT(2));
    writer->last -= 8;
    writer_filler(writer, 300);
    const Lsn from = writer_filler(writer, 300);
    writer->stream.missing = say_missing; /* set for the target's WAL only */
    WalScan *scan = read_forward(writer, from, LSN_MAX, 2, &end);
    assert_true(scan_back(scan, &error)); /* the rest of segment 2 */
    assert_false(scan_back(scan, &error));
    assert_in(said_at("could not find previous WAL record at", writer, before - 8), error.message);
    assert_in(said_at(": the last record before it starts at", writer, before), error.message);
    assert_in("undamaged copy of segment \"000000010000000000000001\"", error.hint);
    check_segments(scan, 2, 2);
    scan_destroy(scan);
    free(writer);
}

/* A batch that reaches back to a missing segment keeps the segments after that. */
static void test_missing_further_back(void **state)
{
    WalWriter *writer = writer_create();
    WalSegmentFacts end;

    (void) state;
    write_segments(writer, 6);
    writer->missing[3] = true;
    const Lsn last = last_of_segment(writer, 3);
    WalScan *scan = read_forward(writer, SEGMENT(6) + 40, LSN_MAX, 3, &end);
    assert_true(scan_back(scan, &error));
    assert_true(scan_back(scan, &error));
    check_segments(scan, 4, 6);
    assert_false(scan_back(scan, &error));
    assert_string_equal(error.message, "WAL segment \"000000010000000000000003\" is missing");
    assert_in(said_at("could not find previous WAL record at", writer, last),
              error.detail);
    check_segments(scan, 4, 6);
    scan_destroy(scan);
    free(writer);
}

/* ---- End or damage ---- */

static void test_the_end_in_numbers(void **state)
{
    WalWriter *writer = writer_create();
    WalSegmentFacts end;

    (void) state;
    write_segments(writer, 3);
    const Lsn damaged = writer_filler(writer, 300);
    writer->bytes[damaged + 50] ^= 1;
    WalScan *scan = read_forward(writer, BEGIN, LSN_MAX, 2, &end);
    assert_true(end.end == WAL_SEGMENT_INVALID);
    assert_int_equal(scan->next_lsn, damaged);
    assert_int_equal(wal_segment_of(&writer->shape, end.invalid_lsn), 3);
    assert_in("incorrect resource manager data checksum", end.reason);
    scan_destroy(scan);

    writer->missing[3] = true;
    scan = read_forward(writer, BEGIN, LSN_MAX, 2, &end);
    assert_true(end.end == WAL_SEGMENT_MISSING);
    assert_int_equal(end.missing_segment, 3);
    assert_int_equal(scan->next_lsn, SEGMENT(3));
    scan_destroy(scan);
    free(writer);
}

/* A segment that the middle of one record fills proves that WAL continues: so the invalid bytes
 * before that are damage. */
static void test_damage_before_a_long_record(void **state)
{
    WalWriter *writer = writer_create();

    (void) state;
    write_segments(writer, 2);
    const Lsn damaged = writer_filler(writer, 300);
    writer_filler(writer, 2 * SEGMENT_SIZE);
    writer->bytes[damaged + 50] ^= 1;
    forward_fails(writer);
    assert_in(said_at("WAL is damaged at", writer, damaged), error.message);
    assert_in("\"000000010000000000000002\": incorrect resource manager data", error.message);
    assert_string_equal(error.detail,
                        "The WAL continues in segment \"000000010000000000000003\".");
    free(writer);
}

/* Invalid bytes after the stream's limit are not damage, even if WAL follows. */
static void test_damage_behind_the_limit(void **state)
{
    WalWriter *writer = writer_create();
    WalSegmentFacts end;

    (void) state;
    write_segments(writer, 4);
    writer->bytes[SEGMENT(2) + IN_PROPORTION(5000)] ^= 1;
    forward_fails(writer);
    writer->stream.limit = SEGMENT(2) + 300;
    WalScan *scan = read_forward(writer, BEGIN, LSN_MAX, 2, &end);
    assert_true(end.end == WAL_SEGMENT_INVALID);
    assert_true(end.invalid_lsn >= writer->stream.limit);
    check_segments(scan, 1, 2);
    scan_destroy(scan);
    free(writer);
}

/* A hole of several segments is noticed by the newest segment that is there. */
static void test_a_hole_before_the_newest_segment(void **state)
{
    WalWriter *writer = writer_create();
    WalSegmentFacts end;

    (void) state;
    write_segments(writer, 5);
    writer->missing[3] = writer->missing[4] = true;
    WalScan *scan = read_forward(writer, BEGIN, LSN_MAX, 2, &end);
    assert_int_equal(scan->next_lsn, SEGMENT(3));
    scan_destroy(scan);

    writer->stream.newest = 2;
    scan = read_forward(writer, BEGIN, LSN_MAX, 2, &end);
    scan_destroy(scan);

    writer->stream.newest = 5;
    forward_fails(writer);
    assert_string_equal(error.message, "WAL segment \"000000010000000000000003\" is missing");
    assert_string_equal(error.detail,
                        "The WAL continues in segment \"000000010000000000000005\".");
    free(writer);
}

/* ---- Segments that cannot be had ---- */

static void test_words_for_a_missing_segment(void **state)
{
    WalWriter *writer = writer_create();

    (void) state;
    write_segments(writer, 3);
    assert_false(error_missing_wal(&writer->stream, 0x105, &error));
    assert_in("WAL segment \"0000000100000000", error.message);
    writer->missing[2] = true;
    writer->stream.missing = say_missing;
    forward_fails(writer);
    assert_string_equal(error.message, "nowhere: 2");
    assert_in("000000010000000000000003", error.detail);
    free(writer);
}

static uint64_t fails_from; /* segment */

static bool open_some(void *context, uint64_t segment, int *fd, bool *found, Error *failure)
{
    if (segment >= fails_from)
        return error_set(failure, ERROR_FAILED, "could not open %u", (unsigned) segment);
    return writer_open(context, segment, fd, found, failure);
}

/* Read at the same time, and of no interest. */
static void test_errors_behind_the_end(void **state)
{
    WalWriter *writer = writer_create();
    WalSegmentFacts end;

    (void) state;
    write_segments(writer, 3);
    writer->stream.open = open_some;
    fails_from = 5; /* segment 4 is opened to see if WAL continues */
    WalScan *scan = read_forward(writer, BEGIN, LSN_MAX, 3, &end);
    check_segments(scan, 1, 3);
    scan_destroy(scan);
    fails_from = 3;
    forward_fails(writer);
    assert_string_equal(error.message, "could not open 3");
    free(writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_both_ways),
        cmocka_unit_test(test_partial_segment),
        cmocka_unit_test(test_a_long_record),
        cmocka_unit_test(test_a_segment_begins_with_a_record_given_up),
        cmocka_unit_test(test_maps_are_handed_over),
        cmocka_unit_test(test_a_wrong_link_backward),
        cmocka_unit_test(test_missing_further_back),
        cmocka_unit_test(test_the_end_in_numbers),
        cmocka_unit_test(test_damage_before_a_long_record),
        cmocka_unit_test(test_damage_behind_the_limit),
        cmocka_unit_test(test_a_hole_before_the_newest_segment),
        cmocka_unit_test(test_words_for_a_missing_segment),
        cmocka_unit_test(test_errors_behind_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
