/*
 * pg_hba.conf of the target: after a failover it is the source of others, which must get in for a
 * rewind and for replication. Addresses are not compared: by whom it will be asked is not known.
 */
#include "check/readiness.h"

#include <string.h>

typedef enum Match
{
    MATCH_NO,
    MATCH_MAYBE, /* a group, a regular expression, a file */
    MATCH_YES
} Match;

typedef struct HbaToken
{
    const char *text; /* with its first quote, so that a quoted word is no keyword */
    size_t length;
} HbaToken;

/* The best that lines of the file allow. */
typedef struct HbaLook
{
    const char *role; /* NULL: any will do */
    const char *database;
    Match rewind, replication;
    int rewind_line, replication_line;
    bool includes; /* other files, which are not read */
} HbaLook;

/* Take the next token of a line; false at its end. *list: another one of the same list follows. */
static bool take_token(const char **at, const char *end, HbaToken *token, bool *list)
{
    while (*at < end && strchr(" \t\r", **at) != NULL)
        (*at)++;
    if (*at == end || **at == '#')
        return false;
    token->text = *at;
    if (**at == '"')
        for ((*at)++; *at < end && **at != '"';)
            (*at)++;
    else
        while (*at < end && strchr(" \t\r,#\"", **at) == NULL)
            (*at)++;
    token->length = (size_t) (*at - token->text);
    if (*at < end && *token->text == '"')
        (*at)++;
    *list = *at < end && **at == ',';
    if (*list)
        (*at)++;
    return true;
}

static bool is_keyword(const HbaToken *token, const char *keyword)
{
    return strlen(keyword) == token->length && strncmp(token->text, keyword, token->length) == 0;
}

static Match better(Match a, Match b)
{
    return a > b ? a : b;
}

/* The name is as quote_ident gives it: in quotes where SQL needs them. */
static Match match_name(const HbaToken *token, const char *name)
{
    const size_t quoted = token->length > 0 && token->text[0] == '"';
    size_t length;

    if (token->length > 0 && strchr("+@/", token->text[0]) != NULL)
        return MATCH_MAYBE;
    if (name == NULL || is_keyword(token, "all"))
        return MATCH_YES;
    length = strlen(name);
    if (name[0] == '"')
    {
        name++;
        length -= 2;
    }
    return token->length - quoted == length && strncmp(token->text + quoted, name, length) == 0
               ? MATCH_YES
               : MATCH_NO;
}

/* A list of databases, then one of roles: does it let the role in? */
static bool match_line(const char *at, const char *end, const HbaLook *look, Match *rewind,
                       Match *replication)
{
    Match role = MATCH_NO;
    HbaToken token;
    bool list = true;

    *rewind = *replication = MATCH_NO;
    while (list)
    {
        if (!take_token(&at, end, &token, &list))
            return false;
        if (is_keyword(&token, "replication"))
            *replication = MATCH_YES;
        else if (is_keyword(&token, "sameuser") || is_keyword(&token, "samerole"))
            *rewind = better(*rewind, MATCH_MAYBE);
        else
            *rewind = better(*rewind, match_name(&token, look->database));
    }
    for (list = true; list;)
    {
        if (!take_token(&at, end, &token, &list))
            return false;
        role = better(role, match_name(&token, look->role));
    }
    while (take_token(&at, end, &token, &list))
        if (is_keyword(&token, "reject"))
            return false;
    if (role < *rewind)
        *rewind = role;
    if (role < *replication)
        *replication = role;
    return true;
}

static void read_line(HbaLook *look, const char *at, const char *end, int number)
{
    Match rewind, replication;
    HbaToken type;
    bool list;

    if (!take_token(&at, end, &type, &list))
        return;
    look->includes = look->includes || (type.length >= strlen("include") &&
                                        strncmp(type.text, "include", strlen("include")) == 0);
    if (!(is_keyword(&type, "local") || (type.length >= 4 && strncmp(type.text, "host", 4) == 0)) ||
        !match_line(at, end, look, &rewind, &replication))
        return;
    if (rewind > look->rewind)
    {
        look->rewind = rewind;
        look->rewind_line = number;
    }
    if (replication > look->replication)
    {
        look->replication = replication;
        look->replication_line = number;
    }
}

static void read_lines(HbaLook *look, const char *text)
{
    int number = 1;

    for (; *text != '\0'; number++)
    {
        const size_t length = strcspn(text, "\n");

        read_line(look, text, text + length, number);
        text += length;
        text += *text == '\n';
    }
}

static const char *match_text(const Node *node, Match match, int line)
{
    return match == MATCH_YES ? arena_printf(node->arena, "yes, by line %d", line)
           : match == MATCH_MAYBE
               ? arena_printf(node->arena, "perhaps, by line %d (a group, pattern or file)", line)
               : "no";
}

static void add_finding(Node *node, const HbaLook *look, const char *path)
{
    const char *role =
        look->role != NULL ? arena_printf(node->arena, "role %s", look->role) : "a role";
    const char *placed = look->role != NULL ? look->role : "ROLE";
    const char *method = node->version->remedies.password_method;
    const bool good = look->rewind != MATCH_NO && look->replication != MATCH_NO;
    AUTO_BUFFER Buffer remedy = {0};

    if (look->rewind == MATCH_NO)
        buffer_printf(&remedy, "hostssl  %s  %s  ADDRESS/32  %s\n",
                      look->database != NULL ? look->database : "DATABASE", placed, method);
    if (look->replication == MATCH_NO)
        buffer_printf(&remedy, "hostssl  replication  %s  ADDRESS/32  %s\n", placed, method);
    if (!good)
        buffer_printf(&remedy, "in \"%s\", then SELECT pg_catalog.pg_reload_conf();", path);
    node_add(node, "pg_hba",
             good             ? FINDING_OK
             : look->includes ? FINDING_UNKNOWN
                              : FINDING_WARNING,
             buffer_string(&remedy),
             "When this node is the primary, its pg_hba.conf lets %s in for a rewind: %s; for "
             "replication: %s. (Addresses and passwords are not looked at.)%s",
             role, match_text(node, look->rewind, look->rewind_line),
             match_text(node, look->replication, look->replication_line),
             look->includes ? " It includes other files, which were not read." : "");
}

void node_look_at_access(Node *node)
{
    const char *path = settings_value(&node->settings, "hba_file");
    HbaLook look = {.role = node->login, .database = node->database};
    AUTO_BUFFER Buffer content = {0};
    bool found;

    if (path == NULL)
        path = "pg_hba.conf";
    if (node->reader.read(node->reader.context, path, &content, &found) && found)
    {
        read_lines(&look, buffer_string(&content));
        add_finding(node, &look, path);
    }
    else
        node_add(node, "pg_hba", FINDING_UNKNOWN, NULL, "\"%s\" could not be read.", path);
}
