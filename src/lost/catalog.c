#include "lost/catalog.h"

#include "base/array.h"
#include "base/log.h"
#include "format/page.h"
#include "format/relpath.h"
#include "io/open_file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* HeapTupleHeaderData, access/htup_details.h */
#define XMIN_COMMITTED 0x0100 /* with XMIN_INVALID: frozen */
#define XMIN_INVALID 0x0200
#define XMAX_COMMITTED 0x0400
#define XMAX_INVALID 0x0800
#define XMAX_LOCK_ONLY 0x0080
#define XMAX_EXCLUSIVE_LOCK 0x0040 /* alone: a lock by 9.2 or before */

/* access/transam.h, access/transam/clog.c, access/slru.h */
#define FIRST_NORMAL_XID 3
#define XIDS_PER_BYTE 4
#define XACT_COMMITTED 1
#define SLRU_SEGMENT_PAGES 32

/* One change of a row, or the row as it is on the disk. */
typedef struct RowVersion
{
    uint64_t key;
    uint32_t part;   /* of the key */
    uint32_t change; /* 1 + the index of the CatalogChange; 0: on the disk */
    Slice before, after;
} RowVersion;

typedef struct Catalog
{
    Oid database, oid;
    Attribute attributes[CATALOG_COLUMNS_MAX];
    size_t attribute_count;
    bool has_rows;        /* they were read */
    RowVersion *versions; /* by key, part, change */
    size_t count;
} Catalog;

struct CatalogReader
{
    const Clusters *clusters;
    const RowChanges *row_changes;
    Arena *arena;
    const Catalogs *storages;
    CatalogChange *changes;
    size_t change_count;
    Catalog **catalogs;
    size_t catalog_count;
    Oid model;   /* a database whose pg_attribute describes the shared catalogs, too */
    Buffer xact; /* the file of pg_xact with that number */
    uint32_t xact_number;
};

static const Catalog *open_catalog(CatalogReader *reader, Oid database, Oid oid, bool with_rows);

/* ---- Changes ---- */

static void add_change(CatalogReader *reader, const LostCommit *commit, const RowChange *change)
{
    const Oid oid = row_changes_catalog(reader->row_changes, &change->relation);

    if (tells_schema(oid))
        ARRAY_ADD(reader->changes, reader->change_count, (CatalogChange){oid, commit, *change});
}

const CatalogChange *catalog_changes(const CatalogReader *reader)
{
    return reader->changes;
}

Oid catalog_of_storage(const CatalogReader *reader, const RelationId *storage)
{
    return row_changes_catalog(reader->row_changes, storage);
}

static int compare_changes(const void *left, const void *right)
{
    const CatalogChange *a = left, *b = right;

    if (a->commit->lsn != b->commit->lsn)
        return a->commit->lsn < b->commit->lsn ? -1 : 1;
    return (a->row.lsn > b->row.lsn) - (a->row.lsn < b->row.lsn);
}

static size_t changes_before(const CatalogReader *reader, Lsn commit, Lsn lsn)
{
    const CatalogChange key = {.commit = &(LostCommit){.lsn = commit}, .row.lsn = lsn};

    return ARRAY_FIRST(&key, reader->changes, reader->change_count, compare_changes);
}

CatalogView catalog_view(const CatalogReader *reader, Moment moment)
{
    CatalogView view = {.committed = changes_before(reader, moment.lsn, LSN_INVALID)};

    if (moment.commit == NULL || moment.commit->lsn < moment.lsn)
        return view;
    view.own_start = changes_before(reader, moment.commit->lsn, LSN_INVALID);
    view.own_end = changes_before(reader, moment.commit->lsn, moment.lsn);
    if (view.own_start == view.own_end)
        view.own_start = view.own_end = 0;
    return view;
}

/* The catalogs as all transactions left them. */
static CatalogLook look_at_end(CatalogReader *reader, Oid database)
{
    return (CatalogLook){.reader = reader,
                         .database = database,
                         .view.committed = reader->change_count,
                         .conversion = NO_CONVERSION,
                         .arena = reader->arena};
}

static bool is_visible(const CatalogView *view, const RowVersion *version)
{
    const size_t index = version->change - 1;

    return version->change > 0 &&
           (index < view->committed || (index >= view->own_start && index < view->own_end));
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

const char *row_name(CatalogLook *look, const CatalogTuple *row, const char *column)
{
    const Slice value = row_column(row, column);
    const char *name = (const char *) value.bytes;

    return name != NULL
               ? encoding_name(look->conversion, name, strnlen(name, value.size), look->arena)
               : NULL;
}

static int compare_key(const void *key, const void *item)
{
    const uint64_t number = *(const uint64_t *) key;
    const RowVersion *version = item;

    return (number > version->key) - (number < version->key);
}

static bool next_row(const Catalog *catalog, const CatalogView *view, size_t *position,
                     CatalogTuple *row)
{
    while (*position < catalog->count)
    {
        const RowVersion *first = &catalog->versions[*position], *version = first;
        const RowVersion *end = catalog->versions + catalog->count;
        Slice tuple = first->before;

        for (; version < end && version->key == first->key && version->part == first->part;
             version++)
            if (is_visible(view, version))
                tuple = version->after;
        *position = (size_t) (version - catalog->versions);
        if (split_row(catalog, tuple, row))
            return true;
    }
    return false;
}

bool catalog_next(CatalogLook *look, Oid oid, uint64_t key, size_t *position, CatalogTuple *row)
{
    const Catalog *catalog = open_catalog(look->reader, look->database, oid, true);

    if (*position == 0 && key != KEY_ANY)
        *position = ARRAY_FIRST(&key, catalog->versions, catalog->count, compare_key);
    if (!next_row(catalog, &look->view, position, row))
        return false;
    const uint64_t found = catalog->versions[*position - 1].key;
    if (key == KEY_ANY ? found > UINT32_MAX : found != key)
        return false;
    look->seen = (look->seen ^ (uintptr_t) row->tuple.bytes) * 0x100000001B3u;
    return true;
}

bool catalog_find(CatalogLook *look, Oid catalog, uint64_t key, CatalogTuple *row)
{
    size_t position = 0;

    return catalog_next(look, catalog, key, &position, row);
}

const char *catalog_name(CatalogLook *look, Oid catalog, uint64_t key, const char *column)
{
    CatalogTuple row;

    return catalog_find(look, catalog, key, &row) ? row_name(look, &row, column) : NULL;
}

uint32_t catalog_number(CatalogLook *look, Oid catalog, uint64_t key, const char *column)
{
    CatalogTuple row;

    return catalog_find(look, catalog, key, &row) ? row_number(&row, column) : 0;
}

bool catalog_row(CatalogLook *look, Oid catalog, Slice tuple, CatalogTuple *row)
{
    return split_row(open_catalog(look->reader, look->database, catalog, false), tuple, row);
}

Oid rewritten_table(const char *name)
{
    TextCursor text = text_cursor(name);
    Oid table;

    return text_take(&text, "pg_temp_") && text_take_u32(&text, &table) && text_at_end(&text)
               ? table
               : 0;
}

/* ---- The target's files ---- */

static void read_xact_file(CatalogReader *reader, uint32_t number)
{
    AUTO_BUFFER Buffer path = {0};
    Error error;
    bool found;

    buffer_printf(&path, "%s/%s/%04X", reader->clusters->target.directory,
                  reader->clusters->shape.version->xact_directory, number);
    buffer_clear(&reader->xact);
    reader->xact_number = number;
    if (!file_read_all(buffer_string(&path), SLRU_SEGMENT_PAGES * PAGE_SIZE_MAX, &reader->xact,
                       &found, &error))
        log_debug("%s", error.message);
}

static bool xid_is_committed(CatalogReader *reader, uint32_t xid)
{
    const uint32_t file_xids =
        SLRU_SEGMENT_PAGES * reader->clusters->target.control.block_size * XIDS_PER_BYTE;
    const uint32_t at = xid % file_xids / XIDS_PER_BYTE;

    if (xid < FIRST_NORMAL_XID)
        return xid != 0;
    if (row_changes_committed(reader->row_changes, xid))
        return true;
    if (reader->xact_number != xid / file_xids)
        read_xact_file(reader, xid / file_xids);
    return at < reader->xact.size &&
           (reader->xact.bytes[at] >> xid % XIDS_PER_BYTE * 2 & 3) == XACT_COMMITTED;
}

/*
 * The row was there at the end of the WAL, unless a lost transaction deleted it. Of a row that some
 * transactions lock while another one changes it, pg_multixact would tell whether that committed:
 * it counts as changed.
 */
static bool tuple_is_live(CatalogReader *reader, Slice tuple)
{
    const uint32_t xmin = load_u32(tuple.bytes + ROW_AT_XMIN);
    const uint32_t xmax = load_u32(tuple.bytes + ROW_AT_XMAX);
    const uint16_t flags = load_u16(tuple.bytes + ROW_AT_INFOMASK);

    if ((flags & (XMIN_COMMITTED | XMIN_INVALID)) == XMIN_INVALID ||
        (!(flags & XMIN_COMMITTED) && !xid_is_committed(reader, xmin)))
        return false;
    if ((flags & (XMAX_INVALID | XMAX_LOCK_ONLY)) ||
        (flags & (ROW_XMAX_IS_MULTI | XMAX_EXCLUSIVE_LOCK | XMAX_LOCK_ONLY)) == XMAX_EXCLUSIVE_LOCK)
        return true;
    return !(flags & (XMAX_COMMITTED | ROW_XMAX_IS_MULTI)) && !xid_is_committed(reader, xmax);
}

typedef void (*TupleVisitor)(CatalogReader *reader, Catalog *catalog, Slice tuple);

static bool visit_file(CatalogReader *reader, Catalog *catalog, const RelationId *storage,
                       TupleVisitor visit, Error *error)
{
    const Target *target = &reader->clusters->target;
    uint8_t page[PAGE_SIZE_MAX];
    OpenFile file;
    bool good = true, found = true;

    open_file_init(&file, NULL);
    for (BlockNumber block = 0; good && found; block++)
    {
        HeapImage image = {0};

        good = target_read_page(target, &file, storage, block, page, &found, error);
        if (!good || !found || !heap_image_over(page, target->control.block_size, &image))
            continue;
        for (uint16_t item = 1; item <= image.item_count; item++)
        {
            const Slice tuple = heap_image_row(&image, item);

            if (tuple.bytes != NULL)
                visit(reader, catalog, tuple);
        }
    }
    open_file_close(&file);
    return good;
}

/* ---- Catalogs ---- */

/* A column by its row of pg_attribute, which begins with columns of fixed lengths: that catalog
 * describes itself, too. */
static void add_attribute(CatalogReader *reader, Catalog *catalog, Slice tuple)
{
    const Version *version = reader->clusters->shape.version;
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
        arena_strndup(reader->arena, (const char *) name, strnlen((const char *) name, 64));
    if (cursor.failed || number < 1 || number > CATALOG_COLUMNS_MAX)
        return;
    catalog->attributes[number - 1] = attribute;
    if ((size_t) number > catalog->attribute_count)
        catalog->attribute_count = (size_t) number;
}

typedef struct KeyColumns
{
    Oid catalog;
    const char *key, *part, *other; /* "": none */
} KeyColumns;

static const KeyColumns *find_key_columns(Oid catalog)
{
    static const KeyColumns keys[] = {{PG_ATTRIBUTE, "attrelid", "attnum", ""},
                                      {PG_INDEX, "indrelid", "indexrelid", "indexrelid"},
                                      {PG_ENUM, "enumtypid", "oid", ""},
                                      {PG_RANGE, "rngtypid", "", "rngmultitypid"},
                                      {PG_CLASS, "oid", "", "relfilenode"},
                                      {0, "oid", "", ""}};
    const KeyColumns *key = keys;

    while (key->catalog != 0 && key->catalog != catalog)
        key++;
    return key;
}

static bool find_key(const CatalogTuple *row, RowVersion *version)
{
    const KeyColumns *columns = find_key_columns(row->catalog);

    version->key = row_number(row, columns->key);
    version->part = row_number(row, columns->part);
    return version->key != 0;
}

/* Columns of tables are not asked for if only changes of catalogs were read. They are most rows
 * of pg_attribute, which begin with attrelid. */
static bool is_column_of_table(const CatalogReader *reader, const Catalog *catalog, Slice tuple)
{
    Cursor cursor = slice_cursor(tuple);

    if (catalog->oid != PG_ATTRIBUTE || !reader->row_changes->catalogs_alone)
        return false;
    cursor_seek(&cursor, ROW_AT_DATA_OFFSET);
    cursor_seek(&cursor, cursor_u8(&cursor));
    return cursor_u32(&cursor) >= FIRST_NORMAL_OID;
}

/* Under its key, and under the other one, which its two rows may have different. */
static void add_version(Catalog *catalog, RowVersion version)
{
    const char *other = find_key_columns(catalog->oid)->other;
    const Slice rows[] = {version.before, version.after};
    CatalogTuple row;

    ARRAY_ADD(catalog->versions, catalog->count, version);
    version.part = (uint32_t) version.key;
    for (int i = 0; i < 2 && other[0] != '\0'; i++)
        if (split_row(catalog, rows[i], &row) && version.key != OTHER_KEY(row_number(&row, other)))
        {
            version.key = OTHER_KEY(row_number(&row, other));
            ARRAY_ADD(catalog->versions, catalog->count, version);
        }
}

static void add_disk_tuple(CatalogReader *reader, Catalog *catalog, Slice tuple)
{
    RowVersion version = {0};
    CatalogTuple row;

    if (is_column_of_table(reader, catalog, tuple) || !tuple_is_live(reader, tuple) ||
        !split_row(catalog, tuple, &row) || !find_key(&row, &version))
        return;
    version.before = (Slice){arena_copy(reader->arena, tuple.bytes, tuple.size), tuple.size};
    add_version(catalog, version);
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

/* A row that a lost transaction changed is not taken from the disk. */
static void add_changes(CatalogReader *reader, Catalog *catalog)
{
    size_t kept = 0;

    for (size_t i = 0; i < reader->change_count; i++)
    {
        const CatalogChange *change = &reader->changes[i];
        RowVersion version = {
            .change = (uint32_t) i + 1, .before = change->row.old, .after = change->row.new};
        CatalogTuple row;

        if (change->row.relation.database == catalog->database && change->catalog == catalog->oid &&
            (split_row(catalog, version.after, &row) || split_row(catalog, version.before, &row)) &&
            find_key(&row, &version))
            add_version(catalog, version);
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

static Oid map_storage(const CatalogReader *reader, Oid database, Oid oid)
{
    for (size_t i = 0; i < reader->storages->count; i++)
        if (reader->storages->items[i].database == database &&
            reader->storages->items[i].oid == oid)
            return reader->storages->items[i].filenode;
    return 0;
}

/* Shared catalogs and these two are in a map. 0: not found. */
static Oid find_filenode(CatalogReader *reader, Oid database, Oid oid)
{
    CatalogLook look = look_at_end(reader, database);
    Oid filenode = 0;

    if (database != 0 && oid != PG_CLASS && oid != PG_ATTRIBUTE)
        filenode = catalog_number(&look, PG_CLASS, oid, "relfilenode");
    return filenode != 0 ? filenode : map_storage(reader, database, oid);
}

static Oid find_tablespace(CatalogReader *reader, Oid database)
{
    CatalogLook look = look_at_end(reader, database);
    Oid tablespace = 0;

    if (database == 0)
        return TABLESPACE_GLOBAL;
    if (database != reader->model)
        tablespace = catalog_number(&look, PG_DATABASE, database, "dattablespace");
    return tablespace != 0 ? tablespace : TABLESPACE_DEFAULT;
}

static bool visit_catalog(CatalogReader *reader, Catalog *catalog, TupleVisitor visit)
{
    const RelationId storage = {find_tablespace(reader, catalog->database), catalog->database,
                                find_filenode(reader, catalog->database, catalog->oid)};
    Error error = {0};

    if (storage.relation == 0 || visit_file(reader, catalog, &storage, visit, &error))
        return true;
    log_warning("could not read the names of tables and columns: %s", error.message);
    return false;
}

static void read_columns(CatalogReader *reader, Catalog *catalog)
{
    CatalogLook look = look_at_end(reader, catalog->database);
    size_t position = 0;
    CatalogTuple row;

    if (catalog->oid ==
        PG_ATTRIBUTE) /* where that fails, the file is not read for its rows either */
        catalog->has_rows = !visit_catalog(reader, catalog, add_attribute);
    else
        while (catalog_next(&look, PG_ATTRIBUTE, catalog->oid, &position, &row))
            add_attribute(reader, catalog, row.tuple);
    for (size_t i = 0; i < catalog->attribute_count; i++)
        if (catalog->attributes[i].name == NULL) /* damaged: rows cannot be split */
            catalog->attribute_count = 0;
}

bool catalog_gives_storage(CatalogLook *look, Oid filenode, bool made)
{
    const Catalog *pg_class = open_catalog(look->reader, look->database, PG_CLASS, true);
    const uint64_t key = OTHER_KEY(filenode);

    for (size_t i = ARRAY_FIRST(&key, pg_class->versions, pg_class->count, compare_key);
         i < pg_class->count && pg_class->versions[i].key == key; i++)
    {
        const RowVersion *version = &pg_class->versions[i];
        CatalogTuple row;

        if (version->change > look->view.own_start && version->change <= look->view.own_end &&
            split_row(pg_class, version->after, &row) &&
            row_number(&row, "relfilenode") == filenode &&
            (!made || look->reader->changes[version->change - 1].row.kind == ROW_INSERT))
            return true;
    }
    return false;
}

/* The columns are enough for a row whose bytes are at hand. */
static const Catalog *open_catalog(CatalogReader *reader, Oid database, Oid oid, bool with_rows)
{
    Catalog *catalog = NULL;

    if (database == 0)
        database = reader->model;
    for (size_t i = 0; i < reader->catalog_count && catalog == NULL; i++)
        if (reader->catalogs[i]->oid == oid &&
            (reader->catalogs[i]->database == database || reader->catalogs[i]->database == 0))
            catalog = reader->catalogs[i];
    if (catalog == NULL)
    {
        catalog = arena_allocate(reader->arena, sizeof(*catalog));
        catalog->database = map_storage(reader, 0, oid) != 0 ? 0 : database;
        catalog->oid = oid;
        ARRAY_ADD(reader->catalogs, reader->catalog_count, catalog);
        read_columns(reader, catalog);
    }
    if (with_rows && !catalog->has_rows)
    {
        catalog->has_rows = true;
        (void) visit_catalog(reader, catalog, add_disk_tuple);
        add_changes(reader, catalog);
    }
    return catalog;
}

/* Any database whose directory is known will do. */
static Oid find_model(const CatalogReader *reader)
{
    for (size_t i = 0; i < reader->storages->count; i++)
    {
        const CatalogStorage *item = &reader->storages->items[i];

        if (item->oid == PG_ATTRIBUTE && item->database != 0 &&
            file_exists(reader->clusters->target.directory,
                        arena_printf(reader->arena, "base/%u/pg_filenode.map", item->database)))
            return item->database;
    }
    return 0;
}

CatalogReader *catalog_reader_create(const Clusters *clusters, const RowChanges *changes)
{
    Arena *arena = arena_create();
    CatalogReader *reader = arena_allocate(arena, sizeof(*reader));

    *reader = (CatalogReader){.arena = arena,
                              .clusters = clusters,
                              .row_changes = changes,
                              .storages = &changes->catalogs,
                              .xact_number = UINT32_MAX};
    for (size_t i = 0; i < changes->count; i++)
        for (const LostChange *change = changes->commits[i].first; change != NULL;
             change = change->after)
            add_change(reader, &changes->commits[i], &change->row);
    reader->model = find_model(reader);
    return reader;
}

void catalog_reader_free(CatalogReader *reader)
{
    for (size_t i = 0; i < reader->catalog_count; i++)
        free(reader->catalogs[i]->versions);
    free(reader->catalogs);
    free(reader->changes);
    buffer_free(&reader->xact);
    arena_destroy(reader->arena);
}
