/*
 * Files below /fuzz that exist in memory only. The linker leads the project's system calls here
 * (run.sh): io/ runs as it is, at the speed that a fuzzer needs, and nothing on disk is touched.
 */
#ifndef FUZZ_MEMORY_FILES_H
#define FUZZ_MEMORY_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Forget all files and what follows. */
void memory_files_clear(void);

/* A file at the path, which begins with /fuzz/. Path and bytes must live on. */
void memory_files_put(const char *path, const void *bytes, size_t size);
void memory_files_put_directory(const char *path);

/* Called before a path is removed; NULL: nobody looks. What is removed stays. */
void memory_files_on_remove(void (*removed)(const char *path, bool is_directory));

/* Open a descriptor for bytes that have no path. The bytes must live until it is closed. */
int memory_files_open(const void *bytes, size_t size);

/* Seconds that the program has slept since the clear: no time passes otherwise. */
double memory_files_slept(void);

#endif
