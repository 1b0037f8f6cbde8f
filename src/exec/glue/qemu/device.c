/*
 * Devices of our own, in QEMU's idiom, for scenarios that want them: one whose
 * post_load has work done on a vCPU, as the KVM APIC's does, and one with
 * SaveVMHandlers. Each handler says whether it is called with the BQL.
 * They are registered right after qemu_init(), where a board's devices are.
 */
#include "qemu/osdep.h"
#include "qemu/main-loop.h"
#include "hw/core/cpu.h"
#if __has_include("system/memory.h")
#include "system/memory.h"
#else
#include "exec/memory.h"
#endif
#include "migration/qemu-file-types.h"
#include "migration/register.h"
#include "migration/vmstate.h"

#if QEMU_VERSION_MAJOR < 9
#define bql_locked qemu_mutex_iothread_locked
#endif

/* Bits of bqlcheck_devices(). */
#define RUN_ON_CPU_DEVICE 1
#define HANDLERS_DEVICE   2

/* In libbqlcheck.so. */
unsigned bqlcheck_devices(void);
void bqlcheck_handler(const char *type, const char *field, bool held);

void __real_qemu_init(int argc, char **argv);
void __wrap_qemu_init(int argc, char **argv);

#define SAVEVM_HANDLER(field) \
    bqlcheck_handler("SaveVMHandlers", field, bql_locked())
#define VMSTATE_HOOK(field) \
    bqlcheck_handler("VMStateDescription", field, bql_locked())

typedef struct RunOnCPUState {
    uint64_t value;
} RunOnCPUState;

static RunOnCPUState run_on_cpu_state;

static void do_nothing(CPUState *cpu, run_on_cpu_data data)
{
}

static int run_on_cpu_pre_load(void *opaque)
{
    VMSTATE_HOOK("pre_load");
    return 0;
}

static int run_on_cpu_post_load(void *opaque, int version_id)
{
    VMSTATE_HOOK("post_load");
    /* Waits on qemu_work_cond, which releases the BQL meanwhile. */
    run_on_cpu(first_cpu, do_nothing, RUN_ON_CPU_NULL);
    return 0;
}

static const VMStateDescription vmstate_run_on_cpu = {
    .name = "bqlcheck-run-on-cpu",
    .version_id = 1,
    .minimum_version_id = 1,
    .pre_load = run_on_cpu_pre_load,
    .post_load = run_on_cpu_post_load,
    .fields = (VMStateField[]) {
        VMSTATE_UINT64(value, RunOnCPUState),
        VMSTATE_END_OF_LIST()
    }
};

static int handlers_load_state(QEMUFile *f, void *opaque, int version_id)
{
    SAVEVM_HANDLER("load_state");
    /* As a PCI device's: its memory regions change, which needs the BQL. */
    memory_region_transaction_begin();
    qemu_get_be64(f);
    memory_region_transaction_commit();
    return 0;
}

static int handlers_load_setup(void)
{
    SAVEVM_HANDLER("load_setup");
    return 0;
}

static int handlers_load_cleanup(void *opaque)
{
    SAVEVM_HANDLER("load_cleanup");
    return 0;
}

#if QEMU_VERSION_MAJOR >= 9
static bool handlers_switchover_ack_needed(void *opaque)
{
    SAVEVM_HANDLER("switchover_ack_needed");
    return false;
}
#endif

#if QEMU_VERSION_MAJOR >= 10
static int handlers_switchover_start(void *opaque)
{
    SAVEVM_HANDLER("switchover_start");
    return 0;
}
#endif

static const SaveVMHandlers savevm_handlers = {
    .load_state = handlers_load_state,
    /* Its arguments, of which it needs none, are not the same in all versions. */
    .load_setup = (void *)handlers_load_setup,
    .load_cleanup = handlers_load_cleanup,
#if QEMU_VERSION_MAJOR >= 9
    .switchover_ack_needed = handlers_switchover_ack_needed,
#endif
#if QEMU_VERSION_MAJOR >= 10
    .switchover_start = handlers_switchover_start,
#endif
};

void __wrap_qemu_init(int argc, char **argv)
{
    unsigned devices;

    __real_qemu_init(argc, argv);
    devices = bqlcheck_devices();
    if (devices & RUN_ON_CPU_DEVICE) {
        vmstate_register(NULL, 0, &vmstate_run_on_cpu, &run_on_cpu_state);
    }
    if (devices & HANDLERS_DEVICE) {
        register_savevm_live("bqlcheck-handlers", 0, 1, &savevm_handlers, NULL);
    }
}
