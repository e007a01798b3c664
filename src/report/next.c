#include "base/log.h"
#include "report/facts.h"
#include "base/json.h"

#include <string.h>

#define SETTINGS_SAID_MAX 5
#define NAMES_SAID_MAX 8
#define VALUE_COLUMNS_MAX 60
#define ROW_COLUMNS_MAX 70

/* ---- steps ---- */

static void PRINTF_LIKE(2, 3) add_step(Report *report, const char *format, ...)
{
    Buffer text = {0};
    va_list arguments;

    va_start(arguments, format);
    buffer_vprintf(&text, format, arguments);
    va_end(arguments);
    if (report->step_count < REPORT_STEPS_MAX)
        report->steps[report->step_count++] = arena_strdup(report->arena, buffer_string(&text));
    buffer_free(&text);
}

/* Slots that a former primary still has: what they do to a standby, and how they go. */
static void add_kept_slots_step(Report *report)
{
    const NextStart *next = report->next_start;
    Buffer names = {0}, drops = {0};
    bool logical = false;

    for (size_t i = 0; i < next->slot_count; i++)
    {
        const AffectedSlot *slot = &next->slots[i];

        if (strcmp(slot->state, "kept") != 0)
            continue;
        logical = logical || (slot->type != NULL && strcmp(slot->type, "logical") == 0);
        buffer_printf(&names, "%s\"%s\"%s%s%s", names.size > 0 ? ", " : "", slot->name,
                      slot->type != NULL ? " (" : "", slot->type != NULL ? slot->type : "",
                      slot->type != NULL ? ")" : "");
        buffer_append_string(&drops, " SELECT pg_drop_replication_slot(");
        buffer_append_literal(&drops, slot->name);
        buffer_append_string(&drops, ");");
    }
    if (names.size > 0)
        add_step(report,
                 "No rewind was required, so the target keeps the replication slots that it had "
                 "as a primary: %s. On a standby each of them keeps WAL until it is dropped%s. "
                 "%s drop those that are not used there, when the server runs:%s",
                 buffer_string(&names),
                 logical && report->version != NULL && report->version->synchronizes_slots
                     ? ", and a logical one ends the synchronization of slots if the source has a "
                       "slot of the same name to be synchronized"
                     : "",
                 report->will_be_started ? "Use --drop-slots the next time; now"
                                         : "Add --drop-slots, with --write-recovery-conf, or",
                 buffer_string(&drops));
    buffer_free(&names);
    buffer_free(&drops);
}

/* The name of a slot is that of a directory, which can be anything. */
static void add_slot_steps(Report *report)
{
    const NextStart *next = report->next_start;
    const bool reserves = report->version == NULL || report->version->sql.slot_reserves;
    char lsn[LSN_TEXT_SIZE];
    Buffer drops = {0};

    for (size_t i = 0; i < next->slot_count; i++)
    {
        const AffectedSlot *slot = &next->slots[i];
        Buffer name = {0};

        buffer_append_literal(&name, slot->name);
        if (strcmp(slot->state, "missing") == 0 || strcmp(slot->state, "unknown") == 0)
            add_step(report,
                     "The target will use the replication slot \"%s\" of the source, %s: SELECT "
                     "pg_create_physical_replication_slot(%s%s); the source must have WAL from "
                     "%s on.",
                     slot->name,
                     strcmp(slot->state, "missing") == 0 ? "which must be created there"
                                                         : "which must exist there",
                     buffer_string(&name), reserves ? ", true" : "",
                     report_lsn_text(report, report->wal_needed_from, lsn));
        else if (strcmp(slot->state, "copied") == 0)
            buffer_printf(&drops, "%sSELECT pg_drop_replication_slot(%s);",
                          drops.size > 0 ? " " : "", buffer_string(&name));
        buffer_free(&name);
    }
    if (drops.size > 0)
        add_step(report,
                 "Replication slots were copied from the source and keep WAL indefinitely: when "
                 "the server runs, drop those that are not used there: %s",
                 buffer_string(&drops));
    buffer_free(&drops);
}

/* Without it the target would open for writing and diverge from the source again. */
static void add_make_standby(Report *report)
{
    const NextStart *next = report->next_start;
    const char *by_hand = next->recovery_conf ? "create recovery.conf with standby_mode = on, "
                                                "primary_conninfo and recovery_target_timeline = "
                                                "latest"
                          : next->has_source  ? "create standby.signal, and check that "
                                                "primary_conninfo names the source"
                                              : "create standby.signal and set primary_conninfo";

    if (report->dry_run && report->rewind_needed)
        add_step(report,
                 "After this rewind the server would open for writing and diverge again: add "
                 "--write-recovery-conf (with --source-server), or before the server starts %s.",
                 by_hand);
    else
        add_step(report,
                 "Before the server starts make it a standby of the source: %s, or run %s again "
                 "with --write-recovery-conf (and --source-server); otherwise it opens for writing "
                 "and diverges again.",
                 by_hand, log_program_name());
}

static void add_start(Report *report)
{
    const NextStart *next = report->next_start;

    if (report->will_be_started)
        return;
    if (next->manager != NULL)
        add_step(report, "Let %s start the server: it makes it a standby of the source.",
                 next->manager);
    else if (!next->standby)
        add_make_standby(report);
    else if (!next->has_source)
        add_step(report, "Set primary_conninfo so that it names the source, and start the server: "
                         "it replays the source's WAL and follows it.");
    else if (!next->written && next->conninfo != NULL)
        add_step(report,
                 "Check that primary_conninfo (%s) names the source, and start the server: it "
                 "replays the source's WAL and follows it.",
                 next->conninfo);
    else
        add_step(report, "Start the server: it replays the source's WAL and follows it.");
}

void report_next_steps(Report *report)
{
    const NextStart *next = report->next_start;

    report->step_count = 0;
    if (report->dry_run && report->resumed)
    {
        add_step(report, "Run the same command without --dry-run: it finishes the interrupted "
                         "rewind.");
        return;
    }
    if (next->stray_recovery_conf)
        add_step(report, "Remove recovery.conf: the server does not start with it.");
    if (next->stray_recovery_signal)
        add_step(report, "Remove recovery.signal: with it the server ends recovery and opens for "
                         "writing, now or after a promotion.");
    if (next->stop_setting != NULL)
        add_step(report,
                 "Remove %s from the configuration: with it the server would not follow the source "
                 "to the end.",
                 next->stop_setting);
    if (next->wal_for_archive_only)
        add_step(report, "Set hot_standby = off before the server starts: with wal_level = archive "
                         "of the source it does not start otherwise. For queries restart the "
                         "source with wal_level = hot_standby, let the standby replay that, and "
                         "then switch hot_standby on.");
    add_slot_steps(report);
    add_kept_slots_step(report);
    for (size_t i = 0; next->standby_settings != NULL && i < next->standby_settings->remedy_count;
         i++)
        add_step(report, "%s", next->standby_settings->remedies[i]);
    if (report->dry_run && (report->rewind_needed || next->standby_settings != NULL))
    {
        if (!next->standby && next->manager == NULL)
            add_make_standby(report);
        add_step(report, "This was a dry run, nothing was changed: run the same command without "
                         "--dry-run.");
    }
    else
        add_start(report);
}

/* ---- for people ---- */

static void append_value(Buffer *text, const char *value)
{
    int length = (int) strlen(value);

    buffer_append_u8(text, '\'');
    for (int i = 0; i < length && i < VALUE_COLUMNS_MAX; i++)
        buffer_append_u8(text, (unsigned char) value[i] < 0x20 ? ' ' : (uint8_t) value[i]);
    buffer_append_string(text, length > VALUE_COLUMNS_MAX ? "...'" : "'");
}

static void append_setting(const ChangedSetting *setting, Buffer *text)
{
    buffer_append_string(text, setting->name);
    if (setting->now == NULL)
        buffer_append_string(text, " not set");
    else
    {
        buffer_append_string(text, " = ");
        append_value(text, setting->now);
    }
    buffer_append_string(text, " (was ");
    if (setting->former == NULL)
        buffer_append_string(text, "not set)");
    else
    {
        append_value(text, setting->former);
        buffer_append_u8(text, ')');
    }
}

/* A setting that -R writes is not the source's. */
static bool is_sources(const NextStart *next, const ChangedSetting *setting)
{
    const bool slot_written =
        next->standby_settings != NULL && next->standby_settings->slot != NULL;

    return !(next->written && strcmp(setting->name, "primary_conninfo") == 0) &&
           !(slot_written && strcmp(setting->name, "primary_slot_name") == 0);
}

static void append_settings(const NextStart *next, const char *separator, size_t most, Buffer *text)
{
    size_t said = 0, more = 0;

    for (size_t i = 0; i < next->setting_count; i++)
    {
        if (!is_sources(next, &next->settings[i]))
            continue;
        if (said == most)
        {
            more++;
            continue;
        }
        if (said++ > 0)
            buffer_append_string(text, separator);
        append_setting(&next->settings[i], text);
    }
    if (more > 0)
        buffer_printf(text, "%sand %zu more", separator, more);
}

static void append_names(const char *const *names, size_t count, Buffer *text)
{
    for (size_t i = 0; i < count && i < NAMES_SAID_MAX; i++)
        buffer_printf(text, "%s%s", i > 0 ? ", " : "", names[i]);
    if (count > NAMES_SAID_MAX)
        buffer_printf(text, ", and %zu more", count - NAMES_SAID_MAX);
}

static void append_removed_slots(const NextStart *next, Buffer *text)
{
    const char *names[AFFECTED_SLOTS_MAX];
    size_t count = 0;

    for (size_t i = 0; i < next->slot_count; i++)
        if (strcmp(next->slots[i].state, "removed") == 0)
            names[count++] = next->slots[i].name;
    append_names(names, count, text);
}

/* Which options primary_conninfo has from the former one, and which are others. Nothing where there
 * was no former one. */
static void append_conninfo(const NextStart *next, Buffer *text)
{
    const StandbySettings *settings = next->standby_settings;

    if (settings == NULL)
        return;
    if (settings->kept_count > 0)
        buffer_append_string(text, "kept ");
    append_names(settings->kept, settings->kept_count, text);
    if (settings->changed_count > 0)
        buffer_append_string(text, text->size > 0 ? "; changed " : "changed ");
    append_names(settings->changed, settings->changed_count, text);
}

void report_next_log(const Report *report)
{
    const NextStart *next = report->next_start;
    const char *verb = report->dry_run ? "would be" : "are now";
    Buffer text = {0};

    append_settings(next, ", ", SETTINGS_SAID_MAX, &text);
    if (text.size > 0)
        log_detail("Settings that %s the source's: %s.", verb, buffer_string(&text));
    buffer_clear(&text);
    append_names(next->files, next->file_count, &text);
    if (text.size > 0)
        log_detail("Files that %s the source's: %s.", verb, buffer_string(&text));
    buffer_clear(&text);
    append_removed_slots(next, &text);
    if (text.size > 0)
        log_detail("Replication slots of the target that %s gone: %s.", verb, buffer_string(&text));
    buffer_clear(&text);
    append_conninfo(next, &text);
    if (text.size > 0)
        log_detail("Options of the target's former primary_conninfo: %s.", buffer_string(&text));
    buffer_free(&text);
    for (size_t i = 0; i < report->step_count; i++)
        log_hint("%s", report->steps[i]);
}

static void append_row(Buffer *text, const char *label, Buffer *value)
{
    const char *position = buffer_string(value);

    while (*position != '\0')
    {
        size_t length = strcspn(position, "\n");
        const size_t first_word = strcspn(position, " \n");

        /* Broken between words, unless there is but one. */
        if (length > ROW_COLUMNS_MAX)
        {
            length = ROW_COLUMNS_MAX;
            while (length > first_word && position[length] != ' ')
                length--;
            if (length < first_word)
                length = first_word;
        }
        report_append_spaces(text, 2);
        buffer_append_string(text, label);
        report_append_spaces(text, 26 - (int) strlen(label));
        buffer_printf(text, "%.*s\n", (int) length, position);
        label = "";
        position += length;
        position += *position == '\n' || *position == ' ';
    }
    buffer_clear(value);
}

void report_next_text(const Report *report, Buffer *text)
{
    const NextStart *next = report->next_start;
    size_t before, begin;
    Buffer value = {0};

    if (next == NULL)
        return;
    before = text->size;
    buffer_append_string(text, "\nWhat is next\n");
    begin = text->size;
    append_settings(next, "\n", 20, &value);
    append_row(text, "settings that differ", &value);
    append_names(next->files, next->file_count, &value);
    append_row(text, "other configuration", &value);
    append_removed_slots(next, &value);
    append_row(text, "slots that are gone", &value);
    append_conninfo(next, &value);
    append_row(text, "primary_conninfo", &value);
    append_names(next->kept, next->kept_count, &value);
    append_row(text, "kept", &value);
    for (size_t i = 0; i < report->step_count; i++)
        buffer_printf(&value, "%s\n", report->steps[i]);
    append_row(text, "to do", &value);
    if (text->size == begin)
        text->size = before; /* nothing, with --rejoin */
    buffer_free(&value);
}

/* ---- for programs ---- */

static void json_conninfo(Json *json, const NextStart *next)
{
    const StandbySettings *settings = next->standby_settings;

    if (!json_section(json, "conninfo", '{', settings != NULL))
        return;
    json_strings(json, "kept", settings->kept, settings->kept_count);
    json_strings(json, "changed", settings->changed, settings->changed_count);
    json_close(json, '}');
}

static void json_settings(Json *json, const NextStart *next)
{
    if (!json_section(json, "settings", '[', next->settings_known))
        return;
    for (size_t i = 0; i < next->setting_count; i++)
    {
        json_item(json);
        json_string(json, "name", next->settings[i].name);
        json_string(json, "former", next->settings[i].former);
        json_string(json, "now", next->settings[i].now);
        json_close(json, '}');
    }
    json_close(json, ']');
}

static void json_slots(Json *json, const NextStart *next)
{
    json_section(json, "slots", '[', true);
    for (size_t i = 0; i < next->slot_count; i++)
    {
        json_item(json);
        json_string(json, "name", next->slots[i].name);
        json_string(json, "type", next->slots[i].type);
        json_string(json, "state", next->slots[i].state);
        json_close(json, '}');
    }
    json_close(json, ']');
}

void report_next_json(const Report *report, Json *json)
{
    const NextStart *next = report->next_start;

    if (!json_section(json, "next", '{', next != NULL))
        return;
    json_strings(json, "steps", report->steps, report->step_count);
    json_settings(json, next);
    json_bool(json, "settings_complete", next->settings_known && next->settings_complete);
    json_strings(json, "files", next->files, next->file_count);
    json_slots(json, next);
    json_conninfo(json, next);
    json_strings(json, "kept", next->kept, next->kept_count);
    json_close(json, '}');
}
