/*
 * A vCPU's access to a device: what every accelerator does with it is to take
 * the BQL. It runs on a thread of its own, which the scenario's vCPU waits for,
 * since QEMU notes in thread-local storage who holds the BQL.
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"

#if QEMU_VERSION_MAJOR < 9
#define bql_lock qemu_mutex_lock_iothread
#define bql_unlock qemu_mutex_unlock_iothread
#endif

/* In libbqlcheck.so. */
void bqlcheck_mmio(void *(*access)(void *));

static void *mmio_access(void *opaque)
{
    bql_lock();
    bql_unlock();
    return NULL;
}

static void __attribute__((constructor)) mmio_register(void)
{
    bqlcheck_mmio(mmio_access);
}
