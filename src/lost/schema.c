#include "lost/schema.h"

#include "base/array.h"
#include "base/utf8.h"
#include "format/relpath.h"
#include "lost/base_types.h"

#include <stdlib.h>
#include <string.h>

/* OIDs of types: catalog/pg_type.dat. */
#define TYPE_NUMERIC 1700
#define TYPE_INTERVAL 1186
#define TYPE_BIT 1560
#define TYPE_BPCHAR 1042
#define TYPE_VARCHAR 1043

#define ARRAY_SUBSCRIPT_HANDLER 6179 /* OID of array_subscript_handler, catalog/pg_proc.dat */
#define VERSION_COLUMNS_MAX 1000000  /* some 150 bytes each */
#define PG_CATALOG 11                /* OID of schema pg_catalog */
#define VARLENA_HEADER 4
/* Offset, after the varlena header, of the values in an ArrayType of one dimension without nulls.
 */
#define ARRAY_AT_VALUES 20

/* A table or type in the cache. */
typedef struct Found
{
    RelationId id;    /* key: a table's storage; a type's OID, with tablespace 0 */
    CatalogView view; /* view of the last look-up */
    uint64_t seen;    /* hash over the rows from which the object was made */
    const void *object;
    const char *reason;
} Found;

/* A relation at the divergence. */
typedef struct RelationBefore
{
    const char *name, *schema;
    Oid oid;
} RelationBefore;

/* The relations of a database at the divergence, by name and schema. */
typedef struct NamesBefore
{
    Oid database;
    const RelationBefore *items;
    size_t count;
} NamesBefore;

/* ---- Names of types: format_type, utils/adt/format_type.c ---- */

/* Keywords that quote_identifier quotes: those that are not unreserved in any version from 9.3 to
 * 19 (utils/adt/ruleutils.c, parser/kwlist.h). */
static const char sql_keywords[] =
    " all analyse analyze and any array as asc asymmetric authorization between bigint "
    "binary bit boolean both case cast char character check coalesce collate collation "
    "column concurrently constraint create cross current_catalog current_date "
    "current_role current_schema current_time current_timestamp current_user dec "
    "decimal default deferrable desc distinct do else end except exists extract false "
    "fetch float for foreign freeze from full grant greatest group grouping having "
    "ilike in initially inner inout int integer intersect interval into is isnull join "
    "json json_array json_arrayagg json_exists json_object json_objectagg json_query "
    "json_scalar json_serialize json_table json_value lateral leading least left like "
    "limit localtime localtimestamp merge_action national natural nchar none normalize "
    "not notnull null nullif numeric offset on only or order out outer over overlaps "
    "overlay placing position precision primary real references returning right row "
    "select session_user setof similar smallint some substring symmetric system_user "
    "table tablesample then time timestamp to trailing treat trim true union unique "
    "user using values varchar variadic verbose when where window with xmlattributes "
    "xmlconcat xmlelement xmlexists xmlforest xmlnamespaces xmlparse xmlpi xmlroot "
    "xmlserialize xmltable ";

bool schema_words_have(const char *words, const char *word)
{
    AUTO_BUFFER Buffer between_blanks = {0};

    buffer_printf(&between_blanks, " %s ", word);
    return strstr(words, buffer_string(&between_blanks)) != NULL;
}

static bool needs_no_quotes(const char *name)
{
    return strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") == strlen(name) &&
           (*name < '0' || *name > '9');
}

const char *schema_quoted_name(Arena *arena, const char *name)
{
    AUTO_BUFFER Buffer quoted = {0};

    if (needs_no_quotes(name) && !schema_words_have(sql_keywords, name))
        return name;
    buffer_append_name(&quoted, name);
    return arena_strdup(arena, buffer_string(&quoted));
}

/* Returns the name of an interval type, like intervaltypmodout in utils/adt/timestamp.c. The upper
 * half of the modifier has a bit for each field. */
static const char *interval_name(Arena *arena, uint32_t modifier)
{
    static const char *const fields[] = {
        [2] = "year", [1] = "month", [3] = "day", [10] = "hour", [11] = "minute", [12] = "second"};
    static const int bits[] = {2, 1, 3, 10, 11, 12}; /* bits of the fields, longest field first */
    const uint32_t mask = modifier >> 16 & 0x7FFF, precision = modifier & 0xFFFF;
    const char *first = NULL, *last = NULL, *text = "interval";

    for (size_t i = 0; mask != 0x7FFF && i < sizeof(bits) / sizeof(bits[0]); i++)
        if (mask >> bits[i] & 1)
        {
            first = first == NULL ? fields[bits[i]] : first;
            last = fields[bits[i]];
        }
    if (first != NULL)
        text = arena_printf(arena, first == last ? "%s %s" : "%s %s to %s", text, first, last);
    return precision == 0xFFFF ? text : arena_printf(arena, "%s(%u)", text, precision);
}

/* Returns the name that the SQL standard has for the type, such as "character varying(10)"; NULL if
 * it has none. modifier: atttypmod, or -1. */
static const char *standard_name(Arena *arena, Oid type, int32_t modifier)
{
    const BaseType *base = base_type_find(type);
    const bool counts_header = type == TYPE_BPCHAR || type == TYPE_VARCHAR || type == TYPE_NUMERIC;
    const int32_t length = modifier - (counts_header ? VARLENA_HEADER : 0);

    if (base == NULL || base->name == NULL || (type == TYPE_BPCHAR && length < 0))
        return NULL;
    if (type == TYPE_BIT && modifier < 0)
        return "\"bit\"";
    if (type == TYPE_INTERVAL && modifier >= 0)
        return interval_name(arena, (uint32_t) modifier);
    if (modifier < 0 || length < 0)
        return arena_printf(arena, "%s%s", base->name, base->name_rest);
    if (type == TYPE_NUMERIC) /* the scale is a signed number of 11 bits */
        return arena_printf(arena, "numeric(%d,%d)", length >> 16 & 0xFFFF,
                            ((length & 0x7FF) ^ 1024) - 1024);
    return arena_printf(arena, "%s(%d)%s", base->name, length, base->name_rest);
}

/* Returns the OID of an array type's elements; 0 for other types, some of which have elements too,
 * like name, point and jsonb. */
static Oid array_element(const CatalogTuple *row)
{
    const Slice handler = row_column(row, "typsubscript"); /* exists in 14 and later */

    if ((int16_t) row_number(row, "typlen") != -1 ||
        (handler.bytes != NULL && row_number(row, "typsubscript") != ARRAY_SUBSCRIPT_HANDLER))
        return 0;
    return row_number(row, "typelem");
}

/* Returns the type of a column. Its text is without a modifier that only a function of the type can
 * write (rule L33). */
static ColumnType column_type(CatalogSnapshot *look, Oid oid, int32_t modifier)
{
    ColumnType type = {.text = "???", .modifier = modifier};
    CatalogTuple row;
    const char *text;
    bool is_builtin;
    Oid element;

    if (!catalog_find(look, PG_TYPE, oid, &row))
        return type;
    element = row_number(&row, "typelem");
    /* int2vector, name and point have elements as well, but are no arrays. */
    type.is_array = element != 0 && catalog_number(look, PG_TYPE, element, "typarray") == oid;
    if (type.is_array && catalog_find(look, PG_TYPE, element, &row))
        oid = element;
    is_builtin = row_number(&row, "typnamespace") == PG_CATALOG;
    type.schema = catalog_name(look, PG_NAMESPACE, row_number(&row, "typnamespace"), "nspname");
    type.name = row_name(look, &row, "typname");
    text = standard_name(look->arena, oid, modifier);
    if (text == NULL)
    {
        text = type.name != NULL ? type.name : "???";
        if (!is_builtin || !needs_no_quotes(text)) /* json is a keyword in 17 and later */
            text = schema_quoted_name(look->arena, text);
        if (!is_builtin && type.schema != NULL)
            text = arena_printf(look->arena, "%s.%s", schema_quoted_name(look->arena, type.schema),
                                text);
    }
    type.text = arena_printf(look->arena, "%s%s", text, type.is_array ? "[]" : "");
    return type;
}

/* ---- Columns ---- */

/* Returns the only element of the array attmissingval, in the form in which a row would store it.
 */
static Slice missing_value(CatalogSnapshot *look, const CatalogTuple *row, const Storage *storage)
{
    AUTO_BUFFER Buffer room = {0};
    const ToastReader none = {0};
    const Slice stored = row_column(row, "attmissingval");
    Slice array, value;
    const char *reason;
    Varlena varlena;

    if (stored.bytes == NULL || !varlena_parse(stored, &varlena, &reason) ||
        varlena.kind == VARLENA_EXTERNAL || !varlena_expand(stored, &none, &room, &array, &reason))
        return (Slice){0};
    Cursor cursor = cursor_over(array.bytes, array.size);
    cursor_skip(&cursor, ARRAY_AT_VALUES);
    if (cursor.failed)
        return (Slice){0};
    cursor = cursor_over(array.bytes + ARRAY_AT_VALUES, array.size - ARRAY_AT_VALUES);
    if (!storage_take(storage, &cursor, &value))
        return (Slice){0};
    return (Slice){arena_copy(look->arena, value.bytes, value.size), value.size};
}

/* Returns the text of the type that a domain, or a domain over domains, is made of; of another type
 * its own text. */
static const char *base_text(CatalogSnapshot *look, Oid oid, int32_t modifier)
{
    CatalogTuple row;

    for (int depth = 0;
         depth < 32 && catalog_find(look, PG_TYPE, oid, &row) && row_number(&row, "typtype") == 'd';
         depth++)
    {
        oid = row_number(&row, "typbasetype");
        modifier = (int32_t) row_number(&row, "typtypmod");
    }
    return column_type(look, oid, modifier).text;
}

/*
 * Read the columns of a relation. `types` and not_null are set for tables; both are NULL if the
 * relation is a type. Returns the number of columns, 0 if they are incomplete.
 */
static size_t read_attributes(CatalogSnapshot *look, const CatalogTuple *class,
                              const Attribute **attributes, const ColumnType **types,
                              bool *not_null)
{
    const size_t count = row_number(class, "relnatts");
    Attribute *all;
    ColumnType *all_types;
    size_t position = 0, done = 0;
    CatalogTuple row, collation;

    if (count > HEAP_TUPLE_ATTRIBUTES_MAX)
        return 0;
    *attributes = all = arena_allocate(look->arena, count * sizeof(*all));
    all_types = arena_allocate(look->arena, count * sizeof(*all_types));
    while (catalog_next(look, PG_ATTRIBUTE, row_number(class, "oid"), &position, &row))
    {
        const int32_t number = (int32_t) row_number(&row, "attnum");
        const char generated = (char) row_number(&row, "attgenerated");

        if (number < 1 || (size_t) number > count)
            continue;
        Attribute *attribute = &all[number - 1];
        attribute->name = row_name(look, &row, "attname");
        attribute->storage =
            (Storage){(int16_t) row_number(&row, "attlen"), (char) row_number(&row, "attalign")};
        attribute->missing = missing_value(look, &row, &attribute->storage);
        attribute->generated = generated != '\0';
        attribute->identity_always = (char) row_number(&row, "attidentity") == 'a';
        /* Collations that initdb creates are deterministic. */
        attribute->nondeterministic =
            row_number(&row, "attcollation") >= FIRST_NORMAL_OID &&
            catalog_find(look, PG_COLLATION, row_number(&row, "attcollation"), &collation) &&
            row_column(&collation, "collisdeterministic").bytes != NULL &&
            !row_number(&collation, "collisdeterministic");
        /* Rule L47: rows of a table have no value of a virtual column, but values of its row type
         * have one. */
        if (!row_number(&row, "attisdropped") && (types == NULL || generated != 'v'))
            attribute->type = row_number(&row, "atttypid");
        if (attribute->type != 0 && types != NULL)
        {
            const int32_t modifier = (int32_t) row_number(&row, "atttypmod");

            all_types[number - 1] = column_type(look, attribute->type, modifier);
            all_types[number - 1].base = base_text(look, attribute->type, modifier);
        }
        if (not_null != NULL)
            not_null[number - 1] = row_number(&row, "attnotnull") != 0;
        done += attribute->name != NULL;
    }
    if (types != NULL)
        *types = all_types;
    return done == count ? count : 0;
}

/* ---- Tables ---- */

/*
 * Set `unique` for the columns that a unique or exclusion index constrains; with an expression or a
 * predicate these are all columns. Returns a number that is higher the better the index is as a
 * key; 0: the index cannot be a key, since its columns may be equal in two rows.
 */
static int read_index(const CatalogTuple *index, Slice columns, const bool *not_null, bool *unique,
                      size_t attribute_count)
{
    const bool is_unique = row_number(index, "indisunique") != 0;
    const bool constrains = is_unique || row_number(index, "indisexclusion");
    const bool sees_all = row_column(index, "indexprs").bytes != NULL ||
                          row_column(index, "indpred").bytes != NULL || columns.size == 0;
    int rank = 1;

    if (row_number(index, "indisprimary"))
        rank = 3;
    else if (row_number(index, "indisreplident"))
        rank = 2;
    if (!is_unique || sees_all || !row_number(index, "indisvalid"))
        rank = 0;
    for (size_t i = 0; i < attribute_count; i++)
        unique[i] |= constrains && sees_all;
    for (size_t at = 0; at < columns.size; at += sizeof(uint16_t))
    {
        const size_t i = (size_t) load_u16(columns.bytes + at) - 1;

        if (i >= attribute_count || !not_null[i])
            rank = 0;
        if (i < attribute_count)
            unique[i] |= constrains;
    }
    return rank;
}

static void read_key(CatalogSnapshot *look, Table *table, const bool *not_null)
{
    bool *unique = arena_allocate(look->arena, table->attribute_count + 1);
    size_t position = 0;
    int best = 0;
    CatalogTuple index;

    table->unique = unique;
    while (catalog_next(look, PG_INDEX, table->oid, &position, &index))
    {
        const uint32_t key_count = row_number(&index, "indnkeyatts"); /* before 11 absent, 0: all */
        const size_t size =
            (key_count != 0 ? key_count : row_number(&index, "indnatts")) * sizeof(uint16_t);
        Slice columns = {0}; /* values of the int2vector indkey; empty if it is damaged */
        const char *reason;
        Varlena varlena;
        uint16_t *key;
        int rank;

        if (varlena_parse(row_column(&index, "indkey"), &varlena, &reason) &&
            varlena.kind == VARLENA_PLAIN && varlena.content.size >= ARRAY_AT_VALUES + size)
            columns = (Slice){varlena.content.bytes + ARRAY_AT_VALUES, size};
        rank = read_index(&index, columns, not_null, unique, table->attribute_count);
        table->refuses_on_conflict |= !row_number(&index, "indimmediate");
        if (rank <= best)
            continue;
        best = rank;
        table->key_count = columns.size / sizeof(*key);
        table->key = key = arena_allocate(look->arena, columns.size);
        for (size_t i = 0; i < table->key_count; i++)
            key[i] = load_u16(columns.bytes + i * sizeof(*key));
    }
}

RelationId schema_class_storage(CatalogSnapshot *look, const CatalogTuple *class)
{
    Oid tablespace = row_number(class, "reltablespace");

    if (tablespace == 0)
        tablespace = catalog_number(look, PG_DATABASE, look->database, "dattablespace");
    return (RelationId){tablespace != 0 ? tablespace : TABLESPACE_DEFAULT, look->database,
                        row_number(class, "relfilenode")};
}

bool schema_find_class(CatalogSnapshot *look, const RelationId *storage, CatalogTuple *class)
{
    const Oid catalog = row_changes_catalog(look->schema->row_changes, storage);
    size_t position = 0;

    if (catalog < FIRST_NORMAL_OID)
        return catalog_find(look, PG_CLASS, catalog, class);
    while (catalog_next(look, PG_CLASS, OTHER_KEY(storage->relation), &position, class))
    {
        RelationId own;

        if (!catalog_find(look, PG_CLASS, row_number(class, "oid"), class))
            continue;
        own = schema_class_storage(look, class);
        if (own.relation == storage->relation && own.tablespace == storage->tablespace)
            return true;
    }
    return false;
}

/* State of a table that a command rewrites: was_logged, if it was a logged table since the common
 * checkpoint; columns_changed, if the command's transaction changed columns. */
typedef struct BeforeRewrite
{
    bool was_logged, columns_changed;
} BeforeRewrite;

static BeforeRewrite before_rewrite(CatalogSnapshot *look, Oid table)
{
    BeforeRewrite before = {.was_logged =
                                catalog_number(look, PG_CLASS, table, "relpersistence") != 'u',
                            .columns_changed = catalog_changes_rows(look, PG_ATTRIBUTE, table)};
    const RowChange *change;
    size_t position = 0;

    while (!before.was_logged && catalog_next_change(look, PG_CLASS, table, &position, &change))
    {
        const Slice versions[] = {change->old, change->new};
        CatalogTuple row;

        for (int side = 0; side < 2; side++)
            if (catalog_row(look, PG_CLASS, versions[side], &row))
                before.was_logged |= row_number(&row, "relpersistence") != 'u';
    }
    return before;
}

/*
 * Rule L41: find out what the rows of class are, if it is the temporary table that a command fills
 * with the rows of another table. The rows of an unlogged table that becomes a logged one were
 * never in WAL before: they are INSERTs into it, and *class becomes its row. The rows of a command
 * that changes no column are a copy. Returns false for other rows, which may have new values, such
 * as those of a DEFAULT or of USING.
 */
static bool name_rewritten(CatalogSnapshot *look, CatalogTuple *class, bool *is_copy)
{
    const Oid table = row_number(class, "relkind") == 'r' ? rewritten_table(look, class) : 0;
    BeforeRewrite before;
    CatalogTuple row;

    if (table == 0 || !catalog_find(look, PG_CLASS, table, &row))
        return true;
    before = before_rewrite(look, table);
    if (!before.was_logged)
        *class = row;
    else if (row_number(&row, "relpersistence") != 'u' &&
             (row_number(&row, "relkind") != 'r' || !before.columns_changed))
        *is_copy = true;
    else
        return false;
    return true;
}

/* Returns the name of a role, empty if it is not known; NULL if the role is a superuser. */
static const char *ordinary_role(CatalogSnapshot *look, Oid oid)
{
    const char *name = catalog_name(look, PG_AUTHID, oid, "rolname");

    if (name == NULL || !utf8_is_valid(name))
        return "";
    return catalog_number(look, PG_AUTHID, oid, "rolsuper") ? NULL : name;
}

static const void *make_table(CatalogSnapshot *look, const RelationId *storage, const char **reason)
{
    Table *table = arena_allocate(look->arena, sizeof(*table));
    bool not_null[HEAP_TUPLE_ATTRIBUTES_MAX];
    CatalogSnapshot end =
        schema_snapshot(look->schema, look->database, (Moment){LSN_HIGHEST, NULL});
    CatalogTuple class, other;

    *reason = "the catalogs have no table with its storage";
    if (!schema_find_class(look, storage, &class))
        return NULL;
    *reason = "ALTER TABLE wrote the rows of its table again";
    if (!name_rewritten(look, &class, &table->is_copy))
        return NULL;
    table->oid = row_number(&class, "oid");
    table->database = storage->database;
    table->name = row_name(look, &class, "relname");
    table->schema = catalog_name(look, PG_NAMESPACE, row_number(&class, "relnamespace"), "nspname");
    table->owner = ordinary_role(look, row_number(&class, "relowner"));
    table->kind = (char) row_number(&class, "relkind");
    table->is_catalog = tells_schema(table->oid);
    table->is_dropped = !catalog_find(&end, PG_CLASS, table->oid, &other);
    *reason = "its storage is that of a relation without rows";
    if (table->kind == '\0' || strchr("rmt", table->kind) == NULL)
        return NULL;
    *reason = "the catalogs do not have all names and columns of its table";
    table->attribute_count =
        read_attributes(look, &class, &table->attributes, &table->types, not_null);
    if (table->attribute_count != row_number(&class, "relnatts") || table->name == NULL ||
        table->schema == NULL)
        return NULL;
    read_key(look, table, not_null);
    table->refuses_on_conflict |= row_number(&class, "relhasrules") != 0;
    return table;
}

/* ---- Types ---- */

static void read_labels(CatalogSnapshot *look, Type *type)
{
    EnumLabel *labels = NULL;
    size_t position = 0;
    CatalogTuple row;

    while (catalog_next(look, PG_ENUM, type->oid, &position, &row))
    {
        const char *label = row_name(look, &row, "enumlabel");

        if (label != NULL)
            ARRAY_ADD(labels, type->label_count, (EnumLabel){row_number(&row, "oid"), label});
    }
    type->labels = arena_copy(look->arena, labels, type->label_count * sizeof(*labels));
    free(labels);
}

static const void *make_type(CatalogSnapshot *look, const RelationId *id, const char **reason)
{
    Type *type = arena_allocate(look->arena, sizeof(*type));
    CatalogTuple row, more;

    look->conversion = NO_CONVERSION; /* labels become parts of values, which are converted later */
    *reason = "the catalogs do not have the type";
    if (!catalog_find(look, PG_TYPE, id->relation, &row))
        return NULL;
    type->oid = id->relation;
    type->name = row_name(look, &row, "typname");
    type->schema = catalog_name(look, PG_NAMESPACE, row_number(&row, "typnamespace"), "nspname");
    type->kind = (char) row_number(&row, "typtype");
    type->delimiter = (char) row_number(&row, "typdelim");
    type->storage =
        (Storage){(int16_t) row_number(&row, "typlen"), (char) row_number(&row, "typalign")};
    if (type->kind == 'b')
        type->inner = array_element(&row);
    else if (type->kind == 'd')
        type->inner = row_number(&row, "typbasetype");
    else if (type->kind == 'r')
        type->inner = catalog_number(look, PG_RANGE, type->oid, "rngsubtype");
    else if (type->kind == 'm')
        type->inner = catalog_number(look, PG_RANGE, OTHER_KEY(type->oid), "rngtypid");
    else if (type->kind == 'e')
        read_labels(look, type);
    else if (type->kind == 'c' && catalog_find(look, PG_CLASS, row_number(&row, "typrelid"), &more))
        type->attribute_count = read_attributes(look, &more, &type->attributes, NULL, NULL);
    return type->name != NULL ? type : NULL;
}

/* ---- Cache of tables and types ---- */

static int compare_found(const void *key, const void *item)
{
    return memcmp(key, &((const Found *) item)->id, sizeof(RelationId));
}

typedef const void *(*Maker)(CatalogSnapshot *look, const RelationId *id, const char **reason);

/*
 * Rule L26: each version of a table's columns stays in memory, since rows of that time point to it,
 * and a user can make one with each ALTER TABLE. Returns false once all versions together have too
 * many columns.
 */
static bool may_keep_version(Schema *schema, const Table *former)
{
    schema->version_columns += former != NULL ? former->attribute_count : 0;
    return schema->version_columns <= VERSION_COLUMNS_MAX;
}

/* Returns the table or type from the cache; made at the first call, and again if the catalogs' rows
 * that it was made of have changed since. Objects that initdb created do not change. */
static const void *find_or_make(Schema *schema, const RelationId *id, Oid oid, Moment moment,
                                Maker make, const char **reason)
{
    bool is_known;
    const size_t index = array_search(id, schema->found, schema->found_count,
                                      sizeof(*schema->found), compare_found, &is_known);
    Found *found;
    AUTO_ARENA Arena *scratch = NULL;
    CatalogSnapshot look;

    if (!is_known)
        ARRAY_INSERT(schema->found, schema->found_count, index,
                     (Found){.id = *id, .view.own_end = SIZE_MAX});
    found = &schema->found[index];
    *reason = found->reason;
    if (is_known && oid < FIRST_NORMAL_OID)
        return found->object;
    look = schema_snapshot(schema, id->database, moment);
    if (memcmp(&found->view, &look.view, sizeof(look.view)) == 0)
        return found->object;
    if (is_known)
    {
        look.arena = scratch = arena_create();
        (void) make(&look, id, reason);
    }
    if (is_known && found->seen != look.seen && make == make_table &&
        !may_keep_version(schema, found->object))
    {
        found->object = NULL;
        found->reason = "ALTER TABLE changed the columns of tables too often";
        found->seen = look.seen;
    }
    else if (!is_known || found->seen != look.seen)
    {
        look = schema_snapshot(schema, id->database, moment);
        found->object = make(&look, id, &found->reason);
        found->seen = look.seen;
    }
    found->view = look.view;
    *reason = found->reason;
    return found->object;
}

const Table *schema_table(Schema *schema, const RelationId *storage, Moment moment,
                          const char **reason)
{
    const Oid oid = row_changes_catalog(schema->row_changes, storage);

    if (oid >= FIRST_NORMAL_OID &&
        former_catalogs_unsure(&schema->row_changes->former, storage->database, moment.lsn))
    {
        *reason =
            "a catalog of its database was rewritten later, and its rows before are not known";
        return NULL;
    }
    return find_or_make(schema, storage, oid, moment, make_table, reason);
}

/* ---- Tables at the divergence ---- */

static int compare_names(const void *left, const void *right)
{
    const RelationBefore *a = left, *b = right;
    const int names = strcmp(a->name, b->name);

    return names != 0 ? names : strcmp(a->schema, b->schema);
}

/* Returns the names of a database's relations in that view. Rule L48: pg_class is read once, not
 * for each table that a lost transaction made. */
static const NamesBefore *find_names(CatalogSnapshot *look)
{
    Schema *schema = look->schema;
    NamesBefore names = {.database = look->database};
    RelationBefore *items = NULL;
    size_t position = 0;
    CatalogTuple row;

    for (size_t i = 0; i < schema->names_before_count; i++)
        if (schema->names_before[i].database == look->database)
            return &schema->names_before[i];
    while (catalog_next(look, PG_CLASS, KEY_ANY, &position, &row))
    {
        const RelationBefore relation = {
            .name = row_name(look, &row, "relname"),
            .schema = catalog_name(look, PG_NAMESPACE, row_number(&row, "relnamespace"), "nspname"),
            .oid = row_number(&row, "oid")};

        if (relation.name != NULL && relation.schema != NULL)
            ARRAY_ADD(items, names.count, relation);
    }
    ARRAY_SORT(items, names.count, compare_names);
    names.items = arena_copy(look->arena, items, names.count * sizeof(*items));
    free(items);
    ARRAY_ADD(schema->names_before, schema->names_before_count, names);
    return &schema->names_before[schema->names_before_count - 1];
}

TableBefore schema_table_before(Schema *schema, const Table *table, Lsn divergence)
{
    const Moment moment = {divergence, NULL};
    const RelationBefore wanted = {.name = table->name, .schema = table->schema};
    CatalogSnapshot look = schema_snapshot(schema, table->database, moment);
    const NamesBefore *names;
    const RelationBefore *found;
    CatalogTuple row;

    if (catalog_find(&look, PG_CLASS, table->oid, &row))
        return (TableBefore){true, table->oid, row_number(&row, "relnatts")};
    names = find_names(&look);
    found = ARRAY_FIND(&wanted, names->items, names->count, compare_names);
    return (TableBefore){.number = found != NULL ? found->oid : 0};
}

const Type *schema_type(Schema *schema, Oid database, Oid type, Moment moment)
{
    const RelationId id = {.database = database, .relation = type};
    const char *reason;

    return find_or_make(schema, &id, type, moment, make_type, &reason);
}

const char *schema_database(Schema *schema, Oid database, Moment moment, bool as_stored)
{
    CatalogSnapshot look = schema_snapshot(schema, 0, moment);

    if (as_stored)
        look.conversion = NO_CONVERSION;
    return catalog_name(&look, PG_DATABASE, database, "datname");
}
