#include "base/fault.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/*
 * Pass "write", "rename", "write" in a child with this PG_REWIND_FAULT; its wait status. The exit
 * status has a bit for each point that failed (1, 2, 4), and 8 where errno was ENOSPC.
 */
static int pass_points(const char *fault)
{
    static const char *const names[] = {"write", "rename", "write"};
    const pid_t pid = fork();
    int status;

    if (pid == 0)
    {
        int result = 0;

        setenv("PG_REWIND_FAULT", fault, 1);
        for (int index = 0; index < 3; index++)
        {
            if (fault_here(names[index]))
                result |= 1 << index | (errno == ENOSPC ? 8 : 0);
        }
        _exit(result);
    }
    waitpid(pid, &status, 0);
    return status;
}

#ifdef PG_REWIND_FAULTS

static bool killed(int status)
{
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL;
}

static void test_faults_strike_where_they_are_told(void **state)
{
    (void) state;
    assert_true(killed(pass_points("kill:1")));
    assert_true(killed(pass_points("kill:3")));
    assert_int_equal(pass_points("kill:4"), 0);
    assert_true(killed(pass_points("kill@rename")));
    assert_int_equal(pass_points("kill@commit"), 0);
    assert_int_equal(WEXITSTATUS(pass_points("error:2")), 2);
    assert_int_equal(WEXITSTATUS(pass_points("full:1")), 1 | 4 | 8);
    assert_int_equal(WEXITSTATUS(pass_points("full:2")), 4 | 8);
    assert_int_equal(pass_points(""), 0);
}

static void test_the_log_names_the_points(void **state)
{
    char path[] = "/tmp/test_fault_XXXXXX";
    char text[128] = "";
    const int fd = mkstemp(path);

    (void) state;
    assert_true(fd >= 0);
    setenv("PG_REWIND_FAULT_LOG", path, 1);
    pass_points("kill:2");
    assert_true(read(fd, text, sizeof(text) - 1) > 0);
    assert_string_equal(text, "1 write\n2 rename\n");
    unsetenv("PG_REWIND_FAULT_LOG");
    close(fd);
    unlink(path);
}

#else

static void test_without_the_option_nothing_fails(void **state)
{
    (void) state;
    assert_int_equal(pass_points("kill:1"), 0);
    assert_int_equal(pass_points("error:1"), 0);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
#ifdef PG_REWIND_FAULTS
        cmocka_unit_test(test_faults_strike_where_they_are_told),
        cmocka_unit_test(test_the_log_names_the_points),
#else
        cmocka_unit_test(test_without_the_option_nothing_fails),
#endif
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
