/*
 * A part of the guest that writes to its memory while it runs: a device with a
 * thread of its own that does DMA, as a dataplane IOThread does. Its writes go
 * through QEMU's memory API, which is how they are logged as dirty where no
 * accelerator does it. What it writes, and when, the runtime says.
 *
 * When the VM stops, its handler waits until no write is under way: a device
 * must not change memory of a VM that is stopped.
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "qemu/rcu.h"
#include "qemu/thread.h"
#if __has_include("system/runstate.h")
#include "system/runstate.h"
#else
#include "sysemu/runstate.h"
#endif
#if __has_include("system/address-spaces.h")
#include "system/address-spaces.h"
#include "system/memory.h"
#else
#include "exec/address-spaces.h"
#include "exec/memory.h"
#endif

#ifndef bql_lock                                /* before 9.0 */
#define bql_lock qemu_mutex_lock_iothread
#define bql_unlock qemu_mutex_unlock_iothread
#endif

#define GUEST_PAGE 4096

/* In libbqlcheck.so. */
void bqlcheck_guest_memory(void *host, uint64_t bytes, bool runs);
void bqlcheck_guest_runs(bool runs);
int bqlcheck_guest_next(uintptr_t nth, uint64_t *page, uint8_t *byte);
void bqlcheck_guest_point(void);
void bqlcheck_guest_wrote(uint64_t page, uint8_t byte);

void *bqlcheck_guest(void *opaque);

static QemuMutex guest_lock;
static QemuCond guest_resumed;
static bool guest_runs;

static void guest_changed(void *opaque, bool running, RunState state)
{
    qemu_mutex_lock(&guest_lock);
    guest_runs = running;
    bqlcheck_guest_runs(running);
    if (running) {
        qemu_cond_broadcast(&guest_resumed);
    }
    qemu_mutex_unlock(&guest_lock);
}

/* Tells where the guest's memory is, which is filled there. */
static void guest_begin(void)
{
    hwaddr length = (hwaddr)1 << 40;
    void *host;

    qemu_mutex_init(&guest_lock);
    qemu_cond_init(&guest_resumed);
    bql_lock();
    guest_runs = runstate_is_running();
    qemu_add_vm_change_state_handler(guest_changed, NULL);
    host = address_space_map(&address_space_memory, 0, &length, true,
                             MEMTXATTRS_UNSPECIFIED);
    bqlcheck_guest_memory(host, host ? length : 0, guest_runs);
    if (host) {
        address_space_unmap(&address_space_memory, host, length, true, length);
    }
    bql_unlock();
}

static void guest_write(uint64_t page, uint8_t byte)
{
    hwaddr length = GUEST_PAGE;
    uint8_t *host;

    qemu_mutex_lock(&guest_lock);
    while (!guest_runs) {
        qemu_cond_wait(&guest_resumed, &guest_lock);
    }
    host = address_space_map(&address_space_memory, page * GUEST_PAGE, &length,
                             true, MEMTXATTRS_UNSPECIFIED);
    g_assert(host && length == GUEST_PAGE);
    /* The migration may take the page as it is at each of these points. */
    memset(host, byte, GUEST_PAGE / 2);
    bqlcheck_guest_point();
    memset(host + GUEST_PAGE / 2, byte, GUEST_PAGE / 2);
    bqlcheck_guest_wrote(page, byte);
    bqlcheck_guest_point();
    /* Here it becomes dirty. */
    address_space_unmap(&address_space_memory, host, length, true, length);
    qemu_mutex_unlock(&guest_lock);
}

/* A thread: 0 begins, once; others write until there is no more to write. */
void *bqlcheck_guest(void *opaque)
{
    uintptr_t nth = (uintptr_t)opaque;
    uint64_t page;
    uint8_t byte;

    rcu_register_thread();
    if (nth == 0) {
        guest_begin();
    } else {
        while (bqlcheck_guest_next(nth, &page, &byte)) {
            guest_write(page, byte);
        }
    }
    rcu_unregister_thread();
    return NULL;
}
