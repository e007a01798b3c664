#include "format/relpath.h"

#include <stdio.h>
#include <string.h>

static const char *const fork_suffixes[] = {
    [FORK_MAIN] = "", [FORK_FSM] = "_fsm", [FORK_VM] = "_vm", [FORK_INIT] = "_init"};
#define FORK_COUNT (sizeof(fork_suffixes) / sizeof(fork_suffixes[0]))

static bool take_text(const char **position, const char *text)
{
    size_t length = strlen(text);

    if (strncmp(*position, text, length) != 0)
        return false;
    *position += length;
    return true;
}

/* A decimal number from 1 to 2^32 - 1, without leading zeros, as servers print them. */
static bool take_number(const char **position, uint32_t *number)
{
    const char *digit = *position;
    uint64_t value = 0;

    if (*digit < '1' || *digit > '9')
        return false;
    for (; *digit >= '0' && *digit <= '9'; digit++)
    {
        value = value * 10 + (uint64_t) (*digit - '0');
        if (value > UINT32_MAX)
            return false;
    }
    *position = digit;
    *number = (uint32_t) value;
    return true;
}

/* [_fork][.segment], to the end of the path. */
static bool take_fork_and_segment(const char *position, uint8_t *fork, uint32_t *segment)
{
    *fork = FORK_MAIN;
    for (uint8_t i = FORK_FSM; i < FORK_COUNT && *fork == FORK_MAIN; i++)
        if (take_text(&position, fork_suffixes[i]))
            *fork = i;
    *segment = 0;
    if (take_text(&position, ".") && !take_number(&position, segment))
        return false;
    return *position == '\0';
}

void tablespace_version_directory(const Version *version, char name[TABLESPACE_VERSION_SIZE])
{
    snprintf(name, TABLESPACE_VERSION_SIZE, "PG_%d_%u", version->major, version->catalog_version);
}

/* base/D or pg_tblspc/T/PG_M_C/D, up to the end of the path or a slash. */
static bool take_database(const Version *version, const char **position, Oid *tablespace,
                          Oid *database)
{
    char version_directory[TABLESPACE_VERSION_SIZE];
    const char *here = *position;

    if (take_text(&here, "base/"))
        *tablespace = TABLESPACE_DEFAULT;
    else
    {
        tablespace_version_directory(version, version_directory);
        if (!take_text(&here, "pg_tblspc/") || !take_number(&here, tablespace) ||
            !take_text(&here, "/") || !take_text(&here, version_directory) ||
            !take_text(&here, "/"))
            return false;
    }
    if (!take_number(&here, database) || (*here != '\0' && *here != '/'))
        return false;
    *position = here;
    return true;
}

bool relpath_parse(const Version *version, const char *path, RelationFile *file)
{
    RelationId *relation = &file->relation;

    if (take_text(&path, "global/"))
    {
        relation->tablespace = TABLESPACE_GLOBAL;
        relation->database = 0;
    }
    else if (!take_database(version, &path, &relation->tablespace, &relation->database) ||
             !take_text(&path, "/"))
        return false;
    return take_number(&path, &relation->relation) &&
           take_fork_and_segment(path, &file->fork, &file->segment);
}

void relpath_make(const Version *version, const RelationFile *file, char path[RELPATH_SIZE])
{
    const RelationId *relation = &file->relation;
    const char *fork = fork_suffixes[file->fork % FORK_COUNT];
    char segment[16] = "";

    if (relation->tablespace == TABLESPACE_GLOBAL)
        snprintf(path, RELPATH_SIZE, "global");
    else
        relpath_database_make(version, relation->tablespace, relation->database, path);
    if (file->segment != 0)
        snprintf(segment, sizeof(segment), ".%u", file->segment);

    size_t length = strlen(path);
    snprintf(path + length, RELPATH_SIZE - length, "/%u%s%s", relation->relation, fork, segment);
}

bool relpath_is_temporary(const Version *version, const char *path)
{
    Oid tablespace;
    Oid database;
    uint32_t backend;
    uint32_t relation;
    uint32_t segment;
    uint8_t fork;

    if (!take_database(version, &path, &tablespace, &database) || !take_text(&path, "/t"))
        return false;
    /* Backend numbers count from 0 in 17 and later. */
    if (!take_text(&path, "0") && !take_number(&path, &backend))
        return false;
    return take_text(&path, "_") && take_number(&path, &relation) &&
           take_fork_and_segment(path, &fork, &segment);
}

bool relpath_is_tablespace(const char *path)
{
    Oid tablespace;

    return take_text(&path, "pg_tblspc/") && take_number(&path, &tablespace) && *path == '\0';
}

bool relpath_database(const Version *version, const char *path, Oid *tablespace, Oid *database)
{
    return take_database(version, &path, tablespace, database);
}

void relpath_database_make(const Version *version, Oid tablespace, Oid database,
                           char path[RELPATH_SIZE])
{
    char version_directory[TABLESPACE_VERSION_SIZE];

    if (tablespace == TABLESPACE_DEFAULT)
        snprintf(path, RELPATH_SIZE, "base/%u", database);
    else
    {
        tablespace_version_directory(version, version_directory);
        snprintf(path, RELPATH_SIZE, "pg_tblspc/%u/%s/%u", tablespace, version_directory, database);
    }
}
