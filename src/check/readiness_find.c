#include "check/node.h"

#include "base/log.h"
#include "io/file.h"
#include "source/encryption.h"
#include "wal_store/histories.h"

#include <string.h>

#define OPTIONS_SIZE_MAX (64 * 1024)
#define SOURCE_TIMEOUT_SECONDS 10 /* monitoring waits for us */

/* The config_file that the server was last started with, by postmaster.opts. */
static const char *find_started_with(const Node *node)
{
    static const char setting[] = "config_file=";
    const char *path =
        arena_printf(node->arena, "%s/postmaster.opts", node->clusters->target.directory);
    AUTO_BUFFER Buffer text = {0};
    const char *value;
    bool found;

    if (!file_read_all(path, OPTIONS_SIZE_MAX, &text, &found, NULL) || !found)
        return NULL;
    value = strstr(buffer_string(&text), setting);
    if (value == NULL)
        return NULL;
    value += strlen(setting);
    return arena_strndup(node->arena, value, strcspn(value, "\"\n"));
}

/* The rewind does not ask how the server was started: see Target.config_file. */
static void read_configuration(Node *node)
{
    const char *named = node->options->config_file;
    Configuration *configuration = &node->configuration;

    *configuration = (Configuration){.directory = node->clusters->target.directory,
                                     .config_file = named != NULL ? named : find_started_with(node),
                                     .arena = node->arena};
    configuration->config_file = configuration_find_file(configuration, node->readiness->version);
    node->reader = configuration_reader(configuration);
    node->settings = configuration_read(configuration, &node->reader);
}

/* Returns false, with a finding, if the target cannot be looked at. */
static bool look_at_target(Node *node)
{
    Readiness *readiness = node->readiness;
    const Target *target = &node->clusters->target;
    const Control *control = &target->control;
    Error error;

    if (!look_open(&node->look, &error) ||
        (!node->look.pending && !look_identify_target(&node->look, &error)))
    {
        readiness_add_error(readiness, "target", FINDING_PROBLEM, &error);
        return false;
    }
    readiness->target = target->directory;
    readiness->running = node->look.running;
    if (node->look.pending)
    {
        readiness_add(readiness, "target", FINDING_PROBLEM,
                      "Run the same pg_rewind command again: it no longer needs the source.",
                      "A rewind of this node is under way, or was interrupted and must be finished "
                      "first.");
        return false;
    }
    readiness->version = control->version;
    readiness->standby = control->state == STATE_SHUTDOWNED_IN_RECOVERY ||
                         control->state == STATE_IN_ARCHIVE_RECOVERY;
    readiness_add(readiness, "target", FINDING_OK, NULL, "Its state is \"%s\", its timeline %u.",
                  control_state_name(control->state), target->timeline);
    if (!encryption_check_directory(target->directory, &error))
        readiness_add_error(readiness, "encryption", FINDING_PROBLEM, &error);
    return true;
}

/* Look at the target's WAL alone, unless the look at the pair came to it. */
static void open_wal(Node *node)
{
    static const WalPlace places[] = {WAL_IN_ARCHIVE, WAL_BY_COMMAND, WAL_IN_PARTIAL,
                                      WAL_PLACES_END};
    Look *look = &node->look;
    Clusters *clusters = &look->clusters;
    const char *command = look->restore_command;
    WalStore elsewhere = wal_store_description(node->options, clusters, command, NULL, node->arena);
    Error error;

    if (look->target_wal.store == NULL && !target_wal_open(node->options, clusters, command, NULL,
                                                           node->arena, &look->target_wal, &error))
        readiness_add_error(node->readiness, "archive", FINDING_PROBLEM, &error);
    if (clusters->target_history.count == 0)
        (void) !target_history_read(node->options, look->target_wal.store, node->arena, clusters,
                                    NULL);
    elsewhere.places = places;
    node->archive = wal_store_create(&elsewhere);
}

/* Nothing that would write, and no long waiting. */
static Options bounded_options(const Options *options)
{
    Options bounded = *options;

    bounded.dry_run = true;
    bounded.wait_timeout_seconds = 0;
    if (bounded.retry_timeout_seconds > SOURCE_TIMEOUT_SECONDS ||
        bounded.retry_timeout_seconds == 0)
        bounded.retry_timeout_seconds = SOURCE_TIMEOUT_SECONDS;
    return bounded;
}

static void look_at_all(Node *node)
{
    read_configuration(node);
    node_look_at_source(node);
    node_judge(node);
    open_wal(node);
    node_look_at_settings(node);
    node_look_at_wal(node);
    node_look_at_access(node);
    node_look_at_files(node);
    node_look_at_losses(node);
    wal_store_destroy(node->archive);
}

void readiness_find(const Options *options, Readiness *readiness)
{
    const Options bounded = bounded_options(options);
    Arena *arena = arena_create();
    Node *node = arena_allocate(arena, sizeof(*node));

    *readiness = (Readiness){.arena = arena,
                             .target = options->target,
                             .source = options->source_server != NULL ? "server"
                                                                      : options->source_directory};
    node->options = &bounded;
    node->arena = arena;
    node->readiness = readiness;
    node->clusters = &node->look.clusters;
    node->look.options = &bounded;
    node->look.arena = arena;
    node->look.problems = (Problems){.take = node_take_problem, .context = node};
    log_set_amount(LOG_NOTHING);
    if (look_at_target(node))
        look_at_all(node);
    scan_destroy(node->look.divergence.scan);
    look_release(&node->look);
    log_set_amount(LOG_ALL);
}
