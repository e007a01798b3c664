/*
 * The files of a server, one level of the tree after the other.
 *
 * A query asks for the content of many directories, and gives its rows as it finds them: the server
 * keeps no more than the names of one directory. A recursive query would hold every row of a level,
 * and a function in FROM makes a set of rows for each file.
 */
#include "source/server.h"

#include "base/buffer.h"
#include "base/text_cursor.h"
#include "base/utf8.h"
#include "format/relpath.h"

#include <assert.h>
#include <string.h>

#define DEPTH_MAX 32 /* fewer than the 40 links that Linux follows in one path */
#define NAMES_PER_QUERY 1000

/*
 * pg_stat_file follows links, so a linked directory is walked into; what dangles or has vanished
 * has no size. It is asked once for each path: OFFSET 0 keeps the planner from putting it in the
 * place of each column.
 *
 * $1: directories, each followed by a slash; the data directory's own name is empty.
 */
static const char list_sql[] =
    "SELECT path, (status).size, (status).isdir,\n"
    "  CASE WHEN directory = 'pg_tblspc/' THEN\n"
    "    (SELECT pg_catalog.pg_tablespace_location(space.oid) FROM pg_catalog.pg_tablespace\n"
    "     AS space WHERE directory || space.oid::pg_catalog.text = path) END\n"
    "FROM (\n"
    "  SELECT directory, path, pg_catalog.pg_stat_file(path, true) AS status\n"
    "  FROM (\n"
    "    SELECT directory, directory || pg_catalog.pg_ls_dir('./' || directory, true, false) AS "
    "path\n"
    "    FROM pg_catalog.unnest($1::pg_catalog.text[]) AS directory\n"
    "  ) AS paths OFFSET 0\n"
    ") AS files";

/* The same in two steps, for servers that fail for a file that has vanished: see ask_for_each. */
static const char names_sql[] = "SELECT directory || pg_catalog.pg_ls_dir('./' || directory)\n"
                                "FROM pg_catalog.unnest($1::pg_catalog.text[]) AS directory";

static const char status_sql[] =
    "SELECT path, (status).size, (status).isdir,\n"
    "  CASE WHEN path ~ '^pg_tblspc/[0-9]+$' THEN\n"
    "    (SELECT pg_catalog.pg_tablespace_location(space.oid) FROM pg_catalog.pg_tablespace\n"
    "     AS space WHERE 'pg_tblspc/' || space.oid::pg_catalog.text = path) END\n"
    "FROM (\n"
    "  SELECT path, pg_catalog.pg_stat_file(path) AS status\n"
    "  FROM pg_catalog.unnest($1::pg_catalog.text[]) AS path OFFSET 0\n"
    ") AS files";

/*
 * The list is kept until it is complete, so that it can be begun again when the connection is lost.
 * Each entry: type, size, path with its NUL, link target with its NUL (empty: none).
 */
typedef struct FileList
{
    Buffer entries;
    bool in_steps; /* the server fails for what has vanished */
    int depth;     /* of what is asked for now, 1 in the data directory itself */
    bool is_utf8;  /* a server with this encoding takes no path that is invalid in it */
} FileList;

/* The entry at *position, which moves past it. Strings point into the list. */
static SourceFile next_listed_file(const FileList *list, size_t *position)
{
    Cursor cursor = cursor_over(list->entries.bytes, list->entries.size);
    SourceFile file;
    const char *location;

    cursor_seek(&cursor, *position);
    file = (SourceFile){.type = (FileType) cursor_u8(&cursor)};
    file.size = cursor_u64(&cursor);
    file.path = (const char *) list->entries.bytes + cursor.position;
    cursor_skip(&cursor, strlen(file.path) + 1);
    location = (const char *) list->entries.bytes + cursor.position;
    cursor_skip(&cursor, strlen(location) + 1);
    assert(!cursor.failed);
    file.link_target = location[0] != '\0' ? location : NULL;
    file.unreadable = list->is_utf8 && !utf8_is_valid(file.path);
    *position = cursor.position;
    return file;
}

/* ---- The server's answers ---- */

/* An int8 that is not negative. */
static bool parse_size(const char *text, uint64_t *size)
{
    TextCursor digits = text_cursor(text != NULL ? text : "");

    return text_take_u64(&digits, size) && text_at_end(&digits) && *size <= INT64_MAX;
}

static int depth_of(const char *path)
{
    int depth = 1;

    while ((path = strchr(path, '/')) != NULL)
    {
        path++;
        depth++;
    }
    return depth;
}

static void append_entry(FileList *list, FileType type, uint64_t size, const char *path,
                         const char *location)
{
    buffer_append_u8(&list->entries, (uint8_t) type);
    buffer_append_u64(&list->entries, size);
    buffer_append(&list->entries, path, strlen(path) + 1);
    buffer_append(&list->entries, location, strlen(location) + 1);
}

static bool list_row(void *context, const ConnectionValue *columns, Error *error)
{
    FileList *list = context;
    const char *path = columns[0].bytes;
    const char *location = columns[3].bytes;
    uint64_t size;
    FileType type;

    if (path != NULL && columns[1].bytes == NULL && columns[2].bytes == NULL)
        return true; /* vanished */
    if (path == NULL || columns[2].bytes == NULL || !parse_size(columns[1].bytes, &size) ||
        (location != NULL && !relpath_is_tablespace(path)))
        return error_set(error, ERROR_FAILED, "unexpected result set while fetching file list");
    type = columns[2].bytes[0] == 't' ? FILE_DIRECTORY : FILE_REGULAR;
    /* Each level is one deeper: so a source that repeats itself comes to an end. */
    if (type == FILE_DIRECTORY && depth_of(path) != list->depth)
        return error_set(error, ERROR_FAILED, "unexpected result set while fetching file list");
    if (type == FILE_DIRECTORY && list->depth >= DEPTH_MAX)
    {
        error_set(error, ERROR_FAILED, "directory \"%s\" in source is nested too deep", path);
        return error_detail(error, "A symbolic link may point to a directory above it.");
    }
    if (location == NULL || location[0] != '/')
        location = ""; /* none, or a tablespace that is a directory in place */
    else
        type = FILE_LINK;

    append_entry(list, type, type == FILE_REGULAR ? size : 0, path, location);
    return true;
}

/* ---- Our questions ---- */

/* Append the directories between position and end, each with a slash and a NUL. */
static void take_directories(const FileList *list, size_t position, size_t end, Buffer *names)
{
    while (position < end)
    {
        const SourceFile file = next_listed_file(list, &position);

        if (file.type == FILE_REGULAR || file.unreadable)
            continue;
        buffer_append_string(names, file.path);
        buffer_append(names, "/", 2);
    }
}

/* Take at most `most` names from *position on, as an array literal. How many there were. */
static size_t take_names(const Buffer *names, size_t *position, size_t most, Buffer *literal)
{
    size_t count = 0;

    buffer_clear(literal);
    for (; count < most && *position < names->size; count++)
    {
        const char *name = (const char *) names->bytes + *position;

        array_append(literal, name);
        *position += strlen(name) + 1;
    }
    return count;
}

/* A ConnectionRow: one more name. */
static bool name_row(void *context, const ConnectionValue *columns, Error *error)
{
    if (columns[0].bytes == NULL)
        return error_set(error, ERROR_FAILED, "unexpected result set while fetching file list");
    buffer_append(context, columns[0].bytes, strlen(columns[0].bytes) + 1);
    return true;
}

/*
 * Run a query that takes an array of names, for all names, a few at once. rows: where `row` appends
 * to. If the query fails because one of the names does not exist, its rows are dropped and it is
 * run for half the number of names; a single name that does not exist is passed over.
 */
static bool ask_for_each(Connection *connection, Query query, const Buffer *names,
                         ConnectionRow row, void *context, Buffer *rows, Error *error)
{
    size_t position = 0, most = NAMES_PER_QUERY;
    AUTO_BUFFER Buffer literal = {0};

    while (position < names->size)
    {
        const size_t begin = position, rows_before = rows->size;
        const size_t count = take_names(names, &position, most, &literal);
        bool lacked;

        query.parameters[0] = array_literal(&literal);
        if (connection_rows(connection, &query, row, context, error))
        {
            most = 2 * most < NAMES_PER_QUERY ? 2 * most : NAMES_PER_QUERY;
            continue;
        }
        if (!server_lacked_file(connection, &lacked, error))
            return false;
        rows->size = rows_before;
        most = count > 1 ? count / 2 : 1;
        if (count > 1)
            position = begin;
    }
    return true;
}

/*
 * The paths that the server takes. The others are listed at once, as empty files: nothing depends
 * on the type and size of what is unreadable.
 */
static void take_valid_paths(FileList *list, const Buffer *paths, Buffer *valid)
{
    for (size_t position = 0; position < paths->size;)
    {
        const char *path = (const char *) paths->bytes + position;
        const size_t size = strlen(path) + 1;

        if (list->is_utf8 && !utf8_is_valid(path))
            append_entry(list, FILE_REGULAR, 0, path, "");
        else
            buffer_append(valid, path, size);
        position += size;
    }
}

/* Ask for the content of these directories. */
static bool list_content(Connection *connection, FileList *list, const Buffer *directories,
                         Error *error)
{
    static const char failure[] = "could not fetch file list"; /* contract */
    AUTO_BUFFER Buffer paths = {0};
    AUTO_BUFFER Buffer valid = {0};

    if (!list->in_steps)
        return ask_for_each(connection,
                            (Query){.sql = list_sql, .failure = failure, .column_count = 4},
                            directories, list_row, list, &list->entries, error);
    if (!ask_for_each(connection, (Query){.sql = names_sql, .failure = failure, .column_count = 1},
                      directories, name_row, &paths, &paths, error))
        return false;
    take_valid_paths(list, &paths, &valid);
    return ask_for_each(connection,
                        (Query){.sql = status_sql, .failure = failure, .column_count = 4}, &valid,
                        list_row, list, &list->entries, error);
}

static bool find_encoding(Connection *connection, bool *is_utf8, Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();
    const Query query = {.sql = "SELECT pg_catalog.current_setting('server_encoding')",
                         .column_count = 1};
    char *encoding;

    if (!server_query(connection, arena, &query, &encoding, error))
        return false;
    *is_utf8 = strcmp(encoding, "UTF8") == 0;
    return true;
}

/* List the data directory, then the directories found there, and so on. */
static bool list_once(Connection *connection, void *context, Error *error)
{
    FileList *list = context;
    AUTO_BUFFER Buffer directories = {0};

    buffer_clear(&list->entries);
    if (!find_encoding(connection, &list->is_utf8, error))
        return false;
    buffer_append_u8(&directories, 0); /* the data directory itself */
    for (list->depth = 1; directories.size > 0; list->depth++)
    {
        const size_t end = list->entries.size;

        if (!list_content(connection, list, &directories, error))
            return false;
        buffer_clear(&directories);
        take_directories(list, end, list->entries.size, &directories);
    }
    return true;
}

bool server_list(Source *source, const Version *version, SourceFileVisitor visit, void *context,
                 Error *error)
{
    FileList list = {.in_steps = !version->sql.missing_ok};
    size_t position = 0;
    bool success = server_attempt((ServerSource *) source, 0, list_once, &list, NULL, error);

    while (success && position < list.entries.size)
    {
        const SourceFile file = next_listed_file(&list, &position);

        success = visit(context, &file, error);
    }
    buffer_free(&list.entries);
    return success;
}
