/*
 * What is lost, transaction by transaction: read only when a report is asked for. The scan has
 * proved the WAL already; whatever fails here costs the list, not the rewind.
 */
#include "phases/run.h"

#include "base/log.h"
#include "base/workers.h"
#include "io/connection.h"
#include "wal/lost.h"

#include <stdlib.h>
#include <string.h>

/* ---- The WAL from the divergence to its end ---- */

static bool read_lost(Run *run, Lost *lost, Error *error)
{
    const WalStream *stream = &run->target_stream;
    uint64_t segment = wal_segment_of(&run->shape, run->divergence);
    Lsn from = wal_skip_header(&run->shape, run->divergence);
    char text[LSN_TEXT_SIZE];

    for (;; segment++)
    {
        WalSegmentFacts facts;

        if (wal_segment_start(&run->shape, segment) >= run->target_end)
            return true;
        if (!stop_check(error) ||
            !wal_read_segment(stream, segment, from, lost_add_record, lost, &facts, error))
            return false;
        if (facts.next_lsn >= run->target_end)
            return true;
        if (facts.end != WAL_SEGMENT_COMPLETE)
            return error_set(error, ERROR_FAILED, "could not read WAL record at %s: %s",
                             run_lsn_text(run, facts.next_lsn, text),
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
    bool connected;
} DatabaseName;

typedef struct Names
{
    Run *run;
    LostRelation *relations;
    size_t count;
    LostRelation **by_filenode;
    Buffer databases; /* DatabaseName */
    Oid connected;
} Names;

static int compare_filenodes(const void *left, const void *right)
{
    const LostRelation *a = *(LostRelation *const *) left, *b = *(LostRelation *const *) right;

    return (a->id.relation > b->id.relation) - (a->id.relation < b->id.relation);
}

static void take_database(void *context, Oid database, const char *name, bool connected)
{
    Names *names = context;
    DatabaseName item = {database, arena_strdup(names->run->arena, name), connected};

    if (lost_database_is_new(names->run->report->lost, database))
        return;
    buffer_append(&names->databases, &item, sizeof(item));
    if (connected)
        names->connected = database;
}

/* Storage that the target made after the divergence is not what has its number on the source. */
static void take_relation(void *context, Oid tablespace, Oid filenode, const char *name,
                          const char *table)
{
    Names *names = context;
    size_t low = 0, high = names->count;

    while (low < high)
    {
        size_t middle = low + (high - low) / 2;

        if (names->by_filenode[middle]->id.relation < filenode)
            low = middle + 1;
        else
            high = middle;
    }
    for (; low < names->count && names->by_filenode[low]->id.relation == filenode; low++)
    {
        LostRelation *relation = names->by_filenode[low];

        if (relation->id.tablespace != tablespace || relation->created || relation->name != NULL ||
            (relation->id.database != 0 && relation->id.database != names->connected))
            continue;
        relation->name = arena_strdup(names->run->arena, name);
        relation->table = table != NULL ? arena_strdup(names->run->arena, table) : NULL;
    }
}

static void ask_source(Names *names)
{
    Buffer filenodes = {0};
    Error error = {0};

    array_begin(&filenodes);
    for (size_t i = 0; i < names->count; i++)
        if (!names->relations[i].created)
            array_append_int(&filenodes, names->relations[i].id.relation);
    array_end(&filenodes);
    if (!source_server_names(names->run->source, buffer_string(&filenodes), take_database,
                             take_relation, names, &error))
        log_debug("could not get names from the source: %s", error.message);
    buffer_free(&filenodes);
}

static const char *database_name(const Names *names, Oid database)
{
    const DatabaseName *items = (const DatabaseName *) (const void *) names->databases.bytes;

    if (database == 0)
        return "global";
    for (size_t i = 0; i < names->databases.size / sizeof(*items); i++)
        if (items[i].oid == database)
            return items[i].name;
    return NULL;
}

/* database/number, where there is no name. */
static void name_the_rest(Names *names)
{
    for (size_t i = 0; i < names->count; i++)
    {
        LostRelation *relation = &names->relations[i];
        const char *database = database_name(names, relation->id.database);

        if (relation->name != NULL)
            continue;
        relation->name =
            database != NULL
                ? arena_printf(names->run->arena, "%s/%u", database, relation->id.relation)
                : arena_printf(names->run->arena, "%u/%u", relation->id.database,
                               relation->id.relation);
    }
}

static void name_relations(Run *run, Lost *lost)
{
    Names names = {.run = run};

    names.relations = lost_relations(lost, &names.count);
    names.by_filenode = memory_allocate((names.count + 1) * sizeof(*names.by_filenode));
    for (size_t i = 0; i < names.count; i++)
        names.by_filenode[i] = &names.relations[i];
    qsort(names.by_filenode, names.count, sizeof(*names.by_filenode), compare_filenodes);
    if (run->source->is_server && names.count > 0)
        ask_source(&names);
    name_the_rest(&names);
    free(names.by_filenode);
    buffer_free(&names.databases);
}

static void collect_prepared(Run *run)
{
    const ScanResult *scanned = &run->scanned;
    const char **gids =
        arena_allocate(run->arena, (run->report->lost_prepared + 1) * sizeof(*gids));
    size_t count = 0;

    for (size_t i = 0; i < scanned->prepared_count; i++)
        if (scanned->prepared[i].lsn >= run->divergence && !scanned->prepared[i].finished)
            gids[count++] = scanned->prepared[i].gid;
    run->report->lost_gids = gids;
}

bool phase_lost(Run *run, Error *error)
{
    Error why = {0};
    Lost *lost;

    if (!run->options->report_wanted)
        return true;
    lost = lost_create(run->shape.version, run->divergence, run->target_end);
    run->report->lost = lost;
    collect_prepared(run);
    if (!read_lost(run, lost, &why))
    {
        if (!stop_check(error))
            return false;
        lost_set_incomplete(lost);
        log_warning("could not list all transactions that are lost: %s", why.message);
    }
    name_relations(run, lost);
    return stop_check(error);
}
