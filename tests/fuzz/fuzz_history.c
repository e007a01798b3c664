/* A history file, and questions to what was read. */
#include "format/history.h"

#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static Error error;
    Arena *arena = arena_create();
    History history;

    if (history_parse(arena, UINT32_MAX, (const char *) bytes, size, &history, &error))
    {
        size_t index;
        Lsn end;
        for (size_t i = 0; i + 1 < history.count; i++)
            if (history.entries[i].begin > history.entries[i].end ||
                history.entries[i].timeline >= history.entries[i + 1].timeline)
                __builtin_trap();
        (void) history_timeline_at(&history, 0x1000000);
        (void) history_timeline_of_segment(&history, 0x2000000);
        if (!history_common(&history, &history, &index, &end) || index != history.count - 1 ||
            end != LSN_INVALID)
            __builtin_trap();
    }
    arena_destroy(arena);
    return 0;
}
