#include "lost/schema.h"

#include "base/array.h"

#include <stdlib.h>
#include <string.h>

#define PG_PROC 1255
#define PG_DEPEND 2608
#define PG_DESCRIPTION 2609
#define PG_SHDESCRIPTION 2396

/* Objects that a catalog has the rows of. */
typedef struct Kind
{
    Oid catalog; /* catalog/pg_*.h */
    const char *noun;
    const char *name, *schema; /* columns; NULL: the objects have none */
} Kind;

static const Kind kinds[] = {
    {PG_CLASS, "", "relname", "relnamespace"},
    {PG_TYPE, "TYPE", "typname", "typnamespace"},
    {PG_PROC, "FUNCTION", "proname", "pronamespace"},
    {PG_NAMESPACE, "SCHEMA", "nspname", NULL},
    {PG_AUTHID, "ROLE", "rolname", NULL},
    {PG_DATABASE, "DATABASE", "datname", NULL},
    {1213, "TABLESPACE", "spcname", NULL},
    {2620, "TRIGGER", "tgname", NULL},
    {3256, "POLICY", "polname", NULL},
    {3079, "EXTENSION", "extname", NULL},
    {6104, "PUBLICATION", "pubname", NULL},
    {6100, "SUBSCRIPTION", "subname", NULL},
    {3466, "EVENT TRIGGER", "evtname", NULL},
    {1417, "SERVER", "srvname", NULL},
    {2328, "FOREIGN DATA WRAPPER", "fdwname", NULL},
    {1418, "USER MAPPING", NULL, NULL},
    {3381, "STATISTICS", "stxname", "stxnamespace"},
    {2617, "OPERATOR", "oprname", "oprnamespace"},
    {2616, "OPERATOR CLASS", "opcname", "opcnamespace"},
    {2753, "OPERATOR FAMILY", "opfname", "opfnamespace"},
    {PG_COLLATION, "COLLATION", "collname", "collnamespace"},
    {2607, "CONVERSION", "conname", "connamespace"},
    {2605, "CAST", NULL, NULL},
    {2612, "LANGUAGE", "lanname", NULL},
    {2601, "ACCESS METHOD", "amname", NULL},
    {3600, "TEXT SEARCH DICTIONARY", "dictname", "dictnamespace"},
    {3602, "TEXT SEARCH CONFIGURATION", "cfgname", "cfgnamespace"},
    {826, "DEFAULT PRIVILEGES", NULL, NULL},
    {2995, "LARGE OBJECT", NULL, NULL},
};

typedef enum Flag
{
    FLAG_MADE = 1,
    FLAG_GONE = 2,
    FLAG_ALTERED = 4,
    FLAG_GRANTED = 8,
    FLAG_COMMENTED = 16,
    FLAG_EMPTIED = 32,   /* the relation got another storage */
    FLAG_REWRITTEN = 64, /* a command filled the new storage */
    FLAG_PART = 128,     /* the object is a part of another object */
    FLAG_TRUNCATED = 256 /* a TRUNCATE emptied the table */
} Flag;

/* Returns the kind of object of which the catalog has the rows; NULL: of none. */
static const Kind *find_kind(Oid catalog)
{
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (kinds[i].catalog == catalog)
            return &kinds[i];
    return NULL;
}

/* Rows that belong to an object of another catalog. */
static const struct Part
{
    Oid catalog;
    const char *owner; /* column with the object's number */
    Oid owner_catalog; /* catalog of the owner; 0: the row's column classoid has it */
    Flag flag;         /* what a change does to the object */
} parts[] = {
    {PG_ATTRIBUTE, "attrelid", PG_CLASS, FLAG_ALTERED},
    {2604, "adrelid", PG_CLASS, FLAG_ALTERED},
    {2606, "conrelid", PG_CLASS, FLAG_ALTERED},
    {2606, "contypid", PG_TYPE, FLAG_ALTERED},
    {2224, "seqrelid", PG_CLASS, FLAG_ALTERED},
    {2611, "inhrelid", PG_CLASS, FLAG_ALTERED},
    {2618, "ev_class", PG_CLASS, FLAG_ALTERED},
    {PG_ENUM, "enumtypid", PG_TYPE, FLAG_ALTERED},
    {6106, "prpubid", 6104, FLAG_ALTERED},
    {6237, "pnpubid", 6104, FLAG_ALTERED},
    {1261, "roleid", PG_AUTHID, FLAG_GRANTED},
    {2964, "setrole", PG_AUTHID, FLAG_ALTERED},
    {2964, "setdatabase", PG_DATABASE, FLAG_ALTERED},
    {PG_DESCRIPTION, "objoid", 0, FLAG_COMMENTED},
    {PG_SHDESCRIPTION, "objoid", 0, FLAG_COMMENTED},
};

/* An object that a transaction changed. */
typedef struct Object
{
    Oid catalog, oid;
    unsigned flags;
    Oid database;
    Lsn lsn; /* LSN of the first change */
} Object;

typedef struct Objects
{
    Object *items; /* by catalog and number */
    size_t count;
} Objects;

/* ---- Changes of rows ---- */

static unsigned flags_of_update(const CatalogTuple *old, const CatalogTuple *new)
{
    /* Columns of statistics, or such as change with something else. */
    static const char passed_over[] =
        " relpages reltuples relallvisible relallfrozen relfrozenxid relminmxid relhasindex "
        "relhasrules relhastriggers relhassubclass reltoastrelid relispopulated datfrozenxid "
        "datminmxid atthasmissing attmissingval ";
    const bool moves = row_number(old, "reltablespace") != row_number(new, "reltablespace");
    unsigned flags = 0;

    for (size_t i = 0; i < new->column_count; i++)
    {
        const char *column = new->columns[i].name;
        const Slice *a = &old->values[i], *b = &new->values[i];

        if ((a->bytes == NULL) == (b->bytes == NULL) && a->size == b->size &&
            (a->size == 0 || memcmp(a->bytes, b->bytes, a->size) == 0))
            continue;
        if (strcmp(column, "relfilenode") == 0)
            flags |= moves ? FLAG_ALTERED : FLAG_EMPTIED;
        else if (text_ends_with(column, "acl"))
            flags |= FLAG_GRANTED;
        else if (!schema_words_have(passed_over, column))
            flags |= FLAG_ALTERED;
    }
    return flags;
}

static void add_object(Objects *objects, const CatalogChange *change, Oid catalog, Oid oid,
                       unsigned flags)
{
    if (oid != 0 && flags != 0)
        ARRAY_ADD(objects->items, objects->count,
                  (Object){catalog, oid, flags, change->row.relation.database, change->row.lsn});
}

static void add_catalog_change(Objects *objects, CatalogSnapshot *look, const CatalogChange *change)
{
    CatalogTuple old, new;
    const bool has_new = catalog_row(look, change->catalog, change->row.new, &new);
    const bool has_old = catalog_row(look, change->catalog, change->row.old, &old);
    const bool is_made = change->row.old.bytes == NULL, is_gone = change->row.new.bytes == NULL;
    const CatalogTuple *row = has_new ? &new : &old;
    const unsigned flags = has_new && has_old ? flags_of_update(&old, &new) : FLAG_ALTERED;

    if (!has_new && !has_old)
        return;
    if (find_kind(change->catalog) != NULL)
        add_object(objects, change, change->catalog, row_number(row, "oid"),
                   is_made   ? FLAG_MADE
                   : is_gone ? FLAG_GONE
                             : flags);
    if (change->catalog == PG_CLASS && is_made)
        add_object(objects, change, PG_CLASS, rewritten_table(look, row), FLAG_REWRITTEN);
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
    {
        const struct Part *part = &parts[i];
        Oid owner = part->owner_catalog;

        if (part->catalog != change->catalog)
            continue;
        if (owner == 0)
            owner = row_number(row, "classoid");
        add_object(objects, change, owner, row_number(row, part->owner),
                   flags & FLAG_ALTERED ? part->flag : flags);
    }
}

static int compare_object_places(const void *left, const void *right)
{
    const Object *a = left, *b = right;
    const int order = compare_u32_pairs(left, right);

    if (a->lsn != b->lsn)
        return a->lsn < b->lsn ? -1 : 1;
    return order != 0 ? order : (a->flags < b->flags) - (a->flags > b->flags);
}

/* One item of each object. */
static void merge_objects(Objects *objects)
{
    size_t kept = 0;

    ARRAY_SORT(objects->items, objects->count, compare_u32_pairs);
    for (size_t i = 0; i < objects->count; i++)
    {
        const Object *object = &objects->items[i];
        Object *last = kept > 0 ? &objects->items[kept - 1] : NULL;

        if (last == NULL || compare_u32_pairs(last, object) != 0)
        {
            objects->items[kept++] = *object;
            continue;
        }
        last->flags |= object->flags;
        if (object->lsn < last->lsn)
            last->lsn = object->lsn;
    }
    objects->count = kept;
}

static Object *find_object(const Objects *objects, Oid catalog, Oid oid)
{
    const Object key = {.catalog = catalog, .oid = oid};

    return ARRAY_FIND(&key, objects->items, objects->count, compare_u32_pairs);
}

/* An object that cannot be without another one, or that is made or dropped with it, is a part of
 * it. */
static void note_dependency(const Objects *objects, const CatalogTuple *row)
{
    Object *object = find_object(objects, row_number(row, "classid"), row_number(row, "objid"));
    const Object *other =
        find_object(objects, row_number(row, "refclassid"), row_number(row, "refobjid"));
    const uint32_t type = row_number(row, "deptype");

    if (object == NULL || row_number(row, "objsubid") != 0)
        return;
    if (type == 'i' || type == 'e' || type == 'I' || type == 'P' || type == 'S' ||
        (type == 'a' && other != NULL && (other->flags & (FLAG_MADE | FLAG_GONE))))
        object->flags |= FLAG_PART;
}

/* TRUNCATE gives a table an empty storage: not that of a table that the transaction made before, to
 * fill it with what this one has. Each stands at its own place: there may be rows before it and
 * after it. */
static void add_truncation(Objects *objects, CatalogSnapshot look, const CatalogChange *change)
{
    CatalogTuple old, new;

    if (change->catalog != PG_CLASS || !catalog_row(&look, PG_CLASS, change->row.new, &new) ||
        row_number(&new, "relkind") != 'r' || row_number(&new, "relpersistence") == 't' ||
        !catalog_row(&look, PG_CLASS, change->row.old, &old) ||
        !(flags_of_update(&old, &new) & FLAG_EMPTIED) ||
        catalog_gives_storage(&look, row_number(&new, "relfilenode"), true))
        return;
    if (rewritten_table(&look, &new) == 0) /* a temporary table of a rewrite gets the old storage */
        add_object(objects, change, PG_CLASS, row_number(&new, "oid"), FLAG_TRUNCATED);
}

/* ---- Events ---- */

/* Returns the kind's word in an event, such as "TABLE"; "" if the object is not reported. */
static const char *noun_of(const Kind *kind, const CatalogTuple *row)
{
    static const char *const of_relations[UINT8_MAX + 1] = {
        ['r'] = "TABLE", ['p'] = "TABLE",         ['i'] = "INDEX",
        ['I'] = "INDEX", ['S'] = "SEQUENCE",      ['v'] = "VIEW",
        ['c'] = "TYPE",  ['f'] = "FOREIGN TABLE", ['m'] = "MATERIALIZED VIEW"};
    const char *of_relation = of_relations[row_number(row, "relkind") & UINT8_MAX];

    if (kind->catalog == PG_TYPE && row_number(row, "typtype") == 'd')
        return "DOMAIN";
    if (kind->catalog == PG_PROC &&
        (row_number(row, "prokind") == 'a' || row_number(row, "proisagg")))
        return "AGGREGATE";
    if (kind->catalog == PG_PROC && row_number(row, "prokind") == 'p')
        return "PROCEDURE";
    if (kind->catalog == PG_CLASS && of_relation != NULL &&
        row_number(row, "relpersistence") != 't')
        return of_relation;
    return kind->noun;
}

/*
 * Verbs by an object's flags. A row applies if the flags include all of the first set and none of
 * the second, and if the kind of relation is among relkinds. add_truncation finds out whether a
 * table was emptied.
 */
static const struct
{
    unsigned all, none;
    const char *relkinds; /* kinds of relations; NULL: any object */
    const char *verb;
} verbs[] = {
    {FLAG_TRUNCATED, 0, NULL, "TRUNCATE"},
    {FLAG_MADE, FLAG_GONE, NULL, "CREATE"},
    {FLAG_GONE, FLAG_MADE, NULL, "DROP"},
    {FLAG_EMPTIED, FLAG_MADE | FLAG_GONE, "m", "REFRESH"},
    {FLAG_EMPTIED, FLAG_MADE | FLAG_GONE, "i", "REINDEX"},
    {FLAG_EMPTIED | FLAG_REWRITTEN, FLAG_MADE | FLAG_GONE | FLAG_ALTERED, "r",
     "VACUUM FULL or CLUSTER"},
    {FLAG_ALTERED, FLAG_MADE | FLAG_GONE, NULL, "ALTER"},
    {FLAG_GRANTED, FLAG_MADE | FLAG_GONE, NULL, "GRANT or REVOKE ON"},
    {FLAG_COMMENTED, FLAG_MADE | FLAG_GONE, NULL, "COMMENT ON"},
};

/* look: before the object's first change, or where the transaction made it after the last. What is
 * a part, as the type of each table, is not read. */
static void tell_object(SchemaEvents *events, CatalogSnapshot look, const Object *object)
{
    SchemaEvent event = {.lsn = object->lsn, .database = object->database};
    const Kind *kind = find_kind(object->catalog);
    unsigned flags = object->flags;
    CatalogTuple row = {0};
    uint32_t relkind;

    if (kind == NULL || (flags & FLAG_PART) ||
        (kind->name != NULL && !catalog_find(&look, object->catalog, object->oid, &row)))
        return;
    event.noun = noun_of(kind, &row);
    if (kind->name != NULL)
        event.name = row_name(&look, &row, kind->name);
    if (kind->schema != NULL)
        event.schema = catalog_name(&look, PG_NAMESPACE, row_number(&row, kind->schema), "nspname");
    relkind = row_number(&row, "relkind");
    if (object->catalog == PG_TYPE)
        relkind = catalog_number(&look, PG_CLASS, row_number(&row, "typrelid"), "relkind");
    /* Parts of which pg_depend may not tell: the type of a table's rows, an array of a type, the
     * schema of a session's temporary tables. */
    if (event.noun[0] == '\0' || (event.schema != NULL && strcmp(event.schema, "pg_toast") == 0) ||
        (object->catalog == PG_NAMESPACE && event.name != NULL &&
         strncmp(event.name, "pg_", 3) == 0) ||
        (object->catalog == PG_TYPE &&
         (row_number(&row, "typcategory") == 'A' || (relkind != 0 && relkind != 'c'))))
        return;
    if (object->catalog == PG_CLASS && (flags & (FLAG_GONE | FLAG_TRUNCATED)))
        event.storage = schema_class_storage(&look, &row);
    if (relkind == 'S' && (flags & FLAG_EMPTIED))
        flags |= FLAG_ALTERED;
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++)
        if ((flags & verbs[i].all) == verbs[i].all && !(flags & verbs[i].none) &&
            (verbs[i].relkinds == NULL || *verbs[i].relkinds == (char) relkind))
        {
            event.verb = verbs[i].verb;
            ARRAY_ADD(events->items, events->count, event);
        }
}

SchemaEvents schema_events(Schema *schema, const LostCommit *commit)
{
    const Moment end = {commit->lsn, commit};
    const CatalogSnapshot all = schema_snapshot(schema, 0, end);
    const CatalogChange *changes = schema->changes;
    SchemaEvents events = {0};
    Objects objects = {0};

    for (size_t i = all.view.own_start; i < all.view.own_end; i++)
    {
        CatalogSnapshot look = schema_snapshot(schema, changes[i].row.relation.database, end);

        add_catalog_change(&objects, &look, &changes[i]);
    }
    merge_objects(&objects);
    for (size_t i = all.view.own_start; i < all.view.own_end; i++)
    {
        CatalogSnapshot look = schema_snapshot(schema, changes[i].row.relation.database, end);
        CatalogTuple row;

        if (changes[i].catalog == PG_DEPEND &&
            (catalog_row(&look, PG_DEPEND, changes[i].row.new, &row) ||
             catalog_row(&look, PG_DEPEND, changes[i].row.old, &row)))
            note_dependency(&objects, &row);
    }
    for (size_t i = 0; i < objects.count; i++)
    {
        Object *object = &objects.items[i];
        CatalogSnapshot look = schema_snapshot(schema, object->database, end);
        const Object *table;

        if (object->catalog != PG_CLASS || !(object->flags & FLAG_EMPTIED))
            continue;
        /* With a table, its indexes get other storage, too: that is no REINDEX. */
        table = find_object(&objects, PG_CLASS,
                            catalog_number(&look, PG_INDEX, OTHER_KEY(object->oid), "indrelid"));
        if (table != NULL && (table->flags & FLAG_EMPTIED))
            object->flags &= ~(unsigned) FLAG_EMPTIED;
    }
    for (size_t i = all.view.own_start; i < all.view.own_end; i++)
    {
        const RowChange *row = &changes[i].row;

        add_truncation(&objects,
                       schema_snapshot(schema, row->relation.database, (Moment){row->lsn, commit}),
                       &changes[i]);
    }
    ARRAY_SORT(objects.items, objects.count, compare_object_places);
    for (size_t i = 0; i < objects.count; i++)
    {
        const Object *object = &objects.items[i];
        const Moment moment = {object->flags & FLAG_MADE ? commit->lsn : object->lsn, commit};

        tell_object(&events, schema_snapshot(schema, object->database, moment), object);
    }
    free(objects.items);
    SchemaEvent *items = events.items;
    events.items = arena_copy(all.arena, items, events.count * sizeof(*items));
    free(items);
    return events;
}
