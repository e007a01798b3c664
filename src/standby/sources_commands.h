/*
 * The source's configuration becomes the target's, and names what the target's server runs and
 * loads.
 */
#ifndef STANDBY_SOURCES_COMMANDS_H
#define STANDBY_SOURCES_COMMANDS_H

#include "format/settings.h"

/* The settings with which the target's server will run or load something else than by its own
 * configuration. Begins as zeros, but for complete. */
typedef struct SourcesCommands
{
    const char **settings; /* names, ascending in each part that was added */
    size_t count;
    bool complete; /* all files of both configurations could be read */
    const char
        *restore_shown; /* the restore_command among them, as setting_command_shown: pg_rewind
                           has not run it, so it has not looked at the archive; NULL: none */
} SourcesCommands;

/* Add those that differ between the settings as they are and as they will be. In the arena. */
void sources_commands_add(SourcesCommands *commands, const Settings *former, const Settings *now,
                          Arena *arena);

#endif
