/*
 * Connection options, and values of them, that not every libpq knows. An older one refuses such an
 * option as if it were misspelt, and does not look at its environment variable at all. That may be
 * the libpq that this program runs with, or the one of the target's server.
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
    const char *value;    /* that this version added to an older option; NULL: the option is new */
    const char *demand;   /* a value that demands more of a server than a libpq without it does;
                             ANY_VALUE: each that is not empty; NULL: none */
} NewerOption;

#define ANY_VALUE ""

/* PQconninfoOptions in libpq/fe-connect.c of each version. */
static const NewerOption newer_options[] = {
    {"passfile", "PGPASSFILE", 10, NULL, NULL},
    {"target_session_attrs", "PGTARGETSESSIONATTRS", 10, NULL, NULL},
    {"tcp_user_timeout", NULL, 12, NULL, NULL},
    {"gssencmode", "PGGSSENCMODE", 12, NULL, "require"},
    {"channel_binding", "PGCHANNELBINDING", 13, NULL, "require"},
    {"ssl_min_protocol_version", "PGSSLMINPROTOCOLVERSION", 13, NULL, NULL},
    {"ssl_max_protocol_version", "PGSSLMAXPROTOCOLVERSION", 13, NULL, NULL},
    {"sslpassword", NULL, 13, NULL, NULL},
    {"sslcrldir", "PGSSLCRLDIR", 14, NULL, ANY_VALUE},
    {"sslsni", "PGSSLSNI", 14, NULL, NULL},
    {"target_session_attrs", NULL, 14, "primary", NULL},
    {"target_session_attrs", NULL, 14, "standby", NULL},
    {"target_session_attrs", NULL, 14, "prefer-standby", NULL},
    {"target_session_attrs", NULL, 14, "read-only", NULL},
    {"require_auth", "PGREQUIREAUTH", 16, NULL, ANY_VALUE},
    {"sslcertmode", "PGSSLCERTMODE", 16, NULL, NULL},
    {"gssdelegation", "PGGSSDELEGATION", 16, NULL, NULL},
    {"load_balance_hosts", "PGLOADBALANCEHOSTS", 16, NULL, NULL},
    {"sslrootcert", NULL, 16, "system", "system"},
    {"sslnegotiation", "PGSSLNEGOTIATION", 17, NULL, NULL},
    {"min_protocol_version", "PGMINPROTOCOLVERSION", 18, NULL, NULL},
    {"max_protocol_version", "PGMAXPROTOCOLVERSION", 18, NULL, NULL},
    {"servicefile", NULL, 18, NULL, NULL},
    {"sslkeylogfile", NULL, 18, NULL, NULL},
    {"scram_client_key", NULL, 18, NULL, NULL},
    {"scram_server_key", NULL, 18, NULL, NULL},
    {"oauth_issuer", NULL, 18, NULL, NULL},
    {"oauth_client_id", NULL, 18, NULL, NULL},
    {"oauth_client_secret", NULL, 18, NULL, NULL},
    {"oauth_scope", NULL, 18, NULL, NULL},
    {"oauth_ca_file", "PGOAUTHCAFILE", 19, NULL, NULL},
};

#define OPTION_COUNT (sizeof(newer_options) / sizeof(newer_options[0]))

static bool is_demand(const NewerOption *option, const char *value)
{
    return option->demand != NULL && value[0] != '\0' &&
           (option->demand[0] == '\0' || strcmp(option->demand, value) == 0);
}

OptionSupport connection_option_support(const char *keyword, const char *value, int version)
{
    for (size_t i = 0; i < OPTION_COUNT; i++)
    {
        const NewerOption *option = &newer_options[i];

        if (strcmp(option->keyword, keyword) != 0 || version >= 100 * option->since ||
            (option->value != NULL && strcmp(option->value, value) != 0))
            continue;
        return is_demand(option, value) ? OPTION_UNKNOWN_DEMAND : OPTION_UNKNOWN;
    }
    return OPTION_KNOWN;
}

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
