/*
 * For a unit test that links faults.c: interrupt what comes after a fork. The C library's functions
 * are then these for the whole program, so also for the test itself.
 */
#ifndef TEST_FAULTS_H
#define TEST_FAULTS_H

#include <stdint.h>

/* As PG_REWIND_FAULT ("kill:17"), or NULL for nothing; counting begins anew. */
void faults_set(const char *fault);

/* Calls that change something, since. */
uint64_t faults_count(void);

#endif
