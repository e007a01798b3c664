/*
 * The end of the target's WAL, where the segment that must be there is not.
 */
#include "divergence/divergence.h"

#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>

#include "../wal/wal_writer.h"

#define SWITCH_POINT (2 * (Lsn) SEGMENT_SIZE + 3 * BLOCK_SIZE)

/* Read from the checkpoint record at lsn, whose segment or the next one is missing. */
static void check_missing(WalWriter *writer, Lsn lsn, const char *name)
{
    Clusters clusters = {.shape = writer->shape};
    Error error = {0};
    WalScan *scan;
    Lsn end;

    clusters.target.control.checkpoint_lsn = clusters.target.control.checkpoint.redo = lsn;
    assert_false(divergence_find_target_end(&clusters, &writer->stream, 1, LSN_INVALID, &scan, &end,
                                            &error));
    assert_string_equal(error.message, name);
    scan_destroy(scan);
    free(writer);
}

/* Recovery reads a segment in which the timeline switches from the file of the new timeline. */
static void test_switch_after_the_checkpoint(void **state)
{
    WalWriter *writer = writer_create();

    (void) state;
    writer->entries[0] = (HistoryEntry){.timeline = 1, .end = SWITCH_POINT};
    writer->entries[1] = (HistoryEntry){.timeline = 2, .begin = SWITCH_POINT};
    writer->history.count = 2;
    check_missing(writer, SWITCH_POINT - BLOCK_SIZE + WAL_SHORT_HEADER_SIZE,
                  "WAL segment \"000000020000000000000002\" is missing");
}

static void test_checkpoint_ends_in_the_next_segment(void **state)
{
    WalWriter *writer = writer_create();

    (void) state;
    writer_fill_to(writer, 2 * SEGMENT_SIZE - 64);
    const Lsn lsn = writer_filler(writer, 120);
    writer->missing[2] = true;
    check_missing(writer, lsn, "WAL segment \"000000010000000000000002\" is missing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_switch_after_the_checkpoint),
        cmocka_unit_test(test_checkpoint_ends_in_the_next_segment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
