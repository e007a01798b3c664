/*
 * libpq without a server: what a query is answered is up to the target. It stands in libpq's place
 * at link time, so that io/statement.c runs as it is.
 */
#ifndef FUZZ_FAKE_LIBPQ_H
#define FUZZ_FAKE_LIBPQ_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>

#define FAKE_COLUMNS_MAX 6
#define FAKE_ROWS_MAX 64
#define FAKE_BYTES_MAX 200000

typedef struct FakeValue
{
    const char *bytes; /* the value; NULL for SQL NULL */
    size_t size;
} FakeValue;

/* Answer to one query: rows, then success, an error or a lost connection. */
typedef struct FakeAnswer
{
    int columns;
    int rows;
    FakeValue values[FAKE_ROWS_MAX][FAKE_COLUMNS_MAX];
    int format;                /* 1: binary */
    unsigned type;             /* type OID of all columns */
    const char *sqlstate;      /* error after the rows; NULL for success */
    bool lost;                 /* the connection is lost after the rows */
    char kept[FAKE_BYTES_MAX]; /* for bytes that must live until they are read */
    size_t kept_size;
} FakeAnswer;

typedef void (*FakeServer)(const char *sql, int count, const char *const *parameters, bool binary,
                           FakeAnswer *answer);

/* All connections from now on lead to this one; version as PQserverVersion. */
void fake_libpq_start(FakeServer server, int version);

/* End the fake server. Before this call, pthread_create runs a thread's whole function before it
 * returns. */
void fake_libpq_end(void);

/* Bytes in the answer that live as long as it; NULL when there is no room. */
char *fake_keep(FakeAnswer *answer, const void *bytes, size_t size);

#endif
