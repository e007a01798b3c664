#include "wal_store/wal_places.h"

#include "io/dir.h"

#include <assert.h>
#include <stddef.h>
#include <string.h>

#define CHECKPOINT_RECORD_SIZE_MAX 256 /* upper bound, even for a record that crosses a page */

/* Options that name a directory of archived WAL, in the order in which the directories are asked.
 */
static const struct WalArchiveOption
{
    const char *name;
    size_t field; /* of Options */
} archive_options[] = {
    {"--wal-archive", offsetof(Options, wal_archive)},
};

#define ARCHIVE_OPTION_COUNT (sizeof(archive_options) / sizeof(archive_options[0]))
static_assert(ARCHIVE_OPTION_COUNT <= WAL_ARCHIVES_MAX, "WalStore.archives has a place for each");

WalLimits wal_limits_of(const Control *control)
{
    const Lsn checkpoint_end = control->checkpoint_lsn + CHECKPOINT_RECORD_SIZE_MAX;
    WalLimits limits = {.known_end = checkpoint_end > control->min_recovery_point
                                         ? checkpoint_end
                                         : control->min_recovery_point};

    if (control->state == STATE_SHUTDOWNED)
        limits.last_needed = control->checkpoint_lsn;
    /* Pages of a standby are not newer than its minRecoveryPoint. Those of a promoted server may be
     * (Rule C108), whose own pg_wal has the WAL after it (Rule C109). */
    else if (control->state == STATE_SHUTDOWNED_IN_RECOVERY &&
             control->min_recovery_point > control->checkpoint_lsn)
        limits.last_needed = control->min_recovery_point - 1;
    return limits;
}

WalSpan wal_span_of(const WalShape *shape, const WalLimits *limits, uint64_t segment)
{
    const Lsn begin = wal_segment_start(shape, segment),
              end = wal_segment_start(shape, segment + 1);
    const bool is_before = end <= limits->divergence;
    const bool is_after_end = limits->known_end != LSN_INVALID && begin >= limits->known_end;

    return (WalSpan){.is_common = is_before && limits->is_proven,
                     .asks_archives = !is_after_end && (!is_before || limits->is_proven),
                     .may_end = limits->last_needed != LSN_INVALID &&
                                segment >= wal_segment_of(shape, limits->last_needed)};
}

/* The directory that the option names, or NULL. */
static const char *archive_of(const Options *options, const struct WalArchiveOption *option)
{
    const char *directory;

    memcpy(&directory, (const char *) options + option->field, sizeof(directory));
    return directory;
}

const char *wal_archive_options(Arena *arena)
{
    AUTO_BUFFER Buffer names = {0};

    for (size_t i = 0; i < ARCHIVE_OPTION_COUNT; i++)
        buffer_printf(&names, "%s%s", i > 0 ? ", " : "", archive_options[i].name);
    return arena_strdup(arena, buffer_string(&names));
}

bool wal_archives_check(const Options *options, Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();
    const char **names;

    for (size_t i = 0; i < ARCHIVE_OPTION_COUNT; i++)
    {
        const char *directory = archive_of(options, &archive_options[i]);

        if (directory != NULL && !dir_list(directory, arena, &names, NULL, error))
            return error_hint(error, "%s needs a directory that can be read.",
                              archive_options[i].name);
    }
    return true;
}

void wal_archives_of(const Options *options, const char *archives[WAL_ARCHIVES_MAX + 1])
{
    size_t count = 0;

    for (size_t i = 0; i < ARCHIVE_OPTION_COUNT; i++)
    {
        archives[count] = archive_of(options, &archive_options[i]);
        count += archives[count] != NULL;
    }
    archives[count] = NULL;
}
