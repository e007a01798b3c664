/*
 * Print what the code that saves lost rows knows of a target's tables, types, and schema changes.
 *
 *   lost_schema DIRECTORY REDO DIVERGENCE
 *
 * REDO is where the WAL is read from, DIVERGENCE where lost history begins. Each line of the input
 * is a storage (table TABLESPACE DATABASE RELFILENODE) or a type (type DATABASE OID), whose line at
 * the end of the WAL is printed. Then follow the events of each transaction, and at each change of
 * a row in another table than before what that table is.
 */
#include "lost/schema.h"
#include "options.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct Visit
{
    Schema *schema;
    const LostCommit *commit;
    const Table *last;
    const char *last_reason; /* as `last`, of changes whose table is not known */
} Visit;

static void print_table(const Table *table)
{
    printf("%u|%s|%s|%c|", table->oid, table->schema, table->name, table->kind);
    for (size_t i = 0; i < table->attribute_count; i++)
    {
        const Attribute *attribute = &table->attributes[i];

        printf("%s%s:%u:%s:%d%c%s%s", i > 0 ? "," : "", attribute->name, attribute->type,
               table->types[i].text != NULL ? table->types[i].text : "-", attribute->storage.length,
               attribute->storage.alignment, attribute->generated ? "g" : "",
               attribute->missing.bytes != NULL ? "m" : "");
    }
    printf("|");
    for (size_t i = 0; i < table->key_count; i++)
        printf("%s%u", i > 0 ? " " : "", table->key[i]);
    printf("|%d\n", table->is_catalog);
}

static void print_type(const Type *type)
{
    printf("%u|%s|%s|%c|%c|%d%c|%u|", type->oid, type->schema, type->name, type->kind,
           type->delimiter, type->storage.length, type->storage.alignment, type->inner);
    for (size_t i = 0; i < type->label_count; i++)
        printf("%s%u:%s", i > 0 ? "," : "", type->labels[i].oid, type->labels[i].label);
    printf("|");
    for (size_t i = 0; i < type->attribute_count; i++)
        printf("%s%s:%u:%d%c", i > 0 ? "," : "", type->attributes[i].name, type->attributes[i].type,
               type->attributes[i].storage.length, type->attributes[i].storage.alignment);
    printf("\n");
}

static void answer(Schema *schema)
{
    const Moment end = {LSN_HIGHEST, NULL};
    RelationId id;
    char line[100];

    while (fgets(line, sizeof(line), stdin) != NULL)
    {
        const char *reason = NULL;

        id = (RelationId){0};
        if (sscanf(line, "table %u %u %u", &id.tablespace, &id.database, &id.relation) == 3)
        {
            const Table *table = schema_table(schema, &id, end, &reason);

            if (table == NULL)
                printf("%u: %s\n", id.relation, reason);
            else
                print_table(table);
        }
        else if (sscanf(line, "type %u %u", &id.database, &id.relation) == 2)
        {
            const Type *type = schema_type(schema, id.database, id.relation, end);

            if (type != NULL)
                print_type(type);
        }
    }
}

static void print_change(Visit *visit, const RowChange *change)
{
    const char *reason = NULL;
    const Table *table = schema_table(visit->schema, &change->relation,
                                      (Moment){change->lsn, visit->commit}, &reason);

    if (table == NULL && reason != visit->last_reason)
        printf("row: %s\n", reason);
    else if (table != NULL && table != visit->last && !table->is_catalog && table->kind == 'r' &&
             !table->is_copy)
    {
        printf("row: %s.%s (", table->schema, table->name);
        for (size_t i = 0; i < table->attribute_count; i++)
            if (table->attributes[i].type != 0)
                printf("%s%s %s", i > 0 ? ", " : "", table->attributes[i].name,
                       table->types[i].text);
        printf(")\n");
        visit->last = table;
    }
    visit->last_reason = reason;
}

static void print_transactions(Schema *schema, const RowChanges *changes)
{
    size_t count;
    const LostCommit *commits = row_changes_commits(changes, &count);

    for (size_t i = 0; i < count; i++)
    {
        Visit visit = {schema, &commits[i], NULL, NULL};
        const SchemaEvents events = schema_events(schema, &commits[i]);

        for (size_t j = 0; j < events.count; j++)
        {
            const SchemaEvent *event = &events.items[j];

            printf("event: %s %s %s%s%s\n", event->verb, event->noun,
                   event->schema != NULL ? event->schema : "", event->schema != NULL ? "." : "",
                   event->name != NULL ? event->name : "");
        }
        for (const LostChange *change = commits[i].first; change != NULL; change = change->after)
            print_change(&visit, &change->row);
    }
}

static bool look(char **arguments, Arena *arena, Error *error)
{
    static const char *const parents[] = {"/tmp", NULL};
    const Options options = {0};
    Clusters clusters = {0};
    Scratch *scratch;
    WalStore *wal = NULL;
    Divergence diverged = {0};
    RowChanges *changes = NULL;
    Schema *schema = NULL;
    bool good;

    if (!target_open(arena, arguments[0], &clusters.target, error) ||
        !target_read(&clusters.target, error))
        return false;
    clusters.shape = control_wal_shape(&clusters.target.control);
    scratch = scratch_create(parents, NULL, arena);
    good = target_wal_open(&options, &clusters, NULL, scratch, arena, &wal, error) &&
           target_history_read(&options, wal, arena, &clusters, error) &&
           divergence_find_target_end(&clusters, &wal->stream, 1, LSN_INVALID, &diverged.scan,
                                      &diverged.target_end, error);
    diverged.common_checkpoint.checkpoint.redo = lsn_of_text(arguments[1]);
    diverged.lsn = lsn_of_text(arguments[2]);
    if (good)
        changes = row_changes_read(&clusters, &diverged, "/tmp", error);
    if (changes != NULL)
        schema = schema_create(&clusters, changes);
    if (schema != NULL)
    {
        answer(schema);
        print_transactions(schema, changes);
    }
    good = schema != NULL;
    schema_free(schema);
    row_changes_free(changes);
    scan_destroy(diverged.scan);
    wal_store_destroy(wal);
    return good;
}

int main(int argc, char **argv)
{
    AUTO_ARENA Arena *arena = arena_create();
    Error error = {0};

    if (argc != 4 || !look(argv + 1, arena, &error))
    {
        fprintf(stderr, "lost_schema: %s\n", argc == 4 ? error.message : "wrong arguments");
        return 1;
    }
    return 0;
}
