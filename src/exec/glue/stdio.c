/*
 * What QEMU and glib say on stdout and stderr goes to the runtime, a piece a
 * call, as it was said: no buffer, so nothing is lost when an execution ends
 * in the middle. Other streams are libc's.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* In libbqlcheck.so. */
void bqlcheck_message(int fd, const char *text, size_t length);

int __real_vfprintf(FILE *file, const char *format, va_list ap);
int __real_fputs(const char *text, FILE *file);
int __real_fputc(int c, FILE *file);
size_t __real_fwrite(const void *data, size_t size, size_t n, FILE *file);

/* 1 and 2, or 0 for a stream that is not ours. */
static int channel(FILE *file)
{
    return file == stderr ? 2 : file == stdout ? 1 : 0;
}

static int say(int fd, const char *format, va_list ap)
{
    char fixed[1024], *text = fixed;
    va_list again;
    int length;

    va_copy(again, ap);
    length = vsnprintf(fixed, sizeof(fixed), format, ap);
    if (length >= (int)sizeof(fixed)) {
        text = malloc(length + 1);
        if (!text) {
            text = fixed;
            length = sizeof(fixed) - 1;
        } else {
            vsnprintf(text, length + 1, format, again);
        }
    }
    va_end(again);
    if (length > 0) {
        bqlcheck_message(fd, text, length);
    }
    if (text != fixed) {
        free(text);
    }
    return length;
}

static int print(FILE *file, const char *format, va_list ap)
{
    int fd = channel(file);

    return fd ? say(fd, format, ap) : __real_vfprintf(file, format, ap);
}

int __wrap_vfprintf(FILE *file, const char *format, va_list ap)
{
    return print(file, format, ap);
}

int __wrap___vfprintf_chk(FILE *file, int flag, const char *format, va_list ap)
{
    return print(file, format, ap);
}

int __wrap_vprintf(const char *format, va_list ap)
{
    return print(stdout, format, ap);
}

int __wrap___vprintf_chk(int flag, const char *format, va_list ap)
{
    return print(stdout, format, ap);
}

#define PRINT(file)                             \
    va_list ap;                                 \
    int length;                                 \
                                                \
    va_start(ap, format);                       \
    length = print(file, format, ap);           \
    va_end(ap);                                 \
    return length;

int __wrap_fprintf(FILE *file, const char *format, ...)
{
    PRINT(file)
}

int __wrap___fprintf_chk(FILE *file, int flag, const char *format, ...)
{
    PRINT(file)
}

int __wrap_printf(const char *format, ...)
{
    PRINT(stdout)
}

int __wrap___printf_chk(int flag, const char *format, ...)
{
    PRINT(stdout)
}

int __wrap_puts(const char *text)
{
    bqlcheck_message(1, text, strlen(text));
    bqlcheck_message(1, "\n", 1);
    return 1;
}

int __wrap_fputs(const char *text, FILE *file)
{
    int fd = channel(file);

    if (!fd) {
        return __real_fputs(text, file);
    }
    bqlcheck_message(fd, text, strlen(text));
    return 1;
}

int __wrap_fputc(int c, FILE *file)
{
    int fd = channel(file);
    char text = c;

    if (!fd) {
        return __real_fputc(c, file);
    }
    bqlcheck_message(fd, &text, 1);
    return (unsigned char)c;
}

int __wrap_putc(int c, FILE *file)
{
    return __wrap_fputc(c, file);
}

int __wrap_putchar(int c)
{
    return __wrap_fputc(c, stdout);
}

size_t __wrap_fwrite(const void *data, size_t size, size_t n, FILE *file)
{
    int fd = channel(file);

    if (!fd) {
        return __real_fwrite(data, size, n, file);
    }
    bqlcheck_message(fd, data, size * n);
    return n;
}

void __wrap_perror(const char *what)
{
    int saved = errno;

    if (what && *what) {
        __wrap_fprintf(stderr, "%s: %s\n", what, strerror(saved));
    } else {
        __wrap_fprintf(stderr, "%s\n", strerror(saved));
    }
    errno = saved;
}
