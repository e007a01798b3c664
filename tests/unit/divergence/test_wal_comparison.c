#include "../../every_version.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "divergence/wal_comparison.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define SEGMENT_SIZE (4u * 1024 * 1024) /* several pieces */
#define SEGMENT_COUNT 4

static Error error;

/* One side's WAL: a file for each segment; size 0: it is not there. */
typedef struct Side
{
    uint8_t *segments[SEGMENT_COUNT];
    size_t sizes[SEGMENT_COUNT];
    Timeline timelines[SEGMENT_COUNT]; /* in the file's name */
    HistoryEntry entries[2];
    History history;
} Side;

typedef struct Pair
{
    Side target, source;
    Source source_base;
    WalStream stream;
    WalStream archive_stream; /* reads from `archive` */
    Side archive;
    bool is_broken, has_archive, archive_expected;
    Lsn no_content_from;
    uint64_t own_expected; /* equal bytes after the last that the archive gave */
    uint64_t digested, fetched;
} Pair;

static Pair pair;

static bool open_segment(void *context, uint64_t segment, int *fd, bool *found, Error *fails)
{
    const Side *side = context;
    const Side *named_by = side == &pair.target ? side : &pair.source;
    const Timeline timeline = history_timeline_of_segment(
        &named_by->history, wal_segment_start(&pair.stream.shape, segment + 1));

    (void) fails;
    *found =
        segment < SEGMENT_COUNT && side->sizes[segment] > 0 && side->timelines[segment] == timeline;
    if (!*found)
        return true;
    *fd = memfd_create("segment", MFD_CLOEXEC);
    assert_int_equal(write(*fd, side->segments[segment], side->sizes[segment]),
                     side->sizes[segment]);
    return true;
}

/* The bytes of the source that a request asks for; NULL if the source lacks the file. */
static const uint8_t *bytes_of(const FetchRequest *request, size_t *size)
{
    const WalShape *shape = &pair.stream.shape;
    Timeline timeline;
    uint64_t segment;

    assert_true(request->size > 0 && request->size <= FETCH_SIZE_MAX);
    assert_memory_equal(request->path, "pg_wal/", 7);
    assert_true(wal_segment_name_parse(shape, request->path + 7, &timeline, &segment));
    assert_true(segment < SEGMENT_COUNT);
    *size = 0;
    if (pair.source.sizes[segment] == 0 || pair.source.timelines[segment] != timeline)
        return NULL;
    if (request->offset < pair.source.sizes[segment])
        *size = pair.source.sizes[segment] - request->offset;
    if (*size > request->size)
        *size = request->size;
    return pair.source.segments[segment] + request->offset;
}

static bool fetch(Source *source, int worker, const FetchBatch *batch, FetchDelivery deliver,
                  void *context, Error *fails)
{
    (void) worker;
    if (pair.is_broken)
        return error_set(fails, ERROR_FAILED, "the source is broken");
    for (size_t i = 0; i < batch->count; i++)
    {
        uint8_t digest_here[DIGEST_SIZE];
        size_t size;
        const uint8_t *bytes = bytes_of(&batch->requests[i], &size);

        *(batch->digests ? &pair.digested : &pair.fetched) += size;
        if (bytes != NULL && batch->digests)
        {
            assert_true(digest_bytes(source->digest, bytes, size, digest_here));
            bytes = digest_here;
            size = DIGEST_SIZE;
        }
        if (!deliver(context, i, bytes, size, fails))
            return false;
    }
    return true;
}

static const SourceOperations operations = {.fetch = fetch};

static void fill(Side *side)
{
    for (size_t i = 0; i < SEGMENT_COUNT; i++)
    {
        side->segments[i] = malloc(SEGMENT_SIZE);
        side->sizes[i] = SEGMENT_SIZE;
        side->timelines[i] = 1;
        for (size_t at = 0; at < SEGMENT_SIZE; at++)
            side->segments[i][at] = (uint8_t) (at * 31 + i * 7 + (at >> 9));
    }
    side->entries[0] = (HistoryEntry){.timeline = 1};
    side->history = (History){.entries = side->entries, .count = 1};
}

static int make_pair(void **state)
{
    (void) state;
    memset(&pair, 0, sizeof(pair));
    memset(&error, 0, sizeof(error));
    fill(&pair.target);
    fill(&pair.source);
    fill(&pair.archive);
    pair.source_base = (Source){.operations = &operations, .digest = DIGEST_MD5};
    pair.stream = (WalStream){.shape = {.version = version_of_major(15),
                                        .segment_size = SEGMENT_SIZE,
                                        .block_size = 8192},
                              .data_block_size = 8192,
                              .history = &pair.target.history,
                              .open = open_segment,
                              .context = &pair.target};
    pair.archive_stream = pair.stream;
    pair.archive_stream.context = &pair.archive;
    return 0;
}

static int free_pair(void **state)
{
    (void) state;
    for (size_t i = 0; i < SEGMENT_COUNT; i++)
    {
        free(pair.target.segments[i]);
        free(pair.source.segments[i]);
        free(pair.archive.segments[i]);
    }
    return 0;
}

/* Let the source's byte at lsn be another one. */
static void spoil(Lsn lsn)
{
    pair.source.segments[lsn / SEGMENT_SIZE][lsn % SEGMENT_SIZE] ^= 0x40;
}

/* From pair.no_content_from to the end of its segment nothing is read; 0: all is. */
static bool is_no_content(void *context, Lsn lsn, bool *no_content, Error *unused)
{
    (void) context;
    (void) unused;
    *no_content = pair.no_content_from != 0 && lsn >= pair.no_content_from &&
                  lsn / SEGMENT_SIZE == pair.no_content_from / SEGMENT_SIZE;
    return true;
}

static WalSides sides(void)
{
    return (WalSides){.target = &pair.stream,
                      .source = &pair.source_base,
                      .source_history = &pair.source.history,
                      .workers = 1,
                      .is_no_content = is_no_content,
                      .archive = pair.has_archive ? &pair.archive_stream : NULL};
}

/* Compare [from, to) and expect the first difference at lsn, or none (LSN_INVALID), after so many
 * equal bytes. */
static void expect(Lsn from, Lsn to, Lsn lsn, uint64_t equal)
{
    const WalSides both = sides();
    WalComparison comparison;

    assert_true(wal_compare(&both, from, to, &comparison, &error));
    assert_int_equal(comparison.differs, lsn != LSN_INVALID);
    assert_int_equal(comparison.lsn, lsn != LSN_INVALID ? lsn : to);
    assert_int_equal(comparison.lsn - comparison.equal_from, equal);
    assert_int_equal(comparison.lsn - comparison.own_from,
                     pair.archive_expected ? pair.own_expected : equal);
}

#define S SEGMENT_SIZE

static void test_equal_wal(void **state)
{
    (void) state;
    expect(S, 3 * S, LSN_INVALID, 2 * S);
    assert_int_equal(pair.digested, 2 * S);
    assert_int_equal(pair.fetched, 0); /* digests are enough */
    expect(S, S, LSN_INVALID, 0);
    expect(S, S + 1, LSN_INVALID, 1);
    expect(S + 100, 2 * S + 200, LSN_INVALID, S + 100);
    expect(2 * S - 1, 2 * S + 1, LSN_INVALID, 2);
}

static void test_the_first_byte_that_differs(void **state)
{
    static const Lsn places[] = {S,         S + 1, S + FETCH_SIZE_MAX - 1, S + FETCH_SIZE_MAX,
                                 2 * S - 1, 2 * S, 2 * S + 12345,          3 * S - 1};

    for (int with_digests = 0; with_digests < 2; with_digests++)
        for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
        {
            pair.source_base.digest = with_digests == 1 ? DIGEST_MD5 : DIGEST_NONE;
            spoil(places[i]);
            spoil(3 * S + 5); /* never looked at */
            expect(S, 3 * S, places[i], places[i] - S);
            expect(places[i], 3 * S, places[i], 0);
            expect(S, places[i], LSN_INVALID, places[i] - S);
            if (places[i] + 1 < 3 * S)
                expect(places[i] + 1, 3 * S, LSN_INVALID, 3 * S - places[i] - 1);
            free_pair(state);
            make_pair(state);
        }
}

static void test_what_is_no_content_does_not_differ(void **state)
{
    (void) state;
    pair.no_content_from = S + 1000;
    spoil(S + 1000);
    spoil(2 * S - 1);
    expect(S, 3 * S, LSN_INVALID, 2 * S);
    spoil(2 * S);
    expect(S, 3 * S, 2 * S, S);
    spoil(S + 999);
    expect(S, 3 * S, S + 999, 999);
}

static void test_the_earliest_of_several(void **state)
{
    (void) state;
    spoil(2 * S + 5);
    spoil(S + 3 * FETCH_SIZE_MAX + 17);
    spoil(S + 3 * FETCH_SIZE_MAX + 16);
    expect(S, 3 * S, S + 3 * FETCH_SIZE_MAX + 16, 3 * FETCH_SIZE_MAX + 16);
}

/* Hidden by a missing segment, a difference proves nothing; one behind it is found. */
static void test_missing_segments_are_passed_over(void **state)
{
    (void) state;
    pair.source.sizes[1] = 0;
    spoil(2 * S + 5);
    expect(S, 3 * S, 2 * S + 5, 5);
    expect(S, 2 * S, LSN_INVALID, 0);
    expect(0, 2 * S, LSN_INVALID, 0);
    expect(0, 2 * S + 4, LSN_INVALID, 4);
    pair.source.sizes[1] = SEGMENT_SIZE;
    pair.target.sizes[1] = 0;
    spoil(S + 7);
    expect(S, 2 * S, LSN_INVALID, 0);
    expect(S, 3 * S, 2 * S + 5, 5);
}

static void test_short_segments_count_as_far_as_they_go(void **state)
{
    for (int with_digests = 0; with_digests < 2; with_digests++)
    {
        pair.source_base.digest = with_digests == 1 ? DIGEST_MD5 : DIGEST_NONE;
        pair.source.sizes[1] = 1000;
        spoil(S + 1000);
        expect(S, 2 * S, LSN_INVALID, 0);
        expect(S, S + 1000, LSN_INVALID, 1000);
        spoil(S + 999);
        expect(S, 2 * S, S + 999, 999);
        spoil(S + 999);
        pair.source.sizes[1] = SEGMENT_SIZE;
        pair.target.sizes[1] = 1001;
        expect(S, 3 * S, S + 1000, 1000);
        spoil(S + 1000);
        expect(S, 2 * S, LSN_INVALID, 0);
        expect(S, S + 1001, LSN_INVALID, 1001);
        spoil(2 * S);
        expect(S, 3 * S, 2 * S, 0);
        free_pair(state);
        make_pair(state);
    }
}

/* An archive has what the source no longer has, and is not asked for anything else. */
static void test_what_the_source_lacks_is_asked_of_an_archive(void **state)
{
    (void) state;
    pair.has_archive = true;
    expect(S, 3 * S, LSN_INVALID, 2 * S);
    pair.source.sizes[1] = 0;
    pair.archive_expected = true;
    pair.own_expected = S;
    expect(S, 3 * S, LSN_INVALID, 2 * S);
    pair.archive.segments[1][7] ^= 1;
    pair.own_expected = 0;
    expect(S, 3 * S, S + 7, 7);
    pair.archive.sizes[1] = 0;
    pair.archive_expected = false;
    expect(S, 3 * S, LSN_INVALID, S);
    pair.archive.sizes[1] = pair.source.sizes[1] = SEGMENT_SIZE;
    expect(S, 3 * S, LSN_INVALID, 2 * S);
    pair.source.sizes[2] = 0;
    pair.archive_expected = true;
    expect(S, 3 * S, LSN_INVALID, 2 * S);
}

/* Each side's file is that of its own history: the switch to timeline 2 is in segment 2 on the
 * source. */
static void test_each_side_has_its_own_timelines(void **state)
{
    (void) state;
    pair.source.entries[0].end = 2 * S + 100;
    pair.source.entries[1] = (HistoryEntry){.timeline = 2, .begin = 2 * S + 100};
    pair.source.history.count = 2;
    pair.source.timelines[2] = pair.source.timelines[3] = 2;
    expect(S, 2 * S + 100, LSN_INVALID, S + 100);
    spoil(2 * S + 50);
    expect(S, 2 * S + 100, 2 * S + 50, S + 50);
    /* The other way round. */
    pair.source.history.count = 1;
    pair.source.entries[0].end = LSN_INVALID;
    pair.source.timelines[2] = pair.source.timelines[3] = 1;
    pair.target.entries[0].end = 2 * S + 100;
    pair.target.entries[1] = (HistoryEntry){.timeline = 3, .begin = 2 * S + 100};
    pair.target.history.count = 2;
    pair.target.timelines[2] = pair.target.timelines[3] = 3;
    expect(S, 2 * S + 100, 2 * S + 50, S + 50);
}

static void test_a_source_that_fails(void **state)
{
    const WalSides both = sides();
    WalComparison comparison;

    (void) state;
    pair.is_broken = true;
    assert_false(wal_compare(&both, S, 2 * S, &comparison, &error));
    assert_string_equal(error.message, "the source is broken");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, make_pair, free_pair)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_equal_wal),
        TEST(test_the_first_byte_that_differs),
        TEST(test_what_is_no_content_does_not_differ),
        TEST(test_the_earliest_of_several),
        TEST(test_missing_segments_are_passed_over),
        TEST(test_short_segments_count_as_far_as_they_go),
        TEST(test_what_the_source_lacks_is_asked_of_an_archive),
        TEST(test_each_side_has_its_own_timelines),
        TEST(test_a_source_that_fails),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
