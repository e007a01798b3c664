#include "check/readiness.h"

#include "report/json.h"

#include <string.h>

#define CHECK_VERSION 1
#define STATE_COLUMN 9
#define NAME_COLUMN 24
#define WIDTH 100

static const char *const state_names[] = {[FINDING_PROBLEM] = "problem",
                                          [FINDING_WARNING] = "warning",
                                          [FINDING_UNKNOWN] = "unknown",
                                          [FINDING_OK] = "ok"};

static const char *const verdict_names[] = {[VERDICT_NONE] = NULL,
                                            [VERDICT_NEEDED] = "needed",
                                            [VERDICT_NOT_NEEDED] = "not needed",
                                            [VERDICT_NOT_POSSIBLE] = "not possible",
                                            [VERDICT_UNKNOWN] = "unknown"};

static const char *describe_server(const Readiness *readiness)
{
    if (readiness->standby)
        return readiness->running ? "a running standby" : "a stopped standby";
    return readiness->running ? "a running primary" : "a stopped primary";
}

/* ---- Text ---- */

/* Bytes of a line of `whole` bytes that fit into the room: words, at least one. */
static size_t fitting_length(const char *line, size_t whole, size_t room)
{
    size_t length = strcspn(line, " \n");

    while (length < whole)
    {
        const size_t next = length + 1 + strcspn(line + length + 1, " \n");

        if (next > room && length > 0)
            break;
        length = next;
    }
    return length;
}

/* One line of at least a word, at most `room` bytes where that is possible; returns the rest. */
static const char *print_part(FILE *stream, const char *text, size_t room)
{
    const size_t length = fitting_length(text, strcspn(text, "\n"), room);

    /* Names of files may hold what a terminal takes for commands. */
    for (size_t i = 0; i < length; i++)
        fputc((unsigned char) text[i] < 0x20 || text[i] == 0x7F ? '?' : text[i], stream);
    fputc('\n', stream);
    return text[length] == '\0' ? text + length : text + length + 1;
}

/* A text in its column. What is to be pasted keeps its lines. */
static void print_lines(FILE *stream, const char *text, int column, bool wrapped)
{
    const size_t room = wrapped ? (size_t) (WIDTH - column) : strlen(text);

    for (text = print_part(stream, text, room); *text != '\0';
         text = print_part(stream, text, room))
        fprintf(stream, "%*s", column, "");
}

static void print_finding(FILE *stream, const Finding *finding)
{
    const int column = STATE_COLUMN + NAME_COLUMN;

    fprintf(stream, "%-*s%-*s", STATE_COLUMN, state_names[finding->state], NAME_COLUMN,
            finding->name);
    print_lines(stream, finding->text, column, true);
    if (finding->remedy == NULL)
        return;
    fprintf(stream, "%*sto do: ", column, "");
    print_lines(stream, finding->remedy, column + (int) strlen("to do: "), false);
}

static void print_reason(FILE *stream, const VerdictReason *reason)
{
    fprintf(stream, "  ");
    print_lines(stream, reason->message, 4, true);
    if (reason->detail != NULL)
    {
        fprintf(stream, "    ");
        print_lines(stream, reason->detail, 4, true);
    }
    if (reason->hint != NULL)
    {
        fprintf(stream, "    to do: ");
        print_lines(stream, reason->hint, 11, false);
    }
}

static void print_verdict(FILE *stream, const Readiness *readiness)
{
    const Verdict *verdict = &readiness->verdict;

    if (verdict->state == VERDICT_NONE)
        return;
    if (verdict->state == VERDICT_UNKNOWN)
        fprintf(stream, "\nWhether a rewind is needed is not known.\n  ");
    else
        fprintf(stream, "\nA rewind is %s.\n  ", verdict_names[verdict->state]);
    print_lines(stream, verdict->text, 2, true);
    for (size_t i = 0; i < verdict->reason_count; i++)
        print_reason(stream, &verdict->reasons[i]);
    if (verdict->dry_run_adds == NULL)
        return;
    fprintf(stream, "  ");
    print_lines(
        stream,
        arena_printf(readiness->arena, "--dry-run would also tell %s", verdict->dry_run_adds), 2,
        true);
}

void readiness_print_text(const Readiness *readiness, FILE *stream)
{
    fprintf(stream, "\"%s\"", readiness->target);
    if (readiness->version != NULL)
        fprintf(stream, ", %s of PostgreSQL %s", describe_server(readiness),
                readiness->version->name);
    fprintf(stream, ": %s for a rewind\n", readiness_is_ready(readiness) ? "ready" : "not ready");
    print_verdict(stream, readiness);
    fprintf(stream, "\n");
    for (FindingState state = FINDING_PROBLEM; state <= FINDING_OK; state++)
        for (size_t i = 0; i < readiness->finding_count; i++)
            if (readiness->findings[i].state == state)
                print_finding(stream, &readiness->findings[i]);
    if (readiness->not_looked_at_count > 0)
        fprintf(stream, "\nNot looked at:\n");
    for (size_t i = 0; i < readiness->not_looked_at_count; i++)
        fprintf(stream, "  %s: %s\n", readiness->not_looked_at[i].name,
                readiness->not_looked_at[i].text);
}

/* ---- JSON ---- */

static void write_verdict(Json *json, const Verdict *verdict)
{
    if (verdict->state == VERDICT_NONE)
    {
        json_null(json, "verdict");
        return;
    }
    json_key(json, "verdict");
    json_open(json, '{');
    json_string(json, "state", verdict_names[verdict->state]);
    json_string(json, "text", verdict->text);
    json_string(json, "dry_run_adds", verdict->dry_run_adds);
    json_key(json, "errors");
    json_open(json, '[');
    for (size_t i = 0; i < verdict->reason_count; i++)
    {
        json_next_line(json);
        json_open(json, '{');
        json_string(json, "message", verdict->reasons[i].message);
        json_string(json, "detail", verdict->reasons[i].detail);
        json_string(json, "hint", verdict->reasons[i].hint);
        json_string(json, "remedy", verdict->reasons[i].remedy);
        json_close(json, '}');
    }
    json_close(json, ']');
    json_close(json, '}');
}

static void write_findings(Json *json, const Readiness *readiness)
{
    json_key(json, "findings");
    json_open(json, '[');
    for (size_t i = 0; i < readiness->finding_count; i++)
    {
        const Finding *finding = &readiness->findings[i];

        json_next_line(json);
        json_open(json, '{');
        json_string(json, "name", finding->name);
        json_string(json, "state", state_names[finding->state]);
        json_string(json, "text", finding->text);
        json_string(json, "remedy", finding->remedy);
        json_close(json, '}');
    }
    json_close(json, ']');
    json_key(json, "not_looked_at");
    json_open(json, '[');
    for (size_t i = 0; i < readiness->not_looked_at_count; i++)
    {
        json_next_line(json);
        json_open(json, '{');
        json_string(json, "name", readiness->not_looked_at[i].name);
        json_string(json, "why", readiness->not_looked_at[i].text);
        json_close(json, '}');
    }
    json_close(json, ']');
}

void readiness_print_json(const Readiness *readiness, FILE *stream)
{
    const bool known = readiness->version != NULL;
    Buffer text = {0};
    Json json = {.text = &text, .first = true};

    json_open(&json, '{');
    json_number(&json, "check_version", CHECK_VERSION);
    json_bool(&json, "ready", readiness_is_ready(readiness));
    json_number(&json, "exit_status", readiness_is_ready(readiness) ? 0 : 1);
    json_string(&json, "target", readiness->target);
    json_string(&json, "source", readiness->source);
    if (known)
        json_decimal(&json, "server_version", readiness->version->name);
    else
        json_null(&json, "server_version");
    json_string(&json, "server", !known ? NULL : readiness->running ? "running" : "stopped");
    json_string(&json, "role", !known ? NULL : readiness->standby ? "standby" : "primary");
    write_verdict(&json, &readiness->verdict);
    write_findings(&json, readiness);
    json_close(&json, '}');
    fwrite(text.bytes, 1, text.size, stream);
    fputc('\n', stream);
    buffer_free(&text);
}
