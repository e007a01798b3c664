#include "target/target.h"

#include "format/backup_label.h"
#include "io/place.h"
#include "source/directory.h"
#include "target/pid_file.h"

#include <errno.h>
#include <string.h>

#define DIRECTORY_LENGTH_MAX 4000 /* bytes, of the 4096 that the kernel takes */
#define LABEL_SIZE_MAX (1024 * 1024)
#define GROUP_BITS 0050 /* group's bits of 0750, PG_DIR_MODE_GROUP in common/file_perm.h */

static bool error_too_long(const char *directory, Error *error)
{
    error_set(error, ERROR_FAILED, "path of directory \"%s\" is too long", directory);
    return error_detail(error,
                        "It has %zu bytes. At most %d are allowed, so that the paths of files in "
                        "it are not too long.",
                        strlen(directory), DIRECTORY_LENGTH_MAX);
}

bool target_open(Arena *arena, const char *directory, Target *target, Error *error)
{
    char canonical[PLACE_PATH_SIZE];
    struct stat status;
    bool found;

    *target = (Target){.directory = directory};
    if (strlen(directory) > DIRECTORY_LENGTH_MAX)
        return error_too_long(directory, error);
    if (!place_canonical(directory, canonical, &found, error))
        return false;
    if (!found)
    {
        errno = ENOENT;
        error_set_errno(error, /* contract */
                        "could not read permissions of directory \"%s\"", directory);
        return error_hint(error, "-D must name the target's data directory, the one that holds "
                                 "PG_VERSION.");
    }
    if (strlen(canonical) > DIRECTORY_LENGTH_MAX)
        return error_too_long(canonical, error);
    if (!file_stat(canonical, &status, NULL, error))
        return false;
    if (!S_ISDIR(status.st_mode))
        return error_set(error, ERROR_FAILED, "\"%s\" is not a directory", directory);

    target->directory = arena_strdup(arena, canonical);
    target->group_access = (status.st_mode & GROUP_BITS) == GROUP_BITS;
    file_set_modes(target->group_access);
    return true;
}

bool target_read(Target *target, Error *error)
{
    AUTO_BUFFER Buffer path = {0}, text = {0};
    const char *label;
    Timeline timeline, newest;
    bool found;

    target->has_original_pid_file = pid_file_is_original(target->directory);
    if (!directory_control_read(target->directory, &target->control, error) ||
        !file_read_all(path_in(&path, target->directory, BACKUP_LABEL_PATH), LABEL_SIZE_MAX, &text,
                       &found, error))
        return false;
    label = buffer_string(&text);
    backup_label_parse(label, text.size, &target->has_backup_label, &target->label_redo,
                       &target->label_checkpoint, &timeline);
    target->label_of_base_backup =
        target->has_backup_label && strstr(label, "\nBACKUP METHOD: pg_rewind\n") == NULL;
    target->label_is_exclusive =
        target->label_of_base_backup && strstr(label, "\nBACKUP METHOD: pg_start_backup\n") != NULL;
    target->timeline = control_timeline(&target->control);
    /* A standby continues with all the WAL that it has, even where pg_control does not know it yet.
     */
    if (!target_may_have_been_standby(target))
        return true;
    if (!directory_standby_timeline(target->directory, &target->control, &newest, error))
        return false;
    target->has_wal_of_two = newest != target->timeline &&
                             directory_may_be_of_promoted(target->directory, &target->control);
    if (!target->has_wal_of_two)
        target->timeline = newest;
    return true;
}

bool target_read_page(const Target *target, OpenFile *file, const RelationId *relation,
                      BlockNumber block, uint8_t *page, bool *found, Error *error)
{
    const Control *control = &target->control;
    const uint32_t segment_blocks = control->relation_segment_blocks;
    const RelationFile part = {*relation, FORK_MAIN, block / segment_blocks};
    const uint64_t offset = (uint64_t) (block % segment_blocks) * control->block_size;
    AUTO_BUFFER Buffer path = {0};
    char name[RELPATH_SIZE];
    size_t length = 0;

    relpath_make(&control->version_directory, &part, name);
    if (!open_file_switch(file, path_in(&path, target->directory, name), OPEN_TO_READ, NULL,
                          error) ||
        (file->fd >= 0 &&
         !file_read_at(file->fd, file->path, page, control->block_size, offset, &length, error)))
        return false;
    *found = length == control->block_size;
    return true;
}

bool target_was_primary(const Target *target)
{
    return !target_was_standby(target);
}

bool target_was_standby(const Target *target)
{
    const ControlState state = target->control.state;

    return state == STATE_SHUTDOWNED_IN_RECOVERY || state == STATE_IN_ARCHIVE_RECOVERY;
}

bool target_may_have_been_standby(const Target *target)
{
    return target_was_standby(target) || (target->control.state == STATE_IN_CRASH_RECOVERY &&
                                          target->control.min_recovery_point != LSN_INVALID);
}

bool target_crashed_as_primary(const Target *target)
{
    return target_was_primary(target) && target->control.state != STATE_SHUTDOWNED;
}

bool target_is_in_crash_recovery(const Target *target)
{
    const ControlState state = target->control.state;

    return state == STATE_SHUTDOWNED_IN_CRASH_RECOVERY ||
           (state == STATE_IN_CRASH_RECOVERY && !target_may_have_been_standby(target));
}

bool target_may_have_pages_of_crash(const Target *target)
{
    return target_crashed_as_primary(target) ||
           (!target->has_backup_label && control_may_be_of_promoted(&target->control));
}

bool target_is_like_crashed(const Target *target, Lsn recovery_end)
{
    return target_crashed_as_primary(target) ||
           (!target->has_backup_label && control_is_like_promoted(&target->control, recovery_end));
}

bool target_has_pages_after_minimum(const Target *target, Lsn recovery_end, Lsn wal_end)
{
    const Control *control = &target->control;

    return target_is_like_crashed(target, recovery_end) &&
           control->min_recovery_point != LSN_INVALID && wal_end > control->min_recovery_point;
}
