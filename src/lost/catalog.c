#include "lost/catalog.h"

#include "base/array.h"
#include "base/log.h"
#include "format/page.h"
#include "format/relpath.h"
#include "io/open_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Flags of t_infomask in HeapTupleHeaderData, access/htup_details.h. */
#define XMIN_COMMITTED 0x0100 /* together with XMIN_INVALID: the row is frozen */
#define XMIN_INVALID 0x0200
#define XMAX_COMMITTED 0x0400
#define XMAX_INVALID 0x0800
#define XMAX_LOCK_ONLY 0x0080
#define XMAX_EXCLUSIVE_LOCK 0x0040 /* without other flags: a lock of 9.2 or before */

/* Layout of pg_xact: access/transam.h, access/transam/clog.c, access/slru.h. */
#define FIRST_NORMAL_XID 3
#define XIDS_PER_BYTE 4
#define XACT_COMMITTED 1
#define SLRU_SEGMENT_PAGES 32

/* A change of a catalog's row, or the row as it is on the disk. */
typedef struct RowVersion
{
    uint64_t key;
    uint32_t part;   /* second part of the key, such as an attribute number */
    uint32_t change; /* 1 + index of the CatalogChange; 0: the row on the disk */
    Slice before, after;
} RowVersion;

typedef struct Catalog
{
    Oid database, oid;
    Attribute attributes[CATALOG_COLUMNS_MAX];
    size_t attribute_count;
    bool has_rows;        /* rows were read, or could not be read */
    RowVersion *versions; /* sorted by key, part, change */
    size_t count;
} Catalog;

typedef struct DatabaseEncoding
{
    Oid database;
    iconv_t conversion;
} DatabaseEncoding;

static const Catalog *open_catalog(Schema *schema, Oid database, Oid oid, bool with_rows);

/* ---- Changes ---- */

static int compare_changes(const void *left, const void *right)
{
    const CatalogChange *a = left, *b = right;

    if (a->commit->lsn != b->commit->lsn)
        return a->commit->lsn < b->commit->lsn ? -1 : 1;
    return (a->row.lsn > b->row.lsn) - (a->row.lsn < b->row.lsn);
}

static size_t changes_before(const Schema *schema, Lsn commit, Lsn lsn)
{
    const CatalogChange key = {.commit = &(LostCommit){.lsn = commit}, .row.lsn = lsn};

    return ARRAY_LOWER_BOUND(&key, schema->changes, schema->change_count, compare_changes);
}

/* Returns a look at the catalogs after all lost transactions. */
static CatalogSnapshot snapshot_at_end(Schema *schema, Oid database)
{
    return (CatalogSnapshot){.schema = schema,
                             .database = database,
                             .view.committed = schema->change_count,
                             .conversion = NO_CONVERSION,
                             .arena = schema->arena};
}

/* ---- Rows ---- */

static bool split_row(const Catalog *catalog, Slice tuple, CatalogTuple *row)
{
    HeapTuple parsed;
    const char *reason;

    if (tuple.bytes == NULL || !heap_tuple_parse(tuple, 0, &parsed, &reason) ||
        !heap_tuple_split(&parsed, catalog->attributes, catalog->attribute_count, row->values,
                          &reason))
        return false;
    row->catalog = catalog->oid;
    row->columns = catalog->attributes;
    row->column_count = catalog->attribute_count;
    row->tuple = tuple;
    row->oid = parsed.oid;
    return true;
}

Slice row_column(const CatalogTuple *row, const char *column)
{
    for (size_t i = 0; i < row->column_count; i++)
        if (strcmp(row->columns[i].name, column) == 0)
            return row->values[i];
    return (Slice){0};
}

uint32_t row_number(const CatalogTuple *row, const char *column)
{
    const Slice value = row_column(row, column);

    if (value.bytes == NULL)
        return strcmp(column, "oid") == 0 ? row->oid : 0;
    if (value.size == 1)
        return value.bytes[0];
    if (value.size == 2)
        return (uint32_t) (int16_t) load_u16(value.bytes);
    return value.size == 4 ? load_u32(value.bytes) : 0;
}

const char *row_name(CatalogSnapshot *look, const CatalogTuple *row, const char *column)
{
    const Slice value = row_column(row, column);
    const char *name = (const char *) value.bytes;

    return name != NULL
               ? encoding_name(look->conversion, name, strnlen(name, value.size), look->arena)
               : NULL;
}

static int compare_versions(const void *left, const void *right)
{
    const RowVersion *a = left, *b = right;

    if (a->key != b->key)
        return a->key < b->key ? -1 : 1;
    if (a->part != b->part)
        return a->part < b->part ? -1 : 1;
    return (a->change > b->change) - (a->change < b->change);
}

static bool is_visible(const CatalogView *view, uint32_t change)
{
    return change <= view->committed || (change > view->own_start && change <= view->own_end);
}

/* Returns how many of a row's versions are on the disk or of the first changes of Schema.changes.
 */
static size_t versions_until(const RowVersion *first, size_t count, size_t changes)
{
    const RowVersion after = {
        .key = first->key, .part = first->part, .change = (uint32_t) changes + 1};

    return ARRAY_LOWER_BOUND(&after, first, count, compare_versions);
}

/* Returns the bytes, in this view, of the row whose first version is at *position; empty if the
 * view does not have the row. Moves *position to the next row. Rule L48: transactions may have
 * given the row many versions, and each looks at it, so the versions are not walked through. */
static Slice visible_tuple(const Catalog *catalog, const CatalogView *view, size_t *position)
{
    const RowVersion *first = &catalog->versions[*position];
    const size_t count = versions_until(first, catalog->count - *position, UINT32_MAX - 1);
    size_t visible = versions_until(first, count, view->own_end);

    if (visible == 0 || first[visible - 1].change <= view->own_start)
        visible = versions_until(first, count, view->committed);
    *position += count;
    return visible > 0 && first[visible - 1].change > 0 ? first[visible - 1].after : first->before;
}

/* True if the rows of this version are among those that a caller wants. */
static bool is_wanted(const Catalog *catalog, size_t position, uint64_t key)
{
    if (position >= catalog->count)
        return false;
    return key == KEY_ANY ? catalog->versions[position].key <= UINT32_MAX
                          : catalog->versions[position].key == key;
}

bool catalog_next(CatalogSnapshot *look, Oid oid, uint64_t key, size_t *position, CatalogTuple *row)
{
    const Catalog *catalog = open_catalog(look->schema, look->database, oid, true);
    bool found = false;

    if (*position == 0 && key != KEY_ANY)
        *position = ARRAY_LOWER_BOUND(&key, catalog->versions, catalog->count, compare_u64);
    while (!found && is_wanted(catalog, *position, key))
        found = split_row(catalog, visible_tuple(catalog, &look->view, position), row);
    if (found)
        look->seen = (look->seen ^ (uintptr_t) row->tuple.bytes) * 0x100000001B3u;
    return found;
}

bool catalog_find(CatalogSnapshot *look, Oid catalog, uint64_t key, CatalogTuple *row)
{
    size_t position = 0;

    return catalog_next(look, catalog, key, &position, row);
}

const char *catalog_name(CatalogSnapshot *look, Oid catalog, uint64_t key, const char *column)
{
    CatalogTuple row;

    return catalog_find(look, catalog, key, &row) ? row_name(look, &row, column) : NULL;
}

uint32_t catalog_number(CatalogSnapshot *look, Oid catalog, uint64_t key, const char *column)
{
    CatalogTuple row;

    return catalog_find(look, catalog, key, &row) ? row_number(&row, column) : 0;
}

bool catalog_row(CatalogSnapshot *look, Oid catalog, Slice tuple, CatalogTuple *row)
{
    return split_row(open_catalog(look->schema, look->database, catalog, false), tuple, row);
}

/* ---- The target's files ---- */

static bool xid_is_committed(Schema *schema, uint32_t xid)
{
    const uint32_t file_xids =
        SLRU_SEGMENT_PAGES * schema->clusters->target.control.block_size * XIDS_PER_BYTE;
    const uint32_t number = xid / file_xids, at = xid % file_xids / XIDS_PER_BYTE;
    AUTO_BUFFER Buffer path = {0};
    Error error;
    bool found;

    if (xid < FIRST_NORMAL_XID)
        return xid != 0;
    if (row_changes_committed(schema->row_changes, xid))
        return true;
    if (schema->xact_number != number)
    {
        buffer_printf(&path, "%s/%s/%04X", schema->clusters->target.directory,
                      schema->clusters->shape.version->xact_directory, number);
        buffer_clear(&schema->xact);
        schema->xact_number = number;
        if (!file_read_all(buffer_string(&path), SLRU_SEGMENT_PAGES * PAGE_SIZE_MAX, &schema->xact,
                           &found, &error))
            log_debug("%s", error.message);
    }
    return at < schema->xact.size &&
           (schema->xact.bytes[at] >> xid % XIDS_PER_BYTE * 2 & 3) == XACT_COMMITTED;
}

/* ---- Catalogs ---- */

/* Add a column of the catalog, from its row of pg_attribute. The row is read at fixed offsets,
 * since pg_attribute itself is among the catalogs whose columns are not yet known. */
static void add_attribute(Schema *schema, Catalog *catalog, Slice tuple)
{
    const Version *version = schema->clusters->shape.version;
    HeapTuple row;
    const char *reason;
    Attribute attribute = {0};
    Cursor cursor;
    const uint8_t *name;
    int16_t number;

    if (!heap_tuple_parse(tuple, 0, &row, &reason))
        return;
    cursor = slice_cursor(row.data);
    if (cursor_u32(&cursor) != catalog->oid || (name = cursor_bytes(&cursor, 64)) == NULL)
        return;
    cursor_seek(&cursor, version->attribute_length);
    attribute.storage.length = (int16_t) cursor_u16(&cursor);
    number = (int16_t) cursor_u16(&cursor);
    cursor_seek(&cursor, version->attribute_alignment);
    attribute.storage.alignment = (char) cursor_u8(&cursor);
    attribute.name =
        arena_strndup(schema->arena, (const char *) name, strnlen((const char *) name, 64));
    if (cursor.failed || number < 1 || number > CATALOG_COLUMNS_MAX)
        return;
    catalog->attributes[number - 1] = attribute;
    if ((size_t) number > catalog->attribute_count)
        catalog->attribute_count = (size_t) number;
}

/* Add a version under the row's key. Catalogs with a second key have the version under this one
 * too, and under two second keys if the change was to the key. */
static void add_version(Catalog *catalog, RowVersion version)
{
    static const struct
    {
        Oid catalog;
        const char *key, *part, *other; /* columns of key, its part, second key; "": no column */
    } keys[] = {{PG_ATTRIBUTE, "attrelid", "attnum", ""},
                {PG_INDEX, "indrelid", "indexrelid", "indexrelid"},
                {PG_ENUM, "enumtypid", "oid", ""},
                {PG_RANGE, "rngtypid", "", "rngmultitypid"},
                {PG_CLASS, "oid", "", "relfilenode"},
                {0, "oid", "", ""}};
    const Slice rows[] = {version.before, version.after};
    CatalogTuple row;
    size_t kind = 0;

    while (keys[kind].catalog != 0 && keys[kind].catalog != catalog->oid)
        kind++;
    if (!split_row(catalog, version.after, &row) && !split_row(catalog, version.before, &row))
        return;
    version.key = row_number(&row, keys[kind].key);
    version.part = row_number(&row, keys[kind].part);
    if (version.key == 0)
        return;
    ARRAY_ADD(catalog->versions, catalog->count, version);
    version.part = (uint32_t) version.key;
    for (int i = 0; i < 2 && keys[kind].other[0] != '\0'; i++)
        if (split_row(catalog, rows[i], &row) &&
            version.key != OTHER_KEY(row_number(&row, keys[kind].other)))
        {
            version.key = OTHER_KEY(row_number(&row, keys[kind].other));
            ARRAY_ADD(catalog->versions, catalog->count, version);
        }
}

/*
 * Add the row if it existed at the end of the WAL, unless a lost transaction deleted it. If some
 * transactions lock the row while another one changes it, only pg_multixact shows whether that one
 * committed: the row counts as changed. If only changes of catalogs were read, columns of user
 * tables are left out, since no caller asks for them: they are most rows of pg_attribute, which
 * begin with attrelid.
 */
static void add_disk_tuple(Schema *schema, Catalog *catalog, Slice tuple)
{
    const uint32_t xmin = load_u32(tuple.bytes + ROW_AT_XMIN);
    const uint32_t xmax = load_u32(tuple.bytes + ROW_AT_XMAX);
    const uint16_t flags = load_u16(tuple.bytes + ROW_AT_INFOMASK);
    const bool is_locked_only =
        (flags & (XMAX_INVALID | XMAX_LOCK_ONLY)) ||
        (flags & (ROW_XMAX_IS_MULTI | XMAX_EXCLUSIVE_LOCK | XMAX_LOCK_ONLY)) == XMAX_EXCLUSIVE_LOCK;
    Cursor cursor = slice_cursor(tuple);

    cursor_seek(&cursor, ROW_AT_DATA_OFFSET);
    cursor_seek(&cursor, cursor_u8(&cursor));
    if (catalog->oid == PG_ATTRIBUTE && schema->row_changes->catalogs_alone &&
        cursor_u32(&cursor) >= FIRST_NORMAL_OID)
        return;
    if ((flags & (XMIN_COMMITTED | XMIN_INVALID)) == XMIN_INVALID ||
        (!(flags & XMIN_COMMITTED) && !xid_is_committed(schema, xmin)))
        return;
    if (!is_locked_only &&
        ((flags & (XMAX_COMMITTED | ROW_XMAX_IS_MULTI)) || xid_is_committed(schema, xmax)))
        return;
    add_version(catalog, (RowVersion){.before = {arena_copy(schema->arena, tuple.bytes, tuple.size),
                                                 tuple.size}});
}

/* Add the changes of lost transactions, and sort all versions. A changed row's version from the
 * disk is dropped. */
static void add_changes(Schema *schema, Catalog *catalog)
{
    size_t kept = 0;

    for (size_t i = 0; i < schema->change_count; i++)
    {
        const CatalogChange *change = &schema->changes[i];

        if (change->row.relation.database == catalog->database && change->catalog == catalog->oid)
            add_version(catalog, (RowVersion){.change = (uint32_t) i + 1,
                                              .before = change->row.old,
                                              .after = change->row.new});
    }
    ARRAY_SORT(catalog->versions, catalog->count, compare_versions);
    for (size_t i = 0; i < catalog->count; i++)
    {
        const RowVersion *version = &catalog->versions[i], *next = version + 1;

        if (version->change > 0 || i + 1 == catalog->count || next->key != version->key ||
            next->part != version->part)
            catalog->versions[kept++] = *version;
    }
    catalog->count = kept;
}

static Oid map_storage(const Schema *schema, Oid database, Oid oid)
{
    for (size_t i = 0; i < schema->row_changes->catalogs.count; i++)
        if (schema->row_changes->catalogs.items[i].database == database &&
            schema->row_changes->catalogs.items[i].oid == oid)
            return schema->row_changes->catalogs.items[i].filenode;
    return 0;
}

/* Returns the storage of a catalog at the end of the lost history; relation is 0 if not found.
 * Shared catalogs, pg_class and pg_attribute are in a map. */
static RelationId find_storage(Schema *schema, Oid database, Oid oid)
{
    CatalogSnapshot look = snapshot_at_end(schema, database);
    RelationId storage = {TABLESPACE_GLOBAL, database, 0};

    if (database != 0)
    {
        storage.tablespace = database != schema->model
                                 ? catalog_number(&look, PG_DATABASE, database, "dattablespace")
                                 : 0;
        if (storage.tablespace == 0)
            storage.tablespace = TABLESPACE_DEFAULT;
        if (oid != PG_CLASS && oid != PG_ATTRIBUTE)
            storage.relation = catalog_number(&look, PG_CLASS, oid, "relfilenode");
    }
    if (storage.relation == 0)
        storage.relation = map_storage(schema, database, oid);
    return storage;
}

typedef void (*TupleVisitor)(Schema *schema, Catalog *catalog, Slice tuple);

/* Returns false with a warning if the catalog's file cannot be read. */
static bool visit_catalog(Schema *schema, Catalog *catalog, TupleVisitor visit)
{
    const Target *target = &schema->clusters->target;
    const RelationId storage = find_storage(schema, catalog->database, catalog->oid);
    uint8_t page[PAGE_SIZE_MAX];
    OpenFile file;
    Error error = {0};
    bool good = true, found = storage.relation != 0;

    open_file_init(&file, NULL);
    for (BlockNumber block = 0; good && found; block++)
    {
        HeapImage image = {0};

        good = target_read_page(target, &file, &storage, block, page, &found, &error);
        if (!good || !found || !heap_image_over(page, target->control.block_size, &image))
            continue;
        for (uint16_t item = 1; item <= image.item_count; item++)
        {
            const Slice tuple = heap_image_row(&image, item);

            if (tuple.bytes != NULL)
                visit(schema, catalog, tuple);
        }
    }
    open_file_close(&file);
    if (!good)
        log_warning("could not read the names of tables and columns: %s", error.message);
    return good;
}

bool catalog_next_change(CatalogSnapshot *look, Oid oid, Oid key, size_t *position,
                         const RowChange **change)
{
    const Catalog *catalog = open_catalog(look->schema, look->database, oid, true);
    const uint64_t wanted = key;

    if (*position == 0)
        *position = ARRAY_LOWER_BOUND(&wanted, catalog->versions, catalog->count, compare_u64);
    while (is_wanted(catalog, *position, wanted))
    {
        const RowVersion *version = &catalog->versions[(*position)++];

        if (version->change > 0 && is_visible(&look->view, version->change))
        {
            *change = &look->schema->changes[version->change - 1].row;
            return true;
        }
    }
    return false;
}

bool catalog_changes_rows(CatalogSnapshot *look, Oid oid, Oid key)
{
    const Catalog *catalog = open_catalog(look->schema, look->database, oid, true);
    const uint64_t wanted = key;
    size_t position = ARRAY_LOWER_BOUND(&wanted, catalog->versions, catalog->count, compare_u64);

    while (is_wanted(catalog, position, wanted))
    {
        const RowVersion *first = &catalog->versions[position];
        const size_t count = versions_until(first, catalog->count - position, UINT32_MAX - 1);
        const size_t made = versions_until(first, count, look->view.own_end);

        if (made > 0 && first[made - 1].change > look->view.own_start)
            return true;
        position += count;
    }
    return false;
}

bool catalog_gives_storage(CatalogSnapshot *look, Oid filenode, bool made)
{
    const Catalog *pg_class = open_catalog(look->schema, look->database, PG_CLASS, true);
    const uint64_t key = OTHER_KEY(filenode);

    for (size_t i = ARRAY_LOWER_BOUND(&key, pg_class->versions, pg_class->count, compare_u64);
         i < pg_class->count && pg_class->versions[i].key == key; i++)
    {
        const RowVersion *version = &pg_class->versions[i];
        CatalogTuple row;

        if (version->change > look->view.own_start && version->change <= look->view.own_end &&
            split_row(pg_class, version->after, &row) &&
            row_number(&row, "relfilenode") == filenode &&
            (!made || look->schema->changes[version->change - 1].row.kind == ROW_INSERT))
            return true;
    }
    return false;
}

/* Returns the catalog, read at the first call. Without with_rows only its columns are read, which
 * are enough to split a row that the caller has. */
static const Catalog *open_catalog(Schema *schema, Oid database, Oid oid, bool with_rows)
{
    Catalog *catalog = NULL;
    size_t position = 0;
    CatalogTuple row;

    if (database == 0)
        database = schema->model;
    for (size_t i = 0; i < schema->catalog_count && catalog == NULL; i++)
        if (schema->catalogs[i]->oid == oid &&
            (schema->catalogs[i]->database == database || schema->catalogs[i]->database == 0))
            catalog = schema->catalogs[i];
    if (catalog == NULL)
    {
        catalog = arena_allocate(schema->arena, sizeof(*catalog));
        catalog->database = map_storage(schema, 0, oid) != 0 ? 0 : database;
        catalog->oid = oid;
        ARRAY_ADD(schema->catalogs, schema->catalog_count, catalog);
        CatalogSnapshot look = snapshot_at_end(schema, catalog->database);
        if (oid == PG_ATTRIBUTE) /* after a failure, do not read the file again for its rows */
            catalog->has_rows = !visit_catalog(schema, catalog, add_attribute);
        else
            while (catalog_next(&look, PG_ATTRIBUTE, oid, &position, &row))
                add_attribute(schema, catalog, row.tuple);
        for (size_t i = 0; i < catalog->attribute_count; i++)
            if (catalog->attributes[i].name == NULL) /* a column is missing: rows cannot be split */
                catalog->attribute_count = 0;
    }
    if (with_rows && !catalog->has_rows)
    {
        catalog->has_rows = true;
        (void) visit_catalog(schema, catalog, add_disk_tuple);
        add_changes(schema, catalog);
    }
    return catalog;
}

/* True if the view's own transaction, or a later one, drops the relation that this one made. */
static bool is_transient(const CatalogSnapshot *look, Oid oid)
{
    const Schema *schema = look->schema;
    CatalogSnapshot end =
        schema_snapshot(look->schema, look->database, (Moment){LSN_HIGHEST, NULL});
    CatalogTuple row;

    for (size_t i = look->view.own_start; i < look->view.own_end; i++)
    {
        const CatalogChange *change = &schema->changes[i];

        if (change->catalog == PG_CLASS && change->row.kind == ROW_INSERT &&
            change->row.relation.database == look->database &&
            catalog_row(&end, PG_CLASS, change->row.new, &row) && row_number(&row, "oid") == oid)
            return !catalog_find(&end, PG_CLASS, oid, &row);
    }
    return false;
}

/* True if the relation has owner and schema of that table, as each table has that a command makes
 * to rewrite it (make_new_heap, commands/cluster.c). Another user's does not. */
static bool has_owner_and_schema(CatalogSnapshot *look, const CatalogTuple *class, Oid table)
{
    CatalogTuple row;

    return catalog_find(look, PG_CLASS, table, &row) &&
           row_number(class, "relowner") == row_number(&row, "relowner") &&
           row_number(class, "relnamespace") == row_number(&row, "relnamespace");
}

Oid rewritten_table(CatalogSnapshot *look, const CatalogTuple *class)
{
    const char *name = row_name(look, class, "relname");
    TextCursor text = text_cursor(name != NULL ? name : "");
    Oid table;

    if (row_column(class, "relrewrite").bytes != NULL) /* exists in 11 and later */
        return row_number(class, "relrewrite");
    /* Users may make tables with such a name, too. */
    return text_take(&text, "pg_temp_") && text_take_u32(&text, &table) && text_at_end(&text) &&
                   has_owner_and_schema(look, class, table) &&
                   is_transient(look, row_number(class, "oid"))
               ? table
               : 0;
}

/* ---- The schema ---- */

Schema *schema_create(const Clusters *clusters, const RowChanges *changes)
{
    Arena *arena = arena_create();
    Schema *schema = arena_allocate(arena, sizeof(*schema));
    const Catalogs *storages = &changes->catalogs;

    *schema = (Schema){
        .arena = arena, .clusters = clusters, .row_changes = changes, .xact_number = UINT32_MAX};
    for (size_t i = 0; i < changes->count; i++)
        for (const LostChange *change = changes->commits[i].first; change != NULL;
             change = change->after)
        {
            const Oid oid = row_changes_catalog(changes, &change->row.relation);

            if (tells_schema(oid))
                ARRAY_ADD(schema->changes, schema->change_count,
                          (CatalogChange){oid, &changes->commits[i], change->row});
        }
    for (size_t i = 0; i < storages->count && schema->model == 0; i++)
    {
        const Oid database = storages->items[i].database;

        if (storages->items[i].oid == PG_ATTRIBUTE && database != 0 &&
            file_exists(clusters->target.directory,
                        arena_printf(arena, "base/%u/pg_filenode.map", database)))
            schema->model = database;
    }
    return schema;
}

void schema_free(Schema *schema)
{
    if (schema == NULL)
        return;
    for (size_t i = 0; i < schema->encoding_count; i++)
        encoding_close(schema->encodings[i].conversion);
    free(schema->encodings);
    for (size_t i = 0; i < schema->catalog_count; i++)
        free(schema->catalogs[i]->versions);
    free(schema->catalogs);
    free(schema->changes);
    free(schema->found);
    free(schema->names_before);
    buffer_free(&schema->xact);
    arena_destroy(schema->arena);
}

/* Returns the conversion to UTF-8 of the database's text; for shared catalogs, of names in the
 * encoding that all databases share. */
static iconv_t find_conversion(CatalogSnapshot *look)
{
    const uint64_t wanted = look->database != 0 ? look->database : KEY_ANY;
    Schema *schema = look->schema;
    uint32_t encoding = ENCODING_NONE;
    size_t position = 0;
    CatalogTuple row;

    for (size_t i = 0; i < schema->encoding_count; i++)
        if (schema->encodings[i].database == look->database)
            return schema->encodings[i].conversion;
    while (catalog_next(look, PG_DATABASE, wanted, &position, &row))
        encoding = encoding_of_shared(encoding, row_number(&row, "encoding"));
    if (encoding == ENCODING_NONE)
        return NO_CONVERSION;
    ARRAY_ADD(schema->encodings, schema->encoding_count,
              (DatabaseEncoding){look->database, encoding_open(encoding)});
    return schema->encodings[schema->encoding_count - 1].conversion;
}

CatalogSnapshot schema_snapshot(Schema *schema, Oid database, Moment moment)
{
    const LostCommit *own = moment.commit;
    CatalogSnapshot look = snapshot_at_end(schema, database);

    look.view = (CatalogView){.committed = changes_before(schema, moment.lsn, LSN_INVALID)};
    if (own != NULL && own->lsn >= moment.lsn)
    {
        const size_t start = changes_before(schema, own->lsn, LSN_INVALID);
        const size_t end = changes_before(schema, own->lsn, moment.lsn);

        if (start != end)
            look.view = (CatalogView){look.view.committed, start, end};
    }
    look.conversion = find_conversion(&look);
    look.seen = 0;
    return look;
}
