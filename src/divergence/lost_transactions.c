#include "divergence/lost_transactions.h"

#include "base/array.h"
#include "base/encoding.h"
#include "base/log.h"
#include "base/workers.h"
#include "format/page.h"
#include "io/dir.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Catalogs ---- */

/* Add the catalogs of one database. A directory without a map is not a database, or its removal was
 * interrupted. */
static bool read_directory(const Target *target, const char *directory, Oid database,
                           Catalogs *catalogs, Error *error)
{
    const uint32_t block_size = target->control.block_size;
    AUTO_BUFFER Buffer buffer = {0}, map = {0};
    const char *path = path_in(&buffer, directory, "pg_filenode.map");
    uint8_t page[PAGE_SIZE_MAX];
    size_t length = block_size;
    AUTO_FD int fd = -1;
    char number[16];
    Oid pg_class = 0;
    bool found;

    if (!file_read_all(path, CATALOGS_MAP_SIZE_MAX, &map, &found, error))
        return false;
    if (found && !catalogs_add_map(catalogs, target->control.version, database, &map, &pg_class))
        return error_set(error, ERROR_FAILED, "map of catalogs \"%s\" is damaged", path);
    if (pg_class == 0)
        return true;
    /* Read only the first segment of pg_class: the rows of catalogs are the oldest. */
    snprintf(number, sizeof(number), "%u", pg_class);
    path = path_in(&buffer, directory, number);
    if (!file_open_read(path, &fd, &found, error))
        return false;
    for (uint64_t at = 0; found && length == block_size; at += block_size)
    {
        if (!file_read_at(fd, path, page, block_size, at, &length, error))
            return false;
        if (length == block_size)
            catalogs_add_page(catalogs, database, page, block_size);
    }
    return true;
}

/* Add the catalogs of all databases in a directory, each in a directory named by its OID. With
 * missing_ok the directory may be missing. */
static bool read_databases(const Target *target, const char *directory, bool missing_ok,
                           Catalogs *catalogs, Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();
    const char **names;
    bool found;

    if (!dir_list(directory, arena, &names, missing_ok ? &found : NULL, error))
        return false;
    for (; *names != NULL; names++)
    {
        TextCursor digits = text_cursor(*names);
        Oid database;

        if (text_take_u32(&digits, &database) && text_at_end(&digits) &&
            !read_directory(target, arena_printf(arena, "%s/%s", directory, *names), database,
                            catalogs, error))
            return false;
    }
    return true;
}

bool target_catalogs_read(const Target *target, Catalogs *catalogs, Error *error)
{
    AUTO_ARENA Arena *arena = arena_create();
    const char *tablespaces = arena_printf(arena, "%s/pg_tblspc", target->directory);
    const char **names = NULL;
    bool read;

    *catalogs = (Catalogs){0};
    read = read_directory(target, arena_printf(arena, "%s/global", target->directory), 0, catalogs,
                          error) &&
           read_databases(target, arena_printf(arena, "%s/base", target->directory), false,
                          catalogs, error) &&
           dir_list(tablespaces, arena, &names, NULL, error);
    for (; read && *names != NULL; names++)
        read = read_databases(target,
                              arena_printf(arena, "%s/%s/%s", tablespaces, *names,
                                           target->control.version_directory.name),
                              true, catalogs, error);
    catalogs_sort(catalogs);
    return read;
}

/* ---- WAL from the last common checkpoint to its end ---- */

bool lost_wal_read(const Clusters *clusters, const Divergence *diverged, WalVisitor visit,
                   void *context, Error *error)
{
    const WalShape *shape = &clusters->shape;
    Lsn from = wal_skip_header(shape, diverged->common_checkpoint.checkpoint.redo);
    uint64_t segment = wal_segment_of(shape, from);

    for (;; segment++)
    {
        WalSegmentFacts facts;

        if (wal_segment_start(shape, segment) >= diverged->target_end)
            return true;
        if (!stop_check(error) ||
            !wal_read_segment(diverged->scan->stream, segment, from, visit, context, &facts, error))
            return false;
        progress_add(facts.bytes);
        if (facts.next_lsn >= diverged->target_end)
            return true;
        if (facts.end != WAL_SEGMENT_COMPLETE)
            return error_set(error, ERROR_FAILED, "could not read WAL record at %s: %s",
                             LSN_TEXT(shape->version, facts.next_lsn),
                             facts.end == WAL_SEGMENT_MISSING ? "the segment is missing"
                                                              : facts.reason);
        from = LSN_INVALID;
    }
}

/* ---- Names ---- */

typedef struct DatabaseName
{
    Oid oid;
    const char *name;
} DatabaseName;

typedef struct RelationNames
{
    Lost *lost;
    Arena *arena;
    LostRelation **by_filenode; /* all relations of `lost`, sorted by relfilenode */
    DatabaseName *databases;
    size_t database_count;
    uint32_t shared_encoding; /* encoding of the databases' names */
} RelationNames;

static int compare_filenodes(const void *left, const void *right)
{
    const LostRelation *a = *(LostRelation *const *) left, *b = *(LostRelation *const *) right;

    return (a->id.relation > b->id.relation) - (a->id.relation < b->id.relation);
}

static bool parse_oid(const ConnectionValue *value, Oid *oid)
{
    TextCursor digits = text_cursor(value->bytes != NULL ? value->bytes : "");

    return text_take_u32(&digits, oid) && text_at_end(&digits);
}

static bool add_database(void *context, const ConnectionValue *columns, Error *error)
{
    RelationNames *names = context;
    DatabaseName item;
    uint32_t encoding;

    if (!parse_oid(&columns[0], &item.oid) || columns[1].bytes == NULL ||
        columns[2].bytes == NULL || !parse_oid(&columns[3], &encoding))
        return error_set(error, ERROR_FAILED, "unexpected result set from query"); /* contract */
    names->shared_encoding = encoding_of_shared(names->shared_encoding, encoding);
    if (lost_database_is_new(names->lost, item.oid))
        return true;
    item.name = arena_strdup(names->arena, columns[1].bytes);
    ARRAY_ADD(names->databases, names->database_count, item);
    if (columns[2].bytes[0] == 't')
    {
        names->lost->connected_database = item.oid;
        names->lost->connected_encoding = encoding;
    }
    return true;
}

/* Name the lost relations with this relfilenode. A relfilenode that the target created after the
 * divergence is another relation on the source. */
static bool name_relation(void *context, const ConnectionValue *columns, Error *error)
{
    RelationNames *names = context;
    const char *name = columns[2].bytes, *table = columns[3].bytes;
    const size_t count = names->lost->relation_count;
    LostRelation key = {0};
    const LostRelation *wanted = &key;
    Oid filenode, tablespace;
    size_t index;
    bool found;

    if (!parse_oid(&columns[0], &filenode) || !parse_oid(&columns[1], &tablespace) || name == NULL)
        return error_set(error, ERROR_FAILED, "unexpected result set from query"); /* contract */
    key.id.relation = filenode;
    index = array_search(&wanted, names->by_filenode, count, sizeof(*names->by_filenode),
                         compare_filenodes, &found);
    for (; index < count && names->by_filenode[index]->id.relation == filenode; index++)
    {
        LostRelation *relation = names->by_filenode[index];

        if (relation->id.tablespace != tablespace || relation->created || relation->name != NULL ||
            (relation->id.database != 0 &&
             relation->id.database != names->lost->connected_database))
            continue;
        relation->on_source = true;
        relation->name = arena_strdup(names->arena, name);
        relation->table = table != NULL ? arena_strdup(names->arena, table) : NULL;
    }
    return true;
}

static void convert_name(const RelationNames *names, iconv_t conversion, const char **name)
{
    if (*name != NULL)
        *name = encoding_name(conversion, *name, strlen(*name), names->arena);
}

/* Convert all names to UTF-8; names of relations are in the encoding of their database. */
static void convert_names(const RelationNames *names)
{
    const iconv_t conversion = encoding_open(names->lost->connected_encoding);
    const iconv_t shared = encoding_open(names->shared_encoding);

    for (size_t i = 0; i < names->lost->relation_count; i++)
    {
        convert_name(names, conversion, &names->lost->relations[i].name);
        convert_name(names, conversion, &names->lost->relations[i].table);
    }
    for (size_t i = 0; i < names->database_count; i++)
        convert_name(names, shared, &names->databases[i].name);
    encoding_close(conversion);
    encoding_close(shared);
}

static const char *database_name(const RelationNames *names, Oid database)
{
    if (database == 0)
        return "global";
    for (size_t i = 0; i < names->database_count; i++)
        if (names->databases[i].oid == database)
            return names->databases[i].name;
    return NULL;
}

/* Set the database of each relation, and DATABASE/RELFILENODE as name if it has none. */
static void name_by_number(RelationNames *names)
{
    for (size_t i = 0; i < names->lost->relation_count; i++)
    {
        LostRelation *relation = &names->lost->relations[i];
        const char *database = database_name(names, relation->id.database);

        relation->database = database;
        if (relation->name != NULL)
            continue;
        relation->name =
            database != NULL
                ? arena_printf(names->arena, "%s/%u", database, relation->id.relation)
                : arena_printf(names->arena, "%u/%u", relation->id.database, relation->id.relation);
    }
}

static void name_relations(Lost *lost, Source *source, Arena *arena)
{
    const size_t count = lost->relation_count;
    RelationNames names = {.lost = lost, .arena = arena, .shared_encoding = ENCODING_NONE};
    AUTO_BUFFER Buffer filenodes = {0};
    Error why = {0};

    names.by_filenode = arena_allocate(arena, (count + 1) * sizeof(*names.by_filenode));
    for (size_t i = 0; i < count; i++)
    {
        names.by_filenode[i] = &lost->relations[i];
        if (!lost->relations[i].created)
            array_append_int(&filenodes, lost->relations[i].id.relation);
    }
    qsort(names.by_filenode, count, sizeof(*names.by_filenode), compare_filenodes);
    if (source->is_server && count > 0 &&
        !source_server_names(source, array_literal(&filenodes), add_database, name_relation, &names,
                             &why))
        log_debug("could not get names from the source: %s", why.message);
    convert_names(&names);
    name_by_number(&names);
    free(names.databases);
}

bool lost_transactions_read(const Clusters *clusters, const Divergence *diverged,
                            ReportTransactions which, Arena *arena, Lost **lost, Error *error)
{
    const CheckPoint *common = &diverged->common_checkpoint.checkpoint;
    LostWanted wanted = {.known_from = common->redo,
                         .first_known_xid = (uint32_t) common->next_xid,
                         .from = diverged->lsn,
                         .end = diverged->target_end,
                         .list = which == REPORT_TRANSACTIONS_ALL};
    Error why = {0}, more = {0};
    bool listed = !clusters->shape.version->old_wal ||
                  target_catalogs_read(&clusters->target, &wanted.catalogs, &why);

    *lost = lost_create(clusters->shape.version, &wanted);
    progress_begin(PROGRESS_SCAN_LOST, diverged->target_end - wanted.known_from);
    listed =
        lost_wal_read(clusters, diverged, lost_add_record, *lost, listed ? &why : &more) && listed;
    progress_end(listed);
    if (!listed)
    {
        (*lost)->incomplete = true;
        if (!stop_check(error))
            return false;
        log_warning("could not list all transactions that are lost: %s", why.message);
    }
    name_relations(*lost, clusters->source, arena);
    return stop_check(error);
}
