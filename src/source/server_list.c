/*
 * The files of a server, listed three levels of the directory tree at once; and a trial whether the
 * server may read given files.
 *
 * A query asks for the content of many directories, and for two levels of directories in them:
 * three levels are all of a cluster without tablespaces. The server keeps the rows of the first two
 * levels, which are few; of the third level, where relations are, it keeps the names of one
 * directory. A recursive query would hold all rows of a level, and a function in FROM would build a
 * set of rows for each file.
 */
#include "source/server.h"

#include "base/array.h"
#include "format/relpath.h"

#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX 32 /* fewer than the 40 links that Linux follows in one path */
#define NAMES_PER_QUERY 1000
#define LEVELS 3 /* levels of directories that list_sql lists */

/* Regular expression for paths of relations' files and of WAL, which are not tried. */
#define PATHS_NOT_TRIED                                                                            \
    "^(log|pg_log)/|^(pg_wal|pg_xlog)/(.*/)?[0-9A-F]{16}|^(base|global|pg_tblspc)/(.*/"            \
    ")?t?[0-9]+(_[^/]*)?([.][0-9]+)?$"

/* SQL expression: target of the tablespace link at `path`, or NULL. */
#define LOCATION_OF_LINK                                                                           \
    "    CASE WHEN (status).isdir AND path ~ '^pg_tblspc/[1-9][0-9]{0,9}$' THEN\n"                 \
    "      CASE WHEN pg_catalog.substr(path, 11)::pg_catalog.int8 <= 4294967295 THEN\n"            \
    "        pg_catalog.pg_tablespace_location(pg_catalog.substr(path, 11)::pg_catalog.oid)\n"     \
    "      END END"

/*
 * Query for the content of directories.
 *
 * pg_stat_file follows links, so linked directories are listed too; for a dangling link, and for a
 * file that has vanished, its columns are NULL. OFFSET 0 makes the server call pg_stat_file once
 * for each path; without it the planner would call the function once for each column.
 *
 * The location of a tablespace is known even if its link dangles. While CREATE TABLESPACE waits for
 * a synchronous standby, its row in pg_tablespace is not visible but its link exists: so the link
 * is asked as well.
 *
 * The last column is the number of bytes read from a file as a trial; NULL: it was not tried. A
 * file of size 0 may be a fifo, whose reading would not end. The query fails if the server may not
 * read one of the files that it tries.
 *
 * Directories that relpath_is_listed excludes are not entered: lost+found by this query, those in a
 * tablespace's location by collect_deepest.
 *
 * $1: directories, each followed by a slash; the data directory itself is the empty string. $2:
 * whether files are tried.
 */
static const char list_sql[] =
    "WITH first AS (\n"
    "  SELECT directory, path, pg_catalog.pg_stat_file(path, true) AS status\n"
    "  FROM (\n"
    "    SELECT directory,\n"
    "      directory || pg_catalog.pg_ls_dir('./' || directory, true, false) AS path\n"
    "    FROM pg_catalog.unnest($1::pg_catalog.text[]) AS directory\n"
    "  ) AS paths OFFSET 0\n"
    "), second AS (\n"
    "  SELECT directory, path, pg_catalog.pg_stat_file(path, true) AS status\n"
    "  FROM (\n"
    "    SELECT path AS directory, path || '/' ||\n"
    "      pg_catalog.pg_ls_dir('./' || path || '/', true, false) AS path\n"
    "    FROM first WHERE (status).isdir AND path <> directory || 'lost+found'\n"
    "  ) AS paths OFFSET 0\n"
    ")\n"
    "SELECT path, (status).size, (status).isdir,\n"
    "  CASE WHEN directory = 'pg_tblspc' THEN coalesce(\n"
    "    (SELECT pg_catalog.pg_tablespace_location(space.oid) FROM pg_catalog.pg_tablespace\n"
    "     AS space WHERE 'pg_tblspc/' || space.oid::pg_catalog.text = path),\n" LOCATION_OF_LINK
    ") END,\n"
    "  CASE WHEN $2::pg_catalog.bool AND NOT (status).isdir AND (status).size > 0\n"
    "    AND path !~ '" PATHS_NOT_TRIED "' THEN pg_catalog.octet_length(\n"
    "      pg_catalog.pg_read_binary_file(path, 0::pg_catalog.int8, 1::pg_catalog.int8, true)) "
    "END\n"
    "FROM (\n"
    "  SELECT NULL AS directory, path, status FROM first\n"
    "  UNION ALL SELECT directory, path, status FROM second\n"
    "  UNION ALL SELECT NULL, path, pg_catalog.pg_stat_file(path, true)\n"
    "  FROM (\n"
    "    SELECT path || '/' || pg_catalog.pg_ls_dir('./' || path || '/', true, false) AS path\n"
    "    FROM second WHERE (status).isdir AND path <> directory || '/lost+found' OFFSET 0\n"
    "  ) AS paths OFFSET 0\n"
    ") AS files";

/* Queries for the content of directories in two steps, names and then status, for servers that fail
 * for a file that has vanished: ask_for_each finds the name for which a query failed. */
static const char names_sql[] = "SELECT directory || pg_catalog.pg_ls_dir('./' || directory)\n"
                                "FROM pg_catalog.unnest($1::pg_catalog.text[]) AS directory";

static const char status_sql[] =
    "SELECT path, (status).size, (status).isdir,\n"
    "  CASE WHEN path ~ '^pg_tblspc/[0-9]+$' THEN coalesce(\n"
    "    (SELECT pg_catalog.pg_tablespace_location(space.oid) FROM pg_catalog.pg_tablespace\n"
    "     AS space WHERE 'pg_tblspc/' || space.oid::pg_catalog.text = path),\n" LOCATION_OF_LINK
    ") END, NULL::pg_catalog.int4\n"
    "FROM (\n"
    "  SELECT path, pg_catalog.pg_stat_file(path) AS status\n"
    "  FROM pg_catalog.unnest($1::pg_catalog.text[]) AS path OFFSET 0\n"
    ") AS files";

/* Third query in two-step listings: pg_stat_file has failed for these paths, each a tablespace's.
 * Those that still have a row in pg_tablespace are dangling links, the others have vanished. */
static const char dangling_sql[] =
    "SELECT path, NULL::pg_catalog.int8, NULL::pg_catalog.bool,\n"
    "  pg_catalog.pg_tablespace_location(space.oid), NULL::pg_catalog.int4\n"
    "FROM pg_catalog.unnest($1::pg_catalog.text[]) AS path, pg_catalog.pg_tablespace AS space\n"
    "WHERE 'pg_tblspc/' || space.oid::pg_catalog.text = path";

/* Files listed so far. The caller's visitor sees them when the list is complete, so that a lost
 * connection can restart the listing. */
typedef struct FileList
{
    Arena *arena; /* owns the strings of files */
    const ServerSource *server;
    AttemptProgress progress;
    VisitedFile *files; /* array of count entries */
    size_t count;
    bool in_steps; /* list in two steps: the server fails for a file that has vanished */
    bool expected; /* the first query was asked before (source_server_expect_rewind) */
    int depth;     /* first level that is being listed; 1: entries of the data directory itself */
    int levels;    /* number of levels that one query lists, from `depth` on */
} FileList;

static void append_file(FileList *list, FileType type, uint64_t size, const char *path,
                        const char *link_target)
{
    ARRAY_GROW(list->files, list->count);
    list->files[list->count++] = (VisitedFile){
        .path = arena_strdup(list->arena, path),
        .type = type,
        .size = size,
        .link_target = link_target != NULL ? arena_strdup(list->arena, link_target) : NULL};
}

/* Returns the level of a path; 1: an entry of the data directory itself. */
static int depth_of(const char *path)
{
    int depth = 1;

    for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/'))
        depth++;
    return depth;
}

/* ---- The server's answers ---- */

/* A ConnectionRow for path, size, whether it is a directory, a tablespace's location, and bytes of
 * a trial. */
static bool list_row(void *context, const ConnectionValue *columns, Error *error)
{
    FileList *list = context;
    const char *path = columns[0].bytes;
    const char *location = columns[3].bytes;
    TextCursor digits = text_cursor(columns[1].bytes != NULL ? columns[1].bytes : "");
    const int depth = path != NULL ? depth_of(path) : 0;
    uint64_t size;
    FileType type;

    if (path != NULL && columns[1].bytes == NULL && columns[2].bytes == NULL)
    {
        /* The file has vanished, or is a dangling link. A tablespace's link with a location is a
         * dangling one: list the link, but nothing below it. */
        if (location != NULL && location[0] == '/' && relpath_is_tablespace(path))
            append_file(list, FILE_LINK, 0, path, location);
        return true;
    }
    if (path == NULL || columns[2].bytes == NULL || !text_take_u64(&digits, &size) ||
        !text_at_end(&digits) || size > INT64_MAX ||
        (location != NULL && !relpath_is_tablespace(path)))
        return error_set(error, ERROR_FAILED, "unexpected result set while fetching file list");
    type = columns[2].bytes[0] == 't' ? FILE_DIRECTORY : FILE_REGULAR;
    /* A directory's depth must be one of the levels that are being listed: otherwise a server that
     * repeats its answers would be listed without end. */
    if (type == FILE_DIRECTORY && (depth < list->depth || depth >= list->depth + list->levels))
        return error_set(error, ERROR_FAILED, "unexpected result set while fetching file list");
    if (type == FILE_DIRECTORY && depth >= DEPTH_MAX)
    {
        error_set(error, ERROR_FAILED, "directory \"%s\" in source is nested too deep", path);
        return error_detail(error, "A symbolic link may point to a directory above it.");
    }
    if (location != NULL && location[0] != '/')
        location = NULL; /* the tablespace is a directory in pg_tblspc, not a link */
    if (location != NULL)
        type = FILE_LINK;
    append_file(list, type, type == FILE_REGULAR ? size : 0, path, location);
    list->files[list->count - 1].tried = type == FILE_REGULAR && columns[4].bytes != NULL;
    return true;
}

/* ---- Queries ---- */

/* A ConnectionRow for a path alone: append it, with FILE_OTHER as its type is not known. */
static bool name_row(void *context, const ConnectionValue *columns, Error *error)
{
    if (columns[0].bytes == NULL)
        return error_set(error, ERROR_FAILED, "unexpected result set while fetching file list");
    append_file(context, FILE_OTHER, 0, columns[0].bytes, NULL);
    return true;
}

/*
 * Run a query that takes an array of names, for all names, many at once; `row` appends to the list.
 *
 * Some names make the query fail: those of missing files, and those for which it fails with the
 * SQLSTATE `refusal` (NULL: none). After such a failure, drop the query's rows and ask for half
 * the number of names; skip a single name for which the query fails. Any other failure is an error.
 */
static bool ask_for_each(Connection *connection, Query query, const Buffer *names,
                         ConnectionRow row, FileList *list, const char *refusal, Error *error)
{
    size_t position = 0, most = NAMES_PER_QUERY;
    AUTO_BUFFER Buffer literal = {0};

    while (position < names->size)
    {
        const size_t begin = position, count_before = list->count;
        size_t count = 0;

        buffer_clear(&literal);
        for (; count < most && position < names->size; count++)
        {
            const char *name = (const char *) names->bytes + position;

            array_append(&literal, name);
            position += strlen(name) + 1;
        }
        query.parameters[0] = array_literal(&literal);
        if (connection_rows(connection, &query, row, list, error))
        {
            most = 2 * most < NAMES_PER_QUERY ? 2 * most : NAMES_PER_QUERY;
            continue;
        }
        if (!(refusal != NULL && connection_failed_with(connection, refusal)) &&
            !server_lacked_file(connection))
            return false;
        list->count = count_before;
        most = count > 1 ? count / 2 : 1;
        if (count > 1)
            position = begin;
    }
    return true;
}

/* ---- Names that are invalid in the server's encoding ---- */

/*
 * Set `unreadable` in the files, from index `first` on, whose paths the server rejects as a
 * parameter. A server lists every name in a directory, but accepts only parameters that are valid
 * in its encoding. Each encoding has its own rules, so send the paths to the server and see which
 * ones it rejects.
 */
static bool mark_unreadable(Connection *connection, FileList *list, size_t first, Error *error)
{
    static const Query query = {
        .sql = "SELECT path FROM pg_catalog.unnest($1::pg_catalog.text[]) AS path",
        .failure = "could not fetch file list", /* contract */
        .column_count = 1};
    FileList taken = {.arena = list->arena};
    AUTO_BUFFER Buffer names = {0};
    size_t next = 0;
    bool ok;

    for (size_t i = first; i < list->count; i++)
        if (!text_is_ascii(list->files[i].path))
            buffer_append(&names, list->files[i].path, strlen(list->files[i].path) + 1);
    ok = ask_for_each(connection, query, &names, name_row, &taken, NOT_IN_REPERTOIRE, error);
    for (size_t i = first; ok && i < list->count; i++)
    {
        VisitedFile *file = &list->files[i];

        if (text_is_ascii(file->path))
            continue;
        file->unreadable = next == taken.count || strcmp(file->path, taken.files[next].path) != 0;
        if (!file->unreadable)
            next++;
    }
    free(taken.files);
    return ok;
}

/* Append to `paths` the tablespaces' links whose status is missing: those of `names` that `list`,
 * from index `first` on, does not have. */
static void collect_dangling(const FileList *names, const FileList *list, size_t first,
                             Buffer *paths)
{
    for (size_t i = 0; i < names->count; i++)
    {
        const char *path = names->files[i].path;
        size_t index = first;

        if (!relpath_is_tablespace(path))
            continue;
        while (index < list->count && strcmp(list->files[index].path, path) != 0)
            index++;
        if (index == list->count)
            buffer_append(paths, path, strlen(path) + 1);
    }
}

/*
 * List the content of these directories in two steps. Paths that the server rejects are listed as
 * empty files without asking for their status: nothing depends on the type and size of an
 * unreadable file.
 */
static bool list_in_steps(Connection *connection, FileList *list, Query query,
                          const Buffer *directories, Error *error)
{
    FileList names = {.arena = list->arena};
    const size_t first = list->count;
    AUTO_BUFFER Buffer paths = {0}, dangling = {0};
    bool ok;

    query.sql = names_sql;
    query.column_count = 1;
    ok = ask_for_each(connection, query, directories, name_row, &names, NULL, error) &&
         mark_unreadable(connection, &names, 0, error);
    for (size_t i = 0; ok && i < names.count; i++)
    {
        const char *path = names.files[i].path;

        if (names.files[i].unreadable)
        {
            append_file(list, FILE_REGULAR, 0, path, NULL);
            list->files[list->count - 1].unreadable = true;
        }
        else
            buffer_append(&paths, path, strlen(path) + 1);
    }
    query.sql = status_sql;
    query.column_count = 5;
    ok = ok && ask_for_each(connection, query, &paths, list_row, list, NULL, error);
    if (ok)
        collect_dangling(&names, list, first, &dangling);
    free(names.files);
    query.sql = dangling_sql;
    return ok && ask_for_each(connection, query, &dangling, list_row, list, NULL, error);
}

/* True if the path lies in a directory of the list, from index `first` on, whose name is invalid in
 * the server's encoding. */
static bool is_below_unreadable(const FileList *list, size_t first, const char *path)
{
    for (size_t i = first; i < list->count; i++)
    {
        const VisitedFile *file = &list->files[i];
        const size_t length = strlen(file->path);

        if (file->unreadable && file->type != FILE_REGULAR &&
            strncmp(file->path, path, length) == 0 && path[length] == '/')
            return true;
    }
    return false;
}

/* Drop files in directories whose names are invalid in the server's encoding, from index `first` of
 * the list on: the listing does not enter such directories. */
static void drop_below_unreadable(FileList *list, size_t first)
{
    size_t kept = first;

    for (size_t i = first; i < list->count; i++)
    {
        const bool below =
            list->files[i].unreadable && is_below_unreadable(list, first, list->files[i].path);

        if (!below)
            list->files[kept++] = list->files[i];
    }
    list->count = kept;
}

/* Collect the directories on the deepest level of the last query, from index `next` of the list on:
 * their content is not yet listed. */
static void collect_deepest(const FileList *list, size_t next, Buffer *directories)
{
    buffer_clear(directories);
    for (; next < list->count; next++)
    {
        const VisitedFile *file = &list->files[next];

        if (file->type == FILE_REGULAR || file->unreadable || !relpath_is_listed(file->path) ||
            depth_of(file->path) != list->depth + list->levels - 1)
            continue;
        buffer_append_string(directories, file->path);
        buffer_append(directories, "/", 2); /* 2: the slash and the string's NUL */
    }
}

static const Query list_query = {.sql = list_sql,
                                 .failure = "could not fetch file list", /* contract */
                                 .parameters = {"{\"\"}", "true"},
                                 .column_count = 5};

/* List the first levels, and try their files. If the server cannot read one, *tried is false and
 * nothing is listed: it may be a file that no rewind reads. */
static bool list_and_try(Connection *connection, FileList *list, bool *tried, Error *error)
{
    *tried = connection_rows(connection, &list_query, list_row, list, error);
    if (*tried)
        return true;
    list->count = 0;
    return connection_failed_with(connection, NULL);
}

/* List the levels from list->depth on, below the directories; next: count of the list before. */
static bool list_levels(Connection *connection, FileList *list, const Buffer *directories,
                        size_t next, Error *error)
{
    Query query = list_query;
    bool listed = false;

    query.parameters[1] = "false";
    if (list->in_steps)
        return list_in_steps(connection, list, query, directories, error);
    if (list->depth == 1 && !list->expected && !list_and_try(connection, list, &listed, error))
        return false;
    listed |= list->expected;
    list->expected = false;
    return (listed || ask_for_each(connection, query, directories, list_row, list, NULL, error)) &&
           mark_unreadable(connection, list, next, error);
}

/* An Attempt: list the first levels of the data directory, all that one query lists, then the
 * directories on the deepest of these levels, and so on. */
static bool list_once(Connection *connection, void *context, Error *error)
{
    FileList *list = context;
    AUTO_BUFFER Buffer directories = {0};

    if (!list->expected)
        list->count = 0;
    buffer_append_u8(&directories, 0); /* the data directory itself */
    for (list->depth = 1; directories.size > 0; list->depth += list->levels)
    {
        const size_t next = list->depth == 1 ? 0 : list->count;

        if (!list_levels(connection, list, &directories, next, error))
            return false;
        drop_below_unreadable(list, next);
        collect_deepest(list, next, &directories);
    }
    return server_note_replayed(list->server, connection, &list->progress, error);
}

static FileList *create_list(const ServerSource *self)
{
    Arena *arena = arena_create();
    FileList *list = arena_allocate(arena, sizeof(*list));
    const bool in_steps = !self->version->sql.missing_ok;

    *list = (FileList){.arena = arena,
                       .server = self,
                       .in_steps = in_steps,
                       .depth = 1,
                       .levels = in_steps ? 1 : LEVELS};
    return list;
}

static void free_list(FileList *list)
{
    free(list->files);
    arena_destroy(list->arena);
}

/* A standby's list is asked for when it is needed: the target's recovery must pass the position
 * that the standby had replayed then. */
void source_server_expect_rewind(Source *source)
{
    ServerSource *self = (ServerSource *) source;

    if (!source->is_server || !self->version->sql.missing_ok)
        return;
    server_read_config_along(self, true, self->arena);
    if (self->identity.in_recovery)
        return;
    server_forget_list(self);
    self->expected_list = create_list(self);
    server_ask_along(self, &(AlongQuery){list_query, list_row, self->expected_list,
                                         &self->expected_list->expected});
}

void server_forget_list(ServerSource *self)
{
    if (self->expected_list == NULL)
        return;
    server_withdraw_along(self, self->expected_list);
    free_list(self->expected_list);
    self->expected_list = NULL;
}

bool server_list(Source *source, const Version *version, FileVisitor visit, void *context,
                 Error *error)
{
    ServerSource *self = (ServerSource *) source;
    FileList *list;
    bool ok;

    (void) version;
    if (self->expected_list != NULL && !self->expected_list->expected)
        server_forget_list(self);
    list = self->expected_list != NULL ? self->expected_list : create_list(self);
    self->expected_list = NULL;
    self->has_last_state = false;
    ok = server_attempt(self, 0, list_once, list, &list->progress, error);
    for (size_t i = 0; ok && i < list->count; i++)
        ok = visit(context, &list->files[i], error);
    free_list(list);
    return ok;
}

/* ---- Files that the server may not read ---- */

/* Files that the server is asked to read a byte of. */
typedef struct FileTrial
{
    const char *const *paths;
    size_t count;
    RefusedFiles *refused;
} FileTrial;

/* Read a byte of one file. If the server refuses, add the file to `refused` with the server's own
 * error. A missing file is no error. */
static bool try_alone(Connection *connection, Query query, const char *path, RefusedFiles *refused,
                      Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();
    AUTO_BUFFER Buffer literal = {0};
    FileList taken = {.arena = arena};
    Error problem;
    bool read;

    array_append(&literal, path);
    query.parameters[0] = array_literal(&literal);
    query.failure = arena_printf(arena, "could not fetch remote file \"%s\"", path); /* contract */
    read = connection_rows(connection, &query, name_row, &taken, &problem);
    free(taken.files);
    if (read)
        return true;
    if (connection_failed_with(connection, INSUFFICIENT_PRIVILEGE))
    {
        refused->paths[refused->count] = path;
        refused->errors[refused->count++] = problem;
        return true;
    }
    return server_lacked_file(connection) || error_copy(error, &problem);
}

/* An Attempt: read a byte of each file, many in a query. A file without an answer is tried alone,
 * to get the server's error for it. */
static bool try_once(Connection *connection, void *context, Error *error)
{
    const FileTrial *trial = context;
    RefusedFiles *refused = trial->refused;
    AUTO_ARENA Arena *arena = arena_create();
    AUTO_BUFFER Buffer names = {0};
    FileList taken = {.arena = arena};
    const Query query = {
        .sql = arena_printf(arena,
                            "SELECT path, pg_catalog.octet_length("
                            "pg_catalog.pg_read_binary_file(path, 0::pg_catalog.int8, "
                            "1::pg_catalog.int8%s))\n"
                            "FROM pg_catalog.unnest($1::pg_catalog.text[]) AS path",
                            server_missing_ok_argument(&server_version(connection)->sql)),
        .failure = "could not fetch remote files from source server",
        .column_count = 2};
    bool ok = true;

    refused->count = 0;
    for (size_t i = 0, next = 0, asked = 0;
         ok && i < trial->count && refused->count < REFUSED_FILES_MAX; i++)
    {
        if (i == asked)
        {
            for (buffer_clear(&names); asked < trial->count && asked < i + NAMES_PER_QUERY; asked++)
                buffer_append(&names, trial->paths[asked], strlen(trial->paths[asked]) + 1);
            taken.count = next = 0;
            ok = ask_for_each(connection, query, &names, name_row, &taken, INSUFFICIENT_PRIVILEGE,
                              error);
        }
        if (next < taken.count && strcmp(trial->paths[i], taken.files[next].path) == 0)
            next++;
        else
            ok = ok && try_alone(connection, query, trial->paths[i], refused, error);
    }
    free(taken.files);
    return ok;
}

bool server_try_files(Source *source, const char *const *paths, size_t count, RefusedFiles *refused,
                      Error *error)
{
    FileTrial trial = {.paths = paths, .count = count, .refused = refused};

    refused->count = 0;
    return count == 0 || server_attempt((ServerSource *) source, 0, try_once, &trial, NULL, error);
}
