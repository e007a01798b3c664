#include "divergence/lost_count.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/workers.h"

#include <time.h>

#define LIVE_ATTEMPTS 3 /* attempts to read WAL that a server is writing */

/* ---- The number ---- */

LostCount lost_count_of_scan(const Clusters *clusters, const Divergence *divergence,
                             const ScanResult *scanned)
{
    return (LostCount){.counted = true,
                       .can_save_rows = true,
                       .transactions = scanned->commit_count,
                       .first_time = scanned->first_commit_time,
                       .last_time = scanned->last_commit_time,
                       .first_timeline =
                           history_timeline_at(&clusters->target_history, divergence->lsn),
                       .last_timeline = clusters->target.timeline};
}

/*
 * Count the commits after the divergence; *wal_end is the end of the WAL. Fails if WAL is missing
 * at the divergence, or between it and what pg_control knows. The target had WAL up to the
 * divergence, so it once had the segment that ends or continues there; the pg_control of a crashed
 * server may know only a checkpoint before the divergence.
 */
static bool count_commits(const WalStream *wal, const Control *control, Lsn divergence,
                          ScanResult *result, Lsn *wal_end, Error *error)
{
    AUTO_ARENA Arena *arena = arena_create(); /* for lists of the result, which are not used */
    const Lsn from = wal_skip_header(&wal->shape, divergence);
    WalSegmentFacts end;
    WalScan *scan = scan_read(wal, 1, from, arena, &end, result, error);

    if (scan == NULL)
        return false;
    scan_destroy(scan);
    *wal_end = end.next_lsn;
    if (end.end == WAL_SEGMENT_MISSING &&
        end.missing_segment == wal_segment_of(&wal->shape, divergence - 1))
        return error_missing_wal(wal, end.missing_segment, error);
    if ((end.next_lsn > control->checkpoint_lsn || from > control->checkpoint_lsn) &&
        (end.next_lsn >= control->min_recovery_point || from > control->min_recovery_point))
        return true;
    if (end.end == WAL_SEGMENT_MISSING)
        return error_missing_wal(wal, end.missing_segment, error);
    return error_set(error, ERROR_FAILED, "could not read WAL record at %s: %s", /* contract */
                     LSN_TEXT(wal->shape.version, end.next_lsn), end.reason);
}

/* Like count_commits, for a server that may have crashed as a primary: pg_control does not give
 * the end of the target's WAL, so fails unless all WAL up to the end of its pg_wal is read. (Rule
 * D9.) */
static bool count_commits_of_crashed(const DivergenceInput *input, Lsn divergence,
                                     ScanResult *result, Error *error)
{
    WalStore *target_wal = input->target_wal;
    Lsn wal_end;

    return target_wal_find_newest(target_wal, error) &&
           count_commits(&target_wal->stream, &input->clusters->target.control, divergence, result,
                         &wal_end, error) &&
           divergence_check_end_is_own(target_wal, wal_end, error);
}

bool lost_count_read(const DivergenceInput *input, const Divergence *divergence,
                     const WalStream *wal, bool running, Arena *arena, LostCount *count,
                     Error *error)
{
    const Clusters *clusters = input->clusters;
    const Target *target = &clusters->target;
    const bool is_rewound = target->has_backup_label && !target->label_of_base_backup;
    const Lsn lsn = divergence->lsn != LSN_INVALID ? divergence->lsn : divergence->printed;
    ScanResult scanned;
    Lsn wal_end;
    bool read = false;
    Error why;

    *count = (LostCount){.counted = true,
                         .so_far = running,
                         .can_save_rows = divergence->lsn != LSN_INVALID,
                         .first_timeline = target->timeline,
                         .last_timeline = target->timeline};
    if (lsn == LSN_INVALID)
    {
        /* Without a known divergence, a target on the source's timeline has committed nothing
         * itself if it is not ahead and is a standby, or was rewound and not started since. */
        if (target->timeline != input->state->position.timeline ||
            (!target_may_have_been_standby(target) && !is_rewound) ||
            divergence->target_end > input->state->position.end)
            count->unknown = "the histories do not tell where the two diverge";
        return true;
    }
    count->first_timeline = history_timeline_at(&clusters->target_history, lsn);
    /* Try again if the server runs: WAL that is written while it is read looks damaged. */
    for (int attempt = 0; !read && attempt < (running ? LIVE_ATTEMPTS : 1); attempt++)
    {
        if (!stop_check(error))
            return false;
        read = !running && target_may_have_pages_of_crash(target)
                   ? count_commits_of_crashed(input, lsn, &scanned, &why)
                   : count_commits(wal, &target->control, lsn, &scanned, &wal_end, &why);
    }
    if (!read)
    {
        count->unknown = arena_strdup(arena, why.message);
        return stop_check(error);
    }
    count->transactions = scanned.commit_count;
    count->first_time = scanned.first_commit_time;
    count->last_time = scanned.last_commit_time;
    return true;
}

/* ---- The message ---- */

/* Append the local time, in seconds: "2026-07-01 12:34:56 CEST". */
static void append_commit_time(Buffer *text, int64_t timestamp)
{
    int microseconds;
    const time_t seconds = clock_unix_time(timestamp, &microseconds);
    struct tm local;
    char words[64];

    tzset(); /* localtime_r alone may not read TZ */
    localtime_r(&seconds, &local);
    strftime(words, sizeof(words), "%Y-%m-%d %H:%M:%S %Z", &local);
    buffer_append_string(text, words);
}

static void append_transactions(const LostCount *count, Buffer *text)
{
    buffer_printf(text, "%llu committed transaction%s of the target",
                  (unsigned long long) count->transactions, plural(count->transactions));
    if (count->so_far)
        buffer_append_string(text, " so far");
    if (count->first_timeline != count->last_timeline)
        buffer_printf(text, ", on timelines %u to %u", count->first_timeline, count->last_timeline);
    else
        buffer_printf(text, ", on timeline %u", count->last_timeline);
    if (count->transactions == 0)
        return;
    buffer_append_string(text, ", from ");
    append_commit_time(text, count->first_time);
    buffer_append_string(text, " to ");
    append_commit_time(text, count->last_time);
}

void lost_count_print(const LostCount *count, const Options *options)
{
    const char *rows = count->can_save_rows ? options->save_lost_rows : NULL;
    const char *wal = options->save_diverged_wal;
    AUTO_BUFFER Buffer text = {0};

    if (count->unknown != NULL)
    {
        log_info("it is not known how many committed transactions of the target the rewind "
                 "discards: %s",
                 count->unknown);
        return;
    }
    append_transactions(count, &text);
    if (rows != NULL)
        buffer_printf(&text, "; --save-lost-rows saves their rows in \"%s\"", rows);
    if (wal != NULL)
        buffer_printf(&text, "; --save-diverged-wal saves their WAL in \"%s\"", wal);
    if (rows == NULL && wal == NULL && count->transactions > 0)
        buffer_append_string(&text, count->can_save_rows
                                        ? "; --save-lost-rows=DIR would save their rows"
                                        : "; --save-diverged-wal=DIR would save their WAL");
    log_info("the rewind discards %s", buffer_string(&text));
}

bool lost_count_check(const LostCount *count, const Options *options, Error *error)
{
    const int limit = options->max_lost_transactions;
    AUTO_BUFFER Buffer text = {0};

    if (limit < 0 || (count->unknown == NULL && count->transactions <= (uint64_t) limit))
        return true;
    if (count->unknown != NULL)
    {
        error_set(error, ERROR_FAILED,
                  "it is not known whether the rewind would discard more committed transactions "
                  "than --max-lost-transactions=%d allows",
                  limit);
        error_detail(error, "The target's WAL since the divergence cannot be counted: %s.",
                     count->unknown);
        return error_hint(error, "Let pg_rewind find that WAL (--wal-archive, --restore-command, "
                                 "-c), or, if all of it may go, run pg_rewind without "
                                 "--max-lost-transactions.");
    }
    append_transactions(count, &text);
    error_set(error, ERROR_FAILED,
              "the rewind would discard more committed transactions than "
              "--max-lost-transactions=%d allows",
              limit);
    error_detail(error, "It would discard %s.", buffer_string(&text));
    if (count->so_far)
        error_hint(error, "To look at them, stop the server without a checkpoint, which could "
                          "remove their WAL: pg_ctl stop -m immediate. Then use --dry-run "
                          "--report=text without --max-lost-transactions.");
    else
        error_hint(error, "Look at them with --dry-run --report=text, without "
                          "--max-lost-transactions.");
    return error_hint(error, "If the target is the new primary, do not rewind it; if they may go, "
                             "save their rows with --save-lost-rows, and raise the number.");
}
