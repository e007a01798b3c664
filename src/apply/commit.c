/*
 * The commit, one rename, and recognizing a committed rewind afterwards. journal.h describes the
 * states.
 */
#include "apply/commit.h"

#include "base/workers.h"
#include "format/backup_label.h"
#include "io/file.h"
#include "source/directory.h"

#include <errno.h>
#include <string.h>

#define LABEL_SIZE_MAX (1024 * 1024)
#define CONTROL_SIZE_MAX (4 * CONTROL_FILE_SIZE)
#define BLOCKER_PATH WORK_DIRECTORY "/blocker"
#define OLD_LABEL_PATH WORK_DIRECTORY "/old_backup_label"

/* ---- The state on the disk ---- */

static bool read_control(const char *target_directory, Buffer *control, Error *error)
{
    AUTO_BUFFER Buffer path = {0};
    bool found;

    return file_read_all(target_path(&path, target_directory, CONTROL_PATH), CONTROL_SIZE_MAX,
                         control, &found, error);
}

static bool is_control(const Buffer *bytes, const uint8_t control[CONTROL_FILE_SIZE])
{
    return bytes->size == CONTROL_FILE_SIZE && memcmp(bytes->bytes, control, bytes->size) == 0;
}

bool commit_control_is(const char *target_directory, const uint8_t expected[CONTROL_FILE_SIZE],
                       bool *same, Error *error)
{
    AUTO_BUFFER Buffer control = {0};
    const bool ok = read_control(target_directory, &control, error);

    *same = ok && is_control(&control, expected);
    return ok;
}

/* Set *same if backup_label is the blocker of this run. */
static bool blocker_is(const char *target_directory, const char *run_id, bool *same, Error *error)
{
    AUTO_BUFFER Buffer path_buffer = {0}, label = {0};
    const char *path = target_path(&path_buffer, target_directory, BACKUP_LABEL_PATH);
    struct stat status;
    bool found;

    *same = false;
    if (!file_lstat(path, &status, &found, error))
        return false;
    if (!found || !S_ISREG(status.st_mode) || status.st_size > LABEL_SIZE_MAX)
        return true;
    if (!file_read_all(path, LABEL_SIZE_MAX, &label, &found, error))
        return false;
    *same = backup_label_is_blocker((const char *) label.bytes, label.size, run_id);
    return true;
}

static bool looks_like_blocker(const Buffer *label)
{
    Lsn redo, checkpoint;
    Timeline timeline;
    bool valid;

    backup_label_parse((const char *) label->bytes, label->size, &valid, &redo, &checkpoint,
                       &timeline);
    return !valid;
}

/*
 * True if an unreadable journal may have been committed in this target: pg_control looks like a
 * poison, backup_label looks like a blocker, or one of the two cannot be read.
 */
static bool may_be_committed(const char *target_directory)
{
    AUTO_BUFFER Buffer path = {0}, label = {0};
    Control control;
    bool found;

    if (!directory_control_read(target_directory, &control, NULL) || control_is_poison(&control) ||
        !file_read_all(target_path(&path, target_directory, BACKUP_LABEL_PATH), LABEL_SIZE_MAX,
                       &label, &found, NULL))
        return true;
    return found && looks_like_blocker(&label);
}

/* Fail because pg_control is missing, damaged or cannot be read. */
static bool error_no_control(const char *target_directory, Error *error)
{
    error_detail(error,
                 "The directory \"%s/" WORK_DIRECTORY "\" holds a rewind, and only this file tells "
                 "how far it has come. Nothing is removed.",
                 target_directory);
    error_hint(error, "If a volume is not mounted there, mount it; then run pg_rewind again.");
    return error_hint(error, "If the file is lost, take a new base backup of the source. A "
                             "pg_control from before the rewind would hide that the target may be "
                             "half rewound.");
}

/*
 * Rule I2: a poison that a tool has changed (pg_checksums --enable accepts it as the pg_control of
 * a stopped server) is still the poison, by its checkpoint location. Rule I81: any other pg_control
 * makes the plan obsolete, but only one that is whole: with a server's, the server got past the pid
 * file at the moment of the commit, and the run was killed before its second check could remove the
 * blocker.
 */
static bool state_by_changed_control(const char *target_directory, const JournalHead *head,
                                     PendingState *state, Error *error)
{
    AUTO_BUFFER Buffer path = {0}, bytes = {0};
    Control control;

    if (!file_read_all(target_path(&path, target_directory, CONTROL_PATH), CONTROL_SIZE_MAX, &bytes,
                       NULL, error) ||
        !directory_control_read(target_directory, &control, error))
        return error_no_control(target_directory, error);
    *state = control_is_this_poison(&control, head->poison) ? PENDING_APPLY : PENDING_STALE;
    return true;
}

bool commit_state(const char *target_directory, const JournalHead *head, PendingState *state,
                  Error *error)
{
    AUTO_BUFFER Buffer control = {0};
    bool blocked;

    if (!blocker_is(target_directory, head->run_id, &blocked, error))
        return false;
    if (!read_control(target_directory, &control, error))
        return error_no_control(target_directory, error);
    if (is_control(&control, head->poison) || (blocked && is_control(&control, head->old_control)))
        *state = PENDING_APPLY;
    else if (is_control(&control, head->new_control))
        *state = PENDING_CLEANUP;
    else if (is_control(&control, head->old_control))
        *state = PENDING_STALE;
    else
        return state_by_changed_control(target_directory, head, state, error);
    return true;
}

/* Set *staged if every file that the journal installs is still in a work directory. */
static bool all_is_staged(const char *target_directory, JournalReader *reader, bool *staged,
                          Error *error)
{
    JournalEntry entry;
    bool end = false;

    *staged = true;
    journal_restart(reader);
    while (*staged && !end)
    {
        AUTO_BUFFER Buffer path = {0};
        struct stat status;

        if (!journal_next(reader, &entry, &end, error))
            return false;
        if (!end && entry.kind == JOURNAL_INSTALL &&
            !file_lstat(target_path(&path, target_directory, entry.other), &status, staged, error))
            return false;
    }
    return true;
}

/*
 * With the old pg_control no entry has been carried out yet. If a staged file is missing
 * nevertheless, somebody has restored the target's files, including the installed ones: the journal
 * is obsolete. (Rule I1.)
 */
static bool check_not_put_back(const char *target_directory, const JournalHead *head,
                               JournalReader *reader, PendingState *state, Error *error)
{
    bool old, staged;

    if (*state != PENDING_APPLY)
        return true;
    if (!commit_control_is(target_directory, head->old_control, &old, error) ||
        (old && !all_is_staged(target_directory, reader, &staged, error)))
        return false;
    if (old && !staged)
        *state = PENDING_STALE;
    return true;
}

bool apply_pending(const char *target_directory, Arena *arena, PendingRewind *pending, Error *error)
{
    JournalHead *head = arena_allocate(arena, sizeof(JournalHead));
    JournalReader *reader = NULL;
    bool found, success;

    *pending = (PendingRewind){.state = PENDING_NONE, .divergence = ""};
    /* Unless --no-sync was given, a committed journal is complete on the disk and never written
     * again. */
    if (!journal_open(target_directory, arena, &reader, head, &found, error))
        return !may_be_committed(target_directory);
    if (!found)
        return true;
    pending->has_journal = true;
    pending->divergence = head->divergence;
    pending->options = head->options;
    pending->is_of_earlier = head->is_of_earlier;
    success = commit_state(target_directory, head, &pending->state, error) &&
              check_not_put_back(target_directory, head, reader, &pending->state, error);
    journal_close_reader(reader);
    return success;
}

/* True if the error number, and failing to read pg_control as well, say that the path leads to no
 * directory which this user may enter. If only the work directory is closed, pg_control can be
 * read. */
static bool may_not_be_entered(const char *target_directory, int number)
{
    Control control;

    return (number == EACCES || number == ENOTDIR || number == ELOOP || number == ENAMETOOLONG) &&
           !directory_control_read(target_directory, &control, NULL);
}

PendingSight apply_look_for_pending(const char *target_directory, bool suspected)
{
    AUTO_ARENA Arena *arena = arena_create();
    PendingRewind pending;
    Error failure;

    if (!apply_pending(target_directory, arena, &pending, &failure))
        return suspected || pending.has_journal ||
                       !may_not_be_entered(target_directory, failure.error_number)
                   ? PENDING_UNCERTAIN
                   : PENDING_NOT_THERE;
    if (pending.state == PENDING_APPLY || pending.state == PENDING_CLEANUP)
        return PENDING_THERE;
    /* A blocker may have to be removed first. */
    return pending.state == PENDING_STALE && may_be_committed(target_directory) ? PENDING_UNCERTAIN
                                                                                : PENDING_NOT_THERE;
}

/* ---- The commit ---- */

/* Keep the target's own backup_label, if it exists, for commit_take_back. */
static bool keep_old_label(const char *target_directory, bool *kept, Error *error)
{
    AUTO_BUFFER Buffer label = {0}, old = {0}, bytes = {0};
    struct stat status;
    bool exists;

    target_path(&label, target_directory, BACKUP_LABEL_PATH);
    target_path(&old, target_directory, OLD_LABEL_PATH);
    if (!file_lstat(buffer_string(&label), &status, kept, error) ||
        !file_remove(buffer_string(&old), error))
        return false;
    if (!*kept || file_link(buffer_string(&label), buffer_string(&old), &exists, error))
        return true;
    /* Copy backup_label: the file system has no hard links. */
    return file_read_all(buffer_string(&label), LABEL_SIZE_MAX, &bytes, NULL, error) &&
           durable_write(buffer_string(&old), bytes.bytes, bytes.size, status.st_mode & 07777,
                         error);
}

/* Restore the old backup_label, or remove the blocker if the target had none. */
static bool take_blocker_back(const char *target_directory, bool had_label, Error *error)
{
    AUTO_BUFFER Buffer label = {0}, old = {0};

    target_path(&label, target_directory, BACKUP_LABEL_PATH);
    target_path(&old, target_directory, OLD_LABEL_PATH);
    return had_label ? durable_rename(buffer_string(&old), buffer_string(&label), error)
                     : durable_remove(buffer_string(&label), error);
}

bool commit_take_back(const char *target_directory, Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();
    AUTO_BUFFER Buffer old = {0};
    JournalHead *head = arena_allocate(arena, sizeof(JournalHead));
    struct stat status;
    bool found, blocked, had_label;

    if (!journal_open(target_directory, arena, NULL, head, &found, error))
        return false;
    if (!found)
        return true;
    if (!blocker_is(target_directory, head->run_id, &blocked, error))
        return false;
    return !blocked || (file_lstat(target_path(&old, target_directory, OLD_LABEL_PATH), &status,
                                   &had_label, error) &&
                        take_blocker_back(target_directory, had_label, error));
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

/* Install the blocker. A failed move is checked, because the blocker may be in place nevertheless
 * (a rename on a network file system, a copy whose directory cannot be synced). */
static bool install_blocker(const char *target_directory, const char *blocker, const char *run_id,
                            bool *committed, Error *error)
{
    AUTO_BUFFER Buffer label = {0};

    /* Invariant 1: nothing the server reads has changed until this rename. */
    if (!file_move(blocker, target_path(&label, target_directory, BACKUP_LABEL_PATH), error))
        return blocker_is(target_directory, run_id, committed, NULL) && *committed;
    *committed = true;
    return true;
}

static bool commit(const char *target_directory, Interlock *interlock, const JournalHead *head,
                   bool *committed, Error *error)
{
    AUTO_BUFFER Buffer text = {0}, path = {0};
    const char *blocker = target_path(&path, target_directory, BLOCKER_PATH);
    bool had_label;
    Error failure;

    backup_label_make_blocker(head->run_id, &text);
    if (!durable_write(blocker, text.bytes, text.size, file_mode(), error) ||
        !keep_old_label(target_directory, &had_label, error) ||
        !durable_sync_parent(blocker, error) ||
        !commit_check_control(target_directory, head->old_control, error) ||
        !check_still_ours(interlock, error) ||
        !install_blocker(target_directory, blocker, head->run_id, committed, error))
        return false;

    /* Check again after the rename: a server claims the pid file before it reads backup_label, so a
     * server that is not seen now meets the blocker. */
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
    AUTO_ARENA Arena *arena = arena_create();
    JournalHead *head = arena_allocate(arena, sizeof(JournalHead));

    *committed = false;
    return journal_open(target_directory, arena, NULL, head, NULL, error) &&
           commit(target_directory, interlock, head, committed, error);
}
