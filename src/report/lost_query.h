/*
 * SQL that lists, on the target's own server started before the rewind, the rows of a table that
 * lost transactions inserted or updated.
 *
 * A row that is seen and has the number of a lost transaction as its xmin was written by that
 * transaction. Freezing (not in 9.3), VACUUM FULL and CLUSTER leave xmin as it is. The server that
 * was looked at is the only one that knows the table by its storage (pg_filenode_relation,
 * since 9.4), so psql asks it first and runs what comes of that. Any psql from 9.3 on can: it keeps
 * the answer in a variable (\gset); \gexec came with 9.6 only.
 */
#ifndef REPORT_LOST_QUERY_H
#define REPORT_LOST_QUERY_H

#include "base/buffer.h"
#include "wal/lost.h"

/*
 * True if there can be such rows: not in catalogs except large objects, nor where rows were only
 * deleted. Storage that such a transaction made may be that of a table which it rewrote.
 */
bool lost_query_exists(const LostRelation *relation);

/* The statement, with line breaks but none at its end, appended to text. */
void lost_query_append(const Lost *lost, const LostRelation *relation, Buffer *text);

/*
 * The report's part for people: a script for psql without empty lines, after one; what is not SQL
 * is a comment. The tables with the most rows, database by database. Nothing if no table has
 * such rows, or lost is NULL.
 */
void lost_queries_text(const Lost *lost, Buffer *text);

#endif
