/*
 * Carry out the journal.
 *
 * A kill or a power cut at any instant does no damage. All files that the journal names were synced
 * before the journal, and the journal before the commit; journal.h has the states. A run that is
 * started between the commit and the new pg_control repeats every step; after the new pg_control it
 * only removes the work directories.
 *
 * Both renames are synced before the next step begins, so the order on the disk is the order of
 * finish_committed. Every step may be repeated from its beginning, as often as runs are killed:
 * installing a file is done if the staged file no longer exists, patching writes the same bytes
 * again from data files that stay until the end, and removing a missing file succeeds. Removals
 * come first: otherwise a second run, when the old link of a removed tablespace is gone, would
 * remove what was installed in its directory for a new tablespace. A step that fails for a reason
 * that can pass (no space, an I/O error) is retried here, because callers regard a failed exit
 * status as final.
 */
#include "apply/apply.h"

#include "apply/patch.h"
#include "base/array.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/workers.h"
#include "format/backup_label.h"
#include "io/dir.h"
#include "io/file.h"
#include "plan/listing.h"
#include "source/directory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NEW_LABEL_PATH WORK_DIRECTORY "/backup_label"
#define REMOVED_AT_ONCE 10000 /* files that remove_first removes */

/* The state of apply_finish. */
typedef struct Apply
{
    const char *target_directory;
    Interlock *interlock;
    const Options *options;
    int patience_seconds;
    Arena *arena;
    JournalHead *head;
    JournalReader *reader;
    const char **work; /* the work directory of each file system with changes, PGDATA's last */
    size_t work_count;
    PendingState state;
    bool is_resumed;  /* an earlier run has committed, and may have carried out entries */
    bool patient;     /* the warning that steps are retried was printed */
    bool has_ballast; /* the ballast was not removed by this run */
    Written *written; /* files that were patched; only during carry_out */
} Apply;

static const char *local_path(const Apply *apply, Buffer *buffer, const char *path)
{
    return target_path(buffer, apply->target_directory, path);
}

/* Warn that a signal that asks for a stop came too late. */
static void tell_of_signals(void)
{
    const int number = stop_take_held_off();

    if (number != 0)
        log_warning("signal %d came too late: the rewind is committed and is being finished",
                    number);
}

/* ---- Entries ---- */

/* True if the data is damaged without this file. Other programs may remove the other files at any
 * time (standby.signal, *.ready, WAL). */
static bool holds_data(const char *path)
{
    static const char *const beginnings[] = {"base/",         "global/",      "pg_tblspc/",
                                             "pg_xact/",      "pg_clog/",     "pg_multixact/",
                                             "pg_commit_ts/", "pg_twophase/", "pg_logical/"};

    for (size_t index = 0; index < sizeof(beginnings) / sizeof(beginnings[0]); index++)
    {
        if (strncmp(path, beginnings[index], strlen(beginnings[index])) == 0)
            return true;
    }
    return strcmp(path, "PG_VERSION") == 0;
}

static bool install(const Apply *apply, const JournalEntry *entry, const char *path, Error *error)
{
    AUTO_BUFFER Buffer buffer = {0};
    const char *staged = local_path(apply, &buffer, entry->other);
    struct stat status;
    bool found;

    if (!file_lstat(staged, &status, &found, error))
        return false;
    if (found)
        return file_move(staged, path, error);
    /* Invariant 3: an interrupted run has installed the file already. */
    if (!file_lstat(path, &status, &found, error))
        return false;
    if (found)
        return true;
    if (holds_data(entry->path))
        return error_missing_file(path, error);
    log_warning("file \"%s\" was removed by another program after pg_rewind had fetched it", path);
    return true;
}

/* Remove a file or link. A directory of this name was created by others since the plan, and
 * stays. */
static bool remove_file(const char *path, Error *error)
{
    struct stat status;
    bool found;

    if (!file_lstat(path, &status, &found, error))
        return false;
    return !found || S_ISDIR(status.st_mode) || file_remove(path, error);
}

/*
 * Remove the link of a tablespace, after everything that is removed through it.
 *
 * Without the link the next run does not find these files, so their removal is synced first: PG_...
 * is gone from the link's directory, or is left there, and then remove_directory has synced it. The
 * link's own removal is synced too: if the link came back after a power cut, while a new tablespace
 * has files in that place, the next run would remove these files.
 */
static bool remove_tablespace(const char *path, Error *error)
{
    return file_sync_path(path, error) && remove_file(path, error) &&
           durable_sync_parent(path, error);
}

/* Remove a directory, which stays if it has files (server logs, files that are in no listing). */
static bool remove_directory(const char *path, Error *error)
{
    if (file_remove_directory(path, error))
        return true;
    if (error->error_number != ENOTEMPTY && error->error_number != EEXIST &&
        error->error_number != ENOTDIR && error->error_number != EBUSY)
        return false;
    log_debug("directory \"%s\" is not removed: it is not empty, or in use", path);
    return file_sync_path(path, error);
}

/* Carry out one entry, except the ranges of patches. A PatchVisitor. */
static bool carry_out_entry(void *context, const JournalEntry *entry, Error *error)
{
    AUTO_BUFFER Buffer buffer = {0};
    const Apply *apply = context;
    const char *path = local_path(apply, &buffer, entry->path);

    tell_of_signals();
    switch (entry->kind)
    {
    case JOURNAL_MAKE_DIRECTORY:
        /* Sync the directory at once: a file that is renamed into a directory whose own name is not
         * yet on the disk could be lost under both of its names. */
        return file_make_directories(path, error) && durable_sync_parent(path, error);
    case JOURNAL_MAKE_LINK:
        return file_make_link(entry->other, path, error);
    case JOURNAL_INSTALL:
        return install(apply, entry, path, error);
    case JOURNAL_REMOVE:
        return relpath_is_tablespace(entry->path) ? remove_tablespace(path, error)
                                                  : remove_file(path, error);
    case JOURNAL_REMOVE_DIRECTORY:
        return remove_directory(path, error);
    case JOURNAL_PATCH:
    case JOURNAL_WORK_DIRECTORY:
    case JOURNAL_RANGE:
        break;
    }
    return true;
}

/* ---- Syncing what was touched ---- */

/* Paths to sync. */
typedef struct SyncList
{
    Arena *arena;
    const char **paths; /* allocated in arena */
    size_t count;
    const char *last; /* the directory that was added last */
} SyncList;

static bool sync_one(void *context, size_t item, Error *error)
{
    const SyncList *list = context;

    return file_sync_path(list->paths[item], error);
}

/* Add what the entry has changed: the file if it was patched, otherwise its directory. */
static void add_touched(const Apply *apply, const JournalEntry *entry, SyncList *list)
{
    AUTO_BUFFER Buffer buffer = {0};
    const char *path = local_path(apply, &buffer, entry->path);
    size_t length;

    if (entry->kind == JOURNAL_RANGE || entry->kind == JOURNAL_WORK_DIRECTORY ||
        (entry->kind == JOURNAL_PATCH && written_all_kept(apply->written)))
        return;
    if (entry->kind == JOURNAL_PATCH || entry->kind == JOURNAL_MAKE_DIRECTORY)
        ARRAY_ADD(list->paths, list->count, arena_strdup(list->arena, path));
    if (entry->kind == JOURNAL_PATCH)
        return;
    length = path_parent_length(path);
    if (list->last != NULL && strlen(list->last) == length && memcmp(list->last, path, length) == 0)
        return;
    list->last = arena_strndup(list->arena, path, length);
    ARRAY_ADD(list->paths, list->count, list->last);
}

static bool sync_entries(const Apply *apply, Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();
    SyncList list = {.arena = arena};
    JournalEntry entry;
    bool end = false, ok = true;

    journal_restart(apply->reader);
    while (ok && !end)
    {
        ok = journal_next(apply->reader, &entry, &end, error);
        if (ok && !end)
            add_touched(apply, &entry, &list);
    }
    ok = ok && workers_run(apply->options->jobs, list.count, sync_one, &list, error);
    free(list.paths);
    return ok;
}

/* ---- Syncing what an earlier run has left ---- */

typedef struct LeftFiles
{
    Listing listing;
    SyncList staged; /* the work directories and what is in them */
} LeftFiles;

/* Drop from the listing what is in a work directory, and the directories themselves. */
static void drop_staged(const Apply *apply, Listing *listing)
{
    size_t kept = 0;

    for (size_t i = 0; i < listing->count; i++)
    {
        AUTO_BUFFER Buffer buffer = {0};
        const char *path = local_path(apply, &buffer, listing->files[i].path);
        bool is_staged = false;

        for (size_t j = 0; j < apply->work_count; j++)
            is_staged = is_staged || path_is_within(apply->work[j], path);
        if (!is_staged)
            listing->files[kept++] = listing->files[i];
    }
    listing->count = kept;
}

/* List the files, and let `written` watch their file systems. */
static bool list_left_files(const Apply *apply, LeftFiles *left, Written *written, Error *error)
{
    Arena *arena = left->staged.arena;
    Control control;

    for (size_t i = 0; i < apply->work_count; i++)
    {
        const char **names;
        bool found;

        if (!dir_list(apply->work[i], arena, &names, &found, error))
            return false;
        if (!found) /* an earlier run has removed it */
            continue;
        if (!written_watch(written, apply->work[i], error))
            return false;
        ARRAY_ADD(left->staged.paths, left->staged.count, apply->work[i]);
        for (; *names != NULL; names++)
            ARRAY_ADD(left->staged.paths, left->staged.count,
                      arena_printf(arena, "%s/%s", apply->work[i], *names));
    }
    if (!directory_control_read(apply->target_directory, &control, error) ||
        !listing_to_sync(apply->target_directory, control.version, &left->listing, error) ||
        !listing_watch(&left->listing, apply->target_directory, written, error))
        return false;
    drop_staged(apply, &left->listing);
    return true;
}

/*
 * Sync everything that an earlier run has left, not only what this one writes: the directory may
 * have been copied to another disk since that run has synced it, or that run had --no-sync. A
 * failure is noted, since no run writes these files again. (Rules I25, I27.)
 */
static bool sync_left(Apply *apply, Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();
    LeftFiles left = {.staged.arena = arena};
    Written *written;
    bool ok;

    if (!apply->is_resumed || !file_sync_enabled())
        return true;
    written = written_create();
    ok = list_left_files(apply, &left, written, error) &&
         listing_sync(&(FoundFiles){apply->target_directory, &left.listing, left.staged.paths,
                                    left.staged.count},
                      written, apply->options->sync_method, apply->options->jobs, error);
    written_free(written);
    listing_free(&left.listing);
    free(left.staged.paths);
    return ok;
}

/* ---- The steps ---- */

/* Rule I77. Without a reader the journal is not yet open, or the rewind is complete. */
static bool check_place(const Apply *apply, Error *error)
{
    return apply->reader == NULL ||
           journal_check_place(apply->reader, apply->target_directory, error);
}

/* The files that remove_first removes. */
typedef struct FirstFiles
{
    const Apply *apply;
    const char **paths;
    size_t count;
} FirstFiles;

static bool remove_one(void *context, size_t item, Error *error)
{
    const FirstFiles *files = context;

    return check_place(files->apply, error) && remove_file(files->paths[item], error);
}

/* True for the removals with which the journal begins. The link of a tablespace is excepted: it
 * goes after everything that is removed through it. */
static bool is_among_removals(const JournalEntry *entry)
{
    return entry->kind == JOURNAL_WORK_DIRECTORY || entry->kind == JOURNAL_REMOVE_DIRECTORY ||
           (entry->kind == JOURNAL_REMOVE && !relpath_is_tablespace(entry->path));
}

/* Remove the journal's first files in several threads: the kernel needs time to drop their pages
 * from its cache. The other removals follow in the journal's order. */
static bool remove_first(const Apply *apply, Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();
    AUTO_BUFFER Buffer path = {0};
    FirstFiles list = {.apply = apply};
    JournalEntry entry;
    bool end = false, ok;

    journal_restart(apply->reader);
    while ((ok = journal_next(apply->reader, &entry, &end, error)) && !end &&
           is_among_removals(&entry) && list.count < REMOVED_AT_ONCE)
    {
        if (entry.kind == JOURNAL_REMOVE)
            ARRAY_ADD(list.paths, list.count,
                      arena_strdup(arena, local_path(apply, &path, entry.path)));
    }
    ok = ok && workers_run(apply->options->jobs, list.count, remove_one, &list, error);
    free(list.paths);
    return ok;
}

static bool remove_copy(const Apply *apply, const char *directory, Error *error)
{
    AUTO_BUFFER Buffer path = {0}, name = {0};

    return file_remove(local_path(apply, &path, path_in(&name, directory, FILE_COPY_NAME)), error);
}

/* Remove incomplete copies in the directories of installed files: a run was killed while file_move
 * copied instead of renaming. This run may be able to rename, and would not remove them. */
static bool remove_copies(const Apply *apply, Error *error)
{
    AUTO_BUFFER Buffer last = {0};
    JournalEntry entry;
    bool end = false;

    if (!remove_copy(apply, "", error) || !remove_copy(apply, "global", error))
        return false;
    journal_restart(apply->reader);
    while (journal_next(apply->reader, &entry, &end, error) && !end)
    {
        const size_t length = path_parent_length(entry.path);

        if (entry.kind != JOURNAL_INSTALL ||
            (last.size == length && strncmp(buffer_string(&last), entry.path, length) == 0))
            continue;
        buffer_clear(&last);
        buffer_append(&last, entry.path, length);
        if (!remove_copy(apply, buffer_string(&last), error))
            return false;
    }
    return end;
}

/* Put the blocker on the disk, before the first step that changes pg_control. */
static bool sync_blocker(Apply *apply, Error *error)
{
    return file_sync_path(apply->target_directory, error);
}

/* Replace pg_control. If global/ is a separate mount, the new file is in a work directory there. */
static bool replace_control(const Apply *apply, const uint8_t bytes[CONTROL_FILE_SIZE],
                            Error *error)
{
    AUTO_BUFFER Buffer path = {0}, temporary = {0};
    struct stat status;
    bool found;

    if (!file_stat(local_path(apply, &temporary, "global/" WORK_DIRECTORY), &status, &found, error))
        return false;
    local_path(apply, &temporary,
               found ? "global/" WORK_DIRECTORY "/pg_control" : WORK_DIRECTORY "/pg_control");
    /* Invariant 4: replaced by rename only. */
    return durable_replace(local_path(apply, &path, CONTROL_PATH), buffer_string(&temporary), bytes,
                           CONTROL_FILE_SIZE, error);
}

/* Sync pg_control's directory: a killed run may have renamed pg_control without syncing. If it was
 * a copy (file_move), a power cut may have kept the name that the copy had before, too. */
static bool sync_control(Apply *apply, Error *error)
{
    AUTO_BUFFER Buffer path = {0};

    return remove_copy(apply, "global", error) &&
           durable_sync_parent(local_path(apply, &path, CONTROL_PATH), error);
}

static bool install_poison(Apply *apply, Error *error)
{
    bool poisoned;

    if (!commit_control_is(apply->target_directory, apply->head->poison, &poisoned, error))
        return false;
    /* Invariant 5: from here on no server starts, whatever happens to backup_label. */
    return poisoned ? sync_control(apply, error)
                    : replace_control(apply, apply->head->poison, error);
}

/*
 * Claim the pid file unless this run has it: the run that commits has claimed it already, a run
 * that finishes an interrupted rewind has not.
 */
static bool claim_pid_file(Apply *apply, Error *error)
{
    return interlock_has_pid_file(apply->interlock) ||
           interlock_claim_pid_file(apply->interlock, error);
}

static bool show_interrupted(Apply *apply, Error *error)
{
    return interlock_show_interrupted(apply->interlock, error);
}

/* Remove the files of every ballast: "ballast", and that name followed by a number. */
static bool remove_ballast(Apply *apply, Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();
    AUTO_BUFFER Buffer first = {0};

    for (size_t i = 0; i < apply->work_count; i++)
    {
        const char **names;
        bool found;

        if (!file_remove(path_in(&first, apply->work[i], BALLAST_NAME), error) ||
            !dir_list(apply->work[i], arena, &names, &found, error))
            return false;
        for (; *names != NULL; names++)
        {
            if (strncmp(*names, BALLAST_NAME, strlen(BALLAST_NAME)) == 0 &&
                !file_remove(arena_printf(arena, "%s/%s", apply->work[i], *names), error))
                return false;
        }
    }
    apply->has_ballast = false;
    return true;
}

static bool sync_all(Apply *apply, Error *error)
{
    const bool whole =
        apply->options->sync_method == SYNC_FILE_SYSTEMS && written_syncs_whole(apply->written);

    /* Rule I28: syncfs may tell no error of a file whose descriptor was not kept. */
    return written_sync(apply->written, whole, apply->options->jobs, error) &&
           ((whole && written_all_kept(apply->written)) || sync_entries(apply, error));
}

static bool check_work_directory(const char *path, Error *error)
{
    struct stat status;

    if (file_stat(path, &status, NULL, error))
        return true;
    return error->error_number == ENOENT
               ? error_hint(error, "If a volume is not mounted there, mount it; then run pg_rewind "
                                   "again.")
               : false;
}

/* Carry out and sync in one step: after a failed sync all writes must be repeated. */
static bool carry_out(Apply *apply, Error *error)
{
    bool ok = true;

    apply->written = written_create();
    progress_begin(PROGRESS_APPLY, journal_bytes(apply->reader));
    for (size_t i = 0; ok && i < apply->work_count; i++)
        ok = check_work_directory(apply->work[i], error) &&
             written_watch(apply->written, apply->work[i], error);
    ok = progress_end(ok && (!apply->is_resumed || remove_copies(apply, error)) &&
                      remove_first(apply, error) &&
                      patch_files(apply->target_directory, apply->reader, apply->options->jobs,
                                  carry_out_entry, apply, apply->written, error));
    if (ok)
    {
        progress_begin(PROGRESS_SYNC, 0);
        ok = progress_end(sync_all(apply, error));
    }
    written_free(apply->written);
    apply->written = NULL;
    return ok;
}

static bool install_label(Apply *apply, Error *error)
{
    AUTO_BUFFER Buffer path = {0}, temporary = {0};
    const char *label = apply->head->backup_label;

    return durable_replace(local_path(apply, &path, BACKUP_LABEL_PATH),
                           local_path(apply, &temporary, NEW_LABEL_PATH), label, strlen(label),
                           error);
}

static bool restore_pid_file(Apply *apply, Error *error)
{
    return interlock_restore_pid_file(apply->interlock, error);
}

static bool install_control(Apply *apply, Error *error)
{
    return replace_control(apply, apply->head->new_control, error);
}

/* Remove all files in the work directories, except the journal: as long as it exists, the next run
 * sees that the rewind is complete, and needs no source. */
static bool remove_staged(Apply *apply, Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();

    for (size_t i = 0; i < apply->work_count; i++)
    {
        const char **names;
        bool found;

        if (!dir_list(apply->work[i], arena, &names, &found, error))
            return false;
        for (; *names != NULL; names++)
            if (strcmp(*names, JOURNAL_NAME) != 0 &&
                !dir_remove_tree(arena_printf(arena, "%s/%s", apply->work[i], *names), error))
                return false;
    }
    return true;
}

static bool remove_work_directories(Apply *apply, Error *error)
{
    if (!remove_staged(apply, error))
        return false;
    /* Rule I80: the one in PGDATA goes last, since only its journal names the others. */
    for (size_t i = 0; i < apply->work_count; i++)
        if (!dir_remove_tree_durably(apply->work[i], error))
            return false;
    return true;
}

/* ---- Patience ---- */

/* True for an errno that can pass, or whose cause an administrator can remove while we wait. */
static bool can_pass(int number)
{
    static const int passing[] = {ENOSPC, EDQUOT, EIO,    EAGAIN, EBUSY,    EINTR,
                                  EMFILE, ENFILE, ENOMEM, ESTALE, ETIMEDOUT};

    for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++)
    {
        if (passing[i] == number)
            return true;
    }
    return false;
}

/* Rule I73: remove the ballast for a step that has found no space. True if this may help. */
static bool make_room(Apply *apply, int number)
{
    return apply->has_ballast && (number == ENOSPC || number == EDQUOT) &&
           remove_ballast(apply, NULL);
}

/* Repeat a step while it fails for a reason that can pass and patience is left. */
static bool patiently(Apply *apply, bool (*step)(Apply *apply, Error *error), Error *error)
{
    /* Measure by the clock: signals cut sleeps short. */
    const double end = clock_seconds() + apply->patience_seconds;

    while (!check_place(apply, error) || !step(apply, error))
    {
        tell_of_signals();
        if (!can_pass(error->error_number) || clock_seconds() >= end)
            return false;
        if (make_room(apply, error->error_number))
            continue;
        if (!apply->patient)
        {
            log_warning("%s", error->message);
            log_detail("The rewind is committed and must be finished: pg_rewind retries this for "
                       "%d seconds.",
                       apply->patience_seconds);
            apply->patient = true;
        }
        sleep(1);
    }
    tell_of_signals();
    return true;
}

/* ---- The order of all steps ---- */

/* Install the new pg_control: the last rename. If it fails, the text in the pid file tells an
 * administrator to run pg_rewind again, since the blocker is already replaced. */
static bool finish_control(Apply *apply, Error *error)
{
    Error failure;

    if (patiently(apply, install_control, error))
        return true;
    if (!check_place(apply, &failure) || !interlock_show_interrupted(apply->interlock, &failure))
        log_debug("%s", failure.message);
    return false;
}

/* Run all steps after the commit. Their order matters: the top of this file and
 * design/interruption.md say why. */
static bool finish_committed(Apply *apply, Error *error)
{
    return
        /* First: without it only the blocker keeps servers out until the poison. */
        patiently(apply, claim_pid_file, error) &&
        /* Before the poison: once pg_control is poisoned, only the blocker tells an
         * administrator to run pg_rewind again. */
        patiently(apply, sync_blocker, error) &&
        /* Before any file changes: anybody may delete the blocker at any time, and only the
         * poison then keeps a server from starting. */
        patiently(apply, install_poison, error) &&
        /* After the poison: until then the owner may start the target, and the text would be
         * wrong. */
        patiently(apply, show_interrupted, error) &&
        /* The ballast holds the space that the next step needs. */
        patiently(apply, remove_ballast, error) &&
        /* Before this run writes to these files: then a sync that fails after that has failed for
         * what this run writes. */
        patiently(apply, sync_left, error) &&
        /* After the poison: Invariant 5. */
        patiently(apply, carry_out, error) &&
        /* After all entries: the blocker keeps a half changed target from starting. Before the
         * new pg_control: callers take the blocker together with a new pg_control for a complete
         * rewind. */
        patiently(apply, install_label, error) &&
        /* Before the new pg_control: afterwards no run would remove a pid file that names no
         * process. */
        patiently(apply, restore_pid_file, error) &&
        /* Last: the poison keeps servers from starting during all steps above. */
        finish_control(apply, error);
}

/* Finish a rewind whose new pg_control is in place already, up to the removal of its work
 * directories. */
static bool finish_complete(Apply *apply, Error *error)
{
    Error failure;

    /* Before staged files go: otherwise the poison could return after a power cut, when what it
     * needs is gone. */
    if (!patiently(apply, sync_left, error) || !patiently(apply, sync_control, error))
        return false;
    /* Rule I73: before the claim, which needs space. What stays is no obstacle: clean_up_or_warn
     * tries again, and tells. */
    if (!remove_staged(apply, &failure))
        log_debug("%s", failure.message);
    return patiently(apply, claim_pid_file, error);
}

/* Remove the work directories; a failure is a warning, since the rewind is complete and the next
 * run removes what is left. */
static void clean_up_or_warn(Apply *apply)
{
    Error error;

    /* Rule I70: on NFS the directory of an open file cannot be removed. */
    journal_close_reader(apply->reader);
    apply->reader = NULL;
    if (patiently(apply, remove_work_directories, &error))
        return;
    log_warning("%s", error.message);
    log_detail("The rewind is complete. The directory \"%s/%s\" may be removed.",
               apply->target_directory, WORK_DIRECTORY);
}

/* Rule I79: true for a missing work directory in pg_stat_tmp, where 1.0.0 made one. A restart may
 * have emptied the volume, and the server creates the files there again. */
static bool is_gone_from_memory(const Apply *apply, const char *work)
{
    AUTO_BUFFER Buffer path = {0};
    struct stat status;
    bool found;

    return path_is_within("pg_stat_tmp", work) &&
           file_lstat(local_path(apply, &path, work), &status, &found, NULL) && !found;
}

static bool list_work_directories(Apply *apply, Error *error)
{
    AUTO_BUFFER Buffer path = {0};
    JournalEntry entry;

    apply->work_count = 0;
    journal_restart(apply->reader);
    for (bool end = false; !end;)
    {
        if (!journal_next(apply->reader, &entry, &end, error))
            return false;
        if (!end &&
            (entry.kind != JOURNAL_WORK_DIRECTORY || is_gone_from_memory(apply, entry.path)))
            continue;
        local_path(apply, &path, end ? WORK_DIRECTORY : entry.path);
        ARRAY_ADD(apply->work, apply->work_count, arena_strdup(apply->arena, buffer_string(&path)));
    }
    return true;
}

/* Open the journal, and determine the state of the target. */
static bool open_journal(Apply *apply, Error *error)
{
    journal_close_reader(apply->reader);
    apply->reader = NULL;
    return journal_open(apply->target_directory, apply->arena, &apply->reader, apply->head, NULL,
                        error) &&
           list_work_directories(apply, error) &&
           commit_state(apply->target_directory, apply->head, &apply->state, error);
}

static bool finish_or_sync(Apply *apply, Error *error)
{
    if (apply->state == PENDING_STALE)
        return error_set(error, ERROR_FAILED, "the journal in \"%s\" was never committed",
                         apply->target_directory);
    signals_hold_off();
    file_set_modes(apply->head->group_access);
    if (!(apply->state == PENDING_CLEANUP ? finish_complete(apply, error)
                                          : finish_committed(apply, error)) ||
        !check_place(apply, error))
        return false;
    clean_up_or_warn(apply);
    return true;
}

bool apply_finish(const char *target_directory, Interlock *interlock, const Options *options,
                  int patience_seconds, Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();
    Apply apply = {.target_directory = target_directory,
                   .interlock = interlock,
                   .options = options,
                   .patience_seconds = patience_seconds,
                   .is_resumed = !interlock_has_pid_file(interlock),
                   .has_ballast = true,
                   .arena = arena,
                   .head = arena_allocate(arena, sizeof(JournalHead))};
    const bool ok = patiently(&apply, open_journal, error) && finish_or_sync(&apply, error);

    journal_close_reader(apply.reader);
    free(apply.work);
    return ok;
}
