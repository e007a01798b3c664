#include "lost/saved_rows.h"

#include "base/array.h"
#include "base/log.h"
#include "base/workers.h"
#include "lost/schema.h"

#include <stdlib.h>
#include <string.h>

#define SCHEMA_CHANGES_MAX 100000

typedef struct NameReader
{
    Arena *arena;
    Lost *lost;
    Schema *schema;
    Moment before, end; /* start and end of the lost history */
} NameReader;

/* ---- Databases ---- */

/* Returns the database's name at the end of the WAL; if a lost transaction has dropped the
 * database, the name before that. NULL if not known. */
static const char *name_database(const NameReader *reader, Oid database)
{
    const char *name;

    if (database == 0)
        return "global";
    name = schema_database(reader->schema, database, reader->end, false);
    if (name == NULL)
        name = schema_database(reader->schema, database, reader->before, false);
    return name != NULL ? arena_strdup(reader->arena, name) : NULL;
}

/* ---- Relations ---- */

/* schema.name, and in front the database where it is not the one of the connection. */
static const char *qualified_name(const NameReader *reader, Oid database, const char *schema,
                                  const char *name)
{
    AUTO_BUFFER Buffer text = {0};

    if (database != 0 && schema != NULL && database != reader->lost->connected_database)
    {
        const char *of = name_database(reader, database);

        if (of != NULL)
            buffer_printf(&text, "%s/", of);
        else
            buffer_printf(&text, "%u/", database);
    }
    if (schema != NULL)
        buffer_printf(&text, "%s.", schema_quoted_name(reader->arena, schema));
    buffer_append_string(&text, schema_quoted_name(reader->arena, name));
    return arena_strdup(reader->arena, buffer_string(&text));
}

static const char *name_class(const NameReader *reader, CatalogSnapshot *look,
                              const CatalogTuple *class)
{
    const char *name = row_name(look, class, "relname");
    const char *schema =
        catalog_name(look, PG_NAMESPACE, row_number(class, "relnamespace"), "nspname");

    return name != NULL && schema != NULL ? qualified_name(reader, look->database, schema, name)
                                          : NULL;
}

static bool name_at(NameReader *reader, Moment moment, LostRelation *relation)
{
    CatalogSnapshot look = schema_snapshot(reader->schema, relation->id.database, moment);
    CatalogTuple class, table;
    TextCursor text;
    Oid owner;

    look.arena = reader->arena;
    if (!schema_find_class(&look, &relation->id, &class))
        return false;
    relation->name = name_class(reader, &look, &class);
    if (relation->name == NULL)
        return false;
    /* The name of a TOAST table, and of its index, has the number of its table. */
    text = text_cursor(row_name(&look, &class, "relname"));
    if (!text_take(&text, "pg_toast_") || !text_take_u32(&text, &owner))
        owner = catalog_number(&look, PG_INDEX, OTHER_KEY(row_number(&class, "oid")), "indrelid");
    if (owner != 0 && catalog_find(&look, PG_CLASS, owner, &table))
        relation->table = name_class(reader, &look, &table);
    return true;
}

/* ---- Changes of the schema ---- */

/* Returns false if not all had room. */
static bool add_schema_changes(NameReader *reader, size_t transaction, const LostCommit *commit)
{
    Lost *lost = reader->lost;
    const SchemaEvents events = schema_events(reader->schema, commit);

    for (size_t i = 0; i < events.count; i++)
    {
        const SchemaEvent *event = &events.items[i];
        const LostRelation *relation = lost_relation(lost, event->storage);
        LostSchemaChange change = {
            .transaction = transaction, .verb = event->verb, .noun = event->noun};

        if (lost->schema_change_count == SCHEMA_CHANGES_MAX)
        {
            lost->incomplete = true;
            return false;
        }
        if (event->name != NULL)
            change.name = qualified_name(reader, event->database, event->schema, event->name);
        /* The storage that the table had is dropped here, and is still on the source. */
        change.rows_on_source = strcmp(event->noun, "TABLE") == 0 && relation != NULL &&
                                relation->on_source && (relation->what & LOST_DROPPED);
        ARRAY_ADD(lost->schema_changes, lost->schema_change_count, change);
    }
    return true;
}

/* Both lists are in the order of commits. */
static void read_schema_changes(NameReader *reader, const RowChanges *changes)
{
    const Lost *lost = reader->lost;
    size_t count, next = 0;
    const LostCommit *commits = row_changes_commits(changes, &count);

    for (size_t i = 0; i < lost->transaction_count && !stop_requested(); i++)
    {
        while (next < count && commits[next].lsn < lost->transactions[i].lsn)
            next++;
        if (next < count && commits[next].lsn == lost->transactions[i].lsn &&
            !add_schema_changes(reader, i, &commits[next]))
            return;
    }
}

/* ---- The report's part ---- */

/* Returns false if the catalogs would tell nothing new. */
static bool lacks_names(const Lost *lost)
{
    for (size_t i = 0; i < lost->relation_count; i++)
    {
        const LostRelation *relation = &lost->relations[i];

        if (lost_relation_is_reported(relation) && !relation->on_source &&
            (relation->oid >= FIRST_NORMAL_OID || relation->database == NULL))
            return true;
    }
    for (size_t i = 0; i < lost->transaction_count; i++)
        if (!lost->transactions[i].maintenance &&
            lost_set(lost, &lost->transactions[i])->changes_schema)
            return true;
    return false;
}

void lost_names_read(const Clusters *clusters, const Divergence *divergence, Arena *arena,
                     Lost *lost)
{
    NameReader reader = {
        .arena = arena, .lost = lost, .before.lsn = divergence->lsn, .end.lsn = LSN_HIGHEST};
    RowChanges *changes;
    Error error = {0};

    /* The catalogs of a fork may have other columns: names would be guesses. */
    if (control_is_of_fork(&clusters->target.control) || !lacks_names(lost))
        return;
    changes = row_changes_read(clusters, divergence, NULL, &error);
    if (changes != NULL)
    {
        reader.schema = schema_create(clusters, changes);
        for (size_t i = 0; i < lost->relation_count && !stop_requested(); i++)
        {
            LostRelation *relation = &lost->relations[i];

            if (relation->database == NULL)
                relation->database = name_database(&reader, relation->id.database);
            if (!relation->on_source && relation->oid >= FIRST_NORMAL_OID &&
                lost_relation_is_reported(relation) && !name_at(&reader, reader.end, relation))
                (void) name_at(&reader, reader.before, relation);
        }
        read_schema_changes(&reader, changes);
    }
    else
        log_debug("could not read names from the target's catalogs: %s", error.message);
    schema_free(reader.schema);
    row_changes_free(changes);
}
