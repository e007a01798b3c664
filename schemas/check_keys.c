/* The keys of --check's JSON, in the order of the document, with the texts of its schema. */
#include "json_schema.h"

static const JsonKey keys[] = {
    /* depth, name, kind, nullable, values, description */
    {0, "check_version", JSON_COUNT, false, "1", NULL},
    {0, "ready", JSON_BOOL, false, NULL,
     "No finding is a problem, and the verdict is not \"not possible\"."},
    {0, "exit_status", JSON_COUNT, false, NULL,
     "0 if ready, else 1. With --monitor: 0 ready, 1 with warnings or what could not be found out, "
     "2 not ready, 3 nothing was looked at."},
    {0, "target", JSON_STRING, true, NULL,
     "The data directory; null: the command line names none."},
    {0, "source", JSON_STRING, true, NULL,
     "The source as it was reached, without a password; null: none was named."},
    {0, "server_version", JSON_DECIMAL, true, NULL,
     "Major version of the target; null: the target could not be looked at."},
    {0, "fork_catalog_version", JSON_INTEGER, true, NULL,
     "The catalog version of a fork of PostgreSQL; null: the target's catalogs are those of "
     "PostgreSQL, or it could not be looked at."},
    {0, "server", JSON_ONE_OF, true, "running|stopped", "Does a server run on the target?"},
    {0, "role", JSON_ONE_OF, true, "primary|standby", NULL},
    {0, "verdict", JSON_OBJECT, true, NULL, "Of a stopped target with a source, else null."},
    {1, "state", JSON_ONE_OF, false, "needed|not needed|not possible|unknown", NULL},
    {1, "text", JSON_STRING, false, NULL, NULL},
    {1, "dry_run_adds", JSON_STRING, true, NULL, "What --dry-run would find out in addition."},
    {1, "errors", JSON_OBJECTS, false, NULL,
     "With which a rewind would end; where none is needed, with which it would if one were."},
    {2, "message", JSON_STRING, false, NULL, NULL},
    {2, "detail", JSON_STRING, true, NULL, NULL},
    {2, "hint", JSON_STRING, true, NULL, NULL},
    {2, "remedy", JSON_STRING, true, NULL, "As in report.schema.json."},
    {0, "findings", JSON_OBJECTS, false, NULL,
     "A name may come twice. docs/check.md lists the names."},
    {1, "name", JSON_NAME, false, NULL, NULL},
    {1, "state", JSON_ONE_OF, false, "ok|problem|warning|unknown",
     "problem: a rewind would fail. warning: it may fail, or something is lost. unknown: it could "
     "not be found out."},
    {1, "text", JSON_STRING, false, NULL, NULL},
    {1, "remedy", JSON_STRING, true, NULL, "What to do, where possible as lines to be pasted."},
    {0, "not_looked_at", JSON_OBJECTS, false, NULL, NULL},
    {1, "name", JSON_NAME, false, NULL, NULL},
    {1, "why", JSON_STRING, false, NULL, NULL},
};

void check_schema(Buffer *text)
{
    json_schema_append("What pg_rewind --check --report=json writes",
                       "Later versions may add keys and findings; what a key means does not change "
                       "while check_version stays.",
                       keys, sizeof(keys) / sizeof(keys[0]), text);
}
