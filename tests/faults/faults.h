/*
 * Faults for a unit test that links faults.c: set them in a forked child. faults.c replaces
 * functions of the C library in the whole program, including the test itself.
 */
#ifndef TEST_FAULTS_H
#define TEST_FAULTS_H

#include <stdint.h>

/* Set a fault, written as for PG_REWIND_FAULT ("kill:17"), or none (NULL); restart counting. */
void faults_set(const char *fault);

/* Number of calls since faults_set that change something. */
uint64_t faults_count(void);

#endif
