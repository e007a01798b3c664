#include "wal_store/source_wal.h"

#include "base/log.h"
#include "pair/prerequisites.h"
#include "wal_store/source_wal_parts.h"
#include "wal_store/target_wal.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define MISSING_NAMES_SIZE_MAX 1000

SourceWal *source_wal_create(const Options *options, const Clusters *clusters,
                             const Control *control, const char *restore_command,
                             const char *scratch, Arena *arena)
{
    SourceWal *wal = arena_allocate(arena, sizeof(*wal));
    ArchiveOptions archive =
        archive_options_of_target(options, clusters, restore_command, scratch, arena);

    *wal = (SourceWal){.arena = arena,
                       .options = options,
                       .source = clusters->source,
                       .target = &clusters->target,
                       .has_command = restore_command != NULL,
                       .command_is_targets =
                           restore_command != NULL && options->restore_command == NULL,
                       .shape = clusters->shape,
                       .data_block_size = clusters->target.control.block_size,
                       .history = &clusters->source_history,
                       .target_directory = clusters->target.directory,
                       .scratch = scratch,
                       .jobs = options->jobs,
                       .dry_run = options->dry_run};
    /* For segments of the source's history that neither side has: not what the target's pg_wal has
     * under that name. */
    archive.wal_directory = scratch;
    archive.history = &clusters->source_history;
    /* A server says where its WAL ends, and has that segment. */
    archive.known_end = wal->source->is_server ? LSN_INVALID : archive_known_end(control);
    archive.last_needed = wal->source->is_server ? LSN_INVALID : archive_last_needed(control);
    wal->archive = archive_create(&archive);
    return wal;
}

void source_wal_destroy(SourceWal *wal)
{
    if (wal != NULL)
        archive_destroy(wal->archive);
}

void source_wal_set_common_end(SourceWal *wal, Lsn lsn)
{
    wal->common_end = lsn;
}

Archive *source_wal_archive(const SourceWal *wal)
{
    return wal->archive;
}

Lsn source_wal_fetched_end(const SourceWal *wal)
{
    return wal->fetched_end;
}

Lsn source_wal_here_end(const SourceWal *wal)
{
    return wal->fetched_end > wal->common_end ? wal->fetched_end : wal->common_end;
}

void source_wal_segment_name(const SourceWal *wal, uint64_t segment, char name[WAL_NAME_SIZE])
{
    Lsn begin = wal_segment_start(&wal->shape, segment);

    wal_segment_name(
        &wal->shape,
        history_timeline_of_segment(wal->history, begin, begin + wal->shape.segment_size), segment,
        name);
}

/* PGDATA/pg_wal/NAME */
static bool segment_in_directory(const SourceWal *wal, const char *directory, uint64_t segment,
                                 char path[PATH_SIZE], Error *error)
{
    char prefix[16];

    snprintf(prefix, sizeof(prefix), "/%s/", wal->shape.version->wal_directory);
    return source_wal_path(wal, directory, prefix, segment, path, error);
}

bool source_wal_is_kept(const SourceWal *wal, uint64_t segment)
{
    const Lsn begin = wal_segment_start(&wal->shape, segment);
    const Lsn end = begin + wal->shape.segment_size;
    const Timeline timeline = history_timeline_of_segment(wal->history, begin, end);
    char path[PATH_SIZE];
    struct stat status;
    bool found;

    return end <= wal->common_end && history_holds(wal->history, timeline, begin, end) &&
           segment_in_directory(wal, wal->target_directory, segment, path, NULL) &&
           file_stat(path, &status, &found, NULL) && found && S_ISREG(status.st_mode) &&
           (uint64_t) status.st_size == wal->shape.segment_size;
}

uint64_t source_wal_first_not_kept(const SourceWal *wal, Lsn from)
{
    uint64_t segment = wal_segment_of(&wal->shape, from);

    while (source_wal_is_kept(wal, segment))
        segment++;
    return segment;
}

/* PGDATA/pg_wal/NAME or the like. */
bool source_wal_path(const SourceWal *wal, const char *directory, const char *prefix,
                     uint64_t segment, char path[PATH_SIZE], Error *error)
{
    char name[WAL_NAME_SIZE];

    source_wal_segment_name(wal, segment, name);
    if (snprintf(path, PATH_SIZE, "%s%s%s", directory, prefix, name) >= PATH_SIZE)
        return error_set(error, ERROR_FAILED, "path \"%s\" is too long", directory);
    return true;
}

bool source_wal_file_exists(const char *path, bool *found, Error *error)
{
    struct stat status;

    return file_stat(path, &status, found, error);
}

bool error_source_wal_missing(const Version *version, const char *names, Error *error)
{
    error_set(error, ERROR_FAILED, "the source no longer has WAL that the rewound target needs");
    error_detail(error, "Missing: %s.", names);
    return error_hint(error,
                      "Put the files into the source's %s, or let pg_rewind fetch them: "
                      "--wal-archive or --restore-command.",
                      version->wal_directory);
}

/*
 * A source that reports an end of its WAL far after what it has could make this list millions long.
 */
bool source_wal_add_missing(Buffer *names, const char *name)
{
    const bool enough = names->size > MISSING_NAMES_SIZE_MAX;

    buffer_printf(names, "%s%s", names->size > 0 ? ", " : "", enough ? "..." : name);
    return !enough;
}

/* The same as source_wal_find, also of a segment that a server may have, but was not asked for. */
static bool segment_is_somewhere(SourceWal *wal, uint64_t segment, bool fetched, bool *found,
                                 Error *error)
{
    char path[PATH_SIZE];

    *found = false;
    return (fetched || !wal->source->is_server ||
            source_wal_source_has(wal, segment, found, error)) &&
           (*found || source_wal_find(wal, segment, path, found, error));
}

/* The segments that source_wal_check_there names, and where the last of them ends. */
static bool list_missing_segments(SourceWal *wal, Lsn from, Lsn end, Lsn needed_end,
                                  Buffer *missing, Lsn *missing_end, Error *error)
{
    const uint64_t fetched = wal_segment_before(&wal->shape, end);
    const uint64_t needed = wal_segment_before(&wal->shape, needed_end);
    bool found = false;

    buffer_clear(missing);
    *missing_end = LSN_INVALID;
    for (uint64_t segment = wal_segment_of(&wal->shape, from);
         segment <= fetched || (segment <= needed && !found); segment++)
    {
        char name[WAL_NAME_SIZE];

        if (!segment_is_somewhere(wal, segment, segment <= fetched, &found, error))
            return false;
        if (found)
            continue;
        *missing_end = wal_segment_start(&wal->shape, segment + 1);
        source_wal_segment_name(wal, segment, name);
        if (!source_wal_add_missing(missing, name))
            break;
    }
    return true;
}

/* From where an archive has it. */
static bool find_in_archive(SourceWal *wal, uint64_t segment, char path[PATH_SIZE], bool *found,
                            Error *error)
{
    Lsn begin = wal_segment_start(&wal->shape, segment);

    return archive_find(
        wal->archive,
        history_timeline_of_segment(wal->history, begin, begin + wal->shape.segment_size), segment,
        path, found, error);
}

bool source_wal_ask_target_command(SourceWal *wal)
{
    char *command;
    Error why;

    if (wal->has_command)
        return false;
    wal->has_command = true;
    if (!target_restore_command(wal->arena, wal->target, wal->options->bindir,
                                wal->target->config_file, &command, &why))
    {
        log_debug("%s", why.message);
        return false;
    }
    log_info("the source no longer has WAL that is needed: asking the target's own "
             "\"restore_command\"");
    archive_set_unasked_command(wal->archive, command);
    wal->command_is_targets = true;
    return true;
}

bool source_wal_target_can_restore(SourceWal *wal, uint64_t segment, bool *can, Error *error)
{
    char path[PATH_SIZE];

    *can = false;
    if (wal->options->wal_archive != NULL ||
        (!source_wal_ask_target_command(wal) && !wal->command_is_targets))
        return true;
    return find_in_archive(wal, segment, path, can, error);
}

bool source_wal_check_there(SourceWal *wal, Lsn from, Lsn end, Lsn needed_end, Lsn *missing_end,
                            Error *error)
{
    Buffer names = {0};
    bool result = list_missing_segments(wal, from, end, needed_end, &names, missing_end, error);

    if (result && names.size > 0 && source_wal_ask_target_command(wal))
    {
        wal->unasked_end = *missing_end;
        result = list_missing_segments(wal, from, end, needed_end, &names, missing_end, error);
    }
    if (result && names.size > 0)
        result = error_source_wal_missing(wal->shape.version, buffer_string(&names), error);
    buffer_free(&names);
    return result;
}

bool source_wal_may_take(const SourceWal *wal, const char *path)
{
    size_t length = strlen(wal->scratch);

    return strncmp(path, wal->scratch, length) == 0 && path[length] == '/';
}

bool source_wal_forget(SourceWal *wal, uint64_t segment, Error *error)
{
    char path[PATH_SIZE];

    return !wal->source->is_server ||
           (source_wal_path(wal, wal->scratch, "/source.", segment, path, error) &&
            file_remove(path, error));
}

static bool forget_segment(SourceWal *wal, uint64_t segment, Error *error)
{
    char fetched[PATH_SIZE], restored[PATH_SIZE];
    bool found;

    if (!source_wal_path(wal, wal->scratch, "/source.", segment, fetched, error) ||
        !source_wal_path(wal, wal->scratch, "/", segment, restored, error) ||
        !source_wal_file_exists(fetched, &found, error))
        return false;
    if (found)
        wal->forgotten_bytes += wal->shape.segment_size;
    return file_remove(fetched, error) && file_remove(restored, error);
}

bool source_wal_forget_before(SourceWal *wal, Lsn from, Lsn lsn, Error *error)
{
    const uint64_t end = wal_segment_of(&wal->shape, lsn);

    for (uint64_t segment = wal_segment_of(&wal->shape, from); segment < end; segment++)
        if (!forget_segment(wal, segment, error))
            return false;
    return true;
}

uint64_t source_wal_forgotten_bytes(const SourceWal *wal)
{
    return wal != NULL ? wal->forgotten_bytes : 0;
}

bool source_wal_own_path(const SourceWal *wal, uint64_t segment, char path[PATH_SIZE], Error *error)
{
    if (source_wal_is_kept(wal, segment))
        return segment_in_directory(wal, wal->target_directory, segment, path, error);
    if (wal->source->is_server)
        return source_wal_path(wal, wal->scratch, "/source.", segment, path, error);
    return segment_in_directory(wal, wal->source->directory, segment, path, error);
}

bool source_wal_find(SourceWal *wal, uint64_t segment, char path[PATH_SIZE], bool *found,
                     Error *error)
{
    if (!source_wal_own_path(wal, segment, path, error) ||
        !source_wal_file_exists(path, found, error))
        return false;
    return *found || find_in_archive(wal, segment, path, found, error);
}
