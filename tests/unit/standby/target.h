/*
 * A target and a source directory for tests: empty below a directory of their own, which is the
 * current one.
 */
#ifndef TEST_STANDBY_TARGET_H
#define TEST_STANDBY_TARGET_H

#include "base/arena.h"
#include "io/file.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char target_directory[256]; /* absolute */
static Arena *arena;

static void put_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

static int make_directories(void **state)
{
    char template[] = "/tmp/test_standby.XXXXXX";

    (void) state;
    arena = arena_create();
    if (mkdtemp(template) == NULL || chdir(template) != 0 || mkdir("target", 0700) != 0 ||
        mkdir("source", 0700) != 0)
        return -1;
    snprintf(target_directory, sizeof(target_directory), "%s/target", template);
    return 0;
}

static int remove_directories(void **state)
{
    char command[512];

    (void) state;
    arena_destroy(arena);
    target_directory[strlen(target_directory) - strlen("/target")] = '\0';
    snprintf(command, sizeof(command), "rm -rf '%s'", target_directory);
    return chdir("/") != 0 || system(command) != 0;
}

#endif
