/*
 * The files of tests/data for the tests of format; see tests/data/README.md.
 */
#ifndef TEST_FORMAT_DATA_H
#define TEST_FORMAT_DATA_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "format/control.h"
#include "format/crc32c.h"
#include "format/versions.h"
#include "format/wal_event.h"
#include "format/walrecord.h"

/* Their files come from a diverged pair: its two pg_control, other statements, one promotion. */
static inline bool data_of_pair(const Version *version)
{
    return version->number < 1000;
}

#define CONTROL_IMAGE_SIZE 512
enum
{
    CONTROL_OF_INITDB,
    CONTROL_IN_PRODUCTION,
    CONTROL_OF_STANDBY,
    CONTROL_ON_TIMELINE_3,
    CONTROL_SHUT_DOWN,
    CONTROL_IMAGES
};

/* A file of TEST_DATA, whole, with a NUL behind it. The caller frees it. */
static inline uint8_t *data_read(const Version *version, const char *suffix, size_t *size)
{
    char path[4096];
    const char *directory = getenv("TEST_DATA");

    snprintf(path, sizeof(path), "%s/%s.%s", directory != NULL ? directory : "tests/data",
             version->name, suffix);
    FILE *file = fopen(path, "rb");
    if (file == NULL)
        fail_msg("could not open \"%s\"", path);
    uint8_t *bytes = calloc(1, 1 << 20);
    *size = fread(bytes, 1, (1 << 20) - 1, file);
    fclose(file);
    assert_true(*size > 0);
    return bytes;
}

static inline int data_control_images(const Version *version)
{
    return data_of_pair(version) ? 2 : CONTROL_IMAGES;
}

/*
 * One pg_control of its five, as the server had it. Of a pair, the target's stands for the first
 * three, which are on timeline 1, and the source's for the others.
 */
static inline void data_control_bytes(const Version *version, int image,
                                      uint8_t bytes[CONTROL_FILE_SIZE])
{
    size_t size;
    uint8_t *file = data_read(version, "control", &size);

    assert_int_equal(size, data_control_images(version) * CONTROL_IMAGE_SIZE);
    if (data_of_pair(version))
        image = image >= CONTROL_ON_TIMELINE_3;
    memset(bytes, 0, CONTROL_FILE_SIZE);
    memcpy(bytes, file + image * CONTROL_IMAGE_SIZE, CONTROL_IMAGE_SIZE);
    free(file);
}

static inline void data_control(const Version *version, int image, Control *control)
{
    uint8_t bytes[CONTROL_FILE_SIZE];
    bool crc_wrong;
    Error error;

    data_control_bytes(version, image, bytes);
    if (!control_parse(&(ControlFile){bytes, sizeof(bytes), "pg_control", version->name}, control,
                       &crc_wrong, &error))
        fail_msg("%s: %s", version->name, error.message);
}

/* A whole record: its header, then the rest. */
static inline bool parse_record(const Version *version, uint32_t block_size, const uint8_t *bytes,
                                size_t size, Lsn lsn, WalRecord *record, Error *error)
{
    if (!walrecord_header_parse(version, bytes, size, lsn, record, error))
        return false;
    if (record->total_length != size)
        return error_set(error, ERROR_FAILED, "%zu of %u bytes", size, record->total_length);
    return walrecord_decode(version, block_size, bytes, record, error);
}

#endif
