/*
 * The file for people: a script for psql. Its first lines, and what psql does in each database
 * before the first transaction there, are in lost_script.sql; then come the statements.
 */
#ifndef LOST_LOST_SQL_H
#define LOST_LOST_SQL_H

#include "lost/lost_row.h"

/* The lines of lost_script.sql, which the build puts here; NULL after the last. */
extern const char *const lost_script_lines[];

/* psql reads what follows as UTF-8. Foreign code may have told it otherwise. */
#define LOST_SCRIPT_UTF8 "\\encoding UTF8\n"

/* Append the lines after the first one: which role runs the script, and how psql is set. */
void lost_script_begin(Buffer *text);

/*
 * Append the change to a database, by the name as it is stored, with the checks and functions that
 * its statements call. `number` is the database's, if it was there at the divergence, else 0.
 */
void lost_script_connect(const char *name, Oid number, const Version *version, Buffer *text);

extern const char *const lost_sql_verbs[]; /* by RowChangeKind */

/* Append the name of a table, with its schema. */
void lost_sql_table(const Table *table, Buffer *text);

/* Append its schema and its name as arguments of the script's functions. */
void lost_sql_table_arguments(const Table *table, Buffer *text);

/* Append the statement that asks whether the table of that name is this one, and sets changed. */
void lost_sql_check(const Table *table, const TableBefore *before, Buffer *text);

/* Append the statement for a row, in the SQL of the version. False if the row is not known well
 * enough; *reason says why. */
bool lost_sql_row(const LostRow *row, const char *lsn, Buffer *text, const char **reason);

#endif
