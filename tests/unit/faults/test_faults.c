/*
 * The library that interrupts programs does what its head comment says: what it does not, the tests
 * that use it would never notice.
 *
 * This program runs itself, under EMULATOR if there is one, with the argument "calls": then it
 * makes the calls of make_calls, and says what each returned, a failure as minus errno.
 */
#include "../../faults/faults.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define UNDISTURBED                                                                                \
    "create=0 write=8 sync=0 rename=0 open=0 read=8 stat=0 mkdir=0 send=8 recv=8 truncate=0 "      \
    "unlink=0 rmdir=0 "

static char program[PATH_MAX];
static char directory[] = "/tmp/test_faults.XXXXXX";
static char said[1024]; /* by the child */

/* ---- In the child ---- */

static long say(const char *call, long result)
{
    printf("%s=%ld ", call, result < 0 ? -errno : result);
    fflush(stdout);
    return result;
}

static int say_opened(const char *call, const char *path, int flags)
{
    const int fd = open(path, flags | O_CLOEXEC, 0600);

    say(call, fd < 0 ? -1 : 0);
    return fd;
}

static int make_calls(void)
{
    struct stat status;
    char bytes[8];
    int sockets[2];
    const int fd = say_opened("create", "a", O_RDWR | O_CREAT);
    int again;

    say("write", pwrite(fd, "12345678", 8, 0));
    say("sync", fsync(fd));
    say("rename", rename("a", "b"));
    again = say_opened("open", "b", O_RDONLY);
    say("read", pread(again, bytes, 8, 0));
    say("stat", stat("b", &status));
    say("mkdir", mkdir("d", 0700));
    if (socketpair(AF_UNIX, SOCK_STREAM, 0, sockets) != 0)
        return 1;
    say("send", send(sockets[0], "12345678", 8, MSG_NOSIGNAL));
    say("recv", recv(sockets[1], bytes, 8, MSG_DONTWAIT));
    say("truncate", ftruncate(fd, 2));
    say("unlink", unlink("b"));
    say("rmdir", rmdir("d"));
    if (getenv("PG_REWIND_FAULT_NFS") != NULL)
    {
        close(fd);
        say("busy", unlink(".nfs1"));
        say("closed", close(again));
    }
    return 0;
}

/* ---- In the test ---- */

static void empty_directory(void)
{
    unlink("a");
    unlink("b");
    rmdir("d");
    unlink("log");
    unlink("record");
    unlink("record.data");
}

static void read_text(const char *path, char *text, size_t size)
{
    FILE *file = fopen(path, "r");
    size_t length;

    assert_non_null(file);
    length = fread(text, 1, size - 1, file);
    text[length] = '\0';
    fclose(file);
}

static pid_t start_calls(const char *variable, const char *value)
{
    pid_t pid;

    empty_directory();
    fflush(NULL);
    pid = fork();
    if (pid == 0)
    {
        setenv(variable, value, 1);
        if (freopen("said", "w", stdout) == NULL || freopen("errors", "w", stderr) == NULL)
            _exit(1);
        execl("/bin/sh", "sh", "-c", "exec $EMULATOR \"$0\" calls", program, (char *) NULL);
        _exit(1);
    }
    return pid;
}

static int wait_for(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    read_text("said", said, sizeof(said));
    return status;
}

/* Make the calls with this PG_REWIND_FAULT, to the end. */
static void make_all_calls(const char *fault)
{
    assert_int_equal(wait_for(start_calls("PG_REWIND_FAULT", fault)), 0);
}

static void check_killed(const char *fault, const char *done)
{
    const int status = wait_for(start_calls("PG_REWIND_FAULT", fault));

    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    assert_string_equal(said, done);
}

static void test_nothing(void **state)
{
    (void) state;
    make_all_calls("");
    assert_string_equal(said, UNDISTURBED);
}

static void test_kill(void **state)
{
    (void) state;
    check_killed("kill:1", "");
    check_killed("kill:4", "create=0 write=8 sync=0 ");
    assert_int_equal(access("a", F_OK), 0); /* before the call */
    assert_int_equal(access("b", F_OK), -1);
    check_killed("kill:r2", "create=0 write=8 sync=0 rename=0 open=0 ");
    check_killed("kill:r3", "create=0 write=8 sync=0 rename=0 open=0 read=8 ");
    check_killed("kill:rename@?", "create=0 write=8 sync=0 ");
    check_killed("kill:create@*;sync@a", "create=0 write=8 ");
    /* The calls before it do not count. */
    make_all_calls("kill:rename@b;create@a");
    make_all_calls("kill:rename@a");
    make_all_calls("kill:rmdir@b");
    make_all_calls("kill:10");
}

/* With PG_REWIND_FAULT_ONCE the fault strikes only the process that can remove the file. */
static void test_once(void **state)
{
    char path[] = "/tmp/test_faults.once.XXXXXX";

    (void) state;
    close(mkstemp(path));
    setenv("PG_REWIND_FAULT_ONCE", path, 1);
    check_killed("kill:4", "create=0 write=8 sync=0 ");
    assert_int_equal(access(path, F_OK), -1);
    make_all_calls("kill:4");
    unsetenv("PG_REWIND_FAULT_ONCE");
}

static void test_stop(void **state)
{
    static const char *const faults[] = {"stop:rename@b", "stop:4"};

    (void) state;
    for (size_t index = 0; index < 2; index++)
    {
        const pid_t pid = start_calls("PG_REWIND_FAULT", faults[index]);

        assert_true(WIFSTOPPED(wait_for(pid)));
        assert_string_equal(said, "create=0 write=8 sync=0 ");
        assert_int_equal(access("b", F_OK), -1);
        assert_int_equal(kill(pid, SIGCONT), 0);
        assert_int_equal(wait_for(pid), 0); /* once */
        assert_string_equal(said, UNDISTURBED);
    }
}

static void test_fail(void **state)
{
    (void) state;
    make_all_calls("fail:4:EIO");
    assert_string_equal(said, "create=0 write=8 sync=0 rename=-5 open=-2 read=-9 stat=-2 mkdir=0 "
                              "send=8 recv=8 truncate=0 unlink=-2 rmdir=0 ");
    make_all_calls("fail:r1:EMFILE");
    assert_string_equal(said, "create=0 write=8 sync=0 rename=0 open=-24 read=-9 stat=0 mkdir=0 "
                              "send=8 recv=8 truncate=0 unlink=0 rmdir=0 ");
    make_all_calls("fail:mkdir@d:EACCES");
    assert_string_equal(said, "create=0 write=8 sync=0 rename=0 open=0 read=8 stat=0 mkdir=-13 "
                              "send=8 recv=8 truncate=0 unlink=0 rmdir=-2 ");
    /* A write that fails writes half of its bytes first. */
    make_all_calls("fail:write@a:ENOSPC");
    assert_string_equal(said, "create=0 write=-28 sync=0 rename=0 open=0 read=4 stat=0 mkdir=0 "
                              "send=8 recv=8 truncate=0 unlink=0 rmdir=0 ");
    /* From the second call on, only calls that need space fail, as on a full disk. */
    make_all_calls("fail:2+:ENOSPC");
    assert_string_equal(said, "create=0 write=-28 sync=0 rename=-28 open=-2 read=-9 stat=-2 "
                              "mkdir=-28 send=8 recv=8 truncate=-28 unlink=-2 rmdir=-2 ");
    /* The peer of a send that fails reads the end of the stream. */
    make_all_calls("fail:send@:EIO");
    assert_string_equal(said, "create=0 write=8 sync=0 rename=0 open=0 read=8 stat=0 mkdir=0 "
                              "send=-5 recv=0 truncate=0 unlink=0 rmdir=0 ");
}

/* The result that the child printed for a call: a failure is minus errno. */
static int returned(const char *call)
{
    const char *at = strstr(said, call);

    assert_non_null(at);
    return atoi(at + strlen(call));
}

static void test_short(void **state)
{
    static const char *const calls[] = {" write=", " read=", " send=", " recv="};
    bool cut[4] = {false};
    bool interrupted[4] = {false};
    bool whole[4] = {false};

    (void) state;
    for (int seed = 1; seed <= 60; seed++)
    {
        char fault[32];

        snprintf(fault, sizeof(fault), "short:%d", seed);
        make_all_calls(fault);
        if (returned("create=") == 0 && returned(" open=") == 0) /* opens are interrupted, too */
        {
            for (size_t index = 0; index < 4; index++)
            {
                const int length = returned(calls[index]);

                cut[index] |= length > 0 && length < 8;
                interrupted[index] |= length == -EINTR;
                whole[index] |= length == 8;
            }
        }
    }
    for (size_t index = 0; index < 4; index++)
        assert_true(cut[index] && interrupted[index] && whole[index]);
}

static void test_log(void **state)
{
    char text[1024];

    (void) state;
    assert_int_equal(wait_for(start_calls("PG_REWIND_FAULT_LOG", "log")), 0);
    assert_string_equal(said, UNDISTURBED);
    read_text("log", text, sizeof(text));
    assert_string_equal(text, "1 create a\n2 write a\n3 sync a\n4 rename b\nr1 open b\nr2 read b\n"
                              "r3 stat b\n5 mkdir d\n6 send \nr4 recv \n7 truncate a\n8 unlink b\n"
                              "9 rmdir d\n");
}

static void test_record(void **state)
{
    char text[2048];
    char expected[2048];
    const char *const d = directory;

    (void) state;
    assert_int_equal(wait_for(start_calls("PG_REWIND_FAULT_RECORD", "record")), 0);
    assert_string_equal(said, UNDISTURBED);
    read_text("record", text, sizeof(text));
    snprintf(expected, sizeof(expected),
             "begin\nopen\t1\t%s/a\tcreated\t600\nwrite\t1\t0\t8\t0\nsync\t1\n"
             "rename\t%s/a\t%s/b\nopen\t2\t%s/b\topened\t600\nmkdir\t%s/d\t700\n"
             "truncate\t1\t2\nunlink\t%s/b\nrmdir\t%s/d\n",
             d, d, d, d, d, d, d);
    assert_string_equal(text, expected);
    read_text("record.data", text, sizeof(text));
    assert_string_equal(text, "12345678");
}

static void check_refused(const char *fault)
{
    assert_int_equal(WEXITSTATUS(wait_for(start_calls("PG_REWIND_FAULT", fault))), 1);
    assert_string_equal(said, "");
}

/* A test that asks for nonsense learns of it. */
static void test_refused(void **state)
{
    (void) state;
    check_refused("kill");
    check_refused("die:1");
    check_refused("kill:0");
    check_refused("kill:1x");
    check_refused("kill:");
    check_refused("fail:1");
    check_refused("fail:1:EWHAT");
}

/* The file that was open when it was removed has another name as long as it is open. */
static void test_nfs(void **state)
{
    char text[8];

    (void) state;
    assert_int_equal(wait_for(start_calls("PG_REWIND_FAULT_NFS", "log")), 0);
    assert_string_equal(said, UNDISTURBED "busy=-16 closed=0 ");
    read_text("log", text, sizeof(text));
    assert_string_equal(text, "b\n");
    assert_int_equal(access(".nfs1", F_OK), -1);
}

/* As the test of a unit does it: in a child, with the calls before not counted. */
static void test_linked(void **state)
{
    pid_t pid;
    int status;

    (void) state;
    faults_set(NULL);
    assert_int_equal(mkdir("d", 0700), 0);
    assert_int_equal(faults_count(), 1);
    pid = fork();
    if (pid == 0)
    {
        faults_set("fail:2:EIO");
        _exit(faults_count() == 0 && rmdir("d") == 0 && mkdir("d", 0700) == -1 && errno == EIO &&
                      mkdir("d", 0700) == 0 && faults_count() == 3
                  ? 0
                  : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(rmdir("d"), 0);
    assert_int_equal(faults_count(), 2);
}

static int set_up(void **state)
{
    (void) state;
    umask(0077);
    return mkdtemp(directory) != NULL && chdir(directory) == 0 ? 0 : -1;
}

static int tear_down(void **state)
{
    (void) state;
    empty_directory();
    unlink("said");
    unlink("errors");
    return chdir("/") == 0 && rmdir(directory) == 0 ? 0 : -1;
}

int main(int argument_count, char **arguments)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing), cmocka_unit_test(test_kill),
        cmocka_unit_test(test_once),    cmocka_unit_test(test_stop),
        cmocka_unit_test(test_fail),    cmocka_unit_test(test_short),
        cmocka_unit_test(test_log),     cmocka_unit_test(test_record),
        cmocka_unit_test(test_refused), cmocka_unit_test(test_linked),
        cmocka_unit_test(test_nfs),
    };

    if (argument_count == 2 && strcmp(arguments[1], "calls") == 0)
        return make_calls();
    if (readlink("/proc/self/exe", program, sizeof(program) - 1) < 0)
        return 1;
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
