#include "report/facts.h"

#include "base/clock.h"
#include "base/encoding.h"
#include "base/text_lines.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define LABEL_COLUMN 2
#define VALUE_COLUMN 28
#define SENTENCE_COLUMNS_MAX 96
#define NEXT_COLUMNS_MAX 70
#define SHOWN_MAX 10
#define SETTINGS_SHOWN_MAX 20
#define TIME_SHOWN_MIN 0.005 /* seconds; a shorter time would be printed as 0.00 */

static const char *const kind_labels[KIND_COUNT] = {[KIND_RELATION] = "tables and indexes",
                                                    [KIND_FORK] = "visibility, free space",
                                                    [KIND_WAL] = "WAL",
                                                    [KIND_STATUS] = "transaction status",
                                                    [KIND_CONFIGURATION] = "configuration",
                                                    [KIND_OTHER] = "other files"};

static void append_label(Buffer *text, const char *label)
{
    buffer_printf(text, "%*s%-*s", LABEL_COLUMN, "", VALUE_COLUMN - LABEL_COLUMN, label);
}

/* Append a row " label value" with a printf format for the value. */
static void PRINTF_LIKE(3, 4) text_row(Buffer *text, const char *label, const char *format, ...)
{
    va_list arguments;

    append_label(text, label);
    va_start(arguments, format);
    buffer_vshown(text, SHOWN_ONE_LINE, format, arguments);
    va_end(arguments);
    buffer_append_u8(text, '\n');
}

/* Append a row with one value, unless the value is NULL or empty. */
static void text_value(Buffer *text, const char *label, const char *value)
{
    if (value != NULL && value[0] != '\0')
        text_row(text, label, "%s", value);
}

/* Append a row for each line of value; the first row has the label. Lines longer than width are
 * broken, unless width is 0. An empty value has no row. */
static void text_rows(Buffer *text, const char *label, const char *value, size_t width)
{
    if (value[0] == '\0')
        return;
    append_label(text, label);
    text_append_lines(text, value, VALUE_COLUMN, width);
}

/* Append a row for each item of a complete list, and clear the list. */
static void text_list_rows(Buffer *text, const char *label, TextList *list)
{
    text_list_end(list);
    text_rows(text, label, buffer_string(list->buffer), 0);
    buffer_clear(list->buffer);
    list->count = 0;
}

static const char *size_text(const Report *report, uint64_t bytes)
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
    return arena_printf(report->run->session.arena, "%.*f %s", unit > 0, value, units[unit]);
}

/* "2026-07-01 12:34:56.123456 CEST (2026-07-01 10:34:56 UTC)" */
static const char *time_text(const Report *report, int64_t timestamp)
{
    int microseconds;
    time_t seconds = clock_unix_time(timestamp, &microseconds);
    struct tm local, utc;
    char date[40], zone[32], universal[40];

    tzset(); /* localtime_r alone may not read TZ */
    localtime_r(&seconds, &local);
    gmtime_r(&seconds, &utc);
    strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &local);
    strftime(zone, sizeof(zone), "%Z", &local);
    strftime(universal, sizeof(universal), "%Y-%m-%d %H:%M:%S", &utc);
    if (strcmp(zone, "UTC") == 0)
        return arena_printf(report->run->session.arena, "%s.%06d UTC", date, microseconds);
    return arena_printf(report->run->session.arena, "%s.%06d %s (%s UTC)", date, microseconds, zone,
                        universal);
}

/* Append the start of recovery and the reason for it; nothing if there was no choice. */
static void text_start(const Report *report, Buffer *text)
{
    const RecoveryStart *recovery = &report->run->start;
    const StartChoice *start = &recovery->choice;

    if (!report->run->planned.known || (!start->late && start->late_redo == LSN_INVALID))
        return;
    if (start->late)
        text_row(text, "recovery starts", "late, at the source's checkpoint %s, redo from %s",
                 report_lsn(report, recovery->chosen.checkpoint),
                 report_lsn(report, recovery->chosen.redo));
    else
        text_row(text, "recovery starts", "at the last common checkpoint");
    text_rows(text, "", report_reasons[start->reason].text, 0);
    if (start->reason == START_ESTIMATE)
        text_row(text, "",
                 start->compares
                     ? "%s of blocks are found and fetched sooner than %s of WAL are replayed"
                 : start->late ? "%s of blocks are fetched sooner than %s of WAL are replayed"
                               : "%s of blocks would be fetched later than %s of WAL are replayed",
                 size_text(report, start->estimate.block_bytes),
                 size_text(report, start->estimate.wal_bytes));
    if (start->compares && start->estimate.compared_bytes > 0)
        text_row(text, "", "found by comparing %s, not by reading that WAL",
                 size_text(report, start->estimate.compared_bytes));
}

/*
 * True if the environment's locale has the encoding UTF-8. The locale's name decides, because the
 * terminal can be on another host: the locale need not be installed where the program runs.
 */
static bool locale_is_utf8(void)
{
    static const char *const variables[] = {"LC_ALL", "LC_CTYPE", "LANG"};
    const char *locale = NULL, *encoding;

    for (size_t i = 0; i < 3 && (locale == NULL || locale[0] == '\0'); i++)
        locale = getenv(variables[i]);
    encoding = locale != NULL ? strchr(locale, '.') : NULL;
    return encoding != NULL &&
           (strncasecmp(encoding, ".UTF-8", 6) == 0 || strncasecmp(encoding, ".utf8", 5) == 0);
}

static void text_histories(const Report *report, Buffer *text)
{
    const Divergence *divergence = &report->run->divergence;
    const Clusters *clusters = &report->run->session.clusters;
    const ScanCheckpoint *common = report_common_checkpoint(report);

    if (report->run->divergence.printed != LSN_INVALID)
    {
        text_row(text, "divergence", "%s on timeline %u", report_lsn(report, divergence->printed),
                 divergence->printed_timeline);
        if (common != NULL)
            text_row(text, "last common checkpoint", "%s on timeline %u, redo from %s",
                     report_lsn(report, common->lsn), common->checkpoint.timeline,
                     report_lsn(report, report_common_redo(report)));
        text_start(report, text);
    }
    if (clusters->source_history.count == 0 || clusters->target_history.count == 0)
        return;
    buffer_append_u8(text, '\n');
    report_picture(report, locale_is_utf8(), text);
}

/* ---- Details of lost transactions ---- */

static int compare_touched(const void *left, const void *right)
{
    const LostRelation *a = *(const LostRelation *const *) left;
    const LostRelation *b = *(const LostRelation *const *) right;

    if (a->records != b->records)
        return a->records < b->records ? 1 : -1;
    return (a->id.relation > b->id.relation) - (a->id.relation < b->id.relation);
}

/* Add the changed relations, most records first, without catalogs, and without relations that
 * belong to a table with a name. */
static void list_touched(const Lost *lost, TextList *list)
{
    size_t shown = 0;
    const LostRelation **sorted = memory_allocate((lost->relation_count + 1) * sizeof(*sorted));

    for (size_t i = 0; i < lost->relation_count; i++)
    {
        const LostRelation *relation = &lost->relations[i];

        if (relation->transactions > 0 && relation->table == NULL &&
            relation->oid >= FIRST_NORMAL_OID &&
            ((relation->what & LOST_TOUCHED) != 0 || relation->records > 0))
            sorted[shown++] = relation;
    }
    qsort(sorted, shown, sizeof(*sorted), compare_touched);
    for (size_t i = 0; i < shown; i++)
        text_list_add(list, "%s: %llu transaction%s, %llu record%s", sorted[i]->name,
                      (unsigned long long) sorted[i]->transactions, plural(sorted[i]->transactions),
                      (unsigned long long) sorted[i]->records, plural(sorted[i]->records));
    free(sorted);
}

/* Add a relation whose storage was created, truncated or dropped (`what`), with the transaction
 * unless xid is 0. All relations of a new database are one row; *last is the database that has its
 * row. */
static void list_done(TextList *list, const Lost *lost, const LostRelation *relation, unsigned what,
                      Oid *last, uint32_t xid)
{
    const Oid database = relation->id.database;
    /* CREATE DATABASE copies the relations of its template, whose catalogs are among them. */
    const bool of_new_database = what == LOST_CREATED && relation->oid < FIRST_NORMAL_OID &&
                                 lost_database_is_new(lost, database);

    if (relation->table != NULL || (of_new_database && database == *last))
        return;
    if (of_new_database)
        *last = database;
    if (!text_list_next(list))
        return;
    if (of_new_database)
    {
        if (relation->database != NULL)
            buffer_shown(list->buffer, SHOWN_ONE_LINE, "database %s", relation->database);
        else
            buffer_printf(list->buffer, "database %u", database);
    }
    else
        buffer_shown(list->buffer, SHOWN_ONE_LINE, "%s", relation->name);
    if (xid != 0)
        buffer_printf(list->buffer, " by %u", xid);
}

/* Add all relations to which `what` was done; with by_transaction one row for each transaction that
 * did. */
static void list_all_done(const Lost *lost, unsigned what, bool by_transaction, TextList *list)
{
    Oid last = 0;

    for (size_t i = 0; !by_transaction && i < lost->relation_count; i++)
        if (lost->relations[i].what & what)
            list_done(list, lost, &lost->relations[i], what, &last, 0);
    for (size_t i = 0; by_transaction && i < lost->transaction_count; i++)
    {
        const LostSet *set = lost_set(lost, &lost->transactions[i]);

        last = 0;
        for (size_t k = 0; k < set->count; k++)
            if (set->items[k].what & what)
                list_done(list, lost, &lost->relations[set->items[k].relation], what, &last,
                          lost->transactions[i].xid);
    }
}

static void text_lost_list(const Report *report, const Lost *lost, Buffer *text)
{
    static const struct
    {
        const char *label;
        unsigned what;
    } rows[] = {{"storage dropped", LOST_DROPPED},
                {"storage truncated", LOST_TRUNCATED},
                {"storage created", LOST_CREATED}};
    AUTO_BUFFER Buffer buffer = {0};
    TextList list = {&buffer, "\n", SHOWN_MAX, 0};

    for (uint64_t i = 0; i < report->run->changes.lost_prepared && i < SHOWN_MAX; i++)
        text_list_add(&list, "%s", report->run->changes.lost_gids[i]);
    text_list_rows(text, "only prepared", &list);
    list_touched(lost, &list);
    text_list_rows(text, "most touched", &list);
    for (size_t i = 0; i < lost->relation_count; i++)
        if (lost->relations[i].is_sequence && lost_relation_is_reported(&lost->relations[i]))
            text_list_add(&list, "%s: up to %lld", lost->relations[i].name,
                          (long long) lost->relations[i].last_value);
    text_list_rows(text, "sequences", &list);
    for (size_t i = 0; i < lost->schema_change_count; i++)
    {
        const LostSchemaChange *change = &lost->schema_changes[i];
        const LostTransaction *transaction = &lost->transactions[change->transaction];

        if (!text_list_next(&list))
            continue;
        buffer_shown(&buffer, SHOWN_ONE_LINE, "%s %s%s%s by %u, %.19s", change->verb, change->noun,
                     change->name != NULL ? " " : "", change->name != NULL ? change->name : "",
                     transaction->xid, time_text(report, transaction->time));
        if (change->rows_on_source)
            buffer_append_string(&buffer, "\n  its rows are still on the source");
    }
    text_list_rows(text, "schema, by its catalogs", &list);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    {
        list_all_done(lost, rows[i].what,
                      report->options->report_transactions == REPORT_TRANSACTIONS_ALL, &list);
        text_list_rows(text, rows[i].label, &list);
    }
    if (lost->incomplete)
        text_row(text, "", "(not all could be listed)");
}

static void text_lost(const Report *report, bool done, Buffer *text)
{
    const Run *run = report->run;
    const LostCount *count = &run->lost_count;
    const uint64_t prepared = run->changes.lost_prepared;
    const uint64_t maintenance = run->lost != NULL ? run->lost->maintenance_count : 0;
    const SavedRows *saved = &run->saved_rows;

    if (!count->counted)
        return;
    buffer_printf(text, "\n%s\n",
                  done ? "Discarded from the target" : "To be discarded from the target");
    if (count->unknown != NULL)
        text_row(text, "committed transactions", "not known: %s", count->unknown);
    else
        text_row(text, "committed transactions", "%llu", (unsigned long long) count->transactions);
    if (maintenance > 0)
        text_row(text, "of which maintenance", "%llu (ANALYZE, VACUUM: no row of a table)",
                 (unsigned long long) maintenance);
    if (count->transactions > 0)
    {
        text_row(text, "first commit", "%s", time_text(report, count->first_time));
        text_row(text, "last commit", "%s", time_text(report, count->last_time));
    }
    if (prepared > 0)
        text_row(text, "prepared transactions", "%llu", (unsigned long long) prepared);
    if (run->changes.known)
        text_row(text, "target WAL read", "%s", size_text(report, run->changes.scanned.wal_bytes));
    if (run->lost != NULL)
        text_lost_list(report, run->lost, text);
    if (run->saved_wal_command != NULL)
        text_value(text, "kept in", report->options->save_diverged_wal);
    text_value(text, "to read it", run->saved_wal_command);
    text_value(text, "rows not saved", saved->incomplete);
    text_value(text, "rows saved in", saved->json);
    text_value(text, "as SQL in", saved->sql);
    if (saved->json != NULL)
        text_row(text, "changes of rows", "%llu; unknown: %llu",
                 (unsigned long long) saved->changes, (unsigned long long) saved->untold);
}

static void text_size(const Report *report, const char *label, uint64_t bytes, Buffer *text)
{
    if (bytes > 0)
        text_row(text, label, "%s", size_text(report, bytes));
}

static void text_fetched(const Report *report, bool done, Buffer *text)
{
    const Run *run = report->run;
    const Plan *plan = &run->planned.plan;
    uint64_t saved;

    if (!run->planned.known)
        return;
    if (report->options->dry_run)
    {
        buffer_append_string(text, "\nTo be fetched from the source, at most\n");
        text_row(text, "files and blocks", "%s", size_text(report, plan->fetch_bytes));
        text_row(text, "WAL", "%s", size_text(report, report_planned_wal_bytes(report)));
    }
    else
    {
        buffer_append_string(text, "\nFetched from the source\n");
        for (int kind = 0; kind < KIND_COUNT; kind++)
            text_size(report, kind_labels[kind], run->fetched.fetched_bytes_by_kind[kind], text);
        text_row(text, "total", "%s", size_text(report, run->fetched.fetched_bytes));
        text_size(report, "compared and found equal", run->fetched.compared_bytes, text);
    }
    text_size(report, "compared block by block", run->compared_bytes, text);
    text_size(report, "rebuilt by recovery", plan->rebuilt_bytes, text);
    if (!done && !report->options->dry_run)
        return; /* the bytes are incomplete */
    saved = report_bytes_saved(report);
    text_row(text, "saved", "%s of the source's %s (%.1f%%)", size_text(report, saved),
             size_text(report, plan->source_bytes),
             plan->source_bytes == 0 ? 0.0 : (double) saved * 100 / (double) plan->source_bytes);
}

static void text_removed(const Report *report, bool done, Buffer *text)
{
    const Plan *plan = &report->run->planned.plan;
    char label[64];

    if (!report->run->planned.known || plan->removed_count == 0)
        return;
    buffer_printf(text, "\n%s from the target, which the source does not have\n",
                  done ? "Removed" : "To be removed");
    for (size_t i = 0; i < plan->removed_count && i < SHOWN_MAX; i++)
    {
        const PlanRemoved *removed = &plan->removed[i];

        snprintf(label, sizeof(label), "%llu file%s, %s", (unsigned long long) removed->file_count,
                 plural(removed->file_count), size_text(report, removed->bytes));
        text_row(text, label, "%s", removed->path);
    }
    if (plan->removed_count > SHOWN_MAX)
        text_row(text, "", "and %zu more", plan->removed_count - SHOWN_MAX);
}

static void text_rejoin(const Report *report, Buffer *text)
{
    const RejoinResult *rejoin = report->rejoin;

    if (rejoin == NULL)
        return;
    buffer_append_string(text, "\nThe target's server\n");
    text_row(text, "stopped by this run", "%s", rejoin->facts.stopped ? "yes" : "no");
    text_row(text, "started by this run", "%s", rejoin->facts.started ? "yes" : "no");
    text_row(text, "running now", "%s", rejoin->running ? "yes" : "no");
    text_row(text, "follows the source", "%s", rejoin->facts.followed ? "yes" : "not known");
    if (rejoin->facts.followed)
    {
        text_row(text, "application_name", "%s", rejoin->standby.name);
        text_value(text, "sync_state", rejoin->standby.sync_state);
        text_row(text, "replayed up to", "%s", report_lsn(report, rejoin->replayed));
    }
}

static void text_prepared(const Report *report, Buffer *text)
{
    static const char *const labels[] = {"the source's, which stay", "the target's, which go"};
    AUTO_BUFFER Buffer buffer = {0};
    TextList list = {&buffer, "\n", SHOWN_MAX, 0};
    PlanPrepared prepared;
    const PlanPreparedList *const lists[] = {&prepared.stay, &prepared.go};

    if (!report_prepared(report, &prepared) || prepared.stay.count + prepared.go.count == 0)
        return;
    buffer_append_string(text, "\nPrepared transactions\n");
    for (int which = 0; which < 2; which++)
    {
        for (size_t i = 0; i < lists[which]->count; i++)
            text_list_add(&list, lists[which]->entries[i].gid != NULL ? "%u, \"%s\"" : "%u",
                          lists[which]->entries[i].xid, lists[which]->entries[i].gid);
        text_list_rows(text, labels[which], &list);
    }
}

static void text_archived(const Report *report, Buffer *text)
{
    AUTO_BUFFER Buffer buffer = {0};
    TextList list = {&buffer, "\n", SHOWN_MAX, 0};
    size_t count;
    const char *const *names = report_archived(report, &count);

    if (count > 0)
        buffer_append_string(text, "\nArchived by the target, with WAL that is lost\n");
    for (size_t i = 0; i < count; i++)
        text_list_add(&list, "%s", names[i]);
    text_list_rows(text, "", &list);
}

static void text_replay(const Report *report, Buffer *text)
{
    const Staged *staged = &report->run->staged;
    uint64_t segments;
    Lsn from, to;

    if (staged->min_recovery_timeline != 0)
    {
        buffer_append_string(text, "\nThe target is consistent after replay of\n");
        text_row(text, "source WAL up to", "%s on timeline %u",
                 report_lsn(report, staged->min_recovery_point), staged->min_recovery_timeline);
    }
    if (!report_replay(report, &from, &to, &segments))
        return;
    buffer_append_string(text, "\nReplayed when the target starts\n");
    text_row(text, "source WAL", "from %s to %s: %s, in %llu segment%s", report_lsn(report, from),
             report_lsn(report, to), size_text(report, to - from), (unsigned long long) segments,
             plural(segments));
}

static void text_next(const Report *report, Buffer *text)
{
    static const char *const labels[] = {[NEXT_SETTINGS] = "settings that differ",
                                         [NEXT_FILES] = "other configuration",
                                         [NEXT_SLOTS] = "slots that are gone",
                                         [NEXT_CONNINFO] = "primary_conninfo",
                                         [NEXT_KEPT] = "kept"};
    const Run *run = report->run;
    const NextStart *next = run->next_start;
    AUTO_BUFFER Buffer rows = {0}, value = {0};

    if (next == NULL)
        return;
    for (NextList list = NEXT_SETTINGS; list <= NEXT_KEPT; list++)
    {
        buffer_clear(&value);
        next_append(next, list, "\n", SETTINGS_SHOWN_MAX, &value);
        text_rows(&rows, labels[list], buffer_string(&value), NEXT_COLUMNS_MAX);
    }
    buffer_clear(&value);
    for (size_t i = 0; i < run->advice.count; i++)
    {
        advice_append_step(&run->advice.items[i], &value);
        buffer_append_u8(&value, '\n');
    }
    text_rows(&rows, "to do", buffer_string(&value), NEXT_COLUMNS_MAX);
    if (rows.size > 0)
        buffer_printf(text, "\nWhat is next\n%s", buffer_string(&rows));
}

static void text_times(const Report *report, Buffer *text)
{
    ReportTime times[PHASE_COUNT];

    buffer_append_string(text, "\nTime\n");
    if (report->begin != 0)
        text_row(text, "begin", "%s", time_text(report, report->begin));
    if (report->end != 0)
        text_row(text, "end", "%s", time_text(report, report->end));
    report_times(report, times);
    for (size_t i = 0; i < PHASE_COUNT; i++)
        if (times[i].seconds >= TIME_SHOWN_MIN)
            text_row(text, times[i].name, "%.2f s", times[i].seconds);
    text_row(text, "total", "%.2f s", report->run_seconds);
}

void report_text(const Report *report, Buffer *out)
{
    AUTO_BUFFER Buffer document = {0};
    Buffer *text = &document;
    const bool done = report->exit_status == 0 && !report->options->dry_run;
    const SourceAddress *source = &report->run->source;
    const Control *control = &report->run->session.clusters.target.control;
    const bool numbered = source->address != NULL;
    const char *backup = run_full_backup(report->run);
    char server[CONTROL_SERVER_SIZE];

    buffer_printf(text, "pg_rewind: %s\n\n", report_result(report).text);
    for (size_t i = 0; i < report->error_count; i++)
    {
        text_rows(text, "error", report->errors[i]->message, 0);
        text_rows(text, "detail", report->errors[i]->detail, 0);
        text_rows(text, "hint", report->errors[i]->hint, 0);
    }
    text_value(text, "source", source->description);
    text_value(text, "target", report->run->session.clusters.target.directory);
    if (control->version != NULL)
        text_row(text, "server version", "%s", control_server(control, server));
    if (control->system_identifier != 0)
        text_row(text, "system identifier", "%llu",
                 (unsigned long long) control->system_identifier);
    if (source->is_server)
        text_row(text, "answered by", "%s%s%s%s port %u", source->host != NULL ? source->host : "",
                 numbered ? " (" : "", numbered ? source->address : "", numbered ? ")" : "",
                 source->port);
    text_value(text, "pg_rewind", report->program_version);
    text_histories(report, text);
    text_lost(report, done, text);
    text_fetched(report, done, text);
    text_removed(report, done, text);
    text_replay(report, text);
    text_prepared(report, text);
    text_archived(report, text);
    if (backup != NULL)
    {
        buffer_printf(text, "\nBackups\n%*s", LABEL_COLUMN, "");
        text_append_lines(text, backup, LABEL_COLUMN, SENTENCE_COLUMNS_MAX);
    }
    text_next(report, text);
    text_rejoin(report, text);
    text_times(report, text);
    shown_clean((char *) buffer_string(text), SHOWN_OWN_LINES);
    utf8_append(out, buffer_string(text));
}
