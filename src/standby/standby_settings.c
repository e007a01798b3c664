#include "standby/standby_settings.h"

#include "base/workers.h"
#include "format/settings.h"
#include "io/file.h"
#include "target/configuration.h"

#include <stdlib.h>
#include <string.h>

#define OPTIONS_MAX 100 /* libpq has about 50 */

/* Bytes of primary_conninfo that a server passes to its WAL receiver: MAXCONNINFO with a final NUL,
 * in replication/walreceiver.h of all versions. */
#define CONNINFO_LENGTH_MAX 1023

/* Options of one connection string, in its order. */
typedef struct OptionList
{
    Arena *arena;
    struct
    {
        const char *keyword, *value;
    } items[OPTIONS_MAX];
    size_t count;
} OptionList;

/* The connection strings that primary_conninfo is made from, and the result. */
typedef struct Conninfos
{
    OptionList string;     /* what the source's string sets itself */
    OptionList connection; /* what the connection to the source has, from wherever */
    OptionList former;
    const char *password;   /* password that the source asked for and accepted; NULL: none asked
                               for */
    bool former_is_sources; /* the source has the very same one: that is where it came from */
    OptionList result;
} Conninfos;

static void add_option(void *context, const char *keyword, const char *value)
{
    OptionList *list = context;

    if (list->count == OPTIONS_MAX)
        return;
    list->items[list->count].keyword = arena_strdup(list->arena, keyword);
    list->items[list->count++].value = arena_strdup(list->arena, value);
}

/* Returns an option's value, the last one as for libpq; NULL if the list lacks it. */
static const char *option_value(const OptionList *list, const char *keyword)
{
    for (size_t i = list->count; i > 0; i--)
        if (strcmp(list->items[i - 1].keyword, keyword) == 0)
            return list->items[i - 1].value;
    return NULL;
}

/* Warning about -R; --check has no finding for it. */
static const Advice warning = {.id = "standby", .severity = ADVICE_WARNING};

/* ---- the target's former primary_conninfo ---- */

/* Read the options of a connection string, including those that only the server's libpq knows (not
 * in a URI). False, with an empty *former, if the string cannot be read. */
static bool parse_former(const char *conninfo, OptionList *former)
{
    AUTO_BUFFER Buffer keyword = {0}, value = {0};

    if (strncmp(conninfo, "postgresql://", 13) == 0 || strncmp(conninfo, "postgres://", 11) == 0)
        conninfo = connection_string_options(conninfo, add_option, former, NULL) ? "" : conninfo;
    else
        while (conninfo_next(&conninfo, &keyword, &value))
            add_option(former, buffer_string(&keyword), buffer_string(&value));
    if (*conninfo != '\0')
        former->count = 0;
    return *conninfo == '\0';
}

/* *equal: the source has the very same primary_conninfo, so a rewind without -R, or a copy, took it
 * to the target. A file that cannot be read does not count. Fails only if the source is lost. */
static bool compare_with_sources(const Clusters *clusters, const char *former, bool *equal,
                                 Error *error)
{
    const char *path = clusters->shape.version->recovery_settings == RECOVERY_CONF
                           ? "recovery.done"
                           : "postgresql.auto.conf";
    Source *source = clusters->source;
    AUTO_BUFFER Buffer text = {0}, name = {0}, value = {0};
    TextCursor settings;
    Error problem;
    bool found;

    *equal = false;
    if (!source->operations->read_file(source, path, SETTINGS_FILE_SIZE_MAX, &text, &found,
                                       &problem))
        return (problem.kind != ERROR_RETRY && !stop_requested()) || error_copy(error, &problem);
    settings = text_cursor(buffer_string(&text));
    while (setting_next(&settings, &name, &value))
        if (strcmp(buffer_string(&name), "primary_conninfo") == 0)
            *equal = strcmp(buffer_string(&value), former) == 0;
    return true;
}

/* ---- what is kept of it ---- */

/* The connection says which server, and which role; a standby's server sets the last two itself. */
static const char *const never_kept[] = {"host",
                                         "hostaddr",
                                         "port",
                                         "user",
                                         "service",
                                         "servicefile",
                                         "target_session_attrs",
                                         "load_balance_hosts",
                                         "replication",
                                         "fallback_application_name",
                                         NULL};

/* A service that the string names sets what the connection has. A certificate and its key belong
 * together. */
static bool string_sets(const Conninfos *conninfos, const char *keyword)
{
    static const char *const client_certificate[] = {"sslcert", "sslkey", "sslpassword",
                                                     "sslcertmode", NULL};
    const bool of_certificate = is_among(keyword, client_certificate);

    for (const char *const *one = client_certificate; of_certificate && *one != NULL; one++)
        if (option_value(&conninfos->string, *one) != NULL)
            return true;
    return !of_certificate && (option_value(&conninfos->string, keyword) != NULL ||
                               (option_value(&conninfos->string, "service") != NULL &&
                                option_value(&conninfos->connection, keyword) != NULL));
}

/* Strength that an option demands of a connection's security. */
static size_t strength(const char *keyword, const char *value)
{
    static const char *const of_tls[] = {"disable", "allow",     "prefer",
                                         "require", "verify-ca", "verify-full"};
    static const char *const of_others[] = {"disable", "prefer", "require"};
    const bool is_tls = strcmp(keyword, "sslmode") == 0;
    const char *const *values = is_tls ? of_tls : of_others;
    size_t i =
        is_tls ? sizeof(of_tls) / sizeof(of_tls[0]) : sizeof(of_others) / sizeof(of_others[0]);

    while (i > 0 && strcmp(values[i - 1], value) != 0)
        i--;
    return i;
}

/* The environment asks for more than the former string did. */
static bool is_strengthened(const Conninfos *conninfos, const char *keyword)
{
    static const char *const keywords[] = {"sslmode", "channel_binding", "gssencmode", NULL};
    const char *value = option_value(&conninfos->connection, keyword);
    const char *former = option_value(&conninfos->former, keyword);

    return is_among(keyword, keywords) && value != NULL && former != NULL &&
           strength(keyword, value) > strength(keyword, former);
}

static bool is_kept(const Conninfos *conninfos, const char *keyword)
{
    if (option_value(&conninfos->former, keyword) == NULL || is_among(keyword, never_kept))
        return false;
    if (strcmp(keyword, "dbname") == 0)
        return option_value(&conninfos->connection, "dbname") == NULL;
    if (string_sets(conninfos, keyword))
        return false;
    if (strcmp(keyword, "password") == 0)
        return text_is_same(option_value(&conninfos->former, "user"),
                            option_value(&conninfos->connection, "user")) &&
               (conninfos->password == NULL ||
                text_is_same(option_value(&conninfos->former, "password"), conninfos->password));
    /* The certificate that checks the server belongs to the mode that demands the check. */
    if (is_strengthened(conninfos, keyword) ||
        (strcmp(keyword, "sslrootcert") == 0 && is_strengthened(conninfos, "sslmode")))
        return false;
    return !conninfos->former_is_sources || strcmp(keyword, "application_name") != 0;
}

/* Returns the password for primary_conninfo: the one in --source-server; otherwise, like the
 * original, that of a service or the environment, but only if the source has asked for a password.
 * NULL: none. */
static const char *new_password(const Conninfos *conninfos)
{
    return option_value(conninfos->password != NULL ? &conninfos->connection : &conninfos->string,
                        "password");
}

/* Returns the connection's password if the source asks for it only on a replication connection;
 * otherwise NULL. (Rule S21.) */
static const char *find_replication_password(const Conninfos *conninfos)
{
    const OptionList *connection = &conninfos->connection;
    const char *password = option_value(connection, "password");
    AUTO_BUFFER Buffer text = {0};
    uint64_t system_identifier;
    bool asks;

    if (password == NULL || option_value(&conninfos->string, "password") != NULL)
        return NULL;
    for (size_t i = 0; i < connection->count; i++)
        conninfo_append(&text, connection->items[i].keyword, connection->items[i].value);
    return connection_try_replication(buffer_string(&text), TRIAL_SECONDS, &system_identifier,
                                      &asks, NULL) &&
                   asks
               ? password
               : NULL;
}

/* In the connection's order, then in the former one's: another run with -R gives the same text. */
static void merge(Conninfos *conninfos)
{
    const OptionList *connection = &conninfos->connection, *former = &conninfos->former;
    OptionList *result = &conninfos->result;

    for (size_t i = 0; i < connection->count; i++)
    {
        const char *keyword = connection->items[i].keyword;
        const char *value = connection->items[i].value;

        if (is_kept(conninfos, keyword))
            value = option_value(former, keyword);
        else if (strcmp(keyword, "password") == 0)
            value = new_password(conninfos);
        if (value != NULL)
            add_option(result, keyword, value);
    }
    for (size_t i = 0; i < former->count; i++)
    {
        const char *keyword = former->items[i].keyword;

        if (option_value(result, keyword) == NULL && is_kept(conninfos, keyword))
            add_option(result, keyword, option_value(former, keyword));
    }
}

static void list_differences(const Conninfos *conninfos, Arena *arena, StandbySettings *settings)
{
    static const char *const of_no_interest[] = {"replication", "fallback_application_name", NULL};
    const OptionList *former = &conninfos->former;

    settings->kept = arena_allocate(arena, OPTIONS_MAX * sizeof(*settings->kept));
    settings->changed = arena_allocate(arena, OPTIONS_MAX * sizeof(*settings->changed));
    for (size_t i = 0; i < former->count; i++)
    {
        const char *keyword = former->items[i].keyword;
        const char *value = option_value(former, keyword);

        if (former->items[i].value != value || is_among(keyword, of_no_interest))
            continue;
        if (!text_is_same(option_value(&conninfos->result, keyword), value))
            settings->changed[settings->changed_count++] = keyword;
        else if (!text_is_same(option_value(&conninfos->connection, keyword), value))
            settings->kept[settings->kept_count++] = keyword;
    }
}

/* ---- files ---- */

bool option_names_file(const char *keyword)
{
    static const char *const keywords[] = {"passfile",  "sslcert",     "sslkey", "sslcrl",
                                           "sslcrldir", "sslrootcert", NULL};

    return is_among(keyword, keywords);
}

/* List those that exist: a file that the target lacks may come from the source. */
static void list_files(const OptionList *result, const Configuration *configuration,
                       StandbySettings *settings)
{
    settings->files = arena_allocate(configuration->arena, OPTIONS_MAX * sizeof(*settings->files));
    for (size_t i = 0; i < result->count; i++)
    {
        const char *path = configuration_path_in_target(configuration, "", result->items[i].value);

        if (option_names_file(result->items[i].keyword) && path != NULL &&
            file_exists(configuration->directory, path))
            settings->files[settings->file_count++] = path;
    }
}

/* ---- warnings ---- */

void advise_on_awaited_slots(const char *names, AdviceList *list)
{
    if (names[0] != '\0')
        advice_add(list,
                   (Advice){.id = "synchronized_slots",
                            .severity = ADVICE_WARNING,
                            .remedy = "Give each standby its slot, as with --slot and "
                                      "--create-slot, or take the names out of the source's "
                                      "synchronized_standby_slots, and reload it."},
                   "the source's synchronized_standby_slots names replication slots that it does "
                   "not have: %s\nLogical decoding of the source's failover slots waits until they "
                   "exist and their standbys stream with them.",
                   names);
}

/* ---- options that the target's libpq may not know ---- */

/* Leave out options that the standby's libpq does not know, with a warning. An option that
 * restricts which servers are trusted is an error instead: without it the standby would trust
 * others too. The libpq counts as that of the server's version, but distributions give a server a
 * newer one: what the former primary_conninfo has stays, since that libpq has accepted it, unless
 * the source has the very same one: then only the source's libpq has. (Rule S5.) */
static bool leave_out_unknown(Conninfos *conninfos, StandbySettings *settings, Error *error)
{
    const int version = settings->version->number;
    OptionList *list = &conninfos->result;
    size_t count = 0;

    for (size_t i = 0; i < list->count; i++)
    {
        const char *keyword = list->items[i].keyword, *value = list->items[i].value;
        const bool is_former = !conninfos->former_is_sources &&
                               text_is_same(option_value(&conninfos->former, keyword), value);
        const OptionSupport support =
            is_former ? OPTION_KNOWN : connection_option_support(keyword, value, version);
        const bool knows_others = connection_option_support(keyword, "", version) == OPTION_KNOWN;

        if (support == OPTION_UNKNOWN_RESTRICTION)
        {
            error_set(error, ERROR_FAILED,
                      "option \"%s=%s\" cannot be written into primary_conninfo: PostgreSQL %s "
                      "does not know it",
                      keyword, value, settings->version->name);
            error_detail(error, "Without it the standby would trust servers that this connection "
                                "does not trust.");
            return error_hint(error, "Connect to the source without the option: take it out of "
                                     "--source-server, or out of the environment. Or run pg_rewind "
                                     "without -R, and set primary_conninfo yourself. If the "
                                     "target's server runs with a newer libpq, set the option in "
                                     "the target's primary_conninfo first: -R keeps it.");
        }
        if (support == OPTION_KNOWN)
            list->items[count++] = list->items[i];
        else
            advice_add(&settings->warnings, warning,
                       "option \"%s%s%s\" is not written into primary_conninfo: PostgreSQL %s "
                       "does not know it",
                       keyword, knows_others ? "=" : "", knows_others ? value : "",
                       settings->version->name);
    }
    list->count = count;
    return true;
}

/* Warn that a restore_command of recovery.done is not in the new recovery.conf: each rewind copies
 * the source's recovery.done, so the command may be the source's. (Rule S39.) */
static void advise_on_former_command(const Target *target, AdviceList *list)
{
    const char *command;

    if (target->control.version->recovery_settings != RECOVERY_CONF ||
        file_exists(target->directory, "recovery.conf"))
        return;
    command = configuration_recovery_setting(target, list->arena, true, "restore_command");
    if (command != NULL)
        advice_add(list, warning,
                   "the restore_command of \"recovery.done\" is not in the new \"recovery.conf\"\n"
                   "It is: %s. If it is this server's own, and not the source's, whose file each "
                   "rewind copies, add it there: without it the standby cannot continue once the "
                   "source has removed WAL.",
                   setting_masked(list->arena, "restore_command", command));
}

/* ---- all of it ---- */

static bool read_conninfos(const Options *options, const Clusters *clusters, Arena *arena,
                           Conninfos *conninfos, StandbySettings *settings, Error *error)
{
    const char *dbname = connection_explicit_dbname(options->source_server, arena);
    const char *former =
        configuration_recovery_setting(&clusters->target, arena, true, "primary_conninfo");
    struct Connection *connection = source_connection(clusters->source);
    const Configuration configuration = target_configuration(&clusters->target, arena);
    const Version *version = clusters->shape.version;
    Settings now = {0}; /* settings of the target; none up to 11 */
    const char *password;

    if (connection == NULL)
        return error_set(error, ERROR_RETRY, "connection to the source server was lost");
    password = connection_server(connection).password;
    conninfos->string.arena = conninfos->connection.arena = arena;
    conninfos->former.arena = conninfos->result.arena = arena;
    if (!connection_string_options(options->source_server, add_option, &conninfos->string, error))
        return false;
    connection_options(connection, add_option, &conninfos->connection);
    conninfos->password =
        password != NULL ? arena_strdup(arena, password) : find_replication_password(conninfos);
    if (version->recovery_settings != RECOVERY_CONF)
        now = configuration_read(&configuration, NULL);
    if (now.unread != NULL)
        advice_add(&settings->warnings, warning,
                   "could not read \"%s\", which the target's configuration names\nIf the "
                   "target's former primary_conninfo is set there, nothing of it is kept, as "
                   "application_name or sslmode.",
                   now.unread);
    else if (former == NULL && now.incomplete)
        advice_add(&settings->warnings, warning,
                   "%s\nIf the target's former primary_conninfo is set there, nothing of it is "
                   "kept, as application_name or sslmode. With --config-file pg_rewind finds that "
                   "file.",
                   configuration.main_is_doubtful
                       ? "the main configuration file that the target's last start named is not "
                         "here, or may be another server's"
                       : "the main configuration file of the target was not found");
    if (former != NULL && !parse_former(former, &conninfos->former))
        advice_add(&settings->warnings, warning,
                   "the target's former primary_conninfo cannot be read: nothing of it is kept");
    /* The synchronization of slots needs a dbname, of any database. If neither --source-server nor
     * the former primary_conninfo names one, write the database that this run is connected to. */
    if (dbname == NULL && option_value(&conninfos->former, "dbname") == NULL)
        dbname = connection_server(connection).database;
    if (version->synchronizes_slots && dbname != NULL)
        add_option(&conninfos->connection, "dbname", dbname);
    return former == NULL ||
           compare_with_sources(clusters, former, &conninfos->former_is_sources, error);
}

/*
 * Refuse line breaks in a value: a settings file cannot have them (STRING in
 * utils/misc/guc-file.l). A line break could be written as \n, but the next ALTER SYSTEM would
 * write the line break itself, and the server would then fail to read the file.
 */
static bool check_line_breaks(const OptionList *result, Error *error)
{
    for (size_t i = 0; i < result->count; i++)
    {
        const char *keyword = result->items[i].keyword;

        if (strchr(result->items[i].value, '\n') == NULL)
            continue;
        error_set(error, ERROR_FAILED, "option \"%s\" of primary_conninfo would have a line break",
                  keyword);
        error_detail(error, "No server can read a setting with a line break, so the target's could "
                            "not start.");
        if (strcmp(keyword, "password") == 0)
            return error_hint(error, "Give the role a password without one, or let it "
                                     "authenticate in another way, as by a certificate.");
        return error_hint(error, "Give the option without one in --source-server.");
    }
    return true;
}

/* Refuse a primary_conninfo that the standby's server would cut off, without a message: options at
 * the end would be missing, such as one that demands a proof of the source's server. (Rule S37.) */
static bool check_length(const Buffer *conninfo, Error *error)
{
    if (conninfo->size <= CONNINFO_LENGTH_MAX)
        return true;
    error_set(error, ERROR_FAILED, "primary_conninfo would have %zu bytes, of which servers use %d",
              conninfo->size, CONNINFO_LENGTH_MAX);
    error_detail(error, "The standby could not connect to the source, or would connect without the "
                        "options at the end.");
    return error_hint(error, "Give a shorter --source-server, or shorten the target's former "
                             "primary_conninfo, from which options are kept. Or run pg_rewind "
                             "without -R, and set primary_conninfo to \"service=NAME\" yourself, "
                             "with the options in the service file of the user that runs the "
                             "target's server.");
}

bool standby_settings_make(const Options *options, const Clusters *clusters, Arena *arena,
                           StandbySettings *settings, Error *error)
{
    const Configuration configuration = target_configuration(&clusters->target, arena);
    Conninfos *conninfos = arena_allocate(arena, sizeof(*conninfos));
    const OptionList *result = &conninfos->result;
    const char *awaited, *host, *address, *attributes, *password;
    AUTO_BUFFER Buffer text = {0};
    Error problem;

    *settings = (StandbySettings){.slot = options->slot,
                                  .slot_is_made = options->create_slot,
                                  .version = clusters->shape.version,
                                  .warnings.arena = arena};
    if (!read_conninfos(options, clusters, arena, conninfos, settings, error))
        return false;
    advise_on_former_command(&clusters->target, &settings->warnings);
    if (options->slot != NULL &&
        source_server_missing_slots(clusters->source, options->slot, arena, &awaited, &problem))
        advise_on_awaited_slots(awaited, &settings->warnings);
    /* A source that does not answer counts as one that does not wait. */
    else if (options->slot != NULL && (problem.kind == ERROR_RETRY || stop_requested()))
        return error_copy(error, &problem);
    merge(conninfos);
    if (!leave_out_unknown(conninfos, settings, error) || !check_line_breaks(result, error))
        return false;
    list_differences(conninfos, arena, settings);
    list_files(result, &configuration, settings);
    password = new_password(conninfos);
    if (!is_kept(conninfos, "password") && password != NULL)
        advice_add(&settings->warnings,
                   (Advice){.id = "standby",
                            .severity = ADVICE_WARNING,
                            .remedy = "Put it into the password file (~/.pgpass) of the user that "
                                      "runs the server instead: the standby finds it there."},
                   "the password %s is written into primary_conninfo",
                   option_value(&conninfos->string, "password") != NULL ? "of the connection string"
                   : text_is_same(getenv("PGPASSWORD"), password)       ? "in PGPASSWORD"
                                                                        : "of the service");
    for (size_t i = 0; i < result->count; i++)
        conninfo_append(&text, result->items[i].keyword, result->items[i].value);
    if (!check_length(&text, error))
        return false;
    settings->conninfo = arena_strdup(arena, buffer_string(&text));
    host = option_value(result, "host");
    address = option_value(result, "hostaddr");
    attributes = option_value(result, "target_session_attrs");
    /* With "any", the default, whether it is written or not, the first host that answers is taken.
     * (Rule S27.) */
    if ((attributes == NULL || strcmp(attributes, "any") == 0) &&
        conninfo_names_several_hosts(host, address))
        advice_add(&settings->warnings,
                   (Advice){.id = "standby",
                            .severity = ADVICE_WARNING,
                            .remedy = "Name one host in --source-server, or add "
                                      "target_session_attrs=read-write."},
                   "primary_conninfo names several hosts, and the standby may stream from any of "
                   "them, even from itself");
    return true;
}
