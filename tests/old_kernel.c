/*
 * Run a program as on Linux 3.10: old_kernel PROGRAM ARGUMENT... See old_kernel.h.
 */
#include "old_kernel.h"

#include <stdio.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    if (argc < 2 || old_kernel_begin() != 0)
    {
        perror("old_kernel");
        return 125;
    }
    execvp(argv[1], argv + 1);
    perror(argv[1]);
    return 125;
}
