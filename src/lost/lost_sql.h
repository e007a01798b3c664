/*
 * The SQL file of --save-lost-rows: a script for psql. lost_script.sql has its first lines, and
 * what psql runs in each database before the first transaction there; the statements follow.
 */
#ifndef LOST_LOST_SQL_H
#define LOST_LOST_SQL_H

#include "lost/lost_row.h"

/* Lines of lost_script.sql, which the build converts; NULL after the last. */
extern const char *const lost_script_lines[];

/* Line that makes psql read the next lines as UTF-8, since statements before may have set another
 * encoding. */
#define LOST_SCRIPT_UTF8 "\\encoding UTF8\n"

/* Variable of psql in front of a query: statements that set all settings (rule L43). */
#define LOST_SCRIPT_SETTLE ":settle "

/* Append the start of the script, after its first line: which role runs the script, and how psql is
 * set. */
void lost_script_begin(Buffer *text);

/*
 * Append the \connect to a database, with its name as stored, and the checks and functions that the
 * statements for it call. `number`: OID of the database, by which the script checks that it is
 * still the same one; 0 if it did not exist at the divergence: no check.
 */
void lost_script_connect(const char *name, Oid number, const Version *version, Buffer *text);

extern const char *const lost_sql_verbs[]; /* verbs of the statements, by RowChangeKind */

/* Append a table's schema and name as two literals, arguments of the script's functions. */
void lost_sql_table_arguments(const Table *table, Buffer *text);

/* Append the check whether the source's table of that name is still this table, which sets the psql
 * variable `changed`. */
void lost_sql_check(const Table *table, const TableBefore *before, Buffer *text);

/* Append the statement that repeats a row's change, in the SQL of the version, to an empty text;
 * nothing for an update that gives no column another value. False if the row is not known well
 * enough or a name in the statement is not valid in UTF-8: *reason says why, the text is
 * unspecified. */
bool lost_sql_row(const LostRow *row, const char *lsn, Buffer *text, const char **reason);

#endif
