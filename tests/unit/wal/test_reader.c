#include "wal/reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>

#include "wal_writer.h"

#define SEGMENT(n) ((Lsn) (n) *SEGMENT_SIZE)
#define RECORDS_MAX 4096

typedef struct Seen
{
    size_t count;
    Lsn lsns[RECORDS_MAX];
    Lsn ends[RECORDS_MAX];
    uint32_t lengths[RECORDS_MAX];
    WalSegmentFacts facts;
} Seen;

static Error error;

static bool see(void *context, const WalRecord *record, Error *unused)
{
    Seen *seen = context;

    (void) unused;
    assert_true(seen->count < RECORDS_MAX);
    seen->lsns[seen->count] = record->lsn;
    seen->ends[seen->count] = record->end;
    seen->lengths[seen->count++] = record->total_length;
    return true;
}

static const WalSegmentFacts *read_from(const WalWriter *writer, Lsn from, Seen *seen)
{
    seen->count = 0;
    assert_true(wal_read_segment(&writer->stream, from / SEGMENT_SIZE, from, see, seen,
                                 &seen->facts, &error));
    assert_int_equal(seen->facts.record_count, seen->count);
    return &seen->facts;
}

static const WalSegmentFacts *read_segment(const WalWriter *writer, uint64_t segment, Seen *seen)
{
    seen->count = 0;
    assert_true(
        wal_read_segment(&writer->stream, segment, LSN_INVALID, see, seen, &seen->facts, &error));
    assert_int_equal(seen->facts.record_count, seen->count);
    return &seen->facts;
}

static void assert_reason(const WalSegmentFacts *facts, const char *part)
{
    if (strstr(facts->reason, part) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", part, facts->reason);
}

static void test_records_of_all_lengths_follow_each_other(void **state)
{
    WalWriter *writer = writer_create();
    static Lsn lsns[RECORDS_MAX];
    static Seen seen;
    size_t count = 0;

    (void) state;
    while (writer->position < SEGMENT(2))
    {
        lsns[count] = writer_filler(writer, 29 + count * 7 % 500);
        count++;
    }
    const WalSegmentFacts *facts = read_segment(writer, 1, &seen);
    assert_int_equal(facts->end, WAL_SEGMENT_COMPLETE);
    assert_int_equal(seen.count, count);
    for (size_t i = 0; i < count; i++)
    {
        assert_int_equal(seen.lsns[i], lsns[i]);
        if (i + 1 < count)
            assert_int_equal(wal_skip_header(&writer->shape, seen.ends[i]), lsns[i + 1]);
    }
    assert_int_equal(facts->first_lsn, SEGMENT(1) + 40);
    assert_int_equal(facts->first_prev, 0);
    assert_int_equal(facts->last_lsn, lsns[count - 1]);
    assert_int_equal(facts->next_lsn, writer->position);
    free(writer);
}

static void test_a_header_may_be_split_over_two_pages(void **state)
{
    (void) state;
    for (uint32_t left = 8; left <= 32; left += 8)
    {
        WalWriter *writer = writer_create();
        static Seen seen;

        writer_fill_to(writer, SEGMENT(1) + BLOCK_SIZE - left);
        Lsn split = writer_filler(writer, 100);
        Lsn after = writer_filler(writer, 100);
        read_segment(writer, 1, &seen);
        assert_int_equal(seen.count, 3);
        assert_int_equal(seen.lsns[1], split);
        assert_int_equal(seen.lsns[2], after);
        free(writer);
    }
}

static void test_a_record_may_end_with_its_page(void **state)
{
    WalWriter *writer = writer_create();
    static Seen seen;

    (void) state;
    writer_fill_to(writer, SEGMENT(1) + BLOCK_SIZE);
    Lsn second = writer_filler(writer, 100);
    const WalSegmentFacts *facts = read_segment(writer, 1, &seen);
    assert_int_equal(seen.count, 2);
    assert_int_equal(seen.ends[0], SEGMENT(1) + BLOCK_SIZE);
    assert_int_equal(second, SEGMENT(1) + BLOCK_SIZE + 24);
    assert_int_equal(facts->end, WAL_SEGMENT_INVALID);

    /* The boundary counts as the position behind the header. */
    read_from(writer, SEGMENT(1) + BLOCK_SIZE, &seen);
    assert_int_equal(seen.count, 1);
    assert_int_equal(seen.lsns[0], second);
    free(writer);
}

static void test_each_segment_can_be_read_alone(void **state)
{
    WalWriter *writer = writer_create();
    static Seen seen;

    (void) state;
    /* One that ends on the third page of segment 2, one that fills segment 3 and more. */
    writer_fill_to(writer, SEGMENT(2) - 1000);
    Lsn crossing = writer_filler(writer, 1000 + 2 * BLOCK_SIZE);
    Lsn first_of_two = writer_filler(writer, 500);
    writer_fill_to(writer, SEGMENT(3) - 8);
    Lsn first_of_four = writer_filler(writer, SEGMENT_SIZE + 5000) + 0;
    Lsn huge = first_of_four;
    first_of_four = writer_filler(writer, 64);

    const WalSegmentFacts *facts = read_segment(writer, 1, &seen);
    assert_int_equal(facts->end, WAL_SEGMENT_COMPLETE);
    assert_int_equal(facts->last_lsn, crossing);
    assert_int_equal(facts->next_lsn, first_of_two);

    facts = read_segment(writer, 2, &seen);
    assert_int_equal(facts->end, WAL_SEGMENT_COMPLETE);
    assert_int_equal(facts->first_lsn, first_of_two);
    assert_int_equal(facts->first_prev, crossing);
    assert_int_equal(facts->last_lsn, huge);
    assert_int_equal(facts->next_lsn, first_of_four);

    facts = read_segment(writer, 3, &seen);
    assert_int_equal(facts->end, WAL_SEGMENT_COMPLETE);
    assert_int_equal(facts->record_count, 0);
    assert_int_equal(facts->first_lsn, LSN_INVALID);
    assert_int_equal(facts->next_lsn, SEGMENT(4));

    facts = read_segment(writer, 4, &seen);
    assert_int_equal(facts->first_lsn, first_of_four);
    assert_int_equal(facts->first_prev, huge);
    free(writer);
}

static void test_a_remainder_may_end_with_its_page(void **state)
{
    WalWriter *writer = writer_create();
    static Seen seen;

    (void) state;
    writer_fill_to(writer, SEGMENT(2) - 104);
    /* 104 bytes in segment 1, then the whole payload of the first page. */
    writer_filler(writer, 104 + BLOCK_SIZE - 40);
    Lsn next = writer_filler(writer, 100);
    assert_int_equal(next, SEGMENT(2) + BLOCK_SIZE + 24);
    const WalSegmentFacts *facts = read_segment(writer, 2, &seen);
    assert_int_equal(facts->first_lsn, next);
    facts = read_segment(writer, 1, &seen);
    assert_int_equal(facts->next_lsn, SEGMENT(2) + BLOCK_SIZE);
    free(writer);
}

static void test_a_record_given_up_is_passed_over(void **state)
{
    WalWriter *writer = writer_create();
    static Seen seen;

    (void) state;
    Lsn first = writer_filler(writer, 100);
    Lsn abandoned = writer_abandon(writer, IN_PROPORTION(50000), IN_PROPORTION(10000));
    Lsn after = writer_filler(writer, 100);
    read_segment(writer, 1, &seen);
    assert_int_equal(seen.count, 3);
    assert_int_equal(seen.lsns[0], first);
    assert_true(seen.lsns[1] > abandoned && seen.lsns[1] % BLOCK_SIZE == 24);
    assert_int_equal(seen.lsns[2], after);
    free(writer);
}

static void test_a_record_may_be_given_up_in_a_later_segment(void **state)
{
    WalWriter *writer = writer_create();
    const size_t amounts[] = {900, IN_PROPORTION(20000)};
    static Seen seen;

    (void) state;
    for (size_t i = 0; i < 2; i++)
    {
        writer->position = SEGMENT(1);
        writer->last = 0;
        Lsn before = writer_fill_to(writer, SEGMENT(2) - 1000);
        writer_abandon(writer, IN_PROPORTION(50000), amounts[i]);
        Lsn after = writer_filler(writer, 100);

        const WalSegmentFacts *facts = read_segment(writer, 1, &seen);
        assert_int_equal(facts->end, WAL_SEGMENT_COMPLETE);
        assert_int_equal(facts->last_lsn, before);
        Lsn page = facts->next_lsn;
        assert_true(page >= SEGMENT(2) && page % BLOCK_SIZE == 0);

        facts = read_segment(writer, 2, &seen);
        assert_int_equal(facts->first_lsn, wal_skip_header(&writer->shape, page));
        assert_int_equal(facts->first_prev, before);
        assert_int_equal(facts->last_lsn, after);
    }
    free(writer);
}

static void test_a_switch_ends_the_segment(void **state)
{
    WalWriter *writer = writer_create();
    static Seen seen;

    (void) state;
    writer_filler(writer, 100);
    Lsn switched = writer_switch(writer);
    writer_filler(writer, 100);
    const WalSegmentFacts *facts = read_segment(writer, 1, &seen);
    assert_int_equal(facts->end, WAL_SEGMENT_COMPLETE);
    assert_int_equal(facts->last_lsn, switched);
    assert_int_equal(facts->next_lsn, SEGMENT(2));
    assert_int_equal(seen.ends[1], SEGMENT(2));
    facts = read_segment(writer, 2, &seen);
    assert_int_equal(facts->first_prev, switched);
    free(writer);
}

static void test_where_wal_ends(void **state)
{
    WalWriter *writer = writer_create();
    static Seen seen;
    const WalSegmentFacts *facts;
    char reason[128], lsn[LSN_TEXT_SIZE];

    (void) state;
    Lsn last = writer_filler(writer, 100);
    facts = read_segment(writer, 1, &seen);
    assert_int_equal(facts->end, WAL_SEGMENT_INVALID);
    assert_int_equal(facts->last_lsn, last);
    assert_int_equal(facts->next_lsn, writer->position);
    assert_int_equal(facts->invalid_lsn, writer->position);
    snprintf(reason, sizeof(reason), "invalid record length at %s: expected at least 24, got 0",
             lsn_text(writer->shape.version, SEGMENT(1) + 0x90, lsn));
    assert_reason(facts, reason);

    /* Whole pages of an older segment behind. */
    writer_fill_to(writer, SEGMENT(1) + 2 * BLOCK_SIZE);
    writer_page(writer, SEGMENT(1) + 2 * BLOCK_SIZE, 0, 0);
    store_u64(writer->bytes + SEGMENT(1) + 2 * BLOCK_SIZE + 8, 4711 * BLOCK_SIZE);
    facts = read_segment(writer, 1, &seen);
    assert_int_equal(facts->end, WAL_SEGMENT_INVALID);
    assert_int_equal(facts->next_lsn, SEGMENT(1) + 2 * BLOCK_SIZE);
    assert_reason(facts, "unexpected pageaddr");

    facts = read_segment(writer, 2, &seen);
    assert_int_equal(facts->end, WAL_SEGMENT_MISSING);
    assert_int_equal(facts->missing_segment, 2);
    writer_recycle(writer, 2);
    facts = read_segment(writer, 2, &seen);
    assert_int_equal(facts->end, WAL_SEGMENT_INVALID);
    assert_int_equal(facts->next_lsn, SEGMENT(2));
    free(writer);
}

static void test_a_record_that_was_not_written_to_its_end(void **state)
{
    WalWriter *writer = writer_create();
    static Seen seen;
    const WalSegmentFacts *facts;
    char reason[128];

    (void) state;
    writer_fill_to(writer, SEGMENT(2) - 1000);
    Lsn cut = writer_filler(writer, IN_PROPORTION(30000));

    writer->missing[2] = true;
    facts = read_segment(writer, 1, &seen);
    assert_int_equal(facts->end, WAL_SEGMENT_MISSING);
    assert_int_equal(facts->missing_segment, 2);
    assert_int_equal(facts->next_lsn, cut);

    writer->missing[2] = false;
    memset(writer->bytes + SEGMENT(2) + BLOCK_SIZE, 0, BLOCK_SIZE);
    facts = read_segment(writer, 1, &seen);
    assert_int_equal(facts->end, WAL_SEGMENT_INVALID);
    assert_int_equal(facts->next_lsn, cut);
    assert_int_equal(facts->invalid_lsn, SEGMENT(2) + BLOCK_SIZE);
    assert_reason(facts, "invalid magic number 0000");

    writer_page(writer, SEGMENT(2) + BLOCK_SIZE, 0, 17);
    facts = read_segment(writer, 1, &seen);
    snprintf(reason, sizeof(reason), "invalid contrecord length 17 (expected %zu)",
             IN_PROPORTION(30000) - 1000 - (BLOCK_SIZE - 40));
    assert_reason(facts, reason);
    writer_page(writer, SEGMENT(2) + BLOCK_SIZE, 0, 0);
    facts = read_segment(writer, 1, &seen);
    assert_reason(facts, "there is no contrecord flag");
    free(writer);
}

/* In large pages not every one, but those of all headers. */
static void test_every_changed_byte_ends_the_wal(void **state)
{
    const unsigned step = BLOCK_SIZE > 8192 ? 7 * BLOCK_SIZE / 8192 + 1 : 1;
    WalWriter *writer = writer_create();
    static Lsn lsns[512];
    static Seen seen;
    size_t count = 0;

    (void) state;
    while (writer->position < SEGMENT(1) + BLOCK_SIZE + 2000)
    {
        assert_true(count < sizeof(lsns) / sizeof(lsns[0]));
        lsns[count] = writer_filler(writer, 32 + 8 * (count * 37 % 60));
        count++;
    }
    Lsn end = writer->position;
    for (Lsn lsn = SEGMENT(1); lsn < end; lsn++)
    {
        uint64_t in_page = lsn % BLOCK_SIZE;
        if (in_page >= 40 && lsn % step != 0)
            continue;
        if (in_page == 2) /* a flag that says nothing to us */
            continue;
        if (in_page >= 20 && in_page < 24) /* padding */
            continue;
        if (in_page >= 16 && in_page < 20 && lsn < SEGMENT(1) + BLOCK_SIZE)
            continue;        /* length of what is left, where nothing is */
        size_t expected = 0; /* records that end before the changed byte */
        while (in_page >= 40 && expected + 1 < count && lsns[expected + 1] <= lsn)
            expected++;
        writer->bytes[lsn] ^= 0x10;
        const WalSegmentFacts *facts = read_segment(writer, 1, &seen);
        writer->bytes[lsn] ^= 0x10;
        assert_int_equal(facts->end, WAL_SEGMENT_INVALID);
        if (in_page >= 40)
            assert_int_equal(seen.count, expected);
        else
            assert_true(seen.count < count);
    }
    free(writer);
}

static void test_the_limit(void **state)
{
    WalWriter *writer = writer_create();
    static Seen seen;
    const WalSegmentFacts *facts;

    (void) state;
    Lsn first = writer_filler(writer, 104);
    Lsn second = writer_filler(writer, 104);
    writer_fill_to(writer, SEGMENT(1) + BLOCK_SIZE);
    writer_filler(writer, 104);
    for (Lsn limit = second; limit < second + 104; limit += 8)
    {
        writer->stream.limit = limit;
        facts = read_segment(writer, 1, &seen);
        assert_int_equal(seen.count, 1);
        assert_int_equal(facts->last_lsn, first);
        assert_int_equal(facts->next_lsn, second);
        assert_int_equal(facts->end, WAL_SEGMENT_INVALID);
        assert_int_equal(facts->invalid_lsn, limit);
    }
    writer->stream.limit = second + 104;
    read_segment(writer, 1, &seen);
    assert_int_equal(seen.count, 2);
    writer->stream.limit = SEGMENT(1) + BLOCK_SIZE;
    read_segment(writer, 1, &seen);
    assert_int_equal(seen.count, 3);
    writer->stream.limit = SEGMENT(1);
    facts = read_segment(writer, 1, &seen);
    assert_int_equal(seen.count, 0);
    assert_int_equal(facts->end, WAL_SEGMENT_INVALID);
    facts = read_segment(writer, 2, &seen); /* is not asked for */
    assert_int_equal(facts->end, WAL_SEGMENT_INVALID);
    free(writer);
}

static void test_reading_from_a_place(void **state)
{
    WalWriter *writer = writer_create();
    static Seen seen;
    const WalSegmentFacts *facts;

    (void) state;
    writer_filler(writer, 104);
    Lsn second = writer_filler(writer, 104);
    writer_fill_to(writer, SEGMENT(1) + 3 * BLOCK_SIZE + 800);
    Lsn last = writer_filler(writer, 104);
    read_from(writer, second, &seen);
    assert_int_equal(seen.count, 3);
    read_from(writer, last, &seen);
    assert_int_equal(seen.count, 1);
    read_from(writer, writer->position, &seen);
    assert_int_equal(seen.count, 0);

    facts = read_from(writer, SEGMENT(1) + 8, &seen);
    assert_reason(facts, "invalid record offset");
    facts = read_from(writer, second + 4, &seen);
    assert_reason(facts, "invalid record offset");
    facts = read_from(writer, second + 8, &seen);
    assert_int_equal(facts->end, WAL_SEGMENT_INVALID);
    facts = read_from(writer, SEGMENT(1) + 2 * BLOCK_SIZE, &seen);
    assert_reason(facts, "contrecord is requested by");

    /* The first page of the segment vouches for the others. */
    writer->bytes[SEGMENT(1)] ^= 1;
    facts = read_from(writer, last, &seen);
    assert_reason(facts, "invalid magic number");
    free(writer);
}

static void test_timelines_follow_the_history(void **state)
{
    WalWriter *writer = writer_create();
    static Seen seen;
    const WalSegmentFacts *facts;

    (void) state;
    writer_fill_to(writer, SEGMENT(1) + BLOCK_SIZE + 800);
    writer->entries[0].end = writer->position;
    writer->entries[1] = (HistoryEntry){.timeline = 3, .begin = writer->position};
    writer->history.count = 2;
    writer_filler(writer, 104); /* the page keeps its timeline */
    writer->timeline = 3;
    writer_fill_to(writer, SEGMENT(2));
    writer_filler(writer, 104);
    facts = read_segment(writer, 1, &seen);
    assert_int_equal(facts->end, WAL_SEGMENT_COMPLETE);
    assert_int_equal(seen.count, 3);
    char name[WAL_NAME_SIZE];
    wal_stream_segment_name(&writer->stream, 1, name);
    assert_string_equal(name, "000000030000000000000001");

    store_u32(writer->bytes + SEGMENT(2) + 4, 1); /* ended before */
    facts = read_segment(writer, 2, &seen);
    assert_reason(facts, "unexpected timeline ID 1");
    store_u32(writer->bytes + SEGMENT(2) + 4, 2); /* timeline of another history */
    facts = read_segment(writer, 2, &seen);
    assert_reason(facts, "unexpected timeline ID 2");
    store_u32(writer->bytes + SEGMENT(1) + 3 * BLOCK_SIZE + 4, 1);
    facts = read_segment(writer, 1, &seen);
    assert_reason(facts, "out-of-sequence timeline ID 1 (after 3)");
    free(writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_records_of_all_lengths_follow_each_other),
        cmocka_unit_test(test_a_header_may_be_split_over_two_pages),
        cmocka_unit_test(test_a_record_may_end_with_its_page),
        cmocka_unit_test(test_each_segment_can_be_read_alone),
        cmocka_unit_test(test_a_remainder_may_end_with_its_page),
        cmocka_unit_test(test_a_record_given_up_is_passed_over),
        cmocka_unit_test(test_a_record_may_be_given_up_in_a_later_segment),
        cmocka_unit_test(test_a_switch_ends_the_segment),
        cmocka_unit_test(test_where_wal_ends),
        cmocka_unit_test(test_a_record_that_was_not_written_to_its_end),
        cmocka_unit_test(test_every_changed_byte_ends_the_wal),
        cmocka_unit_test(test_the_limit),
        cmocka_unit_test(test_reading_from_a_place),
        cmocka_unit_test(test_timelines_follow_the_history),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
