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
    if (value == NULL)
        return;
    buffer_append_string(text, option);
    buffer_append_word(text, value);
    buffer_append_u8(text, '\n');
}

const char *journal_options_text(const Options *options, Arena *arena)
{
    const Keep *keep = options->keep;
    const TablespaceMappings *tablespaces = options->tablespaces;
    AUTO_BUFFER Buffer text = {0}, mapping = {0};

    append_if(options->write_recovery_conf, STANDBY_OPTION, &text);
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
    {
        buffer_clear(&mapping);
        buffer_printf(&mapping, "%s=%s", tablespaces->mappings[i].from,
                      tablespaces->mappings[i].to);
        append_option_value("--tablespace-mapping=", buffer_string(&mapping), &text);
    }
    append_option_value("--save-diverged-wal=", options->save_diverged_wal, &text);
    return arena_strdup(arena, buffer_string(&text));
}

/* The length of the line at *text, after the line ends before it; *text is set to its start. */
static size_t next_journal_option(const char **text)
{
    *text += strspn(*text, "\n");
    return strcspn(*text, "\n");
}

static bool has_line(const char *text, const char *line, size_t length)
{
    for (size_t size; (size = next_journal_option(&text)) > 0; text += size)
    {
        if (size == length && memcmp(text, line, length) == 0)
            return true;
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
    for (size_t length; (length = next_journal_option(&text)) > 0; text += length)
    {
        if (!has_line(other, text, length) && (still_heeded || !is_heeded_later(text)))
            buffer_printf(options, "%s%.*s", options->size > 0 ? ", " : "", (int) length, text);
    }
}
