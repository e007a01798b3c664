/*
 * Errors, and what they mean for the exit status.
 *
 * A function that can fail returns bool and has an Error as its last parameter; it sets the Error
 * only when it returns false. The function that knows the path or LSN writes the message; its
 * callers pass it on.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MUST_CHECK __attribute__((warn_unused_result))
#define PRINTF_LIKE(template, first) __attribute__((format(printf, template, first)))

typedef enum ErrorKind
{
    ERROR_NONE,
    ERROR_FAILED,     /* exit status 1: this run failed, another may work */
    ERROR_IMPOSSIBLE, /* exit status 3: nothing rewinds this target to this source, not even
                         --compare (design/overview.md, "Exit status 1 or 3") */
    ERROR_RETRY, /* exit status 1: the connection to the source was lost; a later run can work */
    ERROR_USAGE, /* exit status 1: the command line is wrong; main prints the hint to try --help */
    ERROR_REPORTED /* all errors were printed when they were found; error_worst_kind decides the
                      exit status */
} ErrorKind;

/* The action with which a program can react to an error; the hint says the same to people. */
typedef enum Remedy
{
    REMEDY_NONE,
    REMEDY_COMPARE, /* run the same command with --compare */
    REMEDY_WAL,     /* give pg_rewind the missing WAL, by an archive or a restore command */
    REMEDY_RESTART  /* restart the host, then run the same command with --compare: a run before that
                       would succeed with a file that is lost. Has no name for programs */
} Remedy;

/*
 * Each text has room for a path of 4,000 bytes or what a server says about it, a list of names of
 * 1,000, and sentences. An Error owns no memory: it is a local or a member, copied by assignment,
 * and needs no initialisation before it is set.
 */
#define ERROR_TEXT_SIZE 6144

typedef struct Error
{
    ErrorKind kind;
    ErrorKind worst; /* worst kind of the printed errors; only for ERROR_REPORTED */
    Remedy remedy;
    int error_number; /* the errno whose text ends the message, or 0 */
    char message[ERROR_TEXT_SIZE];
    char detail[ERROR_TEXT_SIZE]; /* lines joined by newlines, or "" */
    char hint[ERROR_TEXT_SIZE];   /* likewise */
} Error;

/*
 * Functions that set an Error accept NULL, for callers that do not use it. Control characters in
 * arguments are replaced (shown_vprintf, SHOWN_OWN_LINES). Text that is too long is cut off between
 * two characters and ends with "...".
 */

/* Set kind and message; drop detail, hint and remedy. Newlines at the end of the message, such as
 * libpq's, are removed. Always returns false: `return error_set(...)`. */
bool error_set(Error *error, ErrorKind kind, const char *format, ...) PRINTF_LIKE(3, 4);

/* Like error_set with ERROR_FAILED; ": " and the text of errno follow the message. Call this before
 * errno can change. Always returns false. */
bool error_set_errno(Error *error, const char *format, ...) PRINTF_LIKE(2, 3);

/* Set ERROR_REPORTED without a message: all errors were printed, and `worst` decides the exit
 * status. Always returns false. */
bool error_set_reported(Error *error, ErrorKind worst);

/* The kind that decides the exit status; for ERROR_REPORTED the worst kind that was printed. */
ErrorKind error_worst_kind(const Error *error);

/* Copy `from` to error, unless error is NULL. Always returns false: `return error_copy(...)`. */
bool error_copy(Error *error, const Error *from);

/*
 * Add a sentence to the detail or the hint; several are joined by newlines. A line that begins with
 * a blank is for pasting: it is printed without the program's name. Always returns false.
 */
bool error_detail(Error *error, const char *format, ...) PRINTF_LIKE(2, 3);
bool error_hint(Error *error, const char *format, ...) PRINTF_LIKE(2, 3);

bool error_remedy(Error *error, Remedy remedy); /* always returns false */

/* The name of the remedy for programs: "base_backup" for ERROR_IMPOSSIBLE, "retry" (the same
 * command later) for ERROR_RETRY, otherwise "compare" or "wal" by the remedy; NULL if only the hint
 * says what to do. */
const char *error_remedy_name(const Error *error);

/*
 * Print that memory is exhausted and exit, with status 1. While memory_set_unfinished is true, the
 * exit status and the printed hint are those of memory_set_unfinished_end. (Dying is safe at every
 * instant.)
 */
_Noreturn void out_of_memory(void);

/*
 * Extend the main thread's stack at once to what a rewind needs; child processes inherit it.
 * Otherwise, if the kernel refuses memory later, a stack that must grow ends the process by
 * SIGSEGV, without a message. Does nothing if `ulimit -s` is less than 1 MB.
 */
void memory_reserve_stack(void);

/* Set exit status and hint for memory that is exhausted while the target is unfinished. Call this
 * before other threads start. hint must live until the program exits. */
void memory_set_unfinished_end(int status, const char *hint);

/* Set whether the target is, or may be, committed but not finished, so that another run must finish
 * it. */
void memory_set_unfinished(bool unfinished);

/* malloc, calloc and realloc that never return NULL: they call out_of_memory. Free the memory with
 * free. */
void *memory_allocate(size_t size);
void *memory_allocate_zeroed(size_t count, size_t size);
void *memory_allocate_aligned(size_t size); /* aligned to 4096 bytes */
void *memory_resize(void *memory, size_t size);

#endif
