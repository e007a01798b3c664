#include "standby/sources_commands.h"

#include <string.h>

/* Settings with commands for a shell, with libraries, with places where libraries are, and with
 * what a language runs when it begins (plperl.on_plperlu_init, pltclu.start_proc). */
static bool names_what_is_run(const char *name)
{
    static const char *const suffixes[] = {"_command",  "_library",      "_libraries",
                                           "_script",   "_library_path", "_control_path",
                                           "_provider", "_init",         ".start_proc"};
    const size_t length = strlen(name);

    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
        if (length >= strlen(suffixes[i]) &&
            strcmp(name + length - strlen(suffixes[i]), suffixes[i]) == 0)
            return true;
    return false;
}

void sources_commands_add(SourcesCommands *commands, const Settings *former, const Settings *now,
                          Arena *arena)
{
    const char **settings =
        arena_allocate(arena, (commands->count + now->count + 1) * sizeof(*settings));

    if (commands->count > 0)
        memcpy(settings, commands->settings, commands->count * sizeof(*settings));
    commands->settings = settings;
    for (size_t i = 0; i < now->count; i++)
    {
        const Setting *setting = &now->items[i];
        const char *own = settings_value(former, setting->name);

        if (names_what_is_run(setting->name) && setting->value[0] != '\0' &&
            (own == NULL || strcmp(own, setting->value) != 0))
            settings[commands->count++] = setting->name;
    }
    commands->complete = commands->complete && !former->incomplete && !now->incomplete;
}

static void append_commands(const SourcesCommands *commands, Buffer *text)
{
    for (size_t i = 0; i < commands->count; i++)
    {
        const char *name = commands->settings[i];

        buffer_printf(text, "%s%s", i > 0 ? ", " : "", name);
        if (commands->restore_shown != NULL && strcmp(name, "restore_command") == 0)
            buffer_printf(text, " (%s)", commands->restore_shown);
    }
}

void error_sources_commands(const SourcesCommands *commands, Error *error)
{
    static const char unlooked[] =
        "pg_rewind does not run the source's restore_command, so it has not looked for WAL in the "
        "archive that would lead the server away from the source.";
    static const char unread[] =
        "Not all of the configuration could be read: there may be more settings.";
    AUTO_BUFFER Buffer text = {0};

    buffer_append_string(&text,
                         "the target's server will run what the source's configuration names: ");
    append_commands(commands, &text);
    error_set(error, ERROR_FAILED, "%s", buffer_string(&text));
    if (commands->restore_shown != NULL || !commands->complete)
        error_detail(error, "%s%s%s", commands->restore_shown != NULL ? unlooked : "",
                     commands->restore_shown != NULL && !commands->complete ? " " : "",
                     commands->complete ? "" : unread);
    error_hint(error, "Look at these settings of the source, or keep the target's configuration: "
                      "--keep-config.");
}
