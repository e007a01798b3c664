/*
 * Lines on stderr in the form of PostgreSQL's programs (15 and later), and the progress line.
 *
 * All functions may be called from several threads at once: a line is written by one write().
 * A closed stderr is ignored.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Set the name that begins each line (base name of argv[0]); read PG_COLOR and PG_COLORS. */
void log_init(const char *argv0);
const char *log_program_name(void);
void log_set_debug(bool on);
bool log_debug_on(void);
void log_set_progress(bool on); /* -P */

/* "pg_rewind: TEXT". Debug lines only when log_set_debug(true), progress lines only with -P. */
void log_info(const char *format, ...) PRINTF_LIKE(1, 2);
void log_debug(const char *format, ...) PRINTF_LIKE(1, 2);
void log_progress_message(const char *format, ...) PRINTF_LIKE(1, 2);
void log_warning(const char *format, ...) PRINTF_LIKE(1, 2); /* "pg_rewind: warning: TEXT" */
void log_detail(const char *format, ...) PRINTF_LIKE(1, 2);  /* "pg_rewind: detail: TEXT" */
void log_hint(const char *format, ...) PRINTF_LIKE(1, 2);    /* "pg_rewind: hint: TEXT" */

/* The error's lines: error:, then detail: and hint: where set. It is remembered, for log_errors. */
void log_error(const Error *error);

/*
 * The first hundred errors that were printed, in order. The list and its content live to the end of
 * the program.
 */
#define LOG_ERRORS_MAX 100
const Error *const *log_errors(size_t *count);

/*
 * Progress of one step: what is done out of total, both in bytes. Begin, add from any thread, end.
 *
 * On a pipe the line is the original's, at most once a second and once at the end:
 * "%*s/%s kB (%d%%) copied" with a newline (for the fetch; other steps name themselves instead of
 * "copied": "scanned", "applied", "synced"). On a terminal one line is rewritten in place with
 * percentage, rate and time left. Nothing without -P. A log line first ends an unfinished progress
 * line.
 */
void progress_begin(const char *participle, uint64_t total_bytes);
void progress_add(uint64_t bytes);
void progress_grow(uint64_t bytes); /* the total turned out larger */
void progress_end(void);

#endif
