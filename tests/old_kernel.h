/*
 * A seccomp filter that answers as Linux 3.10 does, the oldest kernel that the program promises to
 * run on: for this process and all that it starts.
 */
#ifndef TEST_OLD_KERNEL_H
#define TEST_OLD_KERNEL_H

#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/* System calls are numbered in the order in which they were made: this is the first after 3.10
 * (sched_setattr). */
#define FIRST_NEW_CALL ((uint32_t) SYS_sched_setattr)

#define OLD_KERNEL_TMPFILE 020000000 /* __O_TMPFILE, of 3.11 */

#define FILTER_LOAD(field)                                                                         \
    BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t) offsetof(struct seccomp_data, field))
#define FILTER_ANSWER(number) BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (number))
#define FILTER_ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)

/* Returns 0, or -1 with errno. */
static inline int old_kernel_filter(struct sock_filter *steps, size_t count)
{
    const struct sock_fprog program = {.len = (unsigned short) count, .filter = steps};

    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0
               ? -1
               : prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* A sandbox that is as old, and takes what it does not know for forbidden: Docker before 20.10.10.
 * Returns as above. */
static inline int old_sandbox_begin(void)
{
    static struct sock_filter steps[] = {
        FILTER_LOAD(nr),
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, (uint32_t) SYS_statx, 0, 1),
        FILTER_ANSWER(EPERM),
        FILTER_ALLOW,
    };

    return old_kernel_filter(steps, sizeof(steps) / sizeof(steps[0]));
}

/* Returns as above. */
static inline int old_kernel_begin(void)
{
    static struct sock_filter steps[] = {
        FILTER_LOAD(nr),
        /* Calls that did not exist. */
        BPF_JUMP(BPF_JMP | BPF_JGE | BPF_K, FIRST_NEW_CALL, 0, 1),
        FILTER_ANSWER(ENOSYS),
        /* A file without a name: open for writing of a directory. */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_openat, 0, 4),
        FILTER_LOAD(args[2]),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, OLD_KERNEL_TMPFILE, 0, 1),
        FILTER_ANSWER(EISDIR),
        FILTER_ALLOW,
        /* Clones and attributes for all file systems: of 4.5. */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_ioctl, 0, 4),
        FILTER_LOAD(args[1]),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t) FICLONE, 1, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (uint32_t) FS_IOC_FSGETXATTR, 0, 1),
        FILTER_ANSWER(ENOTTY),
        FILTER_ALLOW,
    };

    /* uname says 2.6: OpenSSL does not believe that a newer kernel lacks getrandom. */
    return personality(UNAME26) < 0 ? -1
                                    : old_kernel_filter(steps, sizeof(steps) / sizeof(steps[0]));
}

#endif
