/*
 * Calls with a variable number of arguments, which only C can take: each is
 * handed on with all that it may have. An argument that was not passed is
 * whatever the register held; the callee knows from the others how many count.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/mman.h>
#include <sys/types.h>

/* In libbqlcheck.so. */
long bqlcheck_syscall(long nr, long a, long b, long c, long d, long e, long f);
int bqlcheck_ioctl(int fd, unsigned long request, void *arg);
int bqlcheck_fcntl(int fd, int cmd, long arg);
int bqlcheck_open(const char *path, int flags, mode_t mode);
void *bqlcheck_mremap(void *old, size_t old_size, size_t size, int flags, void *to);
int bqlcheck_prctl(int option, long a, long b, long c, long d);

/* The n arguments behind the last that has a name. */
#define LONGS(a, n, last)                       \
    long a[n];                                  \
    va_list ap;                                 \
                                                \
    va_start(ap, last);                         \
    for (int i = 0; i < (n); i++) {             \
        a[i] = va_arg(ap, long);                \
    }                                           \
    va_end(ap)

long __wrap_syscall(long nr, ...)
{
    LONGS(a, 6, nr);
    return bqlcheck_syscall(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
}

int __wrap_ioctl(int fd, unsigned long request, ...)
{
    va_list ap;
    void *arg;

    va_start(ap, request);
    arg = va_arg(ap, void *);
    va_end(ap);
    return bqlcheck_ioctl(fd, request, arg);
}

#define WRAP_FCNTL(name)                        \
int __wrap_##name(int fd, int cmd, ...)         \
{                                               \
    va_list ap;                                 \
    long arg;                                   \
                                                \
    va_start(ap, cmd);                          \
    arg = va_arg(ap, long);                     \
    va_end(ap);                                 \
    return bqlcheck_fcntl(fd, cmd, arg);        \
}

WRAP_FCNTL(fcntl)
WRAP_FCNTL(fcntl64)

#define WRAP_OPEN(name)                             \
int __wrap_##name(const char *path, int flags, ...) \
{                                                   \
    va_list ap;                                     \
    mode_t mode = 0;                                \
                                                    \
    va_start(ap, flags);                            \
    if (__OPEN_NEEDS_MODE(flags)) {                 \
        mode = va_arg(ap, mode_t);                  \
    }                                               \
    va_end(ap);                                     \
    return bqlcheck_open(path, flags, mode);        \
}

WRAP_OPEN(open)
WRAP_OPEN(open64)

int __wrap___open_2(const char *path, int flags)
{
    return bqlcheck_open(path, flags, 0);
}

int __wrap___open64_2(const char *path, int flags)
{
    return bqlcheck_open(path, flags, 0);
}

void *__wrap_mremap(void *old, size_t old_size, size_t size, int flags, ...)
{
    void *to = NULL;
    va_list ap;

    va_start(ap, flags);
    if (flags & MREMAP_FIXED) {
        to = va_arg(ap, void *);
    }
    va_end(ap);
    return bqlcheck_mremap(old, old_size, size, flags, to);
}

int __wrap_prctl(int option, ...)
{
    LONGS(a, 4, option);
    return bqlcheck_prctl(option, a[0], a[1], a[2], a[3]);
}
