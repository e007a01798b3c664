/*
 * Measure the speed of WAL scans. Scans all of a data directory's WAL, from the first segment that
 * exists, and prints gigabytes for a second (10^9, wall time) and nanoseconds for a record (of all
 * threads).
 *
 *   scan_speed DATA_DIRECTORY [JOBS [TIMES]]
 *
 * Files are read through the page cache: the first of several times may measure the disk.
 */
#include "base/arena.h"
#include "base/clock.h"
#include "base/error.h"
#include "format/history.h"
#include "io/dir.h"
#include "io/file.h"
#include "wal/reader.h"
#include "wal/scan.h"

#include "blockmap_count.h"
#include "wal_directory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

typedef struct Lowest
{
    const WalShape *shape;
    uint64_t segment; /* the lowest that there is */
} Lowest;

static void note_name(Lowest *lowest, const char *name)
{
    Timeline timeline;
    uint64_t segment;

    if (wal_segment_name_parse(lowest->shape, name, &timeline, &segment) &&
        segment < lowest->segment)
        lowest->segment = segment;
}

static double processor_seconds(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static bool scan_once(const WalStream *stream, Lsn from, int jobs, Arena *arena, Error *error)
{
    WalScan *scan = scan_create(stream, jobs, from);
    WalSegmentFacts end;
    ScanResult result;
    double wall = clock_seconds();
    double processor = processor_seconds();

    bool good = scan_forward(scan, from, &end, error);
    wall = clock_seconds() - wall;
    processor = processor_seconds() - processor;
    good = good && scan_finish(scan, arena, from, from, &result, error);
    if (good)
        printf("%.2f GB/s, %.1f ns a record (%.2f GB, %llu records of %.0f bytes, %.3f s, "
               "processor %.3f s, %llu blocks); %s\n",
               (double) (end.next_lsn - from) / 1e9 / wall, processor * 1e9 / (double) result.record_count,
               (double) (end.next_lsn - from) / 1e9, (unsigned long long) result.record_count,
               (double) (end.next_lsn - from) / (double) result.record_count, wall, processor,
               (unsigned long long) blockmap_count(result.blocks).blocks, end.reason);
    scan_destroy(scan);
    return good;
}

static bool stop_at_once(void *context, const WalRecord *record, Error *error)
{
    *(Lsn *) context = record->lsn;
    return error_set(error, ERROR_FAILED, "no more than the first record is wanted");
}

/* Set *from to the LSN of the first record that starts in this segment. */
static bool find_begin(const WalStream *stream, uint64_t segment, Lsn *from, Error *error)
{
    WalSegmentFacts facts;

    *from = LSN_INVALID;
    if (wal_read_segment(stream, segment, LSN_INVALID, stop_at_once, from, &facts, error))
        return error_set(error, ERROR_FAILED, "no record starts in the first segment");
    return *from != LSN_INVALID;
}

static bool run(int count, char **arguments, Arena *arena, Error *error)
{
    static WalDirectory directory;
    Lowest lowest = {.shape = &directory.shape, .segment = UINT64_MAX};
    int jobs = count > 2 ? atoi(arguments[2]) : 2;
    int times = count > 3 ? atoi(arguments[3]) : 3;
    History history;
    const char **names;
    Lsn from;

    if (!wal_directory_read(arguments[1], &directory, error) ||
        !dir_list(directory.path, arena, &names, NULL, error) ||
        !history_parse(arena, directory.control.checkpoint.timeline, NULL, 0, &history, error))
        return false;
    for (; *names != NULL; names++)
        note_name(&lowest, *names);
    WalStream stream = wal_directory_stream(&directory, &history);
    if (!find_begin(&stream, lowest.segment, &from, error))
        return false;
    for (int time = 0; time < times; time++)
        if (!scan_once(&stream, from, jobs, arena, error))
            return false;
    return true;
}

int main(int count, char **arguments)
{
    static Error error;

    if (count < 2 || count > 4)
    {
        fputs("usage: scan_speed DATA_DIRECTORY [JOBS [TIMES]]\n", stderr);
        return 2;
    }
    Arena *arena = arena_create();
    bool good = run(count, arguments, arena, &error);
    arena_destroy(arena);
    if (!good)
        fprintf(stderr, "scan_speed: %s\n", error.message);
    return good ? 0 : 1;
}
