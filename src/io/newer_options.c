/*
 * Connection options that a newer libpq knows than the one this program runs with. That one refuses
 * such an option as if it were misspelt, and does not look at its environment variable at all.
 */
#include "io/connection.h"

#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LIBPQ_MAJOR(version) ((version) / 10000)

typedef struct NewerOption
{
    const char *keyword;
    const char *variable; /* NULL: it has none, or that of an older option */
    int since;            /* major version of libpq */
} NewerOption;

/* PQconninfoOptions in libpq/fe-connect.c of each version. */
static const NewerOption newer_options[] = {
    {"channel_binding", "PGCHANNELBINDING", 13},
    {"ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION", 13},
    {"ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION", 13},
    {"sslpassword", NULL, 13},
    {"sslcrldir", "PGSSLCRLDIR", 14},
    {"sslsni", "PGSSLSNI", 14},
    {"require_auth", "PGREQUIREAUTH", 16},
    {"sslcertmode", "PGSSLCERTMODE", 16},
    {"gssdelegation", "PGGSSDELEGATION", 16},
    {"load_balance_hosts", "PGLOADBALANCEHOSTS", 16},
    {"sslnegotiation", "PGSSLNEGOTIATION", 17},
    {"min_protocol_version", "PGMINPROTOCOLVERSION", 18},
    {"max_protocol_version", "PGMAXPROTOCOLVERSION", 18},
    {"servicefile", NULL, 18},
    {"sslkeylogfile", NULL, 18},
    {"scram_client_key", NULL, 18},
    {"scram_server_key", NULL, 18},
    {"oauth_issuer", NULL, 18},
    {"oauth_client_id", NULL, 18},
    {"oauth_client_secret", NULL, 18},
    {"oauth_scope", NULL, 18},
    {"oauth_ca_file", "PGOAUTHCAFILE", 19},
};

#define OPTION_COUNT (sizeof(newer_options) / sizeof(newer_options[0]))

/* Distributions may add an option to an older libpq: it is asked. */
static bool libpq_knows(const char *keyword)
{
    PQconninfoOption *options = PQconndefaults();
    bool known = options == NULL; /* out of memory */

    for (const PQconninfoOption *option = options;
         !known && option != NULL && option->keyword != NULL; option++)
        known = strcmp(option->keyword, keyword) == 0;
    PQconninfoFree(options);
    return known;
}

bool newer_option_refused(const char *reason, Error *error)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
    {
        const NewerOption *option = &newer_options[i];
        char quoted[64];

        snprintf(quoted, sizeof(quoted), "\"%s\"", option->keyword);
        if (strstr(reason, quoted) == NULL || libpq_knows(option->keyword))
            continue;
        error_set(error, ERROR_FAILED, "%s", reason);
        error_detail(error, "It is an option of libpq %d and later. pg_rewind runs with libpq %d.",
                     option->since, LIBPQ_MAJOR(PQlibVersion()));
        error_hint(error, "Leave it out, or let pg_rewind run with a newer libpq: install that "
                          "package of the system, such as PGDG's libpq5, or take the portable "
                          "directory that was built with one.");
        return true;
    }
    return false;
}

void connection_ignored_variables(Buffer *text)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
    {
        const NewerOption *option = &newer_options[i];
        const char *value = option->variable != NULL ? getenv(option->variable) : NULL;

        if (value == NULL || value[0] == '\0' || libpq_knows(option->keyword))
            continue;
        if (text->size == 0)
            buffer_printf(text, "libpq %d, with which pg_rewind runs, does not heed ",
                          LIBPQ_MAJOR(PQlibVersion()));
        else
            buffer_append_string(text, ", ");
        buffer_printf(text, "%s (of %d and later)", option->variable, option->since);
    }
}
