/* Rule C92. */
/*
 * The source's WAL is fetched once; a part of a segment is no substitute for the segment.
 */
#include "wal_store/source_wal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/dir.h"
#include "io/file.h"
#include "../wal/wal_writer.h"

#define PART 20000

static char root[64];
static char scratch[128];
static Error error;
static Arena *arena;
static WalWriter *writer;
static Clusters clusters;
static SourceWal *wal;

/* The server: its list has the segments from `oldest` to `newest`, and `recycled` after them; it
 * has the first `available` bytes of each. */
static uint64_t oldest, newest, recycled;
static int list_count;
static size_t available;
static int request_count;
static uint64_t sent_bytes;

static uint8_t byte_at(uint64_t offset)
{
    return (uint8_t) (offset % 251 + 1);
}

static bool fetch(Source *source, int worker, const FetchBatch *batch, FetchDelivery deliver,
                  void *context, Error *failure)
{
    const FetchRequest *requests = batch->requests;
    static uint8_t bytes[FETCH_SIZE_MAX];
    bool ok = true;

    (void) source;
    (void) worker;
    request_count++;
    for (size_t i = 0; ok && i < batch->count; i++)
    {
        const size_t left = requests[i].offset < available ? available - requests[i].offset : 0;
        const size_t size = left < requests[i].size ? left : requests[i].size;

        for (size_t k = 0; k < size; k++)
            bytes[k] = byte_at(requests[i].offset + k);
        sent_bytes += size;
        ok = deliver(context, i, available > 0 ? bytes : NULL, size, failure);
    }
    return ok;
}

static bool list_names(Source *source, const char *directory, Arena *list_arena,
                       const char ***names, Error *failure)
{
    size_t count = 0;

    (void) source;
    (void) failure;
    list_count++;
    assert_string_equal(directory, "pg_wal");
    *names = arena_allocate(list_arena, (newest + recycled + 4) * sizeof(**names));
    (*names)[count++] = "archive_status";
    (*names)[count++] = "00000002000000000000FFFF"; /* segment of another timeline */
    for (uint64_t segment = newest + recycled; segment >= oldest; segment--)
    {
        char name[WAL_NAME_SIZE];

        wal_segment_name(&writer->shape, 1, segment, name);
        (*names)[count++] = arena_strdup(list_arena, name);
    }
    (*names)[count] = NULL;
    return true;
}

static bool start_workers(Source *source, int jobs, uint64_t bytes, int *granted, Error *failure)
{
    (void) bytes;
    (void) source;
    (void) failure;
    *granted = jobs;
    return true;
}

static const SourceOperations operations = {
    .fetch = fetch, .names = list_names, .start_workers = start_workers};
static Source server = {.operations = &operations, .is_server = true, .description = "a server"};

static int set_up(void **state)
{
    static Options options = {.jobs = 1};
    SourceState source;
    Control control;

    (void) state;
    strcpy(root, "/tmp/test_source_wal.XXXXXX");
    assert_non_null(mkdtemp(root));
    snprintf(scratch, sizeof(scratch), "%s/scratch", root);
    arena = arena_create();
    writer = writer_create();
    control = (Control){.version = writer->shape.version, .checkpoint.timeline = 1};
    clusters = (Clusters){.source = &server,
                          .shape = writer->shape,
                          .source_history = writer->history,
                          .target = {.directory = root, .control = control}};
    oldest = 1;
    newest = 4;
    recycled = list_count = 0;
    source = (SourceState){.control = control,
                           .position.end = wal_segment_start(&writer->shape, newest) + 1};
    wal = source_wal_create(&options, &clusters, &source, NULL,
                            scratch_create(NULL, scratch, arena), false, arena);
    available = SEGMENT_SIZE;
    request_count = 0;
    sent_bytes = 0;
    return 0;
}

static int tear_down(void **state)
{
    (void) state;
    wal_store_destroy(wal->store);
    arena_destroy(arena);
    free(writer);
    return dir_remove_tree(root, &error) ? 0 : -1;
}

/* Fetch the first `size` bytes of segment 1; true if a copy of the segment is found afterwards. */
static bool is_there(size_t size)
{
    const Lsn begin = wal_segment_start(&clusters.shape, 1);
    AUTO_BUFFER Buffer path = {0};
    bool may_take, found;
    static uint8_t bytes[SEGMENT_SIZE];
    AUTO_FD int fd = -1;
    size_t length;

    if (!source_wal_fetch(wal, begin, begin + size, &error) ||
        !source_wal_find(wal, 1, &path, &may_take, &found, &error))
        fail_msg("%s", error.message);
    if (!found)
        return false;
    assert_true(may_take);
    assert_true(file_open_read(buffer_string(&path), &fd, NULL, &error));
    assert_true(file_read_at(fd, "", bytes, sizeof(bytes), 0, &length, &error));
    assert_int_equal(length, SEGMENT_SIZE);
    for (size_t i = 0; i < size; i++)
        assert_int_equal(bytes[i], byte_at(i));
    return true;
}

static void test_once(void **state)
{
    (void) state;
    assert_true(is_there(SEGMENT_SIZE));
    assert_int_equal(source_wal_fetched_bytes(wal, 1), SEGMENT_SIZE);
    assert_int_equal(request_count, 1);
    assert_true(is_there(SEGMENT_SIZE));
    assert_int_equal(request_count, 1);
}

/* More is asked for than the source has, or the segment is gone: nothing is there, not even what
 * was before. */
static void test_part_is_not_enough(void **state)
{
    (void) state;
    available = PART;
    assert_true(is_there(PART));
    assert_int_equal(source_wal_fetched_bytes(wal, 1), PART);
    assert_false(is_there(2 * PART));
    assert_true(is_there(PART));
    available = 0;
    assert_false(is_there(SEGMENT_SIZE));
    assert_int_equal(source_wal_fetched_bytes(wal, 1), 0);
    available = SEGMENT_SIZE;
    assert_true(is_there(SEGMENT_SIZE));
}

/* The rest is added to the part that is here, which is sent once. */
static void test_part_is_continued(void **state)
{
    const Lsn begin = wal_segment_start(&clusters.shape, 1);

    (void) state;
    assert_true(is_there(PART));
    assert_true(is_there(PART / 2));
    assert_true(source_wal_check_space(wal, begin, begin + 2 * PART, 0, &error));
    assert_true(is_there(PART));
    assert_int_equal(sent_bytes, PART);
    assert_true(is_there(2 * PART));
    assert_true(is_there(3 * PART));
    assert_int_equal(source_wal_fetched_bytes(wal, 1), 3 * PART);
    assert_true(is_there(SEGMENT_SIZE));
    assert_int_equal(source_wal_fetched_bytes(wal, 1), SEGMENT_SIZE);
    assert_int_equal(sent_bytes, SEGMENT_SIZE);

    /* A part that is gone, and one that is left behind: neither is taken for a segment. */
    assert_true(source_wal_remove(wal, 1, &error));
    assert_true(is_there(PART));
    assert_true(source_wal_remove(wal, 1, &error));
    assert_true(is_there(2 * PART));
    assert_int_equal(sent_bytes, SEGMENT_SIZE + 3 * PART);
    assert_true(source_wal_fetch(wal, begin + SEGMENT_SIZE, begin + SEGMENT_SIZE + PART, &error));
    assert_int_equal(source_wal_fetched_bytes(wal, 1), 0);
    assert_true(is_there(SEGMENT_SIZE));

    /* Segment 2, removed as after staging, is fetched again with those that follow: now whole. */
    assert_true(source_wal_remove(wal, 2, &error));
    assert_true(
        source_wal_fetch(wal, begin + SEGMENT_SIZE, begin + 3 * SEGMENT_SIZE + PART, &error));
    assert_int_equal(source_wal_fetched_bytes(wal, 2), SEGMENT_SIZE);
    assert_int_equal(source_wal_fetched_bytes(wal, 4), PART);
}

/* Segments that the source has removed are neither asked for nor counted. Those after all that it
 * had may have come since it was listed. */
static void test_gone(void **state)
{
    const WalShape *shape = &clusters.shape;
    const Lsn begin = wal_segment_start(shape, 1);
    uint64_t first;
    Lsn gone_end;

    (void) state;
    oldest = 3;
    recycled = 2;
    assert_true(source_wal_find_gone(wal, begin + PART, begin + 3 * SEGMENT_SIZE + PART, &first,
                                     &gone_end, &error));
    assert_int_equal(first, 1);
    assert_int_equal(gone_end, wal_segment_start(shape, 3));
    assert_true(
        source_wal_find_gone(wal, gone_end, begin + 8 * SEGMENT_SIZE, &first, &gone_end, &error));
    assert_int_equal(first, 3);
    assert_int_equal(gone_end, LSN_INVALID);

    assert_int_equal(source_wal_bytes_to_fetch(wal, begin + PART, begin + 3 * SEGMENT_SIZE + PART),
                     SEGMENT_SIZE + PART);
    assert_int_equal(source_wal_bytes_to_fetch(wal, begin, begin + 2 * SEGMENT_SIZE), 0);
    assert_int_equal(source_wal_bytes_to_fetch(wal, begin + 7 * SEGMENT_SIZE, (Lsn) 1 << 60),
                     ((Lsn) 1 << 60) - begin - 7 * SEGMENT_SIZE);
    assert_true(source_wal_fetch(wal, begin, begin + 2 * SEGMENT_SIZE, &error));
    assert_int_equal(request_count, 0);
    assert_true(source_wal_fetch(wal, begin, begin + 3 * SEGMENT_SIZE, &error));
    assert_int_equal(sent_bytes, SEGMENT_SIZE);
    assert_int_equal(source_wal_bytes_to_fetch(wal, begin, begin + 3 * SEGMENT_SIZE + PART), PART);
    assert_true(source_wal_fetch(wal, begin, begin + 8 * SEGMENT_SIZE, &error));
    assert_int_equal(sent_bytes, 6 * SEGMENT_SIZE);
    assert_int_equal(list_count, 1);
}

/* Bytes that were requested and did not arrive do not count as fetched. */
static void test_only_what_came_counts(void **state)
{
    const Lsn begin = wal_segment_start(&clusters.shape, 1);

    (void) state;
    available = PART;
    assert_true(source_wal_fetch(wal, begin, begin + 2 * SEGMENT_SIZE, &error));
    assert_int_equal(wal->fetched_bytes, 2 * PART);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_part_is_not_enough, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_part_is_continued, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_gone, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_only_what_came_counts, set_up, tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
