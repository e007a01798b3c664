#include "lost/saved_rows.h"

#include "base/array.h"
#include "base/json.h"
#include "base/workers.h"
#include "lost/base_types.h"
#include "lost/lost_file.h"
#include "lost/lost_sql.h"

#include <stdlib.h>
#include <string.h>

#define OPTION "--save-lost-rows"

/* Free bytes for each byte of WAL that are enough without a measurement: rows need about ten. */
#define PLENTY_OF_WAL 100

/* Numbers for the last line of the JSON file: changed rows of a table by kind of change, and
 * changes without known values. */
typedef struct TableCount
{
    const Table *table;
    uint64_t rows[ROW_DELETE + 1], untold;
} TableCount;

/* Numbers for the last line of the JSON file, by reason: changes and single values that are not
 * known, and changes that the script leaves out. */
typedef struct ReasonCount
{
    const char *reason;
    uint64_t changes, values, left_out;
} ReasonCount;

/* The state of writing both files. */
typedef struct Saver
{
    const Options *options;
    const Clusters *clusters;
    const Divergence *divergence;
    Arena *arena;
    const char *name; /* base name of both files, without .jsonl and .sql */
    const Version *version;
    SavedRows *saved;
    Schema *schema;
    RowReader *reader;
    LostFile json, sql;
    LostRoom room;
    bool is_required;         /* an error fails the run; false: it is a warning */
    Lsn minimal_at;           /* RowChanges.minimal_at */
    const LostCommit *commit; /* transaction that is being written */
    Buffer time;              /* time of the commit, as text */
    Oid database, connected;  /* database that the transaction changed; database that psql is
                                 connected to at this place of the script, 0: none */
    bool told, begun;         /* the script has the transaction's comment; its BEGIN */
    const Table *open_table;  /* table whose statements the script's last \if guards; NULL: none */
    Buffer checks;            /* queries for the transaction's end */
    const Table **checked;    /* tables that these queries name, sorted by compare_checked */
    size_t checked_count;
    SchemaEvents events; /* the transaction's events that are not written yet */
    TableCount *tables;  /* sorted by compare_counted */
    size_t table_count;
    ReasonCount *reasons;
    size_t reason_count;
    uint64_t changes, catalogs, toasted, rewritten, began_before;
} Saver;

/* ---- Heads ---- */

static void write_heads(Saver *saver)
{
    const Clusters *clusters = saver->clusters;
    Buffer *sql = &saver->sql.text;
    Json json = lost_json_begin(&saver->json.text, "rewind");

    json_string(&json, "pg_rewind", saver->saved->program_version);
    json_string(&json, "server_version", saver->version->name);
    json_string(&json, "system_identifier",
                arena_printf(saver->arena, "%llu",
                             (unsigned long long) clusters->target.control.system_identifier));
    json_string(&json, "target", clusters->target.directory);
    json_number(&json, "target_timeline", clusters->target.timeline);
    json_string(&json, "source", clusters->source->description);
    json_number(&json, "source_timeline", history_last_timeline(&clusters->source_history));
    json_string(&json, "divergence", LSN_TEXT(saver->version, saver->divergence->lsn));
    json_string(&json, "target_end", LSN_TEXT(saver->version, saver->divergence->target_end));
    lost_json_end(&json);
    saver->json.first_line_size = json.text->size - 1;

    buffer_append_string(sql, "-- Rows that lost transactions of ");
    utf8_append_comment(sql, clusters->target.directory);
    buffer_append_string(sql, " changed; it was rewound to ");
    utf8_append_comment(sql, clusters->source->description);
    saver->sql.first_line_size = sql->size;
    lost_script_begin(sql);
}

/* ---- Counts ---- */

static ReasonCount *count_reason(Saver *saver, const char *reason)
{
    for (size_t i = 0; i < saver->reason_count; i++)
        if (strcmp(saver->reasons[i].reason, reason) == 0)
            return &saver->reasons[i];
    ARRAY_ADD(saver->reasons, saver->reason_count, (ReasonCount){.reason = reason});
    return &saver->reasons[saver->reason_count - 1];
}

/* Compare tables by name, not by address: a table that was altered in between counts as one. */
static int compare_counted(const void *key, const void *item)
{
    const Table *a = key, *b = ((const TableCount *) item)->table;
    const int schemas = strcmp(a->schema, b->schema);

    if (a->database != b->database)
        return a->database < b->database ? -1 : 1;
    return schemas != 0 ? schemas : strcmp(a->name, b->name);
}

/* ---- The script ---- */

/*
 * Append one query that psql sends to the server. Code called by each earlier query may have
 * changed any setting, so the script's own ones are set in the same request (rule L43). A query
 * that is not ASCII comes after a line that sets psql's encoding: in another one psql would not see
 * the end of a literal, and would run later text as its own commands.
 */
static void append_query(Buffer *text, const char *query)
{
    const unsigned char *byte = (const unsigned char *) query;

    while (*byte != '\0' && *byte < 0x80)
        byte++;
    buffer_append_string(text, *byte != '\0' ? LOST_SCRIPT_UTF8 : "");
    buffer_append_string(text, LOST_SCRIPT_SETTLE);
    buffer_append_string(text, query);
}

/* Connect the script to the transaction's database, and append the comment that describes the
 * transaction, unless this was already done. */
static void tell_transaction(Saver *saver)
{
    Buffer *text = &saver->sql.text;
    const LostCommit *commit = saver->commit;
    const Moment moment = {commit->lsn, commit};
    const char *name;

    if (saver->told)
        return;
    saver->told = true;
    if (saver->database != saver->connected && saver->database != 0)
    {
        name = schema_database(saver->schema, saver->database, moment, true);
        saver->connected = 0;
        if (name != NULL && utf8_is_valid(name))
        {
            CatalogSnapshot look =
                schema_snapshot(saver->schema, 0, (Moment){saver->divergence->lsn, NULL});
            CatalogTuple row;

            lost_script_connect(
                name, catalog_find(&look, PG_DATABASE, saver->database, &row) ? saver->database : 0,
                saver->version, text);
            saver->connected = saver->database;
        }
    }
    buffer_printf(text, "\n-- %s: transaction %u, committed at ", buffer_string(&saver->time),
                  commit->xid);
    buffer_append_string(text, LSN_TEXT(saver->version, commit->lsn));
    if (commit->gid != NULL)
    {
        buffer_append_string(text, ", prepared as ");
        utf8_append_comment(text, commit->gid);
    }
    if (commit->began_before)
        buffer_append_string(text, "; it may have changed rows before the WAL that was read");
    buffer_append_u8(text, '\n');
}

/* Append the transaction's BEGIN, and the test whether it must be applied, unless this was already
 * done. */
static void begin_transaction(Saver *saver)
{
    Buffer *text = &saver->sql.text;
    const LostCommit *commit = saver->commit;
    const char *lsn = LSN_TEXT(saver->version, commit->lsn);
    const bool tells_status = commit->prepared_before && saver->version->sql.transaction_status;
    AUTO_BUFFER Buffer by_hand = {0}, query = {0};

    if (saver->begun)
        return;
    saver->begun = true;
    buffer_clear(&saver->checks);
    saver->checked_count = 0;
    buffer_append_string(text, "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;\n");
    /* A transaction that was prepared before the divergence is prepared on the new primary too: it
     * holds locks on its rows there, and the script must not run until somebody ends it. */
    if (commit->prepared_before)
    {
        /* The server cannot report whether that transaction was committed, so users must note it.
         */
        if (!saver->version->sql.transaction_status)
            buffer_printf(
                &by_hand,
                " as this role: INSERT INTO lost_rows.applied VALUES ('%s', '%s', 0, %u);",
                saver->name, lsn, commit->xid);
        buffer_printf(&query, "SELECT lost_rows.refuse_prepared('%u'::xid, ", commit->xid);
        buffer_append_literal(&query, buffer_string(&by_hand), LITERAL_ANY);
        buffer_append_string(&query, "::text) \\gset\n");
        append_query(text, buffer_string(&query));
        buffer_clear(&query);
    }
    buffer_append_string(&query, "SELECT ");
    if (tells_status)
        buffer_printf(&query, "CASE WHEN txid_status(%llu) = 'committed' THEN false\n  ELSE ",
                      (unsigned long long) commit->full_xid);
    buffer_printf(&query, "lost_rows.begin_transaction('%s'::text, '%s'::text, %u::bigint)",
                  saver->name, lsn, commit->xid);
    buffer_append_string(&query, tells_status ? " END" : "");
    buffer_append_string(&query, " AS todo \\gset\n");
    append_query(text, buffer_string(&query));
    buffer_append_string(text, LOST_SCRIPT_UTF8 "\\if :todo\n");
}

/* Append a comment about a change that the script leaves out. */
static void leave_out(Saver *saver, const LostRow *row, const char *reason)
{
    Buffer *text = &saver->sql.text;

    count_reason(saver, reason)->left_out++;
    saver->saved->left_out++;
    buffer_printf(text, "-- left out: %s of ", lost_sql_verbs[row->change->kind]);
    utf8_append_comment(text, row->table->schema);
    buffer_append_u8(text, '.');
    utf8_append_comment(text, row->table->name);
    buffer_printf(text, " (%s): %s\n", LSN_TEXT(saver->version, row->change->lsn), reason);
}

static void close_table(Saver *saver)
{
    buffer_append_string(&saver->sql.text, saver->open_table != NULL ? "\\endif\n" : "");
    saver->open_table = NULL;
}

/*
 * Begin the statements for a table with a check, by which the script skips them. The new primary
 * may have another table of this name, or a view, or a table with other columns, since the script
 * has changes of the schema as comments only; and the table may belong to another owner.
 *
 * A table that gets other columns within a transaction is another Table from then on. Skipped text
 * must be read as UTF-8 too: otherwise psql may not see the \endif in it.
 */
static void open_table(Saver *saver, const Table *table)
{
    AUTO_BUFFER Buffer check = {0};
    TableBefore before;

    if (saver->open_table == table)
        return;
    close_table(saver);
    before = schema_table_before(saver->schema, table, saver->divergence->lsn);
    lost_sql_check(table, &before, &check);
    append_query(&saver->sql.text, buffer_string(&check));
    buffer_append_string(&saver->sql.text, LOST_SCRIPT_UTF8 "\\if :changed\n");
    saver->open_table = table;
}

static int compare_checked(const void *key, const void *item)
{
    const Table *one = key, *other = *(const Table *const *) item;
    const int names = strcmp(one->name, other->name);

    return names != 0 ? names : strcmp(one->schema, other->schema);
}

/* Let the transaction's end check the deferrable constraints of the table, once. (Rule L48.) */
static void check_at_end(Saver *saver, const Table *table)
{
    AUTO_BUFFER Buffer check = {0};
    bool is_there;
    const size_t index = array_search(table, saver->checked, saver->checked_count,
                                      sizeof(*saver->checked), compare_checked, &is_there);

    if (is_there)
        return;
    ARRAY_INSERT(saver->checked, saver->checked_count, index, table);
    buffer_append_string(&check, "SELECT lost_rows.check_deferrable(");
    lost_sql_table_arguments(table, &check);
    buffer_append_string(&check, ") \\gset\n");
    append_query(&saver->checks, buffer_string(&check));
}

static void write_statement(Saver *saver, const LostRow *row)
{
    AUTO_BUFFER Buffer statement = {0};
    const char *reason;

    tell_transaction(saver);
    if (saver->connected != saver->database)
        leave_out(saver, row, "the name of its database is not known");
    else if (row->table->kind == 'm')
        leave_out(saver, row, "only REFRESH changes the rows of a materialized view");
    else if (row->table->oid < FIRST_NORMAL_OID)
        leave_out(saver, row, "it is a piece of a large object");
    else if (row->table->is_dropped)
        leave_out(saver, row, "a lost transaction dropped the table afterwards");
    else if (!lost_sql_row(row, LSN_TEXT(saver->version, row->change->lsn), &statement, &reason))
        leave_out(saver, row, reason);
    else
    {
        begin_transaction(saver);
        if (statement.size == 0) /* the UPDATE changed no value */
            return;
        open_table(saver, row->table);
        append_query(&saver->sql.text, buffer_string(&statement));
        if (!row->table->refuses_on_conflict || row->change->kind == ROW_DELETE)
            return;
        check_at_end(saver, row->table);
    }
}

/* ---- Transactions ---- */

static void write_event(Saver *saver, const SchemaEvent *event)
{
    const bool truncates = strcmp(event->verb, "TRUNCATE") == 0;
    Json json = lost_json_begin(&saver->json.text, truncates ? "T" : "schema");

    json_number(&json, "xid", saver->commit->xid);
    json_string(&json, "lsn", LSN_TEXT(saver->version, event->lsn));
    if (!truncates)
    {
        json_string(&json, "verb", event->verb);
        json_string(&json, "noun", event->noun);
    }
    json_string(&json, "schema", event->schema);
    json_string(&json, truncates ? "table" : "name", event->name);
    lost_json_end(&json);

    tell_transaction(saver);
    buffer_printf(&saver->sql.text, "-- %s %s ", event->verb, event->noun);
    if (event->schema != NULL)
    {
        utf8_append_comment(&saver->sql.text, event->schema);
        buffer_append_u8(&saver->sql.text, '.');
    }
    utf8_append_comment(&saver->sql.text,
                        event->name != NULL ? event->name : "(its name is not known)");
    buffer_append_u8(&saver->sql.text, '\n');
}

/* Write the transaction's changes of the schema up to that position. */
static void write_events(Saver *saver, Lsn before)
{
    for (; saver->events.count > 0 && saver->events.items->lsn < before;
         saver->events.items++, saver->events.count--)
        write_event(saver, saver->events.items);
}

/* Write a TRUNCATE. Nothing is written for other emptied storage: that of the table's indexes and
 * TOAST table, and of tables whose empty end VACUUM removed. Only a TRUNCATE runs in the
 * transaction that gave the table its storage. */
static void write_truncation(Saver *saver, const RowChange *change, const Table *table)
{
    CatalogSnapshot look = schema_snapshot(saver->schema, change->relation.database,
                                           (Moment){change->lsn, saver->commit});

    if (table == NULL || table->kind == 't' ||
        !catalog_gives_storage(&look, change->relation.relation, false))
        return;
    write_events(saver, change->lsn);
    write_event(saver, &(SchemaEvent){.lsn = change->lsn,
                                      .database = table->database,
                                      .verb = "TRUNCATE",
                                      .noun = "TABLE",
                                      .schema = table->schema,
                                      .name = table->name});
}

/* Count a change; write to both files only changes of user tables. */
static bool write_change(Saver *saver, const RowChange *change, Error *error)
{
    const Moment moment = {change->lsn, saver->commit};
    const char *reason = NULL;
    const Table *table = schema_table(saver->schema, &change->relation, moment, &reason);
    const LostRow *row;
    TableCount *count;
    bool is_counted;
    size_t at;

    if (change->kind == ROW_TRUNCATE)
    {
        write_truncation(saver, change, table);
        return true;
    }
    saver->changes++;
    if (table == NULL || table->is_catalog || table->kind == 't' || table->is_copy)
    {
        if (table == NULL)
        {
            count_reason(saver, reason)->changes++;
            saver->saved->untold++;
        }
        else
            ++*(table->kind == 't'  ? &saver->toasted
                : table->is_catalog ? &saver->catalogs
                                    : &saver->rewritten);
        return true;
    }
    write_events(saver, change->lsn);
    at = array_search(table, saver->tables, saver->table_count, sizeof(*saver->tables),
                      compare_counted, &is_counted);
    if (!is_counted)
        ARRAY_INSERT(saver->tables, saver->table_count, at, (TableCount){.table = table});
    count = &saver->tables[at];
    row = row_reader_read(saver->reader, change, table);
    saver->saved->changes++;
    count->rows[change->kind]++;
    if (row->untold != NULL)
    {
        count->untold++;
        saver->saved->untold++;
        count_reason(saver, row->untold)->changes++;
    }
    for (int side = 0; side < 2; side++)
    {
        const RowText *text = side == 0 ? &row->old : &row->new;

        for (size_t i = 0; text->known && i < table->attribute_count; i++)
        {
            if (text->values[i].state != ROW_VALUE_UNTOLD)
                continue;
            count_reason(saver, text->values[i].reason)->values++;
            saver->saved->untold++;
        }
    }
    if (!lost_json_row(row, LSN_TEXT(saver->version, change->lsn), &saver->json, error))
        return false;
    write_statement(saver, row);
    return lost_file_flush(&saver->json, error) && lost_file_flush(&saver->sql, error);
}

/* Append a transaction's first line, "B", or its last, "C", to the JSON file. */
static void write_bound(Saver *saver, const char *action, Buffer *text)
{
    const LostCommit *commit = saver->commit;
    const Oid database = saver->database != 0 ? saver->database : commit->session_database;
    Json json = lost_json_begin(text, action);

    json_number(&json, "xid", commit->xid);
    json_string(&json, "timestamp", buffer_string(&saver->time));
    json_string(&json, "lsn", LSN_TEXT(saver->version, commit->lsn));
    if (action[0] == 'B')
    {
        json_string(&json, "database",
                    schema_database(saver->schema, database, (Moment){commit->lsn, commit}, false));
        if (commit->gid != NULL)
            json_string(&json, "gid", commit->gid);
        if (commit->began_before)
            json_bool(&json, "began_before", true);
    }
    lost_json_end(&json);
}

static bool write_transaction(Saver *saver, const LostCommit *commit, Error *error)
{
    saver->commit = commit;
    saver->told = saver->begun = false;
    buffer_clear(&saver->time);
    (void) append_timestamp(commit->time, "+00", &saver->time);
    saver->saved->transactions++;
    saver->began_before += commit->began_before;
    saver->events = schema_events(saver->schema, commit);
    row_reader_begin(saver->reader, commit);
    saver->database = commit->database;
    if (saver->database == 0 && saver->events.count > 0)
        saver->database = saver->events.items[0].database;
    write_bound(saver, "B", &saver->json.text);
    for (const LostChange *change = commit->first; change != NULL; change = change->after)
        if (!write_change(saver, &change->row, error))
            return false;
    write_events(saver, UINT64_MAX);
    write_bound(saver, "C", &saver->json.text);
    if (saver->begun)
    {
        close_table(saver);
        buffer_append_string(&saver->sql.text, buffer_string(&saver->checks));
        buffer_printf(&saver->sql.text,
                      "\\else\n\\echo transaction %u is done already\n\\endif\nCOMMIT;\n",
                      commit->xid);
    }
    return true;
}

/* Write the last line of both files, by which users see that a file is complete. */
static void write_ends(Saver *saver)
{
    const Moment end = {saver->divergence->target_end, NULL};
    Json json = lost_json_begin(&saver->json.text, "end");

    json_number(&json, "transactions", saver->saved->transactions);
    json_number(&json, "transactions_began_before", saver->began_before);
    json_number(&json, "changes", saver->changes);
    json_number(&json, "catalog_changes", saver->catalogs);
    json_number(&json, "toast_changes", saver->toasted);
    json_number(&json, "rewrite_changes", saver->rewritten);
    for (size_t i = 0; json_each(&json, "tables", true, i, saver->table_count); i++)
    {
        const TableCount *count = &saver->tables[i];

        json_string(&json, "database",
                    schema_database(saver->schema, count->table->database, end, false));
        json_number(&json, "database_oid", count->table->database);
        json_string(&json, "schema", count->table->schema);
        json_string(&json, "table", count->table->name);
        json_number(&json, "inserted", count->rows[ROW_INSERT]);
        json_number(&json, "updated", count->rows[ROW_UPDATE]);
        json_number(&json, "deleted", count->rows[ROW_DELETE]);
        json_number(&json, "unknown", count->untold);
    }
    for (size_t i = 0; json_each(&json, "unknown", true, i, saver->reason_count); i++)
    {
        json_string(&json, "reason", saver->reasons[i].reason);
        json_number(&json, "changes", saver->reasons[i].changes);
        json_number(&json, "values", saver->reasons[i].values);
        json_number(&json, "not_in_sql", saver->reasons[i].left_out);
    }
    lost_json_end(&json);
    buffer_append_string(&saver->sql.text,
                         "\n-- The end. When all is right: see the first lines.\n");
}

/* ---- The run ---- */

/* Write both files from the beginning, or count their bytes if room->counting is set. */
static bool write_all(Saver *saver, const LostCommit *commits, size_t count, Error *error)
{
    LostFile *const files[] = {&saver->json, &saver->sql};

    for (int i = 0; i < 2; i++)
    {
        files[i]->size = 0;
        buffer_clear(&files[i]->text);
    }
    saver->table_count = saver->reason_count = 0;
    saver->changes = saver->catalogs = saver->toasted = saver->rewritten = 0;
    saver->began_before = 0;
    saver->connected = 0;
    saver->saved->transactions = saver->saved->changes = 0;
    saver->saved->untold = saver->saved->left_out = 0;
    if (saver->minimal_at != LSN_INVALID)
        (void) count_reason(saver, "wal_level = minimal: WAL lacks rows of tables that their "
                                   "transaction made, emptied or rewrote");
    write_heads(saver);
    for (size_t i = 0; i < count; i++)
        if (!write_transaction(saver, &commits[i], error))
            return false;
    write_ends(saver);
    return true;
}

/* Returns the size of the target's WAL that is read, in bytes. */
static uint64_t wal_bytes(const Divergence *divergence)
{
    return divergence->target_end - divergence->common_checkpoint.checkpoint.redo;
}

/* Write the files. Unless space is plentiful this is done twice, the first time only to count their
 * bytes. */
static bool write_files(Saver *saver, const LostCommit *commits, size_t count, Error *error)
{
    LostFile *json = &saver->json, *sql = &saver->sql;
    LostRoom *room = &saver->room;
    Arena *arena = saver->arena;

    if (room->free / PLENTY_OF_WAL <= wal_bytes(saver->divergence))
    {
        room->counting = true;
        if (!write_all(saver, commits, count, error))
            return false;
        room->counting = false;
        room->needed = json->size + json->text.size + sql->size + sql->text.size;
        if (saver->is_required && !lost_room_has(room, room->needed, error))
            return false;
    }
    if (!lost_file_open(json, arena_printf(arena, "%s/%s.jsonl", room->directory, saver->name),
                        error) ||
        !lost_file_open(sql, arena_printf(arena, "%s/%s.sql", room->directory, saver->name),
                        error) ||
        !write_all(saver, commits, count, error))
        return false;
    /* Invariant 3: both files are synced before the commit removes the rows from the target.
     * Rule L2: beside the same .jsonl, a .sql is of the same rows. Its text may be that of another
     * build of pg_rewind, or what a person left of it. */
    if (!lost_file_finish(
            sql, file_exists(room->directory, arena_printf(arena, "%s.jsonl", saver->name)), error))
        return false;
    saver->saved->sql = sql->made.path;
    if (!lost_file_finish(json, false, error))
        return false;
    saver->saved->json = json->made.path;
    return file_sync_path(room->directory, error);
}

/* Warn that not all changes are saved, and keep the incomplete files. */
static void keep_incomplete(Saver *saver, const Error *error)
{
    SavedRows *saved = saver->saved;
    Arena *arena = saver->arena;

    saved->incomplete = arena_strdup(arena, error->message);
    if (saved->sql == NULL)
        saved->sql = saved_file_keep(&saver->sql.made, arena);
    if (saved->json == NULL)
        saved->json = saved_file_keep(&saver->json.made, arena);
    log_warning("not all lost rows are saved: %s", error->message);
    if (error->detail[0] != '\0')
        log_detail("%s", error->detail);
    if (saved->json != NULL && saved->sql != NULL)
        log_hint("What could be written is in \"%s\" and \"%s\". With --require-lost-rows the run "
                 "fails instead, before anything is changed.",
                 saved->json, saved->sql);
    else
        log_hint("With --require-lost-rows the run fails instead, before anything is changed.");
}

static bool all_is_known(const Saver *saver)
{
    return saver->saved->untold == 0 && saver->minimal_at == LSN_INVALID &&
           saver->began_before == 0;
}

static void tell_saved(const Saver *saver)
{
    const SavedRows *saved = saver->saved;

    log_info("changes of rows by %llu lost transaction%s are saved: %llu in \"%s\" and \"%s\"",
             (unsigned long long) saved->transactions, plural(saved->transactions),
             (unsigned long long) saved->changes, saved->json, saved->sql);
    if (saved->untold > 0)
        log_warning("%llu change%s or value%s of rows are unknown: the last line of \"%s\" "
                    "counts them by reason",
                    (unsigned long long) saved->untold, plural(saved->untold),
                    plural(saved->untold), saved->json);
    if (saver->minimal_at != LSN_INVALID)
        log_warning("rows that WAL does not have are not saved: the target ran with \"wal_level = "
                    "minimal\" from %s on",
                    LSN_TEXT(saver->version, saver->minimal_at));
    if (saver->began_before > 0)
        log_warning("%llu transaction%s may have changed rows before the WAL that was read, from "
                    "%s on: these changes are not saved",
                    (unsigned long long) saver->began_before, plural(saver->began_before),
                    LSN_TEXT(saver->version, saver->divergence->common_checkpoint.checkpoint.redo));
    if (saver->options->dry_run)
        log_info("nothing else is written in a dry run");
}

/* Rule L28: refuse a rewind that would lose rows which are not in the files. */
static bool error_rows_unknown(const Saver *saver, Error *error)
{
    error_set(error, ERROR_FAILED, "not all lost rows are known");
    error_detail(error, "What is known is in \"%s\" and \"%s\".", saver->saved->json,
                 saver->saved->sql);
    return error_hint(error, "To get the others, start the old server alone and use pg_dump. Then "
                             "run pg_rewind without --require-lost-rows.");
}

static bool save(Saver *saver, Error *error)
{
    const char *directory = saver->room.directory, *target = saver->clusters->target.directory;
    const uint64_t rewind_bytes = saver->saved->rewind_bytes;
    const LostCommit *commits;
    RowChanges *changes;
    size_t count;
    bool result = true;

    /* row_changes_read writes the rows into a file in this directory, about as large as the WAL. */
    if (!saved_directory_make(directory, error) ||
        !lost_room_find(&saver->room, target, rewind_bytes, error) ||
        !lost_room_has(&saver->room, wal_bytes(saver->divergence), error))
        return false;
    changes = row_changes_read(saver->clusters, saver->divergence, directory, error);
    if (changes == NULL)
        return false;
    commits = row_changes_commits(changes, &count);
    if (count == 0)
        log_info("no lost rows are saved: no committed transaction is lost");
    else
    {
        saver->schema = schema_create(saver->clusters, changes);
        saver->reader = row_reader_create(saver->version, saver->schema);
        saver->minimal_at = changes->minimal_at;
        /* Measure the space again: the file of row_changes_read, which has no name, uses some. */
        result = lost_room_find(&saver->room, target, rewind_bytes, error) &&
                 write_files(saver, commits, count, error);
        if (result)
            tell_saved(saver);
        if (result && saver->options->require_lost_rows && !all_is_known(saver))
            result = error_rows_unknown(saver, error);
        row_reader_free(saver->reader);
        schema_free(saver->schema);
    }
    row_changes_free(changes);
    return result;
}

bool saved_rows_write(const Options *options, const Clusters *clusters,
                      const Divergence *divergence, Arena *arena, SavedRows *saved, Error *error)
{
    const Control *control = &clusters->target.control;
    Saver saver = {.options = options,
                   .clusters = clusters,
                   .divergence = divergence,
                   .arena = arena,
                   .version = clusters->shape.version,
                   .saved = saved,
                   .room.directory = options->save_lost_rows,
                   .is_required = options->require_lost_rows || options->dry_run};
    AUTO_BUFFER Buffer memory = {0};
    const char *existing;
    bool result;

    if (control_is_of_fork(control))
    {
        /* Columns of catalogs are read by their positions, which a fork may have changed. */
        error_set(error, ERROR_FAILED, "lost rows of a fork of PostgreSQL cannot be saved");
        error_detail(error,
                     "The target has catalog version %u, PostgreSQL %s has %u: its catalogs may "
                     "have other columns, so names and types of values would be guesses.",
                     control->catalog_version, control->version->name,
                     control->version->catalog_version);
        return error_hint(error,
                          "Omit " OPTION ". With --save-diverged-wal the lost WAL is saved.");
    }
    if (!saved_directory_check(OPTION, options->save_lost_rows, clusters, &memory, &existing,
                               error))
        return false;
    if (divergence->lsn == LSN_INVALID && options->require_lost_rows)
        return error_set(error, ERROR_FAILED, "lost rows cannot be saved without the target's WAL");
    if (divergence->lsn == LSN_INVALID)
    {
        log_warning(
            "no lost rows are saved: without the target's WAL it is not known what is lost");
        return true;
    }
    saver.name = arena_printf(arena, "lost-%llu-%u-%016llX",
                              (unsigned long long) clusters->target.control.system_identifier,
                              clusters->target.timeline, (unsigned long long) divergence->lsn);
    saver.json.room = saver.sql.room = &saver.room;
    result = save(&saver, error);
    if (!result && !saver.is_required && !saver.json.is_other && !saver.sql.is_other &&
        !stop_requested())
    {
        keep_incomplete(&saver, error);
        result = true;
    }
    lost_file_close(&saver.json);
    lost_file_close(&saver.sql);
    buffer_free(&saver.time);
    buffer_free(&saver.checks);
    free(saver.checked);
    free(saver.tables);
    free(saver.reasons);
    return result;
}
