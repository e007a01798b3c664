#include "format/relpath.h"

#include <stdio.h>
#include <string.h>

static const char *const fork_suffixes[] = {
    [FORK_MAIN] = "", [FORK_FSM] = "_fsm", [FORK_VM] = "_vm", [FORK_INIT] = "_init"};
#define FORK_COUNT (sizeof(fork_suffixes) / sizeof(fork_suffixes[0]))

/* Take an OID or a segment number as servers print it: from 1 on, without leading zeros. */
static bool take_number(TextCursor *path, uint32_t *number)
{
    return !text_at_end(path) && *path->position != '0' && text_take_u32(path, number);
}

/* Take [_fork][.segment], which must end the path. */
static bool take_fork_and_segment(TextCursor path, uint8_t *fork, uint32_t *segment)
{
    *fork = FORK_MAIN;
    for (uint8_t i = FORK_FSM; i < FORK_COUNT && *fork == FORK_MAIN; i++)
        if (text_take(&path, fork_suffixes[i]))
            *fork = i;
    *segment = 0;
    if (text_take(&path, ".") && !take_number(&path, segment))
        return false;
    return text_at_end(&path);
}

/* Take base/D or pg_tblspc/T/PG_M_C/D, which a slash or the path's end must follow. */
static bool take_database_path(const VersionDirectory *own, TextCursor *path, Oid *tablespace,
                               Oid *database)
{
    TextCursor here = *path;

    if (text_take(&here, "base/"))
        *tablespace = TABLESPACE_DEFAULT;
    else if (!text_take(&here, "pg_tblspc/") || !take_number(&here, tablespace) ||
             !text_take(&here, "/") || !text_take(&here, own->name) || !text_take(&here, "/"))
        return false;
    if (!take_number(&here, database) || (!text_at_end(&here) && *here.position != '/'))
        return false;
    *path = here;
    return true;
}

bool relpath_parse(const VersionDirectory *own, const char *path, RelationFile *file)
{
    RelationId *relation = &file->relation;
    TextCursor text = text_cursor(path);

    if (text_take(&text, "global/"))
    {
        relation->tablespace = TABLESPACE_GLOBAL;
        relation->database = 0;
    }
    else if (!take_database_path(own, &text, &relation->tablespace, &relation->database) ||
             !text_take(&text, "/"))
        return false;
    return take_number(&text, &relation->relation) &&
           take_fork_and_segment(text, &file->fork, &file->segment);
}

void relpath_make_database(const VersionDirectory *own, Oid tablespace, Oid database,
                           char path[RELPATH_SIZE])
{
    if (tablespace == TABLESPACE_GLOBAL)
        snprintf(path, RELPATH_SIZE, "global");
    else if (tablespace == TABLESPACE_DEFAULT)
        snprintf(path, RELPATH_SIZE, "base/%u", database);
    else
        snprintf(path, RELPATH_SIZE, "pg_tblspc/%u/%s/%u", tablespace, own->name, database);
}

void relpath_make(const VersionDirectory *own, const RelationFile *file, char path[RELPATH_SIZE])
{
    const RelationId *relation = &file->relation;
    char segment[16] = "";
    size_t length;

    if (file->segment != 0)
        snprintf(segment, sizeof(segment), ".%u", file->segment);
    relpath_make_database(own, relation->tablespace, relation->database, path);
    length = strlen(path);
    snprintf(path + length, RELPATH_SIZE - length, "/%u%s%s", relation->relation,
             fork_suffixes[file->fork % FORK_COUNT], segment);
}

bool relpath_is_temporary(const VersionDirectory *own, const char *path)
{
    Oid tablespace, database;
    uint32_t backend, relation, segment;
    uint8_t fork;
    TextCursor text = text_cursor(path);

    if (!take_database_path(own, &text, &tablespace, &database) || !text_take(&text, "/t"))
        return false;
    /* Backend numbers count from 0 in 17 and later. */
    if (!text_take(&text, "0") && !take_number(&text, &backend))
        return false;
    return text_take(&text, "_") && take_number(&text, &relation) &&
           take_fork_and_segment(text, &fork, &segment);
}

bool relpath_is_tablespace(const char *path)
{
    TextCursor text = text_cursor(path);
    Oid tablespace;

    return text_take(&text, "pg_tblspc/") && take_number(&text, &tablespace) && text_at_end(&text);
}

bool relpath_is_listed(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *name = relpath_below(path, "pg_tblspc");

    if (strcmp(slash != NULL ? slash + 1 : path, "lost+found") == 0)
        return false;
    name = name != NULL ? strchr(name, '/') : NULL;
    return name == NULL || strncmp(name + 1, "PG_", strlen("PG_")) == 0;
}

const char *relpath_below(const char *path, const char *directory)
{
    const size_t length = strlen(directory);

    return strncmp(path, directory, length) == 0 && path[length] == '/' ? path + length + 1 : NULL;
}

const char *relpath_name_in(const char *path, const char *directory)
{
    const char *name = relpath_below(path, directory);

    return name != NULL && strchr(name, '/') == NULL ? name : NULL;
}
