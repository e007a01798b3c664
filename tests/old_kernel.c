/*
 * Run a program as on Linux 3.10, or in a sandbox of that age: old_kernel [--sandbox] PROGRAM
 * ARGUMENT... See old_kernel.h.
 */
#include "old_kernel.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    const int sandbox = argc > 1 && strcmp(argv[1], "--sandbox") == 0;

    argv += 1 + sandbox;
    if (argc < 2 + sandbox || (sandbox ? old_sandbox_begin() : old_kernel_begin()) != 0)
    {
        perror("old_kernel");
        return 125;
    }
    execvp(argv[0], argv);
    perror(argv[0]);
    return 125;
}
