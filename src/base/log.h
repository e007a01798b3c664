/*
 * Lines on stderr in the form of PostgreSQL's programs (15 and later), and the progress line.
 *
 * All functions may be called from several threads at once: a line is written by one write().
 * A closed stderr is ignored.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/error.h"

/* Set the name that begins each line (base name of argv[0]); read PG_COLOR and PG_COLORS. */
void log_init(const char *argv0);
const char *log_program_name(void);
void log_set_debug(bool on);
bool log_debug_on(void);

/* Begin each line that has the name with the time in UTC; not on a terminal, nor where the journal
 * of systemd takes stderr, which has times of its own. Not progress. */
void log_set_timestamps(bool on);

/* The lines that are printed: all in a rewind, few or none when a pair is only examined. */
typedef enum LogAmount
{
    LOG_ALL,
    LOG_WARNINGS, /* no log_info, no progress */
    LOG_NOTHING   /* errors only */
} LogAmount;
void log_set_amount(LogAmount amount);

/* -P: not at all, lines of text, or JSON. */
typedef enum ProgressFormat
{
    PROGRESS_OFF,
    PROGRESS_TEXT,
    PROGRESS_JSON
} ProgressFormat;
void log_set_progress(ProgressFormat format);

typedef enum LogLevel
{
    LEVEL_INFO,     /* "pg_rewind: TEXT" */
    LEVEL_DEBUG,    /* the same, only when log_set_debug(true) */
    LEVEL_PROGRESS, /* the same, only with -P and as text */
    LEVEL_WARNING,  /* "pg_rewind: warning: TEXT" */
    LEVEL_DETAIL,   /* "pg_rewind: detail: TEXT" */
    LEVEL_HINT      /* "pg_rewind: hint: TEXT" */
} LogLevel;
void log_line(LogLevel level, const char *format, ...) PRINTF_LIKE(2, 3);

#define log_info(...) log_line(LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LEVEL_DEBUG, __VA_ARGS__)
#define log_progress_message(...) log_line(LEVEL_PROGRESS, __VA_ARGS__)
#define log_warning(...) log_line(LEVEL_WARNING, __VA_ARGS__)
#define log_detail(...) log_line(LEVEL_DETAIL, __VA_ARGS__)
#define log_hint(...) log_line(LEVEL_HINT, __VA_ARGS__)

/* Print the error: a line with error:, then lines with detail: and hint: if they are set.
 * log_errors remembers it. */
void log_error(const Error *error);

/* Print the error as a warning: what it says goes on nevertheless, and log_errors does not have it.
 */
void log_as_warning(const Error *error);

/*
 * The first hundred errors that were printed, in order. The list and its content live to the end of
 * the program.
 */
#define LOG_ERRORS_MAX 100
const Error *const *log_errors(size_t *count);

/* The phases of a run; every line of progress names its phase. */
typedef enum ProgressPhase
{
    PROGRESS_IDENTIFY, /* both clusters */
    PROGRESS_SCAN_TARGET,
    PROGRESS_SCAN_LOST, /* for a report */
    PROGRESS_FETCH_WAL,
    PROGRESS_SCAN_SOURCE,
    PROGRESS_LIST,
    PROGRESS_READ_INDEXES,   /* of the target, for entries marked as dead without WAL */
    PROGRESS_COMPARE_BLOCKS, /* with --compare */
    PROGRESS_COMPARE_FILES,
    PROGRESS_FETCH,
    PROGRESS_STAGE_WAL,     /* to where it will be installed from; of a directory, copied there */
    PROGRESS_STAGE_NEW_WAL, /* that the source wrote in the meantime */
    PROGRESS_CHECK_WAL,     /* that was staged */
    PROGRESS_SYNC,
    PROGRESS_APPLY,
    PROGRESS_REPLAY /* with --rejoin */
} ProgressPhase;

/*
 * Progress of one phase: what is done out of total, both in bytes; total 0: not known, or nothing
 * that is counted in bytes. Begin, add from any thread, end, which returns `done`. Between begin
 * and end another phase may begin and end.
 *
 * The total never changes. Only the last line of a phase that did all it had to (done) says 100%,
 * and always does, whatever turned out to be larger or smaller.
 *
 * Text, at most once a second and once at the end (not for the last byte and the end): the
 * original's line and then the phase,
 * "%*s/%s kB (%d%%) copied (fetch)", in other phases "scanned", "compared", "applied"; with a
 * newline on a pipe. On a terminal one line is rewritten in place, with rate and time left. A log
 * line first ends an unfinished one. Without a total nothing. JSON: an object a line, once a
 * second, and at the beginning and end of each phase; see the manual page.
 */
void progress_begin(ProgressPhase phase, uint64_t total_bytes);
void progress_add(uint64_t bytes);
bool progress_end(bool done);

#endif
