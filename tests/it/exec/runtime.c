/*
 * A runtime as small as can be: says what it was handed, catches messages, and
 * answers a job with one line.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct image {
    size_t size;
    int (*main)(int, char **, char **);
    char *data_start, *data_end, *bss_start, *bss_end;
};

static char said[4096];
static int allocations;

void bqlcheck_message(int fd, const char *text, size_t length)
{
    size_t have = strlen(said);

    snprintf(said + have, sizeof(said) - have, "%d<%.*s>", fd, (int)length, text);
}

int bqlcheck_main(const struct image *image, int argc, char **argv)
{
    char *ends[] = { image->data_start, image->data_end, image->bss_start, image->bss_end };
    int result;

    result = image->main(argc, argv, NULL);
    printf("main %d size %zu order %d allocations %d said %s\n", result, image->size,
           ends[0] < ends[1] && ends[1] <= ends[2] && ends[2] < ends[3], allocations, said);
    fflush(stdout);
    return result;
}

int bqlcheck_prctl(int option, long a, long b, long c, long d)
{
    return option + a + b + c + d;
}

long bqlcheck_syscall(long nr, long a, long b, long c, long d, long e, long f)
{
    return nr * 1000000 + a + 10 * b + 100 * c + 1000 * d + 10000 * e + 100000 * f;
}

int bqlcheck_ioctl(int fd, unsigned long request, void *arg)
{
    return *(int *)arg + fd;
}

int bqlcheck_fcntl(int fd, int cmd, long arg)
{
    return cmd + arg;
}

int bqlcheck_open(const char *path, int flags, unsigned mode)
{
    return 700 + mode;
}

void *bqlcheck_mremap(void *old, size_t old_size, size_t size, int flags, void *to)
{
    return old;
}

void *__wrap_malloc(size_t size)
{
    allocations++;
    return malloc(size);
}

void __wrap_free(void *memory)
{
    free(memory);
}

/* Where the compiler protects the stack by itself. */
void __wrap___stack_chk_fail(void)
{
    abort();
}
