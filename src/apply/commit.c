/*
 * The commit: the one rename that decides, and reading afterwards how it went.
 *
 * A journal is live while the blocker with its id, or its poison, is in place (journal.h lists the
 * states). Before the rename neither can be; after it at least one is, until the new pg_control is
 * installed, see apply.c.
 */
#include "apply/commit.h"

#include "apply/roots.h"
#include "base/workers.h"
#include "format/backup_label.h"
#include "io/durable.h"
#include "io/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LABEL_SIZE_MAX (1024 * 1024)
#define BLOCKER_NAME WORK_DIRECTORY "/blocker"
#define OLD_LABEL_NAME WORK_DIRECTORY "/old_backup_label"

/* ---- What is in place ---- */

bool commit_control_is(const char *target_directory, const uint8_t expected[CONTROL_FILE_SIZE],
                       bool *same, Error *error)
{
    char path[PATH_SIZE];
    Buffer buffer = {0};
    bool found;
    bool ok = target_path(path, sizeof(path), target_directory, CONTROL_PATH, error) &&
              file_read_all(path, 4 * CONTROL_FILE_SIZE, &buffer, &found, error);

    *same = ok && buffer.size == CONTROL_FILE_SIZE &&
            memcmp(buffer.bytes, expected, CONTROL_FILE_SIZE) == 0;
    buffer_free(&buffer);
    return ok;
}

/* Is backup_label the blocker of this run? */
static bool blocker_is(const char *target_directory, const char *run_id, bool *same, Error *error)
{
    char path[PATH_SIZE];
    Buffer buffer = {0};
    struct stat status;
    bool found;
    bool ok = target_path(path, sizeof(path), target_directory, BACKUP_LABEL_PATH, error) &&
              file_lstat(path, &status, &found, error);

    *same = false;
    if (!ok || !found || !S_ISREG(status.st_mode) || status.st_size > LABEL_SIZE_MAX)
        return ok;
    ok = file_read_all(path, LABEL_SIZE_MAX, &buffer, &found, error);
    *same = ok && backup_label_is_blocker((const char *) buffer.bytes, buffer.size, run_id);
    buffer_free(&buffer);
    return ok;
}

/*
 * Can this target be in the hands of a journal that cannot be read? Only if pg_control looks like a
 * poison (no checkpoint starts on a page boundary), or backup_label like a blocker.
 */
static bool may_be_committed(const char *target_directory)
{
    char path[PATH_SIZE];
    Error error;
    Buffer buffer = {0};
    Control *control = memory_allocate_zeroed(1, sizeof(Control));
    bool found;
    bool crc_wrong;
    bool suspicious = true;

    if (!target_path(path, sizeof(path), target_directory, CONTROL_PATH, &error) ||
        !file_read_all(path, 4 * CONTROL_FILE_SIZE, &buffer, NULL, &error) ||
        !control_parse(buffer.bytes, buffer.size, path, control, &crc_wrong, &error) ||
        control->checkpoint_lsn % control->wal_block_size == 0)
        goto done;
    buffer_clear(&buffer);
    if (!target_path(path, sizeof(path), target_directory, BACKUP_LABEL_PATH, &error) ||
        !file_read_all(path, LABEL_SIZE_MAX, &buffer, &found, &error))
        goto done;
    suspicious = false;
    if (found)
    {
        Lsn redo;
        Lsn checkpoint;
        Timeline timeline;
        bool valid;

        backup_label_parse((const char *) buffer.bytes, buffer.size, &valid, &redo, &checkpoint,
                           &timeline);
        suspicious = !valid;
    }

done:
    buffer_free(&buffer);
    free(control);
    return suspicious;
}

bool apply_may_be_pending(const char *target_directory)
{
    char path[PATH_SIZE];
    struct stat status;
    bool found;
    Error failure;

    if (!target_path(path, sizeof(path), target_directory, WORK_DIRECTORY "/" JOURNAL_NAME, NULL))
        return false;
    /* Where we may not look we have not been. */
    if (!file_lstat(path, &status, &found, &failure))
        return failure.error_number == EIO;
    return found && may_be_committed(target_directory);
}

bool commit_state(const char *target_directory, const JournalHead *head, PendingState *state,
                  Error *error)
{
    bool blocked;
    bool poisoned;
    bool finished;
    bool unchanged;

    if (!blocker_is(target_directory, head->run_id, &blocked, error) ||
        !commit_control_is(target_directory, head->poison, &poisoned, error) ||
        !commit_control_is(target_directory, head->new_control, &finished, error) ||
        !commit_control_is(target_directory, head->old_control, &unchanged, error))
        return false;
    /*
     * A blocker, and a pg_control that is not one of ours: a server got past the pid file at the
     * moment of the commit, and we were killed before the second check could take the blocker back.
     * The plan is obsolete.
     */
    if (poisoned || (blocked && unchanged))
        *state = PENDING_APPLY;
    else
        *state = finished ? PENDING_CLEANUP : PENDING_STALE;
    return true;
}

bool apply_pending(const char *target_directory, Arena *arena, PendingRewind *pending, Error *error)
{
    JournalHead *head = arena_allocate(arena, sizeof(JournalHead));
    JournalReader *reader = NULL;
    bool found;

    *pending = (PendingRewind){.state = PENDING_NONE, .divergence = ""};
    if (!journal_open(target_directory, arena, &reader, head, &found, error))
    {
        /* Without --no-sync a journal is whole before the commit, and is never written again. */
        if (may_be_committed(target_directory))
            return false;
        pending->state = PENDING_STALE;
        return true;
    }
    journal_close_reader(reader);
    if (!found)
        return true;
    pending->divergence = head->divergence;
    pending->options = head->options;
    return commit_state(target_directory, head, &pending->state, error);
}

/* ---- The commit ---- */

/* Keep the target's own backup_label, if it has one, for putting it back. */
static bool keep_old_label(const char *target_directory, bool *kept, Error *error)
{
    char label[PATH_SIZE];
    char old[PATH_SIZE];
    struct stat status;
    Buffer buffer = {0};
    bool exists;
    bool ok = false;

    if (!target_path(label, sizeof(label), target_directory, BACKUP_LABEL_PATH, error) ||
        !target_path(old, sizeof(old), target_directory, OLD_LABEL_NAME, error) ||
        !file_lstat(label, &status, kept, error) || !file_remove(old, error))
        return false;
    if (!*kept || file_link(label, old, &exists, error))
        return true;
    /* No hard links here. */
    if (file_read_all(label, LABEL_SIZE_MAX, &buffer, NULL, error))
    {
        int fd = -1;

        ok = file_create(old, &fd, error) &&
             (buffer.size == 0 || file_write_at(fd, old, buffer.bytes, buffer.size, 0, error)) &&
             file_set_mode(fd, old, status.st_mode & 07777, error) && file_sync(fd, old, error);
        file_close(fd);
    }
    buffer_free(&buffer);
    return ok;
}

/* Write the blocker, complete, where a rename can install it. */
static bool prepare_blocker(const char *target_directory, const char *run_id, char path[PATH_SIZE],
                            Error *error)
{
    Buffer text = {0};
    int fd = -1;
    bool ok;

    backup_label_make_blocker(run_id, &text);
    ok = target_path(path, PATH_SIZE, target_directory, BLOCKER_NAME, error) &&
         file_create(path, &fd, error) &&
         file_write_at(fd, path, text.bytes, text.size, 0, error) &&
         file_set_mode(fd, path, file_mode(), error) && file_sync(fd, path, error);
    file_close(fd);
    buffer_free(&text);
    return ok;
}

/* Put the old backup_label back, or have none. */
static bool take_blocker_back(const char *target_directory, bool had_label, Error *error)
{
    char label[PATH_SIZE];
    char old[PATH_SIZE];

    if (!target_path(label, sizeof(label), target_directory, BACKUP_LABEL_PATH, error) ||
        !target_path(old, sizeof(old), target_directory, OLD_LABEL_NAME, error))
        return false;
    return had_label ? durable_rename(old, label, error) : durable_remove(label, error);
}

bool commit_take_back(const char *target_directory, Error *error)
{
    Arena *arena = arena_create();
    JournalHead *head = arena_allocate(arena, sizeof(JournalHead));
    JournalReader *reader = NULL;
    char old[PATH_SIZE];
    struct stat status;
    bool found;
    bool blocked = false;
    bool had_label;
    bool ok = journal_open(target_directory, arena, &reader, head, &found, error) &&
              (!found || blocker_is(target_directory, head->run_id, &blocked, error));

    journal_close_reader(reader);
    if (ok && blocked)
        ok = target_path(old, sizeof(old), target_directory, OLD_LABEL_NAME, error) &&
             file_lstat(old, &status, &had_label, error) &&
             take_blocker_back(target_directory, had_label, error);
    arena_destroy(arena);
    return ok;
}

static bool check_still_ours(Interlock *interlock, Error *error)
{
    bool ours;

    if (!interlock_still_ours(interlock, &ours, error))
        return false;
    if (ours)
        return true;
    error_set(error, ERROR_FAILED,
              "another program has replaced the target's lock file \"postmaster.pid\"");
    return error_detail(error, "A server may have been started. The target is unchanged.");
}

bool commit_check_control(const char *target_directory,
                          const uint8_t old_control[CONTROL_FILE_SIZE], Error *error)
{
    bool same;

    if (!commit_control_is(target_directory, old_control, &same, error))
        return false;
    if (same)
        return true;
    error_set(error, ERROR_FAILED, "the target's \"%s\" has changed while pg_rewind was running",
              CONTROL_PATH);
    return error_detail(error, "A server may have been started. The target is unchanged.");
}

/* Install the blocker. A failing rename can have happened all the same (network file systems):
 * look. */
static bool install_blocker(const char *target_directory, const char *blocker, const char *run_id,
                            bool *committed, Error *error)
{
    char label[PATH_SIZE];

    if (!target_path(label, sizeof(label), target_directory, BACKUP_LABEL_PATH, error))
        return false;
    /* Invariant 1: nothing the server reads has changed until this rename. */
    if (file_rename(blocker, label, error))
    {
        *committed = true;
        return true;
    }
    return blocker_is(target_directory, run_id, committed, NULL) && *committed;
}

static bool commit(const char *target_directory, Interlock *interlock, const JournalHead *head,
                   bool *committed, Error *error)
{
    char blocker[PATH_SIZE];
    bool had_label;
    Error failure;

    if (!prepare_blocker(target_directory, head->run_id, blocker, error) ||
        !keep_old_label(target_directory, &had_label, error) ||
        !commit_check_control(target_directory, head->old_control, error) ||
        !check_still_ours(interlock, error) ||
        !install_blocker(target_directory, blocker, head->run_id, committed, error))
        return false;

    /* Again, after the rename: a server takes the pid file before it reads the label, so one that
       we do not see now meets the blocker. */
    if (check_still_ours(interlock, error) &&
        commit_check_control(target_directory, head->old_control, error))
    {
        signals_hold_off();
        return true;
    }
    if (take_blocker_back(target_directory, had_label, &failure))
        *committed = false;
    else
        error_copy(error, &failure);
    return false;
}

bool apply_commit(const char *target_directory, Interlock *interlock, bool *committed, Error *error)
{
    Arena *arena = arena_create();
    JournalHead *head = arena_allocate(arena, sizeof(JournalHead));
    JournalReader *reader = NULL;
    bool found;
    bool ok = journal_open(target_directory, arena, &reader, head, &found, error);

    *committed = false;
    journal_close_reader(reader);
    if (ok && !found)
        ok = error_set(error, ERROR_FAILED, "there is no journal in \"%s\"", target_directory);
    ok = ok && commit(target_directory, interlock, head, committed, error);
    arena_destroy(arena);
    return ok;
}
