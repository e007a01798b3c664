/* Rule N4: meson runs it on an old kernel as well. */
#include "io/place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534

static Error error;

static int enter_directory(void **state)
{
    static char directory[64];

    strcpy(directory, "/tmp/test_place_XXXXXX");
    *state = mkdtemp(directory);
    return *state == NULL || chdir(directory) != 0;
}

static int leave_directory(void **state)
{
    char command[128];

    snprintf(command, sizeof(command), "chmod -R u+rwx '%s' && rm -rf '%s'", (const char *) *state,
             (const char *) *state);
    return chdir("/") != 0 || system(command) != 0;
}

static Place place_of(const char *path)
{
    Place place;
    bool found;

    if (!place_find(path, &place, &found, &error))
        fail_msg("%s", error.message);
    assert_true(found);
    return place;
}

static void make_file(const char *path)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fclose(file);
}

static void test_files_and_directories(void **state)
{
    (void) state;
    assert_int_equal(mkdir("d", 0700), 0);
    make_file("f");

    const Place here = place_of(".");
    const Place directory = place_of("d");
    const Place file = place_of("f");
    struct stat status;
    assert_int_equal(stat("f", &status), 0);
    assert_true(file.device == status.st_dev && file.inode == status.st_ino);
    assert_false(file.is_directory);
    assert_true(directory.is_directory);
    assert_true(directory.inode != file.inode);
    assert_true(place_same_mount(&here, &directory));
    assert_true(place_same_mount(&file, &directory));
}

static void test_another_mount(void **state)
{
    const Place here = place_of(".");
    const Place proc = place_of("/proc");

    (void) state;
    assert_false(place_same_mount(&here, &proc));
    /* The same file system mounted twice. */
    Place again = here;
    again.mount++;
    assert_false(place_same_mount(&here, &again));
    /* A directory whose files get a project of their own. */
    again = here;
    again.project++;
    assert_false(place_same_mount(&here, &again));
}

static void assert_pools(bool same, const char *one, const char *other)
{
    Buffer first = {0}, second = {0};

    assert_true(place_pool(one, &first, &error));
    assert_true(place_pool(other, &second, &error));
    assert_true(first.size > 0);
    assert_int_equal(strcmp(buffer_string(&first), buffer_string(&second)) == 0, same);
    buffer_free(&first);
    buffer_free(&second);
}

static void test_pools_of_space(void **state)
{
    Buffer pool = {0};

    (void) state;
    assert_int_equal(mkdir("d", 0700), 0);
    assert_pools(true, ".", "d");
    assert_pools(false, ".", "/proc");
    assert_false(place_pool("none", &pool, &error));
    buffer_free(&pool);
}

static void assert_pool_of_mount(uint64_t mount, const char *expected)
{
    static const char mounts[] =
        "27 1 254:0 / / rw,relatime - ext4 /dev/vda rw\n"
        "44 27 0:39 / /data rw,relatime shared:7 master:1 - btrfs /dev/sda2 rw,subvol=/\n"
        "45 27 0:39 /wal /data/wal rw - btrfs /dev/sdb2 rw,subvol=/wal\n"
        "144 27 0:50 / /zfs/my\\040data rw - zfs tank/pg/data rw,xattr\n"
        "145 27 0:51 / /zfs/wal rw,noatime shared:9 - zfs tank rw,xattr\n"
        "146 27 0:52 / /zfs/other rw - zfs tank2/pg rw\n"
        "147 27 0:53 / /cut rw";
    Buffer pool = {0};

    assert_int_equal(place_pool_of_mount(mounts, mount, &pool), expected != NULL);
    assert_string_equal(buffer_string(&pool), expected != NULL ? expected : "");
    buffer_free(&pool);
}

static void test_pools_of_mounts(void **state)
{
    (void) state;
    assert_pool_of_mount(27, "254:0");
    assert_pool_of_mount(44, "0:39");
    assert_pool_of_mount(45, "0:39");
    assert_pool_of_mount(144, "tank");
    assert_pool_of_mount(145, "tank");
    assert_pool_of_mount(146, "tank2");
    assert_pool_of_mount(147, "0:53");
    assert_pool_of_mount(14, NULL);
    assert_pool_of_mount(1, NULL);
}

static void test_links_are_followed(void **state)
{
    (void) state;
    assert_int_equal(mkdir("d", 0700), 0);
    assert_int_equal(symlink("d", "near"), 0);
    assert_int_equal(symlink("/proc", "far"), 0);

    const Place directory = place_of("d");
    const Place near = place_of("near");
    const Place far = place_of("far");
    const Place proc = place_of("/proc");
    assert_true(near.is_directory && near.inode == directory.inode);
    assert_true(place_same_mount(&far, &proc));
    assert_false(place_same_mount(&far, &near));
}

/* File systems such as ext4 give a new directory the inode number of a removed one, unless
 * place_hold keeps the removed one open. */
static void test_held(void **state)
{
    Place held, next;
    bool found;

    (void) state;
    assert_int_equal(mkdir("held", 0700), 0);
    place_hold("held");
    assert_true(place_find("held", &held, &found, NULL) && found);
    assert_int_equal(rmdir("held"), 0);
    for (int i = 0; i < 100; i++)
    {
        assert_int_equal(mkdir("held", 0700), 0);
        assert_true(place_find("held", &next, &found, NULL) && found);
        assert_false(place_same(&held, &next));
        assert_int_equal(rmdir("held"), 0);
    }
    place_hold("held"); /* does nothing: "held" does not exist */
}

static void test_missing(void **state)
{
    static const char *const missing[] = {"none", "none/below", "file/below", "dangling"};

    (void) state;
    make_file("file");
    assert_int_equal(symlink("none", "dangling"), 0);
    for (size_t i = 0; i < sizeof(missing) / sizeof(missing[0]); i++)
    {
        Place place;
        bool found = true;
        assert_true(place_find(missing[i], &place, &found, &error));
        assert_false(found);
    }
}

/* place_find cannot know whether the path through a link to itself exists. */
static void test_a_link_to_itself_is_an_error(void **state)
{
    Place place;
    bool found;

    (void) state;
    assert_int_equal(symlink("loop", "loop"), 0);
    assert_false(place_find("loop", &place, &found, &error));
    assert_int_equal(error.error_number, ELOOP);
    assert_non_null(strstr(error.message, "\"loop\""));
}

/* Exit status 0: the answers are right for somebody whom permissions bind. */
static int ask_as_nobody(void)
{
    /* Only the effective user counts: the real one stays. (Before Linux 5.8 the C library takes the
     * real one for it, unless the program's file is setuid.) */
    const uid_t real = getenv("TEST_OLD_KERNEL") != NULL ? NOBODY : (uid_t) -1;

    if (geteuid() == 0 && setresuid(real, NOBODY, (uid_t) -1) != 0)
        return 9;
    if (!place_can_change_names("open"))
        return 1;
    errno = 0;
    if (place_can_change_names("read_only") || errno != EACCES)
        return 2;
    errno = 0;
    if (place_can_change_names("no_search") || errno != EACCES)
        return 3;
    return 0;
}

static void test_changing_names(void **state)
{
    static const char *const names[] = {"open", "read_only", "no_search"};
    static const mode_t modes[] = {0700, 0500, 0600};
    int status;

    (void) state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
    {
        assert_int_equal(mkdir(names[i], 0700), 0);
        assert_int_equal(chmod(names[i], modes[i]), 0);
        if (geteuid() == 0)
            assert_int_equal(chown(names[i], NOBODY, (gid_t) -1), 0);
    }
    assert_int_equal(chmod(".", 0755), 0);
    fflush(NULL);
    const pid_t pid = fork();
    if (pid == 0)
        _exit(ask_as_nobody());
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);

    assert_false(place_can_change_names("none"));
    assert_int_equal(errno, ENOENT);
}

/* A path below a directory, in spellings of either. */
static void test_below(void **state)
{
    char here[PLACE_PATH_SIZE], path[PLACE_PATH_SIZE + 32];
    static const struct
    {
        const char *path, *directory, *below;
    } rows[] = {
        {"/d/f", "d", "f"},
        {"/d//e/./f", "link", "e/./f"},
        {"/link/f", "d", "f"},
        {"/d/../d/f", "./d", "f"},
        {"/d/missing/f", "d", "missing/f"},
        {"/d/inner/f", "d/e", "f"},
        {"/d", "d", NULL},
        {"/dd/f", "d", NULL},
        {"/f", "d", NULL},
        {"/d/f", "missing", NULL},
    };
    bool found;

    (void) state;
    assert_int_equal(mkdir("d", 0700) + mkdir("dd", 0700) + mkdir("d/e", 0700), 0);
    assert_int_equal(symlink("d", "link") + symlink("e", "d/inner"), 0);
    assert_true(place_canonical(".", here, &found, &error));
    assert_true(found);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
    {
        snprintf(path, sizeof(path), "%s%s", here, rows[i].path);
        const char *below = place_below(path, rows[i].directory);
        if (rows[i].below == NULL ? below != NULL
                                  : below == NULL || strcmp(below, rows[i].below) != 0)
            fail_msg("%s in %s: %s", rows[i].path, rows[i].directory, below);
    }
    assert_null(place_below("d/e", "d"));
    assert_true(place_inside("d/e", "link"));
    assert_true(place_inside("link", "d"));
    assert_true(place_inside("d", "/"));
    assert_false(place_inside("dd", "d"));
    assert_false(place_inside("d", "d/e"));
    assert_false(place_inside("missing", "d"));
    assert_true(place_canonical("d/missing", path, &found, &error));
    assert_false(found);
}

static void set_flags(const char *path, int flags)
{
    const int fd = open(path, O_RDONLY);

    assert_true(fd >= 0);
    if (ioctl(fd, FS_IOC_SETFLAGS, &flags) != 0)
        skip(); /* no right to do so, or a file system without such flags */
    close(fd);
}

static void test_attributes_are_obstacles(void **state)
{
    (void) state;
    make_file("file");
    assert_int_equal(place_obstacle("file"), OBSTACLE_NONE);
    assert_int_equal(place_obstacle("missing"), OBSTACLE_NONE);
    set_flags("file", FS_IMMUTABLE_FL);
    assert_int_equal(place_obstacle("file"), OBSTACLE_IMMUTABLE);
    set_flags("file", FS_APPEND_FL);
    assert_int_equal(place_obstacle("file"), OBSTACLE_APPEND_ONLY);
    set_flags("file", 0);
    assert_int_equal(place_obstacle("file"), OBSTACLE_NONE);
}

/* One file over another of the same file system, as containers have it. */
static void test_a_mounted_file_is_an_obstacle(void **state)
{
    pid_t child;
    int status;

    (void) state;
    make_file("file");
    make_file("over");
    child = fork();
    if (child == 0)
    {
        if (unshare(CLONE_NEWNS) != 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
            mount("over", "file", NULL, MS_BIND, NULL) != 0)
            _exit(2);
        const Place file = place_of("file");
        const Place over = place_of("over");

        _exit(place_obstacle("file") == OBSTACLE_MOUNTED &&
                      place_obstacle("over") == OBSTACLE_NONE && place_same(&file, &over) &&
                      !place_same_mount(&file, &over)
                  ? 0
                  : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    if (status == 2 << 8)
        skip(); /* no right to mount */
    assert_int_equal(status, 0);
}

#define IN_DIRECTORY(test) cmocka_unit_test_setup_teardown(test, enter_directory, leave_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_DIRECTORY(test_files_and_directories),
        IN_DIRECTORY(test_another_mount),
        IN_DIRECTORY(test_pools_of_space),
        IN_DIRECTORY(test_pools_of_mounts),
        IN_DIRECTORY(test_links_are_followed),
        IN_DIRECTORY(test_held),
        IN_DIRECTORY(test_missing),
        IN_DIRECTORY(test_a_link_to_itself_is_an_error),
        IN_DIRECTORY(test_changing_names),
        IN_DIRECTORY(test_below),
        IN_DIRECTORY(test_attributes_are_obstacles),
        IN_DIRECTORY(test_a_mounted_file_is_an_obstacle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
