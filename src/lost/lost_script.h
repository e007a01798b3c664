/*
 * What the file for people has besides its statements: its first lines, and what psql does in each
 * database before the first transaction there. The SQL is in lost_script.sql.
 */
#ifndef LOST_LOST_SCRIPT_H
#define LOST_LOST_SCRIPT_H

#include "base/buffer.h"
#include "format/versions.h"

/* Append the lines after the first one: which role runs the script, and how psql is set. */
void lost_script_begin(Buffer *text);

/*
 * Append the change to a database, by the name as it is stored, with the checks and functions that
 * its statements call. `number` is the database's, if it was there at the divergence, else 0.
 */
void lost_script_connect(const char *name, Oid number, const Version *version, Buffer *text);

/* The lines of lost_script.sql, which the build puts here; NULL after the last. */
extern const char *const lost_script_lines[];

/* psql reads what follows as UTF-8. Foreign code may have told it otherwise. */
#define LOST_SCRIPT_UTF8 "\\encoding UTF8\n"

#endif
