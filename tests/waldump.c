/*
 * Print the records of a range of WAL segments as our reader sees them, one a line, for comparison
 * with pg_waldump.
 *
 *   waldump DATA_DIRECTORY FIRST_SEGMENT [LAST_SEGMENT]
 *
 * LSN prev LSN len N tx XID rmgr NAME info XX[, blk ID T/D/R FORK BLOCK[ FPW| FPW-check][ INIT]]...
 *
 * The end of WAL, where it lies in the range, goes to stderr with its reason.
 */
#include "base/arena.h"
#include "base/error.h"
#include "format/history.h"
#include "io/file.h"
#include "wal/reader.h"

#include "wal_directory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool print_record(void *context, const WalRecord *record, Error *error)
{
    (void) context;
    (void) error;
    printf("%X/%08X prev %X/%08X len %u tx %u rmgr %s info %02X", LSN_ARGS(record->lsn),
           LSN_ARGS(record->prev), record->total_length, record->xid,
           walrecord_rmgr_name(record->rmgr), record->info);
    for (unsigned i = 0; i < record->block_count; i++)
    {
        const BlockReference *block = &record->blocks[i];
        const char *image = block->image_applies ? " FPW" : " FPW-check";
        printf(", blk %u %u/%u/%u %u %u%s%s", block->id, block->relation.tablespace,
               block->relation.database, block->relation.relation, block->fork, block->block,
               block->has_image ? image : "", block->will_init ? " INIT" : "");
    }
    putchar('\n');
    return true;
}

static bool read_history(const WalDirectory *directory, Arena *arena, Timeline timeline,
                         History *history, Error *error)
{
    char name[HISTORY_NAME_SIZE];
    AUTO_BUFFER Buffer path = {0};
    AUTO_BUFFER Buffer text = {0};
    bool found = false;

    history_file_name(timeline, name);
    path_in(&path, directory->path, name);
    return file_read_all(buffer_string(&path), (size_t) 1024 * 1024, &text, &found, error) &&
           history_parse(arena, timeline, found ? buffer_string(&text) : NULL, text.size, history,
                         error);
}

static bool dump_segments(const WalStream *stream, uint64_t first, uint64_t last, Error *error)
{
    for (uint64_t segment = first; segment <= last; segment++)
    {
        WalSegmentFacts facts;

        if (!wal_read_segment(stream, segment, LSN_INVALID, print_record, NULL, &facts, error))
            return false;
        if (facts.end != WAL_SEGMENT_COMPLETE)
        {
            fprintf(stderr, "end of WAL at %X/%08X: %s\n", LSN_ARGS(facts.next_lsn), facts.reason);
            return true;
        }
    }
    return true;
}

static bool run(int count, char **arguments, Arena *arena, Error *error)
{
    static WalDirectory directory;
    Timeline timeline;
    uint64_t first;
    uint64_t last;
    History history;

    if (!wal_directory_read(arguments[1], &directory, error))
        return false;
    if (!wal_segment_name_parse(&directory.shape, arguments[2], &timeline, &first) ||
        !wal_segment_name_parse(&directory.shape, arguments[count - 1], &timeline, &last))
        return error_set(error, ERROR_FAILED, "not a segment name");
    if (!read_history(&directory, arena, timeline, &history, error))
        return false;
    WalStream stream = wal_directory_stream(&directory, &history);
    return dump_segments(&stream, first, last, error);
}

int main(int count, char **arguments)
{
    static Error error;

    if (count < 3 || count > 4)
    {
        fputs("usage: waldump DATA_DIRECTORY FIRST_SEGMENT [LAST_SEGMENT]\n", stderr);
        return 2;
    }
    Arena *arena = arena_create();
    bool good = run(count, arguments, arena, &error);
    arena_destroy(arena);
    if (!good)
        fprintf(stderr, "waldump: %s\n", error.message);
    return good ? 0 : 1;
}
