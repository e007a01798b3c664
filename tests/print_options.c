/*
 * Print the program's table of options; or, of the options given as arguments, those that a
 * committed journal decides (Options.decided). `make manual` and tests/options run this program.
 */
#include "command_line.h"

#include <stdio.h>

int main(int argument_count, char **arguments)
{
    static Command command;
    AUTO_BUFFER Buffer table = {0};
    Error error;

    if (argument_count > 1)
    {
        if (!command_line_read(argument_count, arguments, &command, &error) &&
            command.options.decided == NULL)
            return 1;
        fputs(command.options.decided, stdout);
        return 0;
    }
    command_line_describe(&table);
    fputs(buffer_string(&table), stdout);
    return 0;
}
