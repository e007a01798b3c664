#include "apply/journal_options.h"

#include "target/tablespace_mapping.h"
#include "plan/keep.h"

#include <string.h>

#define STANDBY_OPTION "--write-recovery-conf"
#define SLOT_OPTION "--slot="

static void append_if(bool given, const char *option, Buffer *text)
{
    if (given)
        buffer_printf(text, "%s\n", option);
}

static void append_option_value(const char *option, const char *value, Buffer *text)
{
    buffer_append_string(text, option);
    buffer_append_word(text, value);
    buffer_append_u8(text, '\n');
}

static void append_mapping_option(const TablespaceMapping *mapping, Buffer *text)
{
    Buffer value = {0};

    buffer_printf(&value, "%s=%s", mapping->from, mapping->to);
    append_option_value("--tablespace-mapping=", buffer_string(&value), text);
    buffer_free(&value);
}

const char *journal_options_text(const Options *options, Arena *arena)
{
    const Keep *keep = options->keep;
    const TablespaceMappings *tablespaces = options->tablespaces;
    const char *result;
    Buffer text = {0};

    append_if(options->write_recovery_conf, STANDBY_OPTION, &text);
    if (options->slot != NULL)
        append_option_value(SLOT_OPTION, options->slot, &text);
    append_if(options->early_start, "--early-start", &text);
    append_if(options->late_start, "--late-start", &text);
    append_if(options->compare, "--compare", &text);
    append_if(options->checkpoint, "--checkpoint", &text);
    append_if(keep != NULL && keep->configuration, "--keep-config", &text);
    for (size_t i = 0; keep != NULL && i < keep->count; i++)
        if (!keep->patterns[i].file)
            append_option_value("--keep=", keep->patterns[i].text, &text);
    for (size_t i = 0; tablespaces != NULL && i < tablespaces->count; i++)
        append_mapping_option(&tablespaces->mappings[i], &text);
    if (options->save_diverged_wal != NULL)
        append_option_value("--save-diverged-wal=", options->save_diverged_wal, &text);
    result = arena_strdup(arena, buffer_string(&text));
    buffer_free(&text);
    return result;
}

static bool has_line(const char *text, const char *line, size_t length)
{
    while (*text != '\0')
    {
        const size_t size = strcspn(text, "\n");

        if (size == length && memcmp(text, line, length) == 0)
            return true;
        text += size;
        text += *text == '\n';
    }
    return false;
}

static bool is_heeded_later(const char *line)
{
    return strncmp(line, STANDBY_OPTION, strlen(STANDBY_OPTION)) == 0 ||
           strncmp(line, SLOT_OPTION, strlen(SLOT_OPTION)) == 0;
}

void journal_options_missing(const char *text, const char *other, bool still_heeded,
                             Buffer *options)
{
    while (*text != '\0')
    {
        const size_t length = strcspn(text, "\n");

        if (length > 0 && !has_line(other, text, length) &&
            (still_heeded || !is_heeded_later(text)))
            buffer_printf(options, "%s%.*s", options->size > 0 ? ", " : "", (int) length, text);
        text += length;
        text += *text == '\n';
    }
}
