#include "report/facts.h"
#include "report/lost_query.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LABEL_COLUMN 2
#define VALUE_COLUMN 28
#define SENTENCE_COLUMNS_MAX 98

static const char *const kind_labels[KIND_COUNT] = {[KIND_RELATION] = "tables and indexes",
                                                    [KIND_FORK] = "visibility, free space",
                                                    [KIND_WAL] = "WAL",
                                                    [KIND_STATUS] = "transaction status",
                                                    [KIND_CONFIGURATION] = "configuration",
                                                    [KIND_OTHER] = "other files"};

/* "  label          value", the value printf-like. */
static void PRINTF_LIKE(3, 4) text_row(Buffer *text, const char *label, const char *format, ...)
{
    va_list arguments;

    report_append_spaces(text, LABEL_COLUMN);
    buffer_append_string(text, label);
    report_append_spaces(text, VALUE_COLUMN - LABEL_COLUMN - (int) strlen(label));
    va_start(arguments, format);
    buffer_vprintf(text, format, arguments);
    va_end(arguments);
    buffer_append_u8(text, '\n');
}

/* A row for each line of value; the label stands before the first. */
static void text_lines(Buffer *text, const char *label, const char *value)
{
    while (*value != '\0')
    {
        size_t length = strcspn(value, "\n");

        text_row(text, label, "%.*s", (int) length, value);
        label = "";
        value += length;
        if (*value == '\n')
            value++;
    }
}

#define SIZE_TEXT_SIZE 32
static const char *size_text(uint64_t bytes, char out[SIZE_TEXT_SIZE])
{
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB", "PB"};
    double value = (double) bytes;
    size_t unit = 0;

    if (bytes == 1)
        return "1 byte";
    while (value >= 1024 && unit + 1 < sizeof(units) / sizeof(units[0]))
    {
        value /= 1024;
        unit++;
    }
    snprintf(out, SIZE_TEXT_SIZE, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return out;
}

/* "2026-07-01 12:34:56.123456 CEST (2026-07-01 10:34:56 UTC)" */
#define TIME_TEXT_SIZE 128
static const char *time_text(int64_t timestamp, char out[TIME_TEXT_SIZE])
{
    int microseconds;
    time_t seconds = report_unix_time(timestamp, &microseconds);
    struct tm local;
    struct tm utc;
    char date[40];
    char zone[32];
    char universal[40];

    tzset(); /* localtime_r need not */
    localtime_r(&seconds, &local);
    gmtime_r(&seconds, &utc);
    strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &local);
    strftime(zone, sizeof(zone), "%Z", &local);
    strftime(universal, sizeof(universal), "%Y-%m-%d %H:%M:%S", &utc);
    if (strcmp(zone, "UTC") == 0)
        snprintf(out, TIME_TEXT_SIZE, "%s.%06d UTC", date, microseconds);
    else
        snprintf(out, TIME_TEXT_SIZE, "%s.%06d %s (%s UTC)", date, microseconds, zone, universal);
    return out;
}

static void text_failure(const Error *error, Buffer *text)
{
    text_lines(text, "error", error->message);
    text_lines(text, "detail", error_detail_text(error));
    text_lines(text, "hint", error_hint_text(error));
}

/* Where recovery starts, and why there; nothing where there was no choice. */
static void text_start(const Report *report, Buffer *text)
{
    const StartChoice *start = &report->start;
    char lsn[LSN_TEXT_SIZE], redo[LSN_TEXT_SIZE], wal[SIZE_TEXT_SIZE], blocks[SIZE_TEXT_SIZE];

    if (!report->start_known || (!start->late && start->late_redo == LSN_INVALID))
        return;
    if (start->late)
        text_row(text, "recovery starts", "late, at the source's checkpoint %s, redo from %s",
                 report_lsn_text(report, report->start_checkpoint, lsn),
                 report_lsn_text(report, report->start_redo, redo));
    else
        text_row(text, "recovery starts", "at the last common checkpoint");
    size_text(start->estimate.wal_bytes, wal);
    size_text(start->estimate.block_bytes, blocks);
    switch (start->reason)
    {
    case START_NO_OTHER:
        break;
    case START_ASKED:
        text_row(text, "", "as asked for");
        break;
    case START_ARCHIVE:
        text_row(text, "", "so that the rewound standby's archive lacks no WAL");
        break;
    case START_HAZARD:
        text_row(text, "", "replay from the last common checkpoint would go wrong");
        break;
    case START_NO_WAL:
        text_row(text, "", "the source no longer has its WAL since the last common one");
        break;
    case START_SPACE:
        text_row(text, "", "there is no room for the source's WAL since the last common one");
        break;
    case START_ESTIMATE:
        text_row(text, "",
                 start->compares
                     ? "%s of blocks are found and fetched sooner than %s of WAL are replayed"
                 : start->late ? "%s of blocks are fetched sooner than %s of WAL are replayed"
                               : "%s of blocks would be fetched later than %s of WAL are replayed",
                 blocks, wal);
        break;
    }
    if (start->compares && start->estimate.compared_bytes > 0)
        text_row(text, "", "found by comparing %s, not by reading that WAL",
                 size_text(start->estimate.compared_bytes, blocks));
}

static void text_histories(const Report *report, Buffer *text)
{
    char lsn[LSN_TEXT_SIZE];
    char redo[LSN_TEXT_SIZE];

    if (report->diverged)
    {
        text_row(text, "divergence", "%s on timeline %u",
                 report_lsn_text(report, report->divergence, lsn), report->divergence_timeline);
        if (report->checkpoint != LSN_INVALID)
            text_row(text, "last common checkpoint", "%s on timeline %u, redo from %s",
                     report_lsn_text(report, report->checkpoint, lsn), report->checkpoint_timeline,
                     report_lsn_text(report, report->redo, redo));
        text_start(report, text);
    }
    if (report->source_history == NULL || report->target_history == NULL)
        return;
    buffer_append_u8(text, '\n');
    report_picture(report, report_locale_is_utf8(), text);
}

/* ---- What is lost in detail ---- */

#define SHOWN_MAX 10

static int compare_touched(const void *left, const void *right)
{
    const LostRelation *a = *(const LostRelation *const *) left;
    const LostRelation *b = *(const LostRelation *const *) right;

    if (a->records != b->records)
        return a->records < b->records ? 1 : -1;
    return (a->id.relation > b->id.relation) - (a->id.relation < b->id.relation);
}

/* Not catalogs, nor what belongs to a table that has a name. */
static bool is_worth_showing(const LostRelation *relation)
{
    return relation->transactions > 0 && relation->table == NULL &&
           relation->oid >= FIRST_NORMAL_OID &&
           ((relation->what & LOST_TOUCHED) != 0 || relation->records > 0);
}

static void text_touched(Lost *lost, Buffer *text)
{
    size_t count, shown = 0;
    const LostRelation *relations = lost_relations(lost, &count);
    const LostRelation **sorted = memory_allocate((count + 1) * sizeof(*sorted));

    for (size_t i = 0; i < count; i++)
        if (is_worth_showing(&relations[i]))
            sorted[shown++] = &relations[i];
    qsort(sorted, shown, sizeof(*sorted), compare_touched);
    for (size_t i = 0; i < shown && i < SHOWN_MAX; i++)
        text_row(text, i == 0 ? "most touched" : "", "%s: %llu transaction%s, %llu record%s",
                 sorted[i]->name, (unsigned long long) sorted[i]->transactions,
                 plural(sorted[i]->transactions), (unsigned long long) sorted[i]->records,
                 plural(sorted[i]->records));
    if (shown > SHOWN_MAX)
        text_row(text, "", "and %zu more", shown - SHOWN_MAX);
    free(sorted);
}

/* Without the list of transactions. A new database is one row, whatever its catalogs are. */
static void text_done_by_any(Lost *lost, const char *label, unsigned what, Buffer *text)
{
    size_t count, found = 0;
    const LostRelation *relations = lost_relations(lost, &count);
    Oid last = 0; /* a database that has its row */

    for (size_t i = 0; i < count; i++)
    {
        const Oid database = relations[i].id.database;
        const bool catalog = what == LOST_CREATED && relations[i].oid < FIRST_NORMAL_OID &&
                             lost_database_is_new(lost, database);

        if (!(relations[i].what & what) || relations[i].table != NULL ||
            (catalog && database == last))
            continue;
        last = catalog ? database : last;
        if (found++ >= SHOWN_MAX)
            continue;
        if (catalog)
            text_row(text, found == 1 ? label : "", "database %u", database);
        else
            text_row(text, found == 1 ? label : "", "%s", relations[i].name);
    }
    if (found > SHOWN_MAX)
        text_row(text, "", "and %zu more", found - SHOWN_MAX);
}

static bool makes_database(const Lost *lost, const LostTransaction *transaction)
{
    const DdlChanges changes = lost_changes(lost, transaction);
    DdlGuess guesses[DDL_GUESSES_MAX];
    const size_t count = ddl_guess(&changes, guesses);

    for (size_t i = 0; i < count; i++)
        if (strcmp(guesses[i].verb, "CREATE") == 0 && strcmp(guesses[i].noun, "DATABASE") == 0)
            return true;
    return false;
}

/* Names of what was, for instance, dropped; of tables and the like only. What CREATE DATABASE
 * copied from its template is one row. */
static void text_done(const Lost *lost, const char *label, unsigned what, Buffer *text)
{
    size_t count, found = 0;
    const LostTransaction *transactions = lost_transactions(lost, &count);

    for (size_t i = 0; i < count; i++)
    {
        const size_t items = lost_item_count(lost, &transactions[i]);
        const bool made = what == LOST_CREATED && makes_database(lost, &transactions[i]);
        Oid last = 0; /* the database that has its row */

        for (size_t k = 0; k < items; k++)
        {
            unsigned done;
            const LostRelation *relation = lost_item(lost, &transactions[i], k, &done);
            const Oid database = relation->id.database;
            const bool copied = made && lost_database_is_new(lost, database);

            if (!(done & what) || relation->table != NULL || (copied && database == last))
                continue;
            last = copied ? database : last;
            if (found++ >= SHOWN_MAX)
                continue;
            if (copied)
                text_row(text, found == 1 ? label : "", "database %u by %u", database,
                         transactions[i].xid);
            else
                text_row(text, found == 1 ? label : "", "%s by %u", relation->name,
                         transactions[i].xid);
        }
    }
    if (found > SHOWN_MAX)
        text_row(text, "", "and %zu more", found - SHOWN_MAX);
}

static void text_ddl(const Lost *lost, Buffer *text)
{
    size_t count, found = 0;
    const LostTransaction *transactions = lost_transactions(lost, &count);
    char time[TIME_TEXT_SIZE];

    for (size_t i = 0; i < count; i++)
    {
        const DdlChanges changes = lost_changes(lost, &transactions[i]);
        DdlGuess guesses[DDL_GUESSES_MAX];
        const size_t size = ddl_guess(&changes, guesses);

        if (size == 0 || found++ >= SHOWN_MAX)
            continue;
        time_text(transactions[i].time, time);
        text_row(text, found == 1 ? "schema, by its catalogs" : "", "%s %s%s by %u, %.19s",
                 guesses[0].verb, guesses[0].noun, size > 1 ? " and more" : "", transactions[i].xid,
                 time);
    }
    if (found > SHOWN_MAX)
        text_row(text, "", "and %zu more", found - SHOWN_MAX);
}

static void text_lost_list(const Report *report, Buffer *text)
{
    static const struct
    {
        const char *label;
        unsigned what;
    } rows[] = {{"storage dropped", LOST_DROPPED},
                {"storage truncated", LOST_TRUNCATED},
                {"storage created", LOST_CREATED}};

    for (uint64_t i = 0; i < report->lost_prepared && i < SHOWN_MAX; i++)
        text_row(text, i == 0 ? "only prepared" : "", "%s", report->lost_gids[i]);
    text_touched(report->lost, text);
    text_ddl(report->lost, text);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (report->transactions == REPORT_TRANSACTIONS_ALL)
            text_done(report->lost, rows[i].label, rows[i].what, text);
        else
            text_done_by_any(report->lost, rows[i].label, rows[i].what, text);
    if (!lost_is_complete(report->lost))
        text_row(text, "", "(not all could be listed)");
}

static void text_lost_detail(const Report *report, Buffer *text)
{
    if (report->lost != NULL)
        text_lost_list(report, text);
    if (report->saved_wal != NULL)
        text_row(text, "kept in", "%s", report->saved_wal);
    if (report->saved_wal_command != NULL)
        text_row(text, "to read it", "%s", report->saved_wal_command);
}

static void text_lost(const Report *report, bool done, Buffer *text)
{
    char time[TIME_TEXT_SIZE];
    char size[SIZE_TEXT_SIZE];

    if (!report->scanned)
        return;
    buffer_printf(text, "\n%s\n",
                  done ? "Discarded from the target" : "To be discarded from the target");
    text_row(text, "committed transactions", "%llu", (unsigned long long) report->lost_commits);
    if (report->lost != NULL && lost_maintenance_count(report->lost) > 0)
        text_row(text, "of which maintenance", "%llu (ANALYZE, VACUUM: no row of a table)",
                 (unsigned long long) lost_maintenance_count(report->lost));
    if (report->lost_commits > 0)
    {
        text_row(text, "first commit", "%s", time_text(report->first_lost_commit, time));
        text_row(text, "last commit", "%s", time_text(report->last_lost_commit, time));
    }
    if (report->lost_prepared > 0)
        text_row(text, "prepared transactions", "%llu", (unsigned long long) report->lost_prepared);
    text_row(text, "target WAL read", "%s", size_text(report->target_wal_bytes, size));
    text_lost_detail(report, text);
}

static void text_fetched(const Report *report, bool done, Buffer *text)
{
    char size[SIZE_TEXT_SIZE];
    char whole[SIZE_TEXT_SIZE];
    uint64_t saved = report_bytes_saved(report);

    if (!report->planned)
        return;
    if (report->dry_run)
    {
        buffer_append_string(text, "\nTo be fetched from the source, at most\n");
        text_row(text, "files and blocks", "%s", size_text(report->planned_bytes, size));
        text_row(text, "WAL", "%s", size_text(report->planned_wal_bytes, size));
    }
    else
    {
        buffer_append_string(text, "\nFetched from the source\n");
        for (int kind = 0; kind < KIND_COUNT; kind++)
            if (report->fetched_bytes_by_kind[kind] > 0)
                text_row(text, kind_labels[kind], "%s",
                         size_text(report->fetched_bytes_by_kind[kind], size));
        text_row(text, "total", "%s", size_text(report->fetched_bytes, size));
        if (report->equal_bytes > 0)
            text_row(text, "compared and found equal", "%s", size_text(report->equal_bytes, size));
    }
    if (report->compared_bytes > 0)
        text_row(text, "compared block by block", "%s", size_text(report->compared_bytes, size));
    if (report->rebuilt_bytes > 0)
        text_row(text, "rebuilt by recovery", "%s", size_text(report->rebuilt_bytes, size));
    if (!done && !report->dry_run)
        return; /* not all of it yet */
    text_row(text, "saved", "%s of the source's %s (%.1f%%)", size_text(saved, size),
             size_text(report->source_bytes, whole),
             report->source_bytes == 0 ? 0.0
                                       : (double) saved * 100 / (double) report->source_bytes);
}

static void text_removed(const Report *report, bool done, Buffer *text)
{
    char size[SIZE_TEXT_SIZE];
    char label[64];

    if (!report->planned || report->removed_count == 0)
        return;
    buffer_printf(text, "\n%s from the target, which the source does not have\n",
                  done ? "Removed" : "To be removed");
    for (size_t i = 0; i < report->removed_count && i < SHOWN_MAX; i++)
    {
        const PlanRemoved *removed = &report->removed[i];

        snprintf(label, sizeof(label), "%llu file%s, %s", (unsigned long long) removed->file_count,
                 plural(removed->file_count), size_text(removed->bytes, size));
        text_row(text, label, "%s", removed->path);
    }
    if (report->removed_count > SHOWN_MAX)
        text_row(text, "", "and %zu more", report->removed_count - SHOWN_MAX);
}

static void text_rejoin(const Report *report, Buffer *text)
{
    const ReportRejoin *rejoin = report->rejoin;
    char lsn[LSN_TEXT_SIZE];

    if (rejoin == NULL)
        return;
    buffer_append_string(text, "\nThe target's server\n");
    text_row(text, "stopped by this run", "%s", rejoin->stopped ? "yes" : "no");
    text_row(text, "started by this run", "%s", rejoin->started ? "yes" : "no");
    text_row(text, "running now", "%s", rejoin->running ? "yes" : "no");
    text_row(text, "follows the source", "%s", rejoin->followed ? "yes" : "not known");
    if (rejoin->followed)
    {
        text_row(text, "application_name", "%s", rejoin->application_name);
        if (rejoin->sync_state[0] != '\0')
            text_row(text, "sync_state", "%s", rejoin->sync_state);
        text_row(text, "replayed up to", "%s", report_lsn_text(report, rejoin->replayed, lsn));
    }
}

/* Who answered, and what made the report. */
static void text_run(const Report *report, Buffer *text)
{
    const char *const address = report->source_address;

    if (report->system_identifier != 0)
        text_row(text, "system identifier", "%llu", (unsigned long long) report->system_identifier);
    if (report->connected)
        text_row(text, "answered by", "%s%s%s%s port %u",
                 report->source_host != NULL ? report->source_host : "",
                 address != NULL ? " (" : "", address != NULL ? address : "",
                 address != NULL ? ")" : "", report->source_port);
    if (report->program_version != NULL)
        text_row(text, "pg_rewind", "%s", report->program_version);
}

/* Sentences of words, in lines. */
static void text_sentences(const char *sentences, Buffer *text)
{
    size_t column = 0;

    while (*sentences != '\0')
    {
        const size_t length = strcspn(sentences, " ");

        if (column > 0 && column + 1 + length > SENTENCE_COLUMNS_MAX)
        {
            buffer_append_u8(text, '\n');
            column = 0;
        }
        report_append_spaces(text, column == 0 ? LABEL_COLUMN : 1);
        column += (column == 0 ? LABEL_COLUMN : 1) + length;
        buffer_append(text, sentences, length);
        sentences += length + strspn(sentences + length, " ");
    }
    buffer_append_u8(text, '\n');
}

static void text_prepared(const char *label, const ReportPrepared *list, size_t count, Buffer *text)
{
    for (size_t i = 0; i < count && i < SHOWN_MAX; i++)
    {
        const char *const gid = list[i].gid;

        text_row(text, i == 0 ? label : "", "%u%s%s%s", list[i].xid, gid != NULL ? ", \"" : "",
                 gid != NULL ? gid : "", gid != NULL ? "\"" : "");
    }
    if (count > SHOWN_MAX)
        text_row(text, "", "and %zu more", count - SHOWN_MAX);
}

/* Beside the target itself: transactions that hold locks, the archive, backups. */
static void text_consequences(const Report *report, Buffer *text)
{
    char backup[REPORT_FULL_BACKUP_SIZE], from[LSN_TEXT_SIZE], to[LSN_TEXT_SIZE];
    char size[SIZE_TEXT_SIZE];

    if (report->replay_to != LSN_INVALID)
    {
        buffer_append_string(text, "\nReplayed when the target starts\n");
        text_row(text, "source WAL", "from %s to %s: %s, in %llu segment%s",
                 report_lsn_text(report, report->replay_from, from),
                 report_lsn_text(report, report->replay_to, to),
                 size_text(report->replay_to - report->replay_from, size),
                 (unsigned long long) report->replay_segments,
                 report->replay_segments == 1 ? "" : "s");
    }
    if (report->prepared_stay_count + report->prepared_go_count > 0)
    {
        buffer_append_string(text, "\nPrepared transactions\n");
        text_prepared("the source's, which stay", report->prepared_stay,
                      report->prepared_stay_count, text);
        text_prepared("the target's, which go", report->prepared_go, report->prepared_go_count,
                      text);
    }
    if (report->archived_count > 0)
    {
        buffer_append_string(text, "\nArchived by the target, with WAL that is lost\n");
        for (size_t i = 0; i < report->archived_count && i < SHOWN_MAX; i++)
            text_row(text, "", "%s", report->archived[i]);
        if (report->archived_count > SHOWN_MAX)
            text_row(text, "", "and %zu more", report->archived_count - SHOWN_MAX);
    }
    if (report_full_backup(report, backup) != NULL)
    {
        buffer_append_string(text, "\nBackups\n");
        text_sentences(backup, text);
    }
}

static void text_times(const Report *report, Buffer *text)
{
    char time[TIME_TEXT_SIZE];

    buffer_append_string(text, "\nTime\n");
    if (report->begin != 0)
        text_row(text, "begin", "%s", time_text(report->begin, time));
    if (report->end != 0)
        text_row(text, "end", "%s, after %.2f s", time_text(report->end, time),
                 report->run_seconds);
    for (int phase = 0; phase < PHASE_COUNT; phase++)
        if (report->seconds[phase] > 0)
            text_row(text, report_phase_names[phase], "%.2f s", report->seconds[phase]);
    text_row(text, "total", "%.2f s", report_seconds_total(report));
}

void report_text(const Report *report, int exit_status, Buffer *text)
{
    const bool done = exit_status == 0 && !report->dry_run;
    char lsn[LSN_TEXT_SIZE];

    buffer_printf(text, "pg_rewind: %s\n\n", report_verdict(report, exit_status).text);
    for (size_t i = 0; i < report->error_count; i++)
        text_failure(report->errors[i], text);
    if (report->source != NULL)
        text_row(text, "source", "%s", report->source);
    if (report->target != NULL)
        text_row(text, "target", "%s", report->target);
    if (report->version != NULL)
        text_row(text, "server version", "PostgreSQL %s", report->version->name);
    text_run(report, text);
    text_histories(report, text);
    text_lost(report, done, text);
    text_fetched(report, done, text);
    text_removed(report, done, text);
    if (report->min_recovery_point != LSN_INVALID)
    {
        buffer_append_string(text, "\nThe target is consistent after replay of\n");
        text_row(text, "source WAL up to", "%s on timeline %u",
                 report_lsn_text(report, report->min_recovery_point, lsn),
                 report->min_recovery_timeline);
    }
    text_consequences(report, text);
    report_next_text(report, text);
    text_rejoin(report, text);
    text_times(report, text);
    if (!done && exit_status != 2)
        lost_queries_text(report, text);
}
