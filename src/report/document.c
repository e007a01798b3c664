#include "base/clock.h"
#include "base/json.h"
#include "report/facts.h"

/* Increased when a key is removed or changes its meaning, not for a new key. */
#define REPORT_VERSION 3

static const char *const kind_keys[KIND_COUNT] = {[KIND_RELATION] = "relations",
                                                  [KIND_FORK] = "other_forks",
                                                  [KIND_WAL] = "wal",
                                                  [KIND_STATUS] = "transaction_status",
                                                  [KIND_CONFIGURATION] = "configuration",
                                                  [KIND_OTHER] = "other"};

static void json_lsn(Json *json, const char *key, const Report *report, Lsn lsn)
{
    json_string(json, key, lsn == LSN_INVALID ? NULL : report_lsn(report, lsn));
}

/* Add a time: ISO 8601, UTC; null if it is not known. */
static void json_time(Json *json, const char *key, bool known, int64_t timestamp)
{
    int microseconds;
    time_t seconds = clock_unix_time(timestamp, &microseconds);
    struct tm utc;
    char date[40];
    char text[64];

    if (!known)
    {
        json_null(json, key);
        return;
    }
    gmtime_r(&seconds, &utc);
    strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(text, sizeof(text), "%s.%06dZ", date, microseconds);
    json_string(json, key, text);
}

static void json_history(Json *json, const char *key, const Report *report, const History *history)
{
    const size_t count = history->count;

    for (size_t i = 0; json_each(json, key, count > 0, i, count); i++)
    {
        json_number(json, "timeline", history->entries[i].timeline);
        json_string(json, "begin", report_lsn(report, history->entries[i].begin));
        json_lsn(json, "end", report, history->entries[i].end);
    }
}

static const char *null_if_empty(const char *text)
{
    return text[0] != '\0' ? text : NULL;
}

static void json_divergence(Json *json, const Report *report)
{
    const Divergence *divergence = &report->run->divergence;
    const ScanCheckpoint *common = report_common_checkpoint(report);

    if (json_section(json, "divergence", '{', divergence->printed != LSN_INVALID))
    {
        json_lsn(json, "lsn", report, divergence->printed);
        json_number(json, "timeline", divergence->printed_timeline);
        json_close(json, '}');
    }
    if (!json_section(json, "last_common_checkpoint", '{', common != NULL))
        return;
    json_lsn(json, "lsn", report, common->lsn);
    json_lsn(json, "redo", report, report_common_redo(report));
    json_number(json, "timeline", common->checkpoint.timeline);
    json_close(json, '}');
}

static void json_recovery_start(Json *json, const Report *report)
{
    const RecoveryStart *recovery = &report->run->start;
    const StartChoice *start = &recovery->choice;

    if (!json_section(json, "recovery_start", '{', report->run->planned.known))
        return;
    json_lsn(json, "checkpoint", report, recovery->chosen.checkpoint);
    json_lsn(json, "redo", report, recovery->chosen.redo);
    json_bool(json, "late", start->late);
    json_string(json, "reason", report_reasons[start->reason].key);
    json_bool(json, "compares", start->compares);
    if (json_section(json, "estimate", '{', start->reason == START_ESTIMATE))
    {
        json_number(json, "wal", start->estimate.wal_bytes);
        json_number(json, "blocks", start->estimate.block_bytes);
        json_number(json, "compared", start->estimate.compared_bytes);
        json_number(json, "bytes_per_second", (uint64_t) start->estimate.bytes_per_second);
        json_close(json, '}');
    }
    if (json_section(json, "checkpoint_on_source", '{', start->checkpoint.replay_seconds > 0))
    {
        json_seconds(json, "replay_seconds", start->checkpoint.replay_seconds);
        json_seconds(json, "seconds", start->checkpoint.seconds);
        json_bool(json, "pays", start->checkpoint.pays);
        json_bool(json, "made", start->checkpoint_made);
        json_close(json, '}');
    }
    json_close(json, '}');
}

/* Add the names of the relations to which the transaction did `what`. */
static void json_relations_with(Json *json, const char *key, const Lost *lost,
                                const LostTransaction *transaction, unsigned what)
{
    const LostSet *set = lost_set(lost, transaction);

    json_section(json, key, '[', true);
    for (size_t i = 0; i < set->count; i++)
        if (set->items[i].what & what)
            json_element(json, lost->relations[set->items[i].relation].name);
    json_close(json, ']');
}

static void json_committed(Json *json, const Report *report)
{
    const Lost *lost = report->run->lost;
    const bool all = report->options->report_transactions == REPORT_TRANSACTIONS_ALL;
    const LostSchemaChange *change = lost->schema_changes; /* sorted by transaction */
    const LostSchemaChange *const end = change + lost->schema_change_count;
    AUTO_BUFFER Buffer statement = {0};

    for (size_t i = 0; json_each(json, "committed", all, i, lost->transaction_count); i++)
    {
        const LostTransaction *transaction = &lost->transactions[i];

        json_number(json, "xid", transaction->xid);
        json_time(json, "commit_time", true, transaction->time);
        json_lsn(json, "commit_lsn", report, transaction->lsn);
        json_number(json, "records", transaction->records);
        json_number(json, "subtransactions", transaction->subtransactions);
        json_bool(json, "prepared", transaction->prepared);
        json_bool(json, "maintenance", transaction->maintenance);
        json_relations_with(json, "relations", lost, transaction, LOST_TOUCHED);
        json_relations_with(json, "created", lost, transaction, LOST_CREATED);
        json_relations_with(json, "truncated", lost, transaction, LOST_TRUNCATED);
        json_relations_with(json, "dropped", lost, transaction, LOST_DROPPED);
        json_section(json, "schema_changes", '[', true);
        for (; change < end && change->transaction == i; change++)
        {
            buffer_clear(&statement);
            buffer_printf(&statement, "%s %s", change->verb, change->noun);
            if (change->name != NULL)
                buffer_printf(&statement, " %s", change->name);
            json_element(json, buffer_string(&statement));
        }
        json_close(json, ']');
    }
}

static void json_touched(Json *json, const Lost *lost)
{
    char last_value[32];
    const LostRelation *relation = lost->relations;
    size_t left = 0;

    for (size_t i = 0; i < lost->relation_count; i++)
        left += lost_relation_is_reported(&lost->relations[i]);
    for (size_t i = 0; json_each(json, "relations", true, i, left); i++, relation++)
    {
        while (!lost_relation_is_reported(relation))
            relation++;
        json_string(json, "name", relation->name);
        json_string(json, "table", relation->table);
        json_number(json, "tablespace", relation->id.tablespace);
        json_number(json, "database", relation->id.database);
        json_string(json, "database_name", relation->id.database != 0 ? relation->database : NULL);
        json_number(json, "relfilenode", relation->id.relation);
        json_number(json, "transactions", relation->transactions);
        json_number(json, "records", relation->records);
        json_number(json, "rows_inserted", relation->rows.inserted);
        json_number(json, "rows_updated", relation->rows.updated);
        json_number(json, "rows_deleted", relation->rows.deleted);
        json_bool(json, "created", relation->what & LOST_CREATED);
        json_bool(json, "truncated", relation->what & LOST_TRUNCATED);
        json_bool(json, "dropped", relation->what & LOST_DROPPED);
        snprintf(last_value, sizeof(last_value), "%lld", (long long) relation->last_value);
        json_decimal(json, "last_value", relation->is_sequence ? last_value : NULL);
    }
}

static void json_discarded(Json *json, const Report *report)
{
    static const char *const lost_keys[] = {"maintenance_transactions", "list_complete",
                                            "prepared_gids", "relations", "committed"};
    const Run *run = report->run;
    const LostCount *count = &run->lost_count;
    const bool known = count->unknown == NULL, scanned = run->changes.known;
    const bool commits = known && count->transactions > 0;
    const SavedRows *saved = &run->saved_rows;
    const Lost *lost = run->lost;

    if (!json_section(json, "discarded", '{', count->counted))
        return;
    json_known_number(json, "transactions", known, count->transactions);
    json_string(json, "transactions_unknown", count->unknown);
    json_time(json, "first_commit", commits, count->first_time);
    json_time(json, "last_commit", commits, count->last_time);
    json_number(json, "first_timeline", count->first_timeline);
    json_number(json, "last_timeline", count->last_timeline);
    json_known_number(json, "prepared_transactions", scanned, run->changes.lost_prepared);
    json_known_number(json, "target_wal_bytes_read", scanned, run->changes.scanned.wal_bytes);
    if (json_section(json, "saved_wal", '{', run->saved_wal_command != NULL))
    {
        json_string(json, "directory", report->options->save_diverged_wal);
        json_string(json, "command", run->saved_wal_command);
        json_close(json, '}');
    }
    if (json_section(json, "saved_rows", '{', saved->json != NULL || saved->incomplete != NULL))
    {
        json_string(json, "jsonl", saved->json);
        json_string(json, "sql", saved->sql);
        json_number(json, "transactions", saved->transactions);
        json_number(json, "changes", saved->changes);
        json_number(json, "unknown", saved->untold);
        json_number(json, "not_in_sql", saved->left_out);
        json_string(json, "incomplete", saved->incomplete);
        json_close(json, '}');
    }
    for (size_t i = 0; lost == NULL && i < sizeof(lost_keys) / sizeof(lost_keys[0]); i++)
        json_null(json, lost_keys[i]);
    if (lost != NULL)
    {
        json_number(json, "maintenance_transactions", lost->maintenance_count);
        json_bool(json, "list_complete", !lost->incomplete);
        json_strings(json, "prepared_gids", run->changes.lost_gids, run->changes.lost_prepared);
        json_touched(json, lost);
        json_committed(json, report);
    }
    json_close(json, '}');
}

static void json_bytes(Json *json, const Report *report)
{
    const Run *run = report->run;
    const Plan *plan = &run->planned.plan;

    if (!json_section(json, "bytes", '{', run->planned.known))
        return;
    json_number(json, "planned", plan->fetch_bytes);
    json_number(json, "planned_wal", report_planned_wal_bytes(report));
    json_number(json, "rebuilt", plan->rebuilt_bytes);
    json_number(json, "fetched", run->fetched.fetched_bytes);
    json_section(json, "fetched_by_kind", '{', true);
    for (int kind = 0; kind < KIND_COUNT; kind++)
        json_number(json, kind_keys[kind], run->fetched.fetched_bytes_by_kind[kind]);
    json_close(json, '}');
    json_number(json, "compared", run->compared_bytes);
    json_number(json, "equal", run->fetched.compared_bytes);
    json_number(json, "source", plan->source_bytes);
    json_number(json, "saved", report_bytes_saved(report));
    json_close(json, '}');
}

static void json_rejoin(Json *json, const Report *report)
{
    const RejoinResult *rejoin = report->rejoin;

    if (!json_section(json, "rejoin", '{', rejoin != NULL))
        return;
    json_bool(json, "stopped", rejoin->facts.stopped);
    json_bool(json, "started", rejoin->facts.started);
    json_bool(json, "running", rejoin->running);
    json_bool(json, "followed", rejoin->facts.followed);
    json_lsn(json, "awaited_lsn", report, rejoin->awaited);
    json_lsn(json, "sent_lsn", report, rejoin->standby.sent);
    json_lsn(json, "replayed_lsn", report, rejoin->replayed);
    json_string(json, "application_name", null_if_empty(rejoin->standby.name));
    json_string(json, "sync_state", null_if_empty(rejoin->standby.sync_state));
    json_string(json, "start_command", rejoin->start_command);
    json_close(json, '}');
}

static void json_run(Json *json, const Report *report)
{
    const SourceAddress *source = &report->run->source;
    const uint64_t identifier = report->run->session.clusters.target.control.system_identifier;
    char number[32];

    json_string(json, "program_version", report->program_version);
    json_time(json, "begin", report->begin != 0, report->begin);
    json_time(json, "end", report->end != 0, report->end);
    json_seconds(json, "run_seconds", report->run_seconds);
    snprintf(number, sizeof(number), "%llu", (unsigned long long) identifier);
    json_string(json, "system_identifier", identifier != 0 ? number : NULL);
    if (!json_section(json, "source_connection", '{', source->is_server))
        return;
    json_string(json, "host", source->host);
    json_string(json, "address", source->address);
    json_number(json, "port", source->port);
    json_number(json, "round_trips", source->round_trips);
    json_close(json, '}');
}

static void json_prepared_list(Json *json, const char *key, const PlanPreparedList *list)
{
    for (size_t i = 0; json_each(json, key, true, i, list->count); i++)
    {
        json_number(json, "xid", list->entries[i].xid);
        json_string(json, "gid", list->entries[i].gid);
    }
}

static void json_consequences(Json *json, const Report *report)
{
    Lsn from, to;
    uint64_t segments;
    PlanPrepared prepared;
    size_t archived_count;
    const char *const *archived = report_archived(report, &archived_count);

    if (json_section(json, "replay", '{', report_replay(report, &from, &to, &segments)))
    {
        json_lsn(json, "from", report, from);
        json_lsn(json, "to", report, to);
        json_number(json, "bytes", to - from);
        json_number(json, "segments", segments);
        json_close(json, '}');
    }
    if (json_section(json, "prepared", '{', report_prepared(report, &prepared)))
    {
        json_prepared_list(json, "stay", &prepared.stay);
        json_prepared_list(json, "go", &prepared.go);
        json_close(json, '}');
    }
    if (archived != NULL)
        json_strings(json, "archived_lost_wal", archived, archived_count);
    else
        json_null(json, "archived_lost_wal");
    json_string(json, "take_full_backup", run_full_backup(report->run));
}

static void json_next(Json *json, const Run *run)
{
    const NextStart *next = run->next_start;
    const StandbySettings *settings = next != NULL ? next->standby_settings : NULL;
    AUTO_BUFFER Buffer step = {0};

    if (!json_section(json, "next", '{', next != NULL))
        return;
    json_section(json, "steps", '[', true);
    for (size_t i = 0; i < run->advice.count; i++)
    {
        buffer_clear(&step);
        advice_append_step(&run->advice.items[i], &step);
        json_element(json, buffer_string(&step));
    }
    json_close(json, ']');
    for (size_t i = 0; json_each(json, "settings", next->settings_known, i, next->setting_count);
         i++)
    {
        json_string(json, "name", next->settings[i].name);
        json_string(json, "former", next->settings[i].former);
        json_string(json, "now", next->settings[i].now);
    }
    json_bool(json, "settings_complete", next->settings_known && next->settings_complete);
    json_strings(json, "files", next->files, next->file_count);
    for (size_t i = 0; json_each(json, "slots", true, i, next->slot_count); i++)
    {
        json_string(json, "name", next->slots[i].name);
        json_string(json, "type", next->slots[i].type);
        json_string(json, "state", next->slots[i].state);
    }
    if (json_section(json, "conninfo", '{', settings != NULL))
    {
        json_strings(json, "kept", settings->kept, settings->kept_count);
        json_strings(json, "changed", settings->changed, settings->changed_count);
        json_close(json, '}');
    }
    json_strings(json, "kept", next->kept, next->kept_count);
    json_close(json, '}');
}

void report_json(const Report *report, Buffer *text, FILE *file)
{
    const Run *run = report->run;
    const Plan *plan = &run->planned.plan;
    const Clusters *clusters = &run->session.clusters;
    const Version *version = clusters->target.control.version;
    Json json = {.text = text, .file = file};
    ReportTime times[PHASE_COUNT];

    json_open(&json, '{');
    json_number(&json, "report_version", REPORT_VERSION);
    json_string(&json, "result", report_result(report).key);
    json_number(&json, "exit_status", (uint64_t) report->exit_status);
    json_bool(&json, "dry_run", report->options->dry_run);
    json_string(&json, "mode", report_compares(report) ? "compare" : "scan");
    for (size_t i = 0; json_each(&json, "errors", true, i, report->error_count); i++)
        json_error(&json, report->errors[i]);
    json_string(&json, "source", run->source.description);
    json_string(&json, "target", clusters->target.directory);
    json_decimal(&json, "server_version", version != NULL ? version->name : NULL);
    json_known_number(&json, "fork_catalog_version", control_is_of_fork(&clusters->target.control),
                      clusters->target.control.catalog_version);
    json_divergence(&json, report);
    json_recovery_start(&json, report);
    json_history(&json, "source_history", report, &clusters->source_history);
    json_lsn(&json, "source_end", report, run_source_end(run));
    json_history(&json, "target_history", report, &clusters->target_history);
    json_lsn(&json, "target_end", report, report_target_end(report));
    json_discarded(&json, report);
    json_bytes(&json, report);
    for (size_t i = 0; json_each(&json, "removed", run->planned.known, i, plan->removed_count); i++)
    {
        json_string(&json, "path", plan->removed[i].path);
        json_number(&json, "files", plan->removed[i].file_count);
        json_number(&json, "bytes", plan->removed[i].bytes);
    }
    json_lsn(&json, "min_recovery_point", report,
             run->staged.min_recovery_timeline != 0 ? run->staged.min_recovery_point : LSN_INVALID);
    json_run(&json, report);
    json_consequences(&json, report);
    json_next(&json, run);
    json_rejoin(&json, report);
    report_times(report, times);
    json_section(&json, "seconds", '{', true);
    for (size_t i = 0; i < PHASE_COUNT; i++)
        json_seconds(&json, times[i].name, times[i].seconds);
    json_seconds(&json, "total", report->run_seconds);
    json_close(&json, '}');
    json_close(&json, '}');
    buffer_append_u8(text, '\n');
}
