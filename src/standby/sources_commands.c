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
