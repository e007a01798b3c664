#include "base/log.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "base/workers.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SGR_SIZE 32
#define KILOBYTE 1024
#define POLL_MILLISECONDS 200
#define NANOSECONDS 1000000000
#define PROGRESS_DEPTH_MAX 2 /* two: WAL is fetched while blocks are compared */

typedef enum Colour
{
    COLOUR_ERROR,
    COLOUR_WARNING,
    COLOUR_NOTE,
    COLOUR_LOCUS,
    COLOUR_COUNT
} Colour;

/* State of one phase. Times are CLOCK_MONOTONIC in nanoseconds. */
typedef struct Progress
{
    ProgressPhase phase;
    uint64_t done_bytes;
    uint64_t total_bytes;
    int64_t begun;
    int64_t printed; /* time of the last line; 0 before the first */
} Progress;

static const struct
{
    const char *name;
    const char *participle; /* what is done to the bytes; "copied" is PostgreSQL's word */
} phases[] = {
    [PROGRESS_IDENTIFY] = {"identify", ""},
    [PROGRESS_SCAN_TARGET] = {"scan target WAL", "scanned"},
    [PROGRESS_SCAN_LOST] = {"scan lost transactions", "scanned"},
    [PROGRESS_FETCH_WAL] = {"fetch WAL", "copied"},
    [PROGRESS_SCAN_SOURCE] = {"scan source WAL", "scanned"},
    [PROGRESS_LIST] = {"list", ""},
    [PROGRESS_READ_INDEXES] = {"read indexes", "read"},
    [PROGRESS_COMPARE_BLOCKS] = {"compare blocks", "compared"},
    [PROGRESS_COMPARE_FILES] = {"compare files", "compared"},
    [PROGRESS_FETCH] = {"fetch", "copied"},
    [PROGRESS_STAGE_WAL] = {"stage WAL", "copied"},
    [PROGRESS_STAGE_NEW_WAL] = {"stage new WAL", "copied"},
    [PROGRESS_CHECK_WAL] = {"check WAL", "scanned"},
    [PROGRESS_SYNC] = {"sync", ""},
    [PROGRESS_APPLY] = {"apply", "applied"},
    [PROGRESS_REPLAY] = {"replay", "replayed"},
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* guards what changes after the start */
static const Error *printed_errors[LOG_ERRORS_MAX];
static size_t printed_count;
static const char *program_name = "pg_rewind";
static bool debug_on;
static LogAmount amount_printed;
static ProgressFormat progress_format;
static bool coloured;
static bool stamped;
static char sgr[COLOUR_COUNT][SGR_SIZE] = {"01;31", "01;35", "01;36", "01"};
static Progress progress[PROGRESS_DEPTH_MAX]; /* phases that have begun, innermost last */
static size_t progress_depth;
static bool line_is_unfinished; /* by a progress line on a terminal */

/* Read the colours of PG_COLORS: "error=01;31:warning=01;35:...". Kinds that are not named have no
 * colour. */
static void read_colours(const char *list)
{
    static const char *const names[COLOUR_COUNT] = {"error", "warning", "note", "locus"};

    memset(sgr, 0, sizeof(sgr));
    while (*list != '\0')
    {
        size_t length = strcspn(list, ":");

        for (int colour = 0; colour < COLOUR_COUNT; colour++)
        {
            size_t name = strlen(names[colour]);

            if (length > name && strncmp(list, names[colour], name) == 0 && list[name] == '=' &&
                length - name - 1 < SGR_SIZE)
            {
                memcpy(sgr[colour], list + name + 1, length - name - 1);
                sgr[colour][length - name - 1] = '\0';
            }
        }
        list += length;
        if (*list == ':')
            list++;
    }
}

void log_init(const char *argv0)
{
    const char *slash = strrchr(argv0, '/');
    const char *when = getenv("PG_COLOR");
    const char *colours = getenv("PG_COLORS");

    program_name = slash != NULL ? slash + 1 : argv0;
    coloured = when != NULL && (strcmp(when, "always") == 0 ||
                                (strcmp(when, "auto") == 0 && isatty(STDERR_FILENO)));
    if (coloured && colours != NULL)
        read_colours(colours);
}

const char *log_program_name(void)
{
    return program_name;
}

void log_set_debug(bool on)
{
    debug_on = on;
}

bool log_debug_on(void)
{
    return debug_on;
}

void log_set_timestamps(bool on)
{
    /* Device and inode of the journal's socket: systemd.exec(5). */
    const char *stream = getenv("JOURNAL_STREAM");
    unsigned long long device, inode;
    struct stat status;

    stamped =
        on && !isatty(STDERR_FILENO) &&
        !(stream != NULL && sscanf(stream, "%llu:%llu", &device, &inode) == 2 &&
          fstat(STDERR_FILENO, &status) == 0 && status.st_dev == device && status.st_ino == inode);
}

void log_set_amount(LogAmount amount)
{
    amount_printed = amount;
}

void log_set_progress(ProgressFormat format)
{
    progress_format = format;
}

/*
 * Wait until stderr can be written to. Returns false if it cannot (a full pipe, a stopped terminal)
 * and a stop signal has come: a process that is asked to stop must not wait to print a message.
 */
static bool is_writable(void)
{
    struct pollfd waited = {.fd = STDERR_FILENO, .events = POLLOUT};

    for (;;)
    {
        const int ready = poll(&waited, 1, POLL_MILLISECONDS);

        if (ready > 0 || (ready < 0 && errno != EINTR))
            return true;
        if (stop_signalled())
            return false;
    }
}

/* Write a line with one write(), or several if it exceeds PIPE_BUF. Errors are ignored. */
static void write_bytes(const Buffer *line)
{
    size_t written = 0;

    while (written < line->size && is_writable())
    {
        const size_t left = line->size - written;
        const ssize_t now =
            write(STDERR_FILENO, line->bytes + written, left < PIPE_BUF ? left : PIPE_BUF);

        if (now < 0 && errno == EINTR)
            continue;
        if (now <= 0)
            return;
        written += (size_t) now;
    }
}

static void append_coloured(Buffer *line, Colour colour, const char *text)
{
    if (coloured && sgr[colour][0] != '\0')
        buffer_printf(line, "\033[%sm%s\033[0m", sgr[colour], text);
    else
        buffer_append_string(line, text);
}

static void append_prefix(Buffer *line, Colour colour, const char *label)
{
    struct timespec now;
    char date[32];
    struct tm utc;

    if (stamped) /* the stamp has the form of %m in the server's log_line_prefix */
    {
        clock_gettime(CLOCK_REALTIME, &now);
        gmtime_r(&now.tv_sec, &utc);
        strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &utc);
        buffer_printf(line, "%s.%03ld UTC ", date, now.tv_nsec / 1000000);
    }
    append_coloured(line, COLOUR_LOCUS, program_name);
    append_coloured(line, COLOUR_LOCUS, ": ");
    if (label != NULL)
        append_coloured(line, colour, label);
}

/* Append a message. Lines after the first have no prefix: they are the text of libpq, which a
 * server can choose. A line that begins like ours is indented, so that it cannot pretend to be our
 * hint. */
static void append_message(Buffer *line, const char *text)
{
    const size_t name = strlen(program_name);

    for (;;)
    {
        const char *end = strchrnul(text, '\n');

        buffer_append(line, text, (size_t) (end - text));
        if (*end == '\0')
            return;
        buffer_append_u8(line, '\n');
        text = end + 1;
        if (strncmp(text, program_name, name) == 0 && text[name] == ':')
            buffer_append_string(line, "  ");
    }
}

/* End the text with exactly one newline, even if libpq's text has some or none. */
static void end_line(Buffer *line)
{
    while (line->size > 0 && line->bytes[line->size - 1] == '\n')
        line->size--;
    buffer_append_u8(line, '\n');
}

static void write_line(const Buffer *line)
{
    pthread_mutex_lock(&lock);
    if (line_is_unfinished)
    {
        const Buffer newline = {.bytes = (uint8_t[]){'\n'}, .size = 1};

        write_bytes(&newline);
        line_is_unfinished = false;
    }
    write_bytes(line);
    pthread_mutex_unlock(&lock);
}

void log_line(LogLevel level, const char *format, ...)
{
    static const char *const labels[] = {
        [LEVEL_WARNING] = "warning: ", [LEVEL_DETAIL] = "detail: ", [LEVEL_HINT] = "hint: "};
    AUTO_BUFFER Buffer line = {0}, text = {0};
    va_list arguments;

    if ((level == LEVEL_DEBUG && !debug_on) ||
        (level == LEVEL_PROGRESS && progress_format != PROGRESS_TEXT) ||
        (level == LEVEL_INFO && amount_printed != LOG_ALL) ||
        (level >= LEVEL_WARNING && amount_printed == LOG_ERRORS_ONLY))
        return;
    append_prefix(&line, level == LEVEL_WARNING ? COLOUR_WARNING : COLOUR_NOTE, labels[level]);
    va_start(arguments, format);
    buffer_vshown(&text, SHOWN_OWN_LINES, format, arguments);
    va_end(arguments);
    append_message(&line, buffer_string(&text));
    end_line(&line);
    write_line(&line);
}

/* Append a labelled line for each line of text. A line that begins with a blank is for pasting and
 * has no label (error_hint). */
static void append_lines(Buffer *lines, const char *label, const char *text)
{
    while (*text != '\0')
    {
        size_t length = strcspn(text, "\n");

        if (*text != ' ')
            append_prefix(lines, COLOUR_NOTE, label);
        buffer_append(lines, text, length);
        buffer_append_u8(lines, '\n');
        text += length;
        if (*text == '\n')
            text++;
    }
}

const Error *const *log_errors(size_t *count)
{
    pthread_mutex_lock(&lock);
    *count = printed_count;
    pthread_mutex_unlock(&lock);
    return printed_errors;
}

void log_error(const Error *error)
{
    AUTO_BUFFER Buffer lines = {0};

    pthread_mutex_lock(&lock);
    if (printed_count < LOG_ERRORS_MAX)
    {
        Error *copy = memory_allocate(sizeof(*copy));

        *copy = *error;
        printed_errors[printed_count++] = copy;
    }
    pthread_mutex_unlock(&lock);
    append_prefix(&lines, COLOUR_ERROR, "error: ");
    append_message(&lines, error->message);
    end_line(&lines);
    append_lines(&lines, "detail: ", error->detail);
    append_lines(&lines, "hint: ", error->hint);
    write_line(&lines);
}

void log_as_warning(const Error *error)
{
    log_warning("%s", error->message);
    if (error->detail[0] != '\0')
        log_detail("%s", error->detail);
    if (error->hint[0] != '\0')
        log_hint("%s", error->hint);
}

/* ---- Progress ---- */

/* Append a line of progress: "12345/67890 kB (18%) copied (fetch), 12.3 MB/s, 1:02:03 left". The
 * phase's name comes last, because programs look for the start of the line, which is that of
 * PostgreSQL's pg_rewind. */
static void append_text(Buffer *line, const Progress *now, bool done, double seconds)
{
    const unsigned long long done_kb = now->done_bytes / KILOBYTE;
    const unsigned long long total_kb = now->total_bytes / KILOBYTE;
    /* Equal numbers of kB are 100 %, even if less than a kB is left. */
    const int percent = done_kb >= total_kb
                            ? 100
                            : (int) ((double) now->done_bytes * 100 / (double) now->total_bytes);
    const double rate = seconds > 0 ? (double) now->done_bytes / seconds : 0;
    char total[32];

    snprintf(total, sizeof(total), "%llu", total_kb);
    buffer_printf(line, "%*llu/%s kB (%d%%) %s", (int) strlen(total), done_kb, total, percent,
                  phases[now->phase].participle); /* contract */
    buffer_printf(line, " (%s)", phases[now->phase].name);
    if (!isatty(STDERR_FILENO))
    {
        buffer_append_u8(line, '\n');
        return;
    }
    /* Print no rate for less than half a second: it would be random. */
    if (seconds > 0.5)
        buffer_printf(line, ", %.1f MB/s", rate / KILOBYTE / KILOBYTE);
    if (seconds > 0.5 && now->done_bytes < now->total_bytes && rate >= 1)
    {
        const uint64_t left = (uint64_t) ((double) (now->total_bytes - now->done_bytes) / rate);
        const unsigned minutes = (unsigned) (left / 60), second = (unsigned) (left % 60);

        if (minutes >= 60)
            buffer_printf(line, ", %u:%02u:%02u left", minutes / 60, minutes % 60, second);
        else
            buffer_printf(line, ", %u:%02u left", minutes, second);
    }
    buffer_append_string(line, "\033[K"); /* erases the rest of a longer line */
    buffer_append_u8(line, done ? '\n' : '\r');
    line_is_unfinished = !done;
}

/*
 * Print the line of the innermost phase; the caller holds the lock. done says that the phase was
 * completed. The printed bytes never exceed the total, and equal it if done: files can have grown
 * or become smaller, and WAL can end early.
 */
static void progress_print(bool done, int64_t at)
{
    Progress *phase = &progress[progress_depth - 1];
    Progress now = *phase;
    const double seconds = (double) (at - now.begun) / NANOSECONDS;
    const char *finished = done ? "true" : "false";
    AUTO_BUFFER Buffer line = {0}, total = {0};

    if (now.total_bytes > 0 && (done || now.done_bytes > now.total_bytes))
        now.done_bytes = now.total_bytes;
    phase->printed = at;
    if (now.total_bytes > 0)
        buffer_printf(&total, "%llu", (unsigned long long) now.total_bytes);
    else
        buffer_append_string(&total, "null");
    if (progress_format == PROGRESS_JSON)
        buffer_printf(&line,
                      "{\"phase\": \"%s\", \"done_bytes\": %llu, \"total_bytes\": %s, "
                      "\"bytes_per_second\": %.0f, \"seconds\": %.3f, \"finished\": %s}\n",
                      phases[now.phase].name, (unsigned long long) now.done_bytes,
                      buffer_string(&total), seconds > 0 ? (double) now.done_bytes / seconds : 0,
                      seconds, finished);
    else if (now.total_bytes > 0 || now.phase == PROGRESS_FETCH)
        append_text(&line, &now, done, seconds);
    write_bytes(&line);
}

static bool progress_is_off(void)
{
    return progress_format == PROGRESS_OFF || amount_printed != LOG_ALL;
}

void progress_begin(ProgressPhase phase, uint64_t total_bytes)
{
    if (progress_is_off())
        return;
    pthread_mutex_lock(&lock);
    assert(progress_depth < PROGRESS_DEPTH_MAX);
    progress[progress_depth++] =
        (Progress){.phase = phase, .total_bytes = total_bytes, .begun = clock_nanoseconds()};
    if (progress_format == PROGRESS_JSON)
        progress_print(false, clock_nanoseconds());
    pthread_mutex_unlock(&lock);
}

void progress_add(uint64_t bytes)
{
    Progress *phase;
    int64_t now;

    if (progress_is_off())
        return;
    pthread_mutex_lock(&lock);
    if (progress_depth > 0)
    {
        phase = &progress[progress_depth - 1];
        phase->done_bytes += bytes;
        now = clock_nanoseconds();
        /* Print nothing for the last byte: progress_end prints 100 %. */
        if (now - phase->printed >= NANOSECONDS &&
            (phase->total_bytes == 0 || phase->done_bytes != phase->total_bytes))
            progress_print(false, now);
    }
    pthread_mutex_unlock(&lock);
}

bool progress_end(bool done)
{
    if (progress_is_off())
        return done;
    pthread_mutex_lock(&lock);
    assert(progress_depth > 0);
    progress_print(done, clock_nanoseconds());
    progress_depth--;
    pthread_mutex_unlock(&lock);
    return done;
}
