/* Print a schema of a JSON document: print_schema report|check. `make schemas` writes those in
 * docs/. */
#include "json_schema.h"

#include <string.h>

int main(int argument_count, char **arguments)
{
    AUTO_BUFFER Buffer text = {0};

    if (argument_count == 2 && strcmp(arguments[1], "report") == 0)
        report_schema(&text);
    else if (argument_count == 2 && strcmp(arguments[1], "check") == 0)
        check_schema(&text);
    else
        return 1;
    fputs(buffer_string(&text), stdout);
    return 0;
}
