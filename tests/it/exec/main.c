/* A "QEMU" as small as can be, with every kind of call that we catch. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>
#include "util.h"

int initialised = 7;
int zero;

int main(int argc, char **argv)
{
    int value = 40;
    char *copy = strdup("copied");

    fprintf(stderr, "hello %d %s\n", util(argc), WITH_SPACE);
    puts(copy);
    free(copy);
    fputs("plain", stdout);
    printf("%ld ", syscall(1L, 1L, 2L, 3L, 4L, 5L, 6L));
    printf("%d ", ioctl(2, 5, &value));
    printf("%d ", fcntl(0, 3, 4));
    printf("%d ", open("x", O_CREAT, 0x1c0));
    printf("%d\n", prctl(1, 2, 3, 4, 5));
    return initialised + zero;
}
