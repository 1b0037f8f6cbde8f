/*
 * What the compiler calls for each access to memory under -fsanitize=thread:
 * the runtime is told of it. Atomic accesses are done here, in plain steps:
 * all threads of an image share one of the system, and none is switched to
 * between a step and the next.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* In libbqlcheck.so. */
void bqlcheck_race_linked(void);
void bqlcheck_race_point(void);
void bqlcheck_race_plain(uintptr_t at, size_t size, int writes, uintptr_t site);
void bqlcheck_race_atomic(uintptr_t at, size_t size, int action, int order,
                          uintptr_t site);
void bqlcheck_race_fence(int order);

#define SITE ((uintptr_t)__builtin_return_address(0))

enum { LOAD, STORE, MODIFY };

static void __attribute__((constructor)) linked(void)
{
    bqlcheck_race_linked();
}

void __tsan_init(void)
{
}

void __tsan_func_entry(void *caller)
{
}

void __tsan_func_exit(void)
{
}

/*
 * For each hook of plain accesses one more that does nothing, for where these
 * are not looked at: objcopy gives a name to no two symbols.
 */
#define PLAIN(name, size, writes) \
    void __tsan_##name(void *at) \
    { \
        bqlcheck_race_plain((uintptr_t)at, size, writes, SITE); \
    } \
    void bqlcheck_no_##name(void) \
    { \
    }

#define PLAIN_OF(size) \
    PLAIN(read##size, size, 0) \
    PLAIN(write##size, size, 1) \
    PLAIN(unaligned_read##size, size, 0) \
    PLAIN(unaligned_write##size, size, 1)

PLAIN_OF(1)
PLAIN_OF(2)
PLAIN_OF(4)
PLAIN_OF(8)
PLAIN_OF(16)

void bqlcheck_no_read_range(void)
{
}

void bqlcheck_no_write_range(void)
{
}

void __tsan_read_range(void *at, size_t size)
{
    bqlcheck_race_plain((uintptr_t)at, size, 0, SITE);
}

void __tsan_write_range(void *at, size_t size)
{
    bqlcheck_race_plain((uintptr_t)at, size, 1, SITE);
}

/* What libc does to memory for migration/: objcopy gives its calls these names. */
void *bqlcheck_race_memcpy(void *to, const void *from, size_t size)
{
    bqlcheck_race_plain((uintptr_t)from, size, 0, SITE);
    bqlcheck_race_plain((uintptr_t)to, size, 1, SITE);
    return memcpy(to, from, size);
}

void *bqlcheck_race_memmove(void *to, const void *from, size_t size)
{
    bqlcheck_race_plain((uintptr_t)from, size, 0, SITE);
    bqlcheck_race_plain((uintptr_t)to, size, 1, SITE);
    return memmove(to, from, size);
}

void *bqlcheck_race_memset(void *to, int byte, size_t size)
{
    bqlcheck_race_plain((uintptr_t)to, size, 1, SITE);
    return memset(to, byte, size);
}

/* A volatile access counts as a relaxed atomic one, as for Linux's KCSAN. */
#define VOLATILE(name, size, action) \
    void __tsan_##name(void *at) \
    { \
        bqlcheck_race_point(); \
        bqlcheck_race_atomic((uintptr_t)at, size, action, __ATOMIC_RELAXED, \
                             SITE); \
    }

#define VOLATILE_OF(size) \
    VOLATILE(volatile_read##size, size, LOAD) \
    VOLATILE(volatile_write##size, size, STORE) \
    VOLATILE(unaligned_volatile_read##size, size, LOAD) \
    VOLATILE(unaligned_volatile_write##size, size, STORE)

VOLATILE_OF(1)
VOLATILE_OF(2)
VOLATILE_OF(4)
VOLATILE_OF(8)
VOLATILE_OF(16)

#define TOLD(at, action, order) \
    bqlcheck_race_atomic((uintptr_t)(at), sizeof(*(at)), action, order, SITE)

#define MODIFIES(bits, type, name, value) \
    type __tsan_atomic##bits##_##name(volatile type *at, type with, int order) \
    { \
        type old; \
        \
        bqlcheck_race_point(); \
        old = *at; \
        *at = (type)(value); \
        TOLD(at, MODIFY, order); \
        return old; \
    }

#define EXCHANGES(bits, type, name) \
    int __tsan_atomic##bits##_compare_exchange_##name( \
        volatile type *at, type *expected, type with, int order, int failed) \
    { \
        type old; \
        \
        bqlcheck_race_point(); \
        old = *at; \
        if (old == *expected) { \
            *at = with; \
            TOLD(at, MODIFY, order); \
            return 1; \
        } \
        *expected = old; \
        TOLD(at, LOAD, failed); \
        return 0; \
    }

#define ATOMIC(bits, type) \
    type __tsan_atomic##bits##_load(const volatile type *at, int order) \
    { \
        type value; \
        \
        bqlcheck_race_point(); \
        value = *at; \
        TOLD(at, LOAD, order); \
        return value; \
    } \
    void __tsan_atomic##bits##_store(volatile type *at, type value, int order) \
    { \
        bqlcheck_race_point(); \
        *at = value; \
        TOLD(at, STORE, order); \
    } \
    MODIFIES(bits, type, exchange, with) \
    MODIFIES(bits, type, fetch_add, old + with) \
    MODIFIES(bits, type, fetch_sub, old - with) \
    MODIFIES(bits, type, fetch_and, old & with) \
    MODIFIES(bits, type, fetch_or, old | with) \
    MODIFIES(bits, type, fetch_xor, old ^ with) \
    MODIFIES(bits, type, fetch_nand, ~(old & with)) \
    EXCHANGES(bits, type, strong) \
    EXCHANGES(bits, type, weak) \
    type __tsan_atomic##bits##_compare_exchange_val( \
        volatile type *at, type expected, type with, int order, int failed) \
    { \
        type old; \
        \
        bqlcheck_race_point(); \
        old = *at; \
        if (old == expected) { \
            *at = with; \
            TOLD(at, MODIFY, order); \
        } else { \
            TOLD(at, LOAD, failed); \
        } \
        return old; \
    }

ATOMIC(8, uint8_t)
ATOMIC(16, uint16_t)
ATOMIC(32, uint32_t)
ATOMIC(64, uint64_t)
#ifdef __SIZEOF_INT128__
ATOMIC(128, unsigned __int128)
#endif

void __tsan_atomic_thread_fence(int order)
{
    bqlcheck_race_fence(order);
}

/* Orders a thread and its own signal handlers only. */
void __tsan_atomic_signal_fence(int order)
{
}
