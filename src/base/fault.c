#include "base/fault.h"

#ifdef PG_REWIND_FAULTS

#include "base/error.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef enum FaultKind
{
    FAULT_NONE,
    FAULT_KILL,
    FAULT_KILL_NAMED,
    FAULT_STOP_NAMED,
    FAULT_ERROR,
    FAULT_FULL
} FaultKind;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool read_environment;
static FaultKind fault_kind;
static uint64_t fault_number;
static const char *fault_name;
static int log_fd = -1;
static uint64_t points_passed;

static void read_number(FaultKind kind, const char *digits)
{
    char *end;

    errno = 0;
    fault_kind = kind;
    fault_number = strtoull(digits, &end, 10);
    if (errno != 0 || end == digits || *end != '\0' || fault_number == 0)
    {
        fprintf(stderr, "invalid PG_REWIND_FAULT\n");
        _exit(1);
    }
}

static void fault_init(void)
{
    const char *fault = getenv("PG_REWIND_FAULT");
    const char *log = getenv("PG_REWIND_FAULT_LOG");

    if (fault != NULL && strncmp(fault, "kill:", 5) == 0)
        read_number(FAULT_KILL, fault + 5);
    else if (fault != NULL && strncmp(fault, "error:", 6) == 0)
        read_number(FAULT_ERROR, fault + 6);
    else if (fault != NULL && strncmp(fault, "full:", 5) == 0)
        read_number(FAULT_FULL, fault + 5);
    else if (fault != NULL && (strncmp(fault, "kill@", 5) == 0 || strncmp(fault, "stop@", 5) == 0))
    {
        fault_kind = fault[0] == 'k' ? FAULT_KILL_NAMED : FAULT_STOP_NAMED;
        fault_name = fault + 5;
    }
    else if (fault != NULL && fault[0] != '\0')
        read_number(FAULT_NONE, "");
    if (log != NULL && log[0] != '\0')
        log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    read_environment = true;
}

/* The points at which a full disk is noticed. */
static bool takes_space(const char *name)
{
    static const char *const names[] = {"write",   "create",         "reserve", "truncate",
                                        "symlink", "make directory", "link"};

    for (size_t index = 0; index < sizeof(names) / sizeof(names[0]); index++)
        if (strcmp(name, names[index]) == 0)
            return true;
    return false;
}

static void log_point(const char *name)
{
    char line[128];
    int length =
        snprintf(line, sizeof(line), "%llu %.80s\n", (unsigned long long) points_passed, name);

    if (length > 0 && write(log_fd, line, (size_t) length) < 0)
        log_fd = -1;
}

bool fault_here(const char *name)
{
    int number = 0;

    pthread_mutex_lock(&lock);
    if (!read_environment)
        fault_init();
    points_passed++;
    if (log_fd >= 0)
        log_point(name);
    if ((fault_kind == FAULT_KILL && points_passed == fault_number) ||
        (fault_kind == FAULT_KILL_NAMED && strcmp(name, fault_name) == 0))
        raise(SIGKILL);
    if (fault_kind == FAULT_STOP_NAMED && strcmp(name, fault_name) == 0)
    {
        fault_kind = FAULT_NONE; /* once */
        raise(SIGSTOP);
    }
    if (fault_kind == FAULT_ERROR && points_passed == fault_number)
        number = EIO;
    if (fault_kind == FAULT_FULL && points_passed >= fault_number && takes_space(name))
        number = ENOSPC;
    pthread_mutex_unlock(&lock);

    if (number != 0)
        errno = number;
    return number != 0;
}

#endif
