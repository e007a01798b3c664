#include "check/readiness.h"

#include "base/json.h"
#include "base/text_lines.h"

#include <string.h>

#define CHECK_VERSION 1
#define STATE_COLUMN 9
#define NAME_COLUMN 24
#define WIDTH 100

static const char *const state_names[] = {[ADVICE_PROBLEM] = "problem",
                                          [ADVICE_WARNING] = "warning",
                                          [ADVICE_UNKNOWN] = "unknown",
                                          [ADVICE_OK] = "ok"};

static const char *const verdict_names[] = {[VERDICT_NONE] = NULL,
                                            [VERDICT_NEEDED] = "needed",
                                            [VERDICT_NOT_NEEDED] = "not needed",
                                            [VERDICT_NOT_POSSIBLE] = "not possible",
                                            [VERDICT_UNKNOWN] = "unknown"};

void node_add_error(Node *node, const char *name, AdviceSeverity severity, const Error *error)
{
    advice_add_error(&node->findings, (Advice){.id = name, .severity = severity}, error);
}

void node_leave_out(Node *node, const char *name, const char *why)
{
    advice_add(&node->not_looked_at, (Advice){.id = name, .severity = ADVICE_UNKNOWN}, "%s", why);
}

/* True if no finding is a problem and the verdict is not VERDICT_NOT_POSSIBLE. */
static bool node_is_ready(const Node *node)
{
    for (size_t i = 0; i < node->findings.count; i++)
        if (node->findings.items[i].severity == ADVICE_PROBLEM)
            return false;
    return node->verdict.state != VERDICT_NOT_POSSIBLE;
}

int node_exit_status(const Node *node)
{
    bool certain = node->verdict.state != VERDICT_UNKNOWN;

    if (!node->options->monitor)
        return node_is_ready(node) ? 0 : 1;
    if (node->refused)
        return NODE_MONITOR_NOT_CHECKED;
    if (!node_is_ready(node))
        return NODE_MONITOR_NOT_READY;
    for (size_t i = 0; i < node->findings.count; i++)
        certain = certain && node->findings.items[i].severity == ADVICE_OK;
    return certain ? 0 : NODE_MONITOR_WARNING;
}

/* ---- Text ---- */

/* The hint is to be pasted, so its lines stay whole. */
static void append_hint(Buffer *text, const char *hint, int column)
{
    if (hint == NULL || hint[0] == '\0')
        return;
    buffer_printf(text, "%*sto do: ", column, "");
    text_append_lines(text, hint, column + (int) strlen("to do: "), 0);
}

static void append_indented(Buffer *text, const char *sentences, int first_column, int column)
{
    if (sentences[0] == '\0')
        return;
    buffer_printf(text, "%*s", first_column, "");
    text_append_lines(text, sentences, column, (size_t) (WIDTH - column));
}

static void append_verdict(Buffer *text, const Node *node)
{
    const Verdict *verdict = &node->verdict;

    if (verdict->state == VERDICT_NONE)
        return;
    if (verdict->state == VERDICT_UNKNOWN)
        buffer_append_string(text, "\nWhether a rewind is needed is not known.\n");
    else
        buffer_printf(text, "\nA rewind is %s%s.\n", verdict_names[verdict->state],
                      verdict->state == VERDICT_NOT_POSSIBLE ? " with these options" : "");
    append_indented(text, verdict->text, 2, 2);
    for (size_t i = 0; i < verdict->reasons.count; i++)
    {
        const Error *reason = verdict->reasons.items[i].error;

        append_indented(text, reason->message, 2, 4);
        append_indented(text, reason->detail, 4, 4);
        append_hint(text, reason->hint, 4);
    }
    if (verdict->dry_run_adds != NULL)
        append_indented(
            text, arena_printf(node->arena, "--dry-run would also tell %s", verdict->dry_run_adds),
            2, 2);
}

/* Without --verbose: how many checks passed, and the names of what was not looked at. */
static void append_rest(Buffer *text, const Node *node)
{
    AUTO_BUFFER Buffer rest = {0};
    TextList names = {&rest, ", ", SIZE_MAX, 0};
    size_t passed = 0;

    for (size_t i = 0; i < node->findings.count; i++)
        passed += node->findings.items[i].severity == ADVICE_OK;
    buffer_printf(&rest, "%zu check%s passed", passed, passed == 1 ? "" : "s");
    if (node->not_looked_at.count > 0)
        buffer_append_string(&rest, "; not looked at: ");
    for (size_t i = 0; i < node->not_looked_at.count; i++)
        text_list_add(&names, "%s", node->not_looked_at.items[i].id);
    buffer_append_string(&rest, " (--verbose shows all)");
    if (passed < node->findings.count)
        buffer_append_u8(text, '\n');
    append_indented(text, buffer_string(&rest), 0, 2);
}

void node_print_text(const Node *node, bool verbose, FILE *stream)
{
    const AdviceSeverity last = verbose ? ADVICE_OK : ADVICE_UNKNOWN;
    AUTO_BUFFER Buffer text = {0};
    char server[CONTROL_SERVER_SIZE];

    if (node->target != NULL)
        buffer_shown(&text, SHOWN_ONE_LINE, "\"%s\"", node->target);
    else
        buffer_append_string(&text, "no directory");
    if (node->version != NULL)
        buffer_printf(&text, ", a %s %s of %s", node->look.session.running ? "running" : "stopped",
                      target_was_standby(&node->clusters->target) ? "standby" : "primary",
                      control_server(&node->clusters->target.control, server));
    buffer_printf(&text, ": %s for a rewind\n", node_is_ready(node) ? "ready" : "not ready");
    append_verdict(&text, node);
    buffer_append_u8(&text, '\n');
    for (AdviceSeverity state = ADVICE_PROBLEM; state <= last; state++)
        for (size_t i = 0; i < node->findings.count; i++)
        {
            const Advice *finding = &node->findings.items[i];

            if (finding->severity != state)
                continue;
            buffer_printf(&text, "%-*s%-*s", STATE_COLUMN, state_names[state], NAME_COLUMN,
                          finding->id);
            append_indented(&text, finding->text, 0, STATE_COLUMN + NAME_COLUMN);
            append_hint(&text, finding->remedy, STATE_COLUMN + NAME_COLUMN);
        }
    if (!verbose)
        append_rest(&text, node);
    else if (node->not_looked_at.count > 0)
        buffer_append_string(&text, "\nNot looked at:\n");
    for (size_t i = 0; verbose && i < node->not_looked_at.count; i++)
        buffer_printf(&text, "  %s: %s\n", node->not_looked_at.items[i].id,
                      node->not_looked_at.items[i].text);
    shown_clean((char *) buffer_string(&text), SHOWN_OWN_LINES);
    fwrite(text.bytes, 1, text.size, stream);
}

/* ---- JSON ---- */

void node_print_json(const Node *node, FILE *stream)
{
    const bool known = node->version != NULL;
    const Verdict *verdict = &node->verdict;
    const AdviceList *findings = &node->findings, *left_out = &node->not_looked_at;
    AUTO_BUFFER Buffer text = {0};
    Json json = {.text = &text};

    json_open(&json, '{');
    json_number(&json, "check_version", CHECK_VERSION);
    json_bool(&json, "ready", node_is_ready(node));
    json_number(&json, "exit_status", node_exit_status(node));
    json_string(&json, "target", node->target);
    json_string(&json, "source", node->source);
    json_decimal(&json, "server_version", known ? node->version->name : NULL);
    json_known_number(&json, "fork_catalog_version",
                      control_is_of_fork(&node->clusters->target.control),
                      node->clusters->target.control.catalog_version);
    json_string(&json, "server",
                !known                       ? NULL
                : node->look.session.running ? "running"
                                             : "stopped");
    json_string(&json, "role",
                !known                                        ? NULL
                : target_was_standby(&node->clusters->target) ? "standby"
                                                              : "primary");
    if (json_section(&json, "verdict", '{', verdict->state != VERDICT_NONE))
    {
        json_string(&json, "state", verdict_names[verdict->state]);
        json_string(&json, "text", verdict->text);
        json_string(&json, "dry_run_adds", verdict->dry_run_adds);
        for (size_t i = 0; json_each(&json, "errors", true, i, verdict->reasons.count); i++)
            json_error(&json, verdict->reasons.items[i].error);
        json_close(&json, '}');
    }
    for (size_t i = 0; json_each(&json, "findings", true, i, findings->count); i++)
    {
        json_string(&json, "name", findings->items[i].id);
        json_string(&json, "state", state_names[findings->items[i].severity]);
        json_string(&json, "text", findings->items[i].text);
        json_string(&json, "remedy", findings->items[i].remedy);
    }
    for (size_t i = 0; json_each(&json, "not_looked_at", true, i, left_out->count); i++)
    {
        json_string(&json, "name", left_out->items[i].id);
        json_string(&json, "why", left_out->items[i].text);
    }
    json_close(&json, '}');
    buffer_append_u8(&text, '\n');
    fwrite(text.bytes, 1, text.size, stream);
}
