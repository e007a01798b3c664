#include "wal_store/listed_wal.h"

#include "base/array.h"

#include <string.h>

bool listed_wal_read(Source *source, const WalStream *stream, Lsn end, Arena *arena,
                     ListedWal *listed, Error *error)
{
    const char **names;
    char name[WAL_NAME_SIZE];
    Timeline timeline;
    uint64_t segment;
    size_t count;

    *listed = (ListedWal){0};
    if (!source->operations->names(source, stream->shape.version->wal_directory, arena, &names,
                                   error))
        return false;
    count = count_words(names);
    listed->segments = arena_allocate(arena, (count + 1) * sizeof(*listed->segments));
    for (size_t i = 0; i < count; i++)
    {
        if (!wal_segment_name_parse(&stream->shape, names[i], &timeline, &segment))
            continue;
        /* Only the name that the stream gives to a segment counts. */
        wal_stream_segment_name(stream, segment, name);
        if (strcmp(name, names[i]) == 0)
            listed->segments[listed->count++] = segment;
    }
    ARRAY_SORT(listed->segments, listed->count, compare_u64);
    /* Files after that of `end` were recycled for WAL that is to come. */
    for (size_t i = 0; i < listed->count; i++)
        if (end == LSN_INVALID || wal_segment_start(&stream->shape, listed->segments[i]) < end)
            listed->newest = listed->segments[i];
    listed->is_known = true;
    return true;
}

bool listed_wal_is_gone(const ListedWal *listed, uint64_t segment)
{
    return listed_wal_next(listed, segment) != segment;
}

uint64_t listed_wal_next(const ListedWal *listed, uint64_t segment)
{
    if (!listed->is_known || segment > listed->newest || listed->count == 0)
        return segment;
    return listed
        ->segments[ARRAY_LOWER_BOUND(&segment, listed->segments, listed->count, compare_u64)];
}

uint64_t listed_wal_next_gone(const ListedWal *listed, uint64_t segment)
{
    while (segment <= listed->newest && !listed_wal_is_gone(listed, segment))
        segment++;
    return listed->is_known && segment <= listed->newest ? segment : UINT64_MAX;
}
