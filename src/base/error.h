/*
 * Errors, and how they end the run.
 *
 * A function that can fail returns bool and takes an Error as its last argument; it fills the Error
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
    ERROR_RETRY,      /* the connection to the source was lost: the same request may work later */
    ERROR_USAGE,      /* exit status 1, followed by the hint to try --help */
    ERROR_REPORTED    /* all errors were printed when they were found: see error_worst_kind */
} ErrorKind;

/* The remedy that a program can apply, if there is one; the hint describes it to people. */
typedef enum Remedy
{
    REMEDY_NONE,
    REMEDY_COMPARE, /* the same command with --compare */
    REMEDY_WAL      /* the WAL that is missing, from an archive or a restore command */
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
    ErrorKind worst; /* of ERROR_REPORTED: the worst kind of what was printed */
    Remedy remedy;
    int error_number; /* errno when the message ends in its text, else 0 */
    char message[ERROR_TEXT_SIZE];
    char detail[ERROR_TEXT_SIZE]; /* lines joined by newlines; "" without any */
    char hint[ERROR_TEXT_SIZE];   /* likewise */
} Error;

/*
 * All functions that set an Error accept NULL, for callers that do not care what has failed. Text
 * that does not fit is cut off between two characters and ends with "...".
 */

/* Set kind and message, which loses newlines at its end, such as libpq's; drop detail, hint and
 * remedy. Always returns false: `return error_set(...)`. */
bool error_set(Error *error, ErrorKind kind, const char *format, ...) PRINTF_LIKE(3, 4);

/* As error_set with ERROR_FAILED; ": " and the text of errno (read at once) follow the message. */
bool error_set_errno(Error *error, const char *format, ...) PRINTF_LIKE(2, 3);

/* Set ERROR_REPORTED, without a message: the errors were printed already, and `worst` of them
 * decides how the run ends. Always returns false. */
bool error_set_reported(Error *error, ErrorKind worst);

/* The kind that decides how the run ends, also of what was printed already. */
ErrorKind error_worst_kind(const Error *error);

/* The same kind, message, detail and hint as `from`. False. */
bool error_copy(Error *error, const Error *from);

/*
 * Add a line of detail or of hint, sentences both. Several are joined by newlines. A line that
 * begins with a blank is printed as it is, without the program's name: it is for pasting. False.
 */
bool error_detail(Error *error, const char *format, ...) PRINTF_LIKE(2, 3);
bool error_hint(Error *error, const char *format, ...) PRINTF_LIKE(2, 3);

bool error_remedy(Error *error, Remedy remedy); /* false, too */

/* The remedy for programs: "compare", "wal", "retry" (the same command again), "base_backup"; NULL:
 * the hint says what to do. */
const char *error_remedy_name(const Error *error);

/*
 * Print that memory is exhausted, and exit (every instant is safe to die at): with status 1, or
 * while memory_set_unfinished says so, with the status and the hint given for that.
 */
_Noreturn void out_of_memory(void);

/*
 * Extend the stack of the main thread to what a rewind needs, before any other work; child
 * processes inherit the stack. Where the kernel later refuses memory, a stack that must grow would
 * end the process by SIGSEGV, without a message. Does nothing under a small `ulimit -s`.
 */
void memory_reserve_stack(void);

/* To be set while no other thread runs. hint lives to the end of the program. */
void memory_set_unfinished_end(int status, const char *hint);

/* From now on this process has left something unfinished, or no longer. */
void memory_set_unfinished(bool unfinished);

/* malloc, calloc and realloc that never return NULL. */
void *memory_allocate(size_t size);
void *memory_allocate_zeroed(size_t count, size_t size);
void *memory_allocate_aligned(size_t size); /* at a multiple of 4096 */
void *memory_resize(void *memory, size_t size);

#endif
