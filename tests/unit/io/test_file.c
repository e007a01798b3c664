#include "io/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

static Error error;

static int enter_directory(void **state)
{
    static char directory[64];

    strcpy(directory, "/tmp/test_file_XXXXXX");
    *state = mkdtemp(directory);
    file_set_modes(false);
    file_set_sync(true);
    return *state == NULL || chdir(directory) != 0;
}

static int leave_directory(void **state)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf '%s'", (const char *) *state);
    return chdir("/") != 0 || system(command) != 0;
}

static void make_file(const char *path, const char *content)
{
    int fd;

    assert_true(file_create(path, CREATE_EMPTY, &fd, &error));
    assert_true(file_write_at(fd, path, content, strlen(content), 0, &error));
    file_close(fd);
}

static void test_what_is_written_is_read(void **state)
{
    char bytes[16] = "";
    size_t length;
    int fd;

    (void) state;
    assert_true(file_create("a", CREATE_EMPTY, &fd, &error));
    assert_true(file_write_at(fd, "a", "hello", 5, 3, &error));
    assert_true(file_read_at(fd, "a", bytes, 16, 0, &length, &error));
    assert_int_equal(length, 8);
    assert_memory_equal(bytes, "\0\0\0hello", 8);
    assert_true(file_read_at(fd, "a", bytes, 2, 4, &length, &error));
    assert_int_equal(length, 2);
    assert_true(file_read_at(fd, "a", bytes, 2, 100, &length, &error));
    assert_int_equal(length, 0);
    assert_true(file_sync(fd, "a", &error));
    file_close(fd);

    assert_true(file_create("a", CREATE_MISSING, &fd, &error)); /* keeps what is there */
    assert_true(file_read_at(fd, "a", bytes, 16, 3, &length, &error));
    assert_int_equal(length, 5);
    file_close(fd);
    assert_true(file_create("a", CREATE_EMPTY, &fd, &error)); /* does not */
    assert_true(file_read_at(fd, "a", bytes, 16, 0, &length, &error));
    assert_int_equal(length, 0);
    file_close(fd);
}

static void test_offsets_beyond_4_gigabytes(void **state)
{
    const uint64_t offset = UINT64_C(5) * 1024 * 1024 * 1024;
    char bytes[4];
    size_t length;
    int fd;

    (void) state;
    assert_true(file_create("a", CREATE_EMPTY, &fd, &error));
    assert_true(file_write_at(fd, "a", "end", 3, offset, &error));
    assert_true(file_read_at(fd, "a", bytes, 4, offset, &length, &error));
    assert_int_equal(length, 3);
    file_close(fd);
}

static void test_a_missing_file_is_an_error_unless_asked_for(void **state)
{
    Buffer buffer = {0};
    struct stat status;
    bool found = true;
    int fd;

    (void) state;
    assert_false(file_open_read("no", &fd, NULL, &error));
    assert_string_equal(error.message, "could not open file \"no\": No such file or directory");
    assert_int_equal(fd, -1);
    assert_true(file_open_read("no", &fd, &found, &error));
    assert_false(found);
    assert_false(file_open_update("no", &fd, &error));
    found = true;
    assert_true(file_read_all("no", 10, &buffer, &found, &error));
    assert_false(found);
    assert_false(file_read_all("no", 10, &buffer, NULL, &error));
    assert_true(file_stat("no", &status, &found, &error));
    assert_false(found);
    assert_false(file_lstat("no", &status, NULL, &error));
    assert_string_equal(error.message, "could not stat file \"no\": No such file or directory");
}

static void test_read_all_has_a_limit(void **state)
{
    Buffer buffer = {0};
    bool found;

    (void) state;
    make_file("a", "0123456789");
    buffer_append_string(&buffer, "x");
    assert_true(file_read_all("a", 10, &buffer, &found, &error));
    assert_true(found);
    assert_string_equal(buffer_string(&buffer), "x0123456789");
    assert_false(file_read_all("a", 9, &buffer, NULL, &error));
    assert_string_equal(error.message, "file \"a\" is larger than 9 bytes");
    buffer_free(&buffer);
}

static void test_modes_follow_the_target(void **state)
{
    struct stat status;

    (void) state;
    make_file("a", "");
    assert_true(file_make_directory("d", &error));
    assert_true(file_stat("a", &status, NULL, &error));
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_true(file_stat("d", &status, NULL, &error));
    assert_int_equal(status.st_mode & 0777, 0700);
    file_set_modes(true);
    make_file("b", "");
    assert_true(file_make_directory("e", &error));
    assert_true(file_stat("b", &status, NULL, &error));
    assert_int_equal(status.st_mode & 0777, 0640);
    assert_true(file_stat("e", &status, NULL, &error));
    assert_int_equal(status.st_mode & 0777, 0750);
}

static void test_truncate_and_reserve(void **state)
{
    struct stat status;
    int fd;

    (void) state;
    make_file("a", "0123456789");
    assert_true(file_open_update("a", &fd, &error));
    assert_true(file_truncate(fd, "a", 4, &error));
    assert_true(file_stat("a", &status, NULL, &error));
    assert_int_equal(status.st_size, 4);
    assert_true(file_reserve(fd, "a", 100000, &error));
    assert_true(file_reserve(fd, "a", 10, &error)); /* never shrinks */
    assert_true(file_reserve(fd, "a", 0, &error));
    assert_true(file_stat("a", &status, NULL, &error));
    assert_int_equal(status.st_size, 100000);
    assert_true(file_set_mode(fd, "a", 0400, &error));
    assert_true(file_stat("a", &status, NULL, &error));
    assert_int_equal(status.st_mode & 0777, 0400);
    file_close(fd);
}

/* By the kernel; where that fails by hand, which says why. */
static void test_ranges_are_copied(void **state)
{
    FileRange from = {.path = "a", .offset = 1};
    FileRange to = {.path = "b", .offset = 3};
    char bytes[16];
    uint64_t copied;
    size_t length;
    bool cloned;

    (void) state;
    make_file("a", "0123456789");
    assert_true(file_open_read("a", &from.fd, NULL, &error));
    assert_true(file_create("b", CREATE_EMPTY, &to.fd, &error));
    assert_true(file_copy_range(&from, &to, 4, &copied, &error));
    assert_int_equal(copied, 4);
    assert_true(file_read_at(to.fd, "b", bytes, 16, 0, &length, &error));
    assert_int_equal(length, 7);
    assert_memory_equal(bytes,
                        "\0\0\0"
                        "1234",
                        7);

    /* Copying ends where the first file ends. */
    assert_true(file_copy_range(&from, &to, 100, &copied, &error));
    assert_int_equal(copied, 9);
    from.offset = 10;
    assert_true(file_copy_range(&from, &to, 100, &copied, &error));
    assert_int_equal(copied, 0);

    file_clone(from.fd, to.fd, &cloned); /* `cloned` depends on the file system */
    file_begin_writeback(to.fd, 0, 12);
    file_close(to.fd);
    assert_true(file_open_read("b", &to.fd, NULL, &error));
    from.offset = 0;
    assert_false(file_copy_range(&from, &to, 4, &copied, &error));
    assert_non_null(strstr(error.message, "could not write file \"b\""));
    file_close(from.fd);
    file_close(to.fd);
}

static void test_removing_twice_is_fine(void **state)
{
    (void) state;
    make_file("a", "");
    assert_true(file_remove("a", &error));
    assert_true(file_remove("a", &error));
    assert_true(file_make_directory("d", &error));
    assert_true(file_make_directory("d", &error));
    assert_false(file_remove("d", &error));
    assert_true(file_remove_directory("d", &error));
    assert_true(file_remove_directory("d", &error));
}

static void test_directories_with_parents(void **state)
{
    (void) state;
    assert_true(file_make_directories("x/y/z", &error));
    assert_true(file_make_directories("x/y/z", &error));
    make_file("x/f", "");
    assert_false(file_make_directories("x/f/g", &error));
    assert_false(file_make_directory("x/f", &error));
    assert_string_equal(error.message, "could not create directory \"x/f\": File exists");
}

static void test_links(void **state)
{
    Buffer buffer = {0};
    bool exists;

    (void) state;
    make_file("a", "");
    assert_true(file_make_link("/somewhere", "l", &error));
    assert_true(file_make_link("/somewhere", "l", &error));
    assert_true(file_make_link("/else", "l", &error));
    assert_true(file_read_link("l", &buffer, &error));
    assert_string_equal(buffer_string(&buffer), "/else");
    assert_false(file_make_link("/else", "a", &error)); /* never in the place of a file */
    assert_false(file_read_link("a", &buffer, &error));
    assert_true(file_link("a", "b", &exists, &error));
    assert_false(exists);
    assert_true(file_link("a", "b", &exists, &error));
    assert_true(exists);
    assert_true(file_rename("a", "c", &error));
    assert_false(file_rename("a", "c", &error));
    assert_string_equal(error.message,
                        "could not rename file \"a\" to \"c\": No such file or directory");
    buffer_free(&buffer);
}

/* A link may lead to a file that pg_rewind must not change. */
static void test_nothing_is_created_through_a_link(void **state)
{
    struct stat status;
    int fd;

    (void) state;
    make_file("a", "x");
    assert_true(file_make_link("a", "link", &error));
    assert_false(file_create("link", CREATE_EMPTY, &fd, &error));
    assert_string_equal(error.message,
                        "could not create file \"link\": Too many levels of symbolic links");
    assert_false(file_create("link", CREATE_MISSING, &fd, &error));
    assert_true(file_stat("a", &status, NULL, &error));
    assert_int_equal(status.st_size, 1);
}

static void test_sync(void **state)
{
    int fd;

    (void) state;
    make_file("a", "x");
    assert_true(file_sync_path("a", &error));
    assert_true(file_sync_path(".", &error));
    assert_true(file_sync_path("no", &error));
    assert_true(file_open_read(".", &fd, NULL, &error));
    assert_true(file_sync_file_system(fd, ".", &error));
    file_close(fd);
    assert_false(file_sync_file_system(-1, ".", &error));
    assert_string_equal(error.message,
                        "could not synchronize file system for file \".\": Bad file descriptor");
    assert_false(file_sync(-1, "a", &error));
    file_set_sync(false);
    assert_false(file_sync_enabled());
    assert_true(file_sync(-1, "a", &error));
}

static void test_a_lock_is_held_once(void **state)
{
    bool locked;
    bool supported;
    int first;
    int second;

    (void) state;
    assert_true(file_create("lock", CREATE_MISSING, &first, &error));
    assert_true(file_create("lock", CREATE_MISSING, &second, &error));
    assert_true(file_lock(first, "lock", &locked, &supported, &error));
    assert_true(locked && supported);
    assert_true(file_lock(second, "lock", &locked, &supported, &error));
    assert_false(locked);
    file_close(first);
    assert_true(file_lock(second, "lock", &locked, &supported, &error));
    assert_true(locked);
    file_close(second);
}

/* Rule I75: a file that is open for writing, and none that is only read. */
static void test_a_writer_is_seen(void **state)
{
    int fd;

    (void) state;
    make_file("written", "x");
    assert_false(file_has_writer("written"));
    fd = open("written", O_RDONLY);
    assert_false(file_has_writer("written"));
    close(fd);
    fd = open("written", O_RDWR);
    assert_true(file_has_writer("written"));
    close(fd);
    assert_false(file_has_writer("written"));
    assert_false(file_has_writer("absent"));
    assert_false(file_has_writer("."));
    /* The lease is given back: a writer that does not want to wait is not refused. */
    fd = open("written", O_WRONLY | O_NONBLOCK);
    assert_true(fd >= 0);
    close(fd);
}

static void test_free_space(void **state)
{
    FileSpace space = {0};

    (void) state;
    assert_true(file_space(".", &space, &error));
    assert_true(space.free_bytes > 0 && space.free_files > 0 && space.unit > 0);
    assert_true(file_space("/proc", &space, &error)); /* no limit on files that nobody makes */
    assert_true(space.free_bytes == 0 && space.free_files == UINT64_MAX);
    assert_false(space.syncs_whole); /* nothing is known of it */
    assert_false(file_space("no", &space, &error));
}

/* Exit status of the child: 0 if the next file opened is no standard stream, and only stderr can be
 * written to. */
static int check_standard(void)
{
    int fd;

    close(STDIN_FILENO);
    close(STDOUT_FILENO);
    close(STDERR_FILENO);
    if (!file_open_standard() || !file_create("a", CREATE_EMPTY, &fd, &error) ||
        fd <= STDERR_FILENO)
        return 1;
    if (write(STDOUT_FILENO, "a", 1) != -1 || write(STDERR_FILENO, "a", 1) != 1)
        return 2;
    return file_open_standard() ? 0 : 3; /* nothing left to do */
}

static void test_closed_standard_streams_are_not_given_away(void **state)
{
    const pid_t pid = fork();
    int status;

    (void) state;
    if (pid == 0)
        _exit(check_standard());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void test_random_bytes(void **state)
{
    uint8_t one[16] = {0}, other[16] = {0};

    (void) state;
    assert_true(file_random_bytes(one, sizeof(one), &error));
    assert_true(file_random_bytes(other, sizeof(other), &error));
    assert_memory_not_equal(one, other, sizeof(one));
}

static void test_a_file_in_memory_is_written_by_others(void **state)
{
    char path[FILE_MEMORY_PATH_SIZE], command[FILE_MEMORY_PATH_SIZE + 16], bytes[8];
    size_t length;
    int fd;

    (void) state;
    assert_true(file_in_memory(&fd, path, &error));
    snprintf(command, sizeof(command), "echo there >%s", path);
    assert_int_equal(system(command), 0);
    assert_true(file_read_at(fd, path, bytes, sizeof(bytes), 0, &length, &error));
    assert_int_equal(length, 6);
    assert_memory_equal(bytes, "there\n", 6);
    file_close(fd);
    assert_int_not_equal(access(path, F_OK), 0);
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, enter_directory, leave_directory)

/* The ACL that lets one user more read the file: as setfacl makes it (struct posix_acl_xattr_header
 * and entries, linux/posix_acl_xattr.h). */
static bool set_acl(const char *path)
{
    static const struct
    {
        uint32_t version;
        struct
        {
            uint16_t tag, permissions;
            uint32_t id;
        } entries[5];
    } acl = {2,
             {{1, 6, 0xFFFFFFFF},
              {2, 4, 1},
              {4, 0, 0xFFFFFFFF},
              {16, 4, 0xFFFFFFFF},
              {32, 0, 0xFFFFFFFF}}};

    return setxattr(path, "system.posix_acl_access", &acl, sizeof(acl), 0) == 0;
}

static void test_like_new(void **state)
{
    struct stat status;

    (void) state;
    assert_int_equal(system("touch like_new && chmod 0600 like_new"), 0);
    assert_int_equal(lstat("like_new", &status), 0);
    assert_true(file_is_like_new("like_new", &status));
    status.st_uid++;
    assert_false(file_is_like_new("like_new", &status));
    status.st_uid--;
    status.st_gid++;
    assert_false(file_is_like_new("like_new", &status));
    if (!set_acl("like_new"))
        skip(); /* the file system has none */
    assert_int_equal(lstat("like_new", &status), 0);
    assert_int_equal(status.st_mode & 07777, 0640); /* the mask */
    assert_false(file_is_like_new("like_new", &status));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(test_what_is_written_is_read),
        IN_DIRECTORY(test_offsets_beyond_4_gigabytes),
        IN_DIRECTORY(test_a_missing_file_is_an_error_unless_asked_for),
        IN_DIRECTORY(test_read_all_has_a_limit),
        IN_DIRECTORY(test_modes_follow_the_target),
        IN_DIRECTORY(test_like_new),
        IN_DIRECTORY(test_truncate_and_reserve),
        IN_DIRECTORY(test_ranges_are_copied),
        IN_DIRECTORY(test_removing_twice_is_fine),
        IN_DIRECTORY(test_directories_with_parents),
        IN_DIRECTORY(test_links),
        IN_DIRECTORY(test_nothing_is_created_through_a_link),
        IN_DIRECTORY(test_sync),
        IN_DIRECTORY(test_a_lock_is_held_once),
        IN_DIRECTORY(test_a_writer_is_seen),
        IN_DIRECTORY(test_free_space),
        IN_DIRECTORY(test_closed_standard_streams_are_not_given_away),
        cmocka_unit_test(test_random_bytes),
        cmocka_unit_test(test_a_file_in_memory_is_written_by_others),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
