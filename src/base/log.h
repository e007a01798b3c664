/*
 * Lines on stderr in the form of PostgreSQL's programs (15 and later), and the progress line.
 *
 * All functions may be called from several threads at once. A line of at most PIPE_BUF bytes is
 * written by one write(), so other processes' lines do not mix with it. A closed stderr is ignored.
 * A line is dropped if stderr takes no bytes and a stop signal has come.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include "base/error.h"

/* Set the name that begins each line (base name of argv[0]); read PG_COLOR and PG_COLORS. */
void log_init(const char *argv0);
const char *log_program_name(void);
void log_set_debug(bool on);
bool log_debug_on(void);

/* Begin each line that has the program's name with the time in UTC. Has no effect on progress, on a
 * terminal, and where stderr goes to the journal of systemd, which adds the time itself. */
void log_set_timestamps(bool on);

/* The amount of lines that are printed: all in a rewind, few in steps that only examine the two
 * clusters. log_debug and log_progress_message are not affected. */
typedef enum LogAmount
{
    LOG_ALL,
    LOG_WARNINGS,   /* no log_info, no progress of phases */
    LOG_ERRORS_ONLY /* no warnings, details and hints either, except those of log_error */
} LogAmount;
void log_set_amount(LogAmount amount);

/* The form of progress: off without -P, lines of text, or JSON. */
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
    LEVEL_DEBUG,    /* the same, only after log_set_debug(true) */
    LEVEL_PROGRESS, /* the same, only with PROGRESS_TEXT */
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
 * log_errors returns it later. */
void log_error(const Error *error);

/* Print the error as a warning, because the run continues. log_errors does not return it. */
void log_as_warning(const Error *error);

/*
 * The first LOG_ERRORS_MAX errors that log_error printed, in order. The list and its content live
 * until the program exits.
 */
#define LOG_ERRORS_MAX 100
const Error *const *log_errors(size_t *count);

/* The phases of a run, which every line of progress names. */
typedef enum ProgressPhase
{
    PROGRESS_IDENTIFY, /* read facts about both clusters */
    PROGRESS_SCAN_TARGET,
    PROGRESS_SCAN_LOST, /* the target's WAL again, for the list of lost transactions or rows */
    PROGRESS_FETCH_WAL, /* fetch WAL of the source, to read it */
    PROGRESS_SCAN_SOURCE,
    PROGRESS_LIST,           /* list the files of both clusters */
    PROGRESS_READ_INDEXES,   /* find index entries marked as dead without WAL */
    PROGRESS_COMPARE_BLOCKS, /* with --compare */
    PROGRESS_COMPARE_FILES,  /* find whole files that are equal on both sides */
    PROGRESS_FETCH,
    PROGRESS_STAGE_WAL,     /* fetch the source's WAL into the work directory */
    PROGRESS_STAGE_NEW_WAL, /* fetch WAL that the source wrote during PROGRESS_STAGE_WAL */
    PROGRESS_CHECK_WAL,     /* check the staged WAL */
    PROGRESS_SYNC,
    PROGRESS_APPLY,
    PROGRESS_REPLAY /* the target's server replays WAL, with --rejoin */
} ProgressPhase;

/*
 * Progress of one phase: bytes done out of a total, in bytes, or 0 if the total is not known or the
 * work is not counted in bytes. Call progress_begin, progress_add from any thread, then
 * progress_end, which returns `done`. One other phase may begin and end between begin and end of a
 * phase; progress_add counts for the innermost.
 *
 * The total never changes. 100% is printed once: in the last line of a phase that was completed
 * (done), even if the bytes were more or fewer than the total.
 *
 * PROGRESS_TEXT prints at most one line a second, and one at the end: the line of PostgreSQL's
 * pg_rewind and then the phase, "%*s/%s kB (%d%%) copied (fetch)", or "scanned", "compared",
 * "applied" in other phases. On a pipe each ends with a newline. On a terminal one line is
 * rewritten in place, with rate and time left; a log line first ends it with a newline. A phase
 * without a total prints nothing, except PROGRESS_FETCH.
 *
 * PROGRESS_JSON prints one object a line, once a second, and at the beginning and end of each
 * phase; see the manual page.
 */
void progress_begin(ProgressPhase phase, uint64_t total_bytes);
void progress_add(uint64_t bytes);
bool progress_end(bool done);

#endif
