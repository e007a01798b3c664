/* Print a schema of a JSON document, as the program's own table of keys has it: print_schema
 * report|check. `make schemas` writes those in docs/. */
#include "check/readiness.h"
#include "report/report_keys.h"

#include <string.h>

int main(int argument_count, char **arguments)
{
    AUTO_BUFFER Buffer text = {0};

    if (argument_count == 2 && strcmp(arguments[1], "report") == 0)
        report_schema(&text);
    else if (argument_count == 2 && strcmp(arguments[1], "check") == 0)
        node_schema(&text);
    else
        return 1;
    fputs(buffer_string(&text), stdout);
    return 0;
}
