/*
 * A directory of its own for each test, and files in it.
 */
#ifndef TEST_CLUSTER_DIRECTORY_H
#define TEST_CLUSTER_DIRECTORY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../every_version.h"

#include "base/buffer.h"
#include "io/file.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Setup and teardown; the working directory is the test's own. */
static inline int enter_directory(void **state)
{
    static char directory[64];

    strcpy(directory, "/tmp/test_cluster_XXXXXX");
    *state = mkdtemp(directory);
    file_set_modes(false);
    return *state == NULL || chdir(directory) != 0;
}

static inline int leave_directory(void **state)
{
    char command[128];

    snprintf(command, sizeof(command), "rm -rf '%s'", (const char *) *state);
    return chdir("/") != 0 || system(command) != 0;
}

/* A file with these bytes in place of what was there; its directories are made. */
static inline void make_file(const char *path, const void *bytes, size_t size)
{
    Error error;
    char parent[PATH_SIZE];
    char *slash;
    int fd;

    snprintf(parent, sizeof(parent), "%s", path);
    slash = strrchr(parent, '/');
    if (slash != NULL)
    {
        *slash = '\0';
        assert_true(file_make_directories(parent, &error));
    }
    assert_true(file_create(path, CREATE_EMPTY, &fd, &error));
    assert_true(file_write_at(fd, path, bytes, size, 0, &error));
    file_close(fd);
}

static inline void make_text(const char *path, const char *text)
{
    make_file(path, text, strlen(text));
}

/* The content of a file; NULL when there is none. The caller frees it. */
static inline char *read_text(const char *path)
{
    Error error;
    Buffer buffer = {0};
    bool found;

    assert_true(file_read_all(path, 1 << 20, &buffer, &found, &error));
    if (!found)
        return NULL;
    buffer_append_u8(&buffer, 0);
    return (char *) buffer.bytes;
}

static inline bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

#define CONTROL_IMAGE_SIZE 512 /* tests/data/README.md */
enum
{
    CONTROL_OF_INITDB,
    CONTROL_IN_PRODUCTION,
    CONTROL_OF_STANDBY,
    CONTROL_ON_TIMELINE_3,
    CONTROL_SHUT_DOWN
};

/*
 * A directory with pg_control, one of the five of a real server of this version, and PG_VERSION. Of
 * 9.3 to 9.6 there are but two, both shut down.
 */
static inline void make_data_directory(const char *directory, const Version *version, int image)
{
    Error error;
    Buffer images = {0};
    uint8_t control[8192] = {0};
    char path[PATH_SIZE];
    char text[16];

    snprintf(path, sizeof(path), "%s/%s.control", getenv("TEST_DATA"), version->name);
    assert_true(file_read_all(path, 1 << 16, &images, NULL, &error));
    memcpy(control, images.bytes + image * CONTROL_IMAGE_SIZE, CONTROL_IMAGE_SIZE);
    buffer_free(&images);
    snprintf(path, sizeof(path), "%s/global/pg_control", directory);
    make_file(path, control, sizeof(control));
    snprintf(path, sizeof(path), "%s/PG_VERSION", directory);
    snprintf(text, sizeof(text), "%s\n", version->name);
    make_text(path, text);
}

#endif
