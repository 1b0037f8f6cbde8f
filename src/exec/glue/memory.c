/*
 * Functions of libc that give memory which the caller frees: the memory must
 * come from the same malloc() as the rest, and libc's own calls of malloc() are
 * not wrapped.
 */
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *__real_realpath(const char *path, char *resolved);
char *__real_getcwd(char *buffer, size_t size);

char *__wrap_strndup(const char *text, size_t most)
{
    size_t length = strnlen(text, most);
    char *copy = malloc(length + 1);

    if (copy) {
        memcpy(copy, text, length);
        copy[length] = 0;
    }
    return copy;
}

char *__wrap_strdup(const char *text)
{
    return __wrap_strndup(text, strlen(text));
}

int __wrap_vasprintf(char **text, const char *format, va_list ap)
{
    va_list again;
    int length;

    va_copy(again, ap);
    length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    *text = length < 0 ? NULL : malloc(length + 1);
    return *text ? vsnprintf(*text, length + 1, format, ap) : -1;
}

int __wrap___vasprintf_chk(char **text, int flag, const char *format, va_list ap)
{
    return __wrap_vasprintf(text, format, ap);
}

int __wrap_asprintf(char **text, const char *format, ...)
{
    va_list ap;
    int length;

    va_start(ap, format);
    length = __wrap_vasprintf(text, format, ap);
    va_end(ap);
    return length;
}

int __wrap___asprintf_chk(char **text, int flag, const char *format, ...)
{
    va_list ap;
    int length;

    va_start(ap, format);
    length = __wrap_vasprintf(text, format, ap);
    va_end(ap);
    return length;
}

char *__wrap_realpath(const char *path, char *resolved)
{
    char *own = NULL, *result;

    if (!resolved) {
        resolved = own = malloc(PATH_MAX);
        if (!own) {
            return NULL;
        }
    }
    result = __real_realpath(path, resolved);
    if (!result) {
        free(own);
    }
    return result;
}

char *__wrap___realpath_chk(const char *path, char *resolved, size_t size)
{
    return __wrap_realpath(path, resolved);
}

char *__wrap_getcwd(char *buffer, size_t size)
{
    char *own = NULL, *result;

    if (!buffer) {
        size = size ? size : PATH_MAX;
        buffer = own = malloc(size);
        if (!own) {
            return NULL;
        }
    }
    result = __real_getcwd(buffer, size);
    if (!result) {
        free(own);
    }
    return result;
}
