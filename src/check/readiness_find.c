#include "check/node.h"

#include "apply/apply.h"
#include "source/encryption.h"
#include "format/history.h"
#include "io/file.h"
#include "wal_store/target_wal.h"

#include <stdlib.h>
#include <string.h>

#define HISTORY_SIZE_MAX (16 * 1024 * 1024)
#define OPTIONS_SIZE_MAX (64 * 1024)
#define SOURCE_TIMEOUT_SECONDS 10 /* monitoring waits for us */

static bool read_history(Node *node)
{
    const Target *target = &node->clusters.target;
    char name[HISTORY_NAME_SIZE];
    Buffer text = {0};
    bool found, result;

    history_file_name(target->timeline, name);
    result = target->timeline == 1 ||
             (file_read_all(arena_printf(node->arena, "%s/%s/%s", target->directory,
                                         target->control.version->wal_directory, name),
                            HISTORY_SIZE_MAX, &text, &found, NULL) &&
              found);
    result = result && history_parse(node->arena, target->timeline, (const char *) text.bytes,
                                     text.size, &node->clusters.target_history, NULL);
    buffer_free(&text);
    return result;
}

/* Where the server was told its configuration is, when it was started last: in postmaster.opts. */
static const char *find_started_with(const Node *node)
{
    static const char setting[] = "config_file=";
    const char *path =
        arena_printf(node->arena, "%s/postmaster.opts", node->clusters.target.directory);
    const char *value, *result = NULL;
    Buffer text = {0};
    bool found;

    if (file_read_all(path, OPTIONS_SIZE_MAX, &text, &found, NULL) && found)
    {
        value = strstr(buffer_string(&text), setting);
        if (value != NULL)
        {
            value += strlen(setting);
            result = arena_strndup(node->arena, value, strcspn(value, "\"\n"));
        }
    }
    buffer_free(&text);
    return result;
}

static void read_configuration(Node *node)
{
    const char *named = node->options->config_file;
    Configuration *configuration = &node->configuration;

    *configuration =
        (Configuration){.directory = node->clusters.target.directory, .arena = node->arena};
    configuration->config_file = named;
    /* The rewind does not ask how the server was started. */
    node->config_file_of_rewind = configuration_find_file(configuration, node->readiness->version);
    configuration->config_file = named != NULL ? named : find_started_with(node);
    configuration->config_file = configuration_find_file(configuration, node->readiness->version);
    node->reader = configuration_reader(configuration);
    node->settings = configuration_read(configuration, &node->reader);
}

static void find_command_to_ask(Node *node)
{
    const Options *options = node->options;
    char *command = NULL;
    Error error;

    if (options->restore_command != NULL)
        node->restore_command = options->restore_command;
    else if (options->restore_target_wal &&
             !target_restore_command(node->arena, &node->clusters.target, options->bindir,
                                     node->config_file_of_rewind, &command, &error))
    {
        node->archive_is_told = true;
        readiness_add_error(node->readiness, "archive", FINDING_PROBLEM, &error);
    }
    else
        node->restore_command = command;
}

/* What the target is. False: it is none that can be looked at, and a finding says so. */
static bool look_at_target(Node *node)
{
    Readiness *readiness = node->readiness;
    Target *target = &node->clusters.target;
    const Control *control = &target->control;
    Error error;
    long pid;

    if (!target_open(node->arena, node->options->target, target, &error) ||
        !target_read(target, &error) ||
        !target_server_running(target, &readiness->running, &pid, &error))
    {
        readiness_add_error(readiness, "target", FINDING_PROBLEM, &error);
        return false;
    }
    readiness->target = target->directory;
    if (!readiness->running && apply_may_be_pending(target->directory))
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
    node->clusters.shape = control_wal_shape(control);
    node->history_known = read_history(node);
    readiness_add(readiness, "target", FINDING_OK, NULL, "Its state is \"%s\", its timeline %u.",
                  control_state_name(control->state), target->timeline);
    if (!encryption_check_directory(target->directory, &error))
        readiness_add_error(readiness, "encryption", FINDING_PROBLEM, &error);
    return true;
}

/* Nothing that would write, and no long waiting. The archive is asked by node_archive.c alone. */
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
    find_command_to_ask(node);
    target_wal_open_own(node->options, &node->clusters, node->arena, &node->own_wal);
    node_look_at_source(node);
    node_judge(node);
    node_look_at_settings(node);
    node_look_at_wal(node);
    node_judge_again(node);
    node_look_at_access(node);
    node_look_at_files(node);
    node_look_at_losses(node);
    target_wal_close(&node->own_wal);
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
    if (look_at_target(node))
        look_at_all(node);
}
