#include "rewind/run.h"

#include "base/text_lines.h"
#include "format/settings.h"
#include "pair/direction.h"
#include "standby/start_advice.h"

#include <string.h>

#define SETTINGS_LOGGED_MAX 5
#define NAMES_SHOWN_MAX 8
#define VALUE_COLUMNS_MAX 60

/* ---- The steps ---- */

/* Advice for a step that is no finding of --check. */
static const Advice step = {.id = "next", .severity = ADVICE_WARNING};

static const Version *version_of(const Run *run)
{
    return run->session.clusters.target.control.version;
}

static Timeline last_timeline(const History *history)
{
    return history->count > 0 ? history_last_timeline(history) : 0;
}

Lsn run_source_end(const Run *run)
{
    if (run->staged.min_recovery_timeline != 0)
        return run->staged.source_end;
    return run->session.clusters.source_history.count > 0 ? run->source_state.position.end
                                                          : LSN_INVALID;
}

bool run_lacks_wal(const Run *run)
{
    const RecoveryStart *start = &run->start;

    return start->wal_from > run->divergence.lsn && start->wal_from > start->earliest.redo;
}

void run_advise_on_plan(const Run *run, AdviceList *list)
{
    const Version *version = version_of(run);
    const Plan *plan = &run->planned.plan;
    const char *newest = plan_wal_before_gap(&run->planned.input);

    if (newest != NULL && run->next_start->summarizes_wal)
        advice_add(
            list,
            (Advice){.id = "next",
                     .severity = ADVICE_WARNING,
                     .remedy = arena_printf(
                         list->arena,
                         "Before the server starts, copy the segments in \"%s\" up to %s to the "
                         "archive, and remove them and their .ready files.",
                         version->wal_directory, newest)},
            "WAL of the target that is not archived yet stays, and a gap follows: until this "
            "WAL is removed, the target's server cannot summarize WAL, and removes none");
    if (run->next_start->archives_always && run_lacks_wal(run))
        advice_add(list,
                   (Advice){.id = "next",
                            .severity = ADVICE_WARNING,
                            .remedy = "Recovery starts after this WAL. Copy the WAL from the "
                                      "source's archive, or make a base backup before you need the "
                                      "standby's archive."},
                   "the archive of the rewound standby will lack the source's WAL from %s to %s",
                   LSN_TEXT(version, run->divergence.lsn), LSN_TEXT(version, run->start.wal_from));
    if (plan->hash_index_count > 0)
        advice_add(list,
                   (Advice){.id = "next",
                            .severity = ADVICE_WARNING,
                            .remedy = "Queries on the standby must not use them; after a promotion "
                                      "run REINDEX for each."},
                   "%zu hash index%s cannot be relied on: this version of PostgreSQL does not "
                   "WAL-log them",
                   plan->hash_index_count, plan->hash_index_count == 1 ? "" : "es");
}

/* Slots that a former primary still has keep WAL on a standby, too. */
static void add_slot_steps(const Options *options, Run *run)
{
    const NextStart *next = run->next_start;
    const WalShape *shape = &run->session.clusters.shape;
    AUTO_BUFFER Buffer copied_drops = {0};

    for (size_t i = 0; i < next->slot_count; i++)
    {
        const AffectedSlot *slot = &next->slots[i];
        const bool unknown = strcmp(slot->state, "unknown") == 0;

        if (unknown || strcmp(slot->state, "missing") == 0)
            start_advise_on_slot(
                version_of(run), slot->name, unknown, "Make the slot on the source: ",
                run->planned.known
                    ? wal_segment_start(shape, wal_segment_of(shape, run_source_end(run)))
                    : run->divergence.target_end,
                &run->advice);
        if (strcmp(slot->state, "copied") == 0)
        {
            buffer_append_u8(&copied_drops, ' ');
            slot_append_drop(&copied_drops, slot->name);
        }
    }
    if (copied_drops.size > 0)
        advice_add(&run->advice, step,
                   "Replication slots were copied from the source and keep WAL indefinitely: when "
                   "the server runs, drop those that are not used there:%s",
                   buffer_string(&copied_drops));
    if (!run->planned.known && !options->drop_slots)
        target_slots_advise(&run->slots, version_of(run), &run->advice);
}

/* Otherwise the target would open for writing and diverge from the source again. */
static void add_make_standby(const Options *options, Run *run)
{
    const NextStart *next = run->next_start;
    const char *by_hand = next->recovery_conf ? "create recovery.conf with standby_mode = on, "
                                                "primary_conninfo and recovery_target_timeline = "
                                                "latest"
                          : next->has_source  ? "create standby.signal, and check that "
                                                "primary_conninfo names the source"
                                              : "create standby.signal and set primary_conninfo";

    if (options->dry_run && run->divergence.needed)
        advice_add(&run->advice, step,
                   "After this rewind the server would open for writing and diverge again: add "
                   "--write-recovery-conf (with --source-server), or before the server starts %s.",
                   by_hand);
    else
        advice_add(
            &run->advice, step,
            "Before the server starts make it a standby of the source: %s, or run %s again "
            "with --write-recovery-conf (and --source-server); otherwise it opens for writing "
            "and diverges again.",
            by_hand, log_program_name());
}

static void add_start(const Options *options, Run *run)
{
    const NextStart *next = run->next_start;

    if (options->rejoin || run->left_behind.count > 0)
        return;
    if (next->manager != NULL)
        advice_add(&run->advice, step,
                   "Let %s start the server: it makes it a standby of the source.", next->manager);
    else if (!next->standby)
        add_make_standby(options, run);
    else if (!next->has_source)
        advice_add(&run->advice, step,
                   "Set primary_conninfo so that it names the source, and start the "
                   "server: it replays the source's WAL and follows it.");
    else if (!next->written && next->conninfo != NULL)
        advice_add(&run->advice, step,
                   "Check that primary_conninfo (%s) names the source, and start the server: it "
                   "replays the source's WAL and follows it.",
                   next->conninfo);
    else
        advice_add(&run->advice, step,
                   "Start the server: it replays the source's WAL and follows it.");
}

/* The server checks a manifest, but not enough: PrepareForIncrementalBackup in
 * backup/basebackup_incremental.c, and design/report.md. */
const char *run_full_backup(const Run *run)
{
    const Planned *planned = &run->planned;
    const Clusters *clusters = &run->session.clusters;
    const Timeline timeline = last_timeline(&clusters->source_history);

    /* Incremental backups are made from summaries of WAL. */
    if (!planned->known || run->divergence.printed == LSN_INVALID ||
        !(plan_summarizes_wal(&planned->source_files) ||
          plan_summarizes_wal(&planned->target_files) ||
          (run->next_start != NULL && run->next_start->summarizes_wal)))
        return NULL;
    return arena_printf(
        run->session.arena,
        "Take a full backup when the target follows the source, unless there is one that ended "
        "before %s. Backups of the target that ended after that hold lost history. An "
        "incremental backup based on one of them can be wrong without a message: %s.",
        LSN_TEXT(version_of(run), run->divergence.printed),
        timeline != 0 && timeline == last_timeline(&clusters->target_history)
            ? "both sides used the same timeline number"
            : "the server refuses it only if that one also began after the divergence");
}

/* Rule D8: where source and target may be swapped, the report and the last line of a dry run say
 * so, too. The warning stands above both. */
static void add_run(const Options *options, Run *run)
{
    const char *const unchanged = "This was a dry run, nothing was changed";
    Error doubt;

    if (!run->divergence.needed || !direction_is_unconfirmed(&run->session.clusters, options))
    {
        advice_add(&run->advice, step, "%s: run the same command without --dry-run.", unchanged);
        return;
    }
    error_direction(&run->session.clusters, &doubt);
    advice_add(&run->advice, step,
               "%s: %s. If the target is the new primary, source and target are swapped: do not "
               "run this rewind. Otherwise run the same command without --dry-run.",
               unchanged, doubt.message);
}

void next_steps_make(const Options *options, Run *run)
{
    const NextStart *next = run->next_start;
    const StandbySettings *settings = next->standby_settings;
    const MisleadingWal *misleading = &run->misleading;
    const Version *version = version_of(run);

    run->advice = (AdviceList){.arena = run->session.arena};
    if (run->session.pending)
    {
        advice_add(&run->advice, step,
                   "Run the same command without --dry-run: it finishes the interrupted "
                   "rewind.");
        return;
    }
    advice_add_all(&run->advice, &next->advice);
    if (misleading->command_not_run != NULL && !options->rejoin) /* --rejoin has said so already */
        advice_add(
            &run->advice, step,
            "The server will have another restore_command: %s. It is not the target's own, so "
            "pg_rewind has not run it, and has not asked that archive for WAL that would "
            "lead the server away from the source.",
            setting_command_shown(run->session.arena, misleading->command_not_run));
    start_advise_on_misleading_wal(misleading, last_timeline(&run->session.clusters.source_history),
                                   &run->advice);
    start_advise_on_failed_command(misleading, false, &run->advice);
    for (const char *const *path = run->given_up_histories;
         settings == NULL && path != NULL && *path != NULL; path++)
        advice_add(&run->advice, step,
                   "Before the server starts, remove \"%s\" from the target, as -R does: it is the "
                   "history of a timeline that was given up, and would lead the server away from "
                   "the source.",
                   *path);
    if (run->planned.known)
        run_advise_on_plan(run, &run->advice);
    advice_add_all(&run->advice, &run->start.advice);
    advice_add_all(&run->advice, &run->staged.advice);
    advice_add_all(&run->advice, &run->left_behind);
    add_slot_steps(options, run);
    if (run->planned.known && run_lacks_wal(run))
        advice_add(
            &run->advice, step,
            "The rewound target has the source's WAL only from %s on: let standbys that need "
            "earlier WAL (from %s on) follow the source or an archive. With --early-start the "
            "target would have it.",
            LSN_TEXT(version, run->start.wal_from), LSN_TEXT(version, run->divergence.lsn));
    if (settings != NULL)
        advice_add_all(&run->advice, &settings->advice);
    if (options->dry_run && (run->divergence.needed || settings != NULL))
    {
        if (!next->standby && next->manager == NULL)
            add_make_standby(options, run);
        add_run(options, run);
    }
    else
        add_start(options, run);
}

/* ---- Lists of what differs ---- */

static void append_value(Buffer *text, const char *value)
{
    if (value == NULL)
    {
        buffer_append_string(text, "not set");
        return;
    }
    buffer_append_u8(text, '\'');
    for (size_t i = 0; value[i] != '\0' && i < VALUE_COLUMNS_MAX; i++)
        buffer_append_u8(text, (unsigned char) value[i] < 0x20 ? ' ' : (uint8_t) value[i]);
    buffer_append_string(text, strlen(value) > VALUE_COLUMNS_MAX ? "...'" : "'");
}

static void append_settings(const NextStart *next, TextList *list)
{
    const bool slot_written =
        next->standby_settings != NULL && next->standby_settings->slot != NULL;

    for (size_t i = 0; i < next->setting_count; i++)
    {
        const ChangedSetting *setting = &next->settings[i];
        /* A setting that -R writes is not the source's. */
        const bool written = (next->written && strcmp(setting->name, "primary_conninfo") == 0) ||
                             (slot_written && strcmp(setting->name, "primary_slot_name") == 0);

        if (written || !text_list_next(list))
            continue;
        buffer_shown(list->buffer, SHOWN_ONE_LINE,
                     setting->now == NULL ? "%s " : "%s = ", setting->name);
        append_value(list->buffer, setting->now);
        buffer_append_string(list->buffer, " (was ");
        append_value(list->buffer, setting->former);
        buffer_append_u8(list->buffer, ')');
    }
}

static void append_names(const char *const *names, size_t count, TextList *list)
{
    list->count = 0;
    for (size_t i = 0; i < count; i++)
        text_list_add(list, "%s", names[i]);
    text_list_end(list);
}

void next_append(const NextStart *next, NextList which, const char *separator, size_t shown_max,
                 Buffer *text)
{
    TextList settings = {text, separator, shown_max, 0}, names = {text, ", ", NAMES_SHOWN_MAX, 0};
    const StandbySettings *standby = next->standby_settings;

    switch (which)
    {
    case NEXT_SETTINGS:
        append_settings(next, &settings);
        text_list_end(&settings);
        break;
    case NEXT_FILES:
        append_names(next->files, next->file_count, &names);
        break;
    case NEXT_SLOTS:
        for (size_t i = 0; i < next->slot_count; i++)
            if (strcmp(next->slots[i].state, "removed") == 0)
                text_list_add(&names, "%s", next->slots[i].name);
        text_list_end(&names);
        break;
    case NEXT_CONNINFO:
        if (standby == NULL)
            break;
        if (standby->kept_count > 0)
            buffer_append_string(text, "kept ");
        append_names(standby->kept, standby->kept_count, &names);
        if (standby->changed_count > 0)
            buffer_append_string(text, text->size > 0 ? "; changed " : "changed ");
        append_names(standby->changed, standby->changed_count, &names);
        break;
    case NEXT_KEPT:
        append_names(next->kept, next->kept_count, &names);
        break;
    }
}

void next_steps_print(const Options *options, const Run *run)
{
    /* The first is for a dry run. Files that were kept are no news. */
    static const char *const heads[NEXT_KEPT][2] = {
        [NEXT_SETTINGS] = {"Settings that would be the source's",
                           "Settings that are now the source's"},
        [NEXT_FILES] = {"Files that would be the source's", "Files that are now the source's"},
        [NEXT_SLOTS] = {"Replication slots of the target that would be gone",
                        "Replication slots of the target that are now gone"},
        [NEXT_CONNINFO] = {"Options of the target's former primary_conninfo",
                           "Options of the target's former primary_conninfo"}};
    const char *full_backup = run_full_backup(run);
    AUTO_BUFFER Buffer text = {0};

    for (NextList list = NEXT_SETTINGS; list < NEXT_KEPT; list++)
    {
        buffer_clear(&text);
        next_append(run->next_start, list, ", ", SETTINGS_LOGGED_MAX, &text);
        if (text.size > 0)
            log_detail("%s: %s.", heads[list][!options->dry_run], buffer_string(&text));
    }
    if (full_backup != NULL)
        log_hint("%s", full_backup);
    for (size_t i = 0; i < run->advice.count; i++)
    {
        buffer_clear(&text);
        advice_append_step(&run->advice.items[i], &text);
        log_hint("%s", buffer_string(&text));
    }
}
