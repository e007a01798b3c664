#include "rewind/run.h"

#include "base/array.h"
#include "base/text_lines.h"
#include "format/settings.h"

#include <string.h>

#define SETTINGS_LOGGED_MAX 5
#define NAMES_SHOWN_MAX 8
#define VALUE_COLUMNS_MAX 60

/* ---- The steps ---- */

static void PRINTF_LIKE(2, 3) add_step(Run *run, const char *format, ...)
{
    AUTO_BUFFER Buffer text = {0};
    va_list arguments;

    va_start(arguments, format);
    buffer_vshown(&text, SHOWN_OWN_LINES, format, arguments);
    va_end(arguments);
    ARRAY_ADD(run->steps, run->step_count, arena_strdup(run->session.arena, buffer_string(&text)));
}

static const Version *version_of(const Run *run)
{
    return run->session.clusters.target.control.version;
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

static void add_missing_slot(Run *run, const AffectedSlot *slot)
{
    const Version *version = version_of(run);
    const WalShape *shape = &run->session.clusters.shape;
    const uint64_t segment = wal_segment_of(shape, run_source_end(run));
    const Lsn needed_from =
        run->planned.known ? wal_segment_start(shape, segment) : run->divergence.target_end;
    AUTO_BUFFER Buffer call = {0};

    buffer_append_call(&call, "pg_create_physical_replication_slot", slot->name, "name",
                       version->sql.slot_reserves ? ", true" : "");
    add_step(run,
             "The target will use the replication slot \"%s\" of the source, %s: SELECT %s; the "
             "source must have WAL from %s on.",
             slot->name,
             strcmp(slot->state, "missing") == 0 ? "which must be created there"
                                                 : "which must exist there",
             buffer_string(&call), LSN_TEXT(version, needed_from));
}

/* The name of a slot is that of a directory, which can be anything. */
static void append_drop(Buffer *drops, const char *name)
{
    buffer_append_string(drops, " SELECT ");
    buffer_append_call(drops, "pg_drop_replication_slot", name, "name", "");
    buffer_append_u8(drops, ';');
}

/* Slots that a former primary still has keep WAL on a standby, too. */
static void add_slot_steps(const Options *options, Run *run)
{
    const NextStart *next = run->next_start;
    AUTO_BUFFER Buffer kept = {0}, kept_drops = {0}, copied_drops = {0};
    bool logical = false;

    for (size_t i = 0; i < next->slot_count; i++)
    {
        const AffectedSlot *slot = &next->slots[i];

        if (strcmp(slot->state, "missing") == 0 || strcmp(slot->state, "unknown") == 0)
            add_missing_slot(run, slot);
        if (strcmp(slot->state, "copied") == 0)
            append_drop(&copied_drops, slot->name);
        if (strcmp(slot->state, "kept") != 0)
            continue;
        logical = logical || (slot->type != NULL && strcmp(slot->type, "logical") == 0);
        buffer_shown(&kept, SHOWN_ONE_LINE, "%s\"%s\"", kept.size > 0 ? ", " : "", slot->name);
        if (slot->type != NULL)
            buffer_printf(&kept, " (%s)", slot->type);
        append_drop(&kept_drops, slot->name);
    }
    if (copied_drops.size > 0)
        add_step(run,
                 "Replication slots were copied from the source and keep WAL indefinitely: when "
                 "the server runs, drop those that are not used there:%s",
                 buffer_string(&copied_drops));
    if (kept.size > 0)
        add_step(run,
                 "No rewind was required, so the target keeps the replication slots that it had "
                 "as a primary: %s. On a standby each of them keeps WAL until it is dropped%s. "
                 "%s drop those that are not used there, when the server runs:%s",
                 buffer_string(&kept),
                 logical && version_of(run)->synchronizes_slots
                     ? ", and a logical one ends the synchronization of slots if the source has a "
                       "slot of the same name to be synchronized"
                     : "",
                 options->rejoin ? "Use --drop-slots the next time; now"
                                 : "Add --drop-slots, with --write-recovery-conf, or",
                 buffer_string(&kept_drops));
}

static void add_misleading_wal(const Options *options, Run *run)
{
    const MisleadingWal *misleading = &run->misleading;
    AUTO_BUFFER Buffer files = {0};

    /* --rejoin has said so already. */
    if (misleading->command_not_run != NULL && !options->rejoin)
        add_step(run,
                 "The server will have another restore_command: %s. It is not the target's own, so "
                 "pg_rewind has not run it, and has not asked that archive for WAL that would "
                 "lead the server away from the source.",
                 setting_command_shown(run->session.arena, misleading->command_not_run));

    if (misleading->not_sources[0] != '\0')
        add_step(
            run,
            "Before the server starts, remove \"%s\" from the archive, and what follows on its "
            "timeline: it is not the source's, and recovery would replay it in place of the "
            "source's WAL.",
            misleading->not_sources);
    if (misleading->last_newer == 0)
        return;
    misleading_wal_append_newer(misleading, &files);
    add_step(run,
             "Before the server starts, remove %s if timeline %u was given up: recovery takes the "
             "newest timeline that it finds, and would not follow the source.",
             buffer_string(&files), misleading->last_newer);
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
        add_step(run,
                 "After this rewind the server would open for writing and diverge again: add "
                 "--write-recovery-conf (with --source-server), or before the server starts %s.",
                 by_hand);
    else
        add_step(run,
                 "Before the server starts make it a standby of the source: %s, or run %s again "
                 "with --write-recovery-conf (and --source-server); otherwise it opens for writing "
                 "and diverges again.",
                 by_hand, log_program_name());
}

static void add_start(const Options *options, Run *run)
{
    const NextStart *next = run->next_start;

    if (options->rejoin)
        return;
    if (next->manager != NULL)
        add_step(run, "Let %s start the server: it makes it a standby of the source.",
                 next->manager);
    else if (!next->standby)
        add_make_standby(options, run);
    else if (!next->has_source)
        add_step(run, "Set primary_conninfo so that it names the source, and start the "
                      "server: it replays the source's WAL and follows it.");
    else if (!next->written && next->conninfo != NULL)
        add_step(run,
                 "Check that primary_conninfo (%s) names the source, and start the server: it "
                 "replays the source's WAL and follows it.",
                 next->conninfo);
    else
        add_step(run, "Start the server: it replays the source's WAL and follows it.");
}

static void add_low_limits(Run *run)
{
    const NextStart *next = run->next_start;
    AUTO_BUFFER Buffer limits = {0};

    if (next->low_limits.count == 0 || next->limits_written)
        return;
    standby_limits_append_needed(&next->low_limits, &limits);
    add_step(run,
             "Before the server starts as a hot standby, set at least %s: the source has these "
             "limits, and the server does not start with lower ones.",
             buffer_string(&limits));
}

/* What the source's configuration has that is right for the source alone. */
static void add_sources_own(Run *run)
{
    const NextStart *next = run->next_start;

    if (next->cannot_listen != NULL)
        add_step(run,
                 "Before the server starts, change where it listens, by its files or its "
                 "command line: %s.",
                 next->cannot_listen->message);
    if (next->foreign_addresses != NULL && next->foreign_addresses[0] != '\0')
        add_step(run,
                 "Change listen_addresses: this host does not have %s, so the server does not "
                 "listen there.",
                 next->foreign_addresses);
    if (next->apply_delay != NULL)
        add_step(run,
                 "The source's recovery_min_apply_delay = %s delays the replay: remove it from the "
                 "configuration if the target is not to lag.",
                 next->apply_delay);
}

static void add_missing_wal(Run *run)
{
    const Version *version = version_of(run);

    if (run->planned.known && run_lacks_wal(run))
        add_step(run,
                 "The rewound target has the source's WAL only from %s on: let standbys that need "
                 "earlier WAL (from %s on) follow the source or an archive. With --early-start the "
                 "target would have it.",
                 LSN_TEXT(version, run->start.wal_from), LSN_TEXT(version, run->divergence.lsn));
}

/* The server compares where a full backup began, not where it ended (report_full_backup says more).
 */
static void print_useless_backups(const Run *run)
{
    const Version *version = version_of(run);

    if (!run->planned.known || run->session.options->compare || !version->has_wal_summaries ||
        !run->next_start->summarizes_wal)
        return;
    log_hint("Make a full backup of the rewound target before an incremental one: a full backup of "
             "the target that ended after %s is no base for one.",
             LSN_TEXT(version, run->divergence.lsn));
}

void next_steps_make(const Options *options, Run *run)
{
    const NextStart *next = run->next_start;
    const StandbySettings *settings = next->standby_settings;

    run->step_count = 0;
    if (run->session.pending)
    {
        add_step(run, "Run the same command without --dry-run: it finishes the interrupted "
                      "rewind.");
        return;
    }
    if (next->stray_recovery_conf)
        add_step(run, "Remove recovery.conf: the server does not start with it.");
    if (next->stray_recovery_signal)
        add_step(run, "Remove recovery.signal: with it the server ends recovery and opens for "
                      "writing, now or after a promotion.");
    if (next->stop_setting != NULL)
        add_step(run,
                 "Remove %s from the configuration: with it the server would not follow the source "
                 "to the end.",
                 next->stop_setting);
    add_misleading_wal(options, run);
    if (next->wal_for_archive_only)
        add_step(run, "Set hot_standby = off before the server starts: with wal_level = "
                      "archive of the source it does not start otherwise. For queries restart "
                      "the source with wal_level = hot_standby, let the standby replay that, "
                      "and then switch hot_standby on.");
    add_low_limits(run);
    add_sources_own(run);
    add_slot_steps(options, run);
    add_missing_wal(run);
    for (size_t i = 0; settings != NULL && i < settings->remedy_count; i++)
        add_step(run, "%s", settings->remedies[i]);
    if (options->dry_run && (run->divergence.needed || settings != NULL))
    {
        if (!next->standby && next->manager == NULL)
            add_make_standby(options, run);
        add_step(run, "This was a dry run, nothing was changed: run the same command without "
                      "--dry-run.");
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

/* A setting that -R writes is not the source's. */
static bool is_sources(const NextStart *next, const ChangedSetting *setting)
{
    const bool slot_written =
        next->standby_settings != NULL && next->standby_settings->slot != NULL;

    return !(next->written && strcmp(setting->name, "primary_conninfo") == 0) &&
           !(slot_written && strcmp(setting->name, "primary_slot_name") == 0);
}

static void append_settings(const NextStart *next, TextList *list)
{
    for (size_t i = 0; i < next->setting_count; i++)
    {
        const ChangedSetting *setting = &next->settings[i];

        if (!is_sources(next, setting) || !text_list_next(list))
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

static void append_conninfo(const StandbySettings *settings, TextList *list)
{
    Buffer *text = list->buffer;

    if (settings == NULL)
        return;
    if (settings->kept_count > 0)
        buffer_append_string(text, "kept ");
    append_names(settings->kept, settings->kept_count, list);
    if (settings->changed_count > 0)
        buffer_append_string(text, text->size > 0 ? "; changed " : "changed ");
    append_names(settings->changed, settings->changed_count, list);
}

void next_append(const NextStart *next, NextList which, const char *separator, size_t shown_max,
                 Buffer *text)
{
    TextList settings = {text, separator, shown_max, 0}, names = {text, ", ", NAMES_SHOWN_MAX, 0};

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
        append_conninfo(next->standby_settings, &names);
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
    AUTO_BUFFER Buffer text = {0};

    for (NextList list = NEXT_SETTINGS; list < NEXT_KEPT; list++)
    {
        buffer_clear(&text);
        next_append(run->next_start, list, ", ", SETTINGS_LOGGED_MAX, &text);
        if (text.size > 0)
            log_detail("%s: %s.", heads[list][!options->dry_run], buffer_string(&text));
    }
    print_useless_backups(run);
    for (size_t i = 0; i < run->step_count; i++)
        log_hint("%s", run->steps[i]);
}
