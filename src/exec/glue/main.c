/*
 * Where an image begins: crt1 calls main(), which is wrapped, and the runtime
 * is handed QEMU's own main() and the bounds of its variables.
 */
#include <stddef.h>

/*
 * The linker's own symbols. __data_start is the first variable: .data of crt1
 * is the first .data. What is before it is made read-only before main().
 */
extern char __data_start[], _edata[], __bss_start[], _end[];

struct bqlcheck_image {
    size_t size;                            /* of this struct, as a version */
    int (*main)(int argc, char **argv, char **envp);
    char *data_start, *data_end;            /* variables with a value */
    char *bss_start, *bss_end;              /* those that begin as zero */
    void *(*guest)(void *nth);              /* threads of the guest */
};

/* In guest.c, which needs QEMU's headers; null where there is no QEMU. */
void *bqlcheck_guest(void *nth) __attribute__((weak));

int __real_main(int argc, char **argv, char **envp);
int __wrap_main(int argc, char **argv, char **envp);

/* In libbqlcheck.so. */
int bqlcheck_main(const struct bqlcheck_image *image, int argc, char **argv);

static const struct bqlcheck_image bqlcheck_image = {
    .size = sizeof(bqlcheck_image),
    .main = __real_main,
    .data_start = __data_start,
    .data_end = _edata,
    .bss_start = __bss_start,
    .bss_end = _end,
    .guest = bqlcheck_guest,
};

int __wrap_main(int argc, char **argv, char **envp)
{
    return bqlcheck_main(&bqlcheck_image, argc, argv);
}
