/*
 * Threads that take tasks from the journal, one at a time under a lock. A task is a group of ranges
 * of one file that are adjacent in the data file, so it takes one read and a few writes. Ranges of
 * a file do not overlap and end before its final size, so tasks may run in any order, and the file
 * may be truncated or extended before any of them. All other entries are carried out in the
 * journal's order, under the lock.
 */
#include "apply/patch.h"

#include "base/log.h"
#include "base/workers.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define TASK_SIZE (1024u * 1024)
#define TASK_RANGES 256

typedef struct Range
{
    uint64_t offset; /* bytes into the patched file */
    size_t size;
} Range;

typedef struct Task
{
    Buffer path; /* the patched file; empty if there is no task */
    uint64_t final_size;
    Buffer data_path; /* the data file with the new bytes, named as in the journal */
    uint64_t data_offset;
    size_t size; /* sum of all ranges, in bytes */
    Range ranges[TASK_RANGES];
    size_t count; /* number of ranges; with 0 the file is only truncated or extended */
} Task;

/* State that all threads share; the lock guards it. */
typedef struct Patching
{
    const char *target_directory;
    JournalReader *reader;
    PatchVisitor visit;
    void *context;
    Written *written;
    pthread_mutex_t lock;
    JournalEntry entry; /* next entry; a range shrinks to the bytes that no task has */
    bool has_entry;
    bool end;    /* the journal has no further entry */
    bool failed; /* a thread has failed, so the others stop */
    Buffer path; /* the file to which the next ranges belong; empty if none */
    uint64_t final_size;
} Patching;

/* State of one thread. */
typedef struct Patcher
{
    Patching *patching;
    Task task;
    OpenFile target; /* the patched file */
    OpenFile data;   /* the data file with the staged bytes */
    uint8_t *bytes;  /* buffer of TASK_SIZE bytes */
} Patcher;

bool error_missing_file(const char *local, Error *error)
{
    error_set(error, ERROR_FAILED, "file \"%s\" is missing", local);
    error_detail(error,
                 "It existed when the rewind was committed: another program has removed it.");
    return error_hint(error, "Take a new base backup of the source.");
}

static void set_string(Buffer *buffer, const char *string)
{
    buffer_clear(buffer);
    buffer_append_string(buffer, string);
}

/* ---- Taking a task ---- */

/* True if the range can be added to the task. */
static bool fits(Task *task, const JournalEntry *entry)
{
    return task->count == 0 || (task->count < TASK_RANGES && task->size < TASK_SIZE &&
                                entry->data_offset == task->data_offset + task->size &&
                                strcmp(entry->other, buffer_string(&task->data_path)) == 0);
}

/* Move the next range into the task, up to TASK_SIZE; the rest stays the next entry. */
static bool take_range(Patching *patching, Task *task, Error *error)
{
    JournalEntry *entry = &patching->entry;
    const size_t room = TASK_SIZE - task->size;
    const size_t size = entry->size < room ? (size_t) entry->size : room;

    if (patching->path.size == 0 || entry->size > patching->final_size ||
        entry->offset > patching->final_size - entry->size)
        return error_set(error, ERROR_FAILED, "the journal names a range outside of file \"%s\"",
                         buffer_string(&patching->path));
    if (task->count == 0)
    {
        set_string(&task->path, buffer_string(&patching->path));
        set_string(&task->data_path, entry->other);
        task->final_size = patching->final_size;
        task->data_offset = entry->data_offset;
    }
    task->ranges[task->count++] = (Range){.offset = entry->offset, .size = size};
    task->size += size;
    entry->offset += size;
    entry->data_offset += size;
    entry->size -= size;
    patching->has_entry = entry->size > 0;
    return true;
}

/* Carry out an entry that is not a range; JOURNAL_PATCH begins a task. */
static bool take_other(Patching *patching, Task *task, Error *error)
{
    const JournalEntry *entry = &patching->entry;

    patching->has_entry = false;
    buffer_clear(&patching->path);
    if (!journal_check_place(patching->reader, patching->target_directory, error) ||
        !patching->visit(patching->context, entry, error))
        return false;
    if (entry->kind != JOURNAL_PATCH)
        return true;
    set_string(&task->path, target_path(&patching->path, patching->target_directory, entry->path));
    task->final_size = patching->final_size = entry->size;
    return true;
}

static bool read_next_entry(Patching *patching, Error *error)
{
    if (patching->has_entry || patching->end)
        return true;
    if (!journal_next(patching->reader, &patching->entry, &patching->end, error))
        return false;
    patching->has_entry = !patching->end;
    return true;
}

static bool take_task(Patching *patching, Task *task, Error *error)
{
    bool ok = true;

    buffer_clear(&task->path);
    task->count = 0;
    task->size = 0;
    pthread_mutex_lock(&patching->lock);
    while (ok && !patching->failed)
    {
        ok = read_next_entry(patching, error);
        if (!ok || !patching->has_entry)
            break;
        if (patching->entry.kind == JOURNAL_RANGE)
        {
            if (!fits(task, &patching->entry))
                break;
            ok = take_range(patching, task, error);
        }
        else if (task->path.size > 0)
            break;
        else
            ok = take_other(patching, task, error);
    }
    patching->failed = patching->failed || !ok;
    pthread_mutex_unlock(&patching->lock);
    return ok;
}

/* ---- Carrying out a task ---- */

static bool open_target(Patcher *patcher, const char *path, Error *error)
{
    const Patching *patching = patcher->patching;
    bool switched;

    if (!open_file_switch(&patcher->target, path, OPEN_TO_UPDATE, &switched, error))
        return error->error_number == ENOENT ? error_missing_file(path, error) : false;
    /* Rule I77. After it is open: what is written later is written to this file. */
    return !switched || (journal_check_place(patching->reader, patching->target_directory, error) &&
                         file_truncate(patcher->target.fd, path, patcher->task.final_size, error));
}

static bool open_data(Patcher *patcher, const char *name, Error *error)
{
    AUTO_BUFFER Buffer buffer = {0};
    const char *path = target_path(&buffer, patcher->patching->target_directory, name);

    if (!open_file_switch(&patcher->data, path, OPEN_TO_READ, NULL, error))
        return false;
    /* A missing data file is an error here; file_open_read sets it. */
    return patcher->data.fd >= 0 || file_open_read(path, &patcher->data.fd, NULL, error);
}

static bool do_task(Patcher *patcher, Error *error)
{
    Task *task = &patcher->task;
    const char *path = buffer_string(&task->path), *data_path = buffer_string(&task->data_path);
    const Range *ranges = task->ranges, *last;
    const uint8_t *bytes = patcher->bytes;
    size_t length;

    if (!open_target(patcher, path, error))
        return false;
    if (task->count == 0)
        return true;
    if (!open_data(patcher, data_path, error) ||
        !file_read_at(patcher->data.fd, data_path, patcher->bytes, task->size, task->data_offset,
                      &length, error))
        return false;
    if (length < task->size)
        return error_set(error, ERROR_FAILED, "file \"%s\" is damaged: it ends early", data_path);
    last = &ranges[task->count - 1];
    for (const Range *range = ranges; range <= last; bytes += range->size, range++)
    {
        if (!file_write_at(patcher->target.fd, path, bytes, range->size, range->offset, error))
            return false;
    }
    file_begin_writeback(patcher->target.fd, ranges[0].offset,
                         last->offset + last->size - ranges[0].offset);
    progress_add(task->size);
    return true;
}

static bool run_patcher(void *context, size_t item, Error *error)
{
    Patching *patching = context;
    Patcher *patcher = memory_allocate_zeroed(1, sizeof(Patcher));
    bool ok;

    (void) item;
    patcher->patching = patching;
    open_file_init(&patcher->target, patching->written);
    open_file_init(&patcher->data, NULL);
    patcher->bytes = memory_allocate(TASK_SIZE);
    do
        ok = take_task(patching, &patcher->task, error);
    while (ok && patcher->task.path.size > 0 && (ok = do_task(patcher, error)));
    if (!ok)
    {
        pthread_mutex_lock(&patching->lock);
        patching->failed = true;
        pthread_mutex_unlock(&patching->lock);
    }
    open_file_close(&patcher->target);
    open_file_close(&patcher->data);
    buffer_free(&patcher->task.path);
    buffer_free(&patcher->task.data_path);
    free(patcher->bytes);
    free(patcher);
    return ok;
}

bool patch_files(const char *target_directory, JournalReader *reader, int jobs, PatchVisitor visit,
                 void *context, Written *written, Error *error)
{
    Patching patching = {.target_directory = target_directory,
                         .reader = reader,
                         .visit = visit,
                         .context = context,
                         .written = written,
                         .lock = PTHREAD_MUTEX_INITIALIZER};
    bool ok;

    journal_restart(reader);
    ok = workers_run(jobs, (size_t) jobs, run_patcher, &patching, error);
    pthread_mutex_destroy(&patching.lock);
    buffer_free(&patching.path);
    return ok;
}
